/* SPDX-License-Identifier: BSD-3-Clause */
/* The judge: right answers pass, each kind of wrong one is found, and wrong questions excuse a lot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "build.h"
#include "model.h"

enum { NSID = 3, BLOCK = 512, MAXH2CDATA = 131072 };

static const struct model_guard guard = { .nsid = NSID,
					  .slba = 1000,
					  .blocks = 64,
					  .block_size = BLOCK,
					  .capsule_data = 8192 };

static struct model m;
static struct finding f;
static struct build_context ctx = { .seed = 1, .subnqn = "nqn.2026-11.io.sluice:test" };
static uint8_t out[BUILD_MAX], in[65536];

/* --------------------------------------------------------------------------------- the host's side */

static bool say(const char *line)
{
	struct action a;
	uint32_t n;

	assert_null(action_parse(&a, line));
	n = build_action(&ctx, &a, out);
	return model_sent(&m, out, n);
}

/* ------------------------------------------------------------------------------- the target's side */

/* Ends a PDU of @len bytes in @in, of which the last @data are its data, and hands it over. */
static bool answer(struct pdu_hdr *hdr, uint32_t data)
{
	uint32_t len = hdr->hlen, digests = 0;
	le32_t digest;

	if (m.hdgst && hdr->type != PDU_ICRESP && hdr->type != PDU_C2H_TERM) {
		hdr->flags |= PDU_FLAG_HDGST;
		digests = PDU_DIGEST_LEN;
	}
	if (data && hdr->type == PDU_C2H_DATA) {
		hdr->pdo = (uint8_t)(len + digests);
		if (m.ddgst)
			hdr->flags |= PDU_FLAG_DDGST;
	}
	hdr->plen = le32(len + digests + data + (data && m.ddgst ? PDU_DIGEST_LEN : 0u));
	if (digests) {
		digest = le32(crc32c(hdr, hdr->hlen));
		memcpy((uint8_t *)hdr + len, &digest, sizeof(digest));
		len += digests;
	}
	if (data) {
		memset((uint8_t *)hdr + len, 0x11, data);
		digest = le32(crc32c((uint8_t *)hdr + len, data));
		len += data;
		if (m.ddgst) {
			memcpy((uint8_t *)hdr + len, &digest, sizeof(digest));
			len += PDU_DIGEST_LEN;
		}
	}
	f = (struct finding){ .kind = FINDING_NONE };
	/* In two pieces, as streams come. */
	return model_received(&m, in, len / 3, &f) && model_received(&m, in + len / 3, len - len / 3, &f);
}

static bool icresp(uint8_t dgst)
{
	struct pdu_icresp *pdu = (struct pdu_icresp *)in;

	*pdu = (struct pdu_icresp){ .hdr = { .type = PDU_ICRESP, .hlen = PDU_HLEN_IC },
				    .dgst = dgst,
				    .maxh2cdata = le32(MAXH2CDATA) };
	return answer(&pdu->hdr, 0);
}

static bool rsp(uint16_t cid, uint16_t status)
{
	struct pdu_rsp *pdu = (struct pdu_rsp *)in;

	*pdu = (struct pdu_rsp){ .hdr = { .type = PDU_RSP, .hlen = PDU_HLEN_RSP },
				 .cqe = { .cid = le16(cid), .dw0 = le32(7),
					  .status = le16((uint16_t)(status << 1)) } };
	return answer(&pdu->hdr, 0);
}

static bool data(uint16_t cid, uint32_t offset, uint32_t len, uint8_t flags)
{
	struct pdu_data *pdu = (struct pdu_data *)in;

	*pdu = (struct pdu_data){ .hdr = { .type = PDU_C2H_DATA, .hlen = PDU_HLEN_DATA, .flags = flags },
				  .cccid = le16(cid),
				  .datao = le32(offset),
				  .datal = le32(len) };
	return answer(&pdu->hdr, len);
}

static bool r2t(uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len)
{
	struct pdu_r2t *pdu = (struct pdu_r2t *)in;

	*pdu = (struct pdu_r2t){ .hdr = { .type = PDU_R2T, .hlen = PDU_HLEN_R2T },
				 .cccid = le16(cid),
				 .ttag = le16(ttag),
				 .r2to = le32(offset),
				 .r2tl = le32(len) };
	return answer(&pdu->hdr, 0);
}

