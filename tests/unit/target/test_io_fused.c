/* SPDX-License-Identifier: BSD-3-Clause */
/* Fused Compare and Write: pairing, failures of either half, memory, abort. */
#include "io_pairs.h"

/* ------------------------------------------------------------------------------------- outcomes */

static void equal_is_written(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 9, 128 };

	(void)state;
	for (uint32_t nsid = 1; nsid <= 2; nsid++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			plain_write(nsid, 40, sizes[i], a);
			begin(compare_of(nsid, 40, sizes[i], a), write_of(nsid, 40, sizes[i], b));
			ends(0, 0);
			stored(nsid, 40, sizes[i], b);
		}
	}
}

static void different_is_left_alone(void **state)
{
	(void)state;
	for (uint32_t nsid = 1; nsid <= 2; nsid++) {
		plain_write(nsid, 40, 128, a);
		memcpy(c, a, sizeof(c));
		c[IO_MAX - 1] ^= 1;
		begin(compare_of(nsid, 40, 128, c), write_of(nsid, 40, 128, b));
		ends(NVME_SC_COMPARE_FAILURE, NVME_SC_ABORTED_FAILED_FUSED);
		stored(nsid, 40, 128, a);
	}
}

static void errors_of_the_backend(void **state)
{
	(void)state;
	begin(compare_of(3, 9, 1, a), write_of(3, 9, 1, b));
	ends(DNR(NVME_SC_UNRECOVERED_READ), NVME_SC_ABORTED_FAILED_FUSED);
	memset(c, 0, sizeof(c));
	begin(compare_of(3, 10, 1, c), write_of(3, 10, 1, b));
	ends(NVME_SC_ABORTED_FAILED_FUSED, DNR(NVME_SC_CAPACITY_EXCEEDED));
}

static void forced_unit_access(void **state)
{
	struct io write = write_of(2, 40, 1, b);

	(void)state;
	plain_write(2, 40, 1, a);
	write.cdw12 = NVME_RW_FUA;
	begin(compare_of(2, 40, 1, a), write);
	ends(0, 0);
}

static void counters(void **state)
{
	struct ns_stats before, after;

	(void)state;
	plain_write(2, 0, 1, a);
	ns_stats_sum(io_ns(2), &before);
	begin(compare_of(2, 0, 1, a), write_of(2, 0, 1, b));
	ends(0, 0);
	begin(compare_of(2, 0, 1, a), write_of(2, 0, 1, b));
	ends(NVME_SC_COMPARE_FAILURE, NVME_SC_ABORTED_FAILED_FUSED);
	ns_stats_sum(io_ns(2), &after);
	assert_int_equal(after.io.done[STATS_READ] - before.io.done[STATS_READ], 1);
	assert_int_equal(after.io.done[STATS_WRITE] - before.io.done[STATS_WRITE], 1);
	assert_int_equal(after.io.errors - before.io.errors, 2);
	assert_int_equal(after.media_errors - before.media_errors, 0);
}

/* -------------------------------------------------------------------------------------- pairing */

static void missing_halves(void **state)
{
	struct fake_call third;
	struct io compare = compare_of(2, 0, 1, a);
	struct io read = { NVME_IO_READ, .nsid = 2, .nlb = 1 };

	(void)state;
	plain_write(2, 0, 1, a);
	/* A second half alone. */
	assert_int_equal(io_run(write_of(2, 0, 1, b)), NVME_SC_ABORTED_MISSING_FUSED);
	stored(2, 0, 1, a);
	/* Two first halves: the first of them goes, the other one pairs. */
	io_begin(&io_conn[0], &compare, &third);
	begin(compare, write_of(2, 0, 1, b));
	assert_int_equal(fake_finish(&third), NVME_SC_ABORTED_MISSING_FUSED);
	ends(0, 0);
	stored(2, 0, 1, b);
	/* Something else between the halves: it runs, they do not. */
	compare.in = b;
	io_begin(&io_conn[0], &compare, &first);
	assert_int_equal(io_run(read), 0);
	assert_int_equal(fake_finish(&first), NVME_SC_ABORTED_MISSING_FUSED);
	assert_int_equal(io_run(write_of(2, 0, 1, a)), NVME_SC_ABORTED_MISSING_FUSED);
	stored(2, 0, 1, b);
	/* Another queue's commands are not between. */
	io_begin(&io_conn[0], &compare, &first);
	assert_int_equal(io_run_on(&io_conn[1], read), 0);
	assert_int_equal(io_run_on(&io_conn[1], write_of(2, 0, 1, a)),
			 NVME_SC_ABORTED_MISSING_FUSED);
	{
		struct io write = write_of(2, 0, 1, a);

		io_begin(&io_conn[0], &write, &second);
	}
	ends(0, 0);
	stored(2, 0, 1, a);
}

