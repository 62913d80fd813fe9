/* SPDX-License-Identifier: BSD-3-Clause */
/* What every backend must do. One case is one way to open a backend; each test runs in each case. */
#ifndef SLUICE_TESTS_UNIT_TARGET_BACKEND_CONFORMANCE_H
#define SLUICE_TESTS_UNIT_TARGET_BACKEND_CONFORMANCE_H

#include <errno.h>
#include <unistd.h>

#include "backend_rig.h"

enum { DEVICE_BYTES = 4 << 20, DEPTH = 64 };

struct conformance_case {
	const char *name;
	const char *backend;
	const char *path; /* NULL: none */
	uint64_t size;
	uint32_t block_size;
	const char *fault;
	enum datapath_storage rung; /* that I/O is held to; the best one is 0 */
	bool forgets;    /* keeps no data: reads give zeroes */
	bool persistent; /* what was written is there when it is opened again */
	bool direct;     /* must bypass the page cache */
	bool exclusive;  /* a second open is refused */
	bool larger;     /* the device has more than DEVICE_BYTES; the rest is left alone */
};

struct fixture {
	const struct conformance_case *c;
	struct rig rig;
	uint8_t *model; /* what the device must hold */
	uint32_t block;
	int descriptors;
	struct unit_random random;
};

static void fixture_config(struct fixture *f)
{
	const struct conformance_case *c = f->c;

	f->rig.config = rig_config(c->backend);
	f->rig.config.size = c->size;
	f->rig.config.block_size = c->block_size;
	f->rig.rung = c->rung;
	if (c->path)
		snprintf(f->rig.config.path, sizeof(f->rig.config.path), "%s", c->path);
	if (c->fault) {
		snprintf(f->rig.config.fault[0], sizeof(f->rig.config.fault[0]), "%s", c->fault);
		f->rig.config.n_faults = 1;
	}
}

static int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->c = *state;
	f->random.state = 77;
	f->model = calloc(1, DEVICE_BYTES);
	fixture_config(f);
	f->descriptors = descriptors_count();
	rig_open(&f->rig);
	f->block = 1u << f->rig.backend->limits.block_shift;
	*state = f;
	/* Whatever earlier tests left behind. */
	if (f->c->persistent)
		assert_int_equal(rig_op(&f->rig, BACKEND_WRITE_ZEROES, 0, 0, DEVICE_BYTES), 0);
	return 0;
}

static int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	rig_close(&f->rig);
	assert_int_equal(descriptors_count(), f->descriptors);
	free(f->model);
	free(f);
	return 0;
}

static uint32_t random_blocks(struct fixture *f, uint32_t max)
{
	return (1 + unit_random_below(&f->random, max / f->block)) * f->block;
}

/* Adds @len bytes of @area in up to @n pieces, out of order and with gaps between them. */
static void pieces_add(struct fixture *f, struct rig_io *rio, struct area *area, uint32_t len, uint32_t n)
{
	uint32_t grain = MAX(f->rig.backend->limits.mem_align, 4u), left = len;

	for (uint32_t i = 0; i < n && left; i++) {
		uint32_t place = (i * 5 + 3) % RIG_SPANS * (RIG_MEMORY / RIG_SPANS);
		uint32_t skew = unit_random_below(&f->random, 8) * grain;
		uint32_t most = MAX(left / grain / (n - i), 1u);
		uint32_t piece = i == n - 1 ? left : (1 + unit_random_below(&f->random, most)) * grain;

		piece = MIN(piece, left);
		rig_io_add(rio, area, place + skew, piece);
		left -= piece;
	}
	assert_int_equal(rio->data.len, len);
}

/* Writes random bytes to the device and to the model, in @n pieces of @area. */
static void write_random(struct fixture *f, struct area *area, uint64_t offset, uint32_t len, uint32_t n,
			 unsigned flags)
{
	struct rig_io rio;

	rig_io_init(&rio, &f->rig, BACKEND_WRITE, offset, len);
	rio.io.flags = flags;
	pieces_add(f, &rio, area, len, n);
	for (uint32_t i = 0; i < len; i += 4) {
		uint32_t word = unit_random(&f->random);

		memcpy(f->model + offset + i, &word, sizeof(word));
	}
	spanv_write(&rio.data, 0, f->model + offset, len);
	assert_int_equal(rig_io_run(&rio), 0);
	if (f->c->forgets)
		memset(f->model + offset, 0, len);
}

