/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the error information log says of the place of a fault: byte and bit of the field in the
 * command, first block, namespace. The places are numbers from the specification's figures of the
 * commands.
 */
#include "io_disks.h"

enum { NOWHERE = 0xffff };
#define AT(byte, bit) ((byte) | (bit) << 8)

struct row {
	const char *what;
	uint8_t opcode, flags;
	uint32_t nsid, cdw10, cdw11, cdw12, cdw14;
	uint32_t len; /* of the SGL */
	uint16_t sgl_status;
	const void *in;
	/* Expected. */
	uint16_t status;
	uint16_t place;
	uint64_t lba;
	uint32_t error_nsid; /* 0: nsid */
};

/* The log's entries, 0 is the newest. */
static const struct nvme_error_log_entry *entry(unsigned age)
{
	const struct ctrl *ctrl = io_admin.queue.ctrl;

	return &ctrl->errors[(ctrl->error_head + MAX_ERROR_LOG - 1 - age) % MAX_ERROR_LOG];
}

static void row_run(struct fake_conn *conn, const struct row *row)
{
	struct fake_call call = {
		.sqe = {
			.opcode = row->opcode,
			.flags = row->flags,
			.cid = le16(0x1234),
			.nsid = le32(row->nsid),
			.cdw10 = le32(row->cdw10),
			.cdw11 = le32(row->cdw11),
			.cdw12 = le32(row->cdw12),
			.cdw14 = le32(row->cdw14),
		},
		.sgl_len = row->len,
		.sgl_status = row->sgl_status,
		.from_host = row->in,
	};
	uint64_t count = le64_get(entry(0)->error_count);
	const struct nvme_error_log_entry *e;
	uint16_t status = fake_run(conn, &call);
	uint32_t nsid = row->opcode == NVME_OPCODE_FABRICS ? 0 : row->nsid;

	e = entry(0);
	print_message("%s: status %x, place %x, block %llu, namespace %x\n", row->what, status,
		      le16_get(e->location), (unsigned long long)le64_get(e->lba),
		      le32_get(e->nsid));
	assert_int_equal(status & ~NVME_STATUS_DNR, row->status);
	assert_int_equal(le64_get(e->error_count), count + 1);
	assert_int_equal(le16_get(e->status) >> 1, status);
	assert_int_equal(le16_get(e->sqid), conn->queue.qid);
	assert_int_equal(le16_get(e->cid), 0x1234);
	assert_int_equal(e->opcode, row->opcode);
	assert_int_equal(le16_get(e->location), row->place);
	assert_int_equal(le64_get(e->lba), row->lba);
	assert_int_equal(le32_get(e->nsid), row->error_nsid ? row->error_nsid : nsid);
	assert_int_equal(le64_get(e->command_specific), 0);
}

#define RUN(conn, rows)                                     \
	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) \
	row_run(conn, &(rows)[row])

/* ------------------------------------------------------------------------------- any command */

static void fields_of_any_command(void **state)
{
	static const struct row rows[] = {
		{ "PSDT", 0x06, 0x80, .status = NVME_SC_INVALID_FIELD, .place = AT(1, 6) },
		{ "FUSE", 0x06, 0x01, .status = NVME_SC_INVALID_FIELD, .place = AT(1, 0) },
		{ "opcode", 0x7e, .status = NVME_SC_INVALID_OPCODE, .place = AT(0, 0) },
		{ "SGL length", 0x06, .cdw10 = 1, .len = 512, .status = NVME_SC_SGL_LENGTH_INVALID,
		  .place = AT(32, 0) },
		{ "SGL type", 0x06, .cdw10 = 1, .len = 4096, .sgl_status = NVME_SC_SGL_TYPE_INVALID,
		  .status = NVME_SC_SGL_TYPE_INVALID, .place = AT(39, 0) },
		{ "SGL offset", 0x06, .cdw10 = 1, .len = 4096,
		  .sgl_status = NVME_SC_SGL_OFFSET_INVALID, .status = NVME_SC_SGL_OFFSET_INVALID,
		  .place = AT(24, 0) },
		{ "SGL length by the transport", 0x06, .cdw10 = 1, .len = 4096,
		  .sgl_status = NVME_SC_SGL_LENGTH_INVALID, .status = NVME_SC_SGL_LENGTH_INVALID,
		  .place = AT(32, 0) },
	};

	(void)state;
	RUN(&io_admin, rows);
}

