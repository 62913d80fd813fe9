/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin_rig.h"

enum { GUARD = 64, LOG_MAX = 8192, LSP_GROUPS_ONLY = 1 << 8 };

static struct fake_conn conn;
static uint8_t data[LOG_MAX + GUARD], whole[LOG_MAX];

static int setup(void **state)
{
	(void)state;
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

static uint16_t get_log(uint8_t page, uint64_t offset, uint32_t len)
{
	memset(data, 0xee, sizeof(data));
	return admin_log(&conn, page, 0, 0, offset, len, data);
}

/*
 * Every page from every kind of offset: inside, what comes is that part of the page and zeros
 * behind; past the end nothing comes (CVE-2026-64320). RAE keeps what reading would change.
 */
static void offsets(uint8_t page, uint32_t len)
{
	const struct {
		uint64_t offset;
		bool good;
	} rows[] = {
		{ 0, true },           { 4, true },
		{ 1020, len >= 1020 }, { 1024, len >= 1024 },
		{ len - 4, true },     { len, true },
		{ len + 4, false },    { 1ull << 32, false },
		{ 1ull << 63, false }, { UINT64_MAX - 3, false },
	};
	static const uint32_t sizes[] = { 4, 20, 1024, 4096, LOG_MAX };

	assert_int_equal(admin_log(&conn, page, LOG_RAE, 0, 0, LOG_MAX, whole), 0);
	assert_true(admin_is_zero(whole + len, LOG_MAX - len));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned n = 0; n < ARRAY_SIZE(sizes); n++) {
			uint32_t inside = 0;

			memset(data, 0xee, sizeof(data));
			assert_int_equal(
				admin_log(&conn, page, LOG_RAE, 0, rows[i].offset, sizes[n], data),
				rows[i].good ? 0 : DNR(NVME_SC_INVALID_FIELD));
			assert_int_equal(admin_moved, rows[i].good);
			if (!rows[i].good)
				continue;
			inside = MIN(sizes[n], len - (uint32_t)rows[i].offset);
			/* Refusals above were logged, so that page 1 and its count in page 2 moved
			 * on. */
			if (page != NVME_LOG_ERROR && page != NVME_LOG_SMART)
				assert_memory_equal(data, whole + rows[i].offset, inside);
			assert_true(admin_is_zero(data + inside, sizes[n] - inside));
			assert_int_equal(data[sizes[n]], 0xee);
		}
	}
}

