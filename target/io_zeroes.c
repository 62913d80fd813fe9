/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/io_fence.h"
#include "target/io_step.h"

/* Write Zeroes (NVM command set): by the backend's own means, or by writing a buffer of zeroes. */

static bool zeroes_native_step(struct cmd *cmd)
{
	bool deallocate = le32_get(cmd->sqe.cdw12) & NVME_RW_DEAC;

	if (cmd->step_status)
		return io_steps_end(cmd, cmd->step_status);
	if (cmd->io.opcode != BACKEND_OPCODES)
		return io_steps_end_written(cmd);
	return io_step(cmd, BACKEND_WRITE_ZEROES, cmd->lba_begin << cmd->ns->block_shift,
		       io_len(cmd), deallocate ? BACKEND_IO_UNMAP : 0);
}

static bool zeroes_write_step(struct cmd *cmd)
{
	uint64_t left = io_len(cmd) - cmd->progress, len = io_step_len(cmd, left);
	uint64_t offset = (cmd->lba_begin << cmd->ns->block_shift) + cmd->progress;

	if (cmd->step_status)
		return io_steps_end(cmd, cmd->step_status);
	if (!left)
		return io_steps_end_written(cmd);
	cmd->progress += len;
	return io_step(cmd, BACKEND_WRITE, offset, len, 0);
}

static void zeroes_execute(struct cmd *cmd)
{
	if (!io_fence_enter(cmd))
		return;
	if (cmd->ns->backend->limits.write_zeroes) {
		io_steps_start(cmd, zeroes_native_step);
	} else {
		spanv_zero(&cmd->scratch_v, 0, cmd->scratch.len);
		io_steps_start(cmd, zeroes_write_step);
	}
}

uint16_t io_write_zeroes_parse(struct cmd *cmd)
{
	uint16_t status = io_range_parse(cmd, false);

	if (status)
		return status;
	if (!cmd->ns->backend->limits.write_zeroes)
		cmd_need_scratch(cmd, io_scratch_len(io_len(cmd)));
	return cmd_need(cmd, CMD_DATA_NONE, 0, zeroes_execute);
}
