/* SPDX-License-Identifier: BSD-3-Clause */
/* The transport's operations: workers, listening and accepting. */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "target/ctrl.h"
#include "transport/address.h"

enum {
	ACCEPT_AGAIN_MS = 100,
	PLACE_AGAIN_MS = 10,
	PLACE_TRIES = 50,
};

/* ----------------------------------------------------------------------------------------- workers */

static struct tcp_worker *tcp_of(struct worker *worker)
{
	return worker->transport_state[0];
}

static int tcp_worker_init(struct worker *worker)
{
	struct tcp_worker *tcp = calloc(1, sizeof(*tcp));
	int rc;

	if (!tcp)
		return -ENOMEM;
	tcp->worker = worker;
	list_init(&tcp->conns);
	list_init(&tcp->arrivals);
	list_init(&tcp->dirty);
	timer_init(&tcp->watch, stall_watch);
	rc = recv_worker_init(tcp);
	if (rc)
		goto fail;
	rc = zc_worker_init(tcp);
	if (rc)
		goto fail_source;
	worker->transport_state[0] = tcp;
	return 0;
fail_source:
	recv_worker_fini(tcp);
fail:
	free(tcp);
	return rc;
}

static void tcp_worker_fini(struct worker *worker)
{
	struct tcp_worker *tcp = tcp_of(worker);

	loop_timer_stop(&worker->loop, &tcp->watch);
	tcp_queues_fini(tcp);
	zc_worker_fini(tcp);
	recv_worker_fini(tcp);
	free(tcp);
}

static uint64_t tcp_worker_bytes(void)
{
	return sizeof(struct tcp_worker) + TCP_ZC_SENDS * sizeof(struct zc_send) +
	       recv_worker_bytes() + tcp_queues_bytes();
}

static uint64_t tcp_connection_bytes(unsigned depth)
{
	return heap_bytes(sizeof(struct conn)) + stage_own_bytes() +
	       (tcp_queues_bytes() ? heap_bytes(TCP_ZCRX_RECEIVE) : 0) +
	       queue_slots_bytes(depth, sizeof(struct tcp_cmd));
}

static void tcp_flush(struct worker *worker)
{
	struct tcp_worker *tcp = tcp_of(worker);
	struct list *node;

	/* Ends: a connection is touched only when something of it moved on. */
	do {
		while ((node = list_pop(&tcp->dirty)))
			conn_turn(list_entry(node, struct conn, dirty_link));
		zcrx_turn(tcp);
	} while (!list_empty(&tcp->dirty));
}

/* ---------------------------------------------------------------------------------------- accepting */

/*
 * An accepted socket on its way to its worker. Where it matters by which queue of a NIC its packets
 * come, and none has told yet, it waits for the first that the host sends; that is the host's to do.
 */
struct arrival {
	struct msg msg;
	struct op op;
	struct list link; /* tcp->arrivals, while `op` is in flight */
	struct worker *worker;
	struct listener *listener;
	struct timer timer; /* the host takes too long; then until it is placed again */
	unsigned tries;
	int fd;
};

static void arrival_drop(struct arrival *arrival)
{
	close(arrival->fd);
	worker_connection_put(arrival->worker);
	listener_put(arrival->listener);
	free(arrival);
}

static void arrival_deliver(struct msg *msg)
{
	struct arrival *arrival = container_of(msg, struct arrival, msg);

	if (tcp_of(arrival->worker)->draining) {
		arrival_drop(arrival);
		return;
	}
	conn_open(tcp_of(arrival->worker), arrival->listener, arrival->fd);
	listener_put(arrival->listener);
	free(arrival);
}

static void arrival_place(struct arrival *arrival);

static void arrival_place_again(struct timer *timer)
{
	arrival_place(container_of(timer, struct arrival, timer));
}

/* Not known yet which worker it is for. False: it is not waited for any longer. */
static bool arrival_defer(struct arrival *arrival)
{
	if (arrival->tries++ == PLACE_TRIES)
		return false;
	timer_init(&arrival->timer, arrival_place_again);
	return !loop_timer_start(&arrival->listener->worker->loop, &arrival->timer,
				 PLACE_AGAIN_MS * 1000000ull);
}

/* To the worker of its queue, or to the one that has it already. */
static void arrival_place(struct arrival *arrival)
{
	bool again = false;
	struct worker *owner = tcp_queues_matter(arrival->listener) ?
				       tcp_queues_worker(arrival->fd, &again) :
				       NULL;

	if (again && arrival_defer(arrival))
		return;
	if (owner && owner != arrival->worker) {
		worker_connection_move(arrival->worker, owner);
		arrival->worker = owner;
	}
	if (arrival->worker == arrival->listener->worker)
		arrival_deliver(&arrival->msg);
	else
		loop_post(&arrival->worker->loop, &arrival->msg);
}

