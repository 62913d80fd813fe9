/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "dmabuf/pool.h"
#include "target/ctrl.h"
#include "target/io.h"
#include "target/io_fence.h"
#include "target/io_step.h"
#include "target/queue.h"
#include "target/worker.h"

/* ------------------------------------------------------------------------------------- Compare */

/* Compares what @cmd brought with what its blocks hold. */
static uint16_t compare(struct cmd *cmd, const struct spanv *stored)
{
	int64_t differs = spanv_compare(&cmd->data, stored, cmd->data_len);

	if (differs < 0)
		return NVME_SC_SUCCESS;
	return io_fault(cmd, cmd->lba_begin + ((uint64_t)differs >> cmd->ns->block_shift),
			NVME_SC_COMPARE_FAILURE);
}

static void compare_done(struct backend_io *io, int error)
{
	struct cmd *cmd = container_of(io, struct cmd, io);
	uint16_t status = io_done_status(cmd, error, NVME_IO_COMPARE);

	cmd_complete(cmd, status ? status : compare(cmd, &cmd->scratch_v));
}

static void compare_execute(struct cmd *cmd)
{
	cmd->io.done = compare_done;
	io_submit(cmd, BACKEND_READ, cmd->lba_begin << cmd->ns->block_shift, cmd->data_len,
		  &cmd->scratch_v, 0);
}

uint16_t io_compare_parse(struct cmd *cmd)
{
	uint16_t status = io_range_parse(cmd, true);

	if (status)
		return status;
	cmd_need_scratch(cmd, (uint32_t)io_len(cmd));
	return cmd_need(cmd, CMD_DATA_FROM_HOST, (uint32_t)io_len(cmd), compare_execute);
}

/* --------------------------------------------------------------------- fused Compare and Write */

/*
 * The halves follow each other directly on their queue, as the specification has it (Base, fused
 * operations). When anything else comes between, the first half is aborted for the missing second,
 * which is then aborted too: a host that interleaves commands learns of it at once and never gets a
 * compare without its write. An error of one half, wherever it happens, aborts the other.
 *
 * The first half gets memory for both: its own data; and as its scratch a buffer to read the blocks
 * into, with the second half's data behind it. The second half takes that scratch over as soon as
 * it needs it. So a pair never waits for memory while it holds some.
 *
 * A first half that stays alone for FUSED_PATIENCE_MS is aborted: what it holds would be lost to others.
 *
 * Each half fetches its data by itself; the one that is ready last closes the fence around the
 * blocks. From then on the Write stands for the pair: it holds the fence and does the I/O.
 */

static bool is_second(const struct cmd *cmd)
{
	return (cmd->sqe.flags & NVME_FUSE_MASK) == NVME_FUSE_SECOND;
}

/* Where the Write's data begins in the scratch: aligned for any backend, as the scratch is. */
static uint32_t fused_data_offset(uint32_t len)
{
	return (uint32_t)align_up(len, 1u << POOL_MIN_SHIFT);
}

int io_fused_memory(struct cmd *cmd)
{
	struct cmd *first = cmd->fused;

	if (!first->scratch.area)
		return -EAGAIN;
	cmd->scratch = first->scratch;
	first->scratch.area = NULL;
	cmd->span0 = cmd->scratch;
	cmd->span0.offset += fused_data_offset(cmd->data_len);
	cmd->span0.len = cmd->data_len;
	cmd->scratch.len = cmd->data_len;
	return 0;
}

/* Ends the pair whose Write is @write and which holds the fence. */
static void fused_end(struct cmd *write, uint16_t compare_status, uint16_t write_status)
{
	struct cmd *first = write->fused;

	write->fused = NULL;
	first->fused = NULL;
	io_fence_open(write);
	cmd_complete(first, compare_status);
	cmd_complete(write, write_status);
}

static void fused_write_done(struct backend_io *io, int error)
{
	struct cmd *write = container_of(io, struct cmd, io);
	uint16_t status = io_done_status(write, error, NVME_IO_WRITE);

	fused_end(write, status ? NVME_SC_ABORTED_FAILED_FUSED : NVME_SC_SUCCESS, status);
}

static bool fused_aborted(const struct cmd *write)
{
	return write->abort_requested || write->fused->abort_requested;
}

static void fused_read_done(struct backend_io *io, int error)
{
	struct cmd *write = container_of(io, struct cmd, io);
	struct cmd *first = write->fused;
	uint16_t status = io_done_status(write, error, NVME_IO_COMPARE);
	bool fua = le32_get(write->sqe.cdw12) & NVME_RW_FUA;

	if (status) { /* it is the Compare's read */
		first->error_lba = write->error_lba;
		write->error_lba = 0;
	} else {
		status = compare(first, &write->scratch_v);
	}
	if (!status && fused_aborted(write))
		status = NVME_SC_ABORT_REQUESTED;
	if (status) {
		fused_end(write, status, NVME_SC_ABORTED_FAILED_FUSED);
		return;
	}
	write->io.done = fused_write_done;
	io_submit(write, BACKEND_WRITE, io->offset, io->len, &write->data,
		  fua ? BACKEND_IO_FUA : 0);
}

/* The fence is closed. */
static void fused_run(struct cmd *write)
{
	if (fused_aborted(write)) {
		fused_end(write, NVME_SC_ABORT_REQUESTED, NVME_SC_ABORTED_FAILED_FUSED);
		return;
	}
	/* Its host may have done the same by another path by now (io_fence.h). */
	if (write->queue->suspect) {
		fused_end(write, cmd_try_later(write->queue), NVME_SC_ABORTED_FAILED_FUSED);
		return;
	}
	write->io.done = fused_read_done;
	io_submit(write, BACKEND_READ, write->lba_begin << write->ns->block_shift, write->data_len,
		  &write->scratch_v, 0);
}

