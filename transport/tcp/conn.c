/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection's life: open, drained or terminated, lingering, dead, gone, freed. */
#include <assert.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/ctrl.h"
#include "transport/address.h"
#include "transport/tcp/tcp.h"

static void conn_timer(struct conn *conn, unsigned ms)
{
	/* Without memory for the timer the state lasts as long as the peer likes; nothing else breaks. */
	if (loop_timer_start(conn_loop(conn), &conn->timer, ms * 1000000ull))
		log_error_about(queue_about(&conn->queue), "%s: no memory for a timer",
				conn->queue.peer);
}

void conn_give_up(struct conn *conn)
{
	static const struct linger reset = { .l_onoff = 1 };

	counter_add(&conn->queue.worker->stats.host_timeouts, 1);
	setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	conn_dead(conn);
}

/* What a connection that has no Connect yet is without. */
static const char *missing(const struct conn *conn)
{
	if (conn->rx.params.initialized)
		return rx_is_inside(&conn->rx) ? "whole Connect" : "Connect";
	return rx_is_inside(&conn->rx) ? "whole ICReq" : "ICReq";
}

static void conn_timed_out(struct timer *timer)
{
	struct conn *conn = container_of(timer, struct conn, timer);

	switch (conn->state) {
	case CONN_DEAD:
		conn_reset(conn);
		break;
	case CONN_OPEN:
		log_peer(queue_about(&conn->queue),
			 "%s: no %s within %u seconds; closing the connection", conn->queue.peer,
			 missing(conn), CONNECT_TIMEOUT_MS / 1000);
		conn_give_up(conn);
		break;
	case CONN_TERMINATING:
		log_peer(queue_about(&conn->queue),
			 "%s: not closed within %u seconds of its termination; resetting it",
			 conn->queue.peer, TERM_TIMEOUT_MS / 1000);
		conn_give_up(conn);
		break;
	case CONN_DRAINING:
	case CONN_LINGERING:
		conn_dead(conn);
		break;
	}
}

/*
 * A host that vanished without a word is noticed by TCP too: one without keep alive (KATO 0) would
 * hold its connection for ever. What the kernel refuses, it does without.
 */
static void socket_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, DEAD_PEER_S / 2 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, DEAD_PEER_S / 8 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_PEER_S * 1000 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

/*
 * What the socket may hold of a NIC's chunks before they are read. Not by the listening socket: handshakes
 * would agree upon windows without a scale, for so small a buffer, and their odd lengths become odd
 * lengths of segments, which no drive takes.
 */
static void socket_buffer(const struct conn *conn, int value)
{
	if (conn->zcrx && conn->zcrx->ifindex)
		setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value));
}

int conn_buffer_share(uint64_t area_bytes)
{
	/* The kernel doubles it for its own use. */
	return (int)MIN(area_bytes / TCP_ZCRX_SHARE / 2, (uint64_t)INT_MAX);
}

void conn_buffer_widen(const struct conn *conn)
{
	if (conn->zcrx)
		socket_buffer(conn, conn_buffer_share(chunks_size(&conn->zcrx->landing.chunks)));
}

void conn_open(struct tcp_worker *tcp, struct listener *listener, int fd)
{
	struct zcrx *zcrx = tcp_queues_find(tcp, listener, fd);
	struct conn *conn = calloc(1, sizeof(*conn));

	if (conn && zcrx)
		conn->aside.bytes = malloc(TCP_ZCRX_RECEIVE);
	if (!conn || (zcrx && !conn->aside.bytes)) {
		log_peer(listener_about(listener), "no memory for a new connection");
		free(conn);
		close(fd);
		worker_connection_put(tcp->worker);
		return;
	}
	queue_init(&conn->queue, &tcp_transport, listener, tcp->worker, &conn->slot0.cmd);
	conn->tcp = tcp;
	conn->fd = fd;
	conn->zcrx = zcrx;
	conn->queue.stream_writes = !zcrx; /* what is in chunks has its buffer */
	conn->source = conn->zcrx ? &source_zcrx : &source_recv;
	conn->held.buffer = -1;
	conn->rx_poll_first = true;
	if (listener->path.transmit == DATAPATH_TRANSMIT_ZC)
		conn->zc.min = listener->config->send_zc_min;
	rx_init(&conn->rx, &conn_rx_ops);
	list_init(&conn->zcrx_starved_link);
	list_init(&conn->asked);
	list_init(&conn->r2t_wait);
	list_init(&conn->r2t_send);
	list_init(&conn->tx_ready);
	list_init(&conn->dirty_link);
	timer_init(&conn->timer, conn_timed_out);
	list_add_tail(&tcp->conns, &conn->worker_link);
	address_of_peer(fd, conn->queue.peer, sizeof(conn->queue.peer));
	address_of_local(fd, conn->queue.local_address, sizeof(conn->queue.local_address));
	socket_options(fd);
	socket_buffer(conn, TCP_ZCRX_EARLY);
	conn_timer(conn, CONNECT_TIMEOUT_MS);
	conn_receive(conn);
}

