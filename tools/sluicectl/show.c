/* SPDX-License-Identifier: BSD-3-Clause */
#include "show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/nvme_status.h"
#include "reply.h"
#include "table.h"

/* ---------------------------------------------------------------------------------------- cells */

static void cell_text(struct table *table, const struct json_object *row, const char *key)
{
	table_cell(table, "%s", text(row, key));
}

static void cell_number(struct table *table, const struct json_object *row, const char *key)
{
	table_cell(table, "%" PRIu64, number(row, key));
}

static void cell_bytes(struct table *table, const struct json_object *row, const char *key)
{
	table_cell(table, "%s", bytes_text(number(row, key)).s);
}

static void cell_age(struct table *table, const struct json_object *row, const char *key)
{
	table_cell(table, "%s", duration_text(number(row, key)).s);
}

/* The strings or numbers of an array, with commas; @none when there are none. */
static void cell_list(struct table *table, const struct json_object *array, const char *none)
{
	size_t len = 0, n = rows_count(array);
	struct json_object *item;
	char *list;
	FILE *out = open_memstream(&list, &len);

	if (!out || !n) {
		table_cell(table, "%s", out ? none : "?");
	} else {
		for_each_row(item, array)
			fprintf(out, "%s%s", item_i ? ", " : "", json_object_get_string(item));
		fflush(out);
		table_cell(table, "%s", list);
	}
	if (!out)
		return;
	fclose(out);
	free(list);
}

static void cell_hosts(struct table *table, const struct json_object *row)
{
	if (flag(row, "any_host"))
		table_cell(table, "any");
	else
		cell_list(table, member(row, "hosts"), "nobody");
}

/* What is behind the verb's own members: "key=value" for each. */
static void cell_members(struct table *table, struct json_object *object)
{
	size_t len = 0;
	char *list;
	FILE *out = open_memstream(&list, &len);
	const char *space = "";

	if (!out) {
		table_cell(table, "?");
		return;
	}
	if (json_object_is_type(object, json_type_object)) {
		json_object_object_foreach(object, key, value) {
			if (!strcmp(key, "name"))
				fprintf(out, "%s%s", space, json_object_get_string(value));
			else
				fprintf(out, "%s%s=%s", space, key,
					json_object_is_type(value, json_type_boolean) ?
						(json_object_get_boolean(value) ? "yes" : "no") :
						(value ? json_object_get_string(value) : "-"));
			space = " ";
		}
	}
	fclose(out);
	table_cell(table, "%s", *list ? list : "-");
	free(list);
}

/* --------------------------------------------------------------------------------------- status */

static const struct json_object *pool_of(const struct json_object *reply, uint64_t worker)
{
	struct json_object *pool;

	for_each_row(pool, member(member(reply, "memory"), "pools"))
		if (number(pool, "worker") == worker)
			return pool;
	return NULL;
}

static void cells_loop(struct table *table, const struct json_object *row)
{
	cell_number(table, row, "turns");
	cell_number(table, row, "enters");
	cell_number(table, row, "waits");
	cell_number(table, row, "spins");
}

