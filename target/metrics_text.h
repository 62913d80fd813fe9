/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters as OpenMetrics 1.0 text. */
#ifndef SLUICE_TARGET_METRICS_TEXT_H
#define SLUICE_TARGET_METRICS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Labels of one sample, escaped, with commas between: what does not fit is left away as a whole. */
enum { METRICS_LABELS_MAX = 2048 };

struct metrics_text {
	char *bytes; /* owned */
	size_t len, room;
	size_t most;	   /* bytes that it may become */
	uint64_t left_out; /* samples, or histograms, that there was no room for */
};

/*
 * Everything that there is to tell, ended by "# EOF", in at most @most bytes. On the main thread. 0 or
 * -ENOMEM; in any case metrics_text_free() is for the caller to call.
 */
int metrics_text_build(struct metrics_text *text, size_t most);
void metrics_text_free(struct metrics_text *text);

/*
 * Writes @value as it may stand between the quotes of a label to @to of @size bytes, with a NUL: backslash,
 * quote and newline escaped, what is no UTF-8 as '?'. The length without NUL, or -ENOSPC.
 */
int metrics_escape(char *to, size_t size, const char *value);

#endif
