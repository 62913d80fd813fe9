/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"
#include "base/regbuf.h"

/*
 * A wait is spun through when the gap before it was at most this many times the budget: a blocked
 * wait measures the wake-up of a sleeping CPU too, so it looks longer than what a spin would see.
 */
enum { SPIN_GAP_FACTOR = 4 };

uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int ring_create(struct loop *loop, const struct loop_options *options)
{
	/* Best first. CQE_MIXED needs 6.18, NO_SQARRAY 6.6, DEFER_TASKRUN 6.1, SINGLE_ISSUER 6.0. */
	static const struct {
		unsigned flags;
		bool big_cqes;
	} kinds[] = {
		{ IORING_SETUP_NO_SQARRAY | IORING_SETUP_CQE_MIXED, true },
		{ IORING_SETUP_NO_SQARRAY | IORING_SETUP_CQE32, true },
		{ IORING_SETUP_NO_SQARRAY, false },
		{ 0, false },
	};
	int rc = -EINVAL;

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct io_uring_params params = {
			.flags = kinds[i].flags | IORING_SETUP_SINGLE_ISSUER |
				 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
				 IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
				 IORING_SETUP_R_DISABLED,
			.cq_entries = options->cq_entries,
		};

		if (kinds[i].big_cqes && !options->big_cqes)
			continue;

		rc = io_uring_queue_init_params(options->sq_entries, &loop->ring, &params);
		if (rc != -EINVAL)
			return rc;
	}
	return rc;
}

static void mail_arm(struct loop *loop)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	io_uring_prep_read(sqe, loop->mail_fd, &loop->mail_value, sizeof(loop->mail_value), 0);
	loop_bind(sqe, &loop->mail_op);
}

static void mail_received(struct op *op, int res, uint32_t flags)
{
	struct loop *loop = container_of(op, struct loop, mail_op);
	struct list mail = LIST_INIT(mail), *node;

	(void)res;
	(void)flags;
	assert(res > 0 || res == -ECANCELED || res == -EAGAIN);
	pthread_mutex_lock(&loop->mail_lock);
	list_splice_tail(&mail, &loop->mail);
	pthread_mutex_unlock(&loop->mail_lock);
	while ((node = list_pop(&mail))) {
		struct msg *msg = list_entry(node, struct msg, link);

		msg->deliver(msg);
	}
	mail_arm(loop);
}

/* Buffers: one of each area, then one of each area for each file. */
static int tables_create(struct loop *loop, unsigned n_files)
{
	uint64_t n_buffers = LOOP_AREAS + (uint64_t)LOOP_AREAS * n_files;
	int rc;

	loop->file_data = calloc(n_files, sizeof(*loop->file_data));
	loop->iovs = calloc(LOOP_IOVS, sizeof(*loop->iovs));
	if (!loop->file_data || !loop->iovs)
		return -ENOMEM;
	loop->n_files = n_files;
	loop->n_buffers = (unsigned)MIN(n_buffers, (uint64_t)LOOP_MAX_BUFFERS);
	rc = io_uring_register_files_sparse(&loop->ring, loop->n_files);
	if (rc)
		return rc;
	loop->files_registered = true;
	rc = io_uring_register_buffers_sparse(&loop->ring, loop->n_buffers);
	if (rc)
		return rc;
	loop->buffers_registered = true;
	return 0;
}

int loop_init(struct loop *loop, const struct loop_options *options)
{
	int rc;

	*loop = (struct loop){
		.after_batch = options->after_batch,
		.poll = options->poll,
		.spin_us = options->spin_us,
		.mail_fd = -1,
		.mail_op.done = mail_received,
		.now_ns = clock_now_ns(),
		.last_gap_ns = UINT64_MAX,
	};
	list_init(&loop->mail);
	pthread_mutex_init(&loop->mail_lock, NULL);
	rc = ring_create(loop, options);
	if (rc) {
		pthread_mutex_destroy(&loop->mail_lock);
		return rc;
	}
	loop->mail_fd = eventfd(0, EFD_CLOEXEC);
	if (loop->mail_fd < 0) {
		rc = -errno;
		goto fail;
	}
	rc = tables_create(loop, MAX(options->fixed_files, 1u));
	if (rc)
		goto fail;
	return 0;
fail:
	loop_fini(loop);
	return rc;
}

void loop_fini(struct loop *loop)
{
	io_uring_queue_exit(&loop->ring);
	if (loop->mail_fd >= 0)
		close(loop->mail_fd);
	pthread_mutex_destroy(&loop->mail_lock);
	free(loop->heap);
	free(loop->file_data);
	free(loop->iovs);
}

void loop_submit(struct loop *loop)
{
	int rc = io_uring_submit(&loop->ring);

	counter_add(&loop->stats.enters, 1);
	/* EBUSY and EAGAIN: completions wait; taking them in makes room. */
	if (rc < 0 && rc != -EINTR)
		io_uring_get_events(&loop->ring);
}

struct io_uring_sqe *loop_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	while (unlikely(!sqe)) {
		loop_submit(loop);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	return sqe;
}

