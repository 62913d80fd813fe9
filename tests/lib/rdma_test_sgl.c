/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SGL descriptors of every kind (Base 4.3.2; NVMe/RDMA, "Capsules and SGLs"). A bad one costs its
 * command an error and nothing else: the queue lives on, memory of neither side is touched.
 */
#include <stdio.h>
#include <string.h>

#include "rdma_rig.h"

enum {
	OTHER_PATTERN = 0x3002,
	DESCRIPTORS_MOST = 64,
	NVME_SGL_LAST_OFFSET = 0x31, /* last segment of a list, in the capsule */
};

/* What a descriptor may be refused with. */
static const uint16_t codes_type[] = { NVME_SC_SGL_TYPE_INVALID, NVME_SC_INVALID_FIELD, CODES_END };
static const uint16_t codes_segment[] = { NVME_SC_SGL_TYPE_INVALID,
					  NVME_SC_INVALID_FIELD,
					  NVME_SC_INVALID_SGL_SEGMENT,
					  NVME_SC_INVALID_SGL_COUNT,
					  NVME_SC_SGL_LENGTH_INVALID,
					  NVME_SC_SGL_OFFSET_INVALID,
					  CODES_END };
static const uint16_t codes_length[] = { NVME_SC_SGL_LENGTH_INVALID, NVME_SC_INVALID_FIELD,
					 CODES_END };

static bool type_is_valid(unsigned type)
{
	return type == NVME_SGL_DATA_OFFSET || type == NVME_SGL_KEYED_ADDRESS ||
	       type == NVME_SGL_KEYED_INVALIDATE;
}

/* Lists of descriptors, which a target may offer. */
static bool type_is_segment(unsigned type)
{
	return type >> 4 == 2 || type >> 4 == 3;
}

static const uint16_t *type_codes(unsigned type)
{
	return type_is_segment(type) ? codes_segment : codes_type;
}

/* Every value of the descriptor's last byte that means nothing here, with a sane rest. */
static int types(struct rig *rig, uint8_t opcode)
{
	struct host *host = host_attach_pattern(rig, 0);

	if (!host)
		return -1;
	pattern_fill(host->data->mem, host->block, OTHER_PATTERN);
	for (unsigned type = 0; type <= 0xff; type++) {
		struct nvme_sgl sgl = sgl_region(host->data, 0, host->block);
		struct nvme_sqe sqe = sqe_io(opcode, 0, 1, sgl);
		char what[32];

		if (type_is_valid(type))
			continue;
		sqe.sgl.type = (uint8_t)type;
		snprintf(what, sizeof(what), "descriptor type %02xh", type);
		if (conn_expect(host->io, what, &sqe, NULL, 0, type_codes(type)))
			return -1;
	}
	if (!pattern_is(host->data->mem, host->block, OTHER_PATTERN))
		return fail(rig, "a refused read has written to the host");
	return host_check_pattern(host);
}

static int types_write(struct rig *rig)
{
	return types(rig, NVME_IO_WRITE);
}

static int types_read(struct rig *rig)
{
	return types(rig, NVME_IO_READ);
}

static int types_admin(struct rig *rig)
{
	struct host *host = host_new(rig, 0);

	if (host_attach_admin(host))
		return -1;
	for (unsigned type = 0; type <= 0xff; type++) {
		struct nvme_sqe sqe = sqe_identify(NVME_CNS_CTRL, 0,
						   sgl_region(host->data, 0, NVME_IDENTIFY_SIZE));
		char what[32];

		if (type_is_valid(type))
			continue;
		sqe.sgl.type = (uint8_t)type;
		snprintf(what, sizeof(what), "descriptor type %02xh", type);
		if (conn_expect(host->admin, what, &sqe, NULL, 0, type_codes(type)))
			return -1;
	}
	return 0;
}

/* The three that are valid. */
static int types_valid(struct rig *rig)
{
	struct host *host = host_attach_pattern(rig, 0);
	struct window *window;
	struct nvme_sqe sqe;

	if (!host)
		return -1;
	sqe = sqe_io(NVME_IO_WRITE, 0, 1, sgl_offset(0, host->block));
	if (conn_expect(host->io, "01h", &sqe, host->data->mem, host->block,
			CODES(NVME_SC_SUCCESS)))
		return -1;
	sqe = sqe_io(NVME_IO_WRITE, 1, 1, sgl_region(host->data, host->block, host->block));
	if (conn_expect(host->io, "40h", &sqe, NULL, 0, CODES(NVME_SC_SUCCESS)))
		return -1;
	window = window_bind(host->io, host->data, 2 * host->block, host->block,
			     IBV_ACCESS_REMOTE_READ);
	sqe = sqe_io(NVME_IO_WRITE, 2, 1,
		     sgl_keyed(NVME_SGL_KEYED_INVALIDATE,
			       (uintptr_t)host->data->mem + 2 * host->block, host->block,
			       window->rkey));
	if (conn_expect(host->io, "4Fh", &sqe, NULL, 0, CODES(NVME_SC_SUCCESS)))
		return -1;
	return host_check_pattern(host);
}

