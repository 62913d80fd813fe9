/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O commands on real workers and backends: statuses, boundaries, steps, counters. */
#include "io_disks.h"

/* ------------------------------------------------------------------------------- Read and Write */

static void written_is_read_back(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 7, 8, 64, 127, 128 };

	(void)state;
	for (uint32_t nsid = 1; nsid <= 3; nsid++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint32_t len = sizes[i] * IO_BLOCK;

			io_pattern(a, len, nsid * 10 + (unsigned)i);
			assert_int_equal(write_at(nsid, 100 + i, sizes[i], a), 0);
			assert_int_equal(read_at(nsid, 100 + i, sizes[i], b), 0);
			assert_memory_equal(a, b, len);
		}
	}
}

static void forced_unit_access(void **state)
{
	(void)state;
	io_pattern(a, IO_BLOCK, 3);
	for (uint32_t nsid = 1; nsid <= 3; nsid++) {
		assert_int_equal(io_run((struct io){ NVME_IO_WRITE, .nsid = nsid, .nlb = 1,
						     .cdw12 = NVME_RW_FUA, .in = a }),
				 0);
		assert_int_equal(read_at(nsid, 0, 1, b), 0);
		assert_memory_equal(a, b, IO_BLOCK);
	}
}

static void ranges_are_checked(void **state)
{
	static const uint8_t opcodes[] = { NVME_IO_READ, NVME_IO_WRITE, NVME_IO_COMPARE,
					   NVME_IO_VERIFY, NVME_IO_WRITE_ZEROES };
	static const struct {
		uint64_t slba;
		uint32_t nlb;
		bool good;
	} ranges[] = {
		{ NS1_BLOCKS - 1, 1, true },	  { NS1_BLOCKS - 128, 128, true },
		{ NS1_BLOCKS, 1, false },	  { NS1_BLOCKS - 127, 128, false },
		{ UINT64_MAX, 1, false },	  { UINT64_MAX - 127, 128, false },
		{ UINT64_MAX - 126, 128, false }, { 1ull << 63, 1, false },
		{ 1ull << 55, 1, false }, /* wraps to 0 as a byte offset */
	};

	(void)state;
	memset(a, 0, sizeof(a));
	for (size_t o = 0; o < ARRAY_SIZE(opcodes); o++)
		for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
			assert_int_equal(io_run((struct io){ opcodes[o], .slba = ranges[i].slba,
							     .nlb = ranges[i].nlb, .in = a }),
					 ranges[i].good ? 0 : DNR(NVME_SC_LBA_OUT_OF_RANGE));
	/* Longer than the namespace itself. */
	assert_int_equal(io_run((struct io){ NVME_IO_VERIFY, .nsid = 4, .nlb = 65536 }),
			 DNR(NVME_SC_LBA_OUT_OF_RANGE));
}

static void transfers_are_bounded_by_mdts(void **state)
{
	(void)state;
	assert_int_equal(read_at(1, 0, 128, b), 0);
	assert_int_equal(read_at(1, 0, 129, NULL), DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(write_at(1, 0, 65536, NULL), DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(io_run((struct io){ NVME_IO_COMPARE, .nlb = 129 }),
			 DNR(NVME_SC_INVALID_FIELD));
}

static void length_of_the_sgl_must_fit(void **state)
{
	(void)state;
	assert_int_equal(io_run((struct io){ NVME_IO_READ, .nlb = 2, .len = IO_BLOCK }),
			 DNR(NVME_SC_SGL_LENGTH_INVALID));
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE, .nlb = 2, .len = 3 * IO_BLOCK }),
			 DNR(NVME_SC_SGL_LENGTH_INVALID));
}