static void arrival_heard(struct op *op, int res, uint32_t flags)
{
	struct arrival *arrival = container_of(op, struct arrival, op);

	(void)flags;
	list_del(&arrival->link);
	loop_timer_stop(&arrival->listener->worker->loop, &arrival->timer);
	if (res > 0)
		arrival_place(arrival);
	else
		arrival_drop(arrival);
}

static void arrival_expired(struct timer *timer)
{
	struct arrival *arrival = container_of(timer, struct arrival, timer);

	loop_cancel(&arrival->listener->worker->loop, &arrival->op);
}

static void arrival_wait(struct arrival *arrival)
{
	struct worker *worker = arrival->listener->worker;
	struct io_uring_sqe *sqe = loop_sqe(&worker->loop);

	arrival->op.done = arrival_heard;
	io_uring_prep_poll_add(sqe, arrival->fd, POLLIN);
	loop_bind(sqe, &arrival->op);
	timer_init(&arrival->timer, arrival_expired);
	if (loop_timer_start(&worker->loop, &arrival->timer, CONNECT_TIMEOUT_MS * 1000000ull))
		log_error_about(listener_about(arrival->listener),
				"listener %s: no memory for a timer",
				arrival->listener->config->name);
	list_add_tail(&tcp_of(worker)->arrivals, &arrival->link);
}

static void arrivals_cancel(struct worker *worker)
{
	list_for_each_safe(arrival, &tcp_of(worker)->arrivals, struct arrival, link)
		loop_cancel(&worker->loop, &arrival->op);
}

static void accepted(struct listener *listener, int fd)
{
	struct worker *worker = worker_accept();
	struct arrival *arrival;
	bool again;

	if (!worker) {
		log_peer(
			listener_about(listener),
			"listener %s: refused a connection, there are as many as [daemon] max_connections "
			"allows",
			listener->config->name);
		close(fd);
		return;
	}
	arrival = malloc(sizeof(*arrival));
	if (!arrival) {
		log_peer(listener_about(listener), "listener %s: no memory for a new connection",
			 listener->config->name);
		close(fd);
		worker_connection_put(worker);
		return;
	}
	*arrival = (struct arrival){
		.msg.deliver = arrival_deliver,
		.worker = worker,
		.listener = listener,
		.fd = fd,
	};
	listener_get(listener);
	if (tcp_queues_matter(listener) && !tcp_queues_worker(fd, &again))
		arrival_wait(arrival);
	else
		arrival_place(arrival);
}

/*
 * One at a time, so one in a turn: those that come faster than the worker opens and closes them wait in
 * the listener's backlog, and not as completions before those of connections that are at work.
 */
static void accept_arm(struct listener *listener)
{
	struct io_uring_sqe *sqe = loop_sqe(&listener->worker->loop);

	io_uring_prep_accept(sqe, listener->fd, NULL, NULL, SOCK_CLOEXEC);
	loop_bind(sqe, &listener->accept_op);
	listener_get(listener);
}

static void accept_again(struct timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, accept_again);

	if (listener->accepting)
		accept_arm(listener);
}

static void accept_done(struct op *op, int res, uint32_t flags)
{
	struct listener *listener = container_of(op, struct listener, accept_op);

	(void)flags;
	if (!listener->accepting) {
		if (res >= 0)
			close(res);
	} else if (res >= 0) {
		accepted(listener, res);
		accept_arm(listener);
	} else if (res == -ECONNABORTED || res == -EINTR) {
		accept_arm(listener);
	} else {
		log_peer(listener_about(listener), "listener %s: cannot accept: %s",
			 listener->config->name, strerror(-res));
		if (loop_timer_start(&listener->worker->loop, &listener->accept_again,
				     ACCEPT_AGAIN_MS * 1000000ull))
			accept_arm(listener);
	}
	listener_put(listener);
}

static int tcp_claim(const struct config_listener *config)
{
	struct sockaddr_storage ss;
	socklen_t len;
	const int one = 1;
	int fd, rc = address_parse(config->address, config->port, &ss, &len);

	if (rc)
		return rc;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ss.ss_family == AF_INET6) /* so that :: and 0.0.0.0 can be two listeners */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) || listen(fd, TCP_BACKLOG)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static int tcp_listen(struct listener *listener)
{
	int fd = listener->fd < 0 ? tcp_claim(listener->config) : listener->fd;

	if (fd < 0)
		return fd;
	listener->fd = fd;
	listener->accepting = true;
	listener->accept_op.done = accept_done;
	timer_init(&listener->accept_again, accept_again);
	accept_arm(listener);
	return 0;
}

