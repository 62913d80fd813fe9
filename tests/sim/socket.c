/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets that are simulated, and the system calls on them, which the linker directs here (--wrap). Each
 * connection is two streams of bytes. The host takes and gives by host_*(); the target by requests
 * of its ring, which end with as much as it pleases.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "kernel.h"

enum { SOCKETS = 1024 };

struct stream {
	uint8_t *bytes; /* owned; what was not taken yet is from `begin` to `end` */
	size_t begin, end, room;
	uint64_t given, taken; /* bytes, since the beginning */
};

struct sim_sock {
	int fd;
	unsigned refs; /* the target's descriptor, the host's end, requests, the listener's queue */
	bool listening, target_open, host_open;
	uint16_t port;
	struct list queue; /* of a listening one: sim_sock.link, connections to be accepted */
	struct list link;
	struct stream in; /* from the host */
	struct stream out;
	bool host_ended; /* a FIN is behind what is in `in` */
	bool reset;
	bool no_receive, no_send; /* the target shut that side down */
	uint64_t heard_ns;       /* when the last bytes came from the host */
};

static struct sim_sock *sockets[SOCKETS];

static size_t stream_len(const struct stream *stream)
{
	return stream->end - stream->begin;
}

static void stream_put(struct stream *stream, const void *bytes, size_t len)
{
	if (!len)
		return;
	if (stream->begin == stream->end)
		stream->begin = stream->end = 0;
	if (stream->room - stream->end < len) {
		stream->room = 2 * stream->room + len;
		stream->bytes = realloc(stream->bytes, stream->room);
		SIM_CHECK(stream->bytes, "no memory for the simulation itself");
	}
	memcpy(stream->bytes + stream->end, bytes, len);
	stream->end += len;
	stream->given += len;
}

static size_t stream_take(struct stream *stream, void *bytes, size_t max)
{
	size_t n = MIN(stream_len(stream), max);

	if (!n)
		return 0;
	memcpy(bytes, stream->bytes + stream->begin, n);
	stream->begin += n;
	stream->taken += n;
	return n;
}

static struct sim_sock *socket_new(void)
{
	struct sim_sock *sock = sim_alloc(sizeof(*sock));
	unsigned i = 0;

	while (i < SOCKETS && sockets[i])
		i++;
	SIM_CHECK(i < SOCKETS, "more sockets than are simulated");
	sockets[i] = sock;
	sock->fd = SIM_FD + (int)i;
	sock->refs = 1;
	list_init(&sock->queue);
	list_init(&sock->link);
	return sock;
}

static struct sim_sock *socket_find(int fd)
{
	return fd >= SIM_FD && fd < SIM_FD + SOCKETS ? sockets[fd - SIM_FD] : NULL;
}

struct sim_sock *socket_of(int fd)
{
	struct sim_sock *sock = socket_find(fd);

	SIM_CHECK(socket_is_open(fd), "descriptor %d is not open", fd);
	return sock;
}

bool socket_is_open(int fd)
{
	const struct sim_sock *sock = socket_find(fd);

	return sock && sock->target_open;
}

void socket_hold(struct sim_sock *sock)
{
	sock->refs++;
}

void socket_let_go(struct sim_sock *sock)
{
	if (--sock->refs)
		return;
	SIM_CHECK(list_empty(&sock->queue), "a listening socket ends with connections");
	sockets[sock->fd - SIM_FD] = NULL;
	free(sock->in.bytes);
	free(sock->out.bytes);
	free(sock);
}

unsigned socket_count(bool of_target)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SOCKETS; i++)
		n += sockets[i] && (!of_target || sockets[i]->target_open);
	return n;
}

/* ---------------------------------------------------------------------------------------- requests */

static void accept_end(struct request *request, int res)
{
	/* The kernel ends a request for many when it likes. */
	if (res >= 0 && sim_chance(900))
		request_tell(request, res, IORING_CQE_F_MORE);
	else
		request_end(request, res, 0);
}

