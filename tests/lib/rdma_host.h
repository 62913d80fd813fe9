/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts on the wire's other end of the devices of fake_verbs.h, in one line: capsules arrive, requests
 * complete or fail, time passes. rdma_target.h brings up a target and connects them. All functions
 * are for the test's thread, and return when nothing goes on by itself any more.
 *
 * Host memory is memory of the test: its addresses go into SGLs as they are.
 */
#ifndef SLUICE_TESTS_LIB_RDMA_HOST_H
#define SLUICE_TESTS_LIB_RDMA_HOST_H

#include "fake_transport.h"
#include "fake_verbs_calls.h"

enum { HOST_BLOCK = 512, HOST_KEY = 0xbeef /* of host memory, where a test does not care */ };

/* ------------------------------------------------------------------------------------------- waiting */

struct host_quiet {
	struct worker *worker;
	bool quiet;
};

static inline void host_quiet_here(void *arg)
{
	struct host_quiet *q = arg;
	struct rdma_worker *rdma = rdma_of(q->worker);

	q->quiet = list_empty(&rdma->dirty) && list_empty(&q->worker->queues_waiting) &&
		   !(rdma->channel && ((struct fake_channel *)rdma->channel)->n);
	list_for_each(device, &rdma->devices, struct rdma_device, link) {
		const struct fake_rnic *rnic = fake_rnic_of(device->verbs);

		if (device->shut)
			continue;
		q->quiet &= !rnic->n_wcs && !rnic->n_events && list_empty(&device->ending) &&
			    (list_empty(&device->returned) || device->gone);
	}
}

/* Waits until nothing goes on by itself any more: what is left waits for hosts, timers or a disk. */
static inline void host_settle(void)
{
	/* All of them again after any: one may make work for another, by messages that nobody sees. */
	for (unsigned i = 0, tries = 0; i < 2 * n_workers; i++) {
		struct host_quiet q = { .worker = &workers[i % n_workers] };

		fake_on(q.worker, host_quiet_here, &q);
		if (!q.quiet) {
			i = UINT32_MAX;
			if (++tries > 20000)
				fail_msg("worker %u does not come to rest", q.worker->index);
		}
	}
}

/* Until @peer's connection is no more, on either side. */
static inline void host_gone(struct fake_peer *peer)
{
	for (unsigned tries = 0; __atomic_load_n(&peer->id, __ATOMIC_ACQUIRE); tries++) {
		host_settle();
		if (tries > 2000)
			fail_msg("the connection does not end");
		usleep(100);
	}
	host_settle();
}

/* ------------------------------------------------------------------------------------- the wire's end */

static inline struct rdma_queue *host_rq(const struct fake_peer *peer)
{
	assert_non_null(peer->id);
	return container_of((struct rdma_owner *)peer->id->context, struct rdma_queue, owner);
}

static inline struct rdma_device *host_device(unsigned worker)
{
	assert_false(list_empty(&rdma_of(&workers[worker])->devices));
	return list_first(&rdma_of(&workers[worker])->devices, struct rdma_device, link);
}

/* The receive area of worker 0 as the device has it: receives that are posted. */
static inline unsigned host_receives(void)
{
	return fake_rnic_of(host_device(0)->verbs)->n_receives;
}

struct host_action {
	struct fake_peer *peer;
	const void *head, *data;
	uint32_t head_len, len;
	enum ibv_wc_status status;
	enum ibv_wc_opcode opcode; /* 0: a SEND came */
	unsigned n;
	bool done;
};

static inline void host_receive_here(void *arg)
{
	struct host_action *a = arg;
	struct fake_rnic *rnic = fake_rnic_of(a->peer->qp->qp.context);
	struct fake_receive *receive = &rnic->receives[rnic->receive_first % RDMA_RECEIVES_MAX];
	struct fake_wc wc = { .wc = { .status = a->status,
				      .qp_num = a->peer->qp->qp.qp_num,
				      .byte_len = a->head_len + a->len,
				      .opcode = a->opcode ? a->opcode : IBV_WC_RECV } };

	if (!rnic->n_receives)
		return;
	rnic->receive_first++;
	rnic->n_receives--;
	rnic->posted[receive->wr_id >> RDMA_WORK_BITS] = false;
	wc.wc.wr_id = receive->wr_id;
	assert(receive->n == 2 && receive->sge[0].length == sizeof(struct nvme_sqe));
	assert(a->status || a->len <= receive->sge[1].length);
	memcpy((void *)(uintptr_t)receive->sge[0].addr, a->head, a->head_len);
	if (a->len && !a->status)
		memcpy((void *)(uintptr_t)receive->sge[1].addr, a->data, a->len);
	fake_wc_add(rnic, &wc);
	a->done = true;
}

/* A capsule arrives, with @len bytes behind the command. False: there was no receive for it. */
static inline bool host_capsule(struct fake_peer *peer, const struct nvme_sqe *sqe,
				const void *data, uint32_t len)
{
	struct host_action a = {
		.peer = peer, .head = sqe, .head_len = sizeof(*sqe), .data = data, .len = len
	};

	fake_on(peer->worker, host_receive_here, &a);
	host_settle();
	return a.done;
}

/* A message arrives that is no capsule: @len bytes, or one that the receive failed for by @status. */
static inline void host_message(struct fake_peer *peer, const void *bytes, uint32_t len,
				enum ibv_wc_status status)
{
	struct host_action a = { .peer = peer, .head = bytes, .head_len = len, .status = status };

	fake_on(peer->worker, host_receive_here, &a);
	host_settle();
	assert_true(a.done);
}

