/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of repeatable keys: each line adds one to a list. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

void *array_grow(void *array, unsigned n, size_t size)
{
	/* Room is a power of two: an array is full exactly when its count is one, or zero. */
	if (array && (n & (n - 1)))
		return array;
	return reallocarray(array, n ? 2 * (size_t)n : 1, size);
}

static int hosts_parse(const struct setting *s, void *object, const char *text)
{
	struct config_hosts *hosts = (void *)((char *)object + s->offset);
	void *grown;

	if (!config_nqn_valid(text))
		return -EINVAL;
	if (hosts->n >= CONFIG_HOSTS_MAX)
		return -ENOSPC;
	grown = array_grow(hosts->nqn, hosts->n, sizeof(hosts->nqn[0]));
	if (!grown)
		return -ENOMEM;
	hosts->nqn = grown;
	strcpy(hosts->nqn[hosts->n++], text);
	return 0;
}

static void hosts_print(const struct setting *s, const void *object, FILE *out)
{
	const struct config_hosts *hosts = (const void *)((const char *)object + s->offset);

	for (unsigned i = 0; i < hosts->n; i++)
		fprintf(out, "%s = %s\n", s->key, hosts->nqn[i]);
}

static int faults_parse(const struct setting *s, void *object, const char *text)
{
	struct config_namespace *ns = object;

	if (strlen(text) >= CONFIG_FAULT_RULE_MAX)
		return -EINVAL;
	for (const char *c = text; *c; c++) {
		if (*c < ' ' || *c > '~')
			return -EINVAL;
	}
	if (ns->n_faults >= CONFIG_FAULT_RULES)
		return -ENOSPC;
	(void)s;
	strcpy(ns->fault[ns->n_faults++], text);
	return 0;
}

static void faults_print(const struct setting *s, const void *object, FILE *out)
{
	const struct config_namespace *ns = object;

	for (unsigned i = 0; i < ns->n_faults; i++)
		fprintf(out, "%s = %s\n", s->key, ns->fault[i]);
}

static void faults_describe(const struct setting *s __maybe_unused, char *form)
{
	snprintf(form, VALUE_FORM_MAX, "a fault rule of at most %d ASCII characters",
		 CONFIG_FAULT_RULE_MAX - 1);
}

static void hosts_describe(const struct setting *s, char *form)
{
	value_nqn.describe(s, form);
}

const struct value_type value_hosts = {
	.repeatable = true, .parse = hosts_parse, .print = hosts_print, .describe = hosts_describe
};
const struct value_type value_faults = { .repeatable = true,
					 .parse = faults_parse,
					 .print = faults_print,
					 .describe = faults_describe };
