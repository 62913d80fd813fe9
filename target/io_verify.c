/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/io_step.h"

/* Verify (NVM command set): can the blocks be read? What is read goes nowhere. */

static bool verify_step(struct cmd *cmd)
{
	uint64_t left = io_len(cmd) - cmd->progress, len = io_step_len(cmd, left);
	uint64_t offset = (cmd->lba_begin << cmd->ns->block_shift) + cmd->progress;

	if (cmd->step_status || !left)
		return io_steps_end(cmd, cmd->step_status);
	cmd->progress += len;
	return io_step(cmd, BACKEND_READ, offset, len, 0);
}

static void verify_execute(struct cmd *cmd)
{
	io_steps_start(cmd, verify_step);
}

uint16_t io_verify_parse(struct cmd *cmd)
{
	uint16_t status = io_range_parse(cmd, false);

	if (status)
		return status;
	cmd_need_scratch(cmd, io_scratch_len(io_len(cmd)));
	return cmd_need(cmd, CMD_DATA_NONE, 0, verify_execute);
}
