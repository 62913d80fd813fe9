/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A regular file, made when it is not there and the configuration says how large. Never cut, but for what
 * was added to it and is taken back before anybody had a use of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "target/backend/opening.h"
#include "target/backend/registry.h"
#include "target/backend/uring.h"

enum {
	FILE_BLOCK = 512,  /* what images are made with; hosts align to phys_shift */
	FILE_GRAIN = 4096, /* least that file systems allocate */
};

struct file {
	struct uring_backend ub; /* first, as in every backend */
	/* What undo takes back. */
	bool created;
	uint64_t before; /* bytes that it had */
	uint64_t after;	 /* that it was given; 0: it was not grown */
};

static struct file *file_of(struct backend *backend)
{
	return container_of(backend, struct file, ub.backend);
}

/* Makes the new name durable, so that what is flushed into the file can be found after a crash. */
static void directory_sync(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	int fd;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir ? 1 : 0] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

/* A new file, sparse. Returns the descriptor or a negative errno. */
static int file_create(const struct opening *o)
{
	const char *path = o->config->path;
	int fd, rc;

	if (!o->config->size || o->config->read_only)
		return opening_fail(o, -ENOENT,
				    "%s does not exist: create it, or add size = 1G, for "
				    "example, to have it created%s",
				    path, o->config->read_only ? ", and no read_only" : "");
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return opening_fail(o, -errno, "%s cannot be created: %s%s", path, strerror(errno),
				    errno == ENOENT ? ": create its directory first" : "");
	/* Whoever else found it in this moment has it, and what is in it. */
	rc = uring_lock(fd, false);
	if (rc) {
		close(fd);
		return opening_fail(o, rc, "%s, which was just created, cannot be locked: %s", path,
				    strerror(-rc));
	}
	if (ftruncate(fd, (off_t)o->config->size)) {
		rc = -errno;
		unlink(path);
		close(fd);
		return opening_fail(o, rc, "%s cannot be made %s large: %s", path,
				    bytes_text(o->config->size).s, strerror(-rc));
	}
	directory_sync(path);
	return fd;
}

