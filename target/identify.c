/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identify (Base 5.1.13; NVM Command Set 4.1.5). What is claimed here is what exists: a capability
 * that another file implements is announced by one bit in this one.
 */
#include <assert.h>
#include <string.h>

#include "target/admin.h"
#include "target/ctrl.h"
#include "target/io.h"
#include "target/listener.h"

enum {
	RECOMMENDED_BURST = 6,	     /* RAB: 64 commands */
	ANA_TRANSITION_S = 10,	     /* ANATT */
	SGL_DESCRIPTORS_CAPSULE = 4, /* IOCCSZ without in-capsule data: 64 bytes */
	CDW10_CNTID_SHIFT = 16,
	CDW11_CSI_SHIFT = 24,
	NSID_LIST_LAST = 0xfffffffe, /* NSIDs from here on cannot start a list */
	IDENTIFY_LIST_ENTRIES = NVME_IDENTIFY_SIZE / 4,
	IOCS_COMBINATION_NVM = 1 << NVME_CSI_NVM,
};

/* A namespace list has room for every namespace of a subsystem. */
_Static_assert((int)MAX_NSID <= (int)IDENTIFY_LIST_ENTRIES, "active namespace list");

static uint32_t sqe_nsid(const struct cmd *cmd)
{
	return le32_get(cmd->sqe.nsid);
}

static void pad(char *field, size_t size, const char *text)
{
	size_t len = strnlen(text, size);

	memset(field, ' ', size);
	memcpy(field, text, len);
}

void identify_strings(const struct ctrl *ctrl, char sn[20], char mn[40], char fr[8])
{
	const struct config_subsystem *config = ctrl->subsys->config;

	pad(sn, 20, config ? config->serial : "discovery");
	pad(mn, 40, ctrl->subsys->model);
	pad(fr, 8, ctrl->subsys->firmware);
}

/* ---------------------------------------------------------------------------------- controller */

static uint8_t shift_of(uint32_t power_of_two)
{
	return (uint8_t)__builtin_ctz(power_of_two);
}

/* What both kinds of controller have. */
static void id_ctrl_common(const struct ctrl *ctrl, const struct queue *admin,
			   struct nvme_id_ctrl *id)
{
	const char *nqn = ctrl_is_discovery(ctrl) ? discovery_nqn() : ctrl->subsys->nqn;

	identify_strings(ctrl, id->sn, id->mn, id->fr);
	id->mdts = (uint8_t)(shift_of(ctrl_max_transfer(ctrl)) - shift_of(HOST_PAGE_SIZE));
	id->cntlid = le16(ctrl->cntlid);
	id->ver = le32(NVME_VERSION_2_1);
	id->oaes = le32(async_event_supported(ctrl));
	id->ctratt = le32(NVME_CTRATT_HOSTID_128 | NVME_CTRATT_TBKAS |
			  (ctrl_is_discovery(ctrl) ? 0u : NVME_CTRATT_ENDURANCE_GROUPS));
	id->aerl = MAX_AER - 1;
	id->lpa = NVME_LPA_EFFECTS | NVME_LPA_EXTENDED | NVME_LPA_SUPPORTED_PAGES;
	id->elpe = MAX_ERROR_LOG - 1;
	id->kas = le16(KATO_GRANULARITY_MS / 100);
	id->sgls = le32(admin->ops->sgls | NVME_SGLS_BYTE_ALIGNED);
	id->maxcmd = le16((uint16_t)((ctrl_cap(ctrl) & 0xffff) + 1));
	id->ioccsz = le32(SGL_DESCRIPTORS_CAPSULE);
	id->iorcsz = le32(sizeof(struct nvme_cqe) / 16);
	id->msdbd = 1; /* that of the command itself */
	memcpy(id->subnqn, nqn, strlen(nqn));
}

