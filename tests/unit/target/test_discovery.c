/* SPDX-License-Identifier: BSD-3-Clause */
#include "admin_rig.h"

enum { LOG_ENTRIES = 16 };

static struct fake_conn conn;

static union {
	struct nvmf_discovery_log header;
	uint8_t bytes[sizeof(struct nvmf_discovery_log) +
		      LOG_ENTRIES * sizeof(struct nvmf_discovery_entry)];
} wire;

struct want {
	uint8_t subtype, adrfam;
	const char *nqn, *traddr, *trsvcid;
};

static struct listener *listener_at(const char *address, uint16_t port)
{
	for (unsigned i = 0; i < n_listeners; i++)
		if (listeners[i]->config->port == port &&
		    !strcmp(listeners[i]->config->address, address))
			return listeners[i];
	fail_msg("no listener on %s port %u", address, port);
	return NULL;
}

static void attach(const struct fake_host *host, struct listener *listener, const char *local)
{
	fake_open(&conn, &workers[0], listener, local);
	assert_int_equal(fake_connect(&conn, host, NVME_DISCOVERY_NQN, 0, NVMF_CNTLID_DYNAMIC), 0);
	assert_int_equal(fake_property_set(&conn, NVME_PROP_CC, NVME_CC_EN), 0);
}

static void read_log(void)
{
	memset(&wire, 0xee, sizeof(wire));
	assert_int_equal(admin_log(&conn, NVME_LOG_DISCOVERY, 0, 0, 0, sizeof(wire), &wire), 0);
}

/* The field holds @text, then spaces to its end. */
static void assert_padded(const char *field, size_t size, const char *text)
{
	size_t len = strlen(text);

	assert_memory_equal(field, text, len);
	for (size_t i = len; i < size; i++)
		assert_int_equal(field[i], ' ');
}

static void expect(const struct want *want, unsigned n)
{
	read_log();
	assert_int_equal(le64_get(wire.header.numrec), n);
	assert_int_equal(le16_get(wire.header.recfmt), 0);
	for (unsigned i = 0; i < n; i++) {
		const struct nvmf_discovery_entry *entry = &wire.header.entries[i];
		bool self = want[i].subtype == NVMF_SUBTYPE_CURRENT;

		assert_int_equal(entry->trtype, NVMF_TRTYPE_TCP);
		assert_int_equal(entry->adrfam, want[i].adrfam);
		assert_int_equal(entry->subtype, want[i].subtype);
		assert_int_equal(entry->treq, NVMF_TREQ_DISABLE_SQFLOW);
		assert_int_equal(le16_get(entry->cntlid), 0xffff);
		assert_int_equal(le16_get(entry->asqsz), 32);
		assert_int_equal(le16_get(entry->eflags), self ? 3 : 0);
		assert_int_equal(le16_get(entry->portid) != 0,
				 want[i].subtype != NVMF_SUBTYPE_REFERRAL);
		assert_padded(entry->traddr, sizeof(entry->traddr), want[i].traddr);
		assert_padded(entry->trsvcid, sizeof(entry->trsvcid), want[i].trsvcid);
		assert_string_equal(entry->subnqn, want[i].nqn);
		assert_true(admin_is_zero(entry->tsas, sizeof(entry->tsas)));
	}
	assert_true(admin_is_zero(&wire.header.entries[n],
				  (LOG_ENTRIES - n) * sizeof(wire.header.entries[0])));
}

/* A wildcard is shown as the address that the host came to; who may not attach does not see. */
static void test_entries(void **state)
{
	static const struct want all[] = {
		{ NVMF_SUBTYPE_CURRENT, 1, NVME_DISCOVERY_NQN, "198.51.100.9", "4420" },
		{ NVMF_SUBTYPE_NVM, 1, ADMIN_NQN, "198.51.100.9", "4420" },
		{ NVMF_SUBTYPE_NVM, 1, ADMIN_NQN, "192.0.2.7", "4421" },
		{ NVMF_SUBTYPE_REFERRAL, 2, NVME_DISCOVERY_NQN, "2001:db8::1", "8010" },
	};

	(void)state;
	attach(&fake_host, listener_at("0.0.0.0", 4420), "198.51.100.9");
	expect(all, ARRAY_SIZE(all));
	fake_gone(&conn);
}

static void test_other_host(void **state)
{
	static const struct want all[] = {
		{ NVMF_SUBTYPE_CURRENT, 1, NVME_DISCOVERY_NQN, "192.0.2.7", "4421" },
		{ NVMF_SUBTYPE_NVM, 1, ADMIN_NQN, "192.0.2.7", "4420" },
		{ NVMF_SUBTYPE_NVM, 1, ADMIN_OTHER, "192.0.2.7", "4420" },
		{ NVMF_SUBTYPE_NVM, 1, ADMIN_NQN, "192.0.2.7", "4421" },
		{ NVMF_SUBTYPE_NVM, 1, ADMIN_OTHER, "192.0.2.7", "4421" },
		{ NVMF_SUBTYPE_REFERRAL, 2, NVME_DISCOVERY_NQN, "2001:db8::1", "8010" },
	};

	(void)state;
	attach(&admin_host2, listener_at("192.0.2.7", 4421), "192.0.2.7");
	expect(all, ARRAY_SIZE(all));
	fake_gone(&conn);
}

