/* SPDX-License-Identifier: BSD-3-Clause */
/* What a host wants: to attach, to use the target, to break off, and to come again. */
#include "host.h"

#include "model.h"
#include "target.h"

enum { CC_ENABLED = NVME_CC_EN | 6 << NVME_CC_IOSQES_SHIFT | 4 << NVME_CC_IOCQES_SHIFT };

struct host_knobs host_knobs;
struct host_counts host_counts;

static uint32_t sessions; /* that there were in this schedule */

void host_init(struct host *host, unsigned index)
{
	if (!index)
		sessions = 0;
	*host = (struct host){ .index = index };
	for (unsigned i = 0; i < HOST_QUEUES; i++)
		host->queues[i].host = host;
}

/* ------------------------------------------------------------------------------------------ losing */

static void queue_close(struct host_queue *queue, bool reset)
{
	host_close(queue->sock, reset);
	queue_forget(queue);
	host_counts.lost++;
}

/* The target is done with the session before, as far as it can tell by its connections. */
static void old_forget(struct host *host)
{
	if (host->old_admin)
		socket_let_go(host->old_admin);
	host->old_admin = NULL;
	host->old_session = 0;
}

void host_lost(struct host_queue *queue, bool reset)
{
	struct host *host = queue->host;

	sim_say("host %u loses queue %u", host->index, queue->qid);
	if (queue->qid) {
		queue_close(queue, reset);
		return;
	}
	for (unsigned i = 1; i < HOST_QUEUES; i++)
		if (host->queues[i].sock)
			queue_close(&host->queues[i], sim_chance(500));
	old_forget(host);
	if (host->phase != HOST_ATTACHING) {
		host->old_admin = queue->sock;
		host->old_session = host->session;
		socket_hold(queue->sock);
	}
	queue_close(queue, reset);
	host->phase = HOST_DOWN;
}

void host_leave(struct host *host)
{
	if (host->queues[0].sock)
		host_lost(&host->queues[0], sim_chance(300));
	old_forget(host);
}

/* ----------------------------------------------------------------------------------------- attaching */

/*
 * A host that comes back before the target has seen that its connections are gone cannot know what
 * becomes of its old writes: then they are never over in the model.
 */
static void host_attach(struct host *host)
{
	if (host->old_admin && host_is_held(host->old_admin)) {
		if (sim_chance(800))
			return;
		old_forget(host);
	}
	if (!queue_open(host, 0))
		return;
	host->phase = HOST_ATTACHING;
	host->aers = host->aborts = 0;
	host->polling = false;
}

static void connected(struct host_queue *queue, const struct nvme_cqe *cqe)
{
	struct host *host = queue->host;

	queue->phase = QP_LIVE;
	if (queue->qid)
		return;
	host->cntlid = (uint16_t)le32_get(cqe->dw0);
	/* The target has waited for all that was under way. */
	if (host->old_session)
		model_session_end(host->old_session);
	old_forget(host);
	host->session = ++sessions;
	command_property_set(queue, NVME_PROP_CC, CC_ENABLED);
}

static void connect_answered(struct host_queue *queue, const struct nvme_cqe *cqe)
{
	uint16_t status = le16_get(cqe->status) >> 1 & NVME_STATUS_CODE_MASK;

	if (!status) {
		connected(queue, cqe);
		return;
	}
	SIM_CHECK(queue->qid || status == NVME_SC_CONNECT_CTRL_BUSY,
		  "host %u cannot attach: status %03x", queue->host->index, status);
	if (queue->qid) {
		host_lost(queue, false);
	} else {
		struct sim_sock *old_admin = queue->host->old_admin;
		uint32_t old_session = queue->host->old_session;

		/* What it waited for is to be waited for again. */
		queue->host->old_admin = NULL;
		host_lost(queue, false);
		queue->host->old_admin = old_admin;
		queue->host->old_session = old_session;
	}
}

/* --------------------------------------------------------------------- resetting and shutting down */

static void io_queues_close(struct host *host)
{
	for (unsigned i = 1; i < HOST_QUEUES; i++)
		if (host->queues[i].sock)
			host_lost(&host->queues[i], sim_chance(300));
}

static void host_reset(struct host *host)
{
	bool shutdown = sim_chance(300);
	struct host_queue *admin = &host->queues[0];

	if (admin->n_busy + 2 >= admin->depth)
		return;
	host->phase = shutdown ? HOST_SHUTTING_DOWN : HOST_RESETTING;
	command_property_set(admin, NVME_PROP_CC,
			     shutdown ? CC_ENABLED | NVME_CC_SHN_NORMAL : CC_ENABLED & ~NVME_CC_EN);
	io_queues_close(host);
}

static void property_read(struct host *host, uint32_t csts)
{
	host->polling = false;
	SIM_CHECK(!(csts & NVME_CSTS_CFS) || host_knobs.kato_ms,
		  "host %u: its controller says that it has failed", host->index);
	if (host->phase == HOST_RESETTING && !(csts & NVME_CSTS_RDY)) {
		model_session_end(host->session);
		host->session = ++sessions;
		host->phase = HOST_ATTACHING;
		command_property_set(&host->queues[0], NVME_PROP_CC, CC_ENABLED);
	} else if (host->phase == HOST_SHUTTING_DOWN &&
		   (csts & NVME_CSTS_SHST_MASK) == NVME_CSTS_SHST_COMPLETE) {
		model_session_end(host->session);
		host_leave(host);
	}
}

