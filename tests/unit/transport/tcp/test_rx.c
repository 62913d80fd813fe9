/* SPDX-License-Identifier: BSD-3-Clause */
/* The receive machine: one stream, cut in every possible way, always gives the same PDUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "transport/tcp/rx.h"

enum { DATA = 100, MAX_EVENTS = 32 };

/* What the machine told, and what it is to be told. */
struct witness {
	struct rx rx; /* first */
	unsigned headers, payloads, faults;
	uint8_t types[MAX_EVENTS];
	bool digest_ok[MAX_EVENTS];
	struct pdu_fault fault;
	unsigned pause_at; /* header number to pause at, once; 0: none */
	unsigned paused;
	bool drop;
	struct area area;
	struct span span;
	struct spanv dest;
	uint8_t memory[4096];
};

static enum rx_verdict on_header(struct rx *rx)
{
	struct witness *w = (struct witness *)rx;

	if (w->pause_at == w->headers + 1 && !w->paused) {
		w->paused++;
		return RX_PAUSE;
	}
	w->types[w->headers++ % MAX_EVENTS] = rx->hdr[0];
	if (rx->hdr[0] == PDU_ICREQ) {
		const struct pdu_icreq *icreq = (const struct pdu_icreq *)rx->hdr;

		rx->params =
			(struct pdu_params){ true, icreq->dgst & 1, icreq->dgst & 2, 8192, 65536 };
	} else if (!w->drop) {
		rx->dest = &w->dest;
		rx->dest_offset = 0;
	}
	return RX_GO;
}

static void on_payload(struct rx *rx, bool digest_ok)
{
	struct witness *w = (struct witness *)rx;

	w->digest_ok[w->payloads++ % MAX_EVENTS] = digest_ok;
}

static void on_fault(struct rx *rx, const struct pdu_fault *fault)
{
	struct witness *w = (struct witness *)rx;

	w->faults++;
	w->fault = *fault;
}

static const struct rx_ops ops = { on_header, on_payload, on_fault };

static void witness_init(struct witness *w)
{
	memset(w, 0, sizeof(*w));
	rx_init(&w->rx, &ops);
	w->area = (struct area){ .faces = AREA_FACE_CPU,
				 .base = w->memory,
				 .size = sizeof(w->memory) };
	w->span = (struct span){ &w->area, 0, sizeof(w->memory) };
	spanv_init(&w->dest, &w->span, 1);
	w->dest.n = 1;
	w->dest.len = sizeof(w->memory);
}

/* ICReq, a command, a command with data behind padding, H2CData, with the digests asked for. */
static size_t make_stream(uint8_t *buf, uint8_t dgst)
{
	unsigned hd = dgst & 1 ? 4 : 0, dd = dgst & 2 ? 4 : 0;
	struct pdu_icreq icreq = { .hdr = { PDU_ICREQ, 0, 128, 0, le32(128) }, .dgst = dgst };
	struct pdu_cmd cmd = { .hdr = { PDU_CMD, hd ? 1 : 0, 72, 0, le32(72 + hd) } };
	struct pdu_data data = { .hdr = { PDU_H2C_DATA, (uint8_t)((hd ? 1 : 0) | (dd ? 2 : 0) | 4),
					  24, (uint8_t)(24 + hd), le32(24 + hd + DATA + dd) } };
	uint8_t payload[DATA], *p = buf;
	le32_t digest;

	for (unsigned i = 0; i < DATA; i++)
		payload[i] = (uint8_t)(i * 7 + 1);
	memcpy(p, &icreq, sizeof(icreq));
	p += sizeof(icreq);
	for (int with_data = 0; with_data < 2; with_data++) {
		if (with_data) {
			cmd.hdr.flags = (uint8_t)((hd ? 1 : 0) | (dd ? 2 : 0));
			cmd.hdr.pdo = 96;
			cmd.hdr.plen = le32(96 + DATA + dd);
		}
		memcpy(p, &cmd, sizeof(cmd));
		p += sizeof(cmd);
		digest = le32(crc32c(&cmd, sizeof(cmd)));
		memcpy(p, &digest, hd);
		p += hd;
		if (!with_data)
			continue;
		memset(p, 0, 96 - 72 - hd);
		p += 96 - 72 - hd;
		memcpy(p, payload, DATA);
		p += DATA;
		digest = le32(crc32c(payload, DATA));
		memcpy(p, &digest, dd);
		p += dd;
	}
	memcpy(p, &data, sizeof(data));
	p += sizeof(data);
	digest = le32(crc32c(&data, sizeof(data)));
	memcpy(p, &digest, hd);
	p += hd;
	memcpy(p, payload, DATA);
	p += DATA;
	digest = le32(crc32c(payload, DATA));
	memcpy(p, &digest, dd);
	p += dd;
	return (size_t)(p - buf);
}

