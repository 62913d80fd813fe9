/* SPDX-License-Identifier: BSD-3-Clause */
/* The Fabrics commands Connect and Disconnect, and the dispatch of the others (Base 6). */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "target/admin.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/worker.h"

static const struct nvmf_connect_cmd *connect_cmd(const struct cmd *cmd)
{
	return (const struct nvmf_connect_cmd *)&cmd->sqe;
}

/*
 * Connect Invalid Parameters says where (Base 6.3, figure "Connect response"): offset of the field,
 * and whether it is in the command or in its data.
 */
static uint16_t connect_fault(struct cmd *cmd, unsigned offset, bool in_data)
{
	cmd->cqe.dw0 = le32(offset | (uint32_t)in_data << 16);
	return cmd_fault(cmd, in_data ? CMD_NO_LOCATION : offset,
			 NVME_SC_CONNECT_INVALID_PARAM | NVME_STATUS_DNR);
}

#define FAULT_IN_DATA(cmd, field) \
	connect_fault(cmd, offsetof(struct nvmf_connect_data, field), true)
#define FAULT_IN_COMMAND(cmd, field) \
	connect_fault(cmd, offsetof(struct nvmf_connect_cmd, field), false)

/* A name from the wire must end inside its field; what does not could run on into other memory. */
static bool nqn_is_terminated(const char *nqn)
{
	size_t len = strnlen(nqn, NVME_NQN_LEN);

	return len > 0 && len <= NVME_NQN_MAX;
}

static uint16_t connect_admin(struct cmd *cmd, struct subsys *subsys,
			      const struct nvmf_connect_data *data)
{
	struct queue *queue = cmd->queue;
	uint16_t status;

	if (queue->depth < MIN_QUEUE_DEPTH)
		return FAULT_IN_COMMAND(cmd, sqsize);
	status = ctrl_create(subsys, queue, data->hostnqn, data->hostid, le16_get(data->cntlid),
			     le32_get(connect_cmd(cmd)->kato), &queue->ctrl);
	if ((status & NVME_STATUS_CODE_MASK) == NVME_SC_CONNECT_INVALID_PARAM)
		return FAULT_IN_DATA(cmd, cntlid);
	return status;
}

static uint16_t connect_io(struct cmd *cmd, struct subsys *subsys,
			   const struct nvmf_connect_data *data, uint16_t qid)
{
	uint16_t offset, status;
	uint8_t in_data;

	status = ctrl_attach_queue(subsys, cmd->queue, qid, le16_get(data->cntlid), data->hostnqn,
				   data->hostid, &cmd->queue->ctrl, &offset, &in_data);
	if ((status & NVME_STATUS_CODE_MASK) == NVME_SC_CONNECT_INVALID_PARAM)
		return connect_fault(cmd, offset, in_data);
	return status;
}

/* What messages about a Connect are about. */
static struct log_about connect_about(const struct queue *queue,
				      const struct nvmf_connect_data *data)
{
	return log_about(.peer = queue->peer, .listener = queue->listener->config->name,
			 .hostnqn = data->hostnqn, .subsystem = data->subnqn);
}

/* Who may attach to what; looks at the data alone. */
static uint16_t connect_find(struct cmd *cmd, const struct nvmf_connect_data *data,
			     struct subsys **out)
{
	const struct queue *queue = cmd->queue;
	struct subsys *subsys;

