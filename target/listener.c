/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/listener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/log.h"
#include "target/admin.h"
#include "target/claim.h"
#include "target/worker.h"

enum { LISTENER_SETTLE_MS = 3000 };

struct listener **listeners;
unsigned n_listeners;
const struct transport_ops *const *transports;

/* Of path and why of all listeners, which other threads report. */
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;

void transport_register_all(const struct transport_ops *const *registry)
{
	transports = registry;
}

static void set_state(struct listener *listener, enum listener_state state)
{
	__atomic_store_n(&listener->state, state, __ATOMIC_RELEASE);
	if (state == LISTENER_CLOSED)
		retire_wake();
	discovery_changed();
}

static const char *role(const struct listener *listener)
{
	return listener->config->discovery_only ? "discovery on" : "listening on";
}

static void why_set(struct listener *listener, const char *fmt, va_list args)
{
	pthread_mutex_lock(&report_lock);
	vsnprintf(listener->why, sizeof(listener->why), fmt, args);
	pthread_mutex_unlock(&report_lock);
	listener->why_given = true;
}

void listener_why(struct listener *listener, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	why_set(listener, fmt, args);
	va_end(args);
}

static void why_clear(struct listener *listener)
{
	pthread_mutex_lock(&report_lock);
	listener->why[0] = '\0';
	pthread_mutex_unlock(&report_lock);
}

void listener_report_of(const struct listener *listener, struct datapath *path,
			char why[LISTENER_WHY_MAX])
{
	pthread_mutex_lock(&report_lock);
	*path = listener->path;
	memcpy(why, listener->why, LISTENER_WHY_MAX);
	pthread_mutex_unlock(&report_lock);
}

void listener_facts(struct listener *listener, const struct datapath_facts *facts)
{
	struct datapath path = { 0 };

	datapath_choose(facts, &path);
	pthread_mutex_lock(&report_lock);
	listener->path = path;
	pthread_mutex_unlock(&report_lock);
}

static void listener_wait(struct listener *listener, int error)
{
	listener->error = error;
	if (listener->state != LISTENER_WAITING)
		set_state(listener, LISTENER_WAITING);
	if (loop_timer_start(&listener->worker->loop, &listener->retry,
			     LISTEN_RETRY_MS * 1000000ull))
		log_error_about(listener_about(listener), "listener %s: no memory to try again",
				listener->config->name);
}

static const char *error_text(int error)
{
	return error == -EADDRNOTAVAIL ? "this machine does not have the address (yet)" :
	       error == -EADDRINUSE    ? "another program holds it" :
	       strerrordesc_np(-error) ? strerrordesc_np(-error) :
					 "an error that has no name";
}

bool listener_waits(const struct listener *listener, char text[LISTENER_WHY_MAX])
{
	int error;

	if (__atomic_load_n(&listener->state, __ATOMIC_ACQUIRE) != LISTENER_WAITING)
		return false;
	/* It may have been opened since. */
	error = peek(listener->error);
	if (!error)
		return false;
	pthread_mutex_lock(&report_lock);
	snprintf(text, LISTENER_WHY_MAX, "%s", listener->why[0] ? listener->why : error_text(error));
	pthread_mutex_unlock(&report_lock);
	return true;
}

/* Said once for each reason, not once a second. */
static void listener_complain(struct listener *listener, int error)
{
	const struct config_listener *config = listener->config;
	const char *why = listener->why[0] ? listener->why : error_text(error);

	if (!strcmp(why, listener->said))
		return;
	snprintf(listener->said, sizeof(listener->said), "%s", why);
	log_warning_about(
		listener_about(listener),
		"%s:%d: listener %s: cannot listen on %s port %u: %s; trying again every second",
		config->where.file ? config->where.file : "(default)", config->where.line,
		config->name, config->address, config->port, why);
}

