/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin_rig.h"

enum { CURRENT, DEFAULT, SAVED, CAPABILITIES };

static struct fake_conn conn;
static uint8_t data[NVME_HOST_BEHAVIOR_SIZE];

static int setup(void **state)
{
	(void)state;
	memset(data, 0xee, sizeof(data));
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	return 0;
}

static int setup_discovery(void **state)
{
	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, NVME_DISCOVERY_NQN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_gone(&conn);
	return 0;
}

static uint16_t get_data(uint8_t fid, unsigned select, uint32_t cdw11, uint32_t len)
{
	return admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_GET_FEATURES,
						.cdw10 = fid | select << 8,
						.cdw11 = cdw11,
						.len = len,
						.out = data });
}

static uint16_t set_data(uint8_t fid, const void *in, uint32_t len)
{
	return admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_SET_FEATURES,
						.cdw10 = fid,
						.len = len,
						.in = in });
}

/* Values in CDW11: default, what may be set and reads back, what is refused and changes nothing. */
static void test_values(void **state)
{
	static const struct row {
		uint8_t fid;
		uint32_t initial, good, reads, bad;
		uint16_t refused;
		uint32_t caps;
	} rows[] = {
		{ 0x01, 7, 0x01020304, 0x01020304, 0x08, DNR(NVME_SC_INVALID_FIELD), 4 },
		{ 0x02, 0, 0x20, 0x20, 0x01, DNR(NVME_SC_INVALID_FIELD), 4 },
		{ 0x04, 0xffff, 0x150, 0x150, 0x10150, DNR(NVME_SC_INVALID_FIELD), 4 },
		{ 0x05, 0, 0x10, 0x10, 0x10000, DNR(NVME_SC_INVALID_FIELD), 4 },
		{ 0x06, 1, 1, 1, 0, DNR(NVME_SC_FEATURE_NOT_CHANGEABLE), 0 },
		{ 0x07, 0x00030003, 0x00010001, 0x00010001, 0xffff0001, DNR(NVME_SC_INVALID_FIELD),
		  4 },
		{ 0x0a, 0, 1, 1, 2, DNR(NVME_SC_INVALID_FIELD), 4 },
		{ 0x0b, 0, 0x900, 0x900, 0x80000000, DNR(NVME_SC_INVALID_FIELD), 4 },
		{ 0x19, 0, 0, 0, 1, DNR(NVME_SC_IOCS_COMBINATION), 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		assert_int_equal(admin_get_feature(&conn, row->fid, CURRENT, 0), 0);
		assert_int_equal(admin_dw0, row->initial);
		assert_int_equal(admin_set_feature(&conn, row->fid, row->good), 0);
		assert_int_equal(admin_set_feature(&conn, row->fid, row->bad), row->refused);
		assert_int_equal(admin_get_feature(&conn, row->fid, CURRENT, 0), 0);
		assert_int_equal(admin_dw0, row->reads);
		assert_int_equal(admin_get_feature(&conn, row->fid, DEFAULT, 0), 0);
		assert_int_equal(admin_dw0, row->initial);
		assert_int_equal(admin_get_feature(&conn, row->fid, SAVED, 0), 0);
		assert_int_equal(admin_dw0, row->initial);
		assert_int_equal(admin_get_feature(&conn, row->fid, CAPABILITIES, 0), 0);
		assert_int_equal(admin_dw0, row->caps);
		assert_int_equal(admin_get_feature(&conn, row->fid, 4, 0),
				 DNR(NVME_SC_INVALID_FIELD));
	}
}

static void test_what_exists(void **state)
{
	static const uint8_t have[] = {
		1, 2, 4, 5, 6, 7, 0xa, 0xb, 0xe, 0xf, 0x16, 0x19, 0x81, 0x84
	};
	bool exists[256] = { false };
	le32_t effects[256];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(have); i++)
		exists[have[i]] = true;
	assert_int_equal(
		admin_log(&conn, NVME_LOG_FEATURE_EFFECTS, 0, 0, 0, sizeof(effects), effects), 0);
	for (unsigned fid = 0; fid < 256; fid++) {
		assert_int_equal(le32_get(effects[fid]) & NVME_FEAT_FSUPP, exists[fid]);
		if (exists[fid])
			continue;
		assert_int_equal(admin_get_feature(&conn, (uint8_t)fid, CURRENT, 0),
				 DNR(NVME_SC_INVALID_FIELD));
		assert_int_equal(admin_set_feature(&conn, (uint8_t)fid, 0),
				 DNR(NVME_SC_INVALID_FIELD));
	}
	assert_int_equal(le32_get(effects[0x84]),
			 NVME_FEAT_FSUPP | NVME_FEAT_NCC | NVME_FEAT_SCOPE_NS);
	assert_int_equal(le32_get(effects[0x07]), NVME_FEAT_FSUPP | NVME_FEAT_SCOPE_CTRL);
}

