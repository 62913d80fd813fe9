/* SPDX-License-Identifier: BSD-3-Clause */
/* The validator of what a host sends, field by field, and the encoders against the wire format. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "transport/tcp/pdu.h"

static const struct pdu_params plain = { .initialized = true,
					 .max_capsule_data = 8192,
					 .maxh2cdata = 65536 };
static const struct pdu_params digests = { .initialized = true,
					   .hdgst = true,
					   .ddgst = true,
					   .max_capsule_data = 8192,
					   .maxh2cdata = 65536 };
static const struct pdu_params fresh = { .initialized = false };

struct verdict_case {
	const char *name;
	const struct pdu_params *params;
	uint8_t type, flags, hlen, pdo;
	uint32_t plen;
	enum pdu_fes fes; /* PDU_FES_NONE: accepted */
	uint32_t fei;
	uint32_t data_len;
};

static const struct verdict_case cases[] = {
	{ "ICReq", &fresh, PDU_ICREQ, 0, 128, 0, 128, PDU_FES_NONE, 0, 0 },
	{ "ICReq twice", &plain, PDU_ICREQ, 0, 128, 0, 128, PDU_FES_SEQUENCE, 0, 0 },
	{ "command before ICReq", &fresh, PDU_CMD, 0, 72, 0, 72, PDU_FES_SEQUENCE, 0, 0 },
	{ "data before ICReq", &fresh, PDU_H2C_DATA, 0, 24, 24, 28, PDU_FES_SEQUENCE, 0, 0 },
	{ "ICReq, wrong HLEN", &fresh, PDU_ICREQ, 0, 127, 0, 128, PDU_FES_INVALID_HEADER, 2, 0 },
	{ "ICReq, flags", &fresh, PDU_ICREQ, 1, 128, 0, 128, PDU_FES_INVALID_HEADER, 1, 0 },
	{ "ICReq, PDO", &fresh, PDU_ICREQ, 0, 128, 4, 128, PDU_FES_INVALID_HEADER, 3, 0 },
	{ "ICReq, short PLEN", &fresh, PDU_ICREQ, 0, 128, 0, 127, PDU_FES_INVALID_HEADER, 4, 0 },
	{ "ICReq, long PLEN", &fresh, PDU_ICREQ, 0, 128, 0, 0xffffffff, PDU_FES_INVALID_HEADER, 4,
	  0 },
	{ "type of the controller", &plain, PDU_RSP, 0, 24, 0, 24, PDU_FES_INVALID_HEADER, 0, 0 },
	{ "R2T from a host", &plain, PDU_R2T, 0, 24, 0, 24, PDU_FES_INVALID_HEADER, 0, 0 },
	{ "reserved type", &plain, 0x08, 0, 24, 0, 24, PDU_FES_INVALID_HEADER, 0, 0 },
	{ "type FFh", &plain, 0xff, 0, 24, 0, 24, PDU_FES_INVALID_HEADER, 0, 0 },
	{ "command", &plain, PDU_CMD, 0, 72, 0, 72, PDU_FES_NONE, 0, 0 },
	{ "command, HLEN 255", &plain, PDU_CMD, 0, 255, 0, 72, PDU_FES_INVALID_HEADER, 2, 0 },
	{ "command, unasked header digest", &plain, PDU_CMD, 1, 72, 0, 72, PDU_FES_INVALID_HEADER,
	  1, 0 },
	{ "command, reserved flag", &plain, PDU_CMD, 0x80, 72, 0, 72, PDU_FES_INVALID_HEADER, 1,
	  0 },
	{ "command, LAST", &plain, PDU_CMD, PDU_FLAG_LAST, 72, 0, 72, PDU_FES_INVALID_HEADER, 1,
	  0 },
	{ "command, PDO without data", &plain, PDU_CMD, 0, 72, 72, 72, PDU_FES_INVALID_HEADER, 3,
	  0 },
	{ "command, PLEN below HLEN", &plain, PDU_CMD, 0, 72, 0, 71, PDU_FES_INVALID_HEADER, 4, 0 },
	{ "command, data", &plain, PDU_CMD, 0, 72, 72, 72 + 512, PDU_FES_NONE, 0, 512 },
	{ "command, padded data", &plain, PDU_CMD, 0, 72, 128, 128 + 512, PDU_FES_NONE, 0, 512 },
	{ "command, most data", &plain, PDU_CMD, 0, 72, 72, 72 + 8192, PDU_FES_NONE, 0, 8192 },
	{ "command, too much data", &plain, PDU_CMD, 0, 72, 72, 72 + 8193, PDU_FES_INVALID_HEADER,
	  4, 0 },
	{ "command, PLEN at the limit", &plain, PDU_CMD, 0, 72, 72, 0xffffffff,
	  PDU_FES_INVALID_HEADER, 4, 0 },
	{ "command, data inside the header", &plain, PDU_CMD, 0, 72, 64, 600,
	  PDU_FES_INVALID_HEADER, 3, 0 },
	{ "command, odd PDO", &plain, PDU_CMD, 0, 72, 73, 600, PDU_FES_INVALID_HEADER, 3, 0 },
	{ "command, PDO behind the end", &plain, PDU_CMD, 0, 72, 252, 80, PDU_FES_INVALID_HEADER, 4,
	  0 },
	{ "command with digests", &digests, PDU_CMD, 1, 72, 0, 76, PDU_FES_NONE, 0, 0 },
	{ "command with digests, flag missing", &digests, PDU_CMD, 0, 72, 0, 76,
	  PDU_FES_INVALID_HEADER, 1, 0 },
	{ "command with digests, data", &digests, PDU_CMD, 3, 72, 76, 76 + 512 + 4, PDU_FES_NONE, 0,
	  512 },
	{ "command with digests, no DDGST", &digests, PDU_CMD, 1, 72, 76, 76 + 516,
	  PDU_FES_INVALID_HEADER, 1, 0 },
	{ "command with digests, digest only", &digests, PDU_CMD, 3, 72, 76, 80,
	  PDU_FES_INVALID_HEADER, 4, 0 },
	{ "data", &plain, PDU_H2C_DATA, PDU_FLAG_LAST, 24, 24, 24 + 4096, PDU_FES_NONE, 0, 4096 },
	{ "data, most", &plain, PDU_H2C_DATA, 0, 24, 24, 24 + 65536, PDU_FES_NONE, 0, 65536 },
	{ "data, above MAXH2CDATA", &plain, PDU_H2C_DATA, 0, 24, 24, 24 + 65537, PDU_FES_LIMIT, 0,
	  0 },
	{ "data, none", &plain, PDU_H2C_DATA, 0, 24, 24, 24, PDU_FES_INVALID_HEADER, 4, 0 },
	{ "data, PDO 0", &plain, PDU_H2C_DATA, 0, 24, 0, 24 + 4096, PDU_FES_INVALID_HEADER, 3, 0 },
	{ "data with digests", &digests, PDU_H2C_DATA, 3, 24, 28, 28 + 4096 + 4, PDU_FES_NONE, 0,
	  4096 },
	{ "data, SUCCESS", &plain, PDU_H2C_DATA, PDU_FLAG_SUCCESS, 24, 24, 4120,
	  PDU_FES_INVALID_HEADER, 1, 0 },
	{ "termination", &plain, PDU_H2C_TERM, 0, 24, 0, 24, PDU_FES_NONE, 0, 0 },
	{ "termination with header", &plain, PDU_H2C_TERM, 0, 24, 0, 152, PDU_FES_NONE, 0, 128 },
	{ "termination, too long", &plain, PDU_H2C_TERM, 0, 24, 0, 153, PDU_FES_INVALID_HEADER, 4,
	  0 },
	{ "termination, too short", &plain, PDU_H2C_TERM, 0, 24, 0, 23, PDU_FES_INVALID_HEADER, 4,
	  0 },
	{ "termination never has digests", &digests, PDU_H2C_TERM, 0, 24, 0, 24, PDU_FES_NONE, 0,
	  0 },
};

