/* SPDX-License-Identifier: BSD-3-Clause */
/* An area as a memory region of an RDMA device: over its dma-buf if that can be, else over its pages. */
#ifndef SLUICE_RDMA_REGION_H
#define SLUICE_RDMA_REGION_H

#include <infiniband/verbs.h>

#include "dmabuf/area.h"

struct region {
	struct ibv_mr *mr; /* owned; NULL: the kernel was asked without the library */
	struct ibv_pd *pd;
	uint32_t handle; /* the kernel's, without mr */
	uint32_t lkey;
	bool open;
	bool dmabuf;
	const char *why_not; /* why it is not over the dma-buf; lasts as long as the area */
};

/*
 * Registers all of @area, whose addresses are those of the CPU. The device may write there for nobody but
 * this process: hosts get no key. 0, or negative errno, with the reason for people in @why.
 */
int region_open(struct region *region, struct ibv_pd *pd, struct area *area, char *why,
		size_t why_size);
void region_close(struct region *region);

#endif
