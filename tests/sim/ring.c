/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In the place of base/loop.c: the same functions on a ring that is simulated. A turn is the same as
 * there, but nothing happens between turns that the schedule did not pick. Also what asks the kernel what
 * it can, and buffer rings.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/counter.h"
#include "base/limits.h"
#include "base/regbuf.h"
#include "base/sendzc.h"
#include "dmabuf/available.h"
#include "dmabuf/provider/provider.h"
#include "kernel.h"

struct completion {
	struct list link;
	struct op *op;
	int res;
	uint32_t flags;
};

struct ring {
	struct loop *loop;	   /* NULL: free */
	struct io_uring_sqe *sqes; /* sim.knobs.sq_entries */
	unsigned n_sqes;
	struct list completions;
	bool awake; /* something was posted, or the loop was never run */
	int *files;
	struct iovec buffers[LOOP_AREAS];
	struct io_uring_buf_ring *buf_ring;
	unsigned buf_entries;
	uint16_t buf_head;
};

static struct ring rings[MAX_WORKERS];
static struct list requests = LIST_INIT(requests);
static unsigned n_requests;

/* Only ordinary memory: what others can do asks the machine. */
const struct area_ops *const area_providers[] = { &area_anon, NULL };

void memory_available(const char *root, struct memory_available *available)
{
	(void)root;
	*available = (struct memory_available){ .bytes = UINT64_MAX / 2, .limit = "nothing" };
}

bool area_has_huge_pages(const struct area *area)
{
	(void)area;
	return sim.knobs.huge_pages;
}

int regbuf_probe(void)
{
	return -EOPNOTSUPP;
}

int regbuf_update(struct io_uring *ring, unsigned index, const struct regbuf_desc *desc)
{
	(void)ring;
	(void)index;
	(void)desc;
	return -EOPNOTSUPP;
}

int sendzc_probe(void)
{
	return sim.knobs.send_zc ? 0 : -EOPNOTSUPP;
}

uint64_t clock_now_ns(void)
{
	return sim.now_ns;
}

/* ------------------------------------------------------------------------------------------ rings */

static struct ring *ring_of(const struct loop *loop)
{
	return &rings[loop->mail_fd];
}

int loop_init(struct loop *loop, const struct loop_options *options)
{
	struct ring *ring = rings;

	while (ring->loop)
		ring++;
	*loop = (struct loop){
		.after_batch = options->after_batch,
		.poll = options->poll,
		.mail_fd = (int)(ring - rings),
		.now_ns = sim.now_ns,
		.n_files = MAX(options->fixed_files, 1u),
		.n_buffers = LOOP_AREAS,
	};
	list_init(&loop->mail);
	pthread_mutex_init(&loop->mail_lock, NULL);
	loop->iovs = sim_alloc(LOOP_IOVS * sizeof(*loop->iovs));
	loop->file_data = sim_alloc(loop->n_files * sizeof(*loop->file_data));
	*ring = (struct ring){ .loop = loop };
	list_init(&ring->completions);
	ring->sqes = sim_alloc(sim.knobs.sq_entries * sizeof(*ring->sqes));
	ring->files = sim_alloc(loop->n_files * sizeof(*ring->files));
	return 0;
}

static void request_free(struct request *request)
{
	list_del(&request->link);
	n_requests--;
	if (request->sock)
		socket_let_go(request->sock);
	else if (request->kind == REQUEST_DISK)
		disk_of(request->fd)->requests--;
	if (request->iov != &request->one)
		free(request->iov);
	free(request);
}

void loop_fini(struct loop *loop)
{
	struct ring *ring = ring_of(loop);
	struct list *node;

	list_for_each_safe(request, &requests, struct request, link)
		if (request->loop == loop)
			request_free(request);
	while ((node = list_pop(&ring->completions)))
		free(list_entry(node, struct completion, link));
	SIM_CHECK(!loop->heap_len, "a timer runs on a loop that ends");
	free(ring->sqes);
	free(ring->files);
	*ring = (struct ring){ 0 };
	pthread_mutex_destroy(&loop->mail_lock);
	free(loop->heap);
	free(loop->iovs);
	free(loop->file_data);
}

