/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin_rig.h"

enum { STUCK_NSID = 9, ABORTED = 0, NOT_ABORTED = 1 };

static struct fake_conn conn, io;

static int setup_group(void **state)
{
	(void)state;
	fake_target_start(ADMIN_CONFIG "[namespace " ADMIN_NQN "/9]\nbackend = ram\nsize = 1M\n"
				       "fault = read stuck\n",
			  2);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	fake_attach_io(&io, &workers[1], &fake_host, &conn, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_gone(&io);
	fake_gone(&conn);
	return 0;
}

static struct admin abort_of(unsigned sqid, const struct fake_call *call)
{
	return (struct admin){ .opcode = NVME_ADMIN_ABORT,
			       .cdw10 = sqid | (uint32_t)le16_get(call->sqe.cid) << 16 };
}

static void begin_read(struct fake_call *call, uint32_t nsid)
{
	admin_begin(&io, &(struct admin){ .opcode = NVME_IO_READ, .nsid = nsid, .len = 512 }, call);
}

static void test_before_enable(void **state)
{
	struct fake_conn other;

	(void)state;
	fake_open(&other, &workers[0], listeners[0], "127.0.0.1");
	assert_int_equal(fake_connect(&other, &fake_host, ADMIN_NQN, 0, NVMF_CNTLID_DYNAMIC), 0);
	for (unsigned opcode = 0; opcode < 256; opcode++)
		if (opcode != NVME_OPCODE_FABRICS)
			assert_int_equal(
				admin_run(&other, (struct admin){ .opcode = (uint8_t)opcode }),
				DNR(NVME_SC_COMMAND_SEQUENCE));
	fake_gone(&other);
}

static void test_opcodes(void **state)
{
	static const uint8_t have[] = { 0x02, 0x06, 0x08, 0x09, 0x0a, 0x0c, 0x18, 0x7f };

	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++)
		if (!memchr(have, (int)opcode, sizeof(have)))
			assert_int_equal(
				admin_run(&conn, (struct admin){ .opcode = (uint8_t)opcode }),
				DNR(NVME_SC_INVALID_OPCODE));
}

static void test_keep_alive(void **state)
{
	const struct timer *timer = &conn.queue.ctrl->kato_timer;
	uint64_t deadline_ns;

	(void)state;
	assert_int_equal(admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_KEEP_ALIVE }), 0);
	assert_false(timer_running(timer));
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_KATO, 60000), 0);
	deadline_ns = timer->deadline_ns;
	assert_int_equal(admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_KEEP_ALIVE }), 0);
	assert_true(timer->deadline_ns > deadline_ns);
}

static void test_abort_event(void **state)
{
	struct fake_call event;

	(void)state;
	admin_begin(&conn, &(struct admin){ .opcode = NVME_ADMIN_ASYNC_EVENT }, &event);
	assert_int_equal(admin_run(&conn, abort_of(0, &event)), 0);
	assert_int_equal(admin_dw0, ABORTED);
	assert_int_equal(admin_finish(&event), NVME_SC_ABORT_REQUESTED);
	assert_int_equal(conn.queue.ctrl->n_aer, 0);
	/* It is gone; so are queues that never were, and the Abort command cannot hit itself. */
	assert_int_equal(admin_run(&conn, abort_of(0, &event)), 0);
	assert_int_equal(admin_dw0, NOT_ABORTED);
	assert_int_equal(admin_run(&conn, abort_of(2, &event)), 0);
	assert_int_equal(admin_dw0, NOT_ABORTED);
	assert_int_equal(admin_run(&conn, abort_of(0xffff, &event)), 0);
	assert_int_equal(admin_dw0, NOT_ABORTED);
	for (uint32_t cid = 0; cid < 0x10000; cid += 0x101) {
		assert_int_equal(admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_ABORT,
								  .cdw10 = cid << 16 }),
				 0);
		assert_int_equal(admin_dw0, NOT_ABORTED);
	}
}

/* What a backend holds is asked to end: the answer comes before, so it says "not aborted". */
static void test_abort_stuck(void **state)
{
	struct fake_call read;

	(void)state;
	begin_read(&read, STUCK_NSID);
	assert_int_equal(admin_run(&conn, abort_of(1, &read)), 0);
	assert_int_equal(admin_dw0, NOT_ABORTED);
	assert_int_equal(fake_finish(&read) & NVME_STATUS_CODE_MASK, NVME_SC_ABORT_REQUESTED);
}

static struct span taken[2];

static void take_memory(void *arg)
{
	struct worker *worker = arg;

	for (unsigned i = 0; i < ARRAY_SIZE(taken); i++)
		assert_int_equal(pool_get(&worker->pool, FAKE_MEMORY / 2, &taken[i]), 0);
	io.queue.map_writes = false;
	io.queue.map_reads = 0;
}

static void give_memory(void *arg)
{
	struct worker *worker = arg;

	for (unsigned i = 0; i < ARRAY_SIZE(taken); i++)
		pool_put(&worker->pool, &taken[i]);
	worker->memory_freed = true;
}

