/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/subsys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "target/io_fence.h"
#include "target/worker.h"

struct subsys *subsystems;
unsigned n_subsystems;
struct ns **namespaces;
unsigned n_namespaces;

static const struct config *the_config;

static void subsys_init(struct subsys *subsys, const struct config_subsystem *config)
{
	*subsys = (struct subsys){
		.config = config,
		.nqn = config ? config->nqn : NVME_DISCOVERY_NQN,
		.discovery = !config,
		.next_cntlid = config ? config->cntlid_min : 1,
	};
	pthread_mutex_init(&subsys->lock, NULL);
	list_init(&subsys->ctrls);
	list_init(&subsys->leaving);
}

static struct subsys *subsys_of(const struct config_namespace *config)
{
	for (unsigned i = 1; i < n_subsystems; i++)
		if (!strcmp(subsystems[i].nqn, config->subsystem))
			return &subsystems[i];
	return NULL;
}

static int ns_open(const struct config_namespace *config)
{
	struct subsys *subsys = subsys_of(config);
	struct ns *ns = calloc(1, sizeof(*ns));
	char err[BACKEND_ERROR_MAX] = "";
	int rc;

	if (ns)
		ns->stats =
			aligned_alloc(_Alignof(struct ns_stats), n_workers * sizeof(*ns->stats));
	if (!ns || !ns->stats || io_fence_init(ns)) {
		log_error("no memory for namespace %s/%u", config->subsystem, config->nsid);
		if (ns)
			free(ns->stats);
		free(ns);
		return -ENOMEM;
	}
	memset(ns->stats, 0, n_workers * sizeof(*ns->stats));
	rc = backend_open(config, &ns->backend, err, sizeof(err));
	if (rc) {
		log_error("%s", err);
		io_fence_fini(ns);
		free(ns->stats);
		free(ns);
		return rc;
	}
	ns->subsys = subsys;
	ns->config = config;
	ns->nsid = config->nsid;
	ns->index = n_namespaces;
	ns->block_shift = ns->backend->limits.block_shift;
	ns->read_only = config->read_only || ns->backend->limits.read_only;
	ns->blocks = ns->backend->limits.size >> ns->block_shift;
	subsys->ns[ns->nsid] = ns;
	subsys->n_ns++;
	subsys->max_nsid = MAX(subsys->max_nsid, ns->nsid);
	namespaces[n_namespaces++] = ns;
	return 0;
}

int subsys_open_all(const struct config *config)
{
	int rc = 0;

	subsystems = calloc(config->n_subsystems + 1, sizeof(*subsystems));
	namespaces = calloc(config->n_namespaces + 1, sizeof(*namespaces));
	if (!subsystems || !namespaces) {
		log_error("no memory for %u subsystems and %u namespaces", config->n_subsystems,
			  config->n_namespaces);
		free(subsystems);
		free(namespaces);
		return -ENOMEM;
	}
	the_config = config;
	n_subsystems = config->n_subsystems + 1;
	subsys_init(&subsystems[0], NULL);
	for (unsigned i = 0; i < config->n_subsystems; i++) {
		const struct config_subsystem *one = &config->subsystems[i];

		subsys_init(&subsystems[i + 1], one);
		if (!one->hosts.any && !one->hosts.n)
			log_warning(
				"%s:%d: subsystem %s admits no host; add allow_host = NQN for each that may "
				"attach",
				one->where.file, one->where.line, one->nqn);
	}
	/* All of them, so that one start tells of every fault. */
	for (unsigned i = 0; i < config->n_namespaces; i++) {
		int one = ns_open(&config->namespaces[i]);

		rc = rc ? rc : one;
	}
	if (rc)
		subsys_close_all();
	return rc;
}

/* ----------------------------------------------------------------------------------------- workers */

static int ns_attach(struct ns *ns, struct worker *worker)
{
	int rc = 0;

	if (ns->backend->ops->attach)
		rc = ns->backend->ops->attach(ns->backend, &worker->loop, ns->index,
					      &worker->memory);
	if (rc)
		log_error("namespace %s/%u: worker %u cannot use %s: %s", ns->subsys->nqn, ns->nsid,
			  worker->index, ns->backend->path, strerror(-rc));
	return rc;
}

static void ns_detach(struct ns *ns, struct worker *worker)
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
	for (unsigned i = 0; i < n_namespaces; i++) {
		struct ns *ns = namespaces[i];

		ns->backend->ops->close(ns->backend);
		io_fence_fini(ns);
		free(ns->stats);
		free(ns);
	}
	free(namespaces);
	namespaces = NULL;
	n_namespaces = 0;
	for (unsigned i = 0; i < n_subsystems; i++)
		pthread_mutex_destroy(&subsystems[i].lock);
	free(subsystems);
	subsystems = NULL;
	n_subsystems = 0;
}

/* ----------------------------------------------------------------------------------------- finding */

const struct backend_identity *subsys_drive(const struct subsys *subsys)
{
	const struct ns *ns = subsys->n_ns == 1 ? subsys->ns[subsys->max_nsid] : NULL;

	return ns && ns->backend->identity.valid ? &ns->backend->identity : NULL;
}

const char *subsys_model(const struct subsys *subsys)
{
	const struct backend_identity *drive = subsys_drive(subsys);

	if (subsys->config && subsys->config->model[0])
		return subsys->config->model;
	return drive ? drive->model : subsys->discovery ? "Sluice discovery" : "Sluice NVMe-oF target";
}

const char *subsys_firmware(const struct subsys *subsys)
{
	const struct backend_identity *drive = subsys_drive(subsys);

	return drive ? drive->firmware : SLUICE_VERSION;
}

struct subsys *subsys_find(const char *nqn)
{
	const char *discovery = the_config->discovery.nqn;

	if (discovery[0] && !strcmp(nqn, discovery))
		return &subsystems[0];
	for (unsigned i = 0; i < n_subsystems; i++)
		if (!strcmp(nqn, subsystems[i].nqn))
			return &subsystems[i];
	return NULL;
}

bool subsys_allows(const struct subsys *subsys, const char *hostnqn)
{
	return subsys->discovery || config_hosts_allow(&subsys->config->hosts, hostnqn);
}

bool ns_visible(const struct ns *ns, const char *hostnqn)
{
	return config_hosts_allow(&ns->config->hosts, hostnqn);
}
