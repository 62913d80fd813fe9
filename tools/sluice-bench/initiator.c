/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "tcp.h"

enum {
	TICK_NS = 100 * 1000 * 1000,
	SPIN_CLOCK_EVERY = 256, /* looks at the completion queue between two looks at the clock */
	TEARDOWN_WAIT_NS = 100 * 1000 * 1000,
};

static void fail_text(struct initiator *in, bool may_retry, const char *prefix, const char *fmt,
		      va_list ap)
{
	int n;

	if (in->failed)
		return;
	in->failed = true;
	in->may_retry = may_retry;
	n = snprintf(in->error, sizeof(in->error), "%s: %s", in->options.peer, prefix);
	vsnprintf(in->error + n, sizeof(in->error) - (size_t)n, fmt, ap);
}

void initiator_fail(struct initiator *in, bool may_retry, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_text(in, may_retry, "", fmt, ap);
	va_end(ap);
}

void initiator_violation(struct queue *q, const char *fmt, ...)
{
	char prefix[48];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "protocol violation on queue %u: ", q->qid);
	va_start(ap, fmt);
	fail_text(q->in, false, prefix, fmt, ap);
	va_end(ap);
}

void initiator_queue_dirty(struct queue *q)
{
	if (q->dirty)
		return;
	q->dirty = true;
	q->in->dirty[q->in->n_dirty++] = q;
}

/* ------------------------------------------------------------------------------------------- ring */

/* The best flags first; what a kernel does not know it refuses with EINVAL. */
static int ring_init(struct initiator *in)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
			IORING_SETUP_NO_SQARRAY,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int rc = -EINVAL;

	for (unsigned i = 0; i < ARRAY_SIZE(flags) && rc == -EINVAL; i++) {
		struct io_uring_params p = { .flags = flags[i] | IORING_SETUP_CQSIZE,
					     .cq_entries = 1024 };

		rc = io_uring_queue_init_params(512, &in->ring, &p);
		in->has_taskrun_flag = flags[i] & IORING_SETUP_TASKRUN_FLAG;
	}
	if (rc == 0)
		io_uring_register_ring_fd(&in->ring);
	return rc;
}

struct io_uring_sqe *initiator_sqe(struct initiator *in)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&in->ring);

	if (!sqe) {
		io_uring_submit(&in->ring);
		sqe = io_uring_get_sqe(&in->ring);
	}
	in->in_flight++;
	return sqe;
}

/* user_data: the queue, with the kind of request in the lowest bits. */
void initiator_sqe_bind(struct io_uring_sqe *sqe, struct queue *q, unsigned kind)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)q | kind);
}

void initiator_sqe_cancel(struct queue *q, unsigned kind)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->in->ring);

	/* Without room the teardown, which waits for all requests, cancels them a moment later. */
	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)q | kind, 0);
	io_uring_sqe_set_data64(sqe, 0);
}

static void flush(struct initiator *in)
{
	for (unsigned i = 0; i < in->n_dirty; i++) {
		in->dirty[i]->dirty = false;
		in->fabric->queue_flush(in->dirty[i]);
	}
	in->n_dirty = 0;
}

static void spin(struct initiator *in, uint64_t deadline_ns)
{
	struct io_uring *ring = &in->ring;
	unsigned n = 0;

	while (!io_uring_cq_ready(ring)) {
		if (in->fabric->harvest && in->fabric->harvest(in, false))
			break;
		if (++n % SPIN_CLOCK_EVERY == 0 && clock_now_ns() >= deadline_ns)
			break;
		/* The flag may be left from work that is done by now, and stay until more comes. */
		if (!in->has_taskrun_flag ||
		    IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_TASKRUN) {
			in->counters.enters++;
			io_uring_get_events(ring);
		} else {
			__builtin_ia32_pause();
		}
	}
}

