/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin_rig.h"
#include "target/io.h"

static struct fake_conn conn;
static uint8_t data[NVME_IDENTIFY_SIZE];

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

static void test_controller(void **state)
{
	const struct nvme_id_ctrl *id = (const void *)data;

	(void)state;
	assert_int_equal(admin_identify(&conn, NVME_CNS_CTRL, 0, 0, data), 0);
	assert_memory_equal(id->sn, "UNIT0001            ", 20);
	assert_memory_equal(id->mn, "Sluice NVMe-oF target                   ", 40);
	assert_memory_equal(id->fr, SLUICE_VERSION, strlen(SLUICE_VERSION));
	assert_int_equal(id->mdts, 4); /* 64 KiB in pages of 4 KiB */
	assert_int_equal(le16_get(id->cntlid), conn.queue.ctrl->cntlid);
	assert_int_equal(le32_get(id->ver), NVME_VERSION_2_1);
	assert_int_equal(le32_get(id->oaes), NVME_AEN_NS_ATTR | NVME_AEN_ANA);
	assert_int_equal(le32_get(id->ctratt), NVME_CTRATT_HOSTID_128 | NVME_CTRATT_TBKAS |
						       NVME_CTRATT_ENDURANCE_GROUPS);
	assert_int_equal(le16_get(id->endgidmax), 1024);
	assert_int_equal(id->cmic, 0x0b);
	assert_int_equal(id->cntrltype, NVME_CTRL_IO);
	assert_int_equal(le16_get(id->kas), 1);
	assert_int_equal(id->sqes, 0x66);
	assert_int_equal(id->cqes, 0x44);
	assert_int_equal(le16_get(id->maxcmd), 64);
	assert_int_equal(le32_get(id->nn), 1024);
	assert_int_equal(le32_get(id->mnan), 1024);
	assert_int_equal(le16_get(id->oncs), 0x1dd);
	assert_int_equal(le16_get(id->fuses), 1);
	assert_int_equal(id->vwc, 7);
	assert_int_equal(le16_get(id->acwu), IO_ACWU);
	assert_int_equal(le16_get(id->ocfs), 1);
	assert_true(le32_get(id->sgls) & 3);
	assert_string_equal(id->subnqn, ADMIN_NQN);
	assert_int_equal(le32_get(id->ioccsz), 4 + 8192 / 16);
	assert_int_equal(le32_get(id->iorcsz), 1);
	assert_int_equal(le16_get(id->icdoff), 0);
	assert_int_equal(id->msdbd, 1);
	assert_int_equal(id->acl, 3);
	assert_int_equal(id->aerl, 3);
	assert_int_equal(id->elpe, 127);
	assert_int_equal(id->lpa & 7, 7);
	assert_int_equal(id->anatt, 10);
	/* Not that a namespace keeps its group: a reload may change it. */
	assert_int_equal(id->anacap, NVME_ANACAP_OPTIMIZED);
	/* Linux turns ANA off when the log could be longer than a transfer. */
	assert_true(16 + le32_get(id->nanagrpid) * 32 + le32_get(id->mnan) * 4 <= 65536);
	assert_true(admin_is_zero(id->vs, sizeof(id->vs)));
}

static void test_discovery_controller(void **state)
{
	const struct nvme_id_ctrl *id = (const void *)data;

	(void)state;
	assert_int_equal(admin_identify(&conn, NVME_CNS_CTRL, 0, 0, data), 0);
	assert_int_equal(id->cntrltype, NVME_CTRL_DISCOVERY);
	assert_string_equal(id->subnqn, NVME_DISCOVERY_NQN);
	assert_int_equal(le32_get(id->ioccsz), 4);
	assert_int_equal(le32_get(id->oaes), NVME_AEN_DISCOVERY);
	assert_int_equal(le16_get(id->oncs), 0);
	assert_int_equal(le32_get(id->nn), 0);
	assert_int_equal(id->mdts, 8);
	for (unsigned cns = 0; cns < 256; cns++)
		if (cns != NVME_CNS_CTRL)
			assert_int_equal(admin_identify(&conn, (uint8_t)cns, 1, 0, data),
					 DNR(NVME_SC_INVALID_FIELD));
}