/* ------------------------------------------------------------------------------------------- answers */

void host_answered(struct host_queue *queue, const struct command *command,
		   const struct nvme_cqe *cqe)
{
	uint16_t status = le16_get(cqe->status) >> 1 & NVME_STATUS_CODE_MASK;
	struct host *host = queue->host;

	switch (command->kind) {
	case COMMAND_CONNECT:
		connect_answered(queue, cqe);
		return;
	case COMMAND_PROPERTY_SET:
		SIM_CHECK(!status, "host %u: Property Set fails: status %03x", host->index, status);
		if (host->phase == HOST_ATTACHING) {
			host->phase = HOST_UP;
			host_counts.attached++;
		}
		return;
	case COMMAND_PROPERTY_GET:
		SIM_CHECK(!status, "host %u: Property Get fails: status %03x", host->index, status);
		property_read(host, le32_get(cqe->dw0));
		return;
	case COMMAND_ASYNC_EVENT:
		host->aers--;
		return;
	case COMMAND_ABORT:
		host->aborts--;
		break;
	default:
		break;
	}
	SIM_CHECK(!status || command->excused || host->phase != HOST_UP || host_knobs.kato_ms,
		  "host %u queue %u: a command of opcode %02x fails: status %03x", host->index,
		  queue->qid, command->sqe.opcode, status);
}

void host_check_answered(const struct host *host)
{
	for (unsigned i = 0; i < HOST_QUEUES; i++) {
		const struct host_queue *queue = &host->queues[i];
		unsigned waiting = i ? 0 : host->aers;

		if (queue->sock && queue->n_busy != waiting)
			sim_target_describe();
		if (queue->sock && !queue->faulted)
			SIM_CHECK(queue->n_busy == waiting,
				  "host %u queue %u: %u commands are never answered", host->index,
				  i, queue->n_busy - waiting);
	}
}

/* --------------------------------------------------------------------------------------------- steps */

static void abort_some(struct host *host)
{
	const struct host_queue *victim = &host->queues[sim_below(HOST_QUEUES)];
	unsigned cid = sim_below(victim->depth);

	if (!victim->sock || victim->phase != QP_LIVE || host->aborts == HOST_ABORTS)
		return;
	/* One that is there, mostly. */
	for (unsigned i = 0; i < victim->depth && !victim->commands[cid].busy; i++)
		cid = (cid + 1) % victim->depth;
	/* Not what decides where the host stands. */
	if (!victim->qid && victim->commands[cid].kind != COMMAND_ASYNC_EVENT)
		return;
	command_abort(&host->queues[0], victim, cid);
}

static void io_queue_step(struct host *host, struct host_queue *queue, uint16_t qid)
{
	if (!queue->sock) {
		if (sim_chance(300))
			queue_open(host, qid);
		return;
	}
	if (queue->phase != QP_LIVE || queue->faulted)
		return;
	if (sim_chance(host_knobs.garbage)) {
		queue_garbage(queue);
		return;
	}
	/* A legal host waits for its commands first. */
	if (!queue->n_busy && sim_chance(10)) {
		command_disconnect(queue);
		return;
	}
	for (unsigned n = 1 + sim_below(8); n && queue->n_busy < host_knobs.busy; n--)
		command_io(queue);
}

static void host_use(struct host *host)
{
	uint16_t qid = (uint16_t)sim_below(HOST_QUEUES);
	struct host_queue *queue = &host->queues[qid];

	if (sim_chance(host_knobs.abort)) {
		abort_some(host);
	} else if (sim_chance(host_knobs.reset)) {
		host_reset(host);
	} else if (queue->sock && sim_chance(host_knobs.lose)) {
		host_lost(queue, sim_chance(500));
	} else if (qid) {
		io_queue_step(host, queue, qid);
	} else if (sim_chance(200)) {
		command_admin(queue);
	}
}

void host_step(struct host *host)
{
	switch (host->phase) {
	case HOST_DOWN:
		if (!host_knobs.quiet)
			host_attach(host);
		break;
	case HOST_UP:
		if (!host_knobs.quiet)
			host_use(host);
		break;
	case HOST_RESETTING:
	case HOST_SHUTTING_DOWN:
		if (!host->polling)
			command_property_get(&host->queues[0], NVME_PROP_CSTS);
		break;
	case HOST_ATTACHING:
		if (sim_chance(host_knobs.lose))
			host_lost(&host->queues[0], sim_chance(500));
		break;
	}
}

bool host_listen(struct host *host)
{
	bool any = false;

	for (unsigned i = 0; i < HOST_QUEUES; i++) {
		struct host_queue *queue = &host->queues[i];

		if (!queue->sock)
			continue;
		if (!host_knobs.quiet && sim_chance(host_knobs.deaf))
			queue->deaf = sim_below(500);
		if (queue->deaf && !host_knobs.quiet) {
			queue->deaf--;
			continue;
		}
		any |= queue_read(queue, host_knobs.quiet);
		if (queue->sock && (host_knobs.quiet || sim_chance(300)))
			any |= queue_grant_answer(queue);
	}
	return any;
}
