/* SPDX-License-Identifier: BSD-3-Clause */
/* Get Log Page (Base 5.1.12). One row of the table for each page. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "target/admin.h"
#include "target/ctrl.h"
#include "target/io.h"

enum {
	CDW10_LSP_SHIFT = 8,
	CDW10_RAE = 1 << 15,
	CDW10_NUMDL_SHIFT = 16,
	CDW11_LSI_SHIFT = 16, /* log specific identifier */
	CDW14_OT_SHIFT = 23, /* LPO counts entries, not bytes: no page here has that */
	CDW14_CSI_SHIFT = 24,
	ANA_LSP_GROUPS_ONLY = 1 << 0,
	FW_SLOT_ACTIVE = 1,
	/* Header, all groups, and each namespace in one of them. */
	ANA_LOG_MAX = sizeof(struct nvme_ana_log) +
		      MAX_ANA_GROUPS * sizeof(struct nvme_ana_group_desc) +
		      MAX_NSID * sizeof(le32_t),
};

/* Where in the page the host's buffer begins (LPOL, LPOU). */
static uint64_t log_page_offset(const struct cmd *cmd)
{
	return le32_get(cmd->sqe.cdw12) | (uint64_t)le32_get(cmd->sqe.cdw13) << 32;
}

/* Reading a page answers its event, unless the host wants to keep that (RAE). */
static bool clears_event(const struct cmd *cmd)
{
	return !(le32_get(cmd->sqe.cdw10) & CDW10_RAE);
}

static uint16_t field_invalid(struct cmd *cmd, unsigned place)
{
	return cmd_fault(cmd, place, NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
}

void log_page_reply(struct cmd *cmd, const void *log, size_t len)
{
	uint64_t offset = log_page_offset(cmd);

	if (offset > len) {
		cmd_complete(cmd, field_invalid(cmd, CMD_PLACE(cdw12, 0)));
		return;
	}
	if (clears_event(cmd))
		async_event_cleared(cmd->queue->ctrl, (uint8_t)le32_get(cmd->sqe.cdw10));
	cmd_reply(cmd, log, len, offset);
}

/* --------------------------------------------------------------------------------- what exists */

static void log_supported(struct cmd *cmd)
{
	le32_t log[256] = { 0 };

	for (unsigned page = 0; page < ARRAY_SIZE(log); page++)
		if (log_page_supported(cmd->queue->ctrl, (uint8_t)page))
			log[page] = le32(NVME_LOG_LSUPP);
	log_page_reply(cmd, log, sizeof(log));
}

static void log_effects(struct cmd *cmd)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;
	struct nvme_effects_log log = { 0 };

	for (unsigned opcode = 0; opcode < ARRAY_SIZE(log.acs); opcode++) {
		log.acs[opcode] = le32(admin_effects(ctrl, (uint8_t)opcode));
		if (!ctrl_is_discovery(ctrl))
			log.iocs[opcode] = le32(io_effects((uint8_t)opcode));
	}
	log_page_reply(cmd, &log, sizeof(log));
}

static void log_feature_effects(struct cmd *cmd)
{
	le32_t log[256];

	for (unsigned fid = 0; fid < ARRAY_SIZE(log); fid++)
		log[fid] = le32(feature_effects(cmd->queue->ctrl, (uint8_t)fid));
	log_page_reply(cmd, log, sizeof(log));
}

/* ------------------------------------------------------------------------------- what happened */

/* Newest first; entries that were never written are zero. */
static void log_error(struct cmd *cmd)
{
	struct ctrl *ctrl = cmd->queue->ctrl;
	struct nvme_error_log_entry log[MAX_ERROR_LOG] = { 0 };

	pthread_mutex_lock(&ctrl->lock);
	for (unsigned i = 0; i < ctrl->error_len; i++)
		log[i] = ctrl->errors[(ctrl->error_head + MAX_ERROR_LOG - 1 - i) % MAX_ERROR_LOG];
	pthread_mutex_unlock(&ctrl->lock);
	log_page_reply(cmd, log, sizeof(log));
}

