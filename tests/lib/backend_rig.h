/* SPDX-License-Identifier: BSD-3-Clause */
/* A backend, open and attached to a running loop, with data buffers: I/O as one waiting call. */
#ifndef SLUICE_TESTS_LIB_BACKEND_RIG_H
#define SLUICE_TESTS_LIB_BACKEND_RIG_H

#include <dirent.h>
#include <unistd.h>

#include "dmabuf/pool.h"
#include "loop_thread.h"
#include "target/backend/backend.h"
#include "target/backend/bounce.h"
#include "target/backend/uring_memory.h"

enum { RIG_INDEX = 7, RIG_MEMORY = 8 << 20, RIG_SPARE = 64 << 10, RIG_SPANS = 16 };

struct rig {
	struct config_namespace config;
	/* What rig_open() takes away from the memory, so that no better rung than this is left. */
	enum datapath_storage rung;
	struct loop_thread lt;
	struct backend *backend;
	struct area area;  /* registered as a fixed buffer */
	struct area plain; /* not registered */
	struct pool spare; /* the end of `area`, which no test uses */
	struct bounce bounce;
	struct backend_memory memory;
};

static inline struct config_namespace rig_config(const char *backend)
{
	struct config_namespace config = {
		.subsystem = "nqn.2014-08.io.example:unit",
		.nsid = 1,
		.where = { .file = "unit.conf", .line = 12 },
		.hosts.any = true,
		.ana_group = 1,
	};

	snprintf(config.backend, sizeof(config.backend), "%s", backend);
	return config;
}

/* How I/O with the rig's area goes; a backend that does not say has the rung of plain memory. */
static inline const char *rig_path(const struct rig *rig, struct datapath *path,
				   uint64_t bytes[DATAPATH_STORAGE_RUNGS])
{
	struct backend *backend = rig->backend;
	struct datapath_facts facts = {
		.mapped = { false, "" },
		.dmabuf_registered = { false, "the backend registers no dma-bufs" },
		.dmabuf_vectored = { false, "" },
		.area_fixed = { rig->area.fixed_index != AREA_NOT_FIXED, "not registered" },
		.backend_fixed = { backend->limits.fixed, "the backend takes none" },
		.area_reachable = { true, "" },
	};

	memset(bytes, 0, DATAPATH_STORAGE_RUNGS * sizeof(*bytes));
	if (backend->ops->path)
		backend->ops->path(backend, &rig->lt.loop, RIG_INDEX, &rig->area, &facts, bytes);
	datapath_choose(&facts, path);
	return path->storage_why;
}

/* Waits for the end of what the backend tries when its loop starts to run. */
static inline void rig_settle(struct rig *rig)
{
	uint64_t bytes[DATAPATH_STORAGE_RUNGS];
	struct datapath path;

	for (int ms = 0; strstr(rig_path(rig, &path, bytes), "being tried"); ms++) {
		if (ms > 10000)
			fail_msg("%s", path.storage_why);
		usleep(1000);
	}
}

/* Takes away what the rungs above rig->rung need. */
static inline void rig_restrict(struct rig *rig)
{
	if (rig->rung > DATAPATH_STORAGE_DMABUF)
		rig->area.faces &= ~(unsigned)AREA_FACE_DMABUF;
	if (rig->rung > DATAPATH_STORAGE_PLAIN) {
		rig->area.faces &= ~(unsigned)AREA_FACE_FIXED;
		rig->plain.faces &= ~(unsigned)AREA_FACE_FIXED;
	}
}

static inline void rig_open(struct rig *rig)
{
	const struct area_spec spec = { .name = "rig", .size = RIG_MEMORY + RIG_SPARE };
	char err[BACKEND_ERROR_MAX] = "";
	int rc = backend_open(&rig->config, &rig->backend, err, sizeof(err));

	if (rc)
		fail_msg("open: %d: %s", rc, err);
	loop_thread_init(&rig->lt);
	assert_int_equal(area_create(&rig->area, "auto", &spec), 0);
	assert_int_equal(area_create(&rig->plain, "anon", &spec), 0);
	rig_restrict(rig);
	if (rig->rung <= DATAPATH_STORAGE_FIXED)
		assert_int_equal(area_register_fixed(&rig->area, &rig->lt.loop, 0), 0);
	assert_int_equal(pool_init(&rig->spare, &rig->area, RIG_MEMORY, RIG_SPARE), 0);
	assert_int_equal(bounce_init(&rig->bounce, &rig->lt.loop, 1), 0);
	rig->memory = (struct backend_memory){
		.areas = { &rig->area }, .pool = &rig->spare, .bounce = &rig->bounce
	};
	if (rig->backend->ops->attach)
		assert_int_equal(rig->backend->ops->attach(rig->backend, &rig->lt.loop, RIG_INDEX,
							   &rig->memory), 0);
	loop_thread_start(&rig->lt);
	rig_settle(rig);
	/* As with a kernel that knows no vectors. */
	if (rig->rung == DATAPATH_STORAGE_DMABUF && rig->backend->ops->path == uring_path) {
		struct uring_attachment *at = loop_file_data(&rig->lt.loop, RIG_INDEX);

		__atomic_store_n(&at->dmabufs[rig->area.slot].vectored, false, __ATOMIC_RELAXED);
	}
}

