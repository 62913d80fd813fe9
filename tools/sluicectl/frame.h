/* SPDX-License-Identifier: BSD-3-Clause */
/* What `sluicectl top` shows at a time. */
#ifndef SLUICE_TOOLS_SLUICECTL_FRAME_H
#define SLUICE_TOOLS_SLUICECTL_FRAME_H

#include <stdio.h>

#include "rates.h"

enum { FRAME_ROWS = 32 /* of a table, where no terminal bounds them */ };

struct frame_size {
	unsigned columns, rows; /* 0: as many as it takes */
};

/*
 * Prints @rates; NULL: there are none yet. @note: a line more, or NULL. At most @size.columns characters a
 * line, and @size.rows lines as long as there is room for all headings: tables share what is left.
 */
void frame_print(const struct rates *rates, const char *note, struct frame_size size, FILE *out);

/*
 * Shares @rows among @n who want @wanted[i] each: nobody gets more than wanted, and who gets less gets no
 * less than any other, but for one.
 */
void frame_share(unsigned rows, const unsigned *wanted, unsigned *given, unsigned n);

#endif
