/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both directions of a connection as its host sees them, whatever it sends: what the target may say at
 * all, when, and that it answers each command that was sent at most once.
 */
#ifndef SLUICE_TESTS_FUZZ_WITNESS_H
#define SLUICE_TESTS_FUZZ_WITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WITNESS_COMMANDS = 2048 };

/* Cuts a stream into PDUs; their first bytes are kept. */
struct witness_stream {
	uint8_t head[32];
	uint32_t have; /* bytes of the PDU so far */
	bool broken;   /* what comes is no PDU, nor is what follows */
};

struct witness {
	struct witness_stream sent, came;
	bool begun;			 /* ICResp has come */
	bool terminated;		 /* a termination request has come */
	uint16_t cids[WITNESS_COMMANDS]; /* of commands without an answer */
	unsigned n;
};

/* Bytes that the host sends, and such as it gets. */
void witness_sent(struct witness *witness, const uint8_t *bytes, size_t size);
void witness_came(struct witness *witness, const uint8_t *bytes, size_t size);

#endif
