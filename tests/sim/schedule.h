/* SPDX-License-Identifier: BSD-3-Clause */
/* One schedule: a target, its hosts, and all that happens to them, from one seed. */
#ifndef SLUICE_TESTS_SIM_SCHEDULE_H
#define SLUICE_TESTS_SIM_SCHEDULE_H

#include <stdint.h>

/* Runs the schedule of @seed; what it finds wrong ends the process. */
void schedule_run(uint64_t seed);

#endif
