/* SPDX-License-Identifier: BSD-3-Clause */
/* What is particular to block devices: who has them, their geometry, and what is refused. */
#include "backend_rig.h"

#include <linux/blkpg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "loop_device.h"

enum { MIB = 1 << 20 };

static struct loop_device dev;

static struct config_namespace block_config(const char *path)
{
	struct config_namespace config = rig_config("block");

	snprintf(config.path, sizeof(config.path), "%s", path);
	return config;
}

static struct backend *opened(const struct config_namespace *config)
{
	struct backend *backend;
	char err[BACKEND_ERROR_MAX] = "";

	if (backend_open(config, &backend, err, sizeof(err)))
		fail_msg("%s", err);
	return backend;
}

static void device_make(uint32_t block, uint32_t flags)
{
	char why[128];

	assert_int_equal(loop_device_make(&dev, 8 * MIB, block, flags, why, sizeof(why)), 0);
}

static void geometry_is_the_device_s(void **state)
{
	struct config_namespace config;
	struct backend *backend;

	(void)state;
	device_make(512, 0);
	config = block_config(dev.path);
	backend = opened(&config);
	assert_int_equal(backend_size(backend), 8 * MIB);
	assert_int_equal(backend->limits.block_shift, 9);
	assert_true(backend->limits.direct && backend->limits.fixed);
	assert_true(backend->limits.discard && backend->limits.write_zeroes);
	assert_false(backend->limits.discard_zeroes);
	assert_true(backend->limits.volatile_cache);
	assert_false(backend->identity.valid);
	assert_int_equal(backend->ops->health(backend, &(struct nvme_smart_log){ 0 }), -ENOTSUP);
	assert_string_equal(backend->path, dev.path);
	backend->ops->close(backend);
	loop_device_remove(&dev);
}

static void blocks_cannot_be_smaller_than_the_device_s(void **state)
{
	struct config_namespace config;
	struct backend *backend;
	char err[BACKEND_ERROR_MAX];

	(void)state;
	device_make(4096, 0);
	config = block_config(dev.path);
	config.block_size = 512;
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, dev.path);
	assert_contains(err, "use 4096");
	config.block_size = 0;
	backend = opened(&config);
	assert_int_equal(backend->limits.block_shift, 12);
	backend->ops->close(backend);
	loop_device_remove(&dev);
}

static void a_read_only_device_is_served_read_only(void **state)
{
	struct config_namespace config;
	struct backend *backend;

	(void)state;
	device_make(512, LO_FLAGS_READ_ONLY);
	config = block_config(dev.path);
	backend = opened(&config);
	assert_true(backend->limits.read_only);
	assert_false(backend->limits.discard || backend->limits.write_zeroes);
	assert_contains(backend->detail, "read-only");
	backend->ops->close(backend);
	loop_device_remove(&dev);
}

static void other_kinds_are_refused(void **state)
{
	struct config_namespace config = block_config("/dev/null");
	char err[BACKEND_ERROR_MAX];

	(void)state;
	rig_refused(&config, -ENOTBLK, err);
	assert_contains(err, "/dev/null is no block device");
	config = block_config("/dev/there/is/none");
	rig_refused(&config, -ENOENT, err);
	assert_contains(err, "/dev/there/is/none");
	config = block_config("/proc/self/exe");
	rig_refused(&config, -ENOTBLK, err);
	assert_contains(err, "use backend = file");
	config = block_config("");
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "needs a device");
	device_make(512, 0);
	config = block_config(dev.path);
	strcpy(config.backend, "file");
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "use backend = block");
	loop_device_remove(&dev);
}

static void an_unknown_serial_is_refused(void **state)
{
	struct config_namespace config = block_config("");
	char err[BACKEND_ERROR_MAX];

	(void)state;
	strcpy(config.device_serial, "NO-SUCH-DRIVE-1");
	rig_refused(&config, -ENODEV, err);
	assert_contains(err, "NO-SUCH-DRIVE-1");
}

