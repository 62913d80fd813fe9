/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An NVMe over Fabrics host in user space, over TCP or RDMA: one association (an admin queue and I/O
 * queues) with one controller, driven by one io_uring on one thread. It is strict: what a Linux host
 * checks it checks too, and more, and the first rule that the controller breaks ends the association
 * with a message.
 */
#ifndef SLUICE_BENCH_INITIATOR_H
#define SLUICE_BENCH_INITIATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/nvme.h"
#include "base/nvme_status.h"

enum {
	INITIATOR_MAX_QUEUES = 1024,
	INITIATOR_MAX_DEPTH = 1024,
	INITIATOR_MAX_R2T = 4,
	INITIATOR_ADMIN_ENTRIES = 32,
	INITIATOR_ERROR_MAX = 384,
	INITIATOR_REGIONS = 4,
	INITIATOR_BOUNCE = 4096, /* bytes of data outside of any region, over RDMA */
};

enum initiator_transport { INITIATOR_TCP, INITIATOR_RDMA };

struct initiator_options {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct sockaddr_storage host_addr; /* this host's own, to connect from */
	socklen_t host_addr_len;	   /* 0: whatever leads there */
	const char *peer;    /* "ADDRESS:PORT", for messages; the caller's for the whole life */
	char subnqn[NVME_NQN_LEN];
	char hostnqn[NVME_NQN_LEN];
	uint8_t hostid[16];
	unsigned queues;     /* I/O queues, 0 to INITIATOR_MAX_QUEUES; the controller may grant fewer */
	unsigned depth;      /* commands in flight on each I/O queue, 1 to INITIATOR_MAX_DEPTH */
	bool discovery;      /* the subsystem is a discovery subsystem */
	enum initiator_transport transport;
	bool hdgst;          /* TCP */
	bool ddgst;          /* TCP */
	bool invalidate;     /* RDMA: a memory window for each command, invalidated by its response */
	bool disable_sqflow;
	bool spin;           /* never block while waiting */
	uint32_t maxr2t;     /* TCP: outstanding R2Ts a command, 1 to INITIATOR_MAX_R2T */
	uint32_t kato_ms;    /* 0: no keep alive */
	uint32_t connect_timeout_ms; /* for each answer while connecting, and each admin command */
	uint32_t io_timeout_ms;      /* a command that takes longer ends the association */
};

/* How a command ended, beside its NVMe status. */
enum initiator_outcome {
	INITIATOR_DONE, /* the controller answered: see status */
	INITIATOR_LOST, /* the association ended before the answer: it may or may not have run */
};

/*
 * A command. The caller owns it and its data from initiator_submit() until done(); done() may submit
 * it again, but not poll. In @sqe the caller sets opcode, NSID and CDW10 to CDW15.
 */
struct initiator_cmd {
	struct nvme_sqe sqe;
	uint8_t *data;    /* to or from the controller; NULL: what is read is dropped */
	uint32_t len;     /* bytes to transfer */
	bool to_ctrl;     /* direction */
	void (*done)(struct initiator_cmd *cmd);
	void *arg;        /* the caller's */

	enum initiator_outcome outcome;
	uint16_t status;  /* enum nvme_status with DNR and More */
	uint32_t result;  /* DW0 and DW1 of the completion */
	uint32_t result_hi;
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t end_ns;
};

struct initiator_counters {
	uint64_t turns;
	uint64_t enters;
	uint64_t rx_bytes;
	uint64_t tx_bytes;
	uint64_t events;      /* asynchronous events received */
	uint64_t keep_alives;
	uint64_t connects;
	uint64_t keys_ended;  /* RDMA: responses that invalidated their command's key */
};

struct initiator;

/* Allocates an association, not connected. 0 or a negative errno (io_uring missing or forbidden). */
int initiator_init(struct initiator **in, const struct initiator_options *options);

/* Connects all queues, enables and identifies the controller; blocks. On a failure the reason is
 * initiator_error() and initiator_may_retry() says whether a host would try again. */
int initiator_connect(struct initiator *in);

/* Shuts the controller down (CC.SHN) where it still answers, closes and frees everything. */
void initiator_fini(struct initiator *in);

/* As after initiator_connect(), but over sockets that are connected already, one an I/O queue, and
 * without any handshake: for a peer that speaks the data path alone. Takes the descriptors over. */
int initiator_adopt(struct initiator *in, const int *fds, unsigned n);

