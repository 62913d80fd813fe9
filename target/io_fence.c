/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/io_fence.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/ctrl.h"
#include "target/queue.h"
#include "target/worker.h"

/* A worker's part of the fence; touched on its thread alone. */
struct fence_row {
	struct io_fence *fence;
	unsigned worker; /* index */
	struct msg msg;
	struct list parked;   /* cmd.wait_link: they wait for the fence to open */
	struct list freed;    /* cmd.wait_link, under the lock: what they waited for has ended */
	struct msg freed_msg;
	bool freed_posted;    /* under the lock: freed_msg is on its way */
	unsigned overlapping; /* commands in flight in the range that is to be closed */
	struct timer patience; /* while some of these wait for their hosts */
} __attribute__((aligned(CACHE_LINE)));

/*
 * Old writes by the blocks where they begin: a range of at most OLD_SPAN blocks can overlap those of three
 * places. With a list for all, those many that are resent would each look through the many that are old.
 */
enum {
	OLD_SPAN_SHIFT = 12,
	OLD_SPAN = 1 << OLD_SPAN_SHIFT,
	OLD_PLACES = 64,
};

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
	unsigned n_old;
	struct list old[OLD_PLACES]; /* cmd.linger_link */
	struct list wide;     /* cmd.linger_link: old ones of more blocks */
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

/* Under the lock. */
static void fenced_set(struct io_fence *fence)
{
	__atomic_store_n(&fence->ns->fenced, fence->holder || fence->n_old, __ATOMIC_RELAXED);
}

