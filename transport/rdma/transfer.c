/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capsules in, data both ways, responses out.
 *
 *   write:  capsule -> RDMA READ into the command's buffer -> backend -> response
 *           capsule with its data -> backend, from where it was received -> response
 *   read:   capsule -> backend -> RDMA WRITE from the command's buffer and response, in one chain
 *
 * What a turn produced for a queue is handed to the device at its end, as few calls as can be. A response
 * is complete when the host has it, by which time the host may have sent the next command: that one
 * waits in the backlog for the slot.
 */
#include <assert.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/ns.h"
#include "transport/rdma/rdma.h"

/* ----------------------------------------------------------------------------------------- capsules */

static void fault(struct rdma_queue *rq, const char *what)
{
	log_peer(queue_about(&rq->queue), "%s: queue %u: %s; closing the connection",
		 rq->queue.peer, rq->wants.qid, what);
	rdma_queue_dead(rq);
}

/* Data in capsules is for I/O queues (IOCCSZ); admin queues have none. */
static uint32_t capsule_max(const struct rdma_queue *rq)
{
	return rq->wants.qid ? rq->queue.listener->config->in_capsule : 0;
}

static void begin(struct rdma_queue *rq, struct rdma_receive *receive, struct cmd *cmd)
{
	struct rdma_device *device = rq->device;
	struct rdma_cmd *rcmd = rdma_cmd_of(cmd);
	struct span header = device_header(device, receive), data = device_data(device, receive);

	memcpy(&cmd->sqe, span_ptr(&header), sizeof(cmd->sqe));
	list_init(&rcmd->link);
	cmd->sgl_status =
		sgl_parse(&cmd->sqe, data.len ? span_ptr(&data) : NULL,
			  receive->len - (uint32_t)sizeof(cmd->sqe), capsule_max(rq), &rcmd->sgl);
	cmd->sgl_len = rcmd->sgl.len;
	cmd->in_capsule = rcmd->sgl.in_capsule;
	/* The core says when nobody needs the capsule any more: rdma_take_back(). */
	cmd->lent = cmd->in_capsule;
	if (cmd->lent) {
		rcmd->receive = receive;
		device_hold(device);
	} else {
		device_return(device, receive);
	}
	cmd_begin(cmd);
}

/*
 * May one more command of the queue wait for a slot? As many as it has entries while receives abound; of
 * what is left when they do not, each queue gets a share that shrinks with it, down to a single command.
 */
static bool may_queue_up(const struct rdma_queue *rq)
{
	const struct rdma_device *device = rq->device;
	uint64_t left = device->n - device->held;

	if (rq->n_backlog >= rq->queue.depth)
		return false;
	if (left >= device->n / 2)
		return true;
	return !rq->n_backlog || (left >= device->n / 4 && rq->n_backlog < left / 4);
}

/* Its command waits for a slot. */
static void queue_up(struct rdma_queue *rq, struct rdma_receive *receive)
{
	list_add_tail(&rq->backlog, &receive->link);
	device_hold(rq->device);
	if (!rq->n_backlog++ &&
	    loop_timer_start(rdma_queue_loop(rq), &rq->patience, RDMA_PATIENCE_MS * 1000000ull))
		log_error_about(queue_about(&rq->queue), "%s: no memory for a timer",
				rq->queue.peer);
}

void rdma_received(struct rdma_queue *rq, struct rdma_receive *receive)
{
	struct cmd *cmd = NULL;

	if (receive->len < sizeof(struct nvme_sqe)) {
		device_return(rq->device, receive);
		fault(rq, "a capsule shorter than a command");
		return;
	}
	if (rq->state != RDMA_QUEUE_OPEN) { /* too late: the host sends it again elsewhere */
		device_return(rq->device, receive);
		return;
	}
	if (!rq->n_backlog)
		cmd = queue_cmd_get(&rq->queue);
	if (cmd) {
		begin(rq, receive, cmd);
	} else if (may_queue_up(rq)) {
		queue_up(rq, receive);
	} else {
		device_return(rq->device, receive);
		fault(rq,
		      rq->n_backlog < rq->queue.depth ?
			      "receives are short, and many of them wait for its responses to be "
			      "taken" :
			      "more commands than the queue has entries");
	}
}

