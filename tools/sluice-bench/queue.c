/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "internal.h"

int queue_init(struct queue *q, struct initiator *in, uint16_t qid, uint32_t entries,
	       uint32_t rx_size)
{
	memset(q, 0, sizeof(*q));
	q->in = in;
	q->fd = -1;
	q->qid = qid;
	q->entries = entries;
	/* One entry stays free, or a full queue could not be told from an empty one (Base 3.3.1.5). */
	q->n_slots = entries - 1;
	q->tx_cap = q->n_slots * (in->options.maxr2t + 1);
	q->rx_size = rx_size;
	q->slots = calloc(q->n_slots, sizeof(*q->slots));
	q->free = calloc(q->n_slots, sizeof(*q->free));
	q->tx = calloc(q->tx_cap, sizeof(*q->tx));
	q->tx_hdrs = malloc((size_t)QUEUE_TX_PIECES * QUEUE_TX_PDU);
	q->rx_buf = malloc(rx_size);
	if (!q->slots || !q->free || !q->tx || !q->tx_hdrs || !q->rx_buf) {
		queue_fini(q);
		return -ENOMEM;
	}
	return 0;
}

void queue_fini(struct queue *q)
{
	free(q->slots);
	free(q->free);
	free(q->tx);
	free(q->tx_hdrs);
	free(q->rx_buf);
	q->slots = NULL;
	q->free = NULL;
	q->tx = NULL;
	q->tx_hdrs = NULL;
	q->rx_buf = NULL;
}

void queue_start(struct queue *q, int fd)
{
	q->fd = fd;
	q->live = false;
	q->ic_done = false;
	q->recv_armed = false;
	q->sending = false;
	q->sock_nonempty = false;
	q->sqflow = true;
	q->hdgst = false;
	q->ddgst = false;
	q->sq_tail = 0;
	q->sq_head = 0;
	q->tx_head = 0;
	q->tx_len = 0;
	q->tx_iov_n = 0;
	q->tx_iov_at = 0;
	q->n_held = 0;
	q->n_free = 0;
	for (unsigned i = q->n_slots; i-- > 0;) {
		q->slots[i].state = SLOT_FREE;
		q->slots[i].cmd = NULL;
		q->free[q->n_free++] = (uint16_t)i;
	}
	wire_rx_init(&q->rx);
}

/* ------------------------------------------------------------------------------------ submission */

static void tx_push(struct queue *q, const struct tx_entry *entry)
{
	q->tx[(q->tx_head + q->tx_len++) % q->tx_cap] = *entry;
	initiator_queue_dirty(q);
}

/* The controller has not consumed every entry yet (Base 3.3.1.5). */
static bool sq_full(const struct queue *q)
{
	return q->sqflow && q->sq_tail + 1 - q->sq_head == q->entries;
}

static void sgl_set(struct nvme_sqe *sqe, uint32_t len, bool in_capsule)
{
	sqe->flags = (uint8_t)((sqe->flags & ~NVME_PSDT_MASK) | NVME_PSDT_SGL);
	memset(&sqe->sgl, 0, sizeof(sqe->sgl));
	sqe->sgl.type = in_capsule ? NVME_SGL_DATA_OFFSET : NVME_SGL_TRANSPORT;
	sqe->sgl.len = le32(len);
}

/* Fabrics commands carry their data in the capsule whatever the queue admits (TCP 3.3.2.1). */
static bool fits_capsule(const struct queue *q, const struct initiator_cmd *cmd)
{
	uint32_t max = cmd->sqe.opcode == NVME_OPCODE_FABRICS ? 8192 : q->in_capsule;

	return cmd->to_ctrl && cmd->len > 0 && cmd->len <= max;
}

int queue_submit(struct queue *q, struct initiator_cmd *cmd)
{
	struct slot *slot;
	uint16_t index;

	if (q->n_free == 0 || sq_full(q))
		return -EAGAIN;
	index = q->free[--q->n_free];
	slot = &q->slots[index];
	slot->cmd = cmd;
	slot->state = SLOT_QUEUED;
	slot->cid = (uint16_t)(((slot->cid >> QUEUE_CID_SHIFT) + 1) << QUEUE_CID_SHIFT | index);
	slot->sq_pos = q->sq_tail;
	slot->r2t_open = 0;
	slot->in_capsule = fits_capsule(q, cmd);
	slot->last_seen = false;
	slot->ddgst_bad = false;
	slot->moved = 0;
	q->sq_tail++;
	cmd->sqe.cid = le16(slot->cid);
	sgl_set(&cmd->sqe, cmd->len, slot->in_capsule);
	cmd->start_ns = q->in->now_ns;
	tx_push(q, &(struct tx_entry){ .slot = index, .cid = slot->cid });
	return 0;
}

