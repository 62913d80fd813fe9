/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/build.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "config/suggest.h"
#include "config/value.h"

/* What a header names. */
struct header {
	enum section_id section;
	const char *name; /* NQN or NAME; empty for sections of which there is one */
	uint32_t nsid;
};

static struct config_where *object_where(enum section_id section, void *object)
{
	switch (section) {
	case SECTION_NIC:
		return &((struct config_nic *)object)->where;
	case SECTION_LISTENER:
		return &((struct config_listener *)object)->where;
	case SECTION_SUBSYSTEM:
		return &((struct config_subsystem *)object)->where;
	case SECTION_NAMESPACE:
		return &((struct config_namespace *)object)->where;
	default:
		assert(section == SECTION_REFERRAL);
		return &((struct config_referral *)object)->where;
	}
}

static bool object_is(const void *object, const struct header *header)
{
	const struct config_namespace *ns = object;

	switch (header->section) {
	case SECTION_NIC:
		return strcmp(((const struct config_nic *)object)->name, header->name) == 0;
	case SECTION_LISTENER:
		return strcmp(((const struct config_listener *)object)->name, header->name) == 0;
	case SECTION_SUBSYSTEM:
		return strcmp(((const struct config_subsystem *)object)->nqn, header->name) == 0;
	case SECTION_NAMESPACE:
		return ns->nsid == header->nsid && strcmp(ns->subsystem, header->name) == 0;
	case SECTION_REFERRAL:
		return strcmp(((const struct config_referral *)object)->name, header->name) == 0;
	default:
		return true; /* there is one */
	}
}

static void object_name(void *object, const struct header *header)
{
	struct config_namespace *ns = object;

	switch (header->section) {
	case SECTION_NIC:
		strcpy(((struct config_nic *)object)->name, header->name);
		break;
	case SECTION_LISTENER:
		strcpy(((struct config_listener *)object)->name, header->name);
		break;
	case SECTION_SUBSYSTEM:
		strcpy(((struct config_subsystem *)object)->nqn, header->name);
		break;
	case SECTION_NAMESPACE:
		strcpy(ns->subsystem, header->name);
		ns->nsid = header->nsid;
		break;
	default:
		assert(header->section == SECTION_REFERRAL);
		strcpy(((struct config_referral *)object)->name, header->name);
	}
}

/* Makes room for one more object and its origins, and gives it its defaults. 0 or -ENOMEM. */
static int object_add(struct build *build, const struct config_where *where,
		      const struct header *header)
{
	enum section_id id = header->section;
	const struct section *section = &sections[id];
	char *config = (char *)build->config;
	void **objects = (void **)(config + section->objects_offset);
	unsigned *n = (unsigned *)(config + section->count_offset);
	void *grown, *object;

	grown = array_grow(build->origins[id], *n, sizeof(*build->origins[id]));
	if (!grown)
		return -ENOMEM;
	build->origins[id] = grown;
	grown = array_grow(*objects, *n, section->object_size);
	if (!grown)
		return -ENOMEM;
	*objects = grown;
	memset(&build->origins[id][*n], 0, sizeof(build->origins[id][*n]));
	object = section_object(build->config, id, (*n)++);
	memset(object, 0, section->object_size);
	section_defaults(id, object);
	object_name(object, header);
	*object_where(id, object) = *where;
	return 0;
}

int build_init(struct build *build, struct config *config, struct faults *faults)
{
	memset(config, 0, sizeof(*config));
	*build = (struct build){ .config = config, .faults = faults };
	config->where = calloc(n_settings, sizeof(*config->where));
	if (!config->where)
		return -ENOMEM;
	for (enum section_id i = 0; i < SECTIONS; i++) {
		if (sections[i].argument)
			continue;
		build->origins[i] = array_grow(NULL, 0, sizeof(*build->origins[i]));
		if (!build->origins[i])
			return -ENOMEM;
		memset(build->origins[i], 0, sizeof(*build->origins[i]));
		section_defaults(i, section_object(config, i, 0));
	}
	return 0;
}

