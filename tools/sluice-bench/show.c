/* SPDX-License-Identifier: BSD-3-Clause */
/* What a controller says about itself, for people and as JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "report.h"
#include "run.h"

enum { FIELD_MAX = 256 };

/* A fixed field of the wire as a string: without its padding, unprintable bytes replaced. */
static const char *field(const char *raw, size_t len, char *buf)
{
	size_t n = 0;

	while (n < len && n < FIELD_MAX - 1 && raw[n]) {
		buf[n] = raw[n] >= ' ' && raw[n] < 127 ? raw[n] : '?';
		n++;
	}
	while (n && buf[n - 1] == ' ')
		n--;
	buf[n] = 0;
	return buf;
}

static const char *uuid_text(const uint8_t *u, char *buf)
{
	snprintf(buf, FIELD_MAX,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
		 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
		 u[15]);
	return buf;
}

static const char *hex_text(const uint8_t *bytes, size_t len, char *buf)
{
	for (size_t i = 0; i < len; i++)
		snprintf(buf + 2 * i, 3, "%02x", bytes[i]);
	return buf;
}

static void put_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static void put_int(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

/* -------------------------------------------------------------------------------------- discovery */

static const char *transport_name(uint8_t trtype)
{
	switch (trtype) {
	case NVMF_TRTYPE_RDMA:
		return "rdma";
	case NVMF_TRTYPE_FC:
		return "fc";
	case NVMF_TRTYPE_TCP:
		return "tcp";
	case NVMF_TRTYPE_LOOP:
		return "loop";
	default:
		return "unknown";
	}
}

static const char *family_name(uint8_t adrfam)
{
	return adrfam == NVMF_ADRFAM_IPV4 ? "ipv4" :
	       adrfam == NVMF_ADRFAM_IPV6 ? "ipv6" :
					    "unknown";
}

static const char *subtype_name(uint8_t subtype)
{
	switch (subtype) {
	case NVMF_SUBTYPE_REFERRAL:
		return "referral";
	case NVMF_SUBTYPE_NVM:
		return "nvme subsystem";
	case NVMF_SUBTYPE_CURRENT:
		return "current discovery subsystem";
	default:
		return "unknown";
	}
}

static struct json_object *entry_json(const struct nvmf_discovery_entry *e)
{
	struct json_object *o = json_object_new_object();
	char buf[FIELD_MAX];

	put_text(o, "trtype", transport_name(e->trtype));
	put_text(o, "adrfam", family_name(e->adrfam));
	put_text(o, "subtype", subtype_name(e->subtype));
	put_int(o, "treq", e->treq);
	put_int(o, "portid", le16_get(e->portid));
	put_int(o, "cntlid", le16_get(e->cntlid));
	put_int(o, "asqsz", le16_get(e->asqsz));
	put_int(o, "eflags", le16_get(e->eflags));
	put_text(o, "trsvcid", field(e->trsvcid, sizeof(e->trsvcid), buf));
	put_text(o, "subnqn", field(e->subnqn, sizeof(e->subnqn), buf));
	put_text(o, "traddr", field(e->traddr, sizeof(e->traddr), buf));
	return o;
}

static void discovery_json(const struct nvmf_discovery_log *log)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();

	put_int(o, "genctr", le64_get(log->genctr));
	for (uint64_t i = 0; i < le64_get(log->numrec); i++)
		json_object_array_add(list, entry_json(&log->entries[i]));
	json_object_object_add(o, "records", list);
	json_print(o);
}

static void discovery_text(const struct nvmf_discovery_log *log)
{
	uint64_t n = le64_get(log->numrec);
	char nqn[FIELD_MAX], addr[FIELD_MAX], port[FIELD_MAX];

	printf("%llu record%s, generation %llu\n", (unsigned long long)n, n == 1 ? "" : "s",
	       (unsigned long long)le64_get(log->genctr));
	for (uint64_t i = 0; i < n; i++) {
		const struct nvmf_discovery_entry *e = &log->entries[i];

		printf("%s\n  %s, %s %s port %s, port ID %u%s\n",
		       field(e->subnqn, sizeof(e->subnqn), nqn), subtype_name(e->subtype),
		       transport_name(e->trtype), field(e->traddr, sizeof(e->traddr), addr),
		       field(e->trsvcid, sizeof(e->trsvcid), port), le16_get(e->portid),
		       e->treq & NVMF_TREQ_DISABLE_SQFLOW ? ", SQ flow control may be off" : "");
	}
}

