/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/check.h"

#include <string.h>

#include "config/value.h"

/* Where to look for @key of an object: its line, else that of the section, else the file. */
static struct config_where key_where(const struct build *build, enum section_id section,
				     unsigned index, const char *key)
{
	const struct origin *origin = build_origin(build, section, index, key);
	const struct config *config = build->config;

	if (origin->opening)
		return origin->where;
	switch (section) {
	case SECTION_LISTENER:
		return config->listeners[index].where;
	case SECTION_SUBSYSTEM:
		return config->subsystems[index].where;
	case SECTION_NAMESPACE:
		return config->namespaces[index].where;
	case SECTION_REFERRAL:
		return config->referrals[index].where;
	default:
		return (struct config_where){ .file = config->files[0] };
	}
}

static bool key_given(const struct build *build, enum section_id section, unsigned index,
		      const char *key)
{
	return build_origin(build, section, index, key)->opening > 0;
}

/* True when the value of a key is what its user wants: its line was good, or there is none. */
static bool key_good(const struct build *build, enum section_id section, unsigned index,
		     const char *key)
{
	return !build_origin(build, section, index, key)->bad;
}

static void required_check(const struct build *build)
{
	char label[SECTION_LABEL_MAX], form[VALUE_FORM_MAX];

	for (unsigned i = 0; i < n_settings; i++) {
		const struct setting *row = &settings[i];
		unsigned n = row->required ? section_count(build->config, row->section) : 0;

		for (unsigned j = 0; j < n; j++) {
			struct config_where where = key_where(build, row->section, j, row->key);

			if (key_given(build, row->section, j, row->key))
				continue;
			section_label(build->config, row->section, j, label);
			row->type->describe(row, form);
			faults_add(build->faults, &where, "%s lacks '%s'; add '%s = ' and %s",
				   label, row->key, row->key, form);
		}
	}
}

/* Two objects that must differ in something do not. */
struct unique {
	enum section_id section;
	const char *key;
	bool (*same)(const void *a, const void *b);
	const char *remedy;
};

static bool same_listener(const void *a, const void *b)
{
	const struct config_listener *x = a, *y = b;

	return x->port == y->port && strcmp(x->address, y->address) == 0 &&
	       strcmp(x->transport, y->transport) == 0;
}

static bool same_referral(const void *a, const void *b)
{
	const struct config_referral *x = a, *y = b;

	return x->address[0] && x->port == y->port && strcmp(x->address, y->address) == 0 &&
	       strcmp(x->transport, y->transport) == 0 && strcmp(x->nqn, y->nqn) == 0;
}

static bool same_path(const void *a, const void *b)
{
	const struct config_namespace *x = a, *y = b;

	return x->path[0] && strcmp(x->path, y->path) == 0;
}

static bool same_device_serial(const void *a, const void *b)
{
	const struct config_namespace *x = a, *y = b;

	return x->device_serial[0] && strcmp(x->device_serial, y->device_serial) == 0;
}

static bool same_uuid(const void *a, const void *b)
{
	const struct config_namespace *x = a, *y = b;

	return memcmp(x->uuid, y->uuid, sizeof(x->uuid)) == 0;
}

static bool same_nguid(const void *a, const void *b)
{
	const struct config_namespace *x = a, *y = b;

	return memcmp(x->nguid, y->nguid, sizeof(x->nguid)) == 0;
}

static bool same_eui64(const void *a, const void *b)
{
	const struct config_namespace *x = a, *y = b;

	return x->has_eui64 && y->has_eui64 && memcmp(x->eui64, y->eui64, sizeof(x->eui64)) == 0;
}

static const struct unique uniques[] = {
	{ SECTION_LISTENER, "address", same_listener,
	  "two listeners cannot share address and port: change one" },
	{ SECTION_REFERRAL, "address", same_referral, "remove one of the two referrals" },
	{ SECTION_NAMESPACE, "path", same_path,
	  "a device in two namespaces would be corrupted: remove one" },
	{ SECTION_NAMESPACE, "device_serial", same_device_serial,
	  "a device in two namespaces would be corrupted: remove one" },
	{ SECTION_NAMESPACE, "uuid", same_uuid,
	  "hosts would take two namespaces for one: give each its own" },
	{ SECTION_NAMESPACE, "nguid", same_nguid,
	  "hosts would take two namespaces for one: give each its own" },
	{ SECTION_NAMESPACE, "eui64", same_eui64,
	  "hosts would take two namespaces for one: give each its own" },
};