/* ------------------------------------------------------------------------------------- admin */

static void fields_of_identify(void **state)
{
	static const struct row rows[] = {
		{ "CNS", 0x06, .cdw10 = 0x55, .status = NVME_SC_INVALID_FIELD, .place = AT(40, 0) },
		{ "CNTID", 0x06, .cdw10 = 0x7777001c, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(42, 0) },
		{ "CSI", 0x06, .nsid = 1, .cdw10 = 5, .cdw11 = 1u << 24,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(47, 0) },
		{ "NSID", 0x06, .nsid = 77, .cdw10 = 3, .status = NVME_SC_INVALID_NSID,
		  .place = AT(4, 0) },
	};

	(void)state;
	RUN(&io_admin, rows);
}

static void fields_of_get_log_page(void **state)
{
	static const struct row rows[] = {
		{ "LID", 0x02, .cdw10 = 0xc0, .status = NVME_SC_INVALID_LOG_PAGE,
		  .place = AT(40, 0) },
		{ "NUMD", 0x02, .cdw10 = 0x40000001, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(42, 0) },
		{ "LSI", 0x02, .cdw10 = 9, .cdw11 = 77u << 16, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(46, 0) },
		{ "LPO of no dword", 0x02, .cdw10 = 1, .cdw12 = 2, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(48, 0) },
		{ "LPO past the end", 0x02, .cdw10 = 5, .cdw12 = 8192, .len = 4,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(48, 0) },
		{ "OT", 0x02, .cdw10 = 1, .cdw14 = 1u << 23, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(58, 7) },
		{ "CSI", 0x02, .cdw10 = 5, .cdw14 = 1u << 24, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(59, 0) },
		{ "NSID", 0x02, .nsid = 77, .cdw10 = 2, .status = NVME_SC_INVALID_NSID,
		  .place = AT(4, 0) },
	};

	(void)state;
	RUN(&io_admin, rows);
}

static void fields_of_get_features(void **state)
{
	static const struct row rows[] = {
		{ "FID", 0x0a, .cdw10 = 0x55, .status = NVME_SC_INVALID_FIELD, .place = AT(40, 0) },
		{ "SEL", 0x0a, .cdw10 = 0x401, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(41, 0) },
		{ "TMPSEL", 0x0a, .cdw10 = 4, .cdw11 = 1u << 16, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(46, 0) },
		{ "THSEL", 0x0a, .cdw10 = 4, .cdw11 = 2u << 20, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(46, 4) },
		{ "EXHID", 0x0a, .cdw10 = 0x81, .len = 16, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(44, 0) },
		{ "NSID", 0x0a, .nsid = 77, .cdw10 = 0x84, .status = NVME_SC_INVALID_NSID,
		  .place = AT(4, 0) },
	};

	(void)state;
	RUN(&io_admin, rows);
}

