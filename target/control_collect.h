/* SPDX-License-Identifier: BSD-3-Clause */
/* What only a worker's own thread may look at, fetched from all workers by message. */
#ifndef SLUICE_TARGET_CONTROL_COLLECT_H
#define SLUICE_TARGET_CONTROL_COLLECT_H

#include <json-c/json.h>

/*
 * Appends a description of every connection of every worker to @array. 0, or -ETIMEDOUT when a
 * worker did not answer within CONTROL_COLLECT_TIMEOUT_MS; *@worker says which.
 */
int control_collect_connections(struct json_object *array, unsigned *worker);

/* Frees what came too late. */
void control_collect_fini(void);

#endif
