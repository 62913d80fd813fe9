/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private data of the connection request (NVMe/RDMA, "Fabric dependent settings"): what is wrong with
 * it is told by the status of the rejection, and hosts print that by name.
 */
#include <stdio.h>
#include <string.h>

#include "rdma_rig.h"

/* A request, by what is different about a well-behaved one, and the statuses that it may meet with. */
struct request_case {
	const char *what;
	uint16_t recfmt, qid, hrqsize, hsqsize, cntlid;
	uint32_t statuses; /* bits by enum cm_status, CM_ACCEPTED among them */
};

#define STATUS(status) (1u << (status))

static int request_judge(struct conn *conn, const char *what, uint32_t statuses)
{
	struct rig *rig = conn->host->rig;

	if (conn->state == CONN_UP)
		return statuses & STATUS(CM_ACCEPTED) ? 0 : fail(rig, "%s: accepted", what);
	if (conn->state == CONN_REJECTED && conn->reject_status < 32)
		return statuses & STATUS(conn->reject_status) ?
			       0 :
			       fail(rig, "%s: rejected with status %u", what, conn->reject_status);
	return fail(rig, "%s: %s", what, conn->failure ? conn->failure : "disconnected");
}

static int requests_run(struct rig *rig, const struct request_case *cases, unsigned n)
{
	struct host *host = host_new(rig, 0);

	for (unsigned i = 0; i < n; i++) {
		const struct request_case *c = &cases[i];
		struct conn_wants wants = conn_wants(c->qid, ADMIN_DEPTH);
		struct conn *conn;

		wants.request = (struct cm_request){ .recfmt = le16(c->recfmt),
						     .qid = le16(c->qid),
						     .hrqsize = le16(c->hrqsize),
						     .hsqsize = le16(c->hsqsize),
						     .cntlid = le16(c->cntlid) };
		conn = conn_open(host, &wants);
		if (request_judge(conn, c->what, c->statuses))
			return -1;
	}
	return 0;
}

/*
 * InfiniBand and RoCE hand on private data of a fixed length, what was not sent as zeroes; iWARP has
 * the true length. So no data at all is either too short, or has queues of no entries.
 */
static int length_zero(struct rig *rig)
{
	struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);

	wants.request_len = 0;
	return request_judge(conn_open(host_new(rig, 0), &wants), "no private data",
			     STATUS(CM_INVALID_LENGTH) | STATUS(CM_INVALID_HSQSIZE) |
				     STATUS(CM_INVALID_HRQSIZE));
}

/* One byte of the reserved ones is missing: told from all 32 on iWARP alone. */
static int length_31(struct rig *rig)
{
	struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);

	wants.request_len = CM_PRIVATE_LEN - 1;
	return request_judge(conn_open(host_new(rig, 0), &wants), "31 bytes",
			     STATUS(CM_INVALID_LENGTH) | STATUS(CM_ACCEPTED));
}

/* Formats that nobody has defined. */
static int recfmt(struct rig *rig)
{
	static const struct request_case cases[] = {
		{ "RECFMT 1", 1, 0, 32, 31, 0, STATUS(CM_INVALID_RECFMT) },
		{ "RECFMT 1 of an I/O queue", 1, 1, 32, 31, 0, STATUS(CM_INVALID_RECFMT) },
		{ "RECFMT FFFFh", 0xffff, 0, 32, 31, 0, STATUS(CM_INVALID_RECFMT) },
	};

	return requests_run(rig, cases, ARRAY_SIZE(cases));
}

/* The target makes as many receives as this says: neither none nor any number. */
static int hsqsize(struct rig *rig)
{
	static const struct request_case cases[] = {
		{ "I/O queue of 1 entry", 0, 1, 32, 0, 0, STATUS(CM_INVALID_HSQSIZE) },
		{ "I/O queue of 65535 entries", 0, 1, 65535, 65534, 0, STATUS(CM_INVALID_HSQSIZE) },
		{ "I/O queue of 65536 entries", 0, 1, 65535, 65535, 0,
		  STATUS(CM_INVALID_HSQSIZE) | STATUS(CM_INVALID_HRQSIZE) },
		{ "I/O queue of 1025 entries", 0, 1, 1025, 1024, 0, STATUS(CM_INVALID_HSQSIZE) },
		{ "admin queue of 1 entry", 0, 0, 32, 0, 0, STATUS(CM_INVALID_HSQSIZE) },
		{ "small admin queue: smaller than others, and of use", 0, 0, 32, 30, 0,
		  STATUS(CM_ACCEPTED) },
		{ "admin queue of 65535 entries", 0, 0, 65535, 65534, 0,
		  STATUS(CM_INVALID_HSQSIZE) },
	};

	return requests_run(rig, cases, ARRAY_SIZE(cases));
}

/*
 * A host with fewer receives than commands would stop the target's queue pair with every answer.
 * Whether HRQSIZE is zero based, hosts disagree about.
 */
static int hrqsize(struct rig *rig)
{
	static const struct request_case cases[] = {
		{ "no receives", 0, 1, 0, 31, 0, STATUS(CM_INVALID_HRQSIZE) },
		{ "one receive", 0, 1, 1, 31, 0, STATUS(CM_INVALID_HRQSIZE) },
		{ "two receives less than commands", 0, 1, 30, 31, 0, STATUS(CM_INVALID_HRQSIZE) },
		{ "one receive less than commands", 0, 1, 31, 31, 0,
		  STATUS(CM_INVALID_HRQSIZE) | STATUS(CM_ACCEPTED) },
		{ "no receives of the admin queue", 0, 0, 0, 31, 0, STATUS(CM_INVALID_HRQSIZE) },
		{ "30 receives of the admin queue", 0, 0, 30, 31, 0, STATUS(CM_INVALID_HRQSIZE) },
		{ "a receive for each command", 0, 1, 32, 31, 0, STATUS(CM_ACCEPTED) },
		{ "more receives than commands", 0, 1, 64, 31, 0, STATUS(CM_ACCEPTED) },
	};

	return requests_run(rig, cases, ARRAY_SIZE(cases));
}

