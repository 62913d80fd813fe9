/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A well-behaved host beside the fuzzed connections, on a thread of its own: it writes and reads
 * verified blocks for as long as the run takes, and has to get every answer in time and right.
 */
#ifndef SLUICE_FUZZ_CANARY_H
#define SLUICE_FUZZ_CANARY_H

#include <sys/socket.h>

#include "model.h"

struct canary;

struct canary_options {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	const char *peer; /* ADDRESS:PORT, for messages */
	const char *subnqn;
	uint32_t nsid;	     /* 0: the last namespace */
	uint32_t timeout_ms; /* for each of its answers */
};

/*
 * Connects, picks the blocks at the end of the namespace, tells of them in @guard, and starts. NULL
 * after a sentence in @error of @len bytes.
 */
struct canary *canary_start(const struct canary_options *options, struct model_guard *guard,
			    char *error, size_t len);

/* Has it write and read once more from the beginning; false: it was hurt, canary_error() says how. */
bool canary_check(struct canary *canary);
const char *canary_error(const struct canary *canary);
uint64_t canary_rounds(const struct canary *canary);

/* Ends it. */
void canary_stop(struct canary *canary);

#endif
