/* SPDX-License-Identifier: BSD-3-Clause */
/* What hosts can hold, and what they then wait for: receives, buffers, RDMA READs, slots, time. */
#include "rdma_target.h"

enum {
	DEPTH = 64,
	READS = 4,
	HALF = HOST_RECEIVES / 2,
	THREE_QUARTERS = HOST_RECEIVES - HOST_RECEIVES / 4,
	PAGE = 4096,
};

static struct fake_peer *const admin = &host_peers[0], *const io = &host_peers[1],
			       *const other = &host_peers[2], *const third = &host_peers[3];

static uint8_t memory[SGL_DESCRIPTORS * PAGE];

static int setup(void **state)
{
	host_setup(state);
	host_attach(admin, io, DEPTH, READS);
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i * 7 + i / HOST_BLOCK * 31 + 1);
	return 0;
}

/* A write of @len bytes to block @slba, all in the capsule from @offset on. */
static struct nvme_sqe write_in_capsule(struct fake_peer *peer, uint32_t nsid, uint64_t slba,
					uint32_t offset, uint32_t len)
{
	struct nvme_sqe sqe = host_io(NVME_IO_WRITE, nsid, slba, len / HOST_BLOCK);

	host_offset(&sqe, NVME_SGL_DATA_OFFSET, offset, len);
	assert_true(host_capsule(peer, &sqe, memory, offset + len));
	return sqe;
}

/* Reads @len bytes from block @slba of namespace 1 and compares them with host memory at @offset. */
static void assert_written(uint64_t slba, uint32_t offset, uint32_t len)
{
	static uint8_t back[HOST_CAPSULE];
	struct nvme_sqe sqe = host_io(NVME_IO_READ, 1, slba, len / HOST_BLOCK);

	memset(back, 0, len);
	host_keyed(&sqe, NVME_SGL_KEYED_ADDRESS, back, len, HOST_KEY);
	assert_true(host_capsule(io, &sqe, NULL, 0));
	host_complete(io, UINT32_MAX);
	assert_int_equal(host_status(io, &sqe), 0);
	assert_memory_equal(back, memory + offset, len);
}

/* --------------------------------------------------------------------------------- data in capsules */

static void placed(void **state)
{
	struct rdma_device *device = host_device(0);
	uint64_t before = device->stats.placed_bytes, staged = device->stats.staged_bytes;
	struct nvme_sqe sqe = write_in_capsule(io, 2, 0, 0, PAGE);
	const struct cmd *cmd = list_first(&host_rq(io)->queue.live, struct cmd, link);
	uint64_t area = rdma_receive_offset(&workers[0]);

	(void)state;
	/* RDMA's area is behind that of the transport before it. */
	assert_int_equal(area, FAKE_MEMORY + WORKER_HEADERS + HOST_AREA);
	assert_int_equal(device->stats.placed_bytes - before, PAGE);
	assert_int_equal(device->stats.staged_bytes, staged);
	assert_int_equal(device->held, 1);
	assert_int_equal(host_receives(), HOST_RECEIVES - 1);
	assert_int_equal(cmd->data.n, 1);
	assert_int_equal(cmd->data.v->len, PAGE);
	assert_true(cmd->data.v->offset >= area + HOST_RECEIVES * sizeof(struct nvme_sqe) &&
		    cmd->data.v->offset + PAGE <= area + HOST_AREA);
	assert_memory_equal(span_ptr(cmd->data.v), memory, PAGE);
	assert_int_equal(io->n_sent, 0);
	host_release_io(io);
	/* The response need not have arrived: the data is on the disk. */
	assert_int_equal(host_status(io, &sqe), 0);
	assert_int_equal(io->n_sent, 1);
	assert_int_equal(device->held, 0);
	assert_int_equal(host_receives(), HOST_RECEIVES);
	host_complete(io, 1);
}

