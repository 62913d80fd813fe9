/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counts the IOMMU's mappings and unmappings and the NVMe commands of requests: none of the first
 * two with a dma-buf, one of each a command at least with ordinary fixed buffers, which are the
 * control and the proof that the counters count. The counters are histogram triggers, which lose
 * no event.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "selftest.h"
#include "verify.h"

#define KIB 1024U
#define BUFFER_LEN (8U << 20)
#define DISK_OFF (16U << 20)
#define EVENTS "/sys/kernel/tracing/events/"
#define RECORD_NAMES "/sys/kernel/tracing/options/record-cmd"
#define TRIGGER "hist:keys=common_type"
#define BATCHES 8U
#define IN_FLIGHT 16U
#define WARM_IN_FLIGHT 64U	/* more than the disk ever has at a time later */
#define REQUESTS (BATCHES * IN_FLIGHT)
#define FRAGMENTS_MAX 400U

enum {
	SLOT_DMABUF,
	SLOT_MEMORY,
	SLOTS,
};

struct counts {
	long maps;
	long unmaps;
	long commands;
};

static const struct {
	const char *event;
	size_t at;	/* in struct counts */
} counters[] = {
	{ "iommu/map", offsetof(struct counts, maps) },
	{ "iommu/unmap", offsetof(struct counts, unmaps) },
	{ "nvme/nvme_setup_cmd", offsetof(struct counts, commands) },
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

struct shape {
	const char *name;
	unsigned int len;	/* of a fragment */
	unsigned int stride;	/* 0: plain */
	unsigned int total;
};

static const struct shape shapes[] = {
	{ "4 KiB", 4 * KIB, 0, 4 * KIB },
	{ "16 KiB", 16 * KIB, 0, 16 * KIB },
	{ "128 KiB", 128 * KIB, 0, 128 * KIB },
	{ "16 x 4 KiB", 4 * KIB, 8 * KIB, 64 * KIB },
	{ "46 x 1448 B", 1448, 4 * KIB, 64 * KIB },
	{ "363 x 1448 B", 1448, 4 * KIB, 512 * KIB },
};

static struct disk disk;
static struct buffer buffer;
static struct ring ring;
static char domain[32];
static bool translated;
static char names_recorded[8] = "1";	/* as it was found */

static int trigger_write(const char *event, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), EVENTS "%s/trigger", event);
	return text_write(path, text);
}

static void triggers_remove(void)
{
	unsigned int i;

	for (i = 0; i < COUNTERS; i++)
		trigger_write(counters[i].event, "!" TRIGGER);
	text_write(RECORD_NAMES, names_recorded);
}

static void triggers_add(void)
{
	unsigned int i;
	int rc;

	/*
	 * Any event switches on those of the scheduler too, to learn the names of tasks. Nobody
	 * needs them here, and patching code that all processors run is more than an emulator
	 * under load may get right.
	 */
	line_read(RECORD_NAMES, names_recorded, sizeof(names_recorded));
	text_write(RECORD_NAMES, "0");
	for (i = 0; i < COUNTERS; i++) {
		rc = trigger_write(counters[i].event, TRIGGER);
		if (rc && rc != -EEXIST)
			skip_all("no histogram of the event %s: %s; is tracefs mounted?",
				 counters[i].event, result_text(rc));
	}
	atexit(triggers_remove);
}

/* The histogram's own total. */
static long hits(const char *event)
{
	char path[128], line[256];
	long count = -1;
	FILE *file;

	snprintf(path, sizeof(path), EVENTS "%s/hist", event);
	file = fopen(path, "re");
	if (!file)
		fatal("%s: %s", path, result_text(-errno));
	while (fgets(line, sizeof(line), file))
		sscanf(line, " Hits: %ld", &count);
	fclose(file);
	if (count < 0)
		fatal("%s: it names no total", path);
	return count;
}

static struct counts counts_now(void)
{
	struct counts now;
	unsigned int i;

	for (i = 0; i < COUNTERS; i++)
		*(long *)((char *)&now + counters[i].at) = hits(counters[i].event);
	return now;
}

static struct counts counts_since(struct counts then)
{
	struct counts now = counts_now();

	now.maps -= then.maps;
	now.unmaps -= then.unmaps;
	now.commands -= then.commands;
	return now;
}

/* The same request over and over, so many at a time. */
static void requests_run(const struct shape *shape, unsigned int slot, bool write,
			 unsigned int batches, unsigned int in_flight)
{
	static struct iovec fragments[FRAGMENTS_MAX];
	uint64_t base = slot == SLOT_MEMORY ? (uintptr_t)buffer.mem : 0;
	struct request req = { .fd = disk.fd, .off = DISK_OFF, .addr = base, .len = shape->total,
			       .slot = (uint16_t)slot };
	unsigned int left = shape->total, nr = 0, batch, i;
	struct completion done;

	req.opcode = write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
	if (shape->stride) {
		for (; left; nr++) {
			unsigned int len = shape->len < left ? shape->len : left;

			fragments[nr] = fragment(base + nr * shape->stride, len);
			left -= len;
		}
		req.opcode = write ? OP_WRITEV_FIXED : OP_READV_FIXED;
		req.addr = (uintptr_t)fragments;
		req.len = nr;
	}
	for (batch = 0; batch < batches; batch++) {
		for (i = 0; i < in_flight; i++)
			ring_prepare(&ring, &req);
		ring_submit(&ring);
		for (i = 0; i < in_flight; i++)
			if (ring_wait(&ring, &done, COMPLETION_MS_MAX) ||
			    done.res != (int)shape->total)
				fatal("%s, %s of %s: %s", shape->name, write ? "write" : "read",
				      slot == SLOT_DMABUF ? "a dma-buf" : "memory",
				      result_text(done.res));
	}
}

