/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/io.h"
#include "target/io_fence.h"
#include "target/io_step.h"

/*
 * Copy (NVM command set) with descriptor format 0: the source ranges one after the other, each in
 * pieces through the scratch buffer. What one command may ask for is bounded so that it ends well
 * before a host's timeout on a slow disk.
 */
enum {
	COPY_RANGE_BYTES = 16 << 20,
	COPY_BYTES = 64 << 20,
	COPY_FORMAT_MASK = 0xf << 8,
	COPY_PRINFOR_MASK = 0xf << 12, /* protection: of the source */
};

struct io_copy_limits io_copy_limits(const struct ns *ns)
{
	return (struct io_copy_limits){
		.mssrl = (uint16_t)MIN(COPY_RANGE_BYTES >> ns->block_shift, UINT16_MAX),
		.mcl = (uint32_t)COPY_BYTES >> ns->block_shift,
		.msrc = MAX_COPY_RANGES - 1,
	};
}

static unsigned copy_ranges(const struct cmd *cmd)
{
	return (le32_get(cmd->sqe.cdw12) & 0xff) + 1;
}

struct source {
	uint64_t slba;
	uint32_t nlb;
};

static struct source copy_source(const struct cmd *cmd, unsigned i)
{
	struct nvme_copy_range range;

	spanv_read(&cmd->data, i * (uint32_t)sizeof(range), &range, sizeof(range));
	return (struct source){ le64_get(range.slba), le16_get(range.nlb) + 1u };
}

/*
 * cmd->progress counts bytes that are copied. Dword 0 of the completion names the range that is not
 * copied completely, should the command fail.
 */
static bool copy_step(struct cmd *cmd)
{
	unsigned shift = cmd->ns->block_shift, i = 0;
	uint64_t skip = cmd->progress, len;
	struct source source;

	if (cmd->step_status)
		return io_steps_end(cmd, cmd->step_status);
	if (cmd->io.opcode == BACKEND_READ) {
		len = cmd->io.len;
		cmd->progress += len;
		return io_step(cmd, BACKEND_WRITE, (cmd->lba_begin << shift) + skip, len, 0);
	}
	if (cmd->progress == io_len(cmd)) {
		cmd->cqe.dw0 = le32(0);
		return io_steps_end_written(cmd);
	}
	for (source = copy_source(cmd, i); skip >= (uint64_t)source.nlb << shift;
	     source = copy_source(cmd, ++i))
		skip -= (uint64_t)source.nlb << shift;
	cmd->cqe.dw0 = le32(i);
	len = io_step_len(cmd, ((uint64_t)source.nlb << shift) - skip);
	return io_step(cmd, BACKEND_READ, (source.slba << shift) + skip, len, 0);
}

/* Checks everything before anything is copied; lba_end then tells the whole length. */
static uint16_t copy_check(struct cmd *cmd)
{
	struct io_copy_limits limits = io_copy_limits(cmd->ns);
	uint64_t slba = io_lba(cmd->sqe.cdw10, cmd->sqe.cdw11), total = 0;
	uint16_t status = 0;

	for (unsigned i = 0; i < copy_ranges(cmd) && !status; i++) {
		struct source source = copy_source(cmd, i);

		total += source.nlb;
		if (source.nlb > limits.mssrl || total > limits.mcl)
			return NVME_SC_COMMAND_SIZE_LIMIT | NVME_STATUS_DNR;
		status = io_range_check(cmd, source.slba, source.nlb);
	}
	if (status)
		return status;
	status = io_range_check(cmd, slba, total);
	if (status)
		return cmd_fault(cmd, CMD_PLACE(cdw10, 0), status);
	cmd->lba_begin = slba;
	cmd->lba_end = slba + total;
	/* What such a copy gives would depend on the order of its steps. */
	for (unsigned i = 0; i < copy_ranges(cmd); i++) {
		struct source source = copy_source(cmd, i);

		if (source.slba < cmd->lba_end && cmd->lba_begin < source.slba + source.nlb)
			return io_fault(cmd, MAX(source.slba, cmd->lba_begin),
					NVME_SC_OVERLAPPING_RANGE | NVME_STATUS_DNR);
	}
	return 0;
}

static void copy_execute(struct cmd *cmd)
{
	uint16_t status = cmd->modifying ? 0 : copy_check(cmd);

	if (status)
		cmd_complete(cmd, status);
	else if (io_fence_enter(cmd))
		io_steps_start(cmd, copy_step);
}

uint16_t io_copy_parse(struct cmd *cmd)
{
	uint32_t cdw12 = le32_get(cmd->sqe.cdw12);

	if (cdw12 & COPY_FORMAT_MASK)
		return cmd_fault_bits(cmd, offsetof(struct nvme_sqe, cdw12), COPY_FORMAT_MASK,
				      NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	if (cdw12 & (NVME_RW_PRINFO_MASK | COPY_PRINFOR_MASK))
		return cmd_fault_bits(cmd, offsetof(struct nvme_sqe, cdw12),
				      cdw12 & COPY_PRINFOR_MASK ? COPY_PRINFOR_MASK :
								  NVME_RW_PRINFO_MASK,
				      NVME_SC_INVALID_PROTECTION | NVME_STATUS_DNR);
	if (copy_ranges(cmd) > MAX_COPY_RANGES)
		return cmd_fault(cmd, CMD_PLACE(cdw12, 0),
				 NVME_SC_COMMAND_SIZE_LIMIT | NVME_STATUS_DNR);
	cmd_need_scratch(cmd, IO_SCRATCH_BYTES);
	return cmd_need(cmd, CMD_DATA_FROM_HOST,
			copy_ranges(cmd) * (uint32_t)sizeof(struct nvme_copy_range), copy_execute);
}
