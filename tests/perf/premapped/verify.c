/* SPDX-License-Identifier: BSD-3-Clause */
#include "verify.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Slots that are compared: all run the same code, and emulated processors compare slowly. */
enum { VERIFY_SLOTS = 4 };

/* Words that tell place and round apart, so that data of another slot or of before is noticed. */
static void pattern_fill(unsigned char *buf, size_t len_bytes, uint32_t round)
{
	uint32_t word = round;
	size_t i;

	for (i = 0; i < len_bytes; i += sizeof(word)) {
		word = word * 1664525u + 1013904223u;
		memcpy(buf + i, &word, sizeof(word));
	}
}

static unsigned slots(const struct load *load)
{
	return load->depth < VERIFY_SLOTS ? load->depth : VERIFY_SLOTS;
}

static void disk_write(int fd, const unsigned char *buf, size_t len_bytes)
{
	if (pwrite(fd, buf, len_bytes, 0) != (ssize_t)len_bytes)
		err(1, "the disk cannot be filled with %zu bytes for comparing", len_bytes);
}

static void disk_read(int fd, unsigned char *buf, size_t len_bytes)
{
	if (pread(fd, buf, len_bytes, 0) != (ssize_t)len_bytes)
		err(1, "%zu bytes of the disk cannot be read for comparing", len_bytes);
}

/*
 * Moves, in ordinary memory, what the row's I/Os have to: between `from` and `to`, the pieces of each
 * slot on one side, joined at the slot's start on the other (the disk).
 */
static void pieces_move(const struct load *load, const struct load_row *row, unsigned char *to,
			const unsigned char *from)
{
	struct iovec pieces[FRAGMENTS];
	unsigned nr = load_shape_pieces(row->shape, pieces);
	unsigned slot, i;

	for (slot = 0; slot < slots(load); slot++) {
		size_t start_bytes = (size_t)slot * MEMORY_SLOT_BYTES, joined_bytes = start_bytes;

		for (i = 0; i < nr; i++) {
			size_t apart_bytes = start_bytes + (uintptr_t)pieces[i].iov_base;

			if (row->write)
				memcpy(to + joined_bytes, from + apart_bytes, pieces[i].iov_len);
			else
				memcpy(to + apart_bytes, from + joined_bytes, pieces[i].iov_len);
			joined_bytes += pieces[i].iov_len;
		}
	}
}

static void compare(const struct load_row *row, const char *what, const unsigned char *want,
		    const unsigned char *got, size_t len_bytes)
{
	size_t i;

	if (memcmp(want, got, len_bytes) == 0)
		return;
	for (i = 0; want[i] == got[i]; i++)
		;
	errx(1, "%s %s of %s: wrong data in %s at byte %zu", load_mode_name(row->mode),
	     row->write ? "write" : "read", load_shape_name(row->shape), what, i);
}

static unsigned char *buffer_create(size_t len_bytes)
{
	void *buf;

	if (posix_memalign(&buf, 4096, len_bytes))
		errx(1, "no memory for %zu bytes", len_bytes);
	return buf;
}

void verify_row(struct load *load, const struct load_row *row, int witness_fd)
{
	static uint32_t round;
	size_t len_bytes = (size_t)slots(load) * MEMORY_SLOT_BYTES;
	unsigned char *mem = load->mem->base;
	unsigned char *disk = buffer_create(len_bytes);
	unsigned char *want_disk = buffer_create(len_bytes);
	unsigned char *want_mem = buffer_create(len_bytes);

	pattern_fill(disk, len_bytes, ++round);
	disk_write(witness_fd, disk, len_bytes);
	pattern_fill(mem, len_bytes, ++round);
	memcpy(want_disk, disk, len_bytes);
	memcpy(want_mem, mem, len_bytes);
	if (row->write)
		pieces_move(load, row, want_disk, mem);
	else
		pieces_move(load, row, want_mem, disk);

	load_run(load, row, slots(load));

	disk_read(witness_fd, disk, len_bytes);
	compare(row, "memory", want_mem, mem, len_bytes);
	compare(row, "the disk", want_disk, disk, len_bytes);
	free(disk);
	free(want_disk);
	free(want_mem);
}
