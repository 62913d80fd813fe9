/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Subsystems and their namespaces: made at start, constant while the daemon runs. Only the list of
 * controllers changes, under `lock`.
 */
#ifndef SLUICE_TARGET_SUBSYS_H
#define SLUICE_TARGET_SUBSYS_H

#include <pthread.h>

#include "config/config.h"
#include "target/ns.h"

struct ctrl;
struct worker;

struct subsys {
	const struct config_subsystem *config; /* NULL for the discovery subsystem */
	const char *nqn;
	bool discovery;
	struct ns *ns[MAX_NSID + 1]; /* by NSID; NULL: not there */
	uint32_t n_ns;
	uint32_t max_nsid; /* largest NSID in use */

	pthread_mutex_t lock;
	struct list ctrls;    /* ctrl.subsys_link */
	struct list leaving;  /* ctrl.subsys_link: without an admin queue, kept by what is in flight */
	uint16_t next_cntlid;
};

/* All subsystems; [0] is the discovery subsystem. */
extern struct subsys *subsystems;
extern unsigned n_subsystems;

/* All namespaces of all subsystems, by ns.index. */
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

/* The NVMe drive that is all there is behind the subsystem, or NULL. */
const struct backend_identity *subsys_drive(const struct subsys *subsys);

/* What hosts see as its model and as its firmware revision: configured, or the one drive's, or ours. */
const char *subsys_model(const struct subsys *subsys);
const char *subsys_firmware(const struct subsys *subsys);

/* The subsystem called @nqn (also by its discovery NQNs), or NULL. */
struct subsys *subsys_find(const char *nqn);

/* May this host attach? The discovery subsystem admits every host and filters what it shows. */
bool subsys_allows(const struct subsys *subsys, const char *hostnqn);

/* Does @hostnqn see namespace @ns? */
bool ns_visible(const struct ns *ns, const char *hostnqn);

#endif
