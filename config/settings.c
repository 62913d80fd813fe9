/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/settings.h"

#include <assert.h>
#include <string.h>

#include "base/compiler.h"
#include "base/log.h"
#include "config/value.h"

/* A setting should read as a row does. */
/* clang-format off */

#define SECTION(KIND, plural)                                       \
	.kind = #KIND, .object_size = sizeof(struct config_##KIND), \
	.objects_offset = offsetof(struct config, plural)
#define SECTIONS_MANY(KIND, plural) \
	SECTION(KIND, plural), .count_offset = offsetof(struct config, n_##plural)

const struct section sections[SECTIONS] = {
	[SECTION_DAEMON] = {
		SECTION(daemon, daemon),
		.help = "The process.",
	},
	[SECTION_MEMORY] = {
		SECTION(memory, memory),
		.help = "The memory that data passes through. It is set aside at start.",
	},
	[SECTION_NIC] = {
		SECTIONS_MANY(nic, nics), .argument = "INTERFACE", .max = MAX_NICS,
		.help = "A network interface whose receive queues the daemon may use for zero-copy "
			"receive: its last ones, one for each worker.",
	},
	[SECTION_DISCOVERY] = {
		SECTION(discovery, discovery),
		.help = "The discovery service, which tells hosts what they may attach to.",
	},
	[SECTION_METRICS] = {
		SECTION(metrics, metrics),
		.help = "The metrics endpoint: GET /metrics answers with OpenMetrics text, for "
			"Prometheus. It asks nobody who they are.",
	},
	[SECTION_LISTENER] = {
		SECTIONS_MANY(listener, listeners), .argument = "NAME", .max = MAX_LISTENERS,
		.help = "An address that hosts connect to. At least one is needed.",
	},
	[SECTION_SUBSYSTEM] = {
		SECTIONS_MANY(subsystem, subsystems), .argument = "NQN", .max = MAX_SUBSYSTEMS,
		.help = "A subsystem: namespaces that a host attaches as one. Nobody may attach "
			"unless allow_host or allow_any_host says so.",
	},
	[SECTION_NAMESPACE] = {
		SECTIONS_MANY(namespace, namespaces), .argument = "NQN/NSID",
		.max = CONFIG_NAMESPACES_MAX,
		.help = "Namespace NSID (1 to 1024) of the subsystem NQN, and what stores its "
			"data.",
	},
	[SECTION_REFERRAL] = {
		SECTIONS_MANY(referral, referrals), .argument = "NAME", .max = MAX_REFERRALS,
		.help = "Another discovery service, which ours points hosts to.",
	},
};

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const receive_modes[] = { "auto", "recv", "zcrx-copy", NULL };
static const char *const nic_memories[] = { "user", "dmabuf", NULL };
static const char *const require_modes[] = { "none", "zerocopy", NULL };

static_assert(LOG_LEVEL_ERROR == 0 && LOG_LEVEL_WARNING == 1 && LOG_LEVEL_INFO == 2 &&
		      LOG_LEVEL_DEBUG == 3, "log_levels has the words in this order");
static_assert(CONFIG_RECEIVE_AUTO == 0 && CONFIG_RECEIVE_RECV == 1 &&
		      CONFIG_RECEIVE_ZCRX_COPY == 2, "as receive_modes");
static_assert(CONFIG_NIC_USER == 0 && CONFIG_NIC_DMABUF == 1, "as nic_memories");
static_assert(CONFIG_REQUIRE_NONE == 0 && CONFIG_REQUIRE_ZEROCOPY == 1, "as require_modes");

/* A field of the structure of section SECTION_@ID. */
#define ROW(ID, name, field)                                                           \
	.section = SECTION_##ID, .offset = offsetof(struct config_##name, field), \
	.size = sizeof(((struct config_##name *)NULL)->field)
#define GIVEN(field) .given_offset = offsetof(struct config_namespace, field)

const struct setting settings[] = {
	{
		ROW(DAEMON, daemon, workers), .key = "workers", .type = &value_number,
		.min = 1, .max = MAX_WORKERS, .zero = "auto", .def = "auto",
		.help = "Threads that serve connections, one CPU each; memory is set aside for each. "
			"auto: one for each CPU that the process may use. With more than that, "
			"none is bound to a CPU.",
	}, {
		ROW(DAEMON, daemon, control_socket), .key = "control_socket", .type = &value_path,
		.def = "/run/sluice/control.sock",
		.help = "Unix socket that sluicectl talks to.",
	}, {
		ROW(DAEMON, daemon, user), .key = "user", .type = &value_word,
		.absent = "the user is kept",
		.help = "User to become once what needs privileges is open. Capabilities are "
			"dropped in any case.",
	}, {
		ROW(DAEMON, daemon, group), .key = "group", .type = &value_word,
		.absent = "the user's own",
		.help = "Group to become along with user.",
	}, {
		ROW(DAEMON, daemon, spin_us), .key = "spin_us", .type = &value_number,
		.max = 1000, .def = "20",
		.help = "Microseconds that a worker under load polls for more before it sleeps. 0 "
			"never polls. An idle worker sleeps in any case.",
	}, {
		ROW(DAEMON, daemon, log_level), .key = "log_level", .type = &value_choice,
		.choices = log_levels, .def = "info",
		.help = "The least important messages that are logged, to standard error (the "
			"journal, under systemd). debug tells of every connection, too.",
	}, {
		ROW(DAEMON, daemon, max_connections), .key = "max_connections",
		.type = &value_number, .min = 1, .max = MAX_CONNECTIONS, .def = "1024",
		.help = "Connections served at a time. A host opens one for each of its queues: for "
			"each CPU, as a rule, and one more. Further ones are refused.",
	}, {
		ROW(DAEMON, daemon, drain_ms), .key = "drain", .type = &value_duration,
		.max = 3600000, .def = "10s",
		.help = "On a stop, the time that commands in flight get to complete; then "
			"connections are closed, and backends get as long again.",
	},

	{
		ROW(MEMORY, memory, provider), .key = "provider", .type = &value_word,
		.def = "auto",
		.help = "Where the memory comes from. memfd: pages that NVMe drives and RDMA devices "
			"can share, where the kernel has udmabuf. anon: ordinary memory. heap: a DMA "
			"heap. import: a dma-buf of another process. auto: memfd, else anon; "
			"'sluicectl datapath' says what it can do.",
	}, {
		ROW(MEMORY, memory, heap), .key = "heap", .type = &value_text,
		.def = "system",
		.help = "provider heap: the heap's name in /dev/dma_heap.",
	}, {
		ROW(MEMORY, memory, import_socket), .key = "import_socket", .type = &value_path,
		.absent = "nothing is imported",
		.help = "provider import: Unix socket of the process that gives a dma-buf to each "
			"worker.",
	}, {
		ROW(MEMORY, memory, per_worker), .key = "per_worker", .type = &value_size,
		.min = 4ull << 20, .max = 1ull << 40, .multiple = HOST_PAGE_SIZE, .def = "256M",
		.help = "Data buffers of each worker, set aside at start and never grown. A host waits "
			"when they are all in use; 'sluicectl status' counts that.",
	}, {
		ROW(MEMORY, memory, receive), .key = "receive", .type = &value_size,
		.min = 2ull << 20, .max = 1ull << 32, .multiple = 2ull << 20, .def = "64M",
		.help = "Receive area of each worker for each NIC (and for zcrx-copy, and for rdma), "
			"beside per_worker. A host is asked for no more data than fits; rdma: as many "
			"capsules as fit are received at a time.",
	},

	{
		ROW(NIC, nic, queues), .key = "queues", .type = &value_number,
		.min = 1, .max = MAX_WORKERS, .zero = "auto", .def = "auto",
		.help = "Receive queues for zero-copy receive. auto: one for each worker, but no more "
			"than stay for the rest of the machine.",
	}, {
		ROW(NIC, nic, memory), .key = "memory", .type = &value_choice,
		.choices = nic_memories, .def = "user",
		.help = "user: ordinary memory; what the NIC cannot place the kernel copies. dmabuf: "
			"the dma-buf, which no CPU of the kernel reads; for memory of a device.",
	}, {
		ROW(NIC, nic, buffer), .key = "buffer", .type = &value_size,
		.min = HOST_PAGE_SIZE, .max = 2ull << 20, .power_of_two = true, .zero = "auto",
		.def = "auto",
		.help = "Length of one receive buffer, for NICs that take longer ones than a page. "
			"auto: as long as NIC and memory admit with 4096 of them in [memory] receive. "
			"There are to be at least 256.",
	}, {
		ROW(NIC, nic, ring), .key = "ring", .type = &value_number,
		.min = 64, .max = 32768, .zero = "auto", .def = "auto",
		.help = "Entries of the NIC's receive rings. auto: as they are.",
	}, {
		ROW(NIC, nic, setup), .key = "setup", .type = &value_bool, .def = "yes",
		.help = "yes: header split, queues and steering are set at start and undone at the "
			"end. no: somebody else has set them.",
	},

	{
		ROW(DISCOVERY, discovery, port), .key = "port", .type = &value_number,
		.min = 1, .max = 65535, .zero = "none", .def = "8009",
		.help = "TCP port for discovery, opened on the address of every TCP listener. "
			"Discovery works on the listeners themselves in any case.",
	}, {
		ROW(DISCOVERY, discovery, nqn), .key = "nqn", .type = &value_nqn,
		.absent = "only the well-known name",
		.help = "Unique name of this discovery service, which tells hosts to keep the "
			"connection apart from those to other discovery services.",
	},

	{
		ROW(METRICS, metrics, port), .key = "port", .type = &value_number,
		.min = 1, .max = 65535, .zero = "none", .def = "none",
		.help = "TCP port of the metrics endpoint. none: there is no such endpoint.",
	}, {
		ROW(METRICS, metrics, address), .key = "address", .type = &value_address,
		.def = "127.0.0.1",
		.help = "Address of the metrics endpoint. What is not on this machine reaches it only "
			"at an address of the network: one that storage hosts do not reach.",
	},

	{
		ROW(LISTENER, listener, transport), .key = "transport", .type = &value_word,
		.def = "tcp",
		.help = "How hosts connect: tcp, or rdma (RoCE, InfiniBand), which needs an RDMA device "
			"that has the address.",
	}, {
		ROW(LISTENER, listener, address), .key = "address", .type = &value_address,
		.def = "0.0.0.0",
		.help = "Address to listen on. 0.0.0.0 is all of IPv4, :: is all of IPv6. One that "
			"the machine does not have yet is tried every second.",
	}, {
		ROW(LISTENER, listener, port), .key = "port", .type = &value_number,
		.min = 1, .max = 65535, .def = "4420",
		.help = "Port to listen on.",
	}, {
		ROW(LISTENER, listener, receive), .key = "receive", .type = &value_choice,
		.choices = receive_modes, .def = "auto",
		.help = "auto: zero-copy receive for connections that come by a [nic INTERFACE] which "
			"can do it, else recv. recv: straight to the buffers of commands. zcrx-copy: the "
			"kernel copies to the receive area, which needs no such NIC.",
	}, {
		ROW(LISTENER, listener, require), .key = "require", .type = &value_choice,
		.choices = require_modes, .def = "none",
		.help = "zerocopy: do not start (exit status 78) when received data would be copied.",
	}, {
		ROW(LISTENER, listener, in_capsule), .key = "in_capsule", .type = &value_size,
		.max = 16384, .multiple = 16, .def = "16K",
		.help = "Data that a host may send along with a write command on an I/O queue, "
			"which saves a round trip for small writes.",
	}, {
		ROW(LISTENER, listener, r2t_window), .key = "r2t_window", .type = &value_size,
		.min = 4096, .max = 1ull << 30, .multiple = 4096, .def = "1M",
		.help = "Data that one connection may be asked to send at a time; at most "
			"[memory] per_worker. With less than 1M long writes are asked for in "
			"parts, of which Linux hosts up to 7.3 may fail to send the second.",
	}, {
		ROW(LISTENER, listener, send_zc_min), .key = "send_zc_min", .type = &value_size,
		.min = 4096, .max = MAX_TRANSFER, .multiple = 512, .zero = "never", .def = "32K",
		.help = "Reads of this size and more are sent by zero-copy, where kernel and NIC "
			"can do it.",
	}, {
		ROW(LISTENER, listener, stall_timeout_ms), .key = "stall_timeout",
		.type = &value_duration, .min = 1000, .max = 3600000, .def = "60s",
		.help = "Time for the next byte of data that a host was asked for, of a PDU that it "
			"began, or of what it is to take; then its connection is closed. The default "
			"is twice the time after which Linux gives up an I/O. TCP only.",
	}, {
		ROW(LISTENER, listener, header_digest), .key = "header_digest",
		.type = &value_bool, .def = "yes",
		.help = "Grant header digests (CRC32C) to hosts that ask for them. TCP only.",
	}, {
		ROW(LISTENER, listener, data_digest), .key = "data_digest", .type = &value_bool,
		.def = "yes",
		.help = "Grant data digests (CRC32C) to hosts that ask for them. TCP only.",
	}, {
		ROW(LISTENER, listener, discovery_only), .key = "discovery_only",
		.type = &value_bool, .def = "no",
		.help = "Serve discovery here and no subsystem.",
	},

	{
		ROW(SUBSYSTEM, subsystem, hosts), .key = "allow_host", .type = &value_hosts,
		.absent = "nobody",
		.help = "Host NQN that may attach ('nvme show-hostnqn' prints a host's). Repeatable.",
	}, {
		ROW(SUBSYSTEM, subsystem, hosts.any), .key = "allow_any_host", .type = &value_bool,
		.def = "no",
		.help = "Every host that reaches a listener may attach. Instead of allow_host.",
	}, {
		ROW(SUBSYSTEM, subsystem, serial), .key = "serial", .type = &value_text,
		.absent = "derived from the NQN",
		.help = "Serial number that hosts see.",
	}, {
		ROW(SUBSYSTEM, subsystem, model), .key = "model", .type = &value_text,
		.absent = "the drive's, where one NVMe drive is all of the subsystem; else Sluice's",
		.help = "Model number that hosts see. Without one it is decided when the subsystem comes, and "
			"stays, as its firmware revision does, whatever namespaces come and go.",
	}, {
		ROW(SUBSYSTEM, subsystem, max_io_queues), .key = "max_io_queues",
		.type = &value_number, .min = 1, .max = MAX_IO_QUEUES, .def = "128",
		.help = "I/O queues of one controller. A host asks for one per CPU, mostly.",
	}, {
		ROW(SUBSYSTEM, subsystem, max_queue_depth), .key = "max_queue_depth",
		.type = &value_number, .min = MIN_ADMIN_DEPTH, .max = MAX_QUEUE_DEPTH,
		.def = "1024",
		.help = "Most commands that a host may have in flight on one queue. A host asks for "
			"as many as it wants (Linux: 128).",
	}, {
		ROW(SUBSYSTEM, subsystem, cntlid_min), .key = "cntlid_min", .type = &value_number,
		.min = 1, .max = MAX_CNTLID, .def = "1",
		.help = "Lowest controller ID. Two targets that serve one subsystem need ranges "
			"that do not overlap.",
	}, {
		ROW(SUBSYSTEM, subsystem, cntlid_max), .key = "cntlid_max", .type = &value_number,
		.min = 1, .max = MAX_CNTLID, .def = "65519",
		.help = "Highest controller ID.",
	}, {
		ROW(SUBSYSTEM, subsystem, max_transfer), .key = "max_transfer", .type = &value_size,
		.min = HOST_PAGE_SIZE, .max = MAX_TRANSFER, .power_of_two = true, .def = "1M",
		.help = "Most data of one command (MDTS). Hosts split what is larger.",
	},

	{
		ROW(NAMESPACE, namespace, backend), .key = "backend", .type = &value_word,
		.required = true,
		.help = "What stores the data: block (a device), file (created when it does not "
			"exist and size is given), ram (gone after a stop), null (reads zeros).",
	}, {
		ROW(NAMESPACE, namespace, path), .key = "path", .type = &value_path,
		.absent = "none",
		.help = "The device or file. Needed for file, and for block without device_serial.",
	}, {
		ROW(NAMESPACE, namespace, device_serial), .key = "device_serial",
		.type = &value_text, .absent = "none",
		.help = "block: the NVMe drive with this serial number, instead of path.",
	}, {
		ROW(NAMESPACE, namespace, size), .key = "size", .type = &value_size,
		.min = 512, .max = 1ull << 50, .multiple = 512, .zero = "auto", .def = "auto",
		.help = "Needed for ram and null. file: size to create it with, or to grow it to; "
			"it is never cut. block: not given, it is the device's. auto: what is there.",
	}, {
		ROW(NAMESPACE, namespace, block_size), .key = "block_size", .type = &value_size,
		.min = 1 << MIN_BLOCK_SHIFT, .max = 1 << MAX_BLOCK_SHIFT, .power_of_two = true,
		.zero = "auto", .def = "auto",
		.help = "Logical block size that hosts see, no less than the device's own. auto: the "
			"device's own; for files the least that direct I/O works with; 512 for ram "
			"and null.",
	}, {
		ROW(NAMESPACE, namespace, uuid), .key = "uuid", .type = &value_uuid,
		GIVEN(has_uuid), .absent = "derived from NQN and NSID",
		.help = "UUID that hosts recognise the namespace by. Two targets that serve the same "
			"data need the same.",
	}, {
		ROW(NAMESPACE, namespace, nguid), .key = "nguid", .type = &value_hex,
		GIVEN(has_nguid), .absent = "derived from NQN and NSID",
		.help = "NGUID that hosts recognise the namespace by.",
	}, {
		ROW(NAMESPACE, namespace, eui64), .key = "eui64", .type = &value_hex,
		GIVEN(has_eui64), .absent = "none",
		.help = "EUI-64 that hosts recognise the namespace by.",
	}, {
		ROW(NAMESPACE, namespace, hosts), .key = "allow_host", .type = &value_hosts,
		.absent = "every host of the subsystem",
		.help = "Host NQN that sees the namespace; others that attach to the subsystem do "
			"not. Repeatable.",
	}, {
		ROW(NAMESPACE, namespace, read_only), .key = "read_only", .type = &value_bool,
		.def = "no",
		.help = "Writes are refused, and hosts are told that they will be.",
	}, {
		ROW(NAMESPACE, namespace, allow_mounted), .key = "allow_mounted",
		.type = &value_bool, .def = "no",
		.help = "Serve a device even if it is mounted or in use. This destroys a file "
			"system that both sides write to.",
	}, {
		ROW(NAMESPACE, namespace, ana_group), .key = "ana_group", .type = &value_number,
		.min = 1, .max = MAX_ANA_GROUPS, .def = "1",
		.help = "ANA group that hosts are told the namespace belongs to. Every group is "
			"always optimized.",
	}, {
		ROW(NAMESPACE, namespace, fault), .key = "fault", .type = &value_faults,
		.absent = "none",
		.help = "For tests of hosts: a rule by which commands fail or wait, such as 'read "
			"error=EIO every=100' or 'write delay=50ms'. Repeatable.",
	},

	{
		ROW(REFERRAL, referral, transport), .key = "transport", .type = &value_word,
		.def = "tcp",
		.help = "How hosts connect to it: tcp or rdma.",
	}, {
		ROW(REFERRAL, referral, address), .key = "address", .type = &value_address,
		.required = true,
		.help = "Address of the other discovery service.",
	}, {
		ROW(REFERRAL, referral, port), .key = "port", .type = &value_number,
		.min = 1, .max = 65535, .def = "8009",
		.help = "Port of the other discovery service.",
	}, {
		ROW(REFERRAL, referral, nqn), .key = "nqn", .type = &value_nqn,
		.def = NQN_DISCOVERY_WELL_KNOWN,
		.help = "Name of the other discovery service; the default is the well-known one.",
	},
};

/* clang-format on */

const unsigned n_settings = ARRAY_SIZE(settings);

const struct setting *section_settings(enum section_id section, unsigned *n)
{
	unsigned first = 0, end;

	while (settings[first].section != section)
		first++;
	for (end = first; end < n_settings && settings[end].section == section; end++)
		;
	*n = end - first;
	assert(*n <= SETTINGS_PER_SECTION_MAX);
	return &settings[first];
}

unsigned section_count(const struct config *config, enum section_id section)
{
	if (!sections[section].argument)
		return 1;
	return *(const unsigned *)((const char *)config + sections[section].count_offset);
}

void *section_object(const struct config *config, enum section_id section, unsigned index)
{
	const struct section *kind = &sections[section];
	char *field = (char *)config + kind->objects_offset;

	if (!kind->argument)
		return field;
	return *(char **)field + index * kind->object_size;
}

void section_label(const struct config *config, enum section_id section, unsigned index,
		   char *label)
{
	const char *kind = sections[section].kind;
	const void *object = section_object(config, section, index);
	const struct config_namespace *ns = object;

	switch (section) {
	case SECTION_NIC:
		snprintf(label, SECTION_LABEL_MAX, "[%s %s]", kind,
			 ((const struct config_nic *)object)->name);
		break;
	case SECTION_LISTENER:
		snprintf(label, SECTION_LABEL_MAX, "[%s %s]", kind,
			 ((const struct config_listener *)object)->name);
		break;
	case SECTION_SUBSYSTEM:
		snprintf(label, SECTION_LABEL_MAX, "[%s %s]", kind,
			 ((const struct config_subsystem *)object)->nqn);
		break;
	case SECTION_NAMESPACE:
		snprintf(label, SECTION_LABEL_MAX, "[%s %s/%u]", kind, ns->subsystem, ns->nsid);
		break;
	case SECTION_REFERRAL:
		snprintf(label, SECTION_LABEL_MAX, "[%s %s]", kind,
			 ((const struct config_referral *)object)->name);
		break;
	default:
		snprintf(label, SECTION_LABEL_MAX, "[%s]", kind);
	}
}

void section_defaults(enum section_id section, void *object)
{
	unsigned n;
	const struct setting *rows = section_settings(section, &n);

	for (unsigned i = 0; i < n; i++) {
		int rc = rows[i].def ? rows[i].type->parse(&rows[i], object, rows[i].def) : 0;

		assert(rc == 0);
		(void)rc;
	}
}
