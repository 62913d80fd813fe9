/* SPDX-License-Identifier: BSD-3-Clause */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

enum {
	LABEL_WORDS = 4,  /* a block begins with its name in clear */
	TORN_BACK = 8,    /* generations back that are looked for in a damaged block */
	SHOWN_BYTES = 16,
	SLACK_MAX = UINT8_MAX,
};

static const uint64_t STEP = 0x9e3779b97f4a7c15u;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t verify_table_size(uint64_t blocks)
{
	return blocks * (sizeof(uint32_t) + sizeof(uint8_t)) + blocks / 8;
}

int verify_init(struct verify *v, uint64_t seed, uint32_t nsid, uint32_t block_size, uint64_t first,
		uint64_t blocks)
{
	*v = (struct verify){ .seed = seed, .nsid = nsid, .block_size = block_size, .first = first,
			      .blocks = blocks };
	v->gen = calloc(blocks, sizeof(*v->gen));
	v->slack = calloc(blocks, sizeof(*v->slack));
	v->busy = calloc(blocks / 64 + 1, sizeof(*v->busy));
	if (v->gen && v->slack && v->busy)
		return 0;
	verify_fini(v);
	return -ENOMEM;
}

void verify_fini(struct verify *v)
{
	free(v->gen);
	free(v->slack);
	free(v->busy);
	*v = (struct verify){ 0 };
}

bool verify_claim(struct verify *v, uint64_t lba, uint32_t n)
{
	uint64_t at = lba - v->first;

	for (uint64_t i = at; i < at + n; i++)
		if (v->busy[i / 64] >> i % 64 & 1)
			return false;
	for (uint64_t i = at; i < at + n; i++)
		v->busy[i / 64] |= 1ull << i % 64;
	return true;
}

void verify_release(struct verify *v, uint64_t lba, uint32_t n)
{
	uint64_t at = lba - v->first;

	for (uint64_t i = at; i < at + n; i++)
		v->busy[i / 64] &= ~(1ull << i % 64);
}

bool verify_known(const struct verify *v, uint64_t lba, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (v->gen[lba - v->first + i])
			return true;
	return false;
}

/* ---------------------------------------------------------------------------------------- content */

/* Words 0 to 3: address, generation and namespace, seed, and a check over them. */
static void label_make(const struct verify *v, uint64_t lba, uint32_t gen, uint64_t *label)
{
	label[0] = lba;
	label[1] = (uint64_t)v->nsid << 32 | gen;
	label[2] = v->seed;
	label[3] = mix(label[0] ^ mix(label[1] ^ mix(label[2] + STEP)));
}

/*
 * The other words count up from a key in large odd steps: two blocks differ in every word, and a
 * word that moved within its block differs too, while compilers turn the loop into vector code.
 */
static uint64_t key_make(const struct verify *v, uint64_t lba, uint32_t gen)
{
	uint64_t label[LABEL_WORDS];

	label_make(v, lba, gen, label);
	return mix(label[3] + STEP);
}

static void block_fill(const struct verify *v, uint64_t lba, uint32_t gen, uint64_t *words)
{
	uint64_t key = key_make(v, lba, gen);
	uint32_t n = v->block_size / sizeof(*words);

	label_make(v, lba, gen, words);
	for (uint32_t i = LABEL_WORDS; i < n; i++)
		words[i] = key + i * STEP;
}

static bool block_matches(const struct verify *v, uint64_t lba, uint32_t gen, const uint64_t *words)
{
	uint64_t key = key_make(v, lba, gen);
	uint32_t n = v->block_size / sizeof(*words);
	uint64_t label[LABEL_WORDS];
	uint64_t diff = 0;

	label_make(v, lba, gen, label);
	for (uint32_t i = 0; i < LABEL_WORDS; i++)
		diff |= words[i] ^ label[i];
	for (uint32_t i = LABEL_WORDS; i < n; i++)
		diff |= words[i] ^ (key + i * STEP);
	return diff == 0;
}

void verify_fill(const struct verify *v, uint64_t lba, uint32_t n, uint8_t *buf)
{
	for (uint32_t i = 0; i < n; i++)
		block_fill(v, lba + i, v->gen[lba - v->first + i] + 1,
			   (uint64_t *)(void *)(buf + (size_t)i * v->block_size));
}

void verify_written(struct verify *v, uint64_t lba, uint32_t n)
{
	for (uint64_t i = lba - v->first; i < lba - v->first + n; i++) {
		v->gen[i]++;
		v->slack[i] = 0;
	}
}

void verify_uncertain(struct verify *v, uint64_t lba, uint32_t n)
{
	for (uint64_t i = lba - v->first; i < lba - v->first + n; i++) {
		if (v->gen[i] == 0)
			continue;
		if (v->slack[i] == SLACK_MAX) {
			/* More candidates than the table can hold: no longer known. */
			v->gen[i] = 0;
			v->slack[i] = 0;
			continue;
		}
		v->gen[i]++;
		v->slack[i]++;
	}
}

