/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every shape of a request, on each kind of memory, each direction alone, every byte compared.
 *
 * What has to be refused follows from the queue's limits: a controller without SGLs takes no gap
 * but between whole blocks, and so many fragments that a command cannot hold a block are refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftest.h"
#include "verify.h"

#define KIB 1024U
#define MIB (1024U * KIB)
#define SMALL_LEN (4 * MIB)	/* of the dma-buf that most shapes use: all of it is compared */
#define LARGE_LEN (10 * MIB)
#define TRANSFER_MAX (8 * MIB)
#define FRAGMENTS_MAX 1024U	/* IOV_MAX */
#define RANDOM_LISTS 20U

enum {
	SLOT_SMALL,
	SLOT_LARGE,
	SLOTS,
};

enum shape_kind {
	PLAIN,
	FORWARD,
	REVERSE,
	REPEATED,	/* the same fragment over and over: to the disk only */
};

/* Fragments of `len` bytes, `stride` apart, `total` bytes of them; the last may be shorter. */
struct shape {
	const char *name;
	enum shape_kind kind;
	uint64_t start;
	uint32_t len;
	uint32_t stride;
	uint32_t total;
};

static const struct shape shapes[] = {
	{ "512 B", PLAIN, 0, 512, 0, 512 },
	{ "512 B at 512", PLAIN, 512, 512, 0, 512 },
	{ "512 B at 4", PLAIN, 4, 512, 0, 512 },
	{ "512 B over a page's end", PLAIN, 4096 - 4, 512, 0, 512 },
	{ "4 KiB", PLAIN, 0, 4096, 0, 4096 },
	{ "4 KiB at 2 KiB", PLAIN, 2048, 4096, 0, 4096 },
	{ "4 KiB, the last", PLAIN, SMALL_LEN - 4096, 4096, 0, 4096 },
	{ "4 KiB over 2 MiB", PLAIN, 2 * MIB - 2048, 4096, 0, 4096 },
	{ "16 KiB", PLAIN, 4096, 16 * KIB, 0, 16 * KIB },
	{ "64 KiB", PLAIN, 12 * KIB, 64 * KIB, 0, 64 * KIB },
	{ "64 KiB at 4", PLAIN, 4, 64 * KIB, 0, 64 * KIB },
	{ "128 KiB + 512 B", PLAIN, 4096, 128 * KIB + 512, 0, 128 * KIB + 512 },
	{ "512 KiB", PLAIN, 0, 512 * KIB, 0, 512 * KIB },
	{ "512 KiB + 512 B at 4", PLAIN, 4, 512 * KIB + 512, 0, 512 * KIB + 512 },
	{ "1 MiB at 4 KiB", PLAIN, 4096, 1 * MIB, 0, 1 * MIB },
	{ "3 MiB at 4", PLAIN, 4, 3 * MIB, 0, 3 * MIB },
	{ "8 MiB", PLAIN, 0, 8 * MIB, 0, 8 * MIB },
	{ "8 MiB at 4", PLAIN, 4, 8 * MIB, 0, 8 * MIB },
	{ "8 MiB - 512 B at 512", PLAIN, 512, 8 * MIB - 512, 0, 8 * MIB - 512 },

	{ "1 x 512 B", FORWARD, 0, 512, 512, 512 },
	{ "1 x 64 KiB at 4", FORWARD, 4, 64 * KIB, 64 * KIB, 64 * KIB },
	{ "4 B + 508 B", FORWARD, 0, 508, 4096, 512 },
	{ "3 fragments a block", FORWARD, 0, 172, 4096, 512 },
	{ "3 fragments a block, two blocks", FORWARD, 8, 344, 1000, 1024 },
	{ "128 x 4 B", FORWARD, 0, 4, 64, 512 },
	{ "128 x 4 B packed", FORWARD, 4, 4, 4, 512 },
	{ "128 x 4 B packed, reverse", REVERSE, 0, 4, 4, 512 },
	{ "16 x 4 KiB", FORWARD, 0, 4096, 8192, 64 * KIB },
	{ "16 x 4 KiB, reverse", REVERSE, 0, 4096, 8192, 64 * KIB },
	{ "16 x 4 KiB at 4", FORWARD, 4, 4096, 8192, 64 * KIB },
	{ "16 x 4 KiB at 2 KiB", FORWARD, 2048, 4096, 8192, 64 * KIB },
	{ "16 x 4 KiB packed", FORWARD, 4096, 4096, 4096, 64 * KIB },
	{ "46 x 1448 B packed", FORWARD, 0, 1448, 1448, 64 * KIB },
	{ "46 x 1448 B", FORWARD, 0, 1448, 4096, 64 * KIB },
	{ "46 x 1448 B, reverse", REVERSE, 0, 1448, 4096, 64 * KIB },
	{ "46 x 1448 B at 4", FORWARD, 4, 1448, 4096, 64 * KIB },
	{ "46 x 1448 B over pages' ends", FORWARD, 3000, 1448, 4096, 64 * KIB },
	{ "91 x 1448 B", FORWARD, 0, 1448, 4096, 128 * KIB },
	{ "256 x 512 B packed, reverse", REVERSE, 0, 512, 512, 128 * KIB },
	{ "363 x 1448 B", FORWARD, 0, 1448, 4096, 512 * KIB },
	{ "363 x 1448 B at 4", FORWARD, 4, 1448, 4096, 512 * KIB },
	{ "363 x 1448 B packed at 4", FORWARD, 4, 1448, 1448, 512 * KIB },
	{ "363 x 1448 B packed, reverse", REVERSE, 0, 1448, 1448, 512 * KIB },
	{ "1024 x 512 B", FORWARD, 0, 512, 1024, 512 * KIB },
	{ "1024 x 1448 B", FORWARD, 0, 1448, 2048, 1024 * 1448 },
	{ "512 x 4 KiB", FORWARD, 0, 4096, 12 * KIB, 2 * MIB },
	{ "1024 x 4 KiB packed at 4", FORWARD, 4, 4096, 4096, 4 * MIB },
	{ "1024 x 8 KiB, reverse", REVERSE, 0, 8192, 8192, 8 * MIB },
	{ "4 x 2 MiB at 4, reverse", REVERSE, 4, 2 * MIB, 2 * MIB, 8 * MIB },
	{ "3 x 1 MiB over 2 MiB", FORWARD, 3 * MIB / 2, 1 * MIB, 2 * MIB, 3 * MIB },
	{ "16 x the same 4 KiB", REPEATED, 8192, 4096, 0, 64 * KIB },
	{ "46 x the same 1448 B", REPEATED, 4, 1448, 0, 64 * KIB },
};

