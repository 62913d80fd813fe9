/* SPDX-License-Identifier: BSD-3-Clause */
#include "disk.h"

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

/* Compares what was read, and makes it something else for the next time. */
static void slot_compare(const struct disk *disk, unsigned slot, unsigned block, uint64_t seed)
{
	uint64_t *buffer = buffer_of(disk, slot);

	for (uint32_t i = 0; i < disk->block_bytes / sizeof(uint64_t); i++)
		if (buffer[i] != pattern_word(seed, slot, i))
			errx(1, "block %u of %" PRIu32 " bytes is not what was written, from byte %zu on",
			     block, disk->block_bytes, i * sizeof(uint64_t));
	memset(buffer, 0, disk->block_bytes);
}

static void block_submit(struct disk *disk, bool write, unsigned block)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&disk->ring);
	void *buffer = buffer_of(disk, block % disk->depth);
	uint64_t offset = (uint64_t)block * disk->block_bytes;

	if (write)
		io_uring_prep_write(sqe, 0, buffer, disk->block_bytes, offset);
	else
		io_uring_prep_read(sqe, 0, buffer, disk->block_bytes, offset);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, block);
}

/* Returns the block that a completion is for. */
static unsigned block_reap(struct disk *disk)
{
	struct io_uring_cqe *cqe;
	unsigned block;

	if (io_uring_peek_cqe(&disk->ring, &cqe))
		errx(1, "fewer completions than waited for");
	block = (unsigned)cqe->user_data;
	if (cqe->res != (int)disk->block_bytes)
		errx(1, "block %u of %" PRIu32 " bytes: %s", block, disk->block_bytes,
		     cqe->res < 0 ? strerror(-cqe->res) : "short");
	io_uring_cqe_seen(&disk->ring, cqe);
	return block;
}

void disk_run(struct disk *disk, bool write, unsigned ios, uint64_t seed)
{
	unsigned submitted = 0;

	for (; submitted < disk->depth && submitted < ios; submitted++)
		block_submit(disk, write, submitted);
	for (unsigned done = 0; done < ios;) {
		int rc = io_uring_submit_and_wait(&disk->ring, 1);

		if (rc < 0) {
			errno = -rc;
			err(1, "io_uring_enter");
		}
		for (unsigned n = io_uring_cq_ready(&disk->ring); n; n--) {
			unsigned block = block_reap(disk);

			if (seed)
				slot_compare(disk, block % disk->depth, block, seed);
			done++;
			if (block + disk->depth < ios)
				block_submit(disk, write, block + disk->depth);
		}
	}
}
