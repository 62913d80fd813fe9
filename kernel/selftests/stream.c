/* SPDX-License-Identifier: GPL-2.0-only */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.h"
#include "stream.h"

enum {
	SEND_LEN = 96 * 1024,
	CONNECT_MS_MAX = 20000,
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Of eight bytes of the stream. */
static uint64_t word_at(unsigned int stream, uint64_t index)
{
	uint64_t x = index * 0x9e3779b97f4a7c15ULL + (stream + 1) * 0xbf58476d1ce4e5b9ULL;

	x ^= x >> 29;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 32;
}

static uint8_t byte_at(unsigned int stream, uint64_t pos)
{
	return (uint8_t)(word_at(stream, pos / 8) >> pos % 8 * 8);
}

/* Little-endian, as the machines are that have the guest's emulation. */
static void stream_fill(unsigned int stream, uint64_t pos, uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t word = word_at(stream, (pos + i) / 8);

		memcpy(data + i, &word, 8);
	}
	for (; i < len; i++)
		data[i] = byte_at(stream, pos + i);
}

size_t stream_compare(unsigned int stream, uint64_t pos, const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len && (pos + i) % 8) {
		if (data[i] != byte_at(stream, pos + i))
			return i;
		i++;
	}
	for (; i + 8 <= len; i += 8) {
		uint64_t word = word_at(stream, (pos + i) / 8);

		if (memcmp(data + i, &word, 8))
			break;
	}
	while (i < len && data[i] == byte_at(stream, pos + i))
		i++;
	return i;
}

/* The length of the address. */
static socklen_t address_parse(const char *text, uint16_t port, union address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons(port);
		return sizeof(address->v4);
	}
	if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) != 1)
		fatal("%s is no address", text);
	address->v6.sin6_family = AF_INET6;
	address->v6.sin6_port = htons(port);
	return sizeof(address->v6);
}

static int socket_open(const union address *address)
{
	int one = 1, fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		fatal("a socket: %s", result_text(-errno));
	return fd;
}

static void netns_enter(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fatal("network namespace %s: %s", name, result_text(-errno));
	close(fd);
}

/*
 * The sender: from a port that is known, so that a hash over addresses and ports is. It inherited
 * the receiver's rings, which keep the receiver's sockets open: it must not outlive the receiver.
 */
static _Noreturn void stream_send(const struct stream_params *params, unsigned int stream)
{
	static uint8_t data[SEND_LEN];
	union address to, from = { 0 };
	uint16_t port = (uint16_t)(params->port + 1 + stream);
	socklen_t address_len;
	uint64_t pos = 0;
	char last;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	netns_enter(params->netns);
	address_len = address_parse(params->address, params->port, &to);
	from.any.sa_family = to.any.sa_family;
	from.v4.sin_port = htons(port); /* the port is in the same place for IPv6 */
	fd = socket_open(&to);
	if (bind(fd, &from.any, address_len) || connect(fd, &to.any, address_len))
		fatal("stream %u: cannot connect to %s port %u: %s", stream, params->address,
		      params->port, result_text(-errno));
	/* one byte from the receiver: it has accepted all streams and is ready */
	if (read(fd, &last, 1) != 1)
		fatal("stream %u: the receiver does not begin", stream);
	while (pos < params->len) {
		size_t len = params->len - pos < SEND_LEN ? (size_t)(params->len - pos) : SEND_LEN;
		size_t done = 0;

		stream_fill(stream, pos, data, len);
		while (done < len) {
			ssize_t sent = send(fd, data + done, len - done, MSG_NOSIGNAL);

			if (sent <= 0)
				fatal("stream %u: sending at %llu: %s", stream,
				      (unsigned long long)(pos + done), result_text(-errno));
			done += (size_t)sent;
		}
		pos += len;
	}
	shutdown(fd, SHUT_WR);
	/* the receiver closes when it has seen the end */
	while (read(fd, &last, 1) > 0)
		;
	_exit(0);
}

static int stream_accept(int listener)
{
	struct timeval limit = { .tv_sec = CONNECT_MS_MAX / 1000 };
	int fd;

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		fatal("no connection within %d ms: %s", CONNECT_MS_MAX, result_text(-errno));
	return fd;
}

/* By the port that it comes from. */
static unsigned int stream_number(int fd, uint16_t port)
{
	union address peer;
	socklen_t len = sizeof(peer);

	if (getpeername(fd, &peer.any, &len))
		fatal("a connection without a peer: %s", result_text(-errno));
	return (unsigned int)ntohs(peer.v4.sin_port) - port - 1;
}

void streams_start(const struct stream_params *params, int *sockets, pid_t *senders)
{
	union address own;
	socklen_t len = address_parse(params->address, params->port, &own);
	int listener = socket_open(&own), rcvbuf = (int)params->rcvbuf;
	unsigned int i, stream;

	/* accepted sockets take it over */
	if (setsockopt(listener, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)))
		fatal("a receive buffer of %d bytes: %s", rcvbuf, result_text(-errno));
	if (bind(listener, &own.any, len) || listen(listener, STREAMS_MAX))
		fatal("cannot listen on %s port %u: %s", params->address, params->port,
		      result_text(-errno));
	for (i = 0; i < params->streams; i++) {
		senders[i] = fork();
		if (senders[i] < 0)
			fatal("a process that sends: %s", result_text(-errno));
		if (!senders[i])
			stream_send(params, i);
	}
	for (i = 0; i < params->streams; i++) {
		int fd = stream_accept(listener);

		stream = stream_number(fd, params->port);
		if (stream >= params->streams)
			fatal("a connection from an unknown port");
		sockets[stream] = fd;
	}
	close(listener);
	for (i = 0; i < params->streams; i++) {
		if (send(sockets[i], "", 1, 0) != 1)
			fatal("stream %u: cannot let it begin: %s", i, result_text(-errno));
	}
}

bool streams_end(unsigned int streams, const int *sockets, const pid_t *senders)
{
	bool passed = true;
	unsigned int i;
	int status;

	for (i = 0; i < streams; i++)
		close(sockets[i]);
	for (i = 0; i < streams; i++) {
		if (waitpid(senders[i], &status, 0) != senders[i] || status)
			passed = false;
	}
	return passed;
}
