/* SPDX-License-Identifier: BSD-3-Clause */
/* The fence around a fused pair: nobody writes to its blocks in between. */
#include "io_pairs.h"

/* While a pair is at work, writes to its blocks wait, from either worker; others pass. */
static void writes_wait_outside(void **state)
{
	struct io overlapping = { NVME_IO_WRITE, .nsid = 3, .slba = 1, .nlb = 2, .in = a };
	struct io beside = { NVME_IO_WRITE, .nsid = 3, .slba = 2, .nlb = 1, .in = a };
	static struct fake_call waits[2];

	(void)state;
	memset(c, 0, sizeof(c));
	begin(compare_of(3, 0, 2, c), write_of(3, 0, 2, b));
	for (unsigned i = 0; i < 2; i++)
		io_begin(&io_conn[i], &overlapping, &waits[i]);
	assert_int_equal(io_run_on(&io_conn[1], beside), 0);
	assert_int_equal(io_run_on(&io_conn[0], beside), 0);
	/* The read takes 100 ms, all that took far less. */
	assert_false(fake_is_done(&first));
	for (unsigned i = 0; i < 2; i++)
		assert_false(fake_is_done(&waits[i]));
	ends(0, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fake_finish(&waits[i]), 0);
	assert_int_equal(io_run((struct io){ NVME_IO_READ, .nsid = 3, .nlb = 3, .out = c }), 0);
	assert_memory_equal(c, b, IO_BLOCK);
	assert_memory_equal(c + IO_BLOCK, a, 2 * IO_BLOCK);
}

/* A pair waits for a write that was there before it, even on another worker. */
static void writes_before_are_waited_for(void **state)
{
	struct io stuck = { NVME_IO_WRITE, .nsid = 3, .slba = 8, .nlb = 8, .in = a };
	struct fake_call early;

	(void)state;
	io_begin(&io_conn[1], &stuck, &early);
	memset(c, 0, sizeof(c));
	/* Beside it there is nothing to wait for. */
	begin(compare_of(3, 16, 1, c), write_of(3, 16, 1, c));
	ends(0, 0);
	begin(compare_of(3, 15, 1, c), write_of(3, 15, 1, b));
	for (unsigned i = 0; i < 4; i++)
		fake_settle(&workers[i % 2]);
	assert_false(fake_is_done(&first));
	abort_call(&early);
	assert_int_equal(fake_finish(&early), NVME_SC_ABORT_REQUESTED);
	ends(0, 0);
}

/* As before, with writes whose data the transport puts straight into the backend's memory. */
static void mapped_writes_wait_too(void **state)
{
	struct io write = { NVME_IO_WRITE, .nsid = 1, .slba = 5, .nlb = 1, .in = a };
	static struct fake_call early, late;

	(void)state;
	memset(c, 0x77, sizeof(c));
	plain_write(1, 5, 1, c);
	io_conn[1].hold_fetch = true;
	io_begin(&io_conn[1], &write, &early);
	begin(compare_of(1, 5, 1, a), write_of(1, 5, 1, b));
	write.in = c;
	io_begin(&io_conn[0], &write, &late);
	for (unsigned i = 0; i < 4; i++)
		fake_settle(&workers[i % 2]);
	assert_false(fake_is_done(&first));
	assert_false(fake_is_done(&late));
	io_release_fetches(&io_conn[1]);
	assert_int_equal(fake_finish(&early), 0);
	/* They compare with what was there before; who came later has the last word. */
	ends(0, 0);
	assert_int_equal(fake_finish(&late), 0);
	memset(a, 0x77, IO_BLOCK);
	stored(1, 5, 1, a);
}

/* Where fused commands are used, a write whose data does not come is not in their way. */
static void withheld_data_holds_nobody_up(void **state)
{
	struct io write = { NVME_IO_WRITE, .nsid = 1, .slba = 5, .nlb = 1, .in = a };
	static struct fake_call early;

	(void)state;
	memset(c, 0x77, sizeof(c));
	plain_write(1, 5, 1, c);
	begin(compare_of(1, 5, 1, c), write_of(1, 5, 1, b));
	ends(0, 0);
	io_conn[1].hold_fetch = true;
	io_begin(&io_conn[1], &write, &early);
	begin(compare_of(1, 5, 1, b), write_of(1, 5, 1, c));
	ends(0, 0);
	assert_false(fake_is_done(&early));
	stored(1, 5, 1, c);
	io_release_fetches(&io_conn[1]);
	assert_int_equal(fake_finish(&early), 0);
	stored(1, 5, 1, a);
}

