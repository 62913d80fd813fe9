/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device takes segments whose address and length are multiples of its alignment, four for NVMe. All
 * segments of a command being such, each begins at a multiple of it within the payload too. So of
 * a fragment stays what lies between two such places, if it is at such an address; a few bytes at its
 * ends may be copied, or all of it.
 */
#include "transport/tcp/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

enum {
	ROOMS_SHIFT = 3,        /* of the chunks' bytes, for vectors of fragments */
	ROOMS_MIN = 1 << 20,    /* bytes */
	DENSITY_SCALE = 16,
	DENSITY_WEIGHT = 64,    /* fragments that the average is over */
	DENSITY_BEGIN = 1024,   /* bytes: less than a packet of an Ethernet */
	DENSITY_MIN = 64,
	GRANT_MIN = 4096,
};

int landing_init(struct landing *landing, struct area *area, uint64_t offset, uint64_t size,
		 unsigned shift, uint32_t reserve, uint32_t keepers)
{
	const struct area_spec spec = {
		.name = "vectors of fragments",
		.size = MAX(size >> ROOMS_SHIFT, (uint64_t)ROOMS_MIN) & ~UINT64_C(4095),
		.needs = AREA_FACE_CPU,
	};
	int rc;

	*landing = (struct landing){ .keepers = keepers, .density = DENSITY_BEGIN * DENSITY_SCALE };
	landing->kept_by = calloc(keepers, sizeof(*landing->kept_by));
	if (!landing->kept_by)
		return -ENOMEM;
	rc = chunks_init(&landing->chunks, area, offset, size, shift);
	if (rc)
		goto fail_kept;
	rc = area_create(&landing->rooms_area, "anon", &spec);
	if (rc)
		goto fail_chunks;
	rc = pool_init(&landing->rooms, &landing->rooms_area, 0, spec.size);
	if (rc)
		goto fail_area;
	landing->most = landing->chunks.n > reserve ? landing->chunks.n - reserve : 0;
	return 0;
fail_area:
	area_destroy(&landing->rooms_area);
fail_chunks:
	chunks_fini(&landing->chunks);
fail_kept:
	free(landing->kept_by);
	return rc;
}

void landing_fini(struct landing *landing)
{
	pool_fini(&landing->rooms);
	area_destroy(&landing->rooms_area);
	chunks_fini(&landing->chunks);
	free(landing->kept_by);
}

void landing_measure(struct landing *landing, uint32_t len, bool shared)
{
	/* What shares a chunk adds to what that one brought: the average grows by as much. */
	landing->density += (uint64_t)len * DENSITY_SCALE / DENSITY_WEIGHT;
	if (!shared)
		landing->density -= landing->density / DENSITY_WEIGHT;
}

static uint64_t landing_density(const struct landing *landing)
{
	uint64_t chunk = UINT64_C(1) << landing->chunks.shift;
	uint64_t density = MIN(landing->density / DENSITY_SCALE, chunk);

	return MAX(density, (uint64_t)DENSITY_MIN);
}

uint64_t landing_room(const struct landing *landing, uint64_t outstanding)
{
	uint64_t bytes = (landing->most - landing->kept) * landing_density(landing);
	uint64_t room = bytes > landing->granted ? bytes - landing->granted : 0;

	/*
	 * Nobody gets more than is left for others then. Who has nothing gets something in any case: it
	 * has its place in the chunks that commands never keep, and need not stay there, as the command
	 * has a buffer. So however many are asked and do not send, and whatever disks are stuck, the
	 * others go on.
	 */
	room = room > outstanding ? (room - outstanding) / 2 : 0;
	if (!outstanding)
		room = MAX(room, (uint64_t)GRANT_MIN);
	return room / GRANT_MIN * GRANT_MIN;
}

void gather_init(struct gather *gather, struct landing *landing, const struct spanv *buffer,
		 uint32_t align, uint32_t keeper)
{
	assert(keeper < landing->keepers);
	gather->landing = landing;
	gather->buffer = buffer;
	gather->align = align;
	gather->keeper = keeper;
	gather->kept = 0;
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

/*
 * Appends, with room for it. Spans of chunks and of the buffer are never merged, even where the one
 * begins behind the other: the one has references. True when it became part of the last span.
 */
static bool gather_append(struct gather *gather, const struct span *span)
{
	const struct chunks *chunks = &gather->landing->chunks;
	struct spanv *data = &gather->data;
	struct span *last = data->n ? &data->v[data->n - 1] : NULL;

	data->len += span->len;
	if (last && last->area == span->area && last->offset + last->len == span->offset &&
	    chunks_have(chunks, last) == chunks_have(chunks, span)) {
		last->len += span->len;
		return true;
	}
	assert(data->n < data->max);
	data->v[data->n++] = *span;
	return false;
}

/* Copies @len bytes of payload from @from to their place @offset in the buffer, and has them there. */
static void gather_copy(struct gather *gather, uint32_t offset, const void *from, uint32_t len)
{
	/* The core gives a command's payload one piece of memory. */
	struct span place = gather->buffer->v[0];

	if (!len)
		return;
	assert(offset + len <= place.len);
	spanv_write(gather->buffer, offset, from, len);
	place.offset += offset;
	place.len = len;
	gather_append(gather, &place);
}

/*
 * May the command keep one more chunk? Chunks for what hosts were asked to send are worth more than
 * a copy less; and a namespace whose disk is slow keeps no more than it leaves for the others.
 */
static bool landing_may_keep(const struct landing *landing, uint32_t keeper)
{
	uint64_t taken = landing->kept + landing->granted / landing_density(landing);

	return taken < landing->most && landing->kept_by[keeper] < landing->most - taken;
}

/* Keeps @piece, which is aligned, where it is. False when that may not be. */
static bool gather_keep(struct gather *gather, const struct span *piece)
{
	struct landing *landing = gather->landing;
	const struct chunks *chunks = &landing->chunks;
	const struct spanv *data = &gather->data;
	const struct span *last = data->n ? &data->v[data->n - 1] : NULL;
	/* A span has one reference on each of its chunks, in how many pieces it ever came. */
	bool has = last && chunks_have(chunks, last) &&
		   last->offset + last->len == piece->offset &&
		   chunks_index(chunks, piece->offset - 1) == chunks_index(chunks, piece->offset);

	/* Beside its own place there must be one for what has to be copied from now on. */
	if (!has && (!landing_may_keep(landing, gather->keeper) || !gather_has_room(gather, 2)))
		return false;
	gather_append(gather, piece);
	if (!has) {
		chunks_get(&landing->chunks, piece);
		landing->kept++;
		landing->kept_by[gather->keeper]++;
		gather->kept++;
	}
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
	gather_copy(gather, offset, from, head);
	if (!gather_keep(gather, &middle)) {
		gather_copy(gather, offset + head, from + head, len - head);
		return len;
	}
	gather_copy(gather, offset + len - tail, from + len - tail, tail);
	return head + tail;
}

void gather_fini(struct gather *gather)
{
	struct landing *landing = gather->landing;

	for (uint32_t i = 0; i < gather->data.n; i++)
		if (chunks_have(&landing->chunks, &gather->data.v[i]))
			chunks_put(&landing->chunks, &gather->data.v[i]);
	landing->kept -= gather->kept;
	landing->kept_by[gather->keeper] -= gather->kept;
	gather->kept = 0;
	if (gather->room.area)
		pool_put(&landing->rooms, &gather->room);
	gather->room.area = NULL;
	spanv_init(&gather->data, gather->few, GATHER_FEW);
}
