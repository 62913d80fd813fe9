/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device takes segments whose address and length are multiples of its alignment, four for NVMe. All
 * segments of a command being such, each begins at a multiple of it within the payload too. So of
 * a fragment stays what lies between two such places, if it is at such an address; a few bytes at its
 * ends may be copied, or all of it.
 */
#include "transport/tcp/gather.h"

#include <string.h>

#include "base/compiler.h"

enum { KEPT_NONE = -1 };

void gather_init(struct gather *gather, struct landing *landing, const struct spanv *buffer,
		 uint32_t align, uint32_t keeper)
{
	assert(keeper < landing->keepers);
	gather->landing = landing;
	gather->buffer = buffer;
	gather->align = align;
	gather->keeper = keeper;
	gather->kept = 0;
	gather->kept_last = (uint32_t)KEPT_NONE;
	gather->room.area = NULL;
	spanv_init(&gather->data, gather->few, GATHER_FEW);
}

/* Has room for @n spans more, if need be in other memory. */
static bool gather_has_room(struct gather *gather, uint32_t n)
{
	struct spanv *data = &gather->data;
	uint32_t max = data->max;
	struct span room;

	if (data->n + n <= max)
		return true;
	max = MAX(2 * max, (uint32_t)(1u << POOL_MIN_SHIFT) / (uint32_t)sizeof(struct span));
	if (pool_get(&gather->landing->rooms, max * (uint32_t)sizeof(struct span), &room))
		return false;
	memcpy(span_ptr(&room), data->v, data->n * sizeof(struct span));
	if (gather->room.area)
		pool_put(&gather->landing->rooms, &gather->room);
	gather->room = room;
	data->v = span_ptr(&room);
	data->max = max;
	return true;
}

/* Spans of chunks and of the buffer are never merged, even where the one begins behind the other. */
void gather_copy(struct gather *gather, uint32_t offset, const void *from, uint32_t len)
{
	/* The core gives a command's payload one piece of memory. */
	struct span place = gather->buffer->v[0];
	struct spanv *data = &gather->data;
	struct span *last = data->n ? &data->v[data->n - 1] : NULL;

	assert(offset + len <= place.len);
	spanv_write(gather->buffer, offset, from, len);
	place.offset += offset;
	place.len = len;
	data->len += len;
	if (last && last->area == place.area && last->offset + last->len == place.offset &&
	    !chunks_have(&gather->landing->chunks, last)) {
		last->len += len;
		return;
	}
	assert(data->n < data->max);
	data->v[data->n++] = place;
}

/* Keeps @piece, which is aligned and in one chunk, where it is. False when that may not be. */
static bool gather_keep(struct gather *gather, const struct span *piece)
{
	struct landing *landing = gather->landing;
	const struct chunks *chunks = &landing->chunks;
	struct spanv *data = &gather->data;
	struct span *last = data->n ? &data->v[data->n - 1] : NULL;
	uint32_t chunk = chunks_index(chunks, piece->offset);
	/* A span has one reference on each of its chunks, in how many pieces it ever came. */
	bool joins = last && last->offset + last->len == piece->offset && chunks_have(chunks, last);
	bool has = joins && chunks_index(chunks, piece->offset - 1) == chunk;

	/* Beside its own place there must be one for what has to be copied from now on. */
	if (!joins && !gather_has_room(gather, 2))
		return false;
	if (chunk != gather->kept_last) {
		if (!landing_may_keep(landing, gather->keeper))
			return false;
		landing_keep(landing, gather->keeper);
		gather->kept++;
		gather->kept_last = chunk;
	}
	if (!has)
		chunks_get(&landing->chunks, piece);
	data->len += piece->len;
	if (joins)
		last->len += piece->len;
	else
		data->v[data->n++] = *piece;
	return true;
}

uint32_t gather_add(struct gather *gather, uint32_t offset, const struct span *piece)
{
	uint32_t mask = gather->align - 1, len = piece->len;
	uint32_t head = MIN((0u - offset) & mask, len);
	uint32_t tail = (offset + len) & mask;
	const char *from = span_ptr(piece);
	struct span middle = *piece;

	assert(chunks_have(&gather->landing->chunks, piece));
	landing_measure(gather->landing, piece);
	if (head + tail < len) {
		middle.offset += head;
		middle.len -= head + tail;
	} else {
		middle.len = 0;
	}
	if (middle.len < GATHER_MIN || middle.offset & mask) {
		gather_copy(gather, offset, from, len);
		return len;
	}
	if (head)
		gather_copy(gather, offset, from, head);
	if (!gather_keep(gather, &middle)) {
		gather_copy(gather, offset + head, from + head, len - head);
		return len;
	}
	if (tail)
		gather_copy(gather, offset + len - tail, from + len - tail, tail);
	return head + tail;
}

void gather_fini(struct gather *gather)
{
	struct landing *landing = gather->landing;

	for (uint32_t i = 0; i < gather->data.n; i++)
		if (chunks_have(&landing->chunks, &gather->data.v[i]))
			chunks_put(&landing->chunks, &gather->data.v[i]);
	landing_give_up(landing, gather->keeper, gather->kept);
	gather->kept = 0;
	gather->kept_last = (uint32_t)KEPT_NONE;
	if (gather->room.area)
		pool_put(&landing->rooms, &gather->room);
	gather->room.area = NULL;
	spanv_init(&gather->data, gather->few, GATHER_FEW);
}
