/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CVE-2023-5178: queue initialisation that fails frees things twice. A hundred thousand ICReqs: each
 * value of each byte that means something, then any bytes wrong, whole and cut, of hosts that wait for
 * the answer and of hosts that do not. Each gets one answer at most, a right one ICResp, and nothing of
 * them is left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "target.h"
#include "transport/tcp/pdu.h"

enum {
	ROUNDS = 50, /* of a target each, from its start to its stop */
	HOSTS = 2000,
	FIELD_BYTES = 16,
	PORT = 4420,
	POOL = 512 << 10,
	SPOILT_MOST = 40,
};

static const char config[] =
	"[daemon]\ncontrol_socket = /run/icreq.sock\nlog_level = error\ndrain = 1s\n"
	"[discovery]\nport = none\n[listener tcp]\naddress = 127.0.0.1\nport = 4420\n"
	"[subsystem nqn.2014-08.org.example:icreq]\nallow_any_host = yes\n"
	"[namespace nqn.2014-08.org.example:icreq/1]\nbackend = ram\nsize = 32K\n";

static struct {
	unsigned sent, accepted, terminated;
} counts;

/* Makes the @nth wrong one. */
static void spoil(uint8_t *bytes, unsigned nth)
{
	if (nth < FIELD_BYTES * 256) {
		bytes[nth / 256] = (uint8_t)nth;
		return;
	}
	for (unsigned n = 1 + sim_below(sim_chance(100) ? SPOILT_MOST : 4); n; n--)
		bytes[sim_below(sim_chance(700) ? FIELD_BYTES : PDU_HLEN_IC)] =
			(uint8_t)sim_random();
}

/* What came is one PDU, and the only one. */
static void answer_check(struct sim_sock *sock, bool right)
{
	uint8_t bytes[2 * PDU_HLEN_IC + 64];
	struct pdu_hdr hdr;
	size_t n = 0, more;

	do {
		sim_target_settle(SIM_DISKS_PROMPT);
		n += more = host_receive(sock, bytes + n, sizeof(bytes) - n);
	} while (more);
	if (!n) {
		SIM_CHECK(!right, "a right ICReq is not answered");
		return;
	}
	SIM_CHECK(n >= sizeof(hdr), "%zu bytes for an answer", n);
	memcpy(&hdr, bytes, sizeof(hdr));
	SIM_CHECK(le32_get(hdr.plen) == n, "PLEN %u of %zu bytes", le32_get(hdr.plen), n);
	SIM_CHECK(hdr.type == PDU_ICRESP || (hdr.type == PDU_C2H_TERM && !right),
		  "PDU type %u for an ICReq", hdr.type);
	if (hdr.type == PDU_ICRESP)
		counts.accepted++;
	else
		counts.terminated++;
}

static void host_run(unsigned nth)
{
	struct pdu_icreq pdu = {
		.hdr = { .type = PDU_ICREQ, .hlen = PDU_HLEN_IC, .plen = le32(PDU_HLEN_IC) },
	};
	/* Each of these is sent whole. */
	bool field = nth < FIELD_BYTES * 256, right = !field && sim_chance(20),
	     cut = !field && !right && sim_chance(250), waits = field || right || sim_chance(500);
	struct sim_sock *sock = host_connect(PORT);

	SIM_CHECK(sock, "nobody listens");
	if (!right)
		spoil((uint8_t *)&pdu, nth);
	host_send(sock, &pdu, cut ? sim_below(sizeof(pdu)) : sizeof(pdu));
	counts.sent++;
	if (waits) {
		answer_check(sock, right);
	} else {
		for (unsigned n = sim_below(16); n; n--) {
			sim_kernel_step();
			sim_target_turn();
		}
	}
	host_close(sock, sim_chance(500));
}

static void round_run(unsigned nth)
{
	sim_begin(nth + 1);
	sim.knobs = (struct sim_knobs){
		.sq_entries = nth & 1 ? 8 : 256,
		.batch = 256,
		.send_room = nth & 2 ? 64 : 1 << 20, /* an ICResp in two pieces */
		.recv_interrupted = nth & 4 ? 100 : 0,
	};
	sim_target_start(config, 2, POOL);
	for (unsigned i = 0; i < HOSTS; i++)
		host_run(nth * HOSTS + i);
	sim_target_settle(SIM_DISKS_PROMPT);
	SIM_CHECK(!sim_target_connections(), "%u connections are left", sim_target_connections());
	sim_target_check_idle();
	sim_target_stop();
	sim_kernel_check_empty();
}

int main(void)
{
	log_init(LOG_LEVEL_ERROR);
	for (unsigned i = 0; i < ROUNDS; i++)
		round_run(i);
	printf("sim-icreq: %u ICReqs, %u accepted, %u terminated\n", counts.sent, counts.accepted,
	       counts.terminated);
	return counts.accepted && counts.terminated ? EXIT_SUCCESS : EXIT_FAILURE;
}
