/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Get Features and Set Features (Base 5.1.11, 5.1.25). What exists is one row of the table; a row
 * without functions is a plain value. Nothing is saved across a restart.
 */
#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "target/admin.h"
#include "target/ctrl.h"
#include "target/io.h"
#include "target/worker.h"

enum feature_flags {
	FEATURE_DISCOVERY = 1 << 0, /* discovery controllers have it, too */
	FEATURE_FIXED = 1 << 1,     /* not changeable; setting it to what it is succeeds */
	FEATURE_PER_NS = 1 << 2,    /* NSID names a namespace */
};

enum {
	CDW10_SEL_SHIFT = 8, /* Get Features: which of the values */
	CDW10_SV_SHIFT = 31, /* Set Features: save it */
	ARBITRATION_BITS = 0xffffff07, /* weights and burst */
	ARBITRATION_NO_LIMIT = 7,      /* burst: all of what is there at a time */
	POWER_STATE_MASK = 0x1f,
	POWER_WORKLOAD_BITS = 0xe0,
	ERROR_RECOVERY_TLER = 0xffff,
	ASYNC_EVENT_SMART_BITS = 0x3f, /* critical warnings that are defined */
	TEMP_SENSOR_SHIFT = 16,        /* TMPSEL: 0 composite, Fh all */
	TEMP_SENSOR_ALL = 0xf,
	TEMP_TYPE_SHIFT = 20,     /* THSEL: 0 over, 1 under */
	TEMP_NEVER_OVER = 0xffff, /* Kelvin */
	NUM_QUEUES_INVALID = 0xffff,
	HOST_ID_EXHID = 1 << 0,
	HOST_ID_LEN = 16,
	WRITE_PROTECT_NONE = 0,
	WRITE_PROTECT_ON = 1,
	TIMESTAMP_BITS = 48,
};

struct feature {
	uint8_t fid;
	uint8_t flags;
	uint32_t initial;
	uint32_t bits;     /* that a host may set in CDW11; others are refused */
	uint32_t data_len; /* of the value, a structure; 0: CDW11, dword 0 */
	uint32_t effects;  /* beside FSUPP and scope */
	/* NULL: ctrl->features[]. @initial asks for the value after a reset. */
	uint32_t (*get)(const struct cmd *cmd, bool initial);
	/* NULL: ctrl->features[]. 0, or the status to complete with; changes nothing then. */
	uint16_t (*set)(struct cmd *cmd, uint32_t value);
	/* Of features with data: runs with cmd->data there. */
	void (*get_data)(struct cmd *cmd);
	void (*set_data)(struct cmd *cmd);
};