static int qid(struct rig *rig)
{
	static const struct request_case cases[] = {
		{ "QID 65535", 0, 65535, 32, 31, 0, STATUS(CM_INVALID_QID) },
		{ "QID 32768", 0, 32768, 32, 31, 0, STATUS(CM_INVALID_QID) },
	};

	return requests_run(rig, cases, ARRAY_SIZE(cases));
}

/*
 * The queue was made (its receives, its capsules) for the identifier of the request: a Connect that
 * names another must not turn an admin queue into an I/O queue or the other way.
 */
static int qid_mismatch(struct rig *rig)
{
	static const uint16_t pairs[][2] = { { 0, 1 }, { 1, 0 }, { 1, 2 } };
	struct host *host = host_new(rig, 0);

	if (host_attach_admin(host))
		return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct conn_wants wants = conn_wants(pairs[i][0], ADMIN_DEPTH);
		struct conn *conn = conn_open(host, &wants);
		struct nvme_sqe sqe = sqe_connect(host, pairs[i][1], ADMIN_DEPTH,
						  pairs[i][1] ? host->cntlid : NVMF_CNTLID_DYNAMIC);
		char what[64];

		snprintf(what, sizeof(what), "request for queue %u, Connect for queue %u",
			 pairs[i][0], pairs[i][1]);
		if (conn_expect(conn, what, &sqe, NULL, 0,
				CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
			return -1;
	}
	return 0;
}

/* Hosts from before the field was defined send 0. FFF0h and up name no controller, for sure. */
static int cntlid(struct rig *rig)
{
	static const struct request_case cases[] = {
		{ "CNTLID FFF0h", 0, 1, 32, 31, 0xfff0, STATUS(CM_INVALID_CNTLID) },
		{ "CNTLID FFFFh", 0, 1, 32, 31, 0xffff, STATUS(CM_INVALID_CNTLID) },
		{ "CNTLID 0", 0, 1, 32, 31, 0, STATUS(CM_ACCEPTED) },
		{ "CNTLID of the admin queue, which has none yet", 0, 0, 32, 31, 0xffff,
		  STATUS(CM_ACCEPTED) },
	};

	return requests_run(rig, cases, ARRAY_SIZE(cases));
}

/* Nobody has that controller: told by the request or, as that names no subsystem, by Connect. */
static int cntlid_unknown(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(1, IO_DEPTH);
	struct nvme_sqe sqe;
	struct conn *conn;

	if (host_attach_admin(host))
		return -1;
	wants.request.cntlid = le16(0xffef);
	conn = conn_open(host, &wants);
	if (conn->state == CONN_REJECTED)
		return request_judge(conn, "CNTLID FFEFh", STATUS(CM_INVALID_CNTLID));
	sqe = sqe_connect(host, 1, IO_DEPTH, 0xffef);
	return conn_expect(conn, "Connect to controller FFEFh", &sqe, NULL, 0,
			   CODES(NVME_SC_CONNECT_INVALID_PARAM, CODE_CONNECTION_ENDS));
}

/* Reserved bytes are for hosts of tomorrow: not looked at. The acceptance is well-formed. */
static int reserved(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);
	struct conn *conn;
	unsigned crqsize;

	memset(wants.request.rsvd10, 0xff, sizeof(wants.request.rsvd10));
	conn = conn_open(host, &wants);
	if (request_judge(conn, "reserved bytes of ones", STATUS(CM_ACCEPTED)))
		return -1;
	crqsize = le16_get(conn->accept.crqsize);
	if (le16_get(conn->accept.recfmt))
		return fail(rig, "accepted with RECFMT %u", le16_get(conn->accept.recfmt));
	if (crqsize < ADMIN_DEPTH - 1)
		return fail(rig, "accepted with CRQSIZE %u for %u commands", crqsize, ADMIN_DEPTH);
	for (unsigned i = 0; i < sizeof(conn->accept.rsvd4); i++)
		if (conn->accept.rsvd4[i])
			return fail(rig, "accepted with reserved bytes that are not zero");
	return conn_connect(conn, 0, ADMIN_DEPTH, NVMF_CNTLID_DYNAMIC);
}

/* Connect asks for more entries than the queue pair was made for. */
static int sqsize_mismatch(struct rig *rig)
{
	struct host *host = host_new(rig, 0);
	struct conn_wants wants = conn_wants(1, IO_DEPTH);
	struct nvme_sqe sqe;
	struct conn *conn;

	if (host_attach_admin(host))
		return -1;
	wants.request.cntlid = le16(host->cntlid);
	conn = conn_open(host, &wants);
	sqe = sqe_connect(host, 1, 4 * IO_DEPTH, host->cntlid);
	return conn_expect(conn, "Connect for more entries than were requested", &sqe, NULL, 0,
			   CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS));
}

const struct rdma_test rdma_tests_cm[] = {
	{ "cm-length-0", length_zero },
	{ "cm-length-31", length_31 },
	{ "cm-recfmt", recfmt },
	{ "cm-hsqsize", hsqsize },
	{ "cm-hrqsize", hrqsize },
	{ "cm-qid", qid },
	{ "cm-qid-mismatch", qid_mismatch },
	{ "cm-cntlid", cntlid },
	{ "cm-cntlid-unknown", cntlid_unknown },
	{ "cm-reserved", reserved },
	{ "cm-sqsize-mismatch", sqsize_mismatch },
	{ 0 },
};
