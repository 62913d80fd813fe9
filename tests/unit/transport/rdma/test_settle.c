/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queue pairs that end beside others: nothing of the device is lost, and nothing is given back before its
 * time. And capsules that are none.
 */
#include "rdma_target.h"

enum { DEPTH = 32, READS = 2, PAGE = 4096, COMMANDS = 16 };

static struct fake_peer *const admin = &host_peers[0], *const io = &host_peers[1],
			       *const other = &host_peers[2], *const busy = &host_peers[3];

static uint8_t memory[SGL_DESCRIPTORS * PAGE];

static int setup(void **state)
{
	host_setup(state);
	host_attach(admin, io, DEPTH, READS);
	return 0;
}

static struct nvme_sqe flush(struct fake_peer *peer)
{
	struct nvme_sqe sqe = host_io(NVME_IO_FLUSH, 1, 0, 1);

	sqe.cdw12 = le32(0);
	assert_true(host_capsule(peer, &sqe, NULL, 0));
	return sqe;
}

static void read_of_pieces(struct fake_peer *peer)
{
	struct nvme_sqe sqe = host_io(NVME_IO_READ, 1, 0, SGL_DESCRIPTORS);
	struct nvme_keyed_sgl descriptors[SGL_DESCRIPTORS];

	for (unsigned i = 0; i < SGL_DESCRIPTORS; i++)
		descriptors[i] = host_descriptor(NVME_SGL_KEYED_ADDRESS, memory + i * PAGE,
						 HOST_BLOCK, HOST_KEY);
	host_offset(&sqe, HOST_SEGMENT, 0, sizeof(descriptors));
	assert_true(host_capsule(peer, &sqe, descriptors, sizeof(descriptors)));
}

/* Behind more completions of `busy` than are looked at in a turn: capsules of `other`, and its end. */
static void burst_here(void *arg)
{
	const struct nvme_sqe *sqe = arg;
	struct host_action capsule = { .peer = other, .head = sqe, .head_len = sizeof(*sqe) };

	while (busy->n_done < busy->n_sent)
		fake_complete_one(busy, IBV_WC_WR_FLUSH_ERR);
	for (unsigned i = 0; i < 8; i++)
		host_receive_here(&capsule);
	fake_flush_back(other);
}

/* The device forgets with a queue pair what is in the completion queue: it has to be seen before. */
static void seen_before_destroyed(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_FLUSH, 1, 0, 1);

	(void)state;
	assert_true(COMMANDS * (SGL_DESCRIPTORS + 1) > RDMA_POLL_TURN);
	host_attach_more(admin, other, 2, DEPTH);
	host_attach_more(admin, busy, 3, 8 * COMMANDS);
	busy->keep_flush = true;
	for (unsigned i = 0; i < COMMANDS; i++)
		read_of_pieces(busy);
	assert_int_equal(busy->n_sent, COMMANDS * (SGL_DESCRIPTORS + 1));
	fake_on(busy->worker, burst_here, &sqe);
	host_gone(other);
	assert_int_equal(host_receives(), HOST_RECEIVES);
	host_flush(busy);
	host_gone(busy);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

