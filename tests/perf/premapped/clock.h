/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PREMAPPED_CLOCK_H
#define PREMAPPED_CLOCK_H

#include <stdint.h>

/* What passed on the guest's one CPU. */
struct span {
	uint64_t elapsed_ns;
	uint64_t instructions; /* only means something after counter_start() */
};

/*
 * Makes spans count instructions: all that the CPU executes, in whatever task or interrupt, but those
 * of waiting. Needs QEMU's -icount shift=0 and a single CPU: the time stamp counter then advances by
 * one for each instruction, and by the time in which the CPU halts. So that it never halts, a thread
 * of the lowest priority loops when nothing else runs and knows how many instructions it executed.
 * Ends the program with a message on failure.
 */
void counter_start(void);

/* What passed since some moment in the past, and since `start`, which span_now() returned. */
struct span span_now(void);
struct span span_since(const struct span *start);

/*
 * Executes a loop of `instructions` instructions, an even number, `loops` times, and prints the least that
 * the counter saw of one, as a line of JSON of kind "calibration". Interrupts meanwhile are counted: of
 * several loops that are shorter than a tick, one sees none.
 */
void calibrate(uint64_t instructions, unsigned loops);

#endif
