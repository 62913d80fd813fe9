/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/trace.h"
#include "target/cmd.h"
#include "target/listener.h"
#include "target/queue.h"

struct worker *workers;
unsigned n_workers;

/* Places among the loop's areas. */
enum { SLOT_DATA, SLOT_BOUNCE };

static bool worker_poll(struct loop *loop, bool arm)
{
	struct worker *worker = container_of(loop, struct worker, loop);
	bool any = false;

	for (unsigned i = 0; transports[i]; i++)
		any |= transports[i]->poll && transports[i]->poll(worker, arm);
	return any;
}

static void worker_after_batch(struct loop *loop)
{
	struct worker *worker = container_of(loop, struct worker, loop);

	worker_poll(loop, false);

	/* Again while the one makes work for the other: nothing may wait for an event that is not to come. */
	do {
		cmd_serve_waiters(worker);
		queue_serve_waiters(worker);
		for (unsigned i = 0; transports[i]; i++)
			transports[i]->flush(worker);
	} while (!list_empty(&worker->queues_waiting) ||
		 (worker->memory_freed &&
		  (!list_empty(&worker->queues_hungry) || !list_empty(&worker->urgent_waiters) ||
		   !list_empty(&worker->urgent_full))));
}

/* Only memory that direct I/O cannot pin may have to be copied on its way. */
static int worker_init_bounce(struct worker *worker)
{
	int rc;

	if (worker->area.faces & AREA_FACE_FIXED)
		return 0;
	rc = bounce_init(&worker->bounce, &worker->loop, SLOT_BOUNCE);
	if (rc) {
		log_error("worker %u: cannot get bounce buffers: %s", worker->index,
			  worker->bounce.area.why_not);
		return rc;
	}
	worker->memory.bounce = &worker->bounce;
	return 0;
}

static int worker_init_memory(struct worker *worker, const struct worker_options *options)
{
	char name[sizeof(worker->area.name)];
	struct area_spec spec = {
		.name = name,
		.size = options->memory_bytes + options->receive_areas * options->receive_bytes,
		.heap = options->memory_heap,
		.import_socket = options->memory_import_socket,
		.needs = AREA_FACE_CPU,
	};
	int rc;

	snprintf(name, sizeof(name), "worker %u", worker->index);
	rc = area_create(&worker->area, options->memory_provider, &spec);
	if (rc) {
		log_error("worker %u: cannot get %llu MiB of data buffers: %s", worker->index,
			  (unsigned long long)(spec.size >> 20), worker->area.why_not);
		return rc;
	}
	worker->receive = (struct worker_receive){
		.offset = options->memory_bytes,
		.bytes = options->receive_bytes,
		.n = options->receive_areas,
	};
	worker->headers = (struct span){ &worker->area, options->memory_bytes - WORKER_HEADERS,
					 WORKER_HEADERS };
	rc = pool_init(&worker->pool, &worker->area, 0, worker->headers.offset);
	if (rc) {
		log_error("worker %u: cannot get memory for the table of data buffers",
			  worker->index);
		area_destroy(&worker->area);
		return rc;
	}
	/* A refusal costs a rung, which `sluicectl datapath` explains, not the start. */
	if (area_register_fixed(&worker->area, &worker->loop, SLOT_DATA))
		log_write(worker->area.faces & AREA_FACE_FIXED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
			  "worker %u: no fixed buffers: %s", worker->index, worker->area.why_not);
	worker->memory.areas[SLOT_DATA] = &worker->area;
	worker->memory.pool = &worker->pool;
	worker->memory.namespaces = options->namespaces;
	rc = worker_init_bounce(worker);
	if (rc) {
		area_unregister_fixed(&worker->area, &worker->loop);
		pool_fini(&worker->pool);
		area_destroy(&worker->area);
	}
	return rc;
}

static void transports_fini(struct worker *worker, unsigned n)
{
	while (n--)
		transports[n]->worker_fini(worker);
}

