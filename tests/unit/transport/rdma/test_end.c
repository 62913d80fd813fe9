/* SPDX-License-Identifier: BSD-3-Clause */
/* Ends: commands in every state when a queue pair breaks, devices that are lost, connections that leave. */
#include <sys/mman.h>

#include "rdma_target.h"

enum { DEPTH = 32, READS = 2, PAGE = 4096 };

static struct fake_peer *const admin = &host_peers[0], *const io = &host_peers[1],
			       *const other = &host_peers[2];

static uint8_t memory[SGL_DESCRIPTORS * PAGE];

static int setup(void **state)
{
	host_setup(state);
	host_attach(admin, io, DEPTH, READS);
	return 0;
}

static struct nvme_sqe keyed(struct fake_peer *peer, uint8_t opcode, uint32_t nsid, uint64_t slba)
{
	struct nvme_sqe sqe = host_io(opcode, nsid, slba, PAGE / HOST_BLOCK);

	host_keyed(&sqe, NVME_SGL_KEYED_INVALIDATE, memory, PAGE, HOST_KEY);
	assert_true(host_capsule(peer, &sqe, NULL, 0));
	return sqe;
}

static struct nvme_sqe in_capsule(struct fake_peer *peer, uint32_t nsid, uint64_t slba)
{
	struct nvme_sqe sqe = host_io(NVME_IO_WRITE, nsid, slba, PAGE / HOST_BLOCK);

	host_offset(&sqe, NVME_SGL_DATA_OFFSET, 0, PAGE);
	assert_true(host_capsule(peer, &sqe, memory, PAGE));
	return sqe;
}

static struct nvme_sqe flush(struct fake_peer *peer)
{
	struct nvme_sqe sqe = host_io(NVME_IO_FLUSH, 1, 0, 1);

	sqe.cdw12 = le32(0);
	assert_true(host_capsule(peer, &sqe, NULL, 0));
	return sqe;
}

static struct nvme_sqe read_of_pieces(struct fake_peer *peer, uint32_t nsid)
{
	struct nvme_sqe sqe = host_io(NVME_IO_READ, nsid, 0, SGL_DESCRIPTORS);
	struct nvme_keyed_sgl descriptors[SGL_DESCRIPTORS];

	for (unsigned i = 0; i < SGL_DESCRIPTORS; i++)
		descriptors[i] = host_descriptor(NVME_SGL_KEYED_ADDRESS, memory + i * PAGE,
						 HOST_BLOCK, HOST_KEY);
	host_offset(&sqe, HOST_SEGMENT, 0, sizeof(descriptors));
	assert_true(host_capsule(peer, &sqe, descriptors, sizeof(descriptors)));
	return sqe;
}

/* --------------------------------------------------------------------------- every state, every way */

static void count_here(void *arg)
{
	unsigned *n = arg;

	list_for_each(cmd, &host_rq(io)->queue.live, struct cmd, link)
		n[cmd->state]++;
}

/* Commands of `io` in all states, some of them twice; what they hold of receives is 5. */
static void fill_all_states(void)
{
	unsigned n[CMD_STATES] = { 0 };
	struct rdma_queue *rq = host_rq(io);

	/* At the backend, with a buffer each, or a receive. */
	keyed(io, NVME_IO_WRITE, 2, 0);
	host_complete(io, 1);
	keyed(io, NVME_IO_READ, 2, 64);
	in_capsule(io, 2, 128);
	/* Their data is on its way, and will be. */
	for (unsigned i = 0; i < READS + 2; i++)
		keyed(io, NVME_IO_WRITE, 1, 0);
	/* The host has not taken the answers yet. */
	keyed(io, NVME_IO_READ, 1, 0);
	/* There is no buffer. */
	host_take_memory(0);
	in_capsule(io, 1, 0);
	keyed(io, NVME_IO_WRITE, 1, 0);
	/* There is no slot. */
	while (rq->queue.n_free)
		flush(io);
	for (unsigned i = 0; i < 3; i++)
		in_capsule(io, 1, 0);
	fake_on(io->worker, count_here, n);
	assert_int_equal(n[CMD_PARSED], 2);
	assert_int_equal(n[CMD_EXECUTING], 3);
	assert_int_equal(n[CMD_FETCHING], READS + 2);
	assert_int_equal(n[CMD_RESPONDING], DEPTH - READS - 7);
	assert_int_equal(rq->n_backlog, 3);
	assert_int_equal(host_device(0)->held, 5);
	assert_false(list_empty(&rq->fetches));
}

