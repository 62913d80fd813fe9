/* SPDX-License-Identifier: BSD-3-Clause */
#include "dmabuf/provider/provider.h"

#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "dmabuf/available.h"

/* Left for everything else when areas are made, so that the last one does not starve the machine. */
#define RESERVE_BYTES (UINT64_C(32) << 20)

static void shortage_explain(struct area *area, const struct area_spec *spec, const char *fact)
{
	area_why_not(area, "not enough memory for %s: wanted %s, %s; lower %s", area->name,
		     bytes_text(spec->size).s, fact,
		     spec->setting ? spec->setting : "[memory] per_worker or [daemon] workers");
}

int provider_check(struct area *area, const struct area_spec *spec)
{
	struct memory_available available;
	char fact[160];

	memory_available("", &available);
	if (available.bytes >= RESERVE_BYTES && available.bytes - RESERVE_BYTES >= spec->size)
		return 0;
	snprintf(fact, sizeof(fact), "%s leaves %s", available.limit,
		 bytes_text(available.bytes).s);
	shortage_explain(area, spec, fact);
	return -ENOMEM;
}

int provider_populate(struct area *area, const struct area_spec *spec)
{
	int rc;

	/* Both are wishes: without them the memory works as well. */
	madvise(area->base, area->size, MADV_HUGEPAGE);
	madvise(area->base, area->size, MADV_DONTDUMP);
	do {
		rc = madvise(area->base, area->size, MADV_POPULATE_WRITE) ? -errno : 0;
	} while (rc == -EINTR || rc == -EAGAIN);
	/* EFAULT: where the access itself would have been a SIGBUS. */
	if (rc == -EFAULT)
		rc = -ENOMEM;
	if (rc == -ENOMEM)
		shortage_explain(area, spec, "the kernel could not give it");
	else if (rc)
		area_why_not(area, "%s: cannot make memory present: %s", area->ops->name,
			     strerror(-rc));
	return rc;
}

void provider_release(struct area *area)
{
	if (area->base)
		munmap(area->base, area->size);
	if (area->dmabuf_fd >= 0)
		close(area->dmabuf_fd);
	if (area->memfd >= 0)
		close(area->memfd);
	area->base = NULL;
	area->dmabuf_fd = -1;
	area->memfd = -1;
}
