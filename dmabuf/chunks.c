/* SPDX-License-Identifier: BSD-3-Clause */
#include "dmabuf/chunks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/counter.h"

struct chunk {
	uint32_t refs;
	uint32_t owed; /* fragments that the kernel handed out and has not back */
	bool idle;     /* is on the stack */
};

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
	chunks->idle = calloc(chunks->n, sizeof(*chunks->idle));
	if (!chunks->chunk || !chunks->idle) {
		chunks_fini(chunks);
		return -ENOMEM;
	}
	return 0;
}

void chunks_fini(struct chunks *chunks)
{
	free(chunks->chunk);
	free(chunks->idle);
	chunks->chunk = NULL;
	chunks->idle = NULL;
}

uint64_t chunks_bytes(const struct chunks *chunks)
{
	return chunks->n * (sizeof(*chunks->chunk) + sizeof(*chunks->idle));
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
	if (!chunk->owed++)
		counter_add(&chunks->held, 1);
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

static void idle_push(struct chunks *chunks, uint32_t index)
{
	chunks->chunk[index].idle = true;
	chunks->idle[chunks->n_idle++] = index;
}

void chunks_put(struct chunks *chunks, const struct span *span)
{
	uint32_t first, last;

	chunks_touched(chunks, span, &first, &last);
	for (uint32_t i = first; i <= last; i++) {
		struct chunk *chunk = &chunks->chunk[i];

		assert(chunk->refs);
		if (!--chunk->refs && !chunk->idle)
			idle_push(chunks, i);
	}
}

uint32_t chunks_take_idle(struct chunks *chunks, uint32_t max, uint32_t *index)
{
	while (chunks->n_idle) {
		uint32_t i = chunks->idle[--chunks->n_idle], owed;
		struct chunk *chunk = &chunks->chunk[i];

		chunk->idle = false;
		/* More of it was received since: it comes here again. */
		if (chunk->refs)
			continue;
		owed = MIN(chunk->owed, max);
		chunk->owed -= owed;
		if (chunk->owed)
			idle_push(chunks, i);
		else
			counter_set(&chunks->held, chunks->held - 1);
		*index = i;
		return owed;
	}
	return 0;
}
