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
static const char why_gaps[] =
	"the device refuses vectors of a dma-buf, as those without SGLs do when there are gaps; "
	"it is asked again now and then";

/*
 * What is said of memory, limits, a signal when a dma-buf is mapped (again) or looked for.
 * Exporters may say anything else, which has to be told from what drives say.
 */
bool uring_dmabuf_error(int error)
{
	switch (error) {
	case -ENOENT:
	case -EBADF:
	case -EINVAL:
	case -EOPNOTSUPP:
	case -EFAULT:
	case -EAGAIN:
	case -ENOMEM:
	case -EDQUOT:
	case -EINTR:
		return true;
	default:
		return false;
	}
}

/* The block layer's statuses for an answer of the drive, or for none within the time. */
bool uring_drive_error(int error)
{
	switch (error) {
	case -ENODATA:	 /* medium */
	case -EILSEQ:	 /* protection */
	case -EREMOTEIO: /* target */
	case -EBADE:	 /* reservation */
	case -ENOSPC:
	case -ENOLINK:	 /* transport */
	case -ETIMEDOUT:
	case -ETIME:	 /* duration limit */
		return true;
	default:
		return false;
	}
}

/* The kernel does not have the registration any more: it will not come right by itself. */
static bool registration_error(int error)
{
	return error == -ENOENT || error == -EBADF || error == -EFAULT || error == -EINVAL;
}

/* For people: why requests with a dma-buf that was registered fail. */
static const char *lost_text(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENODEV:
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
	case -EINVAL:
	case -EOPNOTSUPP:
	case -EBADF:
		return "the device does not take dma-bufs any more";
	default:
		return "requests with the dma-buf fail";
	}
}

/* Whoever sees a state other than DMABUF_READY finds the reason for it, or for a newer one. */
static void dmabuf_set_state(struct uring_dmabuf *dmabuf, enum uring_dmabuf_state state,
			     const char *why)
{
	__atomic_store_n(&dmabuf->why, why, __ATOMIC_RELAXED);
	__atomic_store_n(&dmabuf->state, state, __ATOMIC_RELEASE);
}

static void dmabuf_set_vectored(struct uring_dmabuf *dmabuf, bool vectored, const char *why)
{
	__atomic_store_n(&dmabuf->vectored_why, why, __ATOMIC_RELAXED);
	__atomic_store_n(&dmabuf->vectored, vectored, __ATOMIC_RELEASE);
}

static void timer_begin(struct uring_dmabuf *dmabuf, uint64_t delay_ms)
{
	if (loop_timer_start(dmabuf->at->loop, &dmabuf->timer, delay_ms * MS_NS))
		log_warning("%s: no memory for a timer to try the dma-buf of %s again; a restart "
			    "will", dmabuf->at->ub->backend.path, dmabuf->area->name);
}

/* ------------------------------------------------------------------------------------------- losing */

/* It is left alone for a second, or twice as long as before unless it had worked for long. */
static void delay_grow(struct uring_dmabuf *dmabuf)
{
	uint64_t now_ns = dmabuf->at->loop->now_ns;
	bool worked = dmabuf->ready_ns && now_ns - dmabuf->ready_ns > REGBUF_RETRY_MAX_MS * MS_NS;

	/* Until it works again it has not worked for long. */
	dmabuf->ready_ns = 0;
	if (worked || !dmabuf->retry_ms)
		dmabuf->retry_ms = REGBUF_RETRY_MIN_MS;
	else
		dmabuf->retry_ms = MIN(2 * dmabuf->retry_ms, (uint32_t)REGBUF_RETRY_MAX_MS);
}

static void dmabuf_lose(struct uring_dmabuf *dmabuf, int error)
{
	/* The first one to say so may have said it better. */
	const char *why = error == dmabuf->error ? dmabuf->why : lost_text(error);

	dmabuf->error = error;
	dmabuf_set_state(dmabuf, DMABUF_LOST, why);
}

/* Once until it works again. */
static void lost_announce(struct uring_dmabuf *dmabuf)
{
	if (!dmabuf->announced)
		log_warning("%s: without the registered dma-buf of %s from now on: %s; trying "
			    "again in %u s", dmabuf->at->ub->backend.path, dmabuf->area->name,
			    dmabuf->why, dmabuf->retry_ms / 1000);
	dmabuf->announced = true;
}

/* Not each time that the device had another chance. */
static void vectors_announce(const struct uring_dmabuf *dmabuf)
{
	if (dmabuf->retry_ms == REGBUF_RETRY_MIN_MS)
		log_warning("%s: without vectors of the registered dma-buf of %s for now: %s",
			    dmabuf->at->ub->backend.path, dmabuf->area->name, dmabuf->vectored_why);
}

static void told(struct op *op, int res, uint32_t flags)
{
	struct uring_dmabuf *dmabuf = container_of(op, struct uring_dmabuf, told);

	(void)res;
	(void)flags;
	dmabuf->telling = false;
	/* It works again, or a read in flight decides how to go on. */
	if (dmabuf->at->detached || dmabuf->ready_ns || dmabuf->trying)
		return;
	if (uring_dmabuf_ready(dmabuf))
		vectors_announce(dmabuf);
	else
		lost_announce(dmabuf);
	timer_begin(dmabuf, dmabuf->retry_ms);
}

