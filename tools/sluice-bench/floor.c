/* SPDX-License-Identifier: BSD-3-Clause */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/loop.h"
#include "transport/tcp/pdu.h"

enum {
	ANSWER_MAX = PDU_HLEN_DATA + PDU_HLEN_RSP, /* header bytes that one PDU is answered with */
	SEND_IOVS = 512,
	SPIN_CLOCK_EVERY = 64,
	PLACE_ALIGN = 4096,
	READY_POLL_US = 200,
};

/* A turn's answers: headers side by side, payload from where it lies. */
struct batch {
	uint8_t *hdrs;
	size_t hdrs_len;
	struct iovec *iov;
	unsigned n, at;
};

struct conn {
	int fd;
	uint8_t *rx;
	uint8_t *memory;            /* this connection's part */
	uint8_t head[PDU_HLEN_CMD]; /* a PDU's first bytes, where a receive cut through them */
	uint32_t have;
	uint32_t skip;              /* bytes of the PDU that are still to be dropped */
	uint16_t answer_cid;        /* what is answered at the PDU's end */
	bool answer_pending;
	uint16_t sqhd;
	bool recv_armed, sending, sock_nonempty;
	bool touched;               /* in server.touched */
	struct batch fill, out;
	struct msghdr msg;
	uint32_t granted;           /* bytes asked for by R2T and not yet here */
	uint16_t *waiting;          /* commands that wait for an R2T, a ring */
	unsigned wait_head, wait_len;
};

struct server {
	struct floor_shape shape;
	struct floor_counters *counters;
	struct io_uring ring;
	struct conn *conns;
	struct conn **touched;      /* what has to be looked at before the next wait */
	unsigned n_touched;
	uint8_t *hot;
	uint8_t *memory;
	uint64_t memory_each;       /* bytes of a connection's part; 0: none */
	uint64_t random;
};

/* Where the next @len bytes of payload are, or @hot without memory. */
static uint8_t *payload_place(struct server *s, struct conn *c, uint32_t len, uint8_t *hot)
{
	if (!s->memory_each)
		return hot;
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return c->memory + s->random % ((s->memory_each - len) / PLACE_ALIGN + 1) * PLACE_ALIGN;
}

/* ---------------------------------------------------------------------------------------- answers */

static void batch_add(struct batch *b, void *base, size_t len)
{
	struct iovec *prev = b->n ? &b->iov[b->n - 1] : NULL;

	if (prev && (uint8_t *)prev->iov_base + prev->iov_len == base) {
		prev->iov_len += len;
		return;
	}
	b->iov[b->n++] = (struct iovec){ .iov_base = base, .iov_len = len };
}

static void *header_add(struct batch *b, size_t len)
{
	uint8_t *p = b->hdrs + b->hdrs_len;

	b->hdrs_len += len;
	batch_add(b, p, len);
	return p;
}

static void answer_rsp(struct conn *c, uint16_t cid)
{
	struct pdu_rsp *rsp = header_add(&c->fill, sizeof(*rsp));

	*rsp = (struct pdu_rsp){ .hdr = { .type = PDU_RSP, .hlen = PDU_HLEN_RSP,
					  .plen = le32(PDU_HLEN_RSP) },
				 .cqe = { .cid = le16(cid), .sqhd = le16(c->sqhd) } };
}

static void answer_data(struct server *s, struct conn *c, uint16_t cid)
{
	struct pdu_data *data = header_add(&c->fill, sizeof(*data));
	uint8_t flags = s->shape.sqflow ? PDU_FLAG_LAST : PDU_FLAG_LAST | PDU_FLAG_SUCCESS;

	*data = (struct pdu_data){ .hdr = { .type = PDU_C2H_DATA, .flags = flags,
					    .hlen = PDU_HLEN_DATA, .pdo = PDU_HLEN_DATA,
					    .plen = le32(PDU_HLEN_DATA + s->shape.bs) },
				   .cccid = le16(cid), .datal = le32(s->shape.bs) };
	batch_add(&c->fill, payload_place(s, c, s->shape.bs, s->hot), s->shape.bs);
	if (s->shape.sqflow)
		answer_rsp(c, cid);
}

static void answer_r2ts(struct server *s, struct conn *c)
{
	while (c->wait_len && (c->granted == 0 || c->granted + s->shape.bs <= FLOOR_R2T_WINDOW)) {
		struct pdu_r2t *r2t = header_add(&c->fill, sizeof(*r2t));
		uint16_t cid = c->waiting[c->wait_head];

		c->wait_head = (c->wait_head + 1) % s->shape.depth;
		c->wait_len--;
		c->granted += s->shape.bs;
		*r2t = (struct pdu_r2t){ .hdr = { .type = PDU_R2T, .hlen = PDU_HLEN_R2T,
						  .plen = le32(PDU_HLEN_R2T) },
					 .cccid = le16(cid), .r2tl = le32(s->shape.bs) };
	}
}

/* ---------------------------------------------------------------------------------------- receive */