/* A mapped write whose data is damaged lets go of its blocks. */
static void mapped_write_that_fails(void **state)
{
	struct io write = { NVME_IO_WRITE, .nsid = 1, .slba = 6, .nlb = 1, .in = a };
	static struct fake_call early;

	(void)state;
	plain_write(1, 6, 1, a);
	io_conn[1].hold_fetch = true;
	io_begin(&io_conn[1], &write, &early);
	begin(compare_of(1, 6, 1, a), write_of(1, 6, 1, b));
	assert_false(fake_is_done(&first));
	fetched(&early, NVME_SC_TRANSIENT_TRANSPORT);
	ends(0, 0);
	assert_int_equal(fake_finish(&early), NVME_SC_TRANSIENT_TRANSPORT);
	io_conn[1].hold_fetch = false;
	stored(1, 6, 1, b);
}

static void aborted_outside(void **state)
{
	struct io overlapping = { NVME_IO_WRITE, .nsid = 3, .slba = 0, .nlb = 1, .in = a };
	static struct fake_call waits;

	(void)state;
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE_ZEROES, .nsid = 3, .nlb = 4 }), 0);
	memset(c, 0, sizeof(c));
	begin(compare_of(3, 0, 1, c), write_of(3, 0, 1, b));
	io_begin(&io_conn[1], &overlapping, &waits);
	assert_false(fake_is_done(&waits));
	assert_true(abort_call(&waits));
	assert_int_equal(fake_finish(&waits), NVME_SC_ABORT_REQUESTED);
	ends(0, 0);
	stored(3, 0, 1, b);
}

/* Says that a connection's host has fallen silent, or is there again. */
static void silent_set(struct fake_conn *conn, bool silent)
{
	conn->queue.ctrl->silent = silent;
	queue_suspect_post(&conn->queue);
	fake_settle(conn->queue.worker);
}

/* What a host that has fallen silent is writing is finished before anybody else writes there. */
static void lost_writes_come_first(void **state)
{
	struct io old = { NVME_IO_WRITE, .nsid = 3, .slba = 8, .nlb = 8, .in = a };
	struct io new = { NVME_IO_WRITE, .nsid = 3, .slba = 14, .nlb = 2, .in = b };
	struct io beside = { NVME_IO_WRITE, .nsid = 3, .slba = 16, .nlb = 1, .in = b };
	static struct fake_call early, late[2];

	(void)state;
	io_begin(&io_conn[1], &old, &early);
	silent_set(&io_conn[1], true);
	for (unsigned i = 0; i < 2; i++)
		io_begin(&io_conn[i], &new, &late[i]);
	assert_int_equal(io_run_on(&io_conn[0], beside), 0);
	/* A pair closes the fence and opens it again: they wait as before. */
	memset(c, 0, sizeof(c));
	begin(compare_of(3, 20, 1, c), write_of(3, 20, 1, b));
	ends(0, 0);
	for (unsigned i = 0; i < 4; i++)
		fake_settle(&workers[i % 2]);
	for (unsigned i = 0; i < 2; i++)
		assert_false(fake_is_done(&late[i]));
	abort_call(&early);
	assert_int_equal(fake_finish(&early), NVME_SC_ABORT_REQUESTED);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fake_finish(&late[i]), 0);
	stored(3, 14, 2, b);
	assert_false(namespaces[2]->fenced);
	silent_set(&io_conn[1], false);
}

