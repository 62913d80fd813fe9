/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes while the daemon runs, step by step. What may fail is done first, while all goes on as it was;
 * then workers stand still between change_begin() and change_end(), where nothing can fail.
 */
#ifndef SLUICE_TARGET_CHANGE_H
#define SLUICE_TARGET_CHANGE_H

#include "config/config.h"

struct ns;
struct subsys;

enum { CHANGE_ERROR_MAX = 1024 };

/* Opens @config and attaches it to all workers. As ns_open(). */
int change_ns_open(struct subsys *subsys, const struct config_namespace *config, struct ns **out,
		   char *err);
/* Undoes that, with the file that it made or grew; no host has seen it. Its subsystem goes after it. */
void change_ns_drop(struct ns *ns);
/* For one of subsys_new() that no host has seen. change_subsys_own() has succeeded. */
void change_subsys_drop(struct subsys *subsys);

/*
 * Gives what is to leave a configuration of its own, so that the one which it is in may go. 0 or
 * -ENOMEM. It may stay for all that.
 */
int change_ns_own(struct ns *ns);
int change_subsys_own(struct subsys *subsys);

/* 0, or negative errno with a sentence in @err of CHANGE_ERROR_MAX bytes: workers go on as they did. */
int change_begin(char *err);
void change_end(void);

/* Between the two: taken out of their tables and retired. change_*_own() has succeeded. */
void change_ns_leave(struct ns *ns);
void change_subsys_leave(struct subsys *subsys);

/* Prepares new fault rules for an open namespace: as fault_change_new(), with its name in @err. */
struct fault_change;
int change_faults(struct ns *ns, const char rules[][CONFIG_FAULT_RULE_MAX], unsigned n,
		  struct fault_change **out, char *err);
/* Between change_begin() and change_end(). */
void change_faults_apply(struct ns *ns, struct fault_change *change);
/* After change_end(). */
void change_faults_release(struct ns *ns);

#endif