static void unique_fault(const struct build *build, const struct unique *unique, unsigned first,
			 unsigned second)
{
	struct config_where where = key_where(build, unique->section, second, unique->key);
	struct config_where other = key_where(build, unique->section, first, unique->key);
	char label[SECTION_LABEL_MAX], other_label[SECTION_LABEL_MAX];

	section_label(build->config, unique->section, first, other_label);
	section_label(build->config, unique->section, second, label);
	faults_add(build->faults, &where, "'%s' of %s is that of %s (%s:%d) already; %s",
		   unique->key, label, other_label, other.file, other.line, unique->remedy);
}

/* Quadratic, yet a fraction of a second for CONFIG_NAMESPACES_MAX, once, at start. */
static void unique_check(const struct build *build, const struct unique *unique)
{
	unsigned n = section_count(build->config, unique->section);

	for (unsigned i = 1; i < n; i++) {
		const void *object = section_object(build->config, unique->section, i);

		for (unsigned j = 0; j < i; j++) {
			if (!unique->same(section_object(build->config, unique->section, j),
					  object))
				continue;
			unique_fault(build, unique, j, i);
			break;
		}
	}
}

static void daemon_check(const struct build *build)
{
	const struct config_daemon *daemon = &build->config->daemon;
	struct config_where where = key_where(build, SECTION_DAEMON, 0, "group");

	if (daemon->group[0] && !daemon->user[0] && key_good(build, SECTION_DAEMON, 0, "user"))
		faults_add(build->faults, &where,
			   "'group' of [daemon] is that of the user which the daemon becomes; add "
			   "'user = ' or remove the line");
}

static void memory_check(const struct build *build)
{
	const struct config_memory *memory = &build->config->memory;
	struct config_where where = key_where(build, SECTION_MEMORY, 0, "heap");

	if (strchr(memory->heap, '/') || strcmp(memory->heap, ".") == 0 ||
	    strcmp(memory->heap, "..") == 0)
		faults_add(build->faults, &where,
			   "'heap' of [memory] is '%s', which cannot be the name of a file in "
			   "/dev/dma_heap; write the name alone, such as system",
			   memory->heap);
	where = key_where(build, SECTION_MEMORY, 0, "provider");
	if (strcmp(memory->provider, "import") == 0 && !memory->import_socket[0] &&
	    !key_given(build, SECTION_MEMORY, 0, "import_socket"))
		faults_add(build->faults, &where,
			   "'provider' of [memory] is import, which has nowhere to ask; add "
			   "'import_socket = /run/...'");
}

static void nics_check(const struct build *build)
{
	const struct config *config = build->config;

	for (unsigned i = 0; i < config->n_nics; i++) {
		const struct config_nic *nic = &config->nics[i];
		struct config_where where = key_where(build, SECTION_NIC, i, "buffer");

		if ((uint64_t)nic->buffer * RECEIVE_BUFFERS_MIN > config->memory.receive)
			faults_add(build->faults, &where,
				   "'buffer' of [nic %s] leaves less than %u buffers in 'receive' of "
				   "[memory]; lower the one or raise the other",
				   nic->name, RECEIVE_BUFFERS_MIN);
	}
}

static void listeners_check(const struct build *build)
{
	const struct config *config = build->config;

	if (config->n_listeners == 0 && !build->headers_bad) {
		struct config_where where = { .file = config->files[0] };

		faults_add(
			build->faults, &where,
			"there is no [listener NAME] section, so no host could connect; add one, "
			"such as [listener tcp]");
	}
	for (unsigned i = 0; i < config->n_listeners; i++) {
		struct config_where where = key_where(build, SECTION_LISTENER, i, "r2t_window");

		if (config->listeners[i].r2t_window > config->memory.per_worker)
			faults_add(build->faults, &where,
				   "'r2t_window' of [listener %s] is more than 'per_worker' of "
				   "[memory]; lower the one or raise the other",
				   config->listeners[i].name);
	}
}

static void discovery_check(const struct build *build)
{
	const char *nqn = build->config->discovery.nqn;
	struct config_where where = key_where(build, SECTION_DISCOVERY, 0, "nqn");

	if (strcmp(nqn, NQN_DISCOVERY_WELL_KNOWN) == 0)
		faults_add(
			build->faults, &where,
			"'nqn' of [discovery] is the name that every discovery service has; write "
			"a name of your own or remove the line");
}