static void test_offsets(void **state)
{
	static const struct {
		uint8_t page;
		uint32_t len;
	} rows[] = {
		{ NVME_LOG_SUPPORTED, 1024 },
		{ NVME_LOG_ERROR, 8192 },
		{ NVME_LOG_SMART, 512 },
		{ NVME_LOG_FW_SLOT, 512 },
		{ NVME_LOG_CHANGED_NS, 4096 },
		{ NVME_LOG_EFFECTS, 4096 },
		{ NVME_LOG_ANA, 16 + 16 * 32 + 1024 * 4 },
		{ NVME_LOG_FEATURE_EFFECTS, 1024 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		offsets(rows[i].page, rows[i].len);
}

static void test_discovery_offsets(void **state)
{
	(void)state;
	offsets(NVME_LOG_SUPPORTED, 1024);
	offsets(NVME_LOG_EFFECTS, 4096);
	offsets(NVME_LOG_DISCOVERY, 1024 * 5);
}

static void what_exists(const uint8_t *have, unsigned n)
{
	le32_t supported[256];

	assert_int_equal(admin_log(&conn, 0, 0, 0, 0, sizeof(supported), supported), 0);
	for (unsigned page = 0; page < 256; page++) {
		bool exists = memchr(have, (int)page, n) != NULL;

		assert_int_equal(le32_get(supported[page]), exists);
		/* It is about one of the endurance groups, of which none is named here. */
		if (exists && page == NVME_LOG_ENDURANCE)
			continue;
		assert_int_equal(get_log((uint8_t)page, 0, 512),
				 exists ? 0 : DNR(NVME_SC_INVALID_LOG_PAGE));
	}
}

static void test_what_exists(void **state)
{
	static const uint8_t have[] = { 0, 1, 2, 3, 4, 5, 9, 0xc, 0x12 };

	(void)state;
	what_exists(have, sizeof(have));
}

static void test_what_exists_discovery(void **state)
{
	static const uint8_t have[] = { 0, 1, 5, 0x12, 0x70 };

	(void)state;
	what_exists(have, sizeof(have));
}

static void test_fields(void **state)
{
	struct admin get = { .opcode = NVME_ADMIN_GET_LOG_PAGE,
			     .cdw10 = NVME_LOG_EFFECTS | 1023u << 16,
			     .len = 4096 };

	(void)state;
	assert_int_equal(admin_run(&conn, get), 0);
	get.cdw14 = 1u << 23; /* OT */
	assert_int_equal(admin_run(&conn, get), DNR(NVME_SC_INVALID_FIELD));
	get.cdw14 = 2u << 24; /* CSI */
	assert_int_equal(admin_run(&conn, get), DNR(NVME_SC_INVALID_FIELD));
	get.cdw14 = 0;
	for (unsigned bits = 1; bits < 4; bits++) {
		get.cdw12 = bits;
		assert_int_equal(admin_run(&conn, get), DNR(NVME_SC_INVALID_FIELD));
	}
	get.cdw12 = 0;
	/* The buffer is not what NUMD says. */
	get.len = 4092;
	assert_int_equal(admin_run(&conn, get), DNR(NVME_SC_SGL_LENGTH_INVALID));
	get.len = 8192;
	assert_int_equal(admin_run(&conn, get), DNR(NVME_SC_SGL_LENGTH_INVALID));
	/* More than MDTS, with SGLs that agree: 64 KiB and 4 bytes; 4 GiB; 16 GiB. */
	get.cdw10 = NVME_LOG_EFFECTS;
	get.cdw11 = 0;
	get.len = 65540;
	get.cdw10 |= 0x4000u << 16;
	assert_int_equal(admin_run(&conn, get), DNR(NVME_SC_INVALID_FIELD));
	get.cdw10 = NVME_LOG_EFFECTS | 0xffffu << 16;
	get.cdw11 = 0x3fff;
	get.len = 0;
	assert_int_equal(admin_run(&conn, get), DNR(NVME_SC_INVALID_FIELD));
	get.cdw11 = 0xffff;
	get.len = UINT32_MAX;
	assert_int_equal(admin_run(&conn, get), DNR(NVME_SC_INVALID_FIELD));
}

static void test_error(void **state)
{
	const struct nvme_error_log_entry *log = (const void *)data;
	uint64_t count;

	(void)state;
	assert_int_equal(get_log(NVME_LOG_ERROR, 0, 64), 0);
	count = le64_get(log[0].error_count);
	assert_int_equal(get_log(0xc0, 0, 512), DNR(NVME_SC_INVALID_LOG_PAGE));
	assert_int_equal(admin_identify(&conn, NVME_CNS_NS_DESCS, 77, 0, NULL),
			 DNR(NVME_SC_INVALID_NSID));
	assert_int_equal(get_log(NVME_LOG_ERROR, 0, 192), 0);
	assert_int_equal(le64_get(log[0].error_count), count + 2);
	assert_int_equal(log[0].opcode, NVME_ADMIN_IDENTIFY);
	assert_int_equal(le32_get(log[0].nsid), 77);
	assert_int_equal(le16_get(log[0].status) >> 1 & 0x7ff, NVME_SC_INVALID_NSID);
	assert_int_equal(le16_get(log[0].location), offsetof(struct nvme_sqe, nsid));
	assert_int_equal(log[0].trtype, NVMF_TRTYPE_TCP);
	assert_int_equal(le64_get(log[1].error_count), count + 1);
	assert_int_equal(le16_get(log[1].location), offsetof(struct nvme_sqe, cdw10));
	/* The ring keeps the newest. */
	for (unsigned i = 0; i < MAX_ERROR_LOG + 3; i++)
		get_log(0xc0, 0, 512);
	assert_int_equal(get_log(NVME_LOG_ERROR, 0, 8192), 0);
	for (unsigned i = 0; i < MAX_ERROR_LOG; i++)
		assert_int_equal(le64_get(log[i].error_count), count + 2 + MAX_ERROR_LOG + 3 - i);
}

static void test_effects(void **state)
{
	const struct nvme_effects_log *log = (const void *)data;
	static const uint8_t admin[] = { 0x02, 0x06, 0x08, 0x09, 0x0a, 0x0c, 0x18 };
	static const uint8_t io[] = { 0x00, 0x01, 0x02, 0x05, 0x08, 0x09, 0x0c, 0x19 };

	(void)state;
	assert_int_equal(get_log(NVME_LOG_EFFECTS, 0, 4096), 0);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		assert_int_equal(le32_get(log->acs[opcode]) & 1,
				 memchr(admin, (int)opcode, sizeof(admin)) != NULL);
		assert_int_equal(le32_get(log->iocs[opcode]) & 1,
				 memchr(io, (int)opcode, sizeof(io)) != NULL);
	}
	assert_true(le32_get(log->iocs[NVME_IO_WRITE]) & NVME_EFFECT_LBCC);
	assert_false(le32_get(log->iocs[NVME_IO_READ]) & NVME_EFFECT_LBCC);
}

static void test_fw_slot(void **state)
{
	const struct nvme_fw_slot_log *log = (const void *)data;

	(void)state;
	assert_int_equal(get_log(NVME_LOG_FW_SLOT, 0, 512), 0);
	assert_int_equal(log->afi, 1);
	assert_memory_equal(log->frs[0], SLUICE_VERSION, strlen(SLUICE_VERSION));
	assert_true(admin_is_zero(log->frs[1], 6 * 8));
}

static void test_ana(void **state)
{
	static const struct {
		uint32_t grpid, n, nsids[2];
	} groups[] = { { 1, 2, { 1, 1024 } }, { 5, 1, { 3 } } };

	(void)state;
	for (unsigned only = 0; only < 2; only++) {
		const uint8_t *at = data + sizeof(struct nvme_ana_log);

		assert_int_equal(admin_log(&conn, NVME_LOG_ANA, only ? LSP_GROUPS_ONLY : 0, 0, 0,
					   4096, data),
				 0);
		assert_int_equal(le16_get(((const struct nvme_ana_log *)data)->ngrps), 2);
		for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
			const struct nvme_ana_group_desc *desc = (const void *)at;
			uint32_t n = only ? 0 : groups[i].n;

			assert_int_equal(le32_get(desc->grpid), groups[i].grpid);
			assert_int_equal(le32_get(desc->nnsids), n);
			assert_int_equal(desc->state, NVME_ANA_OPTIMIZED);
			for (unsigned k = 0; k < n; k++)
				assert_int_equal(le32_get(desc->nsids[k]), groups[i].nsids[k]);
			at += sizeof(*desc) + n * 4;
		}
		assert_true(admin_is_zero(at, (size_t)(data + 4096 - at)));
	}
}

