/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/suggest.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

enum { SUGGEST_NAME_MAX = 32 };

/*
 * Edits (a character inserted, deleted, replaced, or two neighbours swapped) that turn @a into @b,
 * by the usual table, three rows of it at a time. Both are at most SUGGEST_NAME_MAX long.
 */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][SUGGEST_NAME_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];

	for (unsigned j = 0; j <= b_len; j++)
		last[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned replaced = last[j - 1] + (a[i - 1] != b[j - 1]);
			unsigned shifted = MIN(last[j], row[j - 1]) + 1;

			row[j] = MIN(replaced, shifted);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[b_len];
}

const char *name_suggest(const char *name, const char *const *names, unsigned n)
{
	size_t len = strnlen(name, SUGGEST_NAME_MAX + 1);
	unsigned best = len < 4 ? 2 : 4; /* so many edits are another word */
	const char *found = NULL;

	if (len > SUGGEST_NAME_MAX)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		size_t other = strnlen(names[i], SUGGEST_NAME_MAX);
		unsigned edits = edit_distance(name, len, names[i], other);

		if (edits < best && edits < other) {
			best = edits;
			found = names[i];
		}
	}
	return found;
}
