/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's load, and what the target takes for it, in a guest with one CPU:
 *
 *   target-load --block BYTES --depth N --rw read|write --mib N --rounds N --daemon PID [--nic NAME]
 *               [--count-instructions] DEVICE
 *
 * DEVICE is what the kernel's initiator has attached; PID is the target, or 0 when it is the kernel's own;
 * NAME is the target's side of a pair of test NICs, if it goes through such. Prints one JSON object a
 * line, told apart by "kind":
 *
 *   calibration   a loop of known length, and how many instructions were counted meanwhile, at least
 *   turn          per round: its length, CPU time by whom it was spent on, and the time of the test
 *                 NIC's DMA in it
 *   events        maps, unmaps and commands of a turn of its own
 *
 * What is written is read back and compared, and so is what is read, once, in passes that are not turns.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "disk.h"
#include "events.h"
#include "nic.h"
#include "tasks.h"

enum {
	CALIBRATION_INSTRUCTIONS = 3000 * 1000, /* less than a tick: some loops see no interrupt */
	CALIBRATION_LOOPS = 16,
	SEED = 1,
	SETTLE_US = 5000, /* what the target still does when the last answer is out */
};

struct settings {
	const char *device, *nic;
	uint32_t block_bytes;
	unsigned depth, mib, rounds;
	int daemon;
	bool write, has_rw, count;
};

static unsigned number_parse(const char *name, const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!*text || *end || value > max)
		errx(2, "--%s %s: has to be a number up to %lu", name, text, max);
	return (unsigned)value;
}

static void settings_check(const struct settings *settings)
{
	uint64_t ios;

	if (!settings->has_rw || !settings->mib || !settings->rounds)
		errx(2, "--rw, --mib and --rounds have to be given");
	if (!settings->block_bytes || settings->block_bytes % 4096)
		errx(2, "--block has to be a multiple of 4096");
	if (!settings->depth)
		errx(2, "--depth has to be at least 1");
	ios = ((uint64_t)settings->mib << 20) / settings->block_bytes;
	if (!ios || ios & (ios - 1))
		errx(2, "--mib has to hold a power of two of blocks");
}

static void rw_parse(struct settings *settings, const char *text)
{
	settings->write = !strcmp(text, "write");
	settings->has_rw = settings->write || !strcmp(text, "read");
	if (!settings->has_rw)
		errx(2, "--rw %s: has to be read or write", text);
}

static void settings_parse(struct settings *settings, int argc, char **argv)
{
	static const struct option options[] = {
		{ "block", required_argument, NULL, 'b' },
		{ "depth", required_argument, NULL, 'd' },
		{ "rw", required_argument, NULL, 'w' },
		{ "mib", required_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "nic", required_argument, NULL, 'n' },
		{ "daemon", required_argument, NULL, 'p' },
		{ "count-instructions", no_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*settings = (struct settings){ .daemon = 0 };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			settings->block_bytes = number_parse("block", optarg, 1 << 20);
			break;
		case 'd':
			settings->depth = number_parse("depth", optarg, DISK_DEPTH_MAX);
			break;
		case 'w':
			rw_parse(settings, optarg);
			break;
		case 'm':
			settings->mib = number_parse("mib", optarg, 1024);
			break;
		case 'r':
			settings->rounds = number_parse("rounds", optarg, 1000);
			break;
		case 'n':
			settings->nic = optarg;
			break;
		case 'p':
			settings->daemon = (int)number_parse("daemon", optarg, INT32_MAX);
			break;
		case 'c':
			settings->count = true;
			break;
		default:
			exit(2);
		}
	}
	if (optind != argc - 1)
		errx(2, "the one argument is the device");
	settings->device = argv[optind];
	settings_check(settings);
}

/* The other thread of this process only waits, so that the CPU never halts (clock.h). */
static uint64_t own_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t dma_ns(const struct settings *settings)
{
	return settings->nic ? nic_dma_ns(settings->nic) : 0;
}

static void turn(struct disk *disk, const struct settings *settings, unsigned ios, unsigned round)
{
	static struct tasks before, after;
	uint64_t ns[TASK_GROUPS], own, dma = dma_ns(settings);
	struct span start, ran, span;

	tasks_read(&before, settings->daemon);
	own = own_ns();
	start = span_now();
	disk_run(disk, settings->write, ios, 0);
	ran = span_since(&start);
	usleep(SETTLE_US);
	span = span_since(&start);
	own = own_ns() - own;
	tasks_read(&after, settings->daemon);
	tasks_since(&before, &after, ns);
	printf("{\"kind\":\"turn\",\"round\":%u,\"ios\":%u,\"elapsed_ns\":%" PRIu64
	       ",\"executed\":%" PRIu64 ",\"dma\":%" PRIu64 ",\"host_load\":%" PRIu64,
	       round, ios, ran.elapsed_ns, span.instructions, dma_ns(settings) - dma, own);
	for (int group = 0; group < TASK_GROUPS; group++)
		printf(",\"%s\":%" PRIu64, task_group_name(group), ns[group]);
	printf("}\n");
}

static void turn_events(struct disk *disk, const struct settings *settings, unsigned ios)
{
	struct events events;

	events_start();
	disk_run(disk, settings->write, ios, 0);
	usleep(SETTLE_US);
	events = events_stop();
	printf("{\"kind\":\"events\",\"ios\":%u,\"maps\":%" PRIu64 ",\"unmaps\":%" PRIu64 "}\n", ios,
	       events.maps, events.unmaps);
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct disk disk;
	unsigned ios;

	settings_parse(&settings, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	ios = (unsigned)(((uint64_t)settings.mib << 20) / settings.block_bytes);
	disk_open(&disk, settings.device, settings.block_bytes, settings.depth);
	if (settings.count) {
		counter_start();
		calibrate(CALIBRATION_INSTRUCTIONS, CALIBRATION_LOOPS);
	}
	disk_fill(&disk, SEED);
	disk_run(&disk, true, ios, 0);
	if (!settings.write)
		disk_run(&disk, false, ios, SEED);
	for (unsigned round = 1; round <= settings.rounds; round++)
		turn(&disk, &settings, ios, round);
	turn_events(&disk, &settings, ios);
	if (settings.write)
		disk_run(&disk, false, ios, SEED);
	return 0;
}
