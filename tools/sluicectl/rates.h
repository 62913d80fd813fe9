/* SPDX-License-Identifier: BSD-3-Clause */
/* What a daemon did between two of its replies to `stats`, by the second. */
#ifndef SLUICE_TOOLS_SLUICECTL_RATES_H
#define SLUICE_TOOLS_SLUICECTL_RATES_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rate_kind { RATE_READ, RATE_WRITE, RATE_OTHER, RATE_KINDS };
enum rate_phase { RATE_FETCH, RATE_BACKEND, RATE_RESPOND, RATE_TOTAL, RATE_PHASES };

/* As replies call them. */
extern const char *const rate_kind_names[RATE_KINDS];
extern const char *const rate_phase_names[RATE_PHASES];

struct rate_time {
	double mean_ns;
	uint64_t p99_ns; /* bound of the bucket that it lies in */
};

/* Each second, but for the times, which are of what ended meanwhile. */
struct rate_io {
	double reads, writes, others, errors; /* commands */
	double read_bytes, written_bytes, placed_bytes, staged_bytes;
	double timed[RATE_KINDS]; /* commands that the times are of */
	struct rate_time times[RATE_KINDS][RATE_PHASES];
};

struct rate_worker {
	const struct json_object *row;	 /* of the reply */
	double cpu, spinning;		 /* shares of one CPU's time */
	double turns, blocks, shortages; /* each second */
	struct rate_io io;
};

/* A namespace, or a host at a subsystem. */
struct rate_row {
	const struct json_object *row; /* of the reply */
	struct rate_io io;
};

struct rates {
	struct json_object *reply; /* reference; rows are in it */
	uint64_t interval_ns, uptime_ns;
	bool restarted; /* the daemon was, meanwhile: the interval is its time since then */
	uint64_t connections;
	double cpu, spinning;		     /* of all workers; above 1 for several */
	struct rate_io total;		     /* of all namespaces; without times */
	struct rate_worker *workers;	     /* in their order */
	struct rate_row *namespaces, *hosts; /* the busiest first */
	size_t n_workers, n_namespaces, n_hosts;
};

/*
 * What was done from the reply @before to the reply @now. @asked_ns: the time, of CLOCK_MONOTONIC, from
 * the arrival of @before to the question for @now; a daemon that runs for less is another one, and has
 * done all that it counts meanwhile. So have a namespace and a host that were not there before. One
 * whose counters are lower than they were was another one, too, and has no rates this time.
 * Ends the program when there is no memory.
 */
void rates_init(struct rates *rates, const struct json_object *before, struct json_object *now,
		uint64_t asked_ns);
void rates_fini(struct rates *rates);

/* All of it as an object that is the caller's; members as tools/sluicectl/README.md has them. */
struct json_object *rates_json(const struct rates *rates);

/* Commands of any kind, each second. */
static inline double rate_commands(const struct rate_io *io)
{
	return io->reads + io->writes + io->others + io->errors;
}

#endif
