/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/subsys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "target/io_fence.h"
#include "target/worker.h"

struct subsys **subsystems;
unsigned n_subsystems;
struct ns **namespaces;
unsigned n_namespaces;

static const struct config *the_config;
static uint64_t indices[CONFIG_NAMESPACES_MAX / 64]; /* bit per ns.index in use */

/* -------------------------------------------------------------------------------------- subsystems */

struct subsys *subsys_new(const struct config_subsystem *config)
{
	struct subsys *subsys = calloc(1, sizeof(*subsys));

	if (!subsys)
		return NULL;
	subsys->ended = aligned_alloc(_Alignof(struct ns_stats), sizeof(*subsys->ended));
	if (!subsys->ended) {
		free(subsys);
		return NULL;
	}
	*subsys->ended = (struct ns_stats){ 0 };
	subsys->config = config;
	subsys->nqn = config ? config->nqn : NVME_DISCOVERY_NQN;
	subsys->discovery = !config;
	subsys->next_cntlid = config ? config->cntlid_min : 1;
	pthread_mutex_init(&subsys->lock, NULL);
	list_init(&subsys->ctrls);
	list_init(&subsys->leaving);
	list_init(&subsys->hosts);
	return subsys;
}

void subsys_free(struct subsys *subsys)
{
	stats_hosts_fini(subsys);
	pthread_mutex_destroy(&subsys->lock);
	free(subsys->ended);
	free(subsys->own);
	free(subsys);
}

void subsys_enter(struct subsys *subsys)
{
	subsystems[n_subsystems++] = subsys;
}

/* The NVMe drive that is all there is behind the subsystem, or NULL. */
static const struct backend_identity *subsys_drive(const struct subsys *subsys)
{
	const struct ns *ns = subsys->n_ns == 1 ? subsys->ns[subsys->max_nsid] : NULL;

	return ns && ns->backend->identity.valid ? &ns->backend->identity : NULL;
}

void subsys_settle(struct subsys *subsys)
{
	const struct backend_identity *drive = subsys_drive(subsys);
	const char *model = subsys->discovery ? "Sluice discovery" : "Sluice NVMe-oF target";

	if (subsys->config && subsys->config->model[0])
		model = subsys->config->model;
	else if (drive)
		model = drive->model;
	snprintf(subsys->model, sizeof(subsys->model), "%s", model);
	snprintf(subsys->firmware, sizeof(subsys->firmware), "%s",
		 drive ? drive->firmware : SLUICE_VERSION);
}

/* The others move up: they stay in the order in which hosts are told of them. */
static void table_remove(void **table, unsigned *n, const void *entry)
{
	unsigned i = 0;

	while (table[i] != entry)
		i++;
	memmove(&table[i], &table[i + 1], (--*n - i) * sizeof(*table));
}

void subsys_leave(struct subsys *subsys)
{
	table_remove((void **)subsystems, &n_subsystems, subsys);
}

static struct subsys *subsys_called(const char *nqn)
{
	for (unsigned i = 1; i < n_subsystems; i++)
		if (!strcmp(subsystems[i]->nqn, nqn))
			return subsystems[i];
	return NULL;
}

void subsys_set_config(const struct config *config)
{
	the_config = config;
}

/* -------------------------------------------------------------------------------------- namespaces */

/* A place among the fixed files of all workers, or -1. */
static int index_get(void)
{
	unsigned room = n_workers ? workers[0].backends : CONFIG_NAMESPACES_MAX;

	for (unsigned i = 0; i < MIN(room, (unsigned)CONFIG_NAMESPACES_MAX); i++) {
		if (indices[i / 64] >> (i % 64) & 1)
			continue;
		indices[i / 64] |= 1ull << (i % 64);
		return (int)i;
	}
	return -1;
}

static void index_put(unsigned index)
{
	indices[index / 64] &= ~(1ull << (index % 64));
}

static void ns_free(struct ns *ns)
{
	io_fence_fini(ns);
	free(ns->stats);
	free(ns->own);
	free(ns);
}

static struct ns *ns_new(void)
{
	struct ns *ns = calloc(1, sizeof(*ns));

	if (!ns)
		return NULL;
	ns->stats = aligned_alloc(_Alignof(struct ns_stats), n_workers * sizeof(*ns->stats));
	if (!ns->stats || io_fence_init(ns)) {
		free(ns->stats);
		free(ns);
		return NULL;
	}
	memset(ns->stats, 0, n_workers * sizeof(*ns->stats));
	return ns;
}

int ns_open(struct subsys *subsys, const struct config_namespace *config, struct ns **out, char *err)
{
	struct ns *ns = ns_new();
	int rc, index;

	if (!ns) {
		snprintf(err, BACKEND_ERROR_MAX, "no memory for namespace %s/%u",
			 config->subsystem, config->nsid);
		return -ENOMEM;
	}
	index = index_get();
	if (index < 0) {
		snprintf(err, BACKEND_ERROR_MAX,
			 "namespace %s/%u: the rings have places for %u namespaces, and all are "
			 "taken; raise RLIMIT_NOFILE (systemd: LimitNOFILE=) and restart",
			 config->subsystem, config->nsid, workers[0].backends);
		ns_free(ns);
		return -ENOSPC;
	}
	rc = backend_open(config, &ns->backend, err, BACKEND_ERROR_MAX);
	if (rc) {
		index_put((unsigned)index);
		ns_free(ns);
		return rc;
	}
	ns->subsys = subsys;
	ns->config = config;
	ns->nsid = config->nsid;
	ns->index = (uint32_t)index;
	ns->block_shift = ns->backend->limits.block_shift;
	ns->read_only = config->read_only || ns->backend->limits.read_only;
	ns->blocks = ns->backend->limits.size >> ns->block_shift;
	*out = ns;
	return 0;
}

