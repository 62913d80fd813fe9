/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "rdma_data.h"
#include "selftest.h"

#define PAGE_LEN 4096U
/* Left out at the end of the dma-buf. */
#define TAIL 0x77U
/* Where in the ordinary memory requests begin: not as in the dma-buf. */
#define PLAIN_OFF 61U
#define POISON 0xa5

enum way {
	WRITE_TO,	/* WRITE, the region is remote */
	WRITE_FROM,	/* WRITE, the region is local */
	READ_FROM,	/* READ, the region is remote */
	READ_TO,	/* READ, the region is local */
};
#define WAYS (READ_TO + 1)

static const char *const way_names[WAYS] = {
	[WRITE_TO] = "WRITE to it",
	[WRITE_FROM] = "WRITE from it",
	[READ_FROM] = "READ from it",
	[READ_TO] = "READ to it",
};

struct range {
	uint64_t off;	/* in the dma-buf */
	uint64_t len;
};

/* The region's address of a byte of the dma-buf. */
static uint64_t address(const struct data *data, uint64_t off)
{
	return data->region.iova + (off - data->first);
}

void data_open(struct data *data, struct rdma *rdma, const struct buffer *buffer, uint32_t access)
{
	uint64_t first = (buffer->len > PAGE_LEN ? PAGE_LEN : 0) + DATA_IOVA % PAGE_LEN;
	struct region_want want = { .fd = buffer->fd, .offset = first, .iova = DATA_IOVA,
				    .len = buffer->len - first - TAIL, .access = access };
	int rc;

	*data = (struct data){ .rdma = rdma, .buffer = buffer, .first = first, .len = want.len,
			       .plain_len = buffer->len + PAGE_LEN };
	rc = region_register(rdma, &want, &data->region);
	if (rc)
		fatal("%s: a region of %llu bytes: %s", buffer->name,
		      (unsigned long long)want.len, result_text(rc));
	data->image = plain_alloc(buffer->len);
	data->plain = plain_alloc(data->plain_len);
	data->plain_image = plain_alloc(data->plain_len);
	data->plain_mr = ibv_reg_mr(rdma->pd, data->plain, data->plain_len, RDMA_ACCESS_ALL);
	if (!data->plain_mr)
		fatal("a region of ordinary memory: %s", result_text(-errno));
	random_fill(data->image, buffer->len);
	buffer_cpu_begin(buffer);
	memcpy(buffer->mem, data->image, buffer->len);
	buffer_cpu_end(buffer);
	memset(data->plain, POISON, data->plain_len);
	memset(data->plain_image, POISON, data->plain_len);
}

void data_close(struct data *data)
{
	int rc = region_deregister(data->rdma, &data->region);

	check_eq(rc, 0, "%s: deregisters", data->buffer->name);
	rc = ibv_dereg_mr(data->plain_mr);
	if (rc)
		fatal("deregistering ordinary memory: %s", result_text(-rc));
	free(data->image);
	free(data->plain);
	free(data->plain_image);
}

/* Bytes, of both memories, that are not as they have to be; then they are. */
static size_t memories_compare(struct data *data)
{
	const struct buffer *buffer = data->buffer;
	size_t wrong;

	buffer_cpu_begin(buffer);
	wrong = bytes_differ(buffer->mem, data->image, buffer->len);
	if (wrong)
		memcpy(buffer->mem, data->image, buffer->len);
	buffer_cpu_end(buffer);
	wrong += bytes_differ(data->plain, data->plain_image, data->plain_len);
	memcpy(data->plain, data->plain_image, data->plain_len);
	return wrong;
}

/* New bytes at the end that the data comes from; the other end has to have them afterwards. */
static void source_fill(struct data *data, bool to_region, const struct range *range)
{
	uint8_t *there = data->buffer->mem + range->off, *image = data->image + range->off;
	uint8_t *plain = data->plain + PLAIN_OFF, *plain_image = data->plain_image + PLAIN_OFF;

	if (to_region) {
		random_fill(plain, range->len);
		memcpy(plain_image, plain, range->len);
		memcpy(image, plain, range->len);
		return;
	}
	random_fill(image, range->len);
	buffer_cpu_begin(data->buffer);
	memcpy(there, image, range->len);
	buffer_cpu_end(data->buffer);
	memcpy(plain_image, image, range->len);
}

static struct rdma_op op_make(const struct data *data, enum way way, const struct range *range)
{
	bool write = way == WRITE_TO || way == WRITE_FROM;
	bool local = way == WRITE_FROM || way == READ_TO;
	uint64_t here = address(data, range->off), plain = (uintptr_t)data->plain + PLAIN_OFF;

	return (struct rdma_op){
		.opcode = write ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ,
		.local = local ? here : plain,
		.lkey = local ? data->region.lkey : data->plain_mr->lkey,
		.remote = local ? plain : here,
		.rkey = local ? data->plain_mr->rkey : data->region.rkey,
		.len = (uint32_t)range->len,
	};
}