/* On the path of a command: no memory, no log. Both can wait until this request is back. */
static void tell(struct uring_dmabuf *dmabuf)
{
	struct io_uring_sqe *sqe;

	if (dmabuf->telling)
		return;
	dmabuf->telling = true;
	sqe = loop_sqe(dmabuf->at->loop);
	io_uring_prep_nop(sqe);
	loop_bind(sqe, &dmabuf->told);
}

void uring_dmabuf_lost(struct uring_dmabuf *dmabuf, uint32_t epoch, int error)
{
	/* Others in flight at the same time found out before. */
	if (!uring_dmabuf_ready(dmabuf) || epoch != dmabuf->epoch)
		return;
	delay_grow(dmabuf);
	dmabuf_lose(dmabuf, error);
	tell(dmabuf);
}

/*
 * A drive without SGLs refuses vectors with gaps and takes others, so each command finds out for
 * itself; when none is taken, that costs more than it gains. A kernel without vectors says so.
 */
void uring_vector_refused(struct uring_dmabuf *dmabuf, uint32_t epoch, int error)
{
	if (!uring_dmabuf_ready(dmabuf) || epoch != dmabuf->epoch || !dmabuf->vectored)
		return;
	if (error == -EINVAL && ++dmabuf->vectors_refused < URING_VECTORS_REFUSED)
		return;
	delay_grow(dmabuf);
	dmabuf_set_vectored(dmabuf, false, error == -EINVAL ? why_gaps : why_vectored);
	tell(dmabuf);
}

/* ------------------------------------------------------------------------------------ trying it out */

/*
 * A registration heals by itself: when the exporter has moved the memory, a device has joined or a
 * limit was raised, the next request maps it again, in a thread of the kernel's. So trying is all
 * that there is to do, and only what the kernel disowns is registered anew.
 */
static void trial_failed(struct uring_dmabuf *dmabuf, int error)
{
	dmabuf->renew = registration_error(error);
	if (dmabuf->renew && !dmabuf->renewed) {
		dmabuf_lose(dmabuf, error);
		timer_begin(dmabuf, 0);
		return;
	}
	delay_grow(dmabuf);
	dmabuf_lose(dmabuf, error);
	lost_announce(dmabuf);
	timer_begin(dmabuf, dmabuf->retry_ms);
}

static void trial_passed(struct uring_dmabuf *dmabuf)
{
	const struct uring_attachment *at = dmabuf->at;

	dmabuf->epoch++;
	dmabuf->error = 0;
	dmabuf->vectors_refused = 0;
	dmabuf->ready_ns = at->loop->now_ns;
	dmabuf_set_vectored(dmabuf, dmabuf->try_vectored, why_vectored);
	dmabuf_set_state(dmabuf, DMABUF_READY, dmabuf->why);
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
	if (dmabuf->at->detached) {
		dmabuf->trying = false;
		pool_put(dmabuf->at->memory->pool, &dmabuf->spare);
		return;
	}
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
	dmabuf->trying = false;
	pool_put(dmabuf->at->memory->pool, &dmabuf->spare);
	/* A block that the drive cannot read says nothing against the memory. */
	if (res >= 0 || uring_drive_error(res))
		trial_passed(dmabuf);
	else
		trial_failed(dmabuf, res);
}

/* Reads the first block into memory that nobody uses. On the loop's thread. */
static void trial_start(struct uring_dmabuf *dmabuf)
{
	const struct uring_attachment *at = dmabuf->at;

	if (pool_get(at->memory->pool, 1u << at->ub->backend.limits.block_shift, &dmabuf->spare)) {
		timer_begin(dmabuf, REGBUF_RETRY_MIN_MS);
		return;
	}
	dmabuf->trying = true;
	dmabuf->try_vectored = true;
	dmabuf->tries = 0;
	trial_send(dmabuf);
}

/* -------------------------------------------------------------------------------- registering anew */

static void unregister(struct uring_dmabuf *dmabuf)
{
	if (dmabuf->registered)
		loop_buffer_set(dmabuf->at->loop, dmabuf->index, NULL);
	dmabuf->registered = false;
}

/*
 * Registering blocks the loop for as long as devices take to unmap and map the memory: once in a
 * turn, so that commands get on in between.
 */
static bool turn_taken(const struct loop *loop)
{
	static _Thread_local uint64_t last; /* of the thread's one loop; from 1 on */
	uint64_t turn = counter_get(&loop->stats.turns) + 1;
	bool taken = turn == last;

	last = turn;
	return taken;
}

