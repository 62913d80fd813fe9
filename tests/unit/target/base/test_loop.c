/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop: completions, timers in order, messages from other threads, cancelling, waking up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/loop.h"
#include "base/regbuf.h"

enum { MANY_TIMERS = 500, MANY_MESSAGES = 2000, MANY_NOPS = 5000, THREADS = 4 };

static struct loop loop;

static void after_batch(struct loop *l);
static unsigned batches;

static int setup(void **state)
{
	const struct loop_options options = {
		.sq_entries = 64, .cq_entries = 256, .fixed_files = 4, .after_batch = after_batch
	};

	(void)state;
	batches = 0;
	return loop_init(&loop, &options);
}

static int teardown(void **state)
{
	(void)state;
	loop_fini(&loop);
	return 0;
}

static void after_batch(struct loop *l)
{
	(void)l;
	batches++;
}

/* Everything below begins by a message, as rings belong to the thread that runs them. */
struct task {
	struct msg msg;
	void (*run)(void);
};

static void task_deliver(struct msg *msg)
{
	container_of(msg, struct task, msg)->run();
}

static void run(void (*what)(void))
{
	struct task task = { { .deliver = task_deliver }, what };

	loop_post(&loop, &task.msg);
	loop_run(&loop);
}

/* ------------------------------------------------------------------------------------------- timers */

static struct timer timers[MANY_TIMERS];
static unsigned fired;
static uint64_t last_deadline;

static void timer_fired(struct timer *timer)
{
	assert_false(timer_running(timer));
	assert_true(timer->deadline_ns >= last_deadline);
	assert_true(timer->deadline_ns <= clock_now_ns());
	last_deadline = timer->deadline_ns;
	if (++fired == MANY_TIMERS - MANY_TIMERS / 5)
		loop_stop(&loop);
}

static void start_timers(void)
{
	for (unsigned i = 0; i < MANY_TIMERS; i++) {
		timer_init(&timers[i], timer_fired);
		assert_int_equal(
			loop_timer_start(&loop, &timers[i], (uint64_t)(rand() % 20000) * 1000), 0);
	}
	/* Every tenth is put off, every fifth never fires. */
	for (unsigned i = 0; i < MANY_TIMERS; i += 10)
		loop_timer_start(&loop, &timers[i], 25000000);
	for (unsigned i = 1; i < MANY_TIMERS; i += 5) {
		loop_timer_stop(&loop, &timers[i]);
		loop_timer_stop(&loop, &timers[i]);
		assert_false(timer_running(&timers[i]));
	}
}

static void timers_fire_in_order(void **state)
{
	(void)state;
	fired = 0;
	last_deadline = 0;
	srand(1);
	run(start_timers);
	assert_int_equal(fired, MANY_TIMERS - MANY_TIMERS / 5);
	assert_int_equal(loop.heap_len, 0);
}

/* --------------------------------------------------------------------------------------- completions */

static struct op nops[MANY_NOPS];
static unsigned completed;

static void nop_done(struct op *op, int res, uint32_t flags)
{
	(void)flags;
	assert_int_equal(res, 0);
	assert_true(op >= nops && op < nops + MANY_NOPS);
	if (++completed == MANY_NOPS)
		loop_stop(&loop);
}

/* Far more than the submission queue holds: loop_sqe() makes room. */
static void submit_nops(void)
{
	for (unsigned i = 0; i < MANY_NOPS; i++) {
		struct io_uring_sqe *sqe = loop_sqe(&loop);

		nops[i].done = nop_done;
		io_uring_prep_nop(sqe);
		loop_bind(sqe, &nops[i]);
	}
}

static void more_requests_than_entries(void **state)
{
	(void)state;
	completed = 0;
	run(submit_nops);
	assert_int_equal(completed, MANY_NOPS);
	assert_true(batches >= MANY_NOPS / LOOP_BATCH);
}

/* -------------------------------------------------------------------------------------------- cancel */

static int pipe_fds[2];
static char byte;
static struct op read_op;
static int read_result;

static void read_done(struct op *op, int res, uint32_t flags)
{
	(void)op;
	(void)flags;
	read_result = res;
	loop_stop(&loop);
}

static void read_and_cancel(void)
{
	struct io_uring_sqe *sqe = loop_sqe(&loop);

	read_op.done = read_done;
	io_uring_prep_read(sqe, pipe_fds[0], &byte, 1, 0);
	loop_bind(sqe, &read_op);
	loop_cancel(&loop, &read_op);
}

