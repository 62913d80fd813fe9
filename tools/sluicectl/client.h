/* SPDX-License-Identifier: BSD-3-Clause */
/* One question to the daemon's control socket. */
#ifndef SLUICE_TOOLS_SLUICECTL_CLIENT_H
#define SLUICE_TOOLS_SLUICECTL_CLIENT_H

#include <stddef.h>

enum {
	CLIENT_REPLY_MAX = 32 << 20, /* bytes; the daemon sends at most half of that */
	/* Without a byte from the daemon: it answers at once, or does first what takes its time. */
	CLIENT_TIMEOUT_S = 15,
	CLIENT_CHANGE_TIMEOUT_S = 60,
};

/*
 * Asks for @verb at @path. 0 and the daemon's line, without its newline, in *@reply for the caller
 * to free; or negative errno and in @error a sentence that says what is wrong and what to do.
 */
int client_ask(const char *path, const char *verb, char **reply, char *error, size_t error_size);

/* The same with a whole @request, a line without its newline, and another time than CLIENT_TIMEOUT_S. */
int client_request(const char *path, const char *request, int timeout_s, char **reply, char *error,
		   size_t error_size);

#endif
