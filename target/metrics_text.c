/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/metrics_text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "target/control.h"
#include "target/control_json.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/worker.h"

enum {
	LINE_MAX_BYTES = 256 + METRICS_LABELS_MAX,
	/* Histograms have the bounds that are powers of two, every second bucket's. */
	BUCKET_STEP = 2,
	/* Kept free for what ends the text. */
	END_BYTES = 1024,
};

/* ------------------------------------------------------------------------------------- the text */

/* Makes room for @more bytes. False: there is no memory, or the text would be too long. */
static bool text_reserve(struct metrics_text *text, size_t more)
{
	size_t room = text->room;
	char *bytes;

	if (text->len + more > text->most)
		return false;
	if (text->len + more <= room)
		return true;
	while (room < text->len + more)
		room = room ? 2 * room : 64 << 10;
	bytes = realloc(text->bytes, room);
	if (!bytes)
		return false;
	text->bytes = bytes;
	text->room = room;
	return true;
}

/* A line, or nothing of it: then the text counts what it lacks. */
static void __printf(2, 3) text_line(struct metrics_text *text, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!text_reserve(text, LINE_MAX_BYTES)) {
		text->left_out++;
		return;
	}
	va_start(ap, fmt);
	n = vsnprintf(text->bytes + text->len, LINE_MAX_BYTES, fmt, ap);
	va_end(ap);
	assert(n >= 0 && n < LINE_MAX_BYTES);
	text->len += (size_t)n;
}

