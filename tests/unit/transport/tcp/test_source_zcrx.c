/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy receive of connections, with the kernel played by the test: it fills chunks, tells of
 * fragments, and ends requests as it likes. Nothing is submitted to the ring.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "transport/tcp/tcp.h"

enum {
	SHIFT = 12,
	POOL = 4 << 20,
	CHUNKS = 128,
	AREA = CHUNKS << SHIFT,
	ENTRIES = 1024,
	KEEPERS = 4,
	MORE = IORING_CQE_F_MORE,
	WINDOW = 1 << 20,
};

static struct worker worker;
static struct tcp_worker tcp;
static struct config_listener config;
static struct listener listener;
static struct zcrx zcrx;
static struct {
	uint32_t head, tail;
	struct io_uring_zcrx_rqe rqes[ENTRIES];
	uint32_t next;
} kernel;

static void ring_forget(void)
{
	worker.loop.ring.sq.sqe_tail = 0;
}

static int rig_open(void **state)
{
	const struct loop_options options = { .sq_entries = 256, .cq_entries = 256, .fixed_files = 1 };
	const struct area_spec spec = {
		.name = "test", .size = POOL + AREA, .needs = AREA_FACE_CPU
	};

	(void)state;
	worker = (struct worker){ 0 };
	tcp = (struct tcp_worker){ .worker = &worker };
	memset(&kernel, 0, sizeof(kernel));
	assert_int_equal(loop_init(&worker.loop, &options), 0);
	assert_int_equal(area_create(&worker.area, "anon", &spec), 0);
	assert_int_equal(pool_init(&worker.pool, &worker.area, 0, POOL), 0);
	list_init(&worker.queues);
	list_init(&worker.queues_hungry);
	list_init(&worker.urgent_waiters);
	list_init(&worker.urgent_full);
	list_init(&worker.queues_waiting);
	list_init(&tcp.conns);
	list_init(&tcp.dirty);
	config.r2t_window = WINDOW;
	config.receive = CONFIG_RECEIVE_ZCRX_COPY;
	listener.config = &config;
	listener.ops = &tcp_transport;
	zcrx = (struct zcrx){ .loop = &worker.loop, .copies = true, .entries = ENTRIES };
	zcrx.head = &kernel.head;
	zcrx.tail = &kernel.tail;
	zcrx.rqes = kernel.rqes;
	assert_int_equal(landing_init(&zcrx.landing, &worker.area, POOL, AREA, SHIFT, CHUNKS / 4,
				      KEEPERS),
			 0);
	zcrx_attach(&tcp, &zcrx);
	tcp.zcrx[MAX_NICS] = &zcrx;
	return 0;
}

static struct conn *conn_make(int fd)
{
	struct conn *conn;

	conn_open(&tcp, &listener, fd);
	conn = list_entry(tcp.conns.prev, struct conn, worker_link);
	assert_ptr_equal(conn->source, &source_zcrx);
	assert_int_equal(queue_set_depth(&conn->queue, 2), 0);
	assert_true(conn->rx_armed);
	ring_forget();
	return conn;
}

/* The kernel brings @len bytes in a chunk of their own. */
static void bring(struct conn *conn, const void *p, uint32_t len)
{
	/* A completion of 32 bytes. */
	uint64_t done[4] = { 0 };
	struct io_uring_zcrx_cqe *extra = (struct io_uring_zcrx_cqe *)&done[2];
	uint32_t chunk = kernel.next++ % CHUNKS;

	memcpy((char *)worker.area.base + POOL + ((size_t)chunk << SHIFT), p, len);
	extra->off = (uint64_t)chunk << SHIFT;
	worker.loop.cqe = (struct io_uring_cqe *)done;
	conn->rx_op.done(&conn->rx_op, (int)len, MORE);
	ring_forget();
}

static void request_ends(struct conn *conn, int res)
{
	conn->rx_op.done(&conn->rx_op, res, 0);
	ring_forget();
}

static void turn(void)
{
	struct list *node;

	do {
		queue_serve_waiters(&worker);
		while ((node = list_pop(&tcp.dirty)))
			conn_turn(list_entry(node, struct conn, dirty_link));
		zcrx_turn(&tcp);
	} while (!list_empty(&tcp.dirty) || !list_empty(&worker.queues_waiting));
	kernel.head = kernel.tail;
	ring_forget();
}

