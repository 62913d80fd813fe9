/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/control_action.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/settings.h"
#include "target/admin.h"
#include "target/backend/fault.h"
#include "target/change.h"
#include "target/control.h"
#include "target/control_json.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/reload.h"
#include "target/retire.h"

/* Members of a request that an action can do with, and that it cannot do without. */
enum control_takes {
	TAKES_TARGET = 1 << 0,
	TAKES_LEVEL = 1 << 1,
	TAKES_RULES = 1 << 2,
	NEEDS_TARGET = 1 << 3,
};

/* ------------------------------------------------------------------------------------------ reload */

static int run_reload(const struct control_request *request, struct json_object *reply, char *err)
{
	(void)request;
	return reload_run(reply, err);
}

/* -------------------------------------------------------------------------------------- namespaces */

/* Splits "NQN/NSID" at its last slash. 0, or -EINVAL with @err. */
static int target_split(const char *target, char nqn[CONTROL_TARGET_MAX], uint32_t *nsid, char *err)
{
	const char *slash = strrchr(target, '/');
	size_t digits = slash ? strspn(slash + 1, "0123456789") : 0;

	if (!digits || digits > 4 || slash[1 + digits] || slash == target) {
		snprintf(err, CONTROL_ERROR_MAX,
			 "\"%s\" is no namespace: write NQN/NSID, as sluicectl namespaces has them",
			 target);
		return -EINVAL;
	}
	snprintf(nqn, CONTROL_TARGET_MAX, "%.*s", (int)(slash - target), target);
	*nsid = (uint32_t)strtoul(slash + 1, NULL, 10);
	return 0;
}

static int run_on_namespace(const struct control_request *request, char *err,
			    int (*run)(const char *nqn, uint32_t nsid, char *err))
{
	char nqn[CONTROL_TARGET_MAX];
	uint32_t nsid;
	int rc = target_split(request->target, nqn, &nsid, err);

	return rc ? rc : run(nqn, nsid, err);
}

static int run_attach(const struct control_request *request, struct json_object *reply, char *err)
{
	(void)reply;
	return run_on_namespace(request, err, reload_attach);
}

static int run_detach(const struct control_request *request, struct json_object *reply, char *err)
{
	(void)reply;
	return run_on_namespace(request, err, reload_detach);
}

static int run_fault(const struct control_request *request, struct json_object *reply, char *err)
{
	char nqn[CONTROL_TARGET_MAX];
	struct fault_change *change;
	struct ns *ns;
	uint32_t nsid;
	int rc = target_split(request->target, nqn, &nsid, err);

	if (rc)
		return rc;
	ns = ns_find(nqn, nsid);
	if (!ns) {
		snprintf(err, CONTROL_ERROR_MAX,
			 "there is no namespace %s/%u, or it is detached; sluicectl namespaces "
			 "lists them",
			 nqn, nsid);
		return -ENOENT;
	}
	rc = change_faults(ns, request->rules, request->n_rules, &change, err);
	if (rc)
		return rc;
	rc = change_begin(err);
	if (rc) {
		fault_change_drop(change);
		return rc;
	}
	change_faults_apply(ns, change);
	change_end();
	change_faults_release(ns);
	put_u64(reply, "rules", request->n_rules);
	log_info_about(ns_about(ns), "namespace %s/%u: fault rules from now on: %u", nqn, nsid,
		       request->n_rules);
	return 0;
}

/* ---------------------------------------------------------------------------------------- draining */

static bool is_of_other_listener(const struct ctrl *ctrl, const void *listener)
{
	return ctrl->listener != listener;
}

static void listener_open_or_close(struct listener *listener, bool drain)
{
	if (__atomic_exchange_n(&listener->drained, drain, __ATOMIC_RELAXED) == drain)
		return;
	if (drain)
		listener_stop(listener);
	else
		listener_start(listener);
	listener_settle(listener, drain);
}

/*
 * All that go by that name: discovery beside a listener has the name of that one. Hosts that are just
 * connecting have found it drained, or have a controller by the time that no worker runs. 0, or negative
 * errno: -ENOENT without @err.
 */
static int listeners_drain(const char *name, bool drain, char *err)
{
	bool found = false;
	int rc;

	for (unsigned i = 0; i < n_listeners; i++) {
		if (strcmp(listeners[i]->config->name, name))
			continue;
		found = true;
		listener_open_or_close(listeners[i], drain);
	}
	if (!found || !drain)
		return found ? 0 : -ENOENT;
	rc = change_begin(err);
	if (rc)
		return rc;
	for (unsigned i = 0; i < n_listeners; i++)
		for (unsigned s = 0; s < n_subsystems; s++)
			if (!strcmp(listeners[i]->config->name, name))
				retire_ctrls(subsystems[s], is_of_other_listener, listeners[i]);
	change_end();
	return 0;
}

