/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies of the daemon as tables: each verb with what it may say, with nothing, and with nonsense. */
#include "unit.h"

#include "show.h"

static char *show_text(const char *verb, const char *json)
{
	struct json_object *reply = json_tokener_parse(json);
	const struct show *show = show_find(verb);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(show);
	assert_non_null(reply);
	show->print(reply, out);
	fclose(out);
	json_object_put(reply);
	return text;
}

/* The table of @verb for @json has these pieces, in this order. */
static void assert_shows(const char *verb, const char *json, const char *const *pieces)
{
	char *text = show_text(verb, json);
	const char *rest = text;

	for (; *pieces; pieces++) {
		rest = strstr(rest, *pieces);
		if (!rest)
			fail_msg("\"%s\" is not where it belongs in\n%s", *pieces, text);
		rest += strlen(*pieces);
	}
	free(text);
}

#define PIECES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_status(void **state)
{
	(void)state;
	assert_shows(
		"status",
		"{\"release\":\"1.2\",\"pid\":77,\"state\":\"serving\",\"uptime_ms\":61000,"
		"\"counts\":{\"listeners\":2,\"listeners_open\":1,\"subsystems\":3,\"namespaces\":4,"
		"\"controllers\":5,\"connections\":6},"
		"\"memory\":{\"announced_bytes\":1610612736,\"pools\":[{\"worker\":1,"
		"\"size_bytes\":268435456,\"free_bytes\":134217728,\"low_water_bytes\":4096}]},"
		"\"workers\":[{\"worker\":1,\"cpu\":null,\"connections\":6,\"memory_waits\":8,"
		"\"host_timeouts\":9,"
		"\"turns\":11,\"enters\":12,\"waits\":13,\"spins\":14}]}",
		PIECES("sluiced 1.2, process 77: serving for 1m 1s\n", "1 of 2 listeners open",
		       "3 subsystems", "4 namespaces", "5 controllers", "6 connections",
		       "1.5 GiB of memory", "WORKER", "\n1 ", "-", "6", "256 MiB", "128 MiB",
		       "4 KiB", "8", "9", "11", "12", "13", "14\n"));
}

static void test_subsystems(void **state)
{
	(void)state;
	assert_shows(
		"subsystems",
		"{\"subsystems\":[{\"nqn\":\"nqn.d\",\"serial\":null,\"any_host\":true,\"hosts\":[],"
		"\"namespaces\":[],\"controllers\":[]},"
		"{\"nqn\":\"nqn.a\",\"serial\":\"S1\",\"drained\":true,\"any_host\":false,"
		"\"hosts\":[\"h1\",\"h2\"],\"namespaces\":[1,2],\"controllers\":[9]},"
		"{\"nqn\":\"nqn.b\",\"any_host\":false,\"hosts\":[]}]}",
		PIECES("nqn.d", "-", "open", "-", "-", "any\n", "nqn.a", "S1", "drained", "1, 2",
		       "9", "h1, h2\n", "nqn.b", "open", "nobody\n"));
}

static void test_namespaces(void **state)
{
	(void)state;
	assert_shows(
		"namespaces",
		"{\"namespaces\":[{\"nqn\":\"nqn.a\",\"nsid\":3,\"size_bytes\":1048576,"
		"\"block_bytes\":512,\"state\":\"ready\",\"read_only\":true,\"backend\":\"file\","
		"\"path\":\"/x\",\"uuid\":\"u-u\",\"any_host\":true,\"detail\":\"why\"}]}",
		PIECES("nqn.a", "3", "1 MiB", "512 B", "ready, read-only", "file", "/x", "u-u",
		       "any", "why\n"));
}

static void test_controllers(void **state)
{
	(void)state;
	assert_shows("controllers",
		     "{\"controllers\":[{\"cntlid\":4,\"nqn\":\"nqn.a\",\"host_nqn\":\"nqn.h\","
		     "\"host_id\":\"id\",\"listener\":\"tcp\",\"state\":\"live\",\"kato_ms\":5000,"
		     "\"age_ms\":1000,\"error_count\":2,\"queues\":[{},{},{}]},"
		     "{\"cntlid\":5,\"kato_ms\":0}]}",
		     PIECES("4", "live", "3", "5000 ms", "2", "1s", "nqn.h", "id", "nqn.a", "tcp\n",
			    "5", "off"));
}

static void test_connections(void **state)
{
	(void)state;
	assert_shows(
		"connections",
		"{\"connections\":[{\"peer\":\"192.0.2.1:5\",\"worker\":1,\"cntlid\":null,\"qid\":null,"
		"\"depth\":1,\"state\":\"new\",\"listener\":\"tcp\",\"commands\":7,\"errors\":0,"
		"\"read_bytes\":4096,\"written_bytes\":8192,\"placed_bytes\":512,\"staged_bytes\":0,\"age_ms\":12,"
		"\"nqn\":null,\"transport\":{\"name\":\"tcp\",\"header_digest\":true,"
		"\"data_digest\":false,\"n\":null}}]}",
		PIECES("192.0.2.1:5", "1", "-", "-", "1", "new", "tcp", "7", "0", "4 KiB", "8 KiB",
		       "512 B", "0 B", "12 ms", "-", "tcp header_digest=yes data_digest=no n=-\n"));
}

