/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

enum { PATH_LEN = 64, LINE_LEN = 256 };

/* Resident bytes; 0 when the process is gone, or is a corpse. */
static uint64_t rss_read(pid_t pid)
{
	char path[PATH_LEN], line[LINE_LEN];
	unsigned long long kib = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	in = fopen(path, "re");
	if (!in)
		return 0;
	while (fgets(line, sizeof(line), in) && sscanf(line, "VmRSS: %llu kB", &kib) != 1)
		;
	fclose(in);
	return kib * 1024;
}

/* Open descriptors, or a negative errno. */
static int fds_count(pid_t pid)
{
	char path[PATH_LEN];
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

int watch_start(struct watch *watch, pid_t pid)
{
	int n = fds_count(pid);

	if (n < 0)
		return n;
	*watch = (struct watch){ .pid = pid, .fds_start = (unsigned)n };
	if (!watch_look(watch))
		return -ESRCH;
	watch->rss_start = watch->rss_now;
	return 0;
}

bool watch_look(struct watch *watch)
{
	int n;

	if (!watch->pid)
		return true;
	watch->rss_now = rss_read(watch->pid);
	watch->rss_most = MAX(watch->rss_most, watch->rss_now);
	n = fds_count(watch->pid);
	if (n >= 0)
		watch->fds_now = (unsigned)n;
	return watch->rss_now && n >= 0;
}
