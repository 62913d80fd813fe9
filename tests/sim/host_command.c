/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of hosts, and what has to come of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "host.h"
#include "model.h"

#define HOST_NQN   "nqn.2014-08.org.example:host-%u"
#define TARGET_NQN "nqn.2014-08.org.example:sim"

enum { IDENTIFY_BYTES = 4096 };

/* --------------------------------------------------------------------------------- Fabrics commands */

void command_connect(struct host_queue *queue)
{
	const struct host *host = queue->host;
	struct command *command = queue_command(queue);
	struct nvmf_connect_cmd sqe = {
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.cid = command->sqe.cid,
		.fctype = NVME_FCTYPE_CONNECT,
		.qid = le16(queue->qid),
		.sqsize = le16((uint16_t)(queue->depth - 1)),
		.cattr = queue->no_flow_control ? NVMF_CATTR_DISABLE_SQFLOW : 0,
		.kato = le32(host_knobs.kato_ms),
	};
	struct nvmf_connect_data data = {
		.hostid = { 1, (uint8_t)host->index },
		.cntlid = le16(queue->qid ? host->cntlid : NVMF_CNTLID_DYNAMIC),
		.subnqn = TARGET_NQN,
	};

	snprintf(data.hostnqn, sizeof(data.hostnqn), HOST_NQN, host->index);
	memcpy(&command->sqe, &sqe, sizeof(sqe));
	command->kind = COMMAND_CONNECT;
	command->len = sizeof(data);
	command->data = sim_alloc(sizeof(data));
	memcpy(command->data, &data, sizeof(data));
	queue_send(queue, command);
}

static void property_send(struct host_queue *queue, uint8_t fctype, uint32_t offset, uint64_t value)
{
	struct command *command = queue_command(queue);
	struct nvmf_property_cmd sqe = {
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.fctype = fctype,
		.offset = le32(offset),
		.value = le64(value),
	};

	if (!command)
		return;
	sqe.cid = command->sqe.cid;
	memcpy(&command->sqe, &sqe, sizeof(sqe));
	command->kind =
		fctype == NVME_FCTYPE_PROPERTY_GET ? COMMAND_PROPERTY_GET : COMMAND_PROPERTY_SET;
	queue->host->polling |= command->kind == COMMAND_PROPERTY_GET;
	queue_send(queue, command);
}

void command_property_set(struct host_queue *queue, uint32_t offset, uint64_t value)
{
	property_send(queue, NVME_FCTYPE_PROPERTY_SET, offset, value);
}

void command_property_get(struct host_queue *queue, uint32_t offset)
{
	property_send(queue, NVME_FCTYPE_PROPERTY_GET, offset, 0);
}

void command_disconnect(struct host_queue *queue)
{
	struct command *command = queue_command(queue);
	struct nvmf_connect_cmd sqe = {
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.fctype = NVME_FCTYPE_DISCONNECT,
	};

	if (!command)
		return;
	sqe.cid = command->sqe.cid;
	memcpy(&command->sqe, &sqe, sizeof(sqe));
	command->kind = COMMAND_DISCONNECT;
	queue_send(queue, command);
	queue->phase = QP_LEAVING;
}

/* ----------------------------------------------------------------------------------- admin commands */

void command_abort(struct host_queue *admin, const struct host_queue *victim, unsigned cid)
{
	struct command *command = queue_command(admin);

	if (!command)
		return;
	if (victim->commands[cid].busy)
		victim->commands[cid].excused = true;
	command->kind = COMMAND_ABORT;
	command->sqe.opcode = NVME_ADMIN_ABORT;
	command->sqe.cdw10 = le32(victim->qid | cid << 16);
	admin->host->aborts++;
	queue_send(admin, command);
}

