/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines on standard error, with the <N> priority prefix that systemd understands when it is the
 * reader. Never called on the path of a command; what a peer can cause goes through log_peer().
 */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stdbool.h>

#include "base/compiler.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above @level are dropped. Call before threads start. */
void log_init(enum log_level level);

/* Writes one line; a newline is added. Safe from any thread. */
void log_write(enum log_level level, const char *fmt, ...) __printf(2, 3);

/*
 * As log_write() at warning level, for what a remote peer can trigger as often as it likes: at most
 * 20 lines in 5 seconds for the whole process; how many were left out is said with the next line.
 */
void log_peer(const char *fmt, ...) __printf(1, 2);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
