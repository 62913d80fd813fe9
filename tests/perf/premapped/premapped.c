/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load generator of the benchmark, run inside the guest on an NVMe block device, whose content it
 * destroys. Prints one JSON object a line, told apart by "kind":
 *
 *   calibration   a loop of known length, and how many instructions were counted meanwhile
 *   registration  what making and registering the memory mapped, per mode
 *   count         per row: events of the first I/Os, and of as many after a warm-up
 *   turn          per row and round: time and instructions of a number of I/Os
 *
 * The modes take turns, in an order that changes from round to round.
 */
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "load.h"
#include "verify.h"

enum {
	CALIBRATION_INSTRUCTIONS = 200 * 1000 * 1000,
	NUMBER_MAX = 1000 * 1000,
};

struct settings {
	const char *device;
	unsigned depth;
	unsigned ios; /* of a turn, and of a count: see row_ios() */
	unsigned rounds;
	int count; /* instructions: see counter_start() */
};

static const char *rw_name(const struct load_row *row)
{
	return row->write ? "write" : "read";
}

static unsigned number_parse(const char *name, const char *text, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value < 1 || value > max)
		errx(2, "--%s %s: has to be a number from 1 to %u", name, text, max);
	return (unsigned)value;
}

static void settings_parse(struct settings *settings, int argc, char **argv)
{
	static const struct option options[] = {
		{ "depth", required_argument, NULL, 'd' }, { "ios", required_argument, NULL, 'i' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "count-instructions", no_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*settings = (struct settings){ .depth = 32, .ios = 512, .rounds = 5 };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			settings->depth = number_parse("depth", optarg, MEMORY_SLOTS_MAX);
			break;
		case 'i':
			settings->ios = number_parse("ios", optarg, NUMBER_MAX);
			break;
		case 'r':
			settings->rounds = number_parse("rounds", optarg, NUMBER_MAX);
			break;
		case 'c':
			settings->count = 1;
			break;
		default:
			errx(2, "usage: premapped [--depth N] [--ios N] [--rounds N] "
				"[--count-instructions] DEVICE");
		}
	}
	if (optind != argc - 1)
		errx(2, "the one argument is the block device to use, whose content is lost");
	settings->device = argv[optind];
}

static int disk_open(const char *device)
{
	int fd = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", device);
	return fd;
}

static void loads_open(struct load *loads, const struct memory *mem, int disk_fd, unsigned depth)
{
	enum load_mode mode;

	for (mode = 0; mode < MODE_COUNT; mode++) {
		struct events events;

		events_start();
		load_open(&loads[mode], mode, mem, disk_fd, depth);
		events = events_stop();
		printf("{\"kind\":\"registration\",\"mode\":\"%s\",\"bytes\":%zu,\"maps\":%" PRIu64 "}\n",
		       load_mode_name(mode), mem->len_bytes, events.maps);
	}
}

/* The first I/Os let pools of descriptors grow: what they map is shown apart from what I/O maps. */
static void row_count(struct load *load, const struct load_row *row, unsigned ios, int witness_fd)
{
	struct events first, then;

	events_start();
	load_run(load, row, ios);
	first = events_stop();
	verify_row(load, row, witness_fd);
	events_start();
	load_run(load, row, ios);
	then = events_stop();
	printf("{\"kind\":\"count\",\"mode\":\"%s\",\"shape\":\"%s\",\"rw\":\"%s\",\"ios\":%u,"
	       "\"first_maps\":%" PRIu64 ",\"first_unmaps\":%" PRIu64 ",\"maps\":%" PRIu64
	       ",\"unmaps\":%" PRIu64 ",\"commands\":%" PRIu64 "}\n",
	       load_mode_name(row->mode), load_shape_name(row->shape), rw_name(row), ios, first.maps,
	       first.unmaps, then.maps, then.unmaps, then.commands);
}

static void row_turn(struct load *load, const struct load_row *row, unsigned ios, unsigned round)
{
	struct span start = span_now(), span;

	load_run(load, row, ios);
	span = span_since(&start);
	printf("{\"kind\":\"turn\",\"round\":%u,\"mode\":\"%s\",\"shape\":\"%s\",\"rw\":\"%s\","
	       "\"ios\":%u,\"elapsed_ns\":%" PRIu64 ",\"instructions\":%" PRIu64 "}\n",
	       round, load_mode_name(row->mode), load_shape_name(row->shape), rw_name(row), ios,
	       span.elapsed_ns, span.instructions);
}

/* Fragments take by far the most time and vary the least. */
static unsigned row_ios(const struct settings *settings, const struct load_row *row)
{
	unsigned least = 4 * settings->depth;

	if (row->shape != SHAPE_FRAGMENTS)
		return settings->ios;
	return settings->ios / 4 > least ? settings->ios / 4 : least;
}

/* One pass over all rows; round 0 counts, the others measure. */
static void rows_run(struct load *loads, const struct settings *settings, unsigned round, int witness_fd)
{
	struct load_row row;
	unsigned i, rw, ios;

	for (row.shape = 0; row.shape < SHAPE_COUNT; row.shape++) {
		for (rw = 0; rw < 2; rw++) {
			for (i = 0; i < MODE_COUNT; i++) {
				row.write = rw;
				row.mode = (i + round) % MODE_COUNT;
				ios = row_ios(settings, &row);
				if (round)
					row_turn(&loads[row.mode], &row, ios, round);
				else
					row_count(&loads[row.mode], &row, ios, witness_fd);
			}
		}
	}
}

int main(int argc, char **argv)
{
	static struct load loads[MODE_COUNT];
	struct settings settings;
	struct memory mem;
	int disk_fd, witness_fd;
	enum load_mode mode;
	unsigned round;

	settings_parse(&settings, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	disk_fd = disk_open(settings.device);
	witness_fd = disk_open(settings.device);
	memory_open(&mem, settings.depth);
	if (settings.count) {
		counter_start();
		calibrate(CALIBRATION_INSTRUCTIONS, 1);
	}
	loads_open(loads, &mem, disk_fd, settings.depth);
	for (round = 0; round <= settings.rounds; round++)
		rows_run(loads, &settings, round, witness_fd);
	for (mode = 0; mode < MODE_COUNT; mode++)
		load_close(&loads[mode]);
	memory_close(&mem);
	close(witness_fd);
	close(disk_fd);
	return 0;
}
