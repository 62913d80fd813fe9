/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and undoes single steps on the real interface. */
#ifndef SLUICE_NIC_APPLY_H
#define SLUICE_NIC_APPLY_H

#include "transport/nic/plan.h"
#include "transport/nic/run.h"

struct nic_device;

/* Opens what it takes to change the interface. 0 or negative errno; the caller owns *@device. */
int nic_device_open(struct nic_device **device, const char *name, unsigned ifindex);
void nic_device_close(struct nic_device *device);

/* For nic_run(): @arg is the struct nic_device. */
extern const struct nic_hands nic_device_hands;

/*
 * Waits until no program has any of the queues @first .. @first + @count - 1, at most @ms: the kernel
 * gives them back some time after a ring is gone. True when they are free.
 */
bool nic_device_wait(struct nic_device *device, uint32_t first, uint32_t count, unsigned ms);

/* A rule was refused that looks at a part of the source port, as none would be that looks at all of it. */
bool nic_device_no_port_masks(const struct nic_device *device);

#endif
