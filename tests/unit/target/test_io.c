/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O commands on real workers and backends: statuses, boundaries, steps, counters. */
#include "io_rig.h"

#include <unistd.h>

/*
 * 1: memory that transports may use; 2: through buffers (no rule ever strikes); 3: file; 4: errors
 * by block; 5: 4 KiB blocks; 6: read-only; 7: masked; 8: stuck or slow by block; 9: flush fails.
 */
#define CONFIG                                                                             \
	"[listener one]\naddress = 127.0.0.1\nport = 4420\n"                               \
	"[subsystem " IO_NQN "]\nallow_any_host = yes\nmax_transfer = 64K\n"               \
	"[namespace " IO_NQN "/1]\nbackend = ram\nsize = 64M\n"                            \
	"[namespace " IO_NQN "/2]\nbackend = ram\nsize = 64M\n"                            \
	"fault = flush error=EIO after=1000000\n"                                          \
	"[namespace " IO_NQN "/3]\nbackend = file\npath = %s\nsize = 16M\n"                \
	"[namespace " IO_NQN "/4]\nbackend = ram\nsize = 1M\n"                             \
	"fault = any error=EIO lba=10-10\nfault = any error=ENODATA lba=11-11\n"           \
	"fault = any error=ENOSPC lba=12-12\nfault = any error=ENODEV lba=13-13\n"         \
	"fault = any error=EOPNOTSUPP lba=14-14\nfault = read error=ENODATA lba=300-300\n" \
	"[namespace " IO_NQN "/5]\nbackend = ram\nsize = 64M\nblock_size = 4096\n"         \
	"[namespace " IO_NQN "/6]\nbackend = ram\nsize = 1M\nread_only = yes\n"            \
	"[namespace " IO_NQN "/7]\nbackend = ram\nsize = 1M\n"                             \
	"allow_host = nqn.2014-08.io.example:other\n"                                      \
	"[namespace " IO_NQN "/8]\nbackend = ram\nsize = 16M\n"                            \
	"fault = any stuck lba=0-0\nfault = read stuck lba=5000-5000\n"                    \
	"[namespace " IO_NQN "/9]\nbackend = file\npath = %s.9\nsize = 1M\n"               \
	"fault = flush error=EIO count=2\n"

enum { NS1_BLOCKS = 64 << 20 >> 9 };

static char path[] = "/var/tmp/sluice-unit-io-XXXXXX";
static uint8_t a[IO_MAX], b[IO_MAX];

static int group_setup(void **state)
{
	char text[4096];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(text, sizeof(text), CONFIG, path, path);
	fake_target_start(text, 2);
	/* As a backend that cannot do it natively would say. */
	io_ns(2)->backend->limits.write_zeroes = false;
	return 0;
}

static int group_teardown(void **state)
{
	char name[64];

	(void)state;
	fake_target_stop();
	unlink(path);
	snprintf(name, sizeof(name), "%s.9", path);
	unlink(name);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	io_attach();
	memset(b, 0xee, sizeof(b));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	io_detach();
	io_assert_clean();
	return 0;
}

static uint16_t read_at(uint32_t nsid, uint64_t slba, uint32_t nlb, void *out)
{
	return io_run(
		(struct io){ NVME_IO_READ, .nsid = nsid, .slba = slba, .nlb = nlb, .out = out });
}

