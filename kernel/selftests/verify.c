/* SPDX-License-Identifier: GPL-2.0-only */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selftest.h"
#include "verify.h"

enum {
	POISON_DISK = 0xee,	/* on the disk, where a write has to land, and around it */
	POISON_BUFFER = 0xa5,	/* in the dma-buf, where a read has to land, and around it */
	POISON_CHECK = 0x11,	/* in ordinary memory before the control reads */
};

void verify_init(struct verify *verify, struct ring *ring, const struct disk *disk,
		 const struct buffer *buffer, size_t len_max)
{
	size_t len = len_max + 2 * disk->limits.block_len;

	*verify = (struct verify){ .ring = ring, .disk = disk, .buffer = buffer, .fd = disk->fd,
				   .len_max = len_max };
	verify->image = plain_alloc(buffer->len);
	verify->want = plain_alloc(len);
	verify->got = plain_alloc(len);
}

void verify_fini(struct verify *verify)
{
	free(verify->image);
	free(verify->want);
	free(verify->got);
}

static size_t place(const struct iovec *fragment)
{
	return (size_t)(uintptr_t)fragment->iov_base;
}

static size_t transfer_len(const struct transfer *transfer)
{
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < transfer->nr; i++)
		len += transfer->fragments[i].iov_len;
	return len;
}

static long transfer_run(struct verify *verify, const struct transfer *transfer, bool write)
{
	struct request req = { .sqe_flags = verify->sqe_flags, .slot = verify->slot,
			       .fd = verify->fd, .off = transfer->off };

	if (transfer->vectored) {
		req.opcode = write ? OP_WRITEV_FIXED : OP_READV_FIXED;
		req.addr = (uintptr_t)transfer->fragments;
		req.len = transfer->nr;
	} else {
		req.opcode = write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
		req.addr = place(transfer->fragments);
		req.len = (uint32_t)transfer->fragments[0].iov_len;
	}
	return ring_io_again(verify->ring, &req);
}

/*
 * The parts of the dma-buf that no fragment covers must be as in the image, whatever became of
 * it.
 */
static size_t outside_wrong(const struct verify *verify, const struct transfer *transfer)
{
	unsigned int i;

	for (i = 0; i < transfer->nr; i++) {
		const struct iovec *fragment = &transfer->fragments[i];

		memcpy(verify->image + place(fragment), verify->buffer->mem + place(fragment),
		       fragment->iov_len);
	}
	return bytes_differ(verify->buffer->mem, verify->image, verify->buffer->len);
}

struct outcome verify_write(struct verify *verify, const struct transfer *transfer)
{
	unsigned int guard = verify->disk->limits.block_len, i;
	const struct buffer *buffer = verify->buffer;
	struct outcome out = { .len = transfer_len(transfer) };
	size_t all = out.len + 2 * guard;
	uint8_t *want = verify->want + guard;

	assert(out.len <= verify->len_max && transfer->off >= guard);
	memset(verify->want, POISON_DISK, all);
	disk_write(verify->disk, verify->want, all, transfer->off - guard);
	buffer_cpu_begin(buffer);
	memset(buffer->mem, POISON_BUFFER, buffer->len);
	for (i = 0; i < transfer->nr; i++)
		random_fill(buffer->mem + place(&transfer->fragments[i]),
			    transfer->fragments[i].iov_len);
	memcpy(verify->image, buffer->mem, buffer->len);
	buffer_cpu_end(buffer);
	for (i = 0; i < transfer->nr; i++) {
		const struct iovec *fragment = &transfer->fragments[i];

		memcpy(want, verify->image + place(fragment), fragment->iov_len);
		want += fragment->iov_len;
	}

	out.res = transfer_run(verify, transfer, true);

	memset(verify->got, POISON_CHECK, all);
	disk_read(verify->disk, verify->got, all, transfer->off - guard);
	if (out.res == (long)out.len)
		out.disk_wrong = bytes_differ(verify->got, verify->want, all);
	else
		out.disk_wrong = bytes_differ(verify->got, verify->want, guard) +
			bytes_differ(verify->got + guard + out.len,
				     verify->want + guard + out.len, guard);
	buffer_cpu_begin(buffer);
	out.buffer_wrong = bytes_differ(buffer->mem, verify->image, buffer->len);
	buffer_cpu_end(buffer);
	return out;
}

struct outcome verify_read(struct verify *verify, const struct transfer *transfer)
{
	const struct buffer *buffer = verify->buffer;
	struct outcome out = { .len = transfer_len(transfer) };
	const uint8_t *from = verify->want;
	unsigned int i;

	assert(out.len <= verify->len_max);
	random_fill(verify->want, out.len);
	disk_write(verify->disk, verify->want, out.len, transfer->off);
	buffer_cpu_begin(buffer);
	memset(buffer->mem, POISON_BUFFER, buffer->len);
	buffer_cpu_end(buffer);
	memset(verify->image, POISON_BUFFER, buffer->len);
	for (i = 0; i < transfer->nr; i++) {
		const struct iovec *fragment = &transfer->fragments[i];

		memcpy(verify->image + place(fragment), from, fragment->iov_len);
		from += fragment->iov_len;
	}

	out.res = transfer_run(verify, transfer, false);

	buffer_cpu_begin(buffer);
	if (out.res == (long)out.len)
		out.buffer_wrong = bytes_differ(buffer->mem, verify->image, buffer->len);
	else
		out.buffer_wrong = outside_wrong(verify, transfer);
	buffer_cpu_end(buffer);
	memset(verify->got, POISON_CHECK, out.len);
	disk_read(verify->disk, verify->got, out.len, transfer->off);
	out.disk_wrong = bytes_differ(verify->got, verify->want, out.len);
	return out;
}

static bool outcome_check(const struct outcome *out, const char *direction, long wanted,
			  const char *name)
{
	bool passed = out->res == wanted && !out->disk_wrong && !out->buffer_wrong;

	if (passed)
		return check(true, "%s %s: %s", name, direction, result_text(out->res));
	return check(false, "%s %s: %s, wanted %s; wrong bytes on the disk %zu, in the dma-buf %zu",
		     name, direction, result_text(out->res), result_text(wanted), out->disk_wrong,
		     out->buffer_wrong);
}

bool check_write(struct verify *verify, const struct transfer *transfer, const char *name)
{
	struct outcome out = verify_write(verify, transfer);

	return outcome_check(&out, "write", (long)out.len, name);
}

bool check_read(struct verify *verify, const struct transfer *transfer, const char *name)
{
	struct outcome out = verify_read(verify, transfer);

	return outcome_check(&out, "read", (long)out.len, name);
}

bool check_refused(struct verify *verify, const struct transfer *transfer, int error,
		   const char *name)
{
	struct outcome out = verify_write(verify, transfer);
	bool passed = outcome_check(&out, "write", error, name);

	out = verify_read(verify, transfer);
	return outcome_check(&out, "read", error, name) && passed;
}

bool check_range(struct verify *verify, uint64_t buffer_off, size_t len, uint64_t off,
		 const char *name)
{
	struct iovec whole = fragment(buffer_off, len);
	struct transfer transfer = { .fragments = &whole, .nr = 1, .off = off };
	bool passed = check_write(verify, &transfer, name);

	return check_read(verify, &transfer, name) && passed;
}
