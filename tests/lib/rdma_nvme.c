/* SPDX-License-Identifier: BSD-3-Clause */
/* NVMe over the rig: commands, well-behaved associations, and what may come of a command. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/nvme_status.h"
#include "rdma_rig.h"

enum {
	NSID = 1,
	LOOK_MS = 10,        /* between looks at CSTS */
	OVERSIZE = 64 << 10, /* that an I/O queue may send beyond the largest capsule */
	HOST_OF_CHECKS = 0xfe,
	CHECK_BLOCKS = 8, /* at the end of the namespace, for rig_serves() alone */
	PATTERN = 0x1001,
};

/* ----------------------------------------------------------------------------------- commands */

struct nvme_sgl sgl_keyed(uint8_t type, uint64_t addr, uint32_t len, uint32_t key)
{
	struct nvme_keyed_sgl keyed = { .addr = le64(addr), .key = le32(key), .type = type };
	struct nvme_sgl sgl;
	le32_t wide = le32(len);

	memcpy(keyed.len, wide.b, sizeof(keyed.len));
	memcpy(&sgl, &keyed, sizeof(sgl));
	return sgl;
}

struct nvme_sgl sgl_offset(uint64_t offset, uint32_t len)
{
	return (struct nvme_sgl){ .addr = le64(offset),
				  .len = le32(len),
				  .type = NVME_SGL_DATA_OFFSET };
}

struct nvme_sgl sgl_region(const struct region *region, size_t offset, uint32_t len)
{
	return sgl_keyed(NVME_SGL_KEYED_ADDRESS, (uintptr_t)region->mem + offset, len,
			 region->mr->rkey);
}

struct nvme_sgl sgl_none(void)
{
	return sgl_keyed(NVME_SGL_KEYED_ADDRESS, 0, 0, 0);
}

struct nvme_sqe sqe_io(uint8_t opcode, uint64_t slba, unsigned nlb, struct nvme_sgl sgl)
{
	return (struct nvme_sqe){ .opcode = opcode,
				  .flags = NVME_PSDT_SGL,
				  .nsid = le32(NSID),
				  .sgl = sgl,
				  .cdw10 = le32((uint32_t)slba),
				  .cdw11 = le32((uint32_t)(slba >> 32)),
				  .cdw12 = le32(nlb - 1) };
}

struct nvme_sqe sqe_admin(uint8_t opcode, uint32_t cdw10, uint32_t cdw11, struct nvme_sgl sgl)
{
	return (struct nvme_sqe){ .opcode = opcode,
				  .flags = NVME_PSDT_SGL,
				  .sgl = sgl,
				  .cdw10 = le32(cdw10),
				  .cdw11 = le32(cdw11) };
}

struct nvme_sqe sqe_identify(uint8_t cns, uint32_t nsid, struct nvme_sgl sgl)
{
	struct nvme_sqe sqe = sqe_admin(NVME_ADMIN_IDENTIFY, cns, 0, sgl);

	sqe.nsid = le32(nsid);
	return sqe;
}

struct nvme_sqe sqe_connect(struct host *host, uint16_t qid, unsigned depth, uint16_t cntlid)
{
	struct nvmf_connect_data *data = (struct nvmf_connect_data *)host->control->mem;
	struct nvmf_connect_cmd connect = { .opcode = NVME_OPCODE_FABRICS,
					    .flags = NVME_PSDT_SGL,
					    .fctype = NVME_FCTYPE_CONNECT,
					    .sgl = sgl_region(host->control, 0, sizeof(*data)),
					    .qid = le16(qid),
					    .sqsize = le16((uint16_t)(depth - 1)) };
	struct nvme_sqe sqe;

	*data = (struct nvmf_connect_data){ .cntlid = le16(cntlid) };
	memcpy(data->hostid, host->id, sizeof(data->hostid));
	strncpy(data->subnqn, host->rig->subnqn, sizeof(data->subnqn) - 1);
	memcpy(data->hostnqn, host->nqn, sizeof(data->hostnqn));
	memcpy(&sqe, &connect, sizeof(sqe));
	return sqe;
}