/* Reads and compares every byte; the destination is poisoned before. */
static void read_check(struct fixture *f, struct area *area, uint64_t offset, uint32_t len, uint32_t n)
{
	uint8_t *back = malloc(len);
	struct rig_io rio;

	rig_io_init(&rio, &f->rig, BACKEND_READ, offset, len);
	pieces_add(f, &rio, area, len, n);
	memset(back, 0xa5, len);
	spanv_write(&rio.data, 0, back, len);
	assert_int_equal(rig_io_run(&rio), 0);
	spanv_read(&rio.data, 0, back, len);
	assert_memory_equal(back, f->model + offset, len);
	free(back);
}

static void device_check(struct fixture *f)
{
	uint32_t most = MIN(f->rig.backend->limits.max_transfer, (uint32_t)DEVICE_BYTES);

	for (uint64_t at = 0; at < DEVICE_BYTES; at += most)
		read_check(f, &f->rig.area, at, most, 1);
}

/* -------------------------------------------------------------------------------------------- the tests */

static void limits_are_sane(void **state)
{
	struct fixture *f = *state;
	const struct backend_limits *limits = &f->rig.backend->limits;

	if (f->c->larger)
		assert_true(limits->size > DEVICE_BYTES);
	else
		assert_int_equal(limits->size, DEVICE_BYTES);
	assert_in_range(limits->block_shift, MIN_BLOCK_SHIFT, MAX_BLOCK_SHIFT);
	assert_in_range(limits->phys_shift, limits->block_shift, MAX_BLOCK_SHIFT);
	if (f->c->block_size)
		assert_int_equal(f->block, f->c->block_size);
	assert_true(limits->mem_align && !(limits->mem_align & (limits->mem_align - 1)));
	assert_in_range(limits->mem_align, 1, 4096);
	assert_false(limits->piece_align & (limits->piece_align - 1));
	assert_in_range(limits->piece_align, limits->mem_align, 4096);
	assert_int_equal(limits->max_transfer, MAX_TRANSFER);
	assert_in_range(limits->max_segments, 1, UINT32_MAX);
	assert_false(limits->read_only);
	if (f->c->direct)
		assert_true(limits->direct);
	assert_true(f->rig.backend->path[0]);
	/* Without direct I/O there is a reason to tell. */
	assert_true(limits->direct || f->rig.backend->detail[0]);
}

static void new_blocks_read_zero(void **state)
{
	device_check(*state);
}

static void all_sizes_read_back(void **state)
{
	struct fixture *f = *state;

	for (uint32_t len = f->block; len <= MAX_TRANSFER; len *= 2) {
		uint64_t offset = (DEVICE_BYTES - len) / f->block / 2 * f->block;

		write_random(f, &f->rig.area, offset, len, 1, 0);
		read_check(f, &f->rig.area, offset, len, 1);
		if (len > f->block) {
			write_random(f, &f->rig.area, 0, len - f->block, 1, 0);
			read_check(f, &f->rig.area, 0, len - f->block, 1);
		}
	}
	/* The first and the last block. */
	write_random(f, &f->rig.area, 0, f->block, 1, 0);
	write_random(f, &f->rig.area, DEVICE_BYTES - f->block, f->block, 1, 0);
	device_check(f);
}

static void vectors_read_back(void **state)
{
	struct fixture *f = *state;
	uint32_t most = MIN(f->rig.backend->limits.max_segments, (uint32_t)RIG_SPANS);

	for (uint32_t n = 1; n <= most; n++) {
		uint32_t len = random_blocks(f, 64 << 10);
		uint64_t offset = random_blocks(f, DEVICE_BYTES - (64 << 10)) - f->block;

		write_random(f, &f->rig.area, offset, len, n, 0);
		read_check(f, &f->rig.plain, offset, len, most + 1 - n);
		write_random(f, &f->rig.plain, offset, len, n, 0);
		read_check(f, &f->rig.area, offset, len, most + 1 - n);
	}
	device_check(f);
}

