/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/fault_rule.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAULT_DELAY_MAX_S = 3600, FAULT_ERRNO_MAX = 133 };

struct rule_text {
	const char *text; /* the whole rule, for messages */
	char *err;
	size_t errlen;
};

static int rule_fail(const struct rule_text *t, const char *fmt, ...) __printf(2, 3);

static int rule_fail(const struct rule_text *t, const char *fmt, ...)
{
	int len = snprintf(t->err, t->errlen, "fault = %s: ", t->text);
	va_list args;

	if (len < 0 || (size_t)len >= t->errlen)
		return -EINVAL;
	va_start(args, fmt);
	vsnprintf(t->err + len, t->errlen - (size_t)len, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* Reads a number at @text and sets *@end behind it; false when there is none, or it is too large. */
static bool number_parse(const char *text, uint64_t *value, const char **end)
{
	char *stop;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &stop, 10);
	*end = stop;
	return !errno;
}

static int operation_parse(const struct rule_text *t, const char *word, struct fault_rule *rule)
{
	static const char *const names[BACKEND_OPCODES] = {
		[BACKEND_READ] = "read",
		[BACKEND_WRITE] = "write",
		[BACKEND_FLUSH] = "flush",
		[BACKEND_WRITE_ZEROES] = "write_zeroes",
		[BACKEND_DISCARD] = "discard",
	};

	if (word && !strcmp(word, "any"))
		rule->opcodes = (1u << BACKEND_OPCODES) - 1;
	for (unsigned i = 0; word && i < BACKEND_OPCODES; i++) {
		if (!strcmp(word, names[i]))
			rule->opcodes = 1u << i;
	}
	if (!rule->opcodes)
		return rule_fail(t,
				 "unknown operation \"%s\": use read, write, flush, write_zeroes, "
				 "discard or any",
				 word ? word : "");
	return 0;
}

static int error_parse(const struct rule_text *t, const char *name, struct fault_rule *rule)
{
	for (int e = 1; e <= FAULT_ERRNO_MAX; e++) {
		const char *known = strerrorname_np(e);

		if (known && !strcmp(known, name))
			rule->error = -e;
	}
	if (!rule->error)
		return rule_fail(
			t,
			"unknown error \"%s\": use the name of an errno, such as EIO, ENODATA "
			"(medium error), ENOSPC or ENODEV",
			name);
	rule->action = FAULT_ERROR;
	return 0;
}

static int delay_parse(const struct rule_text *t, const char *text, struct fault_rule *rule)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
	const char *unit;
	uint64_t n;

	if (number_parse(text, &n, &unit)) {
		for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
			if (!strcmp(unit, units[i].name) && n &&
			    n <= FAULT_DELAY_MAX_S * UINT64_C(1000000000) / units[i].ns)
				rule->delay_ns = n * units[i].ns;
		}
	}
	if (!rule->delay_ns)
		return rule_fail(
			t,
			"bad delay \"%s\": use a time with its unit, from 1us to 3600s, such as "
			"50ms",
			text);
	rule->action = FAULT_DELAY;
	return 0;
}

static int action_parse(const struct rule_text *t, const char *word, struct fault_rule *rule)
{
	if (word && !strncmp(word, "error=", 6))
		return error_parse(t, word + 6, rule);
	if (word && !strncmp(word, "delay=", 6))
		return delay_parse(t, word + 6, rule);
	if (!word)
		return rule_fail(t, "it has no action: use error=EIO, delay=50ms or stuck, in the same "
				    "rule, such as 'read error=EIO'");
	if (strcmp(word, "stuck"))
		return rule_fail(t, "unknown action \"%s\": use error=EIO, delay=50ms or stuck", word);
	rule->action = FAULT_STUCK;
	return 0;
}

static int blocks_parse(const struct rule_text *t, const char *text, struct fault_rule *rule)
{
	const char *end;

	if (!number_parse(text, &rule->lba_first, &end) || *end++ != '-' ||
	    !number_parse(end, &rule->lba_last, &end) || *end || rule->lba_last < rule->lba_first)
		return rule_fail(t, "bad blocks \"lba=%s\": use lba=FIRST-LAST, such as lba=0-1023",
				 text);
	rule->opcodes &= ~(1u << BACKEND_FLUSH);
	if (!rule->opcodes)
		return rule_fail(t, "a flush has no blocks: leave lba= out");
	return 0;
}

static int selector_parse(const struct rule_text *t, const char *word, struct fault_rule *rule)
{
	const struct {
		const char *name;
		uint64_t *value;
	} counts[] = { { "after=", &rule->after },
		       { "every=", &rule->every },
		       { "count=", &rule->count } };
	const char *end;

	if (!strncmp(word, "lba=", 4))
		return blocks_parse(t, word + 4, rule);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t len = strlen(counts[i].name);

		if (strncmp(word, counts[i].name, len))
			continue;
		if (!number_parse(word + len, counts[i].value, &end) || *end || !*counts[i].value)
			return rule_fail(t, "bad number in \"%s\": use one from 1 on", word);
		return 0;
	}
	return rule_fail(t, "unknown selector \"%s\": use lba=A-B, after=N, every=N or count=N",
			 word);
}

int fault_rule_parse(const char *text, struct fault_rule *rule, char *err, size_t errlen)
{
	const struct rule_text t = { text, err, errlen };
	char copy[CONFIG_FAULT_RULE_MAX], *save, *word;
	int rc;

	*rule = (struct fault_rule){ .lba_last = UINT64_MAX, .every = 1, .count = UINT64_MAX };
	if (strlen(text) >= sizeof(copy))
		return rule_fail(&t, "longer than %zu characters", sizeof(copy) - 1);
	strcpy(copy, text);
	rc = operation_parse(&t, strtok_r(copy, " \t", &save), rule);
	if (!rc)
		rc = action_parse(&t, strtok_r(NULL, " \t", &save), rule);
	while (!rc && (word = strtok_r(NULL, " \t", &save)))
		rc = selector_parse(&t, word, rule);
	return rc;
}

bool fault_rule_strikes(struct fault_rule *rule, enum backend_opcode opcode, uint64_t first,
			uint64_t last)
{
	uint64_t n;

	if (!(rule->opcodes & 1u << opcode))
		return false;
	if (opcode != BACKEND_FLUSH && (last < rule->lba_first || first > rule->lba_last))
		return false;
	n = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_RELAXED);
	if (n <= rule->after || (n - rule->after) % rule->every)
		return false;
	return __atomic_fetch_add(&rule->hits, 1, __ATOMIC_RELAXED) < rule->count;
}
