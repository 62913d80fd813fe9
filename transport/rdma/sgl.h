/* SPDX-License-Identifier: BSD-3-Clause */
/* What the SGL of a capsule says, by the rules of NVMe/RDMA (Base 4.3.2, NVMe/RDMA 1.1, 3.3): pure. */
#ifndef SLUICE_RDMA_SGL_H
#define SLUICE_RDMA_SGL_H

#include <stdbool.h>

#include "base/nvme.h"

enum { SGL_DESCRIPTORS = 16 /* of one command: MSDBD */ };

/* Host memory. */
struct sgl_data {
	uint64_t addr;
	uint32_t len;
	uint32_t key;
};

struct sgl {
	struct sgl_data data[SGL_DESCRIPTORS];
	uint32_t n;	 /* of data; 0 with in_capsule */
	uint32_t len;	 /* bytes described in all */
	uint32_t offset; /* in_capsule: of the first byte behind the command */
	uint32_t invalidate_key;
	bool in_capsule;
	bool invalidate; /* the response is to invalidate that key */
};

/*
 * Reads the SGL of @sqe, behind which @capsule_len bytes of the capsule were received at @capsule; the
 * controller admits @capsule_max of them. Fills in @sgl. 0, or the status that a command which has data
 * is to end with: then @sgl has none.
 */
uint16_t sgl_parse(const struct nvme_sqe *sqe, const void *capsule, uint32_t capsule_len,
		   uint32_t capsule_max, struct sgl *sgl);

#endif
