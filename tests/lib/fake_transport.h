/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transport without a wire, and around it the whole core with real workers, namespaces and
 * listeners from a configuration text. Commands are begun on their queue's worker; what the core
 * responds is kept for the test's thread, which waits for it.
 */
#ifndef SLUICE_TESTS_LIB_FAKE_TRANSPORT_H
#define SLUICE_TESTS_LIB_FAKE_TRANSPORT_H

#include <errno.h>
#include <semaphore.h>
#include <time.h>

#include "config/config.h"
#include "loop_thread.h"
#include "target/admin.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/worker.h"

enum { FAKE_WAIT_S = 20, FAKE_MEMORY = 8 << 20 };

/* One command of a test: what goes in, and what came back. */
struct fake_call {
	struct nvme_sqe sqe;
	uint32_t sgl_len;      /* bytes that its SGL describes */
	const void *from_host; /* sgl_len bytes, or NULL: zeros */
	uint8_t *to_host;      /* room for sgl_len bytes, or NULL: not looked at */
	bool in_capsule;
	uint16_t sgl_status;   /* what the transport finds wrong with the SGL */

	struct nvme_cqe cqe;
	uint16_t status; /* without the More bit */
	bool moved;      /* data went to the host */
	sem_t done;
	struct fake_conn *conn;
};

struct fake_cmd {
	struct cmd cmd;
	struct fake_call *call;
};

struct fake_conn {
	struct queue queue;
	struct fake_cmd slot0;
	struct worker *worker;
	bool hold_fetch; /* data from the host does not come */
	enum queue_close closed; /* why the core has closed it last */
	sem_t idle;
};

static int fake_listen_error; /* atomic: what listen() returns: 0, or negative errno */
static const char *fake_listen_why;      /* atomic: and what it says then; NULL: nothing */
static unsigned fake_listens;            /* atomic: how often that was */
static char fake_listen_meanwhile[LISTENER_WHY_MAX]; /* what the listener says while it tries to; by then */
static uint16_t fake_connecting_offset;  /* atomic: of what Connect has wrong, 0: nothing */
static bool fake_heard = true;           /* atomic: hosts have sent something lately */
static bool fake_capsules_full;          /* atomic: no capsule may wait for a buffer */

static inline void fake_facts(const struct config_listener *config, struct datapath_facts *facts)
{
	(void)config;
	facts->zcrx = facts->zcrx_device_memory = facts->send_zc =
		(struct datapath_fact){ false, "there is no wire" };
}

static inline int fake_worker_init(struct worker *worker)
{
	(void)worker;
	return 0;
}

static inline void fake_worker_nothing(struct worker *worker)
{
	(void)worker;
}

static inline uint64_t fake_worker_bytes(void)
{
	return 0;
}

static inline uint64_t fake_connection_bytes(unsigned depth)
{
	(void)depth;
	return 0;
}

static inline int fake_listen(struct listener *listener)
{
	const char *why = __atomic_load_n(&fake_listen_why, __ATOMIC_RELAXED);

	if (!listener_waits(listener, fake_listen_meanwhile))
		fake_listen_meanwhile[0] = '\0';
	if (why)
		listener_why(listener, "%s", why);
	__atomic_add_fetch(&fake_listens, 1, __ATOMIC_RELEASE);
	return __atomic_load_n(&fake_listen_error, __ATOMIC_RELAXED);
}

static inline void fake_unlisten(struct listener *listener)
{
	(void)listener;
}

static inline uint16_t fake_connecting(const struct queue *queue, uint16_t qid, unsigned depth)
{
	(void)queue;
	(void)qid;
	(void)depth;
	return __atomic_load_n(&fake_connecting_offset, __ATOMIC_RELAXED);
}

static inline bool fake_may_wait(const struct cmd *cmd)
{
	(void)cmd;
	return !__atomic_load_n(&fake_capsules_full, __ATOMIC_RELAXED);
}

static inline bool fake_heard_since(const struct queue *queue, uint64_t since_ns)
{
	(void)queue;
	(void)since_ns;
	return __atomic_load_n(&fake_heard, __ATOMIC_RELAXED);
}

static inline void fake_queue_nothing(struct queue *queue)
{
	(void)queue;
}

