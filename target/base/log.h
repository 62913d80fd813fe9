/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages: lines on standard error, or records with fields in systemd's journal when that is the reader
 * (log_journal.h). Never called on the path of a command; what a peer can cause goes through log_peer().
 */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/log_about.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* A place in the source that writes messages, all of one kind. One for each call, made by the macros. */
struct log_site {
	const char *file, *func;
	unsigned line;
	bool peer; /* peers can cause them: they are limited */
	/* Of the limit, under its lock. */
	uint64_t period_ns;	  /* when the present period began */
	unsigned lines, left_out; /* in it; since the last line */
};

/* Messages above @level are dropped. Call before threads start. */
void log_init(enum log_level level);
/* The same from now on, and what it is. Any thread. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/*
 * Writes one message of @site, in which '?' stands for each control character. Safe from any thread.
 * Called by the macros below.
 */
void log_message(struct log_site *site, enum log_level level, struct log_about about,
		 const char *fmt, ...) __printf(4, 5);

/*
 * May one more message of @site be written at @now_ns? At most LOG_PEER_BURST may in a period of
 * LOG_PEER_PERIOD_S; *@left_out is how many were not since the last one that was. Any thread.
 */
bool log_limit_pass(struct log_site *site, uint64_t now_ns, unsigned *left_out);

#define log_at_site(is_peer, level, about, ...)                     \
	do {                                                        \
		static struct log_site log_site_ = {                \
			.file = __FILE__,                           \
			.func = __func__,                           \
			.line = __LINE__,                           \
			.peer = (is_peer),                          \
		};                                                  \
		log_message(&log_site_, level, about, __VA_ARGS__); \
	} while (0)

/* One message; a newline is added to lines. */
#define log_write(level, ...) log_at_site(false, level, log_about(), __VA_ARGS__)
#define log_error(...)	      log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...)      log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	      log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	      log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* The same about a thing: @about is a struct log_about. */
#define log_error_about(about, ...)   log_at_site(false, LOG_LEVEL_ERROR, about, __VA_ARGS__)
#define log_warning_about(about, ...) log_at_site(false, LOG_LEVEL_WARNING, about, __VA_ARGS__)
#define log_info_about(about, ...)    log_at_site(false, LOG_LEVEL_INFO, about, __VA_ARGS__)
#define log_debug_about(about, ...)   log_at_site(false, LOG_LEVEL_DEBUG, about, __VA_ARGS__)

/*
 * A warning that a remote peer can trigger as often as it likes: of each call no more than
 * log_limit_pass() lets through, so that what one peer does cannot hide what others do. How many were
 * left out is said before the next of the same kind.
 */
#define log_peer(about, ...) log_at_site(true, LOG_LEVEL_WARNING, about, __VA_ARGS__)

#endif
