/* SPDX-License-Identifier: BSD-3-Clause */
/* What is well-formed, but no ordinary host does: served like the rest. */
#include <stdio.h>
#include <string.h>

#include "rdma_rig.h"

enum { PATTERN = 0x7001, BIG = 64 << 10, MIB = 1 << 20 };

/* All entries of the queue in one chain of work requests, answers to be collected at the end. */
static int chain(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct ibv_send_wr wrs[IO_DEPTH - 1];
	struct ibv_sge sges[IO_DEPTH - 1];
	struct conn *conn;

	if (host_attach(host))
		return -1;
	conn = host->io;
	for (unsigned i = 0; i < ARRAY_SIZE(wrs); i++) {
		struct nvme_sqe sqe = sqe_io(NVME_IO_READ, i, 1,
					     sgl_region(host->data, i * host->block, host->block));
		unsigned slot = conn_slot(conn);

		conn->send_busy[slot] = true;
		sqe.cid = le16((uint16_t)(0x100 + i));
		memcpy(conn_slot_bytes(conn, slot), &sqe, sizeof(sqe));
		sges[i] = (struct ibv_sge){ (uintptr_t)conn_slot_bytes(conn, slot), sizeof(sqe),
					    conn->slots->mr->lkey };
		wrs[i] = (struct ibv_send_wr){ .wr_id = slot,
					       .next = i + 1 < ARRAY_SIZE(wrs) ? &wrs[i + 1] : NULL,
					       .sg_list = &sges[i],
					       .num_sge = 1,
					       .opcode = IBV_WR_SEND,
					       .send_flags = IBV_SEND_SIGNALED };
	}
	conn_post(conn, wrs);
	for (unsigned i = 0; i < ARRAY_SIZE(wrs); i++) {
		struct response response = { 0 };
		enum outcome outcome = conn_await(conn, 0x100 + i, &response);

		if (outcome_check(conn, "a chain of reads", outcome, &response,
				  CODES(NVME_SC_SUCCESS)))
			return -1;
	}
	return 0;
}

/* A read cannot be of no blocks; one without memory is refused, and moves nothing. */
static int read_zero(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct nvme_sqe sqe;

	if (host_attach(host))
		return -1;
	sqe = sqe_io(NVME_IO_READ, 0, 1, sgl_region(host->data, 0, 0));
	if (conn_expect(host->io, "a read to zero bytes", &sqe, NULL, 0, CODES(CODE_ANY_ERROR)))
		return -1;
	sqe.sgl = sgl_none();
	if (conn_expect(host->io, "a read to nowhere", &sqe, NULL, 0, CODES(CODE_ANY_ERROR)))
		return -1;
	return conn_expect_alive(host->io, "reads of nothing");
}

/* A buffer longer than what Identify answers brought a peer down (nvme admin-passthru -O 6 -l 0x2000). */
static int identify_longer(struct rig *rig)
{
	static const uint32_t lens[] = { 4097, 8192, 65536, HOST_DATA_LEN };
	static const uint8_t cns[] = { NVME_CNS_NS, NVME_CNS_CTRL, NVME_CNS_ACTIVE_NS,
				       NVME_CNS_NS_DESCS };
	struct host *host = host_new(rig, 0);

	if (host_attach_admin(host))
		return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(lens) * ARRAY_SIZE(cns); i++) {
		uint32_t len = lens[i / ARRAY_SIZE(cns)];
		uint8_t what_cns = cns[i % ARRAY_SIZE(cns)];
		struct nvme_sqe sqe = sqe_identify(what_cns, what_cns != NVME_CNS_CTRL,
						   sgl_region(host->data, 0, len));
		char what[64];

		snprintf(what, sizeof(what), "Identify CNS %02xh with %u bytes", what_cns, len);
		if (conn_expect(host->admin, what, &sqe, NULL, 0,
				CODES(NVME_SC_SUCCESS, NVME_SC_SGL_LENGTH_INVALID,
				      NVME_SC_INVALID_FIELD)))
			return -1;
	}
	return 0;
}

