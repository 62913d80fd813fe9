/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks that are simulated, below the real engine of the backends that use the ring. In the place of the
 * registry of backends: "file" opens such a disk, "ram" is the real one.
 */
#include <errno.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel.h"
#include "target/backend/registry.h"
#include "target/backend/uring.h"

enum { DISK_FD = 1 << 21 };

struct disk_backend {
	struct uring_backend uring; /* first */
	struct sim_disk disk;
	char path[CONFIG_PATH_MAX];
};

static struct list disks = LIST_INIT(disks);

void (*sim_disk_writes)(const struct sim_disk *disk, uint64_t lba, const uint8_t *bytes);

struct sim_disk *disk_of(int fd)
{
	list_for_each(disk, &disks, struct sim_disk, link)
		if (disk->fd == fd)
			return disk;
	sim_fail("no disk has descriptor %d", fd);
}

struct sim_disk *sim_disk(const char *path)
{
	list_for_each(disk, &disks, struct sim_disk, link)
		if (!strcmp(container_of(disk, struct disk_backend, disk)->path, path))
			return disk;
	return NULL;
}

/* ---------------------------------------------------------------------------------------- requests */

static void memory_check(const struct request *request)
{
	uint8_t opcode = request->sqe.opcode;
	bool fixed = opcode == IORING_OP_READ_FIXED || opcode == IORING_OP_WRITE_FIXED;

	SIM_CHECK(!fixed || ring_buffer_has(request->loop, request->sqe.buf_index,
					    request->one.iov_base, request->one.iov_len),
		  "a fixed buffer's request is not inside the buffer");
}

static void write_check(const struct sim_disk *disk, uint64_t offset, const uint8_t *bytes,
			size_t len)
{
	size_t block = (size_t)1 << disk->block_shift;

	for (size_t at = 0; sim_disk_writes && at + block <= len; at += block)
		sim_disk_writes(disk, (offset + at) >> disk->block_shift, bytes + at);
}

/* Moves @len bytes between the disk and what the request points at. */
static void disk_move(struct request *request, struct sim_disk *disk, size_t len, bool write)
{
	uint8_t *at = disk->bytes + request->sqe.off, *whole;
	size_t left = len;

	for (unsigned i = 0; i < request->n_iov && left && !write; i++) {
		size_t n = MIN(request->iov[i].iov_len, left);

		memcpy(request->iov[i].iov_base, at, n);
		at += n;
		left -= n;
	}
	if (!write)
		return;
	whole = sim_alloc(len);
	for (unsigned i = 0; i < request->n_iov && left; i++) {
		size_t n = MIN(request->iov[i].iov_len, left);

		memcpy(whole + (len - left), request->iov[i].iov_base, n);
		left -= n;
	}
	write_check(disk, request->sqe.off, whole, len);
	memcpy(at, whole, len);
	free(whole);
}

/* How much of @len bytes is moved: whole blocks mostly, as of direct I/O. */
static size_t disk_some(const struct sim_disk *disk, size_t len)
{
	size_t blocks = len >> disk->block_shift;

	if (!sim_chance(sim.knobs.disk_short) || blocks < 2)
		return len;
	return (size_t)(1 + sim_below((uint32_t)blocks - 1)) << disk->block_shift;
}

static int disk_rw(struct request *request, struct sim_disk *disk, bool write)
{
	size_t len = 0;

	for (unsigned i = 0; i < request->n_iov; i++)
		len += request->iov[i].iov_len;
	memory_check(request);
	SIM_CHECK(request->sqe.off <= disk->size && len <= disk->size - request->sqe.off,
		  "an I/O behind the end of a disk");
	len = disk_some(disk, len);
	disk_move(request, disk, len, write);
	return (int)len;
}

/* As of fallocate(): the length is in `addr`. */
static int disk_zero(const struct request *request, struct sim_disk *disk)
{
	uint64_t offset = request->sqe.off, len = request->sqe.addr;

	SIM_CHECK(offset <= disk->size && len <= disk->size - offset,
		  "blocks behind the end of a disk are zeroed");
	memset(disk->bytes + offset, 0, len);
	return 0;
}

static int disk_error(const struct request *request)
{
	static const int errors[] = { EIO, ENOSPC, ENODATA, ETIMEDOUT };

	(void)request;
	return -errors[sim_below(ARRAY_SIZE(errors))];
}

