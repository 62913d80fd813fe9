/* SPDX-License-Identifier: BSD-3-Clause */
/* A block device: a whole disk, a partition or anything that the kernel makes look like one. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/sysfs.h"
#include "target/backend/drive_helper.h"
#include "target/backend/holder.h"
#include "target/backend/opening.h"
#include "target/backend/registry.h"
#include "target/backend/uring.h"

/* What sysfs says about a device; numbers that it does not say are 0. */
struct block_facts {
	bool nvme;      /* the whole namespace of an NVMe drive */
	bool host_zoned;
	bool write_through; /* known to have no cache that a power failure empties */
	uint64_t rotational; /* a flag */
	uint64_t discard_max;
	uint64_t zeroes_max;
	uint64_t zeroes_unmap_max; /* by deallocating: what is deallocated reads as zero */
	uint64_t dma_alignment; /* a mask */
};

struct block {
	struct uring_backend uring; /* first */
	char sysfs[48];             /* gone when the device is */
};

static struct block *block_of(struct backend *backend)
{
	return (struct block *)backend;
}

static void facts_read(const char *sysfs, struct block_facts *facts)
{
	char queue[96], text[64], link[PATH_MAX];
	bool partition = sysfs_line(sysfs, "partition", text, sizeof(text));
	ssize_t len = readlink(sysfs, link, sizeof(link) - 1);
	const char *name;

	snprintf(queue, sizeof(queue), "%s%s/queue", sysfs, partition ? "/.." : "");
	link[MAX(len, 0)] = '\0';
	name = strrchr(link, '/');
	*facts = (struct block_facts){
		.nvme = !partition && name && !strncmp(name, "/nvme", 5),
	};
	sysfs_number(queue, "discard_max_bytes", &facts->discard_max);
	sysfs_number(queue, "write_zeroes_max_bytes", &facts->zeroes_max);
	sysfs_number(queue, "write_zeroes_unmap_max_bytes", &facts->zeroes_unmap_max);
	sysfs_number(queue, "dma_alignment", &facts->dma_alignment);
	sysfs_number(queue, "rotational", &facts->rotational);
	if (sysfs_line(queue, "write_cache", text, sizeof(text)))
		facts->write_through = !strcmp(text, "write through");
	if (sysfs_line(queue, "zoned", text, sizeof(text)))
		facts->host_zoned = !strcmp(text, "host-managed");
}

/* The size in whole blocks; 0 when the device is gone. */
static uint64_t block_size_now(const struct block *block)
{
	unsigned shift = block->uring.backend.limits.block_shift;
	uint64_t size;

	/* A partition keeps its size when the disk below it is pulled. */
	if (access(block->sysfs, F_OK) || ioctl(block->uring.fd, BLKGETSIZE64, &size))
		return 0;
	return size >> shift << shift;
}

static bool block_gone(const struct uring_backend *ub)
{
	return !block_size_now((const struct block *)ub);
}

/* ------------------------------------------------------------------------------------------- opening */

static int block_path(const struct opening *o, char *path, size_t len)
{
	const struct config_namespace *config = o->config;

	if (config->device_serial[0])
		return drive_find(config->device_serial, path, len, o->err, o->errlen);
	if (!config->path[0])
		return opening_fail(o, -EINVAL,
				    "backend block needs a device: add path = /dev/nvme0n1, "
				    "for example, or device_serial");
	snprintf(path, len, "%s", config->path);
	return 0;
}

static int block_check(const struct opening *o, const char *path, struct stat *st)
{
	if (stat(path, st))
		return opening_fail(o, -errno, "%s: %s%s", path, strerror(errno),
				    errno == ENOENT ? ": is the drive there? `lsblk` shows all" :
						      "");
	if (S_ISREG(st->st_mode))
		return opening_fail(o, -ENOTBLK, "%s is a regular file: use backend = file", path);
	if (!S_ISBLK(st->st_mode))
		return opening_fail(o, -ENOTBLK,
				    "%s is no block device: name one, such as /dev/nvme0n1", path);
	return 0;
}

