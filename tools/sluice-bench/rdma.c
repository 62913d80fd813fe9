/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues over NVMe/RDMA: commands as sends, responses as receives, data as the device moves it. */
#include "rdma.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* wr_id: the slot, or the receive, with the kind of request above it. */
enum { WR_RECEIVE, WR_SEND, WR_WINDOW };
#define WR_ID(kind, index) ((uint64_t)(kind) << 32 | (index))

enum { RXE_VENDOR_ID = 0xffffff };

static int hrdma_queue_init(struct queue *q)
{
	struct hrdma_queue *r = hrdma_queue(q);

	r->entries = q->entries;
	r->slots = calloc(q->n_slots, sizeof(*r->slots));
	r->receives = calloc(q->entries, sizeof(*r->receives));
	return r->slots && r->receives ? 0 : -ENOMEM;
}

static void hrdma_queue_fini(struct queue *q)
{
	struct hrdma_queue *r = hrdma_queue(q);

	free(r->slots);
	free(r->receives);
}

int hrdma_receives_post(struct hrdma_queue *r)
{
	struct initiator *in = r->q.in;
	struct ibv_recv_wr *bad;
	uint32_t n = r->q.entries;
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		struct hrdma_receive *receive = &r->receives[i];

		receive->sge = (struct ibv_sge){
			.addr = (uintptr_t)(r->responses + (size_t)i * RDMA_RESPONSE_ROOM),
			.length = RDMA_RESPONSE_ROOM,
			.lkey = in->rdma->local_mr->lkey,
		};
		receive->wr = (struct ibv_recv_wr){
			.wr_id = WR_ID(WR_RECEIVE, i),
			.next = i + 1 < n ? &r->receives[i + 1].wr : NULL,
			.sg_list = &receive->sge,
			.num_sge = 1,
		};
	}
	rc = ibv_post_recv(r->id->qp, &r->receives[0].wr, &bad);
	if (rc)
		initiator_fail(in, true, "queue %u: receives cannot be posted: %s", r->q.qid,
			       strerror(rc));
	return -rc;
}

/* ------------------------------------------------------------------------------------ submission */

static void chain_add(struct hrdma_queue *r, struct ibv_send_wr *wr)
{
	*r->send_tail = wr;
	r->send_tail = &wr->next;
}

/*
 * Binds the slot's window to just this command's data: a key that is good for no other command, and
 * that the response may end. One that was not ended so has to be ended here first.
 */
static void window_bind(struct hrdma_queue *r, unsigned index, const struct hrdma_place *place,
			const struct initiator_cmd *cmd)
{
	struct hrdma_slot *rs = &r->slots[index];

	if (rs->bound) {
		rs->unbind = (struct ibv_send_wr){
			.wr_id = WR_ID(WR_WINDOW, index),
			.opcode = IBV_WR_LOCAL_INV,
			.invalidate_rkey = rs->mw->rkey,
		};
		chain_add(r, &rs->unbind);
	}
	rs->key = ibv_inc_rkey(rs->mw->rkey);
	rs->bind = (struct ibv_send_wr){
		.wr_id = WR_ID(WR_WINDOW, index),
		.opcode = IBV_WR_BIND_MW,
		.bind_mw = { .mw = rs->mw,
			     .rkey = rs->key,
			     .bind_info = { .mr = place->mr,
					    .addr = (uintptr_t)place->addr,
					    .length = cmd->len,
					    .mw_access_flags = cmd->to_ctrl ?
								       IBV_ACCESS_REMOTE_READ :
								       IBV_ACCESS_REMOTE_WRITE } },
	};
	chain_add(r, &rs->bind);
	rs->bound = true;
	rs->invalidate = true;
}

/* Fills in the data pointer, and the capsule's second piece when that carries the data. */
static void data_point(struct hrdma_queue *r, unsigned index, struct initiator_cmd *cmd,
		       const struct hrdma_place *place)
{
	struct hrdma_slot *rs = &r->slots[index];

	if (cmd->len == 0) {
		hrdma_sgl_keyed(&cmd->sqe, 0, 0, 0, false);
		return;
	}
	if (cmd->to_ctrl && cmd->len <= r->q.in_capsule) {
		hrdma_sgl_capsule(&cmd->sqe, cmd->len);
		rs->sge[1] = (struct ibv_sge){ .addr = (uintptr_t)place->addr,
					       .length = cmd->len,
					       .lkey = place->mr->lkey };
		rs->send.num_sge = 2;
		return;
	}
	rs->key = place->mr->rkey;
	if (rs->mw)
		window_bind(r, index, place, cmd);
	hrdma_sgl_keyed(&cmd->sqe, (uintptr_t)place->addr, cmd->len, rs->key, rs->invalidate);
}