static void check_stream(const struct witness *w)
{
	static const uint8_t types[] = { PDU_ICREQ, PDU_CMD, PDU_CMD, PDU_H2C_DATA };

	assert_int_equal(w->faults, 0);
	assert_int_equal(w->headers, 4);
	assert_memory_equal(w->types, types, sizeof(types));
	assert_int_equal(w->payloads, 2);
	assert_true(w->digest_ok[0] && w->digest_ok[1]);
	for (unsigned i = 0; i < DATA; i++)
		assert_int_equal(w->memory[i], (uint8_t)(i * 7 + 1));
}

/* Feeds through pauses as a connection does. */
static void feed(struct witness *w, const uint8_t *p, size_t len)
{
	while (len) {
		size_t used = rx_feed(&w->rx, p, len, NULL);

		p += used;
		len -= used;
		if (w->rx.state == RX_JUDGE)
			rx_resume(&w->rx);
		else if (len)
			break;
	}
}

static void cut_anywhere(void **state)
{
	uint8_t buf[1024];

	(void)state;
	for (uint8_t dgst = 0; dgst < 4; dgst++) {
		size_t len = make_stream(buf, dgst);

		for (size_t cut = 0; cut <= len; cut++) {
			struct witness w;

			witness_init(&w);
			feed(&w, buf, cut);
			feed(&w, buf + cut, len - cut);
			check_stream(&w);
		}
		for (size_t piece = 1; piece < 40; piece++) {
			struct witness w;

			witness_init(&w);
			for (size_t at = 0; at < len; at += piece)
				feed(&w, buf + at, piece < len - at ? piece : len - at);
			check_stream(&w);
		}
	}
}

static void paused_anywhere(void **state)
{
	uint8_t buf[1024];
	size_t len = make_stream(buf, 3);

	(void)state;
	for (unsigned at = 1; at <= 4; at++) {
		for (size_t piece = 1; piece < 80; piece += 3) {
			struct witness w;

			witness_init(&w);
			w.pause_at = at;
			for (size_t i = 0; i < len; i += piece)
				feed(&w, buf + i, piece < len - i ? piece : len - i);
			assert_int_equal(w.paused, 1);
			check_stream(&w);
		}
	}
}

/* Payload that does not pass through the machine is placed by its owner. */
static void placed(void **state)
{
	uint8_t buf[1024];

	(void)state;
	for (uint8_t dgst = 0; dgst < 4; dgst++) {
		size_t len = make_stream(buf, dgst), tail = DATA + (dgst & 2 ? 4 : 0);

		for (uint32_t before = 0; before < DATA; before++) {
			struct witness w;
			size_t at = len - tail + before;

			witness_init(&w);
			feed(&w, buf, at);
			assert_int_equal(rx_placeable(&w.rx), DATA - before);
			memcpy(w.memory + before, buf + at, DATA - before);
			rx_placed(&w.rx, DATA - before);
			feed(&w, buf + len - (dgst & 2 ? 4 : 0), dgst & 2 ? 4 : 0);
			check_stream(&w);
		}
	}
}

