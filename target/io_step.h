/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of I/O commands share; nobody else includes it. */
#ifndef SLUICE_TARGET_IO_STEP_H
#define SLUICE_TARGET_IO_STEP_H

#include "target/cmd.h"
#include "target/ns.h"

/* Buffer of commands that read or write more than they move to or from the host. */
enum { IO_SCRATCH_BYTES = 128 * 1024 };

/* Parsers, one for each command. Namespace and FUSE are in order. */
uint16_t io_flush_parse(struct cmd *cmd);
uint16_t io_rw_parse(struct cmd *cmd);
uint16_t io_compare_parse(struct cmd *cmd);
uint16_t io_write_zeroes_parse(struct cmd *cmd);
uint16_t io_dsm_parse(struct cmd *cmd);
uint16_t io_verify_parse(struct cmd *cmd);
uint16_t io_copy_parse(struct cmd *cmd);

/*
 * SLBA and NLB of the command: checks them, the protection fields and, for commands that move the
 * blocks (@moved), MDTS. Sets lba_begin and lba_end. 0 or a status.
 */
uint16_t io_range_parse(struct cmd *cmd, bool moved);

/*
 * 0, or LBA Out of Range when @nlb blocks from @slba on are not all in the command's namespace;
 * cmd->error_lba is then the first that is not.
 */
uint16_t io_range_check(struct cmd *cmd, uint64_t slba, uint64_t nlb);

/* Notes that @lba is the first block at fault and returns @status, for the error log. */
uint16_t io_fault(struct cmd *cmd, uint64_t lba, uint16_t status);

static inline uint64_t io_lba(le32_t low, le32_t high)
{
	return le32_get(low) | (uint64_t)le32_get(high) << 32;
}

/* Bytes from lba_begin to lba_end. */
static inline uint64_t io_len(const struct cmd *cmd)
{
	return (cmd->lba_end - cmd->lba_begin) << cmd->ns->block_shift;
}

/* The scratch buffer of a command that has @len bytes to go through: a whole number of blocks. */
static inline uint32_t io_scratch_len(uint64_t len)
{
	return (uint32_t)MIN(len, (uint64_t)IO_SCRATCH_BYTES);
}

/* The counters of the command's namespace on its worker. */
struct ns_stats *io_stats(const struct cmd *cmd);

/* Submits an I/O to the backend of cmd->ns; io.done is set. */
void io_submit(struct cmd *cmd, enum backend_opcode opcode, uint64_t offset, uint64_t len,
	       const struct spanv *data, unsigned flags);

/*
 * To be called when that I/O is done: counts its time, looks after the namespace on an error, notes its
 * first block for the error log, and returns the status for it; @opcode tells whether it read or wrote.
 */
uint16_t io_done_status(struct cmd *cmd, int error, uint8_t opcode);

/* ------------------------------------------------------------------------------------ io_step.c */

/*
 * Runs a command that goes in steps. Each call of @step submits one I/O by io_step() and returns
 * true, or completes the command by io_steps_end() and returns false. cmd->step_status
 * is that of the I/O before, cmd->io still describes it; before the first its opcode is
 * BACKEND_OPCODES.
 */
void io_steps_start(struct cmd *cmd, bool (*step)(struct cmd *cmd));
bool io_step(struct cmd *cmd, enum backend_opcode opcode, uint64_t offset, uint64_t len,
	     unsigned flags);
bool io_steps_end(struct cmd *cmd, uint16_t status);
/* All blocks are written: makes them durable when the command asks for it (FUA), then completes. */
bool io_steps_end_written(struct cmd *cmd);

/* The part of @left bytes that one step takes through the scratch buffer. */
static inline uint64_t io_step_len(const struct cmd *cmd, uint64_t left)
{
	return MIN(left, (uint64_t)cmd->scratch.len);
}

/* --------------------------------------------------------------------------------- io_compare.c */

/*
 * After a command was decided on with @status: pairs fused commands, and ends a first half whose
 * second did not follow. Returns the status to go on with.
 */
uint16_t io_fused_parse(struct cmd *cmd, uint16_t status);
/* One half ended by itself: takes the other one along. */
void io_fused_ended(struct cmd *cmd);
/* io_abort() for a half that executes. */
bool io_fused_abort(struct cmd *cmd);

#endif
