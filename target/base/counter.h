/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters that one thread writes and any other reads without locks: a reader may lag, but never
 * sees half a number. On the machines that matter they cost what plain ones cost.
 */
#ifndef SLUICE_BASE_COUNTER_H
#define SLUICE_BASE_COUNTER_H

#include <stdint.h>

static inline uint64_t counter_get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* The writer's thread alone. */
static inline void counter_set(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static inline void counter_add(uint64_t *counter, uint64_t n)
{
	counter_set(counter, counter_get(counter) + n);
}

/* Any number or state of another thread, read in the same way. */
#define peek(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)

#endif
