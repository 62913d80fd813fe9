/* SPDX-License-Identifier: BSD-3-Clause */
#include "build.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "base/rng.h"
#include "transport/tcp/pdu.h"

enum { RANGE_BLOCKS = 8, MADE_UP_LEN = 512 };

/* A PDU in the making. */
struct pdu_build {
	uint8_t *buf;
	uint32_t len;
	uint32_t hlen; /* 0: no PDU, so that there are no digests */
	uint32_t data_at;
	uint32_t data_len;
	bool hdgst;
	bool ddgst;
};

/* Data of a command from byte @offset on: ranges for those that take them, else noise. */
static void payload_fill(uint64_t seed, uint8_t opcode, uint32_t offset, uint8_t *buf, uint32_t len)
{
	for (uint32_t i = 0; i < len;) {
		uint32_t at = offset + i, piece = 8;
		uint8_t entry[sizeof(struct nvme_copy_range)] = { 0 };
		struct rng rng = { .state = seed ^ at };

		if (opcode == NVME_IO_DSM) {
			piece = sizeof(struct nvme_dsm_range);
			*(struct nvme_dsm_range *)entry =
				(struct nvme_dsm_range){ .nlb = le32(RANGE_BLOCKS),
							 .slba = le64(at) };
		} else if (opcode == NVME_IO_COPY) {
			piece = sizeof(struct nvme_copy_range);
			*(struct nvme_copy_range *)entry =
				(struct nvme_copy_range){ .nlb = le16(RANGE_BLOCKS - 1),
							  .slba = le64(at) };
		} else {
			uint64_t noise = rng_next(&rng);

			memcpy(entry, &noise, sizeof(noise));
		}
		piece = MIN(piece, len - i);
		memcpy(buf + i, entry, piece);
		i += piece;
	}
}

/* ----------------------------------------------------------------------------------------- pieces */

/* Begins a PDU whose header of @hlen bytes is zero but for type and HLEN. */
static struct pdu_hdr *pdu_begin(const struct build_context *ctx, struct pdu_build *b, uint8_t type,
				 uint8_t hlen)
{
	struct pdu_hdr *hdr = (struct pdu_hdr *)b->buf;
	bool digests = type == PDU_CMD || type == PDU_H2C_DATA;

	memset(b->buf, 0, hlen);
	hdr->type = type;
	hdr->hlen = hlen;
	b->hlen = hlen;
	b->hdgst = digests && ctx->hdgst;
	b->ddgst = digests && ctx->ddgst;
	b->data_at = hlen + (b->hdgst ? PDU_DIGEST_LEN : 0u);
	b->len = b->data_at;
	if (b->hdgst)
		hdr->flags |= PDU_FLAG_HDGST;
	hdr->plen = le32(b->len);
	return hdr;
}

/* Announces @len bytes of data behind the header; the caller fills them in. */
static uint8_t *pdu_data(struct pdu_build *b, uint32_t len)
{
	struct pdu_hdr *hdr = (struct pdu_hdr *)b->buf;

	b->data_len = len;
	b->len = b->data_at + len;
	if (b->hdgst || b->ddgst || hdr->type == PDU_CMD || hdr->type == PDU_H2C_DATA)
		hdr->pdo = (uint8_t)b->data_at;
	if (b->ddgst) {
		hdr->flags |= PDU_FLAG_DDGST;
		b->len += PDU_DIGEST_LEN;
	}
	hdr->plen = le32(b->len);
	return b->buf + b->data_at;
}

static void digests_put(const struct pdu_build *b)
{
	le32_t digest;

	if (!b->hlen)
		return;
	if (b->hdgst) {
		digest = le32(crc32c(b->buf, b->hlen));
		memcpy(b->buf + b->hlen, &digest, sizeof(digest));
	}
	if (b->ddgst && b->data_len) {
		digest = le32(crc32c(b->buf + b->data_at, b->data_len));
		memcpy(b->buf + b->data_at + b->data_len, &digest, sizeof(digest));
	}
}

static void edits_apply(const struct action *action, const struct pdu_build *b)
{
	for (unsigned i = 0; i < action->n_edits; i++) {
		const struct edit *e = &action->edits[i];
		le64_t bytes = le64(0);
		uint64_t value;

		if ((uint32_t)e->offset + e->width > b->len)
			continue;
		memcpy(&bytes, b->buf + e->offset, e->width);
		value = le64_get(bytes);
		value = e->op == '=' ? e->value :
			e->op == '^' ? value ^ e->value :
				       value + e->value;
		bytes = le64(value);
		memcpy(b->buf + e->offset, &bytes, e->width);
	}
}

