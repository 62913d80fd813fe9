/* SPDX-License-Identifier: BSD-3-Clause */
#include "script.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

struct verb_row {
	const char *name;
	bool sends;
	const char *args[SCRIPT_ARGS];
};

static const struct verb_row verbs[VERBS] = {
	[VERB_OPEN] = { "open", false, { NULL } },
	[VERB_ICREQ] = { "icreq", true, { "dgst", "hpda", "maxr2t" } },
	[VERB_CONNECT] = { "connect",
			   true,
			   { "cid", "qid", "sqsize", "cattr", "kato", "ctrl", "nqn" } },
	[VERB_PROP_GET] = { "propget", true, { "cid", "offset", "size" } },
	[VERB_PROP_SET] = { "propset", true, { "cid", "offset", "size", "value" } },
	[VERB_CMD] = { "cmd",
		       true,
		       { "op", "cid", "nsid", "flags", "sgl", "len", "addr", "cdw10", "cdw11",
			 "cdw12", "cdw13", "cdw14", "cdw15", "data" } },
	[VERB_DATA] = { "data", true, { "r2t", "skip", "len", "last", "old" } },
	[VERB_SETTLE] = { "settle", false, { "ms", "chunk" } },
	[VERB_TERM] = { "term", true, { "fes", "fei", "len" } },
	[VERB_RAW] = { "raw", true, { "len", "seed" } },
	[VERB_WAIT] = { "wait", false, { "ms" } },
	[VERB_STALL] = { "stall", false, { "ms" } },
	[VERB_HALF] = { "half", false, { NULL } },
	[VERB_CLOSE] = { "close", false, { NULL } },
	[VERB_RESET] = { "reset", false, { NULL } },
};

bool verb_sends(enum verb verb)
{
	return verbs[verb].sends;
}

const char *verb_name(enum verb verb)
{
	return verbs[verb].name;
}

/* ---------------------------------------------------------------------------------------- writing */

static void __printf(3, 4) put(char *buf, size_t *at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf + *at, SCRIPT_LINE - *at, fmt, ap);
	va_end(ap);
	*at = MIN(*at + (size_t)n, (size_t)SCRIPT_LINE - 1);
}

void action_print(const struct action *action, char *buf)
{
	const struct verb_row *row = &verbs[action->verb];
	size_t at = 0;

	put(buf, &at, "%u %s", action->conn, row->name);
	for (unsigned i = 0; i < SCRIPT_ARGS && row->args[i]; i++) {
		uint64_t value = action->arg[i];

		if (value)
			put(buf, &at, value < 4096 ? " %s=%" PRIu64 : " %s=0x%" PRIx64,
			    row->args[i], value);
	}
	for (unsigned i = 0; i < action->n_edits; i++) {
		const struct edit *e = &action->edits[i];

		put(buf, &at, " @%u:%u%c0x%" PRIx64, e->offset, e->width, e->op, e->value);
	}
	if (action->is_cut)
		put(buf, &at, " cut=%u", action->cut);
	for (unsigned i = 0; i < action->n_splits; i++)
		put(buf, &at, " split=%u/%u", action->splits[i].at, action->splits[i].pause_ms);
	if (action->stale)
		put(buf, &at, " stale");
	if (action->more)
		put(buf, &at, " more");
}

int session_write(const struct session *session, const char *note, FILE *out)
{
	char line[SCRIPT_LINE];

	fprintf(out, "# A session of sluice-fuzz; run it again with --replay.\n");
	if (note)
		fprintf(out, "# %s\n", note);
	fprintf(out, "seed %" PRIu64 "\n", session->seed);
	for (unsigned i = 0; i < session->n; i++) {
		action_print(&session->actions[i], line);
		fprintf(out, "%s\n", line);
	}
	return ferror(out) ? -EIO : 0;
}

/* ---------------------------------------------------------------------------------------- reading */

/* Reads a number up to @max that ends at @end (one of its characters, or the string's end). */
static bool number(const char **p, const char *end, uint64_t max, uint64_t *value)
{
	char *stop;

	if (!isdigit((unsigned char)**p))
		return false;
	errno = 0;
	*value = strtoull(*p, &stop, 0);
	if (errno || *value > max || (*stop && !strchr(end, *stop)))
		return false;
	*p = *stop ? stop + 1 : stop;
	return true;
}

static const char *edit_parse(struct action *action, const char *p)
{
	struct edit *e = &action->edits[action->n_edits];
	uint64_t offset, width;

	if (action->n_edits == SCRIPT_EDITS)
		return "too many edits";
	if (!number(&p, ":", UINT16_MAX, &offset) || !number(&p, "=+^", 8, &width) ||
	    (width != 1 && width != 2 && width != 4 && width != 8))
		return "an edit is @OFFSET:WIDTH and =, + or ^, WIDTH 1, 2, 4 or 8";
	e->offset = (uint16_t)offset;
	e->width = (uint8_t)width;
	e->op = p[-1];
	if (!number(&p, "", UINT64_MAX, &e->value))
		return "an edit without a number as its value";
	action->n_edits++;
	return NULL;
}

