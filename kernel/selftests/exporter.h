/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dma-bufs whose memory moves on request, from the test exporter (/dev/dma_buf_test), which the
 * patches in kernel/testing add. The ABI is repeated here: the system's headers do not have it.
 */
#ifndef EXPORTER_H
#define EXPORTER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffers.h"

/* Single pages in random order; without access by the CPU; I/O memory, as the kernel is told. */
#define EXPORTER_SCATTERED (1U << 0)
#define EXPORTER_NO_CPU (1U << 1)
#define EXPORTER_IO_MEMORY (1U << 2)

/* The longest that a move may take by itself. */
#define EXPORTER_FINISH_MS_MAX 10000

/* struct dma_buf_test_stats */
struct exporter_stats {
	int32_t fd;
	uint32_t attachments;
	uint32_t mappings;
	uint32_t stale_mappings;	/* of memory that the dma-buf has left */
	uint32_t pins;
	uint32_t moving;
	uint64_t maps;			/* so far, as the rest */
	uint64_t unmaps;
	uint64_t moves;
	uint64_t stale_writes;		/* pages written after the dma-buf had left them */
};

/* Ends the program with exit code 77 when the kernel has no test exporter. */
void exporter_require(void);

/*
 * len: bytes, whole pages; flags: EXPORTER_*. Has a mapping unless flags or access (O_RDONLY, O_WRONLY,
 * O_RDWR) forbid it. Ends the program on error.
 */
void exporter_buffer_open(struct buffer *buffer, size_t len, unsigned int flags, int access);

/*
 * Gives the dma-buf other memory. finish_ms: 0: at once; else the content arrives after that time, or
 * with exporter_move_finish(), and who uses the memory before finds nothing in it. 0 or -EBUSY: the
 * memory is pinned or on the move. Another error ends the program.
 */
int exporter_move(const struct buffer *buffer, unsigned int finish_ms);
void exporter_move_finish(const struct buffer *buffer);

/* The next `count` attempts to map the dma-buf fail with the positive errno. */
void exporter_map_fail(const struct buffer *buffer, unsigned int count, int error);

/*
 * The next `count` attempts to map the dma-buf move it first, as if the device could not reach it where
 * it is; finish_ms: as in exporter_move(). None does while such a move is not finished.
 */
void exporter_map_move(const struct buffer *buffer, unsigned int count, unsigned int finish_ms);

/* Moves a dma-buf from a thread of its own until it is stopped. */
struct exporter_mover {
	const struct buffer *buffer;
	unsigned int pause_ms;
	unsigned int finish_ms;
	bool stop;
	pthread_t thread;
};

/* finish_ms: as in exporter_move(); pause_ms: between two moves. */
void exporter_mover_start(struct exporter_mover *mover, const struct buffer *buffer,
			  unsigned int pause_ms, unsigned int finish_ms);

/* The last move is finished when it returns. */
void exporter_mover_stop(struct exporter_mover *mover);

struct exporter_stats exporter_stats(const struct buffer *buffer);

/*
 * As checks. An importer may take a moment to let go of what it has no use for any more: they wait for
 * it, some seconds at most.
 */
bool check_attachments(const struct buffer *buffer, unsigned int want, const char *name);
bool check_no_mappings(const struct buffer *buffer, const char *name);
bool check_nothing_stale(const struct buffer *buffer, const char *name);

/* No attachment and no mapping is left, and nobody ever wrote to memory that the dma-buf had left. */
bool check_released(const struct buffer *buffer, const char *name);

#endif
