/* SPDX-License-Identifier: BSD-3-Clause */
/* The backends that there are, for registry.c alone. */
#ifndef SLUICE_TARGET_BACKEND_REGISTRY_H
#define SLUICE_TARGET_BACKEND_REGISTRY_H

#include "target/backend/backend.h"

extern const struct backend_ops backend_block;
extern const struct backend_ops backend_file;
extern const struct backend_ops backend_ram;
extern const struct backend_ops backend_null;

/* Opens @inner as @config says and wraps it by the fault rules of @config. As backend_ops.open. */
int fault_open(const struct backend_ops *inner, const struct config_namespace *config,
	       struct backend **out, char *err, size_t errlen);

#endif