/* What libnvme and a Linux host expect of an entry; NULL when it is fine. */
static const char *entry_fault(const struct nvmf_discovery_entry *e)
{
	if (e->subtype < NVMF_SUBTYPE_REFERRAL || e->subtype > NVMF_SUBTYPE_CURRENT)
		return "has an unknown subtype";
	if (e->trtype != NVMF_TRTYPE_TCP && e->trtype != NVMF_TRTYPE_RDMA)
		return NULL;
	if (e->adrfam != NVMF_ADRFAM_IPV4 && e->adrfam != NVMF_ADRFAM_IPV6)
		return "has an address family other than IPv4 and IPv6";
	if (!e->traddr[0] || !e->trsvcid[0])
		return "has no address or no service";
	if (memchr(e->subnqn, 0, sizeof(e->subnqn)) == NULL || !e->subnqn[0])
		return "has no proper NQN";
	if (le16_get(e->asqsz) < INITIATOR_ADMIN_ENTRIES)
		return "allows admin queues of less than 32 entries";
	return NULL;
}

int bench_discover(const struct bench_options *options)
{
	struct initiator *in = bench_connect(options);
	struct nvmf_discovery_log *log = NULL;
	const char *what = NULL;
	uint64_t i;
	int rc;

	if (!in)
		return EXIT_FAILED;
	rc = initiator_discovery_log(in, &log);
	if (rc) {
		rc = bench_fail("%s", initiator_error(in));
		initiator_fini(in);
		return rc;
	}
	for (i = 0; i < le64_get(log->numrec) && !what; i++)
		what = entry_fault(&log->entries[i]);
	if (what)
		rc = bench_fail("discovery record %llu %s", (unsigned long long)i - 1, what);
	else if (options->json)
		discovery_json(log);
	else
		discovery_text(log);
	free(log);
	initiator_fini(in);
	return rc;
}

/* --------------------------------------------------------------------------------------- identify */

static struct json_object *ns_json(const struct initiator_ns *ns)
{
	struct json_object *o = json_object_new_object();
	char buf[FIELD_MAX];

	put_int(o, "nsid", ns->nsid);
	put_int(o, "blocks", ns->blocks);
	put_int(o, "block_size", ns->block_size);
	put_int(o, "bytes", ns->blocks * ns->block_size);
	put_text(o, "uuid", uuid_text(ns->uuid, buf));
	put_text(o, "nguid", hex_text(ns->nguid, sizeof(ns->nguid), buf));
	put_text(o, "eui64", hex_text(ns->eui64, sizeof(ns->eui64), buf));
	put_int(o, "nsfeat", ns->id.nsfeat);
	put_int(o, "nmic", ns->id.nmic);
	put_int(o, "dlfeat", ns->id.dlfeat);
	put_int(o, "anagrpid", le32_get(ns->id.anagrpid));
	put_int(o, "nawupf", le16_get(ns->id.nawupf));
	put_int(o, "npwg", le16_get(ns->id.npwg));
	json_object_object_add(o, "read_only", json_object_new_boolean(ns->read_only));
	return o;
}

static struct json_object *ctrl_json(const struct initiator *in)
{
	const struct nvme_id_ctrl *id = initiator_ctrl(in);
	struct json_object *o = json_object_new_object();
	char buf[FIELD_MAX];

	put_int(o, "vid", le16_get(id->vid));
	put_text(o, "sn", field(id->sn, sizeof(id->sn), buf));
	put_text(o, "mn", field(id->mn, sizeof(id->mn), buf));
	put_text(o, "fr", field(id->fr, sizeof(id->fr), buf));
	put_text(o, "subnqn", field(id->subnqn, sizeof(id->subnqn), buf));
	put_int(o, "cntlid", le16_get(id->cntlid));
	put_int(o, "ver", le32_get(id->ver));
	put_int(o, "cap", initiator_cap(in));
	put_int(o, "cntrltype", id->cntrltype);
	put_int(o, "cmic", id->cmic);
	put_int(o, "mdts", id->mdts);
	put_int(o, "oaes", le32_get(id->oaes));
	put_int(o, "ctratt", le32_get(id->ctratt));
	put_int(o, "oacs", le16_get(id->oacs));
	put_int(o, "lpa", id->lpa);
	put_int(o, "kas", le16_get(id->kas));
	put_int(o, "anacap", id->anacap);
	put_int(o, "anatt", id->anatt);
	put_int(o, "maxcmd", le16_get(id->maxcmd));
	put_int(o, "nn", le32_get(id->nn));
	put_int(o, "mnan", le32_get(id->mnan));
	put_int(o, "oncs", le16_get(id->oncs));
	put_int(o, "fuses", le16_get(id->fuses));
	put_int(o, "vwc", id->vwc);
	put_int(o, "sgls", le32_get(id->sgls));
	put_int(o, "ioccsz", le32_get(id->ioccsz));
	put_int(o, "iorcsz", le32_get(id->iorcsz));
	return o;
}

