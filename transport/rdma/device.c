/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An RDMA device on one worker: opened, its receives, its completions, its end. Each worker has a
 * context of its own, and with that the interrupts, doorbells and asynchronous events of its queues.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "transport/rdma/rdma.h"

_Static_assert((RDMA_QPNS & (RDMA_QPNS - 1)) == 0, "a power of two");

static struct loop *device_loop(const struct rdma_device *device)
{
	return &device->rdma->worker->loop;
}

/* The lists of devices change seldom; other threads report what is on them. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---------------------------------------------------------------------------------------- receives */

void device_hold(struct rdma_device *device)
{
	counter_add(&device->held, 1);
	counter_set(&device->held_max, MAX(device->held_max, device->held));
}

void device_let_go(struct rdma_device *device)
{
	counter_set(&device->held, device->held - 1);
}

static uint32_t receive_index(const struct rdma_device *device, const struct rdma_receive *receive)
{
	return (uint32_t)(receive - device->receives);
}

struct span device_header(const struct rdma_device *device, const struct rdma_receive *receive)
{
	return (struct span){
		.area = &device->rdma->worker->area,
		.offset = device->headers +
			  (uint64_t)receive_index(device, receive) * sizeof(struct nvme_sqe),
		.len = sizeof(struct nvme_sqe),
	};
}

struct span device_data(const struct rdma_device *device, const struct rdma_receive *receive)
{
	return (struct span){
		.area = &device->rdma->worker->area,
		.offset = device->data +
			  (uint64_t)receive_index(device, receive) * rdma_capsule_bytes(),
		.len = rdma_capsule_bytes(),
	};
}

static struct ibv_sge sge_of(const struct rdma_device *device, const struct span *span)
{
	return (struct ibv_sge){ (uintptr_t)span_ptr(span), span->len, device->region.lkey };
}

void device_return(struct rdma_device *device, struct rdma_receive *receive)
{
	list_del(&receive->link);
	list_add_tail(&device->returned, &receive->link);
}

/* Posts up to RDMA_CHAIN of them. 0 or negative errno. */
static int replenish_some(struct rdma_device *device)
{
	struct ibv_recv_wr wrs[RDMA_CHAIN], *bad;
	struct ibv_sge sges[RDMA_CHAIN][2];
	struct list *node;
	unsigned n = 0;

	while (n < RDMA_CHAIN && (node = list_pop(&device->returned))) {
		struct rdma_receive *receive = list_entry(node, struct rdma_receive, link);
		struct span header = device_header(device, receive);
		struct span data = device_data(device, receive);

		sges[n][0] = sge_of(device, &header);
		sges[n][1] = sge_of(device, &data);
		wrs[n] = (struct ibv_recv_wr){
			.wr_id = (uint64_t)receive_index(device, receive) << RDMA_WORK_BITS |
				 RDMA_WORK_RECEIVE,
			.next = &wrs[n + 1],
			.sg_list = sges[n],
			.num_sge = data.len ? 2 : 1,
		};
		n++;
	}
	wrs[n - 1].next = NULL;
	return -ibv_post_srq_recv(device->srq, wrs, &bad);
}

void device_replenish(struct rdma_device *device)
{
	while (!list_empty(&device->returned) && !device->gone)
		if (replenish_some(device))
			device_lost(device, "it takes no receives");
}

/* ------------------------------------------------------------------------------------------ events */

static void watch(struct rdma_device *device, struct op *op, int fd)
{
	struct io_uring_sqe *sqe = loop_sqe(device_loop(device));

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	loop_bind(sqe, op);
	device->ops++;
}

static void completions_came(struct op *op, int res, uint32_t flags)
{
	struct rdma_device *device = container_of(op, struct rdma_device, completion_op);
	unsigned n = 0;
	struct ibv_cq *cq;
	void *context;

	(void)res;
	(void)flags;
	device->ops--;
	while (!ibv_get_cq_event(device->channel, &cq, &context))
		n++;
	if (n)
		ibv_ack_cq_events(device->cq, n);
	/* They are polled once a turn, from here on without a word. */
	device->armed = false;
	if (device->gone)
		device_put(device);
	else
		watch(device, op, device->channel->fd);
}

