/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy sends, with the test in the kernel's place: it takes the requests off a ring that never
 * runs, says what became of them, and watches the pages that it would still be sending from.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "transport/tcp/tcp.h"
#include "unit.h"

enum {
	AREA_BYTES = 16 << 20,
	DEPTH = 256,
	ZC_MIN = 16384,
	LARGE = 65536,
	SENDS_MAX = TCP_ZC_SENDS + 8,
	COPIED = (int)IORING_NOTIF_USAGE_ZC_COPIED,
	MORE = IORING_CQE_F_MORE,
	NOTIF = IORING_CQE_F_NOTIF,
};

/* A request that the ring got. */
struct sent {
	struct op *op;
	bool zc, eor;
	uint32_t len;
	struct iovec iov[TCP_TX_IOVS];
	int n_iov;
	uint8_t *copy; /* of what it was when it was sent */
};

struct rig {
	struct worker worker;
	struct tcp_worker tcp;
	struct config_listener config;
	struct listener listener;
	uint64_t pool_free; /* with nothing in flight */
};

static struct rig *rig;

/* --------------------------------------------------------------------------------------------- rig */

static int rig_open(void **state)
{
	const struct loop_options options = { .sq_entries = 1024, .cq_entries = 1024, .fixed_files = 1 };
	const struct area_spec spec = { .name = "test", .size = AREA_BYTES, .needs = AREA_FACE_CPU };

	(void)state;
	rig = calloc(1, sizeof(*rig));
	assert_int_equal(loop_init(&rig->worker.loop, &options), 0);
	assert_int_equal(area_create(&rig->worker.area, "anon", &spec), 0);
	rig->worker.headers =
		(struct span){ &rig->worker.area, AREA_BYTES - WORKER_HEADERS, WORKER_HEADERS };
	assert_int_equal(pool_init(&rig->worker.pool, &rig->worker.area, 0,
				   AREA_BYTES - WORKER_HEADERS), 0);
	if (area_register_fixed(&rig->worker.area, &rig->worker.loop, 0)) {
		print_message("no fixed buffers: %s\n", rig->worker.area.why_not);
		exit(UNIT_SKIPPED);
	}
	list_init(&rig->worker.queues);
	list_init(&rig->worker.queues_hungry);
	list_init(&rig->worker.urgent_waiters);
	list_init(&rig->worker.urgent_full);
	list_init(&rig->worker.queues_waiting);
	rig->tcp.worker = &rig->worker;
	list_init(&rig->tcp.conns);
	list_init(&rig->tcp.dirty);
	assert_int_equal(zc_worker_init(&rig->tcp), 0);
	rig->tcp.zc_fixed = true; /* whatever pages the test got */
	rig->listener.config = &rig->config;
	rig->listener.ops = &tcp_transport;
	rig->pool_free = rig->worker.pool.free_bytes;
	return 0;
}

static int rig_close(void **state)
{
	(void)state;
	/* All is back where it came from, whatever the test did. */
	assert_int_equal(rig->tcp.zc_n_free, TCP_ZC_SENDS);
	assert_int_equal(rig->worker.pool.free_bytes, rig->pool_free);
	zc_worker_fini(&rig->tcp);
	loop_fini(&rig->worker.loop);
	rig->worker.area.fixed_index = AREA_NOT_FIXED; /* its table is gone with the ring */
	pool_fini(&rig->worker.pool);
	area_destroy(&rig->worker.area);
	free(rig);
	return 0;
}

/* Nothing comes: receives would be among the requests of the ring. */
static void arm_none(struct conn *conn)
{
	(void)conn;
}

static struct conn *conn_make(void)
{
	static struct byte_source source;
	struct conn *conn = calloc(1, sizeof(*conn));

	source = source_recv;
	source.arm = arm_none;

	queue_init(&conn->queue, &tcp_transport, &rig->listener, &rig->worker, &conn->slot0.cmd);
	assert_int_equal(queue_set_depth(&conn->queue, DEPTH), 0);
	conn->tcp = &rig->tcp;
	conn->fd = -1;
	conn->c2h_pdo = pdu_c2h_pdo(false, 0);
	conn->source = &source;
	conn->held.buffer = -1;
	conn->zc.min = ZC_MIN;
	list_init(&conn->r2t_wait);
	list_init(&conn->r2t_send);
	list_init(&conn->tx_ready);
	list_init(&conn->dirty_link);
	timer_init(&conn->timer, NULL);
	list_add_tail(&rig->tcp.conns, &conn->worker_link);
	return conn;
}