	if (!nqn_is_terminated(data->subnqn))
		return FAULT_IN_DATA(cmd, subnqn);
	if (!nqn_is_terminated(data->hostnqn) || !config_nqn_valid(data->hostnqn))
		return FAULT_IN_DATA(cmd, hostnqn);
	subsys = subsys_find(data->subnqn);
	if (!subsys || (queue->listener->config->discovery_only && !subsys->discovery)) {
		log_peer(connect_about(queue, data),
			 "%s: host %s asked for subsystem %.*s, which is not served on %s",
			 queue->peer, data->hostnqn, NVME_NQN_MAX, data->subnqn,
			 queue->listener->config->name);
		return FAULT_IN_DATA(cmd, subnqn);
	}
	if (!subsys_allows(subsys, data->hostnqn)) {
		log_peer(
			connect_about(queue, data),
			"%s: host %s may not attach to %s; to admit it add allow_host = %s to that subsystem",
			queue->peer, data->hostnqn, subsys->nqn, data->hostnqn);
		cmd->cqe.dw0 = le32(0);
		return NVME_SC_CONNECT_INVALID_HOST | NVME_STATUS_DNR;
	}
	/* Later, or by another path: without DNR the host tries again. */
	if (subsys->drained || __atomic_load_n(&queue->listener->drained, __ATOMIC_RELAXED)) {
		log_peer(connect_about(queue, data),
			 "%s: host %s has to wait: %s is drained (sluicectl resume ends that)",
			 queue->peer, data->hostnqn,
			 subsys->drained ? subsys->nqn : queue->listener->config->name);
		return NVME_SC_CONNECT_CTRL_BUSY;
	}
	*out = subsys;
	return 0;
}

static void connect_succeeded(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;

	queue->state = QUEUE_LIVE;
	queue->cntlid = queue->ctrl->cntlid;
	queue->host = queue->ctrl->hostnqn;
	queue->sqflow_disabled = connect_cmd(cmd)->cattr & NVMF_CATTR_DISABLE_SQFLOW;
	queue->ops->connected(queue);
	cmd->cqe.dw0 = le32(queue->ctrl->cntlid);
	TRACE(connect_accepted, 8@%[queue] 8@%[ids] 8@%[cmd] 8@%[peer] 8@%[host] 8@%[nqn],
	      TRACE_IN(queue, queue), TRACE_AT(ids, queue->ids), TRACE_IN(cmd, cmd),
	      TRACE_IN(peer, queue->peer), TRACE_AT(host, queue->host),
	      TRACE_IN(nqn, queue->ctrl->subsys->nqn));
	log_debug_about(queue_about(queue), "%s: queue %u of controller %u of %s for %s",
			queue->peer, queue->qid, queue->ctrl->cntlid, queue->ctrl->subsys->nqn,
			queue->ctrl->hostnqn);
}

static void connect_execute(struct cmd *cmd);

static void connect_again(struct timer *timer)
{
	struct cmd *cmd = container_of(timer, struct cmd, io.timer);

	if (cmd->queue->state == QUEUE_CLOSING)
		cmd_complete(cmd, NVME_SC_CONNECT_CTRL_BUSY);
	else
		connect_execute(cmd);
}

/*
 * A host that reconnects sends its writes again and goes on, while a slow disk may still have the ones
 * of before: landing late, they would undo what came after. So its new controller waits for the end
 * of its old one, which is there in no time but when a disk hangs. False: it has waited long enough.
 */
static bool connect_wait(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;
	uint64_t age_ns = queue->worker->loop.now_ns - queue->created_ns;

	cmd->io.timer.expired = connect_again;
	return age_ns < CONNECT_LEAVING_MS * 1000000ull &&
	       !loop_timer_start(&queue->worker->loop, &cmd->io.timer,
				 CONNECT_AGAIN_MS * 1000000ull);
}

static void connect_execute(struct cmd *cmd)
{
	const struct nvmf_connect_cmd *connect = connect_cmd(cmd);
	struct queue *queue = cmd->queue;
	uint16_t qid = le16_get(connect->qid), status, offset = 0;
	unsigned depth = le16_get(connect->sqsize) + 1u;
	struct nvmf_connect_data data;
	struct subsys *subsys = NULL;

	spanv_read(&cmd->data, 0, &data, sizeof(data));
	if (!queue->connect_ns)
		queue->connect_ns = queue->worker->loop.now_ns;
	status = connect_find(cmd, &data, &subsys);
	if (!status && !qid && subsys_host_has_io(subsys, queue, data.hostnqn, data.hostid)) {
		if (connect_wait(cmd))
			return;
		log_peer(
			connect_about(queue, &data),
			"%s: host %s has to wait for a controller of its own, whose commands a disk still has",
			queue->peer, data.hostnqn);
		status = NVME_SC_CONNECT_CTRL_BUSY;
	}
	if (!status && depth > (subsys->config ? subsys->config->max_queue_depth : MAX_QUEUE_DEPTH))
		status = FAULT_IN_COMMAND(cmd, sqsize);
	if (!status && queue->ops->connecting)
		offset = queue->ops->connecting(queue, qid, depth);
	if (!status && offset)
		status = connect_fault(cmd, offset, false);
	if (!status && queue_set_depth(queue, (uint16_t)depth))
		status = NVME_SC_CONNECT_CTRL_BUSY;
	if (!status)
		status = qid ? connect_io(cmd, subsys, &data, qid) :
			       connect_admin(cmd, subsys, &data);
	if (!status)
		connect_succeeded(cmd);
	else
		TRACE(connect_refused, 8@%[queue] 2@%[status] 8@%[cmd] 8@%[peer] 8@%[host] 8@%[nqn],
		      TRACE_IN(queue, queue), TRACE_IN(status, status), TRACE_IN(cmd, cmd),
		      TRACE_IN(peer, queue->peer), TRACE_IN(host, data.hostnqn),
		      TRACE_IN(nqn, data.subnqn));
	cmd_complete(cmd, status);
	if (status)
		queue->ops->close(queue, QUEUE_CLOSE_REFUSED);
}

