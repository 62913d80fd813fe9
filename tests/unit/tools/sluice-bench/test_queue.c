/* SPDX-License-Identifier: BSD-3-Clause */
/* The data path against a controller that the test plays itself, byte by byte, on a socket pair. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "initiator.h"
#include "transport/tcp/pdu.h"

enum { DEPTH = 4, IN_CAPSULE = 4096, MAXH2CDATA = 4096, LEN = 8192 };

struct peer {
	struct initiator *in;
	int fd;
	uint16_t sqhd;
	bool ddgst;
};

struct io {
	struct initiator_cmd cmd;
	unsigned done;
	uint8_t data[LEN];
};

static void io_done(struct initiator_cmd *cmd)
{
	container_of(cmd, struct io, cmd)->done++;
}

static void peer_open(struct peer *p, bool sqflow, bool ddgst, uint32_t maxr2t)
{
	struct initiator_options o = { .peer = "test",
				       .queues = 1,
				       .depth = DEPTH,
				       .maxr2t = maxr2t,
				       .disable_sqflow = !sqflow,
				       .ddgst = ddgst,
				       .connect_timeout_ms = 1000,
				       .io_timeout_ms = 300 };
	int fds[2];

	memset(p, 0, sizeof(*p));
	p->ddgst = ddgst;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(initiator_init(&p->in, &o), 0);
	initiator_assume(p->in, IN_CAPSULE, MAXH2CDATA);
	assert_int_equal(initiator_adopt(p->in, fds, 1), 0);
	p->fd = fds[1];
}

static void peer_close(struct peer *p)
{
	initiator_fini(p->in);
	close(p->fd);
}

static void io_start(struct peer *p, struct io *io, uint8_t opcode, uint32_t len)
{
	memset(io, 0, sizeof(*io));
	io->cmd.sqe.opcode = opcode;
	io->cmd.to_ctrl = opcode == NVME_IO_WRITE;
	io->cmd.data = io->data;
	io->cmd.len = len;
	io->cmd.done = io_done;
	for (uint32_t i = 0; i < len && io->cmd.to_ctrl; i++)
		io->data[i] = (uint8_t)(i * 7);
	assert_int_equal(initiator_submit(p->in, 1, &io->cmd), 0);
	initiator_poll(p->in, 0);
}

/* What the host sent, exactly @len bytes. */
static void peer_read(struct peer *p, void *buf, size_t len)
{
	assert_int_equal(recv(p->fd, buf, len, MSG_WAITALL), len);
}

static void peer_write(struct peer *p, const void *buf, size_t len)
{
	assert_int_equal(send(p->fd, buf, len, 0), len);
}

static uint16_t peer_read_cmd(struct peer *p, uint32_t data_len)
{
	struct pdu_cmd pdu;
	uint8_t payload[LEN];

	peer_read(p, &pdu, sizeof(pdu));
	assert_int_equal(pdu.hdr.type, PDU_CMD);
	assert_int_equal(le32_get(pdu.hdr.plen), sizeof(pdu) + data_len);
	assert_int_equal(pdu.sqe.sgl.type, data_len ? NVME_SGL_DATA_OFFSET : NVME_SGL_TRANSPORT);
	assert_int_equal(pdu.sqe.flags & NVME_PSDT_MASK, NVME_PSDT_SGL);
	if (data_len)
		peer_read(p, payload, data_len);
	for (uint32_t i = 0; i < data_len; i++)
		assert_int_equal(payload[i], (uint8_t)(i * 7));
	p->sqhd = (uint16_t)((p->sqhd + 1) % (DEPTH + 1));
	return le16_get(pdu.sqe.cid);
}

static void peer_rsp(struct peer *p, uint16_t cid, uint16_t status)
{
	struct pdu_rsp pdu = { .hdr = { .type = PDU_RSP, .hlen = PDU_HLEN_RSP, .plen = le32(24) },
			       .cqe = { .cid = le16(cid), .sqhd = le16(p->sqhd),
					.status = le16((uint16_t)(status << 1)) } };

	peer_write(p, &pdu, sizeof(pdu));
}

static void peer_data(struct peer *p, uint16_t cid, uint32_t offset, uint32_t len, uint8_t flags)
{
	struct pdu_data pdu = {
		.hdr = { .type = PDU_C2H_DATA, .hlen = PDU_HLEN_DATA, .pdo = PDU_HLEN_DATA,
			 .flags = (uint8_t)(flags | (p->ddgst ? PDU_FLAG_DDGST : 0)),
			 .plen = le32(24 + len + (p->ddgst ? 4 : 0)) },
		.cccid = le16(cid), .datao = le32(offset), .datal = le32(len),
	};
	uint8_t payload[LEN];

	for (uint32_t i = 0; i < len; i++)
		payload[i] = (uint8_t)((offset + i) * 3);
	peer_write(p, &pdu, sizeof(pdu));
	peer_write(p, payload, len);
	if (p->ddgst) {
		le32_t digest = le32(crc32c(payload, len));

		peer_write(p, &digest, sizeof(digest));
	}
}