/* Bytes of the UTF-8 character that @text begins with; 0: it does not begin with one. */
static unsigned utf8_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4)
		return 0;
	for (unsigned i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be, halves of a pair, beyond the last plane. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

int metrics_escape(char *to, size_t size, const char *value)
{
	size_t len = 0;

	while (*value) {
		unsigned n = utf8_length(value);
		bool escape = *value == '\\' || *value == '"' || *value == '\n';

		if (len + (n ? n : 1) + escape >= size)
			return -ENOSPC;
		if (!n) {
			to[len++] = '?';
			value++;
			continue;
		}
		if (escape)
			to[len++] = '\\';
		if (*value == '\n')
			to[len++] = 'n';
		else
			memcpy(to + len, value, n);
		len += *value == '\n' ? 0 : n;
		value += n;
	}
	if (len >= size)
		return -ENOSPC;
	to[len] = '\0';
	return (int)len;
}

/* Appends name="value" to @labels of METRICS_LABELS_MAX bytes. */
static void label_text(char *labels, const char *name, const char *value)
{
	size_t len = strlen(labels), room = METRICS_LABELS_MAX - len;
	int n = snprintf(labels + len, room, "%s%s=\"", len ? "," : "", name), m = -ENOSPC;

	if (n > 0 && (size_t)n + 2 < room)
		m = metrics_escape(labels + len + n, room - (size_t)n - 1, value);
	if (m < 0)
		labels[len] = '\0';
	else
		strcpy(labels + len + n + m, "\"");
}

static void label_number(char *labels, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	label_text(labels, name, text);
}

/* ------------------------------------------------------------------------------------- families */

enum value {
	VALUE_NONE,
	VALUE_ONE,
	VALUE_UPTIME,
	VALUE_ANNOUNCED,
	VALUE_READY,
	VALUE_SIZE,
	VALUE_MEDIA_ERRORS,
	VALUE_BUSY_TIME,
	VALUE_CTRLS,
	VALUE_CONNECTIONS,
	VALUE_COMMANDS,
	VALUE_BUSY,
	VALUE_GRANTED,
	VALUE_CPU_TIME,
	VALUE_SPIN_TIME,
	VALUE_TURNS,
	VALUE_ENTERS,
	VALUE_WAITS,
	VALUE_MEMORY_WAITS,
	VALUE_TIMEOUTS,
	VALUE_BOUND,
	VALUE_IN_USE,
	VALUE_HIGH_WATER,
	VALUE_PLACED,
	VALUE_STAGED,
	VALUE_KERNEL_COPIED,
	VALUE_STARVED,
	VALUE_OVERFLOWS,
	VALUE_CLOSED,
	VALUES
};

/* One thing that has labels of its own: a namespace, a host, a worker, ... */
struct row {
	char labels[METRICS_LABELS_MAX];
	const struct stats *stats; /* NULL: none */
	uint64_t values[VALUES];   /* times in ns */
};

struct family {
	const char *name; /* ends in the unit, if there is one */
	const char *type;
	const char *unit; /* "": none */
	const char *help;
	void (*sample)(struct metrics_text *text, const struct family *family,
		       const struct row *row);
	enum value value;
};

#define NS_PER_S 1000000000ull

static void sample_value(struct metrics_text *text, const struct family *family,
			 const struct row *row)
{
	const char *suffix = !strcmp(family->type, "counter") ? "_total" :
			     !strcmp(family->type, "info")    ? "_info" :
								"";
	uint64_t value = row->values[family->value];
	const char *open = row->labels[0] ? "{" : "", *close = row->labels[0] ? "}" : "";

	if (!strcmp(family->unit, "seconds"))
		text_line(text, "%s%s%s%s%s %" PRIu64 ".%09" PRIu64 "\n", family->name, suffix,
			  open, row->labels, close, (uint64_t)(value / NS_PER_S),
			  (uint64_t)(value % NS_PER_S));
	else
		text_line(text, "%s%s%s%s%s %" PRIu64 "\n", family->name, suffix, open, row->labels,
			  close, value);
}

static void sample_commands(struct metrics_text *text, const struct family *family,
			    const struct row *row)
{
	for (unsigned i = 0; i < STATS_KINDS; i++)
		text_line(text, "%s_total{%s,kind=\"%s\"} %" PRIu64 "\n", family->name, row->labels,
			  stats_kind_names[i], row->stats->done[i]);
}

static void sample_bytes(struct metrics_text *text, const struct family *family,
			 const struct row *row)
{
	for (unsigned i = STATS_READ; i <= STATS_WRITE; i++)
		text_line(text, "%s_total{%s,kind=\"%s\"} %" PRIu64 "\n", family->name, row->labels,
			  stats_kind_names[i], row->stats->bytes[i]);
}

static void sample_payload(struct metrics_text *text, const struct family *family,
			   const struct row *row)
{
	text_line(text, "%s_total{%s,path=\"placed\"} %" PRIu64 "\n", family->name, row->labels,
		  row->stats->placed_bytes);
	text_line(text, "%s_total{%s,path=\"staged\"} %" PRIu64 "\n", family->name, row->labels,
		  row->stats->staged_bytes);
}

static void sample_errors(struct metrics_text *text, const struct family *family,
			  const struct row *row)
{
	for (unsigned i = 0; i < MAX_STATS_STATUSES; i++) {
		uint64_t status = row->stats->statuses[i], code = status >> STATS_STATUS_SHIFT;
		uint64_t n = status & ((1ull << STATS_STATUS_SHIFT) - 1);

		if (!status)
			continue;
		if (code == STATS_STATUS_OTHER)
			text_line(text, "%s_total{%s,sct=\"other\",sc=\"other\"} %" PRIu64 "\n",
				  family->name, row->labels, n);
		else
			text_line(text, "%s_total{%s,sct=\"%u\",sc=\"0x%02x\"} %" PRIu64 "\n",
				  family->name, row->labels, (unsigned)(code >> 8),
				  (unsigned)(code & 0xff), n);
	}
}

/* All lines of one histogram, or none. */
static void sample_hist(struct metrics_text *text, const char *name, const char *labels,
			const struct hist *hist)
{
	uint64_t before = text->left_out, below = 0;
	size_t len = text->len;

	for (unsigned i = 0; i < HIST_BUCKETS - 1; i++) {
		uint64_t bound = hist_bound(i);

		below += hist->buckets[i];
		if (i % BUCKET_STEP == 0)
			text_line(text,
				  "%s_bucket{%s,le=\"%" PRIu64 ".%09" PRIu64 "\"} %" PRIu64 "\n",
				  name, labels, (uint64_t)(bound / NS_PER_S),
				  (uint64_t)(bound % NS_PER_S), below);
	}
	below += hist->buckets[HIST_BUCKETS - 1];
	text_line(text, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, below);
	text_line(text, "%s_sum{%s} %" PRIu64 ".%09" PRIu64 "\n", name, labels,
		  (uint64_t)(hist->sum_ns / NS_PER_S), (uint64_t)(hist->sum_ns % NS_PER_S));
	text_line(text, "%s_count{%s} %" PRIu64 "\n", name, labels, below);
	if (text->left_out == before)
		return;
	text->len = len;
	text->left_out = before + 1;
}

/* Kinds that there was none of have no histogram. */
static void sample_phases(struct metrics_text *text, const struct family *family,
			  const struct row *row, unsigned first)
{
	char labels[METRICS_LABELS_MAX];

	for (unsigned timed = 0; timed < STATS_TIMED; timed++) {
		struct hist hist = stats_hist(row->stats, timed, STATS_TOTAL);

		if (!hist_count(&hist))
			continue;
		for (unsigned phase = first; phase < STATS_PHASES; phase++) {
			strcpy(labels, row->labels);
			label_text(labels, "kind", stats_timed_names[timed]);
			if (!first)
				label_text(labels, "phase", stats_phase_names[phase]);
			hist = stats_hist(row->stats, timed, phase);
			sample_hist(text, family->name, labels, &hist);
		}
	}
}

static void sample_times(struct metrics_text *text, const struct family *family,
			 const struct row *row)
{
	sample_phases(text, family, row, STATS_FETCH);
}

static void sample_total_times(struct metrics_text *text, const struct family *family,
			       const struct row *row)
{
	sample_phases(text, family, row, STATS_TOTAL);
}

static const struct family daemon_families[] = {
	{ "sluice", "info", "", "The program.", sample_value, VALUE_ONE },
};

static const struct family process_families[] = {
	{ "sluice_uptime_seconds", "gauge", "seconds", "Time since the daemon was started.",
	  sample_value, VALUE_UPTIME },
	{ "sluice_memory_announced_bytes", "gauge", "bytes",
	  "The bound on memory that was computed from the configuration.", sample_value,
	  VALUE_ANNOUNCED },
};

static const struct family listener_families[] = {
	{ "sluice_listener_open", "gauge", "", "1: the listener is open.", sample_value,
	  VALUE_READY },
};

static const struct family ns_families[] = {
	{ "sluice_namespace_ready", "gauge", "", "0: the device is gone.", sample_value,
	  VALUE_READY },
	{ "sluice_namespace_size_bytes", "gauge", "bytes", "Size of the namespace.", sample_value,
	  VALUE_SIZE },
	{ "sluice_namespace_commands", "counter", "", "Commands that succeeded.", sample_commands,
	  VALUE_NONE },
	{ "sluice_namespace_bytes", "counter", "bytes", "Bytes that those moved.", sample_bytes,
	  VALUE_NONE },
	{ "sluice_namespace_errors", "counter", "",
	  "Commands that failed, by status code type and status code.", sample_errors, VALUE_NONE },
	{ "sluice_namespace_media_errors", "counter", "", "Those of them that were the medium's.",
	  sample_value, VALUE_MEDIA_ERRORS },
	{ "sluice_namespace_payload_bytes", "counter", "bytes",
	  "Received payload, used where it had been placed or copied by the CPU.", sample_payload,
	  VALUE_NONE },
	{ "sluice_namespace_busy_seconds", "counter", "seconds",
	  "Sum of the times that the store took.", sample_value, VALUE_BUSY_TIME },
};

static const struct family host_families[] = {
	{ "sluice_host_controllers", "gauge", "", "Controllers of the host.", sample_value,
	  VALUE_CTRLS },
	{ "sluice_host_connections", "gauge", "", "Connections of the host.", sample_value,
	  VALUE_CONNECTIONS },
	{ "sluice_host_commands", "counter", "", "I/O commands that succeeded.", sample_commands,
	  VALUE_NONE },
	{ "sluice_host_bytes", "counter", "bytes", "Bytes that those moved.", sample_bytes,
	  VALUE_NONE },
	{ "sluice_host_errors", "counter", "",
	  "Commands of any kind that failed, by status code type and status code.", sample_errors,
	  VALUE_NONE },
	{ "sluice_host_payload_bytes", "counter", "bytes",
	  "Received payload, used where it had been placed or copied by the CPU.", sample_payload,
	  VALUE_NONE },
};

static const struct family ctrl_families[] = {
	{ "sluice_controller_connections", "gauge", "", "Connections of the controller.",
	  sample_value, VALUE_CONNECTIONS },
	{ "sluice_controller_commands", "counter", "", "Commands of any kind that arrived.",
	  sample_value, VALUE_COMMANDS },
	{ "sluice_controller_busy_commands", "gauge", "", "Commands in flight.", sample_value,
	  VALUE_BUSY },
	{ "sluice_controller_granted_bytes", "gauge", "bytes",
	  "Data that the host was asked for by R2T and has not sent.", sample_value,
	  VALUE_GRANTED },
	{ "sluice_controller_bytes", "counter", "bytes", "Bytes that reads and writes moved.",
	  sample_bytes, VALUE_NONE },
	{ "sluice_controller_errors", "counter", "",
	  "Commands of any kind that failed, by status code type and status code.", sample_errors,
	  VALUE_NONE },
	{ "sluice_controller_payload_bytes", "counter", "bytes",
	  "Received payload, used where it had been placed or copied by the CPU.", sample_payload,
	  VALUE_NONE },
};

static const struct family worker_families[] = {
	{ "sluice_worker_connections", "gauge", "", "Connections on the worker.", sample_value,
	  VALUE_CONNECTIONS },
	{ "sluice_worker_cpu_seconds", "counter", "seconds",
	  "CPU time of its thread, spinning included.", sample_value, VALUE_CPU_TIME },
	{ "sluice_worker_spin_seconds", "counter", "seconds",
	  "Time that it polled before it slept.", sample_value, VALUE_SPIN_TIME },
	{ "sluice_worker_turns", "counter", "", "Turns of its loop.", sample_value, VALUE_TURNS },
	{ "sluice_worker_enters", "counter", "", "System calls of its loop.", sample_value,
	  VALUE_ENTERS },
	{ "sluice_worker_waits", "counter", "", "Those that blocked.", sample_value, VALUE_WAITS },
	{ "sluice_worker_memory_waits", "counter", "", "Commands that waited for a data buffer.",
	  sample_value, VALUE_MEMORY_WAITS },
	{ "sluice_worker_host_timeouts", "counter", "",
	  "Connections that ended because their host did not go on.", sample_value,
	  VALUE_TIMEOUTS },
	{ "sluice_worker_commands", "counter", "", "Commands that succeeded.", sample_commands,
	  VALUE_NONE },
	{ "sluice_worker_bytes", "counter", "bytes", "Bytes that those moved.", sample_bytes,
	  VALUE_NONE },
	{ "sluice_worker_errors", "counter", "",
	  "Commands that failed, by status code type and status code.", sample_errors, VALUE_NONE },
	{ "sluice_worker_payload_bytes", "counter", "bytes",
	  "Received payload, used where it had been placed or copied by the CPU.", sample_payload,
	  VALUE_NONE },
};

static const struct family pool_families[] = {
	{ "sluice_pool_bound_bytes", "gauge", "bytes", "Size of the pool.", sample_value,
	  VALUE_BOUND },
	{ "sluice_pool_in_use_bytes", "gauge", "bytes", "Memory of the pool that is in use.",
	  sample_value, VALUE_IN_USE },
	{ "sluice_pool_high_water_bytes", "gauge", "bytes", "The most that ever was.", sample_value,
	  VALUE_HIGH_WATER },
};

static const struct family receive_families[] = {
	{ "sluice_receive_placed_bytes", "counter", "bytes",
	  "Received payload that was used where it had been placed.", sample_value, VALUE_PLACED },
	{ "sluice_receive_staged_bytes", "counter", "bytes",
	  "Received payload that the CPU copied between buffers.", sample_value, VALUE_STAGED },
	{ "sluice_receive_kernel_copied_bytes", "counter", "bytes",
	  "Bytes that the kernel copied to the area, for the NIC had not placed them there.",
	  sample_value, VALUE_KERNEL_COPIED },
	{ "sluice_receive_starved", "counter", "", "Times that no chunk was free.", sample_value,
	  VALUE_STARVED },
	{ "sluice_receive_overflows", "counter", "", "Times that the completion queue was full.",
	  sample_value, VALUE_OVERFLOWS },
	{ "sluice_receive_closed", "counter", "",
	  "Connections that were closed because they found no chunk, or held what the NIC needed.",
	  sample_value, VALUE_CLOSED },
};

/* The long ones come last: they are what goes first when there is too much. */
static const struct family ns_times_families[] = {
	{ "sluice_namespace_duration_seconds", "histogram", "seconds",
	  "Time that commands took, by phase: fetch, backend, respond, and in total.", sample_times,
	  VALUE_NONE },
};

static const struct family host_times_families[] = {
	{ "sluice_host_duration_seconds", "histogram", "seconds", "Time that commands took.",
	  sample_total_times, VALUE_NONE },
};

/* ----------------------------------------------------------------------------------------- rows */

static void row_sample(struct metrics_text *text, const struct family *family,
		       const struct row *row)
{
	if (row->labels[0] || !row->stats)
		family->sample(text, family, row);
}

static void each_daemon(struct metrics_text *text, const struct family *family)
{
	struct row row = { .values[VALUE_ONE] = 1 };

	label_text(row.labels, "version", SLUICE_VERSION);
	row_sample(text, family, &row);
}

static void each_process(struct metrics_text *text, const struct family *family)
{
	const struct row row = {
		.values[VALUE_UPTIME] = clock_now_ns() - daemon_info.start_ns,
		.values[VALUE_ANNOUNCED] = daemon_info.announced_bytes,
	};

	row_sample(text, family, &row);
}

static void each_listener(struct metrics_text *text, const struct family *family)
{
	for (unsigned i = 0; i < n_listeners; i++) {
		const struct config_listener *config = listeners[i]->config;
		struct row row = { .values[VALUE_READY] = listener_is_open(listeners[i]) };

		label_text(row.labels, "listener", config->name);
		label_text(row.labels, "transport", config->transport);
		label_text(row.labels, "address", config->address);
		label_number(row.labels, "port", config->port);
		row_sample(text, family, &row);
	}
}

static void each_ns(struct metrics_text *text, const struct family *family)
{
	for (unsigned i = 0; i < n_namespaces; i++) {
		const struct ns *ns = namespaces[i];
		struct ns_stats stats;
		struct row row = { .stats = &stats.io };

		ns_stats_sum(ns, &stats);
		row.values[VALUE_READY] = !peek(ns->gone);
		row.values[VALUE_SIZE] = ns_blocks(ns) << ns->block_shift;
		row.values[VALUE_MEDIA_ERRORS] = stats.media_errors;
		row.values[VALUE_BUSY_TIME] = stats.busy_ns;
		label_text(row.labels, "nqn", ns->subsys->nqn);
		label_number(row.labels, "nsid", ns->nsid);
		row_sample(text, family, &row);
	}
}

static void host_row(struct metrics_text *text, const struct family *family, struct subsys *subsys,
		     const struct stats_host *host)
{
	struct queue_stats stats = { 0 };
	struct row row = { .stats = &stats.io, .values[VALUE_CTRLS] = host->n_ctrls };
	unsigned connections = 0;

	stats_of_host(subsys, host, &stats, &connections);
	row.values[VALUE_CONNECTIONS] = connections;
	label_text(row.labels, "nqn", subsys->nqn);
	label_text(row.labels, "host_nqn", host->nqn);
	row_sample(text, family, &row);
}

static void each_host(struct metrics_text *text, const struct family *family)
{
	for (unsigned i = 0; i < n_subsystems; i++) {
		struct subsys *subsys = subsystems[i];

		pthread_mutex_lock(&subsys->lock);
		list_for_each(host, &subsys->hosts, struct stats_host, link)
			host_row(text, family, subsys, host);
		pthread_mutex_unlock(&subsys->lock);
	}
}

static void ctrl_row(struct metrics_text *text, const struct family *family, struct ctrl *ctrl)
{
	struct queue_stats stats = { 0 };
	struct row row = { .stats = &stats.io };

	pthread_mutex_lock(&ctrl->lock);
	stats_of_ctrl(ctrl, &stats);
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link) {
		row.values[VALUE_CONNECTIONS]++;
		row.values[VALUE_BUSY] += peek(queue->n_busy);
		row.values[VALUE_GRANTED] += queue->ops->granted ? queue->ops->granted(queue) : 0;
	}
	pthread_mutex_unlock(&ctrl->lock);
	row.values[VALUE_COMMANDS] = stats.commands;
	label_text(row.labels, "nqn", ctrl->subsys->nqn);
	label_number(row.labels, "cntlid", ctrl->cntlid);
	label_text(row.labels, "host_nqn", ctrl->hostnqn);
	row_sample(text, family, &row);
}

