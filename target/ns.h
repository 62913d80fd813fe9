/* SPDX-License-Identifier: BSD-3-Clause */
/* A namespace: identity, size, and the backend that stores it. */
#ifndef SLUICE_TARGET_NS_H
#define SLUICE_TARGET_NS_H

#include "target/backend/backend.h"
#include "target/datapath.h"

struct io_fence;
struct subsys;
struct worker;

/* Counters of base/counter.h, one row for each worker on its own cache line, summed by readers. */
struct ns_stats {
	uint64_t reads, writes; /* commands */
	uint64_t read_bytes, written_bytes;
	uint64_t flushes, deallocates, other;
	uint64_t errors;       /* completions with an error */
	uint64_t media_errors; /* of them: the medium's */
	uint64_t busy_ns;      /* sum of the time that backend I/Os took */
} __attribute__((aligned(64)));

struct ns {
	struct subsys *subsys;
	const struct config_namespace *config;
	uint32_t nsid;
	uint32_t index;  /* among all namespaces; the fixed file's index too */
	uint8_t block_shift;
	bool read_only;  /* atomic: feature 84h changes it */
	bool gone;       /* the device disappeared; atomic */
	bool fenced;     /* atomic; io_fence.h */
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

/* Sum over all workers. */
void ns_stats_sum(const struct ns *ns, struct ns_stats *sum);

/*
 * Looks whether size or presence of the backend changed, and if so tells the hosts (AEN) and the log.
 * Control path: called on Identify and after an I/O error.
 */
void ns_refresh(struct ns *ns);

#endif
