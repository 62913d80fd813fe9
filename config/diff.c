/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/faults.h"
#include "config/value.h"

/* Sections whose settings are not all alike; what is not listed can change at any time. */
static const struct rule {
	enum section_id section;
	const char *key; /* NULL: all that no row before names */
	enum config_policy policy;
	unsigned change;
} rules[] = {
	{ SECTION_DAEMON, "spin_us", CONFIG_POLICY_LIVE, CONFIG_CHANGE_OTHER },
	{ SECTION_DAEMON, "log_level", CONFIG_POLICY_LIVE, CONFIG_CHANGE_OTHER },
	{ SECTION_DAEMON, "max_connections", CONFIG_POLICY_LIVE, CONFIG_CHANGE_OTHER },
	{ SECTION_DAEMON, "drain", CONFIG_POLICY_LIVE, CONFIG_CHANGE_OTHER },
	{ SECTION_DAEMON, NULL, CONFIG_POLICY_RESTART, 0 },
	{ SECTION_MEMORY, NULL, CONFIG_POLICY_RESTART, 0 },
	{ SECTION_NIC, NULL, CONFIG_POLICY_RESTART, 0 },
	{ SECTION_METRICS, NULL, CONFIG_POLICY_RESTART, 0 },
	{ SECTION_SUBSYSTEM, "allow_host", CONFIG_POLICY_LIVE, CONFIG_CHANGE_HOSTS },
	{ SECTION_SUBSYSTEM, "allow_any_host", CONFIG_POLICY_LIVE, CONFIG_CHANGE_HOSTS },
	/* Hosts that are attached have seen these, and look at them again at odd times. */
	{ SECTION_SUBSYSTEM, "serial", CONFIG_POLICY_RESTART, 0 },
	{ SECTION_SUBSYSTEM, "model", CONFIG_POLICY_RESTART, 0 },
	{ SECTION_NAMESPACE, "size", CONFIG_POLICY_LIVE, CONFIG_CHANGE_SIZE },
	{ SECTION_NAMESPACE, "allow_host", CONFIG_POLICY_LIVE, CONFIG_CHANGE_HOSTS },
	{ SECTION_NAMESPACE, "read_only", CONFIG_POLICY_LIVE, CONFIG_CHANGE_READ_ONLY },
	{ SECTION_NAMESPACE, "ana_group", CONFIG_POLICY_LIVE, CONFIG_CHANGE_ANA },
	{ SECTION_NAMESPACE, "fault", CONFIG_POLICY_LIVE, CONFIG_CHANGE_FAULT },
	/* Looked at when it is opened. */
	{ SECTION_NAMESPACE, "allow_mounted", CONFIG_POLICY_LIVE, CONFIG_CHANGE_OTHER },
	{ SECTION_NAMESPACE, NULL, CONFIG_POLICY_DETACHED, 0 },
};

enum config_policy config_policy(const struct setting *row, unsigned *change)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rules[i].section != row->section ||
		    (rules[i].key && strcmp(rules[i].key, row->key)))
			continue;
		*change = rules[i].change;
		return rules[i].policy;
	}
	*change = CONFIG_CHANGE_OTHER;
	return CONFIG_POLICY_LIVE;
}

/* ---------------------------------------------------------------------------------------- values */

static bool hosts_same(const struct config_hosts *a, const struct config_hosts *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (strcmp(a->nqn[i], b->nqn[i]))
			return false;
	return true;
}

