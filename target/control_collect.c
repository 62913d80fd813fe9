/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/control_collect.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "target/control_json.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/worker.h"

/*
 * One worker's part. It belongs to the worker while `busy`, which may be longer than the asking
 * thread waits: hence static.
 */
struct collect {
	struct msg msg;
	struct worker *worker;
	uint64_t described; /* up to and including the queue of this serial number */
	struct json_object *rows;
	bool busy; /* under collect_lock */
};

static struct collect collects[MAX_WORKERS];
static pthread_mutex_t collect_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t collect_done = PTHREAD_COND_INITIALIZER;

static const char *queue_state_name(enum queue_state state)
{
	static const char *const names[QUEUE_STATES] = {
		[QUEUE_NEW] = "new",
		[QUEUE_LIVE] = "live",
		[QUEUE_CLOSING] = "closing",
	};

	return names[state];
}

/* On the queue's worker. */
static void queue_describe(const struct queue *queue, struct json_object *row)
{
	const struct ctrl *ctrl = queue->ctrl;
	struct json_object *transport;

	put_u64(row, "worker", queue->worker->index);
	put_string(row, "listener", queue->listener->config->name);
	put_string(row, "peer", queue->peer);
	put_string(row, "local_address", queue->local_address);
	put_string(row, "state", queue_state_name(queue->state));
	put_string(row, "nqn", ctrl ? ctrl->subsys->nqn : NULL);
	put(row, "cntlid", ctrl ? json_object_new_uint64(ctrl->cntlid) : NULL);
	put(row, "qid", ctrl ? json_object_new_uint64(queue->qid) : NULL);
	put_u64(row, "depth", queue->depth);
	put_u64(row, "busy", queue->n_busy);
	put_u64(row, "age_ms", (clock_now_ns() - queue->created_ns) / 1000000);
	put_u64(row, "commands", queue->stats.commands);
	put_u64(row, "errors", queue->stats.io.errors);
	put_u64(row, "read_bytes", queue->stats.io.bytes[STATS_READ]);
	put_u64(row, "written_bytes", queue->stats.io.bytes[STATS_WRITE]);
	put_u64(row, "placed_bytes", queue->stats.io.placed_bytes);
	put_u64(row, "staged_bytes", queue->stats.io.staged_bytes);
	transport = put_object(row, "transport");
	if (!transport)
		return;
	put_string(transport, "name", queue->ops->name);
	queue->ops->describe(queue, transport);
}

static void collect_finish(struct collect *collect)
{
	pthread_mutex_lock(&collect_lock);
	collect->busy = false;
	pthread_cond_signal(&collect_done);
	pthread_mutex_unlock(&collect_lock);
}

/*
 * Describes some connections and comes again for the rest, so that commands wait for no more than
 * CONTROL_COLLECT_BATCH of them. Connections may come and go meanwhile.
 */
static void collect_deliver(struct msg *msg)
{
	struct collect *collect = container_of(msg, struct collect, msg);
	struct worker *worker = collect->worker;
	unsigned n = 0;

	list_for_each(queue, &worker->queues, struct queue, worker_link) {
		if (queue->serial <= collect->described)
			continue;
		if (n++ == CONTROL_COLLECT_BATCH) {
			loop_post(&worker->loop, &collect->msg);
			return;
		}
		queue_describe(queue, append_object(collect->rows));
		collect->described = queue->serial;
	}
	collect_finish(collect);
}

/* The first worker that still owes an answer, or n_workers. Under collect_lock. */
static unsigned collect_busy(void)
{
	unsigned i = 0;

	while (i < n_workers && !collects[i].busy)
		i++;
	return i;
}

static void collect_start(unsigned i)
{
	struct collect *collect = &collects[i];

	json_object_put(collect->rows); /* an answer that came too late for its question */
	*collect = (struct collect){
		.msg.deliver = collect_deliver,
		.worker = &workers[i],
		.rows = json_object_new_array(),
		.busy = true,
	};
	list_init(&collect->msg.link);
	loop_post(&workers[i].loop, &collect->msg);
}

/* Waits for all workers. The first that does not answer, or n_workers. Under collect_lock. */
static unsigned collect_wait(void)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += CONTROL_COLLECT_TIMEOUT_MS / 1000;
	while (collect_busy() < n_workers)
		if (pthread_cond_clockwait(&collect_done, &collect_lock, CLOCK_MONOTONIC, &end))
			break;
	return collect_busy();
}

/* Moves the rows of @from to @to. */
static void rows_move(struct json_object *to, struct json_object *from)
{
	size_t n = from ? json_object_array_length(from) : 0;

	for (size_t i = 0; i < n; i++)
		append(to, json_object_get(json_object_array_get_idx(from, i)));
	json_object_put(from);
}

int control_collect_connections(struct json_object *array, unsigned *worker)
{
	pthread_mutex_lock(&collect_lock);
	/* A worker that owes an answer from before is not asked, or waited for, again. */
	*worker = collect_busy();
	if (*worker == n_workers) {
		for (unsigned i = 0; i < n_workers; i++)
			collect_start(i);
		*worker = collect_wait();
	}
	if (*worker == n_workers) {
		for (unsigned i = 0; i < n_workers; i++) {
			rows_move(array, collects[i].rows);
			collects[i].rows = NULL;
		}
	}
	pthread_mutex_unlock(&collect_lock);
	return *worker < n_workers ? -ETIMEDOUT : 0;
}

void control_collect_fini(void)
{
	pthread_mutex_lock(&collect_lock);
	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		if (collects[i].busy)
			continue;
		json_object_put(collects[i].rows);
		collects[i].rows = NULL;
	}
	pthread_mutex_unlock(&collect_lock);
}