static void fields_of_set_features(void **state)
{
	static const struct row rows[] = {
		{ "FID", 0x09, .cdw10 = 0x55, .status = NVME_SC_INVALID_FIELD, .place = AT(40, 0) },
		{ "SV", 0x09, .cdw10 = 0x80000001, .status = NVME_SC_FEATURE_NOT_SAVEABLE,
		  .place = AT(43, 7) },
		{ "NSID of a controller's feature", 0x09, .nsid = 1, .cdw10 = 1,
		  .status = NVME_SC_FEATURE_NOT_NS_SPECIFIC, .place = AT(4, 0) },
		{ "NSID", 0x09, .nsid = 77, .cdw10 = 0x84, .status = NVME_SC_INVALID_NSID,
		  .place = AT(4, 0) },
		{ "reserved bit of arbitration", 0x09, .cdw10 = 1, .cdw11 = 0x28,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(44, 3) },
		{ "power state", 0x09, .cdw10 = 2, .cdw11 = 3, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(44, 0) },
		{ "reserved bit of the power state", 0x09, .cdw10 = 2, .cdw11 = 1u << 31,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(47, 7) },
		{ "TMPSEL", 0x09, .cdw10 = 4, .cdw11 = 1u << 16, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(46, 0) },
		{ "THSEL", 0x09, .cdw10 = 4, .cdw11 = 2u << 20, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(46, 4) },
		{ "DULBE", 0x09, .cdw10 = 5, .cdw11 = 1u << 16, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(46, 0) },
		{ "the cache cannot be off", 0x09, .cdw10 = 6, .cdw11 = 0,
		  .status = NVME_SC_FEATURE_NOT_CHANGEABLE, .place = AT(44, 0) },
		{ "NSQR", 0x09, .cdw10 = 7, .cdw11 = 0xffff, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(44, 0) },
		{ "NCQR", 0x09, .cdw10 = 7, .cdw11 = 0xffffu << 16, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(46, 0) },
		{ "an event that there is not", 0x09, .cdw10 = 0x0b, .cdw11 = 3u << 8,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(45, 1) },
		{ "IOCSCI", 0x09, .cdw10 = 0x19, .cdw11 = 1, .status = NVME_SC_IOCS_COMBINATION,
		  .place = AT(44, 0) },
		{ "WPS", 0x09, .nsid = 1, .cdw10 = 0x84, .cdw11 = 5,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(44, 0) },
		{ "WPS of what is read-only", 0x09, .nsid = 6, .cdw10 = 0x84, .cdw11 = 0,
		  .status = NVME_SC_FEATURE_NOT_CHANGEABLE, .place = AT(44, 0) },
		{ "when it may not be, no field is at fault", 0x09, .cdw10 = 7, .cdw11 = 0x10001,
		  .status = NVME_SC_COMMAND_SEQUENCE, .place = NOWHERE },
	};

	(void)state;
	RUN(&io_admin, rows);
}

/* FCTYPE is in the low byte of the dword that is NSID elsewhere. */
static void fields_of_fabrics_commands(void **state)
{
	static const struct row admin[] = {
		{ "FCTYPE", 0x7f, .nsid = 0x33, .status = NVME_SC_INVALID_OPCODE,
		  .place = AT(4, 0) },
		{ "Connect once more", 0x7f, .nsid = 1, .status = NVME_SC_COMMAND_SEQUENCE,
		  .place = AT(4, 0) },
		{ "ATTRIB of get", 0x7f, .nsid = 4, .cdw10 = 1, .cdw11 = 0x1c,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(40, 0) },
		{ "OFST of get", 0x7f, .nsid = 4, .cdw11 = 1, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(44, 0) },
		{ "ATTRIB of set", 0x7f, .nsid = 0, .cdw10 = 1, .cdw11 = 0x14,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(40, 0) },
		{ "OFST of set", 0x7f, .nsid = 0, .cdw11 = 0x1c, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(44, 0) },
		{ "RECFMT of Disconnect", 0x7f, .nsid = 8, .cdw10 = 1,
		  .status = NVME_SC_CONNECT_INCOMPATIBLE_FORMAT, .place = AT(40, 0) },
		{ "Disconnect", 0x7f, .nsid = 8, .status = NVME_SC_DISCONNECT_INVALID_QUEUE_TYPE,
		  .place = AT(4, 0) },
	};
	static const struct row io[] = {
		{ "Property Get on an I/O queue", 0x7f, .nsid = 4, .cdw11 = 8,
		  .status = NVME_SC_INVALID_OPCODE, .place = AT(4, 0) },
	};

	(void)state;
	RUN(&io_admin, admin);
	RUN(&io_conn[0], io);
}

/* --------------------------------------------------------------------------------------- I/O */

