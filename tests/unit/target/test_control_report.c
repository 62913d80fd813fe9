/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports of the control socket, with workers, and hosts that come by a transport of the test. */
#include "unit.h"

#include <json-c/json.h>
#include <semaphore.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "target/control.h"
#include "target/control_collect.h"
#include "target/control_report.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/worker.h"

#define NQN "nqn.2026-11.com.example:"
#define HOST "nqn.2014-08.org.nvmexpress:uuid:2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f9"

static const char config_text[] =
	"[daemon]\nworkers = 2\n[memory]\nprovider = anon\nper_worker = 4M\n"
	"[discovery]\nport = 0\n"
	"[listener here]\naddress = 127.0.0.1\nport = 4420\n"
	"[subsystem " NQN "one]\nallow_host = " HOST "\nserial = ONE\n"
	"[subsystem " NQN "two]\nallow_any_host = yes\n"
	"[namespace " NQN "one/1]\nbackend = ram\nsize = 1M\n"
	"uuid = 00112233-4455-6677-8899-aabbccddeeff\n"
	"[namespace " NQN "one/7]\nbackend = null\nsize = 2M\nread_only = yes\n"
	"allow_host = " HOST "\n";

/* ------------------------------------------------------------------------------------ transport */

struct conn {
	struct queue queue;
	struct cmd slot0;
};

static int nothing_init(struct worker *worker)
{
	(void)worker;
	return 0;
}

static void nothing(struct worker *worker)
{
	(void)worker;
}

static void no_facts(const struct config_listener *config, struct datapath_facts *facts)
{
	(void)config;
	facts->zcrx.why_not = "the test has no network card";
	facts->zcrx_copy.why_not = "";
	facts->zcrx_device_memory.why_not = "the test has no network card";
	facts->send_zc.why_not = "the test does not send";
}

static void conn_close(struct queue *queue, enum queue_close why)
{
	(void)why;
	queue_gone(queue);
}

static void conn_free(struct queue *queue)
{
	struct conn *conn = container_of(queue, struct conn, queue);

	__atomic_sub_fetch(&queue->worker->connections, 1, __ATOMIC_RELAXED);
	queue_fini(queue);
	free(conn);
}

static void conn_describe(const struct queue *queue, struct json_object *object)
{
	assert_ptr_equal(pthread_self(), queue->worker->thread);
	json_object_object_add(object, "header_digest", json_object_new_boolean(true));
}

static const struct transport_ops test_transport = {
	.name = "tcp",
	.cmd_size = sizeof(struct cmd),
	.facts = no_facts,
	.worker_init = nothing_init,
	.worker_fini = nothing,
	.flush = nothing,
	.close = conn_close,
	.idle = conn_free,
	.describe = conn_describe,
};

static const struct transport_ops *const registry[] = { &test_transport, NULL };

/* Runs @function on the worker's thread and waits for its end. */
struct call {
	struct msg msg;
	void (*function)(struct worker *worker, void *arg);
	struct worker *worker;
	void *arg;
	sem_t returned;
};

static void call_deliver(struct msg *msg)
{
	struct call *call = container_of(msg, struct call, msg);

	call->function(call->worker, call->arg);
	sem_post(&call->returned);
}

static void call(unsigned worker, void (*function)(struct worker *worker, void *arg), void *arg)
{
	struct call one = { .msg.deliver = call_deliver, .function = function,
			    .worker = &workers[worker], .arg = arg };

	sem_init(&one.returned, 0, 0);
	list_init(&one.msg.link);
	loop_post(&workers[worker].loop, &one.msg);
	while (sem_wait(&one.returned))
		;
	sem_destroy(&one.returned);
}

static struct queue *conn_new(struct worker *worker)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	struct queue *queue = &conn->queue;

	assert_non_null(conn);
	queue_init(queue, &test_transport, listeners[0], worker, &conn->slot0);
	strcpy(queue->peer, "192.0.2.1:5555");
	__atomic_add_fetch(&worker->connections, 1, __ATOMIC_RELAXED);
	return queue;
}

static void conns_new(struct worker *worker, void *arg)
{
	for (unsigned i = *(unsigned *)arg; i; i--)
		conn_new(worker);
}