static void bring_icreq(struct conn *conn)
{
	const struct pdu_icreq pdu = {
		.hdr = { .type = PDU_ICREQ, .hlen = PDU_HLEN_IC, .plen = le32(PDU_HLEN_IC) },
	};

	bring(conn, &pdu, sizeof(pdu));
}

static struct pdu_cmd capsule_of(uint16_t cid)
{
	struct pdu_cmd pdu = {
		.hdr = { .type = PDU_CMD, .hlen = PDU_HLEN_CMD, .plen = le32(PDU_HLEN_CMD) },
	};

	pdu.sqe.cid = le16(cid);
	return pdu;
}

static void bring_capsule(struct conn *conn, uint16_t cid)
{
	const struct pdu_cmd pdu = capsule_of(cid);

	bring(conn, &pdu, sizeof(pdu));
}

/* Two commands fill the queue, and their answers are not taken: the third makes it pause. */
static void pause_by_commands(struct conn *conn)
{
	bring_icreq(conn);
	for (uint16_t cid = 1; cid <= 3; cid++)
		bring_capsule(conn, cid);
	turn();
	assert_int_equal(conn->rx.state, RX_JUDGE);
}

static void answers_are_taken(struct conn *conn)
{
	assert_true(conn->tx.busy);
	conn_sent(&conn->tx_op, (int)conn->tx.left, 0);
	turn();
}

/* The ring gives up what it has of the connection, and the connection goes. */
static void conn_end(struct conn *conn)
{
	conn_dead(conn);
	if (conn->rx_armed)
		request_ends(conn, -ECANCELED);
	if (conn->tx.busy)
		conn_sent(&conn->tx_op, -ECANCELED, 0);
	turn();
}

static int rig_close(void **state)
{
	(void)state;
	list_for_each_safe(conn, &tcp.conns, struct conn, worker_link)
		conn_end(conn);
	assert_int_equal(zcrx.landing.chunks.held, 0);
	assert_int_equal(zcrx.landing.kept, 0);
	assert_int_equal(zcrx.landing.granted, 0);
	loop_timer_stop(&worker.loop, &zcrx.retry);
	loop_timer_stop(&worker.loop, &zcrx.shortage);
	landing_fini(&zcrx.landing);
	pool_fini(&worker.pool);
	area_destroy(&worker.area);
	loop_fini(&worker.loop);
	return 0;
}

/* ------------------------------------------------------------------------------------------ tests */

static void who_pauses_holds_no_chunk(void **state)
{
	struct conn *conn = conn_make(-1);
	uint32_t brought = 0;

	(void)state;
	pause_by_commands(conn);
	/* Far more fragments than there are chunks, in pieces of PDUs. */
	for (uint16_t cid = 4; brought + sizeof(struct pdu_cmd) <= 64 << 10; cid++) {
		const struct pdu_cmd pdu = capsule_of(cid);
		uint32_t cut = cid % (uint32_t)(sizeof(pdu) - 1) + 1;

		bring(conn, &pdu, cut);
		bring(conn, (const char *)&pdu + cut, (uint32_t)sizeof(pdu) - cut);
		turn();
		brought += (uint32_t)sizeof(pdu);
		assert_int_equal(zcrx.landing.chunks.held, 0);
	}
	assert_int_equal(conn->state, CONN_OPEN);
	assert_int_equal(conn->aside.have, brought);
	/* All of them are parsed, in order, two for each answer. */
	while (conn->rx.state == RX_JUDGE)
		answers_are_taken(conn);
	assert_int_equal(conn->state, CONN_OPEN);
	assert_int_equal(conn->aside.have, 0);
	assert_int_equal(conn->rx.state, RX_COMMON);
}

static void a_request_brings_no_more_than_goes_aside(void **state)
{
	static uint8_t bytes[1 << SHIFT];
	struct conn *conn = conn_make(-1);

	(void)state;
	pause_by_commands(conn);
	while (conn->zcrx_left) {
		bring(conn, bytes, MIN(conn->zcrx_left, (uint32_t)sizeof(bytes)));
		turn();
	}
	request_ends(conn, 0);
	/* It makes no other request until it parses. */
	assert_false(conn->rx_armed);
	assert_int_equal(conn->state, CONN_OPEN);
	conn_dead(conn);
	turn();
}

