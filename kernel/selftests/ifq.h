/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An interface queue of io_uring zero-copy receive with the ring that it belongs to, by raw
 * structures: the parts of the ABI that the system's header may lack are defined here, under names
 * of their own.
 */
#ifndef IFQ_H
#define IFQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffers.h"
#include "ring.h"

/* struct zcrx_stats */
struct ifq_stats {
	uint64_t copy_count;	/* fragments that the kernel copied */
	uint64_t copy_bytes;
};

enum ifq_event {
	IFQ_EVENT_ALLOC_FAIL,	/* the NIC got no buffer */
	IFQ_EVENT_COPY,		/* payload was not in the area and had to be copied */
	IFQ_EVENTS,
};

struct ifq_params {
	unsigned int if_index;
	unsigned int queue;
	bool dmabuf;		/* the area is a dma-buf, else the memory behind it */
	size_t area_len;	/* bytes, a multiple of 2 MiB */
	uint32_t buf_len;	/* bytes of a receive buffer; 0: the kernel's choice */
};

struct ifq {
	struct ring ring;
	struct buffer area;
	uint32_t id;
	uint32_t buf_len;
	uint64_t area_token;	/* of offsets in the area */
	void *region;		/* refill ring, then statistics */
	struct ifq_stats *stats;
	uint32_t *rq_tail;
	struct ifq_rqe *rqes;
	uint32_t tail;		/* what of the refill ring the kernel is told next */
};

/*
 * Makes ring and area and registers the queue with them. The events' completions have ids from
 * IFQ_EVENT_ID on, their results say which. 0 or a negative errno; that of the registration is as
 * it came, anything else that fails ends the program.
 */
int ifq_open(struct ifq *ifq, const struct ifq_params *params);

/* The queue is given back in the background: see ifq_open_again(). */
void ifq_close(struct ifq *ifq);

/* ifq_open(), again while the queue has an owner that is on its way out: for 10 seconds at most. */
int ifq_open_again(struct ifq *ifq, const struct ifq_params *params);

#define IFQ_EVENT_ID (1ULL << 63)

/* Prepares the multishot receive of a socket; id comes back in each completion. */
void ifq_recv_prepare(struct ifq *ifq, int socket_fd, uint64_t id);

/* Where in the area the payload of a completion is, in bytes. */
uint64_t ifq_offset(const struct ifq *ifq, const struct completion *done);

/* Gives back the buffer of a completion; the kernel knows after ifq_give_end(). */
void ifq_give(struct ifq *ifq, uint64_t offset, uint32_t len);
void ifq_give_end(struct ifq *ifq);

/*
 * Makes what was given available at once, also for copies: the NIC takes buffers from the refill
 * ring as it needs them, a copy only takes one that is back. 0 or a negative errno.
 */
int ifq_flush(struct ifq *ifq);

/* Asks for the next event of the sort. 0 or a negative errno. */
int ifq_arm(struct ifq *ifq, enum ifq_event event);

#endif