/* Every CNS with NSIDs of each kind: 0, active, inactive, hidden, past the last, broadcast. */
static void test_matrix(void **state)
{
	enum { ACTIVE = 1, HIDDEN = 2, INACTIVE = 4, PAST = 1025 };
	static const uint16_t ok = 0, bad = DNR(NVME_SC_INVALID_NSID);
	static const uint32_t nsids[] = {
		0, ACTIVE, HIDDEN, INACTIVE, PAST, 0xfffffffe, 0xffffffff
	};
	const struct row {
		uint8_t cns;
		uint16_t status[ARRAY_SIZE(nsids)];
		const char *zeros; /* 'z': the answer is all zeros */
	} rows[] = {
		{ NVME_CNS_NS, { bad, ok, ok, ok, bad, bad, bad }, "  zz   " },
		{ NVME_CNS_CTRL, { ok, ok, ok, ok, ok, ok, ok }, "       " },
		{ NVME_CNS_ACTIVE_NS, { ok, ok, ok, ok, ok, bad, bad }, "    z  " },
		{ NVME_CNS_NS_DESCS, { bad, ok, bad, bad, bad, bad, bad }, "       " },
		{ NVME_CNS_CSI_NS, { bad, ok, ok, ok, bad, bad, bad }, " zzz   " },
		{ NVME_CNS_CSI_CTRL, { ok, ok, ok, ok, ok, ok, ok }, "zzzzzzz" },
		{ NVME_CNS_CSI_ACTIVE_NS, { ok, ok, ok, ok, ok, bad, bad }, "    z  " },
		{ NVME_CNS_NS_CS_INDEP, { bad, ok, ok, ok, bad, bad, bad }, "  zz   " },
		{ NVME_CNS_NS_CTRLS, { bad, ok, bad, bad, bad, bad, bad }, "       " },
		{ NVME_CNS_SUBSYS_CTRLS, { ok, ok, ok, ok, ok, ok, ok }, "       " },
		{ NVME_CNS_ENDURANCE_GROUPS, { ok, ok, ok, ok, ok, ok, ok }, "       " },
	};
	bool exists[256] = { [NVME_CNS_IOCS] = true };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		exists[rows[i].cns] = true;
		for (unsigned n = 0; n < ARRAY_SIZE(nsids); n++) {
			memset(data, 0xee, sizeof(data));
			assert_int_equal(admin_identify(&conn, rows[i].cns, nsids[n], 0, data),
					 rows[i].status[n]);
			assert_int_equal(admin_moved, !rows[i].status[n]);
			if (admin_moved)
				assert_int_equal(admin_is_zero(data, sizeof(data)),
						 rows[i].zeros[n] == 'z');
		}
	}
	for (unsigned cns = 0; cns < 256; cns++)
		if (!exists[cns])
			assert_int_equal(admin_identify(&conn, (uint8_t)cns, 1, 0, data),
					 DNR(NVME_SC_INVALID_FIELD));
}

static void test_command_sets(void **state)
{
	static const uint8_t with_csi[] = { NVME_CNS_CSI_NS, NVME_CNS_CSI_CTRL,
					    NVME_CNS_CSI_ACTIVE_NS };
	struct admin iocs = { .opcode = NVME_ADMIN_IDENTIFY,
			      .cdw10 = NVME_CNS_IOCS | 0xffffu << 16,
			      .len = NVME_IDENTIFY_SIZE,
			      .out = data };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(with_csi); i++)
		assert_int_equal(admin_identify(&conn, with_csi[i], 1, 2, data),
				 DNR(NVME_SC_INVALID_FIELD));
	assert_int_equal(admin_run(&conn, iocs), 0);
	assert_int_equal(data[0], 1);
	assert_true(admin_is_zero(data + 1, sizeof(data) - 1));
	iocs.cdw10 = NVME_CNS_IOCS | (uint32_t)conn.queue.ctrl->cntlid << 16;
	assert_int_equal(admin_run(&conn, iocs), 0);
	iocs.cdw10 = NVME_CNS_IOCS | (conn.queue.ctrl->cntlid + 1u) << 16;
	assert_int_equal(admin_run(&conn, iocs), DNR(NVME_SC_INVALID_FIELD));
}

/*
 * Where one NVMe drive is all of a subsystem when it comes, hosts see its names, unless the file has others,
 * and go on to see them when namespaces come and go.
 */
