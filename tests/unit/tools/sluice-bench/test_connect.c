/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Setting up an association with a controller that the test plays on a thread: it passes when all is
 * right, and each thing that a Linux host refuses is refused, with words that name it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "initiator.h"
#include "transport/tcp/pdu.h"

#define NQN "nqn.2026-11.io.sluice:test"

enum { CNTLID = 5, BLOCKS = 1000, MAX_CONNS = 8 };

/* What the played controller says; a test changes one thing. */
struct script {
	struct pdu_icresp icresp;
	uint64_t cap;
	uint32_t csts;
	uint32_t crto_status;
	uint32_t connect_result[2]; /* admin, I/O */
	uint16_t connect_status;
	uint32_t connect_dw0;       /* with a status */
	struct nvme_id_ctrl id;
	uint16_t id_status;
	uint32_t queues_result;
	bool silent;                /* never answers ICReq */
	bool hang_up;               /* closes instead of answering ICReq */
	uint32_t event;             /* DW0 of one asynchronous event; 0: none */
	struct nvme_id_ns ns;
	uint8_t descs[64];
	uint8_t nstat;
	uint32_t nsids[2];

	/* What the host did. */
	unsigned keep_alives, event_logs, events_asked, shutdowns;
	uint32_t cc;
};

struct server {
	struct script *script;
	pthread_mutex_t lock;
	pthread_t threads[MAX_CONNS], acceptor;
	int fds[MAX_CONNS];
	unsigned n;
	int listener;
	uint16_t port;
};

struct conn {
	struct server *server;
	int fd;
	uint16_t sqhd;
	uint16_t entries;
};

static void script_good(struct script *s)
{
	memset(s, 0, sizeof(*s));
	s->icresp =
		(struct pdu_icresp){ .hdr = { .type = PDU_ICRESP, .hlen = 128, .plen = le32(128) },
				     .maxh2cdata = le32(131072) };
	s->cap = 1023 | NVME_CAP_CQR | NVME_CAP_TO(2) | NVME_CAP_CSS_NVM | NVME_CAP_CSS_IOCSS;
	s->csts = NVME_CSTS_RDY;
	s->connect_result[0] = s->connect_result[1] = CNTLID;
	s->id.cntlid = le16(CNTLID);
	s->id.ver = le32(NVME_VERSION_2_1);
	s->id.cntrltype = NVME_CTRL_IO;
	s->id.sgls = le32(NVME_SGLS_BYTE_ALIGNED | NVME_SGLS_TRANSPORT);
	s->id.kas = le16(1);
	s->id.ioccsz = le32(260);
	s->id.iorcsz = le32(1);
	s->id.sqes = 0x66;
	s->id.cqes = 0x44;
	s->id.mdts = 8;
	s->id.nn = le32(1);
	strcpy(s->id.subnqn, NQN);
	s->queues_result = 1 << 16 | 1;
	s->ns.nsze = s->ns.ncap = s->ns.nuse = le64(BLOCKS);
	s->ns.lbaf[0].lbads = 12;
	s->descs[0] = NVME_NIDT_CSI;
	s->descs[1] = 1;
	s->nstat = NVME_NSTAT_NRDY;
	s->nsids[0] = 1;
}

/* ------------------------------------------------------------------------------- the played side */