static inline void fake_fetch(struct cmd *cmd)
{
	struct fake_call *call = container_of(cmd, struct fake_cmd, cmd)->call;

	if (call->conn->hold_fetch)
		return;
	if (call->from_host)
		spanv_write(&cmd->data, 0, call->from_host, cmd->data_len);
	else
		spanv_zero(&cmd->data, 0, cmd->data_len);
	cmd_fetched(cmd, 0);
}

static inline void fake_respond(struct cmd *cmd)
{
	struct fake_call *call = container_of(cmd, struct fake_cmd, cmd)->call;

	call->cqe = cmd->cqe;
	call->status = (uint16_t)(le16_get(cmd->cqe.status) >> 1 & ~NVME_STATUS_MORE);
	call->moved = cmd->direction == CMD_DATA_TO_HOST;
	if (call->moved && call->to_host)
		spanv_read(&cmd->data, 0, call->to_host, cmd->data_len);
	cmd_release(cmd);
	sem_post(&call->done);
}

static inline void fake_close(struct queue *queue, enum queue_close why)
{
	container_of(queue, struct fake_conn, queue)->closed = why;
	if (queue->state != QUEUE_CLOSING)
		queue_gone(queue);
}

static inline void fake_idle(struct queue *queue)
{
	struct fake_conn *conn = container_of(queue, struct fake_conn, queue);

	queue_fini(queue);
	sem_post(&conn->idle);
}

static inline void fake_describe(const struct queue *queue, struct json_object *object)
{
	(void)queue;
	(void)object;
}

static const struct transport_ops fake_transport = {
	.name = "tcp",
	.trtype = NVMF_TRTYPE_TCP,
	.cmd_size = sizeof(struct fake_cmd),
	.sgls = NVME_SGLS_OFFSET | NVME_SGLS_TRANSPORT,
	.msdbd = 1,
	.facts = fake_facts,
	.worker_init = fake_worker_init,
	.worker_fini = fake_worker_nothing,
	.worker_bytes = fake_worker_bytes,
	.connection_bytes = fake_connection_bytes,
	.listen = fake_listen,
	.unlisten = fake_unlisten,
	.connecting = fake_connecting,
	.connected = fake_queue_nothing,
	.fetch = fake_fetch,
	.may_wait = fake_may_wait,
	.heard_since = fake_heard_since,
	.respond = fake_respond,
	.resume = fake_queue_nothing,
	.close = fake_close,
	.idle = fake_idle,
	.flush = fake_worker_nothing,
	.drain = fake_worker_nothing,
	.kill = fake_worker_nothing,
	.describe = fake_describe,
};

/* ---------------------------------------------------------------------------------------- threads */

static inline void fake_wait(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FAKE_WAIT_S;
	while (sem_timedwait(sem, &until)) {
		if (errno == ETIMEDOUT)
			fail_msg("nothing came in %d s", FAKE_WAIT_S);
	}
}

/* Runs @function on @worker's thread and waits until it returned. */
static inline void fake_on(struct worker *worker, void (*function)(void *arg), void *arg)
{
	struct loop_call call = {
		.msg.deliver = loop_call_deliver, .function = function, .arg = arg
	};

	sem_init(&call.returned, 0, 0);
	list_init(&call.msg.link);
	loop_post(&worker->loop, &call.msg);
	fake_wait(&call.returned);
	sem_destroy(&call.returned);
}

static inline void fake_nothing(void *arg)
{
	(void)arg;
}

/* Waits until @worker has done what was posted to it before. */
static inline void fake_settle(struct worker *worker)
{
	fake_on(worker, fake_nothing, NULL);
}

/* --------------------------------------------------------------------------------------- commands */

static inline void fake_begin_here(void *arg)
{
	struct fake_call *call = arg;
	struct cmd *cmd = queue_cmd_get(&call->conn->queue);

	assert_non_null(cmd);
	container_of(cmd, struct fake_cmd, cmd)->call = call;
	cmd->sqe = call->sqe;
	cmd->sgl_len = call->sgl_len;
	cmd->sgl_status = call->sgl_status;
	cmd->in_capsule = call->in_capsule;
	cmd_begin(cmd);
}

/* Begins @call on @conn; fake_finish() waits for its end. */
static inline void fake_begin(struct fake_conn *conn, struct fake_call *call)
{
	call->conn = conn;
	call->sqe.flags |= NVME_PSDT_SGL;
	sem_init(&call->done, 0, 0);
	fake_on(conn->worker, fake_begin_here, call);
}

