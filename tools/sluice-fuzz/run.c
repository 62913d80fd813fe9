/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "bed.h"
#include "gen.h"
#include "linger.h"
#include "shrink.h"

enum {
	PATH_LEN = 4096,
	HEAL_TRIES = 100,
	HEAL_PAUSE_US = 100000,
	NS_PER_S = 1000000000,
	MIB = 1 << 20,
};

static volatile sig_atomic_t interrupted;

void run_interrupt(void)
{
	interrupted = 1;
}

static int misbehaved(const struct finding *finding)
{
	fprintf(stderr, "sluice-fuzz: %s: %s\n", finding_name(finding->kind), finding->text);
	return EXIT_MISBEHAVED;
}

/* ------------------------------------------------------------------------------------------- files */

/* Writes @session to @path; false after a message. */
static bool save(const struct session *session, const char *note, const char *path)
{
	FILE *out = fopen(path, "we");
	bool fine = out && !session_write(session, note, out);

	if (out && fclose(out))
		fine = false;
	if (!fine)
		fprintf(stderr, "sluice-fuzz: cannot write %s: %s\n", path, strerror(errno));
	return fine;
}

static void save_failed(const struct fuzz_options *o, const struct session *session,
			const struct finding *finding)
{
	char path[PATH_LEN];

	if (!o->save)
		return;
	snprintf(path, sizeof(path), "%s/session-%" PRIu64 ".txt", o->save, session->seed);
	if (save(session, finding->text, path))
		fprintf(stderr, "sluice-fuzz: the session is in %s\n", path);
}

static bool load(struct session *session, const char *path)
{
	FILE *in = fopen(path, "re");
	char error[FINDING_TEXT];
	int rc;

	if (!in) {
		fprintf(stderr, "sluice-fuzz: cannot read %s: %s\n", path, strerror(errno));
		return false;
	}
	rc = session_read(session, in, error, sizeof(error));
	fclose(in);
	if (rc)
		fprintf(stderr, "sluice-fuzz: %s: %s\n", path, error);
	return !rc;
}

/* ------------------------------------------------------------------------------------------ fuzzing */

static void report(const struct bed *bed, uint64_t first, double seconds)
{
	const struct play_stats *s = &bed->play->stats;
	const struct watch *w = &bed->watch;

	printf("sessions %" PRIu64 " (seeds from %" PRIu64 ") in %.1f s: %.0f/s\n", s->sessions,
	       first, seconds, (double)s->sessions / seconds);
	printf("connections %" PRIu64 ": %.0f/s\n", s->connections,
	       (double)s->connections / seconds);
	printf("PDUs sent %" PRIu64 ": %.0f/s, received %" PRIu64 ": %.0f/s\n", s->pdus_sent,
	       (double)s->pdus_sent / seconds, s->pdus_received,
	       (double)s->pdus_received / seconds);
	printf("MiB sent %.1f: %.1f/s, received %.1f: %.1f/s\n", (double)s->bytes_sent / MIB,
	       (double)s->bytes_sent / MIB / seconds, (double)s->bytes_received / MIB,
	       (double)s->bytes_received / MIB / seconds);
	printf("ends:");
	for (unsigned i = 0; i < ENDS; i++)
		printf("%s %s %" PRIu64, i ? "," : "", end_name(i), s->ends[i]);
	printf("; sends not taken %" PRIu64 ", held up %" PRIu64 "\n", s->choked, s->held_up);
	if (bed->canary)
		printf("rounds of the well-behaved host %" PRIu64 "\n", canary_rounds(bed->canary));
	if (w->pid)
		printf("process %d: %" PRIu64 " MiB at the start, %" PRIu64 " at most, %" PRIu64
		       " now; descriptors %u, now %u\n",
		       (int)w->pid, w->rss_start / MIB, w->rss_most / MIB, w->rss_now / MIB,
		       w->fds_start, w->fds_now);
}

static bool over(const struct fuzz_options *o, uint64_t done, uint64_t start_ns)
{
	if (interrupted || (o->sessions && done >= o->sessions))
		return true;
	return o->seconds && play_now_ns() - start_ns >= o->seconds * NS_PER_S;
}

/* The sessions one after the other; false: @session is the one that failed. */
static bool sessions_run(struct bed *bed, struct lingering *lingering, struct session *session,
			 struct finding *finding)
{
	const struct fuzz_options *o = bed->options;
	uint64_t start_ns = play_now_ns();

	for (uint64_t i = 0; !over(o, i, start_ns); i++) {
		gen_session(session, o->seed + i, o->connections);
		if (!bed_run(bed, session, finding) || !linger_look(lingering, finding))
			return false;
	}
	return true;
}