/* ------------------------------------------------------------------------------------------ check */

static int append(char *text, int at, const char *fmt, ...) __printf(3, 4);
static int append(char *text, int at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text + at, (size_t)(VERIFY_TEXT_MAX - at), fmt, ap);
	va_end(ap);
	return MIN(at + n, VERIFY_TEXT_MAX - 1);
}

static int append_bytes(char *text, int at, const void *bytes)
{
	for (int i = 0; i < SHOWN_BYTES; i++)
		at = append(text, at, "%s%02x", i % 8 == 0 && i ? " " : "",
			    ((const uint8_t *)bytes)[i]);
	return at;
}

/* Whose content the words from @from to the block's end are: the torn half names its generation. */
static int append_origin(const struct verify *v, char *text, int at, uint64_t lba, uint32_t gen,
			 const uint64_t *words, uint32_t from, uint64_t *scratch)
{
	uint32_t n = v->block_size / sizeof(*words);
	uint32_t end;

	for (uint32_t back = 1; back <= TORN_BACK && back < gen; back++) {
		block_fill(v, lba, gen - back, scratch);
		if (memcmp(words, scratch, v->block_size) == 0)
			return append(text, at, "; all of it is of generation %u: a lost write",
				      gen - back);
		for (end = from; end < n && words[end] == scratch[end]; end++)
			;
		if (end > from)
			return append(text, at,
				      "; bytes %zu to %zu are of generation %u: a torn block",
				      from * sizeof(*words), end * sizeof(*words) - 1, gen - back);
	}
	for (end = from; end < n && words[end] == 0; end++)
		;
	if (end > from)
		at = append(text, at, "; bytes %zu to %zu are zero", from * sizeof(*words),
			    end * sizeof(*words) - 1);
	return at;
}

/* What the label that the block carries says, when it is a valid one. */
static int append_label(const struct verify *v, char *text, int at, uint64_t lba,
			const uint64_t *words)
{
	struct verify named = *v;
	uint64_t label[LABEL_WORDS];

	named.nsid = (uint32_t)(words[1] >> 32);
	named.seed = words[2];
	label_make(&named, words[0], (uint32_t)words[1], label);
	if (memcmp(label, words, sizeof(label)))
		return append(text, at, "; it carries no label of this tool");
	return append(text, at, "; its label: %slba %" PRIu64 ", generation %u%s%s",
		      words[0] == lba ? "" : "MISPLACED, ", words[0], (uint32_t)words[1],
		      named.nsid == v->nsid ? "" : ", of another namespace",
		      named.seed == v->seed ? "" : ", of another seed");
}

static void describe(const struct verify *v, uint64_t lba, const uint64_t *words, char *text)
{
	uint32_t gen = v->gen[lba - v->first];
	uint32_t slack = v->slack[lba - v->first];
	uint32_t n = v->block_size / sizeof(*words);
	uint64_t *want = malloc(v->block_size);
	uint32_t first = 0;
	int at = append(text, 0, "lba %" PRIu64 ": expected generation %u", lba, gen);

	if (slack)
		at = append(text, at, " (or down to %u)", gen - slack);
	if (!want)
		return;
	block_fill(v, lba, gen, want);
	while (first < n - SHOWN_BYTES / sizeof(*words) && words[first] == want[first])
		first++;
	at = append(text, at, "; from byte %zu on found ", first * sizeof(*words));
	at = append_bytes(text, at, words + first);
	at = append(text, at, ", expected ");
	at = append_bytes(text, at, want + first);
	at = append_label(v, text, at, lba, words);
	append_origin(v, text, at, lba, gen, words, first, want);
	free(want);
}

/* True and the table brought up to date when one of the acceptable generations is found. */
static bool block_check(struct verify *v, uint64_t lba, const uint64_t *words)
{
	uint64_t at = lba - v->first;

	for (uint32_t back = 0; back <= v->slack[at]; back++) {
		if (!block_matches(v, lba, v->gen[at] - back, words))
			continue;
		v->gen[at] -= back;
		v->slack[at] = 0;
		return true;
	}
	return false;
}

bool verify_check(struct verify *v, uint64_t lba, uint32_t n, const uint8_t *buf, char *text)
{
	bool good = true;

	for (uint32_t i = 0; i < n; i++) {
		const void *block = buf + (size_t)i * v->block_size;

		if (v->gen[lba - v->first + i] == 0)
			continue;
		v->checked++;
		if (block_check(v, lba + i, block))
			continue;
		v->bad++;
		if (good)
			describe(v, lba + i, block, text);
		good = false;
	}
	return good;
}
