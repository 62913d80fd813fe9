/* SPDX-License-Identifier: BSD-3-Clause */
/* The private data of connect requests: each field wrong by itself, the limits, what is sent back. */
#include "unit.h"

#include "base/limits.h"
#include "transport/rdma/private.h"

struct request_case {
	const char *name;
	uint16_t recfmt, qid, hrqsize, hsqsize, cntlid;
	enum private_sts sts;
	uint16_t depth;
};

static const struct request_case cases[] = {
	{ "admin queue as Linux asks for it", 0, 0, 32, 31, 0, PRIVATE_OK, 32 },
	{ "I/O queue as Linux asks for it", 0, 1, 128, 127, 1, PRIVATE_OK, 128 },
	{ "HRQSIZE zero based", 0, 1, 127, 127, 1, PRIVATE_OK, 128 },
	{ "a CNTLID that nobody has is Connect's to refuse", 0, 1, 128, 127, MAX_CNTLID, PRIVATE_OK,
	  128 },
	{ "CNTLID reserved", 0, 1, 128, 127, 0xfff0, PRIVATE_INVALID_CNTLID, 0 },
	{ "CNTLID FFFFh", 0, 1, 128, 127, 0xffff, PRIVATE_INVALID_CNTLID, 0 },
	{ "CNTLID of an admin queue is not looked at", 0, 0, 32, 31, 0xffff, PRIVATE_OK, 32 },
	{ "the last QID", 0, MAX_IO_QUEUES, 128, 127, 1, PRIVATE_OK, 128 },
	{ "deepest I/O queue", 0, 1, MAX_QUEUE_DEPTH, MAX_QUEUE_DEPTH - 1, 1, PRIVATE_OK,
	  MAX_QUEUE_DEPTH },
	{ "shallowest queue", 0, 1, 2, 1, 1, PRIVATE_OK, 2 },
	{ "deepest admin queue", 0, 0, PRIVATE_ADMIN_DEPTH, PRIVATE_ADMIN_DEPTH - 1, 0, PRIVATE_OK,
	  PRIVATE_ADMIN_DEPTH },
	{ "RECFMT 1", 1, 0, 32, 31, 0, PRIVATE_INVALID_RECFMT, 0 },
	{ "RECFMT FFFFh", 0xffff, 0, 32, 31, 0, PRIVATE_INVALID_RECFMT, 0 },
	{ "QID too large", 0, MAX_IO_QUEUES + 1, 128, 127, 1, PRIVATE_INVALID_QID, 0 },
	{ "QID FFFFh", 0, 0xffff, 128, 127, 1, PRIVATE_INVALID_QID, 0 },
	{ "HSQSIZE 0", 0, 1, 128, 0, 1, PRIVATE_INVALID_HSQSIZE, 0 },
	{ "HSQSIZE too large", 0, 1, MAX_QUEUE_DEPTH + 1, MAX_QUEUE_DEPTH, 1,
	  PRIVATE_INVALID_HSQSIZE, 0 },
	{ "HSQSIZE FFFFh", 0, 1, 0xffff, 0xffff, 1, PRIVATE_INVALID_HSQSIZE, 0 },
	{ "HSQSIZE too large for an admin queue", 0, 0, PRIVATE_ADMIN_DEPTH + 1,
	  PRIVATE_ADMIN_DEPTH, 0, PRIVATE_INVALID_HSQSIZE, 0 },
	{ "HRQSIZE 0", 0, 1, 0, 127, 1, PRIVATE_INVALID_HRQSIZE, 128 },
	{ "HRQSIZE one too small", 0, 1, 126, 127, 1, PRIVATE_INVALID_HRQSIZE, 128 },
};

static void requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct request_case *c = &cases[i];
		struct private_request request = {
			.recfmt = le16(c->recfmt),
			.qid = le16(c->qid),
			.hrqsize = le16(c->hrqsize),
			.hsqsize = le16(c->hsqsize),
			.cntlid = le16(c->cntlid),
		};
		struct private_wants wants;
		enum private_sts sts =
			private_parse(&request, sizeof(request), MAX_QUEUE_DEPTH, &wants);

		if (sts != c->sts || wants.depth != c->depth || (!sts && wants.qid != c->qid))
			fail_msg("%s: %s, depth %u", c->name, private_sts_name(sts), wants.depth);
	}
}

static void lengths(void **state)
{
	struct private_request request = { .hrqsize = le16(32), .hsqsize = le16(31) };
	uint8_t padded[56] = { 0 };
	struct private_wants wants;

	(void)state;
	for (size_t len = 0; len < sizeof(request); len++)
		assert_int_equal(private_parse(&request, len, MAX_QUEUE_DEPTH, &wants),
				 PRIVATE_INVALID_LENGTH);
	assert_int_equal(private_parse(NULL, sizeof(request), MAX_QUEUE_DEPTH, &wants),
			 PRIVATE_INVALID_LENGTH);
	/* InfiniBand always brings as many bytes as a message has room for. */
	memcpy(padded, &request, sizeof(request));
	assert_int_equal(private_parse(padded, sizeof(padded), MAX_QUEUE_DEPTH, &wants),
			 PRIVATE_OK);
}

/* What the subsystems allow bounds both kinds; admin queues have a bound of their own, too. */
static void deepest(void **state)
{
	static const struct {
		uint16_t qid;
		unsigned deepest, depth;
		enum private_sts sts;
	} bounds[] = {
		{ 1, 128, 128, PRIVATE_OK }, { 1, 128, 129, PRIVATE_INVALID_HSQSIZE },
		{ 1, 32, 32, PRIVATE_OK },   { 1, 32, 33, PRIVATE_INVALID_HSQSIZE },
		{ 0, 32, 32, PRIVATE_OK },   { 0, 32, 33, PRIVATE_INVALID_HSQSIZE },
		{ 0, 256, 128, PRIVATE_OK }, { 0, 256, 129, PRIVATE_INVALID_HSQSIZE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		struct private_request request = {
			.qid = le16(bounds[i].qid),
			.hrqsize = le16((uint16_t)bounds[i].depth),
			.hsqsize = le16((uint16_t)(bounds[i].depth - 1)),
		};
		struct private_wants wants;

		assert_int_equal(
			private_parse(&request, sizeof(request), bounds[i].deepest, &wants),
			bounds[i].sts);
	}
}

static void answers(void **state)
{
	struct private_accept accept;
	struct private_reject reject;
	static const uint8_t accept_bytes[32] = { 0, 0, 0x80, 0x01 };
	static const uint8_t reject_bytes[4] = { 0, 0, 6, 0 };

	(void)state;
	memset(&accept, 0xa5, sizeof(accept));
	memset(&reject, 0xa5, sizeof(reject));
	private_encode_accept(&accept, 0x180);
	assert_memory_equal(&accept, accept_bytes, sizeof(accept));
	private_encode_reject(&reject, PRIVATE_NO_RESOURCES);
	assert_memory_equal(&reject, reject_bytes, sizeof(reject));
	for (enum private_sts sts = PRIVATE_OK; sts <= PRIVATE_INVALID_CNTLID; sts++)
		assert_true(strlen(private_sts_name(sts)) > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(lengths),
		cmocka_unit_test(deepest),
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