static struct nvme_sqe sqe_property(uint8_t fctype, uint32_t offset, uint64_t value)
{
	struct nvmf_property_cmd property = { .opcode = NVME_OPCODE_FABRICS,
					      .flags = NVME_PSDT_SGL,
					      .fctype = fctype,
					      .offset = le32(offset),
					      .value = le64(value) };
	struct nvme_sqe sqe;

	memcpy(&sqe, &property, sizeof(sqe));
	sqe.sgl = sgl_none(); /* the kernel's target looks at it, used or not */
	return sqe;
}

/* ------------------------------------------------------------------------------------ outcomes */

uint16_t status_of(const struct response *response)
{
	return (le16_get(response->cqe.status) >> 1) & NVME_STATUS_CODE_MASK;
}

static bool code_is_in(const uint16_t *codes, enum outcome outcome, uint16_t status)
{
	for (; *codes != CODES_END; codes++) {
		if (outcome == ENDED ? *codes == CODE_CONNECTION_ENDS : *codes == status)
			return true;
		if (outcome == ANSWERED && *codes == CODE_ANY_ERROR && status)
			return true;
	}
	return false;
}

int outcome_check(struct conn *conn, const char *what, enum outcome outcome,
		  const struct response *response, const uint16_t *codes)
{
	struct rig *rig = conn->host->rig;
	uint16_t status = outcome == ANSWERED ? status_of(response) : 0;

	if (conn->malformed)
		return fail(rig, "%s: %s", what, conn->malformed);
	if (outcome == SILENT)
		return fail(rig, "%s: no answer, and the connection stands (last of it: %s)", what,
			    conn->qp_failed ? ibv_wc_status_str(conn->wc_status) : "no error");
	if (!(outcome == ENDED && conn->state == CONN_FAILED) && code_is_in(codes, outcome, status))
		return 0;
	if (outcome == ENDED)
		return fail(rig, "%s: the connection ended (%s)", what,
			    conn->failure   ? conn->failure :
			    conn->qp_failed ? ibv_wc_status_str(conn->wc_status) :
					      "by the target");
	return fail(rig, "%s: status %03xh, %s", what, status, nvme_status_name(status));
}

int conn_expect(struct conn *conn, const char *what, struct nvme_sqe *sqe, const void *data,
		size_t len, const uint16_t *codes)
{
	struct response response = { 0 };
	enum outcome outcome = conn_exec(conn, sqe, data, len, &response);

	return outcome_check(conn, what, outcome, &response, codes);
}

int conn_expect_end(struct conn *conn, const char *what, unsigned ms)
{
	struct rig *rig = conn->host->rig;
	uint64_t start = now_ms(), limit = (uint64_t)ms * rig->slowness, spent;
	struct response response;
	enum outcome outcome;

	do {
		spent = MIN(now_ms() - start, limit);
		outcome = conn_await_ms(conn, CID_ANY, &response,
					(unsigned)((limit - spent) / rig->slowness));
		if (outcome == ANSWERED && !status_of(&response))
			return fail(rig, "%s: answered with success", what);
	} while (outcome == ANSWERED);
	if (outcome == ENDED && conn->state == CONN_ENDED)
		return 0;
	return outcome_check(conn, what, outcome, NULL, CODES(CODE_ANY_ERROR));
}

int conn_expect_alive(struct conn *conn, const char *what)
{
	struct host *host = conn->host;
	struct nvme_sqe sqe =
		sqe_io(NVME_IO_READ, 0, 1,
		       sgl_region(host->data, HOST_DATA_LEN - host->block, host->block));
	char text[200];

	snprintf(text, sizeof(text), "a read after %s", what);
	return conn_expect(conn, text, &sqe, NULL, 0, CODES(NVME_SC_SUCCESS));
}

/* -------------------------------------------------------------------------------- associations */

static int conn_expect_up(struct conn *conn)
{
	struct rig *rig = conn->host->rig;

	if (conn->state == CONN_UP)
		return 0;
	if (conn->state == CONN_REJECTED)
		return fail(rig, "queue %u: rejected with status %u",
			    le16_get(conn->wants.request.qid), conn->reject_status);
	return fail(rig, "queue %u: %s", le16_get(conn->wants.request.qid),
		    conn->failure ? conn->failure : "disconnected");
}

