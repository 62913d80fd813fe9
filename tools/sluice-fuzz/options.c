/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "gen.h"
#include "linger.h"

enum {
	DEFAULT_SECONDS = 10,
	DEFAULT_TRIES = 2000,
	DEFAULT_PATIENCE_MS = 10000,
	DEFAULT_CONNECT_TIMEOUT_MS = 20000, /* sluiced ends them after 15 s */
	DEFAULT_TERM_TIMEOUT_MS = 35000,    /* 30 s (TCP Transport 1.1, 3.5) */
	MAX_TIME_MS = 600000,
};
#define DEFAULT_RSS_GROWTH (256ull << 20)

static const char help[] =
	"Usage: sluice-fuzz --connect ADDRESS:PORT --nqn NQN [OPTION]...\n"
	"       sluice-fuzz --connect ADDRESS:PORT --nqn NQN --replay FILE | --minimise FILE [OPTION]...\n"
	"       sluice-fuzz --print --seed N\n"
	"\n"
	"Attacks an NVMe/TCP target with sessions that are mostly right and partly wrong, and judges what\n"
	"it answers. WRITES to the first 4096 blocks of namespaces 1 and 2, and wherever a wrong field\n"
	"leads: give it a target whose data nobody needs.\n"
	"\n"
	"Target\n"
	"  --connect ADDRESS:PORT  e.g. 127.0.0.1:4420 or [::1]:4420\n"
	"  --nqn NQN               the subsystem\n"
	"  --nsid N                namespace at whose end a well-behaved host writes and reads verified\n"
	"                          blocks; fuzzed connections leave these alone (default: the last)\n"
	"  --pid PID               watch that this process lives, and what it takes\n"
	"  --rss-growth MIB        memory that it may take more than at the start (default 256)\n"
	"\n"
	"Run\n"
	"  --seed N                of the first session; each one has the next (default 1)\n"
	"  --sessions N            how many (default: no limit)\n"
	"  --seconds N             how long (default 10, without --sessions)\n"
	"  --connections N         at most in a session, 1 to 16 (default 4)\n"
	"  --linger N              connections that are left alone, until the target ends them\n"
	"  --patience MS           for what the target has to do at once (default 10000)\n"
	"  --connect-timeout MS    until it has to end what never sends Connect (default 20000)\n"
	"  --term-timeout MS       until it has to end what it has terminated (default 35000)\n"
	"\n"
	"Sessions\n"
	"  --save DIR              write the session that failed there\n"
	"  --replay FILE           run this one\n"
	"  --minimise FILE         run it again and again, smaller each time, as long as it fails alike;\n"
	"                          the result is FILE.min\n"
	"  --tries N               runs for that, at most (default 2000)\n"
	"  --restart COMMAND       run it when the target does not serve any more while minimising\n"
	"  --print                 print the session of --seed, and run nothing\n"
	"\n"
	"Exit code: 0 the target behaved, 1 it did not, 2 usage.\n";

enum {
	OPT_CONNECT = 256,
	OPT_NQN,
	OPT_NSID,
	OPT_PID,
	OPT_RSS_GROWTH,
	OPT_SEED,
	OPT_SESSIONS,
	OPT_SECONDS,
	OPT_CONNECTIONS,
	OPT_LINGER,
	OPT_PATIENCE,
	OPT_CONNECT_TIMEOUT,
	OPT_TERM_TIMEOUT,
	OPT_SAVE,
	OPT_REPLAY,
	OPT_MINIMISE,
	OPT_TRIES,
	OPT_RESTART,
	OPT_PRINT,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "nqn", required_argument, NULL, OPT_NQN },
	{ "nsid", required_argument, NULL, OPT_NSID },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "rss-growth", required_argument, NULL, OPT_RSS_GROWTH },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "sessions", required_argument, NULL, OPT_SESSIONS },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "linger", required_argument, NULL, OPT_LINGER },
	{ "patience", required_argument, NULL, OPT_PATIENCE },
	{ "connect-timeout", required_argument, NULL, OPT_CONNECT_TIMEOUT },
	{ "term-timeout", required_argument, NULL, OPT_TERM_TIMEOUT },
	{ "save", required_argument, NULL, OPT_SAVE },
	{ "replay", required_argument, NULL, OPT_REPLAY },
	{ "minimise", required_argument, NULL, OPT_MINIMISE },
	{ "tries", required_argument, NULL, OPT_TRIES },
	{ "restart", required_argument, NULL, OPT_RESTART },
	{ "print", no_argument, NULL, OPT_PRINT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int __printf(1, 2) usage(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "sluice-fuzz: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see sluice-fuzz --help\n");
	return EXIT_USAGE;
}

/* A number from @min to @max; false after a message. */
static bool number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (isdigit((unsigned char)*text) && !*end && !errno && *value >= min && *value <= max)
		return true;
	usage("--%s takes a number from %llu to %llu, not '%s'", name, (unsigned long long)min,
	      (unsigned long long)max, text);
	return false;
}