void queue_icreq(struct queue *q, struct pdu_icreq *pdu)
{
	q->tx_iov[0] = (struct iovec){ .iov_base = pdu, .iov_len = sizeof(*pdu) };
	q->tx_iov_n = 1;
	q->tx_iov_at = 0;
	initiator_queue_dirty(q);
}

/* ------------------------------------------------------------------------------------------- send */

/* One send being put together. */
struct builder {
	uint8_t *hdr; /* next free header byte */
	unsigned pieces;
	uint32_t bytes;
};

static void iov_add(struct queue *q, void *base, size_t len)
{
	struct iovec *prev = q->tx_iov_n ? &q->tx_iov[q->tx_iov_n - 1] : NULL;

	/* Headers without payload between them lie side by side: one element for all of them. */
	if (prev && (uint8_t *)prev->iov_base + prev->iov_len == base) {
		prev->iov_len += len;
		return;
	}
	q->tx_iov[q->tx_iov_n++] = (struct iovec){ .iov_base = base, .iov_len = len };
}

static void build_payload(struct queue *q, struct builder *b, struct slot *slot, uint32_t offset,
			  uint32_t len)
{
	uint8_t *data = slot->cmd->data + offset;

	iov_add(q, data, len);
	b->bytes += len;
	slot->send_no = q->send_no;
	if (q->ddgst) {
		le32_t digest = le32(crc32c(data, len));

		memcpy(b->hdr, &digest, sizeof(digest));
		iov_add(q, b->hdr, sizeof(digest));
		b->hdr += sizeof(digest);
	}
}

static void build_cmd(struct queue *q, struct builder *b, struct slot *slot)
{
	uint32_t data_len = slot->in_capsule ? slot->cmd->len : 0;
	uint32_t n = wire_encode_cmd(b->hdr, &slot->cmd->sqe, data_len, q->hdgst, q->ddgst);

	iov_add(q, b->hdr, n);
	b->hdr += n;
	slot->state = SLOT_SENT;
	if (data_len) {
		slot->moved = data_len;
		build_payload(q, b, slot, 0, data_len);
	}
}

/* One H2CData PDU of what an R2T asked for; true when that was the last. */
static bool build_data(struct queue *q, struct builder *b, struct slot *slot, struct tx_entry *e)
{
	uint32_t len = MIN(e->len, q->maxh2cdata);
	bool last = len == e->len;
	uint32_t n = wire_encode_h2c(b->hdr, e->cid, e->ttag, e->offset, len, last, q->hdgst,
				     q->ddgst);

	iov_add(q, b->hdr, n);
	b->hdr += n;
	build_payload(q, b, slot, e->offset, len);
	e->offset += len;
	e->len -= len;
	if (last)
		slot->r2t_open--;
	return last;
}

bool queue_send_build(struct queue *q)
{
	struct builder b = { .hdr = q->tx_hdrs };

	if (q->tx_iov_n > q->tx_iov_at)
		return true;
	q->tx_iov_n = 0;
	q->tx_iov_at = 0;
	if (!q->live)
		return false;
	q->send_no++;
	while (q->tx_len && b.pieces < QUEUE_TX_PIECES && b.bytes < QUEUE_TX_BYTES) {
		struct tx_entry *e = &q->tx[q->tx_head];
		struct slot *slot = &q->slots[e->slot];
		bool finished = true;

		if (slot->cid == e->cid &&
		    (slot->state == SLOT_QUEUED || slot->state == SLOT_SENT)) {
			b.pieces++;
			if (e->data)
				finished = build_data(q, &b, slot, e);
			else
				build_cmd(q, &b, slot);
		}
		if (finished) {
			q->tx_head = (q->tx_head + 1) % q->tx_cap;
			q->tx_len--;
		}
	}
	return q->tx_iov_n > 0;
}

