/* SPDX-License-Identifier: BSD-3-Clause */
/* From bytes to a request: pure, and all that an unasked client can reach. */
#ifndef SLUICE_TARGET_CONTROL_REQUEST_H
#define SLUICE_TARGET_CONTROL_REQUEST_H

#include <stddef.h>

#include "config/config.h"

enum {
	CONTROL_VERB_MAX = 32,
	CONTROL_TARGET_MAX = CONFIG_NQN_MAX + 8, /* NQN/NSID */
};

/* What a client sent and was not yet looked at. */
struct control_input {
	char bytes[MAX_CONTROL_REQUEST];
	size_t len;
};

/* One request, or why it is none. */
struct control_request {
	char verb[CONTROL_VERB_MAX]; /* empty when refused */
	char target[CONTROL_TARGET_MAX]; /* what it is about; empty: not given */
	char level[CONTROL_VERB_MAX];    /* empty: not given */
	char rules[CONFIG_FAULT_RULES][CONFIG_FAULT_RULE_MAX];
	unsigned n_rules;
	char error[160];             /* empty when accepted */
};

/*
 * Takes the first line out of @input. 1: @request has it, or why it is not one; 0: the line is
 * not complete; -EMSGSIZE: it is too long and the stream has lost its place.
 */
int control_request_take(struct control_input *input, struct control_request *request);

#endif
