/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers: their keep alive timeout, and the identifiers of their queues. */
#include <poll.h>

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
		fake_open(&conn, &workers[0], listeners[0], "127.0.0.1");
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
	fake_open(&second, &workers[0], listeners[0], "127.0.0.1");
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

/* ------------------------------------------------------------------------- the end of a controller */

static struct fake_call held; /* a write on `io` that nothing can end but drop_held() */

static void hold_a_write(void)
{
	io.hold_fetch = true;
	admin_begin(&io, &(struct admin){ .opcode = NVME_IO_WRITE, .nsid = 3, .len = 4096 }, &held);
}

static void drop_held_here(void *arg)
{
	(void)arg;
	list_for_each_safe(cmd, &io.queue.live, struct cmd, link)
		cmd_cancel(cmd);
}

static void drop_held(void)
{
	fake_on(&workers[1], drop_held_here, NULL);
	fake_wait(&io.idle);
	sem_destroy(&io.idle);
	sem_destroy(&held.done);
}

static uint32_t csts(void)
{
	struct nvmf_property_cmd sqe = {
		.opcode = NVME_OPCODE_FABRICS,
		.fctype = NVME_FCTYPE_PROPERTY_GET,
		.offset = le32(NVME_PROP_CSTS),
	};
	struct fake_call call = { 0 };

	memcpy(&call.sqe, &sqe, sizeof(sqe));
	assert_int_equal(fake_run(&conn, &call), 0);
	return le32_get(call.cqe.dw0);
}

/* A controller is not reset, or shut down, before what its I/O queues began has ended. */
static void test_csts_waits_for_commands(void **state)
{
	static const struct {
		uint32_t cc, before, after;
	} rows[] = {
		{ FAKE_CC & ~NVME_CC_EN, NVME_CSTS_RDY, 0 },
		{ FAKE_CC | NVME_CC_SHN_NORMAL, NVME_CSTS_RDY | NVME_CSTS_SHST_OCCURRING,
		  NVME_CSTS_RDY | NVME_CSTS_SHST_COMPLETE },
		{ (FAKE_CC & ~NVME_CC_EN) | NVME_CC_SHN_ABRUPT,
		  NVME_CSTS_RDY | NVME_CSTS_SHST_OCCURRING, NVME_CSTS_SHST_COMPLETE },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
		fake_attach_io(&io, &workers[1], &fake_host, &conn, 1);
		hold_a_write();
		assert_int_equal(fake_property_set(&conn, NVME_PROP_CC, rows[i].cc), 0);
		fake_settle(&workers[1]);
		assert_int_equal(csts(), rows[i].before);
		drop_held();
		assert_int_equal(csts(), rows[i].after);
		assert_int_equal(fake_property_set(&conn, NVME_PROP_CC, 0), 0);
		assert_int_equal(csts(), 0);
		assert_int_equal(fake_property_set(&conn, NVME_PROP_CC, FAKE_CC), 0);
		assert_int_equal(csts(), NVME_CSTS_RDY);
		fake_gone(&conn);
	}
}

static void connect_begin(struct fake_connecting *c, struct fake_conn *to)
{
	fake_open(to, &workers[0], listeners[0], "127.0.0.1");
	fake_connect_begin(c, to, &fake_host, ADMIN_NQN, 0, NVMF_CNTLID_DYNAMIC, 0);
}

/* What a host wrote before it lost its controller must not land on what it writes by the next one. */
static void test_connect_waits_for_the_last_controller(void **state)
{
	struct fake_connecting c, gives_up;
	struct fake_conn next, gone, other;

	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	fake_attach_io(&io, &workers[1], &fake_host, &conn, 1);
	hold_a_write();
	fake_gone(&conn);

	fake_attach(&other, &workers[0], &admin_host2, ADMIN_NQN); /* another host need not wait */
	fake_gone(&other);
	connect_begin(&gives_up, &gone);
	connect_begin(&c, &next);
	poll(NULL, 0, 50);
	assert_false(fake_is_done(&c.call));
	fake_gone(&gone); /* nothing of it is left behind */
	sem_destroy(&gives_up.call.done);

	drop_held();
	assert_int_equal(fake_finish(&c.call), 0);
	fake_gone(&next);
}

static void close_posts(void *arg)
{
	struct queue *queue = arg;

	pthread_mutex_lock(&queue->ctrl->lock);
	queue_close_post(queue, QUEUE_CLOSE_EVICTED);
	queue_close_post(queue, QUEUE_CLOSE_KATO);
	queue_close_post(queue, QUEUE_CLOSE_STOP);
	queue_close_post(queue, QUEUE_CLOSE_CTRL);
	pthread_mutex_unlock(&queue->ctrl->lock);
}

/* A reason that leaves no time takes the place of one that does, and keeps it. */
static void test_first_hard_reason_counts(void **state)
{
	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	fake_attach_io(&io, &workers[1], &fake_host, &conn, 1);
	fake_on(&workers[1], close_posts, &io.queue);
	fake_wait(&io.idle);
	sem_destroy(&io.idle);
	assert_int_equal(io.closed, QUEUE_CLOSE_KATO);
	fake_gone(&conn);
}

static void test_connect_waits_so_long(void **state)
{
	struct fake_connecting c;
	struct fake_conn next;

	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	fake_attach_io(&io, &workers[1], &fake_host, &conn, 1);
	hold_a_write();
	fake_gone(&conn);
	connect_begin(&c, &next);
	/* Without DNR, so that the host tries again. */
	assert_int_equal(fake_finish(&c.call), NVME_SC_CONNECT_CTRL_BUSY);
	drop_held();
	fake_gone(&next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kato_of_connect),
		cmocka_unit_test(test_identifier_in_use),
		cmocka_unit_test(test_identifiers_after_reset),
		cmocka_unit_test(test_csts_waits_for_commands),
		cmocka_unit_test(test_connect_waits_for_the_last_controller),
		cmocka_unit_test(test_connect_waits_so_long),
		cmocka_unit_test(test_first_hard_reason_counts),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