void build_fini(struct build *build)
{
	for (enum section_id i = 0; i < SECTIONS; i++)
		free(build->origins[i]);
}

void build_close(struct build *build)
{
	build->open = false;
}

static void header_unknown(struct build *build, const struct config_where *where, const char *kind)
{
	const char *kinds[SECTIONS], *meant;

	for (enum section_id i = 0; i < SECTIONS; i++)
		kinds[i] = sections[i].kind;
	meant = name_suggest(kind, kinds, SECTIONS);
	if (meant)
		faults_add(build->faults, where, "there is no section [%.64s]; did you mean [%s]?",
			   kind, meant);
	else
		faults_add(build->faults, where,
			   "there is no section [%.64s]; there are daemon, memory, nic, "
			   "discovery, metrics, listener, subsystem, namespace and referral",
			   kind);
}

/* Splits "NQN/NSID" at its last slash, as an NQN may hold more of them. */
static bool namespace_split(char *text, uint32_t *nsid)
{
	char *slash = strrchr(text, '/');
	size_t digits = slash ? strspn(slash + 1, "0123456789") : 0;

	if (digits == 0 || digits > 4 || slash[1] == '0' || slash[1 + digits])
		return false;
	*nsid = (uint32_t)strtoul(slash + 1, NULL, 10);
	*slash = '\0';
	return *nsid <= MAX_NSID && config_nqn_valid(text);
}

/* Validates what follows the kind in a header. True, or false when a fault was reported. */
static bool header_argument(struct build *build, const struct config_where *where,
			    struct header *header, char *text)
{
	const struct section *section = &sections[header->section];

	header->name = text;
	if (!section->argument) {
		if (*text)
			faults_add(build->faults, where, "[%s] takes no name; write [%s]",
				   section->kind, section->kind);
		return *text == '\0';
	}
	if (*text == '\0') {
		faults_add(build->faults, where, "[%s] lacks its %s; write [%s %s]", section->kind,
			   section->argument, section->kind, section->argument);
		return false;
	}
	if (header->section == SECTION_SUBSYSTEM && !config_nqn_valid(text)) {
		faults_add(build->faults, where,
			   "'%.300s' is not an NVMe Qualified Name; write at most %d bytes such as "
			   "nqn.2014-08.com.example:name",
			   text, CONFIG_NQN_MAX - 1);
		return false;
	}
	if (header->section == SECTION_NAMESPACE && !namespace_split(text, &header->nsid)) {
		faults_add(
			build->faults, where,
			"[namespace] needs the NQN of its subsystem, '/' and a number from 1 to "
			"%d; write such as [namespace nqn.2014-08.com.example:name/1]",
			MAX_NSID);
		return false;
	}
	if (header->section == SECTION_NIC && !value_word_valid(text, IF_NAMESIZE - 1)) {
		faults_add(build->faults, where,
			   "'%.100s' cannot be a network interface; write the name that 'ip link' "
			   "shows, such as [nic eth0]",
			   text);
		return false;
	}
	if ((header->section == SECTION_LISTENER || header->section == SECTION_REFERRAL) &&
	    !value_word_valid(text, CONFIG_NAME_MAX - 1)) {
		faults_add(
			build->faults, where,
			"'%.100s' cannot name a %s; write at most %d letters, digits, '.', '_' and "
			"'-'",
			text, section->kind, CONFIG_NAME_MAX - 1);
		return false;
	}
	return true;
}

static bool header_parse(struct build *build, const struct config_where *where, char *text,
			 struct header *header)
{
	char *argument = text + strcspn(text, " \t");

	if (*argument) {
		*argument++ = '\0';
		argument += strspn(argument, " \t");
	}
	for (enum section_id i = 0; i < SECTIONS; i++) {
		if (strcmp(text, sections[i].kind))
			continue;
		header->section = i;
		return header_argument(build, where, header, argument);
	}
	header_unknown(build, where, text);
	return false;
}

