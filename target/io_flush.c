/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/counter.h"
#include "target/ctrl.h"
#include "target/io_step.h"

/*
 * Flush (Base, I/O commands), of one namespace or, with the broadcast NSID, of all that the host
 * sees, one after the other. The first error is the command's, but the others are flushed too.
 */

static bool flush_one_step(struct cmd *cmd)
{
	/* Without a cache that could lose anything there is nothing to do. */
	if (!cmd->ns->backend->limits.volatile_cache || cmd->io.opcode == BACKEND_FLUSH)
		return io_steps_end(cmd, cmd->step_status);
	return io_step(cmd, BACKEND_FLUSH, 0, 0, 0);
}

/* cmd->progress is the last NSID that was looked at. */
static bool flush_all_step(struct cmd *cmd)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;

	if (cmd->step_status) {
		stats_error(&io_stats(cmd)->io, cmd->step_status);
		if (!cmd->doom)
			cmd->error_nsid = cmd->ns->nsid;
		cmd->doom = cmd->doom ? cmd->doom : cmd->step_status;
	}
	while (++cmd->progress <= ctrl->subsys->max_nsid) {
		cmd->ns = ctrl_ns(ctrl, (uint32_t)cmd->progress);
		if (!cmd->ns || !cmd->ns->backend->limits.volatile_cache)
			continue;
		stats_done(&io_stats(cmd)->io, STATS_FLUSH, 0);
		return io_step(cmd, BACKEND_FLUSH, 0, 0, 0);
	}
	cmd->ns = NULL; /* it was about all of them */
	return io_steps_end(cmd, cmd->doom);
}

static void flush_execute(struct cmd *cmd)
{
	io_steps_start(cmd, cmd->ns ? flush_one_step : flush_all_step);
}

uint16_t io_flush_parse(struct cmd *cmd)
{
	return cmd_need(cmd, CMD_DATA_NONE, 0, flush_execute);
}