/* A PDU's header is at @p: answers what can be answered now. Returns its whole length. */
static uint32_t pdu_begin(struct server *s, struct conn *c, const uint8_t *p)
{
	const struct pdu_hdr *hdr = (const struct pdu_hdr *)p;
	const struct pdu_cmd *cmd = (const struct pdu_cmd *)p;
	const struct pdu_data *data = (const struct pdu_data *)p;
	uint32_t plen = le32_get(hdr->plen);

	if (hdr->type == PDU_H2C_DATA) {
		c->granted -= le32_get(data->datal);
		c->answer_pending = hdr->flags & PDU_FLAG_LAST;
		c->answer_cid = le16_get(data->cccid);
		return plen;
	}
	c->sqhd = (uint16_t)((c->sqhd + 1) % (s->shape.depth + 1));
	if (cmd->sqe.opcode == NVME_IO_READ) {
		answer_data(s, c, le16_get(cmd->sqe.cid));
	} else if (plen > PDU_HLEN_CMD) {
		c->answer_pending = true;
		c->answer_cid = le16_get(cmd->sqe.cid);
	} else {
		c->waiting[(c->wait_head + c->wait_len++) % s->shape.depth] =
			le16_get(cmd->sqe.cid);
	}
	return plen;
}

static uint32_t header_need(const uint8_t *head, uint32_t have)
{
	if (have < sizeof(struct pdu_hdr))
		return sizeof(struct pdu_hdr);
	return head[0] == PDU_H2C_DATA ? PDU_HLEN_DATA : PDU_HLEN_CMD;
}

static void received(struct server *s, struct conn *c, const uint8_t *p, uint32_t len)
{
	while (len || (c->answer_pending && c->skip == 0)) {
		uint32_t n = MIN(c->skip, len);

		p += n;
		len -= n;
		c->skip -= n;
		if (c->skip)
			return;
		if (c->answer_pending) {
			c->answer_pending = false;
			answer_rsp(c, c->answer_cid);
			continue;
		}
		n = MIN(header_need(c->head, c->have) - c->have, len);
		memcpy(c->head + c->have, p, n);
		c->have += n;
		p += n;
		len -= n;
		if (c->have >= sizeof(struct pdu_hdr) && c->have == header_need(c->head, c->have)) {
			c->skip = pdu_begin(s, c, c->head) - c->have;
			c->have = 0;
		}
	}
	answer_r2ts(s, c);
}

/* ------------------------------------------------------------------------------------------- ring */

static void conn_send(struct server *s, struct conn *c)
{
	struct io_uring_sqe *sqe;
	size_t bytes = 0;
	unsigned n = 0;

	if (c->out.at == c->out.n) {
		struct batch empty = c->out;

		if (c->fill.n == 0)
			return;
		c->out = c->fill;
		empty.n = 0;
		empty.at = 0;
		empty.hdrs_len = 0;
		c->fill = empty;
	}
	while (c->out.at + n < c->out.n && n < SEND_IOVS && bytes < FLOOR_SEND_MAX)
		bytes += c->out.iov[c->out.at + n++].iov_len;
	c->msg = (struct msghdr){ .msg_iov = c->out.iov + c->out.at, .msg_iovlen = n };
	sqe = io_uring_get_sqe(&s->ring);
	io_uring_prep_sendmsg(sqe, c->fd, &c->msg, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)c | 1);
	c->sending = true;
}

static void conn_touch(struct server *s, struct conn *c)
{
	if (!c->touched)
		s->touched[s->n_touched++] = c;
	c->touched = true;
}

static void conn_flush(struct server *s, struct conn *c)
{
	struct io_uring_sqe *sqe;

	c->touched = false;
	if (!c->sending)
		conn_send(s, c);
	if (c->recv_armed)
		return;
	c->rx = payload_place(s, c, FLOOR_RX_SIZE, c->rx);
	sqe = io_uring_get_sqe(&s->ring);
	io_uring_prep_recv(sqe, c->fd, c->rx, FLOOR_RX_SIZE, 0);
	if (!c->sock_nonempty)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)c);
	c->recv_armed = true;
}

static void sent(struct conn *c, uint32_t n)
{
	c->sending = false;
	while (n) {
		struct iovec *iov = &c->out.iov[c->out.at];
		uint32_t part = (uint32_t)MIN((size_t)n, iov->iov_len);

		iov->iov_base = (uint8_t *)iov->iov_base + part;
		iov->iov_len -= part;
		n -= part;
		if (iov->iov_len == 0)
			c->out.at++;
	}
}

static void spin(struct server *s)
{
	uint64_t begin = clock_now_ns();
	uint64_t now = begin;
	unsigned n = 0;

	while (!io_uring_cq_ready(&s->ring) &&
	       !(IO_URING_READ_ONCE(*s->ring.sq.kflags) & IORING_SQ_TASKRUN)) {
		if (++n % SPIN_CLOCK_EVERY == 0) {
			now = clock_now_ns();
			if (now - begin >= FLOOR_SPIN_US * 1000u)
				break;
		}
		__builtin_ia32_pause();
	}
	s->counters->spin_ns += now - begin;
}