/* ------------------------------------------------------------------------------------------ verbs */

static void icreq(const struct build_context *ctx, const struct action *a, struct pdu_build *b)
{
	struct pdu_icreq *pdu = (struct pdu_icreq *)pdu_begin(ctx, b, PDU_ICREQ, PDU_HLEN_IC);

	pdu->hpda = (uint8_t)a->arg[IC_HPDA];
	pdu->dgst = (uint8_t)a->arg[IC_DGST];
	pdu->maxr2t = le32((uint32_t)a->arg[IC_MAXR2T]);
}

static void connect_data_put(const struct build_context *ctx, const struct action *a,
			     struct nvmf_connect_data *data)
{
	struct rng rng = { .state = ctx->seed };

	memset(data, 0, sizeof(*data));
	rng_fill(&rng, data->hostid, sizeof(data->hostid));
	data->cntlid = le16(ctx->cntlid);
	snprintf(data->hostnqn, sizeof(data->hostnqn), "nqn.2026-11.io.sluice:fuzz-%016llx",
		 (unsigned long long)ctx->seed);
	switch (a->arg[CON_NQN]) {
	case NQN_DISCOVERY:
		strcpy(data->subnqn, NVME_DISCOVERY_NQN);
		break;
	case NQN_NOISE:
		rng_fill(&rng, data->subnqn, sizeof(data->subnqn));
		break;
	default:
		snprintf(data->subnqn, sizeof(data->subnqn), "%s", ctx->subnqn);
	}
}

static void connect_cmd(const struct build_context *ctx, const struct action *a,
			struct pdu_build *b)
{
	struct pdu_hdr *hdr = pdu_begin(ctx, b, PDU_CMD, PDU_HLEN_CMD);
	struct nvmf_connect_cmd *cmd = (struct nvmf_connect_cmd *)(hdr + 1);

	*cmd = (struct nvmf_connect_cmd){
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.cid = le16((uint16_t)a->arg[CON_CID]),
		.fctype = NVME_FCTYPE_CONNECT,
		.sgl = { .len = le32(sizeof(struct nvmf_connect_data)),
			 .type = NVME_SGL_DATA_OFFSET },
		.qid = le16((uint16_t)a->arg[CON_QID]),
		.sqsize = le16((uint16_t)a->arg[CON_SQSIZE]),
		.cattr = (uint8_t)a->arg[CON_CATTR],
		.kato = le32((uint32_t)a->arg[CON_KATO]),
	};
	connect_data_put(ctx, a,
			 (struct nvmf_connect_data *)pdu_data(b, sizeof(struct nvmf_connect_data)));
}

static void property_cmd(const struct build_context *ctx, const struct action *a,
			 struct pdu_build *b)
{
	struct pdu_hdr *hdr = pdu_begin(ctx, b, PDU_CMD, PDU_HLEN_CMD);

	*(struct nvmf_property_cmd *)(hdr + 1) = (struct nvmf_property_cmd){
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.cid = le16((uint16_t)a->arg[PROP_CID]),
		.fctype = a->verb == VERB_PROP_SET ? NVME_FCTYPE_PROPERTY_SET :
						     NVME_FCTYPE_PROPERTY_GET,
		.attrib = (uint8_t)a->arg[PROP_SIZE],
		.offset = le32((uint32_t)a->arg[PROP_OFFSET]),
		.value = le64(a->arg[PROP_VALUE]),
	};
}

static void any_cmd(const struct build_context *ctx, const struct action *a, struct pdu_build *b)
{
	struct pdu_cmd *pdu = (struct pdu_cmd *)pdu_begin(ctx, b, PDU_CMD, PDU_HLEN_CMD);
	uint32_t data_len = (uint32_t)a->arg[CMD_DATA];
	const uint64_t *cdw = a->arg + CMD_CDW10;

	pdu->sqe = (struct nvme_sqe){
		.opcode = (uint8_t)a->arg[CMD_OP],
		.flags = (uint8_t)a->arg[CMD_FLAGS],
		.cid = le16((uint16_t)a->arg[CMD_CID]),
		.nsid = le32((uint32_t)a->arg[CMD_NSID]),
		.sgl = { .addr = le64(a->arg[CMD_ADDR]),
			 .len = le32((uint32_t)a->arg[CMD_LEN]),
			 .type = (uint8_t)a->arg[CMD_SGL] },
		.cdw10 = le32((uint32_t)cdw[0]),
		.cdw11 = le32((uint32_t)cdw[1]),
		.cdw12 = le32((uint32_t)cdw[2]),
		.cdw13 = le32((uint32_t)cdw[3]),
		.cdw14 = le32((uint32_t)cdw[4]),
		.cdw15 = le32((uint32_t)cdw[5]),
	};
	if (data_len)
		payload_fill(ctx->seed, pdu->sqe.opcode, 0, pdu_data(b, data_len), data_len);
}

