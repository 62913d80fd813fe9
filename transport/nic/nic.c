/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/nic.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"
#include "transport/nic/apply.h"
#include "transport/nic/driver.h"
#include "transport/nic/genl.h"
#include "transport/nic/plan.h"
#include "transport/nic/run.h"
#include "transport/nic/state.h"

enum {
	QUEUE_WAIT_MS = 5000, /* the kernel ends a zero-copy receive in the background */
	POLL_MS = 100,
};

struct nic {
	unsigned ifindex;
	uint32_t buffer_max;
	char describe[192];
	struct nic_state state;
	struct nic_plan plan;
	uint32_t napi[NIC_MAX_QUEUES]; /* atomic */
};

/* ------------------------------------------------------------------------------------------ undoing */

static struct nic_run run_of(const char *name, struct nic_device *device, struct nic_state *state)
{
	return (struct nic_run){ .name = name,
				 .hands = &nic_device_hands,
				 .hands_arg = device,
				 .notes = &nic_state_notes,
				 .notes_arg = state };
}

/* What the interface of @state is called by now: "eth0", or in logs "eth0, now lan0". */
struct names {
	char now[IF_NAMESIZE];
	char both[2 * IF_NAMESIZE + 8];
};

/* False: the interface is gone. */
static bool names_find(const struct nic_state *state, struct names *names)
{
	if (!if_indextoname(state->ifindex, names->now))
		return false;
	snprintf(names->both, sizeof(names->both), "%s%s%s", state->name,
		 strcmp(state->name, names->now) ? ", now " : "",
		 strcmp(state->name, names->now) ? names->now : "");
	return true;
}

/* Takes the steps of @plan back once its queues are free. */
static int undo(struct nic_state *state, struct nic_plan *plan)
{
	struct nic_device *device;
	struct names names;
	struct nic_run run;
	int rc;

	if (!names_find(state, &names)) {
		log_info("%s: is gone, and what was changed with it", state->name);
		plan->n_steps = 0;
		return nic_state_save(state, plan);
	}
	rc = nic_device_open(&device, names.now, state->ifindex);
	if (rc) {
		log_warning("%s: cannot be asked by netlink, so %u changes stay: %s", names.both,
			    plan->n_steps, strerror(-rc));
		return rc;
	}
	if (!nic_device_wait(device, plan->first, plan->count, QUEUE_WAIT_MS))
		log_warning("%s: a program still has zero-copy queues; undoing what can be",
			    names.both);
	run = run_of(names.both, device, state);
	rc = nic_run_undo(&run, plan);
	nic_device_close(device);
	return rc;
}

/* Undoes what a dead process has left; the lock is held. */
static int recover(struct nic_state *state, struct nic_plan *plan, struct nic_why *why)
{
	int rc = nic_state_load(state, plan, why);

	if (rc == -ESTALE) {
		log_info("%s: what %s notes went with a former start of the machine, or a former "
			 "interface of that name",
			 state->name, state->path);
		plan->n_steps = 0;
		return nic_state_save(state, plan);
	}
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	log_info("%s: undoing what a process that ended unexpectedly has changed", state->name);
	rc = undo(state, plan);
	if (rc)
		snprintf(
			why->s, sizeof(why->s),
			"%s is still changed by a process that ended unexpectedly, and that cannot be "
			"undone (%s): the log and %s say what",
			state->name, strerror(-rc), state->path);
	return rc;
}

/* The interface that a directory entry is the state file of; false: it is something else. */
static bool state_file_of(const char *entry, char name[IF_NAMESIZE])
{
	size_t len = strlen(entry);

	if (len <= strlen("nic-.json") || len - strlen("nic-.json") >= IF_NAMESIZE ||
	    strncmp(entry, "nic-", 4) || strcmp(entry + len - 5, ".json"))
		return false;
	snprintf(name, IF_NAMESIZE, "%.*s", (int)(len - strlen("nic-.json")), entry + 4);
	return true;
}

