/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state file of an interface, DIR/nic-IFNAME.json: what has been changed and was what before. It
 * is whole at any time (written beside, synced, renamed), and there only while something is changed.
 *
 * Its owner holds a lock on DIR/nic-IFNAME.lock, which ends with the process: who gets the lock finds
 * in the state file what a dead one has left. The lock file stays, because removing it would let two
 * have it.
 */
#ifndef SLUICE_NIC_STATE_H
#define SLUICE_NIC_STATE_H

#include "transport/nic/plan.h"
#include "transport/nic/run.h"

enum { NIC_STATE_PATH_MAX = 320 };

struct nic_state {
	char name[IF_NAMESIZE]; /* of the interface */
	unsigned ifindex;	/* what is saved is about this one, whatever its name is by now */
	char path[NIC_STATE_PATH_MAX];
	int dir_fd, lock_fd;
	int file_fd; /* of the state file as it is now; -1: it was not written by this process */
};

/* Takes the lock. -EBUSY when a live process has it; its number is in *@why. The caller closes. */
int nic_state_open(struct nic_state *state, const char *dir, const char *name, struct nic_why *why);
void nic_state_close(struct nic_state *state);

/*
 * As nic_state_open(), only to look: takes no lock and makes no file. *@owner is the process that has
 * the lock, or 0. -ENOENT when there is no such directory.
 */
int nic_state_peek(struct nic_state *state, const char *dir, const char *name, int *owner);

/*
 * What was left: 0, state->ifindex and *@plan (steps and former table), -ENOENT when nothing was,
 * -ESTALE when what was changed is gone (the interface, or the machine has been started anew), or
 * -EBADMSG and *@why when the file is damaged or somebody else's.
 */
int nic_state_load(struct nic_state *state, struct nic_plan *plan, struct nic_why *why);

/*
 * Writes the steps of @plan; without steps, removes the file, or empties it where the directory is not
 * the process's any more (it has given its privileges up since). 0 or negative errno.
 */
int nic_state_save(struct nic_state *state, const struct nic_plan *plan);

/* For nic_run(): @arg is the struct nic_state. */
extern const struct nic_notes nic_state_notes;

#endif
