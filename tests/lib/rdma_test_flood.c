/* SPDX-License-Identifier: BSD-3-Clause */
/* Too much, too early, twice: what one host does must cost the others nothing but some time. */
#include <stdio.h>
#include <string.h>

#include "rdma_rig.h"

enum {
	OVERRUN = 4 * IO_DEPTH,
	OVERRUN_LEN = 64 << 10,
	IDLE_CONNS = 200,
	IDLE_CLOSE_MS = 15000 + 5000, /* limits.h: CONNECT_TIMEOUT_MS; and to notice */
	STORM = 100,
	LATENCY_MS = 2000, /* a read of another host, while something goes on */
	WITNESS_LOOKS = 20,
	WITNESS_PAUSE_MS = 100,
	CNTLID_OWN = 5,		 /* what discovery does not let hosts choose */
	CNTLID_UNKNOWN = 0xffef, /* the last that there may be */
};

/* Reads of a host that behaves, for as long as the attack takes: none is slow. */
static int witness_looks(struct host *witness, const char *what)
{
	for (unsigned i = 0; i < WITNESS_LOOKS; i++) {
		uint64_t start = now_ms(), spent;

		if (host_read(witness, 0, 1, 0))
			return -1;
		spent = now_ms() - start;
		if (spent > (uint64_t)LATENCY_MS * witness->rig->slowness)
			return fail(witness->rig, "%s: another host's read took %llu ms", what,
				    (unsigned long long)spent);
		conn_pump(witness->io, WITNESS_PAUSE_MS);
	}
	return 0;
}