static void by_disconnect(void)
{
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
}

static void by_timewait(void)
{
	host_event(io, RDMA_CM_EVENT_TIMEWAIT_EXIT);
}

static void by_address_change(void)
{
	host_event(io, RDMA_CM_EVENT_ADDR_CHANGE);
}

/*
 * The host's end broke it: all is flushed before anybody here asked for that. People are told once, though
 * the requests come back before the event that says why.
 */
static void by_itself(void)
{
	int saved = dup(STDERR_FILENO), file = memfd_create("log", MFD_CLOEXEC);
	char text[1024] = "", *said;

	assert_true(saved >= 0 && file >= 0);
	dup2(file, STDERR_FILENO);
	host_flush(io);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_true(pread(file, text, sizeof(text) - 1, 0) > 0);
	close(file);
	said = strstr(text, "the queue pair broke");
	assert_non_null(said);
	assert_null(strstr(said + 1, "the queue pair broke"));
}

static void by_failed_request(void)
{
	host_fail(io, IBV_WC_RETRY_EXC_ERR);
}

static void by_access_error(void)
{
	host_fail(io, IBV_WC_REM_ACCESS_ERR);
}

static void by_short_capsule(void)
{
	host_message(io, memory, 1, IBV_WC_SUCCESS);
}

struct async {
	struct fake_peer *peer;
	enum ibv_event_type type;
};

static void async_here(void *arg)
{
	const struct async *async = arg;
	struct ibv_async_event event = { .event_type = async->type,
					 .element.qp = &async->peer->qp->qp };

	fake_async(fake_rnic_of(async->peer->qp->qp.context), &event);
}

static void async(struct fake_peer *peer, enum ibv_event_type type)
{
	struct async async = { peer, type };

	fake_on(peer->worker, async_here, &async);
	host_settle();
}

static void by_fatal_event(void)
{
	async(io, IBV_EVENT_QP_FATAL);
}

static void kill_here(void *arg)
{
	rdma_transport.kill(arg);
}

static void by_kill(void)
{
	fake_on(io->worker, kill_here, io->worker);
	host_settle();
	host_gone(admin);
}

struct way {
	const char *name;
	void (*end)(void);
};

static const struct way ways[] = {
	{ "the host disconnects", by_disconnect },
	{ "time wait is over", by_timewait },
	{ "the address moved", by_address_change },
	{ "it breaks by itself", by_itself },
	{ "a request fails", by_failed_request },
	{ "a request is refused", by_access_error },
	{ "the host breaks the rules", by_short_capsule },
	{ "the device says so", by_fatal_event },
	{ "the daemon kills it", by_kill }, /* last: its controller goes along */
};

/* CVE-2021-46983: the link goes down while responses are being sent. */
static void every_state(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		print_message("             %s\n", ways[i].name);
		if (i)
			host_attach_more(admin, io, 1, DEPTH);
		if (i)
			host_rq(io)->reads_max = READS;
		fill_all_states();
		ways[i].end();
		host_gone(io);
		assert_true(io->disconnects == 1);
		assert_null(io->qp);
		assert_int_equal(io->n_done, io->n_sent);
		host_put_memory();
		assert_int_equal(host_device(0)->held, 0);
		assert_int_equal(host_receives(), HOST_RECEIVES);
		assert_int_equal(workers[0].pool.free_bytes, FAKE_MEMORY);
	}
}