static void test_drive(void **state)
{
	const struct nvme_id_ctrl *id = (const void *)data;
	struct subsys *subsys = subsystems[1];
	struct backend_identity *drive = &subsys->ns[subsys->max_nsid]->backend->identity;
	uint32_t n_ns = subsys->n_ns;

	(void)state;
	*drive = (struct backend_identity){ .valid = true, .model = "Big Drive", .firmware = "FW7" };
	assert_int_equal(admin_identify(&conn, NVME_CNS_CTRL, 0, 0, data), 0);
	assert_memory_equal(id->mn, "Sluice NVMe-oF target ", 22);
	subsys->n_ns = 1;
	assert_int_equal(admin_identify(&conn, NVME_CNS_CTRL, 0, 0, data), 0);
	assert_memory_equal(id->mn, "Sluice NVMe-oF target ", 22);
	subsys_settle(subsys);
	subsys->n_ns = n_ns;
	assert_int_equal(admin_identify(&conn, NVME_CNS_CTRL, 0, 0, data), 0);
	assert_memory_equal(id->mn, "Big Drive                               ", 40);
	assert_memory_equal(id->fr, "FW7     ", 8);
	subsys_settle(subsys);
	assert_int_equal(admin_identify(&conn, NVME_CNS_CTRL, 0, 0, data), 0);
	assert_memory_equal(id->mn, "Sluice NVMe-oF target ", 22);
	assert_memory_equal(id->fr, SLUICE_VERSION, strlen(SLUICE_VERSION));
	drive->valid = false;
}

/* Namespaces 1, 3 and 1024 are visible; each is an endurance group of its own. */
static void test_endurance_groups(void **state)
{
	struct admin list = { .opcode = NVME_ADMIN_IDENTIFY,
			      .cdw10 = NVME_CNS_ENDURANCE_GROUPS,
			      .len = NVME_IDENTIFY_SIZE,
			      .out = data };
	const le16_t *ids = (const void *)data;

	(void)state;
	assert_int_equal(admin_run(&conn, list), 0);
	assert_int_equal(le16_get(ids[0]), 3);
	assert_int_equal(le16_get(ids[1]), 1);
	assert_int_equal(le16_get(ids[2]), 3);
	assert_int_equal(le16_get(ids[3]), 1024);
	assert_true(admin_is_zero(data + 8, sizeof(data) - 8));
	list.cdw11 = 1;
	assert_int_equal(admin_run(&conn, list), 0);
	assert_int_equal(le16_get(ids[0]), 2);
	assert_int_equal(le16_get(ids[1]), 3);
	list.cdw11 = 0xffff;
	assert_int_equal(admin_run(&conn, list), 0);
	assert_true(admin_is_zero(data, sizeof(data)));
}

static void test_namespace(void **state)
{
	static const uint8_t eui64[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
	const struct nvme_id_ns *id = (const void *)data;
	const struct nvme_id_ns_indep *indep = (const void *)data;

	(void)state;
	assert_int_equal(admin_identify(&conn, NVME_CNS_NS, 1, 0, data), 0);
	assert_int_equal(le64_get(id->nsze), 2048);
	assert_int_equal(le64_get(id->ncap), 2048);
	assert_int_equal(id->lbaf[0].lbads, 9);
	assert_int_equal(id->nlbaf, 0);
	assert_int_equal(id->nmic, 1);
	assert_int_equal(le32_get(id->anagrpid), 1);
	assert_int_equal(le16_get(id->endgid), 1);
	assert_int_equal(id->nsattr, 0);
	assert_memory_equal(id->eui64, eui64, sizeof(eui64));
	assert_false(admin_is_zero(id->nguid, sizeof(id->nguid)));
	assert_int_equal(data[48] | data[49] << 8 | data[50] << 16, 1 << 20); /* NVMCAP */
	assert_true(id->msrc > 0 && le16_get(id->mssrl) > 0 && le32_get(id->mcl) > 0);

	assert_int_equal(admin_identify(&conn, NVME_CNS_NS, 3, 0, data), 0);
	assert_int_equal(le64_get(id->nsze), 512);
	assert_int_equal(id->lbaf[0].lbads, 12);
	assert_int_equal(le32_get(id->anagrpid), 5);

	assert_int_equal(admin_identify(&conn, NVME_CNS_NS, 1024, 0, data), 0);
	assert_int_equal(id->nsattr, 1);
	assert_int_equal(admin_identify(&conn, NVME_CNS_NS_CS_INDEP, 1024, 0, data), 0);
	assert_int_equal(indep->nsattr, 1);
	assert_int_equal(indep->nstat, 1);
	assert_int_equal(indep->nmic, 1);
}

static int refresh_gone(struct backend *backend)
{
	(void)backend;
	return -ENODEV;
}

/* The device disappears: Identify finds out, says "not ready" and sends an event, once. */
static void test_gone_namespace(void **state)
{
	const struct nvme_id_ns_indep *indep = (const void *)data;
	struct backend *backend = subsystems[1]->ns[1]->backend;
	const struct backend_ops *ops = backend->ops;
	struct backend_ops gone = *ops;
	struct fake_call event;

	(void)state;
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_ASYNC_EVENT, NVME_AEN_NS_ATTR), 0);
	admin_begin(&conn, &(struct admin){ .opcode = NVME_ADMIN_ASYNC_EVENT }, &event);
	gone.refresh = refresh_gone;
	backend->ops = &gone;
	assert_int_equal(admin_identify(&conn, NVME_CNS_NS_CS_INDEP, 1, 0, data), 0);
	assert_int_equal(indep->nstat, 0);
	assert_int_equal(admin_finish(&event), 0);
	assert_int_equal(admin_dw0, 0x040002);
	backend->ops = ops;
	assert_int_equal(admin_identify(&conn, NVME_CNS_NS_CS_INDEP, 1, 0, data), 0);
	assert_int_equal(indep->nstat, 1);
}

