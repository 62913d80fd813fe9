/* SPDX-License-Identifier: BSD-3-Clause */
/* Who did what: the counters of queues, controllers, hosts and namespaces belong together. */
#include "io_rig.h"

static const char config_text[] =
	"[listener here]\naddress = 127.0.0.1\nport = 4420\n"
	"[subsystem " IO_NQN "]\nallow_any_host = yes\n"
	"[namespace " IO_NQN "/1]\nbackend = ram\nsize = 1M\n"
	"[namespace " IO_NQN "/2]\nbackend = null\nsize = 1M\nfault = read delay=20ms\n";

static uint8_t data[IO_MAX];

static int group_setup(void **state)
{
	(void)state;
	fake_target_start(config_text, 2);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	fake_target_stop();
	return 0;
}

static struct queue_stats host_sum(unsigned *n_ctrls, unsigned *connections)
{
	struct subsys *subsys = subsystems[1];
	struct queue_stats sum = { 0 };

	*n_ctrls = *connections = 0;
	pthread_mutex_lock(&subsys->lock);
	list_for_each(host, &subsys->hosts, struct stats_host, link) {
		if (strcmp(host->nqn, fake_host.nqn))
			continue;
		*n_ctrls += host->n_ctrls;
		stats_of_host(subsys, host, &sum, connections);
	}
	pthread_mutex_unlock(&subsys->lock);
	return sum;
}

static struct queue_stats ctrl_sum(void)
{
	struct ctrl *ctrl = io_admin.queue.ctrl;
	struct queue_stats sum = { 0 };

	pthread_mutex_lock(&ctrl->lock);
	stats_of_ctrl(ctrl, &sum);
	pthread_mutex_unlock(&ctrl->lock);
	return sum;
}

static uint64_t status_count(const struct stats *stats, uint16_t code)
{
	for (unsigned i = 0; i < MAX_STATS_STATUSES; i++)
		if (stats->statuses[i] >> STATS_STATUS_SHIFT == code)
			return stats->statuses[i] << 16 >> 16;
	return 0;
}

static void some_io(void)
{
	const struct io ios[] = {
		{ NVME_IO_WRITE, .nlb = 8, .in = data },
		{ NVME_IO_READ, .nlb = 4, .out = data },
		{ NVME_IO_COMPARE, .nlb = 2, .in = data },
		{ NVME_IO_FLUSH, .nlb = 0 },
		{ NVME_IO_VERIFY, .nlb = 1 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(ios); i++)
		assert_int_equal(io_run_on(&io_conn[i % 2], ios[i]), 0);
	assert_int_equal(
		io_run((struct io){ NVME_IO_READ, .nlb = 1, .slba = 1 << 30, .out = data }),
		DNR(NVME_SC_LBA_OUT_OF_RANGE));
	assert_int_equal(io_run((struct io){ NVME_IO_READ, .nsid = 7, .nlb = 1, .out = data }),
			 DNR(NVME_SC_INVALID_NSID));
}

static void assert_some_io(const struct stats *stats)
{
	assert_int_equal(stats->done[STATS_WRITE], 1);
	assert_int_equal(stats->bytes[STATS_WRITE], 8 * IO_BLOCK);
	assert_int_equal(stats->done[STATS_READ], 2);
	assert_int_equal(stats->bytes[STATS_READ], 6 * IO_BLOCK);
	assert_int_equal(stats->done[STATS_FLUSH], 1);
	assert_int_equal(stats->done[STATS_OTHER], 1);
	assert_int_equal(status_count(stats, NVME_SC_LBA_OUT_OF_RANGE), 1);
}

/* What is counted for a namespace, a controller and a host is the same, and stays when they go. */
static void test_the_same_for_all(void **state)
{
	unsigned n_ctrls, connections;
	struct queue_stats host, ctrl;
	struct ns_stats ns;

	(void)state;
	io_attach();
	some_io();
	ns_stats_sum(io_ns(1), &ns);
	assert_some_io(&ns.io);
	assert_int_equal(ns.io.errors, 1); /* the other one is no namespace's */
	ctrl = ctrl_sum();
	assert_some_io(&ctrl.io);
	assert_int_equal(ctrl.io.errors, 2);
	assert_int_equal(status_count(&ctrl.io, NVME_SC_INVALID_NSID), 1);
	assert_in_range(ctrl.commands, 7, 20);
	host = host_sum(&n_ctrls, &connections);
	assert_memory_equal(&host, &ctrl, sizeof(host));
	assert_int_equal(n_ctrls, 1);
	assert_int_equal(connections, 3);

	/* A queue goes, then all: nothing is lost, nothing counted twice. */
	fake_gone(&io_conn[1]);
	ctrl = ctrl_sum();
	assert_memory_equal(&host, &ctrl, sizeof(host));
	fake_gone(&io_conn[0]);
	fake_gone(&io_admin);
	ctrl = host_sum(&n_ctrls, &connections);
	assert_some_io(&ctrl.io);
	assert_int_equal(ctrl.io.errors, 2);
	assert_int_equal(n_ctrls, 0);
	assert_int_equal(connections, 0);

	/* It comes again: the host goes on where it was. */
	io_attach();
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE, .nlb = 8, .in = data }), 0);
	host = host_sum(&n_ctrls, &connections);
	assert_int_equal(host.io.done[STATS_WRITE], 2);
	assert_int_equal(n_ctrls, 1);
	io_detach();
}

