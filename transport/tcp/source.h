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

/* Bytes that were received while parsing is paused; the source keeps their memory. */
struct rx_held {
	const uint8_t *p;
	size_t len;
	int buffer; /* the source's name for the memory; -1: the connection's own */
};

struct byte_source {
	const char *name;
	/* Prepares a worker; before its loop runs. 0 or negative errno. */
	int (*worker_init)(struct tcp_worker *tcp);
	void (*worker_fini)(struct tcp_worker *tcp);
	uint64_t (*worker_bytes)(void);
	/* Arms one receive (conn->rx_op) and sets conn->rx_armed. */
	void (*arm)(struct conn *conn);
	/* The held bytes are parsed: their memory may be used again. */
	void (*release)(struct conn *conn, struct rx_held *held);
};

extern const struct byte_source source_recv;

#endif
