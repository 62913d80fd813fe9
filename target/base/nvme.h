/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wire structures and constants of NVM Express: Base 2.1, NVM Command Set 1.1. Transport PDUs are in
 * transport/. All structures have alignment 1 (base/endian.h), reserved bytes are zero when sent.
 */
#ifndef SLUICE_BASE_NVME_H
#define SLUICE_BASE_NVME_H

#include <stddef.h>

#include "base/endian.h"

#define NVME_VERSION_2_1 0x00020100u

/* ------------------------------------------------------------------ queue entries (Base 4.1, 4.2) */

/* SGL descriptor (Base 4.3.2). */
struct nvme_sgl {
	le64_t addr; /* or the offset in the capsule */
	le32_t len;
	uint8_t rsvd[3];
	uint8_t type; /* type in the high nibble, sub type in the low one */
};
_Static_assert(sizeof(struct nvme_sgl) == 16, "SGL descriptor");

/* Keyed SGL data block descriptor, for RDMA. */
struct nvme_keyed_sgl {
	le64_t addr;
	uint8_t len[3];
	le32_t key;
	uint8_t type;
};
_Static_assert(sizeof(struct nvme_keyed_sgl) == 16, "keyed SGL descriptor");

enum nvme_sgl_type {
	NVME_SGL_DATA_OFFSET = 0x01,      /* data block, offset: data in the capsule */
	NVME_SGL_KEYED_ADDRESS = 0x40,
	NVME_SGL_KEYED_INVALIDATE = 0x4f,
	NVME_SGL_TRANSPORT = 0x5a,        /* transport data block, transport-specific sub type Ah */
};

/* Submission queue entry. CDW10 to CDW15 are read by opcode. */
struct nvme_sqe {
	uint8_t opcode; /* FCTYPE is at offset 4 in Fabrics commands */
	uint8_t flags;  /* FUSE in 1:0, PSDT in 7:6 */
	le16_t cid;
	le32_t nsid;
	le32_t cdw2;
	le32_t cdw3;
	le64_t mptr;
	struct nvme_sgl sgl;
	le32_t cdw10;
	le32_t cdw11;
	le32_t cdw12;
	le32_t cdw13;
	le32_t cdw14;
	le32_t cdw15;
};
_Static_assert(sizeof(struct nvme_sqe) == 64, "submission queue entry");

enum nvme_sqe_flags {
	NVME_FUSE_MASK = 0x03,
	NVME_FUSE_FIRST = 0x01,
	NVME_FUSE_SECOND = 0x02,
	NVME_PSDT_MASK = 0xc0,
	NVME_PSDT_SGL = 0x40,       /* SGL, metadata pointer is a buffer address */
	NVME_PSDT_SGL_MPTR_SGL = 0x80,
};

/* Completion queue entry. */
struct nvme_cqe {
	le32_t dw0;
	le32_t dw1;
	le16_t sqhd;
	le16_t sqid;
	le16_t cid;
	le16_t status; /* status field in 15:1; the phase tag in 0 is zero in Fabrics */
};
_Static_assert(sizeof(struct nvme_cqe) == 16, "completion queue entry");

/*
 * Status: code in 7:0, type in 10:8, CRD in 12:11, More in 13, Do Not Retry in 14; that is the
 * status field of the completion without its phase bit (Base 4.2.3).
 */
enum nvme_status {
	NVME_SC_SUCCESS = 0x000,
	NVME_SC_INVALID_OPCODE = 0x001,
	NVME_SC_INVALID_FIELD = 0x002,
	NVME_SC_CID_CONFLICT = 0x003,
	NVME_SC_DATA_TRANSFER_ERROR = 0x004,
	NVME_SC_ABORTED_POWER_LOSS = 0x005,
	NVME_SC_INTERNAL = 0x006,
	NVME_SC_ABORT_REQUESTED = 0x007,
	NVME_SC_ABORTED_SQ_DELETION = 0x008,
	NVME_SC_ABORTED_FAILED_FUSED = 0x009,
	NVME_SC_ABORTED_MISSING_FUSED = 0x00a,
	NVME_SC_INVALID_NSID = 0x00b,
	NVME_SC_COMMAND_SEQUENCE = 0x00c,
	NVME_SC_INVALID_SGL_SEGMENT = 0x00d,
	NVME_SC_INVALID_SGL_COUNT = 0x00e,
	NVME_SC_SGL_LENGTH_INVALID = 0x00f,
	NVME_SC_METADATA_SGL_LENGTH = 0x010,
	NVME_SC_SGL_TYPE_INVALID = 0x011,
	NVME_SC_SGL_OFFSET_INVALID = 0x016,
	NVME_SC_HOST_ID_INCONSISTENT = 0x018,
	NVME_SC_KATO_EXPIRED = 0x019,
	NVME_SC_KATO_INVALID = 0x01a,
	NVME_SC_NS_WRITE_PROTECTED = 0x020,
	NVME_SC_COMMAND_INTERRUPTED = 0x021,
	NVME_SC_TRANSIENT_TRANSPORT = 0x022,
	NVME_SC_LBA_OUT_OF_RANGE = 0x080,
	NVME_SC_CAPACITY_EXCEEDED = 0x081,
	NVME_SC_NS_NOT_READY = 0x082,
	NVME_SC_RESERVATION_CONFLICT = 0x083,

