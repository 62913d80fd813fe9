/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "target/admin.h"
#include "target/ctrl.h"
#include "target/io.h"
#include "target/listener.h"
#include "target/worker.h"

struct log_about queue_about(const struct queue *queue)
{
	struct log_about about = queue->ctrl ? ctrl_about(queue->ctrl) : log_about();

	about.peer = queue->peer;
	if (queue->listener) /* not before queue_init() */
		about.listener = queue->listener->config->name;
	return about;
}

static void queue_close_deliver(struct msg *msg)
{
	struct queue *queue = container_of(msg, struct queue, close_msg);
	/* From here on the next one may write its reason there. */
	enum queue_close why =
		__atomic_exchange_n(&queue->close_why, QUEUE_CLOSE_NONE, __ATOMIC_ACQ_REL);

	if (queue->state == QUEUE_CLOSING) {
		queue_work(queue); /* it was gone already and waits for this message alone */
		return;
	}
	queue->parting |= why == QUEUE_CLOSE_EVICTED;
	queue->ops->close(queue, why);
}

/* What it may have gone on with elsewhere lingers, and nothing of it begins to modify blocks. */
static void queue_suspect(struct queue *queue)
{
	if (!queue->suspect)
		queue->suspect_ns = clock_now_ns();
	queue->suspect = true;
	list_for_each(cmd, &queue->live, struct cmd, link)
		io_linger(cmd);
}

void queue_lost(struct queue *queue)
{
	queue->lost = true;
	queue_suspect(queue);
}

void queue_heard(struct queue *queue)
{
	/* What comes now may have been there since before, unread while the target was short of memory. */
	if (queue->lost || !queue_heard_since(queue, queue->suspect_ns))
		return;
	queue->suspect = false;
	__atomic_store_n(&queue->traffic, true, __ATOMIC_RELAXED);
}

static void queue_suspect_deliver(struct msg *msg)
{
	struct queue *queue = container_of(msg, struct queue, suspect_msg);

	__atomic_store_n(&queue->suspect_posted, false, __ATOMIC_RELEASE);
	if (queue->state == QUEUE_CLOSING) {
		queue_work(queue); /* as above */
		return;
	}
	if (__atomic_load_n(&queue->ctrl->silent, __ATOMIC_RELAXED))
		queue_suspect(queue);
	else
		queue->suspect = queue->lost;
}

static void slot_init(struct queue *queue, struct cmd *cmd, unsigned tag)
{
	cmd->queue = queue;
	cmd->tag = (uint16_t)tag;
	list_init(&cmd->link);
	list_init(&cmd->wait_link);
	timer_init(&cmd->io.timer, NULL);
	list_init(&cmd->io.link);
	list_init(&cmd->linger_link);
}

static struct cmd *slot(const struct queue *queue, unsigned tag)
{
	return (struct cmd *)(queue->slots + (tag - 1) * queue_slot_bytes(queue->ops->cmd_size));
}

void queue_init(struct queue *queue, const struct transport_ops *ops, struct listener *listener,
		struct worker *worker, struct cmd *slot0)
{
	*queue = (struct queue){
		.ops = ops,
		.listener = listener,
		.worker = worker,
		.state = QUEUE_NEW,
		.worker_index = (uint16_t)worker->index,
		.cntlid = NVMF_CNTLID_DYNAMIC,
		.depth = 1,
		.host = "",
		.map_writes = true,
		.stream_writes = true,
		.map_reads = UINT32_MAX,
		.slot0 = slot0,
		.close_msg.deliver = queue_close_deliver,
		.suspect_msg.deliver = queue_suspect_deliver,
		.serial = ++worker->queues_made,
		.created_ns = worker->loop.now_ns,
	};
	list_init(&queue->live);
	list_init(&queue->memory_waiters);
	list_init(&queue->hungry_link);
	list_init(&queue->ctrl_link);
	list_init(&queue->work_link);
	list_add_tail(&worker->queues, &queue->worker_link);
	listener_get(listener);
	slot_init(queue, slot0, 0);
	TRACE(queue_init, 8@%[queue] 8@%[ids], TRACE_IN(queue, queue), TRACE_AT(ids, queue->ids));
}

void queue_fini(struct queue *queue)
{
	assert(!queue->n_busy && list_empty(&queue->ctrl_link));
	assert(!queue->memory_bytes && list_empty(&queue->memory_waiters));
	list_del(&queue->hungry_link);
	list_del(&queue->work_link);
	list_del(&queue->worker_link);
	listener_put(queue->listener);
	free(queue->free);
	free(queue->slots);
}

int queue_set_depth(struct queue *queue, uint16_t depth)
{
	size_t bytes = depth * queue_slot_bytes(queue->ops->cmd_size);

	assert(!queue->slots && depth);
	queue->slots = aligned_alloc(CACHE_LINE, bytes);
	queue->free = calloc(depth, sizeof(struct cmd *));
	if (!queue->slots || !queue->free)
		return -ENOMEM; /* queue_fini() frees what there is */
	memset(queue->slots, 0, bytes);
	queue->depth = depth;
	queue->sqhd = 1; /* Connect took the first entry */
	for (unsigned tag = depth; tag >= 1; tag--) {
		slot_init(queue, slot(queue, tag), tag);
		queue->free[queue->n_free++] = slot(queue, tag);
	}
	return 0;
}

struct cmd *queue_cmd_get(struct queue *queue)
{
	struct cmd *cmd;

	if (queue->n_free) {
		cmd = queue->free[--queue->n_free];
	} else if (!queue->slots && queue->slot0->state == CMD_FREE) {
		cmd = queue->slot0;
	} else {
		queue->wants_slot = true;
		return NULL;
	}
	list_add_tail(&queue->live, &cmd->link);
	queue->n_busy++;
	return cmd;
}

