/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every error of the registration of a dma-buf: what is wrong with the update, the descriptor, the
 * dma-buf, the target and the ring; and what a registration that failed leaves behind: nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftest.h"
#include "verify.h"

#define BUFFER_LEN (256U << 10)
#define TABLE_SLOTS 4U
#define DISK_OFF (1U << 20)

static struct disk disk;
static struct buffer buffer;
static struct ring ring;

/* Registers one descriptor in slot 0 and says what came of it; a success is undone. */
static void descriptor_check(const struct regbuf_desc *desc, long want, const char *name)
{
	int rc = ring_update(&ring, 0, UPDATE_EXTENDED, desc, 1, NULL);

	check_eq(rc, want, "%s", name);
	if (rc == 1)
		ring_clear(&ring, 0);
}

static struct regbuf_desc good_descriptor(void)
{
	return (struct regbuf_desc){ .type = REGBUF_DMABUF, .dmabuf_fd = buffer.fd,
				     .target_fd = disk.fd };
}

static void tag_wait(uint64_t tag, const char *name)
{
	struct completion done = { };

	if (check_eq(ring_wait(&ring, &done, COMPLETION_MS_MAX), 0, "%s: its tag comes", name))
		check(done.id == tag && !done.res, "%s: the tag is the one given", name);
}

static void updates(void)
{
	struct regbuf_desc descs[2] = { good_descriptor(), good_descriptor() };
	struct rsrc_update update = { .flags = UPDATE_EXTENDED, .data = (uintptr_t)descs, .nr = 1 };
	uint64_t tag = 1;
	struct ring bare;

	section("update");
	if (ring_open(&bare, 4, 0))
		fatal("a second ring");
	check_eq(ring_register_dmabuf(&bare, 0, buffer.fd, disk.fd), -ENXIO, "no table");
	ring_close(&bare);
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED | 1, descs, 1, NULL), -EINVAL,
		 "flag bit 0 beside the extended one");
	check_eq(ring_update(&ring, 0, 1, descs, 1, NULL), -EINVAL, "flag bit 0 alone");
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED | 4, descs, 1, NULL), -EINVAL, "flag bit 2");
	check_eq(ring_update(&ring, 0, 1U << 31, descs, 1, NULL), -EINVAL, "flag bit 31");
	update.resv2 = 1;
	check_eq(ring_register(&ring, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update)),
		 -EINVAL, "resv2");
	update.resv2 = 0;
	check_eq(ring_register(&ring, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update) - 8),
		 -EINVAL, "size of the update");
	check_eq(ring_register(&ring, IORING_REGISTER_FILES_UPDATE2, &update, sizeof(update)),
		 -EINVAL, "the flag in an update of files");
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 0, NULL), -EINVAL, "no descriptor");
	check_eq(ring_update(&ring, TABLE_SLOTS, UPDATE_EXTENDED, descs, 1, NULL), -EINVAL,
		 "behind the table");
	check_eq(ring_update(&ring, TABLE_SLOTS - 1, UPDATE_EXTENDED, descs, 2, NULL), -EINVAL,
		 "over the end of the table");
	check_eq(ring_update(&ring, UINT_MAX, UPDATE_EXTENDED, descs, 1, NULL), -EOVERFLOW,
		 "slot number that wraps");
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, NULL, 1, NULL), -EFAULT,
		 "no address of descriptors");
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 1, (uint64_t *)8), -EFAULT,
		 "bad address of tags");
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 1, &tag), 1,
		 "all right, with a tag");
	ring_clear(&ring, 0);
	tag_wait(tag, "all right");
}