static void namespaces_are_found(void **state)
{
	static const uint8_t opcodes[] = { NVME_IO_READ,    NVME_IO_WRITE,  NVME_IO_DSM,
					   NVME_IO_COMPARE, NVME_IO_VERIFY, NVME_IO_COPY };

	(void)state;
	for (size_t o = 0; o < ARRAY_SIZE(opcodes); o++) {
		static const uint32_t nsids[] = { IO_NSID_ZERO, 7,	    10,		  1024,
						  1025,		0xfffffffe, NVME_NSID_ALL };

		for (size_t i = 0; i < ARRAY_SIZE(nsids); i++)
			assert_int_equal(
				io_run((struct io){ opcodes[o], .nsid = nsids[i], .nlb = 1 }),
				DNR(NVME_SC_INVALID_NSID));
	}
}

static void unknown_commands_and_bits_are_refused(void **state)
{
	struct nvme_error_log_entry *entry;

	(void)state;
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE_UNCORRECTABLE, .nlb = 1 }),
			 DNR(NVME_SC_INVALID_OPCODE));
	assert_int_equal(io_run((struct io){ .opcode = 0xff }), DNR(NVME_SC_INVALID_OPCODE));
	assert_int_equal(io_run((struct io){ .opcode = 0x1a }), DNR(NVME_SC_INVALID_OPCODE));
	for (unsigned bit = 26; bit < 30; bit++)
		assert_int_equal(io_run((struct io){ NVME_IO_READ, .nlb = 1, .cdw12 = 1u << bit }),
				 DNR(NVME_SC_INVALID_PROTECTION));
	assert_int_equal(io_run((struct io){ NVME_IO_READ, NVME_FUSE_FIRST, .nlb = 1 }),
			 DNR(NVME_SC_INVALID_FIELD));
	entry = &io_admin.queue.ctrl->errors[(io_admin.queue.ctrl->error_head + MAX_ERROR_LOG - 1) %
					     MAX_ERROR_LOG];
	assert_int_equal(le16_get(entry->location), offsetof(struct nvme_sqe, flags));
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE, NVME_FUSE_MASK, .nlb = 1 }),
			 DNR(NVME_SC_INVALID_FIELD));
}

static void read_only_namespace(void **state)
{
	static const uint8_t writes[] = { NVME_IO_WRITE, NVME_IO_WRITE_ZEROES, NVME_IO_DSM,
					  NVME_IO_COPY };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
		assert_int_equal(io_run((struct io){ writes[i], .nsid = 6, .nlb = 1 }),
				 DNR(NVME_SC_NS_WRITE_PROTECTED));
	assert_int_equal(read_at(6, 0, 1, b), 0);
	assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = 6 }), 0);
}

static void gone_namespace_is_a_path_error(void **state)
{
	(void)state;
	__atomic_store_n(&io_ns(1)->gone, true, __ATOMIC_RELEASE);
	assert_int_equal(read_at(1, 0, 1, b), NVME_SC_INTERNAL_PATH_ERROR);
	assert_int_equal(io_run((struct io){ .opcode = NVME_IO_FLUSH }),
			 NVME_SC_INTERNAL_PATH_ERROR);
	__atomic_store_n(&io_ns(1)->gone, false, __ATOMIC_RELEASE);
	assert_int_equal(read_at(1, 0, 1, b), 0);
}

static void dead_controller_is_a_path_error(void **state)
{
	struct ctrl *ctrl = io_admin.queue.ctrl;

	(void)state;
	__atomic_store_n(&ctrl->live, false, __ATOMIC_RELEASE);
	assert_int_equal(read_at(1, 0, 1, b), NVME_SC_CTRL_PATH_ERROR);
	__atomic_store_n(&ctrl->live, true, __ATOMIC_RELEASE);
}

