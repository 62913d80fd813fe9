/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/diff.h"
#include "target/admin.h"
#include "target/backend/fault.h"
#include "target/change.h"
#include "target/control.h"
#include "target/control_json.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/retire.h"
#include "target/worker.h"

static struct {
	const char *path;
	const struct config *boot;
	struct config *running; /* owned; NULL: boot */
	bool *detached;		/* by index of the namespace in what runs; owned; NULL: none is */
	const struct reload_hooks *hooks;
} state;

/* What is to be done, and what was made for it. Indices are those of the wanted configuration. */
struct plan {
	struct config *wanted;
	struct config_diff diff;
	bool diffed;
	bool *detached;		 /* of state.detached, by index of the namespace */
	unsigned *subsystem_now; /* by index in what runs: index in what is wanted */
	unsigned *namespace_now;
	struct subsys **subsystems; /* new ones */
	struct ns **namespaces;	    /* new ones */
	bool *resized;		    /* by index of the namespace */
	struct fault_change **faults;
	struct listener_wish *wishes;
	unsigned n_wishes;
	struct listener **listeners; /* by wish: that is kept, or new */
	bool *listener_new;
	char err[RELOAD_ERROR_MAX];
	unsigned n_faults;
};

const struct config *reload_config(void)
{
	return state.running ? state.running : state.boot;
}

bool reload_is_detached(unsigned index)
{
	return state.detached && state.detached[index];
}

void reload_init(const char *path, const struct config *boot, const struct reload_hooks *hooks)
{
	state.path = path;
	state.boot = boot;
	state.hooks = hooks;
	retire_set_drain(boot->daemon.drain_ms);
}

void reload_fini(void)
{
	if (state.running)
		config_free(state.running);
	free(state.running);
	free(state.detached);
	memset(&state, 0, sizeof(state));
}

/* ---------------------------------------------------------------------------------------- refusing */

static void plan_fault(void *arg, const char *message)
{
	struct plan *plan = arg;

	log_error("%s", message);
	if (!plan->n_faults++)
		snprintf(plan->err, sizeof(plan->err), "%s", message);
}

static int plan_memory(struct plan *plan)
{
	plan_fault(plan, "no memory to change the configuration");
	return -ENOMEM;
}

/* --------------------------------------------------------------------------------------- preparing */

static int plan_alloc(struct plan *plan)
{
	const struct config *running = reload_config(), *wanted = plan->wanted;

	plan->detached = calloc(wanted->n_namespaces + 1u, sizeof(bool));
	plan->subsystem_now = calloc(running->n_subsystems + 1u, sizeof(unsigned));
	plan->namespace_now = calloc(running->n_namespaces + 1u, sizeof(unsigned));
	plan->subsystems = calloc(wanted->n_subsystems + 1u, sizeof(struct subsys *));
	plan->namespaces = calloc(wanted->n_namespaces + 1u, sizeof(struct ns *));
	plan->resized = calloc(wanted->n_namespaces + 1u, sizeof(bool));
	plan->faults = calloc(wanted->n_namespaces + 1u, sizeof(struct fault_change *));
	plan->wishes = calloc(LISTENERS_ROOM, sizeof(*plan->wishes));
	plan->listeners = calloc(LISTENERS_ROOM, sizeof(struct listener *));
	plan->listener_new = calloc(LISTENERS_ROOM, sizeof(bool));
	if (!plan->detached || !plan->subsystem_now || !plan->namespace_now || !plan->subsystems ||
	    !plan->namespaces || !plan->resized || !plan->faults || !plan->wishes ||
	    !plan->listeners || !plan->listener_new)
		return plan_memory(plan);
	return 0;
}

static int plan_read(struct plan *plan)
{
	int rc;

	plan->wanted = calloc(1, sizeof(*plan->wanted));
	if (!plan->wanted)
		return plan_memory(plan);
	rc = config_load(plan->wanted, state.path, plan_fault, plan);
	if (rc) {
		free(plan->wanted);
		plan->wanted = NULL;
		return rc;
	}
	rc = config_diff(state.boot, reload_config(), state.detached, plan->wanted, &plan->diff,
			 plan_fault, plan);
	plan->diffed = !rc;
	return rc ? rc : plan_alloc(plan);
}

