/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The composition root: reads the configuration, acquires what needs privileges, drops them, runs the
 * workers, opens the listeners last, waits for signals and the control socket, and takes everything
 * down in reverse.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "base/log_journal.h"
#include "config/config.h"
#include "target/admin.h"
#include "target/backend/drive_helper.h"
#include "target/claim.h"
#include "target/control.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/metrics.h"
#include "target/privilege.h"
#include "target/queue.h"
#include "target/reload.h"
#include "target/retire.h"
#include "target/subsys.h"
#include "target/worker.h"
#include "transport/transport.h"

enum { EXIT_CONFIG = 78 /* EX_CONFIG of sysexits.h: systemd shows it by name */ };

enum { STOP_POLL_MS = 10 };

static void usage(FILE *out)
{
	fprintf(out,
		"usage: sluiced --config FILE [--check | --dump | --nic-plan]\n"
		"       sluiced --settings | --version | --help\n"
		"\n"
		"  --config FILE  the configuration; FILE.d/*.conf is read after it\n"
		"  --check        say whether the configuration is right, and stop\n"
		"  --dump         print the configuration with all defaults, and stop\n"
		"  --nic-plan     say what would be done to the interfaces of [nic] sections, and stop\n"
		"  --settings     print every setting with its default and meaning, and stop\n"
		"  --version      print the version, and stop\n"
		"  --help         print this, and stop\n");
}

static void print_fault(void *arg, const char *message)
{
	(void)arg;
	fprintf(stderr, "%s\n", message);
}

/* ------------------------------------------------------------------------------------- command line */

struct options {
	const char *config;
	bool check, dump, nic_plan;
};

/* Returns an exit status, or -1 to go on. */
static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, 'k' },
		{ "dump", no_argument, NULL, 'd' },	    { "nic-plan", no_argument, NULL, 'n' },
		{ "settings", no_argument, NULL, 's' },	    { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },	    { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case 'k':
			options->check = true;
			break;
		case 'd':
			options->dump = true;
			break;
		case 'n':
			options->nic_plan = true;
			break;
		case 's':
			config_help(stdout);
			return EXIT_SUCCESS;
		case 'v':
			printf("sluiced %s\n", SLUICE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 64; /* EX_USAGE */
		}
	}
	if (optind < argc || !options->config) {
		if (optind < argc)
			fprintf(stderr, "sluiced: unexpected argument \"%s\"\n", argv[optind]);
		usage(stderr);
		return 64;
	}
	return -1;
}

/* ------------------------------------------------------------------------------------------ memory */

/* Of each worker. */
static unsigned receive_areas(const struct config *config)
{
	unsigned n = 0;

	for (unsigned t = 0; transports[t]; t++)
		n += transports[t]->receive_areas(config);
	return n;
}

struct memory_bound {
	uint64_t area; /* of each worker */
	uint64_t connections, fixed, all;
};

/* The most memory that the configuration lets the daemon take. */
static void memory_bound(const struct config *config, struct memory_bound *bound)
{
	uint64_t host = heap_bytes(sizeof(struct stats_host) + NVME_NQN_MAX + 1), connection = 0;
	unsigned depth = MIN_ADMIN_DEPTH;

	*bound = (struct memory_bound){
		.area = config->memory.per_worker + workers[0].receive.n * workers[0].receive.bytes,
	};
	for (unsigned i = 0; i < config->n_subsystems; i++)
		depth = MAX(depth, config->subsystems[i].max_queue_depth);
	for (unsigned t = 0; transports[t]; t++) {
		connection = MAX(connection, transports[t]->connection_bytes(depth));
		bound->fixed += n_workers * transports[t]->worker_bytes();
	}
	/* Each may be the admin queue of a controller, of a host that has no other. */
	connection += heap_bytes(sizeof(struct ctrl)) + host;
	bound->connections = connection * config->daemon.max_connections;
	bound->fixed += (config->n_subsystems + 1ull) * MAX_STATS_HOSTS_GONE * host;
	for (unsigned w = 0; w < n_workers; w++)
		bound->fixed += (uint64_t)LOOP_SQ_ENTRIES * sizeof(struct io_uring_sqe) +
				(uint64_t)LOOP_CQ_ENTRIES * sizeof(struct io_uring_cqe) +
				(workers[w].memory.bounce ? workers[w].bounce.area.size : 0) +
				heap_bytes(discovery_log_bytes());
	for (unsigned i = 0; i < n_namespaces; i++)
		bound->fixed +=
			namespaces[i]->backend->memory_bytes + n_workers * sizeof(struct ns_stats);
	bound->fixed += metrics_bytes(&config->metrics);
	bound->all = n_workers * bound->area + bound->fixed + bound->connections;
}

