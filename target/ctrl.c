/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/ctrl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/trace.h"
#include "target/admin.h"
#include "target/listener.h"
#include "target/worker.h"

/* Time that CC.EN may take to show in CSTS.RDY; enabling is immediate here, TO is for hosts that insist. */
enum { CAP_TO_500MS = 30 };

/* What the kernel knows of when something came is that exact (stall_heard_since()). */
#define HEARD_SLACK_NS UINT64_C(20000000)

static void bit_set(uint64_t *map, unsigned bit)
{
	map[bit / 64] |= 1ull << (bit % 64);
}

static void bit_clear(uint64_t *map, unsigned bit)
{
	map[bit / 64] &= ~(1ull << (bit % 64));
}

static bool bit_test(const uint64_t *map, unsigned bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static void set_live(struct ctrl *ctrl, bool live)
{
	__atomic_store_n(&ctrl->live, live, __ATOMIC_RELEASE);
}

static unsigned subsys_max_depth(const struct subsys *subsys)
{
	return subsys->config ? subsys->config->max_queue_depth : MIN_ADMIN_DEPTH * 4;
}

uint64_t ctrl_cap(const struct ctrl *ctrl)
{
	return NVME_CAP_MQES(subsys_max_depth(ctrl->subsys) - 1) | NVME_CAP_CQR |
	       NVME_CAP_TO(CAP_TO_500MS) | NVME_CAP_CSS_NVM | NVME_CAP_CSS_IOCSS;
}

/* ------------------------------------------------------------------------------------- keep alive */

/*
 * Traffic on any queue since the last look counts as keep alive (TBKAS). But commands that a host sent
 * before it was lost may begin one by one long afterwards, when memory is short.
 */
static bool ctrl_had_traffic(struct ctrl *ctrl)
{
	uint64_t since_ns = ctrl->looked_ns - MIN(ctrl->looked_ns, FORMER_SLACK_MS * UINT64_C(1000000));
	bool traffic = false;

	ctrl->looked_ns = clock_now_ns();
	pthread_mutex_lock(&ctrl->lock);
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link)
		traffic |= __atomic_exchange_n(&queue->traffic, false, __ATOMIC_RELAXED) &&
			   queue_heard_since(queue, since_ns);
	pthread_mutex_unlock(&ctrl->lock);
	return traffic;
}

/* A probe of a controller. */
#define TRACE_CTRL(name, ctrl)                                                            \
	TRACE(name, 2@%[cntlid] 4@%[kato_ms] 8@%[host] 8@%[nqn], TRACE_AT(cntlid, (ctrl)->cntlid), \
	      TRACE_AT(kato_ms, (ctrl)->kato_ms), TRACE_IN(host, (ctrl)->hostnqn),             \
	      TRACE_IN(nqn, (ctrl)->subsys->nqn))

/* Hosts keep alive after half of the time-out (Base 3.9): one that has not in this time may be lost. */
static uint32_t kato_silent_ms(const struct ctrl *ctrl)
{
	return MIN(ctrl->kato_ms / 2 + FORMER_SLACK_MS, ctrl->kato_ms);
}

static void kato_timer_start(struct ctrl *ctrl, uint32_t ms)
{
	/* Without memory for the timer heap the host's own timeout has to do. */
	if (loop_timer_start(&ctrl->worker->loop, &ctrl->kato_timer, ms * UINT64_C(1000000)))
		log_error_about(ctrl_about(ctrl),
				"controller %u of %s: no memory for its keep alive timer",
				ctrl->cntlid, ctrl->subsys->nqn);
}

/* Tells its queues whether the host is silent. */
static void silent_set(struct ctrl *ctrl, bool silent)
{
	__atomic_store_n(&ctrl->silent, silent, __ATOMIC_RELAXED);
	pthread_mutex_lock(&ctrl->lock);
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link)
		if (queue->qid)
			queue_suspect_post(queue);
	pthread_mutex_unlock(&ctrl->lock);
}

