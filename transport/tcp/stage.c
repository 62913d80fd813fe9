/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads with data digests of a namespace that has its blocks in memory. Another host's write may change
 * them while a digest is computed, so they are copied first: when they are about to leave, and to the same
 * place time and again, which the CPU's caches keep that way. A buffer for each command would not be: all
 * that a host has in flight is more than they hold.
 *
 * A connection has a stage of its own. For a send with longer payload it borrows of the worker's memory, if
 * there is enough; else that payload leaves by pieces that fit its own, each in a PDU with a digest.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "transport/tcp/tcp.h"

/* Bytes that are copied, and then looked at for their digest: the first cache has them still. */
enum { STAGE_STEP = 16 << 10 };

uint64_t stage_own_bytes(void)
{
	return heap_bytes(TCP_STAGE);
}

/* Reads that are sent without a copy get buffers of their own; of the others those that can be copied here. */
static void reads_choose(struct conn *conn)
{
	if (!conn->stage.own)
		conn->queue.map_reads = 0;
	else
		conn->queue.map_reads = zc_tried(conn) ? conn->zc.min - 1 : UINT32_MAX;
}

void stage_init(struct conn *conn)
{
	conn->stage.own = malloc(TCP_STAGE);
	reads_choose(conn);
}

void stage_fini(struct conn *conn)
{
	free(conn->stage.own);
	conn->stage.own = NULL;
}

void stage_begin(struct conn *conn)
{
	struct tx_batch *batch = &conn->tx;

	reads_choose(conn);
	batch->staged = 0;
	batch->stage = conn->stage.own;
	batch->stage_bytes = TCP_STAGE;
}

void stage_end(struct conn *conn)
{
	if (!conn->stage.lent.area)
		return;
	queue_memory_put(&conn->queue, &conn->stage.lent);
	conn->stage.lent.area = NULL;
}

/* For @tcmd and what is to be copied behind it. */
static void stage_borrow(struct conn *conn, const struct tcp_cmd *tcmd)
{
	struct tx_batch *batch = &conn->tx;
	uint32_t len = tcmd->cmd.data_len - tcmd->sent;

	while (len < TCP_STAGE_LENT && tcmd->tx_link.next != &conn->tx_ready) {
		tcmd = list_entry(tcmd->tx_link.next, struct tcp_cmd, tx_link);
		if (!stage_wanted(conn, &tcmd->cmd))
			break;
		len += tcmd->cmd.data_len;
	}
	len = MIN(len, (uint32_t)TCP_STAGE_LENT);
	if (!queue_memory_get(&conn->queue, len, &conn->stage.lent))
		return;
	batch->stage = span_ptr(&conn->stage.lent);
	batch->stage_bytes = len;
}

uint32_t stage_room(struct conn *conn, const struct tcp_cmd *tcmd)
{
	struct tx_batch *batch = &conn->tx;
	uint32_t left = tcmd->cmd.data_len - tcmd->sent, len;

	if (left > batch->stage_bytes && !conn->stage.lent.area) {
		if (batch->payload_len) /* it might not take this one */
			return 0;
		stage_borrow(conn, tcmd);
	}
	/* A part of a payload has the stage for itself, so that there are few of them. */
	len = MIN(left, batch->stage_bytes);
	return batch->staged + len <= batch->stage_bytes ? len : 0;
}

void *stage_copy(struct tx_batch *batch, const struct tcp_cmd *tcmd, uint32_t len, uint32_t *crc)
{
	uint8_t *to = batch->stage + batch->staged;
	const uint8_t *from = (const uint8_t *)span_ptr(&tcmd->cmd.span0) + tcmd->sent;

	for (uint32_t at = 0; at < len; at += STAGE_STEP) {
		uint32_t step = MIN((uint32_t)STAGE_STEP, len - at);

		memcpy(to + at, from + at, step);
		*crc = crc32c_update(*crc, to + at, step);
	}
	batch->staged += len;
	return to;
}