int conn_connect(struct conn *conn, uint16_t qid, unsigned depth, uint16_t cntlid)
{
	struct nvme_sqe sqe = sqe_connect(conn->host, qid, depth, cntlid);
	struct response response = { 0 };
	enum outcome outcome;

	if (conn_expect_up(conn))
		return -1;
	outcome = conn_exec(conn, &sqe, NULL, 0, &response);
	if (outcome_check(conn, "Connect", outcome, &response, CODES(NVME_SC_SUCCESS)))
		return -1;
	if (!qid)
		conn->host->cntlid = (uint16_t)le32_get(response.cqe.dw0);
	return 0;
}

static int host_enable(struct host *host)
{
	uint64_t end = now_ms() + (uint64_t)RIG_ANSWER_MS * host->rig->slowness;
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	struct nvme_sqe set =
		sqe_property(NVME_FCTYPE_PROPERTY_SET, NVME_PROP_CC,
			     NVME_CC_EN | 6 << NVME_CC_IOSQES_SHIFT | 4 << NVME_CC_IOCQES_SHIFT);
	struct nvme_sqe get = sqe_property(NVME_FCTYPE_PROPERTY_GET, NVME_PROP_CSTS, 0);
	struct response response = { 0 };

	if (conn_expect(host->admin, "Property Set CC", &set, NULL, 0, CODES(NVME_SC_SUCCESS)))
		return -1;
	for (;;) {
		enum outcome outcome = conn_exec(host->admin, &get, NULL, 0, &response);

		if (outcome_check(host->admin, "Property Get CSTS", outcome, &response,
				  CODES(NVME_SC_SUCCESS)))
			return -1;
		if (le32_get(response.cqe.dw0) & NVME_CSTS_RDY)
			return 0;
		if (now_ms() >= end)
			return fail(host->rig, "the controller does not become ready");
		nanosleep(&pause, NULL);
	}
}

static int host_identify(struct host *host, uint8_t cns, uint32_t nsid)
{
	struct nvme_sqe sqe = sqe_identify(
		cns, nsid, sgl_region(host->control, NVME_IDENTIFY_SIZE, NVME_IDENTIFY_SIZE));

	return conn_expect(host->admin, "Identify", &sqe, NULL, 0, CODES(NVME_SC_SUCCESS));
}

static int host_learn(struct host *host)
{
	const void *answer = host->control->mem + NVME_IDENTIFY_SIZE;
	const struct nvme_id_ctrl *ctrl = answer;
	const struct nvme_id_ns *ns = answer;

	if (host_identify(host, NVME_CNS_CTRL, 0))
		return -1;
	if (!(le32_get(ctrl->sgls) & NVME_SGLS_KEYED))
		return fail(host->rig, "SGLS %08xh: keyed descriptors are not offered",
			    le32_get(ctrl->sgls));
	if (le32_get(ctrl->ioccsz) * 16 < CAPSULE_LEN || le32_get(ctrl->iorcsz) * 16 < 16)
		return fail(host->rig, "IOCCSZ %u, IORCSZ %u: too small", le32_get(ctrl->ioccsz),
			    le32_get(ctrl->iorcsz));
	host->capsule_data = le32_get(ctrl->ioccsz) * 16 - CAPSULE_LEN;
	host->descriptors = ctrl->msdbd;
	host->max_transfer = HOST_DATA_LEN;
	if (ctrl->mdts && ctrl->mdts < 9)
		host->max_transfer = 4096u << ctrl->mdts;
	if (host_identify(host, NVME_CNS_NS, NSID))
		return -1;
	host->block = 1u << ns->lbaf[ns->flbas & 0xf].lbads;
	host->blocks = le64_get(ns->nsze);
	if (host->blocks * host->block < 4 * HOST_DATA_LEN)
		return fail(host->rig, "namespace %u has to have %u bytes at least", NSID,
			    4 * HOST_DATA_LEN);
	return 0;
}

int host_attach_admin(struct host *host)
{
	struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);

	wants.capsule_room = CAPSULE_LEN + 2 * NVME_IDENTIFY_SIZE;
	host->admin = conn_open(host, &wants);
	if (conn_connect(host->admin, 0, ADMIN_DEPTH, NVMF_CNTLID_DYNAMIC) || host_enable(host))
		return -1;
	return host_learn(host);
}

