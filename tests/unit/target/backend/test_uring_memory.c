/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registered dma-bufs: what is made of each error, and when they are tried again. Registration is
 * this program's own: of an ordinary buffer whose addresses are the offsets in the area, so that any
 * kernel does the I/O. Results are exchanged where they come in, and delays are cut short.
 */
#include "backend_rig.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/regbuf.h"
#include "target/backend/uring.h"

enum {
	MIB = 1 << 20,
	LOW = 2 * MIB,  /* from here on offsets are addresses; lower ones are not to be had */
	PIECE = 8192,
	REAL = 1,       /* in place of a result: what the kernel says */
	NEXT_INDEX = RIG_INDEX + 1,
	MOST_REGISTRATIONS = 16,
};

#define SOON_NS UINT64_C(100000000)
#define FOR_GOOD_NS (3600 * UINT64_C(1000000000))

static char path_of_file[] = "/var/tmp/sluice-memory-XXXXXX";

/* -------------------------------------------------------------------------- the kernel's part, faked */

static struct {
	int probe, update; /* what they return */
	size_t size;       /* of the area */
	struct loop *loop;
	unsigned n;                         /* registrations asked for */
	uint64_t turns[MOST_REGISTRATIONS]; /* of the loop when they were */
} fake;

int regbuf_probe(void)
{
	return fake.probe;
}

int regbuf_update(struct io_uring *ring, unsigned index, const struct regbuf_desc *desc)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)LOW, .iov_len = fake.size - LOW };
	__u64 tag = 0;
	int rc;

	assert_int_equal(desc->type, REGBUF_DMABUF);
	assert_true(fake.n < MOST_REGISTRATIONS);
	fake.turns[fake.n++] = fake.loop->stats.turns;
	if (fake.update)
		return fake.update;
	rc = io_uring_register_buffers_update_tag(ring, index, &iov, &tag, 1);
	return rc < 0 ? rc : 0;
}

/* ------------------------------------------------------------------------------------------- the rig */

struct mrig {
	struct rig rig;
	struct uring_dmabuf *dmabuf;
	struct uring_dmabuf copy;
	void (*trial_done)(struct op *op, int res, uint32_t flags);
};

static void attach(void *arg)
{
	struct mrig *m = arg;
	struct backend *backend = m->rig.backend;
	struct loop *loop = &m->rig.lt.loop;

	assert_int_equal(backend->ops->attach(backend, loop, RIG_INDEX, &m->rig.memory), 0);
	m->dmabuf = &((struct uring_attachment *)loop_file_data(loop, RIG_INDEX))
			     ->dmabufs[m->rig.area.slot];
}

static void detach(void *arg)
{
	struct mrig *m = arg;

	m->rig.backend->ops->detach(m->rig.backend, &m->rig.lt.loop, RIG_INDEX);
}

/* Opens the backend, but does not attach it for good. */
static void rig_begin(struct mrig *m)
{
	*m = (struct mrig){ .rig.config = rig_config("file") };
	snprintf(m->rig.config.path, sizeof(m->rig.config.path), "%s", path_of_file);
	m->rig.config.size = 4 * MIB;
	memset(&fake, 0, sizeof(fake));
	fake.probe = -EOPNOTSUPP;
	rig_open(&m->rig);
	if (m->rig.area.memfd < 0)
		skip();
	fake.probe = 0;
	fake.loop = &m->rig.lt.loop;
	fake.size = m->rig.area.size;
	assert_ptr_equal(mmap((void *)(uintptr_t)LOW, fake.size - LOW, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED_NOREPLACE, m->rig.area.memfd, LOW),
			 (void *)(uintptr_t)LOW);
	loop_thread_call(&m->rig.lt, detach, m);
	m->rig.area.faces |= AREA_FACE_DMABUF;
}

/* Whether it waits; how long is the test's to say, however slow the machine. */
static void see(void *arg)
{
	struct mrig *m = arg;
	struct timer *timer = &m->dmabuf->timer;

	if (timer_running(timer) && timer->deadline_ns > clock_now_ns() + SOON_NS)
		loop_timer_start(&m->rig.lt.loop, timer, FOR_GOOD_NS);
	m->copy = *m->dmabuf;
}

