/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/ns.h"

#include <errno.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/ctrl.h"
#include "target/worker.h"

void ns_stats_sum(const struct ns *ns, struct ns_stats *sum)
{
	*sum = (struct ns_stats){ 0 };
	for (unsigned i = 0; i < n_workers; i++) {
		const struct ns_stats *one = &ns->stats[i];

		sum->reads += counter_get(&one->reads);
		sum->writes += counter_get(&one->writes);
		sum->read_bytes += counter_get(&one->read_bytes);
		sum->written_bytes += counter_get(&one->written_bytes);
		sum->flushes += counter_get(&one->flushes);
		sum->deallocates += counter_get(&one->deallocates);
		sum->other += counter_get(&one->other);
		sum->errors += counter_get(&one->errors);
		sum->media_errors += counter_get(&one->media_errors);
		sum->busy_ns += counter_get(&one->busy_ns);
	}
}

void ns_refresh(struct ns *ns)
{
	struct backend *backend = ns->backend;
	int rc = backend->ops->refresh ? backend->ops->refresh(backend) : 0;
	bool gone = rc == -ENODEV;

	if (gone != __atomic_load_n(&ns->gone, __ATOMIC_RELAXED) &&
	    gone != __atomic_exchange_n(&ns->gone, gone, __ATOMIC_ACQ_REL)) {
		log_warning("namespace %s/%u: %s %s", ns->subsys->nqn, ns->nsid, backend->path,
			    gone ? "is gone" : "is there again");
		subsys_notify(ns->subsys, NVME_AEN_NS_ATTR, ns->nsid);
	}
	if (rc == 1) {
		uint64_t blocks =
			__atomic_load_n(&backend->limits.size, __ATOMIC_RELAXED) >> ns->block_shift;

		__atomic_store_n(&ns->blocks, blocks, __ATOMIC_RELAXED);
		log_info("namespace %s/%u: %s now has %llu blocks", ns->subsys->nqn, ns->nsid,
			 backend->path, (unsigned long long)blocks);
		subsys_notify(ns->subsys, NVME_AEN_NS_ATTR, ns->nsid);
	}
}