static int hrdma_cmd_queue(struct queue *q, struct slot *slot)
{
	struct hrdma_queue *r = hrdma_queue(q);
	struct initiator_cmd *cmd = slot->cmd;
	unsigned index = queue_slot_index(q, slot);
	struct hrdma_slot *rs = &r->slots[index];
	struct hrdma_place place = { .bounce = RDMA_BOUNCE_NONE };
	int rc = 0;

	if (cmd->len > RDMA_SGL_LEN_MAX)
		return -EINVAL;
	if (cmd->len)
		rc = hrdma_place_find(q->in, cmd, &place);
	if (rc)
		return rc;
	rs->invalidate = false;
	rs->sent = false;
	rs->bounce = place.bounce;
	rs->sge[0] = (struct ibv_sge){ .addr = (uintptr_t)&r->capsules[index],
				       .length = sizeof(struct nvme_sqe),
				       .lkey = q->in->rdma->local_mr->lkey };
	rs->send = (struct ibv_send_wr){ .wr_id = WR_ID(WR_SEND, index),
					 .sg_list = rs->sge,
					 .num_sge = 1,
					 .opcode = IBV_WR_SEND,
					 .send_flags = IBV_SEND_SIGNALED };
	data_point(r, index, cmd, &place);
	r->capsules[index] = cmd->sqe;
	chain_add(r, &rs->send);
	return 0;
}

/* All capsules of a turn with one ring of the doorbell. */
static void sends_post(struct hrdma_queue *r)
{
	struct initiator *in = r->q.in;
	struct ibv_send_wr *head = r->send_head, *bad;
	int rc;

	r->send_head = NULL;
	*r->send_tail = NULL;
	r->send_tail = &r->send_head;
	for (struct ibv_send_wr *wr = head; wr; wr = wr->next) {
		if (wr->opcode == IBV_WR_SEND) {
			r->q.slots[(uint32_t)wr->wr_id].state = SLOT_SENT;
			for (int i = 0; i < wr->num_sge; i++)
				in->counters.tx_bytes += wr->sg_list[i].length;
		}
	}
	rc = ibv_post_send(r->id->qp, head, &bad);
	if (rc) {
		initiator_fail(in, true, "queue %u: capsules cannot be sent: %s", r->q.qid,
			       strerror(rc));
		return;
	}
	/* The library reads the old key when a binding is posted. */
	for (struct ibv_send_wr *wr = head; wr; wr = wr->next)
		if (wr->opcode == IBV_WR_BIND_MW)
			wr->bind_mw.mw->rkey = wr->bind_mw.rkey;
}

static void fd_poll(struct queue *q, int fd, unsigned kind, bool *polled)
{
	struct io_uring_sqe *sqe;

	if (*polled)
		return;
	sqe = initiator_sqe(q->in);
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	initiator_sqe_bind(sqe, q, kind);
	*polled = true;
}

static void hrdma_queue_flush(struct queue *q)
{
	struct hrdma_queue *r = hrdma_queue(q);
	struct hrdma_assoc *a = q->in->rdma;

	if (r->send_head)
		sends_post(r);
	if (q->qid)
		return;
	fd_poll(q, a->events->fd, RDMA_RING_EVENTS, &a->events_polled);
	if (!q->in->options.spin && a->comps)
		fd_poll(q, a->comps->fd, RDMA_RING_COMPS, &a->comps_polled);
}

/* ------------------------------------------------------------------------------------- completion */

static void bounce_drop(struct hrdma_queue *r, struct hrdma_slot *rs)
{
	if (rs->bounce != RDMA_BOUNCE_NONE)
		hrdma_bounce_put(r->q.in->rdma, rs->bounce);
	rs->bounce = RDMA_BOUNCE_NONE;
}

/*
 * Whether the response ended a key. The soft device rxe may hand out the kernel's flags, in which that
 * is the bit that the library gives to checksums; of those there is no word on this kind of queue pair.
 */
static bool key_ended(const struct hrdma_assoc *a, const struct ibv_wc *wc)
{
	unsigned flags = IBV_WC_WITH_INV;

	if (a->attr.vendor_id == RXE_VENDOR_ID)
		flags |= IBV_WC_IP_CSUM_OK;
	return wc->wc_flags & flags;
}

