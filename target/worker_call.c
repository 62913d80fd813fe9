/* SPDX-License-Identifier: BSD-3-Clause */
/* The main thread has workers do something, or stand still, and waits for that. */
#include <assert.h>
#include <errno.h>
#include <time.h>

#include "target/worker.h"

/*
 * One worker's order to stand still. It is the worker's from the post on until it was delivered, which
 * may be later than the main thread waits: hence static.
 */
struct pause {
	struct msg msg;
	bool posted; /* under lock, as is all below */
	bool still;
};

static struct pause pauses[MAX_WORKERS];
static bool wanted;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void pause_deliver(struct msg *msg)
{
	struct pause *pause = container_of(msg, struct pause, msg);

	pthread_mutex_lock(&lock);
	pause->posted = false;
	pause->still = wanted;
	pthread_cond_broadcast(&changed);
	while (wanted)
		pthread_cond_wait(&changed, &lock);
	pause->still = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* The first worker that does not stand still, or n_workers. Under the lock. */
static unsigned first_moving(void)
{
	unsigned i = 0;

	while (i < n_workers && pauses[i].still)
		i++;
	return i;
}

int workers_pause(unsigned *late)
{
	struct timespec end;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += WORKER_PAUSE_TIMEOUT_MS / 1000;
	pthread_mutex_lock(&lock);
	assert(!wanted);
	wanted = true;
	for (unsigned i = 0; i < n_workers; i++) {
		/* One that was late before has its order yet. */
		if (pauses[i].posted)
			continue;
		pauses[i].posted = true;
		pauses[i].msg.deliver = pause_deliver;
		list_init(&pauses[i].msg.link);
		loop_post(&workers[i].loop, &pauses[i].msg);
	}
	do {
		*late = first_moving();
	} while (*late < n_workers &&
		 !pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &end));
	*late = first_moving();
	rc = *late < n_workers ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&lock);
	if (rc)
		workers_resume();
	return rc;
}

void workers_resume(void)
{
	pthread_mutex_lock(&lock);
	wanted = false;
	pthread_cond_broadcast(&changed);
	/* Until they have seen it: the next pause must not take one that still stands for one that obeyed. */
	for (unsigned i = 0; i < n_workers; i++)
		while (pauses[i].still)
			pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

struct call {
	struct msg msg;
	struct worker *worker;
	void (*function)(struct worker *worker, void *arg);
	void *arg;
	bool done; /* under lock */
};

static void call_deliver(struct msg *msg)
{
	struct call *call = container_of(msg, struct call, msg);

	call->function(call->worker, call->arg);
	pthread_mutex_lock(&lock);
	call->done = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void worker_call(struct worker *worker, void (*function)(struct worker *worker, void *arg),
		 void *arg)
{
	struct call call = {
		.msg.deliver = call_deliver,
		.worker = worker,
		.function = function,
		.arg = arg,
	};

	list_init(&call.msg.link);
	loop_post(&worker->loop, &call.msg);
	pthread_mutex_lock(&lock);
	while (!call.done)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}