static uint64_t announce_memory(const struct config *config)
{
	struct memory_bound bound;

	memory_bound(config, &bound);
	log_info(
		"memory: at most %llu MiB: data buffers %u x %llu MiB, at most %llu MiB for %u connections, "
		"%llu MiB else; no huge pages needed",
		(unsigned long long)(bound.all >> 20), n_workers,
		(unsigned long long)(bound.area >> 20),
		(unsigned long long)(bound.connections >> 20), config->daemon.max_connections,
		(unsigned long long)(bound.fixed >> 20));
	return bound.all;
}

/* ----------------------------------------------------------------------------------------- workers */

static unsigned worker_count(const struct config *config, const cpu_set_t *cpus)
{
	unsigned n = config->daemon.workers ? config->daemon.workers : (unsigned)CPU_COUNT(cpus);

	return MIN(n, (unsigned)MAX_WORKERS);
}

/* The CPU of worker @index: the usable ones in turn; none when there are fewer CPUs than workers. */
static int worker_cpu(unsigned index, const cpu_set_t *cpus)
{
	if (n_workers > (unsigned)CPU_COUNT(cpus))
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus) && index-- == 0)
			return cpu;
	return -1;
}

static void receive_open(const struct config *config)
{
	for (unsigned t = 0; transports[t]; t++)
		transports[t]->receive_open(config);
}

static void receive_close(void)
{
	for (unsigned t = 0; transports[t]; t++)
		if (transports[t]->receive_close)
			transports[t]->receive_close();
}

static void cpus_find(cpu_set_t *cpus)
{
	if (sched_getaffinity(0, sizeof(*cpus), cpus)) {
		CPU_ZERO(cpus);
		CPU_SET(0, cpus);
	}
}

/* Returns an exit status. */
static int nic_plan(const struct config *config)
{
	cpu_set_t cpus;
	int rc = EXIT_SUCCESS;

	cpus_find(&cpus);
	for (unsigned t = 0; transports[t]; t++)
		if (transports[t]->receive_plan &&
		    transports[t]->receive_plan(config, worker_count(config, &cpus), stdout))
			rc = EXIT_FAILURE;
	return rc;
}

/*
 * Namespaces may come while the daemon runs, and a ring's tables cannot grow: they have a place for each
 * that may be, or for as many as there are descriptors, each a few words.
 */
static unsigned namespaces_room(const struct config *config)
{
	struct rlimit limit = { 0 };
	unsigned descriptors;

	getrlimit(RLIMIT_NOFILE, &limit);
	descriptors = (unsigned)MIN(limit.rlim_cur, (rlim_t)CONFIG_NAMESPACES_MAX);
	return MAX(config->n_namespaces, descriptors);
}

static int workers_init(const struct config *config)
{
	cpu_set_t cpus;

	cpus_find(&cpus);
	n_workers = worker_count(config, &cpus);
	worker_set_max_connections(config->daemon.max_connections);
	workers = calloc(n_workers, sizeof(*workers));
	if (!workers) {
		log_error("no memory for %u workers", n_workers);
		n_workers = 0;
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n_workers; i++) {
		struct worker_options options = {
			.index = i,
			.cpu = worker_cpu(i, &cpus),
			.spin_us = config->daemon.spin_us,
			.begin = privilege_drop_worker,
			.memory_provider = config->memory.provider,
			.memory_heap = config->memory.heap,
			.memory_import_socket = config->memory.import_socket,
			.memory_bytes = config->memory.per_worker,
			.receive_bytes = config->memory.receive,
			.receive_areas = receive_areas(config),
			.namespaces = config->n_namespaces,
			.backends = namespaces_room(config),
		};
		int rc = worker_init(&workers[i], &options);

		if (rc) {
			while (i--)
				worker_fini(&workers[i]);
			n_workers = 0;
			return rc;
		}
	}
	return 0;
}

