/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/cmd.h"

#include <assert.h>
#include <errno.h>

#include "base/counter.h"
#include "target/admin.h"
#include "target/ctrl.h"
#include "target/io.h"
#include "target/queue.h"
#include "target/stats.h"
#include "target/worker.h"

static bool is_unanswered(enum cmd_state state)
{
	return state >= CMD_PARSED && state <= CMD_EXECUTING;
}

void cmd_set_state(struct cmd *cmd, enum cmd_state state)
{
	/* Every state may lead to FREE: the queue may die at any time. */
	static const uint8_t allowed[CMD_STATES] = {
		[CMD_FREE] = 1 << CMD_PARSED,
		[CMD_PARSED] = 1 << CMD_FETCHING | 1 << CMD_EXECUTING | 1 << CMD_RESPONDING |
			       1 << CMD_FREE,
		[CMD_FETCHING] = 1 << CMD_EXECUTING | 1 << CMD_RESPONDING | 1 << CMD_FREE,
		[CMD_EXECUTING] = 1 << CMD_RESPONDING | 1 << CMD_FREE,
		[CMD_RESPONDING] = 1 << CMD_FREE,
	};

	struct queue *queue = cmd->queue;
	int more = is_unanswered(state) - is_unanswered(cmd->state);

	assert(allowed[cmd->state] >> state & 1);
	if (more)
		__atomic_store_n(&queue->n_unanswered, queue->n_unanswered + (unsigned)more,
				 __ATOMIC_RELAXED);
	cmd->state = state;
}

uint16_t cmd_fault(struct cmd *cmd, unsigned place, uint16_t status)
{
	cmd->location = (uint16_t)place;
	return status;
}

uint16_t cmd_fault_bits(struct cmd *cmd, unsigned offset, uint32_t wrong, uint16_t status)
{
	return cmd_fault(cmd, CMD_PLACE_AT(offset, (unsigned)__builtin_ctz(wrong)), status);
}

/*
 * The part of the SGL descriptor that the transport refused with @status. Where the descriptor points to
 * others in the capsule, it stands for them.
 */
static unsigned sgl_place(uint16_t status)
{
	switch (status & NVME_STATUS_CODE_MASK) {
	case NVME_SC_SGL_TYPE_INVALID:
		return CMD_PLACE(sgl.type, 0);
	case NVME_SC_SGL_OFFSET_INVALID:
		return CMD_PLACE(sgl.addr, 0);
	default:
		return CMD_PLACE(sgl.len, 0);
	}
}

uint16_t cmd_need(struct cmd *cmd, enum cmd_data direction, uint32_t len,
		  void (*execute)(struct cmd *))
{
	cmd->execute = execute;
	if (direction == CMD_DATA_NONE || !len)
		return 0;
	if (cmd->sgl_status)
		return cmd_fault(cmd, sgl_place(cmd->sgl_status), cmd->sgl_status);
	if (cmd->sgl_len != len && !(cmd->sqe.opcode == NVME_IO_DSM && cmd->queue->qid &&
				     cmd->sgl_len > len && cmd->sgl_len <= MAX_TRANSFER))
		return cmd_fault(cmd, CMD_PLACE(sgl.len, 0),
				 NVME_SC_SGL_LENGTH_INVALID | NVME_STATUS_DNR);
	assert(cmd->sgl_len <= MAX_TRANSFER);
	cmd->direction = direction;
	cmd->data_len = cmd->sgl_len;
	return 0;
}

/* ------------------------------------------------------------------------------------------ memory */

enum {
	/* Bytes of a write that are fetched before they are written. The hardware sees by then what comes next. */
	AHEAD_WRITTEN = 16 * CACHE_LINE,
	/* A longer write fills the caches by itself. */
	STREAM_MAX = 512 << 10,
	STREAM_BUSY = 2,
};