/* The field of CDW11 that begins at @bit is wrong. */
static uint16_t cdw11_invalid(struct cmd *cmd, unsigned bit)
{
	return cmd_fault(cmd, CMD_PLACE(cdw11, bit), NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
}

/* Bits of CDW11 are set that may not be: the lowest tells. */
static uint16_t cdw11_bits_invalid(struct cmd *cmd, uint32_t wrong)
{
	return cmd_fault_bits(cmd, offsetof(struct nvme_sqe, cdw11), wrong,
			      NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
}

static bool wants_default(const struct cmd *cmd)
{
	unsigned select = le32_get(cmd->sqe.cdw10) >> CDW10_SEL_SHIFT & 7;

	/* Nothing is saveable, so that the saved value is the default (Base 5.1.11). */
	return select == NVME_FEAT_SEL_DEFAULT || select == NVME_FEAT_SEL_SAVED;
}

/* -------------------------------------------------------------------------------- plain values */

/* One power state, no sensor, no cache to turn off: what a host may set changes nothing here. */
static uint16_t power_set(struct cmd *cmd, uint32_t value)
{
	if (value & POWER_STATE_MASK)
		return cdw11_invalid(cmd, 0);
	cmd->queue->ctrl->features[NVME_FEAT_POWER] = value;
	return 0;
}

/* The threshold over which is in 15:0 of the stored value, the one under which in 31:16. */
static uint16_t temp_check(struct cmd *cmd, uint32_t value, bool set)
{
	unsigned sensor = value >> TEMP_SENSOR_SHIFT & 0xf, type = value >> TEMP_TYPE_SHIFT & 3;

	if (sensor && !(set && sensor == TEMP_SENSOR_ALL))
		return cdw11_invalid(cmd, TEMP_SENSOR_SHIFT);
	return type > 1 ? cdw11_invalid(cmd, TEMP_TYPE_SHIFT) : 0;
}

static uint32_t temp_get(const struct cmd *cmd, bool initial)
{
	uint32_t both =
		initial ? TEMP_NEVER_OVER : cmd->queue->ctrl->features[NVME_FEAT_TEMP_THRESHOLD];
	unsigned type = le32_get(cmd->sqe.cdw11) >> TEMP_TYPE_SHIFT & 3;

	return type ? both >> 16 : both & 0xffff;
}

static uint16_t temp_set(struct cmd *cmd, uint32_t value)
{
	uint32_t *both = &cmd->queue->ctrl->features[NVME_FEAT_TEMP_THRESHOLD];
	uint16_t status = temp_check(cmd, value, true);

	if (status)
		return status;
	if (value >> TEMP_TYPE_SHIFT & 3)
		*both = (*both & 0xffff) | value << 16;
	else
		*both = (*both & 0xffff0000) | (value & 0xffff);
	return 0;
}

static uint32_t queues_granted(const struct ctrl *ctrl, uint32_t wanted)
{
	uint32_t most = ctrl->subsys->config->max_io_queues - 1;

	return MIN(wanted & 0xffff, most) | MIN(wanted >> 16, most) << 16;
}

static uint32_t queues_get(const struct cmd *cmd, bool initial)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;

	return queues_granted(ctrl, initial ? UINT32_MAX : ctrl->features[NVME_FEAT_NUM_QUEUES]);
}

static bool ctrl_has_io_queues(struct ctrl *ctrl)
{
	bool has = false;

	pthread_mutex_lock(&ctrl->lock);
	/* Not those that a reset has asked to close, or that were disconnected. */
	list_for_each(queue, &ctrl->queues, struct queue, ctrl_link)
		has |= queue->qid && !queue->qid_given_back;
	pthread_mutex_unlock(&ctrl->lock);
	return has;
}

static uint16_t queues_set(struct cmd *cmd, uint32_t value)
{
	struct ctrl *ctrl = cmd->queue->ctrl;

	if ((value & 0xffff) == NUM_QUEUES_INVALID)
		return cdw11_invalid(cmd, 0);
	if (value >> 16 == NUM_QUEUES_INVALID)
		return cdw11_invalid(cmd, 16);
	if (ctrl_has_io_queues(ctrl))
		return NVME_SC_COMMAND_SEQUENCE | NVME_STATUS_DNR;
	ctrl->features[NVME_FEAT_NUM_QUEUES] = queues_granted(ctrl, value);
	cmd->cqe.dw0 = le32(ctrl->features[NVME_FEAT_NUM_QUEUES]);
	return 0;
}

static uint32_t async_event_get(const struct cmd *cmd, bool initial)
{
	return initial ? 0 : cmd->queue->ctrl->aen_enabled;
}

static uint16_t async_event_set(struct cmd *cmd, uint32_t value)
{
	struct ctrl *ctrl = cmd->queue->ctrl;
	uint32_t wrong = value & ~(async_event_supported(ctrl) | ASYNC_EVENT_SMART_BITS);

	if (wrong)
		return cdw11_bits_invalid(cmd, wrong);
	async_event_enable(ctrl, value);
	return 0;
}

static uint32_t kato_get(const struct cmd *cmd, bool initial)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;

	if (initial)
		return ctrl_is_discovery(ctrl) ? KATO_DEFAULT_DISCOVERY_MS : 0;
	return ctrl->kato_ms;
}

static uint16_t kato_set(struct cmd *cmd, uint32_t value)
{
	ctrl_set_kato(cmd->queue->ctrl, value);
	ctrl_keep_alive(cmd->queue->ctrl);
	return 0;
}

/* ---------------------------------------------------------------------------- write protection */

/* Read-only by configuration or device: no host can change that. */
static bool ns_is_read_only_for_good(const struct ns *ns)
{
	return ns->config->read_only || ns->backend->limits.read_only;
}

static uint32_t write_protect_get(const struct cmd *cmd, bool initial)
{
	return (initial ? ns_is_read_only_for_good(cmd->ns) : ns_is_read_only(cmd->ns))
		       ? WRITE_PROTECT_ON
		       : WRITE_PROTECT_NONE;
}

static uint16_t write_protect_set(struct cmd *cmd, uint32_t value)
{
	if (value != WRITE_PROTECT_NONE && value != WRITE_PROTECT_ON)
		return cdw11_invalid(cmd, 0);
	if (ns_is_read_only_for_good(cmd->ns) && value == WRITE_PROTECT_NONE)
		return cmd_fault(cmd, CMD_PLACE(cdw11, 0),
				 NVME_SC_FEATURE_NOT_CHANGEABLE | NVME_STATUS_DNR);
	return 0;
}

