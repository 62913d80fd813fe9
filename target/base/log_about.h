/* SPDX-License-Identifier: BSD-3-Clause */
/* What a message is about: apart from log.h, for headers of the things that it can be about. */
#ifndef SLUICE_BASE_LOG_ABOUT_H
#define SLUICE_BASE_LOG_ABOUT_H

#include <stdint.h>

/* For the journal's fields. NULL and 0: not known, or not about such a thing. */
struct log_about {
	const char *peer; /* "address:port" of a host's connection */
	const char *hostnqn;
	const char *subsystem; /* its NQN */
	const char *listener;
	uint32_t nsid;
	uint16_t cntlid;
};

/* Built where it is needed: log_about(.peer = peer, .listener = name). */
#define log_about(...) ((struct log_about){ __VA_ARGS__ })

#endif
