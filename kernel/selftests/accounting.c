/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a registration costs and whether it is given back: thousands of registrations leave no
 * attachment, the charge against RLIMIT_MEMLOCK, the limit of mapped bytes a device.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.h"
#include "verify.h"

#define PAGE_LEN 4096U
#define MIB (1U << 20)
#define TABLE_SLOTS_MAX 16384U	/* the kernel's limit */
#define MAX_MAPPED "/sys/module/dma_buf_io/parameters/max_mapped_mb"
#define NOBODY 65534
#define EXIT_MS_MAX 20000	/* for what the kernel gives back after a ring is closed */

static struct disk disk;

static void ring_with_table(struct ring *ring, unsigned int slots)
{
	int rc = ring_open(ring, 8, 0);

	if (!rc)
		rc = ring_table(ring, slots);
	if (rc)
		fatal("a ring with %u slots: %s", slots, result_text(rc));
}

static void buffer_make(struct buffer *buffer, size_t len)
{
	int rc = buffer_open(buffer, BUFFER_PAGES, len);

	if (rc)
		fatal("a udmabuf of %zu bytes: %s", len, result_text(rc));
}

static void thousands(void)
{
	long before = attachments_count();
	struct buffer buffer;
	struct ring ring;
	unsigned int i;
	int rc = 1;

	section("thousands of registrations");
	buffer_make(&buffer, PAGE_LEN);
	if (ring_open(&ring, 8, 0))
		fatal("a ring");
	check_eq(ring_table(&ring, TABLE_SLOTS_MAX + 1), -EINVAL, "a table of 16385");
	check_eq(ring_table(&ring, TABLE_SLOTS_MAX), 0, "a table of 16384");
	for (i = 0; i < TABLE_SLOTS_MAX && rc == 1; i++)
		rc = ring_register_dmabuf(&ring, i, buffer.fd, disk.fd);
	check_eq(i, TABLE_SLOTS_MAX, "registrations of one dma-buf");
	if (rc == 1) {
		struct request req = { .opcode = IORING_OP_READ_FIXED, .fd = disk.fd,
				       .len = PAGE_LEN, .slot = TABLE_SLOTS_MAX - 1 };

		check_eq(ring_io_again(&ring, &req), PAGE_LEN, "read by the last");
	}
	if (before < 0)
		skip_one("attachments: no list in debugfs: %s", result_text(before));
	else
		check_eq(attachments_count() - before, i, "attachments");
	check_eq(ring_register(&ring, IORING_UNREGISTER_BUFFERS, NULL, 0), 0, "all unregistered");
	if (before >= 0)
		check_eq(attachments_wait(before) - before, 0, "attachments left");

	check_eq(ring_table(&ring, 16), 0, "a table of 16");
	for (i = 0, rc = 1; i < 2000 && rc == 1; i++)
		rc = ring_register_dmabuf(&ring, i % 16, buffer.fd, disk.fd);
	check_eq(i, 2000, "replaced by the same one");
	ring_close(&ring);
	if (before >= 0)
		check_eq(attachments_wait(before) - before, 0, "attachments left by a closed ring");
	buffer_close(&buffer);
}

