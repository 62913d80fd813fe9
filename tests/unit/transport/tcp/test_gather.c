/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Payload in fragments. The NIC is played by the test: it fills chunks in any order, at any offset and
 * in any length, and poisons every chunk that it gets back, so that what is used after that is noticed.
 */
#include "unit.h"

#include "transport/tcp/gather.h"

enum {
	SHIFT = 12,
	CHUNK = 1 << SHIFT,
	CHUNKS = 1024,
	RESERVE = CHUNKS / 4,
	KEEPERS = 4,
	BUFFERS = 16 << 20,
	COMMANDS = 48,
	COMMAND_MAX = 256 << 10,
};

struct nic {
	struct area area;
	struct pool pool;
	struct landing landing;
	uint32_t free[CHUNKS];
	uint32_t n_free;
	struct unit_random r;
};

struct command {
	struct gather gather;
	struct span room;
	struct spanv buffer;
	uint32_t len, done, seed;
	uint32_t copied;
};

static uint8_t payload_byte(uint32_t seed, uint32_t i)
{
	return (uint8_t)(seed * 31 + i * 7 + (i >> 8) * 13);
}

static void nic_init(struct nic *nic, uint64_t seed)
{
	const struct area_spec spec = { .name = "nic", .size = BUFFERS + CHUNKS * CHUNK };

	*nic = (struct nic){ .r = { seed } };
	assert_int_equal(area_create(&nic->area, "anon", &spec), 0);
	assert_int_equal(pool_init(&nic->pool, &nic->area, 0, BUFFERS), 0);
	assert_int_equal(landing_init(&nic->landing, &nic->area, BUFFERS, CHUNKS * CHUNK, SHIFT,
				      RESERVE, KEEPERS), 0);
	for (uint32_t i = 0; i < CHUNKS; i++)
		nic->free[nic->n_free++] = i;
}

static void nic_refill(struct nic *nic)
{
	uint32_t index, n;

	while ((n = chunks_take_idle(&nic->landing.chunks, UINT32_MAX, &index))) {
		memset((char *)nic->area.base + BUFFERS + index * CHUNK, 0xdb, CHUNK);
		nic->free[nic->n_free++] = index;
	}
}

static void nic_fini(struct nic *nic)
{
	nic_refill(nic);
	assert_int_equal(nic->landing.kept, 0);
	for (unsigned i = 0; i < KEEPERS; i++)
		assert_int_equal(nic->landing.kept_by[i], 0);
	assert_int_equal(nic->landing.chunks.held, 0);
	assert_int_equal(nic->n_free, CHUNKS);
	assert_int_equal(nic->landing.rooms.free_bytes, nic->landing.rooms_area.size);
	landing_fini(&nic->landing);
	pool_fini(&nic->pool);
	area_destroy(&nic->area);
}

static void command_begin(struct command *cmd, struct nic *nic, uint32_t len, uint32_t align,
			  uint32_t keeper)
{
	*cmd = (struct command){ .len = len, .seed = unit_random(&nic->r) };
	assert_int_equal(pool_get(&nic->pool, len, &cmd->room), 0);
	spanv_init(&cmd->buffer, &cmd->room, 1);
	cmd->buffer.n = 1;
	cmd->buffer.len = len;
	memset(span_ptr(&cmd->room), 0xee, len);
	gather_init(&cmd->gather, &nic->landing, &cmd->buffer, align, keeper);
}

/* A fragment of up to @most bytes of the command's payload at @skew in a chunk. */
static void command_receive(struct command *cmd, struct nic *nic, uint32_t most, uint32_t skew)
{
	struct landing *landing = &nic->landing;
	uint32_t left = MIN(most, cmd->len - cmd->done), len = MIN(left, (uint32_t)CHUNK - skew);
	struct span fragment;
	uint8_t *to;

	/* Commands never keep so much that there is none for the NIC. */
	assert_true(nic->n_free);
	fragment = (struct span){ &nic->area, BUFFERS + nic->free[--nic->n_free] * CHUNK + skew, len };
	to = span_ptr(&fragment);
	for (uint32_t i = 0; i < len; i++)
		to[i] = payload_byte(cmd->seed, cmd->done + i);
	chunks_received(&landing->chunks, &fragment);
	cmd->copied += gather_add(&cmd->gather, cmd->done, &fragment);
	cmd->done += len;
	chunks_put(&landing->chunks, &fragment);
	nic_refill(nic);
	assert_true(landing->kept <= landing->most);
	assert_true(nic->n_free >= RESERVE);
}

