/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of `sluicectl top` in terminals of every size, and what is sent to draw them; its options. */
#include "unit.h"

#include "frame.h"
#include "screen.h"
#include "table.h"
#include "top.h"

enum { MANY = 40 };

static struct json_object *add(struct json_object *object, const char *key,
			       struct json_object *value)
{
	json_object_object_add(object, key, value);
	return value;
}

static struct json_object *row_add(struct json_object *array)
{
	struct json_object *row = json_object_new_object();

	json_object_array_add(array, row);
	return row;
}

/* A reply with @n workers, namespaces with reads, and hosts. */
static struct json_object *reply_new(unsigned n)
{
	struct json_object *reply = json_object_new_object();
	struct json_object *workers = add(reply, "workers", json_object_new_array());
	struct json_object *namespaces = add(reply, "namespaces", json_object_new_array());
	struct json_object *hosts = add(reply, "hosts", json_object_new_array());

	add(reply, "uptime_ns", json_object_new_uint64(1000000000));
	for (unsigned i = 0; i < n; i++) {
		struct json_object *row = row_add(workers);
		char name[64];

		add(row, "worker", json_object_new_uint64(i));
		row = row_add(namespaces);
		add(row, "nqn", json_object_new_string("nqn.2026-11.com.example:volume"));
		add(row, "nsid", json_object_new_uint64(i + 1));
		add(row, "reads", json_object_new_uint64(1000000 - i));
		add(row, "read_bytes", json_object_new_uint64(5u << 20));
		add(row, "times",
		    json_tokener_parse("{\"read\":{\"total\":{\"sum_ns\":9000,\"buckets\":[[4096,3]]}}}"));
		row = row_add(hosts);
		snprintf(name, sizeof(name), "nqn.2026-11.com.example:host-%02u", i);
		add(row, "nqn", json_object_new_string("nqn.2026-11.com.example:volume"));
		add(row, "host_nqn", json_object_new_string(name));
		add(row, "connections", json_object_new_uint64(i == 3 ? 0 : 2));
	}
	return reply;
}

static char *frame_text(unsigned n, const char *note, struct frame_size size)
{
	struct json_object *reply = reply_new(n);
	struct rates rates;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	rates_init(&rates, NULL, reply, 0);
	frame_print(&rates, note, size, out);
	fclose(out);
	rates_fini(&rates);
	json_object_put(reply);
	return text;
}

static unsigned lines_of(const char *text, size_t *longest)
{
	unsigned lines = 0;

	*longest = 0;
	while (*text) {
		size_t n = strcspn(text, "\n");

		*longest = MAX(*longest, n);
		lines++;
		assert_int_equal(text[n], '\n');
		text += n + 1;
	}
	return lines;
}

static void test_frame(void **state)
{
	static const char *const pieces[] = {
		"sluiced up 1s: 0 connections, CPU 0%, 0% spinning\n",
		"each second of 1.0: 1999999 commands, 0 errors, 10 MiB read, 0 B written\n",
		"\nWORKER  CPU  SPINNING  CONNECTIONS",
		"\nNAMESPACE                           READS  WRITES",
		"nqn.2026-11.com.example:volume/1  1000000       0",
		"nqn.2026-11.com.example:volume/2   999999       0",
		"\nNAMESPACE                         TIMES, US  COUNT  FETCH",
		"nqn.2026-11.com.example:volume/1  read         3.0      0",
		"\nHOST                             SUBSYSTEM ",
		"nqn.2026-11.com.example:host-00  nqn.2026-11.com.example:volume  ",
	};
	char *text = frame_text(2, NULL, (struct frame_size){ 0 });
	const char *rest = text;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
		rest = strstr(rest, pieces[i]);
		if (!rest)
			fail_msg("\"%s\" is not where it belongs in\n%s", pieces[i], text);
		rest += strlen(pieces[i]);
	}
	free(text);
}

static void test_every_size(void **state)
{
	(void)state;
	for (unsigned columns = 1; columns < 200; columns += 3) {
		for (unsigned rows = 10; rows < 60; rows += 7) {
			const struct frame_size size = { columns, rows };
			size_t longest;
			char *text = frame_text(MANY, "a note", size);

			/* With 10 lines or less there is nothing but headings, which screen_draw() cuts. */
			assert_int_equal(lines_of(text, &longest), MAX(rows, 11u));
			assert_in_range(longest, 1, columns);
			free(text);
		}
	}
}

/* Without a bound of the terminal there is one; what it hides is told. */
static void test_many_rows(void **state)
{
	char *text = frame_text(MANY, NULL, (struct frame_size){ 0 });
	size_t longest;

	(void)state;
	assert_int_equal(lines_of(text, &longest), 2 + 4 * (2 + FRAME_ROWS));
	assert_non_null(strstr(text, "\nNAMESPACE (32 of 40) "));
	assert_non_null(strstr(text, "\nWORKER (32 of 40) "));
	/* One of them is not there, and has done nothing. */
	assert_non_null(strstr(text, "\nHOST (32 of 39) "));
	assert_null(strstr(text, "host-03"));
	free(text);
}

