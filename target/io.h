/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O commands of the NVM command set. */
#ifndef SLUICE_TARGET_IO_H
#define SLUICE_TARGET_IO_H

#include "target/cmd.h"

/* Looks at cmd->sqe on an I/O queue, decides and returns 0 or the status to complete with. */
uint16_t io_parse(struct cmd *cmd);

/*
 * The closest NVMe status to a backend's error for @opcode; DNR where trying again, here or on
 * another path, cannot help.
 */
uint16_t io_status_from_errno(int error, uint8_t opcode);

/* The host or its connection is gone, or it asked for an abort: cuts short what goes in steps. */
void io_abort(struct cmd *cmd);

#endif
