/* SPDX-License-Identifier: BSD-3-Clause */
/* The model's second half: whether what a target sends fits what was sent. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "model.h"

enum { MODEL_RX_MIN = 65536 };

static const char *const names[FINDINGS] = {
	[FINDING_NONE] = "nothing",
	[FINDING_PDU] = "malformed PDU",
	[FINDING_ANSWER] = "wrong completion",
	[FINDING_DATA] = "wrong data",
	[FINDING_R2T] = "wrong R2T",
	[FINDING_TERM] = "wrong termination",
	[FINDING_SILENT] = "no answer",
	[FINDING_OPEN] = "still open",
	[FINDING_CANARY] = "another host was hurt",
	[FINDING_GONE] = "target is gone",
	[FINDING_GROWTH] = "growth",
	[FINDING_HERE] = "this host",
};

const char *finding_name(enum finding_kind kind)
{
	return names[kind];
}

bool finding_set(struct finding *finding, enum finding_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (finding->kind != FINDING_NONE)
		return false;
	finding->kind = kind;
	va_start(ap, fmt);
	vsnprintf(finding->text, sizeof(finding->text), fmt, ap);
	va_end(ap);
	return false;
}

/* --------------------------------------------------------------------------------------- commands */

struct model_cmd *model_cmd_find(struct model *m, uint16_t cid)
{
	for (unsigned i = 0; i < MODEL_CMDS; i++)
		if (m->cmds[i].used && le16_get(m->cmds[i].sqe.cid) == cid)
			return &m->cmds[i];
	return NULL;
}

void model_cmd_free(struct model *m, struct model_cmd *cmd)
{
	uint16_t cid = le16_get(cmd->sqe.cid);
	unsigned kept = 0;

	for (unsigned i = 0; i < m->n_r2ts; i++)
		if (m->r2ts[i].cid != cid)
			m->r2ts[kept++] = m->r2ts[i];
		else
			m->r2t_old = m->r2ts[i];
	m->n_r2ts = kept;
	if (m->body_of == cmd)
		m->body_of = NULL;
	cmd->used = false;
	m->outstanding--;
}

static bool by_r2t(const struct nvme_sqe *sqe)
{
	return (model_direction(sqe) & 1) && sqe->sgl.type == NVME_SGL_TRANSPORT &&
	       le32_get(sqe->sgl.len);
}

/*
 * More commands than the queue has entries, against the rules, and some of them wait for what this host
 * sends: that may lie behind one that has no entry, for ever.
 */
static bool may_block(const struct model *m)
{
	if (m->most <= m->sqsize)
		return false;
	for (unsigned i = 0; i < MODEL_CMDS; i++)
		if (m->cmds[i].used && (m->cmds[i].ends_late || by_r2t(&m->cmds[i].sqe)))
			return true;
	return false;
}

/* Data that was asked for and not sent keeps other commands from their turn. */
static bool is_owed(const struct model *m, const struct model_cmd *cmd)
{
	bool kept_back = m->n_r2ts || m->body_left;

	return cmd->used && cmd->sent && !cmd->ends_late && !(kept_back && by_r2t(&cmd->sqe));
}

unsigned model_owed(const struct model *m)
{
	unsigned owed = m->ic_sent && !m->ic_done;

	if (m->bent || m->term_got || may_block(m))
		return 0;
	for (unsigned i = 0; i < MODEL_CMDS; i++)
		owed += is_owed(m, &m->cmds[i]);
	return owed;
}

const char *model_owed_text(const struct model *m, char *buf, size_t len)
{
	snprintf(buf, len, "ICReq");
	for (unsigned i = 0; i < MODEL_CMDS; i++) {
		const struct model_cmd *cmd = &m->cmds[i];

		if (is_owed(m, cmd))
			snprintf(buf, len,
				 "opcode %02xh, CID %04xh on queue %u, %u of %u bytes asked for",
				 cmd->sqe.opcode, le16_get(cmd->sqe.cid), m->qid, cmd->granted,
				 le32_get(cmd->sqe.sgl.len));
	}
	return buf;
}