static inline void host_complete_here(void *arg)
{
	struct host_action *a = arg;

	while (a->n-- && a->peer->n_done < a->peer->n_sent)
		fake_complete_one(a->peer, a->status);
}

/* The next @n requests complete; more than there are: all. */
static inline void host_complete(struct fake_peer *peer, unsigned n)
{
	struct host_action a = { .peer = peer, .n = n };

	fake_on(peer->worker, host_complete_here, &a);
	host_settle();
}

/* The next request fails by @status. */
static inline void host_fail(struct fake_peer *peer, enum ibv_wc_status status)
{
	struct host_action a = { .peer = peer, .n = 1, .status = status };

	fake_on(peer->worker, host_complete_here, &a);
	host_settle();
}

static inline void host_flush_here(void *arg)
{
	fake_flush_back(arg);
}

/* The queue pair breaks by itself, or gives back now what keep_flush held. */
static inline void host_flush(struct fake_peer *peer)
{
	fake_on(peer->worker, host_flush_here, peer);
	host_settle();
}

struct host_timer {
	struct loop *loop;
	struct timer *timer;
};

static inline void host_expire_here(void *arg)
{
	struct host_timer *t = arg;

	assert(timer_running(t->timer));
	assert(!loop_timer_start(t->loop, t->timer, 0));
}

/* The time of @timer on @worker, which runs, is up. */
static inline void host_expire(struct worker *worker, struct timer *timer)
{
	struct host_timer t = { &worker->loop, timer };

	fake_on(worker, host_expire_here, &t);
	host_settle();
	host_settle();
}

static inline void host_release_here(void *arg)
{
	struct fake_peer *peer = arg;
	struct rdma_queue *rq = host_rq(peer);

	list_for_each(cmd, &rq->queue.live, struct cmd, link)
		if (cmd->state == CMD_EXECUTING && timer_running(&cmd->io.timer))
			assert(!loop_timer_start(&peer->worker->loop, &cmd->io.timer, 0));
}

/* Namespace 2 does what it was asked for on @peer. */
static inline void host_release_io(struct fake_peer *peer)
{
	fake_on(peer->worker, host_release_here, peer);
	host_settle();
	host_settle();
}

/* A response is taken and the next capsule comes, both seen at once by the worker. */
struct host_both {
	struct host_action capsule, complete;
};

static inline void host_both_here(void *arg)
{
	struct host_both *both = arg;

	host_complete_here(&both->complete);
	host_receive_here(&both->capsule);
}

static inline void host_complete_and_capsule(struct fake_peer *peer, const struct nvme_sqe *sqe)
{
	struct host_both both = {
		.complete = { .peer = peer, .n = 1 },
		.capsule = { .peer = peer, .head = sqe, .head_len = sizeof(*sqe) },
	};

	fake_on(peer->worker, host_both_here, &both);
	host_settle();
	assert_true(both.capsule.done);
}

/* ---------------------------------------------------------------------------------------- commands */

/* An I/O command on @nlb blocks from @slba on, with an identifier of its own. */
static inline struct nvme_sqe host_io(uint8_t opcode, uint32_t nsid, uint64_t slba, uint32_t nlb)
{
	static uint16_t cid = 0x100;

	return (struct nvme_sqe){
		.opcode = opcode,
		.flags = NVME_PSDT_SGL,
		.cid = le16(++cid),
		.nsid = le32(nsid),
		.cdw10 = le32((uint32_t)slba),
		.cdw12 = le32(nlb - 1),
	};
}

static inline struct nvme_keyed_sgl host_descriptor(uint8_t type, const void *memory, uint32_t len,
						    uint32_t key)
{
	return (struct nvme_keyed_sgl){
		.addr = le64((uintptr_t)memory),
		.len = { (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16) },
		.key = le32(key),
		.type = type,
	};
}

/* The data of @sqe is @len bytes of host memory. */
static inline void host_keyed(struct nvme_sqe *sqe, uint8_t type, const void *memory, uint32_t len,
			      uint32_t key)
{
	struct nvme_keyed_sgl one = host_descriptor(type, memory, len, key);

	memcpy(&sqe->sgl, &one, sizeof(one));
}

/* The data of @sqe, or with SGL_SEGMENT its descriptors, is behind it in the capsule. */
static inline void host_offset(struct nvme_sqe *sqe, uint8_t type, uint64_t offset, uint32_t len)
{
	sqe->sgl = (struct nvme_sgl){ .addr = le64(offset), .len = le32(len), .type = type };
}

enum { HOST_SEGMENT = 0x31, HOST_PENDING = 0xffff };

/* The status of the response to @sqe that was posted last, or HOST_PENDING. */
static inline uint16_t host_status(const struct fake_peer *peer, const struct nvme_sqe *sqe)
{
	for (unsigned i = peer->n_sent; i--;)
		if ((peer->sent[i].wr.opcode == IBV_WR_SEND ||
		     peer->sent[i].wr.opcode == IBV_WR_SEND_WITH_INV) &&
		    le16_get(peer->sent[i].cqe.cid) == le16_get(sqe->cid))
			return (uint16_t)(le16_get(peer->sent[i].cqe.status) >> 1 &
					  ~NVME_STATUS_MORE);
	return HOST_PENDING;
}

/* The same, for commands that another thread or a timer has a part in: waits for it. */
static inline uint16_t host_wait_status(const struct fake_peer *peer, const struct nvme_sqe *sqe)
{
	for (unsigned tries = 0; host_status(peer, sqe) == HOST_PENDING; tries++) {
		if (tries > 20000)
			fail_msg("command %u is not answered", le16_get(sqe->cid));
		host_settle();
		usleep(100);
	}
	return host_status(peer, sqe);
}

#endif
