/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has a block device, told from a made-up /proc and /sys. */
#include "scratch_root.h"

#include <unistd.h>

#include "target/backend/holder.h"

static void found(unsigned major, unsigned minor, const char *expected)
{
	char text[256];

	holder_find(scratch_root, major, minor, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void disk_make(void)
{
	scratch_root_write("sys/dev/block/8:0/dev", "8:0\n");
	scratch_root_write("sys/dev/block/8:0/sda1/dev", "8:1\n");
	scratch_root_write("sys/dev/block/8:0/sda1/partition", "1\n");
	scratch_root_write("sys/dev/block/8:0/sda2/dev", "8:2\n");
	scratch_root_write("sys/dev/block/8:0/sda2/partition", "2\n");
	scratch_root_write("sys/dev/block/8:0/queue/dev", "8:9\n");
	scratch_root_write("proc/swaps", "Filename Type Size Used Priority\n");
}

static void nobody_has_it(void **state)
{
	(void)state;
	found(8, 0, "");
	disk_make();
	scratch_root_write("proc/self/mountinfo", "22 1 254:0 / / rw - ext4 /dev/root rw\n");
	found(8, 0, "");
}

static void a_mount_is_found(void **state)
{
	(void)state;
	disk_make();
	scratch_root_write(
		"proc/self/mountinfo",
		"22 1 254:0 / / rw shared:1 - ext4 /dev/root rw\n"
		"40 22 8:0 / /srv/data rw,noatime shared:2 master:3 - xfs /dev/sda rw\n");
	found(8, 0, "mounted on /srv/data");
	/* 80:0 is not 8:0. */
	found(80, 0, "");
}

static void a_partition_holds_its_disk(void **state)
{
	(void)state;
	disk_make();
	scratch_root_write("proc/self/mountinfo", "40 22 8:2 / /home rw - ext4 /dev/sda2 rw\n");
	found(8, 0, "its partition sda2 is mounted on /home");
}

static void a_disk_holds_its_partition(void **state)
{
	(void)state;
	/* In sysfs the partition's directory is inside that of its disk. */
	scratch_root_write("sys/devices/sda/dev", "8:0\n");
	scratch_root_write("sys/devices/sda/holders/md0/dev", "9:0\n");
	scratch_root_write("sys/devices/sda/sda1/dev", "8:1\n");
	scratch_root_write("sys/devices/sda/sda1/partition", "1\n");
	scratch_root_write("sys/dev/block/keep", "");
	{
		char link[128], target[128];

		snprintf(link, sizeof(link), "%s/sys/dev/block/8:1", scratch_root);
		snprintf(target, sizeof(target), "%s/sys/devices/sda/sda1", scratch_root);
		assert_int_equal(symlink(target, link), 0);
		snprintf(link, sizeof(link), "%s/sys/dev/block/8:0", scratch_root);
		snprintf(target, sizeof(target), "%s/sys/devices/sda", scratch_root);
		assert_int_equal(symlink(target, link), 0);
	}
	found(8, 0, "used by md0");
	found(8, 1, "its whole disk is used by md0");
}

static void a_holder_is_named(void **state)
{
	(void)state;
	disk_make();
	scratch_root_write("sys/dev/block/8:0/holders/dm-3/dm/name", "vg-data\n");
	found(8, 0, "used by dm-3 (vg-data)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_has_it, scratch_root_make,
						scratch_root_remove),
		cmocka_unit_test_setup_teardown(a_mount_is_found, scratch_root_make,
						scratch_root_remove),
		cmocka_unit_test_setup_teardown(a_partition_holds_its_disk, scratch_root_make,
						scratch_root_remove),
		cmocka_unit_test_setup_teardown(a_disk_holds_its_partition, scratch_root_make,
						scratch_root_remove),
		cmocka_unit_test_setup_teardown(a_holder_is_named, scratch_root_make,
						scratch_root_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
