/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A dma-buf registered for a block device that is made of others. What the device is, and what happens
 * to its parts, is up to who runs this:
 *
 *   stacking works DEVICE PARTS	it can be registered, is mapped for PARTS devices then, and moves
 *					right data in every shape
 *   stacking aligned DEVICE PARTS	the same in the shapes that fit the alignment that it asks for
 *   stacking refused DEVICE		registration is -EINVAL
 *   stacking load DEVICE		verified I/O until standard input ends; "running" is printed
 *					when it is under way, and "moved" for each line that is read,
 *					after the exporter has moved the memory
 *   stacking survive DEVICE		the same, where I/O may fail but never move wrong data
 *   stacking idle DEVICE		no I/O but that after each move, which has to work
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffers.h"
#include "disk.h"
#include "exporter.h"
#include "load.h"
#include "ring.h"
#include "selftest.h"
#include "verify.h"

enum {
	BUFFER_LEN = 8 << 20,
	LANE_LEN = 32 << 10,
	LEN_MAX = 1 << 20,
	FRAGMENTS = 512,
	SEAM = 1 << 20,		/* chunks of stripes are shorter, so this is a seam of every kind */
	ROUNDS = 4,
	PROGRESS = 128,
	SURVIVE_MS = 1000,	/* for I/O that may fail, which makes no progress to wait for */
};

struct shape {
	const char *name;
	unsigned int start;	/* of the first fragment in the dma-buf */
	unsigned int len;	/* of a fragment */
	unsigned int stride;	/* from one to the next */
	unsigned int total;
};

static const struct shape shapes[] = {
	{ "one block", 0, 512, 512, 512 },
	{ "4 KiB pages", 4096, 4096, 8192, 65536 },
	{ "dword offset", 4, 4096, 8192, 65536 },
	{ "1448 packed", 0, 1448, 1448, 65536 },
	{ "1448 at dword offset", 4, 1448, 4096, 131072 },
	{ "2 KiB with gaps", 2048, 2048, 4096, LEN_MAX },
	{ "1 MiB", 4096, LEN_MAX, LEN_MAX, LEN_MAX },
	{ "1 MiB at dword offset", 4, LEN_MAX, LEN_MAX, LEN_MAX },
};

static void check_shape(struct verify *verify, const struct shape *shape, uint64_t off)
{
	static struct iovec fragments[FRAGMENTS];
	struct transfer transfer = { .fragments = fragments, .off = off };
	unsigned int left = shape->total, pos = shape->start;

	for (; left; transfer.nr++, pos += shape->stride) {
		unsigned int len = shape->len < left ? shape->len : left;

		fragments[transfer.nr] = fragment(pos, len);
		left -= len;
	}
	transfer.vectored = transfer.nr > 1;
	check_write(verify, &transfer, shape->name);
	check_read(verify, &transfer, shape->name);
}

static bool is_aligned(const struct disk *disk, const struct shape *shape)
{
	unsigned int all = shape->start | shape->len | shape->stride;

	return all % disk->limits.alignment == 0;
}

/* With gaps that are not between whole blocks a controller without SGLs has no way to move it. */
static bool is_possible(const struct disk *disk, const struct shape *shape)
{
	return !disk->limits.boundary || shape->len == shape->total ||
		(shape->len % disk->limits.block_len == 0 && shape->start % 4096 == 0 &&
		 shape->len % 4096 == 0);
}

static void shapes_check(struct ring *ring, const struct disk *disk, const struct buffer *buffer,
			 bool aligned)
{
	struct verify verify;
	unsigned int i;

	verify_init(&verify, ring, disk, buffer, LEN_MAX);
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (!is_possible(disk, &shapes[i]) || (aligned && !is_aligned(disk, &shapes[i])))
			continue;
		check_shape(&verify, &shapes[i], 64 << 10);
		/* over where stripes, chunks and parts meet, whatever their length */
		check_shape(&verify, &shapes[i], SEAM - disk->limits.block_len);
		check_shape(&verify, &shapes[i], disk->len / 2 / 4096 * 4096 - 8192);
	}
	verify_fini(&verify);
}

static void load_setup(struct load *load, const struct disk *disk, const struct buffer *buffer)
{
	*load = (struct load){ .disk = disk, .buffer = buffer, .lane_len = LANE_LEN, .seed = 31 };
}

/* To map it for one part moves it away from where the others have it mapped. */
static void moves_in_map_check(struct ring *ring, const struct disk *disk,
			       const struct buffer *buffer, unsigned int parts)
{
	struct verify verify;

	exporter_map_move(buffer, parts, 0);
	if (!check_eq(ring_register_dmabuf(ring, 0, buffer->fd, disk->fd), 1,
		      "registration that moves the memory"))
		return;
	check_eq(exporter_stats(buffer).mappings, parts, "mappings after it");
	check_nothing_stale(buffer, "mappings after it");
	verify_init(&verify, ring, disk, buffer, LEN_MAX);
	check_range(&verify, 4096, LEN_MAX, 64 << 10, "moved when it was mapped, at the start");
	check_range(&verify, 4096, LEN_MAX, disk->len / 2 / 4096 * 4096 - LEN_MAX / 2,
		    "moved when it was mapped, in the middle");
	verify_fini(&verify);
	check_eq(ring_clear(ring, 0), 1, "unregistration");
	check_released(buffer, "moved when it was mapped");
}

