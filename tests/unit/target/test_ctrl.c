/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers: their keep alive timeout, and the identifiers of their queues. */
#include "admin_rig.h"

static struct fake_conn conn, io;

static int setup_group(void **state)
{
	(void)state;
	fake_target_start(ADMIN_CONFIG, 2);
	return 0;
}

static int teardown_group(void **state)
{
	(void)state;
	fake_target_stop();
	return 0;
}

static void test_kato_of_connect(void **state)
{
	static const struct {
		uint32_t asked_ms, got_ms;
	} rows[] = {
		{ 0, 0 },
		{ 1, 100 },
		{ 100, 100 },
		{ 5001, 5100 },
		{ UINT32_MAX - 95, UINT32_MAX - 95 },
		/* What cannot be rounded up is no reason to time the host out at once. */
		{ UINT32_MAX - 94, UINT32_MAX - 95 },
		{ UINT32_MAX, UINT32_MAX - 95 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_open(&conn, &workers[0], &listeners[0], "127.0.0.1");
		assert_int_equal(fake_connect_kato(&conn, &fake_host, ADMIN_NQN, 0,
						   NVMF_CNTLID_DYNAMIC, rows[i].asked_ms),
				 0);
		assert_int_equal(conn.queue.ctrl->kato_ms, rows[i].got_ms);
		fake_gone(&conn);
	}
}

static void test_identifier_in_use(void **state)
{
	struct fake_conn second;

	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	fake_attach_io(&io, &workers[1], &fake_host, &conn, 1);
	/* Without DNR: the host may know that the first connection is dead before we do. */
	fake_open(&second, &workers[0], &listeners[0], "127.0.0.1");
	assert_int_equal(fake_connect(&second, &fake_host, ADMIN_NQN, 1, conn.queue.ctrl->cntlid),
			 NVME_SC_COMMAND_SEQUENCE);
	fake_gone(&second);
	fake_gone(&io);
	fake_attach_io(&io, &workers[0], &fake_host, &conn, 1);
	fake_gone(&io);
	fake_gone(&conn);
}

static void worker_hold(void *arg)
{
	fake_wait(arg);
}

/* A reset asks I/O queues to close; their identifiers are free before their workers have got to it. */
static void test_identifiers_after_reset(void **state)
{
	struct loop_call held = { .msg.deliver = loop_call_deliver, .function = worker_hold };
	struct fake_conn again;
	sem_t go_on;

	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	fake_attach_io(&io, &workers[1], &fake_host, &conn, 1);
	sem_init(&go_on, 0, 0);
	sem_init(&held.returned, 0, 0);
	list_init(&held.msg.link);
	held.arg = &go_on;
	loop_post(&workers[1].loop, &held.msg);

	assert_int_equal(fake_property_set(&conn, NVME_PROP_CC, 0), 0);
	assert_int_equal(fake_property_set(&conn, NVME_PROP_CC, FAKE_CC), 0);
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_NUM_QUEUES, 1 | 1 << 16), 0);
	fake_attach_io(&again, &workers[0], &fake_host, &conn, 1);

	sem_post(&go_on);
	fake_wait(&held.returned);
	fake_wait(&io.idle);
	sem_destroy(&held.returned);
	sem_destroy(&go_on);
	sem_destroy(&io.idle);
	/* The old queue took nothing of the new one's along. */
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_NUM_QUEUES, 1 | 1 << 16),
			 DNR(NVME_SC_COMMAND_SEQUENCE));
	fake_gone(&again);
	fake_gone(&conn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kato_of_connect),
		cmocka_unit_test(test_identifier_in_use),
		cmocka_unit_test(test_identifiers_after_reset),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