void command_admin(struct host_queue *queue)
{
	struct command *command = queue_command(queue);

	if (!command)
		return;
	command->kind = COMMAND_ADMIN;
	switch (sim_below(4)) {
	case 0:
		command->sqe.opcode = NVME_ADMIN_KEEP_ALIVE;
		break;
	case 1:
		command->sqe.opcode = NVME_ADMIN_IDENTIFY;
		command->sqe.cdw10 = le32(1); /* the controller */
		command->len = IDENTIFY_BYTES;
		break;
	case 2:
		command->sqe.opcode = NVME_ADMIN_GET_LOG_PAGE;
		command->len = 4 * (1 + sim_below(1024));
		command->sqe.cdw10 = le32(NVME_LOG_SMART | (command->len / 4 - 1) << 16);
		command->sqe.nsid = le32(NVME_NSID_ALL);
		break;
	default:
		if (queue->host->aers < HOST_AERS) {
			queue->host->aers++;
			command->kind = COMMAND_ASYNC_EVENT;
			command->sqe.opcode = NVME_ADMIN_ASYNC_EVENT;
		} else {
			command->sqe.opcode = NVME_ADMIN_KEEP_ALIVE;
		}
		break;
	}
	if (command->len) {
		command->to_host = true;
		command->data = sim_alloc(command->len);
	}
	queue_send(queue, command);
}

/* ------------------------------------------------------------------------------------- I/O commands */

static void io_range(struct command *command, uint32_t most_bytes)
{
	uint32_t blocks, most;

	command->ns = sim_below(host_knobs.n_namespaces);
	blocks = model_blocks(command->ns);
	most = MIN(most_bytes >> model_shift(command->ns), blocks);
	command->nlb = sim_chance(500) ? 1 + sim_below(MIN(most, 4u)) : 1 + sim_below(most);
	command->slba = sim_below(blocks - command->nlb + 1);
	command->sqe.nsid = le32(command->ns + 1);
	command->sqe.cdw10 = le32(command->slba);
	command->sqe.cdw12 = le32(command->nlb - 1);
}

static void io_data(struct command *command)
{
	command->len = command->nlb << model_shift(command->ns);
	command->data = sim_alloc(command->len);
}

static void io_write(struct host_queue *queue, struct command *command)
{
	command->kind = COMMAND_WRITE;
	command->sqe.opcode = NVME_IO_WRITE;
	if (sim_chance(200))
		command->sqe.cdw12 = le32(le32_get(command->sqe.cdw12) | NVME_RW_FUA);
	command->write =
		model_write(command->ns, command->slba, command->nlb, queue->host->session, false);
	io_data(command);
	model_fill(command->write, command->data);
}

static void io_read(struct host_queue *queue, struct command *command)
{
	(void)queue;
	command->kind = COMMAND_READ;
	command->sqe.opcode = NVME_IO_READ;
	command->to_host = true;
	io_data(command);
	memset(command->data, 0xa5, command->len);
}

static void io_compare(struct host_queue *queue, struct command *command)
{
	size_t block = (size_t)1 << model_shift(command->ns);

	(void)queue;
	command->kind = COMMAND_COMPARE;
	command->sqe.opcode = NVME_IO_COMPARE;
	io_data(command);
	for (uint32_t i = 0; i < command->nlb; i++)
		model_last(command->ns, command->slba + i, command->data + i * block);
	if (sim_chance(200))
		command->data[sim_below(command->len)] ^= 0x55;
}

static void io_zeroes(struct host_queue *queue, struct command *command)
{
	command->kind = COMMAND_ZEROES;
	command->sqe.opcode = NVME_IO_WRITE_ZEROES;
	if (sim_chance(500))
		command->sqe.cdw12 = le32(le32_get(command->sqe.cdw12) | NVME_RW_DEAC);
	if (sim_chance(200))
		command->sqe.cdw12 = le32(le32_get(command->sqe.cdw12) | NVME_RW_FUA);
	command->write =
		model_write(command->ns, command->slba, command->nlb, queue->host->session, true);
}

