/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions and their text: what is written is read again, what is wrong is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "gen.h"

enum { SEEDS = 400 };

static struct session one, other;

static void written_and_read(const struct session *session)
{
	char error[128] = "", line[SCRIPT_LINE], again[SCRIPT_LINE];
	FILE *file = tmpfile();

	assert_non_null(file);
	assert_int_equal(session_write(session, "a note", file), 0);
	rewind(file);
	assert_int_equal(session_read(&other, file, error, sizeof(error)), 0);
	fclose(file);
	assert_string_equal(error, "");
	assert_int_equal(other.seed, session->seed);
	assert_int_equal(other.n, session->n);
	for (unsigned i = 0; i < session->n; i++) {
		action_print(&session->actions[i], line);
		action_print(&other.actions[i], again);
		assert_string_equal(line, again);
		assert_memory_equal(other.actions[i].arg, session->actions[i].arg,
				    sizeof(other.actions[i].arg));
		assert_int_equal(other.actions[i].verb, session->actions[i].verb);
		assert_int_equal(other.actions[i].n_edits, session->actions[i].n_edits);
		assert_int_equal(other.actions[i].n_splits, session->actions[i].n_splits);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		gen_session(&one, seed, 1 + seed % SCRIPT_CONNS);
		written_and_read(&one);
	}
}

static void test_everything_in_a_line(void **state)
{
	static const char text[] = "15 cmd op=1 cid=0xffff nsid=0xffffffff flags=64 sgl=90 len=0x1000 "
				   "addr=0xffffffffffffffff cdw10=1 cdw15=2 data=512 @4:4^0x80000000 "
				   "@300:8+0xfffffffffffffffe @0:1=0x0 cut=0 split=24/0 split=72/250 stale more";
	char line[SCRIPT_LINE];
	struct action a;

	(void)state;
	assert_null(action_parse(&a, text));
	assert_int_equal(a.conn, 15);
	assert_int_equal(a.arg[CMD_ADDR], UINT64_MAX);
	assert_int_equal(a.arg[CMD_DATA], 512);
	assert_int_equal(a.n_edits, 3);
	assert_int_equal(a.edits[1].op, '+');
	assert_true(a.is_cut && a.cut == 0 && a.stale && a.more);
	assert_int_equal(a.splits[1].pause_ms, 250);
	action_print(&a, line);
	assert_string_equal(line, text);
}

static void test_wrong_lines(void **state)
{
	static const char *const lines[] = {
		"", "open", "16 open", "0", "0 dance", "0 open cid=1", "0 icreq hpda", "0 icreq hpda=",
		"0 icreq hpda=-1", "0 icreq hpda=1x", "0 icreq @0", "0 icreq @0:3=1", "0 icreq @0:1*1",
		"0 icreq @70000:1=1", "0 icreq cut=", "0 icreq split=3", "0 icreq split=1/70000",
		"0 wait ms=60001", "0 raw len=1048577", "0 cmd data=1048577", "0 term len=1048577",
		"0 data len=1048577", "0 icreq @0:1=1 @0:1=1 @0:1=1 @0:1=1 @0:1=1",
		"0 icreq hpda=99999999999999999999",
	};
	struct action a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (!action_parse(&a, lines[i]))
			fail_msg("taken: '%s'", lines[i]);
}

static void test_wrong_file(void **state)
{
	char error[128];
	FILE *file = tmpfile();

	(void)state;
	fputs("# nothing\nseed 1\n", file);
	rewind(file);
	assert_int_not_equal(session_read(&one, file, error, sizeof(error)), 0);
	assert_non_null(strstr(error, "no action"));
	rewind(file);
	fputs("seed 7\n0 open\n\n0 dance\n", file);
	rewind(file);
	assert_int_not_equal(session_read(&one, file, error, sizeof(error)), 0);
	assert_non_null(strstr(error, "line 4: an unknown verb"));
	rewind(file);
	for (unsigned i = 0; i <= SCRIPT_ACTIONS; i++)
		fputs("0 open\n", file);
	rewind(file);
	assert_int_not_equal(session_read(&one, file, error, sizeof(error)), 0);
	assert_non_null(strstr(error, "more actions"));
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_everything_in_a_line),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_wrong_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