static const struct uring_dmabuf *now(struct mrig *m)
{
	loop_thread_call(&m->rig.lt, see, m);
	return &m->copy;
}

/* Until nothing goes on but waiting, if that. */
static const struct uring_dmabuf *settled(struct mrig *m)
{
	for (int ms = 0;; ms++) {
		const struct uring_dmabuf *dmabuf = now(m);
		bool waiting = timer_running(&dmabuf->timer) &&
			       dmabuf->timer.deadline_ns > clock_now_ns() + FOR_GOOD_NS / 2;
		bool moving = dmabuf->trying || dmabuf->telling || dmabuf->state == DMABUF_TRYING;

		if (!moving && waiting == (dmabuf->state == DMABUF_LOST ||
					   (dmabuf->state == DMABUF_READY && dmabuf->retry_ms &&
					    !dmabuf->vectored)))
			return dmabuf;
		if (ms > 10000)
			fail_msg("state %d, timer %d", dmabuf->state, waiting);
		usleep(1000);
	}
}

static void open_ready(struct mrig *m)
{
	rig_begin(m);
	loop_thread_call(&m->rig.lt, attach, m);
	assert_int_equal(settled(m)->state, DMABUF_READY);
	assert_int_equal(fake.n, 1);
}

static void close_rig(struct mrig *m)
{
	rig_close(&m->rig);
	munmap((void *)(uintptr_t)LOW, fake.size - LOW);
}

static void expire(void *arg)
{
	struct mrig *m = arg;

	assert_true(timer_running(&m->dmabuf->timer));
	loop_timer_stop(&m->rig.lt.loop, &m->dmabuf->timer);
	m->dmabuf->timer.expired(&m->dmabuf->timer);
}

/* The delay is over. */
static const struct uring_dmabuf *time_passes(struct mrig *m)
{
	loop_thread_call(&m->rig.lt, expire, m);
	return settled(m);
}

/* ------------------------------------------------------------------------------- results, exchanged */

/* Of the next reads that try something out, then of the I/O; ended by REAL, which stays. */
static int trial_results[64], io_results[64];
static unsigned n_trials, n_requests;
static struct mrig *tried;
static void (*io_done)(struct op *op, int res, uint32_t flags);

static int result_next(const int *results, unsigned *n, int res)
{
	int other = results[*n];

	if (other == REAL)
		return res;
	++*n;
	return other;
}

static void trial_exchange(struct op *op, int res, uint32_t flags)
{
	tried->trial_done(op, result_next(trial_results, &n_trials, res), flags);
}

static void results_set(int *results, unsigned *n, int error, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		results[i] = error;
	results[times] = REAL;
	*n = 0;
}

/* The next @times reads that try it out end with @error. */
static void trials_fail(struct mrig *m, int error, unsigned times)
{
	results_set(trial_results, &n_trials, error, times);
	if (!m->trial_done)
		m->trial_done = m->dmabuf->op.done;
	tried = m;
	m->dmabuf->op.done = trial_exchange;
}

static void attach_failing(void *arg)
{
	attach(arg);
	trials_fail(arg, trial_results[0], 1);
}

static void io_exchange(struct op *op, int res, uint32_t flags)
{
	/* What failed has moved nothing. */
	if (io_results[n_requests] != REAL)
		memset(tried->rig.area.base, 0xa5, RIG_MEMORY);
	io_done(op, result_next(io_results, &n_requests, res), flags);
}

static void io_submit_exchanged(void *arg)
{
	struct rig_io *rio = arg;

	rig_io_submit(rio);
	io_done = rio->io.op.done;
	rio->io.op.done = io_exchange;
}

