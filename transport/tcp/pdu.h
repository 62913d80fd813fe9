/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVMe/TCP PDUs (TCP Transport 1.1, section 3.6): layouts, the one validator of what a host sends,
 * and encoders of what a controller sends. Pure: no connection, no I/O.
 */
#ifndef SLUICE_TCP_PDU_H
#define SLUICE_TCP_PDU_H

#include <stdbool.h>

#include "base/nvme.h"

enum pdu_type {
	PDU_ICREQ = 0x00,
	PDU_ICRESP = 0x01,
	PDU_H2C_TERM = 0x02,
	PDU_C2H_TERM = 0x03,
	PDU_CMD = 0x04,
	PDU_RSP = 0x05,
	PDU_H2C_DATA = 0x06,
	PDU_C2H_DATA = 0x07,
	PDU_R2T = 0x09,
};

enum pdu_flags {
	PDU_FLAG_HDGST = 1 << 0,
	PDU_FLAG_DDGST = 1 << 1,
	PDU_FLAG_LAST = 1 << 2,
	PDU_FLAG_SUCCESS = 1 << 3,
};

/* Fatal error status of a termination request (3.6.2.4). */
enum pdu_fes {
	PDU_FES_NONE = 0,
	PDU_FES_INVALID_HEADER = 1, /* FEI: offset of the field */
	PDU_FES_SEQUENCE = 2,
	PDU_FES_HEADER_DIGEST = 3, /* FEI: the digest that was received */
	PDU_FES_RANGE = 4,
	PDU_FES_LIMIT = 5, /* R2T limit, or data transfer limit exceeded */
	PDU_FES_UNSUPPORTED = 6, /* FEI: offset of the parameter */
};

enum {
	PDU_HLEN_IC = 128,
	PDU_HLEN_TERM = 24,
	PDU_HLEN_CMD = 72,
	PDU_HLEN_RSP = 24,
	PDU_HLEN_DATA = 24,
	PDU_HLEN_R2T = 24,
	PDU_HLEN_MAX = 128,
	PDU_DIGEST_LEN = 4,
	PDU_TERM_MAX = 152, /* 24 + at most 128 bytes of the header at fault */
	PDU_MAXH2CDATA_MIN = 4096,
	PDU_HPDA_MAX = 31,
};

struct pdu_hdr {
	uint8_t type;
	uint8_t flags;
	uint8_t hlen;
	uint8_t pdo;
	le32_t plen;
};
_Static_assert(sizeof(struct pdu_hdr) == 8, "common header");

struct pdu_icreq {
	struct pdu_hdr hdr;
	le16_t pfv;
	uint8_t hpda;
	uint8_t dgst; /* bit 0 header, bit 1 data */
	le32_t maxr2t; /* zero based */
	uint8_t rsvd16[112];
};
_Static_assert(sizeof(struct pdu_icreq) == PDU_HLEN_IC, "ICReq");
enum { PDU_DGST_HEADER = 1 << 0, PDU_DGST_DATA = 1 << 1 };

struct pdu_icresp {
	struct pdu_hdr hdr;
	le16_t pfv;
	uint8_t cpda;
	uint8_t dgst;
	le32_t maxh2cdata;
	uint8_t rsvd16[112];
};
_Static_assert(sizeof(struct pdu_icresp) == PDU_HLEN_IC, "ICResp");

struct pdu_term {
	struct pdu_hdr hdr;
	le16_t fes;
	le32_t fei;
	uint8_t rsvd14[10];
	/* the header at fault follows */
};
_Static_assert(sizeof(struct pdu_term) == PDU_HLEN_TERM, "termination request");

struct pdu_cmd {
	struct pdu_hdr hdr;
	struct nvme_sqe sqe;
};
_Static_assert(sizeof(struct pdu_cmd) == PDU_HLEN_CMD, "CapsuleCmd");

struct pdu_rsp {
	struct pdu_hdr hdr;
	struct nvme_cqe cqe;
};
_Static_assert(sizeof(struct pdu_rsp) == PDU_HLEN_RSP, "CapsuleResp");

/* H2CData and C2HData. */
struct pdu_data {
	struct pdu_hdr hdr;
	le16_t cccid;
	le16_t ttag; /* reserved in C2HData */
	le32_t datao;
	le32_t datal;
	uint8_t rsvd20[4];
};
_Static_assert(sizeof(struct pdu_data) == PDU_HLEN_DATA, "data PDU");

