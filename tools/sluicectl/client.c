/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* Says who may use the socket at @path. */
static void explain_permission(const char *path, char *error, size_t size)
{
	struct stat st;
	const struct group *group;

	if (stat(path, &st)) {
		snprintf(error, size, "%s: permission denied for its directory; try as root", path);
		return;
	}
	group = getgrgid(st.st_gid);
	if (group)
		snprintf(error, size, "%s: permission denied; only its owner, root and members of "
			 "group %s may ask sluiced", path, group->gr_name);
	else
		snprintf(error, size, "%s: permission denied; only its owner, root and members of "
			 "group %u may ask sluiced", path, (unsigned)st.st_gid);
}

static void explain_connect(int rc, const char *path, char *error, size_t size)
{
	switch (rc) {
	case -ENOENT:
		snprintf(error, size, "%s: there is no such socket; is sluiced running? --socket "
			 "names another, as [daemon] control_socket has it", path);
		break;
	case -ECONNREFUSED:
		snprintf(error, size, "%s: nobody listens there; is sluiced running?", path);
		break;
	case -EACCES:
		explain_permission(path, error, size);
		break;
	case -EAGAIN:
		snprintf(error, size, "%s: sluiced has too many clients; try again", path);
		break;
	default:
		snprintf(error, size, "%s: cannot connect: %s", path, strerror(-rc));
	}
}

static int client_connect(const char *path, int timeout_s, char *error, size_t size)
{
	const struct timeval timeout = { .tv_sec = timeout_s };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(error, size, "%s: longer than a socket's path may be, %zu bytes", path,
			 sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		rc = -errno;
		explain_connect(rc, path, error, size);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	return fd;
}

/* Reads one line into *@reply, which the caller frees in any case. */
static int line_read(int fd, char **reply)
{
	size_t len = 0, room = 0;

	for (;;) {
		ssize_t n;

		if (len + 1 >= room) {
			char *more;

			room = room ? 2 * room : 64 << 10;
			if (room > CLIENT_REPLY_MAX)
				return -EMSGSIZE;
			more = realloc(*reply, room);
			if (!more)
				return -ENOMEM;
			*reply = more;
		}
		n = recv(fd, *reply + len, room - len - 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		len += (size_t)n;
		if ((*reply)[len - 1] == '\n') {
			(*reply)[len - 1] = '\0';
			return 0;
		}
	}
}

static void explain_reply(int rc, const char *path, int timeout_s, char *error, size_t size)
{
	switch (rc) {
	case -EAGAIN:
		snprintf(error, size, "%s: sluiced did not answer within %d s; its log may say why",
			 path, timeout_s);
		break;
	case -ECONNRESET:
		snprintf(error, size, "%s: sluiced closed the connection without an answer; is it "
			 "stopping?", path);
		break;
	case -EMSGSIZE:
		snprintf(error, size, "%s: the answer is longer than %d MiB; is that sluiced?",
			 path, CLIENT_REPLY_MAX >> 20);
		break;
	default:
		snprintf(error, size, "%s: no answer: %s", path, strerror(-rc));
	}
}

int client_ask(const char *path, const char *verb, char **reply, char *error, size_t error_size)
{
	char request[128];

	snprintf(request, sizeof(request), "{\"verb\": \"%s\"}", verb);
	return client_request(path, request, CLIENT_TIMEOUT_S, reply, error, error_size);
}

int client_request(const char *path, const char *request, int timeout_s, char **reply, char *error,
		   size_t error_size)
{
	const struct iovec line[] = { { (void *)(uintptr_t)request, strlen(request) },
				      { (void *)(uintptr_t)"\n", 1 } };
	const struct msghdr message = { .msg_iov = (void *)(uintptr_t)line, .msg_iovlen = 2 };
	int fd = client_connect(path, timeout_s, error, error_size);
	int rc = 0;

	*reply = NULL;
	if (fd < 0)
		return fd;
	/*
	 * A failed send is no news yet: a daemon with too many clients says so and closes, and what
	 * it said can still be read.
	 */
	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		rc = -errno;
	if (!rc || rc == -EPIPE || rc == -ECONNRESET)
		rc = line_read(fd, reply);
	close(fd);
	if (rc) {
		explain_reply(rc, path, timeout_s, error, error_size);
		free(*reply);
		*reply = NULL;
	}
	return rc;
}
