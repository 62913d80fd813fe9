/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/rdma/private.h"

#include "base/limits.h"

enum private_sts private_parse(const void *data, size_t len, unsigned deepest,
			       struct private_wants *wants)
{
	struct private_request request;
	unsigned depth;

	*wants = (struct private_wants){ 0 };
	if (!data || len < sizeof(request))
		return PRIVATE_INVALID_LENGTH;
	memcpy(&request, data, sizeof(request));
	if (le16_get(request.recfmt))
		return PRIVATE_INVALID_RECFMT;
	wants->qid = le16_get(request.qid);
	if (wants->qid > MAX_IO_QUEUES)
		return PRIVATE_INVALID_QID;
	/* Whether the controller is there shows at Connect; reserved identifiers never are. */
	if (wants->qid && le16_get(request.cntlid) > MAX_CNTLID)
		return PRIVATE_INVALID_CNTLID;
	depth = le16_get(request.hsqsize) + 1u;
	if (depth < MIN_QUEUE_DEPTH || depth > deepest ||
	    (!wants->qid && depth > PRIVATE_ADMIN_DEPTH))
		return PRIVATE_INVALID_HSQSIZE;
	wants->depth = (uint16_t)depth;
	/* A response for each command. Hosts disagree on whether HRQSIZE is zero based; both fit. */
	if (le16_get(request.hrqsize) < le16_get(request.hsqsize))
		return PRIVATE_INVALID_HRQSIZE;
	return PRIVATE_OK;
}

void private_encode_accept(struct private_accept *accept, uint16_t crqsize)
{
	*accept = (struct private_accept){ .crqsize = le16(crqsize) };
}

void private_encode_reject(struct private_reject *reject, enum private_sts sts)
{
	*reject = (struct private_reject){ .sts = le16((uint16_t)sts) };
}

const char *private_sts_name(enum private_sts sts)
{
	static const char *const names[] = {
		[PRIVATE_OK] = "nothing wrong",
		[PRIVATE_INVALID_LENGTH] = "private data too short",
		[PRIVATE_INVALID_RECFMT] = "RECFMT unknown",
		[PRIVATE_INVALID_QID] = "QID too large",
		[PRIVATE_INVALID_HSQSIZE] = "HSQSIZE out of range",
		[PRIVATE_INVALID_HRQSIZE] = "HRQSIZE smaller than HSQSIZE",
		[PRIVATE_NO_RESOURCES] = "no resources",
		[PRIVATE_INVALID_IRD] = "no RDMA READ possible",
		[PRIVATE_INVALID_ORD] = "ORD invalid",
		[PRIVATE_INVALID_CNTLID] = "CNTLID invalid",
	};

	return names[sts];
}