static void workers_fini(void)
{
	for (unsigned i = 0; i < n_workers; i++)
		worker_fini(&workers[i]);
	free(workers);
	workers = NULL;
}

static int workers_attach(void)
{
	for (unsigned i = 0; i < n_workers; i++) {
		int rc = subsys_attach_all(&workers[i]);

		if (rc) {
			while (i--)
				subsys_detach_all(&workers[i]);
			return rc;
		}
	}
	return 0;
}

/* ---------------------------------------------------------------------------------------- stopping */

/* A message to each worker; two rounds of them are ever sent: to drain, and to kill. */
static unsigned orders_pending; /* atomic */

struct order {
	struct msg msg;
	struct worker *worker;
};

static void order_drain(struct msg *msg)
{
	struct order *order = container_of(msg, struct order, msg);

	queues_part(order->worker);
	for (unsigned t = 0; transports[t]; t++)
		transports[t]->drain(order->worker);
	__atomic_sub_fetch(&orders_pending, 1, __ATOMIC_RELEASE);
}

static void order_kill(struct msg *msg)
{
	struct order *order = container_of(msg, struct order, msg);

	for (unsigned t = 0; transports[t]; t++)
		transports[t]->kill(order->worker);
	__atomic_sub_fetch(&orders_pending, 1, __ATOMIC_RELEASE);
}

static void workers_order(struct order orders[MAX_WORKERS], void (*deliver)(struct msg *msg))
{
	for (unsigned i = 0; i < n_workers; i++) {
		orders[i] = (struct order){ { .deliver = deliver }, &workers[i] };
		__atomic_add_fetch(&orders_pending, 1, __ATOMIC_RELAXED);
		loop_post(&workers[i].loop, &orders[i].msg);
	}
}

/*
 * No connection comes any more: one that was accepted is counted, and if it is on its way to its
 * worker, it is there before any order that is given from here on.
 */
static void listeners_close(void)
{
	listener_stop_all();
	for (unsigned i = 0; i < n_listeners; i++)
		while (__atomic_load_n(&listeners[i]->state, __ATOMIC_ACQUIRE) != LISTENER_CLOSED)
			poll(NULL, 0, 1);
}

/* Waits until every worker did as ordered and no connection is left, or @ms have passed. */
static bool connections_gone(unsigned ms)
{
	struct pollfd control = { .fd = control_fd(), .events = POLLIN };

	for (unsigned waited = 0;; waited += STOP_POLL_MS) {
		unsigned n = __atomic_load_n(&orders_pending, __ATOMIC_ACQUIRE);

		for (unsigned i = 0; i < n_workers; i++)
			n += __atomic_load_n(&workers[i].connections, __ATOMIC_ACQUIRE);
		if (!n || waited >= ms)
			return !n;
		if (poll(&control, 1, STOP_POLL_MS) > 0)
			control_handle();
	}
}

static void stop(const struct config *config)
{
	static struct order drain[MAX_WORKERS], kill[MAX_WORKERS];
	unsigned drain_ms = config->daemon.drain_ms;

	daemon_info.state = DAEMON_STOPPING;
	sd_notify(0, "STOPPING=1\nSTATUS=Answering what hosts have asked");
	log_info("stopping: answering what was begun");
	listeners_close();
	workers_order(drain, order_drain);
	if (!connections_gone(drain_ms)) {
		log_warning(
			"stopping: some commands took longer than [daemon] drain = %u ms; closing their "
			"connections",
			drain_ms);
		workers_order(kill, order_kill);
		if (!connections_gone(drain_ms))
			log_warning(
				"stopping: a backend does not answer; its commands are given up");
	}
	metrics_close();
	control_close();
}