/* No more than @own requests wait to be submitted, and they use no iovecs: all of these are free. */
static void iovs_reclaim(struct loop *loop, unsigned own)
{
	if (io_uring_sq_ready(&loop->ring) == own)
		loop->iovs_used = 0;
}

struct io_uring_sqe *loop_sqe_iovs(struct loop *loop, unsigned n, struct iovec **iov)
{
	struct io_uring_sqe *sqe;

	assert(n && n <= LOOP_IOVS);
	iovs_reclaim(loop, 0);
	while (unlikely(loop->iovs_used + n > LOOP_IOVS)) {
		loop_submit(loop);
		iovs_reclaim(loop, 0);
	}
	sqe = loop_sqe(loop);
	iovs_reclaim(loop, 1); /* that may have submitted all others */
	*iov = loop->iovs + loop->iovs_used;
	loop->iovs_used += n;
	return sqe;
}

void loop_cancel(struct loop *loop, struct op *op)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	io_uring_prep_cancel(sqe, op, 0);
	/* The answer of the cancel itself says nothing that `done` of @op does not say. */
	io_uring_sqe_set_data(sqe, NULL);
}

static void mail_wake(struct loop *loop)
{
	const uint64_t one = 1;

	/* Fails only when 2^64 - 2 wake-ups are pending: then the loop will wake anyway. */
	if (write(loop->mail_fd, &one, sizeof(one)) < 0)
		return;
}

void loop_post(struct loop *loop, struct msg *msg)
{
	bool first;

	pthread_mutex_lock(&loop->mail_lock);
	first = list_empty(&loop->mail);
	list_add_tail(&loop->mail, &msg->link);
	pthread_mutex_unlock(&loop->mail_lock);
	/* Who finds mail there leaves the waking to who put it there: it is taken out all at once. */
	if (first)
		mail_wake(loop);
}

void loop_stop(struct loop *loop)
{
	__atomic_store_n(&loop->stopping, true, __ATOMIC_RELEASE);
	mail_wake(loop);
}

int loop_file_set(struct loop *loop, unsigned index, int fd)
{
	int rc = io_uring_register_files_update(&loop->ring, index, &fd, 1);

	return rc < 0 ? rc : 0;
}

int loop_buffer_set(struct loop *loop, unsigned index, const struct iovec *iov)
{
	static const struct iovec none;
	__u64 tag = 0;
	int rc = io_uring_register_buffers_update_tag(&loop->ring, index, iov ? iov : &none, &tag,
						      1);

	return rc < 0 ? rc : 0;
}

int loop_dmabuf_index(const struct loop *loop, unsigned slot, unsigned file)
{
	uint64_t index = LOOP_AREAS + (uint64_t)slot * loop->n_files + file;

	assert(slot < LOOP_AREAS && file < loop->n_files);
	return index < loop->n_buffers ? (int)index : -1;
}

int loop_dmabuf_set(struct loop *loop, unsigned index, int dmabuf_fd, int target_fd)
{
	const struct regbuf_desc desc = {
		.type = REGBUF_DMABUF,
		.dmabuf_fd = dmabuf_fd,
		.target_fd = target_fd,
	};

	return regbuf_update(&loop->ring, index, &desc);
}

/* ---------------------------------------------------------------------------- timers: a binary heap */

static void heap_place(struct loop *loop, unsigned slot, struct timer *timer)
{
	loop->heap[slot] = timer;
	timer->slot = (int)slot;
}

static void heap_up(struct loop *loop, unsigned slot)
{
	struct timer *timer = loop->heap[slot];

	while (slot > 0) {
		unsigned parent = (slot - 1) / 2;

		if (loop->heap[parent]->deadline_ns <= timer->deadline_ns)
			break;
		heap_place(loop, slot, loop->heap[parent]);
		slot = parent;
	}
	heap_place(loop, slot, timer);
}

static void heap_down(struct loop *loop, unsigned slot)
{
	struct timer *timer = loop->heap[slot];

	for (;;) {
		unsigned child = 2 * slot + 1;

		if (child >= loop->heap_len)
			break;
		if (child + 1 < loop->heap_len &&
		    loop->heap[child + 1]->deadline_ns < loop->heap[child]->deadline_ns)
			child++;
		if (timer->deadline_ns <= loop->heap[child]->deadline_ns)
			break;
		heap_place(loop, slot, loop->heap[child]);
		slot = child;
	}
	heap_place(loop, slot, timer);
}

int loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ns)
{
	timer->deadline_ns = clock_now_ns() + delay_ns;
	if (timer_running(timer)) {
		heap_up(loop, (unsigned)timer->slot);
		heap_down(loop, (unsigned)timer->slot);
		return 0;
	}
	if (loop->heap_len == loop->heap_cap) {
		unsigned cap = loop->heap_cap ? 2 * loop->heap_cap : 64;
		struct timer **heap = realloc(loop->heap, cap * sizeof(struct timer *));

		if (!heap)
			return -ENOMEM;
		loop->heap = heap;
		loop->heap_cap = cap;
	}
	heap_place(loop, loop->heap_len++, timer);
	heap_up(loop, (unsigned)timer->slot);
	return 0;
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	unsigned slot = (unsigned)timer->slot;
	struct timer *last;

	if (!timer_running(timer))
		return;
	assert(loop->heap[slot] == timer);
	timer->slot = -1;
	last = loop->heap[--loop->heap_len];
	if (last == timer)
		return;
	heap_place(loop, slot, last);
	heap_up(loop, slot);
	heap_down(loop, (unsigned)last->slot);
}

