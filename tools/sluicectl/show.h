/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies of the daemon as tables for people. */
#ifndef SLUICE_TOOLS_SLUICECTL_SHOW_H
#define SLUICE_TOOLS_SLUICECTL_SHOW_H

#include <json-c/json.h>
#include <stdio.h>

struct show {
	const char *verb;
	const char *help; /* a line for --help */
	/* Members that are missing are shown as "-" or 0: an older daemon may not have them. */
	void (*print)(const struct json_object *reply, FILE *out);
};

/* All verbs, ended by one without a name. */
extern const struct show shows[];

/* The entry of @verb, or NULL. */
const struct show *show_find(const char *verb);

#endif
