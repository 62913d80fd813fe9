/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log_journal.h"

static enum log_level max_level = LOG_LEVEL_INFO;
static bool prefix_priority;

void log_set_level(enum log_level level)
{
	__atomic_store_n(&max_level, level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return __atomic_load_n(&max_level, __ATOMIC_RELAXED);
}

void log_init(enum log_level level)
{
	log_set_level(level);
	prefix_priority = getenv("JOURNAL_STREAM") != NULL;
}

static void line_write(enum log_level level, const char *text)
{
	static const char *const names[] = { "error: ", "warning: ", "", "debug: " };
	static const char *const priorities[] = { "<3>", "<4>", "<6>", "<7>" };
	char line[LOG_TEXT_MAX + 32];
	int n = snprintf(line, sizeof(line), "%s%s%s\n",
			 prefix_priority ? priorities[level] : "sluiced: ",
			 prefix_priority ? "" : names[level], text);

	/* One write, so that lines of several threads do not mix. Nothing helps if it fails. */
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static void text_write(const struct log_site *site, enum log_level level, struct log_about about,
		       unsigned left_out, const char *text)
{
	if (!log_journal_write(site, level, about, left_out, text))
		line_write(level, text);
}

bool log_limit_pass(struct log_site *site, uint64_t now_ns, unsigned *left_out)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool pass;

	pthread_mutex_lock(&lock);
	/* A thread that read its clock before another one did may come after it. */
	if (now_ns >= site->period_ns + LOG_PEER_PERIOD_S * UINT64_C(1000000000)) {
		site->period_ns = now_ns;
		site->lines = 0;
	}
	pass = site->lines < LOG_PEER_BURST;
	*left_out = site->left_out;
	if (pass) {
		site->lines++;
		site->left_out = 0;
	} else {
		site->left_out++;
	}
	pthread_mutex_unlock(&lock);
	return pass;
}

/* May a message of @site, which peers can cause, be written now? Says how many were not before. */
static bool site_may(struct log_site *site, enum log_level level)
{
	struct timespec now;
	unsigned left_out;
	char text[128];

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!log_limit_pass(site, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
			    &left_out))
		return false;
	if (left_out) {
		snprintf(text, sizeof(text), "%u messages of the next one's kind were left out",
			 left_out);
		text_write(site, level, log_about(), left_out, text);
	}
	return true;
}

/*
 * What hosts and files are called is up to others: no byte of it begins another line, or tells a terminal
 * what to do.
 */
static void text_defuse(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '\x7f')
			*text = '?';
}

void log_message(struct log_site *site, enum log_level level, struct log_about about,
		 const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list ap;
	int n;

	if (level > log_get_level() || (site->peer && !site_may(site, level)))
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	text_defuse(text);
	text_write(site, level, about, 0, text);
}