/* Every command that was answered has all its times, and they add up. */
static void test_times(void **state)
{
	struct ns_stats before, after;
	struct hist times[STATS_PHASES], none;
	uint64_t phases = 0;

	(void)state;
	io_attach();
	ns_stats_sum(io_ns(2), &before);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(
			io_run((struct io){ NVME_IO_READ, .nsid = 2, .nlb = 1, .out = data }), 0);
	ns_stats_sum(io_ns(2), &after);
	for (unsigned i = 0; i < STATS_PHASES; i++) {
		times[i] = stats_hist(&after.io, STATS_TIMED_READ, i);
		assert_int_equal(hist_count(&times[i]), 5);
	}
	for (unsigned i = 0; i < STATS_TOTAL; i++)
		phases += times[i].sum_ns;
	assert_int_equal(times[STATS_TOTAL].sum_ns, phases);
	/* The backend was told to take 20 ms for each. */
	assert_true(times[STATS_BACKEND].sum_ns >= 5 * 20000000ull);
	assert_true(times[STATS_FETCH].sum_ns < times[STATS_BACKEND].sum_ns);
	assert_true(hist_percentile(&times[STATS_TOTAL], 500) > 20000000);
	none = stats_hist(&before.io, STATS_TIMED_READ, STATS_TOTAL);
	assert_int_equal(hist_count(&none), 0);
	none = stats_hist(&after.io, STATS_TIMED_WRITE, STATS_TOTAL);
	assert_int_equal(hist_count(&none), 0);
	io_detach();
}

static void assert_times(const struct queue *queue, enum stats_timed timed, uint64_t n, uint64_t sum_ns)
{
	for (unsigned i = 0; i < STATS_PHASES; i++) {
		struct hist hist = stats_hist(&queue->stats.io, timed, i);
		bool took = i == STATS_RESPOND || i == STATS_TOTAL;

		assert_int_equal(hist_count(&hist), n);
		assert_int_equal(hist.sum_ns, took ? sum_ns : 0);
	}
}

/* Those that are alike are counted at once, as if they had been one by one. */
static void test_times_joined(void **state)
{
	static struct worker worker = { .loop.now_ns = 9000 };
	static struct queue queue = { .worker = &worker };
	static struct cmd cmds[] = {
		{ .queue = &queue, .kind = STATS_READ, .arrived_ns = 4000, .done_ns = 4000 },
		{ .queue = &queue, .kind = STATS_READ, .arrived_ns = 4000, .done_ns = 4000 },
		{ .queue = &queue, .kind = STATS_READ, .arrived_ns = 4000, .done_ns = 4000 },
		{ .queue = &queue, .kind = STATS_WRITE, .arrived_ns = 4000, .done_ns = 4000 },
		{ .queue = &queue, .kind = STATS_WRITE, .arrived_ns = 2000, .done_ns = 2000 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cmds); i++) {
		if (i + 1 < ARRAY_SIZE(cmds))
			stats_join(&cmds[i], &cmds[i + 1]);
		assert_int_equal(cmds[i].kind == STATS_NONE, i < 2);
		if (cmds[i].kind != STATS_NONE)
			stats_sent(&cmds[i]);
	}
	assert_times(&queue, STATS_TIMED_READ, 3, 3 * 5000);
	assert_times(&queue, STATS_TIMED_WRITE, 2, 5000 + 7000);

	/* What took its time has times of its own. */
	cmds[0] = (struct cmd){ .queue = &queue, .kind = STATS_READ, .arrived_ns = 1, .done_ns = 2 };
	cmds[1] = cmds[0];
	stats_join(&cmds[0], &cmds[1]);
	assert_int_equal(cmds[0].kind, STATS_READ);
}

