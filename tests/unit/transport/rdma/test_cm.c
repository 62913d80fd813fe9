/* SPDX-License-Identifier: BSD-3-Clause */
/* Connect requests: who is rejected, with what, who is accepted, and the way to another worker. */
#include "rdma_target.h"

enum { DEPTH = 32, READS = 8 };

static struct fake_peer *const first = &host_peers[0], *const second = &host_peers[1],
			       *const third = &host_peers[2];

static struct private_request request_of(uint16_t qid, uint16_t depth)
{
	return (struct private_request){ .qid = le16(qid),
					 .hrqsize = le16(depth),
					 .hsqsize = le16((uint16_t)(depth - 1)) };
}

static void assert_rejected(const struct fake_peer *peer, enum private_sts sts)
{
	assert_true(peer->rejected);
	assert_false(peer->accepted);
	assert_int_equal(peer->sts, sts);
	assert_null(peer->id);
	assert_null(peer->qp);
}

/* Nobody is connected, and nobody is counted. */
static void assert_nobody(void)
{
	for (unsigned i = 0; i < n_workers; i++) {
		assert_int_equal(workers[i].connections, 0);
		assert_true(list_empty(&workers[i].queues));
	}
}

static void *channel_of(unsigned worker)
{
	return rdma_of(&workers[worker])->channel;
}

/* --------------------------------------------------------------------------------------- rejects */

struct data_case {
	const char *name;
	uint16_t recfmt, qid, hrqsize, hsqsize, cntlid;
	uint8_t len, reads;
	enum private_sts sts;
};

static const struct data_case cases[] = {
	{ "none", 0, 0, 32, 31, 0, 0, READS, PRIVATE_INVALID_LENGTH },
	{ "a byte short", 0, 0, 32, 31, 0, 31, READS, PRIVATE_INVALID_LENGTH },
	{ "RECFMT", 1, 0, 32, 31, 0, 32, READS, PRIVATE_INVALID_RECFMT },
	{ "QID", 0, 0xffff, 32, 31, 0, 32, READS, PRIVATE_INVALID_QID },
	{ "HSQSIZE", 0, 0, 32, 0, 0, 32, READS, PRIVATE_INVALID_HSQSIZE },
	{ "HRQSIZE", 0, 0, 30, 31, 0, 32, READS, PRIVATE_INVALID_HRQSIZE },
	{ "CNTLID", 0, 1, 32, 31, 0xfff0, 32, READS, PRIVATE_INVALID_CNTLID },
	{ "no RDMA READs", 0, 0, 32, 31, 0, 32, 0, PRIVATE_INVALID_IRD },
	{ "two things: what is read first", 0, 0, 30, 31, 0, 32, 0, PRIVATE_INVALID_HRQSIZE },
};

static void private_data(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct data_case *c = &cases[i];
		const struct private_request request = {
			.recfmt = le16(c->recfmt),
			.qid = le16(c->qid),
			.hrqsize = le16(c->hrqsize),
			.hsqsize = le16(c->hsqsize),
			.cntlid = le16(c->cntlid),
		};

		host_request(first, &request, c->len, c->reads);
		if (!first->rejected || first->sts != c->sts)
			fail_msg("%s: status %u", c->name, first->sts);
		assert_rejected(first, c->sts);
		assert_nobody();
	}
}

/*
 * The memory that is announced allows for queues as deep as the deepest subsystem's, which a reload may
 * change. What a host asks for unless told otherwise is never too much.
 */
static void too_deep(void **state)
{
	static const struct {
		unsigned limit;
		uint16_t qid, depth;
		bool fits;
	} depths[] = {
		{ 64, 1, 64, true },
		{ 64, 1, 65, false },
		{ 64, 0, 32, true },
		{ 64, 0, 65, false },
		{ MIN_ADMIN_DEPTH, 0, 32, true },
		{ 128, 1, 65, true },
		{ 128, 1, 128, true },
		{ 128, 1, 129, false },
		{ 128, 0, 128, true },
	};
	unsigned *limit = &fake_config.subsystems[0].max_queue_depth, before = *limit;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		const struct private_request request = request_of(depths[i].qid, depths[i].depth);

		*limit = depths[i].limit;
		host_request(first, &request, sizeof(request), READS);
		assert_int_equal(first->accepted, depths[i].fits);
		if (depths[i].fits) {
			host_event(first, RDMA_CM_EVENT_DISCONNECTED);
			host_gone(first);
		} else {
			assert_rejected(first, PRIVATE_INVALID_HSQSIZE);
		}
		assert_nobody();
	}
	*limit = before;
}

