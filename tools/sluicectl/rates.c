/* SPDX-License-Identifier: BSD-3-Clause */
#include "rates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/hist.h"
#include "reply.h"
#include "table.h"

enum { PERMILLE_99 = 990, KEY_MAX = 512 };

const char *const rate_kind_names[RATE_KINDS] = {
	[RATE_READ] = "read",
	[RATE_WRITE] = "write",
	[RATE_OTHER] = "other",
};

const char *const rate_phase_names[RATE_PHASES] = {
	[RATE_FETCH] = "fetch",
	[RATE_BACKEND] = "backend",
	[RATE_RESPOND] = "respond",
	[RATE_TOTAL] = "total",
};

/* ------------------------------------------------------------------------------------ differences */

/* Two looks at the same thing. */
struct span {
	const struct json_object *before; /* NULL: it was not there, or counts from 0 */
	const struct json_object *now;
	double seconds;
	bool back; /* a counter was lower than before */
};

static double by_second(const struct span *span, uint64_t n)
{
	return span->seconds > 0 ? (double)n / span->seconds : 0;
}

static uint64_t grown(struct span *span, uint64_t before, uint64_t now)
{
	if (now >= before)
		return now - before;
	span->back = true;
	return 0;
}

static double rate(struct span *span, const char *key)
{
	return by_second(span, grown(span, number(span->before, key), number(span->now, key)));
}

/* The times of a phase as the daemon had them: [bound, count] for each bucket that is not empty. */
static struct hist hist_of(const struct json_object *phase)
{
	struct hist hist = { .sum_ns = number(phase, "sum_ns") };
	struct json_object *bucket;

	for_each_row(bucket, member(phase, "buckets")) {
		struct json_object *bound;
		unsigned index = HIST_BUCKETS - 1;

		if (rows_count(bucket) != 2)
			continue;
		bound = json_object_array_get_idx(bucket, 0);
		if (bound)
			index = hist_index(MAX(json_object_get_uint64(bound), UINT64_C(1)) - 1);
		hist.buckets[index] += json_object_get_uint64(json_object_array_get_idx(bucket, 1));
	}
	return hist;
}

/* Returns how many times @time is of. */
static uint64_t time_init(struct rate_time *time, struct span *span,
			  const struct json_object *before, const struct json_object *now)
{
	struct hist then = hist_of(before), hist = hist_of(now);
	uint64_t count;

	hist.sum_ns = grown(span, then.sum_ns, hist.sum_ns);
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		hist.buckets[i] = grown(span, then.buckets[i], hist.buckets[i]);
	count = hist_count(&hist);
	time->mean_ns = count ? (double)hist.sum_ns / (double)count : 0;
	time->p99_ns = hist_percentile(&hist, PERMILLE_99);
	return count;
}

static void times_init(struct rate_io *io, struct span *span)
{
	const struct json_object *before = member(span->before, "times");
	const struct json_object *now = member(span->now, "times");

	for (unsigned kind = 0; kind < RATE_KINDS; kind++) {
		const struct json_object *then = member(before, rate_kind_names[kind]);
		const struct json_object *phases = member(now, rate_kind_names[kind]);

		for (unsigned i = 0; i < RATE_PHASES; i++) {
			uint64_t count = time_init(&io->times[kind][i], span,
						   member(then, rate_phase_names[i]),
						   member(phases, rate_phase_names[i]));

			if (i == RATE_TOTAL)
				io->timed[kind] = by_second(span, count);
		}
	}
}

static void io_init(struct rate_io *io, struct span *span)
{
	*io = (struct rate_io){
		.reads = rate(span, "reads"),
		.writes = rate(span, "writes"),
		.others = rate(span, "flushes") + rate(span, "deallocates") + rate(span, "other"),
		.errors = rate(span, "errors"),
		.read_bytes = rate(span, "read_bytes"),
		.written_bytes = rate(span, "written_bytes"),
		.placed_bytes = rate(span, "placed_bytes"),
		.staged_bytes = rate(span, "staged_bytes"),
	};
	times_init(io, span);
	if (span->back)
		*io = (struct rate_io){ 0 };
}

static void io_add(struct rate_io *sum, const struct rate_io *io)
{
	sum->reads += io->reads;
	sum->writes += io->writes;
	sum->others += io->others;
	sum->errors += io->errors;
	sum->read_bytes += io->read_bytes;
	sum->written_bytes += io->written_bytes;
	sum->placed_bytes += io->placed_bytes;
	sum->staged_bytes += io->staged_bytes;
}