static void tcp_unlisten(struct listener *listener)
{
	listener->accepting = false;
	loop_timer_stop(&listener->worker->loop, &listener->accept_again);
	loop_cancel(&listener->worker->loop, &listener->accept_op);
	/* An accept that is prepared only would find another file by that number. */
	loop_submit(&listener->worker->loop);
	/* The ring's reference goes with the cancelled accept; shutting down ends listening at once. */
	shutdown(listener->fd, SHUT_RDWR);
	close(listener->fd);
	listener->fd = -1;
}

/* ---------------------------------------------------------------------------------------- stopping */

static void tcp_drain(struct worker *worker)
{
	/* One that was placed here may still come: from a worker that drains later. */
	tcp_of(worker)->draining = true;
	arrivals_cancel(worker);
	list_for_each_safe(conn, &tcp_of(worker)->conns, struct conn, worker_link)
		conn_drain(conn);
}

static void tcp_kill(struct worker *worker)
{
	list_for_each_safe(conn, &tcp_of(worker)->conns, struct conn, worker_link) {
		conn_dead(conn);
		conn_reset(conn);
	}
}

/* ------------------------------------------------------------------------------------------ queues */

static void tcp_facts(const struct config_listener *config, struct datapath_facts *facts)
{
	tcp_queues_facts(config, facts);
	facts->send_zc = zc_fact(config);
}

static void tcp_connected(struct queue *queue)
{
	struct conn *conn = conn_of(queue);

	loop_timer_stop(conn_loop(conn), &conn->timer);
	conn_buffer_widen(conn);
	/*
	 * Fabrics commands may bring 8 KiB on any queue (TCP 3.3.2.1). As much as Identify has told, of the
	 * listener of the admin queue.
	 */
	if (queue->qid)
		conn->rx.params.max_capsule_data =
			MAX(queue->ctrl->listener->config->in_capsule, (uint32_t)CAPSULE_DATA_ADMIN);
}

static void tcp_resume(struct queue *queue)
{
	struct conn *conn = conn_of(queue);

	conn_resume(conn);
	conn_touch(conn);
}

static void tcp_close(struct queue *queue, enum queue_close why)
{
	struct conn *conn = conn_of(queue);

	log_debug_about(queue_about(queue), "%s: closing queue %u: %s", queue->peer, queue->qid,
			queue_close_name(why));
	if (queue_close_is_orderly(why))
		conn_drain(conn);
	else
		conn_dead(conn);
}

static uint64_t tcp_granted(const struct queue *queue)
{
	const struct conn *conn = container_of(queue, struct conn, queue);

	return __atomic_load_n(&conn->r2t_outstanding, __ATOMIC_RELAXED);
}

static void tcp_describe(const struct queue *queue, struct json_object *object)
{
	const struct conn *conn = container_of(queue, struct conn, queue);

	json_object_object_add(object, "header_digest", json_object_new_boolean(conn->hdgst));
	json_object_object_add(object, "data_digest", json_object_new_boolean(conn->ddgst));
	json_object_object_add(object, "r2t_outstanding_bytes",
			       json_object_new_int64(conn->r2t_outstanding));
	json_object_object_add(object, "source", json_object_new_string(conn->source->name));
	json_object_object_add(object, "send_zc_pending",
			       json_object_new_uint64(conn->zc.pending));
	json_object_object_add(object, "send_zc_bytes", json_object_new_uint64(conn->zc.bytes));
	json_object_object_add(object, "send_zc_copied_bytes",
			       json_object_new_uint64(conn->zc.copied_bytes));
}

const struct transport_ops tcp_transport = {
	.name = "tcp",
	.trtype = NVMF_TRTYPE_TCP,
	.cmd_size = sizeof(struct tcp_cmd),
	.sgls = NVME_SGLS_TRANSPORT | NVME_SGLS_OFFSET,
	.msdbd = 1,
	.receive_areas = tcp_queues_areas,
	.receive_open = tcp_queues_open,
	.receive_plan = tcp_queues_plan,
	.receive_fd = tcp_queues_refresh_fd,
	.receive_refresh = tcp_queues_refresh,
	.receive_close = tcp_queues_close,
	.receive_describe = tcp_queues_describe,
	.facts = tcp_facts,
	.worker_init = tcp_worker_init,
	.worker_fini = tcp_worker_fini,
	.worker_bytes = tcp_worker_bytes,
	.connection_bytes = tcp_connection_bytes,
	.claim = tcp_claim,
	.listen = tcp_listen,
	.unlisten = tcp_unlisten,
	.connected = tcp_connected,
	.fetch = conn_fetch,
	.take_back = conn_take_back,
	.respond = conn_respond,
	.resume = tcp_resume,
	.close = tcp_close,
	.idle = conn_free,
	.flush = tcp_flush,
	.drain = tcp_drain,
	.kill = tcp_kill,
	.granted = tcp_granted,
	.heard_since = stall_heard_since,
	.describe = tcp_describe,
};
