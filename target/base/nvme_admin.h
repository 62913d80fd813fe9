/* SPDX-License-Identifier: BSD-3-Clause */
/* What admin commands carry: Identify, features, log pages, events. Part of base/nvme.h. */
#ifndef SLUICE_BASE_NVME_ADMIN_H
#define SLUICE_BASE_NVME_ADMIN_H

#include "base/nvme.h"

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
	NVME_CNS_ENDURANCE_GROUPS = 0x19,
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
enum nvme_ctratt {
	NVME_CTRATT_HOSTID_128 = 1 << 0,
	NVME_CTRATT_ENDURANCE_GROUPS = 1 << 4,
	NVME_CTRATT_TBKAS = 1 << 6,
};
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
	NVME_HOST_BEHAVIOR_ACRE = 0, /* byte: the host heeds retry delays */
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
	NVME_LOG_ENDURANCE = 0x09,
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

/* Its data units are billions of bytes, unlike those of the SMART log. */
struct nvme_endurance_log {
	uint8_t critical_warning;
	uint8_t features;
	uint8_t rsvd2;
	uint8_t avail_spare;
	uint8_t spare_thresh;
	uint8_t percent_used;
	le16_t domain_id;
	uint8_t rsvd8[24];
	le128_t endurance_estimate;
	le128_t data_units_read;
	le128_t data_units_written;
	le128_t media_units_written;
	le128_t host_reads;
	le128_t host_writes;
	le128_t media_errors;
	le128_t num_err_log_entries;
	le128_t total_capacity;
	le128_t unallocated_capacity;
	uint8_t rsvd192[320];
};
_Static_assert(sizeof(struct nvme_endurance_log) == 512, "endurance group information log");

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
	uint8_t tsas[256]; /* TCP: security type in byte 0; RDMA: enum nvmf_tsas_rdma */
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
enum nvmf_tsas_rdma {
	NVMF_TSAS_RDMA_QPTYPE = 0,
	NVMF_TSAS_RDMA_PRTYPE = 1,
	NVMF_TSAS_RDMA_CMS = 2,
	NVMF_RDMA_QPTYPE_CONNECTED = 1,
	NVMF_RDMA_PRTYPE_NOT_SPECIFIED = 1,
	NVMF_RDMA_CMS_RDMA_CM = 1,
};
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
