/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "floor.h"
#include "rdma_wire.h"

enum {
	DEFAULT_TIME_S = 10,
	NAMESPACES_MAX = 1024,
	DEFAULT_BS = 4096,
	DEFAULT_DEPTH = 32,
	DEFAULT_KATO_MS = 5000, /* as Linux */
	DEFAULT_CONNECT_TIMEOUT_MS = 10000,
	DEFAULT_IO_TIMEOUT_MS = 30000,
	MAX_BS = 16 << 20,
};

static const char help[] =
	"Usage: sluice-bench [run] --connect ADDRESS:PORT --nqn NQN [OPTION]...\n"
	"       sluice-bench discover ADDRESS:PORT [--json] [--nqn NQN]\n"
	"       sluice-bench identify --connect ADDRESS:PORT --nqn NQN [--nsid N] [--json]\n"
	"       sluice-bench floor [OPTION]...\n"
	"\n"
	"NVMe over Fabrics host in user space: load generator, verifier and conformance witness. `floor' runs the\n"
	"same bytes each way through a bare io_uring TCP server that it forks on loopback.\n"
	"\n"
	"Host\n"
	"  --connect ADDRESS:PORT  the controller, e.g. 127.0.0.1:4420 or [::1]:4420\n"
	"  --nqn NQN               the subsystem\n"
	"  --hostnqn NQN           this host's name (default: made from --hostid)\n"
	"  --hostid UUID           this host's identifier (default: random)\n"
	"  --nsid N                the namespace (default: the first)\n"
	"  --namespaces N          I/Os go to N namespaces, from that one on (default 1)\n"
	"  --queues N              I/O queues, 1 to 1024 (default 1)\n"
	"  --depth N               commands in flight on each queue, 1 to 1024 (default 32)\n"
	"  --transport NAME        tcp (default) or rdma\n"
	"  --host-traddr ADDRESS   this host's own address, to connect from: over RDMA it decides on\n"
	"                          the device (default: whatever leads to the controller)\n"
	"  --hdgst, --ddgst        header digest, data digest (tcp)\n"
	"  --invalidate            a memory window for each command, whose key the response may end,\n"
	"                          instead of one key for all data (rdma)\n"
	"  --disable-sqflow        ask for submission queue flow control to be off\n"
	"  --kato MS               keep alive time-out (default 5000)\n"
	"  --timeout MS            longest wait for an I/O (default 30000)\n"
	"  --reconnect S           after a lost connection, try for S seconds and send again what was\n"
	"                          in flight (default: a lost connection ends the run)\n"
	"\n"
	"Load\n"
	"  --rw MODE               randread, randwrite, read, write, randrw[:READ%], readwrite[:READ%]\n"
	"                          (default randread)\n"
	"  --bs SIZE               bytes of one I/O (default 4k)\n"
	"  --time S | --size SIZE  when to stop (default --time 10)\n"
	"  --range START-END       bytes of the namespace to use (default: all)\n"
	"  --rate IOPS             at most that many a second\n"
	"  --verify                write content that proves itself and check every byte that is read:\n"
	"                          what is to be read is written first, and at the end all is read back\n"
	"  --seed N                of addresses and content (default 1)\n"
	"\n"
	"Measuring\n"
	"  --cpu N                 pin to a CPU\n"
	"  --spin                  never sleep while waiting\n"
	"  --pid PID               report that process's CPU time per I/O (the target's)\n"
	"  --floor                 run the floor in turns with the target and report the ratio\n"
	"  --floor-memory SIZE     the floor's payload is spread over so much memory (default: the same\n"
	"                          few buffers again and again)\n"
	"  --json                  results as one JSON object\n"
	"\n"
	"  --help, --version       print this, or the version\n"
	"\n"
	"Exit code: 0 success, 1 failure, 2 wrong data found, 64 usage.\n";

