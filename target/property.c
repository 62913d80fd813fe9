/* SPDX-License-Identifier: BSD-3-Clause */
/* Controller properties (Base 3.1.4) by Property Get and Property Set. */
#include "target/admin.h"
#include "target/ctrl.h"

enum { PROP_SIZE_4 = 0, PROP_SIZE_8 = 1, PROP_SIZE_MASK = 7 };

static const struct nvmf_property_cmd *property_cmd(const struct cmd *cmd)
{
	return (const struct nvmf_property_cmd *)&cmd->sqe;
}

static uint16_t property_invalid(struct cmd *cmd, unsigned offset)
{
	return cmd_fault(cmd, CMD_PLACE_AT(offset, 0), NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
}

static void property_done(struct cmd *cmd)
{
	cmd_complete(cmd, NVME_SC_SUCCESS);
}

uint16_t property_get_parse(struct cmd *cmd)
{
	const struct nvmf_property_cmd *get = property_cmd(cmd);
	struct ctrl *ctrl = cmd->queue->ctrl;
	unsigned size = PROP_SIZE_4;
	uint64_t value;

	switch (le32_get(get->offset)) {
	case NVME_PROP_CAP:
		size = PROP_SIZE_8;
		value = ctrl_cap(ctrl);
		break;
	case NVME_PROP_VS:
		value = NVME_VERSION_2_1;
		break;
	case NVME_PROP_CC:
		value = ctrl->cc;
		break;
	case NVME_PROP_CSTS:
		value = ctrl_csts(ctrl);
		break;
	default:
		return property_invalid(cmd, offsetof(struct nvmf_property_cmd, offset));
	}
	if ((get->attrib & PROP_SIZE_MASK) != size)
		return property_invalid(cmd, offsetof(struct nvmf_property_cmd, attrib));
	cmd->cqe.dw0 = le32((uint32_t)value);
	cmd->cqe.dw1 = le32((uint32_t)(value >> 32));
	return cmd_need(cmd, CMD_DATA_NONE, 0, property_done);
}

/* What a host may ask for when it enables the controller (Base 3.1.4.5). */
static bool cc_is_valid(const struct ctrl *ctrl, uint32_t cc)
{
	unsigned css = (cc & NVME_CC_CSS_MASK) >> NVME_CC_CSS_SHIFT;

	if (cc & (NVME_CC_MPS_MASK | NVME_CC_AMS_MASK))
		return false; /* 4 KiB pages and round robin are all there is */
	if (css != NVME_CC_CSS_NVM && css != NVME_CC_CSS_CSI)
		return false;
	if (ctrl_is_discovery(ctrl))
		return true;
	return (cc >> NVME_CC_IOSQES_SHIFT & 0xf) == 6 && (cc >> NVME_CC_IOCQES_SHIFT & 0xf) == 4;
}

static void cc_set(struct ctrl *ctrl, uint32_t cc)
{
	uint32_t old = ctrl->cc;

	ctrl->cc = cc;
	if ((cc & NVME_CC_EN) && !(old & NVME_CC_EN)) {
		if (!cc_is_valid(ctrl, cc)) {
			ctrl_refuse(ctrl);
			return;
		}
		ctrl_enable(ctrl);
	}
	if (!(cc & NVME_CC_EN) && (old & NVME_CC_EN))
		ctrl_reset(ctrl);
	if ((cc & NVME_CC_SHN_MASK) && !(old & NVME_CC_SHN_MASK))
		ctrl_shutdown(ctrl);
	else if (!(cc & NVME_CC_SHN_MASK))
		ctrl_forget_shutdown(ctrl);
}

static void property_set_cc(struct cmd *cmd)
{
	cc_set(cmd->queue->ctrl, (uint32_t)le64_get(property_cmd(cmd)->value));
	cmd_complete(cmd, NVME_SC_SUCCESS);
}

uint16_t property_set_parse(struct cmd *cmd)
{
	const struct nvmf_property_cmd *set = property_cmd(cmd);

	/* CC is the only property that a host may write here: there is no subsystem reset. */
	if (le32_get(set->offset) != NVME_PROP_CC)
		return property_invalid(cmd, offsetof(struct nvmf_property_cmd, offset));
	if ((set->attrib & PROP_SIZE_MASK) != PROP_SIZE_4)
		return property_invalid(cmd, offsetof(struct nvmf_property_cmd, attrib));
	return cmd_need(cmd, CMD_DATA_NONE, 0, property_set_cc);
}