/* Ranges of any length, wherever they begin, and nobody waits who is beside. */
static void lost_writes_anywhere(void **state)
{
	static const struct {
		uint64_t slba;
		uint32_t nlb;
		bool waits;
	} late[] = {
		{ 0, 1, false },       { 4090, 6, false },    { 4090, 7, true },
		{ 4103, 1, true },     { 4104, 1, false },    { 0, 30000, true },
		{ 8000, 1, false },    { 11999, 2, true },    { 12010, 1, false },
		{ 4104, 7896, false }, { 4104, 7897, true },  { 14999, 1, false },
		{ 15000, 1, true },    { 20999, 5000, true }, { 21000, 5000, false },
	};
	struct io old[] = {
		{ NVME_IO_WRITE_ZEROES, .nsid = 6, .slba = 4096, .nlb = 8 },
		{ NVME_IO_WRITE_ZEROES, .nsid = 6, .slba = 12000, .nlb = 10 },
		{ NVME_IO_WRITE_ZEROES, .nsid = 6, .slba = 15000, .nlb = 6000 },
	};
	static struct fake_call early[ARRAY_SIZE(old)], call;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(old); i++)
		io_begin(&io_conn[1], &old[i], &early[i]);
	silent_set(&io_conn[1], true);
	for (unsigned i = 0; i < ARRAY_SIZE(late); i++) {
		struct io io = { NVME_IO_WRITE_ZEROES, .nsid = 6, .slba = late[i].slba,
				 .nlb = late[i].nlb };

		io_begin(&io_conn[0], &io, &call);
		if (late[i].waits)
			assert_true(abort_call(&call));
		assert_int_equal(fake_finish(&call), late[i].waits ? NVME_SC_ABORT_REQUESTED : 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(old); i++) {
		abort_call(&early[i]);
		assert_int_equal(fake_finish(&early[i]), NVME_SC_ABORT_REQUESTED);
	}
	assert_false(namespaces[5]->fenced);
	silent_set(&io_conn[1], false);
}

/* A write that has not begun does not begin: what the host wrote elsewhere may be through already. */
static void lost_hosts_write_nothing_more(void **state)
{
	struct io old = { NVME_IO_WRITE, .nsid = 1, .slba = 8, .nlb = 1, .in = a };
	struct io new = { NVME_IO_WRITE, .nsid = 1, .slba = 8, .nlb = 1, .in = b };
	struct io look = { NVME_IO_READ, .nsid = 1, .slba = 8, .nlb = 1, .out = c };

	(void)state;
	__atomic_store_n(&fake_heard, false, __ATOMIC_RELAXED);
	silent_set(&io_conn[1], true);
	assert_int_equal(io_run_on(&io_conn[0], new), 0);
	assert_int_equal(io_run_on(&io_conn[1], old), NVME_SC_TRANSIENT_TRANSPORT);
	assert_int_equal(io_run_on(&io_conn[1], look), 0);
	stored(1, 8, 1, b);
	assert_memory_equal(c, b, IO_BLOCK);
	/* It was not lost after all. */
	__atomic_store_n(&fake_heard, true, __ATOMIC_RELAXED);
	silent_set(&io_conn[1], false);
	assert_int_equal(io_run_on(&io_conn[1], old), 0);
	stored(1, 8, 1, a);
}

