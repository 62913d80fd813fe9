/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/holder.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/sysfs.h"

/* A device to look for, and where to look and to write. */
struct search {
	const char *root;
	char *text;
	size_t len;
	unsigned major, minor;
};

static bool node_is(const struct search *s, const char *path)
{
	struct stat st;

	return path[0] == '/' && !stat(path, &st) && S_ISBLK(st.st_mode) &&
	       major(st.st_rdev) == s->major && minor(st.st_rdev) == s->minor;
}

/*
 * Lines are "id parent major:minor root mountpoint options [tags] - type source options". A file
 * system of several devices has a number of its own there; the source tells then.
 */
static bool mount_line(const struct search *s, const char *line)
{
	char place[PATH_MAX / 2], source[PATH_MAX / 2];
	const char *rest = strstr(line, " - ");
	unsigned dev_major, dev_minor;

	if (sscanf(line, "%*s %*s %u:%u %*s %2047s", &dev_major, &dev_minor, place) != 3)
		return false;
	if (dev_major != s->major || dev_minor != s->minor) {
		if (!rest || sscanf(rest, " - %*s %2047s", source) != 1 || !node_is(s, source))
			return false;
	}
	snprintf(s->text, s->len, "mounted on %s", place);
	return true;
}

static bool swap_line(const struct search *s, const char *line)
{
	char path[PATH_MAX / 2];

	if (sscanf(line, "%2047s", path) != 1 || !node_is(s, path))
		return false;
	snprintf(s->text, s->len, "used as swap space");
	return true;
}

static bool lines_search(const struct search *s, const char *file,
			 bool (*found)(const struct search *s, const char *line))
{
	char line[PATH_MAX];
	bool hit = false;
	FILE *f;

	snprintf(line, sizeof(line), "%s%s", s->root, file);
	f = fopen(line, "re");
	if (!f)
		return false;
	while (!hit && fgets(line, sizeof(line), f))
		hit = found(s, line);
	fclose(f);
	return hit;
}

/* Device mapper, md and the like: directories below holders/. */
static bool holders_search(const struct search *s)
{
	char dir[PATH_MAX / 2], above[PATH_MAX], name[128];
	struct dirent *entry;
	bool hit = false;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/sys/dev/block/%u:%u/holders", s->root, s->major, s->minor);
	d = opendir(dir);
	if (!d)
		return false;
	while (!hit && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		hit = true;
		snprintf(above, sizeof(above), "%s/%s", dir, entry->d_name);
		if (sysfs_line(above, "dm/name", name, sizeof(name)))
			snprintf(s->text, s->len, "used by %s (%s)", entry->d_name, name);
		else
			snprintf(s->text, s->len, "used by %s", entry->d_name);
	}
	closedir(d);
	return hit;
}

static bool device_search(const struct search *s)
{
	return lines_search(s, "/proc/self/mountinfo", mount_line) ||
	       lines_search(s, "/proc/swaps", swap_line) || holders_search(s);
}

/* Searches for the device whose sysfs directory is @dir, and says its name when it is found. */
static bool relative_search(const struct search *self, const char *dir, const char *name)
{
	char number[32], text[256];
	struct search s = { .root = self->root, .text = text, .len = sizeof(text) };

	if (!sysfs_line(dir, "dev", number, sizeof(number)) ||
	    sscanf(number, "%u:%u", &s.major, &s.minor) != 2 || !device_search(&s))
		return false;
	snprintf(self->text, self->len, "its %s %s", name, text);
	return true;
}

static void partitions_search(const struct search *self, const char *dir)
{
	char path[PATH_MAX], word[16], name[300];
	struct dirent *entry;
	bool hit = false;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while (!hit && (entry = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (entry->d_name[0] == '.' || !sysfs_line(path, "partition", word, sizeof(word)))
			continue;
		snprintf(name, sizeof(name), "partition %s is", entry->d_name);
		hit = relative_search(self, path, name);
	}
	closedir(d);
}

void holder_find(const char *root, unsigned major, unsigned minor, char *text, size_t len)
{
	const struct search self = { root, text, len, major, minor };
	char dir[PATH_MAX / 2], parent[PATH_MAX], word[16];

	text[0] = '\0';
	if (device_search(&self))
		return;
	snprintf(dir, sizeof(dir), "%s/sys/dev/block/%u:%u", root, major, minor);
	snprintf(parent, sizeof(parent), "%s/..", dir);
	if (sysfs_line(dir, "partition", word, sizeof(word)))
		relative_search(&self, parent, "whole disk is");
	else
		partitions_search(&self, dir);
}
