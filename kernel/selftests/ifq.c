/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "ifq.h"
#include "selftest.h"

enum {
	OP_RECV_ZC = 58,
	REGISTER_ZCRX_IFQ = 32,
	REGISTER_ZCRX_CTRL = 36,
	CTRL_FLUSH_RQ = 0,
	CTRL_ARM_EVENT = 2,
	AREA_DMABUF = 1,
	STATS_WANTED = 1,	/* in the flags of struct ifq_event_desc */
	RECV_MULTISHOT = 2,
	MEM_REGION_USER = 1,
	AREA_SHIFT = 48,
};

enum {
	RING_ENTRIES = 512,
	RQ_ENTRIES = 8192,
	REGION_LEN = (RQ_ENTRIES * 16) + 8192,
	AGAIN_MS = 10000,
	AGAIN_PAUSE_MS = 20,
};

/* struct io_uring_zcrx_rqe */
struct ifq_rqe {
	uint64_t off;
	uint32_t len;
	uint32_t pad;
};

/* struct io_uring_region_desc */
struct ifq_region {
	uint64_t user_addr;
	uint64_t size;
	uint32_t flags;
	uint32_t id;
	uint64_t mmap_offset;
	uint64_t resv[4];
};

/* struct io_uring_zcrx_area_reg */
struct ifq_area {
	uint64_t addr;
	uint64_t len;
	uint64_t token;
	uint32_t flags;
	uint32_t dmabuf_fd;
	uint64_t resv[2];
};

/* struct zcrx_event_desc */
struct ifq_event_desc {
	uint64_t user_data;
	uint32_t type_mask;
	uint32_t flags;
	uint64_t stats_offset;
	uint64_t resv[9];
};

/* struct io_uring_zcrx_ifq_reg with its struct io_uring_zcrx_offsets */
struct ifq_reg {
	uint32_t if_idx;
	uint32_t if_rxq;
	uint32_t rq_entries;
	uint32_t flags;
	uint64_t area;
	uint64_t region;
	struct {
		uint32_t head;
		uint32_t tail;
		uint32_t rqes;
		uint32_t resv;
		uint64_t resv2[2];
	} offsets;
	uint32_t id;
	uint32_t buf_len;
	uint64_t event_desc;
	uint64_t resv[2];
};

/* struct zcrx_ctrl */
struct ifq_ctrl {
	uint32_t id;
	uint32_t op;
	uint64_t resv[2];
	uint32_t event;
	uint32_t resv2[11];
};

_Static_assert(sizeof(struct ifq_rqe) == 16, "ABI");
_Static_assert(sizeof(struct ifq_region) == 64, "ABI");
_Static_assert(sizeof(struct ifq_area) == 48, "ABI");
_Static_assert(sizeof(struct ifq_event_desc) == 96, "ABI");
_Static_assert(sizeof(struct ifq_reg) == 96, "ABI");
_Static_assert(sizeof(struct ifq_ctrl) == 72, "ABI");
_Static_assert(sizeof(struct ifq_stats) == 16, "ABI");

static int ifq_register(struct ifq *ifq, const struct ifq_params *params)
{
	struct ifq_region region = {
		.user_addr = (uintptr_t)ifq->region,
		.size = REGION_LEN,
		.flags = MEM_REGION_USER,
	};
	struct ifq_event_desc events = {
		.user_data = IFQ_EVENT_ID,
		.type_mask = (1 << IFQ_EVENTS) - 1,
		.flags = STATS_WANTED,
		.stats_offset = REGION_LEN - sizeof(struct ifq_stats),
	};
	struct ifq_area area = {
		.addr = params->dmabuf ? 0 : (uintptr_t)ifq->area.mem,
		.len = params->area_len,
		.flags = params->dmabuf ? AREA_DMABUF : 0,
		.dmabuf_fd = params->dmabuf ? (uint32_t)ifq->area.fd : 0,
	};
	struct ifq_reg reg = {
		.if_idx = params->if_index,
		.if_rxq = params->queue,
		.rq_entries = RQ_ENTRIES,
		.area = (uintptr_t)&area,
		.region = (uintptr_t)&region,
		.buf_len = params->buf_len,
		.event_desc = (uintptr_t)&events,
	};
	int rc = ring_register(&ifq->ring, REGISTER_ZCRX_IFQ, &reg, 1);

	if (rc)
		return rc;
	ifq->id = reg.id;
	ifq->buf_len = reg.buf_len;
	ifq->area_token = area.token;
	ifq->stats = (struct ifq_stats *)((char *)ifq->region + events.stats_offset);
	ifq->rq_tail = (uint32_t *)((char *)ifq->region + reg.offsets.tail);
	ifq->rqes = (struct ifq_rqe *)((char *)ifq->region + reg.offsets.rqes);
	return 0;
}

