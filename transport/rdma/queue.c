/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection: a queue pair for one NVMe queue. Open, drained, lingering, dead, reaped, gone, freed.
 *
 * A queue pair that ends is broken first, so that the device gives back what it has of it: its
 * requests complete, and an event says that no receive is left in it. Only then, or when a device
 * takes too long for that, and when all of it in the completion queue has been seen (a device may drop
 * with a queue pair what is not), it is destroyed, after which nothing is moved for it; and when all has
 * been seen that the completion queue held then, nothing points at it any more.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "transport/address.h"
#include "transport/rdma/rdma.h"

/* Bits of a mask of attributes that the kernel has for itself, and lets through. */
enum { QP_MASK_KERNEL = 7 << 21 };

static void state_set(struct rdma_queue *rq, enum rdma_queue_state state)
{
	static const unsigned from[] = {
		[RDMA_QUEUE_DRAINING] = 1 << RDMA_QUEUE_OPEN,
		[RDMA_QUEUE_LINGERING] = 1 << RDMA_QUEUE_DRAINING,
		[RDMA_QUEUE_DEAD] =
			1 << RDMA_QUEUE_OPEN | 1 << RDMA_QUEUE_DRAINING | 1 << RDMA_QUEUE_LINGERING,
		[RDMA_QUEUE_REAPING] = 1 << RDMA_QUEUE_DEAD,
		[RDMA_QUEUE_GONE] = 1 << RDMA_QUEUE_REAPING,
	};

	assert(from[state] & 1u << rq->state);
	rq->state = state;
}

static void queue_timer(struct rdma_queue *rq, unsigned ms)
{
	/* Without memory for the timer the state lasts as long as the host likes; nothing else breaks. */
	if (loop_timer_start(rdma_queue_loop(rq), &rq->timer, ms * 1000000ull))
		log_error_about(queue_about(&rq->queue), "%s: no memory for a timer",
				rq->queue.peer);
}

static void queue_timed_out(struct timer *timer)
{
	struct rdma_queue *rq = container_of(timer, struct rdma_queue, timer);

	if (rq->state == RDMA_QUEUE_DEAD) {
		rq->last_receive = true;
		rq->pending = 0;
		rdma_queue_touch(rq);
		return;
	}
	if (rq->state == RDMA_QUEUE_OPEN) {
		counter_add(&rq->queue.worker->stats.host_timeouts, 1);
		log_peer(queue_about(&rq->queue),
			 "%s: no Connect within %u seconds; closing the connection", rq->queue.peer,
			 CONNECT_TIMEOUT_MS / 1000);
	}
	rdma_queue_dead(rq);
}

static void queue_out_of_patience(struct timer *timer)
{
	struct rdma_queue *rq = container_of(timer, struct rdma_queue, patience);

	counter_add(&rq->queue.worker->stats.host_timeouts, 1);
	log_peer(queue_about(&rq->queue),
		 "%s: queue %u took no response for %u ms while its commands waited; closing the "
		 "connection",
		 rq->queue.peer, rq->wants.qid, RDMA_PATIENCE_MS);
	rdma_queue_dead(rq);
}

/*
 * The device finds out that a host has vanished when it does not answer a request. While it asks for
 * nothing there is none, and one without keep alive (KATO 0) would have its queue pair for ever.
 */
static void queue_silent(struct timer *timer)
{
	struct rdma_queue *rq = container_of(timer, struct rdma_queue, silence);

	if (rq->heard == rq->queue.stats.commands && !rq->pending &&
	    rq->state < RDMA_QUEUE_LINGERING)
		rdma_probe(rq);
	rdma_queue_watch(rq);
}

void rdma_queue_watch(struct rdma_queue *rq)
{
	if (rq->state >= RDMA_QUEUE_LINGERING)
		return; /* which does not last */
	rq->heard = rq->queue.stats.commands;
	if (loop_timer_start(rdma_queue_loop(rq), &rq->silence, DEAD_PEER_S * 1000000000ull / 2))
		log_error_about(queue_about(&rq->queue), "%s: no memory for a timer",
				rq->queue.peer);
}

