/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wraps any other backend and makes it fail by rule, to see what hosts do then. The first rule that
 * strikes decides about an I/O. Counting, not chance: the same I/Os fail in every run.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "target/backend/fault.h"
#include "target/backend/fault_rule.h"
#include "target/backend/opening.h"
#include "target/backend/registry.h"

/* What is held back on one loop, touched by its thread alone. */
struct fault_loop {
	struct loop *loop;
	struct list held; /* backend_io.link; delayed ones have their timer running */
};

struct fault {
	struct backend backend;
	struct backend_ops ops; /* the backend's: under the name of the inner one */
	struct backend *inner;	/* owned */
	struct fault_rule rules[CONFIG_FAULT_RULES];
	unsigned n_rules;
	struct fault_loop loops[MAX_WORKERS];
	unsigned n_loops;
};

static const struct backend_ops backend_fault;

static struct fault *fault_of(struct backend *backend)
{
	return container_of(backend, struct fault, backend);
}

static bool is_fault(const struct backend *backend)
{
	return backend->ops->submit == backend_fault.submit;
}

static int fault_map(struct backend *backend, uint64_t offset, uint32_t len, bool for_write,
		     struct span *span)
{
	struct backend *inner = fault_of(backend)->inner;

	return inner->ops->map(inner, offset, len, for_write, span);
}

/* What people see of a backend that fails by these rules. */
static void fault_describe(struct fault *fault)
{
	memcpy(fault->backend.path, fault->inner->path, sizeof(fault->backend.path));
	if (fault->n_rules)
		snprintf(fault->backend.detail, sizeof(fault->backend.detail),
			 "fails by %u rule%s%s%.80s", fault->n_rules,
			 fault->n_rules == 1 ? "" : "s", fault->inner->detail[0] ? "; " : "",
			 fault->inner->detail);
	else
		memcpy(fault->backend.detail, fault->inner->detail, sizeof(fault->inner->detail));
}

/* After its rules have changed, while nobody uses it: what is mapped is seen by no rule. */
static void fault_rules_set(struct fault *fault)
{
	fault->ops.map = fault->inner->ops->map && !fault->n_rules ? fault_map : NULL;
	fault_describe(fault);
}

/* The wrapper around @inner, with the rules that it has. */
static void fault_wrap(struct fault *fault, struct backend *inner)
{
	fault->inner = inner;
	fault->ops = backend_fault;
	fault->ops.name = inner->ops->name;
	fault->backend.ops = &fault->ops;
	fault->backend.limits = inner->limits;
	fault->backend.memory_bytes = inner->memory_bytes;
	fault->backend.identity = inner->identity;
	fault_rules_set(fault);
}

int fault_open(const struct backend_ops *inner, const struct config_namespace *config,
	       struct backend **out, char *err, size_t errlen)
{
	const struct opening o = { config, err, errlen };
	struct fault *fault = calloc(1, sizeof(*fault));
	int rc = 0;

	if (!fault)
		return opening_fail(&o, -ENOMEM, "out of memory");
	for (unsigned i = 0; !rc && i < config->n_faults; i++)
		rc = fault_rule_parse(config->fault[i], &fault->rules[fault->n_rules++], err,
				      errlen);
	if (!rc)
		rc = inner->open(config, &fault->inner, err, errlen);
	if (rc) {
		free(fault);
		return rc;
	}
	fault_wrap(fault, fault->inner);
	*out = &fault->backend;
	return 0;
}

static struct fault_loop *fault_loop_of(struct fault *fault, const struct loop *loop)
{
	unsigned i = 0;

	while (fault->loops[i].loop != loop) {
		i++;
		assert(i < fault->n_loops);
	}
	return &fault->loops[i];
}

static void fault_add_loop(struct fault *fault, struct loop *loop)
{
	struct fault_loop *fl = &fault->loops[fault->n_loops];

	assert(fault->n_loops < MAX_WORKERS);
	fl->loop = loop;
	list_init(&fl->held);
	fault->n_loops++;
}

