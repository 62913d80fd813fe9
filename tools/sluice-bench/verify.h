/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Content that proves itself: every byte of a block depends on seed, namespace, block address and
 * generation (how often the block was written), and a table remembers each block's generation. So a
 * lost, old, torn or misplaced block is found and named.
 */
#ifndef SLUICE_BENCH_VERIFY_H
#define SLUICE_BENCH_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VERIFY_TEXT_MAX = 640 };

struct verify {
	uint64_t seed;
	uint64_t first;      /* block address where the range begins */
	uint64_t blocks;
	uint32_t block_size; /* bytes, a multiple of 512 */
	uint32_t nsid;
	uint32_t *gen;       /* 0: never written, content unknown */
	uint8_t *slack;      /* how many generations back are as good: writes with unknown outcome */
	uint64_t *busy;      /* a bit for each block that an I/O is using */
	uint64_t checked;    /* blocks compared */
	uint64_t bad;        /* blocks that differed */
};

/* 0 or -ENOMEM. */
int verify_init(struct verify *v, uint64_t seed, uint32_t nsid, uint32_t block_size, uint64_t first,
		uint64_t blocks);
void verify_fini(struct verify *v);

/* Bytes of memory that a table for @blocks takes. */
uint64_t verify_table_size(uint64_t blocks);

/* Takes @n blocks from @lba for one I/O; false when another I/O uses one of them. */
bool verify_claim(struct verify *v, uint64_t lba, uint32_t n);
void verify_release(struct verify *v, uint64_t lba, uint32_t n);

/* True when at least one of the blocks was written, so that a read has something to check. */
bool verify_known(const struct verify *v, uint64_t lba, uint32_t n);

/* Writes the next generation's content of @n blocks from @lba to @buf. */
void verify_fill(const struct verify *v, uint64_t lba, uint32_t n, uint8_t *buf);

/* That content was written: it is what a read has to find from now on. */
void verify_written(struct verify *v, uint64_t lba, uint32_t n);

/* Nobody knows whether it was written: until the next write or read both contents are right. */
void verify_uncertain(struct verify *v, uint64_t lba, uint32_t n);

/*
 * Compares what a read found. True when every known block is as it has to be, else false and in
 * @text (VERIFY_TEXT_MAX bytes) what is wrong with the first that is not.
 */
bool verify_check(struct verify *v, uint64_t lba, uint32_t n, const uint8_t *buf, char *text);

#endif
