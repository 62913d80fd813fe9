/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What blocks may hold: all writes that hosts have sent, when they were sent and when they were answered.
 * A read may return of each block what any write left there that was not overwritten for certain before
 * the read was sent. Every block that a host writes names its namespace, its address and the write.
 */
#ifndef SLUICE_TESTS_SIM_MODEL_H
#define SLUICE_TESTS_SIM_MODEL_H

#include "kernel.h"

enum { MODEL_NAMESPACES = 8 };

enum model_outcome {
	MODEL_WRITTEN, /* answered with success */
	MODEL_MAYBE,   /* answered otherwise: any part may be there */
	MODEL_NEVER,   /* answered so that nothing may be there */
};

void model_begin(void);
void model_end(void);
/* Namespace @ns of blocks of 1 << @shift bytes that are zero; on @disk, NULL: in memory of the target. */
void model_namespace(unsigned ns, struct sim_disk *disk, unsigned shift, uint32_t blocks);
unsigned model_shift(unsigned ns);
uint32_t model_blocks(unsigned ns);

/* The time of the next event. */
uint64_t model_tick(void);
/* A write to these blocks is on its way; of zeroes, or as model_fill() has it. Returns its name. */
uint32_t model_write(unsigned ns, uint32_t slba, uint32_t nlb, uint32_t session, bool zeroes);
void model_write_end(uint32_t write, enum model_outcome outcome);
/* What hosts have sent in @session and was not answered has ended, one way or the other. */
void model_session_end(uint32_t session);
/* The blocks as @write leaves them. */
void model_fill(uint32_t write, uint8_t *bytes);
/* What a block holds that was written last, as far as that is known. */
void model_last(unsigned ns, uint32_t lba, uint8_t *bytes);

/* These blocks were read by a command that was sent at @began: may they? */
void model_read(unsigned ns, uint32_t slba, uint32_t nlb, uint64_t began, const uint8_t *bytes);
/* The same for a comparison that found @equal. */
void model_compare(unsigned ns, uint32_t slba, uint32_t nlb, uint64_t began, const uint8_t *bytes,
		   bool equal);

#endif
