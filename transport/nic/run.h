/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs the steps of a plan and takes them back. What it does to the interface, and where it keeps
 * note of it, it is given: so the order can be tested without either.
 */
#ifndef SLUICE_NIC_RUN_H
#define SLUICE_NIC_RUN_H

#include "transport/nic/plan.h"

enum { NIC_LEFT_ALONE = 1 };

/* PORT: how steps reach an interface. Each returns 0, or negative errno and *@why. */
struct nic_hands {
	/* Makes the change, or fails and changes nothing. May fill in what the kernel chose. */
	int (*apply)(void *arg, struct nic_step *step, struct nic_why *why);
	/*
	 * Takes it back if it is still there: a step that was never made, or that someone has undone or
	 * made otherwise since, is left alone: NIC_LEFT_ALONE, with a clause in *@why when that is not
	 * the reason.
	 */
	int (*undo)(void *arg, const struct nic_step *step, const struct nic_table *former,
		    struct nic_why *why);
};

/*
 * PORT: the note of what is changed, with the steps of @plan in it and no others; without steps there
 * is no note. Kept before a change is made, and after one is undone. 0 or negative errno.
 */
struct nic_notes {
	int (*keep)(void *arg, const struct nic_plan *plan);
};

struct nic_run {
	const char *name; /* of the interface, for messages */
	const struct nic_hands *hands;
	void *hands_arg;
	const struct nic_notes *notes;
	void *notes_arg;
};

/* Makes all steps in order. When one fails, those that were made are undone; *@why says which it was. */
int nic_run(const struct nic_run *run, struct nic_plan *plan, struct nic_why *why);

/*
 * Takes back all steps of @plan, last first. One that cannot be is logged and stays noted, the rest
 * is done. Returns 0 or the first error.
 */
int nic_run_undo(const struct nic_run *run, struct nic_plan *plan);

#endif
