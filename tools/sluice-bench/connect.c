/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Setting an association up in the order of a Linux host, with its checks: connections, Connect,
 * enable, Identify, features, I/O queues; and taking it down.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
	CAP_TO_UNIT_MS = 500,
	READY_POLL_NS = 10 * 1000 * 1000,
	SHUTDOWN_WAIT_MS = 5000,
};

const char *initiator_connect_hint(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return ": nothing listens there; is the target running, is the port right?";
	case ETIMEDOUT:
		return ": no answer; is the address right, does a firewall drop it?";
	case ENETUNREACH:
	case EHOSTUNREACH:
		return ": no route to that address";
	default:
		return "";
	}
}

/* ----------------------------------------------------------------------------------- queue set-up */

static int queue_connect(struct initiator *in, struct queue *q)
{
	struct nvmf_connect_data *data = calloc(1, sizeof(*data));
	struct nvmf_connect_cmd connect = {
		.opcode = NVME_OPCODE_FABRICS,
		.fctype = NVME_FCTYPE_CONNECT,
		.qid = le16(q->qid),
		.sqsize = le16((uint16_t)(q->entries - 1)),
		.cattr = in->options.disable_sqflow ? NVMF_CATTR_DISABLE_SQFLOW : 0,
		.kato = le32(q->qid ? 0 : in->options.kato_ms),
	};
	struct initiator_cmd cmd = { .data = (uint8_t *)data,
				     .len = sizeof(*data),
				     .to_ctrl = true };
	char text[256];
	int rc;

	if (!data) {
		initiator_fail(in, false, "out of memory");
		return -ENOMEM;
	}
	memcpy(data->hostid, in->options.hostid, sizeof(data->hostid));
	data->cntlid = le16(q->qid ? in->cntlid : NVMF_CNTLID_DYNAMIC);
	memcpy(data->subnqn, in->options.subnqn, sizeof(data->subnqn));
	memcpy(data->hostnqn, in->options.hostnqn, sizeof(data->hostnqn));
	memcpy(&cmd.sqe, &connect, sizeof(cmd.sqe));
	rc = initiator_run(in, q->qid, &cmd, "Connect");
	free(data);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		/* Do Not Retry makes a Linux host drop the controller for good. */
		initiator_fail(in, !(rc & NVME_STATUS_DNR), "Connect of queue %u rejected: %s",
			       q->qid,
			       nvme_connect_text((uint16_t)rc, cmd.result, text, sizeof(text)));
		return -ECONNREFUSED;
	}
	if (q->qid == 0)
		in->cntlid = (uint16_t)cmd.result;
	else if ((uint16_t)cmd.result != in->cntlid)
		initiator_violation(q, "Connect returns CNTLID %04xh, the admin queue has %04xh",
				    cmd.result & 0xffff, in->cntlid);
	if (cmd.result & 3u << 17)
		initiator_fail(in, false,
			       "queue %u: authentication required, which this host lacks", q->qid);
	return in->failed ? -EPROTO : 0;
}

static int queue_open(struct initiator *in, unsigned qid)
{
	struct queue *q = in->queues[qid];
	int rc = in->fabric->queue_open(q);

	return rc ? rc : queue_connect(in, q);
}

/* ------------------------------------------------------------------------------------- properties */

static int property_get(struct initiator *in, uint32_t offset, bool wide, uint64_t *value)
{
	struct nvmf_property_cmd get = { .opcode = NVME_OPCODE_FABRICS,
					 .fctype = NVME_FCTYPE_PROPERTY_GET,
					 .attrib = wide,
					 .offset = le32(offset) };
	struct initiator_cmd cmd = { 0 };
	char text[96];
	int rc;

	memcpy(&cmd.sqe, &get, sizeof(cmd.sqe));
	rc = initiator_run(in, 0, &cmd, "Property Get");
	if (rc > 0)
		initiator_fail(in, false, "Property Get of %02xh failed: %s", offset,
			       nvme_status_text((uint16_t)rc, text, sizeof(text)));
	*value = cmd.result | (wide ? (uint64_t)cmd.result_hi << 32 : 0);
	return rc > 0 ? -EPROTO : rc;
}

