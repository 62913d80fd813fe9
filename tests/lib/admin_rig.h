/* SPDX-License-Identifier: BSD-3-Clause */
/* A small target, an enabled controller of it, and admin commands in one line. */
#ifndef SLUICE_TESTS_LIB_ADMIN_RIG_H
#define SLUICE_TESTS_LIB_ADMIN_RIG_H

#include "fake_transport.h"

#define ADMIN_NQN   "nqn.2014-08.io.example:unit"
#define ADMIN_OTHER "nqn.2014-08.io.example:other"
#define DNR(status) ((status) | NVME_STATUS_DNR)

/* Namespaces 1, 3 (4 KiB blocks, ANA group 5) and 1024 (read-only) are seen by all, 2 by host2 alone. */
#define ADMIN_CONFIG                                                                     \
	"[listener one]\naddress = 0.0.0.0\nport = 4420\nin_capsule = 8192\n"            \
	"[listener two]\naddress = 192.0.2.7\nport = 4421\n"                             \
	"[referral elsewhere]\naddress = 2001:db8::1\nport = 8010\n"                     \
	"[subsystem " ADMIN_NQN "]\nallow_any_host = yes\nserial = UNIT0001\n"           \
	"max_io_queues = 4\nmax_queue_depth = 64\nmax_transfer = 64K\n"                  \
	"[namespace " ADMIN_NQN "/1]\nbackend = ram\nsize = 1M\n"                        \
	"eui64 = 0123456789abcdef\n"                                                     \
	"[namespace " ADMIN_NQN "/2]\nbackend = ram\nsize = 1M\n"                        \
	"allow_host = nqn.2014-08.io.example:host2\n"                                    \
	"[namespace " ADMIN_NQN "/3]\nbackend = ram\nsize = 2M\nblock_size = 4096\n"     \
	"ana_group = 5\n"                                                                \
	"[namespace " ADMIN_NQN "/1024]\nbackend = null\nsize = 1M\nread_only = yes\n"   \
	"[subsystem " ADMIN_OTHER "]\nallow_host = nqn.2014-08.io.example:host2\n"       \
	"[namespace " ADMIN_OTHER "/1]\nbackend = null\nsize = 1M\n"

static const struct fake_host admin_host2 = { "nqn.2014-08.io.example:host2", { 9, 8, 7 } };

struct admin {
	uint8_t opcode;
	uint32_t nsid, cdw10, cdw11, cdw12, cdw13, cdw14;
	uint32_t len; /* of the SGL */
	const void *in;
	void *out;
};

static uint32_t admin_dw0;   /* of the last command */
static bool admin_moved;     /* it sent data to the host */

static inline void admin_begin(struct fake_conn *conn, const struct admin *admin,
			       struct fake_call *call)
{
	static uint16_t cid;

	*call = (struct fake_call){
		.sqe = {
			.opcode = admin->opcode,
			.cid = le16(++cid),
			.nsid = le32(admin->nsid),
			.cdw10 = le32(admin->cdw10),
			.cdw11 = le32(admin->cdw11),
			.cdw12 = le32(admin->cdw12),
			.cdw13 = le32(admin->cdw13),
			.cdw14 = le32(admin->cdw14),
		},
		.sgl_len = admin->len,
		.from_host = admin->in,
		.to_host = admin->out,
	};
	fake_begin(conn, call);
}

static inline uint16_t admin_finish(struct fake_call *call)
{
	uint16_t status = fake_finish(call);

	/* What a completion does not define is zero: nothing of the target's memory shows. */
	assert_int_equal(le16_get(call->cqe.cid), le16_get(call->sqe.cid));
	assert_int_equal(le16_get(call->cqe.sqid), 0);
	assert_int_equal(le32_get(call->cqe.dw1), 0);
	assert_int_equal(le16_get(call->cqe.status) & 1, 0);
	admin_dw0 = le32_get(call->cqe.dw0);
	admin_moved = call->moved;
	return status;
}

/* Runs the command and returns its status; dword 0 is then in admin_dw0. */
static inline uint16_t admin_run(struct fake_conn *conn, struct admin admin)
{
	struct fake_call call;

	admin_begin(conn, &admin, &call);
	return admin_finish(&call);
}

static inline uint16_t admin_identify(struct fake_conn *conn, uint8_t cns, uint32_t nsid,
				      uint8_t csi, void *out)
{
	return admin_run(conn, (struct admin){ .opcode = NVME_ADMIN_IDENTIFY,
					       .nsid = nsid,
					       .cdw10 = cns,
					       .cdw11 = (uint32_t)csi << 24,
					       .len = NVME_IDENTIFY_SIZE,
					       .out = out });
}

enum { LOG_RAE = 1 << 15 };

/* Reads @len bytes of log page @page from @offset on; @bits go into CDW10 beside the page. */
static inline uint16_t admin_log(struct fake_conn *conn, uint8_t page, uint32_t bits, uint32_t nsid,
				 uint64_t offset, uint32_t len, void *out)
{
	uint32_t numd = len / 4 - 1;

	return admin_run(conn, (struct admin){ .opcode = NVME_ADMIN_GET_LOG_PAGE,
					       .nsid = nsid,
					       .cdw10 = page | bits | numd << 16,
					       .cdw11 = numd >> 16,
					       .cdw12 = (uint32_t)offset,
					       .cdw13 = (uint32_t)(offset >> 32),
					       .len = len,
					       .out = out });
}

static inline uint16_t admin_get_feature(struct fake_conn *conn, uint8_t fid, unsigned select,
					 uint32_t cdw11)
{
	return admin_run(conn, (struct admin){ .opcode = NVME_ADMIN_GET_FEATURES,
					       .cdw10 = fid | select << 8,
					       .cdw11 = cdw11 });
}

static inline uint16_t admin_set_feature(struct fake_conn *conn, uint8_t fid, uint32_t cdw11)
{
	return admin_run(conn, (struct admin){ .opcode = NVME_ADMIN_SET_FEATURES,
					       .cdw10 = fid,
					       .cdw11 = cdw11 });
}

static inline bool admin_is_zero(const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static inline int admin_group_setup(void **state)
{
	(void)state;
	fake_target_start(ADMIN_CONFIG, 2);
	return 0;
}

static inline int admin_group_teardown(void **state)
{
	(void)state;
	fake_target_stop();
	return 0;
}

#endif