static void test_discovery_listener(void **state)
{
	static const struct want all[] = {
		{ NVMF_SUBTYPE_CURRENT, 1, NVME_DISCOVERY_NQN, "127.0.0.1", "8009" },
		{ NVMF_SUBTYPE_NVM, 1, ADMIN_NQN, "127.0.0.1", "4420" },
		{ NVMF_SUBTYPE_NVM, 1, ADMIN_NQN, "192.0.2.7", "4421" },
		{ NVMF_SUBTYPE_REFERRAL, 2, NVME_DISCOVERY_NQN, "2001:db8::1", "8010" },
	};

	(void)state;
	attach(&fake_host, listener_at("0.0.0.0", 8009), "127.0.0.1");
	expect(all, ARRAY_SIZE(all));
	fake_gone(&conn);
}

static void post(struct listener *listener, struct msg *msg)
{
	loop_post(&listener->worker->loop, msg);
	fake_settle(listener->worker);
}

/* The generation moves when the log does, at no other time, and whoever keeps a connection is told.
 */
static void test_generation(void **state)
{
	struct listener *two = listener_at("192.0.2.7", 4421);
	struct fake_call event;
	uint64_t before, after;

	(void)state;
	attach(&fake_host, listeners[0], "127.0.0.1");
	assert_int_equal(admin_set_feature(&conn, NVME_FEAT_ASYNC_EVENT, NVME_AEN_DISCOVERY), 0);
	admin_begin(&conn, &(struct admin){ .opcode = NVME_ADMIN_ASYNC_EVENT }, &event);
	read_log();
	before = le64_get(wire.header.genctr);
	read_log();
	assert_int_equal(le64_get(wire.header.genctr), before);
	assert_int_equal(discovery_genctr(), before);
	assert_int_equal(le64_get(wire.header.numrec), 4);

	post(two, &two->stop_msg);
	assert_int_equal(admin_finish(&event), 0);
	assert_int_equal(admin_dw0, 0x70f002);
	read_log();
	after = le64_get(wire.header.genctr);
	assert_true(after > before);
	assert_int_equal(le64_get(wire.header.numrec), 3);

	admin_begin(&conn, &(struct admin){ .opcode = NVME_ADMIN_ASYNC_EVENT }, &event);
	/* An address that is not there: nothing new to see, so nothing is said. */
	__atomic_store_n(&fake_listen_error, -EADDRNOTAVAIL, __ATOMIC_RELAXED);
	post(two, &two->start_msg);
	assert_int_equal(discovery_genctr(), after);
	__atomic_store_n(&fake_listen_error, 0, __ATOMIC_RELAXED);
	assert_int_equal(admin_finish(&event), 0); /* the retry found it */
	read_log();
	assert_true(le64_get(wire.header.genctr) > after);
	assert_int_equal(le64_get(wire.header.numrec), 4);
	fake_gone(&conn);
}

/* A log that is read in pieces, as hosts do: header, entries, header. */
static void test_pieces(void **state)
{
	struct nvmf_discovery_entry entry;
	uint8_t header[20];

	(void)state;
	attach(&fake_host, listeners[0], "127.0.0.1");
	read_log();
	assert_int_equal(admin_log(&conn, NVME_LOG_DISCOVERY, 0, 0, 0, sizeof(header), header), 0);
	assert_memory_equal(header, &wire.header, sizeof(header));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(admin_log(&conn, NVME_LOG_DISCOVERY, 0, 0,
					   sizeof(wire.header) + i * sizeof(entry), sizeof(entry),
					   &entry),
				 0);
		assert_memory_equal(&entry, &wire.header.entries[i], sizeof(entry));
	}
	fake_gone(&conn);
}

/* What a discovery controller does not do. */
static void test_commands(void **state)
{
	static const uint8_t have[] = { 0x02, 0x06, 0x09, 0x0a, 0x0c, 0x18 };
	struct fake_call event;

	(void)state;
	attach(&fake_host, listeners[0], "127.0.0.1");
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		if (opcode == NVME_OPCODE_FABRICS || memchr(have, (int)opcode, sizeof(have)))
			continue;
		assert_int_equal(admin_run(&conn, (struct admin){ .opcode = (uint8_t)opcode }),
				 DNR(NVME_SC_INVALID_OPCODE));
	}
	assert_int_equal(admin_run(&conn, (struct admin){ .opcode = NVME_ADMIN_KEEP_ALIVE }), 0);
	admin_begin(&conn, &(struct admin){ .opcode = NVME_ADMIN_ASYNC_EVENT }, &event);
	fake_gone(&conn);
}

static void test_unique_name(void **state)
{
	struct nvme_id_ctrl id;

	(void)state;
	snprintf(fake_config.discovery.nqn, sizeof(fake_config.discovery.nqn), "%s",
		 "nqn.2014-08.io.example:discovery");
	attach(&fake_host, listeners[0], "127.0.0.1");
	read_log();
	assert_string_equal(wire.header.entries[0].subnqn, "nqn.2014-08.io.example:discovery");
	assert_int_equal(admin_identify(&conn, NVME_CNS_CTRL, 0, 0, &id), 0);
	assert_string_equal(id.subnqn, "nqn.2014-08.io.example:discovery");
	fake_gone(&conn);
	fake_config.discovery.nqn[0] = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_other_host),
		cmocka_unit_test(test_discovery_listener),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_unique_name),
	};

	return cmocka_run_group_tests(tests, admin_group_setup, admin_group_teardown);
}