/* What the worker has of the queue that the tests use. */
struct seen {
	bool timed, may_end, hurry;
	uint64_t held;
};

static void look(struct worker *worker, void *arg)
{
	struct queue *queue = &io_conn[0].queue;
	struct seen *seen = arg;

	seen->timed = queue->fused_first && timer_running(&queue->fused_first->io.timer);
	seen->held = queue->memory_bytes;
	if (seen->timed && seen->hurry)
		loop_timer_start(&worker->loop, &queue->fused_first->io.timer, 0);
	if (seen->may_end)
		seen->may_end = queue_may_end(queue);
}

static struct seen seen_on_worker(struct seen seen)
{
	worker_call(&workers[0], look, &seen);
	return seen;
}

static void halves_that_stay_alone(void **state)
{
	struct io compare = compare_of(2, 0, 1, a);
	struct seen seen;

	(void)state;
	plain_write(2, 0, 1, a);
	io_begin(&io_conn[0], &compare, &first);
	seen = seen_on_worker((struct seen){ .hurry = true });
	assert_true(seen.timed);
	assert_true(seen.held > 0);
	assert_int_equal(fake_finish(&first), NVME_SC_ABORTED_MISSING_FUSED);
	assert_int_equal(seen_on_worker((struct seen){ 0 }).held, 0);
	/* The Write that comes after all writes nothing. */
	assert_int_equal(io_run(write_of(2, 0, 1, b)), NVME_SC_ABORTED_FAILED_FUSED);
	stored(2, 0, 1, a);
	begin(compare, write_of(2, 0, 1, b));
	ends(0, 0);
	stored(2, 0, 1, b);
}

/* Nothing comes by a queue that is to end: no second half either. */
static void alone_on_a_queue_that_ends(void **state)
{
	struct io compare = compare_of(2, 0, 1, a);

	(void)state;
	io_begin(&io_conn[0], &compare, &first);
	/* This transport sends the response at once. */
	assert_true(seen_on_worker((struct seen){ .may_end = true }).may_end);
	assert_int_equal(fake_finish(&first), NVME_SC_ABORTED_MISSING_FUSED);
}

static void halves_must_agree(void **state)
{
	(void)state;
	begin(compare_of(2, 0, 2, a), write_of(2, 0, 1, b));
	ends(NVME_SC_ABORTED_FAILED_FUSED, DNR(NVME_SC_INVALID_FIELD));
	begin(compare_of(2, 0, 1, a), write_of(2, 1, 1, b));
	ends(NVME_SC_ABORTED_FAILED_FUSED, DNR(NVME_SC_INVALID_FIELD));
	begin(compare_of(2, 0, 1, a), write_of(1, 0, 1, b));
	ends(NVME_SC_ABORTED_FAILED_FUSED, DNR(NVME_SC_INVALID_FIELD));
}

static void refused_halves(void **state)
{
	(void)state;
	/* A bad first half takes the second along, one that follows it alone. */
	begin(compare_of(2, 1 << 20, 1, a), write_of(2, 1 << 20, 1, b));
	ends(DNR(NVME_SC_LBA_OUT_OF_RANGE), DNR(NVME_SC_LBA_OUT_OF_RANGE));
	begin(compare_of(2, 1 << 20, 1, a), write_of(2, 0, 1, b));
	ends(DNR(NVME_SC_LBA_OUT_OF_RANGE), NVME_SC_ABORTED_FAILED_FUSED);
	assert_int_equal(io_run(write_of(2, 0, 1, b)), NVME_SC_ABORTED_MISSING_FUSED);
	/* A bad second half takes the first along. */
	begin(compare_of(4, 0, 1, a), write_of(4, 0, 1, b));
	ends(NVME_SC_ABORTED_FAILED_FUSED, DNR(NVME_SC_NS_WRITE_PROTECTED));
	begin(compare_of(2, 0, 1, a), write_of(9, 0, 1, b));
	ends(NVME_SC_ABORTED_FAILED_FUSED, DNR(NVME_SC_INVALID_NSID));
	/* Places that there are not. */
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE, NVME_FUSE_FIRST, .nlb = 1 }),
			 DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(io_run((struct io){ NVME_IO_COMPARE, NVME_FUSE_SECOND, .nlb = 1 }),
			 DNR(NVME_SC_INVALID_FIELD));
}

