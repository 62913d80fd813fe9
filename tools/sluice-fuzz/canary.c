/* SPDX-License-Identifier: BSD-3-Clause */
#include "canary.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "initiator.h"

enum {
	CANARY_CHUNK = 16384, /* bytes of a large I/O, which needs an R2T */
	CANARY_SMALL = 4096,  /* bytes of a small one, which goes in a capsule */
	CANARY_CHUNKS = 32,
	CANARY_PAUSE_MS = 5, /* between rounds that nobody waits for */
	CANARY_DEPTH = 4,
	CANARY_KATO_MS = 10000,
};

struct canary {
	struct initiator *in;
	struct initiator_options options;
	struct model_guard *guard; /* written before canary_start() returns */
	uint32_t nsid;		   /* as asked for */
	struct initiator_ns ns;
	uint64_t slba; /* of its first block */
	uint64_t generation[CANARY_CHUNKS];
	uint8_t wrote[CANARY_CHUNK], read[CANARY_CHUNK];
	bool done;
	pthread_t thread;
	bool started;
	sem_t wanted, given;
	atomic_bool stop, failed;
	atomic_uint_fast64_t rounds;
	char error[INITIATOR_ERROR_MAX + 128];
};

static bool __printf(2, 3) fail(struct canary *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	atomic_store(&c->failed, true);
	return false;
}

static void cmd_done(struct initiator_cmd *cmd)
{
	*(bool *)cmd->arg = true;
}

static uint32_t chunk_len(const struct canary *c, unsigned chunk)
{
	return chunk % 2 ? MAX((uint32_t)CANARY_SMALL, c->ns.block_size) : CANARY_CHUNK;
}

/* One I/O on a chunk; false after fail(). */
static bool io(struct canary *c, uint8_t opcode, unsigned chunk, uint8_t *data)
{
	uint64_t slba = c->slba + (uint64_t)chunk * CANARY_CHUNK / c->ns.block_size;
	uint32_t len = chunk_len(c, chunk);
	struct initiator_cmd cmd = {
		.sqe = { .opcode = opcode,
			 .nsid = le32(c->ns.nsid),
			 .cdw10 = le32((uint32_t)slba),
			 .cdw11 = le32((uint32_t)(slba >> 32)),
			 .cdw12 = le32(len / c->ns.block_size - 1) },
		.data = data,
		.len = len,
		.to_ctrl = opcode == NVME_IO_WRITE,
		.done = cmd_done,
		.arg = &c->done,
	};
	int rc;

	c->done = false;
	rc = initiator_submit(c->in, 1, &cmd);
	while (!rc && !c->done)
		rc = initiator_poll(c->in, 1000000000);
	if (!c->done || cmd.outcome == INITIATOR_LOST)
		return fail(c, "its connection: %s", initiator_error(c->in));
	if (cmd.status)
		return fail(c, "its %s of block %llu fails with status %03xh",
			    opcode == NVME_IO_WRITE ? "Write" : "Read", (unsigned long long)slba,
			    cmd.status);
	return true;
}

static void content(const struct canary *c, unsigned chunk, uint8_t *buf)
{
	struct rng rng = { .state = (uint64_t)chunk << 48 ^ c->generation[chunk] };

	for (uint32_t i = 0; i < CANARY_CHUNK; i += sizeof(uint64_t)) {
		uint64_t word = rng_next(&rng);

		memcpy(buf + i, &word, sizeof(word));
	}
}

/* Writes one chunk anew, and reads it and another one. */
static bool round_run(struct canary *c)
{
	unsigned chunk = (unsigned)(atomic_load(&c->rounds) % CANARY_CHUNKS);
	unsigned both[] = { chunk, (chunk * 7 + 3) % CANARY_CHUNKS };

	c->generation[chunk]++;
	content(c, chunk, c->wrote);
	if (!io(c, NVME_IO_WRITE, chunk, c->wrote))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(both); i++) {
		if (!c->generation[both[i]])
			continue;
		memset(c->read, 0xa5, sizeof(c->read));
		if (!io(c, NVME_IO_READ, both[i], c->read))
			return false;
		content(c, both[i], c->wrote);
		if (memcmp(c->wrote, c->read, chunk_len(c, both[i])))
			return fail(
				c, "it reads other data than it wrote, %u bytes from block %llu on",
				chunk_len(c, both[i]),
				(unsigned long long)(c->slba + (uint64_t)both[i] * CANARY_CHUNK /
								       c->ns.block_size));
	}
	atomic_fetch_add(&c->rounds, 1);
	return true;
}

