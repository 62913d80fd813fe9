/* SPDX-License-Identifier: BSD-3-Clause */
/* Fused Compare and Write: pairing, failures of either half, and that nobody writes in between. */
#include "io_rig.h"

/*
 * 1: memory that transports may use; 2: through buffers; 3: reads of block 0 take 100 ms, writes of
 * block 8 are stuck, reads of block 9 fail, writes of block 10 fail; 4: read-only; 5: every write
 * of block 40 takes its time, so that without a fence others would get in between.
 */
#define CONFIG                                                                       \
	"[listener one]\naddress = 127.0.0.1\nport = 4420\n"                         \
	"[subsystem " IO_NQN "]\nallow_any_host = yes\nmax_transfer = 64K\n"         \
	"[namespace " IO_NQN "/1]\nbackend = ram\nsize = 1M\n"                       \
	"[namespace " IO_NQN "/2]\nbackend = ram\nsize = 1M\n"                       \
	"fault = flush error=EIO after=1000000\n"                                    \
	"[namespace " IO_NQN "/3]\nbackend = ram\nsize = 1M\n"                       \
	"fault = read delay=100ms lba=0-7\nfault = write stuck lba=8-8\n"            \
	"fault = read error=ENODATA lba=9-9\nfault = write error=ENOSPC lba=10-10\n" \
	"[namespace " IO_NQN "/4]\nbackend = ram\nsize = 1M\nread_only = yes\n"      \
	"[namespace " IO_NQN "/5]\nbackend = ram\nsize = 1M\n"                       \
	"fault = write delay=1ms lba=40-40\n"

static uint8_t a[IO_MAX], b[IO_MAX], c[IO_MAX];
static struct fake_call first, second;

static int group_setup(void **state)
{
	(void)state;
	fake_target_start(CONFIG, 2);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	fake_target_stop();
	return 0;
}

static int setup(void **state)
{
	(void)state;
	io_attach();
	io_pattern(a, sizeof(a), 1);
	io_pattern(b, sizeof(b), 2);
	memset(c, 0xee, sizeof(c));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	io_detach();
	io_assert_clean();
	return 0;
}

static struct io compare_of(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *in)
{
	return (struct io){ NVME_IO_COMPARE, NVME_FUSE_FIRST, .nsid = nsid,
			    .slba = slba,    .nlb = nlb,      .in = in };
}

static struct io write_of(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *in)
{
	return (struct io){ NVME_IO_WRITE, NVME_FUSE_SECOND, .nsid = nsid,
			    .slba = slba,  .nlb = nlb,	     .in = in };
}

static void begin(struct io compare, struct io write)
{
	io_begin(&io_conn[0], &compare, &first);
	io_begin(&io_conn[0], &write, &second);
}

static void ends(uint16_t compare, uint16_t write)
{
	assert_int_equal(fake_finish(&first), compare);
	assert_int_equal(fake_finish(&second), write);
}

static void plain_write(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *in)
{
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE, .nsid = nsid, .slba = slba, .nlb = nlb,
					     .in = in }),
			 0);
}

static void stored(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *expected)
{
	assert_int_equal(io_run((struct io){ NVME_IO_READ, .nsid = nsid, .slba = slba, .nlb = nlb,
					     .out = c }),
			 0);
	assert_memory_equal(c, expected, nlb * IO_BLOCK);
}

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
	assert_int_equal(after.reads - before.reads, 1);
	assert_int_equal(after.writes - before.writes, 1);
	assert_int_equal(after.errors - before.errors, 2);
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

struct fetch {
	struct fake_call *call;
	uint16_t status;
};

static struct cmd *cmd_of(const struct fake_call *call)
{
	list_for_each(cmd, &call->conn->queue.live, struct cmd, link)
		if (container_of(cmd, struct fake_cmd, cmd)->call == call)
			return cmd;
	return NULL;
}

static void fetched_here(void *arg)
{
	const struct fetch *fetch = arg;
	struct cmd *cmd = cmd_of(fetch->call);

	assert_non_null(cmd);
	if (!fetch->status)
		spanv_write(&cmd->data, 0, fetch->call->from_host, cmd->data_len);
	cmd_fetched(cmd, fetch->status);
}

/* The data of @call comes now, or @status instead. */
static void fetched(struct fake_call *call, uint16_t status)
{
	struct fetch fetch = { call, status };

	fake_on(call->conn->worker, fetched_here, &fetch);
}

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
	enum { PAIRS = 6 };
	static struct fake_call calls[PAIRS][2], other;
	struct io read = { NVME_IO_READ, .nsid = 2, .nlb = 128 };
	struct io_memory memory;

	(void)state;
	io_memory_take(&memory, &workers[0], 512 << 10);
	plain_write(2, 0, 128, a);
	io_conn[0].hold_fetch = true;
	/* 512 KiB: two pairs of 192 KiB, and four that wait, a read behind them. */
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

/* ---------------------------------------------------------------------------- abort, lost queue */

struct abort {
	struct fake_call *call;
	bool ended;
};

static void abort_here(void *arg)
{
	struct abort *abort = arg;
	struct cmd *cmd = cmd_of(abort->call);

	assert_non_null(cmd);
	abort->ended = io_abort(cmd);
}

static bool abort_call(struct fake_call *call)
{
	struct abort abort = { .call = call };

	fake_on(call->conn->worker, abort_here, &abort);
	return abort.ended;
}

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

/* ------------------------------------------------------------------------------------ the fence */

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
		TEST(equal_is_written),
		TEST(different_is_left_alone),
		TEST(errors_of_the_backend),
		TEST(forced_unit_access),
		TEST(counters),
		TEST(missing_halves),
		TEST(halves_must_agree),
		TEST(refused_halves),
		TEST(data_in_any_order),
		TEST(data_that_is_damaged),
		TEST(broken_pair_while_fetching),
		TEST(pairs_and_little_memory),
		TEST(second_half_overtakes),
		TEST(abort_of_halves),
		TEST(lost_connection),
		TEST(writes_wait_outside),
		TEST(writes_before_are_waited_for),
		TEST(mapped_writes_wait_too),
		TEST(mapped_write_that_fails),
		TEST(aborted_outside),
		TEST(no_increment_is_lost),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