static void dropped_payload_leaves_no_trace(void **state)
{
	static const uint8_t zero[DATA];
	uint8_t buf[1024];
	size_t len = make_stream(buf, 0);
	struct witness w;

	(void)state;
	witness_init(&w);
	w.drop = true;
	feed(&w, buf, len);
	assert_int_equal(w.payloads, 2);
	assert_int_equal(rx_placeable(&w.rx), 0);
	assert_memory_equal(w.memory, zero, DATA);
}

/* Every single flipped bit of a header is caught by its digest or the validator. */
static void flipped_header_bits(void **state)
{
	uint8_t buf[1024];
	size_t len = make_stream(buf, 1);

	(void)state;
	for (unsigned bit = 0; bit < 76 * 8; bit++) {
		struct witness w;

		witness_init(&w);
		buf[128 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		feed(&w, buf, len);
		buf[128 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		/* A longer PLEN may swallow what follows, but the command is never taken for good. */
		assert_true(w.faults == 1 || w.headers == 1);
		assert_int_equal(w.headers, 1);
	}
}

/* How a common header is judged does not depend on how much of the PDU is there. */
static void judged_alike(const uint8_t *p, size_t len)
{
	struct witness whole, pieces;

	witness_init(&whole);
	witness_init(&pieces);
	feed(&whole, p, len);
	for (size_t i = 0; i < len; i++)
		feed(&pieces, p + i, 1);
	assert_int_equal(whole.headers, pieces.headers);
	assert_int_equal(whole.faults, pieces.faults);
	assert_int_equal(whole.fault.fes, pieces.fault.fes);
	assert_int_equal(whole.fault.fei, pieces.fault.fei);
	assert_int_equal(whole.rx.hdr_have, pieces.rx.hdr_have);
	assert_int_equal(whole.rx.state, pieces.rx.state);
}

static void whole_and_in_pieces_alike(void **state)
{
	uint8_t buf[1024];

	(void)state;
	for (uint8_t dgst = 0; dgst < 4; dgst++) {
		size_t len = make_stream(buf, dgst);

		judged_alike(buf + 128, len - 128); /* before ICReq */
		for (unsigned bit = 0; bit < sizeof(struct pdu_hdr) * 8; bit++) {
			buf[128 + bit / 8] ^= (uint8_t)(1 << bit % 8);
			judged_alike(buf, len);
			buf[128 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		judged_alike(buf, len);
	}
}

static void flipped_payload_bits(void **state)
{
	uint8_t buf[1024];
	size_t len = make_stream(buf, 2);

	(void)state;
	for (unsigned bit = 0; bit < (DATA + 4) * 8; bit += 5) {
		struct witness w;
		size_t at = len - DATA - 4 + bit / 8;

		witness_init(&w);
		buf[at] ^= (uint8_t)(1 << bit % 8);
		feed(&w, buf, len);
		buf[at] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(w.faults,
				 0); /* not fatal: the command fails, the connection goes on */
		assert_int_equal(w.payloads, 2);
		assert_false(w.digest_ok[1]);
	}
}

static void stops_at_a_fault(void **state)
{
	uint8_t buf[1024];
	size_t len = make_stream(buf, 0), used;
	struct witness w;

	(void)state;
	witness_init(&w);
	buf[128] = 0x77; /* the command's type */
	used = rx_feed(&w.rx, buf, len, NULL);
	assert_int_equal(used, 128 + 8);
	assert_int_equal(w.faults, 1);
	assert_int_equal(w.fault.fes, PDU_FES_INVALID_HEADER);
	assert_int_equal(w.rx.hdr_have, 8);
	assert_int_equal(rx_feed(&w.rx, buf, len, NULL), 0);
	assert_int_equal(w.faults, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(paused_anywhere),
		cmocka_unit_test(placed),
		cmocka_unit_test(dropped_payload_leaves_no_trace),
		cmocka_unit_test(flipped_header_bits),
		cmocka_unit_test(whole_and_in_pieces_alike),
		cmocka_unit_test(flipped_payload_bits),
		cmocka_unit_test(stops_at_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
