/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NVMe passthrough by io_uring: its requests are not bios of the block device that a dma-buf was
 * registered for, so they must not have it. Ordinary fixed buffers are the control.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "buffers.h"
#include "disk.h"
#include "ring.h"
#include "selftest.h"

enum {
	BUFFER_LEN = 1 << 20,
	DATA_LEN = 8192,
	POISON = 0x5a,
	SLOT_DMABUF = 0,
	SLOT_MEMORY = 1,
	NVME_READ = 2,
	/* what the system's header may lack: a ring with entries of both sizes */
	OP_URING_CMD128 = 64,
	SETUP_CQE_MIXED = 1 << 18,
	SETUP_SQE_MIXED = 1 << 19,
	CQE_F_32 = 1 << 15,
};

/* struct nvme_uring_cmd and NVME_URING_CMD_IO */
struct uring_cmd {
	uint8_t opcode;
	uint8_t flags;
	uint16_t rsvd1;
	uint32_t nsid;
	uint32_t cdw2;
	uint32_t cdw3;
	uint64_t metadata;
	uint64_t addr;
	uint32_t metadata_len;
	uint32_t data_len;
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
	uint32_t timeout_ms;
	uint32_t rsvd2;
};

#define URING_CMD_IO _IOWR('N', 0x80, struct uring_cmd)
#define URING_CMD_IO_VEC _IOWR('N', 0x81, struct uring_cmd)
#define URING_CMD_FIXED (1U << 0)

_Static_assert(sizeof(struct uring_cmd) == 72, "ABI");

struct setup {
	struct ring ring;
	struct disk disk;
	struct buffer buffer;
	int generic_fd;		/* of the namespace's character device */
	uint32_t nsid;
};

/* A read of the first blocks. addr and len: as in struct request, by the command's kind. */
static int passthru_read(struct setup *setup, uint32_t kind, uint16_t slot, uint64_t addr, uint32_t len)
{
	uint32_t blocks = DATA_LEN / setup->disk.limits.block_len;
	struct uring_cmd cmd = { .opcode = NVME_READ, .nsid = setup->nsid, .addr = addr,
				 .data_len = len, .cdw12 = blocks - 1 };
	struct io_uring_sqe *sqe = ring_sqe(&setup->ring);
	struct completion done;
	int rc;

	/* its command reaches into the next entry */
	ring_sqe(&setup->ring);
	sqe->opcode = OP_URING_CMD128;
	sqe->fd = setup->generic_fd;
	sqe->off = kind;
	sqe->rw_flags = URING_CMD_FIXED;
	sqe->buf_index = slot;
	memcpy((char *)sqe + offsetof(struct io_uring_sqe, addr3), &cmd, sizeof(cmd));
	rc = ring_submit(&setup->ring);
	if (rc != 2)
		fatal("io_uring_enter() for a passthrough command: %s", result_text(rc));
	rc = ring_wait(&setup->ring, &done, COMPLETION_MS_MAX);
	if (rc)
		fatal("no completion of a passthrough command: %s", result_text(rc));
	if (done.flags & CQE_F_32) {
		struct completion second_half;

		ring_peek(&setup->ring, &second_half);
	}
	return done.res;
}

static void check_untouched(const struct setup *setup, const char *name)
{
	size_t i, touched = 0;

	buffer_cpu_begin(&setup->buffer);
	for (i = 0; i < setup->buffer.len; i++)
		touched += setup->buffer.mem[i] != POISON;
	buffer_cpu_end(&setup->buffer);
	check_eq((long)touched, 0, "%s: bytes touched", name);
}

static void control(struct setup *setup, uint8_t *want)
{
	uint8_t *got = plain_alloc(DATA_LEN);

	check_eq(ring_register_memory(&setup->ring, SLOT_MEMORY, got, DATA_LEN), 1,
		 "ordinary buffer: registration");
	memset(got, POISON, DATA_LEN);
	check_eq(passthru_read(setup, URING_CMD_IO, SLOT_MEMORY, (uintptr_t)got, DATA_LEN), 0,
		 "ordinary buffer: passthrough");
	check_eq((long)bytes_differ(got, want, DATA_LEN), 0, "ordinary buffer: wrong bytes");
	ring_clear(&setup->ring, SLOT_MEMORY);
	free(got);
}

