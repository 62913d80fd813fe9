/* SPDX-License-Identifier: BSD-3-Clause */
/* The verb `top`: what the daemon does at present, again and again. */
#ifndef SLUICE_TOOLS_SLUICECTL_TOP_H
#define SLUICE_TOOLS_SLUICECTL_TOP_H

#include <stdbool.h>
#include <stdint.h>

enum {
	TOP_INTERVAL_MS = 1000,
	TOP_INTERVAL_MIN_MS = 100,
	TOP_INTERVAL_MAX_MS = 3600 * 1000,
};

struct top {
	const char *socket_path;
	unsigned interval_ms; /* TOP_INTERVAL_MIN_MS .. TOP_INTERVAL_MAX_MS */
	uint64_t count;	      /* of frames; 0: until it is ended */
	bool batch;	      /* also on a terminal: frames one after the other */
	bool json;	      /* an object a frame */
};

/* Returns the exit code, after it has said on standard error what is wrong, if anything is. */
int top_run(const struct top *top);

/* Seconds, with a fraction or without, as milliseconds. False: that is none, or out of range. */
bool top_interval_parse(const char *text, unsigned *interval_ms);
/* A number of frames, from 1 on. */
bool top_count_parse(const char *text, uint64_t *count);

#endif
