/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory regions over dma-bufs on a soft-RoCE device: data both ways, what is refused, who keeps
 * what for how long. The patch that adds them is in kernel/testing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"
#include "exporter.h"
#include "rdma_data.h"
#include "rdma_refused.h"
#include "selftest.h"

#define PAGE_LEN 4096U
#define LEN (4U << 20)
#define SMALL_LEN (64U << 10)
#define IOVA 0x10000ULL
#define REGIONS 100
#define MOVE_MS 500
#define FREE_HUGE "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

static struct rdma rdma;
static long dmabufs_before, attachments_before;

static void buffer_require(struct buffer *buffer, enum buffer_kind kind, size_t len)
{
	int rc = buffer_open(buffer, kind, len);

	if (rc)
		fatal("%s of %zu bytes: %s", buffer_kind_name(kind), len, result_text(rc));
}

/* All of a dma-buf. */
static struct region_want want_all(const struct buffer *buffer)
{
	return (struct region_want){ .fd = buffer->fd, .len = buffer->len, .iova = IOVA,
				     .access = RDMA_ACCESS_ALL };
}

static struct region region_require(const struct region_want *want, const char *name)
{
	struct region region;
	int rc = region_register(&rdma, want, &region);

	if (rc)
		fatal("%s: a region: %s", name, result_text(rc));
	return region;
}

/* Of what a section made, nothing is left. */
static void check_nothing_left(const char *name)
{
	check_eq(dmabufs_wait(dmabufs_before), dmabufs_before, "%s: dma-bufs in the machine", name);
	check_eq(attachments_wait(attachments_before), attachments_before,
		 "%s: attachments in the machine", name);
}

static void check_query(const struct data *data)
{
	uint64_t len = 0, iova = 0;

	check_eq(region_query(&rdma, &data->region, &len, &iova), 0, "%s: query",
		 data->buffer->name);
	check(len == data->len && iova == DATA_IOVA, "%s: %llu bytes from %#llx on",
	      data->buffer->name, (unsigned long long)len, (unsigned long long)iova);
}

/* more: bounds and atomic operations too */
static void buffer_data(const struct buffer *buffer, bool more)
{
	struct data data;

	data_open(&data, &rdma, buffer, RDMA_ACCESS_ALL);
	check_query(&data);
	check_transfers(&data);
	if (more) {
		check_bounds(&data);
		check_atomics(&data);
	}
	data_close(&data);
}

static void all_buffers(void)
{
	struct buffer buffer;
	int kind;

	for (kind = 0; kind < BUFFER_KINDS; kind++) {
		section("data, %s", buffer_kind_name((enum buffer_kind)kind));
		buffer_require(&buffer, (enum buffer_kind)kind, LEN);
		buffer_data(&buffer, kind == BUFFER_SCATTERED || kind == BUFFER_HUGE);
		buffer_close(&buffer);
		check_nothing_left(buffer.name);
	}
	section("data, test exporter");
	exporter_buffer_open(&buffer, LEN / 4, EXPORTER_SCATTERED, O_RDWR);
	buffer_data(&buffer, false);
	buffer_close(&buffer);
	/* a single page, which no exporter maps in pieces */
	exporter_buffer_open(&buffer, PAGE_LEN, 0, O_RDWR);
	buffer_data(&buffer, false);
	buffer_close(&buffer);
	check_nothing_left("test exporter");
}

/* What the region was not registered for does not happen. */
static void rights(void)
{
	struct buffer buffer;
	struct data data;
	struct rdma_op op;

	section("access");
	buffer_require(&buffer, BUFFER_PAGES, SMALL_LEN);
	data_open(&data, &rdma, &buffer, 0);
	op = (struct rdma_op){ .opcode = IBV_WR_RDMA_WRITE, .local = (uintptr_t)data.plain,
			       .lkey = data.plain_mr->lkey, .remote = DATA_IOVA,
			       .rkey = data.region.rkey, .len = 8 };
	check_refused(&data, &op, IBV_WC_REM_ACCESS_ERR, "WRITE to a region that is closed");
	op.opcode = IBV_WR_RDMA_READ;
	check_refused(&data, &op, IBV_WC_REM_ACCESS_ERR, "READ from a region that is closed");
	op = (struct rdma_op){ .opcode = IBV_WR_RDMA_READ, .local = DATA_IOVA,
			       .lkey = data.region.lkey, .remote = (uintptr_t)data.plain,
			       .rkey = data.plain_mr->rkey, .len = 8 };
	check_refused(&data, &op, IBV_WC_LOC_PROT_ERR, "READ to a region that is closed");
	data_close(&data);
	buffer_close(&buffer);
}

