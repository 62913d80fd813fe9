/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA by way of bounce buffers (swiotlb=force on the kernel's command line): a registered dma-buf
 * moves right data. One with pieces larger than a bounce buffer may be refused, with an error that
 * says that it cannot be mapped as it is; single pages always have room.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "disk.h"
#include "exporter.h"
#include "ring.h"
#include "selftest.h"
#include "verify.h"

enum {
	BUFFER_LEN = 2 << 20,
	TRANSFER_LEN = 64 << 10,
};

static void data_check(struct ring *ring, const struct disk *disk, const struct buffer *buffer)
{
	struct iovec parts[] = { fragment(65536, 32768), fragment(8192, 32768) };
	struct transfer transfer = { .fragments = parts, .nr = 2, .vectored = true,
				     .off = 1 << 20 };
	struct verify verify;

	verify_init(&verify, ring, disk, buffer, TRANSFER_LEN);
	check_range(&verify, 0, TRANSFER_LEN, 1 << 20, buffer->name);
	check_range(&verify, BUFFER_LEN - TRANSFER_LEN, TRANSFER_LEN, 1 << 20, buffer->name);
	check_write(&verify, &transfer, buffer->name);
	check_read(&verify, &transfer, buffer->name);
	verify_fini(&verify);
}

/* What the CPU has written last is there when the bounce buffers are gone. */
static void unmap_check(struct ring *ring, const struct buffer *buffer)
{
	uint8_t *want = plain_alloc(BUFFER_LEN);

	random_fill(want, BUFFER_LEN);
	memcpy(buffer->mem, want, BUFFER_LEN);
	check_eq(ring_clear(ring, 0), 1, "%s: unregistration", buffer->name);
	check_eq((long)bytes_differ(buffer->mem, want, BUFFER_LEN), 0,
		 "%s: bytes lost by it", buffer->name);
	free(want);
}

static void buffer_check(struct ring *ring, const struct disk *disk, struct buffer *buffer,
			 bool scattered, bool sync)
{
	int rc = ring_register_dmabuf(ring, 0, buffer->fd, disk->fd);

	if (!scattered && rc != 1) {
		check_either(rc, -EOPNOTSUPP, -EIO, "%s: refused", buffer->name);
	} else if (check_eq(rc, 1, "%s: registered", buffer->name)) {
		if (!sync)
			buffer_close_fd(buffer);
		data_check(ring, disk, buffer);
		unmap_check(ring, buffer);
	}
}

/*
 * What an I/O uses is right without DMA_BUF_IOCTL_SYNC. udmabuf must do without: it syncs bounce
 * buffers of its own, and so puts back what was there before the I/O.
 */
static void kind_check(struct ring *ring, const struct disk *disk, enum buffer_kind kind)
{
	struct buffer buffer;
	int rc = buffer_open(&buffer, kind, BUFFER_LEN);

	if (rc) {
		skip_one("%s: %s", buffer_kind_name(kind), result_text(rc));
		return;
	}
	buffer_check(ring, disk, &buffer, kind == BUFFER_SCATTERED, false);
	buffer_close(&buffer);
}

/* With it, the CPU sees all of a buffer whose exporter syncs what importers use. */
static void exporter_check(struct ring *ring, const struct disk *disk)
{
	struct buffer buffer;

	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	buffer_check(ring, disk, &buffer, true, true);
	check_released(&buffer, buffer.name);
	buffer_close(&buffer);
}

int main(int argc, char **argv)
{
	enum buffer_kind kind;
	struct disk disk;
	struct ring ring;
	int rc;

	selftest_start();
	if (argc != 2) {
		fprintf(stderr, "usage: swiotlb DEVICE\n"
			"Destroys the content of the block device.\n");
		return 1;
	}
	ring_require_dmabuf();
	exporter_require();
	disk_open(&disk, argv[1]);
	rc = ring_open(&ring, 8, 0);
	if (!rc)
		rc = ring_table(&ring, 1);
	if (rc)
		fatal("a ring: %s", result_text(rc));
	for (kind = 0; kind < BUFFER_KINDS; kind++)
		kind_check(&ring, &disk, kind);
	exporter_check(&ring, &disk);
	ring_close(&ring);
	disk_close(&disk);
	return selftest_end();
}