/* What the device says of a response, against its command; NULL: the response is void. */
static struct slot *response_check(struct hrdma_queue *r, const struct ibv_wc *wc,
				   const struct nvme_cqe *cqe)
{
	struct hrdma_response response = {
		.len = wc->byte_len,
		.invalidated = key_ended(r->q.in->rdma, wc),
		.key = wc->invalidated_rkey,
	};
	char text[RDMA_TEXT_MAX];
	const char *what = hrdma_response_len_fault(&response, text);
	struct slot *slot = what ? NULL : queue_response(&r->q, cqe);
	struct hrdma_slot *rs;

	if (slot) {
		rs = &r->slots[queue_slot_index(&r->q, slot)];
		response.may_invalidate = rs->invalidate;
		response.cmd_key = rs->key;
		what = hrdma_response_key_fault(&response, text);
		if (response.invalidated)
			rs->bound = false;
	}
	if (what)
		initiator_violation(&r->q, "%s", what);
	return what ? NULL : slot;
}

static void response_received(struct hrdma_queue *r, const struct ibv_wc *wc)
{
	const uint8_t *bytes = r->responses + (size_t)(uint32_t)wc->wr_id * RDMA_RESPONSE_ROOM;
	const struct nvme_cqe *cqe = (const void *)bytes;
	struct slot *slot = response_check(r, wc, cqe);
	struct initiator *in = r->q.in;
	struct initiator_cmd *cmd;
	struct hrdma_slot *rs;

	if (!slot)
		return;
	cmd = slot->cmd;
	rs = &r->slots[queue_slot_index(&r->q, slot)];
	in->counters.keys_ended += key_ended(in->rdma, wc);
	in->counters.rx_bytes += wc->byte_len + (cmd->to_ctrl ? 0 : cmd->len);
	if (rs->bounce != RDMA_BOUNCE_NONE && !hrdma_bounce_take(in->rdma, rs->bounce, cmd)) {
		initiator_violation(
			&r->q, "CID %04xh (opcode %02xh): bytes written behind the %u it reads",
			slot->cid, cmd->sqe.opcode, cmd->len);
		return;
	}
	/* The device may still send the capsule again: its memory is not free before that ends. */
	if (rs->sent)
		bounce_drop(r, rs);
	queue_complete(&r->q, slot, (uint16_t)(le16_get(cqe->status) >> 1), le32_get(cqe->dw0),
		       le32_get(cqe->dw1), !rs->sent);
}

static void capsule_sent(struct hrdma_queue *r, unsigned index)
{
	struct hrdma_slot *rs = &r->slots[index];
	struct slot *slot = &r->q.slots[index];

	rs->sent = true;
	if (slot->state != SLOT_HELD)
		return;
	bounce_drop(r, rs);
	queue_slot_release(&r->q, slot);
}

/* A request of the queue pair failed; all that follow will be flushed. */
static void work_failed(struct hrdma_queue *r, const struct ibv_wc *wc)
{
	struct queue *q = &r->q;
	unsigned kind = (unsigned)(wc->wr_id >> 32);

	/* What the connection manager has to say tells more than that everything was flushed. */
	if (wc->status == IBV_WC_WR_FLUSH_ERR)
		hrdma_events_read(q->in);
	if (wc->status == IBV_WC_WR_FLUSH_ERR && r->lost)
		hrdma_queue_lost(r);
	else if (kind == WR_RECEIVE && wc->status == IBV_WC_LOC_LEN_ERR)
		initiator_violation(q, "a response of more than %d bytes instead of 16",
				    RDMA_RESPONSE_ROOM);
	else if (kind == WR_SEND && wc->status == IBV_WC_REM_INV_REQ_ERR)
		initiator_violation(q,
				    "the controller refused a capsule: its receives are too small");
	else if (kind == WR_WINDOW && wc->status != IBV_WC_WR_FLUSH_ERR)
		initiator_fail(q->in, false, "queue %u: a memory window could not be bound: %s",
			       q->qid, ibv_wc_status_str(wc->status));
	else
		initiator_fail(q->in, true, "connection lost on queue %u: %s", q->qid,
			       ibv_wc_status_str(wc->status));
}

/* Receives whose responses were read go back before anything is sent that they may answer. */
static void receives_return(struct hrdma_queue *r, struct ibv_recv_wr *head)
{
	struct ibv_recv_wr *bad;
	int rc = head ? ibv_post_recv(r->id->qp, head, &bad) : 0;

	if (rc)
		initiator_fail(r->q.in, true, "queue %u: receives cannot be posted: %s", r->q.qid,
			       strerror(rc));
}

