/* SPDX-License-Identifier: BSD-3-Clause */
/* The legal walk: what a host does, with enough variety to reach the deep states of a target. */
#include "gen.h"

#include <string.h>

#include "base/compiler.h"
#include "base/nvme.h"
#include "transport/tcp/pdu.h"

enum {
	WALK_ROUNDS = 5,  /* bursts of commands, at most */
	WALK_BURST = 12,  /* commands of one, usually at most */
	WALK_FLOOD = 80,  /* ... and rarely: more than the queue has entries */
	WALK_LBAS = 4096, /* blocks at the beginning of a namespace that the walk uses */
	WALK_ROOM = 96,	  /* actions kept free for the end and for mutations */
	WAIT_SHORT_MS = 300,
	WAIT_LONG_MS = 3000,
	BLOCK = 512,
};

struct walk {
	struct session *s;
	struct rng *rng;
	unsigned conns;
	bool admin[SCRIPT_CONNS];
	uint16_t next_cid[SCRIPT_CONNS];
	unsigned sqsize[SCRIPT_CONNS];
	unsigned unsettled[SCRIPT_CONNS]; /* commands since the last time that all were answered */
};

void session_insert(struct session *session, unsigned at, const struct action *action)
{
	struct action copy = *action; /* may be one of those that move */

	if (session->n == SCRIPT_ACTIONS || at > session->n)
		return;
	memmove(session->actions + at + 1, session->actions + at,
		(session->n - at) * sizeof(*session->actions));
	session->actions[at] = copy;
	session->n++;
}

void session_remove(struct session *session, unsigned at, unsigned n)
{
	memmove(session->actions + at, session->actions + at + n,
		(session->n - at - n) * sizeof(*session->actions));
	session->n -= n;
}

/* A new action at the end; a spare one when the session is full. */
static struct action *add(struct walk *w, unsigned conn, enum verb verb)
{
	static struct action spare;
	struct action *a = w->s->n < SCRIPT_ACTIONS ? &w->s->actions[w->s->n++] : &spare;

	*a = (struct action){ .conn = (uint8_t)conn, .verb = (uint8_t)verb };
	return a;
}

static void add_wait(struct walk *w, unsigned conn, uint64_t ms)
{
	add(w, conn, VERB_WAIT)->arg[WAIT_MS] = ms;
}

static uint16_t cid_next(struct walk *w, unsigned conn)
{
	return w->next_cid[conn]++;
}

/* --------------------------------------------------------------------------------------- handshake */

static void add_icreq(struct walk *w, unsigned conn)
{
	struct action *a;

	add(w, conn, VERB_OPEN);
	a = add(w, conn, VERB_ICREQ);
	if (rng_chance(w->rng, 50))
		a->arg[IC_DGST] = rng_below(w->rng, 4);
	if (rng_chance(w->rng, 10))
		a->arg[IC_HPDA] = rng_below(w->rng, 32);
	if (rng_chance(w->rng, 30))
		a->arg[IC_MAXR2T] = rng_below(w->rng, 4);
	add_wait(w, conn, WAIT_LONG_MS);
}

static void add_connect(struct walk *w, unsigned conn, unsigned qid, unsigned ctrl)
{
	static const uint16_t sizes[] = { 1, 3, 7, 15, 31, 31, 63, 127, 127, 1023 };
	struct action *a = add(w, conn, VERB_CONNECT);

	a->arg[CON_CID] = cid_next(w, conn);
	a->arg[CON_QID] = qid;
	w->sqsize[conn] = qid ? sizes[rng_below(w->rng, ARRAY_SIZE(sizes))] : 31;
	w->unsettled[conn] = 0;
	a->arg[CON_SQSIZE] = w->sqsize[conn];
	if (rng_chance(w->rng, 40))
		a->arg[CON_CATTR] = NVMF_CATTR_DISABLE_SQFLOW;
	if (!qid && rng_chance(w->rng, 30))
		a->arg[CON_KATO] = rng_chance(w->rng, 50) ? 120000 : 1000;
	a->arg[CON_CTRL] = ctrl;
	if (!qid && rng_chance(w->rng, 8))
		a->arg[CON_NQN] = NQN_DISCOVERY;
	add_wait(w, conn, WAIT_LONG_MS);
}

