/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "base/loop.h"
#include "base/rng.h"
#include "guard.h"

enum {
	PICK_TRIES = 64,                /* addresses tried before an I/O waits for others */
	POLL_NS = 100 * 1000 * 1000,
	RETRY_PAUSE_NS = 50 * 1000 * 1000, /* before a command that may be retried is */
	RECONNECT_PAUSE_NS = 200 * 1000 * 1000,
	MAX_COMPLAINTS = 8,
	MEMORY_ALIGN = 4096,
};

/* One I/O at a time, again and again, on one queue. */
struct job {
	struct initiator_cmd cmd;
	struct load *load;
	uint64_t lba;
	uint8_t *buf;
	unsigned queue;
	unsigned retries;
	bool write;
};

struct load {
	struct load_shape shape;
	struct job *jobs;
	uint8_t *memory;    /* all that commands transfer, one region of the initiator */
	uint8_t *shared;    /* in it: what all writes send when nothing is verified */
	uint8_t *sink;      /* in it: where all reads go then, NULL: they are dropped */
	unsigned n_jobs;
	uint32_t nlb;       /* blocks of an I/O */
	uint64_t slots;     /* I/O places in the range */
	uint32_t next_ns;   /* whose turn it is, from shape.nsid on */
	uint64_t cursor;    /* next place, of a sequential phase */
	struct rng rng;
	struct job **ready; /* stack of jobs without an I/O */
	struct job **again; /* jobs whose command has to be sent again */
	unsigned n_ready, n_again;
	unsigned complaints;

	/* The phase. */
	const struct load_spec *spec;
	struct load_result *result;
	uint64_t start_ns, due_ns, again_ns;
	uint64_t places_left;
	bool stopping;
	bool corrupt;
};

static volatile sig_atomic_t interrupted;

void load_interrupt(void)
{
	interrupted = 1;
}

/* ------------------------------------------------------------------------------------------ issue */

static uint64_t place_next(struct load *l)
{
	uint64_t place;

	if (l->spec->random)
		return rng_below64(&l->rng, l->slots);
	place = l->cursor;
	l->cursor = (l->cursor + 1) % l->slots;
	return place;
}

/*
 * Finds a place for the next I/O into @job->lba; when verifying, one that no other I/O is using, so
 * that its content is known. False: not now, try when something has completed, or l->stopping.
 */
static bool place_claim(struct load *l, struct job *job)
{
	struct verify *v = l->shape.verify;

	for (unsigned i = 0; i < PICK_TRIES; i++) {
		if (l->spec->bytes && l->places_left == 0) {
			l->stopping = true;
			return false;
		}
		job->lba = l->shape.first + place_next(l) * l->nlb;
		if (l->spec->known_only && !verify_known(v, job->lba, l->nlb)) {
			l->places_left--;
			i = 0;
			continue;
		}
		if (v && !verify_claim(v, job->lba, l->nlb))
			continue;
		if (l->spec->bytes)
			l->places_left--;
		return true;
	}
	return false;
}

static void job_prepare(struct load *l, struct job *job)
{
	struct nvme_sqe *sqe = &job->cmd.sqe;

	job->retries = 0;
	job->write = l->spec->read_percent == 0 ||
		     (l->spec->read_percent < 100 && rng_below64(&l->rng, 100) >= l->spec->read_percent);
	sqe->opcode = job->write ? NVME_IO_WRITE : NVME_IO_READ;
	sqe->nsid = le32(l->shape.nsid + l->next_ns);
	l->next_ns = (l->next_ns + 1) % l->shape.namespaces;
	sqe->cdw10 = le32((uint32_t)job->lba);
	sqe->cdw11 = le32((uint32_t)(job->lba >> 32));
	job->cmd.to_ctrl = job->write;
	if (!l->shape.verify)
		job->cmd.data = job->write ? l->shared : l->sink;
	else if (job->write)
		verify_fill(l->shape.verify, job->lba, l->nlb, job->buf);
}

static bool job_submit(struct load *l, struct job *job)
{
	/* What an earlier I/O left there must not pass for what this one reads. */
	if (job->buf && !job->write)
		guard_fill(job->buf, l->shape.bs + GUARD_LEN);
	return initiator_submit(l->shape.in, job->queue, &job->cmd) == 0;
}

static bool phase_over(const struct load *l)
{
	return interrupted || l->corrupt ||
	       (l->spec->time_ns &&
		initiator_now_ns(l->shape.in) - l->start_ns >= l->spec->time_ns);
}

