/* SPDX-License-Identifier: BSD-3-Clause */
/* Collects what is wrong with a configuration, so that one run tells a user all of it. */
#ifndef SLUICE_CONFIG_FAULTS_H
#define SLUICE_CONFIG_FAULTS_H

#include "base/compiler.h"
#include "config/config.h"

enum {
	FAULTS_MAX = 50,        /* reported; the rest is only counted */
	FAULT_MESSAGE_MAX = 1024,
};

struct faults {
	void (*report)(void *arg, const char *message); /* may be NULL */
	void *arg;
	unsigned n;
	int error; /* negative errno; 0: none; -EINVAL gives way to what the system said */
};

/* Reports "file:line: ..." for a value or structure that cannot be accepted; counts as -EINVAL. */
void faults_add(struct faults *faults, const struct config_where *where, const char *fmt, ...)
	__printf(3, 4);

/* As faults_add(), when the system said @error, a negative errno. */
void faults_add_error(struct faults *faults, const struct config_where *where, int error,
		      const char *fmt, ...) __printf(4, 5);

/* Reports, once, that memory ran out. */
void faults_memory(struct faults *faults, const struct config_where *where);

#endif
