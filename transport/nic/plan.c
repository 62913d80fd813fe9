/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/planner.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

int planner_refuse(const struct planner *p, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(p->why->s, sizeof(p->why->s), fmt, args);
	va_end(args);
	return rc;
}

int planner_step(struct planner *p, const struct nic_step *step)
{
	if (!p->wants->setup)
		return planner_refuse(
			p, -ENOENT,
			"%s is not prepared (%s), and [nic %s] setup = no forbids to do it: "
			"%s, or set setup = yes",
			p->facts->name, nic_step_words(step).s, p->facts->name,
			nic_step_command(step, p->facts->name).s);
	if (p->plan->n_steps == NIC_PLAN_STEPS)
		return planner_refuse(
			p, -EINVAL,
			"%s: more than %d steering rules would be needed: have fewer listeners, "
			"or set [nic %s] queues = 1",
			p->facts->name, NIC_PLAN_RULES, p->facts->name);
	p->plan->step[p->plan->n_steps++] = *step;
	return 0;
}

/* ------------------------------------------------------------------------ what can be used at all */

/* Interfaces that have no queues of their own: what they receive, another one has received. */
static bool stacked(const char *kind)
{
	static const char *const kinds[] = { "bond",	"team",	  "bridge", "vlan", "macvlan",
					     "macvtap", "ipvlan", "ipvtap", "vrf" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kind, kinds[i]))
			return true;
	return false;
}

static int interface_check(const struct planner *p)
{
	const struct nic_facts *facts = p->facts;

	if (!facts->link.index)
		return planner_refuse(
			p, -ENODEV,
			"there is no network interface %s: `ip link` lists those that there are; "
			"correct the section [nic %s]",
			facts->name, facts->name);
	if (stacked(facts->link.kind))
		return planner_refuse(
			p, -ENOTSUP,
			"%s is a %s, which has no receive queues of its own: name what it is made "
			"of instead (`ip link` shows it)",
			facts->name, facts->link.kind);
	if (!facts->link.up)
		return planner_refuse(p, -ENETDOWN,
				      "%s is down, and its queues exist when it is up only: "
				      "ip link set %s up, before the daemon starts",
				      facts->name, facts->name);
	if (facts->link.xdp)
		return planner_refuse(
			p, -EEXIST,
			"%s has an XDP program, which the kernel does not let share an interface "
			"with zero-copy receive: ip link set %s xdp off",
			facts->name, facts->name);
	return 0;
}

static int kernel_check(const struct planner *p)
{
	switch (p->facts->zcrx) {
	case NIC_ZCRX_OLD_KERNEL:
		return planner_refuse(p, -ENOTSUP,
				      "Linux %s has no zero-copy receive that can be asked for "
				      "(IORING_REGISTER_QUERY is unknown): use 6.18 or later",
				      p->facts->kernel);
	case NIC_ZCRX_LEFT_OUT:
		return planner_refuse(p, -ENOTSUP,
				      "Linux %s was built without zero-copy receive: it needs "
				      "CONFIG_IO_URING_ZCRX, which comes with CONFIG_PAGE_POOL and "
				      "CONFIG_NET_RX_BUSY_POLL",
				      p->facts->kernel);
	case NIC_ZCRX_FORBIDDEN:
		return planner_refuse(
			p, -ENOTSUP,
			"io_uring is forbidden to this process: see sysctl "
			"kernel.io_uring_disabled, or the system call filter of the service");
	default:
		break;
	}
	if (!p->facts->privileged)
		return planner_refuse(
			p, -EPERM,
			"%s cannot be used for zero-copy receive without CAP_NET_ADMIN: start as "
			"root, or give the service that capability (CapabilityBoundingSet, "
			"AmbientCapabilities)",
			p->facts->name);
	return 0;
}

