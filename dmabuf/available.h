/* SPDX-License-Identifier: BSD-3-Clause */
/* How much memory this process can still get, asked before taking a lot of it. */
#ifndef SLUICE_DMABUF_AVAILABLE_H
#define SLUICE_DMABUF_AVAILABLE_H

#include <stdint.h>

struct memory_available {
	uint64_t bytes;
	char limit[96]; /* what sets it, for messages: "the machine", or the control group's file */
};

/*
 * The least of what the machine has available and what each memory control group above this process
 * (version 2, or 1) leaves. Page cache counts as free. @root is "" but in tests, where it is
 * a directory that holds proc/ and sys/. What cannot be read does not limit.
 */
void memory_available(const char *root, struct memory_available *available);

#endif
