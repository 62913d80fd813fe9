/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capsules of a wrong length or kind, and RDMA that nobody asked for. A capsule has 64 bytes at least;
 * what is shorter has no command to answer, so the connection ends.
 */
#include <stdio.h>
#include <string.h>

#include "rdma_rig.h"

enum { PATTERN = 0x2001 };

/* The receive buffer still has the last command: bytes that did not come must not be read. */
static int too_short(struct rig *rig)
{
	static const size_t lens[] = { 0, 1, 16, 63 };
	struct host *host = host_new(rig, 0);
	struct nvme_sqe sqe;

	if (host_attach_admin(host))
		return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		struct conn *conn = host_io_queue(host, (uint16_t)(i + 1), IO_DEPTH);
		char what[64];

		if (!conn || conn_expect_alive(conn, "Connect"))
			return -1;
		sqe = sqe_io(NVME_IO_READ, 0, 1, sgl_region(host->data, 0, host->block));
		sqe.cid = le16(0x7777);
		snprintf(what, sizeof(what), "a capsule of %zu bytes", lens[i]);
		conn_send_bytes(conn, &sqe, lens[i]);
		if (conn_expect_end(conn, what, RIG_ANSWER_MS))
			return -1;
		/* Some targets give up the whole association. */
		if (host->admin->state != CONN_UP || conn_settle(host->admin, true, 500)) {
			host = host_new(rig, i + 1);
			if (host_attach_admin(host))
				return -1;
		}
	}
	return 0;
}

/* As the first thing that comes, before there is a controller. */
static int too_short_before_connect(struct rig *rig)
{
	struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);
	struct conn *conn = conn_open(host_new(rig, 0), &wants);

	conn_send_bytes(conn, &(struct nvme_sqe){ 0 }, 63);
	return conn_expect_end(conn, "a first capsule of 63 bytes", RIG_ANSWER_MS);
}

/* More data in the capsule than the descriptor says: refused, or what is more is not looked at. */
static int longer_than_sgl(struct rig *rig)
{
	static const uint16_t codes[] = { NVME_SC_SUCCESS, NVME_SC_SGL_LENGTH_INVALID,
					  NVME_SC_INVALID_FIELD, CODES_END };
	struct host *host = host_new(rig, 0);
	uint8_t *mem;
	struct nvme_sqe sqe;

	if (host_attach(host))
		return -1;
	mem = host->data->mem;
	if (host->capsule_data < 2 * host->block)
		return fail(rig, "IOCCSZ leaves %u bytes for data: too few for this test",
			    host->capsule_data);
	if (host_write(host, 0, 2, 0)) /* zeroes */
		return -1;
	pattern_fill(mem, 2 * host->block, PATTERN);
	sqe = sqe_io(NVME_IO_WRITE, 0, 1, sgl_offset(0, host->block));
	if (conn_expect(host->io, "data for two blocks, a descriptor of one", &sqe, mem,
			2 * host->block, codes) ||
	    host_read(host, 0, 2, HOST_DATA_LEN / 2))
		return -1;
	mem += HOST_DATA_LEN / 2;
	for (unsigned i = 0; i < host->block; i++)
		if (mem[host->block + i])
			return fail(rig, "the block behind the one named was written");
	return conn_expect_alive(host->io, "a capsule with data to spare");
}

