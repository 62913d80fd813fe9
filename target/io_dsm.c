/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/io_fence.h"
#include "target/io_step.h"

/*
 * Dataset Management (NVM command set). Deallocate is passed to the backend range by range; all
 * other attributes are hints that change nothing here, and are answered with success.
 */

static unsigned dsm_ranges(const struct cmd *cmd)
{
	return (le32_get(cmd->sqe.cdw10) & 0xff) + 1;
}

static struct nvme_dsm_range dsm_range(const struct cmd *cmd, uint64_t i)
{
	struct nvme_dsm_range range;

	spanv_read(&cmd->data, (uint32_t)(i * sizeof(range)), &range, sizeof(range));
	return range;
}

/* cmd->progress is the next range. */
static bool dsm_step(struct cmd *cmd)
{
	/* Deallocation is advice: what the backend cannot do here was not promised. */
	if ((cmd->step_status & NVME_STATUS_CODE_MASK) == NVME_SC_INVALID_OPCODE)
		return io_steps_end(cmd, NVME_SC_SUCCESS);
	if (cmd->step_status)
		return io_steps_end(cmd, cmd->step_status);
	while (cmd->progress < dsm_ranges(cmd)) {
		struct nvme_dsm_range range = dsm_range(cmd, cmd->progress++);
		uint64_t nlb = le32_get(range.nlb);

		if (nlb)
			return io_step(cmd, BACKEND_DISCARD,
				       le64_get(range.slba) << cmd->ns->block_shift,
				       nlb << cmd->ns->block_shift, 0);
	}
	return io_steps_end(cmd, NVME_SC_SUCCESS);
}

/* Checks all ranges before the first is touched; lba_begin and lba_end then enclose them. */
static uint16_t dsm_check(struct cmd *cmd)
{
	cmd->lba_begin = UINT64_MAX;
	cmd->lba_end = 0;
	for (unsigned i = 0; i < dsm_ranges(cmd); i++) {
		struct nvme_dsm_range range = dsm_range(cmd, i);
		uint64_t slba = le64_get(range.slba), nlb = le32_get(range.nlb);
		uint16_t status = io_range_check(cmd, slba, nlb);

		if (status)
			return status;
		if (nlb) {
			cmd->lba_begin = MIN(cmd->lba_begin, slba);
			cmd->lba_end = MAX(cmd->lba_end, slba + nlb);
		}
	}
	return 0;
}

static void dsm_execute(struct cmd *cmd)
{
	bool deallocate = le32_get(cmd->sqe.cdw11) & NVME_DSM_DEALLOCATE;
	uint16_t status = cmd->modifying ? 0 : dsm_check(cmd);

	if (status || !deallocate || !cmd->ns->backend->limits.discard)
		cmd_complete(cmd, status);
	else if (io_fence_enter(cmd))
		io_steps_start(cmd, dsm_step);
}

uint16_t io_dsm_parse(struct cmd *cmd)
{
	return cmd_need(cmd, CMD_DATA_FROM_HOST,
			dsm_ranges(cmd) * (uint32_t)sizeof(struct nvme_dsm_range), dsm_execute);
}
