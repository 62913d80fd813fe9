/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PREMAPPED_EVENTS_H
#define PREMAPPED_EVENTS_H

#include <stdint.h>

/*
 * Counts of kernel events, by histogram triggers of tracefs, which lose none. They cost instructions
 * for each event, so nothing is timed while they count.
 */
struct events {
	uint64_t maps;	   /* iommu:map */
	uint64_t unmaps;   /* iommu:unmap */
	uint64_t commands; /* nvme:nvme_setup_cmd */
};

/* Starts to count from zero. Ends the program with a message on failure. */
void events_start(void);

/* Stops counting and says what happened since events_start(). */
struct events events_stop(void);

#endif
