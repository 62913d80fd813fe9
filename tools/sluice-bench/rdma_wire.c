/* SPDX-License-Identifier: BSD-3-Clause */
#include "rdma_wire.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

void hrdma_request_encode(struct hrdma_request *request, uint16_t qid, uint32_t entries,
			  uint16_t cntlid)
{
	*request = (struct hrdma_request){
		.recfmt = le16(RDMA_RECFMT),
		.qid = le16(qid),
		.hrqsize = le16((uint16_t)entries),
		.hsqsize = le16((uint16_t)(entries - 1)),
		.cntlid = le16(qid ? cntlid : 0),
	};
}

const char *hrdma_accept_fault(const void *data, size_t len, uint32_t outstanding, char *text)
{
	struct hrdma_accept accept;

	if (len < sizeof(accept)) {
		snprintf(text, RDMA_TEXT_MAX, "accepted with %zu bytes of private data, not %d",
			 len, RDMA_ACCEPT_LEN);
		return text;
	}
	memcpy(&accept, data, sizeof(accept));
	if (le16_get(accept.recfmt) != RDMA_RECFMT) {
		snprintf(text, RDMA_TEXT_MAX, "accepted with RECFMT %u, this host speaks 0",
			 le16_get(accept.recfmt));
		return text;
	}
	if (le16_get(accept.crqsize) < outstanding) {
		snprintf(text, RDMA_TEXT_MAX,
			 "accepted with CRQSIZE %u, but %u commands may be outstanding",
			 le16_get(accept.crqsize), outstanding);
		return text;
	}
	return NULL;
}

const char *hrdma_reject_text(const void *data, size_t len, char *text)
{
	static const char *const reasons[] = {
		[1] = "invalid private data length",
		[2] = "invalid RECFMT",
		[3] = "invalid queue identifier (QID)",
		[4] = "invalid HSQSIZE: try a smaller --depth",
		[5] = "invalid HRQSIZE: try a smaller --depth",
		[6] = "no resources: the target has no memory or no queue pair left for this queue",
		[7] = "invalid IRD",
		[8] = "invalid ORD",
		[9] = "invalid controller identifier (CNTLID)",
	};
	struct hrdma_reject reject;
	unsigned sts;

	if (len < sizeof(reject)) {
		snprintf(text, RDMA_TEXT_MAX, "no reason given (%zu bytes of private data)", len);
		return text;
	}
	memcpy(&reject, data, sizeof(reject));
	sts = le16_get(reject.sts);
	if (le16_get(reject.recfmt) != RDMA_RECFMT)
		snprintf(text, RDMA_TEXT_MAX, "reason of unknown RECFMT %u",
			 le16_get(reject.recfmt));
	else
		snprintf(text, RDMA_TEXT_MAX, "%s (STS %u)",
			 sts < ARRAY_SIZE(reasons) && reasons[sts] ? reasons[sts] :
								     "unknown reason",
			 sts);
	return text;
}

void hrdma_sgl_keyed(struct nvme_sqe *sqe, uint64_t addr, uint32_t len, uint32_t key,
		     bool invalidate)
{
	struct nvme_keyed_sgl sgl = {
		.addr = le64(addr),
		.len = { (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16) },
		.key = le32(key),
		.type = invalidate ? NVME_SGL_KEYED_INVALIDATE : NVME_SGL_KEYED_ADDRESS,
	};

	memcpy(&sqe->sgl, &sgl, sizeof(sqe->sgl));
}

void hrdma_sgl_capsule(struct nvme_sqe *sqe, uint32_t len)
{
	sqe->sgl = (struct nvme_sgl){ .len = le32(len), .type = NVME_SGL_DATA_OFFSET };
}

const char *hrdma_response_len_fault(const struct hrdma_response *r, char *text)
{
	if (r->len == sizeof(struct nvme_cqe))
		return NULL;
	snprintf(text, RDMA_TEXT_MAX, "a response of %u bytes instead of %zu", r->len,
		 sizeof(struct nvme_cqe));
	return text;
}

const char *hrdma_response_key_fault(const struct hrdma_response *r, char *text)
{
	if (!r->invalidated || (r->may_invalidate && r->key == r->cmd_key))
		return NULL;
	if (r->may_invalidate)
		snprintf(text, RDMA_TEXT_MAX,
			 "a response that invalidates key %08xh instead of %08xh", r->key,
			 r->cmd_key);
	else
		snprintf(text, RDMA_TEXT_MAX,
			 "a response that invalidates key %08xh, which nobody asked for", r->key);
	return text;
}
