/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/control_stats.h"

#include "base/counter.h"
#include "target/control.h"
#include "target/control_json.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/worker.h"

enum { PERMILLE_MEDIAN = 500, PERMILLE_99 = 990 };

/* How much of the times a row has: buckets of thousands of queues have no room in a reply. */
enum times_detail { TIMES_BRIEF, TIMES_BUCKETS };
enum { QUEUES_WITH_BUCKETS = 256 };

/* -------------------------------------------------------------------------------------- counters */

static void put_statuses(struct json_object *row, const struct stats *stats)
{
	struct json_object *rows = put_array(row, "statuses");

	for (unsigned i = 0; i < MAX_STATS_STATUSES; i++) {
		uint64_t code = stats->statuses[i] >> STATS_STATUS_SHIFT;
		struct json_object *status;

		if (!stats->statuses[i])
			continue;
		status = append_object(rows);
		put(status, "sct",
		    code == STATS_STATUS_OTHER ? NULL : json_object_new_uint64(code >> 8));
		put(status, "sc",
		    code == STATS_STATUS_OTHER ? NULL : json_object_new_uint64(code & 0xff));
		put_u64(status, "count", stats->statuses[i] & ((1ull << STATS_STATUS_SHIFT) - 1));
	}
}

static void put_buckets(struct json_object *phase, const struct hist *hist)
{
	struct json_object *buckets = put_array(phase, "buckets");

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		struct json_object *bucket;

		if (!hist->buckets[i])
			continue;
		bucket = json_object_new_array();
		append(bucket,
		       i == HIST_BUCKETS - 1 ? NULL : json_object_new_uint64(hist_bound(i)));
		append(bucket, json_object_new_uint64(hist->buckets[i]));
		append(buckets, bucket);
	}
}

/* Kinds that there was none of are left out. */
static void put_times(struct json_object *row, const struct stats *stats, enum times_detail detail)
{
	struct json_object *times = put_object(row, "times");

	for (unsigned timed = 0; timed < STATS_TIMED; timed++) {
		struct hist hist = stats_hist(stats, timed, STATS_TOTAL);
		struct json_object *phases;

		if (!hist_count(&hist))
			continue;
		phases = put_object(times, stats_timed_names[timed]);
		for (unsigned i = 0; i < STATS_PHASES; i++) {
			struct json_object *phase = put_object(phases, stats_phase_names[i]);

			hist = stats_hist(stats, timed, i);
			put_u64(phase, "count", hist_count(&hist));
			put_u64(phase, "sum_ns", hist.sum_ns);
			put_u64(phase, "p50_ns", hist_percentile(&hist, PERMILLE_MEDIAN));
			put_u64(phase, "p99_ns", hist_percentile(&hist, PERMILLE_99));
			if (detail == TIMES_BUCKETS)
				put_buckets(phase, &hist);
		}
	}
}

static void put_stats(struct json_object *row, const struct stats *stats, enum times_detail detail)
{
	put_u64(row, "reads", stats->done[STATS_READ]);
	put_u64(row, "writes", stats->done[STATS_WRITE]);
	put_u64(row, "read_bytes", stats->bytes[STATS_READ]);
	put_u64(row, "written_bytes", stats->bytes[STATS_WRITE]);
	put_u64(row, "flushes", stats->done[STATS_FLUSH]);
	put_u64(row, "deallocates", stats->done[STATS_DEALLOCATE]);
	put_u64(row, "other", stats->done[STATS_OTHER]);
	put_u64(row, "errors", stats->errors);
	put_u64(row, "placed_bytes", stats->placed_bytes);
	put_u64(row, "staged_bytes", stats->staged_bytes);
	put_statuses(row, stats);
	put_times(row, stats, detail);
}

void control_put_ns_stats(const struct ns_stats *stats, struct json_object *row)
{
	put_stats(row, &stats->io, TIMES_BUCKETS);
	put_u64(row, "media_errors", stats->media_errors);
	put_u64(row, "busy_us", stats->busy_ns / 1000);
}

static void put_queue_stats(struct json_object *row, const struct queue_stats *stats,
			    enum times_detail detail)
{
	put_u64(row, "commands", stats->commands);
	put_stats(row, &stats->io, detail);
}

/* --------------------------------------------------------------------------------------- workers */

static void put_loop(const struct loop *loop, struct json_object *row)
{
	put_u64(row, "turns", peek(loop->stats.turns));
	put_u64(row, "enters", peek(loop->stats.enters));
	put_u64(row, "waits", peek(loop->stats.waits));
	put_u64(row, "spins", peek(loop->stats.spins));
	put_u64(row, "spin_us", peek(loop->stats.spin_ns) / 1000);
	put_u64(row, "cqes", peek(loop->stats.cqes));
}

void control_put_worker(const struct worker *worker, struct json_object *row)
{
	put_u64(row, "worker", worker->index);
	put(row, "cpu", worker->cpu < 0 ? NULL : json_object_new_int(worker->cpu));
	put_u64(row, "connections", peek(worker->connections));
	put_u64(row, "memory_waits", peek(worker->stats.memory_waits));
	put_u64(row, "host_timeouts", peek(worker->stats.host_timeouts));
	put_u64(row, "cpu_us", worker_cpu_ns(worker) / 1000);
	put_loop(&worker->loop, row);
}