static void submit_and_wait(struct initiator *in, uint64_t timeout_ns)
{
	struct io_uring *ring = &in->ring;
	uint64_t now = clock_now_ns();
	uint64_t wait_ns = MIN(timeout_ns, in->next_tick_ns > now ? in->next_tick_ns - now : 0);
	struct __kernel_timespec ts = { .tv_sec = (long long)(wait_ns / 1000000000u),
					.tv_nsec = (long long)(wait_ns % 1000000000u) };
	struct io_uring_cqe *cqe;

	in->counters.turns++;
	if (in->options.spin || wait_ns == 0) {
		if (io_uring_sq_ready(ring) || wait_ns == 0) {
			in->counters.enters++;
			io_uring_submit_and_get_events(ring);
		}
		if (wait_ns)
			spin(in, now + wait_ns);
		return;
	}
	in->counters.enters++;
	io_uring_submit_and_wait_timeout(ring, &cqe, 1, &ts, NULL);
}

/* ------------------------------------------------------------------------------------ completions */

static void reap(struct initiator *in)
{
	const uint64_t kind_mask = INITIATOR_KINDS - 1;
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&in->ring, head, cqe) {
		uint64_t data = io_uring_cqe_get_data64(cqe);
		struct queue *q = (struct queue *)(uintptr_t)(data & ~kind_mask);

		n++;
		if (!q)
			continue;
		in->in_flight--;
		in->fabric->ring_done(q, (unsigned)(data & kind_mask), cqe->res, cqe->flags);
	}
	io_uring_cq_advance(&in->ring, n);
}

/* Whether completions came that the ring knows nothing of: then the turn need not wait for it. */
static bool harvest(struct initiator *in)
{
	if (!in->fabric->harvest || in->now_ns >= in->next_tick_ns)
		return false;
	return in->fabric->harvest(in, !in->options.spin);
}

int initiator_poll(struct initiator *in, uint64_t timeout_ns)
{
	if (in->state != INITIATOR_UP)
		return -ENOTCONN;
	flush(in);
	if (!harvest(in)) {
		submit_and_wait(in, timeout_ns);
		in->now_ns = clock_now_ns();
		reap(in);
	}
	if (in->now_ns >= in->next_tick_ns && !in->failed) {
		in->next_tick_ns = in->now_ns + TICK_NS;
		initiator_tick(in);
	}
	if (!in->failed)
		return 0;
	initiator_teardown(in);
	return -ECONNRESET;
}

int initiator_wait(struct initiator *in, const bool *flag, uint32_t timeout_ms, const char *what)
{
	uint64_t deadline = clock_now_ns() + timeout_ms * 1000000ull;

	while (!*flag) {
		int rc = initiator_poll(in, TICK_NS);

		if (rc)
			return rc;
		if (in->now_ns >= deadline && !*flag) {
			initiator_fail(in, true, "no answer to %s within %u ms", what, timeout_ms);
			initiator_teardown(in);
			return -ECONNRESET;
		}
	}
	return 0;
}

/* --------------------------------------------------------------------------------------- life */

static void cancel_all(struct initiator *in)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&in->ring);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY);
	io_uring_sqe_set_data64(sqe, 0);
}

void initiator_teardown(struct initiator *in)
{
	struct __kernel_timespec ts = { .tv_nsec = TEARDOWN_WAIT_NS };
	struct io_uring_cqe *cqe;

	in->failed = true;
	in->state = INITIATOR_DOWN;
	in->n_dirty = 0;
	for (unsigned i = 0; i < in->n_queues; i++) {
		in->queues[i]->dirty = false;
		if (in->queues[i]->open)
			in->fabric->queue_break(in->queues[i]);
	}
	while (in->in_flight) {
		/* A broken connection ends its requests; what is left after a moment is cancelled. */
		if (io_uring_submit_and_wait_timeout(&in->ring, &cqe, 1, &ts, NULL) == -ETIME)
			cancel_all(in);
		reap(in);
	}
	for (unsigned i = 0; i < in->n_queues; i++) {
		struct queue *q = in->queues[i];

		if (!q->open)
			continue;
		in->fabric->queue_close(q);
		q->open = false;
		queue_abandon(q);
	}
	if (in->fabric->assoc_close)
		in->fabric->assoc_close(in);
}