static uint16_t write_at(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *in)
{
	return io_run(
		(struct io){ NVME_IO_WRITE, .nsid = nsid, .slba = slba, .nlb = nlb, .in = in });
}

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
	assert_int_equal(after.errors - before.errors, 5 * ARRAY_SIZE(rows));
	assert_int_equal(after.media_errors - before.media_errors, 5);
	assert_int_equal(after.reads - before.reads, 1);
	assert_int_equal(after.read_bytes - before.read_bytes, IO_BLOCK);
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
	assert_int_equal(after.writes - before.writes, 1);
	assert_int_equal(after.written_bytes - before.written_bytes, 8 * IO_BLOCK);
	assert_int_equal(after.reads - before.reads, 2);
	assert_int_equal(after.read_bytes - before.read_bytes, 6 * IO_BLOCK);
	assert_int_equal(after.flushes - before.flushes, 1);
	assert_int_equal(after.other - before.other, 1);
	assert_int_equal(after.errors - before.errors, 0);
	assert_int_equal(io_conn[0].queue.stats.read_bytes, 4 * IO_BLOCK);
	assert_int_equal(io_conn[0].queue.stats.written_bytes, 8 * IO_BLOCK);
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
	assert_int_equal(after.flushes - before.flushes, 2);
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

/* ------------------------------------------------------------------------------------------ DSM */

static uint16_t deallocate(uint32_t nsid, const struct nvme_dsm_range *ranges, unsigned n,
			   uint32_t attributes, uint32_t len)
{
	return io_run((struct io){ NVME_IO_DSM, .nsid = nsid, .slba = n - 1, .cdw11 = attributes,
				   .len = len, .in = ranges });
}

static void dsm(void **state)
{
	static struct nvme_dsm_range ranges[256];

	(void)state;
	for (uint32_t nsid = 1; nsid <= 2; nsid++) {
		memset(ranges, 0, sizeof(ranges));
		for (unsigned i = 0; i < 64; i++)
			ranges[i] = (struct nvme_dsm_range){ .nlb = le32(i % 4 ? 1 : 0),
							     .slba = le64(200 + 2 * i) };
		io_pattern(a, sizeof(a), 9);
		assert_int_equal(write_at(nsid, 200, 128, a), 0);
		/* Hints change nothing. */
		assert_int_equal(deallocate(nsid, ranges, 64, 3, 64 * 16), 0);
		assert_int_equal(read_at(nsid, 200, 128, b), 0);
		assert_memory_equal(a, b, sizeof(a));
		/* Linux always sends 4096 bytes, whatever the number of ranges. */
		assert_int_equal(deallocate(nsid, ranges, 64, NVME_DSM_DEALLOCATE, 4096), 0);
		assert_int_equal(read_at(nsid, 200, 128, b), 0);
		for (unsigned i = 0; i < 64; i++)
			if (i % 4)
				memset(a + 2 * i * IO_BLOCK, 0, IO_BLOCK);
		assert_memory_equal(a, b, sizeof(a));
	}
	assert_int_equal(deallocate(1, ranges, 64, NVME_DSM_DEALLOCATE, 63 * 16),
			 DNR(NVME_SC_SGL_LENGTH_INVALID));
}

static void dsm_checks_all_ranges_first(void **state)
{
	static struct nvme_dsm_range ranges[256];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		ranges[i] = (struct nvme_dsm_range){ .nlb = le32(1), .slba = le64(i) };
	io_pattern(a, sizeof(a), 12);
	assert_int_equal(write_at(1, 0, 128, a), 0);
	ranges[255] = (struct nvme_dsm_range){ .nlb = le32(1), .slba = le64(NS1_BLOCKS) };
	assert_int_equal(deallocate(1, ranges, 256, NVME_DSM_DEALLOCATE, 4096),
			 DNR(NVME_SC_LBA_OUT_OF_RANGE));
	ranges[255] =
		(struct nvme_dsm_range){ .nlb = le32(UINT32_MAX), .slba = le64(UINT64_MAX - 5) };
	assert_int_equal(deallocate(1, ranges, 256, NVME_DSM_DEALLOCATE, 4096),
			 DNR(NVME_SC_LBA_OUT_OF_RANGE));
	assert_int_equal(read_at(1, 0, 128, b), 0);
	assert_memory_equal(a, b, sizeof(a));
}

