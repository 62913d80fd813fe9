/* SPDX-License-Identifier: BSD-3-Clause */
/* What every unit test starts with: cmocka and the headers that it forgot to include. */
#ifndef SLUICE_TESTS_LIB_UNIT_H
#define SLUICE_TESTS_LIB_UNIT_H

/* clang-format off: cmocka.h needs all of these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include "base/compiler.h"

/* What CTest and tools/test take for "skipped". */
enum { UNIT_SKIPPED = 77 };

/* Numbers that are the same in every run: a failure can be repeated. */
struct unit_random {
	uint64_t state;
};

static inline uint32_t unit_random(struct unit_random *r)
{
	r->state = r->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(r->state >> 33);
}

/* A number in 0 .. @n - 1. */
static inline uint32_t unit_random_below(struct unit_random *r, uint32_t n)
{
	return unit_random(r) % n;
}

#endif
