/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/apply.h"

#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "transport/nic/abi.h"
#include "transport/nic/genl.h"
#include "transport/nic/parse.h"

enum { WAIT_POLL_MS = 20 };

struct nic_device {
	int fd; /* for SIOCETHTOOL */
	bool no_port_masks;
	struct nic_genl genl;
	struct nic_facts facts; /* as last asked for, name and index always */
};

int nic_device_open(struct nic_device **device, const char *name, unsigned ifindex)
{
	struct nic_device *d = calloc(1, sizeof(*d));
	int rc;

	*device = NULL;
	if (!d)
		return -ENOMEM;
	snprintf(d->facts.name, sizeof(d->facts.name), "%s", name);
	d->facts.link.index = ifindex;
	d->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = d->fd < 0 ? -errno : nic_genl_open(&d->genl, NETLINK_GENERIC);
	if (rc) {
		if (d->fd >= 0)
			close(d->fd);
		free(d);
		return rc;
	}
	*device = d;
	return 0;
}

void nic_device_close(struct nic_device *device)
{
	if (!device)
		return;
	nic_genl_close(&device->genl);
	close(device->fd);
	free(device);
}

bool nic_device_no_port_masks(const struct nic_device *device)
{
	return device->no_port_masks;
}

/* ------------------------------------------------------------------------------------------- asking */

static int ask(struct nic_device *d, enum nic_ask what, struct nic_why *why)
{
	return nic_facts_ask(&d->facts, &d->genl, what, why);
}

bool nic_device_wait(struct nic_device *device, uint32_t first, uint32_t count, unsigned ms)
{
	for (unsigned waited = 0;; waited += WAIT_POLL_MS) {
		bool taken = false;

		if (ask(device, NIC_ASK_QUEUES, NULL))
			return true; /* nobody has queues of an interface that is gone */
		for (uint32_t q = first; q < first + count && q < device->facts.n_queues; q++)
			taken = taken || device->facts.taken[q] != NIC_QUEUE_FREE;
		if (!taken || waited >= ms)
			return !taken;
		poll(NULL, 0, WAIT_POLL_MS);
	}
}

/* ------------------------------------------------------------------------------------------ setting */

static struct nlmsghdr *request(struct nic_device *d, uint8_t cmd)
{
	return nic_genl_ethtool(&d->genl, cmd, d->facts.link.index);
}

static int tell(struct nic_device *d, struct nlmsghdr *nlh, struct nic_why *why)
{
	return nic_genl_call(&d->genl, nlh, false, NULL, NULL, why);
}

static int set_u32(struct nic_device *d, uint8_t cmd, uint16_t attr, uint32_t value,
		   struct nic_why *why)
{
	struct nlmsghdr *nlh = request(d, cmd);

	mnl_attr_put_u32(nlh, attr, value);
	return tell(d, nlh, why);
}

static int ask_feature(struct nic_device *d, const char *name, bool *on, struct nic_why *why)
{
	int rc = ask(d, NIC_ASK_FEATURES, why);

	*on = strcmp(name, "rx-gro-hw") ? d->facts.ntuple.on : d->facts.gro_hw.on;
	return rc;
}

static int wish_feature(struct nic_device *d, const char *name, bool on, struct nic_why *why)
{
	struct nlmsghdr *nlh = request(d, ETHTOOL_MSG_FEATURES_SET);
	struct nlattr *set = mnl_attr_nest_start(nlh, ETHTOOL_A_FEATURES_WANTED);
	struct nlattr *bits = mnl_attr_nest_start(nlh, ETHTOOL_A_BITSET_BITS);
	struct nlattr *bit = mnl_attr_nest_start(nlh, ETHTOOL_A_BITSET_BITS_BIT);

	mnl_attr_put_strz(nlh, ETHTOOL_A_BITSET_BIT_NAME, name);
	if (on)
		mnl_attr_put(nlh, ETHTOOL_A_BITSET_BIT_VALUE, 0, NULL);
	mnl_attr_nest_end(nlh, bit);
	mnl_attr_nest_end(nlh, bits);
	mnl_attr_nest_end(nlh, set);
	return tell(d, nlh, why);
}

static int set_feature(struct nic_device *d, const char *name, bool on, struct nic_why *why)
{
	int rc = wish_feature(d, name, on, why);
	bool is;

	/* A wish that the driver does not grant is no error to the kernel, which keeps it for later. */
	if (rc || ask_feature(d, name, &is, NULL) || is == on)
		return rc;
	wish_feature(d, name, !on, NULL);
	snprintf(why->s, sizeof(why->s), "the driver keeps it %s", is ? "on" : "off");
	return -EOPNOTSUPP;
}

/* Entry @i of a table that spreads over the queues of @step. */
static uint32_t spread_entry(const struct nic_step *step, unsigned i)
{
	return step->first + i % step->count;
}

static void put_spread(struct nlmsghdr *nlh, const struct nic_step *step, unsigned n)
{
	uint32_t table[NIC_SEEN_TABLE];

	for (unsigned i = 0; i < n; i++)
		table[i] = spread_entry(step, i);
	mnl_attr_put(nlh, NIC_A_RSS_INDIR, n * sizeof(table[0]), table);
}

