/* SPDX-License-Identifier: BSD-3-Clause */
/* The ladder: every combination of facts against rules that are written down here once more. */
#include "unit.h"

#include "target/datapath.h"

enum { FACTS = 12 };

static struct datapath_facts facts_of(unsigned bits)
{
	struct datapath_facts facts = {
		.zcrx = { bits & 1, "no zcrx" },
		.zcrx_device_memory = { bits & 2, "no device memory" },
		.send_zc = { bits & 4, "no send_zc" },
		.mapped = { bits & 8, "not mapped" },
		.dmabuf_registered = { bits & 16, "no dma-buf" },
		.dmabuf_vectored = { bits & 32, "no vectors" },
		.area_fixed = { bits & 64, "area not fixed" },
		.backend_fixed = { bits & 128, "backend not fixed" },
		.area_reachable = { bits & 256, "not pinnable" },
		.zcrx_copy = { bits & 512, "not asked for" },
		.rdma = bits & 1024,
		.rdma_dmabuf = { bits & 2048, "no dma-bufs" },
	};

	return facts;
}

static void check_rdma(unsigned bits, const struct datapath *path)
{
	bool dmabuf = bits & 2048;
	const char *why = dmabuf ? "" : "no dma-bufs";

	assert_int_equal(path->receive,
			 dmabuf ? DATAPATH_RECEIVE_RDMA_DMABUF : DATAPATH_RECEIVE_RDMA);
	assert_int_equal(path->transmit,
			 dmabuf ? DATAPATH_TRANSMIT_RDMA_DMABUF : DATAPATH_TRANSMIT_RDMA);
	assert_string_equal(path->receive_why, why);
	assert_string_equal(path->transmit_why, why);
	assert_true(datapath_is_zerocopy(path));
}

static void check_stream(unsigned bits, const struct datapath *path)
{
	assert_int_equal(path->transmit, bits & 4 ? DATAPATH_TRANSMIT_ZC : DATAPATH_TRANSMIT_SEND);
	assert_string_equal(path->transmit_why, bits & 4 ? "" : "no send_zc");
	if (bits & 512) {
		assert_int_equal(path->receive, DATAPATH_RECEIVE_ZCRX_COPY);
		assert_string_not_equal(path->receive_why, "");
		assert_false(datapath_is_zerocopy(path));
		return;
	}
	if ((bits & 3) == 3) {
		assert_int_equal(path->receive, DATAPATH_RECEIVE_ZCRX_DEVICE);
		assert_string_equal(path->receive_why, "");
	} else if (bits & 1) {
		assert_int_equal(path->receive, DATAPATH_RECEIVE_ZCRX);
		assert_string_equal(path->receive_why, "no device memory");
	} else {
		assert_int_equal(path->receive, DATAPATH_RECEIVE_RECV);
		assert_string_equal(path->receive_why, "no zcrx");
	}
	assert_int_equal(datapath_is_zerocopy(path), bits & 1);
}

static void check_storage(unsigned bits, const struct datapath *path)
{
	const char *why = path->storage_why;

	if (bits & 8) {
		assert_int_equal(path->storage, DATAPATH_STORAGE_MEMORY);
		assert_string_equal(why, "");
	} else if ((bits & 48) == 48) {
		assert_int_equal(path->storage, DATAPATH_STORAGE_DMABUF_VECTORED);
		assert_string_equal(why, "");
	} else if (bits & 16) {
		assert_int_equal(path->storage, DATAPATH_STORAGE_DMABUF);
		assert_string_equal(why, "no vectors");
	} else if ((bits & 192) == 192) {
		assert_int_equal(path->storage, DATAPATH_STORAGE_FIXED);
		assert_string_equal(why, "no dma-buf");
	} else if (bits & 256) {
		assert_int_equal(path->storage, DATAPATH_STORAGE_PLAIN);
		assert_string_equal(why, bits & 128 ? "area not fixed" : "backend not fixed");
	} else {
		assert_int_equal(path->storage, DATAPATH_STORAGE_BOUNCE);
		assert_string_equal(why, "not pinnable");
	}
}

static void every_combination(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 1 << FACTS; bits++) {
		struct datapath_facts facts = facts_of(bits);
		struct datapath path;

		memset(&path, 0xa5, sizeof(path));
		datapath_choose(&facts, &path);
		if (bits & 1024)
			check_rdma(bits, &path);
		else
			check_stream(bits, &path);
		check_storage(bits, &path);
	}
}

static void names_are_distinct(void **state)
{
	(void)state;
	for (int i = 0; i < DATAPATH_STORAGE_RUNGS; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(datapath_storage_name((enum datapath_storage)i),
						datapath_storage_name((enum datapath_storage)k));
	assert_string_equal(datapath_receive_name(DATAPATH_RECEIVE_RDMA_DMABUF), "rdma-dmabuf");
	assert_string_equal(datapath_receive_name(DATAPATH_RECEIVE_RDMA), "rdma");
	assert_string_equal(datapath_transmit_name(DATAPATH_TRANSMIT_RDMA_DMABUF), "rdma-dmabuf");
	assert_string_equal(datapath_transmit_name(DATAPATH_TRANSMIT_RDMA), "rdma");
	assert_string_equal(datapath_receive_name(DATAPATH_RECEIVE_RECV), "recv");
	assert_string_equal(datapath_receive_name(DATAPATH_RECEIVE_ZCRX), "zcrx");
	assert_string_equal(datapath_receive_name(DATAPATH_RECEIVE_ZCRX_DEVICE), "zcrx-device");
	assert_string_equal(datapath_transmit_name(DATAPATH_TRANSMIT_ZC), "send-zc");
	assert_string_equal(datapath_transmit_name(DATAPATH_TRANSMIT_SEND), "send");
	assert_string_equal(datapath_storage_name(DATAPATH_STORAGE_MEMORY), "memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination),
		cmocka_unit_test(names_are_distinct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
