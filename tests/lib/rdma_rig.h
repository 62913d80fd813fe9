/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An NVMe/RDMA host that does what a test says, right or wrong, over libibverbs and librdmacm.
 *
 * A rig owns all that a test makes of it and takes it down in rig_reset(). What cannot be had on this
 * machine (memory, a queue pair) ends the program: it says nothing about the target. Every wait has an
 * end, so that a target that hangs is a failure and not a hang of the test. One thread.
 */
#ifndef SLUICE_TESTS_RDMA_RIG_H
#define SLUICE_TESTS_RDMA_RIG_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/nvme.h"

enum {
	RIG_ANSWER_MS = 10000,	/* for an answer, or for the end of a connection */
	RIG_RETRIES_MS = 30000, /* for what the target finds out by retries of its device */
	RIG_SPARE_SENDS = 16,	/* that a queue can have on their way beyond its depth */

	CM_PRIVATE_LEN = 32,
	CM_REJECTED_BY_PEER = 28, /* event->status: rejected by the program at the other end */
	CM_ACCEPTED = 0,	  /* where a status of enum cm_status is expected: no rejection */

	ADMIN_DEPTH = 32,
	IO_DEPTH = 16,

	HOST_DATA_LEN = 2 << 20, /* of the memory that every host has for data */
	HOST_DATA_HALF = HOST_DATA_LEN / 2,
	PATTERN_BLOCKS = 4, /* the first of the namespace, for host_attach_pattern() */
	CAPSULE_LEN = sizeof(struct nvme_sqe),
};

/* Private data (NVMe/RDMA, "Fabric dependent settings"). */
enum cm_status {
	CM_INVALID_LENGTH = 1,
	CM_INVALID_RECFMT = 2,
	CM_INVALID_QID = 3,
	CM_INVALID_HSQSIZE = 4,
	CM_INVALID_HRQSIZE = 5,
	CM_NO_RESOURCES = 6,
	CM_INVALID_IRD = 7,
	CM_INVALID_ORD = 8,
	CM_INVALID_CNTLID = 9,
};

struct cm_request {
	le16_t recfmt;
	le16_t qid;
	le16_t hrqsize;
	le16_t hsqsize; /* zero based */
	le16_t cntlid;
	uint8_t rsvd10[22];
};
_Static_assert(sizeof(struct cm_request) == CM_PRIVATE_LEN, "private data of a request");

struct cm_accept {
	le16_t recfmt;
	le16_t crqsize;
	uint8_t rsvd4[28];
};
_Static_assert(sizeof(struct cm_accept) == CM_PRIVATE_LEN, "private data of an acceptance");

struct cm_reject {
	le16_t recfmt;
	le16_t sts;
};
_Static_assert(sizeof(struct cm_reject) == 4, "private data of a rejection");

struct rig {
	struct sockaddr_storage address;
	struct sockaddr_storage source; /* of the hosts, if has_source */
	bool has_source;
	const char *device; /* that the hosts' connections are on; NULL before the first one */
	const char *subnqn;
	const char *hostnqn;
	unsigned slowness; /* times longer that everything may take */
	char why[400];	   /* of the first failure since rig_reset(), else empty */
	struct list hosts, conns, regions, windows;
};

/* Memory that the device knows. */
struct region {
	struct list link;
	uint8_t *mem; /* owned */
	size_t len;
	struct ibv_mr *mr; /* NULL once it was revoked */
};

/* A type 2 window on a region: what a host can have invalidated by the target (SEND with Invalidate). */
struct window {
	struct list link;
	struct ibv_mw *mw;
	uint32_t rkey;
};

/* One host: its own protection domain, so that its keys are of no use on the connections of others. */
struct host {
	struct list link;
	struct rig *rig;
	char nqn[NVME_NQN_LEN];
	uint8_t id[16];
	struct ibv_pd *pd;	/* NULL before the first connection */
	struct region *control; /* Connect data, then what Identify answers */
	struct region *data;
	struct conn *admin, *io; /* of host_attach() */
	uint16_t cntlid;
	uint32_t capsule_data; /* in-capsule bytes of an I/O queue, by IOCCSZ */
	uint32_t
		max_transfer; /* bytes, by MDTS; what the region of data holds when there is no limit */
	unsigned descriptors; /* MSDBD: in one SGL; 0 when it does not say */
	unsigned block;	      /* bytes */
	uint64_t blocks;
};

enum conn_state {
	CONN_NEW,
	CONN_UP,
	CONN_REJECTED, /* conn->reject_status */
	CONN_FAILED,   /* conn->failure */
	CONN_ENDED,    /* the target has disconnected */
};

struct response {
	struct nvme_cqe cqe;
	uint32_t len;
	bool invalidated;
	uint32_t invalidated_rkey;
};

