/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *table, const char *const *headings)
{
	*table = (struct table){ .headings = headings };
	while (headings[table->n_columns])
		table->n_columns++;
	assert(table->n_columns <= TABLE_COLUMNS);
}

void table_fini(struct table *table)
{
	while (table->n_cells)
		free(table->cells[--table->n_cells]);
	free(table->cells);
}

void out_of_memory(void)
{
	fprintf(stderr, "sluicectl: out of memory\n");
	exit(EXIT_FAILURE);
}

/* Makes @text safe for a terminal: no control character of ASCII, and none of C1 in UTF-8. */
static void text_clean(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
	}
}

void table_cell(struct table *table, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	if (table->n_cells == table->max_cells) {
		table->max_cells = table->max_cells ? 2 * table->max_cells : 64;
		table->cells = reallocarray(table->cells, table->max_cells, sizeof(char *));
		if (!table->cells)
			out_of_memory();
	}
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory();
	text_clean(text);
	table->cells[table->n_cells++] = text;
}

/* Characters that @text takes on a terminal; wide ones are not known here. */
static int text_width(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* The place of character @n of @text, or its end. */
static const char *text_at(const char *text, int n)
{
	while (*text && (n > 0 || ((unsigned char)*text & 0xc0) == 0x80)) {
		text++;
		n -= ((unsigned char)*text & 0xc0) != 0x80;
	}
	return text;
}

/* One line on its way out. */
struct line {
	FILE *out;
	int room; /* characters that may still come */
};

static void line_put(struct line *line, const char *text)
{
	const char *end = text_at(text, line->room);

	fwrite(text, 1, (size_t)(end - text), line->out);
	line->room -= text_width(text);
	line->room = MAX(line->room, 0);
}

void text_print_within(const char *text, unsigned width, FILE *out)
{
	struct line line = { out, width ? (int)MIN(width, (unsigned)INT_MAX) : INT_MAX };
	char *copy = strdup(text);

	if (!copy)
		out_of_memory();
	text_clean(copy);
	line_put(&line, copy);
	fputc('\n', out);
	free(copy);
}

void text_print(const char *text, FILE *out)
{
	char *copy = strdup(text);

	if (!copy)
		out_of_memory();
	text_clean(copy);
	fputs(copy, out);
	free(copy);
}

static void line_pad(struct line *line, int n)
{
	n = MIN(n, line->room);
	if (n <= 0)
		return;
	fprintf(line->out, "%*s", n, "");
	line->room -= n;
}

static void cell_print(struct line *line, const char *text, int width, bool right, bool last)
{
	int padding = width - text_width(text);

	if (right)
		line_pad(line, padding);
	if (padding < 0) {
		line_put(line, "..");
		text = text_at(text, 2 - padding);
	}
	line_put(line, text);
	if (!right && !last)
		line_pad(line, padding);
	if (last)
		fputc('\n', line->out);
	else
		line_pad(line, 2);
}

/* Takes from the widest column of text until the line fits in @width, or no more can be taken. */
static void columns_fit(int *widths, const bool *right, unsigned n, int width)
{
	for (;;) {
		int sum = 2 * ((int)n - 1);
		unsigned widest = n;

		for (unsigned c = 0; c < n; c++) {
			sum += widths[c];
			if (!right[c] && widths[c] > TABLE_TEXT_MIN &&
			    (widest == n || widths[c] >= widths[widest]))
				widest = c;
		}
		if (sum <= width || widest == n)
			return;
		widths[widest]--;
	}
}

void table_print_within(const struct table *table, unsigned width, FILE *out)
{
	const int room = width ? (int)MIN(width, (unsigned)INT_MAX) : INT_MAX;
	struct line line = { out, room };
	unsigned n = table->n_columns;
	int widths[TABLE_COLUMNS];
	bool right[TABLE_COLUMNS];

	assert(table->n_cells % n == 0);
	for (unsigned c = 0; c < n; c++) {
		right[c] = table->headings[c][0] == '>';
		widths[c] = text_width(table->headings[c] + right[c]);
	}
	for (size_t i = 0; i < table->n_cells; i++)
		widths[i % n] = MAX(widths[i % n], text_width(table->cells[i]));
	columns_fit(widths, right, n, room);
	for (unsigned c = 0; c < n; c++)
		cell_print(&line, table->headings[c] + right[c], widths[c], right[c], c == n - 1);
	for (size_t i = 0; i < table->n_cells; i++) {
		if (i % n == 0)
			line.room = room;
		cell_print(&line, table->cells[i], widths[i % n], right[i % n], i % n == n - 1);
	}
}

void table_print(const struct table *table, FILE *out)
{
	table_print_within(table, 0, out);
}

struct duration_text duration_text(uint64_t ms)
{
	static const struct {
		uint64_t ms;
		const char *name;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };
	struct duration_text text;

	for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
		if (ms < units[i].ms)
			continue;
		if (i + 1 < ARRAY_SIZE(units))
			snprintf(text.s, sizeof(text.s), "%" PRIu64 "%s %" PRIu64 "%s",
				 ms / units[i].ms, units[i].name,
				 ms % units[i].ms / units[i + 1].ms, units[i + 1].name);
		else
			snprintf(text.s, sizeof(text.s), "%" PRIu64 "%s", ms / units[i].ms,
				 units[i].name);
		return text;
	}
	snprintf(text.s, sizeof(text.s), "%" PRIu64 " ms", ms);
	return text;
}
