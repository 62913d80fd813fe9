/* SPDX-License-Identifier: BSD-3-Clause */
#include "schedule.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "host.h"
#include "model.h"
#include "target.h"

enum {
	PORT = 4420,
	MAX_HOSTS = 4,
	MAX_SIM_WORKERS = 3,
	POOL_LEAST = 512 << 10,
	ANSWER_NS_STEPS = 64, /* timers that may fire until all is answered */
};

#define ANSWER_NS UINT64_C(30000000000)

static struct host hosts[MAX_HOSTS];
static unsigned n_hosts;

/* --------------------------------------------------------------------------------------- choosing */

/* A chance that most schedules do not have. */
static unsigned rarely(unsigned of_1000)
{
	return sim_chance(300) ? 1 + sim_below(of_1000) : 0;
}

static void knobs_choose(void)
{
	sim.knobs = (struct sim_knobs){
		.sq_entries = sim_chance(300) ? 4 + sim_below(8) : 256,
		.batch = sim_chance(300) ? 1 + sim_below(4) : LOOP_BATCH,
		.send_room = sim_chance(400) ? 512 + sim_below(65536) : 4 << 20,
		.send_short = rarely(200),
		.send_zc_refused = rarely(100),
		.accept_error = rarely(300),
		.recv_interrupted = rarely(100),
		.disk_short = rarely(500),
		.disk_again = rarely(100),
		.disk_error = rarely(50),
		.disk_slow = sim_chance(400) ? sim_below(995) : 0,
		.no_memory = rarely(300),
		.fixed_buffers = sim_chance(800),
		.huge_pages = sim_chance(500),
		.send_zc = sim_chance(500),
		.writes_zeroes = sim_chance(600),
		.cache = sim_chance(700),
	};
	host_knobs = (struct host_knobs){
		.port = PORT,
		.in_capsule = sim_chance(700) ? 16 * sim_below(1025) : 0,
		.max_transfer = 4096u << sim_below(7),
		.busy = sim_chance(500) ? 1 + sim_below(8) : 1 + sim_below(HOST_DEPTH),
		.lose = sim_chance(600) ? 1 + sim_below(50) : 0,
		.reset = rarely(30),
		.abort = rarely(200),
		.deaf = rarely(30),
		.bad_digest = rarely(100),
		.garbage = rarely(20),
		.fused = sim_chance(400) ? sim_below(500) : 0,
		.kato_ms = sim_chance(200) ? 100 + sim_below(2000) : 0,
		.digests = sim_chance(500),
		.errors = sim.knobs.disk_error,
		.n_namespaces = 1 + sim_below(3),
	};
}

static unsigned text_add(char *text, size_t size, unsigned at)
{
	unsigned window = 4096 * (sim_chance(500) ? 1 + sim_below(16) : 256);
	unsigned zc_min = 4096 << sim_below(5);

	at += (unsigned)snprintf(
		text + at, size - at,
		"[daemon]\ncontrol_socket = /run/sim.sock\nmax_connections = %u\ndrain = 2s\n"
		"log_level = error\n"
		"[discovery]\nport = none\n"
		"[listener tcp]\naddress = 127.0.0.1\nport = %u\nin_capsule = %u\nr2t_window = %u\n"
		"send_zc_min = %u\nheader_digest = %s\ndata_digest = %s\n"
		"[subsystem nqn.2014-08.org.example:sim]\nallow_any_host = yes\n"
		"max_queue_depth = %u\nmax_transfer = %u\n",
		sim_chance(800) ? 1024 : 1 + sim_below(16), PORT, host_knobs.in_capsule, window,
		zc_min, sim_chance(800) ? "yes" : "no", sim_chance(800) ? "yes" : "no", HOST_DEPTH,
		host_knobs.max_transfer);
	return at;
}

