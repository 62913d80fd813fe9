/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PERF_NIC_H
#define PERF_NIC_H

#include <stdint.h>

/*
 * The time that CPUs took so far to play the DMA engine of the test NIC @name, placing what was received
 * and reading what is sent from pages of programs: the sum of its statistics whose names end in "_dma_ns".
 * Ends the program with a message on failure.
 */
uint64_t nic_dma_ns(const char *name);

#endif