/* ----------------------------------------------------------------------------------------- serving */

/* A descriptor for each connection and each namespace: shells allow 1024 where a process may have more. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * Asks for a configuration that is not there yet wait until it is. From the very start: by default the
 * signal would end the process.
 */
static void hangup_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* inherited by the workers */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void listeners_count(unsigned *open, unsigned *waiting)
{
	*open = *waiting = 0;
	for (unsigned i = 0; i < n_listeners; i++) {
		enum listener_state state =
			__atomic_load_n(&listeners[i]->state, __ATOMIC_ACQUIRE);

		*open += state == LISTENER_OPEN;
		*waiting += state == LISTENER_WAITING;
	}
}

static void notify_ready(void)
{
	unsigned open, waiting;

	listeners_count(&open, &waiting);
	sd_notifyf(
		0,
		"READY=1\nSTATUS=Serving %u namespaces on %u listeners, %u waiting for their address",
		n_namespaces, open, waiting);
}

/* Says "ready" once every listener has been tried; those whose address is missing go on trying. */
static void announce_ready(void)
{
	unsigned open, waiting;

	for (;;) {
		listeners_count(&open, &waiting);
		if (open + waiting == n_listeners)
			break;
		poll(NULL, 0, 1);
	}
	daemon_info.state = DAEMON_SERVING;
	notify_ready();
	log_info("ready");
}

/* systemd wants the time, to tell this reload from one before (sd_notify(3)). */
static void reload_begun(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading the configuration again",
		   (unsigned long long)(clock_now_ns() / 1000));
}

static void reload_ended(void)
{
	struct memory_bound bound;

	memory_bound(reload_config(), &bound);
	if (daemon_info.announced_bytes >> 20 != bound.all >> 20)
		log_info("memory: at most %llu MiB from now on",
			 (unsigned long long)(bound.all >> 20));
	daemon_info.announced_bytes = bound.all;
	notify_ready();
}

static void hang_up(void)
{
	char err[RELOAD_ERROR_MAX];

	/* What is wrong has been logged. */
	if (reload_run(NULL, err))
		log_debug("reload by a signal: %s", err);
}

static void serve(int signal_fd)
{
	struct pollfd fds[3 + MAX_TRANSPORTS] = {
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = control_fd(), .events = POLLIN },
		{ .fd = retire_wake_open(), .events = POLLIN },
	};
	struct pollfd *receive = &fds[3];

	for (unsigned t = 0; t < MAX_TRANSPORTS; t++)
		receive[t].fd = -1;
	for (unsigned t = 0; transports[t]; t++)
		if (transports[t]->receive_fd)
			receive[t] = (struct pollfd){ transports[t]->receive_fd(), POLLIN, 0 };
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), retire_wait_ms()) < 0 && errno != EINTR)
			return;
		retire_turn();
		if (fds[1].revents)
			control_handle();
		for (unsigned t = 0; transports[t]; t++)
			if (receive[t].revents)
				transports[t]->receive_refresh();
		if (fds[0].revents) {
			struct signalfd_siginfo info;

			if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
				continue;
			log_info("got SIG%s", sigabbrev_np((int)info.ssi_signo));
			if (info.ssi_signo != SIGHUP)
				return;
			hang_up();
		}
	}
}

/* Only a drive has health to tell. */
static void start_drive_helper(const struct config *config)
{
	int rc = 0;

	for (unsigned i = 0; i < config->n_namespaces; i++) {
		if (!strcmp(config->namespaces[i].backend, "block")) {
			rc = drive_helper_start();
			break;
		}
	}
	if (rc)
		log_warning("cannot start the process that reads the drives' health: %s",
			    strerror(-rc));
}