/* What the device can, before how much of it is wanted. */
static int device_check(const struct planner *p)
{
	const struct nic_facts *facts = p->facts;
	const char *driver = facts->driver[0] ? facts->driver : "unknown";
	const char *firmware = facts->firmware[0] ? facts->firmware : "unknown";
	const char *needs = p->driver ? p->driver->needs : NULL;

	if (facts->rings.split == NIC_SPLIT_UNKNOWN && !(p->driver && p->driver->split_by_gro))
		return planner_refuse(
			p, -ENOTSUP,
			"%s (driver %s, firmware %s) cannot split headers from data "
			"(tcp-data-split): %s%s; zero-copy receive takes a NIC that can, "
			"such as those of %s",
			facts->name, driver, firmware,
			needs ? "this driver needs " : "its driver does not offer it",
			needs ? needs : "", nic_driver_names().s);
	if (p->driver && p->driver->split_by_gro && !facts->gro_hw.on && !facts->gro_hw.changeable)
		return planner_refuse(p, -ENOTSUP,
				      "%s (driver %s, firmware %s) cannot split headers from data "
				      "without rx-gro-hw, which it does not have: %s is needed",
				      facts->name, driver, firmware, needs);
	if (facts->rules.error == -E2BIG)
		return planner_refuse(
			p, -E2BIG,
			"%s has more than %d steering rules, too many to look at each: remove some "
			"(ethtool -N %s delete N)",
			facts->name, NIC_SEEN_RULES, facts->name);
	if (!facts->rules.known)
		return planner_refuse(
			p, -ENOTSUP,
			"%s (driver %s, firmware %s) has no steering rules (ntuple "
			"filters): nothing can bring the listeners' connections to queues "
			"of their own (%s)",
			facts->name, driver, firmware, strerror(-facts->rules.error));
	if (!facts->hash_known)
		return planner_refuse(
			p, -ENOTSUP,
			"%s (driver %s, firmware %s) does not let its receive hash (RSS) be "
			"limited to some queues: other connections would come in by those "
			"of zero-copy",
			facts->name, driver, firmware);
	return 0;
}

static int buffer_check(const struct planner *p)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE), max = page;

	if (p->driver)
		max = MAX(page, p->driver->buffer_max);
	if (p->driver && p->wants->buffer > max)
		return planner_refuse(
			p, -EINVAL,
			"[nic %s] buffer = %u: the driver %s takes receive buffers of at most %u "
			"bytes; set that, or auto",
			p->facts->name, p->wants->buffer, p->driver->name, max);
	return 0;
}

/* ------------------------------------------------------------------------------------------- queues */

static unsigned power_of_two_below(unsigned n)
{
	unsigned power = 1;

	while (power * 2 <= n)
		power *= 2;
	return power;
}

uint32_t planner_queues_now(const struct nic_facts *facts)
{
	return facts->n_queues ? facts->n_queues : facts->channels.rx + facts->channels.combined;
}

/* Receive queues are parts of combined channels, rather than channels of their own. */
static bool channels_combined(const struct nic_channels *c)
{
	return c->combined || (!c->rx && c->combined_max);
}

/* How many receive queues more the device could have. */
static uint32_t queues_more(const struct nic_facts *facts)
{
	const struct nic_channels *c = &facts->channels;

	if (!c->known)
		return 0;
	if (channels_combined(c))
		return c->combined_max - MIN(c->combined, c->combined_max);
	return c->rx_max - MIN(c->rx, c->rx_max);
}

/*
 * Rules alone tell connections apart by bits of the source port, so there are as many queues as those
 * bits have values.
 */
static int queues_by_rules(const struct planner *p, unsigned *n)
{
	unsigned fit = p->facts->no_port_masks ? 1 : power_of_two_below(*n);

	if (fit != *n && !p->wants->queues_auto)
		return planner_refuse(
			p, -EINVAL,
			"[nic %s] queues = %u: %s (driver %s) has no hash contexts (RSS contexts), "
			"and its rules can spread connections over %u: set queues = %u",
			p->facts->name, *n, p->facts->name, p->facts->driver, fit, fit);
	*n = fit;
	return 0;
}

/* How many queues are ours, and how many there must be in all. */
static int queues_count(struct planner *p, uint32_t *count, uint32_t *total)
{
	uint32_t have = planner_queues_now(p->facts),
		 more = p->wants->setup ? queues_more(p->facts) : 0;
	unsigned n = p->wants->queues, rest; /* rest: that there must be for others */
	int rc;

	p->contexts = p->facts->contexts_known;
	if (p->wants->queues_auto && n > (have + more) / 2)
		n = MAX(1u, (have + more) / 2);
	if (n > 1 && !p->contexts && p->wants->setup) {
		rc = queues_by_rules(p, &n);
		if (rc)
			return rc;
	}
	if (n + 1 > have + more)
		return planner_refuse(
			p, -EINVAL,
			"%s has %u receive queue%s%s: %u of zero-copy would leave none for other "
			"connections; %s%s",
			p->facts->name, have, have == 1 ? "" : "s",
			p->wants->setup ? ", and its hardware has no more" : "", n,
			have + more > 1 ? "ask for fewer with " :
					  "it takes an interface with two at least",
			have + more > 1 ? "[nic] queues" : "");
	*count = n;
	*total = have;
	rest = p->wants->queues_auto ? n : 1;
	/* Where queues are added, the rest of the machine keeps as many as it had, if that can be. */
	if (n + rest > have) {
		rest = MAX(rest, have);
		*total = MIN(n + rest, have + more);
	}
	return 0;
}

