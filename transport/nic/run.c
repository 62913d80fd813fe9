/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/run.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* Puts the interface and the step before what the kernel said, or before what its number means. */
static void why_complete(const struct nic_run *run, const char *words, int rc, struct nic_why *why)
{
	char said[NIC_WHY_MAX / 2];

	snprintf(said, sizeof(said), "%.*s", (int)sizeof(said) - 1,
		 why->s[0] ? why->s : strerror(-rc));
	snprintf(why->s, sizeof(why->s), "%s: %s: refused by the driver or the kernel: %s",
		 run->name, words, said);
}

int nic_run(const struct nic_run *run, struct nic_plan *plan, struct nic_why *why)
{
	unsigned all = plan->n_steps;
	int rc = 0;

	for (unsigned i = 0; i < all && !rc; i++) {
		struct nic_step *step = &plan->step[i];

		why->s[0] = '\0';
		plan->n_steps = i + 1;
		rc = run->notes->keep(run->notes_arg, plan);
		if (rc) {
			snprintf(
				why->s, sizeof(why->s),
				"%s: what is changed cannot be noted down, so nothing is changed: %s",
				run->name, strerror(-rc));
			plan->n_steps = i;
			break;
		}
		rc = run->hands->apply(run->hands_arg, step, why);
		if (!rc) {
			log_info("%s: %s", run->name, nic_step_words(step).s);
			continue;
		}
		why_complete(run, nic_step_words(step).s, rc, why);
		/* Refused is not done, so there is nothing to undo; without an answer it may be either. */
		if (rc != -ETIMEDOUT)
			plan->n_steps = i;
	}
	if (rc)
		nic_run_undo(run, plan);
	else
		rc = run->notes->keep(run->notes_arg, plan); /* with what the kernel chose */
	return rc;
}

int nic_run_undo(const struct nic_run *run, struct nic_plan *plan)
{
	unsigned n = plan->n_steps, failed = 0;
	int first = 0;

	/* Those that cannot be undone stay, behind the ones that are still to be undone. */
	while (n-- > 0) {
		struct nic_step *step = &plan->step[n];
		struct nic_why why = { "" };
		int rc = 0;

		if (step->undo)
			rc = run->hands->undo(run->hands_arg, step, &plan->former, &why);
		if (rc) {
			why_complete(run, nic_step_undo_words(step).s, rc, &why);
			log_warning("%s; it is tried again at the next start", why.s);
			failed++;
			first = first ? first : rc;
			continue;
		}
		if (step->undo)
			log_info("%s: %s", run->name, nic_step_undo_words(step).s);
		memmove(step, step + 1, failed * sizeof(*step));
		plan->n_steps = n + failed;
		run->notes->keep(run->notes_arg, plan);
	}
	plan->n_steps = failed;
	run->notes->keep(run->notes_arg, plan);
	return first;
}
