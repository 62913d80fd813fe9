/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A target with the NVMe/RDMA transport on the devices of fake_verbs.h, and hosts that connect to it.
 * Namespace 1 is in memory, what goes to namespace 2 is held until host_release_io().
 */
#ifndef SLUICE_TESTS_LIB_RDMA_TARGET_H
#define SLUICE_TESTS_LIB_RDMA_TARGET_H

#include "rdma_host.h"

#define HOST_NQN    "nqn.2014-08.io.example:unit"
#define DNR(status) ((status) | NVME_STATUS_DNR)
#define HOST_CONFIG                                                                   \
	"[listener fast]\ntransport = rdma\naddress = 127.0.0.1\nin_capsule = 8192\n" \
	"[subsystem " HOST_NQN "]\nallow_any_host = yes\n"                            \
	"[namespace " HOST_NQN "/1]\nbackend = ram\nsize = 4M\n"                      \
	"[namespace " HOST_NQN "/2]\nbackend = ram\nsize = 4M\nfault = any delay=3600s\n"

enum {
	HOST_CAPSULE = 8192,
	HOST_RECEIVES = RDMA_RECEIVES_MIN,
	/* Just as many receives: a page of commands, two pages of data for each. */
	HOST_AREA = HOST_RECEIVES * (HOST_CAPSULE + (int)sizeof(struct nvme_sqe)),
	HOST_PEERS = 8,
};

/* Hosts that tests use; zeroed by host_setup(). */
static struct fake_peer host_peers[HOST_PEERS];

/* ------------------------------------------------------------------------------------- connections */

struct host_cm {
	struct fake_peer *peer;
	struct rdma_cm_id *id;
	struct fake_event *event;
};

static inline void host_cm_here(void *arg)
{
	struct host_cm *cm = arg;
	struct fake_channel *channel = (struct fake_channel *)cm->id->channel;

	assert(channel->n < FAKE_EVENTS);
	channel->events[channel->n++] = cm->event;
	fake_signal(channel->channel.fd);
}

static inline struct fake_event *host_event_new(struct rdma_cm_id *id, enum rdma_cm_event_type type)
{
	struct fake_event *event = calloc(1, sizeof(*event));

	assert_non_null(event);
	event->event.id = id;
	event->event.event = type;
	return event;
}

/* The connection manager says @type of @peer's connection. */
static inline void host_event(struct fake_peer *peer, enum rdma_cm_event_type type)
{
	struct host_cm cm = { .id = peer->id, .event = host_event_new(peer->id, type) };

	fake_on(peer->worker, host_cm_here, &cm);
	host_settle();
}

/* The identifier of a request of @peer's; @id: zeroed, owned by the connection manager from now on. */
static inline struct rdma_cm_id *host_id_new(struct fake_id *id, struct fake_peer *peer)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	assert_non_null(id);
	assert_non_null(fake_verbs.listener);
	id->peer = peer;
	id->id.verbs = &fake_verbs.cm_verbs;
	id->id.channel = fake_verbs.listener->channel;
	id->id.context = fake_verbs.listener->context;
	memcpy(&id->id.route.addr.src_addr, &sin, sizeof(sin));
	memcpy(&id->id.route.addr.dst_addr, &sin, sizeof(sin));
	return &id->id;
}

static inline struct fake_event *host_request_new(struct fake_id *id, const void *data, uint8_t len,
						  uint8_t reads)
{
	struct fake_event *event = host_event_new(&id->id, RDMA_CM_EVENT_CONNECT_REQUEST);

	event->event.listen_id = fake_verbs.listener;
	memcpy(event->data, data, len);
	event->event.param.conn.private_data = len ? event->data : NULL;
	event->event.param.conn.private_data_len = len;
	event->event.param.conn.initiator_depth = reads;
	return event;
}

/* A connect request of @len bytes of private data, from a host that answers @reads RDMA READs at a time. */
static inline void host_request(struct fake_peer *peer, const void *data, uint8_t len,
				uint8_t reads)
{
	struct fake_id *id = calloc(1, sizeof(*id));
	struct host_cm cm = { .id = fake_verbs.listener };

	*peer = (struct fake_peer){ .id = host_id_new(id, peer) };
	cm.event = host_request_new(id, data, len, reads);
	fake_on(listeners[0]->worker, host_cm_here, &cm);
	host_settle();
}

/* A connection for queue @qid of @depth entries, without Connect. */
static inline void host_open(struct fake_peer *peer, uint16_t qid, uint16_t depth, uint8_t reads)
{
	const struct private_request request = { .qid = le16(qid),
						 .hrqsize = le16(depth),
						 .hsqsize = le16((uint16_t)(depth - 1)) };

	host_request(peer, &request, sizeof(request), reads);
	assert_true(peer->accepted);
}

static struct nvmf_connect_data host_connect_data;

/* Connect for queue @qid of @depth entries of controller @cntlid; its data is host_connect_data. */
static inline struct nvme_sqe host_connect_sqe(uint16_t qid, uint16_t depth, uint16_t cntlid)
{
	const struct nvmf_connect_cmd connect = {
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.cid = le16(1),
		.fctype = NVME_FCTYPE_CONNECT,
		.qid = le16(qid),
		.sqsize = le16((uint16_t)(depth - 1)),
	};
	struct nvme_sqe sqe;

	host_connect_data = (struct nvmf_connect_data){ .cntlid = le16(cntlid) };
	memcpy(host_connect_data.hostid, fake_host.id, sizeof(fake_host.id));
	snprintf(host_connect_data.subnqn, sizeof(host_connect_data.subnqn), "%s", HOST_NQN);
	snprintf(host_connect_data.hostnqn, sizeof(host_connect_data.hostnqn), "%s", fake_host.nqn);
	memcpy(&sqe, &connect, sizeof(sqe));
	host_keyed(&sqe, NVME_SGL_KEYED_ADDRESS, &host_connect_data, sizeof(host_connect_data),
		   HOST_KEY);
	return sqe;
}

