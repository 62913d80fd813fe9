/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of planning that is about which connections come in by which queues. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "transport/nic/planner.h"

static bool ours(const struct planner *p, uint32_t queue)
{
	return queue >= p->plan->first && queue < p->plan->first + p->plan->count;
}

/* The table is as the device makes it by itself, so that resetting it brings it back. */
static bool table_is_default(const struct nic_table *table, uint32_t queues)
{
	for (unsigned i = 0; i < table->n; i++)
		if (!queues || table->queue[i] != i % queues)
			return false;
	return true;
}

/* The kernel brings other connections to queues by itself: to those of the CPUs where they are read. */
static int flows_check(const struct planner *p)
{
	const char *name = p->facts->name;

	for (uint32_t q = p->plan->first; q < p->plan->first + p->plan->count; q++)
		if (nic_set_has(&p->facts->flows, q))
			return planner_refuse(
				p, -EEXIST,
				"receive flow steering (RFS) may bring other connections to queue %u "
				"of %s: write 0 to /sys/class/net/%s/queues/rx-%u/rps_flow_cnt, and "
				"so for each queue of zero-copy, or to "
				"/proc/sys/net/core/rps_sock_flow_entries",
				q, name, name, q);
	return 0;
}

/* Other connections must keep off our queues: their sockets could not read what lands there. */
static int spread_plan(struct planner *p)
{
	const struct nic_facts *facts = p->facts;
	const struct nic_table *table = &facts->table;
	bool own = table_is_default(table, planner_queues_now(facts));
	struct nic_step step = { .kind = NIC_STEP_SPREAD,
				 .from = own ? 0 : table->n,
				 .count = p->plan->first };
	/* The device spreads its own table over queues that are added. */
	bool apart = !own || p->plan->first + p->plan->count == planner_queues_now(facts);

	for (unsigned i = 0; i < table->n; i++)
		apart = apart && table->queue[i] < p->plan->first;
	if (apart)
		return 0;
	p->plan->former = *table;
	return planner_step(p, &step);
}

static int contexts_check(const struct planner *p)
{
	const struct nic_facts *facts = p->facts;

	for (unsigned i = 0; i < facts->n_contexts; i++)
		for (uint32_t q = p->plan->first; q < p->plan->first + p->plan->count; q++)
			if (nic_set_has(&facts->context[i].queues, q))
				return planner_refuse(
					p, -EEXIST,
					"hash context %u of %s spreads other connections over "
					"queue %u: remove it (ethtool -X %s context %u delete), or "
					"ask for fewer with [nic %s] queues",
					facts->context[i].id, facts->name, q, facts->name,
					facts->context[i].id, facts->name);
	return 0;
}

static uint32_t context_free(const struct nic_facts *facts)
{
	for (uint32_t id = 1;; id++) {
		bool used = false;

		for (unsigned i = 0; i < facts->n_contexts; i++)
			used = used || facts->context[i].id == id;
		if (!used)
			return id;
	}
}

static bool place_used(const struct planner *p, uint32_t place)
{
	for (unsigned i = 0; i < p->facts->rules.n; i++)
		if (p->facts->rules.rule[i].place == place)
			return true;
	for (unsigned i = 0; i < p->plan->n_steps; i++)
		if (p->plan->step[i].kind == NIC_STEP_RULE && p->plan->step[i].rule.place == place)
			return true;
	return false;
}

/* The last free place, as ethtool chooses it: rules that someone made by hand win. */
static int place_find(const struct planner *p, uint32_t *place)
{
	const struct nic_rules *rules = &p->facts->rules;

	*place = NIC_PLACE_ANY;
	if (rules->any_place)
		return 0;
	for (uint32_t i = rules->places; i-- > 0;) {
		if (!place_used(p, i)) {
			*place = i;
			return 0;
		}
	}
	return planner_refuse(p, -ENOTSUP,
			      "%s has no room for one more steering rule: %u of %u are in use",
			      p->facts->name, rules->n, rules->places);
}