uint16_t connect_parse(struct cmd *cmd)
{
	const struct nvmf_connect_cmd *connect = connect_cmd(cmd);

	if (connect->fctype != NVME_FCTYPE_CONNECT)
		return cmd_fault(cmd, offsetof(struct nvmf_connect_cmd, fctype),
				 NVME_SC_COMMAND_SEQUENCE | NVME_STATUS_DNR);
	if (le16_get(connect->recfmt))
		return cmd_fault(cmd, offsetof(struct nvmf_connect_cmd, recfmt),
				 NVME_SC_CONNECT_INCOMPATIBLE_FORMAT | NVME_STATUS_DNR);
	/* Depth counts entries; one that holds a single entry could never be used (Base 3.3.3.1). */
	if (!le16_get(connect->sqsize))
		return FAULT_IN_COMMAND(cmd, sqsize);
	return cmd_need(cmd, CMD_DATA_FROM_HOST, sizeof(struct nvmf_connect_data), connect_execute);
}

/* The response goes out first, then the connection is closed (Base 6.4). */
static void disconnect_execute(struct cmd *cmd)
{
	struct queue *queue = cmd->queue;

	ctrl_give_back_qid(queue->ctrl, queue);
	cmd_complete(cmd, NVME_SC_SUCCESS);
	queue->ops->close(queue, QUEUE_CLOSE_DISCONNECT);
}

static uint16_t disconnect_parse(struct cmd *cmd)
{
	/* RECFMT lies where Connect has it. */
	if (le16_get(connect_cmd(cmd)->recfmt))
		return cmd_fault(cmd, offsetof(struct nvmf_connect_cmd, recfmt),
				 NVME_SC_CONNECT_INCOMPATIBLE_FORMAT | NVME_STATUS_DNR);
	if (!cmd->queue->qid)
		return cmd_fault(cmd, offsetof(struct nvmf_connect_cmd, fctype),
				 NVME_SC_DISCONNECT_INVALID_QUEUE_TYPE | NVME_STATUS_DNR);
	return cmd_need(cmd, CMD_DATA_NONE, 0, disconnect_execute);
}

uint16_t fabrics_parse(struct cmd *cmd)
{
	uint8_t fctype = connect_cmd(cmd)->fctype;

	assert(cmd->queue->ctrl);
	switch (fctype) {
	case NVME_FCTYPE_PROPERTY_GET:
	case NVME_FCTYPE_PROPERTY_SET:
		if (cmd->queue->qid)
			break; /* properties are the admin queue's */
		return fctype == NVME_FCTYPE_PROPERTY_GET ? property_get_parse(cmd) :
							    property_set_parse(cmd);
	case NVME_FCTYPE_DISCONNECT:
		return disconnect_parse(cmd);
	case NVME_FCTYPE_CONNECT:
		return cmd_fault(cmd, offsetof(struct nvmf_connect_cmd, fctype),
				 NVME_SC_COMMAND_SEQUENCE | NVME_STATUS_DNR);
	default:
		break;
	}
	return cmd_fault(cmd, offsetof(struct nvmf_connect_cmd, fctype),
			 NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR);
}
