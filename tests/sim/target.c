/* SPDX-License-Identifier: BSD-3-Clause */
#include "target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/admin.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/worker.h"
#include "transport/tcp/tcp.h"

enum { SETTLE_STEPS = 100000 };

struct config sim_config;
bool (*sim_target_hosts)(void);

static void report(void *arg, const char *message)
{
	(void)arg;
	fprintf(stderr, "sim: %s\n", message);
}

static struct tcp_worker *tcp_of(const struct worker *worker)
{
	return worker->transport_state[0];
}

static void worker_begin(unsigned index, uint64_t memory_bytes)
{
	const struct worker_options options = {
		.index = index,
		.cpu = -1,
		.memory_provider = "anon",
		.memory_bytes = memory_bytes + WORKER_HEADERS,
		.backends = sim_config.n_namespaces,
	};
	struct worker *worker = &workers[index];

	SIM_CHECK(!worker_init(worker, &options), "worker %u does not begin", index);
}

void sim_target_memory(void (*fill)(void *at, size_t size))
{
	for (unsigned i = 0; i < n_workers; i++)
		fill(workers[i].area.base, workers[i].area.size);
}

void sim_target_start(const char *text, unsigned n, uint64_t memory_bytes)
{
	static const struct transport_ops *const registry[] = { &tcp_transport, NULL };

	SIM_CHECK(!config_parse(&sim_config, "sim.conf", text, strlen(text), report, NULL),
		  "the configuration is wrong");
	transport_register_all(registry);
	workers = sim_alloc(n * sizeof(*workers));
	for (n_workers = 0; n_workers < n; n_workers++)
		worker_begin(n_workers, memory_bytes);
	worker_set_max_connections(sim_config.daemon.max_connections);
	SIM_CHECK(!subsys_open_all(&sim_config), "the namespaces do not open");
	for (unsigned i = 0; i < n; i++)
		SIM_CHECK(!subsys_attach_all(&workers[i]), "worker %u does not attach", i);
	discovery_init(&sim_config);
	SIM_CHECK(!listener_init_all(&sim_config), "the listeners do not begin");
	listener_start_all();
	sim_target_settle(SIM_DISKS_PROMPT);
}

/* ------------------------------------------------------------------------------------- invariants */

void sim_target_describe(void)
{
	sim.verbose = true;
	for (unsigned i = 0; i < n_workers; i++) {
		const struct worker *worker = &workers[i];

		sim_say("worker %u: %" PRIu64 " of %u bytes free, %s", i, worker->pool.free_bytes,
			worker->pool.pages << POOL_MIN_SHIFT,
			worker->memory_starved ? "starved" : "not starved");
		list_for_each(queue, &worker->queues, struct queue, worker_link) {
			sim_say("  %s: queue %u, state %u of connection %u, %u busy, %" PRIu64
				" bytes of buffers, rx state %u",
				queue->peer, queue->qid, queue->state, conn_of(queue)->state,
				queue->n_busy, queue->memory_bytes, conn_of(queue)->rx.state);
			list_for_each(cmd, &queue->live, struct cmd, link)
				sim_say("    command %u: opcode %02x, state %u, %u bytes%s%s%s",
					le16_get(cmd->sqe.cid), cmd->sqe.opcode, cmd->state,
					cmd->data_len, list_empty(&cmd->wait_link) ? "" : ", waits",
					cmd->in_flight ? ", in flight" : "",
					cmd->modifying ? ", modifying" : "");
		}
	}
}

/* All memory of the pool is free, or some command's. */
static void worker_check(const struct worker *worker)
{
	uint64_t held = 0, capsules = 0;

	list_for_each(queue, &worker->queues, struct queue, worker_link) {
		unsigned busy = 0;

		held += queue->memory_bytes;
		list_for_each(cmd, &queue->live, struct cmd, link) {
			busy++;
			capsules += cmd->capsule_bytes;
			SIM_CHECK(cmd->state != CMD_FREE, "a free command is among the busy ones");
		}
		SIM_CHECK(busy == queue->n_busy, "%u commands are busy, %u are counted", busy,
			  queue->n_busy);
	}
	for (unsigned i = 0; i < n_namespaces; i++)
		capsules -= worker->capsule_bytes[i];
	SIM_CHECK(!capsules, "worker %u: the shares of capsules' data do not add up",
		  worker->index);
	SIM_CHECK(held + worker->pool.free_bytes == (uint64_t)worker->pool.pages << POOL_MIN_SHIFT,
		  "worker %u: %" PRIu64 " bytes of buffers are with commands, %" PRIu64 " are free",
		  worker->index, held, worker->pool.free_bytes);
}