static bool term(uint16_t fes)
{
	struct pdu_term *pdu = (struct pdu_term *)in;

	*pdu = (struct pdu_term){ .hdr = { .type = PDU_C2H_TERM, .hlen = PDU_HLEN_TERM },
				  .fes = le16(fes) };
	return answer(&pdu->hdr, 8);
}

static void finds(bool fine, enum finding_kind kind)
{
	if (fine || f.kind != kind)
		fail_msg("found %s (%s), not %s", finding_name(f.kind), f.text, finding_name(kind));
}

/* An I/O queue, connected, with digests @dgst. */
static void begin(unsigned dgst)
{
	char line[64];

	model_init(&m, &guard);
	snprintf(line, sizeof(line), "0 icreq dgst=%u maxr2t=1", dgst);
	assert_true(say(line));
	assert_int_equal(model_owed(&m), 1);
	assert_true(icresp((uint8_t)dgst));
	ctx.hdgst = dgst & 1;
	ctx.ddgst = dgst & 2;
	assert_true(say("0 connect cid=0 qid=1 sqsize=31 cattr=4"));
	assert_int_equal(model_owed(&m), 1);
	assert_true(rsp(0, 0));
	assert_true(m.connected);
	assert_int_equal(model_owed(&m), 0);
}

static const char read_8[] = "0 cmd op=2 cid=5 nsid=3 flags=64 sgl=90 len=0x1000 cdw12=7";
static const char write_8[] = "0 cmd op=1 cid=6 nsid=3 flags=64 sgl=90 len=0x1000 cdw12=7";

/* ------------------------------------------------------------------------------------------- right */

static void test_right_answers(void **state)
{
	(void)state;
	for (unsigned dgst = 0; dgst < 4; dgst++) {
		begin(dgst);
		assert_true(say(read_8));
		assert_int_equal(model_owed(&m), 1);
		assert_true(data(5, 0, 1024, 0));
		assert_true(data(5, 1024, 3072, PDU_FLAG_LAST));
		assert_true(rsp(5, 0));
		assert_true(say(read_8));
		assert_true(data(5, 0, 4096, PDU_FLAG_LAST | PDU_FLAG_SUCCESS));
		assert_int_equal(m.outstanding, 0);
		assert_true(say(write_8));
		assert_true(r2t(6, 9, 0, 2048));
		assert_true(r2t(6, 9, 2048, 2048));
		assert_int_equal(model_owed(&m), 0); /* it is the host's turn */
		for (unsigned i = 0; i < 2; i++) {
			ctx.r2t = (struct build_r2t){ .cid = 6, .ttag = 9, .offset = i * 2048, .len = 2048 };
			ctx.chunk_max = 4096;
			assert_true(say("0 data"));
		}
		assert_int_equal(m.n_r2ts, 0);
		assert_int_equal(model_owed(&m), 1);
		assert_true(rsp(6, 0));
		assert_int_equal(m.bent, BENT_NOT);
		assert_int_equal(model_owed(&m), 0);
	}
}

/* ------------------------------------------------------------------------------------------- wrong */

static void test_completions(void **state)
{
	(void)state;
	begin(0);
	finds(rsp(5, 0), FINDING_ANSWER); /* never sent */
	begin(0);
	say(read_8);
	assert_true(rsp(5, 2));
	finds(rsp(5, 2), FINDING_ANSWER); /* twice */
	begin(0);
	say(read_8);
	finds(rsp(5, 0), FINDING_DATA); /* success without data */
	begin(0);
	say(read_8);
	assert_true(data(5, 0, 2048, PDU_FLAG_LAST));
	finds(rsp(5, 0), FINDING_DATA); /* ... with too little */
	begin(0);
	say(read_8);
	assert_true(data(5, 0, 4096, 0));
	finds(rsp(5, 0), FINDING_DATA); /* ... and no last PDU */
}