/* --------------------------------------------------------------------------------------- SMART */

static uint64_t low(le128_t v)
{
	assert_int_equal(le64_get(v.hi), 0);
	return le64_get(v.lo);
}

static const struct nvme_smart_log *smart(uint32_t nsid)
{
	memset(data, 0xee, sizeof(data));
	assert_int_equal(admin_log(&conn, NVME_LOG_SMART, 0, nsid, 0, 512, data), 0);
	return (const void *)data;
}

static uint16_t get_endurance(uint16_t endgid)
{
	memset(data, 0xee, sizeof(data));
	return admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_GET_LOG_PAGE,
						.cdw10 = NVME_LOG_ENDURANCE | 127u << 16,
						.cdw11 = (uint32_t)endgid << 16,
						.len = 512,
						.out = data });
}

/* An endurance group is a namespace; what the host may not see is not there. */
static void test_endurance(void **state)
{
	const struct nvme_endurance_log *log = (const void *)data;
	struct ns *ns = subsystems[1]->ns[3];
	static const uint16_t not_there[] = { 0, 2, 4, 1025, 0xffff };

	(void)state;
	ns->stats[1] = (struct ns_stats){ .io.done[STATS_READ] = 5,
					  .io.bytes[STATS_READ] = 1000000001,
					  .io.done[STATS_WRITE] = 2,
					  .io.bytes[STATS_WRITE] = 1 };
	assert_int_equal(get_endurance(3), 0);
	assert_int_equal(low(log->host_reads), 5);
	assert_int_equal(low(log->host_writes), 2);
	assert_int_equal(low(log->data_units_read), 2); /* billions, rounded up */
	assert_int_equal(low(log->data_units_written), 1);
	assert_int_equal(low(log->total_capacity), ns_blocks(ns) << ns->block_shift);
	assert_int_equal(log->avail_spare, 100);
	assert_true(admin_is_zero(data + 192, 512 - 192));
	assert_int_equal(get_endurance(1), 0);
	assert_int_equal(low(log->host_reads), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(not_there); i++)
		assert_int_equal(get_endurance(not_there[i]), DNR(NVME_SC_INVALID_FIELD));
	memset(ns->stats, 0, n_workers * sizeof(*ns->stats));
}

