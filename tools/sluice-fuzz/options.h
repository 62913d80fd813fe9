/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SLUICE_FUZZ_OPTIONS_H
#define SLUICE_FUZZ_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum fuzz_exit { EXIT_FINE = 0, EXIT_MISBEHAVED = 1, EXIT_USAGE = 2 };

enum fuzz_mode { MODE_FUZZ, MODE_PRINT, MODE_REPLAY, MODE_MINIMISE };

struct fuzz_options {
	enum fuzz_mode mode;
	const char *file; /* of MODE_REPLAY and MODE_MINIMISE */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	const char *peer;
	const char *nqn;
	uint32_t nsid; /* of the canary; 0: the last one */
	uint64_t seed;
	uint64_t sessions; /* 0: no limit */
	uint64_t seconds;  /* 0: no limit */
	unsigned connections;
	unsigned linger;
	uint64_t tries;
	uint32_t patience_ms;
	uint32_t connect_timeout_ms;
	uint32_t term_timeout_ms;
	uint64_t rss_growth; /* bytes */
	pid_t pid;
	const char *save;    /* a directory */
	const char *restart; /* a command */
};

/* Reads the command line. 0, or EXIT_USAGE after a message; @*stop: help was printed, nothing to do. */
int options_parse(struct fuzz_options *options, int argc, char **argv, bool *stop);

#endif
