/* SPDX-License-Identifier: BSD-3-Clause */
/* What differs between the configuration that runs and one that is wanted, and whether that can be. */
#ifndef SLUICE_CONFIG_DIFF_H
#define SLUICE_CONFIG_DIFF_H

#include "base/compiler.h"
#include "config/settings.h"

/* What changed of an object that both have. */
enum config_change {
	CONFIG_CHANGE_SIZE = 1 << 0,
	CONFIG_CHANGE_HOSTS = 1 << 1, /* who may attach to the subsystem, or see the namespace */
	CONFIG_CHANGE_READ_ONLY = 1 << 2,
	CONFIG_CHANGE_ANA = 1 << 3,
	CONFIG_CHANGE_FAULT = 1 << 4,
	CONFIG_CHANGE_OTHER = 1 << 5, /* takes effect by being read */
};

/* Of an object of the wanted configuration. */
struct config_step {
	int was;          /* index of the same object in the running configuration; -1: it is new */
	unsigned changes; /* enum config_change */
};

struct config_diff {
	struct config_step *subsystems, *namespaces; /* by index in the wanted configuration */
	bool *subsystem_stays, *namespace_stays;     /* by index in the running one */
	unsigned subsystems_added, subsystems_removed, subsystems_changed;
	unsigned namespaces_added, namespaces_removed, namespaces_changed;
	bool discovery; /* what discovery tells hosts may differ, beside open listeners */
};

/* A way in which a setting can change while the daemon runs. */
enum config_policy {
	CONFIG_POLICY_LIVE,
	CONFIG_POLICY_RESTART,
	CONFIG_POLICY_DETACHED, /* of a namespace that nobody uses */
};

/* How @row may change, and what its change is. */
enum config_policy config_policy(const struct setting *row, unsigned *change);

/*
 * Compares @wanted with @running; @boot is what the process was started with. @detached, by index in
 * @running, says which namespaces are not open; NULL: all are. 0 and @diff, for config_diff_free(); or
 * negative errno after each fault was given to @report as in config_load(): -EINVAL when something
 * cannot change while the daemon runs, -ENOMEM. Looks at nothing but its arguments.
 */
int __must_check config_diff(const struct config *boot, const struct config *running,
			     const bool *detached, const struct config *wanted,
			     struct config_diff *diff,
			     void (*report)(void *arg, const char *message), void *arg);
void config_diff_free(struct config_diff *diff);

/* Are the two listeners alike in all that connections notice? Their names may differ. */
bool config_listener_equal(const struct config_listener *a, const struct config_listener *b);

#endif