static void io_deallocate(struct host_queue *queue, struct command *command)
{
	struct nvme_dsm_range ranges[2] = {
		{ .slba = le64(command->slba), .nlb = le32(command->nlb) },
	};

	command->kind = COMMAND_DEALLOCATE;
	command->sqe.opcode = NVME_IO_DSM;
	command->sqe.cdw10 = le32(1);
	command->sqe.cdw11 = le32(NVME_DSM_DEALLOCATE);
	command->sqe.cdw12 = le32(0);
	command->len = sim_chance(500) ? sizeof(ranges) : 4096;
	command->data = sim_alloc(command->len);
	memcpy(command->data, ranges, sizeof(ranges));
	command->write =
		model_write(command->ns, command->slba, command->nlb, queue->host->session, true);
}

static void io_other(struct host_queue *queue, struct command *command)
{
	(void)queue;
	command->kind = COMMAND_OTHER_IO;
	command->sqe.opcode = NVME_IO_VERIFY;
	if (sim_chance(500))
		return;
	command->sqe.opcode = NVME_IO_FLUSH;
	command->sqe.cdw10 = command->sqe.cdw12 = le32(0);
	if (sim_chance(300))
		command->sqe.nsid = le32(NVME_NSID_ALL);
}

/* Compare and Write of the same blocks, one behind the other. */
static void io_fused(struct host_queue *queue, struct command *first)
{
	struct command *second = queue_command(queue);

	io_compare(queue, first);
	if (second) {
		second->ns = first->ns;
		second->slba = first->slba;
		second->nlb = first->nlb;
		second->sqe.nsid = first->sqe.nsid;
		second->sqe.cdw10 = first->sqe.cdw10;
		second->sqe.cdw12 = first->sqe.cdw12;
		io_write(queue, second);
		first->sqe.flags |= NVME_FUSE_FIRST;
		second->sqe.flags |= NVME_FUSE_SECOND;
		first->partner = le16_get(second->sqe.cid);
		second->partner = le16_get(first->sqe.cid);
	}
	queue_send(queue, first);
	if (second)
		queue_send(queue, second);
}

void command_io(struct host_queue *queue)
{
	static void (*const kinds[])(struct host_queue *, struct command *) = {
		io_write, io_write, io_write,  io_write,      io_read,	io_read,
		io_read,  io_read,  io_zeroes, io_deallocate, io_other, io_compare,
	};
	struct command *command = queue_command(queue);

	if (!command)
		return;
	io_range(command, host_knobs.max_transfer);
	if (sim_chance(host_knobs.fused)) {
		io_fused(queue, command);
		return;
	}
	kinds[sim_below(ARRAY_SIZE(kinds))](queue, command);
	queue_send(queue, command);
}

/* ------------------------------------------------------------------------------------------ answers */

static bool may_fail(const struct host_queue *queue, const struct command *command)
{
	return command->excused || command->bad_digest || host_knobs.errors || host_knobs.kato_ms ||
	       queue->faulted || queue->phase != QP_LIVE || queue->host->phase != HOST_UP;
}

static void failure_check(const struct host_queue *queue, const struct command *command,
			  uint16_t status)
{
	SIM_CHECK(
		!status || may_fail(queue, command),
		"host %u queue %u: command %u (opcode %02x) fails with status %03x, and has no reason to",
		queue->host->index, queue->qid, le16_get(command->sqe.cid), command->sqe.opcode,
		status);
	SIM_CHECK(status || !command->bad_digest,
		  "host %u queue %u: command %u succeeds although its data digest was wrong",
		  queue->host->index, queue->qid, le16_get(command->sqe.cid));
}

static enum model_outcome write_outcome(const struct command *command, uint16_t status)
{
	if (!status)
		return command->kind == COMMAND_DEALLOCATE ? MODEL_MAYBE : MODEL_WRITTEN;
	return command->bad_digest && status == NVME_SC_TRANSIENT_TRANSPORT ? MODEL_NEVER :
									      MODEL_MAYBE;
}

static void compare_check(const struct command *command, bool equal)
{
	model_compare(command->ns, command->slba, command->nlb, command->began, command->data,
		      equal);
}

