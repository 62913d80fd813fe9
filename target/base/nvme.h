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
	NVME_CSTS_SHST_COMPLETE = 2 << 2,
};

/* --------------------------------------------------------------------------------------- Identify */

enum nvme_cns {
	NVME_CNS_NS = 0x00,
	NVME_CNS_CTRL = 0x01,
	NVME_CNS_ACTIVE_NS = 0x02,
	NVME_CNS_NS_DESCS = 0x03,
	NVME_CNS_CSI_NS = 0x05,
	NVME_CNS_CSI_CTRL = 0x06,
	NVME_CNS_CSI_ACTIVE_NS = 0x07,
	NVME_CNS_NS_CS_INDEP = 0x08,
	NVME_CNS_CSI_USER_FORMAT = 0x09,
	NVME_CNS_NS_USER_FORMAT = 0x0a,
	NVME_CNS_ALLOCATED_NS = 0x10,
	NVME_CNS_NS_ALLOCATED = 0x11,
	NVME_CNS_NS_CTRLS = 0x12,
	NVME_CNS_SUBSYS_CTRLS = 0x13,
	NVME_CNS_IOCS = 0x1c,
};

enum { NVME_IDENTIFY_SIZE = 4096, NVME_CSI_NVM = 0, NVME_NSID_ALL = 0xffffffff };

struct nvme_power_state {
	le16_t mp;
	uint8_t rsvd2;
	uint8_t flags;
	uint8_t rsvd4[28];
};
_Static_assert(sizeof(struct nvme_power_state) == 32, "power state descriptor");

struct nvme_id_ctrl {
	le16_t vid;
	le16_t ssvid;
	char sn[20];
	char mn[40];
	char fr[8];
	uint8_t rab;
	uint8_t ieee[3];
	uint8_t cmic;
	uint8_t mdts;
	le16_t cntlid;
	le32_t ver;
	le32_t rtd3r;
	le32_t rtd3e;
	le32_t oaes;
	le32_t ctratt;
	le16_t rrls;
	uint8_t rsvd102[9];
	uint8_t cntrltype;
	uint8_t fguid[16];
	le16_t crdt1;
	le16_t crdt2;
	le16_t crdt3;
	uint8_t rsvd134[119];
	uint8_t nvmsr;
	uint8_t vwci;
	uint8_t mec;
	le16_t oacs;
	uint8_t acl;
	uint8_t aerl;
	uint8_t frmw;
	uint8_t lpa;
	uint8_t elpe;
	uint8_t npss;
	uint8_t avscc;
	uint8_t apsta;
	le16_t wctemp;
	le16_t cctemp;
	le16_t mtfa;
	le32_t hmpre;
	le32_t hmmin;
	uint8_t tnvmcap[16];
	uint8_t unvmcap[16];
	le32_t rpmbs;
	le16_t edstt;
	uint8_t dsto;
	uint8_t fwug;
	le16_t kas;
	le16_t hctma;
	le16_t mntmt;
	le16_t mxtmt;
	le32_t sanicap;
	le32_t hmminds;
	le16_t hmmaxd;
	le16_t nsetidmax;
	le16_t endgidmax;
	uint8_t anatt;
	uint8_t anacap;
	le32_t anagrpmax;
	le32_t nanagrpid;
	le32_t pels;
	le16_t domain_id;
	uint8_t rsvd358[10];
	uint8_t megcap[16];
	uint8_t rsvd384[128];
	uint8_t sqes;
	uint8_t cqes;
	le16_t maxcmd;
	le32_t nn;
	le16_t oncs;
	le16_t fuses;
	uint8_t fna;
	uint8_t vwc;
	le16_t awun;
	le16_t awupf;
	uint8_t icsvscc;
	uint8_t nwpc;
	le16_t acwu;
	le16_t ocfs; /* optional copy formats supported */
	le32_t sgls;
	le32_t mnan;
	uint8_t maxdna[16];
	le32_t maxcna;
	uint8_t rsvd564[204];
	char subnqn[NVME_NQN_LEN];
	uint8_t rsvd1024[768];
	le32_t ioccsz; /* units of 16 bytes */
	le32_t iorcsz;
	le16_t icdoff;
	uint8_t fcatt;
	uint8_t msdbd;
	le16_t ofcs;
	uint8_t dctype;
	uint8_t rsvd1807[241];
	struct nvme_power_state psd[32];
	uint8_t vs[1024];
};
_Static_assert(sizeof(struct nvme_id_ctrl) == 4096, "Identify Controller");
_Static_assert(offsetof(struct nvme_id_ctrl, oacs) == 256, "Identify Controller, OACS");
_Static_assert(offsetof(struct nvme_id_ctrl, sqes) == 512, "Identify Controller, SQES");
_Static_assert(offsetof(struct nvme_id_ctrl, ioccsz) == 1792, "Identify Controller, IOCCSZ");
_Static_assert(offsetof(struct nvme_id_ctrl, psd) == 2048, "Identify Controller, PSD0");
_Static_assert(offsetof(struct nvme_id_ctrl, kas) == 320, "Identify Controller, KAS");
_Static_assert(offsetof(struct nvme_id_ctrl, anatt) == 342, "Identify Controller, ANATT");
_Static_assert(offsetof(struct nvme_id_ctrl, cntrltype) == 111, "Identify Controller, CNTRLTYPE");
_Static_assert(offsetof(struct nvme_id_ctrl, sgls) == 536, "Identify Controller, SGLS");
_Static_assert(offsetof(struct nvme_id_ctrl, subnqn) == 768, "Identify Controller, SUBNQN");