/* The open file, or a negative errno. file->created says that it is this call's. */
static int file_descriptor(const struct opening *o, struct file *file)
{
	const char *path = o->config->path;
	int fd;

	if (!path[0])
		return opening_fail(o, -EINVAL,
				    "backend file needs a path: add path = /srv/volume.img, "
				    "for example");
	/* Never waits for the other end of a FIFO. */
	fd = open(path, (o->config->read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno == ENOENT) {
		fd = file_create(o);
		file->created = fd >= 0;
		return fd;
	}
	if (errno == EISDIR)
		return opening_fail(o, -EISDIR, "%s is a directory: name a file in it", path);
	return opening_fail(o, -errno, "%s cannot be opened for %s: %s", path,
			    o->config->read_only ? "reading" : "reading and writing",
			    strerror(errno));
}

static int file_check(const struct opening *o, int fd, struct stat *st)
{
	const char *path = o->config->path;
	int rc;

	if (fstat(fd, st))
		return opening_fail(o, -errno, "%s: %s", path, strerror(errno));
	if (S_ISBLK(st->st_mode))
		return opening_fail(o, -EINVAL, "%s is a block device: use backend = block", path);
	if (!S_ISREG(st->st_mode))
		return opening_fail(o, -EINVAL, "%s is no regular file: name one", path);
	/* io_uring would hand EAGAIN of a non-blocking file to us. */
	fcntl(fd, F_SETFL, 0);
	rc = uring_lock(fd, o->config->read_only);
	if (rc == -EBUSY)
		return opening_fail(o, rc,
				    "%s is in use by another namespace or process (`lslocks` shows "
				    "which): stop it, or name another file",
				    path);
	if (rc)
		return opening_fail(o, rc, "%s cannot be locked: %s", path, strerror(-rc));
	return 0;
}

/* May it have the configured size? What is larger than that is somebody's data. */
static int file_size_check(const struct opening *o, uint64_t have)
{
	uint64_t want = o->config->size;

	if (want && want < have)
		return opening_fail(o, -EINVAL,
				    "%s has %" PRIu64 " bytes, more than size = %" PRIu64
				    ": data would be lost; raise size, or leave it out",
				    o->config->path, have, want);
	if (want > have && o->config->read_only)
		return opening_fail(o, -EROFS,
				    "%s has %" PRIu64 " bytes, less than size = %" PRIu64
				    ", and the namespace is read_only: leave size out",
				    o->config->path, have, want);
	return 0;
}

/* Grows the file to the configured size. */
static int file_grow(const struct opening *o, struct file *file, struct stat *st)
{
	uint64_t want = o->config->size, have = (uint64_t)st->st_size;
	int rc = file_size_check(o, have);

	if (rc || !want || want == have)
		return rc;
	if (ftruncate(file->ub.fd, (off_t)want))
		return opening_fail(o, -errno, "%s cannot be grown to %s: %s", o->config->path,
				    bytes_text(want).s, strerror(errno));
	file->before = have;
	file->after = want;
	st->st_size = (off_t)want;
	return 0;
}

static void size_set(struct backend *backend, uint64_t bytes)
{
	unsigned shift = backend->limits.block_shift;

	__atomic_store_n(&backend->limits.size, bytes >> shift << shift, __ATOMIC_RELAXED);
}

/* What somebody else has changed since then stays as it is. */
static void file_undo(struct backend *backend, const struct config_namespace *config)
{
	struct file *file = file_of(backend);
	struct stat st, named;

	if (!fstat(file->ub.fd, &st)) {
		if (file->created && !stat(config->path, &named) && named.st_dev == st.st_dev &&
		    named.st_ino == st.st_ino)
			unlink(config->path);
		if (file->after && (uint64_t)st.st_size == file->after &&
		    !ftruncate(file->ub.fd, (off_t)file->before))
			size_set(backend, file->before);
	}
	file->created = false;
	file->after = 0;
}

/* Whether direct I/O works, where the kernel cannot tell: by doing it. */
static bool direct_try(int fd, uint32_t align)
{
	void *buf;
	bool ok;

	if (posix_memalign(&buf, FILE_GRAIN, FILE_GRAIN))
		return false;
	ok = pread(fd, buf, align, 0) >= 0;
	free(buf);
	return ok;
}

/*
 * Turns direct I/O on where it works at the alignment of the blocks; else says why not in `detail`.
 * Returns the block size that direct I/O would like, for when the configuration names none.
 */
static uint32_t file_direct(const struct opening *o, int fd, struct backend *backend)
{
	uint32_t mem = FILE_BLOCK, offset = FILE_BLOCK;
	uint32_t block = o->config->block_size;
	int rc = uring_direct_align(fd, &mem, &offset);
	struct statfs fs;

	backend->limits.mem_align = 1;
	backend->limits.piece_align = 1;
	if (!fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)) {
		snprintf(backend->detail, sizeof(backend->detail),
			 "buffered: the file system is memory itself");
	} else if (rc == -ENOTSUP || fcntl(fd, F_SETFL, O_DIRECT)) {
		snprintf(backend->detail, sizeof(backend->detail),
			 "buffered: the file system has no O_DIRECT for this file");
	} else if (block && block < offset) {
		snprintf(backend->detail, sizeof(backend->detail),
			 "buffered: O_DIRECT needs blocks of %u bytes here, block_size is %u",
			 offset, block);
		fcntl(fd, F_SETFL, 0);
	} else if (rc && !direct_try(fd, offset)) {
		snprintf(backend->detail, sizeof(backend->detail),
			 "buffered: O_DIRECT of %u bytes does not work here", offset);
		fcntl(fd, F_SETFL, 0);
	} else {
		backend->limits.direct = true;
		backend->limits.mem_align = mem;
		backend->limits.piece_align = uring_piece_align(fd, mem);
		return offset;
	}
	return FILE_BLOCK;
}

/* Asks behind the end of the file, where there is nothing to lose. */
static bool fallocate_works(int fd, int mode, uint64_t size)
{
	off_t behind = (off_t)align_up(size, FILE_GRAIN);

	return !fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, behind, FILE_GRAIN);
}

static void file_zeroing(struct uring_backend *ub, uint64_t size)
{
	struct backend_limits *limits = &ub->backend.limits;
	int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int zero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	bool can_punch, can_zero;

	if (limits->read_only)
		return;
	can_zero = fallocate_works(ub->fd, FALLOC_FL_ZERO_RANGE, size);
	/* Second, so that it takes away what the first one may have allocated. */
	can_punch = fallocate_works(ub->fd, FALLOC_FL_PUNCH_HOLE, size);
	limits->discard = limits->discard_zeroes = can_punch;
	limits->write_zeroes = can_punch || can_zero;
	ub->discard = can_punch ? URING_DISCARD_PUNCH : URING_DISCARD_NONE;
	ub->zero_mode = can_zero ? zero : punch;
	ub->zero_unmap_mode = can_punch ? punch : zero;
}