/* ------------------------------------------------------------------------------------- fetching */

static void data_in_any_order(void **state)
{
	(void)state;
	plain_write(2, 0, 128, a);
	io_conn[0].hold_fetch = true;
	begin(compare_of(2, 0, 128, a), write_of(2, 0, 128, b));
	fetched(&second, 0);
	assert_false(fake_is_done(&second));
	fetched(&first, 0);
	ends(0, 0);
	begin(compare_of(2, 0, 128, b), write_of(2, 0, 128, a));
	fetched(&first, 0);
	assert_false(fake_is_done(&first));
	fetched(&second, 0);
	ends(0, 0);
	io_conn[0].hold_fetch = false;
	stored(2, 0, 128, a);
}

static void data_that_is_damaged(void **state)
{
	struct io compare = compare_of(2, 0, 1, a), write = write_of(2, 0, 1, b);
	enum { BAD = NVME_SC_TRANSIENT_TRANSPORT };

	(void)state;
	plain_write(2, 0, 1, a);
	io_conn[0].hold_fetch = true;
	/* Each half, before and after the other has its data. */
	begin(compare, write);
	fetched(&first, BAD);
	assert_false(fake_is_done(&second));
	fetched(&second, 0);
	ends(BAD, NVME_SC_ABORTED_FAILED_FUSED);
	begin(compare, write);
	fetched(&second, 0);
	fetched(&first, BAD);
	ends(BAD, NVME_SC_ABORTED_FAILED_FUSED);
	begin(compare, write);
	fetched(&second, BAD);
	fetched(&first, 0);
	ends(NVME_SC_ABORTED_FAILED_FUSED, BAD);
	begin(compare, write);
	fetched(&first, 0);
	fetched(&second, BAD);
	ends(NVME_SC_ABORTED_FAILED_FUSED, BAD);
	begin(compare, write);
	fetched(&first, BAD);
	fetched(&second, BAD);
	ends(BAD, BAD);
	/* The first before there is a second. */
	io_begin(&io_conn[0], &compare, &first);
	fetched(&first, BAD);
	assert_int_equal(io_run(write), NVME_SC_ABORTED_FAILED_FUSED);
	assert_int_equal(fake_finish(&first), BAD);
	io_conn[0].hold_fetch = false;
	stored(2, 0, 1, a);
}

static void broken_pair_while_fetching(void **state)
{
	struct io compare = compare_of(2, 0, 1, a);

	(void)state;
	io_conn[0].hold_fetch = true;
	io_begin(&io_conn[0], &compare, &first);
	assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = 2 }), 0);
	assert_false(fake_is_done(&first));
	fetched(&first, 0);
	assert_int_equal(fake_finish(&first), NVME_SC_ABORTED_MISSING_FUSED);
}

/* --------------------------------------------------------------------------------------- memory */

/* First halves that hold all memory must not keep their second halves waiting for each other. */
static void pairs_and_little_memory(void **state)
{
	enum { PAIRS = 12 };
	static struct fake_call calls[PAIRS][2], other;
	struct io read = { NVME_IO_READ, .nsid = 2, .nlb = 128 };
	struct io_memory memory;

	(void)state;
	io_memory_take(&memory, &workers[0], 512 << 10);
	plain_write(2, 0, 128, a);
	io_conn[0].hold_fetch = true;
	/* 512 KiB beside the reserve: one pair of 192 KiB after the other, a read behind them. */
	for (unsigned i = 0; i < PAIRS; i++) {
		struct io compare = compare_of(2, 0, 128, i % 2 ? b : a);
		struct io write = write_of(2, 0, 128, i % 2 ? a : b);

		io_begin(&io_conn[0], &compare, &calls[i][0]);
		if (i == 0)
			io_begin(&io_conn[1], &read, &other); /* another worker's memory */
		io_begin(&io_conn[0], &write, &calls[i][1]);
	}
	assert_int_equal(fake_finish(&other), 0);
	io_begin(&io_conn[0], &read, &other);
	assert_false(fake_is_done(&other));
	io_release_fetches(&io_conn[0]);
	for (unsigned i = 0; i < PAIRS; i++) {
		assert_int_equal(fake_finish(&calls[i][0]), 0);
		assert_int_equal(fake_finish(&calls[i][1]), 0);
	}
	assert_int_equal(fake_finish(&other), 0);
	stored(2, 0, 128, a);
	io_memory_put(&memory);
}

