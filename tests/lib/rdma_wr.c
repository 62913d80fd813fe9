/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection of the rig: what it sends, and what comes of that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rdma_rig.h"

enum {
	POLL_BATCH = 16,
	/*
	 * Soft-RoCE hands the kernel's flag of an invalidation to programs, which call it
	 * IBV_WC_IP_CSUM_OK; connected queue pairs have no other use for that one.
	 */
	WC_INVALIDATED = IBV_WC_WITH_INV | 1 << IBV_WC_IP_CSUM_OK_SHIFT,
};

/* ---------------------------------------------------------------------------------- completions */

uint8_t *conn_slot_bytes(struct conn *conn, unsigned slot)
{
	return conn->slots->mem + (size_t)slot * conn->wants.capsule_room;
}

static uint8_t *recv_bytes(struct conn *conn, unsigned i)
{
	return conn_slot_bytes(conn, conn->wants.sends) + (size_t)i * CONN_RECV_ROOM;
}

void conn_recv_post(struct conn *conn, unsigned i)
{
	struct ibv_sge sge = { (uintptr_t)recv_bytes(conn, i), CONN_RECV_ROOM,
			       conn->slots->mr->lkey };
	struct ibv_recv_wr wr = { .wr_id = WR_RECV + i, .sg_list = &sge, .num_sge = 1 }, *bad;

	if (ibv_post_recv(conn->qp, &wr, &bad))
		conn->qp_failed = true;
}

/* What no response may be, whatever it answers (CVE-2024-41079: bytes that nobody set). */
static const char *response_fault(const struct conn *conn, const struct response *response)
{
	const struct nvme_cqe *cqe = &response->cqe;
	uint16_t qid = le16_get(conn->wants.request.qid);

	if (response->len != sizeof(*cqe))
		return "a response that does not have 16 bytes";
	if (le16_get(cqe->status) & 1)
		return "a response with the phase bit set";
	if (qid && le32_get(cqe->dw1))
		return "a response of an I/O queue whose DW1 is not zero";
	if (le16_get(cqe->sqid) && le16_get(cqe->sqid) != qid)
		return "a response for another queue";
	return NULL;
}

static void response_keep(struct conn *conn, const struct ibv_wc *wc, const uint8_t *bytes)
{
	struct response *grown, *response;
	const char *fault;

	grown = realloc(conn->responses, (conn->n_responses + 1) * sizeof(*grown));
	if (!grown)
		die("responses");
	conn->responses = grown;
	response = &grown[conn->n_responses++];
	*response = (struct response){ .len = wc->byte_len };
	memcpy(&response->cqe, bytes, MIN(sizeof(response->cqe), wc->byte_len));
	response->invalidated = wc->wc_flags & WC_INVALIDATED;
	if (response->invalidated)
		response->invalidated_rkey = wc->invalidated_rkey;
	conn->total_responses++;
	fault = response_fault(conn, response);
	if (fault && !conn->malformed)
		conn->malformed = fault;
}

static void wc_handle(struct conn *conn, const struct ibv_wc *wc)
{
	unsigned recv = (unsigned)(wc->wr_id - WR_RECV);

	if (wc->wr_id < conn->wants.sends)
		conn->send_busy[wc->wr_id] = false;
	if (wc->status != IBV_WC_SUCCESS) {
		if (!conn->qp_failed)
			conn->wc_status = wc->status;
		conn->qp_failed = true;
	} else if (wc->wr_id < conn->wants.sends) {
		conn->total_taken++;
	} else if (wc->wr_id == WR_BIND) {
		conn->bound = true;
	} else if (wc->wr_id >= WR_RECV) {
		response_keep(conn, wc, recv_bytes(conn, recv));
		if (!conn->no_repost)
			conn_recv_post(conn, recv);
	} else if (wc->wr_id == WR_OTHER) {
		conn->others_done++;
	}
}

bool conn_complete(struct conn *conn)
{
	struct ibv_wc wc[POLL_BATCH];
	bool any = false;
	int n;

	while (conn->qp && (n = ibv_poll_cq(conn->cq, POLL_BATCH, wc)) > 0) {
		for (int i = 0; i < n; i++)
			wc_handle(conn, &wc[i]);
		any = true;
	}
	return any;
}