static void descriptors(void)
{
	struct regbuf_desc desc;
	uint64_t tag = 7;
	unsigned int i;

	section("descriptor");
	desc = good_descriptor();
	desc.type = REGBUF_UNKNOWN;
	descriptor_check(&desc, -EINVAL, "type 3");
	desc.type = UINT_MAX;
	descriptor_check(&desc, -EINVAL, "type 2^32 - 1");
	desc = good_descriptor();
	desc.flags = 1;
	descriptor_check(&desc, -EINVAL, "flags bit 0");
	desc.flags = 1U << 31;
	descriptor_check(&desc, -EINVAL, "flags bit 31");
	for (i = 0; i < sizeof(desc.resv) / sizeof(desc.resv[0]); i++) {
		char name[32];

		desc = good_descriptor();
		desc.resv[i] = 1ULL << 63;
		snprintf(name, sizeof(name), "reserved word %u", i);
		descriptor_check(&desc, -EINVAL, name);
	}
	desc = good_descriptor();
	desc.size = BUFFER_LEN;
	descriptor_check(&desc, -EINVAL, "dma-buf with a size");
	desc = good_descriptor();
	desc.uaddr = (uintptr_t)buffer.mem;
	descriptor_check(&desc, -EINVAL, "dma-buf with an address");
	desc = (struct regbuf_desc){ .flags = 1 };
	descriptor_check(&desc, -EINVAL, "empty with flags");
	desc = (struct regbuf_desc){ .dmabuf_fd = buffer.fd };
	descriptor_check(&desc, -EINVAL, "empty with a dma-buf");
	desc = (struct regbuf_desc){ .target_fd = -1 };
	descriptor_check(&desc, -EINVAL, "empty with target -1");
	desc = (struct regbuf_desc){ .size = 4096 };
	descriptor_check(&desc, -EFAULT, "empty with a size");
	desc = (struct regbuf_desc){ .uaddr = 4096 };
	descriptor_check(&desc, -EFAULT, "empty with an address");
	desc = (struct regbuf_desc){ };
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, &desc, 1, &tag), -EINVAL,
		 "empty with a tag");
	desc = (struct regbuf_desc){ .type = REGBUF_UADDR, .uaddr = (uintptr_t)buffer.mem,
				     .size = 4096, .dmabuf_fd = buffer.fd };
	descriptor_check(&desc, -EINVAL, "memory with a dma-buf");
	desc.dmabuf_fd = 0;
	desc.target_fd = disk.fd;
	descriptor_check(&desc, -EINVAL, "memory with a target");
	desc.target_fd = 0;
	descriptor_check(&desc, 1, "memory");
	desc.uaddr = 4096;
	descriptor_check(&desc, -EFAULT, "memory that is none");
}

static void fd_check(int dmabuf_fd, int target_fd, long want, const char *name)
{
	int rc = ring_register_dmabuf(&ring, 0, dmabuf_fd, target_fd);

	check_eq(rc, want, "%s", name);
	if (rc == 1)
		ring_clear(&ring, 0);
}

/* Files that are no dma-buf, and have no way to take one. */
static void foreign_files(void)
{
	struct {
		const char *name;
		int fd;
	} files[] = {
		{ "a memfd", memfd_create("selftest", MFD_CLOEXEC) },
		{ "a socket", socket(AF_UNIX, SOCK_STREAM, 0) },
		{ "a directory", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) },
		{ "/dev/null", open("/dev/null", O_RDWR | O_CLOEXEC) },
		{ "the ring", dup(ring.fd) },
	};
	int path_fd = open(disk.path, O_PATH | O_CLOEXEC);
	char name[64];
	unsigned int i;

	section("files");
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (files[i].fd < 0)
			fatal("%s: %s", files[i].name, result_text(-errno));
		snprintf(name, sizeof(name), "dma-buf is %s", files[i].name);
		fd_check(files[i].fd, disk.fd, -EINVAL, name);
		snprintf(name, sizeof(name), "target is %s", files[i].name);
		fd_check(buffer.fd, files[i].fd, -EOPNOTSUPP, name);
		close(files[i].fd);
	}
	fd_check(disk.fd, disk.fd, -EINVAL, "dma-buf is the disk");
	fd_check(buffer.fd, buffer.fd, -EOPNOTSUPP, "target is the dma-buf");
	fd_check(-1, disk.fd, -EBADF, "dma-buf is -1");
	fd_check(INT_MIN, disk.fd, -EBADF, "dma-buf is the lowest number");
	fd_check(files[0].fd, disk.fd, -EBADF, "dma-buf is closed");
	fd_check(buffer.fd, -1, -EBADF, "target is -1");
	fd_check(buffer.fd, INT_MAX, -EBADF, "target is the highest number");
	fd_check(buffer.fd, files[0].fd, -EBADF, "target is closed");
	fd_check(buffer.fd, path_fd, -EBADF, "target is open as a path only");
	fd_check(-1, -1, -EBADF, "both are -1");
	fd_check(buffer.fd, disk.fd, 1, "both are right");
	close(path_fd);
}

