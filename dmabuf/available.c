/* SPDX-License-Identifier: BSD-3-Clause */
#include "dmabuf/available.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

/* What a version of the memory control group calls its files, and where they are. */
struct cgroup_names {
	const char *mount;
	const char *limit;
	const char *usage;
	const char *cache[2]; /* in memory.stat: what the kernel gives up before it refuses */
};

static const struct cgroup_names cgroup2 = {
	.mount = "/sys/fs/cgroup",
	.limit = "memory.max",
	.usage = "memory.current",
	.cache = { "inactive_file", "active_file" },
};

static const struct cgroup_names cgroup1 = {
	.mount = "/sys/fs/cgroup/memory",
	.limit = "memory.limit_in_bytes",
	.usage = "memory.usage_in_bytes",
	.cache = { "total_inactive_file", "total_active_file" },
};

/* A file that holds one number; false when there is none, or it says "max". */
static bool number_read(const char *path, uint64_t *value)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fscanf(f, "%" SCNu64, value) == 1;

	if (f)
		fclose(f);
	return ok;
}

/* The number behind the word @name at the begin of a line of @path; 0 when there is none. */
static uint64_t word_read(const char *path, const char *name)
{
	char line[256], word[64];
	uint64_t value, found = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %" SCNu64, word, &value) == 2 && !strcmp(word, name))
			found = value;
	}
	fclose(f);
	return found;
}

static void group_check(const struct cgroup_names *names, const char *root, const char *group,
			struct memory_available *available)
{
	char dir[PATH_MAX / 2], path[PATH_MAX];
	uint64_t limit, usage, cache, left;

	snprintf(dir, sizeof(dir), "%s%s%s", root, names->mount, group);
	snprintf(path, sizeof(path), "%s/%s", dir, names->limit);
	if (!number_read(path, &limit))
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, names->usage);
	if (!number_read(path, &usage))
		return;
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	cache = word_read(path, names->cache[0]) + word_read(path, names->cache[1]);
	usage -= MIN(usage, cache);
	left = limit - MIN(limit, usage);
	if (left >= available->bytes)
		return;
	available->bytes = left;
	snprintf(available->limit, sizeof(available->limit), "%s of control group %.60s",
		 names->limit, *group ? group : "/");
}

/* A limit binds all groups below it: looks at @group and then at each one above. */
static void groups_check(const struct cgroup_names *names, const char *root, char *group,
			 struct memory_available *available)
{
	for (;;) {
		char *slash = strrchr(group, '/');

		if (slash && !slash[1])
			*slash = '\0';
		group_check(names, root, group, available);
		slash = strrchr(group, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

/* Lines are "hierarchy:controllers:group"; version 2 has hierarchy 0 and names no controllers. */
static void cgroups_check(const char *root, struct memory_available *available)
{
	char line[PATH_MAX / 2];
	FILE *f;

	snprintf(line, sizeof(line), "%s/proc/self/cgroup", root);
	f = fopen(line, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!group)
			continue;
		*controllers++ = '\0';
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (!strcmp(line, "0"))
			groups_check(&cgroup2, root, group, available);
		else if (!strcmp(controllers, "memory"))
			groups_check(&cgroup1, root, group, available);
	}
	fclose(f);
}

void memory_available(const char *root, struct memory_available *available)
{
	char path[PATH_MAX / 2];
	uint64_t kib;

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	kib = word_read(path, "MemAvailable:");
	*available = (struct memory_available){
		.bytes = kib ? kib * 1024 : UINT64_MAX,
		.limit = "the machine's available memory",
	};
	cgroups_check(root, available);
}