/* The end of a turn. */
static void turn(void)
{
	struct list *node;

	while ((node = list_pop(&rig->tcp.dirty)))
		conn_turn(list_entry(node, struct conn, dirty_link));
}

/* Nothing of it is left: it goes as its own transport would have it go. */
static void conn_end(struct conn *conn)
{
	conn_dead(conn);
	turn();
	assert_true(conn->gone);
	queue_serve_waiters(&rig->worker);
}

/* A command that was read and is to be answered, @len bytes of a pattern of its own; 0: without data. */
static struct cmd *respond(struct conn *conn, uint32_t len, enum cmd_memory memory)
{
	struct cmd *cmd = queue_cmd_get(&conn->queue);
	uint64_t before = rig->worker.pool.free_bytes;
	static uint8_t seed;

	assert_non_null(cmd);
	cmd->sqe.cid = le16(cmd->tag);
	cmd->cqe = (struct nvme_cqe){ .cid = cmd->sqe.cid };
	cmd->direction = len ? CMD_DATA_TO_HOST : CMD_DATA_NONE;
	cmd->data_len = len;
	cmd->memory = len ? (uint8_t)memory : CMD_MEMORY_NONE;
	cmd->scratch.area = NULL;
	cmd->ended = NULL;
	list_init(&tcp_cmd_of(cmd)->tx_link);
	list_init(&tcp_cmd_of(cmd)->r2t_link);
	spanv_init(&cmd->data, &cmd->span0, 1);
	if (len) {
		assert_int_equal(pool_get(&rig->worker.pool, len, &cmd->span0), 0);
		memset(span_ptr(&cmd->span0), ++seed, len);
		cmd->data.n = 1;
		cmd->data.len = len;
	}
	conn->queue.memory_bytes += before - rig->worker.pool.free_bytes;
	cmd_set_state(cmd, CMD_PARSED);
	cmd_set_state(cmd, CMD_EXECUTING);
	cmd_set_state(cmd, CMD_RESPONDING);
	conn_respond(cmd);
	return cmd;
}

static bool sent_any(void)
{
	return rig->worker.loop.ring.sq.sqe_tail;
}

/* The one request that the ring got; fails when there is none or more. */
static struct sent sent_take(void)
{
	struct io_uring *ring = &rig->worker.loop.ring;
	struct io_uring_sqe *sqe;
	const struct msghdr *msg;
	struct sent sent = { 0 };

	assert_int_equal(ring->sq.sqe_tail, 1);
	sqe = &ring->sq.sqes[0];
	ring->sq.sqe_tail = 0;
	sent.op = (struct op *)(uintptr_t)sqe->user_data;
	sent.zc = sqe->opcode == IORING_OP_SENDMSG_ZC;
	assert_true(sent.zc || sqe->opcode == IORING_OP_SENDMSG);
	if (sent.zc) {
		assert_int_equal(sqe->ioprio,
				 IORING_SEND_ZC_REPORT_USAGE |
					 (rig->tcp.zc_fixed ? IORING_RECVSEND_FIXED_BUF : 0));
		assert_int_equal(sqe->buf_index,
				 rig->tcp.zc_fixed ? rig->worker.area.fixed_index : 0);
	}
	assert_int_equal(sqe->msg_flags & ~MSG_EOR, MSG_WAITALL | MSG_NOSIGNAL);
	sent.eor = sqe->msg_flags & MSG_EOR;
	assert_true(sent.zc || !sent.eor);
	msg = (const struct msghdr *)(uintptr_t)sqe->addr;
	sent.n_iov = (int)msg->msg_iovlen;
	memcpy(sent.iov, msg->msg_iov, (size_t)sent.n_iov * sizeof(struct iovec));
	for (int i = 0; i < sent.n_iov; i++)
		sent.len += (uint32_t)sent.iov[i].iov_len;
	sent.copy = malloc(sent.len);
	for (int i = 0, at = 0; i < sent.n_iov; at += (int)sent.iov[i++].iov_len) {
		const char *base = rig->worker.area.base, *p = sent.iov[i].iov_base;

		/* All of it is in the registered buffer. */
		assert_true(!sent.zc || (p >= base && p + sent.iov[i].iov_len <= base + AREA_BYTES));
		memcpy(sent.copy + at, p, sent.iov[i].iov_len);
	}
	return sent;
}

