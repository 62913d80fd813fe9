/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that the target does not get: its allocations, which the linker directs here, fail at random
 * while a turn of a worker runs (CVE-2024-46737: a queue whose set-up fails for want of memory).
 */
#include <stdlib.h>

#include "sim.h"

void *__wrap_calloc(size_t n, size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);

static bool is_scarce(size_t bytes)
{
	if (!sim.turning || !sim_chance(sim.knobs.no_memory))
		return false;
	sim_say("%zu bytes are not there", bytes);
	return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return is_scarce(n * size) ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
	return is_scarce(size) ? NULL : __real_malloc(size);
}