struct pdu_r2t {
	struct pdu_hdr hdr;
	le16_t cccid;
	le16_t ttag;
	le32_t r2to;
	le32_t r2tl;
	uint8_t rsvd20[4];
};
_Static_assert(sizeof(struct pdu_r2t) == PDU_HLEN_R2T, "R2T");

/* What a connection negotiated; the validator's whole context. */
struct pdu_params {
	bool initialized; /* ICReq was received */
	bool hdgst;
	bool ddgst;
	uint32_t max_capsule_data; /* in-capsule bytes that this queue admits now */
	uint32_t maxh2cdata;
};

/* A validated PDU's shape, in bytes. */
struct pdu_layout {
	uint8_t hlen;      /* header without digest */
	uint8_t hdgst_len; /* 0 or 4 */
	uint8_t pad;       /* between header (and its digest) and data */
	uint8_t ddgst_len;
	uint32_t data_len; /* payload */
};

struct pdu_fault {
	enum pdu_fes fes;
	uint32_t fei;
	const char *what; /* for people */
};

/*
 * Judges the 8 bytes of the common header that a host sent, so that reading the rest of the header
 * is safe: type, sequence, HLEN, flags, PDO and PLEN are consistent, and no length exceeds its bound.
 * Returns true and *@layout, or false and *@fault. Checks in the order of the fields (3.6.1).
 */
bool pdu_validate(const struct pdu_hdr *hdr, const struct pdu_params *params,
		  struct pdu_layout *layout, struct pdu_fault *fault);

/* Judges a whole ICReq (3.6.2.2). */
bool pdu_validate_icreq(const struct pdu_icreq *icreq, struct pdu_fault *fault);

/* Where data of C2HData begins, for a host that wants it on multiples of (@hpda + 1) * 4 bytes. */
uint8_t pdu_c2h_pdo(bool hdgst, uint8_t hpda);

/* Encoders. @hdgst and @ddgst say which flags and lengths to set; digests are added by the sender. */
void pdu_encode_icresp(struct pdu_icresp *pdu, uint8_t dgst, uint32_t maxh2cdata);

static inline void pdu_encode_hdr(struct pdu_hdr *hdr, enum pdu_type type, uint8_t hlen,
				  bool hdgst)
{
	*hdr = (struct pdu_hdr){ .type = (uint8_t)type,
				 .flags = hdgst ? PDU_FLAG_HDGST : 0,
				 .hlen = hlen,
				 .plen = le32(hlen + (hdgst ? PDU_DIGEST_LEN : 0u)) };
}

static inline void pdu_encode_rsp(struct pdu_rsp *pdu, const struct nvme_cqe *cqe, bool hdgst)
{
	pdu_encode_hdr(&pdu->hdr, PDU_RSP, PDU_HLEN_RSP, hdgst);
	pdu->cqe = *cqe;
}

/* @pdo: as pdu_c2h_pdo() says; what lies between the header, with its digest, and that is not set. */
static inline void pdu_encode_c2h_data(struct pdu_data *pdu, uint16_t cid, uint32_t offset,
				       uint32_t len, uint8_t flags, bool hdgst, bool ddgst,
				       uint8_t pdo)
{
	unsigned digests = (hdgst ? PDU_FLAG_HDGST : 0u) | (ddgst ? PDU_FLAG_DDGST : 0u);

	*pdu = (struct pdu_data){
		.hdr = { .type = PDU_C2H_DATA,
			 .flags = (uint8_t)(flags | digests),
			 .hlen = PDU_HLEN_DATA,
			 .pdo = pdo,
			 .plen = le32(pdo + len + (ddgst ? PDU_DIGEST_LEN : 0u)) },
		.cccid = le16(cid),
		.datao = le32(offset),
		.datal = le32(len),
	};
}

void pdu_encode_r2t(struct pdu_r2t *pdu, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len,
		    bool hdgst);
/* Writes a C2HTermReq with @bad_len bytes (at most 128) of the header at fault; returns its length. */
uint32_t pdu_encode_term(void *buf, const struct pdu_fault *fault, const void *bad, uint32_t bad_len);

/* Text of a fatal error status, for logs. */
const char *pdu_fes_name(unsigned fes);

#endif
