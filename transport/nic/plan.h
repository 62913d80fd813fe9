/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what an interface is and what is wanted of it to what is to be done, or to the sentence that
 * says why not. Pure.
 */
#ifndef SLUICE_NIC_PLAN_H
#define SLUICE_NIC_PLAN_H

#include "transport/nic/step.h"

enum {
	NIC_PLAN_RULES = 256,
	NIC_PLAN_STEPS = NIC_STEP_KINDS + 1 + NIC_PLAN_RULES, /* there are two features */
};

struct nic_plan {
	uint32_t first, count; /* the zero-copy queues */
	unsigned n_steps;
	struct nic_step step[NIC_PLAN_STEPS]; /* in the order in which they are made */
	struct nic_table former; /* default indirection table, for the step that changes it */
	struct nic_why remark;	 /* what could not be judged; empty: nothing */
};

/* 0 and *@plan, or negative errno (those of nic_open()) and *@why. */
int nic_plan_make(struct nic_plan *plan, const struct nic_facts *facts,
		  const struct nic_wants *wants, struct nic_why *why);

/* For people: what the interface is, and what the plan does to it and how that is undone. */
void nic_facts_print(const struct nic_facts *facts, FILE *out);
void nic_plan_print(const struct nic_plan *plan, const struct nic_facts *facts, FILE *out);

/* "bnxt_en 7.3.4, firmware 229.0.157.0, 0000:3b:00.0" */
void nic_facts_describe(const struct nic_facts *facts, char *text, size_t size);

#endif
