/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SEND_MEMORY_H
#define SEND_MEMORY_H

#include <stddef.h>

/* One mapping of a memfd of pages of 4 KiB, or of 2 MiB, which must have been set aside; all present. */
char *memory_create(size_t len_bytes, int huge);

#endif
