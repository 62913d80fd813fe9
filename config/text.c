/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inih splits a line into key, value and comment. It gets its lines from here, one at a time,
 * because on its own it would surprise: it cuts section names at 49 bytes (an NQN has up to 223)
 * and long lines at its buffer, takes an indented line for more of the value above, and tells its
 * caller no line numbers. So section headers end here, lines are handed over without indentation,
 * and what inih would cut is refused.
 */
#include "config/text.h"

#include <ctype.h>
#include <ini.h>
#include <string.h>

/*
 * The longest line inih takes. Debian's build can be told at run time; elsewhere the variable is
 * missing and the limit is inih's own.
 */
enum { LINE_MAX_WANTED = 1024 };
extern int ini_max_line __attribute__((weak));

struct text {
	struct build *build;
	struct config_where where; /* the line handed to inih last */
	const char *at, *end;	   /* what is left to read */
	bool pending;		   /* inih has found no key in that line yet */
	bool header_seen;	   /* in this text */
};

/* The next line without its end and the blanks around it; false at the end of the text. */
static bool line_next(struct text *text, const char **line, size_t *len)
{
	const char *start = text->at, *end;

	if (start == text->end)
		return false;
	end = memchr(start, '\n', (size_t)(text->end - start));
	text->at = end ? end + 1 : text->end;
	if (!end)
		end = text->end;
	text->where.line++;
	while (start < end && isspace((unsigned char)*start))
		start++;
	while (start < end && isspace((unsigned char)end[-1]))
		end--;
	*line = start;
	*len = (size_t)(end - start);
	return true;
}

/* The first control character of a line, which no value may hold, or -1. */
static int control_find(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (iscntrl((unsigned char)line[i]) && line[i] != '\t')
			return (unsigned char)line[i];
	}
	return -1;
}

/* @line begins with '[' and is writable. */
static void header_line(struct text *text, char *line)
{
	char *end;

	text->header_seen = true;
	for (char *c = line + 1; *c; c++) {
		if (*c == ';' && isspace((unsigned char)c[-1])) {
			*c = '\0';
			break;
		}
	}
	end = line + strlen(line);
	while (isspace((unsigned char)end[-1]))
		end--;
	if (end[-1] != ']') {
		faults_add(text->build->faults, &text->where,
			   "a section header ends with ']'; write such as [listener tcp]");
		build_close(text->build);
		text->build->headers_bad = true;
		return;
	}
	end--;
	while (end > line + 1 && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	line++;
	line += strspn(line, " \t");
	build_open(text->build, &text->where, line);
}

static void pending_check(struct text *text)
{
	if (text->pending)
		faults_add(text->build->faults, &text->where,
			   "this is neither [section] nor key = value nor a comment; correct it");
	text->pending = false;
}

/* Puts into @buf what inih shall see of a line: itself, or nothing. */
static void line_hand(struct text *text, char *buf, size_t size, const char *line, size_t len)
{
	int control = control_find(line, len);

	buf[0] = '\0';
	if (len == 0 || line[0] == ';' || line[0] == '#')
		return;
	if (control >= 0) {
		faults_add(text->build->faults, &text->where,
			   "the line holds control character 0x%02x; remove it", (unsigned)control);
		return;
	}
	if (len >= size) {
		faults_add(text->build->faults, &text->where,
			   "the line is longer than %zu bytes; shorten it", size - 1);
		return;
	}
	memcpy(buf, line, len);
	buf[len] = '\0';
	if (buf[0] == '[') {
		header_line(text, buf);
		buf[0] = '\0';
		return;
	}
	text->pending = true;
}

/* An ini_reader, which behaves like fgets(). */
static char *text_line(char *buf, int size, void *arg)
{
	struct text *text = arg;
	const char *line;
	size_t len;

	pending_check(text);
	if (!line_next(text, &line, &len))
		return NULL;
	/* A byte for the newline. */
	line_hand(text, buf, (size_t)size - 1, line, len);
	strcat(buf, "\n");
	return buf;
}

/* An ini_handler. Returns 1: what is wrong with the key is reported already. */
static int text_key(void *arg, const char *section __maybe_unused, const char *key,
		    const char *value)
{
	struct text *text = arg;

	if (key[0] == '\0')
		return 1; /* left pending, thus reported */
	text->pending = false;
	if (text->build->open)
		build_set(text->build, &text->where, key, value);
	else if (!text->header_seen)
		faults_add(text->build->faults, &text->where,
			   "'%.64s' stands in no section; write a header such as [daemon] above it",
			   key);
	return 1;
}

void text_read(struct build *build, const char *name, const char *data, size_t len)
{
	static const char bom[] = "\xef\xbb\xbf"; /* what some editors put before UTF-8 */
	struct text text = {
		.build = build,
		.where.file = name,
		.at = data,
		.end = data + len,
	};

	if (len >= 3 && memcmp(data, bom, 3) == 0)
		text.at += 3;
	if (&ini_max_line)
		ini_max_line = LINE_MAX_WANTED;
	build_close(build);
	if (ini_parse_stream(text_line, &text, text_key, &text) == -2)
		faults_memory(build->faults, &text.where);
	pending_check(&text);
}
