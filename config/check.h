/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold between settings, once all of them are read. */
#ifndef SLUICE_CONFIG_CHECK_H
#define SLUICE_CONFIG_CHECK_H

#include "config/build.h"

/* Reports every fault. What is not given and has no fixed default must be derived before. */
void config_check(const struct build *build);

#endif