/* What failed in the middle must not leave more behind than what worked. */
static void failures(void)
{
	long before = attachments_count();
	int fd = open(disk.path, O_RDWR | O_CLOEXEC);
	struct regbuf_desc descs[2];
	struct buffer buffer;
	struct ring ring;
	unsigned int i;
	int rc = 1;

	section("registrations that fail");
	buffer_make(&buffer, PAGE_LEN);
	ring_with_table(&ring, 2);
	for (i = 0; i < 1000 && rc != 0; i++) {
		struct regbuf_desc good = { .type = REGBUF_DMABUF, .dmabuf_fd = buffer.fd,
					    .target_fd = disk.fd };

		descs[0] = good;
		descs[1] = good;
		descs[1].target_fd = fd;
		rc = ring_update(&ring, 0, UPDATE_EXTENDED, descs, 2, NULL);
		if (rc != 1)
			break;
	}
	check_eq(i, 1000, "one good, one for a file without O_DIRECT");
	ring_register(&ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	if (before >= 0)
		check_eq(attachments_wait(before) - before, 0, "attachments left");
	ring_close(&ring);
	buffer_close(&buffer);
	close(fd);
}

/*
 * Behind an IOMMU the device's addresses come to an end long before the table does: 512 GiB where
 * they have 39 bits. One dma-buf of little memory is registered until then.
 */
static void addresses_exhausted(void)
{
	enum { SLOTS = 160 };
	long before = attachments_count();
	int fd = dmabuf_repeated(1024, PAGE_LEN), rc = 1;
	struct ring ring;
	char domain[32];
	unsigned int nr;

	section("the device's addresses exhausted");
	disk_domain_type(&disk, domain, sizeof(domain));
	if (fd < 0 || strncmp(domain, "DMA", 3)) {
		skip_one("IOMMU domain %s, udmabuf %s", domain, result_text(fd));
		if (fd >= 0)
			close(fd);
		return;
	}
	ring_with_table(&ring, SLOTS);
	for (nr = 0; nr < SLOTS; nr++) {
		rc = ring_register_dmabuf(&ring, nr, fd, disk.fd);
		if (rc != 1)
			break;
	}
	if (nr == SLOTS) {
		skip_one("%u registrations of 4 GiB fit", nr);
	} else {
		struct request req = { .opcode = IORING_OP_READ_FIXED, .fd = disk.fd,
				       .len = PAGE_LEN };

		note("%u registrations of 4 GiB fit", nr);
		check_either(rc, -ENOMEM, -EIO, "one more");
		check_eq(nr ? ring_io_again(&ring, &req) : 0, PAGE_LEN, "those that fit work");
		check_eq(ring_clear(&ring, 0), 1, "one unregistered");
		/* Lazily flushed addresses come back after a moment. */
		for (nr = 0; nr < 500; nr++) {
			rc = ring_register_dmabuf(&ring, 0, fd, disk.fd);
			if (rc == 1)
				break;
			sleep_ms(20);
		}
		check_eq(rc, 1, "its place is there again");
	}
	check_eq(ring_register(&ring, IORING_UNREGISTER_BUFFERS, NULL, 0), 0, "all unregistered");
	if (before >= 0)
		check_eq(attachments_wait(before) - before, 0, "attachments left");
	ring_close(&ring);
	close(fd);
}

static void memlock_set(size_t len)
{
	struct rlimit limit = { .rlim_cur = len, .rlim_max = len };

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		fatal("RLIMIT_MEMLOCK of %zu: %s", len, result_text(-errno));
}

/* Registers once the charge of a ring that was closed is given back. */
static int register_wait(struct ring *ring, const struct buffer *buffer)
{
	uint64_t end_ms = now_ms() + EXIT_MS_MAX;
	int rc;

	do
		rc = ring_register_dmabuf(ring, 0, buffer->fd, disk.fd);
	while (rc == -ENOMEM && now_ms() < end_ms && (sleep_ms(20), true));
	return rc;
}

/* As nobody, with a limit that two buffers do not fit. */
static int memlock_child(const struct buffer *buffer, const struct buffer *second)
{
	uint8_t *mem = plain_alloc(MIB);
	int buffered = open(disk.path, O_RDWR | O_CLOEXEC), rc = 1;
	struct ring ring;
	int i;

	memlock_set(MIB + MIB / 2);
	if (setgid(NOBODY) || setuid(NOBODY))
		fatal("to become nobody: %s", result_text(-errno));
	ring_with_table(&ring, 2);
	check_eq(ring_register_dmabuf(&ring, 0, buffer->fd, disk.fd), 1, "1 MiB of 1.5 MiB");
	check_eq(ring_register_dmabuf(&ring, 1, second->fd, disk.fd), -ENOMEM, "another 1 MiB");
	check_eq(ring_register_dmabuf(&ring, 1, buffer->fd, disk.fd), -ENOMEM,
		 "the same dma-buf again");
	check_eq(ring_register_memory(&ring, 1, mem, MIB), -ENOMEM, "1 MiB of ordinary memory");
	check_eq(ring_clear(&ring, 0), 1, "unregister");
	check_eq(ring_register_memory(&ring, 1, mem, MIB), 1, "ordinary memory then");
	check_eq(ring_register_dmabuf(&ring, 0, buffer->fd, disk.fd), -ENOMEM,
		 "no dma-buf beside it");
	ring_clear(&ring, 1);
	for (i = 0; i < 1000 && rc == 1; i++) {
		rc = ring_register_dmabuf(&ring, 0, buffer->fd, disk.fd);
		if (rc == 1)
			rc = ring_clear(&ring, 0);
	}
	check_eq(rc == 1 ? i : rc, 1000, "registered and unregistered");
	for (i = 0, rc = -EINVAL; i < 1000 && rc == -EINVAL; i++)
		rc = ring_register_dmabuf(&ring, 0, buffer->fd, buffered);
	check_eq(rc == -EINVAL ? i : rc, 1000, "failed for a file without O_DIRECT");
	check_eq(ring_register_dmabuf(&ring, 0, buffer->fd, disk.fd), 1, "and still 1 MiB fits");
	ring_close(&ring);
	ring_with_table(&ring, 2);
	check_eq(register_wait(&ring, buffer), 1, "and after the ring was closed with it");
	free(mem);
	return selftest_end();
}

/* Runs a part in a process of its own; its checks count as one here. */
static void in_child(int (*part)(const struct buffer *, const struct buffer *),
		     const struct buffer *buffer, const struct buffer *second, const char *name)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child < 0)
		fatal("fork(): %s", result_text(-errno));
	if (child == 0) {
		selftest_child();
		exit(part(buffer, second));
	}
	if (waitpid(child, &status, 0) != child)
		fatal("waitpid(): %s", result_text(-errno));
	check(WIFEXITED(status) && !WEXITSTATUS(status), "%s", name);
}

