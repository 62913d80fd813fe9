/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffers.h"
#include "disk.h"
#include "selftest.h"

#define PAGE_LEN 4096U
#define HUGE_LEN (2U << 20)
#define HUGE_TRIES 10
#define REPEATED_TRIES 100
#define BUFINFO "/sys/kernel/debug/dma_buf/bufinfo"
#define DETACH_MS_MAX 20000
#define HUGE_PAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static const char *const kind_names[BUFFER_KINDS] = {
	[BUFFER_PAGES] = "udmabuf, 4 KiB pages",
	[BUFFER_SCATTERED] = "udmabuf, scattered 4 KiB pages",
	[BUFFER_HUGE] = "udmabuf, 2 MiB pages",
	[BUFFER_HEAP] = "system heap",
};

const char *buffer_kind_name(enum buffer_kind kind)
{
	return kind_names[kind];
}

/* How many huge pages there are, and how many are unused. False where the program may not know. */
static bool huge_pages_count(long *there, long *unused)
{
	return !number_read(HUGE_PAGES "nr_hugepages", there) &&
	       !number_read(HUGE_PAGES "free_hugepages", unused);
}

/*
 * Sees to it that there are huge pages for len bytes, where the program may. What ran before may have left
 * memory in pieces, or in the page cache.
 */
static void huge_pages_provide(size_t len)
{
	long wanted = (long)((len + HUGE_LEN - 1) / HUGE_LEN), there, unused;
	char text[32];
	int tries;

	for (tries = 0; tries < HUGE_TRIES; tries++) {
		if (!huge_pages_count(&there, &unused) || unused >= wanted)
			return;
		if (tries) {
			text_write("/proc/sys/vm/drop_caches", "3");
			text_write("/proc/sys/vm/compact_memory", "1");
			sleep_ms(100);
		}
		snprintf(text, sizeof(text), "%ld", there - unused + wanted);
		text_write(HUGE_PAGES "nr_hugepages", text);
	}
}

/* A memfd that may become a udmabuf: it must not shrink any more. A negative errno. */
static int memfd_open(size_t len, unsigned int flags)
{
	int fd = memfd_create("selftest", MFD_ALLOW_SEALING | MFD_CLOEXEC | flags), rc;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static int memory_map(int fd, size_t len, int prot, uint8_t **mem)
{
	void *map = mmap(NULL, len, prot, MAP_SHARED | MAP_POPULATE, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	*mem = map;
	return 0;
}

/*
 * Touches the pages in random order, those of a second file in between, so that pages that follow
 * each other in the file do not in memory.
 */
static int pages_scatter(int memfd, size_t len)
{
	size_t nr = len / PAGE_LEN, i;
	int decoy = memfd_open(len, 0), rc = decoy;
	uint8_t *mem, *other;
	uint32_t *order;

	if (decoy < 0)
		return rc;
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	other = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, decoy, 0);
	order = malloc(nr * sizeof(*order));
	if (mem == MAP_FAILED || other == MAP_FAILED || !order)
		fatal("no memory to scatter %zu pages", nr);
	for (i = 0; i < nr; i++)
		order[i] = (uint32_t)i;
	for (i = nr - 1; i > 0; i--) {
		size_t j = random_below((uint32_t)i + 1);
		uint32_t swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
	for (i = 0; i < nr; i++) {
		mem[(size_t)order[i] * PAGE_LEN] = 1;
		other[i * PAGE_LEN] = 1;
	}
	free(order);
	munmap(mem, len);
	munmap(other, len);
	close(decoy);
	return 0;
}

/* The dma-buf over a memfd's whole content. A negative errno. */
static int udmabuf_create(int memfd, size_t len)
{
	struct udmabuf_create create = { .memfd = (uint32_t)memfd, .flags = UDMABUF_FLAGS_CLOEXEC,
					 .size = len };
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;

	if (dev < 0)
		return -errno;
	fd = ioctl(dev, UDMABUF_CREATE, &create);
	if (fd < 0)
		fd = -errno;
	close(dev);
	return fd;
}

static int dmabuf_repeated_once(unsigned int pieces, uint64_t less)
{
	enum { PIECE = 4U << 20 };
	struct udmabuf_create_list *list;
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), memfd, fd;
	unsigned int i;

	if (dev < 0)
		return -errno;
	huge_pages_provide(PIECE);
	memfd = memfd_open(PIECE, MFD_HUGETLB);
	if (memfd < 0) {
		close(dev);
		return memfd;
	}
	list = calloc(1, sizeof(*list) + pieces * sizeof(list->list[0]));
	if (!list)
		fatal("no memory for a list of %u pieces", pieces);
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = pieces;
	for (i = 0; i < pieces; i++) {
		list->list[i].memfd = (uint32_t)memfd;
		list->list[i].size = i < pieces - 1 ? PIECE : PIECE - less;
	}
	fd = ioctl(dev, UDMABUF_CREATE_LIST, list);
	if (fd < 0)
		fd = -errno;
	free(list);
	close(memfd);
	close(dev);
	return fd;
}

/* What was there before is given back by and by, and this takes much memory. */
int dmabuf_repeated(unsigned int pieces, uint64_t less)
{
	int fd = dmabuf_repeated_once(pieces, less), tries;

	for (tries = 0; tries < REPEATED_TRIES && fd == -ENOMEM; tries++) {
		sleep_ms(100);
		fd = dmabuf_repeated_once(pieces, less);
	}
	return fd;
}

static int heap_alloc(size_t len, int access)
{
	struct dma_heap_allocation_data alloc = { .len = len,
						  .fd_flags = (uint32_t)(access | O_CLOEXEC) };
	int dev = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC), rc = 0;

	if (dev < 0)
		return -errno;
	if (ioctl(dev, DMA_HEAP_IOCTL_ALLOC, &alloc) < 0)
		rc = -errno;
	close(dev);
	return rc ? rc : (int)alloc.fd;
}