static void fields_of_io_commands(void **state)
{
	static const uint8_t ranged[] = { NVME_IO_READ, NVME_IO_WRITE, NVME_IO_COMPARE,
					  NVME_IO_WRITE_ZEROES, NVME_IO_VERIFY };
	static const struct row any[] = {
		{ "NSID", .nsid = 77, .status = NVME_SC_INVALID_NSID, .place = AT(4, 0) },
		{ "PRINFO", .nsid = 1, .cdw12 = 1u << 29, .status = NVME_SC_INVALID_PROTECTION,
		  .place = AT(51, 2) },
		{ "SLBA", .nsid = 1, .cdw11 = 0x100, .status = NVME_SC_LBA_OUT_OF_RANGE,
		  .place = AT(40, 0), .lba = 1ull << 40 },
		{ "the block behind the last", .nsid = 1, .cdw10 = NS1_BLOCKS,
		  .status = NVME_SC_LBA_OUT_OF_RANGE, .place = AT(40, 0), .lba = NS1_BLOCKS },
		{ "NLB", .nsid = 1, .cdw10 = NS1_BLOCKS - 3, .cdw12 = 3,
		  .status = NVME_SC_LBA_OUT_OF_RANGE, .place = AT(48, 0), .lba = NS1_BLOCKS },
	};
	static const struct row others[] = {
		{ "opcode", 0xff, .nsid = 1, .cdw10 = 5, .status = NVME_SC_INVALID_OPCODE,
		  .place = AT(0, 0) },
		{ "FUSE", NVME_IO_READ, 1, .nsid = 1, .cdw10 = 5, .status = NVME_SC_INVALID_FIELD,
		  .place = AT(1, 0) },
		{ "NLB beyond MDTS", NVME_IO_READ, .nsid = 1, .cdw10 = 5, .cdw12 = 128,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(48, 0) },
		{ "read-only", NVME_IO_WRITE, .nsid = 6, .cdw10 = 5,
		  .status = NVME_SC_NS_WRITE_PROTECTED, .place = AT(4, 0) },
		{ "NSID of Flush", NVME_IO_FLUSH, .nsid = 77, .status = NVME_SC_INVALID_NSID,
		  .place = AT(4, 0) },
		{ "NSID of DSM", NVME_IO_DSM, .nsid = 77, .status = NVME_SC_INVALID_NSID,
		  .place = AT(4, 0) },
		{ "Copy: format", NVME_IO_COPY, .nsid = 1, .cdw12 = 2u << 8, .len = 32,
		  .status = NVME_SC_INVALID_FIELD, .place = AT(49, 0) },
		{ "Copy: PRINFOR", NVME_IO_COPY, .nsid = 1, .cdw12 = 1u << 15, .len = 32,
		  .status = NVME_SC_INVALID_PROTECTION, .place = AT(49, 4) },
		{ "Copy: PRINFOW", NVME_IO_COPY, .nsid = 1, .cdw12 = 1u << 26, .len = 32,
		  .status = NVME_SC_INVALID_PROTECTION, .place = AT(51, 2) },
		{ "Copy: NR", NVME_IO_COPY, .nsid = 1, .cdw12 = 128, .len = 129 * 32,
		  .status = NVME_SC_COMMAND_SIZE_LIMIT, .place = AT(48, 0) },
		{ "a second half alone", NVME_IO_WRITE, 2, .nsid = 1, .len = 512,
		  .status = NVME_SC_ABORTED_MISSING_FUSED, .place = NOWHERE },
	};

	(void)state;
	for (size_t o = 0; o < ARRAY_SIZE(ranged); o++) {
		for (size_t i = 0; i < ARRAY_SIZE(any); i++) {
			struct row row = any[i];

			row.opcode = ranged[o];
			if (io_has_data(row.opcode))
				row.len = ((row.cdw12 & 0xffff) + 1) * IO_BLOCK;
			row_run(&io_conn[0], &row);
		}
	}
	RUN(&io_conn[0], others);
}

