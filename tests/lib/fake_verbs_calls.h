/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the transport calls of libibverbs and librdmacm, over the fakes of fake_verbs.h. These take
 * precedence over the shared libraries in the program that includes this, once.
 */
#ifndef SLUICE_TESTS_LIB_FAKE_VERBS_CALLS_H
#define SLUICE_TESTS_LIB_FAKE_VERBS_CALLS_H

#include "fake_verbs.h"

/* --------------------------------------------------------------------------------------- libibverbs */

#undef ibv_reg_mr
#undef ibv_get_device_list

struct ibv_device **ibv_get_device_list(int *n)
{
	static struct ibv_device *all[] = { &fake_verbs.device, NULL };

	*n = fake_verbs.devices;
	return all;
}

void ibv_free_device_list(struct ibv_device **list)
{
	(void)list;
}

const char *ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	struct fake_rnic *rnic = calloc(1, sizeof(*rnic));

	assert(rnic);
	rnic->verbs.device = device;
	rnic->verbs.ops.poll_cq = fake_poll_cq;
	rnic->verbs.ops.req_notify_cq = fake_req_notify_cq;
	rnic->verbs.ops.post_send = fake_post_send;
	rnic->verbs.ops.post_srq_recv = fake_post_srq_recv;
	rnic->verbs.async_fd = eventfd(0, EFD_CLOEXEC);
	rnic->verbs.cmd_fd = -1;
	rnic->verbs.num_comp_vectors = fake_verbs.vectors;
	__atomic_add_fetch(&fake_verbs.opened, 1, __ATOMIC_RELAXED);
	return &rnic->verbs;
}

int ibv_close_device(struct ibv_context *verbs)
{
	struct fake_rnic *rnic = fake_rnic_of(verbs);

	assert(!rnic->pd.context && !rnic->cq.context && !rnic->channel.context);
	close(verbs->async_fd);
	free(rnic);
	__atomic_add_fetch(&fake_verbs.closed, 1, __ATOMIC_RELEASE);
	return 0;
}

int ibv_query_device(struct ibv_context *verbs, struct ibv_device_attr *attr)
{
	(void)verbs;
	*attr = fake_verbs.attr;
	return 0;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *verbs)
{
	fake_rnic_of(verbs)->pd.context = verbs;
	return &fake_rnic_of(verbs)->pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	assert(!fake_rnic_of(pd->context)->mr.context && !fake_rnic_of(pd->context)->srq.context);
	pd->context = NULL;
	return 0;
}

struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
				 int fd, int access)
{
	(void)pd, (void)offset, (void)length, (void)iova, (void)fd;
	assert(access == IBV_ACCESS_LOCAL_WRITE);
	errno = ENOMEM; /* the pages are taken then */
	return NULL;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	struct ibv_mr *mr = &fake_rnic_of(pd->context)->mr;

	assert(access == IBV_ACCESS_LOCAL_WRITE); /* hosts reach none of it */
	__atomic_add_fetch(&fake_verbs.registered, 1, __ATOMIC_RELAXED);
	*mr = (struct ibv_mr){ pd->context, pd, addr, length, 0, FAKE_LKEY, FAKE_LKEY };
	return mr;
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	mr->context = NULL;
	return 0;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *verbs)
{
	struct fake_rnic *rnic = fake_rnic_of(verbs);

	rnic->channel =
		(struct ibv_comp_channel){ .context = verbs, .fd = eventfd(0, EFD_CLOEXEC) };
	return &rnic->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	close(channel->fd);
	channel->context = NULL;
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *verbs, int cqe, void *context,
			     struct ibv_comp_channel *channel, int vector)
{
	struct fake_rnic *rnic = fake_rnic_of(verbs);

	assert(vector >= 0 && vector < verbs->num_comp_vectors);
	errno = fake_verbs.cq_error;
	if (errno)
		return NULL;
	rnic->vector = vector;
	rnic->cq = (struct ibv_cq){
		.context = verbs, .channel = channel, .cq_context = context, .cqe = cqe
	};
	return &rnic->cq;
}

int ibv_resize_cq(struct ibv_cq *cq, int cqe)
{
	assert(cqe <= fake_verbs.attr.max_cqe);
	cq->cqe = cqe;
	return 0;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
	assert(!fake_rnic_of(cq->context)->n_qps);
	cq->context = NULL;
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **context)
{
	struct fake_rnic *rnic = fake_rnic_of(channel->context);
	eventfd_t value;

	*cq = &rnic->cq;
	*context = rnic->cq.cq_context;
	return eventfd_read(channel->fd, &value);
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned n)
{
	(void)cq, (void)n;
}

struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *attr)
{
	struct fake_rnic *rnic = fake_rnic_of(pd->context);

	errno = fake_verbs.srq_error;
	if (errno)
		return NULL;
	rnic->srq = (struct ibv_srq){ .context = pd->context, .pd = pd };
	rnic->srq_entries = attr->attr.max_wr;
	return &rnic->srq;
}

int ibv_destroy_srq(struct ibv_srq *srq)
{
	assert(!fake_rnic_of(srq->context)->n_qps);
	srq->context = NULL;
	return 0;
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct fake_rnic *rnic = fake_rnic_of(pd->context);
	const struct rdma_queue *rq = attr->qp_context;
	struct fake_peer *peer = ((struct fake_id *)rq->id)->peer;
	struct fake_qp *qp = fake_verbs.qp_error ? NULL : calloc(1, sizeof(*qp));

	errno = fake_verbs.qp_error;
	if (!qp)
		return NULL;
	qp->qp.context = &rnic->verbs;
	qp->qp.qp_context = attr->qp_context;
	qp->qp.qp_num = __atomic_add_fetch(&fake_verbs.qpn, FAKE_QPN_STEP, __ATOMIC_RELAXED);
	qp->peer = peer;
	qp->entries = attr->cap.max_send_wr;
	assert(attr->cap.max_send_wr <= (unsigned)fake_verbs.attr.max_qp_wr);
	peer->qp = qp;
	peer->worker = rq->device->rdma->worker;
	peer->room = UINT32_MAX;
	rnic->n_qps++;
	return &qp->qp;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	struct fake_peer *peer = ((struct fake_qp *)qp)->peer;

	assert(mask & IBV_QP_STATE);
	/* Hosts reach no memory here, and what they do not take is not kept for ever. */
	assert(!(mask & IBV_QP_ACCESS_FLAGS) || !attr->qp_access_flags);
	assert(!(mask & IBV_QP_MAX_DEST_RD_ATOMIC) || !attr->max_dest_rd_atomic);
	assert(!(mask & IBV_QP_RNR_RETRY) || attr->rnr_retry < 7);
	assert(!(mask & IBV_QP_TIMEOUT) || attr->timeout);
	if (mask & IBV_QP_MAX_QP_RD_ATOMIC)
		peer->reads_max = attr->max_rd_atomic;
	peer->ready |= attr->qp_state == IBV_QPS_RTS;
	if (attr->qp_state != IBV_QPS_ERR || peer->broken)
		return 0;
	peer->broken = true;
	if (!peer->keep_flush)
		fake_flush_back(peer);
	return 0;
}

/* What of a queue pair is in the completion queue, a device may forget with it. */
static inline void fake_forget(struct fake_rnic *rnic, uint32_t qpn)
{
	for (unsigned n = rnic->n_wcs; n; n--) {
		struct fake_wc wc = rnic->wcs[rnic->wc_first++ % FAKE_CQES];

		rnic->n_wcs--;
		if (wc.wc.qp_num != qpn)
			rnic->wcs[(rnic->wc_first + rnic->n_wcs++) % FAKE_CQES] = wc;
	}
}

/* Takes the events of the queue pair along, as the kernel does. */
int ibv_destroy_qp(struct ibv_qp *qp)
{
	struct fake_rnic *rnic = fake_rnic_of(qp->context);
	struct fake_peer *peer = ((struct fake_qp *)qp)->peer;
	unsigned n = 0;

	if (fake_verbs.destroy_error)
		return fake_verbs.destroy_error;
	fake_forget(rnic, qp->qp_num);
	while (peer->late_flush && peer->n_done < peer->n_sent)
		fake_complete_one(peer, IBV_WC_WR_FLUSH_ERR);
	for (unsigned i = 0; i < rnic->n_events; i++)
		if (rnic->events[i].element.qp != qp)
			rnic->events[n++] = rnic->events[i];
	rnic->n_events = n;
	rnic->n_qps--;
	peer->qp = NULL;
	free(qp);
	return 0;
}

int ibv_get_async_event(struct ibv_context *verbs, struct ibv_async_event *event)
{
	struct fake_rnic *rnic = fake_rnic_of(verbs);

	fake_unsignal(verbs->async_fd);
	if (!rnic->n_events)
		return -1;
	*event = rnic->events[0];
	memmove(rnic->events, rnic->events + 1, --rnic->n_events * sizeof(*event));
	return 0;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
	(void)event;
}

/* ---------------------------------------------------------------------------------------- librdmacm */