static void test_datapath(void **state)
{
	(void)state;
	assert_shows(
		"datapath",
		"{\"listeners\":[{\"name\":\"here\",\"transport\":\"tcp\",\"address\":\"::1\",\"port\":4420,"
		"\"discovery_only\":true,\"state\":\"waiting\",\"error\":\"no such address\","
		"\"receive\":{\"rung\":\"recv\",\"why_not_better\":\"no NIC\"},"
		"\"transmit\":{\"rung\":\"send\",\"why_not_better\":null}}],"
		"\"namespaces\":[{\"nqn\":\"nqn.a\",\"nsid\":1,\"backend\":\"ram\",\"path\":\"ram 1 MiB\","
		"\"storage\":{\"rung\":\"memory\",\"why_not_better\":null},"
		"\"storage_bytes\":{\"dmabuf-vectored\":1024,\"dmabuf\":2048,\"fixed\":4096,"
		"\"plain\":5120,\"bounce\":6144}}],"
		"\"areas\":[{\"worker\":0,\"provider\":\"anon\",\"size_bytes\":4194304,"
		"\"faces\":[\"cpu\",\"fixed\"],\"fixed_registered\":true,\"why_not\":\"no udmabuf\"}]}",
		PIECES("here (discovery)", "tcp ::1 port 4420", "waiting: no such address",
		       "receive", "recv", "no NIC\n", "transmit", "send", "-\n", "nqn.a", "1",
		       "ram", "ram 1 MiB", "memory", "3 KiB", "4 KiB", "5 KiB", "6 KiB", "-\n", "0",
		       "anon", "4 MiB", "cpu, fixed",
		       "fixed buffer", "no udmabuf\n"));
}

static void test_stats(void **state)
{
	(void)state;
	assert_shows(
		"stats",
		"{\"namespaces\":[{\"nqn\":\"nqn.a\",\"nsid\":1,\"reads\":6,\"writes\":4,"
		"\"read_bytes\":1024,\"written_bytes\":2048,\"flushes\":0,\"deallocates\":0,\"other\":0,"
		"\"errors\":3,\"media_errors\":1,\"busy_us\":250}],"
		"\"workers\":[{\"worker\":0,\"turns\":21,\"enters\":22,\"waits\":23,\"spins\":24}],"
		"\"receive_areas\":[{\"worker\":0,\"interface\":\"eth9\",\"chunks\":4096,"
		"\"chunks_held\":77,\"fragments\":31,\"bytes\":8192,\"placed_bytes\":7168,"
		"\"staged_bytes\":256,\"kernel_copied_bytes\":512,"
		"\"starved\":32,\"overflows\":33,\"closed\":34},{\"worker\":1,\"interface\":null}]}",
		PIECES("MEAN TIME", "nqn.a", "1", "6", "4", "1 KiB", "2 KiB", "0", "0", "0", "3",
		       "1", "25 us\n", "\n0 ", "0 us", "21", "22", "23", "24\n", "COPIED BY KERNEL",
		       "eth9", "4096", "77", "31", "8 KiB", "7 KiB", "256 B", "512 B", "32", "33",
		       "34\n", "1 ", "-"));
}

static void test_stats_of_hosts(void **state)
{
	(void)state;
	assert_shows(
		"stats",
		"{\"namespaces\":[{\"nqn\":\"nqn.a\",\"nsid\":1,\"times\":{\"write\":{"
		"\"fetch\":{\"count\":5,\"p50_ns\":1536,\"p99_ns\":2048},"
		"\"backend\":{\"count\":5,\"p50_ns\":98304,\"p99_ns\":131072},"
		"\"total\":{\"count\":5,\"p50_ns\":196608,\"p99_ns\":393216}}}}],"
		"\"hosts\":[{\"nqn\":\"nqn.a\",\"host_nqn\":\"nqn.h\",\"connections\":3,\"reads\":41,"
		"\"deallocates\":2,\"other\":5,\"errors\":9,\"staged_bytes\":2048,"
		"\"statuses\":[{\"sct\":2,\"sc\":129,\"count\":8},"
		"{\"sct\":null,\"sc\":null,\"count\":1}]}]}",
		PIECES("TIMES OF", "nqn.a", "1", "write", "5", "1 us", "2 us", "98 us", "131 us",
		       "0 us", "0 us", "196 us", "393 us\n", "HOST", "nqn.h", "3", "41", "7", "9",
		       "2 KiB", "nqn.a\n", "STATUS", "nqn.h", "2h/81h", "Unrecovered Read Error",
		       "8\n", "nqn.h", "other", "-", "1\n"));
}

/* An older daemon, or none of ours: something is shown, and nothing is read that is not there. */
static void test_missing_and_wrong_members(void **state)
{
	static const char *const replies[] = {
		"{}",
		"[]",
		"{\"workers\":[{}],\"subsystems\":[{}],\"namespaces\":[{}],\"controllers\":[{}],"
		"\"connections\":[{}],\"listeners\":[{}],\"areas\":[{}]}",
		"{\"workers\":{},\"subsystems\":7,\"namespaces\":\"x\",\"controllers\":null,"
		"\"connections\":true,\"listeners\":1.5,\"areas\":{},\"memory\":[],\"counts\":\"\"}",
		"{\"workers\":[1],\"subsystems\":[null],\"namespaces\":[[]],\"controllers\":[\"\"],"
		"\"connections\":[false],\"listeners\":[{\"receive\":3}],\"areas\":[{\"faces\":{}}]}",
		"{\"receive_areas\":[1,null,{}]}",
		"{\"connections\":[{\"transport\":[],\"peer\":{},\"depth\":\"deep\"}]}",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(replies); i++)
		for (const struct show *show = shows; show->verb; show++)
			free(show_text(show->verb, replies[i]));
}

static void test_find(void **state)
{
	(void)state;
	assert_string_equal(show_find("stats")->verb, "stats");
	assert_null(show_find("stat"));
	assert_null(show_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_subsystems),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_controllers),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_datapath),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_stats_of_hosts),
		cmocka_unit_test(test_missing_and_wrong_members),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
