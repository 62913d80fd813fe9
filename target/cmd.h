/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A command in flight. The transport owns the slot's memory and embeds `struct cmd` first in its own
 * structure; the core owns the command from cmd_begin() until it calls transport_ops.respond, and
 * the transport from then until cmd_release().
 *
 *   bytes -> cmd_begin: decide -> (memory) -> fetch -> cmd_fetched -> execute -> cmd_complete
 *         -> respond -> cmd_release
 */
#ifndef SLUICE_TARGET_CMD_H
#define SLUICE_TARGET_CMD_H

#include "base/list.h"
#include "base/nvme.h"
#include "base/trace.h"
#include "dmabuf/span.h"
#include "target/backend/backend.h"

struct cmd;
struct ns;
struct queue;
struct worker;

enum cmd_state {
	CMD_FREE,
	CMD_PARSED,     /* decided; may wait for memory */
	CMD_FETCHING,   /* the transport brings the host's data */
	CMD_EXECUTING,  /* the core or a backend works on it */
	CMD_RESPONDING, /* with the transport again */
	CMD_STATES
};

enum cmd_data { CMD_DATA_NONE, CMD_DATA_FROM_HOST, CMD_DATA_TO_HOST };

/* What holds the command's payload, and so how it is given back. */
enum cmd_memory {
	CMD_MEMORY_NONE,
	CMD_MEMORY_POOL,   /* span0, from the worker's pool */
	CMD_MEMORY_MAPPED, /* span0 is the backend's own memory */
};

/*
 * The place of a fault, as the error log has it (Base 5.1.12.1.2, Parameter Error Location): byte of the
 * command in 7:0, bit of that byte in 10:8, of the first bit of what is at fault; or none. A place in a
 * command is CMD_PLACE() of a member of struct nvme_sqe and of a bit, counted from the member's lowest.
 */
enum { CMD_NO_LOCATION = 0xffff };
#define CMD_PLACE_AT(byte, bit) (((unsigned)(byte) + (bit) / 8u) | (bit) % 8u << 8)
#define CMD_PLACE(member, bit)	CMD_PLACE_AT(offsetof(struct nvme_sqe, member), bit)

/*
 * What every command touches comes first, so that it lies in few cache lines: between two visits
 * payload has passed, and none of them is near any more.
 */
struct cmd {
	struct nvme_sqe sqe; /* first: for probes the command's address is that of its entry, too */
	struct nvme_cqe cqe;
	struct queue *queue;
	struct ns *ns;
	void (*execute)(struct cmd *cmd);
	/*
	 * Set by a parser: called once, when the command is completed (with its status) or dropped. For
	 * what it is part of beside its queue: counters, a fused pair, a fence. NULL: nothing.
	 */
	void (*ended)(struct cmd *cmd, uint16_t status);
	enum cmd_state state;
	enum cmd_data direction;
	uint8_t memory;        /* enum cmd_memory */
	uint16_t alike;        /* commands that are sent with it, and whose times it counts: stats_join() */
	uint16_t tag;          /* index of the slot in its queue */
	uint16_t location;     /* of the fault: CMD_PLACE(), or CMD_NO_LOCATION */

	struct list link;      /* queue->live */
	struct list wait_link; /* waiting for memory, or for the other half of a fused pair, ... */
	/* When it came this far, by the worker's clock (stats.h). */
	uint64_t arrived_ns, fetched_ns, done_ns;
	uint16_t sgl_status;   /* set by the transport: what it found wrong with the SGL, or 0 */
	uint8_t kind;          /* enum stats_kind */
	bool in_capsule;       /* set by the transport: the data is in the capsule */
	bool lent;             /* set by the transport: `data` has memory of its own; transport_ops.take_back */
	bool abort_requested;
	bool modifying;        /* is at the blocks below, or may be at any time (io_fence.h) */
	bool in_flight;        /* the backend has `io` */

	uint32_t sgl_len;      /* set by the transport: bytes that the SGL describes */
	uint32_t data_len;     /* bytes to move, decided by the core: at most sgl_len */
	uint32_t scratch_len;  /* bytes of scratch that the parser asked for */
	uint32_t capsule_bytes; /* that it has of worker->capsule_bytes */
	struct spanv data;     /* data_len bytes of payload, once there is memory */
	struct span span0;

	uint64_t lba_begin;    /* blocks that an I/O command is about, of Copy the destination */
	uint64_t lba_end;
	struct cmd *fused;     /* the other half, once both are there */
	uint64_t error_lba;    /* first block that is at fault, for the error log; 0: none */
	uint32_t error_nsid;   /* namespace at fault, where NSID names more than one; 0: as NSID says */
	uint16_t doom;         /* status that it will end with whatever it still does, or 0 */
	bool lingers;          /* its host may use another path by now (io_fence.h) */
	bool fused_ready;      /* this half has its data and waits for the other or runs with it */
	struct span scratch;   /* second buffer: scratch_len bytes, had together with the data's */