	NVME_SC_INVALID_LOG_PAGE = 0x109,
	NVME_SC_ABORT_LIMIT = 0x103,
	NVME_SC_AER_LIMIT = 0x105,
	NVME_SC_FEATURE_NOT_SAVEABLE = 0x10d,
	NVME_SC_FEATURE_NOT_CHANGEABLE = 0x10e,
	NVME_SC_FEATURE_NOT_NS_SPECIFIC = 0x10f,
	NVME_SC_INVALID_CONTROLLER_ID = 0x11f,
	NVME_SC_IOCS_COMBINATION = 0x12b,
	NVME_SC_INVALID_IO_COMMAND_SET = 0x12c,
	NVME_SC_INVALID_QID = 0x101,
	NVME_SC_INVALID_QUEUE_SIZE = 0x102,

	/* Fabrics command specific (Base, Fabrics commands). */
	NVME_SC_CONNECT_INCOMPATIBLE_FORMAT = 0x180,
	NVME_SC_CONNECT_CTRL_BUSY = 0x181,
	NVME_SC_CONNECT_INVALID_PARAM = 0x182,
	NVME_SC_CONNECT_RESTART_DISCOVERY = 0x183,
	NVME_SC_CONNECT_INVALID_HOST = 0x184,
	NVME_SC_DISCONNECT_INVALID_QUEUE_TYPE = 0x185,
	NVME_SC_DISCOVER_RESTART = 0x190,
	NVME_SC_AUTH_REQUIRED = 0x191,

	/* NVM command set specific. */
	NVME_SC_CONFLICTING_ATTRIBUTES = 0x180,
	NVME_SC_INVALID_PROTECTION = 0x181,
	NVME_SC_READ_ONLY_RANGE = 0x182,
	NVME_SC_COMMAND_SIZE_LIMIT = 0x183,
	NVME_SC_OVERLAPPING_RANGE = 0x187,

	/* Media and data integrity. */
	NVME_SC_WRITE_FAULT = 0x280,
	NVME_SC_UNRECOVERED_READ = 0x281,
	NVME_SC_GUARD_CHECK = 0x282,
	NVME_SC_COMPARE_FAILURE = 0x285,
	NVME_SC_ACCESS_DENIED = 0x286,
	NVME_SC_UNWRITTEN_BLOCK = 0x287,

	/* Path related: a host without DNR tries another path. */
	NVME_SC_INTERNAL_PATH_ERROR = 0x300,
	NVME_SC_ANA_PERSISTENT_LOSS = 0x301,
	NVME_SC_ANA_INACCESSIBLE = 0x302,
	NVME_SC_ANA_TRANSITION = 0x303,
	NVME_SC_CTRL_PATH_ERROR = 0x360,
	NVME_SC_HOST_PATH_ERROR = 0x370,

	NVME_STATUS_CODE_MASK = 0x7ff,
	NVME_STATUS_CRD1 = 0x0800, /* try again after CRDT1 of Identify Controller */
	NVME_STATUS_MORE = 0x2000,
	NVME_STATUS_DNR = 0x4000,
};

/* ---------------------------------------------------------------------------------------- opcodes */

enum nvme_admin_opcode {
	NVME_ADMIN_GET_LOG_PAGE = 0x02,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
	NVME_ADMIN_GET_FEATURES = 0x0a,
	NVME_ADMIN_ASYNC_EVENT = 0x0c,
	NVME_ADMIN_KEEP_ALIVE = 0x18,
	NVME_OPCODE_FABRICS = 0x7f,
};

enum nvme_io_opcode {
	NVME_IO_FLUSH = 0x00,
	NVME_IO_WRITE = 0x01,
	NVME_IO_READ = 0x02,
	NVME_IO_WRITE_UNCORRECTABLE = 0x04,
	NVME_IO_COMPARE = 0x05,
	NVME_IO_WRITE_ZEROES = 0x08,
	NVME_IO_DSM = 0x09,
	NVME_IO_VERIFY = 0x0c,
	NVME_IO_COPY = 0x19,
};

enum nvme_fctype {
	NVME_FCTYPE_PROPERTY_SET = 0x00,
	NVME_FCTYPE_CONNECT = 0x01,
	NVME_FCTYPE_PROPERTY_GET = 0x04,
	NVME_FCTYPE_AUTH_SEND = 0x05,
	NVME_FCTYPE_AUTH_RECEIVE = 0x06,
	NVME_FCTYPE_DISCONNECT = 0x08,
};

