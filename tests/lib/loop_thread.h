/* SPDX-License-Identifier: BSD-3-Clause */
/* A loop that runs in a thread of its own, and calls into it that wait for their end. */
#ifndef SLUICE_TESTS_LIB_LOOP_THREAD_H
#define SLUICE_TESTS_LIB_LOOP_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

#include "base/limits.h"
#include "base/loop.h"
#include "unit.h"

struct loop_thread {
	struct loop loop;
	pthread_t thread;
};

static inline void loop_thread_init(struct loop_thread *lt)
{
	const struct loop_options options = { .sq_entries = 256,
					      .cq_entries = 1024,
					      .fixed_files = 64 };
	struct rlimit files;

	/* The table of fixed files may be no larger than the number of open ones. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(loop_init(&lt->loop, &options), 0);
}

static inline void *loop_thread_main(void *arg)
{
	loop_run(arg);
	return NULL;
}

static inline void loop_thread_start(struct loop_thread *lt)
{
	assert_int_equal(pthread_create(&lt->thread, NULL, loop_thread_main, &lt->loop), 0);
}

struct loop_call {
	struct msg msg;
	void (*function)(void *arg);
	void *arg;
	sem_t returned;
};

static inline void loop_call_deliver(struct msg *msg)
{
	struct loop_call *call = container_of(msg, struct loop_call, msg);

	call->function(call->arg);
	sem_post(&call->returned);
}

/* Runs @function on the loop's thread and waits until it returned. */
static inline void loop_thread_call(struct loop_thread *lt, void (*function)(void *arg), void *arg)
{
	struct loop_call call = { .msg.deliver = loop_call_deliver, .function = function, .arg = arg };

	sem_init(&call.returned, 0, 0);
	list_init(&call.msg.link);
	loop_post(&lt->loop, &call.msg);
	while (sem_wait(&call.returned))
		;
	sem_destroy(&call.returned);
}

static inline void loop_thread_stop(struct loop_thread *lt)
{
	loop_stop(&lt->loop);
	assert_int_equal(pthread_join(lt->thread, NULL), 0);
	loop_fini(&lt->loop);
}

#endif
