/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that the device reads and writes: capsules and responses, the caller's regions, and chunks
 * through which all other data is copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "rdma.h"

enum {
	PAGE = 4096,
	BOUNCE_STRIDE = INITIATOR_BOUNCE + GUARD_LEN,
};

/* Registers memory, or fails the association and returns NULL. */
static struct ibv_mr *memory_register(struct initiator *in, void *base, size_t len, int access)
{
	struct ibv_mr *mr;

	/* Windows are bound to what the controller may reach, never to the device's own. */
	if (in->options.invalidate && access & IBV_ACCESS_REMOTE_WRITE)
		access |= IBV_ACCESS_MW_BIND;
	mr = ibv_reg_mr(in->rdma->pd, base, len, access);
	if (!mr)
		initiator_fail(
			in, false, "the RDMA device does not register %zu bytes of memory: %s%s",
			len, strerror(errno),
			errno == ENOMEM ? ": raise the limit of locked memory (ulimit -l)" : "");
	return mr;
}

/* One piece for the capsules and responses of all queues; false after initiator_fail(). */
static bool local_open(struct initiator *in)
{
	struct hrdma_assoc *a = in->rdma;
	size_t len = 0, at = 0;

	for (unsigned i = 0; i < in->n_queues; i++) {
		uint32_t entries = hrdma_queue(in->queues[i])->entries;

		len += (size_t)entries * (sizeof(struct nvme_sqe) + RDMA_RESPONSE_ROOM);
	}
	len = align_up(len, PAGE);
	a->local = aligned_alloc(PAGE, len);
	if (!a->local) {
		initiator_fail(in, false, "out of memory");
		return false;
	}
	memset(a->local, 0, len);
	for (unsigned i = 0; i < in->n_queues; i++) {
		struct hrdma_queue *r = hrdma_queue(in->queues[i]);

		r->capsules = (struct nvme_sqe *)(void *)(a->local + at);
		at += (size_t)r->entries * sizeof(struct nvme_sqe);
		r->responses = a->local + at;
		at += (size_t)r->entries * RDMA_RESPONSE_ROOM;
	}
	a->local_mr = memory_register(in, a->local, len, IBV_ACCESS_LOCAL_WRITE);
	return a->local_mr;
}

static bool bounce_open(struct initiator *in)
{
	struct hrdma_assoc *a = in->rdma;
	size_t len = align_up((size_t)RDMA_BOUNCES * BOUNCE_STRIDE, PAGE);

	a->bounce = aligned_alloc(PAGE, len);
	if (!a->bounce) {
		initiator_fail(in, false, "out of memory");
		return false;
	}
	guard_fill(a->bounce, len);
	a->n_bounce_free = 0;
	for (unsigned i = RDMA_BOUNCES; i-- > 0;)
		a->bounce_free[a->n_bounce_free++] = (uint16_t)i;
	a->bounce_mr = memory_register(in, a->bounce, len,
				       IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
					       IBV_ACCESS_REMOTE_WRITE);
	return a->bounce_mr;
}

int hrdma_region_add(struct initiator *in, unsigned index)
{
	const struct region *region = &in->regions[index];

	if (!in->rdma || !in->rdma->pd)
		return 0;
	in->rdma->regions[index] = memory_register(in, region->base, region->len,
						   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
							   IBV_ACCESS_REMOTE_WRITE);
	return in->rdma->regions[index] ? 0 : -ENOMEM;
}

void hrdma_region_remove(struct initiator *in, unsigned index)
{
	if (!in->rdma || !in->rdma->regions[index])
		return;
	ibv_dereg_mr(in->rdma->regions[index]);
	in->rdma->regions[index] = NULL;
}

static bool regions_open(struct initiator *in)
{
	for (unsigned i = 0; i < INITIATOR_REGIONS; i++)
		if (in->regions[i].base && hrdma_region_add(in, i))
			return false;
	return true;
}

/* What the device can do against what is asked of it; false after initiator_fail(). */
static bool device_suits(struct initiator *in)
{
	const struct ibv_device_attr *attr = &in->rdma->attr;
	uint32_t entries = MAX(in->options.depth + 1, (uint32_t)INITIATOR_ADMIN_ENTRIES);
	uint32_t wrs = entries * (in->options.invalidate ? RDMA_WRS : 1);

	if (in->options.invalidate && !(attr->device_cap_flags & (IBV_DEVICE_MEM_WINDOW_TYPE_2A |
								  IBV_DEVICE_MEM_WINDOW_TYPE_2B)))
		initiator_fail(
			in, false,
			"the RDMA device has no memory windows of type 2: run without "
			       "--invalidate");
	else if (wrs > (uint32_t)attr->max_qp_wr || wrs + entries > (uint32_t)attr->max_cqe)
		initiator_fail(
			in, false,
			"the RDMA device's queue pairs take %d requests, %u are needed: try a "
			"smaller --depth",
			attr->max_qp_wr, wrs);
	return !in->failed;
}

