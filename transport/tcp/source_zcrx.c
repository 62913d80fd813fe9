/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving by io_uring's zero-copy receive: one request brings up to TCP_ZCRX_RECEIVE bytes, fragment
 * by fragment, in the chunks that the NIC filled. Fragments are parsed where they lie; whoever wants one
 * for longer has a reference on its chunk. While a connection's parsing is paused it has no new
 * request, and what the last one still brings is copied aside: who waits takes no chunks.
 */
#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "base/counter.h"
#include "base/log.h"
#include "transport/tcp/tcp.h"

enum {
	RETRY_NS = 10 * 1000000,       /* after a receive that found no chunk */
	STARVED_MAX_S = 10,            /* that a connection may find none for */
	SHORTAGE_NS = 100 * 1000000,   /* from the NIC's first lack of chunks to looking for the cause */
	HOG_SHIFT = 6,                 /* unread bytes of a connection that may be the cause: 1/64 of the area */
};

static bool conn_parses(const struct conn *conn)
{
	return conn->state < CONN_TERMINATING && conn->rx.state != RX_STOPPED;
}

/* ------------------------------------------------------------------------------------- fragments */

static void aside_add(struct conn *conn, const struct span *fragment)
{
	struct conn_aside *aside = &conn->aside;

	/* It is empty when a request is made, which brings no more than it has room for. */
	assert(aside->have + fragment->len <= TCP_ZCRX_RECEIVE);
	memcpy(aside->bytes + aside->have, span_ptr(fragment), fragment->len);
	aside->have += fragment->len;
}

/* Parses @fragment, or copies aside what is not to be parsed now. */
static void fragment_parse(struct conn *conn, struct span *fragment)
{
	size_t used = 0;

	if (!conn->aside.have)
		used = conn_received(conn, span_ptr(fragment), fragment->len, fragment);
	if (used == fragment->len || !conn_parses(conn))
		return;
	fragment->offset += used;
	fragment->len -= (uint32_t)used;
	aside_add(conn, fragment);
}

static void fragment_received(struct conn *conn, uint32_t len)
{
	struct zcrx *zcrx = conn->zcrx;
	struct span fragment, whole;

	assert(len <= conn->zcrx_left);
	conn->zcrx_left -= len;
	conn->zcrx_starved_ns = 0;
	zcrx_fragment(zcrx, len, &fragment);
	whole = fragment;
	if (conn_parses(conn))
		fragment_parse(conn, &fragment);
	chunks_put(&zcrx->landing.chunks, &whole);
}

static void zcrx_drop_held(struct conn *conn)
{
	conn->aside.have = 0;
	conn->aside.used = 0;
	list_del(&conn->zcrx_starved_link);
}

static void zcrx_offer_held(struct conn *conn)
{
	struct conn_aside *aside = &conn->aside;

	aside->used += (uint32_t)conn_received(conn, aside->bytes + aside->used,
					       aside->have - aside->used, NULL);
	if (aside->used < aside->have)
		return;
	aside->have = 0;
	aside->used = 0;
}

/* ------------------------------------------------------------------------------------- receiving */

/* There may be chunks again. */
static void starved_serve(struct zcrx *zcrx)
{
	struct list starved = LIST_INIT(starved), *node;

	list_splice_tail(&starved, &zcrx->starved);
	while ((node = list_pop(&starved)))
		conn_receive(list_entry(node, struct conn, zcrx_starved_link));
}

static void retry_expired(struct timer *timer)
{
	starved_serve(container_of(timer, struct zcrx, retry));
}

/*
 * The kernel found no free chunk for what it had to copy, being in no chunk; the bytes wait in the socket. Of
 * those that go back to the NIC it gets none, so that it may be in vain to wait.
 */
static void conn_starved(struct conn *conn)
{
	struct zcrx *zcrx = conn->zcrx;
	uint64_t now = clock_now_ns();
	bool ended = conn->zcrx_starved_ns &&
		     now - conn->zcrx_starved_ns > STARVED_MAX_S * UINT64_C(1000000000);

	counter_add(&zcrx->stats.starved, 1);
	if (!conn->zcrx_starved_ns)
		conn->zcrx_starved_ns = now;
	if (!zcrx->copies) {
		log_peer(
			queue_about(&conn->queue),
			"%s: packets came that the NIC did not place, and the kernel cannot copy to a dma-buf; "
			"closing the connection",
			conn->queue.peer);
	} else if (ended) {
		log_peer(
			queue_about(&conn->queue),
			"%s: no chunk of the receive area for %u s; closing the connection (raise [memory] "
			"receive)",
			conn->queue.peer, STARVED_MAX_S);
	} else {
		list_add_tail(&zcrx->starved, &conn->zcrx_starved_link);
		if (timer_running(&zcrx->retry) ||
		    !loop_timer_start(zcrx->loop, &zcrx->retry, RETRY_NS))
			return;
		log_error_about(queue_about(&conn->queue), "%s: no memory for a timer",
				conn->queue.peer);
	}
	counter_add(&zcrx->stats.closed, 1);
	conn_dead(conn);
}