static void show_status(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = {
		"WORKER",     ">CPU",	">CONNECTIONS", ">POOL",   ">FREE",  ">LEAST FREE",
		">SHORTAGES", ">TIMEOUTS", ">TURNS", ">CALLS", ">BLOCKS", ">SPINS", NULL,
	};
	const struct json_object *counts = member(reply, "counts");
	struct json_object *row;
	struct table table;

	fprintf(out, "sluiced %s, process %" PRIu64 ": %s for %s\n", text(reply, "release"),
		number(reply, "pid"), text(reply, "state"),
		duration_text(number(reply, "uptime_ms")).s);
	fprintf(out, "%" PRIu64 " of %" PRIu64 " listeners open, %" PRIu64 " subsystems, %" PRIu64
		" namespaces, %" PRIu64 " controllers, %" PRIu64 " connections\n",
		number(counts, "listeners_open"), number(counts, "listeners"),
		number(counts, "subsystems"), number(counts, "namespaces"),
		number(counts, "controllers"), number(counts, "connections"));
	fprintf(out, "at most %s of memory announced\n\n",
		bytes_text(number(member(reply, "memory"), "announced_bytes")).s);
	table_init(&table, headings);
	for_each_row(row, member(reply, "workers")) {
		const struct json_object *pool = pool_of(reply, number(row, "worker"));

		cell_text(&table, row, "worker");
		cell_text(&table, row, "cpu");
		cell_number(&table, row, "connections");
		cell_bytes(&table, pool, "size_bytes");
		cell_bytes(&table, pool, "free_bytes");
		cell_bytes(&table, pool, "low_water_bytes");
		cell_number(&table, row, "memory_waits");
		cell_number(&table, row, "host_timeouts");
		cells_loop(&table, row);
	}
	table_print(&table, out);
	table_fini(&table);
}

/* ----------------------------------------------------------------------- subsystems, namespaces */

static void show_subsystems(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = {
		"SUBSYSTEM", "SERIAL", "STATE", "NAMESPACES", "CONTROLLERS", "HOSTS", NULL,
	};
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, member(reply, "subsystems")) {
		cell_text(&table, row, "nqn");
		cell_text(&table, row, "serial");
		table_cell(&table, "%s", flag(row, "drained") ? "drained" : "open");
		cell_list(&table, member(row, "namespaces"), "-");
		cell_list(&table, member(row, "controllers"), "-");
		cell_hosts(&table, row);
	}
	table_print(&table, out);
	table_fini(&table);
}

static void show_namespaces(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = {
		"SUBSYSTEM", ">NSID", ">SIZE", ">BLOCK", "STATE", "BACKEND",
		"PATH",	     "UUID",  "HOSTS", "DETAIL", NULL,
	};
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, member(reply, "namespaces")) {
		cell_text(&table, row, "nqn");
		cell_number(&table, row, "nsid");
		cell_bytes(&table, row, "size_bytes");
		cell_bytes(&table, row, "block_bytes");
		table_cell(&table, "%s%s", text(row, "state"),
			   flag(row, "read_only") ? ", read-only" : "");
		cell_text(&table, row, "backend");
		cell_text(&table, row, "path");
		cell_text(&table, row, "uuid");
		cell_hosts(&table, row);
		cell_text(&table, row, "detail");
	}
	table_print(&table, out);
	table_fini(&table);
}

/* --------------------------------------------------------------------- controllers, connections */

static void show_controllers(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = {
		">ID",	"STATE", ">QUEUES", ">KEEP ALIVE", ">ERRORS",
		">AGE", "HOST",	 "HOST ID", "SUBSYSTEM",   "LISTENER", NULL,
	};
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, member(reply, "controllers")) {
		cell_number(&table, row, "cntlid");
		cell_text(&table, row, "state");
		table_cell(&table, "%zu", rows_count(member(row, "queues")));
		if (number(row, "kato_ms"))
			table_cell(&table, "%" PRIu64 " ms", number(row, "kato_ms"));
		else
			table_cell(&table, "off");
		cell_number(&table, row, "error_count");
		cell_age(&table, row, "age_ms");
		cell_text(&table, row, "host_nqn");
		cell_text(&table, row, "host_id");
		cell_text(&table, row, "nqn");
		cell_text(&table, row, "listener");
	}
	table_print(&table, out);
	table_fini(&table);
}

