/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/retire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/admin.h"
#include "target/ctrl.h"
#include "target/io.h"
#include "target/listener.h"
#include "target/worker.h"

enum {
	TURN_MS = 10,
	PATIENT_MS = 1000, /* between looks at what is held for longer than commands are given */
	/*
	 * After the last command of a namespace messages of its fence may be on their way; they were posted
	 * before the next round and are delivered before that. The same holds for whatever a worker was
	 * about to do with a pointer that it had found.
	 */
	QUIET_ROUNDS = 2,
};

static struct list leaving_ns = LIST_INIT(leaving_ns);
static struct list leaving_subsystems = LIST_INIT(leaving_subsystems);
static struct list leaving_listeners = LIST_INIT(leaving_listeners);
static uint64_t drain_ns;
static int wake_fd = -1; /* atomic */
static bool evicting; /* some controllers may have an evict_ns */

/*
 * A round asks each worker for the commands that it has of namespaces that leave. What leaves during a
 * round is counted from the next one on.
 */
static struct round {
	struct msg msg;
	struct worker *worker;
} rounds[MAX_WORKERS];
static unsigned round_pending; /* atomic */
static bool round_counts;      /* the last one saw all that leaves */

void retire_set_drain(uint32_t ms)
{
	drain_ns = ms * 1000000ull;
}

/* ------------------------------------------------------------------------------------- taking over */

static void leaver_add(struct list *list, struct leaver *leaver)
{
	*leaver = (struct leaver){ .deadline_ns = clock_now_ns() + drain_ns };
	list_init(&leaver->link);
	list_add_tail(list, &leaver->link);
	round_counts = false;
}

void retire_ns(struct ns *ns)
{
	ns->leaving = true;
	leaver_add(&leaving_ns, &ns->leaver);
}

void retire_subsys(struct subsys *subsys)
{
	leaver_add(&leaving_subsystems, &subsys->leaver);
	retire_ctrls(subsys, NULL, NULL);
}

void retire_listener(struct listener *listener)
{
	leaver_add(&leaving_listeners, &listener->leaver);
	listener_stop(listener);
}

void retire_ctrls(struct subsys *subsys, bool (*stays)(const struct ctrl *ctrl, const void *arg),
		  const void *arg)
{
	pthread_mutex_lock(&subsys->lock);
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link) {
		if (ctrl->evict_ns || (stays && stays(ctrl, arg)))
			continue;
		log_info_about(ctrl_about(ctrl), "controller %u of %s: host %s is sent away",
			       ctrl->cntlid, subsys->nqn, ctrl->hostnqn);
		ctrl->evict_ns = clock_now_ns() + drain_ns;
		ctrl_dismiss(ctrl, QUEUE_CLOSE_EVICTED);
		evicting = true;
	}
	pthread_mutex_unlock(&subsys->lock);
}

static bool is_storage_of(const struct ns *ns, const struct config_namespace *config)
{
	const char *path = ns->config->path[0] ? ns->config->path : ns->backend->path;
	struct stat have, want;

	if (config->device_serial[0])
		return !strcmp(config->device_serial, ns->config->device_serial);
	if (stat(path, &have) || stat(config->path, &want))
		return false;
	return S_ISBLK(want.st_mode) ?
		       S_ISBLK(have.st_mode) && have.st_rdev == want.st_rdev :
		       have.st_dev == want.st_dev && have.st_ino == want.st_ino;
}

const struct ns *retire_holder(const struct config_namespace *config)
{
	list_for_each(ns, &leaving_ns, struct ns, leaver.link)
		if (is_storage_of(ns, config))
			return ns;
	return NULL;
}

int retire_wake_open(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	__atomic_store_n(&wake_fd, fd, __ATOMIC_RELAXED);
	return fd;
}

void retire_wake(void)
{
	int fd = peek(wake_fd);

	/* It cannot fail: nobody counts to the end of 64 bits. */
	if (fd >= 0)
		eventfd_write(fd, 1);
}

/* ----------------------------------------------------------------------------------------- a round */