/* CDW12 of Read, Write, Compare, Verify and Write Zeroes. */
enum nvme_rw_control {
	NVME_RW_NLB_MASK = 0x0000ffff, /* zero based */
	NVME_RW_DEAC = 1u << 25,       /* Write Zeroes: deallocate */
	NVME_RW_PRINFO_MASK = 0xfu << 26,
	NVME_RW_FUA = 1u << 30,
	NVME_RW_LIMITED_RETRY = 1u << 31,
};

/* Dataset Management. */
struct nvme_dsm_range {
	le32_t attributes;
	le32_t nlb; /* one based */
	le64_t slba;
};
_Static_assert(sizeof(struct nvme_dsm_range) == 16, "DSM range");
enum { NVME_DSM_DEALLOCATE = 1 << 2 };

/* Copy, source range entry format 0. */
struct nvme_copy_range {
	uint8_t rsvd0[8];
	le64_t slba;
	le16_t nlb; /* zero based */
	uint8_t rsvd18[6];
	uint8_t protection[8];
};
_Static_assert(sizeof(struct nvme_copy_range) == 32, "Copy source range");

/* --------------------------------------------------------------------------------------- Fabrics */

enum {
	NVME_NQN_LEN = 256,     /* field on the wire, NUL padded */
	NVME_NQN_MAX = 223,     /* bytes of a name, without the NUL (Base 4.7) */
	NVMF_CNTLID_DYNAMIC = 0xffff,
	NVMF_CNTLID_STATIC_ANY = 0xfffe,
};
#define NVME_DISCOVERY_NQN "nqn.2014-08.org.nvmexpress.discovery"

struct nvmf_connect_cmd {
	uint8_t opcode;
	uint8_t flags;
	le16_t cid;
	uint8_t fctype;
	uint8_t rsvd5[19];
	struct nvme_sgl sgl;
	le16_t recfmt;
	le16_t qid;
	le16_t sqsize; /* zero based */
	uint8_t cattr;
	uint8_t rsvd47;
	le32_t kato; /* milliseconds */
	uint8_t rsvd52[12];
};
_Static_assert(sizeof(struct nvmf_connect_cmd) == 64, "Connect");
enum { NVMF_CATTR_DISABLE_SQFLOW = 1 << 2 };

struct nvmf_connect_data {
	uint8_t hostid[16];
	le16_t cntlid;
	uint8_t rsvd18[238];
	char subnqn[NVME_NQN_LEN];
	char hostnqn[NVME_NQN_LEN];
	uint8_t rsvd768[256];
};
_Static_assert(sizeof(struct nvmf_connect_data) == 1024, "Connect data");

struct nvmf_property_cmd {
	uint8_t opcode;
	uint8_t flags;
	le16_t cid;
	uint8_t fctype;
	uint8_t rsvd5[35];
	uint8_t attrib; /* size in 2:0: 0 is 4 bytes, 1 is 8 */
	uint8_t rsvd41[3];
	le32_t offset;
	le64_t value;
	uint8_t rsvd56[8];
};
_Static_assert(sizeof(struct nvmf_property_cmd) == 64, "Property Get/Set");

enum nvme_property {
	NVME_PROP_CAP = 0x00,
	NVME_PROP_VS = 0x08,
	NVME_PROP_CC = 0x14,
	NVME_PROP_CSTS = 0x1c,
	NVME_PROP_NSSR = 0x20,
	NVME_PROP_CRTO = 0x68,
};

#define NVME_CAP_MQES(v) ((uint64_t)(v) & 0xffff)
#define NVME_CAP_CQR (1ull << 16)
#define NVME_CAP_TO(v) (((uint64_t)(v) & 0xff) << 24) /* units of 500 ms */
#define NVME_CAP_CSS_NVM (1ull << 37)
#define NVME_CAP_CSS_IOCSS (1ull << 43)
#define NVME_CAP_CRMS_CRWMS (1ull << 59)

enum nvme_cc {
	NVME_CC_EN = 1 << 0,
	NVME_CC_CSS_SHIFT = 4,
	NVME_CC_CSS_MASK = 7 << 4,
	NVME_CC_CSS_NVM = 0,
	NVME_CC_CSS_CSI = 6,
	NVME_CC_MPS_SHIFT = 7,
	NVME_CC_MPS_MASK = 0xf << 7,
	NVME_CC_AMS_MASK = 7 << 11,
	NVME_CC_SHN_MASK = 3 << 14,
	NVME_CC_SHN_NORMAL = 1 << 14,
	NVME_CC_SHN_ABRUPT = 2 << 14,
	NVME_CC_IOSQES_SHIFT = 16,
	NVME_CC_IOCQES_SHIFT = 20,
};

enum nvme_csts {
	NVME_CSTS_RDY = 1 << 0,
	NVME_CSTS_CFS = 1 << 1,
	NVME_CSTS_SHST_MASK = 3 << 2,
	NVME_CSTS_SHST_OCCURRING = 1 << 2,
	NVME_CSTS_SHST_COMPLETE = 2 << 2,
};

#include "base/nvme_admin.h"

#endif