static void io_end(struct host_queue *queue, struct command *command, uint16_t status)
{
	bool differs = command->kind == COMMAND_COMPARE && status == NVME_SC_COMPARE_FAILURE;

	if (!differs)
		failure_check(queue, command, status);
	SIM_CHECK(status || command->moved == command->len,
		  "host %u queue %u: command %u succeeds after %u of %u bytes", queue->host->index,
		  queue->qid, le16_get(command->sqe.cid), command->moved, command->len);
	SIM_CHECK(!status || !command->to_host || !command->moved,
		  "host %u queue %u: command %u fails, but brought data", queue->host->index,
		  queue->qid, le16_get(command->sqe.cid));
	if (command->write)
		model_write_end(command->write, write_outcome(command, status));
	if (command->kind == COMMAND_READ && !status)
		model_read(command->ns, command->slba, command->nlb, command->began, command->data);
	if (command->kind == COMMAND_COMPARE && (differs || !status))
		compare_check(command, !differs);
}

/* Both halves are answered: both succeed or none does. */
static void fused_end(struct host_queue *queue, struct command *first, struct command *second)
{
	/* One in a capsule and one not: refused where memory is short. */
	bool refused = first->in_capsule != second->in_capsule &&
		       second->status == NVME_SC_TRANSIENT_TRANSPORT;
	/* The second half was held up on its way. */
	bool alone = first->status == NVME_SC_ABORTED_MISSING_FUSED &&
		     sim.now_ns - first->began_ns > FUSED_PATIENCE_MS * UINT64_C(1000000);
	bool excused = refused || alone || may_fail(queue, first) || may_fail(queue, second);

	if (first->status == NVME_SC_COMPARE_FAILURE) {
		SIM_CHECK(second->status == NVME_SC_ABORTED_FAILED_FUSED || excused,
			  "the Write of a failed pair has status %03x", second->status);
		SIM_CHECK(second->status, "the Write of a failed pair succeeds");
		compare_check(first, false);
		model_write_end(second->write, MODEL_NEVER);
		return;
	}
	SIM_CHECK(!first->status == !second->status, "a fused pair has statuses %03x and %03x",
		  first->status, second->status);
	if (!excused)
		failure_check(queue, first, first->status);
	if (!first->status)
		compare_check(first, true);
	model_write_end(second->write, first->status ? MODEL_MAYBE : MODEL_WRITTEN);
}

static void command_free(struct host_queue *queue, struct command *command)
{
	free(command->data);
	*command = (struct command){ 0 };
	queue->n_busy--;
}

static void half_end(struct host_queue *queue, struct command *command, uint16_t status)
{
	struct command *partner = &queue->commands[command->partner];
	bool is_second = command->sqe.flags & NVME_FUSE_SECOND;

	command->answered = true;
	command->status = status;
	if (!partner->answered)
		return;
	fused_end(queue, is_second ? partner : command, is_second ? command : partner);
	command_free(queue, partner);
	command_free(queue, command);
}

static bool grant_is_of(const struct grant *grant, const struct command *command)
{
	return grant->cid == le16_get(command->sqe.cid);
}

/* What was asked for of a command that has failed is not sent any more. */
static void grants_drop(struct host_queue *queue, const struct command *command)
{
	unsigned n = 0;

	for (unsigned i = 0; i < queue->n_grants; i++)
		if (!grant_is_of(&queue->grants[i], command))
			queue->grants[n++] = queue->grants[i];
	queue->n_grants = n;
}

void command_end(struct host_queue *queue, struct command *command, const struct nvme_cqe *cqe)
{
	uint16_t status = le16_get(cqe->status) >> 1 & NVME_STATUS_CODE_MASK;
	struct command done = *command;

	host_counts.answers++;
	host_counts.errors += status != 0;
	sim_say("host %u queue %u command %u: status %03x", queue->host->index, queue->qid,
		le16_get(cqe->cid), status);
	grants_drop(queue, command);
	if (command->partner >= 0) {
		half_end(queue, command, status);
		return;
	}
	if (command->kind >= COMMAND_READ) {
		io_end(queue, command, status);
		command_free(queue, command);
		return;
	}
	command_free(queue, command);
	done.data = NULL;
	host_answered(queue, &done, cqe);
}
