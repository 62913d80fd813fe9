/* SPDX-License-Identifier: BSD-3-Clause */
/* A submission and completion queue pair: one connection, on one worker for life. */
#ifndef SLUICE_TARGET_QUEUE_H
#define SLUICE_TARGET_QUEUE_H

#include "target/cmd.h"
#include "target/transport_ops.h"

struct ctrl;
struct worker;

enum queue_state {
	QUEUE_NEW,     /* Connect has not succeeded yet */
	QUEUE_LIVE,
	QUEUE_CLOSING, /* the connection is gone or going; commands finish unseen */
	QUEUE_STATES
};

/* Why a queue is closed; for logs. */
enum queue_close {
	QUEUE_CLOSE_DISCONNECT,   /* Disconnect command, answered */
	QUEUE_CLOSE_CTRL,         /* the controller went: reset, shutdown, its admin queue */
	QUEUE_CLOSE_KATO,         /* keep alive timeout */
	QUEUE_CLOSE_TIMEOUT,      /* no Connect in time */
	QUEUE_CLOSE_STOP,         /* the daemon stops */
	QUEUE_CLOSE_REFUSED,      /* Connect was refused; the answer goes out first */
};

/* Counters of base/counter.h, written by the queue's worker. */
struct queue_stats {
	uint64_t commands;
	uint64_t errors; /* completions other than success */
	uint64_t read_bytes, written_bytes;
	uint64_t staged_bytes; /* payload that the CPU copied between buffers */
	uint64_t placed_bytes; /* payload used where a NIC put it */
};

struct queue {
	const struct transport_ops *ops;
	struct listener *listener;
	struct worker *worker;
	struct ctrl *ctrl; /* reference; NULL before Connect. Set once, cleared at the end */
	enum queue_state state;
	uint16_t qid;
	uint16_t depth;    /* entries: SQSIZE + 1 */
	uint16_t sqhd;
	bool sqflow_disabled;
	bool map_allowed;  /* transport: payload may move straight from and to a backend's own memory */
	bool traffic;      /* a command came since keep alive last looked; other threads clear it */
	char peer[64];     /* "address:port", for people */
	char local_address[64]; /* numeric, without port: what the host connected to */

	/* Slots: slot 0 is for Connect, 1..depth follow when the depth is known. */
	struct cmd *slot0;
	char *slots;
	struct cmd **free;
	unsigned n_free;
	unsigned n_busy;
	struct list live; /* every busy command */
	uint64_t memory_bytes;      /* of the worker's pool, held by its commands */
	struct list memory_waiters; /* cmd.wait_link: commands that wait for some */
	struct list hungry_link;    /* worker->queues_hungry, while there may be waiters */

	struct cmd *fused_first; /* Compare of a pair whose Write is to come next */
	bool fused_failed;       /* that Compare has failed already, or was refused */
	struct list ctrl_link;   /* ctrl->queues, under its lock */
	struct list worker_link; /* worker->queues, from queue_init() to queue_fini() */
	uint64_t serial;         /* ascending along worker->queues */
	struct list work_link;   /* worker->queues_waiting: to resume, or to free when idle */
	struct msg close_msg;
	enum queue_close close_why;
	bool close_posted; /* atomic: close_msg is on its way */
	bool qid_given_back; /* disconnected: another queue may have the identifier */
	bool wants_slot;   /* the transport found no free slot and waits for resume */
	uint64_t created_ns;
	struct queue_stats stats;
};

/*
 * Prepares a queue for a new connection. @slot0: memory for the Connect command, of
 * ops->cmd_size bytes, zeroed, owned by the transport.
 */
void queue_init(struct queue *queue, const struct transport_ops *ops, struct listener *listener,
		struct worker *worker, struct cmd *slot0);
/* Frees the slots. No command is busy, the controller was put. */
void queue_fini(struct queue *queue);

/* Makes @depth slots (Connect knows how many). 0 or -ENOMEM. */
int queue_set_depth(struct queue *queue, uint16_t depth);

/* A free slot, busy from now on; NULL when all are busy: the transport stops receiving until
 * cmd_release() was called. */
struct cmd *queue_cmd_get(struct queue *queue);

/* The slot of @tag if a command is busy in it, else NULL: for transfer tags from the wire. */
struct cmd *queue_cmd_find(struct queue *queue, unsigned tag);

/*
 * The connection is gone: leaves the controller (which dies with its admin queue), drops what waits.
 * Commands at a backend finish later, those that the transport holds it releases itself; ops->idle
 * is called at the end of a turn once none is busy.
 */
void queue_gone(struct queue *queue);

/* No command is busy but Asynchronous Event Requests, which may wait for ever. */
bool queue_is_drained(const struct queue *queue);

/* Asks the queue's worker to close its connection. Any thread, under ctrl->lock when it has a controller. */
void queue_close_post(struct queue *queue, enum queue_close why);

static inline bool queue_close_pending(const struct queue *queue)
{
	return __atomic_load_n(&queue->close_posted, __ATOMIC_ACQUIRE);
}

/* Has queue_serve_waiters() look at @queue at the end of this turn. */
void queue_work(struct queue *queue);
/* Once a turn: resumes transports that waited for a slot, frees queues that are gone and idle. */
void queue_serve_waiters(struct worker *worker);

/* The slot's last owner lets go of it; for cmd_release() alone. */
void queue_cmd_put(struct queue *queue, struct cmd *cmd);

const char *queue_close_name(enum queue_close why);

#endif