/* ADDRESS:PORT, the address in brackets if it is IPv6; false after a message. */
static bool address(struct fuzz_options *o, const char *text)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(text, ':');
	struct addrinfo *found;
	char host[64];
	size_t len = colon ? (size_t)(colon - text) : 0;

	o->peer = text;
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len && len < sizeof(host) && colon[1]) {
		memcpy(host, text, len);
		host[len] = 0;
		if (!getaddrinfo(host, colon + 1, &hints, &found)) {
			memcpy(&o->addr, found->ai_addr, found->ai_addrlen);
			o->addr_len = found->ai_addrlen;
			freeaddrinfo(found);
			return true;
		}
	}
	usage("--connect takes ADDRESS:PORT with a numeric address, not '%s'", o->peer);
	return false;
}

/* The options whose value is a number. */
static bool number_option(struct fuzz_options *o, int option, const char *name, const char *text)
{
	static const struct {
		int option;
		uint64_t min, max;
	} bounds[] = {
		{ OPT_NSID, 1, UINT32_MAX - 1 },      { OPT_PID, 1, INT32_MAX },
		{ OPT_RSS_GROWTH, 0, 1 << 20 },	      { OPT_SEED, 0, UINT64_MAX },
		{ OPT_SESSIONS, 1, UINT64_MAX },      { OPT_SECONDS, 1, UINT32_MAX },
		{ OPT_CONNECTIONS, 1, SCRIPT_CONNS }, { OPT_LINGER, 0, LINGER_MAX },
		{ OPT_PATIENCE, 1, MAX_TIME_MS },     { OPT_CONNECT_TIMEOUT, 1, MAX_TIME_MS },
		{ OPT_TERM_TIMEOUT, 1, MAX_TIME_MS }, { OPT_TRIES, 1, INT32_MAX },
	};
	uint64_t value = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++)
		if (bounds[i].option == option &&
		    !number(name, text, bounds[i].min, bounds[i].max, &value))
			return false;
	switch (option) {
	case OPT_NSID:
		o->nsid = (uint32_t)value;
		break;
	case OPT_PID:
		o->pid = (pid_t)value;
		break;
	case OPT_RSS_GROWTH:
		o->rss_growth = value << 20;
		break;
	case OPT_SEED:
		o->seed = value;
		break;
	case OPT_SESSIONS:
		o->sessions = value;
		break;
	case OPT_SECONDS:
		o->seconds = value;
		break;
	case OPT_CONNECTIONS:
		o->connections = (unsigned)value;
		break;
	case OPT_LINGER:
		o->linger = (unsigned)value;
		break;
	case OPT_PATIENCE:
		o->patience_ms = (uint32_t)value;
		break;
	case OPT_CONNECT_TIMEOUT:
		o->connect_timeout_ms = (uint32_t)value;
		break;
	case OPT_TERM_TIMEOUT:
		o->term_timeout_ms = (uint32_t)value;
		break;
	default:
		o->tries = value;
	}
	return true;
}

static bool option_take(struct fuzz_options *o, int option, int index)
{
	switch (option) {
	case OPT_CONNECT:
		return address(o, optarg);
	case OPT_NQN:
		o->nqn = optarg;
		return true;
	case OPT_SAVE:
		o->save = optarg;
		return true;
	case OPT_RESTART:
		o->restart = optarg;
		return true;
	case OPT_REPLAY:
	case OPT_MINIMISE:
		o->mode = option == OPT_REPLAY ? MODE_REPLAY : MODE_MINIMISE;
		o->file = optarg;
		return true;
	case OPT_PRINT:
		o->mode = MODE_PRINT;
		return true;
	default:
		return number_option(o, option, long_options[index].name, optarg);
	}
}

int options_parse(struct fuzz_options *o, int argc, char **argv, bool *stop)
{
	int option, index = 0;

	*o = (struct fuzz_options){
		.seed = 1,
		.connections = GEN_CONNS_DEFAULT,
		.tries = DEFAULT_TRIES,
		.patience_ms = DEFAULT_PATIENCE_MS,
		.connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS,
		.term_timeout_ms = DEFAULT_TERM_TIMEOUT_MS,
		.rss_growth = DEFAULT_RSS_GROWTH,
	};
	*stop = false;
	optind = 1;
	while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		if (option == '?')
			return usage("wrong arguments");
		if (option == OPT_HELP) {
			fputs(help, stdout);
			*stop = true;
			return 0;
		}
		if (!option_take(o, option, index))
			return EXIT_USAGE;
	}
	if (optind < argc)
		return usage("'%s' is not an option", argv[optind]);
	if (o->mode == MODE_PRINT)
		return 0;
	if (!o->addr_len || !o->nqn)
		return usage("--connect and --nqn say what to attack");
	if (strlen(o->nqn) > NVME_NQN_MAX)
		return usage("--nqn takes at most %d bytes", NVME_NQN_MAX);
	if (!o->sessions && !o->seconds)
		o->seconds = DEFAULT_SECONDS;
	return 0;
}