int initiator_init(struct initiator **out, const struct initiator_options *options)
{
	unsigned n = options->queues + 1;
	struct initiator *in = calloc(1, sizeof(*in));
	int rc;

	if (!in)
		return -ENOMEM;
	in->options = *options;
	in->fabric = options->transport == INITIATOR_RDMA ? &rdma_fabric : &tcp_fabric;
	in->ring.ring_fd = -1;
	in->queues = calloc(n, sizeof(struct queue *));
	in->dirty = calloc(n, sizeof(struct queue *));
	rc = in->queues && in->dirty ? 0 : -ENOMEM;
	for (unsigned i = 0; i < n && !rc; i++) {
		uint32_t entries = i ? options->depth + 1 : INITIATOR_ADMIN_ENTRIES;

		rc = queue_new(&in->queues[i], in, (uint16_t)i, entries);
		in->n_queues += rc == 0;
	}
	if (!rc)
		rc = ring_init(in);
	if (rc) {
		in->ring.ring_fd = -1;
		initiator_fini(in);
		return rc;
	}
	*out = in;
	return 0;
}

int initiator_adopt(struct initiator *in, const int *fds, unsigned n)
{
	if (n + 1 > in->n_queues || in->fabric != &tcp_fabric)
		return -EINVAL;
	in->failed = false;
	in->state = INITIATOR_UP;
	in->n_io = n;
	in->io_entries = in->options.depth + 1;
	in->max_transfer = UINT32_MAX;
	in->now_ns = clock_now_ns();
	in->next_tick_ns = in->now_ns + TICK_NS;
	for (unsigned i = 1; i <= n; i++)
		tcp_adopt(in->queues[i], fds[i - 1]);
	return 0;
}

void initiator_assume(struct initiator *in, uint32_t in_capsule, uint32_t maxh2cdata)
{
	for (unsigned i = 1; i < in->n_queues; i++) {
		in->queues[i]->in_capsule = in_capsule;
		tcp_assume(in->queues[i], maxh2cdata);
	}
}

int initiator_region_add(struct initiator *in, void *base, size_t len)
{
	for (unsigned i = 0; i < INITIATOR_REGIONS; i++) {
		if (in->regions[i].base)
			continue;
		in->regions[i] = (struct region){ .base = base, .len = len };
		return in->fabric->region_add ? in->fabric->region_add(in, i) : 0;
	}
	return -ENOSPC;
}

void initiator_region_remove(struct initiator *in, const void *base)
{
	for (unsigned i = 0; i < INITIATOR_REGIONS; i++) {
		if (in->regions[i].base != base)
			continue;
		if (in->fabric->region_remove)
			in->fabric->region_remove(in, i);
		in->regions[i].base = NULL;
	}
}

bool initiator_places_data(const struct initiator *in)
{
	return in->fabric->region_add;
}

int initiator_submit(struct initiator *in, unsigned qid, struct initiator_cmd *cmd)
{
	if (in->state != INITIATOR_UP)
		return -ENOTCONN;
	if (qid > in->n_io || !in->queues[qid]->open)
		return -EINVAL;
	return queue_submit(in->queues[qid], cmd);
}

const char *initiator_error(const struct initiator *in)
{
	return in->error;
}

bool initiator_may_retry(const struct initiator *in)
{
	return in->may_retry;
}

const struct nvme_id_ctrl *initiator_ctrl(const struct initiator *in)
{
	return &in->id;
}

uint64_t initiator_cap(const struct initiator *in)
{
	return in->cap;
}

uint16_t initiator_cntlid(const struct initiator *in)
{
	return in->cntlid;
}

unsigned initiator_queues(const struct initiator *in)
{
	return in->n_io;
}

unsigned initiator_depth(const struct initiator *in)
{
	return in->io_entries - 1;
}

uint32_t initiator_max_transfer(const struct initiator *in)
{
	return in->max_transfer;
}

uint32_t initiator_in_capsule(const struct initiator *in)
{
	return in->n_io ? in->queues[1]->in_capsule : 0;
}

bool initiator_sqflow_disabled(const struct initiator *in)
{
	return in->n_io && !in->queues[1]->sqflow;
}

const struct initiator_counters *initiator_counters(const struct initiator *in)
{
	return &in->counters;
}

uint64_t initiator_now_ns(const struct initiator *in)
{
	return in->now_ns;
}