static bool take(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static void give(struct conn *c, const void *buf, size_t len)
{
	if (send(c->fd, buf, len, MSG_NOSIGNAL) < 0)
		return; /* the host has gone: the next receive ends the thread */
}

static void respond(struct conn *c, le16_t cid, uint16_t status, uint64_t result)
{
	struct pdu_rsp rsp = { .hdr = { .type = PDU_RSP, .hlen = 24, .plen = le32(24) },
			       .cqe = { .dw0 = le32((uint32_t)result),
					.dw1 = le32((uint32_t)(result >> 32)),
					.cid = cid,
					.sqhd = le16(c->sqhd),
					.status = le16((uint16_t)(status << 1)) } };

	give(c, &rsp, sizeof(rsp));
}

static void respond_data(struct conn *c, const struct nvme_sqe *sqe, const void *data, size_t size)
{
	uint32_t len = le32_get(sqe->sgl.len);
	struct pdu_data pdu = { .hdr = { .type = PDU_C2H_DATA, .hlen = 24, .pdo = 24,
					 .flags = PDU_FLAG_LAST, .plen = le32(24 + len) },
				.cccid = sqe->cid, .datal = le32(len) };
	uint8_t *payload = calloc(1, len);

	memcpy(payload, data, MIN((size_t)len, size));
	give(c, &pdu, sizeof(pdu));
	give(c, payload, len);
	free(payload);
	respond(c, sqe->cid, 0, 0);
}

static void play_identify(struct conn *c, const struct nvme_sqe *sqe)
{
	const struct script *s = c->server->script;
	struct nvme_id_ns_indep indep = { .nstat = s->nstat };

	switch (le32_get(sqe->cdw10) & 0xff) {
	case NVME_CNS_CTRL:
		if (s->id_status)
			respond(c, sqe->cid, s->id_status, 0);
		else
			respond_data(c, sqe, &s->id, sizeof(s->id));
		return;
	case NVME_CNS_ACTIVE_NS:
		respond_data(c, sqe, s->nsids, sizeof(s->nsids));
		return;
	case NVME_CNS_NS_DESCS:
		respond_data(c, sqe, s->descs, sizeof(s->descs));
		return;
	case NVME_CNS_NS_CS_INDEP:
		respond_data(c, sqe, &indep, sizeof(indep));
		return;
	default:
		respond_data(c, sqe, &s->ns, sizeof(s->ns));
	}
}

static void play_fabrics(struct conn *c, const struct nvme_sqe *sqe)
{
	struct script *s = c->server->script;
	const struct nvmf_property_cmd *prop = (const void *)sqe;
	const struct nvmf_connect_cmd *connect = (const void *)sqe;
	uint32_t offset = le32_get(prop->offset);

	if (connect->fctype == NVME_FCTYPE_CONNECT) {
		c->entries = (uint16_t)(le16_get(connect->sqsize) + 1);
		c->sqhd = 1;
		respond(c, sqe->cid, s->connect_status,
			s->connect_status ? s->connect_dw0 :
					    s->connect_result[le16_get(connect->qid) != 0]);
	} else if (connect->fctype == NVME_FCTYPE_PROPERTY_SET) {
		s->cc = (uint32_t)le64_get(prop->value);
		s->shutdowns += (s->cc & NVME_CC_SHN_MASK) != 0;
		if (s->cc & NVME_CC_SHN_MASK)
			s->csts |= NVME_CSTS_SHST_COMPLETE;
		respond(c, sqe->cid, 0, 0);
	} else if (offset == NVME_PROP_CRTO) {
		respond(c, sqe->cid, (uint16_t)s->crto_status, 1);
	} else {
		respond(c, sqe->cid, 0,
			offset == NVME_PROP_CAP ? s->cap :
			offset == NVME_PROP_CC	? s->cc :
						  s->csts);
	}
}

static void play_admin(struct conn *c, const struct nvme_sqe *sqe)
{
	struct script *s = c->server->script;
	uint8_t zeroes[16] = { 0 };

	switch (sqe->opcode) {
	case NVME_ADMIN_IDENTIFY:
		play_identify(c, sqe);
		return;
	case NVME_ADMIN_ASYNC_EVENT:
		/* The first one is answered with the event, the next one waits for ever. */
		if (s->events_asked++ == 0 && s->event)
			respond(c, sqe->cid, 0, s->event);
		return;
	case NVME_ADMIN_GET_LOG_PAGE:
		s->event_logs++;
		respond_data(c, sqe, zeroes, sizeof(zeroes));
		return;
	case NVME_ADMIN_KEEP_ALIVE:
		s->keep_alives++;
		respond(c, sqe->cid, 0, 0);
		return;
	default:
		respond(c, sqe->cid, 0, s->queues_result);
	}
}

static void *conn_play(void *arg)
{
	struct conn *c = arg;
	struct script *s = c->server->script;
	struct pdu_icreq icreq;
	struct pdu_cmd cmd;
	uint8_t data[1024];

	if (take(c->fd, &icreq, sizeof(icreq)) && !s->hang_up) {
		if (!s->silent)
			give(c, &s->icresp, sizeof(s->icresp));
		while (take(c->fd, &cmd, sizeof(cmd))) {
			uint32_t len = le32_get(cmd.hdr.plen) - (uint32_t)sizeof(cmd);

			if (len > sizeof(data) || (len && !take(c->fd, data, len)))
				break;
			pthread_mutex_lock(&c->server->lock);
			if (c->entries)
				c->sqhd = (uint16_t)((c->sqhd + 1) % c->entries);
			if (cmd.sqe.opcode == NVME_OPCODE_FABRICS)
				play_fabrics(c, &cmd.sqe);
			else
				play_admin(c, &cmd.sqe);
			pthread_mutex_unlock(&c->server->lock);
		}
	}
	shutdown(c->fd, SHUT_RDWR);
	free(c);
	return NULL;
}

static void *server_accept(void *arg)
{
	struct server *server = arg;

	while (server->n < MAX_CONNS) {
		struct conn *c;
		int fd = accept(server->listener, NULL, NULL);

		if (fd < 0)
			break;
		c = calloc(1, sizeof(*c));
		c->server = server;
		c->fd = fd;
		server->fds[server->n] = fd;
		pthread_create(&server->threads[server->n++], NULL, conn_play, c);
	}
	return NULL;
}

static void server_start(struct server *server, struct script *script)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	memset(server, 0, sizeof(*server));
	server->script = script;
	pthread_mutex_init(&server->lock, NULL);
	server->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(server->listener, MAX_CONNS), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&addr, &len), 0);
	server->port = ntohs(addr.sin_port);
	pthread_create(&server->acceptor, NULL, server_accept, server);
}