void loop_run(struct loop *loop)
{
	(void)loop;
	sim_fail("a simulated loop is run by turns");
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

int loop_file_set(struct loop *loop, unsigned index, int fd)
{
	SIM_CHECK(index < loop->n_files, "fixed file %u of %u", index, loop->n_files);
	ring_of(loop)->files[index] = fd;
	return 0;
}

int loop_buffer_set(struct loop *loop, unsigned index, const struct iovec *iov)
{
	static const struct iovec none;

	SIM_CHECK(index < LOOP_AREAS, "fixed buffer %u", index);
	if (iov && !sim.knobs.fixed_buffers)
		return -ENOMEM;
	ring_of(loop)->buffers[index] = iov ? *iov : none;
	return 0;
}

bool ring_buffer_has(const struct loop *loop, unsigned index, const void *p, size_t len)
{
	const struct iovec *buffer = &ring_of(loop)->buffers[index % LOOP_AREAS];
	const char *begin = buffer->iov_base, *at = p;

	return index < LOOP_AREAS && at >= begin && len <= buffer->iov_len &&
	       (size_t)(at - begin) <= buffer->iov_len - len;
}

int loop_dmabuf_index(const struct loop *loop, unsigned slot, unsigned file)
{
	(void)loop;
	(void)slot;
	(void)file;
	return -1;
}

int loop_dmabuf_set(struct loop *loop, unsigned index, int dmabuf_fd, int target_fd)
{
	(void)loop;
	(void)index;
	(void)dmabuf_fd;
	(void)target_fd;
	return -EOPNOTSUPP;
}

/* The application has a ring of its own memory, as with the kernel; @ring is of a loop. */
struct io_uring_buf_ring *io_uring_setup_buf_ring(struct io_uring *ring, unsigned entries,
						  int group, unsigned flags, int *err)
{
	struct ring *r = ring_of(container_of(ring, struct loop, ring));

	(void)flags;
	SIM_CHECK(!group && !r->buf_ring, "one buffer ring is simulated");
	r->buf_ring = sim_alloc(entries * sizeof(struct io_uring_buf));
	r->buf_entries = entries;
	*err = 0;
	return r->buf_ring;
}

int io_uring_free_buf_ring(struct io_uring *ring, struct io_uring_buf_ring *buffers,
			   unsigned entries, int group)
{
	struct ring *r = ring_of(container_of(ring, struct loop, ring));

	(void)entries;
	(void)group;
	SIM_CHECK(buffers == r->buf_ring, "the buffer ring of another loop");
	free(r->buf_ring);
	r->buf_ring = NULL;
	return 0;
}

unsigned sim_ring_buffers(const struct loop *loop)
{
	const struct ring *ring = ring_of(loop);

	return (uint16_t)(ring->buf_ring->tail - ring->buf_head);
}

bool ring_buffer_take(struct loop *loop, void **addr, uint32_t *len, uint16_t *id)
{
	struct ring *ring = ring_of(loop);
	const struct io_uring_buf *buf;

	if (!sim_ring_buffers(loop))
		return false;
	SIM_CHECK(sim_ring_buffers(loop) <= ring->buf_entries, "buffers were given back twice");
	buf = &ring->buf_ring->bufs[ring->buf_head++ & (ring->buf_entries - 1)];
	*addr = (void *)(uintptr_t)buf->addr;
	*len = buf->len;
	*id = buf->bid;
	return true;
}

/* ---------------------------------------------------------------------------------------- requests */

static void complete(struct loop *loop, struct op *op, int res, uint32_t flags)
{
	struct completion *completion = sim_alloc(sizeof(*completion));

	*completion = (struct completion){ .op = op, .res = res, .flags = flags };
	list_add_tail(&ring_of(loop)->completions, &completion->link);
}

void request_tell(struct request *request, int res, uint32_t flags)
{
	complete(request->loop, request->op, res, flags);
}

void request_end(struct request *request, int res, uint32_t flags)
{
	request_tell(request, res, flags);
	request_free(request);
}

/* What was sent of a request that waits for the rest counts. */
static void request_cancel(struct loop *loop, const struct op *op)
{
	list_for_each_safe(request, &requests, struct request, link) {
		if (request->loop != loop || request->op != op || request->kind == REQUEST_NOTIFY)
			continue;
		/* A disk does not give back what it has begun. */
		if (request->kind == REQUEST_DISK && sim_chance(500))
			return;
		request_end(request, request->moved ? (int)request->moved : -ECANCELED, 0);
		return;
	}
}

static void vector_take(struct request *request, const struct iovec *iov, unsigned n)
{
	request->iov = n == 1 ? &request->one : sim_alloc(n * sizeof(*iov));
	request->n_iov = n;
	memcpy(request->iov, iov, n * sizeof(*iov));
	for (unsigned i = 0; i < n; i++)
		request->len += iov[i].iov_len;
}

static void piece_take(struct request *request)
{
	const struct iovec iov = { (void *)(uintptr_t)request->sqe.addr, request->sqe.len };

	vector_take(request, &iov, 1);
}

static void message_take(struct request *request, enum request_kind kind)
{
	const struct msghdr *msg = (const struct msghdr *)(uintptr_t)request->sqe.addr;

	request->kind = kind;
	SIM_CHECK(msg->msg_iovlen && msg->msg_iovlen <= IOV_MAX, "a message of %zu pieces",
		  msg->msg_iovlen);
	vector_take(request, msg->msg_iov, (unsigned)msg->msg_iovlen);
}

/* What kind of request it is, and what it points at. */
static void request_read(struct request *request)
{
	const struct io_uring_sqe *sqe = &request->sqe;

	request->kind = REQUEST_DISK;
	request->iov = &request->one;
	switch (sqe->opcode) {
	case IORING_OP_NOP:
		request->kind = REQUEST_NOP;
		break;
	case IORING_OP_ACCEPT:
		request->kind = REQUEST_ACCEPT;
		break;
	case IORING_OP_RECV:
		request->kind = REQUEST_RECEIVE;
		piece_take(request);
		break;
	case IORING_OP_RECVMSG:
		message_take(request, REQUEST_RECEIVE);
		break;
	case IORING_OP_SENDMSG:
	case IORING_OP_SENDMSG_ZC:
		message_take(request, REQUEST_SEND);
		break;
	case IORING_OP_READ_FIXED:
	case IORING_OP_WRITE_FIXED:
		piece_take(request);
		break;
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
		vector_take(request, (const struct iovec *)(uintptr_t)sqe->addr, sqe->len);
		break;
	case IORING_OP_FSYNC:
	case IORING_OP_FALLOCATE:
	case IORING_OP_URING_CMD:
		break;
	default:
		sim_fail("request with opcode %u is not simulated", sqe->opcode);
	}
}

static void submit_one(struct loop *loop, const struct io_uring_sqe *sqe)
{
	struct request *request;

	if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
		request_cancel(loop, (struct op *)(uintptr_t)sqe->addr);
		return;
	}
	/* The listener was closed in the turn that asked for more. */
	if (sqe->opcode == IORING_OP_ACCEPT && !socket_is_open(sqe->fd)) {
		complete(loop, (struct op *)(uintptr_t)sqe->user_data, -EBADF, 0);
		return;
	}
	request = sim_alloc(sizeof(*request));
	request->loop = loop;
	request->op = (struct op *)(uintptr_t)sqe->user_data;
	request->sqe = *sqe;
	request_read(request);
	if (request->kind == REQUEST_DISK) {
		SIM_CHECK(sqe->flags & IOSQE_FIXED_FILE && (unsigned)sqe->fd < loop->n_files,
			  "a disk's request without its fixed file");
		request->fd = ring_of(loop)->files[sqe->fd];
		disk_of(request->fd)->requests++;
	} else if (request->kind != REQUEST_NOP) {
		request->sock = socket_of(sqe->fd);
		socket_hold(request->sock);
	}
	list_add_tail(&requests, &request->link);
	n_requests++;
}

