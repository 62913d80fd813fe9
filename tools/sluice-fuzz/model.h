/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one connection owes: a model that sees every byte in both directions and judges what the
 * target sends. It takes apart what was really sent, after all mutations, so that it knows which
 * commands a target has to have seen. Where what was sent is against the protocol it no longer expects
 * anything but well-formed PDUs, or the connection's end. Pure.
 *
 * The target's own PDU code is not used here: this is a witness.
 */
#ifndef SLUICE_FUZZ_MODEL_H
#define SLUICE_FUZZ_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/nvme.h"
#include "transport/tcp/pdu.h"

enum model_limits {
	MODEL_CMDS = 512, /* outstanding at a time; beyond that the model trusts */
	MODEL_R2TS = 512,
	MODEL_FABRICS_DATA = 8192, /* in-capsule data of admin and Fabrics commands */
	MODEL_PDU_MAX = 32 << 20,  /* bytes of a PDU that a target may send */
	FINDING_TEXT = 320,
};

/* Kinds of misbehaviour. */
enum finding_kind {
	FINDING_NONE,
	FINDING_PDU,	/* a PDU against the format */
	FINDING_ANSWER, /* a completion that nothing outstanding fits */
	FINDING_DATA,	/* data that was not asked for */
	FINDING_R2T,	/* an R2T beyond what may be asked for */
	FINDING_TERM,	/* a termination request without a cause, or something behind one */
	FINDING_SILENT, /* no answer in time */
	FINDING_OPEN,	/* still open although it has to end */
	FINDING_CANARY, /* the well-behaved host was hurt */
	FINDING_GONE,	/* the target does not take connections, or its process ended */
	FINDING_GROWTH, /* memory or descriptors of the target */
	FINDING_HERE,	/* this host cannot go on: nothing against the target */
	FINDINGS,
};

struct finding {
	enum finding_kind kind;
	char text[FINDING_TEXT];
};

/* Sets @finding unless it holds one already: the first one counts. Returns false. */
bool finding_set(struct finding *finding, enum finding_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *finding_name(enum finding_kind kind);

/* What the fuzzed connections must leave alone: the canary's blocks. */
struct model_guard {
	uint32_t nsid; /* 0: nothing */
	uint64_t slba;
	uint64_t blocks;
	uint32_t block_size;   /* of that namespace, bytes */
	uint32_t capsule_data; /* in-capsule data that I/O queues take, bytes */
};

struct model_cmd {
	struct nvme_sqe sqe;
	bool used;
	bool sent;	/* with all its data in the capsule */
	bool ends_late; /* an event request, or half of a fused pair: nothing tells when */
	uint32_t received;
	uint32_t granted;
	bool last; /* LAST_PDU was seen */
};

struct model_r2t {
	uint16_t cid;
	uint16_t ttag;
	uint32_t offset;
	uint32_t len;
	uint32_t done;
	uint8_t opcode;
};

/* How far what was sent left the protocol. */
enum model_bent {
	BENT_NOT,
	BENT_SOFT, /* a target may take it or end the connection */
	BENT_HARD, /* the connection has to end */
};

struct model {
	const struct model_guard *guard;

	/* What was sent. */
	enum model_bent bent;
	const char *why; /* it is bent */
	bool lost;	 /* where the next PDU begins is no longer known */
	bool ic_sent;
	bool term_sent;
	uint8_t ic_dgst;
	uint8_t ic_hpda;
	uint32_t ic_maxr2t;
	uint32_t have;	    /* bytes in @acc */
	uint32_t need;	    /* bytes of a header with its digest; 0: not known yet */
	uint32_t body_left; /* bytes between the header and the PDU's end */
	struct model_cmd *body_of;
	uint8_t acc[PDU_HLEN_MAX + PDU_DIGEST_LEN];
	uint64_t pdus_sent;

	/* What both know. */
	bool hdgst, ddgst;
	uint32_t maxh2cdata;
	bool connected;
	bool failed; /* Connect was refused */
	bool sqflow_off;
	uint16_t qid; /* of the last Connect that was sent */
	uint16_t sqsize;
	uint16_t cntlid; /* of an admin queue that is connected; else FFFFh */
	unsigned outstanding;
	unsigned most;	/* that ever were */
	bool overflown; /* more than the model holds */
	unsigned n_r2ts;
	struct model_r2t r2ts[MODEL_R2TS]; /* not served yet, oldest first */
	struct model_r2t r2t_old;	   /* served last */

	/* What was received. */
	bool ic_done;
	bool term_got;
	uint8_t *rx;
	size_t rx_len, rx_cap;
	uint64_t pdus_received;

	struct model_cmd cmds[MODEL_CMDS];
};

/* Begins a connection. @guard has to outlive the model; its receive buffer is kept for the next one. */
void model_init(struct model *m, const struct model_guard *guard);
void model_fini(struct model *m);

/*
 * @len bytes are about to be sent. False: they complete a command that the guard forbids, and must
 * not be sent.
 */
bool model_sent(struct model *m, const uint8_t *buf, size_t len);

/* @len bytes came. False: @finding says what is wrong with them. */
bool model_received(struct model *m, const uint8_t *buf, size_t len, struct finding *finding);

/* Commands that a target has to answer by itself, that is without any help of the host's. */
unsigned model_owed(const struct model *m);

/* One of them, into @buf, for messages. */
const char *model_owed_text(const struct model *m, char *buf, size_t len);

/* Whether the target has to end the connection. */
bool model_must_end(const struct model *m);

/* For the two halves. */
void model_bend(struct model *m, enum model_bent bent, const char *why);
struct model_cmd *model_cmd_find(struct model *m, uint16_t cid);
void model_cmd_free(struct model *m, struct model_cmd *cmd);
/* 1: data goes to the controller, 2: to the host, 0: none, 3: whatever. */
unsigned model_direction(const struct nvme_sqe *sqe);

#endif
