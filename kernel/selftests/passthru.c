/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NVMe passthrough by io_uring, on the generic character device: a dma-buf that is registered for
 * it carries the data of commands, whole or in fragments. Ordinary I/O on the block device is the
 * control.
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
#include "exporter.h"
#include "ring.h"
#include "selftest.h"

enum {
	BUFFER_LEN = 1 << 20,
	DATA_LEN = 8192,
	POISON = 0x5a,
	SLOT_GENERIC = 0,
	SLOT_BLOCK = 1,
	MOVES = 10,
	NVME_WRITE = 1,
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

/* A command about the first blocks with what is registered in a slot. */
struct command {
	uint32_t kind;		/* URING_CMD_IO, or URING_CMD_IO_VEC */
	uint8_t opcode;
	uint16_t slot;
	uint64_t addr;		/* offset in the dma-buf, or struct iovec, of which there are len */
	uint32_t len;
	uint64_t metadata;
};

static int command_start(struct setup *setup, const struct command *command)
{
	uint32_t blocks = DATA_LEN / setup->disk.limits.block_len;
	struct uring_cmd cmd = { .opcode = command->opcode, .nsid = setup->nsid,
				 .addr = command->addr, .data_len = command->len,
				 .metadata = command->metadata, .cdw12 = blocks - 1 };
	struct io_uring_sqe *sqe = ring_sqe(&setup->ring);
	struct completion done, second_half;
	int rc;

	cmd.metadata_len = command->metadata ? blocks * 8 : 0;
	/* its command reaches into the next entry */
	ring_sqe(&setup->ring);
	sqe->opcode = OP_URING_CMD128;
	sqe->fd = setup->generic_fd;
	sqe->off = command->kind;
	sqe->rw_flags = URING_CMD_FIXED;
	sqe->buf_index = command->slot;
	memcpy((char *)sqe + offsetof(struct io_uring_sqe, addr3), &cmd, sizeof(cmd));
	rc = ring_submit(&setup->ring);
	if (rc != 2)
		fatal("io_uring_enter() for a passthrough command: %s", result_text(rc));
	rc = ring_wait(&setup->ring, &done, COMPLETION_MS_MAX);
	if (rc)
		fatal("no completion of a passthrough command: %s", result_text(rc));
	if (done.flags & CQE_F_32)
		ring_peek(&setup->ring, &second_half);
	return done.res;
}

/* Issued again while the dma-buf's exporter is at work. */
static int command_run(struct setup *setup, const struct command *command)
{
	uint64_t end_ms = now_ms() + COMPLETION_MS_MAX;
	int res;

	do
		res = command_start(setup, command);
	while (res == -EAGAIN && now_ms() < end_ms);
	return res;
}

/* Where the data of a command are in the dma-buf. */
struct layout {
	const char *name;
	struct iovec parts[2];
	unsigned int nr;
};

static struct command layout_command(const struct layout *layout, uint8_t opcode)
{
	struct command command = { .kind = URING_CMD_IO, .opcode = opcode, .slot = SLOT_GENERIC,
				   .addr = (uintptr_t)layout->parts[0].iov_base, .len = DATA_LEN };