static void write_protect_flushed(struct backend_io *io, int error)
{
	struct cmd *cmd = container_of(io, struct cmd, io);

	cmd_complete(cmd, error ? io_status_from_errno(error, NVME_IO_FLUSH) : NVME_SC_SUCCESS);
}

/* A namespace that becomes protected has its volatile data made durable first. */
static void write_protect_apply(struct cmd *cmd, uint32_t value)
{
	struct ns *ns = cmd->ns;
	bool protect = value == WRITE_PROTECT_ON;

	if (ns_is_read_only(ns) == protect) {
		cmd_complete(cmd, NVME_SC_SUCCESS);
		return;
	}
	__atomic_store_n(&ns->read_only, protect, __ATOMIC_RELAXED);
	subsys_notify(ns->subsys, NVME_AEN_NS_ATTR, ns->nsid);
	if (!protect) {
		cmd_complete(cmd, NVME_SC_SUCCESS);
		return;
	}
	cmd->io.opcode = BACKEND_FLUSH;
	cmd->io.flags = 0;
	cmd->io.offset = 0;
	cmd->io.len = 0;
	cmd->io.data = NULL;
	cmd->io.done = write_protect_flushed;
	backend_submit(ns->backend, &cmd->queue->worker->loop, &cmd->io);
}

/* ---------------------------------------------------------------------------- values with data */

static uint64_t timestamp_now_ms(const struct ctrl *ctrl)
{
	uint64_t now_ns = ctrl->worker->loop.now_ns;
	uint64_t ms = ctrl->timestamp_ms + (now_ns - ctrl->timestamp_set_ns) / 1000000;

	return ms & ((1ull << TIMESTAMP_BITS) - 1);
}

static void timestamp_get(struct cmd *cmd)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;
	struct nvme_timestamp timestamp = { 0 };
	le64_t ms = le64(wants_default(cmd) ? 0 : timestamp_now_ms(ctrl));

	memcpy(timestamp.ms, ms.b, sizeof(timestamp.ms));
	if (ctrl->timestamp_ms && !wants_default(cmd))
		timestamp.origin = NVME_TIMESTAMP_SET_BY_HOST;
	cmd_reply(cmd, &timestamp, sizeof(timestamp), 0);
}

static void timestamp_set(struct cmd *cmd)
{
	struct ctrl *ctrl = cmd->queue->ctrl;
	struct nvme_timestamp timestamp;
	le64_t ms = { 0 };

	spanv_read(&cmd->data, 0, &timestamp, sizeof(timestamp));
	memcpy(ms.b, timestamp.ms, sizeof(timestamp.ms));
	ctrl->timestamp_ms = le64_get(ms);
	ctrl->timestamp_set_ns = ctrl->worker->loop.now_ns;
	cmd_complete(cmd, NVME_SC_SUCCESS);
}

static void host_behavior_get(struct cmd *cmd)
{
	static const uint8_t initial[NVME_HOST_BEHAVIOR_LEN];

	cmd_reply(cmd, wants_default(cmd) ? initial : cmd->queue->ctrl->host_behavior,
		  NVME_HOST_BEHAVIOR_LEN, 0);
}

