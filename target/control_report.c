/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/control_report.h"

#include <string.h>
#include <unistd.h>

#include "base/counter.h"
#include "target/control.h"
#include "target/control_action.h"
#include "target/control_collect.h"
#include "target/control_json.h"
#include "target/control_stats.h"
#include "target/ctrl.h"
#include "target/listener.h"
#include "target/reload.h"
#include "target/worker.h"

static uint64_t age_ms(uint64_t since_ns)
{
	return (clock_now_ns() - since_ns) / 1000000;
}

/* --------------------------------------------------------------------------------------- status */

static const char *daemon_state_name(enum daemon_state state)
{
	static const char *const names[] = {
		[DAEMON_STARTING] = "starting",
		[DAEMON_SERVING] = "serving",
		[DAEMON_STOPPING] = "stopping",
	};

	return names[state];
}

static void memory_report(struct json_object *memory)
{
	struct json_object *pools;

	put_u64(memory, "announced_bytes", daemon_info.announced_bytes);
	pools = put_array(memory, "pools");
	for (unsigned i = 0; i < n_workers; i++) {
		const struct pool *pool = &workers[i].pool;
		struct json_object *row = append_object(pools);

		put_u64(row, "worker", i);
		put_u64(row, "size_bytes", (uint64_t)pool->pages << POOL_MIN_SHIFT);
		put_u64(row, "free_bytes", peek(pool->free_bytes));
		put_u64(row, "low_water_bytes", peek(pool->low_water_bytes));
	}
}

static uint64_t ctrls_count(struct subsys *subsys)
{
	uint64_t n = 0;

	pthread_mutex_lock(&subsys->lock);
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
		n++;
	pthread_mutex_unlock(&subsys->lock);
	return n;
}

static void counts_report(struct json_object *counts)
{
	uint64_t open = 0, ctrls = 0, connections = 0;

	for (unsigned i = 0; i < n_listeners; i++)
		open += listener_is_open(listeners[i]);
	for (unsigned i = 0; i < n_subsystems; i++)
		ctrls += ctrls_count(subsystems[i]);
	for (unsigned i = 0; i < n_workers; i++)
		connections += peek(workers[i].connections);
	put_u64(counts, "listeners", n_listeners);
	put_u64(counts, "listeners_open", open);
	put_u64(counts, "subsystems", n_subsystems);
	put_u64(counts, "namespaces", n_namespaces);
	put_u64(counts, "controllers", ctrls);
	put_u64(counts, "connections", connections);
}

static void status_report(struct json_object *reply)
{
	struct json_object *rows;

	put_string(reply, "release", SLUICE_VERSION);
	put_u64(reply, "pid", (uint64_t)getpid());
	put_string(reply, "state", daemon_state_name(daemon_info.state));
	put_u64(reply, "uptime_ms", age_ms(daemon_info.start_ns));
	counts_report(put_object(reply, "counts"));
	memory_report(put_object(reply, "memory"));
	rows = put_array(reply, "workers");
	for (unsigned i = 0; i < n_workers; i++)
		control_put_worker(&workers[i], append_object(rows));
}

/* ----------------------------------------------------------------------------------- subsystems */

static void hosts_report(const struct config_hosts *hosts, struct json_object *row)
{
	struct json_object *nqns;

	put_bool(row, "any_host", hosts->any);
	nqns = put_array(row, "hosts");
	for (unsigned i = 0; i < hosts->n; i++)
		append(nqns, json_object_new_string(hosts->nqn[i]));
}

static void subsys_report(struct subsys *subsys, struct json_object *row)
{
	static const struct config_hosts any_host = { .any = true };
	const struct config_subsystem *config = subsys->config;
	struct json_object *nsids, *cntlids;

	put_string(row, "nqn", subsys->nqn);
	put_bool(row, "discovery", subsys->discovery);
	put_bool(row, "drained", subsys->drained);
	put_string(row, "serial", config ? config->serial : NULL);
	put_string(row, "model", subsys->model);
	hosts_report(config ? &config->hosts : &any_host, row);
	nsids = put_array(row, "namespaces");
	for (uint32_t nsid = 1; nsid <= subsys->max_nsid; nsid++)
		if (subsys->ns[nsid])
			append(nsids, json_object_new_uint64(nsid));
	cntlids = put_array(row, "controllers");
	pthread_mutex_lock(&subsys->lock);
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
		append(cntlids, json_object_new_uint64(ctrl->cntlid));
	pthread_mutex_unlock(&subsys->lock);
}

