/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Payload of a command as it comes in fragments that a NIC placed: what fits stays where it is and is
 * part of the command's data from there, the rest is copied into the command's own buffer. Pure: no
 * connection, no I/O.
 */
#ifndef SLUICE_TCP_GATHER_H
#define SLUICE_TCP_GATHER_H

#include "dmabuf/chunks.h"
#include "dmabuf/pool.h"

enum {
	GATHER_FEW = 6,    /* spans without any memory of their own */
	GATHER_MIN = 128,  /* bytes of a fragment that are worth a segment of their own */
};

/* Where fragments come from, and how many chunks their commands may keep. */
struct landing {
	struct chunks chunks;
	struct area rooms_area;
	struct pool rooms;    /* for vectors of more than GATHER_FEW spans */
	uint32_t most;        /* chunks that commands may keep; the others are the NIC's */
	uint32_t kept;        /* that they keep */
	uint32_t *kept_by;    /* by keeper, of @keepers */
	uint32_t keepers;
	uint64_t density;     /* bytes of payload that a chunk brings, on average, times 16 */
	uint64_t granted;     /* bytes that hosts were asked to send, and that are not there yet */
};

struct gather {
	struct landing *landing;
	const struct spanv *buffer; /* the command's own: room for all of its payload */
	uint32_t align;  /* of address and length of what a device takes, a power of two */
	uint32_t keeper; /* for whom chunks are kept: namespaces share them fairly */
	uint32_t kept;   /* chunks */
	struct spanv data; /* the payload so far */
	struct span few[GATHER_FEW];
	struct span room; /* of landing->rooms; area NULL: none */
};

/*
 * For the @size bytes of @area from @offset on, which the kernel fills in chunks of 1 << @shift bytes.
 * @reserve chunks are never kept by commands. @keepers: 1 + the largest keeper. 0 or -ENOMEM.
 */
int landing_init(struct landing *landing, struct area *area, uint64_t offset, uint64_t size,
		 unsigned shift, uint32_t reserve, uint32_t keepers);
void landing_fini(struct landing *landing);

/* A fragment arrived, and its chunk was in use before (@shared) or not: what chunks bring, on average. */
void landing_measure(struct landing *landing, uint32_t len, bool shared);

/*
 * Bytes that may be asked of a host that was asked for @outstanding already, so that all that hosts
 * send has its place and none of them takes the place of the others. A multiple of 4096; never 0 for
 * one that was asked for nothing.
 */
uint64_t landing_room(const struct landing *landing, uint64_t outstanding);

void gather_init(struct gather *gather, struct landing *landing, const struct spanv *buffer,
		 uint32_t align, uint32_t keeper);

/*
 * Adds payload that continues at byte @offset of the command's and lies at @piece, of a fragment.
 * Returns how many of its bytes had to be copied.
 */
uint32_t gather_add(struct gather *gather, uint32_t offset, const struct span *piece);

/* Lets go of the fragments: gather->data is empty again. Harmless when it is already. */
void gather_fini(struct gather *gather);

#endif