int run_fuzz(const struct fuzz_options *o)
{
	struct linger_options linger = { .n = o->linger,
					 .connect_timeout_ms = o->connect_timeout_ms,
					 .term_timeout_ms = o->term_timeout_ms };
	struct finding finding = { .kind = FINDING_NONE };
	static struct session session;
	struct lingering lingering = { .n = 0 };
	struct bed bed;
	uint64_t start_ns;
	int rc = EXIT_FINE;
	bool fine;

	if (!bed_open(&bed, o, &finding)) {
		rc = misbehaved(&finding);
		goto out;
	}
	start_ns = play_now_ns();
	fine = linger_start(&lingering, &linger, &bed.play_options, &finding);
	if (fine && !sessions_run(&bed, &lingering, &session, &finding)) {
		fine = false;
		fprintf(stderr,
			"sluice-fuzz: session of seed %" PRIu64 " (the first was %" PRIu64 "):\n",
			session.seed, o->seed);
		save_failed(o, &session, &finding);
	}
	report(&bed, o->seed, (double)(play_now_ns() - start_ns) / NS_PER_S);
	if (fine && linger_wait(&lingering, &finding))
		bed_settled(&bed, &finding);
	if (finding.kind != FINDING_NONE)
		rc = misbehaved(&finding);
	linger_stop(&lingering);
out:
	bed_close(&bed);
	return rc;
}

int run_print(const struct fuzz_options *o)
{
	static struct session session;

	gen_session(&session, o->seed, o->connections);
	return session_write(&session, NULL, stdout) ? EXIT_MISBEHAVED : EXIT_FINE;
}

/* ----------------------------------------------------------------------------------------- replaying */

int run_replay(const struct fuzz_options *o)
{
	struct finding finding = { .kind = FINDING_NONE };
	static struct session session;
	struct bed bed;
	int rc = EXIT_FINE;

	if (!load(&session, o->file))
		return EXIT_USAGE;
	if (!bed_open(&bed, o, &finding) || !bed_run(&bed, &session, &finding))
		rc = misbehaved(&finding);
	else
		printf("the target behaved\n");
	bed_close(&bed);
	return rc;
}

struct minimising {
	struct bed bed;
	enum finding_kind kind; /* FINDING_NONE: not known yet */
	struct finding finding; /* of the last run that failed */
};

/* Has a target that serves; false: there is none, and nothing to start one. */
static bool heal(struct minimising *m)
{
	const char *restart = m->bed.options->restart;
	struct finding finding = { .kind = FINDING_NONE };

	if (bed_heal(&m->bed, &finding))
		return true;
	if (!restart || system(restart)) {
		misbehaved(&finding);
		return false;
	}
	for (unsigned i = 0; i < HEAL_TRIES && !interrupted; i++) {
		finding = (struct finding){ .kind = FINDING_NONE };
		if (bed_heal(&m->bed, &finding))
			return true;
		usleep(HEAL_PAUSE_US);
	}
	misbehaved(&finding);
	return false;
}

/* Where a target that dies is noticed first is a matter of chance. */
static bool is_alike(enum finding_kind a, enum finding_kind b)
{
	bool dies_a = a == FINDING_GONE || a == FINDING_CANARY;
	bool dies_b = b == FINDING_GONE || b == FINDING_CANARY;

	return a == b || (dies_a && dies_b);
}

static int fails_alike(void *arg, const struct session *session)
{
	struct minimising *m = arg;
	struct finding finding;

	if (interrupted)
		return -EINTR;
	if (!m->bed.canary && !heal(m))
		return -EIO;
	if (bed_run(&m->bed, session, &finding))
		return 0;
	/* A canary that was hurt is no use any more. */
	if (!canary_check(m->bed.canary)) {
		canary_stop(m->bed.canary);
		m->bed.canary = NULL;
	}
	if (finding.kind == FINDING_HERE)
		return -EIO;
	if (m->kind != FINDING_NONE && !is_alike(finding.kind, m->kind))
		return 0;
	m->kind = finding.kind;
	m->finding = finding;
	return 1;
}

int run_minimise(const struct fuzz_options *options)
{
	struct fuzz_options o = *options;
	static struct minimising m;
	static struct session session;
	char path[PATH_LEN];
	unsigned before;
	int rc = EXIT_MISBEHAVED, runs;

	if (!load(&session, o.file))
		return EXIT_USAGE;
	before = session.n;
	o.pid = 0; /* another process after each restart */
	if (!bed_open(&m.bed, &o, &m.finding)) {
		misbehaved(&m.finding);
		goto out;
	}
	runs = fails_alike(&m, &session);
	if (runs == 0) {
		printf("the target behaved: nothing to minimise\n");
		rc = EXIT_FINE;
		goto out;
	}
	if (runs > 0)
		runs = shrink(&session, fails_alike, &m, (int)o.tries);
	misbehaved(&m.finding);
	if (runs < 0 && !interrupted)
		fprintf(stderr, "sluice-fuzz: stopped early: the target does not serve any more; "
				"--restart can name a command that starts it again\n");
	snprintf(path, sizeof(path), "%s.min", o.file);
	if (save(&session, m.finding.text, path))
		printf("%u actions, %u before, in %s\n", session.n, before, path);
out:
	bed_close(&m.bed);
	return rc;
}
