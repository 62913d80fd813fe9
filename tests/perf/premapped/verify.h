/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PREMAPPED_VERIFY_H
#define PREMAPPED_VERIFY_H

#include "load.h"

/*
 * Shows that the I/O of a row moves every byte it should and touches no other: a path that does less
 * would be quick. One I/O in each of the first slots; the disk's side goes through `witness_fd`, the same device
 * opened again, and ordinary memory. Ends the program with a message when a byte is wrong.
 */
void verify_row(struct load *load, const struct load_row *row, int witness_fd);

#endif
