/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Streams of known bytes over TCP, from processes in another network namespace. Each byte depends
 * on its place in the stream and on the stream, so that none can stand in for another.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	STREAMS_MAX = 32,
};

struct stream_params {
	const char *address;	/* of the receiver, IPv4 or IPv6, which is in this namespace */
	uint16_t port;		/* of the receiver; the senders' are those above it */
	const char *netns;	/* name of the senders' network namespace */
	unsigned int streams;	/* 1 .. STREAMS_MAX */
	uint64_t len;		/* bytes of each */
	uint32_t rcvbuf;	/* SO_RCVBUF of the receiver's sockets */
};

/* Where in the stream the first byte is that is not as it was sent, or len. */
size_t stream_compare(unsigned int stream, uint64_t pos, const uint8_t *data, size_t len);

/*
 * Starts a process for each stream, and accepts its connection; then lets all of them send. Sets
 * the sockets, by stream, and the processes. Whatever fails ends the program.
 */
void streams_start(const struct stream_params *params, int *sockets, pid_t *senders);

/* Waits for the processes; says whether all of them got rid of all bytes. */
bool streams_end(unsigned int streams, const int *sockets, const pid_t *senders);

#endif