/* A host that has attached to subsystem "one" by its admin queue. */
static void host_attach(struct worker *worker, void *arg)
{
	static const uint8_t hostid[16] = { 0xab, 0xcd };
	struct queue *queue = conn_new(worker);

	(void)arg;
	assert_int_equal(queue_set_depth(queue, MIN_ADMIN_DEPTH), 0);
	assert_int_equal(ctrl_create(subsystems[1], queue, HOST, hostid, NVMF_CNTLID_DYNAMIC, 5000,
				     &queue->ctrl), 0);
	queue->state = QUEUE_LIVE;
	queue->stats.commands = 12;
	ctrl_enable(queue->ctrl);
}

static void conns_close(struct worker *worker, void *arg)
{
	(void)arg;
	/* Freed only at the end of the turn, so the list holds still. */
	list_for_each(queue, &worker->queues, struct queue, worker_link)
		queue_gone(queue);
}

static bool queues_are_gone;

static void conns_look(struct worker *worker, void *arg)
{
	(void)arg;
	queues_are_gone = list_empty(&worker->queues);
}

/* -------------------------------------------------------------------------------------- fixture */

static struct config config;

static void print_fault(void *arg, const char *message)
{
	(void)arg;
	fprintf(stderr, "%s\n", message);
}

static int group_setup(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_ERROR);
	if (config_parse(&config, "test.conf", config_text, sizeof(config_text) - 1, print_fault,
			 NULL))
		return -1;
	daemon_info = (struct daemon_info){
		.start_ns = clock_now_ns(),
		.announced_bytes = 123456789,
		.config = &config,
		.state = DAEMON_SERVING,
	};
	transport_register_all(registry);
	n_workers = 2;
	workers = calloc(n_workers, sizeof(*workers));
	for (unsigned i = 0; i < n_workers; i++) {
		const struct worker_options options = {
			.index = i,
			.cpu = -1,
			.memory_provider = "anon",
			.memory_bytes = 4 << 20,
			.backends = 2,
		};

		if (worker_init(&workers[i], &options))
			return -1;
	}
	if (subsys_open_all(&config) || subsys_attach_all(&workers[0]) ||
	    subsys_attach_all(&workers[1]) || listener_init_all(&config))
		return -1;
	return worker_start(&workers[0]) || worker_start(&workers[1]);
}

static int group_teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_workers; i++) {
		worker_stop(&workers[i]);
		subsys_detach_all(&workers[i]);
	}
	control_collect_fini();
	listener_fini_all();
	subsys_close_all();
	for (unsigned i = 0; i < n_workers; i++)
		worker_fini(&workers[i]);
	free(workers);
	config_free(&config);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_workers; i++) {
		call(i, conns_close, NULL);
		do
			call(i, conns_look, NULL);
		while (!queues_are_gone);
	}
	return 0;
}

/* -------------------------------------------------------------------------------------- members */

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		fail_msg("there is no \"%s\" in %s", key, json_object_to_json_string(object));
	return value;
}

static void assert_number(struct json_object *object, const char *key, uint64_t value)
{
	assert_true(json_object_is_type(member(object, key), json_type_int));
	assert_int_equal(json_object_get_uint64(member(object, key)), value);
}

static void assert_text(struct json_object *object, const char *key, const char *value)
{
	const char *text = json_object_get_string(member(object, key));

	if (value)
		assert_string_equal(text, value);
	else
		assert_null(text);
}

static void assert_flag(struct json_object *object, const char *key, bool value)
{
	assert_true(json_object_is_type(member(object, key), json_type_boolean));
	assert_int_equal(json_object_get_boolean(member(object, key)), value);
}

static struct json_object *row_of(struct json_object *object, const char *key, size_t index)
{
	struct json_object *array = member(object, key);

	assert_true(json_object_is_type(array, json_type_array));
	assert_true(index < json_object_array_length(array));
	return json_object_array_get_idx(array, index);
}

static size_t length_of(struct json_object *object, const char *key)
{
	return json_object_array_length(member(object, key));
}

static struct json_object *ask(const char *verb)
{
	struct json_object *reply = control_report(verb);