enum nvme_cmic { NVME_CMIC_MULTI_PORT = 1 << 0, NVME_CMIC_MULTI_CTRL = 1 << 1, NVME_CMIC_ANA = 1 << 3 };
enum nvme_cntrltype { NVME_CTRL_IO = 1, NVME_CTRL_DISCOVERY = 2 };
enum nvme_ctratt { NVME_CTRATT_HOSTID_128 = 1 << 0, NVME_CTRATT_TBKAS = 1 << 6 };
enum nvme_nwpc { NVME_NWPC_WRITE_PROTECT = 1 << 0 };
enum nvme_frmw { NVME_FRMW_SLOT1_READ_ONLY = 1 << 0, NVME_FRMW_ONE_SLOT = 1 << 1 };
enum nvme_ofcs { NVME_OFCS_DISCONNECT = 1 << 0 };
enum nvme_dctype { NVME_DCTYPE_DIRECT = 1 };
enum { NVME_SQES_64 = 0x66, NVME_CQES_16 = 0x44, NVME_FUSES_COMPARE_WRITE = 1, NVME_OCFS_FORMAT0 = 1 };
/* OAES; the same bits enable the events in feature 0Bh and number the notices. */
enum nvme_aen_mask {
	NVME_AEN_SMART_MASK = 0xff,
	NVME_AEN_NS_ATTR = 1 << 8,
	NVME_AEN_FW_ACTIVATION = 1 << 9,
	NVME_AEN_ANA = 1 << 11,
	NVME_AEN_DISCOVERY = 1u << 31,
};
enum nvme_lpa {
	NVME_LPA_SMART_PER_NS = 1 << 0,
	NVME_LPA_EFFECTS = 1 << 1,
	NVME_LPA_EXTENDED = 1 << 2, /* log page offset and 32-bit NUMD */
	NVME_LPA_SUPPORTED_PAGES = 1 << 5,
};
enum nvme_oncs {
	NVME_ONCS_COMPARE = 1 << 0,
	NVME_ONCS_WRITE_UNCORRECTABLE = 1 << 1,
	NVME_ONCS_DSM = 1 << 2,
	NVME_ONCS_WRITE_ZEROES = 1 << 3,
	NVME_ONCS_SAVE_SELECT = 1 << 4,
	NVME_ONCS_RESERVATIONS = 1 << 5,
	NVME_ONCS_TIMESTAMP = 1 << 6,
	NVME_ONCS_VERIFY = 1 << 7,
	NVME_ONCS_COPY = 1 << 8,
};
enum nvme_vwc { NVME_VWC_PRESENT = 1 << 0, NVME_VWC_FLUSH_ALL = 3 << 1 /* broadcast NSID flushes */ };
enum nvme_sgls {
	NVME_SGLS_BYTE_ALIGNED = 1 << 0,
	NVME_SGLS_KEYED = 1 << 2,
	NVME_SGLS_TRANSPORT = 1 << 21, /* transport SGL data block supported */
	NVME_SGLS_OFFSET = 1 << 20,    /* address field as offset supported */
};
enum nvme_anacap {
	NVME_ANACAP_OPTIMIZED = 1 << 0,
	NVME_ANACAP_NON_OPTIMIZED = 1 << 1,
	NVME_ANACAP_INACCESSIBLE = 1 << 2,
	NVME_ANACAP_PERSISTENT_LOSS = 1 << 3,
	NVME_ANACAP_CHANGE = 1 << 4,
	NVME_ANACAP_GRPID_FIXED = 1 << 6,
};

