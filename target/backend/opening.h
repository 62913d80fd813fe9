/* SPDX-License-Identifier: BSD-3-Clause */
/* What the backends' open functions share. */
#ifndef SLUICE_TARGET_BACKEND_OPENING_H
#define SLUICE_TARGET_BACKEND_OPENING_H

#include "target/backend/backend.h"

/* One call of backend_ops.open. */
struct opening {
	const struct config_namespace *config;
	char *err;
	size_t errlen;
};

/* Writes the message and returns @rc. */
int opening_fail(const struct opening *o, int rc, const char *fmt, ...) __printf(3, 4);

/*
 * The block size to use: the configured one, or @preferred bytes. It is a power of two of at least
 * @least bytes. Returns its shift, or -EINVAL with the message written; @what is the device's name.
 */
int opening_block_shift(const struct opening *o, const char *what, uint32_t least, uint32_t preferred);

/* Size of a backend that has only what the configuration says. 0, or -EINVAL with the message written. */
int opening_size(const struct opening *o, const char *what, unsigned block_shift, uint64_t *size);

#endif