/* The request ended. */
static void receive_ended(struct conn *conn, int res)
{
	struct zcrx *zcrx = conn->zcrx;

	conn->rx_armed = false;
	if (conn->state == CONN_DEAD) {
		conn_touch(conn);
		return;
	}
	switch (res) {
	case 0:
		if (conn->zcrx_left) { /* less than it may bring: the peer closed */
			conn_dead(conn);
			return;
		}
		break;
	case -ENOSPC: /* the completion queue was full; what is in it is being taken out */
		counter_add(&zcrx->stats.overflows, 1);
		break;
	case -ENOMEM:
		conn_starved(conn);
		return;
	case -EAGAIN:
	case -EINTR:
		break;
	case -EFAULT:
		log_peer(
			queue_about(&conn->queue),
			"%s: packets came by another queue of the NIC than the connection is for; closing it",
			conn->queue.peer);
		conn_dead(conn);
		return;
	default:
		conn_dead(conn);
		return;
	}
	conn_receive(conn);
}

static void receive_done(struct op *op, int res, uint32_t flags)
{
	struct conn *conn = container_of(op, struct conn, rx_op);

	if (flags & IORING_CQE_F_MORE)
		fragment_received(conn, (uint32_t)res);
	else
		receive_ended(conn, res);
}

static void zcrx_arm(struct conn *conn)
{
	struct io_uring_sqe *sqe = loop_sqe(conn_loop(conn));

	list_del(&conn->zcrx_starved_link);
	assert(!conn->aside.have || !conn_parses(conn));
	io_uring_prep_rw(IORING_OP_RECV_ZC, sqe, conn->fd, NULL, TCP_ZCRX_RECEIVE, 0);
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->zcrx_ifq_idx = conn->zcrx->id;
	conn->rx_op.done = receive_done;
	loop_bind(sqe, &conn->rx_op);
	conn->rx_armed = true;
	conn->zcrx_left = TCP_ZCRX_RECEIVE;
}

/* ------------------------------------------------------------------------------- a NIC without chunks */

/* Bytes that the socket holds because they are not read: of a NIC's, whole chunks. */
static uint64_t conn_unread(const struct conn *conn)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);

	if (getsockopt(conn->fd, SOL_SOCKET, SO_MEMINFO, info, &len))
		return 0;
	return info[SK_MEMINFO_RMEM_ALLOC];
}

/*
 * Connections that do not read hold chunks in their sockets, where nobody sees them: those whose parsing
 * is paused, and those of hosts that keep a byte back, or send one that is urgent. When they hold
 * most of the area, the one with most of them is closed, for the others to go on. Not for what it was
 * asked for: that comes when it comes, and stall.c sees when it does not.
 */
static void hog_close(struct tcp_worker *tcp, struct zcrx *zcrx)
{
	const struct chunks *chunks = &zcrx->landing.chunks;
	uint64_t size = chunks_size(chunks);
	uint64_t taken = chunks->held << chunks->shift, most = 0;
	struct conn *hog = NULL;

	list_for_each_safe(conn, &tcp->conns, struct conn, worker_link) {
		uint64_t unread = 0, asked;

		if (conn->zcrx == zcrx && conn->state != CONN_DEAD)
			unread = conn_unread(conn);
		taken += unread;
		asked = landing_taken_by(&zcrx->landing, conn->r2t_outstanding);
		if (unread > most + asked) {
			most = unread - asked;
			hog = conn;
		}
	}
	if (taken < size / 4 * 3 || most < size >> HOG_SHIFT)
		return;
	log_peer(
		queue_about(&hog->queue),
		"%s: %llu KiB that it sent cannot be read yet, and the NIC has no memory left to receive to; "
		"closing the connection",
		hog->queue.peer, (unsigned long long)most >> 10);
	counter_add(&zcrx->stats.closed, 1);
	conn_dead(hog);
}

static void shortage_expired(struct timer *timer)
{
	struct zcrx *zcrx = container_of(timer, struct zcrx, shortage);

	hog_close(zcrx->tcp, zcrx);
	zcrx_event_arm(zcrx);
}

/* The NIC found no chunk. The kernel says so once, until it is asked again. */
static void event_done(struct op *op, int res, uint32_t flags)
{
	struct zcrx *zcrx = container_of(op, struct zcrx, event_op);

	(void)res;
	(void)flags;
	counter_add(&zcrx->stats.starved, 1);
	if (loop_timer_start(zcrx->loop, &zcrx->shortage, SHORTAGE_NS))
		zcrx_event_arm(zcrx);
}

/* ------------------------------------------------------------------------------------------- a turn */

void zcrx_attach(struct tcp_worker *tcp, struct zcrx *zcrx)
{
	zcrx->tcp = tcp;
	zcrx->event_op.done = event_done;
	list_init(&zcrx->starved);
	timer_init(&zcrx->retry, retry_expired);
	timer_init(&zcrx->shortage, shortage_expired);
}

void zcrx_turn(struct tcp_worker *tcp)
{
	for (unsigned i = 0; i < TCP_ZCRX_QUEUES; i++)
		if (tcp->zcrx[i] && zcrx_refill(tcp->zcrx[i]))
			starved_serve(tcp->zcrx[i]);
}

const struct byte_source source_zcrx = {
	.name = "zcrx",
	.arm = zcrx_arm,
	.offer_held = zcrx_offer_held,
	.drop_held = zcrx_drop_held,
};