static void test_discovery(void **state)
{
	(void)state;
	for (unsigned fid = 0; fid < 256; fid++) {
		bool has = fid == NVME_FEAT_ASYNC_EVENT || fid == NVME_FEAT_KATO;

		assert_int_equal(admin_get_feature(&conn, (uint8_t)fid, CURRENT, 0),
				 has ? 0 : DNR(NVME_SC_INVALID_FIELD));
	}
	assert_int_equal(admin_get_feature(&conn, NVME_FEAT_KATO, CURRENT, 0), 0);
	assert_int_equal(admin_dw0, KATO_DEFAULT_DISCOVERY_MS);
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_ASYNC_EVENT, NVME_AEN_DISCOVERY), 0);
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_ASYNC_EVENT, NVME_AEN_NS_ATTR),
			 DNR(NVME_SC_INVALID_FIELD));
}

static void test_saving(void **state)
{
	(void)state;
	assert_int_equal(admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_SET_FEATURES,
							  .cdw10 = 0x0b | 1u << 31 }),
			 DNR(NVME_SC_FEATURE_NOT_SAVEABLE));
	assert_int_equal(admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_SET_FEATURES,
							  .nsid = 1,
							  .cdw10 = 0x0b }),
			 DNR(NVME_SC_FEATURE_NOT_NS_SPECIFIC));
	assert_int_equal(admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_SET_FEATURES,
							  .nsid = NVME_NSID_ALL,
							  .cdw10 = 0x0b }),
			 0);
}

static void test_queues(void **state)
{
	struct fake_conn io;

	(void)state;
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_NUM_QUEUES, 0x007f0001), 0);
	assert_int_equal(admin_dw0, 0x00030001);
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_NUM_QUEUES, 0x0001ffff),
			 DNR(NVME_SC_INVALID_FIELD));
	fake_attach_io(&io, &workers[1], &fake_host, &conn, 1);
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_NUM_QUEUES, 0x00010001),
			 DNR(NVME_SC_COMMAND_SEQUENCE));
	fake_gone(&io);
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_NUM_QUEUES, 0x00010001), 0);
}

static void test_temperature(void **state)
{
	(void)state;
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_TEMP_THRESHOLD, 0x100122),
			 0); /* under */
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_TEMP_THRESHOLD, 0x0f0155),
			 0); /* all, over */
	assert_int_equal(admin_get_feature(&conn, NVME_FEAT_TEMP_THRESHOLD, CURRENT, 0), 0);
	assert_int_equal(admin_dw0, 0x155);
	assert_int_equal(admin_get_feature(&conn, NVME_FEAT_TEMP_THRESHOLD, CURRENT, 0x100000), 0);
	assert_int_equal(admin_dw0, 0x122);
	assert_int_equal(admin_get_feature(&conn, NVME_FEAT_TEMP_THRESHOLD, DEFAULT, 0x100000), 0);
	assert_int_equal(admin_dw0, 0);
	assert_int_equal(admin_get_feature(&conn, NVME_FEAT_TEMP_THRESHOLD, CURRENT, 0x030000),
			 DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(admin_get_feature(&conn, NVME_FEAT_TEMP_THRESHOLD, CURRENT, 0x200000),
			 DNR(NVME_SC_INVALID_FIELD));
}

