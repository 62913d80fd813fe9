/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

/* Iterations of the waiting loop, two instructions each. Written by its thread alone. */
static volatile uint64_t waits;

static uint64_t instructions_now(void)
{
	return __rdtsc() - 2 * waits;
}

static void *wait_loop(void *arg)
{
	const struct sched_param param = { 0 };

	if (sched_setscheduler(0, SCHED_IDLE, &param))
		err(1, "SCHED_IDLE");
	__asm__ volatile("1:	incq %0\n\t"
			 "jmp 1b"
			 : "+m"(waits)
			 :
			 : "cc");
	return arg;
}

void counter_start(void)
{
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, wait_loop, NULL);

	if (rc) {
		errno = rc;
		err(1, "cannot start a thread");
	}
	pthread_detach(thread);
}

struct span span_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (struct span){
		.elapsed_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
		.instructions = instructions_now(),
	};
}

struct span span_since(const struct span *start)
{
	struct span now = span_now();

	return (struct span){
		.elapsed_ns = now.elapsed_ns - start->elapsed_ns,
		.instructions = now.instructions - start->instructions,
	};
}

static uint64_t loop_measure(uint64_t instructions)
{
	uint64_t iterations = instructions / 2;
	uint64_t start = instructions_now();

	__asm__ volatile("1:	dec %0\n\t"
			 "jnz 1b"
			 : "+r"(iterations)
			 :
			 : "cc");
	return instructions_now() - start;
}

void calibrate(uint64_t instructions, unsigned loops)
{
	uint64_t least = UINT64_MAX;

	while (loops--) {
		uint64_t counted = loop_measure(instructions);

		if (counted < least)
			least = counted;
	}
	printf("{\"kind\":\"calibration\",\"instructions\":%" PRIu64 ",\"counted\":%" PRIu64 "}\n",
	       instructions, least);
}
