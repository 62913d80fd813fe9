/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SEND_PEER_H
#define SEND_PEER_H

#include <stdint.h>

/*
 * The other end. It takes a number of bytes off the connection without looking at them, then answers
 * with one byte, and so on: so the sender knows when all has arrived.
 */

enum { PEER_PORT = 9, PEER_WAIT_S = 120 };

/* Serves one connection after another, for ever. */
void peer_serve(void);

/* Connects to the peer at the IPv4 address `text`, which may take PEER_WAIT_S to come up. */
int peer_connect(const char *text);

/* Announces `len_bytes` that follow; then waits until the peer has them. */
void peer_announce(int fd, uint64_t len_bytes);
void peer_wait(int fd);

#endif
