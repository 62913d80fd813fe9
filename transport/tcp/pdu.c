/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/tcp/pdu.h"

#include <string.h>

#include "base/compiler.h"

static bool fault_at(struct pdu_fault *fault, enum pdu_fes fes, size_t fei, const char *what)
{
	*fault = (struct pdu_fault){ .fes = fes, .fei = (uint32_t)fei, .what = what };
	return false;
}

#define INVALID(field, what) \
	fault_at(fault, PDU_FES_INVALID_HEADER, offsetof(struct pdu_hdr, field), what)

/* Header length by type of what a host may send; 0: it may not. */
static uint8_t host_pdu_hlen(uint8_t type)
{
	switch (type) {
	case PDU_ICREQ:
		return PDU_HLEN_IC;
	case PDU_H2C_TERM:
		return PDU_HLEN_TERM;
	case PDU_CMD:
		return PDU_HLEN_CMD;
	case PDU_H2C_DATA:
		return PDU_HLEN_DATA;
	default:
		return 0;
	}
}

/* Flags that are set rightly: digests as negotiated, LAST where it has a meaning. */
static bool flags_valid(const struct pdu_hdr *hdr, const struct pdu_params *params, bool has_data)
{
	uint8_t expected = 0, free_bits = 0;

	if (hdr->type == PDU_CMD || hdr->type == PDU_H2C_DATA) {
		if (params->hdgst)
			expected |= PDU_FLAG_HDGST;
		if (params->ddgst && has_data)
			expected |= PDU_FLAG_DDGST;
	}
	if (hdr->type == PDU_H2C_DATA)
		free_bits = PDU_FLAG_LAST;
	return (hdr->flags & ~free_bits) == expected;
}

/* PLEN of the types that carry no data of a command. */
static bool validate_fixed(const struct pdu_hdr *hdr, struct pdu_layout *layout,
			   struct pdu_fault *fault)
{
	uint32_t plen = le32_get(hdr->plen);

	if (hdr->pdo)
		return INVALID(pdo, "PDO in a PDU without data");
	if (hdr->type == PDU_ICREQ ? plen != PDU_HLEN_IC :
				     plen < PDU_HLEN_TERM || plen > PDU_TERM_MAX)
		return INVALID(plen, "PLEN does not fit the type");
	/* The copy of a header that a termination request carries is read as its data, and dropped. */
	layout->data_len = plen - hdr->hlen;
	return true;
}

static bool validate_data(const struct pdu_hdr *hdr, const struct pdu_params *params,
			  struct pdu_layout *layout, struct pdu_fault *fault)
{
	uint32_t plen = le32_get(hdr->plen);
	uint32_t overhead = hdr->hlen + layout->hdgst_len;
	uint32_t limit = hdr->type == PDU_CMD ? params->max_capsule_data : params->maxh2cdata;

	if (plen == overhead && hdr->type == PDU_CMD) {
		if (hdr->pdo)
			return INVALID(pdo, "PDO in a command capsule without data");
		layout->ddgst_len = 0;
		return true;
	}
	if (plen < overhead)
		return INVALID(plen, "PLEN shorter than the header");
	/* CPDA is 0 here: data begins on a multiple of four, directly behind the header or after padding. */
	if (hdr->pdo < overhead || hdr->pdo % 4)
		return INVALID(pdo, "PDO inside the header or not a multiple of four");
	layout->pad = (uint8_t)(hdr->pdo - overhead);
	if (plen <= (uint32_t)hdr->pdo + layout->ddgst_len)
		return INVALID(plen, "PLEN leaves no room for data");
	layout->data_len = plen - hdr->pdo - layout->ddgst_len;
	if (layout->data_len > limit) {
		if (hdr->type == PDU_H2C_DATA)
			return fault_at(fault, PDU_FES_LIMIT, 0, "H2CData longer than MAXH2CDATA");
		return INVALID(plen, "more in-capsule data than the queue admits");
	}
	return true;
}

bool pdu_validate(const struct pdu_hdr *hdr, const struct pdu_params *params,
		  struct pdu_layout *layout, struct pdu_fault *fault)
{
	uint8_t hlen = host_pdu_hlen(hdr->type);
	bool carries_data = hdr->type == PDU_CMD || hdr->type == PDU_H2C_DATA;
	bool has_data;