/* Is there so much memory that nobody needs it? The lower half of the pool is for who has to have some. */
static bool memory_to_spare(const struct worker *worker, uint64_t need)
{
	uint64_t size = (uint64_t)worker->pool.pages << POOL_MIN_SHIFT;

	return !worker->memory_starved && need + size / 2 <= worker->pool.free_bytes;
}

/*
 * A queue with a command or two has nothing that could be done meanwhile: by a buffer they would only be done
 * later. Who waits for memory on the queue comes first.
 */
static bool write_streams(const struct cmd *cmd)
{
	const struct queue *queue = cmd->queue;
	uint32_t least = cmd->ns->backend->limits.stream_min;

	return queue->stream_writes && least && cmd->data_len >= least &&
	       cmd->data_len <= STREAM_MAX && (cmd->in_capsule || queue->n_busy > STREAM_BUSY) &&
	       list_empty(&queue->memory_waiters) &&
	       memory_to_spare(queue->worker, pool_piece_bytes(cmd->data_len));
}

/* Read and Write of a backend that has its blocks in memory need no buffer. */
static bool cmd_map(struct cmd *cmd)
{
	const struct nvme_sqe *sqe = &cmd->sqe;
	struct ns *ns = cmd->ns;
	uint64_t slba;

	/* Not on the admin queue: Get Log Page has the opcode of Read, and may be about a namespace. */
	if (!cmd->queue->qid || !ns || !ns->backend->ops->map || (sqe->flags & NVME_FUSE_MASK))
		return false;
	if (!(sqe->opcode == NVME_IO_READ && cmd->data_len <= cmd->queue->map_reads) &&
	    !(sqe->opcode == NVME_IO_WRITE && cmd->queue->map_writes &&
	      !(cmd->in_capsule && write_streams(cmd))))
		return false;
	slba = le32_get(sqe->cdw10) | (uint64_t)le32_get(sqe->cdw11) << 32;
	if (!io_may_map(cmd))
		return false;
	if (ns->backend->ops->map(ns->backend, slba << ns->block_shift, cmd->data_len,
				  sqe->opcode == NVME_IO_WRITE, &cmd->span0)) {
		io_unmap(cmd);
		return false;
	}
	/* What came in a capsule is about to be copied there, which waits for lines that no cache has. */
	if (cmd->in_capsule)
		fetch_lines(span_ptr(&cmd->span0), MIN(cmd->data_len, (uint32_t)AHEAD_WRITTEN));
	cmd->memory = CMD_MEMORY_MAPPED;
	cmd->data.n = 1;
	cmd->data.len = cmd->data_len;
	return true;
}

/* The second half of a fused pair, whose memory the first half gets. */
static bool cmd_is_fused_second(const struct cmd *cmd)
{
	return cmd->fused && (cmd->sqe.flags & NVME_FUSE_MASK) == NVME_FUSE_SECOND;
}

/* Bytes of the pool that the command needs; fewer when its data can be mapped. */
static uint64_t memory_need(const struct cmd *cmd)
{
	return pool_piece_bytes(cmd->data_len) + pool_piece_bytes(cmd->scratch_len);
}

/*
 * A host that does not send what it was asked for, or does not read what it asked for, holds buffers
 * for as long as it likes. So a queue gets no more when it would hold more than it leaves free: half
 * of the pool if it is alone, a third each if there are two such, and so on. However greedy the others
 * are, something is left.
 */
static bool queue_in_share(const struct queue *queue, uint64_t need)
{
	return queue->memory_bytes + 2 * need <= queue->worker->pool.free_bytes;
}

/* The first buffer of a queue is never refused for its share. */
static bool memory_in_share(const struct cmd *cmd)
{
	return !cmd->queue->memory_bytes || queue_in_share(cmd->queue, memory_need(cmd));
}

/*
 * Behind a capsule that waits for a buffer lies, unread, the data of commands that have theirs and
 * wait for it. So data in a capsule waits for no share and no other command, and has a reserve: what
 * it takes comes back without any help of the host's.
 */