int nic_recover(const char *state_dir)
{
	DIR *dir = opendir(state_dir);
	struct nic_plan *plan = calloc(1, sizeof(*plan));
	const struct dirent *entry;
	char name[IF_NAMESIZE];
	int first = 0;

	if (!dir || !plan) {
		first = !dir ? errno == ENOENT ? 0 : -errno : -ENOMEM;
		goto out;
	}
	while ((entry = readdir(dir))) {
		struct nic_why why = { "" };
		struct nic_state state;
		int rc;

		if (!state_file_of(entry->d_name, name))
			continue;
		rc = nic_state_open(&state, state_dir, name, &why);
		if (rc == -EBUSY)
			continue;
		if (!rc) {
			rc = recover(&state, plan, &why);
			nic_state_close(&state);
		}
		if (rc)
			log_warning("%s", why.s);
		first = first ? first : rc;
	}
out:
	if (dir)
		closedir(dir);
	free(plan);
	return first;
}

/* ------------------------------------------------------------------------------------------ opening */

/* The time that may be waited because of @rc; NULL: none. */
static unsigned *wait_for(int rc, const struct nic_wants *wants, unsigned *taken_ms)
{
	switch (rc) {
	case -EBUSY: /* the owner of the queue may just have died */
		return taken_ms;
	case -ENODEV:
	case -ENETDOWN:
		return wants->wait_ms;
	default:
		return NULL;
	}
}

/* Finds out and plans, and waits for what may come. */
static int plan_wait(struct nic_facts *facts, struct nic_plan *plan, const struct nic_wants *wants,
		     struct nic_why *why)
{
	bool no_port_masks = facts->no_port_masks, said = false;
	unsigned taken_ms = QUEUE_WAIT_MS, *left;
	int rc;

	for (;;) {
		rc = nic_facts_read(facts, wants->name, why);
		facts->no_port_masks = no_port_masks;
		if (!rc)
			rc = nic_plan_make(plan, facts, wants, why);
		left = wait_for(rc, wants, &taken_ms);
		if (!left || !*left)
			return rc;
		if (rc != -EBUSY && !said)
			log_info("%s: is not there or down; waiting for it, %u s at most",
				 wants->name, *left / 1000);
		said = true;
		*left -= MIN(*left, (unsigned)POLL_MS);
		poll(NULL, 0, POLL_MS);
	}
}

/* Plans and makes the changes. Rules that the driver refuses are tried in a simpler form. */
static int set_up(struct nic *nic, struct nic_facts *facts, const struct nic_wants *wants,
		  struct nic_why *why)
{
	for (;;) {
		struct nic_device *device;
		struct nic_run run;
		bool simpler;
		int rc = plan_wait(facts, &nic->plan, wants, why);

		if (rc)
			return rc;
		if (nic->plan.remark.s[0])
			log_warning("%s", nic->plan.remark.s);
		nic->ifindex = nic->state.ifindex = facts->link.index;
		rc = nic_device_open(&device, wants->name, nic->ifindex);
		if (rc) {
			snprintf(why->s, sizeof(why->s), "%s: netlink cannot be opened: %s",
				 wants->name, strerror(-rc));
			return rc;
		}
		run = run_of(wants->name, device, &nic->state);
		rc = nic_run(&run, &nic->plan, why);
		simpler = rc && nic_device_no_port_masks(device) && !facts->no_port_masks;
		nic_device_close(device);
		/* What could not be undone must stay noted: another plan would be noted over it. */
		if (!simpler || nic->plan.n_steps)
			return rc;
		facts->no_port_masks = true;
	}
}

static void facts_take(struct nic *nic, const struct nic_facts *facts)
{
	const struct nic_driver *driver = nic_driver_find(facts->driver);

	nic->buffer_max = driver ? driver->buffer_max : 0;
	nic_facts_describe(facts, nic->describe, sizeof(nic->describe));
	if (!driver)
		log_warning(
			"%s: the driver %s is not known to be able to do zero-copy receive; the "
			"kernel will say",
			facts->name, facts->driver[0] ? facts->driver : "(none)");
}

/* The lock is held. */
static int open_locked(struct nic *nic, const struct nic_wants *wants, struct nic_why *why)
{
	struct nic_facts *facts = calloc(1, sizeof(*facts));
	int rc;

	if (!facts)
		return -ENOMEM;
	rc = recover(&nic->state, &nic->plan, why);
	if (!rc)
		rc = set_up(nic, facts, wants, why);
	if (!rc)
		facts_take(nic, facts);
	free(facts);
	return rc;
}

static void wants_check(const struct nic_wants *wants)
{
	assert(wants->queues > 0 && wants->queues <= NIC_MAX_QUEUES);
	assert(wants->n_listeners <= NIC_MAX_LISTENERS);
	assert(strlen(wants->name) < IF_NAMESIZE);
}

