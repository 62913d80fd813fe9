/* SPDX-License-Identifier: BSD-3-Clause */
/* The private data of RDMA_CM messages (NVMe/RDMA 1.1, 3.2): pure, no verbs. */
#ifndef SLUICE_RDMA_PRIVATE_H
#define SLUICE_RDMA_PRIVATE_H

#include <stddef.h>

#include "base/endian.h"

struct private_request {
	le16_t recfmt;
	le16_t qid;
	le16_t hrqsize; /* entries of the host's receive queue */
	le16_t hsqsize; /* entries of its send queue, zero based */
	le16_t cntlid;	/* of an I/O queue's controller; older hosts leave it zero */
	uint8_t rsvd10[22];
};
_Static_assert(sizeof(struct private_request) == 32, "private data of a connect request");

struct private_accept {
	le16_t recfmt;
	le16_t crqsize; /* entries of the controller's receive queue */
	uint8_t rsvd4[28];
};
_Static_assert(sizeof(struct private_accept) == 32, "private data of an accept");

struct private_reject {
	le16_t recfmt;
	le16_t sts; /* enum private_sts */
};
_Static_assert(sizeof(struct private_reject) == 4, "private data of a reject");

enum private_sts {
	PRIVATE_OK = 0,
	PRIVATE_INVALID_LENGTH = 1,
	PRIVATE_INVALID_RECFMT = 2,
	PRIVATE_INVALID_QID = 3,
	PRIVATE_INVALID_HSQSIZE = 4,
	PRIVATE_INVALID_HRQSIZE = 5,
	PRIVATE_NO_RESOURCES = 6,
	PRIVATE_INVALID_IRD = 7,
	PRIVATE_INVALID_ORD = 8,
	PRIVATE_INVALID_CNTLID = 9,
};

enum { PRIVATE_ADMIN_DEPTH = 128 /* the most entries of an admin queue: hosts use 32 */ };

/* What a host wants its connection for. */
struct private_wants {
	uint16_t qid;
	uint16_t depth; /* entries of the submission queue */
};

/*
 * Reads the @len bytes of private data of a connect request, where no queue may have more than @deepest
 * entries. PRIVATE_OK, or the status to reject the request with; @wants is filled in with what was read by
 * then.
 */
enum private_sts private_parse(const void *data, size_t len, unsigned deepest,
			       struct private_wants *wants);

void private_encode_accept(struct private_accept *accept, uint16_t crqsize);
void private_encode_reject(struct private_reject *reject, enum private_sts sts);

/* "HSQSIZE invalid" and the like. */
const char *private_sts_name(enum private_sts sts);

#endif
