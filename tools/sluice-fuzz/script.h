/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session: a list of actions on a few connections, and its form as text, one action a line:
 *
 *	CONNECTION VERB [NAME=VALUE]... [@OFFSET:WIDTH{=,+,^}VALUE]... [cut=N] [split=AT/MS]...
 *	[stale] [more]
 *
 * What is 0 is left out. Actions say what to send by meaning (serve the oldest R2T, connect to the
 * controller that was made before), so that a session does the same again although transfer tags and
 * controller identifiers differ; edits then break bytes of what that gives.
 */
#ifndef SLUICE_FUZZ_SCRIPT_H
#define SLUICE_FUZZ_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum script_limits {
	SCRIPT_CONNS = 16,	   /* connections of a session */
	SCRIPT_ACTIONS = 512,	   /* actions of a session */
	SCRIPT_ARGS = 14,	   /* arguments of an action */
	SCRIPT_EDITS = 4,	   /* edits of a PDU */
	SCRIPT_SPLITS = 4,	   /* places where its bytes are sent apart */
	SCRIPT_PAUSE_MAX = 60000,  /* milliseconds */
	SCRIPT_DATA_MAX = 1 << 20, /* bytes of data or noise in one action */
	SCRIPT_LINE = 1024,	   /* bytes of a line of text */
};

enum verb {
	VERB_OPEN,     /* connects */
	VERB_ICREQ,    /* sends ICReq */
	VERB_CONNECT,  /* sends Connect with its data in the capsule */
	VERB_PROP_GET, /* sends Property Get */
	VERB_PROP_SET, /* sends Property Set */
	VERB_CMD,      /* sends any command */
	VERB_DATA,     /* sends one H2CData PDU */
	VERB_SETTLE, /* serves R2Ts rightly until nothing is outstanding, or for MS milliseconds */
	VERB_TERM,   /* sends H2CTermReq */
	VERB_RAW,    /* sends LEN bytes of noise; zeroes when SEED is 0 */
	VERB_WAIT,   /* receives until there is nothing to wait for, or for MS milliseconds */
	VERB_STALL,  /* neither receives nor sends for MS milliseconds */
	VERB_HALF,   /* closes the sending direction */
	VERB_CLOSE,  /* closes */
	VERB_RESET,  /* closes with RST */
	VERBS,
};

/* Places of arguments in struct action, by verb. */
enum { IC_DGST, IC_HPDA, IC_MAXR2T };
enum {
	CON_CID,
	CON_QID,
	CON_SQSIZE, /* zero based */
	CON_CATTR,
	CON_KATO,
	CON_CTRL, /* 0: any; N: the controller that connection N - 1 got */
	CON_NQN,  /* enum script_nqn */
};
enum { PROP_CID, PROP_OFFSET, PROP_SIZE, PROP_VALUE };
enum { CMD_OP, CMD_CID, CMD_NSID, CMD_FLAGS, CMD_SGL, CMD_LEN, CMD_ADDR, CMD_CDW10, CMD_DATA = 13 };
enum {
	DATA_R2T,  /* which of the R2Ts that are not served, counted from the oldest */
	DATA_SKIP, /* bytes that the data begins behind its place */
	DATA_LEN,  /* 0: all that was asked for */
	DATA_LAST, /* enum script_last */
	DATA_OLD,  /* 1: answer the R2T that was served last, once more */
};
enum { SETTLE_MS, SETTLE_CHUNK };
enum { TERM_FES, TERM_FEI, TERM_LEN };
enum { RAW_LEN, RAW_SEED };
enum { WAIT_MS };

enum script_nqn { NQN_GIVEN, NQN_DISCOVERY, NQN_NOISE };
enum script_last { LAST_RIGHT, LAST_NEVER, LAST_ALWAYS };

struct edit {
	uint16_t offset;
	uint8_t width; /* 1, 2, 4 or 8 bytes, little endian */
	char op;       /* '=' sets, '+' adds, '^' flips */
	uint64_t value;
};

struct split {
	uint32_t at; /* bytes before the border */
	uint32_t pause_ms;
};

struct action {
	uint8_t conn;
	uint8_t verb;
	uint8_t n_edits;
	uint8_t n_splits;
	bool stale; /* digests are those of before the edits */
	bool more;  /* is sent together with what comes next on the connection */
	bool is_cut;
	uint32_t cut; /* bytes that are sent of it, if is_cut */
	uint64_t arg[SCRIPT_ARGS];
	struct edit edits[SCRIPT_EDITS];
	struct split splits[SCRIPT_SPLITS];
};

struct session {
	uint64_t seed; /* of the content of payloads and the host's identity */
	unsigned n;
	struct action actions[SCRIPT_ACTIONS];
};

/* Whether an action of @verb sends a PDU or noise, which edits, cuts and splits apply to. */
bool verb_sends(enum verb verb);
const char *verb_name(enum verb verb);

/* Writes @action as a line without its end into @buf of SCRIPT_LINE bytes. */
void action_print(const struct action *action, char *buf);

/* Reads a line without its end. NULL, or what is wrong with it. */
const char *action_parse(struct action *action, const char *line);

/* Writes @session as text, @note (may be NULL) as a comment before it. 0 or a negative errno. */
int session_write(const struct session *session, const char *note, FILE *out);

/* Reads what session_write() wrote. 0, or -EINVAL after a sentence in @error of @len bytes. */
int session_read(struct session *session, FILE *in, char *error, size_t len);

#endif
