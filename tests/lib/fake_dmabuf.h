/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dma-buf and a DMA heap for machines that have neither: in a test that includes this, a memfd passes
 * for a dma-buf, and any file for a heap when the test says so. Takes the place of the C library's
 * ioctl(), fstatfs() and clock_gettime() in the test's own program.
 */
#ifndef SLUICE_TESTS_LIB_FAKE_DMABUF_H
#define SLUICE_TESTS_LIB_FAKE_DMABUF_H

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static struct {
	int heap_error;	     /* of the heap's ioctl; 0: it gives memory */
	int heap_seals;	     /* put on what the heap gives */
	int sync_error;	     /* of DMA_BUF_IOCTL_SYNC */
	int sync_errors;     /* times that it comes; 0: always */
	int starts, ends;    /* of CPU access, on all dma-bufs */
	uint64_t heap_bytes; /* of the last allocation */
	unsigned heap_flags;
	bool not_a_dmabuf; /* fstatfs() tells the truth */
	int clock_ahead_s; /* atomic: of the real time */
} fake;

static inline int fake_heap_ioctl(struct dma_heap_allocation_data *data)
{
	int fd;

	if (fake.heap_error) {
		errno = fake.heap_error;
		return -1;
	}
	fd = memfd_create("heap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)data->len) ||
	    (fake.heap_seals && fcntl(fd, F_ADD_SEALS, fake.heap_seals)))
		return -1;
	fake.heap_bytes = data->len;
	fake.heap_flags = data->fd_flags;
	data->fd = (uint32_t)fd;
	return 0;
}

static inline int fake_sync_ioctl(const struct dma_buf_sync *sync)
{
	if (sync->flags & DMA_BUF_SYNC_END)
		fake.ends++;
	else
		fake.starts++;
	errno = fake.sync_error;
	if (fake.sync_errors && --fake.sync_errors == 0)
		fake.sync_error = 0;
	return errno ? -1 : 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request == DMA_HEAP_IOCTL_ALLOC)
		return fake_heap_ioctl(arg);
	if (request == DMA_BUF_IOCTL_SYNC)
		return fake_sync_ioctl(arg);
	(void)fd;
	errno = ENOTTY;
	return -1;
}

int fstatfs(int fd, struct statfs *fs)
{
	(void)fd;
	*fs = (struct statfs){ .f_type = fake.not_a_dmabuf ? TMPFS_MAGIC : 0x444d4142 };
	return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, now);

	now->tv_sec += __atomic_load_n(&fake.clock_ahead_s, __ATOMIC_RELAXED);
	return rc;
}

#endif
