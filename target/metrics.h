/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The metrics endpoint: GET /metrics over HTTP, for Prometheus and what reads OpenMetrics. It shows what
 * `sluicectl stats` shows, and takes nothing. Served by the main thread along with the control socket;
 * memory, connections and their time are bounded, and nothing here blocks on a client.
 */
#ifndef SLUICE_TARGET_METRICS_H
#define SLUICE_TARGET_METRICS_H

#include <stdint.h>

struct config_metrics;

/*
 * Listens as @config says, if it says so. The control socket is open. 0, or negative errno after the
 * reason was logged.
 */
int metrics_open(const struct config_metrics *config);

/* Closes all connections; harmless when not open. Before control_close(). */
void metrics_close(void);

/* The most memory that it takes with @config. */
uint64_t metrics_bytes(const struct config_metrics *config);

#endif
