/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection of the rig: how it comes to be, its events, its end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "rdma_rig.h"

enum {
	RESOLVE_MS = 2000,
	CLOSE_MS = 5000,
	RETRIES = 7,              /* of a receiver that is not ready: without end */
	QP_MASK_KERNEL = 7 << 21, /* attributes that programs do not set */
};

struct conn_wants conn_wants(uint16_t qid, unsigned depth)
{
	return (struct conn_wants){
		.request = { .qid = le16(qid),
			     .hrqsize = le16((uint16_t)depth),
			     .hsqsize = le16((uint16_t)(depth - 1)) },
		.request_len = CM_PRIVATE_LEN,
		.responder_resources = 16,
		.initiator_depth = 16,
		.sends = depth + RIG_SPARE_SENDS,
		.recvs = depth,
		.capsule_room = CAPSULE_LEN,
	};
}

/* --------------------------------------------------------------------------------------- events */

static void conn_failed(struct conn *conn, const char *failure)
{
	conn->state = CONN_FAILED;
	conn->failure = failure;
}

static void rejected_handle(struct conn *conn, const struct rdma_cm_event *event)
{
	const struct rdma_conn_param *param = &event->param.conn;
	struct cm_reject reject;

	if (event->status != CM_REJECTED_BY_PEER || param->private_data_len < sizeof(reject)) {
		conn_failed(conn, "rejected without a reason of NVMe/RDMA");
		return;
	}
	memcpy(&reject, param->private_data, sizeof(reject));
	if (le16_get(reject.recfmt)) {
		conn_failed(conn, "rejected in a format that is not 0");
		return;
	}
	conn->state = CONN_REJECTED;
	conn->reject_status = le16_get(reject.sts);
}

/*
 * The acceptance tells what the target will have on its way; as events have it, from this side: how
 * many of its RDMA READs are to be answered here. Soft-RoCE answers any number, other devices none beyond
 * what was offered.
 */
static void established_handle(struct conn *conn, const struct rdma_cm_event *event)
{
	const struct rdma_conn_param *param = &event->param.conn;

	if (param->responder_resources > conn->wants.responder_resources ||
	    param->initiator_depth > conn->wants.initiator_depth) {
		conn_failed(conn,
			    "the target takes a greater depth of RDMA READs than was offered");
		return;
	}
	conn->state = CONN_UP;
	conn->reads = param->responder_resources;
	if (param->private_data)
		memcpy(&conn->accept, param->private_data,
		       MIN(sizeof(conn->accept), param->private_data_len));
}

/* A queue pair of our own making: to its next state, with what the connection manager knows. */
static void qp_move(struct conn *conn, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };
	int mask;

	if (rdma_init_qp_attr(conn->id, &attr, &mask))
		die("rdma_init_qp_attr");
	if (mask & IBV_QP_ACCESS_FLAGS)
		attr.qp_access_flags = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
	if (mask & IBV_QP_MAX_QP_RD_ATOMIC)
		attr.max_rd_atomic = conn->wants.forced_reads;
	if (ibv_modify_qp(conn->qp, &attr, mask & ~QP_MASK_KERNEL))
		die("ibv_modify_qp");
}

/* Librdmacm leaves this to those who make their queue pairs. */
static void response_handle(struct conn *conn, const struct rdma_cm_event *event)
{
	qp_move(conn, IBV_QPS_RTR);
	qp_move(conn, IBV_QPS_RTS);
	if (rdma_establish(conn->id))
		die("rdma_establish");
	established_handle(conn, event);
}

static void event_handle(struct conn *conn, const struct rdma_cm_event *event)
{
	conn->last_event = event->event;
	switch (event->event) {
	case RDMA_CM_EVENT_ESTABLISHED:
		established_handle(conn, event);
		break;
	case RDMA_CM_EVENT_CONNECT_RESPONSE:
		response_handle(conn, event);
		break;
	case RDMA_CM_EVENT_REJECTED:
		/* One that is up, too: closed before the target heard that the handshake was over. */
		if (conn->state == CONN_UP)
			conn->state = CONN_ENDED;
		else
			rejected_handle(conn, event);
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		if (event->status)
			conn_failed(conn, "the target does not answer a disconnect request");
		else
			conn->state = CONN_ENDED;
		break;
	case RDMA_CM_EVENT_ADDR_RESOLVED:
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		break;
	default:
		conn_failed(conn, rdma_event_str(event->event));
		break;
	}
}