static void async_event(struct rdma_device *device, const struct ibv_async_event *event)
{
	struct rdma_queue *rq;

	switch (event->event_type) {
	case IBV_EVENT_QP_LAST_WQE_REACHED:
		/* Comes for broken queue pairs only: if not here, the host broke it. */
		rq = event->element.qp->qp_context;
		rq->last_receive = true;
		rdma_queue_broke(rq);
		rdma_queue_touch(rq);
		break;
	case IBV_EVENT_COMM_EST:
		/* It receives, and the word that it is connected may be lost: the connection manager waits. */
		rq = event->element.qp->qp_context;
		rdma_notify(rq->id, IBV_EVENT_COMM_EST);
		break;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
	case IBV_EVENT_PATH_MIG_ERR:
		rq = event->element.qp->qp_context;
		log_peer(queue_about(&rq->queue), "%s: %s: %s; closing the connection",
			 rq->queue.peer, device->name, ibv_event_type_str(event->event_type));
		rdma_queue_dead(rq);
		break;
	case IBV_EVENT_CQ_ERR:
	case IBV_EVENT_SRQ_ERR:
	case IBV_EVENT_DEVICE_FATAL:
		device_lost(device, ibv_event_type_str(event->event_type));
		break;
	case IBV_EVENT_PORT_ACTIVE:
	case IBV_EVENT_PORT_ERR:
		log_info("worker %u: RDMA device %s, port %d: %s", device->rdma->worker->index,
			 device->name, event->element.port_num,
			 ibv_event_type_str(event->event_type));
		break;
	default:
		break;
	}
}

static void events_came(struct op *op, int res, uint32_t flags)
{
	struct rdma_device *device = container_of(op, struct rdma_device, async_op);
	struct ibv_async_event event;

	(void)res;
	(void)flags;
	device->ops--;
	while (!ibv_get_async_event(device->verbs, &event)) {
		async_event(device, &event);
		ibv_ack_async_event(&event);
	}
	if (device->gone)
		device_put(device);
	else
		watch(device, op, device->verbs->async_fd);
}

static void device_watch(struct rdma_device *device)
{
	device->completion_op.done = completions_came;
	device->async_op.done = events_came;
	watch(device, &device->completion_op, device->channel->fd);
	watch(device, &device->async_op, device->verbs->async_fd);
}

/* ----------------------------------------------------------------------------------------- opening */

/* As many receives as fit into the device's part of the receive area. */
static void receives_place(struct rdma_device *device)
{
	const struct worker *worker = device->rdma->worker;
	uint64_t part = worker->receive.bytes / rdma_parts() / HOST_PAGE_SIZE * HOST_PAGE_SIZE;
	uint64_t n = part / (rdma_capsule_bytes() + sizeof(struct nvme_sqe));
	uint64_t headers;

	/* Of the completions, half are for receives. */
	n = MIN(n, (uint64_t)device->attr.max_cqe / 2);
	n = MIN(n, (uint64_t)device->attr.max_srq_wr);
	n = MIN(n, (uint64_t)RDMA_RECEIVES_MAX);
	headers = align_up(n * sizeof(struct nvme_sqe), HOST_PAGE_SIZE);
	while (n && headers + n * rdma_capsule_bytes() > part)
		n--;
	device->n = (uint32_t)n;
	device->headers = rdma_receive_offset(worker) + device->part * part;
	device->data = device->headers + headers;
}

static int refuse(char *why, size_t why_size, const struct rdma_device *device, const char *what)
{
	snprintf(why, why_size, "RDMA device %s: %s", device->name, what);
	return -EOPNOTSUPP;
}

