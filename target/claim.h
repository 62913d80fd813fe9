/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses that are held from the beginning of a start, while memory is still being made: hosts that
 * come in that time wait for their answer. One that was refused would try again much later only
 * (reconnect_delay, 10 s in Linux).
 */
#ifndef SLUICE_TARGET_CLAIM_H
#define SLUICE_TARGET_CLAIM_H

struct config;
struct config_listener;

/*
 * Holds each address of listener_wishes() that a transport can hold now. The others are left to the
 * listeners, which say what is in the way. Main thread, as is all here.
 */
void claims_open(const struct config *config);
/* What is held for the listener of @config, as for transport_ops.claim; the caller's now. -1: nothing. */
int claim_take(const struct config_listener *config);
/* Lets go of what nobody took. */
void claims_close(void);

#endif
