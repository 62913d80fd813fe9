/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line. */
#ifndef SLUICE_BENCH_OPTIONS_H
#define SLUICE_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "initiator.h"

enum {
	EXIT_FAILED = 1,   /* no connection, I/O errors, a protocol violation */
	EXIT_CORRUPT = 2,  /* verification found wrong data */
	EXIT_USAGE = 64,
};

enum bench_mode { MODE_RUN, MODE_DISCOVER, MODE_IDENTIFY, MODE_FLOOR };

struct bench_options {
	enum bench_mode mode;
	struct initiator_options host;
	char peer[128];
	bool has_nsid;       /* otherwise the first active namespace */
	uint32_t nsid;
	uint32_t namespaces; /* how many from there on, 1 or more */
	bool random;
	unsigned read_percent; /* of the I/Os: 100 reads only, 0 writes only */
	char rw[24];
	uint32_t bs;         /* bytes */
	uint64_t time_ns;    /* 0: until @size */
	uint64_t size;       /* bytes to move; 0: until @time_ns */
	uint64_t range_start; /* bytes */
	uint64_t range_end;  /* 0: the namespace's end */
	uint64_t rate;       /* I/Os per second; 0: as fast as they go */
	uint64_t seed;
	uint32_t reconnect_s; /* 0: a lost connection ends the run */
	int cpu;             /* -1: wherever */
	pid_t pid;           /* whose CPU time to report; 0: nobody's */
	bool verify;
	bool floor;          /* run the floor too */
	uint64_t floor_memory; /* bytes; as floor_shape.memory */
	bool json;
};

/* Reads the command line. 0, or an exit code (usage errors are explained; --help is 0 with *@stop). */
int options_parse(struct bench_options *options, int argc, char **argv, bool *stop);

/* "4k", "1M", "512": bytes with a suffix of 1024s. False when it is not one. */
bool size_parse(const char *text, uint64_t *bytes);

/* "192.0.2.1:4420" or "[2001:db8::1]:4420" into @host's address; false when it is neither. */
bool address_parse(const char *text, struct initiator_options *host);

/* A UUID's 32 hex digits, dashes where they like, into 16 bytes. */
bool uuid_parse(const char *text, uint8_t *uuid);

#endif
