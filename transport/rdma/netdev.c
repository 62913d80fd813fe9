/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/rdma/netdev.h"

#include <ifaddrs.h>
#include <infiniband/verbs.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	if (!b || a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return a->sa_family == AF_INET6 &&
	       !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr));
}

void netdev_of_address(const struct sockaddr *sa, struct netdev_text *text)
{
	struct ifaddrs *all = NULL;

	snprintf(text->s, sizeof(text->s), "no interface");
	if (getifaddrs(&all))
		return;
	for (const struct ifaddrs *one = all; one; one = one->ifa_next)
		if (same_address(sa, one->ifa_addr))
			snprintf(text->s, sizeof(text->s), "%s", one->ifa_name);
	freeifaddrs(all);
}

/* The interface of the device's first port and address; empty when it has none. */
static void netdev_of_device(struct ibv_device *device, char name[64])
{
	char path[sizeof(device->ibdev_path) + 64];
	FILE *file;

	name[0] = '\0';
	snprintf(path, sizeof(path), "%s/ports/1/gid_attrs/ndevs/0", device->ibdev_path);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(name, 64, file))
		name[0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	fclose(file);
}

void netdev_rdma_devices(struct netdev_text *text)
{
	int n = 0;
	struct ibv_device **all = ibv_get_device_list(&n);
	size_t len = 0;

	text->s[0] = '\0';
	for (int i = 0; all && i < n && len < sizeof(text->s); i++) {
		char netdev[64];

		netdev_of_device(all[i], netdev);
		len += (size_t)snprintf(text->s + len, sizeof(text->s) - len, "%s%s (on %s)",
					len ? ", " : "", ibv_get_device_name(all[i]),
					netdev[0] ? netdev : "no interface");
	}
	if (all)
		ibv_free_device_list(all);
}
