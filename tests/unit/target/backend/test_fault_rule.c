/* SPDX-License-Identifier: BSD-3-Clause */
/* Fault rules: what is understood, what is refused and how, and which I/Os a rule strikes. */
#include "unit.h"

#include <errno.h>

#include "target/backend/fault_rule.h"

static struct fault_rule rule_of(const char *text)
{
	struct fault_rule rule;
	char err[256] = "";
	int rc = fault_rule_parse(text, &rule, err, sizeof(err));

	if (rc)
		fail_msg("%s", err);
	return rule;
}

static void refused(const char *text, const char *reason)
{
	struct fault_rule rule;
	char err[256] = "";

	assert_int_equal(fault_rule_parse(text, &rule, err, sizeof(err)), -EINVAL);
	/* The rule itself, and what is wrong with it. */
	if (!strstr(err, text) || !strstr(err, reason))
		fail_msg("\"%s\" does not say \"%s\"", err, reason);
}

static void actions_are_understood(void **state)
{
	struct fault_rule rule = rule_of("read error=EIO");

	(void)state;
	assert_int_equal(rule.opcodes, 1u << BACKEND_READ);
	assert_int_equal(rule.action, FAULT_ERROR);
	assert_int_equal(rule.error, -EIO);
	assert_int_equal(rule_of("write error=ENOSPC").error, -ENOSPC);
	assert_int_equal(rule_of("any error=ENODATA").error, -ENODATA);
	assert_int_equal(rule_of("any error=EIO").opcodes, (1u << BACKEND_OPCODES) - 1);
	rule = rule_of("flush delay=50ms");
	assert_int_equal(rule.action, FAULT_DELAY);
	assert_int_equal(rule.delay_ns, 50000000);
	assert_int_equal(rule_of("discard delay=7us").delay_ns, 7000);
	assert_int_equal(rule_of("discard delay=3600s").delay_ns, 3600000000000);
	assert_int_equal(rule_of("write_zeroes\tstuck").action, FAULT_STUCK);
}

static void selectors_are_understood(void **state)
{
	struct fault_rule rule = rule_of("  read   error=EIO every=3 after=10 count=2 lba=5-9");

	(void)state;
	assert_int_equal(rule.every, 3);
	assert_int_equal(rule.after, 10);
	assert_int_equal(rule.count, 2);
	assert_int_equal(rule.lba_first, 5);
	assert_int_equal(rule.lba_last, 9);
	rule = rule_of("any stuck lba=0-0");
	assert_false(rule.opcodes & 1u << BACKEND_FLUSH);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	refused("", "unknown operation \"\"");
	refused("reed error=EIO", "unknown operation \"reed\"");
	refused("read", "it has no action: use error=EIO");
	refused("read explode", "unknown action \"explode\"");
	refused("read stuckk", "unknown action \"stuckk\"");
	refused("read error=", "unknown error \"\"");
	refused("read error=EWHATEVER", "unknown error \"EWHATEVER\"");
	refused("read error=5", "unknown error \"5\"");
	refused("read delay=50", "bad delay \"50\"");
	refused("read delay=ms", "bad delay \"ms\"");
	refused("read delay=0ms", "bad delay");
	refused("read delay=-1ms", "bad delay");
	refused("read delay=3601s", "bad delay");
	refused("read delay=99999999999999999999s", "bad delay");
	refused("read stuck every=0", "bad number in \"every=0\"");
	refused("read stuck after=x", "bad number in \"after=x\"");
	refused("read stuck count=1x", "bad number in \"count=1x\"");
	refused("read stuck lba=5", "bad blocks");
	refused("read stuck lba=9-5", "bad blocks");
	refused("read stuck lba=-5", "bad blocks");
	refused("read stuck lba=1-2-3", "bad blocks");
	refused("flush stuck lba=1-2", "a flush has no blocks");
	refused("read stuck sometimes", "unknown selector \"sometimes\"");
	refused("read error=EIO error=EIO", "unknown selector \"error=EIO\"");
}

static void a_long_rule_is_refused(void **state)
{
	char text[CONFIG_FAULT_RULE_MAX + 16], err[256];
	struct fault_rule rule;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(fault_rule_parse(text, &rule, err, sizeof(err)), -EINVAL);
	/* A message that does not fit is cut, nothing else. */
	assert_int_equal(fault_rule_parse(text, &rule, err, 10), -EINVAL);
	assert_true(strlen(err) < 10);
}

/* One character an I/O: '!' where the rule strikes. */
static void strikes(const char *text, const char *expected)
{
	struct fault_rule rule = rule_of(text);

	for (size_t i = 0; expected[i]; i++)
		assert_int_equal(fault_rule_strikes(&rule, BACKEND_READ, i, i), expected[i] == '!');
}

static void counts_decide(void **state)
{
	(void)state;
	strikes("read stuck", "!!!!!!");
	strikes("write stuck", "......");
	strikes("any stuck every=3", "..!..!..!");
	strikes("any stuck after=2", "..!!!!");
	strikes("any stuck count=2", "!!....");
	strikes("any stuck after=2 every=2 count=2", "...!.!....");
	strikes("any stuck lba=2-3", "..!!..");
	/* Only what touches the blocks is counted. */
	strikes("any stuck lba=2-7 every=2", "...!.!.!..");
}

static void any_touch_of_the_blocks_counts(void **state)
{
	struct fault_rule rule = rule_of("any stuck lba=10-19");

	(void)state;
	assert_false(fault_rule_strikes(&rule, BACKEND_WRITE, 0, 9));
	assert_true(fault_rule_strikes(&rule, BACKEND_WRITE, 0, 10));
	assert_true(fault_rule_strikes(&rule, BACKEND_WRITE, 0, 100));
	assert_true(fault_rule_strikes(&rule, BACKEND_WRITE, 12, 13));
	assert_true(fault_rule_strikes(&rule, BACKEND_WRITE, 19, 30));
	assert_false(fault_rule_strikes(&rule, BACKEND_WRITE, 20, 30));
	assert_false(fault_rule_strikes(&rule, BACKEND_FLUSH, 0, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(actions_are_understood),
		cmocka_unit_test(selectors_are_understood),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_long_rule_is_refused),
		cmocka_unit_test(counts_decide),
		cmocka_unit_test(any_touch_of_the_blocks_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
