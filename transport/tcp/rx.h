/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receive machine: bytes in, PDUs out, whatever pieces the bytes come in. It does no I/O and
 * knows no connection; what to do with a PDU its owner says by `struct rx_ops`.
 */
#ifndef SLUICE_TCP_RX_H
#define SLUICE_TCP_RX_H

#include "dmabuf/span.h"
#include "transport/tcp/gather.h"
#include "transport/tcp/pdu.h"

struct rx;

enum rx_verdict {
	RX_GO,    /* go on; payload goes to rx->dest, or is dropped when that is NULL */
	RX_PAUSE, /* not now: the same header is judged again by rx_resume() */
	RX_STOP,  /* nothing more is to be parsed */
};

struct rx_ops {
	/* A validated PDU header is whole in rx->hdr; its payload (layout.data_len, maybe 0) follows. */
	enum rx_verdict (*header)(struct rx *rx);
	/* The payload is whole; @digest_ok is false when its digest was wrong. Not called without payload. */
	void (*payload)(struct rx *rx, bool digest_ok);
	/* The stream is broken beyond repair; rx->hdr holds rx->hdr_have bytes of the header at fault. */
	void (*fault)(struct rx *rx, const struct pdu_fault *fault);
};

enum rx_state {
	RX_COMMON,  /* the common header */
	RX_HEADER,  /* the rest of the header and its digest */
	RX_JUDGE,   /* header whole, paused */
	RX_PADDING, /* before the payload */
	RX_PAYLOAD,
	RX_DIGEST,
	RX_STOPPED,
};

struct rx {
	const struct rx_ops *ops;
	struct pdu_params params;
	enum rx_state state;
	struct pdu_layout layout;
	uint8_t hdr[PDU_HLEN_MAX + PDU_DIGEST_LEN];
	uint32_t hdr_have;
	uint32_t left; /* bytes of padding, payload or digest to come */
	uint32_t crc;
	uint8_t digest[PDU_DIGEST_LEN];
	uint64_t copied_bytes; /* payload copied to its destination */
	uint64_t placed_bytes; /* payload that stays in the fragments that it came in */

	/* Where the payload goes; set by ops->header for this PDU alone. */
	const struct spanv *dest;
	uint32_t dest_offset; /* of the next byte */
	struct gather *gather; /* keeps fragments instead of copying them to @dest; NULL: none does */
};

void rx_init(struct rx *rx, const struct rx_ops *ops);

/*
 * Takes bytes in, those of @fragment when that is not NULL and they lie in chunks. Returns how many were
 * used: less than @len only when paused or stopped, the rest is to be offered again after rx_resume().
 */
size_t rx_feed(struct rx *rx, const void *buf, size_t len, const struct span *fragment);

/* Asks ops->header again about the header that was paused at. */
void rx_resume(struct rx *rx);

/* Part of a PDU is there, and the rest has to come. */
static inline bool rx_is_inside(const struct rx *rx)
{
	if (rx->state == RX_COMMON)
		return rx->hdr_have;
	return rx->state != RX_JUDGE && rx->state != RX_STOPPED;
}

/* Payload bytes that may be received straight to rx->dest at rx->dest_offset; 0: none. */
uint32_t rx_placeable(const struct rx *rx);

/* @len bytes, at most rx_placeable(), were received there. */
void rx_placed(struct rx *rx, uint32_t len);

#endif
