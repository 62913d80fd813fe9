/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving by io_uring's zero-copy receive: one request brings up to 256 KiB, fragment by fragment, in
 * the chunks that the NIC filled. Fragments are parsed where they lie; whoever wants one for longer has
 * a reference on its chunk. While a connection's parsing is paused it has no new request, and what the
 * last one still brings is held.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "transport/tcp/tcp.h"

static bool conn_parses(const struct conn *conn)
{
	return conn->state < CONN_TERMINATING && conn->rx.state != RX_STOPPED;
}

/* Keeps @fragment until parsing goes on. The reference moves along. */
static void fragment_hold(struct conn *conn, const struct span *fragment)
{
	struct zcrx *zcrx = conn->zcrx;
	struct zcrx_held *held = zcrx_hold(zcrx, fragment);

	if (!held) {
		log_peer("%s: too many small packets while its commands wait; closing the connection",
			 conn->queue.peer);
		counter_add(&zcrx->stats.closed, 1);
		chunks_put(&zcrx->landing.chunks, fragment);
		conn_dead(conn);
		return;
	}
	list_add_tail(&conn->zcrx_held, &held->link);
	conn->zcrx_held_n++;
	if (list_empty(&conn->zcrx_paused_link))
		list_add_tail(&zcrx->paused, &conn->zcrx_paused_link);
}

/* Parses @fragment. True when all of it was taken; else the rest is left of it. */
static bool fragment_parse(struct conn *conn, struct span *fragment)
{
	size_t used = conn_received(conn, span_ptr(fragment), fragment->len, fragment);

	/* A machine that has stopped wants the rest no more. */
	if (used == fragment->len || conn->rx.state != RX_JUDGE)
		return true;
	/* What is parsed lies in the same chunk, so the reference stays right. */
	fragment->offset += used;
	fragment->len -= (uint32_t)used;
	return false;
}

static void fragment_received(struct conn *conn, uint32_t len)
{
	struct zcrx *zcrx = conn->zcrx;
	struct span fragment;

	assert(len <= conn->zcrx_left);
	conn->zcrx_left -= len;
	zcrx_fragment(zcrx, len, &fragment);
	if (conn_parses(conn)) {
		bool behind = !list_empty(&conn->zcrx_held) || conn->rx.state == RX_JUDGE;

		if (behind || !fragment_parse(conn, &fragment)) {
			fragment_hold(conn, &fragment);
			return;
		}
	}
	chunks_put(&zcrx->landing.chunks, &fragment);
}

static void zcrx_drop_held(struct conn *conn)
{
	struct list *node;

	while ((node = list_pop(&conn->zcrx_held))) {
		struct zcrx_held *held = list_entry(node, struct zcrx_held, link);

		chunks_put(&conn->zcrx->landing.chunks, &held->fragment);
		zcrx_unhold(conn->zcrx, held);
	}
	conn->zcrx_held_n = 0;
	list_del(&conn->zcrx_starved_link);
	list_del(&conn->zcrx_paused_link);
}

static void zcrx_offer_held(struct conn *conn)
{
	while (!list_empty(&conn->zcrx_held)) {
		struct zcrx_held *held = list_first(&conn->zcrx_held, struct zcrx_held, link);

		if (conn_parses(conn) && !fragment_parse(conn, &held->fragment))
			return;
		list_del(&held->link);
		conn->zcrx_held_n--;
		chunks_put(&conn->zcrx->landing.chunks, &held->fragment);
		zcrx_unhold(conn->zcrx, held);
	}
	list_del(&conn->zcrx_paused_link);
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
	case -ENOMEM: /* no free chunk for a copy; the bytes wait in the socket */
		counter_add(&zcrx->stats.starved, 1);
		list_add_tail(&zcrx->starved, &conn->zcrx_starved_link);
		return;
	case -EAGAIN:
	case -EINTR:
		break;
	case -EFAULT:
		log_peer("%s: packets came by another queue of the NIC than the connection is for; closing it",
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

	io_uring_prep_rw(IORING_OP_RECV_ZC, sqe, conn->fd, NULL, TCP_ZCRX_RECEIVE, 0);
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->zcrx_ifq_idx = conn->zcrx->id;
	conn->rx_op.done = receive_done;
	loop_bind(sqe, &conn->rx_op);
	conn->rx_armed = true;
	conn->zcrx_left = TCP_ZCRX_RECEIVE;
}

/* The NIC needs chunks, and here they are held for nothing: the one who holds most loses its connection. */
static void greediest_close(struct zcrx *zcrx)
{
	struct conn *most = NULL;

	list_for_each_safe(conn, &zcrx->paused, struct conn, zcrx_paused_link)
		if (!most || conn->zcrx_held_n > most->zcrx_held_n)
			most = conn;
	if (!most)
		return;
	log_peer("%s: holds %u fragments that its commands have no memory for while the NIC is short of "
		 "chunks; closing the connection",
		 most->queue.peer, most->zcrx_held_n);
	counter_add(&zcrx->stats.closed, 1);
	conn_dead(most);
	zcrx_drop_held(most);
}

/* There are chunks again. */
static void starved_serve(struct zcrx *zcrx)
{
	struct list starved = LIST_INIT(starved), *node;

	list_splice_tail(&starved, &zcrx->starved);
	while ((node = list_pop(&starved)))
		conn_receive(list_entry(node, struct conn, zcrx_starved_link));
}

static void queue_turn(struct zcrx *zcrx)
{
	if (zcrx_refill(zcrx))
		starved_serve(zcrx);
	if (unlikely(zcrx_is_short(zcrx)))
		greediest_close(zcrx);
}

void zcrx_turn(struct tcp_worker *tcp)
{
	for (unsigned i = 0; i < TCP_ZCRX_QUEUES; i++)
		if (tcp->zcrx[i])
			queue_turn(tcp->zcrx[i]);
}

const struct byte_source source_zcrx = {
	.name = "zcrx",
	.arm = zcrx_arm,
	.offer_held = zcrx_offer_held,
	.drop_held = zcrx_drop_held,
};