static void staged_when_half_is_held(void **state)
{
	struct rdma_device *device = host_device(0);
	uint64_t before_placed = device->stats.placed_bytes;
	uint64_t before_staged = device->stats.staged_bytes;

	(void)state;
	for (unsigned i = 1; i <= HALF + 8; i++) {
		write_in_capsule(io, 2, i * 8, 0, PAGE);
		assert_int_equal(device->held, MIN(i, (unsigned)HALF));
		assert_int_equal(host_receives(), HOST_RECEIVES - MIN(i, (unsigned)HALF));
	}
	assert_int_equal(device->stats.placed_bytes - before_placed, HALF * PAGE);
	assert_int_equal(device->stats.staged_bytes - before_staged, 8 * PAGE);
	host_release_io(io);
	assert_int_equal(io->n_sent, HALF + 8);
	assert_int_equal(device->held, 0);
	assert_true(device->held_max >= HALF && device->held_max <= device->n);
	host_complete(io, UINT32_MAX);
}

struct align_case {
	const char *name;
	uint32_t align, offset, len;
	bool placed;
};

static void alignment(void **state)
{
	static const struct align_case cases[] = {
		{ "any", 1, 4, 512, true },
		{ "page, all in step", PAGE, 0, PAGE, true },
		{ "page, second page", PAGE, PAGE, PAGE, true },
		{ "page, begins in between", PAGE, 512, PAGE, false },
		{ "page, ends in between", PAGE, 0, 512, false },
		{ "block", 512, 512, 1024, true },
		{ "block, begins in between", 512, 508, 512, false },
	};
	struct backend_limits *limits = &subsystems[1]->ns[1]->backend->limits;
	struct rdma_device *device = host_device(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct align_case *c = &cases[i];
		uint64_t was_placed = device->stats.placed_bytes;
		uint64_t was_staged = device->stats.staged_bytes;
		struct nvme_sqe sqe;

		limits->mem_align = c->align;
		sqe = write_in_capsule(io, 1, i * 16, c->offset, c->len);
		limits->mem_align = 1;
		assert_int_equal(host_status(io, &sqe), 0);
		host_complete(io, UINT32_MAX);
		if (device->stats.placed_bytes - was_placed != (c->placed ? c->len : 0) ||
		    device->stats.staged_bytes - was_staged != (c->placed ? 0 : c->len))
			fail_msg("%s: %s", c->name, c->placed ? "not placed" : "not staged");
		assert_int_equal(device->held, 0);
		assert_written(i * 16, c->offset, c->len);
	}
}

/* ------------------------------------------------------------------------------------------ buffers */

