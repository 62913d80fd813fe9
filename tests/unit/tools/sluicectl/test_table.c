/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables, and what may stand in them. */
#include "unit.h"

#include "table.h"

static const char *const headings[] = { "NAME", ">COUNT", "WHAT", NULL };

static char *table_text(const struct table *table)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	table_print(table, out);
	fclose(out);
	return text;
}

static void test_columns(void **state)
{
	struct table table;
	char *text;

	(void)state;
	table_init(&table, headings);
	table_cell(&table, "a");
	table_cell(&table, "%d", 5);
	table_cell(&table, "first");
	table_cell(&table, "longer");
	table_cell(&table, "%d", 1234567);
	table_cell(&table, "-");
	text = table_text(&table);
	assert_string_equal(text, "NAME      COUNT  WHAT\n"
				  "a             5  first\n"
				  "longer  1234567  -\n");
	free(text);
	table_fini(&table);
}

static void test_no_rows(void **state)
{
	struct table table;
	char *text;

	(void)state;
	table_init(&table, headings);
	text = table_text(&table);
	assert_string_equal(text, "NAME  COUNT  WHAT\n");
	free(text);
	table_fini(&table);
}

static void test_many_rows(void **state)
{
	struct table table;
	unsigned lines = 0;
	char *text;

	(void)state;
	table_init(&table, headings);
	for (int i = 0; i < 3 * 1000; i++)
		table_cell(&table, "%d", i);
	text = table_text(&table);
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 1001);
	assert_non_null(strstr(text, "2997"));
	free(text);
	table_fini(&table);
}

/* A remote host chooses its name; it must not drive the terminal of who looks at it. */
static void test_control_characters(void **state)
{
	struct table table;
	char *text;

	(void)state;
	table_init(&table, headings);
	table_cell(&table, "\033[2J\r\n");
	table_cell(&table, "\x7f");
	table_cell(&table, "\xc2\x9b" "31m");
	text = table_text(&table);
	assert_non_null(strstr(text, "?[2J??"));
	assert_non_null(strstr(text, "??31m\n"));
	for (const char *p = text; *p; p++)
		assert_true(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
	free(text);
	table_fini(&table);
}

/* Characters count, not bytes. */
static void test_width_of_utf8(void **state)
{
	struct table table;
	char *text;

	(void)state;
	table_init(&table, headings);
	table_cell(&table, "gr\xc3\xb6\xc3\x9f" "er");
	table_cell(&table, "1");
	table_cell(&table, "x");
	table_cell(&table, "larger");
	table_cell(&table, "1");
	table_cell(&table, "x");
	text = table_text(&table);
	assert_string_equal(text, "NAME    COUNT  WHAT\n"
				  "gr\xc3\xb6\xc3\x9f" "er      1  x\n"
				  "larger      1  x\n");
	free(text);
	table_fini(&table);
}

static void test_durations(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "0 ms" },
		{ 999, "999 ms" },
		{ 1000, "1s" },
		{ 59999, "59s" },
		{ 60000, "1m 0s" },
		{ 3599999, "59m 59s" },
		{ 3600000, "1h 0m" },
		{ 86399999, "23h 59m" },
		{ 86400000, "1d 0h" },
		{ 90000000000, "1041d 16h" },
		{ UINT64_MAX, "213503982334d 14h" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(duration_text(rows[i].ms).s, rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_no_rows),
		cmocka_unit_test(test_many_rows),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_width_of_utf8),
		cmocka_unit_test(test_durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