/* A host that does not send what it was asked for gets nothing of what is for data in capsules. */
static void pairs_leave_the_reserve(void **state)
{
	static struct fake_conn other;
	static struct fake_call halves[2];
	struct io compare = compare_of(2, 0, 128, a), write = write_of(2, 0, 128, b);
	const struct pool *pool = &workers[0].pool;
	struct io_memory memory;

	(void)state;
	fake_attach_io(&other, &workers[0], &fake_host, &io_admin, 3);
	plain_write(2, 0, 128, a);
	io_memory_take(&memory, &workers[0], 0);
	begin(compare, write);
	assert_int_equal(pool->free_bytes, IO_MEMORY_RESERVE);
	/* A pair in capsules does not depend on the host any more. */
	compare.in_capsule = write.in_capsule = true;
	io_begin(&other, &compare, &halves[0]);
	io_begin(&other, &write, &halves[1]);
	assert_int_equal(fake_finish(&halves[0]), 0);
	assert_int_equal(fake_finish(&halves[1]), 0);
	/* One half in a capsule alone: neither waits for the other. */
	for (unsigned i = 0; i < 2; i++) {
		compare.in_capsule = i;
		write.in_capsule = !i;
		io_begin(&other, &compare, &halves[0]);
		io_begin(&other, &write, &halves[1]);
		assert_int_equal(fake_finish(&halves[0]), NVME_SC_ABORTED_FAILED_FUSED);
		assert_int_equal(fake_finish(&halves[1]), NVME_SC_TRANSIENT_TRANSPORT);
	}
	assert_int_equal(pool->free_bytes, IO_MEMORY_RESERVE);
	assert_false(fake_is_done(&first) || fake_is_done(&second));
	io_memory_put(&memory);
	ends(NVME_SC_COMPARE_FAILURE, NVME_SC_ABORTED_FAILED_FUSED);
	fake_gone(&other);
}

/* A second half does not line up behind those who wait for what its first half holds. */
static void second_half_overtakes(void **state)
{
	static struct fake_conn other;
	static struct fake_call waits;
	struct io plain = { NVME_IO_COMPARE, .nsid = 2, .nlb = 128, .in = b };
	struct io compare = compare_of(2, 0, 128, a), write = write_of(2, 0, 128, b);
	struct io_memory memory;

	(void)state;
	fake_attach_io(&other, &workers[0], &fake_host, &io_admin, 3);
	plain_write(2, 0, 128, a);
	/* 256 KiB: the pair needs 192, the other Compare 128. */
	io_memory_take(&memory, &workers[0], 256 << 10);
	io_begin(&io_conn[0], &compare, &first);
	io_begin(&other, &plain, &waits);
	assert_false(fake_is_done(&waits));
	io_begin(&io_conn[0], &write, &second);
	ends(0, 0);
	assert_int_equal(fake_finish(&waits), 0);
	io_memory_put(&memory);
	fake_gone(&other);
}

enum { FRAGMENTS = FAKE_MEMORY / IO_MAX };

static struct span fragments[FRAGMENTS];

static void fragments_take(void *arg)
{
	struct pool *pool = arg;

	for (unsigned i = 0; i < FRAGMENTS; i++)
		assert_int_equal(pool_get(pool, IO_MAX, &fragments[i]), 0);
}

/* Every second one, from the one that @arg points to on. */
static void fragments_put(void *arg)
{
	for (unsigned i = *(unsigned *)arg; i < FRAGMENTS; i += 2)
		pool_put(&workers[0].pool, &fragments[i]);
}

