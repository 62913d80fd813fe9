/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/crc32c.h"

/* What the header of each PDU that a controller may send looks like. */
struct shape {
	const char *name;
	uint8_t hlen;
	uint8_t flags;  /* that may be set beside the digest flags */
	bool digest;    /* carries a header digest when one is negotiated */
	bool data;
};

static const struct shape shapes[] = {
	[PDU_ICRESP] = { "ICResp", PDU_HLEN_IC, 0, false, false },
	[PDU_C2H_TERM] = { "C2HTermReq", PDU_HLEN_TERM, 0, false, false },
	[PDU_RSP] = { "CapsuleResp", PDU_HLEN_RSP, 0, true, false },
	[PDU_C2H_DATA] = { "C2HData", PDU_HLEN_DATA, PDU_FLAG_LAST | PDU_FLAG_SUCCESS, true, true },
	[PDU_R2T] = { "R2T", PDU_HLEN_R2T, 0, true, false },
};

void wire_rx_init(struct wire_rx *rx)
{
	memset(rx, 0, sizeof(*rx));
}

static enum wire_event_kind __printf(3, 4)
	fault(struct wire_rx *rx, struct wire_event *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rx->fault, sizeof(rx->fault), fmt, ap);
	va_end(ap);
	rx->state = WIRE_DEAD;
	event->kind = WIRE_FAULT;
	return WIRE_FAULT;
}

static const struct shape *shape_find(const struct pdu_hdr *hdr)
{
	if (hdr->type >= ARRAY_SIZE(shapes) || !shapes[hdr->type].name)
		return NULL;
	return &shapes[hdr->type];
}

/* Flags, PDO and PLEN of the common header against what was negotiated (3.6.1); NULL when right. */
static const char *common_fault(const struct wire_rx *rx, const struct shape *shape,
				const struct pdu_hdr *hdr)
{
	uint32_t hdgst_len = shape->digest && rx->hdgst ? PDU_DIGEST_LEN : 0;
	uint32_t plen = le32_get(hdr->plen);
	uint8_t digests = 0;

	if (hdgst_len)
		digests |= PDU_FLAG_HDGST;
	if (shape->data && rx->ddgst)
		digests |= PDU_FLAG_DDGST;
	if ((hdr->flags & (PDU_FLAG_HDGST | PDU_FLAG_DDGST)) != digests)
		return "digest flags that do not match what was negotiated";
	if (hdr->flags & ~(digests | shape->flags))
		return "a reserved flag";
	if (hdr->type == PDU_C2H_TERM)
		return plen < PDU_HLEN_TERM || plen > PDU_TERM_MAX ? "a PLEN outside 24 to 152" :
								     NULL;
	if (shape->data) {
		/* A Linux host never looks at PDO: padding would become payload. */
		if (hdr->pdo != shape->hlen + hdgst_len)
			return "a PDO that leaves padding between header and data";
		return NULL;
	}
	if (hdr->pdo)
		return "a PDO although it carries no data";
	if (plen != shape->hlen + hdgst_len)
		return "a PLEN that does not match its type";
	return NULL;
}

/* Length of the whole header, digest included, or 0 after a fault. @hdr has its 8 bytes. */
static uint32_t header_len(struct wire_rx *rx, struct wire_event *event, const struct pdu_hdr *hdr)
{
	const struct shape *shape = shape_find(hdr);
	const char *what;

	if (!shape) {
		fault(rx, event, "PDU of type %02xh, which a controller does not send", hdr->type);
		return 0;
	}
	if ((hdr->type == PDU_ICRESP) == rx->initialized && hdr->type != PDU_C2H_TERM) {
		fault(rx, event, rx->initialized ? "a second %s" : "%s before ICResp", shape->name);
		return 0;
	}
	if (hdr->hlen != shape->hlen) {
		fault(rx, event, "%s has HLEN %u instead of %u", shape->name, hdr->hlen,
		      shape->hlen);
		return 0;
	}
	what = common_fault(rx, shape, hdr);
	if (what) {
		fault(rx, event, "%s has %s (FLAGS %02xh, PDO %u, PLEN %u)", shape->name, what,
		      hdr->flags, hdr->pdo, le32_get(hdr->plen));
		return 0;
	}
	if (hdr->type == PDU_C2H_TERM)
		return le32_get(hdr->plen);
	return hdr->hlen + (shape->digest && rx->hdgst ? PDU_DIGEST_LEN : 0u);
}