/* ------------------------------------------------------------------------------- what comes back */

static void flush_here(void *arg)
{
	struct fake_peer *peer = arg;

	fake_complete_one(peer, IBV_WC_WR_FLUSH_ERR);
}

/* The queue pair stays until the last of its requests and its last receive came back. */
static void waits_for_all(void **state)
{
	(void)state;
	io->keep_flush = true;
	keyed(io, NVME_IO_READ, 1, 0); /* two requests, of which one is to complete */
	keyed(io, NVME_IO_WRITE, 1, 0);
	flush(io);
	assert_int_equal(io->n_sent, 4);
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	assert_int_equal(host_rq(io)->state, RDMA_QUEUE_DEAD);
	assert_int_equal(host_rq(io)->pending, 3);
	for (unsigned i = 0; i < 4; i++) {
		assert_non_null(io->qp);
		fake_on(io->worker, flush_here, io);
		host_settle();
	}
	assert_int_equal(host_rq(io)->pending, 0);
	assert_non_null(io->qp);
	host_flush(io); /* the event alone */
	host_gone(io);
	assert_null(io->qp);
}

/* The event first, then the requests: also what completes only when it fails is waited for, uncounted. */
static void event_comes_first(void **state)
{
	(void)state;
	io->keep_flush = true;
	keyed(io, NVME_IO_READ, 1, 0);
	flush(io);
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	async(io, IBV_EVENT_QP_LAST_WQE_REACHED);
	for (unsigned i = 0; i < 3; i++) {
		assert_non_null(io->qp);
		fake_on(io->worker, flush_here, io);
		host_settle();
	}
	host_gone(io);
}

/* Data that was on its way and did not come is not written. */
static void flushed_data_is_not_written(void **state)
{
	static uint8_t before[PAGE], elsewhere[PAGE], after[PAGE];
	struct nvme_sqe sqe = host_io(NVME_IO_WRITE, 1, 512, PAGE / HOST_BLOCK);

	(void)state;
	memset(before, 0x5a, sizeof(before));
	memset(elsewhere, 0xa5, sizeof(elsewhere)); /* what the buffer then holds */
	io->automatic = true;
	host_keyed(&sqe, NVME_SGL_KEYED_ADDRESS, before, PAGE, HOST_KEY);
	assert_true(host_capsule(io, &sqe, NULL, 0));
	sqe.cdw10 = le32(1024);
	host_keyed(&sqe, NVME_SGL_KEYED_ADDRESS, elsewhere, PAGE, HOST_KEY);
	assert_true(host_capsule(io, &sqe, NULL, 0));
	assert_int_equal(host_status(io, &sqe), 0);
	host_by_hand(io);
	keyed(io, NVME_IO_WRITE, 1, 512);
	assert_int_equal(io->reads, 1);
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(io);
	host_attach_more(admin, io, 1, DEPTH);
	sqe = host_io(NVME_IO_READ, 1, 512, PAGE / HOST_BLOCK);
	host_keyed(&sqe, NVME_SGL_KEYED_ADDRESS, after, PAGE, HOST_KEY);
	assert_true(host_capsule(io, &sqe, NULL, 0));
	host_complete(io, 2);
	assert_memory_equal(after, before, PAGE);
}