static void queue_event(struct rdma_owner *owner, const struct rdma_cm_event *event)
{
	struct rdma_queue *rq = container_of(owner, struct rdma_queue, owner);

	switch (event->event) {
	case RDMA_CM_EVENT_ESTABLISHED:
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		device_lost(rq->device, "it was removed");
		break;
	case RDMA_CM_EVENT_TIMEWAIT_EXIT: /* comes after the disconnect, which said all */
	case RDMA_CM_EVENT_DISCONNECTED:
	case RDMA_CM_EVENT_ADDR_CHANGE: /* what the queue pair sends would go to nobody */
	default:
		log_debug_about(queue_about(&rq->queue), "%s: %s", rq->queue.peer,
				rdma_event_str(event->event));
		rdma_queue_dead(rq);
		break;
	}
}

/* --------------------------------------------------------------------------------------- queue pair */

/*
 * Most requests that a queue has in flight at a time: of each command either its RDMA READs, or its
 * RDMA WRITEs and the response, mostly one or two. What exceeds it waits.
 */
static unsigned send_entries(const struct rdma_device *device, unsigned depth)
{
	return MIN(2 * depth + SGL_DESCRIPTORS + 1, (unsigned)device->attr.max_qp_wr);
}

static int qp_create(struct rdma_queue *rq)
{
	struct rdma_device *device = rq->device;
	struct ibv_qp_init_attr attr = {
		.qp_context = rq,
		.send_cq = device->cq,
		.recv_cq = device->cq,
		.srq = device->srq,
		.cap = {
			.max_send_wr = rq->sq_entries,
			.max_send_sge = 1,
			.max_inline_data = RDMA_INLINE,
		},
		.qp_type = IBV_QPT_RC,
	};

	rq->qp = ibv_create_qp(device->pd, &attr);
	if (!rq->qp)
		return -errno;
	if (attr.cap.max_inline_data < RDMA_INLINE)
		return -EOPNOTSUPP;
	list_add_head(device_qpns(device, rq->qp->qp_num), &rq->qpn_link);
	return 0;
}

/* 0 would be for ever. */
static uint8_t ack_timeout(uint8_t proposed)
{
	return proposed && proposed < RDMA_ACK_TIMEOUT ? proposed : RDMA_ACK_TIMEOUT;
}

/* Moves the queue pair to @state with what the connection manager knows of the other end. */
static int qp_move(struct rdma_queue *rq, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };
	int mask;

	if (rdma_init_qp_attr(rq->id, &attr, &mask))
		return -errno;
	mask &= ~QP_MASK_KERNEL;
	if (mask & IBV_QP_ACCESS_FLAGS)
		attr.qp_access_flags = 0; /* hosts reach none of our memory */
	if (mask & IBV_QP_MAX_DEST_RD_ATOMIC)
		attr.max_dest_rd_atomic = 0;
	if (mask & IBV_QP_MIN_RNR_TIMER)
		attr.min_rnr_timer = RDMA_RNR_TIMER;
	if (mask & IBV_QP_MAX_QP_RD_ATOMIC)
		attr.max_rd_atomic = (uint8_t)rq->reads_max;
	/* A host that takes nothing, or does not answer, is given up in some seconds. */
	if (mask & IBV_QP_RNR_RETRY)
		attr.rnr_retry = (uint8_t)MIN((int)attr.rnr_retry, RDMA_RETRIES);
	if (mask & IBV_QP_RETRY_CNT)
		attr.retry_cnt = (uint8_t)MIN((int)attr.retry_cnt, RDMA_RETRIES);
	if (mask & IBV_QP_TIMEOUT)
		attr.timeout = ack_timeout(attr.timeout);
	return -ibv_modify_qp(rq->qp, &attr, mask);
}

static void qp_break(struct rdma_queue *rq)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	/* One that was never connected, or whose device is gone, has nothing that could come back. */
	if (ibv_modify_qp(rq->qp, &attr, IBV_QP_STATE)) {
		rq->last_receive = true;
		rq->pending = 0;
	}
}

/* 0 or negative errno: it is still there. */
static int qp_destroy(struct rdma_queue *rq)
{
	int error = rq->qp ? ibv_destroy_qp(rq->qp) : 0;

	if (error)
		return -error;
	list_del(&rq->qpn_link);
	rq->qp = NULL;
	return 0;
}

