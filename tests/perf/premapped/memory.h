/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PREMAPPED_MEMORY_H
#define PREMAPPED_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/*
 * The memory that every row uses: one memfd of huge pages, seen as a mapping by the CPU and by
 * ordinary I/O, and as a dma-buf (udmabuf over the same pages) by premapped I/O. It is cut into slots,
 * one for each I/O in flight; a slot's place on the disk is that of its place in memory.
 */
enum {
	MEMORY_SLOT_BYTES = 256 * 1024,
	MEMORY_SLOTS_MAX = 64,
};

struct memory {
	unsigned char *base; /* the mapping; owned */
	size_t len_bytes;
	int dmabuf_fd; /* owned */
};

/*
 * Creates the memory for `slots` slots (1 to MEMORY_SLOTS_MAX) of 2 MiB pages, which must have been
 * set aside, every page of it present. Ends the program with a message on failure.
 */
void memory_open(struct memory *mem, unsigned slots);

void memory_close(struct memory *mem);

#endif
