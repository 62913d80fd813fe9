/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lets the memory of another process be mapped by no device any more, or again: each dma-buf of the
 * test exporter that the process has open. What is mapped stays so until it moves. For cases that
 * watch how a program lives with that.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exporter.h"
#include "selftest.h"

#define ERRNO_MAX 4095

/* The number of a name such as EIO, 0 for "none". */
static int error_named(const char *name)
{
	int error;

	if (!strcmp(name, "none"))
		return 0;
	for (error = 1; error <= ERRNO_MAX; error++) {
		const char *known = strerrorname_np(error);

		if (known && !strcmp(known, name))
			return error;
	}
	fatal("no error is called %s", name);
}

/* A descriptor here for the one of that process. */
static int fd_take(int pidfd, int fd)
{
	int taken = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (taken < 0)
		fatal("descriptor %d of the process: %s", fd, result_text(-errno));
	return taken;
}

/* Whether the entry of /proc/PID/fd is a dma-buf. */
static bool is_dmabuf(const char *dir, const char *entry)
{
	char path[PATH_MAX], target[64];
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%s", dir, entry);
	len = readlink(path, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = 0;
	return !strncmp(target, "/dmabuf:", strlen("/dmabuf:"));
}

static unsigned int maps_fail(const char *pid, int error)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	unsigned int nr = 0;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (pidfd < 0 || !dir)
		fatal("process %s: %s", pid, result_text(-errno));
	while ((entry = readdir(dir))) {
		struct buffer buffer = { .name = entry->d_name };

		if (!is_dmabuf(path, entry->d_name))
			continue;
		buffer.fd = fd_take(pidfd, atoi(entry->d_name));
		exporter_map_fail(&buffer, error ? UINT_MAX : 0, error);
		close(buffer.fd);
		nr++;
	}
	closedir(dir);
	close(pidfd);
	return nr;
}

int main(int argc, char **argv)
{
	unsigned int nr;

	selftest_start();
	if (argc != 3) {
		fprintf(stderr, "usage: unmappable PID ERROR\n\n"
			"ERROR: with which mapping fails from now on, as EIO; none: it works.\n");
		return 2;
	}
	exporter_require();
	nr = maps_fail(argv[1], error_named(argv[2]));
	check(nr > 0, "process %s, %u dma-bufs: error of mapping: %s", argv[1], nr, argv[2]);
	return selftest_end();
}
