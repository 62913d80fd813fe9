/* SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

enum { UNIT_MAGIC = 0x4d495300, BLOCK_MAX = 4096 };

#define NEVER UINT64_MAX

/* Blocks are made of these. */
struct unit {
	le32_t magic; /* and the namespace */
	le32_t lba;
	le32_t write;
	le32_t place;
};
_Static_assert(sizeof(struct unit) == 16, "fits any block");

struct write {
	unsigned ns;
	uint32_t slba, nlb, session;
	bool zeroes;
	uint64_t began;
	uint64_t ended; /* NEVER: not yet */
};

/* A write that may be what the block holds. */
struct candidate {
	uint32_t write;
	uint64_t gone; /* since when it is overwritten for certain; NEVER: it is not */
};

struct block {
	struct candidate *candidates; /* owned */
	unsigned n, room;
};

struct ns_model {
	struct sim_disk *disk;
	unsigned shift;
	uint32_t blocks;
	struct block *block; /* owned */
};

static struct {
	struct ns_model ns[MODEL_NAMESPACES];
	struct write *writes; /* [0]: the zeroes that all begins with */
	uint32_t n_writes, room;
	uint64_t time;
} model;

uint64_t model_tick(void)
{
	return ++model.time;
}

unsigned model_shift(unsigned ns)
{
	return model.ns[ns].shift;
}

uint32_t model_blocks(unsigned ns)
{
	return model.ns[ns].blocks;
}

static uint32_t write_new(void)
{
	if (model.n_writes == model.room) {
		model.room = 2 * model.room + 64;
		model.writes = realloc(model.writes, model.room * sizeof(*model.writes));
		SIM_CHECK(model.writes, "no memory for the simulation itself");
	}
	return model.n_writes++;
}

/* ------------------------------------------------------------------------------------------ blocks */

static void candidate_add(struct block *block, uint32_t write)
{
	if (block->n == block->room) {
		block->room = 2 * block->room + 4;
		block->candidates =
			realloc(block->candidates, block->room * sizeof(*block->candidates));
		SIM_CHECK(block->candidates, "no memory for the simulation itself");
	}
	block->candidates[block->n++] = (struct candidate){ write, NEVER };
}

static void block_fill(unsigned ns, uint32_t lba, uint32_t write, uint8_t *bytes)
{
	size_t size = (size_t)1 << model.ns[ns].shift;

	if (model.writes[write].zeroes) {
		memset(bytes, 0, size);
		return;
	}
	for (uint32_t i = 0; i < size / sizeof(struct unit); i++) {
		const struct unit unit = { le32(UNIT_MAGIC + ns), le32(lba), le32(write),
					   le32(~write - i) };

		memcpy(bytes + i * sizeof(unit), &unit, sizeof(unit));
	}
}

void model_fill(uint32_t write, uint8_t *bytes)
{
	const struct write *w = &model.writes[write];

	for (uint32_t i = 0; i < w->nlb; i++)
		block_fill(w->ns, w->slba + i, write, bytes + ((size_t)i << model.ns[w->ns].shift));
}

static struct block *block_of(unsigned ns, uint32_t lba)
{
	SIM_CHECK(lba < model.ns[ns].blocks, "block %u is not in the model", lba);
	return &model.ns[ns].block[lba];
}

void model_last(unsigned ns, uint32_t lba, uint8_t *bytes)
{
	const struct block *block = block_of(ns, lba);

	for (unsigned i = block->n; i--;) {
		if (block->candidates[i].gone == NEVER &&
		    (model.writes[block->candidates[i].write].ended != NEVER || !i)) {
			block_fill(ns, lba, block->candidates[i].write, bytes);
			return;
		}
	}
	block_fill(ns, lba, 0, bytes);
}

/* ------------------------------------------------------------------------------------------ writes */

uint32_t model_write(unsigned ns, uint32_t slba, uint32_t nlb, uint32_t session, bool zeroes)
{
	uint32_t write = write_new();

	model.writes[write] = (struct write){
		.ns = ns,
		.slba = slba,
		.nlb = nlb,
		.session = session,
		.zeroes = zeroes,
		.began = model_tick(),
		.ended = NEVER,
	};
	for (uint32_t i = 0; i < nlb; i++)
		candidate_add(block_of(ns, slba + i), write);
	return write;
}

