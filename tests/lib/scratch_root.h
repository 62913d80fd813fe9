/* SPDX-License-Identifier: BSD-3-Clause */
/* A made-up root directory with files as the kernel would show them in /proc and /sys. */
#ifndef SLUICE_TESTS_LIB_SCRATCH_ROOT_H
#define SLUICE_TESTS_LIB_SCRATCH_ROOT_H

#include <sys/stat.h>

#include "unit.h"

static char scratch_root[64];

/* Setup of a test: an empty root. */
static inline int scratch_root_make(void **state)
{
	(void)state;
	snprintf(scratch_root, sizeof(scratch_root), "/tmp/sluice-root-XXXXXX");
	return mkdtemp(scratch_root) ? 0 : -1;
}

/* Teardown of a test. */
static inline int scratch_root_remove(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", scratch_root);
	return system(command);
}

/* Writes @text to @path below the root, with all directories that it needs. */
static inline void scratch_root_write(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", scratch_root, path);
	for (char *slash = full + strlen(scratch_root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#endif
