/* SPDX-License-Identifier: BSD-3-Clause */
/* What a connection does with the PDUs that its receive machine found. */
#include <assert.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/ns.h"
#include "transport/tcp/tcp.h"

enum { CREDIT_REVIEW_NS = 1000000000 };

static struct conn *conn_of_rx(struct rx *rx)
{
	return container_of(rx, struct conn, rx);
}

static enum rx_verdict fault(struct conn *conn, enum pdu_fes fes, size_t fei, const char *what)
{
	struct pdu_fault f = { .fes = fes, .fei = (uint32_t)fei, .what = what };

	conn_fault(conn, &f);
	return RX_STOP;
}

/* ------------------------------------------------------------------------------------------- ICReq */

static enum rx_verdict icreq(struct conn *conn)
{
	const struct pdu_icreq *pdu = (const struct pdu_icreq *)conn->rx.hdr;
	const struct config_listener *config = conn->queue.listener->config;
	struct pdu_fault f;
	uint8_t dgst = 0;

	if (!pdu_validate_icreq(pdu, &f)) {
		conn_fault(conn, &f);
		return RX_STOP;
	}
	if ((pdu->dgst & PDU_DGST_HEADER) && config->header_digest)
		dgst |= PDU_DGST_HEADER;
	if ((pdu->dgst & PDU_DGST_DATA) && config->data_digest)
		dgst |= PDU_DGST_DATA;
	conn->hdgst = dgst & PDU_DGST_HEADER;
	conn->ddgst = dgst & PDU_DGST_DATA;
	/*
	 * A digest is computed before its payload leaves or after it arrived; a backend's own memory
	 * may change in between under another host's hands, so digests need a buffer: of the command, or,
	 * for reads, a stage. A host's MAXR2T needs no remembering: a command never has more than one R2T
	 * outstanding.
	 */
	if (conn->ddgst) {
		conn->queue.map_writes = false;
		stage_init(conn);
	}
	conn->c2h_pdo = pdu_c2h_pdo(conn->hdgst, pdu->hpda);
	conn->rx.params = (struct pdu_params){
		.initialized = true,
		.hdgst = conn->hdgst,
		.ddgst = conn->ddgst,
		.max_capsule_data = CAPSULE_DATA_ADMIN,
		.maxh2cdata = TCP_MAXH2CDATA,
	};
	pdu_encode_icresp(&conn->icresp, dgst, TCP_MAXH2CDATA);
	conn->send_icresp = true;
	conn_touch(conn);
	return RX_GO;
}

/* ----------------------------------------------------------------------------------------- capsule */

/* What the SGL of a command says, by the transport's rules (TCP 3.3.2.1, 3.3.2.2). */
static void capsule_sgl(struct tcp_cmd *tcmd, uint32_t capsule_data)
{
	struct cmd *cmd = &tcmd->cmd;
	const struct nvme_sgl *sgl = &cmd->sqe.sgl;
	uint8_t direction = cmd->sqe.opcode == NVME_OPCODE_FABRICS ?
				    (uint8_t)le32_get(cmd->sqe.nsid) :
				    cmd->sqe.opcode;

	cmd->sgl_len = le32_get(sgl->len);
	cmd->sgl_status = 0;
	cmd->in_capsule = sgl->type == NVME_SGL_DATA_OFFSET;
	if (cmd->in_capsule) {
		/* ICDOFF is 0: the data is directly behind the command. */
		if (le64_get(sgl->addr))
			cmd->sgl_status = NVME_SC_SGL_OFFSET_INVALID | NVME_STATUS_DNR;
		else if (cmd->sgl_len != capsule_data)
			cmd->sgl_status = NVME_SC_SGL_LENGTH_INVALID | NVME_STATUS_DNR;
		else if ((direction & 3) != 1) /* opcode 1:0 is 01b when data comes from the host */
			cmd->sgl_status = NVME_SC_SGL_TYPE_INVALID | NVME_STATUS_DNR;
	} else if (sgl->type != NVME_SGL_TRANSPORT) {
		cmd->sgl_status = NVME_SC_SGL_TYPE_INVALID | NVME_STATUS_DNR;
	}
}

