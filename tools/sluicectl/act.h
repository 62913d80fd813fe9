/* SPDX-License-Identifier: BSD-3-Clause */
/* Verbs that have the daemon change something. */
#ifndef SLUICE_TOOLS_SLUICECTL_ACT_H
#define SLUICE_TOOLS_SLUICECTL_ACT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

struct act {
	const char *verb;
	const char *arguments; /* as in --help; empty: none */
	const char *help;      /* a line for --help */
	unsigned min, max;     /* number of arguments */
	const char *key;       /* member of the request that the first argument is; NULL: none */
	bool rules;	       /* those behind it are a list of rules */
	void (*print)(const struct json_object *reply, char *const *arguments, FILE *out);
};

/* All of them, ended by one without a name. */
extern const struct act acts[];

/* The entry of @verb, or NULL. */
const struct act *act_find(const char *verb);

/*
 * The request, a line without its newline in memory that the caller frees; NULL without memory. The
 * number of arguments is right.
 */
char *act_request(const struct act *act, char *const *arguments, unsigned n);

#endif
