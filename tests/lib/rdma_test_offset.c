/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data in the capsule, by an offset that the host gives (CVE-2026-72129: one beyond the first page of
 * the buffer). A bad one costs its command an error and nothing else.
 */
#include <stdio.h>
#include <string.h>

#include "rdma_rig.h"

enum { OTHER_PATTERN = 0x3101 };

static const uint16_t codes_offset[] = { NVME_SC_SGL_OFFSET_INVALID, NVME_SC_SGL_LENGTH_INVALID,
					 NVME_SC_INVALID_FIELD, NVME_SC_SGL_TYPE_INVALID,
					 CODES_END };

/*
 * An offset block: @offset and @len, with @sent bytes of data in the capsule. What can be valid is one
 * block, all of it in what was sent.
 */
struct offset_case {
	const char *what;
	uint64_t offset;
	uint32_t len, sent;
};

static int offsets_run(struct host *host, uint8_t opcode, const struct offset_case *cases,
		       unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct offset_case *c = &cases[i];
		struct nvme_sqe sqe = sqe_io(opcode, 0, 1, sgl_offset(c->offset, c->len));

		if (conn_expect(host->io, c->what, &sqe, host->data->mem, c->sent, codes_offset))
			return -1;
	}
	return 0;
}

/* Beyond the capsule, in ways that overflow 32 or 64 bits as well (CVE-2026-72129). */
static int offset_beyond(struct rig *rig)
{
	struct host *host = host_attach_pattern(rig, 0);
	uint32_t b = host ? host->block : 0, cap = host ? host->capsule_data : 0;
	const struct offset_case cases[] = {
		{ "offset: the capsule's end", cap, b, b },
		{ "offset: one byte too far", cap - b + 1, b, cap },
		{ "offset: a dword too far", cap - b + 4, b, cap },
		{ "offset: four pages on", cap + 16384, b, b },
		{ "offset: 2^31", 1ull << 31, b, b },
		{ "offset: 2^32", 1ull << 32, b, b },
		{ "offset: 2^32 - length", (1ull << 32) - b, b, b },
		{ "offset: 2^63", 1ull << 63, b, b },
		{ "offset: 2^64 - 1", UINT64_MAX, b, b },
		{ "offset + length: 2^64", 0 - (uint64_t)b, b, b },
		{ "offset + length: 2^64 + length", 0 - (uint64_t)b + 1, b, b },
		{ "length: none", 0, 0, b },
		{ "length: more than the capsule", 0, cap + 1, b },
		{ "length: 2^24 + a block", 0, (1u << 24) + b, b },
		{ "length: 2^32 - 1", 0, UINT32_MAX, b },
		{ "offset 1, length 2^32 - 1", 1, UINT32_MAX, b },
		{ "offset 2^32 - 4, length 2^32 - 1", (1ull << 32) - 4, UINT32_MAX, b },
	};

	if (!host)
		return -1;
	pattern_fill(host->data->mem, cap, OTHER_PATTERN);
	if (offsets_run(host, NVME_IO_WRITE, cases, ARRAY_SIZE(cases)))
		return -1;
	return host_check_pattern(host);
}

/*
 * Inside the largest capsule, but not in what was sent: the rest of the buffer is what other commands,
 * even of other hosts, have left there, and must not get to the disk.
 */
static int offset_unsent(struct rig *rig)
{
	struct host *host = host_attach_pattern(rig, 0);
	uint32_t b = host ? host->block : 0;
	const struct offset_case cases[] = {
		{ "a descriptor, but no data", 0, b, 0 },
		{ "a dword less than the descriptor says", 0, b, b - 4 },
		{ "a byte less than the descriptor says", 0, b, b - 1 },
		{ "offset 1, data up to the block's length", 1, b, b },
		{ "offset 4, data up to the block's length", 4, b, b },
		{ "offset of a block, data of a block", b, b, b },
	};

	if (!host)
		return -1;
	pattern_fill(host->data->mem, 2 * b, OTHER_PATTERN);
	if (offsets_run(host, NVME_IO_WRITE, cases, ARRAY_SIZE(cases)))
		return -1;
	return host_check_pattern(host);
}

/*
 * Within what was sent (SGLS bit 20): served, from the right bytes, or refused when it is not a
 * dword's multiple or not the capsule's first byte.
 */
