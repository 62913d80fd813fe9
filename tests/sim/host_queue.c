/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue of a host: PDUs both ways. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "host.h"
#include "model.h"

enum { PDU_MOST = 4 << 20, READ_PIECE = 65536 };

bool queue_open(struct host *host, uint16_t qid)
{
	struct host_queue *queue = &host->queues[qid];
	struct pdu_icreq pdu = {
		.hdr = { .type = PDU_ICREQ, .hlen = PDU_HLEN_IC, .plen = le32(PDU_HLEN_IC) },
		.hpda = (uint8_t)(sim_chance(700) ? 0 : sim_below(PDU_HPDA_MAX + 1)),
		.dgst = (uint8_t)(host_knobs.digests ? sim_below(4) : 0),
	};
	struct sim_sock *sock = host_connect(host_knobs.port);

	if (!sock)
		return false;
	*queue = (struct host_queue){
		.host = host,
		.sock = sock,
		.qid = qid,
		.depth = qid ? 2 + sim_below(HOST_DEPTH - 2) : 32,
		.hpda = pdu.hpda,
		.no_flow_control = sim_chance(500),
	};
	queue->commands = sim_alloc(queue->depth * sizeof(*queue->commands));
	host_send(sock, &pdu, sizeof(pdu));
	sim_say("host %u opens queue %u", host->index, qid);
	return true;
}

void queue_forget(struct host_queue *queue)
{
	for (unsigned i = 0; i < queue->depth; i++)
		free(queue->commands[i].data);
	free(queue->commands);
	free(queue->rx);
	*queue = (struct host_queue){ .host = queue->host };
}

/* Is an Abort under way for the identifier, which a command had before? */
static bool command_is_sought(const struct host_queue *queue, unsigned cid)
{
	const struct host_queue *admin = &queue->host->queues[0];

	for (unsigned i = 0; i < admin->depth; i++) {
		const struct command *command = &admin->commands[i];

		if (command->busy && command->kind == COMMAND_ABORT &&
		    le32_get(command->sqe.cdw10) == (queue->qid | cid << 16))
			return true;
	}
	return false;
}

struct command *queue_command(struct host_queue *queue)
{
	unsigned first = sim_below(queue->depth);

	/* One entry of a queue is never used. */
	if (queue->n_busy + 1 >= queue->depth)
		return NULL;
	for (unsigned i = 0; i < queue->depth; i++) {
		unsigned cid = (first + i) % queue->depth;
		struct command *command = &queue->commands[cid];

		if (command->busy)
			continue;
		*command = (struct command){ .busy = true,
					     .partner = -1,
					     .began = model_tick(),
					     .began_ns = sim.now_ns };
		command->excused = command_is_sought(queue, cid);
		command->sqe.cid = le16((uint16_t)cid);
		command->sqe.flags = NVME_PSDT_SGL;
		queue->n_busy++;
		return command;
	}
	return NULL;
}

/* ----------------------------------------------------------------------------------------- sending */

/* Sends a PDU with @len bytes of @data; @hdr is whole but for flags, PDO and PLEN. */
static void pdu_send(const struct host_queue *queue, struct pdu_hdr *hdr, const uint8_t *data,
		     uint32_t len, bool bad_digest)
{
	uint8_t whole[PDU_HLEN_MAX + 8];
	uint32_t hlen = hdr->hlen, head = hlen + (queue->hdgst ? PDU_DIGEST_LEN : 0u);
	uint32_t pad = len && sim_chance(200) ? 4 * sim_below(4) : 0;
	bool ddgst = queue->ddgst && len;
	le32_t digest;

	if (queue->hdgst)
		hdr->flags |= PDU_FLAG_HDGST;
	if (ddgst)
		hdr->flags |= PDU_FLAG_DDGST;
	hdr->pdo = (uint8_t)(len ? head + pad : 0);
	hdr->plen = le32(head + (len ? pad + len + (ddgst ? PDU_DIGEST_LEN : 0u) : 0));
	memcpy(whole, hdr, hlen);
	digest = le32(crc32c(hdr, hlen));
	memcpy(whole + hlen, &digest, sizeof(digest));
	host_send(queue->sock, whole, head);
	if (!len)
		return;
	host_send(queue->sock, "\0\0\0\0\0\0\0\0\0\0\0", pad);
	host_send(queue->sock, data, len);
	digest = le32(crc32c(data, len) ^ bad_digest);
	if (ddgst)
		host_send(queue->sock, &digest, sizeof(digest));
}

