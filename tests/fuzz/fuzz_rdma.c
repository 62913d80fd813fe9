/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What NVMe/RDMA reads of a host's bytes: private data of a request, and a capsule whose SGL is parsed.
 * The first byte tells how much of the capsule was admitted. Beside the sanitizers: whatever is accepted
 * lies inside what was received, and its lengths add up.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "transport/rdma/private.h"
#include "transport/rdma/sgl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void fuzz_private(const uint8_t *data, size_t size)
{
	struct private_wants wants;

	if (private_parse(data, size, MAX_QUEUE_DEPTH, &wants))
		return;
	check(size >= sizeof(struct private_request));
	check(wants.qid <= MAX_IO_QUEUES && wants.depth >= MIN_QUEUE_DEPTH &&
	      wants.depth <= MAX_QUEUE_DEPTH);
}

static void fuzz_sgl(const uint8_t *data, size_t size, uint32_t max)
{
	uint32_t len = (uint32_t)(size - sizeof(struct nvme_sqe));
	uint64_t sum = 0;
	uint8_t *capsule = malloc(len ? len : 1); /* of its own: what lies behind it is guarded */
	struct nvme_sqe sqe;
	struct sgl sgl;

	if (!capsule)
		return;
	memcpy(&sqe, data, sizeof(sqe));
	memcpy(capsule, data + sizeof(sqe), len);
	if (sgl_parse(&sqe, capsule, len, max, &sgl)) {
		check(!sgl.n && !sgl.len && !sgl.in_capsule && !sgl.invalidate);
	} else if (sgl.in_capsule) {
		check(!sgl.n && len <= max && sgl.offset <= len && sgl.len <= len - sgl.offset);
	} else {
		check(sgl.n >= 1 && sgl.n <= SGL_DESCRIPTORS);
		for (uint32_t i = 0; i < sgl.n; i++)
			sum += sgl.data[i].len;
		check(sum == sgl.len);
	}
	free(capsule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t max;

	if (!size)
		return 0;
	max = data[0] * 64u;
	data++;
	size--;
	fuzz_private(data, size);
	if (size >= sizeof(struct nvme_sqe))
		fuzz_sgl(data, size, max);
	return 0;
}
