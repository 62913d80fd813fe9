/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine of file and block: which rung it takes, and what it does when the kernel says no. */
#include "backend_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "target/backend/uring.h"

enum { MIB = 1 << 20 };

static char path_of_file[] = "/var/tmp/sluice-uring-XXXXXX";

static struct uring_backend *rig_setup(struct rig *rig)
{
	*rig = (struct rig){ .config = rig_config("file") };
	snprintf(rig->config.path, sizeof(rig->config.path), "%s", path_of_file);
	rig->config.size = 4 * MIB;
	rig_open(rig);
	return (struct uring_backend *)rig->backend;
}

/* A range that is all 0x55 on the device. */
static void range_fill(struct rig *rig, uint64_t offset, uint32_t len)
{
	memset(rig->area.base, 0x55, len);
	assert_int_equal(rig_rw(rig, BACKEND_WRITE, offset, len), 0);
}

static void range_holds(struct rig *rig, uint64_t offset, uint32_t len, char byte)
{
	const char *data = rig->area.base;

	memset(rig->area.base, 0xa5, len);
	assert_int_equal(rig_rw(rig, BACKEND_READ, offset, len), 0);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(data[i], byte);
}

static void a_registered_area_goes_by_its_index(void **state)
{
	struct loop other;
	struct rig rig;

	(void)state;
	rig_setup(&rig);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), 0);
	/* An index with nothing behind it fails where it is used, and only there. */
	rig.area.fixed_index = 5;
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), -EFAULT);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 0, 4096), -EFAULT);
	rig.area.loop = &other;
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), 0);
	rig.area.loop = &rig.lt.loop;
	rig.backend->limits.fixed = false;
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), 0);
	rig.area.fixed_index = 0;
	rig_close(&rig);
}

static void several_pieces_go_as_plain_memory(void **state)
{
	struct rig_io rio;
	struct rig rig;

	(void)state;
	rig_setup(&rig);
	rig.area.fixed_index = 5;
	rig_io_init(&rio, &rig, BACKEND_WRITE, 0, 8192);
	rig_io_add(&rio, &rig.area, 0, 4096);
	rig_io_add(&rio, &rig.area, 65536, 4096);
	assert_int_equal(rig_io_run(&rio), 0);
	/* The first piece alone is enough for what is moved. */
	rio.completions = 0;
	rio.io.len = 4096;
	assert_int_equal(rig_io_run(&rio), -EFAULT);
	rig.area.fixed_index = 0;
	rig_close(&rig);
}

/* ---------------------------------------------------------------------------------- choosing a rung */

/* Everything that the choice depends on, as bits of a number. */
enum {
	HAS_DMABUF = 1 << 0,
	HAS_VECTORS = 1 << 1,
	HAS_FIXED = 1 << 2,
	HAS_PAGES = 1 << 3,
	IS_OURS = 1 << 4,
	IS_WHOLE = 1 << 5,
	IS_ALIGNED = 1 << 6,
	IS_ONE_AREA = 1 << 7,
	COMBINATIONS = 1 << 8,
};

/* The rules once more, rung by rung. */
static bool rung_possible(unsigned bits, enum datapath_storage rung)
{
	bool dmabuf = bits & HAS_DMABUF && bits & IS_OURS && bits & IS_ALIGNED;

	switch (rung) {
	case DATAPATH_STORAGE_DMABUF_VECTORED:
		return dmabuf && bits & HAS_VECTORS && !(bits & IS_WHOLE) && bits & IS_ONE_AREA;
	case DATAPATH_STORAGE_DMABUF:
		return dmabuf && bits & IS_WHOLE;
	case DATAPATH_STORAGE_FIXED:
		return bits & HAS_FIXED && bits & IS_OURS && bits & IS_WHOLE && bits & IS_ALIGNED;
	case DATAPATH_STORAGE_PLAIN:
		return bits & HAS_PAGES && bits & IS_ALIGNED;
	default:
		return true;
	}
}