static void test_lists(void **state)
{
	const le32_t *list = (const void *)data;
	const le16_t *ctrls = (const void *)data;
	struct fake_conn second;

	(void)state;
	assert_int_equal(admin_identify(&conn, NVME_CNS_ACTIVE_NS, 0, 0, data), 0);
	assert_int_equal(le32_get(list[0]), 1);
	assert_int_equal(le32_get(list[1]), 3);
	assert_int_equal(le32_get(list[2]), 1024);
	assert_true(admin_is_zero(&list[3], sizeof(data) - 12));
	assert_int_equal(admin_identify(&conn, NVME_CNS_ACTIVE_NS, 3, 0, data), 0);
	assert_int_equal(le32_get(list[0]), 1024);
	assert_int_equal(le32_get(list[1]), 0);

	fake_attach(&second, &workers[1], &admin_host2, ADMIN_NQN);
	assert_int_equal(admin_identify(&second, NVME_CNS_ACTIVE_NS, 1, 0, data), 0);
	assert_int_equal(le32_get(list[0]), 2);
	assert_int_equal(admin_identify(&conn, NVME_CNS_SUBSYS_CTRLS, 0, 0, data), 0);
	assert_int_equal(le16_get(ctrls[0]), 2);
	assert_int_equal(le16_get(ctrls[1]), conn.queue.ctrl->cntlid);
	assert_int_equal(le16_get(ctrls[2]), second.queue.ctrl->cntlid);
	assert_int_equal(admin_identify(&second, NVME_CNS_NS_CTRLS, 2, 0, data), 0);
	assert_int_equal(le16_get(ctrls[0]), 1);
	assert_int_equal(le16_get(ctrls[1]), second.queue.ctrl->cntlid);
	fake_gone(&second);
}

static void test_descriptors(void **state)
{
	static const struct {
		uint8_t type, len;
	} want[] = { { NVME_NIDT_EUI64, 8 },
		     { NVME_NIDT_NGUID, 16 },
		     { NVME_NIDT_UUID, 16 },
		     { NVME_NIDT_CSI, 1 } };
	const uint8_t *at = data;

	(void)state;
	assert_int_equal(admin_identify(&conn, NVME_CNS_NS_DESCS, 1, 0, data), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(at[0], want[i].type);
		assert_int_equal(at[1], want[i].len);
		if (want[i].type == NVME_NIDT_CSI)
			assert_int_equal(at[4], NVME_CSI_NVM);
		else
			assert_false(admin_is_zero(at + 4, want[i].len));
		at += 4 + want[i].len;
	}
	assert_true(admin_is_zero(at, (size_t)(data + sizeof(data) - at)));
}

/* Only a buffer of the structure's size is taken; nothing is written to any other. */
static void test_lengths(void **state)
{
	static const uint32_t lens[] = { 0, 4, 4092, 4100, 8192, 1 << 20, UINT32_MAX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		assert_int_equal(admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_IDENTIFY,
								  .cdw10 = NVME_CNS_CTRL,
								  .len = lens[i] }),
				 DNR(NVME_SC_SGL_LENGTH_INVALID));
		assert_false(admin_moved);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_controller, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discovery_controller, setup_discovery,
						teardown),
		cmocka_unit_test_setup_teardown(test_matrix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_command_sets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_namespace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endurance_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_namespace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
	};

	return cmocka_run_group_tests(tests, admin_group_setup, admin_group_teardown);
}