static void worker_check_idle(const struct worker *worker)
{
	const struct tcp_worker *tcp = tcp_of(worker);

	worker_check(worker);
	SIM_CHECK(!worker->connections, "worker %u still counts %u connections", worker->index,
		  worker->connections);
	SIM_CHECK(list_empty(&worker->queues) && list_empty(&tcp->conns),
		  "worker %u: connections are left", worker->index);
	SIM_CHECK(worker->pool.free_bytes == (uint64_t)worker->pool.pages << POOL_MIN_SHIFT,
		  "worker %u: buffers are missing", worker->index);
	SIM_CHECK(list_empty(&worker->queues_hungry) && list_empty(&worker->urgent_waiters) &&
			  list_empty(&worker->urgent_full) && list_empty(&worker->queues_waiting),
		  "worker %u: somebody waits", worker->index);
	SIM_CHECK(!tcp->zc_sends || tcp->zc_n_free == TCP_ZC_SENDS,
		  "worker %u: zero-copy sends are missing", worker->index);
	SIM_CHECK(sim_ring_buffers(&worker->loop) == tcp->ring_have,
		  "worker %u: counts %u receive buffers in the ring, where %u are", worker->index,
		  tcp->ring_have, sim_ring_buffers(&worker->loop));
	SIM_CHECK(tcp->ring_have + tcp->n_spare == TCP_RX_BUFFERS,
		  "worker %u: %u of its receive buffers are missing", worker->index,
		  TCP_RX_BUFFERS - tcp->ring_have - tcp->n_spare);
}

void sim_target_check_idle(void)
{
	for (unsigned i = 0; i < n_workers; i++)
		worker_check_idle(&workers[i]);
	for (unsigned i = 0; i < n_subsystems; i++)
		SIM_CHECK(list_empty(&subsystems[i]->ctrls) && list_empty(&subsystems[i]->leaving),
			  "%s: controllers are left", subsystems[i]->nqn);
	for (unsigned i = 0; i < n_namespaces; i++)
		SIM_CHECK(!namespaces[i]->fenced, "namespace %u: a fence is left", i);
	SIM_CHECK(socket_count(true) <= n_listeners, "%u sockets are left", socket_count(true));
}

unsigned sim_target_connections(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_workers; i++)
		n += workers[i].connections;
	return n;
}

/* ------------------------------------------------------------------------------------------- running */

bool sim_target_turn(void)
{
	unsigned first = sim_below(n_workers);

	for (unsigned i = 0; i < n_workers; i++) {
		struct worker *worker = &workers[(first + i) % n_workers];

		if (!sim_loop_ready(&worker->loop))
			continue;
		sim_turn(&worker->loop);
		worker_check(worker);
		return true;
	}
	return false;
}

void sim_target_settle(enum sim_pace disks)
{
	bool any = true;

	sim.disks = disks;
	for (unsigned steps = 0; any; steps++) {
		any = sim_kernel_sweep();
		SIM_CHECK(steps < SETTLE_STEPS, "target and kernel keep each other busy for ever");
		while (sim_target_turn())
			any = true;
		if (sim_target_hosts)
			any |= sim_target_hosts();
	}
	sim.disks = SIM_DISKS_RANDOM;
}

/* ------------------------------------------------------------------------------------------ stopping */

struct order {
	struct msg msg;
	struct worker *worker;
};

static void order_drain(struct msg *msg)
{
	tcp_transport.drain(container_of(msg, struct order, msg)->worker);
}

static void order_kill(struct msg *msg)
{
	tcp_transport.kill(container_of(msg, struct order, msg)->worker);
}

static void workers_order(void (*deliver)(struct msg *msg))
{
	static struct order orders[MAX_WORKERS];

	for (unsigned i = 0; i < n_workers; i++) {
		orders[i] = (struct order){ { .deliver = deliver }, &workers[i] };
		loop_post(&workers[i].loop, &orders[i].msg);
	}
}

/* Runs until no connection is left, or the time that a stop leaves has passed. */
static void connections_end(enum sim_pace disks)
{
	uint64_t end_ns = sim.now_ns + sim_config.daemon.drain_ms * UINT64_C(1000000);

	for (;;) {
		uint64_t next_ns;

		sim_target_settle(disks);
		next_ns = sim_next_timer_ns();
		if (!sim_target_connections() || next_ns > end_ns)
			break;
		sim.now_ns = MAX(sim.now_ns, next_ns);
	}
	if (sim_target_connections())
		sim.now_ns = MAX(sim.now_ns, end_ns);
}

static void target_free(void)
{
	for (unsigned i = 0; i < n_workers; i++)
		subsys_detach_all(&workers[i]);
	listener_fini_all();
	for (unsigned i = 0; i < n_workers; i++)
		worker_fini(&workers[i]);
	subsys_close_all();
	free(workers);
	workers = NULL;
	n_workers = 0;
	config_free(&sim_config);
}

void sim_target_stop(void)
{
	listener_stop_all();
	sim_target_settle(SIM_DISKS_PROMPT);
	for (unsigned i = 0; i < n_listeners; i++)
		SIM_CHECK(!listener_is_open(listeners[i]), "listener %u does not close", i);
	workers_order(order_drain);
	connections_end(sim_chance(500) ? SIM_DISKS_PROMPT : SIM_DISKS_STUCK);
	if (sim_target_connections()) {
		workers_order(order_kill);
		connections_end(SIM_DISKS_PROMPT);
	}
	SIM_CHECK(!sim_target_connections(), "%u connections outlive the stop",
		  sim_target_connections());
	sim_target_check_idle();
	target_free();
}
