/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "floor.h"
#include "load.h"
#include "report.h"

enum {
	FLOOR_ROUNDS = 3,                  /* target and floor take turns that often */
	FLOOR_BLOCK_SIZE = 512,
	FLOOR_BLOCKS = 1 << 20,
	VERIFY_TABLE_MAX = 1 << 30,        /* bytes */
};

int bench_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("sluice-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

struct initiator *bench_connect(const struct bench_options *options)
{
	struct initiator *in;
	int rc = initiator_init(&in, &options->host);

	if (rc) {
		bench_fail("cannot set up io_uring: %s%s", strerror(-rc),
			   rc == -EPERM ? " (see kernel.io_uring_disabled)" : "");
		return NULL;
	}
	if (initiator_connect(in)) {
		bench_fail("%s", initiator_error(in));
		initiator_fini(in);
		return NULL;
	}
	return in;
}

/* ------------------------------------------------------------------------------------ CPU time */

/* The CPU time of a process with all its threads, in ns; false when it is gone. */
static bool cpu_time(pid_t pid, uint64_t *ns)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		return false;
	*ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return true;
}

/* ------------------------------------------------------------------------------------------ state */

struct bench {
	const struct bench_options *options;
	struct initiator *in;
	struct initiator *floor_in;
	struct floor_server server;
	bool has_server;
	struct initiator_ns ns;
	struct verify verify;
	struct load *load;
	struct load *floor_load;
	struct load_result *target;  /* sums of the rounds */
	struct load_result *floor;
	struct load_result *scratch;
	struct report report;
};

static void result_add(struct load_result *to, const struct load_result *from)
{
	for (unsigned i = 0; i < 2; i++) {
		hist_merge(&to->latency[i], &from->latency[i]);
		to->ios[i] += from->ios[i];
		to->bytes[i] += from->bytes[i];
	}
	for (unsigned i = 0; i < ARRAY_SIZE(to->queue_ios); i++)
		to->queue_ios[i] += from->queue_ios[i];
	to->elapsed_ns += from->elapsed_ns;
	to->failed += from->failed;
	to->retries += from->retries;
	to->resent += from->resent;
	to->reconnects += from->reconnects;
	to->outage_ns = MAX(to->outage_ns, from->outage_ns);
	for (unsigned i = 0; i < from->n_statuses; i++) {
		unsigned k = 0;

		while (k < to->n_statuses && to->statuses[k].status != from->statuses[i].status)
			k++;
		if (k == LOAD_STATUSES)
			continue;
		if (k == to->n_statuses)
			to->statuses[to->n_statuses++].status = from->statuses[i].status;
		to->statuses[k].count += from->statuses[i].count;
	}
}

static int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return bench_fail("cannot run on CPU %d: %s", cpu, strerror(errno));
	return 0;
}

/* A CPU that the process may use and the client does not, -1 when there is only one. */
static int other_cpu(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || sched_getaffinity(0, sizeof(set), &set))
		return -1;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (i != cpu && CPU_ISSET((unsigned)i, &set))
			return i;
	return -1;
}

/* ------------------------------------------------------------------------------------------ floor */

static int floor_open(struct bench *b)
{
	const struct bench_options *o = b->options;
	struct floor_shape shape = {
		.queues = o->host.queues,
		.depth = o->host.depth,
		.bs = o->bs,
		.block_size = FLOOR_BLOCK_SIZE,
		.in_capsule = FLOOR_IN_CAPSULE,
		.sqflow = !o->host.disable_sqflow,
		.memory = o->floor_memory,
		.cpu = other_cpu(o->cpu),
	};
	int rc = floor_start(&b->server, &shape);

	if (rc)
		return bench_fail("cannot start the floor's server: %s", strerror(-rc));
	b->has_server = true;
	return 0;
}

/* The client's end: the same code as towards a target, without the handshakes. */
static int floor_attach(struct bench *b)
{
	struct initiator_options host = b->options->host;
	struct load_shape shape = { .block_size = FLOOR_BLOCK_SIZE, .bs = b->options->bs,
				    .blocks = FLOOR_BLOCKS, .nsid = 1, .namespaces = 1, .seed = b->options->seed };
	uint32_t in_capsule = b->in ? initiator_in_capsule(b->in) : FLOOR_IN_CAPSULE;
	int fds[INITIATOR_MAX_QUEUES];
	int rc;

	host.hdgst = false;
	host.ddgst = false;
	host.peer = "floor";
	rc = initiator_init(&b->floor_in, &host);
	if (!rc)
		rc = floor_connect(&b->server, fds, host.queues);
	if (!rc) {
		initiator_assume(b->floor_in, in_capsule, FLOOR_MAXH2CDATA);
		rc = initiator_adopt(b->floor_in, fds, host.queues);
		shape.in = b->floor_in;
	}
	if (!rc)
		rc = load_init(&b->floor_load, &shape);
	return rc ? bench_fail("cannot reach the floor's server: %s", strerror(-rc)) : 0;
}

