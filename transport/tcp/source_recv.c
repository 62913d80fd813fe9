/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving by recv. Three kinds of single receives, one in flight per connection:
 *
 * - large: up to 256 KiB into a buffer that the kernel takes from the worker's ring when bytes are
 *   there, so that idle connections hold none;
 * - placed: payload straight into the command's own buffer, and the next few headers behind it into
 *   the connection's small buffer, by one RECVMSG;
 * - small: while large transfers are granted, headers are read with 4 KiB, so that the payload stays
 *   in the socket until it can be placed. Also taken when the worker's buffers have run out: a
 *   connection can always receive, whatever the others hold.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/log.h"
#include "transport/tcp/tcp.h"

enum {
	BUFFER_GROUP = 0,
	RING_REVIEW = 256, /* receives until one buffer less is tried */
};

static char *buffer_address(const struct tcp_worker *tcp, unsigned id)
{
	return tcp->rx_memory + (size_t)id * TCP_RX_BUFFER;
}

/*
 * The kernel takes the buffers of the ring in turn. Only as many lie there as receives have needed at a time,
 * and those used last come first: so data comes to memory that the caches still hold.
 */
static void ring_fill(struct tcp_worker *tcp)
{
	while (tcp->ring_have < tcp->ring_want && tcp->n_spare) {
		uint16_t id = tcp->spare[--tcp->n_spare];

		io_uring_buf_ring_add(tcp->ring, buffer_address(tcp, id), TCP_RX_BUFFER, id,
				      io_uring_buf_ring_mask(TCP_RX_BUFFERS), 0);
		io_uring_buf_ring_advance(tcp->ring, 1);
		tcp->ring_have++;
	}
}

/* A receive found none. False: there are no more. */
static bool ring_more(struct tcp_worker *tcp)
{
	if (!tcp->n_spare)
		return false;
	tcp->ring_want = tcp->ring_have + 1;
	ring_fill(tcp);
	return true;
}

static void buffer_taken(struct tcp_worker *tcp)
{
	tcp->ring_have--;
	if (++tcp->ring_taken % RING_REVIEW == 0 && tcp->ring_want > 1)
		tcp->ring_want--;
}

static void buffer_put(struct tcp_worker *tcp, unsigned id)
{
	tcp->spare[tcp->n_spare++] = (uint16_t)id;
	ring_fill(tcp);
}

uint64_t recv_worker_bytes(void)
{
	return (uint64_t)TCP_RX_BUFFERS * TCP_RX_BUFFER;
}