bool model_must_end(const struct model *m)
{
	return m->bent == BENT_HARD && !may_block(m);
}

/* ----------------------------------------------------------------------------------------- headers */

struct shape {
	const char *name;
	uint8_t hlen;
	bool digest;
};

static const struct shape shapes[] = {
	[PDU_ICRESP] = { "ICResp", PDU_HLEN_IC, false },
	[PDU_C2H_TERM] = { "C2HTermReq", PDU_HLEN_TERM, false },
	[PDU_RSP] = { "CapsuleResp", PDU_HLEN_RSP, true },
	[PDU_C2H_DATA] = { "C2HData", PDU_HLEN_DATA, true },
	[PDU_R2T] = { "R2T", PDU_HLEN_R2T, true },
};

static const struct shape *shape_of(const struct pdu_hdr *hdr)
{
	return hdr->type < ARRAY_SIZE(shapes) && shapes[hdr->type].name ? &shapes[hdr->type] : NULL;
}

/* PDO and PLEN (3.6.1). */
static bool lengths_right(const struct model *m, const struct pdu_hdr *hdr, uint32_t overhead)
{
	uint32_t align = ((m->ic_hpda & PDU_HPDA_MAX) + 1u) * 4, plen = le32_get(hdr->plen);

	if (hdr->type == PDU_C2H_DATA)
		return hdr->pdo >= overhead && hdr->pdo < overhead + align &&
		       hdr->pdo % align == 0 &&
		       plen > hdr->pdo + (m->ddgst ? PDU_DIGEST_LEN : 0u) && plen <= MODEL_PDU_MAX;
	if (hdr->pdo)
		return false;
	if (hdr->type == PDU_C2H_TERM)
		return plen >= PDU_HLEN_TERM && plen <= PDU_TERM_MAX;
	return plen == overhead;
}

