/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network interfaces made ready for zero-copy receive, and given back as they were: header split on,
 * the last queues of the interface kept for zero-copy connections, rules that steer the listeners'
 * connections to them. README.md says how, and which NICs can.
 *
 * What is changed is written to a state file before it is changed, so that the next start undoes
 * what a process that died has left behind.
 *
 * Everything but nic_queue_of_napi() is for one thread at a time, and may block for seconds: interfaces
 * restart their queues.
 */
#ifndef SLUICE_NIC_NIC_H
#define SLUICE_NIC_NIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/limits.h"

struct nic;

enum {
	NIC_MAX_QUEUES = MAX_WORKERS, /* zero-copy queues of one interface */
	NIC_MAX_LISTENERS = 2 * MAX_LISTENERS,
	NIC_WHY_MAX = 640,
};

/* A sentence for people: what is missing or wrong, and what to do about it. No full stop at its end. */
struct nic_why {
	char s[NIC_WHY_MAX];
};

/* What a `[nic IFNAME]` section and the listeners ask for. Only read during the call it is given to. */
struct nic_wants {
	const char *name; /* of the interface */
	unsigned queues;  /* zero-copy queues: 1..NIC_MAX_QUEUES */
	bool queues_auto; /* fewer will do, down to one; and half of the interface's at most */
	unsigned ring;	  /* entries of the receive rings; 0: as they are */
	uint32_t buffer; /* bytes of a receive buffer, a power of two, at least a page; 0: a page */
	bool setup;	 /* false: verify that the operator prepared it all, and change nothing */
	const struct sockaddr_storage *listeners; /* IPv4 and IPv6, wildcards too */
	unsigned n_listeners;			  /* at most NIC_MAX_LISTENERS */
	const char *state_dir; /* exists and is the daemon's alone, such as /run/sluice */
	/*
	 * How long nic_open() waits for an interface that is not there or down; what is left is written
	 * back. NULL: not at all.
	 */
	unsigned *wait_ms;
};

/*
 * Undoes what processes that died have left behind, whichever interfaces it was: call once at start,
 * before nic_open(). What other live processes hold is left alone. Each thing undone, or that could
 * not be, is logged. Needs CAP_NET_ADMIN when there is anything to undo. 0, or the first error.
 */
int nic_recover(const char *state_dir);

/*
 * Finds out what the interface is and can, undoes what a dead process left on it, plans, and makes
 * the changes (each is logged), or verifies only. Needs CAP_NET_ADMIN. The caller owns *@nic.
 *
 * Listeners on loopback addresses are left out. A listener on the wildcard address of a family is
 * steered by port alone, and of that family alone.
 *
 * On failure everything that was changed is undone, *@nic is NULL and *@why says what is wrong:
 * -ENODEV no such interface, -ENETDOWN it is down (both were waited for, wants->wait_ms), -EPERM no
 * privilege, -EBUSY a queue or the interface is another's (it was waited for, some seconds), -EEXIST
 * what someone else has set is in the way, -E2BIG there is too much of that to be looked at, -ENOTSUP
 * the kernel, driver or device cannot, -EINVAL what is asked for does not fit, -ENOENT verify only, and
 * something is not prepared; others as the kernel gave them.
 */
int nic_open(struct nic **nic, const struct nic_wants *wants, struct nic_why *why);

/*
 * Undoes all changes, in reverse; a thing that someone else has changed since is left as it is. Call
 * when the rings that had the queues are gone: it waits some seconds for the kernel to give them
 * back. Needs CAP_NET_ADMIN still. What cannot be undone is logged and stays in the state file, for
 * nic_recover(). Frees @nic. NULL is ignored.
 */
void nic_close(struct nic *nic);

/* Writes to @out, in words, what the interface is and what nic_open() would do, or why it would not;
 * changes nothing and takes no lock. 0, or what nic_open() would fail with. */
int nic_plan_show(const struct nic_wants *wants, FILE *out);

/* The interface, for registering with a ring. */
unsigned nic_ifindex(const struct nic *nic);

/* How many zero-copy queues there are, 1..NIC_MAX_QUEUES: at most what was asked for. */
unsigned nic_queues(const struct nic *nic);

/* Bytes of the longest receive buffer that its driver is known to take; 0: a page. */
uint32_t nic_buffer_max(const struct nic *nic);

/* The interface's number of the zero-copy queue @index, 0..nic_queues() - 1. Worker @index owns it. */
unsigned nic_queue(const struct nic *nic, unsigned index);

/* "bnxt_en 7.3.4, firmware 229.0.157.0, 0000:3b:00.0": for logs and reports. */
const char *nic_describe(const struct nic *nic);

/*
 * Asks again which NAPI serves each zero-copy queue: some drivers give a queue that restarts, as one
 * does that is registered with a ring, another identifier. Needs no privilege. 0 or negative errno;
 * -ENODEV when the interface is gone.
 */
int nic_napi_refresh(struct nic *nic);

/*
 * The index of the zero-copy queue that the NAPI @napi_id serves (SO_INCOMING_NAPI_ID of a
 * connection), by the last refresh, or -ENOENT: then the connection came in by another queue or
 * interface, or queues have restarted. 0 is no identifier. From any thread; takes no lock.
 */
int nic_queue_of_napi(const struct nic *nic, unsigned napi_id);

#endif
