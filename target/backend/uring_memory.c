/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/uring_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/regbuf.h"
#include "dmabuf/pool.h"

#define MS_NS UINT64_C(1000000)

static const char why_kernel[] =
	"the kernel has no dma-buf registered buffers: it needs the patches of kernel/";
static const char why_vectored[] =
	"vectors of a dma-buf are refused: by the device, or for want of the patches of kernel/";
static const char why_not_tried[] = "there is no room to try out a registered dma-buf";
static const char why_trying[] = "the dma-buf is registered and being tried out";

bool uring_dmabuf_error(int error)
{
	return error == -ENOENT || error == -EBADF || error == -EINVAL || error == -EOPNOTSUPP ||
	       error == -EFAULT || error == -EAGAIN;
}

/* For people: why requests with a dma-buf that was registered fail. */
static const char *lost_text(int error)
{
	switch (error) {
	case -ENOENT:
		return "the device that the dma-buf was mapped for is gone or was replaced";
	case -EAGAIN:
		return "the dma-buf's owner has taken its memory away for now";
	case -EFAULT:
		return "the dma-buf may not be read or written by devices";
	case -ENOMEM:
		return "the kernel has no memory or address space to map the dma-buf; see "
		       "RLIMIT_MEMLOCK (LimitMEMLOCK=)";
	case -EDQUOT:
		return "the limit of mapped memory of the device is reached: raise the kernel's "
		       "parameter dma_buf_io.max_mapped_mb";
	default:
		return "the device does not take dma-bufs any more";
	}
}