static void never_comes_back(void **state)
{
	(void)state;
	io->keep_flush = true;
	fill_all_states();
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	assert_non_null(io->qp);
	assert_true(host_rq(io)->timer.deadline_ns <= clock_now_ns() + RDMA_FLUSH_MS * 1000000ull);
	host_expire(io->worker, &host_rq(io)->timer);
	host_gone(io);
	assert_true(io->n_done < io->n_sent);
	host_put_memory();
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

/*
 * What completes until the queue pair is destroyed is in the completion queue behind that, and is about
 * commands: more of it than is looked at in one turn.
 */
static void comes_late(void **state)
{
	enum { COMMANDS = 16 };

	(void)state;
	host_attach_more(admin, other, 2, 8 * COMMANDS);
	assert_true(COMMANDS * (SGL_DESCRIPTORS + 1) > RDMA_POLL_TURN);
	other->keep_flush = other->late_flush = true;
	for (unsigned i = 0; i < COMMANDS; i++)
		read_of_pieces(other, 1);
	assert_int_equal(other->n_sent, COMMANDS * (SGL_DESCRIPTORS + 1));
	host_event(other, RDMA_CM_EVENT_DISCONNECTED);
	host_expire(other->worker, &host_rq(other)->timer);
	host_gone(other);
	assert_int_equal(other->n_done, other->n_sent);
}

/* Capsules that come for a queue pair that is broken, with an error and without one. */
static void receives_of_the_dead(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_FLUSH, 1, 0, 1);
	uint64_t commands;

	(void)state;
	io->keep_flush = true;
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	commands = host_rq(io)->queue.stats.commands;
	assert_true(host_capsule(io, &sqe, NULL, 0));
	host_message(io, &sqe, sizeof(sqe), IBV_WC_WR_FLUSH_ERR);
	host_message(io, &sqe, 3, IBV_WC_SUCCESS);
	assert_int_equal(host_receives(), HOST_RECEIVES);
	assert_int_equal(host_rq(io)->queue.stats.commands, commands);
	host_flush(io);
	host_gone(io);
}

/* ------------------------------------------------------------------------------ posts that fail */

struct post_case {
	const char *name;
	unsigned room;	  /* requests that the device takes */
	unsigned pending; /* completions that are to come of these */
};

