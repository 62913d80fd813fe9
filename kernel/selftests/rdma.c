/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_ioctl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rdma.h"
#include "selftest.h"

#define PORT 1
/* Much longer than a request takes under emulation. */
#define COMPLETION_MS_MAX 60000
/* 4.096 us times two to the power of this, and so often. */
#define ACK_TIMEOUT 16
#define RETRIES 7

#define ATTRS_MAX 9

/* One system call on an object of the device, with room for its attributes. */
union call {
	struct ib_uverbs_ioctl_hdr head;
	uint8_t room[sizeof(struct ib_uverbs_ioctl_hdr) + ATTRS_MAX * sizeof(struct ib_uverbs_attr)];
};

static void call_begin(union call *call, uint16_t method)
{
	memset(call, 0, sizeof(*call));
	call->head.object_id = UVERBS_OBJECT_MR;
	call->head.method_id = method;
	call->head.driver_id = RDMA_DRIVER_RXE;
}

/* data: the value itself up to eight bytes, else its address; a handle has the length 0. */
static void call_attr(union call *call, uint16_t id, uint16_t len, uint64_t data)
{
	call->head.attrs[call->head.num_attrs++] = (struct ib_uverbs_attr){
		.attr_id = id,
		.len = len,
		.flags = UVERBS_ATTR_F_MANDATORY,
		.data = data,
	};
}

static int call_run(struct rdma *rdma, union call *call)
{
	size_t len = sizeof(call->head) + call->head.num_attrs * sizeof(call->head.attrs[0]);
	int rc;

	call->head.length = (uint16_t)len;
	do
		rc = ioctl(rdma->context->cmd_fd, RDMA_VERBS_IOCTL, call);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

int region_register(struct rdma *rdma, const struct region_want *want, struct region *region)
{
	union call call;
	int rc;

	*region = (struct region){ .iova = want->iova };
	call_begin(&call, UVERBS_METHOD_REG_DMABUF_MR);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_HANDLE, 0, 0);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, 0, rdma->pd->handle);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_OFFSET, 8, want->offset);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_LENGTH, 8, want->len);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_IOVA, 8, want->iova);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_FD, 4, (uint32_t)want->fd);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, 4, want->access);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, 4, (uintptr_t)&region->lkey);
	call_attr(&call, UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, 4, (uintptr_t)&region->rkey);
	rc = call_run(rdma, &call);
	if (!rc)
		region->handle = (uint32_t)call.head.attrs[0].data;
	return rc;
}

int region_deregister(struct rdma *rdma, const struct region *region)
{
	union call call;

	call_begin(&call, UVERBS_METHOD_MR_DESTROY);
	call_attr(&call, UVERBS_ATTR_DESTROY_MR_HANDLE, 0, region->handle);
	return call_run(rdma, &call);
}

int region_query(struct rdma *rdma, const struct region *region, uint64_t *len, uint64_t *iova)
{
	uint32_t lkey = 0, rkey = 0;
	union call call;
	int rc;

	call_begin(&call, UVERBS_METHOD_QUERY_MR);
	call_attr(&call, UVERBS_ATTR_QUERY_MR_HANDLE, 0, region->handle);
	call_attr(&call, UVERBS_ATTR_QUERY_MR_RESP_LKEY, 4, (uintptr_t)&lkey);
	call_attr(&call, UVERBS_ATTR_QUERY_MR_RESP_RKEY, 4, (uintptr_t)&rkey);
	call_attr(&call, UVERBS_ATTR_QUERY_MR_RESP_LENGTH, 8, (uintptr_t)len);
	call_attr(&call, UVERBS_ATTR_QUERY_MR_RESP_IOVA, 8, (uintptr_t)iova);
	rc = call_run(rdma, &call);
	if (!rc && (lkey != region->lkey || rkey != region->rkey))
		rc = -EBADMSG;
	return rc;
}

/* There is no method for this: it is a command that is written to the device. */
int region_change(struct rdma *rdma, const struct region *region, uint32_t flags,
		  const struct region_want *want)
{
	struct ib_uverbs_rereg_mr_resp response;
	struct {
		struct ib_uverbs_cmd_hdr head;
		struct ib_uverbs_rereg_mr body;
	} command = {
		.head = {
			.command = IB_USER_VERBS_CMD_REREG_MR,
			.in_words = sizeof(command) / 4,
			.out_words = sizeof(response) / 4,
		},
		.body = {
			.response = (uintptr_t)&response,
			.mr_handle = region->handle,
			.flags = flags,
			.start = want->offset,
			.length = want->len,
			.hca_va = want->iova,
			.pd_handle = rdma->other_pd->handle,
			.access_flags = want->access,
		},
	};

	return write(rdma->context->cmd_fd, &command, sizeof(command)) < 0 ? -errno : 0;
}

/* The address that the device has by IPv4: RoCE version 2. */
static int gid_find(struct rdma *rdma, union ibv_gid *gid, uint8_t *index)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct ibv_port_attr port;
	int i;

	if (ibv_query_port(rdma->context, PORT, &port))
		return -ENODEV;
	for (i = 0; i < port.gid_tbl_len && i <= UINT8_MAX; i++)
		if (!ibv_query_gid(rdma->context, PORT, i, gid) &&
		    !memcmp(gid->raw, mapped, sizeof(mapped))) {
			*index = (uint8_t)i;
			return 0;
		}
	return -EADDRNOTAVAIL;
}

