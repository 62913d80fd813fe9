/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes a session that fails smaller for as long as it still fails. */
#ifndef SLUICE_FUZZ_SHRINK_H
#define SLUICE_FUZZ_SHRINK_H

#include "script.h"

/* Runs @session: 1 if it fails in the same way, 0 if not, negative if nothing can be told any more. */
typedef int (*shrink_fails)(void *arg, const struct session *session);

/*
 * Takes actions, edits, splits and bytes off @session, which fails, with at most @tries runs. Returns
 * how many runs it took, or the negative number that @fails returned; @session is the smallest that
 * failed in either case.
 */
int shrink(struct session *session, shrink_fails fails, void *arg, int tries);

#endif