static int rule_add(struct planner *p, const struct nic_rule *rule)
{
	struct nic_step step = { .kind = NIC_STEP_RULE, .rule = *rule };
	const struct nic_rules *rules = &p->facts->rules;
	int rc;

	for (unsigned i = 0; i < rules->n; i++)
		if (nic_rule_overlaps(&rules->rule[i], rule))
			return planner_refuse(
				p, -EEXIST,
				"%s has a rule already for %s, at place %u: remove it "
				"(ethtool -N %s delete %u), or prepare all by hand and set "
				"[nic %s] setup = no",
				p->facts->name, nic_rule_match(&rules->rule[i]).s,
				rules->rule[i].place, p->facts->name, rules->rule[i].place,
				p->facts->name);
	for (unsigned i = 0; i < p->plan->n_steps; i++)
		if (p->plan->step[i].kind == NIC_STEP_RULE &&
		    nic_rule_same_match(&p->plan->step[i].rule, rule))
			return 0; /* two listeners of the same address */
	rc = place_find(p, &step.rule.place);
	return rc ? rc : planner_step(p, &step);
}

/* Of the ports that connect() chooses, Linux takes those of one parity first: bit 0 tells little. */
enum { SOURCE_SHIFT = 1 };

static int listener_rules(struct planner *p, struct nic_rule rule, uint32_t context)
{
	unsigned n = context ? 1 : p->plan->count;
	int rc = 0;

	rule.to_context = context;
	for (unsigned i = 0; i < n && !rc; i++) {
		rule.to = context ? context : p->plan->first + i;
		rule.source_mask = (uint16_t)((n - 1) << SOURCE_SHIFT);
		rule.source = (uint16_t)(i << SOURCE_SHIFT);
		rc = rule_add(p, &rule);
	}
	return rc;
}

static bool is_loopback(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)ss)->sin6_addr);
	return ntohl(((const struct sockaddr_in *)ss)->sin_addr.s_addr) >> 24 == 127;
}

/* ------------------------------------------------------------------------- rules of somebody else */

/* The queues that a rule leads to; false: none, or which is not known. */
static bool rule_queues(const struct planner *p, const struct nic_rule *rule, struct nic_set *set)
{
	const struct nic_facts *facts = p->facts;

	*set = (struct nic_set){ 0 };
	if (rule->discard)
		return false;
	if (!rule->to_context) {
		nic_set_add(set, rule->to);
		return true;
	}
	for (unsigned i = 0; i < facts->n_contexts; i++) {
		if (facts->context[i].id != rule->to)
			continue;
		*set = facts->context[i].queues;
		return true;
	}
	return false;
}

static bool leads_to_ours_alone(const struct planner *p, const struct nic_rule *rule)
{
	struct nic_set set;

	if (!rule_queues(p, rule, &set))
		return false;
	for (uint32_t q = 0; q < NIC_SEEN_QUEUES; q++)
		if (nic_set_has(&set, q) && !ours(p, q))
			return false;
	return true;
}

/* Which of our queues a rule leads to; -1: none. */
static int leads_to_one_of_ours(const struct planner *p, const struct nic_rule *rule)
{
	struct nic_set set;

	rule_queues(p, rule, &set);
	for (uint32_t q = p->plan->first; q < p->plan->first + p->plan->count; q++)
		if (nic_set_has(&set, q))
			return (int)q;
	return -1;
}

/* Together, the rules bring connections from all ports of hosts to where @want does. */
static bool ports_covered(const struct planner *p, const struct nic_rule *want)
{
	const struct nic_rules *rules = &p->facts->rules;

	for (uint32_t port = 0; port <= UINT16_MAX; port++) {
		bool found = false;

		for (unsigned i = 0; i < rules->n && !found; i++) {
			const struct nic_rule *rule = &rules->rule[i];

			if (!nic_rule_overlaps(rule, want) ||
			    (want->any_address && !rule->any_address))
				continue;
			if (!rule->source_mask)
				return true;
			found = (port & rule->source_mask) == rule->source;
		}
		if (!found)
			return false;
	}
	return true;
}

/* Verify only: the operator's rules lead there, whatever way they do it, and nowhere else. */
static int listener_verify(const struct planner *p, const struct nic_rule *want)
{
	const struct nic_rules *rules = &p->facts->rules;
	struct nic_rule example = *want;
	bool astray = false;

	for (unsigned i = 0; i < rules->n; i++)
		astray = astray || (nic_rule_overlaps(&rules->rule[i], want) &&
				    !leads_to_ours_alone(p, &rules->rule[i]));
	if (!astray && ports_covered(p, want))
		return 0;
	example.to = p->plan->first;
	return planner_refuse(
		p, -ENOENT,
		"no rule of %s steers %s to %s alone, and [nic %s] setup = no forbids to add one: "
		"ethtool -N %s %s, or set setup = yes",
		p->facts->name, nic_rule_match(want).s,
		nic_queues_words(p->plan->first, p->plan->count).s, p->facts->name, p->facts->name,
		nic_rule_ethtool(&example).s);
}