static int property_set(struct initiator *in, uint32_t offset, uint32_t value)
{
	struct nvmf_property_cmd set = { .opcode = NVME_OPCODE_FABRICS,
					 .fctype = NVME_FCTYPE_PROPERTY_SET,
					 .offset = le32(offset),
					 .value = le64(value) };
	struct initiator_cmd cmd = { 0 };
	char text[96];
	int rc;

	memcpy(&cmd.sqe, &set, sizeof(cmd.sqe));
	rc = initiator_run(in, 0, &cmd, "Property Set");
	if (rc > 0)
		initiator_fail(in, false, "Property Set of %02xh to %08xh failed: %s", offset,
			       value, nvme_status_text((uint16_t)rc, text, sizeof(text)));
	return rc > 0 ? -EPROTO : rc;
}

/* Waits until CSTS & @mask is @want, without busy polling. */
static int csts_wait(struct initiator *in, uint32_t mask, uint32_t want, uint64_t timeout_ms)
{
	uint64_t deadline = clock_now_ns() + timeout_ms * 1000000u;
	uint64_t csts;
	int rc;

	for (;;) {
		uint64_t pause_until;

		rc = property_get(in, NVME_PROP_CSTS, false, &csts);
		if (rc)
			return rc;
		if ((csts & mask) == want)
			return 0;
		if (csts & NVME_CSTS_CFS) {
			initiator_fail(in, true, "controller fatal status (CSTS %08llxh)",
				       (unsigned long long)csts);
			return -EIO;
		}
		if (in->now_ns >= deadline) {
			initiator_fail(in, true,
				       "CSTS is %08llxh after %llu ms, bits %02xh should be %02xh",
				       (unsigned long long)csts, (unsigned long long)timeout_ms,
				       mask, want);
			return -ETIMEDOUT;
		}
		for (pause_until = in->now_ns + READY_POLL_NS; in->now_ns < pause_until;) {
			rc = initiator_poll(in, READY_POLL_NS);
			if (rc)
				return rc;
		}
	}
}

/* As nvme_enable_ctrl() of Linux. */
static int ctrl_enable(struct initiator *in)
{
	uint64_t value, timeout_ms;
	uint32_t cc = 6u << NVME_CC_IOSQES_SHIFT | 4u << NVME_CC_IOCQES_SHIFT;
	int rc = property_get(in, NVME_PROP_CAP, true, &in->cap);

	if (rc)
		return rc;
	if (in->cap >> 48 & 0xf) {
		initiator_fail(in, false, "CAP.MPSMIN %u: 4 KiB pages are not possible",
			       (unsigned)(in->cap >> 48 & 0xf));
		return -ENODEV;
	}
	if (!(in->cap & (NVME_CAP_CSS_NVM | NVME_CAP_CSS_IOCSS))) {
		initiator_fail(in, false, "CAP.CSS has no I/O command set (CAP %016llxh)",
			       (unsigned long long)in->cap);
		return -ENODEV;
	}
	in->csi = in->cap & NVME_CAP_CSS_IOCSS;
	cc |= in->csi ? NVME_CC_CSS_CSI << NVME_CC_CSS_SHIFT : 0;
	timeout_ms = (in->cap >> 24 & 0xff) * CAP_TO_UNIT_MS;
	rc = property_set(in, NVME_PROP_CC, cc);
	if (!rc && in->cap & NVME_CAP_CRMS_CRWMS) {
		rc = property_get(in, NVME_PROP_CRTO, false, &value);
		timeout_ms = MAX(timeout_ms, (value & 0xffff) * CAP_TO_UNIT_MS);
	}
	if (!rc)
		rc = property_get(in, NVME_PROP_CC, false, &value);
	if (!rc && value != cc) {
		initiator_fail(in, false, "CC reads %08llxh after %08xh was written",
			       (unsigned long long)value, cc);
		rc = -EPROTO;
	}
	if (!rc)
		rc = property_set(in, NVME_PROP_CC, cc | NVME_CC_EN);
	return rc ? rc : csts_wait(in, NVME_CSTS_RDY, NVME_CSTS_RDY, timeout_ms);
}

