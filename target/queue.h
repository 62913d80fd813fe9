/* SPDX-License-Identifier: BSD-3-Clause */
/* A submission and completion queue pair: one connection, on one worker for life. */
#ifndef SLUICE_TARGET_QUEUE_H
#define SLUICE_TARGET_QUEUE_H

#include "base/heap.h"
#include "base/log_about.h"
#include "target/cmd.h"
#include "target/stats.h"
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
	QUEUE_CLOSE_NONE,         /* it is not */
	QUEUE_CLOSE_DISCONNECT,   /* Disconnect command, answered */
	QUEUE_CLOSE_CTRL,         /* the controller went: reset, shutdown, its admin queue */
	QUEUE_CLOSE_KATO,         /* keep alive timeout */
	QUEUE_CLOSE_SUPERSEDED,   /* the host has connected again, and says nothing here */
	QUEUE_CLOSE_TIMEOUT,      /* no Connect in time */
	QUEUE_CLOSE_WITHHELD,     /* data that others wait for did not come */
	QUEUE_CLOSE_STOP,         /* the daemon stops */
	QUEUE_CLOSE_REFUSED,      /* Connect was refused; the answer goes out first */
	QUEUE_CLOSE_EVICTED,      /* the host may not stay; what it asked is answered first */
};

struct queue {
	const struct transport_ops *ops;
	struct listener *listener; /* reference */
	struct worker *worker;
	struct ctrl *ctrl; /* reference; NULL before Connect. Set once, cleared at the end */
	enum queue_state state;
	union {
		struct {
			uint16_t worker_index;
			uint16_t cntlid; /* FFFFh before Connect has succeeded */
			uint16_t qid;
			uint16_t depth; /* entries: SQSIZE + 1 */
		};
		uint64_t ids; /* these four, for probes (base/trace.h) */
	};
	const char *host;  /* its controller's hostnqn, while there is one, else empty; for probes */
	uint16_t sqhd;
	bool sqflow_disabled;
	/* transport: may payload come straight to a backend's own memory, and how long a read may be to leave from it */
	bool map_writes;
	uint32_t map_reads;
	bool stream_writes; /* transport: and may they come to a buffer all the same, where that is faster */
	bool traffic;      /* a command came since keep alive last looked; other threads clear it */
	char peer[64];     /* "address:port", for people */
	char local_address[64]; /* numeric, without port: what the host connected to */

	/* Slots: slot 0 is for Connect, 1..depth follow when the depth is known. */
	struct cmd *slot0;
	char *slots;
	struct cmd **free;
	unsigned n_free;
	unsigned n_busy;
	unsigned n_unanswered; /* of them; other threads look at it without locks */
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
	struct msg close_msg, suspect_msg;
	enum queue_close close_why; /* atomic: not QUEUE_CLOSE_NONE: close_msg is on its way */
	bool suspect_posted; /* atomic: suspect_msg is */
	bool suspect;      /* its host may use another path by now (io_fence.h) */
	bool lost;         /* and will not come back */
	uint64_t suspect_ns;
	bool parting;      /* it goes along with all queues of its controller */
	bool answered;     /* all that came by it, under ctrl->lock; nothing is to come */
	bool qid_given_back; /* disconnected: another queue may have the identifier */
	bool wants_slot;   /* the transport found no free slot and waits for resume */
	uint64_t created_ns;
	uint64_t connect_ns; /* Connect came; 0 before */
	struct queue_stats stats; /* written by its worker */
};

/*
 * Prepares a queue for a new connection. @slot0: memory for the Connect command, of
 * ops->cmd_size bytes, zeroed, owned by the transport.
 */
void queue_init(struct queue *queue, const struct transport_ops *ops, struct listener *listener,
		struct worker *worker, struct cmd *slot0);
/* Frees the slots. No command is busy, the controller was put. */
void queue_fini(struct queue *queue);