/* 0, or negative errno with @err. */
static int subsys_drain(struct subsys *subsys, bool drain, char *err)
{
	int rc = change_begin(err);

	if (rc)
		return rc;
	subsys->drained = drain;
	if (drain)
		retire_ctrls(subsys, NULL, NULL);
	discovery_renew();
	change_end();
	return 0;
}

static int drain(const char *target, bool on, char *err)
{
	struct subsys *subsys = subsys_find(target);
	int rc = 0;

	if (subsys && !subsys->discovery) {
		rc = subsys_drain(subsys, on, err);
	} else {
		rc = listeners_drain(target, on, err);
		if (rc == -ENOENT)
			snprintf(err, CONTROL_ERROR_MAX,
				 "there is no subsystem and no listener \"%s\"; sluicectl "
				 "subsystems and datapath list them",
				 target);
	}
	if (!rc)
		log_info_about(log_about(.subsystem = subsys ? target : NULL,
					 .listener = subsys ? NULL : target),
			       "%s is %s", target,
			       on ? "drained: no host is admitted" : "open to hosts again");
	return rc;
}

static int run_drain(const struct control_request *request, struct json_object *reply, char *err)
{
	(void)reply;
	return drain(request->target, true, err);
}

static int run_resume(const struct control_request *request, struct json_object *reply, char *err)
{
	(void)reply;
	return drain(request->target, false, err);
}

/* --------------------------------------------------------------------------------------------- log */

static const char *const *level_names(void)
{
	unsigned n;
	const struct setting *rows = section_settings(SECTION_DAEMON, &n);

	while (strcmp(rows->key, "log_level"))
		rows++;
	return rows->choices;
}

static int run_log_level(const struct control_request *request, struct json_object *reply,
			 char *err)
{
	const char *const *names = level_names();
	unsigned level = 0;

	while (request->level[0] && names[level] && strcmp(names[level], request->level))
		level++;
	if (!names[level]) {
		snprintf(err, CONTROL_ERROR_MAX,
			 "there is no log level \"%s\"; use error, warning, info or debug",
			 request->level);
		return -EINVAL;
	}
	if (request->level[0]) {
		log_info("log level %s from now on", names[level]);
		log_set_level((enum log_level)level);
	}
	put_string(reply, "level", names[log_get_level()]);
	return 0;
}

/* --------------------------------------------------------------------------------------- answering */

const struct control_action control_actions[] = {
	{ "reload", run_reload, 0 },
	{ "attach", run_attach, TAKES_TARGET | NEEDS_TARGET },
	{ "detach", run_detach, TAKES_TARGET | NEEDS_TARGET },
	{ "drain", run_drain, TAKES_TARGET | NEEDS_TARGET },
	{ "resume", run_resume, TAKES_TARGET | NEEDS_TARGET },
	{ "fault", run_fault, TAKES_TARGET | NEEDS_TARGET | TAKES_RULES },
	{ "log-level", run_log_level, TAKES_LEVEL },
	{ 0 },
};

/* 0, or -EINVAL with @err: a member lacks, or has no meaning. */
static int members_check(const struct control_request *request, unsigned takes, char *err)
{
	const struct {
		unsigned flag;
		bool given;
		const char *name;
	} members[] = {
		{ TAKES_TARGET, request->target[0], "target" },
		{ TAKES_LEVEL, request->level[0], "level" },
		{ TAKES_RULES, request->n_rules, "rules" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(members); i++) {
		if (!members[i].given || takes & members[i].flag)
			continue;
		snprintf(err, CONTROL_ERROR_MAX, "\"%s\" takes no \"%s\"", request->verb,
			 members[i].name);
		return -EINVAL;
	}
	if (!(takes & NEEDS_TARGET) || request->target[0])
		return 0;
	snprintf(err, CONTROL_ERROR_MAX, "\"%s\" needs a \"target\"", request->verb);
	return -EINVAL;
}

struct json_object *control_answer(const struct control_request *request)
{
	const struct control_action *action = control_actions;
	char err[CONTROL_ERROR_MAX] = "";
	struct json_object *reply;

	while (action->name && strcmp(action->name, request->verb))
		action++;
	if (members_check(request, action->name ? action->takes : 0, err))
		return control_refusal(err);
	if (!action->name)
		return control_report(request->verb);
	if (daemon_info.state == DAEMON_STOPPING && action->run != run_log_level)
		return control_refusal("sluiced is stopping: nothing is changed any more");
	reply = control_success();
	if (!action->run(request, reply, err))
		return reply;
	json_object_put(reply);
	return control_refusal(err);
}