struct cmd *queue_cmd_find(struct queue *queue, unsigned tag)
{
	struct cmd *cmd;

	if (tag == 0)
		cmd = queue->slot0;
	else if (queue->slots && tag <= queue->depth)
		cmd = slot(queue, tag);
	else
		return NULL;
	return cmd->state == CMD_FREE ? NULL : cmd;
}

void queue_work(struct queue *queue)
{
	if (list_empty(&queue->work_link))
		list_add_tail(&queue->worker->queues_waiting, &queue->work_link);
}

void queue_cmd_put(struct queue *queue, struct cmd *cmd)
{
	cmd_set_state(cmd, CMD_FREE);
	list_del(&cmd->link);
	queue->n_busy--;
	if (cmd->tag)
		queue->free[queue->n_free++] = cmd;
	if (unlikely(queue->wants_slot || (queue->state == QUEUE_CLOSING && !queue->n_busy)))
		queue_work(queue);
}

void queue_serve_waiters(struct worker *worker)
{
	struct list waiting = LIST_INIT(waiting), *node;

	list_splice_tail(&waiting, &worker->queues_waiting);
	while ((node = list_pop(&waiting))) {
		struct queue *queue = list_entry(node, struct queue, work_link);

		if (queue->state == QUEUE_CLOSING) {
			/* A message on its way holds the queue's memory, too. */
			if (queue->n_busy || queue_close_pending(queue) ||
			    __atomic_load_n(&queue->suspect_posted, __ATOMIC_ACQUIRE))
				continue;
			queue->host = "";
			if (queue->ctrl)
				ctrl_put_queue(queue->ctrl, queue);
			queue->ctrl = NULL;
			queue->ops->idle(queue);
		} else if (queue->wants_slot) {
			queue->wants_slot = false;
			queue->ops->resume(queue);
		}
	}
}

/* What the core itself holds of a dying queue: commands that wait, and those in several steps. */
static void queue_drop_command(struct queue *queue, struct cmd *cmd)
{
	if (cmd->state == CMD_PARSED) {
		queue->worker->memory_freed = true; /* others may have waited behind it */
		cmd_release(cmd);
	} else if (cmd->state == CMD_EXECUTING && queue->qid) {
		io_linger(cmd);
		io_abort(cmd);
	}
}

void queue_gone(struct queue *queue)
{
	struct list live = LIST_INIT(live), *node;

	assert(queue->state != QUEUE_CLOSING);
	TRACE(queue_gone, 8@%[queue] 8@%[ids] 8@%[peer] 8@%[host] 8@%[commands], TRACE_IN(queue, queue),
	      TRACE_AT(ids, queue->ids), TRACE_IN(peer, queue->peer), TRACE_AT(host, queue->host),
	      TRACE_AT(commands, queue->stats.commands));
	queue->state = QUEUE_CLOSING;
	if (queue->ctrl)
		ctrl_detach_queue(queue->ctrl, queue);
	/*
	 * Aborting one command may end another (the other half of a fused pair), so each is moved
	 * to `live` again, its place while busy, before it is touched.
	 */
	list_splice_tail(&live, &queue->live);
	while ((node = list_pop(&live))) {
		list_add_tail(&queue->live, node);
		queue_drop_command(queue, list_entry(node, struct cmd, link));
	}
	if (!queue->n_busy)
		queue_work(queue);
}

bool queue_may_end(struct queue *queue)
{
	unsigned waiting = queue->ctrl && !queue->qid ? queue->ctrl->n_aer : 0;

	io_fused_alone(queue);
	if (queue->n_busy != waiting)
		return false;
	return !queue->ctrl || ctrl_answered(queue->ctrl, queue) || !queue->parting;
}

void queues_part(struct worker *worker)
{
	list_for_each(queue, &worker->queues, struct queue, worker_link)
		queue->parting = true;
}

void queue_close_post(struct queue *queue, enum queue_close why)
{
	enum queue_close was = __atomic_load_n(&queue->close_why, __ATOMIC_ACQUIRE);

	do {
		if (was != QUEUE_CLOSE_NONE &&
		    (queue_close_is_orderly(why) || !queue_close_is_orderly(was)))
			return;
	} while (!__atomic_compare_exchange_n(&queue->close_why, &was, why, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	if (was == QUEUE_CLOSE_NONE)
		loop_post(&queue->worker->loop, &queue->close_msg);
}

void queue_suspect_post(struct queue *queue)
{
	if (!__atomic_exchange_n(&queue->suspect_posted, true, __ATOMIC_ACQ_REL))
		loop_post(&queue->worker->loop, &queue->suspect_msg);
}

const char *queue_close_name(enum queue_close why)
{
	static const char *const names[] = {
		[QUEUE_CLOSE_DISCONNECT] = "the host disconnected the queue",
		[QUEUE_CLOSE_CTRL] = "its controller was reset, shut down or lost its admin queue",
		[QUEUE_CLOSE_KATO] = "keep alive timeout",
		[QUEUE_CLOSE_SUPERSEDED] = "its host has connected again",
		[QUEUE_CLOSE_TIMEOUT] = "no Connect command in time",
		[QUEUE_CLOSE_WITHHELD] = "data that others wait for did not come",
		[QUEUE_CLOSE_STOP] = "the target stops",
		[QUEUE_CLOSE_REFUSED] = "Connect was refused",
		[QUEUE_CLOSE_EVICTED] = "drained, or the host is not allowed any more",
	};

	return names[why];
}