static void host_behavior_set(struct cmd *cmd)
{
	/* ACRE, ETDAS, LBAFEE, HDISNS are booleans; the copy formats of CDFE are not offered. */
	static const uint8_t most[NVME_HOST_BEHAVIOR_LEN] = { 1, 1, 1, 1, 0, 0 };
	uint8_t behavior[NVME_HOST_BEHAVIOR_LEN];

	spanv_read(&cmd->data, 0, behavior, sizeof(behavior));
	for (unsigned i = 0; i < sizeof(behavior); i++) {
		if (behavior[i] > most[i]) {
			cmd_complete(cmd, NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
			return;
		}
	}
	memcpy(cmd->queue->ctrl->host_behavior, behavior, sizeof(behavior));
	cmd_complete(cmd, NVME_SC_SUCCESS);
}

static void host_id_get(struct cmd *cmd)
{
	cmd_reply(cmd, cmd->queue->ctrl->hostid, HOST_ID_LEN, 0);
}

/* --------------------------------------------------------------------------------------- table */

static const struct feature features[] = {
	{ .fid = NVME_FEAT_ARBITRATION, .initial = ARBITRATION_NO_LIMIT, .bits = ARBITRATION_BITS },
	{ .fid = NVME_FEAT_POWER,
	  .bits = POWER_STATE_MASK | POWER_WORKLOAD_BITS,
	  .set = power_set },
	{ .fid = NVME_FEAT_TEMP_THRESHOLD,
	  .initial = TEMP_NEVER_OVER,
	  .bits = 0x3fffff,
	  .get = temp_get,
	  .set = temp_set },
	{ .fid = NVME_FEAT_ERROR_RECOVERY, .bits = ERROR_RECOVERY_TLER },
	{ .fid = NVME_FEAT_VOLATILE_WC, .flags = FEATURE_FIXED, .initial = 1, .bits = 1 },
	{ .fid = NVME_FEAT_NUM_QUEUES,
	  .bits = UINT32_MAX,
	  .get = queues_get,
	  .set = queues_set,
	  .initial = UINT32_MAX },
	{ .fid = NVME_FEAT_WRITE_ATOMICITY, .bits = 1 },
	{ .fid = NVME_FEAT_ASYNC_EVENT,
	  .flags = FEATURE_DISCOVERY,
	  .bits = UINT32_MAX,
	  .get = async_event_get,
	  .set = async_event_set },
	{ .fid = NVME_FEAT_TIMESTAMP,
	  .data_len = sizeof(struct nvme_timestamp),
	  .get_data = timestamp_get,
	  .set_data = timestamp_set },
	{ .fid = NVME_FEAT_KATO,
	  .flags = FEATURE_DISCOVERY,
	  .bits = UINT32_MAX,
	  .get = kato_get,
	  .set = kato_set },
	{ .fid = NVME_FEAT_HOST_BEHAVIOR,
	  .data_len = NVME_HOST_BEHAVIOR_SIZE,
	  .get_data = host_behavior_get,
	  .set_data = host_behavior_set },
	{ .fid = NVME_FEAT_IOCS_PROFILE, .flags = FEATURE_FIXED, .bits = 0x1ff },
	{ .fid = NVME_FEAT_HOST_ID,
	  .flags = FEATURE_FIXED,
	  .data_len = HOST_ID_LEN,
	  .get_data = host_id_get },
	{ .fid = NVME_FEAT_WRITE_PROTECT,
	  .flags = FEATURE_PER_NS,
	  .bits = 7,
	  .effects = NVME_FEAT_NCC,
	  .get = write_protect_get,
	  .set = write_protect_set },
};

static const struct feature *feature_find(const struct ctrl *ctrl, uint8_t fid)
{
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].fid == fid)
			return ctrl_is_discovery(ctrl) && !(features[i].flags & FEATURE_DISCOVERY)
				       ? NULL
				       : &features[i];
	return NULL;
}

void features_init(struct ctrl *ctrl)
{
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].fid < ARRAY_SIZE(ctrl->features))
			ctrl->features[features[i].fid] = features[i].initial;
	memset(ctrl->host_behavior, 0, sizeof(ctrl->host_behavior));
	async_event_enable(ctrl, 0);
	ctrl->timestamp_ms = 0;
	ctrl->timestamp_set_ns = ctrl->worker->loop.now_ns;
}

uint32_t feature_effects(const struct ctrl *ctrl, uint8_t fid)
{
	const struct feature *feature = feature_find(ctrl, fid);

	if (!feature)
		return 0;
	return NVME_FEAT_FSUPP | feature->effects |
	       (feature->flags & FEATURE_PER_NS ? NVME_FEAT_SCOPE_NS : NVME_FEAT_SCOPE_CTRL);
}

static uint32_t feature_caps(const struct feature *feature)
{
	return (feature->flags & FEATURE_PER_NS ? NVME_FEAT_CAP_PER_NS : 0) |
	       (feature->flags & FEATURE_FIXED ? 0 : NVME_FEAT_CAP_CHANGEABLE);
}