static bool memory_is_urgent(const struct cmd *cmd)
{
	return cmd->in_capsule;
}

/*
 * Data in a capsule is all there soon, so what it takes comes back when its disk has it: a disk that is
 * stuck keeps it. So a namespace gets no more when its data of capsules has NS_SHARE times what is left.
 * NULL: the command has no share, as fused ones, whose first halves may wait for what lies behind a capsule.
 */
static uint64_t *capsule_share(const struct cmd *cmd)
{
	if (!cmd->in_capsule || !cmd->ns || (cmd->sqe.flags & NVME_FUSE_MASK))
		return NULL;
	return &cmd->queue->worker->capsule_bytes[cmd->ns->index];
}

static bool capsule_in_share(const struct cmd *cmd)
{
	const uint64_t *share = capsule_share(cmd);

	return !share || *share <= NS_SHARE * cmd->queue->worker->pool.free_bytes;
}

/* Would the command leave the reserve alone? */
static bool memory_above_reserve(const struct cmd *cmd)
{
	const struct pool *pool = &cmd->queue->worker->pool;
	uint64_t size = (uint64_t)pool->pages << POOL_MIN_SHIFT;

	return memory_need(cmd) + (size >> CAPSULE_RESERVE_SHIFT) <= pool->free_bytes;
}

bool queue_memory_get(struct queue *queue, uint32_t len, struct span *span)
{
	struct pool *pool = &queue->worker->pool;
	uint64_t need = pool_piece_bytes(len);

	if (!memory_to_spare(queue->worker, need) || !queue_in_share(queue, need) ||
	    pool_get(pool, len, span))
		return false;
	queue->memory_bytes += need;
	return true;
}

void cmd_ask(struct cmd *cmd)
{
	struct span span;

	if (cmd->memory != CMD_MEMORY_MAPPED || !write_streams(cmd) || !io_may_unmap(cmd) ||
	    !queue_memory_get(cmd->queue, cmd->data_len, &span))
		return;
	io_unmap(cmd);
	cmd->span0 = span;
	cmd->memory = CMD_MEMORY_POOL;
}

void queue_memory_put(struct queue *queue, const struct span *span)
{
	struct pool *pool = &queue->worker->pool;
	uint64_t free_bytes = pool->free_bytes;

	pool_put(pool, span);
	queue->memory_bytes -= pool->free_bytes - free_bytes;
	queue->worker->memory_freed = true;
}

/*
 * The first half of a fused pair gets the memory of both, by the rules for its own data: from the reserve
 * when that is in its capsule. A second half whose data comes another way would break them. It must not
 * hold the reserve until the host sends; nor may it keep its capsule waiting for memory that the first
 * half may have only when others have sent what lies behind that capsule. Both halves are refused then.
 */
static bool fused_second_may_go_on(const struct cmd *cmd)
{
	const struct cmd *first = cmd->fused;
	const struct queue *queue = cmd->queue;
	const struct pool *pool = &queue->worker->pool;
	uint64_t size = (uint64_t)pool->pages << POOL_MIN_SHIFT;

	if (cmd->in_capsule == first->in_capsule)
		return true;
	if (cmd->in_capsule)
		return first->scratch.area;
	return queue->memory_bytes <= pool->free_bytes &&
	       size >> CAPSULE_RESERVE_SHIFT <= pool->free_bytes;
}

static int cmd_get_buffers(struct cmd *cmd)
{
	struct pool *pool = &cmd->queue->worker->pool;
	int rc;

	if (cmd_is_fused_second(cmd))
		return io_fused_memory(cmd);
	if (cmd->direction != CMD_DATA_NONE && !cmd_map(cmd)) {
		rc = pool_get(pool, cmd->data_len, &cmd->span0);
		if (rc)
			return rc;
		cmd->memory = CMD_MEMORY_POOL;
	}
	if (cmd->scratch_len) {
		rc = pool_get(pool, cmd->scratch_len, &cmd->scratch);
		if (rc) {
			cmd->scratch.area = NULL;
			if (cmd->memory == CMD_MEMORY_POOL)
				pool_put(pool, &cmd->span0);
			cmd->memory = CMD_MEMORY_NONE;
			return rc;
		}
	}
	return 0;
}

