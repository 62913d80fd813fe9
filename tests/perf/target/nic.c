/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic.h"

#include <err.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	STATS_MAX = 512,
};

static const char suffix[] = "_dma_ns";

static void ethtool(int fd, const char *name, void *request)
{
	struct ifreq ifreq = { .ifr_data = request };

	snprintf(ifreq.ifr_name, sizeof(ifreq.ifr_name), "%s", name);
	if (ioctl(fd, SIOCETHTOOL, &ifreq))
		err(1, "cannot read the statistics of %s", name);
}

/* @strings: as many as there are, at most STATS_MAX. */
static void strings_read(int fd, const char *name, struct ethtool_gstrings *strings)
{
	/* With one number behind it, as one set is asked for. */
	uint64_t memory[sizeof(struct ethtool_sset_info) / sizeof(uint64_t) + 1] = { 0 };
	struct ethtool_sset_info *info = (struct ethtool_sset_info *)memory;

	info->cmd = ETHTOOL_GSSET_INFO;
	info->sset_mask = 1 << ETH_SS_STATS;
	ethtool(fd, name, info);
	if (!info->sset_mask || info->data[0] > STATS_MAX)
		errx(1, "%s has no statistics, or too many", name);
	*strings = (struct ethtool_gstrings){
		.cmd = ETHTOOL_GSTRINGS,
		.string_set = ETH_SS_STATS,
		.len = info->data[0],
	};
	ethtool(fd, name, strings);
}

static int name_matches(const char *name)
{
	size_t len = strnlen(name, ETH_GSTRING_LEN), tail = strlen(suffix);

	return len > tail && !memcmp(name + len - tail, suffix, tail);
}

uint64_t nic_dma_ns(const char *name)
{
	struct ethtool_gstrings *strings = calloc(1, sizeof(*strings) + STATS_MAX * ETH_GSTRING_LEN);
	struct ethtool_stats *stats = calloc(1, sizeof(*stats) + STATS_MAX * sizeof(uint64_t));
	int fd = socket(AF_INET, SOCK_DGRAM, 0), found = 0;
	uint64_t ns = 0;

	if (fd < 0 || !strings || !stats)
		err(1, "cannot read the statistics of %s", name);
	strings_read(fd, name, strings);
	stats->cmd = ETHTOOL_GSTATS;
	stats->n_stats = strings->len;
	ethtool(fd, name, stats);
	for (uint32_t i = 0; i < strings->len; i++) {
		if (name_matches((char *)strings->data + i * ETH_GSTRING_LEN)) {
			ns += stats->data[i];
			found = 1;
		}
	}
	if (!found)
		errx(1, "%s does not say how long its DMA took: is it the test NIC?", name);
	close(fd);
	free(stats);
	free(strings);
	return ns;
}
