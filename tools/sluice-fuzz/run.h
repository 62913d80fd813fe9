/* SPDX-License-Identifier: BSD-3-Clause */
/* The tool's modes: fuzz, print, replay, minimise. Each returns an exit code. */
#ifndef SLUICE_FUZZ_RUN_H
#define SLUICE_FUZZ_RUN_H

#include "options.h"

int run_fuzz(const struct fuzz_options *options);
int run_print(const struct fuzz_options *options);
int run_replay(const struct fuzz_options *options);
int run_minimise(const struct fuzz_options *options);

/* From a signal handler: end soon, and report. */
void run_interrupt(void);

#endif