static void register_anew(struct uring_dmabuf *dmabuf)
{
	const struct uring_attachment *at = dmabuf->at;
	int rc;

	if (turn_taken(at->loop)) {
		timer_begin(dmabuf, 0);
		return;
	}
	unregister(dmabuf);
	rc = regbuf_probe();
	if (rc == -EOPNOTSUPP) {
		dmabuf_set_state(dmabuf, DMABUF_NONE, why_kernel);
		return;
	}
	if (!rc)
		rc = loop_dmabuf_set(at->loop, dmabuf->index, dmabuf->area->dmabuf_fd, at->ub->fd);
	if (rc) {
		delay_grow(dmabuf);
		dmabuf_lose(dmabuf, rc);
		/* What never worked is no news. */
		if (dmabuf->epoch)
			lost_announce(dmabuf);
		timer_begin(dmabuf, dmabuf->retry_ms);
		return;
	}
	dmabuf->registered = true;
	dmabuf->renew = false;
	dmabuf->renewed = true;
	trial_start(dmabuf);
}

static void timer_expired(struct timer *timer)
{
	struct uring_dmabuf *dmabuf = container_of(timer, struct uring_dmabuf, timer);

	dmabuf->renewed = false;
	if (dmabuf->renew)
		register_anew(dmabuf);
	else
		trial_start(dmabuf);
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
			 bytes_text((MAX(at->memory->namespaces, 1u) + 1ull) * size).s);
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
static void limit_announce(const struct uring_dmabuf *dmabuf)
{
	static bool said;

	if (!said)
		log_warning("%s: the dma-buf of %s is not registered: %s",
			    dmabuf->at->ub->backend.path, dmabuf->area->name, dmabuf->why);
	said = true;
}

/* Limits are raised, tables of device-mapper exchanged: what was refused may be taken later. */
static void dmabuf_refused(struct uring_dmabuf *dmabuf, int error, const char *why)
{
	dmabuf->renew = true;
	dmabuf->error = error;
	delay_grow(dmabuf);
	dmabuf_set_state(dmabuf, DMABUF_LOST, why);
	if (error == -ENOMEM || error == -EDQUOT)
		limit_announce(dmabuf);
	timer_begin(dmabuf, dmabuf->retry_ms);
}

static const char *probe_text(struct uring_attachment *at, int error)
{
	snprintf(at->refused, sizeof(at->refused),
		 "the kernel could not be asked about dma-buf registered buffers: %s",
		 strerror(-error));
	return at->refused;
}

static void dmabuf_attach(struct uring_dmabuf *dmabuf)
{
	struct uring_attachment *at = dmabuf->at;
	const struct area *area = dmabuf->area;
	int index = loop_dmabuf_index(at->loop, area->slot, at->ub->file_index);
	int probe = regbuf_probe(), rc = probe;

	if (probe == -EOPNOTSUPP) {
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
	if (!probe)
		rc = loop_dmabuf_set(at->loop, dmabuf->index, area->dmabuf_fd, at->ub->fd);
	if (rc) {
		dmabuf_refused(dmabuf, rc, probe ? probe_text(at, rc) : refusal_text(dmabuf, rc));
		return;
	}
	dmabuf->registered = true;
	dmabuf_set_state(dmabuf, DMABUF_TRYING, why_trying);
	timer_begin(dmabuf, 0);
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
	bounce_user_init(&at->bouncing);
	ub->attachments = at;
	ub->backend.memory_bytes += sizeof(*at);
	loop_file_data_set(loop, ub->file_index, at);
	for (unsigned slot = 0; slot < LOOP_AREAS; slot++) {
		struct uring_dmabuf *dmabuf = &at->dmabufs[slot];

		*dmabuf = (struct uring_dmabuf){
			.at = at,
			.area = memory->areas[slot],
			.why = why_not_tried,
			.vectored_why = why_vectored,
			.told.done = told,
			.op.done = trial_done,
		};
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

bool uring_settled(const struct backend *backend, const struct loop *loop)
{
	const struct uring_backend *ub = (const struct uring_backend *)backend;

	for (const struct uring_attachment *at = ub->attachments; at; at = at->next)
		for (unsigned slot = 0; at->loop == loop && slot < LOOP_AREAS; slot++)
			if (at->dmabufs[slot].trying || at->dmabufs[slot].telling)
				return false;
	return true;
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
	/* In this order: whoever is not ready or vectored has said why before. */
	bool ready = __atomic_load_n(&dmabuf->state, __ATOMIC_ACQUIRE) == DMABUF_READY;
	bool vectored = __atomic_load_n(&dmabuf->vectored, __ATOMIC_ACQUIRE);
	const char *why = __atomic_load_n(&dmabuf->why, __ATOMIC_RELAXED);

	facts->dmabuf_registered = (struct datapath_fact){ ready, why };
	facts->dmabuf_vectored = (struct datapath_fact){
		vectored, __atomic_load_n(&dmabuf->vectored_why, __ATOMIC_RELAXED)
	};
	/* Memory that direct I/O cannot pin has but the dma-buf. */
	facts->area_reachable = (struct datapath_fact){
		area->faces & AREA_FACE_FIXED || !backend->limits.direct, why
	};
	for (unsigned i = 0; i < DATAPATH_STORAGE_RUNGS; i++)
		bytes[i] += counter_get(&at->bytes[i]);
}