/* All that the command needs or nothing: what waits for memory must not hold any. */
static int cmd_get_memory(struct cmd *cmd)
{
	const struct pool *pool = &cmd->queue->worker->pool;
	uint64_t free_bytes = pool->free_bytes;
	uint64_t *share;
	int rc = cmd_get_buffers(cmd);

	cmd->queue->memory_bytes += free_bytes - pool->free_bytes;
	if (rc)
		return rc;
	share = capsule_share(cmd);
	if (share) {
		cmd->capsule_bytes = (uint32_t)(free_bytes - pool->free_bytes);
		*share += cmd->capsule_bytes;
	}
	if (cmd->direction != CMD_DATA_NONE) {
		cmd->data.n = 1;
		cmd->data.len = cmd->data_len;
	}
	if (cmd->scratch.area) {
		spanv_init(&cmd->scratch_v, &cmd->scratch, 1);
		cmd->scratch_v.n = 1;
		cmd->scratch_v.len = cmd->scratch.len;
	}
	return 0;
}

static void cmd_put_memory(struct cmd *cmd)
{
	struct worker *worker = cmd->queue->worker;
	uint64_t free_bytes = worker->pool.free_bytes;

	if (cmd->lent) {
		cmd->lent = false;
		cmd->queue->ops->take_back(cmd);
	}
	if (cmd->memory == CMD_MEMORY_POOL)
		pool_put(&worker->pool, &cmd->span0);
	if (cmd->scratch.area)
		pool_put(&worker->pool, &cmd->scratch);
	cmd->queue->memory_bytes -= worker->pool.free_bytes - free_bytes;
	if (cmd->capsule_bytes)
		worker->capsule_bytes[cmd->ns->index] -= cmd->capsule_bytes;
	cmd->capsule_bytes = 0;
	worker->memory_freed |= cmd->memory == CMD_MEMORY_POOL || cmd->scratch.area;
	cmd->memory = CMD_MEMORY_NONE;
	cmd->scratch.area = NULL;
}

static void cmd_wait_memory(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;
	struct worker *worker = queue->worker;

	counter_add(&worker->stats.memory_waits, 1);
	TRACE_CMD(cmd_wait, cmd, queue, 4@%[bytes] 4@%[scratch], TRACE_AT(bytes, cmd->data_len),
		  TRACE_AT(scratch, cmd->scratch_len));
	/* Next after its first half, or it would wait for those who wait for what that one holds. */
	if (cmd_is_fused_second(cmd)) {
		list_add_head(&cmd->fused->wait_link, &cmd->wait_link);
		return;
	}
	if (!capsule_in_share(cmd)) {
		list_add_tail(&worker->urgent_full, &cmd->wait_link);
		return;
	}
	if (memory_is_urgent(cmd)) {
		list_add_tail(&worker->urgent_waiters, &cmd->wait_link);
		worker->memory_starved = true;
		return;
	}
	list_add_tail(&queue->memory_waiters, &cmd->wait_link);
	if (list_empty(&queue->hungry_link))
		list_add_tail(&worker->queues_hungry, &queue->hungry_link);
}

void cmd_need_scratch(struct cmd *cmd, uint32_t len)
{
	cmd->scratch_len = len;
}

/* ------------------------------------------------------------------------------------------ the way */

static void cmd_execute(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;

	cmd_set_state(cmd, CMD_EXECUTING);
	cmd->fetched_ns = queue->worker->loop.now_ns;
	TRACE_CMD(cmd_execute, cmd, queue, 4@%[bytes], TRACE_AT(bytes, cmd->data_len));
	cmd->execute(cmd);
}

