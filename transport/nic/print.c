/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "transport/nic/driver.h"
#include "transport/nic/plan.h"

void nic_facts_describe(const struct nic_facts *facts, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s, firmware %s%s%s",
		 facts->driver[0] ? facts->driver : "unknown driver", facts->version[0] ? " " : "",
		 facts->version, facts->firmware[0] ? facts->firmware : "unknown",
		 facts->bus[0] ? ", " : "", facts->bus);
}

static const char *split_word(enum nic_split split)
{
	return split == NIC_SPLIT_ON ? "on" : split == NIC_SPLIT_OFF ? "off" : "unset";
}

static const char *feature_word(const struct nic_feature *feature)
{
	return feature->on ? "on" : feature->changeable ? "off" : "no";
}

/* "TEXT: -" for what is not known, so that a line is always there to look for. */
static void number_print(FILE *out, const char *what, bool known, uint32_t value)
{
	if (known)
		fprintf(out, ", %s %u", what, value);
	else
		fprintf(out, ", %s -", what);
}

void nic_facts_print(const struct nic_facts *facts, FILE *out)
{
	const struct nic_channels *c = &facts->channels;
	const struct nic_rings *r = &facts->rings;
	char text[192];

	if (!facts->link.index)
		return;
	nic_facts_describe(facts, text, sizeof(text));
	fprintf(out, "%s: %s%s\n", facts->name, text,
		nic_driver_find(facts->driver) ?
			"" :
			"; the driver is not known to be able to do zero-copy receive");
	fprintf(out, "  receive queues: %u", facts->n_queues);
	number_print(out, "at most", c->known, c->combined_max ? c->combined_max : c->rx_max);
	fprintf(out, "\n  receive rings: tcp-data-split %s", split_word(r->split));
	number_print(out, "hds-thresh", r->thresh_known, r->thresh);
	number_print(out, "entries", r->rx_max, r->rx);
	number_print(out, "at most", r->rx_max, r->rx_max);
	fprintf(out, "\n  features: rx-ntuple-filter %s, rx-gro-hw %s\n",
		feature_word(&facts->ntuple), feature_word(&facts->gro_hw));
	fprintf(out, "  receive hash: table of %u entries, contexts %s", facts->table.n,
		facts->contexts_known ? "yes" : "no");
	number_print(out, "of others", facts->contexts_known, facts->n_contexts);
	fprintf(out, "\n  steering rules: %s", facts->rules.known ? "yes" : "no");
	number_print(out, "in use", facts->rules.known, facts->rules.n);
	for (unsigned i = 0; i < facts->n_queues; i++)
		if (facts->taken[i] != NIC_QUEUE_FREE)
			fprintf(out, "\n  queue %u is taken", i);
	fputc('\n', out);
}

void nic_plan_print(const struct nic_plan *plan, const struct nic_facts *facts, FILE *out)
{
	fprintf(out, "%s: zero-copy %s, for worker%s 0", facts->name,
		nic_queues_words(plan->first, plan->count).s, plan->count > 1 ? "s" : "");
	if (plan->count > 1)
		fprintf(out, " to %u", plan->count - 1);
	fprintf(out, "; %s for the rest of the machine\n", nic_queues_words(0, plan->first).s);
	if (!plan->n_steps)
		fprintf(out, "  all is as it must be: nothing to change\n");
	for (unsigned i = 0; i < plan->n_steps; i++) {
		const struct nic_step *step = &plan->step[i];

		fprintf(out, "  %u. %s\n", i + 1, nic_step_words(step).s);
		fprintf(out, "     as by: %s\n", nic_step_command(step, facts->name).s);
		fprintf(out, "     at stop: %s\n", nic_step_undo_words(step).s);
	}
	if (plan->remark.s[0])
		fprintf(out, "  but %s\n", plan->remark.s);
}
