/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "target/admin.h"
#include "target/worker.h"

struct listener *listeners;
unsigned n_listeners;
const struct transport_ops *const *transports;

void transport_register_all(const struct transport_ops *const *registry)
{
	transports = registry;
}

static void set_state(struct listener *listener, enum listener_state state)
{
	__atomic_store_n(&listener->state, state, __ATOMIC_RELEASE);
	discovery_changed();
}

static const char *role(const struct listener *listener)
{
	return listener->config->discovery_only ? "discovery on" : "listening on";
}

static void listener_try(struct listener *listener)
{
	const struct config_listener *config = listener->config;
	int rc = listener->ops->listen(listener);

	if (!rc) {
		listener->error = 0;
		set_state(listener, LISTENER_OPEN);
		log_info("%s %s %s port %u", role(listener), config->transport, config->address,
			 config->port);
		return;
	}
	/* Said once for each reason, not once a second. */
	if (rc != listener->error)
		log_warning(
			"%s:%d: listener %s: cannot listen on %s port %u: %s; trying again every second",
			config->where.file ? config->where.file : "(default)", config->where.line,
			config->name, config->address, config->port,
			rc == -EADDRNOTAVAIL ? "this machine does not have the address (yet)" :
			rc == -EADDRINUSE    ? "another program holds it" :
					       strerror(-rc));
	listener->error = rc;
	if (listener->state != LISTENER_WAITING)
		set_state(listener, LISTENER_WAITING);
	if (loop_timer_start(&listener->worker->loop, &listener->retry,
			     LISTEN_RETRY_MS * 1000000ull))
		log_error("listener %s: no memory to try again", config->name);
}

static void listener_retry(struct timer *timer)
{
	listener_try(container_of(timer, struct listener, retry));
}

static void listener_start(struct msg *msg)
{
	listener_try(container_of(msg, struct listener, start_msg));
}

static void listener_stop(struct msg *msg)
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

static int listener_init(struct listener *listener, const struct config_listener *config)
{
	struct datapath_facts facts = { 0 };
	int transport = transport_find(config->transport);

	if (transport < 0) {
		log_error("%s:%d: listener %s: there is no transport \"%s\"; use tcp",
			  config->where.file, config->where.line, config->name, config->transport);
		return -EINVAL;
	}
	listener->config = config;
	listener->ops = transports[transport];
	listener->transport_index = (unsigned)transport;
	listener->port_id = (uint16_t)(listener - listeners + 1);
	listener->fd = -1;
	listener->worker = &workers[(listener - listeners) % n_workers];
	listener->start_msg.deliver = listener_start;
	listener->stop_msg.deliver = listener_stop;
	timer_init(&listener->retry, listener_retry);
	listener->ops->facts(config, &facts);
	datapath_choose(&facts, &listener->path);
	if (config->require == CONFIG_REQUIRE_ZEROCOPY && !datapath_is_zerocopy(&listener->path)) {
		log_error(
			"%s:%d: listener %s: require = zerocopy cannot be met: %s; use require = none to serve "
			"on the rung \"%s\"",
			config->where.file, config->where.line, config->name,
			listener->path.receive_why, datapath_receive_name(listener->path.receive));
		return -EOPNOTSUPP;
	}
	return 0;
}

static const char *wildcard_of(const char *address)
{
	return strchr(address, ':') ? "::" : "0.0.0.0";
}

/* Is @port of this address served already, by the file or by a listener made here? */
static bool address_is_served(const char *address, uint16_t port)
{
	for (unsigned i = 0; i < n_listeners; i++)
		if (listeners[i].config->port == port &&
		    (!strcmp(listeners[i].config->address, address) ||
		     !strcmp(listeners[i].config->address, wildcard_of(address))))
			return true;
	return false;
}

/*
 * Discovery on its well-known port, beside each listener that is on another one. Called for the
 * wildcard addresses first: one of them leaves no room for others on its port.
 */
static int listener_init_discovery(const struct config *config, bool wildcards)
{
	for (unsigned i = 0; i < config->n_listeners && config->discovery.port; i++) {
		const struct config_listener *beside = &config->listeners[i];
		struct listener *listener = &listeners[n_listeners];
		int rc;

		if (!strcmp(beside->address, wildcard_of(beside->address)) != wildcards ||
		    address_is_served(beside->address, config->discovery.port))
			continue;
		listener->own = *beside;
		listener->own.port = config->discovery.port;
		listener->own.discovery_only = true;
		listener->own.require = CONFIG_REQUIRE_NONE;
		listener->automatic = true;
		rc = listener_init(listener, &listener->own);
		if (rc)
			return rc;
		n_listeners++;
	}
	return 0;
}

int listener_init_all(const struct config *config)
{
	int rc;

	listeners = calloc(2 * config->n_listeners, sizeof(*listeners));
	if (!listeners) {
		log_error("no memory for %u listeners", config->n_listeners);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < config->n_listeners; i++) {
		rc = listener_init(&listeners[i], &config->listeners[i]);
		if (rc)
			return rc;
		n_listeners++;
	}
	rc = listener_init_discovery(config, true);
	return rc ? rc : listener_init_discovery(config, false);
}

void listener_start_all(void)
{
	for (unsigned i = 0; i < n_listeners; i++)
		loop_post(&listeners[i].worker->loop, &listeners[i].start_msg);
}

void listener_stop_all(void)
{
	for (unsigned i = 0; i < n_listeners; i++)
		loop_post(&listeners[i].worker->loop, &listeners[i].stop_msg);
}

void listener_fini_all(void)
{
	free(listeners);
	listeners = NULL;
	n_listeners = 0;
}