/* Cancels go nowhere here. */
static void cancels_drop(void)
{
	struct io_uring *ring = &rig->worker.loop.ring;

	for (; ring->sq.sqe_tail; ring->sq.sqe_tail--)
		assert_int_equal(ring->sq.sqes[ring->sq.sqe_tail - 1].opcode,
				 IORING_OP_ASYNC_CANCEL);
}

/* What the pages hold is what TCP might have to send again. */
static void pages_check(const struct sent *sent)
{
	for (int i = 0, at = 0; i < sent->n_iov; at += (int)sent->iov[i++].iov_len)
		assert_memory_equal(sent->copy + at, sent->iov[i].iov_base, sent->iov[i].iov_len);
}

static void complete(struct sent *sent, int res, uint32_t flags)
{
	if (sent->zc)
		pages_check(sent);
	sent->op->done(sent->op, res, flags);
	if (!(flags & MORE)) {
		free(sent->copy);
		sent->copy = NULL;
	}
	turn();
}

/* Takes one send of @conn that has to be of this kind, all of it. */
static struct sent take_whole(bool zc)
{
	struct sent sent = sent_take();

	assert_int_equal(sent.zc, zc);
	complete(&sent, (int)sent.len, zc ? MORE : 0);
	return sent;
}

/* ------------------------------------------------------------------------------------------- cases */

static void held_until_notified(void **state)
{
	struct conn *conn = conn_make();
	struct sent first, second;

	(void)state;
	respond(conn, LARGE, CMD_MEMORY_POOL);
	respond(conn, 4096, CMD_MEMORY_POOL); /* goes along */
	turn();
	first = sent_take();
	assert_true(first.zc);
	assert_int_equal(first.len, LARGE + 4096 + 2 * (PDU_HLEN_DATA + PDU_HLEN_RSP));
	respond(conn, LARGE, CMD_MEMORY_POOL);
	turn();
	assert_false(sent_any()); /* one at a time */
	complete(&first, (int)first.len, MORE);
	second = take_whole(true); /* but no waiting for a notification */
	assert_int_equal(conn->queue.n_busy, 3);
	complete(&second, 0, NOTIF); /* in any order */
	assert_int_equal(conn->queue.n_busy, 2);
	complete(&first, 0, NOTIF);
	assert_int_equal(conn->queue.n_busy, 0);
	assert_int_equal(conn->zc.bytes, 2 * LARGE + 4096);
	assert_int_equal(conn->zc.copied_bytes, 0);
	conn_end(conn);
}

static void huge_pages_by_their_addresses(void **state)
{
	struct conn *conn = conn_make();
	struct sent sent;

	(void)state;
	rig->tcp.zc_fixed = false;
	respond(conn, LARGE, CMD_MEMORY_POOL);
	turn();
	sent = take_whole(true);
	complete(&sent, 0, NOTIF);
	assert_int_equal(conn->queue.n_busy, 0);
	conn_end(conn);
}

static void only_what_is_worth_it(void **state)
{
	struct conn *conn = conn_make();
	struct sent sent;

	(void)state;
	respond(conn, 0, CMD_MEMORY_NONE);
	turn();
	take_whole(false);
	respond(conn, ZC_MIN - 512, CMD_MEMORY_POOL);
	turn();
	take_whole(false);
	respond(conn, ZC_MIN, CMD_MEMORY_POOL);
	turn();
	sent = take_whole(true);
	complete(&sent, 0, NOTIF);
	conn->zc.min = 0;
	respond(conn, LARGE, CMD_MEMORY_POOL);
	turn();
	take_whole(false);
	assert_int_equal(conn->queue.n_busy, 0);
	conn_end(conn);
}