static bool events_handle(struct conn *conn)
{
	struct rdma_cm_event *event;
	bool any = false;

	while (!rdma_get_cm_event(conn->channel, &event)) {
		event_handle(conn, event);
		rdma_ack_cm_event(event);
		any = true;
	}
	return any;
}

static void completion_events_drain(struct conn *conn)
{
	struct ibv_cq *cq;
	void *context;

	while (!ibv_get_cq_event(conn->completions, &cq, &context))
		ibv_ack_cq_events(cq, 1);
}

/* What there is of either. */
static bool conn_handle(struct conn *conn)
{
	bool events = events_handle(conn);

	return conn_complete(conn) || events;
}

bool conn_pump(struct conn *conn, int ms)
{
	struct pollfd fds[] = { { .fd = conn->channel->fd, .events = POLLIN },
				{ .fd = conn->completions ? conn->completions->fd : -1,
				  .events = POLLIN } };
	bool any = conn_handle(conn);

	if (any || !ms)
		return any;
	if (conn->qp) {
		if (ibv_req_notify_cq(conn->cq, 0))
			die("ibv_req_notify_cq");
		if (conn_complete(conn))
			return true;
	}
	poll(fds, ARRAY_SIZE(fds), ms);
	if (fds[1].revents)
		completion_events_drain(conn);
	return conn_handle(conn);
}

bool conn_wait(struct conn *conn, uint64_t end)
{
	uint64_t now = now_ms();

	if (now >= end)
		return conn_pump(conn, 0);
	conn_pump(conn, (int)(end - now));
	return true;
}

bool conn_settle_until(struct conn *conn, bool end, uint64_t limit)
{
	while (conn->state == CONN_NEW || (end && conn->state == CONN_UP))
		if (!conn_wait(conn, limit))
			return false;
	return true;
}

bool conn_settle(struct conn *conn, bool end, unsigned ms)
{
	return conn_settle_until(conn, end, now_ms() + (uint64_t)ms * conn->host->rig->slowness);
}

/* ------------------------------------------------------------------------- connecting, and its end */

static void event_await(struct conn *conn, enum rdma_cm_event_type type)
{
	uint64_t end = now_ms() + (uint64_t)RESOLVE_MS * 2 * conn->host->rig->slowness;

	while (conn->last_event != type && conn->state == CONN_NEW && conn_wait(conn, end))
		;
	if (conn->last_event != type) {
		errno = EHOSTUNREACH;
		die("resolving the target's address");
	}
}

static void host_prepare(struct host *host, struct rdma_cm_id *id)
{
	unsigned access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

	if (host->pd)
		return;
	host->pd = ibv_alloc_pd(id->verbs);
	if (!host->pd)
		die("ibv_alloc_pd");
	host->control = region_make(host, NVME_IDENTIFY_SIZE * 2, access);
	host->data = region_make(host, HOST_DATA_LEN, access | IBV_ACCESS_MW_BIND);
}

static void qp_make(struct conn *conn)
{
	struct host *host = conn->host;
	const struct conn_wants *wants = &conn->wants;
	struct ibv_qp_init_attr attr = { .qp_type = IBV_QPT_RC };
	size_t len = (size_t)wants->sends * wants->capsule_room +
		     (size_t)(wants->recvs + 1) * CONN_RECV_ROOM;

	conn->completions = ibv_create_comp_channel(conn->id->verbs);
	if (!conn->completions || fcntl(conn->completions->fd, F_SETFL, O_NONBLOCK))
		die("ibv_create_comp_channel");
	conn->cq = ibv_create_cq(conn->id->verbs, (int)(wants->sends + wants->recvs + 2), NULL,
				 conn->completions, 0);
	if (!conn->cq)
		die("ibv_create_cq");
	attr.send_cq = conn->cq;
	attr.recv_cq = conn->cq;
	attr.cap = (struct ibv_qp_cap){ .max_send_wr = wants->sends + 1,
					.max_recv_wr = wants->recvs + 1,
					.max_send_sge = 1,
					.max_recv_sge = 1 };
	if (!wants->forced_reads && rdma_create_qp(conn->id, host->pd, &attr))
		die("rdma_create_qp");
	conn->qp = wants->forced_reads ? ibv_create_qp(host->pd, &attr) : conn->id->qp;
	if (!conn->qp)
		die("ibv_create_qp");
	if (wants->forced_reads)
		qp_move(conn, IBV_QPS_INIT);
	conn->slots = region_make(host, len, IBV_ACCESS_LOCAL_WRITE);
	conn->send_busy = calloc(wants->sends, sizeof(*conn->send_busy));
	if (!conn->send_busy)
		die("sends");
	for (unsigned i = 0; i < wants->recvs; i++)
		conn_recv_post(conn, i);
}