static void log_fw_slot(struct cmd *cmd)
{
	struct nvme_fw_slot_log log = { .afi = FW_SLOT_ACTIVE };
	char sn[20], mn[40];

	identify_strings(cmd->queue->ctrl, sn, mn, log.frs[0]);
	log_page_reply(cmd, &log, sizeof(log));
}

/* The list starts afresh once it was read, unless the host keeps the event (RAE). */
static void log_changed_ns(struct cmd *cmd)
{
	struct ctrl *ctrl = cmd->queue->ctrl;
	le32_t log[MAX_CHANGED_NS] = { 0 };
	unsigned n = 0;

	for (uint32_t nsid = 1; nsid <= MAX_NSID; nsid++)
		if (ctrl->changed_ns[nsid / 64] >> (nsid % 64) & 1)
			log[n++] = le32(nsid);
	if (clears_event(cmd) && log_page_offset(cmd) <= sizeof(log))
		memset(ctrl->changed_ns, 0, sizeof(ctrl->changed_ns));
	log_page_reply(cmd, log, sizeof(log));
}

/* ----------------------------------------------------------------------------------------- ANA */

/* Appends group @grpid with its namespaces that the host sees, if there are any. Returns its bytes.
 */
static size_t ana_group(const struct ctrl *ctrl, uint32_t grpid, bool groups_only, uint8_t *at)
{
	struct nvme_ana_group_desc desc = {
		.grpid = le32(grpid),
		.chgcnt = le64(ctrl->ana_chgcnt),
		.state = NVME_ANA_OPTIMIZED,
	};
	uint32_t n = 0;

	for (uint32_t nsid = 1; nsid <= ctrl->subsys->max_nsid; nsid++) {
		const struct ns *ns = ctrl_ns(ctrl, nsid);
		le32_t wire = le32(nsid);

		if (!ns || ns->config->ana_group != grpid)
			continue;
		if (!groups_only)
			memcpy(at + sizeof(desc) + n * sizeof(wire), &wire, sizeof(wire));
		n++;
	}
	if (!n)
		return 0;
	if (groups_only)
		n = 0;
	desc.nnsids = le32(n);
	memcpy(at, &desc, sizeof(desc));
	return sizeof(desc) + n * sizeof(le32_t);
}

static void log_ana(struct cmd *cmd)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;
	bool groups_only = le32_get(cmd->sqe.cdw10) >> CDW10_LSP_SHIFT & ANA_LSP_GROUPS_ONLY;
	struct nvme_ana_log header = { .chgcnt = le64(ctrl->ana_chgcnt) };
	uint8_t log[ANA_LOG_MAX] = { 0 };
	size_t len = sizeof(header);
	uint16_t n = 0;

	for (uint32_t grpid = 1; grpid <= MAX_ANA_GROUPS; grpid++) {
		size_t more = ana_group(ctrl, grpid, groups_only, log + len);

		len += more;
		n = (uint16_t)(n + (more != 0));
	}
	header.ngrps = le16(n);
	memcpy(log, &header, sizeof(header));
	/* As long as NANAGRPID and MNAN make it at most: hosts read that much, some of them in pieces. */
	log_page_reply(cmd, log, sizeof(log));
}

/* ----------------------------------------------------------------------------------- discovery */

static void log_discovery(struct cmd *cmd)
{
	size_t len = 0;
	void *log = NULL;

	if (discovery_build_log(cmd->queue, &log, &len)) {
		cmd_complete(cmd, NVME_SC_INTERNAL);
		return;
	}
	log_page_reply(cmd, log, len);
	free(log);
}

/* --------------------------------------------------------------------------------------- table */

enum log_flags {
	LOG_IO = 1 << 0,        /* I/O controllers have it */
	LOG_DISCOVERY = 1 << 1, /* discovery controllers have it */
	LOG_CSI = 1 << 2,       /* CDW14 names a command set */
	LOG_NSID = 1 << 3, /* about one namespace, or with 0 and FFFFFFFFh about the controller */
	LOG_ENDGID = 1 << 4, /* CDW11 names an endurance group */
};