	if (layout->nr > 1) {
		command.kind = URING_CMD_IO_VEC;
		command.addr = (uintptr_t)layout->parts;
		command.len = layout->nr;
	}
	return command;
}

/* Copies between the layout in an image of the dma-buf and the data in the order of the disk. */
static void layout_copy(const struct layout *layout, uint8_t *image, uint8_t *data, bool gather)
{
	unsigned int i;

	for (i = 0; i < layout->nr; i++) {
		uint8_t *part = image + (uintptr_t)layout->parts[i].iov_base;
		size_t len = layout->parts[i].iov_len;

		memcpy(gather ? data : part, gather ? part : data, len);
		data += len;
	}
}

static void check_layout(struct setup *setup, const struct layout *layout)
{
	uint8_t *image = plain_alloc(BUFFER_LEN), *data = plain_alloc(DATA_LEN);
	uint8_t *got = plain_alloc(DATA_LEN);
	const struct buffer *buffer = &setup->buffer;
	struct command command = layout_command(layout, NVME_READ);

	random_fill(data, DATA_LEN);
	disk_write(&setup->disk, data, DATA_LEN, 0);
	memset(image, POISON, BUFFER_LEN);
	buffer_cpu_begin(buffer);
	memset(buffer->mem, POISON, BUFFER_LEN);
	buffer_cpu_end(buffer);
	layout_copy(layout, image, data, false);
	check_eq(command_run(setup, &command), 0, "%s: read", layout->name);
	buffer_cpu_begin(buffer);
	check_eq((long)bytes_differ(buffer->mem, image, BUFFER_LEN), 0, "%s: wrong bytes in the "
		 "dma-buf", layout->name);
	random_fill(buffer->mem, BUFFER_LEN);
	memcpy(image, buffer->mem, BUFFER_LEN);
	buffer_cpu_end(buffer);

	layout_copy(layout, image, data, true);
	command.opcode = NVME_WRITE;
	check_eq(command_run(setup, &command), 0, "%s: write", layout->name);
	disk_read(&setup->disk, got, DATA_LEN, 0);
	check_eq((long)bytes_differ(got, data, DATA_LEN), 0, "%s: wrong bytes on the disk",
		 layout->name);
	free(image);
	free(data);
	free(got);
}

static void layouts(struct setup *setup)
{
	struct layout all[] = {
		{ "start", { fragment(0, DATA_LEN) }, 1 },
		{ "end", { fragment(BUFFER_LEN - DATA_LEN, DATA_LEN) }, 1 },
		{ "dword offset", { fragment(4100, DATA_LEN) }, 1 },
		{ "two fragments", { fragment(65536, 4096), fragment(8192, 4096) }, 2 },
		{ "two at dword offsets", { fragment(65540, 1448), fragment(8, DATA_LEN - 1448) }, 2 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		/* without SGLs only what begins at pages and ends there can follow something */
		if (setup->disk.limits.boundary && i == 4)
			continue;
		check_layout(setup, &all[i]);
	}
	for (i = 0; i < MOVES; i++) {
		exporter_move(&setup->buffer, 0);
		check_layout(setup, &all[3]);
	}
	check_nothing_stale(&setup->buffer, "passthrough");
}

static void errors(struct setup *setup)
{
	struct request req = { .opcode = IORING_OP_READ_FIXED, .slot = SLOT_GENERIC,
			       .fd = setup->disk.fd, .len = DATA_LEN };
	struct command command = { .kind = URING_CMD_IO, .opcode = NVME_READ, .len = DATA_LEN };
	uint8_t metadata[DATA_LEN];

	command.addr = BUFFER_LEN - 512;
	check_eq(command_run(setup, &command), -EFAULT, "over the end of the dma-buf");
	command.addr = 2;
	check_eq(command_run(setup, &command), -EINVAL, "offset that is no dword");
	command.addr = 0;
	command.metadata = (uintptr_t)metadata;
	check_eq(command_run(setup, &command), -EINVAL, "with metadata");
	command.metadata = 0;
	command.slot = SLOT_BLOCK;
	check_eq(command_run(setup, &command), -EBADF, "registered for the block device");
	check_eq(ring_io_again(&setup->ring, &req), -EBADF,
		 "block device, registered for the character device");
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
	exporter_buffer_open(&setup->buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	rc = ring_open(&setup->ring, 64, SETUP_CQE_MIXED | SETUP_SQE_MIXED);
	if (!rc)
		rc = ring_table(&setup->ring, 2);
	if (rc)
		fatal("a ring for passthrough: %s", result_text(rc));
}

int main(int argc, char **argv)
{
	struct setup setup;

	selftest_start();
	if (argc != 3) {
		fprintf(stderr, "usage: passthru /dev/ngXnY /dev/nvmeXnY\n"
			"Destroys the content of the namespace.\n");
		return 1;
	}
	ring_require_dmabuf();
	exporter_require();
	setup_open(&setup, argv[1], argv[2]);
	check_eq(ring_register_dmabuf(&setup.ring, SLOT_BLOCK, setup.buffer.fd, setup.disk.fd), 1,
		 "registration for the block device");
	if (check_eq(ring_register_dmabuf(&setup.ring, SLOT_GENERIC, setup.buffer.fd,
					  setup.generic_fd), 1,
		     "registration for the character device")) {
		layouts(&setup);
		errors(&setup);
	}
	ring_clear(&setup.ring, SLOT_BLOCK);
	ring_clear(&setup.ring, SLOT_GENERIC);
	check_released(&setup.buffer, "unregistered");
	ring_close(&setup.ring);
	buffer_close(&setup.buffer);
	disk_close(&setup.disk);
	return selftest_end();
}