static void command_check(const struct command *cmd, const struct nic *nic)
{
	const struct spanv *data = &cmd->gather.data;
	uint8_t *got = malloc(cmd->len);
	uint32_t len = 0, placed = 0;

	for (uint32_t i = 0; i < data->n; i++) {
		assert_int_equal(data->v[i].offset & (cmd->gather.align - 1), 0);
		if (i + 1 < data->n)
			assert_int_equal(data->v[i].len & (cmd->gather.align - 1), 0);
		len += data->v[i].len;
		if (chunks_have(&nic->landing.chunks, &data->v[i]))
			placed += data->v[i].len;
	}
	assert_int_equal(len, cmd->len);
	assert_int_equal(data->len, cmd->len);
	assert_int_equal(placed + cmd->copied, cmd->len);
	spanv_read(data, 0, got, cmd->len);
	for (uint32_t i = 0; i < cmd->len; i++)
		if (got[i] != payload_byte(cmd->seed, i))
			fail_msg("byte %u of %u is wrong", i, cmd->len);
	free(got);
}

static void command_end(struct command *cmd, struct nic *nic)
{
	gather_fini(&cmd->gather);
	pool_put(&nic->pool, &cmd->room);
	nic_refill(nic);
	cmd->len = 0;
}

/* One command alone, in fragments of @most bytes at @skew: returns what was copied. */
static uint32_t alone(uint32_t len, uint32_t most, uint32_t skew, uint32_t align)
{
	struct nic nic;
	struct command cmd;
	uint32_t copied;

	nic_init(&nic, 1);
	command_begin(&cmd, &nic, len, align, 0);
	while (cmd.done < len)
		command_receive(&cmd, &nic, most, skew);
	command_check(&cmd, &nic);
	copied = cmd.copied;
	command_end(&cmd, &nic);
	nic_fini(&nic);
	return copied;
}

static void what_fits_is_not_copied(void **state)
{
	(void)state;
	assert_int_equal(alone(64 << 10, CHUNK, 0, 4), 0);
	assert_int_equal(alone(64 << 10, 1448, 0, 4), 0);
	assert_int_equal(alone(64 << 10, 1448, 64, 4), 0);
	assert_int_equal(alone(128 << 10, 512, 0, 4), 0);
	/* Too small a rest for a segment of its own. */
	assert_int_equal(alone(1448 + 64, 1448, 0, 4), 64);
	/* At an odd place in memory: all of it. */
	assert_int_equal(alone(64 << 10, 1448, 66, 4), 64 << 10);
	/* A device that takes nothing but blocks. */
	assert_int_equal(alone(64 << 10, CHUNK, 0, 512), 0);
	assert_int_equal(alone(64 << 10, 1448, 0, 512), (64 << 10) - 1024);
}

/* Segments of odd length: what lies between multiples of four, where memory and payload agree. */
static void odd_lengths(void **state)
{
	(void)state;
	/* Each fourth fragment begins at a multiple of four in the payload, and loses its odd end. */
	assert_in_range(alone(1447 * 40, 1447, 0, 4), 1447 * 30, 1447 * 30 + 10 * 3);
	/* Memory and payload are apart by as much. */
	assert_in_range(alone(4095 + 4096 * 8, 4095, 1, 4), 1, 40 << 10);
}

/* Longer than what the vector has room for by itself, to the last fragment. */
static void many_fragments(void **state)
{
	(void)state;
	assert_int_equal(alone(CHUNK * 256, CHUNK, 0, 4), 0);
	assert_int_equal(alone(256 * 1024, 1024, 0, 4), 0);
}

