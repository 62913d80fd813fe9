/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/tcp/rx.h"

#include <assert.h>
#include <string.h>

#include "base/compiler.h"
#include "base/crc32c.h"

void rx_init(struct rx *rx, const struct rx_ops *ops)
{
	*rx = (struct rx){ .ops = ops, .state = RX_COMMON };
}

static void rx_fault(struct rx *rx, const struct pdu_fault *fault)
{
	rx->state = RX_STOPPED;
	rx->ops->fault(rx, fault);
}

static void rx_next_pdu(struct rx *rx)
{
	rx->state = RX_COMMON;
	rx->hdr_have = 0;
	rx->dest = NULL;
	rx->gather = NULL;
}

static void rx_payload_done(struct rx *rx, bool digest_ok)
{
	/* The callback may stop the machine. */
	rx->ops->payload(rx, digest_ok);
	if (rx->state != RX_STOPPED)
		rx_next_pdu(rx);
}

static void rx_begin_payload(struct rx *rx)
{
	rx->crc = CRC32C_INIT;
	rx->left = rx->layout.data_len;
	rx->state = RX_PAYLOAD;
}

static void rx_judge(struct rx *rx)
{
	rx->dest = NULL;
	rx->gather = NULL;
	switch (rx->ops->header(rx)) {
	case RX_PAUSE:
		rx->state = RX_JUDGE;
		return;
	case RX_STOP:
		rx->state = RX_STOPPED;
		return;
	case RX_GO:
		break;
	}
	if (rx->layout.pad) {
		rx->left = rx->layout.pad;
		rx->state = RX_PADDING;
	} else if (rx->layout.data_len) {
		rx_begin_payload(rx);
	} else {
		rx_next_pdu(rx);
	}
}

/* Gathers @need bytes in rx->hdr; true when they are all there. */
static bool rx_gather(struct rx *rx, uint32_t need, const uint8_t **p, size_t *len)
{
	uint32_t n = (uint32_t)MIN((size_t)(need - rx->hdr_have), *len);

	memcpy(rx->hdr + rx->hdr_have, *p, n);
	rx->hdr_have += n;
	*p += n;
	*len -= n;
	return rx->hdr_have == need;
}

/*
 * Most of what hosts send is a command capsule without data. Where one lies whole at *@p it is known
 * by its common header: these eight bytes, and pdu_validate() would find nothing else in them.
 */
static bool rx_plain_capsule(struct rx *rx, const uint8_t **p, size_t *len)
{
	const struct pdu_hdr plain = { .type = PDU_CMD,
				       .hlen = PDU_HLEN_CMD,
				       .plen = le32(PDU_HLEN_CMD) };

	if (*len < PDU_HLEN_CMD || rx->hdr_have || memcmp(*p, &plain, sizeof(plain)) ||
	    !rx->params.initialized || rx->params.hdgst)
		return false;
	rx->layout = (struct pdu_layout){ .hlen = PDU_HLEN_CMD };
	memcpy(rx->hdr, *p, PDU_HLEN_CMD);
	rx->hdr_have = PDU_HLEN_CMD;
	*p += PDU_HLEN_CMD;
	*len -= PDU_HLEN_CMD;
	rx_judge(rx);
	return true;
}

static void rx_common_header(struct rx *rx)
{
	struct pdu_fault fault;

	if (!pdu_validate((const struct pdu_hdr *)rx->hdr, &rx->params, &rx->layout, &fault)) {
		rx_fault(rx, &fault);
		return;
	}
	rx->state = RX_HEADER;
}

static void rx_whole_header(struct rx *rx)
{
	if (rx->layout.hdgst_len) {
		uint32_t digest;

		memcpy(&digest, rx->hdr + rx->layout.hlen, sizeof(digest));
		if (le32toh(digest) != crc32c(rx->hdr, rx->layout.hlen)) {
			struct pdu_fault fault = { PDU_FES_HEADER_DIGEST, le32toh(digest),
						   "wrong header digest" };

			rx_fault(rx, &fault);
			return;
		}
	}
	rx_judge(rx);
}

/* @len bytes of payload are where they belong. */
static void rx_payload_advance(struct rx *rx, uint32_t len)
{
	rx->left -= len;
	if (rx->left)
		return;
	if (rx->layout.ddgst_len) {
		rx->left = PDU_DIGEST_LEN;
		rx->state = RX_DIGEST;
	} else {
		rx_payload_done(rx, true);
	}
}

/* @len bytes of payload at @p, at byte @at of @fragment if that is not NULL. */
static void rx_payload_take(struct rx *rx, const uint8_t *p, uint32_t len,
			    const struct span *fragment, uint64_t at)
{
	if (rx->layout.ddgst_len)
		rx->crc = crc32c_update(rx->crc, p, len);
	if (rx->gather && fragment) {
		const struct span piece = { fragment->area, fragment->offset + at, len };
		uint32_t copied = gather_add(rx->gather, rx->dest_offset, &piece);

		rx->copied_bytes += copied;
		rx->placed_bytes += len - copied;
	} else if (rx->gather) {
		gather_copy(rx->gather, rx->dest_offset, p, len);
		rx->copied_bytes += len;
	} else if (rx->dest) {
		spanv_write(rx->dest, rx->dest_offset, p, len);
		rx->copied_bytes += len;
	}
	if (rx->dest)
		rx->dest_offset += len;
	rx_payload_advance(rx, len);
}

static void rx_digest(struct rx *rx, const uint8_t *p, uint32_t len)
{
	uint32_t digest;

	memcpy(rx->digest + PDU_DIGEST_LEN - rx->left, p, len);
	rx->left -= len;
	if (rx->left)
		return;
	memcpy(&digest, rx->digest, sizeof(digest));
	rx_payload_done(rx, le32toh(digest) == crc32c_final(rx->crc));
}

size_t rx_feed(struct rx *rx, const void *buf, size_t len, const struct span *fragment)
{
	const uint8_t *p = buf;
	size_t left = len;

	while (left && rx->state != RX_STOPPED && rx->state != RX_JUDGE) {
		uint32_t n;

		switch (rx->state) {
		case RX_COMMON:
			if (!rx_plain_capsule(rx, &p, &left) &&
			    rx_gather(rx, sizeof(struct pdu_hdr), &p, &left))
				rx_common_header(rx);
			continue;
		case RX_HEADER:
			if (rx_gather(rx, rx->layout.hlen + rx->layout.hdgst_len, &p, &left))
				rx_whole_header(rx);
			continue;
		default:
			break;
		}
		n = (uint32_t)MIN((size_t)rx->left, left);
		if (rx->state == RX_PAYLOAD) {
			rx_payload_take(rx, p, n, fragment, len - left);
		} else if (rx->state == RX_DIGEST) {
			rx_digest(rx, p, n);
		} else {
			rx->left -= n;
			if (!rx->left)
				rx_begin_payload(rx);
		}
		p += n;
		left -= n;
	}
	return len - left;
}

void rx_resume(struct rx *rx)
{
	assert(rx->state == RX_JUDGE);
	rx_judge(rx);
}

uint32_t rx_placeable(const struct rx *rx)
{
	return rx->state == RX_PAYLOAD && rx->dest ? rx->left : 0;
}

void rx_placed(struct rx *rx, uint32_t len)
{
	assert(len && len <= rx_placeable(rx));
	if (rx->layout.ddgst_len)
		rx->crc = spanv_crc32c(rx->dest, rx->dest_offset, len, rx->crc);
	rx->dest_offset += len;
	rx_payload_advance(rx, len);
}