static void conn_request(struct conn *conn)
{
	struct rdma_conn_param param = {
		.private_data = conn->wants.request_len ? &conn->wants.request : NULL,
		.private_data_len = conn->wants.request_len,
		.responder_resources = conn->wants.responder_resources,
		.initiator_depth = conn->wants.initiator_depth,
		.retry_count = RETRIES,
		.rnr_retry_count = RETRIES,
		.qp_num = conn->qp->qp_num,
	};

	if (rdma_connect(conn->id, &param))
		die("rdma_connect");
	if (conn->wants.no_wait)
		return;
	if (!conn_settle(conn, false, RIG_ANSWER_MS))
		conn_failed(conn, "the target does not answer the connect request");
}

struct conn *conn_open(struct host *host, const struct conn_wants *wants)
{
	struct sockaddr *source = (struct sockaddr *)&host->rig->source;
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		die("connection");
	conn->host = host;
	conn->wants = *wants;
	list_add_tail(&host->rig->conns, &conn->link);
	conn->last_event = RDMA_CM_EVENT_TIMEWAIT_EXIT;
	conn->channel = rdma_create_event_channel();
	if (!conn->channel || fcntl(conn->channel->fd, F_SETFL, O_NONBLOCK))
		die("rdma_create_event_channel");
	if (rdma_create_id(conn->channel, &conn->id, conn, RDMA_PS_TCP))
		die("rdma_create_id");
	if (rdma_resolve_addr(conn->id, host->rig->has_source ? source : NULL,
			      (struct sockaddr *)&host->rig->address, RESOLVE_MS))
		die("rdma_resolve_addr");
	event_await(conn, RDMA_CM_EVENT_ADDR_RESOLVED);
	host->rig->device = ibv_get_device_name(conn->id->verbs->device);
	if (rdma_resolve_route(conn->id, RESOLVE_MS))
		die("rdma_resolve_route");
	event_await(conn, RDMA_CM_EVENT_ROUTE_RESOLVED);
	host_prepare(host, conn->id);
	qp_make(conn);
	conn_request(conn);
	return conn;
}

void conn_close(struct conn *conn)
{
	if (conn->state == CONN_UP || conn->state == CONN_ENDED)
		rdma_disconnect(conn->id);
	conn_settle(conn, conn->state == CONN_UP, CLOSE_MS);
}

void conn_abort(struct conn *conn)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	/* From here on it answers nothing; what it has answered can be told. */
	conn->no_repost = true;
	if (conn->state == CONN_UP && ibv_modify_qp(conn->qp, &attr, IBV_QP_STATE))
		die("ibv_modify_qp");
	conn_pump(conn, 1);
	conn_complete(conn);
	if (!conn->wants.forced_reads)
		rdma_destroy_qp(conn->id);
	else if (ibv_destroy_qp(conn->qp))
		die("ibv_destroy_qp");
	conn->qp = NULL;
}

void conn_free(struct conn *conn)
{
	list_del(&conn->link);
	if (conn->qp) {
		if (conn->state == CONN_UP)
			conn_close(conn);
		conn_abort(conn);
	}
	if (conn->cq && ibv_destroy_cq(conn->cq))
		die("ibv_destroy_cq");
	if (conn->completions)
		ibv_destroy_comp_channel(conn->completions);
	rdma_destroy_id(conn->id);
	rdma_destroy_event_channel(conn->channel);
	free(conn->send_busy);
	free(conn->responses);
	free(conn);
}