void queue_send(struct host_queue *queue, struct command *command)
{
	struct pdu_cmd pdu = { .hdr = { .type = PDU_CMD, .hlen = PDU_HLEN_CMD } };
	uint32_t capsule =
		queue->qid && queue->phase == QP_LIVE ? MAX(host_knobs.in_capsule, 8192u) : 8192;

	command->in_capsule =
		command->len && !command->to_host && command->len <= capsule && sim_chance(600);
	command->sqe.sgl.type = command->in_capsule ? NVME_SGL_DATA_OFFSET : NVME_SGL_TRANSPORT;
	command->sqe.sgl.len = le32(command->len);
	command->bad_digest = queue->ddgst && command->kind >= COMMAND_READ && command->len &&
			      !command->to_host && sim_chance(host_knobs.bad_digest);
	pdu.sqe = command->sqe;
	pdu_send(queue, &pdu.hdr, command->data, command->in_capsule ? command->len : 0,
		 command->bad_digest);
	if (command->in_capsule)
		command->moved = command->len;
	host_counts.commands++;
	sim_say("host %u queue %u command %u: kind %u, opcode %02x, blocks %u+%u, %u bytes%s, write %u",
		queue->host->index, queue->qid, le16_get(command->sqe.cid), command->kind,
		command->sqe.opcode, command->slba, command->nlb, command->len,
		command->in_capsule ? " in the capsule" : "", command->write);
}

bool queue_grant_answer(struct host_queue *queue)
{
	struct grant grant;
	struct command *command;

	if (!queue->n_grants)
		return false;
	grant = queue->grants[0];
	memmove(queue->grants, queue->grants + 1, --queue->n_grants * sizeof(grant));
	command = &queue->commands[grant.cid];
	while (grant.len) {
		uint32_t most = MIN(grant.len, queue->max_h2c);
		uint32_t len = sim_chance(700) ? most : MIN(most, 4 * (1 + sim_below(most / 4)));
		struct pdu_data pdu = {
			.hdr = { .type = PDU_H2C_DATA,
				 .hlen = PDU_HLEN_DATA,
				 .flags = len == grant.len ? PDU_FLAG_LAST : 0 },
			.cccid = le16(grant.cid),
			.ttag = le16(grant.ttag),
			.datao = le32(grant.offset),
			.datal = le32(len),
		};

		pdu_send(queue, &pdu.hdr, command->data + grant.offset, len, command->bad_digest);
		grant.offset += len;
		grant.len -= len;
		command->moved += len;
	}
	return true;
}

void queue_garbage(struct host_queue *queue)
{
	uint8_t bytes[64];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)sim_random();
	queue->faulted = true;
	host_send(queue->sock, bytes, sizeof(bytes));
}

/* --------------------------------------------------------------------------------------- receiving */

static struct command *command_of(struct host_queue *queue, le16_t cid)
{
	unsigned i = le16_get(cid);

	SIM_CHECK(i < queue->depth && queue->commands[i].busy && !queue->commands[i].answered,
		  "host %u queue %u: an answer for command %u, which is not there",
		  queue->host->index, queue->qid, i);
	return &queue->commands[i];
}

static void answer(struct host_queue *queue, const struct nvme_cqe *cqe)
{
	struct command *command = command_of(queue, cqe->cid);

	SIM_CHECK(le16_get(cqe->sqid) == queue->qid || command->kind == COMMAND_CONNECT,
		  "host %u queue %u: an answer of queue %u", queue->host->index, queue->qid,
		  le16_get(cqe->sqid));
	for (unsigned i = 0; i < queue->n_grants; i++)
		SIM_CHECK(queue->grants[i].cid != le16_get(cqe->cid) || le16_get(cqe->status) >> 1,
			  "host %u queue %u: command %u succeeded without its data",
			  queue->host->index, queue->qid, le16_get(cqe->cid));
	command_end(queue, command, cqe);
}