int hrdma_device_open(struct initiator *in, struct ibv_context *verbs)
{
	struct hrdma_assoc *a = in->rdma;

	if (a->verbs == verbs)
		return 0;
	if (a->verbs) {
		initiator_fail(
			in, true, "the address led to RDMA device %s before and leads to %s now",
			ibv_get_device_name(a->verbs->device), ibv_get_device_name(verbs->device));
		return -EXDEV;
	}
	a->verbs = verbs;
	if (ibv_query_device(verbs, &a->attr)) {
		initiator_fail(in, true, "RDMA device %s does not answer: %s",
			       ibv_get_device_name(verbs->device), strerror(errno));
		return -EIO;
	}
	if (!device_suits(in))
		return -EINVAL;
	a->pd = ibv_alloc_pd(verbs);
	a->comps = a->pd ? ibv_create_comp_channel(verbs) : NULL;
	if (!a->comps) {
		initiator_fail(in, true, "RDMA device %s has no room for this host: %s",
			       ibv_get_device_name(verbs->device), strerror(errno));
		return -ENOMEM;
	}
	fcntl(a->comps->fd, F_SETFL, fcntl(a->comps->fd, F_GETFL) | O_NONBLOCK);
	return local_open(in) && bounce_open(in) && regions_open(in) ? 0 : -ENOMEM;
}

void hrdma_device_close(struct hrdma_assoc *a)
{
	for (unsigned i = 0; i < INITIATOR_REGIONS; i++)
		if (a->regions[i])
			ibv_dereg_mr(a->regions[i]);
	if (a->bounce_mr)
		ibv_dereg_mr(a->bounce_mr);
	if (a->local_mr)
		ibv_dereg_mr(a->local_mr);
	if (a->comps)
		ibv_destroy_comp_channel(a->comps);
	if (a->pd)
		ibv_dealloc_pd(a->pd);
	free(a->bounce);
	free(a->local);
}

/* ------------------------------------------------------------------------------- data of commands */

static struct ibv_mr *region_find(const struct initiator *in, const uint8_t *data, uint32_t len)
{
	for (unsigned i = 0; i < INITIATOR_REGIONS; i++) {
		const struct region *region = &in->regions[i];

		if (region->base && data >= region->base && len <= region->len &&
		    (size_t)(data - region->base) <= region->len - len)
			return in->rdma->regions[i];
	}
	return NULL;
}

static uint8_t *bounce_chunk(const struct hrdma_assoc *a, unsigned index)
{
	return a->bounce + (size_t)index * BOUNCE_STRIDE;
}

int hrdma_place_find(struct initiator *in, const struct initiator_cmd *cmd,
		     struct hrdma_place *place)
{
	struct hrdma_assoc *a = in->rdma;
	struct ibv_mr *mr = cmd->data ? region_find(in, cmd->data, cmd->len) : NULL;
	uint16_t index;

	if (mr) {
		*place = (struct hrdma_place){ cmd->data, mr, RDMA_BOUNCE_NONE };
		return 0;
	}
	if (cmd->len > INITIATOR_BOUNCE)
		return -EINVAL;
	if (a->n_bounce_free == 0)
		return -EAGAIN;
	index = a->bounce_free[--a->n_bounce_free];
	*place = (struct hrdma_place){ bounce_chunk(a, index), a->bounce_mr, index };
	if (cmd->to_ctrl)
		memcpy(place->addr, cmd->data, cmd->len);
	else
		guard_fill(place->addr, cmd->len + GUARD_LEN);
	return 0;
}

bool hrdma_bounce_take(struct hrdma_assoc *a, unsigned index, const struct initiator_cmd *cmd)
{
	const uint8_t *chunk = bounce_chunk(a, index);

	if (cmd->to_ctrl)
		return true;
	if (cmd->data)
		memcpy(cmd->data, chunk, cmd->len);
	return guard_intact(chunk + cmd->len);
}

void hrdma_bounce_put(struct hrdma_assoc *a, unsigned index)
{
	a->bounce_free[a->n_bounce_free++] = (uint16_t)index;
}
