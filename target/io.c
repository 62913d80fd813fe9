/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/io.h"

#include <assert.h>
#include <errno.h>

#include "base/counter.h"
#include "target/ctrl.h"
#include "target/io_fence.h"
#include "target/io_step.h"
#include "target/queue.h"
#include "target/worker.h"

/* What there is to know of a command before its parser looks at it. */
struct io_command {
	uint16_t (*parse)(struct cmd *cmd);
	uint8_t kind;	     /* enum stats_kind */
	uint8_t fuse;	     /* place in a fused pair that it may have, or 0 */
	bool writes;	     /* refused on a namespace that is write protected */
	bool all_namespaces; /* takes the broadcast NSID */
};

static const struct io_command commands[] = {
	[NVME_IO_FLUSH] = { .parse = io_flush_parse, .kind = STATS_FLUSH, .all_namespaces = true },
	[NVME_IO_WRITE] = { .parse = io_rw_parse,
			    .kind = STATS_WRITE,
			    .fuse = NVME_FUSE_SECOND,
			    .writes = true },
	[NVME_IO_READ] = { .parse = io_rw_parse, .kind = STATS_READ },
	[NVME_IO_COMPARE] = { .parse = io_compare_parse,
			      .kind = STATS_READ,
			      .fuse = NVME_FUSE_FIRST },
	[NVME_IO_WRITE_ZEROES] = { .parse = io_write_zeroes_parse,
				   .kind = STATS_OTHER,
				   .writes = true },
	[NVME_IO_DSM] = { .parse = io_dsm_parse, .kind = STATS_DEALLOCATE, .writes = true },
	[NVME_IO_VERIFY] = { .parse = io_verify_parse, .kind = STATS_OTHER },
	[NVME_IO_COPY] = { .parse = io_copy_parse, .kind = STATS_OTHER, .writes = true },
};

static const struct io_command *command_find(uint8_t opcode)
{
	return opcode < ARRAY_SIZE(commands) && commands[opcode].parse ? &commands[opcode] : NULL;
}

uint32_t io_effects(uint8_t opcode)
{
	const struct io_command *command = command_find(opcode);

	if (!command)
		return 0;
	return command->writes ? NVME_EFFECT_CSUPP | NVME_EFFECT_LBCC : NVME_EFFECT_CSUPP;
}

/* ------------------------------------------------------------------------------------- deciding */

uint16_t io_range_check(struct cmd *cmd, uint64_t slba, uint64_t nlb)
{
	uint64_t blocks = ns_blocks(cmd->ns);

	if (nlb <= blocks && slba <= blocks - nlb)
		return 0;
	cmd->error_lba = MAX(slba, blocks);
	return NVME_SC_LBA_OUT_OF_RANGE | NVME_STATUS_DNR;
}

uint16_t io_fault(struct cmd *cmd, uint64_t lba, uint16_t status)
{
	cmd->error_lba = lba;
	return status;
}

