/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts that do not go on: with data that they were asked for, with a PDU that they began, or with
 * taking what is sent to them. Each holds slots and memory until it does, so it has `stall_timeout`
 * of its listener for the next byte. Any byte of the same transfer, PDU or stream begins that time
 * anew: a slow host is waited for as long as it takes.
 *
 * Commands pay with a time stamp and a place in a list. Connections are looked at a few times in that
 * time, while any of them waits for its host; a worker whose connections wait for nothing sleeps.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/ctrl.h"
#include "transport/tcp/tcp.h"

enum {
	STALL_LOOKS = 4, /* within the time that a host has: it gets a quarter more at most */
};

static uint64_t stall_ns(const struct conn *conn)
{
	return conn->queue.listener->config->stall_timeout_ms * UINT64_C(1000000);
}

/*
 * The time by which a host is judged for what it sends: it stands while parsing waits for memory, with
 * all that the host has sent since behind that.
 */
static uint64_t conn_clock_ns(const struct conn *conn)
{
	const struct worker *worker = conn->queue.worker;
	uint64_t now = conn->paused_since_ns ? conn->paused_since_ns : worker->loop.now_ns;

	return now - conn->paused_ns;
}

/* Has the worker look at its connections no later than @conn needs it. */
static void watch_begin(struct conn *conn)
{
	struct tcp_worker *tcp = conn->tcp;
	uint64_t wait_ns = stall_ns(conn) / STALL_LOOKS;

	if (timer_running(&tcp->watch) &&
	    tcp->watch.deadline_ns <= conn_loop(conn)->now_ns + wait_ns)
		return;
	/* Without memory for the timer it is tried again with the next that there is to wait for. */
	loop_timer_start(conn_loop(conn), &tcp->watch, wait_ns);
}

void stall_asked(struct conn *conn, struct tcp_cmd *tcmd)
{
	tcmd->asked_ns = conn_clock_ns(conn);
	list_del(&tcmd->asked_link);
	list_add_tail(&conn->asked, &tcmd->asked_link);
	watch_begin(conn);
}

void stall_heard(struct conn *conn)
{
	struct tcp_cmd *tcmd = conn->payload;

	conn->heard_ns = conn_clock_ns(conn);
	if (tcmd && !list_empty(&tcmd->asked_link))
		stall_asked(conn, tcmd);
	else if (rx_is_inside(&conn->rx))
		watch_begin(conn);
}

void stall_sending(struct conn *conn)
{
	conn->sending_ns = conn_loop(conn)->now_ns;
	watch_begin(conn);
}

void stall_paused(struct conn *conn)
{
	if (!conn->paused_since_ns)
		conn->paused_since_ns = conn_loop(conn)->now_ns;
}

void stall_resumed(struct conn *conn)
{
	if (conn->paused_since_ns)
		conn->paused_ns += conn_loop(conn)->now_ns - conn->paused_since_ns;
	conn->paused_since_ns = 0;
}

/* Bytes that the peer has acknowledged since the connection began; 0 where the kernel does not tell. */
static uint64_t bytes_acked(const struct conn *conn)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	return getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? 0 : info.tcpi_bytes_acked;
}

bool stall_heard_since(const struct queue *queue, uint64_t since_ns)
{
	const struct conn *conn = container_of(queue, struct conn, queue);
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	return getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
	       info.tcpi_last_data_recv * UINT64_C(1000000) + since_ns <= clock_now_ns();
}

static bool is_sending(const struct conn *conn)
{
	return conn->tx.busy || conn->zc.pending;
}

/* One send may take long: how far it got, only the socket knows. */
static bool sending_stalled(struct conn *conn)
{
	uint64_t now = conn_loop(conn)->now_ns, acked;

	if (!is_sending(conn))
		return false;
	acked = bytes_acked(conn);
	if (acked != conn->acked_bytes) {
		conn->acked_bytes = acked;
		conn->sending_ns = now;
	}
	return now - conn->sending_ns >= stall_ns(conn);
}

static bool asked_stalled(const struct conn *conn)
{
	if (list_empty(&conn->asked))
		return false;
	return conn_clock_ns(conn) -
		       list_first(&conn->asked, struct tcp_cmd, asked_link)->asked_ns >=
	       stall_ns(conn);
}

static bool inside_stalled(const struct conn *conn)
{
	return rx_is_inside(&conn->rx) && conn_clock_ns(conn) - conn->heard_ns >= stall_ns(conn);
}

/* What the host has not done for too long; NULL: nothing. */
static const char *stalled(struct conn *conn)
{
	/* What is there cannot be received; source_zcrx.c sees to that. */
	bool deaf = conn->zcrx_starved_ns;

	if (!deaf && asked_stalled(conn))
		return "did not send data that it was asked for";
	if (!deaf && inside_stalled(conn))
		return "did not send the rest of a PDU";
	if (sending_stalled(conn))
		return "did not take what was sent to it";
	return NULL;
}

static bool is_watched(const struct conn *conn)
{
	return conn->state <= CONN_DRAINING &&
	       (!list_empty(&conn->asked) || rx_is_inside(&conn->rx) || is_sending(conn));
}

static void stall_end(struct conn *conn, const char *what)
{
	const struct ctrl *ctrl = conn->queue.ctrl;

	log_peer(queue_about(&conn->queue), "%s: %s%s %s for %g seconds; closing the connection",
		 conn->queue.peer, ctrl ? "host " : "the host", ctrl ? ctrl->hostnqn : "", what,
		 conn->queue.listener->config->stall_timeout_ms / 1000.0);
	conn_give_up(conn);
}

void stall_watch(struct timer *timer)
{
	struct tcp_worker *tcp = container_of(timer, struct tcp_worker, watch);

	list_for_each_safe(conn, &tcp->conns, struct conn, worker_link) {
		const char *what = is_watched(conn) ? stalled(conn) : NULL;

		if (what)
			stall_end(conn, what);
		else if (is_watched(conn))
			watch_begin(conn);
	}
}
