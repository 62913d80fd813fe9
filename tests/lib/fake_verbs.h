/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An RDMA device and a connection manager that are not there. Each ibv_open_device() makes a struct
 * fake_rnic of its own, as workers do. Nothing moves by itself unless `automatic` is set: the test,
 * being the hosts and the wire, lets capsules come and requests complete. All that concerns a device
 * runs on its worker's thread: the functions of rdma_host.h see to that. The calls of the libraries are
 * in fake_verbs_calls.h.
 *
 * The fake insists on what a device insists on: a send queue and a completion queue have as many entries
 * as were asked for, a receive is posted once, a broken or destroyed queue pair gets no requests,
 * objects are destroyed before what they were made of. What is violated aborts the program.
 */
#ifndef SLUICE_TESTS_LIB_FAKE_VERBS_H
#define SLUICE_TESTS_LIB_FAKE_VERBS_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/rdma/rdma.h"
#include "unit.h"

enum {
	FAKE_SENT = 4096, /* requests of a connection that are remembered */
	FAKE_CQES = 8192, /* of a device, at a time */
	FAKE_EVENTS = 64,
	FAKE_LKEY = 0x77,
	FAKE_QPN_STEP = RDMA_QPNS, /* all queue pairs are in one list by their number */
};

/* A request that the transport posted, as the device would see it. */
struct fake_sent {
	struct ibv_send_wr wr; /* its pointers are not to be followed */
	void *local;
	uint32_t len, lkey;
	unsigned post;	     /* number of the call that it came with, from 1 on */
	struct nvme_cqe cqe; /* of a SEND: what was inline */
};

/* A connection as its host sees it. In memory of the test, and so readable after its end. */
struct fake_peer {
	struct rdma_cm_id *id; /* NULL: destroyed */
	struct fake_qp *qp;    /* NULL: destroyed, or not made */
	struct worker *worker;
	bool automatic;	 /* requests complete as soon as they are posted */
	bool keep_flush; /* the broken queue pair gives nothing back */
	bool late_flush; /* but when it is destroyed */
	bool ready, accepted, rejected, broken;
	uint16_t sts; /* of a reject */
	struct private_accept accept;
	uint8_t initiator_depth, reads_max;
	unsigned disconnects, migrations, notified;
	pthread_t migrated_by, rejected_by;
	unsigned room; /* requests that it takes before it fails; UINT_MAX: all */

	struct fake_sent sent[FAKE_SENT];
	unsigned n_sent, n_done; /* completed by fake_complete() and the like */
	unsigned n_retired;	 /* their entries of the send queue are free */
	unsigned posts, max_used;
	unsigned reads, max_reads; /* RDMA READs between post and completion */
};

struct fake_qp {
	struct ibv_qp qp; /* first */
	struct fake_peer *peer;
	unsigned entries;
};

struct fake_wc {
	struct ibv_wc wc;
	struct fake_peer *peer;
	unsigned retires; /* requests up to this one */
};

struct fake_receive {
	uint64_t wr_id;
	struct ibv_sge sge[2];
	int n;
};

struct fake_rnic {
	struct ibv_context verbs; /* first */
	struct ibv_comp_channel channel;
	struct ibv_cq cq;
	int vector; /* of its completions */
	struct ibv_srq srq;
	struct ibv_pd pd;
	struct ibv_mr mr;
	bool armed;
	unsigned n_qps, srq_entries;
	struct fake_wc wcs[FAKE_CQES];
	unsigned wc_first, n_wcs;
	struct fake_receive receives[RDMA_RECEIVES_MAX];
	unsigned receive_first, n_receives;
	bool posted[RDMA_RECEIVES_MAX];
	struct ibv_async_event events[FAKE_EVENTS];
	unsigned n_events;
};

struct fake_id {
	struct rdma_cm_id id;	/* first */
	struct fake_peer *peer; /* NULL: a listener */
};

struct fake_event {
	struct rdma_cm_event event; /* first */
	uint8_t data[256];
};

