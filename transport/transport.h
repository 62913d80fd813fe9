/* SPDX-License-Identifier: BSD-3-Clause */
/* The registry of transports: one row each in registry.c, in the order of worker.transport_state. */
#ifndef SLUICE_TRANSPORT_TRANSPORT_H
#define SLUICE_TRANSPORT_TRANSPORT_H

#include "target/transport_ops.h"

/* NULL-terminated; for transport_register_all(). */
extern const struct transport_ops *const transport_registry[];

#endif
