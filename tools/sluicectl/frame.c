/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "reply.h"
#include "table.h"

enum section { SECTION_WORKERS, SECTION_NAMESPACES, SECTION_TIMES, SECTION_HOSTS, SECTIONS };

enum { HEADER_LINES = 2, SECTION_LINES = 2 /* an empty one and the headings */ };

/* ---------------------------------------------------------------------------------------- cells */

/* To a tenth where that is more than noise. */
static void cell_rate(struct table *table, double rate)
{
	table_cell(table, rate > 0 && rate < 9.95 ? "%.1f" : "%.0f", rate);
}

static struct bytes_text rate_text(double bytes)
{
	return bytes_text((uint64_t)(bytes + 0.5));
}

static void cell_bytes(struct table *table, double rate)
{
	table_cell(table, "%s", rate_text(rate).s);
}

static void cell_percent(struct table *table, double share)
{
	table_cell(table, "%.0f%%", 100 * share);
}

static void cell_us(struct table *table, double ns)
{
	table_cell(table, "%.0f", ns / 1000);
}

static void cells_io(struct table *table, const struct rate_io *io)
{
	cell_rate(table, io->reads);
	cell_rate(table, io->writes);
	cell_rate(table, io->others);
	cell_rate(table, io->errors);
	cell_bytes(table, io->read_bytes);
	cell_bytes(table, io->written_bytes);
	cell_bytes(table, io->placed_bytes);
	cell_bytes(table, io->staged_bytes);
}

static void cell_namespace(struct table *table, const struct json_object *row)
{
	table_cell(table, "%s/%s", text(row, "nqn"), text(row, "nsid"));
}

/* ------------------------------------------------------------------------------------- sections */

struct heading {
	char s[64];
};

/* @name, and how many rows it is of when that is not all. */
static struct heading heading(const char *name, size_t shown, size_t all)
{
	struct heading heading;

	if (shown < all)
		snprintf(heading.s, sizeof(heading.s), "%s (%zu of %zu)", name, shown, all);
	else
		snprintf(heading.s, sizeof(heading.s), "%s", name);
	return heading;
}

static void section_end(struct table *table, struct frame_size size, FILE *out)
{
	fputc('\n', out);
	table_print_within(table, size.columns, out);
	table_fini(table);
}

static void print_workers(const struct rates *rates, unsigned rows, struct frame_size size,
			  FILE *out)
{
	const struct heading name = heading("WORKER", rows, rates->n_workers);
	const char *const headings[] = { name.s,    ">CPU",    ">SPINNING",  ">CONNECTIONS",
					 ">READS",  ">WRITES", ">SHORTAGES", ">TURNS",
					 ">BLOCKS", NULL };
	struct table table;

	table_init(&table, headings);
	for (unsigned i = 0; i < rows; i++) {
		const struct rate_worker *worker = &rates->workers[i];

		table_cell(&table, "%s", text(worker->row, "worker"));
		cell_percent(&table, worker->cpu);
		cell_percent(&table, worker->spinning);
		table_cell(&table, "%s", text(worker->row, "connections"));
		cell_rate(&table, worker->io.reads);
		cell_rate(&table, worker->io.writes);
		cell_rate(&table, worker->shortages);
		cell_rate(&table, worker->turns);
		cell_rate(&table, worker->blocks);
	}
	section_end(&table, size, out);
}

#define IO_HEADINGS \
	">READS", ">WRITES", ">OTHER", ">ERRORS", ">READ", ">WRITTEN", ">PLACED", ">STAGED"

static void print_namespaces(const struct rates *rates, unsigned rows, struct frame_size size,
			     FILE *out)
{
	const struct heading name = heading("NAMESPACE", rows, rates->n_namespaces);
	const char *const headings[] = { name.s, IO_HEADINGS, NULL };
	struct table table;

	table_init(&table, headings);
	for (unsigned i = 0; i < rows; i++) {
		cell_namespace(&table, rates->namespaces[i].row);
		cells_io(&table, &rates->namespaces[i].io);
	}
	section_end(&table, size, out);
}

static unsigned kinds_timed(const struct rate_io *io)
{
	unsigned n = 0;

	for (unsigned kind = 0; kind < RATE_KINDS; kind++)
		n += io->timed[kind] > 0;
	return n;
}