/* As fragments of packets are: an I/O in so many pieces that it goes to the device in several requests. */
static void any_number_of_pieces(void **state)
{
	enum { PIECES = 1536, PIECE = 512 };
	struct fixture *f = *state;
	struct area *areas[] = { &f->rig.area, &f->rig.plain };
	struct span *room = calloc(PIECES, sizeof(*room));
	uint32_t len = PIECES * PIECE;

	if (f->rig.backend->limits.mem_align > PIECE || f->block > len) {
		free(room);
		return;
	}
	for (unsigned a = 0; a < ARRAY_SIZE(areas); a++) {
		struct rig_io rio;

		rig_io_init(&rio, &f->rig, BACKEND_WRITE, a * len, len);
		spanv_init(&rio.data, room, PIECES);
		for (uint32_t i = 0; i < PIECES; i++)
			rig_io_add(&rio, areas[a], (PIECES - i) * 2 * PIECE, PIECE);
		for (uint32_t i = 0; i < len; i++)
			f->model[a * len + i] = (uint8_t)unit_random(&f->random);
		spanv_write(&rio.data, 0, f->model + a * len, len);
		assert_int_equal(rig_io_run(&rio), 0);
		spanv_zero(&rio.data, 0, len);
		rio.io.opcode = BACKEND_READ;
		rio.completions = 0;
		assert_int_equal(rig_io_run(&rio), 0);
		if (f->c->forgets)
			memset(f->model + a * len, 0, len);
		for (uint32_t i = 0; i < PIECES; i++)
			assert_memory_equal(span_ptr(&room[i]), f->model + a * len + i * PIECE, PIECE);
	}
	free(room);
	device_check(f);
}

static void data_goes_by_the_rung(void **state)
{
	struct fixture *f = *state;
	uint64_t before[DATAPATH_STORAGE_RUNGS], after[DATAPATH_STORAGE_RUNGS];
	uint32_t len = 64 << 10, pieces = 1;
	struct datapath path;

	if (!f->c->rung && !f->c->larger)
		return; /* whatever is best here */
	rig_path(&f->rig, &path, before);
	assert_int_equal(path.storage, f->c->rung);
	if (path.storage == DATAPATH_STORAGE_DMABUF_VECTORED)
		pieces = 5;
	write_random(f, &f->rig.area, len, len, pieces, 0);
	read_check(f, &f->rig.area, len, len, pieces);
	rig_path(&f->rig, &path, after);
	for (unsigned i = 0; i < DATAPATH_STORAGE_RUNGS; i++)
		assert_int_equal(after[i] - before[i], i == f->c->rung ? 2 * len : 0);
	assert_int_equal(path.storage, f->c->rung);
}

static void durable_writes_and_flush(void **state)
{
	struct fixture *f = *state;

	write_random(f, &f->rig.area, 8 * f->block, 4 * f->block, 1, BACKEND_IO_FUA);
	write_random(f, &f->rig.plain, 80 * f->block, 4 * f->block, 4, BACKEND_IO_FUA);
	assert_int_equal(rig_op(&f->rig, BACKEND_FLUSH, 0, 0, 0), 0);
	device_check(f);
}

static void write_zeroes_clears_only_its_range(void **state)
{
	static const unsigned flags[] = { 0, BACKEND_IO_UNMAP, BACKEND_IO_FUA,
					  BACKEND_IO_UNMAP | BACKEND_IO_FUA };
	struct fixture *f = *state;

	assert_true(f->rig.backend->limits.write_zeroes);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		uint64_t offset = (3 + i * 50) * f->block, len = (1 + 17 * i) * f->block;

		write_random(f, &f->rig.area, offset - f->block, (uint32_t)len + 2 * f->block, 1, 0);
		assert_int_equal(rig_op(&f->rig, BACKEND_WRITE_ZEROES, flags[i], offset, len), 0);
		memset(f->model + offset, 0, len);
	}
	device_check(f);
}

