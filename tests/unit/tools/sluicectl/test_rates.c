/* SPDX-License-Identifier: BSD-3-Clause */
/* What is between two replies: rates, times, and what comes, goes, or counts anew. */
#include "unit.h"

#include "base/hist.h"
#include "rates.h"

#define SECOND UINT64_C(1000000000)

/* Rates of two replies, and the replies. */
struct pair {
	struct json_object *before, *now;
	struct rates rates;
};

/* Quotes may be written as '. */
static struct json_object *parse(const char *text)
{
	char *copy = strdup(text);
	struct json_object *object;

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	object = json_tokener_parse(copy);
	assert_non_null(object);
	free(copy);
	return object;
}

static void pair_init(struct pair *pair, const char *before, const char *now, uint64_t asked_ns)
{
	pair->before = before ? parse(before) : NULL;
	pair->now = parse(now);
	rates_init(&pair->rates, pair->before, pair->now, asked_ns);
}

static void pair_fini(struct pair *pair)
{
	rates_fini(&pair->rates);
	json_object_put(pair->before);
	json_object_put(pair->now);
}

static void assert_near(double is, double wanted)
{
	double apart = is > wanted ? is - wanted : wanted - is;

	if (!(apart <= 1e-6 * MAX(1, wanted)))
		fail_msg("%f instead of %f", is, wanted);
}

static const char *name_of(const struct rate_row *row, const char *key)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(row->row, key, &value));
	return json_object_get_string(value);
}

static void test_two_seconds(void **state)
{
	struct pair pair;
	const struct rate_io *io;

	(void)state;
	pair_init(
		&pair,
		"{'uptime_ns':10000000000,'namespaces':[{'nqn':'a','nsid':1,'reads':100,'writes':10,"
		"'read_bytes':4096,'written_bytes':0,'flushes':1,'deallocates':1,'other':1,"
		"'errors':5,'placed_bytes':7,'staged_bytes':9}]}",
		"{'uptime_ns':12000000000,'namespaces':[{'nqn':'a','nsid':1,'reads':300,'writes':11,"
		"'read_bytes':8192,'written_bytes':1024,'flushes':3,'deallocates':5,'other':9,"
		"'errors':6,'placed_bytes':17,'staged_bytes':29}]}",
		2 * SECOND);
	assert_false(pair.rates.restarted);
	assert_true(pair.rates.interval_ns == 2 * SECOND);
	assert_int_equal(pair.rates.n_namespaces, 1);
	io = &pair.rates.namespaces[0].io;
	assert_near(io->reads, 100);
	assert_near(io->writes, 0.5);
	assert_near(io->others, 7);
	assert_near(io->errors, 0.5);
	assert_near(io->read_bytes, 2048);
	assert_near(io->written_bytes, 512);
	assert_near(io->placed_bytes, 5);
	assert_near(io->staged_bytes, 10);
	assert_near(rate_commands(io), 108);
	assert_near(pair.rates.total.reads, 100);
	pair_fini(&pair);
}

static void test_workers(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(
		&pair,
		"{'uptime_ns':1000000000,'workers':["
		"{'worker':0,'connections':9,'cpu_us':100,'spin_us':0,'turns':5,'waits':1,"
		"'memory_waits':0,'reads':1000},"
		"{'worker':1,'connections':1,'cpu_us':0,'turns':0,'reads':0}]}",
		"{'uptime_ns':1500000000,'workers':["
		"{'worker':0,'connections':3,'cpu_us':500100,'spin_us':250000,'turns':105,'waits':2,"
		"'memory_waits':4,'reads':1010},"
		"{'worker':1,'connections':2,'cpu_us':125000,'turns':1,'reads':50}]}",
		SECOND / 2);
	assert_int_equal(pair.rates.n_workers, 2);
	assert_near(pair.rates.workers[0].cpu, 1);
	assert_near(pair.rates.workers[0].spinning, 0.5);
	assert_near(pair.rates.workers[0].turns, 200);
	assert_near(pair.rates.workers[0].blocks, 2);
	assert_near(pair.rates.workers[0].shortages, 8);
	assert_near(pair.rates.workers[0].io.reads, 20);
	assert_near(pair.rates.workers[1].io.reads, 100);
	assert_near(pair.rates.cpu, 1.25);
	assert_int_equal(pair.rates.connections, 5);
	pair_fini(&pair);
}