static void subsystem_check(const struct build *build, unsigned index)
{
	const struct config_subsystem *subsystem = &build->config->subsystems[index];
	struct config_where where;

	if (strcmp(subsystem->nqn, NQN_DISCOVERY_WELL_KNOWN) == 0 ||
	    strcmp(subsystem->nqn, build->config->discovery.nqn) == 0)
		faults_add(
			build->faults, &subsystem->where,
			"[subsystem %s] has the name of the discovery service; give it one of its "
			"own",
			subsystem->nqn);
	if (subsystem->hosts.any && subsystem->hosts.n) {
		where = key_where(build, SECTION_SUBSYSTEM, index, "allow_any_host");
		faults_add(build->faults, &where,
			   "'allow_any_host' of [subsystem %s] admits everybody although there are "
			   "lines 'allow_host'; remove the one or the others",
			   subsystem->nqn);
	}
	if (subsystem->cntlid_min > subsystem->cntlid_max) {
		where = key_where(build, SECTION_SUBSYSTEM, index, "cntlid_min");
		faults_add(
			build->faults, &where,
			"'cntlid_min' of [subsystem %s] is %u, which is above its 'cntlid_max' of "
			"%u; lower the one or raise the other",
			subsystem->nqn, subsystem->cntlid_min, subsystem->cntlid_max);
	}
}

static void namespace_fault(const struct build *build, unsigned index, const char *key,
			    const char *text)
{
	struct config_where where = key_where(build, SECTION_NAMESPACE, index, key);
	char label[SECTION_LABEL_MAX];

	section_label(build->config, SECTION_NAMESPACE, index, label);
	faults_add(build->faults, &where, "%s %s", label, text);
}

static bool namespace_given(const struct build *build, unsigned index, const char *key)
{
	return key_given(build, SECTION_NAMESPACE, index, key);
}

/* What each backend needs and what it has no use for. Others know best themselves. */
static void backend_check(const struct build *build, unsigned index)
{
	const struct config_namespace *ns = &build->config->namespaces[index];
	bool path = namespace_given(build, index, "path");
	bool serial = namespace_given(build, index, "device_serial");

	if (strcmp(ns->backend, "block") == 0) {
		if (!path && !serial)
			namespace_fault(
				build, index, "backend",
				"lacks its device; add 'path = /dev/...' or 'device_serial ='");
		if (path && serial)
			namespace_fault(build, index, "device_serial",
					"has both 'path' and 'device_serial'; remove one");
		if (ns->size)
			namespace_fault(build, index, "size",
					"has the size of its device; remove 'size'");
	} else if (strcmp(ns->backend, "file") == 0) {
		if (!path)
			namespace_fault(build, index, "backend",
					"lacks its file; add 'path = /...'");
		if (serial)
			namespace_fault(build, index, "device_serial",
					"is a file, which has no 'device_serial'; remove it");
	} else if (strcmp(ns->backend, "ram") == 0 || strcmp(ns->backend, "null") == 0) {
		if (ns->size == 0 && key_good(build, SECTION_NAMESPACE, index, "size"))
			namespace_fault(build, index, "size",
					"lacks its size; add such as 'size = 1G'");
		if (path || serial)
			namespace_fault(build, index, path ? "path" : "device_serial",
					"stores nothing outside of memory; remove 'path' and "
					"'device_serial', or set 'backend' to block or file");
	}
}

static void namespace_check(const struct build *build, unsigned index)
{
	const struct config_namespace *ns = &build->config->namespaces[index];
	bool found = false;

	for (unsigned i = 0; i < build->config->n_subsystems && !found; i++)
		found = strcmp(build->config->subsystems[i].nqn, ns->subsystem) == 0;
	if (!found && !build->headers_bad)
		faults_add(
			build->faults, &ns->where,
			"[namespace %s/%u] belongs to no subsystem; add [subsystem %s] or correct "
			"the NQN",
			ns->subsystem, ns->nsid, ns->subsystem);
	backend_check(build, index);
	if (ns->block_size && ns->size % ns->block_size)
		namespace_fault(
			build, index, "size",
			"has a 'size' that is not a multiple of its 'block_size'; change one");
}

void config_check(const struct build *build)
{
	daemon_check(build);
	memory_check(build);
	nics_check(build);
	listeners_check(build);
	discovery_check(build);
	for (unsigned i = 0; i < build->config->n_subsystems; i++)
		subsystem_check(build, i);
	for (unsigned i = 0; i < build->config->n_namespaces; i++)
		namespace_check(build, i);
	required_check(build);
	for (unsigned i = 0; i < ARRAY_SIZE(uniques); i++)
		unique_check(build, &uniques[i]);
}