int recv_worker_init(struct tcp_worker *tcp)
{
	int rc = 0;

	tcp->rx_memory = mmap(NULL, recv_worker_bytes(), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (tcp->rx_memory == MAP_FAILED) {
		tcp->rx_memory = NULL;
		return -errno;
	}
	tcp->ring = io_uring_setup_buf_ring(&tcp->worker->loop.ring, TCP_RX_BUFFERS, BUFFER_GROUP,
					    0, &rc);
	if (!tcp->ring) {
		munmap(tcp->rx_memory, recv_worker_bytes());
		tcp->rx_memory = NULL;
		return rc;
	}
	while (tcp->n_spare < TCP_RX_BUFFERS) {
		tcp->spare[tcp->n_spare] = (uint16_t)tcp->n_spare;
		tcp->n_spare++;
	}
	tcp->ring_want = 1;
	ring_fill(tcp);
	return 0;
}

void recv_worker_fini(struct tcp_worker *tcp)
{
	if (tcp->ring)
		io_uring_free_buf_ring(&tcp->worker->loop.ring, tcp->ring, TCP_RX_BUFFERS,
				       BUFFER_GROUP);
	if (tcp->rx_memory)
		munmap(tcp->rx_memory, recv_worker_bytes());
}

/* After the last receive for this connection, @res bytes of it in @buf. */
static void deliver(struct conn *conn, const uint8_t *buf, size_t len, int buffer)
{
	size_t used = conn_received(conn, buf, len, NULL);

	/* A machine that has stopped wants the rest no more, and a large buffer is not its to keep. */
	if (used < len && conn->rx.state == RX_JUDGE) {
		/* Paused: kept until parsing goes on. */
		conn->held =
			(struct rx_held){ .p = buf + used, .len = len - used, .buffer = buffer };
		ring_fill(conn->tcp);
		return;
	}
	if (buffer >= 0)
		buffer_put(conn->tcp, (unsigned)buffer);
}

static void recv_drop_held(struct conn *conn)
{
	if (conn->held.buffer >= 0)
		buffer_put(conn->tcp, (unsigned)conn->held.buffer);
	conn->held = (struct rx_held){ .buffer = -1 };
}

static void recv_offer_held(struct conn *conn)
{
	struct rx_held *held = &conn->held;
	size_t used;

	if (!held->len)
		return;
	used = conn_received(conn, held->p, held->len, NULL);
	held->p += used;
	held->len -= used;
	if (!held->len)
		recv_drop_held(conn);
}

static void recv_failed(struct conn *conn, int res)
{
	if (res == -ENOBUFS) {
		conn->rx_no_buffers = !ring_more(conn->tcp);
		conn_receive(conn);
	} else if (res == -EAGAIN || res == -EINTR) {
		conn_receive(conn);
	} else {
		if (res == -EFAULT)
			log_peer(
				queue_about(&conn->queue),
				"%s: packets came by a queue that a NIC has for zero-copy receive; "
				"closing the connection",
				conn->queue.peer);
		conn_dead(conn);
	}
}

static void recv_done(struct op *op, int res, uint32_t flags)
{
	struct conn *conn = container_of(op, struct conn, rx_op);
	int buffer = flags & IORING_CQE_F_BUFFER ? (int)(flags >> IORING_CQE_BUFFER_SHIFT) : -1;
	uint32_t place = conn->rx_place;

	if (buffer >= 0)
		buffer_taken(conn->tcp);
	conn->rx_armed = false;
	conn->rx_place = 0;
	conn->rx_poll_first = !(flags & IORING_CQE_F_SOCK_NONEMPTY);
	if (conn->state == CONN_DEAD) {
		if (buffer >= 0)
			buffer_put(conn->tcp, (unsigned)buffer);
		conn_touch(conn);
		return;
	}
	if (res <= 0) {
		if (buffer >= 0)
			buffer_put(conn->tcp, (unsigned)buffer);
		recv_failed(conn, res); /* 0: the peer closed */
		return;
	}
	if (place) {
		uint32_t n = MIN(place, (uint32_t)res);

		rx_placed(&conn->rx, n);
		stall_heard(conn);
		res -= (int)n;
	}
	if (res > 0)
		deliver(conn,
			buffer >= 0 ? (uint8_t *)buffer_address(conn->tcp, (unsigned)buffer) :
				      conn->small,
			(size_t)res, buffer);
	/* The next one is armed behind what is sent: by then the host's next commands may be there. */
	conn_touch(conn);
}

/* Payload to its place and one more piece behind it. False when it is not worth it. */
static bool arm_placed(struct conn *conn, struct io_uring_sqe *sqe)
{
	uint32_t len = rx_placeable(&conn->rx);
	int n;

	if (len < TCP_PLACE_MIN)
		return false;
	n = spanv_iovec(conn->rx.dest, conn->rx.dest_offset, len, conn->rx_iov,
			(int)ARRAY_SIZE(conn->rx_iov) - 1);
	if (n < 0)
		return false;
	conn->rx_iov[n] = (struct iovec){ conn->small, TCP_PLACE_TAIL };
	conn->rx_msg = (struct msghdr){ .msg_iov = conn->rx_iov, .msg_iovlen = (size_t)n + 1 };
	conn->rx_place = len;
	io_uring_prep_recvmsg(sqe, conn->fd, &conn->rx_msg, 0);
	return true;
}

static void recv_arm(struct conn *conn)
{
	struct io_uring_sqe *sqe = loop_sqe(conn_loop(conn));

	if (arm_placed(conn, sqe)) {
		/* prepared */
	} else if (conn->rx_no_buffers || conn->r2t_outstanding >= TCP_LARGE_R2T) {
		io_uring_prep_recv(sqe, conn->fd, conn->small, sizeof(conn->small), 0);
		conn->rx_no_buffers = false;
	} else {
		io_uring_prep_recv(sqe, conn->fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = BUFFER_GROUP;
	}
	/* Trying at once would pick up the first command of a batch and miss the rest. */
	if (conn->rx_poll_first)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	conn->rx_op.done = recv_done;
	loop_bind(sqe, &conn->rx_op);
	conn->rx_armed = true;
}

const struct byte_source source_recv = {
	.name = "recv",
	.arm = recv_arm,
	.offer_held = recv_offer_held,
	.drop_held = recv_drop_held,
};
