/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes from the errors of backends. */
#ifndef SLUICE_TARGET_STATUS_H
#define SLUICE_TARGET_STATUS_H

#include <stdint.h>

/*
 * The closest NVMe status to the negative errno @error (or 0) of a backend, for command @opcode;
 * with DNR where trying again, here or on another path, cannot help.
 */
uint16_t io_status_from_errno(int error, uint8_t opcode);

#endif