/* Starts what may start now. */
static void issue(struct load *l)
{
	uint64_t now = initiator_now_ns(l->shape.in);

	while (l->n_again && now >= l->again_ns && job_submit(l, l->again[l->n_again - 1]))
		l->n_again--;
	if (phase_over(l))
		l->stopping = true;
	while (l->n_ready && !l->stopping) {
		struct job *job = l->ready[l->n_ready - 1];

		if (l->spec->rate && now < l->due_ns)
			return;
		if (!place_claim(l, job))
			return;
		job_prepare(l, job);
		l->n_ready--;
		if (!job_submit(l, job))
			l->again[l->n_again++] = job;
		if (l->spec->rate)
			l->due_ns += 1000000000u / l->spec->rate;
	}
}

/* --------------------------------------------------------------------------------------- complete */

static void status_count(struct load_result *r, uint16_t status)
{
	unsigned i = 0;

	status &= NVME_STATUS_CODE_MASK | NVME_STATUS_DNR;
	while (i < r->n_statuses && r->statuses[i].status != status)
		i++;
	if (i == LOAD_STATUSES)
		return;
	if (i == r->n_statuses)
		r->statuses[r->n_statuses++] = (struct load_status){ .status = status };
	r->statuses[i].count++;
}

static void complain(struct load *l, const struct job *job)
{
	char text[96];

	if (l->complaints++ >= MAX_COMPLAINTS)
		return;
	fprintf(stderr, "sluice-bench: %s of %u blocks at lba %llu on queue %u failed: %s\n",
		job->write ? "write" : "read", l->nlb, (unsigned long long)job->lba, job->queue,
		nvme_status_text(job->cmd.status, text, sizeof(text)));
}

static void job_failed(struct load *l, struct job *job)
{
	status_count(l->result, job->cmd.status);
	if (!(job->cmd.status & NVME_STATUS_DNR) && job->retries < LOAD_RETRIES) {
		job->retries++;
		l->result->retries++;
		l->again[l->n_again++] = job;
		l->again_ns = initiator_now_ns(l->shape.in) + RETRY_PAUSE_NS;
		return;
	}
	complain(l, job);
	l->result->failed++;
	if (l->shape.verify) {
		if (job->write)
			verify_uncertain(l->shape.verify, job->lba, l->nlb);
		verify_release(l->shape.verify, job->lba, l->nlb);
	}
	l->ready[l->n_ready++] = job;
}

static void job_verify(struct load *l, struct job *job)
{
	struct verify *v = l->shape.verify;
	char text[VERIFY_TEXT_MAX];

	verify_release(v, job->lba, l->nlb);
	if (job->write) {
		verify_written(v, job->lba, l->nlb);
		return;
	}
	if (!guard_intact(job->buf + l->shape.bs))
		snprintf(text, sizeof(text), "lba %llu: bytes were written behind the %u of the read",
			 (unsigned long long)job->lba, l->shape.bs);
	else if (verify_check(v, job->lba, l->nlb, job->buf, text))
		return;
	l->corrupt = true;
	if (l->complaints++ < MAX_COMPLAINTS)
		fprintf(stderr, "sluice-bench: WRONG DATA in namespace %u, %s\n", l->shape.nsid,
			text);
}

static void job_done(struct initiator_cmd *cmd)
{
	struct job *job = container_of(cmd, struct job, cmd);
	struct load *l = job->load;

	if (cmd->outcome == INITIATOR_LOST) {
		l->result->resent++;
		l->again[l->n_again++] = job;
		return;
	}
	if (cmd->status) {
		job_failed(l, job);
		return;
	}
	hist_add(&l->result->latency[job->write], cmd->end_ns - cmd->start_ns);
	l->result->ios[job->write]++;
	l->result->bytes[job->write] += cmd->len;
	l->result->queue_ios[job->queue]++;
	if (l->shape.verify)
		job_verify(l, job);
	l->ready[l->n_ready++] = job;
}

/* -------------------------------------------------------------------------------------------- run */

/* Like a Linux host: tries until it works, until it is told not to, or until the time is over. */
static int reconnect(struct load *l)
{
	uint64_t lost_ns = clock_now_ns();
	const struct timespec pause = { .tv_nsec = RECONNECT_PAUSE_NS };
	struct initiator *in = l->shape.in;

	if (!initiator_may_retry(in) || l->spec->reconnect_s == 0)
		return -ECONNRESET;
	fprintf(stderr, "sluice-bench: %s; reconnecting\n", initiator_error(in));
	for (;;) {
		nanosleep(&pause, NULL);
		if (initiator_connect(in) == 0)
			break;
		if (!initiator_may_retry(in) || interrupted ||
		    clock_now_ns() - lost_ns > l->spec->reconnect_s * 1000000000ull)
			return -ECONNRESET;
	}
	l->result->reconnects++;
	l->result->outage_ns = MAX(l->result->outage_ns, clock_now_ns() - lost_ns);
	l->again_ns = 0;
	fprintf(stderr, "sluice-bench: connected again after %llu ms, sending %u I/Os again\n",
		(unsigned long long)(clock_now_ns() - lost_ns) / 1000000u, l->n_again);
	return 0;
}

