/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NVMe controllers on the PCI bus: find them, reset them, take them away and bring them back. What
 * the kernel may hang in is done by a child, so that a test ends with a message and not with the
 * machine.
 */
#ifndef CONTROLLER_H
#define CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROLLERS_MAX 4
#define CONTROLLER_NAME_LEN 32
#define DEVICE_PATH_LEN 64

/* How long a change of a controller may take: much longer than it needs under emulation. */
#define CONTROLLER_MS_MAX 60000

struct controller {
	char name[CONTROLLER_NAME_LEN];		/* nvme0 */
	char address[CONTROLLER_NAME_LEN];	/* on the bus: 0000:00:03.0 */
};

/*
 * The controllers of the namespace that is open as fd, whether it is one controller's own or the
 * multipath device of several; their number. Ends the program when there is none on the PCI bus.
 */
unsigned int controllers_of(int fd, struct controller controllers[CONTROLLERS_MAX]);

/* As checks, each within CONTROLLER_MS_MAX. */
bool check_controller_reset(const struct controller *controller);
bool check_controller_live(const struct controller *controller);
bool check_controller_removed(const struct controller *controller);

/*
 * Looks for devices on the bus. As a check: the controller is there again and live; its name may be
 * another.
 */
bool check_controller_returned(struct controller *controller);

/* From now on it does not hear of anything, until the kernel switches its registers on again. */
void controller_mute(const struct controller *controller);

/*
 * The path of the first block device that the controller has to itself, waited for if need be. As a
 * check.
 */
bool check_controller_device(const struct controller *controller, char path[DEVICE_PATH_LEN]);

/* Requests that the disk behind one path of a multipath device has done; -1: no such path. */
long controller_path_requests(const struct controller *controller);

/*
 * Attaches (or detaches) the namespace with that identifier by command. 0, -EOPNOTSUPP when the
 * controller cannot do so, another negative errno, or a positive NVMe status.
 */
int controller_namespace_attach(const struct controller *controller, uint32_t nsid, bool attach);

/* NSID of the namespace that is open as fd. Ends the program on error. */
uint32_t device_namespace_id(int fd);

/* How long a request to the device may take before the driver looks after it. */
void device_timeout_set(int fd, unsigned int ms);

#endif
