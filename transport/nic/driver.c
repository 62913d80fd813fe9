/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/driver.h"

#include <stdio.h>
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
	{ .name = "netdevsim", .buffer_max = 2097152, .simulated = true },
};

const struct nic_driver *nic_driver_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (!strcmp(drivers[i].name, name))
			return &drivers[i];
	return NULL;
}

struct nic_drivers_text nic_driver_names(void)
{
	struct nic_drivers_text text = { "" };
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(drivers) && len < sizeof(text.s); i++)
		if (!drivers[i].simulated)
			len += (size_t)snprintf(text.s + len, sizeof(text.s) - len, "%s%s",
						len ? ", " : "", drivers[i].name);
	return text;
}
