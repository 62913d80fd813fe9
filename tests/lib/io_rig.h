/* SPDX-License-Identifier: BSD-3-Clause */
/* A small target with two workers and an I/O queue on each, and I/O commands in one line. */
#ifndef SLUICE_TESTS_LIB_IO_RIG_H
#define SLUICE_TESTS_LIB_IO_RIG_H

#include "fake_transport.h"
#include "target/io.h"

#define IO_NQN	    "nqn.2014-08.io.example:unit"
#define DNR(status) ((status) | NVME_STATUS_DNR)

enum { IO_BLOCK = 512, IO_MAX = 64 * 1024 };

static struct fake_conn io_admin;
static struct fake_conn io_conn[2]; /* queue 1 on worker 0, queue 2 on worker 1 */

/* One I/O command; what is zero is not set. */
struct io {
	uint8_t opcode;
	uint8_t flags;
	uint32_t nsid; /* 0: namespace 1; IO_NSID_ZERO: 0 */
	uint64_t slba;
	uint32_t nlb;	/* one based; goes to CDW12 zero based */
	uint32_t cdw12; /* further bits */
	uint32_t cdw11; /* instead of the high half of SLBA, where it is not one */
	uint32_t len;	/* of the SGL; 0: nlb blocks, where the command has data */
	const void *in;
	void *out;
	bool in_capsule;
};

#define IO_NSID_ZERO 0xdeadu

static inline bool io_has_data(uint8_t opcode)
{
	return opcode == NVME_IO_READ || opcode == NVME_IO_WRITE || opcode == NVME_IO_COMPARE;
}

static inline void io_begin(struct fake_conn *conn, const struct io *io, struct fake_call *call)
{
	static uint16_t last_cid;
	uint16_t cid = __atomic_add_fetch(&last_cid, 1, __ATOMIC_RELAXED);

	*call = (struct fake_call){
		.sqe = {
			.opcode = io->opcode,
			.flags = io->flags,
			.cid = le16(cid),
			.nsid = le32(io->nsid == IO_NSID_ZERO ? 0 : io->nsid ? io->nsid : 1),
			.cdw10 = le32((uint32_t)io->slba),
			.cdw11 = le32((uint32_t)(io->slba >> 32) | io->cdw11),
			.cdw12 = le32((io->nlb ? io->nlb - 1 : 0) | io->cdw12),
		},
		.sgl_len = io->len ? io->len : io_has_data(io->opcode) ? io->nlb * IO_BLOCK : 0,
		.from_host = io->in,
		.to_host = io->out,
		.in_capsule = io->in_capsule,
	};
	fake_begin(conn, call);
}

static inline uint16_t io_run_on(struct fake_conn *conn, struct io io)
{
	struct fake_call call;

	io_begin(conn, &io, &call);
	return fake_finish(&call);
}

static inline uint16_t io_run(struct io io)
{
	return io_run_on(&io_conn[0], io);
}

/* Content that differs from block to block and from seed to seed. */
static inline void io_pattern(uint8_t *data, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7 + i / IO_BLOCK * 31 + seed * 101 + 1);
}

static inline struct ns *io_ns(uint32_t nsid)
{
	return subsystems[1]->ns[nsid];
}

static inline void io_attach(void)
{
	fake_attach(&io_admin, &workers[0], &fake_host, IO_NQN);
	for (unsigned i = 0; i < 2; i++)
		fake_attach_io(&io_conn[i], &workers[i], &fake_host, &io_admin, (uint16_t)(i + 1));
}

static inline void io_detach(void)
{
	for (unsigned i = 0; i < 2; i++)
		fake_gone(&io_conn[i]);
	fake_gone(&io_admin);
}

static inline void io_release_here(void *arg)
{
	struct fake_conn *conn = arg;

	conn->hold_fetch = false;
	list_for_each_safe(cmd, &conn->queue.live, struct cmd, link)
		if (cmd->state == CMD_FETCHING)
			fake_fetch(cmd);
}

/* Data that hold_fetch kept back comes now. */
static inline void io_release_fetches(struct fake_conn *conn)
{
	fake_on(conn->worker, io_release_here, conn);
}

/* Memory that a test keeps from a worker. */
struct io_memory {
	struct worker *worker;
	uint64_t leave;
	struct span taken[16];
	unsigned n;
};

static inline void io_memory_take_here(void *arg)
{
	struct io_memory *memory = arg;
	struct pool *pool = &memory->worker->pool;

	for (uint32_t len = FAKE_MEMORY / 2; pool->free_bytes > memory->leave; len /= 2)
		if (pool->free_bytes - len >= memory->leave)
			assert_int_equal(pool_get(pool, len, &memory->taken[memory->n++]), 0);
}

/* What is kept for data in capsules. */
enum { IO_MEMORY_RESERVE = FAKE_MEMORY >> CAPSULE_RESERVE_SHIFT };

/* Leaves @leave bytes, a multiple of 4096, beside the reserve. */
static inline void io_memory_take(struct io_memory *memory, struct worker *worker, uint64_t leave)
{
	*memory = (struct io_memory){ .worker = worker,
				       .leave = leave + IO_MEMORY_RESERVE };
	fake_on(worker, io_memory_take_here, memory);
}

static inline void io_memory_put_here(void *arg)
{
	struct io_memory *memory = arg;

	while (memory->n)
		pool_put(&memory->worker->pool, &memory->taken[--memory->n]);
}

static inline void io_memory_put(struct io_memory *memory)
{
	fake_on(memory->worker, io_memory_put_here, memory);
}

/* All memory of all workers is back in its pool, and no fence is left closed. */
static inline void io_assert_clean(void)
{
	for (unsigned i = 0; i < n_workers; i++)
		fake_settle(&workers[i]);
	for (unsigned i = 0; i < n_workers; i++)
		assert_int_equal(workers[i].pool.free_bytes, FAKE_MEMORY);
	for (unsigned i = 0; i < n_namespaces; i++)
		assert_false(__atomic_load_n(&namespaces[i]->fenced, __ATOMIC_RELAXED));
}

#endif