/* What the data of a command says has no place in the command, but blocks. */
static void ranges_of_copy_and_dsm(void **state)
{
	const struct nvme_dsm_range dsm[2][2] = {
		{ { .nlb = le32(1) }, { .nlb = le32(8), .slba = le64(NS1_BLOCKS - 5) } },
		{ { .nlb = le32(1) }, { .nlb = le32(4), .slba = le64(12) } },
	};
	const struct nvme_copy_range copy[4] = {
		{ .slba = le64(NS1_BLOCKS - 2), .nlb = le16(3) }, /* four blocks, two are there */
		{ .slba = le64(100), .nlb = le16(9) },
		{ .slba = le64(100), .nlb = le16(0xffff) },
		{ .slba = le64(11), .nlb = le16(0) },
	};
	const struct row rows[] = {
		{ "DSM", NVME_IO_DSM, .nsid = 1, .cdw10 = 1, .cdw11 = 4, .len = 32, .in = dsm[0],
		  .status = NVME_SC_LBA_OUT_OF_RANGE, .place = NOWHERE, .lba = NS1_BLOCKS },
		{ "DSM: the device", NVME_IO_DSM, .nsid = 4, .cdw10 = 1, .cdw11 = 4, .len = 32,
		  .in = dsm[1], .status = NVME_SC_CAPACITY_EXCEEDED, .place = NOWHERE, .lba = 12 },
		{ "Copy: source", NVME_IO_COPY, .nsid = 1, .cdw10 = 7, .len = 32, .in = &copy[0],
		  .status = NVME_SC_LBA_OUT_OF_RANGE, .place = NOWHERE, .lba = NS1_BLOCKS },
		{ "Copy: destination", NVME_IO_COPY, .nsid = 1, .cdw10 = NS1_BLOCKS - 9, .len = 32,
		  .in = &copy[1], .status = NVME_SC_LBA_OUT_OF_RANGE, .place = AT(40, 0),
		  .lba = NS1_BLOCKS },
		{ "Copy: overlap", NVME_IO_COPY, .nsid = 1, .cdw10 = 104, .len = 32, .in = &copy[1],
		  .status = NVME_SC_OVERLAPPING_RANGE, .place = NOWHERE, .lba = 104 },
		{ "Copy: too long", NVME_IO_COPY, .nsid = 1, .cdw10 = 7, .len = 32, .in = &copy[2],
		  .status = NVME_SC_COMMAND_SIZE_LIMIT, .place = NOWHERE },
		{ "Copy: the device, reading", NVME_IO_COPY, .nsid = 4, .cdw10 = 40, .len = 32,
		  .in = &copy[3], .status = NVME_SC_UNRECOVERED_READ, .place = NOWHERE, .lba = 11 },
		{ "Copy: the device, writing", NVME_IO_COPY, .nsid = 4, .cdw10 = 12, .len = 32,
		  .in = &copy[1], .status = NVME_SC_CAPACITY_EXCEEDED, .place = NOWHERE,
		  .lba = 12 },
	};

	(void)state;
	RUN(&io_conn[0], rows);
}

