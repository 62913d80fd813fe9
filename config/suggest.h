/* SPDX-License-Identifier: BSD-3-Clause */
/* What a user may have meant by a name that is unknown. */
#ifndef SLUICE_CONFIG_SUGGEST_H
#define SLUICE_CONFIG_SUGGEST_H

/*
 * The one of @names[0..n) that takes the fewest edits to become @name, if so few that it may be a
 * slip of the keyboard; else NULL.
 */
const char *name_suggest(const char *name, const char *const *names, unsigned n);

#endif
