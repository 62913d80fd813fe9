/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fence keeps all other commands of a namespace that modify blocks, on whatever worker, away from
 * one range of blocks while a fused Compare and Write works on it. There is one fence at a time in
 * a namespace; others wait for their turn.
 *
 * Commands that modify blocks pay one load for it: ns->fenced. The one who closes the fence pays:
 *
 *   1. It sets ns->fenced and sends a message to every worker. A command that began before its
 *      worker got the message is in flight, and seen; one that begins later sees ns->fenced, since
 *      the message was sent after that was set. Nothing slips through between, and no command
 *      needs an atomic operation of its own.
 *   2. On the message the worker lets go of what waited for the fence before, counts the commands
 *      in flight that overlap the range, and answers when the last of them has ended.
 *   3. With all answers in, nobody else modifies the range, and the holder is called.
 *   4. Opening is the next such turn, for the next holder or for none: so those that waited for
 *      one fence go before the next, and nobody starves.
 *
 * Old writes that linger are the other use. A host that has lost a path sends what it had there again on
 * another, and then goes on writing; what the target still has of the lost path must not land on that.
 * So when a queue is lost, or its host falls silent (queue->suspect), its commands that modify blocks are
 * noted, and others that overlap one of them wait until it has ended. ns->fenced is set for them, too. Of
 * its commands that have not begun to modify blocks none does, until the host is heard of again: they end
 * with a status on which a host that is there after all sends them again.
 *
 * Neither holder nor those that wait need memory or anything else that the other may hold, but for one
 * case. A write whose data the transport puts straight into the backend's memory is in flight from when
 * that data is asked for, and ends when its host has sent all of it. So from the first fused command of
 * a namespace on no write goes that way any more: it has its data in a buffer before it begins. Those
 * that had begun before are waited for, FENCE_PATIENCE_MS long; then the connections of those that still
 * have no data are closed.
 */
#ifndef SLUICE_TARGET_IO_FENCE_H
#define SLUICE_TARGET_IO_FENCE_H

#include <stdbool.h>

#include "target/cmd.h"
#include "target/ns.h"
#include "target/queue.h"

/* Makes the fence of @ns, open; n_workers is set. 0 or -ENOMEM. */
int io_fence_init(struct ns *ns);
/* Frees it; harmless when it was not made. No command is in flight. */
void io_fence_fini(struct ns *ns);

/* A fused command has come: from now on writes to @ns begin when they have their data. */
static inline void io_fence_expect(struct ns *ns)
{
	if (unlikely(!__atomic_load_n(&ns->fused_seen, __ATOMIC_RELAXED)))
		__atomic_store_n(&ns->fused_seen, true, __ATOMIC_RELAXED);
}

/* @cmd, which has entered and is executing, belongs to a host that may use another path by now. */
void io_fence_linger(struct cmd *cmd);

/* @cmd, which executes, waits no more for what io_fence_enter() found. False: it did not wait. */
bool io_fence_give_up(struct cmd *cmd);

/* The slow halves of the two functions below. */
bool io_fence_wait(struct cmd *cmd);
void io_fence_left(struct cmd *cmd);

/*
 * For a command that modifies blocks lba_begin .. lba_end - 1: true when it may go on; it is then
 * counted as in flight until io_fence_leave(). False: it waits on wait_link, and cmd->execute is
 * called once more when it may; or it is completed, as its host is not to be trusted. Entering twice
 * changes nothing.
 */
static inline bool io_fence_enter(struct cmd *cmd)
{
	if (unlikely(__atomic_load_n(&cmd->ns->fenced, __ATOMIC_RELAXED) || cmd->queue->suspect) &&
	    !cmd->modifying)
		return io_fence_wait(cmd);
	cmd->modifying = true;
	return true;
}

/* The command, which had entered, modifies nothing any more. */
static inline void io_fence_leave(struct cmd *cmd)
{
	cmd->modifying = false;
	if (unlikely(__atomic_load_n(&cmd->ns->fenced, __ATOMIC_RELAXED)))
		io_fence_left(cmd);
}

/*
 * Closes the fence around blocks lba_begin .. lba_end - 1 of @cmd; cmd->execute is called, on the
 * command's worker, when nobody else modifies them. Uses cmd->io.link, so no I/O may be in flight.
 */
void io_fence_close(struct cmd *cmd);
/* Opens the fence that @cmd holds. */
void io_fence_open(struct cmd *cmd);

#endif
