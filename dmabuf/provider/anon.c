/* SPDX-License-Identifier: BSD-3-Clause */
/* Plain anonymous memory: what every kernel has. It can never become a dma-buf. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "dmabuf/provider/provider.h"

static int anon_create(struct area *area, const struct area_spec *spec)
{
	int rc = provider_check(area, spec);

	if (rc)
		return rc;
	rc = provider_map(area, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (rc) {
		area_why_not(area, "anon: mmap: %s", strerror(-rc));
		return rc;
	}
	rc = provider_populate(area, spec);
	if (rc) {
		provider_release(area);
		return rc;
	}
	area->faces = AREA_FACE_CPU | AREA_FACE_FIXED;
	area_why_not(area,
		     "dma-buf: plain memory cannot be exported: set [memory] provider = memfd");
	return 0;
}

const struct area_ops area_anon = {
	.name = "anon",
	.create = anon_create,
	.destroy = provider_release,
};