/* What waits for memory ends at once; those that wait behind it go on. */
static void test_abort_waiting(void **state)
{
	struct fake_call reads[3];

	(void)state;
	fake_on(&workers[1], take_memory, &workers[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(reads); i++)
		begin_read(&reads[i], 1);
	assert_int_equal(admin_run(&conn, abort_of(1, &reads[1])), 0);
	assert_int_equal(admin_dw0, ABORTED);
	assert_int_equal(fake_finish(&reads[1]) & NVME_STATUS_CODE_MASK, NVME_SC_ABORT_REQUESTED);
	assert_false(fake_is_done(&reads[0]));
	assert_false(fake_is_done(&reads[2]));
	fake_on(&workers[1], give_memory, &workers[1]);
	assert_int_equal(fake_finish(&reads[0]), 0);
	assert_int_equal(fake_finish(&reads[2]), 0);
}

static void fetched_here(void *arg)
{
	struct fake_call *call = arg;

	io.hold_fetch = false;
	list_for_each(cmd, &io.queue.live, struct cmd, link) {
		if (container_of(cmd, struct fake_cmd, cmd)->call == call) {
			fake_fetch(cmd);
			return;
		}
	}
}

/* Data on its way is left alone, and so is its command. */
static void test_abort_fetching(void **state)
{
	struct fake_call write;

	(void)state;
	io.hold_fetch = true;
	admin_begin(&io, &(struct admin){ .opcode = NVME_IO_WRITE, .nsid = 1, .len = 512 }, &write);
	assert_int_equal(admin_run(&conn, abort_of(1, &write)), 0);
	assert_int_equal(admin_dw0, NOT_ABORTED);
	fake_on(&workers[1], fetched_here, &write);
	assert_int_equal(fake_finish(&write), 0);
}

/* ------------------------------------------------------------ a worker that does not get to it */

struct hold {
	struct msg msg;
	sem_t held, go;
};

static void hold_here(struct msg *msg)
{
	struct hold *hold = container_of(msg, struct hold, msg);

	sem_post(&hold->held);
	fake_wait(&hold->go);
}

static void hold_worker(struct hold *hold, struct worker *worker)
{
	hold->msg.deliver = hold_here;
	list_init(&hold->msg.link);
	sem_init(&hold->held, 0, 0);
	sem_init(&hold->go, 0, 0);
	loop_post(&worker->loop, &hold->msg);
	fake_wait(&hold->held);
}

static void test_abort_limit(void **state)
{
	struct fake_call aborts[MAX_ABORTS], read;
	struct admin admin;
	struct hold hold;

	(void)state;
	begin_read(&read, STUCK_NSID);
	admin = abort_of(1, &read);
	hold_worker(&hold, &workers[1]);
	for (unsigned i = 0; i < MAX_ABORTS; i++)
		admin_begin(&conn, &admin, &aborts[i]);
	assert_int_equal(admin_run(&conn, admin), DNR(NVME_SC_ABORT_LIMIT));
	sem_post(&hold.go);
	for (unsigned i = 0; i < MAX_ABORTS; i++) {
		assert_int_equal(admin_finish(&aborts[i]), 0);
		assert_int_equal(admin_dw0, NOT_ABORTED);
	}
	assert_int_equal(fake_finish(&read) & NVME_STATUS_CODE_MASK, NVME_SC_ABORT_REQUESTED);
	assert_int_equal(admin_run(&conn, admin), 0); /* there is room again */
	fake_settle(&workers[1]);
}

struct gone {
	struct msg msg;
	struct fake_conn *conn;
};

static void gone_here(struct msg *msg)
{
	fake_gone_here(container_of(msg, struct gone, msg)->conn);
}

/* The queue is gone by the time that the message gets there. */
static void test_abort_queue_gone(void **state)
{
	struct fake_conn second;
	struct gone gone = { { .deliver = gone_here }, &second };
	struct fake_call abort, other = { .sqe.cid = le16(77) };
	struct admin admin = abort_of(2, &other);
	struct hold hold;

	(void)state;
	fake_attach_io(&second, &workers[1], &fake_host, &conn, 2);
	hold_worker(&hold, &workers[1]);
	loop_post(&workers[1].loop, &gone.msg);
	admin_begin(&conn, &admin, &abort);
	sem_post(&hold.go);
	assert_int_equal(admin_finish(&abort), 0);
	assert_int_equal(admin_dw0, NOT_ABORTED);
	fake_wait(&second.idle);
}

/* The admin queue breaks while its Abort is with another worker: it is not freed under it. */
static void test_abort_admin_gone(void **state)
{
	struct fake_conn admin_conn, io_conn;
	struct fake_call abort, other = { .sqe.cid = le16(77) };
	struct admin admin = abort_of(1, &other);
	struct hold hold;

	(void)state;
	fake_attach(&admin_conn, &workers[0], &fake_host, ADMIN_NQN);
	fake_attach_io(&io_conn, &workers[1], &fake_host, &admin_conn, 1);
	hold_worker(&hold, &workers[1]);
	admin_begin(&admin_conn, &admin, &abort);
	fake_on(&workers[0], fake_gone_here, &admin_conn);
	sem_post(&hold.go);
	fake_wait(&admin_conn.idle);
	fake_wait(&io_conn.idle);
	assert_false(fake_is_done(&abort));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_enable),
		cmocka_unit_test_setup_teardown(test_opcodes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort_event, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort_stuck, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort_fetching, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort_queue_gone, setup, teardown),
		cmocka_unit_test(test_abort_admin_gone),
	};

	return cmocka_run_group_tests(tests, setup_group, admin_group_teardown);
}
