/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/stats.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/nvme.h"
#include "target/ctrl.h"
#include "target/ns.h"
#include "target/worker.h"

const char *const stats_kind_names[STATS_KINDS] = {
	[STATS_READ] = "read",	 [STATS_WRITE] = "write",
	[STATS_FLUSH] = "flush", [STATS_DEALLOCATE] = "deallocate",
	[STATS_OTHER] = "other",
};

const char *const stats_timed_names[STATS_TIMED] = {
	[STATS_TIMED_READ] = "read",
	[STATS_TIMED_WRITE] = "write",
	[STATS_TIMED_OTHER] = "other",
};

const char *const stats_phase_names[STATS_PHASES] = {
	[STATS_FETCH] = "fetch",
	[STATS_BACKEND] = "backend",
	[STATS_RESPOND] = "respond",
	[STATS_TOTAL] = "total",
};

/* ------------------------------------------------------------------------------------ statuses */

static const uint64_t count_mask = (1ull << STATS_STATUS_SHIFT) - 1;

/* Adds @n commands that ended with @code to the table, whose last place takes what has none. */
static void statuses_add(uint64_t statuses[MAX_STATS_STATUSES], uint64_t code, uint64_t n)
{
	unsigned i = 0;

	if (code == STATS_STATUS_OTHER)
		i = MAX_STATS_STATUSES - 1;
	while (i < MAX_STATS_STATUSES - 1 && statuses[i] &&
	       statuses[i] >> STATS_STATUS_SHIFT != code)
		i++;
	if (i == MAX_STATS_STATUSES - 1)
		code = STATS_STATUS_OTHER;
	/* In one word, so that a reader never sees the code of one and the count of another. */
	counter_set(&statuses[i],
		    code << STATS_STATUS_SHIFT | ((counter_get(&statuses[i]) + n) & count_mask));
}

void stats_error(struct stats *stats, uint16_t status)
{
	counter_add(&stats->errors, 1);
	statuses_add(stats->statuses, status & NVME_STATUS_CODE_MASK, 1);
}

/* ------------------------------------------------------------------------------------- counting */

static struct stats *ns_stats_of(const struct cmd *cmd)
{
	return &cmd->ns->stats[cmd->queue->worker->index].io;
}

void stats_payload(const struct cmd *cmd, uint64_t placed, uint64_t staged)
{
	struct queue *queue = cmd->queue;
	struct stats *stats[] = { &queue->stats.io, cmd->ns ? ns_stats_of(cmd) : NULL };

	for (unsigned i = 0; i < ARRAY_SIZE(stats) && stats[i]; i++) {
		counter_add(&stats[i]->placed_bytes, placed);
		counter_add(&stats[i]->staged_bytes, staged);
	}
	TRACE_CMD(cmd_payload, cmd, queue, 8@%[placed] 8@%[staged], TRACE_IN(placed, placed),
		  TRACE_IN(staged, staged));
}

/* @n commands took @ns each, which belongs in bucket @index. */
static inline void time_add(struct stats_times *times, enum stats_phase phase, uint64_t ns,
			    unsigned index, unsigned n)
{
	counter_add(&times->sum_ns[phase], n * ns);
	counter_add(&times->buckets[index][phase], n);
}

static inline void times_add(struct stats_times *times, const struct cmd *cmd, uint64_t total_ns,
			     unsigned total_index)
{
	uint64_t fetch_ns, backend_ns, respond_ns;
	unsigned n = 1u + cmd->alike;

	time_add(times, STATS_TOTAL, total_ns, total_index, n);
	/* Done in the turn in which it came: it took no time until then. */
	if (cmd->done_ns == cmd->arrived_ns) {
		counter_add(&times->buckets[0][STATS_FETCH], n);
		counter_add(&times->buckets[0][STATS_BACKEND], n);
		time_add(times, STATS_RESPOND, total_ns, total_index, n);
		return;
	}
	fetch_ns = cmd->fetched_ns - cmd->arrived_ns;
	backend_ns = cmd->done_ns - cmd->fetched_ns;
	respond_ns = total_ns - fetch_ns - backend_ns;
	time_add(times, STATS_FETCH, fetch_ns, hist_index(fetch_ns), n);
	time_add(times, STATS_BACKEND, backend_ns, hist_index(backend_ns), n);
	time_add(times, STATS_RESPOND, respond_ns, hist_index(respond_ns), n);
}

void stats_sent(const struct cmd *cmd)
{
	enum stats_timed timed = stats_timed((enum stats_kind)cmd->kind);
	uint64_t total_ns = cmd->queue->worker->loop.now_ns - cmd->arrived_ns;
	unsigned total_index = hist_index(total_ns);

	times_add(&cmd->queue->stats.io.times[timed], cmd, total_ns, total_index);
	if (cmd->ns)
		times_add(&ns_stats_of(cmd)->times[timed], cmd, total_ns, total_index);
}