static void put_workers(struct json_object *rows)
{
	for (unsigned i = 0; i < n_workers; i++) {
		struct json_object *row = append_object(rows);
		struct ns_stats stats = { 0 };

		control_put_worker(&workers[i], row);
		ns_stats_add_all(&stats, i);
		control_put_ns_stats(&stats, row);
	}
}

/* ---------------------------------------------------------------------------------------- memory */

static void put_pool(struct json_object *rows, unsigned worker, const char *pool, uint64_t bound,
		     uint64_t free, uint64_t least_free)
{
	struct json_object *row = append_object(rows);

	put_u64(row, "worker", worker);
	put_string(row, "pool", pool);
	put_u64(row, "bound_bytes", bound);
	put_u64(row, "in_use_bytes", bound - free);
	put_u64(row, "high_water_bytes", bound - least_free);
}

static void put_memory(struct json_object *rows)
{
	for (unsigned i = 0; i < n_workers; i++) {
		const struct worker *worker = &workers[i];
		const struct bounce *bounce = worker->memory.bounce;

		put_pool(rows, i, "data", (uint64_t)worker->pool.pages << POOL_MIN_SHIFT,
			 peek(worker->pool.free_bytes), peek(worker->pool.low_water_bytes));
		if (bounce)
			put_pool(rows, i, "bounce", (uint64_t)BOUNCE_PIECES * BOUNCE_PIECE,
				 (uint64_t)peek(bounce->n_free) * BOUNCE_PIECE,
				 (uint64_t)peek(bounce->least_free) * BOUNCE_PIECE);
	}
}

/* ----------------------------------------------------------------- hosts, controllers and queues */

static void put_queue(struct json_object *rows, const struct ctrl *ctrl, const struct queue *queue)
{
	struct json_object *row = append_object(rows);
	struct queue_stats stats = { 0 };

	put_string(row, "nqn", ctrl->subsys->nqn);
	put_u64(row, "cntlid", ctrl->cntlid);
	put_u64(row, "qid", queue->qid);
	put_u64(row, "worker", queue->worker->index);
	put_string(row, "peer", queue->peer);
	put_u64(row, "depth", queue->depth);
	put_u64(row, "busy", peek(queue->n_busy));
	put_u64(row, "granted_bytes", queue->ops->granted ? queue->ops->granted(queue) : 0);
	queue_stats_add(&stats, &queue->stats);
	put_queue_stats(row, &stats,
			json_object_array_length(rows) <= QUEUES_WITH_BUCKETS ? TIMES_BUCKETS :
										TIMES_BRIEF);
}

static void put_ctrl(struct json_object *reply, struct ctrl *ctrl)
{
	struct json_object *row = append_object(json_object_object_get(reply, "controllers"));
	struct json_object *queues = json_object_object_get(reply, "queues");
	struct queue_stats stats = { 0 };
	unsigned connections = 0;

	put_string(row, "nqn", ctrl->subsys->nqn);
	put_u64(row, "cntlid", ctrl->cntlid);
	put_string(row, "host_nqn", ctrl->hostnqn);
	pthread_mutex_lock(&ctrl->lock);
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link) {
		put_queue(queues, ctrl, queue);
		connections++;
	}
	stats_of_ctrl(ctrl, &stats);
	pthread_mutex_unlock(&ctrl->lock);
	put_u64(row, "connections", connections);
	put_queue_stats(row, &stats, TIMES_BUCKETS);
}

static void put_host(struct json_object *rows, struct subsys *subsys, const struct stats_host *host)
{
	struct json_object *row = append_object(rows);
	struct queue_stats stats = { 0 };
	unsigned connections = 0;

	stats_of_host(subsys, host, &stats, &connections);
	put_string(row, "nqn", subsys->nqn);
	put_string(row, "host_nqn", host->nqn);
	put_u64(row, "controllers", host->n_ctrls);
	put_u64(row, "connections", connections);
	put_queue_stats(row, &stats, TIMES_BUCKETS);
}

static void put_subsys(struct json_object *reply, struct subsys *subsys)
{
	struct json_object *hosts = json_object_object_get(reply, "hosts");

	pthread_mutex_lock(&subsys->lock);
	list_for_each(host, &subsys->hosts, struct stats_host, link)
		put_host(hosts, subsys, host);
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
		put_ctrl(reply, ctrl);
	pthread_mutex_unlock(&subsys->lock);
}

/* ----------------------------------------------------------------------------------------- stats */

void control_stats_report(struct json_object *reply)
{
	struct json_object *rows;

	put_u64(reply, "uptime_ns", clock_now_ns() - daemon_info.start_ns);
	put_array(reply, "hosts");
	put_array(reply, "controllers");
	put_array(reply, "queues");
	for (unsigned i = 0; i < n_subsystems; i++)
		put_subsys(reply, subsystems[i]);
	rows = put_array(reply, "namespaces");
	for (unsigned i = 0; i < n_namespaces; i++) {
		struct json_object *row = append_object(rows);
		struct ns_stats stats;

		put_string(row, "nqn", namespaces[i]->subsys->nqn);
		put_u64(row, "nsid", namespaces[i]->nsid);
		ns_stats_sum(namespaces[i], &stats);
		control_put_ns_stats(&stats, row);
	}
	put_workers(put_array(reply, "workers"));
	put_memory(put_array(reply, "memory"));
	rows = put_array(reply, "receive_areas");
	for (unsigned i = 0; i < n_workers; i++)
		for (unsigned t = 0; transports[t]; t++)
			if (transports[t]->receive_describe)
				transports[t]->receive_describe(&workers[i], rows);
}