/* What ended before @write began is not in the block any more. */
static void block_overwritten(struct block *block, uint32_t write, uint64_t now)
{
	for (unsigned i = 0; i < block->n; i++) {
		struct candidate *candidate = &block->candidates[i];

		if (candidate->write != write &&
		    model.writes[candidate->write].ended < model.writes[write].began)
			candidate->gone = MIN(candidate->gone, now);
	}
}

static void block_never(struct block *block, uint32_t write)
{
	for (unsigned i = 0; i < block->n; i++)
		if (block->candidates[i].write == write)
			block->candidates[i].gone = 0;
}

void model_write_end(uint32_t write, enum model_outcome outcome)
{
	struct write *w = &model.writes[write];

	SIM_CHECK(w->ended == NEVER, "write %u ends twice", write);
	w->ended = model_tick();
	for (uint32_t i = 0; i < w->nlb; i++) {
		if (outcome == MODEL_WRITTEN)
			block_overwritten(block_of(w->ns, w->slba + i), write, w->ended);
		else if (outcome == MODEL_NEVER)
			block_never(block_of(w->ns, w->slba + i), write);
	}
}

void model_session_end(uint32_t session)
{
	for (uint32_t i = 1; i < model.n_writes; i++)
		if (model.writes[i].session == session && model.writes[i].ended == NEVER)
			model_write_end(i, MODEL_MAYBE);
}

/* ------------------------------------------------------------------------------------------- reads */

/* Could a command that began at @began see @candidate? */
static bool candidate_visible(const struct candidate *candidate, uint64_t began)
{
	return candidate->gone > began;
}

static bool block_is(unsigned ns, uint32_t lba, uint32_t write, const uint8_t *bytes)
{
	uint8_t filled[BLOCK_MAX];
	struct unit unit;

	/* Most are not, and their first bytes tell. */
	memcpy(&unit, bytes, sizeof(unit));
	if (le32_get(unit.write) != (model.writes[write].zeroes ? 0 : write))
		return false;
	block_fill(ns, lba, write, filled);
	return !memcmp(filled, bytes, (size_t)1 << model.ns[ns].shift);
}

/* Memory that is written while it is read: each byte is of some write. */
static bool block_may_be_torn(unsigned ns, uint32_t lba, uint64_t began, const uint8_t *bytes)
{
	const struct block *block = block_of(ns, lba);
	size_t size = (size_t)1 << model.ns[ns].shift;
	uint8_t filled[BLOCK_MAX], good[BLOCK_MAX] = { 0 };

	for (unsigned i = 0; i < block->n; i++) {
		if (!candidate_visible(&block->candidates[i], began))
			continue;
		block_fill(ns, lba, block->candidates[i].write, filled);
		for (size_t at = 0; at < size; at++)
			good[at] |= filled[at] == bytes[at];
	}
	return !memchr(good, 0, size);
}

/* The writes that @bytes may be of, and those that a block may hold beside them. */
static unsigned block_holds(unsigned ns, uint32_t lba, uint64_t began, const uint8_t *bytes,
			    unsigned *others)
{
	const struct block *block = block_of(ns, lba);
	unsigned holds = 0;

	*others = 0;
	for (unsigned i = 0; i < block->n; i++) {
		if (!candidate_visible(&block->candidates[i], began))
			continue;
		if (block_is(ns, lba, block->candidates[i].write, bytes))
			holds++;
		else
			++*others;
	}
	if (!holds && !model.ns[ns].disk)
		holds = block_may_be_torn(ns, lba, began, bytes);
	return holds;
}

