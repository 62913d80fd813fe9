/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the initiator share and its users do not see. */
#ifndef SLUICE_BENCH_INTERNAL_H
#define SLUICE_BENCH_INTERNAL_H

#include <liburing.h>

#include "base/compiler.h"
#include "base/loop.h"
#include "fabric.h"

enum { INITIATOR_KINDS = 4 }; /* of requests in the ring: kept below a queue's alignment */

enum initiator_state { INITIATOR_DOWN, INITIATOR_UP };

/* A command of the initiator's own on the admin queue: keep alive, event request, log page. */
struct own_cmd {
	struct initiator_cmd cmd;
	struct initiator *in;
	bool busy;
};

/* Memory that data of commands lies in; a free place has no @base. */
struct region {
	uint8_t *base; /* the caller's */
	size_t len;
};

struct initiator {
	struct initiator_options options;
	struct io_uring ring;
	enum initiator_state state;
	bool has_taskrun_flag;
	bool failed;        /* the association has to end */
	bool may_retry;
	char error[INITIATOR_ERROR_MAX];
	uint64_t now_ns;
	uint64_t next_tick_ns;
	unsigned in_flight; /* requests in the ring */

	const struct fabric_ops *fabric;
	struct hrdma_assoc *rdma; /* RDMA: of the connection, the fabric's */
	struct region regions[INITIATOR_REGIONS];
	struct queue **queues; /* [0] is the admin queue */
	unsigned n_queues;    /* allocated, admin queue included */
	unsigned n_io;        /* I/O queues granted */
	struct queue **dirty;
	unsigned n_dirty;

	struct nvme_id_ctrl id;
	uint64_t cap;
	uint16_t cntlid;
	bool discovery;
	bool csi;             /* CC.CSS 110b: every namespace reports its command set */
	uint32_t io_entries;
	uint32_t max_transfer;

	bool watching; /* keep alive and events are under way */
	struct own_cmd keep_alive, event, event_log;
	uint8_t event_data[4096];
	uint64_t keep_alive_ns; /* when the last one was sent, or traffic made it needless */
	uint64_t traffic;       /* rx_bytes at that time */
	struct initiator_counters counters;
};

/* Marks the association as failed; the first reason stays. */
void initiator_fail(struct initiator *in, bool may_retry, const char *fmt, ...) __printf(3, 4);

/* The controller broke a rule on @q: as initiator_fail(), never worth a retry. */
void initiator_violation(struct queue *q, const char *fmt, ...) __printf(2, 3);

/* @q has something to send or to receive. */
void initiator_queue_dirty(struct queue *q);

/*
 * A request of a fabric: prepare it, then bind it to @q with a @kind below INITIATOR_KINDS, which
 * fabric_ops.ring_done() gets with the result.
 */
struct io_uring_sqe *initiator_sqe(struct initiator *in);
void initiator_sqe_bind(struct io_uring_sqe *sqe, struct queue *q, unsigned kind);

/* Ends a request that may never end by itself; idempotent. */
void initiator_sqe_cancel(struct queue *q, unsigned kind);

/* What a failure to connect with that errno suggests, to be appended; "" when nothing. */
const char *initiator_connect_hint(int err);

/* Closes all queues, waits for the ring to let go of them, gives all commands back as lost. */
void initiator_teardown(struct initiator *in);

/* Polls until *@flag is true. 0, or -ECONNRESET after a failure or @timeout_ms (then with @what). */
int initiator_wait(struct initiator *in, const bool *flag, uint32_t timeout_ms, const char *what);

/* Runs @cmd, called @what in messages, to its end: status, or a negative errno after a failure. */
int initiator_run(struct initiator *in, unsigned qid, struct initiator_cmd *cmd, const char *what);

/* Puts the Asynchronous Event Request out and starts keep alive. */
void initiator_watch(struct initiator *in);

/* Keep alive and time-outs; called a few times a second. */
void initiator_tick(struct initiator *in);

#endif