int nic_open(struct nic **nic, const struct nic_wants *wants, struct nic_why *why)
{
	struct nic *n = calloc(1, sizeof(*n));
	int rc;

	wants_check(wants);
	*nic = NULL;
	why->s[0] = '\0';
	if (!n)
		return -ENOMEM;
	rc = nic_state_open(&n->state, wants->state_dir, wants->name, why);
	if (rc)
		goto fail;
	rc = open_locked(n, wants, why);
	if (rc) {
		nic_state_close(&n->state);
		goto fail;
	}
	nic_napi_refresh(n);
	*nic = n;
	return 0;
fail:
	if (!why->s[0])
		snprintf(why->s, sizeof(why->s), "%s: %s", wants->name, strerror(-rc));
	free(n);
	return rc;
}

void nic_close(struct nic *nic)
{
	if (!nic)
		return;
	if (nic->plan.n_steps)
		undo(&nic->state, &nic->plan);
	nic_state_close(&nic->state);
	free(nic);
}

/* -------------------------------------------------------------------------------------- the dry run */

/* What another process has changed: true when it has, so that there is nothing to plan now. */
static bool former_show(const struct nic_wants *wants, struct nic_plan *plan, FILE *out)
{
	struct nic_state state;
	struct nic_why why = { "" };
	bool found = false;
	int owner;

	if (nic_state_peek(&state, wants->state_dir, wants->name, &owner))
		return false;
	if (nic_state_load(&state, plan, &why) == 0) {
		found = true;
		if (owner)
			fprintf(out, "%s is set up by process %d, which undoes at its end:\n",
				wants->name, owner);
		else
			fprintf(out,
				"%s was set up by a process that ended unexpectedly; the next start "
				"undoes this first:\n",
				wants->name);
		for (unsigned i = plan->n_steps; i-- > 0;)
			fprintf(out, "  %s\n", nic_step_undo_words(&plan->step[i]).s);
	}
	nic_state_close(&state);
	return found;
}

int nic_plan_show(const struct nic_wants *wants, FILE *out)
{
	struct nic_facts *facts = calloc(1, sizeof(*facts));
	struct nic_plan *plan = calloc(1, sizeof(*plan));
	struct nic_why why = { "" };
	int rc = -ENOMEM;

	wants_check(wants);
	if (!facts || !plan)
		goto out;
	rc = nic_facts_read(facts, wants->name, &why);
	if (!rc) {
		nic_facts_print(facts, out);
		if (former_show(wants, plan, out))
			goto out;
		rc = nic_plan_make(plan, facts, wants, &why);
	}
	if (rc)
		fprintf(out, "no zero-copy receive: %s\n", why.s);
	else
		nic_plan_print(plan, facts, out);
out:
	free(facts);
	free(plan);
	return rc;
}

/* ---------------------------------------------------------------------------------------- its facts */

unsigned nic_ifindex(const struct nic *nic)
{
	return nic->ifindex;
}

unsigned nic_queues(const struct nic *nic)
{
	return nic->plan.count;
}

unsigned nic_queue(const struct nic *nic, unsigned index)
{
	assert(index < nic->plan.count);
	return nic->plan.first + index;
}

uint32_t nic_buffer_max(const struct nic *nic)
{
	return nic->buffer_max;
}

const char *nic_describe(const struct nic *nic)
{
	return nic->describe;
}

int nic_napi_refresh(struct nic *nic)
{
	struct nic_facts *facts = calloc(1, sizeof(*facts));
	struct nic_genl *genl = malloc(sizeof(*genl));
	int rc = -ENOMEM;

	if (!facts || !genl)
		goto out;
	rc = nic_genl_open(genl, NETLINK_GENERIC);
	if (rc)
		goto out;
	facts->link.index = nic->ifindex;
	rc = nic_facts_ask(facts, genl, NIC_ASK_QUEUES, NULL);
	nic_genl_close(genl);
	for (unsigned i = 0; i < nic->plan.count && !rc; i++)
		__atomic_store_n(&nic->napi[i], facts->napi[nic->plan.first + i], __ATOMIC_RELAXED);
out:
	free(genl);
	free(facts);
	return rc;
}

int nic_queue_of_napi(const struct nic *nic, unsigned napi_id)
{
	for (unsigned i = 0; i < nic->plan.count; i++)
		if (napi_id && __atomic_load_n(&nic->napi[i], __ATOMIC_RELAXED) == napi_id)
			return (int)i;
	return -ENOENT;
}