static _Noreturn void block_wrong(unsigned ns, uint32_t lba, uint64_t began, const uint8_t *bytes)
{
	const struct block *block = block_of(ns, lba);
	struct unit unit;

	memcpy(&unit, bytes, sizeof(unit));
	sim.verbose = true;
	for (unsigned i = 0; i < block->n; i++) {
		const struct write *w = &model.writes[block->candidates[i].write];

		sim_say("write %u%s of session %u: began %" PRIu64 ", ended %" PRId64
			", gone %" PRId64,
			block->candidates[i].write, w->zeroes ? " (zeroes)" : "", w->session,
			w->began, (int64_t)w->ended, (int64_t)block->candidates[i].gone);
	}
	sim_fail("namespace %u, block %u, looked at since %" PRIu64
		 ", cannot hold magic %08x, block %u, write %u",
		 ns, lba, began, le32_get(unit.magic), le32_get(unit.lba), le32_get(unit.write));
}

void model_read(unsigned ns, uint32_t slba, uint32_t nlb, uint64_t began, const uint8_t *bytes)
{
	unsigned others;

	for (uint32_t i = 0; i < nlb; i++) {
		const uint8_t *at = bytes + ((size_t)i << model.ns[ns].shift);

		if (!block_holds(ns, slba + i, began, at, &others))
			block_wrong(ns, slba + i, began, at);
	}
}

void model_compare(unsigned ns, uint32_t slba, uint32_t nlb, uint64_t began, const uint8_t *bytes,
		   bool equal)
{
	unsigned others, may_differ = 0;

	for (uint32_t i = 0; i < nlb; i++) {
		const uint8_t *at = bytes + ((size_t)i << model.ns[ns].shift);
		unsigned holds = block_holds(ns, slba + i, began, at, &others);

		may_differ += others || !holds;
		if (equal && !holds)
			block_wrong(ns, slba + i, began, at);
	}
	if (!equal && !may_differ)
		sim_fail("namespace %u: blocks %u to %u were found to differ, and cannot", ns, slba,
			 slba + nlb - 1);
}

/* A disk writes: it may only be what a host waits for, or nobody knows the end of. */
static void disk_writes(const struct sim_disk *disk, uint64_t lba, const uint8_t *bytes)
{
	const struct write *w;
	unsigned ns = 0;
	struct unit unit;

	while (ns < MODEL_NAMESPACES && model.ns[ns].disk != disk)
		ns++;
	memcpy(&unit, bytes, sizeof(unit));
	if (!le32_get(unit.magic))
		return; /* zeroes */
	SIM_CHECK(ns < MODEL_NAMESPACES && le32_get(unit.magic) == UNIT_MAGIC + ns &&
			  le32_get(unit.lba) == lba && le32_get(unit.write) < model.n_writes &&
			  block_is(ns, (uint32_t)lba, le32_get(unit.write), bytes),
		  "disk %u, block %" PRIu64 " is given what no host wrote there: magic %08x, "
		  "block %u, write %u",
		  disk->index, lba, le32_get(unit.magic), le32_get(unit.lba), le32_get(unit.write));
	w = &model.writes[le32_get(unit.write)];
	SIM_CHECK(w->ended == NEVER,
		  "disk %u, block %" PRIu64 " is given write %u of session %u, which was over",
		  disk->index, lba, le32_get(unit.write), w->session);
}

void model_namespace(unsigned ns, struct sim_disk *disk, unsigned shift, uint32_t blocks)
{
	SIM_CHECK(ns < MODEL_NAMESPACES && 1u << shift <= BLOCK_MAX, "not modelled");
	model.ns[ns] = (struct ns_model){ disk, shift, blocks, NULL };
	model.ns[ns].block = sim_alloc(blocks * sizeof(struct block));
	for (uint32_t i = 0; i < blocks; i++)
		candidate_add(&model.ns[ns].block[i], 0);
}

void model_begin(void)
{
	memset(&model, 0, sizeof(model));
	model.writes = NULL;
	write_new();
	model.writes[0] = (struct write){ .zeroes = true };
	sim_disk_writes = disk_writes;
}

void model_end(void)
{
	for (unsigned ns = 0; ns < MODEL_NAMESPACES; ns++) {
		for (uint32_t i = 0; i < model.ns[ns].blocks; i++)
			free(model.ns[ns].block[i].candidates);
		free(model.ns[ns].block);
	}
	free(model.writes);
	memset(&model, 0, sizeof(model));
	sim_disk_writes = NULL;
}
