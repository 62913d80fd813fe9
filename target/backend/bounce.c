/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/bounce.h"

int bounce_init(struct bounce *bounce, struct loop *loop, unsigned slot)
{
	const struct area_spec spec = {
		.name = "bounce",
		.size = (size_t)BOUNCE_PIECE * BOUNCE_PIECES,
		.needs = AREA_FACE_CPU | AREA_FACE_FIXED,
	};
	int rc = area_create(&bounce->area, "anon", &spec);

	if (rc)
		return rc;
	/* Refused, it is plain memory, which devices can be given as well. */
	(void)area_register_fixed(&bounce->area, loop, slot);
	list_init(&bounce->waiters);
	for (bounce->n_free = 0; bounce->n_free < BOUNCE_PIECES; bounce->n_free++)
		bounce->free[bounce->n_free] = (uint8_t)bounce->n_free;
	return 0;
}

void bounce_fini(struct bounce *bounce)
{
	bounce->area.fixed_index = AREA_NOT_FIXED; /* its table is gone, or goes with the ring */
	area_destroy(&bounce->area);
}