static void dsm_errors(void **state)
{
	struct nvme_dsm_range range = { .nlb = le32(1), .slba = le64(10) };

	(void)state;
	assert_int_equal(deallocate(4, &range, 1, NVME_DSM_DEALLOCATE, 16), NVME_SC_INTERNAL);
	/* Advice that the backend turns out not to take. */
	range.slba = le64(14);
	assert_int_equal(deallocate(4, &range, 1, NVME_DSM_DEALLOCATE, 16), 0);
}

/* ----------------------------------------------------------------------------------------- Copy */

static uint32_t copy_dw0;

static uint16_t copy_bits(uint32_t nsid, uint64_t to, const struct nvme_copy_range *ranges,
			  unsigned n, uint32_t cdw12)
{
	struct io io = { NVME_IO_COPY, .nsid = nsid,   .slba = to,
			 .nlb = n,     .cdw12 = cdw12, .len = n * (uint32_t)sizeof(*ranges),
			 .in = ranges };
	struct fake_call call;
	uint16_t status;

	io_begin(&io_conn[0], &io, &call);
	status = fake_finish(&call);
	copy_dw0 = le32_get(call.cqe.dw0);
	return status;
}

static uint16_t copy(uint32_t nsid, uint64_t to, const struct nvme_copy_range *ranges, unsigned n)
{
	return copy_bits(nsid, to, ranges, n, 0);
}

static struct nvme_copy_range source(uint64_t slba, uint32_t nlb)
{
	return (struct nvme_copy_range){ .slba = le64(slba), .nlb = le16((uint16_t)(nlb - 1)) };
}

static void copy_gathers(void **state)
{
	struct nvme_copy_range ranges[128];

	(void)state;
	for (uint32_t nsid = 1; nsid <= 3; nsid++) {
		uint8_t *expected = a;

		for (unsigned i = 0; i < 128; i++)
			ranges[i] = source(1000 + (i * 37) % 128, 1);
		io_pattern(b, sizeof(b), nsid);
		assert_int_equal(write_at(nsid, 1000, 128, b), 0);
		for (unsigned i = 0; i < 128; i++)
			memcpy(expected + i * IO_BLOCK, b + (i * 37) % 128 * IO_BLOCK, IO_BLOCK);
		assert_int_equal(copy(nsid, 2000, ranges, 128), 0);
		assert_int_equal(copy_dw0, 0);
		assert_int_equal(read_at(nsid, 2000, 128, b), 0);
		assert_memory_equal(a, b, sizeof(a));
	}
}

static void copy_of_much(void **state)
{
	struct nvme_copy_range ranges[2] = { source(0, 3000), source(4000, 3000) };

	(void)state;
	for (uint64_t lba = 0; lba < 7000; lba += 100) {
		io_pattern(a, 100 * IO_BLOCK, (unsigned)lba);
		assert_int_equal(write_at(1, lba, 100, a), 0);
	}
	assert_int_equal(copy_bits(1, 10000, ranges, 2, NVME_RW_FUA), 0);
	for (uint64_t lba = 0; lba < 6000; lba += 100) {
		io_pattern(a, 100 * IO_BLOCK, (unsigned)(lba < 3000 ? lba : lba + 1000));
		assert_int_equal(read_at(1, 10000 + lba, 100, b), 0);
		assert_memory_equal(a, b, 100 * IO_BLOCK);
	}
}