enum {
	OPT_CONNECT = 256,
	OPT_NQN,
	OPT_HOSTNQN,
	OPT_HOSTID,
	OPT_NSID,
	OPT_NAMESPACES,
	OPT_QUEUES,
	OPT_DEPTH,
	OPT_TRANSPORT,
	OPT_HOST_TRADDR,
	OPT_HDGST,
	OPT_DDGST,
	OPT_INVALIDATE,
	OPT_DISABLE_SQFLOW,
	OPT_KATO,
	OPT_TIMEOUT,
	OPT_RECONNECT,
	OPT_RW,
	OPT_BS,
	OPT_TIME,
	OPT_SIZE,
	OPT_RANGE,
	OPT_RATE,
	OPT_VERIFY,
	OPT_SEED,
	OPT_CPU,
	OPT_SPIN,
	OPT_PID,
	OPT_FLOOR,
	OPT_FLOOR_MEMORY,
	OPT_JSON,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "nqn", required_argument, NULL, OPT_NQN },
	{ "hostnqn", required_argument, NULL, OPT_HOSTNQN },
	{ "hostid", required_argument, NULL, OPT_HOSTID },
	{ "nsid", required_argument, NULL, OPT_NSID },
	{ "namespaces", required_argument, NULL, OPT_NAMESPACES },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "transport", required_argument, NULL, OPT_TRANSPORT },
	{ "host-traddr", required_argument, NULL, OPT_HOST_TRADDR },
	{ "hdgst", no_argument, NULL, OPT_HDGST },
	{ "ddgst", no_argument, NULL, OPT_DDGST },
	{ "invalidate", no_argument, NULL, OPT_INVALIDATE },
	{ "disable-sqflow", no_argument, NULL, OPT_DISABLE_SQFLOW },
	{ "kato", required_argument, NULL, OPT_KATO },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "reconnect", required_argument, NULL, OPT_RECONNECT },
	{ "rw", required_argument, NULL, OPT_RW },
	{ "bs", required_argument, NULL, OPT_BS },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "range", required_argument, NULL, OPT_RANGE },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "spin", no_argument, NULL, OPT_SPIN },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "floor", no_argument, NULL, OPT_FLOOR },
	{ "floor-memory", required_argument, NULL, OPT_FLOOR_MEMORY },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

static int usage(const char *fmt, ...) __printf(1, 2);
static int usage(const char *fmt, ...)
{
	va_list ap;

	fputs("sluice-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nTry sluice-bench --help.\n", stderr);
	return EXIT_USAGE;
}

static bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	if (!isdigit((unsigned char)text[0]))
		return false;
	*value = strtoull(text, &end, 0);
	return !errno && !*end && *value >= min && *value <= max;
}

bool size_parse(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kmgt";
	unsigned shift = 0;
	char *end;

	errno = 0;
	if (!isdigit((unsigned char)text[0]))
		return false;
	*bytes = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		const char *s = strchr(suffixes, tolower((unsigned char)*end));

		if (!s)
			return false;
		shift = 10 * (unsigned)(s - suffixes + 1);
		end++;
		if (*end == 'i')
			end++;
		if (*end == 'b' || *end == 'B')
			end++;
	}
	if (*end || *bytes > UINT64_MAX >> shift)
		return false;
	*bytes <<= shift;
	return true;
}

bool address_parse(const char *text, struct initiator_options *host)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&host->addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&host->addr;
	const char *colon = strrchr(text, ':');
	char address[INET6_ADDRSTRLEN + 2];
	size_t len = colon ? (size_t)(colon - text) : 0;
	uint64_t port;

	if (!colon || !number_parse(colon + 1, 1, 65535, &port) || len == 0 ||
	    len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = 0;
	memset(&host->addr, 0, sizeof(host->addr));
	if (address[0] == '[' && address[len - 1] == ']') {
		address[len - 1] = 0;
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		host->addr_len = sizeof(*v6);
		return inet_pton(AF_INET6, address + 1, &v6->sin6_addr) == 1;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)port);
	host->addr_len = sizeof(*v4);
	return inet_pton(AF_INET, address, &v4->sin_addr) == 1;
}

/* An address without a port, of this host. */
static bool host_address_parse(const char *text, struct initiator_options *host)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&host->host_addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&host->host_addr;

	memset(&host->host_addr, 0, sizeof(host->host_addr));
	if (strchr(text, ':')) {
		v6->sin6_family = AF_INET6;
		host->host_addr_len = sizeof(*v6);
		return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
	}
	v4->sin_family = AF_INET;
	host->host_addr_len = sizeof(*v4);
	return inet_pton(AF_INET, text, &v4->sin_addr) == 1;
}