static void refusals(struct setup *setup, uint8_t *want)
{
	struct iovec parts[] = { fragment(0, DATA_LEN / 2), fragment(65536, DATA_LEN / 2) };
	struct request req = { .opcode = IORING_OP_READ_FIXED, .slot = SLOT_DMABUF,
			       .fd = setup->disk.fd, .len = DATA_LEN };

	check_eq(ring_register_dmabuf(&setup->ring, SLOT_DMABUF, setup->buffer.fd,
				      setup->generic_fd), -EOPNOTSUPP,
		 "dma-buf: registration for the character device");
	if (!check_eq(ring_register_dmabuf(&setup->ring, SLOT_DMABUF, setup->buffer.fd,
					   setup->disk.fd), 1, "dma-buf: registration"))
		return;
	buffer_cpu_begin(&setup->buffer);
	memset(setup->buffer.mem, POISON, setup->buffer.len);
	buffer_cpu_end(&setup->buffer);
	check_eq(passthru_read(setup, URING_CMD_IO, SLOT_DMABUF, 0, DATA_LEN), -EFAULT,
		 "dma-buf: passthrough");
	check_eq(passthru_read(setup, URING_CMD_IO_VEC, SLOT_DMABUF, (uintptr_t)parts, 2), -EFAULT,
		 "dma-buf: vectored passthrough");
	check_untouched(setup, "dma-buf");
	check_eq(ring_io_again(&setup->ring, &req), DATA_LEN, "dma-buf: an ordinary read");
	buffer_cpu_begin(&setup->buffer);
	check_eq((long)bytes_differ(setup->buffer.mem, want, DATA_LEN), 0,
		 "dma-buf: wrong bytes of it");
	buffer_cpu_end(&setup->buffer);
}

static void setup_open(struct setup *setup, const char *generic, const char *block)
{
	int rc, nsid;

	disk_open(&setup->disk, block);
	setup->generic_fd = open(generic, O_RDWR | O_CLOEXEC);
	if (setup->generic_fd < 0)
		fatal("%s: %s", generic, result_text(-errno));
	nsid = ioctl(setup->generic_fd, NVME_IOCTL_ID);
	if (nsid <= 0)
		fatal("%s: no NVMe namespace: %s", generic, result_text(nsid ? -errno : 0));
	setup->nsid = (uint32_t)nsid;
	rc = buffer_open(&setup->buffer, BUFFER_PAGES, BUFFER_LEN);
	if (rc)
		fatal("%s: %s", buffer_kind_name(BUFFER_PAGES), result_text(rc));
	rc = ring_open(&setup->ring, 64, SETUP_CQE_MIXED | SETUP_SQE_MIXED);
	if (!rc)
		rc = ring_table(&setup->ring, 2);
	if (rc)
		fatal("a ring for passthrough: %s", result_text(rc));
}

int main(int argc, char **argv)
{
	struct setup setup;
	uint8_t *want;

	selftest_start();
	if (argc != 3) {
		fprintf(stderr, "usage: passthru /dev/ngXnY /dev/nvmeXnY\n"
			"Destroys the content of the namespace.\n");
		return 1;
	}
	ring_require_dmabuf();
	setup_open(&setup, argv[1], argv[2]);
	want = plain_alloc(DATA_LEN);
	random_fill(want, DATA_LEN);
	disk_write(&setup.disk, want, DATA_LEN, 0);
	control(&setup, want);
	refusals(&setup, want);
	ring_close(&setup.ring);
	buffer_close(&setup.buffer);
	disk_close(&setup.disk);
	free(want);
	return selftest_end();
}