static void plan_map(struct plan *plan)
{
	const struct config_diff *diff = &plan->diff;

	for (unsigned i = 0; i < plan->wanted->n_subsystems; i++)
		if (diff->subsystems[i].was >= 0)
			plan->subsystem_now[diff->subsystems[i].was] = i;
	for (unsigned i = 0; i < plan->wanted->n_namespaces; i++) {
		int was = diff->namespaces[i].was;

		if (was < 0)
			continue;
		plan->namespace_now[was] = i;
		plan->detached[i] = reload_is_detached((unsigned)was);
	}
}

static struct subsys *plan_subsys(const struct plan *plan, const char *nqn)
{
	for (unsigned i = 0; i < plan->wanted->n_subsystems; i++)
		if (plan->subsystems[i] && !strcmp(plan->subsystems[i]->nqn, nqn))
			return plan->subsystems[i];
	return subsys_find(nqn);
}

static int plan_subsystems(struct plan *plan)
{
	for (unsigned i = 0; i < plan->wanted->n_subsystems; i++) {
		const struct config_subsystem *config = &plan->wanted->subsystems[i];
		struct subsys *subsys;

		if (plan->diff.subsystems[i].changes & CONFIG_CHANGE_HOSTS)
			subsys_warn(config);
		if (plan->diff.subsystems[i].was >= 0)
			continue;
		subsys = subsys_new(config);
		if (!subsys || change_subsys_own(subsys)) {
			if (subsys)
				subsys_free(subsys);
			return plan_memory(plan);
		}
		plan->subsystems[i] = subsys;
		subsys_warn(config);
	}
	for (unsigned i = 1; i < n_subsystems; i++)
		if (change_subsys_own(subsystems[i]))
			return plan_memory(plan);
	return 0;
}

/* The open namespace of the wanted configuration's @index, or NULL. */
static struct ns *ns_open_at(const struct plan *plan, unsigned index)
{
	const struct config_namespace *config = &plan->wanted->namespaces[index];

	return plan->diff.namespaces[index].was < 0 ? NULL :
						      ns_find(config->subsystem, config->nsid);
}

/* Gives @ns the size that is wanted; with @check_only only says whether that may be. */
static int ns_resize(struct plan *plan, unsigned index, struct ns *ns, bool check_only)
{
	const struct config_namespace *config = &plan->wanted->namespaces[index];
	char err[BACKEND_ERROR_MAX], message[RELOAD_ERROR_MAX];
	int rc;

	if (!config->size || !(plan->diff.namespaces[index].changes & CONFIG_CHANGE_SIZE))
		return 0;
	rc = ns->backend->ops->resize(ns->backend, config, check_only, err, sizeof(err));
	if (rc) {
		snprintf(message, sizeof(message), "%s:%d: namespace %s/%u: %s", config->where.file,
			 config->where.line, config->subsystem, config->nsid, err);
		plan_fault(plan, message);
	}
	return rc;
}

static int ns_check_change(struct plan *plan, unsigned index, struct ns *ns)
{
	const struct config_namespace *config = &plan->wanted->namespaces[index];
	unsigned changes = plan->diff.namespaces[index].changes;
	char message[RELOAD_ERROR_MAX];
	int rc;

	if (changes & CONFIG_CHANGE_READ_ONLY && !config->read_only &&
	    ns->backend->limits.read_only) {
		snprintf(message, sizeof(message),
			 "%s:%d: [namespace %s/%u] was opened for reading only, so read_only = no "
			 "takes opening it again: sluicectl detach, reload, attach",
			 config->where.file, config->where.line, config->subsystem, config->nsid);
		plan_fault(plan, message);
		return -EROFS;
	}
	if (changes & CONFIG_CHANGE_SIZE && config->size && !ns->backend->ops->resize) {
		snprintf(message, sizeof(message),
			 "%s:%d: 'size' of [namespace %s/%u] cannot change while it is open: a %s "
			 "namespace has the size that it was made with; detach it first (sluicectl "
			 "detach), or put the former value back",
			 config->where.file, config->where.line, config->subsystem, config->nsid,
			 config->backend);
		plan_fault(plan, message);
		return -EINVAL;
	}
	rc = ns_resize(plan, index, ns, true);
	if (rc || !(changes & CONFIG_CHANGE_FAULT))
		return rc;
	if (!change_faults(ns, config->fault, config->n_faults, &plan->faults[index], message))
		return 0;
	plan_fault(plan, message);
	return -EINVAL;
}