static int too_long(struct rig *rig)
{
	static const uint32_t more[] = { 1, 4096, 64 << 10 };
	struct host *host = host_new(rig, 0);
	struct region *junk;

	if (host_attach_admin(host))
		return -1;
	junk = region_make(host, host->capsule_data + (64 << 10), IBV_ACCESS_LOCAL_WRITE);
	for (unsigned i = 0; i < ARRAY_SIZE(more); i++) {
		struct conn *conn = host_io_queue(host, (uint16_t)(i + 1), IO_DEPTH);
		struct nvme_sqe sqe = sqe_io(NVME_IO_WRITE, 0, 1, sgl_offset(0, host->block));
		char what[64];

		if (!conn)
			return -1;
		snprintf(what, sizeof(what), "%u bytes more than the largest capsule", more[i]);
		if (conn_expect(conn, what, &sqe, junk->mem, host->capsule_data + more[i],
				CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
			return -1;
		if (host->admin->state != CONN_UP || conn_settle(host->admin, true, 500)) {
			host = host_new(rig, i + 1);
			if (host_attach_admin(host))
				return -1;
		}
	}
	return 0;
}

static int too_long_admin(struct rig *rig)
{
	static uint8_t junk[128 << 10];
	struct host *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);
	struct nvme_sqe sqe;
	struct conn *conn;

	wants.capsule_room = CAPSULE_LEN + sizeof(junk);
	conn = conn_open(host, &wants);
	if (conn_connect(conn, 0, ADMIN_DEPTH, NVMF_CNTLID_DYNAMIC))
		return -1;
	sqe = sqe_admin(NVME_ADMIN_KEEP_ALIVE, 0, 0, sgl_none());
	return conn_expect(conn, "an admin capsule of 128 KiB", &sqe, junk, sizeof(junk),
			   CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS));
}

/* ---------------------------------------------------------------------- other kinds of requests */

/* Host and I/O queue whose last receive was a read: what a stale buffer would run again. */
static struct conn *stale_queue(struct host *host)
{
	if (host_attach(host) || conn_expect_alive(host->io, "Connect"))
		return NULL;
	return host->io;
}

/* A write with immediate data takes a receive, but brings no capsule. */
static int write_with_immediate(struct rig *rig)
{
	struct conn *conn = stale_queue(host_new(rig, 0));
	struct ibv_send_wr wr = { .wr_id = WR_OTHER,
				  .opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
				  .send_flags = IBV_SEND_SIGNALED };

	if (!conn)
		return -1;
	conn_post(conn, &wr);
	return conn_expect_end(conn, "RDMA WRITE with immediate data", RIG_ANSWER_MS);
}

/* A capsule in a SEND of another kind: taken as one, refused, or the end; a key is invalidated by none. */
static int send_kind(struct rig *rig, enum ibv_wr_opcode opcode, const char *what)
{
	struct conn *conn = stale_queue(host_new(rig, 0));
	struct response response = { 0 };
	struct nvme_sqe sqe;
	struct ibv_sge sge;
	unsigned slot;
	struct ibv_send_wr wr = {
		.opcode = opcode, .sg_list = &sge, .num_sge = 1, .send_flags = IBV_SEND_SIGNALED
	};

	if (!conn)
		return -1;
	if (opcode == IBV_WR_SEND_WITH_INV)
		wr.invalidate_rkey = conn->host->data->mr->rkey;
	slot = conn_slot(conn);
	sqe = sqe_io(NVME_IO_READ, 0, 1, sgl_region(conn->host->data, 0, conn->host->block));
	sqe.cid = le16(0x4321);
	memcpy(conn_slot_bytes(conn, slot), &sqe, sizeof(sqe));
	sge = (struct ibv_sge){ (uintptr_t)conn_slot_bytes(conn, slot), sizeof(sqe),
				conn->slots->mr->lkey };
	wr.wr_id = slot;
	conn_post(conn, &wr);
	return outcome_check(conn, what, conn_await(conn, 0x4321, &response), &response,
			     CODES(NVME_SC_SUCCESS, CODE_ANY_ERROR, CODE_CONNECTION_ENDS));
}

static int send_with_immediate(struct rig *rig)
{
	return send_kind(rig, IBV_WR_SEND_WITH_IMM, "SEND with immediate data");
}

static int send_with_invalidate(struct rig *rig)
{
	return send_kind(rig, IBV_WR_SEND_WITH_INV,
			 "SEND with Invalidate of a key of the host's own");
}

/* An I/O queue that keeps to no agreement about RDMA READs; NULL after fail(). */
static struct conn *forceful_queue(struct host *host)
{
	struct conn_wants wants = conn_wants(1, IO_DEPTH);
	struct conn *conn;

