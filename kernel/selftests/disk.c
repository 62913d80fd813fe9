/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "disk.h"
#include "selftest.h"

#define PAGE_LEN 4096U

/* The number in the queue's directory, or `missing` when there is no such file. */
static long queue_number(int fd, const char *name, long missing)
{
	struct stat st;
	char path[128];
	long number = missing;

	if (fstat(fd, &st) || !S_ISBLK(st.st_mode))
		fatal("%s: not a block device", name);
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/%s", major(st.st_rdev),
		 minor(st.st_rdev), name);
	number_read(path, &number);
	return number;
}

/*
 * A kernel without limits of their own for requests with a dma-buf holds them to those of the
 * others.
 */
static void limits_read(struct disk *disk)
{
	struct disk_limits *limits = &disk->limits;
	int fd = disk->fd;
	long segments = queue_number(fd, "max_segments", 0);
	long kib = queue_number(fd, "max_sectors_kb", 0);
	long boundary_mask = queue_number(fd, "virt_boundary_mask", 0);

	limits->block_len = (unsigned int)queue_number(fd, "logical_block_size", 0);
	limits->alignment = (unsigned int)queue_number(fd, "dma_alignment", -1) + 1;
	limits->segments_max = (unsigned int)queue_number(fd, "max_dma_buf_segments", segments);
	limits->command_len_max =
		(unsigned int)queue_number(fd, "max_hw_dma_buf_sectors_kb", kib) * 1024;
	limits->boundary = boundary_mask ? (unsigned int)boundary_mask + 1 : 0;
	if (!limits->block_len || !limits->alignment || !limits->segments_max ||
	    !limits->command_len_max)
		fatal("%s: no limits in /sys/dev/block/*/queue: is it a whole disk?", disk->path);
}

void disk_open(struct disk *disk, const char *path)
{
	*disk = (struct disk){ .path = path };
	disk->plain_fd = open(path, O_RDWR | O_DIRECT | O_EXCL | O_CLOEXEC);
	if (disk->plain_fd < 0)
		fatal("%s: %s: it must be a block device that nothing else uses", path,
		      result_text(-errno));
	disk->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk->fd < 0)
		fatal("%s: %s", path, result_text(-errno));
	if (ioctl(disk->fd, BLKGETSIZE64, &disk->len))
		fatal("%s: its size: %s", path, result_text(-errno));
	limits_read(disk);
}

void disk_close(struct disk *disk)
{
	if (disk->fd >= 0)
		close(disk->fd);
	close(disk->plain_fd);
}

void disk_write(const struct disk *disk, const void *mem, size_t len, uint64_t off)
{
	ssize_t done = pwrite(disk->plain_fd, mem, len, (off_t)off);

	if (done != (ssize_t)len)
		fatal("%s: plain write of %zu bytes at %llu: %s", disk->path, len,
		      (unsigned long long)off, result_text(done < 0 ? -errno : done));
}

void disk_read(const struct disk *disk, void *mem, size_t len, uint64_t off)
{
	ssize_t done = pread(disk->plain_fd, mem, len, (off_t)off);

	if (done != (ssize_t)len)
		fatal("%s: plain read of %zu bytes at %llu: %s", disk->path, len,
		      (unsigned long long)off, result_text(done < 0 ? -errno : done));
}

void disk_domain_type(const struct disk *disk, char *type, size_t len)
{
	struct stat st;
	char path[128];

	if (fstat(disk->fd, &st))
		fatal("%s: %s", disk->path, result_text(-errno));
	/* A namespace's device is its controller, whose device is the PCI function. */
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/device/device/iommu_group/type",
		 major(st.st_rdev), minor(st.st_rdev));
	if (line_read(path, type, len))
		snprintf(type, len, "none");
}

void *plain_alloc(size_t len)
{
	void *mem = aligned_alloc(PAGE_LEN, (len + PAGE_LEN - 1) / PAGE_LEN * PAGE_LEN);

	if (!mem)
		fatal("no memory: %zu bytes", len);
	return mem;
}

static _Thread_local uint64_t random_state = 0x9e3779b97f4a7c15;

/* xorshift64: good enough that no two blocks are alike, and quick under emulation. */
static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

void random_seed(uint64_t seed)
{
	random_state = seed * 2 + 1;
	random_next();
}

void random_fill(void *mem, size_t len)
{
	uint8_t *pos = mem;

	for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t), pos += sizeof(uint64_t)) {
		uint64_t value = random_next();

		memcpy(pos, &value, sizeof(value));
	}
	for (; len; len--)
		*pos++ = (uint8_t)(random_next() >> 32);
}

uint32_t random_below(uint32_t end)
{
	return (uint32_t)(random_next() >> 32) % end;
}

size_t bytes_differ(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;
	size_t count = 0, i;

	if (!memcmp(a, b, len))
		return 0;
	for (i = 0; i < len; i++)
		count += x[i] != y[i];
	return count;
}