/* A READ, in one piece or two, whose first @times requests end with @error. Its data must be right. */
static int read_failing(struct mrig *m, unsigned pieces, int error, unsigned times)
{
	const char *data = (char *)m->rig.area.base + LOW;
	struct rig_io rio;
	int rc;

	results_set(io_results, &n_requests, error, times);
	tried = m;
	memset(m->rig.area.base, 0xa5, RIG_MEMORY);
	rig_io_init(&rio, &m->rig, BACKEND_READ, 0, PIECE);
	rig_io_add(&rio, &m->rig.area, LOW, PIECE / pieces);
	if (pieces > 1)
		rig_io_add(&rio, &m->rig.area, LOW + PIECE, PIECE / 2);
	loop_thread_call(&m->rig.lt, io_submit_exchanged, &rio);
	rc = rig_io_wait(&rio);
	assert_int_equal(n_requests, times);
	for (unsigned i = 0; !rc && i < PIECE / pieces; i++)
		assert_int_equal(data[i], 0x55);
	for (unsigned i = 0; !rc && pieces > 1 && i < PIECE / 2; i++)
		assert_int_equal(data[PIECE + i], 0x55);
	return rc;
}

/* --------------------------------------------------------------------------------------------- tests */

static void io_goes_by_the_dmabuf(void **state)
{
	uint64_t bytes[DATAPATH_STORAGE_RUNGS];
	struct datapath path;
	struct mrig m;

	(void)state;
	open_ready(&m);
	assert_int_equal(read_failing(&m, 1, 0, 0), 0);
	rig_path(&m.rig, &path, bytes);
	assert_true(path.storage <= DATAPATH_STORAGE_DMABUF);
	assert_int_equal(bytes[DATAPATH_STORAGE_DMABUF], PIECE);
	if (now(&m)->vectored) {
		assert_int_equal(path.storage, DATAPATH_STORAGE_DMABUF_VECTORED);
		assert_int_equal(read_failing(&m, 2, 0, 0), 0);
		rig_path(&m.rig, &path, bytes);
		assert_int_equal(bytes[DATAPATH_STORAGE_DMABUF_VECTORED], PIECE);
	}
	close_rig(&m);
}

/* Whatever mapping says, the host's command gets on. */
static void any_error_of_a_dmabuf_falls(void **state)
{
	static const int errors[] = { -ENOENT, -EBADF, -EINVAL, -EOPNOTSUPP, -EFAULT, -EAGAIN,
				      -ENOMEM, -EDQUOT, -EINTR, -EIO, -ENODEV, -EBUSY, -EPERM };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		bool again = errors[i] == -EAGAIN || errors[i] == -EINTR;
		uint64_t bytes[DATAPATH_STORAGE_RUNGS];
		struct datapath path;
		struct mrig m;

		open_ready(&m);
		assert_int_equal(read_failing(&m, 1, errors[i], again ? 17 : 1), 0);
		assert_int_equal(settled(&m)->state, DMABUF_LOST);
		assert_true(now(&m)->registered);
		assert_string_not_equal(rig_path(&m.rig, &path, bytes), "");
		assert_int_equal(path.storage, DATAPATH_STORAGE_FIXED);
		close_rig(&m);
	}
}

/* What is about the dma-buf for certain needs no proof by another request. */
static void some_errors_leave_no_doubt(void **state)
{
	static const int errors[] = { -ENOENT, -EBADF, -EINVAL, -EOPNOTSUPP, -EFAULT, -ENOMEM,
				      -EDQUOT };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		struct mrig m;

		open_ready(&m);
		assert_int_equal(read_failing(&m, 1, errors[i], 2), errors[i]);
		assert_int_equal(settled(&m)->state, DMABUF_LOST);
		close_rig(&m);
	}
}

static void errors_of_the_drive_are_no_fault_of_memory(void **state)
{
	static const int errors[] = { -ENODATA, -EILSEQ, -EREMOTEIO, -EBADE, -ENOSPC,
				      -ENOLINK, -ETIMEDOUT, -ETIME, -ECANCELED };
	struct mrig m;

	(void)state;
	open_ready(&m);
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++)
		assert_int_equal(read_failing(&m, 1, errors[i], 1), errors[i]);
	/* What is no better with other memory is the drive's as well. */
	assert_int_equal(read_failing(&m, 1, -EIO, 2), -EIO);
	assert_int_equal(settled(&m)->state, DMABUF_READY);
	close_rig(&m);
}

static bool device_is_gone(const struct uring_backend *ub)
{
	(void)ub;
	return true;
}