/* --------------------------------------------------------------------------------- keyed lengths */

/* The command says how much data there is; a descriptor for more or less is wrong. */
static int keyed_lengths(struct rig *rig, bool huge)
{
	struct host *host = host_attach_pattern(rig, 0);
	uint32_t n = host ? 2 * host->block : 0;
	const uint32_t lens[] = { 0, 1, n - 1, n / 2, n + 1, n + 4, 2 * n };
	const uint32_t huges[] = { 0xffffff, 0xfffffc, 0x100001, HOST_DATA_LEN };
	const uint32_t *all = huge ? huges : lens;
	unsigned total = huge ? ARRAY_SIZE(huges) : ARRAY_SIZE(lens);

	if (!host)
		return -1;
	for (unsigned i = 0; i < 2 * total; i++) {
		uint8_t opcode = i & 1 ? NVME_IO_READ : NVME_IO_WRITE;
		struct nvme_sqe sqe = sqe_io(opcode, 0, 2, sgl_region(host->data, 0, all[i / 2]));
		char what[64];

		snprintf(what, sizeof(what), "%s of %u bytes, keyed descriptor of %u",
			 i & 1 ? "read" : "write", n, all[i / 2]);
		if (conn_expect(host->io, what, &sqe, NULL, 0, codes_length))
			return -1;
	}
	return host_check_pattern(host);
}

static int keyed_length(struct rig *rig)
{
	return keyed_lengths(rig, false);
}

/* Up to 16 MiB: more than a command may move. Memory for it must not be had, nor anything fetched. */
static int keyed_length_huge(struct rig *rig)
{
	return keyed_lengths(rig, true);
}

/* ------------------------------------------------------------------------- segments, PSDT, others */

static struct nvme_sqe sqe_list(uint8_t opcode, uint8_t type, uint64_t offset, uint32_t len)
{
	struct nvme_sqe sqe = sqe_io(opcode, 0, 2, sgl_offset(offset, len));

	sqe.sgl.type = type;
	return sqe;
}

/* Lists that are cut short, that are their own next part, or that describe more than the command moves. */
static int segments(struct rig *rig)
{
	static const uint8_t segment_types[] = {
		0x20, 0x21, 0x2f, 0x30, NVME_SGL_LAST_OFFSET, 0x3f
	};
	struct host *host = host_attach_pattern(rig, 0);
	struct nvme_sgl list[3];

	if (!host)
		return -1;
	for (unsigned i = 0; i < 2; i++)
		list[i] = sgl_region(host->data, HOST_DATA_HALF, 3 * host->block);
	/* A list whose last part it is itself: without end, were it walked. */
	list[2] = sgl_offset(0, sizeof(list));
	list[2].type = NVME_SGL_LAST_OFFSET;
	for (unsigned i = 0; i < ARRAY_SIZE(segment_types); i++) {
		for (uint32_t len = 0; len <= sizeof(list); len += 8) {
			struct nvme_sqe sqe = sqe_list(NVME_IO_WRITE, segment_types[i], 0, len);
			char what[64];

			snprintf(what, sizeof(what), "segment %02xh of %u bytes", sqe.sgl.type,
				 len);
			if (conn_expect(host->io, what, &sqe, list, sizeof(list), codes_segment))
				return -1;
		}
	}
	return host_check_pattern(host);
}

/* Where a list is said to be, and how many bytes of it are sent. */
struct list_case {
	const char *what;
	uint64_t offset;
	uint32_t len, sent;
};

