/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes in the specification's words (Base 4.2.3, Fabrics commands). */
#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"
#include "initiator.h"

const char *nvme_status_text(uint16_t status, char *buf, size_t len)
{
	snprintf(buf, len, "%s (%03xh)%s", nvme_status_name(status), status & NVME_STATUS_CODE_MASK,
		 status & NVME_STATUS_DNR ? ", do not retry" : "");
	return buf;
}

/* Where a parameter of Connect lies, in the command or in its data, and what to look at. */
struct connect_param {
	uint16_t offset;
	bool in_data;
	const char *name;
};

static const struct connect_param params[] = {
	{ 40, false, "the record format (RECFMT)" },
	{ 42, false, "the queue identifier (QID)" },
	{ 44, false, "the queue size (SQSIZE): try a smaller --depth" },
	{ 46, false, "the attributes (CATTR): try without --disable-sqflow" },
	{ 48, false, "the keep alive time-out (KATO)" },
	{ 0, true, "the host identifier (--hostid)" },
	{ 16, true, "the controller identifier (CNTLID)" },
	{ 256, true, "the subsystem NQN (--nqn): the target has no such subsystem" },
	{ 512, true, "the host NQN (--hostnqn)" },
};

const char *nvme_connect_text(uint16_t status, uint32_t dw0, char *buf, size_t len)
{
	uint16_t offset = (uint16_t)dw0;
	bool in_data = dw0 >> 16 & 1;
	const char *what = NULL;

	switch (status & NVME_STATUS_CODE_MASK) {
	case NVME_SC_CONNECT_INVALID_PARAM:
		for (unsigned i = 0; i < ARRAY_SIZE(params); i++)
			if (params[i].offset == offset && params[i].in_data == in_data)
				what = params[i].name;
		if (what)
			snprintf(buf, len, "invalid parameter: %s", what);
		else
			snprintf(buf, len, "invalid parameter at byte %u of the %s", offset,
				 in_data ? "data" : "command");
		return buf;
	case NVME_SC_CONNECT_INVALID_HOST:
		snprintf(buf, len,
			 "invalid host: the subsystem does not allow this host NQN; add it as "
			 "allow_host there or give the right --hostnqn");
		return buf;
	case NVME_SC_CONNECT_CTRL_BUSY:
		snprintf(buf, len, "controller busy: try again later, or no controller is free");
		return buf;
	case NVME_SC_CONNECT_INCOMPATIBLE_FORMAT:
		snprintf(buf, len, "incompatible record format");
		return buf;
	case NVME_SC_CONNECT_RESTART_DISCOVERY:
		snprintf(buf, len, "the subsystem moved: restart discovery");
		return buf;
	default:
		return nvme_status_text(status, buf, len);
	}
}