static void errors_of_the_backend(void **state)
{
	static const struct {
		uint64_t lba;
		uint16_t read, write;
	} rows[] = {
		{ 10, NVME_SC_INTERNAL, NVME_SC_INTERNAL },
		{ 11, DNR(NVME_SC_UNRECOVERED_READ), DNR(NVME_SC_WRITE_FAULT) },
		{ 12, DNR(NVME_SC_CAPACITY_EXCEEDED), DNR(NVME_SC_CAPACITY_EXCEEDED) },
		{ 13, NVME_SC_INTERNAL_PATH_ERROR, NVME_SC_INTERNAL_PATH_ERROR },
		{ 14, DNR(NVME_SC_INVALID_OPCODE), DNR(NVME_SC_INVALID_OPCODE) },
	};
	struct ns_stats before, after;

	(void)state;
	ns_stats_sum(io_ns(4), &before);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(read_at(4, rows[i].lba, 1, b), rows[i].read);
		assert_int_equal(write_at(4, rows[i].lba, 1, a), rows[i].write);
		assert_int_equal(io_run((struct io){ NVME_IO_VERIFY, .nsid = 4, .slba = rows[i].lba,
						     .nlb = 1 }),
				 rows[i].read);
		assert_int_equal(io_run((struct io){ NVME_IO_COMPARE, .nsid = 4,
						     .slba = rows[i].lba, .nlb = 1 }),
				 rows[i].read);
		assert_int_equal(io_run((struct io){ NVME_IO_WRITE_ZEROES, .nsid = 4,
						     .slba = rows[i].lba, .nlb = 1 }),
				 rows[i].write);
	}
	/* The right command, and nothing else. */
	assert_int_equal(read_at(4, 9, 1, b), 0);
	ns_stats_sum(io_ns(4), &after);
	assert_int_equal(after.io.errors - before.io.errors, 5 * ARRAY_SIZE(rows));
	assert_int_equal(after.media_errors - before.media_errors, 5);
	assert_int_equal(after.io.done[STATS_READ] - before.io.done[STATS_READ], 1);
	assert_int_equal(after.io.bytes[STATS_READ] - before.io.bytes[STATS_READ], IO_BLOCK);
}

static void counters(void **state)
{
	struct ns_stats before, after;

	(void)state;
	ns_stats_sum(io_ns(2), &before);
	assert_int_equal(write_at(2, 0, 8, a), 0);
	assert_int_equal(read_at(2, 0, 4, b), 0);
	assert_int_equal(io_run((struct io){ NVME_IO_COMPARE, .nsid = 2, .nlb = 2, .in = a }), 0);
	assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = 2 }), 0);
	assert_int_equal(io_run((struct io){ NVME_IO_VERIFY, .nsid = 2, .nlb = 1 }), 0);
	ns_stats_sum(io_ns(2), &after);
	assert_int_equal(after.io.done[STATS_WRITE] - before.io.done[STATS_WRITE], 1);
	assert_int_equal(after.io.bytes[STATS_WRITE] - before.io.bytes[STATS_WRITE], 8 * IO_BLOCK);
	assert_int_equal(after.io.done[STATS_READ] - before.io.done[STATS_READ], 2);
	assert_int_equal(after.io.bytes[STATS_READ] - before.io.bytes[STATS_READ], 6 * IO_BLOCK);
	assert_int_equal(after.io.done[STATS_FLUSH] - before.io.done[STATS_FLUSH], 1);
	assert_int_equal(after.io.done[STATS_OTHER] - before.io.done[STATS_OTHER], 1);
	assert_int_equal(after.io.errors - before.io.errors, 0);
	assert_int_equal(io_conn[0].queue.stats.io.bytes[STATS_READ], 6 * IO_BLOCK);
	assert_int_equal(io_conn[0].queue.stats.io.bytes[STATS_WRITE], 8 * IO_BLOCK);
}

/* ---------------------------------------------------------------------------------------- Flush */

static void flush(void **state)
{
	(void)state;
	for (uint32_t nsid = 1; nsid <= 3; nsid++)
		assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = nsid }), 0);
	assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = IO_NSID_ZERO }),
			 DNR(NVME_SC_INVALID_NSID));
	assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = 7 }),
			 DNR(NVME_SC_INVALID_NSID));
}