	assert_flag(reply, "ok", true);
	assert_number(reply, "version", CONTROL_VERSION);
	return reply;
}

/* ---------------------------------------------------------------------------------------- tests */

static void test_status(void **state)
{
	struct json_object *reply, *row;

	(void)state;
	call(0, host_attach, NULL);
	call(1, conns_new, &(unsigned){ 2 });
	call(1, conns_look, NULL); /* the turn before this one is counted */
	reply = ask("status");
	assert_text(reply, "release", SLUICE_VERSION);
	assert_number(reply, "pid", (uint64_t)getpid());
	assert_text(reply, "state", "serving");
	assert_true(json_object_get_uint64(member(reply, "uptime_ms")) < 60000);
	assert_number(member(reply, "counts"), "listeners", 1);
	assert_number(member(reply, "counts"), "listeners_open", 0);
	assert_number(member(reply, "counts"), "subsystems", 3);
	assert_number(member(reply, "counts"), "namespaces", 2);
	assert_number(member(reply, "counts"), "controllers", 1);
	assert_number(member(reply, "counts"), "connections", 3);
	assert_number(member(reply, "memory"), "announced_bytes", 123456789);
	assert_int_equal(length_of(member(reply, "memory"), "pools"), 2);
	row = row_of(member(reply, "memory"), "pools", 1);
	assert_number(row, "worker", 1);
	assert_number(row, "size_bytes", (4 << 20) - WORKER_HEADERS);
	assert_number(row, "free_bytes", (4 << 20) - WORKER_HEADERS);
	assert_number(row, "low_water_bytes", (4 << 20) - WORKER_HEADERS);
	assert_int_equal(length_of(reply, "workers"), 2);
	row = row_of(reply, "workers", 1);
	assert_number(row, "worker", 1);
	assert_text(row, "cpu", NULL);
	assert_number(row, "connections", 2);
	assert_number(row, "memory_waits", 0);
	assert_number(row, "host_timeouts", 0);
	assert_true(json_object_get_uint64(member(row, "turns")) > 0);
	assert_true(json_object_get_uint64(member(row, "enters")) > 0);
	member(row, "waits");
	member(row, "spins");
	json_object_put(reply);
}

static void test_subsystems(void **state)
{
	struct json_object *reply, *row;

	(void)state;
	call(0, host_attach, NULL);
	reply = ask("subsystems");
	assert_int_equal(length_of(reply, "subsystems"), 3);
	row = row_of(reply, "subsystems", 0);
	assert_text(row, "nqn", NVME_DISCOVERY_NQN);
	assert_flag(row, "discovery", true);
	assert_flag(row, "any_host", true);
	assert_text(row, "serial", NULL);
	row = row_of(reply, "subsystems", 1);
	assert_text(row, "nqn", NQN "one");
	assert_flag(row, "discovery", false);
	assert_text(row, "serial", "ONE");
	assert_flag(row, "any_host", false);
	assert_string_equal(json_object_get_string(row_of(row, "hosts", 0)), HOST);
	assert_int_equal(json_object_get_int(row_of(row, "namespaces", 0)), 1);
	assert_int_equal(json_object_get_int(row_of(row, "namespaces", 1)), 7);
	assert_int_equal(length_of(row, "controllers"), 1);
	row = row_of(reply, "subsystems", 2);
	assert_flag(row, "any_host", true);
	assert_int_equal(length_of(row, "namespaces"), 0);
	assert_int_equal(length_of(row, "controllers"), 0);
	json_object_put(reply);
}

static void test_namespaces(void **state)
{
	struct json_object *reply = ask("namespaces"), *row;

	(void)state;
	assert_int_equal(length_of(reply, "namespaces"), 2);
	row = row_of(reply, "namespaces", 0);
	assert_text(row, "nqn", NQN "one");
	assert_number(row, "nsid", 1);
	assert_text(row, "uuid", "00112233-4455-6677-8899-aabbccddeeff");
	assert_text(row, "eui64", NULL);
	assert_text(row, "backend", "ram");
	assert_text(row, "state", "ready");
	assert_flag(row, "read_only", false);
	assert_flag(row, "any_host", true);
	assert_number(row, "size_bytes", 1 << 20);
	assert_number(row, "block_bytes", 1u << namespaces[0]->block_shift);
	assert_number(member(row, "limits"), "max_transfer_bytes",
		      namespaces[0]->backend->limits.max_transfer);
	assert_text(row, "drive", NULL);
	assert_number(member(row, "stats"), "reads", 0);
	row = row_of(reply, "namespaces", 1);
	assert_number(row, "nsid", 7);
	assert_flag(row, "read_only", true);
	assert_flag(row, "any_host", false);
	json_object_put(reply);
}