/* Sets @step to what it tries. 0 or negative errno. */
static int queue_accept(struct rdma_queue *rq, const char **step)
{
	struct private_accept private;
	struct rdma_conn_param param = {
		.private_data = &private,
		.private_data_len = sizeof(private),
		.initiator_depth = (uint8_t)rq->reads_max,
		.rnr_retry_count = 7, /* of the host, when receives are short: it waits */
		.srq = 1,
		.qp_num = rq->qp->qp_num,
	};
	int rc;

	*step = "the queue pair cannot be made ready";
	rc = qp_move(rq, IBV_QPS_INIT);
	if (!rc)
		rc = qp_move(rq, IBV_QPS_RTR);
	if (!rc)
		rc = qp_move(rq, IBV_QPS_RTS);
	if (rc)
		return rc;
	private_encode_accept(&private, rq->wants.depth);
	*step = "the connection cannot be accepted, the host may have given up";
	return rdma_accept(rq->id, &param) ? -errno : 0;
}

/* ------------------------------------------------------------------------------------------ opening */

static void queue_init_lists(struct rdma_queue *rq)
{
	list_init(&rq->link);
	list_init(&rq->qpn_link);
	list_init(&rq->dirty_link);
	list_init(&rq->ending_link);
	list_init(&rq->backlog);
	list_init(&rq->fetches);
	list_init(&rq->responses);
	list_init(&rq->slot0.link);
	timer_init(&rq->timer, queue_timed_out);
	timer_init(&rq->patience, queue_out_of_patience);
	timer_init(&rq->silence, queue_silent);
}

enum private_sts rdma_queue_open(struct rdma_worker *rdma, struct listener *listener,
				 struct rdma_cm_id *id, const struct private_wants *wants,
				 unsigned reads_max)
{
	char why[LISTENER_WHY_MAX], peer[sizeof(((struct queue *)NULL)->peer)];
	struct rdma_device *device = device_get(rdma, id->verbs, why, sizeof(why));
	const char *step = "the completion queue cannot grow: fewer, or shorter, queues may do";
	struct rdma_queue *rq;
	int rc;

	address_text(rdma_get_peer_addr(id), peer, sizeof(peer));
	if (!device) {
		log_peer(log_about(.peer = peer, .listener = listener->config->name),
			 "%s: refused: %s", peer, why);
		return PRIVATE_NO_RESOURCES;
	}
	rq = calloc(1, sizeof(*rq));
	if (!rq) {
		log_peer(log_about(.peer = peer, .listener = listener->config->name),
			 "%s: refused: no memory for a new connection", peer);
		return PRIVATE_NO_RESOURCES;
	}
	rq->owner.event = queue_event;
	rq->device = device;
	rq->id = id;
	rq->wants = *wants;
	rq->reads_max = MIN(reads_max, (unsigned)device->attr.max_qp_init_rd_atom);
	rq->reads_max = MIN(rq->reads_max, (unsigned)RDMA_READS);
	rq->sq_entries = send_entries(device, wants->depth);
	queue_init_lists(rq);
	rc = device_promise(device, rq->sq_entries);
	if (rc)
		goto fail;
	step = "no queue pair can be made";
	rc = qp_create(rq);
	if (!rc)
		rc = queue_accept(rq, &step);
	if (rc)
		goto fail_qp;
	queue_init(&rq->queue, &rdma_transport, listener, rdma->worker, &rq->slot0.cmd);
	/* What is in a backend's own memory is in no region. */
	rq->queue.map_writes = false;
	rq->queue.map_reads = 0;
	memcpy(rq->queue.peer, peer, sizeof(rq->queue.peer));
	address_host_text(rdma_get_local_addr(id), rq->queue.local_address,
			  sizeof(rq->queue.local_address));
	list_add_tail(&device->queues, &rq->link);
	device->n_open++;
	id->context = &rq->owner;
	queue_timer(rq, CONNECT_TIMEOUT_MS);
	return PRIVATE_OK;
fail_qp:
	if (qp_destroy(rq)) { /* what is left of it points here: both stay */
		device_lost(device, "a queue pair cannot be destroyed");
		return PRIVATE_NO_RESOURCES;
	}
	device->cq_promised -= rq->sq_entries;
fail:
	log_peer(log_about(.peer = peer, .listener = listener->config->name),
		 "%s: refused: RDMA device %s: %s (%u requests): %s", peer, device->name, step,
		 rq->sq_entries, strerror(-rc));
	free(rq);
	return PRIVATE_NO_RESOURCES;
}

/* ------------------------------------------------------------------------------------------- turns */

void rdma_queue_touch(struct rdma_queue *rq)
{
	if (list_empty(&rq->dirty_link))
		list_add_tail(&rq->device->rdma->dirty, &rq->dirty_link);
}

