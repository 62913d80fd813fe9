/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A descriptor's rights hold for the device too: a dma-buf that is open to read is never written,
 * one that is open to write is never read; nor is a disk that is open to read written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "selftest.h"
#include "verify.h"

#define LEN (256U << 10)
#define IO_LEN 16384U
#define DISK_OFF (1U << 20)

static struct disk disk;
static struct ring ring;
static uint8_t *want, *got;

/* One request, plain or vectored in four reversed pieces, of the dma-buf's first bytes. */
static long move(bool write, bool vectored, int fd)
{
	struct iovec pieces[4];
	struct request req = { .fd = fd, .off = DISK_OFF, .len = IO_LEN };
	unsigned int i;

	for (i = 0; i < 4; i++)
		pieces[i] = fragment((3 - i) * (IO_LEN / 4), IO_LEN / 4);
	req.opcode = write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
	if (vectored) {
		req.opcode = write ? OP_WRITEV_FIXED : OP_READV_FIXED;
		req.addr = (uintptr_t)pieces;
		req.len = 4;
	}
	return ring_io_again(&ring, &req);
}

/* The disk's range holds this byte. */
static void disk_fill(uint8_t byte)
{
	memset(want, byte, IO_LEN);
	disk_write(&disk, want, IO_LEN, DISK_OFF);
}

static bool disk_holds(uint8_t byte)
{
	memset(want, byte, IO_LEN);
	disk_read(&disk, got, IO_LEN, DISK_OFF);
	return !bytes_differ(got, want, IO_LEN);
}

/*
 * Without DMA_BUF_IOCTL_SYNC: no device may write the memory, so there is nothing to sync, and the heap
 * would sync mappings in a direction that they do not have.
 */
static bool buffer_holds_zeroes(const struct buffer *buffer)
{
	size_t i, wrong = 0;

	for (i = 0; i < buffer->len; i++)
		wrong += buffer->mem[i] != 0;
	return !wrong;
}

static const char *const forms[] = { "plain", "vectored" };

static bool heap_buffer(struct buffer *buffer, int access)
{
	int rc = buffer_open_heap(buffer, LEN, access);

	if (rc)
		skip_one("%s: %s", access == O_RDONLY ? "read only" : "write only",
			 result_text(rc));
	return !rc;
}

static void registered(const struct buffer *buffer)
{
	int rc = ring_register_dmabuf(&ring, 0, buffer->fd, disk.fd);

	check_eq(rc, 1, "%s: registers", buffer->name);
	if (rc != 1)
		fatal("nothing more to see");
}

/* The heap's memory is zero at first, and nobody else can write it. */
static void read_only(void)
{
	struct buffer buffer;
	unsigned int i;

	section("dma-buf open to read");
	if (!heap_buffer(&buffer, O_RDONLY))
		return;
	registered(&buffer);
	for (i = 0; i < 2; i++) {
		disk_fill(0xee);
		check_eq(move(false, i, disk.fd), -EFAULT, "read into it, %s", forms[i]);
		check(buffer_holds_zeroes(&buffer), "it is as it was");
		check_eq(move(true, i, disk.fd), IO_LEN, "write from it, %s", forms[i]);
		check(disk_holds(0), "its content is on the disk");
	}
	ring_clear(&ring, 0);
	buffer_close(&buffer);
}

/* What is in such a dma-buf nobody can see; the disk shows that it did not get it. */
static void write_only(void)
{
	struct buffer buffer;
	unsigned int i;

	section("dma-buf open to write");
	if (!heap_buffer(&buffer, O_WRONLY))
		return;
	registered(&buffer);
	for (i = 0; i < 2; i++) {
		disk_fill(0xee);
		check_eq(move(true, i, disk.fd), -EFAULT, "write from it, %s", forms[i]);
		check(disk_holds(0xee), "the disk is as it was");
		check_eq(move(false, i, disk.fd), IO_LEN, "read into it, %s", forms[i]);
	}
	ring_clear(&ring, 0);
	buffer_close(&buffer);
}

/* One with all rights, beside a registration of it with fewer: each descriptor has its own. */
static void disk_read_only(void)
{
	int fd = open(disk.path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	struct buffer buffer;
	unsigned int i;

	section("disk open to read");
	if (fd < 0 || buffer_open(&buffer, BUFFER_PAGES, LEN))
		fatal("a udmabuf and the disk once more");
	check_eq(ring_register_dmabuf(&ring, 0, buffer.fd, fd), 1, "registers");
	for (i = 0; i < 2; i++) {
		disk_fill(0x5a + (uint8_t)i);
		memset(buffer.mem, 0, LEN);
		check_eq(move(false, i, fd), IO_LEN, "read, %s", forms[i]);
		check(!bytes_differ(buffer.mem, want, IO_LEN), "and its data");
		memset(buffer.mem, 0, LEN);
		check_eq(move(true, i, fd), -EBADF, "write, %s", forms[i]);
		check(disk_holds(0x5a + (uint8_t)i), "the disk is as it was");
	}
	ring_clear(&ring, 0);
	close(fd);

	section("disk open to write");
	fd = open(disk.path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	check_eq(ring_register_dmabuf(&ring, 0, buffer.fd, fd), 1, "registers");
	for (i = 0; i < 2; i++) {
		memset(buffer.mem, 0x77 + (int)i, LEN);
		check_eq(move(true, i, fd), IO_LEN, "write, %s", forms[i]);
		check(disk_holds(0x77 + (uint8_t)i), "and its data");
		check_eq(move(false, i, fd), -EBADF, "read, %s", forms[i]);
	}
	ring_clear(&ring, 0);
	close(fd);
	buffer_close(&buffer);
}

int main(int argc, char **argv)
{
	int rc;

	selftest_start();
	if (argc != 2) {
		fprintf(stderr, "usage: rights DEVICE\n\n"
			"DEVICE: an NVMe block device, whose content is destroyed.\n");
		return 2;
	}
	ring_require_dmabuf();
	disk_open(&disk, argv[1]);
	want = plain_alloc(IO_LEN);
	got = plain_alloc(IO_LEN);
	rc = ring_open(&ring, 8, 0);
	if (!rc)
		rc = ring_table(&ring, 1);
	if (rc)
		fatal("set-up: %s", result_text(rc));
	read_only();
	write_only();
	disk_read_only();
	ring_close(&ring);
	disk_close(&disk);
	free(want);
	free(got);
	return selftest_end();
}