bool socket_accept(struct request *request)
{
	struct sim_sock *sock = request->sock, *conn;

	if (!sock->listening) {
		request_end(request, -EINVAL, 0);
		return true;
	}
	if (list_empty(&sock->queue))
		return false;
	if (sim_chance(sim.knobs.accept_error)) {
		accept_end(request, sim_chance(500) ? -EMFILE : -ECONNABORTED);
		return true;
	}
	conn = list_entry(list_pop(&sock->queue), struct sim_sock, link);
	conn->target_open = true; /* the queue's reference is the descriptor's now */
	accept_end(request, conn->fd);
	return true;
}

/* Some of @most bytes: often all, or a few. */
static size_t some_of(size_t most)
{
	switch (sim_below(4)) {
	case 0:
		return most;
	case 1:
		return MIN(most, 1 + (size_t)sim_below(16));
	case 2:
		return MIN(most, 1 + (size_t)sim_below(4096));
	default:
		return 1 + sim_below((uint32_t)most);
	}
}

static void receive_some(struct request *request, struct stream *in, uint32_t flags)
{
	size_t n = some_of(stream_len(in)), moved = 0;

	for (unsigned i = 0; i < request->n_iov && moved < n; i++)
		moved += stream_take(in, request->iov[i].iov_base,
				     MIN(request->iov[i].iov_len, n - moved));
	if (stream_len(in))
		flags |= IORING_CQE_F_SOCK_NONEMPTY;
	request_end(request, (int)moved, flags);
}

bool socket_receive(struct request *request)
{
	struct sim_sock *sock = request->sock;
	uint32_t len, flags = 0;
	uint16_t id;
	void *addr;

	if (sock->reset) {
		request_end(request, -ECONNRESET, 0);
		return true;
	}
	if (sock->no_receive || (sock->host_ended && !stream_len(&sock->in))) {
		request_end(request, 0, 0);
		return true;
	}
	if (!stream_len(&sock->in))
		return false;
	if (sim_chance(sim.knobs.recv_interrupted)) {
		request_end(request, sim_chance(500) ? -EINTR : -EAGAIN, 0);
		return true;
	}
	if (request->sqe.flags & IOSQE_BUFFER_SELECT) {
		if (sim_chance(sim.knobs.recv_interrupted) ||
		    !ring_buffer_take(request->loop, &addr, &len, &id)) {
			request_end(request, -ENOBUFS, 0);
			return true;
		}
		request->one = (struct iovec){ addr, len };
		flags = IORING_CQE_F_BUFFER | (uint32_t)id << IORING_CQE_BUFFER_SHIFT;
	}
	receive_some(request, &sock->in, flags);
	return true;
}

static bool is_zero_copy(const struct request *request)
{
	return request->sqe.opcode == IORING_OP_SENDMSG_ZC;
}

/* CRC of all that the request points at. */
static uint32_t request_crc(const struct request *request)
{
	uint32_t crc = CRC32C_INIT;
	size_t left = request->moved;

	for (unsigned i = 0; i < request->n_iov && left; i++) {
		size_t n = MIN(request->iov[i].iov_len, left);

		crc = crc32c_update(crc, request->iov[i].iov_base, n);
		left -= n;
	}
	return crc;
}

/* Puts up to @n bytes of what is to be sent into the stream. */
static void send_some(struct request *request, size_t n)
{
	size_t skip = request->moved;

	request->moved += n;
	for (unsigned i = 0; i < request->n_iov && n; i++) {
		const struct iovec *iov = &request->iov[i];
		size_t here = iov->iov_len - MIN(iov->iov_len, skip), step = MIN(here, n);

		if (step)
			stream_put(&request->sock->out, (char *)iov->iov_base + skip, step);
		skip -= MIN(iov->iov_len, skip);
		n -= step;
	}
}