/* Neither does a pair, nor what waits behind another's. */
static void lost_hosts_compare_nothing_more(void **state)
{
	struct io beside = { NVME_IO_WRITE, .nsid = 3, .slba = 1, .nlb = 1, .in = b };
	static struct fake_call pair[2], late;

	(void)state;
	__atomic_store_n(&fake_heard, false, __ATOMIC_RELAXED);
	plain_write(3, 0, 4, a);
	begin(compare_of(3, 0, 2, a), write_of(3, 0, 2, b));
	io_begin(&io_conn[1], &beside, &late);
	io_begin(&io_conn[1], &(struct io){ NVME_IO_COMPARE, NVME_FUSE_FIRST, .nsid = 3, .slba = 2,
					    .nlb = 1, .in = a }, &pair[0]);
	io_begin(&io_conn[1], &(struct io){ NVME_IO_WRITE, NVME_FUSE_SECOND, .nsid = 3, .slba = 2,
					    .nlb = 1, .in = b }, &pair[1]);
	silent_set(&io_conn[1], true);
	ends(0, 0);
	assert_int_equal(fake_finish(&late), NVME_SC_TRANSIENT_TRANSPORT);
	assert_int_equal(fake_finish(&pair[0]), NVME_SC_TRANSIENT_TRANSPORT);
	assert_int_equal(fake_finish(&pair[1]), NVME_SC_ABORTED_FAILED_FUSED);
	/* One that comes as a whole after that. */
	io_begin(&io_conn[1], &(struct io){ NVME_IO_COMPARE, NVME_FUSE_FIRST, .nsid = 3, .slba = 2,
					    .nlb = 1, .in = a }, &pair[0]);
	io_begin(&io_conn[1], &(struct io){ NVME_IO_WRITE, NVME_FUSE_SECOND, .nsid = 3, .slba = 2,
					    .nlb = 1, .in = b }, &pair[1]);
	assert_int_equal(fake_finish(&pair[0]), NVME_SC_ABORTED_FAILED_FUSED);
	assert_int_equal(fake_finish(&pair[1]), NVME_SC_TRANSIENT_TRANSPORT);
	stored(3, 2, 2, a + 2 * IO_BLOCK);
	__atomic_store_n(&fake_heard, true, __ATOMIC_RELAXED);
	silent_set(&io_conn[1], false);
}

/* A command that its host sent since then tells as well; one that lay there before does not. */
static void lost_hosts_that_are_heard(void **state)
{
	struct io write = { NVME_IO_WRITE, .nsid = 1, .slba = 8, .nlb = 1, .in = a };

	(void)state;
	__atomic_store_n(&fake_heard, false, __ATOMIC_RELAXED);
	silent_set(&io_conn[1], true);
	io_conn[1].queue.traffic = false; /* of Connect */
	assert_int_equal(io_run_on(&io_conn[1], write), NVME_SC_TRANSIENT_TRANSPORT);
	assert_false(io_conn[1].queue.traffic);
	__atomic_store_n(&fake_heard, true, __ATOMIC_RELAXED);
	assert_int_equal(io_run_on(&io_conn[1], write), 0);
	assert_true(io_conn[1].queue.traffic);
	silent_set(&io_conn[1], false);
}

/* One that waits behind them can be aborted. */
static void aborted_behind_lost_writes(void **state)
{
	struct io write = { NVME_IO_WRITE, .nsid = 3, .slba = 8, .nlb = 1, .in = a };
	static struct fake_call early, late;

	(void)state;
	io_begin(&io_conn[1], &write, &early);
	io_conn[1].queue.ctrl->silent = true;
	queue_suspect_post(&io_conn[1].queue);
	silent_set(&io_conn[1], true);
	io_begin(&io_conn[0], &write, &late);
	assert_false(fake_is_done(&late));
	assert_true(abort_call(&late));
	assert_int_equal(fake_finish(&late), NVME_SC_ABORT_REQUESTED);
	abort_call(&early);
	assert_int_equal(fake_finish(&early), NVME_SC_ABORT_REQUESTED);
	for (unsigned i = 0; i < 4; i++)
		fake_settle(&workers[i % 2]);
	assert_false(namespaces[2]->fenced);
	silent_set(&io_conn[1], false);
}

/*
 * The proof: counters in a block are incremented by compare and write from both workers, several at
 * a time, while others write to blocks beside, copy, and zero. A lost increment is a pair that was
 * not a unit.
 */
enum { COUNTER_BLOCK = 40, INCREMENTS = 150 };

struct increment {
	struct fake_conn *conn;
	uint32_t nsid;
	unsigned failures;
};

static void *increments(void *arg)
{
	struct increment *increment = arg;

	for (unsigned done = 0; done < INCREMENTS;) {
		uint64_t was[64] = { 0 }, will[64];
		struct fake_call calls[2];
		struct io read = { NVME_IO_READ, .nsid = increment->nsid, .slba = COUNTER_BLOCK,
				   .nlb = 1, .out = was };
		struct io compare = compare_of(increment->nsid, COUNTER_BLOCK, 1, was);
		struct io write = write_of(increment->nsid, COUNTER_BLOCK, 1, will);
		uint16_t status;

		if (io_run_on(increment->conn, read))
			return NULL;
		for (unsigned i = 0; i < 64; i++)
			will[i] = was[i] + 1;
		io_begin(increment->conn, &compare, &calls[0]);
		io_begin(increment->conn, &write, &calls[1]);
		status = fake_finish(&calls[0]);
		if (fake_finish(&calls[1]) == 0 && status == 0)
			done++;
		else if (status == NVME_SC_COMPARE_FAILURE)
			increment->failures++;
		else
			return NULL;
	}
	return increment;
}

