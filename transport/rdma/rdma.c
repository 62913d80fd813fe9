/* SPDX-License-Identifier: BSD-3-Clause */
/* The transport's operations: workers, listeners, queues. */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/counter.h"
#include "base/log.h"

/* What the configuration asks for; written before workers run. */
static struct {
	uint32_t capsule_bytes;
	unsigned parts;
	unsigned first_area; /* of worker.receive: those of the transports before this one */
	bool wanted;
} setup = { .parts = 1 };

uint32_t rdma_capsule_bytes(void)
{
	return setup.capsule_bytes;
}

unsigned rdma_parts(void)
{
	return setup.parts;
}

uint64_t rdma_receive_offset(const struct worker *worker)
{
	return worker->receive.offset + setup.first_area * worker->receive.bytes;
}

/* ---------------------------------------------------------------------------------- configuration */

static bool is_rdma(const struct config_listener *listener)
{
	return !strcmp(listener->transport, rdma_transport.name);
}

static unsigned rdma_receive_areas(const struct config *config)
{
	for (unsigned i = 0; i < config->n_listeners; i++)
		if (is_rdma(&config->listeners[i]))
			return 1;
	return 0;
}

static unsigned count_devices(void)
{
	int n = 0;
	struct ibv_device **all = ibv_get_device_list(&n);

	if (all)
		ibv_free_device_list(all);
	n = MAX(n, 1);
	return (unsigned)MIN(n, (int)RDMA_DEVICES);
}

/*
 * Regions of ordinary pages are registered when privileges are dropped, and count against the limit from
 * which root is exempt until then. Their size is bounded by the configuration.
 */