/* A pair that finds no piece that is large enough is not kept waiting by those that need little. */
static void small_commands_starve_no_pair(void **state)
{
	static struct fake_conn other;
	static struct fake_call call;
	struct io read = { NVME_IO_READ, .nsid = 2, .nlb = 128 };
	struct io compare = compare_of(2, 0, 128, a), write = write_of(2, 0, 128, b);
	unsigned even = 0, odd = 1;

	(void)state;
	fake_attach_io(&other, &workers[0], &fake_host, &io_admin, 3);
	plain_write(2, 0, 128, a);
	fake_on(&workers[0], fragments_take, &workers[0].pool);
	fake_on(&workers[0], fragments_put, &even);
	begin(compare, write);
	io_begin(&other, &read, &call);
	assert_false(fake_is_done(&first) || fake_is_done(&second) || fake_is_done(&call));
	fake_on(&workers[0], fragments_put, &odd);
	ends(0, 0);
	assert_int_equal(fake_finish(&call), 0);
	fake_gone(&other);
}

/* ---------------------------------------------------------------------------- abort, lost queue */

static void abort_of_halves(void **state)
{
	struct io compare = compare_of(2, 0, 1, a), write = write_of(2, 0, 1, b);

	(void)state;
	/* A first half that waits for its second. */
	io_begin(&io_conn[0], &compare, &first);
	assert_true(abort_call(&first));
	assert_int_equal(fake_finish(&first), NVME_SC_ABORT_REQUESTED);
	assert_int_equal(io_run(write), NVME_SC_ABORTED_FAILED_FUSED);
	/* One that waits for its second's data. */
	io_conn[0].hold_fetch = true;
	begin(compare, write);
	fetched(&first, 0);
	assert_true(abort_call(&first));
	assert_int_equal(fake_finish(&first), NVME_SC_ABORT_REQUESTED);
	fetched(&second, 0);
	assert_int_equal(fake_finish(&second), NVME_SC_ABORTED_FAILED_FUSED);
	io_conn[0].hold_fetch = false;
	/* A pair at work: by either half. */
	memset(c, 0, sizeof(c));
	begin(compare_of(3, 8, 1, c), write_of(3, 8, 1, b));
	fake_settle(&workers[0]);
	fake_settle(&workers[1]);
	fake_settle(&workers[0]);
	assert_false(fake_is_done(&first));
	assert_false(abort_call(&first));
	ends(NVME_SC_ABORTED_FAILED_FUSED, NVME_SC_ABORT_REQUESTED);
}

static void lost_connection(void **state)
{
	struct io compare = compare_of(2, 0, 1, a), write = write_of(2, 0, 1, b);

	(void)state;
	plain_write(2, 0, 1, a);
	/* With a first half alone; with one that has its data; with a pair that is stuck. */
	for (unsigned i = 0; i < 3; i++) {
		if (i == 0) {
			io_begin(&io_conn[0], &compare, &first);
		} else if (i == 1) {
			io_conn[0].hold_fetch = true;
			begin(compare, write);
			fetched(&second, 0);
			fetched(&first, NVME_SC_TRANSIENT_TRANSPORT);
			fake_finish(&first);
			io_conn[0].hold_fetch = false;
		} else {
			memset(c, 0, sizeof(c));
			begin(compare_of(3, 8, 1, c), write_of(3, 8, 1, b));
		}
		fake_gone(&io_conn[0]);
		fake_attach_io(&io_conn[0], &workers[0], &fake_host, &io_admin, 1);
	}
	stored(2, 0, 1, a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(equal_is_written),
		TEST(different_is_left_alone),
		TEST(errors_of_the_backend),
		TEST(forced_unit_access),
		TEST(counters),
		TEST(missing_halves),
		TEST(halves_that_stay_alone),
		TEST(alone_on_a_queue_that_ends),
		TEST(halves_must_agree),
		TEST(refused_halves),
		TEST(data_in_any_order),
		TEST(data_that_is_damaged),
		TEST(broken_pair_while_fetching),
		TEST(pairs_and_little_memory),
		TEST(pairs_leave_the_reserve),
		TEST(second_half_overtakes),
		TEST(small_commands_starve_no_pair),
		TEST(abort_of_halves),
		TEST(lost_connection),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
