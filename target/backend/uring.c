/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/uring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

/* A request that the kernel keeps turning away without progress is an error in the end. */
enum { URING_RETRIES = 16 };

/* Stages of an I/O, in this order; most have only the first. */
enum uring_stage {
	STAGE_UNMAP, /* zeroes by deallocating */
	STAGE_MAIN,
	STAGE_SYNC,  /* makes durable what the main stage could not by itself */
};

enum uring_rung {
	RUNG_FIXED, /* one piece of a fixed buffer */
	RUNG_PLAIN,
};

static struct uring_backend *uring_of(struct backend *backend)
{
	return (struct uring_backend *)backend;
}

/* The one place that chooses how the memory of a READ or WRITE is named to the kernel. */
static enum uring_rung rung_choose(const struct backend_io *io)
{
	const struct span *first = &io->data->v[0];

	if (io->backend->limits.fixed && first->area->fixed_index >= 0 &&
	    first->area->loop == io->loop && first->len >= io->len)
		return RUNG_FIXED;
	return RUNG_PLAIN;
}

/* What the kernel would refuse, the submitter must not send: mem_align is in the limits. */
static __maybe_unused bool iov_aligned(const struct backend_io *io, int n)
{
	uintptr_t mask = io->backend->limits.mem_align - 1;

	for (int i = 0; i < n; i++) {
		if (((uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len) & mask)
			return false;
	}
	return true;
}

static void rw_prep(struct backend_io *io, struct io_uring_sqe *sqe)
{
	uint64_t offset = io->offset + io->moved;
	bool write = io->opcode == BACKEND_WRITE;
	int index = (int)uring_of(io->backend)->file_index;
	int n = spanv_iovec(io->data, (uint32_t)io->moved, (uint32_t)(io->len - io->moved), io->iov,
			    BACKEND_IO_IOVS);

	/* The submitter keeps to limits.max_segments. */
	assert(n > 0 && iov_aligned(io, n));
	if (rung_choose(io) == RUNG_FIXED) {
		int buffer = io->data->v[0].area->fixed_index;

		assert(n == 1);
		if (write)
			io_uring_prep_write_fixed(sqe, index, io->iov[0].iov_base,
						  (unsigned)io->iov[0].iov_len, offset, buffer);
		else
			io_uring_prep_read_fixed(sqe, index, io->iov[0].iov_base,
						 (unsigned)io->iov[0].iov_len, offset, buffer);
	} else if (write) {
		io_uring_prep_writev(sqe, index, io->iov, (unsigned)n, offset);
	} else {
		io_uring_prep_readv(sqe, index, io->iov, (unsigned)n, offset);
	}
	if (write && io->flags & BACKEND_IO_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

static void main_prep(struct backend_io *io, struct io_uring_sqe *sqe)
{
	const struct uring_backend *ub = uring_of(io->backend);
	int index = (int)ub->file_index;

	switch (io->opcode) {
	case BACKEND_READ:
	case BACKEND_WRITE:
		rw_prep(io, sqe);
		break;
	case BACKEND_FLUSH:
		io_uring_prep_fsync(sqe, index, IORING_FSYNC_DATASYNC);
		break;
	case BACKEND_WRITE_ZEROES:
		io_uring_prep_fallocate(sqe, index, ub->zero_mode, io->offset, io->len);
		break;
	case BACKEND_DISCARD:
		if (ub->discard == URING_DISCARD_COMMAND)
			io_uring_prep_cmd_discard(sqe, index, io->offset, io->len);
		else
			io_uring_prep_fallocate(sqe, index,
						FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						io->offset, io->len);
		break;
	case BACKEND_OPCODES:
		assert(0 && "an opcode");
	}
}

/* Sends the request of the present stage. */
static void io_issue(struct backend_io *io)
{
	const struct uring_backend *ub = uring_of(io->backend);
	struct io_uring_sqe *sqe = loop_sqe(io->loop);

	switch ((enum uring_stage)io->stage) {
	case STAGE_UNMAP:
		io_uring_prep_fallocate(sqe, (int)ub->file_index, ub->zero_unmap_mode, io->offset,
					io->len);
		break;
	case STAGE_MAIN:
		main_prep(io, sqe);
		break;
	case STAGE_SYNC:
		io_uring_prep_fsync(sqe, (int)ub->file_index, IORING_FSYNC_DATASYNC);
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE;
	loop_bind(sqe, &io->op);
}

/* A READ or WRITE moved @count bytes. True when it is complete; else what is left was sent on. */
static bool rw_moved(struct backend_io *io, uint32_t count, int *error)
{
	/* Direct I/O goes on at a block, so what is behind the last whole one is moved again. */
	uint64_t blocks = count >> io->backend->limits.block_shift
					   << io->backend->limits.block_shift;

	if (io->moved + count == io->len)
		return true;
	/* The submitter asked within the size: nothing left to read means that it shrank. */
	if (!count || (!blocks && ++io->retries > URING_RETRIES)) {
		*error = -EIO;
		return true;
	}
	if (blocks)
		io->retries = 0;
	io->moved += blocks;
	io_issue(io);
	return false;
}

/* The request failed. True when the I/O is over, with *@error; else another was sent. */
static bool io_failed(struct backend_io *io, int *error)
{
	if ((*error == -EAGAIN || *error == -EINTR) && io->retries++ < URING_RETRIES) {
		io_issue(io);
		return false;
	}
	/* Some devices find out only now that they cannot; writing zeroes always works. */
	if (*error == -EOPNOTSUPP && io->stage == STAGE_UNMAP) {
		io->stage = STAGE_MAIN;
		io_issue(io);
		return false;
	}
	/* Deallocating is a hint. */
	if (*error == -EOPNOTSUPP && io->opcode == BACKEND_DISCARD &&
	    !io->backend->limits.discard_zeroes)
		*error = 0;
	return true;
}

static void io_finish(struct backend_io *io, int error)
{
	const struct uring_backend *ub = uring_of(io->backend);

	/* The kernel says EIO for a bad block and for a drive that was pulled; hosts must know which. */
	if ((error == -EIO || error == -ENXIO) && ub->gone && ub->gone(ub))
		error = -ENODEV;
	io->done(io, error);
}

static void uring_done(struct op *op, int res, uint32_t flags)
{
	struct backend_io *io = container_of(op, struct backend_io, op);
	bool rw = io->opcode == BACKEND_READ || io->opcode == BACKEND_WRITE;
	int error = MIN(res, 0);

	(void)flags;
	if (error) {
		if (!io_failed(io, &error))
			return;
	} else if (rw) {
		if (!rw_moved(io, (uint32_t)res, &error))
			return;
	} else if (io->opcode == BACKEND_WRITE_ZEROES && io->flags & BACKEND_IO_FUA &&
		   io->stage != STAGE_SYNC) {
		io->stage = STAGE_SYNC;
		io->retries = 0;
		io_issue(io);
		return;
	}
	io_finish(io, error);
}

void uring_submit(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	const struct uring_backend *ub = uring_of(backend);

	(void)loop;
	assert(ub->attached);
	io->op.done = uring_done;
	io->moved = 0;
	io->retries = 0;
	io->stage = STAGE_MAIN;
	if (io->opcode == BACKEND_WRITE_ZEROES && io->flags & BACKEND_IO_UNMAP &&
	    ub->zero_unmap_mode != ub->zero_mode)
		io->stage = STAGE_UNMAP;
	io_issue(io);
}

void uring_cancel(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	(void)backend;
	/* Retrying what was interrupted by this would undo it. */
	io->retries = URING_RETRIES;
	loop_cancel(loop, &io->op);
}

int uring_attach(struct backend *backend, struct loop *loop, unsigned index)
{
	struct uring_backend *ub = uring_of(backend);
	int rc = loop_file_set(loop, index, ub->fd);

	assert(!ub->attached || ub->file_index == index);
	if (rc)
		return rc;
	ub->file_index = index;
	ub->attached = true;
	return 0;
}

void uring_detach(struct backend *backend, struct loop *loop, unsigned index)
{
	(void)backend;
	assert(uring_of(backend)->file_index == index);
	loop_file_set(loop, index, -1);
}

int uring_direct_align(int fd, uint32_t *mem, uint32_t *offset)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx))
		return -errno;
	if (!(stx.stx_mask & STATX_DIOALIGN))
		return -ENODATA;
	if (!stx.stx_dio_mem_align || !stx.stx_dio_offset_align)
		return -ENOTSUP;
	*mem = stx.stx_dio_mem_align;
	*offset = stx.stx_dio_offset_align;
	return 0;
}

int uring_lock(int fd, bool shared)
{
	/* Length 0 is everything; such a lock belongs to the open file and not to the process. */
	struct flock lock = { .l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}
