/* SPDX-License-Identifier: BSD-3-Clause */
/* The load generator: keeps I/Os in flight on every queue of an association and accounts for them. */
#ifndef SLUICE_BENCH_LOAD_H
#define SLUICE_BENCH_LOAD_H

#include "hist.h"
#include "initiator.h"
#include "verify.h"

enum { LOAD_STATUSES = 16, LOAD_RETRIES = 5 };

/* One phase of I/O. */
struct load_spec {
	bool random;
	unsigned read_percent;
	uint64_t time_ns;    /* 0: until @bytes */
	uint64_t bytes;      /* 0: until @time_ns */
	uint64_t rate;       /* I/Os per second, 0: no limit */
	uint32_t reconnect_s;
	bool known_only;     /* reads skip what was never written: reading back */
};

struct load_status {
	uint16_t status;
	uint64_t count;
};

struct load_result {
	struct hist latency[2]; /* reads, writes */
	uint64_t ios[2];
	uint64_t bytes[2];
	uint64_t queue_ios[INITIATOR_MAX_QUEUES + 1]; /* by queue identifier */
	uint64_t elapsed_ns;
	uint64_t failed;     /* I/Os that ended with an error for good */
	uint64_t retries;
	uint64_t resent;     /* I/Os sent again after a reconnection */
	uint64_t reconnects;
	uint64_t outage_ns;  /* longest time without an association */
	struct load_status statuses[LOAD_STATUSES]; /* of every completion that was an error */
	unsigned n_statuses;
};

struct load;

/* What all phases share. @verify may be NULL. */
struct load_shape {
	struct initiator *in;
	uint32_t nsid;
	uint32_t namespaces; /* alike, from @nsid on: I/Os are spread over them */
	uint32_t block_size; /* bytes */
	uint32_t bs;         /* bytes, a multiple of @block_size */
	uint64_t first;      /* block address where the range begins */
	uint64_t blocks;
	uint64_t seed;
	struct verify *verify;
};

/* 0 or a negative errno. */
int load_init(struct load **load, const struct load_shape *shape);
void load_fini(struct load *load);

/*
 * Runs one phase and fills in @result. 0; -EBADMSG: wrong data was read, explained on stderr;
 * -EINTR: stopped by load_interrupt(); another negative errno: the association is lost for good,
 * see initiator_error().
 */
int load_run(struct load *load, const struct load_spec *spec, struct load_result *result);

/* Ends a phase early; may be called from a signal handler. */
void load_interrupt(void);

#endif