static void timers_run(struct loop *loop)
{
	while (loop->heap_len && loop->heap[0]->deadline_ns <= loop->now_ns) {
		struct timer *timer = loop->heap[0];

		loop_timer_stop(loop, timer);
		timer->expired(timer);
	}
}

/* ------------------------------------------------------------------------------------------- turns */

static bool loop_poll(struct loop *loop, bool arm)
{
	return loop->poll && loop->poll(loop, arm);
}

/* Completions, or task work that would make some, are there without asking the kernel; or other work was. */
static bool loop_has_work(struct loop *loop)
{
	return io_uring_cq_ready(&loop->ring) ||
	       (IO_URING_READ_ONCE(*loop->ring.sq.kflags) &
		(IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) ||
	       loop_poll(loop, false);
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Busy waits within the budget, without system calls. True when work came. */
static bool loop_spin(struct loop *loop)
{
	uint64_t budget_ns = (uint64_t)loop->spin_us * 1000, begin_ns, spun_ns;
	bool work = false;

	if (!budget_ns || loop->last_gap_ns > budget_ns * SPIN_GAP_FACTOR)
		return false;
	begin_ns = clock_now_ns();
	do {
		for (int i = 0; i < 32 && !work; i++) {
			work = loop_has_work(loop);
			if (!work)
				cpu_relax();
		}
		spun_ns = clock_now_ns() - begin_ns;
	} while (!work && spun_ns < budget_ns);
	counter_add(&loop->stats.spin_ns, spun_ns);
	return work;
}

/* Gives the CPU away until there is a completion, or the first timer's time has come. */
static void loop_block(struct loop *loop)
{
	struct io_uring_cqe *cqe;

	TRACE(worker_wait, 8@%[loop], TRACE_IN(loop, loop));
	if (loop->heap_len) {
		uint64_t now = clock_now_ns(), deadline = loop->heap[0]->deadline_ns;
		uint64_t left = deadline > now ? deadline - now : 0;
		struct __kernel_timespec ts = { .tv_sec = (long long)(left / 1000000000u),
						.tv_nsec = (long long)(left % 1000000000u) };

		io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &ts, NULL);
	} else {
		io_uring_submit_and_wait(&loop->ring, 1);
	}
	TRACE(worker_wake, 8@%[loop], TRACE_IN(loop, loop));
}

static void loop_wait(struct loop *loop)
{
	uint64_t begin_ns = clock_now_ns();

	/* What was asked for goes to the kernel first; it may complete at once. */
	io_uring_submit_and_get_events(&loop->ring);
	counter_add(&loop->stats.enters, 1);
	if (io_uring_cq_ready(&loop->ring)) {
		loop->now_ns = clock_now_ns();
		return;
	}
	if (loop_spin(loop)) {
		counter_add(&loop->stats.spins, 1);
		io_uring_get_events(&loop->ring);
		counter_add(&loop->stats.enters, 1);
	} else if (loop_poll(loop, true)) {
		counter_add(&loop->stats.spins, 1);
	} else {
		loop_block(loop);
		counter_add(&loop->stats.enters, 1);
		counter_add(&loop->stats.waits, 1);
	}
	loop->now_ns = clock_now_ns();
	loop->last_gap_ns = loop->now_ns - begin_ns;
}

static unsigned loop_reap(struct loop *loop)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0, slots = 0;

	io_uring_for_each_cqe(&loop->ring, head, cqe) {
		struct op *op = io_uring_cqe_get_data(cqe);

		/* A batch is bounded so that what it produced goes out in time. */
		if (n == LOOP_BATCH)
			break;
		n++;
		slots += io_uring_cqe_nr(cqe);
		loop->cqe = cqe;
		if (op)
			op->done(op, cqe->res, cqe->flags);
	}
	io_uring_cq_advance(&loop->ring, slots);
	return n;
}

void loop_run(struct loop *loop)
{
	int rc = io_uring_enable_rings(&loop->ring);

	/* The ring must belong to this thread from here on; there is no going on without. */
	if (rc) {
		log_error("cannot enable the io_uring ring: %s; ending", strerror(-rc));
		_exit(EXIT_FAILURE);
	}
	io_uring_register_ring_fd(&loop->ring); /* saves a lookup a call; works without */
	mail_arm(loop);
	while (!__atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE)) {
		loop_wait(loop);
		timers_run(loop);
		counter_add(&loop->stats.cqes, loop_reap(loop));
		counter_add(&loop->stats.turns, 1);
		if (loop->after_batch)
			loop->after_batch(loop);
	}
}