void ns_close(struct ns *ns)
{
	ns->backend->ops->close(ns->backend);
	index_put(ns->index);
	ns_free(ns);
}

void ns_enter(struct ns *ns)
{
	struct subsys *subsys = ns->subsys;

	subsys->ns[ns->nsid] = ns;
	subsys->n_ns++;
	subsys->max_nsid = MAX(subsys->max_nsid, ns->nsid);
	namespaces[n_namespaces++] = ns;
}

void ns_leave(struct ns *ns)
{
	struct subsys *subsys = ns->subsys;

	subsys->ns[ns->nsid] = NULL;
	subsys->n_ns--;
	while (subsys->max_nsid && !subsys->ns[subsys->max_nsid])
		subsys->max_nsid--;
	table_remove((void **)namespaces, &n_namespaces, ns);
}

struct ns *ns_find(const char *nqn, uint32_t nsid)
{
	struct subsys *subsys = subsys_called(nqn);

	return subsys && nsid <= MAX_NSID ? subsys->ns[nsid] : NULL;
}

static int ns_open_first(const struct config_namespace *config)
{
	char err[BACKEND_ERROR_MAX] = "";
	struct ns *ns;
	int rc = ns_open(subsys_called(config->subsystem), config, &ns, err);

	if (rc)
		log_error("%s", err);
	else
		ns_enter(ns);
	return rc;
}

/* --------------------------------------------------------------------------------------------- all */

static int subsystems_open(const struct config *config)
{
	subsystems = calloc(MAX_SUBSYSTEMS + 1, sizeof(struct subsys *));
	namespaces = calloc(CONFIG_NAMESPACES_MAX, sizeof(struct ns *));
	if (!subsystems || !namespaces)
		return -ENOMEM;
	for (unsigned i = 0; i <= config->n_subsystems; i++) {
		struct subsys *subsys = subsys_new(i ? &config->subsystems[i - 1] : NULL);

		if (!subsys)
			return -ENOMEM;
		subsys_enter(subsys);
	}
	return 0;
}

void subsys_warn(const struct config_subsystem *config)
{
	if (!config->hosts.any && !config->hosts.n)
		log_warning_about(
			log_about(.subsystem = config->nqn),
			"%s:%d: subsystem %s admits no host; add allow_host = NQN for each that may "
			"attach",
			config->where.file, config->where.line, config->nqn);
}

int subsys_open_all(const struct config *config)
{
	int rc = subsystems_open(config);

	if (rc) {
		log_error("no memory for %u subsystems and %u namespaces", config->n_subsystems,
			  config->n_namespaces);
		subsys_close_all();
		return rc;
	}
	the_config = config;
	for (unsigned i = 0; i < config->n_subsystems; i++)
		subsys_warn(&config->subsystems[i]);
	/* All of them, so that one start tells of every fault. */
	for (unsigned i = 0; i < config->n_namespaces; i++) {
		int one = ns_open_first(&config->namespaces[i]);

		rc = rc ? rc : one;
	}
	for (unsigned i = 0; i < n_subsystems; i++)
		subsys_settle(subsystems[i]);
	if (rc)
		subsys_close_all();
	return rc;
}

int ns_attach(struct ns *ns, struct worker *worker)
{
	int rc = 0;

	if (ns->backend->ops->attach)
		rc = ns->backend->ops->attach(ns->backend, &worker->loop, ns->index,
					      &worker->memory);
	if (rc)
		log_error_about(ns_about(ns), "namespace %s/%u: worker %u cannot use %s: %s",
				ns->subsys->nqn, ns->nsid, worker->index, ns->backend->path,
				strerror(-rc));
	return rc;
}

void ns_detach(struct ns *ns, struct worker *worker)
{
	if (ns->backend->ops->detach)
		ns->backend->ops->detach(ns->backend, &worker->loop, ns->index);
}

int subsys_attach_all(struct worker *worker)
{
	for (unsigned i = 0; i < n_namespaces; i++) {
		int rc = ns_attach(namespaces[i], worker);

		if (rc) {
			while (i--)
				ns_detach(namespaces[i], worker);
			return rc;
		}
	}
	return 0;
}

void subsys_detach_all(struct worker *worker)
{
	for (unsigned i = 0; i < n_namespaces; i++)
		ns_detach(namespaces[i], worker);
}

void subsys_close_all(void)
{
	for (unsigned i = 0; i < n_namespaces; i++)
		ns_close(namespaces[i]);
	free(namespaces);
	namespaces = NULL;
	n_namespaces = 0;
	for (unsigned i = 0; i < n_subsystems; i++)
		subsys_free(subsystems[i]);
	free(subsystems);
	subsystems = NULL;
	n_subsystems = 0;
}

/* ----------------------------------------------------------------------------------------- finding */

struct subsys *subsys_find(const char *nqn)
{
	const char *discovery = the_config->discovery.nqn;

	if (!strcmp(nqn, NVME_DISCOVERY_NQN) || (discovery[0] && !strcmp(nqn, discovery)))
		return subsystems[0];
	return subsys_called(nqn);
}

bool subsys_allows(const struct subsys *subsys, const char *hostnqn)
{
	return subsys->discovery || config_hosts_allow(&subsys->config->hosts, hostnqn);
}

unsigned subsys_deepest(void)
{
	unsigned depth = MIN_ADMIN_DEPTH;

	for (unsigned i = 1; i < n_subsystems; i++)
		depth = MAX(depth, subsystems[i]->config->max_queue_depth);
	return depth;
}

bool ns_visible(const struct ns *ns, const char *hostnqn)
{
	return config_hosts_allow(&ns->config->hosts, hostnqn);
}