/* Payload of @tcmd from byte @offset on is what comes next. */
static void payload_begin(struct conn *conn, struct tcp_cmd *tcmd, uint32_t offset)
{
	conn->payload = tcmd;
	conn->rx.dest = &tcmd->cmd.data;
	conn->rx.dest_offset = offset;
	conn->rx.gather = tcmd->cmd.lent ? &tcmd->gather : NULL;
}

/* The command was begun; what becomes of the data behind it? */
static enum rx_verdict capsule_verdict(struct conn *conn)
{
	struct tcp_cmd *tcmd = conn->capsule;

	if (conn->state == CONN_DEAD)
		return RX_STOP;
	if (!conn->rx.layout.data_len || tcmd->cmd.state != CMD_PARSED) {
		conn->capsule = NULL;
		/* Still fetching: the data is wanted. Anything else was answered already, so drop it. */
		if (conn->rx.layout.data_len && tcmd->cmd.state == CMD_FETCHING &&
		    tcmd->cmd.in_capsule) {
			payload_begin(conn, tcmd, 0);
		}
		return RX_GO;
	}
	stall_paused(conn);
	return RX_PAUSE; /* waits for memory; conn_fetch() resumes */
}

static enum rx_verdict capsule(struct conn *conn)
{
	const struct pdu_cmd *pdu = (const struct pdu_cmd *)conn->rx.hdr;
	struct tcp_cmd *tcmd;
	struct cmd *cmd;

	if (conn->capsule) /* paused at this very capsule */
		return capsule_verdict(conn);
	if (conn->state != CONN_OPEN)
		return RX_GO; /* too late for a command: the host sends it again elsewhere */
	cmd = queue_cmd_get(&conn->queue);
	if (!cmd)
		return RX_PAUSE;
	tcmd = tcp_cmd_of(cmd);
	tcmd->received = 0;
	tcmd->granted = 0;
	tcmd->digest_bad = false;
	list_init(&tcmd->asked_link);
	list_init(&tcmd->r2t_link);
	list_init(&tcmd->tx_link);
	cmd->sqe = pdu->sqe;
	capsule_sgl(tcmd, conn->rx.layout.data_len);
	conn->capsule = tcmd;
	cmd_begin(cmd);
	return capsule_verdict(conn);
}

/* ----------------------------------------------------------------------------------------- H2CData */

static enum rx_verdict h2c_data(struct conn *conn)
{
	const struct pdu_data *pdu = (const struct pdu_data *)conn->rx.hdr;
	struct cmd *cmd = queue_cmd_find(&conn->queue, le16_get(pdu->ttag));
	uint32_t offset = le32_get(pdu->datao), len = le32_get(pdu->datal);
	struct tcp_cmd *tcmd;
	bool last = pdu->hdr.flags & PDU_FLAG_LAST;

	if (!cmd || cmd->state != CMD_FETCHING || cmd->in_capsule)
		return fault(conn, PDU_FES_INVALID_HEADER, offsetof(struct pdu_data, ttag),
			     "H2CData with a transfer tag that was not granted");
	tcmd = tcp_cmd_of(cmd);
	if (memcmp(&pdu->cccid, &cmd->sqe.cid, sizeof(pdu->cccid)))
		return fault(conn, PDU_FES_INVALID_HEADER, offsetof(struct pdu_data, cccid),
			     "H2CData for another command than its transfer tag");
	if (len != conn->rx.layout.data_len)
		return fault(conn, PDU_FES_INVALID_HEADER, offsetof(struct pdu_data, datal),
			     "DATAL does not fit PLEN");
	if (len > tcmd->granted - tcmd->received || !list_empty(&tcmd->r2t_link))
		return fault(conn, PDU_FES_RANGE, 0, "H2CData beyond what was granted");
	if (offset != tcmd->received)
		return fault(conn, PDU_FES_RANGE, 0,
			     "H2CData does not continue where the last one ended");
	if (last != (offset + len == tcmd->granted))
		return fault(conn, PDU_FES_INVALID_HEADER, offsetof(struct pdu_hdr, flags),
			     "LAST_PDU does not fit what was granted");
	payload_begin(conn, tcmd, offset);
	return RX_GO;
}

static enum rx_verdict h2c_term(struct conn *conn)
{
	const struct pdu_term *pdu = (const struct pdu_term *)conn->rx.hdr;
	unsigned fes = le16_get(pdu->fes);