static int plan_namespaces(struct plan *plan)
{
	char err[BACKEND_ERROR_MAX];
	int rc = 0;

	for (unsigned i = 0; i < n_namespaces; i++)
		if (change_ns_own(namespaces[i]))
			return plan_memory(plan);
	/* All of them, so that one reload tells of every fault. */
	for (unsigned i = 0; i < plan->wanted->n_namespaces; i++) {
		const struct config_namespace *config = &plan->wanted->namespaces[i];
		struct ns *ns = ns_open_at(plan, i);
		int one = 0;

		if (ns) {
			one = ns_check_change(plan, i, ns);
		} else if (plan->diff.namespaces[i].was < 0) {
			one = change_ns_open(plan_subsys(plan, config->subsystem), config,
					     &plan->namespaces[i], err);
			if (one)
				plan_fault(plan, err);
		}
		rc = rc ? rc : one;
	}
	return rc;
}

/* After all of them were checked: only the file system may refuse one now. */
static int plan_sizes(struct plan *plan)
{
	int rc = 0;

	for (unsigned i = 0; i < plan->wanted->n_namespaces && !rc; i++) {
		struct ns *ns = ns_open_at(plan, i);

		if (!ns)
			continue;
		rc = ns_resize(plan, i, ns, false);
		plan->resized[i] = !rc && plan->wanted->namespaces[i].size &&
				   plan->diff.namespaces[i].changes & CONFIG_CHANGE_SIZE;
	}
	return rc;
}

/* Else the next start would find files larger than the configuration that goes on. */
static void sizes_undo(struct plan *plan)
{
	for (unsigned i = 0; i < plan->wanted->n_namespaces; i++) {
		struct ns *ns = plan->resized[i] ? ns_open_at(plan, i) : NULL;

		/* A worker that looked at the file in the same moment has told hosts of the new blocks. */
		if (ns && ns->backend->ops->undo &&
		    ns_blocks(ns) != backend_size(ns->backend) >> ns->block_shift)
			ns->backend->ops->undo(ns->backend, ns->config);
	}
}

static struct listener *listener_kept(const struct listener_wish *wish)
{
	for (unsigned i = 0; i < n_listeners; i++)
		if (listeners[i]->automatic == !wish->source &&
		    config_listener_equal(listeners[i]->config, &wish->config))
			return listeners[i];
	return NULL;
}

static uint16_t port_id_free(const struct plan *plan)
{
	uint64_t used = 0;
	uint16_t id = 1;

	for (unsigned i = 0; i < plan->n_wishes; i++)
		if (plan->listeners[i])
			used |= 1ull << (plan->listeners[i]->port_id - 1);
	while (used >> (id - 1) & 1)
		id++;
	return id;
}

static int plan_listeners(struct plan *plan)
{
	char err[LISTENER_ERROR_MAX];
	int rc = 0;

	plan->n_wishes = listener_wishes(plan->wanted, plan->wishes);
	for (unsigned i = 0; i < plan->n_wishes; i++)
		plan->listeners[i] = listener_kept(&plan->wishes[i]);
	for (unsigned i = 0; i < plan->n_wishes && !rc; i++) {
		if (plan->listeners[i])
			continue;
		rc = listener_new(&plan->wishes[i], port_id_free(plan), &plan->listeners[i], err);
		if (rc)
			plan_fault(plan, err);
		else
			plan->listener_new[i] = true;
	}
	return rc;
}

