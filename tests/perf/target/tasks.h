/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_TASKS_H
#define PERF_TASKS_H

#include <stdint.h>
#include <sys/types.h>

/* Whose work a task does. How they are told apart: tasks.c. */
enum task_group {
	TASK_DAEMON,         /* target: the daemon */
	TASK_KWORKER,        /* target: the kernel's own */
	TASK_NAPI,           /* target: its side of the network */
	TASK_IRQ,            /* target: interrupts of the drive */
	TASK_UNBOUND,        /* workers of no CPU. TCP: the host's; RDMA: soft-RoCE, both sides */
	TASK_SOFTIRQ,        /* host, RDMA: completions; else nobody's */
	TASK_HOST_NAPI,      /* host: its side of the network */
	TASK_OTHER,
	TASK_GROUPS,
};

/* The group's name in the output. */
const char *task_group_name(enum task_group group);

enum {
	TASKS_MAX = 1024,
};

/* CPU time of all tasks but the calling process since they began, without interrupts and softirqs that came in between. */
struct tasks {
	unsigned n;
	struct {
		pid_t pid;
		enum task_group group;
		uint64_t ns;
	} v[TASKS_MAX];
};

/* @daemon: process id of the target, 0: the kernel's own. Ends the program with a message on failure. */
void tasks_read(struct tasks *tasks, pid_t daemon);

/* What the tasks of each group took from @before to @after. */
void tasks_since(const struct tasks *before, const struct tasks *after, uint64_t ns[TASK_GROUPS]);

#endif