static bool noise_ends;

static void *noise(void *arg)
{
	struct increment *increment = arg;
	static const uint8_t zeroes[IO_BLOCK];
	struct nvme_copy_range range = { .slba = le64(200), .nlb = le16(3) };
	const struct io ios[] = {
		{ NVME_IO_WRITE, .nsid = increment->nsid, .slba = COUNTER_BLOCK + 1, .nlb = 8,
		  .in = a },
		{ NVME_IO_WRITE_ZEROES, .nsid = increment->nsid, .slba = COUNTER_BLOCK - 8,
		  .nlb = 8 },
		{ NVME_IO_COPY, .nsid = increment->nsid, .slba = COUNTER_BLOCK + 1, .nlb = 1,
		  .len = sizeof(range), .in = &range },
		/* Overlaps, and fails unless the block is zero: it must not take part. */
		{ NVME_IO_COMPARE, .nsid = increment->nsid, .slba = COUNTER_BLOCK, .nlb = 1,
		  .in = zeroes },
	};

	while (!__atomic_load_n(&noise_ends, __ATOMIC_RELAXED))
		for (size_t i = 0; i < ARRAY_SIZE(ios); i++) {
			uint16_t status = io_run_on(increment->conn, ios[i]);

			if (status && status != NVME_SC_COMPARE_FAILURE)
				return NULL;
		}
	return increment;
}

static void no_increment_is_lost(void **state)
{
	enum { THREADS = 4 };
	static struct fake_conn conns[THREADS + 2];

	(void)state;
	for (unsigned i = 0; i < THREADS + 2; i++)
		fake_attach_io(&conns[i], &workers[i % 2], &fake_host, &io_admin,
			       (uint16_t)(i + 3));
	for (uint32_t nsid = 1; nsid <= 5; nsid += nsid == 2 ? 3 : 1) {
		struct increment parts[THREADS + 2];
		pthread_t threads[THREADS + 2];
		uint64_t counts[64];
		void *result;

		noise_ends = false;
		assert_int_equal(
			io_run((struct io){ NVME_IO_WRITE_ZEROES, .nsid = nsid, .nlb = 256 }), 0);
		for (unsigned i = 0; i < THREADS + 2; i++) {
			parts[i] = (struct increment){ .conn = &conns[i], .nsid = nsid };
			pthread_create(&threads[i], NULL, i < THREADS ? increments : noise,
				       &parts[i]);
		}
		for (unsigned i = 0; i < THREADS + 2; i++) {
			if (i == THREADS)
				__atomic_store_n(&noise_ends, true, __ATOMIC_RELAXED);
			pthread_join(threads[i], &result);
			assert_ptr_equal(result, &parts[i]);
		}
		assert_int_equal(
			io_run((struct io){ NVME_IO_READ, .nsid = nsid, .slba = COUNTER_BLOCK,
					    .nlb = 1, .out = counts }),
			0);
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(counts[i], THREADS * INCREMENTS);
	}
	for (unsigned i = 0; i < THREADS + 2; i++)
		fake_gone(&conns[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(writes_wait_outside),    TEST(writes_before_are_waited_for),
		TEST(mapped_writes_wait_too), TEST(withheld_data_holds_nobody_up),
		TEST(mapped_write_that_fails), TEST(aborted_outside),
		TEST(lost_writes_come_first), TEST(aborted_behind_lost_writes),
		TEST(lost_writes_anywhere),   TEST(lost_hosts_write_nothing_more),
		TEST(lost_hosts_compare_nothing_more),
		TEST(lost_hosts_that_are_heard),
		TEST(no_increment_is_lost),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