void stats_join(struct cmd *cmd, struct cmd *next)
{
	if (cmd->kind != next->kind || cmd->ns != next->ns || cmd->arrived_ns != next->arrived_ns ||
	    cmd->done_ns != cmd->arrived_ns || next->done_ns != cmd->arrived_ns)
		return;
	next->alike = (uint16_t)(next->alike + cmd->alike + 1);
	cmd->kind = STATS_NONE;
}

/* --------------------------------------------------------------------------------------- summing */

/* All that is before `statuses` is counters. */
enum { STATS_COUNTERS = offsetof(struct stats, statuses) / sizeof(uint64_t) };

struct hist stats_hist(const struct stats *stats, enum stats_timed timed, enum stats_phase phase)
{
	const struct stats_times *times = &stats->times[timed];
	struct hist hist = { .sum_ns = times->sum_ns[phase] };

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		hist.buckets[i] = times->buckets[i][phase];
	return hist;
}

void stats_add(struct stats *sum, const struct stats *one)
{
	const uint64_t *from = (const uint64_t *)one;
	uint64_t *to = (uint64_t *)sum;

	for (unsigned i = 0; i < STATS_COUNTERS; i++)
		counter_add(&to[i], counter_get(&from[i]));
	for (unsigned i = 0; i < MAX_STATS_STATUSES; i++) {
		uint64_t status = counter_get(&one->statuses[i]);

		if (status)
			statuses_add(sum->statuses, status >> STATS_STATUS_SHIFT,
				     status & count_mask);
	}
}

void queue_stats_add(struct queue_stats *sum, const struct queue_stats *one)
{
	stats_add(&sum->io, &one->io);
	sum->commands += counter_get(&one->commands);
}

void queue_stats_move(struct queue_stats *to, struct queue_stats *from)
{
	queue_stats_add(to, from);
	memset(from, 0, sizeof(*from));
}

void stats_of_ctrl(const struct ctrl *ctrl, struct queue_stats *sum)
{
	queue_stats_add(sum, &ctrl->past);
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link)
		queue_stats_add(sum, &queue->stats);
}

/* ----------------------------------------------------------------------------------------- hosts */

static void ctrls_of_host(const struct list *ctrls, const struct stats_host *host,
			  struct queue_stats *sum, unsigned *connections)
{
	list_for_each(ctrl, ctrls, struct ctrl, subsys_link) {
		if (ctrl->host != host)
			continue;
		pthread_mutex_lock(&ctrl->lock);
		stats_of_ctrl(ctrl, sum);
		list_for_each(queue, &ctrl->queues, struct queue, ctrl_link)
			(*connections)++;
		pthread_mutex_unlock(&ctrl->lock);
	}
}

void stats_of_host(struct subsys *subsys, const struct stats_host *host, struct queue_stats *sum,
		   unsigned *connections)
{
	queue_stats_add(sum, &host->past);
	ctrls_of_host(&subsys->ctrls, host, sum, connections);
	ctrls_of_host(&subsys->leaving, host, sum, connections);
}

/* Hosts choose their names: those that have no controller are forgotten, the longest gone first. */
static void hosts_forget(struct subsys *subsys)
{
	struct stats_host *oldest = NULL;
	unsigned n = 0;

	list_for_each(host, &subsys->hosts, struct stats_host, link) {
		if (host->n_ctrls)
			continue;
		oldest = oldest ? oldest : host;
		n++;
	}
	if (n <= MAX_STATS_HOSTS_GONE)
		return;
	list_del(&oldest->link);
	free(oldest);
}

struct stats_host *stats_host_get(struct subsys *subsys, const char *nqn)
{
	struct stats_host *host;

	list_for_each(one, &subsys->hosts, struct stats_host, link) {
		if (strcmp(one->nqn, nqn))
			continue;
		one->n_ctrls++;
		return one;
	}
	host = calloc(1, sizeof(*host) + strlen(nqn) + 1);
	if (!host)
		return NULL;
	strcpy(host->nqn, nqn);
	host->n_ctrls = 1;
	list_add_tail(&subsys->hosts, &host->link);
	return host;
}

void stats_host_put(struct subsys *subsys, struct stats_host *host, struct queue_stats *past)
{
	if (!host)
		return;
	queue_stats_move(&host->past, past);
	if (--host->n_ctrls)
		return;
	list_del(&host->link);
	list_add_tail(&subsys->hosts, &host->link);
	hosts_forget(subsys);
}

void stats_hosts_fini(struct subsys *subsys)
{
	struct list *node;

	while ((node = list_pop(&subsys->hosts)))
		free(list_entry(node, struct stats_host, link));
}