static enum wire_event_kind data_begin(struct wire_rx *rx, struct wire_event *event,
				       const struct pdu_data *pdu)
{
	uint32_t datal = le32_get(pdu->datal);
	uint32_t plen = le32_get(pdu->hdr.plen);
	uint64_t expected = (uint64_t)pdu->hdr.pdo + datal + (rx->ddgst ? PDU_DIGEST_LEN : 0u);

	if (datal == 0)
		return fault(rx, event, "C2HData without data (CCCID %04xh)", le16_get(pdu->cccid));
	if (plen != expected)
		return fault(rx, event, "C2HData has PLEN %u, but header, data and digest are %llu",
			     plen, (unsigned long long)expected);
	rx->data = *pdu;
	rx->left = datal;
	rx->offset = le32_get(pdu->datao);
	rx->crc = CRC32C_INIT;
	rx->state = WIRE_IN_DATA;
	event->pdu = &rx->data;
	return event->kind = WIRE_DATA_BEGIN;
}

/* A whole header of @len bytes, digest included, is at @p. */
static enum wire_event_kind header_done(struct wire_rx *rx, struct wire_event *event,
					const uint8_t *p, uint32_t len)
{
	const struct pdu_hdr *hdr = (const struct pdu_hdr *)p;

	if (hdr->flags & PDU_FLAG_HDGST) {
		le32_t got;
		uint32_t want = crc32c(p, len - PDU_DIGEST_LEN);

		memcpy(&got, p + len - PDU_DIGEST_LEN, sizeof(got));
		if (le32_get(got) != want)
			return fault(rx, event, "%s has header digest %08x instead of %08x",
				     shapes[hdr->type].name, le32_get(got), want);
	}
	event->pdu = p;
	switch (hdr->type) {
	case PDU_ICRESP:
		rx->initialized = true;
		return event->kind = WIRE_ICRESP;
	case PDU_RSP:
		return event->kind = WIRE_RSP;
	case PDU_R2T:
		return event->kind = WIRE_R2T;
	case PDU_C2H_DATA:
		return data_begin(rx, event, (const struct pdu_data *)p);
	default:
		rx->state = WIRE_DEAD;
		return event->kind = WIRE_TERM;
	}
}

static void consume(const uint8_t **buf, size_t *len, size_t n)
{
	*buf += n;
	*len -= n;
}

/* Moves bytes into the accumulator until it holds @need; false when they ran out before. */
static bool accumulate(struct wire_rx *rx, const uint8_t **buf, size_t *len, uint32_t need)
{
	uint32_t n = (uint32_t)MIN((size_t)(need - rx->have), *len);

	memcpy(rx->acc + rx->have, *buf, n);
	rx->have += n;
	consume(buf, len, n);
	return rx->have == need;
}

static enum wire_event_kind header_next(struct wire_rx *rx, const uint8_t **buf, size_t *len,
					struct wire_event *event)
{
	const uint32_t common = sizeof(struct pdu_hdr);
	const uint8_t *p = *buf;
	uint32_t need;

	if (rx->have == 0 && *len >= common) {
		/* The usual case: a whole header lies in the buffer and is read where it is. */
		need = header_len(rx, event, (const struct pdu_hdr *)p);
		if (!need)
			return WIRE_FAULT;
		if (*len >= need) {
			consume(buf, len, need);
			return header_done(rx, event, p, need);
		}
	}
	if (rx->have < common && !accumulate(rx, buf, len, common))
		return event->kind = WIRE_MORE;
	need = header_len(rx, event, (const struct pdu_hdr *)rx->acc);
	if (!need)
		return WIRE_FAULT;
	if (!accumulate(rx, buf, len, need))
		return event->kind = WIRE_MORE;
	rx->have = 0;
	return header_done(rx, event, rx->acc, need);
}

static enum wire_event_kind data_end(struct wire_rx *rx, struct wire_event *event, bool bad)
{
	rx->state = WIRE_IN_HEADER;
	event->pdu = &rx->data;
	event->ddgst_bad = bad;
	return event->kind = WIRE_DATA_END;
}

