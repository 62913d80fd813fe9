/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a backend that io_uring drives keeps for one loop: the dma-bufs of the loop's areas, registered
 * for the backend's open file so that no I/O has to map memory, and what moved by each rung.
 */
#ifndef SLUICE_TARGET_BACKEND_URING_MEMORY_H
#define SLUICE_TARGET_BACKEND_URING_MEMORY_H

#include "target/backend/bounce.h"
#include "target/backend/uring.h"

enum uring_dmabuf_state {
	DMABUF_NONE,   /* not registered, and will not be */
	DMABUF_TRYING, /* registered; a read is to show whether it works, and whether with vectors */
	DMABUF_READY,
	DMABUF_LOST,   /* refused or failed; tried again after a while */
};

/* When the device has refused as many vectors in a row, it gets no more for a while. */
enum { URING_VECTORS_REFUSED = 8 };

/* The dma-buf of one area. The loop's thread alone, but for what is atomic, which any may read. */
struct uring_dmabuf {
	struct uring_attachment *at;
	struct area *area;
	unsigned index;    /* in the loop's table of buffers */
	enum uring_dmabuf_state state; /* atomic */
	const char *why;   /* atomic: why it is not DMABUF_READY, or was not last */
	bool vectored;     /* atomic */
	const char *vectored_why; /* atomic: as `why` */
	uint32_t epoch;    /* how often it has become DMABUF_READY: an older request says nothing */
	unsigned vectors_refused; /* in a row */
	bool registered;   /* the table's entry is taken */
	bool renew;        /* to be registered before it is tried again */
	bool renewed;      /* it was, since it was left alone for a while */
	bool announced;    /* people were told that it is lost */
	bool telling;      /* `told` is in flight */
	bool trying;       /* `op` is in flight */
	bool try_vectored; /* what that read tries */
	unsigned tries;
	int error;         /* that `why` is about */
	uint32_t retry_ms; /* how long it is left alone; 0: it never had to be */
	uint64_t ready_ns; /* since when; 0: it failed since */
	struct timer timer;
	struct op told;
	struct op op;
	struct span spare; /* where the read goes */
	struct iovec iov;
};

struct uring_attachment {
	struct uring_attachment *next; /* of the same backend */
	struct uring_backend *ub;
	struct loop *loop;
	const struct backend_memory *memory;
	bool detached;
	struct bounce_user bouncing;
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
/*
 * Undoes the registrations. On the loop's thread, or when that runs no more: then they stay, as the
 * kernel takes orders from that thread alone, and go with the ring. The attachment itself stays
 * until the close.
 */
void uring_memory_detach(struct uring_attachment *at);
/* Frees all attachments; their loops are gone. */
void uring_memory_free(struct uring_backend *ub);

/*
 * A request of @epoch with @dmabuf failed with @error, by its fault: from now on others do without,
 * until a read shows that it works again. For the path of a command: what takes time or is for
 * people is done outside this call.
 */
void uring_dmabuf_lost(struct uring_dmabuf *dmabuf, uint32_t epoch, int error);

/*
 * The same for a request with a vector and -EINVAL or -EOPNOTSUPP: when it is not this one alone,
 * others do without vectors for a while.
 */
void uring_vector_refused(struct uring_dmabuf *dmabuf, uint32_t epoch, int error);

/* Is @error, of a request with a dma-buf, about that in any case? Pure, as is the next. */
bool uring_dmabuf_error(int error);

/* Is @error one that the drive alone gives, whatever memory the request has? */
bool uring_drive_error(int error);

#endif
