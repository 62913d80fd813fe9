/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's side of the NVMe/TCP wire (TCP Transport 1.1, section 3.6): a machine that takes the
 * controller's byte stream apart, however it was cut, and encoders of what a host sends. Pure: it
 * knows no socket and no command; whether an event fits a command is the queue's business.
 */
#ifndef SLUICE_BENCH_WIRE_H
#define SLUICE_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/tcp/pdu.h"

enum wire_event_kind {
	WIRE_MORE,       /* every byte is consumed: receive more */
	WIRE_ICRESP,     /* pdu: struct pdu_icresp */
	WIRE_RSP,        /* pdu: struct pdu_rsp */
	WIRE_R2T,        /* pdu: struct pdu_r2t */
	WIRE_DATA_BEGIN, /* pdu: struct pdu_data; its payload comes next */
	WIRE_DATA,       /* data, len: a piece of the payload, offset: its place in the command */
	WIRE_DATA_END,   /* pdu: as at the beginning; ddgst_bad: the payload's digest is wrong */
	WIRE_TERM,       /* pdu: struct pdu_term: the controller ends the connection */
	WIRE_FAULT,      /* the controller broke a rule: text says which; nothing can follow */
};

struct wire_event {
	enum wire_event_kind kind;
	const void *pdu; /* valid until the next call */
	const uint8_t *data;
	uint32_t len;
	uint32_t offset;
	bool ddgst_bad;
};

enum wire_state { WIRE_IN_HEADER, WIRE_IN_DATA, WIRE_IN_DDGST, WIRE_DEAD };

struct wire_rx {
	enum wire_state state;
	bool initialized; /* ICResp was seen */
	bool hdgst;
	bool ddgst;
	uint32_t have; /* bytes in @acc, of a header or digest that arrived in pieces */
	uint32_t left; /* payload bytes still to come */
	uint32_t offset;
	uint32_t crc;
	struct pdu_data data; /* the C2HData in progress */
	uint8_t acc[PDU_TERM_MAX];
	char fault[192];
};

/* Begins a connection: the first PDU has to be an ICResp. Digests are set once they are negotiated. */
void wire_rx_init(struct wire_rx *rx);

/*
 * Takes bytes from *@buf (of *@len), moves both forward, and describes in @event what they were.
 * Call until it returns WIRE_MORE. After WIRE_FAULT @rx->fault holds a sentence for people.
 */
enum wire_event_kind wire_next(struct wire_rx *rx, const uint8_t **buf, size_t *len,
			       struct wire_event *event);

/* ICReq: digests wanted, @maxr2t outstanding R2Ts a command, one based. */
void wire_encode_icreq(struct pdu_icreq *pdu, bool hdgst, bool ddgst, uint32_t maxr2t);

/*
 * A command capsule's header at @buf (PDU_HLEN_CMD + PDU_DIGEST_LEN bytes): the SQE as it is and
 * @data_len bytes of in-capsule data announced. Returns the length, header digest included.
 */
uint32_t wire_encode_cmd(void *buf, const struct nvme_sqe *sqe, uint32_t data_len, bool hdgst,
			 bool ddgst);

/* An H2CData header at @buf (PDU_HLEN_DATA + PDU_DIGEST_LEN bytes); returns its length likewise. */
uint32_t wire_encode_h2c(void *buf, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len,
			 bool last, bool hdgst, bool ddgst);

#endif
