/* SPDX-License-Identifier: BSD-3-Clause */
/* The NVMe/RDMA transport: shared types of its files. */
#ifndef SLUICE_RDMA_RDMA_H
#define SLUICE_RDMA_RDMA_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "target/cmd.h"
#include "target/listener.h"
#include "target/queue.h"
#include "target/worker.h"
#include "transport/rdma/private.h"
#include "transport/rdma/region.h"
#include "transport/rdma/sgl.h"

extern const struct transport_ops rdma_transport;

enum rdma_limits {
	RDMA_TRANSPORT = 1,	/* place of its state in a worker */
	RDMA_DEVICES = 8,	/* that a worker uses; they share its receive area */
	RDMA_RECEIVES_MIN = 64, /* of a device, or it is refused */
	RDMA_RECEIVES_MAX = 16384,
	RDMA_QPNS = 256,       /* lists by queue pair number, a power of two */
	RDMA_POLL = 32,	       /* completions taken from a device at once */
	RDMA_POLL_TURN = 256,  /* and in one turn */
	RDMA_EVENTS_TURN = 16, /* of the connection manager */
	RDMA_CHAIN = 64,       /* work requests handed over at once */
	RDMA_BACKLOG = 256,    /* connection requests that the kernel keeps */
	RDMA_INLINE = 16, /* bytes of a response, which are sent from the work request itself */
	RDMA_CQ_SPARE = 16384, /* entries of a completion queue for requests: not all grow */
	RDMA_ENTRY_BYTES = 64, /* of a driver's queues, as is usual; a request to send takes two */
	RDMA_READS = 16,       /* outstanding RDMA READs of a queue */
	RDMA_RNR_TIMER = 12,   /* 0.64 ms until a host sends again what found no receive */
	RDMA_RETRIES = 6,      /* 7 would be for ever, in soft-RoCE for all reasons */
	RDMA_ACK_TIMEOUT = 18, /* 4.096 us << 18: about a second, at most */
	/*
	 * For a host to take responses while its commands wait for slots: that an acknowledgement is lost,
	 * a device may take four times the timeout above to find out.
	 */
	RDMA_PATIENCE_MS = 10000,
	RDMA_LINGER_MS = 5000, /* for the host to answer a disconnect */
	RDMA_FLUSH_MS = 1000,  /* for a device to give back the requests of a broken queue pair */
};

struct rdma_device;
struct rdma_queue;

/* A receive of the shared receive queue, by its index: a capsule's command and what is behind it. */
struct rdma_receive {
	struct list link; /* device->returned, or queue->backlog */
	uint32_t len;	  /* bytes received */
};

/* What a work request's completion is about; in the low bits of its identifier. */
enum rdma_work {
	RDMA_WORK_RECEIVE, /* the rest is the index of the receive */
	RDMA_WORK_READ,	   /* the rest is a struct rdma_cmd: the last RDMA READ of its data */
	RDMA_WORK_RESPONSE,
	RDMA_WORK_PART,	 /* of a chain, which completes only when it fails */
	RDMA_WORK_PROBE, /* the rest is slot0 of a queue whose host is silent */
};

enum { RDMA_WORK_BITS = 3, RDMA_WORK_MASK = (1 << RDMA_WORK_BITS) - 1 };

struct rdma_cmd {
	struct cmd cmd;	  /* first */
	struct list link; /* queue->fetches or ->responses */
	struct sgl sgl;
	struct rdma_receive *receive; /* cmd.lent: of the capsule */
	struct span place;	      /* data that is used where it was received */
};
_Static_assert(_Alignof(struct rdma_cmd) > RDMA_WORK_MASK,
	       "room for the kind of work in its address");

enum rdma_queue_state {
	RDMA_QUEUE_OPEN,
	RDMA_QUEUE_DRAINING,  /* no new commands; disconnects when the old ones are answered */
	RDMA_QUEUE_LINGERING, /* disconnected; waits for the host to do the same */
	RDMA_QUEUE_DEAD,      /* the queue pair is broken; its requests come back */
	RDMA_QUEUE_REAPING, /* it is destroyed; what is left of it in the completion queue comes */
	RDMA_QUEUE_GONE,    /* the core was told */
};

/* Whom events of a connection manager's identifier are for: its context. */
struct rdma_owner {
	void (*event)(struct rdma_owner *owner, const struct rdma_cm_event *event);
};