static void test_data(void **state)
{
	(void)state;
	begin(2);
	finds(data(5, 0, 512, 0), FINDING_DATA); /* for nobody */
	begin(0);
	say(write_8);
	finds(data(6, 0, 512, 0), FINDING_DATA); /* for a Write */
	begin(0);
	say(read_8);
	finds(data(5, 0, 4100, 0), FINDING_DATA); /* too much */
	begin(0);
	say(read_8);
	finds(data(5, 512, 512, 0), FINDING_DATA); /* a gap */
	begin(0);
	say(read_8);
	assert_true(data(5, 0, 512, PDU_FLAG_LAST));
	finds(data(5, 512, 512, 0), FINDING_DATA); /* after the last */
	begin(0);
	say(read_8);
	finds(data(5, 0, 4096, PDU_FLAG_SUCCESS), FINDING_DATA); /* SUCCESS without LAST */
	begin(0);
	m.sqflow_off = false;
	say(read_8);
	finds(data(5, 0, 4096, PDU_FLAG_SUCCESS | PDU_FLAG_LAST), FINDING_DATA);
}

static void test_r2ts(void **state)
{
	static const struct {
		uint16_t cid;
		uint32_t offset, len;
	} wrong[] = { { 5, 0, 4096 }, { 7, 0, 512 }, { 6, 0, 0 }, { 6, 512, 512 }, { 6, 0, 4100 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		begin(1);
		say(read_8);
		say(write_8);
		finds(r2t(wrong[i].cid, 1, wrong[i].offset, wrong[i].len), FINDING_R2T);
	}
	begin(0);
	say(write_8);
	assert_true(r2t(6, 1, 0, 1024));
	assert_true(r2t(6, 2, 1024, 1024));
	finds(r2t(6, 3, 2048, 1024), FINDING_R2T); /* MAXR2T is 2 */
	begin(0);
	say("0 cmd op=1 cid=6 nsid=3 flags=64 sgl=1 len=512 data=512");
	finds(r2t(6, 1, 0, 512), FINDING_R2T); /* it was all in the capsule */
}

static void test_headers(void **state)
{
	struct pdu_rsp *pdu = (struct pdu_rsp *)in;
	static const struct pdu_hdr wrong[] = {
		{ .type = PDU_CMD, .hlen = 72 },  { .type = PDU_RSP, .hlen = 20 },
		{ .type = PDU_RSP, .hlen = 24, .flags = PDU_FLAG_LAST },
		{ .type = PDU_RSP, .hlen = 24, .pdo = 24 }, { .type = 0xff, .hlen = 24 },
		{ .type = PDU_ICRESP, .hlen = 128 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		begin(0);
		memset(in, 0, sizeof(in));
		pdu->hdr = wrong[i];
		finds(answer(&pdu->hdr, 0), FINDING_PDU);
	}
	begin(1);
	say(read_8);
	memset(in, 0, sizeof(in));
	pdu->hdr = (struct pdu_hdr){ .type = PDU_RSP, .hlen = 24, .flags = PDU_FLAG_HDGST,
				     .plen = le32(28) };
	f = (struct finding){ .kind = FINDING_NONE };
	finds(model_received(&m, in, 28, &f), FINDING_PDU); /* the digest */
	model_init(&m, &guard);
	finds(icresp(0), FINDING_PDU); /* unasked */
	model_init(&m, &guard);
	say("0 icreq");
	finds(icresp(1), FINDING_PDU); /* a digest that nobody wanted */
}

static void test_terminations(void **state)
{
	(void)state;
	begin(0);
	finds(term(1), FINDING_TERM); /* without a cause */
	begin(0);
	assert_true(say("0 icreq"));
	assert_int_equal(m.bent, BENT_HARD);
	assert_true(model_must_end(&m));
	finds(term(7), FINDING_TERM); /* no such status */
	begin(0);
	say("0 icreq");
	assert_true(term(2));
	finds(rsp(5, 0), FINDING_TERM); /* something behind it */
}

/* ------------------------------------------------------------------------------------- wrong hosts */

static void test_what_bends(void **state)
{
	static const struct {
		const char *line;
		enum model_bent bent;
	} lines[] = {
		{ "0 icreq", BENT_HARD },
		{ "0 raw len=64 seed=3", BENT_HARD },
		{ "0 cmd op=2 @2:1=0xff", BENT_HARD },
		{ "0 cmd op=2 @4:4=0x10", BENT_HARD },
		{ "0 cmd op=2 @8:1^0x40 stale", BENT_HARD }, /* header digest */
		{ "0 data", BENT_HARD },
		{ "0 term fes=1", BENT_HARD },
		{ "0 cmd op=2 @1:1=0xf0", BENT_SOFT },
		{ "0 cmd op=2 @3:1=4", BENT_SOFT },
		{ "0 cmd op=1 data=0x3000", BENT_SOFT },
		{ "0 cmd op=2 cid=0xffff", BENT_NOT },
		{ "0 cmd op=2 cut=30", BENT_NOT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		begin(1);
		assert_true(say(lines[i].line));
		if (m.bent != lines[i].bent)
			fail_msg("'%s' bends %d, not %d", lines[i].line, m.bent, lines[i].bent);
	}
	begin(0); /* the same CID twice: one may be answered for the other, but no third */
	say(read_8);
	say(read_8);
	assert_int_equal(m.bent, BENT_SOFT);
	assert_true(rsp(5, 0));
	assert_true(rsp(5, 0));
	finds(rsp(5, 0), FINDING_ANSWER);
	begin(0); /* a tag may have been granted that did not come here yet */
	say(write_8);
	ctx.r2t.cid = 6;
	say("0 data");
	assert_int_equal(m.bent, BENT_SOFT);
}

static void test_nothing_is_owed(void **state)
{
	(void)state;
	begin(0); /* a capsule of which the end is missing */
	say("0 cmd op=1 cid=6 nsid=3 flags=64 sgl=1 len=512 data=512 cut=500");
	assert_int_equal(model_owed(&m), 0);
	begin(0); /* data of which the end is missing */
	say(write_8);
	assert_true(r2t(6, 9, 0, 4096));
	ctx.r2t = (struct build_r2t){ .cid = 6, .ttag = 9, .len = 4096 };
	ctx.chunk_max = 4096;
	say("0 data cut=100");
	assert_int_equal(m.n_r2ts, 0);
	assert_int_equal(model_owed(&m), 0);
	begin(0); /* half of a fused pair */
	say("0 cmd op=5 cid=6 nsid=3 flags=65 sgl=90 len=512");
	assert_int_equal(model_owed(&m), 0);
	begin(0);
	say("0 cmd op=0 cid=6 nsid=3 flags=64");
	assert_int_equal(model_owed(&m), 1);
}

static void test_guard(void **state)
{
	static const struct {
		const char *line;
		bool allowed;
	} lines[] = {
		{ "0 cmd op=1 nsid=3 cdw10=999", true },
		{ "0 cmd op=1 nsid=3 cdw10=999 cdw12=1", false },
		{ "0 cmd op=1 nsid=3 cdw10=1063", false },
		{ "0 cmd op=1 nsid=3 cdw10=1064", true },
		{ "0 cmd op=8 nsid=3 cdw10=0 cdw12=0xffff", false },
		{ "0 cmd op=8 nsid=0xffffffff cdw10=1000", false },
		{ "0 cmd op=9 nsid=3", false },
		{ "0 cmd op=25 nsid=3", false },
		{ "0 cmd op=9 nsid=2", true },
		{ "0 cmd op=2 nsid=3 cdw10=1000", true },
		{ "0 cmd op=1 nsid=2 cdw10=1000", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		begin(0);
		if (say(lines[i].line) != lines[i].allowed)
			fail_msg("'%s' is %s", lines[i].line, lines[i].allowed ? "forbidden" : "allowed");
	}
	model_init(&m, &guard);
	ctx.hdgst = ctx.ddgst = false;
	say("0 icreq");
	icresp(0);
	assert_false(say("0 cmd op=128 nsid=1")); /* Format NVM, on an admin queue */
}

static int teardown(void **state)
{
	(void)state;
	model_fini(&m);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_answers),
		cmocka_unit_test(test_completions),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_r2ts),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_terminations),
		cmocka_unit_test(test_what_bends),
		cmocka_unit_test(test_nothing_is_owed),
		cmocka_unit_test(test_guard),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
