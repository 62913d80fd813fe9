/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SEND_LOAD_H
#define SEND_LOAD_H

#include <stdint.h>

enum load_mode {
	MODE_SEND,  /* IORING_OP_SENDMSG */
	MODE_ZC,    /* IORING_OP_SENDMSG_ZC of user addresses */
	MODE_FIXED, /* the same of a registered buffer */
	MODE_COUNT
};

/* What one send holds: `commands` times a header and `payload_bytes` of its own. */
struct load_row {
	enum load_mode mode;
	unsigned payload_bytes; /* all commands together up to LOAD_BATCH_BYTES */
	unsigned commands;
};

enum {
	LOAD_HEADER_BYTES = 24,
	LOAD_BATCH_BYTES = 1 << 20,
	LOAD_COMMANDS_MAX = 32,
	LOAD_SENDS = 16, /* whose pages the kernel may be reading at a time */
};

struct load_result {
	uint64_t sends;
	uint64_t copied; /* zero-copy sends that the kernel copied nevertheless */
};

/* Makes ring and memory, of huge pages or of small ones. Ends the program with a message on failure. */
void load_open(int huge);

/*
 * Sends `sends` batches one after another, each when the last was taken, as the daemon does. Returns
 * when all were taken and the kernel has notified of all.
 */
struct load_result load_run(int fd, const struct load_row *row, uint64_t sends);

const char *load_mode_name(enum load_mode mode);

#endif