/* Only one buffer fits: that of the process that was killed must be given back. */
static int memlock_last(const struct buffer *buffer, const struct buffer *second)
{
	struct ring ring;

	memlock_set(MIB + MIB / 2);
	if (setgid(NOBODY) || setuid(NOBODY))
		fatal("to become nobody: %s", result_text(-errno));
	ring_with_table(&ring, 2);
	check_eq(register_wait(&ring, buffer), 1, "1 MiB for another process of that user");
	check_eq(ring_register_dmabuf(&ring, 1, second->fd, disk.fd), -ENOMEM, "another 1 MiB");
	return selftest_end();
}

static void memlock(void)
{
	long before = attachments_count();
	struct buffer buffer, second;
	struct rlimit old;
	struct ring ring;

	section("RLIMIT_MEMLOCK");
	buffer_make(&buffer, MIB);
	buffer_make(&second, MIB);
	in_child(memlock_child, &buffer, &second, "user nobody, limit 1.5 MiB");
	in_child(memlock_last, &buffer, &second, "the same after that process");

	getrlimit(RLIMIT_MEMLOCK, &old);
	memlock_set(0);
	ring_with_table(&ring, 2);
	check_eq(ring_register_dmabuf(&ring, 0, buffer.fd, disk.fd), 1,
		 "limit 0, but CAP_IPC_LOCK");
	ring_close(&ring);
	setrlimit(RLIMIT_MEMLOCK, &old);
	buffer_close(&buffer);
	buffer_close(&second);
	if (before >= 0)
		check_eq(attachments_wait(before) - before, 0, "attachments left");
}

static void mapped_limit(void)
{
	struct buffer buffer, large;
	char before[32];
	struct ring ring;
	int i, rc;

	section("limit of mapped bytes a device");
	rc = line_read(MAX_MAPPED, before, sizeof(before));
	if (rc) {
		skip_one("%s: %s", MAX_MAPPED, result_text(rc));
		return;
	}
	buffer_make(&buffer, MIB);
	buffer_make(&large, 3 * MIB);
	ring_with_table(&ring, 4);
	rc = text_write(MAX_MAPPED, "2");
	check_eq(rc, 0, "set to 2 MiB");
	check_eq(ring_register_dmabuf(&ring, 0, large.fd, disk.fd), -EDQUOT, "3 MiB");
	check_eq(ring_register_dmabuf(&ring, 0, buffer.fd, disk.fd), 1, "1 MiB");
	check_eq(ring_register_dmabuf(&ring, 1, buffer.fd, disk.fd), 1, "1 MiB more");
	check_eq(ring_register_dmabuf(&ring, 2, buffer.fd, disk.fd), -EDQUOT, "1 MiB too many");
	check_eq(ring_clear(&ring, 1), 1, "one unregistered");
	for (i = 0, rc = 1; i < 100 && rc == 1; i++) {
		rc = ring_register_dmabuf(&ring, 1, buffer.fd, disk.fd);
		if (rc == 1)
			rc = ring_clear(&ring, 1);
	}
	check_eq(rc == 1 ? i : rc, 100, "the room is there again each time");
	check_eq(text_write(MAX_MAPPED, before), 0, "set back to %s", before);
	check_eq(ring_register_dmabuf(&ring, 2, large.fd, disk.fd), 1, "3 MiB");
	ring_close(&ring);
	buffer_close(&buffer);
	buffer_close(&large);
}

int main(int argc, char **argv)
{
	selftest_start();
	if (argc != 2) {
		fprintf(stderr, "usage: accounting DEVICE\n\n"
			"DEVICE: an NVMe block device, whose content is destroyed. Must run as\n"
			"root.\n");
		return 2;
	}
	ring_require_dmabuf();
	if (geteuid())
		skip_all("not run as root");
	disk_open(&disk, argv[1]);
	thousands();
	failures();
	addresses_exhausted();
	memlock();
	mapped_limit();
	disk_close(&disk);
	return selftest_end();
}
