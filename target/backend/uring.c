/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/uring_memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/counter.h"
#include "base/limits.h"
#include "base/sysfs.h"
#include "target/backend/bounce.h"

/* A request that the kernel keeps turning away without progress is an error in the end. */
enum { URING_RETRIES = 16 };

/* Stages of an I/O, in this order; most have only the first. */
enum uring_stage {
	STAGE_UNMAP, /* zeroes by deallocating */
	STAGE_MAIN,
	STAGE_SYNC,  /* makes durable what the main stage could not by itself */
};

/* Of io->piece, beside the numbers of bounce buffers. */
enum { PIECE_NONE = -1, PIECE_WAITING = -2 };

static struct uring_backend *uring_of(struct backend *backend)
{
	return (struct uring_backend *)backend;
}

static struct uring_attachment *attachment_of(const struct backend_io *io)
{
	return loop_file_data(io->loop, uring_of(io->backend)->file_index);
}

/* Of the memory of a READ or WRITE that is on a rung for it, or was. */
static struct uring_dmabuf *dmabuf_of(const struct backend_io *io)
{
	return &attachment_of(io)->dmabufs[io->data->v[0].area->slot];
}

/* ------------------------------------------------------------------------------------- the ladder */

/* What the memory of an I/O is like, as far as the ladder asks. */
struct data_shape {
	bool one_piece;
	bool one_area;
	bool aligned;   /* as the device needs it */
	bool reachable; /* by the backend, as plain memory */
};

static void data_look(const struct backend_io *io, struct data_shape *shape)
{
	const struct backend_limits *limits = &io->backend->limits;
	const struct span *span = io->data->v;
	const struct area *area = span->area;
	uint64_t mixed = 0, left = io->len;

	*shape = (struct data_shape){ span->len >= left, true, true, true };
	for (;; span++) {
		uint64_t len = MIN((uint64_t)span->len, left);

		mixed |= span->offset | len;
		shape->one_area &= span->area == area;
		shape->reachable &= span->area->faces & AREA_FACE_FIXED || !limits->direct;
		left -= len;
		if (!left)
			break;
	}
	/* Areas begin at a page. */
	shape->aligned = !(mixed & (limits->mem_align - 1));
}

/*
 * Bytes that the next request takes of memory in many pieces: all that is left, or the whole blocks of
 * as many pieces as go into one. 0: not even one block.
 */
static uint32_t request_len(const struct backend_io *io)
{
	uint32_t left = (uint32_t)(io->len - io->moved);
	uint32_t fit = spanv_fit(io->data, (uint32_t)io->moved, left, URING_SEGMENTS);
	uint8_t block_shift = io->backend->limits.block_shift;

	return fit == left ? left : fit >> block_shift << block_shift;
}

enum datapath_storage uring_rung(const struct uring_attachment *at, const struct backend_io *io)
{
	const struct area *area = io->data->v[0].area;
	bool ours = area->loop == at->loop;
	const struct uring_dmabuf *dmabuf = &at->dmabufs[area->slot];
	struct data_shape shape;

	data_look(io, &shape);
	if (!shape.aligned || !request_len(io))
		return DATAPATH_STORAGE_BOUNCE;
	if (ours && io->rung <= DATAPATH_STORAGE_DMABUF && uring_dmabuf_ready(dmabuf)) {
		if (shape.one_piece)
			return DATAPATH_STORAGE_DMABUF;
		if (dmabuf->vectored && shape.one_area &&
		    io->rung <= DATAPATH_STORAGE_DMABUF_VECTORED)
			return DATAPATH_STORAGE_DMABUF_VECTORED;
	}
	if (ours && io->rung <= DATAPATH_STORAGE_FIXED && shape.one_piece &&
	    area->fixed_index != AREA_NOT_FIXED && io->backend->limits.fixed)
		return DATAPATH_STORAGE_FIXED;
	if (shape.reachable && io->rung <= DATAPATH_STORAGE_PLAIN)
		return DATAPATH_STORAGE_PLAIN;
	return DATAPATH_STORAGE_BOUNCE;
}

/* ------------------------------------------------------------------------------------ READ and WRITE */

static void io_finish(struct backend_io *io, int error);

