/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"

int privilege_find(const struct config_daemon *config, struct privilege_ids *ids)
{
	const struct passwd *user;
	const struct group *group;

	*ids = (struct privilege_ids){ (uid_t)-1, (gid_t)-1 };
	if (!config->user[0])
		return 0;
	user = getpwnam(config->user);
	if (!user) {
		log_error(
			"[daemon] user = %s: there is no such user; create it, or leave the setting out",
			config->user);
		return -EINVAL;
	}
	ids->uid = user->pw_uid;
	ids->gid = user->pw_gid;
	if (!config->group[0])
		return 0;
	group = getgrnam(config->group);
	if (!group) {
		log_error(
			"[daemon] group = %s: there is no such group; create it, or leave the setting out",
			config->group);
		return -EINVAL;
	}
	ids->gid = group->gr_gid;
	return 0;
}

static bool needs_low_ports(const struct config *config)
{
	for (unsigned i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].port < PRIVILEGED_PORTS)
			return true;
	return config->discovery.port && config->discovery.port < PRIVILEGED_PORTS;
}

/* What is not there cannot be kept; who lacks it has said so. */
static bool may_keep(unsigned capability, bool wanted)
{
	return wanted && capng_have_capability(CAPNG_PERMITTED, capability);
}

int privilege_drop(const struct privilege_ids *ids, const struct config *config)
{
	bool become = ids->uid != (uid_t)-1 && ids->uid != geteuid();
	bool net_admin, low_ports;
	int rc;

	if (become && geteuid() != 0) {
		log_error(
			"[daemon] user = %s: only root can become another user; start as root or as that user",
			config->daemon.user);
		return -EPERM;
	}
	capng_get_caps_process();
	net_admin = may_keep(CAP_NET_ADMIN, config->n_nics);
	low_ports = may_keep(CAP_NET_BIND_SERVICE, needs_low_ports(config));
	capng_clear(CAPNG_SELECT_BOTH);
	if (net_admin)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
	if (low_ports)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);
	if (become)
		rc = capng_change_id((int)ids->uid, (int)ids->gid,
				     CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	else
		rc = geteuid() == 0 ? capng_apply(CAPNG_SELECT_BOTH) : 0;
	if (rc) {
		log_error("cannot give up privileges: libcap-ng error %d", rc);
		return -EPERM;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* changing the user had forbidden core dumps */
	return 0;
}

void privilege_drop_worker(void)
{
	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN))
		return;
	capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
	if (capng_apply(CAPNG_SELECT_CAPS))
		log_warning("a worker keeps CAP_NET_ADMIN: it cannot be given up");
}