void rdma_resume(struct rdma_queue *rq)
{
	while (rq->n_backlog) {
		struct cmd *cmd = queue_cmd_get(&rq->queue);
		struct list *node;

		if (!cmd)
			break;
		node = list_pop(&rq->backlog);
		rq->n_backlog--;
		device_let_go(rq->device);
		begin(rq, list_entry(node, struct rdma_receive, link), cmd);
		/* It moves: the time begins anew. */
		if (rq->n_backlog)
			loop_timer_start(rdma_queue_loop(rq), &rq->patience,
					 RDMA_PATIENCE_MS * 1000000ull);
	}
	if (!rq->n_backlog)
		loop_timer_stop(rdma_queue_loop(rq), &rq->patience);
}

void rdma_backlog_drop(struct rdma_queue *rq)
{
	struct list *node;

	while ((node = list_pop(&rq->backlog))) {
		device_let_go(rq->device);
		device_return(rq->device, list_entry(node, struct rdma_receive, link));
	}
	rq->n_backlog = 0;
	loop_timer_stop(rdma_queue_loop(rq), &rq->patience);
}

bool rdma_may_wait(const struct cmd *cmd)
{
	const struct rdma_device *device = rdma_queue_of(cmd->queue)->device;

	/* Hosts of other disks need some, too: a quarter is theirs. */
	return device->held <= device->n - device->n / 4;
}

/* Gives the receive back before the command ends: nothing of it is needed. */
static void capsule_done(struct cmd *cmd)
{
	cmd->lent = false;
	rdma_take_back(cmd);
}

void rdma_take_back(struct cmd *cmd)
{
	struct rdma_cmd *rcmd = rdma_cmd_of(cmd);
	struct rdma_device *device = rdma_queue_of(cmd->queue)->device;

	device_let_go(device);
	device_return(device, rcmd->receive);
	rcmd->receive = NULL;
}

/*
 * May the data stay where it was received until the backend has it? If the drive takes it from there,
 * and if enough receives are left: a drive that is stuck keeps what it was given.
 */
static bool may_stay(const struct rdma_device *device, const struct cmd *cmd,
		     const struct span *place)
{
	uint32_t align;

	if (!cmd->ns)
		return false;
	align = cmd->ns->backend->limits.mem_align;
	return !(place->offset % align) && !(place->len % align) && device->held <= device->n / 2;
}

static void fetch_capsule(struct cmd *cmd)
{
	struct rdma_cmd *rcmd = rdma_cmd_of(cmd);
	struct rdma_queue *rq = rdma_queue_of(cmd->queue);
	struct rdma_device *device = rq->device;
	struct span place = device_data(device, rcmd->receive);

	place.offset += rcmd->sgl.offset;
	place.len = cmd->data_len;
	if (may_stay(device, cmd, &place)) {
		rcmd->place = place;
		cmd->data.v = &rcmd->place;
		cmd->data.n = 1;
		stats_payload(cmd, cmd->data_len, 0);
		counter_add(&device->stats.placed_bytes, cmd->data_len);
	} else {
		spanv_write(&cmd->data, 0, span_ptr(&place), cmd->data_len);
		stats_payload(cmd, 0, cmd->data_len);
		counter_add(&device->stats.staged_bytes, cmd->data_len);
		capsule_done(cmd);
	}
	cmd_fetched(cmd, NVME_SC_SUCCESS);
}

void rdma_fetch(struct cmd *cmd)
{
	struct rdma_queue *rq = rdma_queue_of(cmd->queue);

	if (rq->state >= RDMA_QUEUE_LINGERING)
		return; /* the command goes with the queue */
	if (cmd->in_capsule) {
		fetch_capsule(cmd);
		return;
	}
	list_add_tail(&rq->fetches, &rdma_cmd_of(cmd)->link);
	rdma_queue_touch(rq);
}

void rdma_respond(struct cmd *cmd)
{
	struct rdma_queue *rq = rdma_queue_of(cmd->queue);

	list_add_tail(&rq->responses, &rdma_cmd_of(cmd)->link);
	rdma_queue_touch(rq);
}

/* ------------------------------------------------------------------------------------------ sending */

/* Work requests on their way to the device, in the worker's arrays. */
struct chain {
	struct rdma_queue *rq;
	struct ibv_send_wr *wrs;
	struct ibv_sge *sges;
	unsigned n;
};

static struct ibv_send_wr *chain_add(struct chain *chain, const struct rdma_cmd *rcmd,
				     enum rdma_work work)
{
	struct ibv_send_wr *wr = &chain->wrs[chain->n];

	*wr = (struct ibv_send_wr){
		.wr_id = (uintptr_t)rcmd | work,
		.next = wr + 1,
		.sg_list = &chain->sges[chain->n],
		.num_sge = 1,
	};
	chain->n++;
	return wr;
}

