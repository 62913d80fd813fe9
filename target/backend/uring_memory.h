/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a backend that io_uring drives keeps for one loop: the dma-bufs of the loop's areas, registered
 * for the backend's open file so that no I/O has to map memory, and what moved by each rung.
 */
#ifndef SLUICE_TARGET_BACKEND_URING_MEMORY_H
#define SLUICE_TARGET_BACKEND_URING_MEMORY_H

#include "target/backend/uring.h"

enum uring_dmabuf_state {
	DMABUF_NONE,   /* not registered, and will not be */
	DMABUF_TRYING, /* registered; a read is to show whether it works, and whether with vectors */
	DMABUF_READY,
	DMABUF_LOST,   /* failed; registered and tried again after a while */
};

/* The dma-buf of one area. The loop's thread alone, but for what is atomic, which any may read. */
struct uring_dmabuf {
	struct uring_attachment *at;
	struct area *area;
	unsigned index;    /* in the loop's table of buffers */
	enum uring_dmabuf_state state; /* atomic */
	bool vectored;     /* atomic */
	const char *why;   /* atomic: it is not DMABUF_READY, because */
	bool registered;   /* the table's entry is taken */
	bool announced;    /* people were told that it is lost */
	bool try_vectored; /* what the read in flight tries */
	unsigned tries;
	uint32_t retry_ms;
	uint64_t ready_ns; /* since when */
	struct msg begin;
	struct timer timer;
	struct op op;
	struct span spare; /* where that read goes */
	struct iovec iov;
};

struct uring_attachment {
	struct uring_attachment *next; /* of the same backend */
	struct uring_backend *ub;
	struct loop *loop;
	const struct backend_memory *memory;
	bool detached;
	uint64_t bytes[DATAPATH_STORAGE_RUNGS]; /* moved by READ and WRITE; of base/counter.h */
	char refused[256]; /* what `why` may point at */
	struct uring_dmabuf dmabufs[LOOP_AREAS]; /* by area.slot */
};

static inline bool uring_dmabuf_ready(const struct uring_dmabuf *dmabuf)
{
	return __atomic_load_n(&dmabuf->state, __ATOMIC_RELAXED) == DMABUF_READY;
}

/*
 * Makes the attachment of @ub to @loop and registers dma-bufs there; a refusal costs a rung and is no
 * error. The file has its index. 0 or -ENOMEM.
 */
int uring_memory_attach(struct uring_backend *ub, struct loop *loop,
			const struct backend_memory *memory);
/* Undoes the registrations, on the loop's thread; the attachment itself stays until the close. */
void uring_memory_detach(struct uring_attachment *at);
/* Frees all attachments; their loops are gone. */
void uring_memory_free(struct uring_backend *ub);

/*
 * A request with @dmabuf failed with @error, which says that it can no longer be used so: from now on
 * others do without. Vectors alone are given up when @vector_only. People are told, and it is tried
 * again, outside this call.
 */
void uring_dmabuf_lost(struct uring_dmabuf *dmabuf, int error, bool vector_only);

/* Is @error one of those that are about the registered dma-buf, not about the medium? */
bool uring_dmabuf_error(int error);

#endif
