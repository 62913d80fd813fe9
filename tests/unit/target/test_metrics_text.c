/* SPDX-License-Identifier: BSD-3-Clause */
/* The metrics as text: labels that any host may have chosen, and texts that are too long. */
#include "io_rig.h"

#include <json-c/json.h>

#include "target/metrics_text.h"

static const char config_text[] = "[listener here]\naddress = 127.0.0.1\nport = 4420\n"
				  "[subsystem " IO_NQN "]\nallow_any_host = yes\n"
				  "[namespace " IO_NQN "/1]\nbackend = ram\nsize = 1M\n";

static uint8_t data[IO_MAX];

/* Two areas of the first worker: a transport that tells all, and one that knows less. */
static void areas_describe(const struct worker *worker, struct json_object *array)
{
	static const char *const texts[] = {
		"{\"interface\": null, \"chunks\": 16, \"chunk_bytes\": 4096, \"chunks_held\": 2, "
		"\"chunks_held_max\": 3, \"placed_bytes\": 11, \"staged_bytes\": 12, "
		"\"kernel_copied_bytes\": 13, \"starved\": 14, \"overflows\": 15, \"closed\": 16}",
		"{\"interface\": \"rdma0\", \"chunks\": 8, \"chunk_bytes\": 64, \"chunks_held\": 1, "
		"\"chunks_held_max\": 5, \"placed_bytes\": 21, \"staged_bytes\": 22}",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts) && !worker->index; i++)
		json_object_array_add(array, json_tokener_parse(texts[i]));
}

static int group_setup(void **state)
{
	static struct transport_ops transport;
	static const struct transport_ops *const registry[] = { &transport, NULL };

	(void)state;
	transport = fake_transport;
	transport.receive_describe = areas_describe;
	fake_target_start_with(config_text, 2, &(struct fake_transports){ .registry = registry });
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	fake_target_stop();
	return 0;
}

static void test_escape(void **state)
{
	static const struct {
		const char *value, *escaped;
	} rows[] = {
		{ "", "" },
		{ "nqn.2014-08.org:a", "nqn.2014-08.org:a" },
		{ "a\"b", "a\\\"b" },
		{ "\\", "\\\\" },
		{ "a\nb\n", "a\\nb\\n" },
		{ "\"} 1\n# EOF\n", "\\\"} 1\\n# EOF\\n" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xff\xfe", "??" },
		{ "\xc3", "?" },
		{ "\xe2\x82", "??" },
		{ "\xc0\xaf", "??" },		/* longer than need be */
		{ "\xed\xa0\x80", "???" },	/* half of a pair */
		{ "\xf4\x90\x80\x80", "????" }, /* beyond the last character */
		{ "\xe2\x82\n\"", "??\\n\\\"" },
	};
	char to[64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		int len = (int)strlen(rows[i].escaped);

		assert_int_equal(metrics_escape(to, sizeof(to), rows[i].value), len);
		assert_string_equal(to, rows[i].escaped);
		assert_int_equal(metrics_escape(to, (size_t)len + 1, rows[i].value), len);
		memset(to, 'x', sizeof(to));
		assert_int_equal(metrics_escape(to, (size_t)len, rows[i].value), -ENOSPC);
		assert_int_equal(to[len], 'x');
	}
}

/* Each line of @text is whole; the last one ends it. */
static void assert_lines(const struct metrics_text *text)
{
	static const char end[] = "\n# EOF\n";
	size_t len = sizeof(end) - 1;

	assert_true(text->len > len && !memcmp(text->bytes + text->len - len, end, len));
	for (size_t i = 0; i < text->len; i++)
		assert_true(text->bytes[i]);
	for (const char *line = text->bytes; line < text->bytes + text->len;) {
		const char *next = memchr(line, '\n', (size_t)(text->bytes + text->len - line));

		assert_non_null(next);
		assert_true(!strncmp(line, "# ", 2) || !strncmp(line, "sluice_", 7));
		line = next + 1;
	}
}

static bool has(const struct metrics_text *text, const char *piece)
{
	return memmem(text->bytes, text->len, piece, strlen(piece)) != NULL;
}

static void test_text(void **state)
{
	struct metrics_text text;

	(void)state;
	io_attach();
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE, .nlb = 8, .in = data }), 0);
	assert_int_equal(io_run((struct io){ NVME_IO_READ, .nlb = 1, .slba = 1 << 30 }),
			 DNR(NVME_SC_LBA_OUT_OF_RANGE));
	assert_int_equal(metrics_text_build(&text, MAX_METRICS_TEXT), 0);
	io_detach();
	assert_lines(&text);
	assert_true(has(&text, "sluice_listener_open{listener=\"here\",transport=\"tcp\","));
	assert_true(has(&text, "sluice_namespace_commands_total{nqn=\"" IO_NQN
			       "\",nsid=\"1\",kind=\"write\"} 1\n"));
	assert_true(has(&text, "sluice_namespace_bytes_total{nqn=\"" IO_NQN
			       "\",nsid=\"1\",kind=\"write\"} 4096\n"));
	assert_true(has(&text, ",sct=\"0\",sc=\"0x80\"} 1\n"));
	assert_true(has(&text, "kind=\"write\",phase=\"total\",le=\"0.000001024\"} "));
	assert_true(has(&text, "kind=\"write\",phase=\"total\",le=\"+Inf\"} 1\n"));
	assert_true(has(&text, "\nsluice_metrics_left_out 0\n"));
	assert_false(has(&text, "kind=\"other\",phase"));
	metrics_text_free(&text);
}

