/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC32C (Castagnoli) as NVMe/TCP header and data digests use it, computed by ISA-L. */
#ifndef SLUICE_BASE_CRC32C_H
#define SLUICE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start value of a digest over several pieces. */
#define CRC32C_INIT 0xffffffffu

/* Continues @crc (CRC32C_INIT at first) over @len bytes. ISA-L takes at most INT_MAX bytes a call. */
uint32_t crc32c_update(uint32_t crc, const void *data, size_t len);

/* The digest of all that was fed: what goes on the wire, in host byte order. */
static inline uint32_t crc32c_final(uint32_t crc)
{
	return ~crc;
}

static inline uint32_t crc32c(const void *data, size_t len)
{
	return crc32c_final(crc32c_update(CRC32C_INIT, data, len));
}

#endif