struct conn *host_io_queue(struct host *host, uint16_t qid, unsigned depth)
{
	struct conn_wants wants = conn_wants(qid, depth);
	struct conn *conn;

	wants.request.cntlid = le16(host->cntlid);
	wants.capsule_room = (uint32_t)align_up(CAPSULE_LEN + host->capsule_data + OVERSIZE, 64);
	conn = conn_open(host, &wants);
	return conn_connect(conn, qid, depth, host->cntlid) ? NULL : conn;
}

int host_attach(struct host *host)
{
	if (host_attach_admin(host))
		return -1;
	host->io = host_io_queue(host, 1, IO_DEPTH);
	return host->io ? 0 : -1;
}

static int host_transfer(struct host *host, uint8_t opcode, uint64_t slba, unsigned nlb,
			 size_t offset)
{
	struct nvme_sqe sqe =
		sqe_io(opcode, slba, nlb, sgl_region(host->data, offset, nlb * host->block));

	return conn_expect(host->io, opcode == NVME_IO_WRITE ? "Write" : "Read", &sqe, NULL, 0,
			   CODES(NVME_SC_SUCCESS));
}

int host_write(struct host *host, uint64_t slba, unsigned nlb, size_t offset)
{
	return host_transfer(host, NVME_IO_WRITE, slba, nlb, offset);
}

int host_read(struct host *host, uint64_t slba, unsigned nlb, size_t offset)
{
	return host_transfer(host, NVME_IO_READ, slba, nlb, offset);
}

/* ---------------------------------------------------------------------------------------- data */

/* The generator by which a byte follows from its place and the seed. */
static uint8_t pattern_byte(size_t at, uint32_t seed)
{
	uint32_t x = (uint32_t)(at >> 2) * 2654435761u ^ seed * 2246822519u;

	x ^= x >> 15;
	x *= 3266489917u;
	return (uint8_t)(x >> (8 * (at & 3)));
}

void pattern_fill(void *mem, size_t len, uint32_t seed)
{
	uint8_t *bytes = mem;

	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern_byte(i, seed);
}

bool pattern_is(const void *mem, size_t len, uint32_t seed)
{
	const uint8_t *bytes = mem;

	for (size_t i = 0; i < len; i++)
		if (bytes[i] != pattern_byte(i, seed))
			return false;
	return true;
}

struct host *host_attach_pattern(struct rig *rig, unsigned n)
{
	struct host *host = host_new(rig, n);

	if (host_attach(host))
		return NULL;
	pattern_fill(host->data->mem, PATTERN_BLOCKS * host->block, PATTERN);
	return host_write(host, 0, PATTERN_BLOCKS, 0) ? NULL : host;
}

int host_check_pattern(struct host *host)
{
	uint8_t *half = host->data->mem + HOST_DATA_HALF;

	memset(half, 0, PATTERN_BLOCKS * host->block);
	if (host_read(host, 0, PATTERN_BLOCKS, HOST_DATA_HALF))
		return -1;
	if (!pattern_is(half, PATTERN_BLOCKS * host->block, PATTERN))
		return fail(host->rig,
			    "a command that was refused, or failed, has changed a block");
	return 0;
}

int rig_serves(struct rig *rig)
{
	struct host *host = host_new(rig, HOST_OF_CHECKS);
	uint32_t seed = (uint32_t)now_ms();
	size_t len;

	if (host_attach(host))
		return -1;
	len = (size_t)CHECK_BLOCKS * host->block;
	pattern_fill(host->data->mem, len, seed);
	if (host_write(host, host->blocks - CHECK_BLOCKS, CHECK_BLOCKS, 0) ||
	    host_read(host, host->blocks - CHECK_BLOCKS, CHECK_BLOCKS, HOST_DATA_HALF))
		return -1;
	if (!pattern_is(host->data->mem + HOST_DATA_HALF, len, seed))
		return fail(rig, "a block reads back other than it was written");
	conn_close(host->io);
	conn_close(host->admin);
	if (host->io->state != CONN_ENDED || host->admin->state != CONN_ENDED)
		return fail(rig, "the target does not answer a disconnect request");
	return 0;
}
