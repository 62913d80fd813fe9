/* SPDX-License-Identifier: BSD-3-Clause */
/* The terminal, as long as `sluicectl top` has it to itself. There is one. */
#ifndef SLUICE_TOOLS_SLUICECTL_SCREEN_H
#define SLUICE_TOOLS_SLUICECTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

enum screen_event { SCREEN_TIME, SCREEN_RESIZED, SCREEN_QUIT };

/* Is standard output a terminal that can be drawn on? */
bool screen_is_there(void);

/*
 * Takes the terminal: standard output, and standard input when it is one, for keys. It is as before after
 * screen_close(), exit(), a signal that ends the program, and while the program is stopped.
 */
void screen_open(void);
void screen_close(void);

/* As it is now; where it does not say, 80 by 24. */
struct frame_size screen_size(void);

/* Shows @text instead of what is there: lines that fit, of which those beyond the last row stay away. */
void screen_draw(const char *text);

/* The bytes that do that, in memory that the caller frees, and their number in *@len. */
char *screen_bytes(const char *text, unsigned rows, size_t *len);

/* Waits until @until_ns of CLOCK_MONOTONIC, a key that quits, or another size. */
enum screen_event screen_wait(uint64_t until_ns);

/* CLOCK_MONOTONIC. */
uint64_t clock_ns(void);

#endif
