/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Verified I/O with many requests in flight, to go on while something happens to the device, the
 * registration or the exporter's memory.
 *
 * A load has lanes, each with a range of its own on the disk and in the dma-buf. A lane goes round:
 *
 *   1. write from the dma-buf	random data, random fragments
 *   2. plain read		by ordinary memory and another open file: must give that data
 *   3. plain write		other random data
 *   4. read into the dma-buf	poisoned before; its part of the dma-buf must hold the data in the
 *				fragments and the poison between them
 *
 * so that an error cannot hide behind its opposite. Plain and vectored requests take turns at
 * random.
 */
#ifndef LOAD_H
#define LOAD_H

#include <pthread.h>

#include "buffers.h"
#include "disk.h"
#include "ring.h"

#define LOAD_DEPTH_MAX 256
#define LOAD_FRAGMENTS_MAX 64

enum load_phase {
	LOAD_IDLE,
	LOAD_BUFFER_WRITE,
	LOAD_PLAIN_READ,
	LOAD_PLAIN_WRITE,
	LOAD_BUFFER_READ,
};

struct load_lane {
	enum load_phase phase;
	unsigned int rounds;
	unsigned int again;		/* -EAGAIN in a row */
	size_t len;			/* of the request in flight */
	unsigned int nr;		/* fragments */
	bool vectored;
	uint64_t disk_off;
	uint64_t buffer_off;		/* of twice the lane's length */
	uint64_t off;			/* of the request on the disk */
	uint8_t *data;			/* what has to come out */
	uint8_t *plain;			/* memory of the control */
	struct iovec fragments[LOAD_FRAGMENTS_MAX];
};

enum load_thread_state {
	LOAD_THREAD_NONE,
	LOAD_THREAD_OPENING,
	LOAD_THREAD_RUNNING,
	LOAD_THREAD_FAILED,
};

struct load {
	/* To be set before load_open(); 0 stands for what is in brackets. */
	const struct disk *disk;
	const struct buffer *buffer;
	int fd;				/* target of registration and requests [the disk's] */
	unsigned int setup_flags;	/* of the ring */
	bool fixed_file;		/* requests name a registered file, not a descriptor */
	bool errors_end;		/* an error ends its lane; else that starts anew */
	unsigned int depth;		/* lanes [64] */
	size_t lane_len;		/* bytes on the disk, multiple of the block [64 KiB] */
	uint64_t disk_off;		/* first byte of all lanes' range on the disk */
	uint64_t buffer_off;		/* in the dma-buf: depth * 2 * lane_len from here */
	uint64_t seed;

	/* Owned. Other threads may register and unregister by the ring's descriptor. */
	struct ring ring;
	struct load_lane *lanes;
	uint8_t *scratch;
	unsigned int in_flight;
	bool stop;			/* set by load_stop() */
	pthread_t thread;
	enum load_thread_state state;
	int open_error;

	/* Results. */
	uint64_t requests;		/* completed as they should, of the dma-buf alone */
	uint64_t wrong;			/* bytes */
	uint64_t errors;		/* requests that ended otherwise */
	uint64_t errors_plain;		/* the same of the control */
	uint64_t again;			/* requests issued again after -EAGAIN */
	long error;			/* the first result that was not as it should */
	bool hung;			/* no completion within COMPLETION_MS_MAX */
};

/* Opens the ring and registers the dma-buf in slot 0 of two. 0 or a negative errno. */
int load_open(struct load *load);

/*
 * Runs until each lane has gone round that many times, or, with 0, until load_stop(); every request
 * has completed then, unless it hangs. May be called again.
 */
void load_run(struct load *load, unsigned int rounds);

/* By any thread: no new requests. */
void load_stop(struct load *load);

/*
 * load_open() and load_run(load, 0) in a thread, from which a ring with a single issuer must be
 * used. Returns when the load runs; 0 or the negative errno of load_open().
 */
int load_thread_start(struct load *load);

/* load_stop() and waits for the thread. The load stays open. */
void load_thread_join(struct load *load);

/* Waits until `requests` more have completed; false when none did for COMPLETION_MS_MAX. */
bool load_progress_wait(struct load *load, uint64_t requests);

void load_close(struct load *load);

/* As a check: there was I/O, none of it failed, hung or moved a wrong byte. */
bool check_load(const struct load *load, const char *name);

#endif
