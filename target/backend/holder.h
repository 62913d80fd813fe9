/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has a block device, for the message that refuses it. */
#ifndef SLUICE_TARGET_BACKEND_HOLDER_H
#define SLUICE_TARGET_BACKEND_HOLDER_H

#include <stddef.h>

/*
 * Writes what uses block device @major:@minor, its partitions or the disk that it is part of, such as
 * "mounted on /srv" or "used by dm-0 (vg-data)"; an empty text when nothing is found. @root is ""
 * but in tests, where it is a directory that holds proc/ and sys/.
 */
void holder_find(const char *root, unsigned major, unsigned minor, char *text, size_t len);

#endif