static void queue_hurry(struct queue *queue)
{
	struct list live = LIST_INIT(live), *node;

	/* Ending one command may end another: each is in its place again before it is touched. */
	list_splice_tail(&live, &queue->live);
	while ((node = list_pop(&live))) {
		struct cmd *cmd = list_entry(node, struct cmd, link);

		list_add_tail(&queue->live, node);
		if (queue->qid && cmd->state == CMD_EXECUTING && cmd->ns && cmd->ns->leaving &&
		    cmd->ns->leaver.hurried)
			io_abort(cmd);
	}
}

static void round_deliver(struct msg *msg)
{
	struct round *round = container_of(msg, struct round, msg);
	bool hurried = false;

	list_for_each(queue, &round->worker->queues, struct queue, worker_link) {
		list_for_each(cmd, &queue->live, struct cmd, link) {
			if (!cmd->ns || !cmd->ns->leaving)
				continue;
			__atomic_add_fetch(&cmd->ns->leaver.busy, 1, __ATOMIC_RELAXED);
			hurried |= cmd->ns->leaver.hurried;
		}
	}
	if (hurried)
		list_for_each(queue, &round->worker->queues, struct queue, worker_link)
			queue_hurry(queue);
	__atomic_sub_fetch(&round_pending, 1, __ATOMIC_RELEASE);
}

static void round_start(void)
{
	uint64_t now_ns = clock_now_ns();

	list_for_each(ns, &leaving_ns, struct ns, leaver.link) {
		ns->leaver.busy = 0;
		ns->leaver.hurried = now_ns > ns->leaver.deadline_ns;
	}
	round_counts = true;
	__atomic_store_n(&round_pending, n_workers, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < n_workers; i++) {
		rounds[i] = (struct round){ { .deliver = round_deliver }, &workers[i] };
		list_init(&rounds[i].msg.link);
		loop_post(&workers[i].loop, &rounds[i].msg);
	}
}

/* ------------------------------------------------------------------------------------------ ending */

static void detach_here(struct worker *worker, void *arg)
{
	ns_detach(arg, worker);
}

struct settling {
	const struct ns *ns;
	bool settled;
};

static void settled_here(struct worker *worker, void *arg)
{
	struct settling *settling = arg;
	const struct backend *backend = settling->ns->backend;

	if (backend->ops->settled && !backend->ops->settled(backend, &worker->loop))
		settling->settled = false;
}

/* No command knows it any more. True: it is closed and gone. */
static bool ns_end(struct ns *ns)
{
	struct settling settling = { ns, true };

	if (smart_asks(ns))
		return false;
	for (unsigned i = 0; i < n_workers && !ns->leaver.detached; i++)
		worker_call(&workers[i], detach_here, ns);
	ns->leaver.detached = true;
	for (unsigned i = 0; i < n_workers; i++)
		worker_call(&workers[i], settled_here, &settling);
	if (!settling.settled)
		return false;
	log_info_about(ns_about(ns), "namespace %s/%u: %s is closed", ns->subsys->nqn, ns->nsid,
		       ns->backend->path);
	smart_forget(ns);
	/* Of what was on its way when it left. */
	ns_stats_keep(ns);
	list_del(&ns->leaver.link);
	ns_close(ns);
	return true;
}

/* Counts the rounds in which nobody had to do with it. True: there were enough of them. */
static bool leaver_is_quiet(struct leaver *leaver, bool busy)
{
	leaver->quiet = busy ? 0 : leaver->quiet + 1;
	return leaver->quiet >= QUIET_ROUNDS;
}

static bool subsys_is_busy(struct subsys *subsys)
{
	bool busy;

	pthread_mutex_lock(&subsys->lock);
	busy = !list_empty(&subsys->ctrls) || !list_empty(&subsys->leaving);
	pthread_mutex_unlock(&subsys->lock);
	list_for_each(ns, &leaving_ns, struct ns, leaver.link)
		busy |= ns->subsys == subsys;
	return busy;
}

static bool listener_is_busy(struct listener *listener)
{
	return __atomic_load_n(&listener->state, __ATOMIC_ACQUIRE) != LISTENER_CLOSED ||
	       __atomic_load_n(&listener->refs, __ATOMIC_ACQUIRE);
}