static void subsystems_report(struct json_object *reply)
{
	struct json_object *rows = put_array(reply, "subsystems");

	for (unsigned i = 0; i < n_subsystems; i++)
		subsys_report(subsystems[i], append_object(rows));
}

/* ----------------------------------------------------------------------------------- namespaces */

/*
 * Puts the identifier @id of @n bytes as hexadecimal digits, with a dash before each byte whose bit
 * is set in @dashes; null when it is all zero, which means none.
 */
static void put_id(struct json_object *row, const char *key, const uint8_t *id, unsigned n,
		   unsigned dashes)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * 16 + 4 + 1], *p = text;
	uint8_t any = 0;

	for (unsigned i = 0; i < n; i++) {
		if (dashes >> i & 1)
			*p++ = '-';
		*p++ = digits[id[i] >> 4];
		*p++ = digits[id[i] & 0xf];
		any |= id[i];
	}
	*p = '\0';
	put_string(row, key, any ? text : NULL);
}

enum { UUID_DASHES = 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10 };

static void ns_limits_report(const struct backend_limits *limits, struct json_object *row)
{
	put_u64(row, "physical_block_bytes", 1ull << limits->phys_shift);
	put_u64(row, "memory_alignment_bytes", limits->mem_align);
	put_u64(row, "piece_alignment_bytes", limits->piece_align);
	put_u64(row, "max_transfer_bytes", limits->max_transfer);
	put_u64(row, "max_segments", limits->max_segments);
	put_bool(row, "direct", limits->direct);
	put_bool(row, "fixed", limits->fixed);
	put_bool(row, "volatile_cache", limits->volatile_cache);
	put_bool(row, "write_zeroes", limits->write_zeroes);
	put_bool(row, "discard", limits->discard);
	put_bool(row, "discard_zeroes", limits->discard_zeroes);
	put_bool(row, "rotational", limits->rotational);
}

static void ns_drive_report(const struct backend_identity *identity, struct json_object *row)
{
	put_string(row, "serial", identity->serial);
	put_string(row, "model", identity->model);
	put_string(row, "firmware", identity->firmware);
}

static void ns_report(const struct ns *ns, struct json_object *row)
{
	const struct backend *backend = ns->backend;
	struct ns_stats stats;

	put_string(row, "nqn", ns->subsys->nqn);
	put_u64(row, "nsid", ns->nsid);
	put_id(row, "uuid", ns->config->uuid, sizeof(ns->config->uuid), UUID_DASHES);
	put_id(row, "nguid", ns->config->nguid, sizeof(ns->config->nguid), 0);
	put_id(row, "eui64", ns->config->eui64, sizeof(ns->config->eui64), 0);
	put_string(row, "backend", backend->ops->name);
	put_string(row, "path", backend->path);
	put_string(row, "detail", backend->detail);
	put_string(row, "state", peek(ns->gone) ? "gone" : "ready");
	put_bool(row, "read_only", ns->read_only);
	put_u64(row, "ana_group", ns->config->ana_group);
	hosts_report(&ns->config->hosts, row);
	put_u64(row, "size_bytes", ns_blocks(ns) << ns->block_shift);
	put_u64(row, "block_bytes", 1ull << ns->block_shift);
	ns_limits_report(&backend->limits, put_object(row, "limits"));
	if (backend->identity.valid)
		ns_drive_report(&backend->identity, put_object(row, "drive"));
	else
		put(row, "drive", NULL);
	ns_stats_sum(ns, &stats);
	control_put_ns_stats(&stats, put_object(row, "stats"));
}

/* Of the configuration, but closed for now: there is nothing to measure. */
static void detached_report(const struct config_namespace *config, struct json_object *row)
{
	put_string(row, "nqn", config->subsystem);
	put_u64(row, "nsid", config->nsid);
	put_id(row, "uuid", config->uuid, sizeof(config->uuid), UUID_DASHES);
	put_id(row, "nguid", config->nguid, sizeof(config->nguid), 0);
	put_id(row, "eui64", config->eui64, sizeof(config->eui64), 0);
	put_string(row, "backend", config->backend);
	put_string(row, "path", config->path);
	put_string(row, "detail", NULL);
	put_string(row, "state", "detached");
	put_bool(row, "read_only", config->read_only);
	put_u64(row, "ana_group", config->ana_group);
	hosts_report(&config->hosts, row);
	put_u64(row, "size_bytes", config->size);
	put_u64(row, "block_bytes", config->block_size);
}