static void check_pins(const struct buffer *buffer, unsigned int want, const char *name)
{
	struct exporter_stats stats = exporter_stats(buffer);

	check(stats.pins == want && stats.attachments == want && !stats.mappings,
	      "%s: %u pins, %u attachments, %u mappings", name, stats.pins, stats.attachments,
	      stats.mappings);
}

/* Memory that would move stays while there is a region, and what was on its way is waited for. */
static void pinned(void)
{
	struct region regions[REGIONS];
	struct region_want want;
	struct buffer buffer;
	struct data data;
	unsigned int i;

	section("memory that moves");
	exporter_buffer_open(&buffer, SMALL_LEN, EXPORTER_SCATTERED, O_RDWR);
	data_open(&data, &rdma, &buffer, RDMA_ACCESS_ALL);
	check_pins(&buffer, 1, "a region");
	check_eq(exporter_move(&buffer, 0), -EBUSY, "a move");
	check_whole(&data, "after that");
	want = want_all(&buffer);
	for (i = 0; i < REGIONS; i++)
		regions[i] = region_require(&want, buffer.name);
	check_pins(&buffer, REGIONS + 1, "many regions");
	for (i = 0; i < REGIONS; i++)
		region_deregister(&rdma, &regions[i]);
	check_pins(&buffer, 1, "one region again");
	check_whole(&data, "with one region left");
	data_close(&data);
	check_pins(&buffer, 0, "no region");
	check_eq(exporter_move(&buffer, 0), 0, "a move");
	check_released(&buffer, buffer.name);
	buffer_close(&buffer);
	check_nothing_left("moves");
}

/* Registers while the content is not there yet, and reads it at once. */
static void moving(void)
{
	uint8_t *got = plain_alloc(SMALL_LEN), *want = plain_alloc(SMALL_LEN);
	struct rdma_op op = { .opcode = IBV_WR_RDMA_READ, .local = (uintptr_t)got,
			      .remote = IOVA, .len = SMALL_LEN };
	struct ibv_mr *mr = ibv_reg_mr(rdma.pd, got, SMALL_LEN, IBV_ACCESS_LOCAL_WRITE);
	struct region_want all;
	struct region region;
	struct buffer buffer;

	section("memory on the move");
	if (!mr)
		fatal("a region of ordinary memory: %s", result_text(-errno));
	exporter_buffer_open(&buffer, SMALL_LEN, 0, O_RDWR);
	random_fill(want, SMALL_LEN);
	memcpy(buffer.mem, want, SMALL_LEN);
	check_eq(exporter_move(&buffer, MOVE_MS), 0, "a move that takes its time");
	all = want_all(&buffer);
	region = region_require(&all, buffer.name);
	op.lkey = mr->lkey;
	op.rkey = region.rkey;
	check_eq(rdma_do(&rdma, &op), IBV_WC_SUCCESS, "READ as soon as it is registered");
	check_eq((long)bytes_differ(got, want, SMALL_LEN), 0, "bytes wrong");
	check_eq(region_deregister(&rdma, &region), 0, "deregisters");
	check_released(&buffer, buffer.name);
	buffer_close(&buffer);
	ibv_dereg_mr(mr);
	free(got);
	free(want);
}

