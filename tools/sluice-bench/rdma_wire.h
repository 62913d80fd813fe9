/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's side of NVMe/RDMA as bytes (RDMA Transport 1.1): what goes along with the connection's
 * requests and answers, data pointers, and the rules for a response. Pure: knows no device.
 */
#ifndef SLUICE_BENCH_RDMA_WIRE_H
#define SLUICE_BENCH_RDMA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/nvme.h"

enum {
	RDMA_RECFMT = 0,
	RDMA_SGL_LEN_MAX = (1 << 24) - 1, /* bytes that a keyed descriptor can tell of */
	RDMA_REQUEST_LEN = 32,
	RDMA_ACCEPT_LEN = 32,
	RDMA_REJECT_LEN = 4,
	RDMA_TEXT_MAX = 192,
};

/* Private data of the request to connect. */
struct hrdma_request {
	le16_t recfmt;
	le16_t qid;
	le16_t hrqsize; /* receives that the host has posted */
	le16_t hsqsize; /* capsules that it sends at most, as Linux counts: SQSIZE, zero based */
	le16_t cntlid;  /* of I/O queues */
	uint8_t rsvd10[22];
};
_Static_assert(sizeof(struct hrdma_request) == RDMA_REQUEST_LEN, "request to connect");

struct hrdma_accept {
	le16_t recfmt;
	le16_t crqsize; /* receives that the controller has posted */
	uint8_t rsvd4[28];
};
_Static_assert(sizeof(struct hrdma_accept) == RDMA_ACCEPT_LEN, "accepted connection");

struct hrdma_reject {
	le16_t recfmt;
	le16_t sts;
};
_Static_assert(sizeof(struct hrdma_reject) == RDMA_REJECT_LEN, "rejected connection");

/* The request for a queue of @entries as a Linux host fills it in. */
void hrdma_request_encode(struct hrdma_request *request, uint16_t qid, uint32_t entries,
			 uint16_t cntlid);

/*
 * What is wrong with the private data of an accepted connection over which @outstanding commands
 * will be sent at a time, in words in @text (RDMA_TEXT_MAX bytes); NULL when nothing is.
 */
const char *hrdma_accept_fault(const void *data, size_t len, uint32_t outstanding, char *text);

/* Why the controller rejected the connection, by name, in @text (RDMA_TEXT_MAX bytes). */
const char *hrdma_reject_text(const void *data, size_t len, char *text);

/* Points @sqe at @len bytes (at most RDMA_SGL_LEN_MAX) at @addr under @key. */
void hrdma_sgl_keyed(struct nvme_sqe *sqe, uint64_t addr, uint32_t len, uint32_t key,
		    bool invalidate);

/* Points @sqe at @len bytes behind it in the capsule (ICDOFF 0). */
void hrdma_sgl_capsule(struct nvme_sqe *sqe, uint32_t len);

/* A response as the device received it, and what its command allows. */
struct hrdma_response {
	uint32_t len;        /* bytes received */
	bool invalidated;    /* SEND_WITH_INVALIDATE */
	uint32_t key;        /* with it */
	bool may_invalidate; /* the command asked for it */
	uint32_t cmd_key;    /* its key */
};

/* The length of a response. As hrdma_accept_fault(). */
const char *hrdma_response_len_fault(const struct hrdma_response *response, char *text);

/* The invalidated key against the command's. As hrdma_accept_fault(). */
const char *hrdma_response_key_fault(const struct hrdma_response *response, char *text);

#endif
