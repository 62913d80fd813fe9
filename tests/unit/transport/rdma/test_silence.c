/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts of which nothing is heard: they are asked for an answer, and go when there is none. */
#include "rdma_target.h"

enum { DEPTH = 32, READS = 2, LOOK_NS = 1000000000 };

static struct fake_peer *const admin = &host_peers[0], *const io = &host_peers[1],
			       *const other = &host_peers[2];

static uint8_t memory[SGL_DESCRIPTORS * HOST_BLOCK];

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

static void look(struct fake_peer *peer)
{
	host_expire(peer->worker, &host_rq(peer)->silence);
}

/* Something has come since Connect, or the last look. */
static void look_at_a_busy_one(struct fake_peer *peer)
{
	look(peer);
	assert_int_equal(peer->n_sent, 0);
}

static void assert_probe(const struct fake_sent *sent)
{
	assert_int_equal(sent->wr.opcode, IBV_WR_RDMA_WRITE);
	assert_int_equal(sent->wr.num_sge, 0);
	assert_true(sent->wr.send_flags & IBV_SEND_SIGNALED);
}

static void vanished(void **state)
{
	(void)state;
	look(io);
	assert_int_equal(io->n_sent, 1);
	assert_probe(&io->sent[0]);
	/* One is enough. */
	look(io);
	look(io);
	assert_int_equal(io->n_sent, 1);
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_OPEN);
	host_fail(io, IBV_WC_RETRY_EXC_ERR);
	host_gone(io);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

/* Admin queues as well: they are all that a host has of discovery. */
static void vanished_admin(void **state)
{
	(void)state;
	host_by_hand(admin);
	look_at_a_busy_one(admin);
	look(admin);
	assert_probe(&admin->sent[0]);
	host_fail(admin, IBV_WC_RETRY_EXC_ERR);
	host_gone(admin);
	host_gone(io);
}

static void answered(void **state)
{
	struct rdma_queue *rq = host_rq(io);
	struct nvme_sqe sqe;

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		look(io);
		assert_int_equal(io->n_sent, i);
		assert_int_equal(rq->sq_used, 1);
		assert_int_equal(rq->pending, 1);
		host_complete(io, 1);
		assert_int_equal(rq->state, RDMA_QUEUE_OPEN);
		assert_int_equal(rq->sq_used, 0);
		assert_int_equal(rq->pending, 0);
	}
	assert_int_equal(rq->queue.n_busy, 0);
	sqe = flush(io);
	host_complete(io, 1);
	assert_int_equal(host_status(io, &sqe), 0);
}

static void heard_of(void **state)
{
	uint64_t most;

	(void)state;
	flush(io);
	host_complete(io, 1);
	look(io);
	assert_int_equal(io->n_sent, 1);
	/* A response that the host has not taken tells as much. */
	flush(io);
	look(io);
	look(io);
	assert_int_equal(io->n_sent, 2);
	host_complete(io, 1);
	look(io);
	assert_int_equal(io->n_sent, 3);
	assert_probe(&io->sent[2]);
	most = clock_now_ns() + DEAD_PEER_S / 2 * (uint64_t)LOOK_NS;
	assert_true(host_rq(io)->silence.deadline_ns <= most);
	assert_true(host_rq(io)->silence.deadline_ns > most - 30 * (uint64_t)LOOK_NS);
	host_complete(io, 1);
}

/* One whose disk takes its time is asked, too: its commands wait for nothing that it has. */
static void waits_for_a_disk(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_READ, 2, 0, 1);

	(void)state;
	host_keyed(&sqe, NVME_SGL_KEYED_ADDRESS, memory, HOST_BLOCK, HOST_KEY);
	assert_true(host_capsule(io, &sqe, NULL, 0));
	look_at_a_busy_one(io);
	look(io);
	assert_probe(&io->sent[0]);
	host_release_io(io);
	assert_int_equal(io->n_sent, 3);
	host_complete(io, UINT32_MAX);
	assert_int_equal(host_status(io, &sqe), 0);
	assert_int_equal(host_rq(io)->sq_used, 0);
	assert_int_equal(host_rq(io)->pending, 0);
}

/* The device insists: what the send queue has no room for beside it waits for its end. */
static void shortest_send_queue(void **state)
{
	struct nvme_keyed_sgl descriptors[SGL_DESCRIPTORS];
	struct nvme_sqe sqe = host_io(NVME_IO_READ, 1, 0, SGL_DESCRIPTORS);
	const int before = host_device(0)->attr.max_qp_wr;

	(void)state;
	host_device(0)->attr.max_qp_wr = SGL_DESCRIPTORS + 1;
	host_attach_more(admin, other, 2, DEPTH);
	host_device(0)->attr.max_qp_wr = before;
	look(other);
	for (unsigned i = 0; i < SGL_DESCRIPTORS; i++)
		descriptors[i] = host_descriptor(NVME_SGL_KEYED_ADDRESS, memory + i * HOST_BLOCK,
						 HOST_BLOCK, HOST_KEY);
	host_offset(&sqe, HOST_SEGMENT, 0, sizeof(descriptors));
	assert_true(host_capsule(other, &sqe, descriptors, sizeof(descriptors)));
	assert_int_equal(other->n_sent, 1);
	host_complete(other, 1);
	assert_int_equal(other->n_sent, 1 + SGL_DESCRIPTORS + 1);
	host_complete(other, UINT32_MAX);
	assert_int_equal(host_status(other, &sqe), 0);
	assert_int_equal(other->max_used, SGL_DESCRIPTORS + 1);
}

/* -------------------------------------------------------------------------------------- its end */

static void not_taken(void **state)
{
	(void)state;
	io->room = 0;
	look(io);
	host_gone(io);
	assert_int_equal(io->n_sent, 0);
}

static void not_before_connect(void **state)
{
	(void)state;
	host_open(other, 2, DEPTH, READS);
	assert_false(timer_running(&host_rq(other)->silence));
	assert_true(timer_running(&host_rq(other)->timer));
}

/* A queue pair that is broken gets no requests any more. What was out comes back. */
static void not_when_dead(void **state)
{
	(void)state;
	look(io);
	io->keep_flush = true;
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_DEAD);
	assert_int_equal(host_rq(io)->pending, 1);
	assert_false(timer_running(&host_rq(io)->silence));
	host_flush(io);
	host_gone(io);
}

static void drain_here(void *arg)
{
	rdma_queue_drain(arg);
}

/* What is out may fail, and so the queue stays until it is back; then it asks no more. */
static void drained(void **state)
{
	(void)state;
	look(io);
	fake_on(io->worker, drain_here, host_rq(io));
	host_settle();
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_DRAINING);
	host_complete(io, 1);
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_LINGERING);
	look(io);
	assert_int_equal(io->n_sent, 1);
	assert_false(timer_running(&host_rq(io)->silence));
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(io);
}

#define silence_test(function) cmocka_unit_test_setup_teardown(function, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		silence_test(vanished),		silence_test(vanished_admin),
		silence_test(answered),		silence_test(heard_of),
		silence_test(waits_for_a_disk), silence_test(shortest_send_queue),
		silence_test(not_taken),	silence_test(not_before_connect),
		silence_test(not_when_dead),	silence_test(drained),
	};

	return cmocka_run_group_tests(tests, host_group_setup, host_group_teardown);
}
