/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stddef.h>

#include "load.h"
#include "run.h"

static void on_signal(int signo)
{
	(void)signo;
	load_interrupt();
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	struct bench_options options;
	bool stop;
	int rc = options_parse(&options, argc, argv, &stop);

	if (rc || stop)
		return rc;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	switch (options.mode) {
	case MODE_DISCOVER:
		return bench_discover(&options);
	case MODE_IDENTIFY:
		return bench_identify(&options);
	default:
		return bench_run(&options);
	}
}