static void memory_of_a_backend_is_copied(void **state)
{
	struct conn *conn = conn_make();
	struct sent sent;
	struct cmd *cmd;
	struct span span;

	(void)state;
	/* By itself: what is not copied keeps leaving from its pages. */
	respond(conn, LARGE, CMD_MEMORY_POOL);
	cmd = respond(conn, LARGE, CMD_MEMORY_POOL);
	span = cmd->span0;
	cmd->memory = CMD_MEMORY_MAPPED;
	turn();
	sent = take_whole(true);
	assert_int_equal(sent.len, LARGE + PDU_HLEN_DATA + PDU_HLEN_RSP);
	take_whole(false);
	assert_int_equal(conn->queue.n_busy, 1);
	complete(&sent, 0, NOTIF);
	assert_int_equal(conn->queue.n_busy, 0);
	assert_int_equal(conn->queue.memory_bytes, LARGE);
	conn->queue.memory_bytes = 0;
	pool_put(&rig->worker.pool, &span);
	conn_end(conn);
}

/* What does not fit the page for headers. */
static void many_headers_are_copied(void **state)
{
	struct conn *conn = conn_make();
	struct sent sent;

	(void)state;
	for (unsigned i = 0; i < TCP_ZC_HEADERS / PDU_HLEN_RSP; i++)
		respond(conn, 0, CMD_MEMORY_NONE);
	respond(conn, LARGE, CMD_MEMORY_POOL);
	turn();
	take_whole(false);
	assert_int_equal(conn->queue.n_busy, 0);
	for (unsigned i = 0; i < (TCP_ZC_HEADERS - PDU_HLEN_DATA) / PDU_HLEN_RSP - 1; i++)
		respond(conn, 0, CMD_MEMORY_NONE);
	respond(conn, LARGE, CMD_MEMORY_POOL);
	turn();
	sent = take_whole(true);
	complete(&sent, 0, NOTIF);
	conn_end(conn);
}

/* The rest of a partial or failed send goes by an ordinary one; memory waits for both. */
static void rest_goes_by_ordinary_send(void **state)
{
	static const int results[] = { 1, 24, 4096, LARGE, -ENOMEM, -ENOBUFS, -EOPNOTSUPP, -EPIPE };

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(results); i++) {
		struct conn *conn = conn_make();
		int res = results[i / 2];
		uint32_t done = res > 0 ? (uint32_t)res : 0;
		struct sent zc, rest;

		respond(conn, LARGE, CMD_MEMORY_POOL);
		turn();
		zc = sent_take();
		complete(&zc, res, MORE);
		rest = sent_take();
		assert_false(rest.zc);
		assert_int_equal(rest.len, zc.len - done);
		assert_memory_equal(rest.copy, zc.copy + done, rest.len);
		if (i % 2) {
			complete(&zc, res > 0 ? 0 : COPIED, NOTIF);
			assert_int_equal(conn->queue.n_busy, 1);
			complete(&rest, (int)rest.len, 0);
		} else {
			complete(&rest, (int)rest.len, 0);
			assert_int_equal(conn->queue.n_busy, 1);
			complete(&zc, res > 0 ? 0 : COPIED, NOTIF);
		}
		assert_int_equal(conn->queue.n_busy, 0);
		assert_int_equal(conn->state, CONN_OPEN);
		assert_int_equal(conn->zc.bytes, done);
		assert_int_equal(conn->zc.copied_bytes, 0);
		conn_end(conn);
	}
}

/* A request that the kernel never began has no notification. */
static void no_notification_to_come(void **state)
{
	struct conn *conn = conn_make();
	struct sent zc;

	(void)state;
	respond(conn, LARGE, CMD_MEMORY_POOL);
	turn();
	zc = sent_take();
	complete(&zc, -EINVAL, 0);
	take_whole(false);
	assert_int_equal(conn->queue.n_busy, 0);
	conn_end(conn);
}