static int udmabuf_open(struct buffer *buffer, enum buffer_kind kind)
{
	int memfd = memfd_open(buffer->len, kind == BUFFER_HUGE ? MFD_HUGETLB : 0), rc = 0;

	if (memfd < 0)
		return memfd;
	if (kind == BUFFER_SCATTERED)
		rc = pages_scatter(memfd, buffer->len);
	if (!rc)
		rc = memory_map(memfd, buffer->len, PROT_READ | PROT_WRITE, &buffer->mem);
	if (!rc) {
		buffer->fd = udmabuf_create(memfd, buffer->len);
		if (buffer->fd < 0) {
			rc = buffer->fd;
			munmap(buffer->mem, buffer->len);
		}
	}
	close(memfd);
	return rc;
}

static int heap_open(struct buffer *buffer, int access)
{
	int rc;

	buffer->fd = heap_alloc(buffer->len, access);
	if (buffer->fd < 0)
		return buffer->fd;
	if (access == O_WRONLY)
		return 0;
	rc = memory_map(buffer->fd, buffer->len,
			access == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE, &buffer->mem);
	if (rc)
		close(buffer->fd);
	return rc;
}

int buffer_open(struct buffer *buffer, enum buffer_kind kind, size_t len)
{
	*buffer = (struct buffer){ .name = kind_names[kind], .fd = -1, .len = len };
	if (kind == BUFFER_HEAP)
		return heap_open(buffer, O_RDWR);
	if (kind == BUFFER_HUGE)
		huge_pages_provide(len);
	return udmabuf_open(buffer, kind);
}

int buffer_open_heap(struct buffer *buffer, size_t len, int access)
{
	*buffer = (struct buffer){ .fd = -1, .len = len };
	buffer->name = access == O_RDONLY ? "system heap, read only" : "system heap, write only";
	return heap_open(buffer, access);
}

void buffer_close_fd(struct buffer *buffer)
{
	if (buffer->fd >= 0)
		close(buffer->fd);
	buffer->fd = -1;
}

void buffer_close(struct buffer *buffer)
{
	buffer_close_fd(buffer);
	if (buffer->mem)
		munmap(buffer->mem, buffer->len);
	buffer->mem = NULL;
}

/*
 * A descriptor may have been closed on purpose while its memory is in use: nothing to frame with.
 */
static void cpu_sync(const struct buffer *buffer, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_RW };

	if (buffer->fd >= 0 && ioctl(buffer->fd, DMA_BUF_IOCTL_SYNC, &sync))
		fatal("DMA_BUF_IOCTL_SYNC on %s: %s", buffer->name, result_text(-errno));
}

void buffer_cpu_begin(const struct buffer *buffer)
{
	cpu_sync(buffer, DMA_BUF_SYNC_START);
}

void buffer_cpu_end(const struct buffer *buffer)
{
	cpu_sync(buffer, DMA_BUF_SYNC_END);
}

/* The sum of all lines "Total N what..." in the list of all dma-bufs, or a negative errno. */
static long bufinfo_sum(const char *what)
{
	FILE *file = fopen(BUFINFO, "re");
	long total = 0, here;
	char line[512];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		if (strstr(line, what) && sscanf(line, "Total %ld", &here) == 1)
			total += here;
	fclose(file);
	return total;
}

static long count_wait(long (*count)(void), long wanted)
{
	uint64_t end_ms = now_ms() + DETACH_MS_MAX;
	long there = count();

	while (there >= 0 && there != wanted && now_ms() < end_ms) {
		sleep_ms(20);
		there = count();
	}
	return there;
}

long attachments_count(void)
{
	return bufinfo_sum("devices attached");
}

long attachments_wait(long wanted)
{
	return count_wait(attachments_count, wanted);
}

long dmabufs_count(void)
{
	return bufinfo_sum("objects,");
}

long dmabufs_wait(long wanted)
{
	return count_wait(dmabufs_count, wanted);
}