static void failing_post(void **state)
{
	enum { COMMANDS = 8, EACH = SGL_DESCRIPTORS + 1 };
	static const struct post_case cases[] = {
		{ "nothing is taken", 0, 0 },
		{ "data without its response", 5, 0 },
		{ "a command and a half", EACH + 5, 1 },
		{ "all but the last response of a chain", 3 * EACH - 1, 2 },
		{ "a chain, and some of the next", 3 * EACH + 1, 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("             %s\n", cases[i].name);
		host_attach_more(admin, other, 2, 128);
		for (unsigned n = 0; n < COMMANDS; n++)
			read_of_pieces(other, 2);
		other->keep_flush = true;
		other->room = cases[i].room;
		host_release_io(other);
		assert_int_equal(other->n_sent, cases[i].room);
		assert_int_equal(other->posts, cases[i].room > 3 * EACH ? 2 : 1);
		assert_int_equal(host_rq(other)->state, RDMA_QUEUE_DEAD);
		assert_int_equal(host_rq(other)->pending, cases[i].pending);
		host_flush(other);
		host_gone(other);
	}
}

static void failing_read(void **state)
{
	(void)state;
	io->room = 0;
	keyed(io, NVME_IO_WRITE, 1, 0);
	host_gone(io);
	assert_int_equal(io->n_sent, 0);
	assert_int_equal(workers[0].pool.free_bytes, FAKE_MEMORY);
}

/* ----------------------------------------------------------------------------------- lost devices */

/* Namespace 2 does not cancel either: what it has, it has. */
static struct backend_ops stubborn;

static void cancel_nothing(struct backend *backend, struct loop *loop, struct backend_io *io_)
{
	(void)backend;
	(void)loop;
	(void)io_;
}

static void make_stubborn(bool yes)
{
	struct backend *backend = subsystems[1]->ns[2]->backend;
	static const struct backend_ops *ops;

	if (!ops)
		ops = backend->ops;
	stubborn = *ops;
	stubborn.cancel = cancel_nothing;
	backend->ops = yes ? &stubborn : ops;
}

static void release_here(void *arg)
{
	struct rdma_queue *rq = arg;

	list_for_each(cmd, &rq->queue.live, struct cmd, link)
		if (timer_running(&cmd->io.timer))
			assert(!loop_timer_start(rdma_queue_loop(rq), &cmd->io.timer, 0));
}

/* A disk keeps memory of a connection that is no more: all of it, until it is done. */
static void a_disk_keeps_it(void **state)
{
	struct rdma_queue *rq = host_rq(io);

	(void)state;
	make_stubborn(true);
	in_capsule(io, 2, 0);
	keyed(io, NVME_IO_READ, 2, 64);
	host_event(io, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(io);
	assert_int_equal(host_device(0)->held, 1);
	assert_int_equal(host_receives(), HOST_RECEIVES - 1);
	assert_int_equal(rq->queue.n_busy, 2);
	assert_false(list_empty(&host_device(0)->queues));
	fake_on(&workers[0], release_here, rq);
	host_settle();
	host_settle();
	make_stubborn(false);
	assert_int_equal(host_receives(), HOST_RECEIVES);
	assert_int_equal(workers[0].pool.free_bytes, FAKE_MEMORY);
}

static void wait_closed(unsigned closed)
{
	for (unsigned tries = 0; __atomic_load_n(&fake_verbs.closed, __ATOMIC_ACQUIRE) != closed;
	     tries++) {
		host_settle();
		if (tries > 2000)
			fail_msg("the device is not closed");
		usleep(100);
	}
	host_settle();
}

static void lose_by_event(void)
{
	async(io, IBV_EVENT_DEVICE_FATAL);
}

static void lose_by_removal(void)
{
	host_event(io, RDMA_CM_EVENT_DEVICE_REMOVAL);
}

static void lose_by_receives(void)
{
	fake_verbs.receive_error = ENOMEM;
	flush(admin); /* is not valid there, and its receive comes back at once */
	fake_verbs.receive_error = 0;
}

static void lose_by_poll(void)
{
	fake_verbs.poll_error = EIO;
	host_settle();
	host_settle();
	host_gone(io);
	host_gone(admin);
	fake_verbs.poll_error = 0;
}

static void lose_by_notify(void)
{
	fake_verbs.notify_error = EIO;
	flush(io); /* and before it sleeps, the worker arms it */
	host_gone(io);
	host_gone(admin);
	fake_verbs.notify_error = 0;
}

static void device_is_lost(void **state)
{
	static const struct way losses[] = {
		{ "an event says so", lose_by_event },
		{ "it is removed", lose_by_removal },
		{ "it takes no receives", lose_by_receives },
		{ "its completions cannot be read", lose_by_poll },
		{ "it cannot be armed", lose_by_notify },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		unsigned closed = fake_verbs.closed;

		print_message("             %s\n", losses[i].name);
		if (i)
			host_attach(admin, io, DEPTH, READS);
		if (losses[i].end != lose_by_poll && losses[i].end != lose_by_notify)
			fill_all_states();
		/* Nothing comes back from it any more, and nobody waits for that. */
		io->keep_flush = admin->keep_flush = true;
		losses[i].end();
		assert_null(io->qp);
		host_gone(io);
		host_gone(admin);
		host_put_memory();
		wait_closed(closed + 1);
		assert_true(list_empty(&rdma_of(&workers[0])->devices));
		assert_int_equal(rdma_of(&workers[0])->parts_used, 0);
		assert_int_equal(fake_verbs.opened, closed + 1);
		assert_int_equal(workers[0].pool.free_bytes, FAKE_MEMORY);
		assert_int_equal(workers[0].connections, 0);
	}
	/* The next connection opens it again. */
	host_attach(admin, io, DEPTH, READS);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

/* A disk has data where it was received: until it is done, that is nobody else's. */
static void lost_with_a_receive_on_it(void **state)
{
	struct rdma_queue *rq = host_rq(io);
	unsigned closed = fake_verbs.closed;
	const struct private_request request = { .hrqsize = le16(32), .hsqsize = le16(31) };

	(void)state;
	make_stubborn(true);
	in_capsule(io, 2, 0);
	async(io, IBV_EVENT_DEVICE_FATAL);
	host_gone(io);
	host_gone(admin);
	usleep(1000);
	host_settle();
	assert_int_equal(host_device(0)->ops, 0);
	assert_int_equal(fake_verbs.closed, closed);
	assert_int_equal(rq->queue.n_busy, 1);
	host_request(other, &request, sizeof(request), READS);
	assert_true(other->rejected);
	assert_int_equal(other->sts, PRIVATE_NO_RESOURCES);
	fake_on(&workers[0], release_here, rq);
	wait_closed(closed + 1);
	make_stubborn(false);
	host_attach(admin, io, DEPTH, READS);
}

/* A disk has a buffer: that keeps the connection, and nobody from using the device again. */
static void lost_with_a_buffer_on_it(void **state)
{
	struct rdma_queue *rq = host_rq(io);
	unsigned closed = fake_verbs.closed;

	(void)state;
	make_stubborn(true);
	keyed(io, NVME_IO_READ, 2, 64);
	async(io, IBV_EVENT_DEVICE_FATAL);
	host_gone(io);
	host_gone(admin);
	wait_closed(closed + 1);
	assert_int_equal(rq->queue.n_busy, 1);
	assert_int_equal(rdma_of(&workers[0])->parts_used, 0);
	host_open(other, 0, DEPTH, READS);
	assert_int_equal(rdma_of(&workers[0])->parts_used, 1);
	assert_int_equal(rq->queue.n_busy, 1);
	fake_on(&workers[0], release_here, rq);
	host_settle();
	make_stubborn(false);
	host_attach(admin, io, DEPTH, READS);
	keyed(io, NVME_IO_READ, 1, 0);
	assert_int_equal(io->n_sent, 2);
}

/* -------------------------------------------------------------------------------------- leaving */

static struct nvme_sqe disconnect(struct fake_peer *peer)
{
	const struct nvmf_connect_cmd cmd = { .opcode = NVME_OPCODE_FABRICS,
					      .flags = NVME_PSDT_SGL,
					      .cid = le16(0x77),
					      .fctype = NVME_FCTYPE_DISCONNECT };
	struct nvme_sqe sqe;

	memcpy(&sqe, &cmd, sizeof(sqe));
	assert_true(host_capsule(peer, &sqe, NULL, 0));
	return sqe;
}

/* What was begun is answered, nothing is begun any more, and the last answer is taken before it ends. */
static void drained(void **state)
{
	struct nvme_sqe late, waiting, too_late, bye;

	(void)state;
	host_attach_more(admin, other, 2, 8);
	late = in_capsule(other, 2, 0);
	bye = disconnect(other);
	assert_int_equal(host_wait_status(other, &bye), 0);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_DRAINING);
	too_late = flush(other);
	host_complete(other, 1);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_DRAINING);
	assert_int_equal(other->disconnects, 0);
	host_release_io(other);
	assert_int_equal(host_status(other, &late), 0);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_DRAINING);
	host_complete(other, 1);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_LINGERING);
	assert_int_equal(other->disconnects, 1);
	waiting = flush(other);
	assert_int_equal(host_status(other, &waiting), HOST_PENDING);
	assert_int_equal(host_status(other, &too_late), HOST_PENDING);
	assert_int_equal(host_receives(), HOST_RECEIVES);
	host_event(other, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(other);
}

