/* SPDX-License-Identifier: BSD-3-Clause */
#include "dmabuf/provider/provider.h"

const struct area_ops *const area_providers[] = {
	&area_memfd,
	&area_anon,
	&area_heap,
	&area_import,
	NULL,
};
