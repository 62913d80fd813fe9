/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interface queues for zero-copy receive that the workers have: worker i has the NIC's queue i of
 * those that are set apart for it, and a connection lives on the worker whose queue its packets come by.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/sysfs.h"
#include "transport/nic/nic.h"
#include "transport/address.h"
#include "transport/tcp/tcp.h"

enum {
	PLACE_COPY = MAX_NICS, /* in tcp_worker.zcrx, behind those of the NICs */
	NAPI_REFRESH_NS = 1000000000,
	/* Of a start, for all interfaces and queues together: systemd gives it 90 s. */
	ABSENT_WAIT_MS = 30000, /* for interfaces that are not there yet, or down */
	TAKEN_WAIT_MS = 5000,   /* for queues of a process that has just ended */
};

/* A NIC of the configuration, and why not all workers receive by it, with its name; empty: they do. */
struct interface {
	const struct config_nic *config;
	struct nic *nic; /* owned; NULL: it could not be set up */
	struct nic_why why;
};

/* Written before workers run; constant then. */
static struct interface interfaces[MAX_NICS];
static unsigned n_interfaces;
static struct nic_why copy_why;

/*
 * Which NAPI serves which queue is asked for by the main thread: the kernel may keep who asks waiting
 * while an interface restarts, and a worker never waits. It asks by the eventfd.
 */
static struct {
	int fd;		      /* -1: there is no interface */
	uint64_t asked_ns;    /* atomic: by a worker */
	uint64_t answered_ns; /* atomic: before this the kernel was asked, and its answer is there */
} refresh = { .fd = -1 };

static bool wants_copy(const struct config *config)
{
	for (unsigned i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].receive == CONFIG_RECEIVE_ZCRX_COPY)
			return true;
	return false;
}

unsigned tcp_queues_areas(const struct config *config)
{
	return config->n_nics + wants_copy(config);
}

static struct tcp_worker *tcp_of(const struct worker *worker)
{
	return worker->transport_state[0];
}

/* ----------------------------------------------------------------------------------- opening */

/* The listeners whose connections are to come by the queues. Returns their number. */
static unsigned steered(const struct config *config, struct sockaddr_storage *addresses)
{
	unsigned n = 0;
	socklen_t len;

	for (unsigned i = 0; i < config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];

		if (listener->receive == CONFIG_RECEIVE_AUTO &&
		    !address_parse(listener->address, listener->port, &addresses[n], &len))
			n++;
	}
	return n;
}

/* What @nic is asked for when there are so many workers; keeps the listeners in @addresses. */
static struct nic_wants wants_of(const struct config_nic *nic, const struct config *config,
				 unsigned worker_total, const char *state_dir,
				 struct sockaddr_storage *addresses)
{
	return (struct nic_wants){
		.name = nic->name,
		.queues = nic->queues ? nic->queues : worker_total,
		.queues_auto = !nic->queues,
		.ring = nic->ring,
		.buffer = nic->buffer,
		.setup = nic->setup,
		.listeners = addresses,
		.n_listeners = steered(config, addresses),
		.state_dir = state_dir,
	};
}

/* Each worker has one queue. 0, or -EINVAL and the sentence. */
static int queues_check(const struct config_nic *nic, unsigned worker_total, struct nic_why *why)
{
	if (nic->queues <= worker_total)
		return 0;
	snprintf(why->s, sizeof(why->s),
		 "[nic %s] queues = %u is more than there are workers (%u); each has one queue",
		 nic->name, nic->queues, worker_total);
	return -EINVAL;
}

static int interface_open(struct interface *interface, const struct config *config,
			  const char *state_dir, unsigned *wait_ms)
{
	struct sockaddr_storage addresses[MAX_LISTENERS];
	struct nic_wants wants =
		wants_of(interface->config, config, n_workers, state_dir, addresses);
	int rc = queues_check(interface->config, n_workers, &interface->why);

	wants.wait_ms = wait_ms;
	return rc ? rc : nic_open(&interface->nic, &wants, &interface->why);
}

/* Registers an interface queue at @place of @worker; @part counts its receive areas. */
static int queue_open(struct worker *worker, unsigned place, unsigned part,
		      struct zcrx_options *options, struct nic_why *why)
{
	struct zcrx *zcrx = malloc(sizeof(*zcrx));
	int rc;

	if (!zcrx) {
		snprintf(why->s, sizeof(why->s), "no memory");
		return -ENOMEM;
	}
	options->area = &worker->area;
	options->size = worker->receive.bytes;
	options->offset = worker->receive.offset + part * worker->receive.bytes;
	rc = zcrx_open(zcrx, &worker->loop, options, why->s, sizeof(why->s));
	if (rc) {
		free(zcrx);
		return rc;
	}
	zcrx_attach(tcp_of(worker), zcrx);
	tcp_of(worker)->zcrx[place] = zcrx;
	return 0;
}