/* ------------------------------------------------------------------------------------------ rows */

/* What tells a row from the others of its array: NQN and the rest, of those that it has. */
static const char *row_key(const struct json_object *row, char key[KEY_MAX])
{
	snprintf(key, KEY_MAX, "%s %s %s %s", text(row, "nqn"), text(row, "nsid"),
		 text(row, "host_nqn"), text(row, "worker"));
	return key;
}

/* The rows of @array by their keys, in an object that is the caller's. */
static struct json_object *rows_index(const struct json_object *array)
{
	struct json_object *index = json_object_new_object(), *row;
	char key[KEY_MAX];

	if (!index)
		out_of_memory();
	for_each_row(row, array) {
		if (json_object_object_add(index, row_key(row, key), json_object_get(row)))
			out_of_memory();
	}
	return index;
}

static void *rows_new(size_t n, size_t size)
{
	void *rows = calloc(n ? n : 1, size);

	if (!rows)
		out_of_memory();
	return rows;
}

static void worker_init(struct rate_worker *worker, struct span *span)
{
	worker->row = span->now;
	worker->cpu = rate(span, "cpu_us") / 1e6;
	worker->spinning = rate(span, "spin_us") / 1e6;
	worker->turns = rate(span, "turns");
	worker->blocks = rate(span, "waits");
	worker->shortages = rate(span, "memory_waits");
	io_init(&worker->io, span);
	if (span->back)
		*worker = (struct rate_worker){ .row = span->now };
}

static void workers_init(struct rates *rates, const struct json_object *before, double seconds)
{
	const struct json_object *array = member(rates->reply, "workers");
	struct json_object *then = rows_index(member(before, "workers")), *row;
	char key[KEY_MAX];

	rates->workers = rows_new(rows_count(array), sizeof(*rates->workers));
	for_each_row(row, array) {
		struct rate_worker *worker = &rates->workers[rates->n_workers++];
		struct span span = { member(then, row_key(row, key)), row, seconds, false };

		worker_init(worker, &span);
		rates->connections += number(row, "connections");
		rates->cpu += worker->cpu;
		rates->spinning += worker->spinning;
	}
	json_object_put(then);
}

/* The busiest first; those that are equally busy by their names, so that they keep their places. */
static int by_work(const void *a, const void *b)
{
	const struct rate_row *one = a, *other = b;
	double commands = rate_commands(&other->io) - rate_commands(&one->io);
	char key[2][KEY_MAX];

	if (commands > 0 || commands < 0)
		return commands > 0 ? 1 : -1;
	return strcmp(row_key(one->row, key[0]), row_key(other->row, key[1]));
}

static size_t rows_init(struct rate_row **rows, const char *name, const struct rates *rates,
			const struct json_object *before, double seconds)
{
	const struct json_object *array = member(rates->reply, name);
	struct json_object *then = rows_index(member(before, name)), *row;
	char key[KEY_MAX];
	size_t n = 0;

	*rows = rows_new(rows_count(array), sizeof(**rows));
	for_each_row(row, array) {
		struct span span = { member(then, row_key(row, key)), row, seconds, false };

		(*rows)[n].row = row;
		io_init(&(*rows)[n++].io, &span);
	}
	qsort(*rows, n, sizeof(**rows), by_work);
	json_object_put(then);
	return n;
}

void rates_init(struct rates *rates, const struct json_object *before, struct json_object *now,
		uint64_t asked_ns)
{
	uint64_t then_ns = number(before, "uptime_ns");
	double seconds;

	*rates = (struct rates){
		.reply = json_object_get(now),
		.uptime_ns = number(now, "uptime_ns"),
	};
	/* It read its clock before @before came, and again after it was asked. */
	rates->restarted = rates->uptime_ns < then_ns || rates->uptime_ns - then_ns < asked_ns;
	if (rates->restarted) {
		before = NULL;
		then_ns = 0;
	}
	rates->interval_ns = rates->uptime_ns - then_ns;
	seconds = (double)rates->interval_ns / 1e9;
	workers_init(rates, before, seconds);
	rates->n_namespaces = rows_init(&rates->namespaces, "namespaces", rates, before, seconds);
	rates->n_hosts = rows_init(&rates->hosts, "hosts", rates, before, seconds);
	for (size_t i = 0; i < rates->n_namespaces; i++)
		io_add(&rates->total, &rates->namespaces[i].io);
}

void rates_fini(struct rates *rates)
{
	free(rates->workers);
	free(rates->namespaces);
	free(rates->hosts);
	json_object_put(rates->reply);
}