struct fake_channel {
	struct rdma_event_channel channel; /* first */
	struct fake_event *events[FAKE_EVENTS];
	unsigned n;
};

/* What is the same for all, and what the next calls are to do. */
static struct {
	struct ibv_device device;
	struct ibv_context cm_verbs; /* the connection manager's own context of the device */
	struct ibv_device_attr attr;
	struct rdma_cm_id *listener; /* the last one bound */
	int devices, vectors;	     /* of the machine, and of each device */
	unsigned opened, closed;     /* atomic */
	unsigned registered;	     /* atomic: regions, ever */
	uint32_t qpn;		     /* atomic */
	int cq_error, srq_error, receive_error, poll_error, notify_error, qp_error, destroy_error;
	int accept_error, migrate_error;
} fake_verbs = {
	.device = { .name = "fake0", .dev_name = "uverbs0", .transport_type = IBV_TRANSPORT_IB },
	.cm_verbs = { .device = &fake_verbs.device },
	.devices = 1,
	.vectors = 2,
	.attr = {
		.device_cap_flags = IBV_DEVICE_MEM_MGT_EXTENSIONS,
		.max_qp_wr = 4096,
		.max_cqe = FAKE_CQES,
		.max_srq = 8,
		.max_srq_wr = 4096,
		.max_srq_sge = 2,
		.max_qp_init_rd_atom = 128,
	},
};

static inline struct fake_rnic *fake_rnic_of(struct ibv_context *verbs)
{
	return (struct fake_rnic *)verbs;
}

static inline void fake_signal(int fd)
{
	assert(!eventfd_write(fd, 1));
}

static inline void fake_unsignal(int fd)
{
	eventfd_t value;

	eventfd_read(fd, &value);
}

/* -------------------------------------------------------------------------------------- completions */

static inline void fake_wc_add(struct fake_rnic *rnic, const struct fake_wc *wc)
{
	assert(rnic->n_wcs < (unsigned)rnic->cq.cqe);
	rnic->wcs[(rnic->wc_first + rnic->n_wcs++) % FAKE_CQES] = *wc;
	if (rnic->armed)
		fake_signal(rnic->channel.fd);
	rnic->armed = false;
}

static inline int fake_poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wcs)
{
	struct fake_rnic *rnic = fake_rnic_of(cq->context);
	int i = 0;

	if (fake_verbs.poll_error)
		return -fake_verbs.poll_error;
	for (; i < n && rnic->n_wcs; i++, rnic->n_wcs--) {
		const struct fake_wc *one = &rnic->wcs[rnic->wc_first++ % FAKE_CQES];

		wcs[i] = one->wc;
		if (one->peer)
			one->peer->n_retired = MAX(one->peer->n_retired, one->retires);
	}
	return i;
}

static inline int fake_req_notify_cq(struct ibv_cq *cq, int solicited)
{
	assert(!solicited);
	fake_rnic_of(cq->context)->armed = true;
	return fake_verbs.notify_error;
}

/* The next request of @peer is done, with @status; the data moves, when that is success. */
static inline void fake_complete_one(struct fake_peer *peer, enum ibv_wc_status status)
{
	const struct fake_sent *sent = &peer->sent[peer->n_done++];
	void *remote = (void *)(uintptr_t)sent->wr.wr.rdma.remote_addr;
	const struct fake_wc wc = {
		.wc = { .wr_id = sent->wr.wr_id, .status = status, .qp_num = peer->qp->qp.qp_num },
		.peer = peer,
		.retires = peer->n_done,
	};

	assert(peer->n_done <= peer->n_sent);
	if (sent->wr.opcode == IBV_WR_RDMA_READ)
		peer->reads--;
	if (!status && sent->wr.opcode == IBV_WR_RDMA_READ)
		memcpy(sent->local, remote, sent->len);
	if (!status && sent->wr.opcode == IBV_WR_RDMA_WRITE && sent->len)
		memcpy(remote, sent->local, sent->len);
	if (status || sent->wr.send_flags & IBV_SEND_SIGNALED)
		fake_wc_add(fake_rnic_of(peer->qp->qp.context), &wc);
}

