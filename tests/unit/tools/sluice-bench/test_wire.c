/* SPDX-License-Identifier: BSD-3-Clause */
/* The host's PDU machine: one byte stream, cut in every way, is the same sequence of events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "wire.h"

struct stream {
	uint8_t bytes[4096];
	size_t len;
	bool hdgst, ddgst;
};

static void put(struct stream *s, const void *p, size_t n)
{
	assert_true(s->len + n <= sizeof(s->bytes));
	memcpy(s->bytes + s->len, p, n);
	s->len += n;
}

static void put_header(struct stream *s, struct pdu_hdr *hdr, uint32_t data_len, bool has_hdgst)
{
	uint32_t plen = hdr->hlen + data_len;

	if (has_hdgst && s->hdgst) {
		hdr->flags |= PDU_FLAG_HDGST;
		plen += PDU_DIGEST_LEN;
	}
	if (data_len) {
		hdr->pdo = (uint8_t)(hdr->hlen + (s->hdgst ? PDU_DIGEST_LEN : 0));
		if (s->ddgst) {
			hdr->flags |= PDU_FLAG_DDGST;
			plen += PDU_DIGEST_LEN;
		}
	}
	hdr->plen = le32(plen);
	put(s, hdr, hdr->hlen);
	if (has_hdgst && s->hdgst) {
		le32_t digest = le32(crc32c(hdr, hdr->hlen));

		put(s, &digest, sizeof(digest));
	}
}

static void put_icresp(struct stream *s)
{
	struct pdu_icresp pdu = { .hdr = { .type = PDU_ICRESP, .hlen = PDU_HLEN_IC },
				  .maxh2cdata = le32(131072) };

	put_header(s, &pdu.hdr, 0, false);
}

static void put_rsp(struct stream *s, uint16_t cid)
{
	struct pdu_rsp pdu = { .hdr = { .type = PDU_RSP, .hlen = PDU_HLEN_RSP },
			       .cqe = { .cid = le16(cid) } };

	put_header(s, &pdu.hdr, 0, true);
}

static void put_r2t(struct stream *s, uint16_t cid, uint32_t len)
{
	struct pdu_r2t pdu = { .hdr = { .type = PDU_R2T, .hlen = PDU_HLEN_R2T },
			       .cccid = le16(cid), .r2tl = le32(len) };

	put_header(s, &pdu.hdr, 0, true);
}

static void put_data(struct stream *s, uint16_t cid, uint32_t offset, uint32_t len, uint8_t flags)
{
	struct pdu_data pdu = {
		.hdr = { .type = PDU_C2H_DATA, .hlen = PDU_HLEN_DATA, .flags = flags },
		.cccid = le16(cid),
		.datao = le32(offset),
		.datal = le32(len)
	};
	uint8_t payload[512];

	for (uint32_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(offset + i);
	put_header(s, &pdu.hdr, len, true);
	put(s, payload, len);
	if (s->ddgst) {
		le32_t digest = le32(crc32c(payload, len));

		put(s, &digest, sizeof(digest));
	}
}

static void put_term(struct stream *s)
{
	struct pdu_term pdu = { .hdr = { .type = PDU_C2H_TERM, .hlen = PDU_HLEN_TERM,
					 .plen = le32(PDU_HLEN_TERM + 16) },
				.fes = le16(PDU_FES_RANGE) };
	uint8_t bad[16] = { 0 };

	put(s, &pdu, sizeof(pdu));
	put(s, bad, sizeof(bad));
}

static void stream_make(struct stream *s, bool hdgst, bool ddgst)
{
	s->len = 0;
	s->hdgst = hdgst;
	s->ddgst = ddgst;
	put_icresp(s);
	put_rsp(s, 1);
	put_data(s, 2, 0, 100, 0);
	put_data(s, 2, 100, 412, PDU_FLAG_LAST | PDU_FLAG_SUCCESS);
	put_r2t(s, 3, 8192);
	put_data(s, 4, 0, 4, PDU_FLAG_LAST);
	put_rsp(s, 4);
	put_term(s);
}

/* Feeds bytes and writes what came out as text; pieces of one payload count as one. */
struct listener {
	struct wire_rx rx;
	const struct stream *stream;
	char log[1024];
	int at;
	uint32_t payload;
	uint32_t next_offset;
};

static void note(struct listener *l, const char *fmt, ...) __printf(2, 3);
static void note(struct listener *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	l->at += vsnprintf(l->log + l->at, sizeof(l->log) - (size_t)l->at, fmt, ap);
	va_end(ap);
}