static void test_controllers(void **state)
{
	struct json_object *reply, *row;

	(void)state;
	call(1, host_attach, NULL);
	reply = ask("controllers");
	assert_int_equal(length_of(reply, "controllers"), 1);
	row = row_of(reply, "controllers", 0);
	assert_text(row, "nqn", NQN "one");
	assert_text(row, "host_nqn", HOST);
	assert_text(row, "host_id", "abcd0000-0000-0000-0000-000000000000");
	assert_text(row, "listener", "here");
	assert_text(row, "state", "live");
	assert_number(row, "kato_ms", 5000);
	assert_number(row, "error_count", 0);
	assert_int_equal(length_of(row, "queues"), 1);
	row = row_of(row, "queues", 0);
	assert_number(row, "qid", 0);
	assert_number(row, "depth", MIN_ADMIN_DEPTH);
	assert_number(row, "worker", 1);
	assert_text(row, "peer", "192.0.2.1:5555");
	assert_number(row, "commands", 12);
	json_object_put(reply);
}

static void test_connections(void **state)
{
	/* Several deliveries to one worker, one that is not full, and none to the other. */
	unsigned many = 2 * CONTROL_COLLECT_BATCH, live = 0;
	struct json_object *reply, *row;

	(void)state;
	call(1, conns_new, &many);
	call(1, host_attach, NULL);
	call(1, conns_new, &(unsigned){ 3 });
	reply = ask("connections");
	assert_int_equal(length_of(reply, "connections"), many + 4);
	for (size_t i = 0; i < many + 4; i++) {
		row = row_of(reply, "connections", i);
		assert_number(row, "worker", 1);
		assert_text(row, "listener", "here");
		assert_text(row, "peer", "192.0.2.1:5555");
		assert_flag(member(row, "transport"), "header_digest", true);
		if (strcmp(json_object_get_string(member(row, "state")), "live")) {
			assert_text(row, "state", "new");
			assert_text(row, "nqn", NULL);
			assert_text(row, "cntlid", NULL);
			assert_text(row, "qid", NULL);
			continue;
		}
		live++;
		assert_text(row, "nqn", NQN "one");
		assert_number(row, "qid", 0);
		assert_number(row, "commands", 12);
	}
	assert_int_equal(live, 1);
	json_object_put(reply);
}

static void test_datapath(void **state)
{
	struct json_object *reply = ask("datapath"), *row;

	(void)state;
	assert_int_equal(length_of(reply, "listeners"), 1);
	row = row_of(reply, "listeners", 0);
	assert_text(row, "name", "here");
	assert_text(row, "address", "127.0.0.1");
	assert_number(row, "port", 4420);
	assert_text(row, "state", "closed");
	assert_text(row, "error", NULL);
	assert_text(member(row, "receive"), "rung", datapath_receive_name(DATAPATH_RECEIVE_RECV));
	assert_text(member(row, "receive"), "why_not_better", "the test has no network card");
	assert_text(member(row, "transmit"), "rung",
		    datapath_transmit_name(DATAPATH_TRANSMIT_SEND));
	assert_text(member(row, "transmit"), "why_not_better", "the test does not send");
	assert_int_equal(length_of(reply, "namespaces"), 2);
	row = row_of(reply, "namespaces", 0);
	assert_text(row, "nqn", NQN "one");
	assert_text(member(row, "storage"), "rung", datapath_storage_name(DATAPATH_STORAGE_MEMORY));
	assert_number(member(row, "storage_bytes"), "fixed", 0);
	assert_int_equal(length_of(reply, "areas"), 2);
	row = row_of(reply, "areas", 1);
	assert_number(row, "worker", 1);
	assert_text(row, "provider", "anon");
	assert_number(row, "size_bytes", 4 << 20);
	assert_number(member(row, "storage_bytes"), "bounce", 0);
	assert_string_equal(json_object_get_string(row_of(row, "faces", 0)), "cpu");
	json_object_put(reply);
}