static inline bool fake_is_done(struct fake_call *call)
{
	int value;

	sem_getvalue(&call->done, &value);
	return value > 0;
}

static inline uint16_t fake_finish(struct fake_call *call)
{
	fake_wait(&call->done);
	sem_destroy(&call->done);
	return call->status;
}

/* Runs @call to its end and returns its status. */
static inline uint16_t fake_run(struct fake_conn *conn, struct fake_call *call)
{
	fake_begin(conn, call);
	return fake_finish(call);
}

/* ------------------------------------------------------------------------------------ connections */

struct fake_host {
	const char *nqn;
	uint8_t id[16];
};

static const struct fake_host fake_host = { "nqn.2014-08.io.example:host", { 1, 2, 3, 4 } };

struct fake_open {
	struct fake_conn *conn;
	struct listener *listener;
	const char *local_address;
};

static inline void fake_open_here(void *arg)
{
	const struct fake_open *open = arg;
	struct fake_conn *conn = open->conn;

	queue_init(&conn->queue, &fake_transport, open->listener, conn->worker, &conn->slot0.cmd);
	snprintf(conn->queue.local_address, sizeof(conn->queue.local_address), "%s",
		 open->local_address);
}

/* A new connection to @listener on @worker. */
static inline void fake_open(struct fake_conn *conn, struct worker *worker,
			     struct listener *listener, const char *local_address)
{
	struct fake_open open = { conn, listener, local_address };

	*conn = (struct fake_conn){ .worker = worker };
	sem_init(&conn->idle, 0, 0);
	fake_on(worker, fake_open_here, &open);
}

/* A Connect command on its way. */
struct fake_connecting {
	struct fake_call call;
	struct nvmf_connect_data data;
};

static inline void fake_connect_begin(struct fake_connecting *c, struct fake_conn *conn,
				      const struct fake_host *host, const char *subnqn,
				      uint16_t qid, uint16_t cntlid, uint32_t kato_ms)
{
	struct nvmf_connect_cmd sqe = {
		.opcode = NVME_OPCODE_FABRICS,
		.fctype = NVME_FCTYPE_CONNECT,
		.qid = le16(qid),
		.sqsize = le16(31),
		.kato = le32(kato_ms),
	};

	*c = (struct fake_connecting){
		.call = { .sgl_len = sizeof(c->data), .from_host = &c->data },
		.data = { .cntlid = le16(cntlid) },
	};
	memcpy(c->data.hostid, host->id, sizeof(c->data.hostid));
	snprintf(c->data.subnqn, sizeof(c->data.subnqn), "%s", subnqn);
	snprintf(c->data.hostnqn, sizeof(c->data.hostnqn), "%s", host->nqn);
	memcpy(&c->call.sqe, &sqe, sizeof(sqe));
	fake_begin(conn, &c->call);
}

static inline uint16_t fake_connect_kato(struct fake_conn *conn, const struct fake_host *host,
					 const char *subnqn, uint16_t qid, uint16_t cntlid,
					 uint32_t kato_ms)
{
	struct fake_connecting c;

	fake_connect_begin(&c, conn, host, subnqn, qid, cntlid, kato_ms);
	return fake_finish(&c.call);
}

static inline uint16_t fake_connect(struct fake_conn *conn, const struct fake_host *host,
				    const char *subnqn, uint16_t qid, uint16_t cntlid)
{
	return fake_connect_kato(conn, host, subnqn, qid, cntlid, 0);
}

static inline uint16_t fake_property_set(struct fake_conn *conn, uint32_t offset, uint64_t value)
{
	struct nvmf_property_cmd sqe = {
		.opcode = NVME_OPCODE_FABRICS,
		.fctype = NVME_FCTYPE_PROPERTY_SET,
		.offset = le32(offset),
		.value = le64(value),
	};
	struct fake_call call = { 0 };

	memcpy(&call.sqe, &sqe, sizeof(sqe));
	return fake_run(conn, &call);
}

enum { FAKE_CC = NVME_CC_EN | 6 << NVME_CC_IOSQES_SHIFT | 4 << NVME_CC_IOCQES_SHIFT };

