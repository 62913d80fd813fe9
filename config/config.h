/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration as the program uses it: read from one INI file and its drop-ins, validated,
 * constant afterwards; a reload makes another one. Every setting is one row of the table in settings.c; these
 * structures are what the rows fill in. Strings are NUL-terminated and bounded.
 */
#ifndef SLUICE_CONFIG_CONFIG_H
#define SLUICE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/limits.h"

enum {
	CONFIG_NAME_MAX = 64,
	CONFIG_PATH_MAX = 256,
	CONFIG_NQN_MAX = 224, /* 223 bytes and a NUL */
	CONFIG_ADDRESS_MAX = 64,
	CONFIG_FAULT_RULES = 8,
	CONFIG_FAULT_RULE_MAX = 96,
	CONFIG_HOSTS_MAX = 4096,      /* in one allow list */
	CONFIG_NAMESPACES_MAX = 4096, /* of all subsystems together */
	CONFIG_FILES_MAX = 64,        /* the file and its drop-ins */
	CONFIG_FILE_BYTES_MAX = 1 << 20,
};

/* Where something was written, for messages. */
struct config_where {
	const char *file; /* owned by the configuration */
	int line;         /* from 1; 0: the file as a whole */
};

struct config_hosts {
	char (*nqn)[CONFIG_NQN_MAX]; /* owned */
	unsigned n;
	bool any;
};

enum config_require { CONFIG_REQUIRE_NONE, CONFIG_REQUIRE_ZEROCOPY };
enum config_receive {
	CONFIG_RECEIVE_AUTO, /* zero-copy for connections that come by a NIC which can, else recv */
	CONFIG_RECEIVE_RECV,
	CONFIG_RECEIVE_ZCRX_COPY, /* without a NIC: the kernel copies to the receive area */
};
enum config_nic_memory { CONFIG_NIC_USER, CONFIG_NIC_DMABUF };

struct config_daemon {
	unsigned workers; /* 0: one per CPU that the process may use */
	char control_socket[108];
	char user[CONFIG_NAME_MAX];  /* empty: keep the user, drop capabilities */
	char group[CONFIG_NAME_MAX]; /* empty: the user's own */
	uint32_t spin_us;            /* 0..1000 */
	unsigned log_level;          /* enum log_level */
	unsigned max_connections;
	uint32_t drain_ms;           /* on SIGTERM, for commands in flight */
};

struct config_memory {
	char provider[CONFIG_NAME_MAX]; /* "auto" or an area provider's name */
	char heap[CONFIG_NAME_MAX];     /* provider heap: its name below /dev/dma_heap */
	char import_socket[108];        /* provider import: of the process that exports; empty: none */
	uint64_t per_worker;            /* bytes of data buffers; at least 4 MiB */
	uint64_t receive;               /* bytes of each worker's receive area, for each NIC */
};

struct config_nic {
	char name[CONFIG_NAME_MAX]; /* of the interface */
	struct config_where where;
	unsigned queues;            /* for zero-copy receive; 0: one for each worker */
	enum config_nic_memory memory;
	uint32_t buffer;            /* bytes of one receive buffer; 0: auto */
	uint32_t ring;              /* entries of a receive ring; 0: as it is */
	bool setup;                 /* false: the NIC is prepared by somebody else */
};

struct config_discovery {
	uint16_t port; /* discovery port opened beside each TCP listener's address; 0: none */
	char nqn[CONFIG_NQN_MAX]; /* unique discovery NQN; empty: only the well-known one */
};

struct config_metrics {
	char address[CONFIG_ADDRESS_MAX]; /* numeric IPv4 or IPv6 */
	uint16_t port;                    /* 0: none */
};

struct config_listener {
	char name[CONFIG_NAME_MAX];
	struct config_where where;
	char transport[CONFIG_NAME_MAX];  /* registered transport: "tcp" */
	char address[CONFIG_ADDRESS_MAX]; /* numeric IPv4 or IPv6 */
	uint16_t port;
	enum config_receive receive;
	enum config_require require;
	uint32_t in_capsule;  /* bytes of data in a capsule of I/O queues: 0..16384, by 16 */
	uint32_t r2t_window;  /* bytes granted to one connection at a time */
	uint32_t send_zc_min; /* bytes of a read from which on it is sent by zero-copy; 0: never */
	uint32_t stall_timeout_ms; /* 1000..3600000: for the next byte that a host owes, or is to take */
	bool header_digest;   /* false: refused when a host asks */
	bool data_digest;
	bool discovery_only;
};

