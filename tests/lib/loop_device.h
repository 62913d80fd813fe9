/* SPDX-License-Identifier: BSD-3-Clause */
/* A loop block device over a temporary file, for tests that need a block device. */
#ifndef SLUICE_TESTS_LIB_LOOP_DEVICE_H
#define SLUICE_TESTS_LIB_LOOP_DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "unit.h"

struct loop_device {
	char path[32];
	char file[32]; /* what is below it; it has no name of its own */
	int backing;
	int fd;
};

/*
 * Makes a device of @size bytes with blocks of @block bytes; @flags: LO_FLAGS_*. 0, or negative errno with @why written:
 * not permitted, or no loop devices here. Device and file go with this process, however it ends.
 */
static inline int loop_device_make(struct loop_device *dev, uint64_t size, uint32_t block, uint32_t flags,
				   char *why, size_t whylen)
{
	struct loop_config config = { .block_size = block, .info.lo_flags = flags | LO_FLAGS_AUTOCLEAR };
	char name[] = "/var/tmp/sluice-loop-XXXXXX";
	int control, number, rc;

	dev->backing = mkostemp(name, O_CLOEXEC);
	assert_true(dev->backing >= 0);
	unlink(name);
	assert_int_equal(ftruncate(dev->backing, (off_t)size), 0);
	snprintf(dev->file, sizeof(dev->file), "/proc/self/fd/%d", dev->backing);
	config.fd = (unsigned)dev->backing;
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	dev->fd = -1;
	/* Somebody else may take the free device in between. */
	for (int attempt = 0; attempt < 8 && control >= 0 && dev->fd < 0; attempt++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(dev->path, sizeof(dev->path), "/dev/loop%d", number);
		dev->fd = open(dev->path, O_RDWR | O_CLOEXEC);
		if (dev->fd >= 0 && ioctl(dev->fd, LOOP_CONFIGURE, &config)) {
			rc = errno;
			close(dev->fd);
			dev->fd = -1;
			errno = rc;
		}
	}
	rc = dev->fd < 0 ? -errno : 0;
	/* Some kernels mount nothing that anybody has open for writing. */
	if (!rc) {
		int writable = dev->fd;

		dev->fd = open(dev->path, O_RDONLY | O_CLOEXEC);
		assert_true(dev->fd >= 0);
		close(writable);
	}
	if (control >= 0)
		close(control);
	if (rc) {
		snprintf(why, whylen, "no loop device: %s", strerror(-rc));
		close(dev->backing);
	}
	return rc;
}

static inline void loop_device_remove(struct loop_device *dev)
{
	close(dev->fd);
	close(dev->backing);
}

#endif
