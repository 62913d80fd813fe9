/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of NVMe/RDMA queues: addresses, queue pairs, and how they begin and end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "rdma.h"

enum {
	RETRIES = 7,	 /* of a packet; and without end while the peer has no receive (rnr) */
	READS_MAX = 255, /* RDMA reads at a time that the request to connect can grant */
	REJECT_NO_LISTENER = 8, /* reasons of the connection manager itself (InfiniBand 12.6.7.2) */
	REJECT_CONSUMER = 28,
};

static const char no_device[] =
	"no RDMA device: `rdma link' lists them; load the driver of the network card, or make a soft "
	"one with `rdma link add rxe0 type rxe netdev INTERFACE'";

int hrdma_assoc_open(struct initiator *in)
{
	struct hrdma_assoc *a = calloc(1, sizeof(*a));

	if (!a) {
		initiator_fail(in, false, "out of memory");
		return -ENOMEM;
	}
	in->rdma = a;
	a->events = rdma_create_event_channel();
	if (!a->events) {
		if (errno == ENODEV || errno == ENOENT)
			initiator_fail(in, false, "%s", no_device);
		else
			initiator_fail(
				in, false,
				"the RDMA connection manager cannot be used: %s (is the module "
				"rdma_ucm loaded, and may this user open /dev/infiniband/rdma_cm?)",
				strerror(errno));
		return -ENODEV;
	}
	fcntl(a->events->fd, F_SETFL, fcntl(a->events->fd, F_GETFL) | O_NONBLOCK);
	return 0;
}

void hrdma_assoc_close(struct initiator *in)
{
	struct hrdma_assoc *a = in->rdma;

	if (!a)
		return;
	hrdma_device_close(a);
	if (a->events)
		rdma_destroy_event_channel(a->events);
	free(a);
	in->rdma = NULL;
}

/* ----------------------------------------------------------------------------------------- events */

void hrdma_queue_lost(struct hrdma_queue *r)
{
	struct queue *q = &r->q;

	switch (r->event) {
	case RDMA_CM_EVENT_DISCONNECTED:
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		initiator_fail(q->in, true, "queue %u: the controller closed the connection",
			       q->qid);
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		initiator_fail(q->in, true, "queue %u: the RDMA device was removed", q->qid);
		break;
	case RDMA_CM_EVENT_ADDR_CHANGE:
		initiator_fail(q->in, true, "queue %u: the address moved to another device",
			       q->qid);
		break;
	default:
		initiator_fail(q->in, true, "connection lost on queue %u: %s", q->qid,
			       rdma_event_str((enum rdma_cm_event_type)r->event));
		break;
	}
}

static void event_note(struct hrdma_queue *r, const struct rdma_cm_event *event)
{
	const struct rdma_conn_param *param = &event->param.conn;
	bool has_data =
		event->event == RDMA_CM_EVENT_ESTABLISHED || event->event == RDMA_CM_EVENT_REJECTED;

	r->event = (int)event->event;
	r->event_status = event->status;
	r->private_len = has_data && param->private_data ? param->private_data_len : 0;
	if (r->private_len)
		memcpy(r->private_data, param->private_data, r->private_len);
}

void hrdma_events_read(struct initiator *in)
{
	struct rdma_cm_event *event;

	while (rdma_get_cm_event(in->rdma->events, &event) == 0) {
		struct hrdma_queue *r = event->id->context;

		event_note(r, event);
		/* What the controller sent before counts first. */
		r->lost = r->connected;
		rdma_ack_cm_event(event);
	}
}

