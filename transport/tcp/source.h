/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PORT of the TCP transport: where received bytes come from. A source owns the receive requests of a
 * connection and offers what arrives to conn_received().
 */
#ifndef SLUICE_TCP_SOURCE_H
#define SLUICE_TCP_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct conn;
struct tcp_worker;
struct zcrx;

/* Bytes that were received while parsing is paused; the source keeps their memory. */
struct rx_held {
	const uint8_t *p;
	size_t len;
	int buffer; /* the source's name for the memory; -1: the connection's own */
};

struct byte_source {
	const char *name;
	/* Arms one receive (conn->rx_op) and sets conn->rx_armed. */
	void (*arm)(struct conn *conn);
	/* Parsing goes on: offers what is held, until it pauses again or nothing is held any more. */
	void (*offer_held)(struct conn *conn);
	/* Lets go of what is held. */
	void (*drop_held)(struct conn *conn);
};

extern const struct byte_source source_recv;
extern const struct byte_source source_zcrx;

/* Memory of source_recv on a worker, before its loop runs. 0 or negative errno. */
int recv_worker_init(struct tcp_worker *tcp);
void recv_worker_fini(struct tcp_worker *tcp);
uint64_t recv_worker_bytes(void);

/* Readies @zcrx, which is open, for connections of @tcp; before its loop runs. */
void zcrx_attach(struct tcp_worker *tcp, struct zcrx *zcrx);

/* Once a turn, after all connections: chunks go back, who waits for some goes on. */
void zcrx_turn(struct tcp_worker *tcp);

#endif
