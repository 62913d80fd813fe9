/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a session against a target over sockets, and judges what comes back. */
#ifndef SLUICE_FUZZ_PLAY_H
#define SLUICE_FUZZ_PLAY_H

#include <sys/socket.h>

#include "build.h"
#include "model.h"
#include "script.h"

/* How connections end. */
enum end_kind {
	END_HERE,     /* closed by the session or at its end */
	END_RESET,    /* ... with RST */
	END_TERM,     /* the target asked for the end */
	END_CLOSED,   /* the target closed */
	END_DROPPED,  /* the target closed with RST */
	END_WITHHELD, /* by this tool: the next command would have hurt the canary */
	ENDS,
};

struct play_stats {
	uint64_t sessions;
	uint64_t connections;
	uint64_t pdus_sent;
	uint64_t pdus_received;
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t choked;  /* sends that the target did not take in time */
	uint64_t held_up; /* connections whose answers waited for what the session kept back */
	uint64_t ends[ENDS];
};

struct play_options {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	const char *subnqn;
	const struct model_guard *guard;
	uint32_t patience_ms; /* for what a target has to do at once */
};

struct play_conn {
	int fd;	     /* -1: none */
	bool opened; /* once at least */
	bool half;   /* nothing may be sent any more */
	bool ended;  /* the target closed it */
	bool choked;
	uint64_t opened_ns;
	uint64_t term_ns; /* when the termination request came; 0: it did not */
	uint32_t tx_len;
	uint8_t *tx; /* waits for more: BUILD_MAX * 2 bytes */
	struct model model;
};

struct play {
	const struct play_options *options;
	struct play_stats stats;
	struct finding finding;
	const struct session *session;
	struct play_conn conns[SCRIPT_CONNS];
	uint8_t buf[BUILD_MAX];
	uint8_t rx[1 << 18];
};

/* A player without connections, or NULL for want of memory. */
struct play *play_new(const struct play_options *options);
void play_free(struct play *play);

/*
 * Runs @session to its end and closes what is open. False: play->finding says what the target did.
 * Whether others were hurt is not known here.
 */
bool play_session(struct play *play, const struct session *session);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t play_now_ns(void);

const char *end_name(enum end_kind kind);

#endif
