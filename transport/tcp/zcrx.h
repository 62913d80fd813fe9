/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One interface queue of io_uring's zero-copy receive: a part of an area that a NIC's receive queue, or
 * without a NIC the kernel, fills; the ring by which chunks go back; what the kernel tells about it.
 * Belongs to one worker's loop.
 */
#ifndef SLUICE_TCP_ZCRX_H
#define SLUICE_TCP_ZCRX_H

#include "base/loop.h"
#include "transport/tcp/gather.h"

struct io_uring_zcrx_rqe;
struct tcp_worker;
struct zcrx_abi_stats;

struct zcrx_options {
	struct area *area;    /* with a CPU face */
	uint64_t offset;      /* the part of it that is filled; page-aligned */
	uint64_t size;
	int dmabuf_fd;        /* exports that part alone, for NICs that take device memory; -1: plain memory */
	unsigned ifindex;     /* 0: no NIC, the kernel copies */
	unsigned queue;
	uint32_t buffer;      /* bytes of a chunk; 0: a page */
	uint32_t keepers;     /* namespaces */
	unsigned *wait_ms;    /* how long a taken queue is waited for; what is left is written back */
};

/* Counters of base/counter.h. */
struct zcrx_stats {
	uint64_t fragments;
	uint64_t bytes;
	uint64_t placed_bytes; /* payload that was used where it lay */
	uint64_t staged_bytes; /* payload that the CPU copied to buffers of commands */
	uint64_t starved;   /* events: no free chunk for the NIC, or for a copy of the kernel's */
	uint64_t overflows; /* the completion queue was full */
	uint64_t closed;    /* connections that were closed for the chunks that they took */
};

struct zcrx {
	struct loop *loop;
	struct landing landing;
	uint32_t id;         /* the ring's name for it */
	unsigned ifindex;
	uint64_t token;      /* of the area, in offsets that the kernel tells and is told */
	bool flushes;        /* without a NIC, the kernel takes chunks back when it is told to */
	bool copies;         /* the kernel can copy to the chunks: they are ordinary memory */

	/* Chunks go back by this ring. */
	void *region;
	size_t region_bytes;
	uint32_t *head, *tail; /* the kernel's and ours */
	struct io_uring_zcrx_rqe *rqes;
	uint32_t entries;

	struct zcrx_abi_stats *kernel_stats; /* NULL: the kernel keeps none */
	struct op event_op;
	struct zcrx_stats stats;

	/* Of source_zcrx and of granting. */
	struct tcp_worker *tcp;
	struct timer shortage; /* runs from an event on: is the NIC short still? */
	struct list starved;   /* conn.zcrx_starved_link: their receive ended for want of chunks */
	struct timer retry;    /* runs while there are any */
	uint64_t reviewed_ns;  /* CLOCK_MONOTONIC: when grants without an answer were last looked for */
};

/*
 * Registers an interface queue with @loop, before that runs. 0 or negative errno, with the reason and
 * what to do written to @why (EPERM: no CAP_NET_ADMIN; EEXIST: the queue is taken; ENOMEM: memory or
 * RLIMIT_MEMLOCK; EOPNOTSUPP: the kernel or the NIC cannot).
 */
int zcrx_open(struct zcrx *zcrx, struct loop *loop, const struct zcrx_options *options, char *why,
	      size_t size);

/* Frees what is not the ring's. The queue is given back when that goes. */
void zcrx_close(struct zcrx *zcrx);

/* Bytes of memory that it takes beside the part of the area. */
uint64_t zcrx_bytes(const struct zcrx *zcrx);

/* The fragment that the completion being handled tells of, @len bytes. The caller has a reference. */
void zcrx_fragment(struct zcrx *zcrx, uint32_t len, struct span *fragment);

/* Gives back to the kernel what nobody needs. Once a turn. True when there is more for it than before. */
bool zcrx_refill(struct zcrx *zcrx);

/* The kernel told that the NIC found no chunk, and is to tell again. */
void zcrx_event_arm(struct zcrx *zcrx);

/* Bytes that the kernel copied to chunks because they were not in any. Any thread. */
uint64_t zcrx_copied_bytes(const struct zcrx *zcrx);

#endif
