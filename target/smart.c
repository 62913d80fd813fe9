/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SMART / health information (Base 5.1.12.1.3). What hosts did is counted here; how the drives
 * below feel they say themselves. Asking a drive may block, so a thread of its own does that, and
 * at most once in HEALTH_MAX_AGE_NS for each drive; the command waits for it, a worker never does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "target/admin.h"
#include "target/ctrl.h"
#include "target/worker.h"

#define HEALTH_MAX_AGE_NS 5000000000ull
#define NS_PER_MINUTE 60000000000ull
#define NS_PER_HOUR (60 * NS_PER_MINUTE)

enum {
	DATA_UNIT_BYTES = 1000 * 512,
	BILLION = 1000000000,
	SPARE_FULL_PERCENT = 100,
	WARNING_DEGRADED = 1 << 2, /* reliability is degraded */
};

/* What a drive said last. */
struct health {
	struct nvme_smart_log log;
	uint64_t asked_ns; /* 0: never */
	bool valid;
};

static struct {
	pthread_t thread;
	uint64_t start_ns;
	bool running; /* constant while workers run */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	struct list waiting;   /* cmd.msg.link */
	const struct ns *asked; /* whose drive is being asked; NULL: none */
	struct health *health; /* by ns.index */
	bool stopping;
} smart = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER,
	.waiting = LIST_INIT(smart.waiting),
};

/* ---------------------------------------------------------------------------------- the thread */

/* Is @ns a namespace that @cmd asks about? */
static bool cmd_concerns(const struct cmd *cmd, const struct ns *ns)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;

	return cmd->ns ? cmd->ns == ns : ns->subsys == ctrl->subsys && ctrl_sees(ctrl, ns->nsid);
}

/*
 * The next namespace from @i on that @cmd asks about and whose drive has not been asked lately. With @hold
 * it stays open until it was asked.
 */
static struct ns *health_stale(const struct cmd *cmd, unsigned *i, bool hold)
{
	uint64_t now_ns = clock_now_ns();
	struct ns *found = NULL;

	pthread_mutex_lock(&smart.lock);
	for (; *i < n_namespaces && !found; (*i)++) {
		struct ns *ns = namespaces[*i];
		uint64_t asked_ns = smart.health[ns->index].asked_ns;

		if (ns->backend->ops->health && cmd_concerns(cmd, ns) &&
		    (!asked_ns || now_ns - asked_ns > HEALTH_MAX_AGE_NS))
			found = ns;
	}
	if (hold)
		smart.asked = found;
	pthread_mutex_unlock(&smart.lock);
	return found;
}

static void health_ask(struct ns *ns)
{
	struct health health = { 0 };
	struct backend *backend;

	/* It may get a wrapper at any time, around one that stays. */
	pthread_mutex_lock(&smart.lock);
	backend = ns->backend;
	pthread_mutex_unlock(&smart.lock);
	health.valid = backend->ops->health(backend, &health.log) == 0;
	health.asked_ns = clock_now_ns();
	pthread_mutex_lock(&smart.lock);
	smart.health[ns->index] = health;
	smart.asked = NULL;
	pthread_mutex_unlock(&smart.lock);
}

static struct cmd *smart_next(void)
{
	struct list *node;

	pthread_mutex_lock(&smart.lock);
	while (list_empty(&smart.waiting) && !smart.stopping)
		pthread_cond_wait(&smart.wake, &smart.lock);
	node = list_pop(&smart.waiting);
	pthread_mutex_unlock(&smart.lock);
	return node ? container_of(list_entry(node, struct msg, link), struct cmd, msg) : NULL;
}

static void *smart_run(void *arg)
{
	struct cmd *cmd;
	struct ns *ns;

	(void)arg;
	while ((cmd = smart_next())) {
		unsigned i = 0;

		while ((ns = health_stale(cmd, &i, true)))
			health_ask(ns);
		loop_post(&cmd->queue->worker->loop, &cmd->msg);
	}
	return NULL;
}