/* The last active namespace, or 0. */
static uint32_t nsid_last(struct canary *c)
{
	static uint32_t list[1024];
	uint32_t last = 0;
	unsigned n;

	do {
		if (initiator_ns_list(c->in, last, list, &n))
			return 0;
		if (n)
			last = list[n - 1];
	} while (n == ARRAY_SIZE(list));
	return last;
}

static bool attach(struct canary *c)
{
	uint64_t blocks;
	uint32_t nsid;
	int rc = initiator_init(&c->in, &c->options);

	if (rc)
		return fail(c, "io_uring: %s", strerror(-rc));
	if (initiator_connect(c->in))
		return fail(c, "%s", initiator_error(c->in));
	nsid = c->nsid ? c->nsid : nsid_last(c);
	if (!nsid)
		return fail(c, "the subsystem shows no namespace; give it one of at least 1 MiB");
	if (initiator_ns_read(c->in, nsid, &c->ns))
		return fail(c, "namespace %u: %s", nsid, initiator_error(c->in));
	blocks = (uint64_t)CANARY_CHUNKS * CANARY_CHUNK / c->ns.block_size;
	if (c->ns.blocks < 2 * blocks)
		return fail(c, "namespace %u is too small: at least 1 MiB is needed", nsid);
	c->slba = c->ns.blocks - blocks;
	*c->guard = (struct model_guard){ .nsid = nsid,
					  .slba = c->slba,
					  .blocks = blocks,
					  .block_size = c->ns.block_size,
					  .capsule_data = initiator_in_capsule(c->in) };
	return true;
}

/* The whole life of the association: io_uring wants it on one thread. */
static void *canary_main(void *arg)
{
	struct canary *c = arg;
	bool fine = attach(c);

	sem_post(&c->given);
	while (!atomic_load(&c->stop)) {
		struct timespec until;
		bool asked;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += CANARY_PAUSE_MS * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		asked = !sem_timedwait(&c->wanted, &until);
		if (fine)
			fine = round_run(c);
		if (asked)
			sem_post(&c->given);
	}
	if (c->in)
		initiator_fini(c->in);
	return NULL;
}

static void given_wait(struct canary *c)
{
	while (sem_wait(&c->given) && errno == EINTR)
		;
}

bool canary_check(struct canary *c)
{
	sem_post(&c->wanted);
	given_wait(c);
	return !atomic_load(&c->failed);
}

const char *canary_error(const struct canary *c)
{
	return c->error;
}

uint64_t canary_rounds(const struct canary *c)
{
	return atomic_load(&c->rounds);
}

struct canary *canary_start(const struct canary_options *o, struct model_guard *guard, char *error,
			    size_t len)
{
	struct canary *c = calloc(1, sizeof(*c));

	if (!c) {
		snprintf(error, len, "no memory");
		return NULL;
	}
	c->options = (struct initiator_options){
		.addr = o->addr,
		.addr_len = o->addr_len,
		.peer = o->peer,
		.queues = 1,
		.depth = CANARY_DEPTH,
		.maxr2t = 1,
		.kato_ms = CANARY_KATO_MS,
		.connect_timeout_ms = o->timeout_ms,
		.io_timeout_ms = o->timeout_ms,
	};
	c->guard = guard;
	c->nsid = o->nsid;
	sem_init(&c->wanted, 0, 0);
	sem_init(&c->given, 0, 0);
	if (getrandom(c->options.hostid, sizeof(c->options.hostid), 0) < 0)
		c->options.hostid[0] = 1;
	snprintf(c->options.subnqn, sizeof(c->options.subnqn), "%s", o->subnqn);
	snprintf(c->options.hostnqn, sizeof(c->options.hostnqn), "nqn.2026-11.io.sluice:canary");
	c->started = !pthread_create(&c->thread, NULL, canary_main, c);
	if (c->started)
		given_wait(c);
	else
		fail(c, "no thread");
	if (atomic_load(&c->failed)) {
		snprintf(error, len, "%s", c->error);
		canary_stop(c);
		return NULL;
	}
	return c;
}

void canary_stop(struct canary *c)
{
	atomic_store(&c->stop, true);
	if (c->started) {
		sem_post(&c->wanted);
		pthread_join(c->thread, NULL);
	}
	sem_destroy(&c->wanted);
	sem_destroy(&c->given);
	free(c);
}