static void a_drive_that_is_gone_has_no_dmabuf(void **state)
{
	static const int errors[] = { -ENOENT, -ENODEV, -EIO, -ENXIO };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		struct mrig m;

		open_ready(&m);
		((struct uring_backend *)m.rig.backend)->gone = device_is_gone;
		assert_int_equal(read_failing(&m, 1, errors[i], 1), -ENODEV);
		assert_int_equal(settled(&m)->state, DMABUF_LOST);
		close_rig(&m);
	}
}

/* A request of before it was lost comes in when it works again. */
static void epoch_pass(struct op *op, int res, uint32_t flags)
{
	tried->dmabuf->epoch++;
	op->done = io_done;
	io_done(op, res < 0 ? res : -EFAULT, flags);
}

static void io_submit_late(void *arg)
{
	struct rig_io *rio = arg;

	rig_io_submit(rio);
	io_done = rio->io.op.done;
	rio->io.op.done = epoch_pass;
}

static void a_late_error_says_nothing(void **state)
{
	struct rig_io rio;
	struct mrig m;

	(void)state;
	open_ready(&m);
	tried = &m;
	rig_io_init(&rio, &m.rig, BACKEND_READ, 0, PIECE);
	rig_io_add(&rio, &m.rig.area, LOW, PIECE);
	loop_thread_call(&m.rig.lt, io_submit_late, &rio);
	assert_int_equal(rig_io_wait(&rio), 0);
	assert_int_equal(settled(&m)->state, DMABUF_READY);
	close_rig(&m);
}

/* ------------------------------------------------------------------------------------ trying it out */

static void first_trial_decides(void **state)
{
	static const struct {
		int error;
		enum uring_dmabuf_state state;
	} rows[] = {
		{ -ENOMEM, DMABUF_LOST }, { -EDQUOT, DMABUF_LOST }, { -EIO, DMABUF_LOST },
		{ -EINTR, DMABUF_LOST }, { -ENODATA, DMABUF_READY }, { -ETIMEDOUT, DMABUF_READY },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mrig m;

		rig_begin(&m);
		trial_results[0] = rows[i].error;
		loop_thread_call(&m.rig.lt, attach_failing, &m);
		assert_int_equal(settled(&m)->state, rows[i].state);
		if (rows[i].state == DMABUF_LOST)
			assert_int_equal(time_passes(&m)->state, DMABUF_READY);
		/* That took no other registration. */
		assert_int_equal(fake.n, 1);
		close_rig(&m);
	}
}