struct nvme_lbaf {
	le16_t ms;
	uint8_t lbads;
	uint8_t rp;
};

struct nvme_id_ns {
	le64_t nsze;
	le64_t ncap;
	le64_t nuse;
	uint8_t nsfeat;
	uint8_t nlbaf;
	uint8_t flbas;
	uint8_t mc;
	uint8_t dpc;
	uint8_t dps;
	uint8_t nmic;
	uint8_t rescap;
	uint8_t fpi;
	uint8_t dlfeat;
	le16_t nawun;
	le16_t nawupf;
	le16_t nacwu;
	le16_t nabsn;
	le16_t nabo;
	le16_t nabspf;
	le16_t noiob;
	uint8_t nvmcap[16];
	le16_t npwg;
	le16_t npwa;
	le16_t npdg;
	le16_t npda;
	le16_t nows;
	le16_t mssrl;
	le32_t mcl;
	uint8_t msrc;
	uint8_t rsvd81[11];
	le32_t anagrpid;
	uint8_t rsvd96[3];
	uint8_t nsattr;
	le16_t nvmsetid;
	le16_t endgid;
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct nvme_lbaf lbaf[64];
	uint8_t vs[3712];
};
_Static_assert(sizeof(struct nvme_id_ns) == 4096, "Identify Namespace");
_Static_assert(offsetof(struct nvme_id_ns, nguid) == 104, "Identify Namespace, NGUID");
_Static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "Identify Namespace, LBAF0");
_Static_assert(offsetof(struct nvme_id_ns, anagrpid) == 92, "Identify Namespace, ANAGRPID");

enum nvme_nsfeat { NVME_NSFEAT_THIN = 1 << 0, NVME_NSFEAT_DEALLOC_ERROR = 1 << 2, NVME_NSFEAT_OPTPERF = 1 << 4 };
enum nvme_nmic { NVME_NMIC_SHARED = 1 << 0 };
enum nvme_dlfeat { NVME_DLFEAT_READ_ZERO = 1, NVME_DLFEAT_WZ_DEAC = 1 << 3 };
enum nvme_nsattr { NVME_NSATTR_READ_ONLY = 1 << 0 };

/* Namespace identification descriptor (CNS 03h); @nidl bytes follow. */
struct nvme_ns_id_desc {
	uint8_t nidt;
	uint8_t nidl;
	uint8_t rsvd[2];
};
enum nvme_nidt { NVME_NIDT_EUI64 = 1, NVME_NIDT_NGUID = 2, NVME_NIDT_UUID = 3, NVME_NIDT_CSI = 4 };

/* I/O command set independent Identify Namespace (CNS 08h). */
struct nvme_id_ns_indep {
	uint8_t nsfeat;
	uint8_t nmic;
	uint8_t rescap;
	uint8_t fpi;
	le32_t anagrpid;
	uint8_t nsattr;
	uint8_t rsvd9;
	le16_t nvmsetid;
	le16_t endgid;
	uint8_t nstat;
	uint8_t rsvd15[4081];
};
_Static_assert(sizeof(struct nvme_id_ns_indep) == 4096, "Identify Namespace, CS independent");
enum { NVME_NSTAT_NRDY = 1, NVME_NSFEAT_INDEP_VWCNP = 1 << 5 };

/* NVM command set specific Identify Controller (CNS 06h, CSI 0). */
struct nvme_id_ctrl_nvm {
	uint8_t vsl;
	uint8_t wzsl;
	uint8_t wusl;
	uint8_t dmrl;
	le32_t dmrsl;
	le64_t dmsl;
	uint8_t rsvd16[4080];
};
_Static_assert(sizeof(struct nvme_id_ctrl_nvm) == 4096, "Identify Controller, NVM command set");

/* --------------------------------------------------------------------------------------- features */

