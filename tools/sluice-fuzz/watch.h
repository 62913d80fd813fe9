/* SPDX-License-Identifier: BSD-3-Clause */
/* What the target's process takes: memory and descriptors, from /proc. */
#ifndef SLUICE_FUZZ_WATCH_H
#define SLUICE_FUZZ_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct watch {
	pid_t pid;			       /* 0: nothing is watched */
	uint64_t rss_start, rss_most, rss_now; /* bytes */
	unsigned fds_start, fds_now;
};

/* Begins to watch @pid. 0 or a negative errno. */
int watch_start(struct watch *watch, pid_t pid);

/* Reads how things are; false when the process is gone. */
bool watch_look(struct watch *watch);

#endif