/* One turn; false when a connection has ended. */
static bool turn(struct server *s)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	bool alive = true;

	while (s->n_touched)
		conn_flush(s, s->touched[--s->n_touched]);
	io_uring_submit_and_get_events(&s->ring);
	spin(s);
	if (!io_uring_cq_ready(&s->ring))
		io_uring_submit_and_wait(&s->ring, 1);
	io_uring_for_each_cqe(&s->ring, head, cqe) {
		struct conn *c = (struct conn *)(uintptr_t)(cqe->user_data & ~(uint64_t)1);

		n++;
		conn_touch(s, c);
		if (cqe->res <= 0) {
			alive = false;
		} else if (cqe->user_data & 1) {
			sent(c, (uint32_t)cqe->res);
		} else {
			c->recv_armed = false;
			c->sock_nonempty = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
			received(s, c, c->rx, (uint32_t)cqe->res);
		}
	}
	io_uring_cq_advance(&s->ring, n);
	return alive;
}

/* ----------------------------------------------------------------------------------------- server */

static bool batch_init(const struct server *s, struct batch *b)
{
	/* A command has at most an R2T, a response and one payload on the way at a time. */
	b->hdrs = malloc((size_t)(s->shape.depth + 1) * (ANSWER_MAX + PDU_HLEN_R2T));
	b->iov = calloc((size_t)s->shape.depth * 4 + 4, sizeof(*b->iov));
	return b->hdrs && b->iov;
}

static void conn_open(struct server *s, struct conn *c, int listener)
{
	int one = 1;

	c->fd = accept(listener, NULL, NULL);
	c->rx = malloc(FLOOR_RX_SIZE);
	c->waiting = calloc(s->shape.depth, sizeof(*c->waiting));
	if (c->fd < 0 || !c->rx || !c->waiting || !batch_init(s, &c->fill) ||
	    !batch_init(s, &c->out))
		_exit(1);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* As a target's: present from the start, in huge pages if there are any. */
static void memory_open(struct server *s)
{
	size_t len = s->shape.memory;

	if (!len)
		return;
	s->memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->memory == MAP_FAILED)
		_exit(1);
	madvise(s->memory, len, MADV_HUGEPAGE);
	memset(s->memory, 1, len);
	s->memory_each = len / s->shape.queues / PLACE_ALIGN * PLACE_ALIGN;
	s->random = 1;
}

/* Serves one set of connections after the other, until it is killed with its parent. */
static void __attribute__((noreturn)) serve(struct server *s, int listener)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER |
					      IORING_SETUP_DEFER_TASKRUN |
					      IORING_SETUP_TASKRUN_FLAG };

	unsigned entries = MAX(1024u, 2 * s->shape.queues); /* a receive and a send each */

	if (io_uring_queue_init_params(entries, &s->ring, &p)) {
		memset(&p, 0, sizeof(p));
		if (io_uring_queue_init_params(entries, &s->ring, &p))
			_exit(1);
	}
	io_uring_register_ring_fd(&s->ring);
	s->conns = calloc(s->shape.queues, sizeof(*s->conns));
	s->hot = calloc(1, s->shape.bs);
	s->touched = calloc(s->shape.queues, sizeof(struct conn *));
	if (!s->conns || !s->hot || !s->touched)
		_exit(1);
	for (unsigned i = 0; i < s->shape.queues; i++) {
		conn_open(s, &s->conns[i], listener);
		s->conns[i].memory = s->memory + i * s->memory_each;
		conn_touch(s, &s->conns[i]);
	}
	while (turn(s))
		;
	_exit(0);
}

static void pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int listener_open(uint16_t *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 256) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	*port = ntohs(addr.sin_port);
	return fd;
}

int floor_start(struct floor_server *server, const struct floor_shape *shape)
{
	pid_t parent = getpid();
	int listener = listener_open(&server->port);
	struct server s = { .shape = *shape };

	if (listener < 0)
		return listener;
	server->counters = mmap(NULL, sizeof(*server->counters), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (server->counters == MAP_FAILED) {
		close(listener);
		return -ENOMEM;
	}
	s.counters = server->counters;
	server->pid = fork();
	if (server->pid < 0) {
		int rc = -errno;

		munmap(server->counters, sizeof(*server->counters));
		close(listener);
		return rc;
	}
	if (server->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		signal(SIGINT, SIG_IGN);
		pin(shape->cpu);
		memory_open(&s);
		__atomic_store_n(&s.counters->ready, true, __ATOMIC_RELEASE);
		serve(&s, listener);
	}
	close(listener);
	/* What it takes to get the memory is not part of any measurement. */
	while (!__atomic_load_n(&server->counters->ready, __ATOMIC_ACQUIRE)) {
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
			munmap(server->counters, sizeof(*server->counters));
			return -ENOMEM;
		}
		usleep(READY_POLL_US);
	}
	return 0;
}

int floor_connect(const struct floor_server *server, int *fds, unsigned n)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(server->port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	for (unsigned i = 0; i < n; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&addr, sizeof(addr))) {
			int rc = -errno;

			for (unsigned k = 0; k <= i; k++)
				if (fds[k] >= 0)
					close(fds[k]);
			return rc;
		}
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	return 0;
}

void floor_stop(struct floor_server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	munmap(server->counters, sizeof(*server->counters));
}