static void works(const struct disk *disk, long parts, bool aligned)
{
	struct buffer buffer;
	struct ring ring;
	struct load load;
	int rc;

	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	rc = ring_open(&ring, 8, 0);
	if (!rc)
		rc = ring_table(&ring, 1);
	if (rc)
		fatal("a ring: %s", result_text(rc));
	if (check_eq(ring_register_dmabuf(&ring, 0, buffer.fd, disk->fd), 1, "registration")) {
		check_attachments(&buffer, (unsigned int)parts, "one for each part");
		shapes_check(&ring, disk, &buffer, aligned);
		check_eq(ring_clear(&ring, 0), 1, "unregistration");
		check_released(&buffer, "unregistered");
		moves_in_map_check(&ring, disk, &buffer, (unsigned int)parts);
		load_setup(&load, disk, &buffer);
		rc = load_open(&load);
		if (rc)
			fatal("a load: %s", result_text(rc));
		load_run(&load, ROUNDS);
		check_load(&load, "64 in flight");
		load_close(&load);
	}
	ring_close(&ring);
	check_released(&buffer, "at the end");
	buffer_close(&buffer);
}

/* A device that refuses dma-bufs has no limits for them, so that it is not opened as a disk. */
static void refused(const char *path)
{
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC), rc;
	struct buffer buffer;
	struct ring ring;

	if (fd < 0)
		fatal("%s: %s", path, result_text(-errno));

	exporter_buffer_open(&buffer, BUFFER_LEN, 0, O_RDWR);
	rc = ring_open(&ring, 8, 0);
	if (!rc)
		rc = ring_table(&ring, 1);
	if (rc)
		fatal("a ring: %s", result_text(rc));
	check_eq(ring_register_dmabuf(&ring, 0, buffer.fd, fd), -EINVAL, "registration");
	check_released(&buffer, "refused");
	ring_close(&ring);
	buffer_close(&buffer);
	close(fd);
}

/* Each line says that something has been done to the device, the end of the input that all has. */
static void events_follow(struct load *load, const struct buffer *buffer, bool may_fail)
{
	char line[64];

	printf("running\n");
	while (fgets(line, sizeof(line), stdin)) {
		int rc = exporter_move(buffer, 0);

		if (!check_eq(rc, 0, "move"))
			continue;
		if (may_fail)
			sleep_ms(SURVIVE_MS);
		else
			check(load_progress_wait(load, PROGRESS), "I/O goes on after: %s",
			      strtok(line, "\n"));
		printf("moved\n");
	}
}

/*
 * What has happened to the device is met first by a request with the dma-buf, each direction in turn:
 * no other I/O of this program tells the layers below.
 */
static void run_idle(const struct disk *disk)
{
	struct request req = { .fd = disk->fd, .len = LANE_LEN };
	struct buffer buffer;
	struct ring ring;
	char line[64];
	int rc;

	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	rc = ring_open(&ring, 8, 0);
	if (!rc)
		rc = ring_table(&ring, 1);
	if (rc)
		fatal("a ring: %s", result_text(rc));
	check_eq(ring_register_dmabuf(&ring, 0, buffer.fd, disk->fd), 1, "registration");
	printf("running\n");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		check_eq(exporter_move(&buffer, 0), 0, "move");
		req.opcode = IORING_OP_READ_FIXED;
		check_eq(ring_io_again(&ring, &req), LANE_LEN, "%s: read", line);
		req.opcode = IORING_OP_WRITE_FIXED;
		check_eq(ring_io_again(&ring, &req), LANE_LEN, "%s: write", line);
		printf("moved\n");
	}
	ring_close(&ring);
	check_released(&buffer, "at the end");
	buffer_close(&buffer);
}

static void run_load(const struct disk *disk, bool may_fail)
{
	struct buffer buffer;
	struct load load;
	int rc;

	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	load_setup(&load, disk, &buffer);
	rc = load_thread_start(&load);
	if (rc)
		fatal("a load: %s", result_text(rc));
	check(load_progress_wait(&load, PROGRESS), "I/O before anything happens");
	events_follow(&load, &buffer, may_fail);
	load_thread_join(&load);
	if (may_fail)
		check(!load.wrong && !load.hung, "%llu requests, %llu errors, the first %s; %llu "
		      "bytes wrong%s", (unsigned long long)load.requests,
		      (unsigned long long)(load.errors + load.errors_plain),
		      result_text(load.error), (unsigned long long)load.wrong,
		      load.hung ? "; a request hangs" : "");
	else
		check_load(&load, "load");
	load_close(&load);
	check_released(&buffer, "at the end");
	buffer_close(&buffer);
}

static int usage(void)
{
	fprintf(stderr, "usage: stacking works | aligned DEVICE PARTS\n"
		"       stacking refused | load | survive | idle DEVICE\n"
		"Destroys the content of the block device.\n");
	return 1;
}

int main(int argc, char **argv)
{
	struct disk disk;

	selftest_start();
	if (argc < 3 || argc > 4)
		return usage();
	ring_require_dmabuf();
	exporter_require();
	section("%s %s", argv[1], argv[2]);
	if (strcmp(argv[1], "refused") == 0) {
		refused(argv[2]);
		return selftest_end();
	}
	disk_open(&disk, argv[2]);
	if (argc == 4 && strcmp(argv[1], "works") == 0)
		works(&disk, strtol(argv[3], NULL, 10), false);
	else if (argc == 4 && strcmp(argv[1], "aligned") == 0)
		works(&disk, strtol(argv[3], NULL, 10), true);
	else if (strcmp(argv[1], "load") == 0)
		run_load(&disk, false);
	else if (strcmp(argv[1], "survive") == 0)
		run_load(&disk, true);
	else if (strcmp(argv[1], "idle") == 0)
		run_idle(&disk);
	else
		return usage();
	disk_close(&disk);
	return selftest_end();
}
