/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller: made by Connect on an admin queue, owned by that queue's worker. All admin state is
 * touched on that worker alone. What I/O queues on other workers read is `live`, atomic, and what
 * never changes after Connect. The list of queues is under `lock`.
 */
#ifndef SLUICE_TARGET_CTRL_H
#define SLUICE_TARGET_CTRL_H

#include <pthread.h>

#include "base/loop.h"
#include "target/queue.h"
#include "target/subsys.h"

/* An event that waits for an Asynchronous Event Request. */
struct aen {
	uint8_t type; /* enum nvme_aen_type */
	uint8_t info;
	uint8_t page; /* log page that clears it */
};

struct ctrl {
	struct subsys *subsys;
	struct listener *listener; /* reference */
	struct list subsys_link; /* under subsys->lock: of subsys->ctrls, then of subsys->leaving */
	struct stats_host *host; /* NULL: counts for none */
	uint16_t cntlid;
	uint8_t hostid[16];
	char hostnqn[NVME_NQN_MAX + 1];
	/* Bit per NSID; set at Connect, and while workers are paused. */
	uint64_t visible[(MAX_NSID + 64) / 64];
	uint32_t max_transfer;     /* as Identify has told; bytes of one command */
	uint64_t evict_ns; /* under subsys->lock: when it is closed at last; 0: it may stay */
	uint64_t created_ns;
	/* As last seen by its host's next controller; under subsys->lock. */
	uint64_t commands_seen;
	uint64_t traffic_seen_ns;

	/* Admin state: the admin queue's worker only. */
	struct worker *worker;
	struct queue *admin; /* NULL once its connection is gone */
	uint32_t cc;
	uint32_t csts;      /* other threads look at it without locks */
	uint32_t csts_next; /* what CSTS is once no command of an I/O queue is left */
	uint32_t kato_ms; /* 0: no timer; other threads look at it without locks */
	struct timer kato_timer;
	bool silent; /* its host has missed a keep alive, by that timer; other threads look at it */
	uint64_t looked_ns; /* when that timer last looked for traffic */
	uint32_t aen_enabled; /* feature 0Bh */
	struct cmd *aer[MAX_AER];
	unsigned n_aer;
	struct aen aen[MAX_AEN_QUEUED];
	unsigned n_aen;
	uint32_t aen_masked; /* notices sent and not yet cleared by reading their log page */
	uint64_t changed_ns[(MAX_NSID + 64) / 64]; /* bit per NSID, since the log was read */
	uint64_t ana_chgcnt;
	uint8_t host_behavior[NVME_HOST_BEHAVIOR_LEN]; /* feature 16h; the rest is reserved */
	uint64_t timestamp_ms; /* Set Features value, at timestamp_set_ns; 0: never set */
	uint64_t timestamp_set_ns;
	uint32_t features[0x20]; /* CDW11 of simple features by FID, as set or default */
	unsigned n_aborts; /* Abort commands that another worker has */

	/* I/O queues of any worker. */
	bool live; /* atomic: enabled, not shut down, keep alive in time */
	pthread_mutex_t lock;
	struct list queues;        /* queue.ctrl_link; admin queue too */
	struct queue_stats past;   /* of queues that have left */
	uint64_t qids[(MAX_IO_QUEUES + 64) / 64]; /* in use */
	unsigned refs;             /* one per queue, until its last command has ended */
	unsigned io_refs;          /* of them: I/O queues */
	uint64_t error_count;      /* errors since the controller was made */
	unsigned error_head;       /* of the ring below: next to write */
	unsigned error_len;
	struct nvme_error_log_entry errors[MAX_ERROR_LOG];

	struct msg event_msg; /* carries `pending_events` to the worker */
	bool event_posted;    /* under lock, as are the next two */
	uint32_t pending_notices; /* bit per enum nvme_aen_mask notice */
	uint64_t pending_ns[(MAX_NSID + 64) / 64];
};

/* What messages about @ctrl are about. */
static inline struct log_about ctrl_about(const struct ctrl *ctrl)
{
	return log_about(.hostnqn = ctrl->hostnqn, .subsystem = ctrl->subsys->nqn,
			 .cntlid = ctrl->cntlid);
}

static inline bool ctrl_is_live(const struct ctrl *ctrl)
{
	return __atomic_load_n(&ctrl->live, __ATOMIC_ACQUIRE);
}

static inline bool ctrl_sees(const struct ctrl *ctrl, uint32_t nsid)
{
	return nsid <= MAX_NSID && (ctrl->visible[nsid / 64] >> (nsid % 64) & 1);
}

static inline bool ctrl_is_discovery(const struct ctrl *ctrl)
{
	return ctrl->subsys->discovery;
}

/* The namespace @nsid as this controller's host sees it, or NULL. */
static inline struct ns *ctrl_ns(const struct ctrl *ctrl, uint32_t nsid)
{
	return ctrl_sees(ctrl, nsid) ? ctrl->subsys->ns[nsid] : NULL;
}