/* The size of the table is the interface's, and may have changed with the number of queues. */
static int set_spread(struct nic_device *d, const struct nic_step *step, uint8_t cmd,
		      struct nic_why *why)
{
	struct nlmsghdr *nlh;
	int rc = ask(d, NIC_ASK_HASH, why);

	if (rc)
		return rc;
	nlh = request(d, cmd);
	if (step->kind == NIC_STEP_CONTEXT)
		mnl_attr_put_u32(nlh, NIC_A_RSS_CONTEXT, step->to);
	put_spread(nlh, step, d->facts.table.n);
	return tell(d, nlh, why);
}

static int set_rule(struct nic_device *d, struct nic_step *step)
{
	int rc = nic_rule_add(d->fd, d->facts.name, &step->rule);

	if ((rc == -EINVAL || rc == -EOPNOTSUPP) && step->rule.source_mask)
		d->no_port_masks = true;
	return rc;
}

static int rings_apply(struct nic_device *d, struct nic_step *step, struct nic_why *why)
{
	struct nlmsghdr *nlh = request(d, ETHTOOL_MSG_RINGS_SET);
	int rc;

	mnl_attr_put_u8(nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, ETHTOOL_TCP_DATA_SPLIT_ENABLED);
	if (step->thresh)
		mnl_attr_put_u32(nlh, NIC_A_RINGS_HDS_THRESH, 0);
	if (step->to)
		mnl_attr_put_u32(nlh, ETHTOOL_A_RINGS_RX, step->to);
	rc = tell(d, nlh, why);
	if (rc || !step->to || ask(d, NIC_ASK_RINGS, NULL))
		return rc;
	step->to = d->facts.rings.rx;
	step->rounded = true;
	return 0;
}

static int apply(void *arg, struct nic_step *step, struct nic_why *why)
{
	struct nic_device *d = arg;

	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		return set_u32(d, ETHTOOL_MSG_CHANNELS_SET,
			       step->combined ? ETHTOOL_A_CHANNELS_COMBINED_COUNT :
						ETHTOOL_A_CHANNELS_RX_COUNT,
			       step->to, why);
	case NIC_STEP_FEATURE:
		return set_feature(d, step->feature, true, why);
	case NIC_STEP_RINGS:
		return rings_apply(d, step, why);
	case NIC_STEP_SPREAD:
		return set_spread(d, step, NIC_MSG_RSS_SET, why);
	case NIC_STEP_CONTEXT:
		return set_spread(d, step, NIC_MSG_RSS_CREATE_ACT, why);
	default:
		return set_rule(d, step);
	}
}

/* ------------------------------------------------------------------------------------------ undoing */

static int channels_undo(struct nic_device *d, const struct nic_step *step, struct nic_why *why)
{
	const struct nic_channels *c = &d->facts.channels;
	int rc = ask(d, NIC_ASK_CHANNELS, why);

	if (rc)
		return rc;
	if ((step->combined ? c->combined : c->rx) != step->to)
		return NIC_LEFT_ALONE;
	return set_u32(d, ETHTOOL_MSG_CHANNELS_SET,
		       step->combined ? ETHTOOL_A_CHANNELS_COMBINED_COUNT :
					ETHTOOL_A_CHANNELS_RX_COUNT,
		       step->from, why);
}

static int feature_undo(struct nic_device *d, const struct nic_step *step, struct nic_why *why)
{
	struct nic_rules *rules = &d->facts.rules;
	bool on;
	int rc = ask_feature(d, step->feature, &on, why);

	if (rc)
		return rc;
	if (!on)
		return NIC_LEFT_ALONE;
	/* Some drivers remove all rules when they are switched off (bnxt, gve); ours are gone already. */
	if (strcmp(step->feature, "rx-gro-hw") && !nic_rules_read(d->fd, d->facts.name, rules) &&
	    rules->n > step->from) {
		snprintf(why->s, sizeof(why->s),
			 "somebody else has made steering rules since, which might go with it");
		return NIC_LEFT_ALONE;
	}
	return set_feature(d, step->feature, false, why);
}

/*
 * Off may have been the driver's own choice, which it takes again when the setting is withdrawn; some
 * drivers take no other way back (bnxt). Where the choice is "on", off was someone's setting.
 */
static int split_off(struct nic_device *d, const struct nic_step *step, struct nic_why *why)
{
	struct nlmsghdr *nlh;
	int rc = step->split == NIC_SPLIT_OFF ? ask(d, NIC_ASK_RINGS, why) : 0;

	if (rc || step->split != NIC_SPLIT_OFF || d->facts.rings.split != NIC_SPLIT_ON)
		return rc;
	nlh = request(d, ETHTOOL_MSG_RINGS_SET);
	mnl_attr_put_u8(nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, ETHTOOL_TCP_DATA_SPLIT_DISABLED);
	return tell(d, nlh, why);
}