static int floor_round(struct bench *b, const struct load_spec *spec)
{
	uint64_t cpu[2] = { 0 };
	uint64_t spin_ns = b->server.counters->spin_ns;
	int rc;

	cpu_time(b->server.pid, &cpu[0]);
	rc = load_run(b->floor_load, spec, b->scratch);
	b->report.floor_cpu.known = cpu_time(b->server.pid, &cpu[1]);
	b->report.floor_cpu.spin_known = true;
	b->report.floor_cpu.cpu_ns += cpu[1] - cpu[0];
	b->report.floor_cpu.spin_ns += b->server.counters->spin_ns - spin_ns;
	result_add(b->floor, b->scratch);
	if (rc && rc != -EINTR)
		bench_fail("the floor's server failed: %s", initiator_error(b->floor_in));
	return rc;
}

/* ----------------------------------------------------------------------------------------- target */

static int ns_find(struct bench *b)
{
	const struct bench_options *o = b->options;
	uint32_t list[1024];
	uint32_t nsid = o->nsid;
	char text[96];
	unsigned n = 0;
	int rc = 0;

	if (!o->has_nsid) {
		rc = initiator_ns_list(b->in, 0, list, &n);
		if (!rc && n == 0)
			return bench_fail("%s shows this host no namespace", o->peer);
		nsid = n ? list[0] : 0;
	}
	if (!rc)
		rc = initiator_ns_read(b->in, nsid, &b->ns);
	if (rc > 0)
		return bench_fail("namespace %u: %s", nsid,
				  nvme_status_text((uint16_t)rc, text, sizeof(text)));
	return rc ? bench_fail("%s", initiator_error(b->in)) : 0;
}

/* Those behind the first have to be like it, for one load to fit all. */
static int ns_compare(struct bench *b)
{
	struct initiator_ns ns;
	char text[96];

	for (uint32_t i = 1; i < b->options->namespaces; i++) {
		uint32_t nsid = b->ns.nsid + i;
		int rc = initiator_ns_read(b->in, nsid, &ns);

		if (rc > 0)
			return bench_fail("namespace %u: %s", nsid,
					  nvme_status_text((uint16_t)rc, text, sizeof(text)));
		if (rc)
			return bench_fail("%s", initiator_error(b->in));
		if (ns.blocks != b->ns.blocks || ns.block_size != b->ns.block_size ||
		    ns.read_only != b->ns.read_only)
			return bench_fail(
				"--namespaces: %u and %u differ in size, block size or access",
				b->ns.nsid, nsid);
	}
	return 0;
}

/* The options against what the controller and the namespace can do. */
static int shape_check(const struct bench *b, const struct load_shape *shape)
{
	const struct bench_options *o = b->options;
	uint64_t size = b->ns.blocks * b->ns.block_size;

	if (o->bs % b->ns.block_size)
		return bench_fail("--bs %u is not a multiple of the namespace's blocks of %u bytes",
				  o->bs, b->ns.block_size);
	if (o->bs > initiator_max_transfer(b->in))
		return bench_fail(
			"--bs %u is more than the controller takes in one command (%u bytes)",
			o->bs, initiator_max_transfer(b->in));
	if (o->bs / b->ns.block_size > 65536)
		return bench_fail("--bs %u is more than 65536 blocks", o->bs);
	if (o->range_end > size || size < o->bs)
		return bench_fail("--range ends at %llu, the namespace at %llu bytes",
				  (unsigned long long)MAX(o->range_end, (uint64_t)o->bs),
				  (unsigned long long)size);
	if (b->ns.read_only && (o->verify || o->read_percent < 100))
		return bench_fail("namespace %u is read only", b->ns.nsid);
	if (o->verify && verify_table_size(shape->blocks) > VERIFY_TABLE_MAX)
		return bench_fail(
			"verifying %llu blocks takes %llu MiB of memory: give a smaller --range",
			(unsigned long long)shape->blocks,
			(unsigned long long)verify_table_size(shape->blocks) >> 20);
	return 0;
}

static int target_open(struct bench *b)
{
	const struct bench_options *o = b->options;
	struct load_shape shape = { .bs = o->bs, .seed = o->seed };
	int rc;

	b->in = bench_connect(o);
	if (!b->in)
		return EXIT_FAILED;
	rc = ns_find(b);
	if (!rc)
		rc = ns_compare(b);
	if (rc)
		return rc;
	shape.in = b->in;
	shape.nsid = b->ns.nsid;
	shape.namespaces = o->namespaces;
	shape.block_size = b->ns.block_size;
	shape.first = o->range_start / b->ns.block_size;
	shape.blocks =
		(o->range_end ? o->range_end / b->ns.block_size : b->ns.blocks) - shape.first;
	rc = shape_check(b, &shape);
	if (rc)
		return rc;
	/* What does not fill a whole I/O at the end of the range is never touched. */
	shape.blocks -= shape.blocks % (o->bs / b->ns.block_size);
	if (o->verify) {
		if (verify_init(&b->verify, o->seed, shape.nsid, shape.block_size, shape.first,
				shape.blocks))
			return bench_fail("out of memory for the table of generations");
		shape.verify = &b->verify;
		b->report.verify = &b->verify;
	}
	rc = load_init(&b->load, &shape);
	if (rc && initiator_error(b->in)[0])
		return bench_fail("%s", initiator_error(b->in));
	return rc ? bench_fail("out of memory for %u I/Os", o->host.queues * o->host.depth) : 0;
}

