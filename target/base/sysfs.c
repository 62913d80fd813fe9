/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/sysfs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sysfs_line(const char *dir, const char *name, char *line, size_t len)
{
	char path[PATH_MAX];
	FILE *f;
	bool ok;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(line, (int)len, f);
	fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

bool sysfs_number(const char *dir, const char *name, uint64_t *number)
{
	char line[32], *end;
	uint64_t value;

	if (!sysfs_line(dir, name, line, sizeof(line)))
		return false;
	errno = 0;
	value = strtoull(line, &end, 10);
	if (errno || end == line || *end)
		return false;
	*number = value;
	return true;
}
