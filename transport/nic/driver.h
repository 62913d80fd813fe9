/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of drivers and cannot be asked: from the source of Linux 7.3, as README.md lists it. */
#ifndef SLUICE_NIC_DRIVER_H
#define SLUICE_NIC_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

struct nic_driver {
	const char *name;    /* as ethtool -i prints it */
	uint32_t buffer_max; /* longest receive buffer in bytes; 0: a page */
	bool split_by_gro;   /* splits with rx-gro-hw on only, and tells of it once it was asked to */
	bool simulated;	     /* there is no such device */
	const char *needs;   /* of the device or its firmware, a clause; NULL: nothing special */
};

/* NULL: not known to be able to do zero-copy receive; a newer kernel's driver may. */
const struct nic_driver *nic_driver_find(const char *name);

struct nic_drivers_text {
	char s[128];
};

/* The names of those that drive a device, with commas, for messages. */
struct nic_drivers_text nic_driver_names(void);

#endif