	log_peer(queue_about(&conn->queue),
		 "%s: the host terminates the connection: FES %u (%s), FEI %u", conn->queue.peer,
		 fes, pdu_fes_name(fes), le32_get(pdu->fei));
	conn_dead(conn);
	return RX_STOP;
}

static enum rx_verdict on_header(struct rx *rx)
{
	struct conn *conn = conn_of_rx(rx);

	switch (rx->hdr[0]) {
	case PDU_ICREQ:
		return icreq(conn);
	case PDU_CMD:
		return capsule(conn);
	case PDU_H2C_DATA:
		return h2c_data(conn);
	default: /* pdu_validate() let nothing else through */
		assert(rx->hdr[0] == PDU_H2C_TERM);
		return h2c_term(conn);
	}
}

/* @bytes of the PDU at hand are there: as many are no longer owed. */
static void credit_arrived(struct conn *conn, uint32_t bytes)
{
	uint32_t fresh;

	if (!conn->zcrx)
		return;
	fresh = MIN(bytes - conn->credit_pdu, conn->credit);
	conn->credit_pdu = bytes;
	conn->credit -= fresh;
	conn->zcrx->landing.granted -= fresh;
	conn->credit_used = true;
}

/* All payload is there: the core gets it where it lies. */
static void payload_lend(struct tcp_cmd *tcmd)
{
	struct gather *gather = &tcmd->gather;

	assert(gather->data.len == tcmd->cmd.data_len);
	if (gather->kept) {
		tcmd->cmd.data = gather->data;
	} else { /* all of it was copied */
		tcmd->cmd.lent = false;
		gather_fini(gather);
	}
}

void conn_take_back(struct cmd *cmd)
{
	gather_fini(&tcp_cmd_of(cmd)->gather);
}

static void on_payload(struct rx *rx, bool digest_ok)
{
	struct conn *conn = conn_of_rx(rx);
	struct tcp_cmd *tcmd = conn->payload;

	conn->payload = NULL;
	if (!tcmd)
		return; /* dropped */
	stats_payload(&tcmd->cmd, rx->placed_bytes, rx->copied_bytes);
	if (conn->zcrx) {
		counter_add(&conn->zcrx->stats.staged_bytes, rx->copied_bytes);
		counter_add(&conn->zcrx->stats.placed_bytes, rx->placed_bytes);
	}
	rx->copied_bytes = 0;
	rx->placed_bytes = 0;
	if (!digest_ok)
		tcmd->digest_bad = true;
	tcmd->received += rx->layout.data_len;
	if (!tcmd->cmd.in_capsule) {
		conn->r2t_outstanding -= rx->layout.data_len;
		credit_arrived(conn, rx->layout.data_len);
		conn->credit_pdu = 0;
		if (tcmd->received < tcmd->granted)
			stall_asked(conn, tcmd);
		else
			list_del(&tcmd->asked_link);
		if (tcmd->received == tcmd->granted && tcmd->granted < tcmd->cmd.data_len)
			list_add_head(&conn->r2t_wait, &tcmd->r2t_link); /* first what is begun */
		conn_grant(conn);
	}
	if (tcmd->received < tcmd->cmd.data_len)
		return;
	if (tcmd->cmd.lent)
		payload_lend(tcmd);
	cmd_fetched(&tcmd->cmd, tcmd->digest_bad ? NVME_SC_TRANSIENT_TRANSPORT : NVME_SC_SUCCESS);
}

static void on_fault(struct rx *rx, const struct pdu_fault *f)
{
	conn_fault(conn_of_rx(rx), f);
}

const struct rx_ops conn_rx_ops = { .header = on_header, .payload = on_payload, .fault = on_fault };

/* ----------------------------------------------------------------------------------------- flowing */

void conn_credit_end(struct conn *conn)
{
	if (conn->zcrx)
		conn->zcrx->landing.granted -= conn->credit;
	conn->credit = 0;
}

/*
 * Hosts that were asked, and send nothing, must not have the area for ever. What comes after all is
 * copied, if there is no chunk to keep by then.
 */
