/* SPDX-License-Identifier: BSD-3-Clause */
/* Verbs of the control socket that change something. */
#ifndef SLUICE_TARGET_CONTROL_ACTION_H
#define SLUICE_TARGET_CONTROL_ACTION_H

#include "target/control_report.h"
#include "target/control_request.h"

enum { CONTROL_ERROR_MAX = 1152 };

struct control_action {
	const char *name;
	/*
	 * Does it and puts into @reply what there is to tell. 0, or negative errno with a sentence in @err of
	 * CONTROL_ERROR_MAX bytes. Main thread, while workers run.
	 */
	int (*run)(const struct control_request *request, struct json_object *reply, char *err);
	unsigned takes; /* enum control_takes */
};

/* Ended by one without a name. */
extern const struct control_action control_actions[];

/* The reply to @request, which was not refused: of an action, or of control_report(). */
struct json_object *control_answer(const struct control_request *request);

#endif