static void slot_finish(struct queue *q, struct slot *slot, enum initiator_outcome outcome)
{
	struct initiator_cmd *cmd = slot->cmd;

	slot->cmd = NULL;
	slot->state = SLOT_FREE;
	q->free[q->n_free++] = (uint16_t)(slot - q->slots);
	cmd->outcome = outcome;
	cmd->end_ns = q->in->now_ns;
	cmd->done(cmd);
}

/* Commands that ended while their payload was still being sent may go now. */
static void held_release(struct queue *q)
{
	for (unsigned i = 0; i < q->n_slots && q->n_held; i++) {
		if (q->slots[i].state != SLOT_HELD)
			continue;
		q->n_held--;
		slot_finish(q, &q->slots[i], INITIATOR_DONE);
	}
}

bool queue_sent(struct queue *q, uint32_t n)
{
	while (n) {
		struct iovec *iov = &q->tx_iov[q->tx_iov_at];
		size_t part = MIN((size_t)n, iov->iov_len);

		iov->iov_base = (uint8_t *)iov->iov_base + part;
		iov->iov_len -= part;
		n -= (uint32_t)part;
		if (iov->iov_len == 0)
			q->tx_iov_at++;
	}
	if (q->tx_iov_at < q->tx_iov_n)
		return false;
	if (q->n_held)
		held_release(q);
	return true;
}

/* ---------------------------------------------------------------------------------------- receive */

static struct slot *slot_find(struct queue *q, uint16_t cid, const char *pdu)
{
	unsigned index = cid & ((1u << QUEUE_CID_SHIFT) - 1);
	struct slot *slot = index < q->n_slots ? &q->slots[index] : NULL;

	if (!slot || slot->cid != cid || slot->state != SLOT_SENT) {
		initiator_violation(q, "%s for CID %04xh, which is not outstanding", pdu, cid);
		return NULL;
	}
	return slot;
}

static void icresp_received(struct queue *q, const struct pdu_icresp *pdu)
{
	const struct initiator_options *o = &q->in->options;
	uint8_t dgst = (uint8_t)((o->hdgst ? PDU_DGST_HEADER : 0) | (o->ddgst ? PDU_DGST_DATA : 0));
	uint32_t maxh2cdata = le32_get(pdu->maxh2cdata);

	if (le16_get(pdu->pfv) != 0)
		initiator_violation(q, "ICResp with PFV %u, this host speaks 0",
				    le16_get(pdu->pfv));
	else if (pdu->dgst != dgst)
		initiator_violation(q, "ICResp with digests %02xh, but %02xh were asked for%s",
				    pdu->dgst, dgst,
				    dgst & ~pdu->dgst ? ": the listener does not allow them" : "");
	else if (pdu->cpda != 0)
		initiator_violation(q, "ICResp with CPDA %u: Linux hosts accept only 0", pdu->cpda);
	else if (maxh2cdata < PDU_MAXH2CDATA_MIN || maxh2cdata % 4)
		initiator_violation(q, "ICResp with MAXH2CDATA %u: at least 4096, a multiple of 4",
				    maxh2cdata);
	q->maxh2cdata = maxh2cdata;
	q->hdgst = q->rx.hdgst = o->hdgst;
	q->ddgst = q->rx.ddgst = o->ddgst;
	q->ic_done = true;
	q->live = true;
}

static void r2t_received(struct queue *q, const struct pdu_r2t *pdu)
{
	uint16_t cid = le16_get(pdu->cccid);
	struct slot *slot = slot_find(q, cid, "R2T");
	uint32_t offset = le32_get(pdu->r2to);
	uint32_t len = le32_get(pdu->r2tl);

	if (!slot)
		return;
	if (!slot->cmd->to_ctrl || slot->in_capsule) {
		initiator_violation(q,
				    "R2T for CID %04xh (opcode %02xh), which has no data to send",
				    cid, slot->cmd->sqe.opcode);
	} else if (len == 0 || offset != slot->moved || len > slot->cmd->len - slot->moved) {
		initiator_violation(q,
				    "R2T for bytes %u+%u of CID %04xh: %u of its %u were asked for",
				    offset, len, cid, slot->moved, slot->cmd->len);
	} else if (slot->r2t_open == q->in->options.maxr2t) {
		initiator_violation(q, "R2T limit exceeded: CID %04xh has %u outstanding already",
				    cid, slot->r2t_open);
	} else {
		slot->r2t_open++;
		slot->moved += len;
		tx_push(q, &(struct tx_entry){ .slot = (uint16_t)(slot - q->slots), .cid = cid,
					       .ttag = le16_get(pdu->ttag), .data = true,
					       .offset = offset, .len = len });
	}
}

