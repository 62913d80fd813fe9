/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of drivers and cannot be asked: from the source of Linux 7.3, as README.md lists it. */
#ifndef SLUICE_NIC_DRIVER_H
#define SLUICE_NIC_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

struct nic_driver {
	const char *name;    /* as ethtool -i prints it */
	uint32_t buffer_max; /* longest receive buffer in bytes; 0: a page */
	bool split_by_gro;   /* header split works with rx-gro-hw on only */
	const char *needs;   /* of the device or its firmware, a clause; NULL: nothing special */
};

/* NULL: not known to be able to do zero-copy receive; a newer kernel's driver may. */
const struct nic_driver *nic_driver_find(const char *name);

/* The names of all, with commas, for messages. */
const char *nic_driver_names(void);

#endif
