/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy sends. A batch with large payload leaves from the pages of the worker's area. The kernel
 * says twice that it is done: when it took the batch, so that the next one may go, and when the peer
 * has it all, so that commands and headers may. Until then nothing of them changes or is freed, not
 * even when the connection dies: TCP sends from there whatever is lost under way.
 *
 * The area is a registered buffer, so that no pages are pinned for a send, and all of the batch has to
 * be in there, headers too. Where it has huge pages, user addresses do better: pinning one such page
 * costs little, and for a piece of a registered buffer the kernel (up to 7.3 at least) charges the
 * socket with the offset in its page beside the length. With 2 MiB for a few KiB the socket's send
 * buffer is full at once, and the connection slow.
 *
 * What is sent while the last segment of the send before has not left is added to that segment, and the
 * two are chained: the kernel notifies of none before all of a chain are through (and says of some that
 * they were copied, which they were not). With always more to send that is never, so a chain is ended
 * after some bytes by MSG_EOR: nothing is added to such a segment. It costs a packet, so not each time.
 *
 * A batch never waits for its turn here: it goes by an ordinary send when it is not worth it, when as
 * many await their notification as may, or when the kernel copies what this connection sends anyway
 * (to this same machine, or by a device that cannot gather).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/sendzc.h"
#include "transport/tcp/tcp.h"

_Static_assert((int)TCP_ZC_SENDS * TCP_ZC_HEADERS <= (int)WORKER_HEADERS, "headers fit");

struct datapath_fact zc_fact(const struct config_listener *config)
{
	int rc;

	if (!config->send_zc_min)
		return (struct datapath_fact){ false, "send_zc_min = never in its section" };
	rc = sendzc_probe();
	if (rc)
		return (struct datapath_fact){
			false, rc == -EOPNOTSUPP ?
				       "the kernel cannot send from registered buffers; Linux 6.15 can" :
				       "the kernel could not be asked whether it can send from registered "
				       "buffers: too few descriptors or too little memory"
		};
	for (unsigned i = 0; i < n_workers; i++)
		if (workers[i].area.fixed_index == AREA_NOT_FIXED)
			return (struct datapath_fact){ false, workers[i].area.why_not };
	return (struct datapath_fact){ true, "" };
}

/* ----------------------------------------------------------------------------------------- workers */

int zc_worker_init(struct tcp_worker *tcp)
{
	struct worker *worker = tcp->worker;

	list_init(&tcp->zc_free);
	if (worker->area.fixed_index == AREA_NOT_FIXED)
		return 0;
	tcp->zc_sends = calloc(TCP_ZC_SENDS, sizeof(*tcp->zc_sends));
	if (!tcp->zc_sends)
		return -ENOMEM;
	for (unsigned i = 0; i < TCP_ZC_SENDS; i++) {
		tcp->zc_sends[i].headers = (char *)span_ptr(&worker->headers) + i * TCP_ZC_HEADERS;
		list_add_tail(&tcp->zc_free, &tcp->zc_sends[i].link);
	}
	tcp->zc_n_free = TCP_ZC_SENDS;
	tcp->zc_fixed = !area_has_huge_pages(&worker->area);
	return 0;
}

void zc_worker_fini(struct tcp_worker *tcp)
{
	free(tcp->zc_sends);
}

/* ------------------------------------------------------------------------------------------- sends */

/* zc_pays() has said that there is one for it. */
static struct zc_send *zc_get(struct conn *conn)
{
	struct tcp_worker *tcp = conn->tcp;
	struct zc_send *zc;

	zc = list_entry(list_pop(&tcp->zc_free), struct zc_send, link);
	tcp->zc_n_free--;
	conn->zc.pending++;
	zc->conn = conn;
	zc->taken = false;
	zc->notified = false;
	zc->payload_len = 0;
	list_init(&zc->cmds);
	return zc;
}

/* The kernel is done with it. */
static void zc_put(struct zc_send *zc)
{
	struct conn *conn = zc->conn;

	conn_release_sent(conn, &zc->cmds);
	list_add_head(&conn->tcp->zc_free, &zc->link);
	conn->tcp->zc_n_free++;
	conn->zc.pending--;
	if (conn->state != CONN_OPEN)
		conn_touch(conn);
}