static void flush_of_all_namespaces(void **state)
{
	struct ns_stats before, after;

	(void)state;
	ns_stats_sum(io_ns(3), &before);
	/* Namespace 9 fails twice; the others are flushed nevertheless. */
	assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = NVME_NSID_ALL }),
			 NVME_SC_INTERNAL);
	assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = 9 }), NVME_SC_INTERNAL);
	assert_int_equal(io_run((struct io){ NVME_IO_FLUSH, .nsid = NVME_NSID_ALL }), 0);
	ns_stats_sum(io_ns(3), &after);
	assert_int_equal(after.io.done[STATS_FLUSH] - before.io.done[STATS_FLUSH], 2);
}

/* --------------------------------------------------------------------------------- Write Zeroes */

static void write_zeroes(void **state)
{
	static const uint32_t bits[] = { 0, NVME_RW_DEAC, NVME_RW_FUA, NVME_RW_DEAC | NVME_RW_FUA };

	(void)state;
	for (uint32_t nsid = 1; nsid <= 3; nsid++) {
		for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
			io_pattern(a, sizeof(a), 77);
			assert_int_equal(write_at(nsid, 64, 128, a), 0);
			assert_int_equal(
				io_run((struct io){ NVME_IO_WRITE_ZEROES, .nsid = nsid, .slba = 66,
						    .nlb = 100, .cdw12 = bits[i] }),
				0);
			assert_int_equal(read_at(nsid, 64, 128, b), 0);
			memset(a + 2 * IO_BLOCK, 0, 100 * IO_BLOCK);
			assert_memory_equal(a, b, sizeof(a));
		}
	}
}

static void write_zeroes_of_any_length(void **state)
{
	(void)state;
	io_pattern(a, sizeof(a), 5);
	for (uint32_t nsid = 1; nsid <= 2; nsid++) {
		/* 32 MiB, far beyond MDTS and, without native means, many steps. */
		assert_int_equal(write_at(nsid, 0, 1, a), 0);
		assert_int_equal(write_at(nsid, 40000, 128, a), 0);
		assert_int_equal(write_at(nsid, 65535, 2, a), 0);
		assert_int_equal(
			io_run((struct io){ NVME_IO_WRITE_ZEROES, .nsid = nsid, .nlb = 65536 }), 0);
		for (uint64_t lba = 0; lba < 65536; lba += 128) {
			static const uint8_t zeroes[IO_MAX];

			assert_int_equal(read_at(nsid, lba, 128, b), 0);
			assert_memory_equal(b, zeroes, sizeof(b));
		}
		assert_int_equal(read_at(nsid, 65536, 1, b), 0);
		assert_memory_equal(b, a + IO_BLOCK, IO_BLOCK);
	}
}

/* -------------------------------------------------------------------------------------- Compare */

static void compare(void **state)
{
	(void)state;
	io_pattern(a, sizeof(a), 8);
	for (uint32_t nsid = 1; nsid <= 3; nsid++) {
		static const uint32_t at[] = { 0, 511, 512, 32767, IO_MAX - 1 };
		struct io io = { NVME_IO_COMPARE, .nsid = nsid, .slba = 50, .nlb = 128, .in = a };

		assert_int_equal(write_at(nsid, 50, 128, a), 0);
		assert_int_equal(io_run(io), 0);
		for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
			a[at[i]] ^= 0x40;
			assert_int_equal(io_run(io), NVME_SC_COMPARE_FAILURE);
			a[at[i]] ^= 0x40;
		}
		/* Nothing of it was written. */
		assert_int_equal(read_at(nsid, 50, 128, b), 0);
		assert_memory_equal(a, b, sizeof(a));
	}
}

/* --------------------------------------------------------------------------------------- Verify */

