/* SPDX-License-Identifier: BSD-3-Clause */
#include "dmabuf/provider/provider.h"

#include <errno.h>
#include <linux/dma-buf.h>
#include <linux/mman.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "dmabuf/available.h"

/* The exporter may ask to try again; one that always does must not hold up start or stop. */
enum { SYNC_TRIES = 100, SYNC_AGAIN_MS = 1 };

/* Left for everything else when areas are made, so that the last one does not starve the machine. */
#define RESERVE_BYTES (UINT64_C(32) << 20)

void provider_short(struct area *area, const struct area_spec *spec, const char *fact)
{
	area_why_not(area, "not enough memory for %s: wanted %s, %s; lower %s", area->name,
		     bytes_text(spec->size).s, fact,
		     spec->setting ? spec->setting : "[memory] per_worker or [daemon] workers");
}

const char *provider_open_advice(int error, const char *otherwise)
{
	if (error == EACCES || error == EPERM)
		return "start sluiced as root, or let its user read and write that device "
		       "(DeviceAllow= in the service unit)";
	if (error == EMFILE)
		return "raise LimitNOFILE= in the service unit (ulimit -n)";
	return otherwise;
}

int provider_check(struct area *area, const struct area_spec *spec)
{
	struct memory_available available;
	char fact[160];

	memory_available("", &available);
	if (available.bytes >= RESERVE_BYTES && available.bytes - RESERVE_BYTES >= spec->size)
		return 0;
	snprintf(fact, sizeof(fact), "%s leaves %s", available.limit,
		 bytes_text(available.bytes).s);
	provider_short(area, spec, fact);
	return -ENOMEM;
}

int provider_populate(struct area *area, const struct area_spec *spec)
{
	int rc;

	/* Both are wishes: without them the memory works as well. */
	madvise(area->base, area->size, MADV_HUGEPAGE);
	madvise(area->base, area->size, MADV_DONTDUMP);
	do {
		rc = madvise(area->base, area->size, MADV_POPULATE_WRITE) ? -errno : 0;
	} while (rc == -EINTR || rc == -EAGAIN);
	/* EFAULT: where the access itself would have been a SIGBUS. */
	if (rc == -EFAULT)
		rc = -ENOMEM;
	if (rc == -ENOMEM)
		provider_short(area, spec, "the kernel could not give it");
	else if (rc)
		area_why_not(area, "%s: cannot make memory present: %s", area->ops->name,
			     strerror(-rc));
	return rc;
}

/*
 * Tells the exporter that the CPU begins or ends to use the mapping. It may wait for devices, so it
 * is done once around the life of the mapping and not for each command: dmabuf/README.md says what
 * keeps CPU and devices coherent in between.
 */
static int dmabuf_sync(int fd, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_RW };
	int rc = -EAGAIN;

	for (unsigned i = 0; i < SYNC_TRIES && (rc == -EINTR || rc == -EAGAIN); i++) {
		if (i)
			poll(NULL, 0, SYNC_AGAIN_MS);
		rc = ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0;
	}
	return rc;
}

int provider_dmabuf_map(struct area *area)
{
	void *base = mmap(NULL, area->size, PROT_READ | PROT_WRITE, MAP_SHARED, area->dmabuf_fd, 0);
	int rc = base == MAP_FAILED ? -errno : 0;

	if (!rc) {
		rc = dmabuf_sync(area->dmabuf_fd, DMA_BUF_SYNC_START);
		if (rc)
			munmap(base, area->size);
	}
	if (rc) {
		area_why_not(area,
			     "cpu: the exporter of this dma-buf does not let it be mapped: %s",
			     strerror(-rc));
		return rc;
	}
	/* A wish: hosts' data had better not be in core dumps. */
	madvise(base, area->size, MADV_DONTDUMP);
	area->base = base;
	return 0;
}

void provider_release(struct area *area)
{
	/* With a memfd, its mapping is the CPU's, not one of the dma-buf. */
	if (area->base && area->dmabuf_fd >= 0 && area->memfd < 0)
		dmabuf_sync(area->dmabuf_fd, DMA_BUF_SYNC_END);
	if (area->base)
		munmap(area->base, area->size);
	if (area->dmabuf_fd >= 0)
		close(area->dmabuf_fd);
	if (area->memfd >= 0)
		close(area->memfd);
	area->base = NULL;
	area->dmabuf_fd = -1;
	area->memfd = -1;
}