static void got_icresp(struct host_queue *queue, const struct pdu_icresp *pdu)
{
	SIM_CHECK(!queue->initialized && !le16_get(pdu->pfv), "a wrong ICResp");
	queue->initialized = true;
	queue->hdgst = pdu->dgst & PDU_DGST_HEADER;
	queue->ddgst = pdu->dgst & PDU_DGST_DATA;
	queue->max_h2c = le32_get(pdu->maxh2cdata);
	SIM_CHECK(queue->max_h2c >= PDU_MAXH2CDATA_MIN && !pdu->cpda, "ICResp asks too much");
	command_connect(queue);
}

static void got_r2t(struct host_queue *queue, const struct pdu_r2t *pdu)
{
	struct command *command = command_of(queue, pdu->cccid);
	uint32_t offset = le32_get(pdu->r2to), len = le32_get(pdu->r2tl);

	SIM_CHECK(!command->to_host && !command->in_capsule && offset == command->granted && len &&
			  command->moved == command->granted && len <= command->len - offset,
		  "host %u queue %u: R2T for bytes %u+%u of command %u, which has %u, %u granted",
		  queue->host->index, queue->qid, offset, len, le16_get(pdu->cccid), command->len,
		  command->granted);
	SIM_CHECK(queue->n_grants < HOST_GRANTS, "more R2Ts than there are commands");
	command->granted += len;
	queue->grants[queue->n_grants++] =
		(struct grant){ le16_get(pdu->cccid), le16_get(pdu->ttag), offset, len };
}

static void got_data(struct host_queue *queue, const struct pdu_data *pdu, const uint8_t *bytes)
{
	struct command *command = command_of(queue, pdu->cccid);
	uint32_t offset = le32_get(pdu->datao), len = le32_get(pdu->datal);

	SIM_CHECK(command->to_host && offset == command->moved && len &&
			  len <= command->len - offset && !command->data_whole,
		  "host %u queue %u: bytes %u+%u of command %u, which has room for %u and got %u",
		  queue->host->index, queue->qid, offset, len, le16_get(pdu->cccid), command->len,
		  command->moved);
	memcpy(command->data + offset, bytes, len);
	command->moved += len;
	command->data_whole = pdu->hdr.flags & PDU_FLAG_LAST;
	if (pdu->hdr.flags & PDU_FLAG_SUCCESS) {
		const struct nvme_cqe cqe = { .cid = pdu->cccid, .sqid = le16(queue->qid) };

		SIM_CHECK(command->data_whole, "success before the last data");
		answer(queue, &cqe);
	}
}

/* Checks what all PDUs have, digests too; @len is the whole of it. Returns its payload. */
static const uint8_t *pdu_check(const struct host_queue *queue, const struct pdu_hdr *hdr,
				uint32_t len, bool data)
{
	const uint8_t *bytes = (const uint8_t *)hdr;
	bool digests = hdr->type != PDU_ICRESP && hdr->type != PDU_C2H_TERM;
	uint32_t head = hdr->hlen + (digests && queue->hdgst ? PDU_DIGEST_LEN : 0u);
	le32_t digest;

	SIM_CHECK(len >= head && (!data || (hdr->pdo >= head && hdr->pdo < len &&
					    !(hdr->pdo % ((queue->hpda + 1u) * 4)))),
		  "host %u queue %u: PDU of type %u, HLEN %u, PDO %u, PLEN %u", queue->host->index,
		  queue->qid, hdr->type, hdr->hlen, hdr->pdo, len);
	if (digests && queue->hdgst) {
		memcpy(&digest, bytes + hdr->hlen, sizeof(digest));
		SIM_CHECK(le32_get(digest) == crc32c(hdr, hdr->hlen), "a wrong header digest");
	}
	if (data && queue->ddgst) {
		uint32_t n = len - hdr->pdo - PDU_DIGEST_LEN;

		memcpy(&digest, bytes + len - PDU_DIGEST_LEN, sizeof(digest));
		SIM_CHECK(le32_get(digest) == crc32c(bytes + hdr->pdo, n), "a wrong data digest");
	}
	return bytes + hdr->pdo;
}