static void server_stop(struct server *server)
{
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->acceptor, NULL);
	close(server->listener);
	for (unsigned i = 0; i < server->n; i++) {
		pthread_join(server->threads[i], NULL);
		close(server->fds[i]);
	}
}

/* --------------------------------------------------------------------------------------- the tests */

static struct initiator *host_make(const struct server *server, struct initiator_options *o)
{
	struct sockaddr_in *addr = (struct sockaddr_in *)&o->addr;
	struct initiator *in;

	addr->sin_family = AF_INET;
	addr->sin_port = htons(server->port);
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	o->addr_len = sizeof(*addr);
	o->peer = "test";
	strcpy(o->subnqn, NQN);
	strcpy(o->hostnqn, "nqn.2026-11.io.sluice:host");
	o->depth = 8;
	o->maxr2t = 1;
	o->connect_timeout_ms = 500;
	o->io_timeout_ms = 500;
	assert_int_equal(initiator_init(&in, o), 0);
	return in;
}

/* Connects; expects success when @text is NULL, otherwise a failure whose words contain it. */
static void expect_connect(struct script *script, const char *text, bool may_retry)
{
	struct initiator_options o = { .queues = 2 };
	struct server server;
	struct initiator *in;
	int rc;

	server_start(&server, script);
	in = host_make(&server, &o);
	rc = initiator_connect(in);
	if (!text && rc)
		fail_msg("not connected: %s", initiator_error(in));
	if (text && (!rc || !strstr(initiator_error(in), text)))
		fail_msg("'%s' does not tell of '%s'", rc ? initiator_error(in) : "success", text);
	if (text)
		assert_int_equal(initiator_may_retry(in), may_retry);
	initiator_fini(in);
	server_stop(&server);
	if (!text)
		assert_int_equal(script->shutdowns, 1);
}

static void test_good(void **state)
{
	struct script s;

	(void)state;
	script_good(&s);
	expect_connect(&s, NULL, false);
	/* Command set descriptors are there, so the host asks for them: CC.CSS 110b. */
	assert_int_equal(s.cc & NVME_CC_CSS_MASK, 6 << NVME_CC_CSS_SHIFT);
	script_good(&s);
	s.cap |= NVME_CAP_CRMS_CRWMS;
	expect_connect(&s, NULL, false);
}

#define REFUSED(change, text)                     \
	do {                                      \
		script_good(&s);                  \
		change;                           \
		expect_connect(&s, text, false);  \
	} while (0)