static int target_round(struct bench *b, const struct load_spec *spec)
{
	uint64_t cpu[2] = { 0 };
	bool known = b->options->pid && cpu_time(b->options->pid, &cpu[0]);
	int rc = load_run(b->load, spec, b->scratch);

	b->report.target_cpu.known = known && cpu_time(b->options->pid, &cpu[1]);
	b->report.target_cpu.cpu_ns += cpu[1] - cpu[0];
	result_add(b->target, b->scratch);
	return rc;
}

/* One pass over the whole range: @read_percent 0 writes it, 100 reads what was written. */
static int pass(struct bench *b, unsigned read_percent, uint64_t *bytes)
{
	struct load_spec spec = {
		.read_percent = read_percent,
		.bytes = b->verify.blocks * b->verify.block_size,
		.reconnect_s = b->options->reconnect_s,
		.known_only = read_percent == 100,
	};
	int rc = load_run(b->load, &spec, b->scratch);

	*bytes = b->scratch->bytes[0] + b->scratch->bytes[1];
	b->target->failed += b->scratch->failed;
	b->target->reconnects += b->scratch->reconnects;
	return rc;
}

/* ------------------------------------------------------------------------------------------- run */

static int rounds(struct bench *b)
{
	const struct bench_options *o = b->options;
	unsigned n = o->floor ? FLOOR_ROUNDS : 1;
	struct load_spec spec = {
		.random = o->random,
		.read_percent = o->read_percent,
		.time_ns = o->time_ns / n,
		.bytes = o->size / n,
		.rate = o->rate,
		.reconnect_s = o->reconnect_s,
	};
	int rc = 0;

	for (unsigned i = 0; i < n && !rc; i++) {
		if (b->load)
			rc = target_round(b, &spec);
		if (!rc && b->floor_load)
			rc = floor_round(b, &spec);
	}
	return rc;
}

static int phases(struct bench *b)
{
	bool verify = b->options->verify;
	int rc = 0;

	if (verify && b->options->read_percent > 0)
		rc = pass(b, 0, &b->report.prefill_bytes);
	if (!rc)
		rc = rounds(b);
	/* Not after an interrupt: who stops it wants it to end. */
	if (verify && !rc && b->options->read_percent < 100)
		rc = pass(b, 100, &b->report.readback_bytes);
	return rc;
}

static void congestion_read(char *name, size_t size)
{
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "re");

	snprintf(name, size, "unknown");
	if (!f)
		return;
	if (fgets(name, (int)size, f))
		name[strcspn(name, "\n")] = 0;
	fclose(f);
}

static int report_end(struct bench *b, int rc)
{
	struct report *r = &b->report;

	r->options = b->options;
	r->target = b->load ? b->target : NULL;
	r->floor = b->floor_load ? b->floor : NULL;
	r->queues = initiator_queues(b->in ? b->in : b->floor_in);
	r->depth = initiator_depth(b->in ? b->in : b->floor_in);
	r->nsid = b->ns.nsid;
	r->keys_ended = b->in ? initiator_counters(b->in)->keys_ended : 0;
	r->corrupt = rc == -EBADMSG;
	congestion_read(r->congestion, sizeof(r->congestion));
	if (rc && rc != -EBADMSG && rc != -EINTR) {
		r->error = initiator_error(b->in ? b->in : b->floor_in);
		bench_fail("%s", r->error);
	}
	if (b->options->json)
		report_json(r);
	else
		report_print(r);
	if (r->corrupt)
		return EXIT_CORRUPT;
	return r->error || b->target->failed ? EXIT_FAILED : 0;
}

static int open_all(struct bench *b)
{
	const struct bench_options *o = b->options;
	bool floor = o->floor || o->mode == MODE_FLOOR;
	int rc = 0;

	b->target = calloc(1, sizeof(*b->target));
	b->floor = calloc(1, sizeof(*b->floor));
	b->scratch = calloc(1, sizeof(*b->scratch));
	if (!b->target || !b->floor || !b->scratch)
		return bench_fail("out of memory");
	/* The server is forked before there is a ring that it would inherit, and before pinning. */
	if (floor)
		rc = floor_open(b);
	if (!rc)
		rc = pin(o->cpu);
	if (!rc && o->mode == MODE_RUN)
		rc = target_open(b);
	if (!rc && floor)
		rc = floor_attach(b);
	return rc;
}

static void close_all(struct bench *b)
{
	load_fini(b->load);
	load_fini(b->floor_load);
	initiator_fini(b->in);
	initiator_fini(b->floor_in);
	if (b->has_server)
		floor_stop(&b->server);
	verify_fini(&b->verify);
	free(b->target);
	free(b->floor);
	free(b->scratch);
}

int bench_run(const struct bench_options *options)
{
	struct bench b = { .options = options };
	int rc = open_all(&b);

	if (!rc)
		rc = report_end(&b, phases(&b));
	close_all(&b);
	return rc;
}
