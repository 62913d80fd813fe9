/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	START_PATIENCE_US = 3000000,
	CHANGE_PATIENCE_US = 500000,
	BUSY_STEP_US = 10000,
};

/* Waiting that is left to all that a change opens while the daemon runs, which takes turns meanwhile. */
static struct {
	unsigned left_us;
	void (*turn)(void);
} change;

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

static int open_once(const struct backend_ops *ops, const struct config_namespace *config,
		     struct backend **out, char *reason, size_t len)
{
	return config->n_faults ? fault_open(ops, config, out, reason, len) :
				  ops->open(config, out, reason, len);
}

void backend_change_begin(void (*turn)(void))
{
	change.left_us = CHANGE_PATIENCE_US;
	change.turn = turn;
}

void backend_change_end(void)
{
	change.turn = NULL;
}

/*
 * A ring lets go of its files a little after the last request or the process that used them has ended,
 * and later where a process was killed amid much I/O: who opens what was closed just now, as a daemon that
 * starts again does, may find it in use yet. And what a namespace of this daemon had is closed in turns
 * of the very thread that waits here.
 */
static int open_patiently(const struct backend_ops *ops, const struct config_namespace *config,
			  struct backend **out, char *reason, size_t len)
{
	unsigned own_us = START_PATIENCE_US;
	unsigned *left_us = change.turn ? &change.left_us : &own_us;
	int rc = open_once(ops, config, out, reason, len);

	for (; rc == -EBUSY && *left_us; *left_us -= BUSY_STEP_US) {
		usleep(BUSY_STEP_US);
		if (change.turn)
			change.turn();
		rc = open_once(ops, config, out, reason, len);
	}
	return rc;
}

int backend_open(const struct config_namespace *config, struct backend **out, char *err,
		 size_t errlen)
{
	const struct backend_ops *ops = backend_find(config->backend);
	const struct config_where *where = &config->where;
	char reason[BACKEND_ERROR_MAX] = "";
	int rc;

	if (ops)
		rc = open_patiently(ops, config, out, reason, sizeof(reason));
	else
		rc = unknown_backend(config->backend, reason, sizeof(reason));
	if (rc)
		snprintf(err, errlen, "%s:%d: namespace %s/%u: %s",
			 where->file ? where->file : "(default)", where->line, config->subsystem,
			 config->nsid, reason);
	return rc;
}
