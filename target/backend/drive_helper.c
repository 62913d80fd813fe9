/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/drive_helper.h"

#include <cap-ng.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/backend/drive.h"

struct answer {
	int rc;
	unsigned char log[DRIVE_SMART_LOG_BYTES];
};

/* Room for one descriptor in a message. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static int helper_socket = -1;
static pid_t helper_pid;

static int fd_send(int socket, int fd)
{
	char byte = 0;
	struct iovec iov = { &byte, sizeof(byte) };
	union control control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
					      .cmsg_level = SOL_SOCKET,
					      .cmsg_type = SCM_RIGHTS } };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The descriptor of the next request; -1 when the daemon is gone or made no sense. */
static int fd_receive(int socket)
{
	char byte;
	struct iovec iov = { &byte, sizeof(byte) };
	union control control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	const struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	header = CMSG_FIRSTHDR(&msg);
	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static _Noreturn void helper_run(int socket)
{
	int fd;

	prctl(PR_SET_NAME, "sluiced-drives");
	capng_clear(CAPNG_SELECT_BOTH);
	capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_ADMIN);
	/* Started without that capability, it is of no use, but of no harm either. */
	if (geteuid() == 0 && capng_apply(CAPNG_SELECT_BOTH))
		_exit(1);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	while ((fd = fd_receive(socket)) >= 0) {
		struct answer answer = { .rc = 0 };

		answer.rc = drive_smart(fd, answer.log);
		close(fd);
		if (send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
			break;
	}
	_exit(0);
}

int drive_helper_start(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	helper_pid = fork();
	if (helper_pid < 0) {
		int rc = -errno;

		close(pair[0]);
		close(pair[1]);
		return rc;
	}
	if (helper_pid == 0) {
		/* Signals to the process group are the daemon's affair; its end is seen on the socket. */
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		close(pair[0]);
		helper_run(pair[1]);
	}
	close(pair[1]);
	helper_socket = pair[0];
	return 0;
}

void drive_helper_stop(void)
{
	if (helper_pid <= 0)
		return;
	/* Whoever waits for an answer gets none; a helper that waits for a drive is not waited for. */
	shutdown(helper_socket, SHUT_RDWR);
	kill(helper_pid, SIGKILL);
	waitpid(helper_pid, NULL, WNOHANG);
	helper_pid = 0;
}

int drive_helper_smart(int fd, void *log)
{
	struct answer answer;
	int rc;

	if (helper_socket < 0)
		return drive_smart(fd, log);
	rc = fd_send(helper_socket, fd);
	if (rc)
		return rc;
	if (recv(helper_socket, &answer, sizeof(answer), 0) != sizeof(answer))
		return -EIO;
	if (!answer.rc)
		memcpy(log, answer.log, sizeof(answer.log));
	return answer.rc;
}
