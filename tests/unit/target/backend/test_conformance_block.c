/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite over block devices, which loop devices stand for. */
#include "conformance.h"

#include "loop_device.h"

static char path_512[32], path_4k[32];

static const struct conformance_case cases[] = {
	{ .name = "block",
	  .backend = "block",
	  .path = path_512,
	  .persistent = true,
	  .direct = true,
	  .exclusive = true },
	{ .name = "block 4k on 512",
	  .backend = "block",
	  .path = path_512,
	  .block_size = 4096,
	  .persistent = true,
	  .direct = true,
	  .exclusive = true },
	{ .name = "block 4k",
	  .backend = "block",
	  .path = path_4k,
	  .persistent = true,
	  .direct = true,
	  .exclusive = true },
	{ .name = "fault over block",
	  .backend = "block",
	  .path = path_4k,
	  .fault = "any delay=100us every=7",
	  .persistent = true,
	  .exclusive = true },
};

int main(void)
{
	struct loop_device dev_512, dev_4k;
	char why[128];
	int rc;

	if (loop_device_make(&dev_512, DEVICE_BYTES, 512, 0, why, sizeof(why))) {
		printf("skipped: %s\n", why);
		return UNIT_SKIPPED;
	}
	if (loop_device_make(&dev_4k, DEVICE_BYTES, 4096, 0, why, sizeof(why))) {
		loop_device_remove(&dev_512);
		printf("skipped: %s\n", why);
		return UNIT_SKIPPED;
	}
	strcpy(path_512, dev_512.path);
	strcpy(path_4k, dev_4k.path);
	rc = conformance_run(cases, ARRAY_SIZE(cases));
	loop_device_remove(&dev_512);
	loop_device_remove(&dev_4k);
	return rc;
}
