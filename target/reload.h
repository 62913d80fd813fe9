/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration that runs, and its change for the one that is in the file now. Main thread alone.
 */
#ifndef SLUICE_TARGET_RELOAD_H
#define SLUICE_TARGET_RELOAD_H

#include <json-c/json.h>

#include "config/config.h"

enum { RELOAD_ERROR_MAX = 1024 };

/* What main has to do beside. */
struct reload_hooks {
	void (*begun)(void);
	void (*ended)(void); /* also when it was refused */
};

/*
 * @boot, read from @path, is what runs; it outlives everything. @path NULL: there is nothing to read
 * again. @hooks NULL: none.
 */
void reload_init(const char *path, const struct config *boot, const struct reload_hooks *hooks);
/* All that uses the configuration is gone. */
void reload_fini(void);

/* What runs now. */
const struct config *reload_config(void);

/*
 * Reads the file again and changes what differs; or leaves all as it is when something is wrong or
 * cannot change: then each fault was logged, and @err of RELOAD_ERROR_MAX bytes has the first one.
 * 0, with numbers of what came, went and changed in @reply (may be NULL), or negative errno.
 */
int reload_run(struct json_object *reply, char *err);

/* Is the namespace at @index of the configuration kept closed? */
bool reload_is_detached(unsigned index);

/*
 * Closes a namespace of the configuration, or opens it as the configuration has it. 0, or negative errno
 * with a sentence in @err.
 */
int reload_detach(const char *nqn, uint32_t nsid, char *err);
int reload_attach(const char *nqn, uint32_t nsid, char *err);

#endif
