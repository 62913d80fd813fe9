/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RDMA_REFUSED_H
#define RDMA_REFUSED_H

#include "rdma.h"

/* Checks: ranges, access, exporters and changes that soft-RoCE has to refuse. */
void check_refusals(struct rdma *rdma);

#endif