/* What a connection is to be like; conn_wants() makes a well-behaved one. */
struct conn_wants {
	struct cm_request request;
	uint8_t request_len;
	uint8_t responder_resources; /* RDMA READs that the target may have on their way */
	uint8_t initiator_depth;
	unsigned sends;	       /* at a time */
	unsigned recvs;	       /* posted before it connects, and again after each use */
	uint32_t capsule_room; /* bytes of the largest capsule that is sent */
	bool no_wait;	       /* return as soon as the request is on its way */
	/*
	 * RDMA READs and atomics that the host has on their way, whatever the target has agreed to: a
	 * queue pair of its own making. 0: one that librdmacm makes, which keeps to the agreement.
	 */
	uint8_t forced_reads;
};

struct conn {
	struct list link;
	struct host *host;
	struct conn_wants wants;
	enum conn_state state;
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;
	struct ibv_comp_channel *completions;
	struct ibv_cq *cq;
	struct ibv_qp *qp;    /* NULL once it is destroyed */
	struct region *slots; /* sends, then receives */
	bool *send_busy;
	struct response *responses; /* that nobody took yet, oldest first */
	unsigned n_responses;
	uint64_t total_responses;
	uint64_t total_taken; /* capsules that the target's device has taken */
	uint64_t others_done; /* work requests of WR_OTHER that succeeded */
	enum rdma_cm_event_type last_event;
	uint8_t reads; /* RDMA READs at a time that the target has taken of those offered */
	const char *failure;
	uint16_t reject_status;
	struct cm_accept accept;
	bool no_repost;		      /* receives are used once only */
	bool bound;		      /* the window was bound */
	bool qp_failed;		      /* a completion said so */
	enum ibv_wc_status wc_status; /* of the first failed send or receive */
	const char *malformed;	      /* what was wrong with a response, or NULL */
	uint16_t next_cid;
};

/* How a command ended. */
enum outcome {
	ANSWERED,
	ENDED,	/* the target has closed the connection */
	SILENT, /* neither, within the time */
};

/* ---------------------------------------------------------------------------------- rdma_rig.c */

void rig_init(struct rig *rig);
/* Takes down all that was made since; politely where the connection still stands. */
void rig_reset(struct rig *rig);
/* Keeps the first reason; returns -1. */
int fail(struct rig *rig, const char *fmt, ...) __printf(2, 3);
/* Says what a test has seen, or could not look at, though it has not failed. */
void note(const char *fmt, ...) __printf(1, 2);
/* The program cannot go on: says @what and errno. */
_Noreturn void die(const char *what);

/*
 * Host number @n of the test; 0 has the name of the command line, others one of their own, which the
 * target has to admit as well.
 */
struct host *host_new(struct rig *rig, unsigned n);

uint64_t now_ms(void);

/* A region of @len bytes, zeroed; @access: enum ibv_access_flags. */
struct region *region_make(struct host *host, size_t len, unsigned access);
/* Deregisters it; the memory stays. */
void region_revoke(struct region *region);
/* Binds a window, to be used over @conn alone, to @len bytes of @region from @offset on. */
struct window *window_bind(struct conn *conn, struct region *region, size_t offset, size_t len,
			   unsigned access);

/* --------------------------------------------------------------------------------- rdma_conn.c */

struct conn_wants conn_wants(uint16_t qid, unsigned depth);
/* Connects a queue pair; never NULL: see its state. */
struct conn *conn_open(struct host *host, const struct conn_wants *wants);
/* Disconnects, and waits for that; the state is CONN_ENDED unless the target does not answer. */
void conn_close(struct conn *conn);
/* The queue pair goes without a word, as when a host crashes; responses that came before are counted. */
void conn_abort(struct conn *conn);
/* Frees it. The windows of its queue pair are gone. */
void conn_free(struct conn *conn);

/* Handles what there is, or the first that comes within @ms. False: nothing came. */
bool conn_pump(struct conn *conn, int ms);
/* conn_pump() until @end, a time of now_ms(). False: it is over, and nothing more came. */
bool conn_wait(struct conn *conn, uint64_t end);
/* Until it is neither new nor, with @end, up any more. False: not within @ms (times slowness). */
bool conn_settle(struct conn *conn, bool end, unsigned ms);
/* The same until @limit, a time of now_ms(). */
bool conn_settle_until(struct conn *conn, bool end, uint64_t limit);

/* ----------------------------------------------------------------------------------- rdma_wr.c */

/* Of a receive: a response has 16 bytes, what has more is to be seen. */
enum { CONN_RECV_ROOM = 64 };
/* Posts receive @i. */
void conn_recv_post(struct conn *conn, unsigned i);
/* Handles the completions that are there. False: there were none. */
bool conn_complete(struct conn *conn);

/* Sends @len bytes as they are. */
void conn_send_bytes(struct conn *conn, const void *bytes, size_t len);
/*
 * Sends @sqe with @len bytes of @data behind it; gives it a command identifier, which it returns.
 */
uint16_t conn_send(struct conn *conn, struct nvme_sqe *sqe, const void *data, size_t len);
/* A place for the bytes of a send; for conn_post(). Waits for one. */
unsigned conn_slot(struct conn *conn);
uint8_t *conn_slot_bytes(struct conn *conn, unsigned slot);
/*
 * Posts a chain of work requests. Those whose wr_id is a slot free it when they are done; @wr with no
 * slot has wr_id WR_OTHER. A work request on a queue pair that has failed is not posted.
 */