static int offset_within(struct rig *rig)
{
	struct host *host = host_attach_pattern(rig, 0);
	uint32_t b = host ? host->block : 0, cap = host ? host->capsule_data : 0;
	const uint32_t offsets[] = { 0, 4, b, cap - b, 1, cap - b - 1 };
	uint8_t *half = host ? host->data->mem + HOST_DATA_HALF : NULL;

	if (!host)
		return -1;
	if (cap < 2 * b || cap > HOST_DATA_HALF)
		return fail(rig, "IOCCSZ leaves %u bytes for data: not for this test", cap);
	pattern_fill(host->data->mem, cap, OTHER_PATTERN);
	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		uint32_t at = offsets[i];
		struct nvme_sqe sqe = sqe_io(NVME_IO_WRITE, 5, 1, sgl_offset(at, b));
		struct response response = { 0 };
		enum outcome outcome =
			conn_exec(host->io, &sqe, host->data->mem, at + b, &response);
		char what[64];

		snprintf(what, sizeof(what), "offset %u, a block of data behind it", at);
		if (outcome_check(host->io, what, outcome, &response,
				  at ? CODES(NVME_SC_SUCCESS, NVME_SC_SGL_OFFSET_INVALID) :
				       CODES(NVME_SC_SUCCESS)))
			return -1;
		if (status_of(&response))
			continue;
		if (host_read(host, 5, 1, HOST_DATA_HALF))
			return -1;
		if (memcmp(half, host->data->mem + at, b))
			return fail(rig, "%s: other bytes than those were written", what);
	}
	return 0;
}

/* The capsule cannot take what a read answers. */
static int offset_read(struct rig *rig)
{
	struct host *host = host_attach_pattern(rig, 0);
	uint32_t b = host ? host->block : 0;
	const struct offset_case cases[] = {
		{ "a read into the capsule", 0, b, 0 },
		{ "a read into the capsule, with room", 0, b, b },
		{ "a read into the capsule at 2^32", 1ull << 32, b, b },
	};

	if (!host)
		return -1;
	if (offsets_run(host, NVME_IO_READ, cases, ARRAY_SIZE(cases)))
		return -1;
	return conn_expect_alive(host->io, "reads into the capsule");
}

/* The admin queue: no in-capsule data in its receives, so every offset is one beyond (CVE-2026-72129). */
static int offset_admin(struct rig *rig)
{
	static const struct offset_case cases[] = {
		{ "Set Features, offset 1", 1, 512, 512 },
		{ "Set Features, offset 4096", 4096, 512, 512 },
		{ "Set Features, offset 2^32", 1ull << 32, 512, 512 },
		{ "Set Features, offset 2^63", 1ull << 63, 512, 512 },
		{ "Set Features, offset 2^64 - 1", UINT64_MAX, 512, 512 },
		{ "Set Features, offset + length 2^64", 0 - 512ull, 512, 512 },
		{ "Set Features, length 2^32 - 1", 0, UINT32_MAX, 512 },
		{ "Set Features, no data sent", 0, 512, 0 },
	};
	struct host *host = host_new(rig, 0);

	if (host_attach_admin(host))
		return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct offset_case *c = &cases[i];
		struct nvme_sqe sqe = sqe_admin(NVME_ADMIN_SET_FEATURES, NVME_FEAT_HOST_BEHAVIOR, 0,
						sgl_offset(c->offset, c->len));

		if (conn_expect(host->admin, c->what, &sqe, host->data->mem, c->sent,
				CODES(CODE_ANY_ERROR)))
			return -1;
	}
	return 0;
}

/* Connect is the first that comes, from anybody: its descriptor is looked at like that of others. */
static int offset_connect(struct rig *rig)
{
	static const struct offset_case cases[] = {
		{ "Connect, no data sent", 0, 1024, 0 },
		{ "Connect, offset 2^32", 1ull << 32, 1024, 1024 },
		{ "Connect, offset 2^64 - 1", UINT64_MAX, 1024, 1024 },
		{ "Connect, offset 8192", 8192, 1024, 1024 },
		{ "Connect, length 2^32 - 1", 0, UINT32_MAX, 1024 },
	};
	struct host *host = host_new(rig, 0);

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct offset_case *c = &cases[i];
		struct conn_wants wants = conn_wants(0, ADMIN_DEPTH);
		struct conn *conn;
		struct nvme_sqe sqe;

		wants.capsule_room = CAPSULE_LEN + sizeof(struct nvmf_connect_data);
		conn = conn_open(host, &wants);
		sqe = sqe_connect(host, 0, ADMIN_DEPTH, NVMF_CNTLID_DYNAMIC);
		sqe.sgl = sgl_offset(c->offset, c->len);
		if (conn_expect(conn, c->what, &sqe, host->control->mem, c->sent,
				CODES(CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
			return -1;
	}
	return 0;
}

const struct rdma_test rdma_tests_offset[] = {
	{ "sgl-offset-beyond", offset_beyond },
	{ "sgl-offset-unsent", offset_unsent },
	{ "sgl-offset-within", offset_within },
	{ "sgl-offset-read", offset_read },
	{ "sgl-offset-admin", offset_admin },
	{ "sgl-offset-connect", offset_connect },
	{ 0 },
};
