/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked into sluiced with the linker's --wrap (tests/CMakeLists.txt): of all calls that may fail for want
 * of memory, descriptors, threads or room in a ring, one does. In the environment:
 *
 *   FAIL_CALL=N       the Nth one, from 1 on, counted over all threads, without those whose number
 *                     differs much from run to run: what submits to a ring or to an RDMA device, and
 *                     json-c's, of which a report of statistics makes as many as it has buckets to show
 *   FAIL_CALL=NAME:N  the Nth call of that function
 *   FAIL_CALL=json_:N the Nth call of any of json-c's
 *   FAIL_LIST=PATH    the name of each but those that submit is appended there, a line a call
 */
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <liburing.h>
#include <json-c/json.h>
#include <libmnl/libmnl.h>
#include <netdb.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define JSON "json_"

enum { IOCTL_OF_DISKS = 0x12 /* BLKGETSIZE64 and the like (linux/fs.h) */ };

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

static bool begins(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

/* Counts a call of @name: is it the one? */
static bool fails(const char *name)
{
	bool json = begins(name, JSON), counted;
	bool submits = begins(name, "io_uring_submit") || begins(name, "ibv_post_") ||
		       !strcmp(name, "ibv_poll_cq") || !strcmp(name, "ibv_req_notify_cq");
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

/* Of a NIC's queue whose payload goes to memory of ours, and of dma-bufs; and what it is set up by. */
CALL(struct mnl_socket *, mnl_socket_open, (int bus), (bus), NULL, EMFILE)
CALL(ssize_t, mnl_socket_sendto, (const struct mnl_socket *nl, const void *request, size_t len),
     (nl, request, len), -1, ENOBUFS)
CALL(ssize_t, mnl_socket_recvfrom, (const struct mnl_socket *nl, void *answer, size_t room),
     (nl, answer, room), -1, ENOBUFS)
CALL(int, io_uring_register, (unsigned fd, unsigned op, const void *arg, unsigned n),
     (fd, op, arg, n), -ENOMEM, 0)

CALL(struct rdma_event_channel *, rdma_create_event_channel, (void), (), NULL, EMFILE)
CALL(int, rdma_create_id,
     (struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
      enum rdma_port_space space),
     (channel, id, context, space), -1, ENOMEM)
CALL(int, rdma_bind_addr, (struct rdma_cm_id *id, struct sockaddr *addr), (id, addr), -1, ENOMEM)
CALL(int, rdma_set_option, (struct rdma_cm_id *id, int level, int name, void *value, size_t len),
     (id, level, name, value, len), -1, ENOMEM)
CALL(int, rdma_listen, (struct rdma_cm_id *id, int backlog), (id, backlog), -1, ENOMEM)
CALL(int, rdma_get_cm_event, (struct rdma_event_channel *channel, struct rdma_cm_event **event),
     (channel, event), -1, ENOMEM)
CALL(int, rdma_migrate_id, (struct rdma_cm_id *id, struct rdma_event_channel *channel),
     (id, channel), -1, ENOMEM)
CALL(int, rdma_init_qp_attr, (struct rdma_cm_id *id, struct ibv_qp_attr *attr, int *mask),
     (id, attr, mask), -1, ENOMEM)
CALL(int, rdma_accept, (struct rdma_cm_id *id, struct rdma_conn_param *param), (id, param), -1,
     ENOMEM)
CALL(int, rdma_reject, (struct rdma_cm_id *id, const void *data, uint8_t len), (id, data, len), -1,
     ENOMEM)
CALL(int, rdma_disconnect, (struct rdma_cm_id *id), (id), -1, ENOMEM)
CALL(int, rdma_notify, (struct rdma_cm_id *id, enum ibv_event_type event), (id, event), -1, ENOMEM)
CALL(struct ibv_context **, rdma_get_devices, (int *n), (n), NULL, ENOMEM)

CALL(struct ibv_device **, ibv_get_device_list, (int *n), (n), NULL, ENOMEM)
CALL(int, ibv_query_device, (struct ibv_context *verbs, struct ibv_device_attr *attr),
     (verbs, attr), ENOMEM, ENOMEM)
CALL(struct ibv_pd *, ibv_alloc_pd, (struct ibv_context *verbs), (verbs), NULL, ENOMEM)
CALL(struct ibv_comp_channel *, ibv_create_comp_channel, (struct ibv_context *verbs), (verbs),
     NULL, EMFILE)
CALL(struct ibv_cq *, ibv_create_cq,
     (struct ibv_context *verbs, int n, void *context, struct ibv_comp_channel *channel,
      int vector),
     (verbs, n, context, channel, vector), NULL, ENOMEM)
CALL(int, ibv_resize_cq, (struct ibv_cq *cq, int n), (cq, n), ENOMEM, ENOMEM)
CALL(struct ibv_srq *, ibv_create_srq, (struct ibv_pd *pd, struct ibv_srq_init_attr *attr),
     (pd, attr), NULL, ENOMEM)
CALL(struct ibv_mr *, ibv_reg_mr, (struct ibv_pd *pd, void *at, size_t len, int access),
     (pd, at, len, access), NULL, ENOMEM)
CALL(struct ibv_mr *, ibv_reg_mr_iova2,
     (struct ibv_pd *pd, void *at, size_t len, uint64_t iova, unsigned access),
     (pd, at, len, iova, access), NULL, ENOMEM)
CALL(struct ibv_mr *, ibv_reg_dmabuf_mr,
     (struct ibv_pd *pd, uint64_t offset, size_t len, uint64_t iova, int fd, int access),
     (pd, offset, len, iova, fd, access), NULL, ENOMEM)
CALL(struct ibv_qp *, ibv_create_qp, (struct ibv_pd *pd, struct ibv_qp_init_attr *attr),
     (pd, attr), NULL, ENOMEM)
CALL(int, ibv_modify_qp, (struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask), (qp, attr, mask),
     ENOMEM, ENOMEM)

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

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

/* What disks are asked for needs no memory: there, an error says that they are gone. */
int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (_IOC_TYPE(request) != IOCTL_OF_DISKS && fails("ioctl"))
		return errno = ENOMEM, -1;
	return __real_ioctl(fd, request, arg);
}

/* What submits to a device, and what takes in its completions, are functions of its driver. */
static struct ibv_context_ops driver;

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	if (fails("ibv_post_send"))
		return *bad = wr, ENOMEM;
	return driver.post_send(qp, wr, bad);
}

static int post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	if (fails("ibv_post_srq_recv"))
		return *bad = wr, ENOMEM;
	return driver.post_srq_recv(srq, wr, bad);
}

static int poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wcs)
{
	return fails("ibv_poll_cq") ? -ENOMEM : driver.poll_cq(cq, n, wcs);
}

static int req_notify_cq(struct ibv_cq *cq, int solicited)
{
	return fails("ibv_req_notify_cq") ? ENOMEM : driver.req_notify_cq(cq, solicited);
}

struct ibv_context *__real_ibv_open_device(struct ibv_device *device);
struct ibv_context *__wrap_ibv_open_device(struct ibv_device *device);

/* All devices are of one driver. */
struct ibv_context *__wrap_ibv_open_device(struct ibv_device *device)
{
	struct ibv_context *verbs;

	if (fails("ibv_open_device"))
		return errno = ENOMEM, NULL;
	verbs = __real_ibv_open_device(device);
	if (!verbs)
		return NULL;
	driver = verbs->ops;
	verbs->ops.post_send = post_send;
	verbs->ops.post_srq_recv = post_srq_recv;
	verbs->ops.poll_cq = poll_cq;
	verbs->ops.req_notify_cq = req_notify_cq;
	return verbs;
}
