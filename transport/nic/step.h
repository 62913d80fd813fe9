/* SPDX-License-Identifier: BSD-3-Clause */
/* One change of an interface: what, from what, to what. Pure; apply.c makes and undoes it. */
#ifndef SLUICE_NIC_STEP_H
#define SLUICE_NIC_STEP_H

#include "transport/nic/facts.h"
#include "transport/nic/rule.h"

enum nic_step_kind {
	NIC_STEP_CHANNELS, /* number of receive channels */
	NIC_STEP_FEATURE,  /* on */
	NIC_STEP_RINGS,	   /* header split, entries: in one call, as each may restart all queues */
	NIC_STEP_SPREAD,   /* default hash over the queues first .. first + count - 1 */
	NIC_STEP_CONTEXT,  /* a hash context over the queues first .. first + count - 1 */
	NIC_STEP_RULE,
	NIC_STEP_KINDS
};

enum { NIC_FEATURE_NAME_MAX = 32 };

struct nic_step {
	enum nic_step_kind kind;
	/*
	 * CHANNELS: counts. RINGS: entries; both 0: they stay. CONTEXT: @to is its identifier. FEATURE:
	 * @from is the number of steering rules that there were while it was off. SPREAD: @from is the
	 * entries of the former table, which is kept beside the steps; 0: it was the device's own, and
	 * resetting it brings that back.
	 */
	uint32_t from, to;
	bool combined; /* CHANNELS: combined ones, else of receive alone */
	char feature[NIC_FEATURE_NAME_MAX];
	enum nic_split split; /* RINGS: tcp-data-split as it was; it becomes "on" */
	uint32_t thresh;      /* RINGS: hds-thresh as it was, in bytes; it becomes 0 */
	bool rounded;	      /* RINGS: @to is what the driver made of what it was asked for */
	uint32_t first, count;
	struct nic_rule rule;
};

struct nic_step_text {
	char s[256];
};

/* The name of a kind in the state file, and back; NIC_STEP_KINDS when there is none of that name. */
const char *nic_step_kind_name(enum nic_step_kind kind);
enum nic_step_kind nic_step_kind_find(const char *name);

/* "tcp-data-split: off -> on", and what undoes it: "tcp-data-split off again". */
struct nic_step_text nic_step_words(const struct nic_step *step);
struct nic_step_text nic_step_undo_words(const struct nic_step *step);

/* How a person would do it: "ethtool -G eth0 tcp-data-split on". */
struct nic_step_text nic_step_command(const struct nic_step *step, const char *name);

struct nic_queues_text {
	char s[40];
};

/* "queue 7" or "queues 4 to 7". */
struct nic_queues_text nic_queues_words(uint32_t first, uint32_t count);

#endif
