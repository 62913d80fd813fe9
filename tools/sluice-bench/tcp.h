/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue over NVMe/TCP: its socket, what is sent and received on it. Between the files of TCP. */
#ifndef SLUICE_BENCH_TCP_H
#define SLUICE_BENCH_TCP_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "queue.h"
#include "wire.h"

enum {
	TCP_RX_SIZE = 256 * 1024,      /* one receive; smaller with many queues */
	TCP_RX_SIZE_MANY = 64 * 1024,
	TCP_MANY = 16,
	TCP_TX_PIECES = 256,           /* PDUs in one send */
	TCP_TX_BYTES = 512 * 1024,     /* payload in one send */
	TCP_TX_PDU = PDU_HLEN_CMD + 2 * PDU_DIGEST_LEN,
	TCP_FABRICS_IN_CAPSULE = 8192, /* of Fabrics commands, and of the admin queue's (TCP 3.3.2.1) */
};

/* What TCP keeps beside a slot. */
struct tcp_slot {
	uint32_t moved;     /* bytes received, sent in the capsule, or asked for by R2T */
	uint32_t send_no;   /* the send that carries its payload */
	uint8_t r2t_open;   /* R2Ts not yet answered in full */
	bool in_capsule;
	bool last_seen;     /* C2HData with LAST_PDU arrived */
	bool ddgst_bad;
};

/* Something to send: a capsule, or the answer to an R2T. */
struct tx_entry {
	uint16_t slot;
	uint16_t cid;       /* the slot's at that time; an entry of a command that ended is void */
	uint16_t ttag;
	bool data;
	uint32_t offset;
	uint32_t len;
};

struct tcp_queue {
	struct queue q; /* first: see fabric.h */
	int fd;
	bool live;          /* initialized: PDUs other than ICReq may be sent */
	bool recv_armed;
	bool sending;
	bool sock_nonempty; /* the last receive left something behind */
	bool hdgst, ddgst;
	uint32_t maxh2cdata;
	struct tcp_slot *slots;

	struct wire_rx rx;
	uint8_t *rx_buf;
	uint32_t rx_size;

	struct tx_entry *tx; /* ring of what waits */
	unsigned tx_cap, tx_head, tx_len;
	uint8_t *tx_hdrs;
	struct iovec tx_iov[2 * TCP_TX_PIECES + 1];
	unsigned tx_iov_n, tx_iov_at;
	struct msghdr tx_msg;
	uint32_t send_no;
};

static inline struct tcp_queue *tcp_queue(struct queue *q)
{
	return container_of(q, struct tcp_queue, q);
}

/* Adds @entry to what waits to be sent. */
void tcp_tx_push(struct tcp_queue *t, const struct tx_entry *entry);

/* @len received bytes at @buf. False after initiator_fail(). */
bool tcp_received(struct tcp_queue *t, const uint8_t *buf, size_t len);

/* Takes over the connected socket @fd, as if ICReq had been answered. */
void tcp_adopt(struct queue *q, int fd);

/* MAXH2CDATA, as ICResp would have told. */
void tcp_assume(struct queue *q, uint32_t maxh2cdata);

#endif