/* Takes what is in a queue's completion queue; true when there was anything. */
static bool completions_take(struct hrdma_queue *r)
{
	struct initiator *in = r->q.in;
	struct ibv_wc wc[RDMA_POLL_BATCH];
	bool found = false;
	int n;

	do {
		struct ibv_recv_wr *head = NULL, **tail = &head;

		n = ibv_poll_cq(r->cq, RDMA_POLL_BATCH, wc);
		if (n > 0 && !found) {
			found = true;
			in->now_ns = clock_now_ns();
		}
		for (int i = 0; i < n && !in->failed; i++) {
			if (wc[i].status != IBV_WC_SUCCESS) {
				work_failed(r, &wc[i]);
			} else if (wc[i].wr_id >> 32 == WR_SEND) {
				capsule_sent(r, (uint32_t)wc[i].wr_id);
			} else if (wc[i].wr_id >> 32 == WR_RECEIVE) {
				*tail = &r->receives[(uint32_t)wc[i].wr_id].wr;
				tail = &(*tail)->next;
				response_received(r, &wc[i]);
			}
		}
		*tail = NULL;
		if (!in->failed)
			receives_return(r, head);
	} while (n == RDMA_POLL_BATCH && !in->failed);
	if (n < 0)
		initiator_fail(in, true, "queue %u: its completions cannot be read", r->q.qid);
	return found;
}

static bool completions_take_all(struct initiator *in)
{
	bool found = false;

	for (unsigned i = 0; i <= in->n_io && !in->failed; i++) {
		struct hrdma_queue *r = hrdma_queue(in->queues[i]);

		if (!r->connected)
			continue;
		if (completions_take(r))
			found = true;
		else if (r->lost && !in->failed)
			hrdma_queue_lost(r);
	}
	return found || in->failed;
}

static bool hrdma_harvest(struct initiator *in, bool arm)
{
	bool found = completions_take_all(in);
	bool armed = false;

	if (found || !arm)
		return found;
	for (unsigned i = 0; i <= in->n_io; i++) {
		struct hrdma_queue *r = hrdma_queue(in->queues[i]);

		if (!r->connected || r->armed)
			continue;
		r->armed = ibv_req_notify_cq(r->cq, 0) == 0;
		armed = true;
	}
	/* What came before the arming raises no event. */
	return armed && completions_take_all(in);
}

/* ------------------------------------------------------------------------------------------- ring */

/* Which completion queues have something is found by looking: here only the alarms are reset. */
static void alarms_take(struct initiator *in)
{
	struct ibv_cq *cq;
	void *context;

	while (ibv_get_cq_event(in->rdma->comps, &cq, &context) == 0) {
		((struct hrdma_queue *)context)->armed = false;
		ibv_ack_cq_events(cq, 1);
	}
}

static void hrdma_ring_done(struct queue *q, unsigned kind, int res, unsigned flags)
{
	struct hrdma_assoc *a = q->in->rdma;

	(void)res;
	(void)flags;
	if (kind == RDMA_RING_EVENTS) {
		a->events_polled = false;
		if (!q->in->failed)
			hrdma_events_read(q->in);
	} else {
		a->comps_polled = false;
		alarms_take(q->in);
	}
	if (!q->in->failed)
		initiator_queue_dirty(q);
}

/* --------------------------------------------------------------------------------------- Identify */

static const char *hrdma_id_fault(const struct nvme_id_ctrl *id)
{
	return le32_get(id->sgls) & NVME_SGLS_KEYED ? NULL :
						      "SGLS lacks keyed descriptors (bit 2), which "
						      "NVMe/RDMA needs";
}

/* Without offsets in data pointers nothing in the capsule can be pointed at (SGLS bit 20). */
static uint32_t hrdma_in_capsule(const struct nvme_id_ctrl *id)
{
	return le32_get(id->sgls) & NVME_SGLS_OFFSET ? le32_get(id->ioccsz) * 16 - 64 : 0;
}

const struct fabric_ops rdma_fabric = {
	.name = "rdma",
	.queue_size = sizeof(struct hrdma_queue),
	.assoc_open = hrdma_assoc_open,
	.assoc_close = hrdma_assoc_close,
	.queue_init = hrdma_queue_init,
	.queue_fini = hrdma_queue_fini,
	.queue_open = hrdma_queue_open,
	.cmd_queue = hrdma_cmd_queue,
	.queue_flush = hrdma_queue_flush,
	.ring_done = hrdma_ring_done,
	.harvest = hrdma_harvest,
	.queue_break = hrdma_queue_break,
	.queue_close = hrdma_queue_close,
	.region_add = hrdma_region_add,
	.region_remove = hrdma_region_remove,
	.id_fault = hrdma_id_fault,
	.in_capsule = hrdma_in_capsule,
};
