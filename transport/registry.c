/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/transport.h"

#include "transport/rdma/rdma.h"
#include "transport/tcp/tcp.h"

const struct transport_ops *const transport_registry[] = {
	&tcp_transport,
	&rdma_transport,
	NULL,
};
