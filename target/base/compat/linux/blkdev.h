/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stands in for the kernel's <linux/blkdev.h>, which liburing 2.15 includes and which kernel headers
 * before 6.12 (Debian 12 has 6.1) do not have. The build puts this directory on the include path
 * only when the system's header is missing; the value is kernel ABI and will not change.
 */
#ifndef SLUICE_COMPAT_LINUX_BLKDEV_H
#define SLUICE_COMPAT_LINUX_BLKDEV_H

#include <linux/ioctl.h>

/* IORING_OP_URING_CMD on a block device: discard a byte range. */
#define BLOCK_URING_CMD_DISCARD _IO(0x12, 0)

#endif