static struct disk disk;
static struct ring ring;
static struct verify small, large;
static struct iovec fragments[FRAGMENTS_MAX];
static unsigned int turn;

/* Fills `fragments`; how many. */
static unsigned int shape_fragments(const struct shape *shape)
{
	uint32_t left = shape->total;
	unsigned int nr = 0, i;

	for (nr = 0; left; nr++) {
		uint32_t len = shape->len < left ? shape->len : left;

		if (nr == FRAGMENTS_MAX)
			fatal("%s: more fragments than a request may have", shape->name);
		fragments[nr] = fragment(shape->start + (uint64_t)nr * shape->stride, len);
		left -= len;
	}
	for (i = 0; shape->kind == REVERSE && i < nr / 2; i++) {
		struct iovec swap = fragments[i];

		fragments[i] = fragments[nr - 1 - i];
		fragments[nr - 1 - i] = swap;
	}
	return nr;
}

static uint64_t place(unsigned int i)
{
	return (uintptr_t)fragments[i].iov_base;
}

/* Whether a command without SGLs cannot go on from one fragment to the next. */
static bool gap_after(unsigned int i)
{
	uint64_t end = place(i) + fragments[i].iov_len, next = place(i + 1);

	return end != next && (end | next) & (disk.limits.boundary - 1);
}

/*
 * The bytes that the next command takes from fragment `first` on, of which `done` are taken
 * already.
 */
static uint64_t command_len(unsigned int nr, unsigned int first, uint64_t done)
{
	const struct disk_limits *limits = &disk.limits;
	unsigned int segments = 0, i;
	uint64_t len = 0;

	for (i = first; i < nr; i++) {
		bool joined = i > first && place(i - 1) + fragments[i - 1].iov_len == place(i);

		if (!joined && ((i > first && limits->boundary && gap_after(i - 1)) ||
				segments++ == limits->segments_max))
			break;
		len += fragments[i].iov_len;
	}
	/* What is split is split between blocks. */
	return i < nr ? (len - done) / limits->block_len * limits->block_len : len - done;
}

/*
 * 0, or the error with which the request must end: a command that cannot hold a block. Limits of
 * bytes are left out, since they are large against a block.
 */
static int expected_error(unsigned int nr)
{
	unsigned int i = 0;
	uint64_t done = 0;

	while (i < nr) {
		uint64_t len = command_len(nr, i, done);

		if (!len)
			return -EINVAL;
		for (done += len; i < nr && done >= fragments[i].iov_len; i++)
			done -= fragments[i].iov_len;
	}
	return 0;
}

static void list_check(struct verify *verify, unsigned int nr, bool vectored, bool write_only,
		       const char *name)
{
	/* Requests go to places of all alignments, some of them the same again. */
	uint64_t off = (uint64_t)disk.limits.block_len * (8 + 61 * (turn++ % 100));
	struct transfer transfer = { .fragments = fragments, .nr = nr, .vectored = vectored,
				     .off = off };
	int error = vectored ? expected_error(nr) : 0;

	if (error) {
		check_refused(verify, &transfer, error, name);
		return;
	}
	check_write(verify, &transfer, name);
	if (!write_only)
		check_read(verify, &transfer, name);
}

