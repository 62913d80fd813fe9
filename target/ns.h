/* SPDX-License-Identifier: BSD-3-Clause */
/* A namespace: identity, size, and the backend that stores it. */
#ifndef SLUICE_TARGET_NS_H
#define SLUICE_TARGET_NS_H

#include "base/log_about.h"
#include "target/backend/backend.h"
#include "target/datapath.h"
#include "target/leaver.h"
#include "target/stats.h"

struct io_fence;
struct subsys;
struct worker;

/* Counters of base/counter.h, one row for each worker on its own cache line, summed by readers. */
struct ns_stats {
	struct stats io;
	uint64_t media_errors; /* of io.errors: the medium's */
	uint64_t busy_ns;      /* sum of the time that backend I/Os took */
} __attribute__((aligned(CACHE_LINE)));

struct ns {
	struct subsys *subsys;
	const struct config_namespace *config;
	struct config_namespace *own; /* config of one that has left its configuration; or NULL */
	uint32_t nsid;
	uint32_t index;  /* of its fixed file; no other namespace has it as long as this one lives */
	uint8_t block_shift;
	bool read_only;  /* atomic: feature 84h changes it */
	struct leaver leaver;
	bool leaving;    /* no new command finds it; set while workers are paused */
	bool gone;       /* the device disappeared; atomic */
	bool moved;      /* the path leads elsewhere, and that was said; the main thread's */
	bool fenced;     /* atomic; io_fence.h, as is the next */
	bool fused_seen; /* atomic: a host has sent fused commands here */
	uint64_t blocks; /* atomic: refresh changes it */
	struct backend *backend;
	struct ns_stats *stats; /* one per worker */
	struct io_fence *fence;
};

static inline uint64_t ns_blocks(const struct ns *ns)
{
	return __atomic_load_n(&ns->blocks, __ATOMIC_RELAXED);
}

/* Now: by configuration, by the device, or because a host protected it. */
static inline bool ns_is_read_only(const struct ns *ns)
{
	return __atomic_load_n(&ns->read_only, __ATOMIC_RELAXED);
}

/*
 * How I/O of the namespace goes on @worker at present: the storage rung, and why it is no better one.
 * Adds to @bytes what READ and WRITE of its backend moved there by each rung. While attached; control
 * path.
 */
void ns_storage_of(const struct ns *ns, const struct worker *worker, struct datapath *path,
		   uint64_t bytes[DATAPATH_STORAGE_RUNGS]);

/* The same of all workers: the lowest rung, and all bytes. */
void ns_storage(const struct ns *ns, struct datapath *path,
		uint64_t bytes[DATAPATH_STORAGE_RUNGS]);

/* Adds to @sum what @worker did for @ns. */
void ns_stats_add(struct ns_stats *sum, const struct ns *ns, unsigned worker);

/* Adds to @sum what @worker did for all namespaces, those that are no more among them. Main thread. */
void ns_stats_add_all(struct ns_stats *sum, unsigned worker);

/*
 * What @ns has counted is its subsystem's and the workers' own, and @ns begins anew: it has left its table,
 * and no sum goes down for that. While workers are paused, or when no command knows @ns any more. Main
 * thread.
 */
void ns_stats_keep(struct ns *ns);

/* What messages about @ns are about. */
struct log_about ns_about(const struct ns *ns);

/* Sum over all workers. */
void ns_stats_sum(const struct ns *ns, struct ns_stats *sum);

/*
 * Looks whether size or presence of the backend changed, and if so tells the hosts (AEN) and the log.
 * Control path: called on Identify and after an I/O error.
 */
void ns_refresh(struct ns *ns);
/* The same, also when the size was changed from here, and whether its path leads to it still. Main thread. */
void ns_look(struct ns *ns);

#endif
