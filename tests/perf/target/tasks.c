/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host and target share the guest's CPU, but no task works for both, but for a soft RDMA device:
 *
 * - The daemon is a process.
 * - Interrupts of the drives are threads (kernel argument "threadirqs"): irq/N-nvme...
 * - The kernel's target works in the workqueues nvmet_tcp_wq and, over RDMA, ib-comp-wq, which are of a
 *   CPU with high priority (kworker/0:NH). So is kblockd, which nobody needs here: the benchmarks count
 *   what runs there.
 *
 * Over TCP:
 *
 * - The kernel's initiator has a workqueue of no CPU (nvme_tcp.wq_unbound): kworker/uN:M.
 * - Both NICs poll in threads (threaded NAPI), named by the interface: napi/nic0-N is the target's.
 *
 * Over RDMA:
 *
 * - Soft-RoCE does what a device would do, at both ends, in a workqueue of no CPU: kworker/uN:M.
 * - The kernel's initiator works in who submits, and in a softirq that is raised outside of interrupts,
 *   so in ksoftirqd/0.
 */
#include "tasks.h"

#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const group_names[TASK_GROUPS] = {
	[TASK_DAEMON] = "daemon",
	[TASK_KWORKER] = "kworker",
	[TASK_NAPI] = "napi",
	[TASK_IRQ] = "irq",
	[TASK_UNBOUND] = "unbound",
	[TASK_SOFTIRQ] = "softirq",
	[TASK_HOST_NAPI] = "host_napi",
	[TASK_OTHER] = "other",
};

const char *task_group_name(enum task_group group)
{
	return group_names[group];
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static enum task_group kworker_group(const char *name)
{
	size_t len = strcspn(name, "-+");

	if (name[0] == 'u')
		return TASK_UNBOUND;
	return len && name[len - 1] == 'H' ? TASK_KWORKER : TASK_OTHER;
}

static enum task_group group_of(pid_t pid, const char *name, pid_t daemon)
{
	if (pid == daemon)
		return TASK_DAEMON;
	if (begins(name, "kworker/"))
		return kworker_group(name + strlen("kworker/"));
	if (begins(name, "ksoftirqd/"))
		return TASK_SOFTIRQ;
	if (begins(name, "napi/nic0-"))
		return TASK_NAPI;
	if (begins(name, "napi/nic1-"))
		return TASK_HOST_NAPI;
	if (begins(name, "irq/") && strstr(name, "-nvme"))
		return TASK_IRQ;
	return TASK_OTHER;
}

/* False when the process is gone. */
static bool name_read(pid_t pid, char *name, size_t size)
{
	char path[64];
	FILE *file;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "r");
	if (!file)
		return false;
	ok = fgets(name, (int)size, file);
	fclose(file);
	name[strcspn(name, "\n")] = '\0';
	return ok;
}

/* Of all threads of a process. False when it is gone. */
static bool clock_read(pid_t pid, uint64_t *ns)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time))
		return false;
	*ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
	return true;
}

static void task_add(struct tasks *tasks, pid_t pid, pid_t daemon)
{
	char name[64];
	uint64_t ns;

	if (pid == getpid())
		return;
	if (!name_read(pid, name, sizeof(name)) || !clock_read(pid, &ns))
		return;
	if (tasks->n == TASKS_MAX)
		errx(1, "more than %d tasks", TASKS_MAX);
	tasks->v[tasks->n].pid = pid;
	tasks->v[tasks->n].group = group_of(pid, name, daemon);
	tasks->v[tasks->n++].ns = ns;
}

void tasks_read(struct tasks *tasks, pid_t daemon)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		err(1, "/proc");
	tasks->n = 0;
	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			task_add(tasks, atoi(entry->d_name), daemon);
	closedir(dir);
}

static uint64_t ns_of(const struct tasks *tasks, pid_t pid)
{
	for (unsigned i = 0; i < tasks->n; i++)
		if (tasks->v[i].pid == pid)
			return tasks->v[i].ns;
	return 0;
}

void tasks_since(const struct tasks *before, const struct tasks *after, uint64_t ns[TASK_GROUPS])
{
	memset(ns, 0, TASK_GROUPS * sizeof(*ns));
	for (unsigned i = 0; i < after->n; i++)
		ns[after->v[i].group] += after->v[i].ns - ns_of(before, after->v[i].pid);
}
