/* SPDX-License-Identifier: BSD-3-Clause */
/* Values that a configuration leaves open and that must be the same after every start. */
#ifndef SLUICE_CONFIG_DERIVE_H
#define SLUICE_CONFIG_DERIVE_H

#include "base/compiler.h"
#include "config/config.h"

/*
 * Gives each subsystem without a serial number, and each namespace without a UUID or NGUID, the
 * ones that follow from its name. 0, or -EIO when the system cannot compute SHA-256.
 */
int __must_check config_derive(struct config *config);

#endif
