/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PEER_BURST = 20, PEER_PERIOD_S = 5 };

static enum log_level max_level = LOG_LEVEL_INFO;
static bool prefix_priority;

void log_init(enum log_level level)
{
	max_level = level;
	prefix_priority = getenv("JOURNAL_STREAM") != NULL;
}

static void log_line(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const names[] = { "error: ", "warning: ", "", "debug: " };
	static const char *const priorities[] = { "<3>", "<4>", "<6>", "<7>" };
	char line[1024];
	size_t n = (size_t)snprintf(line, sizeof(line), "%s%s",
				    prefix_priority ? priorities[level] : "sluiced: ",
				    prefix_priority ? "" : names[level]);
	int m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);

	if (m < 0)
		return;
	n = MIN(n + (size_t)m, sizeof(line) - 2);
	line[n++] = '\n';
	/* One write, so that lines of several threads do not mix. Nothing helps if it fails. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	log_line(level, fmt, ap);
	va_end(ap);
}

/* True when a line may be written; *@dropped says how many were not since the last one. */
static bool peer_line_allowed(unsigned *dropped)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static time_t period_start;
	static unsigned lines, left_out;
	struct timespec now;
	bool allowed;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&lock);
	if (now.tv_sec - period_start >= PEER_PERIOD_S) {
		period_start = now.tv_sec;
		lines = 0;
	}
	allowed = lines < PEER_BURST;
	if (allowed) {
		lines++;
		*dropped = left_out;
		left_out = 0;
	} else {
		left_out++;
	}
	pthread_mutex_unlock(&lock);
	return allowed;
}

void log_peer(const char *fmt, ...)
{
	unsigned dropped = 0;
	va_list ap;

	if (max_level < LOG_LEVEL_WARNING || !peer_line_allowed(&dropped))
		return;
	if (dropped)
		log_warning("%u messages about peers were left out", dropped);
	va_start(ap, fmt);
	log_line(LOG_LEVEL_WARNING, fmt, ap);
	va_end(ap);
}