static inline void fake_async(struct fake_rnic *rnic, const struct ibv_async_event *event)
{
	assert(rnic->n_events < FAKE_EVENTS);
	rnic->events[rnic->n_events++] = *event;
	fake_signal(rnic->verbs.async_fd);
}

/* A broken queue pair gives back what it has. */
static inline void fake_flush_back(struct fake_peer *peer)
{
	const struct ibv_async_event last = { .event_type = IBV_EVENT_QP_LAST_WQE_REACHED,
					      .element.qp = &peer->qp->qp };

	peer->broken = true;
	while (peer->n_done < peer->n_sent)
		fake_complete_one(peer, IBV_WC_WR_FLUSH_ERR);
	fake_async(fake_rnic_of(peer->qp->qp.context), &last);
}

/* ------------------------------------------------------------------------------------------ requests */

static inline void fake_record(struct fake_peer *peer, const struct ibv_send_wr *wr)
{
	struct fake_sent *sent = &peer->sent[peer->n_sent++];

	assert(peer->n_sent < FAKE_SENT);
	*sent = (struct fake_sent){ .wr = *wr, .post = peer->posts };
	if (!wr->num_sge) { /* no memory on either side */
		assert(wr->opcode == IBV_WR_RDMA_WRITE);
		peer->max_used = MAX(peer->max_used, peer->n_sent - peer->n_retired);
		return;
	}
	assert(wr->num_sge == 1);
	sent->local = (void *)(uintptr_t)wr->sg_list->addr;
	sent->len = wr->sg_list->length;
	sent->lkey = wr->sg_list->lkey;
	if (wr->send_flags & IBV_SEND_INLINE)
		memcpy(&sent->cqe, sent->local, sizeof(sent->cqe));
	else
		assert(sent->lkey == FAKE_LKEY);
	if (wr->opcode == IBV_WR_RDMA_READ)
		peer->reads++;
	peer->max_reads = MAX(peer->max_reads, peer->reads);
	peer->max_used = MAX(peer->max_used, peer->n_sent - peer->n_retired);
}

static inline int fake_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr,
				 struct ibv_send_wr **bad)
{
	struct fake_peer *peer = ((struct fake_qp *)qp)->peer;
	int rc = 0;

	assert(!peer->broken);
	peer->posts++;
	for (; wr && !rc; wr = rc ? wr : wr->next) {
		if (!peer->room) {
			*bad = wr;
			rc = ENOMEM;
			break;
		}
		peer->room -= peer->room != UINT32_MAX;
		fake_record(peer, wr);
		assert(peer->n_sent - peer->n_retired <= peer->qp->entries);
	}
	while (peer->automatic && peer->n_done < peer->n_sent)
		fake_complete_one(peer, IBV_WC_SUCCESS);
	return rc;
}

static inline int fake_post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *wr,
				     struct ibv_recv_wr **bad)
{
	struct fake_rnic *rnic = fake_rnic_of(srq->context);

	*bad = wr;
	if (fake_verbs.receive_error)
		return fake_verbs.receive_error;
	for (; wr; wr = wr->next) {
		struct fake_receive *receive =
			&rnic->receives[(rnic->receive_first + rnic->n_receives++) %
					RDMA_RECEIVES_MAX];

		assert(rnic->n_receives <= rnic->srq_entries);
		assert(!rnic->posted[wr->wr_id >> RDMA_WORK_BITS]);
		rnic->posted[wr->wr_id >> RDMA_WORK_BITS] = true;
		*receive = (struct fake_receive){ .wr_id = wr->wr_id, .n = wr->num_sge };
		for (int i = 0; i < wr->num_sge; i++) {
			receive->sge[i] = wr->sg_list[i];
			assert(receive->sge[i].lkey == FAKE_LKEY);
		}
	}
	return 0;
}

#endif