/* An enabled controller of @subnqn with its admin queue on @conn. */
static inline void fake_attach(struct fake_conn *conn, struct worker *worker,
			       const struct fake_host *host, const char *subnqn)
{
	fake_open(conn, worker, listeners[0], "127.0.0.1");
	assert_int_equal(fake_connect(conn, host, subnqn, 0, NVMF_CNTLID_DYNAMIC), 0);
	assert_int_equal(fake_property_set(conn, NVME_PROP_CC, FAKE_CC), 0);
}

/* An I/O queue of the controller of @admin. */
static inline void fake_attach_io(struct fake_conn *conn, struct worker *worker,
				  const struct fake_host *host, const struct fake_conn *admin,
				  uint16_t qid)
{
	fake_open(conn, worker, listeners[0], "127.0.0.1");
	assert_int_equal(fake_connect(conn, host, admin->queue.ctrl->subsys->nqn, qid,
				      admin->queue.ctrl->cntlid),
			 0);
}

static inline void fake_gone_here(void *arg)
{
	struct fake_conn *conn = arg;

	if (conn->queue.state != QUEUE_CLOSING)
		queue_gone(&conn->queue);
	list_for_each_safe(cmd, &conn->queue.live, struct cmd, link)
		if (cmd->state == CMD_FETCHING)
			cmd_cancel(cmd);
}

/* The connection breaks; waits until the core has let go of it. */
static inline void fake_gone(struct fake_conn *conn)
{
	fake_on(conn->worker, fake_gone_here, conn);
	fake_wait(&conn->idle);
	sem_destroy(&conn->idle);
}

/* ------------------------------------------------------------------------------------ the target */

static struct config fake_config;

static inline void fake_report(void *arg, const char *message)
{
	(void)arg;
	print_error("%s\n", message);
}

/* The transports of a target, and what they receive into. */
struct fake_transports {
	const struct transport_ops *const *registry;
	unsigned receive_areas;
	uint64_t receive_bytes; /* of each */
};

/* Brings up the target that @text describes, with @n threads and @with, listening. */
static inline void fake_target_start_with(const char *text, unsigned n,
					  const struct fake_transports *with)
{
	assert_int_equal(
		config_parse(&fake_config, "unit.conf", text, strlen(text), fake_report, NULL), 0);
	transport_register_all(with->registry);
	workers = calloc(n, sizeof(*workers));
	assert_non_null(workers);
	for (n_workers = 0; n_workers < n; n_workers++) {
		const struct worker_options options = {
			.index = n_workers,
			.cpu = -1,
			.memory_provider = "auto",
			.memory_bytes = FAKE_MEMORY + WORKER_HEADERS,
			.receive_areas = with->receive_areas,
			.receive_bytes = with->receive_bytes,
			.backends = fake_config.n_namespaces,
		};

		assert_int_equal(worker_init(&workers[n_workers], &options), 0);
	}
	assert_int_equal(subsys_open_all(&fake_config), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(subsys_attach_all(&workers[i]), 0);
	for (unsigned i = 0; with->registry[i]; i++)
		if (with->registry[i]->receive_open)
			with->registry[i]->receive_open(&fake_config);
	discovery_init(&fake_config);
	assert_int_equal(listener_init_all(&fake_config), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(worker_start(&workers[i]), 0);
	listener_start_all();
	for (unsigned i = 0; i < n; i++)
		fake_settle(&workers[i]);
}

/* The same with the fake transport alone. */
static inline void fake_target_start(const char *text, unsigned n)
{
	static const struct transport_ops *const registry[] = { &fake_transport, NULL };

	fake_target_start_with(text, n, &(struct fake_transports){ .registry = registry });
}

static inline void fake_detach_here(void *arg)
{
	subsys_detach_all(arg);
}

/* Takes it down again. All connections are gone. */
static inline void fake_target_stop(void)
{
	listener_stop_all();
	for (unsigned i = 0; i < n_workers; i++)
		fake_on(&workers[i], fake_detach_here, &workers[i]);
	for (unsigned i = 0; i < n_workers; i++)
		worker_stop(&workers[i]);
	listener_fini_all();
	for (unsigned i = 0; i < n_workers; i++)
		worker_fini(&workers[i]);
	subsys_close_all();
	free(workers);
	workers = NULL;
	n_workers = 0;
	config_free(&fake_config);
}

#endif
