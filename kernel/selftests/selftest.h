/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frame of a selftest: named checks that are counted, exit code 0 (all passed), 1 (a check
 * failed, or the test could not be set up) or 77 (this machine cannot run it; the last line says
 * why).
 */
#ifndef SELFTEST_H
#define SELFTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/*
 * To be called first. Output is by the line, so that a test that hangs or crashes the kernel has
 * said how far it came.
 */
void selftest_start(void);

/* To be called first in a process that was forked: its checks are its own. */
void selftest_child(void);

/* Prints "N checks, N failed"; returns the exit code, which is 1 without a single check. */
int selftest_end(void);

/* Ends the program: it cannot run here. Checks that failed before still make it exit 1. */
_Noreturn void skip_all(const char *fmt, ...) PRINTF(1, 2);

/* Ends the program with exit code 1: what every check rests on did not work. */
_Noreturn void fatal(const char *fmt, ...) PRINTF(1, 2);

/* A heading, and a line of information that is no check. */
void section(const char *fmt, ...) PRINTF(1, 2);
void note(const char *fmt, ...) PRINTF(1, 2);

/*
 * Says that one check, named by the text, is left out, and why. On a kernel that ought to have all,
 * whoever runs the test takes such a line, which begins with "skip", for a failure.
 */
void skip_one(const char *fmt, ...) PRINTF(1, 2);

/* One check, named by the text. Returns whether it passed. May be called by any thread. */
bool check(bool passed, const char *fmt, ...) PRINTF(2, 3);

/* A check of a result: a number, or a negative errno, which is printed by its name. */
bool check_eq(long got, long want, const char *fmt, ...) PRINTF(3, 4);

/* The same where two results are right. */
bool check_either(long got, long want1, long want2, const char *fmt, ...) PRINTF(4, 5);

/* "-EINVAL", or the number. The text is in one of a few buffers, which are used in turn. */
const char *result_text(long result);

/* The first line of a file without its end, or a negative errno. */
int line_read(const char *path, char *line, size_t len);

/*
 * The number in a file such as those of sysfs; *number stays as it is on error. 0 or a negative
 * errno.
 */
int number_read(const char *path, long *number);

/* Writes text to a file such as those of sysfs. 0 or a negative errno. */
int text_write(const char *path, const char *text);

uint64_t now_ms(void);
void sleep_ms(unsigned int ms);

#endif