void conn_touch(struct conn *conn)
{
	if (list_empty(&conn->dirty_link))
		list_add_tail(&conn->tcp->dirty, &conn->dirty_link);
}

void conn_dead(struct conn *conn)
{
	if (conn->state == CONN_DEAD)
		return;
	conn->state = CONN_DEAD;
	queue_lost(&conn->queue);
	loop_timer_stop(conn_loop(conn), &conn->timer);
	shutdown(conn->fd, SHUT_RDWR); /* ends what is in flight in the ring */
	if (conn->rx_armed)
		loop_cancel(conn_loop(conn), &conn->rx_op);
	if (conn->tx.busy)
		conn_send_cancel(conn);
	if (conn->zc.pending)
		conn_timer(conn, TCP_RESET_MS);
	conn_touch(conn);
}

void conn_reset(struct conn *conn)
{
	static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	/* TCP would try for DEAD_PEER_S, and hold the commands' buffers as long. */
	if (conn->state == CONN_DEAD && conn->zc.pending)
		connect(conn->fd, &nobody, sizeof(nobody));
}

void conn_fault(struct conn *conn, const struct pdu_fault *fault)
{
	log_peer(queue_about(&conn->queue),
		 "%s: %s (FES %u, %s, FEI %u); terminating the connection", conn->queue.peer,
		 fault->what, fault->fes, pdu_fes_name(fault->fes), fault->fei);
	conn->state = CONN_TERMINATING;
	queue_lost(&conn->queue);
	conn->term_len = pdu_encode_term(conn->term, fault, conn->rx.hdr,
					 MIN(conn->rx.hdr_have, (uint32_t)PDU_HLEN_MAX));
	conn_timer(conn, TERM_TIMEOUT_MS);
	conn_touch(conn);
}

void conn_drain(struct conn *conn)
{
	if (conn->state == CONN_OPEN)
		conn->state = CONN_DRAINING;
	if (conn->state == CONN_DRAINING)
		conn_touch(conn);
}

/* All is answered and sent: the peer sees the end of the stream behind it, and closes. */
static void conn_linger(struct conn *conn)
{
	conn->state = CONN_LINGERING;
	shutdown(conn->fd, SHUT_WR);
	conn_timer(conn, TCP_LINGER_MS);
	conn_receive(conn);
}

/* The ring holds nothing of the connection any more: the core's turn to let go. */
static void conn_gone(struct conn *conn)
{
	struct list live = LIST_INIT(live), *node;

	conn->gone = true;
	loop_timer_stop(conn_loop(conn), &conn->timer);
	conn->source->drop_held(conn);
	conn_credit_end(conn);
	stage_fini(conn);
	queue_gone(&conn->queue);
	/* What is unread goes now: a disk may hold the last command for ever. */
	close(conn->fd);
	conn->fd = -1;
	list_splice_tail(&live, &conn->queue.live);
	while ((node = list_pop(&live))) {
		struct cmd *cmd = list_entry(node, struct cmd, link);

		list_add_tail(&conn->queue.live, node);
		if (cmd->state == CMD_FETCHING || cmd->state == CMD_RESPONDING)
			cmd_cancel(cmd);
	}
}

void conn_turn(struct conn *conn)
{
	if (conn->state == CONN_DEAD) {
		if (!conn->rx_armed && !conn->tx.busy && !conn->zc.pending && !conn->gone)
			conn_gone(conn);
		return;
	}
	if (conn->rx.state == RX_JUDGE)
		conn_resume(conn);
	conn_send(conn);
	conn_receive(conn);
	if (conn->state == CONN_DRAINING && !conn->tx.busy && !conn_has_output(conn) &&
	    queue_may_end(&conn->queue))
		conn_linger(conn);
}

void conn_free(struct queue *queue)
{
	struct conn *conn = conn_of(queue);
	struct worker *worker = queue->worker;

	assert(conn->gone);
	list_del(&conn->dirty_link);
	list_del(&conn->worker_link);
	queue_fini(&conn->queue);
	free(conn->aside.bytes);
	free(conn);
	worker_connection_put(worker);
}
