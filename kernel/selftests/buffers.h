/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dma-bufs of memory that the CPU sees too.
 */
#ifndef BUFFERS_H
#define BUFFERS_H

#include <stddef.h>
#include <stdint.h>

enum buffer_kind {
	BUFFER_PAGES,		/* udmabuf over 4 KiB pages as they come */
	BUFFER_SCATTERED,	/* the same, hardly two of them neighbours in memory too */
	BUFFER_HUGE,		/* udmabuf over 2 MiB pages */
	BUFFER_HEAP,		/* system DMA heap */
};
#define BUFFER_KINDS (BUFFER_HEAP + 1)

struct buffer {
	const char *name;	/* for messages */
	int fd;			/* of the dma-buf */
	uint8_t *mem;		/* mapping of the same memory; NULL without the rights */
	size_t len;		/* bytes */
};

/*
 * len: bytes, a multiple of the page size of the kind. 0 or a negative errno; -ENOENT also when the
 * kernel has no such exporter, -ENOMEM when there are no huge pages.
 */
int buffer_open(struct buffer *buffer, enum buffer_kind kind, size_t len);

/*
 * A dma-buf from the system heap whose descriptor has the access O_RDONLY or O_WRONLY. The
 * mapping is readable in the first case and missing in the second.
 */
int buffer_open_heap(struct buffer *buffer, size_t len, int access);

/* Closes descriptor and mapping; the memory goes with its last user. */
void buffer_close(struct buffer *buffer);

/* Closes the descriptor only. */
void buffer_close_fd(struct buffer *buffer);

/* Frame an access by the CPU, as DMA_BUF_IOCTL_SYNC asks for. */
void buffer_cpu_begin(const struct buffer *buffer);
void buffer_cpu_end(const struct buffer *buffer);

/*
 * A dma-buf of nearly any size from little memory: the same two huge pages over and over,
 * `pieces` times 4 MiB, at most 1024, without the last `less` bytes. Its descriptor or a negative
 * errno.
 */
int dmabuf_repeated(unsigned int pieces, uint64_t less);

/* The exporter's name for messages before a buffer of the kind exists. */
const char *buffer_kind_name(enum buffer_kind kind);

/*
 * The attachments of all dma-bufs of the machine, or a negative errno without debugfs. What a
 * closed ring had is given back in the background: attachments_wait() waits a while for a number,
 * and returns the last it saw.
 */
long attachments_count(void);
long attachments_wait(long wanted);

/* The same for the dma-bufs of the machine: one is there as long as anybody uses it. */
long dmabufs_count(void);
long dmabufs_wait(long wanted);

#endif