/* The kernel notifies of a chain when all of it is through, so none may go on for ever. */
static void chains_end(void **state)
{
	struct conn *conn = conn_make();
	struct sent sents[3 * TCP_ZC_CHAIN / LARGE];
	unsigned n_eor = 0;
	uint32_t chain = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sents); i++) {
		respond(conn, LARGE, CMD_MEMORY_POOL);
		turn();
		sents[i] = take_whole(true);
		chain += sents[i].len;
		assert_int_equal(sents[i].eor, chain >= TCP_ZC_CHAIN);
		n_eor += sents[i].eor;
		if (sents[i].eor)
			chain = 0;
	}
	assert_in_range(n_eor, 2, 3);
	for (unsigned i = 0; i < ARRAY_SIZE(sents); i++)
		complete(&sents[i], 0, NOTIF);
	for (unsigned i = 0; i < 3; i++) { /* one that is large by itself is alone */
		respond(conn, 2 * TCP_ZC_CHAIN, CMD_MEMORY_POOL);
		turn();
		sents[i] = take_whole(true);
		assert_true(sents[i].eor);
		complete(&sents[i], 0, NOTIF);
	}
	conn_end(conn);
}

/* One large read and its notification; whether it went by zero-copy. */
static bool read_goes_zc(struct conn *conn, int usage)
{
	struct sent sent;

	respond(conn, LARGE, CMD_MEMORY_POOL);
	turn();
	sent = sent_take();
	complete(&sent, (int)sent.len, sent.zc ? MORE : 0);
	if (sent.zc)
		complete(&sent, usage, NOTIF);
	return sent.zc;
}

static void gives_up_on_copies(void **state)
{
	struct conn *conn = conn_make();
	uint64_t *now_ns = &rig->worker.loop.now_ns;

	(void)state;
	for (unsigned i = 0; i < 100; i++) /* some are copied, such as on a path's change */
		assert_true(read_goes_zc(conn, i % TCP_ZC_COPIED ? COPIED : 0));
	assert_true(read_goes_zc(conn, 0));
	for (unsigned i = 0; i < TCP_ZC_COPIED; i++)
		assert_true(read_goes_zc(conn, COPIED));
	for (unsigned tries = 0; tries < 3; tries++) {
		assert_false(read_goes_zc(conn, 0));
		*now_ns += TCP_ZC_AGAIN_S * 1000000000ull - 1;
		assert_false(read_goes_zc(conn, 0));
		*now_ns += 1;
		assert_true(read_goes_zc(conn, COPIED)); /* one, and no more */
	}
	assert_false(read_goes_zc(conn, 0));
	*now_ns += TCP_ZC_AGAIN_S * 1000000000ull;
	for (unsigned i = 0; i < 100; i++)
		assert_true(read_goes_zc(conn, 0));
	conn_end(conn);
}

/* With data digests: a buffer of its own is for what is sent from it, and else no read needs one. */
static void reads_are_mapped_while_it_is_not_tried(void **state)
{
	struct conn *conn = conn_make();
	uint64_t *now_ns = &rig->worker.loop.now_ns;

	(void)state;
	conn->ddgst = true;
	stage_init(conn);
	assert_int_equal(conn->queue.map_reads, ZC_MIN - 1);
	for (unsigned i = 0; i < TCP_ZC_COPIED; i++)
		assert_true(read_goes_zc(conn, COPIED));
	assert_false(read_goes_zc(conn, 0));
	assert_int_equal(conn->queue.map_reads, UINT32_MAX);
	*now_ns += TCP_ZC_AGAIN_S * 1000000000ull;
	assert_true(read_goes_zc(conn, 0));
	assert_int_equal(conn->queue.map_reads, ZC_MIN - 1);
	conn_end(conn);
}

/* What would go without a copy, and does not, leaves with a backend's memory in one send. */
static void share_is_used_up(struct conn *conn)
{
	struct cmd *cmd = respond(conn, ZC_MIN, CMD_MEMORY_POOL);
	struct span span = cmd->span0;
	struct sent sent;

	cmd->memory = CMD_MEMORY_MAPPED;
	respond(conn, ZC_MIN, CMD_MEMORY_POOL);
	turn();
	sent = take_whole(false);
	assert_int_equal(sent.len, 2 * (ZC_MIN + PDU_HLEN_DATA + PDU_HLEN_RSP));
	conn->queue.memory_bytes -= ZC_MIN;
	pool_put(&rig->worker.pool, &span);
}

