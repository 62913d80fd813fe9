/* SPDX-License-Identifier: BSD-3-Clause */
/* What plan.c and steer.c share. */
#ifndef SLUICE_NIC_PLANNER_H
#define SLUICE_NIC_PLANNER_H

#include "base/compiler.h"
#include "transport/nic/driver.h"
#include "transport/nic/plan.h"

struct planner {
	struct nic_plan *plan;
	const struct nic_facts *facts;
	const struct nic_wants *wants;
	const struct nic_driver *driver; /* NULL: not known */
	struct nic_why *why;
	bool contexts; /* connections are spread by a hash context, else by rules alone */
};

/* Writes the sentence and returns @rc. */
int __printf(3, 4) planner_refuse(const struct planner *p, int rc, const char *fmt, ...);

/* Adds a step, or says that the operator has not made it, where that is the operator's to do. */
int planner_step(struct planner *p, const struct nic_step *step);

/*
 * Adds the step that switches a feature on, unless it is on, or cannot be switched; @from is kept in
 * the step.
 */
int planner_feature(struct planner *p, const struct nic_feature *feature, const char *name,
		    uint32_t from);

/* Receive queues that there are now. */
uint32_t planner_queues_now(const struct nic_facts *facts);

/* The hash of other connections, and the rules of ours; plan->first and count are known. */
int planner_steering(struct planner *p);

#endif