struct rdma_queue {
	struct queue queue; /* first */
	struct rdma_owner owner;
	struct rdma_device *device;
	struct rdma_cm_id *id; /* owned */
	struct ibv_qp *qp;     /* owned; NULL once destroyed */
	enum rdma_queue_state state;
	struct private_wants wants;
	struct list link;	 /* device->queues, until it is freed */
	struct list qpn_link;	 /* device->qpns */
	struct list dirty_link;	 /* rdma->dirty */
	struct list ending_link; /* device->ending */
	uint64_t ending_since;	 /* device->polled when it came there */
	struct timer timer;	 /* of the state that must not last */
	struct timer silence;	 /* from Connect on: was anything heard of the host? */
	uint64_t heard;		 /* commands that had come when that was looked at */

	/* Receiving. */
	struct list backlog; /* rdma_receive.link: commands that wait for a slot */
	unsigned n_backlog;
	struct timer patience; /* while there are any */

	/* Sending. */
	struct list fetches;   /* rdma_cmd.link: wait for RDMA READs */
	struct list responses; /* rdma_cmd.link */
	unsigned sq_entries;   /* of the send queue */
	unsigned sq_used;
	unsigned pending;   /* chains whose completion is to come */
	unsigned reads;	    /* RDMA READs outstanding */
	unsigned reads_max; /* that the host takes at a time */
	bool last_receive;  /* the broken queue pair has given back its receives */
	struct rdma_cmd slot0;
};

/* Counters of base/counter.h. */
struct rdma_device_stats {
	uint64_t receives;
	uint64_t placed_bytes; /* payload used where the device put it */
	uint64_t staged_bytes; /* payload that the CPU copied to its buffer */
};

/* An RDMA device as one worker uses it: its own context, so that workers share nothing of it. */
struct rdma_device {
	struct rdma_worker *rdma;
	char name[IBV_SYSFS_NAME_MAX];
	struct list link; /* rdma->devices */
	struct ibv_context *verbs;
	struct ibv_device_attr attr;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_srq *srq;
	struct region region; /* the worker's area */
	bool gone;	      /* unplugged or broken: shut, and closed once its queues are */
	bool shut;	      /* nothing of it is there any more but this */
	bool armed;	      /* the next completion wakes the channel */
	struct op completion_op, async_op;
	unsigned ops; /* of these in flight */

	/* Receives, in a part of the worker's receive area. */
	unsigned part;
	uint32_t n;	  /* receives */
	uint64_t held;	  /* with commands, or in backlogs; of base/counter.h */
	uint64_t held_max; /* the most that ever were; of base/counter.h */
	uint64_t headers; /* offset in the area: 64 bytes each */
	uint64_t data;	  /* offset in the area: rdma_capsule_bytes() each */
	struct rdma_receive *receives;
	struct list returned; /* rdma_receive.link: to be posted at the end of the turn */

	unsigned cq_promised; /* completions that may come at the same time */
	struct list qpns[RDMA_QPNS];
	struct list queues; /* rdma_queue.link */
	unsigned n_open;    /* of these, that have a queue pair or requests of one */
	struct list ending; /* rdma_queue.ending_link: until all of it has been seen */
	uint64_t polled;    /* completions, ever */
	bool mute;	    /* its completions cannot be read any more */
	struct rdma_device_stats stats;
};

struct rdma_worker {
	struct worker *worker;
	struct rdma_event_channel *channel; /* NULL: nobody listens yet */
	struct op channel_op;
	struct list devices;
	unsigned parts_used; /* of the receive area, a bit each */
	uint64_t refused_ns; /* since when its connections go to their listener's worker; 0: not */
	struct list dirty;   /* rdma_queue.dirty_link */
	bool draining;	     /* takes no connections any more */
	struct ibv_send_wr wrs[RDMA_CHAIN];
	struct ibv_sge sges[RDMA_CHAIN];
};

static inline struct rdma_worker *rdma_of(const struct worker *worker)
{
	return worker->transport_state[RDMA_TRANSPORT];
}

static inline struct rdma_queue *rdma_queue_of(struct queue *queue)
{
	return container_of(queue, struct rdma_queue, queue);
}

static inline struct rdma_cmd *rdma_cmd_of(struct cmd *cmd)
{
	return container_of(cmd, struct rdma_cmd, cmd);
}

static inline struct loop *rdma_queue_loop(struct rdma_queue *rq)
{
	return &rq->queue.worker->loop;
}

/* --------------------------------------------------------------------------------------- rdma.c */

/* Room for data in each receive, a multiple of 4096; 0: no listener admits any. */
uint32_t rdma_capsule_bytes(void);
/* How many devices share a receive area. */
unsigned rdma_parts(void);
/* That nothing is known of any device yet, for the ladder. */
struct datapath_fact rdma_no_device(void);
/* Where the receive area of @worker begins that is this transport's. */
uint64_t rdma_receive_offset(const struct worker *worker);