static void plan_undo(struct plan *plan)
{
	if (plan->resized)
		sizes_undo(plan);
	for (unsigned i = 0; plan->faults && i < plan->wanted->n_namespaces; i++)
		if (plan->faults[i])
			fault_change_drop(plan->faults[i]);
	for (unsigned i = 0; plan->namespaces && i < plan->wanted->n_namespaces; i++)
		if (plan->namespaces[i])
			change_ns_drop(plan->namespaces[i]);
	for (unsigned i = 0; plan->subsystems && i < plan->wanted->n_subsystems; i++)
		if (plan->subsystems[i])
			change_subsys_drop(plan->subsystems[i]);
	for (unsigned i = 0; plan->listener_new && i < plan->n_wishes; i++)
		if (plan->listener_new[i])
			listener_free(plan->listeners[i]);
	if (plan->diffed)
		config_diff_free(&plan->diff);
	if (plan->wanted)
		config_free(plan->wanted);
	free(plan->wanted);
	free(plan->detached);
}

static void plan_free(struct plan *plan)
{
	free(plan->subsystem_now);
	free(plan->namespace_now);
	free(plan->subsystems);
	free(plan->namespaces);
	free(plan->resized);
	free(plan->faults);
	free(plan->wishes);
	free(plan->listeners);
	free(plan->listener_new);
}

/* -------------------------------------------------------------------- doing it: workers stand still */

static bool host_is_allowed(const struct ctrl *ctrl, const void *arg)
{
	(void)arg;
	return subsys_allows(ctrl->subsys, ctrl->hostnqn);
}

/* Hosts look at both when they hear of the one. */
static void ns_changed(struct ns *ns, unsigned changes)
{
	bool read_only = ns->config->read_only || ns->backend->limits.read_only;

	if (changes & CONFIG_CHANGE_READ_ONLY)
		__atomic_store_n(&ns->read_only, read_only, __ATOMIC_RELAXED);
	if (changes & CONFIG_CHANGE_ANA)
		subsys_notify(ns->subsys, NVME_AEN_ANA, 0);
	if (changes & (CONFIG_CHANGE_READ_ONLY | CONFIG_CHANGE_ANA))
		subsys_notify(ns->subsys, NVME_AEN_NS_ATTR, ns->nsid);
}

static void apply_namespaces(struct plan *plan)
{
	const struct config *running = reload_config();

	for (unsigned i = n_namespaces; i--;) {
		struct ns *ns = namespaces[i];
		unsigned was = (unsigned)(ns->config - running->namespaces);
		unsigned now = plan->namespace_now[was];

		if (!plan->diff.namespace_stays[was]) {
			change_ns_leave(ns);
			continue;
		}
		ns->config = &plan->wanted->namespaces[now];
		if (plan->faults[now])
			change_faults_apply(ns, plan->faults[now]);
		ns_changed(ns, plan->diff.namespaces[now].changes);
	}
}

static void apply_subsystems(struct plan *plan)
{
	const struct config *running = reload_config();

	for (unsigned i = n_subsystems; --i;) {
		struct subsys *subsys = subsystems[i];
		unsigned was = (unsigned)(subsys->config - running->subsystems);

		if (!plan->diff.subsystem_stays[was]) {
			change_subsys_leave(subsys);
			continue;
		}
		subsys->config = &plan->wanted->subsystems[plan->subsystem_now[was]];
		subsys->nqn = subsys->config->nqn;
	}
	for (unsigned i = 0; i < plan->wanted->n_subsystems; i++)
		if (plan->subsystems[i])
			subsys_enter(plan->subsystems[i]);
	for (unsigned i = 0; i < plan->wanted->n_namespaces; i++)
		if (plan->namespaces[i])
			ns_enter(plan->namespaces[i]);
	for (unsigned i = 0; i < plan->wanted->n_subsystems; i++)
		if (plan->subsystems[i])
			subsys_settle(plan->subsystems[i]);
	for (unsigned i = 1; i < n_subsystems; i++) {
		subsys_refresh_views(subsystems[i]);
		retire_ctrls(subsystems[i], host_is_allowed, NULL);
	}
}

