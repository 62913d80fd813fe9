/* SPDX-License-Identifier: BSD-3-Clause */
/* Collects what a configuration reports, for the tests of config/. */
#ifndef SLUICE_TESTS_CONFIG_FAULTS_H
#define SLUICE_TESTS_CONFIG_FAULTS_H

#include "unit.h"

#include "config/config.h"

struct reports {
	unsigned n;
	char text[1 << 16]; /* one line each */
};

static inline void reports_add(void *arg, const char *message)
{
	struct reports *reports = arg;
	size_t len = strlen(reports->text);

	reports->n++;
	snprintf(reports->text + len, sizeof(reports->text) - len, "%s\n", message);
}

/* The configuration that @text describes; fails the test when it is refused. */
static inline void parse_good(struct config *config, const char *text)
{
	static struct reports reports;

	memset(&reports, 0, sizeof(reports));
	if (config_parse(config, "t.conf", text, strlen(text), reports_add, &reports))
		fail_msg("refused:\n%s\nbecause:\n%s", text, reports.text);
	assert_int_equal(reports.n, 0);
}

/* What is reported about @text, which must be refused with @error. Valid until the next call. */
static inline const struct reports *parse_bad(const char *text, size_t len, int error)
{
	static struct reports reports;
	struct config config;
	int rc;

	memset(&reports, 0, sizeof(reports));
	rc = config_parse(&config, "t.conf", text, len, reports_add, &reports);
	if (rc == 0)
		fail_msg("accepted:\n%s", text);
	assert_int_equal(rc, error);
	assert_true(reports.n > 0);
	return &reports;
}

/* The dump of @config, to be freed. */
static inline char *dump_text(const struct config *config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	config_dump(config, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* The path of @name in the source tree, which this file is part of. */
static inline void source_path(char *path, size_t size, const char *name)
{
	const char *here = __FILE__, *tests = strstr(here, "tests/unit/config/");

	assert_non_null(tests);
	snprintf(path, size, "%.*s%s", (int)(tests - here), here, name);
}

#endif