/* Hands over what is in the chain. What the device does not take, it never will: the queue is dead. */
static void chain_post(struct chain *chain)
{
	struct rdma_queue *rq = chain->rq;
	struct ibv_send_wr *bad = NULL;
	int error;

	if (!chain->n)
		return;
	chain->wrs[chain->n - 1].next = NULL;
	error = ibv_post_send(rq->qp, chain->wrs, &bad);
	chain->n = 0;
	if (!error)
		return;
	/* Of these nothing is to come back. */
	for (; bad; bad = bad->next)
		if ((bad->wr_id & RDMA_WORK_MASK) != RDMA_WORK_PART)
			rq->pending--;
	log_peer(queue_about(&rq->queue),
		 "%s: RDMA device %s takes no requests: %s; closing the connection", rq->queue.peer,
		 rq->device->name, strerror(error));
	rdma_queue_dead(rq);
}

/* Descriptors that the first @len bytes of data lie in. */
static unsigned pieces(const struct sgl *sgl, uint32_t len)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sgl->n && len; i++) {
		if (sgl->data[i].len)
			n++;
		len -= MIN(len, sgl->data[i].len);
	}
	return n;
}

/* One request for each piece of host memory; the last one completes as @last. */
static void chain_data(struct chain *chain, const struct rdma_cmd *rcmd, enum ibv_wr_opcode opcode,
		       enum rdma_work last)
{
	const struct cmd *cmd = &rcmd->cmd;
	const struct sgl *sgl = &rcmd->sgl;
	uint32_t left = cmd->data_len;
	char *memory;

	assert(cmd->data.n == 1);
	memory = span_ptr(&cmd->data.v[0]);
	for (unsigned i = 0; i < sgl->n && left; i++) {
		uint32_t len = MIN(left, sgl->data[i].len);
		struct ibv_send_wr *wr;

		if (!len)
			continue;
		left -= len;
		wr = chain_add(chain, rcmd, left ? RDMA_WORK_PART : last);
		*wr->sg_list =
			(struct ibv_sge){ (uintptr_t)memory, len, chain->rq->device->region.lkey };
		wr->opcode = opcode;
		wr->send_flags = left || last == RDMA_WORK_PART ? 0 : IBV_SEND_SIGNALED;
		wr->wr.rdma.remote_addr = sgl->data[i].addr;
		wr->wr.rdma.rkey = sgl->data[i].key;
		memory += len;
	}
}

/* Can the device invalidate a host's key along with a response? */
static bool can_invalidate(const struct rdma_device *device)
{
	return device->attr.device_cap_flags & IBV_DEVICE_MEM_MGT_EXTENSIONS;
}

static void chain_response(struct chain *chain, struct rdma_cmd *rcmd)
{
	struct cmd *cmd = &rcmd->cmd;
	struct ibv_send_wr *wr;

	if (cmd->direction == CMD_DATA_TO_HOST)
		chain_data(chain, rcmd, IBV_WR_RDMA_WRITE, RDMA_WORK_PART);
	wr = chain_add(chain, rcmd, RDMA_WORK_RESPONSE);
	*wr->sg_list = (struct ibv_sge){ .addr = (uintptr_t)&cmd->cqe, .length = sizeof(cmd->cqe) };
	wr->send_flags = IBV_SEND_SIGNALED | IBV_SEND_INLINE;
	wr->opcode = IBV_WR_SEND;
	if (rcmd->sgl.invalidate && can_invalidate(chain->rq->device)) {
		wr->opcode = IBV_WR_SEND_WITH_INV;
		wr->invalidate_rkey = rcmd->sgl.invalidate_key;
	}
}

static unsigned response_requests(const struct rdma_cmd *rcmd)
{
	return 1 + (rcmd->cmd.direction == CMD_DATA_TO_HOST ?
			    pieces(&rcmd->sgl, rcmd->cmd.data_len) :
			    0);
}

/* Room for @n requests, in the send queue and in the chain? */
static bool chain_has_room(struct chain *chain, unsigned n)
{
	if (chain->rq->sq_used + n > chain->rq->sq_entries)
		return false;
	if (chain->n + n > RDMA_CHAIN)
		chain_post(chain);
	return chain->rq->state < RDMA_QUEUE_LINGERING;
}

static void chain_sent(struct chain *chain, struct rdma_cmd *rcmd, unsigned n)
{
	list_del(&rcmd->link);
	chain->rq->sq_used += n;
	chain->rq->pending++;
}