int ifq_open(struct ifq *ifq, const struct ifq_params *params)
{
	int rc;

	*ifq = (struct ifq){ 0 };
	rc = ring_open(&ifq->ring, RING_ENTRIES, IORING_SETUP_SINGLE_ISSUER |
		       IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQE32);
	if (rc)
		fatal("a ring with large completions: %s", result_text(rc));
	/* buffers larger than a page have to be contiguous */
	rc = buffer_open(&ifq->area, BUFFER_HUGE, params->area_len);
	if (rc)
		fatal("%zu bytes of huge pages with a dma-buf: %s", params->area_len,
		      result_text(rc));
	memset(ifq->area.mem, 0xee, params->area_len);
	ifq->region = mmap(NULL, REGION_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	if (ifq->region == MAP_FAILED)
		fatal("memory for a refill ring: %s", result_text(-errno));
	rc = ifq_register(ifq, params);
	if (rc)
		ifq_close(ifq);
	return rc;
}

int ifq_open_again(struct ifq *ifq, const struct ifq_params *params)
{
	uint64_t end_ms = now_ms() + AGAIN_MS;
	int rc = ifq_open(ifq, params);

	while (rc == -EEXIST && now_ms() < end_ms) {
		sleep_ms(AGAIN_PAUSE_MS);
		rc = ifq_open(ifq, params);
	}
	return rc;
}

void ifq_close(struct ifq *ifq)
{
	ring_close(&ifq->ring);
	munmap(ifq->region, REGION_LEN);
	buffer_close(&ifq->area);
}

void ifq_recv_prepare(struct ifq *ifq, int socket_fd, uint64_t id)
{
	struct io_uring_sqe *sqe = ring_sqe(&ifq->ring);

	sqe->opcode = OP_RECV_ZC;
	sqe->fd = socket_fd;
	sqe->ioprio = RECV_MULTISHOT;
	sqe->file_index = ifq->id; /* shares its place with zcrx_ifq_idx */
	sqe->user_data = id;
}

uint64_t ifq_offset(const struct ifq *ifq, const struct completion *done)
{
	if (done->extra >> AREA_SHIFT != ifq->area_token >> AREA_SHIFT)
		fatal("a completion in area %llu", (unsigned long long)done->extra >> AREA_SHIFT);
	return done->extra & ((1ULL << AREA_SHIFT) - 1);
}

void ifq_give(struct ifq *ifq, uint64_t offset, uint32_t len)
{
	struct ifq_rqe *rqe = &ifq->rqes[ifq->tail++ & (RQ_ENTRIES - 1)];

	*rqe = (struct ifq_rqe){ .off = offset | ifq->area_token, .len = len };
}

void ifq_give_end(struct ifq *ifq)
{
	__atomic_store_n(ifq->rq_tail, ifq->tail, __ATOMIC_RELEASE);
}

int ifq_flush(struct ifq *ifq)
{
	struct ifq_ctrl ctrl = { .id = ifq->id, .op = CTRL_FLUSH_RQ };

	return ring_register(&ifq->ring, REGISTER_ZCRX_CTRL, &ctrl, 0);
}

int ifq_arm(struct ifq *ifq, enum ifq_event event)
{
	struct ifq_ctrl ctrl = { .id = ifq->id, .op = CTRL_ARM_EVENT, .event = event };

	return ring_register(&ifq->ring, REGISTER_ZCRX_CTRL, &ctrl, 0);
}
