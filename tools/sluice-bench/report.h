/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run found, for people and as one JSON object. */
#ifndef SLUICE_BENCH_REPORT_H
#define SLUICE_BENCH_REPORT_H

#include <json-c/json.h>

#include "load.h"
#include "options.h"

/* A measured process: the target, or the floor's server. */
struct cpu_use {
	bool known;
	uint64_t cpu_ns;
	bool spin_known;
	uint64_t spin_ns; /* of it: looking at an empty queue */
};

struct report {
	const struct bench_options *options;
	const struct load_result *target;
	struct cpu_use target_cpu;
	const struct load_result *floor; /* NULL: not run */
	struct cpu_use floor_cpu;
	const struct verify *verify;     /* NULL: nothing was verified */
	uint64_t prefill_bytes, readback_bytes;
	unsigned queues;
	unsigned depth;
	uint32_t nsid;
	uint64_t keys_ended; /* by responses, with --invalidate */
	bool corrupt;
	const char *error; /* what ended the run early; NULL: nothing */
	char congestion[16];
};

/* Prints the report on standard output. */
void report_print(const struct report *report);

/* As report_print(), as JSON on one line. */
void report_json(const struct report *report);

/* Prints @object on one line of standard output and frees it. */
void json_print(struct json_object *object);

#endif
