/* SPDX-License-Identifier: BSD-3-Clause */
/* What the providers of areas share. */
#ifndef SLUICE_DMABUF_PROVIDER_PROVIDER_H
#define SLUICE_DMABUF_PROVIDER_PROVIDER_H

#include "dmabuf/area.h"

extern const struct area_ops area_memfd;
extern const struct area_ops area_anon;
extern const struct area_ops area_heap;
extern const struct area_ops area_import;

/*
 * Asks whether memory for @spec is available at all, so that a shortage is a message and not the end
 * of some process. 0, or -ENOMEM with why_not written.
 */
int provider_check(struct area *area, const struct area_spec *spec);

/* Says in why_not that there is no memory for @spec, because of @fact, and what to lower. */
void provider_short(struct area *area, const struct area_spec *spec, const char *fact);

/*
 * Maps @area->size bytes for reading and writing with these @flags of mmap(), of file @fd or -1, where
 * huge pages can be, until provider_release(). 0 with `base` set, or negative errno.
 */
int provider_map(struct area *area, int flags, int fd);

/*
 * Makes all pages of the mapping present, huge ones where the kernel has them, and keeps them out of
 * core dumps: they hold hosts' data. 0, or negative errno with why_not written.
 */
int provider_populate(struct area *area, const struct area_spec *spec);

/*
 * What to do about @error (positive) from opening a device, for the end of a message: who may open it,
 * or @otherwise.
 */
const char *provider_open_advice(int error, const char *otherwise);

/*
 * Maps the first @area->size bytes of the dma-buf in @area->dmabuf_fd for reading and writing by the
 * CPU, until provider_release(). 0 with `base` set, or negative errno where its exporter does not let
 * it, with why_not written.
 */
int provider_dmabuf_map(struct area *area);

/* Unmaps and closes what the area has. */
void provider_release(struct area *area);

/* For tests, which have no such device: as .create of the heap, with the heaps in directory @dir. */
int heap_area_create(struct area *area, const struct area_spec *spec, const char *dir);

/*
 * Says in why_not why udmabuf refused the area with @error (positive). @root is "" but in tests, where
 * it is a directory that holds sys/.
 */
void udmabuf_refused(struct area *area, int error, const char *root);

#endif