/* Memory is there, or none is needed. */
static void cmd_proceed(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;

	if (cmd->direction == CMD_DATA_FROM_HOST) {
		cmd_set_state(cmd, CMD_FETCHING);
		TRACE_CMD(cmd_fetch, cmd, queue, 4@%[bytes] 1@%[in_capsule],
			  TRACE_AT(bytes, cmd->data_len), TRACE_AT(in_capsule, cmd->in_capsule));
		queue->ops->fetch(cmd);
	} else {
		cmd_execute(cmd);
	}
}

static struct cmd *queue_first_waiter(const struct queue *queue)
{
	return list_empty(&queue->memory_waiters) ?
		       NULL :
		       list_first(&queue->memory_waiters, struct cmd, wait_link);
}

/*
 * Serves the first waiter of @queue, if it has any, and the second half of a fused pair along with the
 * first, which has its memory. 0, -EDQUOT: its share, -EAGAIN: the pool is empty.
 */
static int queue_serve_memory(struct queue *queue)
{
	struct cmd *cmd = queue_first_waiter(queue);

	if (!cmd)
		return 0;
	if (!cmd_is_fused_second(cmd) && !memory_in_share(cmd))
		return -EDQUOT;
	if (!cmd_is_fused_second(cmd) && !memory_above_reserve(cmd))
		return -EAGAIN;
	do {
		if (cmd_get_memory(cmd))
			return -EAGAIN;
		list_del(&cmd->wait_link);
		cmd_proceed(cmd);
		cmd = queue_first_waiter(queue);
	} while (cmd && cmd_is_fused_second(cmd));
	return 0;
}

/* False when one of them has to wait on, and not for its namespace's share. */
static bool serve_urgent_waiters(struct worker *worker)
{
	while (!list_empty(&worker->urgent_waiters)) {
		struct cmd *cmd = list_first(&worker->urgent_waiters, struct cmd, wait_link);
		bool full = !capsule_in_share(cmd);

		if (!full && cmd_get_memory(cmd))
			return false;
		list_del(&cmd->wait_link);
		if (full)
			list_add_tail(&worker->urgent_full, &cmd->wait_link);
		else
			cmd_proceed(cmd);
	}
	return true;
}

void cmd_serve_waiters(struct worker *worker)
{
	struct list full = LIST_INIT(full);

	/* A share is no longer full only when something was given back. */
	if (worker->memory_freed)
		list_splice_tail(&worker->urgent_waiters, &worker->urgent_full);
	worker->memory_freed = false;
	worker->memory_starved = !serve_urgent_waiters(worker);
	while (!worker->memory_starved && !list_empty(&worker->queues_hungry)) {
		struct queue *queue = list_first(&worker->queues_hungry, struct queue, hungry_link);
		int rc = queue_serve_memory(queue);

		if (rc == -EAGAIN) {
			worker->memory_starved = true; /* first in line when something is freed */
			continue;
		}
		list_del(&queue->hungry_link);
		if (rc == -EDQUOT)
			list_add_tail(&full, &queue->hungry_link);
		else if (!list_empty(&queue->memory_waiters))
			list_add_tail(&worker->queues_hungry, &queue->hungry_link);
	}
	list_splice_tail(&worker->queues_hungry, &full);
}

/* May the command have memory before those that wait for some? */
static bool cmd_may_overtake(const struct cmd *cmd)
{
	const struct queue *queue = cmd->queue;

	if (cmd_is_fused_second(cmd))
		return true;
	if (memory_is_urgent(cmd))
		return list_empty(&queue->worker->urgent_waiters) && capsule_in_share(cmd);
	return list_empty(&queue->memory_waiters) && !queue->worker->memory_starved &&
	       memory_in_share(cmd) && memory_above_reserve(cmd);
}