/* The table is of those that are wanted from here on; those that leave are in @left. Their number. */
static unsigned apply_listeners(struct plan *plan, struct listener **left)
{
	unsigned n_left = 0;

	for (unsigned i = 0; i < n_listeners; i++) {
		struct listener *listener = listeners[i];
		bool kept = false;

		for (unsigned j = 0; j < plan->n_wishes; j++)
			kept |= plan->listeners[j] == listener;
		if (kept)
			continue;
		if (listener->config != &listener->own)
			listener->own = *listener->config;
		listener->own.where = (struct config_where){ .file = "(removed)" };
		listener->config = &listener->own;
		left[n_left++] = listener;
	}
	for (unsigned i = 0; i < plan->n_wishes; i++) {
		struct listener *listener = plan->listeners[i];

		listener->own = plan->wishes[i].config;
		listener->config = plan->wishes[i].source ? plan->wishes[i].source : &listener->own;
		listeners[i] = listener;
	}
	n_listeners = plan->n_wishes;
	for (unsigned i = 0; i < n_left; i++)
		retire_listener(left[i]);
	return n_left;
}

static void apply_daemon(const struct config_daemon *daemon)
{
	for (unsigned i = 0; i < n_workers; i++)
		workers[i].loop.spin_us = daemon->spin_us;
	worker_set_max_connections(daemon->max_connections);
	retire_set_drain(daemon->drain_ms);
	log_set_level((enum log_level)daemon->log_level);
}

/* ------------------------------------------------------------------------- doing it: workers go on */

static bool was_drained(const char *name, struct listener *const *left, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (left[i]->drained && !strcmp(left[i]->config->name, name))
			return true;
	return false;
}

static void listeners_begin(const struct plan *plan, struct listener *const *left, unsigned n_left)
{
	/* The port of one that leaves may be that of one that comes. */
	for (unsigned i = 0; i < n_left; i++) {
		listener_settle(left[i], true);
		listener_log_removed(left[i]);
	}
	for (unsigned i = 0; i < plan->n_wishes; i++) {
		struct listener *listener = plan->listeners[i];

		if (!plan->listener_new[i])
			continue;
		listener->drained = was_drained(listener->config->name, left, n_left);
		if (!listener->drained)
			listener_start(listener);
	}
	/* Who asked for it may connect as soon as it is told that it is done. */
	for (unsigned i = 0; i < plan->n_wishes; i++)
		if (plan->listener_new[i] && !plan->listeners[i]->drained)
			listener_settle(plan->listeners[i], false);
}

static void namespaces_finish(const struct plan *plan)
{
	for (unsigned i = 0; i < n_namespaces; i++) {
		struct ns *ns = namespaces[i];
		unsigned now = (unsigned)(ns->config - plan->wanted->namespaces);

		if (plan->diff.namespaces[now].changes & CONFIG_CHANGE_FAULT)
			change_faults_release(ns);
		ns_look(ns);
	}
}

static void log_subsystem(const struct config_subsystem *config, const char *what)
{
	log_info_about(log_about(.subsystem = config->nqn), "subsystem %s: %s", config->nqn, what);
}

static void log_namespace(const struct config_namespace *config, const char *what)
{
	log_info_about(log_about(.subsystem = config->subsystem, .nsid = config->nsid),
		       "namespace %s/%u: %s", config->subsystem, config->nsid, what);
}

/* By name, so that the log has the story of each; listeners tell their own. */
static void plan_log_each(const struct plan *plan, const struct config *before)
{
	const struct config_diff *diff = &plan->diff;

	for (unsigned i = 0; i < before->n_namespaces; i++)
		if (!diff->namespace_stays[i])
			log_namespace(&before->namespaces[i], "removed");
	for (unsigned i = 0; i < before->n_subsystems; i++)
		if (!diff->subsystem_stays[i])
			log_subsystem(&before->subsystems[i], "removed");
	for (unsigned i = 0; i < plan->wanted->n_subsystems; i++)
		if (diff->subsystems[i].was < 0)
			log_subsystem(&plan->wanted->subsystems[i], "added");
	for (unsigned i = 0; i < plan->wanted->n_namespaces; i++)
		if (diff->namespaces[i].was < 0)
			log_namespace(&plan->wanted->namespaces[i], "added");
}