/* What heals by itself is tried again and left in the table; what the kernel disowns is replaced. */
static void only_what_is_disowned_is_registered_anew(void **state)
{
	static const struct {
		int error;
		unsigned times, registrations;
	} rows[] = {
		{ -ENOMEM, 1, 1 }, { -EDQUOT, 1, 1 }, { -EIO, 1, 1 },
		{ -EAGAIN, REGBUF_TRIES, 1 }, { -EOPNOTSUPP, 2, 1 },
		{ -ENOENT, 1, 2 }, { -EBADF, 1, 2 }, { -EFAULT, 1, 2 }, { -EINVAL, 2, 2 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bool heals = rows[i].registrations == 1;
		struct mrig m;

		open_ready(&m);
		assert_int_equal(read_failing(&m, 1, -EFAULT, 1), 0);
		assert_int_equal(settled(&m)->retry_ms, REGBUF_RETRY_MIN_MS);
		trials_fail(&m, rows[i].error, rows[i].times);
		assert_int_equal(time_passes(&m)->state, heals ? DMABUF_LOST : DMABUF_READY);
		assert_int_equal(fake.n, rows[i].registrations);
		if (heals)
			assert_int_equal(time_passes(&m)->state, DMABUF_READY);
		assert_int_equal(fake.n, rows[i].registrations);
		assert_int_equal(read_failing(&m, 1, 0, 0), 0);
		close_rig(&m);
	}
}

/* Also a new registration has to show that it works, and only so often. */
static void a_new_registration_that_fails_waits(void **state)
{
	struct mrig m;

	(void)state;
	open_ready(&m);
	assert_int_equal(read_failing(&m, 1, -EFAULT, 1), 0);
	settled(&m);
	trials_fail(&m, -EFAULT, 2);
	assert_int_equal(time_passes(&m)->state, DMABUF_LOST);
	assert_int_equal(fake.n, 2);
	assert_int_equal(now(&m)->retry_ms, 2 * REGBUF_RETRY_MIN_MS);
	/* And the kernel may refuse it. */
	fake.update = -ENOMEM;
	assert_int_equal(time_passes(&m)->state, DMABUF_LOST);
	assert_int_equal(fake.n, 3);
	assert_false(now(&m)->registered);
	assert_int_equal(now(&m)->retry_ms, 4 * REGBUF_RETRY_MIN_MS);
	assert_contains(now(&m)->why, "RLIMIT_MEMLOCK");
	fake.update = 0;
	assert_int_equal(time_passes(&m)->state, DMABUF_READY);
	assert_int_equal(fake.n, 4);
	close_rig(&m);
}

static void ready_long_ago(void *arg)
{
	struct mrig *m = arg;

	m->dmabuf->ready_ns = m->rig.lt.loop.now_ns - (REGBUF_RETRY_MAX_MS + 1000) * UINT64_C(1000000);
}

static void delays_grow_until_it_works_for_long(void **state)
{
	uint32_t want_ms = REGBUF_RETRY_MIN_MS;
	struct mrig m;

	(void)state;
	open_ready(&m);
	loop_thread_call(&m.rig.lt, ready_long_ago, &m);
	assert_int_equal(read_failing(&m, 1, -ENOMEM, 1), 0);
	trials_fail(&m, -ENOMEM, 9);
	assert_int_equal(settled(&m)->retry_ms, want_ms);
	for (unsigned i = 0; i < 9; i++) {
		want_ms = MIN(2 * want_ms, (uint32_t)REGBUF_RETRY_MAX_MS);
		assert_int_equal(time_passes(&m)->retry_ms, want_ms);
	}
	assert_int_equal(want_ms, REGBUF_RETRY_MAX_MS);
	assert_int_equal(time_passes(&m)->state, DMABUF_READY);
	/* That was short. */
	assert_int_equal(read_failing(&m, 1, -ENOMEM, 1), 0);
	assert_int_equal(settled(&m)->retry_ms, REGBUF_RETRY_MAX_MS);
	assert_int_equal(time_passes(&m)->state, DMABUF_READY);
	loop_thread_call(&m.rig.lt, ready_long_ago, &m);
	assert_int_equal(read_failing(&m, 1, -ENOMEM, 1), 0);
	assert_int_equal(settled(&m)->retry_ms, REGBUF_RETRY_MIN_MS);
	close_rig(&m);
}

/* ---------------------------------------------------------------------------- refused from the start */

static void a_refusal_at_attach_is_not_final(void **state)
{
	static const int errors[] = { -EDQUOT, -ENOMEM, -EINTR, -EINVAL, -EOPNOTSUPP, -ENOENT };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		uint64_t bytes[DATAPATH_STORAGE_RUNGS];
		struct datapath path;
		const char *why;
		struct mrig m;

		rig_begin(&m);
		fake.update = errors[i];
		loop_thread_call(&m.rig.lt, attach, &m);
		assert_int_equal(settled(&m)->state, DMABUF_LOST);
		why = now(&m)->why;
		assert_string_not_equal(why, "");
		assert_string_equal(rig_path(&m.rig, &path, bytes), why);
		/* The reason stays as good as it was. */
		assert_int_equal(time_passes(&m)->state, DMABUF_LOST);
		assert_ptr_equal(now(&m)->why, why);
		assert_int_equal(now(&m)->retry_ms, 2 * REGBUF_RETRY_MIN_MS);
		assert_int_equal(read_failing(&m, 1, 0, 0), 0);
		fake.update = 0;
		assert_int_equal(time_passes(&m)->state, DMABUF_READY);
		close_rig(&m);
	}
}

static void what_cannot_come_is_not_tried(void **state)
{
	struct mrig m;

	(void)state;
	rig_begin(&m);
	fake.probe = -EOPNOTSUPP;
	loop_thread_call(&m.rig.lt, attach, &m);
	assert_int_equal(settled(&m)->state, DMABUF_NONE);
	assert_contains(now(&m)->why, "the kernel has no dma-buf registered buffers");
	loop_thread_call(&m.rig.lt, detach, &m);
	fake.probe = 0;
	m.rig.area.faces &= ~(unsigned)AREA_FACE_DMABUF;
	loop_thread_call(&m.rig.lt, attach, &m);
	assert_int_equal(settled(&m)->state, DMABUF_NONE);
	assert_ptr_equal(now(&m)->why, m.rig.area.why_not);
	assert_int_equal(fake.n, 0);
	close_rig(&m);
}

