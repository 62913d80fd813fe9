/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SLUICE_TOOLS_SLUICECTL_EXIT_CODES_H
#define SLUICE_TOOLS_SLUICECTL_EXIT_CODES_H

/* 0 is success. */
enum { EXIT_REFUSED = 1, EXIT_UNREACHABLE = 2, EXIT_USAGE = 64 };

#endif
