/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Credit for a receive area: how many chunks commands may keep, whose, and how much hosts may be asked to
 * send. Pure: no connection, no I/O. README.md says what it promises.
 */
#ifndef SLUICE_TCP_LANDING_H
#define SLUICE_TCP_LANDING_H

#include "dmabuf/chunks.h"
#include "dmabuf/pool.h"

struct landing {
	struct chunks chunks;
	struct area rooms_area;
	struct pool rooms;    /* for vectors of many fragments */
	uint32_t most;        /* chunks that commands may keep; the others are the NIC's */
	uint32_t kept;        /* that they keep */
	uint32_t *kept_by;    /* by keeper, of @keepers */
	uint32_t keepers;
	uint64_t density;     /* bytes of payload that a chunk brings, on average, times 16 */
	uint64_t measured;    /* where in the area what was measured last began */
	uint64_t granted;     /* bytes that hosts were asked to send, and that are not there yet */
};

/*
 * For the @size bytes of @area from @offset on, which the kernel fills in chunks of 1 << @shift bytes.
 * @reserve chunks are never kept by commands. @keepers: 1 + the largest keeper. 0 or -ENOMEM.
 */
int landing_init(struct landing *landing, struct area *area, uint64_t offset, uint64_t size,
		 unsigned shift, uint32_t reserve, uint32_t keepers);
void landing_fini(struct landing *landing);

/* Payload arrived as @piece: what chunks bring, on average. */
void landing_measure(struct landing *landing, const struct span *piece);

/*
 * Bytes that have a place when a host is asked for them that was asked for @outstanding already, so that
 * none of the hosts takes the place of the others. A multiple of 4096; never 0 for one that was asked
 * for nothing.
 */
uint64_t landing_room(const struct landing *landing, uint64_t outstanding);

/* Bytes of the chunks that @bytes of payload come in, on average. */
uint64_t landing_taken_by(const struct landing *landing, uint64_t bytes);

/*
 * May a command of @keeper keep one more chunk? Chunks for what hosts were asked to send are worth more
 * than a copy less; and a keeper whose disk is slow leaves some for the others.
 */
bool landing_may_keep(const struct landing *landing, uint32_t keeper);
void landing_keep(struct landing *landing, uint32_t keeper);
void landing_give_up(struct landing *landing, uint32_t keeper, uint32_t chunks);

#endif