static void leavers_end(void)
{
	list_for_each_safe(ns, &leaving_ns, struct ns, leaver.link)
		if (leaver_is_quiet(&ns->leaver,
				    __atomic_load_n(&ns->leaver.busy, __ATOMIC_RELAXED)))
			ns_end(ns);
	list_for_each_safe(subsys, &leaving_subsystems, struct subsys, leaver.link) {
		if (!leaver_is_quiet(&subsys->leaver, subsys_is_busy(subsys)))
			continue;
		list_del(&subsys->leaver.link);
		subsys_free(subsys);
	}
	list_for_each_safe(listener, &leaving_listeners, struct listener, leaver.link) {
		if (!leaver_is_quiet(&listener->leaver, listener_is_busy(listener)))
			continue;
		list_del(&listener->leaver.link);
		listener_free(listener);
	}
}

/* Those that were given time, and have used it up. True: some are left. */
static bool subsys_expel(struct subsys *subsys)
{
	uint64_t now_ns = clock_now_ns();
	bool left = false;

	pthread_mutex_lock(&subsys->lock);
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link) {
		if (!ctrl->evict_ns)
			continue;
		left = true;
		if (now_ns < ctrl->evict_ns)
			continue;
		ctrl->evict_ns = UINT64_MAX;
		ctrl_dismiss(ctrl, QUEUE_CLOSE_CTRL);
	}
	pthread_mutex_unlock(&subsys->lock);
	return left;
}

static void evicted_expel(void)
{
	evicting = false;
	for (unsigned i = 0; i < n_subsystems; i++)
		evicting |= subsys_expel(subsystems[i]);
	list_for_each(subsys, &leaving_subsystems, struct subsys, leaver.link)
		evicting |= subsys_expel(subsys);
}

/* Is there anything to ask workers about? A listener stays as long as its connections. */
static bool anything_to_ask(void)
{
	bool any = !list_empty(&leaving_ns) || !list_empty(&leaving_subsystems);

	list_for_each(listener, &leaving_listeners, struct listener, leaver.link)
		any |= !listener_is_busy(listener);
	return any;
}

void retire_turn(void)
{
	eventfd_t wakes;

	/* First, so that a wake from here on is another one. */
	if (wake_fd >= 0)
		eventfd_read(wake_fd, &wakes);
	if (evicting)
		evicted_expel();
	if (!anything_to_ask() || __atomic_load_n(&round_pending, __ATOMIC_ACQUIRE))
		return;
	if (round_counts)
		leavers_end();
	if (anything_to_ask())
		round_start();
}

static bool leaver_is_late(const struct leaver *leaver)
{
	return clock_now_ns() > leaver->deadline_ns + PATIENT_MS * 1000000ull && !leaver->quiet;
}

int retire_wait_ms(void)
{
	bool late = true;

	if (list_empty(&leaving_ns) && list_empty(&leaving_subsystems) &&
	    list_empty(&leaving_listeners))
		return evicting ? TURN_MS : -1;
	list_for_each(ns, &leaving_ns, struct ns, leaver.link)
		late &= leaver_is_late(&ns->leaver);
	list_for_each(subsys, &leaving_subsystems, struct subsys, leaver.link)
		late &= leaver_is_late(&subsys->leaver);
	list_for_each(listener, &leaving_listeners, struct listener, leaver.link)
		late &= listener_is_busy(listener);
	if (!late || evicting)
		return TURN_MS;
	/* The last connection of a listener wakes, and so does what closes it. */
	return list_empty(&leaving_ns) && list_empty(&leaving_subsystems) && wake_fd >= 0 ?
		       -1 :
		       PATIENT_MS;
}

void retire_detach_all(void)
{
	list_for_each(ns, &leaving_ns, struct ns, leaver.link)
		for (unsigned i = 0; i < n_workers && !ns->leaver.detached; i++)
			ns_detach(ns, &workers[i]);
}

void retire_close_all(void)
{
	list_for_each_safe(ns, &leaving_ns, struct ns, leaver.link) {
		list_del(&ns->leaver.link);
		ns_close(ns);
	}
	list_for_each_safe(subsys, &leaving_subsystems, struct subsys, leaver.link) {
		list_del(&subsys->leaver.link);
		subsys_free(subsys);
	}
	list_for_each_safe(listener, &leaving_listeners, struct listener, leaver.link) {
		list_del(&listener->leaver.link);
		listener_free(listener);
	}
	__atomic_store_n(&round_pending, 0, __ATOMIC_RELAXED);
	if (wake_fd >= 0)
		close(wake_fd);
	wake_fd = -1;
}
