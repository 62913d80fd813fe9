/* SPDX-License-Identifier: BSD-3-Clause */
/* What spoils a walk: wrong fields, missing and additional actions, broken streams. */
#include <string.h>

#include "base/compiler.h"
#include "gen.h"
#include "transport/tcp/pdu.h"

struct field {
	uint8_t offset;
	uint8_t width;
};

static const struct field fields_common[] = { { 0, 1 }, { 1, 1 }, { 2, 1 },
					      { 3, 1 }, { 4, 4 }, { 4, 4 } };
static const struct field fields_icreq[] = { { 8, 2 }, { 10, 1 }, { 11, 1 }, { 12, 4 }, { 16, 8 } };
static const struct field fields_data[] = { { 8, 2 },  { 10, 2 }, { 12, 4 }, { 12, 4 },
					    { 16, 4 }, { 16, 4 }, { 20, 4 } };
static const struct field fields_term[] = { { 8, 2 }, { 10, 4 }, { 14, 8 } };
/* Opcode, flags, CID, NSID, private words, metadata, SGL address, length and type, CDW10 to CDW15. */
static const struct field fields_cmd[] = { { 8, 1 },  { 9, 1 },	 { 10, 2 }, { 12, 4 }, { 16, 8 },
					   { 24, 8 }, { 32, 8 }, { 40, 4 }, { 40, 4 }, { 44, 1 },
					   { 47, 1 }, { 48, 4 }, { 52, 4 }, { 56, 4 }, { 60, 4 },
					   { 64, 4 }, { 68, 4 }, { 48, 8 } };
/* RECFMT, QID, SQSIZE, CATTR and KATO; then the data: host identifier, CNTLID, names. */
static const struct field fields_connect[] = { { 12, 1 }, { 40, 4 }, { 47, 1 }, { 48, 2 },
					       { 50, 2 }, { 52, 2 }, { 54, 1 }, { 56, 4 },
					       { 72, 8 }, { 88, 2 } };

struct field_list {
	const struct field *fields;
	uint32_t n;
};

#define FIELDS(list) ((struct field_list){ list, ARRAY_SIZE(list) })

static struct field_list fields_of(enum verb verb)
{
	switch (verb) {
	case VERB_ICREQ:
		return FIELDS(fields_icreq);
	case VERB_CONNECT:
		return FIELDS(fields_connect);
	case VERB_DATA:
		return FIELDS(fields_data);
	case VERB_TERM:
		return FIELDS(fields_term);
	default:
		return FIELDS(fields_cmd);
	}
}

/* Numbers at which comparisons go wrong. */
static uint64_t value_pick(struct rng *rng)
{
	static const uint64_t values[] = { 0,
					   1,
					   2,
					   3,
					   4,
					   5,
					   7,
					   8,
					   23,
					   24,
					   25,
					   71,
					   72,
					   76,
					   127,
					   128,
					   152,
					   255,
					   256,
					   4095,
					   4096,
					   4097,
					   8191,
					   8192,
					   8193,
					   0x7fff,
					   0x8000,
					   0xfffe,
					   0xffff,
					   0x10000,
					   0xfffff,
					   0x100000,
					   0x100001,
					   0x7fffffff,
					   0x80000000,
					   0xfffffffc,
					   0xfffffffe,
					   0xffffffff,
					   0x100000000,
					   0x7fffffffffffffff,
					   0x8000000000000000,
					   0xfffffffffffffff8,
					   0xffffffffffffffff };

	if (rng_chance(rng, 75))
		return values[rng_below(rng, ARRAY_SIZE(values))];
	return rng_next(rng) >> rng_below(rng, 64);
}

static uint64_t width_mask(unsigned width)
{
	return width == 8 ? UINT64_MAX : (1ull << 8 * width) - 1;
}

static void edit_add(struct action *a, struct rng *rng)
{
	struct edit *e = &a->edits[a->n_edits];
	struct field_list list = fields_of(a->verb);
	struct field f;

	if (a->n_edits == SCRIPT_EDITS)
		return;
	if (rng_chance(rng, 35))
		f = fields_common[rng_below(rng, ARRAY_SIZE(fields_common))];
	else if (rng_chance(rng, 85))
		f = list.fields[rng_below(rng, list.n)];
	else
		f = (struct field){ (uint8_t)rng_below(rng, 256), 1 };
	e->offset = f.offset;
	e->width = f.width;
	switch (rng_below(rng, 3)) {
	case 0:
		e->op = '=';
		e->value = value_pick(rng);
		break;
	case 1:
		e->op = '^';
		e->value = 1ull << rng_below(rng, 8u * f.width);
		break;
	default: /* a little more, or less */
		e->op = '+';
		e->value = rng_chance(rng, 50) ? 1ull << rng_below(rng, 4) :
						 0 - (1ull << rng_below(rng, 4));
	}
	e->value &= width_mask(f.width);
	a->n_edits++;
	a->stale = a->stale || rng_chance(rng, 8);
}