static int out_of(char *why, size_t why_size, const struct rdma_device *device, const char *what)
{
	int error = errno;

	snprintf(why, why_size, "RDMA device %s: cannot make %s: %s%s", device->name, what,
		 strerror(error),
		 error == ENOMEM ? "; raise LimitMEMLOCK= in the service unit (ulimit -l)" : "");
	return -error;
}

/* What it is to have, before anything is made on it. */
static int device_check(struct rdma_device *device, char *why, size_t why_size)
{
	if (ibv_query_device(device->verbs, &device->attr))
		return out_of(why, why_size, device, "a list of its abilities");
	/* There, answers to RDMA READs are written by the host, who would be given a key to all memory. */
	if (device->verbs->device->transport_type == IBV_TRANSPORT_IWARP)
		return refuse(why, why_size, device,
			      "iWARP is not supported; use RoCE or InfiniBand");
	if (!device->attr.max_srq || device->attr.max_srq_sge < 2)
		return refuse(why, why_size, device, "it has no shared receive queues");
	if (device->attr.max_qp_wr < SGL_DESCRIPTORS + 1)
		return refuse(why, why_size, device,
			      "its send queues are too short for the largest response");
	if (!device->attr.max_qp_init_rd_atom)
		return refuse(why, why_size, device, "it cannot read from hosts (RDMA READ)");
	receives_place(device);
	if (device->n < RDMA_RECEIVES_MIN) {
		snprintf(
			why, why_size,
			"RDMA device %s: only %u receives are possible, %d are needed; raise [memory] "
			"receive, or lower in_capsule (it has %d entries in a shared receive queue, "
			"%d in a completion queue)",
			device->name, device->n, RDMA_RECEIVES_MIN, device->attr.max_srq_wr,
			device->attr.max_cqe);
		return -ENOBUFS;
	}
	return 0;
}

/* The interrupt of its completions: workers share one when the device has fewer of them. */
static int completion_vector(const struct rdma_device *device)
{
	unsigned n = (unsigned)MAX(device->verbs->num_comp_vectors, 1);

	return (int)(device->rdma->worker->index % n);
}

static int device_make_queues(struct rdma_device *device, char *why, size_t why_size)
{
	struct ibv_srq_init_attr srq = { .attr = { .max_wr = device->n, .max_sge = 2 } };
	unsigned entries = MIN(device->n + RDMA_CQ_SPARE, (unsigned)device->attr.max_cqe);

	device->channel = ibv_create_comp_channel(device->verbs);
	if (!device->channel)
		return out_of(why, why_size, device, "a completion channel");
	device->cq = ibv_create_cq(device->verbs, (int)entries, device, device->channel,
				   completion_vector(device));
	if (!device->cq)
		return out_of(why, why_size, device, "a completion queue");
	device->srq = ibv_create_srq(device->pd, &srq);
	if (!device->srq)
		return out_of(why, why_size, device, "a shared receive queue");
	device->cq_promised = device->n;
	device->receives = calloc(device->n, sizeof(*device->receives));
	if (!device->receives) {
		errno = ENOMEM;
		return out_of(why, why_size, device, "a table of receives");
	}
	for (uint32_t i = 0; i < device->n; i++) {
		list_init(&device->receives[i].link);
		device_return(device, &device->receives[i]);
	}
	fcntl(device->channel->fd, F_SETFL, fcntl(device->channel->fd, F_GETFL) | O_NONBLOCK);
	fcntl(device->verbs->async_fd, F_SETFL,
	      fcntl(device->verbs->async_fd, F_GETFL) | O_NONBLOCK);
	return 0;
}

static int device_make_region(struct rdma_device *device, char *why, size_t why_size)
{
	char reason[LISTENER_WHY_MAX / 2] = "";
	int rc = region_open(&device->region, device->pd, &device->rdma->worker->area, reason,
			     sizeof(reason));

	if (rc) {
		snprintf(why, why_size, "RDMA device %s: %s", device->name, reason);
		return rc;
	}
	while (!list_empty(&device->returned)) {
		errno = -replenish_some(device);
		if (errno)
			return out_of(why, why_size, device, "receives");
	}
	return 0;
}