enum { WR_OTHER = 1 << 20, WR_BIND, WR_RECV };
void conn_post(struct conn *conn, struct ibv_send_wr *wr);

/* Waits for the answer to @cid, or to any command with CID_ANY. @response: NULL, or filled when ANSWERED. */
enum { CID_ANY = 0x10000 };
enum outcome conn_await(struct conn *conn, unsigned cid, struct response *response);
enum outcome conn_await_ms(struct conn *conn, unsigned cid, struct response *response, unsigned ms);
/* conn_send() and conn_await(). */
enum outcome conn_exec(struct conn *conn, struct nvme_sqe *sqe, const void *data, size_t len,
		       struct response *response);

/* --------------------------------------------------------------------------------- rdma_nvme.c */

struct nvme_sgl sgl_keyed(uint8_t type, uint64_t addr, uint32_t len, uint32_t key);
struct nvme_sgl sgl_offset(uint64_t offset, uint32_t len);
/* @len bytes of @region from @offset on, by its key. */
struct nvme_sgl sgl_region(const struct region *region, size_t offset, uint32_t len);
struct nvme_sgl sgl_none(void);

struct nvme_sqe sqe_io(uint8_t opcode, uint64_t slba, unsigned nlb, struct nvme_sgl sgl);
struct nvme_sqe sqe_admin(uint8_t opcode, uint32_t cdw10, uint32_t cdw11, struct nvme_sgl sgl);
struct nvme_sqe sqe_identify(uint8_t cns, uint32_t nsid, struct nvme_sgl sgl);

/* Connect of @host's queue @qid to controller @cntlid; its data is in the host's control region. */
struct nvme_sqe sqe_connect(struct host *host, uint16_t qid, unsigned depth, uint16_t cntlid);

/* Status code and type. */
uint16_t status_of(const struct response *response);

/* The Connect command on a connection that is up; 0 or fail(). */
int conn_connect(struct conn *conn, uint16_t qid, unsigned depth, uint16_t cntlid);
/* A well-behaved association: admin queue, controller enabled and identified, one I/O queue. 0 or fail(). */
int host_attach(struct host *host);
/* The same without the I/O queue. */
int host_attach_admin(struct host *host);
/* One more I/O queue of an association; NULL after fail(). */
struct conn *host_io_queue(struct host *host, uint16_t qid, unsigned depth);

/* Blocks from and to the host's data region at @offset; 0 or fail(). */
int host_write(struct host *host, uint64_t slba, unsigned nlb, size_t offset);
int host_read(struct host *host, uint64_t slba, unsigned nlb, size_t offset);

/* Fills memory with bytes that @seed alone decides; whether they are there. */
void pattern_fill(void *mem, size_t len, uint32_t seed);
bool pattern_is(const void *mem, size_t len, uint32_t seed);

/*
 * Host @n, attached; the first PATTERN_BLOCKS blocks of the namespace hold a pattern, which is at the
 * start of its data as well. NULL after fail().
 */
struct host *host_attach_pattern(struct rig *rig, unsigned n);
/* Those blocks still hold it; the data's second half is used to read them. 0 or fail(). */
int host_check_pattern(struct host *host);

/* What a command may end with: a list of status codes, closed by CODES_END. */
enum { CODE_ANY_ERROR = 0xfff0, CODE_CONNECTION_ENDS = 0xfff1, CODES_END = 0xffff };
#define CODES(...) ((const uint16_t[]){ __VA_ARGS__, CODES_END })
/* Is that outcome one of @codes? 0 or fail(), which calls it @what. */
int outcome_check(struct conn *conn, const char *what, enum outcome outcome,
		  const struct response *response, const uint16_t *codes);
/* conn_exec() and outcome_check(). */
int conn_expect(struct conn *conn, const char *what, struct nvme_sqe *sqe, const void *data,
		size_t len, const uint16_t *codes);
/* The target ends the connection within @ms, and answers nothing with success before; 0 or fail(). */
int conn_expect_end(struct conn *conn, const char *what, unsigned ms);
/* The connection serves: reads a block, with success; 0 or fail(). */
int conn_expect_alive(struct conn *conn, const char *what);

/* A new association works from start to end, and what it writes it reads back; 0 or fail(). */
int rig_serves(struct rig *rig);

/* ----------------------------------------------------------------------------------- the tests */

struct rdma_test {
	const char *name;
	int (*run)(struct rig *rig); /* 0 or fail() */
};

/* Each ends with a test without a name. */
extern const struct rdma_test rdma_tests_cm[];
extern const struct rdma_test rdma_tests_capsule[];
extern const struct rdma_test rdma_tests_sgl[];
extern const struct rdma_test rdma_tests_offset[];
extern const struct rdma_test rdma_tests_keys[];
extern const struct rdma_test rdma_tests_flood[];
extern const struct rdma_test rdma_tests_leave[];
extern const struct rdma_test rdma_tests_odd[];

#endif
