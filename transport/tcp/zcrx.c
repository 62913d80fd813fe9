/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/tcp/zcrx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/counter.h"
#include "base/limits.h"
#include "transport/tcp/zcrx_abi.h"

enum {
	PAGE_SHIFT = 12,
	ENTRIES_MAX = 32768,   /* the kernel takes no larger refill ring */
	RESERVE_SHIFT = 2,     /* a quarter of the chunks is never kept by commands */
	FRAGMENTS_MIN = 1024,  /* bytes of a chunk for which there is an entry in the refill ring */
	STATS_ALIGN = 64,
	FLUSH_SHIFT = 2,       /* of the refill ring's entries: as many wait for a flush at most */
	QUEUE_TRY_MS = 100,    /* while a queue is still bound to a ring that is being closed */
};

static unsigned shift_of(uint32_t bytes)
{
	unsigned shift = PAGE_SHIFT;

	while (1u << shift < bytes)
		shift++;
	return shift;
}

/* ------------------------------------------------------------------------------------ registering */

static int region_create(struct zcrx *zcrx, uint32_t entries)
{
	size_t bytes = HOST_PAGE_SIZE + entries * sizeof(struct io_uring_zcrx_rqe) + STATS_ALIGN +
		       sizeof(struct zcrx_abi_stats);

	zcrx->region_bytes = (bytes + HOST_PAGE_SIZE - 1) / HOST_PAGE_SIZE * HOST_PAGE_SIZE;
	zcrx->region = mmap(NULL, zcrx->region_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (zcrx->region == MAP_FAILED) {
		zcrx->region = NULL;
		return -errno;
	}
	return 0;
}

static int ring_register(struct loop *loop, struct zcrx_abi_ifq_reg *reg)
{
	return io_uring_register((unsigned)loop->ring.ring_fd, IORING_REGISTER_ZCRX_IFQ, reg, 1);
}

/* Registers, with events and statistics where the kernel has them. */
static int queue_register(struct zcrx *zcrx, const struct zcrx_options *options, uint32_t entries)
{
	size_t stats_offset = zcrx->region_bytes - sizeof(struct zcrx_abi_stats);
	const struct zcrx_abi_event_desc events = {
		.user_data = (uintptr_t)&zcrx->event_op,
		.type_mask = 1 << ZCRX_ABI_EVENT_ALLOC_FAIL,
		.flags = ZCRX_ABI_EVENT_STATS,
		.stats_offset = stats_offset,
	};
	bool dmabuf = options->dmabuf_fd >= 0;
	struct io_uring_zcrx_area_reg area, area_reg = {
		.addr = dmabuf ? 0 : (uintptr_t)options->area->base + options->offset,
		.len = options->size,
		.flags = dmabuf ? IORING_ZCRX_AREA_DMABUF : 0,
		.dmabuf_fd = dmabuf ? (uint32_t)options->dmabuf_fd : 0,
	};
	struct io_uring_region_desc region, region_desc = {
		.user_addr = (uintptr_t)zcrx->region,
		.size = zcrx->region_bytes,
		.flags = IORING_MEM_REGION_TYPE_USER,
	};
	struct zcrx_abi_ifq_reg reg;
	int rc = -EINVAL;

	for (int with_events = 1; with_events >= 0 && rc == -EINVAL; with_events--) {
		area = area_reg;
		region = region_desc;
		reg = (struct zcrx_abi_ifq_reg){
			.if_idx = options->ifindex,
			.if_rxq = options->queue,
			.rq_entries = entries,
			.flags = options->ifindex ? 0 : ZCRX_REG_NODEV,
			.area_ptr = (uintptr_t)&area,
			.region_ptr = (uintptr_t)&region,
			.rx_buf_len = options->buffer,
			.event_desc = with_events ? (uintptr_t)&events : 0,
		};
		rc = ring_register(zcrx->loop, &reg);
		zcrx->kernel_stats =
			with_events ? (void *)((char *)zcrx->region + stats_offset) : NULL;
	}
	if (rc)
		return rc;
	zcrx->id = reg.zcrx_id;
	zcrx->token = area.rq_area_token;
	zcrx->head = (uint32_t *)((char *)zcrx->region + reg.offsets.head);
	zcrx->tail = (uint32_t *)((char *)zcrx->region + reg.offsets.tail);
	zcrx->rqes = (struct io_uring_zcrx_rqe *)((char *)zcrx->region + reg.offsets.rqes);
	zcrx->entries = reg.rq_entries;
	return 0;
}

/* The sentence for people: what the kernel said, and what may be done. */
static void why_refused(const struct zcrx_options *options, int rc, char *why, size_t size)
{
	const char *what;

	switch (rc) {
	case -EPERM:
		what = "the daemon lacks CAP_NET_ADMIN at start";
		break;
	case -EEXIST:
		what = "another program has the queue; end it, or give the daemon other queues";
		break;
	case -ENOMEM:
		what = "no memory for its chunks, or more than RLIMIT_MEMLOCK allows (systemd: "
		       "LimitMEMLOCK=); lower [memory] receive";
		break;
	case -ERANGE:
		what = "the memory is too scattered for buffers of that length; provide huge pages, or "
		       "lower 'buffer'";
		break;
	case -EINVAL:
		what = options->ifindex ? "the kernel refuses it (EINVAL): header split is off, or it "
					  "knows no zero-copy receive (CONFIG_IO_URING_ZCRX, Linux 6.15)" :
					  "the kernel knows no device-less zero-copy receive (Linux 7.1)";
		break;
	case -EOPNOTSUPP:
		what = "the NIC's driver cannot, with memory or buffers of that kind";
		break;
	default:
		what = strerror(-rc);
	}
	snprintf(why, size, "%s", what);
}

int zcrx_open(struct zcrx *zcrx, struct loop *loop, const struct zcrx_options *options, char *why,
	      size_t size)
{
	unsigned shift = shift_of(options->buffer);
	uint32_t n = (uint32_t)(options->size >> shift), entries = 1;
	int rc;

	*zcrx = (struct zcrx){
		.loop = loop,
		.ifindex = options->ifindex,
		.flushes = !options->ifindex,
		.copies = options->dmabuf_fd < 0,
	};
	/* An entry gives back a fragment, of which a chunk may hold many. */
	while (entries < options->size / FRAGMENTS_MIN && entries < ENTRIES_MAX)
		entries *= 2;
	rc = landing_init(&zcrx->landing, options->area, options->offset, options->size, shift,
			  n >> RESERVE_SHIFT, options->keepers);
	if (rc) {
		snprintf(why, size, "no memory for a table of %u chunks", n);
		return rc;
	}
	rc = region_create(zcrx, entries);
	if (!rc)
		rc = queue_register(zcrx, options, entries);
	/* A queue of a process that ended a moment ago is given back by and by. */
	while (rc == -EEXIST && *options->wait_ms) {
		usleep(QUEUE_TRY_MS * 1000);
		*options->wait_ms -= MIN(*options->wait_ms, (unsigned)QUEUE_TRY_MS);
		rc = queue_register(zcrx, options, entries);
	}
	if (rc) {
		why_refused(options, rc, why, size);
		zcrx_close(zcrx);
	}
	return rc;
}

void zcrx_close(struct zcrx *zcrx)
{
	if (zcrx->region)
		munmap(zcrx->region, zcrx->region_bytes);
	landing_fini(&zcrx->landing);
}

uint64_t zcrx_bytes(const struct zcrx *zcrx)
{
	const struct landing *landing = &zcrx->landing;

	return sizeof(*zcrx) + zcrx->region_bytes + landing->rooms_area.size +
	       chunks_bytes(&landing->chunks) + landing->keepers * sizeof(*landing->kept_by);
}

/* ---------------------------------------------------------------------------------------- running */

void zcrx_fragment(struct zcrx *zcrx, uint32_t len, struct span *fragment)
{
	const struct io_uring_zcrx_cqe *extra = loop_cqe_extra(zcrx->loop);
	struct chunks *chunks = &zcrx->landing.chunks;

	*fragment = (struct span){
		.area = chunks->area,
		.offset = chunks->offset + (extra->off & ~IORING_ZCRX_AREA_MASK),
		.len = len,
	};
	chunks_received(chunks, fragment);
	counter_add(&zcrx->stats.fragments, 1);
	counter_add(&zcrx->stats.bytes, len);
}

/* Tells the kernel to look at the ring now; else it does when the NIC needs chunks. */
static void zcrx_flush(struct zcrx *zcrx)
{
	struct zcrx_abi_ctrl flush = { .zcrx_id = zcrx->id, .op = ZCRX_CTRL_FLUSH_RQ };

	io_uring_register((unsigned)zcrx->loop->ring.ring_fd, IORING_REGISTER_ZCRX_CTRL, &flush, 0);
}

bool zcrx_refill(struct zcrx *zcrx)
{
	struct chunks *chunks = &zcrx->landing.chunks;
	uint32_t tail = *zcrx->tail, begin = tail, index, n;
	uint32_t head = __atomic_load_n(zcrx->head, __ATOMIC_ACQUIRE);
	uint32_t room = zcrx->entries - (tail - head);

	while (room && (n = chunks_take_idle(chunks, room, &index))) {
		room -= n;
		while (n--)
			zcrx->rqes[tail++ & (zcrx->entries - 1)] = (struct io_uring_zcrx_rqe){
				.off = zcrx->token | (uint64_t)index << chunks->shift,
			};
	}
	__atomic_store_n(zcrx->tail, tail, __ATOMIC_RELEASE);
	if (!zcrx->flushes)
		return tail != begin;
	if (tail == head ||
	    (tail - head < zcrx->entries >> FLUSH_SHIFT && list_empty(&zcrx->starved)))
		return false;
	zcrx_flush(zcrx);
	return true;
}

void zcrx_event_arm(struct zcrx *zcrx)
{
	struct zcrx_abi_ctrl arm = {
		.zcrx_id = zcrx->id,
		.op = ZCRX_ABI_CTRL_ARM_EVENT,
		.event_type = ZCRX_ABI_EVENT_ALLOC_FAIL,
	};

	io_uring_register((unsigned)zcrx->loop->ring.ring_fd, IORING_REGISTER_ZCRX_CTRL, &arm, 0);
}

uint64_t zcrx_copied_bytes(const struct zcrx *zcrx)
{
	return zcrx->kernel_stats ? counter_get(&zcrx->kernel_stats->copy_bytes) : 0;
}