static void validates(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct verdict_case *c = &cases[i];
		struct pdu_hdr hdr = { c->type, c->flags, c->hlen, c->pdo, le32(c->plen) };
		struct pdu_layout layout = { 0 };
		struct pdu_fault fault = { 0 };
		bool ok = pdu_validate(&hdr, c->params, &layout, &fault);

		if (ok != (c->fes == PDU_FES_NONE) ||
		    (!ok && (fault.fes != c->fes || fault.fei != c->fei)) ||
		    (ok && layout.data_len != c->data_len))
			fail_msg("%s: accepted %d, FES %d, FEI %u, data %u", c->name, ok, fault.fes,
				 fault.fei, layout.data_len);
		if (!ok)
			assert_non_null(fault.what);
		else /* the parts make up the whole */
			assert_int_equal(layout.hlen + layout.hdgst_len + layout.pad +
						 layout.data_len + layout.ddgst_len,
					 c->plen);
	}
}

/* No header whatever makes lengths that do not add up or exceed their bounds. */
static void validates_every_first_word(void **state)
{
	static const uint32_t plens[] = { 0,  1,   23,	24,   28,    72,	 76,
					  80, 128, 152, 8264, 65564, 0x7fffffff, 0xffffffff };
	const struct pdu_params *all[] = { &plain, &digests, &fresh };

	(void)state;
	for (unsigned p = 0; p < 3; p++)
		for (unsigned type = 0; type < 12; type++)
			for (unsigned rest = 0; rest < 1 << 13; rest++)
				for (unsigned l = 0; l < sizeof(plens) / sizeof(plens[0]); l++) {
					struct pdu_hdr hdr = {
						(uint8_t)type, (uint8_t)(rest & 15),
						(uint8_t)(rest >> 4 & 7 ? (rest >> 4 & 7) * 24 :
									  128),
						(uint8_t)((rest >> 7) * 4), le32(plens[l])
					};
					struct pdu_layout layout;
					struct pdu_fault fault;

					if (!pdu_validate(&hdr, all[p], &layout, &fault))
						continue;
					assert_int_equal(layout.hlen + layout.hdgst_len +
								 layout.pad + layout.data_len +
								 layout.ddgst_len,
							 plens[l]);
					assert_true(layout.data_len <= 65536);
					assert_true(layout.hlen <= PDU_HLEN_MAX);
				}
}

