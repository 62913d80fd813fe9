/* SPDX-License-Identifier: BSD-3-Clause */
/* A seed is a session: always the same, never too large, and with all there is to try among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gen.h"

enum { SEEDS = 2000 };

static struct session one, other;

static void test_a_seed_is_a_session(void **state)
{
	unsigned same = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		memset(&one, 0, sizeof(one));
		memset(&other, 0, sizeof(other));
		gen_session(&one, seed, GEN_CONNS_DEFAULT);
		gen_session(&other, seed, GEN_CONNS_DEFAULT);
		assert_memory_equal(&one, &other, sizeof(one));
		gen_session(&other, seed + 1, GEN_CONNS_DEFAULT);
		same += one.n == other.n &&
			!memcmp(one.actions, other.actions, one.n * sizeof(*one.actions));
	}
	assert_int_equal(same, 0);
}

static void test_bounds_are_kept(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		unsigned conns = 1 + (unsigned)seed % SCRIPT_CONNS;

		gen_session(&one, seed, conns);
		assert_in_range(one.n, 1, SCRIPT_ACTIONS);
		for (unsigned i = 0; i < one.n; i++) {
			const struct action *a = &one.actions[i];

			assert_in_range(a->conn, 0, conns - 1);
			assert_in_range(a->verb, 0, VERBS - 1);
			assert_in_range(a->n_edits, 0, SCRIPT_EDITS);
			assert_in_range(a->n_splits, 0, SCRIPT_SPLITS);
			if (a->verb == VERB_CMD)
				assert_in_range(a->arg[CMD_DATA], 0, SCRIPT_DATA_MAX);
			if (a->verb == VERB_DATA)
				assert_in_range(a->arg[DATA_LEN], 0, SCRIPT_DATA_MAX);
		}
	}
}

/* A mutation never breaks the list, even when it is full or as short as can be. */
static void test_mutations_of_extremes(void **state)
{
	struct rng rng = { .state = 5 };

	(void)state;
	one.n = SCRIPT_ACTIONS;
	for (unsigned i = 0; i < one.n; i++)
		one.actions[i] = (struct action){ .verb = (uint8_t)(i % VERBS) };
	for (unsigned i = 0; i < 20000; i++) {
		gen_mutate(&one, &rng);
		assert_in_range(one.n, 1, SCRIPT_ACTIONS);
	}
	one.n = 1;
	one.actions[0] = (struct action){ .verb = VERB_WAIT };
	for (unsigned i = 0; i < 200; i++) {
		gen_mutate(&one, &rng);
		assert_in_range(one.n, 1, SCRIPT_ACTIONS);
	}
}

static void test_everything_occurs(void **state)
{
	unsigned verbs[VERBS] = { 0 }, edits = 0, cuts = 0, splits = 0, stale = 0, more = 0, whole = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		unsigned spoilt = 0;

		gen_session(&one, seed, GEN_CONNS_DEFAULT);
		for (unsigned i = 0; i < one.n; i++) {
			const struct action *a = &one.actions[i];

			verbs[a->verb]++;
			edits += a->n_edits;
			cuts += a->is_cut;
			splits += a->n_splits;
			stale += a->stale;
			more += a->more;
			spoilt += a->n_edits || a->is_cut || a->n_splits || a->verb == VERB_RAW;
		}
		whole += !spoilt;
	}
	for (unsigned i = 0; i < VERBS; i++)
		assert_true(verbs[i] > 10);
	assert_true(edits > SEEDS / 4 && cuts > 20 && splits > 20 && stale > 10 && more > 100);
	/* Most of what is sent is right, so that what is wrong meets deep states. */
	assert_true(whole > SEEDS / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_seed_is_a_session),
		cmocka_unit_test(test_bounds_are_kept),
		cmocka_unit_test(test_mutations_of_extremes),
		cmocka_unit_test(test_everything_occurs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