static void verify(void **state)
{
	(void)state;
	for (uint32_t nsid = 1; nsid <= 2; nsid++)
		assert_int_equal(io_run((struct io){ NVME_IO_VERIFY, .nsid = nsid, .nlb = 65536 }),
				 0);
	/* Block 300 is in the second step, 11 in the first. */
	assert_int_equal(io_run((struct io){ NVME_IO_VERIFY, .nsid = 4, .slba = 15, .nlb = 1000 }),
			 DNR(NVME_SC_UNRECOVERED_READ));
	assert_int_equal(io_run((struct io){ NVME_IO_VERIFY, .nsid = 4, .slba = 11, .nlb = 1000 }),
			 DNR(NVME_SC_UNRECOVERED_READ));
	assert_int_equal(io_run((struct io){ NVME_IO_VERIFY, .nsid = 4, .slba = 301, .nlb = 1000 }),
			 0);
}

/* --------------------------------------------------------------------------------------- memory */

/*
 * More than there is memory for, with and without a second buffer and with steps: all wait their
 * turn and none is stuck.
 */
static void shortage_of_memory(void **state)
{
	static struct fake_call calls[30];
	static uint8_t data[30][IO_MAX];
	struct io_memory memory;

	(void)state;
	io_memory_take(&memory, &workers[0], 512 << 10);
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < 30; i++) {
			static const uint8_t opcodes[] = { NVME_IO_WRITE, NVME_IO_COMPARE,
							   NVME_IO_VERIFY, NVME_IO_READ,
							   NVME_IO_WRITE_ZEROES };
			struct io io = { opcodes[(i + round) % 5], .nsid = 2,
					 .slba = 1000 * (i + 1), .nlb = 128, .in = data[i] };

			io_begin(&io_conn[0], &io, &calls[i]);
		}
		for (unsigned i = 0; i < 30; i++) {
			uint16_t status = fake_finish(&calls[i]);

			if (status != NVME_SC_COMPARE_FAILURE)
				assert_int_equal(status, 0);
		}
	}
	io_memory_put(&memory);
}

static uint64_t memory_waits(void)
{
	return workers[0].stats.memory_waits;
}

/* Writes that hold all memory while the host's data does not come; others wait, then go on. */
static void commands_wait_for_memory(void **state)
{
	static struct fake_call held[8], late[4];
	uint64_t before = memory_waits();
	struct io_memory memory;

	(void)state;
	io_memory_take(&memory, &workers[0], 1 << 20);
	io_conn[0].hold_fetch = true;
	/* Half of it is one queue's share: eight times 64 KiB of data and as much to read into. */
	for (unsigned i = 0; i < 8; i++) {
		struct io io = { NVME_IO_COMPARE, .nsid = 2, .slba = i * 128, .nlb = 128 };

		io_begin(&io_conn[0], &io, &held[i]);
	}
	assert_int_equal(memory_waits(), before);
	assert_int_equal(workers[0].pool.free_bytes, IO_MEMORY_RESERVE);
	for (unsigned i = 0; i < 4; i++) {
		struct io io = { NVME_IO_VERIFY, .nsid = 2, .nlb = 128 };

		io_begin(&io_conn[0], &io, &late[i]);
	}
	assert_int_equal(memory_waits(), before + 4);
	for (unsigned i = 0; i < 4; i++)
		assert_false(fake_is_done(&late[i]));
	io_memory_put(&memory);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fake_finish(&late[i]), 0);
	io_release_fetches(&io_conn[0]);
	for (unsigned i = 0; i < 8; i++)
		fake_finish(&held[i]);
}

static void ask_here(void *arg)
{
	list_for_each(cmd, &io_conn[0].queue.live, struct cmd, link)
		cmd_ask(cmd);
	(void)arg;
}

/* How many of the commands of queue 1 have a buffer when their data is asked for. */
static unsigned buffers_when_asked(void)
{
	unsigned n = 0;

	fake_on(&workers[0], ask_here, NULL);
	list_for_each(cmd, &io_conn[0].queue.live, struct cmd, link)
		n += cmd->memory == CMD_MEMORY_POOL;
	return n;
}

static void someone_waits_here(void *arg)
{
	list_add_tail(&io_conn[0].queue.memory_waiters, arg);
}