/* --------------------------------------------------------------------------------------- Identify */

/* What a Linux host refuses in Identify Controller (nvme_check_ctrl_fabric_info and callers). */
static void id_ctrl_check(struct initiator *in)
{
	const struct nvme_id_ctrl *id = &in->id;
	const char *what = in->fabric->id_fault(id);

	if (le16_get(id->cntlid) != in->cntlid)
		initiator_fail(in, false, "Identify has CNTLID %04xh, Connect returned %04xh",
			       le16_get(id->cntlid), in->cntlid);
	else if (memchr(id->subnqn, 0, sizeof(id->subnqn)) == NULL ||
		 strlen(id->subnqn) > NVME_NQN_MAX)
		initiator_fail(in, false, "Identify has a SUBNQN of more than 223 bytes");
	else if (strcmp(id->subnqn, in->options.subnqn) && !in->discovery)
		initiator_fail(in, false, "Identify has SUBNQN %.*s, connected to %s", NVME_NQN_MAX,
			       id->subnqn, in->options.subnqn);
	else if (in->discovery != (id->cntrltype == NVME_CTRL_DISCOVERY))
		initiator_fail(in, false, "Identify has CNTRLTYPE %u on a%s controller",
			       id->cntrltype, in->discovery ? " discovery" : "n I/O");
	else if ((le32_get(id->sgls) & 3) == 0)
		initiator_fail(in, false, "SGLS %08xh: no SGLs, which Fabrics needs",
			       le32_get(id->sgls));
	else if (!in->discovery && le16_get(id->kas) == 0)
		initiator_fail(in, false, "KAS is 0: keep alive is mandatory in Fabrics");
	else if (!in->discovery && le32_get(id->ioccsz) < 4)
		initiator_fail(in, false, "IOCCSZ is %u: at least 4", le32_get(id->ioccsz));
	else if (!in->discovery && le32_get(id->iorcsz) < 1)
		initiator_fail(in, false, "IORCSZ is %u: at least 1", le32_get(id->iorcsz));
	else if (le16_get(id->icdoff) != 0)
		initiator_fail(in, false, "ICDOFF is %u: has to be 0", le16_get(id->icdoff));
	else if (!in->discovery && (id->sqes != 0x66 || id->cqes != 0x44))
		initiator_fail(in, false, "SQES %02xh, CQES %02xh: has to be 66h, 44h", id->sqes,
			       id->cqes);
	else if (what)
		initiator_fail(in, false, "%s", what);
}

/* Descriptors as nvme_parse_ana_log() and nvme_update_ana_state() of Linux want them. */
static const char *ana_log_fault(const struct nvme_id_ctrl *id, const uint8_t *buf, uint32_t len)
{
	const struct nvme_ana_log *log = (const struct nvme_ana_log *)buf;
	uint32_t at = sizeof(*log);

	for (unsigned i = 0; i < le16_get(log->ngrps); i++) {
		const struct nvme_ana_group_desc *desc = (const void *)(buf + at);
		uint32_t grpid, n;

		if (len - at < sizeof(*desc))
			return "overruns its size";
		grpid = le32_get(desc->grpid);
		n = le32_get(desc->nnsids);
		at += (uint32_t)sizeof(*desc);
		if (grpid == 0 || grpid > le32_get(id->anagrpmax))
			return "has a group identifier outside 1 to ANAGRPMAX";
		if (desc->state == 0 || desc->state > NVME_ANA_CHANGE)
			return "has an ANA state that does not exist";
		if (n > (len - at) / 4)
			return "has more NSIDs than its size";
		for (uint32_t k = 1; k < n; k++)
			if (le32_get(desc->nsids[k]) <= le32_get(desc->nsids[k - 1]))
				return "has NSIDs that are not ascending";
		at += 4 * n;
	}
	return NULL;
}

