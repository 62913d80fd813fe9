/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues over NVMe/TCP: sockets, requests in the ring, and what is sent. */
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "internal.h"

enum { RING_RECV, RING_SEND };

static int tcp_queue_init(struct queue *q)
{
	struct tcp_queue *t = tcp_queue(q);

	t->fd = -1;
	t->tx_cap = q->n_slots * (q->in->options.maxr2t + 1);
	t->rx_size = q->in->options.queues >= TCP_MANY ? TCP_RX_SIZE_MANY : TCP_RX_SIZE;
	t->slots = calloc(q->n_slots, sizeof(*t->slots));
	t->tx = calloc(t->tx_cap, sizeof(*t->tx));
	t->tx_hdrs = malloc((size_t)TCP_TX_PIECES * TCP_TX_PDU);
	t->rx_buf = malloc(t->rx_size);
	return t->slots && t->tx && t->tx_hdrs && t->rx_buf ? 0 : -ENOMEM;
}

static void tcp_queue_fini(struct queue *q)
{
	struct tcp_queue *t = tcp_queue(q);

	free(t->slots);
	free(t->tx);
	free(t->tx_hdrs);
	free(t->rx_buf);
}

/* ---------------------------------------------------------------------------------------- socket */

static int socket_wait(struct initiator *in, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err = 0;
	int n;

	do
		n = poll(&pfd, 1, (int)in->options.connect_timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

/* A connected socket, or -1 after initiator_fail(). */
static int socket_open(struct initiator *in)
{
	const struct initiator_options *o = &in->options;
	int fd = socket(o->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;
	int rc = 0;

	if (fd < 0) {
		initiator_fail(in, false, "no socket: %s", strerror(errno));
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (o->host_addr_len && bind(fd, (const struct sockaddr *)&o->host_addr, o->host_addr_len))
		rc = -errno;
	if (!rc && connect(fd, (const struct sockaddr *)&o->addr, o->addr_len))
		rc = errno == EINPROGRESS ? socket_wait(in, fd) : -errno;
	if (!rc) {
		/* The ring waits for a blocking socket as well, and never reports EAGAIN for it. */
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
		return fd;
	}
	initiator_fail(in, true, "%s%s", strerror(-rc), initiator_connect_hint(-rc));
	close(fd);
	return -1;
}

/* Takes over the connected socket @fd with everything fresh. */
static void tcp_start(struct tcp_queue *t, int fd)
{
	queue_reset(&t->q);
	t->q.open = true;
	t->fd = fd;
	t->live = false;
	t->recv_armed = false;
	t->sending = false;
	t->sock_nonempty = false;
	t->hdgst = false;
	t->ddgst = false;
	t->tx_head = 0;
	t->tx_len = 0;
	t->tx_iov_n = 0;
	t->tx_iov_at = 0;
	wire_rx_init(&t->rx);
}

static int tcp_queue_open(struct queue *q)
{
	struct tcp_queue *t = tcp_queue(q);
	const struct initiator_options *o = &q->in->options;
	int fd = socket_open(q->in);
	struct pdu_icreq icreq;

	if (fd < 0)
		return -ECONNREFUSED;
	tcp_start(t, fd);
	if (q->qid == 0)
		q->in_capsule = TCP_FABRICS_IN_CAPSULE;
	wire_encode_icreq(&icreq, o->hdgst, o->ddgst, o->maxr2t);
	t->tx_iov[0] = (struct iovec){ .iov_base = &icreq, .iov_len = sizeof(icreq) };
	t->tx_iov_n = 1;
	initiator_queue_dirty(q);
	return initiator_wait(q->in, &t->live, o->connect_timeout_ms, "ICReq");
}

void tcp_adopt(struct queue *q, int fd)
{
	struct tcp_queue *t = tcp_queue(q);

	tcp_start(t, fd);
	t->rx.initialized = true;
	t->rx.hdgst = t->hdgst = q->in->options.hdgst;
	t->rx.ddgst = t->ddgst = q->in->options.ddgst;
	t->live = true;
	q->sqflow = !q->in->options.disable_sqflow;
	initiator_queue_dirty(q);
}

void tcp_assume(struct queue *q, uint32_t maxh2cdata)
{
	tcp_queue(q)->maxh2cdata = maxh2cdata;
}

static void tcp_queue_break(struct queue *q)
{
	shutdown(tcp_queue(q)->fd, SHUT_RDWR);
}

static void tcp_queue_close(struct queue *q)
{
	struct tcp_queue *t = tcp_queue(q);

	close(t->fd);
	t->fd = -1;
	t->tx_len = 0;
}

/* ------------------------------------------------------------------------------------ submission */

void tcp_tx_push(struct tcp_queue *t, const struct tx_entry *entry)
{
	t->tx[(t->tx_head + t->tx_len++) % t->tx_cap] = *entry;
	initiator_queue_dirty(&t->q);
}

/* Fabrics commands carry their data in the capsule whatever the queue admits (TCP 3.3.2.1). */
static bool fits_capsule(const struct queue *q, const struct initiator_cmd *cmd)
{
	uint32_t max = cmd->sqe.opcode == NVME_OPCODE_FABRICS ? TCP_FABRICS_IN_CAPSULE :
								q->in_capsule;

	return cmd->to_ctrl && cmd->len > 0 && cmd->len <= max;
}

static int tcp_cmd_queue(struct queue *q, struct slot *slot)
{
	struct tcp_queue *t = tcp_queue(q);
	struct initiator_cmd *cmd = slot->cmd;
	unsigned index = queue_slot_index(q, slot);
	struct tcp_slot *ts = &t->slots[index];

	*ts = (struct tcp_slot){ .in_capsule = fits_capsule(q, cmd), .send_no = ts->send_no };
	cmd->sqe.sgl = (struct nvme_sgl){
		.type = ts->in_capsule ? NVME_SGL_DATA_OFFSET : NVME_SGL_TRANSPORT,
		.len = le32(cmd->len),
	};
	tcp_tx_push(t, &(struct tx_entry){ .slot = (uint16_t)index, .cid = slot->cid });
	return 0;
}

/* ------------------------------------------------------------------------------------------- send */

/* One send being put together. */
struct builder {
	uint8_t *hdr; /* next free header byte */
	unsigned pieces;
	uint32_t bytes;
};

static void iov_add(struct tcp_queue *t, void *base, size_t len)
{
	struct iovec *prev = t->tx_iov_n ? &t->tx_iov[t->tx_iov_n - 1] : NULL;

	/* Headers without payload between them lie side by side: one element for all of them. */
	if (prev && (uint8_t *)prev->iov_base + prev->iov_len == base) {
		prev->iov_len += len;
		return;
	}
	t->tx_iov[t->tx_iov_n++] = (struct iovec){ .iov_base = base, .iov_len = len };
}

static void build_payload(struct tcp_queue *t, struct builder *b, unsigned index, uint32_t offset,
			  uint32_t len)
{
	uint8_t *data = t->q.slots[index].cmd->data + offset;

	iov_add(t, data, len);
	b->bytes += len;
	t->slots[index].send_no = t->send_no;
	if (t->ddgst) {
		le32_t digest = le32(crc32c(data, len));

		memcpy(b->hdr, &digest, sizeof(digest));
		iov_add(t, b->hdr, sizeof(digest));
		b->hdr += sizeof(digest);
	}
}

static void build_cmd(struct tcp_queue *t, struct builder *b, unsigned index)
{
	struct slot *slot = &t->q.slots[index];
	struct tcp_slot *ts = &t->slots[index];
	uint32_t data_len = ts->in_capsule ? slot->cmd->len : 0;
	uint32_t n = wire_encode_cmd(b->hdr, &slot->cmd->sqe, data_len, t->hdgst, t->ddgst);

	iov_add(t, b->hdr, n);
	b->hdr += n;
	slot->state = SLOT_SENT;
	if (data_len) {
		ts->moved = data_len;
		build_payload(t, b, index, 0, data_len);
	}
}

/* One H2CData PDU of what an R2T asked for; true when that was the last. */
static bool build_data(struct tcp_queue *t, struct builder *b, struct tx_entry *e)
{
	uint32_t len = MIN(e->len, t->maxh2cdata);
	bool last = len == e->len;
	uint32_t n = wire_encode_h2c(b->hdr, e->cid, e->ttag, e->offset, len, last, t->hdgst,
				     t->ddgst);

	iov_add(t, b->hdr, n);
	b->hdr += n;
	build_payload(t, b, e->slot, e->offset, len);
	e->offset += len;
	e->len -= len;
	if (last)
		t->slots[e->slot].r2t_open--;
	return last;
}

/* Fills the send vector from what waits; false when there is nothing. */
static bool send_build(struct tcp_queue *t)
{
	struct builder b = { .hdr = t->tx_hdrs };

	if (t->tx_iov_n > t->tx_iov_at)
		return true;
	t->tx_iov_n = 0;
	t->tx_iov_at = 0;
	if (!t->live)
		return false;
	t->send_no++;
	while (t->tx_len && b.pieces < TCP_TX_PIECES && b.bytes < TCP_TX_BYTES) {
		struct tx_entry *e = &t->tx[t->tx_head];
		struct slot *slot = &t->q.slots[e->slot];
		bool finished = true;

		if (slot->cid == e->cid &&
		    (slot->state == SLOT_QUEUED || slot->state == SLOT_SENT)) {
			b.pieces++;
			if (e->data)
				finished = build_data(t, &b, e);
			else
				build_cmd(t, &b, e->slot);
		}
		if (finished) {
			t->tx_head = (t->tx_head + 1) % t->tx_cap;
			t->tx_len--;
		}
	}
	return t->tx_iov_n > 0;
}

static void tcp_queue_flush(struct queue *q)
{
	struct tcp_queue *t = tcp_queue(q);
	struct io_uring_sqe *sqe;

	if (!t->sending && send_build(t)) {
		t->tx_msg = (struct msghdr){ .msg_iov = t->tx_iov + t->tx_iov_at,
					     .msg_iovlen = t->tx_iov_n - t->tx_iov_at };
		sqe = initiator_sqe(q->in);
		io_uring_prep_sendmsg(sqe, t->fd, &t->tx_msg, MSG_WAITALL | MSG_NOSIGNAL);
		initiator_sqe_bind(sqe, q, RING_SEND);
		t->sending = true;
	}
	if (!t->recv_armed) {
		sqe = initiator_sqe(q->in);
		io_uring_prep_recv(sqe, t->fd, t->rx_buf, t->rx_size, 0);
		/*
		 * Receiving right behind the send would pick up the first answer alone and halve the
		 * batch; unless it is known that something is there, wait for the socket first.
		 */
		if (!t->sock_nonempty)
			sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
		initiator_sqe_bind(sqe, q, RING_RECV);
		t->recv_armed = true;
	}
}

/* Commands that ended while their payload was still being sent may go now. */
static void held_release(struct queue *q)
{
	for (unsigned i = 0; i < q->n_slots && q->n_held; i++)
		if (q->slots[i].state == SLOT_HELD)
			queue_slot_release(q, &q->slots[i]);
}

/* @n bytes of the vector were sent. */
static void sent(struct tcp_queue *t, uint32_t n)
{
	while (n) {
		struct iovec *iov = &t->tx_iov[t->tx_iov_at];
		size_t part = MIN((size_t)n, iov->iov_len);

		iov->iov_base = (uint8_t *)iov->iov_base + part;
		iov->iov_len -= part;
		n -= (uint32_t)part;
		if (iov->iov_len == 0)
			t->tx_iov_at++;
	}
	if (t->tx_iov_at == t->tx_iov_n && t->q.n_held)
		held_release(&t->q);
}

/* ------------------------------------------------------------------------------------------- ring */

static void recv_done(struct tcp_queue *t, int res, unsigned flags)
{
	struct queue *q = &t->q;
	struct initiator *in = q->in;

	t->recv_armed = false;
	t->sock_nonempty = flags & IORING_CQE_F_SOCK_NONEMPTY;
	if (in->failed)
		return;
	if (res == -EINTR || res == -EAGAIN) {
		initiator_queue_dirty(q);
		return;
	}
	if (res < 0) {
		initiator_fail(in, true, "connection lost on queue %u: %s", q->qid, strerror(-res));
		return;
	}
	if (res == 0) {
		initiator_fail(in, true, "queue %u: the controller closed the connection%s", q->qid,
			       t->live ? "" : " instead of answering ICReq");
		return;
	}
	in->counters.rx_bytes += (uint64_t)res;
	if (tcp_received(t, t->rx_buf, (size_t)res))
		initiator_queue_dirty(q);
}

static void send_done(struct tcp_queue *t, int res)
{
	struct queue *q = &t->q;
	struct initiator *in = q->in;

	t->sending = false;
	if (in->failed)
		return;
	if (res < 0 && res != -EINTR && res != -EAGAIN) {
		initiator_fail(in, true, "connection lost on queue %u: %s", q->qid, strerror(-res));
		return;
	}
	if (res > 0) {
		in->counters.tx_bytes += (uint64_t)res;
		sent(t, (uint32_t)res);
	}
	if (t->tx_len || t->tx_iov_at < t->tx_iov_n)
		initiator_queue_dirty(q);
}

static void tcp_ring_done(struct queue *q, unsigned kind, int res, unsigned flags)
{
	if (kind == RING_SEND)
		send_done(tcp_queue(q), res);
	else
		recv_done(tcp_queue(q), res, flags);
}

/* --------------------------------------------------------------------------------------- Identify */

static const char *tcp_id_fault(const struct nvme_id_ctrl *id)
{
	(void)id;
	return NULL;
}

/* IOCCSZ counts the 64 bytes of the command too, in units of 16. */
static uint32_t tcp_in_capsule(const struct nvme_id_ctrl *id)
{
	return le32_get(id->ioccsz) * 16 - 64;
}

const struct fabric_ops tcp_fabric = {
	.name = "tcp",
	.queue_size = sizeof(struct tcp_queue),
	.queue_init = tcp_queue_init,
	.queue_fini = tcp_queue_fini,
	.queue_open = tcp_queue_open,
	.cmd_queue = tcp_cmd_queue,
	.queue_flush = tcp_queue_flush,
	.ring_done = tcp_ring_done,
	.queue_break = tcp_queue_break,
	.queue_close = tcp_queue_close,
	.id_fault = tcp_id_fault,
	.in_capsule = tcp_in_capsule,
};