static void id_ctrl_io(const struct ctrl *ctrl, const struct queue *admin, struct nvme_id_ctrl *id)
{
	uint32_t in_capsule = ctrl->listener->config->in_capsule;
	uint32_t descriptors = MAX(in_capsule / 16, 1u);

	id->rab = RECOMMENDED_BURST;
	id->cmic = NVME_CMIC_MULTI_PORT | NVME_CMIC_MULTI_CTRL | NVME_CMIC_ANA;
	id->cntrltype = NVME_CTRL_IO;
	id->acl = MAX_ABORTS - 1;
	id->frmw = NVME_FRMW_SLOT1_READ_ONLY | NVME_FRMW_ONE_SLOT;
	id->lpa |= NVME_LPA_SMART_PER_NS;
	id->endgidmax = le16(MAX_NSID);
	id->anatt = ANA_TRANSITION_S;
	/* A reload may give a namespace another group. */
	id->anacap = NVME_ANACAP_OPTIMIZED;
	id->anagrpmax = le32(MAX_ANA_GROUPS);
	id->nanagrpid = le32(MAX_ANA_GROUPS);
	id->sqes = NVME_SQES_64;
	id->cqes = NVME_CQES_16;
	id->nn = le32(MAX_NSID);
	id->mnan = le32(MAX_NSID);
	id->oncs = le16(NVME_ONCS_COMPARE | NVME_ONCS_DSM | NVME_ONCS_WRITE_ZEROES |
			NVME_ONCS_SAVE_SELECT | NVME_ONCS_TIMESTAMP | NVME_ONCS_VERIFY |
			NVME_ONCS_COPY);
	id->fuses = le16(NVME_FUSES_COMPARE_WRITE);
	id->vwc = NVME_VWC_PRESENT | NVME_VWC_FLUSH_ALL;
	id->nwpc = NVME_NWPC_WRITE_PROTECT;
	/* AWUN and AWUPF stay 0: one block is all that any backend promises. */
	id->acwu = le16(IO_ACWU);
	id->ocfs = le16(NVME_OCFS_FORMAT0);
	id->ioccsz = le32(SGL_DESCRIPTORS_CAPSULE + in_capsule / 16);
	/* More descriptors than one lie in the capsule. */
	id->msdbd = (uint8_t)MIN(descriptors, (uint32_t)admin->ops->msdbd);
	id->crdt1 = le16(RETRY_DELAY_MS / 100);
	id->ofcs = le16(NVME_OFCS_DISCONNECT);
}

static void id_ctrl_discovery(struct nvme_id_ctrl *id)
{
	id->cntrltype = NVME_CTRL_DISCOVERY;
	id->dctype = NVME_DCTYPE_DIRECT;
}

static void identify_ctrl(struct cmd *cmd)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;
	struct nvme_id_ctrl id = { 0 };

	id_ctrl_common(ctrl, cmd->queue, &id);
	if (ctrl_is_discovery(ctrl))
		id_ctrl_discovery(&id);
	else
		id_ctrl_io(ctrl, cmd->queue, &id);
	cmd_reply(cmd, &id, sizeof(id), 0);
}

/* The limits of Verify, Write Zeroes and Dataset Management: 0, there are none beside NLB and NR.
 */
static void identify_csi_ctrl(struct cmd *cmd)
{
	cmd_reply(cmd, NULL, 0, 0);
}

/* ---------------------------------------------------------------------------------- namespaces */

static void identify_zeros(struct cmd *cmd)
{
	cmd_reply(cmd, NULL, 0, 0);
}

static uint8_t nsattr(const struct ns *ns)
{
	return ns_is_read_only(ns) ? NVME_NSATTR_READ_ONLY : 0;
}

/* Sizes and alignments that suit the device, in blocks (NVM Command Set, OPTPERF); 0's based. */
static void id_ns_performance(const struct backend_limits *limits, struct nvme_id_ns *id)
{
	le16_t blocks = le16((uint16_t)((1u << (limits->phys_shift - limits->block_shift)) - 1));

	id->npwg = blocks;
	id->npwa = blocks;
	id->npdg = blocks;
	id->npda = blocks;
	id->nows = blocks;
}

static void identify_ns(struct cmd *cmd)
{
	struct ns *ns = cmd->ns;
	const struct backend_limits *limits = &ns->backend->limits;
	struct io_copy_limits copy = io_copy_limits(ns);
	struct nvme_id_ns id = { 0 };

	ns_refresh(ns);
	id.nsze = le64(ns_blocks(ns));
	id.ncap = id.nsze;
	id.nuse = id.nsze;
	id.nsfeat = NVME_NSFEAT_OPTPERF;
	id_ns_performance(limits, &id);
	id.nmic = NVME_NMIC_SHARED;
	if (limits->discard && limits->discard_zeroes)
		id.dlfeat = NVME_DLFEAT_READ_ZERO | NVME_DLFEAT_WZ_DEAC;
	memcpy(id.nvmcap, le64(ns_blocks(ns) << ns->block_shift).b, sizeof(le64_t));
	id.mssrl = le16(copy.mssrl);
	id.mcl = le32(copy.mcl);
	id.msrc = copy.msrc;
	id.anagrpid = le32(ns->config->ana_group);
	id.endgid = le16((uint16_t)ns->nsid);
	id.nsattr = nsattr(ns);
	if (ns->config->has_nguid)
		memcpy(id.nguid, ns->config->nguid, sizeof(id.nguid));
	if (ns->config->has_eui64)
		memcpy(id.eui64, ns->config->eui64, sizeof(id.eui64));
	id.lbaf[0].lbads = ns->block_shift;
	cmd_reply(cmd, &id, sizeof(id), 0);
}