static void no_buffer(void **state)
{
	struct nvme_sqe sqes[THREE_QUARTERS], one_more, keyed = host_io(NVME_IO_WRITE, 1, 0, 8);

	(void)state;
	host_take_memory(0);
	for (unsigned i = 0; i < THREE_QUARTERS; i++) {
		sqes[i] = write_in_capsule(io, 1, i * 8, 0, PAGE);
		assert_int_equal(host_device(0)->held, i + 1);
	}
	assert_int_equal(io->n_sent, 0);
	/* A quarter is for others: what holds a receive does not wait any more, what holds none does. */
	one_more = write_in_capsule(io, 1, 0, 0, PAGE);
	assert_int_equal(host_status(io, &one_more), NVME_SC_TRANSIENT_TRANSPORT);
	/* A host that heeds delays is given one. */
	host_rq(io)->queue.ctrl->host_behavior[NVME_HOST_BEHAVIOR_ACRE] = 1;
	host_complete(io, UINT32_MAX);
	one_more = write_in_capsule(io, 1, 0, 0, PAGE);
	assert_int_equal(host_status(io, &one_more),
			 NVME_SC_TRANSIENT_TRANSPORT | NVME_STATUS_CRD1);
	assert_int_equal(host_device(0)->held, THREE_QUARTERS);
	assert_int_equal(host_receives(), HOST_RECEIVES - THREE_QUARTERS);
	host_keyed(&keyed, NVME_SGL_KEYED_ADDRESS, memory, PAGE, HOST_KEY);
	assert_true(host_capsule(io, &keyed, NULL, 0));
	assert_int_equal(host_status(io, &keyed), HOST_PENDING);
	host_complete(io, UINT32_MAX);
	host_put_memory();
	io->automatic = true;
	host_complete(io, UINT32_MAX);
	for (unsigned i = 0; i < THREE_QUARTERS; i++)
		assert_int_equal(host_status(io, &sqes[i]), 0);
	assert_int_equal(host_status(io, &keyed), 0);
	assert_int_equal(host_device(0)->held, 0);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

/* However much is sent to a disk that is stuck, another one's data finds receives and buffers. */
static void a_stuck_namespace(void **state)
{
	struct nvme_sqe sqe;

	(void)state;
	host_attach_more(admin, other, 2, 32);
	io->automatic = other->automatic = true;
	host_take_memory(64 * 1024);
	/* What is refused gives its slot back: the host sends and sends. */
	for (unsigned i = 0; i < 4 * DEPTH && host_rq(io)->queue.n_free > 1; i++)
		write_in_capsule(io, 2, (i % 256) * 16, 0, HOST_CAPSULE);
	assert_true(host_device(0)->held >= HALF);
	for (unsigned i = 0; i < 100; i++) {
		sqe = write_in_capsule(other, 1, i * 16, 0, HOST_CAPSULE);
		assert_int_equal(host_status(other, &sqe), 0);
	}
	host_put_memory();
	for (unsigned i = 0; i < DEPTH && host_rq(io)->queue.n_busy; i++)
		host_release_io(io);
	assert_int_equal(host_rq(io)->queue.n_busy, 0);
	assert_int_equal(host_device(0)->held, 0);
}

/* --------------------------------------------------------------------------------------- RDMA READs */

/* A write whose data is in @n pieces of host memory. */
static struct nvme_sqe write_of_pieces(unsigned n)
{
	struct nvme_sqe sqe = host_io(NVME_IO_WRITE, 1, 0, n);
	struct nvme_keyed_sgl descriptors[SGL_DESCRIPTORS];

	for (unsigned i = 0; i < n; i++)
		descriptors[i] = host_descriptor(NVME_SGL_KEYED_ADDRESS, memory + i * PAGE,
						 HOST_BLOCK, HOST_KEY);
	host_offset(&sqe, HOST_SEGMENT, 0, n * (uint32_t)sizeof(descriptors[0]));
	assert_true(host_capsule(io, &sqe, descriptors, n * (uint32_t)sizeof(descriptors[0])));
	return sqe;
}

static void reads_at_a_time(void **state)
{
	struct nvme_sqe sqes[3 * READS], big, after;

	(void)state;
	assert_int_equal(io->reads_max, READS);
	assert_int_equal(io->initiator_depth, READS);
	for (unsigned i = 0; i < ARRAY_SIZE(sqes); i++)
		sqes[i] = write_of_pieces(1);
	assert_int_equal(io->n_sent, READS);
	/* One comes, one goes: the response goes out beside it. */
	host_complete(io, 1);
	assert_int_equal(io->n_sent, READS + 2);
	assert_int_equal(io->reads, READS);
	io->automatic = true;
	host_complete(io, UINT32_MAX);
	for (unsigned i = 0; i < ARRAY_SIZE(sqes); i++)
		assert_int_equal(host_status(io, &sqes[i]), 0);
	assert_int_equal(io->max_reads, READS);

	/* More than that in one command: alone, and when nothing else is on its way. */
	host_by_hand(io);
	sqes[0] = write_of_pieces(1);
	big = write_of_pieces(2 * READS);
	after = write_of_pieces(1);
	assert_int_equal(io->n_sent, 1);
	host_complete(io, 1);
	assert_int_equal(io->reads, 2 * READS);
	assert_int_equal(host_status(io, &after), HOST_PENDING);
	host_complete(io, 2 * READS + 1);
	assert_int_equal(host_status(io, &big), 0);
	assert_int_equal(io->reads, 1);
	io->automatic = true;
	host_complete(io, UINT32_MAX);
	assert_int_equal(host_status(io, &after), 0);
	assert_int_equal(host_rq(io)->reads, 0);
	assert_int_equal(host_rq(io)->sq_used, 0);
}

/* A host that answers 255 RDMA READs at a time gets 16. */
static void reads_bounded(void **state)
{
	(void)state;
	host_connect(other, 2, 32, host_rq(admin)->queue.ctrl->cntlid, UINT8_MAX);
	assert_int_equal(other->reads_max, RDMA_READS);
	assert_int_equal(other->initiator_depth, RDMA_READS);
}

/* --------------------------------------------------------------------------------------- send queue */

static struct nvme_sqe read_of_pieces(uint32_t nsid, unsigned n)
{
	struct nvme_sqe sqe = host_io(NVME_IO_READ, nsid, 0, n);
	struct nvme_keyed_sgl descriptors[SGL_DESCRIPTORS];

	for (unsigned i = 0; i < n; i++)
		descriptors[i] = host_descriptor(NVME_SGL_KEYED_ADDRESS, memory + i * PAGE,
						 HOST_BLOCK, HOST_KEY);
	host_offset(&sqe, HOST_SEGMENT, 0, n * (uint32_t)sizeof(descriptors[0]));
	assert_true(host_capsule(io, &sqe, descriptors, n * (uint32_t)sizeof(descriptors[0])));
	return sqe;
}

enum { REQUESTS = SGL_DESCRIPTORS + 1 /* of the largest answer */ };

static void send_queue_is_not_overrun(void **state)
{
	const unsigned entries = host_rq(io)->sq_entries, fit = entries / REQUESTS;
	struct nvme_sqe sqes[DEPTH];
	unsigned rounds = 0;

	(void)state;
	assert_int_equal(entries, io->qp ? io->qp->entries : 0);
	assert_true(fit * 2 < DEPTH);
	for (unsigned i = 0; i < DEPTH; i++)
		sqes[i] = read_of_pieces(1, SGL_DESCRIPTORS);
	assert_int_equal(io->n_sent, fit * REQUESTS);
	/* Entries come back with the completion of what was signalled, of a whole command each. */
	host_complete(io, REQUESTS - 1);
	assert_int_equal(io->n_sent, fit * REQUESTS);
	host_complete(io, 1);
	assert_int_equal(io->n_sent, (fit + 1) * REQUESTS);
	while (io->n_done < io->n_sent && rounds++ < DEPTH)
		host_complete(io, UINT32_MAX);
	assert_int_equal(io->n_sent, DEPTH * REQUESTS);
	assert_true(io->max_used <= entries);
	for (unsigned i = 0; i < DEPTH; i++)
		assert_int_equal(host_status(io, &sqes[i]), 0);
	assert_int_equal(host_rq(io)->sq_used, 0);
	assert_int_equal(host_rq(io)->pending, 0);
}

/* All that a turn produced goes in as few calls as can be, none longer than RDMA_CHAIN. */
static void several_posts(void **state)
{
	enum { COMMANDS = 8, EACH = RDMA_CHAIN / REQUESTS };
	struct nvme_sqe sqes[COMMANDS];

	(void)state;
	for (unsigned i = 0; i < COMMANDS; i++)
		sqes[i] = read_of_pieces(2, SGL_DESCRIPTORS);
	assert_int_equal(io->n_sent, 0);
	host_release_io(io);
	assert_int_equal(io->n_sent, COMMANDS * REQUESTS);
	assert_int_equal(io->posts, (COMMANDS + EACH - 1) / EACH);
	for (unsigned i = 0; i < io->n_sent; i++) {
		assert_int_equal(io->sent[i].post, i / REQUESTS / EACH + 1);
		assert_int_equal(!!(io->sent[i].wr.send_flags & IBV_SEND_SIGNALED),
				 i % REQUESTS == REQUESTS - 1);
	}
	assert_int_equal(host_rq(io)->pending, COMMANDS);
	host_complete(io, UINT32_MAX);
	for (unsigned i = 0; i < COMMANDS; i++)
		assert_int_equal(host_status(io, &sqes[i]), 0);
	assert_int_equal(host_rq(io)->pending, 0);
}

/* ------------------------------------------------------------------------------------------ backlog */

static struct nvme_sqe flush(struct fake_peer *peer)
{
	struct nvme_sqe sqe = host_io(NVME_IO_FLUSH, 1, 0, 1);

	sqe.cdw12 = le32(0);
	assert_true(host_capsule(peer, &sqe, NULL, 0));
	return sqe;
}

enum { SHORT = 8 /* entries of `other` */ };

/* All slots of `other` wait for the host to take their responses, @more commands for the slots. */
static void fill(struct nvme_sqe *sqes, unsigned more)
{
	host_attach_more(admin, other, 2, SHORT);
	for (unsigned i = 0; i < SHORT + more; i++)
		sqes[i] = flush(other);
	assert_int_equal(other->n_sent, SHORT);
	assert_int_equal(host_rq(other)->n_backlog, more);
	assert_int_equal(host_device(0)->held, more);
	assert_int_equal(host_receives(), HOST_RECEIVES - more);
	assert_int_equal(timer_running(&host_rq(other)->patience), more != 0);
}

static void backlog_in_order(void **state)
{
	struct nvme_sqe sqes[2 * SHORT];

	(void)state;
	fill(sqes, SHORT);
	host_complete(other, 3);
	assert_int_equal(host_rq(other)->n_backlog, SHORT - 3);
	assert_int_equal(other->n_sent, SHORT + 3);
	while (other->n_done < other->n_sent)
		host_complete(other, 1);
	assert_int_equal(other->n_sent, 2 * SHORT);
	for (unsigned i = 0; i < 2 * SHORT; i++)
		assert_int_equal(le16_get(other->sent[i].cqe.cid), le16_get(sqes[i].cid));
	assert_false(timer_running(&host_rq(other)->patience));
	assert_int_equal(host_device(0)->held, 0);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

/* One that comes while others wait goes behind them, though a slot be free. */
static void backlog_is_not_overtaken(void **state)
{
	struct nvme_sqe sqes[SHORT + 2];

	(void)state;
	fill(sqes, 1);
	sqes[SHORT + 1] = host_io(NVME_IO_FLUSH, 1, 0, 1);
	sqes[SHORT + 1].cdw12 = le32(0);
	host_complete_and_capsule(other, &sqes[SHORT + 1]);
	host_complete(other, SHORT - 1);
	host_complete(other, UINT32_MAX);
	assert_int_equal(other->n_sent, SHORT + 2);
	for (unsigned i = 0; i < SHORT + 2; i++)
		assert_int_equal(le16_get(other->sent[i].cqe.cid), le16_get(sqes[i].cid));
}

static void backlog_is_bounded(void **state)
{
	struct nvme_sqe sqes[2 * SHORT];

	(void)state;
	fill(sqes, SHORT);
	flush(other);
	host_gone(other);
	assert_int_equal(other->n_sent, SHORT);
	assert_int_equal(host_device(0)->held, 0);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

/* When receives are short, a queue may have some of them, and others find the rest. */
static void backlog_has_its_share(void **state)
{
	enum { HELD = 40, MORE = 5 }; /* of the 24 left, a quarter: then there are 19 */
	struct nvme_sqe sqes[SHORT + MORE];

	(void)state;
	host_attach_more(admin, other, 2, SHORT);
	host_attach_more(admin, third, 3, SHORT);
	host_take_memory(0);
	for (unsigned i = 0; i < HELD; i++)
		write_in_capsule(io, 1, i * 8, 0, PAGE);
	for (unsigned i = 0; i < SHORT + MORE; i++)
		sqes[i] = flush(other);
	assert_int_equal(host_status(other, &sqes[SHORT - 1]), 0);
	assert_int_equal(host_rq(other)->n_backlog, MORE);
	assert_int_equal(host_device(0)->held, HELD + MORE);
	flush(other);
	host_gone(other);
	/* At once, not when its queue pair is gone. */
	assert_int_equal(host_device(0)->held, HELD);
	/* With less than a quarter left, a single one. */
	for (unsigned i = HELD; i < THREE_QUARTERS; i++)
		write_in_capsule(io, 1, i * 8, 0, PAGE);
	for (unsigned i = 0; i < SHORT + 1; i++)
		flush(third);
	assert_int_equal(host_rq(third)->n_backlog, 1);
	flush(third);
	host_gone(third);
	assert_int_equal(host_device(0)->held, THREE_QUARTERS);
	host_put_memory();
	io->automatic = true;
	host_complete(io, UINT32_MAX);
	host_settle();
}

static void patience(void **state)
{
	struct nvme_sqe sqes[SHORT + 2];
	struct rdma_queue *rq;
	uint64_t deadline;

	(void)state;
	fill(sqes, 2);
	rq = host_rq(other);
	deadline = rq->patience.deadline_ns;
	assert_true(deadline <= clock_now_ns() + RDMA_PATIENCE_MS * 1000000ull);
	/* Another one that waits is no progress. */
	usleep(1000);
	flush(other);
	assert_true(rq->patience.deadline_ns == deadline);
	/* A response that is taken is. */
	host_complete(other, 1);
	assert_int_equal(rq->n_backlog, 2);
	assert_true(rq->patience.deadline_ns > deadline);
	host_expire(other->worker, &rq->patience);
	host_gone(other);
	assert_int_equal(host_receives(), HOST_RECEIVES);
	/* The controller and its other queues have nothing to do with it. */
	assert_non_null(io->id);
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_OPEN);
}

static void before_connect(void **state)
{
	struct nvme_sqe connect, wait;

	(void)state;
	host_open(other, 2, SHORT, 16);
	connect = host_connect_sqe(2, SHORT, host_rq(admin)->queue.ctrl->cntlid);
	assert_true(host_capsule(other, &connect, NULL, 0));
	wait = flush(other);
	assert_int_equal(other->n_sent, 1);
	assert_int_equal(host_rq(other)->n_backlog, 1);
	host_complete(other, 1);
	assert_int_equal(host_status(other, &connect), 0);
	/* Its slot is one of those that Connect made, and it is begun when Connect's is free. */
	host_complete(other, 1);
	assert_int_equal(host_status(other, &wait), 0);
	host_complete(other, 1);
	assert_int_equal(host_rq(other)->n_backlog, 0);
}

static void before_connect_two(void **state)
{
	struct nvme_sqe connect;

	(void)state;
	host_open(other, 2, SHORT, 16);
	connect = host_connect_sqe(2, SHORT, host_rq(admin)->queue.ctrl->cntlid);
	assert_true(host_capsule(other, &connect, NULL, 0));
	flush(other);
	flush(other);
	host_gone(other);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

#define shares_test(function) cmocka_unit_test_setup_teardown(function, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		shares_test(placed),
		shares_test(staged_when_half_is_held),
		shares_test(alignment),
		shares_test(no_buffer),
		shares_test(a_stuck_namespace),
		shares_test(reads_at_a_time),
		shares_test(reads_bounded),
		shares_test(send_queue_is_not_overrun),
		shares_test(several_posts),
		shares_test(backlog_in_order),
		shares_test(backlog_is_not_overtaken),
		shares_test(backlog_is_bounded),
		shares_test(backlog_has_its_share),
		shares_test(patience),
		shares_test(before_connect),
		shares_test(before_connect_two),
	};

	return cmocka_run_group_tests(tests, host_group_setup, host_group_teardown);
}
