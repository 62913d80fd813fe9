/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole target on the simulated kernel (tests/sim), with hosts that send what they like. The input is
 * a program: connections are opened, given bytes or commands with bytes exchanged, and closed; rings and
 * clock go on; requests of the disks end in any order. Beside the sanitizers and the assertions: memory is
 * accounted for after each turn, nothing of a connection is left when all are closed, a stop ends, no
 * command is answered twice and no PDU comes out of season (witness.h), and nobody is sent what belongs to
 * somebody else: other hosts' blocks, and memory that nothing was read into.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "target.h"
#include "transport/tcp/pdu.h"
#include "witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONNECTIONS = 6, PORT = 4420, POOL = 512 << 10, STEPS_MOST = 400, LEFT_NS_STEPS = 64 };

#define NQN "nqn.2014-08.org.example:"

static const char config[] =
	"[daemon]\ncontrol_socket = /run/fuzz.sock\nlog_level = error\ndrain = 1s\n"
	"[discovery]\nport = none\n"
	"[listener tcp]\naddress = 127.0.0.1\nport = 4420\nsend_zc_min = 4096\n"
	"[subsystem " NQN "fuzz]\nallow_any_host = yes\nmax_queue_depth = 32\n"
	"max_transfer = 64K\n"
	"[namespace " NQN "fuzz/1]\nbackend = file\npath = /mine\nsize = 64K\n"
	"[namespace " NQN "fuzz/2]\nbackend = file\npath = /foreign\nsize = 64K\n"
	"allow_host = " NQN "other\n"
	"[namespace " NQN "fuzz/3]\nbackend = ram\nsize = 32K\n";

/* What nobody here may see. */
static const uint8_t foreign[] = { 0xf0, 0x0d, 0x1e, 0xee, 0xd5, 0x91, 0x7a, 0x03,
				   0xbe, 0x68, 0xc4, 0x2f, 0x11, 0xa6, 0x5b, 0xdc };

struct program {
	const uint8_t *p;
	size_t left;
};

struct peer {
	struct sim_sock *sock; /* NULL: there is none */
	size_t matched;	       /* bytes at the end of what came that begin `foreign` */
	struct witness witness;
};

static struct peer peers[CONNECTIONS];

static uint8_t take(struct program *program)
{
	if (!program->left)
		return 0;
	program->left--;
	return *program->p++;
}

static bool has_foreign(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i + sizeof(foreign) <= size; i++)
		if (bytes[i] == foreign[0] && !memcmp(bytes + i, foreign, sizeof(foreign)))
			return true;
	return false;
}

static void foreign_fill(void *at, size_t size)
{
	memcpy(at, foreign, sizeof(foreign));
	for (size_t have = sizeof(foreign); have < size; have *= 2)
		memcpy((uint8_t *)at + have, at, MIN(have, size - have));
}

/* ------------------------------------------------------------------------------------------- peers */

/* `foreign` begins with a byte that it has nowhere else, so a mismatch begins anew at most there. */
static void peer_read(struct peer *peer)
{
	uint8_t bytes[4096];
	size_t n;

	while ((n = host_receive(peer->sock, bytes, sizeof(bytes)))) {
		witness_came(&peer->witness, bytes, n);
		for (size_t i = 0; i < n; i++) {
			if (bytes[i] == foreign[peer->matched])
				peer->matched++;
			else
				peer->matched = bytes[i] == foreign[0];
			SIM_CHECK(peer->matched < sizeof(foreign),
				  "a host is sent what is not its own");
		}
	}
}

static bool peers_read(void)
{
	bool any = false;

	for (unsigned i = 0; i < CONNECTIONS; i++) {
		if (!peers[i].sock)
			continue;
		any |= host_pending(peers[i].sock);
		peer_read(&peers[i]);
	}
	return any;
}

static void peer_send(struct peer *peer, const void *bytes, size_t size)
{
	witness_sent(&peer->witness, bytes, size);
	host_send(peer->sock, bytes, size);
}

static void peer_close(struct peer *peer, bool reset)
{
	if (peer->sock)
		host_close(peer->sock, reset);
	*peer = (struct peer){ 0 };
}

/* --------------------------------------------------------------------------------------- commands */

