/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/driver.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

static const struct nic_driver drivers[] = {
	{
		.name = "bnxt_en",
		.buffer_max = 32768,
		.needs =
			"a BCM575xx or newer as physical function, with firmware that restarts single "
			"queues",
	},
	{
		.name = "mlx5_core",
		.buffer_max = 131072,
		.split_by_gro = true,
		.needs = "a ConnectX-7 or newer, whose firmware merges packets (rx-gro-hw)",
	},
	{ .name = "gve", .needs = "a machine type with the DQO RDA queue format" },
	{ .name = "fbnic" },
	{ .name = "netdevsim", .buffer_max = 2097152 },
};

const struct nic_driver *nic_driver_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (!strcmp(drivers[i].name, name))
			return &drivers[i];
	return NULL;
}

const char *nic_driver_names(void)
{
	return "bnxt_en, mlx5_core, gve, fbnic";
}
