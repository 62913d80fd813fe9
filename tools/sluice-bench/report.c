/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

static const double percentiles[] = { 50, 90, 99, 99.9 };
static const char *const percentile_names[] = { "p50", "p90", "p99", "p99_9" };

static double seconds(const struct load_result *r)
{
	return (double)MAX(r->elapsed_ns, (uint64_t)1) / 1e9;
}

static uint64_t total_ios(const struct load_result *r)
{
	return r->ios[0] + r->ios[1];
}

static double iops(const struct load_result *r)
{
	return (double)total_ios(r) / seconds(r);
}

static double mib_per_s(const struct load_result *r)
{
	return (double)(r->bytes[0] + r->bytes[1]) / seconds(r) / (1 << 20);
}

static double us(uint64_t ns)
{
	return (double)ns / 1e3;
}

static double us_per_io(uint64_t ns, const struct load_result *r)
{
	return total_ios(r) ? us(ns) / (double)total_ios(r) : 0;
}

static double average_us(const struct hist *h)
{
	return h->count ? us(h->sum) / (double)h->count : 0;
}

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

/* ----------------------------------------------------------------------------------------- people */

static void print_latency(const char *name, const struct hist *h)
{
	if (h->count == 0)
		return;
	printf("  %-6s latency us: min %.1f, avg %.1f, p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n",
	       name, us(h->min), average_us(h), us(hist_percentile(h, 50)),
	       us(hist_percentile(h, 90)), us(hist_percentile(h, 99)), us(hist_percentile(h, 99.9)),
	       us(h->max));
}

static void print_result(const char *name, const struct load_result *r, const struct cpu_use *cpu)
{
	printf("%s: %.0f IOPS, %.1f MiB/s in %.2f s (%llu reads, %llu writes)\n", name, iops(r),
	       mib_per_s(r), seconds(r), (unsigned long long)r->ios[0],
	       (unsigned long long)r->ios[1]);
	print_latency("read", &r->latency[0]);
	print_latency("write", &r->latency[1]);
	if (cpu->known) {
		printf("  CPU: %.3f us per I/O, %.1f %% of one", us_per_io(cpu->cpu_ns, r),
		       100 * ratio((double)cpu->cpu_ns, (double)r->elapsed_ns));
		if (cpu->spin_known)
			printf(", busy %.3f us per I/O", us_per_io(cpu->cpu_ns - cpu->spin_ns, r));
		printf("\n");
	}
}

static void print_errors(const struct load_result *r)
{
	char text[96];

	for (unsigned i = 0; i < r->n_statuses; i++)
		printf("  status %s: %llu\n",
		       nvme_status_text(r->statuses[i].status, text, sizeof(text)),
		       (unsigned long long)r->statuses[i].count);
	if (r->retries || r->failed)
		printf("  %llu I/Os were tried again, %llu failed for good\n",
		       (unsigned long long)r->retries, (unsigned long long)r->failed);
	if (r->reconnects)
		printf("  %llu reconnections, %llu I/Os sent again, longest outage %.0f ms\n",
		       (unsigned long long)r->reconnects, (unsigned long long)r->resent,
		       us(r->outage_ns) / 1e3);
}

static void print_verify(const struct report *p)
{
	const struct verify *v = p->verify;

	if (!v)
		return;
	printf("  verified: %llu blocks compared, %llu wrong (%.1f MiB written before, %.1f MiB read back)\n",
	       (unsigned long long)v->checked, (unsigned long long)v->bad,
	       (double)p->prefill_bytes / (1 << 20), (double)p->readback_bytes / (1 << 20));
}

void report_print(const struct report *p)
{
	const struct bench_options *o = p->options;
	bool rdma = o->host.transport == INITIATOR_RDMA;

	printf("%s, %u bytes, %u queue%s, depth %u%s%s%s%s, %s%s\n", o->rw, o->bs, p->queues,
	       p->queues == 1 ? "" : "s", p->depth, o->host.hdgst ? ", header digest" : "",
	       o->host.ddgst ? ", data digest" : "", o->host.invalidate ? ", invalidating" : "",
	       o->host.disable_sqflow ? ", SQ flow control off" : "",
	       rdma ? "RDMA" : "TCP congestion control ", rdma ? "" : p->congestion);
	if (p->target) {
		print_result("target", p->target, &p->target_cpu);
		print_errors(p->target);
		if (o->host.invalidate)
			printf("  %llu responses ended their command's key\n",
			       (unsigned long long)p->keys_ended);
		print_verify(p);
	}
	if (p->floor)
		print_result("floor", p->floor, &p->floor_cpu);
	if (p->floor && p->target) {
		printf("target / floor: IOPS %.2f", ratio(iops(p->target), iops(p->floor)));
		if (p->target_cpu.known)
			printf(", CPU per I/O %.2f",
			       ratio(us_per_io(p->target_cpu.cpu_ns, p->target),
				     us_per_io(p->floor_cpu.cpu_ns, p->floor)));
		printf("\n");
	}
}

/* ------------------------------------------------------------------------------------------- JSON */

