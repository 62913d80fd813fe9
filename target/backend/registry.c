/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct backend_ops *const backend_registry[] = {
	&backend_block,
	&backend_file,
	&backend_ram,
	&backend_null,
	NULL,
};

const struct backend_ops *backend_find(const char *name)
{
	for (const struct backend_ops *const *ops = backend_registry; *ops; ops++) {
		if (!strcmp((*ops)->name, name))
			return *ops;
	}
	return NULL;
}

static int unknown_backend(const char *name, char *err, size_t errlen)
{
	snprintf(err, errlen, "there is no backend \"%s\": use one of", name);
	for (const struct backend_ops *const *ops = backend_registry; *ops; ops++) {
		size_t len = strlen(err);

		snprintf(err + len, errlen - len, "%s %s", ops == backend_registry ? "" : ",",
			 (*ops)->name);
	}
	return -EINVAL;
}

int backend_open(const struct config_namespace *config, struct backend **out, char *err,
		 size_t errlen)
{
	const struct backend_ops *ops = backend_find(config->backend);
	const struct config_where *where = &config->where;
	char reason[BACKEND_ERROR_MAX] = "";
	int rc;

	if (!ops)
		rc = unknown_backend(config->backend, reason, sizeof(reason));
	else if (config->n_faults)
		rc = fault_open(ops, config, out, reason, sizeof(reason));
	else
		rc = ops->open(config, out, reason, sizeof(reason));
	if (rc)
		snprintf(err, errlen, "%s:%d: namespace %s/%u: %s",
			 where->file ? where->file : "(default)", where->line, config->subsystem,
			 config->nsid, reason);
	return rc;
}
