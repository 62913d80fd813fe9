/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listeners: served last of all, though claim.h may hold their addresses before; retried while their
 * address is not there; reported.
 */
#ifndef SLUICE_TARGET_LISTENER_H
#define SLUICE_TARGET_LISTENER_H

#include "base/log_about.h"
#include "base/loop.h"
#include "config/config.h"
#include "target/datapath.h"
#include "target/leaver.h"
#include "target/retire.h"
#include "target/transport_ops.h"

enum listener_state { LISTENER_CLOSED, LISTENER_WAITING, LISTENER_OPEN };

enum { LISTENER_WHY_MAX = 384 };

struct listener {
	const struct config_listener *config;
	/* Config of a discovery listener that came by default, or of one that left its configuration. */
	struct config_listener own;
	const struct transport_ops *ops;
	unsigned transport_index;
	uint16_t port_id; /* PORTID of its discovery entries; no other of `listeners` has it */
	unsigned refs;    /* atomic: connections, controllers and what is on its way to be one */
	enum listener_state state; /* atomic */
	bool drained;     /* it does not listen until it is resumed; the main thread sets it */
	struct leaver leaver;
	bool automatic;   /* opened beside another one, for discovery */
	int error;        /* why it is waiting: negative errno */
	char why[LISTENER_WHY_MAX];  /* the same in the transport's words; empty: it has none */
	bool why_given;   /* by this try to listen */
	char said[LISTENER_WHY_MAX]; /* what was logged of it last */
	struct datapath path; /* receive and transmit rungs; other threads: listener_report_of() */
	struct worker *worker; /* accepts on this one */
	struct timer retry;
	void *transport_data; /* the transport's own, while it listens */
	int fd; /* held for it, or listening; -1: none */
	struct op accept_op;
	struct timer accept_again; /* after a shortage, such as of descriptors */
	struct msg start_msg, stop_msg;
	bool accepting;
};

/* What messages about @listener are about. */
static inline struct log_about listener_about(const struct listener *listener)
{
	return log_about(.listener = listener->config->name);
}

/* All that there are now, of LISTENERS_ROOM. Changed only while workers do not run, or are paused. */
enum { LISTENERS_ROOM = 2 * MAX_LISTENERS };
extern struct listener **listeners;
extern unsigned n_listeners;

/* A listener that the configuration asks for, with a line or for discovery beside another. */
struct listener_wish {
	struct config_listener config;
	const struct config_listener *source; /* of the configuration; NULL: it comes by default */
};

/*
 * What listeners @config asks for: each that it has, and a discovery listener beside each where it asks
 * for that port. Their number; @wishes has room for LISTENERS_ROOM.
 */
unsigned listener_wishes(const struct config *config, struct listener_wish *wishes);

/*
 * Makes a listener for @wish, which nobody finds yet, with a @port_id that no other one has. Decides the
 * rungs. 0, or negative errno with a sentence in @err of LISTENER_ERROR_MAX bytes; -EOPNOTSUPP:
 * `require = zerocopy` cannot be had.
 */
enum { LISTENER_ERROR_MAX = 768 };
int listener_new(const struct listener_wish *wish, uint16_t port_id, struct listener **out, char *err);
/* Frees one that is closed and that nobody has a reference to, or when no worker runs. */
void listener_free(struct listener *listener);

/* A listener for each of listener_wishes(). 0 or negative errno, as listener_new(), logged. */
int listener_init_all(const struct config *config);
/* Begins to listen, or stops to: on its worker, soon. */
void listener_start(struct listener *listener);
void listener_stop(struct listener *listener);
/*
 * Waits until @listener was tried after listener_start(), or is closed (@closed) after listener_stop();
 * for LISTENER_SETTLE_MS at most, which only a worker that hangs takes. Main thread.
 */
void listener_settle(const struct listener *listener, bool closed);

/* For who keeps a pointer to it. Any thread. */
static inline void listener_get(struct listener *listener)
{
	__atomic_add_fetch(&listener->refs, 1, __ATOMIC_RELAXED);
}

static inline void listener_put(struct listener *listener)
{
	if (!__atomic_sub_fetch(&listener->refs, 1, __ATOMIC_RELEASE))
		retire_wake();
}

/* For transport_ops.listen on its way to an error: why, in words that name what is to be changed. */
void listener_why(struct listener *listener, const char *fmt, ...) __printf(2, 3);
/* On its worker, from transport_ops.listen on: the facts are these now. */
void listener_facts(struct listener *listener, const struct datapath_facts *facts);
/* Says that it serves no more, for the configuration has it no more. On the main thread. */
void listener_log_removed(const struct listener *listener);
/*
 * On its worker: the transport listens no more, because of what @fmt says; it has been given back as by
 * transport_ops.unlisten. The core tries again until it is stopped.
 */
void listener_lost(struct listener *listener, const char *fmt, ...) __printf(2, 3);
/* The rungs, and why it is waiting (empty: it is not), of a moment. Any thread. */
void listener_report_of(const struct listener *listener, struct datapath *path,
			char why[LISTENER_WHY_MAX]);

/* Starts listening on the workers; those whose address is missing are tried again until stopped. */
void listener_start_all(void);
/* Stops accepting everywhere. */
void listener_stop_all(void);
void listener_fini_all(void);

/*
 * Why @listener is waiting, in @text of LISTENER_WHY_MAX bytes. False: it does not. Any thread; of a
 * moment.
 */
bool listener_waits(const struct listener *listener, char text[LISTENER_WHY_MAX]);

static inline bool listener_is_open(const struct listener *listener)
{
	return __atomic_load_n(&listener->state, __ATOMIC_ACQUIRE) == LISTENER_OPEN;
}

/* All transports; NULL-terminated. Defined in transport/registry.c, handed over by main. */
void transport_register_all(const struct transport_ops *const *registry);
extern const struct transport_ops *const *transports;

#endif
