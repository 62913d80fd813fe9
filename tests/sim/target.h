/* SPDX-License-Identifier: BSD-3-Clause */
/* The target of a schedule: brought up and taken down as main.c does it, and what must always hold of it. */
#ifndef SLUICE_TESTS_SIM_TARGET_H
#define SLUICE_TESTS_SIM_TARGET_H

#include "config/config.h"
#include "kernel.h"

extern struct config sim_config;

/* Brings up what @text describes, with @n_workers that have @memory_bytes of buffers each. */
void sim_target_start(const char *text, unsigned n, uint64_t memory_bytes);
/* Calls @fill for the memory of each worker. */
void sim_target_memory(void (*fill)(void *at, size_t size));
/* One turn of a worker that has something to do, picked at random. False: none has. */
bool sim_target_turn(void);
/* What hosts do while the target settles: true when they did anything. NULL: there are none. */
extern bool (*sim_target_hosts)(void);
/* Runs target, kernel and hosts until nothing happens any more but by the clock. Disks do as @disks. */
void sim_target_settle(enum sim_pace disks);
/* All connections are gone: nothing of them is left. */
void sim_target_check_idle(void);
/* Stops as the daemon does, with whatever connections there are; then frees everything. */
void sim_target_stop(void);
/* Says what each worker has. */
void sim_target_describe(void);
/* Connections that the target has. */
unsigned sim_target_connections(void);

#endif
