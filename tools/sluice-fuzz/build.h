/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes that an action sends. Pure. */
#ifndef SLUICE_FUZZ_BUILD_H
#define SLUICE_FUZZ_BUILD_H

#include "base/nvme.h"
#include "script.h"

enum { BUILD_MAX = SCRIPT_DATA_MAX + 4096 }; /* bytes of what an action sends */

/* What a target asked for, or its likeness. */
struct build_r2t {
	uint16_t cid;
	uint16_t ttag;
	uint32_t offset;
	uint32_t len;
	uint8_t opcode; /* of the command, which decides on its content */
};

struct build_context {
	uint64_t seed; /* the session's */
	const char *subnqn;
	bool hdgst; /* as negotiated, or asked for */
	bool ddgst;
	uint16_t cntlid;      /* for Connect */
	uint32_t chunk_max;   /* bytes of one H2CData PDU without DATA_LEN */
	struct build_r2t r2t; /* for H2CData; of length 0: made up */
};

/* Puts what @action sends, edits and cut included, into @buf of BUILD_MAX bytes; returns the length. */
uint32_t build_action(const struct build_context *ctx, const struct action *action, uint8_t *buf);

/* An H2CData PDU for @len bytes of @r2t from @skip on; as build_action(). */
uint32_t build_data(const struct build_context *ctx, const struct build_r2t *r2t, uint32_t skip,
		    uint32_t len, bool last, uint8_t *buf);

#endif