static void each_ctrl(struct metrics_text *text, const struct family *family)
{
	for (unsigned i = 0; i < n_subsystems; i++) {
		struct subsys *subsys = subsystems[i];

		pthread_mutex_lock(&subsys->lock);
		list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
			ctrl_row(text, family, ctrl);
		pthread_mutex_unlock(&subsys->lock);
	}
}

static void each_worker(struct metrics_text *text, const struct family *family)
{
	for (unsigned i = 0; i < n_workers; i++) {
		const struct worker *worker = &workers[i];
		struct ns_stats stats = { 0 };
		struct row row = { .stats = &stats.io };

		ns_stats_add_all(&stats, i);
		row.values[VALUE_CONNECTIONS] = peek(worker->connections);
		row.values[VALUE_CPU_TIME] = worker_cpu_ns(worker);
		row.values[VALUE_SPIN_TIME] = peek(worker->loop.stats.spin_ns);
		row.values[VALUE_TURNS] = peek(worker->loop.stats.turns);
		row.values[VALUE_ENTERS] = peek(worker->loop.stats.enters);
		row.values[VALUE_WAITS] = peek(worker->loop.stats.waits);
		row.values[VALUE_MEMORY_WAITS] = peek(worker->stats.memory_waits);
		row.values[VALUE_TIMEOUTS] = peek(worker->stats.host_timeouts);
		label_number(row.labels, "worker", i);
		row_sample(text, family, &row);
	}
}