static void add_property(struct walk *w, unsigned conn, enum verb verb, uint32_t offset, bool wide,
			 uint64_t value)
{
	struct action *a = add(w, conn, verb);

	a->arg[PROP_CID] = cid_next(w, conn);
	a->arg[PROP_OFFSET] = offset;
	a->arg[PROP_SIZE] = wide;
	if (verb == VERB_PROP_SET)
		a->arg[PROP_VALUE] = value;
}

static void add_enable(struct walk *w, unsigned conn)
{
	const uint64_t cc = NVME_CC_EN | 6 << NVME_CC_IOSQES_SHIFT | 4 << NVME_CC_IOCQES_SHIFT;

	if (rng_chance(w->rng, 30))
		add_property(w, conn, VERB_PROP_GET, NVME_PROP_CAP, true, 0);
	add_property(w, conn, VERB_PROP_SET, NVME_PROP_CC, false, cc);
	add_wait(w, conn, WAIT_LONG_MS);
	if (rng_chance(w->rng, 30))
		add_property(w, conn, VERB_PROP_GET, NVME_PROP_CSTS, false, 0);
}

/* ---------------------------------------------------------------------------------------- commands */

static struct action *add_cmd(struct walk *w, unsigned conn, uint8_t op, uint32_t nsid)
{
	struct action *a = add(w, conn, VERB_CMD);

	a->arg[CMD_OP] = op;
	a->arg[CMD_CID] = cid_next(w, conn);
	a->arg[CMD_NSID] = nsid;
	a->arg[CMD_FLAGS] = NVME_PSDT_SGL;
	return a;
}

static void cmd_data(struct action *a, uint32_t len, bool in_capsule)
{
	a->arg[CMD_SGL] = in_capsule ? NVME_SGL_DATA_OFFSET : NVME_SGL_TRANSPORT;
	a->arg[CMD_LEN] = len;
	a->arg[CMD_DATA] = in_capsule ? len : 0;
}

static void add_admin_cmd(struct walk *w, unsigned conn)
{
	static const uint8_t features[] = { 0x07, 0x0b, 0x0e, 0x0f, 0x10, 0x16, 0x81, 0x84, 0x01 };
	static const uint8_t logs[] = {
		0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0c, 0x12, 0x70, 0x80
	};
	struct rng *rng = w->rng;
	struct action *a;
	uint32_t len;

	switch (rng_below(rng, 10)) {
	case 0:
	case 1:
	case 2:
		a = add_cmd(w, conn, NVME_ADMIN_IDENTIFY, rng_below(rng, 3));
		a->arg[CMD_CDW10] = rng_chance(rng, 80) ? rng_below(rng, 9) : rng_below(rng, 256);
		cmd_data(a, 4096, false);
		break;
	case 3:
	case 4:
	case 5:
		len = 4 * (1 + rng_below(rng, rng_chance(rng, 70) ? 128 : 4096));
		a = add_cmd(w, conn, NVME_ADMIN_GET_LOG_PAGE, rng_chance(rng, 60) ? 0xffffffff : 0);
		a->arg[CMD_CDW10] = logs[rng_below(rng, ARRAY_SIZE(logs))] |
				    (uint64_t)((len / 4 - 1) & 0xffff) << 16;
		if (rng_chance(rng, 40))
			a->arg[CMD_CDW10 + 2] = 4 * rng_below(rng, 2048);
		cmd_data(a, len, false);
		break;
	case 6:
		a = add_cmd(w, conn, NVME_ADMIN_GET_FEATURES, rng_below(rng, 2));
		a->arg[CMD_CDW10] = features[rng_below(rng, ARRAY_SIZE(features))];
		cmd_data(a, rng_chance(rng, 50) ? 0 : 8u << rng_below(rng, 10), false);
		break;
	case 7:
		a = add_cmd(w, conn, NVME_ADMIN_SET_FEATURES, 0);
		a->arg[CMD_CDW10] = rng_chance(rng, 50) ? 0x07 : 0x0b;
		a->arg[CMD_CDW10 + 1] = rng_next(rng) & 0x000f000f;
		break;
	case 8:
		a = add_cmd(w, conn,
			    rng_chance(rng, 50) ? NVME_ADMIN_ASYNC_EVENT : NVME_ADMIN_ABORT, 0);
		a->arg[CMD_CDW10] = rng_below(rng, 1 + w->next_cid[conn]) << 16;
		break;
	default:
		add_cmd(w, conn, NVME_ADMIN_KEEP_ALIVE, 0);
	}
}

