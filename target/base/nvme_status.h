/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes in words. */
#ifndef SLUICE_BASE_NVME_STATUS_H
#define SLUICE_BASE_NVME_STATUS_H

#include <stdint.h>

/* What @status (its type and code) says, in the words of the specification; never NULL. */
const char *nvme_status_name(uint16_t status);

#endif