/* Twice: when a keep alive is missing, and when the time-out is over. */
static void kato_expired(struct timer *timer)
{
	struct ctrl *ctrl = container_of(timer, struct ctrl, kato_timer);
	uint32_t rest_ms = ctrl->kato_ms - kato_silent_ms(ctrl);

	if (ctrl_had_traffic(ctrl)) {
		ctrl_keep_alive(ctrl);
		return;
	}
	if (!ctrl->silent && rest_ms) {
		silent_set(ctrl, true);
		kato_timer_start(ctrl, rest_ms);
		return;
	}
	/* It is to go, and reads no commands: its I/O has the time that was given to it. */
	if (ctrl->admin->parting) {
		if (!ctrl->silent)
			silent_set(ctrl, true);
		return;
	}
	TRACE_CTRL(ctrl_kato_expired, ctrl);
	log_peer(ctrl_about(ctrl),
		 "controller %u of %s: no keep alive from %s for %u ms; closing its queues",
		 ctrl->cntlid, ctrl->subsys->nqn, ctrl->hostnqn, ctrl->kato_ms);
	ctrl_fail(ctrl, QUEUE_CLOSE_KATO);
}

void ctrl_set_kato(struct ctrl *ctrl, uint32_t kato_ms)
{
	uint32_t most = UINT32_MAX / KATO_GRANULARITY_MS;
	uint32_t steps = kato_ms / KATO_GRANULARITY_MS + (kato_ms % KATO_GRANULARITY_MS != 0);

	/* Up, so that a host is not timed out before the time that it asked for. */
	__atomic_store_n(&ctrl->kato_ms, MIN(steps, most) * KATO_GRANULARITY_MS, __ATOMIC_RELAXED);
}

void ctrl_keep_alive(struct ctrl *ctrl)
{
	loop_timer_stop(&ctrl->worker->loop, &ctrl->kato_timer);
	ctrl_had_traffic(ctrl); /* a new look begins here, that does not count this command */
	if (ctrl->silent)
		silent_set(ctrl, false);
	if (ctrl->kato_ms)
		kato_timer_start(ctrl, kato_silent_ms(ctrl));
}

/* --------------------------------------------------------------------------------- making, finding */

static struct ctrl *subsys_ctrl(const struct subsys *subsys, uint16_t cntlid)
{
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
		if (ctrl->cntlid == cntlid)
			return ctrl;
	return NULL;
}

/* The next free identifier in turn, so that a reused one is as old as can be. Under subsys->lock. */
static bool subsys_new_cntlid(struct subsys *subsys, uint16_t *cntlid)
{
	unsigned min = subsys->config ? subsys->config->cntlid_min : 1;
	unsigned max = subsys->config ? subsys->config->cntlid_max : MAX_CNTLID;
	unsigned next = subsys->next_cntlid;

	for (unsigned tries = 0; tries <= max - min; tries++) {
		if (next < min || next > max)
			next = min;
		if (!subsys_ctrl(subsys, (uint16_t)next)) {
			*cntlid = (uint16_t)next;
			subsys->next_cntlid = (uint16_t)(next + 1);
			return true;
		}
		next++;
	}
	return false;
}

static void ctrl_see_namespaces(struct ctrl *ctrl)
{
	for (uint32_t nsid = 1; nsid <= ctrl->subsys->max_nsid; nsid++)
		if (ctrl->subsys->ns[nsid] && ns_visible(ctrl->subsys->ns[nsid], ctrl->hostnqn))
			bit_set(ctrl->visible, nsid);
}

static void ctrl_free(struct ctrl *ctrl)
{
	listener_put(ctrl->listener);
	pthread_mutex_destroy(&ctrl->lock);
	free(ctrl);
}