/* Bytes of an I/O: small ones mostly, rarely up to the largest that is usual. */
static uint32_t io_blocks(struct rng *rng)
{
	uint32_t most = rng_chance(rng, 60) ? 8 : rng_chance(rng, 80) ? 64 : 2048;

	return 1 + rng_below(rng, most);
}

static void add_rw(struct walk *w, unsigned conn, uint8_t op, uint8_t fuse, uint32_t blocks,
		   uint64_t slba)
{
	struct action *a = add_cmd(w, conn, op, rng_chance(w->rng, 95) ? 1 : 2);
	bool to_ctrl = (op & 3) == 1;

	a->arg[CMD_FLAGS] |= fuse;
	a->arg[CMD_CDW10] = slba;
	a->arg[CMD_CDW10 + 2] = blocks - 1;
	if (op == NVME_IO_WRITE && rng_chance(w->rng, 10))
		a->arg[CMD_CDW10 + 2] |= NVME_RW_FUA;
	if (op & 3)
		cmd_data(a, blocks * BLOCK,
			 to_ctrl && blocks * BLOCK <= 8192 && rng_chance(w->rng, 50));
}

static void add_io_cmd(struct walk *w, unsigned conn)
{
	struct rng *rng = w->rng;
	uint64_t slba = rng_below(rng, WALK_LBAS);
	uint32_t blocks = io_blocks(rng), ranges = 1 + rng_below(rng, 16);
	struct action *a;

	switch (rng_below(rng, 20)) {
	case 0:
		add_cmd(w, conn, NVME_IO_FLUSH, 1);
		break;
	case 1:
		a = add_cmd(w, conn, NVME_IO_DSM, 1);
		a->arg[CMD_CDW10] = ranges - 1;
		a->arg[CMD_CDW10 + 1] = NVME_DSM_DEALLOCATE;
		cmd_data(a, ranges * (uint32_t)sizeof(struct nvme_dsm_range), rng_chance(rng, 50));
		break;
	case 2:
		a = add_cmd(w, conn, NVME_IO_COPY, 1);
		a->arg[CMD_CDW10] = slba;
		a->arg[CMD_CDW10 + 2] = ranges - 1;
		cmd_data(a, ranges * (uint32_t)sizeof(struct nvme_copy_range), rng_chance(rng, 50));
		break;
	case 3:
		add_rw(w, conn, NVME_IO_WRITE_ZEROES, 0, blocks, slba);
		break;
	case 4:
		add_rw(w, conn, NVME_IO_VERIFY, 0, blocks, slba);
		break;
	case 5:
		add_rw(w, conn, NVME_IO_COMPARE, NVME_FUSE_FIRST, 8, slba);
		add_rw(w, conn, NVME_IO_WRITE, NVME_FUSE_SECOND, 8, slba);
		break;
	case 6:
		add_rw(w, conn, NVME_IO_COMPARE, 0, blocks, slba);
		break;
	default:
		add_rw(w, conn, rng_chance(rng, 60) ? NVME_IO_WRITE : NVME_IO_READ, 0, blocks,
		       slba);
	}
}

/* The R2Ts that came are answered: all of them rightly, or some by hand. */
static void add_answers(struct walk *w, unsigned conn)
{
	struct rng *rng = w->rng;
	unsigned n = rng_chance(rng, 60) ? 0 : 1 + rng_below(rng, 4);
	struct action *a;

	for (unsigned i = 0; i < n; i++) {
		add_wait(w, conn, WAIT_SHORT_MS);
		add(w, conn, VERB_DATA)->arg[DATA_R2T] = rng_below(rng, 2);
	}
	w->unsettled[conn] = 0;
	a = add(w, conn, VERB_SETTLE);
	a->arg[SETTLE_MS] = WAIT_LONG_MS;
	if (rng_chance(rng, 50))
		a->arg[SETTLE_CHUNK] = 4 * (1 + rng_below(rng, rng_chance(rng, 50) ? 64 : 8192));
}