/* Exchanges some bytes: pairs of a place and what is to be there. */
static void bytes_exchange(struct program *program, uint8_t *bytes, size_t size)
{
	for (unsigned n = take(program) & 7; n; n--) {
		size_t at = take(program) % size;

		bytes[at] = take(program);
	}
}

static void send_icreq(struct program *program, struct peer *peer)
{
	struct pdu_icreq pdu = {
		.hdr = { .type = PDU_ICREQ, .hlen = PDU_HLEN_IC, .plen = le32(PDU_HLEN_IC) },
	};

	bytes_exchange(program, (uint8_t *)&pdu, sizeof(pdu));
	peer_send(peer, &pdu, sizeof(pdu));
}

/* A capsule with @len bytes of @data behind it. */
static void send_capsule(struct program *program, struct peer *peer, const void *sqe,
			 const void *data, uint32_t len)
{
	struct pdu_cmd pdu = {
		.hdr = { .type = PDU_CMD,
			 .hlen = PDU_HLEN_CMD,
			 .pdo = len ? PDU_HLEN_CMD : 0,
			 .plen = le32(PDU_HLEN_CMD + len) },
	};

	memcpy(&pdu.sqe, sqe, sizeof(pdu.sqe));
	bytes_exchange(program, (uint8_t *)&pdu, sizeof(pdu));
	peer_send(peer, &pdu, sizeof(pdu));
	peer_send(peer, data, len);
}

static void send_connect(struct program *program, struct peer *peer)
{
	struct nvmf_connect_data data = {
		.hostid = { 1 },
		.subnqn = NQN "fuzz",
		.hostnqn = NQN "host",
	};
	uint8_t how = take(program), qid = how & 3, kato = take(program);
	struct nvmf_connect_cmd sqe = {
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.fctype = NVME_FCTYPE_CONNECT,
		.sgl = { .len = le32(sizeof(data)), .type = NVME_SGL_DATA_OFFSET },
		.qid = le16(qid),
		.sqsize = le16(31),
		.cattr = how & 0x80 ? NVMF_CATTR_DISABLE_SQFLOW : 0,
		.kato = le32(kato * 100u),
	};

	data.cntlid = le16(qid ? 1 + kato % 4 : NVMF_CNTLID_DYNAMIC);
	send_capsule(program, peer, &sqe, &data, sizeof(data));
}

static void send_property(struct program *program, struct peer *peer)
{
	struct nvmf_property_cmd sqe = {
		.opcode = NVME_OPCODE_FABRICS,
		.flags = NVME_PSDT_SGL,
		.fctype = NVME_FCTYPE_PROPERTY_SET,
		.offset = le32(NVME_PROP_CC),
		.value = le64(NVME_CC_EN | 6 << NVME_CC_IOSQES_SHIFT | 4 << NVME_CC_IOCQES_SHIFT),
	};

	send_capsule(program, peer, &sqe, NULL, 0);
}

static void send_command(struct program *program, struct peer *peer)
{
	static const uint8_t data[8192] = "data";
	uint8_t opcode = take(program), blocks = take(program) & 31, how = take(program);
	uint32_t len = (blocks + 1u) * 512;
	uint32_t capsule = how & 1 ? MIN(len, (uint32_t)sizeof(data)) : 0;
	struct nvme_sqe sqe = {
		.opcode = opcode & 31,
		.flags = (uint8_t)(NVME_PSDT_SGL | (how >> 1 & 3)),
		.cid = le16(take(program)),
		.nsid = le32(1 + (how >> 3 & 3)),
		.sgl = { .len = le32(capsule ? capsule : len),
			 .type = capsule ? NVME_SGL_DATA_OFFSET : NVME_SGL_TRANSPORT },
		.cdw10 = le32(how >> 5),
		.cdw12 = le32(blocks),
	};

	send_capsule(program, peer, &sqe, data, capsule);
}

static void send_data(struct program *program, struct peer *peer)
{
	static const uint8_t data[8192] = "data";
	uint32_t len = (1 + (take(program) & 15)) * 512u;
	uint8_t tag = take(program), cid = take(program), at = take(program);
	struct pdu_data pdu = {
		.hdr = { .type = PDU_H2C_DATA,
			 .hlen = PDU_HLEN_DATA,
			 .pdo = PDU_HLEN_DATA,
			 .flags = at & 1 ? PDU_FLAG_LAST : 0,
			 .plen = le32(PDU_HLEN_DATA + len) },
		.cccid = le16(cid),
		.ttag = le16(tag),
		.datao = le32((at >> 1) * 512u),
		.datal = le32(len),
	};

	bytes_exchange(program, (uint8_t *)&pdu, sizeof(pdu));
	peer_send(peer, &pdu, sizeof(pdu));
	peer_send(peer, data, len);
}

