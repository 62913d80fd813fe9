/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that are left alone: one that sends nothing, one that stops after ICReq, one that does
 * not close when it was terminated, and so on in turns. A target has to end each within its time-out.
 */
#ifndef SLUICE_FUZZ_LINGER_H
#define SLUICE_FUZZ_LINGER_H

#include "play.h"

enum { LINGER_MAX = 64 };

struct linger_options {
	unsigned n;
	uint32_t connect_timeout_ms; /* from the connection's begin to its Connect */
	uint32_t term_timeout_ms;    /* from a termination request to the end */
};

struct lingering {
	struct linger_options options;
	unsigned n; /* still open */
	int fds[LINGER_MAX];
	uint64_t until_ns[LINGER_MAX];
	unsigned kind[LINGER_MAX];
};

/* Opens them. False after a finding. */
bool linger_start(struct lingering *l, const struct linger_options *options,
		  const struct play_options *play, struct finding *finding);

/* Looks which have ended. False: one is open for too long. */
bool linger_look(struct lingering *l, struct finding *finding);

/* Waits for all that are left. False: as linger_look(). */
bool linger_wait(struct lingering *l, struct finding *finding);

/* Closes what is left. */
void linger_stop(struct lingering *l);

#endif
