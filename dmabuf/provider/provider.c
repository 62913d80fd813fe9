/* SPDX-License-Identifier: BSD-3-Clause */
#include "dmabuf/provider/provider.h"

#include <errno.h>
#include <linux/dma-buf.h>
#include <linux/mman.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "dmabuf/available.h"

/* The exporter may ask to try again; one that always does must not hold up start or stop. */
enum { SYNC_TRIES = 100, SYNC_AGAIN_MS = 1 };

enum {
	PIECES_MAX = 16, /* threads that make an area present, at most */
	PIECE_LEAST_BYTES = 32 << 20, /* less is not worth a thread */
	HUGE_PAGE_BYTES = 2 << 20,
};

#ifndef MADV_COLLAPSE /* of Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

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

/* Only where the address is a multiple of its size too can a huge page be mapped whole. */
int provider_map(struct area *area, int flags, int fd)
{
	size_t spare = area->size < HUGE_PAGE_BYTES ? 0 : HUGE_PAGE_BYTES, room = area->size + spare;
	char *begin = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *base;
	int rc;

	if (begin == MAP_FAILED)
		return -errno;
	base = begin + (spare ? -(uintptr_t)begin % HUGE_PAGE_BYTES : 0);
	if (mmap(base, area->size, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd, 0) == MAP_FAILED) {
		rc = -errno;
		munmap(begin, room);
		return rc;
	}
	if (base > begin)
		munmap(begin, (size_t)(base - begin));
	if (begin + room > base + area->size)
		munmap(base + area->size, (size_t)(begin + room - (base + area->size)));
	area->base = base;
	return 0;
}

struct piece {
	char *base;
	size_t size;
	int rc;
	pthread_t thread;
	bool threaded;
};

/*
 * A file in memory gets huge pages at once only where the machine's settings say so, which by default
 * they do not. A process may ask for them all the same, for ranges that are not wholly empty. Without
 * them the memory works as well.
 */
static void piece_collapse(const struct piece *piece)
{
	for (size_t at = 0; at + HUGE_PAGE_BYTES <= piece->size; at += HUGE_PAGE_BYTES)
		madvise(piece->base + at, HOST_PAGE_SIZE, MADV_POPULATE_WRITE);
	madvise(piece->base, piece->size, MADV_COLLAPSE);
}

static void *piece_populate(void *arg)
{
	struct piece *piece = arg;

	piece_collapse(piece);
	do {
		piece->rc = madvise(piece->base, piece->size, MADV_POPULATE_WRITE) ? -errno : 0;
	} while (piece->rc == -EINTR || piece->rc == -EAGAIN);
	return NULL;
}

/* Clearing is what takes the time of a start: it is shared among the CPUs. */
static unsigned populate_threads(size_t size)
{
	cpu_set_t cpus;
	size_t n = size / PIECE_LEAST_BYTES;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	n = MIN(n, (size_t)CPU_COUNT(&cpus));
	n = MIN(n, (size_t)PIECES_MAX);
	return (unsigned)MAX(n, (size_t)1);
}

/* Makes all of it present. 0 or negative errno. */
static int populate(char *base, size_t size)
{
	struct piece pieces[PIECES_MAX];
	unsigned n = populate_threads(size);
	size_t share = size / n / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES, begin = 0;
	int rc = 0;

	for (unsigned i = 0; i < n; i++, begin += share) {
		struct piece *piece = &pieces[i];

		*piece = (struct piece){ .base = base + begin,
					 .size = i + 1 < n ? share : size - begin };
		piece->threaded = i + 1 < n && !pthread_create(&piece->thread, NULL,
							       piece_populate, piece);
		if (!piece->threaded)
			piece_populate(piece);
	}
	for (unsigned i = 0; i < n; i++) {
		if (pieces[i].threaded)
			pthread_join(pieces[i].thread, NULL);
		if (pieces[i].rc)
			rc = pieces[i].rc;
	}
	return rc;
}

int provider_populate(struct area *area, const struct area_spec *spec)
{
	int rc;

	/* Both are wishes: without them the memory works as well. */
	madvise(area->base, area->size, MADV_HUGEPAGE);
	madvise(area->base, area->size, MADV_DONTDUMP);
	rc = populate(area->base, area->size);
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
