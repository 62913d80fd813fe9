/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chunks go back to the kernel from the last one in the area to the first. It hands what it is given in
 * one go to the NIC in the reverse order, so chunks side by side are filled one after the other: what
 * fills several of them whole is one segment for a drive, and a map of fragments costs as much as it
 * has segments. Whatever order they come back in, they are sorted again here.
 */
#include "dmabuf/chunks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/counter.h"

struct chunk {
	uint32_t refs;
	uint32_t owed; /* fragments that the kernel handed out and has not back */
};

enum { WORD_BITS = 64 };

static uint32_t words_for(uint32_t bits)
{
	return bits / WORD_BITS + 1;
}

int chunks_init(struct chunks *chunks, struct area *area, uint64_t offset, uint64_t size,
		unsigned shift)
{
	*chunks = (struct chunks){
		.area = area,
		.offset = offset,
		.shift = shift,
		.n = (uint32_t)(size >> shift),
	};
	assert(!((offset | size) & ((UINT64_C(1) << shift) - 1)));
	assert(offset <= area->size && size <= area->size - offset);
	chunks->chunk = calloc(chunks->n, sizeof(*chunks->chunk));
	chunks->idle = calloc(words_for(chunks->n), sizeof(*chunks->idle));
	chunks->idle_words = calloc(words_for(words_for(chunks->n)), sizeof(*chunks->idle_words));
	if (!chunks->chunk || !chunks->idle || !chunks->idle_words) {
		chunks_fini(chunks);
		return -ENOMEM;
	}
	return 0;
}

void chunks_fini(struct chunks *chunks)
{
	free(chunks->chunk);
	free(chunks->idle);
	free(chunks->idle_words);
	chunks->chunk = NULL;
	chunks->idle = NULL;
	chunks->idle_words = NULL;
}

uint64_t chunks_bytes(const struct chunks *chunks)
{
	uint32_t words = words_for(chunks->n);

	return chunks->n * sizeof(*chunks->chunk) + words * sizeof(*chunks->idle) +
	       words_for(words) * sizeof(*chunks->idle_words);
}

/* First and last chunk that @span touches. */
static void chunks_touched(const struct chunks *chunks, const struct span *span, uint32_t *first,
			   uint32_t *last)
{
	assert(span->len && chunks_have(chunks, span));
	*first = chunks_index(chunks, span->offset);
	*last = chunks_index(chunks, span->offset + span->len - 1);
	assert(*last < chunks->n);
}

void chunks_received(struct chunks *chunks, const struct span *fragment)
{
	uint32_t first, last;
	struct chunk *chunk;

	chunks_touched(chunks, fragment, &first, &last);
	assert(first == last);
	chunk = &chunks->chunk[first];
	if (!chunk->owed++) {
		counter_add(&chunks->held, 1);
		counter_set(&chunks->held_max, MAX(chunks->held_max, chunks->held));
	}
	chunk->refs++;
}

void chunks_get(struct chunks *chunks, const struct span *span)
{
	uint32_t first, last;

	chunks_touched(chunks, span, &first, &last);
	for (uint32_t i = first; i <= last; i++) {
		assert(chunks->chunk[i].refs);
		chunks->chunk[i].refs++;
	}
}

static void idle_add(struct chunks *chunks, uint32_t index)
{
	uint32_t word = index / WORD_BITS;

	chunks->idle[word] |= UINT64_C(1) << index % WORD_BITS;
	chunks->idle_words[word / WORD_BITS] |= UINT64_C(1) << word % WORD_BITS;
}

static uint32_t bit_last(uint64_t word)
{
	return (uint32_t)(WORD_BITS - 1 - __builtin_clzll(word));
}

/* Takes the last one out. False: there is none. */
static bool idle_take(struct chunks *chunks, uint32_t *index)
{
	uint32_t i = words_for(words_for(chunks->n)), word;

	do {
		if (!i--)
			return false;
	} while (!chunks->idle_words[i]);
	word = i * WORD_BITS + bit_last(chunks->idle_words[i]);
	*index = word * WORD_BITS + bit_last(chunks->idle[word]);
	chunks->idle[word] ^= UINT64_C(1) << *index % WORD_BITS;
	if (!chunks->idle[word])
		chunks->idle_words[i] ^= UINT64_C(1) << word % WORD_BITS;
	return true;
}

void chunks_put(struct chunks *chunks, const struct span *span)
{
	uint32_t first, last;

	chunks_touched(chunks, span, &first, &last);
	for (uint32_t i = first; i <= last; i++) {
		struct chunk *chunk = &chunks->chunk[i];

		assert(chunk->refs);
		if (!--chunk->refs)
			idle_add(chunks, i);
	}
}

uint32_t chunks_take_idle(struct chunks *chunks, uint32_t max, uint32_t *index)
{
	uint32_t i;

	while (idle_take(chunks, &i)) {
		struct chunk *chunk = &chunks->chunk[i];
		uint32_t owed;

		/* More of it was received since: it comes here again. */
		if (chunk->refs)
			continue;
		owed = MIN(chunk->owed, max);
		chunk->owed -= owed;
		if (chunk->owed)
			idle_add(chunks, i);
		else
			counter_set(&chunks->held, chunks->held - 1);
		*index = i;
		return owed;
	}
	return 0;
}