static void listener_try(struct listener *listener)
{
	const struct config_listener *config = listener->config;
	int rc;

	listener->why_given = false;
	rc = listener->ops->listen(listener);
	/* Meanwhile the reason of the last try stands. */
	if (!rc || !listener->why_given)
		why_clear(listener);
	if (rc) {
		listener_complain(listener, rc);
		listener_wait(listener, rc);
		return;
	}
	listener->error = 0;
	listener->said[0] = '\0';
	set_state(listener, LISTENER_OPEN);
	log_info_about(listener_about(listener), "%s %s %s port %u", role(listener),
		       config->transport, config->address, config->port);
}

void listener_lost(struct listener *listener, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	why_set(listener, fmt, args);
	va_end(args);
	log_warning_about(listener_about(listener),
			  "listener %s: no longer listening on %s port %u: %s",
			  listener->config->name, listener->config->address, listener->config->port,
			  listener->why);
	listener_wait(listener, -ENODEV);
}

void listener_log_removed(const struct listener *listener)
{
	const struct config_listener *config = listener->config;
	/* What did not listen has said so, and does not end now. */
	const char *was = listener->drained	? "which was drained, " :
			  peek(listener->error) ? "which could not be opened, " :
						  NULL;

	if (was)
		log_info_about(listener_about(listener), "listener %s, %swas removed or changed",
			       config->name, was);
	else
		log_info_about(listener_about(listener),
			       "no longer %s %s %s port %u: listener %s was removed or changed",
			       role(listener), config->transport, config->address, config->port,
			       config->name);
}

static void listener_retry(struct timer *timer)
{
	listener_try(container_of(timer, struct listener, retry));
}

static void start_deliver(struct msg *msg)
{
	listener_try(container_of(msg, struct listener, start_msg));
}

static void stop_deliver(struct msg *msg)
{
	struct listener *listener = container_of(msg, struct listener, stop_msg);

	loop_timer_stop(&listener->worker->loop, &listener->retry);
	if (listener->state == LISTENER_OPEN)
		listener->ops->unlisten(listener);
	set_state(listener, LISTENER_CLOSED);
}

static int transport_find(const char *name)
{
	for (int i = 0; transports[i]; i++)
		if (!strcmp(transports[i]->name, name))
			return i;
	return -1;
}

int listener_new(const struct listener_wish *wish, uint16_t port_id, struct listener **out, char *err)
{
	const struct config_listener *config = &wish->config;
	struct datapath_facts facts = { 0 };
	int transport = transport_find(config->transport);
	struct listener *listener;

	if (transport < 0) {
		snprintf(err, LISTENER_ERROR_MAX,
			 "%s:%d: listener %s: there is no transport \"%s\"; use tcp or rdma",
			 config->where.file, config->where.line, config->name, config->transport);
		return -EINVAL;
	}
	listener = calloc(1, sizeof(*listener));
	if (!listener) {
		snprintf(err, LISTENER_ERROR_MAX, "no memory for listener %s", config->name);
		return -ENOMEM;
	}
	listener->own = *config;
	listener->config = wish->source ? wish->source : &listener->own;
	listener->automatic = !wish->source;
	listener->ops = transports[transport];
	listener->transport_index = (unsigned)transport;
	listener->port_id = port_id;
	listener->fd = -1;
	listener->worker = &workers[(port_id - 1u) % n_workers];
	listener->start_msg.deliver = start_deliver;
	listener->stop_msg.deliver = stop_deliver;
	timer_init(&listener->retry, listener_retry);
	listener->ops->facts(config, &facts);
	datapath_choose(&facts, &listener->path);
	if (config->require == CONFIG_REQUIRE_ZEROCOPY && !datapath_is_zerocopy(&listener->path)) {
		snprintf(
			err, LISTENER_ERROR_MAX,
			"%s:%d: listener %s: require = zerocopy cannot be met: %s; use require = none to serve "
			"on the rung \"%s\"",
			config->where.file, config->where.line, config->name,
			listener->path.receive_why, datapath_receive_name(listener->path.receive));
		free(listener);
		return -EOPNOTSUPP;
	}
	listener->fd = claim_take(config);
	*out = listener;
	return 0;
}

void listener_free(struct listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	free(listener);
}

