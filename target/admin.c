/* SPDX-License-Identifier: BSD-3-Clause */
/* Which admin commands there are, and those that need no file of their own: Keep Alive and Abort.
 */
#include "target/admin.h"

#include <assert.h>

#include "target/ctrl.h"
#include "target/io.h"
#include "target/worker.h"

static uint16_t keep_alive_parse(struct cmd *cmd);
static uint16_t abort_parse(struct cmd *cmd);

/* Of the optional commands a discovery controller has those that its log and its events need. */
static const struct admin_command {
	uint16_t (*parse)(struct cmd *cmd);
	bool on_discovery;
} commands[] = {
	[NVME_ADMIN_GET_LOG_PAGE] = { log_page_parse, true },
	[NVME_ADMIN_IDENTIFY] = { identify_parse, true },
	[NVME_ADMIN_ABORT] = { abort_parse, false },
	[NVME_ADMIN_SET_FEATURES] = { set_features_parse, true },
	[NVME_ADMIN_GET_FEATURES] = { get_features_parse, true },
	[NVME_ADMIN_ASYNC_EVENT] = { async_event_parse, true },
	[NVME_ADMIN_KEEP_ALIVE] = { keep_alive_parse, true },
};

static const struct admin_command *command_find(const struct ctrl *ctrl, uint8_t opcode)
{
	if (opcode >= ARRAY_SIZE(commands) || !commands[opcode].parse)
		return NULL;
	return ctrl_is_discovery(ctrl) && !commands[opcode].on_discovery ? NULL : &commands[opcode];
}

uint32_t admin_effects(const struct ctrl *ctrl, uint8_t opcode)
{
	return command_find(ctrl, opcode) ? NVME_EFFECT_CSUPP : 0;
}

uint32_t ctrl_max_transfer(const struct ctrl *ctrl)
{
	return ctrl->max_transfer;
}

uint16_t admin_parse(struct cmd *cmd)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;
	const struct admin_command *command = command_find(ctrl, cmd->sqe.opcode);

	/* Until the host has enabled the controller there are Fabrics commands alone. */
	if (!(ctrl->cc & NVME_CC_EN) || !(ctrl->csts & NVME_CSTS_RDY))
		return cmd_fault(cmd, CMD_PLACE(opcode, 0),
				 NVME_SC_COMMAND_SEQUENCE | NVME_STATUS_DNR);
	if (!command)
		return cmd_fault(cmd, CMD_PLACE(opcode, 0),
				 NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR);
	return command->parse(cmd);
}

/* ---------------------------------------------------------------------------------- Keep Alive */

static void keep_alive_execute(struct cmd *cmd)
{
	ctrl_keep_alive(cmd->queue->ctrl);
	cmd_complete(cmd, NVME_SC_SUCCESS);
}

static uint16_t keep_alive_parse(struct cmd *cmd)
{
	return cmd_need(cmd, CMD_DATA_NONE, 0, keep_alive_execute);
}

/* --------------------------------------------------------------------------------------- Abort */

/*
 * Abort (Base 5.1.1) answers at once. Commands that wait in the core, for an event or for memory,
 * are aborted there and then, before the answer. One that a backend works on, that goes in steps or
 * that is half of a fused pair is asked to end: the answer is "not aborted", as the specification
 * wants it for an abort that comes later or never. Data that the transport is fetching is left
 * alone.
 *
 * A queue of another worker is looked for on that worker, by a message that the Abort command
 * carries. The busy Abort command keeps its admin queue, and so the controller, in memory
 * meanwhile.
 */
enum { ABORT_NOT_DONE = 1 };

static struct cmd *abort_find(struct queue *queue, le16_t cid)
{
	list_for_each(cmd, &queue->live, struct cmd, link)
		if (le16_get(cmd->sqe.cid) == le16_get(cid))
			return cmd;
	return NULL;
}

/* True when @victim was completed as aborted: its slot may be free already. */
static bool abort_try(struct cmd *victim)
{
	struct queue *queue = victim->queue;
	bool waits = !list_empty(&victim->wait_link);

	victim->abort_requested = true;
	if (!queue->qid && async_event_remove(queue->ctrl, victim)) {
		cmd_complete(victim, NVME_SC_ABORT_REQUESTED);
		return true;
	}
	if (waits && victim->state == CMD_PARSED) {
		list_del(&victim->wait_link);
		cmd_complete(victim, NVME_SC_ABORT_REQUESTED);
		return true;
	}
	return victim->state == CMD_EXECUTING && queue->qid && io_abort(victim);
}

static le32_t abort_in_queue(struct cmd *cmd, struct queue *queue)
{
	le16_t cid = le16((uint16_t)(le32_get(cmd->sqe.cdw10) >> 16));
	struct cmd *victim = abort_find(queue, cid);

	return le32(victim && victim != cmd && abort_try(victim) ? 0 : ABORT_NOT_DONE);
}

static uint16_t abort_sqid(const struct cmd *cmd)
{
	return (uint16_t)le32_get(cmd->sqe.cdw10);
}

/* Back on the admin worker. */
static void abort_answer(struct msg *msg)
{
	struct cmd *cmd = container_of(msg, struct cmd, msg);

	cmd->queue->ctrl->n_aborts--;
	cmd_complete(cmd, NVME_SC_SUCCESS);
}

/* On the worker of the command's queue, if that is still there. */
static void abort_deliver(struct msg *msg)
{
	struct cmd *cmd = container_of(msg, struct cmd, msg);
	struct worker *worker = cmd->msg_worker;

	cmd->cqe.dw0 = le32(ABORT_NOT_DONE);
	list_for_each(queue, &worker->queues, struct queue, worker_link) {
		if (queue->ctrl == cmd->queue->ctrl && queue->qid == abort_sqid(cmd) &&
		    queue->state == QUEUE_LIVE) {
			cmd->cqe.dw0 = abort_in_queue(cmd, queue);
			break;
		}
	}
	cmd->msg.deliver = abort_answer;
	loop_post(&cmd->queue->worker->loop, &cmd->msg);
}

/* The worker that serves queue @sqid of @ctrl, or NULL: there is no such queue. */
static struct worker *abort_worker(struct ctrl *ctrl, uint16_t sqid)
{
	struct worker *worker = NULL;

	pthread_mutex_lock(&ctrl->lock);
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link)
		if (queue->qid == sqid)
			worker = queue->worker;
	pthread_mutex_unlock(&ctrl->lock);
	return worker;
}

static void abort_execute(struct cmd *cmd)
{
	struct ctrl *ctrl = cmd->queue->ctrl;

	cmd->msg_worker = abort_worker(ctrl, abort_sqid(cmd));
	if (!abort_sqid(cmd) || !cmd->msg_worker) {
		cmd->cqe.dw0 =
			abort_sqid(cmd) ? le32(ABORT_NOT_DONE) : abort_in_queue(cmd, cmd->queue);
		cmd_complete(cmd, NVME_SC_SUCCESS);
		return;
	}
	ctrl->n_aborts++;
	cmd->msg.deliver = abort_deliver;
	loop_post(&cmd->msg_worker->loop, &cmd->msg);
}

static uint16_t abort_parse(struct cmd *cmd)
{
	if (cmd->queue->ctrl->n_aborts == MAX_ABORTS)
		return NVME_SC_ABORT_LIMIT | NVME_STATUS_DNR;
	return cmd_need(cmd, CMD_DATA_NONE, 0, abort_execute);
}