static void discard_clears_only_its_range(void **state)
{
	struct fixture *f = *state;
	uint64_t offset = 16 * f->block, len = DEVICE_BYTES / 2;

	assert_true(f->rig.backend->limits.discard);
	for (uint64_t at = 0; at < DEVICE_BYTES; at += MAX_TRANSFER)
		write_random(f, &f->rig.area, at, MAX_TRANSFER, 1, 0);
	assert_int_equal(rig_op(&f->rig, BACKEND_DISCARD, 0, offset, len), 0);
	if (f->rig.backend->limits.discard_zeroes) {
		memset(f->model + offset, 0, len);
		device_check(f);
	} else {
		read_check(f, &f->rig.area, 0, (uint32_t)offset, 1);
		for (uint64_t at = offset + len; at < DEVICE_BYTES; at += 16 * f->block)
			read_check(f, &f->rig.area, at, 16 * f->block, 1);
	}
	/* A discarded block takes data again. */
	write_random(f, &f->rig.area, offset, 32 * f->block, 1, 0);
	read_check(f, &f->rig.area, offset, 32 * f->block, 1);
}

static void whole_device_at_once(void **state)
{
	struct fixture *f = *state;

	write_random(f, &f->rig.area, DEVICE_BYTES - MAX_TRANSFER, MAX_TRANSFER, 1, 0);
	assert_int_equal(rig_op(&f->rig, BACKEND_WRITE_ZEROES, BACKEND_IO_UNMAP, 0, DEVICE_BYTES), 0);
	memset(f->model, 0, DEVICE_BYTES);
	device_check(f);
	assert_int_equal(rig_op(&f->rig, BACKEND_DISCARD, 0, 0, DEVICE_BYTES), 0);
}

/* ------------------------------------------------------------------------------- many I/Os at a time */

/* One of DEPTH lanes: writes, reads back, compares and goes on, all on the loop's thread. */
struct lane {
	struct backend_io io;
	struct crowd *crowd;
	struct span span;
	struct spanv data;
	uint64_t offset;
	uint32_t len;
	unsigned rounds;
	uint8_t tag;
};

struct crowd {
	struct fixture *f;
	struct loop_thread *lt;
	struct area *area;
	struct lane lanes[DEPTH];
	uint64_t base; /* of the part of the device that this crowd has */
	unsigned running, errors;
	sem_t finished;
};

static void lane_next(struct lane *lane);

static void lane_fill(struct lane *lane)
{
	uint32_t *words = span_ptr(&lane->span);

	for (uint32_t i = 0; i < lane->len / 4; i++)
		words[i] = (uint32_t)lane->offset + i * 2654435761u + lane->tag;
}

static bool lane_holds(const struct lane *lane)
{
	const uint32_t *words = span_ptr(&lane->span);

	for (uint32_t i = 0; i < lane->len / 4; i++) {
		uint32_t want = (uint32_t)lane->offset + i * 2654435761u + lane->tag;

		if (words[i] != (lane->crowd->f->c->forgets ? 0 : want))
			return false;
	}
	return true;
}

static void lane_done(struct backend_io *io, int error)
{
	struct lane *lane = container_of(io, struct lane, io);

	if (error || (io->opcode == BACKEND_READ && !lane_holds(lane)))
		lane->crowd->errors++;
	lane_next(lane);
}

static void lane_next(struct lane *lane)
{
	struct crowd *crowd = lane->crowd;

	if (!lane->rounds--) {
		if (!--crowd->running)
			sem_post(&crowd->finished);
		return;
	}
	if (lane->rounds % 2) {
		lane->tag++;
		lane_fill(lane);
	} else {
		memset(span_ptr(&lane->span), 0xa5, lane->len);
	}
	lane->io = (struct backend_io){
		.opcode = lane->rounds % 2 ? BACKEND_WRITE : BACKEND_READ,
		.offset = lane->offset,
		.len = lane->len,
		.data = &lane->data,
		.done = lane_done,
	};
	backend_submit(crowd->f->rig.backend, &crowd->lt->loop, &lane->io);
}