uint16_t io_range_parse(struct cmd *cmd, bool moved)
{
	const struct nvme_sqe *sqe = &cmd->sqe;
	uint32_t cdw12 = le32_get(sqe->cdw12);
	uint64_t slba = io_lba(sqe->cdw10, sqe->cdw11);
	uint32_t nlb = (cdw12 & NVME_RW_NLB_MASK) + 1;
	uint16_t status;

	/* No namespace has protection information, so there is none to insert or to check. */
	if (cdw12 & NVME_RW_PRINFO_MASK)
		return cmd_fault_bits(cmd, offsetof(struct nvme_sqe, cdw12), NVME_RW_PRINFO_MASK,
				      NVME_SC_INVALID_PROTECTION | NVME_STATUS_DNR);
	if (moved && (uint64_t)nlb << cmd->ns->block_shift > cmd->queue->ctrl->max_transfer)
		return cmd_fault(cmd, CMD_PLACE(cdw12, 0), NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	status = io_range_check(cmd, slba, nlb);
	/* Where the first block is there, it is their number that is at fault. */
	if (status)
		return cmd_fault(cmd,
				 cmd->error_lba == slba ? CMD_PLACE(cdw10, 0) : CMD_PLACE(cdw12, 0),
				 status);
	cmd->lba_begin = slba;
	cmd->lba_end = slba + nlb;
	return 0;
}

static void count(struct cmd *cmd, struct ns_stats *stats, uint16_t status)
{
	uint16_t code = status & NVME_STATUS_CODE_MASK;

	if (likely(!code)) {
		stats_done(&stats->io, (enum stats_kind)cmd->kind, cmd->data_len);
		return;
	}
	stats_error(&stats->io, status);
	if (code >> 8 == NVME_SC_WRITE_FAULT >> 8 && code != NVME_SC_COMPARE_FAILURE &&
	    code != NVME_SC_ACCESS_DENIED)
		counter_add(&stats->media_errors, 1);
}

struct ns_stats *io_stats(const struct cmd *cmd)
{
	return &cmd->ns->stats[cmd->queue->worker->index];
}

static void io_ended(struct cmd *cmd, uint16_t status)
{
	if (cmd->modifying)
		io_fence_leave(cmd);
	if (unlikely(cmd->sqe.flags & NVME_FUSE_MASK))
		io_fused_ended(cmd);
	count(cmd, io_stats(cmd), status);
}

static uint16_t ns_parse(struct cmd *cmd, const struct io_command *command)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;
	uint32_t nsid = le32_get(cmd->sqe.nsid);

	if (nsid == NVME_NSID_ALL && command->all_namespaces)
		return 0;
	cmd->ns = nsid ? ctrl_ns(ctrl, nsid) : NULL;
	if (!cmd->ns)
		return cmd_fault(cmd, CMD_PLACE(nsid, 0), NVME_SC_INVALID_NSID | NVME_STATUS_DNR);
	cmd->ended = io_ended;
	/* Out of reach from here, maybe not on another path: without DNR the host tries that. */
	if (__atomic_load_n(&cmd->ns->gone, __ATOMIC_RELAXED))
		return NVME_SC_INTERNAL_PATH_ERROR;
	if (command->writes && ns_is_read_only(cmd->ns))
		return cmd_fault(cmd, CMD_PLACE(nsid, 0),
				 NVME_SC_NS_WRITE_PROTECTED | NVME_STATUS_DNR);
	return 0;
}

