/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners: opened last, retried while their address is not there, reported. */
#ifndef SLUICE_TARGET_LISTENER_H
#define SLUICE_TARGET_LISTENER_H

#include "base/loop.h"
#include "config/config.h"
#include "target/datapath.h"
#include "target/transport_ops.h"

enum listener_state { LISTENER_CLOSED, LISTENER_WAITING, LISTENER_OPEN };

struct listener {
	const struct config_listener *config;
	struct config_listener own;  /* config of a discovery listener that came by default */
	const struct transport_ops *ops;
	unsigned transport_index;
	uint16_t port_id; /* PORTID of its discovery entries */
	enum listener_state state; /* atomic */
	bool automatic;   /* opened beside another one, for discovery */
	int error;        /* why it is waiting: negative errno */
	struct datapath path; /* receive and transmit rungs */
	struct worker *worker; /* accepts on this one */
	struct timer retry;
	int fd;
	struct op accept_op;
	struct timer accept_again; /* after a shortage, such as of descriptors */
	struct msg start_msg, stop_msg;
	bool accepting;
};

extern struct listener *listeners;
extern unsigned n_listeners;

/*
 * Makes a listener for each configured one, and a discovery listener beside each where the
 * configuration asks for that port. Decides the rungs; -EOPNOTSUPP when `require = zerocopy`
 * cannot be had (logged with the reason).
 */
int listener_init_all(const struct config *config);
/* Starts listening on the workers; those whose address is missing are tried again until stopped. */
void listener_start_all(void);
/* Stops accepting everywhere. */
void listener_stop_all(void);
void listener_fini_all(void);

static inline bool listener_is_open(const struct listener *listener)
{
	return __atomic_load_n(&listener->state, __ATOMIC_ACQUIRE) == LISTENER_OPEN;
}

/* All transports; NULL-terminated. Defined in transport/registry.c, handed over by main. */
void transport_register_all(const struct transport_ops *const *registry);
extern const struct transport_ops *const *transports;

#endif
