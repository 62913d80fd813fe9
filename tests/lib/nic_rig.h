/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network interfaces as facts: several real NICs as their drivers report them, and a model that takes
 * the steps of a plan as a driver would.
 */
#ifndef SLUICE_TESTS_LIB_NIC_RIG_H
#define SLUICE_TESTS_LIB_NIC_RIG_H

#include <arpa/inet.h>

#include "transport/nic/plan.h"

/* The table that the kernel makes by itself. */
static inline void nic_rig_table(struct nic_facts *facts, unsigned entries, uint32_t queues)
{
	facts->table.n = entries;
	for (unsigned i = 0; i < entries; i++)
		facts->table.queue[i] = (uint16_t)(i % queues);
}

/* What all of them have in common: up, a kernel that can, privilege. */
static inline void nic_rig_base(struct nic_facts *facts, const char *driver, const char *firmware,
				const char *bus)
{
	memset(facts, 0, sizeof(*facts));
	strcpy(facts->name, "eth0");
	facts->link.index = 3;
	facts->link.up = true;
	facts->privileged = true;
	strcpy(facts->kernel, "7.3.4");
	snprintf(facts->driver, sizeof(facts->driver), "%s", driver);
	strcpy(facts->version, "7.3.4");
	snprintf(facts->firmware, sizeof(facts->firmware), "%s", firmware);
	snprintf(facts->bus, sizeof(facts->bus), "%s", bus);
}

static inline void nic_rig_queues(struct nic_facts *facts, uint32_t queues, uint32_t max,
				  bool combined)
{
	facts->n_queues = queues;
	for (uint32_t i = 0; i < queues; i++)
		facts->napi[i] = 8200 + i;
	facts->channels.known = true;
	if (combined) {
		facts->channels.combined = queues;
		facts->channels.combined_max = max;
	} else {
		facts->channels.rx = queues;
		facts->channels.rx_max = max;
	}
}

/* Broadcom BCM57508: header split by its own choice off, everything else there. */
static inline void nic_rig_bnxt(struct nic_facts *facts)
{
	nic_rig_base(facts, "bnxt_en", "229.0.157.0/pkg 229.1.123.0", "0000:3b:00.0");
	nic_rig_queues(facts, 8, 74, true);
	facts->rings = (struct nic_rings){ .known = true,
					   .rx = 511,
					   .rx_max = 2047,
					   .split = NIC_SPLIT_OFF,
					   .thresh_known = true,
					   .thresh = 256 };
	facts->ntuple = (struct nic_feature){ true, true };
	facts->gro_hw = (struct nic_feature){ true, true };
	facts->hash_known = facts->contexts_known = true;
	nic_rig_table(facts, 128, 8);
	facts->rules = (struct nic_rules){ .known = true, .any_place = true };
}

/*
 * NVIDIA ConnectX-7: splits by merging packets, whose feature is off; says nothing of splitting until it
 * was asked to, and takes no threshold but 0; places of rules are chosen.
 */
static inline void nic_rig_mlx5(struct nic_facts *facts)
{
	nic_rig_base(facts, "mlx5_core", "28.43.2026 (MT_0000000838)", "0000:17:00.0");
	nic_rig_queues(facts, 16, 63, true);
	facts->rings = (struct nic_rings){ .known = true,
					   .rx = 1024,
					   .rx_max = 8192,
					   .split = NIC_SPLIT_UNKNOWN,
					   .thresh_known = true };
	facts->ntuple = (struct nic_feature){ true, true };
	facts->gro_hw = (struct nic_feature){ true, false };
	facts->hash_known = facts->contexts_known = true;
	nic_rig_table(facts, 256, 16);
	facts->rules = (struct nic_rules){ .known = true, .places = 1024 };
}

/* Google's virtual NIC: channels of receive alone, no hash contexts, rules off. */
static inline void nic_rig_gve(struct nic_facts *facts)
{
	nic_rig_base(facts, "gve", "", "0000:00:05.0");
	nic_rig_queues(facts, 8, 16, false);
	facts->rings = (struct nic_rings){
		.known = true, .rx = 1024, .rx_max = 4096, .split = NIC_SPLIT_OFF
	};
	facts->ntuple = (struct nic_feature){ true, false };
	facts->hash_known = true;
	nic_rig_table(facts, 128, 8);
	facts->rules = (struct nic_rules){ .known = true, .places = 512 };
}

/* Meta's fbnic: header split cannot be switched off, rules cannot be either. */
static inline void nic_rig_fbnic(struct nic_facts *facts)
{
	nic_rig_base(facts, "fbnic", "25.03.14", "0000:01:00.0");
	nic_rig_queues(facts, 4, 64, true);
	facts->rings = (struct nic_rings){ .known = true,
					   .rx = 256,
					   .rx_max = 4096,
					   .split = NIC_SPLIT_ON,
					   .thresh_known = true,
					   .thresh = 1536 };
	facts->ntuple = (struct nic_feature){ false, true };
	facts->hash_known = facts->contexts_known = true;
	nic_rig_table(facts, 256, 4);
	facts->rules = (struct nic_rules){ .known = true, .any_place = true };
}

