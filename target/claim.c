/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/claim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/listener.h"

static struct claim {
	struct listener_wish wish;
	int fd;
} *claims;
static unsigned n_claims;

/* -1: it cannot be held. */
static int claim_one(const struct config *config, const struct config_listener *wish)
{
	for (unsigned i = 0; transports[i]; i++) {
		const struct transport_ops *ops = transports[i];

		if (strcmp(ops->name, wish->transport))
			continue;
		/* Who gets what comes to a receive area's queue is not known before they are open. */
		return ops->claim && !ops->receive_areas(config) ? ops->claim(wish) : -1;
	}
	return -1;
}

void claims_open(const struct config *config)
{
	struct listener_wish *wishes = calloc(LISTENERS_ROOM, sizeof(*wishes));
	unsigned n = wishes ? listener_wishes(config, wishes) : 0;

	/* Without memory nothing is held: the start has more to say about it. */
	claims = calloc(LISTENERS_ROOM, sizeof(*claims));
	for (unsigned i = 0; claims && i < n; i++) {
		int fd = claim_one(config, &wishes[i].config);

		if (fd >= 0)
			claims[n_claims++] = (struct claim){ wishes[i], fd };
	}
	free(wishes);
}

static bool is_for(const struct config_listener *held, const struct config_listener *config)
{
	return held->port == config->port && !strcmp(held->transport, config->transport) &&
	       !strcmp(held->address, config->address);
}

int claim_take(const struct config_listener *config)
{
	int fd = -1;

	for (unsigned i = 0; i < n_claims && fd < 0; i++) {
		if (!is_for(&claims[i].wish.config, config))
			continue;
		fd = claims[i].fd;
		claims[i].fd = -1;
	}
	return fd;
}

void claims_close(void)
{
	for (unsigned i = 0; i < n_claims; i++)
		if (claims[i].fd >= 0)
			close(claims[i].fd);
	free(claims);
	claims = NULL;
	n_claims = 0;
}
