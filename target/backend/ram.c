/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks in memory, gone when the daemon ends. Transports move data straight into and out of it, but for what
 * is faster, or safer, by a buffer.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "target/backend/opening.h"
#include "target/backend/registry.h"

enum {
	RAM_PHYS_SHIFT = 12,
	RAM_BLOCK = 512,
	/* Zeroing goes on for so many bytes before the loop gets its turn. */
	RAM_STRIDE = 4 << 20,
	/* A write of as many is copied past the caches: half the time, and others keep what they have there. */
	RAM_STREAM_MIN = 8 << 10,
};

struct ram {
	struct backend backend;
	struct area area;
};

static struct ram *ram_of(struct backend *backend)
{
	return container_of(backend, struct ram, backend);
}

static char *ram_at(struct ram *ram, uint64_t offset)
{
	return (char *)ram->area.base + offset;
}

static int ram_open(const struct config_namespace *config, struct backend **out, char *err,
		    size_t errlen)
{
	const struct opening o = { config, err, errlen };
	struct area_spec spec = { .name = "backend ram", .setting = "size of the namespace" };
	struct ram *ram;
	uint64_t size;
	int shift = opening_block_shift(&o, "memory", RAM_BLOCK, RAM_BLOCK);
	int rc = shift < 0 ? shift : opening_size(&o, "ram", (unsigned)shift, &size);

	if (rc)
		return rc;
	ram = calloc(1, sizeof(*ram));
	if (!ram)
		return opening_fail(&o, -ENOMEM, "out of memory");
	spec.size = align_up(size, HOST_PAGE_SIZE);
	rc = area_create(&ram->area, "auto", &spec);
	if (rc) {
		opening_fail(&o, rc, "%s", ram->area.why_not);
		free(ram);
		return rc;
	}
	ram->backend.ops = &backend_ram;
	ram->backend.memory_bytes = spec.size;
	ram->backend.limits = (struct backend_limits){
		.stream_min = RAM_STREAM_MIN,
		.size = size,
		.block_shift = (uint8_t)shift,
		.phys_shift = (uint8_t)MAX(shift, RAM_PHYS_SHIFT),
		.mem_align = 1,
		.piece_align = 1,
		.max_transfer = MAX_TRANSFER,
		.max_segments = UINT32_MAX,
		.direct = true,
		.write_zeroes = true,
		.discard = true,
		.discard_zeroes = true,
		.read_only = config->read_only,
	};
	snprintf(ram->backend.path, sizeof(ram->backend.path), "ram %s", bytes_text(size).s);
	*out = &ram->backend;
	return 0;
}

/* The next stride; a no-op through the ring lets others run in between. */
static void ram_zero(struct backend_io *io)
{
	uint64_t n = MIN(io->len - io->moved, (uint64_t)RAM_STRIDE);
	struct io_uring_sqe *sqe;

	memset(ram_at(ram_of(io->backend), io->offset + io->moved), 0, n);
	io->moved += n;
	if (io->moved == io->len) {
		io->done(io, 0);
		return;
	}
	sqe = loop_sqe(io->loop);
	io_uring_prep_nop(sqe);
	loop_bind(sqe, &io->op);
}

static void ram_zero_on(struct op *op, int res, uint32_t flags)
{
	(void)res;
	(void)flags;
	ram_zero(container_of(op, struct backend_io, op));
}

static void ram_write(struct ram *ram, const struct backend_io *io)
{
	char *to = ram_at(ram, io->offset);

	if (io->len < RAM_STREAM_MIN)
		spanv_read(io->data, 0, to, (uint32_t)io->len);
	else
		spanv_stream(io->data, 0, to, (uint32_t)io->len);
}

static void ram_submit(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	struct ram *ram = ram_of(backend);

	(void)loop;
	assert(io->offset <= backend->limits.size && io->len <= backend->limits.size - io->offset);
	switch (io->opcode) {
	case BACKEND_READ:
		spanv_write(io->data, 0, ram_at(ram, io->offset), (uint32_t)io->len);
		break;
	case BACKEND_WRITE:
		ram_write(ram, io);
		break;
	case BACKEND_WRITE_ZEROES:
	case BACKEND_DISCARD:
		io->moved = 0;
		io->op.done = ram_zero_on;
		ram_zero(io);
		return;
	case BACKEND_FLUSH:
	case BACKEND_OPCODES:
		break;
	}
	io->done(io, 0);
}

static int ram_map(struct backend *backend, uint64_t offset, uint32_t len, bool for_write,
		   struct span *span)
{
	struct ram *ram = ram_of(backend);

	(void)for_write;
	*span = (struct span){ .area = &ram->area, .offset = offset, .len = len };
	return 0;
}

static void ram_close(struct backend *backend)
{
	struct ram *ram = ram_of(backend);

	area_destroy(&ram->area);
	free(ram);
}

const struct backend_ops backend_ram = {
	.name = "ram",
	.open = ram_open,
	.submit = ram_submit,
	.map = ram_map,
	.close = ram_close,
};