/* CVE-2026-64321: more connections than there is room for leave something behind. */
static void too_many(void **state)
{
	const struct private_request request = request_of(0, DEPTH);

	(void)state;
	worker_set_max_connections(2);
	host_open(first, 0, DEPTH, READS);
	host_open(second, 0, DEPTH, READS);
	host_request(third, &request, sizeof(request), READS);
	assert_rejected(third, PRIVATE_NO_RESOURCES);
	assert_int_equal(workers[0].connections + workers[1].connections, 2);
	host_event(first, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(first);
	host_request(third, &request, sizeof(request), READS);
	worker_set_max_connections(MAX_CONNECTIONS);
	assert_true(third->accepted);
}

/*
 * To register memory takes long, and a device that lacks something else is tried again and again: it is
 * tried last. First, for the second worker has not opened it yet.
 */
static void memory_comes_last(void **state)
{
	int *const errors[] = { &fake_verbs.cq_error, &fake_verbs.srq_error };
	const unsigned registered = fake_verbs.registered;

	(void)state;
	host_open(first, 0, DEPTH, READS);
	fake_verbs.vectors = 1; /* fewer than workers, which is no fault */
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		*errors[i] = ENOMEM;
		host_open(second, 0, DEPTH, READS);
		*errors[i] = 0;
		assert_ptr_equal(second->worker, &workers[0]);
		assert_true(rdma_of(&workers[1])->refused_ns);
		rdma_of(&workers[1])->refused_ns = 0;
		assert_int_equal(fake_verbs.opened, fake_verbs.closed + 1);
		host_event(second, RDMA_CM_EVENT_DISCONNECTED);
		host_gone(second);
	}
	fake_verbs.vectors = 2;
	assert_int_equal(fake_verbs.registered, registered);
}

/*
 * A device that is of no use on the second worker: its connections go to the one of the listener. It is
 * not open there yet, either.
 */
static void device_is_refused(void **state)
{
	const struct private_request request = request_of(0, DEPTH);
	const struct ibv_device_attr good = fake_verbs.attr;
	struct ibv_device_attr bad[] = { good, good, good, good, good };

	(void)state;
	bad[0].max_srq = 0;
	bad[1].max_srq_sge = 1;
	bad[2].max_qp_init_rd_atom = 0;
	bad[3].max_srq_wr = RDMA_RECEIVES_MIN - 1;
	bad[4].max_cqe = 2 * RDMA_RECEIVES_MIN - 1;
	host_open(first, 0, DEPTH, READS);
	assert_ptr_equal(first->worker, &workers[0]);
	for (size_t i = 0; i <= ARRAY_SIZE(bad); i++) {
		if (i < ARRAY_SIZE(bad))
			fake_verbs.attr = bad[i];
		else
			fake_verbs.device.transport_type = IBV_TRANSPORT_IWARP;
		host_request(second, &request, sizeof(request), READS);
		fake_verbs.attr = good;
		fake_verbs.device.transport_type = IBV_TRANSPORT_IB;
		assert_true(second->accepted);
		assert_ptr_equal(second->worker, &workers[0]);
		assert_int_equal(second->migrations, 0);
		assert_int_equal(fake_verbs.opened, fake_verbs.closed + 1);
		assert_true(list_empty(&rdma_of(&workers[1])->devices));
		assert_int_equal(rdma_of(&workers[1])->parts_used, 0);
		assert_int_equal(workers[0].connections, 2);
		assert_int_equal(workers[1].connections, 0);
		host_event(second, RDMA_CM_EVENT_DISCONNECTED);
		host_gone(second);
		/* It is not tried again for each connection. */
		assert_true(rdma_of(&workers[1])->refused_ns);
		host_open(second, 0, DEPTH, READS);
		assert_ptr_equal(second->worker, &workers[0]);
		host_event(second, RDMA_CM_EVENT_DISCONNECTED);
		host_gone(second);
		rdma_of(&workers[1])->refused_ns -= LISTEN_RETRY_MS * 1000000ull;
	}
	host_request(second, &request, sizeof(request), READS);
	assert_true(second->accepted);
	assert_ptr_equal(second->worker, &workers[1]);
	assert_int_equal(fake_verbs.opened, fake_verbs.closed + 2);
	/* Neither waits for interrupts of the other. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(fake_rnic_of(host_device((unsigned)i)->verbs)->vector, i);
}

static void queue_pair_fails(void **state)
{
	const struct private_request request = request_of(0, DEPTH);

	(void)state;
	fake_verbs.qp_error = ENOMEM;
	host_request(first, &request, sizeof(request), READS);
	fake_verbs.qp_error = 0;
	assert_rejected(first, PRIVATE_NO_RESOURCES);
	fake_verbs.accept_error = EINVAL;
	host_request(first, &request, sizeof(request), READS);
	fake_verbs.accept_error = 0;
	assert_rejected(first, PRIVATE_NO_RESOURCES);
	assert_nobody();
	/* What was promised to them is there for others. */
	assert_int_equal(host_device(0)->cq_promised, host_device(0)->n);
	assert_true(list_empty(&host_device(0)->queues));
}