/*
 * Responses first: what the host is asked to send may take its time, and keeps all behind it waiting
 * when there is more of it than the host takes at a time.
 */
void rdma_send(struct rdma_queue *rq)
{
	struct rdma_worker *rdma = rq->device->rdma;
	struct chain chain = { .rq = rq, .wrs = rdma->wrs, .sges = rdma->sges };

	while (!list_empty(&rq->responses)) {
		struct rdma_cmd *rcmd = list_first(&rq->responses, struct rdma_cmd, link);
		unsigned n = response_requests(rcmd);

		if (!chain_has_room(&chain, n))
			break;
		chain_response(&chain, rcmd);
		chain_sent(&chain, rcmd, n);
	}
	while (!list_empty(&rq->fetches)) {
		struct rdma_cmd *rcmd = list_first(&rq->fetches, struct rdma_cmd, link);
		unsigned n = pieces(&rcmd->sgl, rcmd->cmd.data_len);

		if ((rq->reads && rq->reads + n > rq->reads_max) || !chain_has_room(&chain, n))
			break;
		chain_data(&chain, rcmd, IBV_WR_RDMA_READ, RDMA_WORK_READ);
		chain_sent(&chain, rcmd, n);
		rq->reads += n;
	}
	if (rq->state < RDMA_QUEUE_LINGERING)
		chain_post(&chain);
}

/*
 * To write nothing takes no key, no receive and no word of the host's software, and its device acknowledges
 * it like anything else. Nothing else is out: the send queue has room.
 */
void rdma_probe(struct rdma_queue *rq)
{
	struct rdma_worker *rdma = rq->device->rdma;
	struct chain chain = { .rq = rq, .wrs = rdma->wrs, .sges = rdma->sges };
	struct ibv_send_wr *wr = chain_add(&chain, &rq->slot0, RDMA_WORK_PROBE);

	wr->opcode = IBV_WR_RDMA_WRITE;
	wr->send_flags = IBV_SEND_SIGNALED;
	wr->sg_list = NULL;
	wr->num_sge = 0;
	rq->sq_used++;
	rq->pending++;
	chain_post(&chain);
}

static void complain(const struct rdma_queue *rq, const struct rdma_cmd *rcmd, enum rdma_work work,
		     enum ibv_wc_status status)
{
	static const char *const what[] = {
		[RDMA_WORK_READ] = "RDMA READ of the host's data",
		[RDMA_WORK_RESPONSE] = "a response",
		[RDMA_WORK_PART] = "a transfer of data",
	};

	if (work == RDMA_WORK_PROBE) {
		log_peer(queue_about(&rq->queue),
			 "%s: queue %u: the host is silent, and does not answer: %s; closing the "
			 "connection",
			 rq->queue.peer, rq->wants.qid, ibv_wc_status_str(status));
		return;
	}
	log_peer(queue_about(&rq->queue),
		 "%s: queue %u, command %u: %s failed: %s; closing the connection", rq->queue.peer,
		 rq->wants.qid, le16_get(rcmd->cmd.sqe.cid), what[work], ibv_wc_status_str(status));
}

void rdma_completed(struct rdma_queue *rq, struct rdma_cmd *rcmd, enum rdma_work work,
		    const struct ibv_wc *wc)
{
	struct cmd *cmd = &rcmd->cmd;

	if (wc->status == IBV_WC_WR_FLUSH_ERR) {
		rdma_queue_broke(rq); /* if not here, the host broke it */
	} else if (wc->status != IBV_WC_SUCCESS && rq->state < RDMA_QUEUE_DEAD) {
		complain(rq, rcmd, work, wc->status);
		rdma_queue_dead(rq);
	}
	if (work == RDMA_WORK_PART)
		return;
	if (rq->pending)
		rq->pending--;
	rdma_queue_touch(rq);
	if (rq->state >= RDMA_QUEUE_DEAD)
		return; /* the command goes with the queue */
	if (work == RDMA_WORK_PROBE) {
		rq->sq_used--;
		return;
	}
	if (work == RDMA_WORK_RESPONSE) {
		rq->sq_used -= response_requests(rcmd);
		cmd_release(cmd);
		return;
	}
	rq->sq_used -= pieces(&rcmd->sgl, cmd->data_len);
	rq->reads -= pieces(&rcmd->sgl, cmd->data_len);
	stats_payload(cmd, cmd->data_len, 0);
	counter_add(&rq->device->stats.placed_bytes, cmd->data_len);
	cmd_fetched(cmd, NVME_SC_SUCCESS);
}
