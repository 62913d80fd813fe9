/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory that a worker announces for RDMA. */
#include "rdma_target.h"

static uint64_t bytes_with(int devices, const char *transport)
{
	static const struct transport_ops *const registry[] = { &rdma_transport, NULL };
	struct config_listener listener = { .in_capsule = HOST_CAPSULE };
	const struct config config = { .n_listeners = 1, .listeners = &listener };

	snprintf(listener.transport, sizeof(listener.transport), "%s", transport);
	transport_register_all(registry);
	fake_verbs.devices = devices;
	rdma_transport.receive_open(&config);
	return rdma_transport.worker_bytes();
}

/* Every device has receives and a completion queue of its own, and may have the most of both. */
static void bytes_of_devices(void **state)
{
	const uint64_t worker = sizeof(struct rdma_worker), one = bytes_with(1, "rdma") - worker;

	(void)state;
	assert_true(one >= RDMA_RECEIVES_MAX * sizeof(struct rdma_receive) +
				   (2ull * RDMA_RECEIVES_MAX + RDMA_CQ_SPARE) * RDMA_ENTRY_BYTES);
	assert_int_equal(bytes_with(0, "rdma"), worker + one);
	assert_int_equal(bytes_with(3, "rdma"), worker + 3 * one);
	assert_int_equal(bytes_with(100, "rdma"), worker + RDMA_DEVICES * one);
	assert_int_equal(bytes_with(3, "tcp"), worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bytes_of_devices) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
