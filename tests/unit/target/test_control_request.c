/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of the control socket: bytes to verbs. */
#include "unit.h"

#include <errno.h>

#include "target/control_request.h"

static void input_add(struct control_input *input, const char *bytes, size_t len)
{
	assert_true(len <= sizeof(input->bytes) - input->len);
	memcpy(input->bytes + input->len, bytes, len);
	input->len += len;
}

static struct control_request take(const char *line, size_t len)
{
	struct control_input input = { .len = 0 };
	struct control_request request;

	input_add(&input, line, len);
	assert_int_equal(control_request_take(&input, &request), 1);
	assert_int_equal(input.len, 0);
	return request;
}

static void test_accepted(void **state)
{
	static const char *const lines[] = {
		"{\"verb\": \"status\"}\n",
		"{\"verb\":\"status\"}\r\n",
		"  {  \"verb\"  :\t\"status\"  }  \n",
		"{\"verb\": \"st\\u0061tus\"}\n",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		struct control_request request = take(lines[i], strlen(lines[i]));

		assert_string_equal(request.error, "");
		assert_string_equal(request.verb, "status");
	}
}

static void test_members(void **state)
{
	static const char line[] =
		"{\"verb\": \"fault\", \"target\": \"nqn.x/1\", \"level\": \"info\", "
		"\"rules\": [\"read error=EIO\", \"any stuck\"]}\n";
	struct control_request request = take(line, strlen(line));

	(void)state;
	assert_string_equal(request.error, "");
	assert_string_equal(request.verb, "fault");
	assert_string_equal(request.target, "nqn.x/1");
	assert_string_equal(request.level, "info");
	assert_int_equal(request.n_rules, 2);
	assert_string_equal(request.rules[0], "read error=EIO");
	assert_string_equal(request.rules[1], "any stuck");
}

static void test_refused(void **state)
{
#define ROW(line, error) { line, sizeof(line) - 1, error }
	static const struct {
		const char *line;
		size_t len;
		const char *error;
	} rows[] = {
		ROW("\n", "ends before its JSON does"),
		ROW("{\n", "ends before its JSON does"),
		ROW("{\"verb\": \"status\"\n", "ends before its JSON does"),
		ROW("status\n", "not JSON"),
		ROW("{'verb': 'status'}\n", "not JSON"),
		ROW("{\"verb\": \"status\",}\n", "not JSON"),
		ROW("{\"verb\": \"status\"} {}\n", "not JSON"),
		ROW("{\"verb\": \"\xff\"}\n", "not JSON"),
		ROW("{\"verb\": [[[[1]]]]}\n", "not JSON"),
		ROW("null\n", "a request is an object"),
		ROW("[]\n", "a request is an object"),
		ROW("\"status\"\n", "a request is an object"),
		ROW("{}\n", "has no \"verb\""),
		ROW("{\"verbs\": \"status\"}\n", "has no \"verb\""),
		ROW("{\"verb\": \"status\", \"x\": 1}\n", "no members but \"verb\""),
		ROW("{\"verb\": \"status\", \"target\": 1}\n", "\"target\" is not a text"),
		ROW("{\"verb\": \"fault\", \"rules\": \"x\"}\n", "is not a list of at most 8"),
		ROW("{\"verb\": \"fault\", \"rules\": [1]}\n", "\"rules\" is not a text"),
		ROW("{\"verb\": \"fault\", \"rules\": [[]]}\n", "\"rules\" is not a text"),
		ROW("{\"verb\": \"fault\", \"rules\": [\"\"]}\n", "\"rules\" is empty"),
		ROW("{\"verb\": \"fault\", \"rules\": [1,2,3,4,5,6,7,8,9]}\n",
		    "is not a list of at most 8"),
		ROW("{\"verb\": \"log-level\", \"level\": \"12345678901234567890123456789012\"}\n",
		    "\"level\" is longer than 31 bytes"),
		ROW("{\"verb\": 1}\n", "is not a name"),
		ROW("{\"verb\": null}\n", "is not a name"),
		ROW("{\"verb\": \"\"}\n", "is not a name"),
		ROW("{\"verb\": \"status\\u0000\"}\n", "no name of a verb"),
		ROW("{\"verb\": \"12345678901234567890123456789012\"}\n", "no name of a verb"),
		ROW("{\"verb\": \"status\"}\0\n", "not JSON"),
	};
#undef ROW

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct control_request request = take(rows[i].line, rows[i].len);

		if (!strstr(request.error, rows[i].error))
			fail_msg("%s: said \"%s\", not \"%s\"", rows[i].line, request.error,
				 rows[i].error);
		assert_string_equal(request.verb, "");
	}
}

static void test_longest_verb(void **state)
{
	static const char line[] = "{\"verb\": \"1234567890123456789012345678901\"}\n";
	struct control_request request = take(line, sizeof(line) - 1);

	(void)state;
	assert_string_equal(request.error, "");
	assert_int_equal(strlen(request.verb), CONTROL_VERB_MAX - 1);
}

static void test_pieces(void **state)
{
	static const char lines[] = "{\"verb\": \"one\"}\n{\"verb\": \"two\"}\n{\"verb";
	struct control_input input = { .len = 0 };
	struct control_request request;
	unsigned taken = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) - 1; i++) {
		int rc;

		input_add(&input, lines + i, 1);
		rc = control_request_take(&input, &request);
		assert_int_equal(rc, lines[i] == '\n');
		if (rc)
			assert_string_equal(request.verb, taken++ ? "two" : "one");
	}
	assert_int_equal(taken, 2);
	assert_int_equal(input.len, strlen("{\"verb"));
}

static void test_several_at_once(void **state)
{
	static const char lines[] = "{\"verb\": \"one\"}\nrubbish\n{\"verb\": \"two\"}\n";
	struct control_input input = { .len = 0 };
	struct control_request request;

	(void)state;
	input_add(&input, lines, sizeof(lines) - 1);
	assert_int_equal(control_request_take(&input, &request), 1);
	assert_string_equal(request.verb, "one");
	assert_int_equal(control_request_take(&input, &request), 1);
	assert_string_not_equal(request.error, "");
	assert_int_equal(control_request_take(&input, &request), 1);
	assert_string_equal(request.verb, "two");
	assert_int_equal(control_request_take(&input, &request), 0);
}

static void test_too_long(void **state)
{
	static char longest[MAX_CONTROL_REQUEST];
	struct control_input input = { .len = 0 };
	struct control_request request;

	(void)state;
	memset(longest, ' ', sizeof(longest));
	longest[sizeof(longest) - 1] = '\n';
	memcpy(longest, "{\"verb\":\"x\"}", 12);
	input_add(&input, longest, sizeof(longest));
	assert_int_equal(control_request_take(&input, &request), 1);
	assert_string_equal(request.verb, "x");

	longest[sizeof(longest) - 1] = ' ';
	input_add(&input, longest, sizeof(longest) - 1);
	assert_int_equal(control_request_take(&input, &request), 0);
	input_add(&input, " ", 1);
	assert_int_equal(control_request_take(&input, &request), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted), cmocka_unit_test(test_members),     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_longest_verb), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_several_at_once), cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
