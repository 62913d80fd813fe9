/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that carry a list of ranges: Dataset Management and Copy. */
#include "io_disks.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(dsm),	    TEST(dsm_checks_all_ranges_first),
		TEST(dsm_errors),   TEST(copy_gathers),
		TEST(copy_of_much), TEST(copy_limits),
		TEST(copy_ranges),  TEST(copy_tells_what_failed),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
