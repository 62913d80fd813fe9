/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No storage at all, to measure everything else: writes are dropped, reads give zeroes. Only reads
 * are mapped: memory that all writes shared could not be read back, for a data digest for instance.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "target/backend/opening.h"
#include "target/backend/registry.h"

enum { NULL_BLOCK = 512, NULL_PHYS_SHIFT = 12 };

struct null {
	struct backend backend;
	struct area zeroes; /* MAX_TRANSFER bytes, read-only */
	uint64_t before;    /* the size before the last resize */
};

static struct null *null_of(struct backend *backend)
{
	return container_of(backend, struct null, backend);
}

static int null_open(const struct config_namespace *config, struct backend **out, char *err,
		     size_t errlen)
{
	const struct opening o = { config, err, errlen };
	struct area_spec spec = { .name = "backend null", .size = MAX_TRANSFER };
	struct null *null;
	uint64_t size;
	int shift = opening_block_shift(&o, "backend null", NULL_BLOCK, NULL_BLOCK);
	int rc = shift < 0 ? shift : opening_size(&o, "null", (unsigned)shift, &size);

	if (rc)
		return rc;
	null = calloc(1, sizeof(*null));
	if (!null)
		return opening_fail(&o, -ENOMEM, "out of memory");
	rc = area_create(&null->zeroes, "auto", &spec);
	if (rc) {
		opening_fail(&o, rc, "%s", null->zeroes.why_not);
		free(null);
		return rc;
	}
	/* Every host reads from it: whoever wrote there would answer them all wrong. */
	mprotect(null->zeroes.base, null->zeroes.size, PROT_READ);
	null->backend.ops = &backend_null;
	null->backend.memory_bytes = spec.size;
	null->backend.limits = (struct backend_limits){
		.size = size,
		.block_shift = (uint8_t)shift,
		.phys_shift = (uint8_t)MAX(shift, NULL_PHYS_SHIFT),
		.mem_align = 1,
		.piece_align = 1,
		.max_transfer = MAX_TRANSFER,
		.max_segments = UINT32_MAX,
		.direct = true,
		.write_zeroes = true,
		.discard = true,
		.discard_zeroes = true,
		.read_only = config->read_only,
	};
	snprintf(null->backend.path, sizeof(null->backend.path), "null %s", bytes_text(size).s);
	*out = &null->backend;
	return 0;
}

static void null_submit(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	(void)backend;
	(void)loop;
	if (io->opcode == BACKEND_READ)
		spanv_zero(io->data, 0, (uint32_t)io->len);
	io->done(io, 0);
}

static int null_map(struct backend *backend, uint64_t offset, uint32_t len, bool for_write,
		    struct span *span)
{
	(void)offset;
	if (for_write || len > MAX_TRANSFER)
		return -ENOTSUP;
	*span = (struct span){ .area = &null_of(backend)->zeroes, .len = len };
	return 0;
}

static void size_set(struct backend *backend, uint64_t size)
{
	__atomic_store_n(&backend->limits.size, size, __ATOMIC_RELAXED);
	snprintf(backend->path, sizeof(backend->path), "null %s", bytes_text(size).s);
}

static int null_resize(struct backend *backend, const struct config_namespace *config,
		       bool check_only, char *err, size_t errlen)
{
	const struct opening o = { config, err, errlen };
	uint64_t size;
	int rc = opening_size(&o, "null", backend->limits.block_shift, &size);

	if (rc || check_only)
		return rc;
	null_of(backend)->before = backend->limits.size;
	size_set(backend, size);
	return 0;
}

static void null_undo(struct backend *backend, const struct config_namespace *config)
{
	struct null *null = null_of(backend);

	(void)config;
	if (null->before)
		size_set(backend, null->before);
	null->before = 0;
}

static void null_close(struct backend *backend)
{
	struct null *null = null_of(backend);

	area_destroy(&null->zeroes);
	free(null);
}

const struct backend_ops backend_null = {
	.name = "null",
	.open = null_open,
	.submit = null_submit,
	.map = null_map,
	.resize = null_resize,
	.undo = null_undo,
	.close = null_close,
};