static void an_empty_device_is_refused(void **state)
{
	struct config_namespace config;
	char err[BACKEND_ERROR_MAX];

	(void)state;
	device_make(512, 0);
	/* The device stays, its medium goes. */
	assert_int_equal(truncate(dev.file, 0), 0);
	assert_int_equal(ioctl(dev.fd, LOOP_SET_CAPACITY), 0);
	config = block_config(dev.path);
	rig_refused(&config, -ENOMEDIUM, err);
	assert_contains(err, "medium");
	loop_device_remove(&dev);
}

static void growth_is_noticed(void **state)
{
	struct config_namespace config;
	struct rig rig;

	(void)state;
	device_make(512, 0);
	config = block_config(dev.path);
	rig = (struct rig){ .config = config };
	rig_open(&rig);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), 0);
	assert_int_equal(truncate(dev.file, 12 * MIB), 0);
	assert_int_equal(ioctl(dev.fd, LOOP_SET_CAPACITY), 0);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), 1);
	assert_int_equal(backend_size(rig.backend), 12 * MIB);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 12 * MIB - 4096, 4096), 0);
	assert_int_equal(truncate(dev.file, 0), 0);
	assert_int_equal(ioctl(dev.fd, LOOP_SET_CAPACITY), 0);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), -ENODEV);
	/* Not what a bad block gives. */
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), -ENODEV);
	rig_close(&rig);
	loop_device_remove(&dev);
}

static void another_opener_keeps_it(void **state)
{
	struct config_namespace config;
	struct backend *backend;
	char err[BACKEND_ERROR_MAX];
	int fd;

	(void)state;
	device_make(512, 0);
	config = block_config(dev.path);
	fd = open(dev.path, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	rig_refused(&config, -EBUSY, err);
	assert_contains(err, dev.path);
	assert_contains(err, "in use by another namespace or process");
	/* Allowed on request; but two namespaces never share a device. */
	config.allow_mounted = true;
	backend = opened(&config);
	rig_refused(&config, -EBUSY, err);
	backend->ops->close(backend);
	close(fd);
	loop_device_remove(&dev);
}

/* Cache flushes that the device has completed. */
static uint64_t flushes_done(void)
{
	char file[64];
	uint64_t n = 0;
	FILE *f;

	snprintf(file, sizeof(file), "/sys/block/%s/stat", strrchr(dev.path, '/') + 1);
	f = fopen(file, "r");
	assert_non_null(f);
	/* The 16th number. */
	for (int i = 0; i < 16; i++)
		assert_int_equal(fscanf(f, "%lu", &n), 1);
	fclose(f);
	return n;
}

/* What is to be durable empties the device's cache; nothing else does. */
static void durability_reaches_the_device(void **state)
{
	struct config_namespace config;
	struct rig_io rio;
	struct rig rig;
	uint64_t before;

	(void)state;
	device_make(512, 0);
	config = block_config(dev.path);
	rig = (struct rig){ .config = config };
	rig_open(&rig);
	before = flushes_done();
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 0, 4096), 0);
	assert_int_equal(rig_op(&rig, BACKEND_WRITE_ZEROES, 0, 0, 4096), 0);
	assert_int_equal(flushes_done(), before);
	assert_int_equal(rig_op(&rig, BACKEND_FLUSH, 0, 0, 0), 0);
	assert_int_equal(flushes_done(), before + 1);
	rig_io_init(&rio, &rig, BACKEND_WRITE, 0, 4096);
	rio.io.flags = BACKEND_IO_FUA;
	rig_io_add(&rio, &rig.area, 0, 4096);
	assert_int_equal(rig_io_run(&rio), 0);
	assert_int_equal(flushes_done(), before + 2);
	assert_int_equal(rig_op(&rig, BACKEND_WRITE_ZEROES, BACKEND_IO_FUA, 0, 4096), 0);
	assert_int_equal(flushes_done(), before + 3);
	assert_int_equal(
		rig_op(&rig, BACKEND_WRITE_ZEROES, BACKEND_IO_FUA | BACKEND_IO_UNMAP, 0, 4096), 0);
	assert_int_equal(flushes_done(), before + 4);
	rig_close(&rig);
	loop_device_remove(&dev);
}