/* The completion queue grows with what may complete, and no connection goes beyond the device's most. */
static void completions_run_out(void **state)
{
	const struct private_request request = request_of(1, MAX_QUEUE_DEPTH);
	const int few = (int)host_device(0)->n + 3 * MAX_QUEUE_DEPTH; /* enough for one queue */
	unsigned n = 0;

	(void)state;
	host_device(0)->cq->cqe = few;
	for (unsigned i = 0; i < HOST_PEERS; i++) {
		host_request(&host_peers[i], &request, sizeof(request), READS);
		if (!host_peers[i].accepted)
			break;
		assert_int_equal(host_rq(&host_peers[i])->sq_entries,
				 2 * MAX_QUEUE_DEPTH + SGL_DESCRIPTORS + 1);
		n++;
		for (unsigned w = 0; w < n_workers; w++)
			assert_true(host_device(w)->cq_promised <=
				    (unsigned)host_device(w)->cq->cqe);
	}
	/* Three on each worker. */
	assert_int_equal(n, 6);
	assert_rejected(&host_peers[n], PRIVATE_NO_RESOURCES);
	assert_true(host_device(0)->cq->cqe > few);
}

/* -------------------------------------------------------------------------------------- accepted */

static void accepted(void **state)
{
	(void)state;
	host_open(first, 0, 24, READS);
	assert_int_equal(le16_get(first->accept.recfmt), 0);
	assert_int_equal(le16_get(first->accept.crqsize), 24);
	assert_int_equal(first->initiator_depth, READS);
	assert_int_equal(host_rq(first)->sq_entries, 2 * 24 + SGL_DESCRIPTORS + 1);
	assert_false(host_rq(first)->queue.map_writes);
	assert_int_equal(host_rq(first)->queue.map_reads, 0);
	assert_string_equal(host_rq(first)->queue.local_address, "127.0.0.1");
	/* Nothing changes by that. */
	host_event(first, RDMA_CM_EVENT_ESTABLISHED);
	assert_int_equal(host_rq(first)->state, RDMA_QUEUE_OPEN);
}