uint16_t ctrl_create(struct subsys *subsys, struct queue *queue, const char *hostnqn,
		     const uint8_t hostid[16], uint16_t cntlid, uint32_t kato_ms, struct ctrl **out)
{
	struct ctrl *ctrl;

	/* The dynamic controller model (Base 3.1.1): the host may not choose. */
	if (cntlid != NVMF_CNTLID_DYNAMIC)
		return NVME_SC_CONNECT_INVALID_PARAM | NVME_STATUS_DNR;
	ctrl = calloc(1, sizeof(*ctrl));
	if (!ctrl)
		return NVME_SC_CONNECT_CTRL_BUSY;
	ctrl->subsys = subsys;
	ctrl->listener = queue->listener;
	listener_get(ctrl->listener);
	ctrl->worker = queue->worker;
	ctrl->admin = queue;
	ctrl->refs = 1;
	ctrl->created_ns = queue->worker->loop.now_ns;
	ctrl->max_transfer = subsys->config ? subsys->config->max_transfer : MAX_TRANSFER;
	ctrl_set_kato(ctrl, !kato_ms && subsys->discovery ? KATO_DEFAULT_DISCOVERY_MS : kato_ms);
	memcpy(ctrl->hostid, hostid, sizeof(ctrl->hostid));
	strncpy(ctrl->hostnqn, hostnqn, sizeof(ctrl->hostnqn) - 1);
	list_init(&ctrl->queues);
	list_init(&ctrl->subsys_link);
	pthread_mutex_init(&ctrl->lock, NULL);
	timer_init(&ctrl->kato_timer, kato_expired);
	ctrl_see_namespaces(ctrl);
	features_init(ctrl);

	pthread_mutex_lock(&subsys->lock);
	if (!subsys_new_cntlid(subsys, &ctrl->cntlid)) {
		pthread_mutex_unlock(&subsys->lock);
		ctrl_free(ctrl);
		return NVME_SC_CONNECT_CTRL_BUSY;
	}
	ctrl->host = stats_host_get(subsys, ctrl->hostnqn);
	list_add_tail(&subsys->ctrls, &ctrl->subsys_link);
	list_add_tail(&ctrl->queues, &queue->ctrl_link);
	pthread_mutex_unlock(&subsys->lock);
	ctrl_keep_alive(ctrl);
	TRACE_CTRL(ctrl_created, ctrl);
	*out = ctrl;
	return 0;
}

/* Connect's fields, for the "invalid parameter" answer: attributes 1 is the data, 0 the command. */
static uint16_t attach_fault(unsigned offset, bool in_data, uint16_t *ipo, uint8_t *iattr)
{
	*ipo = (uint16_t)offset;
	*iattr = in_data;
	return NVME_SC_CONNECT_INVALID_PARAM | NVME_STATUS_DNR;
}

static uint16_t ctrl_admit(struct ctrl *ctrl, struct queue *queue, uint16_t qid,
			   const char *hostnqn, const uint8_t hostid[16], uint16_t *ipo,
			   uint8_t *iattr)
{
	uint16_t status = 0;

	if (strcmp(ctrl->hostnqn, hostnqn))
		return attach_fault(offsetof(struct nvmf_connect_data, hostnqn), true, ipo, iattr);
	if (memcmp(ctrl->hostid, hostid, sizeof(ctrl->hostid)))
		return attach_fault(offsetof(struct nvmf_connect_data, hostid), true, ipo, iattr);
	pthread_mutex_lock(&ctrl->lock);
	if (!ctrl_is_live(ctrl)) {
		/* Not enabled, or on its way out: the host may try again after a reset. */
		status = NVME_SC_CONNECT_CTRL_BUSY;
	} else if (qid > ctrl->subsys->config->max_io_queues) {
		status = attach_fault(offsetof(struct nvmf_connect_cmd, qid), false, ipo, iattr);
	} else if (bit_test(ctrl->qids, qid)) {
		/* Not for good: maybe its connection has died, and only the host knows that yet. */
		status = NVME_SC_COMMAND_SEQUENCE;
	} else {
		bit_set(ctrl->qids, qid);
		queue->qid = qid;
		ctrl->refs++;
		ctrl->io_refs++;
		list_add_tail(&ctrl->queues, &queue->ctrl_link);
	}
	pthread_mutex_unlock(&ctrl->lock);
	return status;
}

uint16_t ctrl_attach_queue(struct subsys *subsys, struct queue *queue, uint16_t qid,
			   uint16_t cntlid, const char *hostnqn, const uint8_t hostid[16],
			   struct ctrl **out, uint16_t *ipo, uint8_t *iattr)
{
	struct ctrl *ctrl;
	uint16_t status;

	pthread_mutex_lock(&subsys->lock);
	ctrl = subsys_ctrl(subsys, cntlid);
	if (!ctrl || subsys->discovery)
		status = attach_fault(offsetof(struct nvmf_connect_data, cntlid), true, ipo, iattr);
	else
		status = ctrl_admit(ctrl, queue, qid, hostnqn, hostid, ipo, iattr);
	pthread_mutex_unlock(&subsys->lock);
	if (!status)
		*out = ctrl;
	return status;
}

static bool ctrl_is_of(const struct ctrl *ctrl, const char *hostnqn, const uint8_t hostid[16])
{
	return !strcmp(ctrl->hostnqn, hostnqn) &&
	       !memcmp(ctrl->hostid, hostid, sizeof(ctrl->hostid));
}

