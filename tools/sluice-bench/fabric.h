/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What carries the queues of an association: the port between the rules that hold over every fabric
 * (slots, CIDs, SQHD, time-outs: queue.h and initiator.c) and one way to move capsules and data. A
 * fabric calls back into queue.h with what the controller sends.
 *
 * All functions run on the association's thread.
 */
#ifndef SLUICE_BENCH_FABRIC_H
#define SLUICE_BENCH_FABRIC_H

#include "queue.h"

struct fabric_ops {
	/* As --transport calls it. */
	const char *name;

	/* Bytes of the fabric's own queue, a structure that begins with a struct queue. */
	size_t queue_size;

	/*
	 * What the queues of one connection of the association share: called before the first
	 * queue_open() and after the last queue_close(). 0, or a negative errno after
	 * initiator_fail(). NULL where there is nothing.
	 */
	int (*assoc_open)(struct initiator *in);
	void (*assoc_close)(struct initiator *in);

	/* Memory of @q, whose own fields are set, the rest zero; called once. 0 or -ENOMEM; after a
	 * failure queue_fini() is called too. */
	int (*queue_init)(struct queue *q);
	void (*queue_fini)(struct queue *q);

	/*
	 * Connects @q and sets @q->open as soon as queue_close() has something to close. May block, for
	 * connect_timeout_ms at a time. 0: Connect may be queued; else a negative errno, after
	 * initiator_fail().
	 */
	int (*queue_open)(struct queue *q);

	/*
	 * Takes the command of @slot, whose CID is set: fills in its data pointer and keeps it until the
	 * next queue_flush(). Never blocks nor sends. 0; -EAGAIN: no room now; -EINVAL: data that cannot
	 * be described. After an error the slot is not the fabric's.
	 */
	int (*cmd_queue)(struct queue *q, struct slot *slot);

	/* Starts all that waits; called once a turn for a queue that was marked dirty. */
	void (*queue_flush)(struct queue *q);

	/* A request that initiator_sqe() gave out with @kind has ended. After a failure of the
	 * association it is only to be noted that the ring has let go. */
	void (*ring_done)(struct queue *q, unsigned kind, int res, unsigned flags);

	/*
	 * Takes completions that do not come through the ring; true when there were any. With @arm and
	 * none found, the ring has to wake up for the next. NULL where all come through the ring.
	 */
	bool (*harvest)(struct initiator *in, bool arm);

	/* Ends the connection of an open queue, so that its requests in the ring end. Idempotent. */
	void (*queue_break)(struct queue *q);

	/* Closes an open queue; the ring has let go. Its commands are given back by the caller. */
	void (*queue_close)(struct queue *q);

	/*
	 * The region @index of the initiator is new, or is to be forgotten; while there is no
	 * connection there may be nothing to do, and assoc_open() finds it. 0 or a negative errno after
	 * initiator_fail(). NULL where the fabric reads and writes any memory.
	 */
	int (*region_add)(struct initiator *in, unsigned index);
	void (*region_remove)(struct initiator *in, unsigned index);

	/* What is wrong with Identify Controller for this fabric, or NULL. */
	const char *(*id_fault)(const struct nvme_id_ctrl *id);

	/* Bytes of data that the capsules of I/O queues may carry. */
	uint32_t (*in_capsule)(const struct nvme_id_ctrl *id);
};

extern const struct fabric_ops tcp_fabric;
extern const struct fabric_ops rdma_fabric;

#endif