/* Everything that privileges are for is open; the rest runs without. */
static int run(int signal_fd)
{
	int rc = 0;

	rc = smart_start();
	if (rc)
		log_warning("SMART logs are of the target alone, without the drives': %s",
			    strerror(-rc));
	rc = 0;
	for (unsigned i = 0; i < n_workers && !rc; i++)
		rc = worker_start(&workers[i]);
	if (!rc) {
		listener_start_all();
		announce_ready();
		serve(signal_fd);
		stop(reload_config());
	}
	for (unsigned i = 0; i < n_workers; i++)
		worker_stop(&workers[i]);
	drive_helper_stop();
	smart_stop();
	return rc;
}

/*
 * Acquires in order, gives back in reverse; returns the exit status. Every failure has been logged where
 * it was found. Interfaces are changed last of all that may fail: to do that and undo it again
 * interrupts their traffic, and a start that fails is tried again.
 */
static int daemon_main(const char *path, const struct config *config)
{
	static const struct reload_hooks hooks = { reload_begun, reload_ended };
	int signal_fd, rc, status = EXIT_FAILURE;
	struct privilege_ids ids;

	signal(SIGPIPE, SIG_IGN);
	hangup_block();
	reload_init(path, config, &hooks);
	daemon_info.start_ns = clock_now_ns();
	daemon_info.config = config;
	raise_descriptor_limit();
	if (privilege_find(&config->daemon, &ids))
		return status;
	start_drive_helper(config);
	claims_open(config);
	rc = workers_init(config);
	if (rc)
		goto out_helper;
	/*
	 * Until here a signal ends the process at once: it may wait long for memory, of another process
	 * even, and holds nothing that outlives it. From here on it stops in order.
	 */
	signal_fd = signals_open();
	if (signal_fd < 0) {
		log_error("cannot watch for signals: %s", strerror(errno));
		goto out_workers;
	}
	rc = subsys_open_all(config);
	if (rc)
		goto out_workers;
	rc = workers_attach();
	if (rc)
		goto out_subsys;
	discovery_init(config);
	/* Makes the directory, too, where it is noted what is changed on interfaces. */
	rc = control_open(config->daemon.control_socket, ids.uid, ids.gid);
	if (rc)
		goto out_attached;
	rc = metrics_open(&config->metrics);
	if (rc)
		goto out_control;
	receive_open(config);
	rc = listener_init_all(config);
	if (rc) {
		/* What a listener requires is not there: starting again would not bring it. */
		if (rc == -EOPNOTSUPP)
			status = EXIT_CONFIG;
		goto out_listeners;
	}
	daemon_info.announced_bytes = announce_memory(config);
	rc = privilege_drop(&ids, config);
	if (!rc)
		rc = run(signal_fd);
	if (!rc)
		status = EXIT_SUCCESS;
out_listeners:
	listener_fini_all();
	metrics_close();
out_control:
	control_close();
out_attached:
	for (unsigned i = 0; i < n_workers; i++)
		subsys_detach_all(&workers[i]);
	retire_detach_all();
out_subsys:
	/* Rings go before backends: they may hold requests that were given up. */
	workers_fini();
	retire_close_all();
	subsys_close_all();
	receive_close();
	goto out_signals;
out_workers:
	workers_fini();
out_signals:
	close(signal_fd);
out_helper:
	claims_close();
	drive_helper_stop();
	reload_fini();
	return status;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	struct config config;
	int rc = options_parse(argc, argv, &options);

	if (rc >= 0)
		return rc;
	heap_init();
	transport_register_all(transport_registry);
	if (config_load(&config, options.config, print_fault, NULL))
		return EXIT_CONFIG;
	rc = EXIT_SUCCESS;
	if (options.dump) {
		config_dump(&config, stdout);
	} else if (options.check) {
		printf("%s is right: %u subsystems, %u namespaces, %u listeners\n", options.config,
		       config.n_subsystems, config.n_namespaces, config.n_listeners);
	} else if (options.nic_plan) {
		rc = nic_plan(&config);
	} else {
		log_init(config.daemon.log_level);
		log_journal_open(sd_journal_sendv, LOG_JOURNAL_SOCKET);
		log_info("sluiced %s", SLUICE_VERSION);
		rc = daemon_main(options.config, &config);
		log_info(rc ? "could not serve" : "stopped");
	}
	config_free(&config);
	return rc;
}