/* Gives the fence to the next in line, or to nobody, and tells all workers. Under the lock. */
static void fence_turn(struct io_fence *fence)
{
	struct list *next = list_pop(&fence->waiters);

	assert(!fence->turning);
	fence->turning = true;
	fence->pending = n_workers;
	fence->holder = next ? list_entry(next, struct cmd, io.link) : NULL;
	fenced_set(fence);
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

static bool is_overlapping(const struct fence_row *row, const struct cmd *cmd)
{
	const struct io_fence *fence = row->fence;

	return cmd->modifying && cmd->ns == fence->ns && overlap(cmd, fence->holder);
}

static void patience_begin(struct fence_row *row)
{
	/* Without memory for the timer the transport's own time for such hosts has to do. */
	if (!timer_running(&row->patience))
		loop_timer_start(&workers[row->worker].loop, &row->patience,
				 FENCE_PATIENCE_MS * UINT64_C(1000000));
}

static unsigned count_overlapping(struct fence_row *row)
{
	unsigned n = 0;

	list_for_each(queue, &workers[row->worker].queues, struct queue, worker_link)
		list_for_each(cmd, &queue->live, struct cmd, link) {
			if (!is_overlapping(row, cmd))
				continue;
			n++;
			if (cmd->state == CMD_FETCHING)
				patience_begin(row);
		}
	return n;
}

/* One write is enough of a reason, and all commands of the queue go with it. */
static bool keeps_data_back(const struct fence_row *row, const struct queue *queue)
{
	list_for_each(cmd, &queue->live, struct cmd, link)
		if (is_overlapping(row, cmd) && cmd->state == CMD_FETCHING)
			return true;
	return false;
}

static void out_of_patience(struct timer *timer)
{
	struct fence_row *row = container_of(timer, struct fence_row, patience);
	struct worker *worker = &workers[row->worker];

	list_for_each(queue, &worker->queues, struct queue, worker_link) {
		if (queue->state == QUEUE_CLOSING || !keeps_data_back(row, queue))
			continue;
		counter_add(&worker->stats.host_timeouts, 1);
		log_peer(
			queue_about(queue),
			"%s: host %s did not send data for %u seconds that a fused command waits for; "
			"closing the connection",
			queue->peer, queue->ctrl->hostnqn, FENCE_PATIENCE_MS / 1000);
		queue->ops->close(queue, QUEUE_CLOSE_WITHHELD);
	}
}

/* ------------------------------------------------------------------------------------- old writes */

static bool is_wide(const struct cmd *cmd)
{
	return cmd->lba_end - cmd->lba_begin > OLD_SPAN;
}

static struct cmd *old_in(struct list *place, const struct cmd *cmd)
{
	list_for_each(old, place, struct cmd, linger_link)
		if (overlap(cmd, old))
			return old;
	return NULL;
}

/* An old write on its way to blocks of @cmd, or NULL. Under the lock. */
static struct cmd *old_find(struct io_fence *fence, const struct cmd *cmd)
{
	uint64_t first = cmd->lba_begin >> OLD_SPAN_SHIFT, last = cmd->lba_end >> OLD_SPAN_SHIFT;
	struct cmd *old = old_in(&fence->wide, cmd);

	/* What begins in the place before may reach into the first. */
	first -= first > 0;
	last = MIN(last, first + OLD_PLACES - 1);
	for (uint64_t place = first; !old && place <= last; place++)
		old = old_in(&fence->old[place % OLD_PLACES], cmd);
	return old;
}

/* Waits for an old write on its way to blocks of @cmd to end; false when there is none. Under the lock. */
static bool old_wait(struct io_fence *fence, struct cmd *cmd)
{
	struct cmd *old = fence->n_old ? old_find(fence, cmd) : NULL;

	if (old)
		list_add_tail(&old->linger_waiters, &cmd->wait_link);
	return old;
}

static bool wait_behind(struct cmd *cmd)
{
	struct io_fence *fence = cmd->ns->fence;
	bool waits;

	pthread_mutex_lock(&fence->lock);
	waits = old_wait(fence, cmd);
	pthread_mutex_unlock(&fence->lock);
	return waits;
}

void io_fence_linger(struct cmd *cmd)
{
	struct io_fence *fence = cmd->ns->fence;
	uint64_t place = cmd->lba_begin >> OLD_SPAN_SHIFT;

	cmd->lingers = true;
	list_init(&cmd->linger_waiters);
	pthread_mutex_lock(&fence->lock);
	list_add_tail(is_wide(cmd) ? &fence->wide : &fence->old[place % OLD_PLACES],
		      &cmd->linger_link);
	fence->n_old++;
	fenced_set(fence);
	pthread_mutex_unlock(&fence->lock);
}

/* Those that waited for it look again, each on its worker. */
static void linger_end(struct cmd *cmd)
{
	struct io_fence *fence = cmd->ns->fence;
	struct list *node;

	cmd->lingers = false;
	pthread_mutex_lock(&fence->lock);
	list_del(&cmd->linger_link);
	fence->n_old--;
	fenced_set(fence);
	while ((node = list_pop(&cmd->linger_waiters))) {
		struct fence_row *row = row_of(list_entry(node, struct cmd, wait_link));

		list_add_tail(&row->freed, node);
		if (!row->freed_posted)
			loop_post(&workers[row->worker].loop, &row->freed_msg);
		row->freed_posted = true;
	}
	pthread_mutex_unlock(&fence->lock);
}

static void freed_deliver(struct msg *msg)
{
	struct fence_row *row = container_of(msg, struct fence_row, freed_msg);
	struct io_fence *fence = row->fence;
	struct list freed = LIST_INIT(freed), *node;

	pthread_mutex_lock(&fence->lock);
	row->freed_posted = false;
	list_splice_tail(&freed, &row->freed);
	pthread_mutex_unlock(&fence->lock);
	while ((node = list_pop(&freed))) {
		struct cmd *cmd = list_entry(node, struct cmd, wait_link);

		if (io_fence_enter(cmd))
			cmd->execute(cmd);
	}
}

/* ------------------------------------------------------------------------------------------- turns */

static void turn_deliver(struct msg *msg)
{
	struct fence_row *row = container_of(msg, struct fence_row, msg);
	struct list parked = LIST_INIT(parked), *node;

	/* A command that is parked from here on, by an execute below, waits for the next turn. */
	list_splice_tail(&parked, &row->parked);
	while ((node = list_pop(&parked))) {
		struct cmd *cmd = list_entry(node, struct cmd, wait_link);

		if (cmd->queue->suspect) {
			cmd_complete(cmd, cmd_try_later(cmd->queue));
			continue;
		}
		if (wait_behind(cmd))
			continue;
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

	if (cmd->queue->suspect) {
		cmd_complete(cmd, cmd_try_later(cmd->queue));
		return false;
	}
	/* Passing a holder that does not overlap is safe: the next one begins with its own turn. */
	pthread_mutex_lock(&fence->lock);
	wait = fence->holder && overlap(cmd, fence->holder);
	if (wait)
		list_add_tail(&row_of(cmd)->parked, &cmd->wait_link);
	else
		wait = old_wait(fence, cmd);
	pthread_mutex_unlock(&fence->lock);
	cmd->modifying = !wait;
	return cmd->modifying;
}

bool io_fence_give_up(struct cmd *cmd)
{
	struct io_fence *fence = cmd->ns->fence;
	bool waited;

	/* What it waits for may end just now, on another worker. */
	pthread_mutex_lock(&fence->lock);
	waited = !list_empty(&cmd->wait_link);
	list_del(&cmd->wait_link);
	pthread_mutex_unlock(&fence->lock);
	return waited;
}

void io_fence_left(struct cmd *cmd)
{
	struct fence_row *row = row_of(cmd);

	if (cmd->lingers)
		linger_end(cmd);
	/*
	 * Those that overlap and are in flight are the ones that were counted: none has begun
	 * since. Before the count `overlapping` is zero, and the holder is not looked at.
	 */
	if (row->overlapping && overlap(cmd, row->fence->holder) && !--row->overlapping) {
		loop_timer_stop(&workers[row->worker].loop, &row->patience);
		fence_answer(row->fence);
	}
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
	list_init(&fence->wide);
	for (unsigned i = 0; i < OLD_PLACES; i++)
		list_init(&fence->old[i]);
	for (unsigned i = 0; i < n_workers; i++) {
		fence->rows[i] = (struct fence_row){
			.fence = fence,
			.worker = i,
			.msg.deliver = turn_deliver,
			.freed_msg.deliver = freed_deliver,
		};
		list_init(&fence->rows[i].parked);
		list_init(&fence->rows[i].freed);
		timer_init(&fence->rows[i].patience, out_of_patience);
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