/* Adds the partition of the second MiB and makes a node for it; its path goes to @path. */
static void partition_make(char *path, size_t len)
{
	struct blkpg_partition part = { .start = MIB, .length = MIB, .pno = 1 };
	struct blkpg_ioctl_arg arg = { .op = BLKPG_ADD_PARTITION,
				       .datalen = sizeof(part),
				       .data = &part };
	const char *name = strrchr(dev.path, '/') + 1;
	unsigned dev_major, dev_minor;
	char file[128];
	FILE *f;

	assert_int_equal(ioctl(dev.fd, BLKPG, &arg), 0);
	snprintf(file, sizeof(file), "/sys/block/%s/%sp1/dev", name, name);
	f = fopen(file, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u:%u", &dev_major, &dev_minor), 2);
	fclose(f);
	snprintf(path, len, "%sp1", dev.path);
	/* Where nobody else makes the nodes. */
	if (mknod(path, S_IFBLK | 0600, makedev(dev_major, dev_minor)))
		assert_int_equal(errno, EEXIST);
}

static void a_partition_is_a_device_of_its_own(void **state)
{
	struct config_namespace config, whole;
	char path[96], err[BACKEND_ERROR_MAX], text[6] = "";
	struct rig rig;
	int fd;

	(void)state;
	device_make(512, LO_FLAGS_PARTSCAN);
	partition_make(path, sizeof(path));
	config = block_config(path);
	rig = (struct rig){ .config = config };
	rig_open(&rig);
	assert_int_equal(backend_size(rig.backend), MIB);
	/* Its limits are those of the disk. */
	assert_true(rig.backend->limits.volatile_cache && rig.backend->limits.discard);
	memcpy(rig.area.base, "here", 4);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 4096, 512), 0);
	assert_int_equal(rig_op(&rig, BACKEND_FLUSH, 0, 0, 0), 0);
	fd = open(dev.file, O_RDONLY);
	assert_int_equal(pread(fd, text, 4, MIB + 4096), 4);
	assert_string_equal(text, "here");
	close(fd);
	/* Disk and partition are the same blocks. */
	whole = block_config(dev.path);
	rig_refused(&whole, -EBUSY, err);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), 0);
	rig_close(&rig);
	unlink(path);
	loop_device_remove(&dev);
}

static void a_mounted_device_is_refused(void **state)
{
	char dir[] = "/tmp/sluice-mount-XXXXXX", command[128], err[BACKEND_ERROR_MAX] = "";
	struct config_namespace config;
	struct backend *backend;
	int rc;

	(void)state;
	device_make(512, 0);
	config = block_config(dev.path);
	snprintf(command, sizeof(command), "mkfs.ext4 -q %s 2>&1", dev.path);
	if (system(command) || !mkdtemp(dir) || mount(dev.path, dir, "ext4", 0, NULL)) {
		printf("a mounted device: not tested, cannot make or mount a file system here\n");
		loop_device_remove(&dev);
		skip();
	}
	rc = backend_open(&config, &backend, err, sizeof(err));
	/* Before anything is asserted: nothing else would take the mount away. */
	umount2(dir, 0);
	rmdir(dir);
	assert_int_equal(rc, -EBUSY);
	assert_contains(err, "mounted on ");
	assert_contains(err, dir);
	assert_contains(err, "allow_mounted = yes");
	backend = opened(&config);
	backend->ops->close(backend);
	loop_device_remove(&dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(geometry_is_the_device_s),
		cmocka_unit_test(blocks_cannot_be_smaller_than_the_device_s),
		cmocka_unit_test(a_read_only_device_is_served_read_only),
		cmocka_unit_test(other_kinds_are_refused),
		cmocka_unit_test(an_unknown_serial_is_refused),
		cmocka_unit_test(an_empty_device_is_refused),
		cmocka_unit_test(growth_is_noticed),
		cmocka_unit_test(another_opener_keeps_it),
		cmocka_unit_test(durability_reaches_the_device),
		cmocka_unit_test(a_partition_is_a_device_of_its_own),
		cmocka_unit_test(a_mounted_device_is_refused),
	};
	struct loop_device probe;
	char why[128];

	if (loop_device_make(&probe, MIB, 512, 0, why, sizeof(why))) {
		printf("skipped: %s\n", why);
		return UNIT_SKIPPED;
	}
	loop_device_remove(&probe);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