/* A list that is not where it says, or not in the capsule: what lies there must not be taken for one. */
static int segments_beyond(struct rig *rig)
{
	static const struct list_case cases[] = {
		{ "list: none sent", 0, 32, 0 },
		{ "list: half of it sent", 0, 32, 16 },
		{ "list: at 1", 1, 32, 32 },
		{ "list: at 2^32", 1ull << 32, 32, 32 },
		{ "list: at 2^63", 1ull << 63, 32, 32 },
		{ "list: at 2^64 - 16", 0 - 16ull, 32, 32 },
		{ "list: at 2^64 - 32", 0 - 32ull, 32, 32 },
		{ "list: 2^32 - 16 bytes", 0, 0 - 16u, 32 },
		{ "list: 2^31 bytes", 0, 1u << 31, 32 },
	};
	struct host *host = host_attach_pattern(rig, 0);
	struct nvme_sgl list[2];

	if (!host)
		return -1;
	/* That of the command before is whole, so that its rest would do. */
	for (unsigned i = 0; i < 2; i++)
		list[i] = sgl_region(host->data, HOST_DATA_HALF, host->block);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct list_case *c = &cases[i];
		struct nvme_sqe sqe =
			sqe_list(NVME_IO_WRITE, NVME_SGL_LAST_OFFSET, c->offset, c->len);

		if (conn_expect(host->io, c->what, &sqe, list, c->sent, codes_segment))
			return -1;
	}
	return host_check_pattern(host);
}

/* As many as MSDBD says are served, one more is not; each is looked at as if it came alone. */
static int segments_count(struct rig *rig)
{
	struct host *host = host_attach_pattern(rig, 0);
	unsigned most = host ? host->descriptors : 0, piece;
	struct nvme_sgl list[DESCRIPTORS_MOST + 1];
	struct nvme_sqe sqe;
	bool wanted;

	if (!host)
		return -1;
	for (unsigned n = 1; n <= MIN(most, (unsigned)DESCRIPTORS_MOST) + 1; n++) {
		if ((n & (n - 1)) && n <= most)
			continue; /* pieces are to be equal */
		piece = 2 * host->block / n & ~3u;
		for (unsigned i = 0; i < n; i++)
			list[i] = sgl_region(host->data, i * piece,
					     i + 1 < n ? piece : 2 * host->block - i * piece);
		sqe = sqe_list(NVME_IO_WRITE, NVME_SGL_LAST_OFFSET, 0,
			       n * (uint32_t)sizeof(list[0]));
		wanted = n <= most && most > 1;
		if (conn_expect(host->io, "a list of keyed descriptors", &sqe, list,
				n * sizeof(list[0]),
				wanted ? CODES(NVME_SC_SUCCESS) : codes_segment))
			return -1;
	}
	list[0] = sgl_region(host->data, 0, host->block);
	list[1] = sgl_offset(0, host->block);
	sqe = sqe_list(NVME_IO_WRITE, NVME_SGL_LAST_OFFSET, 0, 2 * sizeof(list[0]));
	if (conn_expect(host->io, "a list with data of the capsule in it", &sqe, list,
			2 * sizeof(list[0]), codes_segment))
		return -1;
	list[1] = sgl_keyed(NVME_SGL_KEYED_ADDRESS, 0, 0xffffff, 0);
	if (conn_expect(host->io, "a list of more than 16 MiB", &sqe, list, 2 * sizeof(list[0]),
			codes_segment))
		return -1;
	return host_check_pattern(host);
}

/* PRPs are for memory of one machine; over fabrics PSDT is 01b (Base 4.3.2). */
static int psdt(struct rig *rig)
{
	static const uint8_t flags[] = { 0x00, 0x80, 0xc0 };
	struct host *host = host_attach_pattern(rig, 0);

	if (!host)
		return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct nvme_sqe sqe =
			sqe_io(NVME_IO_WRITE, 0, 1, sgl_region(host->data, 0, host->block));
		char what[32];

		sqe.flags = flags[i];
		snprintf(what, sizeof(what), "flags %02xh", flags[i]);
		if (conn_expect(host->io, what, &sqe, NULL, 0, CODES(NVME_SC_INVALID_FIELD)))
			return -1;
		sqe = sqe_identify(NVME_CNS_CTRL, 0, sgl_region(host->data, 0, NVME_IDENTIFY_SIZE));
		sqe.flags = flags[i];
		if (conn_expect(host->admin, what, &sqe, NULL, 0, CODES(NVME_SC_INVALID_FIELD)))
			return -1;
	}
	return host_check_pattern(host);
}

const struct rdma_test rdma_tests_sgl[] = {
	{ "sgl-types-write", types_write },
	{ "sgl-types-read", types_read },
	{ "sgl-types-admin", types_admin },
	{ "sgl-types-valid", types_valid },
	{ "sgl-keyed-length", keyed_length },
	{ "sgl-keyed-length-huge", keyed_length_huge },
	{ "sgl-segments", segments },
	{ "sgl-segments-beyond", segments_beyond },
	{ "sgl-segments-count", segments_count },
	{ "sgl-psdt", psdt },
	{ 0 },
};