static void test_receive_areas(void **state)
{
	struct metrics_text text;

	(void)state;
	assert_int_equal(metrics_text_build(&text, MAX_METRICS_TEXT), 0);
	assert_lines(&text);
#define AREA "{worker=\"0\",interface=\"\"} "
#define RDMA "{worker=\"0\",interface=\"rdma0\"} "
	assert_true(has(&text, "sluice_pool_high_water_bytes{worker=\"0\",pool=\"receive\","
			       "interface=\"rdma0\"} 320\n"));
	assert_true(has(&text, "sluice_receive_placed_bytes_total" AREA "11\n"));
	assert_true(has(&text, "sluice_receive_staged_bytes_total" AREA "12\n"));
	assert_true(has(&text, "sluice_receive_kernel_copied_bytes_total" AREA "13\n"));
	assert_true(has(&text, "sluice_receive_starved_total" AREA "14\n"));
	assert_true(has(&text, "sluice_receive_overflows_total" AREA "15\n"));
	assert_true(has(&text, "sluice_receive_closed_total" AREA "16\n"));
	assert_true(has(&text, "sluice_receive_placed_bytes_total" RDMA "21\n"));
	assert_true(has(&text, "sluice_receive_staged_bytes_total" RDMA "22\n"));
	assert_false(has(&text, "_copied_bytes_total" RDMA));
	assert_false(has(&text, "_starved_total" RDMA));
	assert_false(has(&text, "sluice_receive_placed_bytes_total{worker=\"1\""));
	metrics_text_free(&text);
}

/* However little room there is, the text is whole, and says what it lacks. */
static void test_too_long(void **state)
{
	static const char none[] = "\nsluice_metrics_left_out 0\n";
	struct metrics_text whole, text;

	(void)state;
	io_attach();
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE, .nlb = 8, .in = data }), 0);
	io_detach();
	assert_int_equal(metrics_text_build(&whole, MAX_METRICS_TEXT), 0);
	assert_true(has(&whole, none));
	for (size_t most = 4096; most < whole.len; most += 197) {
		assert_int_equal(metrics_text_build(&text, most), 0);
		assert_true(text.len <= most);
		assert_lines(&text);
		assert_false(has(&text, none));
		metrics_text_free(&text);
	}
	metrics_text_free(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_receive_areas),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