/* ------------------------------------------------------------------------------ sending, answers */

static int slot_find(const struct conn *conn)
{
	for (unsigned i = 0; i < conn->wants.sends; i++)
		if (!conn->send_busy[i])
			return (int)i;
	return -1;
}

unsigned conn_slot(struct conn *conn)
{
	uint64_t end = now_ms() + (uint64_t)RIG_ANSWER_MS * conn->host->rig->slowness;
	int slot;

	while ((slot = slot_find(conn)) < 0 && conn_wait(conn, end))
		;
	if (slot < 0) {
		/* The target takes no more; who waits for an answer will find that out. */
		conn->qp_failed = true;
		return 0;
	}
	return (unsigned)slot;
}

static bool conn_may_post(const struct conn *conn)
{
	return conn->qp && !conn->qp_failed &&
	       (conn->state == CONN_UP || conn->state == CONN_ENDED);
}

void conn_post(struct conn *conn, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;

	if (!conn_may_post(conn))
		return;
	for (struct ibv_send_wr *at = wr; at; at = at->next)
		if (at->wr_id < conn->wants.sends)
			conn->send_busy[at->wr_id] = true;
	if (ibv_post_send(conn->qp, wr, &bad))
		die("ibv_post_send");
}

static void slot_post(struct conn *conn, unsigned slot, size_t len)
{
	struct ibv_sge sge = { (uintptr_t)conn_slot_bytes(conn, slot), (uint32_t)len,
			       conn->slots->mr->lkey };
	struct ibv_send_wr wr = { .wr_id = slot,
				  .sg_list = &sge,
				  .num_sge = len ? 1 : 0,
				  .opcode = IBV_WR_SEND,
				  .send_flags = IBV_SEND_SIGNALED };

	if (len > conn->wants.capsule_room) {
		errno = EMSGSIZE;
		die("a capsule larger than the test said");
	}
	conn_post(conn, &wr);
}

void conn_send_bytes(struct conn *conn, const void *bytes, size_t len)
{
	unsigned slot = conn_slot(conn);

	if (len && len <= conn->wants.capsule_room)
		memcpy(conn_slot_bytes(conn, slot), bytes, len);
	slot_post(conn, slot, len);
}

uint16_t conn_send(struct conn *conn, struct nvme_sqe *sqe, const void *data, size_t len)
{
	unsigned slot = conn_slot(conn);
	uint16_t cid = conn->next_cid++;

	sqe->cid = le16(cid);
	memcpy(conn_slot_bytes(conn, slot), sqe, sizeof(*sqe));
	if (len && sizeof(*sqe) + len <= conn->wants.capsule_room)
		memcpy(conn_slot_bytes(conn, slot) + sizeof(*sqe), data, len);
	slot_post(conn, slot, sizeof(*sqe) + len);
	return cid;
}

static bool response_take(struct conn *conn, unsigned cid, struct response *response)
{
	for (unsigned i = 0; i < conn->n_responses; i++) {
		if (cid != CID_ANY && le16_get(conn->responses[i].cqe.cid) != cid)
			continue;
		if (response)
			*response = conn->responses[i];
		conn->n_responses--;
		memmove(&conn->responses[i], &conn->responses[i + 1],
			(conn->n_responses - i) * sizeof(conn->responses[0]));
		return true;
	}
	return false;
}

enum outcome conn_await_ms(struct conn *conn, unsigned cid, struct response *response, unsigned ms)
{
	uint64_t end = now_ms() + (uint64_t)ms * conn->host->rig->slowness;

	for (;;) {
		conn_pump(conn, 0);
		if (response_take(conn, cid, response))
			return ANSWERED;
		if (conn->state != CONN_UP && conn->state != CONN_NEW)
			return ENDED;
		if (!conn_wait(conn, end))
			return SILENT;
	}
}

enum outcome conn_await(struct conn *conn, unsigned cid, struct response *response)
{
	return conn_await_ms(conn, cid, response, RIG_ANSWER_MS);
}

enum outcome conn_exec(struct conn *conn, struct nvme_sqe *sqe, const void *data, size_t len,
		       struct response *response)
{
	uint16_t cid = conn_send(conn, sqe, data, len);

	return conn_await(conn, cid, response);
}
