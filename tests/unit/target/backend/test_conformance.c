/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite over all backends that need no special device. */
#include "conformance.h"

static char real_dir[] = "/var/tmp/sluice-conformance-XXXXXX";
static char tmpfs_dir[] = "/dev/shm/sluice-conformance-XXXXXX";
static char real_path[64], real_path_4k[64], tmpfs_path[64], fault_path[64];

static const struct conformance_case cases[] = {
	{ .name = "ram", .backend = "ram", .size = DEVICE_BYTES },
	{ .name = "ram 4k", .backend = "ram", .size = DEVICE_BYTES, .block_size = 4096 },
	{ .name = "null", .backend = "null", .size = DEVICE_BYTES, .forgets = true },
	{ .name = "file",
	  .backend = "file",
	  .path = real_path,
	  .size = DEVICE_BYTES,
	  .persistent = true,
	  .direct = true,
	  .exclusive = true },
	{ .name = "file 4k",
	  .backend = "file",
	  .path = real_path_4k,
	  .size = DEVICE_BYTES,
	  .block_size = 4096,
	  .persistent = true,
	  .direct = true,
	  .exclusive = true },
	{ .name = "file on tmpfs",
	  .backend = "file",
	  .path = tmpfs_path,
	  .size = DEVICE_BYTES,
	  .persistent = true,
	  .exclusive = true },
	{ .name = "fault over ram, quiet",
	  .backend = "ram",
	  .size = DEVICE_BYTES,
	  .fault = "any error=EIO lba=4294967296-4294967297" },
	{ .name = "fault over ram, out of order",
	  .backend = "ram",
	  .size = DEVICE_BYTES,
	  .fault = "any delay=300us every=3" },
	{ .name = "fault over file",
	  .backend = "file",
	  .path = fault_path,
	  .size = DEVICE_BYTES,
	  .fault = "any delay=200us every=5",
	  .persistent = true,
	  .exclusive = true },
};

/* A backend that nobody put through the suite must not go unnoticed. */
static bool all_backends_covered(void)
{
	for (const struct backend_ops *const *ops = backend_registry; *ops; ops++) {
		/* It needs a device and is in test_conformance_block. */
		bool covered = !strcmp((*ops)->name, "block");

		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			covered |= !strcmp(cases[i].backend, (*ops)->name);
		if (!covered) {
			fprintf(stderr, "backend %s is in no case\n", (*ops)->name);
			return false;
		}
	}
	return true;
}

int main(void)
{
	int rc;

	if (!all_backends_covered() || !mkdtemp(real_dir) || !mkdtemp(tmpfs_dir))
		return 1;
	snprintf(real_path, sizeof(real_path), "%s/volume", real_dir);
	snprintf(real_path_4k, sizeof(real_path_4k), "%s/volume-4k", real_dir);
	snprintf(fault_path, sizeof(fault_path), "%s/volume-fault", real_dir);
	snprintf(tmpfs_path, sizeof(tmpfs_path), "%s/volume", tmpfs_dir);
	rc = conformance_run(cases, ARRAY_SIZE(cases));
	unlink(real_path);
	unlink(real_path_4k);
	unlink(fault_path);
	unlink(tmpfs_path);
	rmdir(real_dir);
	rmdir(tmpfs_dir);
	return rc;
}
