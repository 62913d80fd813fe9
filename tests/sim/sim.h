/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole target in one thread, on a kernel that is simulated: README.md. This is what its files
 * share: the clock, the random numbers, and how a failure is reported.
 */
#ifndef SLUICE_TESTS_SIM_SIM_H
#define SLUICE_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/rng.h"

/* What one schedule does, and how often; chances are of 1000. Chosen anew for each schedule. */
struct sim_knobs {
	unsigned sq_entries;	   /* of each ring: a small one is full often */
	unsigned batch;		   /* most completions of one turn */
	unsigned send_room;	   /* bytes that a socket takes before its host reads */
	unsigned send_short;	   /* chance that a send ends with less than it was given */
	unsigned send_zc_refused;  /* chance that a zero-copy send does not come about */
	unsigned accept_error;	   /* chance that accepting fails for a moment */
	unsigned recv_interrupted; /* chance that a receive is interrupted, or finds no buffer */
	unsigned disk_short;	   /* chance that a disk moves less than it was asked for */
	unsigned disk_again;	   /* chance that a disk says EAGAIN or EINTR */
	unsigned disk_error;	   /* chance of an error */
	unsigned disk_slow;	   /* chance that a disk does nothing yet, when it is its turn */
	unsigned no_memory;	   /* chance that an allocation of a turn fails */
	bool fixed_buffers;	   /* rings take registered buffers */
	bool huge_pages;	   /* the memory is said to have some */
	bool send_zc;		   /* the kernel can send without a copy */
	bool writes_zeroes;	   /* disks can write zeroes and deallocate by themselves */
	bool cache;		   /* disks have a cache that has to be flushed */
};

/* When disks do what they were asked for: at random, whenever it is their turn, or not at all. */
enum sim_pace { SIM_DISKS_RANDOM, SIM_DISKS_PROMPT, SIM_DISKS_STUCK };

struct sim {
	uint64_t seed;
	uint64_t step;	 /* of the schedule, for people */
	uint64_t now_ns; /* the virtual clock */
	struct rng rng;
	bool verbose;
	/* A worker's code runs, not the simulation's; compilers think that allocating looks at nothing. */
	volatile bool turning;
	enum sim_pace disks;
	struct sim_knobs knobs;
};

extern struct sim sim;

/* Begins the random numbers of @seed, and the clock anew. */
void sim_begin(uint64_t seed);
/* Stands in for all random numbers; they are the same for the same seed. */
uint64_t sim_random(void);
/* A number in 0 .. @n - 1; 0 for 0. */
uint32_t sim_below(uint32_t n);
/* True with a chance of @of_1000. */
bool sim_chance(unsigned of_1000);

/* Says what is wrong, and by which seed it is found again; ends the process. */
_Noreturn void sim_fail(const char *fmt, ...) __printf(1, 2);
/* For --verbose. */
void sim_say(const char *fmt, ...) __printf(1, 2);

#define SIM_CHECK(truth, ...)                  \
	do {                                   \
		if (unlikely(!(truth)))        \
			sim_fail(__VA_ARGS__); \
	} while (0)

/* calloc() that never returns NULL. */
void *sim_alloc(size_t size);

#endif