/* Takes answers to those of the @n commands from @first on, each at most once; how many, or -1 by fail(). */
static int answers_once(struct conn *conn, uint16_t first, unsigned n)
{
	bool answered[IO_DEPTH + OVERRUN] = { 0 };
	struct rig *rig = conn->host->rig;
	struct response response = { 0 };
	enum outcome outcome;
	unsigned got = 0, index;

	for (; got < n; got++) {
		outcome = conn_await(conn, CID_ANY, &response);
		if (outcome_check(conn, "a command too many", outcome, &response,
				  CODES(NVME_SC_SUCCESS, CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
			return -1;
		if (outcome == ENDED)
			return (int)got;
		index = (uint16_t)(le16_get(response.cqe.cid) - first);
		if (index >= n || answered[index])
			return fail(rig, "CID %04xh is answered %s", le16_get(response.cqe.cid),
				    index >= n ? "that was not used" : "twice");
		answered[index] = true;
	}
	if (conn_await_ms(conn, CID_ANY, NULL, 200) == ANSWERED)
		return fail(rig, "more answers than commands");
	return (int)got;
}

/*
 * Many more commands than the queue has entries, at once. The target ends the connection when they are
 * more than it keeps for the queue; one without receives for them leaves them waiting in the host's
 * device. No command is answered twice.
 */
static int overrun(struct rig *rig)
{
	struct host *witness = host_new(rig, 1), *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(1, IO_DEPTH);
	struct conn *conn;
	uint16_t first;
	int answers;

	if (host_attach(witness) || host_attach_admin(host))
		return -1;
	wants.sends = wants.recvs = IO_DEPTH + OVERRUN;
	conn = conn_open(host, &wants);
	if (conn_connect(conn, 1, IO_DEPTH, host->cntlid))
		return -1;
	first = conn->next_cid;
	for (unsigned i = 0; i < IO_DEPTH + OVERRUN; i++) {
		struct nvme_sqe sqe =
			sqe_io(i & 1 ? NVME_IO_READ : NVME_IO_WRITE, 8, OVERRUN_LEN / host->block,
			       sgl_region(host->data, 0, OVERRUN_LEN));

		conn_send(conn, &sqe, NULL, 0);
	}
	if (witness_looks(witness, "overrun"))
		return -1;
	answers = answers_once(conn, first, IO_DEPTH + OVERRUN);
	if (answers == IO_DEPTH + OVERRUN)
		note("flood-overrun: the target kept up with all %d commands of a queue of %d",
		     answers, IO_DEPTH);
	return answers < 0 ? -1 : 0;
}

/*
 * No receives for the responses. The device tries again, for ever if it was told so: then what waits
 * on that queue pair is held as long as the peer likes. The target ends the connection.
 */
static int no_receives(struct rig *rig)
{
	struct host *witness = host_new(rig, 1), *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(1, IO_DEPTH);
	struct conn *conn;

	if (host_attach(witness) || host_attach_admin(host))
		return -1;
	wants.recvs = 1;
	conn = conn_open(host, &wants);
	conn->no_repost = true;
	if (conn_connect(conn, 1, IO_DEPTH, host->cntlid))
		return -1;
	for (unsigned i = 0; i < IO_DEPTH - 1; i++) {
		struct nvme_sqe sqe =
			sqe_io(NVME_IO_READ, 0, 8, sgl_region(host->data, 0, 8 * host->block));

		conn_send(conn, &sqe, NULL, 0);
	}
	if (witness_looks(witness, "no receives"))
		return -1;
	return conn_expect_end(conn, "a host without receives", RIG_RETRIES_MS);
}

/* Connections without a Connect: closed within the time for that, and new hosts get in meanwhile. */
static int idle(struct rig *rig)
{
	static struct conn *conns[IDLE_CONNS];
	struct host *host = host_new(rig, 0), *witness = host_new(rig, 1);
	uint64_t limit;
	unsigned up = 0;

	for (unsigned i = 0; i < IDLE_CONNS; i++) {
		struct conn_wants wants = conn_wants(i & 1, ADMIN_DEPTH);

		wants.sends = wants.recvs = 1;
		conns[i] = conn_open(host, &wants);
		up += conns[i]->state == CONN_UP;
		/* The target may have no more to give, and says so. */
		if (conns[i]->state == CONN_REJECTED && conns[i]->reject_status != CM_NO_RESOURCES)
			return fail(rig, "connection %u: rejected with status %u", i,
				    conns[i]->reject_status);
		if (conns[i]->state == CONN_FAILED)
			return fail(rig, "connection %u: %s", i, conns[i]->failure);
	}
	limit = now_ms() + (uint64_t)IDLE_CLOSE_MS * rig->slowness;
	if (!up)
		return fail(rig, "no connection came to be");
	if (up < IDLE_CONNS)
		note("flood-idle: the target takes %u of %u connections: new hosts wait for their end",
		     up, IDLE_CONNS);
	else if (host_attach(witness) || witness_looks(witness, "idle"))
		return -1;
	for (unsigned i = 0; i < IDLE_CONNS; i++)
		if (!conn_settle_until(conns[i], true, limit))
			return fail(rig, "connection %u of %u stays without a Connect", i, up);
	return 0;
}

/* Connections that come and go: neither memory nor identifiers run out (CVE-2026-64321). */
static int storm_connect(struct rig *rig)
{
	struct host *host = host_new(rig, 0);

	for (unsigned i = 0; i < STORM; i++) {
		struct conn_wants wants = conn_wants(i & 1, ADMIN_DEPTH);
		struct conn *conn;

		wants.sends = wants.recvs = 1;
		conn = conn_open(host, &wants);
		if (conn->state != CONN_UP &&
		    !(conn->state == CONN_REJECTED && conn->reject_status == CM_NO_RESOURCES))
			return fail(rig, "connection %u: %s", i,
				    conn->failure ? conn->failure : "refused");
		conn_close(conn);
		if (conn->state == CONN_UP || conn->state == CONN_FAILED)
			return fail(rig, "connection %u: the target does not let go", i);
		conn_free(conn);
	}
	return 0;
}

static int storm_reject(struct rig *rig)
{
	struct host *host = host_new(rig, 0);

	for (unsigned i = 0; i < STORM; i++) {
		struct conn_wants wants = conn_wants(i & 1, ADMIN_DEPTH);
		struct conn *conn;

		wants.request.recfmt = le16(1);
		wants.sends = wants.recvs = 1;
		conn = conn_open(host, &wants);
		if (conn->state != CONN_REJECTED)
			return fail(rig, "request %u: %s", i,
				    conn->failure ? conn->failure : "accepted");
		conn_free(conn);
	}
	return 0;
}

/* ---------------------------------------------------------------------------------- out of order */

static int before_connect(struct rig *rig)
{
	struct host *host = host_new(rig, 0);

	for (uint16_t qid = 0; qid < 2; qid++) {
		struct conn_wants wants = conn_wants(qid, ADMIN_DEPTH);
		struct conn *conn = conn_open(host, &wants);
		struct nvme_sqe read = sqe_io(NVME_IO_READ, 0, 8, sgl_region(host->data, 0, 4096));
		struct nvme_sqe identify = sqe_identify(
			NVME_CNS_CTRL, 0, sgl_region(host->data, 0, NVME_IDENTIFY_SIZE));

		pattern_fill(host->data->mem, 4096, 1);
		if (conn_expect(conn, "a command before Connect", qid ? &read : &identify, NULL, 0,
				CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
			return -1;
		if (!pattern_is(host->data->mem, 4096, 1))
			return fail(rig, "a command before Connect was answered with data");
	}
	return 0;
}

static int connect_twice(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct nvme_sqe sqe;

	if (host_attach(host))
		return -1;
	sqe = sqe_connect(host, 0, ADMIN_DEPTH, NVMF_CNTLID_DYNAMIC);
	if (conn_expect(host->admin, "a second Connect of the admin queue", &sqe, NULL, 0,
			CODES(CODE_ANY_ERROR)))
		return -1;
	sqe = sqe_connect(host, 1, IO_DEPTH, host->cntlid);
	if (conn_expect(host->io, "a second Connect of the I/O queue", &sqe, NULL, 0,
			CODES(CODE_ANY_ERROR)))
		return -1;
	return conn_expect_alive(host->io, "a second Connect");
}

/* Two at once: the second is there before the first is answered. */
static int connect_doubled(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);
	struct conn *conn = conn_open(host, &wants);
	unsigned done = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct nvme_sqe sqe = sqe_connect(host, 0, ADMIN_DEPTH, NVMF_CNTLID_DYNAMIC);

		conn_send(conn, &sqe, NULL, 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct response response = { 0 };
		enum outcome outcome = conn_await(conn, CID_ANY, &response);

		if (outcome_check(conn, "two Connects at once", outcome, &response,
				  CODES(NVME_SC_SUCCESS, CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
			return -1;
		done += outcome == ANSWERED && !status_of(&response);
	}
	return done < 2 ? 0 : fail(rig, "two Connects of one queue succeeded");
}

/*
 * Two at once, of which the first is refused when the queue is made ready already: for a controller that
 * cannot be had. The second finds the queue as that has left it.
 */
static int connect_refused(struct rig *rig, uint16_t qid, uint16_t cntlid, const char *subnqn,
			   const char *what)
{
	struct host *host = host_new(rig, qid);
	struct conn_wants wants = conn_wants(qid, ADMIN_DEPTH);
	struct nvmf_connect_data *data;
	struct nvme_sqe sqe[2];
	struct response response = { 0 };
	enum outcome outcome;
	struct conn *conn;
	uint16_t first;

	wants.request.cntlid = le16(qid ? cntlid : 0);
	conn = conn_open(host, &wants);
	for (unsigned i = 0; i < 2; i++)
		sqe[i] = sqe_connect(host, qid, ADMIN_DEPTH, cntlid);
	data = (struct nvmf_connect_data *)host->control->mem;
	memset(data->subnqn, 0, sizeof(data->subnqn));
	strncpy(data->subnqn, subnqn, sizeof(data->subnqn) - 1);
	first = conn_send(conn, &sqe[0], NULL, 0);
	conn_send(conn, &sqe[1], NULL, 0);
	outcome = conn_await(conn, first, &response);
	if (outcome_check(conn, what, outcome, &response, CODES(CODE_ANY_ERROR)))
		return -1;
	return conn_expect_end(conn, what, RIG_ANSWER_MS);
}

static int connect_twice_refused(struct rig *rig)
{
	if (connect_refused(rig, 0, CNTLID_OWN, NVME_DISCOVERY_NQN,
			    "two Connects of an admin queue for a controller by its number"))
		return -1;
	return connect_refused(rig, 1, CNTLID_UNKNOWN, rig->subnqn,
			       "two Connects of an I/O queue for a controller that is not there");
}

/* A queue on the controller of another host would have that one's rights. */
static int other_ctrl(struct rig *rig)
{
	struct host *victim = host_new(rig, 0), *thief = host_new(rig, 1);
	struct conn_wants wants = conn_wants(2, IO_DEPTH);
	struct nvme_sqe sqe;
	struct conn *conn;

	if (host_attach(victim) || host_attach(thief))
		return -1;
	wants.request.cntlid = le16(victim->cntlid);
	conn = conn_open(thief, &wants);
	sqe = sqe_connect(thief, 2, IO_DEPTH, victim->cntlid);
	if (conn_expect(conn, "an I/O queue on another host's controller", &sqe, NULL, 0,
			CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
		return -1;
	return conn_expect_alive(victim->io, "another host asked for its controller");
}

/* The same, with the name right and the identifier wrong. */
static int other_hostid(struct rig *rig)
{
	struct host *victim = host_new(rig, 0), *thief = host_new(rig, 1);
	struct conn_wants wants = conn_wants(2, IO_DEPTH);
	struct nvme_sqe sqe;
	struct conn *conn;

	if (host_attach(victim))
		return -1;
	memcpy(thief->nqn, victim->nqn, sizeof(thief->nqn));
	conn = conn_open(thief, &wants);
	sqe = sqe_connect(thief, 2, IO_DEPTH, victim->cntlid);
	return conn_expect(conn, "an I/O queue with the host identifier of another", &sqe, NULL, 0,
			   CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS));
}

/* Peers freed such a queue twice. The first one goes on. */
static int same_qid(struct rig *rig)
{
	struct host *host = host_new(rig, 0);

	if (host_attach(host))
		return -1;
	for (unsigned i = 0; i < 5; i++) {
		struct conn_wants wants = conn_wants(1, IO_DEPTH);
		struct nvme_sqe sqe;
		struct conn *conn;

		wants.request.cntlid = le16(host->cntlid);
		conn = conn_open(host, &wants);
		sqe = sqe_connect(host, 1, IO_DEPTH, host->cntlid);
		if (conn_expect(conn, "a second I/O queue 1", &sqe, NULL, 0,
				CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS)) ||
		    conn_expect_alive(host->io, "a second I/O queue 1"))
			return -1;
	}
	return 0;
}

const struct rdma_test rdma_tests_flood[] = {
	{ "flood-overrun", overrun },
	{ "flood-no-receives", no_receives },
	{ "flood-idle", idle },
	{ "flood-connect", storm_connect },
	{ "flood-reject", storm_reject },
	{ "order-before-connect", before_connect },
	{ "order-connect-twice", connect_twice },
	{ "order-connect-doubled", connect_doubled },
	{ "order-connect-twice-refused", connect_twice_refused },
	{ "order-other-ctrl", other_ctrl },
	{ "order-other-hostid", other_hostid },
	{ "order-same-qid", same_qid },
	{ 0 },
};