static void wait_gone(void)
{
	unsigned n_ctrls, connections;

	for (unsigned i = 0; i < 1000; i++) {
		host_sum(&n_ctrls, &connections);
		if (!connections)
			return;
		usleep(1000);
	}
	fail_msg("the connections stay");
}

/* Data that the host was asked for and has not sent makes the fetch take as long. */
static void test_fetch_time(void **state)
{
	struct ns_stats ns;
	struct fake_call call;
	struct io write = { NVME_IO_WRITE, .nsid = 2, .nlb = 1, .in = data };
	struct hist fetch;

	(void)state;
	wait_gone();
	io_attach();
	io_conn[0].hold_fetch = true;
	io_begin(&io_conn[0], &write, &call);
	usleep(30000);
	io_release_fetches(&io_conn[0]);
	assert_int_equal(fake_finish(&call), 0);
	ns_stats_sum(io_ns(2), &ns);
	fetch = stats_hist(&ns.io, STATS_TIMED_WRITE, STATS_FETCH);
	assert_int_equal(hist_count(&fetch), 1);
	assert_true(fetch.sum_ns >= 20000000);
	assert_true(stats_hist(&ns.io, STATS_TIMED_WRITE, STATS_BACKEND).sum_ns < 20000000);
	io_detach();
}

static void test_statuses(void **state)
{
	struct stats stats = { 0 }, sum = { 0 };
	uint64_t n = 0;

	(void)state;
	for (uint16_t code = 1; code <= 40; code++)
		for (unsigned i = 0; i < code; i++)
			stats_error(&stats, (uint16_t)(code | NVME_STATUS_DNR));
	assert_int_equal(stats.errors, 40 * 41 / 2);
	for (uint16_t code = 1; code < MAX_STATS_STATUSES; code++)
		assert_int_equal(status_count(&stats, code), code);
	for (unsigned i = 0; i < MAX_STATS_STATUSES; i++)
		n += stats.statuses[i] << 16 >> 16;
	assert_int_equal(n, stats.errors);
	assert_true(status_count(&stats, STATS_STATUS_OTHER) > 0);
	stats_add(&sum, &stats);
	stats_add(&sum, &stats);
	assert_int_equal(sum.errors, 2 * stats.errors);
	assert_int_equal(status_count(&sum, 3), 6);
	assert_int_equal(status_count(&sum, STATS_STATUS_OTHER),
			 2 * status_count(&stats, STATS_STATUS_OTHER));
}

/* Hosts choose their names as they like: those that are gone do not pile up. */
static void test_hosts_are_forgotten(void **state)
{
	struct subsys *subsys = subsystems[1];
	struct queue_stats past = { 0 };
	struct stats_host *first, *live;
	unsigned n = 0;
	char nqn[64];

	(void)state;
	pthread_mutex_lock(&subsys->lock);
	live = stats_host_get(subsys, "nqn.2026-11.com.example:live");
	first = stats_host_get(subsys, "nqn.2026-11.com.example:first");
	past.commands = 7;
	stats_host_put(subsys, first, &past);
	assert_int_equal(past.commands, 0);
	assert_ptr_equal(stats_host_get(subsys, "nqn.2026-11.com.example:first"), first);
	assert_int_equal(first->past.commands, 7);
	stats_host_put(subsys, first, &past);
	for (unsigned i = 0; i < 2 * MAX_STATS_HOSTS_GONE; i++) {
		snprintf(nqn, sizeof(nqn), "nqn.2026-11.com.example:%u", i);
		stats_host_put(subsys, stats_host_get(subsys, nqn), &past);
	}
	list_for_each(host, &subsys->hosts, struct stats_host, link) {
		assert_string_not_equal(host->nqn, "nqn.2026-11.com.example:first");
		n += host->n_ctrls == 0;
	}
	assert_int_equal(n, MAX_STATS_HOSTS_GONE);
	assert_ptr_equal(stats_host_get(subsys, "nqn.2026-11.com.example:live"), live);
	live->n_ctrls--;
	stats_host_put(subsys, live, &past);
	stats_host_put(subsys, NULL, &past);
	pthread_mutex_unlock(&subsys->lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_for_all),    cmocka_unit_test(test_times),
		cmocka_unit_test(test_times_joined),
		cmocka_unit_test(test_fetch_time),	    cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_hosts_are_forgotten),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