static void send_zc_check(const struct request *request)
{
	/* IORING_RECVSEND_FIXED_BUF: all of it has to be in there. */
	for (unsigned i = 0; i < request->n_iov && request->sqe.ioprio & IORING_RECVSEND_FIXED_BUF;
	     i++)
		SIM_CHECK(ring_buffer_has(request->loop, request->sqe.buf_index,
					  request->iov[i].iov_base, request->iov[i].iov_len),
			  "a zero-copy send of what is not in its registered buffer");
}

/* The request has got as far as it will. */
static void send_end(struct request *request)
{
	if (!is_zero_copy(request)) {
		request_end(request, (int)request->moved, 0);
		return;
	}
	request_tell(request, (int)request->moved, IORING_CQE_F_MORE);
	request->kind = REQUEST_NOTIFY;
	request->sent_end = request->sock->out.given;
	request->crc = request_crc(request);
}

static void send_refused(struct request *request, int error)
{
	if (is_zero_copy(request) && sim_chance(500)) {
		request_tell(request, error, IORING_CQE_F_MORE);
		request_end(request, 0, IORING_CQE_F_NOTIF);
		return;
	}
	/* What was sent before counts. */
	request_end(request, request->moved ? (int)request->moved : error, 0);
}

bool socket_send(struct request *request)
{
	struct sim_sock *sock = request->sock;
	size_t left = request->len - request->moved, waiting = stream_len(&sock->out), room;

	if (sock->reset || sock->no_send) {
		send_refused(request, sock->reset ? -ECONNRESET : -EPIPE);
		return true;
	}
	if (is_zero_copy(request)) {
		send_zc_check(request);
		if (sim_chance(sim.knobs.send_zc_refused)) {
			send_refused(request, sim_chance(500) ? -ENOMEM : -ENOBUFS);
			return true;
		}
	}
	room = sim.knobs.send_room > waiting ? sim.knobs.send_room - waiting : 0;
	if (!room)
		return false;
	send_some(request, MIN(left, sim_chance(700) ? room : some_of(room)));
	if (!sock->host_open) {
		/* Nobody reads it: the other end answers with a reset, sooner or later. */
		sock->out.taken = sock->out.given;
		sock->out.begin = sock->out.end;
		sock->reset = sim_chance(500);
	}
	if (request->moved == request->len || is_zero_copy(request) ||
	    sim_chance(sim.knobs.send_short))
		send_end(request);
	return true;
}

bool socket_notify(struct request *request)
{
	const struct sim_sock *sock = request->sock;

	if (!sock->reset && sock->out.taken < request->sent_end)
		return false;
	/* A peer that has not taken all of it may ask for it again. */
	SIM_CHECK(request_crc(request) == request->crc,
		  "the pages of a zero-copy send changed before the kernel was done with them");
	request_end(request, sim_chance(100) ? (int)IORING_NOTIF_USAGE_ZC_COPIED : 0,
		    IORING_CQE_F_NOTIF);
	return true;
}

/* -------------------------------------------------------------------------------------- the host's */

static struct sim_sock *listening(uint16_t port)
{
	for (unsigned i = 0; i < SOCKETS; i++)
		if (sockets[i] && sockets[i]->listening && sockets[i]->port == port)
			return sockets[i];
	return NULL;
}

struct sim_sock *host_connect(uint16_t port)
{
	struct sim_sock *listener = listening(port), *sock;

	if (!listener)
		return NULL;
	sock = socket_new();
	sock->port = port;
	sock->host_open = true;
	socket_hold(sock); /* the queue's */
	list_add_tail(&listener->queue, &sock->link);
	return sock;
}

void host_send(struct sim_sock *sock, const void *bytes, size_t len)
{
	if (sock->reset || sock->no_receive)
		return;
	stream_put(&sock->in, bytes, len);
	sock->heard_ns = sim.now_ns;
}

size_t host_receive(struct sim_sock *sock, void *bytes, size_t max)
{
	return stream_take(&sock->out, bytes, max);
}

size_t host_pending(const struct sim_sock *sock)
{
	return stream_len(&sock->out);
}

bool host_sees_end(const struct sim_sock *sock)
{
	return sock->reset || (sock->no_send && !stream_len(&sock->out));
}

