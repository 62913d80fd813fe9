/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Static tracepoints (USDT) of provider `sluice`. A probe is one nop in the code, and a note in the
 * program that tells tracers where it is and where its arguments lie. The table in sluiced(8),
 * TRACEPOINTS, lists all of them; names and arguments are an interface, so they are not renamed,
 * reordered or dropped.
 *
 * TRACE() takes the arguments as the note spells them, "SIZE@%[NAME]" with a minus before the size
 * of a signed one, and then where each comes from: TRACE_IN(NAME, expression) is a value at hand in
 * a register, TRACE_AT(NAME, lvalue) a place in memory, which only a tracer reads. So a probe that
 * nobody uses loads nothing. An address that is only computed for a probe costs an instruction: not
 * on a command's path.
 *
 * __inline__, because the note is many lines, which the compiler would take for as many
 * instructions when it decides what to inline.
 *
 * At most TRACE_ARGUMENTS of them: more, bpftrace of Debian 12 cannot name.
 */
#ifndef SLUICE_BASE_TRACE_H
#define SLUICE_BASE_TRACE_H

#include <sys/sdt.h>

enum { TRACE_ARGUMENTS = 6 };

#define TRACE_IN(name, value) [name] "r"(value)
#define TRACE_AT(name, place) [name] "o"(place)

#define TRACE(name, arguments, ...) \
	__asm__ __inline__ __volatile__(STAP_PROBE_ASM(sluice, name, arguments) : : __VA_ARGS__)

#endif