/* NVM command set specific part: protection information and the like, of which there is none. */
static void identify_csi_ns(struct cmd *cmd)
{
	ns_refresh(cmd->ns);
	cmd_reply(cmd, NULL, 0, 0);
}

static void identify_ns_indep(struct cmd *cmd)
{
	struct ns *ns = cmd->ns;
	struct nvme_id_ns_indep id = { 0 };

	ns_refresh(ns);
	id.nmic = NVME_NMIC_SHARED;
	if (!ns->backend->limits.volatile_cache)
		id.nsfeat = NVME_NSFEAT_INDEP_VWCNP;
	id.anagrpid = le32(ns->config->ana_group);
	id.endgid = le16((uint16_t)ns->nsid);
	id.nsattr = nsattr(ns);
	if (!__atomic_load_n(&ns->gone, __ATOMIC_RELAXED))
		id.nstat = NVME_NSTAT_NRDY;
	cmd_reply(cmd, &id, sizeof(id), 0);
}

/* Appends a namespace identification descriptor and returns where the next one goes. */
static uint8_t *desc_add(uint8_t *at, uint8_t type, const void *id, uint8_t len)
{
	struct nvme_ns_id_desc desc = { .nidt = type, .nidl = len };

	memcpy(at, &desc, sizeof(desc));
	memcpy(at + sizeof(desc), id, len);
	return at + sizeof(desc) + len;
}

static void identify_ns_descs(struct cmd *cmd)
{
	const struct config_namespace *config = cmd->ns->config;
	static const uint8_t csi = NVME_CSI_NVM;
	uint8_t list[128], *at = list;

	if (config->has_eui64)
		at = desc_add(at, NVME_NIDT_EUI64, config->eui64, sizeof(config->eui64));
	if (config->has_nguid)
		at = desc_add(at, NVME_NIDT_NGUID, config->nguid, sizeof(config->nguid));
	if (config->has_uuid)
		at = desc_add(at, NVME_NIDT_UUID, config->uuid, sizeof(config->uuid));
	at = desc_add(at, NVME_NIDT_CSI, &csi, sizeof(csi));
	cmd_reply(cmd, list, (size_t)(at - list), 0);
}

/* --------------------------------------------------------------------------------------- lists */

static void identify_active_ns(struct cmd *cmd)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;
	le32_t list[IDENTIFY_LIST_ENTRIES];
	unsigned n = 0;

	for (uint32_t nsid = sqe_nsid(cmd) + 1; nsid <= ctrl->subsys->max_nsid; nsid++)
		if (ctrl_sees(ctrl, nsid))
			list[n++] = le32(nsid);
	cmd_reply(cmd, list, n * sizeof(list[0]), 0);
}

/* Identifiers of all controllers of the subsystem from CNTID on: number, then ascending. */
static void identify_ctrl_list(struct cmd *cmd)
{
	struct subsys *subsys = cmd->queue->ctrl->subsys;
	uint32_t nsid = cmd->ns ? cmd->ns->nsid : 0;
	uint64_t there[(MAX_CNTLID + 64) / 64] = { 0 };
	le16_t list[NVME_IDENTIFY_SIZE / 2];
	unsigned n = 1;

	pthread_mutex_lock(&subsys->lock);
	list_for_each(ctrl, &subsys->ctrls, struct ctrl, subsys_link)
		if (!nsid || ctrl_sees(ctrl, nsid))
			there[ctrl->cntlid / 64] |= 1ull << (ctrl->cntlid % 64);
	pthread_mutex_unlock(&subsys->lock);
	for (uint32_t id = le32_get(cmd->sqe.cdw10) >> CDW10_CNTID_SHIFT; id <= MAX_CNTLID; id++)
		if (n < ARRAY_SIZE(list) && (there[id / 64] >> (id % 64) & 1))
			list[n++] = le16((uint16_t)id);
	list[0] = le16((uint16_t)(n - 1));
	cmd_reply(cmd, list, n * sizeof(list[0]), 0);
}

/* Each namespace wears out by itself: it is an endurance group, whose identifier is its NSID. */
static void identify_endurance_groups(struct cmd *cmd)
{
	const struct ctrl *ctrl = cmd->queue->ctrl;
	le16_t list[NVME_IDENTIFY_SIZE / 2];
	unsigned n = 1;

	for (uint32_t id = (le32_get(cmd->sqe.cdw11) & 0xffff) + 1; id <= ctrl->subsys->max_nsid;
	     id++)
		if (ctrl_sees(ctrl, id))
			list[n++] = le16((uint16_t)id);
	list[0] = le16((uint16_t)(n - 1));
	cmd_reply(cmd, list, n * sizeof(list[0]), 0);
}