/* The percentile is of what ended between, whatever was before. */
static void test_times(void **state)
{
	char before[512], now[512];
	struct pair pair;
	const struct rate_time *time;
	uint64_t fast = hist_bound(hist_index(5000)), slow = hist_bound(hist_index(1000000));

	(void)state;
	snprintf(
		before, sizeof(before),
		"{'uptime_ns':1000000000,'namespaces':[{'nqn':'a','nsid':1,'times':{'read':{'total':"
		"{'sum_ns':4000000,'buckets':[[%llu,1000],[null,7]]}}}}]}",
		(unsigned long long)slow);
	snprintf(
		now, sizeof(now),
		"{'uptime_ns':2000000000,'namespaces':[{'nqn':'a','nsid':1,'times':{'read':{'total':"
		"{'sum_ns':4600000,'buckets':[[%llu,100],[%llu,1000],[null,7]]}}}}]}",
		(unsigned long long)fast, (unsigned long long)slow);
	pair_init(&pair, before, now, SECOND);
	time = pair.rates.namespaces[0].io.times[RATE_READ];
	assert_near(time[RATE_TOTAL].mean_ns, 6000);
	assert_true(time[RATE_TOTAL].p99_ns == fast);
	assert_near(time[RATE_FETCH].mean_ns, 0);
	assert_near(pair.rates.namespaces[0].io.timed[RATE_READ], 100);
	assert_near(pair.rates.namespaces[0].io.timed[RATE_WRITE], 0);
	pair_fini(&pair);
}

/* Each bucket, the one without a bound too, is found again by its bound. */
static void test_buckets(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		char now[512], bound[32] = "null";
		struct pair pair;

		if (i < HIST_BUCKETS - 1)
			snprintf(bound, sizeof(bound), "%llu", (unsigned long long)hist_bound(i));
		snprintf(
			now, sizeof(now),
			"{'uptime_ns':1000000000,'namespaces':[{'nqn':'a','nsid':1,'times':{'write':"
			"{'total':{'sum_ns':1,'buckets':[[%s,3]]}}}}]}",
			bound);
		pair_init(&pair, NULL, now, 0);
		assert_true(pair.rates.namespaces[0].io.times[RATE_WRITE][RATE_TOTAL].p99_ns ==
			    hist_bound(i < HIST_BUCKETS - 1 ? i : i - 1));
		pair_fini(&pair);
	}
}

/* What was not there has done all that it counts meanwhile; what is gone is not shown. */
static void test_come_and_gone(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair,
		  "{'uptime_ns':1000000000,'namespaces':[{'nqn':'a','nsid':1,'reads':1000000}],"
		  "'hosts':[{'nqn':'a','host_nqn':'x','writes':5}]}",
		  "{'uptime_ns':2000000000,'namespaces':[{'nqn':'a','nsid':2,'reads':7}],"
		  "'hosts':[{'nqn':'b','host_nqn':'x','writes':2},"
		  "{'nqn':'a','host_nqn':'x','writes':6}]}",
		  SECOND);
	assert_int_equal(pair.rates.n_namespaces, 1);
	assert_string_equal(name_of(&pair.rates.namespaces[0], "nsid"), "2");
	assert_near(pair.rates.namespaces[0].io.reads, 7);
	assert_int_equal(pair.rates.n_hosts, 2);
	assert_string_equal(name_of(&pair.rates.hosts[0], "nqn"), "b");
	assert_near(pair.rates.hosts[0].io.writes, 2);
	assert_near(pair.rates.hosts[1].io.writes, 1);
	pair_fini(&pair);
}

/* It was closed and opened again, and counts from 0: how much of that is new, nobody knows. */
static void test_counters_back(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(
		&pair,
		"{'uptime_ns':1000000000,'namespaces':[{'nqn':'a','nsid':1,'reads':1000000,'writes':1,"
		"'times':{'read':{'total':{'sum_ns':9,'buckets':[[2048,9]]}}}},"
		"{'nqn':'a','nsid':2,'reads':10}]}",
		"{'uptime_ns':2000000000,'namespaces':[{'nqn':'a','nsid':1,'reads':10,'writes':50,"
		"'times':{'read':{'total':{'sum_ns':5,'buckets':[[2048,5]]}}}},"
		"{'nqn':'a','nsid':2,'reads':30}]}",
		SECOND);
	assert_string_equal(name_of(&pair.rates.namespaces[0], "nsid"), "2");
	assert_near(pair.rates.namespaces[0].io.reads, 20);
	assert_near(rate_commands(&pair.rates.namespaces[1].io), 0);
	assert_near(pair.rates.namespaces[1].io.timed[RATE_READ], 0);
	assert_near(pair.rates.total.reads, 20);
	assert_near(pair.rates.total.writes, 0);
	pair_fini(&pair);
}

