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
	facts->hash_known = facts->hash_settable = facts->contexts_known = true;
	nic_rig_table(facts, 128, 8);
	facts->rules = (struct nic_rules){ .known = true, .any_place = true };
}

/* NVIDIA ConnectX-7: splits by merging packets, whose feature is off; places of rules are chosen. */
static inline void nic_rig_mlx5(struct nic_facts *facts)
{
	nic_rig_base(facts, "mlx5_core", "28.43.2026 (MT_0000000838)", "0000:17:00.0");
	nic_rig_queues(facts, 16, 63, true);
	facts->rings = (struct nic_rings){ .known = true,
					   .rx = 1024,
					   .rx_max = 8192,
					   .split = NIC_SPLIT_OFF,
					   .thresh_known = true };
	facts->ntuple = (struct nic_feature){ true, true };
	facts->gro_hw = (struct nic_feature){ true, false };
	facts->hash_known = facts->hash_settable = facts->contexts_known = true;
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
	facts->hash_known = facts->hash_settable = true;
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
	facts->hash_known = facts->hash_settable = facts->contexts_known = true;
	nic_rig_table(facts, 256, 4);
	facts->rules = (struct nic_rules){ .known = true, .any_place = true };
}

/* Amazon's ENA: no header split that can be seen. */
static inline void nic_rig_ena(struct nic_facts *facts)
{
	nic_rig_base(facts, "ena", "", "0000:00:05.0");
	nic_rig_queues(facts, 8, 8, true);
	facts->rings = (struct nic_rings){ .known = true, .rx = 1024, .rx_max = 8192 };
	facts->hash_known = facts->hash_settable = true;
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

/* The steps of @plan, taken by a driver that does all that it is told. */
static inline void nic_rig_take(struct nic_facts *facts, const struct nic_step *step)
{
	bool own = true;

	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		for (unsigned i = 0; i < facts->table.n; i++)
			own = own && facts->table.queue[i] == i % facts->n_queues;
		nic_rig_queues(facts, facts->n_queues + (step->to - step->from),
			       step->combined ? facts->channels.combined_max :
						facts->channels.rx_max,
			       step->combined);
		if (own)
			nic_rig_table(facts, facts->table.n, facts->n_queues);
		break;
	case NIC_STEP_FEATURE:
		*(strcmp(step->feature, "rx-gro-hw") ? &facts->ntuple : &facts->gro_hw) =
			(struct nic_feature){ true, true };
		break;
	case NIC_STEP_RING:
		facts->rings.rx = step->to;
		break;
	case NIC_STEP_SPLIT:
		facts->rings.split = NIC_SPLIT_ON;
		break;
	case NIC_STEP_THRESH:
		facts->rings.thresh = step->to;
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

#endif