static void test_smart(void **state)
{
	struct ns *ns = subsystems[1]->ns[1], *hidden = subsystems[1]->ns[2],
		  *other = subsystems[1]->ns[3];
	static const uint32_t not_there[] = { 2, 4, 1025, 0xfffffffe };

	(void)state;
	ns->stats[0] = (struct ns_stats){ .io.done[STATS_READ] = 3,
					  .io.bytes[STATS_READ] = 512000,
					  .media_errors = 1 };
	ns->stats[1] = (struct ns_stats){ .io.done[STATS_READ] = 4,
					  .io.bytes[STATS_READ] = 1,
					  .io.done[STATS_WRITE] = 2,
					  .io.bytes[STATS_WRITE] = 1 };
	other->stats[1] = (struct ns_stats){ .io.done[STATS_READ] = 10, .busy_ns = UINT64_MAX / 2 };
	hidden->stats[1] = (struct ns_stats){ .io.done[STATS_READ] = 1000 };
	assert_int_equal(low(smart(1)->host_reads), 7);
	assert_int_equal(low(smart(1)->data_units_read), 2); /* rounded up */
	assert_int_equal(low(smart(1)->data_units_written), 1);
	assert_int_equal(low(smart(1)->host_writes), 2);
	assert_int_equal(low(smart(1)->media_errors), 1);
	assert_int_equal(low(smart(1024)->data_units_read), 0);
	assert_int_equal(low(smart(0)->host_reads), 17);
	assert_int_equal(low(smart(NVME_NSID_ALL)->host_reads), 17);
	/* The sum of what overlapped is no longer than the daemon is old. */
	assert_int_equal(low(smart(0)->ctrl_busy_time), 0);
	assert_int_equal(smart(0)->critical_warning, 0);
	assert_int_equal(smart(0)->avail_spare, 100);
	assert_int_equal(low(smart(0)->num_err_log_entries), conn.queue.ctrl->error_count);
	for (unsigned i = 0; i < ARRAY_SIZE(not_there); i++)
		assert_int_equal(admin_log(&conn, NVME_LOG_SMART, 0, not_there[i], 0, 512, data),
				 DNR(NVME_SC_INVALID_NSID));
	__atomic_store_n(&ns->gone, true, __ATOMIC_RELAXED);
	assert_int_equal(smart(1)->critical_warning, 4);
	assert_int_equal(smart(3)->critical_warning, 0);
	__atomic_store_n(&ns->gone, false, __ATOMIC_RELAXED);
	memset(ns->stats, 0, n_workers * sizeof(*ns->stats));
	memset(other->stats, 0, n_workers * sizeof(*ns->stats));
	memset(hidden->stats, 0, n_workers * sizeof(*ns->stats));
}

