/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One request between a dma-buf and the disk, each direction alone, with the destination poisoned
 * and every byte compared: those of the range on the disk, a block on either side of it, and the
 * whole dma-buf. Control is ordinary I/O.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include "buffers.h"
#include "disk.h"
#include "ring.h"

struct verify {
	/* Given to verify_init(); borrowed. */
	struct ring *ring;
	const struct disk *disk;
	const struct buffer *buffer;
	/* May be changed at any time. */
	int fd;			/* the target's descriptor, or its index with IOSQE_FIXED_FILE */
	uint8_t sqe_flags;
	uint16_t slot;
	/* Own memory: what the dma-buf has to hold, and the disk's range with its guards. */
	uint8_t *image;
	uint8_t *want;
	uint8_t *got;
	size_t len_max;
};

/* A request, which is vectored or has one fragment; off: bytes, one block at least. */
struct transfer {
	const struct iovec *fragments;
	unsigned int nr;
	bool vectored;
	uint64_t off;
};

struct outcome {
	long res;		/* of the request */
	size_t len;		/* that it should have moved */
	size_t disk_wrong;	/* bytes that are not as they have to be */
	size_t buffer_wrong;
};

/* len_max: bytes of the largest transfer. fd becomes the disk's, slot 0. */
void verify_init(struct verify *verify, struct ring *ring, const struct disk *disk,
		 const struct buffer *buffer, size_t len_max);
void verify_fini(struct verify *verify);

/*
 * A request that fails may have moved some of the blocks of its range: then bytes within the
 * range, and of the fragments, are not compared; all others are.
 */
struct outcome verify_write(struct verify *verify, const struct transfer *transfer);
struct outcome verify_read(struct verify *verify, const struct transfer *transfer);

/* The same as a check: all bytes moved, none wrong. */
bool check_write(struct verify *verify, const struct transfer *transfer, const char *name);
bool check_read(struct verify *verify, const struct transfer *transfer, const char *name);

/* As checks: both directions end with the error, and nothing outside the range is touched. */
bool check_refused(struct verify *verify, const struct transfer *transfer, int error,
		   const char *name);

/* len bytes from one place of the dma-buf, by a plain request. */
bool check_range(struct verify *verify, uint64_t buffer_off, size_t len, uint64_t off,
		 const char *name);

#endif
