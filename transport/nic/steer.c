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

/* Other connections must keep off our queues: their sockets could not read what lands there. */
static int spread_plan(struct planner *p)
{
	const struct nic_facts *facts = p->facts;
	const struct nic_table *table = &facts->table;
	bool own = table_is_default(table, planner_queues_now(facts));
	struct nic_step step = { .kind = NIC_STEP_SPREAD,
				 .undo = true,
				 .from = own ? 0 : table->n,
				 .count = p->plan->first };
	/* The device spreads its own table over queues that are added. */
	bool apart = !own || p->plan->first + p->plan->count == planner_queues_now(facts);

	for (unsigned i = 0; i < table->n; i++)
		apart = apart && table->queue[i] < p->plan->first;
	if (apart)
		return 0;
	if (!facts->hash_settable)
		return planner_refuse(
			p, -ENOTSUP,
			"Linux %s cannot set the receive hash of %s by netlink: use 6.18 or later",
			facts->kernel, facts->name);
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
	struct nic_step step = { .kind = NIC_STEP_RULE, .undo = true, .rule = *rule };
	const struct nic_rules *rules = &p->facts->rules;
	int rc;

	for (unsigned i = 0; i < rules->n; i++)
		if (nic_rule_same_match(&rules->rule[i], rule))
			return planner_refuse(
				p, -EEXIST,
				"%s has a rule already for %s, at place %u: remove it "
				"(ethtool -N %s delete %u), or prepare all by hand and set "
				"[nic %s] setup = no",
				p->facts->name, nic_rule_match(rule).s, rules->rule[i].place,
				p->facts->name, rules->rule[i].place, p->facts->name);
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

/* Where an existing rule leads: only to our queues? */
static bool leads_to_ours(const struct planner *p, const struct nic_rule *rule)
{
	const struct nic_facts *facts = p->facts;

	if (rule->discard)
		return false;
	if (!rule->to_context)
		return ours(p, rule->to);
	for (unsigned i = 0; i < facts->n_contexts; i++) {
		if (facts->context[i].id != rule->to)
			continue;
		for (uint32_t q = 0; q < NIC_SEEN_QUEUES; q++)
			if (nic_set_has(&facts->context[i].queues, q) && !ours(p, q))
				return false;
		return true;
	}
	return false;
}

/* Verify only: the operator's rules lead there, whatever way they do it. */
static int listener_verify(const struct planner *p, const struct nic_rule *want)
{
	const struct nic_rules *rules = &p->facts->rules;
	struct nic_rule example = *want;
	bool found = false;

	for (unsigned i = 0; i < rules->n; i++) {
		const struct nic_rule *rule = &rules->rule[i];

		if (rule->other || rule->ipv6 != want->ipv6 || rule->port != want->port ||
		    (!rule->any_address &&
		     (want->any_address || memcmp(rule->address, want->address, 16))))
			continue;
		if (!leads_to_ours(p, rule)) {
			found = false;
			break;
		}
		found = true;
	}
	if (found)
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

static int foreign_rules_check(const struct planner *p)
{
	for (unsigned i = 0; i < p->facts->rules.n; i++) {
		const struct nic_rule *rule = &p->facts->rules.rule[i];

		if (!rule->discard && !rule->to_context && ours(p, rule->to))
			return planner_refuse(
				p, -EEXIST,
				"the rule at place %u of %s steers other connections to queue %u: "
				"remove it (ethtool -N %s delete %u), or ask for fewer with "
				"[nic %s] queues",
				rule->place, p->facts->name, rule->to, p->facts->name, rule->place,
				p->facts->name);
	}
	return 0;
}

/* The rules of every listener; a hash context before them when there are several queues. */
static int listeners_plan(struct planner *p)
{
	const struct nic_wants *wants = p->wants;
	struct nic_step context = { .kind = NIC_STEP_CONTEXT,
				    .undo = true,
				    .first = p->plan->first,
				    .count = p->plan->count };
	unsigned reachable = 0;
	int rc = 0;

	if (wants->setup) {
		rc = contexts_check(p);
		if (!rc)
			rc = foreign_rules_check(p);
		if (!rc && p->contexts && p->plan->count > 1) {
			context.to = context_free(p->facts);
			rc = planner_step(p, &context);
		}
	}
	for (unsigned i = 0; i < wants->n_listeners && !rc; i++) {
		struct nic_rule rule = nic_rule_of(&wants->listeners[i]);

		if (is_loopback(&wants->listeners[i]))
			continue;
		reachable++;
		rc = wants->setup ? listener_rules(p, rule, context.to) : listener_verify(p, &rule);
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
	int rc = planner_feature(p, &p->facts->ntuple, "rx-ntuple-filter");
	if (!rc)
		rc = spread_plan(p);
	return rc ? rc : listeners_plan(p);
}
