/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/tcp/landing.h"

#include <errno.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/limits.h"

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

	*landing = (struct landing){
		.keepers = keepers,
		.density = DENSITY_BEGIN * DENSITY_SCALE,
		.measured = offset,
	};
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

void landing_measure(struct landing *landing, const struct span *piece)
{
	const struct chunks *chunks = &landing->chunks;
	bool shared = piece->offset > landing->measured &&
		      chunks_index(chunks, piece->offset) == chunks_index(chunks, landing->measured);

	/* What shares a chunk adds to what that one brought: the average grows by as much. */
	landing->density += (uint64_t)piece->len * DENSITY_SCALE / DENSITY_WEIGHT;
	if (!shared)
		landing->density -= landing->density / DENSITY_WEIGHT;
	landing->measured = piece->offset;
}

static uint64_t landing_density(const struct landing *landing)
{
	uint64_t chunk = UINT64_C(1) << landing->chunks.shift;
	uint64_t density = MIN(landing->density / DENSITY_SCALE, chunk);

	return MAX(density, (uint64_t)DENSITY_MIN);
}

uint64_t landing_room(const struct landing *landing, uint64_t outstanding)
{
	uint32_t left = landing->most > landing->kept ? landing->most - landing->kept : 0;
	uint64_t bytes = left * landing_density(landing);
	uint64_t room = bytes > landing->granted ? bytes - landing->granted : 0;

	/*
	 * Nobody gets more than is left for others then. Who has nothing gets something in any case: it
	 * comes to chunks that commands never keep, and need not stay there, as the command has a
	 * buffer. So however many are asked and do not send, and whatever disks are stuck, the others
	 * go on.
	 */
	room = room > outstanding ? (room - outstanding) / 2 : 0;
	if (!outstanding)
		room = MAX(room, (uint64_t)GRANT_MIN);
	return room / GRANT_MIN * GRANT_MIN;
}

uint64_t landing_taken_by(const struct landing *landing, uint64_t bytes)
{
	return bytes / landing_density(landing) << landing->chunks.shift;
}

bool landing_may_keep(const struct landing *landing, uint32_t keeper)
{
	uint64_t taken = landing->kept + landing->granted / landing_density(landing);

	return taken < landing->most &&
	       landing->kept_by[keeper] < NS_SHARE * (landing->most - taken);
}

void landing_keep(struct landing *landing, uint32_t keeper)
{
	landing->kept++;
	landing->kept_by[keeper]++;
}

void landing_give_up(struct landing *landing, uint32_t keeper, uint32_t chunks)
{
	landing->kept -= chunks;
	landing->kept_by[keeper] -= chunks;
}
