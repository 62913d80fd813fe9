/* SPDX-License-Identifier: BSD-3-Clause */
#include "play.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"

enum {
	NS_PER_MS = 1000000,
	OPEN_TRIES_MS = 2000,	/* while this host has no port left */
	SEND_PATIENCE_MS = 500, /* until a target that reads no more is left alone */
	LAST_LOOK_MS = 5,	/* at connections of which nothing is expected */
	TX_ROOM = 2 * BUILD_MAX,
	SERVE_PIECES = 128, /* H2CData PDUs for an R2T, about */
	OWED_TEXT = 128,
	HELD_PART = 10, /* of the patience, until others have to let go */
	UNSURE_MS = 20, /* where nothing has to come, but may */
};

static const char *const end_names[ENDS] = {
	[END_HERE] = "closed here",
	[END_RESET] = "reset here",
	[END_TERM] = "terminated by the target",
	[END_CLOSED] = "closed by the target",
	[END_DROPPED] = "reset by the target",
	[END_WITHHELD] = "withheld",
};

const char *end_name(enum end_kind kind)
{
	return end_names[kind];
}

uint64_t play_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t deadline_ns(uint64_t ms)
{
	return play_now_ns() + ms * NS_PER_MS;
}

/* ------------------------------------------------------------------------------------------ sockets */

/* The connection is over; @kind says how. */
static void conn_end(struct play *play, struct play_conn *c, enum end_kind kind)
{
	struct linger reset = { .l_onoff = 1 };

	if (c->fd < 0)
		return;
	if (c->model.term_got && kind != END_RESET)
		kind = END_TERM;
	if (kind == END_RESET || kind == END_WITHHELD)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(c->fd);
	c->fd = -1;
	c->tx_len = 0;
	play->stats.ends[kind]++;
	play->stats.pdus_sent += c->model.pdus_sent;
	play->stats.pdus_received += c->model.pdus_received;
}

