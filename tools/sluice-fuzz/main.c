/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stddef.h>

#include "run.h"

static void on_signal(int signo)
{
	(void)signo;
	run_interrupt();
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	struct fuzz_options options;
	bool stop;
	int rc = options_parse(&options, argc, argv, &stop);

	if (rc || stop)
		return rc;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	switch (options.mode) {
	case MODE_PRINT:
		return run_print(&options);
	case MODE_REPLAY:
		return run_replay(&options);
	case MODE_MINIMISE:
		return run_minimise(&options);
	default:
		return run_fuzz(&options);
	}
}