/* A device whose completion queue never runs empty lets queues go as well. */
static void never_empty(void **state)
{
	const int entries = host_device(0)->cq->cqe;
	bool gone = false;

	(void)state;
	host_attach_more(admin, other, 2, DEPTH);
	io->automatic = true;
	host_device(0)->cq->cqe = RDMA_POLL_TURN;
	host_event(other, RDMA_CM_EVENT_DISCONNECTED);
	for (unsigned i = 0; i < 4 * RDMA_POLL_TURN && !gone; i++) {
		flush(io);
		gone = !other->id;
	}
	host_gone(other);
	host_device(0)->cq->cqe = entries;
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

/* The device may still write to what the queue has: nothing of it is given back. */
static void not_destroyed(void **state)
{
	unsigned closed = fake_verbs.closed;

	(void)state;
	read_of_pieces(io);
	fake_verbs.destroy_error = EBUSY;
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	host_settle();
	assert_non_null(io->qp);
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_DEAD);
	assert_int_equal(host_rq(io)->queue.n_busy, 1);
	assert_true(host_device(0)->gone);
	host_expire(io->worker, &host_rq(io)->timer);
	assert_non_null(io->qp);
	fake_verbs.destroy_error = 0;
	host_expire(io->worker, &host_rq(io)->timer);
	host_gone(io);
	if (admin->id && timer_running(&host_rq(admin)->timer))
		host_expire(admin->worker, &host_rq(admin)->timer);
	host_gone(admin);
	for (unsigned tries = 0; fake_verbs.closed == closed && tries < 2000; tries++)
		host_settle();
	assert_int_equal(fake_verbs.closed, closed + 1);
	host_attach(admin, io, DEPTH, READS); /* and it is opened again */
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

static void immediate_here(void *arg)
{
	struct nvme_sqe *sqe = arg;
	struct host_action a = { .peer = io,
				 .head = sqe,
				 .head_len = sizeof(*sqe),
				 .opcode = IBV_WC_RECV_RDMA_WITH_IMM };

	host_receive_here(&a);
}

/* A write to memory takes a receive, too, and leaves in it what was there: a command of before. */
static void no_capsule(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_FLUSH, 1, 0, 1);
	uint64_t commands = host_rq(io)->queue.stats.commands;

	(void)state;
	io->keep_flush = true;
	fake_on(io->worker, immediate_here, &sqe);
	host_settle();
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_DEAD);
	assert_int_equal(host_rq(io)->queue.stats.commands, commands);
	host_flush(io);
	host_gone(io);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

static void established_here(void *arg)
{
	struct fake_peer *peer = arg;
	const struct ibv_async_event event = { .event_type = IBV_EVENT_COMM_EST,
					       .element.qp = &peer->qp->qp };

	fake_async(fake_rnic_of(peer->qp->qp.context), &event);
}

/* Capsules come before the last message of the handshake, which may be lost: its manager is told. */
static void established_by_capsule(void **state)
{
	(void)state;
	fake_on(io->worker, established_here, io);
	host_settle();
	assert_int_equal(io->notified, 1);
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_OPEN);
}

/*
 * Two Connects, of which the first is refused when the queue has its entries already: the second is not
 * begun any more.
 */
static void connect_twice(void **state)
{
	static struct nvmf_connect_data data;
	struct nvme_sqe first, second;
	uint64_t commands;

	(void)state;
	host_open(other, 0, DEPTH, READS);
	first = second = host_connect_sqe(0, DEPTH, 5); /* only the target gives identifiers */
	data = host_connect_data;
	host_keyed(&first, NVME_SGL_KEYED_ADDRESS, &data, sizeof(data), HOST_KEY);
	second.cid = le16(2);
	assert_true(host_capsule(other, &first, NULL, 0));
	assert_true(host_capsule(other, &second, NULL, 0));
	assert_int_equal(host_rq(other)->n_backlog, 1);
	host_complete(other, 1);
	assert_int_not_equal(host_wait_status(other, &first), 0);
	assert_non_null(host_rq(other)->queue.slots);
	commands = host_rq(other)->queue.stats.commands;
	assert_int_equal(host_rq(other)->n_backlog, 0);
	assert_int_equal(host_receives(), HOST_RECEIVES);
	host_complete(other, UINT32_MAX);
	assert_int_equal(host_rq(other)->queue.stats.commands, commands);
	assert_int_equal(host_status(other, &second), HOST_PENDING);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_LINGERING);
}

#define settle_test(function) cmocka_unit_test_setup_teardown(function, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		settle_test(seen_before_destroyed),  settle_test(never_empty),
		settle_test(not_destroyed),	     settle_test(no_capsule),
		settle_test(established_by_capsule), settle_test(connect_twice),
	};

	return cmocka_run_group_tests(tests, host_group_setup, host_group_teardown);
}