/* The value as lines of a file, in memory that the caller frees; NULL without memory. */
static char *value_lines(const struct setting *row, const void *object)
{
	size_t len;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	row->type->print(row, object, out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	text[strcspn(text, "\n")] = '\0'; /* of several the first tells enough */
	return text;
}

static bool value_same(const struct setting *row, const void *a, const void *b)
{
	const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
	char *left, *right;
	bool same;

	if (row->type == &value_hosts)
		return hosts_same((const void *)x, (const void *)y);
	if (!memcmp(x, y, row->size))
		return true;
	if (row->type == &value_faults)
		return false;
	/* What is behind the end of a text is no part of it. */
	left = value_lines(row, a);
	right = value_lines(row, b);
	same = left && right && !strcmp(left, right);
	free(left);
	free(right);
	return same;
}

bool config_listener_equal(const struct config_listener *a, const struct config_listener *b)
{
	unsigned n;
	const struct setting *rows = section_settings(SECTION_LISTENER, &n);

	for (unsigned i = 0; i < n; i++)
		if (!value_same(&rows[i], a, b))
			return false;
	return true;
}

/* -------------------------------------------------------------------------------------- comparing */

struct compare {
	const struct config *boot, *running, *wanted;
	const bool *detached;
	struct config_diff *diff;
	struct faults faults;
};

static struct config_where where_of(const struct compare *c, const struct setting *row,
				    unsigned index)
{
	const void *object = section_object(c->wanted, row->section, index);
	const struct config_where *where = &c->wanted->where[row - settings];

	switch (row->section) {
	case SECTION_NIC:
		return ((const struct config_nic *)object)->where;
	case SECTION_SUBSYSTEM:
		return ((const struct config_subsystem *)object)->where;
	case SECTION_NAMESPACE:
		return ((const struct config_namespace *)object)->where;
	default:
		return where->line ? *where :
				     (struct config_where){ .file = c->wanted->files[0] };
	}
}

static void refuse_change(struct compare *c, enum config_policy policy, const struct setting *row,
			  unsigned was, unsigned now)
{
	struct config_where where = where_of(c, row, now);
	char *before = value_lines(row, section_object(c->running, row->section, was));
	char *after = value_lines(row, section_object(c->wanted, row->section, now));
	char label[SECTION_LABEL_MAX];

	section_label(c->wanted, row->section, now, label);
	faults_add(
		&c->faults, &where,
		policy == CONFIG_POLICY_RESTART ?
			"'%s' of %s cannot change while the daemon runs (now \"%s\", wanted "
			"\"%s\"); restart it, or put the former value back" :
			"'%s' of %s cannot change while hosts may use the namespace (now \"%s\", "
			"wanted \"%s\"); detach it first (sluicectl detach), give the new one "
			"another NSID, or put the former value back",
		row->key, label, before && *before ? before : "none",
		after && *after ? after : "none");
	free(before);
	free(after);
}

/* The changes of one object; what may not change is a fault. */
static unsigned compare_object(struct compare *c, enum section_id section, unsigned was,
			       unsigned now, bool in_use)
{
	unsigned n, changes = 0;
	const struct setting *rows = section_settings(section, &n);
	const void *a = section_object(c->running, section, was);
	const void *b = section_object(c->wanted, section, now);

	for (unsigned i = 0; i < n; i++) {
		unsigned change;
		enum config_policy policy = config_policy(&rows[i], &change);

		if (value_same(&rows[i], a, b))
			continue;
		if (policy == CONFIG_POLICY_RESTART || (policy == CONFIG_POLICY_DETACHED && in_use))
			refuse_change(c, policy, &rows[i], was, now);
		else
			changes |= change ? change : CONFIG_CHANGE_OTHER;
	}
	return changes;
}

static void compare_nics(struct compare *c)
{
	const struct config *running = c->running, *wanted = c->wanted;
	struct config_where where = { .file = wanted->files[0] };

	for (unsigned i = 0; i < MIN(running->n_nics, wanted->n_nics); i++) {
		if (!strcmp(running->nics[i].name, wanted->nics[i].name)) {
			compare_object(c, SECTION_NIC, i, i, true);
			continue;
		}
		faults_add(&c->faults, &wanted->nics[i].where,
			   "[nic %s] is where [nic %s] was; sections [nic] cannot change while the "
			   "daemon runs: restart it",
			   wanted->nics[i].name, running->nics[i].name);
		return;
	}
	if (running->n_nics != wanted->n_nics)
		faults_add(&c->faults, &where,
			   "there were %u sections [nic] and now there are %u; they cannot change "
			   "while the daemon runs: restart it",
			   running->n_nics, wanted->n_nics);
}

/* -------------------------------------------------------------------------------------- listeners */

static bool is_rdma(const struct config_listener *listener)
{
	return !strcmp(listener->transport, "rdma");
}

static bool had_listener(const struct config *config, const struct config_listener *listener)
{
	for (unsigned i = 0; i < config->n_listeners; i++)
		if (config_listener_equal(&config->listeners[i], listener))
			return true;
	return false;
}

/* What the process set aside and kept when it started. */
struct prepared {
	bool rdma, zcrx_copy, low_ports;
	uint32_t rdma_in_capsule;
};

static void prepared_find(const struct config *boot, struct prepared *p)
{
	*p = (struct prepared){ .low_ports = boot->discovery.port &&
					     boot->discovery.port < PRIVILEGED_PORTS };
	for (unsigned i = 0; i < boot->n_listeners; i++) {
		const struct config_listener *one = &boot->listeners[i];

		p->low_ports |= one->port < PRIVILEGED_PORTS;
		p->zcrx_copy |= !is_rdma(one) && one->receive == CONFIG_RECEIVE_ZCRX_COPY;
		p->rdma |= is_rdma(one);
		if (is_rdma(one))
			p->rdma_in_capsule = MAX(p->rdma_in_capsule, one->in_capsule);
	}
}

/* Why @listener cannot be opened by a process that runs, or NULL. */
static const char *listener_fault(const struct compare *c, const struct prepared *p,
				  const struct config_listener *listener)
{
	if (listener->port < PRIVILEGED_PORTS && !p->low_ports)
		return "'port' is below 1024, and the right to open such a one is given up at start "
		       "when none is configured";
	if (is_rdma(listener))
		return !p->rdma ?
			       "it is the first with transport = rdma, whose receive area is set "
			       "aside at start" :
		       listener->in_capsule > p->rdma_in_capsule ?
			       "'in_capsule' is more than any listener with transport = rdma had "
			       "at start" :
			       NULL;
	if (listener->receive == CONFIG_RECEIVE_ZCRX_COPY && !p->zcrx_copy)
		return "it is the first with receive = zcrx-copy, whose receive area is set aside "
		       "at start";
	if (listener->receive == CONFIG_RECEIVE_AUTO && c->wanted->n_nics)
		return "the network card of [nic] is told at start which connections go to its "
		       "queues; receive = recv can be added";
	return NULL;
}

static void compare_listeners(struct compare *c)
{
	struct config_where where = { .file = c->wanted->files[0] };
	struct prepared prepared;

	prepared_find(c->boot, &prepared);
	for (unsigned i = 0; i < c->wanted->n_listeners; i++) {
		const struct config_listener *listener = &c->wanted->listeners[i];
		const char *fault = listener_fault(c, &prepared, listener);

		if (fault && !had_listener(c->running, listener))
			faults_add(&c->faults, &listener->where,
				   "[listener %s] cannot be opened while the daemon runs: %s; "
				   "restart it",
				   listener->name, fault);
	}
	if (c->wanted->discovery.port != c->running->discovery.port && c->wanted->discovery.port &&
	    c->wanted->discovery.port < PRIVILEGED_PORTS && !prepared.low_ports)
		faults_add(&c->faults, &where,
			   "'port' of [discovery] is below 1024, and the right to open such a one "
			   "is given up at start when none is configured; restart the daemon");
}

/* -------------------------------------------------------------------------- subsystems, namespaces */

static void compare_subsystems(struct compare *c)
{
	struct config_diff *diff = c->diff;

	for (unsigned i = 0; i < c->wanted->n_subsystems; i++) {
		struct config_step *step = &diff->subsystems[i];

		step->was = -1;
		for (unsigned j = 0; j < c->running->n_subsystems && step->was < 0; j++)
			if (!strcmp(c->running->subsystems[j].nqn, c->wanted->subsystems[i].nqn))
				step->was = (int)j;
		if (step->was < 0) {
			diff->subsystems_added++;
			continue;
		}
		diff->subsystem_stays[step->was] = true;
		step->changes = compare_object(c, SECTION_SUBSYSTEM, (unsigned)step->was, i, true);
		diff->subsystems_changed += step->changes != 0;
		diff->discovery |= step->changes & CONFIG_CHANGE_HOSTS;
	}
	diff->subsystems_removed =
		c->running->n_subsystems + diff->subsystems_added - c->wanted->n_subsystems;
	diff->discovery |= diff->subsystems_added || diff->subsystems_removed;
}

/* Index in @running, or -1. Those of a subsystem lie together, in order: what comes next is likely. */
static int namespace_find(const struct config *running, const struct config_namespace *wanted,
			  unsigned guess)
{
	for (unsigned i = 0; i < running->n_namespaces; i++) {
		unsigned at = (guess + i) % running->n_namespaces;

		if (running->namespaces[at].nsid == wanted->nsid &&
		    !strcmp(running->namespaces[at].subsystem, wanted->subsystem))
			return (int)at;
	}
	return -1;
}

/* A device is closed after its last command, and opened before anything changes: not both at once. */
static void check_reuse(struct compare *c, const struct config_namespace *added)
{
	for (unsigned i = 0; i < c->running->n_namespaces; i++) {
		const struct config_namespace *removed = &c->running->namespaces[i];

		if (c->diff->namespace_stays[i] || (c->detached && c->detached[i]) ||
		    ((!added->path[0] || strcmp(added->path, removed->path)) &&
		     (!added->device_serial[0] ||
		      strcmp(added->device_serial, removed->device_serial))))
			continue;
		faults_add(
			&c->faults, &added->where,
			"[namespace %s/%u] has the device or file of [namespace %s/%u], which is "
			"in use until that is removed; remove the one and reload, then add the "
			"other and reload",
			added->subsystem, added->nsid, removed->subsystem, removed->nsid);
	}
}

static void compare_namespaces(struct compare *c)
{
	struct config_diff *diff = c->diff;
	unsigned guess = 0;

	for (unsigned i = 0; i < c->wanted->n_namespaces; i++) {
		struct config_step *step = &diff->namespaces[i];
		int was = namespace_find(c->running, &c->wanted->namespaces[i], guess);

		step->was = was;
		if (was < 0) {
			diff->namespaces_added++;
			continue;
		}
		guess = (unsigned)was + 1;
		diff->namespace_stays[was] = true;
		step->changes = compare_object(c, SECTION_NAMESPACE, (unsigned)was, i,
					       !c->detached || !c->detached[was]);
		diff->namespaces_changed += step->changes != 0;
	}
	diff->namespaces_removed =
		c->running->n_namespaces + diff->namespaces_added - c->wanted->n_namespaces;
	for (unsigned i = 0; i < c->wanted->n_namespaces && diff->namespaces_removed; i++)
		if (diff->namespaces[i].was < 0)
			check_reuse(c, &c->wanted->namespaces[i]);
}

static void compare_discovery(struct compare *c)
{
	unsigned n_rows;
	const struct setting *rows = section_settings(SECTION_REFERRAL, &n_rows);
	bool same = c->running->n_referrals == c->wanted->n_referrals;

	for (unsigned i = 0; same && i < c->wanted->n_referrals; i++)
		for (unsigned j = 0; j < n_rows; j++)
			same &= value_same(&rows[j], &c->running->referrals[i],
					   &c->wanted->referrals[i]);
	c->diff->discovery |= !same || strcmp(c->running->discovery.nqn, c->wanted->discovery.nqn);
}

static int diff_init(struct config_diff *diff, const struct config *running,
		     const struct config *wanted)
{
	*diff = (struct config_diff){
		.subsystems = calloc(wanted->n_subsystems + 1u, sizeof(*diff->subsystems)),
		.namespaces = calloc(wanted->n_namespaces + 1u, sizeof(*diff->namespaces)),
		.subsystem_stays = calloc(running->n_subsystems + 1u, sizeof(bool)),
		.namespace_stays = calloc(running->n_namespaces + 1u, sizeof(bool)),
	};
	return diff->subsystems && diff->namespaces && diff->subsystem_stays &&
			       diff->namespace_stays ?
		       0 :
		       -ENOMEM;
}

void config_diff_free(struct config_diff *diff)
{
	free(diff->subsystems);
	free(diff->namespaces);
	free(diff->subsystem_stays);
	free(diff->namespace_stays);
	*diff = (struct config_diff){ 0 };
}

int config_diff(const struct config *boot, const struct config *running, const bool *detached,
		const struct config *wanted, struct config_diff *diff,
		void (*report)(void *arg, const char *message), void *arg)
{
	const struct config_where where = { .file = wanted->files[0] };
	struct compare c = {
		.boot = boot,
		.running = running,
		.detached = detached,
		.wanted = wanted,
		.diff = diff,
		.faults = { .report = report, .arg = arg },
	};

	if (diff_init(diff, running, wanted)) {
		faults_memory(&c.faults, &where);
	} else {
		compare_object(&c, SECTION_DAEMON, 0, 0, true);
		compare_object(&c, SECTION_MEMORY, 0, 0, true);
		compare_object(&c, SECTION_METRICS, 0, 0, true);
		compare_nics(&c);
		compare_listeners(&c);
		compare_subsystems(&c);
		compare_namespaces(&c);
		compare_discovery(&c);
	}
	if (c.faults.error)
		config_diff_free(diff);
	return c.faults.error;
}