/*
 * Fragments cost, not bytes. So receive buffers are as long as the NIC takes them, if there are enough of
 * them for packets that fill none. 0: a page, which asks nothing of the NIC.
 */
static uint32_t buffer_auto(const struct interface *interface, const struct worker *worker)
{
	uint64_t most = MIN((uint64_t)nic_buffer_max(interface->nic),
			    worker->receive.bytes / RECEIVE_BUFFERS_AUTO);
	uint32_t bytes = HOST_PAGE_SIZE;

	while (bytes * 2 <= most)
		bytes *= 2;
	return bytes > HOST_PAGE_SIZE ? bytes : 0;
}

static int nic_queue_open(const struct interface *interface, unsigned index, unsigned part,
			  unsigned *wait_ms, struct nic_why *why)
{
	struct worker *worker = &workers[index];
	struct zcrx_options options = {
		.dmabuf_fd = -1,
		.ifindex = nic_ifindex(interface->nic),
		.queue = nic_queue(interface->nic, index),
		.buffer = interface->config->buffer,
		.keepers = workers[0].backends,
		.wait_ms = wait_ms,
	};
	int rc;

	if (interface->config->memory == CONFIG_NIC_DMABUF) {
		options.dmabuf_fd = area_export(
			&worker->area, worker->receive.offset + part * worker->receive.bytes,
			worker->receive.bytes);
		if (options.dmabuf_fd < 0) {
			snprintf(why->s, sizeof(why->s),
				 "no dma-buf of its receive area ([nic] memory = dmabuf): %s",
				 strerror(-options.dmabuf_fd));
			return options.dmabuf_fd;
		}
	}
	if (!options.buffer)
		options.buffer = buffer_auto(interface, worker);
	rc = queue_open(worker, part, part, &options, why);
	/* The memory may be too scattered, or the NIC of a kind with less than its driver has. */
	if ((rc == -ERANGE || rc == -EINVAL || rc == -EOPNOTSUPP) && !interface->config->buffer &&
	    options.buffer) {
		options.buffer = 0;
		rc = queue_open(worker, part, part, &options, why);
	}
	if (options.dmabuf_fd >= 0)
		close(options.dmabuf_fd); /* the ring has its own hold on it */
	return rc;
}

static void nic_queues_open(struct interface *interface, unsigned part, unsigned *wait_ms)
{
	unsigned n = 0, all = nic_queues(interface->nic), refused = 0;
	const char *name = interface->config->name;
	struct nic_why why = { "" };

	/* Connections of a worker whose queue is refused go by recv: that queue is an ordinary one. */
	for (unsigned i = 0; i < all; i++) {
		if (nic_queue_open(interface, i, part, wait_ms, &why))
			refused = nic_queue(interface->nic, i);
		else
			n++;
	}
	if (!n) {
		snprintf(interface->why.s, sizeof(interface->why.s), "queue %u of %s: %.400s",
			 refused, name, why.s);
		nic_close(interface->nic);
		interface->nic = NULL;
		return;
	}
	/* Registering has restarted the queues. */
	nic_napi_refresh(interface->nic);
	log_info("%s: zero-copy receive on %u of %u queues (%s)", name, n, all,
		 nic_describe(interface->nic));
	if (n < all)
		snprintf(interface->why.s, sizeof(interface->why.s),
			 "only on %u of %u queues; queue %u of %s: %.400s", n, all, refused, name,
			 why.s);
}

/* Windows follow from what sockets may buffer, which the kernel cuts. */
static void windows_check(const char *name)
{
	int wanted = conn_buffer_share(workers[0].receive.bytes);
	uint64_t most;

	if (sysfs_number("/proc/sys/net/core", "rmem_max", &most) && most < (uint64_t)wanted)
		log_warning("%s: hosts that write much at a time may have to wait for small windows: "
			    "net.core.rmem_max is %" PRIu64 "; set it to an eighth of [memory] "
			    "receive, %d, or more",
			    name, most, wanted);
}

static void interface_start(struct interface *interface, unsigned part, const struct config *config,
			    const char *state_dir, unsigned *absent_ms, unsigned *taken_ms)
{
	if (!interface_open(interface, config, state_dir, absent_ms))
		nic_queues_open(interface, part, taken_ms);
	if (!interface->nic) {
		log_warning("no zero-copy receive: %s", interface->why.s);
		return;
	}
	if (interface->why.s[0])
		log_warning("zero-copy receive %s", interface->why.s);
	windows_check(interface->config->name);
}