static const char *split_parse(struct action *action, const char *p)
{
	struct split *s = &action->splits[action->n_splits];
	uint64_t at, pause_ms;

	if (action->n_splits == SCRIPT_SPLITS)
		return "too many splits";
	if (!number(&p, "/", UINT32_MAX, &at) || !number(&p, "", SCRIPT_PAUSE_MAX, &pause_ms))
		return "a split is split=BYTES/MILLISECONDS";
	*s = (struct split){ .at = (uint32_t)at, .pause_ms = (uint32_t)pause_ms };
	action->n_splits++;
	return NULL;
}

/* A token NAME=VALUE. */
static const char *arg_parse(struct action *action, const char *token)
{
	const struct verb_row *row = &verbs[action->verb];
	const char *value = strchr(token, '=');
	size_t len;

	if (!value++)
		return "a word that is neither NAME=VALUE, an edit, stale nor more";
	len = (size_t)(value - token) - 1;
	for (unsigned i = 0; i < SCRIPT_ARGS && row->args[i]; i++) {
		if (strlen(row->args[i]) != len || strncmp(row->args[i], token, len))
			continue;
		if (!number(&value, "", UINT64_MAX, &action->arg[i]))
			return "a value that is no number";
		return NULL;
	}
	return "an argument that its verb does not have";
}

static const char *token_parse(struct action *action, const char *token)
{
	const char *value = token + strlen("cut=");
	uint64_t cut;

	if (*token == '@')
		return edit_parse(action, token + 1);
	if (!strncmp(token, "split=", strlen("split=")))
		return split_parse(action, token + strlen("split="));
	if (!strncmp(token, "cut=", strlen("cut="))) {
		if (!number(&value, "", UINT32_MAX, &cut))
			return "cut without a number";
		action->cut = (uint32_t)cut;
		action->is_cut = true;
		return NULL;
	}
	if (!strcmp(token, "stale"))
		action->stale = true;
	else if (!strcmp(token, "more"))
		action->more = true;
	else
		return arg_parse(action, token);
	return NULL;
}

/* What is not bounded by its type: a line may come from anywhere. */
static const char *action_bounds(const struct action *action)
{
	switch (action->verb) {
	case VERB_CMD:
		return action->arg[CMD_DATA] > SCRIPT_DATA_MAX ? "more data than 1 MiB" : NULL;
	case VERB_RAW:
		return action->arg[RAW_LEN] > SCRIPT_DATA_MAX ? "more noise than 1 MiB" : NULL;
	case VERB_DATA:
		return action->arg[DATA_LEN] > SCRIPT_DATA_MAX ? "more data than 1 MiB" : NULL;
	case VERB_TERM:
		return action->arg[TERM_LEN] > SCRIPT_DATA_MAX ? "more data than 1 MiB" : NULL;
	case VERB_SETTLE:
	case VERB_WAIT:
	case VERB_STALL:
		return action->arg[0] > SCRIPT_PAUSE_MAX ? "a time beyond a minute" : NULL;
	default:
		return NULL;
	}
}

const char *action_parse(struct action *action, const char *line)
{
	char copy[SCRIPT_LINE], *save, *token;
	const char *wrong = NULL, *p;
	uint64_t conn;

	*action = (struct action){ .verb = VERBS };
	if (strlen(line) >= sizeof(copy))
		return "a line that is too long";
	strcpy(copy, line);
	p = token = strtok_r(copy, " \t", &save);
	if (!p || !number(&p, "", SCRIPT_CONNS - 1, &conn))
		return "a line that does not begin with a connection's number, 0 to 15";
	action->conn = (uint8_t)conn;
	token = strtok_r(NULL, " \t", &save);
	for (unsigned i = 0; token && i < VERBS; i++)
		if (!strcmp(verbs[i].name, token))
			action->verb = (uint8_t)i;
	if (action->verb == VERBS)
		return "an unknown verb";
	while (!wrong && (token = strtok_r(NULL, " \t", &save)))
		wrong = token_parse(action, token);
	return wrong ? wrong : action_bounds(action);
}

int session_read(struct session *session, FILE *in, char *error, size_t len)
{
	char line[SCRIPT_LINE];
	const char *wrong = NULL;
	unsigned n = 0;

	session->seed = 0;
	session->n = 0;
	while (!wrong && fgets(line, sizeof(line), in)) {
		const char *p = line + strlen("seed ");

		n++;
		line[strcspn(line, "\r\n")] = 0;
		if (line[0] == '#' || line[strspn(line, " \t")] == 0)
			continue;
		if (!strncmp(line, "seed ", strlen("seed "))) {
			if (!number(&p, "", UINT64_MAX, &session->seed))
				wrong = "seed without a number";
		} else if (session->n == SCRIPT_ACTIONS) {
			wrong = "more actions than a session holds";
		} else {
			wrong = action_parse(&session->actions[session->n++], line);
		}
	}
	if (!wrong && !session->n)
		wrong = "no action at all";
	if (!wrong)
		return 0;
	snprintf(error, len, "line %u: %s", n, wrong);
	return -EINVAL;
}
