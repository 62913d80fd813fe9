/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that leaves, at every step, with a word and without (CVE-2026-46304 and its kin: disconnect
 * while Connect is in progress; CVE-2026-64321: a connection that goes while it is being made). Each
 * step again and again, as what goes wrong there depends on the moment.
 */
#include <string.h>

#include "rdma_rig.h"

enum { ROUNDS = 20, BIG = 256 << 10, BIG_COMMANDS = 8, MANY = 15 };

/* What has been done when the host leaves. */
enum step {
	STEP_REQUEST,	  /* the connection request is on its way */
	STEP_UP,	  /* connected, no command yet */
	STEP_CONNECT,	  /* Connect is on its way */
	STEP_CONNECTED,	  /* and answered */
	STEP_IO_CONNECT,  /* that of an I/O queue is on its way */
	STEP_WRITES,	  /* large writes: the target is at its RDMA READs */
	STEP_READS,	  /* large reads: at its RDMA WRITEs */
	STEP_SMALL_READS, /* small ones: responses are on their way */
	STEP_CAPSULES,	  /* writes with their data in the capsule: at its disk */
};

/* Sends @n commands without waiting for what comes of them. */
static void commands_send(struct host *host, enum step step, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct nvme_sqe sqe;

		if (step == STEP_CAPSULES) {
			sqe = sqe_io(NVME_IO_WRITE, 64 + i, 1, sgl_offset(0, host->block));
			conn_send(host->io, &sqe, host->data->mem, host->block);
			continue;
		}
		if (step == STEP_SMALL_READS)
			sqe = sqe_io(NVME_IO_READ, 64, 1, sgl_region(host->data, 0, host->block));
		else
			sqe = sqe_io(step == STEP_WRITES ? NVME_IO_WRITE : NVME_IO_READ, 64,
				     BIG / host->block, sgl_region(host->data, 0, BIG));
		conn_send(host->io, &sqe, NULL, 0);
	}
}

/* The connection that is to be left, at @step; NULL after fail(). */
static struct conn *conn_at(struct host *host, enum step step)
{
	struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);
	struct nvme_sqe sqe;
	struct conn *conn;

	if (step <= STEP_CONNECT) {
		wants.no_wait = step == STEP_REQUEST;
		conn = conn_open(host, &wants);
		if (step == STEP_CONNECT) {
			sqe = sqe_connect(host, 0, ADMIN_DEPTH, NVMF_CNTLID_DYNAMIC);
			conn_send(conn, &sqe, NULL, 0);
		}
		return conn;
	}
	if (host_attach_admin(host))
		return NULL;
	if (step == STEP_CONNECTED)
		return host->admin;
	if (step == STEP_IO_CONNECT) {
		wants = conn_wants(1, IO_DEPTH);
		conn = conn_open(host, &wants);
		sqe = sqe_connect(host, 1, IO_DEPTH, host->cntlid);
		conn_send(conn, &sqe, NULL, 0);
		return conn;
	}
	host->io = host_io_queue(host, 1, IO_DEPTH);
	if (!host->io)
		return NULL;
	commands_send(host, step, step == STEP_WRITES || step == STEP_READS ? BIG_COMMANDS : MANY);
	return host->io;
}

/* Rounds leave a little later each. A conn_pump() returns early when something comes. */
static void linger(struct conn *conn, unsigned round)
{
	if (round)
		conn_pump(conn, (int)(round / 4));
}

/* With a word: the target answers it, and the association is no more. */
static int leave(struct rig *rig, enum step step)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct host *host = host_new(rig, round % 4);
		struct conn *conn = conn_at(host, step);

		if (!conn)
			return -1;
		linger(conn, round);
		if (step != STEP_REQUEST) {
			conn_close(conn);
			if (conn->state == CONN_UP || conn->state == CONN_FAILED)
				return fail(rig, "round %u: the target does not let go%s%s", round,
					    conn->failure ? ": " : "",
					    conn->failure ? conn->failure : "");
		}
		rig_reset(rig);
	}
	return 0;
}

