/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending: what a turn produced for a connection leaves in one SENDMSG, with payload straight from
 * where it lies, or from where stage.c copied it to. One is in flight at a time, so nothing overtakes; meanwhile the next one gathers.
 * send_zc.c has the kernel send large payload from its pages instead of a copy.
 */
#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "base/crc32c.h"
#include "transport/tcp/tcp.h"

/* Most header bytes of one response: data header, padding, data digest, response; digests. */
enum {
	RESPONSE_HEADERS_MAX =
		2 * (PDU_HLEN_DATA + PDU_DIGEST_LEN) + (PDU_HPDA_MAX + 1) * 4 + PDU_DIGEST_LEN
};
_Static_assert((int)RESPONSE_HEADERS_MAX <= (int)TCP_TX_HEADERS, "a response fits a batch");

/* Bytes of payload that are fetched before a send: of each piece, and no more than the first cache has room for. */
enum { FETCH_EACH = 8 * CACHE_LINE, FETCH_ALL = 32 << 10 };

bool conn_has_output(const struct conn *conn)
{
	if (conn->state == CONN_TERMINATING)
		return conn->term_len;
	return conn->send_icresp || !list_empty(&conn->r2t_send) || !list_empty(&conn->tx_ready);
}

/* Room for @len header bytes. Headers that follow each other share one iovec. */
static void *batch_header(struct tx_batch *batch, uint32_t len)
{
	uint8_t *p = batch->headers + batch->headers_len;

	if (batch->ends_in_headers)
		batch->iov[batch->msg.msg_iovlen - 1].iov_len += len;
	else
		batch->iov[batch->msg.msg_iovlen++] = (struct iovec){ p, len };
	batch->ends_in_headers = true;
	batch->headers_len += len;
	batch->left += len;
	return p;
}

/* @len bytes of payload; returns the state of their digest, where one is wanted. */
static uint32_t batch_payload(struct conn *conn, struct tx_batch *batch,
			      const struct tcp_cmd *tcmd, uint32_t len)
{
	/* batch_takes() has seen to the room. */
	struct iovec *iov = &batch->iov[batch->msg.msg_iovlen];
	const struct spanv *data = &tcmd->cmd.data;
	uint32_t crc = CRC32C_INIT;

	if (stage_wanted(conn, &tcmd->cmd)) {
		*iov = (struct iovec){ stage_copy(batch, tcmd, len, &crc), len };
		batch->msg.msg_iovlen++;
	} else if (likely(data->n == 1)) {
		*iov = (struct iovec){ span_ptr(data->v), len };
		batch->msg.msg_iovlen++;
	} else {
		batch->msg.msg_iovlen += (size_t)spanv_iovec(data, 0, len, iov, (int)data->n);
	}
	if (conn->ddgst && !stage_wanted(conn, &tcmd->cmd))
		crc = spanv_crc32c(data, 0, len, crc);
	batch->ends_in_headers = false;
	batch->payload_len += len;
	batch->left += len;
	return crc;
}

static void header_digest(const struct conn *conn, void *pdu, uint32_t hlen)
{
	le32_t digest = le32(conn->hdgst ? crc32c(pdu, hlen) : 0);

	if (conn->hdgst)
		memcpy((uint8_t *)pdu + hlen, &digest, sizeof(digest));
}

static uint32_t with_digest(const struct conn *conn, uint32_t hlen)
{
	return hlen + (conn->hdgst ? PDU_DIGEST_LEN : 0u);
}

static void batch_r2t(struct conn *conn, struct tx_batch *batch, struct tcp_cmd *tcmd)
{
	void *pdu = batch_header(batch, with_digest(conn, PDU_HLEN_R2T));

	pdu_encode_r2t(pdu, le16_get(tcmd->cmd.sqe.cid), tcmd->cmd.tag, tcmd->r2t_offset,
		       tcmd->r2t_len, conn->hdgst);
	header_digest(conn, pdu, PDU_HLEN_R2T);
	stall_asked(conn, tcmd);
}

static void batch_rsp(struct conn *conn, struct tx_batch *batch, const struct cmd *cmd)
{
	void *pdu = batch_header(batch, with_digest(conn, PDU_HLEN_RSP));

	pdu_encode_rsp(pdu, &cmd->cqe, conn->hdgst);
	header_digest(conn, pdu, PDU_HLEN_RSP);
}

/* Without SQ flow control a plain success needs no response of its own (TCP 3.3.2.1). */
static bool success_flag(const struct conn *conn, const struct cmd *cmd)
{
	return conn->queue.sqflow_disabled && !le32_get(cmd->cqe.dw0) && !le32_get(cmd->cqe.dw1);
}