static void test_kato(void **state)
{
	static const struct {
		uint32_t set, reads;
	} rows[] = {
		{ 9000, 9000 }, { 1, 100 }, { 101, 200 }, { UINT32_MAX, 4294967200u }, { 0, 0 }
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(admin_set_feature(&conn, NVME_FEAT_KATO, rows[i].set), 0);
		assert_int_equal(admin_get_feature(&conn, NVME_FEAT_KATO, CURRENT, 0), 0);
		assert_int_equal(admin_dw0, rows[i].reads);
		assert_int_equal(timer_running(&conn.queue.ctrl->kato_timer), rows[i].reads != 0);
	}
}

/* Without a word from the host the controller is gone when its time is over. */
static void test_kato_expires(void **state)
{
	(void)state;
	fake_attach(&conn, &workers[0], &fake_host, ADMIN_NQN);
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_KATO, 100), 0);
	fake_wait(&conn.idle);
	sem_destroy(&conn.idle);
}

static uint64_t timestamp_ms(void)
{
	uint64_t ms = 0;

	for (unsigned i = 0; i < 6; i++)
		ms |= (uint64_t)data[i] << (8 * i);
	return ms;
}

static void test_timestamp(void **state)
{
	static const uint8_t value[8] = { 0x00, 0x10, 0x20, 0x30, 0x40, 0x05, 0xff, 0xff };
	const uint64_t set_ms = 0x054030201000;

	(void)state;
	assert_int_equal(get_data(NVME_FEAT_TIMESTAMP, CURRENT, 0, 8), 0);
	assert_int_equal(data[6], 0);
	assert_true(timestamp_ms() < 60000);
	assert_int_equal(set_data(NVME_FEAT_TIMESTAMP, value, 8), 0);
	assert_int_equal(get_data(NVME_FEAT_TIMESTAMP, CURRENT, 0, 8), 0);
	assert_int_equal(data[6], 1 << 1);
	assert_int_equal(data[7], 0);
	assert_in_range(timestamp_ms(), set_ms, set_ms + 60000);
	assert_int_equal(get_data(NVME_FEAT_TIMESTAMP, DEFAULT, 0, 8), 0);
	assert_true(admin_is_zero(data, 8));
	assert_int_equal(get_data(NVME_FEAT_TIMESTAMP, CURRENT, 0, 4),
			 DNR(NVME_SC_SGL_LENGTH_INVALID));
	assert_int_equal(set_data(NVME_FEAT_TIMESTAMP, value, 4), DNR(NVME_SC_SGL_LENGTH_INVALID));
	assert_int_equal(get_data(NVME_FEAT_TIMESTAMP, CAPABILITIES, 0, 0), 0);
	assert_int_equal(admin_dw0, NVME_FEAT_CAP_CHANGEABLE);
}