/* Is there an I/O queue whose last command has not ended? */
static bool ctrl_has_io(struct ctrl *ctrl)
{
	bool has;

	pthread_mutex_lock(&ctrl->lock);
	has = ctrl->io_refs;
	pthread_mutex_unlock(&ctrl->lock);
	return has;
}

/* ------------------------------------------------------------------------------------------ ending */

/* Under ctrl->lock. */
static void qid_give_back(struct ctrl *ctrl, struct queue *queue)
{
	if (!queue->qid_given_back)
		bit_clear(ctrl->qids, queue->qid);
	queue->qid_given_back = true;
}

/* Asks all queues but the admin queue, or with @admin all of them, to close. */
static void ctrl_close_queues(struct ctrl *ctrl, enum queue_close why, bool admin)
{
	pthread_mutex_lock(&ctrl->lock);
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link) {
		if (queue->qid)
			qid_give_back(ctrl, queue);
		if (queue->qid || admin)
			queue_close_post(queue, why);
	}
	pthread_mutex_unlock(&ctrl->lock);
}

/* Is all answered? Then its queues, but for @queue, look whether they may end. Under ctrl->lock. */
static bool all_answered(struct ctrl *ctrl, const struct queue *queue, bool news)
{
	list_for_each(one, &ctrl->queues, struct queue, ctrl_link)
		if (!one->answered)
			return false;
	list_for_each(one, &ctrl->queues, struct queue, ctrl_link)
		if (news && one != queue)
			queue_close_post(one, QUEUE_CLOSE_EVICTED);
	return true;
}

bool ctrl_answered(struct ctrl *ctrl, struct queue *queue)
{
	bool news, all;

	pthread_mutex_lock(&ctrl->lock);
	news = !queue->answered;
	queue->answered = true;
	all = all_answered(ctrl, queue, news);
	pthread_mutex_unlock(&ctrl->lock);
	return all;
}

void ctrl_dismiss(struct ctrl *ctrl, enum queue_close why)
{
	set_live(ctrl, false);
	ctrl_close_queues(ctrl, why, true);
}

/* "address:port" of two peers: is it the same address? */
static bool same_address(const char *a, const char *b)
{
	const char *port = strrchr(a, ':');
	size_t len = port ? (size_t)(port - a) + 1 : 0;

	return port && !strncmp(a, b, len) && !strchr(b + len, ':');
}

/*
 * Has @ctrl an I/O command that is not answered, so that it or one unread behind it may still write?
 * *@heard: has its host sent anything since @since_ns? *@commands: where nobody can tell, how many of any
 * kind ever came.
 */
static bool ctrl_io_busy(struct ctrl *ctrl, uint64_t since_ns, uint64_t *commands, bool *heard)
{
	bool busy = false;

	*commands = 0;
	*heard = false;
	pthread_mutex_lock(&ctrl->lock);
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link) {
		if (queue->ops->heard_since)
			*heard |= queue->ops->heard_since(queue, since_ns);
		else
			*commands += counter_get(&queue->stats.commands);
		busy |= queue->qid && __atomic_load_n(&queue->n_unanswered, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&ctrl->lock);
	return busy;
}

/*
 * How long a host that lives may say nothing: Keep Alive comes after half of the time-out (Base 3.9).
 * Where there is none, or a long one, Connect's own limit decides.
 */
static uint64_t silence_ns(const struct ctrl *ctrl)
{
	uint32_t kato_ms = __atomic_load_n(&ctrl->kato_ms, __ATOMIC_RELAXED);
	uint64_t ms = FORMER_SILENT_MS;

	if (kato_ms && kato_ms / 2 + FORMER_SLACK_MS < ms)
		ms = kato_ms / 2 + FORMER_SLACK_MS;
	return ms * 1000000;
}

/* Whether the host's new controller on @queue has to wait for @former. Under subsys->lock. */
static bool ctrl_holds_up(struct ctrl *former, const struct queue *queue)
{
	uint64_t now_ns = queue->worker->loop.now_ns, commands;
	bool heard, busy = ctrl_io_busy(former, queue->connect_ns + HEARD_SLACK_NS, &commands, &heard);

	if (heard || commands != former->commands_seen) {
		former->commands_seen = commands;
		former->traffic_seen_ns = now_ns;
	}
	/* If anything came since then it lives: hosts may have several controllers. */
	if (!busy || former->traffic_seen_ns > queue->connect_ns)
		return false;
	if (now_ns - queue->connect_ns >= silence_ns(former) && ctrl_is_live(former)) {
		log_peer(
			ctrl_about(former),
			"controller %u of %s: %s has connected again from %s, and has said nothing here "
			"since; closing its queues",
			former->cntlid, former->subsys->nqn, former->hostnqn, queue->peer);
		ctrl_dismiss(former, QUEUE_CLOSE_SUPERSEDED);
	}
	return true;
}