static void transfer_check(struct data *data, enum way way, const struct range *range,
			   const char *name)
{
	struct rdma_op op = op_make(data, way, range);
	enum ibv_wc_status status;
	size_t wrong;

	source_fill(data, way == WRITE_TO || way == READ_TO, range);
	status = rdma_do(data->rdma, &op);
	wrong = memories_compare(data);
	check(status == IBV_WC_SUCCESS && !wrong, "%s, %s, %llu bytes at %#llx: %s, %zu bytes wrong",
	      name, way_names[way], (unsigned long long)range->len,
	      (unsigned long long)range->off, ibv_wc_status_str(status), wrong);
	if (status != IBV_WC_SUCCESS)
		rdma_reconnect(data->rdma);
}

void check_transfers(struct data *data)
{
	uint64_t middle = data->buffer->len / 2, some = data->buffer->len / 13 | 1;
	uint64_t first = data->first, end = first + data->len;
	const struct range ranges[] = {
		{ first, 1 },
		{ 0x1fff, 2 },			/* the last byte of a page and the next one */
		{ 0x2000, PAGE_LEN },
		{ 0x2001, PAGE_LEN - 1 },
		{ 0x2ffd, 2 * PAGE_LEN + 6 },	/* four pages */
		{ middle - 3, 6 },		/* also from a huge page to the next */
		{ middle - some, 2 * some + 1 },
		{ end - 1, 1 },
		{ first, data->len },
	};
	size_t i;
	int way;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (ranges[i].off < first || ranges[i].off + ranges[i].len > end)
			continue;
		for (way = 0; way < WAYS; way++)
			transfer_check(data, (enum way)way, &ranges[i], data->buffer->name);
	}
}

void check_whole(struct data *data, const char *name)
{
	const struct range range = { data->first, data->len };

	transfer_check(data, WRITE_TO, &range, name);
	transfer_check(data, READ_FROM, &range, name);
}

void check_refused(struct data *data, const struct rdma_op *op, enum ibv_wc_status want,
		   const char *name)
{
	enum ibv_wc_status status = rdma_do(data->rdma, op);
	size_t wrong = memories_compare(data);

	check(status == want && !wrong, "%s: %s, wanted %s, %zu bytes changed", name,
	      ibv_wc_status_str(status), ibv_wc_status_str(want), wrong);
	rdma_reconnect(data->rdma);
}

/* Of a request that it cannot even send, soft-RoCE says no more than that it was flushed. */
static enum ibv_wc_status status_refused(enum way way)
{
	switch (way) {
	case READ_TO:
		return IBV_WC_LOC_PROT_ERR;
	case WRITE_FROM:
		return IBV_WC_WR_FLUSH_ERR;
	default:
		return IBV_WC_REM_ACCESS_ERR;
	}
}

void check_bounds(struct data *data)
{
	const struct range ranges[] = {
		{ data->first - 1, 8 },
		{ data->first + data->len - 7, 8 },
		{ data->first + data->len, 1 },
	};
	static const char *const names[] = { "a byte before", "a byte beyond", "the byte behind" };
	char name[64];
	size_t i;
	int way;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		for (way = 0; way < WAYS; way++) {
			struct rdma_op op = op_make(data, (enum way)way, &ranges[i]);

			snprintf(name, sizeof(name), "%s, %s", names[i], way_names[way]);
			check_refused(data, &op, status_refused((enum way)way), name);
		}
}

/* What was there comes back to the ordinary memory, or to the region itself. */
static void atomic_check(struct data *data, uint64_t off, bool swap, bool matches)
{
	struct range result = { off + 64, sizeof(uint64_t) };
	bool to_region = swap;
	struct rdma_op op = op_make(data, to_region ? READ_TO : READ_FROM, &result);
	enum ibv_wc_status status;
	uint64_t old, fresh;
	size_t wrong;

	memcpy(&old, data->image + off, sizeof(old));
	op.opcode = swap ? IBV_WR_ATOMIC_CMP_AND_SWP : IBV_WR_ATOMIC_FETCH_AND_ADD;
	op.remote = address(data, off);
	op.rkey = data->region.rkey;
	op.compare_add = matches ? old : old + 1;
	op.swap = ~old + 3;
	fresh = swap ? (matches ? op.swap : old) : old + op.compare_add;
	memcpy(data->image + off, &fresh, sizeof(fresh));
	memcpy(to_region ? data->image + result.off : data->plain_image + PLAIN_OFF, &old,
	       sizeof(old));
	status = rdma_do(data->rdma, &op);
	wrong = memories_compare(data);
	check(status == IBV_WC_SUCCESS && !wrong, "%s, %s at %#llx: %s, %zu bytes wrong",
	      data->buffer->name,
	      !swap ? "fetch and add" : matches ? "compare and swap" : "compare and leave",
	      (unsigned long long)off, ibv_wc_status_str(status), wrong);
	if (status != IBV_WC_SUCCESS)
		rdma_reconnect(data->rdma);
}

void check_atomics(struct data *data)
{
	const uint64_t offs[] = { 0x1ff8, 0x2000, data->buffer->len / 2 - 8,
				  data->buffer->len / 2 };
	struct range last = { (data->first + data->len) / 8 * 8, sizeof(uint64_t) };
	struct rdma_op op = op_make(data, READ_FROM, &last);
	size_t i;

	for (i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
		atomic_check(data, offs[i], false, true);
		atomic_check(data, offs[i], true, true);
		atomic_check(data, offs[i], true, false);
	}
	op.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
	check_refused(data, &op, IBV_WC_REM_ACCESS_ERR, "fetch and add beyond the end");
}
