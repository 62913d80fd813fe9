/* SPDX-License-Identifier: BSD-3-Clause */
/* What a controller sends over NVMe/TCP, against the rules of the connection and of each command. */
#include <string.h>

#include "internal.h"
#include "tcp.h"

static void icresp_received(struct tcp_queue *t, const struct pdu_icresp *pdu)
{
	struct queue *q = &t->q;
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
	t->maxh2cdata = maxh2cdata;
	t->hdgst = t->rx.hdgst = o->hdgst;
	t->ddgst = t->rx.ddgst = o->ddgst;
	t->live = true;
}

static void r2t_received(struct tcp_queue *t, const struct pdu_r2t *pdu)
{
	struct queue *q = &t->q;
	uint16_t cid = le16_get(pdu->cccid);
	struct slot *slot = queue_slot_find(q, cid, "R2T");
	uint32_t offset = le32_get(pdu->r2to);
	uint32_t len = le32_get(pdu->r2tl);
	struct tcp_slot *ts;
	unsigned index;

	if (!slot)
		return;
	index = queue_slot_index(q, slot);
	ts = &t->slots[index];
	if (!slot->cmd->to_ctrl || ts->in_capsule) {
		initiator_violation(q,
				    "R2T for CID %04xh (opcode %02xh), which has no data to send",
				    cid, slot->cmd->sqe.opcode);
	} else if (len == 0 || offset != ts->moved || len > slot->cmd->len - ts->moved) {
		initiator_violation(q,
				    "R2T for bytes %u+%u of CID %04xh: %u of its %u were asked for",
				    offset, len, cid, ts->moved, slot->cmd->len);
	} else if (ts->r2t_open == q->in->options.maxr2t) {
		initiator_violation(q, "R2T limit exceeded: CID %04xh has %u outstanding already",
				    cid, ts->r2t_open);
	} else {
		ts->r2t_open++;
		ts->moved += len;
		tcp_tx_push(t, &(struct tx_entry){ .slot = (uint16_t)index, .cid = cid,
						   .ttag = le16_get(pdu->ttag), .data = true,
						   .offset = offset, .len = len });
	}
}

static void data_begin(struct tcp_queue *t, const struct pdu_data *pdu)
{
	struct queue *q = &t->q;
	uint16_t cid = le16_get(pdu->cccid);
	struct slot *slot = queue_slot_find(q, cid, "C2HData");
	uint32_t offset = le32_get(pdu->datao);
	uint32_t len = le32_get(pdu->datal);
	struct tcp_slot *ts;

	if (!slot)
		return;
	ts = &t->slots[queue_slot_index(q, slot)];
	if (slot->cmd->to_ctrl || slot->cmd->len == 0)
		initiator_violation(q, "C2HData for CID %04xh (opcode %02xh), which reads nothing",
				    cid, slot->cmd->sqe.opcode);
	else if (ts->last_seen)
		initiator_violation(q, "C2HData for CID %04xh after its LAST_PDU", cid);
	else if (offset != ts->moved || len > slot->cmd->len - offset)
		/* A Linux host ignores DATAO: anything but the next byte lands in the wrong place. */
		initiator_violation(
			q, "C2HData for bytes %u+%u of CID %04xh: expected offset %u of %u", offset,
			len, cid, ts->moved, slot->cmd->len);
}

static void data_piece(struct tcp_queue *t, const struct wire_event *event)
{
	unsigned index = le16_get(t->rx.data.cccid) & QUEUE_CID_INDEX;
	uint8_t *data = t->q.slots[index].cmd->data;

	if (data)
		memcpy(data + event->offset, event->data, event->len);
	t->slots[index].moved += event->len;
}

/* Rules that hold for a transfer of a command that reports success. NULL: all kept. */
static const char *transfer_fault(const struct initiator_cmd *cmd, const struct tcp_slot *ts)
{
	if (ts->moved < cmd->len)
		return cmd->to_ctrl ? "succeeded before it asked for all of its data" :
				      "succeeded with fewer bytes than it reads";
	if (cmd->to_ctrl && ts->r2t_open)
		return "succeeded before an R2T was answered";
	if (!cmd->to_ctrl && cmd->len && !ts->last_seen)
		return "succeeded without LAST_PDU in its data";
	return NULL;
}