static void split_add(struct action *a, struct rng *rng)
{
	if (a->n_splits == SCRIPT_SPLITS)
		return;
	a->splits[a->n_splits++] = (struct split){
		.at = rng_below(rng, rng_chance(rng, 70) ? 80 : 2048),
		.pause_ms = rng_chance(rng, 70) ? 0 : rng_below(rng, 8),
	};
}

/* Something that does not belong there, on the connection of the action beside it. */
static void stranger_insert(struct session *s, struct rng *rng, unsigned at)
{
	static const uint8_t verbs[] = { VERB_RAW,   VERB_RAW,	 VERB_CLOSE,   VERB_RESET,
					 VERB_HALF,  VERB_TERM,	 VERB_DATA,    VERB_DATA,
					 VERB_STALL, VERB_ICREQ, VERB_CONNECT, VERB_OPEN };
	struct action a = { .conn = s->actions[at].conn,
			    .verb = verbs[rng_below(rng, ARRAY_SIZE(verbs))] };

	switch (a.verb) {
	case VERB_RAW:
		a.arg[RAW_LEN] = 1 + rng_below(rng, rng_chance(rng, 70) ? 200 : 20000);
		a.arg[RAW_SEED] = rng_below(rng, 100);
		break;
	case VERB_TERM:
		a.arg[TERM_FES] = rng_below(rng, 8);
		a.arg[TERM_LEN] = rng_below(rng, 160);
		break;
	case VERB_DATA:
		a.arg[DATA_OLD] = rng_below(rng, 2);
		a.arg[DATA_R2T] = rng_below(rng, 4);
		break;
	case VERB_STALL:
		a.arg[WAIT_MS] = rng_below(rng, 20);
		break;
	case VERB_CONNECT:
		a.arg[CON_CID] = rng_below(rng, 100);
		a.arg[CON_QID] = rng_below(rng, 3);
		a.arg[CON_SQSIZE] = 31;
		a.arg[CON_CTRL] = rng_below(rng, 2);
		break;
	default:
		break;
	}
	session_insert(s, at, &a);
}

static void data_spoil(struct action *a, struct rng *rng)
{
	switch (rng_below(rng, 4)) {
	case 0:
		a->arg[DATA_SKIP] = value_pick(rng) & UINT32_MAX;
		break;
	case 1:
		a->arg[DATA_LEN] = 1 + (value_pick(rng) & 0x1ffff);
		break;
	case 2:
		a->arg[DATA_LAST] = 1 + rng_below(rng, 2);
		break;
	default:
		edit_add(a, rng);
	}
}

/* A PDU for a field to be spoilt, @from or one near behind it; the session's size if there is none. */
static unsigned sender_find(const struct session *s, unsigned from)
{
	for (unsigned i = 0; i < s->n; i++)
		if (verb_sends(s->actions[(from + i) % s->n].verb))
			return (from + i) % s->n;
	return s->n;
}

static void pdu_spoil(struct session *s, struct rng *rng, unsigned at)
{
	struct action *a;

	at = sender_find(s, at);
	if (at == s->n)
		return;
	a = &s->actions[at];
	switch (rng_below(rng, 10)) {
	case 0:
		a->is_cut = true;
		a->cut = rng_below(rng, rng_chance(rng, 80) ? 100 : 2000);
		break;
	case 1:
	case 2:
		split_add(a, rng);
		break;
	case 3:
		if (a->verb == VERB_CMD) { /* another length in the SGL, or of what follows */
			unsigned which = rng_chance(rng, 50) ? CMD_LEN : CMD_DATA;

			a->arg[which] = value_pick(rng) & (which == CMD_LEN ? UINT32_MAX : 0x7fff);
			break;
		}
		/* fall through */
	default:
		if (a->verb == VERB_DATA)
			data_spoil(a, rng);
		else
			edit_add(a, rng);
	}
}

void gen_mutate(struct session *s, struct rng *rng)
{
	unsigned at = rng_below(rng, s->n), other;
	struct action copy;

	switch (rng_below(rng, 20)) {
	case 0:
	case 1:
		session_insert(s, at + 1, &s->actions[at]);
		break;
	case 2:
	case 3:
		if (s->n > 1)
			session_remove(s, at, 1);
		break;
	case 4:
		other = (at + 1 + rng_below(rng, 3)) % s->n;
		copy = s->actions[at];
		s->actions[at] = s->actions[other];
		s->actions[other] = copy;
		break;
	case 5:
	case 6:
	case 7:
		stranger_insert(s, rng, at);
		break;
	case 8: /* never waits on its way: everything is pipelined */
		for (unsigned i = s->n; i-- > 0 && s->n > 1;)
			if (s->actions[i].verb == VERB_WAIT &&
			    s->actions[i].conn == s->actions[at].conn)
				session_remove(s, i, 1);
		break;
	default:
		pdu_spoil(s, rng, at);
	}
}