int worker_init(struct worker *worker, const struct worker_options *options)
{
	struct loop_options loop_options = {
		.sq_entries = LOOP_SQ_ENTRIES,
		.cq_entries = LOOP_CQ_ENTRIES,
		.fixed_files = options->backends,
		.spin_us = options->spin_us,
		.big_cqes = options->receive_areas,
		.after_batch = worker_after_batch,
		.poll = worker_poll,
	};
	int rc;

	*worker = (struct worker){
		.index = options->index,
		.cpu = options->cpu,
		.backends = options->backends,
		.begin = options->begin,
	};
	list_init(&worker->queues_hungry);
	list_init(&worker->urgent_waiters);
	list_init(&worker->urgent_full);
	list_init(&worker->queues_waiting);
	list_init(&worker->queues);
	rc = loop_init(&worker->loop, &loop_options);
	if (rc) {
		log_error("worker %u: cannot create an io_uring ring: %s%s", worker->index,
			  strerror(-rc),
			  rc == -EPERM	? "; is sysctl kernel.io_uring_disabled set?" :
			  rc == -ENOSYS ? "; the kernel is built without io_uring" :
			  rc == -EINVAL ? "; Linux 6.1 or later is needed" :
			  rc == -EMFILE ? "; raise RLIMIT_NOFILE (systemd: LimitNOFILE=)" :
			  rc == -ENOMEM ? "; raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=)" :
					  "");
		return rc;
	}
	worker->capsule_bytes = calloc(options->backends, sizeof(*worker->capsule_bytes));
	if (!worker->capsule_bytes && options->backends) {
		log_error("worker %u: no memory", worker->index);
		rc = -ENOMEM;
		goto fail_loop;
	}
	rc = worker_init_memory(worker, options);
	if (rc)
		goto fail_capsules;
	for (unsigned i = 0; transports[i]; i++) {
		rc = transports[i]->worker_init(worker);
		if (rc) {
			log_error("worker %u: cannot set up transport %s: %s", worker->index,
				  transports[i]->name, strerror(-rc));
			transports_fini(worker, i);
			goto fail_memory;
		}
	}
	return 0;
fail_memory:
	if (worker->memory.bounce)
		bounce_fini(&worker->bounce);
	area_unregister_fixed(&worker->area, &worker->loop);
	pool_fini(&worker->pool);
	area_destroy(&worker->area);
fail_capsules:
	free(worker->capsule_bytes);
fail_loop:
	loop_fini(&worker->loop);
	return rc;
}

void worker_fini(struct worker *worker)
{
	unsigned n = 0;

	while (transports[n])
		n++;
	transports_fini(worker, n);
	/* The ring goes first: while it lives, the kernel may still hold pages of the area. */
	loop_fini(&worker->loop);
	if (worker->memory.bounce)
		bounce_fini(&worker->bounce);
	worker->area.fixed_index = AREA_NOT_FIXED; /* its table is gone with the ring */
	pool_fini(&worker->pool);
	area_destroy(&worker->area);
	free(worker->capsule_bytes);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	if (worker->cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(worker->cpu, &set);
		if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
			log_warning("worker %u: cannot bind to CPU %d", worker->index, worker->cpu);
	}
	if (worker->begin)
		worker->begin();
	TRACE(worker_start, 8@%[loop] 4@%[worker], TRACE_IN(loop, &worker->loop),
	      TRACE_AT(worker, worker->index));
	loop_run(&worker->loop);
	TRACE(worker_stop, 8@%[loop] 4@%[worker], TRACE_IN(loop, &worker->loop),
	      TRACE_AT(worker, worker->index));
	return NULL;
}

int worker_start(struct worker *worker)
{
	char name[16];
	int rc = -pthread_create(&worker->thread, NULL, worker_main, worker);

	if (rc) {
		log_error("worker %u: cannot start its thread: %s", worker->index, strerror(-rc));
		return rc;
	}
	worker->started = true;
	snprintf(name, sizeof(name), "sluice-%u", worker->index);
	pthread_setname_np(worker->thread, name);
	return 0;
}

void worker_stop(struct worker *worker)
{
	if (!worker->started)
		return;
	loop_stop(&worker->loop);
	pthread_join(worker->thread, NULL);
	worker->started = false;
}

uint64_t worker_cpu_ns(const struct worker *worker)
{
	struct timespec used;
	clockid_t clock;

	if (!worker->started || pthread_getcpuclockid(worker->thread, &clock) ||
	    clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static unsigned max_connections = MAX_CONNECTIONS;
static unsigned n_connections;

void worker_set_max_connections(unsigned max)
{
	__atomic_store_n(&max_connections, max, __ATOMIC_RELAXED);
}

struct worker *worker_accept(void)
{
	struct worker *best = &workers[0];

	if (__atomic_add_fetch(&n_connections, 1, __ATOMIC_RELAXED) >
	    __atomic_load_n(&max_connections, __ATOMIC_RELAXED)) {
		__atomic_sub_fetch(&n_connections, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	for (unsigned i = 1; i < n_workers; i++)
		if (__atomic_load_n(&workers[i].connections, __ATOMIC_RELAXED) <
		    __atomic_load_n(&best->connections, __ATOMIC_RELAXED))
			best = &workers[i];
	__atomic_add_fetch(&best->connections, 1, __ATOMIC_RELAXED);
	return best;
}

void worker_connection_move(struct worker *from, struct worker *to)
{
	__atomic_sub_fetch(&from->connections, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&to->connections, 1, __ATOMIC_RELAXED);
}

void worker_connection_put(struct worker *worker)
{
	__atomic_sub_fetch(&worker->connections, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&n_connections, 1, __ATOMIC_RELAXED);
}