static int taken_check(const struct planner *p, uint32_t queue)
{
	static const char *const owners[] = {
		[NIC_QUEUE_IO_URING] = "another program's io_uring has it for zero-copy receive",
		[NIC_QUEUE_DMABUF] = "a program has bound device memory to it (devmem TCP)",
		[NIC_QUEUE_XSK] = "an AF_XDP socket has it",
		[NIC_QUEUE_LEASED] = "a virtual interface has leased it",
	};
	enum nic_taken taken = queue < p->facts->n_queues ? p->facts->taken[queue] : NIC_QUEUE_FREE;

	if (taken == NIC_QUEUE_FREE)
		return 0;
	return planner_refuse(
		p, -EBUSY,
		"queue %u of %s is taken: %s; end that program, or ask for fewer with [nic %s] "
		"queues",
		queue, p->facts->name, owners[taken], p->facts->name);
}

static int queues_plan(struct planner *p)
{
	const struct nic_channels *c = &p->facts->channels;
	uint32_t have = planner_queues_now(p->facts), total = 0;
	int rc = queues_count(p, &p->plan->count, &total);

	if (rc)
		return rc;
	if (total > NIC_SEEN_QUEUES)
		return planner_refuse(p, -ENOTSUP,
				      "%s has %u receive queues, more than the %d that can be used",
				      p->facts->name, total, NIC_SEEN_QUEUES);
	p->plan->first = total - p->plan->count;
	for (uint32_t i = 0; i < p->plan->count; i++) {
		rc = taken_check(p, p->plan->first + i);
		if (rc)
			return rc;
	}
	if (total > have) {
		bool combined = channels_combined(c);
		uint32_t from = combined ? c->combined : c->rx;
		struct nic_step step = { .kind = NIC_STEP_CHANNELS,
					 .combined = combined,
					 .from = from,
					 .to = from + (total - have) };

		return planner_step(p, &step);
	}
	return 0;
}

/* ------------------------------------------------------------------------------ rings and features */

int planner_feature(struct planner *p, const struct nic_feature *feature, const char *name,
		    uint32_t from)
{
	struct nic_step step = { .kind = NIC_STEP_FEATURE, .from = from, .to = 1 };

	if (feature->on || !feature->changeable)
		return 0;
	snprintf(step.feature, sizeof(step.feature), "%s", name);
	return planner_step(p, &step);
}

static int entries_check(const struct planner *p)
{
	const struct nic_rings *rings = &p->facts->rings;

	if (!rings->rx_max)
		return planner_refuse(
			p, -ENOTSUP,
			"[nic %s] ring = %u: the driver %s cannot set the size of its rings; "
			"leave ring out",
			p->facts->name, p->wants->ring, p->facts->driver);
	if (p->wants->ring > rings->rx_max)
		return planner_refuse(
			p, -EINVAL,
			"[nic %s] ring = %u: the receive rings have at most %u entries; set that, "
			"or leave ring out",
			p->facts->name, p->wants->ring, rings->rx_max);
	return 0;
}

static int rings_plan(struct planner *p)
{
	const struct nic_rings *rings = &p->facts->rings;
	struct nic_step step = { .kind = NIC_STEP_RINGS, .split = rings->split };
	int rc;

	if (p->wants->ring && p->wants->ring != rings->rx) {
		rc = entries_check(p);
		if (rc)
			return rc;
		step.from = rings->rx;
		step.to = p->wants->ring;
	}
	if (rings->thresh_known)
		step.thresh = rings->thresh;
	if (p->driver && p->driver->split_by_gro) {
		rc = planner_feature(p, &p->facts->gro_hw, "rx-gro-hw", 0);
		if (rc)
			return rc;
	}
	/*
	 * Header split is asked for also when it is on: a driver that switched it on by itself reports it
	 * so, but the kernel gives a queue away only when someone has asked for it. Who asked cannot be
	 * seen, so it is left to the operator where that is the operator's to do.
	 */
	if (!p->wants->setup && step.split == NIC_SPLIT_ON && !step.thresh && !step.to)
		return 0;
	return planner_step(p, &step);
}

int nic_plan_make(struct nic_plan *plan, const struct nic_facts *facts,
		  const struct nic_wants *wants, struct nic_why *why)
{
	struct planner p = { .plan = plan,
			     .facts = facts,
			     .wants = wants,
			     .driver = nic_driver_find(facts->driver),
			     .why = why };
	int rc = interface_check(&p);

	plan->n_steps = 0;
	plan->former.n = 0;
	plan->remark.s[0] = '\0';
	if (!rc)
		rc = kernel_check(&p);
	if (!rc)
		rc = device_check(&p);
	if (!rc)
		rc = buffer_check(&p);
	if (!rc)
		rc = queues_plan(&p);
	if (!rc)
		rc = rings_plan(&p);
	return rc ? rc : planner_steering(&p);
}