/* Peers that do not read: each gets its share, and ordinary sends go on. */
static void bound_is_shared(void **state)
{
	struct conn *conns[4];
	struct sent sends[4][SENDS_MAX];
	unsigned n[4] = { 0 };

	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(conns); c++) {
		conns[c] = conn_make();
		for (;;) {
			respond(conns[c], ZC_MIN, CMD_MEMORY_POOL);
			turn();
			sends[c][n[c]] = sent_take();
			if (!sends[c][n[c]].zc)
				break;
			complete(&sends[c][n[c]], (int)sends[c][n[c]].len, MORE);
			n[c]++;
		}
		complete(&sends[c][n[c]], (int)sends[c][n[c]].len, 0);
		share_is_used_up(conns[c]);
	}
	assert_int_equal(n[0], TCP_ZC_SENDS / 2);
	for (unsigned c = 1; c < ARRAY_SIZE(conns); c++)
		assert_true(n[c] > 0 && n[c] < n[c - 1]);
	complete(&sends[0][0], 0, NOTIF); /* any of them that comes back is taken by who has few */
	respond(conns[3], ZC_MIN, CMD_MEMORY_POOL);
	turn();
	sends[3][n[3]++] = take_whole(true);
	for (unsigned c = 0; c < ARRAY_SIZE(conns); c++) {
		for (unsigned i = c == 0; i < n[c]; i++)
			complete(&sends[c][i], 0, NOTIF);
		conn_end(conns[c]);
	}
}

/* A dead connection waits for what the kernel still reads, in whatever order it ends. */
static void dead_waits_for_notifications(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 4; order++) {
		struct conn *conn = conn_make();
		struct sent first, second;
		uint64_t free_bytes;

		respond(conn, LARGE, CMD_MEMORY_POOL);
		turn();
		first = take_whole(true);
		respond(conn, LARGE, CMD_MEMORY_POOL);
		respond(conn, 0, CMD_MEMORY_NONE);
		turn();
		second = sent_take();
		respond(conn, LARGE, CMD_MEMORY_POOL); /* never sent */
		free_bytes = rig->worker.pool.free_bytes;
		conn_dead(conn);
		assert_true(timer_running(&conn->timer));
		cancels_drop();
		turn();
		if (order & 1)
			complete(&first, 0, NOTIF);
		complete(&second, order & 2 ? -ECANCELED : 4096, MORE);
		assert_false(sent_any());
		assert_false(conn->gone);
		assert_int_equal(rig->worker.pool.free_bytes, free_bytes);
		complete(&second, 0, NOTIF);
		if (!(order & 1)) {
			assert_false(conn->gone);
			complete(&first, 0, NOTIF);
		}
		assert_true(conn->gone);
		assert_false(timer_running(&conn->timer));
		assert_int_equal(rig->worker.pool.free_bytes, rig->pool_free);
		queue_serve_waiters(&rig->worker);
	}
}

/* An ordinary send that fails ends the connection, and what was sent before is still held. */
static void death_by_the_rest(void **state)
{
	struct conn *conn = conn_make();
	struct sent zc, rest;

	(void)state;
	respond(conn, LARGE, CMD_MEMORY_POOL);
	turn();
	zc = sent_take();
	complete(&zc, 4096, MORE);
	rest = sent_take();
	complete(&rest, -EPIPE, 0);
	assert_int_equal(conn->state, CONN_DEAD);
	assert_false(conn->gone);
	assert_int_equal(conn->queue.n_busy, 1);
	complete(&zc, 0, NOTIF);
	assert_true(conn->gone);
	queue_serve_waiters(&rig->worker);
}

/* A drained connection closes when the pages are no longer needed. */
static void drain_waits_for_notifications(void **state)
{
	struct conn *conn = conn_make();
	struct sent zc;

	(void)state;
	respond(conn, LARGE, CMD_MEMORY_POOL);
	conn_drain(conn);
	turn();
	zc = take_whole(true);
	assert_int_equal(conn->state, CONN_DRAINING);
	complete(&zc, 0, NOTIF);
	assert_int_equal(conn->state, CONN_LINGERING);
	conn_end(conn);
}