bool subsys_host_has_io(struct subsys *subsys, const struct queue *queue, const char *hostnqn,
			const uint8_t hostid[16])
{
	bool has = false;

	pthread_mutex_lock(&subsys->lock);
	list_for_each(ctrl, &subsys->leaving, struct ctrl, subsys_link)
		has |= ctrl_is_of(ctrl, hostnqn, hostid) && ctrl_has_io(ctrl);
	/* The admin queue of one that is in this list is there. */
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
		if (ctrl_is_of(ctrl, hostnqn, hostid) &&
		    same_address(ctrl->admin->peer, queue->peer))
			has |= ctrl_holds_up(ctrl, queue);
	pthread_mutex_unlock(&subsys->lock);
	return has;
}

static void csts_set(struct ctrl *ctrl, uint32_t now, uint32_t next)
{
	__atomic_store_n(&ctrl->csts, now, __ATOMIC_RELAXED);
	ctrl->csts_next = next;
}

uint32_t ctrl_csts(struct ctrl *ctrl)
{
	/* Hosts poll, so that nobody needs to tell when the last queue goes. */
	if (ctrl->csts != ctrl->csts_next && !ctrl_has_io(ctrl))
		csts_set(ctrl, ctrl->csts_next, ctrl->csts_next);
	return ctrl->csts;
}

void ctrl_enable(struct ctrl *ctrl)
{
	uint32_t csts = (ctrl->csts & ~(uint32_t)NVME_CSTS_SHST_MASK) | NVME_CSTS_RDY;

	csts_set(ctrl, csts, csts);
	set_live(ctrl, true);
}

void ctrl_refuse(struct ctrl *ctrl)
{
	csts_set(ctrl, ctrl->csts | NVME_CSTS_CFS, ctrl->csts_next | NVME_CSTS_CFS);
}

static void ctrl_disable(struct ctrl *ctrl)
{
	set_live(ctrl, false);
	ctrl_close_queues(ctrl, QUEUE_CLOSE_CTRL, false);
	async_event_abort_all(ctrl);
}

void ctrl_reset(struct ctrl *ctrl)
{
	ctrl_disable(ctrl);
	features_init(ctrl);
	csts_set(ctrl, ctrl->csts, ctrl->csts_next & ~(uint32_t)(NVME_CSTS_RDY | NVME_CSTS_CFS));
	ctrl_csts(ctrl);
}

void ctrl_shutdown(struct ctrl *ctrl)
{
	uint32_t now = ctrl->csts & ~(uint32_t)NVME_CSTS_SHST_MASK;
	uint32_t next = ctrl->csts_next & ~(uint32_t)NVME_CSTS_SHST_MASK;

	ctrl_disable(ctrl);
	csts_set(ctrl, now | NVME_CSTS_SHST_OCCURRING, next | NVME_CSTS_SHST_COMPLETE);
	ctrl_csts(ctrl);
}

void ctrl_forget_shutdown(struct ctrl *ctrl)
{
	csts_set(ctrl, ctrl->csts & ~(uint32_t)NVME_CSTS_SHST_MASK,
		 ctrl->csts_next & ~(uint32_t)NVME_CSTS_SHST_MASK);
}

void ctrl_fail(struct ctrl *ctrl, enum queue_close why)
{
	ctrl_refuse(ctrl);
	ctrl_dismiss(ctrl, why);
}

static void ctrl_refresh_view(struct ctrl *ctrl)
{
	for (uint32_t nsid = 1; nsid <= MAX_NSID; nsid++) {
		const struct ns *ns = ctrl->subsys->ns[nsid];
		bool sees = ns && ns_visible(ns, ctrl->hostnqn);

		if (sees == bit_test(ctrl->visible, nsid))
			continue;
		if (sees)
			bit_set(ctrl->visible, nsid);
		else
			bit_clear(ctrl->visible, nsid);
		ctrl_notify(ctrl, NVME_AEN_NS_ATTR, nsid);
	}
}