static inline struct fake_peer *fake_peer_of(struct rdma_cm_id *id)
{
	return ((struct fake_id *)id)->peer;
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
	struct fake_channel *channel = calloc(1, sizeof(*channel));

	assert(channel);
	channel->channel.fd = eventfd(0, EFD_CLOEXEC);
	return &channel->channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
	assert(!((struct fake_channel *)channel)->n);
	close(channel->fd);
	free(channel);
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
	struct fake_channel *fake = (struct fake_channel *)channel;

	if (!fake->n) {
		fake_unsignal(channel->fd);
		errno = EAGAIN;
		return -1;
	}
	*event = &fake->events[0]->event;
	memmove(fake->events, fake->events + 1, --fake->n * sizeof(fake->events[0]));
	return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
	free(event);
	return 0;
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
		   enum rdma_port_space ps)
{
	struct fake_id *fake = calloc(1, sizeof(*fake));

	assert(fake);
	fake->id.channel = channel;
	fake->id.context = context;
	fake->id.ps = ps;
	*id = &fake->id;
	return 0;
}

/* Its events that were not handed out go with it. */
int rdma_destroy_id(struct rdma_cm_id *id)
{
	struct fake_channel *channel = (struct fake_channel *)id->channel;
	struct fake_peer *peer = fake_peer_of(id);
	unsigned n = 0;

	for (unsigned i = 0; i < channel->n; i++)
		if (channel->events[i]->event.id == id)
			free(channel->events[i]);
		else
			channel->events[n++] = channel->events[i];
	channel->n = n;
	if (fake_verbs.listener == id)
		fake_verbs.listener = NULL;
	if (peer) {
		assert(!peer->qp); /* it uses what the identifier knows */
		__atomic_store_n(&peer->id, NULL, __ATOMIC_RELEASE);
	}
	free(id);
	return 0;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *sa)
{
	(void)sa;
	id->verbs = &fake_verbs.cm_verbs;
	return 0;
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
	(void)backlog;
	fake_verbs.listener = id;
	return 0;
}

int rdma_set_option(struct rdma_cm_id *id, int level, int name, void *value, size_t len)
{
	(void)id, (void)level, (void)name, (void)value, (void)len;
	return 0;
}

struct ibv_context **rdma_get_devices(int *n)
{
	static struct ibv_context *all[] = { &fake_verbs.cm_verbs, NULL };

	*n = 1;
	return all;
}

void rdma_free_devices(struct ibv_context **list)
{
	(void)list;
}

int rdma_reject(struct rdma_cm_id *id, const void *data, uint8_t len)
{
	struct fake_peer *peer = fake_peer_of(id);
	struct private_reject reject;

	assert(len == sizeof(reject) && !peer->accepted && !peer->rejected);
	memcpy(&reject, data, sizeof(reject));
	assert(!le16_get(reject.recfmt));
	peer->sts = le16_get(reject.sts);
	peer->rejected_by = pthread_self();
	peer->rejected = true;
	return 0;
}

int rdma_migrate_id(struct rdma_cm_id *id, struct rdma_event_channel *channel)
{
	if (fake_verbs.migrate_error) {
		errno = fake_verbs.migrate_error;
		return -1;
	}
	fake_peer_of(id)->migrations++;
	fake_peer_of(id)->migrated_by = pthread_self();
	id->channel = channel;
	return 0;
}

int rdma_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attr, int *mask)
{
	(void)id;
	*mask = IBV_QP_STATE;
	if (attr->qp_state == IBV_QPS_INIT)
		*mask |= IBV_QP_ACCESS_FLAGS;
	if (attr->qp_state == IBV_QPS_RTR)
		*mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	if (attr->qp_state == IBV_QPS_RTS)
		*mask |= IBV_QP_MAX_QP_RD_ATOMIC | IBV_QP_RNR_RETRY | IBV_QP_TIMEOUT;
	attr->qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	attr->max_dest_rd_atomic = 16;
	attr->rnr_retry = 7;
	attr->timeout = 0;
	return 0;
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
	struct fake_peer *peer = fake_peer_of(id);

	assert(param->qp_num == peer->qp->qp.qp_num && peer->ready);
	if (fake_verbs.accept_error) {
		errno = fake_verbs.accept_error;
		return -1;
	}
	assert(param->private_data_len == sizeof(peer->accept));
	memcpy(&peer->accept, param->private_data, sizeof(peer->accept));
	peer->initiator_depth = param->initiator_depth;
	peer->accepted = true;
	return 0;
}

int rdma_notify(struct rdma_cm_id *id, enum ibv_event_type event)
{
	assert(event == IBV_EVENT_COMM_EST);
	fake_peer_of(id)->notified++;
	return 0;
}

int rdma_disconnect(struct rdma_cm_id *id)
{
	fake_peer_of(id)->disconnects++;
	return 0;
}

#endif