static void show_connections(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = {
		"PEER",	     ">WORKER",	 ">ID",	   ">QUEUE", ">DEPTH",	 "STATE",
		"LISTENER",  ">COMMANDS", ">ERRORS", ">READ",  ">WRITTEN", ">PLACED", ">STAGED",
		">AGE",	     "SUBSYSTEM", "TRANSPORT", NULL,
	};
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, member(reply, "connections")) {
		cell_text(&table, row, "peer");
		cell_number(&table, row, "worker");
		cell_text(&table, row, "cntlid");
		cell_text(&table, row, "qid");
		cell_number(&table, row, "depth");
		cell_text(&table, row, "state");
		cell_text(&table, row, "listener");
		cell_number(&table, row, "commands");
		cell_number(&table, row, "errors");
		cell_bytes(&table, row, "read_bytes");
		cell_bytes(&table, row, "written_bytes");
		cell_bytes(&table, row, "placed_bytes");
		cell_bytes(&table, row, "staged_bytes");
		cell_age(&table, row, "age_ms");
		cell_text(&table, row, "nqn");
		cell_members(&table, member(row, "transport"));
	}
	table_print(&table, out);
	table_fini(&table);
}

/* ------------------------------------------------------------------------------------- datapath */

static void show_listener_paths(const struct json_object *rows, FILE *out)
{
	static const char *const headings[] = {
		"LISTENER", "ADDRESS", "STATE", "PATH", "RUNG", "WHY NO BETTER ONE", NULL,
	};
	static const char *const ways[] = { "receive", "transmit" };
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, rows) {
		for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
			const struct json_object *rung = member(row, ways[i]);
			bool error = member(row, "error");

			table_cell(&table, "%s%s", text(row, "name"),
				   flag(row, "discovery_only") ? " (discovery)" : "");
			table_cell(&table, "%s %s port %" PRIu64, text(row, "transport"),
				   text(row, "address"), number(row, "port"));
			table_cell(&table, "%s%s%s", text(row, "state"), error ? ": " : "",
				   error ? text(row, "error") : "");
			table_cell(&table, "%s", ways[i]);
			cell_text(&table, rung, "rung");
			cell_text(&table, rung, "why_not_better");
		}
	}
	table_print(&table, out);
	table_fini(&table);
}

/* Bytes by rung; those of a dma-buf in one sum. */
static void cells_moved(struct table *table, const struct json_object *bytes)
{
	table_cell(table, "%s", bytes_text(number(bytes, "dmabuf-vectored") +
					   number(bytes, "dmabuf")).s);
	cell_bytes(table, bytes, "fixed");
	cell_bytes(table, bytes, "plain");
	cell_bytes(table, bytes, "bounce");
}

static void show_storage_paths(const struct json_object *rows, FILE *out)
{
	static const char *const headings[] = {
		"SUBSYSTEM", ">NSID",  "BACKEND", "PATH", "RUNG", ">BY DMA-BUF",
		">BY FIXED", ">PLAIN", ">STAGED", "WHY NO BETTER ONE", NULL,
	};
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, rows) {
		cell_text(&table, row, "nqn");
		cell_number(&table, row, "nsid");
		cell_text(&table, row, "backend");
		cell_text(&table, row, "path");
		cell_text(&table, member(row, "storage"), "rung");
		cells_moved(&table, member(row, "storage_bytes"));
		cell_text(&table, member(row, "storage"), "why_not_better");
	}
	table_print(&table, out);
	table_fini(&table);
}

static void show_areas(const struct json_object *rows, FILE *out)
{
	static const char *const headings[] = {
		"WORKER", "PROVIDER", ">SIZE", "FACES", "REGISTERED", "WHY NO MORE", NULL,
	};
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, rows) {
		cell_text(&table, row, "worker");
		cell_text(&table, row, "provider");
		cell_bytes(&table, row, "size_bytes");
		cell_list(&table, member(row, "faces"), "-");
		table_cell(&table, "%s", flag(row, "fixed_registered") ? "fixed buffer" : "-");
		cell_text(&table, row, "why_not");
	}
	table_print(&table, out);
	table_fini(&table);
}

static void show_datapath(const struct json_object *reply, FILE *out)
{
	show_listener_paths(member(reply, "listeners"), out);
	fputc('\n', out);
	show_storage_paths(member(reply, "namespaces"), out);
	fputc('\n', out);
	show_areas(member(reply, "areas"), out);
}