static void data_begin(struct queue *q, const struct pdu_data *pdu)
{
	uint16_t cid = le16_get(pdu->cccid);
	struct slot *slot = slot_find(q, cid, "C2HData");
	uint32_t offset = le32_get(pdu->datao);
	uint32_t len = le32_get(pdu->datal);

	if (!slot)
		return;
	if (slot->cmd->to_ctrl || slot->cmd->len == 0)
		initiator_violation(q, "C2HData for CID %04xh (opcode %02xh), which reads nothing",
				    cid, slot->cmd->sqe.opcode);
	else if (slot->last_seen)
		initiator_violation(q, "C2HData for CID %04xh after its LAST_PDU", cid);
	else if (offset != slot->moved || len > slot->cmd->len - offset)
		/* A Linux host ignores DATAO: anything but the next byte lands in the wrong place. */
		initiator_violation(
			q, "C2HData for bytes %u+%u of CID %04xh: expected offset %u of %u", offset,
			len, cid, slot->moved, slot->cmd->len);
}

static void data_piece(struct queue *q, const struct wire_event *event)
{
	struct slot *slot = &q->slots[le16_get(q->rx.data.cccid) & ((1u << QUEUE_CID_SHIFT) - 1)];

	if (slot->cmd->data)
		memcpy(slot->cmd->data + event->offset, event->data, event->len);
	slot->moved += event->len;
}

/* Rules that hold for a transfer of a command that reports success. NULL: all kept. */
static const char *transfer_fault(const struct slot *slot)
{
	const struct initiator_cmd *cmd = slot->cmd;

	if (slot->moved < cmd->len)
		return cmd->to_ctrl ? "succeeded before it asked for all of its data" :
				      "succeeded with fewer bytes than it reads";
	if (cmd->to_ctrl && slot->r2t_open)
		return "succeeded before an R2T was answered";
	if (!cmd->to_ctrl && cmd->len && !slot->last_seen)
		return "succeeded without LAST_PDU in its data";
	return NULL;
}

static void cmd_complete(struct queue *q, struct slot *slot, uint16_t status, uint32_t dw0,
			 uint32_t dw1)
{
	struct initiator_cmd *cmd = slot->cmd;
	const char *what = status == 0 ? transfer_fault(slot) : NULL;

	if (what) {
		initiator_violation(q, "CID %04xh (opcode %02xh) %s: %u of %u", slot->cid,
				    cmd->sqe.opcode, what, slot->moved, cmd->len);
		return;
	}
	/* What arrived damaged is for the host to retry: the data, not the connection, is at fault. */
	if (status == 0 && slot->ddgst_bad)
		status = NVME_SC_DATA_TRANSFER_ERROR;
	cmd->status = status;
	cmd->result = dw0;
	cmd->result_hi = dw1;
	if (status && q->sending && slot->send_no == q->send_no) {
		slot->state = SLOT_HELD;
		q->n_held++;
		return;
	}
	slot_finish(q, slot, INITIATOR_DONE);
}

static void data_end(struct queue *q, const struct wire_event *event)
{
	const struct pdu_data *pdu = event->pdu;
	struct slot *slot = &q->slots[le16_get(pdu->cccid) & ((1u << QUEUE_CID_SHIFT) - 1)];

	slot->ddgst_bad |= event->ddgst_bad;
	slot->last_seen = pdu->hdr.flags & PDU_FLAG_LAST;
	if (!(pdu->hdr.flags & PDU_FLAG_SUCCESS))
		return;
	if (!slot->last_seen)
		initiator_violation(q, "C2HData for CID %04xh with SUCCESS but without LAST_PDU",
				    slot->cid);
	else if (q->sqflow)
		initiator_violation(q, "C2HData with SUCCESS although SQ flow control is enabled");
	else
		cmd_complete(q, slot, 0, 0, 0);
}