/* The largest transfer, at an odd address: data is whole, and nothing beside it is touched. */
static int largest(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct nvme_sqe sqe;
	uint32_t len;
	uint8_t *mem;

	if (host_attach(host))
		return -1;
	len = MIN(host->max_transfer, (uint32_t)MIB);
	mem = host->data->mem;
	pattern_fill(mem, HOST_DATA_LEN, PATTERN);
	sqe = sqe_io(NVME_IO_WRITE, 128, len / host->block, sgl_region(host->data, 4097, len));
	if (conn_expect(host->io, "the largest write", &sqe, NULL, 0, CODES(NVME_SC_SUCCESS)))
		return -1;
	memset(mem, 0xa5, HOST_DATA_LEN);
	sqe = sqe_io(NVME_IO_READ, 128, len / host->block, sgl_region(host->data, 3, len));
	if (conn_expect(host->io, "the largest read", &sqe, NULL, 0, CODES(NVME_SC_SUCCESS)))
		return -1;
	if (mem[2] != 0xa5 || mem[3 + len] != 0xa5)
		return fail(rig, "the largest read wrote beside its buffer");
	/* The pattern again, where it was when it was written. */
	memmove(mem + 4097, mem + 3, len);
	pattern_fill(mem, 4097, PATTERN);
	if (!pattern_is(mem, 4097 + len, PATTERN))
		return fail(rig, "the largest write and read lost bytes");
	return 0;
}

/* One block more than MDTS says. */
static int larger_than_mdts(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct nvme_sqe sqe;
	uint32_t len;

	if (host_attach(host))
		return -1;
	len = host->max_transfer + host->block;
	if (len > HOST_DATA_LEN)
		return 0; /* no limit that this host could pass */
	for (unsigned i = 0; i < 2; i++) {
		sqe = sqe_io(i ? NVME_IO_READ : NVME_IO_WRITE, 128, len / host->block,
			     sgl_region(host->data, 0, len));
		if (conn_expect(host->io, "a block more than MDTS allows", &sqe, NULL, 0,
				CODES(CODE_ANY_ERROR)))
			return -1;
	}
	return conn_expect_alive(host->io, "too large a transfer");
}

/* ------------------------------------------------------------------------------ depth of RDMA READs */

/*
 * An association whose I/O queue lets the target have @reads RDMA READs on their way, @writes of
 * its own; NULL after fail().
 */
static struct host *host_with_depths(struct rig *rig, uint8_t reads, uint8_t writes)
{
	struct host *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(1, IO_DEPTH);

	if (host_attach_admin(host))
		return NULL;
	wants.request.cntlid = le16(host->cntlid);
	wants.responder_resources = reads;
	wants.initiator_depth = writes;
	host->io = conn_open(host, &wants);
	return conn_connect(host->io, 1, IO_DEPTH, host->cntlid) ? NULL : host;
}

/* A queue full of writes, or of reads; what was written is what is read. */
static int outstanding(struct host *host, uint8_t opcode)
{
	uint8_t *mem = host->data->mem;

	for (unsigned i = 0; i < IO_DEPTH - 1; i++) {
		struct nvme_sqe sqe = sqe_io(opcode, i * (BIG / host->block), BIG / host->block,
					     sgl_region(host->data, i * BIG, BIG));

		conn_send(host->io, &sqe, NULL, 0);
	}
	for (unsigned i = 0; i < IO_DEPTH - 1; i++) {
		struct response response = { 0 };
		enum outcome outcome = conn_await_ms(host->io, CID_ANY, &response, RIG_RETRIES_MS);

		if (outcome_check(host->io, "a queue full of commands", outcome, &response,
				  CODES(NVME_SC_SUCCESS)))
			return -1;
	}
	if (opcode == NVME_IO_WRITE)
		memset(mem, 0, HOST_DATA_LEN);
	else if (!pattern_is(mem, (size_t)(IO_DEPTH - 1) * BIG, PATTERN))
		return fail(host->rig, "a queue full of commands read other than it wrote");
	return 0;
}

static int depths(struct rig *rig, uint8_t reads, uint8_t writes)
{
	struct host *host = host_with_depths(rig, reads, writes);

	if (!host)
		return -1;
	if (!host->io->reads)
		return fail(rig,
			    "of %u RDMA READs at a time that were offered the target takes none, "
			    "and then needs them",
			    reads);
	pattern_fill(host->data->mem, HOST_DATA_LEN, PATTERN);
	for (unsigned round = 0; round < 3; round++)
		if (outstanding(host, NVME_IO_WRITE) || outstanding(host, NVME_IO_READ))
			return -1;
		else
			pattern_fill(host->data->mem, HOST_DATA_LEN, PATTERN);
	return 0;
}