bool disk_request(struct request *request)
{
	struct sim_disk *disk = disk_of(request->fd);
	int res = 0;

	if (sim.disks == SIM_DISKS_STUCK ||
	    (sim.disks == SIM_DISKS_RANDOM && sim_chance(sim.knobs.disk_slow)))
		return false;
	if (sim_chance(sim.knobs.disk_again)) {
		request_end(request, sim_chance(500) ? -EAGAIN : -EINTR, 0);
		return true;
	}
	if (sim_chance(sim.knobs.disk_error)) {
		request_end(request, disk_error(request), 0);
		return true;
	}
	switch (request->sqe.opcode) {
	case IORING_OP_READ_FIXED:
	case IORING_OP_READV:
		res = disk_rw(request, disk, false);
		break;
	case IORING_OP_WRITE_FIXED:
	case IORING_OP_WRITEV:
		res = disk_rw(request, disk, true);
		break;
	case IORING_OP_FALLOCATE:
		/* Some find out only now that they cannot do it this way. */
		res = request->sqe.len & FALLOC_FL_PUNCH_HOLE && sim_chance(100) ?
			      -EOPNOTSUPP :
			      disk_zero(request, disk);
		break;
	default:
		break;
	}
	request_end(request, res, 0);
	return true;
}

/* ----------------------------------------------------------------------------------------- backends */

static void disk_close(struct backend *backend)
{
	struct disk_backend *db = (struct disk_backend *)backend;

	SIM_CHECK(!db->disk.requests, "a disk is closed that has %u requests", db->disk.requests);
	list_del(&db->disk.link);
	uring_close(&db->uring);
	free(db->disk.bytes);
	free(db);
}

static int disk_open(const struct config_namespace *config, struct backend **out, char *err,
		     size_t errlen);

static const struct backend_ops backend_disk = {
	.name = "file",
	.open = disk_open,
	.attach = uring_attach,
	.submit = uring_submit,
	.cancel = uring_cancel,
	.path = uring_path,
	.detach = uring_detach,
	.close = disk_close,
};

static struct backend_limits disk_limits(const struct config_namespace *config)
{
	uint8_t shift = (uint8_t)__builtin_ctz(config->block_size ? config->block_size : 512);

	return (struct backend_limits){
		.size = config->size,
		.block_shift = shift,
		.phys_shift = (uint8_t)MAX((unsigned)shift, 12u),
		.mem_align = 4,
		.piece_align = 4,
		.max_transfer = MAX_TRANSFER,
		.max_segments = URING_SEGMENTS,
		.direct = true,
		.fixed = sim.knobs.fixed_buffers,
		.volatile_cache = sim.knobs.cache,
		.write_zeroes = sim.knobs.writes_zeroes,
		.discard = sim.knobs.writes_zeroes,
		.discard_zeroes = sim.knobs.writes_zeroes,
		.read_only = config->read_only,
	};
}

static int disk_open(const struct config_namespace *config, struct backend **out, char *err,
		     size_t errlen)
{
	struct disk_backend *db = sim_alloc(sizeof(*db));
	struct sim_disk *disk = &db->disk;

	(void)err;
	(void)errlen;
	list_init(&disk->link);
	list_for_each(other, &disks, struct sim_disk, link)
		disk->index++;
	disk->fd = DISK_FD + (int)disk->index;
	db->uring.backend.ops = &backend_disk;
	db->uring.backend.limits = disk_limits(config);
	db->uring.fd = disk->fd;
	db->uring.discard = sim.knobs.writes_zeroes ? URING_DISCARD_PUNCH : URING_DISCARD_NONE;
	db->uring.zero_mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	db->uring.zero_unmap_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	disk->block_shift = db->uring.backend.limits.block_shift;
	disk->size = config->size;
	disk->bytes = sim_alloc(disk->size);
	snprintf(db->path, sizeof(db->path), "%s", config->path);
	snprintf(db->uring.backend.path, sizeof(db->uring.backend.path), "%s", config->path);
	list_add_tail(&disks, &disk->link);
	*out = &db->uring.backend;
	return 0;
}

const struct backend_ops *const backend_registry[] = { &backend_disk, &backend_ram, NULL };

const struct backend_ops *backend_find(const char *name)
{
	for (const struct backend_ops *const *ops = backend_registry; *ops; ops++)
		if (!strcmp((*ops)->name, name))
			return *ops;
	return NULL;
}

int backend_open(const struct config_namespace *config, struct backend **out, char *err,
		 size_t errlen)
{
	const struct backend_ops *ops = backend_find(config->backend);

	SIM_CHECK(ops, "no backend \"%s\"", config->backend);
	return config->n_faults ? fault_open(ops, config, out, err, errlen) :
				  ops->open(config, out, err, errlen);
}