/* Amazon's ENA: no header split that can be seen. */
static inline void nic_rig_ena(struct nic_facts *facts)
{
	nic_rig_base(facts, "ena", "", "0000:00:05.0");
	nic_rig_queues(facts, 8, 8, true);
	facts->rings = (struct nic_rings){ .known = true, .rx = 1024, .rx_max = 8192 };
	facts->hash_known = true;
	nic_rig_table(facts, 128, 8);
}

static inline struct sockaddr_storage nic_rig_address(const char *address, uint16_t port)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		ss.ss_family = AF_INET;
		in->sin_port = htons(port);
	} else {
		inet_pton(AF_INET6, address, &in6->sin6_addr);
		ss.ss_family = AF_INET6;
		in6->sin6_port = htons(port);
	}
	return ss;
}

static inline bool nic_rig_table_is_own(const struct nic_facts *facts)
{
	for (unsigned i = 0; i < facts->table.n; i++)
		if (facts->table.queue[i] != i % facts->n_queues)
			return false;
	return true;
}

/* The device's own table follows the number of queues. */
static inline void nic_rig_channels(struct nic_facts *facts, const struct nic_step *step,
				    uint32_t count)
{
	bool own = nic_rig_table_is_own(facts);
	uint32_t now = step->combined ? facts->channels.combined : facts->channels.rx;

	nic_rig_queues(facts, facts->n_queues + count - now,
		       step->combined ? facts->channels.combined_max : facts->channels.rx_max,
		       step->combined);
	for (uint32_t i = facts->n_queues; i < NIC_SEEN_QUEUES; i++)
		facts->napi[i] = 0;
	if (own)
		nic_rig_table(facts, facts->table.n, facts->n_queues);
}

static inline struct nic_feature *nic_rig_feature(struct nic_facts *facts,
						  const struct nic_step *step)
{
	return strcmp(step->feature, "rx-gro-hw") ? &facts->ntuple : &facts->gro_hw;
}

/* A step, taken by a driver that does all that it is told; rings get a power of two of entries. */
static inline void nic_rig_take(struct nic_facts *facts, struct nic_step *step)
{
	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		nic_rig_channels(facts, step, step->to);
		break;
	case NIC_STEP_FEATURE:
		nic_rig_feature(facts, step)->on = true;
		break;
	case NIC_STEP_RINGS:
		facts->rings.split = NIC_SPLIT_ON;
		facts->rings.thresh = 0;
		if (step->to) {
			for (facts->rings.rx = 64; facts->rings.rx < step->to;)
				facts->rings.rx *= 2;
			step->to = facts->rings.rx;
			step->rounded = true;
		}
		break;
	case NIC_STEP_SPREAD:
		for (unsigned i = 0; i < facts->table.n; i++)
			facts->table.queue[i] = (uint16_t)(step->first + i % step->count);
		break;
	case NIC_STEP_CONTEXT:
		facts->context[facts->n_contexts] = (struct nic_context){ .id = step->to };
		for (uint32_t q = 0; q < step->count; q++)
			nic_set_add(&facts->context[facts->n_contexts].queues, step->first + q);
		facts->n_contexts++;
		break;
	default:
		facts->rules.rule[facts->rules.n++] = step->rule;
		break;
	}
}

/* Is it there? As apply.c looks at it. */
static inline bool nic_rig_is_taken(const struct nic_facts *facts, const struct nic_step *step)
{
	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		return (step->combined ? facts->channels.combined : facts->channels.rx) == step->to;
	case NIC_STEP_FEATURE:
		return nic_rig_feature((struct nic_facts *)facts, step)->on;
	case NIC_STEP_RINGS:
		return (step->split != NIC_SPLIT_ON && facts->rings.split == NIC_SPLIT_ON) ||
		       (step->thresh && !facts->rings.thresh) ||
		       (step->to && (step->rounded ? facts->rings.rx == step->to :
						     facts->rings.rx != step->from));
	case NIC_STEP_SPREAD:
		for (unsigned i = 0; i < facts->table.n; i++)
			if (facts->table.queue[i] != step->first + i % step->count)
				return false;
		return true;
	case NIC_STEP_CONTEXT:
		return facts->n_contexts && facts->context[facts->n_contexts - 1].id == step->to;
	default:
		return facts->rules.n &&
		       nic_rule_same_match(&facts->rules.rule[facts->rules.n - 1], &step->rule);
	}
}

/* The same driver takes a step back that is there. */
static inline void nic_rig_take_back(struct nic_facts *facts, const struct nic_step *step,
				     const struct nic_table *former)
{
	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		nic_rig_channels(facts, step, step->from);
		break;
	case NIC_STEP_FEATURE:
		nic_rig_feature(facts, step)->on = false;
		break;
	case NIC_STEP_RINGS:
		facts->rings.split = step->split;
		if (step->thresh)
			facts->rings.thresh = step->thresh;
		if (step->to)
			facts->rings.rx = step->from;
		break;
	case NIC_STEP_SPREAD:
		nic_rig_table(facts, facts->table.n, facts->n_queues);
		if (step->from)
			facts->table = *former;
		break;
	case NIC_STEP_CONTEXT:
		memset(&facts->context[--facts->n_contexts], 0, sizeof(facts->context[0]));
		break;
	default:
		memset(&facts->rules.rule[--facts->rules.n], 0, sizeof(facts->rules.rule[0]));
		break;
	}
}

#endif
