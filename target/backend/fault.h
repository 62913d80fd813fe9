/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules by which a backend fails, exchanged while it is in use. */
#ifndef SLUICE_TARGET_BACKEND_FAULT_H
#define SLUICE_TARGET_BACKEND_FAULT_H

#include "target/backend/backend.h"

struct fault_change;

/*
 * Prepares that @backend fails by these @n_rules (0: by none) instead of those that it has. 0, or negative
 * errno with a sentence in @err.
 */
int fault_change_new(struct backend *backend, const char rules[][CONFIG_FAULT_RULE_MAX],
		     unsigned n_rules, struct fault_change **out, char *err, size_t errlen);
void fault_change_drop(struct fault_change *change);

/*
 * Does it, and frees @change. Returns the backend to be used from now on, which owns @backend if it is
 * another one. @loops are all that @backend is attached to; none of them runs.
 */
struct backend *fault_change_apply(struct backend *backend, struct fault_change *change,
				   struct loop *const *loops, unsigned n_loops);

/* What the rules of before hold back on @loop goes to the disk now. On the loop's thread. */
void fault_release(struct backend *backend, struct loop *loop);

#endif
