/* SPDX-License-Identifier: BSD-3-Clause */
/* What the providers of areas share. */
#ifndef SLUICE_DMABUF_PROVIDER_PROVIDER_H
#define SLUICE_DMABUF_PROVIDER_PROVIDER_H

#include "dmabuf/area.h"

extern const struct area_ops area_memfd;
extern const struct area_ops area_anon;

/*
 * Asks whether memory for @spec is available at all, so that a shortage is a message and not the end
 * of some process. 0, or -ENOMEM with why_not written.
 */
int provider_check(struct area *area, const struct area_spec *spec);

/*
 * Makes all pages of the mapping present, huge ones where the kernel offers them, and keeps them out
 * of core dumps: they hold hosts' data. 0, or negative errno with why_not written.
 */
int provider_populate(struct area *area, const struct area_spec *spec);

/* Unmaps and closes what the area has. */
void provider_release(struct area *area);

#endif
