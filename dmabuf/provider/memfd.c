/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A memfd: its mapping is the CPU face and the fixed buffer; a udmabuf over the same pages is the
 * dma-buf. Pages of the hugetlb pool are taken when it has enough free ones, else ordinary ones, which
 * the kernel joins to huge ones as far as it finds some.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "dmabuf/provider/provider.h"

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif

#define UDMABUF_DEVICE	   "/dev/udmabuf"
#define UDMABUF_LIMIT_FILE "/sys/module/udmabuf/parameters/size_limit_mb"

/* A file of the area's size that can never change it: udmabuf insists, and so may every device. */
static int memfd_open(struct area *area, unsigned flags)
{
	int fd = memfd_create(area->name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	int rc;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)area->size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	area->memfd = fd;
	return 0;
}

/* The pool is a bonus: whatever is in the way, there is no message. */
static int memfd_create_pool(struct area *area, const struct area_spec *spec)
{
	int rc = memfd_open(area, MFD_HUGETLB | MFD_HUGE_2MB);

	/* The mapping reserves the pages, so it fails when the pool has too few. */
	if (!rc)
		rc = provider_map(area, MAP_SHARED, area->memfd);
	if (!rc)
		rc = provider_populate(area, spec);
	if (rc) {
		provider_release(area);
		area->why_not[0] = '\0';
	}
	return rc;
}

static int memfd_create_plain(struct area *area, const struct area_spec *spec)
{
	int rc = provider_check(area, spec);

	if (rc)
		return rc;
	rc = memfd_open(area, 0);
	if (!rc)
		rc = provider_map(area, MAP_SHARED, area->memfd);
	if (rc)
		area_why_not(area, "memfd: %s", strerror(-rc));
	else
		rc = provider_populate(area, spec);
	if (rc)
		provider_release(area);
	return rc;
}

/* The most bytes that udmabuf takes; UINT64_MAX when it does not say. */
static uint64_t udmabuf_limit(const char *root)
{
	char path[PATH_MAX];
	uint64_t mib, limit = UINT64_MAX;
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, UDMABUF_LIMIT_FILE);
	f = fopen(path, "re");
	if (!f)
		return limit;
	if (fscanf(f, "%" SCNu64, &mib) == 1 && mib < UINT64_MAX >> 20)
		limit = mib << 20;
	fclose(f);
	return limit;
}

void udmabuf_refused(struct area *area, int error, const char *root)
{
	uint64_t limit = udmabuf_limit(root);

	if (error == EINVAL && area->size > limit)
		area_why_not(
			area,
			"dma-buf: udmabuf takes at most %s, this is %s: write %zu to " UDMABUF_LIMIT_FILE
			", or lower [memory] per_worker",
			bytes_text(limit).s, bytes_text(area->size).s,
			(area->size + (1 << 20) - 1) >> 20);
	else
		area_why_not(area, "dma-buf: " UDMABUF_DEVICE " refuses %s: %s",
			     bytes_text(area->size).s, strerror(error));
}

/* A dma-buf of that part of the area, or negative errno. */
static int udmabuf_of(const struct area *area, int dev, uint64_t offset, uint64_t size)
{
	struct udmabuf_create create = {
		.memfd = (unsigned)area->memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = offset,
		.size = size,
	};
	int fd = ioctl(dev, UDMABUF_CREATE, &create);

	return fd < 0 ? -errno : fd;
}

/* The dma-buf face is optional: without it devices map memory for each I/O. */
static void memfd_export(struct area *area)
{
	int fd, dev = open(UDMABUF_DEVICE, O_RDWR | O_CLOEXEC);

	if (dev < 0 && errno == ENOENT) {
		area_why_not(area,
			     "dma-buf: no " UDMABUF_DEVICE ": the kernel lacks CONFIG_UDMABUF, "
			     "or the module udmabuf is not loaded");
		return;
	}
	if (dev < 0) {
		area_why_not(area, "dma-buf: cannot open " UDMABUF_DEVICE ": %s; %s",
			     strerror(errno),
			     provider_open_advice(errno, "is the module udmabuf loaded?"));
		return;
	}
	fd = udmabuf_of(area, dev, 0, area->size);
	close(dev);
	if (fd < 0) {
		udmabuf_refused(area, -fd, "");
		return;
	}
	area->dmabuf_fd = fd;
	area->faces |= AREA_FACE_DMABUF;
}

static int memfd_area_export(const struct area *area, uint64_t offset, uint64_t size)
{
	int dev = open(UDMABUF_DEVICE, O_RDWR | O_CLOEXEC), fd;

	if (dev < 0)
		return -errno;
	fd = udmabuf_of(area, dev, offset, size);
	close(dev);
	return fd;
}

static int memfd_area_create(struct area *area, const struct area_spec *spec)
{
	int rc = memfd_create_pool(area, spec);

	if (rc)
		rc = memfd_create_plain(area, spec);
	if (rc)
		return rc;
	area->faces = AREA_FACE_CPU | AREA_FACE_FIXED;
	memfd_export(area);
	return 0;
}

const struct area_ops area_memfd = {
	.name = "memfd",
	.create = memfd_area_create,
	.export = memfd_area_export,
	.destroy = provider_release,
};
