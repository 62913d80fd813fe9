/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers of one loop for I/O with memory that devices cannot be given: direct I/O pins pages, and
 * the mapping of a dma-buf has none. The CPU copies, and the bytes are counted as staged. Those who
 * share them, the backends, take turns when all are in use; I/O of one is served in order.
 */
#ifndef SLUICE_TARGET_BACKEND_BOUNCE_H
#define SLUICE_TARGET_BACKEND_BOUNCE_H

#include "base/limits.h"
#include "base/list.h"
#include "dmabuf/area.h"

enum {
	BOUNCE_PIECE = 256 << 10, /* bytes; longer I/O goes in several rounds */
	BOUNCE_PIECES = 16,
	BOUNCE_SHARE = 12, /* that one user may hold: a drive that hangs leaves others some */
};

struct bounce {
	struct area area;
	uint8_t free[BOUNCE_PIECES]; /* numbers of the pieces that nobody uses */
	unsigned n_free;
	unsigned least_free; /* that n_free ever was; other threads read both */
	struct list users; /* that somebody waits for and that may have another piece, by turn */
};

struct bounce_user {
	struct list waiters; /* in order */
	struct list link;    /* in bounce.users */
	unsigned n_held;     /* pieces */
};

/*
 * Gets the memory and makes it an area of @loop at @slot, before the loop runs. 0 or negative errno;
 * bounce->area.why_not then says why.
 */
int bounce_init(struct bounce *bounce, struct loop *loop, unsigned slot);
/* Gives it back, after the loop's ring is gone or on the loop's thread. */
void bounce_fini(struct bounce *bounce);

void bounce_user_init(struct bounce_user *user);

/*
 * A piece of BOUNCE_PIECE bytes for @user, or -1 when it can have none now: then @waiter, of the
 * user, is in line, and bounce_put() returns it when its time has come.
 */
int bounce_get(struct bounce *bounce, struct bounce_user *user, struct list *waiter);

/*
 * Gives back @piece of @user. Returns who of any user has waited long enough and has the piece
 * *@next now; or NULL.
 */
struct list *bounce_put(struct bounce *bounce, struct bounce_user *user, int piece, int *next);

/* Takes @waiter of @user out of the line. */
void bounce_leave(struct bounce_user *user, struct list *waiter);

static inline void *bounce_ptr(const struct bounce *bounce, int piece)
{
	return (char *)bounce->area.base + (size_t)piece * BOUNCE_PIECE;
}

#endif