/* Commands that wait for slots were not begun: they give their receives back, and hosts send them again. */
static void drained_with_a_backlog(void **state)
{
	enum { SHORT = 4 };
	struct nvme_sqe waiting[2];

	(void)state;
	host_attach_more(admin, other, 2, SHORT);
	for (unsigned i = 1; i < SHORT; i++)
		flush(other);
	disconnect(other);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_DRAINING);
	host_event(other, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(other);

	host_attach_more(admin, other, 2, SHORT);
	for (unsigned i = 0; i < SHORT - 1; i++)
		flush(other);
	in_capsule(other, 2, 0);
	waiting[0] = flush(other);
	waiting[1] = flush(other);
	assert_int_equal(host_rq(other)->n_backlog, 2);
	fake_on(other->worker, (void (*)(void *))rdma_queue_drain, host_rq(other));
	host_settle();
	assert_int_equal(host_rq(other)->n_backlog, 0);
	assert_int_equal(host_receives(), HOST_RECEIVES - 1);
	host_complete(other, UINT32_MAX);
	host_release_io(other);
	host_complete(other, UINT32_MAX);
	assert_int_equal(host_status(other, &waiting[0]), HOST_PENDING);
	assert_int_equal(host_status(other, &waiting[1]), HOST_PENDING);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_LINGERING);
}