static int fault_attach(struct backend *backend, struct loop *loop, unsigned index,
			const struct backend_memory *memory)
{
	struct fault *fault = fault_of(backend);
	int rc = 0;

	if (fault->inner->ops->attach)
		rc = fault->inner->ops->attach(fault->inner, loop, index, memory);
	if (!rc)
		fault_add_loop(fault, loop);
	return rc;
}

static void delay_expired(struct timer *timer)
{
	struct backend_io *io = container_of(timer, struct backend_io, timer);

	list_del(&io->link);
	backend_submit(fault_of(io->backend)->inner, io->loop, io);
}

/* The rule that strikes @io, or NULL. */
static struct fault_rule *rule_for(struct fault *fault, const struct backend_io *io)
{
	unsigned shift = fault->backend.limits.block_shift;
	uint64_t first = io->offset >> shift, last = (io->offset + io->len - 1) >> shift;

	for (unsigned i = 0; i < fault->n_rules; i++) {
		if (fault_rule_strikes(&fault->rules[i], io->opcode, first, last))
			return &fault->rules[i];
	}
	return NULL;
}

static void io_hold(struct fault *fault, struct backend_io *io, uint64_t delay_ns)
{
	timer_init(&io->timer, delay_expired);
	if (delay_ns && loop_timer_start(io->loop, &io->timer, delay_ns)) {
		io->done(io, -ENOMEM);
		return;
	}
	list_add_tail(&fault_loop_of(fault, io->loop)->held, &io->link);
}

static void fault_submit(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	struct fault *fault = fault_of(backend);
	const struct fault_rule *rule = rule_for(fault, io);

	if (!rule) {
		backend_submit(fault->inner, loop, io);
		return;
	}
	switch (rule->action) {
	case FAULT_ERROR:
		io->done(io, rule->error);
		break;
	case FAULT_DELAY:
		io_hold(fault, io, rule->delay_ns);
		break;
	case FAULT_STUCK:
		io_hold(fault, io, 0);
		break;
	}
}

static void io_end(struct backend_io *io)
{
	loop_timer_stop(io->loop, &io->timer);
	list_del(&io->link);
	io->done(io, -ECANCELED);
}

static void fault_cancel(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	/* What was passed on belongs to the inner backend. */
	if (io->backend == backend)
		io_end(io);
	else
		backend_cancel(io->backend, loop, io);
}

static void fault_path(struct backend *backend, const struct loop *loop, unsigned index,
		       const struct area *area, struct datapath_facts *facts,
		       uint64_t bytes[DATAPATH_STORAGE_RUNGS])
{
	struct backend *inner = fault_of(backend)->inner;

	if (inner->ops->map && !backend->ops->map)
		facts->backend_fixed.why_not =
			"its fault rules are for what goes through a buffer";
	if (inner->ops->path)
		inner->ops->path(inner, loop, index, area, facts, bytes);
}

static int fault_health(struct backend *backend, struct nvme_smart_log *log)
{
	struct backend *inner = fault_of(backend)->inner;

	return inner->ops->health ? inner->ops->health(inner, log) : -ENOTSUP;
}

static int fault_refresh(struct backend *backend)
{
	struct backend *inner = fault_of(backend)->inner;
	int rc = inner->ops->refresh ? inner->ops->refresh(inner) : 0;

	if (rc == 1)
		__atomic_store_n(&backend->limits.size, backend_size(inner), __ATOMIC_RELAXED);
	return rc;
}

static bool fault_moved(const struct backend *backend, const struct config_namespace *config)
{
	const struct backend *inner = container_of(backend, struct fault, backend)->inner;

	return inner->ops->moved && inner->ops->moved(inner, config);
}

static void fault_detach(struct backend *backend, struct loop *loop, unsigned index)
{
	struct fault *fault = fault_of(backend);
	struct fault_loop *fl = fault_loop_of(fault, loop);

	while (!list_empty(&fl->held))
		io_end(list_first(&fl->held, struct backend_io, link));
	if (fault->inner->ops->detach)
		fault->inner->ops->detach(fault->inner, loop, index);
}

static bool fault_settled(const struct backend *backend, const struct loop *loop)
{
	const struct backend *inner = container_of(backend, const struct fault, backend)->inner;

	return !inner->ops->settled || inner->ops->settled(inner, loop);
}

