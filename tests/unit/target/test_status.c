/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit.h"

#include <errno.h>
#include <stdbool.h>

#include "base/nvme.h"
#include "base/nvme_status.h"
#include "target/status.h"

#define DNR(status) ((status) | NVME_STATUS_DNR)

struct expectation {
	int error;
	uint16_t read, write;
};

/* What a host sees: every error of the kernel's block layer table, and those of file systems. */
static const struct expectation expectations[] = {
	{ 0, 0, 0 },
	{ EOPNOTSUPP, DNR(0x001), DNR(0x001) },
	{ ETIMEDOUT, 0x300, 0x300 },
	{ ENOSPC, DNR(0x081), DNR(0x081) },
	{ ENOLINK, 0x300, 0x300 },
	{ EREMOTEIO, DNR(0x006), DNR(0x006) },
	{ EBADE, DNR(0x083), DNR(0x083) },
	{ ENODATA, DNR(0x281), DNR(0x280) },
	{ EILSEQ, DNR(0x282), DNR(0x282) },
	{ ENOMEM, 0x021, 0x021 },
	{ EBUSY, 0x021, 0x021 },
	{ EAGAIN, 0x021, 0x021 },
	{ ENODEV, 0x300, 0x300 },
	{ ETIME, 0x021, 0x021 },
	{ EINVAL, DNR(0x006), DNR(0x006) },
	{ EIO, 0x006, 0x006 },
	{ ENXIO, 0x300, 0x300 },
	{ ENOMEDIUM, 0x300, 0x300 },
	{ ESHUTDOWN, 0x300, 0x300 },
	{ ESTALE, 0x300, 0x300 },
	{ EDQUOT, DNR(0x081), DNR(0x081) },
	{ EFBIG, DNR(0x081), DNR(0x081) },
	{ EROFS, DNR(0x006), DNR(0x020) },
	{ EPERM, DNR(0x006), DNR(0x020) },
	{ EACCES, DNR(0x286), DNR(0x286) },
	{ ECANCELED, 0x007, 0x007 },
	{ EINTR, 0x021, 0x021 },
	{ ENOBUFS, 0x021, 0x021 },
	{ EFAULT, DNR(0x006), DNR(0x006) },
};

static void errors_have_their_status(void **state)
{
	static const uint8_t reads[] = { NVME_IO_READ, NVME_IO_COMPARE, NVME_IO_VERIFY };
	static const uint8_t writes[] = { NVME_IO_WRITE, NVME_IO_WRITE_ZEROES, NVME_IO_DSM,
					  NVME_IO_FLUSH, NVME_IO_COPY };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expectations); i++) {
		const struct expectation *e = &expectations[i];

		for (size_t k = 0; k < ARRAY_SIZE(reads); k++)
			assert_int_equal(io_status_from_errno(-e->error, reads[k]), e->read);
		for (size_t k = 0; k < ARRAY_SIZE(writes); k++)
			assert_int_equal(io_status_from_errno(-e->error, writes[k]), e->write);
	}
}

/* No errno is success, and none that is not listed keeps a host from trying again. */
static void every_errno_has_a_status(void **state)
{
	(void)state;
	for (int error = 1; error < 134; error++) {
		uint16_t status = io_status_from_errno(-error, NVME_IO_READ);
		bool listed = false;

		for (size_t i = 0; i < ARRAY_SIZE(expectations); i++)
			listed |= expectations[i].error == error;
		assert_int_not_equal(status, NVME_SC_SUCCESS);
		if (!listed)
			assert_int_equal(status, NVME_SC_INTERNAL);
		/* A path related status with DNR would keep a host from failing over. */
		if ((status & 0x700) == 0x300)
			assert_false(status & NVME_STATUS_DNR);
		assert_string_not_equal(nvme_status_name(status), "Unknown Status");
	}
}

static void names_ignore_dnr_and_more(void **state)
{
	(void)state;
	assert_string_equal(nvme_status_name(0), "Successful Completion");
	assert_string_equal(nvme_status_name(DNR(NVME_SC_LBA_OUT_OF_RANGE)), "LBA Out of Range");
	assert_string_equal(nvme_status_name(NVME_SC_COMPARE_FAILURE | NVME_STATUS_MORE),
			    "Compare Failure");
	assert_string_equal(nvme_status_name(0x7ff), "Unknown Status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_their_status),
		cmocka_unit_test(every_errno_has_a_status),
		cmocka_unit_test(names_ignore_dnr_and_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
