/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Subsystems and their namespaces. Workers read them without a lock: what is in these structures and
 * tables changes only before workers run and while they are paused (worker.h), but for what says
 * otherwise. The lists of controllers change at any time, under `lock`.
 */
#ifndef SLUICE_TARGET_SUBSYS_H
#define SLUICE_TARGET_SUBSYS_H

#include <pthread.h>

#include "config/config.h"
#include "target/leaver.h"
#include "target/ns.h"

struct ctrl;
struct worker;

struct subsys {
	const struct config_subsystem *config; /* NULL for the discovery subsystem */
	struct config_subsystem *own; /* config of one that has left its configuration; or NULL */
	const char *nqn;
	bool discovery;
	bool drained; /* no host may attach for now */
	struct leaver leaver;
	struct ns *ns[MAX_NSID + 1]; /* by NSID; NULL: not there */
	uint32_t n_ns;
	uint32_t max_nsid; /* largest NSID in use */
	char model[41];   /* subsys_settle() */
	char firmware[9];
	struct ns_stats *ended; /* what those that are no more have counted; counters, the main thread's */

	pthread_mutex_t lock;
	struct list ctrls;    /* ctrl.subsys_link */
	struct list leaving;  /* ctrl.subsys_link: without an admin queue, kept by what is in flight */
	struct list hosts;    /* stats_host.link */
	uint16_t next_cntlid;
};

/* All subsystems; [0] is the discovery subsystem. Room for MAX_SUBSYSTEMS more. */
extern struct subsys **subsystems;
extern unsigned n_subsystems;

/* All namespaces of all subsystems, in no order. Room for CONFIG_NAMESPACES_MAX. */
extern struct ns **namespaces;
extern unsigned n_namespaces;

/*
 * Builds subsystems and opens the backends of all namespaces of @config, which must outlive them.
 * n_workers is set already.
 * 0, or negative errno after every fault was logged with file and line.
 */
int subsys_open_all(const struct config *config);
/* Attaches all backends to @worker's loop. 0 or negative errno, logged. */
int subsys_attach_all(struct worker *worker);
void subsys_detach_all(struct worker *worker);
void subsys_close_all(void);

/* --------------------------------------------------------------- for changes while workers run */

/* A subsystem that nobody finds yet. NULL without memory. @config has to outlive it. */
struct subsys *subsys_new(const struct config_subsystem *config);
/* Frees one that nobody finds any more and that has no controller, also of those that leave. */
void subsys_free(struct subsys *subsys);
/* Hosts find it, or no longer. While workers are paused. */
void subsys_enter(struct subsys *subsys);
void subsys_leave(struct subsys *subsys);
/*
 * Decides what hosts see as its model and as its firmware revision for as long as it lives, whatever
 * namespaces come and go: configured, or those of the one drive that is all there is behind it now, or ours.
 * Hosts may look at both at any time, and take another model for another device.
 */
void subsys_settle(struct subsys *subsys);

/*
 * Opens what @config names, as a namespace of @subsys that no host sees yet. 0, or negative errno with
 * a sentence in @err of BACKEND_ERROR_MAX bytes. Main thread.
 */
int ns_open(struct subsys *subsys, const struct config_namespace *config, struct ns **out, char *err);
/* On @worker's thread, or before it runs; one call at a time. 0 or negative errno. */
int ns_attach(struct ns *ns, struct worker *worker);
void ns_detach(struct ns *ns, struct worker *worker);
/* Closes and frees one that is detached everywhere and that nobody finds. */
void ns_close(struct ns *ns);
/* Hosts that may see it find it, or no longer. While workers are paused. */
void ns_enter(struct ns *ns);
void ns_leave(struct ns *ns);

/* The namespace @nsid of the subsystem @nqn, or NULL: it is not there now. Main thread. */
struct ns *ns_find(const char *nqn, uint32_t nsid);

/* Logs what about @config may be not what is meant. */
void subsys_warn(const struct config_subsystem *config);

/* The unique discovery NQN is that of @config from now on. While workers are paused. */
void subsys_set_config(const struct config *config);

/* ------------------------------------------------------------------------------------- finding */

/* The subsystem called @nqn (also by its discovery NQNs), or NULL. */
struct subsys *subsys_find(const char *nqn);

/* May this host attach? The discovery subsystem admits every host and filters what it shows. */
bool subsys_allows(const struct subsys *subsys, const char *hostnqn);

/* Most entries that a queue of any subsystem may have. What is announced of memory allows for as many. */
unsigned subsys_deepest(void);

/* Does @hostnqn see namespace @ns? */
bool ns_visible(const struct ns *ns, const char *hostnqn);

#endif