static void any_payload(void **state)
{
	static struct command cmds[COMMANDS];
	static const uint32_t aligns[] = { 1, 4, 4, 4, 512 };
	struct nic nic;
	uint32_t live = 0;

	(void)state;
	nic_init(&nic, 3);
	for (unsigned step = 0; step < 20000; step++) {
		struct command *cmd = &cmds[unit_random_below(&nic.r, COMMANDS)];
		uint32_t most = unit_random_below(&nic.r, 4) ? 1448 : 1 + unit_random_below(&nic.r, CHUNK);
		uint32_t skew = unit_random_below(&nic.r, 3) ? 0 : unit_random_below(&nic.r, 128);

		if (!cmd->len) {
			uint32_t len = 4 * (1 + unit_random_below(&nic.r, COMMAND_MAX / 4));

			if (nic.pool.free_bytes < 4 * COMMAND_MAX)
				continue;
			command_begin(cmd, &nic, len,
				      aligns[unit_random_below(&nic.r, ARRAY_SIZE(aligns))],
				      unit_random_below(&nic.r, KEEPERS));
			live++;
		} else if (cmd->done < cmd->len && unit_random_below(&nic.r, 200)) {
			command_receive(cmd, &nic, most, skew);
		} else if (cmd->done == cmd->len || !unit_random_below(&nic.r, 20)) {
			/* Done, or its connection is gone in the middle. */
			if (cmd->done == cmd->len)
				command_check(cmd, &nic);
			command_end(cmd, &nic);
			live--;
		}
	}
	assert_true(live);
	for (unsigned i = 0; i < COMMANDS; i++)
		if (cmds[i].len)
			command_end(&cmds[i], &nic);
	nic_fini(&nic);
}

/* Packets that share a chunk take one chunk of what commands may keep. */
static void packed_fragments_are_one_chunk(void **state)
{
	enum { PACKET = 500, HEADER = 12 };
	struct command cmd;
	struct span fragment;
	struct nic nic;
	uint32_t at = 0;

	(void)state;
	nic_init(&nic, 7);
	command_begin(&cmd, &nic, 6 * PACKET, 4, 0);
	fragment = (struct span){ &nic.area, BUFFERS, PACKET };
	for (; cmd.done < cmd.len; cmd.done += PACKET) {
		fragment.offset = BUFFERS + at;
		for (uint32_t i = 0; i < PACKET; i++)
			((uint8_t *)span_ptr(&fragment))[i] = payload_byte(cmd.seed, cmd.done + i);
		chunks_received(&nic.landing.chunks, &fragment);
		cmd.copied += gather_add(&cmd.gather, cmd.done, &fragment);
		at += PACKET + HEADER;
	}
	nic.n_free = CHUNKS - 1;
	assert_int_equal(nic.landing.kept, 1);
	assert_int_equal(cmd.gather.data.n, 6);
	assert_int_equal(cmd.copied, 0);
	command_check(&cmd, &nic);
	for (uint32_t i = 0; i < 6; i++)
		chunks_put(&nic.landing.chunks, &cmd.gather.data.v[i]);
	nic.free[CHUNKS - 1] = nic.free[0];
	command_end(&cmd, &nic);
	nic_fini(&nic);
}

/* The only one who writes keeps nearly all of it, so that hardly a byte is copied at a great depth. */
static void one_namespace_keeps_most(void **state)
{
	enum { DEPTH = 18 }; /* of 46 chunks each */
	static struct command cmds[DEPTH];
	uint32_t copied = 0;
	struct nic nic;

	(void)state;
	nic_init(&nic, 9);
	for (unsigned i = 0; i < DEPTH; i++) {
		command_begin(&cmds[i], &nic, 46 * 1448, 4, 0);
		while (cmds[i].done < cmds[i].len)
			command_receive(&cmds[i], &nic, 1448, 0);
		copied += i < 13 ? cmds[i].copied : 0;
	}
	assert_int_equal(copied, 0);
	for (unsigned i = 0; i < DEPTH; i++) {
		command_check(&cmds[i], &nic);
		command_end(&cmds[i], &nic);
	}
	nic_fini(&nic);
}

/* One namespace's disk is stuck: a fifth of what commands may keep is left for the others. */
static void a_stuck_disk_leaves_chunks(void **state)
{
	static struct command stuck[COMMANDS];
	struct command cmd;
	struct nic nic;

	(void)state;
	nic_init(&nic, 5);
	for (unsigned i = 0; i < COMMANDS; i++) {
		command_begin(&stuck[i], &nic, 128 << 10, 4, 1);
		while (stuck[i].done < stuck[i].len)
			command_receive(&stuck[i], &nic, CHUNK, 0);
	}
	assert_in_range(nic.landing.kept, nic.landing.most / 5 * 4 - 1, nic.landing.most / 5 * 4 + 4);
	assert_true(stuck[COMMANDS - 1].copied == stuck[COMMANDS - 1].len);
	command_begin(&cmd, &nic, 256 << 10, 4, 2);
	while (cmd.done < cmd.len)
		command_receive(&cmd, &nic, CHUNK, 0);
	assert_int_equal(cmd.copied, 0);
	command_check(&cmd, &nic);
	command_end(&cmd, &nic);
	for (unsigned i = 0; i < COMMANDS; i++) {
		command_check(&stuck[i], &nic);
		command_end(&stuck[i], &nic);
	}
	nic_fini(&nic);
}