/*
 * Without a word: the queue pair is gone, the target's device finds nobody who answers. When there was
 * something to send, the target notices, and ends the connection.
 */
static int vanish(struct rig *rig, enum step step, bool notices)
{
	static struct conn *gone[ROUNDS];
	uint64_t limit;

	for (unsigned round = 0; round < ROUNDS; round++) {
		gone[round] = conn_at(host_new(rig, round), step);
		if (!gone[round])
			return -1;
		linger(gone[round], round);
		conn_abort(gone[round]);
	}
	limit = now_ms() + (uint64_t)RIG_RETRIES_MS * rig->slowness;
	for (unsigned round = 0; notices && round < ROUNDS; round++) {
		/* All that the target has may have been answered before; some never left the host. */
		if (gone[round]->total_responses >= gone[round]->total_taken)
			continue;
		if (!conn_settle_until(gone[round], true, limit))
			return fail(rig,
				    "round %u: the target keeps a connection whose peer is gone",
				    round);
	}
	return 0;
}

static int at_request(struct rig *rig)
{
	return leave(rig, STEP_REQUEST);
}

static int up(struct rig *rig)
{
	return leave(rig, STEP_UP);
}

static int at_connect(struct rig *rig)
{
	return leave(rig, STEP_CONNECT);
}

static int connected(struct rig *rig)
{
	return leave(rig, STEP_CONNECTED);
}

static int at_io_connect(struct rig *rig)
{
	return leave(rig, STEP_IO_CONNECT);
}

static int at_writes(struct rig *rig)
{
	return leave(rig, STEP_WRITES);
}

static int at_reads(struct rig *rig)
{
	return leave(rig, STEP_READS);
}

static int at_responses(struct rig *rig)
{
	return leave(rig, STEP_SMALL_READS);
}

static int at_capsules(struct rig *rig)
{
	return leave(rig, STEP_CAPSULES);
}

static int gone_up(struct rig *rig)
{
	return vanish(rig, STEP_UP, false);
}

static int gone_at_connect(struct rig *rig)
{
	return vanish(rig, STEP_CONNECT, false);
}

static int gone_at_writes(struct rig *rig)
{
	return vanish(rig, STEP_WRITES, true);
}

static int gone_at_reads(struct rig *rig)
{
	return vanish(rig, STEP_READS, true);
}

static int gone_at_responses(struct rig *rig)
{
	return vanish(rig, STEP_SMALL_READS, true);
}

/* The admin queue alone goes, with I/O outstanding: the I/O queue follows. */
static int admin_goes(struct rig *rig)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct host *host = host_new(rig, round % 4);

		if (host_attach(host))
			return -1;
		commands_send(host, round & 1 ? STEP_WRITES : STEP_READS, BIG_COMMANDS);
		linger(host->io, round);
		conn_close(host->admin);
		if (!conn_settle(host->io, true, RIG_ANSWER_MS))
			return fail(rig, "round %u: the I/O queue outlives its controller", round);
		rig_reset(rig);
	}
	return 0;
}

const struct rdma_test rdma_tests_leave[] = {
	{ "leave-request", at_request },
	{ "leave-up", up },
	{ "leave-connect", at_connect },
	{ "leave-connected", connected },
	{ "leave-io-connect", at_io_connect },
	{ "leave-writes", at_writes },
	{ "leave-reads", at_reads },
	{ "leave-responses", at_responses },
	{ "leave-capsules", at_capsules },
	{ "leave-admin", admin_goes },
	{ "vanish-up", gone_up },
	{ "vanish-connect", gone_at_connect },
	{ "vanish-writes", gone_at_writes },
	{ "vanish-reads", gone_at_reads },
	{ "vanish-responses", gone_at_responses },
	{ 0 },
};