static void icreq(void **state)
{
	struct pdu_icreq pdu = { 0 };
	struct pdu_fault fault;

	(void)state;
	pdu.hpda = 31;
	pdu.dgst = 3;
	assert_true(pdu_validate_icreq(&pdu, &fault));
	pdu.hpda = 32;
	assert_false(pdu_validate_icreq(&pdu, &fault));
	assert_int_equal(fault.fei, 10);
	pdu.hpda = 0;
	pdu.dgst = 4;
	assert_false(pdu_validate_icreq(&pdu, &fault));
	assert_int_equal(fault.fei, 11);
	pdu.dgst = 0;
	pdu.pfv = le16(1);
	assert_false(pdu_validate_icreq(&pdu, &fault));
	assert_int_equal(fault.fes, PDU_FES_UNSUPPORTED);
	assert_int_equal(fault.fei, 8);
}

static void encodes_data(void **state)
{
	struct pdu_data pdu;

	(void)state;
	pdu_encode_c2h_data(&pdu, 0x1234, 0, 4096, PDU_FLAG_LAST, false, false,
			    pdu_c2h_pdo(false, 0));
	assert_int_equal(pdu.hdr.type, PDU_C2H_DATA);
	assert_int_equal(pdu.hdr.flags, PDU_FLAG_LAST);
	assert_int_equal(pdu.hdr.hlen, 24);
	assert_int_equal(pdu.hdr.pdo, 24);
	assert_int_equal(le32_get(pdu.hdr.plen), 24 + 4096);
	assert_int_equal(le16_get(pdu.cccid), 0x1234);
	/* Digests and a host that wants its data on multiples of 128. */
	pdu_encode_c2h_data(&pdu, 1, 0, 512, PDU_FLAG_LAST, true, true, pdu_c2h_pdo(true, 31));
	assert_int_equal(pdu.hdr.flags, PDU_FLAG_LAST | PDU_FLAG_HDGST | PDU_FLAG_DDGST);
	assert_int_equal(pdu.hdr.pdo, 128);
	assert_int_equal(le32_get(pdu.hdr.plen), 128 + 512 + 4);
}

static void encodes_the_others(void **state)
{
	struct nvme_cqe cqe = { .cid = le16(7), .status = le16(0x4004) };
	struct pdu_fault fault = { PDU_FES_RANGE, 42, "x" };
	uint8_t bad[200], buf[PDU_TERM_MAX];
	struct pdu_icresp icresp;
	struct pdu_rsp rsp;
	struct pdu_r2t r2t;

	(void)state;
	pdu_encode_icresp(&icresp, 3, 131072);
	assert_int_equal(le32_get(icresp.hdr.plen), 128);
	assert_int_equal(icresp.cpda, 0);
	assert_int_equal(icresp.dgst, 3);
	assert_int_equal(le32_get(icresp.maxh2cdata), 131072);
	pdu_encode_rsp(&rsp, &cqe, true);
	assert_int_equal(le32_get(rsp.hdr.plen), 28);
	assert_memory_equal(&rsp.cqe, &cqe, sizeof(cqe));
	pdu_encode_r2t(&r2t, 5, 9, 4096, 8192, false);
	assert_int_equal(le16_get(r2t.ttag), 9);
	assert_int_equal(le32_get(r2t.r2to), 4096);
	assert_int_equal(le32_get(r2t.r2tl), 8192);
	memset(bad, 0xa5, sizeof(bad));
	assert_int_equal(pdu_encode_term(buf, &fault, bad, 8), 32);
	assert_int_equal(buf[8], PDU_FES_RANGE);
	assert_int_equal(buf[10], 42);
	assert_int_equal(buf[31], 0xa5);
	assert_int_equal(pdu_encode_term(buf, &fault, bad, sizeof(bad)), PDU_TERM_MAX);
	for (unsigned fes = 0; fes < 10; fes++)
		assert_non_null(pdu_fes_name(fes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(validates),	cmocka_unit_test(validates_every_first_word),
		cmocka_unit_test(icreq),	cmocka_unit_test(encodes_data),
		cmocka_unit_test(encodes_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