static int depth_16(struct rig *rig)
{
	return depths(rig, 16, 16);
}

/* One RDMA READ at a time: more would break the queue pair. Conn_open() looks at what the target takes. */
static int depth_1(struct rig *rig)
{
	return depths(rig, 1, 1);
}

/* The host will not read from the target at all, which it never does. */
static int depth_initiator_0(struct rig *rig)
{
	return depths(rig, 4, 0);
}

/*
 * No RDMA READ at all: the target refuses the connection, or serves what needs none and refuses the
 * rest. Posting one would stop the queue for ever.
 */
static int depth_0(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(1, IO_DEPTH);
	struct nvme_sqe sqe;
	struct conn *conn;

	if (host_attach_admin(host))
		return -1;
	wants.request.cntlid = le16(host->cntlid);
	wants.responder_resources = 0;
	wants.capsule_room = CAPSULE_LEN + sizeof(struct nvmf_connect_data);
	conn = conn_open(host, &wants);
	if (conn->state == CONN_REJECTED)
		return conn->reject_status == CM_INVALID_IRD ||
				       conn->reject_status == CM_INVALID_ORD ?
			       0 :
			       fail(rig, "rejected with status %u", conn->reject_status);
	sqe = sqe_connect(host, 1, IO_DEPTH, host->cntlid);
	sqe.sgl = sgl_offset(0, sizeof(struct nvmf_connect_data));
	if (conn_expect(conn, "Connect with its data in the capsule", &sqe, host->control->mem,
			sizeof(struct nvmf_connect_data), CODES(NVME_SC_SUCCESS)))
		return -1;
	sqe = sqe_io(NVME_IO_WRITE, 0, 1, sgl_region(host->data, 0, host->block));
	return conn_expect(conn, "a write by RDMA READ, of which none is allowed", &sqe, NULL, 0,
			   CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS));
}

/* More than any device has: the target takes its own limit. */
static int depth_255(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(1, IO_DEPTH);
	struct ibv_device_attr attr;

	if (host_attach_admin(host))
		return -1;
	if (ibv_query_device(host->admin->id->verbs, &attr))
		die("ibv_query_device");
	wants.request.cntlid = le16(host->cntlid);
	wants.responder_resources = (uint8_t)MIN(attr.max_qp_rd_atom, 255);
	wants.initiator_depth = (uint8_t)MIN(attr.max_qp_init_rd_atom, 255);
	host->io = conn_open(host, &wants);
	if (conn_connect(host->io, 1, IO_DEPTH, host->cntlid))
		return -1;
	pattern_fill(host->data->mem, HOST_DATA_LEN, PATTERN);
	return outstanding(host, NVME_IO_WRITE) || outstanding(host, NVME_IO_READ);
}

/* One command identifier for all: the host's own fault, and nobody else's. */
static int same_cid(struct rig *rig)
{
	struct host *host = host_new(rig, 0);

	if (host_attach(host))
		return -1;
	for (unsigned i = 0; i < IO_DEPTH - 1; i++) {
		struct nvme_sqe sqe =
			sqe_io(NVME_IO_READ, 0, 1, sgl_region(host->data, 0, host->block));

		host->io->next_cid = 7;
		conn_send(host->io, &sqe, NULL, 0);
	}
	for (unsigned i = 0; i < IO_DEPTH - 1; i++) {
		struct response response = { 0 };
		enum outcome outcome = conn_await(host->io, CID_ANY, &response);

		if (outcome_check(host->io, "commands with one identifier", outcome, &response,
				  CODES(NVME_SC_SUCCESS, CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
			return -1;
		if (outcome == ENDED)
			break;
	}
	return 0;
}

const struct rdma_test rdma_tests_odd[] = {
	{ "odd-chain", chain },
	{ "odd-read-zero", read_zero },
	{ "odd-identify-longer", identify_longer },
	{ "odd-largest", largest },
	{ "odd-larger-than-mdts", larger_than_mdts },
	{ "odd-same-cid", same_cid },
	{ "depth-16", depth_16 },
	{ "depth-1", depth_1 },
	{ "depth-initiator-0", depth_initiator_0 },
	{ "depth-0", depth_0 },
	{ "depth-255", depth_255 },
	{ 0 },
};
