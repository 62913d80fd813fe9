/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes of the kernel: files of a line each below /sys and /proc. */
#ifndef SLUICE_BASE_SYSFS_H
#define SLUICE_BASE_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first line of @dir/@name, without its end, into @line of @len bytes. False: there is none. */
bool sysfs_line(const char *dir, const char *name, char *line, size_t len);

/* The decimal number in @dir/@name. False, and *@number as it was: there is none. */
bool sysfs_number(const char *dir, const char *name, uint64_t *number);

#endif
