/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous events (Base 5.1.2). A notice is sent once and then masked until the host has read
 * the log page that it points to; what changes in between is found in that page. So at most one
 * event of each notice waits, and the queue of events cannot overflow.
 */
#include <assert.h>
#include <string.h>

#include "target/admin.h"
#include "target/ctrl.h"
#include "target/worker.h"

/* What each notice bit of feature 0Bh stands for on the wire. */
static const struct notice {
	uint32_t bit; /* enum nvme_aen_mask */
	struct aen aen;
} notices[] = {
	{ NVME_AEN_NS_ATTR, { NVME_AEN_NOTICE, NVME_NOTICE_NS_CHANGED, NVME_LOG_CHANGED_NS } },
	{ NVME_AEN_ANA, { NVME_AEN_NOTICE, NVME_NOTICE_ANA_CHANGED, NVME_LOG_ANA } },
	{ NVME_AEN_DISCOVERY,
	  { NVME_AEN_NOTICE, NVME_NOTICE_DISCOVERY_CHANGED, NVME_LOG_DISCOVERY } },
};
_Static_assert(ARRAY_SIZE(notices) <= MAX_AEN_QUEUED, "one event of each notice fits");

uint32_t async_event_supported(const struct ctrl *ctrl)
{
	return ctrl_is_discovery(ctrl) ? NVME_AEN_DISCOVERY : NVME_AEN_NS_ATTR | NVME_AEN_ANA;
}

static const struct notice *notice_of_page(uint8_t page)
{
	for (unsigned i = 0; i < ARRAY_SIZE(notices); i++)
		if (notices[i].aen.page == page)
			return &notices[i];
	return NULL;
}

/* ------------------------------------------------------------------------------------ requests */

static void requests_drop(struct ctrl *ctrl, unsigned i)
{
	ctrl->n_aer--;
	memmove(&ctrl->aer[i], &ctrl->aer[i + 1], (ctrl->n_aer - i) * sizeof(ctrl->aer[0]));
}

static void events_drop(struct ctrl *ctrl, unsigned i)
{
	ctrl->n_aen--;
	memmove(&ctrl->aen[i], &ctrl->aen[i + 1], (ctrl->n_aen - i) * sizeof(ctrl->aen[0]));
}

/* Answers requests with events, oldest first, while there are both. */
static void events_send(struct ctrl *ctrl)
{
	while (ctrl->n_aer && ctrl->n_aen) {
		struct cmd *cmd = ctrl->aer[0];
		struct aen aen = ctrl->aen[0];

		events_drop(ctrl, 0);
		requests_drop(ctrl, 0);
		cmd->cqe.dw0 = le32(aen.type | (uint32_t)aen.info << 8 | (uint32_t)aen.page << 16);
		cmd_complete(cmd, NVME_SC_SUCCESS);
	}
}

static void async_event_execute(struct cmd *cmd)
{
	struct ctrl *ctrl = cmd->queue->ctrl;

	assert(ctrl->n_aer < MAX_AER);
	ctrl->aer[ctrl->n_aer++] = cmd;
	events_send(ctrl);
}

uint16_t async_event_parse(struct cmd *cmd)
{
	if (cmd->queue->ctrl->n_aer == MAX_AER)
		return NVME_SC_AER_LIMIT | NVME_STATUS_DNR;
	return cmd_need(cmd, CMD_DATA_NONE, 0, async_event_execute);
}

bool async_event_remove(struct ctrl *ctrl, struct cmd *cmd)
{
	for (unsigned i = 0; i < ctrl->n_aer; i++) {
		if (ctrl->aer[i] == cmd) {
			requests_drop(ctrl, i);
			return true;
		}
	}
	return false;
}

void async_event_abort_all(struct ctrl *ctrl)
{
	while (ctrl->n_aer) {
		struct cmd *cmd = ctrl->aer[0];

		requests_drop(ctrl, 0);
		cmd_complete(cmd, NVME_SC_ABORTED_SQ_DELETION);
	}
	ctrl->n_aen = 0;
	ctrl->aen_masked = 0;
}

/* -------------------------------------------------------------------------------------- events */

static void event_raise(struct ctrl *ctrl, const struct notice *notice)
{
	if (!(ctrl->aen_enabled & notice->bit) || (ctrl->aen_masked & notice->bit))
		return;
	ctrl->aen_masked |= notice->bit;
	ctrl->aen[ctrl->n_aen++] = notice->aen;
}

void async_event_cleared(struct ctrl *ctrl, uint8_t page)
{
	const struct notice *notice = notice_of_page(page);

	if (!notice)
		return;
	ctrl->aen_masked &= ~notice->bit;
	/* The host has seen already what an event that still waits would tell. */
	for (unsigned i = 0; i < ctrl->n_aen; i++) {
		if (ctrl->aen[i].page == page) {
			events_drop(ctrl, i);
			break;
		}
	}
}

void async_event_enable(struct ctrl *ctrl, uint32_t mask)
{
	ctrl->aen_enabled = mask;
	for (unsigned i = 0; i < ARRAY_SIZE(notices); i++)
		if (!(mask & notices[i].bit))
			async_event_cleared(ctrl, notices[i].aen.page);
}

/* On the admin worker: what other threads noted since the message was posted. */
static void events_deliver(struct msg *msg)
{
	struct ctrl *ctrl = container_of(msg, struct ctrl, event_msg);
	uint64_t ns[ARRAY_SIZE(ctrl->pending_ns)];
	uint32_t pending;

	pthread_mutex_lock(&ctrl->lock);
	ctrl->event_posted = false;
	pending = ctrl->pending_notices;
	ctrl->pending_notices = 0;
	memcpy(ns, ctrl->pending_ns, sizeof(ns));
	memset(ctrl->pending_ns, 0, sizeof(ctrl->pending_ns));
	pthread_mutex_unlock(&ctrl->lock);

	for (unsigned i = 0; i < ARRAY_SIZE(ns); i++)
		ctrl->changed_ns[i] |= ns[i];
	if (pending & NVME_AEN_ANA)
		ctrl->ana_chgcnt++;
	for (unsigned i = 0; i < ARRAY_SIZE(notices); i++)
		if (pending & notices[i].bit)
			event_raise(ctrl, &notices[i]);
	events_send(ctrl);
	ctrl_put(ctrl);
}

void ctrl_notify(struct ctrl *ctrl, uint32_t notice, uint32_t nsid)
{
	bool post;

	assert(nsid <= MAX_NSID);
	pthread_mutex_lock(&ctrl->lock);
	ctrl->pending_notices |= notice;
	if (nsid)
		ctrl->pending_ns[nsid / 64] |= 1ull << (nsid % 64);
	post = !ctrl->event_posted;
	ctrl->event_posted = true;
	if (post) {
		ctrl->refs++; /* the message's; events_deliver() gives it back */
		ctrl->event_msg.deliver = events_deliver;
	}
	pthread_mutex_unlock(&ctrl->lock);
	if (post)
		loop_post(&ctrl->worker->loop, &ctrl->event_msg);
}

void subsys_notify(struct subsys *subsys, uint32_t notice, uint32_t nsid)
{
	pthread_mutex_lock(&subsys->lock);
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
		if (!nsid || ctrl_sees(ctrl, nsid))
			ctrl_notify(ctrl, notice, nsid);
	pthread_mutex_unlock(&subsys->lock);
}
