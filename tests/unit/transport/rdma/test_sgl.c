/* SPDX-License-Identifier: BSD-3-Clause */
/* What SGLs in capsules say: keyed, in the capsule, several descriptors, and everything else refused. */
#include "unit.h"

#include "transport/rdma/sgl.h"

enum { CAPSULE = 8192, SEGMENT = 0x31 };

static uint8_t capsule[CAPSULE];

static struct nvme_sqe sqe_of(uint8_t opcode, uint8_t type, uint64_t addr, uint32_t len)
{
	return (struct nvme_sqe){
		.opcode = opcode,
		.sgl = { .addr = le64(addr), .len = le32(len), .type = type },
	};
}

static struct nvme_keyed_sgl keyed(uint8_t type, uint64_t addr, uint32_t len, uint32_t key)
{
	return (struct nvme_keyed_sgl){
		.addr = le64(addr),
		.len = { (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16) },
		.key = le32(key),
		.type = type,
	};
}

static void one_key(void **state)
{
	static const uint8_t types[] = { NVME_SGL_KEYED_ADDRESS, NVME_SGL_KEYED_INVALIDATE };
	static const uint32_t lens[] = { 0, 1, 4096, 0xffffff };

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(types); t++)
		for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
			struct nvme_sqe sqe = { .opcode = NVME_IO_READ };
			struct nvme_keyed_sgl one =
				keyed(types[t], 0x1122334455667788, lens[l], 0xdeadbeef);
			struct sgl sgl;

			memcpy(&sqe.sgl, &one, sizeof(one));
			assert_int_equal(sgl_parse(&sqe, capsule, 0, CAPSULE, &sgl), 0);
			assert_false(sgl.in_capsule);
			assert_int_equal(sgl.n, 1);
			assert_int_equal(sgl.len, lens[l]);
			assert_true(sgl.data[0].addr == 0x1122334455667788);
			assert_int_equal(sgl.data[0].len, lens[l]);
			assert_int_equal(sgl.data[0].key, 0xdeadbeef);
			assert_int_equal(sgl.invalidate, types[t] == NVME_SGL_KEYED_INVALIDATE);
			if (sgl.invalidate)
				assert_int_equal(sgl.invalidate_key, 0xdeadbeef);
		}
}

static void every_type(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		struct nvme_sqe sqe = sqe_of(NVME_IO_WRITE, (uint8_t)type, 0, 0);
		bool known = type == NVME_SGL_DATA_OFFSET || type == NVME_SGL_KEYED_ADDRESS ||
			     type == NVME_SGL_KEYED_INVALIDATE;
		struct sgl sgl;
		uint16_t status = sgl_parse(&sqe, capsule, 0, CAPSULE, &sgl);

		if (type == SEGMENT) /* an empty one */
			assert_int_equal(status, NVME_SC_INVALID_SGL_SEGMENT | NVME_STATUS_DNR);
		else
			assert_int_equal(status,
					 known ? 0 : NVME_SC_SGL_TYPE_INVALID | NVME_STATUS_DNR);
		if (status) {
			assert_int_equal(sgl.n, 0);
			assert_int_equal(sgl.len, 0);
			assert_false(sgl.in_capsule || sgl.invalidate);
		}
	}
}

struct offset_case {
	uint64_t offset;
	uint32_t len, received;
	uint16_t status;
};