static int file_setup(const struct opening *o, struct file *file)
{
	struct uring_backend *ub = &file->ub;
	struct backend *backend = &ub->backend;
	const char *path = o->config->path;
	uint32_t preferred;
	struct stat st;
	int shift;
	int rc = file_check(o, ub->fd, &st);

	if (!rc)
		rc = file_grow(o, file, &st);
	if (rc)
		return rc;
	preferred = file_direct(o, ub->fd, backend);
	shift = opening_block_shift(o, path, FILE_BLOCK, preferred);
	if (shift < 0)
		return shift;
	if (o->config->size & ((UINT64_C(1) << shift) - 1))
		return opening_fail(o, -EINVAL,
				    "size = %" PRIu64 " is no multiple of the block size %u: "
				    "change one of them",
				    o->config->size, 1u << shift);
	if (st.st_size >> shift == 0)
		return opening_fail(o, -EINVAL,
				    "%s is empty: add size = 1G, for example, to have it "
				    "grown",
				    path);
	backend->limits.size = (uint64_t)st.st_size >> shift << shift;
	backend->limits.block_shift = (uint8_t)shift;
	backend->limits.phys_shift = (uint8_t)MAX(shift, __builtin_ctz(FILE_GRAIN));
	backend->limits.max_transfer = MAX_TRANSFER;
	backend->limits.max_segments = URING_SEGMENTS;
	backend->limits.fixed = true;
	backend->limits.volatile_cache = true;
	backend->limits.read_only = o->config->read_only;
	file_zeroing(ub, (uint64_t)st.st_size);
	snprintf(backend->path, sizeof(backend->path), "%s", path);
	return 0;
}

static int file_open(const struct config_namespace *config, struct backend **out, char *err,
		     size_t errlen)
{
	const struct opening o = { config, err, errlen };
	struct file *file = calloc(1, sizeof(*file));
	int rc;

	if (!file)
		return opening_fail(&o, -ENOMEM, "out of memory");
	file->ub.backend.ops = &backend_file;
	file->ub.fd = file_descriptor(&o, file);
	if (file->ub.fd < 0) {
		rc = file->ub.fd;
		free(file);
		return rc;
	}
	rc = file_setup(&o, file);
	if (rc) {
		file_undo(&file->ub.backend, config);
		close(file->ub.fd);
		free(file);
		return rc;
	}
	*out = &file->ub.backend;
	return 0;
}

/* As the size that is configured makes it at the start. */
static int file_resize(struct backend *backend, const struct config_namespace *config,
		       bool check_only, char *err, size_t errlen)
{
	struct file *file = file_of(backend);
	const struct opening o = { config, err, errlen };
	unsigned shift = backend->limits.block_shift;
	struct stat st;
	int rc;

	if (fstat(file->ub.fd, &st))
		return opening_fail(&o, -errno, "%s: %s", config->path, strerror(errno));
	if (config->size & ((UINT64_C(1) << shift) - 1))
		return opening_fail(&o, -EINVAL,
				    "size = %" PRIu64 " is no multiple of the block size %u: "
				    "change it",
				    config->size, 1u << shift);
	if (check_only)
		return file_size_check(&o, (uint64_t)st.st_size);
	file->created = false;
	file->after = 0;
	rc = file_grow(&o, file, &st);
	if (!rc)
		size_set(backend, (uint64_t)st.st_size);
	return rc;
}

/* Somebody may have put another file in its place, or none: the next start would not serve this one. */
static bool file_moved(const struct backend *backend, const struct config_namespace *config)
{
	const struct uring_backend *ub = (const struct uring_backend *)backend;
	struct stat opened, named;

	if (fstat(ub->fd, &opened))
		return false;
	if (stat(config->path, &named))
		return errno == ENOENT || errno == ENOTDIR;
	return named.st_ino != opened.st_ino || named.st_dev != opened.st_dev;
}

/* Somebody may have grown the file, or cut it. */
static int file_refresh(struct backend *backend)
{
	const struct uring_backend *ub = (const struct uring_backend *)backend;
	unsigned shift = backend->limits.block_shift;
	struct stat st;
	uint64_t size;

	if (fstat(ub->fd, &st))
		return -ENODEV;
	size = (uint64_t)st.st_size >> shift << shift;
	if (!size)
		return -ENODEV;
	if (size == backend_size(backend))
		return 0;
	__atomic_store_n(&backend->limits.size, size, __ATOMIC_RELAXED);
	return 1;
}

static void file_close(struct backend *backend)
{
	struct uring_backend *ub = (struct uring_backend *)backend;

	uring_close(ub);
	free(ub);
}

const struct backend_ops backend_file = {
	.name = "file",
	.open = file_open,
	.attach = uring_attach,
	.submit = uring_submit,
	.cancel = uring_cancel,
	.path = uring_path,
	.refresh = file_refresh,
	.moved = file_moved,
	.resize = file_resize,
	.undo = file_undo,
	.detach = uring_detach,
	.settled = uring_settled,
	.close = file_close,
};