/* A name that is too long loses its beginning: the end tells it from others. */
static void test_narrow_names(void **state)
{
	char *text = frame_text(2, NULL, (struct frame_size){ 80, 24 });

	(void)state;
	assert_non_null(strstr(text, "\n..ample:volume/1  "));
	assert_null(strstr(text, "nqn.2026-11.com.example:volume/1"));
	free(text);
}

static void test_no_rates(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	frame_print(NULL, "waiting for it: \033[2J", (struct frame_size){ 20, 5 }, out);
	fclose(out);
	assert_string_equal(text, "waiting for it: ?[2J\n");
	free(text);
}

static void test_share(void **state)
{
	static const struct {
		unsigned rows, wanted[4], given[4];
	} rows[] = {
		{ 0, { 1, 2, 3, 4 }, { 0, 0, 0, 0 } },
		{ 9, { 1, 2, 3, 4 }, { 1, 2, 3, 3 } },
		{ 100, { 1, 2, 3, 4 }, { 1, 2, 3, 4 } },
		{ 10, { 40, 1, 0, 40 }, { 5, 1, 0, 4 } },
		{ 3, { 9, 9, 9, 9 }, { 1, 1, 1, 0 } },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned given[4];

		frame_share(rows[i].rows, rows[i].wanted, given, 4);
		assert_memory_equal(given, rows[i].given, sizeof(given));
	}
}

/* All in one piece: every line clears what was behind it, and the last one does not scroll. */
static void test_bytes(void **state)
{
	size_t len;
	char *bytes = screen_bytes("one\ntwo\nthree\n", 2, &len);

	(void)state;
	assert_string_equal(bytes, "\033[Hone\033[K\r\ntwo\033[K\033[J");
	assert_int_equal(len, strlen(bytes));
	free(bytes);
	bytes = screen_bytes("one\n", 5, &len);
	assert_string_equal(bytes, "\033[Hone\033[K\033[J");
	free(bytes);
	bytes = screen_bytes("", 5, &len);
	assert_string_equal(bytes, "\033[H\033[J");
	free(bytes);
}

static void test_options(void **state)
{
	static const char *const wrong[] = { "", "0",	"0.09", "-1",  "3600.1", "1s",	"nan",
					     " 1", "inf", "1e0",  "0x1", "1..2",   ".",	"99999999999" };
	static const char *const wrong_counts[] = { "", "0", "-1", " 1", "1.5", "x", "1x",
						    "99999999999999999999" };
	unsigned interval_ms;
	uint64_t count;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		if (top_interval_parse(wrong[i], &interval_ms))
			fail_msg("\"%s\" was taken", wrong[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong_counts); i++)
		if (top_count_parse(wrong_counts[i], &count))
			fail_msg("\"%s\" was taken", wrong_counts[i]);
	assert_true(top_interval_parse("0.1", &interval_ms));
	assert_int_equal(interval_ms, 100);
	assert_true(top_interval_parse("3600", &interval_ms));
	assert_int_equal(interval_ms, 3600000);
	assert_true(top_interval_parse("2.5", &interval_ms));
	assert_int_equal(interval_ms, 2500);
	assert_true(top_count_parse("12", &count));
	assert_int_equal(count, 12);
}

/* A table as narrow as can be: no line is longer, no character is cut in two. */
static void test_table_within(void **state)
{
	static const char *const headings[] = { "NAME", ">N", "REST", NULL };
	struct table table;

	(void)state;
	table_init(&table, headings);
	table_cell(&table, "gr\xc3\xb6\xc3\x9f" "er-als-der-platz-ist");
	table_cell(&table, "123");
	table_cell(&table, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc");
	for (unsigned width = 1; width < 50; width++) {
		char *text = NULL;
		unsigned column = 0;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		table_print_within(&table, width, out);
		fclose(out);
		for (const char *p = text; *p; p++) {
			if ((*p & 0xc0) == 0x80)
				continue;
			column = *p == '\n' ? 0 : column + 1;
			assert_in_range(column, 0, width);
			/* Of what is here, only these take two bytes, and both are there. */
			if ((unsigned char)*p == 0xc3)
				assert_int_equal(p[1] & 0xc0, 0x80);
		}
		if (width == 32)
			assert_non_null(strstr(text, "\n..als-der-platz-ist  123  "));
		free(text);
	}
	table_fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),	     cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_many_rows),    cmocka_unit_test(test_narrow_names),
		cmocka_unit_test(test_no_rates),     cmocka_unit_test(test_share),
		cmocka_unit_test(test_bytes),	     cmocka_unit_test(test_options),
		cmocka_unit_test(test_table_within),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
