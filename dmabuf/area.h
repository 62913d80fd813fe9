/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An area is a range of memory that devices share. A face is a way to address it; an area says which
 * faces it has, and nobody asks how it came to be. Providers (area_ops) create areas, one file each,
 * listed in provider/registry.c.
 */
#ifndef SLUICE_DMABUF_AREA_H
#define SLUICE_DMABUF_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/loop.h"

enum area_face {
	AREA_FACE_CPU = 1 << 0,    /* `base` may be dereferenced */
	AREA_FACE_FIXED = 1 << 1,  /* may be registered as an io_uring fixed buffer (pinnable pages) */
	AREA_FACE_DMABUF = 1 << 2, /* `dmabuf_fd` exports the same pages */
};

enum { AREA_NOT_FIXED = -1 };

struct area_spec {
	const char *name;    /* for messages */
	size_t size;         /* bytes, a multiple of 4096 */
	const char *setting; /* what to lower when memory is short, for messages; NULL: the workers' */
	const char *heap;    /* provider heap: its name below /dev/dma_heap; NULL: the system's */
	const char *import_socket; /* provider import: where the exporting process listens */
	unsigned needs;      /* enum area_face: without these, area_create() refuses */
};

struct area {
	const struct area_ops *ops;
	char name[32];
	size_t size;
	unsigned faces;    /* enum area_face */
	void *base;        /* AREA_FACE_CPU, else NULL */
	int memfd;         /* -1: none */
	int dmabuf_fd;     /* AREA_FACE_DMABUF, else -1 */
	struct list link;  /* the provider's own */
	struct loop *loop; /* of the worker that owns the area, once it joined that; else NULL */
	unsigned slot;     /* its place among the loop's areas, 0 .. LOOP_AREAS - 1 */
	int fixed_index;   /* in the loop's table of fixed buffers; AREA_NOT_FIXED */
	char why_not[512]; /* why a face that was wanted is missing; empty when none is */
};

/* PORT. A provider of areas. */
struct area_ops {
	const char *name; /* as in [memory] provider */
	bool by_name_only; /* "auto" never takes it: somebody has to want its kind of memory */
	/*
	 * Fills in @area (zeroed, but name, size, ops and what means "none" are set) with its memory
	 * and faces. May block. Memory is zeroed and present: a shortage shows here, not at a later
	 * access. 0, or a negative errno with nothing left behind; then `why_not` says why.
	 */
	int (*create)(struct area *area, const struct area_spec *spec);
	/*
	 * A dma-buf of @size bytes from @offset on (multiples of 4096) alone: its descriptor, the
	 * caller's, or negative errno. NULL: cannot.
	 */
	int (*export)(const struct area *area, uint64_t offset, uint64_t size);
	/* Gives the memory back; no device may be using it. */
	void (*destroy)(struct area *area);
};

/* All providers, best first; NULL-terminated. */
extern const struct area_ops *const area_providers[];

/*
 * Creates an area by the provider called @provider, or by the first that can for "auto".
 * 0 or negative errno (ENOMEM: not enough memory; EINVAL: no such provider, or a bad size;
 * EOPNOTSUPP: it lacks a face that @spec needs); area->why_not then has the reason for people: what,
 * how much, which setting to change.
 */
int area_create(struct area *area, const char *provider, const struct area_spec *spec);

/* Gives the memory back. The area must be in no loop's table; harmless when create failed. */
void area_destroy(struct area *area);

/* A dma-buf of a part of the area, as area_ops.export; -EOPNOTSUPP when its provider cannot. */
int area_export(const struct area *area, uint64_t offset, uint64_t size);

/*
 * Is some of the area in pages larger than 4 KiB: of the hugetlb pool, or transparent ones? Asks
 * /proc; true when that cannot be read. Not on the path of a command.
 */
bool area_has_huge_pages(const struct area *area);

/* Adds a reason to area->why_not, behind those that are there. */
void area_why_not(struct area *area, const char *fmt, ...) __printf(2, 3);

/*
 * Makes the area one of @loop's, at @slot (0 .. LOOP_AREAS - 1), and puts it into the table of fixed
 * buffers there. Negative errno (and `why_not`) when it cannot be a fixed buffer, typically ENOMEM
 * for RLIMIT_MEMLOCK; it is the loop's and usable nevertheless. Before loop_run() from any thread,
 * afterwards on the loop's own.
 */
int area_register_fixed(struct area *area, struct loop *loop, unsigned slot);

/* Undoes area_register_fixed(), on the loop's thread; harmless when the area is no loop's. */
void area_unregister_fixed(struct area *area, struct loop *loop);

#endif
