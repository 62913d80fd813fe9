/* SPDX-License-Identifier: BSD-3-Clause */
#include "witness.h"

#include <string.h>

#include "base/compiler.h"
#include "sim.h"
#include "transport/tcp/pdu.h"

static uint32_t plen_of(const struct witness_stream *stream)
{
	struct pdu_hdr hdr;

	memcpy(&hdr, stream->head, sizeof(hdr));
	return le32_get(hdr.plen);
}

static uint16_t cid_at(const struct witness_stream *stream, size_t offset)
{
	return (uint16_t)(stream->head[offset] | stream->head[offset + 1] << 8);
}

/* Takes bytes up to the end of a PDU; true: that is whole now. */
static bool stream_take(struct witness_stream *stream, const uint8_t **bytes, size_t *size)
{
	uint32_t goal =
		stream->have < sizeof(struct pdu_hdr) ? sizeof(struct pdu_hdr) : plen_of(stream);
	size_t n = MIN(*size, (size_t)(goal - stream->have));

	if (stream->have < sizeof(stream->head))
		memcpy(stream->head + stream->have, *bytes,
		       MIN(n, sizeof(stream->head) - stream->have));
	stream->have += (uint32_t)n;
	*bytes += n;
	*size -= n;
	if (stream->have < sizeof(struct pdu_hdr))
		return false;
	if (plen_of(stream) < stream->have) {
		stream->broken = true;
		return false;
	}
	return stream->have == plen_of(stream);
}

static unsigned find(const struct witness *witness, uint16_t cid)
{
	unsigned i = 0;

	while (i < witness->n && witness->cids[i] != cid)
		i++;
	return i;
}

static void answered(struct witness *witness, uint16_t cid)
{
	unsigned at = find(witness, cid);

	SIM_CHECK(at < witness->n, "an answer for CID %u, which has got its own or was not sent",
		  cid);
	witness->cids[at] = witness->cids[--witness->n];
}

void witness_sent(struct witness *witness, const uint8_t *bytes, size_t size)
{
	struct witness_stream *stream = &witness->sent;

	while (size && !stream->broken) {
		uint32_t before = stream->have;
		bool whole = stream_take(stream, &bytes, &size);

		/* It may be answered before its data are there. */
		if (stream->head[0] == PDU_CMD && before < PDU_HLEN_CMD &&
		    stream->have >= PDU_HLEN_CMD) {
			SIM_CHECK(witness->n < WITNESS_COMMANDS, "too many commands to look after");
			witness->cids[witness->n++] =
				cid_at(stream, offsetof(struct pdu_cmd, sqe.cid));
		}
		if (whole)
			stream->have = 0;
	}
}

static void pdu_came(struct witness *witness)
{
	const struct witness_stream *stream = &witness->came;
	uint8_t type = stream->head[0], flags = stream->head[1];
	uint16_t cid;

	SIM_CHECK(!witness->terminated, "PDU type %u behind a termination request", type);
	if (type == PDU_C2H_TERM) {
		witness->terminated = true;
		return;
	}
	SIM_CHECK(witness->begun == (type != PDU_ICRESP), "PDU type %u %s ICResp", type,
		  witness->begun ? "behind" : "before");
	switch (type) {
	case PDU_ICRESP:
		witness->begun = true;
		break;
	case PDU_RSP:
		answered(witness, cid_at(stream, offsetof(struct pdu_rsp, cqe.cid)));
		break;
	case PDU_C2H_DATA:
	case PDU_R2T:
		cid = cid_at(stream, sizeof(struct pdu_hdr));
		SIM_CHECK(find(witness, cid) < witness->n,
			  "PDU type %u for CID %u, which waits for none", type, cid);
		if (type == PDU_C2H_DATA && flags & PDU_FLAG_SUCCESS)
			answered(witness, cid);
		break;
	default:
		sim_fail("PDU type %u from the target", type);
	}
}

void witness_came(struct witness *witness, const uint8_t *bytes, size_t size)
{
	struct witness_stream *stream = &witness->came;

	while (size) {
		bool whole = stream_take(stream, &bytes, &size);

		SIM_CHECK(!stream->broken, "a PDU that is shorter than its header");
		if (!whole)
			continue;
		pdu_came(witness);
		stream->have = 0;
	}
}