static void shape_check(const struct shape *shape)
{
	unsigned int nr;
	uint64_t end;

	if (shape->total % disk.limits.block_len)
		return;
	nr = shape_fragments(shape);
	end = place(shape->kind == REVERSE ? 0 : nr - 1) + shape->len;
	list_check(end <= SMALL_LEN ? &small : &large, nr, shape->kind != PLAIN,
		   shape->kind == REPEATED, shape->name);
}

/*
 * Lengths that are multiples of a dword, half of them followed by a gap, in order or not; the
 * total is cut to whole blocks. The shortest is long enough that the segments of a command hold a
 * block.
 */
static void random_list(struct verify *verify, unsigned int nr_max, size_t total_max,
			size_t len_max, bool shuffled, const char *name)
{
	uint32_t block = disk.limits.block_len, unit = disk.limits.alignment;
	uint64_t pos = (uint64_t)unit * random_below(1000);
	size_t total = 0, cut;
	unsigned int nr = 0, i;

	while (nr < nr_max) {
		size_t len = block / 8 + (size_t)unit * random_below((uint32_t)(len_max / unit));

		if (pos + len > verify->buffer->len || total + len > total_max)
			break;
		fragments[nr++] = fragment(pos, len);
		total += len;
		pos += len + (random_below(2) ? (uint64_t)unit * random_below(2000) : 0);
	}
	for (cut = total % block; cut && cut >= fragments[nr - 1].iov_len; nr--)
		cut -= fragments[nr - 1].iov_len;
	fragments[nr - 1].iov_len -= cut;
	for (i = nr - 1; shuffled && i > 0; i--) {
		unsigned int j = random_below(i + 1);
		struct iovec swap = fragments[i];

		fragments[i] = fragments[j];
		fragments[j] = swap;
	}
	list_check(verify, nr, true, false, name);
}

static void random_lists(void)
{
	char name[64];
	unsigned int i;

	for (i = 0; i < RANDOM_LISTS; i++) {
		unsigned int nr_max = 2U << (i % 10);
		bool shuffled = i & 1;

		random_seed(i + 1);
		snprintf(name, sizeof(name), "random list %u, at most %u fragments%s", i, nr_max,
			 shuffled ? ", shuffled" : "");
		if (i % 4)
			random_list(&small, nr_max, 2 * MIB, 6000, shuffled, name);
		else
			random_list(&large, nr_max, TRANSFER_MAX, 24000, shuffled, name);
	}
}

static bool buffer_make(struct buffer *buffer, enum buffer_kind kind, size_t len)
{
	int rc = buffer_open(buffer, kind, len);

	if (rc)
		skip_one("%s: %zu bytes: %s", buffer_kind_name(kind), len, result_text(rc));
	return !rc;
}

static void kind_check(enum buffer_kind kind)
{
	struct buffer small_buffer, large_buffer;
	unsigned int i;

	section("%s", buffer_kind_name(kind));
	if (!buffer_make(&small_buffer, kind, SMALL_LEN))
		return;
	if (!buffer_make(&large_buffer, kind, LARGE_LEN)) {
		buffer_close(&small_buffer);
		return;
	}
	check_eq(ring_register_dmabuf(&ring, SLOT_SMALL, small_buffer.fd, disk.fd), 1, "register");
	check_eq(ring_register_dmabuf(&ring, SLOT_LARGE, large_buffer.fd, disk.fd), 1, "register");
	verify_init(&small, &ring, &disk, &small_buffer, SMALL_LEN);
	verify_init(&large, &ring, &disk, &large_buffer, TRANSFER_MAX);
	large.slot = SLOT_LARGE;
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		shape_check(&shapes[i]);
	random_lists();
	verify_fini(&small);
	verify_fini(&large);
	check_eq(ring_clear(&ring, SLOT_SMALL), 1, "unregister");
	check_eq(ring_clear(&ring, SLOT_LARGE), 1, "unregister");
	buffer_close(&small_buffer);
	buffer_close(&large_buffer);
}

int main(int argc, char **argv)
{
	const struct disk_limits *limits = &disk.limits;
	char domain[32];
	int kind, rc;

	selftest_start();
	if (argc != 2) {
		fprintf(stderr, "usage: shapes DEVICE\n\n"
			"DEVICE: an NVMe block device, or one that is made of such, whose content\n"
			"is destroyed.\n");
		return 2;
	}
	ring_require_dmabuf();
	disk_open(&disk, argv[1]);
	disk_domain_type(&disk, domain, sizeof(domain));
	note("blocks of %u, fragments of multiples of %u, %u segments and %u KiB a command, %s; "
	     "IOMMU: %s",
	     limits->block_len, limits->alignment, limits->segments_max,
	     limits->command_len_max / KIB, limits->boundary ? "no SGL" : "SGL", domain);
	rc = ring_open(&ring, 8, 0);
	if (!rc)
		rc = ring_table(&ring, SLOTS);
	if (rc)
		fatal("set-up: %s", result_text(rc));
	for (kind = 0; kind < BUFFER_KINDS; kind++)
		kind_check(kind);
	ring_close(&ring);
	disk_close(&disk);
	return selftest_end();
}