static int device_make(struct rdma_device *device, struct ibv_device *ibv, char *why,
		       size_t why_size)
{
	int rc;

	errno = 0;
	device->verbs = ibv_open_device(ibv);
	if (!device->verbs) {
		rc = errno ? -errno : -ENODEV;
		snprintf(why, why_size, "RDMA device %s: cannot open /dev/infiniband/%s: %s%s",
			 device->name, ibv->dev_name, strerror(-rc),
			 rc == -EACCES ? "; [daemon] user needs access to it" : "");
		return rc;
	}
	rc = device_check(device, why, why_size);
	if (rc)
		return rc;
	device->pd = ibv_alloc_pd(device->verbs);
	if (!device->pd)
		return out_of(why, why_size, device, "a protection domain");
	/* The region last: it pins all of the area, which takes its time, and is tried again and again. */
	rc = device_make_queues(device, why, why_size);
	return rc ? rc : device_make_region(device, why, why_size);
}

/* A part of the receive area that no device has. -1: there is none. */
static int part_take(struct rdma_worker *rdma)
{
	for (unsigned i = 0; i < rdma_parts(); i++) {
		if (rdma->parts_used >> i & 1)
			continue;
		rdma->parts_used |= 1u << i;
		return (int)i;
	}
	return -1;
}

static struct rdma_device *device_open(struct rdma_worker *rdma, struct ibv_device *ibv, char *why,
				       size_t why_size)
{
	struct rdma_device *device = calloc(1, sizeof(*device));
	int part = device ? part_take(rdma) : -1;

	if (part < 0) {
		snprintf(
			why, why_size,
			device ?
				"RDMA device %s: the receive areas are divided among the %u devices "
				"that were there at the start; start again to use this one, too" :
				"RDMA device %s: no memory (%u devices)",
			ibv_get_device_name(ibv), rdma_parts());
		free(device);
		return NULL;
	}
	device->rdma = rdma;
	device->part = (unsigned)part;
	snprintf(device->name, sizeof(device->name), "%s", ibv_get_device_name(ibv));
	list_init(&device->returned);
	list_init(&device->queues);
	list_init(&device->ending);
	for (unsigned i = 0; i < RDMA_QPNS; i++)
		list_init(&device->qpns[i]);
	list_init(&device->link);
	if (device_make(device, ibv, why, why_size)) {
		device_close(device);
		return NULL;
	}
	pthread_mutex_lock(&list_lock);
	list_add_tail(&rdma->devices, &device->link);
	pthread_mutex_unlock(&list_lock);
	device_watch(device);
	log_info("worker %u: RDMA device %s: %u receives of %u bytes, memory registered %s",
		 rdma->worker->index, device->name, device->n,
		 rdma_capsule_bytes() + (unsigned)sizeof(struct nvme_sqe),
		 device->region.dmabuf ? "as a dma-buf" : "as ordinary pages");
	return device;
}

struct rdma_device *device_get(struct rdma_worker *rdma, struct ibv_context *cm_verbs, char *why,
			       size_t why_size)
{
	list_for_each(have, &rdma->devices, struct rdma_device, link)
		if (!have->gone && !strcmp(have->name, ibv_get_device_name(cm_verbs->device)))
			return have;
	return device_open(rdma, cm_verbs->device, why, why_size);
}

/* Gives back all that there is of the device, its part of the receive area included. */
static void device_shut(struct rdma_device *device)
{
	if (device->srq)
		ibv_destroy_srq(device->srq);
	if (device->cq)
		ibv_destroy_cq(device->cq);
	if (device->channel)
		ibv_destroy_comp_channel(device->channel);
	region_close(&device->region);
	if (device->pd)
		ibv_dealloc_pd(device->pd);
	if (device->verbs)
		ibv_close_device(device->verbs);
	device->shut = device->mute = true;
	device->rdma->parts_used &= ~(1u << device->part);
}

