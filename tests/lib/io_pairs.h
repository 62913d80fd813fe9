/* SPDX-License-Identifier: BSD-3-Clause */
/* Pairs of Compare and Write, their data when the test wants it, and namespaces to run them on. */
#ifndef SLUICE_TESTS_LIB_IO_PAIRS_H
#define SLUICE_TESTS_LIB_IO_PAIRS_H

#include "io_rig.h"

/*
 * 1: memory that transports may use; 2: through buffers; 3: reads of block 0 take 100 ms, writes of
 * block 8 are stuck, reads of block 9 fail, writes of block 10 fail; 4: read-only; 5: every write
 * of block 40 takes its time, so that without a fence others would get in between; 6: some blocks are
 * never zeroed.
 */
#define CONFIG                                                                       \
	"[listener one]\naddress = 127.0.0.1\nport = 4420\n"                         \
	"[subsystem " IO_NQN "]\nallow_any_host = yes\nmax_transfer = 64K\n"         \
	"[namespace " IO_NQN "/1]\nbackend = ram\nsize = 1M\n"                       \
	"[namespace " IO_NQN "/2]\nbackend = ram\nsize = 1M\n"                       \
	"fault = flush error=EIO after=1000000\n"                                    \
	"[namespace " IO_NQN "/3]\nbackend = ram\nsize = 1M\n"                       \
	"fault = read delay=100ms lba=0-7\nfault = write stuck lba=8-8\n"            \
	"fault = read error=ENODATA lba=9-9\nfault = write error=ENOSPC lba=10-10\n" \
	"[namespace " IO_NQN "/4]\nbackend = ram\nsize = 1M\nread_only = yes\n"      \
	"[namespace " IO_NQN "/5]\nbackend = ram\nsize = 1M\n"                       \
	"fault = write delay=1ms lba=40-40\n"                                       \
	"[namespace " IO_NQN "/6]\nbackend = ram\nsize = 16M\n"                      \
	"fault = write_zeroes stuck lba=4100-4100\n"                                 \
	"fault = write_zeroes stuck lba=12005-12005\n"                               \
	"fault = write_zeroes stuck lba=20500-20500\n"

static uint8_t a[IO_MAX], b[IO_MAX], c[IO_MAX];
static struct fake_call first, second;

static inline int group_setup(void **state)
{
	(void)state;
	fake_target_start(CONFIG, 2);
	return 0;
}

static inline int group_teardown(void **state)
{
	(void)state;
	fake_target_stop();
	return 0;
}

static inline int setup(void **state)
{
	(void)state;
	/* As if no fused command had come yet. */
	for (unsigned i = 0; i < n_namespaces; i++)
		namespaces[i]->fused_seen = false;
	io_attach();
	io_pattern(a, sizeof(a), 1);
	io_pattern(b, sizeof(b), 2);
	memset(c, 0xee, sizeof(c));
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	io_detach();
	io_assert_clean();
	return 0;
}

static inline struct io compare_of(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *in)
{
	return (struct io){ NVME_IO_COMPARE, NVME_FUSE_FIRST, .nsid = nsid,
			    .slba = slba,    .nlb = nlb,      .in = in };
}

static inline struct io write_of(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *in)
{
	return (struct io){ NVME_IO_WRITE, NVME_FUSE_SECOND, .nsid = nsid,
			    .slba = slba,  .nlb = nlb,	     .in = in };
}

static inline void begin(struct io compare, struct io write)
{
	io_begin(&io_conn[0], &compare, &first);
	io_begin(&io_conn[0], &write, &second);
}

static inline void ends(uint16_t compare, uint16_t write)
{
	assert_int_equal(fake_finish(&first), compare);
	assert_int_equal(fake_finish(&second), write);
}

static inline void plain_write(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *in)
{
	assert_int_equal(io_run((struct io){ NVME_IO_WRITE, .nsid = nsid, .slba = slba, .nlb = nlb,
					     .in = in }),
			 0);
}

static inline void stored(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *expected)
{
	assert_int_equal(io_run((struct io){ NVME_IO_READ, .nsid = nsid, .slba = slba, .nlb = nlb,
					     .out = c }),
			 0);
	assert_memory_equal(c, expected, nlb * IO_BLOCK);
}

struct fetch {
	struct fake_call *call;
	uint16_t status;
};

static inline struct cmd *cmd_of(const struct fake_call *call)
{
	list_for_each(cmd, &call->conn->queue.live, struct cmd, link)
		if (container_of(cmd, struct fake_cmd, cmd)->call == call)
			return cmd;
	return NULL;
}

static inline void fetched_here(void *arg)
{
	const struct fetch *fetch = arg;
	struct cmd *cmd = cmd_of(fetch->call);

	assert_non_null(cmd);
	if (!fetch->status)
		spanv_write(&cmd->data, 0, fetch->call->from_host, cmd->data_len);
	cmd_fetched(cmd, fetch->status);
}

/* The data of @call comes now, or @status instead. */
static inline void fetched(struct fake_call *call, uint16_t status)
{
	struct fetch fetch = { call, status };

	fake_on(call->conn->worker, fetched_here, &fetch);
}

struct abort {
	struct fake_call *call;
	bool ended;
};

static inline void abort_here(void *arg)
{
	struct abort *abort = arg;
	struct cmd *cmd = cmd_of(abort->call);

	assert_non_null(cmd);
	abort->ended = io_abort(cmd);
}

static bool abort_call(struct fake_call *call)
{
	struct abort abort = { .call = call };

	fake_on(call->conn->worker, abort_here, &abort);
	return abort.ended;
}

#endif