static const char *wildcard_of(const char *address)
{
	return strchr(address, ':') ? "::" : "0.0.0.0";
}

static bool is_tcp(const struct config_listener *config)
{
	int transport = transport_find(config->transport);

	return transport >= 0 && transports[transport]->trtype == NVMF_TRTYPE_TCP;
}

/* Is TCP's @port of this address served already, by the file or by what is wished for here? */
static bool address_is_served(const struct listener_wish *wishes, unsigned n, const char *address,
			      uint16_t port)
{
	for (unsigned i = 0; i < n; i++)
		if (is_tcp(&wishes[i].config) && wishes[i].config.port == port &&
		    (!strcmp(wishes[i].config.address, address) ||
		     !strcmp(wishes[i].config.address, wildcard_of(address))))
			return true;
	return false;
}

/*
 * Discovery on its well-known port, beside each TCP listener that is on another one; that of RDMA is
 * 4420, where the listeners are. Called for the wildcard addresses first: one of them leaves no room for
 * others on its port.
 */
static unsigned wish_discovery(const struct config *config, bool wildcards,
			       struct listener_wish *wishes, unsigned n)
{
	for (unsigned i = 0; i < config->n_listeners && config->discovery.port; i++) {
		const struct config_listener *beside = &config->listeners[i];
		struct listener_wish *wish = &wishes[n];

		if (!is_tcp(beside) ||
		    !strcmp(beside->address, wildcard_of(beside->address)) != wildcards ||
		    address_is_served(wishes, n, beside->address, config->discovery.port))
			continue;
		*wish = (struct listener_wish){ .config = *beside };
		wish->config.port = config->discovery.port;
		wish->config.discovery_only = true;
		wish->config.require = CONFIG_REQUIRE_NONE;
		n++;
	}
	return n;
}

unsigned listener_wishes(const struct config *config, struct listener_wish *wishes)
{
	unsigned n;

	for (n = 0; n < config->n_listeners; n++)
		wishes[n] = (struct listener_wish){ config->listeners[n], &config->listeners[n] };
	n = wish_discovery(config, true, wishes, n);
	return wish_discovery(config, false, wishes, n);
}

int listener_init_all(const struct config *config)
{
	struct listener_wish *wishes = calloc(LISTENERS_ROOM, sizeof(*wishes));
	char err[LISTENER_ERROR_MAX];
	unsigned n;
	int rc = 0;

	listeners = calloc(LISTENERS_ROOM, sizeof(struct listener *));
	if (!listeners || !wishes) {
		log_error("no memory for %u listeners", config->n_listeners);
		free(wishes);
		return -ENOMEM;
	}
	n = listener_wishes(config, wishes);
	for (unsigned i = 0; i < n && !rc; i++) {
		rc = listener_new(&wishes[i], (uint16_t)(i + 1), &listeners[i], err);
		if (rc)
			log_error("%s", err);
		else
			n_listeners++;
	}
	free(wishes);
	return rc;
}

void listener_start(struct listener *listener)
{
	loop_post(&listener->worker->loop, &listener->start_msg);
}

void listener_stop(struct listener *listener)
{
	loop_post(&listener->worker->loop, &listener->stop_msg);
}

void listener_settle(const struct listener *listener, bool closed)
{
	for (unsigned ms = 0; ms < LISTENER_SETTLE_MS; ms++) {
		enum listener_state now = __atomic_load_n(&listener->state, __ATOMIC_ACQUIRE);

		if ((now == LISTENER_CLOSED) == closed)
			return;
		poll(NULL, 0, 1);
	}
}

void listener_start_all(void)
{
	for (unsigned i = 0; i < n_listeners; i++)
		listener_start(listeners[i]);
}

void listener_stop_all(void)
{
	for (unsigned i = 0; i < n_listeners; i++)
		listener_stop(listeners[i]);
}

void listener_fini_all(void)
{
	for (unsigned i = 0; i < n_listeners; i++)
		listener_free(listeners[i]);
	free(listeners);
	listeners = NULL;
	n_listeners = 0;
}
