/* SPDX-License-Identifier: BSD-3-Clause */
/* The model's first half: what a target has to have seen of what was sent. */
#include <string.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "model.h"

/* Admin opcodes that change more than a controller: firmware, formats, namespaces, sanitizing. */
static const uint8_t admin_forbidden[] = { 0x0d, 0x10, 0x11, 0x15, 0x80, 0x84 };
enum { FEATURE_WRITE_PROTECT = 0x84 };

void model_bend(struct model *m, enum model_bent bent, const char *why)
{
	if (bent <= m->bent)
		return;
	m->bent = bent;
	m->why = why;
}

static void lose(struct model *m, enum model_bent bent, const char *why)
{
	model_bend(m, bent, why);
	m->lost = true;
}

/* ------------------------------------------------------------------------------------------ guard */

/* Whether a Write or Write Zeroes stays clear of the canary's blocks. */
static bool range_clear(const struct model_guard *guard, const struct nvme_sqe *sqe)
{
	uint64_t slba = le32_get(sqe->cdw10) | (uint64_t)le32_get(sqe->cdw11) << 32;
	uint64_t blocks = (le32_get(sqe->cdw12) & NVME_RW_NLB_MASK) + 1u;

	return slba >= guard->slba + guard->blocks || slba + blocks <= guard->slba ||
	       slba + blocks < slba;
}

static bool io_allowed(const struct model_guard *guard, const struct nvme_sqe *sqe)
{
	uint32_t nsid = le32_get(sqe->nsid);

	if (nsid != guard->nsid && nsid != UINT32_MAX)
		return true;
	switch (sqe->opcode) {
	case NVME_IO_FLUSH:
	case NVME_IO_READ:
	case NVME_IO_COMPARE:
	case NVME_IO_VERIFY:
	case NVME_OPCODE_FABRICS:
		return true;
	case NVME_IO_WRITE:
	case NVME_IO_WRITE_ZEROES:
		return range_clear(guard, sqe);
	default:
		return false;
	}
}

static bool cmd_allowed(const struct model *m, const struct nvme_sqe *sqe)
{
	if (!m->guard || !m->guard->nsid)
		return true;
	if (m->qid)
		return io_allowed(m->guard, sqe);
	for (size_t i = 0; i < ARRAY_SIZE(admin_forbidden); i++)
		if (sqe->opcode == admin_forbidden[i])
			return false;
	return sqe->opcode != NVME_ADMIN_SET_FEATURES ||
	       (le32_get(sqe->cdw10) & 0xff) != FEATURE_WRITE_PROTECT;
}

/* ---------------------------------------------------------------------------------------- headers */

/* Flags that have to be set, beside LAST_PDU. */
static uint8_t flags_due(const struct model *m, const struct pdu_hdr *hdr, uint32_t overhead)
{
	uint8_t flags = 0;

	if (hdr->type != PDU_CMD && hdr->type != PDU_H2C_DATA)
		return 0;
	if (m->hdgst)
		flags |= PDU_FLAG_HDGST;
	if (m->ddgst && (hdr->type == PDU_H2C_DATA || le32_get(hdr->plen) != overhead))
		flags |= PDU_FLAG_DDGST;
	return flags;
}

static void judge_data(struct model *m, const struct pdu_hdr *hdr, uint32_t overhead)
{
	uint32_t plen = le32_get(hdr->plen);
	uint32_t tail = m->ddgst ? PDU_DIGEST_LEN : 0;
	uint32_t most = hdr->type == PDU_H2C_DATA ? m->maxh2cdata : MODEL_FABRICS_DATA;

	if (hdr->type == PDU_CMD && m->qid && m->connected)
		most = m->guard ? m->guard->capsule_data : most;
	if (hdr->type == PDU_CMD && plen == overhead) {
		if (hdr->pdo)
			lose(m, BENT_SOFT, "PDO without data");
		return;
	}
	if (hdr->pdo < overhead || hdr->pdo % 4)
		lose(m, BENT_SOFT, "PDO inside the header");
	else if (plen <= hdr->pdo + tail)
		lose(m, BENT_SOFT, "PLEN leaves no room for data");
	else if (plen - hdr->pdo - tail > most)
		lose(m, BENT_SOFT, "more data than a PDU may carry");
}