/* ------------------------------------------------------------------------------------------ JSON */

static void put(struct json_object *object, const char *key, struct json_object *value)
{
	if (!value || json_object_object_add(object, key, value))
		out_of_memory();
}

static void put_rate(struct json_object *object, const char *key, double value)
{
	struct json_object *real = json_object_new_double(value);

	if (real)
		json_object_set_serializer(real, json_object_double_to_json_string,
					   (void *)(uintptr_t) "%.3f", NULL);
	put(object, key, real);
}

/* What a row is called in the daemon's reply it is called here. */
static void put_same(struct json_object *object, const struct json_object *row, const char *key)
{
	struct json_object *value = member(row, key);

	if (value)
		put(object, key, json_object_get(value));
}

static void put_times(struct json_object *object, const struct rate_io *io)
{
	struct json_object *times = json_object_new_object();

	for (unsigned kind = 0; kind < RATE_KINDS; kind++) {
		struct json_object *phases;

		if (io->timed[kind] <= 0)
			continue;
		phases = json_object_new_object();
		put_rate(phases, "commands_per_s", io->timed[kind]);
		for (unsigned i = 0; i < RATE_PHASES; i++) {
			const struct rate_time *time = &io->times[kind][i];
			struct json_object *phase = json_object_new_object();

			put_rate(phase, "mean_ns", time->mean_ns);
			put(phase, "p99_ns", json_object_new_uint64(time->p99_ns));
			put(phases, rate_phase_names[i], phase);
		}
		put(times, rate_kind_names[kind], phases);
	}
	put(object, "times", times);
}

static void put_io(struct json_object *object, const struct rate_io *io)
{
	put_rate(object, "reads_per_s", io->reads);
	put_rate(object, "writes_per_s", io->writes);
	put_rate(object, "other_per_s", io->others);
	put_rate(object, "errors_per_s", io->errors);
	put_rate(object, "read_bytes_per_s", io->read_bytes);
	put_rate(object, "written_bytes_per_s", io->written_bytes);
	put_rate(object, "placed_bytes_per_s", io->placed_bytes);
	put_rate(object, "staged_bytes_per_s", io->staged_bytes);
}

static void append(struct json_object *array, struct json_object *value)
{
	if (!value || json_object_array_add(array, value))
		out_of_memory();
}

static struct json_object *worker_json(const struct rate_worker *worker)
{
	struct json_object *object = json_object_new_object();

	put_same(object, worker->row, "worker");
	put_same(object, worker->row, "connections");
	put_rate(object, "cpu_percent", 100 * worker->cpu);
	put_rate(object, "spin_percent", 100 * worker->spinning);
	put_rate(object, "turns_per_s", worker->turns);
	put_rate(object, "waits_per_s", worker->blocks);
	put_rate(object, "memory_waits_per_s", worker->shortages);
	put_io(object, &worker->io);
	return object;
}

static struct json_object *rows_json(const struct rate_row *rows, size_t n)
{
	static const char *const names[] = { "nqn", "nsid", "host_nqn", "controllers",
					     "connections" };
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		struct json_object *object = json_object_new_object();

		for (unsigned k = 0; k < ARRAY_SIZE(names); k++)
			put_same(object, rows[i].row, names[k]);
		put_io(object, &rows[i].io);
		put_times(object, &rows[i].io);
		append(array, object);
	}
	return array;
}

struct json_object *rates_json(const struct rates *rates)
{
	struct json_object *object = json_object_new_object();
	struct json_object *workers = json_object_new_array();
	struct json_object *total = json_object_new_object();

	if (!object)
		out_of_memory();
	put(object, "interval_ns", json_object_new_uint64(rates->interval_ns));
	put(object, "uptime_ns", json_object_new_uint64(rates->uptime_ns));
	put(object, "restarted", json_object_new_boolean(rates->restarted));
	put(object, "connections", json_object_new_uint64(rates->connections));
	put_rate(object, "cpu_percent", 100 * rates->cpu);
	put_rate(object, "spin_percent", 100 * rates->spinning);
	put(object, "total", total);
	put_io(total, &rates->total);
	put(object, "workers", workers);
	for (size_t i = 0; i < rates->n_workers; i++)
		append(workers, worker_json(&rates->workers[i]));
	put(object, "namespaces", rows_json(rates->namespaces, rates->n_namespaces));
	put(object, "hosts", rows_json(rates->hosts, rates->n_hosts));
	return object;
}