static void copy_limits(void **state)
{
	struct io_copy_limits limits = io_copy_limits(io_ns(1));
	struct nvme_copy_range ranges[129];

	(void)state;
	assert_int_equal(limits.mssrl, 32768);
	assert_int_equal(limits.mcl, 131072);
	assert_int_equal(limits.msrc, 127);
	assert_int_equal(io_copy_limits(io_ns(5)).mssrl, 4096);
	for (unsigned i = 0; i < 129; i++)
		ranges[i] = source(0, 1);
	assert_int_equal(copy(1, 100, ranges, 129), DNR(NVME_SC_COMMAND_SIZE_LIMIT));
	ranges[1] = source(0, limits.mssrl + 1u);
	assert_int_equal(copy(1, 100, ranges, 2), DNR(NVME_SC_COMMAND_SIZE_LIMIT));
	for (unsigned i = 0; i < 5; i++)
		ranges[i] = source(0, limits.mssrl);
	assert_int_equal(copy(1, 100, ranges, 5), DNR(NVME_SC_COMMAND_SIZE_LIMIT));
	assert_int_equal(copy_bits(1, 0, ranges, 1, 1 << 8), DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(copy_bits(1, 0, ranges, 1, 1 << 12), DNR(NVME_SC_INVALID_PROTECTION));
	assert_int_equal(copy_bits(1, 0, ranges, 1, 1 << 26), DNR(NVME_SC_INVALID_PROTECTION));
}

static void copy_ranges(void **state)
{
	struct nvme_copy_range ranges[3] = { source(0, 10), source(20, 10), source(NS1_BLOCKS, 1) };

	(void)state;
	assert_int_equal(copy(1, 100, ranges, 3), DNR(NVME_SC_LBA_OUT_OF_RANGE));
	assert_int_equal(copy(1, NS1_BLOCKS - 19, ranges, 2), DNR(NVME_SC_LBA_OUT_OF_RANGE));
	assert_int_equal(copy(1, UINT64_MAX - 1, ranges, 2), DNR(NVME_SC_LBA_OUT_OF_RANGE));
	assert_int_equal(copy(1, NS1_BLOCKS - 20, ranges, 2), 0);
	/* Overlap with either range, by one block at either end; neighbours are fine. */
	assert_int_equal(copy(1, 9, ranges, 1), DNR(NVME_SC_OVERLAPPING_RANGE));
	assert_int_equal(copy(1, 0, ranges, 1), DNR(NVME_SC_OVERLAPPING_RANGE));
	assert_int_equal(copy(1, 29, ranges, 2), DNR(NVME_SC_OVERLAPPING_RANGE));
	assert_int_equal(copy(1, 10, ranges, 1), 0);
	assert_int_equal(copy(1, 30, ranges, 2), 0);
}

static void copy_tells_what_failed(void **state)
{
	struct nvme_copy_range ranges[4] = { source(20, 10), source(40, 10), source(295, 10),
					     source(60, 10) };

	(void)state;
	io_pattern(a, sizeof(a), 2);
	assert_int_equal(write_at(4, 20, 128, a), 0);
	/* Block 300 cannot be read. */
	assert_int_equal(copy(4, 1000, ranges, 4), DNR(NVME_SC_UNRECOVERED_READ));
	assert_int_equal(copy_dw0, 2);
	assert_int_equal(read_at(4, 1000, 20, b), 0);
	assert_memory_equal(b, a, 10 * IO_BLOCK);
	assert_memory_equal(b + 10 * IO_BLOCK, a + 20 * IO_BLOCK, 10 * IO_BLOCK);
	/* Block 12 cannot be written. */
	assert_int_equal(copy(4, 12, ranges + 1, 1), DNR(NVME_SC_CAPACITY_EXCEEDED));
	assert_int_equal(copy_dw0, 0);
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
	/* 1 MiB: eight times 64 KiB of data and as much to read into. */
	for (unsigned i = 0; i < 8; i++) {
		struct io io = { NVME_IO_COMPARE, .nsid = 2, .slba = i * 128, .nlb = 128 };

		io_begin(&io_conn[0], &io, &held[i]);
	}
	assert_int_equal(memory_waits(), before);
	assert_int_equal(workers[0].pool.free_bytes, 0);
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
		TEST(dsm),
		TEST(dsm_checks_all_ranges_first),
		TEST(dsm_errors),
		TEST(copy_gathers),
		TEST(copy_of_much),
		TEST(copy_limits),
		TEST(copy_ranges),
		TEST(copy_tells_what_failed),
		TEST(shortage_of_memory),
		TEST(commands_wait_for_memory),
		TEST(abort_ends_stuck_io),
		TEST(lost_connection_ends_stuck_io),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
