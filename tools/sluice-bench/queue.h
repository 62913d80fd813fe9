/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One queue of an association: command slots and the rules of the submission queue, the same over
 * every fabric. How capsules and data move is the business of fabric.h.
 */
#ifndef SLUICE_BENCH_QUEUE_H
#define SLUICE_BENCH_QUEUE_H

#include "initiator.h"

enum {
	QUEUE_CID_SHIFT = 12, /* above the slot's index: a counter that catches stale CIDs */
	QUEUE_CID_INDEX = (1 << QUEUE_CID_SHIFT) - 1,
};

enum slot_state {
	SLOT_FREE,
	SLOT_QUEUED, /* taken by the fabric, not sent */
	SLOT_SENT,   /* the controller may answer */
	SLOT_HELD,   /* answered, but the fabric still reads the command's memory */
};

struct slot {
	struct initiator_cmd *cmd; /* the caller's; NULL when free */
	uint64_t sq_pos;           /* its place among all commands of the queue */
	enum slot_state state;
	uint16_t cid;
};

struct queue {
	struct initiator *in;
	uint16_t qid;
	bool open;           /* the fabric has something to close */
	bool dirty;          /* on the list of queues with something to do */
	bool sqflow;
	uint32_t in_capsule; /* bytes */

	/* Submission queue (Base 3.3): entries, and where the controller said it has got. */
	uint32_t entries;
	uint64_t sq_tail, sq_head; /* counted on, not wrapped: a slow command may be laps behind */
	struct slot *slots;
	uint16_t *free;
	unsigned n_slots, n_free, n_held;
};

/* Allocates a queue of @in's fabric for @entries submission queue entries. 0 or -ENOMEM. */
int queue_new(struct queue **q, struct initiator *in, uint16_t qid, uint32_t entries);
void queue_free(struct queue *q);

/* Makes everything fresh for a new connection: what a fabric's queue_open() begins with. */
void queue_reset(struct queue *q);

/* Takes a slot for @cmd and gives it to the fabric. As initiator_submit(). */
int queue_submit(struct queue *q, struct initiator_cmd *cmd);

/* The slot of an outstanding command; NULL after a violation, in which @what names the message. */
struct slot *queue_slot_find(struct queue *q, uint16_t cid, const char *what);

/* The slot's index, for what a fabric keeps beside it. */
static inline unsigned queue_slot_index(const struct queue *q, const struct slot *slot)
{
	return (unsigned)(slot - q->slots);
}

/* Checks a completion against its command and the submission queue; NULL after a violation. */
struct slot *queue_response(struct queue *q, const struct nvme_cqe *cqe);

/*
 * Ends the command of @slot as the controller says; its owner may submit again from in there. With
 * @hold the fabric still reads its memory: the command is given back by queue_slot_release().
 */
void queue_complete(struct queue *q, struct slot *slot, uint16_t status, uint32_t dw0, uint32_t dw1,
		    bool hold);

/* Gives a held command back. */
void queue_slot_release(struct queue *q, struct slot *slot);

/* Gives every command back as lost. */
void queue_abandon(struct queue *q);

/* The oldest command's age at @now_ns in ns, Asynchronous Event Requests aside; 0 without any. */
uint64_t queue_oldest_ns(const struct queue *q, uint64_t now_ns, struct initiator_cmd **cmd);

#endif