/* The next @len bytes of a read. True: they are the last. */
static bool batch_data(struct conn *conn, struct tx_batch *batch, struct tcp_cmd *tcmd, uint32_t len)
{
	const struct cmd *cmd = &tcmd->cmd;
	uint32_t header = with_digest(conn, PDU_HLEN_DATA), crc;
	struct pdu_data *pdu = batch_header(batch, header);
	bool last = tcmd->sent + len == cmd->data_len;
	uint8_t flags = 0;

	if (last)
		flags = PDU_FLAG_LAST | (success_flag(conn, cmd) ? PDU_FLAG_SUCCESS : 0);
	pdu_encode_c2h_data(pdu, le16_get(cmd->sqe.cid), tcmd->sent, len, flags, conn->hdgst,
			    conn->ddgst, conn->c2h_pdo);
	header_digest(conn, pdu, PDU_HLEN_DATA);
	if (conn->c2h_pdo > header)
		memset(batch_header(batch, conn->c2h_pdo - header), 0, conn->c2h_pdo - header);
	crc = batch_payload(conn, batch, tcmd, len);
	if (cmd->memory == CMD_MEMORY_MAPPED)
		batch->mapped = true;
	else if (zc_pays(conn, cmd))
		batch->zc_worth = true;
	if (conn->ddgst) {
		le32_t digest = le32(crc32c_final(crc));

		memcpy(batch_header(batch, sizeof(digest)), &digest, sizeof(digest));
	}
	tcmd->sent = last ? 0 : tcmd->sent + len;
	return last;
}

/* May what is to be copied by nobody share a batch with what is copied? */
static bool batch_mixes(const struct conn *conn, const struct tx_batch *batch, const struct cmd *cmd)
{
	return !(cmd->memory == CMD_MEMORY_MAPPED && batch->zc_worth) &&
	       !(batch->mapped && zc_pays(conn, cmd));
}

/* Does the batch take the response to @tcmd now, or of its data *@len bytes? */
static bool batch_takes(struct conn *conn, struct tx_batch *batch, const struct tcp_cmd *tcmd,
			bool with_data, uint32_t *len)
{
	const struct cmd *cmd = &tcmd->cmd;
	size_t iovs = 2 + (with_data ? cmd->data.n : 0);

	if (batch->msg.msg_iovlen + iovs > TCP_TX_IOVS ||
	    batch->headers_len + RESPONSE_HEADERS_MAX > TCP_TX_HEADERS)
		return false;
	if (!with_data)
		return true;
	*len = stage_wanted(conn, cmd) ? stage_room(conn, tcmd) : cmd->data_len;
	return *len && (!batch->left || batch->left + *len <= TCP_TX_CAP) &&
	       batch_mixes(conn, batch, cmd);
}

/* What is to be copied behind the command at @node. */
static void next_fetch(const struct conn *conn, const struct list *node)
{
	const struct cmd *next;

	if (!conn->ddgst || node->next == &conn->tx_ready)
		return;
	next = &list_entry(node->next, struct tcp_cmd, tx_link)->cmd;
	if (stage_wanted(conn, next))
		fetch_lines(span_ptr(&next->span0), MIN((size_t)FETCH_EACH, (size_t)next->data_len));
}

static void batch_responses(struct conn *conn, struct tx_batch *batch)
{
	struct list *last = &conn->tx_ready;

	list_for_each(tcmd, &conn->tx_ready, struct tcp_cmd, tx_link) {
		const struct cmd *cmd = &tcmd->cmd;
		bool with_data = cmd->direction == CMD_DATA_TO_HOST;
		uint32_t len = 0;

		if (!batch_takes(conn, batch, tcmd, with_data, &len))
			break;
		next_fetch(conn, &tcmd->tx_link);
		if (with_data && !batch_data(conn, batch, tcmd, len))
			break;
		last = &tcmd->tx_link;
		if (!with_data || !success_flag(conn, cmd))
			batch_rsp(conn, batch, cmd);
	}
	list_cut(&batch->cmds, &conn->tx_ready, last);
}

static void batch_fill(struct conn *conn, struct tx_batch *batch)
{
	if (conn->state == CONN_TERMINATING) {
		memcpy(batch_header(batch, conn->term_len), conn->term, conn->term_len);
		conn->term_len = 0;
		return;
	}
	if (conn->send_icresp) {
		memcpy(batch_header(batch, sizeof(conn->icresp)), &conn->icresp,
		       sizeof(conn->icresp));
		conn->send_icresp = false;
	}
	while (!list_empty(&conn->r2t_send) &&
	       batch->headers_len + PDU_HLEN_R2T + PDU_DIGEST_LEN <= TCP_TX_HEADERS) {
		struct tcp_cmd *tcmd = list_first(&conn->r2t_send, struct tcp_cmd, r2t_link);

		list_del(&tcmd->r2t_link);
		batch_r2t(conn, batch, tcmd);
	}
	batch_responses(conn, batch);
}