/* Until the driver's number was noted, any but the former one may be what it made of ours. */
static bool entries_are_ours(const struct nic_step *step, uint32_t now)
{
	return step->to && (step->rounded ? now == step->to : now != step->from);
}

static int rings_undo(struct nic_device *d, const struct nic_step *step, struct nic_why *why)
{
	struct nlmsghdr *nlh;
	bool split, thresh, entries;
	int rc = ask(d, NIC_ASK_RINGS, why);

	if (rc)
		return rc;
	split = step->split != NIC_SPLIT_ON && d->facts.rings.split == NIC_SPLIT_ON;
	thresh = step->thresh && !d->facts.rings.thresh;
	entries = entries_are_ours(step, d->facts.rings.rx);
	if (!split && !thresh && !entries) {
		if (step->split == NIC_SPLIT_ON)
			snprintf(why->s, sizeof(why->s),
				 "tcp-data-split was on; `ethtool -G %s tcp-data-split auto` lets the "
				 "driver choose again",
				 d->facts.name);
		return NIC_LEFT_ALONE;
	}
	nlh = request(d, ETHTOOL_MSG_RINGS_SET);
	if (split)
		mnl_attr_put_u8(nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT,
				ETHTOOL_TCP_DATA_SPLIT_UNKNOWN);
	if (thresh)
		mnl_attr_put_u32(nlh, NIC_A_RINGS_HDS_THRESH, step->thresh);
	if (entries)
		mnl_attr_put_u32(nlh, ETHTOOL_A_RINGS_RX, step->from);
	rc = tell(d, nlh, why);
	return rc || !split ? rc : split_off(d, step, why);
}

static int spread_undo(struct nic_device *d, const struct nic_step *step,
		       const struct nic_table *former, struct nic_why *why)
{
	const struct nic_table *table = &d->facts.table;
	uint32_t entries[NIC_SEEN_TABLE];
	struct nlmsghdr *nlh;
	unsigned n = 0;
	int rc = ask(d, NIC_ASK_HASH, why);

	if (rc)
		return rc;
	for (unsigned i = 0; i < table->n; i++)
		if (table->queue[i] != spread_entry(step, i))
			return NIC_LEFT_ALONE;
	/* A table that has got another size cannot be what it was: it becomes the device's own. */
	if (step->from && former->n == table->n)
		for (; n < former->n; n++)
			entries[n] = former->queue[n];
	nlh = request(d, NIC_MSG_RSS_SET);
	mnl_attr_put(nlh, NIC_A_RSS_INDIR, n * sizeof(entries[0]), entries);
	return tell(d, nlh, why);
}

/* Only a context that spreads over exactly the queues of @step is the one that was made. */
static bool context_is(const struct nic_device *d, const struct nic_context *context,
		       const struct nic_step *step)
{
	struct nic_set made = { 0 };

	for (unsigned i = 0; i < d->facts.table.n; i++)
		nic_set_add(&made, spread_entry(step, i));
	return context->id == step->to && !memcmp(&made, &context->queues, sizeof(made));
}

static int context_undo(struct nic_device *d, const struct nic_step *step, struct nic_why *why)
{
	int rc = ask(d, NIC_ASK_HASH, why);

	if (rc)
		return rc;
	for (unsigned i = 0; i < d->facts.n_contexts; i++)
		if (context_is(d, &d->facts.context[i], step))
			return set_u32(d, NIC_MSG_RSS_DELETE_ACT, NIC_A_RSS_CONTEXT, step->to, why);
	return NIC_LEFT_ALONE;
}

static int rule_undo(struct nic_device *d, const struct nic_step *step)
{
	struct nic_rules *rules = &d->facts.rules;
	int rc = nic_rules_read(d->fd, d->facts.name, rules);

	if (rc)
		return rc;
	for (unsigned i = 0; i < rules->n; i++)
		if (nic_rule_same_match(&rules->rule[i], &step->rule) &&
		    nic_rule_same_target(&rules->rule[i], &step->rule))
			return nic_rule_remove(d->fd, d->facts.name, rules->rule[i].place);
	return NIC_LEFT_ALONE;
}

static int undo_one(struct nic_device *d, const struct nic_step *step,
		    const struct nic_table *former, struct nic_why *why)
{
	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		return channels_undo(d, step, why);
	case NIC_STEP_FEATURE:
		return feature_undo(d, step, why);
	case NIC_STEP_RINGS:
		return rings_undo(d, step, why);
	case NIC_STEP_SPREAD:
		return spread_undo(d, step, former, why);
	case NIC_STEP_CONTEXT:
		return context_undo(d, step, why);
	default:
		return rule_undo(d, step);
	}
}

static int undo(void *arg, const struct nic_step *step, const struct nic_table *former,
		struct nic_why *why)
{
	int rc = undo_one(arg, step, former, why);

	if (rc != -ENODEV)
		return rc;
	snprintf(why->s, sizeof(why->s), "the interface has gone meanwhile");
	return NIC_LEFT_ALONE;
}

const struct nic_hands nic_device_hands = { .apply = apply, .undo = undo };