static uint16_t command_parse(struct cmd *cmd)
{
	const struct io_command *command = command_find(cmd->sqe.opcode);
	uint8_t fuse = cmd->sqe.flags & NVME_FUSE_MASK;
	uint16_t status;

	/* It is being shut down, or its keep alive is overdue: another path, or later. */
	if (!ctrl_is_live(cmd->queue->ctrl))
		return NVME_SC_CTRL_PATH_ERROR;
	if (!command)
		return cmd_fault(cmd, CMD_PLACE(opcode, 0),
				 NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR);
	if (fuse && fuse != command->fuse)
		return cmd_fault_bits(cmd, offsetof(struct nvme_sqe, flags), NVME_FUSE_MASK,
				      NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	cmd->kind = command->kind;
	status = ns_parse(cmd, command);
	return status ? status : command->parse(cmd);
}

uint16_t io_parse(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;
	uint16_t status;

	cmd->modifying = false;
	cmd->in_flight = false;
	cmd->lingers = false;
	cmd->fused_ready = false;
	cmd->doom = 0;
	status = command_parse(cmd);
	if (unlikely(cmd->sqe.flags & NVME_FUSE_MASK || queue->fused_first || queue->fused_failed))
		return io_fused_parse(cmd, status);
	return status;
}

/* ---------------------------------------------------------------------------------- the backend */

void io_submit(struct cmd *cmd, enum backend_opcode opcode, uint64_t offset, uint64_t len,
	       const struct spanv *data, unsigned flags)
{
	struct queue *queue = cmd->queue;
	struct loop *loop = &queue->worker->loop;

	cmd->io.opcode = opcode;
	cmd->io.flags = flags;
	cmd->io.offset = offset;
	cmd->io.len = len;
	cmd->io.data = data;
	cmd->submit_ns = loop->now_ns;
	cmd->in_flight = true;
	TRACE_CMD(io_submit, cmd, queue, 4@%[op] 8@%[offset] 8@%[bytes],
		  TRACE_AT(op, cmd->io.opcode), TRACE_AT(offset, cmd->io.offset),
		  TRACE_AT(bytes, cmd->io.len));
	backend_submit(cmd->ns->backend, loop, &cmd->io);
}

/*
 * The status for @error of the I/O of @cmd, whose first block is what is known of the place. Out of line,
 * so that errors take no registers from what succeeds.
 */
static __attribute__((noinline)) uint16_t io_error_status(struct cmd *cmd, int error, uint8_t opcode)
{
	struct ns *ns = cmd->ns;

	if (error == -ECANCELED)
		return NVME_SC_ABORT_REQUESTED;
	if (cmd->io.opcode != BACKEND_FLUSH)
		cmd->error_lba = cmd->io.offset >> ns->block_shift;
	ns_refresh(ns);
	/* A device that went away may have said anything. */
	if (__atomic_load_n(&ns->gone, __ATOMIC_RELAXED))
		return NVME_SC_INTERNAL_PATH_ERROR;
	return io_status_from_errno(error, opcode);
}

uint16_t io_done_status(struct cmd *cmd, int error, uint8_t opcode)
{
	const struct queue *queue = cmd->queue;
	uint16_t status = NVME_SC_SUCCESS;

	cmd->in_flight = false;
	counter_add(&io_stats(cmd)->busy_ns, queue->worker->loop.now_ns - cmd->submit_ns);
	if (unlikely(error))
		status = io_error_status(cmd, error, opcode);
	TRACE_CMD(io_done, cmd, queue, 4@%[op] -4@%[error] 2@%[status],
		  TRACE_AT(op, cmd->io.opcode), TRACE_IN(error, error), TRACE_IN(status, status));
	return status;
}

/* ------------------------------------------------------------------------------- Read and Write */

bool io_may_map(struct cmd *cmd)
{
	if (cmd->sqe.opcode != NVME_IO_WRITE)
		return true;
	/* Its data may come at any time from now on, or never: no pair is to wait for that. */
	if (__atomic_load_n(&cmd->ns->fused_seen, __ATOMIC_RELAXED))
		return false;
	/* Others may be at these blocks: it has to wait outside. */
	if (__atomic_load_n(&cmd->ns->fenced, __ATOMIC_RELAXED) || cmd->queue->suspect)
		return false;
	cmd->modifying = true;
	return true;
}

void io_unmap(struct cmd *cmd)
{
	cmd->modifying = false;
}

bool io_may_unmap(const struct cmd *cmd)
{
	/* Who closes a fence counts those that are mapped, and waits until they have ended. */
	return !__atomic_load_n(&cmd->ns->fenced, __ATOMIC_RELAXED);
}

static void rw_done(struct backend_io *io, int error)
{
	struct cmd *cmd = container_of(io, struct cmd, io);

	cmd_complete(cmd, io_done_status(cmd, error, cmd->sqe.opcode));
}

static void rw_execute(struct cmd *cmd)
{
	bool write = cmd->sqe.opcode == NVME_IO_WRITE;
	bool fua = le32_get(cmd->sqe.cdw12) & NVME_RW_FUA;

	/* The data is in the backend's own memory: fetched to there, or to be sent from there. */
	if (cmd->memory == CMD_MEMORY_MAPPED) {
		cmd_complete(cmd, NVME_SC_SUCCESS);
		return;
	}
	if (write && !io_fence_enter(cmd))
		return;
	cmd->io.done = rw_done;
	io_submit(cmd, write ? BACKEND_WRITE : BACKEND_READ, cmd->lba_begin << cmd->ns->block_shift,
		  cmd->data_len, &cmd->data, write && fua ? BACKEND_IO_FUA : 0);
}

uint16_t io_rw_parse(struct cmd *cmd)
{
	bool write = cmd->sqe.opcode == NVME_IO_WRITE;
	uint16_t status = io_range_parse(cmd, true);

	if (status)
		return status;
	return cmd_need(cmd, write ? CMD_DATA_FROM_HOST : CMD_DATA_TO_HOST, (uint32_t)io_len(cmd),
			rw_execute);
}

/* --------------------------------------------------------------------------- Abort, and lost hosts */

void io_linger(struct cmd *cmd)
{
	if (cmd->queue->qid && cmd->modifying && !cmd->lingers)
		io_fence_linger(cmd);
}

bool io_abort(struct cmd *cmd)
{
	assert(cmd->state == CMD_EXECUTING);
	cmd->abort_requested = true;
	if (cmd->sqe.flags & NVME_FUSE_MASK)
		return io_fused_abort(cmd);
	if (cmd->ns && io_fence_give_up(cmd)) {
		cmd_complete(cmd, NVME_SC_ABORT_REQUESTED);
		return true;
	}
	if (cmd->in_flight)
		backend_cancel(cmd->io.backend, cmd->io.loop, &cmd->io);
	return false;
}
