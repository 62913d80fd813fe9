/* SPDX-License-Identifier: BSD-3-Clause */
/* Replays the corpus of fuzz_config.c in every build, also where there is no libFuzzer. */
#include <dirent.h>

#include "faults.h"

/* Refused with a message, or a configuration whose dump reads back as itself. */
static void text_replay(const char *text, size_t len)
{
	static struct reports reports;
	struct config first, second;
	char *dump, *again;

	memset(&reports, 0, sizeof(reports));
	if (config_parse(&first, "corpus", text, len, reports_add, &reports)) {
		assert_true(reports.n > 0);
		return;
	}
	assert_int_equal(reports.n, 0);
	dump = dump_text(&first);
	parse_good(&second, dump);
	again = dump_text(&second);
	assert_string_equal(dump, again);
	free(dump);
	free(again);
	config_free(&first);
	config_free(&second);
}

static void file_replay(const char *path)
{
	static char text[CONFIG_FILE_BYTES_MAX];
	FILE *file = fopen(path, "r");
	size_t len;

	assert_non_null(file);
	len = fread(text, 1, sizeof(text), file);
	assert_int_equal(ferror(file), 0);
	fclose(file);
	text_replay(text, len);
}

static void test_corpus(void **state)
{
	char dir[4096], path[4096 + 256 + 2];
	struct dirent *entry;
	unsigned n = 0;
	DIR *corpus;

	(void)state;
	source_path(dir, sizeof(dir), "tests/fuzz/corpus/config");
	corpus = opendir(dir);
	assert_non_null(corpus);
	while ((entry = readdir(corpus))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		file_replay(path);
		n++;
	}
	closedir(corpus);
	assert_true(n >= 10);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_corpus) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