/*
 * The driver's pools of descriptors, for few segments and for many, grow at first use, which
 * maps: with more requests in flight than will follow, of each sort, so that they do not grow
 * again.
 */
static void warm_up(void)
{
	struct counts then = counts_now(), used;
	unsigned int i, slot;

	for (slot = 0; slot < SLOTS; slot++)
		for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
			if (!shapes[i].stride || !disk.limits.boundary ||
			    shapes[i].len % disk.limits.block_len == 0)
				requests_run(&shapes[i], slot, false, 2, WARM_IN_FLIGHT);
	used = counts_since(then);
	note("first use, not counted below: %ld maps, %ld unmaps, %ld commands", used.maps,
	     used.unmaps, used.commands);
}

/* Where it has room for a request whole, one command must do. */
static void commands_check(const struct shape *shape, const char *name, const struct counts *used)
{
	const struct disk_limits *limits = &disk.limits;
	unsigned int segments = shape->stride ? (shape->total + shape->len - 1) / shape->len : 1;

	/* A fragment may lie across two pieces of memory. */
	if (!limits->boundary && translated && 2 * segments <= limits->segments_max &&
	    shape->total <= limits->command_len_max)
		check_eq(used->commands, REQUESTS, "%s: commands of %u requests", name, REQUESTS);
	else
		check(used->commands >= REQUESTS, "%s: %ld commands of %u requests", name,
		      used->commands, REQUESTS);
}

static void row(const struct shape *shape, unsigned int slot, bool write)
{
	struct counts then = counts_now(), used;
	char name[64];

	requests_run(shape, slot, write, BATCHES, IN_FLIGHT);
	used = counts_since(then);
	snprintf(name, sizeof(name), "%s, %s, %s", slot == SLOT_DMABUF ? "dma-buf" : "memory",
		 shape->name, write ? "write" : "read");
	note("%-32s %8.2f %8.2f %8.2f", name, (double)used.maps / REQUESTS,
	     (double)used.unmaps / REQUESTS, (double)used.commands / REQUESTS);
	if (slot == SLOT_DMABUF || !translated) {
		check_eq(used.maps, 0, "%s: maps", name);
		check_eq(used.unmaps, 0, "%s: unmaps", name);
	} else {
		check(used.maps >= used.commands, "%s: %ld maps for %ld commands", name, used.maps,
		      used.commands);
		check(used.unmaps >= used.commands, "%s: %ld unmaps for %ld commands", name,
		      used.unmaps, used.commands);
	}
	if (slot == SLOT_DMABUF)
		commands_check(shape, name, &used);
	else
		check(used.commands >= REQUESTS, "%s: %ld commands", name, used.commands);
}

static void rows(void)
{
	unsigned int i, slot, write;

	section("IOMMU domain %s: of each request", domain);
	note("%-32s %8s %8s %8s", "", "maps", "unmaps", "commands");
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (shapes[i].stride && disk.limits.boundary &&
		    shapes[i].len % disk.limits.block_len) {
			skip_one("%s: the controller has no SGLs", shapes[i].name);
			continue;
		}
		for (slot = 0; slot < SLOTS; slot++)
			for (write = 0; write < 2; write++)
				row(&shapes[i], slot, write);
	}
}

/* All of it is mapped once, and unmapped at the end: the other proof that the counters count. */
static void registration(bool begin)
{
	struct counts then = counts_now(), used;
	int rc = begin ? ring_register_dmabuf(&ring, SLOT_DMABUF, buffer.fd, disk.fd) :
		ring_clear(&ring, SLOT_DMABUF);

	used = counts_since(then);
	check_eq(rc, 1, begin ? "register 8 MiB" : "unregister");
	note("%ld maps, %ld unmaps", used.maps, used.unmaps);
	check((begin ? used.maps : used.unmaps) >= translated, "%s as the domain wants",
	      begin ? "mapped" : "unmapped");
	check_eq(begin ? used.unmaps : used.maps, 0, begin ? "no unmap" : "no map");
}

int main(int argc, char **argv)
{
	int rc;

	selftest_start();
	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: maps DEVICE [DOMAIN]\n\n"
			"DEVICE: an NVMe block device, whose content is destroyed. DOMAIN: the\n"
			"type that its IOMMU domain must have: DMA, DMA-FQ, identity or none.\n");
		return 2;
	}
	ring_require_dmabuf();
	disk_open(&disk, argv[1]);
	disk_domain_type(&disk, domain, sizeof(domain));
	translated = !strncmp(domain, "DMA", 3);
	triggers_add();
	if (argc == 3)
		check(!strcmp(domain, argv[2]), "the domain's type is %s, wanted %s", domain,
		      argv[2]);
	rc = buffer_open(&buffer, BUFFER_SCATTERED, BUFFER_LEN);
	if (!rc)
		rc = ring_open(&ring, WARM_IN_FLIGHT, 0);
	if (!rc)
		rc = ring_table(&ring, SLOTS);
	if (rc)
		fatal("set-up: %s", result_text(rc));
	registration(true);
	check_eq(ring_register_memory(&ring, SLOT_MEMORY, buffer.mem, buffer.len), 1,
		 "the same memory as an ordinary fixed buffer");
	warm_up();
	rows();
	registration(false);
	ring_close(&ring);
	buffer_close(&buffer);
	disk_close(&disk);
	return selftest_end();
}