static void test_host_behavior(void **state)
{
	uint8_t value[NVME_HOST_BEHAVIOR_SIZE] = { 1, 0, 1, 0, 0, 0, 0x55 };

	(void)state;
	assert_int_equal(set_data(NVME_FEAT_HOST_BEHAVIOR, value, sizeof(value)), 0);
	value[0] = 2;
	assert_int_equal(set_data(NVME_FEAT_HOST_BEHAVIOR, value, sizeof(value)),
			 DNR(NVME_SC_INVALID_FIELD));
	value[0] = 0;
	value[4] = 4;
	assert_int_equal(set_data(NVME_FEAT_HOST_BEHAVIOR, value, sizeof(value)),
			 DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(get_data(NVME_FEAT_HOST_BEHAVIOR, CURRENT, 0, sizeof(data)), 0);
	assert_memory_equal(data, ((const uint8_t[]){ 1, 0, 1, 0, 0, 0 }), 6);
	assert_true(admin_is_zero(data + 6, sizeof(data) - 6));
	assert_int_equal(get_data(NVME_FEAT_HOST_BEHAVIOR, DEFAULT, 0, sizeof(data)), 0);
	assert_true(admin_is_zero(data, sizeof(data)));
}

static void test_host_id(void **state)
{
	(void)state;
	assert_int_equal(get_data(NVME_FEAT_HOST_ID, CURRENT, 1, 16), 0);
	assert_memory_equal(data, fake_host.id, 16);
	assert_int_equal(get_data(NVME_FEAT_HOST_ID, CURRENT, 0, 8), DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(get_data(NVME_FEAT_HOST_ID, CURRENT, 1, 8),
			 DNR(NVME_SC_SGL_LENGTH_INVALID));
	assert_int_equal(set_data(NVME_FEAT_HOST_ID, data, 16), DNR(NVME_SC_COMMAND_SEQUENCE));
}

static uint16_t protect(uint32_t nsid, uint32_t value)
{
	return admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_SET_FEATURES,
						.nsid = nsid,
						.cdw10 = NVME_FEAT_WRITE_PROTECT,
						.cdw11 = value });
}

static uint16_t protection(uint32_t nsid, unsigned select)
{
	return admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_GET_FEATURES,
						.nsid = nsid,
						.cdw10 = NVME_FEAT_WRITE_PROTECT | select << 8 });
}

static void test_write_protect(void **state)
{
	static const uint32_t not_there[] = { 0, 2, 4, 1025, NVME_NSID_ALL };
	struct fake_call event;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(not_there); i++) {
		assert_int_equal(protect(not_there[i], 1), DNR(NVME_SC_INVALID_NSID));
		assert_int_equal(protection(not_there[i], CURRENT), DNR(NVME_SC_INVALID_NSID));
	}
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_ASYNC_EVENT, NVME_AEN_NS_ATTR), 0);
	admin_begin(&conn, &(struct admin){ .opcode = NVME_ADMIN_ASYNC_EVENT }, &event);
	assert_int_equal(protect(1, 0), 0);
	fake_settle(&workers[0]);
	assert_false(fake_is_done(&event)); /* nothing has changed */
	assert_int_equal(protect(1, 1), 0);
	assert_int_equal(admin_finish(&event), 0);
	assert_true(subsystems[1]->ns[1]->read_only);
	assert_int_equal(protection(1, CURRENT), 0);
	assert_int_equal(admin_dw0, 1);
	assert_int_equal(protection(1, DEFAULT), 0);
	assert_int_equal(admin_dw0, 0);
	assert_int_equal(protection(1, CAPABILITIES), 0);
	assert_int_equal(admin_dw0, NVME_FEAT_CAP_CHANGEABLE | NVME_FEAT_CAP_PER_NS);
	assert_int_equal(protect(1, 2), DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(protect(1, 0), 0);
	assert_false(subsystems[1]->ns[1]->read_only);
	/* Read-only by configuration. */
	assert_int_equal(protect(1024, 1), 0);
	assert_int_equal(protect(1024, 0), DNR(NVME_SC_FEATURE_NOT_CHANGEABLE));
	assert_int_equal(protection(1024, DEFAULT), 0);
	assert_int_equal(admin_dw0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_exists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discovery, setup_discovery, teardown),
		cmocka_unit_test_setup_teardown(test_saving, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queues, setup, teardown),
		cmocka_unit_test_setup_teardown(test_temperature, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kato, setup, teardown),
		cmocka_unit_test(test_kato_expires),
		cmocka_unit_test_setup_teardown(test_timestamp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_behavior, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_protect, setup, teardown),
	};

	return cmocka_run_group_tests(tests, admin_group_setup, admin_group_teardown);
}