static void got_pdu(struct host_queue *queue, const struct pdu_hdr *hdr, uint32_t len)
{
	const uint8_t *payload = pdu_check(queue, hdr, len, hdr->type == PDU_C2H_DATA);

	switch (hdr->type) {
	case PDU_ICRESP:
		SIM_CHECK(len == sizeof(struct pdu_icresp), "ICResp of %u bytes", len);
		got_icresp(queue, (const struct pdu_icresp *)hdr);
		break;
	case PDU_RSP:
		SIM_CHECK(hdr->hlen == sizeof(struct pdu_rsp), "CapsuleResp with HLEN %u",
			  hdr->hlen);
		answer(queue, &((const struct pdu_rsp *)hdr)->cqe);
		break;
	case PDU_R2T:
		SIM_CHECK(hdr->hlen == sizeof(struct pdu_r2t), "R2T with HLEN %u", hdr->hlen);
		got_r2t(queue, (const struct pdu_r2t *)hdr);
		break;
	case PDU_C2H_DATA:
		SIM_CHECK(hdr->hlen == sizeof(struct pdu_data) &&
				  len == hdr->pdo +
						  le32_get(((const struct pdu_data *)hdr)->datal) +
						  (queue->ddgst ? PDU_DIGEST_LEN : 0u),
			  "C2HData with HLEN %u, PLEN %u", hdr->hlen, len);
		got_data(queue, (const struct pdu_data *)hdr, payload);
		break;
	case PDU_C2H_TERM:
		SIM_CHECK(queue->faulted,
			  "host %u queue %u: the target terminates the connection: FES %u, FEI %u",
			  queue->host->index, queue->qid,
			  le16_get(((const struct pdu_term *)hdr)->fes),
			  le32_get(((const struct pdu_term *)hdr)->fei));
		break;
	default:
		sim_fail("host %u queue %u: a PDU of type %u", queue->host->index, queue->qid,
			 hdr->type);
	}
}

/* Takes whole PDUs out of what was received. */
static void queue_parse(struct host_queue *queue)
{
	struct sim_sock *sock = queue->sock;

	while (queue->rx_len >= sizeof(struct pdu_hdr)) {
		const struct pdu_hdr *hdr = (const struct pdu_hdr *)queue->rx;
		uint32_t len = le32_get(hdr->plen);
		uint8_t *whole;

		SIM_CHECK(len >= sizeof(*hdr) && len <= PDU_MOST && hdr->hlen <= len,
			  "host %u queue %u: a PDU of %u bytes, type %u", queue->host->index,
			  queue->qid, len, hdr->type);
		if (queue->rx_len < len)
			return;
		whole = sim_alloc(len);
		memcpy(whole, queue->rx, len);
		queue->rx_len -= len;
		memmove(queue->rx, queue->rx + len, queue->rx_len);
		got_pdu(queue, (const struct pdu_hdr *)whole, len);
		free(whole);
		/* What it said may have ended the queue. */
		if (queue->sock != sock)
			return;
	}
}

bool queue_read(struct host_queue *queue, bool all)
{
	size_t pending = host_pending(queue->sock), n = pending;

	if (!pending) {
		if (!host_sees_end(queue->sock))
			return false;
		sim_say("host %u queue %u: the target ended it", queue->host->index, queue->qid);
		host_lost(queue, false);
		return true;
	}
	if (!all)
		n = sim_chance(500) ? MIN(pending, (size_t)READ_PIECE) :
				      1 + sim_below((uint32_t)pending);
	if (queue->rx_room < queue->rx_len + n) {
		queue->rx_room = 2 * (queue->rx_len + n);
		queue->rx = realloc(queue->rx, queue->rx_room);
		SIM_CHECK(queue->rx, "no memory for the simulation itself");
	}
	queue->rx_len += host_receive(queue->sock, queue->rx + queue->rx_len, n);
	queue_parse(queue);
	return true;
}