#define RETRIED(change, text)                     \
	do {                                      \
		script_good(&s);                  \
		change;                           \
		expect_connect(&s, text, true);   \
	} while (0)

static void test_initialization(void **state)
{
	struct script s;

	(void)state;
	REFUSED(s.icresp.pfv = le16(1), "PFV 1");
	REFUSED(s.icresp.dgst = PDU_DGST_HEADER, "digests 01h, but 00h");
	REFUSED(s.icresp.cpda = 3, "CPDA 3");
	REFUSED(s.icresp.maxh2cdata = le32(4092), "MAXH2CDATA 4092");
	REFUSED(s.icresp.maxh2cdata = le32(8194), "MAXH2CDATA 8194");
	REFUSED(s.icresp.hdr.plen = le32(24), "PLEN");
	RETRIED(s.hang_up = true, "closed the connection instead of answering ICReq");
	RETRIED(s.silent = true, "no answer to ICReq within 500 ms");
}

static void test_connect(void **state)
{
	struct script s;

	(void)state;
	REFUSED(s.connect_status = NVME_SC_CONNECT_INVALID_PARAM | NVME_STATUS_DNR;
		s.connect_dw0 = 1 << 16 | 256, "no such subsystem");
	REFUSED(s.connect_status = NVME_SC_CONNECT_INVALID_HOST | NVME_STATUS_DNR,
		"does not allow");
	RETRIED(s.connect_status = NVME_SC_CONNECT_CTRL_BUSY, "controller busy");
	REFUSED(s.connect_result[0] = CNTLID | 1 << 17, "authentication required");
	REFUSED(s.connect_result[1] = CNTLID | 1 << 18, "authentication required");
	REFUSED(s.connect_result[1] = CNTLID + 1, "CNTLID 0006h, the admin queue has 0005h");
}

static void test_enable(void **state)
{
	struct script s;

	(void)state;
	REFUSED(s.cap |= 1ull << 48, "CAP.MPSMIN 1");
	REFUSED(s.cap &= ~(NVME_CAP_CSS_NVM | NVME_CAP_CSS_IOCSS), "CAP.CSS");
	REFUSED(s.cap |= NVME_CAP_CRMS_CRWMS; s.crto_status = NVME_SC_INVALID_FIELD,
		"Property Get of 68h failed");
	RETRIED(s.csts = NVME_CSTS_CFS, "controller fatal status");
	RETRIED(s.csts = 0; s.cap &= ~NVME_CAP_TO(0xff), "CSTS is 00000000h after 0 ms");
}

static void test_identify(void **state)
{
	struct script s;

	(void)state;
	REFUSED(s.id_status = NVME_SC_INTERNAL, "Identify Controller failed: Internal Error");
	REFUSED(s.id.cntlid = le16(9), "CNTLID 0009h, Connect returned 0005h");
	REFUSED(s.id.kas = le16(0), "KAS is 0");
	REFUSED(s.id.ioccsz = le32(3), "IOCCSZ is 3");
	REFUSED(s.id.iorcsz = le32(0), "IORCSZ is 0");
	REFUSED(s.id.icdoff = le16(1), "ICDOFF is 1");
	REFUSED(s.id.sgls = le32(NVME_SGLS_TRANSPORT), "no SGLs");
	REFUSED(s.id.cntrltype = NVME_CTRL_DISCOVERY, "CNTRLTYPE 2");
	REFUSED(s.id.subnqn[5] = 'x', "Identify has SUBNQN");
	REFUSED(memset(s.id.subnqn, 'x', sizeof(s.id.subnqn)), "SUBNQN of more than 223");
	REFUSED(s.id.sqes = 0x65, "SQES 65h");
	REFUSED(s.id.cmic = NVME_CMIC_ANA, "MNAN 0 with NN 1");
	REFUSED(s.id.cmic = NVME_CMIC_ANA; s.id.mnan = le32(2), "MNAN 2 with NN 1");
	REFUSED(s.id.cmic = NVME_CMIC_ANA; s.id.mnan = s.id.nn = le32(1024); s.id.mdts = 1;
		s.id.nanagrpid = le32(200), "the ANA log may have");
}