static void listen_event(struct listener *l, const struct wire_event *e)
{
	switch (e->kind) {
	case WIRE_ICRESP:
		l->rx.hdgst = l->stream->hdgst;
		l->rx.ddgst = l->stream->ddgst;
		note(l, "icresp %u;", le32_get(((const struct pdu_icresp *)e->pdu)->maxh2cdata));
		break;
	case WIRE_RSP:
		note(l, "rsp %u;", le16_get(((const struct pdu_rsp *)e->pdu)->cqe.cid));
		break;
	case WIRE_R2T:
		note(l, "r2t %u %u;", le16_get(((const struct pdu_r2t *)e->pdu)->cccid),
		     le32_get(((const struct pdu_r2t *)e->pdu)->r2tl));
		break;
	case WIRE_DATA_BEGIN:
		l->payload = 0;
		l->next_offset = le32_get(((const struct pdu_data *)e->pdu)->datao);
		note(l, "data %u:", le16_get(((const struct pdu_data *)e->pdu)->cccid));
		break;
	case WIRE_DATA:
		assert_int_equal(e->offset, l->next_offset);
		for (uint32_t i = 0; i < e->len; i++)
			assert_int_equal(e->data[i], (uint8_t)(e->offset + i));
		l->payload += e->len;
		l->next_offset += e->len;
		break;
	case WIRE_DATA_END:
		note(l, "%u flags %x%s;", l->payload,
		     ((const struct pdu_data *)e->pdu)->hdr.flags & 0xc,
		     e->ddgst_bad ? " BAD" : "");
		break;
	case WIRE_TERM:
		note(l, "term %u;", le16_get(((const struct pdu_term *)e->pdu)->fes));
		break;
	default:
		note(l, "fault %s;", l->rx.fault);
		break;
	}
}

/* From a copy of exactly @len bytes, so that a sanitizer sees one byte too many being read. */
static void feed(struct listener *l, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	const uint8_t *p = copy;
	struct wire_event e;

	memcpy(copy, bytes, len);
	memset(&e, 0, sizeof(e));
	while (wire_next(&l->rx, &p, &len, &e) != WIRE_MORE) {
		listen_event(l, &e);
		memset(&e, 0, sizeof(e));
	}
	assert_int_equal(len, 0);
	free(copy);
}

static void listener_init(struct listener *l, const struct stream *s)
{
	memset(l, 0, sizeof(*l));
	wire_rx_init(&l->rx);
	l->stream = s;
}

static const char whole_log[] =
	"icresp 131072;rsp 1;data 2:100 flags 0;data 2:412 flags c;r2t 3 8192;"
	"data 4:4 flags 4;rsp 4;term 4;";

static void test_split_everywhere(void **state)
{
	struct stream s;

	(void)state;
	for (unsigned digests = 0; digests < 4; digests++) {
		stream_make(&s, digests & 1, digests & 2);
		for (size_t cut = 0; cut <= s.len; cut++) {
			struct listener l;

			listener_init(&l, &s);
			feed(&l, s.bytes, cut);
			feed(&l, s.bytes + cut, s.len - cut);
			assert_string_equal(l.log, whole_log);
		}
	}
}

static void test_pieces_of_every_size(void **state)
{
	struct stream s;

	(void)state;
	stream_make(&s, true, true);
	for (size_t size = 1; size < 200; size++) {
		struct listener l;

		listener_init(&l, &s);
		for (size_t at = 0; at < s.len; at += size)
			feed(&l, s.bytes + at, MIN(size, s.len - at));
		assert_string_equal(l.log, whole_log);
	}
}

/* One byte of a good stream changed: the message names what is wrong. */
struct damage {
	unsigned pdu;   /* 0: ICResp, 1: CapsuleResp, 2: C2HData, 3: R2T */
	unsigned offset;
	uint8_t value;
	const char *text;
};

static void test_faults(void **state)
{
	static const struct damage damages[] = {
		{ 0, 0, PDU_RSP, "CapsuleResp before ICResp" },
		{ 0, 0, 0x42, "type 42h" },
		{ 0, 2, 24, "ICResp has HLEN 24 instead of 128" },
		{ 0, 4, 127, "a PLEN that does not match" },
		{ 1, 0, PDU_ICRESP, "a second ICResp" },
		{ 1, 0, PDU_CMD, "type 04h" },
		{ 1, 1, PDU_FLAG_HDGST, "digest flags" },
		{ 1, 1, 0x80, "a reserved flag" },
		{ 1, 1, PDU_FLAG_LAST, "a reserved flag" },
		{ 1, 2, 25, "CapsuleResp has HLEN 25 instead of 24" },
		{ 1, 3, 24, "a PDO although it carries no data" },
		{ 1, 4, 25, "a PLEN that does not match" },
		{ 2, 1, PDU_FLAG_DDGST, "digest flags" },
		{ 2, 3, 28, "a PDO that leaves padding" },
		{ 2, 3, 0, "a PDO that leaves padding" },
		{ 2, 4, 99, "C2HData has PLEN 99" },
		{ 2, 16, 0, "C2HData without data" },
		{ 3, 3, 1, "a PDO although it carries no data" },
		{ 3, 1, PDU_FLAG_SUCCESS, "a reserved flag" },
	};
	size_t starts[4];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(damages); i++) {
		struct stream s = { .len = 0 };
		struct listener l;

		starts[0] = s.len;
		put_icresp(&s);
		starts[1] = s.len;
		put_rsp(&s, 1);
		starts[2] = s.len;
		put_data(&s, 2, 0, 100, PDU_FLAG_LAST);
		starts[3] = s.len;
		put_r2t(&s, 3, 8192);
		s.bytes[starts[damages[i].pdu] + damages[i].offset] = damages[i].value;
		for (size_t cut = 0; cut <= s.len; cut += 7) {
			listener_init(&l, &s);
			feed(&l, s.bytes, cut);
			feed(&l, s.bytes + cut, s.len - cut);
			assert_non_null(strstr(l.log, damages[i].text));
			assert_int_equal(l.rx.state, WIRE_DEAD);
		}
	}
}

