/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process dies at each moment of setting up, undoing or recovering, before or after what it was about
 * to do: whoever comes next, with nothing but the state file, leaves the interface as it was.
 */
#include "unit.h"

#include <errno.h>
#include <setjmp.h>
#include <unistd.h>

#include "base/log.h"
#include "nic_rig.h"
#include "scratch_root.h"
#include "transport/nic/run.h"
#include "transport/nic/state.h"

enum { LOOPBACK = 1, NEVER = 1000, MOMENTS_MAX = 200, STEPS = 6 };

static struct nic_facts before, now; /* the interface */
static struct nic_plan plan;
static struct nic_state note;
static struct nic_why why;
static unsigned moment, death; /* which one it is, and the one to die at */
static unsigned refused;       /* the step that the driver refuses */
static jmp_buf grave;

static void moment_pass(void)
{
	if (moment++ == death)
		longjmp(grave, 1);
}

static int rig_apply(void *arg, struct nic_step *step, struct nic_why *w)
{
	(void)arg;
	(void)w;
	moment_pass();
	if (refused != NEVER && step == &plan.step[refused])
		return -EINVAL;
	nic_rig_take(&now, step);
	moment_pass();
	return 0;
}

static int rig_undo(void *arg, const struct nic_step *step, const struct nic_table *former,
		    struct nic_why *w)
{
	(void)arg;
	(void)w;
	moment_pass();
	if (!nic_rig_is_taken(&now, step))
		return NIC_LEFT_ALONE;
	nic_rig_take_back(&now, step, former);
	moment_pass();
	return 0;
}

static int rig_keep(void *arg, const struct nic_plan *p)
{
	int rc;

	(void)arg;
	moment_pass();
	rc = nic_state_save(&note, p);
	moment_pass();
	return rc;
}

static const struct nic_hands hands = { .apply = rig_apply, .undo = rig_undo };
static const struct nic_notes notes = { .keep = rig_keep };
static const struct nic_run run = { .name = "eth0", .hands = &hands, .notes = &notes };

/* A process begins, with what the file says. */
static int process_begin(void)
{
	assert_int_equal(nic_state_open(&note, scratch_root, "eth0", &why), 0);
	memset(&plan, 0, sizeof(plan));
	moment = 0;
	return nic_state_load(&note, &plan, &why);
}

static void set_up(void)
{
	struct sockaddr_storage listeners[] = { nic_rig_address("0.0.0.0", 4420),
						nic_rig_address("::", 4420) };
	const struct nic_wants wants = { .name = "eth0",
					 .queues = 8,
					 .ring = 1000, /* the driver makes 1024 of it */
					 .setup = true,
					 .listeners = listeners,
					 .n_listeners = 2 };

	assert_int_equal(process_begin(), -ENOENT);
	note.ifindex = LOOPBACK;
	if (nic_plan_make(&plan, &now, &wants, &why))
		fail_msg("refused: %s", why.s);
	assert_true(plan.n_steps >= STEPS);
	assert_int_equal(nic_run(&run, &plan, &why), refused == NEVER ? 0 : -EINVAL);
	if (refused == NEVER)
		nic_run_undo(&run, &plan);
}

static void recover(void)
{
	int rc = process_begin();

	assert_true(rc == 0 || rc == -ENOENT);
	if (!rc)
		assert_int_equal(nic_run_undo(&run, &plan), 0);
}

/* Runs @process until its death at the moment @at; false: it survived. */
static bool dies(void (*process)(void), unsigned at)
{
	volatile bool dead = true; /* across longjmp() */

	death = at;
	if (!setjmp(grave)) {
		process();
		dead = false;
	}
	death = NEVER;
	nic_state_close(&note);
	return dead;
}

static void assert_as_before(unsigned at)
{
	if (memcmp(&before, &now, sizeof(now)))
		fail_msg("died at moment %u: the interface is another", at);
	assert_int_equal(access(note.path, F_OK), -1);
}

/* Dies at each moment; who recovers then dies too, later each time, until one lives. */
static unsigned dies_everywhere(void)
{
	for (unsigned at = 0; at < MOMENTS_MAX; at++) {
		now = before;
		if (!dies(set_up, at)) {
			assert_as_before(at);
			return at;
		}
		for (unsigned again = at % 3; dies(recover, again); again += 3)
			;
		assert_as_before(at);
	}
	fail_msg("never survived");
	return 0;
}

/* All goes well but for the deaths; then the same with each step refused in turn. */
static void dies_on(void (*nic)(struct nic_facts *facts))
{
	nic(&before);
	before.ntuple = (struct nic_feature){ true, false };
	before.table.queue[5] = 7; /* by hand: the former table matters */
	refused = NEVER;
	assert_true(dies_everywhere() > 6 * STEPS);
	for (refused = 0; refused < STEPS; refused++)
		assert_true(dies_everywhere() > 2 + 6 * refused);
}

static void a_nic_with_contexts(void **state)
{
	(void)state;
	dies_on(nic_rig_bnxt);
}

static void a_nic_that_splits_by_merging(void **state)
{
	(void)state;
	dies_on(nic_rig_mlx5);
}

static void a_nic_without_contexts(void **state)
{
	(void)state;
	dies_on(nic_rig_gve);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_nic_with_contexts),
		cmocka_unit_test(a_nic_that_splits_by_merging),
		cmocka_unit_test(a_nic_without_contexts),
	};

	log_init(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, scratch_root_make, scratch_root_remove);
}
