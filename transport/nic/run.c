/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/run.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* Puts the interface and the step before what the kernel said, or before what its number means. */
static void why_complete(const struct nic_run *run, const struct nic_step *step, int rc,
			 struct nic_why *why)
{
	char said[NIC_WHY_MAX / 2];

	snprintf(said, sizeof(said), "%.*s", (int)sizeof(said) - 1,
		 why->s[0] ? why->s : strerror(-rc));
	snprintf(why->s, sizeof(why->s), "%s: %s: refused by the driver or the kernel: %s",
		 run->name, nic_step_words(step).s, said);
}

/* Notes the step and makes it. */
static int step_make(const struct nic_run *run, struct nic_plan *plan, struct nic_step *step,
		     struct nic_why *why)
{
	int rc = run->notes->keep(run->notes_arg, plan);

	why->s[0] = '\0';
	if (rc) {
		snprintf(why->s, sizeof(why->s),
			 "%s: what is changed cannot be noted down, so nothing is changed: %s",
			 run->name, strerror(-rc));
		return rc;
	}
	rc = run->hands->apply(run->hands_arg, step, why);
	if (rc)
		why_complete(run, step, rc, why);
	else
		log_info("%s: %s", run->name, nic_step_words(step).s);
	return rc;
}

int nic_run(const struct nic_run *run, struct nic_plan *plan, struct nic_why *why)
{
	unsigned all = plan->n_steps;

	for (unsigned i = 0; i < all; i++) {
		int rc;

		plan->n_steps = i + 1;
		rc = step_make(run, plan, &plan->step[i], why);
		if (!rc)
			continue;
		plan->n_steps = i;
		run->notes->keep(run->notes_arg, plan);
		nic_run_undo(run, plan);
		return rc;
	}
	return 0;
}

/* 0, or negative errno when it cannot be taken back. */
static int step_undo(const struct nic_run *run, const struct nic_plan *plan,
		     const struct nic_step *step)
{
	struct nic_why why = { "" };
	int rc = run->hands->undo(run->hands_arg, step, &plan->former, &why);

	if (rc < 0)
		log_warning("%s: %s: cannot be undone: %s; it is tried again at the next start",
			    run->name, nic_step_words(step).s, why.s[0] ? why.s : strerror(-rc));
	else if (rc == NIC_LEFT_ALONE)
		log_info("%s: %s: left alone: %s", run->name, nic_step_words(step).s,
			 why.s[0] ? why.s : "it is not so any more");
	else
		log_info("%s: %s", run->name, nic_step_undo_words(step).s);
	return rc < 0 ? rc : 0;
}

int nic_run_undo(const struct nic_run *run, struct nic_plan *plan)
{
	unsigned n = plan->n_steps, failed = 0;
	int first = 0;

	/* Those that cannot be undone stay, behind the ones that are still to be undone. */
	while (n-- > 0) {
		struct nic_step *step = &plan->step[n];
		int rc = step_undo(run, plan, step);

		if (rc) {
			failed++;
			first = first ? first : rc;
			continue;
		}
		memmove(step, step + 1, failed * sizeof(*step));
		plan->n_steps = n + failed;
		run->notes->keep(run->notes_arg, plan);
	}
	return first;
}