/* Receives that found no chunk are made again: a paused one by what ends its pause, too. */
static void the_starved_are_served_once(void **state)
{
	struct conn *a = conn_make(-1), *b = conn_make(-1);

	(void)state;
	pause_by_commands(a);
	bring_icreq(b);
	turn();
	request_ends(a, -ENOMEM);
	request_ends(b, -ENOMEM);
	answers_are_taken(a);
	assert_true(a->rx_armed);
	request_ends(a, -ENOMEM);
	assert_false(b->rx_armed);
	/* Nothing goes back to the kernel: the timer it is. */
	assert_true(timer_running(&zcrx.retry));
	zcrx.retry.expired(&zcrx.retry);
	ring_forget();
	assert_true(a->rx_armed && b->rx_armed);
	assert_true(list_empty(&zcrx.starved));
	conn_end(a);
	request_ends(b, -ENOMEM);
	assert_false(list_empty(&zcrx.starved));
}

static void chunks_that_go_back_serve_at_once(void **state)
{
	struct conn *a = conn_make(-1), *b = conn_make(-1);

	(void)state;
	request_ends(a, -ENOMEM);
	assert_false(a->rx_armed);
	bring_icreq(b);
	turn();
	assert_true(a->rx_armed);
}

static void nobody_starves_for_ever(void **state)
{
	struct conn *conn = conn_make(-1);

	(void)state;
	request_ends(conn, -ENOMEM);
	conn->zcrx_starved_ns -= 60 * UINT64_C(1000000000);
	zcrx.retry.expired(&zcrx.retry);
	request_ends(conn, -ENOMEM);
	assert_int_equal(conn->state, CONN_DEAD);
	assert_int_equal(zcrx.stats.closed, 1);
}

static void no_copy_to_a_dmabuf(void **state)
{
	struct conn *conn = conn_make(-1);

	(void)state;
	zcrx.copies = false;
	request_ends(conn, -ENOMEM);
	assert_int_equal(conn->state, CONN_DEAD);
}

/* A socket of the loopback, and its other end. */
static int connected_pair(int *peer)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	assert_int_equal(bind(listening, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&sin, &len), 0);
	*peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	connect(*peer, (struct sockaddr *)&sin, sizeof(sin));
	fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(listening);
	return fd;
}

/* The NIC has no chunks because sockets hold them: of one that reads nothing, the most. */
static void who_does_not_read_makes_room(void **state)
{
	enum { CONNS = 8 };
	static char bytes[64 << 10];
	struct conn *conns[CONNS];
	int peers[CONNS];

	(void)state;
	for (unsigned i = 0; i < CONNS; i++) {
		conns[i] = conn_make(connected_pair(&peers[i]));
		/* The fourth takes all that its socket does, the others less. */
		for (unsigned sent = 0; sent < (i == 3 ? 64u : 1u); sent++)
			if (send(peers[i], bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
				break;
	}
	usleep(50000);
	zcrx.event_op.done(&zcrx.event_op, 0, MORE);
	assert_true(timer_running(&zcrx.shortage));
	zcrx.shortage.expired(&zcrx.shortage);
	for (unsigned i = 0; i < CONNS; i++)
		assert_int_equal(conns[i]->state, i == 3 ? CONN_DEAD : CONN_OPEN);
	assert_int_equal(zcrx.stats.closed, 1);
	for (unsigned i = 0; i < CONNS; i++)
		close(peers[i]);
}

static void assert_socket_buffer(const struct conn *conn, uint64_t bytes)
{
	int value = 0;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &value, &len), 0);
	assert_int_equal(value, bytes);
}

/* The kernel doubles what it is asked for. */
static void sockets_may_hold_a_part_of_the_area(void **state)
{
	struct conn *conn;
	int peer;

	(void)state;
	zcrx.ifindex = 1;
	conn = conn_make(connected_pair(&peer));
	assert_socket_buffer(conn, 2 * TCP_ZCRX_EARLY);
	conn_buffer_widen(conn);
	assert_socket_buffer(conn, AREA / 4);
	close(peer);
}

/* What comes behind a PDU that is none goes back at once. */
static void nothing_is_kept_of_who_is_terminated(void **state)
{
	static const uint8_t bytes[256] = { 0xff };
	struct conn *conn = conn_make(-1);

	(void)state;
	bring(conn, bytes, sizeof(bytes));
	assert_int_equal(conn->state, CONN_TERMINATING);
	bring(conn, bytes, sizeof(bytes));
	turn();
	assert_int_equal(conn->aside.have, 0);
	assert_int_equal(zcrx.landing.chunks.held, 0);
}

