/* SPDX-License-Identifier: BSD-3-Clause */
/* The fault backend over ram: errors, delays, I/O that never ends, and how that ends after all. */
#include "backend_rig.h"

#include <errno.h>

#include "target/backend/fault.h"

enum { BLOCK = 512, MIB = 1 << 20 };

static void rig_setup(struct rig *rig, const char *const *rules, unsigned n)
{
	rig->config = rig_config("ram");
	rig->config.size = MIB;
	rig->config.n_faults = n;
	for (unsigned i = 0; i < n; i++)
		snprintf(rig->config.fault[i], sizeof(rig->config.fault[i]), "%s", rules[i]);
	rig_open(rig);
}

static uint64_t elapsed_ms(uint64_t since_ns)
{
	return (clock_now_ns() - since_ns) / 1000000;
}

static void errors_hit_what_they_name(void **state)
{
	static const char *const rules[] = { "read error=ENODATA lba=8-9",
					     "flush error=EIO every=2",
					     "write error=ENOSPC after=1 count=1",
					     "discard error=ENODEV", "write_zeroes error=EROFS" };
	struct rig rig;

	(void)state;
	rig_setup(&rig, rules, ARRAY_SIZE(rules));
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 8 * BLOCK), 0);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 9 * BLOCK), -ENODATA);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 10 * BLOCK, BLOCK), 0);
	assert_int_equal(rig_op(&rig, BACKEND_FLUSH, 0, 0, 0), 0);
	assert_int_equal(rig_op(&rig, BACKEND_FLUSH, 0, 0, 0), -EIO);
	assert_int_equal(rig_op(&rig, BACKEND_FLUSH, 0, 0, 0), 0);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 0, BLOCK), 0);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 0, BLOCK), -ENOSPC);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 0, BLOCK), 0);
	assert_int_equal(rig_op(&rig, BACKEND_DISCARD, 0, 0, BLOCK), -ENODEV);
	assert_int_equal(rig_op(&rig, BACKEND_WRITE_ZEROES, 0, 0, BLOCK), -EROFS);
	rig_close(&rig);
}

static void a_failed_write_changes_nothing(void **state)
{
	static const char *const rules[] = { "write error=EIO after=1" };
	struct rig rig;

	(void)state;
	rig_setup(&rig, rules, 1);
	memset(rig.area.base, 0x11, BLOCK);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 0, BLOCK), 0);
	memset(rig.area.base, 0x22, BLOCK);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 0, BLOCK), -EIO);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, BLOCK), 0);
	for (int i = 0; i < BLOCK; i++)
		assert_int_equal(((char *)rig.area.base)[i], 0x11);
	rig_close(&rig);
}

static void the_first_rule_that_strikes_decides(void **state)
{
	static const char *const rules[] = { "read error=EIO count=1", "any error=ENOSPC count=1" };
	struct rig rig;

	(void)state;
	rig_setup(&rig, rules, 2);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, BLOCK), -EIO);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, BLOCK), -ENOSPC);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, BLOCK), 0);
	rig_close(&rig);
}

static void a_delayed_read_comes_late_and_right(void **state)
{
	static const char *const rules[] = { "read delay=60ms" };
	uint64_t begin_ns;
	struct rig rig;

	(void)state;
	rig_setup(&rig, rules, 1);
	memset(rig.area.base, 0x33, BLOCK);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, BLOCK, BLOCK), 0);
	memset(rig.area.base, 0, BLOCK);
	begin_ns = clock_now_ns();
	assert_int_equal(rig_rw(&rig, BACKEND_READ, BLOCK, BLOCK), 0);
	assert_in_range(elapsed_ms(begin_ns), 59, 5000);
	assert_int_equal(((char *)rig.area.base)[BLOCK - 1], 0x33);
	rig_close(&rig);
}

static void rig_io_cancel(void *arg)
{
	struct rig_io *rio = arg;

	backend_cancel(rio->rig->backend, &rio->lt->loop, &rio->io);
}

static void a_held_io_can_be_cancelled(void **state)
{
	static const char *const rules[] = { "read stuck", "write delay=3600s" };
	struct rig_io read, write;
	struct rig rig;

	(void)state;
	rig_setup(&rig, rules, 2);
	rig_io_init(&read, &rig, BACKEND_READ, 0, BLOCK);
	rig_io_add(&read, &rig.area, 0, BLOCK);
	rig_io_init(&write, &rig, BACKEND_WRITE, 0, BLOCK);
	rig_io_add(&write, &rig.area, BLOCK, BLOCK);
	rig_io_start(&read);
	rig_io_start(&write);
	/* Others are not held up by it. */
	assert_int_equal(rig_op(&rig, BACKEND_FLUSH, 0, 0, 0), 0);
	assert_int_equal(read.completions + write.completions, 0);
	loop_thread_call(&rig.lt, rig_io_cancel, &read);
	assert_int_equal(rig_io_wait(&read), -ECANCELED);
	loop_thread_call(&rig.lt, rig_io_cancel, &write);
	assert_int_equal(rig_io_wait(&write), -ECANCELED);
	rig_close(&rig);
}