static void test_digest_errors(void **state)
{
	struct stream s;
	struct listener l;

	(void)state;
	/* A damaged header ends the connection. */
	stream_make(&s, true, true);
	s.bytes[PDU_HLEN_IC + 12] ^= 1;
	listener_init(&l, &s);
	feed(&l, s.bytes, s.len);
	assert_non_null(strstr(l.log, "CapsuleResp has header digest"));

	/* Damaged payload only marks its command: the stream goes on. */
	s.len = 0;
	put_icresp(&s);
	put_data(&s, 2, 0, 100, PDU_FLAG_LAST);
	s.bytes[s.len - 1] ^= 0x10;
	put_rsp(&s, 2);
	listener_init(&l, &s);
	feed(&l, s.bytes, s.len);
	assert_string_equal(l.log, "icresp 131072;data 2:100 flags 4 BAD;rsp 2;");
}

static void test_term_lengths(void **state)
{
	(void)state;
	for (uint32_t plen = 20; plen <= 160; plen += 4) {
		struct stream s = { .len = 0 };
		struct listener l;
		struct pdu_term pdu = { .hdr = { .type = PDU_C2H_TERM, .hlen = PDU_HLEN_TERM,
						 .plen = le32(plen) },
					.fes = le16(3) };
		uint8_t rest[160] = { 0 };
		bool good = plen >= PDU_HLEN_TERM && plen <= PDU_TERM_MAX;

		put(&s, &pdu, sizeof(pdu));
		put(&s, rest, sizeof(rest));
		listener_init(&l, &s);
		feed(&l, s.bytes, s.len);
		assert_non_null(strstr(l.log, good ? "term 3;" : "a PLEN outside"));
	}
}

static void test_encoders(void **state)
{
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE, .cid = le16(7) };
	uint8_t buf[PDU_HLEN_CMD + PDU_DIGEST_LEN];
	const struct pdu_cmd *cmd = (const struct pdu_cmd *)buf;
	const struct pdu_data *data = (const struct pdu_data *)buf;
	struct pdu_icreq icreq;
	le32_t digest;

	(void)state;
	wire_encode_icreq(&icreq, true, false, 4);
	assert_int_equal(icreq.dgst, PDU_DGST_HEADER);
	assert_int_equal(le32_get(icreq.maxr2t), 3);
	assert_int_equal(le32_get(icreq.hdr.plen), 128);

	assert_int_equal(wire_encode_cmd(buf, &sqe, 0, false, true), 72);
	assert_int_equal(cmd->hdr.pdo, 0);
	assert_int_equal(cmd->hdr.flags, 0);
	assert_int_equal(le32_get(cmd->hdr.plen), 72);

	assert_int_equal(wire_encode_cmd(buf, &sqe, 4096, true, true), 76);
	assert_int_equal(cmd->hdr.pdo, 76);
	assert_int_equal(cmd->hdr.flags, PDU_FLAG_HDGST | PDU_FLAG_DDGST);
	assert_int_equal(le32_get(cmd->hdr.plen), 76 + 4096 + 4);
	memcpy(&digest, buf + 72, sizeof(digest));
	assert_int_equal(le32_get(digest), crc32c(buf, 72));

	assert_int_equal(wire_encode_h2c(buf, 7, 9, 4096, 512, true, false, true), 24);
	assert_int_equal(data->hdr.flags, PDU_FLAG_LAST | PDU_FLAG_DDGST);
	assert_int_equal(le32_get(data->hdr.plen), 24 + 512 + 4);
	assert_int_equal(le16_get(data->ttag), 9);
	assert_int_equal(le32_get(data->datao), 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_everywhere),
		cmocka_unit_test(test_pieces_of_every_size),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_digest_errors),
		cmocka_unit_test(test_term_lengths),
		cmocka_unit_test(test_encoders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