static void credit_review(struct tcp_worker *tcp, struct zcrx *zcrx)
{
	uint64_t now = clock_now_ns();

	if (now - zcrx->reviewed_ns < CREDIT_REVIEW_NS)
		return;
	zcrx->reviewed_ns = now;
	list_for_each_safe(conn, &tcp->conns, struct conn, worker_link) {
		if (conn->zcrx != zcrx)
			continue;
		if (!conn->credit_used)
			conn_credit_end(conn);
		conn->credit_used = false;
	}
}

/* Of @bytes that the host may be asked for, those that have a place in the receive area. */
static uint32_t grant_places(struct conn *conn, uint32_t bytes)
{
	struct zcrx *zcrx = conn->zcrx;

	if (!zcrx)
		return bytes;
	if (bytes > landing_room(&zcrx->landing, conn->r2t_outstanding))
		credit_review(conn->tcp, zcrx);
	return (uint32_t)MIN((uint64_t)bytes,
			     landing_room(&zcrx->landing, conn->r2t_outstanding));
}

void conn_grant(struct conn *conn)
{
	while (!list_empty(&conn->r2t_wait)) {
		struct tcp_cmd *tcmd = list_first(&conn->r2t_wait, struct tcp_cmd, r2t_link);
		uint32_t window = conn->queue.listener->config->r2t_window;
		uint32_t room = window - MIN(window, conn->r2t_outstanding);
		uint32_t left = tcmd->cmd.data_len - tcmd->granted;
		uint32_t places = grant_places(conn, MIN(left, room));

		/*
		 * Whole commands, unless one alone is larger than the window: then piece by piece, of which
		 * Linux hosts have been seen not to send the second (7.3: its R2T may come while the first
		 * is being sent). What has no place in the area by then is copied.
		 */
		if (left > places && conn->r2t_outstanding)
			return;
		if (!tcmd->granted)
			cmd_ask(&tcmd->cmd);
		tcmd->r2t_offset = tcmd->granted;
		tcmd->r2t_len = MIN(left, room);
		tcmd->granted += tcmd->r2t_len;
		conn->r2t_outstanding += tcmd->r2t_len;
		if (conn->zcrx) {
			conn->credit += places;
			conn->credit_used = true;
			conn->zcrx->landing.granted += places;
		}
		list_del(&tcmd->r2t_link);
		list_add_tail(&conn->r2t_send, &tcmd->r2t_link);
		conn_touch(conn);
	}
}

void conn_fetch(struct cmd *cmd)
{
	struct conn *conn = conn_of(cmd->queue);
	struct tcp_cmd *tcmd = tcp_cmd_of(cmd);

	if (conn->state == CONN_DEAD || conn->state == CONN_TERMINATING)
		return; /* the command goes with the connection */
	if (conn->zcrx && cmd->ns && cmd->memory != CMD_MEMORY_MAPPED) {
		gather_init(&tcmd->gather, &conn->zcrx->landing, &cmd->data,
			    cmd->ns->backend->limits.piece_align, cmd->ns->index);
		cmd->lent = true;
	}
	if (!cmd->in_capsule) {
		list_add_tail(&conn->r2t_wait, &tcmd->r2t_link);
		conn_grant(conn);
		return;
	}
	/* Called from the parser's own cmd_begin(), it goes on by itself; else parsing waits for this. */
	if (conn->rx.state == RX_JUDGE)
		conn_touch(conn);
}

size_t conn_received(struct conn *conn, const void *buf, size_t len, const struct span *fragment)
{
	/* Nobody parses any more; the bytes only had to be taken off the socket. */
	if (conn->state >= CONN_TERMINATING || conn->rx.state == RX_STOPPED)
		return len;
	len = rx_feed(&conn->rx, buf, len, fragment);
	if (conn->payload && conn->rx.state == RX_PAYLOAD && !conn->payload->cmd.in_capsule)
		credit_arrived(conn, conn->rx.layout.data_len - conn->rx.left);
	stall_heard(conn);
	return len;
}

void conn_receive(struct conn *conn)
{
	if (conn->rx_armed || conn->state == CONN_DEAD)
		return;
	if (conn->state < CONN_TERMINATING && conn->rx.state == RX_JUDGE)
		return;
	conn->source->arm(conn);
}

void conn_resume(struct conn *conn)
{
	if (conn->state >= CONN_TERMINATING || conn->rx.state != RX_JUDGE)
		return;
	stall_resumed(conn);
	rx_resume(&conn->rx);
	conn->source->offer_held(conn);
}