enum nvme_feature {
	NVME_FEAT_ARBITRATION = 0x01,
	NVME_FEAT_POWER = 0x02,
	NVME_FEAT_TEMP_THRESHOLD = 0x04,
	NVME_FEAT_ERROR_RECOVERY = 0x05,
	NVME_FEAT_VOLATILE_WC = 0x06,
	NVME_FEAT_NUM_QUEUES = 0x07,
	NVME_FEAT_WRITE_ATOMICITY = 0x0a,
	NVME_FEAT_ASYNC_EVENT = 0x0b,
	NVME_FEAT_TIMESTAMP = 0x0e,
	NVME_FEAT_KATO = 0x0f,
	NVME_FEAT_HOST_BEHAVIOR = 0x16,
	NVME_FEAT_IOCS_PROFILE = 0x19,
	NVME_FEAT_HOST_ID = 0x81,
	NVME_FEAT_RESV_MASK = 0x82,
	NVME_FEAT_RESV_PERSIST = 0x83,
	NVME_FEAT_WRITE_PROTECT = 0x84,
};

enum nvme_feature_select {
	NVME_FEAT_SEL_CURRENT = 0,
	NVME_FEAT_SEL_DEFAULT = 1,
	NVME_FEAT_SEL_SAVED = 2,
	NVME_FEAT_SEL_CAPABILITIES = 3,
};

/* Answer to NVME_FEAT_SEL_CAPABILITIES. */
enum nvme_feature_caps {
	NVME_FEAT_CAP_SAVEABLE = 1 << 0,
	NVME_FEAT_CAP_PER_NS = 1 << 1,
	NVME_FEAT_CAP_CHANGEABLE = 1 << 2,
};

struct nvme_timestamp {
	uint8_t ms[6];  /* since 1970-01-01 */
	uint8_t origin; /* in 3:1: 0 counts from a reset, 1 was set by the host */
	uint8_t rsvd7;
};
_Static_assert(sizeof(struct nvme_timestamp) == 8, "timestamp");
enum { NVME_TIMESTAMP_SET_BY_HOST = 1 << 1 };

/* Host Behavior Support: the fields in front of the 512 bytes. */
enum {
	NVME_HOST_BEHAVIOR_LEN = 6,
	NVME_HOST_BEHAVIOR_SIZE = 512,
};

/* -------------------------------------------------------------------------------------- log pages */

enum nvme_log_page {
	NVME_LOG_SUPPORTED = 0x00,
	NVME_LOG_ERROR = 0x01,
	NVME_LOG_SMART = 0x02,
	NVME_LOG_FW_SLOT = 0x03,
	NVME_LOG_CHANGED_NS = 0x04,
	NVME_LOG_EFFECTS = 0x05,
	NVME_LOG_ANA = 0x0c,
	NVME_LOG_FEATURE_EFFECTS = 0x12,
	NVME_LOG_DISCOVERY = 0x70,
};

struct nvme_error_log_entry {
	le64_t error_count;
	le16_t sqid;
	le16_t cid;
	le16_t status; /* as in the completion: field in 15:1 */
	le16_t location; /* byte of the command in 7:0, bit in 10:8; FFFFh: none */
	le64_t lba;
	le32_t nsid;
	uint8_t vs;
	uint8_t trtype;
	uint8_t csi;
	uint8_t opcode;
	le64_t command_specific;
	le16_t trtype_info;
	uint8_t rsvd42[21];
	uint8_t version; /* 1: OPCODE, CSI are valid */
};
_Static_assert(sizeof(struct nvme_error_log_entry) == 64, "error information log entry");

struct nvme_smart_log {
	uint8_t critical_warning;
	le16_t temperature; /* Kelvin */
	uint8_t avail_spare;
	uint8_t spare_thresh;
	uint8_t percent_used;
	uint8_t endgrp_warning;
	uint8_t rsvd7[25];
	le128_t data_units_read; /* units of 1000 x 512 bytes, rounded up */
	le128_t data_units_written;
	le128_t host_reads;
	le128_t host_writes;
	le128_t ctrl_busy_time; /* minutes */
	le128_t power_cycles;
	le128_t power_on_hours;
	le128_t unsafe_shutdowns;
	le128_t media_errors;
	le128_t num_err_log_entries;
	le32_t warning_temp_time;
	le32_t critical_temp_time;
	le16_t temp_sensor[8];
	le32_t thm_temp1_trans_count;
	le32_t thm_temp2_trans_count;
	le32_t thm_temp1_total_time;
	le32_t thm_temp2_total_time;
	uint8_t rsvd232[280];
};
_Static_assert(sizeof(struct nvme_smart_log) == 512, "SMART / health information log");

struct nvme_fw_slot_log {
	uint8_t afi;
	uint8_t rsvd1[7];
	char frs[7][8];
	uint8_t rsvd64[448];
};
_Static_assert(sizeof(struct nvme_fw_slot_log) == 512, "firmware slot log");