/* ----------------------------------------------------------------------------------------- cm.c */

/* Closes the worker's event channel, if it has one. */
void cm_close(struct rdma_worker *rdma);
/* transport_ops.listen and .unlisten */
int cm_listen(struct listener *listener);
void cm_unlisten(struct listener *listener);
/* Tells the host why, and destroys the identifier of a request that was not accepted. */
void cm_reject(struct rdma_cm_id *id, enum private_sts sts);

/* ------------------------------------------------------------------------------------- device.c */

/*
 * The device of @cm_verbs on this worker, opened if it is not yet. NULL when it cannot be: @why then
 * says for people what it lacks. On the worker's thread.
 */
struct rdma_device *device_get(struct rdma_worker *rdma, struct ibv_context *cm_verbs, char *why,
			       size_t why_size);
void device_close(struct rdma_device *device);
/* It was unplugged, or does not work any more: its queues die, then it is closed. */
void device_lost(struct rdma_device *device, const char *why);
/* Shuts and closes a lost device when nothing needs it any more. */
void device_put(struct rdma_device *device);
/* transport_ops.poll for one device. */
bool device_poll(struct rdma_device *device, bool arm);
/* Calls rdma_queue_settled() when all completions that there are now have been seen. */
void device_ending(struct rdma_queue *rq);
/* Room for @n completions more, or -ENOMEM. */
int device_promise(struct rdma_device *device, unsigned n);
/* The capsule is not needed any more: at the end of the turn its receive is posted again. */
void device_return(struct rdma_device *device, struct rdma_receive *receive);
/* Posts what was returned. */
void device_replenish(struct rdma_device *device);
/* Where in the area the command and the data of a receive are. */
struct span device_header(const struct rdma_device *device, const struct rdma_receive *receive);
struct span device_data(const struct rdma_device *device, const struct rdma_receive *receive);
struct list *device_qpns(struct rdma_device *device, uint32_t qpn);
/* One receive more, or less, is held. */
void device_hold(struct rdma_device *device);
void device_let_go(struct rdma_device *device);
/* transport_ops.receive_describe */
void device_describe_all(const struct worker *worker, struct json_object *array);

/* -------------------------------------------------------------------------------------- queue.c */

/*
 * Accepts the connection of @id on its worker. PRIVATE_OK: @id is the queue's from now on; else the
 * status to reject it with.
 */
enum private_sts rdma_queue_open(struct rdma_worker *rdma, struct listener *listener,
				 struct rdma_cm_id *id, const struct private_wants *wants,
				 unsigned reads_max);
/* Something changed: look at it at the end of the turn. */
void rdma_queue_touch(struct rdma_queue *rq);
void rdma_queue_turn(struct rdma_queue *rq);
void rdma_queue_drain(struct rdma_queue *rq);
/* Looks at times from now on whether its host is still there. */
void rdma_queue_watch(struct rdma_queue *rq);
/* No more either way; all is freed once the device has nothing of it. */
void rdma_queue_dead(struct rdma_queue *rq);
/* Its queue pair is broken, and nobody here broke it: says so, and the queue is dead. */
void rdma_queue_broke(struct rdma_queue *rq);
/* What there was of it in the completion queue has been seen: the next step to its end. */
void rdma_queue_settled(struct rdma_queue *rq);
/* transport_ops.idle */
void rdma_queue_free(struct queue *queue);

/* ----------------------------------------------------------------------------------- transfer.c */

/* A capsule of @receive->len bytes came. */
void rdma_received(struct rdma_queue *rq, struct rdma_receive *receive);
/* Commands that waited for slots. */
void rdma_resume(struct rdma_queue *rq);
/* None of those that wait is begun any more: their receives go back. */
void rdma_backlog_drop(struct rdma_queue *rq);
/* transport_ops.fetch, .take_back, .may_wait, .respond */
void rdma_fetch(struct cmd *cmd);
void rdma_take_back(struct cmd *cmd);
bool rdma_may_wait(const struct cmd *cmd);
void rdma_respond(struct cmd *cmd);
/* Hands what is to be sent to the device. */
void rdma_send(struct rdma_queue *rq);
/* Asks the host's device for an answer, of which the host sees nothing; without one the queue dies. */
void rdma_probe(struct rdma_queue *rq);
/* A request of @rq other than a receive is complete. */
void rdma_completed(struct rdma_queue *rq, struct rdma_cmd *rcmd, enum rdma_work work,
		    const struct ibv_wc *wc);

#endif