void loop_submit(struct loop *loop)
{
	struct ring *ring = ring_of(loop);

	for (unsigned i = 0; i < ring->n_sqes; i++)
		submit_one(loop, &ring->sqes[i]);
	ring->n_sqes = 0;
	/* What has been read need not last, and is made useless so that it shows if it has to. */
	for (unsigned i = 0; i < loop->iovs_used; i++)
		loop->iovs[i] = (struct iovec){ (void *)8, SIZE_MAX };
	loop->iovs_used = 0;
}

struct io_uring_sqe *loop_sqe(struct loop *loop)
{
	struct ring *ring = ring_of(loop);
	struct io_uring_sqe *sqe;

	if (ring->n_sqes == sim.knobs.sq_entries)
		loop_submit(loop);
	sqe = &ring->sqes[ring->n_sqes++];
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

struct io_uring_sqe *loop_sqe_iovs(struct loop *loop, unsigned n, struct iovec **iov)
{
	struct io_uring_sqe *sqe;

	SIM_CHECK(n && n <= LOOP_IOVS, "%u iovecs", n);
	if (loop->iovs_used + n > LOOP_IOVS)
		loop_submit(loop);
	sqe = loop_sqe(loop);
	*iov = loop->iovs + loop->iovs_used;
	loop->iovs_used += n;
	return sqe;
}

void loop_cancel(struct loop *loop, struct op *op)
{
	io_uring_prep_cancel(loop_sqe(loop), op, 0);
}

static bool request_try(struct request *request)
{
	switch (request->kind) {
	case REQUEST_NOP:
		request_end(request, 0, 0);
		return true;
	case REQUEST_ACCEPT:
		return socket_accept(request);
	case REQUEST_RECEIVE:
		return socket_receive(request);
	case REQUEST_SEND:
		return socket_send(request);
	case REQUEST_NOTIFY:
		return socket_notify(request);
	case REQUEST_DISK:
		return disk_request(request);
	}
	return false;
}

bool sim_kernel_step(void)
{
	uint32_t skip = sim_below(n_requests);

	list_for_each_safe(request, &requests, struct request, link)
		if (!skip--)
			return request_try(request);
	return false;
}

bool sim_kernel_disk_step(uint32_t nth)
{
	enum sim_pace pace = sim.disks;
	uint32_t n = 0;

	list_for_each(request, &requests, struct request, link)
		n += request->kind == REQUEST_DISK;
	if (!n)
		return false;
	nth %= n;
	sim.disks = SIM_DISKS_PROMPT;
	list_for_each_safe(request, &requests, struct request, link) {
		if (request->kind == REQUEST_DISK && !nth--) {
			request_try(request);
			break;
		}
	}
	sim.disks = pace;
	return true;
}

bool sim_kernel_sweep(void)
{
	bool any = false;

	list_for_each_safe(request, &requests, struct request, link)
		any |= request_try(request);
	return any;
}

/* ------------------------------------------------------------------------------------------ timers */

int loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ns)
{
	timer->deadline_ns = sim.now_ns + delay_ns;
	if (timer_running(timer))
		return 0;
	if (loop->heap_len == loop->heap_cap) {
		loop->heap_cap = 2 * loop->heap_cap + 8;
		loop->heap = realloc(loop->heap, loop->heap_cap * sizeof(struct timer *));
		SIM_CHECK(loop->heap, "no memory for the simulation itself");
	}
	timer->slot = (int)loop->heap_len;
	loop->heap[loop->heap_len++] = timer;
	return 0;
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	struct timer *last;

	if (!timer_running(timer))
		return;
	SIM_CHECK((unsigned)timer->slot < loop->heap_len && loop->heap[timer->slot] == timer,
		  "a timer that is not the loop's is stopped");
	last = loop->heap[--loop->heap_len];
	loop->heap[timer->slot] = last;
	last->slot = timer->slot;
	timer->slot = -1;
}