static void pool_row(struct metrics_text *text, const struct family *family, unsigned worker,
		     const char *pool, const char *interface, uint64_t bound, uint64_t in_use,
		     uint64_t high_water)
{
	struct row row = {
		.values[VALUE_BOUND] = bound,
		.values[VALUE_IN_USE] = in_use,
		.values[VALUE_HIGH_WATER] = high_water,
	};

	label_number(row.labels, "worker", worker);
	label_text(row.labels, "pool", pool);
	if (interface)
		label_text(row.labels, "interface", interface);
	row_sample(text, family, &row);
}

static uint64_t area_number(struct json_object *area, const char *key)
{
	return json_object_get_uint64(json_object_object_get(area, key));
}

/* Receive areas are described by their transports, for the control socket. NULL without memory. */
static struct json_object *receive_areas(unsigned worker)
{
	struct json_object *areas = json_object_new_array();

	for (unsigned t = 0; areas && transports[t]; t++)
		if (transports[t]->receive_describe)
			transports[t]->receive_describe(&workers[worker], areas);
	return areas;
}

static const char *area_interface(struct json_object *area)
{
	struct json_object *name = json_object_object_get(area, "interface");

	return name ? json_object_get_string(name) : "";
}

static void receive_pool_rows(struct metrics_text *text, const struct family *family,
			      unsigned worker)
{
	struct json_object *areas = receive_areas(worker);

	for (size_t i = 0; areas && i < json_object_array_length(areas); i++) {
		struct json_object *area = json_object_array_get_idx(areas, i);
		uint64_t chunk = area_number(area, "chunk_bytes");

		pool_row(text, family, worker, "receive", area_interface(area),
			 area_number(area, "chunks") * chunk,
			 area_number(area, "chunks_held") * chunk,
			 area_number(area, "chunks_held_max") * chunk);
	}
	json_object_put(areas);
}