	if (host_attach_admin(host))
		return NULL;
	wants.request.cntlid = le16(host->cntlid);
	wants.forced_reads = 1;
	conn = conn_open(host, &wants);
	if (conn_connect(conn, 1, IO_DEPTH, host->cntlid) || conn_expect_alive(conn, "Connect"))
		return NULL;
	return conn;
}

/*
 * The target's memory is nobody's to reach, whatever key is guessed. Here the device answers; the
 * target hears of it by an event of its queue pair, or by flushed receives, and ends the connection.
 * It has to be the queue pair that refuses: soft-RoCE then calls the request invalid. Where that lets
 * it pass, and just the key is wrong, it speaks of access.
 */
static int unsolicited_once(struct rig *rig, enum ibv_wr_opcode opcode, const char *what,
			    bool *refused)
{
	struct conn *conn = forceful_queue(host_new(rig, 0));
	struct host *host;
	struct ibv_sge sge;
	struct ibv_send_wr wr = { .wr_id = WR_OTHER,
				  .opcode = opcode,
				  .sg_list = &sge,
				  .num_sge = 1,
				  .send_flags = IBV_SEND_SIGNALED };

	if (!conn)
		return -1;
	host = conn->host;
	sge = (struct ibv_sge){ (uintptr_t)host->data->mem, 8, host->data->mr->lkey };
	/* Keys are handed out one after the other: that of a neighbour. */
	if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = (uintptr_t)host->data->mem;
		wr.wr.atomic.rkey = host->data->mr->rkey - 0x100;
	} else {
		wr.wr.rdma.remote_addr = (uintptr_t)host->data->mem;
		wr.wr.rdma.rkey = host->data->mr->rkey - 0x100;
	}
	conn_post(conn, &wr);
	if (conn_expect_end(conn, what, RIG_ANSWER_MS))
		return -1;
	if (conn->others_done)
		return fail(rig, "%s: done", what);
	*refused = conn->qp_failed && conn->wc_status == IBV_WC_REM_INV_REQ_ERR;
	if (conn->qp_failed && !*refused && conn->wc_status != IBV_WC_WR_FLUSH_ERR)
		return fail(rig, "%s: not refused by the queue pair, but: %s", what,
			    ibv_wc_status_str(conn->wc_status));
	return 0;
}

/* The end of the connection may overtake the refusal, and then is all that is seen. */
static int unsolicited(struct rig *rig, enum ibv_wr_opcode opcode, const char *what)
{
	bool refused = false;

	for (unsigned i = 0; i < 5 && !refused; i++)
		if (unsolicited_once(rig, opcode, what, &refused))
			return -1;
	return refused ? 0 : fail(rig, "%s: never refused by the queue pair", what);
}

static int unsolicited_read(struct rig *rig)
{
	return unsolicited(rig, IBV_WR_RDMA_READ, "RDMA READ of the target");
}

static int unsolicited_write(struct rig *rig)
{
	return unsolicited(rig, IBV_WR_RDMA_WRITE, "RDMA WRITE to the target");
}

static int unsolicited_atomic(struct rig *rig)
{
	return unsolicited(rig, IBV_WR_ATOMIC_FETCH_AND_ADD, "fetch and add on the target");
}

const struct rdma_test rdma_tests_capsule[] = {
	{ "capsule-short", too_short },
	{ "capsule-short-first", too_short_before_connect },
	{ "capsule-longer-than-sgl", longer_than_sgl },
	{ "capsule-long", too_long },
	{ "capsule-long-admin", too_long_admin },
	{ "capsule-write-immediate", write_with_immediate },
	{ "capsule-send-immediate", send_with_immediate },
	{ "capsule-send-invalidate", send_with_invalidate },
	{ "rdma-unsolicited-read", unsolicited_read },
	{ "rdma-unsolicited-write", unsolicited_write },
	{ "rdma-unsolicited-atomic", unsolicited_atomic },
	{ 0 },
};