static bool is_of_listener(const struct planner *p, const struct nic_rule *rule)
{
	for (unsigned i = 0; i < p->wants->n_listeners; i++) {
		struct nic_rule want = nic_rule_of(&p->wants->listeners[i]);

		if (nic_rule_overlaps(rule, &want))
			return true;
	}
	return false;
}

/*
 * Nobody steers other connections to our queues. Where the operator prepares all, the rules for the
 * listeners are somebody else's too, and one that looks at more than ours do may be for a listener.
 */
static int foreign_rules_check(const struct planner *p)
{
	for (unsigned i = 0; i < p->facts->rules.n; i++) {
		const struct nic_rule *rule = &p->facts->rules.rule[i];
		int queue = leads_to_one_of_ours(p, rule);

		if (queue < 0 || (!p->wants->setup && !rule->apart &&
				  (rule->other || is_of_listener(p, rule))))
			continue;
		return planner_refuse(
			p, -EEXIST,
			"the rule at place %u of %s steers other connections to queue %d: "
			"remove it (ethtool -N %s delete %u), or ask for fewer with "
			"[nic %s] queues",
			rule->place, p->facts->name, queue, p->facts->name, rule->place,
			p->facts->name);
	}
	return 0;
}

/* Names the first rule that may or may not be for the listeners' connections. */
static void unclear_rules_remark(const struct planner *p)
{
	for (unsigned i = 0; i < p->facts->rules.n; i++) {
		const struct nic_rule *rule = &p->facts->rules.rule[i];

		if (!rule->other || rule->apart)
			continue;
		snprintf(p->plan->remark.s, sizeof(p->plan->remark.s),
			 "the rule at place %u of %s cannot be judged (ethtool -n %s rule %u): where it "
			 "matches connections to the listeners, it may lead them elsewhere",
			 rule->place, p->facts->name, p->facts->name, rule->place);
		return;
	}
}

/* ---------------------------------------------------------------------------------------- listeners */

/* What only passes through the interface, to other machines, matches a rule for any address too. */
static int passing_check(const struct planner *p, const struct nic_rule *rule)
{
	const char *kind = p->facts->link.port_of;

	if (!rule->any_address || (strcmp(kind, "bridge") && strcmp(kind, "openvswitch")))
		return 0;
	return planner_refuse(
		p, -EINVAL,
		"%s is a port of a %s, and a rule for any address would take connections to port %u "
		"of other machines that pass through: give the listener an address of this machine",
		p->facts->name, kind, rule->port);
}

static int listener_plan(struct planner *p, const struct nic_rule *rule, uint32_t context)
{
	int rc;

	if (!p->wants->setup)
		return listener_verify(p, rule);
	rc = passing_check(p, rule);
	return rc ? rc : listener_rules(p, *rule, context);
}

/* The rules of every listener; a hash context before them when there are several queues. */
static int listeners_plan(struct planner *p)
{
	const struct nic_wants *wants = p->wants;
	struct nic_step context = { .kind = NIC_STEP_CONTEXT,
				    .first = p->plan->first,
				    .count = p->plan->count };
	unsigned reachable = 0;
	int rc = foreign_rules_check(p);

	if (!rc && wants->setup)
		rc = contexts_check(p);
	if (!rc && wants->setup && p->contexts && p->plan->count > 1) {
		context.to = context_free(p->facts);
		rc = planner_step(p, &context);
	}
	for (unsigned i = 0; i < wants->n_listeners && !rc; i++) {
		struct nic_rule rule = nic_rule_of(&wants->listeners[i]);

		if (is_loopback(&wants->listeners[i]))
			continue;
		reachable++;
		rc = listener_plan(p, &rule, context.to);
	}
	if (!rc && !reachable)
		rc = planner_refuse(
			p, -EINVAL,
			"no listener can be reached by way of %s: all have loopback addresses",
			p->facts->name);
	return rc;
}

int planner_steering(struct planner *p)
{
	int rc = planner_feature(p, &p->facts->ntuple, "rx-ntuple-filter", p->facts->rules.n);

	if (!rc)
		rc = flows_check(p);
	if (!rc)
		rc = spread_plan(p);
	unclear_rules_remark(p);
	return rc ? rc : listeners_plan(p);
}