/* Why a step of connecting failed, by the event that ended it. */
static void step_failed(struct hrdma_queue *r)
{
	struct queue *q = &r->q;
	struct initiator *in = q->in;
	char text[RDMA_TEXT_MAX];
	int err = -r->event_status;

	switch (r->event) {
	case RDMA_CM_EVENT_REJECTED:
		if (r->event_status == REJECT_CONSUMER)
			initiator_fail(in, false, "queue %u: connection rejected: %s", q->qid,
				       hrdma_reject_text(r->private_data, r->private_len, text));
		else
			initiator_fail(in, true, "queue %u: connection rejected (reason %d)%s",
				       q->qid, r->event_status,
				       r->event_status == REJECT_NO_LISTENER ?
					       initiator_connect_hint(ECONNREFUSED) :
					       "");
		break;
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
		if (err == ENODEV)
			initiator_fail(in, true, "no RDMA device leads to that address: %s",
				       no_device);
		else
			initiator_fail(in, true, "the address cannot be resolved over RDMA: %s%s",
				       strerror(err), initiator_connect_hint(err));
		break;
	case RDMA_CM_EVENT_UNREACHABLE:
		initiator_fail(in, true, "queue %u%s", q->qid, initiator_connect_hint(ETIMEDOUT));
		break;
	default:
		initiator_fail(in, true, "queue %u: cannot connect: %s (%d)", q->qid,
			       rdma_event_str((enum rdma_cm_event_type)r->event), r->event_status);
		break;
	}
}

/* Waits for the event @want of a step called @what. 0, or -ECONNREFUSED after initiator_fail(). */
static int event_wait(struct hrdma_queue *r, int want, const char *what)
{
	struct initiator *in = r->q.in;
	uint64_t deadline = clock_now_ns() + in->options.connect_timeout_ms * 1000000ull;
	struct pollfd pfd = { .fd = in->rdma->events->fd, .events = POLLIN };

	for (;;) {
		uint64_t now = clock_now_ns();

		hrdma_events_read(in);
		if (in->failed)
			break;
		if (r->event == want)
			return 0;
		if (r->event != RDMA_EVENT_NONE) {
			step_failed(r);
			break;
		}
		if (now >= deadline) {
			initiator_fail(in, true, "queue %u: no answer to %s within %u ms", r->q.qid,
				       what, in->options.connect_timeout_ms);
			break;
		}
		poll(&pfd, 1, (int)((deadline - now) / 1000000u) + 1);
	}
	return -ECONNREFUSED;
}

/* @rc: of a function of librdmacm that starts a step whose event is @want. */
static int step(struct hrdma_queue *r, int rc, int want, const char *what)
{
	int err = errno;

	if (!rc)
		return event_wait(r, want, what);
	if (err == ENODEV)
		initiator_fail(r->q.in, true, "no RDMA device leads to that address: %s",
			       no_device);
	else
		initiator_fail(r->q.in, true, "queue %u: %s failed: %s%s", r->q.qid, what,
			       strerror(err), initiator_connect_hint(err));
	return -ECONNREFUSED;
}

/* -------------------------------------------------------------------------------------- queue pair */

/* Of each slot one, when data is to be invalidated. False when the device has no more. */
static bool windows_open(struct hrdma_queue *r)
{
	struct ibv_pd *pd = r->q.in->rdma->pd;

	for (unsigned i = 0; i < r->q.n_slots; i++) {
		r->slots[i].bound = false;
		r->slots[i].mw = ibv_alloc_mw(pd, IBV_MW_TYPE_2);
		if (!r->slots[i].mw)
			return false;
	}
	return true;
}

