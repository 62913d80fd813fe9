/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads with data digests of a namespace that has its blocks in memory. Another host's write may change
 * them while a digest is computed, so they are copied first: when they are about to leave, and to the same
 * place time and again, which the CPU's caches keep that way. A buffer for each command would not be: all
 * that a host has in flight is more than they hold. A connection has a stage of its own for short reads,
 * and for long ones it gets one of the worker's memory with the first and gives it back with the last.
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

void stage_init(struct conn *conn)
{
	conn->stage.own = malloc(TCP_STAGE);
	conn->queue.map_reads = conn->stage.own ? TCP_STAGE : 0;
}

static void stage_give_back(struct conn *conn)
{
	queue_memory_put(&conn->queue, &conn->stage.lent);
	conn->stage.users = 0;
}

void stage_fini(struct conn *conn)
{
	if (conn->stage.users)
		stage_give_back(conn);
	free(conn->stage.own);
	conn->stage.own = NULL;
}

/*
 * A buffer of the command's own can be sent from without a copy by the kernel, where that pays. While others
 * wait for memory, nobody counts on the stage any more: what does already is answered, and it goes back.
 */
bool stage_long_read(struct cmd *cmd)
{
	struct conn *conn = conn_of(cmd->queue);
	struct conn_stage *stage = &conn->stage;

	if (!conn->ddgst || conn->state == CONN_DEAD || cmd->data_len > TCP_STAGE_LONG ||
	    zc_pays(conn, cmd->data_len) || queue_memory_wanted(&conn->queue))
		return false;
	if (!stage->users && !queue_memory_get(&conn->queue, TCP_STAGE_LONG, &stage->lent))
		return false;
	stage->users++;
	tcp_cmd_of(cmd)->stage_user = true;
	return true;
}

void stage_release(struct conn *conn, struct tcp_cmd *tcmd)
{
	if (!tcmd->stage_user)
		return;
	tcmd->stage_user = false;
	if (conn->stage.users == 1)
		stage_give_back(conn);
	else
		conn->stage.users--;
}

void stage_begin(struct conn *conn)
{
	struct tx_batch *batch = &conn->tx;

	batch->staged = 0;
	if (conn->stage.users) {
		batch->stage = span_ptr(&conn->stage.lent);
		batch->stage_bytes = TCP_STAGE_LONG;
	} else {
		batch->stage = conn->stage.own;
		batch->stage_bytes = TCP_STAGE;
	}
}

void *stage_copy(struct tx_batch *batch, const struct cmd *cmd, uint32_t *crc)
{
	uint8_t *to = batch->stage + batch->staged;
	const uint8_t *from = span_ptr(&cmd->span0);

	for (uint32_t at = 0; at < cmd->data_len; at += STAGE_STEP) {
		uint32_t step = MIN((uint32_t)STAGE_STEP, cmd->data_len - at);

		memcpy(to + at, from + at, step);
		*crc = crc32c_update(*crc, to + at, step);
	}
	batch->staged += cmd->data_len;
	return to;
}