static void dmabuf_set_state(struct uring_dmabuf *dmabuf, enum uring_dmabuf_state state,
			     const char *why)
{
	__atomic_store_n(&dmabuf->why, why, __ATOMIC_RELEASE);
	__atomic_store_n(&dmabuf->state, state, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------------------- losing, and again */

static void unregister(struct uring_dmabuf *dmabuf)
{
	if (dmabuf->registered)
		loop_buffer_set(dmabuf->at->loop, dmabuf->index, NULL);
	dmabuf->registered = false;
}

static void timer_begin(struct uring_dmabuf *dmabuf, uint64_t delay_ms)
{
	if (loop_timer_start(dmabuf->at->loop, &dmabuf->timer, delay_ms * MS_NS))
		log_warning("%s: no memory to try again to register the dma-buf of %s",
			    dmabuf->at->ub->backend.path, dmabuf->area->name);
}

/* At most once in REGBUF_RETRY_MIN_MS, and seldom when it happens often. */
static void lost_announce(struct uring_dmabuf *dmabuf)
{
	if (!dmabuf->announced)
		log_warning("%s: without the registered dma-buf of %s from now on: %s; trying again "
			    "in %u s", dmabuf->at->ub->backend.path, dmabuf->area->name, dmabuf->why,
			    dmabuf->retry_ms / 1000);
	dmabuf->announced = true;
}

static void dmabuf_lose(struct uring_dmabuf *dmabuf, int error)
{
	uint64_t now_ns = dmabuf->at->loop->now_ns;
	bool worked = dmabuf->ready_ns && now_ns - dmabuf->ready_ns > REGBUF_RETRY_MAX_MS * MS_NS;

	if (worked || !dmabuf->retry_ms)
		dmabuf->retry_ms = REGBUF_RETRY_MIN_MS;
	else
		dmabuf->retry_ms = MIN(2 * dmabuf->retry_ms, (uint32_t)REGBUF_RETRY_MAX_MS);
	dmabuf_set_state(dmabuf, DMABUF_LOST, lost_text(error));
}

void uring_dmabuf_lost(struct uring_dmabuf *dmabuf, int error, bool vector_only)
{
	/* Others in flight at the same time found out before. */
	if (!uring_dmabuf_ready(dmabuf))
		return;
	if (vector_only) {
		__atomic_store_n(&dmabuf->vectored, false, __ATOMIC_RELAXED);
		return;
	}
	dmabuf_lose(dmabuf, error);
	/* What takes time is for the timer: a command waits here to go on. */
	timer_begin(dmabuf, 0);
}

/* ------------------------------------------------------------------------------------ trying it out */

static void trial_start(struct uring_dmabuf *dmabuf);

static void trial_failed(struct uring_dmabuf *dmabuf, int error)
{
	dmabuf_lose(dmabuf, error);
	timer_begin(dmabuf, 0);
}

static void trial_passed(struct uring_dmabuf *dmabuf)
{
	const struct uring_attachment *at = dmabuf->at;

	__atomic_store_n(&dmabuf->vectored, dmabuf->try_vectored, __ATOMIC_RELAXED);
	dmabuf->ready_ns = at->loop->now_ns;
	dmabuf_set_state(dmabuf, DMABUF_READY, "");
	if (dmabuf->announced)
		log_info("%s: the dma-buf of %s is registered again", at->ub->backend.path,
			 dmabuf->area->name);
	dmabuf->announced = false;
}

static void trial_send(struct uring_dmabuf *dmabuf)
{
	const struct uring_backend *ub = dmabuf->at->ub;
	struct io_uring_sqe *sqe = loop_sqe(dmabuf->at->loop);
	void *place = (void *)(uintptr_t)dmabuf->spare.offset;
	unsigned len = 1u << ub->backend.limits.block_shift;

	dmabuf->iov = (struct iovec){ .iov_base = place, .iov_len = len };
	if (dmabuf->try_vectored)
		io_uring_prep_readv_fixed(sqe, (int)ub->file_index, &dmabuf->iov, 1, 0, 0,
					  (int)dmabuf->index);
	else
		io_uring_prep_read_fixed(sqe, (int)ub->file_index, place, len, 0,
					 (int)dmabuf->index);
	sqe->flags |= IOSQE_FIXED_FILE;
	loop_bind(sqe, &dmabuf->op);
}

static void trial_done(struct op *op, int res, uint32_t flags)
{
	struct uring_dmabuf *dmabuf = container_of(op, struct uring_dmabuf, op);

	(void)flags;
	if (dmabuf->at->detached)
		return;
	if (res == -EAGAIN && ++dmabuf->tries < REGBUF_TRIES) {
		trial_send(dmabuf);
		return;
	}
	/* Kernels that map lazily map now; those without vectors say so before they do. */
	if (dmabuf->try_vectored && (res == -EOPNOTSUPP || res == -EINVAL)) {
		dmabuf->try_vectored = false;
		dmabuf->tries = 0;
		trial_send(dmabuf);
		return;
	}
	pool_put(dmabuf->at->memory->pool, &dmabuf->spare);
	/* A block that cannot be read says nothing against the memory. */
	if (uring_dmabuf_error(res))
		trial_failed(dmabuf, res);
	else
		trial_passed(dmabuf);
}

/* Reads the first block into memory that nobody uses. On the loop's thread. */
static void trial_start(struct uring_dmabuf *dmabuf)
{
	const struct uring_attachment *at = dmabuf->at;

	if (pool_get(at->memory->pool, 1u << at->ub->backend.limits.block_shift, &dmabuf->spare)) {
		timer_begin(dmabuf, REGBUF_RETRY_MIN_MS);
		return;
	}
	dmabuf->try_vectored = true;
	dmabuf->tries = 0;
	trial_send(dmabuf);
}

static void trial_begin(struct msg *msg)
{
	struct uring_dmabuf *dmabuf = container_of(msg, struct uring_dmabuf, begin);

	if (!dmabuf->at->detached)
		trial_start(dmabuf);
}

static void register_again(struct uring_dmabuf *dmabuf)
{
	const struct uring_attachment *at = dmabuf->at;
	int rc = loop_dmabuf_set(at->loop, dmabuf->index, dmabuf->area->dmabuf_fd, at->ub->fd);

	if (rc) {
		dmabuf_lose(dmabuf, rc);
		timer_begin(dmabuf, dmabuf->retry_ms);
		return;
	}
	dmabuf->registered = true;
	dmabuf_set_state(dmabuf, DMABUF_TRYING, why_trying);
	trial_start(dmabuf);
}

static void timer_expired(struct timer *timer)
{
	struct uring_dmabuf *dmabuf = container_of(timer, struct uring_dmabuf, timer);

	if (dmabuf->state == DMABUF_TRYING) {
		trial_start(dmabuf);
	} else if (dmabuf->registered) {
		unregister(dmabuf);
		lost_announce(dmabuf);
		timer_begin(dmabuf, dmabuf->retry_ms);
	} else {
		register_again(dmabuf);
	}
}

/* ---------------------------------------------------------------------------------------- attaching */

/* Why the kernel did not take the dma-buf, for people; it may be kept in at->refused. */
static const char *refusal_text(const struct uring_dmabuf *dmabuf, int error)
{
	struct uring_attachment *at = dmabuf->at;
	size_t size = dmabuf->area->size;
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (error == -ENOMEM && limit.rlim_cur < RLIM_INFINITY)
		snprintf(at->refused, sizeof(at->refused),
			 "RLIMIT_MEMLOCK is %s; each worker needs %s for its fixed buffer and as "
			 "much again for each namespace, here %s: raise LimitMEMLOCK= in the service "
			 "unit (ulimit -l), or lower [memory] per_worker",
			 bytes_text(limit.rlim_cur).s, bytes_text(size).s,
			 bytes_text((at->loop->n_files + 1ull) * size).s);
	else if (error == -EINVAL && size > UINT64_C(1) << 30)
		snprintf(at->refused, sizeof(at->refused),
			 "the device, or the kernel for a dma-buf of %s, refuses it: keep [memory] "
			 "per_worker at 1G or below", bytes_text(size).s);
	else if (error == -EINVAL || error == -EOPNOTSUPP)
		return at->ub->backend.limits.direct ?
			       "the device or its driver takes no dma-bufs" :
			       "what goes through the page cache takes no dma-bufs";
	else if (error == -EDQUOT || error == -ENOENT)
		return lost_text(error);
	else
		snprintf(at->refused, sizeof(at->refused), "registering the dma-buf failed: %s",
			 strerror(-error));
	return at->refused;
}

/* Said once, as it is the same for all namespaces and workers; attaching is one call at a time. */
static void memlock_announce(const struct uring_dmabuf *dmabuf)
{
	static bool said;

	if (!said)
		log_warning("%s: the dma-buf of %s is not registered: %s",
			    dmabuf->at->ub->backend.path, dmabuf->area->name, dmabuf->why);
	said = true;
}

static void dmabuf_attach(struct uring_dmabuf *dmabuf)
{
	struct uring_attachment *at = dmabuf->at;
	const struct area *area = dmabuf->area;
	int index = loop_dmabuf_index(at->loop, area->slot, at->ub->file_index);
	int rc = regbuf_probe();

	if (rc) {
		dmabuf->why = why_kernel;
		return;
	}
	if (!(area->faces & AREA_FACE_DMABUF)) {
		dmabuf->why = area->why_not;
		return;
	}
	if (index < 0) {
		dmabuf->why = "the table of registered buffers has no place for another namespace";
		return;
	}
	dmabuf->index = (unsigned)index;
	rc = loop_dmabuf_set(at->loop, dmabuf->index, area->dmabuf_fd, at->ub->fd);
	if (rc) {
		dmabuf->why = refusal_text(dmabuf, rc);
		if (rc == -ENOMEM || rc == -EDQUOT)
			memlock_announce(dmabuf);
		return;
	}
	dmabuf->registered = true;
	dmabuf_set_state(dmabuf, DMABUF_TRYING, why_trying);
	loop_post(at->loop, &dmabuf->begin);
}

int uring_memory_attach(struct uring_backend *ub, struct loop *loop,
			const struct backend_memory *memory)
{
	struct uring_attachment *at = calloc(1, sizeof(*at));

	if (!at)
		return -ENOMEM;
	at->next = ub->attachments;
	at->ub = ub;
	at->loop = loop;
	at->memory = memory;
	ub->attachments = at;
	ub->backend.memory_bytes += sizeof(*at);
	loop_file_data_set(loop, ub->file_index, at);
	for (unsigned slot = 0; slot < LOOP_AREAS; slot++) {
		struct uring_dmabuf *dmabuf = &at->dmabufs[slot];

		*dmabuf = (struct uring_dmabuf){
			.at = at,
			.area = memory->areas[slot],
			.why = why_not_tried,
			.begin.deliver = trial_begin,
			.op.done = trial_done,
		};
		list_init(&dmabuf->begin.link);
		timer_init(&dmabuf->timer, timer_expired);
		/* Only where there is room to try it in. */
		if (dmabuf->area && memory->pool && memory->pool->area == dmabuf->area)
			dmabuf_attach(dmabuf);
	}
	return 0;
}

void uring_memory_detach(struct uring_attachment *at)
{
	at->detached = true;
	loop_file_data_set(at->loop, at->ub->file_index, NULL);
	for (unsigned slot = 0; slot < LOOP_AREAS; slot++) {
		loop_timer_stop(at->loop, &at->dmabufs[slot].timer);
		unregister(&at->dmabufs[slot]);
	}
}

void uring_memory_free(struct uring_backend *ub)
{
	struct uring_attachment *at;

	while ((at = ub->attachments)) {
		ub->attachments = at->next;
		free(at);
	}
}

/* ---------------------------------------------------------------------------------------- reporting */

void uring_path(struct backend *backend, const struct loop *loop, unsigned index,
		const struct area *area, struct datapath_facts *facts,
		uint64_t bytes[DATAPATH_STORAGE_RUNGS])
{
	const struct uring_attachment *at = loop_file_data(loop, index);
	const struct uring_dmabuf *dmabuf = &at->dmabufs[area->slot];
	const char *why = __atomic_load_n(&dmabuf->why, __ATOMIC_ACQUIRE);

	facts->dmabuf_registered = (struct datapath_fact){ uring_dmabuf_ready(dmabuf), why };
	facts->dmabuf_vectored = (struct datapath_fact){
		__atomic_load_n(&dmabuf->vectored, __ATOMIC_RELAXED), why_vectored
	};
	/* Memory that direct I/O cannot pin has but the dma-buf. */
	facts->area_reachable = (struct datapath_fact){
		area->faces & AREA_FACE_FIXED || !backend->limits.direct, why
	};
	for (unsigned i = 0; i < DATAPATH_STORAGE_RUNGS; i++)
		bytes[i] += counter_get(&at->bytes[i]);
}