bool uuid_parse(const char *text, uint8_t *uuid)
{
	unsigned n = 0;

	for (; *text; text++) {
		char c = (char)tolower((unsigned char)*text);

		if (c == '-')
			continue;
		if (!isxdigit((unsigned char)c) || n == 32)
			return false;
		uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
		n++;
	}
	return n == 32;
}

static bool rw_parse(struct bench_options *o, const char *text)
{
	static const struct {
		const char *name;
		bool random;
		unsigned read_percent;
	} modes[] = { { "randread", true, 100 }, { "randwrite", true, 0 },
		      { "read", false, 100 },	 { "write", false, 0 },
		      { "randrw", true, 50 },	 { "readwrite", false, 50 } };
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	uint64_t percent;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strlen(modes[i].name) != len || strncmp(modes[i].name, text, len))
			continue;
		o->random = modes[i].random;
		o->read_percent = modes[i].read_percent;
		snprintf(o->rw, sizeof(o->rw), "%s", text);
		if (!colon)
			return true;
		if (modes[i].read_percent != 50 || !number_parse(colon + 1, 0, 100, &percent))
			return false;
		o->read_percent = (unsigned)percent;
		return true;
	}
	return false;
}

static bool range_parse(struct bench_options *o, const char *text)
{
	const char *dash = strchr(text, '-');
	char start[32];

	if (!dash || dash == text || (size_t)(dash - text) >= sizeof(start))
		return false;
	memcpy(start, text, (size_t)(dash - text));
	start[dash - text] = 0;
	return size_parse(start, &o->range_start) && size_parse(dash + 1, &o->range_end) &&
	       o->range_start < o->range_end;
}

static bool nqn_copy(char *to, const char *nqn)
{
	size_t len = strlen(nqn);

	if (len == 0 || len > NVME_NQN_MAX)
		return false;
	memset(to, 0, NVME_NQN_LEN);
	memcpy(to, nqn, len);
	return true;
}

static bool seconds_parse(const char *text, uint64_t *ns)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s > 0) || s > 1e6)
		return false;
	*ns = (uint64_t)(s * 1e9);
	return true;
}

static bool transport_parse(struct initiator_options *h, const char *name)
{
	h->transport = strcmp(name, "rdma") == 0 ? INITIATOR_RDMA : INITIATOR_TCP;
	return h->transport == INITIATOR_RDMA || strcmp(name, "tcp") == 0;
}

/* Options that describe the host; false when the value is no good. */
static bool host_option(struct bench_options *o, int opt, const char *value, bool *has_hostid)
{
	struct initiator_options *h = &o->host;
	uint64_t n = 0;

	switch (opt) {
	case OPT_CONNECT:
		snprintf(o->peer, sizeof(o->peer), "%s", value);
		return address_parse(value, h);
	case OPT_NQN:
		return nqn_copy(h->subnqn, value);
	case OPT_HOSTNQN:
		return nqn_copy(h->hostnqn, value);
	case OPT_HOSTID:
		*has_hostid = true;
		return uuid_parse(value, h->hostid);
	case OPT_QUEUES:
		if (!number_parse(value, 1, INITIATOR_MAX_QUEUES, &n))
			return false;
		h->queues = (unsigned)n;
		return true;
	case OPT_DEPTH:
		if (!number_parse(value, 1, INITIATOR_MAX_DEPTH, &n))
			return false;
		h->depth = (unsigned)n;
		return true;
	case OPT_TRANSPORT:
		return transport_parse(h, value);
	case OPT_HOST_TRADDR:
		return host_address_parse(value, h);
	case OPT_INVALIDATE:
		return h->invalidate = true;
	case OPT_HDGST:
		return h->hdgst = true;
	case OPT_DDGST:
		return h->ddgst = true;
	case OPT_DISABLE_SQFLOW:
		return h->disable_sqflow = true;
	case OPT_SPIN:
		return h->spin = true;
	case OPT_KATO:
		if (!number_parse(value, 0, 1u << 30, &n))
			return false;
		h->kato_ms = (uint32_t)n;
		return true;
	default:
		if (!number_parse(value, 1, 1u << 30, &n))
			return false;
		h->io_timeout_ms = (uint32_t)n;
		return true;
	}
}