void rdma_queue_drain(struct rdma_queue *rq)
{
	if (rq->state == RDMA_QUEUE_OPEN) {
		state_set(rq, RDMA_QUEUE_DRAINING);
		rdma_backlog_drop(rq);
	}
	if (rq->state == RDMA_QUEUE_DRAINING)
		rdma_queue_touch(rq);
}

void rdma_queue_dead(struct rdma_queue *rq)
{
	if (rq->state >= RDMA_QUEUE_DEAD)
		return;
	state_set(rq, RDMA_QUEUE_DEAD);
	queue_lost(&rq->queue);
	loop_timer_stop(rdma_queue_loop(rq), &rq->timer);
	loop_timer_stop(rdma_queue_loop(rq), &rq->silence);
	rdma_backlog_drop(rq);
	qp_break(rq);
	rdma_disconnect(rq->id);
	queue_timer(rq, RDMA_FLUSH_MS);
	rdma_queue_touch(rq);
}

void rdma_queue_broke(struct rdma_queue *rq)
{
	if (rq->state < RDMA_QUEUE_LINGERING)
		log_peer(
			queue_about(&rq->queue),
			"%s: the queue pair broke, by a request that is not allowed, or from the other "
			"side; closing the connection",
			rq->queue.peer);
	rdma_queue_dead(rq);
}

/* All is answered, and the host has it: the end of its queue comes next. */
static void queue_linger(struct rdma_queue *rq)
{
	state_set(rq, RDMA_QUEUE_LINGERING);
	rdma_disconnect(rq->id);
	queue_timer(rq, RDMA_LINGER_MS);
}

static bool queue_is_answered(struct rdma_queue *rq)
{
	return !rq->pending && list_empty(&rq->responses) && queue_may_end(&rq->queue);
}

void rdma_queue_turn(struct rdma_queue *rq)
{
	if (rq->state == RDMA_QUEUE_DEAD) {
		if (list_empty(&rq->ending_link) &&
		    (rq->device->gone || (rq->last_receive && !rq->pending)))
			device_ending(rq);
	} else if (rq->state < RDMA_QUEUE_LINGERING) {
		rdma_send(rq);
		if (rq->state == RDMA_QUEUE_DRAINING && queue_is_answered(rq))
			queue_linger(rq);
	}
}

/* All that it gave back has been seen: the queue pair goes, and nothing is moved for it any more. */
static void queue_destroy(struct rdma_queue *rq)
{
	int rc = qp_destroy(rq);

	if (rc) { /* the device may still write to its buffers: nothing is given back before it has gone */
		char why[LISTENER_WHY_MAX];

		snprintf(why, sizeof(why), "a queue pair cannot be destroyed: %s", strerror(-rc));
		device_lost(rq->device, why);
		queue_timer(rq, RDMA_FLUSH_MS);
		return;
	}
	loop_timer_stop(rdma_queue_loop(rq), &rq->timer);
	state_set(rq, RDMA_QUEUE_REAPING);
	device_ending(rq);
}

/* Nothing points at it any more. */
static void queue_reaped(struct rdma_queue *rq)
{
	struct list live = LIST_INIT(live), *node;

	state_set(rq, RDMA_QUEUE_GONE);
	rdma_destroy_id(rq->id);
	rq->id = NULL;
	rq->device->n_open--;
	queue_gone(&rq->queue);
	list_splice_tail(&live, &rq->queue.live);
	while ((node = list_pop(&live))) {
		struct cmd *cmd = list_entry(node, struct cmd, link);

		list_add_tail(&rq->queue.live, node);
		if (cmd->state == CMD_FETCHING || cmd->state == CMD_RESPONDING)
			cmd_cancel(cmd);
	}
	device_put(rq->device);
}

void rdma_queue_settled(struct rdma_queue *rq)
{
	if (rq->state == RDMA_QUEUE_DEAD)
		queue_destroy(rq);
	else
		queue_reaped(rq);
}

void rdma_queue_free(struct queue *queue)
{
	struct rdma_queue *rq = rdma_queue_of(queue);
	struct rdma_device *device = rq->device;
	struct worker *worker = queue->worker;

	assert(rq->state == RDMA_QUEUE_GONE);
	list_del(&rq->dirty_link);
	list_del(&rq->link);
	device->cq_promised -= rq->sq_entries;
	queue_fini(queue);
	free(rq);
	device_put(device);
	worker_connection_put(worker);
}