static void a_short_nic_closes_nobody_who_reads(void **state)
{
	int peer;
	struct conn *conn = conn_make(connected_pair(&peer));

	(void)state;
	zcrx.event_op.done(&zcrx.event_op, 0, MORE);
	zcrx.shortage.expired(&zcrx.shortage);
	assert_int_equal(conn->state, CONN_OPEN);
	close(peer);
}

/* A write of @len bytes that has its memory waits for an R2T. */
static struct tcp_cmd *write_waits(struct conn *conn, uint32_t len)
{
	struct tcp_cmd *tcmd = &conn->slot0;

	tcmd->granted = 0;
	tcmd->cmd.data_len = len;
	list_add_tail(&conn->r2t_wait, &tcmd->r2t_link);
	return tcmd;
}

/* Who was asked, and sends nothing for a second, has no claim to the area any more. */
static void who_does_not_send_loses_its_place(void **state)
{
	struct conn *silent = conn_make(-1), *other = conn_make(-1);
	struct tcp_cmd *tcmd;

	(void)state;
	write_waits(silent, WINDOW);
	conn_grant(silent);
	assert_in_range(silent->credit, 4096, WINDOW);
	assert_int_equal(zcrx.landing.granted, silent->credit);
	/* All of the area, as far as is known. */
	zcrx.landing.granted += AREA;
	silent->credit += AREA;
	zcrx.reviewed_ns -= 2 * UINT64_C(1000000000);
	tcmd = write_waits(other, WINDOW);
	conn_grant(other);
	assert_int_equal(tcmd->granted, WINDOW); /* whole, but with a place for little */
	assert_int_equal(other->credit, 4096);
	/* Nothing came since that look. */
	list_del(&tcmd->r2t_link);
	conn_credit_end(other);
	other->r2t_outstanding = 0;
	zcrx.reviewed_ns -= 2 * UINT64_C(1000000000);
	write_waits(other, WINDOW);
	conn_grant(other);
	assert_int_equal(silent->credit, 0);
	assert_int_equal(tcmd->granted, WINDOW);
	assert_in_range(other->credit, 4097, WINDOW);
	assert_int_equal(zcrx.landing.granted, other->credit);
	list_del(&silent->slot0.r2t_link);
	list_del(&tcmd->r2t_link);
}

/* Hosts that send what they were asked for are not closed for it, however little room there is. */
static void what_was_asked_for_closes_nobody(void **state)
{
	enum { HOSTS = 4 };
	struct conn *conns[HOSTS];
	int peers[HOSTS];

	(void)state;
	zcrx.landing.kept = zcrx.landing.most;
	zcrx.landing.chunks.held = zcrx.landing.most;
	for (unsigned i = 0; i < HOSTS; i++) {
		static const char bytes[AREA / 8];

		conns[i] = conn_make(connected_pair(&peers[i]));
		write_waits(conns[i], WINDOW);
		conn_grant(conns[i]);
		assert_int_equal(conns[i]->r2t_outstanding, WINDOW);
		assert_true(send(peers[i], bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
	}
	usleep(50000);
	zcrx.event_op.done(&zcrx.event_op, 0, MORE);
	zcrx.shortage.expired(&zcrx.shortage);
	assert_int_equal(zcrx.stats.closed, 0);
	/* What was not asked for is another matter. */
	conns[1]->r2t_outstanding = 0;
	zcrx.shortage.expired(&zcrx.shortage);
	assert_int_equal(zcrx.stats.closed, 1);
	assert_int_equal(conns[1]->state, CONN_DEAD);
	zcrx.landing.kept = 0;
	zcrx.landing.chunks.held = 0;
	for (unsigned i = 0; i < HOSTS; i++) {
		list_del(&conns[i]->slot0.r2t_link);
		close(peers[i]);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)
	const struct CMUnitTest tests[] = {
		TEST(who_pauses_holds_no_chunk),
		TEST(a_request_brings_no_more_than_goes_aside),
		TEST(the_starved_are_served_once),
		TEST(chunks_that_go_back_serve_at_once),
		TEST(nobody_starves_for_ever),
		TEST(no_copy_to_a_dmabuf),
		TEST(who_does_not_read_makes_room),
		TEST(who_does_not_send_loses_its_place),
		TEST(what_was_asked_for_closes_nobody),
		TEST(a_short_nic_closes_nobody_who_reads),
		TEST(sockets_may_hold_a_part_of_the_area),
		TEST(nothing_is_kept_of_who_is_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
