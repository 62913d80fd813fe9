/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <err.h>
#include <errno.h>
#include <string.h>

#include "base/regbuf.h"

static const char *const mode_names[] = { "premapped", "fixed", "plain" };
static const char *const shape_names[] = { "4k", "16k", "128k", "46x1448" };
static const uint32_t shape_bytes[] = { 4096, 16384, 131072, 65536 };

const char *load_mode_name(enum load_mode mode)
{
	return mode_names[mode];
}

const char *load_shape_name(enum load_shape shape)
{
	return shape_names[shape];
}

unsigned load_shape_pieces(enum load_shape shape, struct iovec *pieces)
{
	uint32_t left_bytes = shape_bytes[shape];
	unsigned nr = 0;

	if (shape != SHAPE_FRAGMENTS) {
		pieces[0] = (struct iovec){ .iov_base = NULL, .iov_len = left_bytes };
		return 1;
	}
	while (left_bytes) {
		uint32_t len_bytes = left_bytes < FRAGMENT_BYTES ? left_bytes : FRAGMENT_BYTES;

		pieces[nr].iov_base = (void *)((uintptr_t)nr * FRAGMENT_STRIDE_BYTES);
		pieces[nr++].iov_len = len_bytes;
		left_bytes -= len_bytes;
	}
	return nr;
}

/* Where a slot begins, as this mode's requests say it: a premapped buffer is addressed by offset. */
static uintptr_t slot_address(const struct load *load, unsigned slot)
{
	uintptr_t base = load->mode == MODE_PREMAPPED ? 0 : (uintptr_t)load->mem->base;

	return base + (uintptr_t)slot * MEMORY_SLOT_BYTES;
}

static void dmabuf_register(struct load *load, int disk_fd)
{
	const struct regbuf_desc desc = {
		.type = REGBUF_DMABUF,
		.dmabuf_fd = load->mem->dmabuf_fd,
		.target_fd = disk_fd,
	};
	int rc = io_uring_register_buffers_sparse(&load->ring, 1);

	if (!rc)
		rc = regbuf_update(&load->ring, 0, &desc);
	if (rc) {
		errno = -rc;
		err(1, "cannot register the dma-buf: does this kernel carry the patches?");
	}
}

static void fixed_register(struct load *load)
{
	struct iovec all = { .iov_base = load->mem->base, .iov_len = load->mem->len_bytes };
	int rc = io_uring_register_buffers(&load->ring, &all, 1);

	if (rc) {
		errno = -rc;
		err(1, "cannot register the memory as a fixed buffer");
	}
}

/* The fragments of each slot never change. */
static void vecs_fill(struct load *load)
{
	unsigned slot, i, nr;

	for (slot = 0; slot < load->depth; slot++) {
		nr = load_shape_pieces(SHAPE_FRAGMENTS, load->vecs[slot]);
		for (i = 0; i < nr; i++)
			load->vecs[slot][i].iov_base =
				(void *)(slot_address(load, slot) +
					 (uintptr_t)load->vecs[slot][i].iov_base);
	}
}

void load_open(struct load *load, enum load_mode mode, const struct memory *mem, int disk_fd,
	       unsigned depth)
{
	int rc;

	load->mode = mode;
	load->mem = mem;
	load->depth = depth;
	rc = io_uring_queue_init(depth, &load->ring,
				 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (!rc)
		rc = io_uring_register_files(&load->ring, &disk_fd, 1);
	if (rc) {
		errno = -rc;
		err(1, "cannot set up a ring of %u entries", depth);
	}
	if (mode == MODE_PREMAPPED)
		dmabuf_register(load, disk_fd);
	else if (mode == MODE_FIXED)
		fixed_register(load);
	vecs_fill(load);
}

void load_close(struct load *load)
{
	io_uring_queue_exit(&load->ring);
}

static void fragments_prep(struct load *load, struct io_uring_sqe *sqe, bool write, unsigned slot,
			   uint64_t disk_bytes)
{
	struct iovec *vec = load->vecs[slot];

	if (load->mode == MODE_PLAIN && write)
		io_uring_prep_writev(sqe, 0, vec, FRAGMENTS, disk_bytes);
	else if (load->mode == MODE_PLAIN)
		io_uring_prep_readv(sqe, 0, vec, FRAGMENTS, disk_bytes);
	else if (write)
		io_uring_prep_writev_fixed(sqe, 0, vec, FRAGMENTS, disk_bytes, 0, 0);
	else
		io_uring_prep_readv_fixed(sqe, 0, vec, FRAGMENTS, disk_bytes, 0, 0);
}

static void whole_prep(struct load *load, struct io_uring_sqe *sqe, const struct load_row *row,
		       unsigned slot, uint64_t disk_bytes)
{
	void *addr = (void *)slot_address(load, slot);
	uint32_t len_bytes = shape_bytes[row->shape];

	if (load->mode == MODE_PLAIN && row->write)
		io_uring_prep_write(sqe, 0, addr, len_bytes, disk_bytes);
	else if (load->mode == MODE_PLAIN)
		io_uring_prep_read(sqe, 0, addr, len_bytes, disk_bytes);
	else if (row->write)
		io_uring_prep_write_fixed(sqe, 0, addr, len_bytes, disk_bytes, 0);
	else
		io_uring_prep_read_fixed(sqe, 0, addr, len_bytes, disk_bytes, 0);
}

static void io_prep(struct load *load, const struct load_row *row, unsigned slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&load->ring);
	uint64_t disk_bytes = (uint64_t)slot * MEMORY_SLOT_BYTES;

	if (row->shape == SHAPE_FRAGMENTS)
		fragments_prep(load, sqe, row->write, slot, disk_bytes);
	else
		whole_prep(load, sqe, row, slot, disk_bytes);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, slot);
}

/* Checks one completion and returns its slot, which is free then. */
static unsigned io_reap(struct load *load, const struct load_row *row)
{
	struct io_uring_cqe *cqe;
	unsigned slot;

	if (io_uring_peek_cqe(&load->ring, &cqe))
		errx(1, "fewer completions than waited for");
	if (cqe->res != (int)shape_bytes[row->shape])
		errx(1, "%s %s of %s: %s", mode_names[row->mode], row->write ? "write" : "read",
		     shape_names[row->shape], cqe->res < 0 ? strerror(-cqe->res) : "short");
	slot = (unsigned)cqe->user_data;
	io_uring_cqe_seen(&load->ring, cqe);
	return slot;
}

void load_run(struct load *load, const struct load_row *row, unsigned ios)
{
	unsigned batch = load->depth / 4 ? load->depth / 4 : 1;
	unsigned submitted = 0, done = 0, wait, i, slot;
	int rc;

	while (submitted < load->depth && submitted < ios)
		io_prep(load, row, submitted++);
	while (done < ios) {
		wait = ios - done < batch ? ios - done : batch;
		rc = io_uring_submit_and_wait(&load->ring, wait);
		if (rc < 0) {
			errno = -rc;
			err(1, "io_uring_enter");
		}
		for (i = 0; i < wait; i++) {
			slot = io_reap(load, row);
			done++;
			if (submitted < ios) {
				io_prep(load, row, slot);
				submitted++;
			}
		}
	}
}