static void ctrl_text(const struct initiator *in)
{
	const struct nvme_id_ctrl *id = initiator_ctrl(in);
	uint32_t ver = le32_get(id->ver);
	char sn[FIELD_MAX], mn[FIELD_MAX], fr[FIELD_MAX], nqn[FIELD_MAX];

	printf("%s\n", field(id->subnqn, sizeof(id->subnqn), nqn));
	printf("  controller %u: model '%s', serial '%s', firmware '%s', NVMe %u.%u\n",
	       le16_get(id->cntlid), field(id->mn, sizeof(id->mn), mn),
	       field(id->sn, sizeof(id->sn), sn), field(id->fr, sizeof(id->fr), fr), ver >> 16,
	       ver >> 8 & 0xff);
	printf("  largest transfer %u bytes, in-capsule data %u bytes, queue entries %llu\n",
	       initiator_max_transfer(in),
	       le32_get(id->ioccsz) >= 4 ? le32_get(id->ioccsz) * 16 - 64 : 0,
	       (unsigned long long)NVME_CAP_MQES(initiator_cap(in)) + 1);
}

static void ns_text(const struct initiator_ns *ns)
{
	char uuid[FIELD_MAX], nguid[FIELD_MAX];

	printf("  namespace %u: %llu blocks of %u bytes (%.1f MiB)%s\n    uuid %s, nguid %s\n",
	       ns->nsid, (unsigned long long)ns->blocks, ns->block_size,
	       (double)ns->blocks * ns->block_size / (1 << 20), ns->read_only ? ", read only" : "",
	       uuid_text(ns->uuid, uuid), hex_text(ns->nguid, sizeof(ns->nguid), nguid));
}

/* One namespace into @list, or as text when that is NULL. */
static int ns_show(struct initiator *in, uint32_t nsid, struct json_object *list)
{
	struct initiator_ns ns;
	char text[96];
	int rc = initiator_ns_read(in, nsid, &ns);

	if (rc > 0)
		return bench_fail("namespace %u: %s", nsid,
				  nvme_status_text((uint16_t)rc, text, sizeof(text)));
	if (rc)
		return bench_fail("%s", initiator_error(in));
	if (list)
		json_object_array_add(list, ns_json(&ns));
	else
		ns_text(&ns);
	return 0;
}

static int ns_all(struct initiator *in, struct json_object *list)
{
	uint32_t nsids[1024];
	uint32_t after = 0;
	char text[96];
	unsigned n;
	int rc;

	do {
		rc = initiator_ns_list(in, after, nsids, &n);
		if (rc)
			return bench_fail(
				"the list of namespaces cannot be read: %s",
				rc > 0 ? nvme_status_text((uint16_t)rc, text, sizeof(text)) :
					 initiator_error(in));
		for (unsigned i = 0; i < n && !rc; i++)
			rc = ns_show(in, nsids[i], list);
		after = n ? nsids[n - 1] : 0;
	} while (!rc && n == ARRAY_SIZE(nsids));
	return rc;
}

int bench_identify(const struct bench_options *options)
{
	struct initiator *in = bench_connect(options);
	struct json_object *o = NULL, *list = NULL;
	int rc;

	if (!in)
		return EXIT_FAILED;
	if (options->json) {
		o = ctrl_json(in);
		list = json_object_new_array();
		json_object_object_add(o, "namespaces", list);
	} else {
		ctrl_text(in);
	}
	rc = options->has_nsid ? ns_show(in, options->nsid, list) : ns_all(in, list);
	if (o && !rc)
		json_print(o);
	else if (o)
		json_object_put(o);
	initiator_fini(in);
	return rc;
}