/* Nobody but the region has the memory any more. */
static void last_user(enum buffer_kind kind)
{
	uint8_t *mem = plain_alloc(2 * LEN);
	struct ibv_mr *mr = ibv_reg_mr(rdma.pd, mem, 2 * LEN, IBV_ACCESS_LOCAL_WRITE);
	long huge_before = 0, huge_while = 0, huge_after = 0;
	struct region_want want;
	struct region region;
	struct buffer buffer;
	struct rdma_op op = { .remote = IOVA, .len = LEN };

	section("%s, the region is the last user", buffer_kind_name(kind));
	if (!mr)
		fatal("a region of ordinary memory: %s", result_text(-errno));
	/* once before, so that there are huge pages */
	buffer_require(&buffer, kind, LEN);
	buffer_close(&buffer);
	dmabufs_wait(dmabufs_before);
	number_read(FREE_HUGE, &huge_before);
	buffer_require(&buffer, kind, LEN);
	random_fill(buffer.mem, LEN);
	memcpy(mem, buffer.mem, LEN);
	want = want_all(&buffer);
	region = region_require(&want, buffer.name);
	buffer_close(&buffer);
	check_eq(dmabufs_count(), dmabufs_before + 1, "dma-bufs in the machine");
	number_read(FREE_HUGE, &huge_while);
	check_eq(huge_before - huge_while, kind == BUFFER_HUGE ? LEN / (2 << 20) : 0,
		 "huge pages in use");

	op.lkey = mr->lkey;
	op.rkey = region.rkey;
	op.opcode = IBV_WR_RDMA_READ;
	op.local = (uintptr_t)mem + LEN;
	check_eq(rdma_do(&rdma, &op), IBV_WC_SUCCESS, "READ");
	check_eq((long)bytes_differ(mem, mem + LEN, LEN), 0, "bytes wrong");
	random_fill(mem, LEN);
	op.opcode = IBV_WR_RDMA_WRITE;
	op.local = (uintptr_t)mem;
	check_eq(rdma_do(&rdma, &op), IBV_WC_SUCCESS, "WRITE");
	op.opcode = IBV_WR_RDMA_READ;
	op.local = (uintptr_t)mem + LEN;
	check_eq(rdma_do(&rdma, &op), IBV_WC_SUCCESS, "READ again");
	check_eq((long)bytes_differ(mem, mem + LEN, LEN), 0, "bytes wrong");

	check_eq(region_deregister(&rdma, &region), 0, "deregisters");
	check_nothing_left(buffer.name);
	number_read(FREE_HUGE, &huge_after);
	check_eq(huge_after, huge_before, "free huge pages");
	check_eq(region_deregister(&rdma, &region), -ENOENT, "deregisters again");
	ibv_dereg_mr(mr);
	free(mem);
}

static void descriptor_closed(void)
{
	struct buffer buffer;
	struct data data;

	section("the descriptor is closed");
	buffer_require(&buffer, BUFFER_SCATTERED, SMALL_LEN);
	data_open(&data, &rdma, &buffer, RDMA_ACCESS_ALL);
	buffer_close_fd(&buffer);
	check_transfers(&data);
	data_close(&data);
	buffer_close(&buffer);
	check_nothing_left(buffer.name);
}

/* A process that ends with a region of its own gives nothing back. */
static void process_ends(const char *device)
{
	struct buffer buffer;
	int status = -1;
	pid_t pid;

	section("a process that ends");
	exporter_buffer_open(&buffer, SMALL_LEN, 0, O_RDWR);
	pid = fork();
	if (pid < 0)
		fatal("fork: %s", result_text(-errno));
	if (!pid) {
		struct region_want want = want_all(&buffer);
		struct region region;

		rdma_open(&rdma, device);
		_exit(region_register(&rdma, &want, &region) ||
		      exporter_stats(&buffer).pins != 1);
	}
	waitpid(pid, &status, 0);
	check_eq(status, 0, "it had a region");
	check_released(&buffer, "after its end");
	check_eq(exporter_stats(&buffer).pins, 0, "pins after its end");
	buffer_close(&buffer);
	check_nothing_left("a process");
}

/* The device goes, and its regions with it but for their handles. rdma is of no more use. */
static void device_removed(const char *command)
{
	struct region_want want;
	struct region region;
	struct buffer buffer;

	section("the device is removed");
	exporter_buffer_open(&buffer, SMALL_LEN, EXPORTER_SCATTERED, O_RDWR);
	want = want_all(&buffer);
	region = region_require(&want, buffer.name);
	check_pins(&buffer, 1, "before");
	check_eq(system(command), 0, "%s", command);
	check_released(&buffer, "behind it");
	check_pins(&buffer, 0, "behind it");
	check_eq(region_deregister(&rdma, &region), 0, "deregisters what is left of it");
	check_eq(region_register(&rdma, &want, &region), -EIO, "another region");
	buffer_close(&buffer);
	check_nothing_left("a removed device");
}

int main(int argc, char **argv)
{
	selftest_start();
	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: rdma_mr DEVICE [COMMAND]\n\n"
			"DEVICE: a soft-RoCE device on an interface with an IPv4 address.\n"
			"COMMAND: removes it; then what happens to its regions is tested too.\n");
		return 2;
	}
	exporter_require();
	rdma_open(&rdma, argv[1]);
	dmabufs_before = dmabufs_count();
	attachments_before = attachments_count();
	if (dmabufs_before < 0)
		skip_all("no list of dma-bufs: %s", result_text(dmabufs_before));
	all_buffers();
	rights();
	check_refusals(&rdma);
	check_nothing_left("refusals");
	pinned();
	moving();
	descriptor_closed();
	last_user(BUFFER_PAGES);
	last_user(BUFFER_HUGE);
	process_ends(argv[1]);
	if (argc == 3)
		device_removed(argv[2]);
	else
		rdma_close(&rdma);
	return selftest_end();
}
