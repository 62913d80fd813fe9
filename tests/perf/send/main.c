/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both ends of the benchmark, each run inside a guest of its own:
 *
 *   send-bench --serve             the peer
 *   send-bench [OPTION...] PEER    the sender, to the IPv4 address of the peer
 *
 * The sender prints one JSON object a line, told apart by "kind":
 *
 *   calibration   a loop of known length, and how many instructions were counted meanwhile
 *   turn          per row and round: time and instructions of a number of sends
 *
 * The modes take turns, in an order that changes from round to round.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "clock.h"
#include "load.h"
#include "peer.h"

enum {
	CALIBRATION_INSTRUCTIONS = 100 * 1000 * 1000,
	SENDS_MIN = 12,
	WARM_UP_SENDS = 4,
	NUMBER_MAX = 1000,
};

/* Payload of a command, and how many commands share a send. */
static const struct shape {
	unsigned payload_bytes, commands;
} shapes[] = {
	{ 4096, 1 },	{ 4096, 8 },   { 16384, 1 },  { 16384, 8 },  { 32768, 1 },
	{ 32768, 8 },	{ 65536, 1 },  { 65536, 8 },  { 131072, 1 }, { 131072, 4 },
	{ 262144, 1 },	{ 262144, 2 }, { 1048576, 1 },
};

struct settings {
	const char *peer;
	unsigned rounds;
	unsigned mib; /* of a turn */
	int huge;
	int count; /* instructions: see counter_start() */
};

static unsigned number_parse(const char *name, const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value < 1 || value > NUMBER_MAX)
		errx(2, "--%s %s: has to be a number from 1 to %d", name, text, NUMBER_MAX);
	return (unsigned)value;
}

static void settings_parse(struct settings *settings, int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "mib", required_argument, NULL, 'm' },
		{ "huge", no_argument, NULL, 'h' },
		{ "count-instructions", no_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*settings = (struct settings){ .rounds = 3, .mib = 4 };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			settings->rounds = number_parse("rounds", optarg);
			break;
		case 'm':
			settings->mib = number_parse("mib", optarg);
			break;
		case 'h':
			settings->huge = 1;
			break;
		case 'c':
			settings->count = 1;
			break;
		default:
			errx(2, "usage: send-bench [--rounds N] [--mib N] [--huge] "
				"[--count-instructions] PEER | --serve");
		}
	}
	if (optind != argc - 1)
		errx(2, "the one argument is the address of the peer");
	settings->peer = argv[optind];
}

static uint64_t row_bytes(const struct load_row *row)
{
	return (uint64_t)row->commands * (LOAD_HEADER_BYTES + row->payload_bytes);
}

/* Sends, until the peer has it all. */
static struct load_result row_send(int fd, const struct load_row *row, uint64_t sends)
{
	struct load_result result;

	peer_announce(fd, sends * row_bytes(row));
	result = load_run(fd, row, sends);
	peer_wait(fd);
	return result;
}

static void row_turn(int fd, const struct load_row *row, const struct settings *settings,
		     unsigned round)
{
	uint64_t sends = ((uint64_t)settings->mib << 20) / (row->commands * row->payload_bytes);
	struct load_result result;
	struct span start, span;

	if (sends < SENDS_MIN)
		sends = SENDS_MIN;
	row_send(fd, row, WARM_UP_SENDS);
	start = span_now();
	result = row_send(fd, row, sends);
	span = span_since(&start);
	printf("{\"kind\":\"turn\",\"round\":%u,\"mode\":\"%s\",\"payload_bytes\":%u,\"commands\":%u,"
	       "\"huge\":%s,\"sends\":%" PRIu64 ",\"copied\":%" PRIu64 ",\"elapsed_ns\":%" PRIu64
	       ",\"instructions\":%" PRIu64 "}\n",
	       round, load_mode_name(row->mode), row->payload_bytes, row->commands,
	       settings->huge ? "true" : "false", result.sends, result.copied, span.elapsed_ns,
	       span.instructions);
}

/* Few bytes of huge pages fill the send buffer (README.md): most of the time is waiting. */
static int row_is_hopeless(const struct load_row *row, int huge)
{
	return huge && row->mode == MODE_FIXED && row->payload_bytes < 65536;
}

static void rows_run(int fd, const struct settings *settings, unsigned round)
{
	for (unsigned s = 0; s < ARRAY_SIZE(shapes); s++) {
		for (unsigned m = 0; m < MODE_COUNT; m++) {
			struct load_row row = { .mode = (m + round) % MODE_COUNT,
						.payload_bytes = shapes[s].payload_bytes,
						.commands = shapes[s].commands };

			if (!row_is_hopeless(&row, settings->huge))
				row_turn(fd, &row, settings, round);
		}
	}
}

int main(int argc, char **argv)
{
	struct settings settings;
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--serve"))
		peer_serve();
	settings_parse(&settings, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = peer_connect(settings.peer);
	load_open(settings.huge);
	if (settings.count) {
		counter_start();
		calibrate(CALIBRATION_INSTRUCTIONS, 1);
	}
	for (unsigned round = 1; round <= settings.rounds; round++)
		rows_run(fd, &settings, round);
	close(fd);
	return 0;
}
