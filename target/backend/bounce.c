/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/bounce.h"

#include <assert.h>

int bounce_init(struct bounce *bounce, struct loop *loop, unsigned slot)
{
	const struct area_spec spec = {
		.name = "bounce",
		.size = (size_t)BOUNCE_PIECE * BOUNCE_PIECES,
		.needs = AREA_FACE_CPU | AREA_FACE_FIXED,
	};
	int rc = area_create(&bounce->area, "anon", &spec);

	if (rc)
		return rc;
	/* Refused, it is plain memory, which devices can be given as well. */
	(void)area_register_fixed(&bounce->area, loop, slot);
	list_init(&bounce->users);
	for (bounce->n_free = 0; bounce->n_free < BOUNCE_PIECES; bounce->n_free++)
		bounce->free[bounce->n_free] = (uint8_t)bounce->n_free;
	bounce->least_free = bounce->n_free;
	return 0;
}

void bounce_fini(struct bounce *bounce)
{
	bounce->area.fixed_index = AREA_NOT_FIXED; /* its table is gone, or goes with the ring */
	area_destroy(&bounce->area);
}

void bounce_user_init(struct bounce_user *user)
{
	*user = (struct bounce_user){ 0 };
	list_init(&user->waiters);
	list_init(&user->link);
}

/* At the end of those whose turn comes, if it has someone waiting and may have another piece. */
static void user_queue(struct bounce *bounce, struct bounce_user *user)
{
	if (!list_empty(&user->waiters) && list_empty(&user->link) && user->n_held < BOUNCE_SHARE)
		list_add_tail(&bounce->users, &user->link);
}

static int piece_take(struct bounce *bounce, struct bounce_user *user)
{
	user->n_held++;
	bounce->n_free--;
	bounce->least_free = MIN(bounce->least_free, bounce->n_free);
	return bounce->free[bounce->n_free];
}

/* All the time: no piece is free, or nobody waits who may have it. */
int bounce_get(struct bounce *bounce, struct bounce_user *user, struct list *waiter)
{
	if (bounce->n_free && user->n_held < BOUNCE_SHARE) {
		assert(list_empty(&bounce->users));
		return piece_take(bounce, user);
	}
	list_add_tail(&user->waiters, waiter);
	user_queue(bounce, user);
	return -1;
}

struct list *bounce_put(struct bounce *bounce, struct bounce_user *user, int piece, int *next)
{
	struct list *waiter, *turn;

	bounce->free[bounce->n_free++] = (uint8_t)piece;
	user->n_held--;
	user_queue(bounce, user);
	turn = list_pop(&bounce->users);
	if (!turn)
		return NULL;
	user = list_entry(turn, struct bounce_user, link);
	waiter = list_pop(&user->waiters);
	*next = piece_take(bounce, user);
	user_queue(bounce, user);
	return waiter;
}

void bounce_leave(struct bounce_user *user, struct list *waiter)
{
	list_del(waiter);
	if (list_empty(&user->waiters))
		list_del(&user->link);
}
