/* SPDX-License-Identifier: BSD-3-Clause */
/* The minimiser on targets that are made up: what is left is what their fault needs, and no more. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gen.h"
#include "shrink.h"

static struct session session;

static bool has(const struct session *s, enum verb verb, unsigned *at)
{
	for (; *at < s->n; (*at)++)
		if (s->actions[*at].verb == verb)
			return true;
	return false;
}

/* Fails if an ICReq comes somewhere before a Write with an edit of its third byte or of at least 100 bytes. */
static int needs_three(void *arg, const struct session *s)
{
	unsigned at = 0, *runs = arg;

	(*runs)++;
	if (!has(s, VERB_ICREQ, &at))
		return 0;
	for (at++; at < s->n; at++) {
		const struct action *a = &s->actions[at];

		if (a->verb != VERB_CMD || a->arg[CMD_LEN] < 100)
			continue;
		for (unsigned i = 0; i < a->n_edits; i++)
			if (a->edits[i].offset == 2)
				return 1;
	}
	return 0;
}

static void large_session(void)
{
	struct rng rng = { .state = 1 };
	struct action *a;

	gen_walk(&session, &rng, SCRIPT_CONNS);
	while (session.n < 100) {
		struct action filler = { .verb = VERB_WAIT, .arg = { 5 } };

		session_insert(&session, session.n, &filler);
	}
	a = &session.actions[60];
	*a = (struct action){ .verb = VERB_CMD, .n_edits = 3, .n_splits = 2, .stale = true,
			      .more = true, .is_cut = true, .cut = 70 };
	a->arg[CMD_LEN] = 8192;
	a->arg[CMD_NSID] = 1;
	a->edits[0] = (struct edit){ 9, 1, '=', 3 };
	a->edits[1] = (struct edit){ 2, 1, '=', 3 };
	a->edits[2] = (struct edit){ 4, 4, '^', 3 };
}

static void test_only_what_is_needed_stays(void **state)
{
	unsigned runs = 0;
	int rc;

	(void)state;
	large_session();
	assert_int_equal(needs_three(&runs, &session), 1);
	runs = 0;
	rc = shrink(&session, needs_three, &runs, 10000);
	assert_int_equal(rc, runs);
	assert_int_equal(session.n, 2);
	assert_int_equal(session.actions[0].verb, VERB_ICREQ);
	assert_int_equal(session.actions[1].n_edits, 1);
	assert_int_equal(session.actions[1].edits[0].offset, 2);
	assert_int_equal(session.actions[1].arg[CMD_LEN], 128);
	assert_int_equal(session.actions[1].arg[CMD_NSID], 0);
	assert_int_equal(session.actions[1].n_splits, 0);
	assert_false(session.actions[1].stale || session.actions[1].more || session.actions[1].is_cut);
}

static void test_runs_are_bounded(void **state)
{
	unsigned runs = 0;

	(void)state;
	large_session();
	assert_int_equal(shrink(&session, needs_three, &runs, 7), 7);
	assert_int_equal(runs, 7);
	assert_int_equal(needs_three(&runs, &session), 1);
}

static int dies_at_tenth(void *arg, const struct session *s)
{
	unsigned *runs = arg;
	int rc = needs_three(arg, s);

	return *runs == 10 ? -EIO : rc;
}

static void test_an_error_ends_it(void **state)
{
	unsigned runs = 0;

	(void)state;
	large_session();
	assert_int_equal(shrink(&session, dies_at_tenth, &runs, 1000), -EIO);
	assert_int_equal(runs, 10);
	assert_int_equal(needs_three(&runs, &session), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_is_needed_stays),
		cmocka_unit_test(test_runs_are_bounded),
		cmocka_unit_test(test_an_error_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