static const struct log_page {
	void (*execute)(struct cmd *cmd);
	unsigned flags;
} pages[] = {
	[NVME_LOG_SUPPORTED] = { log_supported, LOG_IO | LOG_DISCOVERY },
	[NVME_LOG_ERROR] = { log_error, LOG_IO | LOG_DISCOVERY },
	[NVME_LOG_SMART] = { smart_execute, LOG_IO | LOG_NSID },
	[NVME_LOG_FW_SLOT] = { log_fw_slot, LOG_IO },
	[NVME_LOG_CHANGED_NS] = { log_changed_ns, LOG_IO },
	[NVME_LOG_EFFECTS] = { log_effects, LOG_IO | LOG_DISCOVERY | LOG_CSI },
	[NVME_LOG_ENDURANCE] = { smart_execute, LOG_IO | LOG_ENDGID },
	[NVME_LOG_ANA] = { log_ana, LOG_IO },
	[NVME_LOG_FEATURE_EFFECTS] = { log_feature_effects, LOG_IO | LOG_DISCOVERY },
	[NVME_LOG_DISCOVERY] = { log_discovery, LOG_DISCOVERY },
};

bool log_page_supported(const struct ctrl *ctrl, uint8_t page)
{
	return page < ARRAY_SIZE(pages) &&
	       (pages[page].flags & (ctrl_is_discovery(ctrl) ? LOG_DISCOVERY : LOG_IO));
}

static uint16_t nsid_decide(struct cmd *cmd)
{
	uint32_t nsid = le32_get(cmd->sqe.nsid);

	if (!nsid || nsid == NVME_NSID_ALL)
		return 0;
	cmd->ns = ctrl_ns(cmd->queue->ctrl, nsid);
	return cmd->ns ? 0
		       : cmd_fault(cmd, CMD_PLACE(nsid, 0),
				   NVME_SC_INVALID_NSID | NVME_STATUS_DNR);
}

/* An endurance group is a namespace here (identify.c). */
static uint16_t endgid_decide(struct cmd *cmd)
{
	uint32_t endgid = le32_get(cmd->sqe.cdw11) >> CDW11_LSI_SHIFT;

	cmd->ns = endgid ? ctrl_ns(cmd->queue->ctrl, endgid) : NULL;
	return cmd->ns ? 0 : field_invalid(cmd, CMD_PLACE(cdw11, CDW11_LSI_SHIFT));
}

uint16_t log_page_parse(struct cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10), cdw14 = le32_get(cmd->sqe.cdw14);
	uint64_t len =
		((cdw10 >> CDW10_NUMDL_SHIFT | (uint64_t)(uint16_t)le32_get(cmd->sqe.cdw11) << 16) +
		 1) *
		4;
	const struct ctrl *ctrl = cmd->queue->ctrl;
	uint8_t page = (uint8_t)cdw10;
	uint16_t status = 0;

	if (!log_page_supported(ctrl, page))
		return cmd_fault(cmd, CMD_PLACE(cdw10, 0),
				 NVME_SC_INVALID_LOG_PAGE | NVME_STATUS_DNR);
	if (len > ctrl_max_transfer(ctrl))
		return field_invalid(cmd, CMD_PLACE(cdw10, CDW10_NUMDL_SHIFT));
	if (log_page_offset(cmd) % 4)
		return field_invalid(cmd, CMD_PLACE(cdw12, 0));
	if (cdw14 >> CDW14_OT_SHIFT & 1)
		return field_invalid(cmd, CMD_PLACE(cdw14, CDW14_OT_SHIFT));
	if ((pages[page].flags & LOG_CSI) && cdw14 >> CDW14_CSI_SHIFT != NVME_CSI_NVM)
		return field_invalid(cmd, CMD_PLACE(cdw14, CDW14_CSI_SHIFT));
	if (pages[page].flags & LOG_NSID)
		status = nsid_decide(cmd);
	else if (pages[page].flags & LOG_ENDGID)
		status = endgid_decide(cmd);
	return status ? status
		      : cmd_need(cmd, CMD_DATA_TO_HOST, (uint32_t)len, pages[page].execute);
}
