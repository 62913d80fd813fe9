/* SPDX-License-Identifier: BSD-3-Clause */
/* One per core: a loop, the data buffers, the connections that live on it. */
#ifndef SLUICE_TARGET_WORKER_H
#define SLUICE_TARGET_WORKER_H

#include <pthread.h>

#include "base/limits.h"
#include "base/loop.h"
#include "dmabuf/pool.h"
#include "target/backend/backend.h"
#include "target/backend/bounce.h"

struct config;
struct cmd;
struct queue;

/* Counters of base/counter.h. */
struct worker_stats {
	uint64_t memory_waits; /* commands that had to wait for a data buffer */
	uint64_t host_timeouts; /* connections that ended because their host did not go on */
};

/* Where NICs place what they receive: @n parts of @bytes each, one behind the other. */
struct worker_receive {
	uint64_t offset;
	uint64_t bytes;
	unsigned n;
};

struct worker {
	unsigned index;
	int cpu; /* -1: not pinned */
	struct loop loop;
	struct area area;
	struct pool pool;    /* of the area, from its begin to what is next */
	struct span headers; /* WORKER_HEADERS bytes: for what a transport sends along with payload */
	struct worker_receive receive; /* the rest of the area */
	struct bounce bounce; /* where memory.bounce is set */
	struct backend_memory memory; /* of these */
	bool memory_freed;          /* since waiters were last served */
	struct list urgent_waiters; /* cmd.wait_link: served before all others */
	struct list urgent_full;    /* cmd.wait_link: of namespaces that have their share */
	unsigned backends;          /* that there is room for */
	uint64_t *capsule_bytes;    /* by ns.index: of the pool, for data that came in capsules */
	bool memory_starved;        /* one that is urgent or within its share waits: nobody overtakes it */
	struct list queues_hungry;  /* queue.hungry_link: served in turn */
	struct list queues_waiting; /* transports that wait for a slot or memory */
	unsigned connections; /* any thread: __atomic */
	void *transport_state[MAX_TRANSPORTS]; /* by transport's index in the registry */
	struct list queues; /* queue.worker_link: all that live here; this worker's thread alone */
	uint64_t queues_made;
	struct worker_stats stats;
	void (*begin)(void);
	pthread_t thread;
	bool started;
};

struct worker_options {
	unsigned index;
	int cpu;
	uint32_t spin_us;
	void (*begin)(void); /* called on its thread before the loop runs; NULL: nothing */
	const char *memory_provider;
	const char *memory_heap;          /* as in struct area_spec, as is the next */
	const char *memory_import_socket;
	uint64_t memory_bytes;
	uint64_t receive_bytes;  /* of each of receive_areas */
	unsigned receive_areas;
	unsigned namespaces; /* of the configuration, for messages */
	unsigned backends; /* that may be attached at a time: each has a fixed file */
};

/* Makes ring and memory. 0, or negative errno after the reason was logged. */
int worker_init(struct worker *worker, const struct worker_options *options);
void worker_fini(struct worker *worker);

/* Runs the loop in a thread of its own. */
int worker_start(struct worker *worker);
/* Ends the loop and waits for the thread. Its queues must be gone. */
void worker_stop(struct worker *worker);

/* CPU time that its thread has used; 0 while it does not run. Of the thread that starts and stops it. */
uint64_t worker_cpu_ns(const struct worker *worker);

/*
 * Admits a new connection: counts it for the worker with the fewest and returns that one, or NULL
 * when the process has as many as it may. Any thread.
 */
struct worker *worker_accept(void);
/* A connection that worker_accept() counted for @from is counted for @to from now on. Any thread. */
void worker_connection_move(struct worker *from, struct worker *to);
/* A connection that worker_accept() counted is closed. Any thread. */
void worker_connection_put(struct worker *worker);
/* More than that are not admitted from now on; those that are there stay. Any thread. */
void worker_set_max_connections(unsigned max);

/*
 * Stops all workers between two messages, so that the caller may change what they read without a lock.
 * 0: they stand still until workers_resume(), and everything that they did before is seen here.
 * -ETIMEDOUT: worker *@late did not come to a stop in time, and all go on. Main thread.
 */
int workers_pause(unsigned *late);
void workers_resume(void);

/* Has @worker's thread call @function, and waits for its end. The worker runs. Main thread. */
void worker_call(struct worker *worker, void (*function)(struct worker *worker, void *arg),
		 void *arg);

extern struct worker *workers; /* array of n_workers, for the life of the process */
extern unsigned n_workers;

#endif