/* ---------------------------------------------------------------------------------------- stats */

static void cells_stats(struct table *table, const struct json_object *row)
{
	uint64_t ios = number(row, "reads") + number(row, "writes") + number(row, "flushes") +
		       number(row, "deallocates") + number(row, "other");

	cell_number(table, row, "reads");
	cell_number(table, row, "writes");
	cell_bytes(table, row, "read_bytes");
	cell_bytes(table, row, "written_bytes");
	cell_number(table, row, "flushes");
	cell_number(table, row, "deallocates");
	cell_number(table, row, "other");
	cell_number(table, row, "errors");
	cell_number(table, row, "media_errors");
	table_cell(table, "%" PRIu64 " us", ios ? number(row, "busy_us") / ios : 0);
}

#define STATS_HEADINGS                                                            \
	">READS", ">WRITES", ">READ", ">WRITTEN", ">FLUSHES", ">DEALLOCATES", ">OTHER", \
		">ERRORS", ">OF MEDIUM", ">MEAN TIME"

static void show_receive_areas(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = { "WORKER", "INTERFACE", ">CHUNKS", ">HELD",
						">FRAGMENTS", ">RECEIVED", ">PLACED", ">STAGED",
						">COPIED BY KERNEL", ">STARVED", ">OVERFLOWS",
						">CLOSED", NULL };
	const struct json_object *areas = member(reply, "receive_areas");
	struct json_object *row;
	struct table table;

	if (!json_object_is_type(areas, json_type_array) || !json_object_array_length(areas))
		return;
	fputc('\n', out);
	table_init(&table, headings);
	for_each_row(row, areas) {
		cell_text(&table, row, "worker");
		cell_text(&table, row, "interface");
		cell_number(&table, row, "chunks");
		cell_number(&table, row, "chunks_held");
		cell_number(&table, row, "fragments");
		cell_bytes(&table, row, "bytes");
		cell_bytes(&table, row, "placed_bytes");
		cell_bytes(&table, row, "staged_bytes");
		cell_bytes(&table, row, "kernel_copied_bytes");
		cell_number(&table, row, "starved");
		cell_number(&table, row, "overflows");
		cell_number(&table, row, "closed");
	}
	table_print(&table, out);
	table_fini(&table);
}

/* Of each that counts for itself: what it did by status, other than success. */
static void show_statuses(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = { "HOST", "SUBSYSTEM", "STATUS",
						"NAME", ">COUNT",    NULL };
	struct json_object *row, *status;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, member(reply, "hosts"))
	{
		for_each_row(status, member(row, "statuses"))
		{
			bool known = member(status, "sc");
			unsigned code =
				(unsigned)(number(status, "sct") << 8 | number(status, "sc"));

			cell_text(&table, row, "host_nqn");
			cell_text(&table, row, "nqn");
			if (known)
				table_cell(&table, "%xh/%02xh", code >> 8, code & 0xff);
			else
				table_cell(&table, "other");
			table_cell(&table, "%s", known ? nvme_status_name((uint16_t)code) : "-");
			cell_number(&table, status, "count");
		}
	}
	if (table.n_cells) {
		fputc('\n', out);
		table_print(&table, out);
	}
	table_fini(&table);
}

static void cell_time(struct table *table, const struct json_object *phase, const char *key)
{
	table_cell(table, "%" PRIu64 " us", number(phase, key) / 1000);
}

/* Half of the commands, and 99 of 100, took no longer than that. */
static void cells_times(struct table *table, const struct json_object *phases)
{
	static const char *const names[] = { "fetch", "backend", "respond", "total" };

	cell_number(table, member(phases, "total"), "count");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		cell_time(table, member(phases, names[i]), "p50_ns");
		cell_time(table, member(phases, names[i]), "p99_ns");
	}
}