static void namespaces_report(struct json_object *reply)
{
	struct json_object *rows = put_array(reply, "namespaces");
	const struct config *config = reload_config();

	for (unsigned i = 0; i < n_namespaces; i++)
		ns_report(namespaces[i], append_object(rows));
	for (unsigned i = 0; config && i < config->n_namespaces; i++)
		if (reload_is_detached(i))
			detached_report(&config->namespaces[i], append_object(rows));
}

/* ---------------------------------------------------------------------------------- controllers */

static const char *ctrl_state_name(const struct ctrl *ctrl)
{
	uint32_t csts = peek(ctrl->csts);

	if (csts & NVME_CSTS_CFS)
		return "failed";
	if (csts & NVME_CSTS_SHST_MASK)
		return "shut down";
	return ctrl_is_live(ctrl) ? "live" : "disabled";
}

/* Under ctrl->lock, which keeps the queues. */
static void ctrl_queues_report(const struct ctrl *ctrl, struct json_object *rows)
{
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link) {
		struct json_object *row = append_object(rows);

		put_u64(row, "qid", queue->qid);
		put_u64(row, "depth", queue->depth);
		put_u64(row, "worker", queue->worker->index);
		put_string(row, "peer", queue->peer);
		put_u64(row, "commands", peek(queue->stats.commands));
		put_u64(row, "errors", peek(queue->stats.io.errors));
	}
}

static void ctrl_report(struct ctrl *ctrl, struct json_object *row)
{
	put_u64(row, "cntlid", ctrl->cntlid);
	put_string(row, "nqn", ctrl->subsys->nqn);
	put_string(row, "host_nqn", ctrl->hostnqn);
	put_id(row, "host_id", ctrl->hostid, sizeof(ctrl->hostid), UUID_DASHES);
	put_string(row, "listener", ctrl->listener->config->name);
	put_string(row, "state", ctrl_state_name(ctrl));
	put_u64(row, "kato_ms", peek(ctrl->kato_ms));
	put_u64(row, "age_ms", age_ms(ctrl->created_ns));
	pthread_mutex_lock(&ctrl->lock);
	put_u64(row, "error_count", ctrl->error_count);
	ctrl_queues_report(ctrl, put_array(row, "queues"));
	pthread_mutex_unlock(&ctrl->lock);
}

static void controllers_report(struct json_object *reply)
{
	struct json_object *rows = put_array(reply, "controllers");

	for (unsigned i = 0; i < n_subsystems; i++) {
		struct subsys *subsys = subsystems[i];

		pthread_mutex_lock(&subsys->lock);
		list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
			ctrl_report(ctrl, append_object(rows));
		pthread_mutex_unlock(&subsys->lock);
	}
}

/* ------------------------------------------------------------------------------------- datapath */

static const char *listener_state_name(enum listener_state state)
{
	static const char *const names[] = {
		[LISTENER_CLOSED] = "closed",
		[LISTENER_WAITING] = "waiting",
		[LISTENER_OPEN] = "open",
	};

	return names[state];
}

static void put_rung(struct json_object *row, const char *key, const char *name,
		     const char *why_not)
{
	struct json_object *rung = put_object(row, key);

	put_string(rung, "rung", name);
	put_string(rung, "why_not_better", why_not);
}

static void listener_report(const struct listener *listener, struct json_object *row)
{
	enum listener_state state = __atomic_load_n(&listener->state, __ATOMIC_ACQUIRE);
	char why[LISTENER_WHY_MAX];
	struct datapath path;

	listener_report_of(listener, &path, why);
	put_string(row, "name", listener->config->name);
	put_string(row, "transport", listener->config->transport);
	put_string(row, "address", listener->config->address);
	put_u64(row, "port", listener->config->port);
	put_bool(row, "discovery_only", listener->config->discovery_only);
	put_bool(row, "automatic", listener->automatic);
	put_string(row, "state", listener->drained ? "drained" : listener_state_name(state));
	put_string(row, "error", listener_waits(listener, why) ? why : NULL);
	put_rung(row, "receive", datapath_receive_name(path.receive), path.receive_why);
	put_rung(row, "transmit", datapath_transmit_name(path.transmit), path.transmit_why);
}

static void storage_bytes_report(const uint64_t bytes[DATAPATH_STORAGE_RUNGS],
				 struct json_object *row)
{
	for (unsigned i = 0; i < DATAPATH_STORAGE_RUNGS; i++)
		if (i != DATAPATH_STORAGE_MEMORY)
			put_u64(row, datapath_storage_name((enum datapath_storage)i), bytes[i]);
}

