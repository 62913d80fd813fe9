/* SPDX-License-Identifier: BSD-3-Clause */
#include "events.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>

#define TRACEFS "/sys/kernel/tracing/events/"

/* One key for all: only the number of hits is wanted. */
#define TRIGGER "hist:keys=common_type"

static void trigger_write(const char *event, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), TRACEFS "%s/trigger", event);
	file = fopen(path, "w");
	if (!file)
		err(1, "%s (is tracefs mounted, and CONFIG_HIST_TRIGGERS set?)", path);
	fputs(text, file);
	if (fclose(file))
		err(1, "%s: %s", path, text);
}

static uint64_t hits_read(const char *event)
{
	char path[128], line[256];
	uint64_t hits = 0;
	int found = 0;
	FILE *file;

	snprintf(path, sizeof(path), TRACEFS "%s/hist", event);
	file = fopen(path, "r");
	if (!file)
		err(1, "%s", path);
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, " Hits: %" SCNu64, &hits) == 1;
	fclose(file);
	if (!found)
		errx(1, "%s: no line with the number of hits", path);
	return hits;
}

void events_start(void)
{
	trigger_write("iommu/map", TRIGGER);
	trigger_write("iommu/unmap", TRIGGER);
	trigger_write("nvme/nvme_setup_cmd", TRIGGER);
}

struct events events_stop(void)
{
	struct events events = {
		.maps = hits_read("iommu/map"),
		.unmaps = hits_read("iommu/unmap"),
		.commands = hits_read("nvme/nvme_setup_cmd"),
	};

	trigger_write("iommu/map", "!" TRIGGER);
	trigger_write("iommu/unmap", "!" TRIGGER);
	trigger_write("nvme/nvme_setup_cmd", "!" TRIGGER);
	return events;
}
