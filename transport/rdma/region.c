/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/rdma/region.h"

#include <errno.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_user_ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "base/bytes.h"

/* RDMA READ is answered into local memory, RDMA WRITE and SEND read it: no host needs access. */
enum { REGION_ACCESS = IBV_ACCESS_LOCAL_WRITE };

enum { DRIVER_IDS = 32 /* enum rdma_driver_id, and some to come */ };

enum { CALL_ATTRS = 9 /* most that a call here has */ };

/* A call of the kernel's verbs interface (rdma/rdma_user_ioctl_cmds.h). */
union verbs_call {
	struct ib_uverbs_ioctl_hdr hdr; /* attributes follow it */
	uint8_t bytes[sizeof(struct ib_uverbs_ioctl_hdr) +
		      CALL_ATTRS * sizeof(struct ib_uverbs_attr)];
};

static void call_attr(union verbs_call *call, uint16_t id, uint16_t len, uint64_t data)
{
	call->hdr.attrs[call->hdr.num_attrs++] = (struct ib_uverbs_attr){
		.attr_id = id, .len = len, .flags = UVERBS_ATTR_F_MANDATORY, .data = data
	};
}

/* The kernel wants to be told which driver it is that it has, and refuses all others alike. */
static int call_make(struct ibv_context *verbs, union verbs_call *call)
{
	int rc = -EINVAL;

	call->hdr.length =
		(uint16_t)(sizeof(call->hdr) + call->hdr.num_attrs * sizeof(call->hdr.attrs[0]));
	for (uint32_t driver = 0; driver < DRIVER_IDS && rc == -EINVAL; driver++) {
		call->hdr.driver_id = driver;
		rc = ioctl(verbs->cmd_fd, RDMA_VERBS_IOCTL, call) ? -errno : 0;
	}
	return rc;
}

/* As ibv_reg_dmabuf_mr(), for devices whose part of the user library does not know of dma-bufs. */
static int region_ask_kernel(struct region *region, const struct area *area)
{
	union verbs_call call = {
		.hdr = { .object_id = UVERBS_OBJECT_MR, .method_id = UVERBS_METHOD_REG_DMABUF_MR },
	};
	uint32_t lkey = 0, rkey = 0;
	int rc;

	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_HANDLE, 0, 0);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, 0, region->pd->handle);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_OFFSET, sizeof(uint64_t), 0);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_LENGTH, sizeof(uint64_t), area->size);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_IOVA, sizeof(uint64_t), (uintptr_t)area->base);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_FD, sizeof(uint32_t), (uint32_t)area->dmabuf_fd);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, sizeof(uint32_t), REGION_ACCESS);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, sizeof(lkey), (uintptr_t)&lkey);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, sizeof(rkey), (uintptr_t)&rkey);
	rc = call_make(region->pd->context, &call);
	region->handle = (uint32_t)call.hdr.attrs[0].data;
	region->lkey = lkey;
	return rc;
}

static int region_over_dmabuf(struct region *region, struct area *area)
{
	int rc;

	if (!(area->faces & AREA_FACE_DMABUF)) {
		region->why_not = area->why_not[0] ? area->why_not : "the memory is no dma-buf";
		return -EOPNOTSUPP;
	}
	region->mr = ibv_reg_dmabuf_mr(region->pd, 0, area->size, (uintptr_t)area->base,
				       area->dmabuf_fd, REGION_ACCESS);
	if (region->mr) {
		region->lkey = region->mr->lkey;
		return 0;
	}
	rc = errno == EOPNOTSUPP ? region_ask_kernel(region, area) : -errno;
	if (rc)
		region->why_not = rc == -EOPNOTSUPP ?
					  "the driver of the RDMA device takes no dma-bufs" :
					  "the RDMA device cannot reach the memory of the dma-buf";
	return rc;
}

static void explain(int error, const struct region *region, const struct area *area, char *why,
		    size_t why_size)
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (error == ENOMEM && limit.rlim_cur < RLIM_INFINITY)
		snprintf(
			why, why_size,
			"cannot register %s of memory: RLIMIT_MEMLOCK is %s: raise LimitMEMLOCK= in "
			"the service unit (ulimit -l), or lower [memory] per_worker",
			bytes_text(area->size).s, bytes_text(limit.rlim_cur).s);
	else
		snprintf(why, why_size, "cannot register %s of memory: %s (as a dma-buf: %s)",
			 bytes_text(area->size).s, strerror(error), region->why_not);
}

int region_open(struct region *region, struct ibv_pd *pd, struct area *area, char *why,
		size_t why_size)
{
	int error;

	*region = (struct region){ .pd = pd, .why_not = "" };
	if (!region_over_dmabuf(region, area)) {
		region->dmabuf = true;
		region->open = true;
		return 0;
	}
	region->mr = ibv_reg_mr(pd, area->base, area->size, REGION_ACCESS);
	if (!region->mr) {
		error = errno;
		explain(error, region, area, why, why_size);
		return -error;
	}
	region->lkey = region->mr->lkey;
	region->open = true;
	return 0;
}

void region_close(struct region *region)
{
	union verbs_call call = {
		.hdr = { .object_id = UVERBS_OBJECT_MR, .method_id = UVERBS_METHOD_MR_DESTROY },
	};

	if (!region->open)
		return;
	region->open = false;
	if (region->mr) {
		ibv_dereg_mr(region->mr);
		return;
	}
	/* Fails when the device is gone, and the region with it. */
	call_attr(&call, UVERBS_ATTR_DESTROY_MR_HANDLE, 0, region->handle);
	call_make(region->pd->context, &call);
}
