/* SPDX-License-Identifier: BSD-3-Clause */
/* What a transport tells the core, and is asked by it: listeners, Connect, capsules that wait. */
#include "unit.h"

#include "admin_rig.h"
#include "base/counter.h"

enum { WRITE = 65536, QUEUES = 4, WRITES = QUEUES * 31 };

static struct fake_conn admin, io[QUEUES];

static void post(struct listener *listener, struct msg *msg)
{
	loop_post(&listener->worker->loop, msg);
	fake_settle(listener->worker);
}

static void wait_open(const struct listener *listener)
{
	for (int i = 0; i < FAKE_WAIT_S * 100 && !listener_is_open(listener); i++)
		usleep(10000);
	assert_true(listener_is_open(listener));
}

/* Why a listener waits is what its transport says; it is tried again, and says nothing once it is open. */
static void a_listener_says_why_it_waits(void **state)
{
	struct listener *listener = listeners[1];
	char why[LISTENER_WHY_MAX];
	struct datapath path;
	unsigned tries;

	(void)state;
	post(listener, &listener->stop_msg);
	__atomic_store_n(&fake_listen_why, "its interface has no such device", __ATOMIC_RELAXED);
	__atomic_store_n(&fake_listen_error, -ENODEV, __ATOMIC_RELAXED);
	post(listener, &listener->start_msg);
	assert_false(listener_is_open(listener));
	listener_report_of(listener, &path, why);
	assert_string_equal(why, "its interface has no such device");
	assert_true(listener_waits(listener, why));
	assert_string_equal(why, "its interface has no such device");

	tries = peek(fake_listens);
	for (int i = 0; i < FAKE_WAIT_S * 100 && peek(fake_listens) == tries; i++)
		usleep(10000);
	__atomic_store_n(&fake_listen_why, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&fake_listen_error, 0, __ATOMIC_RELAXED);
	wait_open(listener);
	assert_string_equal(fake_listen_meanwhile, "its interface has no such device");
	listener_report_of(listener, &path, why);
	assert_string_equal(why, "");
	assert_false(listener_waits(listener, why));
}

static void lose(void *arg)
{
	listener_lost(arg, "device %d was removed", 7);
}

static void a_lost_listener_is_tried_again(void **state)
{
	struct listener *listener = listeners[1];
	char why[LISTENER_WHY_MAX];
	struct datapath path;

	(void)state;
	fake_on(listener->worker, lose, listener);
	assert_false(listener_is_open(listener));
	listener_report_of(listener, &path, why);
	assert_string_equal(why, "device 7 was removed");
	wait_open(listener);
}

static void tell(void *arg)
{
	static const struct datapath_facts facts = {
		.rdma = true,
		.rdma_dmabuf = { false, "its driver takes none" },
	};

	listener_facts(arg, &facts);
}

static void a_listener_gets_other_rungs(void **state)
{
	char why[LISTENER_WHY_MAX];
	struct datapath path;

	(void)state;
	listener_report_of(listeners[1], &path, why);
	assert_int_equal(path.receive, DATAPATH_RECEIVE_RECV);
	fake_on(listeners[1]->worker, tell, listeners[1]);
	listener_report_of(listeners[1], &path, why);
	assert_int_equal(path.receive, DATAPATH_RECEIVE_RDMA);
	assert_int_equal(path.transmit, DATAPATH_TRANSMIT_RDMA);
	assert_string_equal(path.receive_why, "its driver takes none");
}

/* The connection was made for something else than what Connect says: which field, and no controller. */
static void connect_contradicts_its_connection(void **state)
{
	struct fake_connecting c;
	struct fake_conn conn;

	(void)state;
	fake_open(&conn, &workers[0], listeners[0], "127.0.0.1");
	__atomic_store_n(&fake_connecting_offset, offsetof(struct nvmf_connect_cmd, qid),
			 __ATOMIC_RELAXED);
	fake_connect_begin(&c, &conn, &fake_host, ADMIN_NQN, 0, NVMF_CNTLID_DYNAMIC, 0);
	assert_int_equal(fake_finish(&c.call), DNR(NVME_SC_CONNECT_INVALID_PARAM));
	assert_int_equal(le32_get(c.call.cqe.dw0), offsetof(struct nvmf_connect_cmd, qid));
	__atomic_store_n(&fake_connecting_offset, 0, __ATOMIC_RELAXED);
	fake_wait(&conn.idle);
	sem_destroy(&conn.idle);
}

static void begin_write(struct fake_call *call, struct fake_conn *conn)
{
	*call = (struct fake_call){
		.sqe = {
			.opcode = NVME_IO_WRITE,
			.nsid = le32(1),
			.cdw12 = le32(WRITE / 512 - 1),
		},
		.sgl_len = WRITE,
		.in_capsule = true,
	};
	fake_begin(conn, call);
}

/* With no buffer for its data a capsule waits where it is; if it may not, its command is to be retried. */
static void capsules_without_buffers(void **state)
{
	static struct fake_call calls[WRITES], waits, refused;
	struct worker *worker = &workers[0];

	(void)state;
	fake_attach(&admin, worker, &fake_host, ADMIN_NQN);
	for (uint16_t i = 0; i < QUEUES; i++) {
		fake_attach_io(&io[i], worker, &fake_host, &admin, (uint16_t)(i + 1));
		io[i].hold_fetch = true;
		io[i].queue.map_writes = false;
		io[i].queue.map_reads = 0;
	}
	for (unsigned i = 0; i < WRITES; i++)
		begin_write(&calls[i], &io[i % QUEUES]);
	assert_true(counter_get(&worker->stats.memory_waits) > 0);
	begin_write(&waits, &io[0]);
	assert_false(fake_is_done(&waits));
	__atomic_store_n(&fake_capsules_full, true, __ATOMIC_RELAXED);
	begin_write(&refused, &io[1]);
	assert_int_equal(fake_finish(&refused), NVME_SC_TRANSIENT_TRANSPORT);
	assert_false(fake_is_done(&waits));
	__atomic_store_n(&fake_capsules_full, false, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < QUEUES; i++)
		fake_gone(&io[i]);
	fake_gone(&admin);
}

/*
 * CVE-2022-50717: a transfer tag from the wire that indexes beyond the table. Each of them finds the one
 * command that is there, or none.
 */
static void every_transfer_tag(void **state)
{
	static struct fake_call call;
	struct worker *worker = &workers[0];
	unsigned found = 0;

	(void)state;
	fake_attach(&admin, worker, &fake_host, ADMIN_NQN);
	fake_attach_io(&io[0], worker, &fake_host, &admin, 1);
	io[0].hold_fetch = true;
	begin_write(&call, &io[0]);
	for (unsigned tag = 0; tag <= UINT16_MAX; tag++) {
		const struct cmd *cmd = queue_cmd_find(&io[0].queue, tag);

		if (!cmd)
			continue;
		assert_int_equal(cmd->tag, tag);
		assert_int_equal(cmd->state, CMD_FETCHING);
		found++;
	}
	assert_int_equal(found, 1);
	fake_gone(&io[0]);
	fake_gone(&admin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listener_says_why_it_waits),
		cmocka_unit_test(a_lost_listener_is_tried_again),
		cmocka_unit_test(a_listener_gets_other_rungs),
		cmocka_unit_test(connect_contradicts_its_connection),
		cmocka_unit_test(capsules_without_buffers),
		cmocka_unit_test(every_transfer_tag),
	};

	return cmocka_run_group_tests(tests, admin_group_setup, admin_group_teardown);
}