static void show_times(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = {
		"SUBSYSTEM",  ">NSID",	      "TIMES OF", ">COUNT",	  ">FETCH P50",
		">P99",	      ">BACKEND P50", ">P99",	  ">RESPOND P50", ">P99",
		">TOTAL P50", ">P99",	      NULL
	};
	static const char *const kinds[] = { "read", "write", "other" };
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, member(reply, "namespaces"))
	{
		for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
			const struct json_object *phases = member(member(row, "times"), kinds[i]);

			if (!phases)
				continue;
			cell_text(&table, row, "nqn");
			cell_number(&table, row, "nsid");
			table_cell(&table, "%s", kinds[i]);
			cells_times(&table, phases);
		}
	}
	if (table.n_cells) {
		fputc('\n', out);
		table_print(&table, out);
	}
	table_fini(&table);
}

static void show_hosts(const struct json_object *reply, FILE *out)
{
	static const char *const headings[] = {
		"HOST",	  ">CONNECTIONS", ">READS",  ">WRITES", ">READ",     ">WRITTEN", ">FLUSHES",
		">OTHER", ">ERRORS",	  ">PLACED", ">STAGED", "SUBSYSTEM", NULL,
	};
	struct json_object *row;
	struct table table;

	table_init(&table, headings);
	for_each_row(row, member(reply, "hosts"))
	{
		cell_text(&table, row, "host_nqn");
		cell_number(&table, row, "connections");
		cell_number(&table, row, "reads");
		cell_number(&table, row, "writes");
		cell_bytes(&table, row, "read_bytes");
		cell_bytes(&table, row, "written_bytes");
		cell_number(&table, row, "flushes");
		table_cell(&table, "%" PRIu64, number(row, "deallocates") + number(row, "other"));
		cell_number(&table, row, "errors");
		cell_bytes(&table, row, "placed_bytes");
		cell_bytes(&table, row, "staged_bytes");
		cell_text(&table, row, "nqn");
	}
	if (table.n_cells) {
		fputc('\n', out);
		table_print(&table, out);
	}
	table_fini(&table);
	show_statuses(reply, out);
}

static void show_stats(const struct json_object *reply, FILE *out)
{
	static const char *const ns_headings[] = { "SUBSYSTEM", ">NSID", STATS_HEADINGS, NULL };
	static const char *const worker_headings[] = { "WORKER", STATS_HEADINGS, ">TURNS", ">CALLS",
						       ">BLOCKS", ">SPINS", NULL };
	struct json_object *row;
	struct table table;

	table_init(&table, ns_headings);
	for_each_row(row, member(reply, "namespaces")) {
		cell_text(&table, row, "nqn");
		cell_number(&table, row, "nsid");
		cells_stats(&table, row);
	}
	table_print(&table, out);
	table_fini(&table);
	fputc('\n', out);
	table_init(&table, worker_headings);
	for_each_row(row, member(reply, "workers")) {
		cell_text(&table, row, "worker");
		cells_stats(&table, row);
		cells_loop(&table, row);
	}
	table_print(&table, out);
	table_fini(&table);
	show_times(reply, out);
	show_hosts(reply, out);
	show_receive_areas(reply, out);
}

/* ---------------------------------------------------------------------------------------- verbs */

const struct show shows[] = {
	{ "status", "what runs, since when, its workers and memory", show_status },
	{ "subsystems", "subsystems: namespaces, controllers, who may attach", show_subsystems },
	{ "namespaces", "namespaces: size, identity, where they are stored", show_namespaces },
	{ "controllers", "controllers: which host is attached to what", show_controllers },
	{ "connections", "connections: one for each queue of a controller", show_connections },
	{ "datapath", "how data moves, and why not in a better way", show_datapath },
	{ "stats", "what namespaces, workers and hosts have done, and how long it took",
	  show_stats },
	{ NULL, NULL, NULL },
};

const struct show *show_find(const char *verb)
{
	for (const struct show *show = shows; show->verb; show++)
		if (!strcmp(verb, show->verb))
			return show;
	return NULL;
}
