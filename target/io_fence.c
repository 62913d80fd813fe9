/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/io_fence.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "target/queue.h"
#include "target/worker.h"

/* A worker's part of the fence; touched on its thread alone. */
struct fence_row {
	struct io_fence *fence;
	unsigned worker; /* index */
	struct msg msg;
	struct list parked;   /* cmd.wait_link: they wait for the fence to open */
	unsigned overlapping; /* commands in flight in the range that is to be closed */
} __attribute__((aligned(64)));

struct io_fence {
	struct ns *ns;
	/*
	 * Constant from the messages of one turn to the next, and so read without the lock by
	 * whoever got the message.
	 */
	struct cmd *holder;
	pthread_mutex_t lock; /* for all below, and to set holder */
	struct list waiters;  /* cmd.io.link: those that want to hold it next */
	bool turning;	      /* messages are out */
	unsigned pending;     /* answers that are still to come */
	struct msg granted;   /* to the holder's worker */
	struct fence_row rows[];
};

static bool overlap(const struct cmd *a, const struct cmd *b)
{
	return a->lba_begin < b->lba_end && b->lba_begin < a->lba_end;
}

static struct fence_row *row_of(const struct cmd *cmd)
{
	return &cmd->ns->fence->rows[cmd->queue->worker->index];
}

/* Gives the fence to the next in line, or to nobody, and tells all workers. Under the lock. */
static void fence_turn(struct io_fence *fence)
{
	struct list *next = list_pop(&fence->waiters);

	assert(!fence->turning);
	fence->turning = true;
	fence->pending = n_workers;
	fence->holder = next ? list_entry(next, struct cmd, io.link) : NULL;
	__atomic_store_n(&fence->ns->fenced, next != NULL, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < n_workers; i++)
		loop_post(&workers[i].loop, &fence->rows[i].msg);
}

/* One worker has nothing in flight any more that overlaps the holder. */
static void fence_answer(struct io_fence *fence)
{
	pthread_mutex_lock(&fence->lock);
	if (!--fence->pending) {
		fence->turning = false;
		if (fence->holder)
			loop_post(&fence->holder->queue->worker->loop, &fence->granted);
		else if (!list_empty(&fence->waiters))
			fence_turn(fence);
	}
	pthread_mutex_unlock(&fence->lock);
}

static void granted_deliver(struct msg *msg)
{
	struct cmd *holder = container_of(msg, struct io_fence, granted)->holder;

	holder->execute(holder);
}

static unsigned count_overlapping(const struct fence_row *row)
{
	const struct io_fence *fence = row->fence;
	unsigned n = 0;

	list_for_each(queue, &workers[row->worker].queues, struct queue, worker_link)
		list_for_each(cmd, &queue->live, struct cmd, link)
			if (cmd->modifying && cmd->ns == fence->ns && overlap(cmd, fence->holder))
				n++;
	return n;
}

static void turn_deliver(struct msg *msg)
{
	struct fence_row *row = container_of(msg, struct fence_row, msg);
	struct list parked = LIST_INIT(parked), *node;

	/* A command that is parked from here on, by an execute below, waits for the next turn. */
	list_splice_tail(&parked, &row->parked);
	while ((node = list_pop(&parked))) {
		struct cmd *cmd = list_entry(node, struct cmd, wait_link);

		cmd->modifying = true;
		cmd->execute(cmd);
	}
	row->overlapping = row->fence->holder ? count_overlapping(row) : 0;
	if (!row->overlapping)
		fence_answer(row->fence);
}

bool io_fence_wait(struct cmd *cmd)
{
	struct io_fence *fence = cmd->ns->fence;
	bool wait;

	/* Passing a holder that does not overlap is safe: the next one begins with its own turn. */
	pthread_mutex_lock(&fence->lock);
	wait = fence->holder && overlap(cmd, fence->holder);
	pthread_mutex_unlock(&fence->lock);
	if (wait)
		list_add_tail(&row_of(cmd)->parked, &cmd->wait_link);
	else
		cmd->modifying = true;
	return !wait;
}

void io_fence_left(struct cmd *cmd)
{
	struct fence_row *row = row_of(cmd);

	/*
	 * Those that overlap and are in flight are the ones that were counted: none has begun
	 * since. Before the count `overlapping` is zero, and the holder is not looked at.
	 */
	if (row->overlapping && overlap(cmd, row->fence->holder) && !--row->overlapping)
		fence_answer(row->fence);
}

void io_fence_close(struct cmd *cmd)
{
	struct io_fence *fence = cmd->ns->fence;

	pthread_mutex_lock(&fence->lock);
	list_add_tail(&fence->waiters, &cmd->io.link);
	if (!fence->holder && !fence->turning)
		fence_turn(fence);
	pthread_mutex_unlock(&fence->lock);
}

void io_fence_open(struct cmd *cmd)
{
	struct io_fence *fence = cmd->ns->fence;

	pthread_mutex_lock(&fence->lock);
	assert(fence->holder == cmd);
	fence_turn(fence);
	pthread_mutex_unlock(&fence->lock);
}

int io_fence_init(struct ns *ns)
{
	size_t size = sizeof(struct io_fence) + n_workers * sizeof(struct fence_row);
	struct io_fence *fence = aligned_alloc(_Alignof(struct fence_row),
					       align_up(size, _Alignof(struct fence_row)));

	if (!fence)
		return -ENOMEM;
	*fence = (struct io_fence){ .ns = ns, .granted.deliver = granted_deliver };
	pthread_mutex_init(&fence->lock, NULL);
	list_init(&fence->waiters);
	for (unsigned i = 0; i < n_workers; i++) {
		fence->rows[i] = (struct fence_row){
			.fence = fence,
			.worker = i,
			.msg.deliver = turn_deliver,
		};
		list_init(&fence->rows[i].parked);
	}
	ns->fence = fence;
	return 0;
}

void io_fence_fini(struct ns *ns)
{
	if (!ns->fence)
		return;
	pthread_mutex_destroy(&ns->fence->lock);
	free(ns->fence);
	ns->fence = NULL;
}