static void the_best_possible_rung_is_taken(void **state)
{
	struct uring_backend ub = { .backend.limits = { .mem_align = 4, .fixed = true, .direct = true } };
	struct loop loop, other;
	struct uring_attachment at = { .ub = &ub, .loop = &loop };
	struct area area = { .fixed_index = AREA_NOT_FIXED, .slot = 2 }, second = { .slot = 2 };

	(void)state;
	for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
		struct span spans[] = { { &area, bits & IS_ALIGNED ? 4096 : 4098, 4096 },
					{ bits & IS_ONE_AREA ? &area : &second, 65536, 4096 } };
		struct spanv data = { spans, 2, 2, 8192 };
		struct backend_io io = { .backend = &ub.backend, .data = &data };

		io.len = bits & IS_WHOLE ? 4096 : 8192;
		area.loop = bits & IS_OURS ? &loop : &other;
		area.faces = second.faces = bits & HAS_PAGES ? AREA_FACE_FIXED : 0;
		area.fixed_index = bits & HAS_FIXED ? 2 : AREA_NOT_FIXED;
		at.dmabufs[2].state = bits & HAS_DMABUF ? DMABUF_READY : DMABUF_TRYING;
		at.dmabufs[2].vectored = bits & HAS_VECTORS;
		for (uint8_t floor = 0; floor <= DATAPATH_STORAGE_BOUNCE; floor++) {
			unsigned want = floor;

			while (!rung_possible(bits, want))
				want++;
			io.rung = floor;
			assert_int_equal(uring_rung(&at, &io), want);
		}
	}
}

/* Through the page cache any memory will do. */
static void only_direct_io_must_pin(void **state)
{
	struct uring_backend ub = { .backend.limits = { .mem_align = 1 } };
	struct uring_attachment at = { .ub = &ub };
	struct area area = { .fixed_index = AREA_NOT_FIXED };
	struct span span = { &area, 1, 4096 };
	struct spanv data = { &span, 1, 1, 4096 };
	struct backend_io io = { .backend = &ub.backend, .data = &data, .len = 4096 };

	(void)state;
	assert_int_equal(uring_rung(&at, &io), DATAPATH_STORAGE_PLAIN);
}

/* ------------------------------------------------------------------------- losing a registered dma-buf */

/*
 * Makes the engine believe that the rig's area is registered where the table is empty, which the kernel
 * answers as it does a registration that was lost.
 */
static struct uring_dmabuf *dmabuf_pretend(struct rig *rig)
{
	struct uring_attachment *at = loop_file_data(&rig->lt.loop, RIG_INDEX);
	struct uring_dmabuf *dmabuf = &at->dmabufs[rig->area.slot];

	dmabuf->index = (unsigned)loop_dmabuf_index(&rig->lt.loop, rig->area.slot, RIG_INDEX);
	dmabuf->registered = true;
	dmabuf->vectored = true;
	__atomic_store_n(&dmabuf->state, DMABUF_READY, __ATOMIC_RELEASE);
	return dmabuf;
}

struct dmabuf_seen {
	struct uring_dmabuf *dmabuf, copy;
};

static void dmabuf_see(void *arg)
{
	struct dmabuf_seen *seen = arg;

	seen->copy = *seen->dmabuf;
}

static struct uring_dmabuf dmabuf_now(struct rig *rig, struct uring_dmabuf *dmabuf)
{
	struct dmabuf_seen seen = { .dmabuf = dmabuf };

	loop_thread_call(&rig->lt, dmabuf_see, &seen);
	return seen.copy;
}

static void a_lost_dmabuf_loses_no_io(void **state)
{
	enum { IOS = 24, PIECE = 8192 };
	uint64_t bytes[DATAPATH_STORAGE_RUNGS];
	struct uring_dmabuf *dmabuf, now;
	static struct rig_io rios[IOS];
	struct datapath path;
	struct rig rig;

	(void)state;
	rig_setup(&rig);
	range_fill(&rig, 0, IOS * PIECE);
	dmabuf = dmabuf_pretend(&rig);
	memset(rig.area.base, 0xa5, RIG_MEMORY);
	for (unsigned i = 0; i < IOS; i++) {
		rig_io_init(&rios[i], &rig, BACKEND_READ, i * PIECE, PIECE);
		/* Every second one in two pieces. */
		rig_io_add(&rios[i], &rig.area, i * 65536, i % 2 ? PIECE : PIECE / 2);
		if (i % 2 == 0)
			rig_io_add(&rios[i], &rig.area, i * 65536 + 16384, PIECE / 2);
		rig_io_start(&rios[i]);
	}
	for (unsigned i = 0; i < IOS; i++) {
		char *data = malloc(PIECE);

		assert_int_equal(rig_io_wait(&rios[i]), 0);
		spanv_read(&rios[i].data, 0, data, PIECE);
		for (unsigned at = 0; at < PIECE; at++)
			assert_int_equal(data[at], 0x55);
		free(data);
	}
	now = dmabuf_now(&rig, dmabuf);
	assert_int_equal(now.state, DMABUF_LOST);
	assert_int_equal(now.retry_ms, REGBUF_RETRY_MIN_MS);
	assert_string_not_equal(rig_path(&rig, &path, bytes), "");
	assert_int_equal(path.storage, DATAPATH_STORAGE_FIXED);
	assert_int_equal(bytes[DATAPATH_STORAGE_DMABUF], 0);
	assert_int_equal(bytes[DATAPATH_STORAGE_PLAIN], IOS / 2 * PIECE);
	range_holds(&rig, 0, PIECE, 0x55);
	/* People are told outside the I/O, and nothing is undone that may heal. */
	while (!(now = dmabuf_now(&rig, dmabuf)).announced)
		usleep(1000);
	assert_true(now.registered);
	assert_true(timer_running(&now.timer));
	rig_close(&rig);
}

