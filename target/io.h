/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O commands of the NVM command set. */
#ifndef SLUICE_TARGET_IO_H
#define SLUICE_TARGET_IO_H

#include "target/cmd.h"
#include "target/ns.h"
#include "target/status.h"

enum {
	/*
	 * ACWU, zero based: what a fused Compare and Write does atomically in every respect. Longer
	 * pairs are a unit with regard to all other writes, but a read or a power failure may come
	 * between their blocks.
	 */
	IO_ACWU = 0,
};

/* Limits of Copy on a namespace: MSSRL and MCL in blocks, MSRC zero based. */
struct io_copy_limits {
	uint16_t mssrl;
	uint32_t mcl;
	uint8_t msrc;
};

struct io_copy_limits io_copy_limits(const struct ns *ns);

/*
 * Effects of I/O command @opcode as the commands supported and effects log has them; 0: there is no
 * such command.
 */
uint32_t io_effects(uint8_t opcode);

/* Looks at cmd->sqe on an I/O queue, decides and returns 0 or the status to complete with. */
uint16_t io_parse(struct cmd *cmd);

/*
 * For a command that could move its data straight from or to the backend's memory: may it, now?
 * True for a write takes its blocks, until io_unmap() or its end; never where fused commands are used.
 */
bool io_may_map(struct cmd *cmd);
/* May it have a buffer after all, before any data of it moved? */
bool io_may_unmap(const struct cmd *cmd);
/* It was not mapped after all. */
void io_unmap(struct cmd *cmd);

/*
 * Memory of a second half of a fused pair, which the first half has got: 0 with span0 and scratch
 * set, or -EAGAIN: the first half waits for memory itself.
 */
int io_fused_memory(struct cmd *cmd);

/* No command comes by @queue any more: a first half of a fused pair that waits for its second is aborted. */
void io_fused_alone(struct queue *queue);

/*
 * The host or its connection is gone, or it asked for an abort of @cmd, which executes: ends it at
 * once where it waits (true, it is completed), else as soon as its backend and its steps allow
 * (false).
 */
bool io_abort(struct cmd *cmd);

/*
 * The host of @cmd may be using another path by now: if it modifies blocks, nothing else does with the
 * same ones until it has ended.
 */
void io_linger(struct cmd *cmd);

#endif
