/* SPDX-License-Identifier: GPL-2.0-only */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring.h"
#include "selftest.h"

enum {
	REISSUES_MAX = 5000,
	REISSUE_PAUSE_MS = 1,
	REISSUES_WITHOUT_PAUSE = 100,
};

static unsigned int *at(void *map, uint32_t offset)
{
	return (unsigned int *)((char *)map + offset);
}

/* Completions may be twice as large: a shift for their number. */
static unsigned int cqe_shift(const struct ring *ring)
{
	return ring->setup_flags & IORING_SETUP_CQE32 ? 1 : 0;
}

static int rings_map(struct ring *ring, const struct io_uring_params *params)
{
	size_t sq_len = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	size_t cq_len = params->cq_off.cqes +
			(params->cq_entries * sizeof(struct io_uring_cqe) << cqe_shift(ring));
	void *sqes;

	ring->map_len = sq_len > cq_len ? sq_len : cq_len;
	ring->map = mmap(NULL, ring->map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			 ring->fd, IORING_OFF_SQ_RING);
	if (ring->map == MAP_FAILED)
		return -errno;
	sqes = mmap(NULL, params->sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (sqes == MAP_FAILED) {
		int rc = -errno;

		munmap(ring->map, ring->map_len);
		return rc;
	}
	ring->sqes = sqes;
	return 0;
}

int ring_open(struct ring *ring, unsigned int entries, unsigned int setup_flags)
{
	struct io_uring_params params = { .flags = setup_flags, .sq_thread_idle = 50 };
	int rc;

	*ring = (struct ring){ .setup_flags = setup_flags };
	ring->fd = (int)syscall(SYS_io_uring_setup, entries, &params);
	if (ring->fd < 0)
		return -errno;
	rc = params.features & IORING_FEAT_SINGLE_MMAP ? rings_map(ring, &params) : -EOPNOTSUPP;
	if (rc) {
		close(ring->fd);
		return rc;
	}
	ring->sq_entries = params.sq_entries;
	ring->sq_mask = *at(ring->map, params.sq_off.ring_mask);
	ring->sq_head = at(ring->map, params.sq_off.head);
	ring->sq_tail = at(ring->map, params.sq_off.tail);
	ring->sq_flags = at(ring->map, params.sq_off.flags);
	ring->sq_array = at(ring->map, params.sq_off.array);
	ring->cq_mask = *at(ring->map, params.cq_off.ring_mask);
	ring->cq_head = at(ring->map, params.cq_off.head);
	ring->cq_tail = at(ring->map, params.cq_off.tail);
	ring->cqes = (struct io_uring_cqe *)at(ring->map, params.cq_off.cqes);
	return 0;
}

void ring_close(struct ring *ring)
{
	munmap(ring->sqes, ring->sq_entries * sizeof(struct io_uring_sqe));
	munmap(ring->map, ring->map_len);
	close(ring->fd);
	ring->fd = -1;
}

struct io_uring_sqe *ring_sqe(struct ring *ring)
{
	unsigned int tail = *ring->sq_tail + ring->prepared;
	struct io_uring_sqe *sqe = &ring->sqes[tail & ring->sq_mask];

	assert(tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) < ring->sq_entries);
	memset(sqe, 0, sizeof(*sqe));
	ring->sq_array[tail & ring->sq_mask] = tail & ring->sq_mask;
	ring->prepared++;
	return sqe;
}

void ring_prepare(struct ring *ring, const struct request *req)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	sqe->opcode = req->opcode;
	sqe->flags = req->sqe_flags;
	sqe->fd = req->fd;
	sqe->off = req->off;
	sqe->addr = req->addr;
	sqe->len = req->len;
	sqe->rw_flags = (int)req->rw_flags;
	sqe->user_data = req->id;
	sqe->buf_index = req->slot;
}

static int enter(struct ring *ring, unsigned int submit, unsigned int wait, unsigned int flags,
		 const void *arg, size_t arg_len)
{
	long rc;

	do
		rc = syscall(SYS_io_uring_enter, ring->fd, submit, wait, flags, arg, arg_len);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : (int)rc;
}