static void a_kernel_that_could_not_be_asked_is_asked_again(void **state)
{
	static const int answers[] = { 0, -EOPNOTSUPP };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
		struct mrig m;

		rig_begin(&m);
		fake.probe = -EMFILE;
		loop_thread_call(&m.rig.lt, attach, &m);
		assert_int_equal(settled(&m)->state, DMABUF_LOST);
		assert_contains(now(&m)->why, "could not be asked");
		assert_contains(now(&m)->why, strerror(EMFILE));
		assert_int_equal(time_passes(&m)->state, DMABUF_LOST);
		assert_int_equal(fake.n, 0);
		fake.probe = answers[i];
		assert_int_equal(time_passes(&m)->state, answers[i] ? DMABUF_NONE : DMABUF_READY);
		close_rig(&m);
	}
}

/* ------------------------------------------------------------------------- many at the same time */

struct crowd {
	struct mrig *m;
	struct backend *others[MOST_REGISTRATIONS / 2];
	unsigned n;
};

static void crowd_attach(void *arg)
{
	struct crowd *crowd = arg;
	struct loop *loop = &crowd->m->rig.lt.loop;

	for (unsigned i = 0; i < crowd->n; i++) {
		struct backend *backend = crowd->others[i];
		struct uring_attachment *at;

		assert_int_equal(backend->ops->attach(backend, loop, NEXT_INDEX + i,
						      &crowd->m->rig.memory), 0);
		at = loop_file_data(loop, NEXT_INDEX + i);
		loop_timer_start(loop, &at->dmabufs[crowd->m->rig.area.slot].timer, 0);
	}
	fake.n = 0;
}

static void crowd_detach(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->n; i++)
		crowd->others[i]->ops->detach(crowd->others[i], &crowd->m->rig.lt.loop,
					      NEXT_INDEX + i);
}

/* All are due in one turn. */
static void one_registration_a_turn(void **state)
{
	char err[BACKEND_ERROR_MAX];
	struct crowd crowd = { .n = MOST_REGISTRATIONS / 2 };
	struct mrig m;

	(void)state;
	rig_begin(&m);
	loop_thread_call(&m.rig.lt, attach, &m);
	settled(&m);
	crowd.m = &m;
	for (unsigned i = 0; i < crowd.n; i++) {
		struct config_namespace config = rig_config("file");
		int len = snprintf(config.path, sizeof(config.path), "%s.%u", path_of_file, i);

		assert_true(len > 0 && len < (int)sizeof(config.path));
		config.size = MIB;
		assert_int_equal(backend_open(&config, &crowd.others[i], err, sizeof(err)), 0);
		unlink(config.path);
	}
	fake.update = -ENOMEM;
	loop_thread_call(&m.rig.lt, crowd_attach, &crowd);
	for (int ms = 0; now(&m), __atomic_load_n(&fake.n, __ATOMIC_RELAXED) < crowd.n; ms++) {
		if (ms > 10000)
			fail_msg("%u registrations of %u", fake.n, crowd.n);
		usleep(1000);
	}
	for (unsigned i = 1; i < crowd.n; i++)
		assert_true(fake.turns[i] > fake.turns[i - 1]);
	loop_thread_call(&m.rig.lt, crowd_detach, &crowd);
	for (unsigned i = 0; i < crowd.n; i++)
		crowd.others[i]->ops->close(crowd.others[i]);
	close_rig(&m);
}

/* ------------------------------------------------------------------------------------------- vectors */

static void open_vectored(struct mrig *m)
{
	open_ready(m);
	if (!now(m)->vectored) {
		close_rig(m);
		skip();
	}
}

