/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVMe drives below a block device, asked through libnvme. Its headers and base/nvme.h name the same
 * structures differently: nothing here may include either.
 */
#ifndef SLUICE_TARGET_BACKEND_DRIVE_H
#define SLUICE_TARGET_BACKEND_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DRIVE_SMART_LOG_BYTES = 512 };

/* How a drive names itself; valid where the backend has such a drive below it. */
struct backend_identity {
	bool valid;
	char serial[21];
	char model[41];
	char firmware[9];
	uint8_t nguid[16]; /* zero: none */
	uint8_t eui64[8];
};

/*
 * Asks the drive behind block device @fd for its names. @whole: the device is the drive's whole
 * namespace, so NGUID and EUI64 name it too. False in identity->valid when it is no NVMe drive or
 * does not answer.
 */
void drive_identify(int fd, bool whole, struct backend_identity *identity);

/* Reads the drive's SMART / health log, DRIVE_SMART_LOG_BYTES bytes. May block. 0 or negative errno. */
int drive_smart(int fd, void *log);

/*
 * Finds the one block device of the NVMe drive with serial number @serial and writes its path. 0, or
 * negative errno with @err written: -ENODEV for no such drive, -ENOTUNIQ for several namespaces.
 */
int drive_find(const char *serial, char *path, size_t pathlen, char *err, size_t errlen);

#endif