static void test_queues(void **state)
{
	struct script s;
	struct initiator_options o = { .queues = 2 };
	struct server server;
	struct initiator *in;

	(void)state;
	/* One queue granted, and fewer entries than asked for: the host takes what it gets. */
	script_good(&s);
	s.queues_result = 0;
	s.cap = (s.cap & ~0xffffull) | 3;
	server_start(&server, &s);
	in = host_make(&server, &o);
	assert_int_equal(initiator_connect(in), 0);
	assert_int_equal(initiator_queues(in), 1);
	assert_int_equal(initiator_depth(in), 3);
	assert_int_equal(initiator_max_transfer(in), 1 << 20);
	assert_int_equal(initiator_in_capsule(in), 4096);
	initiator_fini(in);
	server_stop(&server);
}

static void test_watch(void **state)
{
	struct script s;
	struct initiator_options o = { .queues = 1, .kato_ms = 400 };
	struct server server;
	struct initiator *in;

	(void)state;
	script_good(&s);
	s.id.oaes = le32(NVME_AEN_NS_ATTR);
	s.event = NVME_LOG_CHANGED_NS << 16 | NVME_NOTICE_NS_CHANGED << 8 | NVME_AEN_NOTICE;
	server_start(&server, &s);
	in = host_make(&server, &o);
	assert_int_equal(initiator_connect(in), 0);
	for (uint64_t end = initiator_now_ns(in) + 1200000000u; initiator_now_ns(in) < end;)
		assert_int_equal(initiator_poll(in, 100 * 1000 * 1000), 0);
	/* The event was answered by reading its log page and asking again; keep alives went out. */
	assert_int_equal(initiator_counters(in)->events, 1);
	assert_true(initiator_counters(in)->keep_alives >= 2);
	initiator_fini(in);
	server_stop(&server);
	assert_int_equal(s.event_logs, 1);
	assert_int_equal(s.events_asked, 2);
	assert_true(s.keep_alives >= 2);
}

/* Reads namespace 1; expects success when @text is NULL. */
static void expect_ns(struct script *script, const char *text)
{
	struct initiator_options o = { .queues = 1 };
	struct initiator_ns ns;
	struct server server;
	struct initiator *in;
	uint32_t list[1024];
	unsigned n;
	int rc;

	server_start(&server, script);
	in = host_make(&server, &o);
	assert_int_equal(initiator_connect(in), 0);
	rc = initiator_ns_list(in, 0, list, &n);
	if (!rc)
		rc = initiator_ns_read(in, 1, &ns);
	if (text && (rc >= 0 || !strstr(initiator_error(in), text)))
		fail_msg("'%s' does not tell of '%s'", rc ? initiator_error(in) : "success", text);
	if (!text) {
		assert_int_equal(rc, 0);
		assert_int_equal(ns.blocks, BLOCKS);
		assert_int_equal(ns.block_size, 4096);
	}
	initiator_fini(in);
	server_stop(&server);
}

static void test_namespaces(void **state)
{
	struct script s;

	(void)state;
#define NS(change, text)                 \
	do {                             \
		script_good(&s);         \
		change;                  \
		expect_ns(&s, text);     \
	} while (0)
	NS((void)0, NULL);
	NS(s.nsids[1] = 1, "not ascending");
	NS(s.descs[0] = 0x7f, "does not report the NVM command set");
	NS(s.descs[1] = 2, "type 4 has length 2");
	NS(s.nstat = 0, "not ready");
	NS(s.ns.nsze = le64(0), "has no blocks");
	NS(s.ns.ncap = le64(BLOCKS + 1), "NUSE <= NCAP <= NSZE");
	NS(s.ns.flbas = 1, "beyond NLBAF");
	NS(s.ns.lbaf[0].lbads = 8, "block size outside");
	NS(s.ns.lbaf[0].ms = le16(8), "metadata");
	NS(s.ns.nguid[3] = 1, "other identifiers");
#undef NS
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_initialization),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_enable),
		cmocka_unit_test(test_identify),
		cmocka_unit_test(test_queues),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