/* A drive without SGLs takes some and not others. */
static void a_refused_vector_falls_alone(void **state)
{
	struct mrig m;

	(void)state;
	open_vectored(&m);
	for (unsigned i = 0; i < 3 * URING_VECTORS_REFUSED; i++) {
		bool fails = i % URING_VECTORS_REFUSED;

		assert_int_equal(read_failing(&m, 2, -EINVAL, fails), 0);
		assert_true(settled(&m)->vectored);
		assert_int_equal(now(&m)->state, DMABUF_READY);
	}
	close_rig(&m);
}

static void vectors_rest_when_none_is_taken(void **state)
{
	uint64_t bytes[DATAPATH_STORAGE_RUNGS];
	uint32_t want_ms = REGBUF_RETRY_MIN_MS;
	struct datapath path;
	struct mrig m;

	(void)state;
	open_vectored(&m);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < URING_VECTORS_REFUSED; i++)
			assert_int_equal(read_failing(&m, 2, -EINVAL, 1), 0);
		assert_false(settled(&m)->vectored);
		assert_int_equal(now(&m)->state, DMABUF_READY);
		assert_int_equal(now(&m)->retry_ms, want_ms);
		assert_contains(rig_path(&m.rig, &path, bytes), "refuses vectors");
		assert_int_equal(path.storage, DATAPATH_STORAGE_DMABUF);
		/* The others go on. */
		assert_int_equal(read_failing(&m, 1, 0, 0), 0);
		assert_int_equal(read_failing(&m, 2, 0, 0), 0);
		assert_true(time_passes(&m)->vectored);
		want_ms *= 2;
	}
	assert_int_equal(fake.n, 1);
	close_rig(&m);
}

static void a_kernel_without_vectors_says_so_once(void **state)
{
	struct mrig m;

	(void)state;
	open_vectored(&m);
	assert_int_equal(read_failing(&m, 2, -EOPNOTSUPP, 1), 0);
	assert_false(settled(&m)->vectored);
	trials_fail(&m, -EOPNOTSUPP, 1);
	loop_thread_call(&m.rig.lt, expire, &m);
	while (now(&m)->trying)
		usleep(1000);
	assert_int_equal(now(&m)->state, DMABUF_READY);
	assert_false(now(&m)->vectored);
	assert_false(timer_running(&now(&m)->timer));
	close_rig(&m);
}

/* The device takes none at all any more, which only vectors have met so far. */
static void resting_vectors_find_out_what_is_wrong(void **state)
{
	struct mrig m;

	(void)state;
	open_vectored(&m);
	assert_int_equal(read_failing(&m, 2, -EOPNOTSUPP, 1), 0);
	settled(&m);
	trials_fail(&m, -EOPNOTSUPP, 2);
	assert_int_equal(time_passes(&m)->state, DMABUF_LOST);
	assert_true(time_passes(&m)->vectored);
	assert_int_equal(now(&m)->state, DMABUF_READY);
	close_rig(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(io_goes_by_the_dmabuf),
		cmocka_unit_test(any_error_of_a_dmabuf_falls),
		cmocka_unit_test(some_errors_leave_no_doubt),
		cmocka_unit_test(errors_of_the_drive_are_no_fault_of_memory),
		cmocka_unit_test(a_drive_that_is_gone_has_no_dmabuf),
		cmocka_unit_test(a_late_error_says_nothing),
		cmocka_unit_test(first_trial_decides),
		cmocka_unit_test(only_what_is_disowned_is_registered_anew),
		cmocka_unit_test(a_new_registration_that_fails_waits),
		cmocka_unit_test(delays_grow_until_it_works_for_long),
		cmocka_unit_test(a_refusal_at_attach_is_not_final),
		cmocka_unit_test(what_cannot_come_is_not_tried),
		cmocka_unit_test(a_kernel_that_could_not_be_asked_is_asked_again),
		cmocka_unit_test(one_registration_a_turn),
		cmocka_unit_test(a_refused_vector_falls_alone),
		cmocka_unit_test(vectors_rest_when_none_is_taken),
		cmocka_unit_test(a_kernel_without_vectors_says_so_once),
		cmocka_unit_test(resting_vectors_find_out_what_is_wrong),
	};
	int fd = mkstemp(path_of_file);
	char data[PIECE];
	int rc;

	memset(data, 0x55, sizeof(data));
	if (fd < 0 || write(fd, data, sizeof(data)) != sizeof(data))
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path_of_file);
	return rc;
}
