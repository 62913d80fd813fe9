/* SPDX-License-Identifier: BSD-3-Clause */
/* The answer to the verb `stats`, and parts of it that other answers have too. */
#ifndef SLUICE_TARGET_CONTROL_STATS_H
#define SLUICE_TARGET_CONTROL_STATS_H

#include <json-c/json.h>

struct ns_stats;
struct worker;

/* Hosts, controllers, queues, namespaces, workers, memory. On the main thread; waits for nobody. */
void control_stats_report(struct json_object *reply);

/* What a namespace, or a worker for all of them, has counted. */
void control_put_ns_stats(const struct ns_stats *stats, struct json_object *row);

/* Its place, its connections, its loop. */
void control_put_worker(const struct worker *worker, struct json_object *row);

#endif