static void to_another_worker(void **state)
{
	(void)state;
	host_open(first, 0, DEPTH, READS);
	assert_ptr_equal(first->worker, &workers[0]);
	assert_int_equal(first->migrations, 0);
	assert_ptr_equal(first->id->channel, channel_of(0));
	host_open(second, 0, DEPTH, READS);
	assert_ptr_equal(second->worker, &workers[1]);
	assert_int_equal(second->migrations, 1);
	assert_true(pthread_equal(second->migrated_by, workers[1].thread));
	assert_ptr_equal(second->id->channel, channel_of(1));
	assert_ptr_equal(host_rq(second)->device->rdma->worker, &workers[1]);
	assert_int_equal(workers[0].connections, 1);
	assert_int_equal(workers[1].connections, 1);
	/* And it is served there. */
	second->automatic = true;
	{
		struct nvme_sqe connect = host_connect_sqe(0, DEPTH, NVMF_CNTLID_DYNAMIC);

		assert_true(host_capsule(second, &connect, NULL, 0));
		assert_int_equal(host_status(second, &connect), 0);
	}
	host_event(second, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(second);
	assert_int_equal(workers[1].connections, 0);
}

static void migration_fails(void **state)
{
	const struct private_request request = request_of(0, DEPTH);

	(void)state;
	host_open(first, 0, DEPTH, READS);
	fake_verbs.migrate_error = ENODEV;
	host_request(second, &request, sizeof(request), READS);
	host_settle();
	fake_verbs.migrate_error = 0;
	assert_true(second->accepted);
	assert_ptr_equal(second->worker, &workers[0]);
	assert_int_equal(workers[0].connections, 2);
	assert_int_equal(workers[1].connections, 0);
	host_event(second, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(second);
	/* The next one goes there again. */
	host_open(second, 0, DEPTH, READS);
	assert_ptr_equal(second->worker, &workers[1]);
}

/* What happens to a request while it is on its way does not reach anybody who is not there yet. */
static sem_t let_go;

static void stand_still(struct msg *msg)
{
	(void)msg;
	fake_wait(&let_go);
}

static void event_on_the_way(void **state)
{
	const struct private_request request = request_of(0, DEPTH);
	struct msg block = { .deliver = stand_still };
	struct host_cm cm;
	struct fake_id *id = calloc(1, sizeof(*id));

	(void)state;
	host_open(first, 0, DEPTH, READS);
	sem_init(&let_go, 0, 0);
	list_init(&block.link);
	loop_post(&workers[1].loop, &block);
	*second = (struct fake_peer){ .id = host_id_new(id, second) };
	cm = (struct host_cm){ .id = fake_verbs.listener,
			       .event = host_request_new(id, &request, sizeof(request), READS) };
	fake_on(&workers[0], host_cm_here, &cm);
	for (unsigned i = 0; i < 8; i++)
		fake_settle(&workers[0]);
	cm = (struct host_cm){ .id = &id->id,
			       .event = host_event_new(&id->id, RDMA_CM_EVENT_ADDR_CHANGE) };
	fake_on(&workers[0], host_cm_here, &cm);
	for (unsigned i = 0; i < 8; i++)
		fake_settle(&workers[0]);
	assert_false(second->accepted || second->rejected);
	/* The identifier had the listener's context when it came: that one did not move. */
	assert_true(listener_is_open(listeners[0]));
	sem_post(&let_go);
	host_settle();
	assert_true(second->accepted);
	sem_destroy(&let_go);
}

/* ------------------------------------------------------------------------------------ listening */

static void drain_here(void *arg)
{
	rdma_transport.drain(arg);
}

static void stopping(void **state)
{
	const struct private_request request = request_of(0, DEPTH);

	(void)state;
	host_open(first, 0, DEPTH, READS);
	for (unsigned i = 0; i < 2; i++)
		fake_on(&workers[i], drain_here, &workers[i]);
	host_settle();
	assert_int_equal(host_rq(first)->state, RDMA_QUEUE_LINGERING);
	assert_int_equal(first->disconnects, 1);
	for (unsigned i = 0; i < 2; i++) {
		host_request(second, &request, sizeof(request), READS);
		assert_rejected(second, PRIVATE_NO_RESOURCES);
	}
	for (unsigned i = 0; i < 2; i++)
		rdma_of(&workers[i])->draining = false;
}

static void listener_moves(void **state)
{
	static const enum rdma_cm_event_type types[] = { RDMA_CM_EVENT_ADDR_CHANGE,
							 RDMA_CM_EVENT_DEVICE_REMOVAL };

	(void)state;
	host_open(first, 0, DEPTH, READS);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct host_cm cm = { .id = fake_verbs.listener,
				      .event = host_event_new(fake_verbs.listener, types[i]) };

		fake_on(&workers[0], host_cm_here, &cm);
		host_settle();
		assert_null(fake_verbs.listener);
		assert_false(listener_is_open(listeners[0]));
		host_expire(&workers[0], &listeners[0]->retry);
		assert_non_null(fake_verbs.listener);
		assert_true(listener_is_open(listeners[0]));
	}
	/* Connections stay, and new ones come. */
	assert_int_equal(host_rq(first)->state, RDMA_QUEUE_OPEN);
	host_open(second, 0, DEPTH, READS);
}

static int group_setup(void **state)
{
	(void)state;
	host_start(2);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(memory_comes_last),
		host_test(device_is_refused),
		host_test(private_data),
		host_test(too_deep),
		host_test(too_many),
		host_test(queue_pair_fails),
		host_test(completions_run_out),
		host_test(accepted),
		host_test(to_another_worker),
		host_test(migration_fails),
		host_test(event_on_the_way),
		host_test(stopping),
		host_test(listener_moves),
	};

	return cmocka_run_group_tests(tests, group_setup, host_group_teardown);
}