static void print_times(const struct rates *rates, unsigned rows, struct frame_size size, FILE *out)
{
	static const char *const headings[] = {
		"NAMESPACE", "TIMES, US", ">COUNT", ">FETCH", ">P99", ">BACKEND",
		">P99",	     ">RESPOND",  ">P99",   ">TOTAL", ">P99", NULL,
	};
	struct table table;

	table_init(&table, headings);
	for (size_t i = 0; i < rates->n_namespaces; i++) {
		const struct rate_row *row = &rates->namespaces[i];

		for (unsigned kind = 0; kind < RATE_KINDS && rows; kind++) {
			if (row->io.timed[kind] <= 0)
				continue;
			cell_namespace(&table, row->row);
			table_cell(&table, "%s", rate_kind_names[kind]);
			cell_rate(&table, row->io.timed[kind]);
			for (unsigned phase = 0; phase < RATE_PHASES; phase++) {
				cell_us(&table, row->io.times[kind][phase].mean_ns);
				cell_us(&table, (double)row->io.times[kind][phase].p99_ns);
			}
			rows--;
		}
	}
	section_end(&table, size, out);
}

/* One that has gone is remembered by the daemon, but is no news. */
static bool host_is_there(const struct rate_row *host)
{
	return number(host->row, "connections") || rate_commands(&host->io) > 0;
}

static unsigned hosts_there(const struct rates *rates)
{
	unsigned n = 0;

	for (size_t i = 0; i < rates->n_hosts; i++)
		n += host_is_there(&rates->hosts[i]);
	return n;
}

static void print_hosts(const struct rates *rates, unsigned rows, struct frame_size size, FILE *out)
{
	const struct heading name = heading("HOST", rows, hosts_there(rates));
	const char *const headings[] = { name.s, "SUBSYSTEM", IO_HEADINGS, ">CONNECTIONS", NULL };
	struct table table;

	table_init(&table, headings);
	for (size_t i = 0; i < rates->n_hosts && rows; i++) {
		const struct rate_row *host = &rates->hosts[i];

		if (!host_is_there(host))
			continue;
		table_cell(&table, "%s", text(host->row, "host_nqn"));
		table_cell(&table, "%s", text(host->row, "nqn"));
		cells_io(&table, &host->io);
		table_cell(&table, "%s", text(host->row, "connections"));
		rows--;
	}
	section_end(&table, size, out);
}

/* --------------------------------------------------------------------------------------- frames */

void frame_share(unsigned rows, const unsigned *wanted, unsigned *given, unsigned n)
{
	unsigned open = n;

	memset(given, 0, n * sizeof(*given));
	while (rows && open) {
		open = 0;
		for (unsigned i = 0; i < n && rows; i++) {
			if (given[i] == wanted[i])
				continue;
			given[i]++;
			rows--;
			open++;
		}
	}
}

static void print_header(const struct rates *rates, struct frame_size size, FILE *out)
{
	const struct rate_io *total = &rates->total;
	char line[2][256];

	snprintf(line[0], sizeof(line[0]),
		 "sluiced up %s: %" PRIu64 " connections, CPU %.0f%%, %.0f%% spinning",
		 duration_text(rates->uptime_ns / 1000000).s, rates->connections, 100 * rates->cpu,
		 100 * rates->spinning);
	snprintf(line[1], sizeof(line[1]),
		 "each second of %.1f: %.0f commands, %.0f errors, %s read, %s written",
		 (double)rates->interval_ns / 1e9, rate_commands(total), total->errors,
		 rate_text(total->read_bytes).s, rate_text(total->written_bytes).s);
	for (unsigned i = 0; i < HEADER_LINES; i++)
		text_print_within(line[i], size.columns, out);
}

/* How many rows each section has to show. */
static void sections_size(const struct rates *rates, struct frame_size size, unsigned header,
			  unsigned given[SECTIONS])
{
	unsigned wanted[SECTIONS] = { 0 }, used = header + SECTIONS * SECTION_LINES;

	wanted[SECTION_WORKERS] = (unsigned)rates->n_workers;
	wanted[SECTION_NAMESPACES] = (unsigned)rates->n_namespaces;
	for (size_t i = 0; i < rates->n_namespaces; i++)
		wanted[SECTION_TIMES] += kinds_timed(&rates->namespaces[i].io);
	wanted[SECTION_HOSTS] = hosts_there(rates);
	if (size.rows) {
		frame_share(size.rows > used ? size.rows - used : 0, wanted, given, SECTIONS);
		return;
	}
	for (unsigned i = 0; i < SECTIONS; i++)
		given[i] = MIN(wanted[i], (unsigned)FRAME_ROWS);
}

void frame_print(const struct rates *rates, const char *note, struct frame_size size, FILE *out)
{
	unsigned rows[SECTIONS];

	if (rates)
		print_header(rates, size, out);
	if (note)
		text_print_within(note, size.columns, out);
	if (!rates)
		return;
	sections_size(rates, size, HEADER_LINES + (note ? 1u : 0u), rows);
	print_workers(rates, rows[SECTION_WORKERS], size, out);
	print_namespaces(rates, rows[SECTION_NAMESPACES], size, out);
	print_times(rates, rows[SECTION_TIMES], size, out);
	print_hosts(rates, rows[SECTION_HOSTS], size, out);
}