static void nobody_waits_here(void *arg)
{
	list_del(arg);
}

/* Long writes to memory, beside others and with memory to spare, come to a buffer that the caches hold. */
static void long_writes_get_a_buffer_when_asked(void **state)
{
	static struct fake_call calls[5];
	static uint8_t data[5][16 * IO_BLOCK];
	struct list waiter = LIST_INIT(waiter);
	struct io_memory memory;

	(void)state;
	io_conn[0].hold_fetch = true;
	for (unsigned i = 0; i < 4; i++) {
		struct io io = { NVME_IO_WRITE, .slba = i * 16, .nlb = i == 3 ? 15 : 16,
				 .in = data[i] };

		io_pattern(data[i], sizeof(data[i]), 80 + i);
		io_begin(&io_conn[0], &io, &calls[i]);
		/* One or two would only be done later. */
		if (i < 2)
			assert_int_equal(buffers_when_asked(), 0);
	}
	io_memory_take(&memory, &workers[0], FAKE_MEMORY / 2 - IO_MEMORY_RESERVE);
	assert_int_equal(buffers_when_asked(), 0);
	io_memory_put(&memory);
	fake_on(&workers[0], someone_waits_here, &waiter);
	assert_int_equal(buffers_when_asked(), 0);
	fake_on(&workers[0], nobody_waits_here, &waiter);
	__atomic_store_n(&io_ns(1)->fenced, true, __ATOMIC_RELAXED);
	assert_int_equal(buffers_when_asked(), 0);
	__atomic_store_n(&io_ns(1)->fenced, false, __ATOMIC_RELAXED);
	assert_int_equal(buffers_when_asked(), 3); /* not the one of less than 8 KiB */
	assert_int_equal(io_conn[0].queue.memory_bytes, 3 * sizeof(data[0]));
	/* In a capsule the data is there. */
	io_pattern(data[4], sizeof(data[4]), 84);
	io_begin(&io_conn[0],
		 &(struct io){ NVME_IO_WRITE, .slba = 64, .nlb = 16, .in = data[4],
			       .in_capsule = true },
		 &calls[4]);
	assert_int_equal(buffers_when_asked(), 4);
	io_release_fetches(&io_conn[0]);
	for (unsigned i = 0; i < 5; i++) {
		uint32_t nlb = i == 3 ? 15 : 16;

		assert_int_equal(fake_finish(&calls[i]), 0);
		assert_int_equal(read_at(1, i * 16, nlb, b), 0);
		assert_memory_equal(b, data[i], nlb * IO_BLOCK);
	}
}

/*
 * A namespace whose disk keeps what came in capsules gets no more when four fifths of the memory are its
 * own; another one still does.
 */
static void capsules_leave_memory_to_other_namespaces(void **state)
{
	static struct fake_call held[7], full, other;
	uint64_t before = memory_waits();
	struct io_memory memory;
	struct io io = { NVME_IO_COMPARE, .nlb = 128, .in_capsule = true };

	(void)state;
	io_memory_take(&memory, &workers[0], 0);
	io_conn[0].hold_fetch = true;
	/* 128 KiB each, of 1 MiB. */
	for (unsigned i = 0; i < 7; i++)
		io_begin(&io_conn[0], &io, &held[i]);
	assert_int_equal(memory_waits(), before);
	io_begin(&io_conn[0], &io, &full);
	assert_int_equal(memory_waits(), before + 1);
	assert_int_equal(workers[0].pool.free_bytes, 128 << 10);
	io.nsid = 2;
	io_begin(&io_conn[0], &io, &other);
	assert_int_equal(memory_waits(), before + 1);
	assert_int_equal(workers[0].pool.free_bytes, 0);
	io_release_fetches(&io_conn[0]);
	for (unsigned i = 0; i < 7; i++)
		fake_finish(&held[i]);
	fake_finish(&full);
	fake_finish(&other);
	io_memory_put(&memory);
	assert_int_equal(workers[0].capsule_bytes[io_ns(1)->index], 0);
	assert_int_equal(workers[0].capsule_bytes[io_ns(2)->index], 0);
}

