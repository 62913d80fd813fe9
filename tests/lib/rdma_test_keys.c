/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys that are wrong, too weak, another host's, or taken away while they are in use; and which key the
 * target has invalidated. The host's device refuses what the target asks of it, so the target's RDMA
 * fails: the connection ends or the command gets an error, and nobody waits for ever.
 */
#include <string.h>

#include "rdma_rig.h"

enum {
	SECRET = 0x4002,
	BIG = 256 << 10,  /* a transfer of many packets */
	BIG_COMMANDS = 8, /* of them, to be caught in the middle */
	CATCH_MS = 60000, /* in which at least one was */
};

/* How a command ends whose memory cannot be reached. */
static const uint16_t codes_fail[] = { CODE_ANY_ERROR, CODE_CONNECTION_ENDS, CODES_END };

/* By another host, as the one of the test may have no connection any more. */
static int pattern_check(struct rig *rig, unsigned n)
{
	struct host *host = host_new(rig, n);

	return host_attach(host) ? -1 : host_check_pattern(host);
}

/* One command on a host of its own, with a descriptor that @spoil has made bad. */
static int spoiled(struct rig *rig, uint8_t opcode, const char *what,
		   struct nvme_sgl (*spoil)(struct host *host))
{
	struct host *host = host_attach_pattern(rig, 0);
	struct nvme_sqe sqe;

	if (!host)
		return -1;
	pattern_fill(host->data->mem, HOST_DATA_LEN, SECRET);
	sqe = sqe_io(opcode, 0, 1, spoil(host));
	if (conn_expect(host->io, what, &sqe, NULL, 0, codes_fail))
		return -1;
	if (!pattern_is(host->data->mem, HOST_DATA_LEN, SECRET))
		return fail(rig, "%s: the host's memory was written", what);
	return pattern_check(rig, 1);
}

static struct nvme_sgl key_unknown(struct host *host)
{
	return sgl_keyed(NVME_SGL_KEYED_ADDRESS, (uintptr_t)host->data->mem, host->block,
			 host->data->mr->rkey ^ 0x5a5a5a00);
}

/* The same key but for the part that changes with each registration. */
static struct nvme_sgl key_stale(struct host *host)
{
	return sgl_keyed(NVME_SGL_KEYED_ADDRESS, (uintptr_t)host->data->mem, host->block,
			 host->data->mr->rkey ^ 0x01);
}

static struct nvme_sgl key_zero(struct host *host)
{
	return sgl_keyed(NVME_SGL_KEYED_ADDRESS, (uintptr_t)host->data->mem, host->block, 0);
}

/* Of the region of sends, which is for the host's own device alone. */
static struct nvme_sgl key_local(struct host *host)
{
	return sgl_region(host->io->slots, 0, host->block);
}

static struct nvme_sgl key_read_only(struct host *host)
{
	return sgl_region(region_make(host, 65536, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ),
			  0, host->block);
}

static struct nvme_sgl key_write_only(struct host *host)
{
	return sgl_region(
		region_make(host, 65536, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE), 0,
		host->block);
}

static struct nvme_sgl address_before(struct host *host)
{
	return sgl_keyed(NVME_SGL_KEYED_ADDRESS, (uintptr_t)host->data->mem - 4, host->block,
			 host->data->mr->rkey);
}

static struct nvme_sgl address_end(struct host *host)
{
	return sgl_region(host->data, HOST_DATA_LEN - 4, host->block);
}

static struct nvme_sgl address_zero(struct host *host)
{
	return sgl_keyed(NVME_SGL_KEYED_ADDRESS, 0, host->block, host->data->mr->rkey);
}

static struct nvme_sgl address_last(struct host *host)
{
	return sgl_keyed(NVME_SGL_KEYED_ADDRESS, UINT64_MAX - 3, host->block, host->data->mr->rkey);
}

static int unknown_write(struct rig *rig)
{
	return spoiled(rig, NVME_IO_WRITE, "write from an unknown key", key_unknown);
}

static int unknown_read(struct rig *rig)
{
	return spoiled(rig, NVME_IO_READ, "read to an unknown key", key_unknown);
}

static int stale_write(struct rig *rig)
{
	return spoiled(rig, NVME_IO_WRITE, "write from a stale key", key_stale);
}

static int stale_read(struct rig *rig)
{
	return spoiled(rig, NVME_IO_READ, "read to a stale key", key_stale);
}

static int zero_write(struct rig *rig)
{
	return spoiled(rig, NVME_IO_WRITE, "write from key 0", key_zero);
}

static int local_read(struct rig *rig)
{
	return spoiled(rig, NVME_IO_READ, "read to a key without remote access", key_local);
}

static int weak_write(struct rig *rig)
{
	return spoiled(rig, NVME_IO_WRITE, "write from a key that may be written only",
		       key_write_only);
}

