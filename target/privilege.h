/* SPDX-License-Identifier: BSD-3-Clause */
/* Giving up what the daemon no longer needs once devices, memory and sockets are open. */
#ifndef SLUICE_TARGET_PRIVILEGE_H
#define SLUICE_TARGET_PRIVILEGE_H

#include <sys/types.h>

struct config;
struct config_daemon;

/* Who the daemon will be; -1: stays who it is. */
struct privilege_ids {
	uid_t uid;
	gid_t gid;
};

/* Looks up [daemon] user and group. 0, or -EINVAL after the reason was logged. */
int privilege_find(const struct config_daemon *config, struct privilege_ids *ids);

/*
 * Becomes @ids and drops every capability but CAP_NET_BIND_SERVICE, and that one unless a listener
 * has a port below 1024 that may have to be tried again, and CAP_NET_ADMIN, and that one unless there
 * is a network interface to be given back at the end; nothing run from here on can gain any.
 * Call before threads start. 0, or negative errno after the reason was logged.
 */
int privilege_drop(const struct privilege_ids *ids, const struct config *config);

/* On a worker's thread, which does not give interfaces back: drops CAP_NET_ADMIN. */
void privilege_drop_worker(void);

#endif