static void test_stats(void **state)
{
	struct json_object *reply, *row;

	(void)state;
	for (unsigned i = 0; i < n_namespaces; i++) {
		namespaces[i]->stats[0] =
			(struct ns_stats){ .io.done[STATS_READ] = 1, .io.bytes[STATS_READ] = 512 };
		namespaces[i]->stats[1] = (struct ns_stats){
			.io.done[STATS_READ] = 10,
			.io.done[STATS_WRITE] = 5,
			.io.errors = 2,
			.media_errors = 1,
			.busy_ns = 3000000,
		};
	}
	reply = ask("stats");
	assert_int_equal(length_of(reply, "namespaces"), 2);
	row = row_of(reply, "namespaces", 1);
	assert_number(row, "nsid", 7);
	assert_number(row, "reads", 11);
	assert_number(row, "writes", 5);
	assert_number(row, "read_bytes", 512);
	assert_number(row, "errors", 2);
	assert_number(row, "media_errors", 1);
	assert_number(row, "busy_us", 3000);
	assert_int_equal(length_of(reply, "workers"), 2);
	row = row_of(reply, "workers", 1);
	assert_number(row, "worker", 1);
	assert_number(row, "reads", 20);
	assert_number(row, "busy_us", 6000);
	assert_true(json_object_get_uint64(member(row, "turns")) > 0);
	json_object_put(reply);
	for (unsigned i = 0; i < n_namespaces; i++)
		memset(namespaces[i]->stats, 0, n_workers * sizeof(*namespaces[i]->stats));
}

static sem_t stuck;

static void be_stuck(struct msg *msg)
{
	(void)msg;
	while (sem_wait(&stuck))
		;
}

static void test_stuck_worker(void **state)
{
	static struct msg stick = { .deliver = be_stuck };
	struct json_object *reply;
	uint64_t begin_ns = clock_now_ns(), first_ns, second_ns;

	(void)state;
	sem_init(&stuck, 0, 0);
	list_init(&stick.link);
	call(1, conns_new, &(unsigned){ 1 });
	loop_post(&workers[1].loop, &stick);
	reply = control_report("connections");
	first_ns = clock_now_ns() - begin_ns;
	assert_flag(reply, "ok", false);
	assert_non_null(strstr(json_object_get_string(member(reply, "error")), "worker 1 did not"));
	json_object_put(reply);
	assert_in_range(first_ns / 1000000, CONTROL_COLLECT_TIMEOUT_MS - 10,
			CONTROL_COLLECT_TIMEOUT_MS + 3000);

	/* It is not waited for twice, and what needs no answer of it is there. */
	reply = control_report("connections");
	second_ns = clock_now_ns() - begin_ns - first_ns;
	assert_flag(reply, "ok", false);
	json_object_put(reply);
	assert_true(second_ns < 500000000);
	json_object_put(ask("stats"));

	sem_post(&stuck);
	call(1, conns_look, NULL);
	reply = ask("connections");
	assert_int_equal(length_of(reply, "connections"), 1);
	json_object_put(reply);
	sem_destroy(&stuck);
}

static void test_refusal(void **state)
{
	struct json_object *reply = control_report("statu");

	(void)state;
	assert_flag(reply, "ok", false);
	assert_text(reply, "error",
		    "unknown verb \"statu\"; there are connections, status, subsystems, "
		    "namespaces, controllers, datapath, stats, reload, attach, detach, drain, "
		    "resume, fault, log-level");
	json_object_put(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_status, teardown),
		cmocka_unit_test_teardown(test_subsystems, teardown),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test_teardown(test_controllers, teardown),
		cmocka_unit_test_teardown(test_connections, teardown),
		cmocka_unit_test(test_datapath),
		cmocka_unit_test(test_stats),
		cmocka_unit_test_teardown(test_stuck_worker, teardown),
		cmocka_unit_test(test_refusal),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
