/* SPDX-License-Identifier: BSD-3-Clause */
#include "shrink.h"

#include <string.h>

#include "base/compiler.h"
#include "gen.h"

struct shrinking {
	struct session *best;
	struct session next; /* to be tried */
	shrink_fails fails;
	void *arg;
	int runs, tries;
	int error;
};

/* Whether @s->next fails too: then it is the best. */
static bool attempt(struct shrinking *s)
{
	int rc;

	if (s->error || s->runs == s->tries)
		return false;
	s->runs++;
	rc = s->fails(s->arg, &s->next);
	if (rc < 0)
		s->error = rc;
	if (rc <= 0)
		return false;
	*s->best = s->next;
	return true;
}

/* Leaves out actions, first many at a time. */
static bool actions_shrink(struct shrinking *s)
{
	bool smaller = false;

	for (unsigned n = MAX(s->best->n / 2, 1u); n; n /= 2) {
		for (unsigned at = 0; at < s->best->n;) {
			s->next = *s->best;
			session_remove(&s->next, at, MIN(n, s->best->n - at));
			if (s->next.n && attempt(s))
				smaller = true;
			else
				at += n;
		}
	}
	return smaller;
}

/* Tries one number of an action at 0, then at its half. */
static bool number_shrink(struct shrinking *s, unsigned at, unsigned arg)
{
	uint64_t value = s->best->actions[at].arg[arg];
	bool smaller = false;

	if (!value)
		return false;
	s->next = *s->best;
	s->next.actions[at].arg[arg] = 0;
	if (attempt(s))
		return true;
	while (value > 1) {
		value /= 2;
		s->next = *s->best;
		s->next.actions[at].arg[arg] = value;
		if (!attempt(s))
			break;
		smaller = true;
	}
	return smaller;
}

static bool edits_shrink(struct shrinking *s, unsigned at)
{
	bool smaller = false;

	for (unsigned i = 0; i < s->best->actions[at].n_edits;) {
		struct action *a = &s->next.actions[at];

		s->next = *s->best;
		memmove(a->edits + i, a->edits + i + 1, (--a->n_edits - i) * sizeof(*a->edits));
		if (attempt(s))
			smaller = true;
		else
			i++;
	}
	for (unsigned i = 0; i < s->best->actions[at].n_splits;) {
		struct action *a = &s->next.actions[at];

		s->next = *s->best;
		memmove(a->splits + i, a->splits + i + 1, (--a->n_splits - i) * sizeof(*a->splits));
		if (attempt(s))
			smaller = true;
		else
			i++;
	}
	return smaller;
}

static bool flags_shrink(struct shrinking *s, unsigned at)
{
	bool smaller = false;

	if (s->best->actions[at].stale) {
		s->next = *s->best;
		s->next.actions[at].stale = false;
		smaller |= attempt(s);
	}
	if (s->best->actions[at].more) {
		s->next = *s->best;
		s->next.actions[at].more = false;
		smaller |= attempt(s);
	}
	if (s->best->actions[at].is_cut) {
		s->next = *s->best;
		s->next.actions[at].is_cut = false;
		s->next.actions[at].cut = 0;
		smaller |= attempt(s);
	}
	return smaller;
}

int shrink(struct session *session, shrink_fails fails, void *arg, int tries)
{
	static struct shrinking s;
	bool smaller = true;

	s = (struct shrinking){ .best = session, .fails = fails, .arg = arg, .tries = tries };
	while (smaller && !s.error && s.runs < tries) {
		smaller = actions_shrink(&s);
		for (unsigned at = 0; at < session->n; at++) {
			smaller |= edits_shrink(&s, at);
			smaller |= flags_shrink(&s, at);
			for (unsigned i = 0; i < SCRIPT_ARGS; i++)
				smaller |= number_shrink(&s, at, i);
		}
	}
	return s.error ? s.error : s.runs;
}
