/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration in effect, and the manual: both are walks over the table of settings. */
#include <stdio.h>
#include <string.h>

#include "config/value.h"

void config_dump(const struct config *config, FILE *out)
{
	char label[SECTION_LABEL_MAX];

	fputs("# The configuration in effect, with all defaults.\n", out);
	for (enum section_id id = 0; id < SECTIONS; id++) {
		unsigned n = section_count(config, id), n_rows;
		const struct setting *rows = section_settings(id, &n_rows);

		for (unsigned i = 0; i < n; i++) {
			section_label(config, id, i, label);
			fprintf(out, "\n%s\n", label);
			for (unsigned j = 0; j < n_rows; j++)
				rows[j].type->print(&rows[j], section_object(config, id, i), out);
		}
	}
}

/* Writes @text in lines of at most 76 columns, each behind @indent blanks. */
static void text_wrap(FILE *out, int indent, const char *text)
{
	int column = 0;

	for (;;) {
		int len = (int)strcspn(text, " ");

		if (column == 0)
			column = fprintf(out, "%*s%.*s", indent, "", len, text);
		else if (column + 1 + len <= 76)
			column += fprintf(out, " %.*s", len, text);
		else
			column = fprintf(out, "\n%*s%.*s", indent, "", len, text) - 1;
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	fputc('\n', out);
}

static void setting_help(const struct setting *row, FILE *out)
{
	char line[VALUE_LINE_MAX];

	value_line(row, line);
	fprintf(out, "  %s\n", row->key);
	text_wrap(out, 6, row->help);
	text_wrap(out, 6, line);
}

void config_help(FILE *out)
{
	fputs("The configuration is one INI file and its drop-ins, FILE.d/*.conf, which are read\n"
	      "after it in the order of their names. A section may appear several times: what\n"
	      "comes later overrides what came before, and repeatable keys add to it. Lines that\n"
	      "begin with '#' or ';' are comments; so is what follows ' ;' in a line.\n",
	      out);
	for (enum section_id id = 0; id < SECTIONS; id++) {
		const struct section *section = &sections[id];
		unsigned n;
		const struct setting *rows = section_settings(id, &n);

		fprintf(out, "\n[%s%s%s]\n", section->kind, section->argument ? " " : "",
			section->argument ? section->argument : "");
		text_wrap(out, 2, section->help);
		for (unsigned i = 0; i < n; i++)
			setting_help(&rows[i], out);
	}
}
