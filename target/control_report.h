/* SPDX-License-Identifier: BSD-3-Clause */
/* The answer to each verb of the control socket. */
#ifndef SLUICE_TARGET_CONTROL_REPORT_H
#define SLUICE_TARGET_CONTROL_REPORT_H

#include <json-c/json.h>

/* Raised when a member changes its meaning or goes; new members may come at any time. */
enum { CONTROL_VERSION = 1 };

/* An empty reply of success, for the caller to put. NULL without memory. */
struct json_object *control_success(void);

/*
 * The reply to @verb, for the caller to put: what was asked for, or {"ok": false, "error": ...}.
 * NULL without memory. On the main thread; may wait for workers.
 */
struct json_object *control_report(const char *verb);

/* A reply that refuses, for the caller to put. NULL without memory. */
struct json_object *control_refusal(const char *error);

#endif