static enum wire_event_kind data_next(struct wire_rx *rx, const uint8_t **buf, size_t *len,
				      struct wire_event *event)
{
	uint32_t n = (uint32_t)MIN((size_t)rx->left, *len);

	if (rx->left == 0) {
		if (!rx->ddgst)
			return data_end(rx, event, false);
		rx->state = WIRE_IN_DDGST;
		return WIRE_MORE;
	}
	if (n == 0)
		return event->kind = WIRE_MORE;
	event->data = *buf;
	event->len = n;
	event->offset = rx->offset;
	if (rx->ddgst)
		rx->crc = crc32c_update(rx->crc, *buf, n);
	rx->left -= n;
	rx->offset += n;
	consume(buf, len, n);
	return event->kind = WIRE_DATA;
}

enum wire_event_kind wire_next(struct wire_rx *rx, const uint8_t **buf, size_t *len,
			       struct wire_event *event)
{
	le32_t got;

	if (rx->state == WIRE_IN_DATA) {
		enum wire_event_kind kind = data_next(rx, buf, len, event);

		if (rx->state != WIRE_IN_DDGST)
			return kind;
	}
	switch (rx->state) {
	case WIRE_IN_HEADER:
		return header_next(rx, buf, len, event);
	case WIRE_IN_DDGST:
		if (!accumulate(rx, buf, len, PDU_DIGEST_LEN))
			return event->kind = WIRE_MORE;
		rx->have = 0;
		memcpy(&got, rx->acc, sizeof(got));
		return data_end(rx, event, le32_get(got) != crc32c_final(rx->crc));
	default:
		/* After a fault or a termination request whatever follows is void. */
		consume(buf, len, *len);
		return event->kind = WIRE_MORE;
	}
}

void wire_encode_icreq(struct pdu_icreq *pdu, bool hdgst, bool ddgst, uint32_t maxr2t)
{
	memset(pdu, 0, sizeof(*pdu));
	pdu->hdr.type = PDU_ICREQ;
	pdu->hdr.hlen = PDU_HLEN_IC;
	pdu->hdr.plen = le32(PDU_HLEN_IC);
	pdu->dgst = (uint8_t)((hdgst ? PDU_DGST_HEADER : 0) | (ddgst ? PDU_DGST_DATA : 0));
	pdu->maxr2t = le32(maxr2t - 1);
}

/* Completes a header at @hdr that @data_len bytes follow, and adds its digest. */
static uint32_t header_close(struct pdu_hdr *hdr, uint32_t data_len, bool hdgst, bool ddgst)
{
	uint32_t len = hdr->hlen + (hdgst ? PDU_DIGEST_LEN : 0u);
	uint32_t plen = len;

	if (hdgst)
		hdr->flags |= PDU_FLAG_HDGST;
	if (data_len) {
		hdr->pdo = (uint8_t)len;
		plen += data_len;
		if (ddgst) {
			hdr->flags |= PDU_FLAG_DDGST;
			plen += PDU_DIGEST_LEN;
		}
	}
	hdr->plen = le32(plen);
	if (hdgst) {
		le32_t digest = le32(crc32c(hdr, hdr->hlen));

		memcpy((uint8_t *)hdr + hdr->hlen, &digest, sizeof(digest));
	}
	return len;
}

uint32_t wire_encode_cmd(void *buf, const struct nvme_sqe *sqe, uint32_t data_len, bool hdgst,
			 bool ddgst)
{
	struct pdu_cmd *pdu = buf;

	pdu->hdr = (struct pdu_hdr){ .type = PDU_CMD, .hlen = PDU_HLEN_CMD };
	pdu->sqe = *sqe;
	return header_close(&pdu->hdr, data_len, hdgst, ddgst);
}

uint32_t wire_encode_h2c(void *buf, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len,
			 bool last, bool hdgst, bool ddgst)
{
	struct pdu_data *pdu = buf;

	*pdu = (struct pdu_data){
		.hdr = { .type = PDU_H2C_DATA,
			 .flags = last ? PDU_FLAG_LAST : 0,
			 .hlen = PDU_HLEN_DATA },
		.cccid = le16(cid),
		.ttag = le16(ttag),
		.datao = le32(offset),
		.datal = le32(len),
	};
	return header_close(&pdu->hdr, len, hdgst, ddgst);
}