static void target_begin(void)
{
	static char text[4096];
	unsigned at = text_add(text, sizeof(text), 0);
	unsigned shift[MODEL_NAMESPACES];
	bool ram[MODEL_NAMESPACES];
	uint64_t pool = MAX((uint64_t)POOL_LEAST, host_knobs.max_transfer * 4ull);

	for (unsigned i = 0; i < host_knobs.n_namespaces; i++) {
		shift[i] = sim_chance(500) ? 9 : 12;
		ram[i] = sim_chance(300);
		at += (unsigned)snprintf(
			text + at, sizeof(text) - at,
			"[namespace nqn.2014-08.org.example:sim/%u]\nbackend = %s\n"
			"size = %u\nblock_size = %u\n",
			i + 1, ram[i] ? "ram" : "file", 64u << shift[i], 1u << shift[i]);
		if (!ram[i])
			at += (unsigned)snprintf(text + at, sizeof(text) - at, "path = /disk%u\n",
						 i);
	}
	sim_target_start(text, 1 + sim_below(MAX_SIM_WORKERS),
			 sim_chance(500) ? pool : pool + 4096 * sim_below(512));
	model_begin();
	for (unsigned i = 0; i < host_knobs.n_namespaces; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/disk%u", i);
		model_namespace(i, ram[i] ? NULL : sim_disk(path), shift[i], 64);
	}
}

/* ---------------------------------------------------------------------------------------- running */

static bool hosts_listen(void)
{
	bool any = false;

	for (unsigned i = 0; i < n_hosts; i++)
		any |= host_listen(&hosts[i]);
	return any;
}

static void clock_step(void)
{
	uint64_t next_ns = sim_next_timer_ns();

	if (sim_chance(20) && next_ns != UINT64_MAX)
		sim.now_ns = MAX(sim.now_ns, next_ns);
	else if (sim_chance(10))
		sim.now_ns += UINT64_C(1000000) * sim_below(50);
	else
		sim.now_ns += sim_below(10000);
}

static void step(unsigned pace)
{
	struct host *host = &hosts[sim_below(n_hosts)];

	sim.step++;
	switch (sim_below(4 + pace)) {
	case 0:
		host_step(host);
		break;
	case 1:
		host_listen(host);
		break;
	case 2:
		clock_step();
		break;
	case 3:
		sim_target_turn();
		break;
	default:
		if (sim_chance(500))
			sim_kernel_step();
		else
			sim_target_turn();
		break;
	}
}

/* Lets all that was asked be answered; timers fire for those that wait for one. */
static void settle(void)
{
	uint64_t end_ns = sim.now_ns + ANSWER_NS;

	host_knobs.quiet = true;
	for (;;) {
		unsigned waiting = 0;

		sim_target_settle(SIM_DISKS_PROMPT);
		for (unsigned i = 0; i < n_hosts; i++) {
			host_step(&hosts[i]);
			waiting += hosts[i].phase > HOST_DOWN && hosts[i].phase != HOST_UP;
			for (unsigned q = 1; q < HOST_QUEUES; q++)
				waiting += hosts[i].queues[q].n_busy;
		}
		if (!waiting || sim_next_timer_ns() > end_ns)
			break;
		sim.now_ns = MAX(sim.now_ns, sim_next_timer_ns());
	}
	sim_target_settle(SIM_DISKS_PROMPT);
	for (unsigned i = 0; i < n_hosts; i++)
		host_check_answered(&hosts[i]);
	host_knobs.quiet = false;
}

/* All hosts go; nothing of them may stay. */
static void empty(void)
{
	uint64_t end_ns = sim.now_ns + ANSWER_NS;

	for (unsigned i = 0; i < n_hosts; i++)
		host_leave(&hosts[i]);
	do {
		sim_target_settle(SIM_DISKS_PROMPT);
		if (sim_next_timer_ns() > end_ns)
			break;
		sim.now_ns = MAX(sim.now_ns, sim_next_timer_ns());
	} while (sim_target_connections());
	sim_target_settle(SIM_DISKS_PROMPT);
	sim_target_check_idle();
}

static void finish(void)
{
	host_knobs.quiet = sim_chance(500);
	if (sim_chance(500))
		settle();
	if (sim_chance(300))
		empty();
	/* Else in the middle of everything. */
	host_knobs.quiet = true;
	sim_target_stop();
	for (unsigned i = 0; i < n_hosts; i++)
		host_leave(&hosts[i]);
	sim_kernel_check_empty();
	model_end();
	sim_target_hosts = NULL;
}

void schedule_run(uint64_t seed)
{
	unsigned steps, pace;

	sim_begin(seed);
	knobs_choose();
	target_begin();
	n_hosts = 1 + sim_below(MAX_HOSTS);
	for (unsigned i = 0; i < n_hosts; i++)
		host_init(&hosts[i], i);
	sim_target_hosts = hosts_listen;
	steps = 500 + sim_below(4000);
	pace = 1 + sim_below(16);
	while (steps--) {
		step(pace);
		if (sim_chance(1))
			settle();
	}
	finish();
}
