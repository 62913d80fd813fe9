/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PREMAPPED_LOAD_H
#define PREMAPPED_LOAD_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory.h"

/* How the kernel learns of the memory. */
enum load_mode {
	MODE_PREMAPPED, /* dma-buf registered for the device: mapped once */
	MODE_FIXED,	/* fixed buffer: pages pinned once, mapped for each I/O */
	MODE_PLAIN,	/* user addresses: pinned and mapped for each I/O */
	MODE_COUNT,
};

/* What one I/O carries. */
enum load_shape {
	SHAPE_4K,
	SHAPE_16K,
	SHAPE_128K,
	/*
	 * 64 KiB in 46 pieces as TCP delivers them: 1448 bytes, the payload of an Ethernet frame,
	 * each at the start of a page, and a rest.
	 */
	SHAPE_FRAGMENTS,
	SHAPE_COUNT,
};

enum {
	FRAGMENT_BYTES = 1448,
	FRAGMENT_STRIDE_BYTES = 4096,
	FRAGMENTS = 46,
};

/* One row of the table. */
struct load_row {
	enum load_mode mode;
	enum load_shape shape;
	bool write;
};

/* A ring on which the I/O of one mode runs. */
struct load {
	struct io_uring ring;
	enum load_mode mode;
	const struct memory *mem; /* outlives the load */
	unsigned depth;		  /* I/Os in flight */
	struct iovec vecs[MEMORY_SLOTS_MAX][FRAGMENTS];
};

/* The names that JSON and table use. */
const char *load_mode_name(enum load_mode mode);
const char *load_shape_name(enum load_shape shape);

/*
 * The parts of a slot that an I/O of that shape touches, in the order in which they are on the disk;
 * their bases are offsets in the slot. Returns how many there are, at most FRAGMENTS.
 */
unsigned load_shape_pieces(enum load_shape shape, struct iovec *pieces);

/*
 * Opens a ring for I/O in that mode on `disk_fd`, a block device opened with O_DIRECT, and registers
 * file and memory. Ends the program with a message on failure, as when the kernel has no such
 * registration.
 */
void load_open(struct load *load, enum load_mode mode, const struct memory *mem, int disk_fd,
	       unsigned depth);

/* Ends the registrations; nothing may be in flight. */
void load_close(struct load *load);

/*
 * Runs `ios` I/Os of that row, `depth` of them in flight; a quarter of the depth is reaped and
 * submitted at a time, so that the number of system calls does not depend on the device's pace. Ends
 * the program with a message when one fails or is short.
 */
void load_run(struct load *load, const struct load_row *row, unsigned ios);

#endif