/* Transports tell different things: of what one does not know there is no sample. */
static void each_receive(struct metrics_text *text, const struct family *family)
{
	static const char *const keys[VALUES] = {
		[VALUE_PLACED] = "placed_bytes",
		[VALUE_STAGED] = "staged_bytes",
		[VALUE_KERNEL_COPIED] = "kernel_copied_bytes",
		[VALUE_STARVED] = "starved",
		[VALUE_OVERFLOWS] = "overflows",
		[VALUE_CLOSED] = "closed",
	};
	const char *key = keys[family->value];

	for (unsigned worker = 0; worker < n_workers; worker++) {
		struct json_object *areas = receive_areas(worker);

		for (size_t i = 0; areas && i < json_object_array_length(areas); i++) {
			struct json_object *area = json_object_array_get_idx(areas, i);
			struct row row = { .labels = "" };

			if (!json_object_object_get(area, key))
				continue;
			row.values[family->value] = area_number(area, key);
			label_number(row.labels, "worker", worker);
			label_text(row.labels, "interface", area_interface(area));
			row_sample(text, family, &row);
		}
		json_object_put(areas);
	}
}

static void each_pool(struct metrics_text *text, const struct family *family)
{
	for (unsigned i = 0; i < n_workers; i++) {
		const struct worker *worker = &workers[i];
		const struct bounce *bounce = worker->memory.bounce;
		uint64_t bound = (uint64_t)worker->pool.pages << POOL_MIN_SHIFT;

		pool_row(text, family, i, "data", NULL, bound,
			 bound - peek(worker->pool.free_bytes),
			 bound - peek(worker->pool.low_water_bytes));
		bound = (uint64_t)BOUNCE_PIECES * BOUNCE_PIECE;
		if (bounce)
			pool_row(text, family, i, "bounce", NULL, bound,
				 bound - (uint64_t)peek(bounce->n_free) * BOUNCE_PIECE,
				 bound - (uint64_t)peek(bounce->least_free) * BOUNCE_PIECE);
		receive_pool_rows(text, family, i);
	}
}