/* As the prep functions of liburing, of which there is one for each direction. */
static void fixed_prep(const struct backend_io *io, struct io_uring_sqe *sqe, const void *place,
		       uint64_t len, unsigned buffer)
{
	uint64_t offset = io->offset + io->moved;
	int file = (int)uring_of(io->backend)->file_index;

	if (io->opcode == BACKEND_WRITE)
		io_uring_prep_write_fixed(sqe, file, place, (unsigned)len, offset, (int)buffer);
	else
		io_uring_prep_read_fixed(sqe, file, (void *)(uintptr_t)place, (unsigned)len, offset,
					 (int)buffer);
}

static void fixed_vector_prep(const struct backend_io *io, struct io_uring_sqe *sqe,
			      const struct iovec *iov, int n, unsigned buffer)
{
	uint64_t offset = io->offset + io->moved;
	int file = (int)uring_of(io->backend)->file_index;

	if (io->opcode == BACKEND_WRITE)
		io_uring_prep_writev_fixed(sqe, file, iov, (unsigned)n, offset, 0, (int)buffer);
	else
		io_uring_prep_readv_fixed(sqe, file, iov, (unsigned)n, offset, 0, (int)buffer);
}

static void plain_prep(const struct backend_io *io, struct io_uring_sqe *sqe,
		       const struct iovec *iov, int n)
{
	uint64_t offset = io->offset + io->moved;
	int file = (int)uring_of(io->backend)->file_index;

	if (io->opcode == BACKEND_WRITE)
		io_uring_prep_writev(sqe, file, iov, (unsigned)n, offset);
	else
		io_uring_prep_readv(sqe, file, iov, (unsigned)n, offset);
}

/* The bounce buffer that the I/O has; what is to be written is in it already. */
static void bounce_prep(const struct backend_io *io, struct io_uring_sqe *sqe, struct iovec *iov,
			const struct bounce *bounce, uint32_t len)
{
	*iov = (struct iovec){ .iov_base = bounce_ptr(bounce, io->piece), .iov_len = len };
	if (bounce->area.fixed_index != AREA_NOT_FIXED && io->backend->limits.fixed)
		fixed_prep(io, sqe, iov->iov_base, len, (unsigned)bounce->area.fixed_index);
	else
		plain_prep(io, sqe, iov, 1);
}

static void rw_prep(const struct backend_io *io, const struct uring_attachment *at,
		    struct io_uring_sqe *sqe, struct iovec *iov)
{
	const struct span *first = &io->data->v[0];
	uint32_t moved = (uint32_t)io->moved, left = (uint32_t)(io->len - io->moved);
	int n;

