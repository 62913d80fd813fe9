/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/sendzc.h"

#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A kernel that does not know the request finds it malformed before it looks at socket and buffer. One
 * that does finds that neither will do: a Unix socket, and a table of buffers without any.
 */
static int request_try(struct io_uring *ring, int fd)
{
	static char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int rc;

	io_uring_prep_sendmsg_zc_fixed(sqe, fd, &msg, 0, 0);
	sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
	rc = io_uring_submit(ring);
	if (rc >= 0)
		rc = io_uring_wait_cqe(ring, &cqe);
	if (rc < 0)
		return rc;
	return cqe->res == -EINVAL ? -EOPNOTSUPP : 0;
}

static int kernel_ask(void)
{
	struct io_uring ring;
	int fd, rc = io_uring_queue_init(1, &ring, 0);

	if (rc)
		return rc;
	rc = io_uring_register_buffers_sparse(&ring, 1);
	if (!rc) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		rc = fd < 0 ? -errno : request_try(&ring, fd);
		if (fd >= 0)
			close(fd);
	}
	io_uring_queue_exit(&ring);
	return rc;
}

int sendzc_probe(void)
{
	enum { NOT_KNOWN = 1 };
	static int known = NOT_KNOWN;
	int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (answer != NOT_KNOWN)
		return answer;
	/* Several threads may ask at a time; they get the same answer. */
	answer = kernel_ask();
	if (!answer || answer == -EOPNOTSUPP)
		__atomic_store_n(&known, answer, __ATOMIC_RELAXED);
	return answer;
}