static void plan_log(const struct plan *plan, unsigned listeners_added, unsigned listeners_removed)
{
	const struct config_diff *diff = &plan->diff;
	char why[LISTENER_WHY_MAX];
	unsigned waiting = 0;

	/* Why, each has said by itself. */
	for (unsigned i = 0; i < n_listeners; i++)
		waiting += listener_waits(listeners[i], why);
	log_info(
		"reloaded %s: subsystems %u added, %u removed, %u changed; namespaces %u added, %u "
		"removed, %u changed; listeners %u added, %u removed, %u waiting",
		state.path, diff->subsystems_added, diff->subsystems_removed,
		diff->subsystems_changed, diff->namespaces_added, diff->namespaces_removed,
		diff->namespaces_changed, listeners_added, listeners_removed, waiting);
}

static void put_numbers(struct json_object *reply, const char *key, unsigned added,
			unsigned removed, unsigned changed)
{
	struct json_object *numbers = put_object(reply, key);

	put_u64(numbers, "added", added);
	put_u64(numbers, "removed", removed);
	put_u64(numbers, "changed", changed);
}

/* Not only new ones: what waits does not serve. */
static void put_waiting(struct json_object *reply)
{
	struct json_object *rows = put_array(reply, "waiting");
	char why[LISTENER_WHY_MAX];

	for (unsigned i = 0; i < n_listeners; i++) {
		const struct config_listener *config = listeners[i]->config;
		struct json_object *row;

		if (!listener_waits(listeners[i], why))
			continue;
		row = append_object(rows);
		put_string(row, "name", config->name);
		put_string(row, "transport", config->transport);
		put_string(row, "address", config->address);
		put_u64(row, "port", config->port);
		put_bool(row, "discovery_only", config->discovery_only);
		put_string(row, "error", why);
	}
}

static void plan_reply(const struct plan *plan, unsigned listeners_added,
		       unsigned listeners_removed, struct json_object *reply)
{
	const struct config_diff *diff = &plan->diff;

	if (!reply)
		return;
	put_numbers(reply, "subsystems", diff->subsystems_added, diff->subsystems_removed,
		    diff->subsystems_changed);
	put_numbers(reply, "namespaces", diff->namespaces_added, diff->namespaces_removed,
		    diff->namespaces_changed);
	put_numbers(reply, "listeners", listeners_added, listeners_removed, 0);
	put_waiting(reply);
}

/* Nothing fails from here on. */
static void plan_apply(struct plan *plan, struct json_object *reply)
{
	struct listener *left[LISTENERS_ROOM];
	const struct config *running = reload_config();
	struct config *before = state.running;
	unsigned n_left, n_new = 0;

	apply_namespaces(plan);
	apply_subsystems(plan);
	n_left = apply_listeners(plan, left);
	apply_daemon(&plan->wanted->daemon);
	subsys_set_config(plan->wanted);
	discovery_init(plan->wanted);
	if (plan->diff.discovery)
		discovery_renew();
	change_end();

	plan_log_each(plan, running);
	state.running = plan->wanted;
	free(state.detached);
	state.detached = plan->detached;
	daemon_info.config = state.running;
	namespaces_finish(plan);
	listeners_begin(plan, left, n_left);
	for (unsigned i = 0; i < plan->n_wishes; i++)
		n_new += plan->listener_new[i];
	plan_log(plan, n_new, n_left);
	plan_reply(plan, n_new, n_left, reply);
	config_diff_free(&plan->diff);
	if (before)
		config_free(before);
	free(before);
}

static int plan_prepare(struct plan *plan)
{
	int rc = plan_read(plan);

	if (rc)
		return rc;
	plan_map(plan);
	rc = plan_subsystems(plan);
	if (!rc)
		rc = plan_listeners(plan);
	if (!rc)
		rc = plan_namespaces(plan);
	if (!rc)
		rc = plan_sizes(plan);
	if (!rc) {
		char err[CHANGE_ERROR_MAX];

		rc = change_begin(err);
		if (rc)
			plan_fault(plan, err);
	}
	return rc;
}