/* The common header is there: how long is the whole one? 0 when the framing is lost. */
static uint32_t judge_common(struct model *m, const struct pdu_hdr *hdr)
{
	static const uint8_t hlens[] = { [PDU_ICREQ] = PDU_HLEN_IC,
					 [PDU_H2C_TERM] = PDU_HLEN_TERM,
					 [PDU_CMD] = PDU_HLEN_CMD,
					 [PDU_H2C_DATA] = PDU_HLEN_DATA };
	uint8_t hlen = hdr->type < ARRAY_SIZE(hlens) ? hlens[hdr->type] : 0;
	bool carries = hdr->type == PDU_CMD || hdr->type == PDU_H2C_DATA;
	uint32_t overhead = hlen + (carries && m->hdgst ? PDU_DIGEST_LEN : 0u);
	uint32_t plen = le32_get(hdr->plen);

	if (!hlen)
		lose(m, BENT_HARD, "a PDU type that a host does not send");
	else if ((hdr->type == PDU_ICREQ) == m->ic_sent)
		lose(m, BENT_HARD, m->ic_sent ? "a second ICReq" : "a PDU before ICReq");
	else if (hdr->hlen != hlen)
		lose(m, BENT_HARD, "HLEN does not fit the type");
	else if (plen < overhead)
		lose(m, BENT_HARD, "PLEN shorter than the header");
	else if ((hdr->flags & ~(hdr->type == PDU_H2C_DATA ? PDU_FLAG_LAST : 0)) !=
		 flags_due(m, hdr, overhead))
		lose(m, BENT_SOFT, "flags");
	else if (carries)
		judge_data(m, hdr, overhead);
	else if (hdr->pdo || (hdr->type == PDU_ICREQ ? plen != PDU_HLEN_IC : plen > PDU_TERM_MAX))
		lose(m, BENT_SOFT, "PDO or PLEN");
	/* What follows ICReq before the answer to it is out of turn. */
	if (hdr->type != PDU_ICREQ && !m->ic_done)
		model_bend(m, BENT_SOFT, "a PDU before ICResp came");
	return m->lost ? 0 : overhead;
}

unsigned model_direction(const struct nvme_sqe *sqe)
{
	return (sqe->opcode == NVME_OPCODE_FABRICS ? le32_get(sqe->nsid) : sqe->opcode) & 3;
}

static void icreq_sent(struct model *m, const struct pdu_icreq *pdu)
{
	m->ic_sent = true;
	m->ic_dgst = pdu->dgst;
	m->ic_hpda = pdu->hpda;
	m->ic_maxr2t = le32_get(pdu->maxr2t);
	/* Likely what will be granted: for what is sent before the answer. */
	m->hdgst = pdu->dgst & PDU_DGST_HEADER;
	m->ddgst = pdu->dgst & PDU_DGST_DATA;
	if (le16_get(pdu->pfv) || pdu->hpda > PDU_HPDA_MAX ||
	    pdu->dgst & ~(PDU_DGST_HEADER | PDU_DGST_DATA))
		model_bend(m, BENT_SOFT, "fields of ICReq");
}

static void cmd_sent(struct model *m, const struct nvme_sqe *sqe)
{
	const struct nvmf_connect_cmd *connect = (const struct nvmf_connect_cmd *)sqe;
	struct model_cmd *cmd = NULL;

	for (unsigned i = 0; i < MODEL_CMDS; i++) {
		if (m->cmds[i].used && !memcmp(&m->cmds[i].sqe.cid, &sqe->cid, sizeof(sqe->cid)))
			model_bend(m, BENT_SOFT, "a CID that is in use");
		if (!m->cmds[i].used && !cmd)
			cmd = &m->cmds[i];
	}
	if (!cmd) {
		m->overflown = true;
		model_bend(m, BENT_SOFT, "more commands than the model holds");
		return;
	}
	*cmd = (struct model_cmd){ .sqe = *sqe, .used = true };
	cmd->ends_late = sqe->opcode != NVME_OPCODE_FABRICS &&
			 ((sqe->flags & NVME_FUSE_MASK) ||
			  (!m->qid && sqe->opcode == NVME_ADMIN_ASYNC_EVENT));
	if (sqe->opcode == NVME_OPCODE_FABRICS && connect->fctype == NVME_FCTYPE_CONNECT &&
	    !m->connected) {
		m->qid = le16_get(connect->qid);
		m->sqsize = le16_get(connect->sqsize);
	}
	m->outstanding++;
	m->most = MAX(m->most, m->outstanding);
	m->body_of = cmd;
}