static void cancelled_requests_complete(void **state)
{
	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	read_result = 1;
	run(read_and_cancel);
	assert_int_equal(read_result, -ECANCELED);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* ------------------------------------------------------------------------------------------ messages */

struct numbered {
	struct msg msg;
	unsigned thread, number;
};

static struct numbered messages[THREADS][MANY_MESSAGES];
static unsigned delivered, next_number[THREADS];

static void numbered_deliver(struct msg *msg)
{
	struct numbered *m = container_of(msg, struct numbered, msg);

	/* Those of one sender arrive in order. */
	assert_int_equal(m->number, next_number[m->thread]++);
	if (++delivered == THREADS * MANY_MESSAGES)
		loop_stop(&loop);
}

static void *post_messages(void *arg)
{
	struct numbered *row = arg;

	for (unsigned i = 0; i < MANY_MESSAGES; i++) {
		loop_post(&loop, &row[i].msg);
		if (i % 100 == 0)
			usleep(100); /* so that the loop sleeps now and then */
	}
	return NULL;
}

static void messages_wake_the_loop(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	delivered = 0;
	memset(next_number, 0, sizeof(next_number));
	for (unsigned t = 0; t < THREADS; t++) {
		for (unsigned i = 0; i < MANY_MESSAGES; i++)
			messages[t][i] = (struct numbered){ { .deliver = numbered_deliver }, t, i };
		assert_int_equal(pthread_create(&threads[t], NULL, post_messages, messages[t]), 0);
	}
	loop_run(&loop);
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	assert_int_equal(delivered, THREADS * MANY_MESSAGES);
}

/* --------------------------------------------------------------------------------------------- idle */

static struct timer idle_timer;

static void idle_over(struct timer *timer)
{
	(void)timer;
	loop_stop(&loop);
}

static void idle_start(void)
{
	timer_init(&idle_timer, idle_over);
	loop_timer_start(&loop, &idle_timer, 300000000);
}

/* Each pair of an area and a file has a place of its own, behind those of the areas. */
static void registered_buffers_have_places(void **state)
{
	bool taken[LOOP_AREAS + LOOP_AREAS * 4] = { false };

	(void)state;
	for (unsigned slot = 0; slot < LOOP_AREAS; slot++) {
		for (unsigned file = 0; file < 4; file++) {
			int index = loop_dmabuf_index(&loop, slot, file);

			assert_in_range(index, LOOP_AREAS, ARRAY_SIZE(taken) - 1);
			assert_false(taken[index]);
			taken[index] = true;
		}
	}
	/* More files than the kernel's largest table has room for. */
	loop.n_files = LOOP_MAX_BUFFERS;
	assert_int_equal(loop_dmabuf_index(&loop, 1, 0), -1);
	loop.n_files = 4;
}

/* What is no dma-buf is refused by every kernel, and by one without such buffers before it looks. */
static void a_foreign_file_is_no_dmabuf(void **state)
{
	int probe = regbuf_probe();
	int rc = loop_dmabuf_set(&loop, LOOP_AREAS, loop.mail_fd, loop.mail_fd);

	(void)state;
	assert_true(probe == 0 || probe == -EOPNOTSUPP);
	assert_true(rc == -EINVAL || (!probe && rc == -EOPNOTSUPP));
	assert_int_equal(loop_buffer_set(&loop, LOOP_AREAS, NULL), 0);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Waiting costs no CPU, also with a spin budget. */
static void idle_costs_nothing(void **state)
{
	uint64_t before = cpu_ns();

	(void)state;
	loop.spin_us = 50;
	run(idle_start);
	assert_true(cpu_ns() - before < 30000000); /* a tenth of the time that passed */
	assert_true(loop.stats.turns < 20);
}

static unsigned polls, polls_armed, polls_found;

/* Finds something the first few times that the loop is about to sleep. */
static bool poll_something(struct loop *l, bool arm)
{
	(void)l;
	polls++;
	polls_armed += arm;
	if (!arm || polls_found == 3)
		return false;
	polls_found++;
	return true;
}

/* Who polls is asked before the loop sleeps, each time; while there is something it does not. */
static void other_work_keeps_it_awake(void **state)
{
	uint64_t waits;

	(void)state;
	polls = polls_armed = polls_found = 0;
	loop.poll = poll_something;
	run(idle_start);
	waits = loop.stats.waits;
	assert_int_equal(polls_found, 3);
	assert_true(waits > 0);
	assert_true(polls_armed >= waits + polls_found);
	assert_true(batches >= polls_found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_fire_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(more_requests_than_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled_requests_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_wake_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_costs_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(other_work_keeps_it_awake, setup, teardown),
		cmocka_unit_test_setup_teardown(registered_buffers_have_places, setup, teardown),
		cmocka_unit_test_setup_teardown(a_foreign_file_is_no_dmabuf, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
