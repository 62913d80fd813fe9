/* SPDX-License-Identifier: BSD-3-Clause */
/* What retire.c notes of a namespace, subsystem or listener that nobody finds any more. */
#ifndef SLUICE_TARGET_LEAVER_H
#define SLUICE_TARGET_LEAVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct leaver {
	struct list link;
	uint64_t deadline_ns; /* when what it still does is given up */
	unsigned busy;        /* atomic: commands that were found in this round */
	unsigned quiet;       /* rounds in a row without any */
	bool hurried;         /* its commands have been asked to end */
	bool detached;        /* a namespace: from all workers */
};

#endif