static int qp_init(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = PORT,
				    .qp_access_flags = RDMA_ACCESS_ALL };

	return ibv_modify_qp(qp, &attr,
			     IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

static int qp_ready_to_receive(struct ibv_qp *qp, const struct ibv_qp *peer,
			       const union ibv_gid *gid, uint8_t index)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = peer->qp_num,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.port_num = PORT,
			.grh = { .dgid = *gid, .sgid_index = index, .hop_limit = 4 },
		},
	};

	return ibv_modify_qp(qp, &attr,
			     IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			     IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
}

static int qp_ready_to_send(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTS, .timeout = ACK_TIMEOUT,
				    .retry_cnt = RETRIES, .rnr_retry = RETRIES,
				    .max_rd_atomic = 4 };

	return ibv_modify_qp(qp, &attr,
			     IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			     IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

static struct ibv_qp *qp_create(struct rdma *rdma)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = rdma->cq,
		.recv_cq = rdma->cq,
		.cap = { .max_send_wr = 4, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};
	struct ibv_qp *qp = ibv_create_qp(rdma->pd, &attr);

	if (!qp)
		fatal("a queue pair: %s", result_text(-errno));
	return qp;
}

static void qp_connect(struct rdma *rdma, struct ibv_qp *qp, const struct ibv_qp *peer)
{
	union ibv_gid gid;
	uint8_t index;
	int rc = gid_find(rdma, &gid, &index);

	if (rc)
		fatal("an IPv4 address of the RDMA device: %s", result_text(rc));
	rc = qp_init(qp);
	if (!rc)
		rc = qp_ready_to_receive(qp, peer, &gid, index);
	if (!rc)
		rc = qp_ready_to_send(qp);
	if (rc)
		fatal("connecting a queue pair: %s", result_text(-rc));
}

static void pairs_open(struct rdma *rdma)
{
	rdma->qp = qp_create(rdma);
	rdma->peer = qp_create(rdma);
	qp_connect(rdma, rdma->qp, rdma->peer);
	qp_connect(rdma, rdma->peer, rdma->qp);
}

static struct ibv_context *device_open(const char *name)
{
	struct ibv_device **devices = ibv_get_device_list(NULL), **device;
	struct ibv_context *context = NULL;

	for (device = devices; device && *device; device++)
		if (!strcmp(ibv_get_device_name(*device), name))
			context = ibv_open_device(*device);
	if (devices)
		ibv_free_device_list(devices);
	return context;
}

void rdma_open(struct rdma *rdma, const char *device)
{
	*rdma = (struct rdma){ .context = device_open(device) };
	if (!rdma->context)
		skip_all("no RDMA device %s, or no right to it", device);
	rdma->pd = ibv_alloc_pd(rdma->context);
	rdma->other_pd = ibv_alloc_pd(rdma->context);
	rdma->cq = ibv_create_cq(rdma->context, 8, NULL, NULL, 0);
	if (!rdma->pd || !rdma->other_pd || !rdma->cq)
		fatal("%s: objects: %s", device, result_text(-errno));
	pairs_open(rdma);
}

static void pairs_close(struct rdma *rdma)
{
	int rc = ibv_destroy_qp(rdma->qp);

	if (!rc)
		rc = ibv_destroy_qp(rdma->peer);
	if (rc)
		fatal("destroying a queue pair: %s", result_text(-rc));
}

/* What belongs to something else cannot be given back before it. */
void rdma_close(struct rdma *rdma)
{
	int rc;

	pairs_close(rdma);
	rc = ibv_destroy_cq(rdma->cq);
	if (!rc)
		rc = ibv_dealloc_pd(rdma->other_pd);
	if (!rc)
		rc = ibv_dealloc_pd(rdma->pd);
	if (!rc)
		rc = ibv_close_device(rdma->context);
	if (rc)
		fatal("closing the device: %s", result_text(-rc));
}

void rdma_reconnect(struct rdma *rdma)
{
	pairs_close(rdma);
	pairs_open(rdma);
}

enum ibv_wc_status rdma_do(struct rdma *rdma, const struct rdma_op *op)
{
	struct ibv_sge sge = { .addr = op->local, .length = op->len, .lkey = op->lkey };
	struct ibv_send_wr wr = { .sg_list = &sge, .num_sge = 1, .opcode = op->opcode,
				  .send_flags = IBV_SEND_SIGNALED }, *bad;
	uint64_t end_ms = now_ms() + COMPLETION_MS_MAX;
	struct ibv_wc wc;
	int rc;

	if (op->opcode == IBV_WR_ATOMIC_CMP_AND_SWP || op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = op->remote;
		wr.wr.atomic.rkey = op->rkey;
		wr.wr.atomic.compare_add = op->compare_add;
		wr.wr.atomic.swap = op->swap;
	} else {
		wr.wr.rdma.remote_addr = op->remote;
		wr.wr.rdma.rkey = op->rkey;
	}
	rc = ibv_post_send(rdma->qp, &wr, &bad);
	if (rc)
		fatal("posting a request: %s", result_text(-rc));
	while (!(rc = ibv_poll_cq(rdma->cq, 1, &wc))) {
		if (now_ms() >= end_ms)
			fatal("a request has not completed in %u ms", COMPLETION_MS_MAX);
		sched_yield();
	}
	if (rc < 0)
		fatal("polling for a completion: %s", result_text(rc));
	return wc.status;
}
