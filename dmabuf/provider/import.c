/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dma-buf of another process, such as device memory: one is asked for over a Unix socket, by a
 * protocol that dmabuf/README.md describes. It happens once, at start, and may block for a bounded
 * time; what comes back is checked before any of it is used.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "dmabuf/provider/provider.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

enum {
	IMPORT_TIMEOUT_MS = 20000, /* for all workers; memory may be made for them */
	IMPORT_AGAIN_MS = 10,	   /* between tries while the peer's queue of connections is full */
	IMPORT_ANSWER_MAX = 512,   /* bytes, with the newline */
	IMPORT_DEPTH_MAX = 4,	   /* of the answer's JSON */
	IMPORT_FDS_MAX = 4,	   /* taken to be closed; one is right */
};

/*
 * The areas that there are, by area.link, and what is left of the time to wait for others. One
 * thread makes all areas and gives them back.
 */
static struct list imports = LIST_INIT(imports);
static int64_t wait_left_ms;

/* One conversation with the process that exports. */
struct import {
	struct area *area;
	const char *path;
	int sock;
	int fd; /* the descriptor that came, -1: none yet; owned */
	unsigned n_fds;
	bool fds_cut; /* there were more than could be taken */
	int64_t end_ms;
	char answer[IMPORT_ANSWER_MAX];
	size_t len;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int import_late(struct import *import)
{
	area_why_not(import->area,
		     "import: the process at %s did not answer within %d s, which all workers "
		     "together wait for it: see what keeps it, or lower [daemon] workers",
		     import->path, IMPORT_TIMEOUT_MS / 1000);
	return -ETIMEDOUT;
}

static int import_connect(struct import *import)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int rc;

	assert(strlen(import->path) < sizeof(address.sun_path));
	memcpy(address.sun_path, import->path, strlen(import->path));
	import->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (import->sock < 0) {
		rc = -errno;
		area_why_not(import->area, "import: cannot create a socket: %s", strerror(-rc));
		return rc;
	}
	/* A Unix socket connects at once, or says EAGAIN as long as too many others wait. */
	while (connect(import->sock, (struct sockaddr *)&address, sizeof(address))) {
		rc = -errno;
		if (rc == -EAGAIN && now_ms() < import->end_ms) {
			poll(NULL, 0, IMPORT_AGAIN_MS);
			continue;
		}
		if (rc == -EAGAIN)
			return import_late(import);
		area_why_not(import->area, "import: cannot connect to %s: %s; %s", import->path,
			     strerror(-rc),
			     rc == -ENOENT || rc == -ECONNREFUSED ?
				     "start the process that exports the memory before sluiced, or "
				     "correct [memory] import_socket" :
				     "correct [memory] import_socket, or who may use that socket");
		return rc;
	}
	return 0;
}

static int import_ask(struct import *import)
{
	struct json_object *request = json_object_new_object();
	char line[256];
	int len;

	if (!request)
		return -ENOMEM;
	json_object_object_add(request, "request", json_object_new_string("dma-buf"));
	json_object_object_add(request, "name", json_object_new_string(import->area->name));
	json_object_object_add(request, "size", json_object_new_uint64(import->area->size));
	len = snprintf(line, sizeof(line), "%s\n",
		       json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
	json_object_put(request);
	/* The first bytes on a new connection: there is room for all or the peer is gone. */
	if (send(import->sock, line, (size_t)len, MSG_NOSIGNAL) == len)
		return 0;
	area_why_not(import->area, "import: the process at %s closed the connection", import->path);
	return -ECONNRESET;
}

/* Keeps the first descriptor that ever comes and closes the rest, counting them all. */
static void import_fds_take(struct import *import, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (import->n_fds++)
				close(fd);
			else
				import->fd = fd;
		}
	}
}