static void cmd_done(struct tcp_queue *t, struct slot *slot, uint16_t status, uint32_t dw0,
		     uint32_t dw1)
{
	struct initiator_cmd *cmd = slot->cmd;
	const struct tcp_slot *ts = &t->slots[queue_slot_index(&t->q, slot)];
	const char *what = status == 0 ? transfer_fault(cmd, ts) : NULL;

	if (what) {
		initiator_violation(&t->q, "CID %04xh (opcode %02xh) %s: %u of %u", slot->cid,
				    cmd->sqe.opcode, what, ts->moved, cmd->len);
		return;
	}
	/* What arrived damaged is for the host to retry: the data, not the connection, is at fault. */
	if (status == 0 && ts->ddgst_bad)
		status = NVME_SC_DATA_TRANSFER_ERROR;
	queue_complete(&t->q, slot, status, dw0, dw1,
		       status && t->sending && ts->send_no == t->send_no);
}

static void data_end(struct tcp_queue *t, const struct wire_event *event)
{
	const struct pdu_data *pdu = event->pdu;
	unsigned index = le16_get(pdu->cccid) & QUEUE_CID_INDEX;
	struct tcp_slot *ts = &t->slots[index];
	struct slot *slot = &t->q.slots[index];

	ts->ddgst_bad |= event->ddgst_bad;
	ts->last_seen = pdu->hdr.flags & PDU_FLAG_LAST;
	if (!(pdu->hdr.flags & PDU_FLAG_SUCCESS))
		return;
	if (!ts->last_seen)
		initiator_violation(&t->q,
				    "C2HData for CID %04xh with SUCCESS but without LAST_PDU",
				    slot->cid);
	else if (t->q.sqflow)
		initiator_violation(&t->q,
				    "C2HData with SUCCESS although SQ flow control is enabled");
	else
		cmd_done(t, slot, 0, 0, 0);
}

static void rsp_received(struct tcp_queue *t, const struct pdu_rsp *pdu)
{
	const struct nvme_cqe *cqe = &pdu->cqe;
	struct slot *slot = queue_response(&t->q, cqe);

	if (slot)
		cmd_done(t, slot, (uint16_t)(le16_get(cqe->status) >> 1), le32_get(cqe->dw0),
			 le32_get(cqe->dw1));
}

static void term_received(struct tcp_queue *t, const struct pdu_term *pdu)
{
	unsigned fes = le16_get(pdu->fes);
	static const char *const names[] = { "", "invalid PDU header field", "PDU sequence error",
					     "header digest error", "data transfer out of range",
					     "R2T or data transfer limit exceeded",
					     "unsupported parameter" };

	initiator_violation(
		&t->q, "C2HTermReq: the controller ends the connection: %s (FES %u, FEI %08xh)",
		fes > 0 && fes < ARRAY_SIZE(names) ? names[fes] : "unknown reason", fes,
		le32_get(pdu->fei));
}

bool tcp_received(struct tcp_queue *t, const uint8_t *buf, size_t len)
{
	struct wire_event event;

	while (!t->q.in->failed) {
		switch (wire_next(&t->rx, &buf, &len, &event)) {
		case WIRE_MORE:
			return true;
		case WIRE_ICRESP:
			icresp_received(t, event.pdu);
			break;
		case WIRE_RSP:
			rsp_received(t, event.pdu);
			break;
		case WIRE_R2T:
			r2t_received(t, event.pdu);
			break;
		case WIRE_DATA_BEGIN:
			data_begin(t, event.pdu);
			break;
		case WIRE_DATA:
			data_piece(t, &event);
			break;
		case WIRE_DATA_END:
			data_end(t, &event);
			break;
		case WIRE_TERM:
			term_received(t, event.pdu);
			break;
		case WIRE_FAULT:
			initiator_violation(&t->q, "%s", t->rx.fault);
			break;
		}
	}
	return false;
}
