/* SPDX-License-Identifier: BSD-3-Clause */
/* Zero-copy send of several pieces of one registered buffer: IORING_OP_SENDMSG_ZC since Linux 6.15. */
#ifndef SLUICE_BASE_SENDZC_H
#define SLUICE_BASE_SENDZC_H

/*
 * Does the kernel have it? 0; -EOPNOTSUPP: no; another negative errno: it could not be asked now, for
 * want of descriptors (EMFILE) or memory. Asks until there is an answer. Any thread.
 */
int sendzc_probe(void);

#endif