/* What is changed on interfaces is noted beside the control socket: in @path, which is overwritten. */
static const char *state_dir_of(const struct config *config, char *path)
{
	memcpy(path, config->daemon.control_socket, sizeof(config->daemon.control_socket));
	return dirname(path);
}

int tcp_queues_plan(const struct config *config, unsigned worker_total, FILE *out)
{
	struct sockaddr_storage addresses[MAX_LISTENERS];
	char path[sizeof(config->daemon.control_socket)];
	const char *state_dir = state_dir_of(config, path);
	int first = 0;

	if (!config->n_nics)
		fprintf(out, "no [nic INTERFACE] section: no interface would be changed\n");
	for (unsigned i = 0; i < config->n_nics; i++) {
		const struct nic_wants wants =
			wants_of(&config->nics[i], config, worker_total, state_dir, addresses);
		struct nic_why why;
		int rc = queues_check(&config->nics[i], worker_total, &why);

		if (rc)
			fprintf(out, "%s\n", why.s);
		else
			rc = nic_plan_show(&wants, out);
		first = first ? first : rc;
	}
	return first;
}

void tcp_queues_open(const struct config *config)
{
	unsigned absent_ms = ABSENT_WAIT_MS, taken_ms = TAKEN_WAIT_MS;
	struct zcrx_options options = {
		.dmabuf_fd = -1,
		.keepers = workers[0].backends,
		.wait_ms = &taken_ms,
	};
	char path[sizeof(config->daemon.control_socket)];
	const char *state_dir = state_dir_of(config, path);

	nic_recover(state_dir);
	for (unsigned i = 0; i < config->n_nics; i++) {
		struct interface *interface = &interfaces[n_interfaces++];

		*interface = (struct interface){ .config = &config->nics[i] };
		interface_start(interface, i, config, state_dir, &absent_ms, &taken_ms);
	}
	if (n_interfaces)
		refresh.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < n_workers && wants_copy(config) && !copy_why.s[0]; i++)
		if (queue_open(&workers[i], PLACE_COPY, config->n_nics, &options, &copy_why))
			log_warning("listeners with receive = zcrx-copy use recv: %s", copy_why.s);
}

void tcp_queues_close(void)
{
	while (n_interfaces)
		nic_close(interfaces[--n_interfaces].nic);
	if (refresh.fd >= 0)
		close(refresh.fd);
	refresh.fd = -1;
}

void tcp_queues_fini(struct tcp_worker *tcp)
{
	for (unsigned i = 0; i < TCP_ZCRX_QUEUES; i++) {
		if (tcp->zcrx[i])
			zcrx_close(tcp->zcrx[i]);
		free(tcp->zcrx[i]);
		tcp->zcrx[i] = NULL;
	}
}

uint64_t tcp_queues_bytes(void)
{
	uint64_t most = 0;

	for (unsigned w = 0; w < n_workers; w++) {
		uint64_t bytes = 0;

		for (unsigned i = 0; i < TCP_ZCRX_QUEUES; i++)
			if (tcp_of(&workers[w])->zcrx[i])
				bytes += zcrx_bytes(tcp_of(&workers[w])->zcrx[i]);
		most = MAX(most, bytes);
	}
	return most;
}

/* ------------------------------------------------------------------------------------- using */

void tcp_queues_facts(const struct config_listener *config, struct datapath_facts *facts)
{
	const struct interface *best = NULL;

	for (unsigned i = 0; i < n_interfaces; i++)
		if (!best || (best->why.s[0] && !interfaces[i].why.s[0]))
			best = &interfaces[i];
	facts->zcrx_copy = (struct datapath_fact){ false, "" };
	facts->zcrx_device_memory = (struct datapath_fact){ false, "[nic] has memory = user" };
	facts->zcrx.yes = false;
	if (config->receive == CONFIG_RECEIVE_RECV) {
		facts->zcrx.why_not = "the listener has receive = recv";
	} else if (config->receive == CONFIG_RECEIVE_ZCRX_COPY) {
		facts->zcrx_copy.yes = !copy_why.s[0];
		facts->zcrx.why_not = copy_why.s;
	} else if (!best) {
		facts->zcrx.why_not = "no [nic INTERFACE] section names a NIC that can";
	} else {
		facts->zcrx = (struct datapath_fact){ !best->why.s[0], best->why.s };
		facts->zcrx_device_memory.yes = best->config->memory == CONFIG_NIC_DMABUF;
	}
}