static unsigned asked; /* by the thread that asks */
static sem_t drive_answers;

static int drive_health(struct backend *backend, struct nvme_smart_log *log)
{
	bool first = backend == subsystems[1]->ns[1]->backend;

	__atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED);
	fake_wait(&drive_answers);
	*log = (struct nvme_smart_log){
		.critical_warning = first ? 1 : 8,
		.temperature = le16(first ? 300 : 310),
		.avail_spare = first ? 90 : 95,
		.spare_thresh = first ? 5 : 10,
		.percent_used = first ? 12 : 7,
		.power_on_hours = le128(1234),
		.host_reads = le128(99999),
		.rsvd232 = { 1 },
	};
	return 0;
}

/* A drive may take its time: the worker goes on, and the answer waits for it. */
static void test_drive_health(void **state)
{
	struct backend *backends[] = { subsystems[1]->ns[1]->backend, subsystems[1]->ns[3]->backend };
	const struct backend_ops *ops[] = { backends[0]->ops, backends[1]->ops };
	struct backend_ops with[] = { *ops[0], *ops[1] };
	const struct nvme_smart_log *log = (const void *)data;
	struct fake_call call;

	(void)state;
	sem_init(&drive_answers, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		with[i].health = drive_health;
		backends[i]->ops = &with[i];
	}
	assert_int_equal(smart_start(), 0);
	admin_begin(&conn,
		    &(struct admin){ .opcode = NVME_ADMIN_GET_LOG_PAGE,
				     .nsid = 1,
				     .cdw10 = NVME_LOG_SMART | 127u << 16,
				     .len = 512,
				     .out = data },
		    &call);
	assert_int_equal(admin_identify(&conn, NVME_CNS_CTRL, 0, 0, NULL), 0);
	assert_false(fake_is_done(&call));
	sem_post(&drive_answers);
	assert_int_equal(admin_finish(&call), 0);
	assert_int_equal(log->critical_warning, 1);
	assert_int_equal(le16_get(log->temperature), 300);
	assert_int_equal(low(log->power_on_hours), 1234);
	assert_int_equal(low(log->host_reads), 0); /* ours, not the drive's */
	assert_true(admin_is_zero(log->rsvd232, sizeof(log->rsvd232)));
	smart(1); /* not asked again so soon, or this would wait */
	assert_int_equal(__atomic_load_n(&asked, __ATOMIC_RELAXED), 1);

	sem_post(&drive_answers);
	smart(0);
	assert_int_equal(log->critical_warning, 9);
	assert_int_equal(le16_get(log->temperature), 310);
	assert_int_equal(log->avail_spare, 90);
	assert_int_equal(log->spare_thresh, 10);
	assert_int_equal(log->percent_used, 12);
	assert_int_equal(low(log->power_on_hours), 0);
	assert_int_equal(__atomic_load_n(&asked, __ATOMIC_RELAXED), 2);
	smart_stop();
	sem_destroy(&drive_answers);
	for (unsigned i = 0; i < 2; i++)
		backends[i]->ops = ops[i];
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_offsets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discovery_offsets, setup_discovery, teardown),
		cmocka_unit_test_setup_teardown(test_what_exists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_exists_discovery, setup_discovery,
						teardown),
		cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_effects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fw_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ana, setup, teardown),
		cmocka_unit_test_setup_teardown(test_smart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endurance, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drive_health, setup, teardown),
	};

	return cmocka_run_group_tests(tests, admin_group_setup, admin_group_teardown);
}