/*
 * Makes a controller for @hostnqn on its admin queue @queue and takes a reference for it. Returns 0
 * and *@out, or an NVMe status.
 */
uint16_t ctrl_create(struct subsys *subsys, struct queue *queue, const char *hostnqn,
		     const uint8_t hostid[16], uint16_t cntlid, uint32_t kato_ms, struct ctrl **out);

/*
 * Attaches I/O queue @queue as @qid to controller @cntlid of @subsys, of the same host. Returns 0
 * and *@out, or a status and the place of the fault (offset in Connect data or command) in *@ipo and *@iattr.
 */
uint16_t ctrl_attach_queue(struct subsys *subsys, struct queue *queue, uint16_t qid, uint16_t cntlid,
			   const char *hostnqn, const uint8_t hostid[16], struct ctrl **out,
			   uint16_t *ipo, uint8_t *iattr);

/*
 * Has this host, which wants a controller of its own on @queue, I/O commands on their way to a disk from
 * a controller of before? What they write must not land on what the new one has written. Such a
 * controller is one whose admin queue is gone; or one that came from the same address and has been silent since
 * queue->connect_ns, for the host may have lost it and nobody told us. After the time in which a host
 * that lives would have kept it alive, its queues are closed.
 */
bool subsys_host_has_io(struct subsys *subsys, const struct queue *queue, const char *hostnqn,
			const uint8_t hostid[16]);

/* @queue leaves the controller's list. The admin queue takes all I/O queues with it. */
void ctrl_detach_queue(struct ctrl *ctrl, struct queue *queue);

/*
 * @queue was disconnected: a new queue may take its identifier at once, even while the answer is on
 * its way and the host has not closed the connection (Base 6.4).
 */
void ctrl_give_back_qid(struct ctrl *ctrl, struct queue *queue);

/* Gives back a reference; with the last one the controller is freed. Any thread. */
void ctrl_put(struct ctrl *ctrl);
/* As ctrl_put(), of @queue, whose last command has ended. */
void ctrl_put_queue(struct ctrl *ctrl, struct queue *queue);

/*
 * What a write to CC does, on the admin worker. Shutdown and reset close all I/O queues; CSTS says
 * that they are complete when the last command of those queues has ended (Base 3.6, 3.7.2).
 */
void ctrl_enable(struct ctrl *ctrl);   /* CC.EN went from 0 to 1 */
void ctrl_refuse(struct ctrl *ctrl);   /* the same, with values that cannot be: fatal status */
void ctrl_reset(struct ctrl *ctrl);    /* CC.EN went from 1 to 0; features are as after power-on */
void ctrl_shutdown(struct ctrl *ctrl); /* CC.SHN asks for it */
void ctrl_forget_shutdown(struct ctrl *ctrl); /* CC.SHN is 0 again */
/* The CSTS property, now. On the admin worker. */
uint32_t ctrl_csts(struct ctrl *ctrl);
/* Fatal: CSTS.CFS, closes every queue. On the admin worker. */
void ctrl_fail(struct ctrl *ctrl, enum queue_close why);

/* The host has to go: all of its queues close, in the manner of @why. Under subsys->lock. Any thread. */
void ctrl_dismiss(struct ctrl *ctrl, enum queue_close why);

/*
 * All that came by @queue, which reads no more commands, is answered. True when that holds for all queues
 * of @ctrl; those that were told false hear of it by ops->close. On the queue's worker.
 */
bool ctrl_answered(struct ctrl *ctrl, struct queue *queue);

/*
 * Who sees which namespace of @subsys is as it should be by now; hosts are told of what comes and goes.
 * While workers are paused.
 */
void subsys_refresh_views(struct subsys *subsys);

/* Takes @kato_ms, rounded up to what KAS promises, as the keep alive timeout. */
void ctrl_set_kato(struct ctrl *ctrl, uint32_t kato_ms);
/* (Re)starts the keep alive timer with the current kato_ms. */
void ctrl_keep_alive(struct ctrl *ctrl);

/* Capabilities property of controllers of this subsystem. */
uint64_t ctrl_cap(const struct ctrl *ctrl);

/*
 * Notes in the error information log (Base 5.1.12.1.2) that @cmd ends with @status, with what the command
 * says of the place of the fault: location, error_lba, error_nsid. Any worker.
 */
void ctrl_log_error(struct ctrl *ctrl, const struct cmd *cmd, uint16_t status);

/*
 * Tells the host that something changed: @notice is one bit of enum nvme_aen_mask; @nsid the
 * namespace for NVME_AEN_NS_ATTR, else 0. Any thread that keeps the controller from going: by
 * subsys->lock, or because it serves a command of one of the controller's queues.
 */
void ctrl_notify(struct ctrl *ctrl, uint32_t notice, uint32_t nsid);
/* As ctrl_notify() for all controllers of @subsys that see @nsid (0: all of them). Any thread. */
void subsys_notify(struct subsys *subsys, uint32_t notice, uint32_t nsid);

#endif
