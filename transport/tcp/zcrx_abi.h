/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What liburing 2.15 does not have of the kernel's interface of zero-copy receive: events and
 * statistics (Linux 7.1). Layouts of include/uapi/linux/io_uring/zcrx.h.
 */
#ifndef SLUICE_TCP_ZCRX_ABI_H
#define SLUICE_TCP_ZCRX_ABI_H

#include <liburing.h>
#include <stdint.h>

enum zcrx_abi_event {
	ZCRX_ABI_EVENT_ALLOC_FAIL, /* the NIC's queue found no free chunk */
	ZCRX_ABI_EVENT_COPY,       /* data was not in chunks, and was copied to some */
};

enum { ZCRX_ABI_EVENT_STATS = 1 << 0 }; /* flag: statistics are wanted */
enum { ZCRX_ABI_CTRL_ARM_EVENT = 2 };

/* The kernel's, at an offset of the refill ring's memory; cumulative. */
struct zcrx_abi_stats {
	uint64_t copy_count;
	uint64_t copy_bytes;
};

struct zcrx_abi_event_desc {
	uint64_t user_data;
	uint32_t type_mask; /* 1 << enum zcrx_abi_event */
	uint32_t flags;
	uint64_t stats_offset;
	uint64_t resv[9];
};
_Static_assert(sizeof(struct zcrx_abi_event_desc) == 96, "descriptor of the kernel's interface");

/* As struct io_uring_zcrx_ifq_reg, of which newer kernels read one field more. */
struct zcrx_abi_ifq_reg {
	uint32_t if_idx;
	uint32_t if_rxq;
	uint32_t rq_entries;
	uint32_t flags; /* enum zcrx_reg_flags */
	uint64_t area_ptr;
	uint64_t region_ptr;
	struct io_uring_zcrx_offsets offsets;
	uint32_t zcrx_id;
	uint32_t rx_buf_len;
	uint64_t event_desc; /* struct zcrx_abi_event_desc; 0: none */
	uint64_t resv[2];
};
_Static_assert(sizeof(struct zcrx_abi_ifq_reg) == sizeof(struct io_uring_zcrx_ifq_reg),
	       "as the kernel's");

struct zcrx_abi_ctrl {
	uint32_t zcrx_id;
	uint32_t op;
	uint64_t resv[2];
	uint32_t event_type; /* ARM_EVENT */
	uint32_t resv2[11];
};
_Static_assert(sizeof(struct zcrx_abi_ctrl) == 72, "as the kernel's");

#endif