/* ---------------------------------------------------------------------------------- bounce buffers */

enum { CROWD = 2 * BOUNCE_PIECES + 3 };

/* A drive that takes nothing but bounce buffers. */
static void rig_open_bounce(struct rig *rig)
{
	*rig = (struct rig){ .config = rig_config("file"), .rung = DATAPATH_STORAGE_BOUNCE };
	snprintf(rig->config.path, sizeof(rig->config.path), "%s", path_of_file);
	rig->config.size = 4 * MIB;
	rig_open(rig);
}

struct bounce_crowd {
	struct rig_io rios[CROWD];
	bool cancel; /* the last but one */
	unsigned waiting;
};

static void crowd_submit(void *arg)
{
	struct bounce_crowd *crowd = arg;
	struct rig_io *victim = &crowd->rios[CROWD - 2];

	for (unsigned i = 0; i < CROWD; i++) {
		rig_io_submit(&crowd->rios[i]);
		crowd->waiting += crowd->rios[i].io.piece < 0;
	}
	if (crowd->cancel)
		backend_cancel(victim->rig->backend, &victim->lt->loop, &victim->io);
}

static void bounced_io_waits_its_turn(void **state)
{
	static struct bounce_crowd crowd;
	uint32_t len = BOUNCE_PIECE / 4;
	uint64_t bytes[DATAPATH_STORAGE_RUNGS];
	struct datapath path;
	struct rig rig;

	(void)state;
	rig_open_bounce(&rig);
	crowd.cancel = true;
	for (unsigned i = 0; i < CROWD; i++) {
		memset((char *)rig.area.base + i * len, (int)i + 1, len);
		rig_io_init(&crowd.rios[i], &rig, BACKEND_WRITE, i * len, len);
		rig_io_add(&crowd.rios[i], &rig.area, i * len, len);
	}
	loop_thread_call(&rig.lt, crowd_submit, &crowd);
	assert_int_equal(crowd.waiting, CROWD - BOUNCE_SHARE);
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(rig_io_wait(&crowd.rios[i]), i == CROWD - 2 ? -ECANCELED : 0);
	rig_path(&rig, &path, bytes);
	assert_int_equal(path.storage, DATAPATH_STORAGE_BOUNCE);
	assert_int_equal(bytes[DATAPATH_STORAGE_BOUNCE], (CROWD - 1) * len);
	assert_int_equal(rig.bounce.n_free, BOUNCE_PIECES);
	for (unsigned i = 0; i < CROWD; i++)
		if (i != CROWD - 2)
			range_holds(&rig, i * len, len, (char)(i + 1));
	rig_close(&rig);
}

struct cancelled_crowd {
	struct rig_io rios[CROWD];
};

static void crowd_submit_and_cancel(void *arg)
{
	struct cancelled_crowd *crowd = arg;

	for (unsigned i = 0; i < CROWD; i++) {
		rig_io_submit(&crowd->rios[i]);
		backend_cancel(crowd->rios[i].rig->backend, &crowd->rios[i].lt->loop,
			       &crowd->rios[i].io);
	}
}

