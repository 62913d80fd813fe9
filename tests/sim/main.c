/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs schedules. Without options: those of the seeds that every test run goes through.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "host.h"
#include "schedule.h"

enum { DEFAULT_RUNS = 500 };

struct options {
	uint64_t first, last; /* seeds */
	double seconds;	      /* 0: until the last seed */
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void usage(FILE *out)
{
	fprintf(out, "usage: sim [options]\n"
		     "  --seed N       the schedule of seed N alone\n"
		     "  --seeds A-B    those of seeds A to B\n"
		     "  --runs N       those of N seeds, from the first one on\n"
		     "  --seconds N    as many as N seconds allow, from the first one on\n"
		     "  --verbose      say what happens\n");
}

/* Returns an exit status, or -1 to go on. */
static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 'n' },
		{ "seeds", required_argument, NULL, 's' },
		{ "runs", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*options = (struct options){ .first = 1, .last = DEFAULT_RUNS };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'n':
			options->first = options->last = strtoull(optarg, NULL, 0);
			break;
		case 's':
			if (sscanf(optarg, "%" SCNu64 "-%" SCNu64, &options->first,
				   &options->last) != 2) {
				fprintf(stderr, "sim: --seeds takes A-B, not \"%s\"\n", optarg);
				return 64;
			}
			break;
		case 'r':
			options->last = options->first + strtoull(optarg, NULL, 0) - 1;
			break;
		case 't':
			options->seconds = atof(optarg);
			options->last = UINT64_MAX;
			break;
		case 'v':
			sim.verbose = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 64; /* EX_USAGE */
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct options options;
	double begin_s = now_s(), took_s;
	int rc = options_parse(argc, argv, &options);
	uint64_t seed, runs;

	if (rc >= 0)
		return rc;
	log_init(sim.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	for (seed = options.first; seed <= options.last; seed++) {
		if (options.seconds > 0 && now_s() - begin_s >= options.seconds)
			break;
		schedule_run(seed);
	}
	runs = seed - options.first;
	took_s = now_s() - begin_s;
	printf("sim: seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64
	       " schedules in %.1f s, %.0f a minute\n",
	       options.first, seed - 1, runs, took_s, (double)runs * 60 / took_s);
	printf("sim: %" PRIu64 " attached, %" PRIu64 " queues lost, %" PRIu64 " commands, %" PRIu64
	       " answers, %" PRIu64 " of them errors\n",
	       host_counts.attached, host_counts.lost, host_counts.commands, host_counts.answers,
	       host_counts.errors);
	return runs ? EXIT_SUCCESS : EXIT_FAILURE;
}
