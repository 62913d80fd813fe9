/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine of file and block: which rung it takes, and what it does when the kernel says no. */
#include "backend_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "target/backend/uring.h"

enum { MIB = 1 << 20 };

static char path[] = "/var/tmp/sluice-uring-XXXXXX";

static struct uring_backend *rig_setup(struct rig *rig)
{
	*rig = (struct rig){ .config = rig_config("file") };
	snprintf(rig->config.path, sizeof(rig->config.path), "%s", path);
	rig->config.size = 4 * MIB;
	rig_open(rig);
	return (struct uring_backend *)rig->backend;
}

/* A range that is all 0x55 on the device. */
static void range_fill(struct rig *rig, uint64_t offset, uint32_t len)
{
	memset(rig->area.base, 0x55, len);
	assert_int_equal(rig_rw(rig, BACKEND_WRITE, offset, len), 0);
}

static void range_holds(struct rig *rig, uint64_t offset, uint32_t len, char byte)
{
	const char *data = rig->area.base;

	memset(rig->area.base, 0xa5, len);
	assert_int_equal(rig_rw(rig, BACKEND_READ, offset, len), 0);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(data[i], byte);
}

static void a_registered_area_goes_by_its_index(void **state)
{
	struct loop other;
	struct rig rig;

	(void)state;
	rig_setup(&rig);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), 0);
	/* An index with nothing behind it fails where it is used, and only there. */
	rig.area.fixed_index = 5;
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), -EFAULT);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 0, 4096), -EFAULT);
	rig.area.loop = &other;
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), 0);
	rig.area.loop = &rig.lt.loop;
	rig.backend->limits.fixed = false;
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 4096), 0);
	rig.area.fixed_index = 0;
	rig_close(&rig);
}

static void several_pieces_go_as_plain_memory(void **state)
{
	struct rig_io rio;
	struct rig rig;

	(void)state;
	rig_setup(&rig);
	rig.area.fixed_index = 5;
	rig_io_init(&rio, &rig, BACKEND_WRITE, 0, 8192);
	rig_io_add(&rio, &rig.area, 0, 4096);
	rig_io_add(&rio, &rig.area, 65536, 4096);
	assert_int_equal(rig_io_run(&rio), 0);
	/* The first piece alone is enough for what is moved. */
	rio.completions = 0;
	rio.io.len = 4096;
	assert_int_equal(rig_io_run(&rio), -EFAULT);
	rig.area.fixed_index = 0;
	rig_close(&rig);
}

static void zeroes_are_written_where_unmapping_is_refused(void **state)
{
	struct uring_backend *ub;
	struct rig rig;

	(void)state;
	ub = rig_setup(&rig);
	range_fill(&rig, MIB, 65536);
	/* A mode that no file system has. */
	ub->zero_unmap_mode = FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE;
	assert_int_equal(rig_op(&rig, BACKEND_WRITE_ZEROES, BACKEND_IO_UNMAP | BACKEND_IO_FUA,
				MIB + 4096, 8192), 0);
	range_holds(&rig, MIB, 4096, 0x55);
	range_holds(&rig, MIB + 4096, 8192, 0);
	range_holds(&rig, MIB + 12288, 4096, 0x55);
	rig_close(&rig);
}

/* A device that cannot discard after all: no harm where nothing was promised, else an error. */
static void a_refused_discard_is_a_hint(void **state)
{
	struct uring_backend *ub;
	struct rig rig;

	(void)state;
	ub = rig_setup(&rig);
	range_fill(&rig, 0, 4096);
	/* Files know no such command. */
	ub->discard = URING_DISCARD_COMMAND;
	assert_int_equal(rig_op(&rig, BACKEND_DISCARD, 0, 0, 4096), -EOPNOTSUPP);
	ub->backend.limits.discard_zeroes = false;
	assert_int_equal(rig_op(&rig, BACKEND_DISCARD, 0, 0, 4096), 0);
	range_holds(&rig, 0, 4096, 0x55);
	rig_close(&rig);
}

static void one_lock_for_all_who_ask(void **state)
{
	int a = open(path, O_RDWR), b = open(path, O_RDWR);

	(void)state;
	assert_true(a >= 0 && b >= 0);
	assert_int_equal(uring_lock(a, false), 0);
	assert_int_equal(uring_lock(b, false), -EBUSY);
	assert_int_equal(uring_lock(b, true), -EBUSY);
	assert_int_equal(uring_lock(a, true), 0);
	assert_int_equal(uring_lock(b, true), 0);
	close(a);
	assert_int_equal(uring_lock(b, false), 0);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_registered_area_goes_by_its_index),
		cmocka_unit_test(several_pieces_go_as_plain_memory),
		cmocka_unit_test(zeroes_are_written_where_unmapping_is_refused),
		cmocka_unit_test(a_refused_discard_is_a_hint),
		cmocka_unit_test(one_lock_for_all_who_ask),
	};
	int fd = mkstemp(path);
	int rc;

	if (fd < 0)
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