static bool awaits_grant(const struct model *m)
{
	for (unsigned i = 0; i < MODEL_CMDS; i++)
		if (m->cmds[i].used && (model_direction(&m->cmds[i].sqe) & 1))
			return true;
	return false;
}

/* H2CData against the R2Ts that came. */
static void data_sent(struct model *m, const struct pdu_data *pdu, uint32_t body)
{
	uint32_t tail = m->ddgst ? PDU_DIGEST_LEN : 0, len = le32_get(pdu->datal);
	struct model_r2t *r2t = NULL;
	uint32_t i;

	for (i = 0; i < m->n_r2ts && !r2t; i++)
		if (m->r2ts[i].ttag == le16_get(pdu->ttag) &&
		    m->r2ts[i].cid == le16_get(pdu->cccid))
			r2t = &m->r2ts[i];
	if (!r2t) {
		/* The target may have granted what has not come here yet. */
		model_bend(m, awaits_grant(m) ? BENT_SOFT : BENT_HARD,
			   "data that nothing asked for");
		return;
	}
	if (le32_get(pdu->datao) != r2t->offset + r2t->done || len > r2t->len - r2t->done ||
	    len != body - (pdu->hdr.pdo - pdu->hdr.hlen - (m->hdgst ? PDU_DIGEST_LEN : 0u)) -
			    tail ||
	    !!(pdu->hdr.flags & PDU_FLAG_LAST) != (len == r2t->len - r2t->done)) {
		model_bend(m, BENT_SOFT, "data other than what was asked for");
		return;
	}
	r2t->done += len;
	if (r2t->done < r2t->len)
		return;
	m->r2t_old = *r2t;
	memmove(r2t, r2t + 1, (--m->n_r2ts - (i - 1)) * sizeof(*r2t));
}

/* A whole header of @len bytes, digest included. False: the guard forbids it. */
static bool header_sent(struct model *m, uint32_t len)
{
	const struct pdu_hdr *hdr = (const struct pdu_hdr *)m->acc;
	le32_t digest;

	m->pdus_sent++;
	m->body_left = le32_get(hdr->plen) - len;
	m->body_of = NULL;
	if (len > hdr->hlen) {
		memcpy(&digest, m->acc + hdr->hlen, sizeof(digest));
		if (le32_get(digest) != crc32c(m->acc, hdr->hlen)) {
			lose(m, m->ic_done ? BENT_HARD : BENT_SOFT, "a wrong header digest");
			return true;
		}
	}
	switch (hdr->type) {
	case PDU_ICREQ:
		icreq_sent(m, (const struct pdu_icreq *)m->acc);
		return true;
	case PDU_CMD:
		if (!cmd_allowed(m, &((const struct pdu_cmd *)m->acc)->sqe))
			return false;
		cmd_sent(m, &((const struct pdu_cmd *)m->acc)->sqe);
		return true;
	case PDU_H2C_DATA:
		data_sent(m, (const struct pdu_data *)m->acc, m->body_left);
		return true;
	default:
		m->term_sent = true;
		lose(m, m->body_left ? BENT_SOFT : BENT_HARD, "a termination request");
		return true;
	}
}

static void body_done(struct model *m)
{
	if (m->body_of)
		m->body_of->sent = true;
	m->body_of = NULL;
}

bool model_sent(struct model *m, const uint8_t *buf, size_t len)
{
	while (len && !m->lost) {
		uint32_t want = m->need ? m->need : (uint32_t)sizeof(struct pdu_hdr);
		uint32_t n;

		if (m->body_left) {
			n = (uint32_t)MIN((size_t)m->body_left, len);
			m->body_left -= n;
			if (!m->body_left)
				body_done(m);
		} else {
			n = (uint32_t)MIN((size_t)(want - m->have), len);
			memcpy(m->acc + m->have, buf, n);
			m->have += n;
			if (m->have == want && !m->need) {
				m->need = judge_common(m, (const struct pdu_hdr *)m->acc);
			} else if (m->have == want) {
				m->have = 0;
				m->need = 0;
				if (!header_sent(m, want))
					return false;
				if (!m->body_left)
					body_done(m);
			}
		}
		buf += n;
		len -= n;
	}
	return true;
}