static int block_busy(const struct opening *o, const char *path, dev_t dev)
{
	char holder[256];

	holder_find("", major(dev), minor(dev), holder, sizeof(holder));
	if (holder[0] && o->config->allow_mounted)
		return opening_fail(
			o, -EBUSY,
			"%s is in use: %s; and this kernel lets nobody write to a "
			"mounted device (CONFIG_BLK_DEV_WRITE_MOUNTED): unmount it, or set "
			"read_only = yes",
			path, holder);
	if (holder[0])
		return opening_fail(o, -EBUSY,
				    "%s is in use: %s; free it, or set allow_mounted = yes "
				    "if losing what is there is all right",
				    path, holder);
	return opening_fail(o, -EBUSY,
			    "%s is in use by another namespace or process (`fuser -v %s` shows "
			    "which): stop it, or name another device",
			    path, path);
}

/* The open device, or a negative errno. A device that cannot be written is opened for reading. */
static int block_descriptor(const struct opening *o, const char *path, dev_t dev)
{
	int flags = O_DIRECT | O_CLOEXEC | (o->config->allow_mounted ? 0 : O_EXCL);
	int fd = open(path, flags | (o->config->read_only ? O_RDONLY : O_RDWR));
	int rc;

	if (fd < 0 && (errno == EROFS || errno == EACCES)) {
		int read_only = 0;

		rc = errno;
		fd = open(path, flags | O_RDONLY);
		if (fd >= 0 && (ioctl(fd, BLKROGET, &read_only) || !read_only)) {
			close(fd);
			fd = -1;
		}
		errno = rc;
	}
	if (fd < 0 && errno == EBUSY)
		return block_busy(o, path, dev);
	if (fd < 0)
		return opening_fail(o, -errno, "%s cannot be opened: %s", path, strerror(errno));
	rc = uring_lock(fd, o->config->read_only || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	if (rc) {
		close(fd);
		return rc == -EBUSY ?
			       block_busy(o, path, dev) :
			       opening_fail(o, rc, "%s cannot be locked: %s", path, strerror(-rc));
	}
	return fd;
}

/*
 * Whether the kernel knows how to discard through the ring: asked with a length of 0, which it
 * refuses in another way than a command that it does not know.
 */
static bool discard_command_works(int fd)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	bool works;

	if (io_uring_queue_init(1, &ring, 0))
		return false;
	io_uring_prep_cmd_discard(io_uring_get_sqe(&ring), fd, 0, 0);
	works = io_uring_submit_and_wait(&ring, 1) == 1 && !io_uring_peek_cqe(&ring, &cqe) &&
		cqe->res == -EINVAL;
	io_uring_queue_exit(&ring);
	return works;
}

static void block_zeroing(struct uring_backend *ub, const struct block_facts *facts)
{
	struct backend_limits *limits = &ub->backend.limits;

	/* The kernel writes zeroes itself where the device has no command for it. */
	ub->zero_mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	ub->zero_unmap_mode = ub->zero_mode;
	if (limits->read_only)
		return;
	limits->write_zeroes = true;
	if (facts->zeroes_max)
		ub->zero_unmap_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	if (facts->discard_max && discard_command_works(ub->fd))
		ub->discard = URING_DISCARD_COMMAND;
	else if (facts->discard_max && facts->zeroes_max)
		ub->discard = URING_DISCARD_PUNCH;
	limits->discard = ub->discard != URING_DISCARD_NONE;
	limits->discard_zeroes = limits->discard && facts->zeroes_unmap_max;
}

static int block_geometry(const struct opening *o, struct uring_backend *ub,
			  const struct block_facts *facts)
{
	struct backend_limits *limits = &ub->backend.limits;
	const char *path = ub->backend.path;
	unsigned physical = 0;
	int logical = 0, read_only = 0, shift;
	uint32_t offset;
	uint64_t size;

	if (ioctl(ub->fd, BLKSSZGET, &logical) || ioctl(ub->fd, BLKGETSIZE64, &size) ||
	    ioctl(ub->fd, BLKROGET, &read_only))
		return opening_fail(o, -errno, "%s does not tell its geometry: %s", path,
				    strerror(errno));
	if (ioctl(ub->fd, BLKPBSZGET, &physical) || physical & (physical - 1) || !physical)
		physical = (unsigned)logical;
	shift = opening_block_shift(o, path, (uint32_t)logical, (uint32_t)logical);
	if (shift < 0)
		return shift;
	if (!(size >> shift))
		return opening_fail(o, -ENOMEDIUM,
				    "%s has a size of %" PRIu64 " bytes: is its medium there?",
				    path, size);
	limits->size = size >> shift << shift;
	limits->block_shift = (uint8_t)shift;
	limits->phys_shift = (uint8_t)MAX(shift, __builtin_ctz(physical));
	limits->read_only = o->config->read_only || read_only;
	if (uring_direct_align(ub->fd, &limits->mem_align, &offset))
		limits->mem_align = facts->dma_alignment ? (uint32_t)facts->dma_alignment + 1 :
							   (uint32_t)logical;
	limits->piece_align = uring_piece_align(ub->fd, limits->mem_align);
	return 0;
}