int reload_run(struct json_object *reply, char *err)
{
	struct plan plan = { 0 };
	int rc;

	if (state.hooks)
		state.hooks->begun();
	/* Nothing that leaves is part of the plan: it may be closed and freed meanwhile. */
	backend_change_begin(retire_turn);
	rc = plan_prepare(&plan);
	backend_change_end();
	if (!rc) {
		plan_apply(&plan, reply);
	} else {
		plan_undo(&plan);
		log_error("%s is not taken over, all goes on as it was", state.path);
		if (plan.n_faults > 1)
			snprintf(err, RELOAD_ERROR_MAX, "%.*s (and %u more, which the log has)",
				 RELOAD_ERROR_MAX - 64, plan.err, plan.n_faults - 1);
		else
			snprintf(err, RELOAD_ERROR_MAX, "%s", plan.err);
	}
	plan_free(&plan);
	if (state.hooks)
		state.hooks->ended();
	return rc;
}

/* ---------------------------------------------------------------------------- one namespace alone */

/* The index of a namespace in what runs, or -1 with @err. */
static int ns_index(const char *nqn, uint32_t nsid, char *err)
{
	const struct config *running = reload_config();

	for (unsigned i = 0; i < running->n_namespaces; i++)
		if (running->namespaces[i].nsid == nsid &&
		    !strcmp(running->namespaces[i].subsystem, nqn))
			return (int)i;
	snprintf(
		err, RELOAD_ERROR_MAX,
		"there is no namespace %s/%u in the configuration; sluicectl namespaces lists them",
		nqn, nsid);
	return -1;
}

int reload_detach(const char *nqn, uint32_t nsid, char *err)
{
	const struct config *running = reload_config();
	int index = ns_index(nqn, nsid, err), rc;
	struct ns *ns = ns_find(nqn, nsid);

	if (index < 0)
		return -ENOENT;
	if (!ns) {
		snprintf(err, RELOAD_ERROR_MAX, "namespace %s/%u is detached already", nqn, nsid);
		return -EALREADY;
	}
	if (!state.detached)
		state.detached = calloc(running->n_namespaces + 1u, sizeof(bool));
	if (!state.detached || change_ns_own(ns)) {
		snprintf(err, RELOAD_ERROR_MAX, "no memory to detach namespace %s/%u", nqn, nsid);
		return -ENOMEM;
	}
	rc = change_begin(err);
	if (rc)
		return rc;
	change_ns_leave(ns);
	subsys_refresh_views(ns->subsys);
	change_end();
	state.detached[index] = true;
	log_info_about(log_about(.subsystem = nqn, .nsid = nsid), "namespace %s/%u: detached", nqn,
		       nsid);
	return 0;
}

int reload_attach(const char *nqn, uint32_t nsid, char *err)
{
	const struct config *running = reload_config();
	int index = ns_index(nqn, nsid, err), rc;
	char reason[BACKEND_ERROR_MAX];
	struct ns *ns;

	if (index < 0)
		return -ENOENT;
	if (!reload_is_detached((unsigned)index)) {
		snprintf(err, RELOAD_ERROR_MAX, "namespace %s/%u is attached already", nqn, nsid);
		return -EALREADY;
	}
	backend_change_begin(retire_turn);
	rc = change_ns_open(subsys_find(nqn), &running->namespaces[index], &ns, reason);
	backend_change_end();
	if (rc) {
		snprintf(err, RELOAD_ERROR_MAX, "%s", reason);
		return rc;
	}
	rc = change_begin(err);
	if (rc) {
		change_ns_drop(ns);
		return rc;
	}
	ns_enter(ns);
	subsys_refresh_views(ns->subsys);
	change_end();
	state.detached[index] = false;
	log_info_about(ns_about(ns), "namespace %s/%u: attached", nqn, nsid);
	return 0;
}