/* Options that describe the load and the measuring. */
static bool load_option(struct bench_options *o, int opt, const char *value)
{
	uint64_t n = 0;

	switch (opt) {
	case OPT_RW:
		return rw_parse(o, value);
	case OPT_BS:
		if (!size_parse(value, &n) || n < 512 || n > MAX_BS || n % 512)
			return false;
		o->bs = (uint32_t)n;
		return true;
	case OPT_TIME:
		return seconds_parse(value, &o->time_ns);
	case OPT_SIZE:
		return size_parse(value, &o->size) && o->size > 0;
	case OPT_RANGE:
		return range_parse(o, value);
	case OPT_RATE:
		return number_parse(value, 1, 1u << 30, &o->rate);
	case OPT_SEED:
		return number_parse(value, 0, UINT64_MAX, &o->seed);
	case OPT_NSID:
		o->has_nsid = number_parse(value, 1, NVME_NSID_ALL - 1, &n);
		o->nsid = (uint32_t)n;
		return o->has_nsid;
	case OPT_NAMESPACES:
		if (!number_parse(value, 1, NAMESPACES_MAX, &n))
			return false;
		o->namespaces = (uint32_t)n;
		return true;
	case OPT_RECONNECT:
		if (!number_parse(value, 0, 86400, &n))
			return false;
		o->reconnect_s = (uint32_t)n;
		return true;
	case OPT_CPU:
		if (!number_parse(value, 0, 1023, &n))
			return false;
		o->cpu = (int)n;
		return true;
	case OPT_PID:
		if (!number_parse(value, 1, 1u << 22, &n))
			return false;
		o->pid = (pid_t)n;
		return true;
	case OPT_VERIFY:
		return o->verify = true;
	case OPT_FLOOR:
		return o->floor = true;
	case OPT_FLOOR_MEMORY:
		return size_parse(value, &o->floor_memory) && o->floor_memory > 0;
	default:
		return o->json = true;
	}
}

static void defaults(struct bench_options *o)
{
	*o = (struct bench_options){
		.host = { .queues = 1,
			  .depth = DEFAULT_DEPTH,
			  .maxr2t = 1,
			  .kato_ms = DEFAULT_KATO_MS,
			  .connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS,
			  .io_timeout_ms = DEFAULT_IO_TIMEOUT_MS },
		.random = true,
		.read_percent = 100,
		.rw = "randread",
		.bs = DEFAULT_BS,
		.seed = 1,
		.namespaces = 1,
		.cpu = -1,
	};
}

/* A host NQN without identifier gets one of its own that is the same every time, and the reverse. */
static void identity_complete(struct initiator_options *h, bool has_hostid)
{
	static const char prefix[] = "nqn.2014-08.org.nvmexpress:uuid:";
	const uint8_t *u = h->hostid;
	size_t len = strlen(h->hostnqn);

	if (!has_hostid && len && (strncmp(h->hostnqn, prefix, strlen(prefix)) ||
				   !uuid_parse(h->hostnqn + strlen(prefix), h->hostid))) {
		for (unsigned i = 0; i < 4; i++) {
			le32_t word = le32(crc32c_update(i + 1, h->hostnqn, len));

			memcpy(h->hostid + 4 * i, &word, sizeof(word));
		}
	}
	if (!has_hostid && !len && getrandom(h->hostid, sizeof(h->hostid), 0) < 0)
		h->hostid[0] = 1;
	if (!len)
		snprintf(h->hostnqn, sizeof(h->hostnqn),
			 "%s%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
			 prefix, u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
			 u[11], u[12], u[13], u[14], u[15]);
}

static bool mode_parse(struct bench_options *o, const char *word)
{
	static const char *const words[] = { "run", "discover", "identify", "floor" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(word, words[i]))
			continue;
		o->mode = (enum bench_mode)i;
		return true;
	}
	return false;
}