/* The next receive is armed once, behind the answers to what the last one brought. */
static void receives_behind_what_is_sent(void **state)
{
	struct io_uring *ring = &rig->worker.loop.ring;
	struct conn *conn = conn_make();

	(void)state;
	conn->source = &source_recv;
	rx_init(&conn->rx, &conn_rx_ops);
	conn_touch(conn);
	turn();
	assert_int_equal(ring->sq.sqe_tail, 1);
	assert_int_equal(ring->sq.sqes[0].opcode, IORING_OP_RECV);
	ring->sq.sqe_tail = 0;
	conn->rx_op.done(&conn->rx_op, 1, 0);
	assert_false(conn->rx_armed);
	respond(conn, 0, CMD_MEMORY_NONE);
	turn();
	assert_int_equal(ring->sq.sqe_tail, 2);
	assert_int_equal(ring->sq.sqes[0].opcode, IORING_OP_SENDMSG);
	assert_int_equal(ring->sq.sqes[1].opcode, IORING_OP_RECV);
	ring->sq.sqe_tail = 0;
	conn_touch(conn);
	turn();
	assert_false(sent_any());
	conn->tx_op.done(&conn->tx_op, (int)conn->tx.left, 0);
	conn->rx_op.done(&conn->rx_op, -ECONNRESET, 0);
	turn();
	assert_true(conn->gone);
	queue_serve_waiters(&rig->worker);
}

/* ---------------------------------------------------------------------------------- random histories */

struct history {
	struct conn *conn;
	struct unit_random random;
	struct sent sending;
	bool busy;
	struct sent waiting[TCP_ZC_SENDS];
	unsigned n_waiting;
};

static void history_take(struct history *h)
{
	int res = (int)h->sending.len, failure = (int)unit_random_below(&h->random, 8);
	struct sent sent = h->sending;

	if (failure == 0)
		res = 1 + (int)unit_random_below(&h->random, sent.len);
	if (failure == 1 && sent.zc)
		res = -ENOMEM;
	h->busy = false;
	if (sent.zc)
		h->waiting[h->n_waiting++] = sent;
	complete(&sent, res, sent.zc ? MORE : 0);
}

static void history_notify(struct history *h)
{
	unsigned i = unit_random_below(&h->random, h->n_waiting);
	struct sent sent = h->waiting[i];

	h->waiting[i] = h->waiting[--h->n_waiting];
	complete(&sent, unit_random_below(&h->random, 4) ? 0 : COPIED, NOTIF);
}

static void history_step(struct history *h)
{
	switch (unit_random_below(&h->random, 3)) {
	case 0:
		if (h->conn->queue.n_busy < 64)
			respond(h->conn, 512 * unit_random_below(&h->random, 200), CMD_MEMORY_POOL);
		turn();
		break;
	case 1:
		if (h->busy)
			history_take(h);
		break;
	default:
		if (h->n_waiting)
			history_notify(h);
	}
	if (sent_any()) {
		assert_false(h->busy);
		h->sending = sent_take();
		h->busy = true;
	}
	h->conn->zc.again_ns = 0;
}

/*
 * complete() compares the pages of each send with what they were when it was sent, and buffers that
 * are released are at once filled anew: one released too early is seen.
 */
static void random_histories(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 20; seed++) {
		struct history h = { .conn = conn_make(), .random = { seed } };

		for (unsigned i = 0; i < 2000; i++)
			history_step(&h);
		while (h.conn->queue.n_busy || h.busy) {
			if (h.busy)
				history_take(&h);
			else if (h.n_waiting)
				history_notify(&h);
			turn();
			if (sent_any()) {
				h.sending = sent_take();
				h.busy = true;
			}
		}
		while (h.n_waiting)
			history_notify(&h);
		assert_int_equal(h.conn->state, CONN_OPEN);
		conn_end(h.conn);
	}
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, rig_open, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(held_until_notified),
		CASE(huge_pages_by_their_addresses),
		CASE(only_what_is_worth_it),
		CASE(memory_of_a_backend_is_copied),
		CASE(many_headers_are_copied),
		CASE(rest_goes_by_ordinary_send),
		CASE(no_notification_to_come),
		CASE(chains_end),
		CASE(gives_up_on_copies),
		CASE(reads_are_mapped_while_it_is_not_tried),
		CASE(bound_is_shared),
		CASE(dead_waits_for_notifications),
		CASE(death_by_the_rest),
		CASE(drain_waits_for_notifications),
		CASE(receives_behind_what_is_sent),
		CASE(random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