/* I/O in several rounds goes no further than the one that it was in. */
static void cancelled_io_has_no_next_round(void **state)
{
	static const enum backend_opcode opcodes[] = { BACKEND_READ, BACKEND_WRITE };
	static struct cancelled_crowd crowd;
	uint64_t bytes[DATAPATH_STORAGE_RUNGS];
	struct datapath path;
	struct rig rig;

	(void)state;
	rig_open_bounce(&rig);
	for (unsigned o = 0; o < ARRAY_SIZE(opcodes); o++) {
		for (unsigned i = 0; i < CROWD; i++) {
			rig_io_init(&crowd.rios[i], &rig, opcodes[o], 0, 4 * BOUNCE_PIECE);
			rig_io_add(&crowd.rios[i], &rig.area, 0, 4 * BOUNCE_PIECE);
		}
		loop_thread_call(&rig.lt, crowd_submit_and_cancel, &crowd);
		for (unsigned i = 0; i < CROWD; i++)
			assert_int_equal(rig_io_wait(&crowd.rios[i]), -ECANCELED);
	}
	rig_path(&rig, &path, bytes);
	assert_true(bytes[DATAPATH_STORAGE_BOUNCE] <= 2ull * CROWD * BOUNCE_PIECE);
	assert_int_equal(rig.bounce.n_free, BOUNCE_PIECES);
	rig_close(&rig);
}

/* What a device cannot take and nobody can copy is an error of that I/O alone. */
static void without_bounce_buffers_it_is_an_error(void **state)
{
	struct rig rig;

	(void)state;
	rig_open_bounce(&rig);
	rig.memory.bounce = NULL;
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), -EINVAL);
	rig.memory.bounce = &rig.bounce;
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), 0);
	rig_close(&rig);
}

/* --------------------------------------------------------------------------- what the kernel refuses */

static void zeroes_are_written_where_unmapping_is_refused(void **state)
{
	struct uring_backend *ub;
	struct rig rig;

	(void)state;
	ub = rig_setup(&rig);
	range_fill(&rig, MIB, 65536);
	/* A mode that no file system has. */
	ub->zero_unmap_mode = FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE;
	assert_int_equal(rig_op(&rig, BACKEND_WRITE_ZEROES, BACKEND_IO_UNMAP | BACKEND_IO_FUA,
				MIB + 4096, 8192), 0);
	range_holds(&rig, MIB, 4096, 0x55);
	range_holds(&rig, MIB + 4096, 8192, 0);
	range_holds(&rig, MIB + 12288, 4096, 0x55);
	rig_close(&rig);
}

/* A device that cannot discard after all: no harm where nothing was promised, else an error. */
static void a_refused_discard_is_a_hint(void **state)
{
	struct uring_backend *ub;
	struct rig rig;

	(void)state;
	ub = rig_setup(&rig);
	range_fill(&rig, 0, 4096);
	/* Files know no such command. */
	ub->discard = URING_DISCARD_COMMAND;
	assert_int_equal(rig_op(&rig, BACKEND_DISCARD, 0, 0, 4096), -EOPNOTSUPP);
	ub->backend.limits.discard_zeroes = false;
	assert_int_equal(rig_op(&rig, BACKEND_DISCARD, 0, 0, 4096), 0);
	range_holds(&rig, 0, 4096, 0x55);
	rig_close(&rig);
}

static void one_lock_for_all_who_ask(void **state)
{
	int a = open(path_of_file, O_RDWR), b = open(path_of_file, O_RDWR);

	(void)state;
	assert_true(a >= 0 && b >= 0);
	assert_int_equal(uring_lock(a, false), 0);
	assert_int_equal(uring_lock(b, false), -EBUSY);
	assert_int_equal(uring_lock(b, true), -EBUSY);
	assert_int_equal(uring_lock(a, true), 0);
	assert_int_equal(uring_lock(b, true), 0);
	close(a);
	assert_int_equal(uring_lock(b, false), 0);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_registered_area_goes_by_its_index),
		cmocka_unit_test(several_pieces_go_as_plain_memory),
		cmocka_unit_test(the_best_possible_rung_is_taken),
		cmocka_unit_test(only_direct_io_must_pin),
		cmocka_unit_test(a_lost_dmabuf_loses_no_io),
		cmocka_unit_test(bounced_io_waits_its_turn),
		cmocka_unit_test(cancelled_io_has_no_next_round),
		cmocka_unit_test(without_bounce_buffers_it_is_an_error),
		cmocka_unit_test(zeroes_are_written_where_unmapping_is_refused),
		cmocka_unit_test(a_refused_discard_is_a_hint),
		cmocka_unit_test(one_lock_for_all_who_ask),
	};
	int fd = mkstemp(path_of_file);
	int rc;

	if (fd < 0)
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path_of_file);
	return rc;
}