static const struct interface *interface_of_napi(unsigned napi, unsigned *queue)
{
	for (unsigned i = 0; i < n_interfaces; i++) {
		int index = interfaces[i].nic ? nic_queue_of_napi(interfaces[i].nic, napi) : -ENOENT;

		if (index < 0)
			continue;
		*queue = (unsigned)index;
		return &interfaces[i];
	}
	return NULL;
}

int tcp_queues_refresh_fd(void)
{
	return refresh.fd;
}

void tcp_queues_refresh(void)
{
	uint64_t now = clock_now_ns();
	eventfd_t n;

	eventfd_read(refresh.fd, &n);
	for (unsigned i = 0; i < n_interfaces; i++)
		if (interfaces[i].nic)
			nic_napi_refresh(interfaces[i].nic);
	__atomic_store_n(&refresh.answered_ns, now, __ATOMIC_RELEASE);
}

/* Asks which NAPIs there are, but not for each stranger. True while the answer is on its way. */
static bool napis_ask(void)
{
	uint64_t asked = __atomic_load_n(&refresh.asked_ns, __ATOMIC_ACQUIRE), now = clock_now_ns();

	if (refresh.fd < 0)
		return false;
	if (now - asked >= NAPI_REFRESH_NS &&
	    __atomic_compare_exchange_n(&refresh.asked_ns, &asked, now, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE)) {
		eventfd_write(refresh.fd, 1);
		return true;
	}
	return __atomic_load_n(&refresh.answered_ns, __ATOMIC_ACQUIRE) < asked;
}

static unsigned napi_of(int fd)
{
	int napi = 0;
	socklen_t len = sizeof(napi);

	return getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi, &len) ? 0 : (unsigned)napi;
}

bool tcp_queues_matter(const struct listener *listener)
{
	if (listener->config->receive != CONFIG_RECEIVE_AUTO)
		return false;
	for (unsigned i = 0; i < n_interfaces; i++)
		if (interfaces[i].nic)
			return true;
	return false;
}

struct worker *tcp_queues_worker(int fd, bool *again)
{
	unsigned queue, napi = napi_of(fd);

	*again = false;
	if (!napi)
		return NULL;
	if (interface_of_napi(napi, &queue))
		return &workers[queue];
	/* A stranger; or the queue has got another identifier, as some drivers give it when it restarts. */
	*again = napis_ask();
	return NULL;
}

struct zcrx *tcp_queues_find(struct tcp_worker *tcp, const struct listener *listener, int fd)
{
	const struct interface *interface;
	unsigned queue;

	switch (listener->config->receive) {
	case CONFIG_RECEIVE_ZCRX_COPY:
		return tcp->zcrx[PLACE_COPY];
	case CONFIG_RECEIVE_RECV:
		return NULL;
	default:
		interface = interface_of_napi(napi_of(fd), &queue);
		if (!interface || tcp->worker != &workers[queue])
			return NULL;
		return tcp->zcrx[interface - interfaces];
	}
}

static void queue_describe(const struct zcrx *zcrx, const char *name, struct json_object *row)
{
	const struct chunks *chunks = &zcrx->landing.chunks;
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{ "chunks", chunks->n },
		{ "chunk_bytes", UINT64_C(1) << chunks->shift },
		{ "chunks_held", counter_get(&chunks->held) },
		{ "chunks_held_max", counter_get(&chunks->held_max) },
		{ "fragments", counter_get(&zcrx->stats.fragments) },
		{ "bytes", counter_get(&zcrx->stats.bytes) },
		{ "placed_bytes", counter_get(&zcrx->stats.placed_bytes) },
		{ "staged_bytes", counter_get(&zcrx->stats.staged_bytes) },
		{ "kernel_copied_bytes", zcrx_copied_bytes(zcrx) },
		{ "starved", counter_get(&zcrx->stats.starved) },
		{ "overflows", counter_get(&zcrx->stats.overflows) },
		{ "closed", counter_get(&zcrx->stats.closed) },
	};

	json_object_object_add(row, "interface", name ? json_object_new_string(name) : NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_object_add(row, numbers[i].key,
				       json_object_new_uint64(numbers[i].value));
}

void tcp_queues_describe(const struct worker *worker, struct json_object *array)
{
	for (unsigned i = 0; i < TCP_ZCRX_QUEUES; i++) {
		const struct zcrx *zcrx = tcp_of(worker)->zcrx[i];
		struct json_object *row;

		if (!zcrx)
			continue;
		row = json_object_new_object();
		json_object_object_add(row, "worker", json_object_new_uint64(worker->index));
		queue_describe(zcrx, i == PLACE_COPY ? NULL : interfaces[i].config->name, row);
		json_object_array_add(array, row);
	}
}