int ring_submit(struct ring *ring)
{
	unsigned int nr = ring->prepared;

	__atomic_store_n(ring->sq_tail, *ring->sq_tail + nr, __ATOMIC_RELEASE);
	ring->prepared = 0;
	if (!(ring->setup_flags & IORING_SETUP_SQPOLL))
		return enter(ring, nr, 0, 0, NULL, 0);
	/* The new tail must be visible before the kernel's wish to be woken is looked at. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP)
		return enter(ring, nr, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	return (int)nr;
}

bool ring_peek(struct ring *ring, struct completion *done)
{
	unsigned int head = *ring->cq_head;
	const struct io_uring_cqe *cqe = &ring->cqes[(head & ring->cq_mask) << cqe_shift(ring)];

	if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	*done = (struct completion){ .id = cqe->user_data, .res = cqe->res, .flags = cqe->flags };
	if (cqe_shift(ring))
		memcpy(&done->extra, cqe + 1, sizeof(done->extra));
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

int ring_wait(struct ring *ring, struct completion *done, unsigned int timeout_ms)
{
	uint64_t end_ms = now_ms() + timeout_ms;
	int rc;

	while (!ring_peek(ring, done)) {
		uint64_t left_ms = end_ms - now_ms();
		struct __kernel_timespec limit = { .tv_sec = (long long)left_ms / 1000,
						   .tv_nsec = (long long)left_ms % 1000 * 1000000 };
		struct io_uring_getevents_arg arg = { .sigmask_sz = _NSIG / 8,
						      .ts = (uintptr_t)&limit };

		if (now_ms() >= end_ms)
			return -ETIME;
		rc = enter(ring, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
			   sizeof(arg));
		if (rc < 0 && rc != -ETIME)
			return rc;
	}
	return 0;
}

int ring_io(struct ring *ring, const struct request *req)
{
	struct completion done;
	int rc;

	ring_prepare(ring, req);
	rc = ring_submit(ring);
	if (rc != 1)
		fatal("io_uring_enter() to submit one request: %s", result_text(rc));
	rc = ring_wait(ring, &done, COMPLETION_MS_MAX);
	if (rc)
		fatal("no completion of a request with opcode %u within %u ms: %s", req->opcode,
		      COMPLETION_MS_MAX, result_text(rc));
	if (done.id != req->id)
		fatal("completion of request %#llx instead of %#llx", (unsigned long long)done.id,
		      (unsigned long long)req->id);
	return done.res;
}

int ring_io_again(struct ring *ring, const struct request *req)
{
	int res = ring_io(ring, req);
	unsigned int i;

	for (i = 0; res == -EAGAIN && i < REISSUES_MAX; i++) {
		if (i >= REISSUES_WITHOUT_PAUSE)
			sleep_ms(REISSUE_PAUSE_MS);
		res = ring_io(ring, req);
	}
	return res;
}

int ring_register(struct ring *ring, unsigned int opcode, const void *arg, unsigned int nr)
{
	long rc;

	do
		rc = syscall(SYS_io_uring_register, ring->fd, opcode, arg, nr);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : (int)rc;
}

int ring_table(struct ring *ring, unsigned int slots)
{
	struct io_uring_rsrc_register table = { .nr = slots, .flags = IORING_RSRC_REGISTER_SPARSE };

	return ring_register(ring, IORING_REGISTER_BUFFERS2, &table, sizeof(table));
}

int ring_update(struct ring *ring, unsigned int slot, unsigned int flags,
		const struct regbuf_desc *descs, unsigned int nr, const uint64_t *tags)
{
	struct rsrc_update update = { .offset = slot, .flags = flags, .data = (uintptr_t)descs,
				      .tags = (uintptr_t)tags, .nr = nr };

	return ring_register(ring, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));
}

int ring_register_dmabuf(struct ring *ring, unsigned int slot, int dmabuf_fd, int target_fd)
{
	struct regbuf_desc desc = { .type = REGBUF_DMABUF, .dmabuf_fd = dmabuf_fd,
				    .target_fd = target_fd };

	return ring_update(ring, slot, UPDATE_EXTENDED, &desc, 1, NULL);
}

int ring_register_memory(struct ring *ring, unsigned int slot, void *mem, size_t len)
{
	struct regbuf_desc desc = { .type = REGBUF_UADDR, .uaddr = (uintptr_t)mem, .size = len };

	return ring_update(ring, slot, UPDATE_EXTENDED, &desc, 1, NULL);
}

int ring_clear(struct ring *ring, unsigned int slot)
{
	struct regbuf_desc desc = { .type = REGBUF_EMPTY };

	return ring_update(ring, slot, UPDATE_EXTENDED, &desc, 1, NULL);
}

void ring_require_dmabuf(void)
{
	struct ring ring;
	int rc = ring_open(&ring, 1, 0);

	if (rc)
		skip_all("no io_uring in this kernel: %s", result_text(rc));
	rc = ring_table(&ring, 1);
	if (rc)
		fatal("a sparse table of one buffer: %s", result_text(rc));
	rc = ring_clear(&ring, 0);
	ring_close(&ring);
	if (rc == -EINVAL || rc == -EOPNOTSUPP)
		skip_all("no dma-buf registered buffers in this kernel");
	if (rc != 1)
		fatal("an extended update that empties a slot: %s", result_text(rc));
}
