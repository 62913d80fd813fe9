/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked into sluiced with the linker's --wrap (tests/CMakeLists.txt): of all calls that may fail for want
 * of memory, descriptors, threads or room in a ring, one does. In the environment:
 *
 *   FAIL_CALL=N       the Nth one, from 1 on, counted over all threads, without those whose number
 *                     differs much from run to run: what submits to a ring, and json-c's, of which a
 *                     report of statistics makes as many as it has buckets to show
 *   FAIL_CALL=NAME:N  the Nth call of that function
 *   FAIL_CALL=json_:N the Nth call of any of json-c's
 *   FAIL_LIST=PATH    the name of each but those that submit is appended there, a line a call
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <json-c/json.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define JSON "json_"

static unsigned long fail_call, calls;
static char fail_name[64];
static int list_fd = -1;

__attribute__((constructor)) static void fail_init(void)
{
	const char *text = getenv("FAIL_CALL"), *path = getenv("FAIL_LIST"), *colon;

	if (text) {
		colon = strchr(text, ':');
		snprintf(fail_name, sizeof(fail_name), "%.*s", colon ? (int)(colon - text) : 0, text);
		fail_call = strtoul(colon ? colon + 1 : text, NULL, 10);
	}
	if (path)
		list_fd = (open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Counts a call of @name: is it the one? */
static bool fails(const char *name)
{
	bool json = !strncmp(name, JSON, strlen(JSON)), counted;
	bool submits = !strncmp(name, "io_uring_submit", 15);
	unsigned long n;
	char line[64];
	int len;

	if (list_fd >= 0 && !submits) {
		len = snprintf(line, sizeof(line), "%s\n", name);
		if ((write)(list_fd, line, (size_t)len) != len)
			abort();
	}
	if (!*fail_name)
		counted = !submits && !json;
	else
		counted = !strcmp(name, fail_name) || (json && !strcmp(JSON, fail_name));
	if (!counted)
		return false;
	n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (n == fail_call)
		fprintf(stderr, "fail_calls: call %lu, %s, fails\n", n, name);
	return n == fail_call;
}

/* @instead: what the call gives when it fails, after which errno is @error. */
#define CALL(type, name, parameters, arguments, instead, error)                                    \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		if (fails(#name))                                                                  \
			return errno = (error), (instead);                                         \
		return __real_##name arguments;                                                    \
	}

CALL(void *, malloc, (size_t size), (size), NULL, ENOMEM)
CALL(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
CALL(void *, realloc, (void *p, size_t size), (p, size), NULL, ENOMEM)
CALL(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), NULL, ENOMEM)
CALL(void *, aligned_alloc, (size_t align, size_t size), (align, size), NULL, ENOMEM)
CALL(int, posix_memalign, (void **p, size_t align, size_t size), (p, align, size), ENOMEM, 0)
CALL(void *, mmap, (void *at, size_t len, int prot, int flags, int fd, off_t offset),
     (at, len, prot, flags, fd, offset), MAP_FAILED, ENOMEM)

CALL(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
CALL(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
CALL(int, socketpair, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds), -1, EMFILE)
CALL(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
     (fd, addr, len, flags), -1, EMFILE)
CALL(int, bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len), -1, EADDRINUSE)
CALL(int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
CALL(int, eventfd, (unsigned value, int flags), (value, flags), -1, EMFILE)
CALL(int, epoll_create1, (int flags), (flags), -1, EMFILE)
CALL(int, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *event), (epoll, op, fd, event),
     -1, ENOMEM)
CALL(int, timerfd_create, (int clock, int flags), (clock, flags), -1, EMFILE)
CALL(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), -1, EMFILE)
CALL(int, pthread_create,
     (pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg),
     (thread, attr, start, arg), EAGAIN, 0)
CALL(int, getaddrinfo,
     (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found),
     (node, service, hints, found), EAI_MEMORY, 0)

CALL(int, io_uring_queue_init, (unsigned entries, struct io_uring *ring, unsigned flags),
     (entries, ring, flags), -ENOMEM, 0)
CALL(int, io_uring_queue_init_params,
     (unsigned entries, struct io_uring *ring, struct io_uring_params *p), (entries, ring, p), -ENOMEM,
     0)
CALL(int, io_uring_register_buffers_sparse, (struct io_uring *ring, unsigned n), (ring, n), -ENOMEM, 0)
CALL(int, io_uring_register_buffers_update_tag,
     (struct io_uring *ring, unsigned at, const struct iovec *iovs, const __u64 *tags, unsigned n),
     (ring, at, iovs, tags, n), -ENOMEM, 0)
CALL(int, io_uring_register_files_sparse, (struct io_uring *ring, unsigned n), (ring, n), -EMFILE, 0)
CALL(int, io_uring_register_files_update,
     (struct io_uring *ring, unsigned at, const int *files, unsigned n), (ring, at, files, n), -ENOMEM,
     0)
CALL(int, io_uring_register_ring_fd, (struct io_uring *ring), (ring), -ENOMEM, 0)
CALL(int, io_uring_enable_rings, (struct io_uring *ring), (ring), -ENOMEM, 0)
CALL(struct io_uring_buf_ring *, io_uring_setup_buf_ring,
     (struct io_uring *ring, unsigned n, int group, unsigned flags, int *rc),
     (ring, n, group, flags, rc), (*rc = -ENOMEM, NULL), ENOMEM)
/* The kernel says so when it has no memory for a request; it has taken none then. */
CALL(int, io_uring_submit, (struct io_uring *ring), (ring), -EAGAIN, 0)
CALL(int, io_uring_submit_and_get_events, (struct io_uring *ring), (ring), -EAGAIN, 0)
CALL(int, io_uring_submit_and_wait, (struct io_uring *ring, unsigned n), (ring, n), -EAGAIN, 0)
CALL(int, io_uring_submit_and_wait_timeout,
     (struct io_uring *ring, struct io_uring_cqe **cqe, unsigned n, struct __kernel_timespec *time,
      sigset_t *mask),
     (ring, cqe, n, time, mask), -EAGAIN, 0)

CALL(struct json_object *, json_object_new_object, (void), (), NULL, ENOMEM)
CALL(struct json_object *, json_object_new_array, (void), (), NULL, ENOMEM)
CALL(struct json_object *, json_object_new_string, (const char *text), (text), NULL, ENOMEM)
CALL(struct json_object *, json_object_new_uint64, (uint64_t n), (n), NULL, ENOMEM)
CALL(struct json_object *, json_object_new_int64, (int64_t n), (n), NULL, ENOMEM)
CALL(struct json_object *, json_object_new_boolean, (json_bool yes), (yes), NULL, ENOMEM)

/* Those with a mode that may not be there. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (fails("open"))
		return errno = EMFILE, -1;
	return __real_open(path, flags, mode);
}

int __wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (fails("openat"))
		return errno = EMFILE, -1;
	return __real_openat(dir, path, flags, mode);
}