/*
 * The kernel copies payload at once. Where it has just come from a disk, or lies in a namespace's memory, it
 * is in no cache, and the copy would wait for the first lines of each piece; the CPU sees by itself what
 * comes behind them.
 */
static void batch_fetch(const struct tx_batch *batch)
{
	/* Each piece has a header before it. */
	size_t each = MIN((size_t)FETCH_EACH, 2 * (size_t)FETCH_ALL / batch->msg.msg_iovlen);

	if (!batch->payload_len)
		return;
	for (size_t i = 0; i < batch->msg.msg_iovlen; i++) {
		const struct iovec *iov = &batch->iov[i];

		if (iov->iov_len >= FETCH_EACH) /* of headers there are fewer */
			fetch_lines(iov->iov_base, each);
	}
}

static void batch_submit(struct conn *conn)
{
	struct io_uring_sqe *sqe = loop_sqe(conn_loop(conn));

	io_uring_prep_sendmsg(sqe, conn->fd, &conn->tx.msg, MSG_WAITALL | MSG_NOSIGNAL);
	conn->tx_op.done = conn_sent;
	loop_bind(sqe, &conn->tx_op);
}

void conn_send(struct conn *conn)
{
	struct tx_batch *batch = &conn->tx;

	if (batch->busy || conn->state == CONN_DEAD || !conn_has_output(conn))
		return;
	batch->busy = true;
	batch->msg = (struct msghdr){ .msg_iov = batch->iov };
	batch->headers_len = 0;
	batch->payload_len = 0;
	batch->left = 0;
	batch->ends_in_headers = false;
	batch->zc_worth = false;
	batch->mapped = false;
	list_init(&batch->cmds);
	if (conn->ddgst)
		stage_begin(conn);
	batch_fill(conn, batch);
	assert(batch->left);
	stall_sending(conn);
	if (!zc_submit(conn)) {
		batch_fetch(batch);
		batch_submit(conn);
	}
}

void conn_send_cancel(struct conn *conn)
{
	loop_cancel(conn_loop(conn), conn->zc.sending ? &conn->zc.sending->op : &conn->tx_op);
}

/* Takes @n sent bytes off the front. */
static void batch_advance(struct tx_batch *batch, uint32_t n)
{
	batch->left -= n;
	while (n && batch->left) {
		struct iovec *iov = batch->msg.msg_iov;
		size_t step = MIN((size_t)n, iov->iov_len);

		iov->iov_base = (char *)iov->iov_base + step;
		iov->iov_len -= step;
		n -= (uint32_t)step;
		if (!iov->iov_len) {
			batch->msg.msg_iov++;
			batch->msg.msg_iovlen--;
		}
	}
}

void conn_release_sent(struct conn *conn, struct list *cmds)
{
	struct list *node;

	while ((node = list_pop(cmds))) {
		struct tcp_cmd *tcmd = list_entry(node, struct tcp_cmd, tx_link);

		if (conn->state == CONN_DEAD)
			continue;
		if (!list_empty(cmds))
			stats_join(&tcmd->cmd, &list_first(cmds, struct tcp_cmd, tx_link)->cmd);
		cmd_release(&tcmd->cmd);
	}
}

/* All of the batch is taken, or nothing more of it will be. */
static void batch_end(struct conn *conn)
{
	conn->tx.busy = false;
	stage_end(conn);
	if (conn->zc.sending)
		zc_taken(conn);
	conn_release_sent(conn, &conn->tx.cmds);
	if (conn->state != CONN_OPEN || conn_has_output(conn))
		conn_touch(conn);
}

/* Takes off what was sent, and sends the rest. False: there is none, or nobody to take it. */
static bool batch_go_on(struct conn *conn, int res)
{
	if (conn->state == CONN_DEAD)
		return false;
	if (res > 0)
		batch_advance(&conn->tx, (uint32_t)res);
	if (!conn->tx.left)
		return false;
	batch_submit(conn);
	return true;
}

void conn_sent(struct op *op, int res, uint32_t flags)
{
	struct conn *conn = container_of(op, struct conn, tx_op);

	(void)flags;
	if (res > 0 && batch_go_on(conn, res))
		return;
	if (res <= 0)
		conn_dead(conn);
	batch_end(conn);
}

void conn_sent_zc(struct conn *conn, int res)
{
	/* Whatever kept it from sending more, an ordinary send tells whether the connection is at fault. */
	if (!batch_go_on(conn, res))
		batch_end(conn);
}

void conn_respond(struct cmd *cmd)
{
	struct conn *conn = conn_of(cmd->queue);

	list_add_tail(&conn->tx_ready, &tcp_cmd_of(cmd)->tx_link);
	conn_touch(conn);
}
