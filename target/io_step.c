/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/io_step.h"

#include "target/queue.h"
#include "target/worker.h"

enum step_state { STEP_SUBMITTING, STEP_IN_FLIGHT, STEP_DONE };

/* Steps in a row of a backend that answers at once, before others get their turn. */
enum { STEPS_IN_A_ROW = 16 };

static void steps_run(struct cmd *cmd)
{
	for (unsigned n = 0; n < STEPS_IN_A_ROW; n++) {
		if (cmd->abort_requested) {
			cmd_complete(cmd, NVME_SC_ABORT_REQUESTED);
			return;
		}
		cmd->step_state = STEP_SUBMITTING;
		if (!cmd->step(cmd))
			return;
		if (cmd->step_state == STEP_SUBMITTING) {
			cmd->step_state = STEP_IN_FLIGHT;
			return;
		}
	}
	loop_post(&cmd->queue->worker->loop, &cmd->msg);
}

static void steps_resume(struct msg *msg)
{
	steps_run(container_of(msg, struct cmd, msg));
}

static void step_done(struct backend_io *io, int error)
{
	struct cmd *cmd = container_of(io, struct cmd, io);
	bool reads = io->opcode == BACKEND_READ;

	cmd->step_status = io_done_status(cmd, error, reads ? NVME_IO_READ : NVME_IO_WRITE);
	/* A backend that answers from its submit must not make the stack grow with every step. */
	if (cmd->step_state == STEP_SUBMITTING)
		cmd->step_state = STEP_DONE;
	else
		steps_run(cmd);
}

void io_steps_start(struct cmd *cmd, bool (*step)(struct cmd *cmd))
{
	cmd->step = step;
	cmd->step_status = 0;
	cmd->progress = 0;
	cmd->msg.deliver = steps_resume;
	cmd->io.opcode = BACKEND_OPCODES;
	cmd->io.done = step_done;
	steps_run(cmd);
}

bool io_step(struct cmd *cmd, enum backend_opcode opcode, uint64_t offset, uint64_t len,
	     unsigned flags)
{
	bool moves = opcode == BACKEND_READ || opcode == BACKEND_WRITE;

	io_submit(cmd, opcode, offset, len, moves ? &cmd->scratch_v : NULL, flags);
	return true;
}

bool io_steps_end(struct cmd *cmd, uint16_t status)
{
	cmd_complete(cmd, status);
	return false;
}

bool io_steps_end_written(struct cmd *cmd)
{
	bool fua = le32_get(cmd->sqe.cdw12) & NVME_RW_FUA;

	/* One flush for all, as not every way to write zeroes has a flag for it. */
	if (fua && cmd->ns->backend->limits.volatile_cache && cmd->io.opcode != BACKEND_FLUSH)
		return io_step(cmd, BACKEND_FLUSH, 0, 0, 0);
	return io_steps_end(cmd, NVME_SC_SUCCESS);
}