static void device_free(struct rdma_device *device)
{
	pthread_mutex_lock(&list_lock);
	list_del(&device->link);
	pthread_mutex_unlock(&list_lock);
	free(device->receives);
	free(device);
}

void device_close(struct rdma_device *device)
{
	if (!device->shut)
		device_shut(device);
	device_free(device);
}

/* ------------------------------------------------------------------------------------- completions */

struct list *device_qpns(struct rdma_device *device, uint32_t qpn)
{
	return &device->qpns[qpn & (RDMA_QPNS - 1)];
}

static struct rdma_queue *queue_find(struct rdma_device *device, uint32_t qpn)
{
	list_for_each(rq, device_qpns(device, qpn), struct rdma_queue, qpn_link)
		if (rq->qp && rq->qp->qp_num == qpn)
			return rq;
	return NULL;
}

static void receive_done(struct rdma_device *device, const struct ibv_wc *wc)
{
	struct rdma_receive *receive = &device->receives[wc->wr_id >> RDMA_WORK_BITS];
	struct rdma_queue *rq = queue_find(device, wc->qp_num);

	const char *why = "what took the receive is no SEND"; /* and wrote nothing to it */

	if (!rq || rq->state > RDMA_QUEUE_DRAINING) {
		device_return(device, receive);
		if (rq && rq->state < RDMA_QUEUE_DEAD && wc->status != IBV_WC_SUCCESS)
			rdma_queue_broke(rq);
		return;
	}
	if (wc->status == IBV_WC_SUCCESS && wc->opcode == IBV_WC_RECV) {
		counter_add(&device->stats.receives, 1);
		receive->len = wc->byte_len;
		rdma_received(rq, receive);
		return;
	}
	if (wc->status == IBV_WC_LOC_LEN_ERR)
		why = "it is longer than IOCCSZ allows";
	else if (wc->status != IBV_WC_SUCCESS)
		why = ibv_wc_status_str(wc->status);
	device_return(device, receive);
	log_peer(queue_about(&rq->queue),
		 "%s: a capsule could not be received: %s; closing the connection", rq->queue.peer,
		 why);
	rdma_queue_dead(rq);
}

static void work_done(struct rdma_device *device, const struct ibv_wc *wc)
{
	enum rdma_work work = (enum rdma_work)(wc->wr_id & RDMA_WORK_MASK);
	struct rdma_cmd *rcmd;

	if (work == RDMA_WORK_RECEIVE) {
		receive_done(device, wc);
		return;
	}
	rcmd = (struct rdma_cmd *)(uintptr_t)(wc->wr_id & ~(uint64_t)RDMA_WORK_MASK);
	rdma_completed(rdma_queue_of(rcmd->cmd.queue), rcmd, work, wc);
}

void device_ending(struct rdma_queue *rq)
{
	rq->ending_since = rq->device->polled;
	list_add_tail(&rq->device->ending, &rq->ending_link);
}

/*
 * Queues for which all has been seen: the completion queue was @empty, or as many as it holds were taken
 * from it since.
 */
static void device_settle(struct rdma_device *device, bool empty)
{
	struct list ending = LIST_INIT(ending), *node;

	list_splice_tail(&ending, &device->ending);
	while ((node = list_pop(&ending))) {
		struct rdma_queue *rq = list_entry(node, struct rdma_queue, ending_link);

		if (empty || device->polled - rq->ending_since >= (unsigned)device->cq->cqe)
			rdma_queue_settled(rq);
		else
			list_add_tail(&device->ending, node);
	}
}