static void put_int(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

/* A number with three digits behind the point: more would be noise. */
static void put_real(struct json_object *o, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.3f", value);
	json_object_object_add(o, key, json_object_new_double_s(value, text));
}

static struct json_object *latency_json(const struct hist *h)
{
	struct json_object *o = json_object_new_object();

	put_int(o, "count", h->count);
	put_real(o, "min", us(h->min));
	put_real(o, "avg", average_us(h));
	for (unsigned i = 0; i < ARRAY_SIZE(percentiles); i++)
		put_real(o, percentile_names[i], us(hist_percentile(h, percentiles[i])));
	put_real(o, "max", us(h->max));
	return o;
}

static struct json_object *errors_json(const struct load_result *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < r->n_statuses; i++) {
		struct json_object *o = json_object_new_object();

		put_int(o, "status", r->statuses[i].status);
		json_object_object_add(
			o, "name", json_object_new_string(nvme_status_name(r->statuses[i].status)));
		put_int(o, "count", r->statuses[i].count);
		json_object_array_add(list, o);
	}
	return list;
}

/* Of each queue that had any, in the order of their identifiers. */
static struct json_object *queues_json(const struct load_result *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < ARRAY_SIZE(r->queue_ios); i++)
		if (r->queue_ios[i])
			json_object_array_add(list,
					      json_object_new_int64((int64_t)r->queue_ios[i]));
	return list;
}

static struct json_object *result_json(const struct load_result *r, const struct cpu_use *cpu)
{
	struct json_object *o = json_object_new_object();
	struct hist both = r->latency[0];

	hist_merge(&both, &r->latency[1]);
	put_real(o, "iops", iops(r));
	put_real(o, "mib_per_s", mib_per_s(r));
	put_real(o, "seconds", seconds(r));
	put_int(o, "reads", r->ios[0]);
	put_int(o, "writes", r->ios[1]);
	json_object_object_add(o, "queue_ios", queues_json(r));
	put_int(o, "bytes_read", r->bytes[0]);
	put_int(o, "bytes_written", r->bytes[1]);
	json_object_object_add(o, "latency_us", latency_json(&both));
	json_object_object_add(o, "read_latency_us", latency_json(&r->latency[0]));
	json_object_object_add(o, "write_latency_us", latency_json(&r->latency[1]));
	if (cpu->known) {
		put_real(o, "cpu_us_per_io", us_per_io(cpu->cpu_ns, r));
		put_real(o, "cpu_seconds", (double)cpu->cpu_ns / 1e9);
		if (cpu->spin_known)
			put_real(o, "busy_us_per_io", us_per_io(cpu->cpu_ns - cpu->spin_ns, r));
	}
	put_int(o, "failed", r->failed);
	put_int(o, "retries", r->retries);
	put_int(o, "reconnects", r->reconnects);
	put_int(o, "resent", r->resent);
	put_real(o, "outage_ms", us(r->outage_ns) / 1e3);
	json_object_object_add(o, "errors", errors_json(r));
	return o;
}

static struct json_object *workload_json(const struct report *p)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "rw", json_object_new_string(p->options->rw));
	put_int(o, "bs", p->options->bs);
	put_int(o, "queues", p->queues);
	put_int(o, "depth", p->depth);
	put_int(o, "nsid", p->nsid);
	put_int(o, "namespaces", p->options->namespaces);
	put_int(o, "seed", p->options->seed);
	json_object_object_add(o, "transport",
			       json_object_new_string(p->options->host.transport == INITIATOR_RDMA ?
							      "rdma" :
							      "tcp"));
	json_object_object_add(o, "hdgst", json_object_new_boolean(p->options->host.hdgst));
	json_object_object_add(o, "ddgst", json_object_new_boolean(p->options->host.ddgst));
	json_object_object_add(o, "invalidate",
			       json_object_new_boolean(p->options->host.invalidate));
	json_object_object_add(o, "disable_sqflow",
			       json_object_new_boolean(p->options->host.disable_sqflow));
	json_object_object_add(o, "spin", json_object_new_boolean(p->options->host.spin));
	json_object_object_add(o, "congestion_control", json_object_new_string(p->congestion));
	return o;
}

static struct json_object *verify_json(const struct report *p)
{
	struct json_object *o = json_object_new_object();

	put_int(o, "blocks_checked", p->verify->checked);
	put_int(o, "blocks_wrong", p->verify->bad);
	put_int(o, "prefill_bytes", p->prefill_bytes);
	put_int(o, "readback_bytes", p->readback_bytes);
	return o;
}

static struct json_object *ratio_json(const struct report *p)
{
	struct json_object *o = json_object_new_object();

	put_real(o, "iops", ratio(iops(p->target), iops(p->floor)));
	if (p->target_cpu.known)
		put_real(o, "cpu_per_io", ratio(us_per_io(p->target_cpu.cpu_ns, p->target),
						us_per_io(p->floor_cpu.cpu_ns, p->floor)));
	return o;
}

void json_print(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

void report_json(const struct report *p)
{
	struct json_object *o = p->target ? result_json(p->target, &p->target_cpu) :
					    json_object_new_object();

	json_object_object_add(o, "workload", workload_json(p));
	json_object_object_add(o, "ok", json_object_new_boolean(!p->corrupt && !p->error &&
							 (!p->target || !p->target->failed)));
	if (p->error)
		json_object_object_add(o, "error", json_object_new_string(p->error));
	if (p->options->host.invalidate)
		put_int(o, "keys_ended", p->keys_ended);
	if (p->verify)
		json_object_object_add(o, "verify", verify_json(p));
	if (p->floor)
		json_object_object_add(o, "floor", result_json(p->floor, &p->floor_cpu));
	if (p->floor && p->target)
		json_object_object_add(o, "ratio", ratio_json(p));
	json_print(o);
}
