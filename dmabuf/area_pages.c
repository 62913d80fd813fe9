/* SPDX-License-Identifier: BSD-3-Clause */
/* What pages an area is made of, by /proc/self/smaps: a header line for each mapping, then its facts. */
#include <inttypes.h>
#include <stdio.h>

#include "dmabuf/area.h"

/* Does this fact of a mapping say that it has huge pages? */
static bool fact_is_huge(const char *line)
{
	unsigned kib;

	if (sscanf(line, "KernelPageSize: %u kB", &kib) == 1) /* larger in the hugetlb pool */
		return kib > 4;
	return (sscanf(line, "AnonHugePages: %u kB", &kib) == 1 ||
		sscanf(line, "ShmemPmdMapped: %u kB", &kib) == 1) &&
	       kib;
}

bool area_has_huge_pages(const struct area *area)
{
	uint64_t begin = (uintptr_t)area->base, end = begin + area->size, from, to;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	bool inside = false, huge = false;
	char line[256];

	if (!smaps)
		return true;
	while (!huge && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
			inside = from < end && to > begin;
		else if (inside)
			huge = fact_is_huge(line);
	}
	fclose(smaps);
	return huge;
}