/* SQHD moves forward only, never past the tail, and past every command it completes. */
static bool sqhd_ok(struct queue *q, const struct slot *slot, uint16_t sqhd)
{
	uint32_t size = q->entries;
	uint64_t head;

	if (sqhd >= size) {
		initiator_violation(q, "SQHD %u in a queue of %u entries", sqhd, size);
		return false;
	}
	head = q->sq_head + (sqhd + size - q->sq_head % size) % size;
	if (head > q->sq_tail || head <= slot->sq_pos) {
		initiator_violation(
			q, "SQHD %u with CID %04xh: head was %u, its entry is %u, tail is %u", sqhd,
			slot->cid, (unsigned)(q->sq_head % size), (unsigned)(slot->sq_pos % size),
			(unsigned)(q->sq_tail % size));
		return false;
	}
	q->sq_head = head;
	return true;
}

static void rsp_received(struct queue *q, const struct pdu_rsp *pdu)
{
	const struct nvme_cqe *cqe = &pdu->cqe;
	struct slot *slot = slot_find(q, le16_get(cqe->cid), "completion");
	uint16_t sqhd = le16_get(cqe->sqhd);
	uint16_t status = (uint16_t)(le16_get(cqe->status) >> 1);
	bool connect;

	if (!slot)
		return;
	connect = slot->cmd->sqe.opcode == NVME_OPCODE_FABRICS &&
		  slot->cmd->sqe.nsid.b[0] == NVME_FCTYPE_CONNECT;
	/* FFFFh in the answer to Connect: flow control is off from here on (Base, Connect response). */
	if (connect && q->in->options.disable_sqflow && sqhd == 0xffff)
		q->sqflow = false;
	/* A rejected Connect made no queue whose head could be told. */
	if (q->sqflow && !(connect && status) && !sqhd_ok(q, slot, sqhd))
		return;
	cmd_complete(q, slot, status, le32_get(cqe->dw0), le32_get(cqe->dw1));
}

static void term_received(struct queue *q, const struct pdu_term *pdu)
{
	unsigned fes = le16_get(pdu->fes);
	static const char *const names[] = { "", "invalid PDU header field", "PDU sequence error",
					     "header digest error", "data transfer out of range",
					     "R2T or data transfer limit exceeded",
					     "unsupported parameter" };

	initiator_violation(
		q, "C2HTermReq: the controller ends the connection: %s (FES %u, FEI %08xh)",
		fes > 0 && fes < ARRAY_SIZE(names) ? names[fes] : "unknown reason", fes,
		le32_get(pdu->fei));
}

bool queue_received(struct queue *q, const uint8_t *buf, size_t len)
{
	struct wire_event event;

	while (!q->in->failed) {
		switch (wire_next(&q->rx, &buf, &len, &event)) {
		case WIRE_MORE:
			return true;
		case WIRE_ICRESP:
			icresp_received(q, event.pdu);
			break;
		case WIRE_RSP:
			rsp_received(q, event.pdu);
			break;
		case WIRE_R2T:
			r2t_received(q, event.pdu);
			break;
		case WIRE_DATA_BEGIN:
			data_begin(q, event.pdu);
			break;
		case WIRE_DATA:
			data_piece(q, &event);
			break;
		case WIRE_DATA_END:
			data_end(q, &event);
			break;
		case WIRE_TERM:
			term_received(q, event.pdu);
			break;
		case WIRE_FAULT:
			initiator_violation(q, "%s", q->rx.fault);
			break;
		}
	}
	return false;
}

void queue_abandon(struct queue *q)
{
	for (unsigned i = 0; i < q->n_slots; i++)
		if (q->slots[i].state != SLOT_FREE)
			slot_finish(q, &q->slots[i], INITIATOR_LOST);
	q->n_held = 0;
	q->tx_len = 0;
}

uint64_t queue_oldest_ns(const struct queue *q, uint64_t now_ns, struct initiator_cmd **cmd)
{
	uint64_t oldest = 0;

	for (unsigned i = 0; i < q->n_slots; i++) {
		const struct slot *slot = &q->slots[i];

		if (slot->state == SLOT_FREE ||
		    (q->qid == 0 && slot->cmd->sqe.opcode == NVME_ADMIN_ASYNC_EVENT))
			continue;
		if (now_ns - slot->cmd->start_ns > oldest) {
			oldest = now_ns - slot->cmd->start_ns;
			*cmd = slot->cmd;
		}
	}
	return oldest;
}