static void add_burst(struct walk *w, unsigned conn)
{
	bool flood = rng_chance(w->rng, 5), joined = rng_chance(w->rng, 60);
	unsigned n = 1 + rng_below(w->rng, flood ? WALK_FLOOD : WALK_BURST);

	if (!flood) {
		if (w->unsettled[conn] >= w->sqsize[conn])
			add_answers(w, conn);
		n = MIN(n, w->sqsize[conn] - w->unsettled[conn]);
	}
	w->unsettled[conn] += n;
	for (unsigned i = 0; i < n && w->s->n + WALK_ROOM < SCRIPT_ACTIONS; i++) {
		if (w->admin[conn])
			add_admin_cmd(w, conn);
		else
			add_io_cmd(w, conn);
		w->s->actions[w->s->n - 1].more = joined && i + 1 < n;
	}
}

/* --------------------------------------------------------------------------------------------- end */

static void add_end(struct walk *w, unsigned conn)
{
	struct action *a;

	switch (rng_below(w->rng, 12)) {
	case 0:
	case 1:
		add(w, conn, VERB_CLOSE);
		break;
	case 2:
		add(w, conn, VERB_RESET);
		break;
	case 3:
		add(w, conn, VERB_HALF);
		add_wait(w, conn, WAIT_SHORT_MS);
		break;
	case 4:
		a = add(w, conn, VERB_TERM);
		a->arg[TERM_FES] = 1 + rng_below(w->rng, 6);
		a->arg[TERM_LEN] = rng_below(w->rng, 129);
		break;
	case 5:
	case 6:
		if (w->admin[conn])
			add_property(w, conn, VERB_PROP_SET, NVME_PROP_CC, false,
				     rng_chance(w->rng, 70) ? NVME_CC_SHN_NORMAL : 0);
		else
			add_cmd(w, conn, NVME_OPCODE_FABRICS, NVME_FCTYPE_DISCONNECT);
		add_wait(w, conn, WAIT_SHORT_MS);
		break;
	default:
		break; /* the session's end ends it */
	}
}

void gen_walk(struct session *session, struct rng *rng, unsigned conns)
{
	struct walk w = { .s = session, .rng = rng };
	unsigned n = 1 + rng_below(rng, conns), rounds;

	session->n = 0;
	for (unsigned i = 0; i < n; i++) {
		bool io = i > 0 && rng_chance(rng, 85);

		w.admin[i] = !io;
		add_icreq(&w, i);
		add_connect(&w, i, io ? i : 0, io ? 1 : 0);
		if (!io)
			add_enable(&w, i);
	}
	rounds = rng_below(rng, WALK_ROUNDS * n);
	for (unsigned i = 0; i < rounds; i++) {
		/* I/O queues have more to show than the admin queue. */
		unsigned conn = rng_below(rng, n);

		if (n > 1 && w.admin[conn] && rng_chance(rng, 60))
			conn = rng_below(rng, n);
		add_burst(&w, conn);
		if (rng_chance(rng, 70))
			add_answers(&w, conn);
	}
	for (unsigned i = 0; i < n; i++)
		add_end(&w, i);
	if (rng_chance(rng, 10)) { /* comes back with the tags of before */
		w.next_cid[0] = 0;
		add(&w, 0, VERB_CLOSE);
		add_icreq(&w, 0);
		add_connect(&w, 0, 0, 0);
		add_enable(&w, 0);
		add(&w, 0, VERB_DATA)->arg[DATA_OLD] = rng_below(rng, 2);
	}
}

void gen_session(struct session *session, uint64_t seed, unsigned conns)
{
	struct rng rng = { .state = seed };
	unsigned percent = rng_below(&rng, 100);
	unsigned n = percent < 15 ? 0 : percent < 60 ? 1 : percent < 85 ? 2 : 4;

	session->seed = seed;
	gen_walk(session, &rng, conns);
	for (unsigned i = 0; i < n; i++)
		gen_mutate(session, &rng);
}