bool host_is_held(const struct sim_sock *sock)
{
	return sock->target_open || !list_empty(&sock->link);
}

void host_close(struct sim_sock *sock, bool reset)
{
	sock->host_open = false;
	sock->host_ended = true;
	if (reset) {
		sock->reset = true;
		sock->in.begin = sock->in.end;
	} else {
		/* Nobody reads any more; a host's kernel answers what comes with a reset. */
		sock->out.taken += stream_len(&sock->out);
		sock->out.begin = sock->out.end;
	}
	socket_let_go(sock);
}

/* ----------------------------------------------------------------------------------- system calls */

int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_listen(int fd, int backlog);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_shutdown(int fd, int how);
int __wrap_close(int fd);
int __real_close(int fd);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len);

int __wrap_socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)type;
	(void)protocol;
	struct sim_sock *sock = socket_new();

	sock->target_open = true;
	return sock->fd;
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	SIM_CHECK(addr->sa_family == AF_INET && len == sizeof(struct sockaddr_in),
		  "IPv4 addresses are simulated");
	socket_of(fd)->port = ntohs(((const struct sockaddr_in *)addr)->sin_port);
	return 0;
}

int __wrap_listen(int fd, int backlog)
{
	struct sim_sock *sock = socket_of(fd);

	(void)backlog;
	if (listening(sock->port)) {
		errno = EADDRINUSE;
		return -1;
	}
	sock->listening = true;
	return 0;
}

/* Called with AF_UNSPEC alone, to forget what was sent. */
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)len;
	SIM_CHECK(addr->sa_family == AF_UNSPEC, "a target connects");
	socket_of(fd)->reset = true;
	return 0;
}

/* Connections that nobody will accept are reset. */
static void listening_end(struct sim_sock *sock)
{
	struct list *node;

	sock->listening = false;
	while ((node = list_pop(&sock->queue))) {
		struct sim_sock *conn = list_entry(node, struct sim_sock, link);

		conn->reset = true;
		socket_let_go(conn);
	}
}

int __wrap_shutdown(int fd, int how)
{
	struct sim_sock *sock = socket_of(fd);

	if (sock->listening)
		listening_end(sock);
	sock->no_receive |= how == SHUT_RD || how == SHUT_RDWR;
	sock->no_send |= how == SHUT_WR || how == SHUT_RDWR;
	return 0;
}

int __wrap_close(int fd)
{
	struct sim_sock *sock = socket_find(fd);

	if (!sock)
		return fd < SIM_FD ? __real_close(fd) : 0; /* else a disk's */
	SIM_CHECK(sock->target_open, "descriptor %d is closed twice", fd);
	if (sock->listening)
		listening_end(sock);
	sock->target_open = false;
	/* Bytes that were never read make a reset of what should have been an end. */
	if (stream_len(&sock->in))
		sock->reset = true;
	sock->no_send = sock->no_receive = true;
	socket_let_go(sock);
	return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	(void)level;
	(void)name;
	(void)value;
	(void)len;
	socket_of(fd);
	return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	const struct sim_sock *sock = socket_of(fd);

	if (level == IPPROTO_TCP && name == TCP_INFO) {
		struct tcp_info *info = value;

		info->tcpi_bytes_acked = sock->out.taken;
		info->tcpi_last_data_recv = (uint32_t)((sim.now_ns - sock->heard_ns) / 1000000);
		*len = sizeof(struct tcp_info);
		return 0;
	}
	errno = ENOPROTOOPT;
	return -1;
}

static int address_give(int fd, unsigned host, uint16_t port, struct sockaddr *addr, socklen_t *len)
{
	const struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host),
	};

	socket_of(fd);
	memcpy(addr, &in, MIN((size_t)*len, sizeof(in)));
	*len = sizeof(in);
	return 0;
}

int __wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return address_give(fd, 1, (uint16_t)(fd - SIM_FD + 1), addr, len);
}

int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return address_give(fd, 0, socket_of(fd)->port, addr, len);
}