struct config_subsystem {
	char nqn[CONFIG_NQN_MAX];
	struct config_where where;
	char serial[21];
	char model[41]; /* empty: subsys_settle() decides */
	struct config_hosts hosts;
	unsigned max_io_queues;   /* 1..MAX_IO_QUEUES */
	unsigned max_queue_depth; /* MIN_ADMIN_DEPTH..MAX_QUEUE_DEPTH */
	uint16_t cntlid_min, cntlid_max;
	uint32_t max_transfer; /* bytes, power of two, 4096..MAX_TRANSFER */
};

struct config_namespace {
	char subsystem[CONFIG_NQN_MAX];
	uint32_t nsid;
	struct config_where where;
	char backend[CONFIG_NAME_MAX];
	char path[CONFIG_PATH_MAX];
	char device_serial[CONFIG_NAME_MAX]; /* block: the drive by serial number instead of path */
	uint64_t size;        /* file: created with it; ram, null: required; 0: what is there */
	uint32_t block_size;  /* 0: the backend's own */
	bool has_uuid, has_nguid, has_eui64; /* uuid and nguid: always, once loaded */
	uint8_t uuid[16];     /* derived from the subsystem NQN and NSID when not given */
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct config_hosts hosts; /* masking; any when the list is empty and not given */
	bool read_only;
	bool allow_mounted; /* serve a block device that is mounted or otherwise claimed */
	uint32_t ana_group; /* 1..MAX_ANA_GROUPS */
	char fault[CONFIG_FAULT_RULES][CONFIG_FAULT_RULE_MAX];
	unsigned n_faults;
};

struct config_referral {
	char name[CONFIG_NAME_MAX];
	struct config_where where;
	char transport[CONFIG_NAME_MAX];
	char address[CONFIG_ADDRESS_MAX];
	uint16_t port;
	char nqn[CONFIG_NQN_MAX]; /* discovery NQN of the other end; default the well-known one */
};

struct config {
	struct config_daemon daemon;
	struct config_memory memory;
	struct config_discovery discovery;
	struct config_metrics metrics;
	struct config_nic *nics;
	unsigned n_nics;
	struct config_listener *listeners;
	unsigned n_listeners;
	struct config_subsystem *subsystems;
	unsigned n_subsystems;
	struct config_namespace *namespaces; /* sorted by subsystem (order of the file) and NSID */
	unsigned n_namespaces;
	struct config_referral *referrals;
	unsigned n_referrals;
	/* Where each setting of the sections that there is one of was set last; by its row. Owned. */
	struct config_where *where;
	char **files; /* names of all files read, owned */
	unsigned n_files;
};

/*
 * Reads @path and the drop-ins @path.d/[*].conf in the order of their names, fills in defaults and
 * validates all of it. 0, or negative errno after each fault was given to @report as one line
 * "file:line: what is wrong; what to do" (@arg is passed on). Frees everything on failure.
 */
int config_load(struct config *config, const char *path,
		void (*report)(void *arg, const char *message), void *arg);

/* As config_load(), from @text of @len bytes called @name: for tests and fuzzing; no drop-ins. */
int config_parse(struct config *config, const char *name, const char *text, size_t len,
		 void (*report)(void *arg, const char *message), void *arg);

void config_free(struct config *config);

/* Writes the effective configuration, defaults included, as an INI file that reads back alike. */
void config_dump(const struct config *config, FILE *out);

/* Writes the manual of all settings (section, key, type, default, help) as plain text. */
void config_help(FILE *out);

/* True when @nqn is a well-formed NVMe Qualified Name of at most 223 bytes (Base 4.7). */
bool config_nqn_valid(const char *nqn);

/* True when the host is on the list, or the list admits any. */
bool config_hosts_allow(const struct config_hosts *hosts, const char *hostnqn);

#endif