int smart_start(void)
{
	int rc;

	smart.health = calloc(CONFIG_NAMESPACES_MAX, sizeof(*smart.health));
	if (!smart.health)
		return -ENOMEM;
	smart.stopping = false;
	smart.start_ns = clock_now_ns();
	rc = pthread_create(&smart.thread, NULL, smart_run, NULL);
	if (rc) {
		free(smart.health);
		smart.health = NULL;
		return -rc;
	}
	pthread_setname_np(smart.thread, "sluice-smart");
	smart.running = true;
	return 0;
}

void smart_stop(void)
{
	if (!smart.running)
		return;
	pthread_mutex_lock(&smart.lock);
	smart.stopping = true;
	pthread_cond_signal(&smart.wake);
	pthread_mutex_unlock(&smart.lock);
	pthread_join(smart.thread, NULL);
	smart.running = false;
	free(smart.health);
	smart.health = NULL;
}

void smart_lock(void)
{
	pthread_mutex_lock(&smart.lock);
}

void smart_unlock(void)
{
	pthread_mutex_unlock(&smart.lock);
}

bool smart_asks(const struct ns *ns)
{
	bool asks;

	pthread_mutex_lock(&smart.lock);
	asks = smart.asked == ns;
	pthread_mutex_unlock(&smart.lock);
	return asks;
}

void smart_forget(const struct ns *ns)
{
	pthread_mutex_lock(&smart.lock);
	if (smart.health)
		smart.health[ns->index] = (struct health){ 0 };
	pthread_mutex_unlock(&smart.lock);
}

/* ------------------------------------------------------------------------------------- the log */

/* Joins what several drives say to the worst of each; @n of them are in @log already. */
static void health_join(struct nvme_smart_log *log, unsigned n, const struct nvme_smart_log *more)
{
	if (!n) {
		*log = *more;
		log->endgrp_warning = 0;
		memset(log->rsvd7, 0, sizeof(log->rsvd7));
		memset(log->rsvd232, 0, sizeof(log->rsvd232));
		return;
	}
	*log = (struct nvme_smart_log){
		.critical_warning = log->critical_warning | more->critical_warning,
		.temperature = le16_get(log->temperature) > le16_get(more->temperature)
				       ? log->temperature
				       : more->temperature,
		.avail_spare = (uint8_t)MIN(log->avail_spare, more->avail_spare),
		.spare_thresh = (uint8_t)MAX(log->spare_thresh, more->spare_thresh),
		.percent_used = (uint8_t)MAX(log->percent_used, more->percent_used),
	};
}

/* Begins @log with what the drives said that @cmd is about. */
static void smart_drives(const struct cmd *cmd, struct nvme_smart_log *log)
{
	uint64_t uptime_ns = smart.running ? clock_now_ns() - smart.start_ns : 0;
	unsigned n = 0;

	log->avail_spare = SPARE_FULL_PERCENT;
	pthread_mutex_lock(&smart.lock);
	for (unsigned i = 0; smart.health && i < n_namespaces; i++)
		if (smart.health[namespaces[i]->index].valid && cmd_concerns(cmd, namespaces[i]))
			health_join(log, n++, &smart.health[namespaces[i]->index].log);
	pthread_mutex_unlock(&smart.lock);
	/* Of a single drive all the rest is its own, too: its hours, power cycles, sensors. */
	if (n != 1)
		log->power_on_hours = le128(uptime_ns / NS_PER_HOUR);
}

static void counts_add(struct ns_stats *all, const struct ns_stats *one)
{
	all->io.done[STATS_READ] += counter_get(&one->io.done[STATS_READ]);
	all->io.done[STATS_WRITE] += counter_get(&one->io.done[STATS_WRITE]);
	all->io.bytes[STATS_READ] += counter_get(&one->io.bytes[STATS_READ]);
	all->io.bytes[STATS_WRITE] += counter_get(&one->io.bytes[STATS_WRITE]);
	all->media_errors += counter_get(&one->media_errors);
	all->busy_ns += counter_get(&one->busy_ns);
}

