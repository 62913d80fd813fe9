/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/rdma/sgl.h"

#include <string.h>

enum { SGL_SEGMENT_LAST_OFFSET = 0x31 /* last segment, in the capsule */ };

static uint16_t refuse(uint16_t status)
{
	return status | NVME_STATUS_DNR;
}

/* Opcode 1:0 is 01b when data comes from the host; Fabrics commands have it in FCTYPE. */
static bool is_from_host(const struct nvme_sqe *sqe)
{
	uint8_t code =
		sqe->opcode == NVME_OPCODE_FABRICS ? (uint8_t)le32_get(sqe->nsid) : sqe->opcode;

	return (code & 3) == 1;
}

static uint16_t parse_offset(const struct nvme_sqe *sqe, uint32_t capsule_len, struct sgl *sgl)
{
	uint64_t offset = le64_get(sqe->sgl.addr);
	uint32_t len = le32_get(sqe->sgl.len);

	if (!is_from_host(sqe))
		return refuse(NVME_SC_SGL_TYPE_INVALID);
	if (offset > capsule_len)
		return refuse(NVME_SC_SGL_OFFSET_INVALID);
	if (len > capsule_len - offset)
		return refuse(NVME_SC_SGL_LENGTH_INVALID);
	sgl->in_capsule = true;
	sgl->offset = (uint32_t)offset;
	sgl->len = len;
	return 0;
}

static uint16_t parse_keyed(const struct nvme_sgl *descriptor, struct sgl *sgl)
{
	const struct nvme_keyed_sgl *keyed = (const struct nvme_keyed_sgl *)descriptor;
	struct sgl_data *data = &sgl->data[sgl->n];

	if (keyed->type != NVME_SGL_KEYED_ADDRESS && keyed->type != NVME_SGL_KEYED_INVALIDATE)
		return refuse(NVME_SC_SGL_TYPE_INVALID);
	data->addr = le64_get(keyed->addr);
	data->len = keyed->len[0] | (uint32_t)keyed->len[1] << 8 | (uint32_t)keyed->len[2] << 16;
	data->key = le32_get(keyed->key);
	if (keyed->type == NVME_SGL_KEYED_INVALIDATE) {
		/* One response invalidates one key. */
		if (sgl->invalidate && sgl->invalidate_key != data->key)
			return refuse(NVME_SC_SGL_TYPE_INVALID);
		sgl->invalidate = true;
		sgl->invalidate_key = data->key;
	}
	sgl->len += data->len;
	sgl->n++;
	return 0;
}

/* The descriptors are in the capsule, where data would be. */
static uint16_t parse_segment(const struct nvme_sqe *sqe, const uint8_t *capsule,
			      uint32_t capsule_len, struct sgl *sgl)
{
	uint64_t offset = le64_get(sqe->sgl.addr);
	uint32_t len = le32_get(sqe->sgl.len);
	uint16_t status = 0;

	if (offset > capsule_len)
		return refuse(NVME_SC_SGL_OFFSET_INVALID);
	if (!len || len % sizeof(struct nvme_sgl) || len > capsule_len - offset)
		return refuse(NVME_SC_INVALID_SGL_SEGMENT);
	if (len / sizeof(struct nvme_sgl) > SGL_DESCRIPTORS)
		return refuse(NVME_SC_INVALID_SGL_COUNT);
	for (uint32_t at = 0; at < len && !status; at += sizeof(struct nvme_sgl)) {
		struct nvme_sgl descriptor;

		memcpy(&descriptor, capsule + offset + at, sizeof(descriptor));
		status = parse_keyed(&descriptor, sgl);
	}
	return status;
}

uint16_t sgl_parse(const struct nvme_sqe *sqe, const void *capsule, uint32_t capsule_len,
		   uint32_t capsule_max, struct sgl *sgl)
{
	uint16_t status;

	sgl->n = 0;
	sgl->len = 0;
	sgl->offset = 0;
	sgl->in_capsule = false;
	sgl->invalidate = false;
	if (capsule_len > capsule_max)
		status = refuse(NVME_SC_SGL_LENGTH_INVALID);
	else if (sqe->sgl.type == NVME_SGL_DATA_OFFSET)
		status = parse_offset(sqe, capsule_len, sgl);
	else if (sqe->sgl.type == SGL_SEGMENT_LAST_OFFSET)
		status = parse_segment(sqe, capsule, capsule_len, sgl);
	else
		status = parse_keyed(&sqe->sgl, sgl);
	if (status) {
		sgl->n = 0;
		sgl->len = 0;
		sgl->in_capsule = false;
		sgl->invalidate = false;
	}
	return status;
}
