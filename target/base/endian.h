/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Little-endian wire integers. They are structures of bytes on purpose: the compiler refuses to mix
 * them with host integers, and a wire structure made of them has alignment 1 and no padding, so it
 * may be laid over any received byte.
 */
#ifndef SLUICE_BASE_ENDIAN_H
#define SLUICE_BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct {
	uint8_t b[2];
} le16_t;
typedef struct {
	uint8_t b[4];
} le32_t;
typedef struct {
	uint8_t b[8];
} le64_t;
/* 128-bit counters of log pages; the high half stays zero here. */
typedef struct {
	le64_t lo;
	le64_t hi;
} le128_t;

static inline uint16_t le16_get(le16_t v)
{
	uint16_t x;

	memcpy(&x, v.b, sizeof(x));
	return le16toh(x);
}

static inline uint32_t le32_get(le32_t v)
{
	uint32_t x;

	memcpy(&x, v.b, sizeof(x));
	return le32toh(x);
}

static inline uint64_t le64_get(le64_t v)
{
	uint64_t x;

	memcpy(&x, v.b, sizeof(x));
	return le64toh(x);
}

static inline le16_t le16(uint16_t x)
{
	le16_t v;

	x = htole16(x);
	memcpy(v.b, &x, sizeof(x));
	return v;
}

static inline le32_t le32(uint32_t x)
{
	le32_t v;

	x = htole32(x);
	memcpy(v.b, &x, sizeof(x));
	return v;
}

static inline le64_t le64(uint64_t x)
{
	le64_t v;

	x = htole64(x);
	memcpy(v.b, &x, sizeof(x));
	return v;
}

static inline le128_t le128(uint64_t x)
{
	return (le128_t){ .lo = le64(x) };
}

#endif
