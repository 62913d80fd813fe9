/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/ns.h"

#include <errno.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/ctrl.h"
#include "target/worker.h"

static struct ns_stats ended[MAX_WORKERS]; /* of namespaces that are no more; main thread */

/* Others may read @sum meanwhile. */
static void counts_add(struct ns_stats *sum, const struct ns_stats *one)
{
	stats_add(&sum->io, &one->io);
	counter_add(&sum->media_errors, counter_get(&one->media_errors));
	counter_add(&sum->busy_ns, counter_get(&one->busy_ns));
}

void ns_stats_add(struct ns_stats *sum, const struct ns *ns, unsigned worker)
{
	counts_add(sum, &ns->stats[worker]);
}

void ns_stats_add_all(struct ns_stats *sum, unsigned worker)
{
	counts_add(sum, &ended[worker]);
	for (unsigned i = 0; i < n_namespaces; i++)
		ns_stats_add(sum, namespaces[i], worker);
}

void ns_stats_keep(struct ns *ns)
{
	for (unsigned i = 0; i < n_workers; i++) {
		ns_stats_add(&ended[i], ns, i);
		ns_stats_add(ns->subsys->ended, ns, i);
	}
	memset(ns->stats, 0, n_workers * sizeof(*ns->stats));
}

void ns_stats_sum(const struct ns *ns, struct ns_stats *sum)
{
	*sum = (struct ns_stats){ 0 };
	for (unsigned i = 0; i < n_workers; i++)
		ns_stats_add(sum, ns, i);
}

/* What the ladder wants to know of a namespace on one worker. */
static void storage_facts(const struct ns *ns, const struct worker *worker,
			  struct datapath_facts *facts, uint64_t bytes[DATAPATH_STORAGE_RUNGS])
{
	static const char no_device[] = "the backend has no device that could map a dma-buf";
	const struct area *area = &worker->area;
	struct backend *backend = ns->backend;

	*facts = (struct datapath_facts){
		.mapped = { backend->ops->map != NULL, "the backend's blocks are not in memory" },
		.dmabuf_registered = { false, no_device },
		.dmabuf_vectored = { false, no_device },
		.area_fixed = { area->fixed_index != AREA_NOT_FIXED, area->why_not },
		.backend_fixed = { backend->limits.fixed, "the backend takes no fixed buffers" },
		.area_reachable = { true, "" },
	};
	if (backend->ops->path)
		backend->ops->path(backend, &worker->loop, ns->index, area, facts, bytes);
}

void ns_storage_of(const struct ns *ns, const struct worker *worker, struct datapath *path,
		   uint64_t bytes[DATAPATH_STORAGE_RUNGS])
{
	struct datapath_facts facts;

	storage_facts(ns, worker, &facts, bytes);
	datapath_choose(&facts, path);
}

void ns_storage(const struct ns *ns, struct datapath *path,
		uint64_t bytes[DATAPATH_STORAGE_RUNGS])
{
	struct datapath one;

	for (unsigned i = 0; i < n_workers; i++) {
		ns_storage_of(ns, &workers[i], &one, bytes);
		if (i == 0 || one.storage > path->storage)
			*path = one;
	}
}

struct log_about ns_about(const struct ns *ns)
{
	return log_about(.subsystem = ns->subsys->nqn, .nsid = ns->nsid);
}

static void ns_resized(struct ns *ns)
{
	uint64_t blocks = backend_size(ns->backend) >> ns->block_shift;

	__atomic_store_n(&ns->blocks, blocks, __ATOMIC_RELAXED);
	log_info_about(ns_about(ns), "namespace %s/%u: %s now has %llu blocks", ns->subsys->nqn,
		       ns->nsid, ns->backend->path, (unsigned long long)blocks);
	subsys_notify(ns->subsys, NVME_AEN_NS_ATTR, ns->nsid);
}

void ns_refresh(struct ns *ns)
{
	struct backend *backend = ns->backend;
	int rc = backend->ops->refresh ? backend->ops->refresh(backend) : 0;
	bool gone = rc == -ENODEV;

	if (gone != __atomic_load_n(&ns->gone, __ATOMIC_RELAXED) &&
	    gone != __atomic_exchange_n(&ns->gone, gone, __ATOMIC_ACQ_REL)) {
		log_warning_about(ns_about(ns), "namespace %s/%u: %s %s", ns->subsys->nqn, ns->nsid,
				  backend->path, gone ? "is gone" : "is there again");
		subsys_notify(ns->subsys, NVME_AEN_NS_ATTR, ns->nsid);
	}
	if (rc == 1)
		ns_resized(ns);
}

static void look_for_path(struct ns *ns)
{
	const struct backend *backend = ns->backend;
	bool moved = backend->ops->moved && backend->ops->moved(backend, ns->config);

	if (moved && !ns->moved)
		log_warning_about(ns_about(ns),
				  "namespace %s/%u: %s was removed or replaced while it is served: hosts "
				  "go on with the file that was opened, but the next start takes what is "
				  "there then; put it back, or detach and attach the namespace (sluicectl) "
				  "to change to the new one",
				  ns->subsys->nqn, ns->nsid, ns->config->path);
	ns->moved = moved;
}

void ns_look(struct ns *ns)
{
	look_for_path(ns);
	ns_refresh(ns);
	if (backend_size(ns->backend) >> ns->block_shift != ns_blocks(ns))
		ns_resized(ns);
}