static inline void host_connect(struct fake_peer *peer, uint16_t qid, uint16_t depth,
				uint16_t cntlid, uint8_t reads)
{
	struct nvme_sqe sqe = host_connect_sqe(qid, depth, cntlid);

	host_open(peer, qid, depth, reads);
	peer->automatic = true;
	assert_true(host_capsule(peer, &sqe, NULL, 0));
	assert_int_equal(host_wait_status(peer, &sqe), 0);
	host_settle();
}

/* What came before is not of interest, and what comes is the test's to complete. */
static inline void host_by_hand(struct fake_peer *peer)
{
	peer->automatic = false;
	peer->n_sent = peer->n_done = peer->n_retired = 0;
	peer->posts = peer->max_used = peer->reads = peer->max_reads = 0;
}

/* An enabled controller whose admin queue is @admin, with the I/O queue @io of @depth entries. */
static inline void host_attach(struct fake_peer *admin, struct fake_peer *io, uint16_t depth,
			       uint8_t reads)
{
	const struct nvmf_property_cmd set = {
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.cid = le16(2),
		.fctype = NVME_FCTYPE_PROPERTY_SET,
		.offset = le32(NVME_PROP_CC),
		.value = le64(FAKE_CC),
	};
	struct nvme_sqe sqe;

	host_connect(admin, 0, 32, NVMF_CNTLID_DYNAMIC, 16);
	memcpy(&sqe, &set, sizeof(sqe));
	assert_true(host_capsule(admin, &sqe, NULL, 0));
	assert_int_equal(host_wait_status(admin, &sqe), 0);
	host_connect(io, 1, depth, host_rq(admin)->queue.ctrl->cntlid, reads);
	host_by_hand(io);
}

/* A further I/O queue of @admin's controller. */
static inline void host_attach_more(const struct fake_peer *admin, struct fake_peer *io,
				    uint16_t qid, uint16_t depth)
{
	host_connect(io, qid, depth, host_rq(admin)->queue.ctrl->cntlid, 16);
	host_by_hand(io);
}

/* ------------------------------------------------------------------------------------- buffers */

static struct span host_taken[32];
static unsigned host_n_taken;

static inline void host_take_here(void *arg)
{
	const uint64_t leave = *(const uint64_t *)arg;
	struct pool *pool = &workers[0].pool;

	for (uint32_t len = FAKE_MEMORY / 2; pool->free_bytes > leave; len = MAX(len / 2, 4096u))
		while (pool->free_bytes >= leave + len)
			assert(!pool_get(pool, len, &host_taken[host_n_taken++]));
}

static inline void host_put_here(void *arg)
{
	(void)arg;
	while (host_n_taken)
		pool_put(&workers[0].pool, &host_taken[--host_n_taken]);
	workers[0].memory_freed = true;
}

/* Takes buffers of worker 0 until @leave bytes are left, a multiple of 4096. */
static inline void host_take_memory(uint64_t leave)
{
	fake_on(&workers[0], host_take_here, &leave);
	assert_int_equal(workers[0].pool.free_bytes, leave);
}

static inline void host_put_memory(void)
{
	fake_on(&workers[0], host_put_here, NULL);
	host_settle();
}

/* ------------------------------------------------------------------------------------- the target */

static inline unsigned host_one_area(const struct config *config)
{
	(void)config;
	return 1;
}

static struct transport_ops host_first_transport; /* has an area of its own before that of RDMA */

static inline void host_start(unsigned n)
{
	static const struct transport_ops *const registry[] = { &host_first_transport,
								&rdma_transport, NULL };

	host_first_transport = fake_transport;
	host_first_transport.receive_areas = host_one_area;
	fake_target_start_with(HOST_CONFIG, n, &(struct fake_transports){ registry, 2, HOST_AREA });
	host_settle();
	assert_non_null(fake_verbs.listener);
}

/* All hosts leave; nothing of what they had is left. */
static inline int host_teardown(void **state)
{
	(void)state;
	for (unsigned i = HOST_PEERS; i--;) {
		if (!host_peers[i].id)
			continue;
		host_event(&host_peers[i], RDMA_CM_EVENT_DISCONNECTED);
		host_gone(&host_peers[i]);
	}
	for (unsigned i = 0; i < n_workers; i++) {
		assert_true(list_empty(&workers[i].queues));
		assert_int_equal(workers[i].pool.free_bytes, FAKE_MEMORY);
		assert_int_equal(workers[i].connections, 0);
		list_for_each(device, &rdma_of(&workers[i])->devices, struct rdma_device, link) {
			assert_int_equal(device->held, 0);
			assert_int_equal(fake_rnic_of(device->verbs)->n_receives, device->n);
			assert_int_equal(device->cq_promised, device->n);
			assert_int_equal(fake_rnic_of(device->verbs)->n_qps, 0);
		}
	}
	return 0;
}

static inline int host_setup(void **state)
{
	(void)state;
	memset(host_peers, 0, sizeof(host_peers));
	return 0;
}

static inline int host_group_setup(void **state)
{
	(void)state;
	host_start(1);
	return 0;
}

static inline int host_group_teardown(void **state)
{
	(void)state;
	fake_target_stop();
	assert_int_equal(fake_verbs.opened, fake_verbs.closed);
	return 0;
}

#define host_test(function) cmocka_unit_test_setup_teardown(function, host_setup, host_teardown)

#endif
