/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue over NVMe/RDMA: its queue pair, memory and connection. Between the files of RDMA. What is
 * called hrdma_ is this host's, what is called rdma_ the connection manager library's.
 */
#ifndef SLUICE_BENCH_RDMA_H
#define SLUICE_BENCH_RDMA_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "base/compiler.h"
#include "internal.h"
#include "rdma_wire.h"

enum {
	RDMA_BOUNCES = 64, /* commands at a time whose data lies in no registered region */
	RDMA_BOUNCE_NONE = RDMA_BOUNCES,
	RDMA_RESPONSE_ROOM = 64, /* of a response: more than its 16 bytes, to see a long one */
	RDMA_POLL_BATCH = 32,	 /* completions taken at a time */
	RDMA_PRIVATE_MAX = 256,
	RDMA_WRS = 3, /* of a command: end and bind a window, send the capsule */
	RDMA_EVENT_NONE = -1,
};

/* Requests in the ring, all of the admin queue. */
enum hrdma_ring_kind { RDMA_RING_EVENTS, RDMA_RING_COMPS, RDMA_RING_KINDS };

/* What RDMA keeps beside a slot. */
struct hrdma_slot {
	struct ibv_send_wr unbind, bind, send; /* linked when the command is queued */
	struct ibv_sge sge[2];		       /* of the capsule: command, data */
	struct ibv_mw *mw;		       /* with --invalidate */
	uint32_t key;			       /* that the command's SGL names */
	bool invalidate;		       /* and asks to be invalidated */
	bool bound;			       /* the window has to be ended before its next use */
	bool sent;			       /* the device is done with the capsule */
	uint16_t bounce;		       /* chunk of the bounce region, or RDMA_BOUNCE_NONE */
};

/* A receive of one response. */
struct hrdma_receive {
	struct ibv_recv_wr wr;
	struct ibv_sge sge;
};

struct hrdma_queue {
	struct queue q; /* first: see fabric.h */
	struct rdma_cm_id *id;
	struct ibv_cq *cq;
	bool connected;
	bool armed; /* the completion queue will raise an event */
	bool lost;  /* `event` ended the connection; what is in the completion queue comes first */
	int event;  /* the last of the connection manager's, or RDMA_EVENT_NONE */
	int event_status;
	uint8_t private_data[RDMA_PRIVATE_MAX]; /* that came with it */
	size_t private_len;

	uint32_t entries; /* that there is memory for */
	struct hrdma_slot *slots;
	struct hrdma_receive *receives;
	struct nvme_sqe *capsules; /* in hrdma_assoc.local, one a slot */
	uint8_t *responses;	   /* likewise, RDMA_RESPONSE_ROOM for each receive */
	struct ibv_send_wr *send_head, **send_tail; /* what the next flush posts */
};

/* What the queues of an association share while it lasts. */
struct hrdma_assoc {
	struct rdma_event_channel *events;
	bool events_polled, comps_polled; /* requests in the ring */
	struct ibv_context *verbs;	  /* the device, librdmacm's */
	struct ibv_device_attr attr;
	struct ibv_pd *pd;
	struct ibv_comp_channel *comps;
	uint8_t *local; /* capsules and responses, for the device alone */
	struct ibv_mr *local_mr;
	uint8_t *bounce; /* RDMA_BOUNCES chunks, each with a guard behind it */
	struct ibv_mr *bounce_mr;
	uint16_t bounce_free[RDMA_BOUNCES];
	unsigned n_bounce_free;
	struct ibv_mr *regions[INITIATOR_REGIONS]; /* of the initiator's regions */
};

static inline struct hrdma_queue *hrdma_queue(struct queue *q)
{
	return container_of(q, struct hrdma_queue, q);
}

/* rdma_cm.c: the connection manager's part of fabric_ops. */
int hrdma_assoc_open(struct initiator *in);
void hrdma_assoc_close(struct initiator *in);
int hrdma_queue_open(struct queue *q);
void hrdma_queue_break(struct queue *q);
void hrdma_queue_close(struct queue *q);

/* Handles what the connection manager has to say, without waiting. */
void hrdma_events_read(struct initiator *in);
/* Ends the association for the event that @r was lost by. */
void hrdma_queue_lost(struct hrdma_queue *r);

/* rdma_memory.c: the device's view of memory. */

/* Opens the association's side of device @verbs; again: checks that it is the same. 0 or a negative
 * errno after initiator_fail(). */
int hrdma_device_open(struct initiator *in, struct ibv_context *verbs);
void hrdma_device_close(struct hrdma_assoc *a);

/* Registers region @index of the initiator, when there is a device. As hrdma_device_open(). */
int hrdma_region_add(struct initiator *in, unsigned index);
void hrdma_region_remove(struct initiator *in, unsigned index);

/* Where the data of a command lies for the device. */
struct hrdma_place {
	uint8_t *addr;
	struct ibv_mr *mr;
	uint16_t bounce; /* RDMA_BOUNCE_NONE: the caller's memory itself */
};

/* Finds it, or takes a chunk and fills it. 0; -EAGAIN: no chunk left; -EINVAL: too long for one. */
int hrdma_place_find(struct initiator *in, const struct initiator_cmd *cmd,
		     struct hrdma_place *place);

/* What was received through chunk @index goes to its command. False: it overran. */
bool hrdma_bounce_take(struct hrdma_assoc *a, unsigned index, const struct initiator_cmd *cmd);
void hrdma_bounce_put(struct hrdma_assoc *a, unsigned index);

/* rdma.c */

/* Posts all receives of a queue whose queue pair is new. 0 or a negative errno. */
int hrdma_receives_post(struct hrdma_queue *r);

#endif