static uint16_t cmd_parse(struct cmd *cmd)
{
	const struct queue *queue = cmd->queue;
	const struct nvme_sqe *sqe = &cmd->sqe;

	/* Fabrics commands carry SGLs only (Base 4.3.2): PSDT is 01b, there is no metadata. */
	if ((sqe->flags & NVME_PSDT_MASK) != NVME_PSDT_SGL)
		return cmd_fault_bits(cmd, offsetof(struct nvme_sqe, flags), NVME_PSDT_MASK,
				      NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	if (sqe->opcode == NVME_OPCODE_FABRICS)
		return queue->ctrl ? fabrics_parse(cmd) : connect_parse(cmd);
	if (!queue->ctrl)
		return cmd_fault(cmd, CMD_PLACE(opcode, 0),
				 NVME_SC_COMMAND_SEQUENCE | NVME_STATUS_DNR);
	if (queue->qid)
		return io_parse(cmd);
	if (sqe->flags & NVME_FUSE_MASK)
		return cmd_fault_bits(cmd, offsetof(struct nvme_sqe, flags), NVME_FUSE_MASK,
				      NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	return admin_parse(cmd);
}

/* A capsule may lie where others are to come: then not all that wait may do so with their data. */
static bool may_wait(const struct cmd *cmd)
{
	const struct transport_ops *ops = cmd->queue->ops;

	return !cmd->in_capsule || !ops->may_wait || ops->may_wait(cmd);
}

/* Hosts that look at delays try again at once otherwise, a few times, and then fail the I/O. */
uint16_t cmd_try_later(const struct queue *queue)
{
	const struct ctrl *ctrl = queue->ctrl;
	bool heeded = ctrl && __atomic_load_n(&ctrl->host_behavior[NVME_HOST_BEHAVIOR_ACRE],
					      __ATOMIC_RELAXED);

	return NVME_SC_TRANSIENT_TRANSPORT | (heeded ? NVME_STATUS_CRD1 : 0);
}

void cmd_begin(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;
	uint16_t status;

	cmd->cqe = (struct nvme_cqe){ .cid = cmd->sqe.cid };
	cmd->ns = NULL;
	cmd->execute = NULL;
	cmd->direction = CMD_DATA_NONE;
	cmd->data_len = 0;
	spanv_init(&cmd->data, &cmd->span0, 0);
	cmd->alike = 0;
	cmd->location = CMD_NO_LOCATION;
	cmd->error_lba = 0;
	cmd->error_nsid = 0;
	cmd->abort_requested = false;
	cmd->fused = NULL;
	cmd->ended = NULL;
	cmd->scratch_len = 0;
	cmd->kind = STATS_NONE;
	cmd->arrived_ns = queue->worker->loop.now_ns;
	cmd_set_state(cmd, CMD_PARSED);
	TRACE_CMD(cmd_begin, cmd, queue, 8@%[slba] 4@%[cdw12] 4@%[bytes],
		  TRACE_AT(slba, *(const uint64_t *)&cmd->sqe.cdw10),
		  TRACE_AT(cdw12, cmd->sqe.cdw12), TRACE_AT(bytes, cmd->sgl_len));

	if (likely(!queue->suspect))
		__atomic_store_n(&queue->traffic, true, __ATOMIC_RELAXED);
	else
		queue_heard(queue);
	counter_add(&queue->stats.commands, 1);
	queue->sqhd = (uint16_t)(queue->sqhd + 1u < queue->depth ? queue->sqhd + 1 : 0);

	status = cmd_parse(cmd);
	if (status) {
		cmd_complete(cmd, status);
		return;
	}
	if (cmd_is_fused_second(cmd) && !fused_second_may_go_on(cmd)) {
		cmd_complete(cmd, cmd_try_later(queue));
		return;
	}
	if ((cmd->direction != CMD_DATA_NONE || cmd->scratch_len) && !cmd_map(cmd) &&
	    (!cmd_may_overtake(cmd) || cmd_get_memory(cmd))) {
		if (may_wait(cmd))
			cmd_wait_memory(cmd);
		else
			cmd_complete(cmd, cmd_try_later(queue));
		return;
	}
	cmd_proceed(cmd);
}

void cmd_fetched(struct cmd *cmd, uint16_t status)
{
	assert(cmd->state == CMD_FETCHING);
	if (status)
		cmd_complete(cmd, status);
	else
		cmd_execute(cmd);
}

/* Tells, once, whoever counts on the command. */
static void cmd_ended(struct cmd *cmd, uint16_t status)
{
	void (*ended)(struct cmd *, uint16_t) = cmd->ended;

	cmd->ended = NULL;
	if (ended)
		ended(cmd, status);
}

void cmd_complete(struct cmd *cmd, uint16_t status)
{
	struct queue *queue = cmd->queue;

	assert(list_empty(&cmd->wait_link));
	cmd_ended(cmd, status);
	TRACE_CMD(cmd_complete, cmd, queue, 2@%[status] 4@%[bytes] 2@%[place], TRACE_IN(status, status),
		  TRACE_AT(bytes, cmd->data_len), TRACE_AT(place, cmd->location));
	cmd->done_ns = queue->worker->loop.now_ns;
	if (unlikely(status)) {
		/* A host that leaves takes its waiting requests with it: that is no fault. */
		if (status != NVME_SC_ABORTED_SQ_DELETION)
			stats_error(&queue->stats.io, status);
		if (cmd->state != CMD_EXECUTING)
			cmd->fetched_ns = cmd->done_ns;
		cmd->direction = CMD_DATA_NONE; /* what the buffer holds stays here */
		if (queue->ctrl) {
			ctrl_log_error(queue->ctrl, cmd, status);
			status |= NVME_STATUS_MORE;
		}
	} else if (cmd->kind != STATS_NONE) {
		stats_done(&queue->stats.io, (enum stats_kind)cmd->kind, cmd->data_len);
	}
	if (unlikely(queue->state == QUEUE_CLOSING)) {
		cmd_release(cmd);
		return;
	}
	/* The host may take its time to take the answer; what is not part of it need not wait for that. */
	if (cmd->direction != CMD_DATA_TO_HOST)
		cmd_put_memory(cmd);
	/* FFFFh in the answer to Connect says that flow control is off; later on nobody looks. */
	cmd->cqe.sqhd = le16(queue->sqflow_disabled ? 0xffff : queue->sqhd);
	cmd->cqe.sqid = le16(queue->qid);
	cmd->cqe.status = le16((uint16_t)(status << 1));
	cmd_set_state(cmd, CMD_RESPONDING);
	queue->ops->respond(cmd);
}

void cmd_reply(struct cmd *cmd, const void *src, size_t len, uint64_t offset)
{
	uint32_t n = 0;

	if (offset < len) {
		n = (uint32_t)MIN((uint64_t)cmd->data_len, len - offset);
		spanv_write(&cmd->data, 0, (const char *)src + offset, n);
	}
	spanv_zero(&cmd->data, n, cmd->data_len - n);
	cmd_complete(cmd, NVME_SC_SUCCESS);
}

void cmd_release(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;

	TRACE_CMD(cmd_release, cmd, queue, 4@%[state] 4@%[bytes] 8@%[host], TRACE_AT(state, cmd->state),
		  TRACE_AT(bytes, cmd->data_len), TRACE_AT(host, queue->host));
	list_del(&cmd->wait_link);
	if (cmd->state == CMD_RESPONDING && cmd->kind != STATS_NONE)
		stats_sent(cmd);
	cmd_ended(cmd, NVME_SC_ABORTED_SQ_DELETION);
	cmd_put_memory(cmd);
	queue_cmd_put(queue, cmd);
}

void cmd_cancel(struct cmd *cmd)
{
	assert(cmd->state == CMD_FETCHING || cmd->state == CMD_RESPONDING);
	cmd->kind = STATS_NONE; /* nobody gets its response */
	cmd_release(cmd);
}
