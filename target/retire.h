/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last part of the life of namespaces, subsystems and listeners that were taken away while the
 * daemon runs, and of controllers whose hosts have to go: what was begun is answered, for as long as a
 * stop would wait ([daemon] drain); then it is ended; and what nobody points to any more is closed and freed.
 * All of it on the main thread, a little at a time.
 */
#ifndef SLUICE_TARGET_RETIRE_H
#define SLUICE_TARGET_RETIRE_H

#include <stdbool.h>
#include <stdint.h>

struct config_namespace;
struct ctrl;
struct listener;
struct ns;
struct subsys;

/* Time that commands and hosts get from now on. Main thread, as is all here. */
void retire_set_drain(uint32_t ms);

/* Takes over what has left its table. While workers are paused. */
void retire_ns(struct ns *ns);
/* Its controllers are evicted. Its namespaces have been retired. */
void retire_subsys(struct subsys *subsys);
/* It is asked to stop listening; its connections stay. */
void retire_listener(struct listener *listener);

/*
 * Evicts those controllers of @subsys that @stays is false for, all of them where it is NULL: what their
 * hosts have asked is answered, what they ask from now on is for another path, and the connections close.
 */
void retire_ctrls(struct subsys *subsys, bool (*stays)(const struct ctrl *ctrl, const void *arg),
		  const void *arg);

/*
 * Makes what retire_wake() writes to, and returns it: readable when there is a turn to take. -1 when it
 * cannot be had: then there is a turn from time to time. Once, before anything is taken over.
 */
int retire_wake_open(void);
/* Something may have ended that no time was set for, such as a listener's last connection. Any thread. */
void retire_wake(void);

/* The namespace that has left and still has the device or file that @config names, or NULL. */
const struct ns *retire_holder(const struct config_namespace *config);

/* Does what can be done now. To be called when the time is over, and may be at any other. */
void retire_turn(void);
/* Milliseconds until then; -1: nothing waits, or only for a wake. */
int retire_wait_ms(void);

/* For the end, when workers run no more: as subsys_detach_all() for each, then the rest. */
void retire_detach_all(void);
void retire_close_all(void);

#endif