static void detaching_ends_what_is_stuck(void **state)
{
	static const char *const rules[] = { "read stuck every=2", "read delay=3600s" };
	static struct rig_io ios[10];
	struct rig rig;

	(void)state;
	rig_setup(&rig, rules, 2);
	for (size_t i = 0; i < ARRAY_SIZE(ios); i++) {
		rig_io_init(&ios[i], &rig, BACKEND_READ, 0, BLOCK);
		rig_io_add(&ios[i], &rig.area, 0, BLOCK);
		rig_io_start(&ios[i]);
	}
	rig_close(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(ios); i++)
		assert_int_equal(rig_io_wait(&ios[i]), -ECANCELED);
}

static void the_wrapper_shows_what_is_below(void **state)
{
	static const char *const rules[] = { "read error=EIO count=1" };
	struct rig rig;

	(void)state;
	rig_setup(&rig, rules, 1);
	assert_string_equal(rig.backend->ops->name, "ram");
	assert_string_equal(rig.backend->path, "ram 1 MiB");
	assert_contains(rig.backend->detail, "1 rule");
	/* Mapped memory would bypass the rules. */
	assert_null(rig.backend->ops->map);
	assert_int_equal(backend_size(rig.backend), MIB);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), 0);
	assert_int_equal(rig.backend->ops->health(rig.backend, &(struct nvme_smart_log){ 0 }),
			 -ENOTSUP);
	rig_close(&rig);
}

/* While nothing is in flight, so that the loop may be said to stand still. */
static void rules_change(struct rig *rig, const char *rule)
{
	char rules[1][CONFIG_FAULT_RULE_MAX] = { "" }, err[BACKEND_ERROR_MAX];
	struct loop *loops[] = { &rig->lt.loop };
	struct fault_change *change;

	if (rule)
		snprintf(rules[0], sizeof(rules[0]), "%s", rule);
	assert_int_equal(fault_change_new(rig->backend, rules, rule ? 1 : 0, &change, err,
					  sizeof(err)),
			 0);
	rig->backend = fault_change_apply(rig->backend, change, loops, 1);
}

static void rules_release(void *arg)
{
	struct rig *rig = arg;

	fault_release(rig->backend, &rig->lt.loop);
}

static void no_rules_are_no_wrapper(void **state)
{
	struct backend *before;
	struct rig rig;

	(void)state;
	rig_setup(&rig, NULL, 0);
	before = rig.backend;
	rules_change(&rig, NULL);
	loop_thread_call(&rig.lt, rules_release, &rig);
	assert_ptr_equal(rig.backend, before);
	rig_close(&rig);
}

static void memory_is_lent_while_there_are_no_rules(void **state)
{
	struct span span;
	struct rig rig;

	(void)state;
	rig_setup(&rig, NULL, 0);
	for (int i = 0; i < 2; i++) {
		rules_change(&rig, "read error=EIO");
		assert_null(rig.backend->ops->map);
		assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, BLOCK), -EIO);

		rules_change(&rig, NULL);
		loop_thread_call(&rig.lt, rules_release, &rig);
		memset(rig.area.base, 0x44 + i, BLOCK);
		assert_int_equal(rig_rw(&rig, BACKEND_WRITE, BLOCK, BLOCK), 0);
		assert_int_equal(rig.backend->ops->map(rig.backend, BLOCK, BLOCK, false, &span), 0);
		assert_int_equal(((char *)span.area->base)[span.offset], 0x44 + i);
		assert_string_equal(rig.backend->ops->name, "ram");
		assert_string_equal(rig.backend->path, "ram 1 MiB");
		assert_string_equal(rig.backend->detail, "");
	}
	rig_close(&rig);
}

static void a_new_size_is_shown(void **state)
{
	struct rig rig = { .config = rig_config("null") };
	char err[BACKEND_ERROR_MAX];

	(void)state;
	rig.config.size = MIB;
	rig_open(&rig);
	rules_change(&rig, "read error=EIO");
	rig.config.size = 2 * MIB;
	assert_int_equal(rig.backend->ops->resize(rig.backend, &rig.config, false, err, sizeof(err)),
			 0);
	assert_string_equal(rig.backend->path, "null 2 MiB");
	rig.backend->ops->undo(rig.backend, &rig.config);
	assert_string_equal(rig.backend->path, "null 1 MiB");
	assert_int_equal(backend_size(rig.backend), MIB);
	rig_close(&rig);
}

static void a_bad_rule_is_refused_with_its_place(void **state)
{
	struct config_namespace config = rig_config("ram");
	char err[BACKEND_ERROR_MAX];

	(void)state;
	config.size = MIB;
	config.n_faults = 2;
	strcpy(config.fault[0], "read error=EIO");
	strcpy(config.fault[1], "read error=EOOPS");
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "fault = read error=EOOPS");
	/* A good rule does not hide what is wrong below. */
	config.n_faults = 1;
	config.size = 0;
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "size");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_hit_what_they_name),
		cmocka_unit_test(a_failed_write_changes_nothing),
		cmocka_unit_test(the_first_rule_that_strikes_decides),
		cmocka_unit_test(a_delayed_read_comes_late_and_right),
		cmocka_unit_test(a_held_io_can_be_cancelled),
		cmocka_unit_test(detaching_ends_what_is_stuck),
		cmocka_unit_test(the_wrapper_shows_what_is_below),
		cmocka_unit_test(no_rules_are_no_wrapper),
		cmocka_unit_test(memory_is_lent_while_there_are_no_rules),
		cmocka_unit_test(a_new_size_is_shown),
		cmocka_unit_test(a_bad_rule_is_refused_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