/* What hosts did, and what they met, since the start: none of it goes down when a namespace leaves. */
static void smart_counters(const struct cmd *cmd, struct nvme_smart_log *log)
{
	uint64_t uptime_ns = smart.running ? clock_now_ns() - smart.start_ns : 0;
	struct ns_stats all = { 0 }, sum;

	if (!cmd->ns)
		counts_add(&all, cmd->queue->ctrl->subsys->ended);
	for (unsigned i = 0; i < n_namespaces; i++) {
		const struct ns *ns = namespaces[i];

		if (!cmd_concerns(cmd, ns))
			continue;
		ns_stats_sum(ns, &sum);
		counts_add(&all, &sum);
		if (__atomic_load_n(&ns->gone, __ATOMIC_RELAXED))
			log->critical_warning |= WARNING_DEGRADED;
	}
	log->data_units_read =
		le128((all.io.bytes[STATS_READ] + DATA_UNIT_BYTES - 1) / DATA_UNIT_BYTES);
	log->data_units_written =
		le128((all.io.bytes[STATS_WRITE] + DATA_UNIT_BYTES - 1) / DATA_UNIT_BYTES);
	log->host_reads = le128(all.io.done[STATS_READ]);
	log->host_writes = le128(all.io.done[STATS_WRITE]);
	log->media_errors = le128(all.media_errors);
	/* I/Os overlap, so that their times may add up to more than there was. */
	log->ctrl_busy_time = le128(MIN(all.busy_ns, uptime_ns) / NS_PER_MINUTE);
}

/* The same for an endurance group, which is one namespace: what wears is its drive (Base 5.1.12.1.10). */
static void endurance_reply(struct cmd *cmd, const struct nvme_smart_log *smart_log)
{
	uint64_t size = ns_blocks(cmd->ns) << cmd->ns->block_shift;
	struct ns_stats sum;
	struct nvme_endurance_log log = {
		.critical_warning = smart_log->critical_warning,
		.avail_spare = smart_log->avail_spare,
		.spare_thresh = smart_log->spare_thresh,
		.percent_used = smart_log->percent_used,
		.host_reads = smart_log->host_reads,
		.host_writes = smart_log->host_writes,
		.media_errors = smart_log->media_errors,
		.num_err_log_entries = smart_log->num_err_log_entries,
		.total_capacity = le128(size),
	};

	ns_stats_sum(cmd->ns, &sum);
	log.data_units_read = le128((sum.io.bytes[STATS_READ] + BILLION - 1) / BILLION);
	log.data_units_written = le128((sum.io.bytes[STATS_WRITE] + BILLION - 1) / BILLION);
	log_page_reply(cmd, &log, sizeof(log));
}

static void smart_reply(struct cmd *cmd)
{
	struct ctrl *ctrl = cmd->queue->ctrl;
	struct nvme_smart_log log = { 0 };

	smart_drives(cmd, &log);
	smart_counters(cmd, &log);
	pthread_mutex_lock(&ctrl->lock);
	log.num_err_log_entries = le128(ctrl->error_count);
	pthread_mutex_unlock(&ctrl->lock);
	if ((uint8_t)le32_get(cmd->sqe.cdw10) == NVME_LOG_ENDURANCE)
		endurance_reply(cmd, &log);
	else
		log_page_reply(cmd, &log, sizeof(log));
}

static void smart_deliver(struct msg *msg)
{
	smart_reply(container_of(msg, struct cmd, msg));
}

void smart_execute(struct cmd *cmd)
{
	unsigned i = 0;

	if (!smart.running || !health_stale(cmd, &i, false)) {
		smart_reply(cmd);
		return;
	}
	cmd->msg.deliver = smart_deliver;
	pthread_mutex_lock(&smart.lock);
	list_add_tail(&smart.waiting, &cmd->msg.link);
	pthread_cond_signal(&smart.wake);
	pthread_mutex_unlock(&smart.lock);
}