/* What belongs to one transport does not go with another. */
static int transport_check(const struct bench_options *o)
{
	const struct initiator_options *h = &o->host;

	if (h->transport == INITIATOR_TCP)
		return h->invalidate ? usage("--invalidate ends keys of RDMA: it needs "
					     "--transport rdma") :
				       0;
	if (h->hdgst || h->ddgst)
		return usage("--hdgst and --ddgst are of NVMe/TCP: RDMA guards its packets itself, "
			     "leave them out with --transport rdma");
	if (o->floor || o->mode == MODE_FLOOR)
		return usage("the floor is a TCP server: leave it out with --transport rdma");
	if (o->bs > RDMA_SGL_LEN_MAX)
		return usage("--bs %u: a data pointer of NVMe/RDMA tells of less than 16 MiB", o->bs);
	return 0;
}

/* What has to be there, and what does not go together. */
static int complete(struct bench_options *o)
{
	if (o->mode == MODE_DISCOVER) {
		if (!o->peer[0])
			return usage("discover needs ADDRESS:PORT, e.g. 127.0.0.1:8009");
		if (!o->host.subnqn[0])
			nqn_copy(o->host.subnqn, NVME_DISCOVERY_NQN);
		o->host.discovery = true;
		o->host.queues = 0;
		o->host.kato_ms = 0;
	} else if (o->mode != MODE_FLOOR && (!o->peer[0] || !o->host.subnqn[0])) {
		return usage("--connect ADDRESS:PORT and --nqn NQN are needed");
	}
	if (o->mode == MODE_IDENTIFY)
		o->host.queues = 0;
	if (o->host.host_addr_len && o->host.host_addr.ss_family != o->host.addr.ss_family)
		return usage("--host-traddr and the controller's address: one is IPv4, one IPv6");
	if (o->time_ns && o->size)
		return usage("--time and --size exclude each other");
	if (!o->time_ns && !o->size)
		o->time_ns = DEFAULT_TIME_S * 1000000000ull;
	if (o->verify && o->namespaces > 1)
		return usage("--verify knows what one namespace holds: not with --namespaces");
	if (o->verify && o->floor)
		return usage("--floor measures and --verify checks: not both in one run");
	if (o->range_end && (o->range_start % o->bs || (o->range_end - o->range_start) < o->bs))
		return usage("--range has to begin at a multiple of --bs and to hold one I/O");
	if (o->floor_memory && !o->floor && o->mode != MODE_FLOOR)
		return usage("--floor-memory is the floor's: it needs --floor");
	if (o->floor_memory &&
	    o->floor_memory < (uint64_t)o->host.queues * MAX(o->bs, (uint32_t)FLOOR_RX_SIZE))
		return usage("--floor-memory: at least 256k and at least --bs for each of --queues");
	o->host.peer = o->peer;
	return transport_check(o);
}

int options_parse(struct bench_options *o, int argc, char **argv, bool *stop)
{
	bool has_hostid = false;
	int opt, index = 0;

	defaults(o);
	*stop = true;
	if (argc > 1 && argv[1][0] != '-') {
		if (!mode_parse(o, argv[1]))
			return usage("unknown command '%s'", argv[1]);
		argc--;
		argv++;
	}
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", long_options, &index)) != -1) {
		bool good = true;

		if (opt == OPT_HELP) {
			fputs(help, stdout);
			return 0;
		}
		if (opt == OPT_VERSION) {
			puts("sluice-bench " SLUICE_VERSION);
			return 0;
		}
		if (opt == '?' || opt == ':')
			return usage("%s option '%s'", opt == '?' ? "unknown" : "missing value of",
				     argv[optind - 1]);
		if ((opt <= OPT_TIMEOUT && opt != OPT_NSID && opt != OPT_NAMESPACES) || opt == OPT_SPIN)
			good = host_option(o, opt, optarg, &has_hostid);
		else
			good = load_option(o, opt, optarg);
		if (!good)
			return usage("bad value '%s' of --%s", optarg, long_options[index].name);
	}
	if (optind < argc && (o->mode != MODE_DISCOVER ||
			      !host_option(o, OPT_CONNECT, argv[optind++], &has_hostid)))
		return usage("'%s' is not an address with a port", argv[optind - 1]);
	if (optind < argc)
		return usage("'%s' is too much", argv[optind]);
	identity_complete(&o->host, has_hostid);
	*stop = false;
	return complete(o);
}
