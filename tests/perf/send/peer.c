/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

/* Takes `left` bytes off; -1 when the connection ends first. MSG_TRUNC: without copying them. */
static int bytes_discard(int fd, uint64_t left)
{
	static char room[PIECE_BYTES];

	while (left) {
		size_t want = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
		ssize_t n = recv(fd, room, want, MSG_TRUNC);

		if (n <= 0)
			return -1;
		left -= (uint64_t)n;
	}
	return 0;
}

void peer_serve(void)
{
	const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PEER_PORT) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	uint64_t len_bytes;

	if (listener < 0 || bind(listener, (const struct sockaddr *)&any, sizeof(any)) ||
	    listen(listener, 1))
		err(1, "cannot listen on port %d", PEER_PORT);
	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			err(1, "accept");
		while (recv(fd, &len_bytes, sizeof(len_bytes), MSG_WAITALL) == sizeof(len_bytes) &&
		       !bytes_discard(fd, len_bytes))
			if (send(fd, "", 1, MSG_NOSIGNAL) != 1)
				break;
		close(fd);
	}
}

int peer_connect(const char *text)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(PEER_PORT) };
	const int one = 1;

	if (inet_pton(AF_INET, text, &peer.sin_addr) != 1)
		errx(2, "'%s' is no IPv4 address", text);
	for (int tries = 0; tries < PEER_WAIT_S; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			err(1, "socket");
		if (!connect(fd, (struct sockaddr *)&peer, sizeof(peer))) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			return fd;
		}
		close(fd);
		sleep(1);
	}
	err(1, "no peer at %s for %d s", text, PEER_WAIT_S);
}

void peer_announce(int fd, uint64_t len_bytes)
{
	if (send(fd, &len_bytes, sizeof(len_bytes), MSG_NOSIGNAL) != sizeof(len_bytes))
		err(1, "cannot send to the peer");
}

void peer_wait(int fd)
{
	char answer;

	if (recv(fd, &answer, 1, 0) != 1)
		errx(1, "the peer went away");
}