/* Offset and length against what was received, to the byte and past all wraps. */
static void in_capsule(void **state)
{
	static const struct offset_case cases[] = {
		{ 0, 0, 0, 0 },
		{ 0, 4096, 4096, 0 },
		{ 4, 4092, 4096, 0 },
		{ 4096, 0, 4096, 0 },
		{ 0, CAPSULE, CAPSULE, 0 },
		{ CAPSULE - 1, 1, CAPSULE, 0 },
		{ 0, 4097, 4096, NVME_SC_SGL_LENGTH_INVALID },
		{ 4, 4096, 4096, NVME_SC_SGL_LENGTH_INVALID },
		{ 4096, 1, 4096, NVME_SC_SGL_LENGTH_INVALID },
		{ 4097, 0, 4096, NVME_SC_SGL_OFFSET_INVALID },
		{ 1, 0xffffffff, 4096, NVME_SC_SGL_LENGTH_INVALID },
		{ 0xffffffff, 1, 4096, NVME_SC_SGL_OFFSET_INVALID },
		{ 1ull << 32, 0, 4096, NVME_SC_SGL_OFFSET_INVALID },
		{ 1ull << 63, 4096, 4096, NVME_SC_SGL_OFFSET_INVALID },
		{ UINT64_MAX, 1, 4096, NVME_SC_SGL_OFFSET_INVALID },
		{ UINT64_MAX - 4095, 4096, 4096, NVME_SC_SGL_OFFSET_INVALID },
		/* More than the controller admits, though it was received. */
		{ 0, 4096, CAPSULE + 1, NVME_SC_SGL_LENGTH_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct offset_case *c = &cases[i];
		struct nvme_sqe sqe =
			sqe_of(NVME_IO_WRITE, NVME_SGL_DATA_OFFSET, c->offset, c->len);
		struct sgl sgl;
		uint16_t status = sgl_parse(&sqe, capsule, c->received, CAPSULE, &sgl);

		assert_int_equal(status, c->status ? c->status | NVME_STATUS_DNR : 0);
		assert_int_equal(sgl.in_capsule, !status);
		if (!status) {
			assert_int_equal(sgl.offset, c->offset);
			assert_int_equal(sgl.len, c->len);
		}
	}
}

static void direction_in_capsule(void **state)
{
	struct nvme_sqe read = sqe_of(NVME_IO_READ, NVME_SGL_DATA_OFFSET, 0, 512);
	struct nvme_sqe connect = sqe_of(NVME_OPCODE_FABRICS, NVME_SGL_DATA_OFFSET, 0, 512);
	struct nvme_sqe get = connect;
	struct sgl sgl;

	(void)state;
	connect.nsid = le32(NVME_FCTYPE_CONNECT);
	get.nsid = le32(NVME_FCTYPE_AUTH_RECEIVE);
	assert_int_equal(sgl_parse(&read, capsule, 512, CAPSULE, &sgl),
			 NVME_SC_SGL_TYPE_INVALID | NVME_STATUS_DNR);
	assert_int_equal(sgl_parse(&connect, capsule, 512, CAPSULE, &sgl), 0);
	assert_int_equal(sgl_parse(&get, capsule, 512, CAPSULE, &sgl),
			 NVME_SC_SGL_TYPE_INVALID | NVME_STATUS_DNR);
	/* A queue without in-capsule data. */
	assert_int_equal(sgl_parse(&connect, capsule, 512, 0, &sgl),
			 NVME_SC_SGL_LENGTH_INVALID | NVME_STATUS_DNR);
}

/* Puts @n descriptors into the capsule at @offset. */
static void segment_put(uint32_t offset, unsigned n, uint8_t type)
{
	for (unsigned i = 0; i < n; i++) {
		struct nvme_keyed_sgl one = keyed(type, 0x1000 * i, 100 + i, i);

		memcpy(capsule + offset + i * sizeof(one), &one, sizeof(one));
	}
}

static void several_keys(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= SGL_DESCRIPTORS; n++) {
		uint32_t len = n * (uint32_t)sizeof(struct nvme_sgl), sum = 0;
		struct nvme_sqe sqe = sqe_of(NVME_IO_READ, SEGMENT, 16, len);
		struct sgl sgl;

		segment_put(16, n, NVME_SGL_KEYED_ADDRESS);
		assert_int_equal(sgl_parse(&sqe, capsule, 16 + len, CAPSULE, &sgl), 0);
		assert_int_equal(sgl.n, n);
		for (unsigned i = 0; i < n; i++) {
			sum += 100 + i;
			assert_true(sgl.data[i].addr == 0x1000 * i);
			assert_int_equal(sgl.data[i].len, 100 + i);
			assert_int_equal(sgl.data[i].key, i);
		}
		assert_int_equal(sgl.len, sum);
		/* One byte of them was not received. */
		assert_int_equal(sgl_parse(&sqe, capsule, 15 + len, CAPSULE, &sgl),
				 NVME_SC_INVALID_SGL_SEGMENT | NVME_STATUS_DNR);
	}
}

static void bad_segments(void **state)
{
	struct nvme_sqe many = sqe_of(NVME_IO_READ, SEGMENT, 0, (SGL_DESCRIPTORS + 1) * 16);
	struct nvme_sqe odd = sqe_of(NVME_IO_READ, SEGMENT, 0, 24);
	struct nvme_sqe beyond = sqe_of(NVME_IO_READ, SEGMENT, UINT64_MAX - 15, 16);
	struct nvme_sqe two = sqe_of(NVME_IO_READ, SEGMENT, 0, 32);
	struct sgl sgl;

	(void)state;
	segment_put(0, SGL_DESCRIPTORS + 1, NVME_SGL_KEYED_ADDRESS);
	assert_int_equal(sgl_parse(&many, capsule, 4096, CAPSULE, &sgl),
			 NVME_SC_INVALID_SGL_COUNT | NVME_STATUS_DNR);
	assert_int_equal(sgl_parse(&odd, capsule, 4096, CAPSULE, &sgl),
			 NVME_SC_INVALID_SGL_SEGMENT | NVME_STATUS_DNR);
	assert_int_equal(sgl_parse(&beyond, capsule, 4096, CAPSULE, &sgl),
			 NVME_SC_SGL_OFFSET_INVALID | NVME_STATUS_DNR);
	/* Two keys to invalidate, and a response that can do one; the same key twice is one. */
	segment_put(0, 2, NVME_SGL_KEYED_INVALIDATE);
	assert_int_equal(sgl_parse(&two, capsule, 4096, CAPSULE, &sgl),
			 NVME_SC_SGL_TYPE_INVALID | NVME_STATUS_DNR);
	memcpy(capsule + 16, capsule, 16);
	assert_int_equal(sgl_parse(&two, capsule, 4096, CAPSULE, &sgl), 0);
	assert_true(sgl.invalidate);
	/* A segment in a segment. */
	segment_put(0, 2, SEGMENT);
	assert_int_equal(sgl_parse(&two, capsule, 4096, CAPSULE, &sgl),
			 NVME_SC_SGL_TYPE_INVALID | NVME_STATUS_DNR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_key),	cmocka_unit_test(every_type),
		cmocka_unit_test(in_capsule),	cmocka_unit_test(direction_in_capsule),
		cmocka_unit_test(several_keys), cmocka_unit_test(bad_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