/* The daemon runs for less than has passed, or for no longer than before. */
static void test_restart(void **state)
{
	static const struct {
		const char *before, *now;
		uint64_t asked_ns;
		bool restarted;
		double reads;
	} rows[] = {
		{ "9000000000", "2000000000", SECOND, true, 50 },
		{ "500000000", "2000000000", 10 * SECOND, true, 50 },
		{ "500000000", "2500000000", 2 * SECOND, false, 45 },
		{ "500000000", "2500000000", 2 * SECOND - 1, false, 45 },
		{ "500000000", "2500000000", 2 * SECOND + 1, true, 40 },
		{ "0", "0", SECOND, true, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char before[256], now[256];
		struct pair pair;

		snprintf(before, sizeof(before),
			 "{'uptime_ns':%s,'namespaces':[{'nqn':'a','nsid':1,'reads':10}]}",
			 rows[i].before);
		snprintf(now, sizeof(now),
			 "{'uptime_ns':%s,'namespaces':[{'nqn':'a','nsid':1,'reads':100}]}",
			 rows[i].now);
		pair_init(&pair, before, now, rows[i].asked_ns);
		assert_int_equal(pair.rates.restarted, rows[i].restarted);
		assert_near(pair.rates.namespaces[0].io.reads, rows[i].reads);
		pair_fini(&pair);
	}
}

static void test_order(void **state)
{
	struct pair pair;
	static const char *const wanted[] = { "3", "1", "2", "4" };

	(void)state;
	pair_init(&pair, NULL,
		  "{'uptime_ns':1000000000,'namespaces':[{'nqn':'a','nsid':4},"
		  "{'nqn':'a','nsid':2,'writes':5},{'nqn':'a','nsid':1,'reads':5},"
		  "{'nqn':'a','nsid':3,'errors':6}]}",
		  0);
	for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_string_equal(name_of(&pair.rates.namespaces[i], "nsid"), wanted[i]);
	pair_fini(&pair);
}

/* Whatever an answer is made of, there are rates or none, and no fault. */
static void test_nonsense(void **state)
{
	static const char *const replies[] = {
		"{}",
		"[]",
		"{'uptime_ns':'x','workers':5,'namespaces':{},'hosts':null}",
		"{'uptime_ns':-1,'workers':[null,3,[]],'namespaces':[{}, {}, 'x'],'hosts':[[]]}",
		"{'uptime_ns':5,'namespaces':[{'nqn':5,'times':7,'reads':'many'}]}",
		"{'namespaces':[{'times':{'read':[],'write':{'total':{'buckets':[5,[],[1],[0,1],{}]}}}}]}",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(replies); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(replies); k++) {
			struct pair pair;
			struct json_object *object;

			pair_init(&pair, replies[i], replies[k], 1);
			object = rates_json(&pair.rates);
			assert_non_null(object);
			json_object_put(object);
			pair_fini(&pair);
		}
	}
}

static void test_json(void **state)
{
	struct pair pair;
	struct json_object *object;
	const char *text;

	(void)state;
	pair_init(
		&pair, NULL,
		"{'uptime_ns':2000000000,'workers':[{'worker':0,'connections':1,'cpu_us':500000}],"
		"'namespaces':[{'nqn':'a','nsid':1,'reads':3,'times':{'read':{'total':{'sum_ns':3000,"
		"'buckets':[[2048,3]]}}}}],'hosts':[{'nqn':'a','host_nqn':'x','connections':1}]}",
		0);
	object = rates_json(&pair.rates);
	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	assert_non_null(strstr(text, "{\"interval_ns\":2000000000,\"uptime_ns\":2000000000,"
				     "\"restarted\":false,\"connections\":1,\"cpu_percent\":25.0"));
	assert_non_null(strstr(text, "\"total\":{\"reads_per_s\":1.5"));
	assert_non_null(strstr(text, "\"workers\":[{\"worker\":0,\"connections\":1,"));
	assert_non_null(strstr(text, "{\"nqn\":\"a\",\"nsid\":1,\"reads_per_s\":1.5"));
	assert_non_null(strstr(text, "\"times\":{\"read\":{\"commands_per_s\":1.5"));
	assert_non_null(strstr(text, "\"total\":{\"mean_ns\":1000.0"));
	assert_non_null(strstr(text, "\"p99_ns\":2048}"));
	assert_non_null(
		strstr(text, "\"hosts\":[{\"nqn\":\"a\",\"host_nqn\":\"x\",\"connections\":1"));
	json_object_put(object);
	pair_fini(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_seconds),   cmocka_unit_test(test_workers),
		cmocka_unit_test(test_times),	      cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_come_and_gone), cmocka_unit_test(test_counters_back),
		cmocka_unit_test(test_restart),	      cmocka_unit_test(test_order),
		cmocka_unit_test(test_nonsense),      cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
