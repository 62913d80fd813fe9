/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The block device under test, its limits, and the control: ordinary I/O through another open
 * file with ordinary memory, which shares nothing with what is tested.
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of requests with a dma-buf, from the queue's directory in sysfs. */
struct disk_limits {
	unsigned int block_len;		/* bytes */
	unsigned int alignment;		/* of a fragment's place and length: bytes, power of two */
	unsigned int segments_max;	/* of a command */
	unsigned int command_len_max;	/* bytes */
	unsigned int boundary;		/* PRP only: no gap between segments but here; or 0 */
};

struct disk {
	const char *path;
	int fd;				/* the target of registrations: O_RDWR | O_DIRECT */
	int plain_fd;			/* another open file of the device, for the control */
	uint64_t len;			/* bytes */
	struct disk_limits limits;
};

/*
 * Opens a device whose content may be destroyed; one that is mounted or part of another device is
 * refused. Ends the program when it cannot.
 */
void disk_open(struct disk *disk, const char *path);
void disk_close(struct disk *disk);

/*
 * The control. mem: aligned to a page; off and len: multiples of the block. An error ends the
 * program.
 */
void disk_write(const struct disk *disk, const void *mem, size_t len, uint64_t off);
void disk_read(const struct disk *disk, void *mem, size_t len, uint64_t off);

/*
 * The type of the IOMMU domain of the device that the controller is ("DMA", "DMA-FQ",
 * "identity"), or "none" without an IOMMU.
 */
void disk_domain_type(const struct disk *disk, char *type, size_t len);

/* Memory aligned to a page, to be given back with free(). Ends the program when there is none. */
void *plain_alloc(size_t len);

/* The same sequence in each run. Any thread may call them; each has its own sequence. */
void random_seed(uint64_t seed);
void random_fill(void *mem, size_t len);
uint32_t random_below(uint32_t end);

/* How many bytes differ. */
size_t bytes_differ(const void *a, const void *b, size_t len);

#endif