/* Finds feature and, where the feature has one, namespace. */
static uint16_t feature_decide(struct cmd *cmd, const struct feature **out)
{
	struct ctrl *ctrl = cmd->queue->ctrl;

	*out = feature_find(ctrl, (uint8_t)le32_get(cmd->sqe.cdw10));
	if (!*out)
		return cmd_fault(cmd, CMD_PLACE(cdw10, 0),
				 NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	if (!((*out)->flags & FEATURE_PER_NS))
		return 0;
	cmd->ns = ctrl_ns(ctrl, le32_get(cmd->sqe.nsid));
	if (!cmd->ns)
		return cmd_fault(cmd, CMD_PLACE(nsid, 0),
				 NVME_SC_INVALID_NSID | NVME_STATUS_DNR);
	return 0;
}

/* ----------------------------------------------------------------------------------------- get */

static const struct feature *feature_of(const struct cmd *cmd)
{
	return feature_find(cmd->queue->ctrl, (uint8_t)le32_get(cmd->sqe.cdw10));
}

static void get_value_execute(struct cmd *cmd)
{
	const struct feature *feature = feature_of(cmd);
	bool initial = wants_default(cmd);
	uint32_t value;

	if ((le32_get(cmd->sqe.cdw10) >> CDW10_SEL_SHIFT & 7) == NVME_FEAT_SEL_CAPABILITIES)
		value = feature_caps(feature);
	else if (feature->get)
		value = feature->get(cmd, initial);
	else
		value = initial ? feature->initial : cmd->queue->ctrl->features[feature->fid];
	cmd->cqe.dw0 = le32(value);
	cmd_complete(cmd, NVME_SC_SUCCESS);
}

uint16_t get_features_parse(struct cmd *cmd)
{
	uint32_t cdw11 = le32_get(cmd->sqe.cdw11);
	unsigned select = le32_get(cmd->sqe.cdw10) >> CDW10_SEL_SHIFT & 7;
	const struct feature *feature;
	uint16_t status = feature_decide(cmd, &feature);

	if (status)
		return status;
	if (select > NVME_FEAT_SEL_CAPABILITIES)
		return cmd_fault(cmd, CMD_PLACE(cdw10, CDW10_SEL_SHIFT),
				 NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	if (select == NVME_FEAT_SEL_CAPABILITIES || !feature->data_len) {
		if (feature->fid == NVME_FEAT_TEMP_THRESHOLD &&
		    select != NVME_FEAT_SEL_CAPABILITIES)
			status = temp_check(cmd, cdw11, false);
		if (status)
			return status;
		return cmd_need(cmd, CMD_DATA_NONE, 0, get_value_execute);
	}
	/* Fabrics hosts are known by 128-bit identifiers alone. */
	if (feature->fid == NVME_FEAT_HOST_ID && !(cdw11 & HOST_ID_EXHID))
		return cdw11_invalid(cmd, 0);
	return cmd_need(cmd, CMD_DATA_TO_HOST, feature->data_len, feature->get_data);
}

/* ----------------------------------------------------------------------------------------- set */

static void set_value_execute(struct cmd *cmd)
{
	const struct feature *feature = feature_of(cmd);
	uint32_t value = le32_get(cmd->sqe.cdw11);
	uint16_t status = 0;

	if (feature->set)
		status = feature->set(cmd, value);
	else
		cmd->queue->ctrl->features[feature->fid] = value;
	if (!status && feature->fid == NVME_FEAT_WRITE_PROTECT)
		write_protect_apply(cmd, value);
	else
		cmd_complete(cmd, status);
}

/* A fixed feature takes the value that it has, so that hosts that set it blindly go on. */
static uint16_t fixed_set(struct cmd *cmd, const struct feature *feature)
{
	if (feature->fid == NVME_FEAT_HOST_ID) /* Connect has set it */
		return NVME_SC_COMMAND_SEQUENCE | NVME_STATUS_DNR;
	if (le32_get(cmd->sqe.cdw11) == feature->initial)
		return 0;
	return cmd_fault(cmd, CMD_PLACE(cdw11, 0),
			 (feature->fid == NVME_FEAT_IOCS_PROFILE ? NVME_SC_IOCS_COMBINATION
								 : NVME_SC_FEATURE_NOT_CHANGEABLE) |
				 NVME_STATUS_DNR);
}

uint16_t set_features_parse(struct cmd *cmd)
{
	uint32_t nsid = le32_get(cmd->sqe.nsid);
	const struct feature *feature;
	uint16_t status = feature_decide(cmd, &feature);

	if (status)
		return status;
	if (le32_get(cmd->sqe.cdw10) >> CDW10_SV_SHIFT)
		return cmd_fault(cmd, CMD_PLACE(cdw10, CDW10_SV_SHIFT),
				 NVME_SC_FEATURE_NOT_SAVEABLE | NVME_STATUS_DNR);
	if (!(feature->flags & FEATURE_PER_NS) && nsid && nsid != NVME_NSID_ALL)
		return cmd_fault(cmd, CMD_PLACE(nsid, 0),
				 NVME_SC_FEATURE_NOT_NS_SPECIFIC | NVME_STATUS_DNR);
	if (!feature->data_len && (le32_get(cmd->sqe.cdw11) & ~feature->bits))
		return cdw11_bits_invalid(cmd, le32_get(cmd->sqe.cdw11) & ~feature->bits);
	if (feature->flags & FEATURE_FIXED) {
		status = fixed_set(cmd, feature);
		if (status)
			return status;
	}
	if (feature->data_len)
		return cmd_need(cmd, CMD_DATA_FROM_HOST, feature->data_len, feature->set_data);
	return cmd_need(cmd, CMD_DATA_NONE, 0, set_value_execute);
}