/* ------------------------------------------------------------------------------------------ all */

static const struct scope {
	const struct family *families;
	unsigned n;
	void (*each)(struct metrics_text *text, const struct family *family);
} scopes[] = {
	{ daemon_families, ARRAY_SIZE(daemon_families), each_daemon },
	{ process_families, ARRAY_SIZE(process_families), each_process },
	{ listener_families, ARRAY_SIZE(listener_families), each_listener },
	{ worker_families, ARRAY_SIZE(worker_families), each_worker },
	{ pool_families, ARRAY_SIZE(pool_families), each_pool },
	{ receive_families, ARRAY_SIZE(receive_families), each_receive },
	{ ns_families, ARRAY_SIZE(ns_families), each_ns },
	{ ctrl_families, ARRAY_SIZE(ctrl_families), each_ctrl },
	{ host_families, ARRAY_SIZE(host_families), each_host },
	{ ns_times_families, ARRAY_SIZE(ns_times_families), each_ns },
	{ host_times_families, ARRAY_SIZE(host_times_families), each_host },
};

static void family_head(struct metrics_text *text, const struct family *family)
{
	text_line(text, "# TYPE %s %s\n", family->name, family->type);
	if (family->unit[0])
		text_line(text, "# UNIT %s %s\n", family->name, family->unit);
	text_line(text, "# HELP %s %s\n", family->name, family->help);
}

int metrics_text_build(struct metrics_text *text, size_t most)
{
	static const struct family left_out = {
		"sluice_metrics_left_out",
		"gauge",
		"",
		"Samples and histograms that this text had no room for.",
		sample_value,
		VALUE_ONE,
	};
	struct row row = { .labels = "" };

	assert(most > END_BYTES + LINE_MAX_BYTES);
	*text = (struct metrics_text){ .most = most - END_BYTES - LINE_MAX_BYTES };
	for (unsigned s = 0; s < ARRAY_SIZE(scopes); s++) {
		for (unsigned f = 0; f < scopes[s].n; f++) {
			family_head(text, &scopes[s].families[f]);
			scopes[s].each(text, &scopes[s].families[f]);
		}
	}
	row.values[VALUE_ONE] = text->left_out;
	text->most = most;
	text->left_out = 0;
	family_head(text, &left_out);
	row_sample(text, &left_out, &row);
	text_line(text, "# EOF\n");
	/* Without these lines it is no text at all: there was no memory. */
	return text->left_out ? -ENOMEM : 0;
}

void metrics_text_free(struct metrics_text *text)
{
	free(text->bytes);
	*text = (struct metrics_text){ 0 };
}
