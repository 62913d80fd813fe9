/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sluice-manual TEMPLATE: writes sluice.conf(5) to its standard output. TEMPLATE is the page in mdoc
 * with one line "@SETTINGS@", in whose place all sections and settings of the table go. It runs at
 * build time only.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

static const char mark[] = "@SETTINGS@\n";

enum { LINE_BYTES_MAX = 1024 };

/* True when @c is the blank between two sentences of @text. */
static bool sentence_ends(const char *text, const char *c)
{
	return c > text && *c == ' ' && c[-1] == '.';
}

/*
 * Writes @text as lines of the page, a sentence a line as mdoc wants it. What roff would take for a
 * request or an escape is made plain.
 */
static void text_write(const char *text)
{
	bool line_start = true;

	for (const char *c = text; *c; c++) {
		if (sentence_ends(text, c)) {
			putchar('\n');
			line_start = true;
			continue;
		}
		if (line_start && strchr(".'", *c))
			fputs("\\&", stdout);
		line_start = false;
		if (*c == '\\')
			fputs("\\e", stdout);
		else if (*c == '-' && (c[1] == '-' || (c > text && c[-1] == '-')))
			fputs("\\-", stdout);
		else if (*c == '\'')
			fputs("\\(aq", stdout);
		else
			putchar(*c);
	}
	putchar('\n');
}

static void setting_write(const struct setting *row)
{
	char line[VALUE_LINE_MAX];

	value_line(row, line);
	printf(".It Ic %s\n", row->key);
	text_write(row->help);
	puts(".Pp");
	text_write(line);
}

static void section_write(enum section_id id)
{
	const struct section *section = &sections[id];
	const struct setting *rows;
	unsigned n;

	printf(".Ss [%s%s%s]\n", section->kind, section->argument ? " " : "",
	       section->argument ? section->argument : "");
	text_write(section->help);
	if (section->argument)
		printf("There may be up to %u such sections.\n", section->max);
	puts(".Bl -tag -width Ds");
	rows = section_settings(id, &n);
	for (unsigned i = 0; i < n; i++)
		setting_write(&rows[i]);
	puts(".El");
}

/* Returns how many marks there were. */
static unsigned page_write(FILE *template)
{
	char line[LINE_BYTES_MAX];
	unsigned marks = 0;

	while (fgets(line, sizeof(line), template)) {
		if (strcmp(line, mark)) {
			fputs(line, stdout);
			continue;
		}
		marks++;
		for (enum section_id id = 0; id < SECTIONS; id++)
			section_write(id);
	}
	return marks;
}

int main(int argc, char **argv)
{
	FILE *template = argc == 2 ? fopen(argv[1], "re") : NULL;
	unsigned marks;
	bool broken;

	if (!template) {
		fputs("sluice-manual: name a template that can be read\n", stderr);
		return EXIT_FAILURE;
	}
	marks = page_write(template);
	broken = ferror(template) || fflush(stdout) || ferror(stdout);
	fclose(template);
	if (marks != 1)
		fprintf(stderr, "sluice-manual: %s has %u lines instead of one with %s", argv[1],
			marks, mark);
	else if (broken)
		perror("sluice-manual: cannot read the template or write the page");
	return marks == 1 && !broken ? EXIT_SUCCESS : EXIT_FAILURE;
}
