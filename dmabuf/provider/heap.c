/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A DMA heap: memory that the kernel hands out as dma-bufs, such as physically contiguous or reserved
 * memory. Its mapping cannot be pinned, so it is no fixed buffer.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dma-heap.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "dmabuf/provider/provider.h"

#define HEAP_DIR     "/dev/dma_heap"
#define HEAP_DEFAULT "system"

/* The heaps that there are, with commas; the empty string when there are none. */
static void heaps_list(const char *dir, char *list, size_t size)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	size_t len = 0;

	*list = '\0';
	if (!d)
		return;
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.' || len >= size)
			continue;
		len += (size_t)snprintf(list + len, size - len, "%s%s", len ? ", " : "",
					entry->d_name);
	}
	closedir(d);
}

static void heap_missing(struct area *area, const char *dir, const char *name)
{
	char list[128];

	heaps_list(dir, list, sizeof(list));
	if (*list)
		area_why_not(area,
			     "there is no DMA heap \"%s\" in %s: set [memory] heap to one of %s",
			     name, dir, list);
	else
		area_why_not(area,
			     "there is no DMA heap in %s: the kernel lacks CONFIG_DMABUF_HEAPS "
			     "and CONFIG_DMABUF_HEAPS_SYSTEM; set [memory] provider = memfd",
			     dir);
}

static void heap_refused(struct area *area, const struct area_spec *spec, const char *path,
			 int error)
{
	char fact[PATH_MAX + 64];

	if (error == ENOMEM) {
		snprintf(fact, sizeof(fact), "the DMA heap %s has less", path);
		provider_short(area, spec, fact);
	} else if (error == ENOTTY) {
		area_why_not(area, "%s is no DMA heap: correct [memory] heap", path);
	} else {
		area_why_not(area,
			     "the DMA heap %s refuses %s: %s; the kernel's log may say more; set "
			     "[memory] heap to another one, or [memory] provider = memfd",
			     path, bytes_text(spec->size).s, strerror(error));
	}
}

static int heap_allocate(struct area *area, const struct area_spec *spec, const char *path,
			 int heap)
{
	struct dma_heap_allocation_data data = {
		.len = spec->size,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int rc;

	do {
		rc = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) ? -errno : 0;
	} while (rc == -EINTR);
	if (rc) {
		heap_refused(area, spec, path, -rc);
		return rc;
	}
	area->dmabuf_fd = (int)data.fd;
	return 0;
}

int heap_area_create(struct area *area, const struct area_spec *spec, const char *dir)
{
	const char *name = spec->heap ? spec->heap : HEAP_DEFAULT;
	char path[PATH_MAX];
	int heap, rc = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	heap = open(path, O_RDWR | O_CLOEXEC);
	if (heap < 0) {
		rc = -errno;
		if (rc == -ENOENT)
			heap_missing(area, dir, name);
		else
			area_why_not(area, "cannot open the DMA heap %s: %s; %s", path,
				     strerror(-rc),
				     provider_open_advice(-rc, "correct [memory] heap"));
		return rc;
	}
	/* Only this heap takes what everybody takes from; others have memory of their own. */
	if (!strcmp(name, HEAP_DEFAULT))
		rc = provider_check(area, spec);
	/* What a heap gives is zeroed and present. */
	if (!rc)
		rc = heap_allocate(area, spec, path, heap);
	close(heap);
	if (rc)
		return rc;
	area->faces = AREA_FACE_DMABUF;
	if (!provider_dmabuf_map(area))
		area->faces |= AREA_FACE_CPU;
	return 0;
}

static int heap_create(struct area *area, const struct area_spec *spec)
{
	return heap_area_create(area, spec, HEAP_DIR);
}

const struct area_ops area_heap = {
	.name = "heap",
	.by_name_only = true,
	.create = heap_create,
	.destroy = provider_release,
};