/* Ends a half that does not run yet: now, or when the transport gives it back. */
static void fused_drop(struct cmd *cmd, uint16_t status)
{
	if (cmd->state == CMD_FETCHING) {
		cmd->doom = status;
		return;
	}
	assert(cmd->state == CMD_PARSED || cmd->fused_ready);
	list_del(&cmd->wait_link);
	cmd_complete(cmd, status);
}

/* The first half that waits for its second on @queue, which does so no more, or NULL. */
static struct cmd *first_take(struct queue *queue)
{
	struct cmd *first = queue->fused_first;

	queue->fused_first = NULL;
	if (first)
		loop_timer_stop(&queue->worker->loop, &first->io.timer);
	return first;
}

void io_fused_alone(struct queue *queue)
{
	struct cmd *first = first_take(queue);

	if (!first)
		return;
	queue->fused_failed = true;
	fused_drop(first, NVME_SC_ABORTED_MISSING_FUSED);
}

static void out_of_patience(struct timer *timer)
{
	struct queue *queue = container_of(timer, struct cmd, io.timer)->queue;

	log_peer(queue_about(queue),
		 "%s: host %s sent no Write within %u seconds of the Compare that is fused with it; "
		 "aborting that",
		 queue->peer, queue->ctrl->hostnqn, FUSED_PATIENCE_MS / 1000);
	io_fused_alone(queue);
}

/*
 * The first half holds memory now, and has its data: the second was sent directly behind that, or it was
 * not. Without memory for the timer, the next command or the end of the connection has to do.
 */
static void patience_begin(struct cmd *first)
{
	first->io.timer.expired = out_of_patience;
	loop_timer_start(&first->queue->worker->loop, &first->io.timer,
			 FUSED_PATIENCE_MS * UINT64_C(1000000));
}

/* One half has its data. */
static void fused_execute(struct cmd *cmd)
{
	struct cmd *write;

	if (cmd->doom) {
		cmd_complete(cmd, cmd->doom);
		return;
	}
	cmd->fused_ready = true;
	if (cmd->queue->fused_first == cmd)
		patience_begin(cmd);
	if (!cmd->fused || !cmd->fused->fused_ready)
		return;
	if (cmd->queue->suspect) {
		cmd_complete(cmd, cmd_try_later(cmd->queue));
		return;
	}
	write = is_second(cmd) ? cmd : cmd->fused;
	write->execute = fused_run;
	io_fence_close(write);
}

void io_fused_ended(struct cmd *cmd)
{
	struct cmd *other = cmd->fused;

	if (cmd->queue->fused_first == cmd) {
		first_take(cmd->queue);
		cmd->queue->fused_failed = true;
	} else if (other) {
		cmd->fused = NULL;
		other->fused = NULL;
		fused_drop(other, NVME_SC_ABORTED_FAILED_FUSED);
	}
}

bool io_fused_abort(struct cmd *cmd)
{
	struct cmd *write = is_second(cmd) ? cmd : cmd->fused;

	if (!cmd->fused || !cmd->fused->fused_ready) {
		cmd_complete(cmd, NVME_SC_ABORT_REQUESTED);
		return true;
	}
	if (write->in_flight)
		backend_cancel(write->io.backend, write->io.loop, &write->io);
	return false;
}

static uint16_t fused_parse_first(struct cmd *cmd, uint16_t status)
{
	if (status) {
		cmd->queue->fused_failed = true;
		return status;
	}
	cmd_need_scratch(cmd, fused_data_offset(cmd->data_len) + cmd->data_len);
	cmd->execute = fused_execute;
	cmd->queue->fused_first = cmd;
	io_fence_expect(cmd->ns);
	return 0;
}

static bool is_of_same_blocks(const struct cmd *a, const struct cmd *b)
{
	return a->ns == b->ns && a->lba_begin == b->lba_begin && a->lba_end == b->lba_end;
}

static uint16_t fused_parse_second(struct cmd *cmd, struct cmd *first, uint16_t status)
{
	if (!status && !is_of_same_blocks(cmd, first))
		status = cmd_fault(cmd,
				   cmd->ns != first->ns		      ? CMD_PLACE(nsid, 0) :
				   cmd->lba_begin != first->lba_begin ? CMD_PLACE(cdw10, 0) :
									CMD_PLACE(cdw12, 0),
				   NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	if (status) {
		fused_drop(first, NVME_SC_ABORTED_FAILED_FUSED);
		return status;
	}
	cmd->fused = first;
	first->fused = cmd;
	cmd->execute = fused_execute;
	return 0;
}

uint16_t io_fused_parse(struct cmd *cmd, uint16_t status)
{
	struct queue *queue = cmd->queue;
	struct cmd *first = first_take(queue);
	bool failed = queue->fused_failed;

	queue->fused_failed = false;
	if (is_second(cmd) && first)
		return fused_parse_second(cmd, first, status);
	if (first)
		fused_drop(first, NVME_SC_ABORTED_MISSING_FUSED);
	if ((cmd->sqe.flags & NVME_FUSE_MASK) == NVME_FUSE_FIRST)
		return fused_parse_first(cmd, status);
	if (status || !is_second(cmd))
		return status;
	return failed ? NVME_SC_ABORTED_FAILED_FUSED : NVME_SC_ABORTED_MISSING_FUSED;
}