/* One combination of I/O command sets: the NVM command set. */
static void identify_iocs(struct cmd *cmd)
{
	le64_t combination = le64(IOCS_COMBINATION_NVM);

	cmd_reply(cmd, &combination, sizeof(combination), 0);
}

/* --------------------------------------------------------------------------------------- table */

/* What NSID means to a structure. */
enum nsid_use {
	NSID_UNUSED,
	NSID_LIST,     /* the list begins behind it */
	NSID_OR_ZEROS, /* one namespace; zeros for one that is not active */
	NSID_ACTIVE,   /* one active namespace */
};

static const struct structure {
	void (*execute)(struct cmd *cmd);
	enum nsid_use nsid;
	bool has_csi; /* CDW11 names a command set */
	bool on_discovery;
} structures[] = {
	[NVME_CNS_NS] = { identify_ns, NSID_OR_ZEROS, false, false },
	[NVME_CNS_CTRL] = { identify_ctrl, NSID_UNUSED, false, true },
	[NVME_CNS_ACTIVE_NS] = { identify_active_ns, NSID_LIST, false, false },
	[NVME_CNS_NS_DESCS] = { identify_ns_descs, NSID_ACTIVE, false, false },
	[NVME_CNS_CSI_NS] = { identify_csi_ns, NSID_OR_ZEROS, true, false },
	[NVME_CNS_CSI_CTRL] = { identify_csi_ctrl, NSID_UNUSED, true, false },
	[NVME_CNS_CSI_ACTIVE_NS] = { identify_active_ns, NSID_LIST, true, false },
	[NVME_CNS_NS_CS_INDEP] = { identify_ns_indep, NSID_OR_ZEROS, false, false },
	[NVME_CNS_NS_CTRLS] = { identify_ctrl_list, NSID_ACTIVE, false, false },
	[NVME_CNS_SUBSYS_CTRLS] = { identify_ctrl_list, NSID_UNUSED, false, false },
	[NVME_CNS_ENDURANCE_GROUPS] = { identify_endurance_groups, NSID_UNUSED, false, false },
	[NVME_CNS_IOCS] = { identify_iocs, NSID_UNUSED, false, false },
};

static uint16_t nsid_invalid(struct cmd *cmd)
{
	return cmd_fault(cmd, CMD_PLACE(nsid, 0), NVME_SC_INVALID_NSID | NVME_STATUS_DNR);
}

/* Sets cmd->ns where the structure is about one. FFFFFFFFh is none, as there is no management. */
static uint16_t nsid_decide(struct cmd *cmd, enum nsid_use use)
{
	uint32_t nsid = sqe_nsid(cmd);

	switch (use) {
	case NSID_UNUSED:
		return 0;
	case NSID_LIST:
		return nsid >= NSID_LIST_LAST ? nsid_invalid(cmd) : 0;
	case NSID_OR_ZEROS:
		if (!nsid || nsid > MAX_NSID)
			return nsid_invalid(cmd);
		cmd->ns = ctrl_ns(cmd->queue->ctrl, nsid);
		return 0;
	case NSID_ACTIVE:
		cmd->ns = ctrl_ns(cmd->queue->ctrl, nsid);
		return cmd->ns ? 0 : nsid_invalid(cmd);
	}
	return 0;
}

uint16_t identify_parse(struct cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10), cdw11 = le32_get(cmd->sqe.cdw11);
	const struct ctrl *ctrl = cmd->queue->ctrl;
	const struct structure *structure;
	uint8_t cns = (uint8_t)cdw10;
	uint16_t status;

	structure = cns < ARRAY_SIZE(structures) ? &structures[cns] : NULL;
	if (!structure || !structure->execute ||
	    (ctrl_is_discovery(ctrl) && !structure->on_discovery))
		return cmd_fault(cmd, CMD_PLACE(cdw10, 0), NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	if (structure->has_csi && cdw11 >> CDW11_CSI_SHIFT != NVME_CSI_NVM)
		return cmd_fault(cmd, CMD_PLACE(cdw11, CDW11_CSI_SHIFT),
				 NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	if (cns == NVME_CNS_IOCS && cdw10 >> CDW10_CNTID_SHIFT != NVMF_CNTLID_DYNAMIC &&
	    cdw10 >> CDW10_CNTID_SHIFT != ctrl->cntlid)
		return cmd_fault(cmd, CMD_PLACE(cdw10, CDW10_CNTID_SHIFT),
				 NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
	status = nsid_decide(cmd, structure->nsid);
	if (status)
		return status;
	return cmd_need(cmd, CMD_DATA_TO_HOST, NVME_IDENTIFY_SIZE,
			structure->nsid == NSID_OR_ZEROS && !cmd->ns ? identify_zeros :
								       structure->execute);
}