static void crowd_start(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < DEPTH; i++)
		lane_next(&crowd->lanes[i]);
}

static void crowd_init(struct crowd *crowd, struct fixture *f, struct loop_thread *lt, struct area *area,
		       uint64_t base, uint32_t slot)
{
	*crowd = (struct crowd){ .f = f, .lt = lt, .area = area, .base = base, .running = DEPTH };
	sem_init(&crowd->finished, 0, 0);
	for (unsigned i = 0; i < DEPTH; i++) {
		struct lane *lane = &crowd->lanes[i];

		lane->crowd = crowd;
		lane->offset = base + i * slot;
		lane->len = random_blocks(f, slot);
		lane->span = (struct span){ area, (uint64_t)i * slot, lane->len };
		lane->data = (struct spanv){ &lane->span, 1, 1, lane->len };
		lane->rounds = 16;
		lane->tag = (uint8_t)i;
	}
}

static void crowd_wait(struct crowd *crowd)
{
	while (sem_wait(&crowd->finished))
		;
	assert_int_equal(crowd->errors, 0);
}

static void depth_64_reads_back(void **state)
{
	struct fixture *f = *state;
	static struct crowd crowd;

	crowd_init(&crowd, f, &f->rig.lt, &f->rig.area, 0, DEVICE_BYTES / DEPTH);
	loop_thread_call(&f->rig.lt, crowd_start, &crowd);
	crowd_wait(&crowd);
}

struct second_loop {
	struct fixture *f;
	struct loop_thread lt;
	struct bounce bounce;
	struct backend_memory memory; /* no area of its own */
};

static void second_detach(void *arg)
{
	struct second_loop *second = arg;
	struct backend *backend = second->f->rig.backend;

	if (backend->ops->detach)
		backend->ops->detach(backend, &second->lt.loop, RIG_INDEX);
}

/* As with several workers: two loops, each with memory of its own, on one backend. */
static void two_loops_at_once(void **state)
{
	struct fixture *f = *state;
	struct second_loop second = { .f = f };
	struct backend *backend = f->rig.backend;
	static struct crowd crowds[2];

	loop_thread_init(&second.lt);
	assert_int_equal(bounce_init(&second.bounce, &second.lt.loop, 1), 0);
	second.memory.bounce = &second.bounce;
	if (backend->ops->attach)
		assert_int_equal(backend->ops->attach(backend, &second.lt.loop, RIG_INDEX,
						      &second.memory), 0);
	loop_thread_start(&second.lt);
	crowd_init(&crowds[0], f, &f->rig.lt, &f->rig.area, 0, DEVICE_BYTES / 2 / DEPTH);
	/* Memory that is registered with the other loop must be taken as plain memory here. */
	crowd_init(&crowds[1], f, &second.lt, &f->rig.area, DEVICE_BYTES / 2, DEVICE_BYTES / 2 / DEPTH);
	for (unsigned i = 0; i < DEPTH; i++)
		crowds[1].lanes[i].span.offset += RIG_MEMORY / 2;
	loop_thread_call(&f->rig.lt, crowd_start, &crowds[0]);
	loop_thread_call(&second.lt, crowd_start, &crowds[1]);
	crowd_wait(&crowds[0]);
	crowd_wait(&crowds[1]);
	loop_thread_call(&second.lt, second_detach, &second);
	loop_thread_stop(&second.lt);
	bounce_fini(&second.bounce);
}

static void rig_io_submit_and_cancel(void *arg)
{
	struct rig_io *rio = arg;

	rig_io_submit(rio);
	if (!rio->completions)
		backend_cancel(rio->rig->backend, &rio->lt->loop, &rio->io);
}

static void a_cancelled_io_is_done_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 50; i++) {
		struct rig_io rio;
		int error;

		rig_io_init(&rio, &f->rig, BACKEND_READ, 0, MAX_TRANSFER);
		rig_io_add(&rio, &f->rig.area, 0, MAX_TRANSFER);
		loop_thread_call(&f->rig.lt, rig_io_submit_and_cancel, &rio);
		error = rig_io_wait(&rio);
		assert_true(error == 0 || error == -ECANCELED);
	}
	device_check(f);
}