static bool conn_open(struct play *play, struct play_conn *c)
{
	const struct play_options *o = play->options;
	uint64_t until = deadline_ns(OPEN_TRIES_MS);
	int one = 1, err;

	conn_end(play, c, END_HERE);
	for (;;) {
		c->fd = socket(o->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (c->fd < 0)
			return finding_set(&play->finding, FINDING_HERE, "no socket: %s",
					   strerror(errno));
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (!connect(c->fd, (const struct sockaddr *)&o->addr, o->addr_len))
			break;
		err = errno;
		close(c->fd);
		c->fd = -1;
		if (err != EADDRNOTAVAIL || play_now_ns() > until)
			return finding_set(&play->finding, FINDING_GONE,
					   "the target takes no connection: %s", strerror(err));
		usleep(10000);
	}
	model_init(&c->model, o->guard);
	c->opened = true;
	c->half = c->ended = c->choked = false;
	c->tx_len = 0;
	play->stats.connections++;
	return true;
}

/* Takes in what is there on @c; false after a finding. */
static bool conn_read(struct play *play, struct play_conn *c)
{
	ssize_t n = recv(c->fd, play->rx, sizeof(play->rx), MSG_DONTWAIT);

	if (n > 0) {
		play->stats.bytes_received += (uint64_t)n;
		return model_received(&c->model, play->rx, (size_t)n, &play->finding);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	c->ended = true;
	conn_end(play, c, n == 0 ? END_CLOSED : END_DROPPED);
	return true;
}

/*
 * Waits until something comes, @out (may be NULL) takes bytes, or it is @until; takes in what came.
 * False after a finding.
 */
static bool pump(struct play *play, struct play_conn *out, uint64_t until)
{
	struct pollfd fds[SCRIPT_CONNS];
	struct play_conn *of[SCRIPT_CONNS];
	uint64_t now = play_now_ns();
	uint64_t left = until > now ? until - now : 0;
	struct timespec timeout = { .tv_sec = (time_t)(left / 1000000000u),
				    .tv_nsec = (long)(left % 1000000000u) };
	nfds_t n = 0;

	for (unsigned i = 0; i < SCRIPT_CONNS; i++) {
		struct play_conn *c = &play->conns[i];

		if (c->fd < 0)
			continue;
		of[n] = c;
		fds[n++] = (struct pollfd){ .fd = c->fd,
					    .events = (short)(POLLIN | (c == out ? POLLOUT : 0)) };
	}
	if (ppoll(fds, n, &timeout, NULL) <= 0)
		return true;
	for (nfds_t i = 0; i < n; i++)
		if (fds[i].revents & ~POLLOUT && !conn_read(play, of[i]))
			return false;
	return true;
}

/* Sends @len bytes; false after a finding. */
static bool conn_send(struct play *play, struct play_conn *c, const uint8_t *buf, size_t len)
{
	uint64_t until = deadline_ns(SEND_PATIENCE_MS);

	if (c->fd < 0 || c->half || c->choked || !len)
		return true;
	if (!model_sent(&c->model, buf, len)) {
		conn_end(play, c, END_WITHHELD);
		return true;
	}
	while (len && c->fd >= 0) {
		ssize_t n = send(c->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			play->stats.bytes_sent += (uint64_t)n;
			buf += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN &&
		    errno != EINTR) /* the target closed it: what it said before counts */
			return conn_read(play, c);
		if (play_now_ns() > until) {
			c->choked = true;
			play->stats.choked++;
			return true;
		}
		if (!pump(play, c, until))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------------------------------ actions */

static struct build_context context_of(struct play *play, struct play_conn *c,
				       const struct action *action)
{
	struct build_context ctx = {
		.seed = play->session->seed,
		.subnqn = play->options->subnqn,
		.hdgst = c->model.hdgst,
		.ddgst = c->model.ddgst,
		.cntlid = NVMF_CNTLID_DYNAMIC,
		.chunk_max = c->model.maxh2cdata ? c->model.maxh2cdata : PDU_MAXH2CDATA_MIN,
	};
	const struct model_r2t *r2t = NULL;
	uint64_t from = action->arg[CON_CTRL];

	if (action->verb == VERB_CONNECT && from && from <= SCRIPT_CONNS)
		ctx.cntlid = play->conns[from - 1].model.cntlid;
	if (action->verb != VERB_DATA)
		return ctx;
	if (action->arg[DATA_OLD])
		r2t = &c->model.r2t_old;
	else if (c->model.n_r2ts)
		r2t = &c->model.r2ts[action->arg[DATA_R2T] % c->model.n_r2ts];
	if (r2t) {
		uint32_t done = action->arg[DATA_OLD] ? 0 : r2t->done;

		ctx.r2t = (struct build_r2t){ .cid = r2t->cid,
					      .ttag = r2t->ttag,
					      .offset = r2t->offset + done,
					      .len = r2t->len - done,
					      .opcode = r2t->opcode };
	}
	return ctx;
}

/* Sends the bytes of an action with its splits. What waits before them goes along with the first piece. */
static bool action_send(struct play *play, struct play_conn *c, const struct action *action)
{
	struct build_context ctx = context_of(play, c, action);
	uint32_t len, at = 0, begin = c->tx_len;

	if (c->fd < 0)
		return true;
	len = build_action(&ctx, action, c->tx + begin);
	c->tx_len += len;
	if (action->more && c->tx_len < BUILD_MAX)
		return true;
	for (unsigned i = 0; i < action->n_splits; i++) {
		const struct split *s = &action->splits[i];
		uint32_t end = begin + MIN(s->at, len);

		if (end <= at)
			continue;
		if (!conn_send(play, c, c->tx + at, end - at))
			return false;
		at = end;
		if (s->pause_ms) {
			uint64_t until = deadline_ns(s->pause_ms);

			while (play_now_ns() < until)
				if (!pump(play, NULL, until))
					return false;
		}
	}
	len = c->tx_len;
	c->tx_len = 0;
	return conn_send(play, c, c->tx + at, len - at);
}

/* What waited for more that never came. */
static bool flush(struct play *play, struct play_conn *c)
{
	uint32_t len = c->tx_len;

	c->tx_len = 0;
	return conn_send(play, c, c->tx, len);
}

/* One H2CData PDU for the oldest R2T. */
static bool serve_one(struct play *play, struct play_conn *c, uint32_t chunk)
{
	struct model_r2t r2t = c->model.r2ts[0];
	uint32_t most = MIN(c->model.maxh2cdata, (uint32_t)SCRIPT_DATA_MAX);
	/* Small pieces, but not a session of them. */
	uint32_t least = r2t.len / SERVE_PIECES & ~3u;
	uint32_t wanted = chunk ? MAX(chunk, least) : most;
	uint32_t piece = MIN(wanted, most);
	uint32_t len = MIN(r2t.len - r2t.done, piece);
	struct action none = { .verb = VERB_WAIT };
	struct build_context ctx = context_of(play, c, &none);
	struct build_r2t b = { .cid = r2t.cid,
			       .ttag = r2t.ttag,
			       .offset = r2t.offset,
			       .len = r2t.len,
			       .opcode = r2t.opcode };
	uint32_t n = build_data(&ctx, &b, r2t.done, len, r2t.done + len == r2t.len, play->buf);

	return conn_send(play, c, play->buf, n);
}

/* What comes may come, or not, for this host broke the rules. */
static bool is_unsure(const struct model *m)
{
	return m->bent == BENT_SOFT || m->most > m->sqsize;
}

/* Nothing more is to be expected from the target by itself. */
static bool is_quiet(const struct play_conn *c)
{
	const struct model *m = &c->model;

	if (c->fd < 0)
		return true;
	if (m->ic_sent && !m->ic_done && !m->term_got)
		return false;
	if (m->bent == BENT_HARD)
		return m->term_got;
	return m->term_got || !m->outstanding || (!is_unsure(m) && !model_owed(m));
}

/* Serves R2Ts of @c if @serve, until it is quiet, at most for @ms; false after a finding. */
static bool settle(struct play *play, struct play_conn *c, uint64_t ms, uint32_t chunk, bool serve)
{
	uint64_t until;

	/* Of those that broke the rules nothing is sure: not worth the wait. */
	until = deadline_ns(
		is_unsure(&c->model) && !model_owed(&c->model) ? MIN(ms, (uint64_t)UNSURE_MS) : ms);
	while (c->fd >= 0 && play_now_ns() < until) {
		if (serve && c->model.n_r2ts && !c->half && !c->choked) {
			unsigned before = c->model.n_r2ts;
			uint32_t done = c->model.r2ts[0].done;

			if (!serve_one(play, c, chunk))
				return false;
			if (before == c->model.n_r2ts && c->model.r2ts[0].done == done)
				return true; /* not taken: what was sent before spoils it */
			continue;
		}
		if (is_quiet(c) || (!serve && c->model.n_r2ts))
			return true;
		if (!pump(play, NULL, until))
			return false;
	}
	return true;
}

static bool action_run(struct play *play, const struct action *action)
{
	struct play_conn *c = &play->conns[action->conn];

	if (verb_sends(action->verb))
		return action_send(play, c, action);
	if (c->tx_len && action->verb != VERB_OPEN && !flush(play, c))
		return false;
	switch (action->verb) {
	case VERB_OPEN:
		return conn_open(play, c);
	case VERB_SETTLE:
		return settle(play, c, action->arg[SETTLE_MS], (uint32_t)action->arg[SETTLE_CHUNK],
			      true);
	case VERB_WAIT:
		return settle(play, c, action->arg[WAIT_MS], 0, false);
	case VERB_STALL:
		usleep((useconds_t)action->arg[WAIT_MS] * 1000);
		return true;
	case VERB_HALF:
		if (c->fd >= 0)
			shutdown(c->fd, SHUT_WR);
		c->half = true;
		return true;
	case VERB_CLOSE:
		conn_end(play, c, END_HERE);
		return true;
	default:
		conn_end(play, c, END_RESET);
		return true;
	}
}

/* ---------------------------------------------------------------------------------------------- end */

/* Whether the target waits for data on @c, by R2T or behind a header, as far as is known. */
static bool withholds(const struct play_conn *c)
{
	return c->model.n_r2ts || c->model.body_left || c->model.bent || c->choked;
}

/* Closes what others may wait for: connections that were asked for data and keep it back. */
static void withholders_end(struct play *play, const struct play_conn *but)
{
	bool found = false;

	for (unsigned i = 0; i < SCRIPT_CONNS; i++) {
		struct play_conn *c = &play->conns[i];

		if (c == but || c->fd < 0 || !withholds(c))
			continue;
		conn_end(play, c, END_RESET);
		found = true;
	}
	play->stats.held_up += found || but->model.n_r2ts || but->model.body_left;
}

static bool late(struct play *play, unsigned number)
{
	const struct model *m = &play->conns[number].model;
	uint32_t ms = play->options->patience_ms;
	char text[OWED_TEXT];

	if (model_must_end(m))
		return finding_set(&play->finding, FINDING_OPEN,
				   "connection %u is still open %u ms after %s", number, ms,
				   m->why);
	return finding_set(&play->finding, FINDING_SILENT,
			   "connection %u: %u answers are missing after %u ms (%s)", number,
			   model_owed(m), ms, model_owed_text(m, text, sizeof(text)));
}

/* The target does what it has to do at once: answer what it can answer, end what has to end. */
static bool conn_judge(struct play *play, unsigned number)
{
	struct play_conn *c = &play->conns[number];
	uint64_t until = deadline_ns(play->options->patience_ms);
	uint64_t held_ns = deadline_ns(play->options->patience_ms / HELD_PART);
	const struct model *m = &c->model;
	bool waits = !c->half && !c->choked;

	while (c->fd >= 0 && waits && !m->term_got && (model_must_end(m) || model_owed(m))) {
		uint64_t now = play_now_ns();

		if (now > until)
			return late(play, number);
		/*
		 * A command may wait for what this host keeps back: the memory that its data is to go
		 * to, or, if fused, the end of the commands before it. Then that comes first.
		 */
		if (now > held_ns) {
			held_ns = until;
			withholders_end(play, c);
			if (m->body_left) /* its rest will never come */
				return true;
			if (m->n_r2ts && !settle(play, c, play->options->patience_ms, 0, true))
				return false;
			continue;
		}
		if (!pump(play, NULL, MIN(until, held_ns) + 1))
			return false;
	}
	return true;
}

static bool session_finish(struct play *play)
{
	uint64_t until;

	for (unsigned i = 0; i < SCRIPT_CONNS; i++)
		if (play->conns[i].fd >= 0 &&
		    (!flush(play, &play->conns[i]) || !conn_judge(play, i)))
			return false;
	/* A last look: what comes unasked is as wrong as what does not come. */
	until = deadline_ns(LAST_LOOK_MS);
	for (unsigned i = 0; i < SCRIPT_CONNS; i++) {
		while (play->conns[i].fd >= 0 && play->conns[i].model.bent && play_now_ns() < until)
			if (!pump(play, NULL, until))
				return false;
	}
	return true;
}

bool play_session(struct play *play, const struct session *session)
{
	bool fine = true;

	play->session = session;
	play->finding = (struct finding){ .kind = FINDING_NONE };
	for (unsigned i = 0; i < SCRIPT_CONNS; i++)
		if (play->conns[i].opened) {
			model_init(&play->conns[i].model, play->options->guard);
			play->conns[i].opened = false;
		}
	for (unsigned i = 0; i < session->n && fine; i++)
		fine = action_run(play, &session->actions[i]);
	fine = fine && session_finish(play);
	/* By RST, so that this host does not run out of ports. */
	for (unsigned i = 0; i < SCRIPT_CONNS; i++)
		conn_end(play, &play->conns[i],
			 play->conns[i].model.term_got ? END_HERE : END_RESET);
	play->stats.sessions++;
	return fine;
}

struct play *play_new(const struct play_options *options)
{
	struct play *play = calloc(1, sizeof(*play));

	if (!play)
		return NULL;
	play->options = options;
	for (unsigned i = 0; i < SCRIPT_CONNS; i++) {
		play->conns[i].fd = -1;
		model_init(&play->conns[i].model, options->guard);
		play->conns[i].tx = malloc(TX_ROOM);
		if (!play->conns[i].tx) {
			play_free(play);
			return NULL;
		}
	}
	return play;
}

void play_free(struct play *play)
{
	for (unsigned i = 0; i < SCRIPT_CONNS; i++) {
		conn_end(play, &play->conns[i], END_RESET);
		model_fini(&play->conns[i].model);
		free(play->conns[i].tx);
	}
	free(play);
}