/* Bytes of a slot for a transport's structure of @cmd_size: slots begin with a cache line. */
static inline size_t queue_slot_bytes(size_t cmd_size)
{
	return align_up(cmd_size, CACHE_LINE);
}

/* Most that @depth of them take, for the bound announced. */
static inline uint64_t queue_slots_bytes(unsigned depth, size_t cmd_size)
{
	return heap_bytes(depth * queue_slot_bytes(cmd_size)) +
	       heap_bytes(depth * sizeof(struct cmd *));
}

/* Makes @depth slots (Connect knows how many). 0 or -ENOMEM. */
int queue_set_depth(struct queue *queue, uint16_t depth);

/* A free slot, busy from now on; NULL when all are busy: the transport stops receiving until
 * cmd_release() was called. */
struct cmd *queue_cmd_get(struct queue *queue);

/* The slot of @tag if a command is busy in it, else NULL: for transfer tags from the wire. */
struct cmd *queue_cmd_find(struct queue *queue, unsigned tag);

/*
 * For the transport: nothing more comes by this connection, which will be gone when the last of it has
 * been given back. The host may use another one before that.
 */
void queue_lost(struct queue *queue);

/* A command came to @queue, which is suspect. */
void queue_heard(struct queue *queue);

/*
 * Did its host send anything after @since_ns (clock_now_ns())? Any thread that keeps the queue from going;
 * true where the transport cannot tell.
 */
static inline bool queue_heard_since(const struct queue *queue, uint64_t since_ns)
{
	return !queue->ops->heard_since || queue->ops->heard_since(queue, since_ns);
}

/*
 * The connection is gone: leaves the controller (which dies with its admin queue), drops what waits.
 * Commands at a backend finish later, those that the transport holds it releases itself; ops->idle
 * is called at the end of a turn once none is busy.
 */
void queue_gone(struct queue *queue);

/*
 * For a transport that is to close @queue when all is answered, and has sent all answers: may it? No
 * command is busy but Asynchronous Event Requests, which may wait for ever. A host takes the end of one
 * connection for that of its controller: where all of a controller's queues are to go, none does before
 * all are answered, and ops->close is called again when the last one is.
 */
bool queue_may_end(struct queue *queue);

/* The target stops: all queues of @worker go, each along with the others of its controller. */
void queues_part(struct worker *worker);

/*
 * Asks the queue's worker to close its connection; a reason to do so at once takes the place of one on
 * its way that leaves time. Any thread, under ctrl->lock when it has a controller.
 */
void queue_close_post(struct queue *queue, enum queue_close why);

/*
 * ctrl->silent has changed: while it is set, the host may be using another path. What the queue is writing
 * is then finished before anything else is written to the same blocks, and what it has not begun to write
 * is not written. Any thread, under ctrl->lock.
 */
void queue_suspect_post(struct queue *queue);

static inline bool queue_close_pending(const struct queue *queue)
{
	return __atomic_load_n(&queue->close_why, __ATOMIC_ACQUIRE) != QUEUE_CLOSE_NONE;
}

/* Is what was asked answered first? */
static inline bool queue_close_is_orderly(enum queue_close why)
{
	return why == QUEUE_CLOSE_DISCONNECT || why == QUEUE_CLOSE_REFUSED ||
	       why == QUEUE_CLOSE_STOP || why == QUEUE_CLOSE_EVICTED;
}

/* Has queue_serve_waiters() look at @queue at the end of this turn. */
void queue_work(struct queue *queue);
/* Once a turn: resumes transports that waited for a slot, frees queues that are gone and idle. */
void queue_serve_waiters(struct worker *worker);

/* The slot's last owner lets go of it; for cmd_release() alone. */
void queue_cmd_put(struct queue *queue, struct cmd *cmd);

const char *queue_close_name(enum queue_close why);

/* What messages about @queue are about. On its worker. */
struct log_about queue_about(const struct queue *queue);

#endif
