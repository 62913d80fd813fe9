/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Payload of a command as it comes in fragments that a NIC placed: what fits stays where it is and is
 * part of the command's data from there, the rest is copied into the command's own buffer. Pure: no
 * connection, no I/O.
 */
#ifndef SLUICE_TCP_GATHER_H
#define SLUICE_TCP_GATHER_H

#include "transport/tcp/landing.h"

enum {
	GATHER_FEW = 6,    /* spans without any memory of their own */
	GATHER_MIN = 128,  /* bytes of a fragment that are worth a segment of their own */
};

struct gather {
	struct landing *landing;
	const struct spanv *buffer; /* the command's own: room for all of its payload */
	uint32_t align;  /* of address and length of what a device takes, a power of two */
	uint32_t keeper; /* for whom chunks are kept: namespaces share them fairly */
	uint32_t kept;   /* chunks */
	uint32_t kept_last; /* the last of them: packets that share a chunk are not counted twice */
	struct spanv data; /* the payload so far */
	struct span few[GATHER_FEW];
	struct span room; /* of landing->rooms; area NULL: none */
};

void gather_init(struct gather *gather, struct landing *landing, const struct spanv *buffer,
		 uint32_t align, uint32_t keeper);

/*
 * Adds payload that continues at byte @offset of the command's and lies at @piece, of a fragment.
 * Returns how many of its bytes had to be copied.
 */
uint32_t gather_add(struct gather *gather, uint32_t offset, const struct span *piece);

/*
 * As gather_add() for @len bytes at @from that are in no chunk, or may not stay there: copies them to
 * their place @offset in the buffer, and has them there.
 */
void gather_copy(struct gather *gather, uint32_t offset, const void *from, uint32_t len);

/* Lets go of the fragments: gather->data is empty again. Harmless when it is already. */
void gather_fini(struct gather *gather);

#endif