static void raise_memlock_limit(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limit;

	if (!setrlimit(RLIMIT_MEMLOCK, &unlimited) || getrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

static void rdma_receive_open(const struct config *config)
{
	uint32_t most = 0;

	setup.wanted = rdma_receive_areas(config);
	if (!setup.wanted)
		return;
	raise_memlock_limit();
	/* What belongs to a device that was unplugged can be given back: the library refuses by itself. */
	setenv("RDMAV_ALLOW_DISASSOC_DESTROY", "1", 0);
	for (unsigned i = 0; i < config->n_listeners; i++)
		if (is_rdma(&config->listeners[i]))
			most = MAX(most, config->listeners[i].in_capsule);
	setup.capsule_bytes = (uint32_t)align_up(most, HOST_PAGE_SIZE);
	setup.parts = count_devices();
	for (unsigned t = 0; transports[t] != &rdma_transport; t++)
		setup.first_area += transports[t]->receive_areas(config);
}

struct datapath_fact rdma_no_device(void)
{
	return (struct datapath_fact){ false, "no RDMA device is there yet" };
}

/* Devices are opened by workers, which do not run yet: listener_facts() tells what they can do. */
static void rdma_facts(const struct config_listener *config, struct datapath_facts *facts)
{
	(void)config;
	facts->rdma = true;
	facts->rdma_dmabuf = rdma_no_device();
}

/* ----------------------------------------------------------------------------------------- workers */

static int rdma_worker_init(struct worker *worker)
{
	struct rdma_worker *rdma = calloc(1, sizeof(*rdma));

	if (!rdma)
		return -ENOMEM;
	rdma->worker = worker;
	list_init(&rdma->devices);
	list_init(&rdma->dirty);
	worker->transport_state[RDMA_TRANSPORT] = rdma;
	return 0;
}

static void rdma_worker_fini(struct worker *worker)
{
	struct rdma_worker *rdma = rdma_of(worker);

	list_for_each_safe(device, &rdma->devices, struct rdma_device, link)
		device_close(device);
	cm_close(rdma);
	free(rdma);
}

static uint64_t rdma_worker_bytes(void)
{
	uint64_t entries = RDMA_RECEIVES_MAX * (RDMA_ENTRY_BYTES + sizeof(struct rdma_receive)) +
			   (RDMA_RECEIVES_MAX + RDMA_CQ_SPARE) * (uint64_t)RDMA_ENTRY_BYTES;

	/* Each device has its own. */
	return sizeof(struct rdma_worker) +
	       (setup.wanted ? setup.parts * (sizeof(struct rdma_device) + entries) : 0);
}

static uint64_t rdma_connection_bytes(unsigned depth)
{
	return setup.wanted ? heap_bytes(sizeof(struct rdma_queue)) +
				      queue_slots_bytes(depth, sizeof(struct rdma_cmd)) +
				      depth * 2ull * 2 * RDMA_ENTRY_BYTES :
			      0;
}

static bool rdma_poll(struct worker *worker, bool arm)
{
	struct rdma_worker *rdma = rdma_of(worker);
	bool any = false;

	list_for_each_safe(device, &rdma->devices, struct rdma_device, link)
		any |= device_poll(device, arm);
	return any;
}

static void rdma_flush(struct worker *worker)
{
	struct rdma_worker *rdma = rdma_of(worker);
	struct list *node;

	while ((node = list_pop(&rdma->dirty)))
		rdma_queue_turn(list_entry(node, struct rdma_queue, dirty_link));
	list_for_each_safe(device, &rdma->devices, struct rdma_device, link)
		device_replenish(device);
}

static void rdma_drain(struct worker *worker)
{
	struct rdma_worker *rdma = rdma_of(worker);

	rdma->draining = true;
	list_for_each(device, &rdma->devices, struct rdma_device, link)
		list_for_each_safe(rq, &device->queues, struct rdma_queue, link)
			rdma_queue_drain(rq);
}

static void rdma_kill(struct worker *worker)
{
	list_for_each(device, &rdma_of(worker)->devices, struct rdma_device, link)
		list_for_each_safe(rq, &device->queues, struct rdma_queue, link)
			rdma_queue_dead(rq);
}

/* ------------------------------------------------------------------------------------------ queues */

static uint16_t rdma_connecting(const struct queue *queue, uint16_t qid, unsigned depth)
{
	const struct rdma_queue *rq = container_of(queue, struct rdma_queue, queue);

	if (qid != rq->wants.qid)
		return offsetof(struct nvmf_connect_cmd, qid);
	return depth > rq->wants.depth ? offsetof(struct nvmf_connect_cmd, sqsize) : 0;
}

static void rdma_connected(struct queue *queue)
{
	struct rdma_queue *rq = rdma_queue_of(queue);

	if (rq->state == RDMA_QUEUE_OPEN)
		loop_timer_stop(rdma_queue_loop(rq), &rq->timer);
	rdma_queue_watch(rq);
}

static void rdma_resume_queue(struct queue *queue)
{
	rdma_resume(rdma_queue_of(queue));
}

static void rdma_close(struct queue *queue, enum queue_close why)
{
	struct rdma_queue *rq = rdma_queue_of(queue);

	log_debug_about(queue_about(queue), "%s: closing queue %u: %s", queue->peer, queue->qid,
			queue_close_name(why));
	if (queue_close_is_orderly(why))
		rdma_queue_drain(rq);
	else
		rdma_queue_dead(rq);
}

static void put_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static void rdma_describe(const struct queue *queue, struct json_object *object)
{
	const struct rdma_queue *rq = container_of(queue, struct rdma_queue, queue);

	json_object_object_add(object, "device", json_object_new_string(rq->device->name));
	json_object_object_add(
		object, "memory",
		json_object_new_string(rq->device->region.dmabuf ? "dmabuf" : "pages"));
	put_number(object, "reads_outstanding", rq->reads);
	put_number(object, "reads_max", rq->reads_max);
	put_number(object, "commands_waiting", rq->n_backlog);
}

const struct transport_ops rdma_transport = {
	.name = "rdma",
	.trtype = NVMF_TRTYPE_RDMA,
	.cmd_size = sizeof(struct rdma_cmd),
	.sgls = NVME_SGLS_KEYED | NVME_SGLS_OFFSET,
	.msdbd = SGL_DESCRIPTORS,
	.receive_areas = rdma_receive_areas,
	.receive_open = rdma_receive_open,
	.receive_describe = device_describe_all,
	.facts = rdma_facts,
	.worker_init = rdma_worker_init,
	.worker_fini = rdma_worker_fini,
	.poll = rdma_poll,
	.worker_bytes = rdma_worker_bytes,
	.connection_bytes = rdma_connection_bytes,
	.listen = cm_listen,
	.unlisten = cm_unlisten,
	.connecting = rdma_connecting,
	.connected = rdma_connected,
	.fetch = rdma_fetch,
	.may_wait = rdma_may_wait,
	.take_back = rdma_take_back,
	.respond = rdma_respond,
	.resume = rdma_resume_queue,
	.close = rdma_close,
	.idle = rdma_queue_free,
	.flush = rdma_flush,
	.drain = rdma_drain,
	.kill = rdma_kill,
	.describe = rdma_describe,
};
