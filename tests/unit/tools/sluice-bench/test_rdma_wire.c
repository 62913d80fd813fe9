/* SPDX-License-Identifier: BSD-3-Clause */
/* NVMe/RDMA as bytes: private data of connections, data pointers, and what a response may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "guard.h"
#include "rdma_wire.h"

static void expect_text(const char *got, const char *want)
{
	assert_non_null(got);
	if (!strstr(got, want))
		fail_msg("'%s' does not tell of '%s'", got, want);
}

/* As a Linux host: HRQSIZE counts from one, HSQSIZE from zero, and no CNTLID on the admin queue. */
static void test_request(void **state)
{
	static const uint8_t admin[32] = { 0, 0, 0, 0, 32, 0, 31, 0, 0, 0 };
	static const uint8_t io[32] = { 0, 0, 3, 0, 0x01, 0x04, 0x00, 0x04, 0x34, 0x12 };
	struct hrdma_request request;

	(void)state;
	memset(&request, 0xff, sizeof(request));
	hrdma_request_encode(&request, 0, 32, 0x1234);
	assert_memory_equal(&request, admin, sizeof(admin));
	memset(&request, 0xff, sizeof(request));
	hrdma_request_encode(&request, 3, 1025, 0x1234);
	assert_memory_equal(&request, io, sizeof(io));
}

static void test_accept(void **state)
{
	/* As InfiniBand delivers it: padded to what its message has room for. */
	uint8_t data[196] = { 0, 0, 31, 0 };
	char text[RDMA_TEXT_MAX];

	(void)state;
	assert_null(hrdma_accept_fault(data, sizeof(data), 31, text));
	assert_null(hrdma_accept_fault(data, 32, 31, text));
	expect_text(hrdma_accept_fault(data, 32, 32, text), "CRQSIZE 31, but 32 commands");
	expect_text(hrdma_accept_fault(data, 31, 1, text), "31 bytes of private data");
	expect_text(hrdma_accept_fault(NULL, 0, 1, text), "0 bytes of private data");
	data[1] = 1;
	expect_text(hrdma_accept_fault(data, 32, 1, text), "RECFMT 256");
}

static void test_reject(void **state)
{
	static const char *const names[] = {
		"private data length", "RECFMT", "QID", "HSQSIZE", "HRQSIZE",
		"no resources",	       "IRD",	 "ORD", "CNTLID"
	};
	uint8_t data[148] = { 0 };
	char text[RDMA_TEXT_MAX];

	(void)state;
	for (uint8_t sts = 1; sts <= ARRAY_SIZE(names); sts++) {
		data[2] = sts;
		expect_text(hrdma_reject_text(data, sizeof(data), text), names[sts - 1]);
	}
	data[2] = 10;
	expect_text(hrdma_reject_text(data, 4, text), "unknown reason (STS 10)");
	data[2] = 0;
	expect_text(hrdma_reject_text(data, 4, text), "unknown reason (STS 0)");
	data[0] = 7;
	expect_text(hrdma_reject_text(data, 4, text), "RECFMT 7");
	expect_text(hrdma_reject_text(data, 3, text), "no reason given (3 bytes");
}

static void test_sgl(void **state)
{
	static const uint8_t keyed[16] = { 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
					   0xff, 0xff, 0xff, 0xef, 0xbe, 0xad, 0xde, 0x40 };
	static const uint8_t capsule[16] = { [8] = 0x00, [9] = 0x10, [15] = 0x01 };
	static const uint8_t null[16] = { [15] = 0x40 };
	struct nvme_sqe sqe;

	(void)state;
	memset(&sqe, 0xff, sizeof(sqe));
	hrdma_sgl_keyed(&sqe, 0x1122334455667788, RDMA_SGL_LEN_MAX, 0xdeadbeef, false);
	assert_memory_equal(&sqe.sgl, keyed, sizeof(keyed));
	assert_int_equal(le32_get(sqe.cdw10), UINT32_MAX);
	hrdma_sgl_keyed(&sqe, 0x1122334455667788, RDMA_SGL_LEN_MAX, 0xdeadbeef, true);
	assert_int_equal(sqe.sgl.type, NVME_SGL_KEYED_INVALIDATE);
	hrdma_sgl_capsule(&sqe, 4096);
	assert_memory_equal(&sqe.sgl, capsule, sizeof(capsule));
	hrdma_sgl_keyed(&sqe, 0, 0, 0, false);
	assert_memory_equal(&sqe.sgl, null, sizeof(null));
}

static void test_response(void **state)
{
	struct hrdma_response r = { .len = 16, .cmd_key = 0x1200 };
	char text[RDMA_TEXT_MAX];

	(void)state;
	assert_null(hrdma_response_len_fault(&r, text));
	assert_null(hrdma_response_key_fault(&r, text));
	r.len = 15;
	expect_text(hrdma_response_len_fault(&r, text), "15 bytes instead of 16");
	r.len = 64;
	expect_text(hrdma_response_len_fault(&r, text), "64 bytes instead of 16");

	/* Not to invalidate is a controller's right; to invalidate unasked, or another key, is not. */
	r.may_invalidate = true;
	assert_null(hrdma_response_key_fault(&r, text));
	r.invalidated = true;
	r.key = 0x1200;
	assert_null(hrdma_response_key_fault(&r, text));
	r.key = 0x1201;
	expect_text(hrdma_response_key_fault(&r, text), "00001201h instead of 00001200h");
	r.key = 0x1200;
	r.may_invalidate = false;
	expect_text(hrdma_response_key_fault(&r, text), "which nobody asked for");
}

static void test_guard(void **state)
{
	uint8_t buf[GUARD_LEN + 1];

	(void)state;
	for (unsigned i = 0; i < GUARD_LEN; i++) {
		guard_fill(buf, sizeof(buf));
		assert_true(guard_intact(buf));
		buf[i] ^= 1;
		assert_false(guard_intact(buf));
	}
	guard_fill(buf, sizeof(buf));
	buf[GUARD_LEN] = 0;
	assert_true(guard_intact(buf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),	 cmocka_unit_test(test_accept),
		cmocka_unit_test(test_reject),	 cmocka_unit_test(test_sgl),
		cmocka_unit_test(test_response), cmocka_unit_test(test_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
