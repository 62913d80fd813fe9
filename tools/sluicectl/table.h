/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables for people: columns as wide as what is in them, two spaces between. */
#ifndef SLUICE_TOOLS_SLUICECTL_TABLE_H
#define SLUICE_TOOLS_SLUICECTL_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

enum {
	TABLE_COLUMNS = 16,
	TABLE_TEXT_MIN = 16, /* characters that a column of text keeps when there is little room */
};

struct table {
	const char *const *headings; /* '>' comes first where the column is flush right */
	unsigned n_columns;
	char **cells; /* owned, row by row */
	size_t n_cells, max_cells;
};

/* @headings: NULL-terminated, at most TABLE_COLUMNS, and must outlive the table. */
void table_init(struct table *table, const char *const *headings);
void table_fini(struct table *table);

/*
 * Fills in the next cell; control characters, which a remote host may have put into its name, are
 * shown as '?'. Ends the program when there is no memory.
 */
void table_cell(struct table *table, const char *fmt, ...) __printf(2, 3);

/* Whole rows only have been filled in. */
void table_print(const struct table *table, FILE *out);

/*
 * As table_print(), in lines of at most @width characters, 0: any. Columns of text get as narrow as they
 * must, their texts losing their beginnings, for the ends tell them apart; then lines lose their ends.
 */
void table_print_within(const struct table *table, unsigned width, FILE *out);

/* Prints @text to @out as a cell would show it. */
void text_print(const char *text, FILE *out);

/* The same as a line, of at most @width characters, 0: any. */
void text_print_within(const char *text, unsigned width, FILE *out);

/* Says so and ends the program. */
void out_of_memory(void) __attribute__((noreturn));

struct duration_text {
	char s[32];
};

/* @ms in its two largest units: "3d 4h", "1m 5s", "12 ms". */
struct duration_text duration_text(uint64_t ms);

#endif