	struct spanv scratch_v;
	uint64_t submit_ns;
	uint8_t step_state;    /* io_step.c's */
	uint16_t step_status;  /* of the last step's I/O */
	struct list linger_link, linger_waiters; /* io_fence.c's */
	bool (*step)(struct cmd *cmd);
	uint64_t progress;     /* of commands that go in steps: bytes or ranges done */
	struct msg msg;        /* takes an admin command to another thread and back, lets steps pause */
	struct worker *msg_worker; /* that msg is going to */
	/* Last, so that its iovecs, of which most use one, do not part what every command touches. */
	struct backend_io io;
};

/*
 * A probe of a command of @queue: the command, which is where its submission queue entry lies; the queue's
 * ids; the entry's first two dwords (opcode, flags, CID, NSID); then up to three arguments of its own.
 */
#define TRACE_CMD(name, cmd, queue, own, ...)                                       \
	TRACE(name, 8@%[cmd] 8@%[ids] 8@%[sqe] own, TRACE_IN(cmd, cmd),              \
	      TRACE_AT(ids, (queue)->ids), TRACE_AT(sqe, *(const uint64_t *)&(cmd)->sqe), \
	      __VA_ARGS__)
_Static_assert(offsetof(struct cmd, sqe) == 0, "the command's address is its entry's, too");

/*
 * Takes a command whose capsule has arrived: sqe, sgl_len, in_capsule, sgl_status are set, tag and
 * queue since the slot was made. Decides and starts it. May complete it, and so call
 * transport_ops.respond, before it returns.
 */
void cmd_begin(struct cmd *cmd);

/*
 * The transport has brought data_len bytes into cmd->data (@status 0), or could not (an NVMe status,
 * for example Transient Transport Error for a data digest): the command goes on, or completes with it.
 */
void cmd_fetched(struct cmd *cmd, uint16_t status);

/* Ends the command with @status (type, code, DNR); cqe.dw0/dw1 hold its result. */
void cmd_complete(struct cmd *cmd, uint16_t status);

/* What ends a command of @queue that its host had better send again. */
uint16_t cmd_try_later(const struct queue *queue);

/* Notes for the error log that @place, a CMD_PLACE(), is at fault, and returns @status. */
uint16_t cmd_fault(struct cmd *cmd, unsigned place, uint16_t status);

/* As cmd_fault() of the lowest bit of @wrong (not 0) in the dword that begins at byte @offset. */
uint16_t cmd_fault_bits(struct cmd *cmd, unsigned offset, uint32_t wrong, uint16_t status);

/* The response is sent, or never will be: gives back memory and slot. Called by the transport. */
void cmd_release(struct cmd *cmd);

/* For the transport: the queue died while it held this command (fetching or responding). */
void cmd_cancel(struct cmd *cmd);

/*
 * Memory of the worker's pool that is not needed but useful, for a short time: @len bytes, which count as
 * the commands' of @queue. False: there is none to spare. Commands that find the pool empty come first.
 */
bool queue_memory_get(struct queue *queue, uint32_t len, struct span *span);
void queue_memory_put(struct queue *queue, const struct span *span);

/*
 * The host is about to be asked for the first of the data of the write @cmd: chooses anew where it comes to,
 * for which it was too early when the command began.
 */
void cmd_ask(struct cmd *cmd);

/* The one setter. Asserts that the transition is legal. */
void cmd_set_state(struct cmd *cmd, enum cmd_state state);

/* ------------------------------------------------------------------------------- for the core's use */

/*
 * Declares what a parser found the command to need, so that cmd_begin() gets memory and data before
 * @execute runs. @len 0 with no direction: runs at once. Returns 0, or a status when the SGL does
 * not describe exactly @len bytes (SGLS bit 18 is not offered, so a longer one is refused as well).
 * Dataset Management alone may come with a longer buffer: Linux always sends room for 256 ranges.
 */
uint16_t cmd_need(struct cmd *cmd, enum cmd_data direction, uint32_t len, void (*execute)(struct cmd *));

/*
 * Declares, from a parser and beside cmd_need(), that the command needs a second buffer of @len
 * bytes, cmd->scratch with scratch_v over it. It comes together with the data's memory, so that no
 * command waits for memory while it holds some; cmd_release() gives it back.
 */
void cmd_need_scratch(struct cmd *cmd, uint32_t len);

/*
 * On the worker's thread, once a turn: serves commands that wait for memory, one of each queue in turn.
 * Clears worker->memory_freed, which may be set again by what it serves.
 */
void cmd_serve_waiters(struct worker *worker);

/*
 * Answers a command that returns a structure: copies @len bytes of @src from @offset on into the
 * host's buffer of cmd->data_len bytes, zero-fills the rest, completes with success.
 */
void cmd_reply(struct cmd *cmd, const void *src, size_t len, uint64_t offset);

#endif