static void host_does_not_leave(void **state)
{
	(void)state;
	host_attach_more(admin, other, 2, 8);
	disconnect(other);
	host_complete(other, UINT32_MAX);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_LINGERING);
	assert_true(host_rq(other)->timer.deadline_ns <=
		    clock_now_ns() + RDMA_LINGER_MS * 1000000ull);
	host_expire(other->worker, &host_rq(other)->timer);
	host_gone(other);
}

static void no_connect(void **state)
{
	struct nvme_sqe connect;

	(void)state;
	assert_false(timer_running(&host_rq(io)->timer));
	host_open(other, 2, 8, 16);
	host_expire(other->worker, &host_rq(other)->timer);
	host_gone(other);
	/* Nor does it help to begin with it. */
	host_open(other, 2, 8, 16);
	connect = host_connect_sqe(2, 8, host_rq(admin)->queue.ctrl->cntlid);
	assert_true(host_capsule(other, &connect, NULL, 0));
	host_expire(other->worker, &host_rq(other)->timer);
	host_gone(other);
}

/* Connect for another queue than the connection was made for: answered, then closed. */
static void connect_refused(void **state)
{
	struct nvme_sqe connect;

	(void)state;
	host_open(other, 2, 8, 16);
	connect = host_connect_sqe(3, 8, host_rq(admin)->queue.ctrl->cntlid);
	assert_true(host_capsule(other, &connect, NULL, 0));
	host_complete(other, 1);
	assert_int_equal(host_status(other, &connect), DNR(NVME_SC_CONNECT_INVALID_PARAM));
	assert_int_equal(le32_get(other->sent[1].cqe.dw0), offsetof(struct nvmf_connect_cmd, qid));
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_DRAINING);
	host_complete(other, 1);
	assert_int_equal(host_rq(other)->state, RDMA_QUEUE_LINGERING);
	/* Deeper than the send queue was made for. */
	host_event(other, RDMA_CM_EVENT_DISCONNECTED);
	host_gone(other);
	host_open(other, 2, 8, 16);
	connect = host_connect_sqe(2, 9, host_rq(admin)->queue.ctrl->cntlid);
	assert_true(host_capsule(other, &connect, NULL, 0));
	host_complete(other, 1);
	assert_int_equal(host_status(other, &connect), DNR(NVME_SC_CONNECT_INVALID_PARAM));
	assert_int_equal(le32_get(other->sent[1].cqe.dw0),
			 offsetof(struct nvmf_connect_cmd, sqsize));
}

#define end_test(function) cmocka_unit_test_setup_teardown(function, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		end_test(every_state),
		end_test(waits_for_all),
		end_test(event_comes_first),
		end_test(never_comes_back),
		end_test(flushed_data_is_not_written),
		end_test(comes_late),
		end_test(receives_of_the_dead),
		end_test(failing_post),
		end_test(failing_read),
		end_test(a_disk_keeps_it),
		end_test(device_is_lost),
		end_test(lost_with_a_receive_on_it),
		end_test(lost_with_a_buffer_on_it),
		end_test(drained),
		end_test(drained_with_a_backlog),
		end_test(host_does_not_leave),
		end_test(no_connect),
		end_test(connect_refused),
	};

	return cmocka_run_group_tests(tests, host_group_setup, host_group_teardown);
}
