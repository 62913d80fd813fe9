/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin_rig.h"

enum { EVENT_NS = 0x040002, EVENT_ANA = 0x0c0302, EVENT_DISCOVERY = 0x70f002 };

static struct fake_conn conn;
static struct fake_call events[MAX_AER];
static uint8_t data[4096];

static int setup(void **state)
{
	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_gone(&conn);
	return 0;
}

static void request(struct fake_call *event)
{
	admin_begin(&conn, &(struct admin){ .opcode = NVME_ADMIN_ASYNC_EVENT }, event);
}

static void enable(uint32_t mask)
{
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_ASYNC_EVENT, mask), 0);
}

static void notify(uint32_t notice, uint32_t nsid)
{
	subsys_notify(subsystems[1], notice, nsid);
	fake_settle(&workers[0]);
}

static void expect(struct fake_call *event, uint32_t dw0)
{
	assert_int_equal(admin_finish(event), 0);
	assert_int_equal(admin_dw0, dw0);
}

/* NSIDs of the changed namespace list; @bits as in admin_log(). */
static void expect_changed(uint32_t bits, unsigned n, const uint32_t *nsids)
{
	const le32_t *list = (const void *)data;

	assert_int_equal(admin_log(&conn, NVME_LOG_CHANGED_NS, bits, 0, 0, sizeof(data), data), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(le32_get(list[i]), nsids[i]);
	assert_true(admin_is_zero(&list[n], sizeof(data) - n * sizeof(list[0])));
}

static void test_limit(void **state)
{
	struct fake_call more;
	uint64_t errors;

	(void)state;
	for (unsigned i = 0; i < MAX_AER; i++)
		request(&events[i]);
	request(&more);
	assert_int_equal(admin_finish(&more), DNR(NVME_SC_AER_LIMIT));
	for (unsigned i = 0; i < MAX_AER; i++)
		assert_false(fake_is_done(&events[i]));
	errors = counter_get(&conn.queue.stats.io.errors);
	/* Requests end with the controller; the host is told, and it is no error. */
	assert_int_equal(fake_property_set(&conn, NVME_PROP_CC, FAKE_CC & ~NVME_CC_EN), 0);
	for (unsigned i = 0; i < MAX_AER; i++)
		assert_int_equal(admin_finish(&events[i]), NVME_SC_ABORTED_SQ_DELETION);
	assert_int_equal(counter_get(&conn.queue.stats.io.errors), errors);
}

/* One event, silence until the log is read, then again. */
static void test_life(void **state)
{
	(void)state;
	enable(NVME_AEN_NS_ATTR);
	request(&events[0]);
	request(&events[1]);
	notify(NVME_AEN_NS_ATTR, 3);
	expect(&events[0], EVENT_NS);
	notify(NVME_AEN_NS_ATTR, 1);
	notify(NVME_AEN_NS_ATTR, 3);
	assert_false(fake_is_done(&events[1]));
	expect_changed(LOG_RAE, 2, (const uint32_t[]){ 1, 3 });
	notify(NVME_AEN_NS_ATTR, 1024);
	assert_false(fake_is_done(&events[1])); /* RAE kept the event */
	expect_changed(0, 3, (const uint32_t[]){ 1, 3, 1024 });
	expect_changed(0, 0, NULL);
	notify(NVME_AEN_NS_ATTR, 1);
	expect(&events[1], EVENT_NS);
	expect_changed(0, 1, (const uint32_t[]){ 1 });
}

/* Events wait for a request, in order, one of each kind; a log that was read already takes its
 * away. */
static void test_waiting(void **state)
{
	(void)state;
	enable(NVME_AEN_NS_ATTR | NVME_AEN_ANA);
	notify(NVME_AEN_ANA, 0);
	notify(NVME_AEN_NS_ATTR, 1);
	notify(NVME_AEN_ANA, 0);
	notify(NVME_AEN_NS_ATTR, 3);
	assert_int_equal(conn.queue.ctrl->n_aen, 2);
	request(&events[0]);
	expect(&events[0], EVENT_ANA);
	expect_changed(0, 2, (const uint32_t[]){ 1, 3 });
	request(&events[0]);
	assert_false(fake_is_done(&events[0]));
	assert_int_equal(admin_log(&conn, NVME_LOG_ANA, 0, 0, 0, 64, data), 0);
	assert_int_equal(le64_get(((const struct nvme_ana_log *)data)->chgcnt), 2);
	notify(NVME_AEN_ANA, 0);
	expect(&events[0], EVENT_ANA);
}

static void test_enabled(void **state)
{
	(void)state;
	request(&events[0]);
	notify(NVME_AEN_NS_ATTR, 1);
	notify(NVME_AEN_ANA, 0);
	enable(NVME_AEN_ANA);
	notify(NVME_AEN_NS_ATTR, 3);
	assert_false(fake_is_done(&events[0]));
	notify(NVME_AEN_ANA, 0);
	expect(&events[0], EVENT_ANA);
	/* What nobody was told of is in the log all the same. */
	expect_changed(0, 2, (const uint32_t[]){ 1, 3 });
	/* An event that waits is dropped when its kind is turned off, and masks nothing later. */
	enable(NVME_AEN_NS_ATTR);
	notify(NVME_AEN_NS_ATTR, 1);
	enable(0);
	request(&events[0]);
	assert_false(fake_is_done(&events[0]));
	enable(NVME_AEN_NS_ATTR);
	notify(NVME_AEN_NS_ATTR, 1);
	expect(&events[0], EVENT_NS);
}

/* A host hears of the namespaces that it sees. */
static void test_visible(void **state)
{
	(void)state;
	enable(NVME_AEN_NS_ATTR);
	request(&events[0]);
	notify(NVME_AEN_NS_ATTR, 2);
	subsys_notify(subsystems[2], NVME_AEN_NS_ATTR, 1);
	fake_settle(&workers[0]);
	assert_false(fake_is_done(&events[0]));
	expect_changed(0, 0, NULL);
}

struct storm {
	bool stop;
	unsigned sent;
};

static void *storm_run(void *arg)
{
	struct storm *storm = arg;

	while (!__atomic_load_n(&storm->stop, __ATOMIC_ACQUIRE)) {
		subsys_notify(subsystems[1], NVME_AEN_NS_ATTR, storm->sent++ & 1 ? 1 : 3);
		subsys_notify(subsystems[1], NVME_AEN_ANA, 0);
	}
	return NULL;
}

/* Notices from another thread while controllers come and go: a message in flight keeps its own. */
static void test_coming_and_going(void **state)
{
	struct storm storm = { 0 };
	struct fake_conn other;
	pthread_t thread;

	(void)state;
	enable(NVME_AEN_NS_ATTR | NVME_AEN_ANA);
	assert_int_equal(pthread_create(&thread, NULL, storm_run, &storm), 0);
	for (unsigned i = 0; i < 200; i++) {
		fake_attach(&other, &workers[1], &admin_host2, ADMIN_NQN);
		fake_gone(&other);
		request(&events[0]);
		assert_int_equal(admin_finish(&events[0]), 0);
		if (admin_dw0 == EVENT_NS)
			assert_int_equal(
				admin_log(&conn, NVME_LOG_CHANGED_NS, 0, 0, 0, sizeof(data), data),
				0);
		else
			assert_int_equal(
				admin_log(&conn, NVME_LOG_ANA, 0, 0, 0, sizeof(data), data), 0);
	}
	__atomic_store_n(&storm.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	fake_settle(&workers[0]);
	fake_settle(&workers[1]);
}

static void test_gone_with_requests(void **state)
{
	struct fake_conn other;

	(void)state;
	fake_attach(&other, &workers[1], &fake_host, ADMIN_NQN);
	for (unsigned i = 0; i < 2; i++)
		admin_begin(&other, &(struct admin){ .opcode = NVME_ADMIN_ASYNC_EVENT },
			    &events[i]);
	fake_gone(&other);
	for (unsigned i = 0; i < 2; i++)
		assert_false(fake_is_done(&events[i])); /* there is nobody to respond to */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_enabled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_visible, setup, teardown),
		cmocka_unit_test_setup_teardown(test_coming_and_going, setup, teardown),
		cmocka_unit_test(test_gone_with_requests),
	};

	return cmocka_run_group_tests(tests, admin_group_setup, admin_group_teardown);
}