static int block_setup(const struct opening *o, struct block *block)
{
	struct uring_backend *ub = &block->uring;
	struct backend_limits *limits = &ub->backend.limits;
	struct block_facts facts;
	int rc;

	facts_read(block->sysfs, &facts);
	if (facts.host_zoned)
		return opening_fail(o, -EOPNOTSUPP,
				    "%s is a host-managed zoned device, which cannot be "
				    "written at random: name another device",
				    ub->backend.path);
	rc = block_geometry(o, ub, &facts);
	if (rc)
		return rc;
	limits->max_transfer = MAX_TRANSFER;
	limits->max_segments = URING_SEGMENTS;
	limits->direct = true;
	limits->fixed = true;
	/* When sysfs cannot be asked: a flush too many costs little, one too few costs data. */
	limits->volatile_cache = !facts.write_through;
	limits->rotational = facts.rotational;
	ub->gone = block_gone;
	block_zeroing(ub, &facts);
	drive_identify(ub->fd, facts.nvme, &ub->backend.identity);
	if (limits->read_only && !o->config->read_only)
		snprintf(ub->backend.detail, sizeof(ub->backend.detail), "the device is read-only");
	return 0;
}

static int block_open(const struct config_namespace *config, struct backend **out, char *err,
		      size_t errlen)
{
	const struct opening o = { config, err, errlen };
	struct block *block = calloc(1, sizeof(*block));
	struct backend *backend;
	struct stat st;
	int rc;

	if (!block)
		return opening_fail(&o, -ENOMEM, "out of memory");
	backend = &block->uring.backend;
	backend->ops = &backend_block;
	rc = block_path(&o, backend->path, sizeof(backend->path));
	if (!rc)
		rc = block_check(&o, backend->path, &st);
	if (!rc) {
		snprintf(block->sysfs, sizeof(block->sysfs), "/sys/dev/block/%u:%u",
			 major(st.st_rdev), minor(st.st_rdev));
		block->uring.fd = block_descriptor(&o, backend->path, st.st_rdev);
		rc = MIN(block->uring.fd, 0);
	}
	if (rc) {
		free(block);
		return rc;
	}
	rc = block_setup(&o, block);
	if (rc) {
		close(block->uring.fd);
		free(block);
		return rc;
	}
	*out = backend;
	return 0;
}

/* --------------------------------------------------------------------------------------- open device */

static int block_health(struct backend *backend, struct nvme_smart_log *log)
{
	_Static_assert(sizeof(*log) == DRIVE_SMART_LOG_BYTES, "SMART / health information log");

	if (!backend->identity.valid)
		return -ENOTSUP;
	return drive_helper_smart(block_of(backend)->uring.fd, log);
}

static int block_refresh(struct backend *backend)
{
	uint64_t size = block_size_now(block_of(backend));

	if (!size)
		return -ENODEV;
	if (size == backend_size(backend))
		return 0;
	__atomic_store_n(&backend->limits.size, size, __ATOMIC_RELAXED);
	return 1;
}

static void block_close(struct backend *backend)
{
	uring_close(&block_of(backend)->uring);
	free(block_of(backend));
}

const struct backend_ops backend_block = {
	.name = "block",
	.open = block_open,
	.attach = uring_attach,
	.submit = uring_submit,
	.cancel = uring_cancel,
	.path = uring_path,
	.health = block_health,
	.refresh = block_refresh,
	.detach = uring_detach,
	.settled = uring_settled,
	.close = block_close,
};