static void targets(const char *other)
{
	int fd = open(disk.path, O_RDWR | O_CLOEXEC);

	section("targets");
	fd_check(buffer.fd, fd, -EINVAL, "the disk without O_DIRECT");
	close(fd);
	fd = dup(disk.fd);
	fd_check(buffer.fd, fd, 1, "a duplicate of the disk's descriptor");
	close(fd);
	if (!other) {
		skip_one("a device whose driver has no support: none was named");
		return;
	}
	fd = open(other, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		fatal("%s: %s", other, result_text(-errno));
	fd_check(buffer.fd, fd, -EINVAL, "a device whose driver has no support");
	close(fd);
}

static void rings(void)
{
	struct clone_buffers clone = { .src_fd = (uint32_t)ring.fd };
	struct ring other;

	section("rings");
	if (ring_open(&other, 4, IORING_SETUP_IOPOLL) || ring_table(&other, 1))
		fatal("a ring that polls");
	check_eq(ring_register_dmabuf(&other, 0, buffer.fd, disk.fd), -EOPNOTSUPP,
		 "a ring that polls for completions");
	ring_close(&other);

	if (ring_open(&other, 4, 0))
		fatal("a second ring");
	ring_register_dmabuf(&ring, 1, buffer.fd, disk.fd);
	check_eq(ring_register(&other, REGISTER_CLONE_BUFFERS, &clone, 1), -EINVAL,
		 "a table with a dma-buf cannot be cloned");
	ring_clear(&ring, 1);
	ring_close(&other);
}

static long slot_read(unsigned int slot)
{
	struct request req = { .opcode = IORING_OP_READ_FIXED, .slot = (uint16_t)slot,
			       .fd = disk.fd, .len = 4096 };

	return ring_io_again(&ring, &req);
}

/* Up to the first error, and the slot of that one stays as it was. */
static void partial(void)
{
	struct regbuf_desc descs[3] = { good_descriptor(), good_descriptor(), good_descriptor() };

	section("several at a time");
	descs[1].dmabuf_fd = -1;
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 3, NULL), 1, "the second is bad");
	check_eq(slot_read(0), 4096, "the first is registered");
	check_eq(slot_read(1), -EFAULT, "the second is not");
	check_eq(slot_read(2), -EFAULT, "the third is not");
	ring_register_dmabuf(&ring, 1, buffer.fd, disk.fd);
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 3, NULL), 1,
		 "once more, with something in the second slot");
	check_eq(slot_read(1), 4096, "which stays");
	descs[0].dmabuf_fd = -1;
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 3, NULL), -EBADF,
		 "the first is bad");
	check_eq(slot_read(0), 4096, "what was in its slot stays");
	descs[0] = descs[1] = descs[2];
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 3, NULL), 3, "all are good");
	check_eq(slot_read(2), 4096, "the third is registered");
	descs[0] = descs[1] = descs[2] = (struct regbuf_desc){ };
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 3, NULL), 3, "all are emptied");
	check_eq(slot_read(2), -EFAULT, "the third is empty");
}

static void tags(void)
{
	struct regbuf_desc descs[2] = { good_descriptor(), good_descriptor() };
	uint64_t values[2] = { 0x1001, 0x1002 };
	struct completion done;

	section("tags");
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 1, values), 1,
		 "registered with a tag");
	check(!ring_peek(&ring, &done), "no tag while it is registered");
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 1, values + 1), 1,
		 "replaced, with another tag");
	tag_wait(0x1001, "replaced");
	ring_clear(&ring, 0);
	tag_wait(0x1002, "emptied");
	descs[1].dmabuf_fd = -1;
	check_eq(ring_update(&ring, 0, UPDATE_EXTENDED, descs, 2, values), 1,
		 "two with tags, the second bad");
	ring_clear(&ring, 0);
	tag_wait(0x1001, "the first");
	check(!ring_peek(&ring, &done), "no tag of the bad one");
}