static inline void rig_detach(void *arg)
{
	struct rig *rig = arg;

	if (rig->backend->ops->detach)
		rig->backend->ops->detach(rig->backend, &rig->lt.loop, RIG_INDEX);
	area_unregister_fixed(&rig->area, &rig->lt.loop);
}

static inline void rig_close(struct rig *rig)
{
	loop_thread_call(&rig->lt, rig_detach, rig);
	loop_thread_stop(&rig->lt);
	rig->backend->ops->close(rig->backend);
	bounce_fini(&rig->bounce);
	pool_fini(&rig->spare);
	area_destroy(&rig->area);
	area_destroy(&rig->plain);
}

/* One I/O with its memory and the means to wait for it. */
struct rig_io {
	struct backend_io io;
	struct rig *rig;
	struct loop_thread *lt;
	struct span room[RIG_SPANS];
	struct spanv data;
	int error;
	int completions;
	sem_t done;
};

static inline void rig_io_done(struct backend_io *io, int error)
{
	struct rig_io *rio = container_of(io, struct rig_io, io);

	rio->error = error;
	rio->completions++;
	sem_post(&rio->done);
}

static inline void rig_io_init(struct rig_io *rio, struct rig *rig, enum backend_opcode opcode,
			       uint64_t offset, uint64_t len)
{
	memset(rio, 0, sizeof(*rio));
	rio->rig = rig;
	rio->lt = &rig->lt;
	rio->io.opcode = opcode;
	rio->io.offset = offset;
	rio->io.len = len;
	rio->io.done = rig_io_done;
	spanv_init(&rio->data, rio->room, RIG_SPANS);
	rio->io.data = &rio->data;
	sem_init(&rio->done, 0, 0);
}

static inline void rig_io_add(struct rig_io *rio, struct area *area, uint64_t offset, uint32_t len)
{
	assert_int_equal(spanv_append(&rio->data, &(struct span){ area, offset, len }), 0);
}

static inline void rig_io_submit(void *arg)
{
	struct rig_io *rio = arg;

	backend_submit(rio->rig->backend, &rio->lt->loop, &rio->io);
}

static inline void rig_io_start(struct rig_io *rio)
{
	loop_thread_call(rio->lt, rig_io_submit, rio);
}

static inline int rig_io_wait(struct rig_io *rio)
{
	while (sem_wait(&rio->done))
		;
	assert_int_equal(rio->completions, 1);
	return rio->error;
}

static inline int rig_io_run(struct rig_io *rio)
{
	rig_io_start(rio);
	return rig_io_wait(rio);
}

/* READ into, or WRITE from, the begin of the registered area. */
static inline int rig_rw(struct rig *rig, enum backend_opcode opcode, uint64_t offset, uint32_t len)
{
	struct rig_io rio;

	rig_io_init(&rio, rig, opcode, offset, len);
	rig_io_add(&rio, &rig->area, 0, len);
	return rig_io_run(&rio);
}

/* An operation without data. */
static inline int rig_op(struct rig *rig, enum backend_opcode opcode, unsigned flags, uint64_t offset,
			 uint64_t len)
{
	struct rig_io rio;

	rig_io_init(&rio, rig, opcode, offset, len);
	rio.io.flags = flags;
	return rig_io_run(&rio);
}

/* Opens as the configuration says and expects failure @rc; the message goes to @err. */
static inline void rig_refused(const struct config_namespace *config, int rc, char err[BACKEND_ERROR_MAX])
{
	struct backend *backend = NULL;

	err[0] = '\0';
	assert_int_equal(backend_open(config, &backend, err, BACKEND_ERROR_MAX), rc);
	assert_null(backend);
	/* Where it is configured, and for which namespace. */
	assert_non_null(strstr(err, "unit.conf:12: namespace nqn.2014-08.io.example:unit/1: "));
}

#define assert_contains(text, part)                                      \
	do {                                                             \
		if (!strstr(text, part))                                 \
			fail_msg("\"%s\" is not in \"%s\"", part, text); \
	} while (0)

/* Descriptors that this process has open. */
static inline int descriptors_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

#endif