/* --------------------------------------------------------------------------------- grants, a model */

enum { HOSTS = 24, GREEDY = 3, WINDOW = 1 << 20, STUCK_KEEPER = 1, TICKS = 6000 };

/*
 * A host with one command at a time in one connection: it waits for room, sends what it was asked for,
 * then its disk takes its time. A greedy one never sends; a stuck one's disk never ends.
 */
struct host {
	struct command cmd;
	bool greedy, stuck;
	uint32_t keeper;
	uint32_t granted; /* of the command */
	uint32_t outstanding;
	uint32_t disk;    /* ticks until its disk is done */
	uint32_t finished;
};

static void host_grant(struct host *host, struct nic *nic)
{
	struct landing *landing = &nic->landing;
	uint32_t left = host->cmd.len - host->granted, n;
	uint64_t room = landing_room(landing, host->outstanding);

	if (!host->cmd.len || !left || host->outstanding)
		return;
	room = MIN(room, (uint64_t)WINDOW);
	n = (uint32_t)MIN(room, (uint64_t)left);
	host->granted += n;
	host->outstanding += n;
	landing->granted += n;
	/*
	 * What is promised and what is kept fit together, as chunks are filled at the worst here; but for
	 * 4 KiB of each host, which fit what commands never keep.
	 */
	assert_true(landing->granted <= (uint64_t)landing->most * CHUNK + HOSTS * 4096);
	if (n > 4096)
		assert_true(landing->granted <= (uint64_t)(landing->most - landing->kept) * 1500);
}

static void host_turn(struct host *host, struct nic *nic)
{
	uint32_t packets = 1 + unit_random_below(&nic->r, 12);

	if (!host->cmd.len && nic->pool.free_bytes >= 4 * COMMAND_MAX) {
		command_begin(&host->cmd, nic, 4096 * (1 + unit_random_below(&nic->r, 64)), 4,
			      host->keeper);
		host->granted = 0;
	}
	host_grant(host, nic);
	while (packets-- && host->outstanding && !host->greedy) {
		uint32_t n = MIN(host->outstanding, 1448u);

		command_receive(&host->cmd, nic, n, 0);
		host->outstanding -= n;
		nic->landing.granted -= n;
		host->disk = 1 + unit_random_below(&nic->r, 40);
	}
	if (!host->cmd.len || host->cmd.done < host->cmd.len || host->stuck || host->disk--)
		return;
	command_check(&host->cmd, nic);
	command_end(&host->cmd, nic);
	host->finished++;
}

static void grants_fit_and_nobody_starves(void **state)
{
	static struct host hosts[HOSTS];
	struct nic nic;

	(void)state;
	nic_init(&nic, 11);
	for (unsigned i = 0; i < HOSTS; i++) {
		hosts[i] = (struct host){ .greedy = i < GREEDY, .keeper = i % KEEPERS };
		hosts[i].stuck = hosts[i].keeper == STUCK_KEEPER;
	}
	for (unsigned tick = 0; tick < TICKS; tick++)
		for (unsigned i = 0; i < HOSTS; i++)
			host_turn(&hosts[i], &nic);
	for (unsigned i = 0; i < HOSTS; i++) {
		if (!hosts[i].greedy && !hosts[i].stuck && hosts[i].finished < TICKS / 200)
			fail_msg("host %u finished %u commands", i, hosts[i].finished);
		nic.landing.granted -= hosts[i].outstanding;
		if (hosts[i].cmd.len)
			command_end(&hosts[i].cmd, &nic);
	}
	assert_int_equal(nic.landing.granted, 0);
	nic_fini(&nic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fits_is_not_copied),
		cmocka_unit_test(odd_lengths),
		cmocka_unit_test(many_fragments),
		cmocka_unit_test(any_payload),
		cmocka_unit_test(packed_fragments_are_one_chunk),
		cmocka_unit_test(one_namespace_keeps_most),
		cmocka_unit_test(a_stuck_disk_leaves_chunks),
		cmocka_unit_test(grants_fit_and_nobody_starves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