	switch ((enum datapath_storage)io->rung) {
	case DATAPATH_STORAGE_DMABUF_VECTORED:
		n = spanv_offsets(io->data, moved, request_len(io), iov, URING_SEGMENTS);
		fixed_vector_prep(io, sqe, iov, n, at->dmabufs[first->area->slot].index);
		break;
	case DATAPATH_STORAGE_DMABUF:
		fixed_prep(io, sqe, (void *)(uintptr_t)(first->offset + moved), left,
			   at->dmabufs[first->area->slot].index);
		break;
	case DATAPATH_STORAGE_FIXED:
		fixed_prep(io, sqe, (char *)span_ptr(first) + moved, left,
			   (unsigned)first->area->fixed_index);
		break;
	case DATAPATH_STORAGE_BOUNCE:
		bounce_prep(io, sqe, iov, at->memory->bounce, MIN(left, (uint32_t)BOUNCE_PIECE));
		break;
	default:
		n = spanv_iovec(io->data, moved, request_len(io), iov, URING_SEGMENTS);
		plain_prep(io, sqe, iov, n);
	}
	if (io->opcode == BACKEND_WRITE && io->flags & BACKEND_IO_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

/* Puts into the bounce buffer that the I/O has what is to be written from it. */
static void bounce_fill(const struct backend_io *io, const struct bounce *bounce)
{
	uint32_t left = (uint32_t)(io->len - io->moved);

	if (io->opcode == BACKEND_WRITE)
		spanv_read(io->data, (uint32_t)io->moved, bounce_ptr(bounce, io->piece),
			   MIN(left, (uint32_t)BOUNCE_PIECE));
}

/* Gets a bounce buffer and fills it. False: the I/O waits for one, or there are none and it is done. */
static bool bounce_begin(struct backend_io *io, struct uring_attachment *at)
{
	struct bounce *bounce = at->memory->bounce;

	if (!bounce) {
		io_finish(io, -EINVAL);
		return false;
	}
	io->piece = (int8_t)bounce_get(bounce, &at->bouncing, &io->link);
	if (io->piece < 0) {
		io->piece = PIECE_WAITING;
		return false;
	}
	bounce_fill(io, bounce);
	return true;
}

static void rw_send(struct backend_io *io, const struct uring_attachment *at)
{
	unsigned segments = MIN(io->data->n, (uint32_t)URING_SEGMENTS);
	struct iovec *iov;
	struct io_uring_sqe *sqe = loop_sqe_iovs(io->loop, segments, &iov);

	rw_prep(io, at, sqe, iov);
	sqe->flags |= IOSQE_FIXED_FILE;
	loop_bind(sqe, &io->op);
}

/* Sends the next request of a READ or WRITE, on the best rung that it still has. */
static void rw_issue(struct backend_io *io)
{
	struct uring_attachment *at = attachment_of(io);

	io->rung = (uint8_t)uring_rung(at, io);
	if (io->rung <= DATAPATH_STORAGE_DMABUF)
		io->epoch = dmabuf_of(io)->epoch;
	if (io->rung != DATAPATH_STORAGE_BOUNCE || bounce_begin(io, at))
		rw_send(io, at);
}

/* A request with a bounce buffer ended: takes @count bytes out of it and gives it to who waits. */
static void bounce_end(struct backend_io *io, uint32_t count)
{
	struct uring_attachment *at = attachment_of(io);
	struct bounce *bounce = at->memory->bounce;
	struct backend_io *next;
	struct list *waiter;
	int piece;

	if (io->opcode == BACKEND_READ && count)
		spanv_write(io->data, (uint32_t)io->moved, bounce_ptr(bounce, io->piece), count);
	waiter = bounce_put(bounce, &at->bouncing, io->piece, &piece);
	io->piece = PIECE_NONE;
	if (!waiter)
		return;
	next = list_entry(waiter, struct backend_io, link);
	next->piece = (int8_t)piece;
	bounce_fill(next, bounce);
	rw_send(next, attachment_of(next));
}

/* Does @error come of a device that was pulled? */
static bool device_gone(const struct uring_backend *ub, int error)
{
	bool likely_so = error == -EIO || error == -ENXIO || error == -ENODEV || error == -ENOENT;

	return likely_so && ub->gone && ub->gone(ub);
}

static void io_issue(struct backend_io *io);

/*
 * A request failed, maybe by the fault of its rung. True when the next one was tried; nothing is
 * lost by that, as what was moved already is moved to the same place again.
 */
static bool rw_fell(struct backend_io *io, int error)
{
	bool vector = io->rung == DATAPATH_STORAGE_DMABUF_VECTORED;

	if (io->rung > DATAPATH_STORAGE_DMABUF || error == -ECANCELED || uring_drive_error(error))
		return false;
	if (device_gone(uring_of(io->backend), error)) {
		uring_dmabuf_lost(dmabuf_of(io), io->epoch, -ENOENT);
		return false;
	}
	if (vector && (error == -EINVAL || error == -EOPNOTSUPP))
		uring_vector_refused(dmabuf_of(io), io->epoch, error);
	else if (uring_dmabuf_error(error))
		uring_dmabuf_lost(dmabuf_of(io), io->epoch, error);
	else
		io->fell = error;
	io->rung++;
	io->retries = 0;
	io_issue(io);
	return true;
}

/* A request moved @count bytes. */
static void rw_worked(struct backend_io *io, uint32_t count)
{
	counter_add(&attachment_of(io)->bytes[io->rung], count);
	if (io->rung == DATAPATH_STORAGE_DMABUF_VECTORED)
		dmabuf_of(io)->vectors_refused = 0;
	/* The same without the dma-buf works, so that was what the error came of. */
	if (unlikely(io->fell) && count) {
		uring_dmabuf_lost(dmabuf_of(io), io->epoch, io->fell);
		io->fell = 0;
	}
}

/* -------------------------------------------------------------------------------- any kind of I/O */

static bool io_is_rw(const struct backend_io *io)
{
	return io->opcode == BACKEND_READ || io->opcode == BACKEND_WRITE;
}

static void main_prep(struct backend_io *io, struct io_uring_sqe *sqe)
{
	const struct uring_backend *ub = uring_of(io->backend);
	int index = (int)ub->file_index;

	switch (io->opcode) {
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
	default:
		assert(0 && "an opcode");
	}
}

/* Sends the request of the present stage, or ends what was cancelled since the last one. */
static void io_issue(struct backend_io *io)
{
	const struct uring_backend *ub = uring_of(io->backend);
	struct io_uring_sqe *sqe;

	if (io->cancelled) {
		io_finish(io, -ECANCELED);
		return;
	}
	if (io_is_rw(io)) {
		rw_issue(io);
		return;
	}
	sqe = loop_sqe(io->loop);
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

/* A READ or WRITE moved @count bytes. True when that is all, with *@error; else it goes on. */
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

/* The request failed. True when the I/O is over, with *@error; else it goes on. */
static bool io_failed(struct backend_io *io, int *error)
{
	if ((*error == -EAGAIN || *error == -EINTR) && io->retries < URING_RETRIES) {
		io->retries++;
		io_issue(io);
		return false;
	}
	if (io_is_rw(io) && rw_fell(io, *error))
		return false;
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
	if (unlikely(error) && device_gone(ub, error))
		error = -ENODEV;
	io->done(io, error);
}

static void uring_done(struct op *op, int res, uint32_t flags)
{
	struct backend_io *io = container_of(op, struct backend_io, op);
	int error = MIN(res, 0);

	(void)flags;
	if (io->piece >= 0)
		bounce_end(io, (uint32_t)MAX(res, 0));
	if (error) {
		if (!io_failed(io, &error))
			return;
	} else if (io_is_rw(io)) {
		rw_worked(io, (uint32_t)res);
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
	io->fell = 0;
	io->retries = 0;
	io->rung = 0;
	io->piece = PIECE_NONE;
	io->cancelled = false;
	io->stage = STAGE_MAIN;
	if (io->opcode == BACKEND_WRITE_ZEROES && io->flags & BACKEND_IO_UNMAP &&
	    ub->zero_unmap_mode != ub->zero_mode)
		io->stage = STAGE_UNMAP;
	io_issue(io);
}

void uring_cancel(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	(void)backend;
	if (io->piece == PIECE_WAITING) {
		bounce_leave(&attachment_of(io)->bouncing, &io->link);
		io->done(io, -ECANCELED);
		return;
	}
	/* Sending what was interrupted by this again would undo it. */
	io->cancelled = true;
	loop_cancel(loop, &io->op);
}

int uring_attach(struct backend *backend, struct loop *loop, unsigned index,
		 const struct backend_memory *memory)
{
	struct uring_backend *ub = uring_of(backend);
	int rc = loop_file_set(loop, index, ub->fd);

	assert(!ub->attached || ub->file_index == index);
	if (rc)
		return rc;
	ub->file_index = index;
	ub->attached = true;
	rc = uring_memory_attach(ub, loop, memory);
	if (rc)
		loop_file_set(loop, index, -1);
	return rc;
}

void uring_detach(struct backend *backend, struct loop *loop, unsigned index)
{
	(void)backend;
	assert(uring_of(backend)->file_index == index);
	uring_memory_detach(loop_file_data(loop, index));
	loop_file_set(loop, index, -1);
}

void uring_close(struct uring_backend *ub)
{
	uring_memory_free(ub);
	close(ub->fd);
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

uint32_t uring_piece_align(int fd, uint32_t mem_align)
{
	uint64_t mask = HOST_PAGE_SIZE - 1;
	struct stat st;
	char dir[64];
	dev_t dev;

	if (fstat(fd, &st))
		return MAX(mem_align, (uint32_t)HOST_PAGE_SIZE);
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	snprintf(dir, sizeof(dir), "/sys/dev/block/%u:%u", major(dev), minor(dev));
	/* A partition has what its disk has. */
	if (!sysfs_number(dir, "queue/virt_boundary_mask", &mask))
		sysfs_number(dir, "../queue/virt_boundary_mask", &mask);
	return MAX(mem_align, (uint32_t)mask + 1);
}

int uring_lock(int fd, bool shared)
{
	/* Length 0 is everything; such a lock belongs to the open file and not to the process. */
	struct flock lock = { .l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}