static void ns_path_report(const struct ns *ns, struct json_object *row)
{
	uint64_t bytes[DATAPATH_STORAGE_RUNGS] = { 0 };
	struct datapath path;

	put_string(row, "nqn", ns->subsys->nqn);
	put_u64(row, "nsid", ns->nsid);
	put_string(row, "backend", ns->backend->ops->name);
	put_string(row, "path", ns->backend->path);
	ns_storage(ns, &path, bytes);
	put_rung(row, "storage", datapath_storage_name(path.storage), path.storage_why);
	storage_bytes_report(bytes, put_object(row, "storage_bytes"));
}

static void area_report(const struct worker *worker, struct json_object *row)
{
	static const struct {
		enum area_face face;
		const char *name;
	} names[] = {
		{ AREA_FACE_CPU, "cpu" },
		{ AREA_FACE_FIXED, "fixed" },
		{ AREA_FACE_DMABUF, "dmabuf" },
	};
	uint64_t bytes[DATAPATH_STORAGE_RUNGS] = { 0 };
	const struct area *area = &worker->area;
	struct json_object *faces;
	struct datapath path;

	put_u64(row, "worker", worker->index);
	put_string(row, "name", area->name);
	put_string(row, "provider", area->ops->name);
	put_u64(row, "size_bytes", area->size);
	faces = put_array(row, "faces");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (area->faces & names[i].face)
			append(faces, json_object_new_string(names[i].name));
	put_bool(row, "fixed_registered", area->fixed_index != AREA_NOT_FIXED);
	for (unsigned i = 0; i < n_namespaces; i++)
		ns_storage_of(namespaces[i], worker, &path, bytes);
	storage_bytes_report(bytes, put_object(row, "storage_bytes"));
	put_string(row, "why_not", area->why_not);
}

static void datapath_report(struct json_object *reply)
{
	struct json_object *rows = put_array(reply, "listeners");

	for (unsigned i = 0; i < n_listeners; i++)
		listener_report(listeners[i], append_object(rows));
	rows = put_array(reply, "namespaces");
	for (unsigned i = 0; i < n_namespaces; i++)
		ns_path_report(namespaces[i], append_object(rows));
	rows = put_array(reply, "areas");
	for (unsigned i = 0; i < n_workers; i++)
		area_report(&workers[i], append_object(rows));
}

/* ---------------------------------------------------------------------------------- connections */

static struct json_object *reply_new(bool ok)
{
	struct json_object *reply = json_object_new_object();

	put_bool(reply, "ok", ok);
	put_u64(reply, "version", CONTROL_VERSION);
	return reply;
}

struct json_object *control_success(void)
{
	return reply_new(true);
}

struct json_object *control_refusal(const char *error)
{
	struct json_object *reply = reply_new(false);

	put_string(reply, "error", error);
	return reply;
}

/* The one report that can fail: it has to wait for all workers. */
static struct json_object *connections_reply(void)
{
	struct json_object *reply = reply_new(true);
	char error[128];
	unsigned worker;

	if (!control_collect_connections(put_array(reply, "connections"), &worker))
		return reply;
	json_object_put(reply);
	snprintf(error, sizeof(error), "worker %u did not answer within %d ms; `sluicectl stats` "
		 "shows whether it still turns", worker, CONTROL_COLLECT_TIMEOUT_MS);
	return control_refusal(error);
}

/* ---------------------------------------------------------------------------------------- verbs */

static const struct {
	const char *name;
	void (*report)(struct json_object *reply);
} verbs[] = {
	{ "status", status_report },
	{ "subsystems", subsystems_report },
	{ "namespaces", namespaces_report },
	{ "controllers", controllers_report },
	{ "datapath", datapath_report },
	{ "stats", control_stats_report },
};

static struct json_object *unknown_verb(const char *verb)
{
	char error[512];
	int n = snprintf(error, sizeof(error), "unknown verb \"%s\"; there are connections", verb);

	for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
		n += snprintf(error + n, sizeof(error) - (size_t)n, ", %s", verbs[i].name);
	for (unsigned i = 0; control_actions[i].name; i++)
		n += snprintf(error + n, sizeof(error) - (size_t)n, ", %s",
			      control_actions[i].name);
	return control_refusal(error);
}

struct json_object *control_report(const char *verb)
{
	if (!strcmp(verb, "connections"))
		return connections_reply();
	for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(verb, verbs[i].name)) {
			struct json_object *reply = reply_new(true);

			verbs[i].report(reply);
			return reply;
		}
	}
	return unknown_verb(verb);
}