/*
 * Tells of memory at @base that data of commands will lie in; over RDMA it is registered, now and for
 * every new connection. Data elsewhere is copied there and may have INITIATOR_BOUNCE bytes. @base has
 * to outlive initiator_region_remove(), which no command may be in flight for. 0, -ENOSPC (more than
 * INITIATOR_REGIONS), or another negative errno, see initiator_error().
 */
int initiator_region_add(struct initiator *in, void *base, size_t len);
void initiator_region_remove(struct initiator *in, const void *base);

/* Whether data has to lie somewhere: over TCP a NULL @data costs nothing, over RDMA a bounce. */
bool initiator_places_data(const struct initiator *in);

/* Queues @cmd on queue @qid (0: admin). -EAGAIN: the queue is full; -ENOTCONN: no association;
 * -EINVAL: over RDMA, data outside of any region that is too long to be copied. */
int initiator_submit(struct initiator *in, unsigned qid, struct initiator_cmd *cmd);

/*
 * Sends what is queued, waits for something to arrive for at most @timeout_ns, and completes
 * commands. 0, or a negative errno when the association is lost: then every command was given back
 * and initiator_error() says why.
 */
int initiator_poll(struct initiator *in, uint64_t timeout_ns);

/* Runs one admin command to its end. Its status (0: success), or a negative errno: association lost. */
int initiator_admin(struct initiator *in, struct initiator_cmd *cmd);

/* Identify into 4096 bytes at @data. Returns as initiator_admin(). */
int initiator_identify(struct initiator *in, enum nvme_cns cns, uint8_t csi, uint32_t nsid,
		       void *data);

/* @len bytes (a multiple of 4, at most 4096) of a log page from @offset. As initiator_admin(). */
int initiator_log_page(struct initiator *in, uint8_t page, uint32_t nsid, uint64_t offset,
		       void *data, uint32_t len);

/* A namespace as a Linux host finds it. */
struct initiator_ns {
	uint32_t nsid;
	uint32_t block_size; /* bytes */
	uint64_t blocks;
	struct nvme_id_ns id;
	uint8_t uuid[16];    /* zero: not reported */
	uint8_t nguid[16];
	uint8_t eui64[8];
	bool read_only;
};

/*
 * Asks for @nsid what a Linux host asks (CNS 03h, 08h, 00h and 05h) and checks the answers like it.
 * 0, an NVMe status, or a negative errno (EBADMSG: a host would not attach it), see initiator_error().
 */
int initiator_ns_read(struct initiator *in, uint32_t nsid, struct initiator_ns *ns);

/* Active namespaces above @nsid, ascending, at most 1024, into @list (4096 bytes); *@n of them. */
int initiator_ns_list(struct initiator *in, uint32_t nsid, uint32_t *list, unsigned *n);

/*
 * The whole discovery log, read as libnvme does: header, entries, header again, from the start when
 * GENCTR moved. @*log is allocated and the caller's. 0, an NVMe status, or a negative errno
 * (EBADMSG: it contradicts itself; ESTALE: it never held still), with initiator_error().
 */
int initiator_discovery_log(struct initiator *in, struct nvmf_discovery_log **log);

/* The sentence that explains the last failure; "" when there was none. */
const char *initiator_error(const struct initiator *in);

/* Whether a Linux host would try to connect again after the last failure. */
bool initiator_may_retry(const struct initiator *in);

/* Facts of a connected controller. */
const struct nvme_id_ctrl *initiator_ctrl(const struct initiator *in);
uint64_t initiator_cap(const struct initiator *in);
uint16_t initiator_cntlid(const struct initiator *in);
unsigned initiator_queues(const struct initiator *in);       /* I/O queues granted */
unsigned initiator_depth(const struct initiator *in);        /* usable on each of them */
uint32_t initiator_max_transfer(const struct initiator *in); /* bytes; MDTS */
uint32_t initiator_in_capsule(const struct initiator *in);   /* bytes of in-capsule data */
bool initiator_sqflow_disabled(const struct initiator *in);
const struct initiator_counters *initiator_counters(const struct initiator *in);
uint64_t initiator_now_ns(const struct initiator *in); /* time of the turn */

/* What initiator_adopt()ed queues may do, as their Connect would have told. */
void initiator_assume(struct initiator *in, uint32_t in_capsule, uint32_t maxh2cdata);

/* "Command Interrupted (021h), DNR" and the like into @buf; returns @buf. */
const char *nvme_status_text(uint16_t status, char *buf, size_t len);

/* What a rejected Connect means, with the parameter that its completion's DW0 points at. */
const char *nvme_connect_text(uint16_t status, uint32_t dw0, char *buf, size_t len);

#endif
