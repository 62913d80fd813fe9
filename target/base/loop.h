/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io_uring loop of one thread. Every request is an `op` embedded in whoever asked for it; its
 * `done` is called once for each completion, on the loop's thread. Except loop_post() and
 * loop_stop(), nothing here may be called from another thread once loop_run() has begun.
 */
#ifndef SLUICE_BASE_LOOP_H
#define SLUICE_BASE_LOOP_H

#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"

struct loop;

/* A request in flight. Its owner keeps the memory until the last `done` (one without F_MORE). */
struct op {
	/* @res: the CQE's result, a count or negative errno; @flags: IORING_CQE_F_*. */
	void (*done)(struct op *op, int res, uint32_t flags);
};

/* A one-shot timer; its owner keeps the memory until it fired or was stopped. */
struct timer {
	void (*expired)(struct timer *timer);
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	int slot;             /* place in the loop's heap, -1: not running */
};

/* A message from any thread to a loop: `deliver` runs on the loop's thread. */
struct msg {
	void (*deliver)(struct msg *msg);
	struct list link;
};

struct loop_options {
	unsigned sq_entries;
	unsigned cq_entries;
	unsigned fixed_files; /* size of the table of fixed files; at most RLIMIT_NOFILE */
	bool big_cqes;        /* requests whose completions have 32 bytes are to be possible */
	uint32_t spin_us; /* longest busy wait before blocking; 0: never spins */
	/* Called after each batch of completions, before its requests are submitted. May be NULL. */
	void (*after_batch)(struct loop *loop);
	/*
	 * Looks for work that comes by other ways than the ring, and does it: called while the loop spins,
	 * and with @arm before it blocks, when what comes from then on has to complete a request of the
	 * ring. True: there was some. NULL: none comes by other ways.
	 */
	bool (*poll)(struct loop *loop, bool arm);
};

/* Counters since start, of base/counter.h. */
struct loop_stats {
	uint64_t turns;
	uint64_t enters; /* io_uring_enter calls */
	uint64_t waits;  /* enters that blocked */
	uint64_t spins;  /* waits ended by spinning */
	uint64_t spin_ns; /* that spinning took, to an end or not */
	uint64_t cqes;
};

struct loop {
	struct io_uring ring;
	void (*after_batch)(struct loop *loop);
	bool (*poll)(struct loop *loop, bool arm);
	uint64_t now_ns; /* CLOCK_MONOTONIC, read once a turn */
	const struct io_uring_cqe *cqe; /* whose `done` is being called */
	struct iovec *iovs;  /* LOOP_IOVS, for requests that are not submitted yet */
	unsigned iovs_used;
	uint32_t spin_us;
	bool stopping;
	bool files_registered;
	bool buffers_registered;
	unsigned n_files, n_buffers; /* sizes of the tables */
	void **file_data;            /* by index of the fixed file; loop_file_data() */
	struct timer **heap;
	unsigned heap_len, heap_cap;

	/* Mailbox: the only part that other threads touch. */
	pthread_mutex_t mail_lock;
	struct list mail;
	int mail_fd;
	uint64_t mail_value;
	struct op mail_op;

	struct loop_stats stats;
	uint64_t last_gap_ns;
};

/*
 * Creates the ring with the best flags that the kernel has, sparse tables of fixed files and
 * buffers, and the mailbox. Call on the thread that will run the loop, or enable it there by
 * loop_run(): the ring is created disabled and bound to the thread that calls loop_run().
 * Returns 0 or a negative errno (ENOSYS: no io_uring; EPERM: forbidden by kernel.io_uring_disabled;
 * ENOMEM: RLIMIT_MEMLOCK or memory).
 */
int loop_init(struct loop *loop, const struct loop_options *options);
void loop_fini(struct loop *loop);

/* Runs until loop_stop(); returns after the turn in which the stop was seen. */
void loop_run(struct loop *loop);

/* Ends loop_run() soon. Any thread. */
void loop_stop(struct loop *loop);

/*
 * A prepared-for-you submission queue entry whose completion goes to @op. Never NULL: a full queue
 * is submitted first. Fill it with io_uring_prep_*() AFTER this call, then bind it by loop_bind().
 */
struct io_uring_sqe *loop_sqe(struct loop *loop);

/* Directs the completion of @sqe to @op (user_data). Call after io_uring_prep_*(). */
static inline void loop_bind(struct io_uring_sqe *sqe, struct op *op)
{
	io_uring_sqe_set_data(sqe, op);
}

/*
 * As loop_sqe(), with room for @n (1 .. LOOP_IOVS) iovecs at *@iov that lasts until the request is
 * submitted: the kernel has read them by then.
 */
struct io_uring_sqe *loop_sqe_iovs(struct loop *loop, unsigned n, struct iovec **iov);

/*
 * The second half of the completion that `done` is being called for: 16 bytes, on a loop with
 * big_cqes, of requests that have them.
 */
static inline const void *loop_cqe_extra(const struct loop *loop)
{
	return loop->cqe + 1;
}

/*
 * Asks the kernel to cancel the request of @op; its `done` still comes (with -ECANCELED when that
 * succeeded). Harmless when it has completed.
 */
void loop_cancel(struct loop *loop, struct op *op);

/* Hands all requests that are prepared to the kernel, when what they name is about to go. */
void loop_submit(struct loop *loop);

/* (Re)starts @timer to fire @delay_ns from now. Its first use needs timer_init(). -ENOMEM possible. */
int loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ns);
void loop_timer_stop(struct loop *loop, struct timer *timer);
static inline void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	timer->expired = expired;
	timer->slot = -1;
}
static inline bool timer_running(const struct timer *timer)
{
	return timer->slot >= 0;
}

/* Queues @msg for @loop and wakes it. Any thread. The message belongs to the loop until delivered. */
void loop_post(struct loop *loop, struct msg *msg);

/*
 * Fixed file and fixed buffer tables: an index of the caller's choosing in 0..fixed_files-1, or for
 * the buffer of an area in 0..LOOP_AREAS-1. Returns 0 or a negative errno. @fd -1 or @iov NULL clears
 * the entry.
 */
int loop_file_set(struct loop *loop, unsigned index, int fd);
int loop_buffer_set(struct loop *loop, unsigned index, const struct iovec *iov);

/*
 * Place in the table of buffers where the dma-buf of area @slot is registered for I/O on the fixed
 * file @file: each pair has its own. -1 when the table has no room for it.
 */
int loop_dmabuf_index(const struct loop *loop, unsigned slot, unsigned file);

/*
 * Registers the whole dma-buf at that @index, for I/O on @target_fd: the same open file that is the
 * fixed file, not another open of its device. 0, or a negative errno of the kernel (regbuf.h);
 * loop_buffer_set(@index, NULL) undoes it. May block while devices map the memory.
 */
int loop_dmabuf_set(struct loop *loop, unsigned index, int dmabuf_fd, int target_fd);

/* What the owner of fixed file @index keeps for this loop; NULL until it is set. */
static inline void *loop_file_data(const struct loop *loop, unsigned index)
{
	return loop->file_data[index];
}

static inline void loop_file_data_set(struct loop *loop, unsigned index, void *data)
{
	loop->file_data[index] = data;
}

uint64_t clock_now_ns(void);

#endif