struct nvme_effects_log {
	le32_t acs[256];
	le32_t iocs[256];
	uint8_t rsvd2048[2048];
};
_Static_assert(sizeof(struct nvme_effects_log) == 4096, "commands supported and effects log");
enum nvme_effects {
	NVME_EFFECT_CSUPP = 1 << 0,
	NVME_EFFECT_LBCC = 1 << 1, /* logical block content change */
	NVME_EFFECT_NCC = 1 << 2,
	NVME_EFFECT_NIC = 1 << 3,
	NVME_EFFECT_CCC = 1 << 4,
};

/* Entries of the supported log pages log and of the feature identifiers effects log. */
enum { NVME_LOG_LSUPP = 1 << 0 };
enum nvme_feature_effects {
	NVME_FEAT_FSUPP = 1 << 0,
	NVME_FEAT_UDCC = 1 << 1, /* user data content change */
	NVME_FEAT_NCC = 1 << 2,
	NVME_FEAT_NIC = 1 << 3,
	NVME_FEAT_CCC = 1 << 4,
	NVME_FEAT_SCOPE_NS = 1 << 20,
	NVME_FEAT_SCOPE_CTRL = 1 << 21,
};

struct nvme_ana_group_desc {
	le32_t grpid;
	le32_t nnsids;
	le64_t chgcnt;
	uint8_t state;
	uint8_t rsvd17[15];
	le32_t nsids[];
};
_Static_assert(sizeof(struct nvme_ana_group_desc) == 32, "ANA group descriptor");
struct nvme_ana_log {
	le64_t chgcnt;
	le16_t ngrps;
	uint8_t rsvd10[6];
};
_Static_assert(sizeof(struct nvme_ana_log) == 16, "ANA log header");
enum nvme_ana_state {
	NVME_ANA_OPTIMIZED = 1,
	NVME_ANA_NON_OPTIMIZED = 2,
	NVME_ANA_INACCESSIBLE = 3,
	NVME_ANA_PERSISTENT_LOSS = 4,
	NVME_ANA_CHANGE = 0xf,
};

struct nvmf_discovery_entry {
	uint8_t trtype;
	uint8_t adrfam;
	uint8_t subtype;
	uint8_t treq;
	le16_t portid;
	le16_t cntlid;
	le16_t asqsz;
	le16_t eflags;
	uint8_t rsvd12[20];
	char trsvcid[32];
	uint8_t rsvd64[192];
	char subnqn[NVME_NQN_LEN];
	char traddr[256];
	uint8_t tsas[256]; /* TCP: security type in byte 0 */
};
_Static_assert(sizeof(struct nvmf_discovery_entry) == 1024, "discovery log entry");

struct nvmf_discovery_log {
	le64_t genctr;
	le64_t numrec;
	le16_t recfmt;
	uint8_t rsvd18[1006];
	struct nvmf_discovery_entry entries[];
};
_Static_assert(sizeof(struct nvmf_discovery_log) == 1024, "discovery log header");

enum nvmf_trtype { NVMF_TRTYPE_RDMA = 1, NVMF_TRTYPE_FC = 2, NVMF_TRTYPE_TCP = 3, NVMF_TRTYPE_LOOP = 254 };
enum nvmf_adrfam { NVMF_ADRFAM_IPV4 = 1, NVMF_ADRFAM_IPV6 = 2 };
enum nvmf_subtype { NVMF_SUBTYPE_REFERRAL = 1, NVMF_SUBTYPE_NVM = 2, NVMF_SUBTYPE_CURRENT = 3 };
enum nvmf_treq { NVMF_TREQ_NOT_SPECIFIED = 0, NVMF_TREQ_DISABLE_SQFLOW = 1 << 2 };
enum nvmf_eflags { NVMF_EFLAG_DUPRETINFO = 1 << 0, NVMF_EFLAG_EPCSD = 1 << 1 };

/* Asynchronous event types and their information fields (Base 5.1.2). */
enum nvme_aen_type { NVME_AEN_ERROR = 0, NVME_AEN_SMART = 1, NVME_AEN_NOTICE = 2 };
enum nvme_aen_notice {
	NVME_NOTICE_NS_CHANGED = 0x00,
	NVME_NOTICE_ANA_CHANGED = 0x03,
	NVME_NOTICE_DISCOVERY_CHANGED = 0xf0,
};

#endif
