/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of the fault backend: "<operation> <action> [selector...]".
 *
 *   operation  read, write, flush, write_zeroes, discard, any
 *   action     error=EIO (any errno name), delay=50ms (us, ms, s), stuck (never completes)
 *   selector   lba=A-B    only what touches blocks A to B
 *              after=N    lets the first N pass
 *              every=N    then hits one of N, the Nth
 *              count=N    hits N times at most
 */
#ifndef SLUICE_TARGET_BACKEND_FAULT_RULE_H
#define SLUICE_TARGET_BACKEND_FAULT_RULE_H

#include "target/backend/backend.h"

enum fault_action { FAULT_ERROR, FAULT_DELAY, FAULT_STUCK };

struct fault_rule {
	unsigned opcodes; /* bit for each enum backend_opcode */
	enum fault_action action;
	int error; /* negative errno */
	uint64_t delay_ns;
	uint64_t lba_first, lba_last;
	uint64_t after, every, count;
	/* All loops count together, so that a rule hits as often as it says. */
	uint64_t seen, hits;
};

/* Reads @text. 0, or -EINVAL with @err written: which word is wrong, and what would be right. */
int fault_rule_parse(const char *text, struct fault_rule *rule, char *err, size_t errlen);

/*
 * Whether the rule strikes an I/O of @opcode on blocks @first..@last, and counts it. Any thread.
 */
bool fault_rule_strikes(struct fault_rule *rule, enum backend_opcode opcode, uint64_t first, uint64_t last);

#endif
