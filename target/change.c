/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/admin.h"
#include "target/backend/fault.h"
#include "target/ctrl.h"
#include "target/retire.h"
#include "target/worker.h"

/* Where something was written that is in no file any more. */
static const struct config_where nowhere = { .file = "(removed)" };

/* -------------------------------------------------------------------------------------- namespaces */

struct attaching {
	struct ns *ns;
	int rc;
};

static void attach_here(struct worker *worker, void *arg)
{
	struct attaching *attaching = arg;

	attaching->rc = ns_attach(attaching->ns, worker);
}

static void detach_here(struct worker *worker, void *arg)
{
	ns_detach(arg, worker);
}

static void ns_disown(struct ns *ns)
{
	*ns->own = *ns->config;
	ns->own->where = nowhere;
	ns->own->hosts = (struct config_hosts){ 0 };
	ns->config = ns->own;
}

static void subsys_disown(struct subsys *subsys)
{
	*subsys->own = *subsys->config;
	subsys->own->where = nowhere;
	subsys->own->hosts = (struct config_hosts){ 0 };
	subsys->config = subsys->own;
	subsys->nqn = subsys->own->nqn;
}

static void ns_undo(struct ns *ns)
{
	if (ns->backend->ops->undo)
		ns->backend->ops->undo(ns->backend, ns->config);
}

/* Says so in @err if a namespace that has left is what has the device or file of @config. */
static void ns_explain_busy(const struct config_namespace *config, char *err)
{
	const struct ns *leaving = retire_holder(config);

	if (leaving)
		snprintf(err, BACKEND_ERROR_MAX,
			 "%s:%d: namespace %s/%u: %.128s is still being closed: the commands of "
			 "namespace %s/%u, which has left, have until [daemon] drain to end; try "
			 "again then",
			 config->where.file, config->where.line, config->subsystem, config->nsid,
			 leaving->backend->path, leaving->subsys->nqn, leaving->nsid);
}

int change_ns_open(struct subsys *subsys, const struct config_namespace *config, struct ns **out,
		   char *err)
{
	struct attaching attaching = { .rc = 0 };
	unsigned n = 0;
	int rc = ns_open(subsys, config, &attaching.ns, err);

	if (rc == -EBUSY)
		ns_explain_busy(config, err);
	if (rc)
		return rc;
	if (change_ns_own(attaching.ns)) {
		snprintf(err, BACKEND_ERROR_MAX, "no memory for namespace %s/%u", config->subsystem,
			 config->nsid);
		ns_undo(attaching.ns);
		ns_close(attaching.ns);
		return -ENOMEM;
	}
	while (n < n_workers && !attaching.rc)
		worker_call(&workers[n++], attach_here, &attaching);
	if (attaching.rc) {
		/* The last one that was asked has nothing to detach. */
		while (--n)
			worker_call(&workers[n - 1], detach_here, attaching.ns);
		snprintf(err, BACKEND_ERROR_MAX,
			 "%s:%d: namespace %s/%u: a worker cannot use it: %s", config->where.file,
			 config->where.line, config->subsystem, config->nsid,
			 strerror(-attaching.rc));
		change_ns_drop(attaching.ns);
		attaching.ns->leaver.detached = true;
		return attaching.rc;
	}
	*out = attaching.ns;
	return 0;
}

/* A backend may try its memory out as soon as it is attached: it is closed when that is over. */
void change_ns_drop(struct ns *ns)
{
	ns_undo(ns);
	ns_disown(ns);
	retire_ns(ns);
}

void change_subsys_drop(struct subsys *subsys)
{
	subsys_disown(subsys);
	retire_subsys(subsys);
}

int change_ns_own(struct ns *ns)
{
	if (!ns->own)
		ns->own = malloc(sizeof(*ns->own));
	return ns->own ? 0 : -ENOMEM;
}

int change_subsys_own(struct subsys *subsys)
{
	if (!subsys->own)
		subsys->own = malloc(sizeof(*subsys->own));
	return subsys->own ? 0 : -ENOMEM;
}

void change_ns_leave(struct ns *ns)
{
	ns_disown(ns);
	ns_leave(ns);
	ns_stats_keep(ns);
	retire_ns(ns);
}

void change_subsys_leave(struct subsys *subsys)
{
	subsys_disown(subsys);
	subsys_leave(subsys);
	retire_subsys(subsys);
}

/* --------------------------------------------------------------------------------- standing still */

int change_begin(char *err)
{
	unsigned late;
	int rc = workers_pause(&late);

	if (rc)
		snprintf(err, CHANGE_ERROR_MAX,
			 "worker %u did not come to a stop within %d ms; try again, and see "
			 "whether its loop turns (sluicectl stats)",
			 late, WORKER_PAUSE_TIMEOUT_MS);
	else
		smart_lock();
	return rc;
}

void change_end(void)
{
	smart_unlock();
	workers_resume();
}

/* ------------------------------------------------------------------------------------------ faults */

int change_faults(struct ns *ns, const char rules[][CONFIG_FAULT_RULE_MAX], unsigned n,
		  struct fault_change **out, char *err)
{
	char reason[BACKEND_ERROR_MAX];
	int rc = fault_change_new(ns->backend, rules, n, out, reason, sizeof(reason));

	if (rc)
		snprintf(err, CHANGE_ERROR_MAX, "namespace %s/%u: %s", ns->subsys->nqn, ns->nsid,
			 reason);
	return rc;
}

void change_faults_apply(struct ns *ns, struct fault_change *change)
{
	struct loop *loops[MAX_WORKERS];

	for (unsigned i = 0; i < n_workers; i++)
		loops[i] = &workers[i].loop;
	ns->backend = fault_change_apply(ns->backend, change, loops, n_workers);
}

static void release_here(struct worker *worker, void *arg)
{
	const struct ns *ns = arg;

	fault_release(ns->backend, &worker->loop);
}

void change_faults_release(struct ns *ns)
{
	for (unsigned i = 0; i < n_workers; i++)
		worker_call(&workers[i], release_here, ns);
}