/* The first block of the I/O that failed: commands in steps say which that was. */
static void blocks_that_a_backend_refuses(void **state)
{
	const struct row rows[] = {
		{ "Read", NVME_IO_READ, .nsid = 4, .cdw10 = 11, .cdw12 = 3, .len = 4 * IO_BLOCK,
		  .status = NVME_SC_UNRECOVERED_READ, .place = NOWHERE, .lba = 11 },
		{ "Write", NVME_IO_WRITE, .nsid = 4, .cdw10 = 12, .len = IO_BLOCK,
		  .status = NVME_SC_CAPACITY_EXCEEDED, .place = NOWHERE, .lba = 12 },
		{ "Write Zeroes", NVME_IO_WRITE_ZEROES, .nsid = 4, .cdw10 = 12,
		  .status = NVME_SC_CAPACITY_EXCEEDED, .place = NOWHERE, .lba = 12 },
		{ "Verify, in its second step", NVME_IO_VERIFY, .nsid = 4, .cdw10 = 20,
		  .cdw12 = 599, .status = NVME_SC_UNRECOVERED_READ, .place = NOWHERE,
		  .lba = 20 + 256 },
		{ "Compare: the device", NVME_IO_COMPARE, .nsid = 4, .cdw10 = 11, .len = IO_BLOCK,
		  .status = NVME_SC_UNRECOVERED_READ, .place = NOWHERE, .lba = 11 },
		{ "Compare: other data", NVME_IO_COMPARE, .nsid = 2, .cdw10 = 500, .cdw12 = 7,
		  .len = 8 * IO_BLOCK, .in = a, .status = NVME_SC_COMPARE_FAILURE, .place = NOWHERE,
		  .lba = 503 },
		{ "Flush", NVME_IO_FLUSH, .nsid = 9, .status = NVME_SC_INTERNAL, .place = NOWHERE },
		{ "Flush of all", NVME_IO_FLUSH, .nsid = NVME_NSID_ALL, .status = NVME_SC_INTERNAL,
		  .place = NOWHERE, .error_nsid = 9 },
	};

	(void)state;
	memset(a, 0, sizeof(a));
	a[3 * IO_BLOCK + 17] = 1;
	RUN(&io_conn[0], rows);
}

/* ------------------------------------------------------------------------------- fused pairs */

static void pair_run(struct io compare, struct io write)
{
	struct fake_call first, second;

	io_begin(&io_conn[0], &compare, &first);
	io_begin(&io_conn[0], &write, &second);
	fake_finish(&first);
	fake_finish(&second);
}

static void halves_that_do_not_fit(void **state)
{
	static const struct {
		uint32_t nsid;
		uint64_t slba;
		uint32_t nlb;
		uint16_t place;
	} rows[] = { { 1, 40, 2, AT(4, 0) }, { 2, 41, 2, AT(40, 0) }, { 2, 40, 3, AT(48, 0) } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pair_run((struct io){ NVME_IO_COMPARE, 1, .nsid = 2, .slba = 40, .nlb = 2 },
			 (struct io){ NVME_IO_WRITE, 2, .nsid = rows[i].nsid, .slba = rows[i].slba,
				      .nlb = rows[i].nlb });
		assert_int_equal(entry(0)->opcode, NVME_IO_WRITE);
		assert_int_equal(le16_get(entry(0)->location), rows[i].place);
		assert_int_equal(entry(1)->opcode, NVME_IO_COMPARE);
		assert_int_equal(le16_get(entry(1)->location), NOWHERE);
	}
}

static void halves_have_their_own_blocks(void **state)
{
	(void)state;
	/* The Compare fails, by its device or by what it finds; its Write has no fault. */
	pair_run((struct io){ NVME_IO_COMPARE, 1, .nsid = 4, .slba = 11, .nlb = 1 },
		 (struct io){ NVME_IO_WRITE, 2, .nsid = 4, .slba = 11, .nlb = 1 });
	assert_int_equal(le64_get(entry(1)->lba), 11);
	assert_int_equal(le64_get(entry(0)->lba), 0);
	memset(a, 0, sizeof(a));
	a[2 * IO_BLOCK] = 1;
	pair_run((struct io){ NVME_IO_COMPARE, 1, .nsid = 2, .slba = 40, .nlb = 4, .in = a },
		 (struct io){ NVME_IO_WRITE, 2, .nsid = 2, .slba = 40, .nlb = 4 });
	assert_int_equal(entry(1)->opcode, NVME_IO_COMPARE);
	assert_int_equal(le64_get(entry(1)->lba), 42);
	assert_int_equal(le64_get(entry(0)->lba), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(fields_of_any_command),	     TEST(fields_of_identify),
		TEST(fields_of_get_log_page),	     TEST(fields_of_get_features),
		TEST(fields_of_set_features),	     TEST(fields_of_fabrics_commands),
		TEST(fields_of_io_commands),	     TEST(ranges_of_copy_and_dsm),
		TEST(blocks_that_a_backend_refuses), TEST(halves_that_do_not_fit),
		TEST(halves_have_their_own_blocks),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
