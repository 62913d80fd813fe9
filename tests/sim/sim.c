/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct sim sim;

/* The clock of a machine that has run for a while: 0 has a meaning of its own in places. */
#define BOOTED_NS UINT64_C(1000000000000)

void sim_begin(uint64_t seed)
{
	bool verbose = sim.verbose;

	sim = (struct sim){ .seed = seed, .now_ns = BOOTED_NS, .verbose = verbose };
	sim.rng.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

uint64_t sim_random(void)
{
	return rng_next(&sim.rng);
}

uint32_t sim_below(uint32_t n)
{
	return n ? rng_below(&sim.rng, n) : 0;
}

bool sim_chance(unsigned of_1000)
{
	return of_1000 && sim_below(1000) < of_1000;
}

void sim_fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "sim: seed %" PRIu64 ", step %" PRIu64 ": ", sim.seed, sim.step);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nsim: --verbose --seed %" PRIu64 " runs it again\n", sim.seed);
	abort();
}

void sim_say(const char *fmt, ...)
{
	va_list args;

	if (!sim.verbose)
		return;
	fprintf(stderr, "sim: %" PRIu64 ": ", sim.step);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

void *sim_alloc(size_t size)
{
	bool turning = sim.turning;
	void *p;

	sim.turning = false;
	p = calloc(1, size ? size : 1);
	sim.turning = turning;
	SIM_CHECK(p, "no memory for the simulation itself");
	return p;
}