/* As nvme_mpath_init_identify() of Linux: a fault here fails the connection. */
static int ana_check(struct initiator *in)
{
	const struct nvme_id_ctrl *id = &in->id;
	uint32_t mnan = le32_get(id->mnan);
	uint64_t size = 16 + 32ull * le32_get(id->nanagrpid) + 4ull * mnan;
	const char *what;
	uint8_t *buf;
	int rc = 0;

	if (!(id->cmic & NVME_CMIC_ANA))
		return 0;
	if (mnan == 0 || mnan > le32_get(id->nn)) {
		initiator_fail(in, false, "MNAN %u with NN %u: ANA needs 1 to NN", mnan,
			       le32_get(id->nn));
		return -EPROTO;
	}
	if (size > in->max_transfer) {
		initiator_fail(in, false, "the ANA log may have %llu bytes, MDTS allows %u",
			       (unsigned long long)size, in->max_transfer);
		return -EPROTO;
	}
	buf = calloc(1, size);
	if (!buf) {
		initiator_fail(in, false, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t at = 0; at < size && !rc; at += 4096)
		rc = initiator_log_page(in, NVME_LOG_ANA, NVME_NSID_ALL, at, buf + at,
					(uint32_t)MIN(size - at, 4096u));
	what = rc ? "could not be read" : ana_log_fault(id, buf, (uint32_t)size);
	free(buf);
	if (what && rc >= 0)
		initiator_fail(in, false, "the ANA log %s", what);
	return what ? -EPROTO : 0;
}

static int ctrl_identify(struct initiator *in)
{
	char text[96];
	int rc = initiator_identify(in, NVME_CNS_CTRL, 0, 0, &in->id);

	if (rc > 0)
		initiator_fail(in, false, "Identify Controller failed: %s",
			       nvme_status_text((uint16_t)rc, text, sizeof(text)));
	else if (!rc)
		id_ctrl_check(in);
	if (rc || in->failed)
		return rc < 0 ? rc : -EPROTO;
	in->max_transfer = in->id.mdts && in->id.mdts < 20 ? 4096u << in->id.mdts : UINT32_MAX;
	return in->discovery ? 0 : ana_check(in);
}

/* --------------------------------------------------------------------------------------- features */

static int feature_set(struct initiator *in, uint8_t feature, uint32_t value, uint32_t *result)
{
	struct initiator_cmd cmd = { .sqe = { .opcode = NVME_ADMIN_SET_FEATURES,
					      .cdw10 = le32(feature),
					      .cdw11 = le32(value) } };
	char text[96];
	int rc = initiator_run(in, 0, &cmd, "Set Features");

	if (rc > 0)
		initiator_fail(in, false, "Set Features %02xh failed: %s", feature,
			       nvme_status_text((uint16_t)rc, text, sizeof(text)));
	*result = cmd.result;
	return rc > 0 ? -EPROTO : rc;
}

/* The number of I/O queues: zero based in both halves (Base, feature 07h). */
static int queues_negotiate(struct initiator *in)
{
	uint32_t want = in->n_queues - 1;
	uint32_t granted, result;
	int rc;

	if (want == 0)
		return 0;
	rc = feature_set(in, NVME_FEAT_NUM_QUEUES, (want - 1) << 16 | (want - 1), &result);
	if (rc)
		return rc;
	granted = MIN((result & 0xffff) + 1, (result >> 16) + 1);
	granted = MIN(granted, want);
	if (in->n_io && granted != in->n_io) {
		initiator_fail(in, false, "%u I/O queues granted after reconnecting, %u before",
			       granted, in->n_io);
		return -EPROTO;
	}
	in->n_io = granted;
	return 0;
}

static uint32_t io_entries(const struct initiator *in)
{
	uint32_t entries = in->options.depth + 1;
	uint32_t maxcmd = le16_get(in->id.maxcmd);

	entries = MIN(entries, (uint32_t)NVME_CAP_MQES(in->cap) + 1);
	return maxcmd ? MIN(entries, maxcmd) : entries;
}

static int io_queues_open(struct initiator *in)
{
	int rc = queues_negotiate(in);

	in->io_entries = io_entries(in);
	if (!rc && in->n_io && in->io_entries < 2) {
		initiator_fail(in, false, "MAXCMD or CAP.MQES allow no I/O queue of two entries");
		rc = -EPROTO;
	}
	for (unsigned i = 1; i <= in->n_io && !rc; i++) {
		struct queue *q = in->queues[i];

		q->entries = in->io_entries;
		q->n_slots = q->entries - 1;
		q->in_capsule = in->fabric->in_capsule(&in->id);
		rc = queue_open(in, i);
	}
	return rc;
}

/* Asks for every event that both sides know (nvme_enable_aen() of Linux). */
static int events_enable(struct initiator *in)
{
	uint32_t oaes = le32_get(in->id.oaes) & (NVME_AEN_NS_ATTR | NVME_AEN_FW_ACTIVATION |
						 NVME_AEN_ANA | NVME_AEN_DISCOVERY);
	uint32_t result;

	return oaes ? feature_set(in, NVME_FEAT_ASYNC_EVENT, oaes, &result) : 0;
}

int initiator_connect(struct initiator *in)
{
	int rc;

	in->error[0] = 0;
	in->failed = false;
	in->may_retry = true;
	in->watching = false;
	in->state = INITIATOR_UP;
	in->discovery = in->options.discovery;
	in->now_ns = clock_now_ns();
	in->next_tick_ns = in->now_ns;
	rc = in->fabric->assoc_open ? in->fabric->assoc_open(in) : 0;
	if (!rc)
		rc = queue_open(in, 0);
	if (!rc)
		rc = ctrl_enable(in);
	if (!rc)
		rc = ctrl_identify(in);
	if (!rc && !in->discovery)
		rc = io_queues_open(in);
	if (!rc && (!in->discovery || in->options.kato_ms))
		rc = events_enable(in);
	if (rc || in->failed) {
		initiator_teardown(in);
		return rc < 0 ? rc : -EPROTO;
	}
	in->counters.connects++;
	if (!in->discovery || in->options.kato_ms)
		initiator_watch(in);
	return 0;
}

/* ------------------------------------------------------------------------------------------- end */

/* Orderly: I/O queues first, then CC.SHN and its completion (Base 3.6.1). */
static void ctrl_shutdown(struct initiator *in)
{
	uint32_t cc = 6u << NVME_CC_IOSQES_SHIFT | 4u << NVME_CC_IOCQES_SHIFT | NVME_CC_EN |
		      (in->csi ? NVME_CC_CSS_CSI << NVME_CC_CSS_SHIFT : 0) | NVME_CC_SHN_NORMAL;

	in->watching = false;
	if (!property_set(in, NVME_PROP_CC, cc))
		csts_wait(in, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_COMPLETE, SHUTDOWN_WAIT_MS);
}

void initiator_fini(struct initiator *in)
{
	if (!in)
		return;
	if (in->state == INITIATOR_UP && in->queues[0]->open)
		ctrl_shutdown(in);
	if (in->ring.ring_fd >= 0) {
		initiator_teardown(in);
		io_uring_queue_exit(&in->ring);
	}
	for (unsigned i = 0; i < in->n_queues; i++)
		queue_free(in->queues[i]);
	free(in->queues);
	free(in->dirty);
	free(in);
}