void subsys_refresh_views(struct subsys *subsys)
{
	pthread_mutex_lock(&subsys->lock);
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
		ctrl_refresh_view(ctrl);
	pthread_mutex_unlock(&subsys->lock);
}

void ctrl_put(struct ctrl *ctrl)
{
	bool last;

	pthread_mutex_lock(&ctrl->lock);
	last = --ctrl->refs == 0;
	pthread_mutex_unlock(&ctrl->lock);
	if (!last)
		return;
	pthread_mutex_lock(&ctrl->subsys->lock);
	list_del(&ctrl->subsys_link);
	stats_host_put(ctrl->subsys, ctrl->host, &ctrl->past);
	pthread_mutex_unlock(&ctrl->subsys->lock);
	ctrl_free(ctrl);
}

void ctrl_put_queue(struct ctrl *ctrl, struct queue *queue)
{
	pthread_mutex_lock(&ctrl->lock);
	queue_stats_move(&ctrl->past, &queue->stats);
	ctrl->io_refs -= queue->qid != 0;
	pthread_mutex_unlock(&ctrl->lock);
	ctrl_put(ctrl);
}

void ctrl_give_back_qid(struct ctrl *ctrl, struct queue *queue)
{
	pthread_mutex_lock(&ctrl->lock);
	qid_give_back(ctrl, queue);
	pthread_mutex_unlock(&ctrl->lock);
}

void ctrl_detach_queue(struct ctrl *ctrl, struct queue *queue)
{
	if (queue->qid) {
		pthread_mutex_lock(&ctrl->lock);
		qid_give_back(ctrl, queue);
		list_del(&queue->ctrl_link);
		queue_stats_move(&ctrl->past, &queue->stats);
		all_answered(ctrl, queue, !queue->answered); /* others may have waited for it */
		pthread_mutex_unlock(&ctrl->lock);
		return;
	}
	/*
	 * The admin queue: the controller is no more. Nobody finds it in the subsystem from here on;
	 * queues of other workers keep the memory by their references.
	 */
	TRACE_CTRL(ctrl_gone, ctrl);
	pthread_mutex_lock(&ctrl->subsys->lock);
	list_del(&ctrl->subsys_link);
	list_add_tail(&ctrl->subsys->leaving, &ctrl->subsys_link);
	pthread_mutex_unlock(&ctrl->subsys->lock);
	loop_timer_stop(&ctrl->worker->loop, &ctrl->kato_timer);
	set_live(ctrl, false);
	ctrl_close_queues(ctrl, QUEUE_CLOSE_CTRL, false);
	pthread_mutex_lock(&ctrl->lock);
	list_del(&queue->ctrl_link);
	queue_stats_move(&ctrl->past, &queue->stats);
	ctrl->admin = NULL;
	pthread_mutex_unlock(&ctrl->lock);
	async_event_abort_all(ctrl);
}

/* ----------------------------------------------------------------------------------------- the log */

/* Fabrics commands have FCTYPE where others have NSID. */
static le32_t error_nsid(const struct cmd *cmd)
{
	if (cmd->sqe.opcode == NVME_OPCODE_FABRICS)
		return le32(0);
	return cmd->error_nsid ? le32(cmd->error_nsid) : cmd->sqe.nsid;
}

void ctrl_log_error(struct ctrl *ctrl, const struct cmd *cmd, uint16_t status)
{
	const struct nvme_sqe *sqe = &cmd->sqe;
	struct nvme_error_log_entry *entry;

	pthread_mutex_lock(&ctrl->lock);
	entry = &ctrl->errors[ctrl->error_head];
	ctrl->error_head = (ctrl->error_head + 1) % MAX_ERROR_LOG;
	ctrl->error_len = MIN(ctrl->error_len + 1, (unsigned)MAX_ERROR_LOG);
	*entry = (struct nvme_error_log_entry){
		.error_count = le64(++ctrl->error_count),
		.sqid = le16(cmd->queue->qid),
		.cid = sqe->cid,
		.status = le16((uint16_t)(status << 1)),
		.location = le16(cmd->location),
		.lba = le64(cmd->error_lba),
		.nsid = error_nsid(cmd),
		.trtype = cmd->queue->ops->trtype,
		.opcode = sqe->opcode,
		.version = 1,
	};
	pthread_mutex_unlock(&ctrl->lock);
}
