/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floor: what a target would cost if NVMe cost nothing. A server of one ring and one thread that
 * receives in large pieces, answers every PDU by length and type, and sends once a turn: the same bytes
 * each way as the target's, and the same client, but no commands. Payload comes from and goes to buffers
 * that the caches keep, or, for a target whose blocks are in memory, as much memory as that has.
 */
#ifndef SLUICE_BENCH_FLOOR_H
#define SLUICE_BENCH_FLOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	FLOOR_RX_SIZE = 256 * 1024,
	FLOOR_MAXH2CDATA = 128 * 1024,
	FLOOR_IN_CAPSULE = 16 * 1024,
	FLOOR_R2T_WINDOW = 1024 * 1024, /* bytes asked for at a time on one connection */
	FLOOR_SEND_MAX = 512 * 1024,    /* payload of one send */
	FLOOR_SPIN_US = 20,
};

struct floor_shape {
	unsigned queues;
	unsigned depth;
	uint32_t bs;
	uint32_t block_size;
	uint32_t in_capsule; /* writes up to this many bytes come in the capsule */
	bool sqflow;         /* reads are answered by data and a response, not by data alone */
	uint64_t memory;     /* bytes that payload is spread over at random; 0: the same buffers again */
	int cpu;             /* of the server; -1: wherever */
};

struct floor_counters {
	uint64_t spin_ns; /* of the CPU time, spent looking at an empty queue */
	bool ready;       /* atomic: it has its memory */
};

struct floor_server {
	pid_t pid;
	uint16_t port;
	struct floor_counters *counters; /* shared with the server */
};

/* Forks the server; call before there are rings or threads. 0 or a negative errno. */
int floor_start(struct floor_server *server, const struct floor_shape *shape);

/* Connects @n sockets to it into @fds. 0 or a negative errno. */
int floor_connect(const struct floor_server *server, int *fds, unsigned n);

/* Ends the server and waits for it. */
void floor_stop(struct floor_server *server);

#endif
