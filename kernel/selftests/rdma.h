/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two queue pairs of one RDMA device, connected with each other, and memory regions over dma-bufs.
 * These are made by the system calls of the kernel: the library's driver for soft-RoCE may know
 * nothing of them. One queue pair that is connected with itself would do for data, but not for
 * errors: that of its remote half flushes the request before the local half hears what was wrong.
 */
#ifndef RDMA_H
#define RDMA_H

#include <infiniband/verbs.h>
#include <stdint.h>

#define RDMA_ACCESS_ALL (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | \
			 IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)

struct rdma {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_pd *other_pd;	/* that nothing belongs to */
	struct ibv_cq *cq;
	struct ibv_qp *qp;		/* requests go here, and */
	struct ibv_qp *peer;		/* are carried out here */
};

/* What a region is to be. */
struct region_want {
	int fd;			/* of the dma-buf */
	uint64_t offset;	/* in it */
	uint64_t len;
	uint64_t iova;
	uint32_t access;	/* IBV_ACCESS_* */
};

struct region {
	uint32_t handle;	/* the kernel's */
	uint32_t lkey;
	uint32_t rkey;
	uint64_t iova;
};

/* One work request with one local fragment. */
struct rdma_op {
	enum ibv_wr_opcode opcode;
	uint64_t local;		/* addresses */
	uint64_t remote;
	uint32_t lkey;
	uint32_t rkey;
	uint32_t len;		/* bytes; 8 for atomics */
	uint64_t compare_add;	/* of atomics */
	uint64_t swap;
};

/* Ends the program when the device is not there or the queue pairs cannot be made. */
void rdma_open(struct rdma *rdma, const char *device);
void rdma_close(struct rdma *rdma);

/* New queue pairs in place of those that an error has stopped. */
void rdma_reconnect(struct rdma *rdma);

/* Posts the request and waits for its completion: IBV_WC_*. Ends the program when there is none. */
enum ibv_wc_status rdma_do(struct rdma *rdma, const struct rdma_op *op);

/* 0 or a negative errno. */
int region_register(struct rdma *rdma, const struct region_want *want, struct region *region);
int region_deregister(struct rdma *rdma, const struct region *region);

/* Length and first address of the region as the kernel knows them. 0 or a negative errno. */
int region_query(struct rdma *rdma, const struct region *region, uint64_t *len, uint64_t *iova);

/*
 * Asks for a change of the region; flags: IBV_REREG_MR_*. The range would become that of `want`,
 * the access its access, the protection domain the other one. 0 or a negative errno.
 */
int region_change(struct rdma *rdma, const struct region *region, uint32_t flags,
		  const struct region_want *want);

#endif