static void data_put(const struct build_context *ctx, const struct build_r2t *r2t, uint32_t skip,
		     uint32_t len, bool last, struct pdu_build *b)
{
	struct pdu_data *pdu = (struct pdu_data *)pdu_begin(ctx, b, PDU_H2C_DATA, PDU_HLEN_DATA);

	pdu->cccid = le16(r2t->cid);
	pdu->ttag = le16(r2t->ttag);
	pdu->datao = le32(r2t->offset + skip);
	pdu->datal = le32(len);
	if (last)
		pdu->hdr.flags |= PDU_FLAG_LAST;
	payload_fill(ctx->seed, r2t->opcode, r2t->offset + skip, pdu_data(b, len), len);
}

static void data_action(const struct build_context *ctx, const struct action *a,
			struct pdu_build *b)
{
	const struct build_r2t *r2t = &ctx->r2t;
	uint32_t skip = (uint32_t)a->arg[DATA_SKIP], len = (uint32_t)a->arg[DATA_LEN];
	bool last;

	if (!len) {
		len = r2t->len > skip ? MIN(r2t->len - skip, ctx->chunk_max) : MADE_UP_LEN;
		len = MIN(len, (uint32_t)SCRIPT_DATA_MAX);
	}
	last = a->arg[DATA_LAST] == LAST_ALWAYS ||
	       (a->arg[DATA_LAST] == LAST_RIGHT && (!r2t->len || skip + len == r2t->len));
	data_put(ctx, r2t, skip, len, last, b);
}

static void term(const struct build_context *ctx, const struct action *a, struct pdu_build *b)
{
	struct pdu_term *pdu = (struct pdu_term *)pdu_begin(ctx, b, PDU_H2C_TERM, PDU_HLEN_TERM);
	uint32_t len = (uint32_t)a->arg[TERM_LEN];

	pdu->fes = le16((uint16_t)a->arg[TERM_FES]);
	pdu->fei = le32((uint32_t)a->arg[TERM_FEI]);
	memset(pdu_data(b, len), 0x55, len);
}

static void raw(const struct action *a, struct pdu_build *b)
{
	struct rng rng = { .state = a->arg[RAW_SEED] };

	b->len = (uint32_t)a->arg[RAW_LEN];
	memset(b->buf, 0, b->len);
	if (a->arg[RAW_SEED])
		rng_fill(&rng, b->buf, b->len);
}

uint32_t build_action(const struct build_context *ctx, const struct action *a, uint8_t *buf)
{
	struct pdu_build b = { .buf = buf };

	switch (a->verb) {
	case VERB_ICREQ:
		icreq(ctx, a, &b);
		break;
	case VERB_CONNECT:
		connect_cmd(ctx, a, &b);
		break;
	case VERB_PROP_GET:
	case VERB_PROP_SET:
		property_cmd(ctx, a, &b);
		break;
	case VERB_CMD:
		any_cmd(ctx, a, &b);
		break;
	case VERB_DATA:
		data_action(ctx, a, &b);
		break;
	case VERB_TERM:
		term(ctx, a, &b);
		break;
	case VERB_RAW:
		raw(a, &b);
		break;
	default:
		return 0;
	}
	if (a->stale)
		digests_put(&b);
	edits_apply(a, &b);
	if (!a->stale)
		digests_put(&b);
	return a->is_cut ? MIN(a->cut, b.len) : b.len;
}

uint32_t build_data(const struct build_context *ctx, const struct build_r2t *r2t, uint32_t skip,
		    uint32_t len, bool last, uint8_t *buf)
{
	struct pdu_build b = { .buf = buf };

	data_put(ctx, r2t, skip, len, last, &b);
	digests_put(&b);
	return b.len;
}
