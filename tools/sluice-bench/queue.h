/* SPDX-License-Identifier: BSD-3-Clause */
/* One queue of an association: its socket, command slots, and both directions of the data path. */
#ifndef SLUICE_BENCH_QUEUE_H
#define SLUICE_BENCH_QUEUE_H

#include <sys/uio.h>

#include "initiator.h"
#include "wire.h"

enum {
	QUEUE_RX_SIZE = 256 * 1024,      /* one receive; smaller with many queues */
	QUEUE_RX_SIZE_MANY = 64 * 1024,
	QUEUE_MANY = 16,
	QUEUE_TX_PIECES = 256,           /* PDUs in one send */
	QUEUE_TX_BYTES = 512 * 1024,     /* payload in one send */
	QUEUE_TX_PDU = PDU_HLEN_CMD + 2 * PDU_DIGEST_LEN,
	QUEUE_CID_SHIFT = 12,            /* above the slot's index: a counter that catches stale CIDs */
};

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_SENT, SLOT_HELD };

struct slot {
	struct initiator_cmd *cmd;
	enum slot_state state;
	uint16_t cid;
	uint64_t sq_pos;    /* its place among all commands of the queue */
	uint8_t r2t_open;   /* R2Ts not yet answered in full */
	bool in_capsule;
	bool last_seen;     /* C2HData with LAST_PDU arrived */
	bool ddgst_bad;
	uint32_t moved;     /* bytes received, or asked for by R2T */
	uint32_t send_no;   /* the send that carries its payload */
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

struct queue {
	struct initiator *in;
	int fd;
	uint16_t qid;
	bool live;          /* initialized: PDUs other than ICReq may be sent */
	bool ic_done;
	bool recv_armed;
	bool sending;
	bool sock_nonempty; /* the last receive left something behind */
	bool dirty;         /* on the list of queues with something to do */
	bool sqflow;
	bool hdgst, ddgst;
	uint32_t maxh2cdata;
	uint32_t in_capsule; /* bytes */

	/* Submission queue (Base 3.3): entries, and where the controller said it has got. */
	uint32_t entries;
	uint64_t sq_tail, sq_head; /* counted on, not wrapped: a slow command may be laps behind */
	struct slot *slots;
	uint16_t *free;
	unsigned n_slots, n_free, n_held;

	struct wire_rx rx;
	uint8_t *rx_buf;
	uint32_t rx_size;

	struct tx_entry *tx; /* ring of what waits */
	unsigned tx_cap, tx_head, tx_len;
	uint8_t *tx_hdrs;
	struct iovec tx_iov[2 * QUEUE_TX_PIECES + 1];
	unsigned tx_iov_n, tx_iov_at;
	struct msghdr tx_msg;
	uint32_t send_no;
};

/* Memory for @entries submission queue entries. 0 or -ENOMEM. */
int queue_init(struct queue *q, struct initiator *in, uint16_t qid, uint32_t entries,
	       uint32_t rx_size);
void queue_fini(struct queue *q);

/* Takes over the connected socket @fd with everything fresh. */
void queue_start(struct queue *q, int fd);

/* Takes a slot for @cmd and queues its capsule; -EAGAIN without a free slot or entry. */
int queue_submit(struct queue *q, struct initiator_cmd *cmd);

/* Queues the initialization request. */
void queue_icreq(struct queue *q, struct pdu_icreq *pdu);

/* Fills the send vector from what waits; false when there is nothing. */
bool queue_send_build(struct queue *q);

/* @n bytes of the vector were sent. True when all of it is out. */
bool queue_sent(struct queue *q, uint32_t n);

/* @len received bytes at @buf. False after initiator_fail(). */
bool queue_received(struct queue *q, const uint8_t *buf, size_t len);

/* Gives every command back as lost. */
void queue_abandon(struct queue *q);

/* The oldest command's age at @now_ns in ns, Asynchronous Event Requests aside; 0 without any. */
uint64_t queue_oldest_ns(const struct queue *q, uint64_t now_ns, struct initiator_cmd **cmd);

#endif
