/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounce buffers: who gets one when all are in use. */
#include "loop_thread.h"
#include "target/backend/bounce.h"

enum { USERS = 3, WAITERS = 20 };

struct waiter {
	struct list link;
	struct bounce_user *user;
};

static struct loop_thread lt;
static struct bounce bounce;
static struct bounce_user users[USERS];
static struct waiter waiters[USERS][WAITERS];

static int setup(void **state)
{
	(void)state;
	loop_thread_init(&lt);
	assert_int_equal(bounce_init(&bounce, &lt.loop, 1), 0);
	for (unsigned u = 0; u < USERS; u++) {
		bounce_user_init(&users[u]);
		for (unsigned i = 0; i < WAITERS; i++)
			waiters[u][i].user = &users[u];
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_fini(&lt.loop);
	bounce_fini(&bounce);
	return 0;
}

static int get(unsigned user, unsigned waiter)
{
	return bounce_get(&bounce, &users[user], &waiters[user][waiter].link);
}

/* A piece of @user comes back; who gets it? */
static struct waiter *put(unsigned user, int piece)
{
	int next = -1;
	struct list *link = bounce_put(&bounce, &users[user], piece, &next);

	if (!link)
		return NULL;
	assert_in_range(next, 0, BOUNCE_PIECES - 1);
	return list_entry(link, struct waiter, link);
}

/* All that one user may have: the others are left some, and each takes its own back in order. */
static void one_user_cannot_take_all(void **state)
{
	int piece = -1;

	(void)state;
	for (unsigned i = 0; i < BOUNCE_SHARE; i++)
		assert_true((piece = get(0, i)) >= 0);
	for (unsigned i = BOUNCE_SHARE; i < WAITERS; i++)
		assert_int_equal(get(0, i), -1);
	for (unsigned i = 0; i < BOUNCE_PIECES - BOUNCE_SHARE; i++)
		assert_true(get(1, i) >= 0);
	assert_int_equal(bounce.n_free, 0);
	/* Nobody else waits: the first in line gets what its user gives back. */
	for (unsigned i = BOUNCE_SHARE; i < WAITERS; i++)
		assert_ptr_equal(put(0, piece), &waiters[0][i]);
	assert_null(put(0, piece));
	assert_int_equal(users[0].n_held, BOUNCE_SHARE - 1);
	assert_int_equal(bounce.n_free, 1);
}

/* What comes back goes around, however many of one user wait and whoever gives it. */
static void users_take_turns(void **state)
{
	unsigned served[USERS] = { 0 };
	int piece = -1;

	(void)state;
	for (unsigned i = 0; i < BOUNCE_PIECES; i++)
		assert_true((piece = get(i % 2, i)) >= 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(get(2, i), -1);
	for (unsigned i = BOUNCE_PIECES; i < WAITERS; i++) {
		assert_int_equal(get(0, i), -1);
		assert_int_equal(get(1, i), -1);
	}
	for (unsigned i = 0; i < 6; i++) {
		struct waiter *next = put(0, piece);

		assert_non_null(next);
		served[next->user - users]++;
	}
	for (unsigned u = 0; u < USERS; u++)
		assert_int_equal(served[u], 2);
}

static void who_leaves_is_not_served(void **state)
{
	int piece = -1;

	(void)state;
	for (unsigned i = 0; i < BOUNCE_PIECES; i++)
		assert_true((piece = get(i % 2, i)) >= 0);
	assert_int_equal(get(0, 16), -1);
	assert_int_equal(get(2, 0), -1);
	assert_int_equal(get(2, 1), -1);
	bounce_leave(&users[0], &waiters[0][16].link);
	bounce_leave(&users[2], &waiters[2][0].link);
	assert_ptr_equal(put(0, piece), &waiters[2][1]);
	assert_null(put(0, piece));
	assert_int_equal(bounce.n_free, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_user_cannot_take_all, setup, teardown),
		cmocka_unit_test_setup_teardown(users_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(who_leaves_is_not_served, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
