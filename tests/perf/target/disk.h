/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_DISK_H
#define PERF_DISK_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	DISK_DEPTH_MAX = 64,
};

/* O_DIRECT I/O on a block device: @depth at a time, of blocks that are not neighbours. */
struct disk {
	int fd;
	struct io_uring ring;
	unsigned depth;
	uint32_t block_bytes;
	char *buffers; /* depth * block_bytes */
};

/* Opens the device at @path, and the ring. These all end the program with a message on failure. */
void disk_open(struct disk *disk, const char *path, uint32_t block_bytes, unsigned depth);

/* Fills the buffers with a pattern that is another one for each buffer and each @seed. */
void disk_fill(struct disk *disk, uint64_t seed);

/*
 * Writes or reads the first @ios blocks, a power of two, in an order that is always the same, so that it is
 * known by which buffer a block went. With @seed not 0 each block that was read is compared with the
 * pattern.
 */
void disk_run(struct disk *disk, bool write, unsigned ios, uint64_t seed);

#endif