static int weak_read(struct rig *rig)
{
	return spoiled(rig, NVME_IO_READ, "read to a key that may be read only", key_read_only);
}

static int outside_write(struct rig *rig)
{
	static struct nvme_sgl (*const all[])(struct host *) = { address_before, address_end,
								 address_zero, address_last };

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (spoiled(rig, NVME_IO_WRITE, "write from outside the region", all[i]))
			return -1;
	return 0;
}

static int outside_read(struct rig *rig)
{
	static struct nvme_sgl (*const all[])(struct host *) = { address_before, address_end,
								 address_zero, address_last };

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (spoiled(rig, NVME_IO_READ, "read to outside the region", all[i]))
			return -1;
	return 0;
}

/*
 * A host that guesses the key of another: what the target fetches or places goes over the guesser's
 * own queue pair, where that key is of no use. One that went over a shared one would hand out secrets.
 */
static int other_host(struct rig *rig)
{
	struct host *victim = host_attach_pattern(rig, 0), *thief;
	struct nvme_sqe sqe;

	if (!victim)
		return -1;
	pattern_fill(victim->data->mem, HOST_DATA_LEN, SECRET);
	for (unsigned i = 0; i < 2; i++) {
		thief = host_new(rig, i + 1);
		if (host_attach(thief))
			return -1;
		sqe = sqe_io(i ? NVME_IO_READ : NVME_IO_WRITE, 0, 1,
			     sgl_region(victim->data, 0, thief->block));
		if (conn_expect(thief->io, "a command with the key of another host", &sqe, NULL, 0,
				codes_fail))
			return -1;
	}
	if (!pattern_is(victim->data->mem, HOST_DATA_LEN, SECRET))
		return fail(rig, "one host's key let another write to its memory");
	if (conn_expect_alive(victim->io, "another host used its key"))
		return -1;
	return pattern_check(rig, 3);
}

/* --------------------------------------------------------------------------- revoked while in use */

/* Each of @n commands ends: in time with success, else with an error, or with the connection. */
static int big_await(struct conn *conn, unsigned n, const char *what, bool *caught)
{
	struct response response = { 0 };

	for (unsigned i = 0; i < n; i++) {
		enum outcome outcome = conn_await_ms(conn, CID_ANY, &response, RIG_RETRIES_MS);

		if (outcome_check(conn, what, outcome, &response,
				  CODES(NVME_SC_SUCCESS, CODE_ANY_ERROR, CODE_CONNECTION_ENDS)))
			return -1;
		*caught |= outcome == ENDED || status_of(&response);
		if (outcome == ENDED)
			break;
	}
	return 0;
}

/*
 * An association whose I/O queue lets the target have one RDMA READ at a time. With more of them the first
 * answer is behind all the data that the target has asked for: queue pairs work in order.
 */
static int attach_one_read(struct host *host)
{
	struct conn_wants wants = conn_wants(1, IO_DEPTH);

	if (host_attach_admin(host))
		return -1;
	wants.request.cntlid = le16(host->cntlid);
	wants.responder_resources = 1;
	host->io = conn_open(host, &wants);
	return conn_connect(host->io, 1, IO_DEPTH, host->cntlid);
}

/* The key is good until the first of the commands has succeeded: the others are under way. */
static int revoked_round(struct rig *rig, unsigned round, uint8_t opcode, const char *what,
			 bool *caught)
{
	struct host *host = host_new(rig, round);
	struct response response = { 0 };
	struct region *region;
	enum outcome outcome;

	if (attach_one_read(host))
		return -1;
	region = region_make(host, BIG,
			     IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
				     IBV_ACCESS_REMOTE_WRITE);
	for (unsigned i = 0; i < BIG_COMMANDS; i++) {
		struct nvme_sqe sqe =
			sqe_io(opcode, 64, BIG / host->block, sgl_region(region, 0, BIG));

		conn_send(host->io, &sqe, NULL, 0);
	}
	outcome = conn_await_ms(host->io, CID_ANY, &response, RIG_RETRIES_MS);
	region_revoke(region);
	if (outcome_check(host->io, what, outcome, &response, CODES(NVME_SC_SUCCESS)))
		return -1;
	return big_await(host->io, BIG_COMMANDS - 1, what, caught);
}

/* Until one was caught: all may be through by the time that the host hears of the first. */
static int revoked(struct rig *rig, uint8_t opcode, const char *what)
{
	uint64_t end = now_ms() + (uint64_t)CATCH_MS * rig->slowness;
	bool caught = false;

	for (unsigned round = 0; !caught; round++) {
		if (now_ms() >= end)
			return fail(rig, "%s: none of %u times did one fail", what, round);
		if (revoked_round(rig, round, opcode, what, &caught))
			return -1;
	}
	return 0;
}