static void send_raw(struct program *program, struct peer *peer)
{
	size_t n = MIN((size_t)take(program), program->left);

	peer_send(peer, program->p, n);
	program->p += n;
	program->left -= n;
}

/* ---------------------------------------------------------------------------------------- programs */

static void go_on(unsigned turns)
{
	for (unsigned i = 0; i < 4 * turns; i++) {
		sim_kernel_step();
		sim_target_turn();
	}
}

static void clock_go_on(uint8_t how)
{
	uint64_t next_ns = sim_next_timer_ns();

	if (how & 0x80 && next_ns != UINT64_MAX)
		sim.now_ns = MAX(sim.now_ns, next_ns);
	else
		sim.now_ns += UINT64_C(1000) << (how & 15);
}

static void step(struct program *program)
{
	static void (*const sends[])(struct program *, struct peer *) = {
		send_icreq, send_connect, send_property, send_command,
		send_data,  send_raw,	  send_command,	 send_command,
	};
	uint8_t op = take(program), how = op >> 4;
	struct peer *peer = &peers[take(program) % CONNECTIONS];

	sim.step++;
	switch (op & 15) {
	case 0:
		peer_close(peer, how & 1);
		break;
	case 1:
		if (peer->sock)
			peer_read(peer);
		break;
	case 2:
		go_on(1u + how);
		break;
	case 3:
		clock_go_on(take(program));
		break;
	case 4:
		sim_target_settle(how & 1 ? SIM_DISKS_STUCK : SIM_DISKS_PROMPT);
		break;
	case 5:
		sim_kernel_disk_step(how);
		sim_target_turn();
		break;
	default:
		if (!peer->sock)
			peer->sock = host_connect(PORT);
		if (peer->sock)
			sends[op % ARRAY_SIZE(sends)](program, peer);
		break;
	}
}

/* The hosts leave; nothing of them stays. */
static void leave(void)
{
	for (unsigned i = 0; i < CONNECTIONS; i++)
		peer_close(&peers[i], i & 1);
	for (unsigned i = 0; i < LEFT_NS_STEPS; i++) {
		sim_target_settle(SIM_DISKS_PROMPT);
		if (!sim_target_connections() || sim_next_timer_ns() == UINT64_MAX)
			break;
		sim.now_ns = MAX(sim.now_ns, sim_next_timer_ns());
	}
	sim_target_settle(SIM_DISKS_PROMPT);
	sim_target_check_idle();
}

static void knobs_set(uint8_t how)
{
	sim.knobs = (struct sim_knobs){
		.sq_entries = how & 1 ? 8 : 256,
		.batch = how & 2 ? 2 : 256,
		.send_room = how & 4 ? 2048 : 1 << 20,
		.disk_error = how & 8 ? 100 : 0,
		.disk_short = how & 8 ? 300 : 0,
		.disk_slow = how & 16 ? 900 : 0,
		.fixed_buffers = how & 32,
		.send_zc = how & 64,
		.writes_zeroes = how & 128,
		.cache = true,
	};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program program = { data, size };

	/* What a host wrote itself it may read. */
	if (size < 4 || has_foreign(data, size))
		return 0;
	log_init(LOG_LEVEL_ERROR);
	sim_begin(take(&program));
	knobs_set(take(&program));
	sim_target_start(config, 1 + (take(&program) & 1), POOL);
	sim_target_memory(foreign_fill);
	foreign_fill(sim_disk("/foreign")->bytes, sim_disk("/foreign")->size);
	sim_target_hosts = peers_read;
	for (unsigned n = 0; program.left && n < STEPS_MOST; n++)
		step(&program);
	if (take(&program) & 1)
		leave();
	sim_target_stop();
	for (unsigned i = 0; i < CONNECTIONS; i++)
		peer_close(&peers[i], false);
	sim_kernel_check_empty();
	return 0;
}