static bool common_right(const struct model *m, const struct pdu_hdr *hdr, struct finding *f)
{
	const struct shape *shape = shape_of(hdr);
	uint8_t due = 0, free_bits = 0;

	if (m->term_got)
		return finding_set(f, FINDING_TERM, "bytes after a termination request");
	if (!shape)
		return finding_set(f, FINDING_PDU, "PDU type %02xh from a controller", hdr->type);
	if (hdr->type != PDU_C2H_TERM && (hdr->type == PDU_ICRESP) == m->ic_done)
		return finding_set(f, FINDING_PDU, "%s %s", shape->name,
				   m->ic_done ? "a second time" : "before ICResp");
	if (hdr->hlen != shape->hlen)
		return finding_set(f, FINDING_PDU, "%s with HLEN %u", shape->name, hdr->hlen);
	if (shape->digest && m->hdgst)
		due |= PDU_FLAG_HDGST;
	if (hdr->type == PDU_C2H_DATA) {
		due |= m->ddgst ? PDU_FLAG_DDGST : 0;
		free_bits = PDU_FLAG_LAST | PDU_FLAG_SUCCESS;
	}
	if ((hdr->flags & ~free_bits) != due)
		return finding_set(f, FINDING_PDU, "%s with flags %02xh", shape->name, hdr->flags);
	if (!lengths_right(m, hdr, shape->hlen + (due & PDU_FLAG_HDGST ? PDU_DIGEST_LEN : 0u)))
		return finding_set(f, FINDING_PDU, "%s with PDO %u and PLEN %u", shape->name,
				   hdr->pdo, le32_get(hdr->plen));
	return true;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static bool digest_right(const uint8_t *p, uint32_t len)
{
	le32_t digest;

	memcpy(&digest, p + len, sizeof(digest));
	return le32_get(digest) == crc32c(p, len);
}

/* ------------------------------------------------------------------------------------------- PDUs */

static bool icresp(struct model *m, const struct pdu_icresp *pdu, struct finding *f)
{
	uint32_t maxh2cdata = le32_get(pdu->maxh2cdata);

	if (!m->ic_sent)
		return finding_set(f, FINDING_PDU, "ICResp without ICReq");
	if (le16_get(pdu->pfv) || pdu->cpda > PDU_HPDA_MAX || (pdu->dgst & ~m->ic_dgst) ||
	    maxh2cdata < PDU_MAXH2CDATA_MIN || maxh2cdata % 4 ||
	    !is_zero(pdu->rsvd16, sizeof(pdu->rsvd16)))
		return finding_set(
			f, FINDING_PDU,
			"ICResp with PFV %u, CPDA %u, DGST %02xh of %02xh, MAXH2CDATA %u",
			le16_get(pdu->pfv), pdu->cpda, pdu->dgst, m->ic_dgst, maxh2cdata);
	m->ic_done = true;
	m->hdgst = pdu->dgst & PDU_DGST_HEADER;
	m->ddgst = pdu->dgst & PDU_DGST_DATA;
	m->maxh2cdata = maxh2cdata;
	return true;
}

static bool term(struct model *m, const struct pdu_term *pdu, struct finding *f)
{
	unsigned fes = le16_get(pdu->fes);

	m->term_got = true;
	if (fes < PDU_FES_INVALID_HEADER || fes > PDU_FES_UNSUPPORTED ||
	    !is_zero(pdu->rsvd14, sizeof(pdu->rsvd14)))
		return finding_set(f, FINDING_TERM, "a termination request with FES %u", fes);
	if (!m->bent)
		return finding_set(
			f, FINDING_TERM,
			"a termination request (FES %u, FEI %u) although nothing was wrong", fes,
			le32_get(pdu->fei));
	return true;
}

static void connect_done(struct model *m, const struct nvme_sqe *sqe, const struct nvme_cqe *cqe)
{
	const struct nvmf_connect_cmd *connect = (const struct nvmf_connect_cmd *)sqe;

	if (sqe->opcode != NVME_OPCODE_FABRICS || connect->fctype != NVME_FCTYPE_CONNECT)
		return;
	if (le16_get(cqe->status) >> 1) {
		m->failed = !m->connected;
		return;
	}
	m->connected = true;
	m->sqflow_off = connect->cattr & NVMF_CATTR_DISABLE_SQFLOW;
	if (!le16_get(connect->qid))
		m->cntlid = (uint16_t)le32_get(cqe->dw0);
}

/* A Read that succeeds brings all of its data, and says which PDU was the last. */
static bool read_whole(const struct model *m, const struct model_cmd *cmd, struct finding *f)
{
	const struct nvme_sqe *sqe = &cmd->sqe;
	uint64_t blocks = (le32_get(sqe->cdw12) & NVME_RW_NLB_MASK) + 1u;
	bool known = m->guard && le32_get(sqe->nsid) == m->guard->nsid;

	if (!m->qid || sqe->opcode != NVME_IO_READ)
		return true;
	if (known ? cmd->received != blocks * m->guard->block_size : !cmd->received)
		return finding_set(f, FINDING_DATA, "Read of %llu blocks succeeds with %u bytes",
				   (unsigned long long)blocks, cmd->received);
	if (!cmd->last)
		return finding_set(f, FINDING_DATA, "Read succeeds without LAST_PDU");
	return true;
}

static bool rsp(struct model *m, const struct pdu_rsp *pdu, struct finding *f)
{
	uint16_t cid = le16_get(pdu->cqe.cid), status = le16_get(pdu->cqe.status);
	struct model_cmd *cmd = model_cmd_find(m, cid);

	if (status & 1)
		return finding_set(f, FINDING_ANSWER, "a completion with a phase tag");
	if (!cmd)
		return m->lost || m->overflown ||
		       finding_set(
			       f, FINDING_ANSWER,
			       "a completion (status %03xh) for CID %04xh, which is not outstanding",
			       status >> 1, cid);
	connect_done(m, &cmd->sqe, &pdu->cqe);
	if (!m->bent && !status && !read_whole(m, cmd, f))
		return false;
	model_cmd_free(m, cmd);
	return true;
}

/* What is wrong with C2HData of @len bytes for @cmd; NULL: nothing. */
static const char *data_wrong(const struct model *m, const struct pdu_data *pdu,
			      const struct model_cmd *cmd, uint32_t len)
{
	if (!cmd)
		return "for a command that is not outstanding";
	if (!(model_direction(&cmd->sqe) & 2))
		return "for a command that asked for none";
	if (cmd->last)
		return "after LAST_PDU";
	if (le32_get(pdu->datao) != cmd->received)
		return "that does not continue where the last ended";
	if (len > le32_get(cmd->sqe.sgl.len) - cmd->received)
		return "beyond what the command has room for";
	if (pdu->hdr.flags & PDU_FLAG_SUCCESS && !(pdu->hdr.flags & PDU_FLAG_LAST))
		return "with SUCCESS but without LAST_PDU";
	if (pdu->hdr.flags & PDU_FLAG_SUCCESS && !m->sqflow_off)
		return "with SUCCESS although flow control is on";
	return NULL;
}

static bool c2h_data(struct model *m, const struct pdu_data *pdu, struct finding *f)
{
	uint32_t plen = le32_get(pdu->hdr.plen), tail = m->ddgst ? PDU_DIGEST_LEN : 0;
	uint32_t len = plen - pdu->hdr.pdo - tail, begin = pdu->hdr.hlen;
	const uint8_t *bytes = (const uint8_t *)pdu;
	uint16_t cid = le16_get(pdu->cccid);
	struct model_cmd *cmd = model_cmd_find(m, cid);
	const char *wrong;

	begin += m->hdgst ? PDU_DIGEST_LEN : 0;
	if (le32_get(pdu->datal) != len || !is_zero(pdu->rsvd20, sizeof(pdu->rsvd20)) ||
	    !is_zero(bytes + begin, pdu->hdr.pdo - begin))
		return finding_set(f, FINDING_PDU,
				   "C2HData with DATAL %u instead of %u, or bytes that "
				   "have to be zero",
				   le32_get(pdu->datal), len);
	if (tail && !digest_right(bytes + pdu->hdr.pdo, len))
		return finding_set(f, FINDING_PDU, "C2HData with a wrong data digest");
	if (m->bent) {
		if (cmd && pdu->hdr.flags & PDU_FLAG_SUCCESS)
			model_cmd_free(m, cmd);
		return true;
	}
	wrong = data_wrong(m, pdu, cmd, len);
	if (wrong)
		return finding_set(f, FINDING_DATA, "C2HData of CID %04xh (%u bytes at %u) %s", cid,
				   len, le32_get(pdu->datao), wrong);
	cmd->received += len;
	cmd->last = pdu->hdr.flags & PDU_FLAG_LAST;
	if (!(pdu->hdr.flags & PDU_FLAG_SUCCESS))
		return true;
	if (!read_whole(m, cmd, f))
		return false;
	model_cmd_free(m, cmd);
	return true;
}

static bool r2t(struct model *m, const struct pdu_r2t *pdu, struct finding *f)
{
	uint32_t offset = le32_get(pdu->r2to), len = le32_get(pdu->r2tl), open = 0;
	uint16_t cid = le16_get(pdu->cccid);
	struct model_cmd *cmd = model_cmd_find(m, cid);
	const char *wrong = NULL;

	for (unsigned i = 0; i < m->n_r2ts; i++)
		open += m->r2ts[i].cid == cid;
	if (!is_zero(pdu->rsvd20, sizeof(pdu->rsvd20)))
		wrong = "with reserved bytes";
	else if (m->bent)
		wrong = NULL;
	else if (!cmd)
		wrong = "for a command that is not outstanding";
	else if (!by_r2t(&cmd->sqe))
		wrong = "for a command that has nothing to send";
	else if (!len || offset != cmd->granted || len > le32_get(cmd->sqe.sgl.len) - offset)
		wrong = "outside of what is left of the command";
	else if (open > m->ic_maxr2t)
		wrong = "beyond MAXR2T";
	if (wrong)
		return finding_set(f, FINDING_R2T, "R2T for CID %04xh (%u bytes at %u) %s", cid,
				   len, offset, wrong);
	if (cmd)
		cmd->granted += len;
	if (m->n_r2ts < MODEL_R2TS)
		m->r2ts[m->n_r2ts++] = (struct model_r2t){ .cid = cid,
							   .ttag = le16_get(pdu->ttag),
							   .offset = offset,
							   .len = len,
							   .opcode = cmd ? cmd->sqe.opcode : 0 };
	return true;
}

static bool pdu_received(struct model *m, const uint8_t *p, struct finding *f)
{
	const struct pdu_hdr *hdr = (const struct pdu_hdr *)p;

	m->pdus_received++;
	if (hdr->flags & PDU_FLAG_HDGST && !digest_right(p, hdr->hlen))
		return finding_set(f, FINDING_PDU, "%s with a wrong header digest",
				   shape_of(hdr)->name);
	switch (hdr->type) {
	case PDU_ICRESP:
		return icresp(m, (const struct pdu_icresp *)p, f);
	case PDU_RSP:
		return rsp(m, (const struct pdu_rsp *)p, f);
	case PDU_C2H_DATA:
		return c2h_data(m, (const struct pdu_data *)p, f);
	case PDU_R2T:
		return r2t(m, (const struct pdu_r2t *)p, f);
	default:
		return term(m, (const struct pdu_term *)p, f);
	}
}

/* ----------------------------------------------------------------------------------------- stream */

static bool rx_put(struct model *m, const uint8_t *buf, size_t len, struct finding *f)
{
	size_t cap = m->rx_cap ? m->rx_cap : MODEL_RX_MIN;
	uint8_t *rx;

	while (cap < m->rx_len + len)
		cap *= 2;
	if (cap != m->rx_cap) {
		rx = realloc(m->rx, cap);
		if (!rx)
			return finding_set(f, FINDING_HERE, "no memory");
		m->rx = rx;
		m->rx_cap = cap;
	}
	memcpy(m->rx + m->rx_len, buf, len);
	m->rx_len += len;
	return true;
}

bool model_received(struct model *m, const uint8_t *buf, size_t len, struct finding *f)
{
	size_t at = 0;

	if (!rx_put(m, buf, len, f))
		return false;
	while (m->rx_len - at >= sizeof(struct pdu_hdr)) {
		const struct pdu_hdr *hdr = (const struct pdu_hdr *)(m->rx + at);
		uint32_t plen = le32_get(hdr->plen);

		if (!common_right(m, hdr, f))
			return false;
		if (m->rx_len - at < plen)
			break;
		if (!pdu_received(m, m->rx + at, f))
			return false;
		at += plen;
	}
	m->rx_len -= at;
	memmove(m->rx, m->rx + at, m->rx_len);
	if (m->term_got && m->rx_len)
		return finding_set(f, FINDING_TERM, "bytes after a termination request");
	return true;
}

void model_init(struct model *m, const struct model_guard *guard)
{
	uint8_t *rx = m->rx;
	size_t cap = m->rx_cap;

	memset(m, 0, sizeof(*m));
	m->rx = rx;
	m->rx_cap = cap;
	m->guard = guard;
	m->cntlid = NVMF_CNTLID_DYNAMIC;
}

void model_fini(struct model *m)
{
	free(m->rx);
	m->rx = NULL;
	m->rx_cap = 0;
}
