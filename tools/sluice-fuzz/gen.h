/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes sessions from seeds: a walk along legal paths, of which a few actions are then spoilt. */
#ifndef SLUICE_FUZZ_GEN_H
#define SLUICE_FUZZ_GEN_H

#include "base/rng.h"
#include "script.h"

enum { GEN_CONNS_DEFAULT = 4 };

/* The session of @seed on at most @conns connections, 1 to SCRIPT_CONNS. Pure. */
void gen_session(struct session *session, uint64_t seed, unsigned conns);

/* Only the walk. @rng goes on to gen_mutate(). */
void gen_walk(struct session *session, struct rng *rng, unsigned conns);

/* Spoils one action of @session, which may add or remove some. */
void gen_mutate(struct session *session, struct rng *rng);

/* Puts @action before number @at, if there is room. */
void session_insert(struct session *session, unsigned at, const struct action *action);
void session_remove(struct session *session, unsigned at, unsigned n);

#endif