	if (!hlen)
		return INVALID(type, "a host does not send this PDU type");
	if (hdr->type == PDU_ICREQ && params->initialized)
		return fault_at(fault, PDU_FES_SEQUENCE, 0, "second ICReq");
	if (hdr->type != PDU_ICREQ && !params->initialized)
		return fault_at(fault, PDU_FES_SEQUENCE, 0, "PDU before ICReq");
	if (hdr->hlen != hlen)
		return INVALID(hlen, "HLEN does not fit the type");
	*layout = (struct pdu_layout){ .hlen = hlen };
	if (carries_data && params->hdgst)
		layout->hdgst_len = PDU_DIGEST_LEN;
	has_data =
		hdr->type == PDU_H2C_DATA ||
		(hdr->type == PDU_CMD && le32_get(hdr->plen) != (uint32_t)hlen + layout->hdgst_len);
	if (!flags_valid(hdr, params, has_data))
		return INVALID(flags, "flags do not fit the type or the digests negotiated");
	if (!carries_data)
		return validate_fixed(hdr, layout, fault);
	if (params->ddgst)
		layout->ddgst_len = PDU_DIGEST_LEN;
	return validate_data(hdr, params, layout, fault);
}

bool pdu_validate_icreq(const struct pdu_icreq *icreq, struct pdu_fault *fault)
{
	if (le16_get(icreq->pfv))
		return fault_at(fault, PDU_FES_UNSUPPORTED, offsetof(struct pdu_icreq, pfv),
				"PDU format version other than 0");
	if (icreq->hpda > PDU_HPDA_MAX)
		return fault_at(fault, PDU_FES_INVALID_HEADER, offsetof(struct pdu_icreq, hpda),
				"HPDA above 31");
	if (icreq->dgst & ~(PDU_DGST_HEADER | PDU_DGST_DATA))
		return fault_at(fault, PDU_FES_INVALID_HEADER, offsetof(struct pdu_icreq, dgst),
				"reserved digest bits set");
	return true;
}

void pdu_encode_icresp(struct pdu_icresp *pdu, uint8_t dgst, uint32_t maxh2cdata)
{
	memset(pdu, 0, sizeof(*pdu));
	pdu_encode_hdr(&pdu->hdr, PDU_ICRESP, PDU_HLEN_IC, false);
	pdu->dgst = dgst;
	pdu->maxh2cdata = le32(maxh2cdata);
}

uint8_t pdu_c2h_pdo(bool hdgst, uint8_t hpda)
{
	unsigned header = PDU_HLEN_DATA + (hdgst ? PDU_DIGEST_LEN : 0u);
	unsigned align = (hpda + 1u) * 4;

	return (uint8_t)((header + align - 1) / align * align);
}

void pdu_encode_r2t(struct pdu_r2t *pdu, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len,
		    bool hdgst)
{
	memset(pdu, 0, sizeof(*pdu));
	pdu_encode_hdr(&pdu->hdr, PDU_R2T, PDU_HLEN_R2T, hdgst);
	pdu->cccid = le16(cid);
	pdu->ttag = le16(ttag);
	pdu->r2to = le32(offset);
	pdu->r2tl = le32(len);
}

uint32_t pdu_encode_term(void *buf, const struct pdu_fault *fault, const void *bad,
			 uint32_t bad_len)
{
	struct pdu_term *pdu = buf;
	uint32_t n = MIN(bad_len, (uint32_t)(PDU_TERM_MAX - PDU_HLEN_TERM));

	memset(pdu, 0, sizeof(*pdu));
	pdu_encode_hdr(&pdu->hdr, PDU_C2H_TERM, PDU_HLEN_TERM, false);
	pdu->hdr.plen = le32(PDU_HLEN_TERM + n);
	pdu->fes = le16((uint16_t)fault->fes);
	pdu->fei = le32(fault->fei);
	memcpy(pdu + 1, bad, n);
	return PDU_HLEN_TERM + n;
}

const char *pdu_fes_name(unsigned fes)
{
	static const char *const names[] = {
		[PDU_FES_NONE] = "none",
		[PDU_FES_INVALID_HEADER] = "invalid PDU header field",
		[PDU_FES_SEQUENCE] = "PDU sequence error",
		[PDU_FES_HEADER_DIGEST] = "header digest error",
		[PDU_FES_RANGE] = "data transfer out of range",
		[PDU_FES_LIMIT] = "R2T or data transfer limit exceeded",
		[PDU_FES_UNSUPPORTED] = "unsupported parameter",
	};

	return fes < ARRAY_SIZE(names) ? names[fes] : "unknown";
}
