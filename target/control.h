/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: people and programs ask the running daemon what it has and what it does. One
 * JSON object a line each way, documented in tools/sluicectl/README.md. Served by the main thread,
 * which polls control_fd() beside its signals; nothing here blocks on a client.
 */
#ifndef SLUICE_TARGET_CONTROL_H
#define SLUICE_TARGET_CONTROL_H

#include <stdint.h>
#include <sys/types.h>

struct config;

enum daemon_state { DAEMON_STARTING, DAEMON_SERVING, DAEMON_STOPPING };

/* What the daemon knows of itself; filled in by the main thread, which alone reads it. */
struct daemon_info {
	uint64_t start_ns;        /* CLOCK_MONOTONIC */
	uint64_t announced_bytes; /* the bound on memory that was printed at start */
	const struct config *config;
	enum daemon_state state;
};

extern struct daemon_info daemon_info;

/*
 * Listens at @path with mode 0660, owned by @uid and @gid (-1: left as created); makes the
 * directory when it is missing and removes the socket of a daemon that is gone. 0, or negative
 * errno after the reason was logged (EADDRINUSE: another daemon serves there).
 */
int control_open(const char *path, uid_t uid, gid_t gid);

/* Readable when control_handle() has something to do; -1 when not open. */
int control_fd(void);

/*
 * Does what there is to do and returns; waits for nothing but, up to 2 s, for workers to answer, so
 * they must be running when there are any.
 */
void control_handle(void);

/*
 * Has control_handle() call @ready when @fd is readable, from control_open() on: for what else the main
 * thread serves. One at a time; -1: none any more. 0 or negative errno.
 */
int control_watch(int fd, void (*ready)(void));

/* Closes all connections and removes the socket; harmless when not open. */
void control_close(void);

#endif
