/* SPDX-License-Identifier: BSD-3-Clause */
/* Running a plan and taking it back: the order, what is noted when, and what happens when a step fails. */
#include "unit.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "nic_rig.h"
#include "transport/nic/run.h"

enum { STEPS = 5 };

/* What was asked for, in order: "note 1", "apply 0", "undo 0", ... */
static char events[1024];
static unsigned fail_apply, fail_undo, fail_note; /* step or number of steps; STEPS + 1: none */
static unsigned left_alone;			  /* step; STEPS + 1: none */
static struct nic_plan plan;
static struct nic_why why;

static void event(const char *what, unsigned number)
{
	size_t len = strlen(events);

	snprintf(events + len, sizeof(events) - len, "%s%s %u", len ? ", " : "", what, number);
}

static int fake_apply(void *arg, struct nic_step *step, struct nic_why *w)
{
	(void)arg;
	event("apply", step->first);
	if (step->first != fail_apply)
		return 0;
	snprintf(w->s, sizeof(w->s), "the words of the kernel");
	return -EINVAL;
}

static int fake_undo(void *arg, const struct nic_step *step, const struct nic_table *former,
		     struct nic_why *w)
{
	(void)arg;
	(void)w;
	assert_ptr_equal(former, &plan.former);
	event("undo", step->first);
	if (step->first == left_alone)
		return NIC_LEFT_ALONE;
	return step->first == fail_undo ? -EIO : 0;
}

static int fake_keep(void *arg, const struct nic_plan *p)
{
	(void)arg;
	event("note", p->n_steps);
	return p->n_steps == fail_note ? -ENOSPC : 0;
}

static const struct nic_hands hands = { .apply = fake_apply, .undo = fake_undo };
static const struct nic_notes notes = { .keep = fake_keep };
static const struct nic_run run = { .name = "eth0", .hands = &hands, .notes = &notes };

/* STEPS steps of ring sizes, which `first` tells apart. */
static int reset(void **state)
{
	(void)state;
	events[0] = '\0';
	fail_apply = fail_undo = fail_note = left_alone = STEPS + 1;
	plan.n_steps = STEPS;
	for (unsigned i = 0; i < STEPS; i++)
		plan.step[i] = (struct nic_step){ .kind = NIC_STEP_CHANNELS,
						  .from = 100 + i,
						  .to = 200 + i,
						  .first = i };
	return 0;
}

static void each_step_is_noted_before_it_is_made(void **state)
{
	(void)state;
	assert_int_equal(nic_run(&run, &plan, &why), 0);
	assert_string_equal(events, "note 1, apply 0, note 2, apply 1, note 3, apply 2, note 4, "
				    "apply 3, note 5, apply 4");
	assert_int_equal(plan.n_steps, STEPS);
	events[0] = '\0';
	assert_int_equal(nic_run_undo(&run, &plan), 0);
	/* Without undone steps in what is noted, last first; nothing noted at the end. */
	assert_string_equal(events,
			    "undo 4, note 4, undo 3, note 3, undo 2, note 2, undo 1, note 1, "
			    "undo 0, note 0");
	assert_int_equal(plan.n_steps, 0);
}

static void a_refused_step_undoes_those_before(void **state)
{
	(void)state;
	fail_apply = 3;
	assert_int_equal(nic_run(&run, &plan, &why), -EINVAL);
	assert_string_equal(events, "note 1, apply 0, note 2, apply 1, note 3, apply 2, note 4, "
				    "apply 3, note 3, undo 2, note 2, undo 1, note 1, undo 0, note 0");
	assert_string_equal(why.s, "eth0: rx channels: 103 -> 203: refused by the driver or the "
				   "kernel: the words of the kernel");
	/* The first one: nothing is noted then. */
	reset(state);
	fail_apply = 0;
	assert_int_equal(nic_run(&run, &plan, &why), -EINVAL);
	assert_string_equal(events, "note 1, apply 0, note 0");
}

static void nothing_is_made_that_is_not_noted(void **state)
{
	(void)state;
	fail_note = 1;
	assert_int_equal(nic_run(&run, &plan, &why), -ENOSPC);
	assert_string_equal(events, "note 1, note 0");
	assert_non_null(strstr(why.s, "eth0: what is changed cannot be noted down"));
	reset(state);
	fail_note = 3;
	assert_int_equal(nic_run(&run, &plan, &why), -ENOSPC);
	assert_string_equal(events,
			    "note 1, apply 0, note 2, apply 1, note 3, note 2, undo 1, note 1, "
			    "undo 0, note 0");
}

static void what_cannot_be_undone_stays_noted(void **state)
{
	(void)state;
	assert_int_equal(nic_run(&run, &plan, &why), 0);
	events[0] = '\0';
	fail_undo = 3;
	assert_int_equal(nic_run_undo(&run, &plan), -EIO);
	assert_string_equal(events,
			    "undo 4, note 4, undo 3, undo 2, note 3, undo 1, note 2, undo 0, "
			    "note 1");
	assert_int_equal(plan.n_steps, 1);
	assert_int_equal(plan.step[0].first, 3);
	/* The next time it works. */
	fail_undo = STEPS + 1;
	assert_int_equal(nic_run_undo(&run, &plan), 0);
	assert_int_equal(plan.n_steps, 0);
}

static void several_that_cannot_keep_their_order(void **state)
{
	(void)state;
	fail_undo = 4;
	assert_int_equal(nic_run_undo(&run, &plan), -EIO);
	assert_int_equal(plan.n_steps, 1);
	reset(state);
	plan.step[1].first = fail_undo = 3; /* 1 and 3 fail */
	assert_int_equal(nic_run_undo(&run, &plan), -EIO);
	assert_int_equal(plan.n_steps, 2);
	assert_int_equal(plan.step[0].from, 101);
	assert_int_equal(plan.step[1].from, 103);
}

/* A step that was left alone is not said to be undone, and a failure names the step. */
static void what_is_logged_is_what_was_done(void **state)
{
	char text[4096];
	FILE *log = tmpfile();
	int fd = dup(STDERR_FILENO);

	(void)state;
	assert_non_null(log);
	fflush(stderr);
	dup2(fileno(log), STDERR_FILENO);
	left_alone = 1;
	fail_undo = 2;
	assert_int_equal(nic_run_undo(&run, &plan), -EIO);
	fflush(stderr);
	dup2(fd, STDERR_FILENO);
	close(fd);
	rewind(log);
	text[fread(text, 1, sizeof(text) - 1, log)] = '\0';
	fclose(log);
	assert_non_null(strstr(text, "eth0: rx channels back to 103"));
	assert_non_null(strstr(text, "eth0: rx channels: 102 -> 202: cannot be undone: "));
	assert_non_null(strstr(text, "eth0: rx channels: 101 -> 201: left alone: it is not so"));
	assert_null(strstr(text, "back to 101"));
	assert_null(strstr(text, "back to 102"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_step_is_noted_before_it_is_made, reset),
		cmocka_unit_test_setup(a_refused_step_undoes_those_before, reset),
		cmocka_unit_test_setup(what_is_logged_is_what_was_done, reset),
		cmocka_unit_test_setup(nothing_is_made_that_is_not_noted, reset),
		cmocka_unit_test_setup(what_cannot_be_undone_stays_noted, reset),
		cmocka_unit_test_setup(several_that_cannot_keep_their_order, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
