/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads files into a configuration; its life from there on. */
#include "config/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/build.h"
#include "config/check.h"
#include "config/derive.h"
#include "config/text.h"
#include "config/value.h"

/* Keeps a copy of @name for as long as the configuration lives. NULL when a fault was reported. */
static const char *file_add(struct build *build, const char *name)
{
	struct config *config = build->config;
	const struct config_where where = { .file = name };
	size_t len = strlen(name) + 1;
	char **grown, *copy;

	if (config->n_files >= CONFIG_FILES_MAX) {
		faults_add(build->faults, &where,
			   "there are more than %d configuration files; join some",
			   CONFIG_FILES_MAX);
		return NULL;
	}
	grown = array_grow(config->files, config->n_files, sizeof(*grown));
	if (grown)
		config->files = grown;
	copy = grown ? reallocarray(NULL, len, 1) : NULL;
	if (!copy) {
		faults_memory(build->faults, &where);
		return NULL;
	}
	memcpy(copy, name, len);
	config->files[config->n_files++] = copy;
	return copy;
}

/* Reads all of @path, at most @size bytes. Length or negative errno; -EFBIG: there is more. */
static ssize_t file_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len < size) {
		n = read(fd, buf + len, size - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return n;
	return len == size ? -EFBIG : (ssize_t)len;
}

static void file_load(struct build *build, const char *path)
{
	const struct config_where where = { .file = path };
	const size_t size = CONFIG_FILE_BYTES_MAX + 1;
	const char *name = file_add(build, path);
	char *text;
	ssize_t len;

	if (!name)
		return;
	text = reallocarray(NULL, size, 1);
	if (!text) {
		faults_memory(build->faults, &where);
		return;
	}
	len = file_read(path, text, size);
	if (len == -EFBIG)
		faults_add_error(build->faults, &where, -EFBIG,
				 "the file is larger than %d bytes; split it into drop-ins",
				 CONFIG_FILE_BYTES_MAX);
	else if (len < 0)
		faults_add_error(
			build->faults, &where, (int)len,
			"cannot read: %s; name a configuration file that the daemon may read",
			strerror((int)-len));
	else
		text_read(build, name, text, (size_t)len);
	free(text);
}

static int dropin_filter(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

/* By bytes, not by the rules of a language: the order must not depend on who starts the daemon. */
static int dropin_compare(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void dropins_load(struct build *build, const char *path)
{
	char dir[PATH_MAX], file[PATH_MAX + NAME_MAX + 2];
	const struct config_where where = { .file = dir };
	struct dirent **entries;
	int n;

	if (snprintf(dir, sizeof(dir), "%s.d", path) >= (int)sizeof(dir))
		return; /* then no such directory can exist */
	n = scandir(dir, &entries, dropin_filter, dropin_compare);
	if (n < 0) {
		if (errno == ENOMEM)
			faults_memory(build->faults, &where);
		else if (errno != ENOENT)
			faults_add_error(
				build->faults, &where, -errno,
				"cannot read the directory of drop-ins: %s; let the daemon "
				"read it or remove it",
				strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, entries[i]->d_name);
		file_load(build, file);
		free(entries[i]);
	}
	free(entries);
}

struct order {
	unsigned subsystem; /* its place in the file */
	uint32_t nsid;
	unsigned index;
};

static int order_compare(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->subsystem != y->subsystem)
		return x->subsystem < y->subsystem ? -1 : 1;
	return x->nsid < y->nsid ? -1 : 1;
}

/* Puts the namespaces, each of which has a subsystem, in order. 0 or -ENOMEM. */
static int namespaces_sort(struct config *config)
{
	unsigned n = config->n_namespaces;
	struct config_namespace *sorted;
	struct order *order;

	if (n == 0)
		return 0;
	order = reallocarray(NULL, n, sizeof(*order));
	sorted = reallocarray(NULL, n, sizeof(*sorted));
	if (!order || !sorted) {
		free(order);
		free(sorted);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n; i++) {
		order[i] = (struct order){ .nsid = config->namespaces[i].nsid, .index = i };
		while (strcmp(config->subsystems[order[i].subsystem].nqn,
			      config->namespaces[i].subsystem))
			order[i].subsystem++;
	}
	qsort(order, n, sizeof(*order), order_compare);
	for (unsigned i = 0; i < n; i++)
		sorted[i] = config->namespaces[order[i].index];
	free(order);
	free(config->namespaces);
	config->namespaces = sorted;
	return 0;
}

/* What is left to do once all is read. Returns what config_load() returns; frees on failure. */
static int build_finish(struct build *build, const char *name)
{
	const struct config_where where = { .file = name };
	struct config *config = build->config;
	struct faults *faults = build->faults;

	/* What could not be read would be missed by the checks: one fault is enough then. */
	if (faults->error == 0 || faults->error == -EINVAL) {
		int rc = config_derive(config);

		if (rc)
			faults_add_error(
				faults, &where, rc,
				"cannot compute SHA-256; check the OpenSSL of this system");
		config_check(build);
	}
	for (unsigned i = 0; i < config->n_namespaces; i++)
		config->namespaces[i].hosts.any = config->namespaces[i].hosts.n == 0;
	if (faults->error == 0 && namespaces_sort(config))
		faults_memory(faults, &where);
	build_fini(build);
	if (faults->error)
		config_free(config);
	return faults->error;
}

int config_load(struct config *config, const char *path,
		void (*report)(void *arg, const char *message), void *arg)
{
	const struct config_where where = { .file = path };
	struct faults faults = { .report = report, .arg = arg };
	struct build build;

	if (build_init(&build, config, &faults)) {
		faults_memory(&faults, &where);
	} else {
		file_load(&build, path);
		dropins_load(&build, path);
	}
	return build_finish(&build, path);
}

int config_parse(struct config *config, const char *name, const char *text, size_t len,
		 void (*report)(void *arg, const char *message), void *arg)
{
	const struct config_where where = { .file = name };
	struct faults faults = { .report = report, .arg = arg };
	struct build build;

	if (build_init(&build, config, &faults)) {
		faults_memory(&faults, &where);
	} else if (len > CONFIG_FILE_BYTES_MAX) {
		faults_add_error(&faults, &where, -EFBIG, "the text is larger than %d bytes",
				 CONFIG_FILE_BYTES_MAX);
	} else {
		const char *kept = file_add(&build, name);

		if (kept)
			text_read(&build, kept, text, len);
	}
	return build_finish(&build, name);
}

void config_free(struct config *config)
{
	for (unsigned i = 0; i < config->n_subsystems; i++)
		free(config->subsystems[i].hosts.nqn);
	for (unsigned i = 0; i < config->n_namespaces; i++)
		free(config->namespaces[i].hosts.nqn);
	for (unsigned i = 0; i < config->n_files; i++)
		free(config->files[i]);
	free(config->nics);
	free(config->listeners);
	free(config->subsystems);
	free(config->namespaces);
	free(config->referrals);
	free(config->where);
	free(config->files);
	memset(config, 0, sizeof(*config));
}

bool config_hosts_allow(const struct config_hosts *hosts, const char *hostnqn)
{
	if (hosts->any)
		return true;
	for (unsigned i = 0; i < hosts->n; i++) {
		if (strcmp(hosts->nqn[i], hostnqn) == 0)
			return true;
	}
	return false;
}
