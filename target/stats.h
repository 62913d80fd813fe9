/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What commands did, how they ended and how long they took: for each queue, and for each namespace on
 * each worker. Counters of base/counter.h, which the worker alone writes; what a queue counted goes to
 * its controller when it leaves, and from there to the host, so that nothing is ever counted down.
 *
 * Times are of the worker's clock, which is read once a turn: what happens within one turn takes none.
 */
#ifndef SLUICE_TARGET_STATS_H
#define SLUICE_TARGET_STATS_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/counter.h"
#include "base/hist.h"
#include "base/limits.h"
#include "base/list.h"

struct cmd;
struct ctrl;
struct queue;
struct subsys;

/* Compare is a read: it has the blocks read. */
enum stats_kind {
	STATS_READ,
	STATS_WRITE,
	STATS_FLUSH,
	STATS_DEALLOCATE,
	STATS_OTHER,
	STATS_KINDS,
	STATS_NONE = STATS_KINDS /* no I/O command, or not one that could be told apart */
};

/* Kinds whose times are kept; flush, deallocate and others are one. */
enum stats_timed { STATS_TIMED_READ, STATS_TIMED_WRITE, STATS_TIMED_OTHER, STATS_TIMED };

enum stats_phase {
	STATS_FETCH,   /* from its arrival until its memory and its data were there */
	STATS_BACKEND, /* from there until its result was known */
	STATS_RESPOND, /* from there until the response was sent and its memory needed no more */
	STATS_TOTAL,   /* all three */
	STATS_PHASES
};

/* The last of stats.statuses is for all that found no place of their own. */
enum { STATS_STATUS_OTHER = 0xffff, STATS_STATUS_SHIFT = 48 };

/*
 * A histogram (base/hist.h) for each phase, side by side: what a command adds to lies in few cache lines,
 * which with many namespaces are in no near cache.
 */
struct stats_times {
	uint64_t sum_ns[STATS_PHASES];
	uint64_t buckets[HIST_BUCKETS][STATS_PHASES];
};

struct stats {
	struct stats_times times[STATS_TIMED]; /* first, so that no row is in two cache lines */
	uint64_t done[STATS_KINDS];  /* commands that succeeded */
	uint64_t bytes[STATS_KINDS]; /* that they moved: of reads and writes */
	uint64_t errors;	     /* commands that did not */
	uint64_t placed_bytes;	     /* payload used where a NIC put it */
	uint64_t staged_bytes;	     /* payload that the CPU copied between buffers */
	/* Status type and code (NVME_STATUS_CODE_MASK) << STATS_STATUS_SHIFT | how many; 0: free. */
	uint64_t statuses[MAX_STATS_STATUSES];
};

/* Of a queue, and of what held queues. */
struct queue_stats {
	struct stats io;
	uint64_t commands; /* of any kind, that arrived */
};

/* One host at one subsystem, under subsys->lock. Kept for a while when it has no controller left. */
struct stats_host {
	struct list link; /* subsys->hosts, those that came or left last behind the others */
	unsigned n_ctrls;
	struct queue_stats past; /* of controllers that are gone */
	char nqn[];
};

static inline enum stats_timed stats_timed(enum stats_kind kind)
{
	return kind < STATS_FLUSH ? (enum stats_timed)kind : STATS_TIMED_OTHER;
}

/* For JSON and metrics. */
extern const char *const stats_kind_names[STATS_KINDS];
extern const char *const stats_timed_names[STATS_TIMED];
extern const char *const stats_phase_names[STATS_PHASES];

/* --------------------------------------------------------------------------- on the queue's worker */

/* A command of @kind succeeded; it moved @bytes, if it is one that moves any. */
static inline void stats_done(struct stats *stats, enum stats_kind kind, uint64_t bytes)
{
	counter_add(&stats->done[kind], 1);
	if (kind <= STATS_WRITE)
		counter_add(&stats->bytes[kind], bytes);
}

/* A command ended with @status, which is not success. */
void stats_error(struct stats *stats, uint16_t status);

/* Payload of @cmd came: @placed and @staged bytes of it. */
void stats_payload(const struct cmd *cmd, uint64_t placed, uint64_t staged);

/* The response of @cmd, an I/O command, is sent: its times are known. */
void stats_sent(const struct cmd *cmd);

/*
 * @cmd and @next are sent at the same time. If both took the same times, as those that came and were done
 * together do, stats_sent() of @next counts them for both, and that of @cmd is not called.
 */
void stats_join(struct cmd *cmd, struct cmd *next);

/* ------------------------------------------------------------------------------------- any thread */

/* The histogram of one phase of @stats, to which nobody adds meanwhile. */
struct hist stats_hist(const struct stats *stats, enum stats_timed timed, enum stats_phase phase);

/* Adds to @sum, which others may read meanwhile, what @one, of another thread, has counted. */
void stats_add(struct stats *sum, const struct stats *one);
void queue_stats_add(struct queue_stats *sum, const struct queue_stats *one);

/* Adds to @to what @from counted, which begins anew. For who may write both. */
void queue_stats_move(struct queue_stats *to, struct queue_stats *from);

/* Adds what the queues of @ctrl, those that have left among them, have counted. Under ctrl->lock. */
void stats_of_ctrl(const struct ctrl *ctrl, struct queue_stats *sum);

/*
 * Adds what @host's controllers at @subsys, those that are gone among them, have counted, and its
 * connections to *@connections. Under subsys->lock.
 */
void stats_of_host(struct subsys *subsys, const struct stats_host *host, struct queue_stats *sum,
		   unsigned *connections);

/*
 * A new controller of @nqn at @subsys. Under subsys->lock. The host, found or made; NULL without memory:
 * the controller then counts for no host.
 */
struct stats_host *stats_host_get(struct subsys *subsys, const char *nqn);

/* The controller goes: @host keeps what it has counted. @host may be NULL. Under subsys->lock. */
void stats_host_put(struct subsys *subsys, struct stats_host *host, struct queue_stats *past);

/* Forgets all hosts of @subsys, which has no controller. */
void stats_hosts_fini(struct subsys *subsys);

#endif