static void peer_r2t(struct peer *p, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len)
{
	struct pdu_r2t pdu = { .hdr = { .type = PDU_R2T, .hlen = PDU_HLEN_R2T, .plen = le32(24) },
			       .cccid = le16(cid), .ttag = le16(ttag), .r2to = le32(offset),
			       .r2tl = le32(len) };

	peer_write(p, &pdu, sizeof(pdu));
}

static void peer_read_h2c(struct peer *p, uint16_t ttag, uint32_t offset, uint32_t len, bool last)
{
	struct pdu_data pdu;
	uint8_t payload[LEN];

	peer_read(p, &pdu, sizeof(pdu));
	assert_int_equal(pdu.hdr.type, PDU_H2C_DATA);
	assert_int_equal(le16_get(pdu.ttag), ttag);
	assert_int_equal(le32_get(pdu.datao), offset);
	assert_int_equal(le32_get(pdu.datal), len);
	assert_int_equal(pdu.hdr.flags & PDU_FLAG_LAST, last ? PDU_FLAG_LAST : 0);
	peer_read(p, payload, len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(payload[i], (uint8_t)((offset + i) * 7));
}

/* Polls until @io is back or the association has ended; returns the last poll's result. */
static int settle(struct peer *p, const struct io *io)
{
	int rc = 0;

	for (int i = 0; i < 100 && !rc && !io->done; i++)
		rc = initiator_poll(p->in, 10 * 1000 * 1000);
	return rc;
}

static void expect_violation(struct peer *p, const struct io *io, const char *text)
{
	assert_int_equal(settle(p, io), -ECONNRESET);
	if (!strstr(initiator_error(p->in), text))
		fail_msg("'%s' does not tell of '%s'", initiator_error(p->in), text);
	assert_false(initiator_may_retry(p->in));
	assert_int_equal(io->cmd.outcome, INITIATOR_LOST);
	assert_int_equal(io->done, 1);
	peer_close(p);
}

static void test_read(void **state)
{
	struct peer p;
	struct io io;
	uint16_t cid;

	(void)state;
	peer_open(&p, true, false, 1);
	for (int round = 0; round < 20; round++) {
		io_start(&p, &io, NVME_IO_READ, LEN);
		cid = peer_read_cmd(&p, 0);
		peer_data(&p, cid, 0, LEN / 2, 0);
		peer_data(&p, cid, LEN / 2, LEN / 2, PDU_FLAG_LAST);
		peer_rsp(&p, cid, 0);
		assert_int_equal(settle(&p, &io), 0);
		assert_int_equal(io.done, 1);
		assert_int_equal(io.cmd.status, 0);
		for (unsigned i = 0; i < LEN; i++)
			assert_int_equal(io.data[i], (uint8_t)(i * 3));
	}
	peer_close(&p);
}

static void test_read_success_flag(void **state)
{
	struct peer p;
	struct io io;

	(void)state;
	peer_open(&p, false, false, 1);
	io_start(&p, &io, NVME_IO_READ, 512);
	peer_data(&p, peer_read_cmd(&p, 0), 0, 512, PDU_FLAG_LAST | PDU_FLAG_SUCCESS);
	assert_int_equal(settle(&p, &io), 0);
	assert_int_equal(io.done, 1);
	peer_close(&p);
}

static void test_write_in_capsule(void **state)
{
	struct peer p;
	struct io io;

	(void)state;
	peer_open(&p, true, false, 1);
	io_start(&p, &io, NVME_IO_WRITE, IN_CAPSULE);
	peer_rsp(&p, peer_read_cmd(&p, IN_CAPSULE), 0);
	assert_int_equal(settle(&p, &io), 0);
	assert_int_equal(io.cmd.status, 0);
	peer_close(&p);
}

/* Two R2Ts at a time, the first larger than MAXH2CDATA: three H2CData PDUs in order. */
static void test_write_r2t(void **state)
{
	struct peer p;
	struct io io;
	uint16_t cid;

	(void)state;
	peer_open(&p, true, false, 2);
	io_start(&p, &io, NVME_IO_WRITE, LEN);
	cid = peer_read_cmd(&p, 0);
	peer_r2t(&p, cid, 11, 0, 6000);
	peer_r2t(&p, cid, 12, 6000, LEN - 6000);
	for (int i = 0; i < 10; i++)
		initiator_poll(p.in, 1000000);
	peer_read_h2c(&p, 11, 0, MAXH2CDATA, false);
	peer_read_h2c(&p, 11, MAXH2CDATA, 6000 - MAXH2CDATA, true);
	peer_read_h2c(&p, 12, 6000, LEN - 6000, true);
	peer_rsp(&p, cid, 0);
	assert_int_equal(settle(&p, &io), 0);
	assert_int_equal(io.cmd.status, 0);
	peer_close(&p);
}

static void test_error_status(void **state)
{
	struct peer p;
	struct io io, other;
	uint16_t cid;

	(void)state;
	peer_open(&p, true, false, 1);
	io_start(&p, &io, NVME_IO_WRITE, LEN);
	cid = peer_read_cmd(&p, 0);
	peer_r2t(&p, cid, 1, 0, LEN);
	peer_rsp(&p, cid, NVME_SC_LBA_OUT_OF_RANGE | NVME_STATUS_DNR);
	assert_int_equal(settle(&p, &io), 0);
	assert_int_equal(io.cmd.status, NVME_SC_LBA_OUT_OF_RANGE | NVME_STATUS_DNR);

	/* A read may fail after some of its data. */
	io_start(&p, &other, NVME_IO_READ, LEN);
	cid = peer_read_cmd(&p, 0);
	peer_data(&p, cid, 0, 512, 0);
	peer_rsp(&p, cid, NVME_SC_UNRECOVERED_READ);
	assert_int_equal(settle(&p, &other), 0);
	assert_int_equal(other.cmd.status, NVME_SC_UNRECOVERED_READ);
	peer_close(&p);
}

static void test_data_digest_error(void **state)
{
	struct peer p;
	struct io io;
	uint16_t cid;
	struct pdu_data pdu = { .hdr = { .type = PDU_C2H_DATA,
					 .hlen = PDU_HLEN_DATA,
					 .pdo = PDU_HLEN_DATA,
					 .flags = PDU_FLAG_DDGST | PDU_FLAG_LAST,
					 .plen = le32(24 + 512 + 4) },
				.datal = le32(512) };
	uint8_t payload[516] = { 0 };

	(void)state;
	peer_open(&p, true, true, 1);
	io_start(&p, &io, NVME_IO_READ, 512);
	cid = peer_read_cmd(&p, 0);
	pdu.cccid = le16(cid);
	peer_write(&p, &pdu, sizeof(pdu));
	peer_write(&p, payload, sizeof(payload));
	peer_rsp(&p, cid, 0);
	assert_int_equal(settle(&p, &io), 0);
	assert_int_equal(io.cmd.status, NVME_SC_DATA_TRANSFER_ERROR);
	peer_close(&p);
}

static void test_queue_full(void **state)
{
	struct peer p;
	struct io io[DEPTH + 1];

	(void)state;
	peer_open(&p, true, false, 1);
	for (int i = 0; i < DEPTH; i++)
		io_start(&p, &io[i], NVME_IO_READ, 512);
	memset(&io[DEPTH], 0, sizeof(io[0]));
	assert_int_equal(initiator_submit(p.in, 1, &io[DEPTH].cmd), -EAGAIN);
	peer_close(&p);
	for (int i = 0; i < DEPTH; i++)
		assert_int_equal(io[i].cmd.outcome, INITIATOR_LOST);
}

static void test_connection_lost(void **state)
{
	struct peer p;
	struct io io;

	(void)state;
	peer_open(&p, true, false, 1);
	io_start(&p, &io, NVME_IO_READ, 512);
	shutdown(p.fd, SHUT_RDWR);
	assert_int_equal(settle(&p, &io), -ECONNRESET);
	assert_int_equal(io.cmd.outcome, INITIATOR_LOST);
	assert_true(initiator_may_retry(p.in));
	assert_int_equal(initiator_submit(p.in, 1, &io.cmd), -ENOTCONN);
	peer_close(&p);
}

static void test_time_out(void **state)
{
	struct peer p;
	struct io io;

	(void)state;
	peer_open(&p, true, false, 1);
	io_start(&p, &io, NVME_IO_READ, 512);
	assert_int_equal(settle(&p, &io), -ECONNRESET);
	assert_non_null(strstr(initiator_error(p.in), "no answer to opcode 02h"));
	assert_true(initiator_may_retry(p.in));
	peer_close(&p);
}

/* Every rule that a controller can break with a well-formed PDU, and the words for it. */
static void test_violations(void **state)
{
	struct peer p;
	struct io io;
	uint16_t cid;
	struct pdu_term term = { .hdr = { .type = PDU_C2H_TERM, .hlen = 24, .plen = le32(24) },
				 .fes = le16(PDU_FES_SEQUENCE) };

#define BEGIN(sqflow, opcode, len, capsule)        \
	do {                                       \
		peer_open(&p, sqflow, false, 1);   \
		io_start(&p, &io, opcode, len);    \
		cid = peer_read_cmd(&p, capsule);  \
	} while (0)

	(void)state;
	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_rsp(&p, (uint16_t)(cid + 1), 0);
	expect_violation(&p, &io, "is not outstanding");

	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_rsp(&p, (uint16_t)(cid + 0x1000), 0);
	expect_violation(&p, &io, "is not outstanding");

	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_rsp(&p, cid, 0);
	expect_violation(&p, &io, "fewer bytes than it reads: 0 of 512");

	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_data(&p, cid, 0, 512, 0);
	peer_rsp(&p, cid, 0);
	expect_violation(&p, &io, "without LAST_PDU");

	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_data(&p, cid, 256, 256, PDU_FLAG_LAST);
	expect_violation(&p, &io, "expected offset 0");

	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_data(&p, cid, 0, 1024, PDU_FLAG_LAST);
	expect_violation(&p, &io, "bytes 0+1024");

	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_data(&p, cid, 0, 256, PDU_FLAG_LAST);
	peer_data(&p, cid, 256, 256, PDU_FLAG_LAST);
	expect_violation(&p, &io, "after its LAST_PDU");

	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_data(&p, cid, 0, 512, PDU_FLAG_LAST | PDU_FLAG_SUCCESS);
	expect_violation(&p, &io, "SUCCESS although SQ flow control");

	BEGIN(false, NVME_IO_READ, 512, 0);
	peer_data(&p, cid, 0, 512, PDU_FLAG_SUCCESS);
	expect_violation(&p, &io, "SUCCESS but without LAST_PDU");

	BEGIN(true, NVME_IO_WRITE, 512, 512);
	peer_data(&p, cid, 0, 512, PDU_FLAG_LAST);
	expect_violation(&p, &io, "which reads nothing");

	BEGIN(true, NVME_IO_WRITE, 512, 512);
	peer_r2t(&p, cid, 1, 0, 512);
	expect_violation(&p, &io, "which has no data to send");

	BEGIN(true, NVME_IO_WRITE, LEN, 0);
	peer_r2t(&p, cid, 1, 0, LEN + 4);
	expect_violation(&p, &io, "R2T for bytes 0+8196");

	BEGIN(true, NVME_IO_WRITE, LEN, 0);
	peer_r2t(&p, cid, 1, 0, 0);
	expect_violation(&p, &io, "R2T for bytes 0+0");

	BEGIN(true, NVME_IO_WRITE, LEN, 0);
	peer_r2t(&p, cid, 1, 512, 512);
	expect_violation(&p, &io, "R2T for bytes 512+512");

	BEGIN(true, NVME_IO_WRITE, LEN, 0);
	peer_r2t(&p, cid, 1, 0, 512);
	peer_r2t(&p, cid, 2, 512, 512);
	expect_violation(&p, &io, "R2T limit exceeded");

	BEGIN(true, NVME_IO_WRITE, LEN, 0);
	peer_rsp(&p, cid, 0);
	expect_violation(&p, &io, "before it asked for all of its data");

	BEGIN(true, NVME_IO_READ, 512, 0);
	p.sqhd = DEPTH;
	peer_data(&p, cid, 0, 512, PDU_FLAG_LAST);
	peer_rsp(&p, cid, 0);
	expect_violation(&p, &io, "SQHD 4");

	BEGIN(true, NVME_IO_READ, 512, 0);
	p.sqhd = DEPTH + 1;
	peer_rsp(&p, cid, NVME_SC_INTERNAL);
	expect_violation(&p, &io, "SQHD 5");

	BEGIN(true, NVME_IO_READ, 512, 0);
	peer_write(&p, &term, sizeof(term));
	expect_violation(&p, &io, "PDU sequence error (FES 2");
#undef BEGIN
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_success_flag),
		cmocka_unit_test(test_write_in_capsule),
		cmocka_unit_test(test_write_r2t),
		cmocka_unit_test(test_error_status),
		cmocka_unit_test(test_data_digest_error),
		cmocka_unit_test(test_queue_full),
		cmocka_unit_test(test_connection_lost),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_violations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