static int fault_resize(struct backend *backend, const struct config_namespace *config,
			bool check_only, char *err, size_t errlen)
{
	const struct opening o = { config, err, errlen };
	struct backend *inner = fault_of(backend)->inner;
	int rc;

	if (!inner->ops->resize)
		return opening_fail(&o, -ENOTSUP, "%s cannot change its size while it is in use",
				    inner->path);
	rc = inner->ops->resize(inner, config, check_only, err, errlen);
	if (!rc) {
		__atomic_store_n(&backend->limits.size, backend_size(inner), __ATOMIC_RELAXED);
		fault_describe(fault_of(backend));
	}
	return rc;
}

static void fault_undo(struct backend *backend, const struct config_namespace *config)
{
	struct backend *inner = fault_of(backend)->inner;

	if (!inner->ops->undo)
		return;
	inner->ops->undo(inner, config);
	__atomic_store_n(&backend->limits.size, backend_size(inner), __ATOMIC_RELAXED);
	fault_describe(fault_of(backend));
}

static void fault_close(struct backend *backend)
{
	struct fault *fault = fault_of(backend);

	fault->inner->ops->close(fault->inner);
	free(fault);
}

static const struct backend_ops backend_fault = {
	.attach = fault_attach,
	.submit = fault_submit,
	.cancel = fault_cancel,
	.path = fault_path,
	.health = fault_health,
	.refresh = fault_refresh,
	.moved = fault_moved,
	.detach = fault_detach,
	.settled = fault_settled,
	.resize = fault_resize,
	.undo = fault_undo,
	.close = fault_close,
};

/* ---------------------------------------------------------------------------------- while it runs */

struct fault_change {
	struct fault *wrapper; /* owned; NULL: the backend has one, or needs none */
	struct fault_rule rules[CONFIG_FAULT_RULES];
	unsigned n_rules;
};

int fault_change_new(struct backend *backend, const char rules[][CONFIG_FAULT_RULE_MAX],
		     unsigned n_rules, struct fault_change **out, char *err, size_t errlen)
{
	struct fault_change *change = calloc(1, sizeof(*change));
	int rc = change ? 0 : -ENOMEM;

	if (change && n_rules && !is_fault(backend)) {
		change->wrapper = calloc(1, sizeof(*change->wrapper));
		rc = change->wrapper ? 0 : -ENOMEM;
	}
	if (rc)
		snprintf(err, errlen, "out of memory");
	for (unsigned i = 0; !rc && i < n_rules; i++)
		rc = fault_rule_parse(rules[i], &change->rules[change->n_rules++], err, errlen);
	if (rc && change)
		fault_change_drop(change);
	else
		*out = change;
	return rc;
}

void fault_change_drop(struct fault_change *change)
{
	free(change->wrapper);
	free(change);
}

struct backend *fault_change_apply(struct backend *backend, struct fault_change *change,
				   struct loop *const *loops, unsigned n_loops)
{
	struct fault *fault = change->wrapper ? change->wrapper : fault_of(backend);

	if (!change->wrapper && !is_fault(backend)) {
		fault_change_drop(change);
		return backend;
	}
	memcpy(fault->rules, change->rules, sizeof(fault->rules));
	fault->n_rules = change->n_rules;
	if (change->wrapper) {
		for (unsigned i = 0; i < n_loops; i++)
			fault_add_loop(fault, loops[i]);
		fault_wrap(fault, backend);
		change->wrapper = NULL;
	} else {
		fault_rules_set(fault);
	}
	fault_change_drop(change);
	return &fault->backend;
}

void fault_release(struct backend *backend, struct loop *loop)
{
	struct fault *fault = fault_of(backend);
	struct list held = LIST_INIT(held), *node;

	if (!is_fault(backend))
		return;
	list_splice_tail(&held, &fault_loop_of(fault, loop)->held);
	while ((node = list_pop(&held))) {
		struct backend_io *io = list_entry(node, struct backend_io, link);

		loop_timer_stop(loop, &io->timer);
		backend_submit(fault->inner, loop, io);
	}
}
