/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/nvme_status.h"

#include "base/compiler.h"
#include "base/nvme.h"

static const struct status_row {
	uint16_t status;
	const char *name;
} status_rows[] = {
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
	{ NVME_SC_INVALID_IO_COMMAND_SET, "Invalid I/O Command Set" },
	/* The command tells which of the two is meant: Connect, or one of the NVM command set. */
	{ NVME_SC_CONNECT_INCOMPATIBLE_FORMAT, "Incompatible Format, or Conflicting Attributes" },
	{ NVME_SC_CONNECT_CTRL_BUSY, "Controller Busy, or Invalid Protection Information" },
	{ NVME_SC_CONNECT_INVALID_PARAM,
	  "Connect Invalid Parameters, or Attempted Write to Read Only Range" },
	{ NVME_SC_CONNECT_RESTART_DISCOVERY,
	  "Connect Restart Discovery, or Command Size Limit Exceeded" },
	{ NVME_SC_CONNECT_INVALID_HOST, "Connect Invalid Host" },
	{ NVME_SC_DISCONNECT_INVALID_QUEUE_TYPE, "Invalid Queue Type" },
	{ NVME_SC_OVERLAPPING_RANGE, "Overlapping I/O Range" },
	{ NVME_SC_DISCOVER_RESTART, "Discover Restart" },
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
	for (size_t i = 0; i < ARRAY_SIZE(status_rows); i++)
		if (status_rows[i].status == (status & NVME_STATUS_CODE_MASK))
			return status_rows[i].name;
	return "Unknown Status";
}
