/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes in the specification's words (Base 4.2.3, Fabrics commands). */
#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"
#include "initiator.h"

struct status_name {
	uint16_t code;
	const char *name;
};

static const struct status_name names[] = {
	{ NVME_SC_SUCCESS, "Successful Completion" },
	{ NVME_SC_INVALID_OPCODE, "Invalid Command Opcode" },
	{ NVME_SC_INVALID_FIELD, "Invalid Field in Command" },
	{ NVME_SC_CID_CONFLICT, "Command ID Conflict" },
	{ NVME_SC_DATA_TRANSFER_ERROR, "Data Transfer Error" },
	{ NVME_SC_ABORTED_POWER_LOSS, "Commands Aborted due to Power Loss Notification" },
	{ NVME_SC_INTERNAL, "Internal Error" },
	{ NVME_SC_ABORT_REQUESTED, "Command Abort Requested" },
	{ NVME_SC_ABORTED_SQ_DELETION, "Command Aborted due to SQ Deletion" },
	{ NVME_SC_ABORTED_FAILED_FUSED, "Command Aborted due to Failed Fused Command" },
	{ NVME_SC_ABORTED_MISSING_FUSED, "Command Aborted due to Missing Fused Command" },
	{ NVME_SC_INVALID_NSID, "Invalid Namespace or Format" },
	{ NVME_SC_COMMAND_SEQUENCE, "Command Sequence Error" },
	{ NVME_SC_INVALID_SGL_SEGMENT, "Invalid SGL Segment Descriptor" },
	{ NVME_SC_INVALID_SGL_COUNT, "Invalid Number of SGL Descriptors" },
	{ NVME_SC_SGL_LENGTH_INVALID, "Data SGL Length Invalid" },
	{ NVME_SC_METADATA_SGL_LENGTH, "Metadata SGL Length Invalid" },
	{ NVME_SC_SGL_TYPE_INVALID, "SGL Descriptor Type Invalid" },
	{ NVME_SC_SGL_OFFSET_INVALID, "SGL Offset Invalid" },
	{ NVME_SC_HOST_ID_INCONSISTENT, "Host Identifier Inconsistent Format" },
	{ NVME_SC_KATO_EXPIRED, "Keep Alive Timer Expired" },
	{ NVME_SC_KATO_INVALID, "Keep Alive Timeout Invalid" },
	{ NVME_SC_NS_WRITE_PROTECTED, "Namespace is Write Protected" },
	{ NVME_SC_COMMAND_INTERRUPTED, "Command Interrupted" },
	{ NVME_SC_TRANSIENT_TRANSPORT, "Transient Transport Error" },
	{ NVME_SC_LBA_OUT_OF_RANGE, "LBA Out of Range" },
	{ NVME_SC_CAPACITY_EXCEEDED, "Capacity Exceeded" },
	{ NVME_SC_NS_NOT_READY, "Namespace Not Ready" },
	{ NVME_SC_RESERVATION_CONFLICT, "Reservation Conflict" },
	{ NVME_SC_INVALID_QID, "Invalid Queue Identifier" },
	{ NVME_SC_INVALID_QUEUE_SIZE, "Invalid Queue Size" },
	{ NVME_SC_ABORT_LIMIT, "Abort Command Limit Exceeded" },
	{ NVME_SC_AER_LIMIT, "Asynchronous Event Request Limit Exceeded" },
	{ NVME_SC_INVALID_LOG_PAGE, "Invalid Log Page" },
	{ NVME_SC_FEATURE_NOT_SAVEABLE, "Feature Identifier Not Saveable" },
	{ NVME_SC_FEATURE_NOT_CHANGEABLE, "Feature Not Changeable" },
	{ NVME_SC_FEATURE_NOT_NS_SPECIFIC, "Feature Not Namespace Specific" },
	{ NVME_SC_INVALID_CONTROLLER_ID, "Invalid Controller Identifier" },
	{ NVME_SC_INVALID_IO_COMMAND_SET, "I/O Command Set Not Supported" },
	{ NVME_SC_CONFLICTING_ATTRIBUTES, "Conflicting Attributes" },
	{ NVME_SC_INVALID_PROTECTION, "Invalid Protection Information" },
	{ NVME_SC_READ_ONLY_RANGE, "Attempted Write to Read Only Range" },
	{ NVME_SC_COMMAND_SIZE_LIMIT, "Command Size Limit Exceeded" },
	{ NVME_SC_AUTH_REQUIRED, "Authentication Required" },
	{ NVME_SC_WRITE_FAULT, "Write Fault" },
	{ NVME_SC_UNRECOVERED_READ, "Unrecovered Read Error" },
	{ NVME_SC_GUARD_CHECK, "End-to-end Guard Check Error" },
	{ NVME_SC_COMPARE_FAILURE, "Compare Failure" },
	{ NVME_SC_ACCESS_DENIED, "Access Denied" },
	{ NVME_SC_UNWRITTEN_BLOCK, "Deallocated or Unwritten Logical Block" },
	{ NVME_SC_INTERNAL_PATH_ERROR, "Internal Path Error" },
	{ NVME_SC_ANA_PERSISTENT_LOSS, "Asymmetric Access Persistent Loss" },
	{ NVME_SC_ANA_INACCESSIBLE, "Asymmetric Access Inaccessible" },
	{ NVME_SC_ANA_TRANSITION, "Asymmetric Access Transition" },
	{ NVME_SC_CTRL_PATH_ERROR, "Controller Pathing Error" },
	{ NVME_SC_HOST_PATH_ERROR, "Host Pathing Error" },
};

const char *nvme_status_name(uint16_t status)
{
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].code == (status & NVME_STATUS_CODE_MASK))
			return names[i].name;
	return "unknown status";
}

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
		snprintf(buf, len, "invalid host: the subsystem does not allow this host NQN; add it as "
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