static struct timer *timer_first(const struct loop *loop)
{
	struct timer *first = NULL;

	for (unsigned i = 0; i < loop->heap_len; i++)
		if (!first || loop->heap[i]->deadline_ns < first->deadline_ns)
			first = loop->heap[i];
	return first;
}

static void timers_run(struct loop *loop)
{
	struct timer *timer;

	while ((timer = timer_first(loop)) && timer->deadline_ns <= loop->now_ns) {
		loop_timer_stop(loop, timer);
		timer->expired(timer);
	}
}

uint64_t sim_next_timer_ns(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		const struct timer *timer = rings[i].loop ? timer_first(rings[i].loop) : NULL;

		if (timer)
			next = MIN(next, timer->deadline_ns);
	}
	return next;
}

/* ------------------------------------------------------------------------------------------- turns */

void loop_post(struct loop *loop, struct msg *msg)
{
	list_add_tail(&loop->mail, &msg->link);
}

static void mail_deliver(struct loop *loop)
{
	struct list mail = LIST_INIT(mail), *node;

	list_splice_tail(&mail, &loop->mail);
	while ((node = list_pop(&mail))) {
		struct msg *msg = list_entry(node, struct msg, link);

		msg->deliver(msg);
	}
}

static void reap(struct loop *loop)
{
	struct ring *ring = ring_of(loop);
	unsigned most = 1 + sim_below(MIN(sim.knobs.batch, (unsigned)LOOP_BATCH));
	struct list *node;

	while (most-- && (node = list_pop(&ring->completions))) {
		struct completion *completion = list_entry(node, struct completion, link);

		if (completion->op)
			completion->op->done(completion->op, completion->res, completion->flags);
		free(completion);
	}
}

bool sim_loop_ready(const struct loop *loop)
{
	const struct ring *ring = ring_of(loop);
	const struct timer *timer = timer_first(loop);

	return ring->n_sqes || !list_empty(&ring->completions) || !list_empty(&loop->mail) ||
	       (timer && timer->deadline_ns <= sim.now_ns);
}

void sim_turn(struct loop *loop)
{
	bool mail_first = sim_chance(500);

	loop_submit(loop);
	loop->now_ns = sim.now_ns;
	sim.turning = true;
	timers_run(loop);
	/* The mail comes by a request of its own, before or after others. */
	if (mail_first)
		mail_deliver(loop);
	reap(loop);
	if (!mail_first)
		mail_deliver(loop);
	counter_add(&loop->stats.turns, 1);
	if (loop->after_batch)
		loop->after_batch(loop);
	sim.turning = false;
}

void sim_kernel_check_empty(void)
{
	for (unsigned i = 0; i < MAX_WORKERS; i++)
		SIM_CHECK(!rings[i].loop, "ring %u is left", i);
	SIM_CHECK(!n_requests, "%u requests are left", n_requests);
	SIM_CHECK(!socket_count(false), "%u sockets are left", socket_count(false));
}