static uint64_t poll_timeout(const struct load *l)
{
	uint64_t now = initiator_now_ns(l->shape.in);
	uint64_t until = now + POLL_NS;

	if (l->n_again)
		until = MIN(until, l->again_ns);
	if (l->spec->rate && l->n_ready && !l->stopping)
		until = MIN(until, l->due_ns);
	if (l->spec->time_ns && !l->stopping)
		until = MIN(until, l->start_ns + l->spec->time_ns);
	return until > now ? until - now : 0;
}

int load_run(struct load *l, const struct load_spec *spec, struct load_result *result)
{
	int rc = 0;

	memset(result, 0, sizeof(*result));
	l->spec = spec;
	l->result = result;
	l->cursor = 0;
	l->stopping = false;
	l->places_left = spec->bytes / l->shape.bs + (spec->bytes % l->shape.bs != 0);
	rc = initiator_poll(l->shape.in, 0);
	if (rc)
		rc = reconnect(l);
	l->start_ns = initiator_now_ns(l->shape.in);
	l->due_ns = l->start_ns;
	while (!rc) {
		issue(l);
		if (l->stopping && l->n_ready == l->n_jobs)
			break;
		if (initiator_poll(l->shape.in, poll_timeout(l)))
			rc = reconnect(l);
	}
	result->elapsed_ns = clock_now_ns() - l->start_ns;
	if (rc)
		return rc;
	if (l->corrupt)
		return -EBADMSG;
	return interrupted ? -EINTR : 0;
}

/* ------------------------------------------------------------------------------------------- life */

/* Bytes from one I/O's buffer to the next. */
static size_t stride(const struct load_shape *shape)
{
	return (size_t)shape->bs + GUARD_LEN;
}

/* One piece for everything that is transferred, told to the initiator. 0 or a negative errno. */
static int memory_init(struct load *l)
{
	const struct load_shape *s = &l->shape;
	size_t buffers = s->verify ? l->n_jobs : initiator_places_data(s->in) ? 2 : 1;
	size_t len = align_up(buffers * stride(s), MEMORY_ALIGN);

	l->memory = aligned_alloc(MEMORY_ALIGN, len);
	if (!l->memory)
		return -ENOMEM;
	if (s->verify)
		return initiator_region_add(s->in, l->memory, len);
	l->shared = l->memory;
	for (uint32_t i = 0; i < s->bs; i++)
		l->shared[i] = (uint8_t)rng_next(&l->rng);
	if (initiator_places_data(s->in))
		l->sink = l->memory + stride(s);
	return initiator_region_add(s->in, l->memory, len);
}

static void jobs_init(struct load *l, unsigned depth, uint8_t *buffers)
{
	const struct load_shape *s = &l->shape;

	for (unsigned i = 0; i < l->n_jobs; i++) {
		struct job *job = &l->jobs[i];

		job->load = l;
		job->queue = i / depth + 1;
		job->buf = s->verify ? buffers + i * stride(s) : NULL;
		job->cmd.data = job->buf;
		job->cmd.len = s->bs;
		job->cmd.done = job_done;
		job->cmd.sqe.cdw12 = le32(l->nlb - 1);
		/* A stack: the first queues are served first. */
		l->ready[l->n_jobs - 1 - i] = job;
	}
	l->n_ready = l->n_jobs;
}

int load_init(struct load **out, const struct load_shape *shape)
{
	unsigned depth = initiator_depth(shape->in);
	struct load *l = calloc(1, sizeof(*l));
	int rc = -ENOMEM;

	if (!l)
		return rc;
	l->shape = *shape;
	l->n_jobs = initiator_queues(shape->in) * depth;
	l->nlb = shape->bs / shape->block_size;
	l->slots = shape->blocks / l->nlb;
	l->rng.state = shape->seed;
	l->jobs = calloc(l->n_jobs, sizeof(*l->jobs));
	l->ready = calloc(l->n_jobs, sizeof(struct job *));
	l->again = calloc(l->n_jobs, sizeof(struct job *));
	if (l->jobs && l->ready && l->again)
		rc = memory_init(l);
	if (rc) {
		load_fini(l);
		return rc;
	}
	jobs_init(l, depth, l->memory);
	*out = l;
	return 0;
}

void load_fini(struct load *l)
{
	if (!l)
		return;
	if (l->memory)
		initiator_region_remove(l->shape.in, l->memory);
	free(l->jobs);
	free(l->ready);
	free(l->again);
	free(l->memory);
	free(l);
}