static int revoked_write(struct rig *rig)
{
	return revoked(rig, NVME_IO_WRITE, "writes whose region is deregistered");
}

static int revoked_read(struct rig *rig)
{
	return revoked(rig, NVME_IO_READ, "reads whose region is deregistered");
}

/* ------------------------------------------------------------------------------------ invalidation */

/* The answer to a command of 4Fh invalidates exactly its key; no other answer invalidates anything. */
static int invalidate_one(struct host *host, uint8_t opcode, uint8_t type, const char *what)
{
	struct window *window = NULL;
	struct response response = { 0 };
	struct nvme_sqe sqe;
	bool wanted = type == NVME_SGL_KEYED_INVALIDATE;

	sqe = sqe_io(opcode, 0, 1, sgl_region(host->data, 0, host->block));
	if (wanted) {
		window = window_bind(host->io, host->data, 0, host->block,
				     IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
		sqe.sgl = sgl_keyed(type, (uintptr_t)host->data->mem, host->block, window->rkey);
	}
	if (outcome_check(host->io, what, conn_exec(host->io, &sqe, NULL, 0, &response), &response,
			  CODES(NVME_SC_SUCCESS)))
		return -1;
	if (response.invalidated != wanted)
		return fail(host->rig, "%s: %s", what,
			    wanted ? "the key was not invalidated" :
				     "a key was invalidated that nobody gave for that");
	if (wanted && response.invalidated_rkey != window->rkey)
		return fail(host->rig, "%s: key %08xh was invalidated, not %08xh", what,
			    response.invalidated_rkey, window->rkey);
	return 0;
}

static int invalidate(struct rig *rig)
{
	struct host *host = host_attach_pattern(rig, 0);
	struct nvme_sqe flush = sqe_io(NVME_IO_FLUSH, 0, 1, sgl_none());
	struct response response = { 0 };

	if (!host)
		return -1;
	for (unsigned i = 0; i < IO_DEPTH; i++)
		if (invalidate_one(host, NVME_IO_WRITE, NVME_SGL_KEYED_INVALIDATE, "write, 4Fh") ||
		    invalidate_one(host, NVME_IO_WRITE, NVME_SGL_KEYED_ADDRESS, "write, 40h") ||
		    invalidate_one(host, NVME_IO_READ, NVME_SGL_KEYED_INVALIDATE, "read, 4Fh") ||
		    invalidate_one(host, NVME_IO_READ, NVME_SGL_KEYED_ADDRESS, "read, 40h"))
			return -1;
	/* The slot of a command that had a key must not keep it for the next. */
	for (unsigned i = 0; i < 2 * IO_DEPTH; i++) {
		if (outcome_check(host->io, "Flush",
				  conn_exec(host->io, &flush, NULL, 0, &response), &response,
				  CODES(NVME_SC_SUCCESS)))
			return -1;
		if (response.invalidated)
			return fail(rig, "a Flush without a key invalidated key %08xh",
				    response.invalidated_rkey);
	}
	return pattern_check(rig, 1);
}

/*
 * An ordinary region cannot be invalidated: the host's device takes the response, then breaks its own
 * queue pair over it. The target need not notice; it lets go when the host does.
 */
static int invalidate_refused(struct rig *rig)
{
	struct host *host = host_attach_pattern(rig, 0);
	struct nvme_sqe sqe;

	if (!host)
		return -1;
	sqe = sqe_io(NVME_IO_READ, 0, 1, sgl_region(host->data, 0, host->block));
	sqe.sgl.type = NVME_SGL_KEYED_INVALIDATE;
	conn_send(host->io, &sqe, NULL, 0);
	if (conn_await_ms(host->io, CID_ANY, NULL, 1000) == ANSWERED)
		return fail(rig,
			    "the key of a region was invalidated, or not given with the answer");
	conn_close(host->io);
	if (host->io->state != CONN_ENDED)
		return fail(rig,
			    "the target does not let go of a queue pair that the host has broken");
	return 0;
}

const struct rdma_test rdma_tests_keys[] = {
	{ "key-unknown-write", unknown_write },
	{ "key-unknown-read", unknown_read },
	{ "key-stale-write", stale_write },
	{ "key-stale-read", stale_read },
	{ "key-zero-write", zero_write },
	{ "key-local-read", local_read },
	{ "key-weak-write", weak_write },
	{ "key-weak-read", weak_read },
	{ "key-outside-write", outside_write },
	{ "key-outside-read", outside_read },
	{ "key-other-host", other_host },
	{ "key-revoked-write", revoked_write },
	{ "key-revoked-read", revoked_read },
	{ "key-invalidate", invalidate },
	{ "key-invalidate-refused", invalidate_refused },
	{ 0 },
};
