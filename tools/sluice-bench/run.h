/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands. Each returns the exit code. */
#ifndef SLUICE_BENCH_RUN_H
#define SLUICE_BENCH_RUN_H

#include "options.h"

/* Load on a target, and on the floor where asked; or on the floor alone. */
int bench_run(const struct bench_options *options);

/* Prints the discovery log. */
int bench_discover(const struct bench_options *options);

/* Prints a controller and its namespaces. */
int bench_identify(const struct bench_options *options);

/* Prints "sluice-bench: " and the sentence on stderr; returns EXIT_FAILED. */
int bench_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A connected association, or NULL after saying why not. */
struct initiator *bench_connect(const struct bench_options *options);

#endif
