/* SPDX-License-Identifier: BSD-3-Clause */
#include "dmabuf/area.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "base/limits.h"

enum {
	AREA_GRAIN = 4096,
	FIXED_MAX_SHIFT = 30, /* io_uring takes no larger buffer in one entry of the table */
};

int area_export(const struct area *area, uint64_t offset, uint64_t size)
{
	return area->ops->export ? area->ops->export(area, offset, size) : -EOPNOTSUPP;
}

void area_why_not(struct area *area, const char *fmt, ...)
{
	size_t len = strlen(area->why_not);
	va_list args;

	if (len)
		len += (size_t)snprintf(area->why_not + len, sizeof(area->why_not) - len, "; ");
	if (len >= sizeof(area->why_not))
		return;
	va_start(args, fmt);
	vsnprintf(area->why_not + len, sizeof(area->why_not) - len, fmt, args);
	va_end(args);
}

static int area_try(struct area *area, const struct area_ops *ops, const struct area_spec *spec)
{
	area->ops = ops;
	area->size = spec->size;
	area->faces = 0;
	area->base = NULL;
	area->memfd = -1;
	area->dmabuf_fd = -1;
	area->fixed_index = AREA_NOT_FIXED;
	area->loop = NULL;
	return ops->create(area, spec);
}

static void area_unknown_provider(struct area *area, const char *provider)
{
	char known[128] = "auto";

	for (const struct area_ops *const *ops = area_providers; *ops; ops++) {
		size_t len = strlen(known);

		snprintf(known + len, sizeof(known) - len, ", %s", (*ops)->name);
	}
	area_why_not(area, "there is no memory provider \"%.32s\": use one of %s", provider, known);
}

/* Gives @area back when a face is missing that its user cannot do without. */
static int area_faces_check(struct area *area, const struct area_spec *spec)
{
	unsigned missing = spec->needs & ~area->faces;

	if (!missing)
		return 0;
	if (missing & AREA_FACE_CPU)
		area_why_not(area, "%s needs memory that the CPU can reach, as received data is put "
			     "there by the kernel: set [memory] provider = memfd, or use memory that "
			     "can be mapped", area->name);
	else
		area_why_not(area, "%s needs more than memory from %s can do: set [memory] "
			     "provider = memfd", area->name, area->ops->name);
	area->ops->destroy(area);
	return -EOPNOTSUPP;
}

int area_create(struct area *area, const char *provider, const struct area_spec *spec)
{
	bool any = !strcmp(provider, "auto");
	int rc = -EINVAL;

	*area = (struct area){ .memfd = -1, .dmabuf_fd = -1, .fixed_index = AREA_NOT_FIXED };
	snprintf(area->name, sizeof(area->name), "%s", spec->name);
	if (!spec->size || spec->size % AREA_GRAIN) {
		area_why_not(area, "%zu bytes is no multiple of %d", spec->size, AREA_GRAIN);
		return -EINVAL;
	}
	for (const struct area_ops *const *ops = area_providers; *ops; ops++) {
		if (any ? (*ops)->by_name_only : strcmp(provider, (*ops)->name) != 0)
			continue;
		rc = area_try(area, *ops, spec);
		if (!rc)
			rc = area_faces_check(area, spec);
		/* Where memory is short, another way to ask for it does not make more. */
		if (!rc || rc == -ENOMEM || !any)
			break;
	}
	if (rc)
		area->ops = NULL;
	if (rc && !area->why_not[0])
		area_unknown_provider(area, provider);
	return rc;
}

void area_destroy(struct area *area)
{
	if (!area->ops)
		return;
	assert(area->fixed_index == AREA_NOT_FIXED);
	area->ops->destroy(area);
	area->ops = NULL;
	area->faces = 0;
}

static void fixed_refused(struct area *area, int error)
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (error == -ENOMEM && limit.rlim_cur < RLIM_INFINITY)
		area_why_not(area,
			     "fixed buffer: RLIMIT_MEMLOCK is %s, needs %s: raise LimitMEMLOCK= "
			     "in the service unit (ulimit -l), or lower [memory] per_worker",
			     bytes_text(limit.rlim_cur).s, bytes_text(area->size).s);
	else
		area_why_not(area, "fixed buffer: io_uring refuses %s: %s",
			     bytes_text(area->size).s, strerror(-error));
}

int area_register_fixed(struct area *area, struct loop *loop, unsigned slot)
{
	struct iovec iov = { .iov_base = area->base, .iov_len = area->size };
	int rc;

	assert(area->fixed_index == AREA_NOT_FIXED && slot < LOOP_AREAS);
	area->loop = loop;
	area->slot = slot;
	if (!(area->faces & AREA_FACE_FIXED)) {
		area_why_not(area, "fixed buffer: this memory cannot be pinned");
		return -EOPNOTSUPP;
	}
	if (area->size > (size_t)1 << FIXED_MAX_SHIFT) {
		area_why_not(area, "fixed buffer: io_uring takes at most 1 GiB, this is %s: lower "
			     "[memory] per_worker", bytes_text(area->size).s);
		return -EFBIG;
	}
	rc = loop_buffer_set(loop, slot, &iov);
	if (rc) {
		fixed_refused(area, rc);
		return rc;
	}
	area->fixed_index = (int)slot;
	return 0;
}

void area_unregister_fixed(struct area *area, struct loop *loop)
{
	if (!area->loop)
		return;
	assert(area->loop == loop);
	if (area->fixed_index != AREA_NOT_FIXED)
		loop_buffer_set(loop, (unsigned)area->fixed_index, NULL);
	area->fixed_index = AREA_NOT_FIXED;
	area->loop = NULL;
}
