/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int queue_new(struct queue **out, struct initiator *in, uint16_t qid, uint32_t entries)
{
	size_t size = align_up(in->fabric->queue_size, CACHE_LINE);
	struct queue *q = aligned_alloc(CACHE_LINE, size);

	if (!q)
		return -ENOMEM;
	memset(q, 0, size);
	q->in = in;
	q->qid = qid;
	q->entries = entries;
	/* One entry stays free, or a full queue could not be told from an empty one (Base 3.3.1.5). */
	q->n_slots = entries - 1;
	q->slots = calloc(q->n_slots, sizeof(*q->slots));
	q->free = calloc(q->n_slots, sizeof(*q->free));
	if (in->fabric->queue_init(q) || !q->slots || !q->free) {
		queue_free(q);
		return -ENOMEM;
	}
	*out = q;
	return 0;
}

void queue_free(struct queue *q)
{
	q->in->fabric->queue_fini(q);
	free(q->slots);
	free(q->free);
	free(q);
}

void queue_reset(struct queue *q)
{
	q->sqflow = true;
	q->sq_tail = 0;
	q->sq_head = 0;
	q->n_held = 0;
	q->n_free = 0;
	for (unsigned i = q->n_slots; i-- > 0;) {
		q->slots[i].state = SLOT_FREE;
		q->slots[i].cmd = NULL;
		q->free[q->n_free++] = (uint16_t)i;
	}
}

/* ------------------------------------------------------------------------------------ submission */

/* The controller has not consumed every entry yet (Base 3.3.1.5). */
static bool sq_full(const struct queue *q)
{
	return q->sqflow && q->sq_tail + 1 - q->sq_head == q->entries;
}

int queue_submit(struct queue *q, struct initiator_cmd *cmd)
{
	struct slot *slot;
	uint16_t index;
	int rc;

	if (q->n_free == 0 || sq_full(q))
		return -EAGAIN;
	index = q->free[q->n_free - 1];
	slot = &q->slots[index];
	slot->cmd = cmd;
	slot->cid = (uint16_t)(((slot->cid >> QUEUE_CID_SHIFT) + 1) << QUEUE_CID_SHIFT | index);
	slot->sq_pos = q->sq_tail;
	cmd->sqe.cid = le16(slot->cid);
	cmd->sqe.flags = (uint8_t)((cmd->sqe.flags & ~NVME_PSDT_MASK) | NVME_PSDT_SGL);
	cmd->start_ns = q->in->now_ns;
	rc = q->in->fabric->cmd_queue(q, slot);
	if (rc) {
		slot->cmd = NULL;
		return rc;
	}
	slot->state = SLOT_QUEUED;
	q->n_free--;
	q->sq_tail++;
	initiator_queue_dirty(q);
	return 0;
}

/* ------------------------------------------------------------------------------------- completion */

struct slot *queue_slot_find(struct queue *q, uint16_t cid, const char *what)
{
	unsigned index = cid & QUEUE_CID_INDEX;
	struct slot *slot = index < q->n_slots ? &q->slots[index] : NULL;

	if (!slot || slot->cid != cid || slot->state != SLOT_SENT) {
		initiator_violation(q, "%s for CID %04xh, which is not outstanding", what, cid);
		return NULL;
	}
	return slot;
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

struct slot *queue_response(struct queue *q, const struct nvme_cqe *cqe)
{
	struct slot *slot = queue_slot_find(q, le16_get(cqe->cid), "completion");
	uint16_t sqhd = le16_get(cqe->sqhd);
	bool connect;

	if (!slot)
		return NULL;
	connect = slot->cmd->sqe.opcode == NVME_OPCODE_FABRICS &&
		  slot->cmd->sqe.nsid.b[0] == NVME_FCTYPE_CONNECT;
	/* FFFFh in the answer to Connect: flow control is off from here on (Base, Connect response). */
	if (connect && q->in->options.disable_sqflow && sqhd == 0xffff)
		q->sqflow = false;
	/* A rejected Connect made no queue whose head could be told. */
	if (q->sqflow && !(connect && le16_get(cqe->status) >> 1) && !sqhd_ok(q, slot, sqhd))
		return NULL;
	return slot;
}

static void slot_finish(struct queue *q, struct slot *slot, enum initiator_outcome outcome)
{
	struct initiator_cmd *cmd = slot->cmd;

	slot->cmd = NULL;
	slot->state = SLOT_FREE;
	q->free[q->n_free++] = (uint16_t)queue_slot_index(q, slot);
	cmd->outcome = outcome;
	cmd->end_ns = q->in->now_ns;
	cmd->done(cmd);
}

void queue_complete(struct queue *q, struct slot *slot, uint16_t status, uint32_t dw0, uint32_t dw1,
		    bool hold)
{
	struct initiator_cmd *cmd = slot->cmd;

	cmd->status = status;
	cmd->result = dw0;
	cmd->result_hi = dw1;
	if (hold) {
		slot->state = SLOT_HELD;
		q->n_held++;
		return;
	}
	slot_finish(q, slot, INITIATOR_DONE);
}

void queue_slot_release(struct queue *q, struct slot *slot)
{
	q->n_held--;
	slot_finish(q, slot, INITIATOR_DONE);
}

void queue_abandon(struct queue *q)
{
	for (unsigned i = 0; i < q->n_slots; i++)
		if (q->slots[i].state != SLOT_FREE)
			slot_finish(q, &q->slots[i], INITIATOR_LOST);
	q->n_held = 0;
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