/* Pieces are powers of two: what a command takes beside its length is not taken from the reserve. */
static void reserve_is_left_alone(void **state)
{
	struct io read = { NVME_IO_READ, .nsid = 2, .nlb = 66 }; /* 33 KiB: a piece of 64 */
	uint64_t before = memory_waits();
	struct io_memory memory;
	struct fake_call call;

	(void)state;
	io_memory_take(&memory, &workers[0], 48 << 10);
	io_begin(&io_conn[0], &read, &call);
	assert_int_equal(memory_waits(), before + 1);
	assert_false(fake_is_done(&call));
	io_memory_put(&memory);
	assert_int_equal(fake_finish(&call), 0);
}

/* ---------------------------------------------------------------------------------------- Abort */

struct abort {
	struct fake_call *call;
	bool ended;
};

static void abort_here(void *arg)
{
	struct abort *abort = arg;

	list_for_each_safe(cmd, &abort->call->conn->queue.live, struct cmd, link)
		if (container_of(cmd, struct fake_cmd, cmd)->call == abort->call) {
			abort->ended = io_abort(cmd);
			return;
		}
}

static void abort_ends_stuck_io(void **state)
{
	struct fake_call call;
	struct abort abort = { .call = &call };
	/* One I/O; the second of many steps; the read of a Compare. */
	const struct io ios[] = {
		{ NVME_IO_READ, .nsid = 8, .nlb = 1 },
		{ NVME_IO_VERIFY, .nsid = 8, .slba = 4800, .nlb = 5000 },
		{ NVME_IO_COMPARE, .nsid = 8, .nlb = 1, .in = a },
		{ NVME_IO_WRITE_ZEROES, .nsid = 8, .nlb = 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ios); i++) {
		io_begin(&io_conn[0], &ios[i], &call);
		assert_false(fake_is_done(&call));
		fake_on(&workers[0], abort_here, &abort);
		assert_int_equal(fake_finish(&call), NVME_SC_ABORT_REQUESTED);
	}
}

static void lost_connection_ends_stuck_io(void **state)
{
	struct fake_call calls[3];
	const struct io ios[] = {
		{ NVME_IO_WRITE, .nsid = 8, .nlb = 1, .in = a },
		{ NVME_IO_VERIFY, .nsid = 8, .slba = 4800, .nlb = 5000 },
		{ NVME_IO_READ, .nsid = 8, .nlb = 128 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ios); i++)
		io_begin(&io_conn[1], &ios[i], &calls[i]);
	fake_gone(&io_conn[1]);
	for (size_t i = 0; i < ARRAY_SIZE(ios); i++)
		assert_false(fake_is_done(&calls[i]));
	fake_attach_io(&io_conn[1], &workers[1], &fake_host, &io_admin, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(written_is_read_back),
		TEST(forced_unit_access),
		TEST(ranges_are_checked),
		TEST(transfers_are_bounded_by_mdts),
		TEST(length_of_the_sgl_must_fit),
		TEST(namespaces_are_found),
		TEST(unknown_commands_and_bits_are_refused),
		TEST(read_only_namespace),
		TEST(gone_namespace_is_a_path_error),
		TEST(dead_controller_is_a_path_error),
		TEST(errors_of_the_backend),
		TEST(counters),
		TEST(flush),
		TEST(flush_of_all_namespaces),
		TEST(write_zeroes),
		TEST(write_zeroes_of_any_length),
		TEST(compare),
		TEST(verify),
		TEST(shortage_of_memory),
		TEST(commands_wait_for_memory),
		TEST(long_writes_get_a_buffer_when_asked),
		TEST(capsules_leave_memory_to_other_namespaces),
		TEST(reserve_is_left_alone),
		TEST(abort_ends_stuck_io),
		TEST(lost_connection_ends_stuck_io),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