static bool object_open(struct build *build, const struct config_where *where,
			const struct header *header)
{
	const struct section *section = &sections[header->section];
	unsigned n = section_count(build->config, header->section);

	build->section = header->section;
	for (build->index = 0; build->index < n; build->index++) {
		if (object_is(section_object(build->config, build->section, build->index), header))
			return true;
	}
	if (n >= section->max) {
		faults_add(build->faults, where,
			   "there are more than %u [%s] sections; remove some", section->max,
			   section->kind);
		return false;
	}
	if (object_add(build, where, header)) {
		faults_memory(build->faults, where);
		return false;
	}
	return true;
}

void build_open(struct build *build, const struct config_where *where, char *text)
{
	struct header header = { 0 };

	build->openings++;
	build->open =
		header_parse(build, where, text, &header) && object_open(build, where, &header);
	if (!build->open)
		build->headers_bad = true;
}

static void key_unknown(struct build *build, const struct config_where *where, const char *key)
{
	const struct section *section = &sections[build->section];
	unsigned n;
	const struct setting *rows = section_settings(build->section, &n);
	const char *keys[SETTINGS_PER_SECTION_MAX], *meant;
	char list[384];
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		keys[i] = rows[i].key;
	meant = name_suggest(key, keys, n);
	if (meant) {
		faults_add(build->faults, where, "[%s] has no key '%.64s'; did you mean '%s'?",
			   section->kind, key, meant);
		return;
	}
	for (unsigned i = 0; i < n && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
					i ? i == n - 1 ? " and " : ", " : "", keys[i]);
	faults_add(build->faults, where, "[%s] has no key '%.64s'; it has %s", section->kind, key,
		   list);
}

/* Stores one value. False when a fault was reported. */
static bool value_set(struct build *build, const struct config_where *where,
		      const struct setting *row, const char *value)
{
	void *object = section_object(build->config, build->section, build->index);
	char label[SECTION_LABEL_MAX], form[VALUE_FORM_MAX];
	/* inih leaves the ';' of a comment that no blank precedes in the value. */
	bool empty = *value == '\0' || *value == ';';
	int rc = empty ? -EINVAL : row->type->parse(row, object, value);

	if (rc == 0)
		return true;
	if (rc == -ENOMEM) {
		faults_memory(build->faults, where);
		return false;
	}
	section_label(build->config, build->section, build->index, label);
	if (empty) {
		faults_add(build->faults, where,
			   "'%s' in %s has no value; write one or remove the line", row->key,
			   label);
		return false;
	}
	if (rc == -ENOSPC) {
		faults_add(build->faults, where, "%s has too many lines '%s'; remove some", label,
			   row->key);
		return false;
	}
	row->type->describe(row, form);
	faults_add(build->faults, where, "'%s = %.100s' in %s is not valid; write %s%s", row->key,
		   value, label, form,
		   strstr(value, " #") ? " (a comment behind a value begins with ' ;')" : "");
	return false;
}

void build_set(struct build *build, const struct config_where *where, const char *key,
	       const char *value)
{
	const struct setting *rows;
	struct origin *origin;
	unsigned n, i;

	assert(build->open);
	rows = section_settings(build->section, &n);
	for (i = 0; i < n && strcmp(rows[i].key, key); i++)
		;
	if (i == n) {
		key_unknown(build, where, key);
		return;
	}
	origin = &build->origins[build->section][build->index][i];
	if (origin->opening == build->openings && !rows[i].type->repeatable) {
		faults_add(build->faults, where, "'%s' was given in line %d already; remove one",
			   key, origin->where.line);
		return;
	}
	origin->opening = build->openings;
	origin->where = *where;
	if (!sections[build->section].argument)
		build->config->where[&rows[i] - settings] = *where;
	origin->bad = !value_set(build, where, &rows[i], value);
}

const struct origin *build_origin(const struct build *build, enum section_id section,
				  unsigned index, const char *key)
{
	unsigned n, i;
	const struct setting *rows = section_settings(section, &n);

	for (i = 0; strcmp(rows[i].key, key); i++)
		assert(i + 1 < n);
	return &build->origins[section][index][i];
}
