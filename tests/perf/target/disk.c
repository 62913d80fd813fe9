/* SPDX-License-Identifier: BSD-3-Clause */
#include "disk.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

enum {
	BUFFER_ALIGN = 4096,
};

/* An odd number: multiples of it go through all numbers below a power of two, and hardly ever by steps of 1. */
static const uint32_t stride = 2654435761u;

void disk_open(struct disk *disk, const char *path, uint32_t block_bytes, unsigned depth)
{
	int rc;

	disk->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk->fd < 0)
		err(1, "%s", path);
	disk->depth = depth;
	disk->block_bytes = block_bytes;
	disk->buffers = aligned_alloc(BUFFER_ALIGN, (size_t)depth * block_bytes);
	if (!disk->buffers)
		err(1, "no memory for %u buffers", depth);
	rc = io_uring_queue_init(depth, &disk->ring,
				 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (!rc)
		rc = io_uring_register_files(&disk->ring, &disk->fd, 1);
	if (rc) {
		errno = -rc;
		err(1, "cannot set up a ring of %u entries", depth);
	}
}

static uint64_t *buffer_of(const struct disk *disk, unsigned slot)
{
	return (uint64_t *)(void *)(disk->buffers + (size_t)slot * disk->block_bytes);
}

static uint64_t pattern_word(uint64_t seed, unsigned slot, uint32_t index)
{
	return seed * UINT64_C(0x9e3779b97f4a7c15) + ((uint64_t)slot << 32) + index;
}

void disk_fill(struct disk *disk, uint64_t seed)
{
	for (unsigned slot = 0; slot < disk->depth; slot++)
		for (uint32_t i = 0; i < disk->block_bytes / sizeof(uint64_t); i++)
			buffer_of(disk, slot)[i] = pattern_word(seed, slot, i);
}

/* Compares what the I/O number @io read, and makes it something else for the next time. */
static void slot_compare(const struct disk *disk, unsigned slot, unsigned io, uint64_t seed)
{
	uint64_t *buffer = buffer_of(disk, slot);

	for (uint32_t i = 0; i < disk->block_bytes / sizeof(uint64_t); i++)
		if (buffer[i] != pattern_word(seed, slot, i))
			errx(1, "I/O %u of %" PRIu32 " bytes read what was not written, from byte %zu on",
			     io, disk->block_bytes, i * sizeof(uint64_t));
	memset(buffer, 0, disk->block_bytes);
}

/* Number @io of @ios. */
static void io_submit(struct disk *disk, bool write, unsigned io, unsigned ios)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&disk->ring);
	void *buffer = buffer_of(disk, io % disk->depth);
	uint64_t offset = (uint64_t)(io * stride & (ios - 1)) * disk->block_bytes;

	if (write)
		io_uring_prep_write(sqe, 0, buffer, disk->block_bytes, offset);
	else
		io_uring_prep_read(sqe, 0, buffer, disk->block_bytes, offset);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, io);
}

/* Returns the number of the I/O that a completion is for. */
static unsigned io_reap(struct disk *disk)
{
	struct io_uring_cqe *cqe;
	unsigned io;

	if (io_uring_peek_cqe(&disk->ring, &cqe))
		errx(1, "fewer completions than waited for");
	io = (unsigned)cqe->user_data;
	if (cqe->res != (int)disk->block_bytes)
		errx(1, "I/O %u of %" PRIu32 " bytes: %s", io, disk->block_bytes,
		     cqe->res < 0 ? strerror(-cqe->res) : "short");
	io_uring_cqe_seen(&disk->ring, cqe);
	return io;
}

void disk_run(struct disk *disk, bool write, unsigned ios, uint64_t seed)
{
	unsigned submitted = 0;

	assert(ios && !(ios & (ios - 1)));
	for (; submitted < disk->depth && submitted < ios; submitted++)
		io_submit(disk, write, submitted, ios);
	for (unsigned done = 0; done < ios;) {
		int rc = io_uring_submit_and_wait(&disk->ring, 1);

		if (rc < 0) {
			errno = -rc;
			err(1, "io_uring_enter");
		}
		for (unsigned n = io_uring_cq_ready(&disk->ring); n; n--) {
			unsigned io = io_reap(disk);

			if (seed)
				slot_compare(disk, io % disk->depth, io, seed);
			done++;
			if (io + disk->depth < ios)
				io_submit(disk, write, io + disk->depth, ios);
		}
	}
}
