/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RDMA between a region over a dma-buf and one over ordinary memory, on the same device. Every byte
 * of either memory is compared after each request, as the CPU sees it.
 */
#ifndef RDMA_DATA_H
#define RDMA_DATA_H

#include "buffers.h"
#include "rdma.h"

/* Where regions begin: not at the beginning of a page. */
#define DATA_IOVA 0x7000001123ULL

struct data {
	struct rdma *rdma;		/* borrowed, as the buffer */
	const struct buffer *buffer;
	struct region region;
	uint64_t first;			/* byte of the dma-buf that the region begins with */
	uint64_t len;			/* of the region */
	uint8_t *image;			/* what the dma-buf has to hold */
	uint8_t *plain;			/* ordinary memory, as long as the dma-buf and a page more */
	uint8_t *plain_image;
	size_t plain_len;
	struct ibv_mr *plain_mr;
};

/*
 * Registers nearly all of the dma-buf: it begins and ends within pages, and leaves out the first
 * page if there are several. access: IBV_ACCESS_*. Ends the program on error.
 */
void data_open(struct data *data, struct rdma *rdma, const struct buffer *buffer, uint32_t access);
void data_close(struct data *data);

/*
 * Checks. READ and WRITE with the region at either end, for ranges that lie in pages, cross them
 * and meet the region's bounds.
 */
void check_transfers(struct data *data);

/* One WRITE to the region, and one READ from it, of all of it. */
void check_whole(struct data *data, const char *name);

/* What leaves the region by a byte is refused at either end, and changes nothing. */
void check_bounds(struct data *data);

/* Compare and swap, fetch and add, at the end of a page and at the beginning of the next. */
void check_atomics(struct data *data);

/* A request with the region at one end that has to fail with this status, and to change nothing. */
void check_refused(struct data *data, const struct rdma_op *op, enum ibv_wc_status want,
		   const char *name);

#endif