/* Receives what is there: >0, 0 at the end of the stream, or negative errno. */
static ssize_t import_receive(struct import *import)
{
	char control[CMSG_SPACE(IMPORT_FDS_MAX * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {
		.iov_base = import->answer + import->len,
		.iov_len = sizeof(import->answer) - import->len,
	};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(import->sock, &msg, MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	import_fds_take(import, &msg);
	import->fds_cut |= (msg.msg_flags & MSG_CTRUNC) != 0;
	import->len += (size_t)n;
	return n;
}

/* Until the answer's newline. */
static int import_listen(struct import *import)
{
	while (!memchr(import->answer, '\n', import->len)) {
		struct pollfd poll_fd = { .fd = import->sock, .events = POLLIN };
		int64_t left_ms = import->end_ms - now_ms();
		ssize_t n;

		if (import->len == sizeof(import->answer)) {
			area_why_not(import->area,
				     "import: the answer of the process at %s has no end "
				     "within %d bytes",
				     import->path, IMPORT_ANSWER_MAX);
			return -EMSGSIZE;
		}
		if (left_ms <= 0)
			return import_late(import);
		if (poll(&poll_fd, 1, (int)left_ms) <= 0)
			continue;
		n = import_receive(import);
		if (n == -EAGAIN || n == -EINTR)
			continue;
		if (n <= 0) {
			area_why_not(import->area,
				     "import: the process at %s closed the connection "
				     "before it answered",
				     import->path);
			return -ECONNRESET;
		}
	}
	return 0;
}

/* The peer's words, in a form that is fit for a log. */
static void import_refused(struct import *import, const char *error)
{
	char text[160];
	size_t i;

	for (i = 0; i < sizeof(text) - 1 && error[i]; i++)
		text[i] = error[i];
	text[i] = '\0';
	for (i = 0; text[i]; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	area_why_not(import->area, "import: the process at %s refuses: %s", import->path, text);
}

/* Reads the answer. 0 with the size that it tells, or negative errno. */
static int import_parse(struct import *import, uint64_t *size)
{
	struct json_tokener *tokener = json_tokener_new_ex(IMPORT_DEPTH_MAX);
	struct json_object *answer = NULL, *value;
	int len = (int)((char *)memchr(import->answer, '\n', import->len) - import->answer);
	int rc = -EPROTO;

	if (tokener)
		answer = json_tokener_parse_ex(tokener, import->answer, len);
	if (json_object_is_type(answer, json_type_object) &&
	    json_object_object_get_ex(answer, "error", &value)) {
		import_refused(import, json_object_get_string(value) ?: "no reason");
		rc = -EREMOTEIO;
	} else if (json_object_is_type(answer, json_type_object) &&
		   json_object_object_get_ex(answer, "size", &value) &&
		   json_object_is_type(value, json_type_int) && json_object_get_int64(value) > 0) {
		*size = json_object_get_uint64(value);
		rc = 0;
	} else {
		area_why_not(import->area,
			     "import: the process at %s answers something else than "
			     "{\"size\": BYTES}",
			     import->path);
	}
	json_object_put(answer);
	if (tokener)
		json_tokener_free(tokener);
	return rc;
}

/* Exactly one descriptor came. */
static int import_fds_check(struct import *import)
{
	struct rlimit limit = { 0 };

	if (import->n_fds == 1 && !import->fds_cut)
		return 0;
	if (!import->n_fds && import->fds_cut) {
		getrlimit(RLIMIT_NOFILE, &limit);
		area_why_not(import->area,
			     "import: cannot take the descriptor from the process at %s: "
			     "RLIMIT_NOFILE is %llu: raise LimitNOFILE= in the service unit "
			     "(ulimit -n); where that is enough, a security module forbids it",
			     import->path, (unsigned long long)limit.rlim_cur);
		return -EMFILE;
	}
	area_why_not(import->area,
		     "import: the process at %s attached %s%u descriptors to its answer instead "
		     "of one, the dma-buf",
		     import->path, import->fds_cut ? "more than " : "", import->n_fds);
	return -EBADMSG;
}

/* Workers in one buffer would overwrite each other's data. Each dma-buf has an inode of its own. */
static int import_unique_check(struct import *import, ino_t inode)
{
	list_for_each(other, &imports, struct area, link) {
		struct stat st;

		if (fstat(other->dmabuf_fd, &st) || st.st_ino != inode)
			continue;
		area_why_not(import->area,
			     "import: the process at %s gave the same dma-buf for %s and %s: "
			     "export one for each",
			     import->path, other->name, import->area->name);
		return -EEXIST;
	}
	return 0;
}

/* What came is a dma-buf that may be read and written, and no other worker's. */
static int import_fd_check(struct import *import)
{
	struct statfs fs;
	struct stat st;
	int rc = import_fds_check(import);

	if (rc)
		return rc;
	if (fstatfs(import->fd, &fs) || fs.f_type != DMA_BUF_MAGIC || fstat(import->fd, &st)) {
		area_why_not(import->area,
			     "import: what the process at %s gave is no dma-buf (a memfd "
			     "becomes one by /dev/udmabuf)",
			     import->path);
		return -EBADMSG;
	}
	if ((fcntl(import->fd, F_GETFL) & O_ACCMODE) != O_RDWR) {
		area_why_not(import->area,
			     "import: the dma-buf of the process at %s is not open for "
			     "reading and writing: it has to be exported with O_RDWR",
			     import->path);
		return -EACCES;
	}
	return import_unique_check(import, st.st_ino);
}

static int import_size_check(struct import *import, uint64_t told)
{
	off_t size = lseek(import->fd, 0, SEEK_END);
	uint64_t real = size < 0 ? 0 : (uint64_t)size, wanted = import->area->size;

	if (told > real) {
		area_why_not(import->area,
			     "import: the dma-buf of the process at %s has %s, not the "
			     "%s that it tells",
			     import->path, bytes_text(real).s, bytes_text(told).s);
		return -EBADMSG;
	}
	if (told < wanted) {
		area_why_not(import->area,
			     "import: the dma-buf of the process at %s is too small: it has "
			     "%s, wanted %s; export more, or lower [memory] per_worker",
			     import->path, bytes_text(told).s, bytes_text(wanted).s);
		return -ENOSPC;
	}
	return 0;
}

static int import_converse(struct import *import)
{
	uint64_t size = 0;
	int rc = import_connect(import);

	if (!rc)
		rc = import_ask(import);
	if (!rc)
		rc = import_listen(import);
	if (!rc)
		rc = import_parse(import, &size);
	if (!rc)
		rc = import_fd_check(import);
	if (!rc)
		rc = import_size_check(import, size);
	return rc;
}

static int import_create(struct area *area, const struct area_spec *spec)
{
	struct import import = {
		.area = area,
		.path = spec->import_socket,
		.sock = -1,
		.fd = -1,
	};
	int64_t start_ms = now_ms();
	int rc;

	if (!spec->import_socket || !*spec->import_socket) {
		area_why_not(area, "import: nobody to ask: set [memory] import_socket");
		return -EINVAL;
	}
	/* What the daemon does between answers does not count: zeroing much memory takes long. */
	if (list_empty(&imports))
		wait_left_ms = IMPORT_TIMEOUT_MS;
	import.end_ms = start_ms + wait_left_ms;
	rc = import_converse(&import);
	wait_left_ms -= now_ms() - start_ms;
	if (import.sock >= 0)
		close(import.sock);
	if (rc) {
		if (import.fd >= 0)
			close(import.fd);
		return rc;
	}
	area->dmabuf_fd = import.fd;
	list_add_tail(&imports, &area->link);
	area->faces = AREA_FACE_DMABUF;
	if (!provider_dmabuf_map(area)) {
		area->faces |= AREA_FACE_CPU;
		/* Makes it present, and no host ever sees what the other process left in it. */
		memset(area->base, 0, area->size);
	}
	return 0;
}

static void import_destroy(struct area *area)
{
	list_del(&area->link);
	provider_release(area);
}

const struct area_ops area_import = {
	.name = "import",
	.by_name_only = true,
	.create = import_create,
	.destroy = import_destroy,
};