static void mapped_memory_is_the_device(void **state)
{
	struct fixture *f = *state;
	struct backend *backend = f->rig.backend;
	uint64_t offset = 24 * f->block;
	uint32_t len = 8 * f->block;
	struct span span;

	if (!backend->ops->map)
		return;
	write_random(f, &f->rig.area, offset, len, 1, 0);
	assert_int_equal(backend->ops->map(backend, offset, len, false, &span), 0);
	assert_int_equal(span.len, len);
	assert_memory_equal(span_ptr(&span), f->model + offset, len);
	if (backend->ops->map(backend, offset, len, true, &span))
		return;
	memset(span_ptr(&span), 0x3c, len);
	memset(f->model + offset, 0x3c, len);
	device_check(f);
}

static void nothing_changed(void **state)
{
	struct fixture *f = *state;
	struct backend *backend = f->rig.backend;

	if (backend->ops->refresh)
		assert_int_equal(backend->ops->refresh(backend), 0);
	assert_int_equal(backend_size(backend), backend->limits.size);
}

static void data_survives_reopening(void **state)
{
	struct fixture *f = *state;

	if (!f->c->persistent)
		return;
	for (uint64_t at = 0; at < DEVICE_BYTES; at += MAX_TRANSFER)
		write_random(f, &f->rig.area, at, MAX_TRANSFER, 1, 0);
	rig_close(&f->rig);
	rig_open(&f->rig);
	device_check(f);
}

static void a_second_open_is_refused(void **state)
{
	struct fixture *f = *state;
	char err[BACKEND_ERROR_MAX];

	if (!f->c->exclusive)
		return;
	rig_refused(&f->rig.config, -EBUSY, err);
	assert_contains(err, f->c->path);
	assert_contains(err, "in use");
}

static const struct {
	const char *name;
	CMUnitTestFunction run;
} conformance_tests[] = {
	{ "limits_are_sane", limits_are_sane },
	{ "new_blocks_read_zero", new_blocks_read_zero },
	{ "all_sizes_read_back", all_sizes_read_back },
	{ "vectors_read_back", vectors_read_back },
	{ "any_number_of_pieces", any_number_of_pieces },
	{ "data_goes_by_the_rung", data_goes_by_the_rung },
	{ "durable_writes_and_flush", durable_writes_and_flush },
	{ "write_zeroes_clears_only_its_range", write_zeroes_clears_only_its_range },
	{ "discard_clears_only_its_range", discard_clears_only_its_range },
	{ "whole_device_at_once", whole_device_at_once },
	{ "depth_64_reads_back", depth_64_reads_back },
	{ "two_loops_at_once", two_loops_at_once },
	{ "a_cancelled_io_is_done_once", a_cancelled_io_is_done_once },
	{ "mapped_memory_is_the_device", mapped_memory_is_the_device },
	{ "nothing_changed", nothing_changed },
	{ "data_survives_reopening", data_survives_reopening },
	{ "a_second_open_is_refused", a_second_open_is_refused },
};

/* Runs every test in every case. Returns what main returns. */
static int conformance_run(const struct conformance_case *cases, size_t n_cases)
{
	static struct CMUnitTest tests[256];
	static char names[256][96];
	size_t n = 0;

	for (size_t c = 0; c < n_cases; c++) {
		for (size_t t = 0; t < ARRAY_SIZE(conformance_tests); t++, n++) {
			assert_true(n < ARRAY_SIZE(tests));
			snprintf(names[n], sizeof(names[n]), "%s: %s", cases[c].name,
				 conformance_tests[t].name);
			tests[n] = (struct CMUnitTest){
				.name = names[n],
				.test_func = conformance_tests[t].run,
				.setup_func = fixture_setup,
				.teardown_func = fixture_teardown,
				.initial_state = (void *)&cases[c],
			};
		}
	}
	return _cmocka_run_group_tests("conformance", tests, n, NULL, NULL);
}

#endif