/* True when there was anything. */
static bool poll_some(struct rdma_device *device)
{
	bool ending = !list_empty(&device->ending);
	struct ibv_wc wcs[RDMA_POLL];
	int n = 0, total = 0;

	while (!device->mute && total < RDMA_POLL_TURN) {
		n = ibv_poll_cq(device->cq, RDMA_POLL, wcs);
		for (int i = 0; i < n; i++)
			work_done(device, &wcs[i]);
		if (n < 0)
			device->mute = true;
		total += MAX(n, 0);
		if (n < RDMA_POLL)
			break;
	}
	device->polled += (unsigned)total;
	if (device->mute)
		device_lost(device, "its completions cannot be read");
	if (ending)
		device_settle(device, n < RDMA_POLL);
	return total || ending;
}

bool device_poll(struct rdma_device *device, bool arm)
{
	bool any = poll_some(device);

	if (any || !arm || device->armed || device->gone)
		return any;
	if (ibv_req_notify_cq(device->cq, 0)) {
		device_lost(device, "it cannot tell of completions");
		return true;
	}
	device->armed = true;
	/* What came before it was armed wakes nobody. */
	return poll_some(device);
}

int device_promise(struct rdma_device *device, unsigned n)
{
	unsigned wanted = device->cq_promised + n;
	unsigned most = (unsigned)device->attr.max_cqe;

	if (wanted > (unsigned)device->cq->cqe) {
		if (wanted > most || ibv_resize_cq(device->cq, (int)MIN(2 * wanted, most)))
			return -ENOMEM;
		/* Whether one that was resized still is, no specification says. */
		device->armed = false;
	}
	device->cq_promised = wanted;
	return 0;
}

/* --------------------------------------------------------------------------------------------- end */

void device_lost(struct rdma_device *device, const char *why)
{
	if (device->gone)
		return;
	device->gone = true;
	log_warning("worker %u: RDMA device %s is not used any more: %s",
		    device->rdma->worker->index, device->name, why);
	list_for_each_safe(rq, &device->queues, struct rdma_queue, link)
		rdma_queue_dead(rq);
	loop_cancel(device_loop(device), &device->completion_op);
	loop_cancel(device_loop(device), &device->async_op);
}

/*
 * A backend that is stuck keeps queues for as long as it likes; another device need not wait for that,
 * but for what the backend is to take from where it was received.
 */
void device_put(struct rdma_device *device)
{
	if (!device->gone || device->ops || device->n_open)
		return;
	if (!device->shut && !device->held)
		device_shut(device);
	if (list_empty(&device->queues))
		device_close(device);
}

/* ------------------------------------------------------------------------------------------- report */

static void device_describe(const struct rdma_device *device, struct json_object *row)
{
	uint64_t placed = counter_get(&device->stats.placed_bytes);
	uint64_t staged = counter_get(&device->stats.staged_bytes);
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{ "worker", device->rdma->worker->index },
		{ "chunks", device->n },
		{ "chunk_bytes", rdma_capsule_bytes() + sizeof(struct nvme_sqe) },
		{ "chunks_held", counter_get(&device->held) },
		{ "chunks_held_max", counter_get(&device->held_max) },
		{ "fragments", counter_get(&device->stats.receives) },
		{ "bytes", placed + staged },
		{ "placed_bytes", placed },
		{ "staged_bytes", staged },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_object_add(row, numbers[i].key,
				       json_object_new_uint64(numbers[i].value));
	json_object_object_add(row, "interface", json_object_new_string(device->name));
	json_object_object_add(row, "memory",
			       json_object_new_string(device->region.dmabuf ? "dmabuf" : "pages"));
}

void device_describe_all(const struct worker *worker, struct json_object *array)
{
	const struct rdma_worker *rdma = rdma_of(worker);

	pthread_mutex_lock(&list_lock);
	list_for_each(device, &rdma->devices, struct rdma_device, link) {
		struct json_object *row = json_object_new_object();

		device_describe(device, row);
		json_object_array_add(array, row);
	}
	pthread_mutex_unlock(&list_lock);
}