/* The old ways to fill a slot know nothing of dma-bufs, but replace one. */
static void other_ways(void)
{
	struct request req = { .opcode = IORING_OP_READ_FIXED, .fd = disk.fd, .len = 4096 };
	uint8_t *plain = plain_alloc(8192), *want = plain_alloc(4096);
	struct iovec iov = { .iov_base = plain, .iov_len = 8192 };
	struct io_uring_rsrc_register table = { .nr = 1, .flags = UPDATE_EXTENDED | 1 };
	struct ring other;

	section("memory in a slot that a dma-buf had");
	random_fill(want, 4096);
	disk_write(&disk, want, 4096, DISK_OFF);
	req.off = DISK_OFF;
	req.addr = (uintptr_t)plain;
	ring_register_dmabuf(&ring, 0, buffer.fd, disk.fd);
	check_eq(ring_update(&ring, 0, 0, (const struct regbuf_desc *)&iov, 1, NULL), 1,
		 "replaced by an update without the flag");
	memset(plain, 0, 8192);
	check(ring_io(&ring, &req) == 4096 && !bytes_differ(plain, want, 4096),
	      "reads into that memory");
	ring_register_dmabuf(&ring, 0, buffer.fd, disk.fd);
	check_eq(ring_io(&ring, &req), -EFAULT, "a dma-buf again: the address is not in it");
	check_eq(ring_register_memory(&ring, 0, plain, 8192), 1, "replaced by a descriptor");
	memset(plain, 0, 8192);
	check(ring_io(&ring, &req) == 4096 && !bytes_differ(plain, want, 4096),
	      "reads into that memory");
	ring_clear(&ring, 0);

	if (ring_open(&other, 4, 0))
		fatal("a second ring");
	check_eq(ring_register(&other, IORING_REGISTER_BUFFERS2, &table, sizeof(table)), -EINVAL,
		 "the flag when the table is made");
	ring_table(&other, 1);
	ring_register_dmabuf(&other, 0, buffer.fd, disk.fd);
	check_eq(ring_register(&other, IORING_UNREGISTER_BUFFERS, NULL, 0), 0,
		 "the table goes with a dma-buf in it");
	ring_close(&other);
	free(plain);
	free(want);
}

static void sizes(void)
{
	struct request req = { .opcode = IORING_OP_READ_FIXED, .fd = disk.fd, .len = 8192 };
	uint64_t largest = (1ULL << 32) - 4096;
	int fd;

	section("sizes");
	fd = dmabuf_repeated(1024, 0);
	if (fd < 0) {
		skip_one("dma-bufs of 4 GiB: udmabuf: %s", result_text(fd));
		return;
	}
	fd_check(fd, disk.fd, -EINVAL, "a dma-buf of 4 GiB");
	close(fd);
	fd = dmabuf_repeated(1024, 4096);
	if (fd < 0)
		fatal("a udmabuf of 4 GiB - 4 KiB: %s", result_text(fd));
	check_eq(ring_register_dmabuf(&ring, 0, fd, disk.fd), 1, "a dma-buf of 4 GiB - 4 KiB");
	req.addr = largest - 8192;
	check_eq(ring_io_again(&ring, &req), 8192, "its last 8 KiB");
	req.addr = largest - 4096;
	check_eq(ring_io_again(&ring, &req), -EFAULT, "over its end");
	ring_clear(&ring, 0);
	close(fd);
}

int main(int argc, char **argv)
{
	int rc;

	selftest_start();
	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: errors DEVICE [OTHER]\n\n"
			"DEVICE: an NVMe block device, whose content is destroyed. OTHER: a block\n"
			"device whose driver cannot take dma-bufs, such as virtio-blk; only\n"
			"opened, to read.\n");
		return 2;
	}
	ring_require_dmabuf();
	disk_open(&disk, argv[1]);
	rc = buffer_open(&buffer, BUFFER_PAGES, BUFFER_LEN);
	if (!rc)
		rc = ring_open(&ring, 8, 0);
	if (!rc)
		rc = ring_table(&ring, TABLE_SLOTS);
	if (rc)
		fatal("set-up: %s", result_text(rc));
	updates();
	descriptors();
	foreign_files();
	targets(argc == 3 ? argv[2] : NULL);
	rings();
	partial();
	tags();
	other_ways();
	sizes();
	buffer_close(&buffer);
	ring_close(&ring);
	disk_close(&disk);
	return selftest_end();
}