static int pair_open(struct hrdma_queue *r)
{
	struct queue *q = &r->q;
	struct initiator *in = q->in;
	struct hrdma_assoc *a = in->rdma;
	uint32_t sends = q->n_slots * (in->options.invalidate ? RDMA_WRS : 1);
	struct ibv_qp_init_attr attr = {
		.cap = { .max_send_wr = sends,
			 .max_recv_wr = q->entries,
			 .max_send_sge = 2,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};

	r->cq = ibv_create_cq(a->verbs, (int)(sends + q->entries), r, a->comps, 0);
	attr.send_cq = attr.recv_cq = r->cq;
	if (r->cq && rdma_create_qp(r->id, a->pd, &attr) == 0 &&
	    (!in->options.invalidate || windows_open(r)))
		return hrdma_receives_post(r);
	initiator_fail(in, true,
		       "queue %u: the RDMA device has no queue pair for %u commands: %s%s", q->qid,
		       q->n_slots, strerror(errno),
		       errno == ENOMEM ? " (ulimit -l limits locked memory)" : "");
	return -ENOMEM;
}

static int pair_connect(struct hrdma_queue *r)
{
	struct queue *q = &r->q;
	struct initiator *in = q->in;
	struct hrdma_request request;
	struct rdma_conn_param param = {
		.private_data = &request,
		.private_data_len = sizeof(request),
		.responder_resources = (uint8_t)MIN(in->rdma->attr.max_qp_rd_atom, READS_MAX),
		.flow_control = 1,
		.retry_count = RETRIES,
		.rnr_retry_count = RETRIES,
	};
	char text[RDMA_TEXT_MAX];
	const char *what;
	int rc;

	hrdma_request_encode(&request, q->qid, q->entries, in->cntlid);
	r->event = RDMA_EVENT_NONE;
	rc = step(r, rdma_connect(r->id, &param), RDMA_CM_EVENT_ESTABLISHED,
		  "the request to connect");
	if (rc)
		return rc;
	r->connected = true;
	what = hrdma_accept_fault(r->private_data, r->private_len, q->n_slots, text);
	if (what)
		initiator_violation(q, "%s", what);
	return what ? -EPROTO : 0;
}

int hrdma_queue_open(struct queue *q)
{
	struct hrdma_queue *r = hrdma_queue(q);
	struct initiator *in = q->in;
	struct initiator_options *o = &in->options;
	struct sockaddr *source = o->host_addr_len ? (struct sockaddr *)&o->host_addr : NULL;
	int timeout_ms = (int)o->connect_timeout_ms;
	int rc;

	queue_reset(q);
	r->connected = false;
	r->lost = false;
	r->armed = false;
	r->event = RDMA_EVENT_NONE;
	r->cq = NULL;
	r->send_head = NULL;
	r->send_tail = &r->send_head;
	/* Data in the capsule is for I/O queues only, as with a Linux host. */
	if (q->qid == 0)
		q->in_capsule = 0;
	if (rdma_create_id(in->rdma->events, &r->id, r, RDMA_PS_TCP)) {
		initiator_fail(in, true, "no RDMA connection: %s", strerror(errno));
		return -ENODEV;
	}
	q->open = true;
	rc = step(r, rdma_resolve_addr(r->id, source, (struct sockaddr *)&o->addr, timeout_ms),
		  RDMA_CM_EVENT_ADDR_RESOLVED, "resolving the address");
	if (!rc)
		rc = hrdma_device_open(in, r->id->verbs);
	r->event = RDMA_EVENT_NONE;
	if (!rc)
		rc = step(r, rdma_resolve_route(r->id, timeout_ms), RDMA_CM_EVENT_ROUTE_RESOLVED,
			  "resolving the route");
	if (!rc)
		rc = pair_open(r);
	if (!rc)
		rc = pair_connect(r);
	/* The admin queue carries the requests that wait for events of all queues. */
	initiator_queue_dirty(in->queues[0]);
	return rc;
}

void hrdma_queue_break(struct queue *q)
{
	struct hrdma_queue *r = hrdma_queue(q);

	if (r->connected)
		rdma_disconnect(r->id);
	r->connected = false;
	for (unsigned kind = 0; kind < RDMA_RING_KINDS && q->qid == 0; kind++)
		initiator_sqe_cancel(q, kind);
}

void hrdma_queue_close(struct queue *q)
{
	struct hrdma_queue *r = hrdma_queue(q);

	if (r->id->qp)
		rdma_destroy_qp(r->id);
	for (unsigned i = 0; i < r->entries - 1; i++) {
		if (r->slots[i].mw)
			ibv_dealloc_mw(r->slots[i].mw);
		r->slots[i].mw = NULL;
	}
	if (r->cq)
		ibv_destroy_cq(r->cq);
	r->cq = NULL;
	rdma_destroy_id(r->id);
	r->id = NULL;
}