void zc_taken(struct conn *conn)
{
	struct zc_send *zc = conn->zc.sending;

	conn->zc.sending = NULL;
	zc->taken = true;
	if (zc->notified)
		zc_put(zc);
}

/* Did it come to what it is for? A copy by this way costs more than one by an ordinary send. */
static void zc_judge(struct conn *conn, bool copied)
{
	if (!copied) {
		conn->zc.copied_run = 0;
		return;
	}
	if (++conn->zc.copied_run >= TCP_ZC_COPIED)
		conn->zc.again_ns = conn_loop(conn)->now_ns + TCP_ZC_AGAIN_S * 1000000000ull;
}

static void zc_notified(struct zc_send *zc, bool copied)
{
	struct conn *conn = zc->conn;

	zc_judge(conn, copied);
	*(copied ? &conn->zc.copied_bytes : &conn->zc.bytes) += zc->payload_len;
	zc->notified = true;
	if (zc->taken)
		zc_put(zc);
}

static void zc_done(struct op *op, int res, uint32_t flags)
{
	struct zc_send *zc = container_of(op, struct zc_send, op);

	if (flags & IORING_CQE_F_NOTIF) {
		zc_notified(zc, (uint32_t)res & IORING_NOTIF_USAGE_ZC_COPIED);
		return;
	}
	if (res > 0)
		zc->payload_len = MIN(zc->conn->tx.payload_len, (uint32_t)res);
	if (!(flags & IORING_CQE_F_MORE)) /* it did not come to using any pages */
		zc_notified(zc, true);
	conn_sent_zc(zc->conn, res);
}

/* Flags of a send of @len bytes, which is added to the chain or ends it. */
static unsigned zc_flags(struct conn_zc *zc, uint32_t len)
{
	zc->chain_len += len;
	if (zc->chain_len < TCP_ZC_CHAIN)
		return MSG_WAITALL | MSG_NOSIGNAL;
	zc->chain_len = 0;
	return MSG_WAITALL | MSG_NOSIGNAL | MSG_EOR;
}

/* Headers to where they may stay when the next batch is being built. */
static void headers_move(struct tx_batch *batch, char *room)
{
	memcpy(room, batch->headers, batch->headers_len);
	for (size_t i = 0; i < batch->msg.msg_iovlen; i++) {
		size_t offset = (size_t)((char *)batch->iov[i].iov_base - (char *)batch->headers);

		if (offset < sizeof(batch->headers)) /* what lies before is far beyond when unsigned */
			batch->iov[i].iov_base = room + offset;
	}
}

bool zc_tried(const struct conn *conn)
{
	return conn->zc.min && conn->queue.worker->loop.now_ns >= conn->zc.again_ns;
}

/*
 * A command's buffer is its own until it is released. A backend's memory is not: what TCP sends a second time
 * from its pages would not be what it sent before.
 *
 * A peer that does not read holds as many sends as it likes. So a connection gets no more when it has as
 * many as are left: half of them if it is alone, and something is left for others however many do so.
 */
bool zc_pays(const struct conn *conn, const struct cmd *cmd)
{
	return cmd->memory != CMD_MEMORY_MAPPED && zc_tried(conn) && cmd->data_len >= conn->zc.min &&
	       conn->zc.pending < conn->tcp->zc_n_free;
}

bool zc_submit(struct conn *conn)
{
	struct tx_batch *batch = &conn->tx;
	struct io_uring_sqe *sqe;
	struct zc_send *zc;
	unsigned flags;

	if (!batch->zc_worth || batch->headers_len > TCP_ZC_HEADERS)
		return false;
	assert(!batch->mapped);
	zc = zc_get(conn);
	headers_move(batch, zc->headers);
	list_splice_tail(&zc->cmds, &batch->cmds);
	conn->zc.sending = zc;
	flags = zc_flags(&conn->zc, batch->left);
	sqe = loop_sqe(conn_loop(conn));
	if (conn->tcp->zc_fixed)
		io_uring_prep_sendmsg_zc_fixed(sqe, conn->fd, &batch->msg, flags,
					       (unsigned)conn->queue.worker->area.fixed_index);
	else
		io_uring_prep_sendmsg_zc(sqe, conn->fd, &batch->msg, flags);
	sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
	zc->op.done = zc_done;
	loop_bind(sqe, &zc->op);
	return true;
}
