/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands that run to their end: Identify, log pages, the discovery log, namespaces. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
	DISCOVERY_CHUNK = 4096,
	DISCOVERY_TRIES = 10,
	DISCOVERY_MAX_RECORDS = 16384,
};

static void sync_done(struct initiator_cmd *cmd)
{
	*(bool *)cmd->arg = true;
}

int initiator_run(struct initiator *in, unsigned qid, struct initiator_cmd *cmd, const char *what)
{
	bool done = false;
	int rc;

	cmd->done = sync_done;
	cmd->arg = &done;
	rc = initiator_submit(in, qid, cmd);
	if (rc)
		return rc;
	rc = initiator_wait(in, &done, in->options.connect_timeout_ms, what);
	return rc ? rc : cmd->status;
}

int initiator_admin(struct initiator *in, struct initiator_cmd *cmd)
{
	return initiator_run(in, 0, cmd, "an admin command");
}

int initiator_identify(struct initiator *in, enum nvme_cns cns, uint8_t csi, uint32_t nsid,
		       void *data)
{
	struct initiator_cmd cmd = { .sqe = { .opcode = NVME_ADMIN_IDENTIFY,
					      .nsid = le32(nsid),
					      .cdw10 = le32(cns),
					      .cdw11 = le32((uint32_t)csi << 24) },
				     .data = data,
				     .len = NVME_IDENTIFY_SIZE };

	return initiator_run(in, 0, &cmd, "Identify");
}

int initiator_log_page(struct initiator *in, uint8_t page, uint32_t nsid, uint64_t offset,
		       void *data, uint32_t len)
{
	uint32_t numd = len / 4 - 1;
	struct initiator_cmd cmd = { .sqe = { .opcode = NVME_ADMIN_GET_LOG_PAGE,
					      .nsid = le32(nsid),
					      .cdw10 = le32(page | (numd & 0xffff) << 16),
					      .cdw11 = le32(numd >> 16),
					      .cdw12 = le32((uint32_t)offset),
					      .cdw13 = le32((uint32_t)(offset >> 32)) },
				     .data = data,
				     .len = len };

	return initiator_run(in, 0, &cmd, "Get Log Page");
}

/* -------------------------------------------------------------------------------------- discovery */

static int discovery_header(struct initiator *in, struct nvmf_discovery_log *log)
{
	/* The header's 18 used bytes, in whole dwords, as libnvme reads them. */
	return initiator_log_page(in, NVME_LOG_DISCOVERY, 0, 0, log, 20);
}

static int discovery_entries(struct initiator *in, struct nvmf_discovery_log *log, uint64_t n)
{
	uint64_t size = n * sizeof(struct nvmf_discovery_entry);
	int rc = 0;

	for (uint64_t at = 0; at < size && !rc; at += DISCOVERY_CHUNK)
		rc = initiator_log_page(in, NVME_LOG_DISCOVERY, 0, sizeof(*log) + at,
					(uint8_t *)log->entries + at,
					(uint32_t)MIN(size - at, (uint64_t)DISCOVERY_CHUNK));
	return rc;
}

/*
 * One attempt: 0 with @*status 0 and a consistent @*out, or with the NVMe status or negative errno
 * that a command ended with; 1 to try again; a negative errno.
 */
static int discovery_attempt(struct initiator *in, struct nvmf_discovery_log **out, int *status)
{
	struct nvmf_discovery_log head = { 0 };
	struct nvmf_discovery_log *log;
	uint64_t n;

	*status = discovery_header(in, &head);
	if (*status)
		return 0;
	n = le64_get(head.numrec);
	if (n > DISCOVERY_MAX_RECORDS) {
		initiator_fail(in, false, "the discovery log claims %llu records",
			       (unsigned long long)n);
		return -EBADMSG;
	}
	if (le16_get(head.recfmt) != 0) {
		initiator_fail(in, false, "the discovery log has record format %u, known is 0",
			       le16_get(head.recfmt));
		return -EBADMSG;
	}
	log = calloc(1, sizeof(*log) + n * sizeof(log->entries[0]));
	if (!log)
		return -ENOMEM;
	*log = head;
	*status = discovery_entries(in, log, n);
	if (!*status)
		*status = discovery_header(in, &head);
	if (!*status && le64_get(head.genctr) == le64_get(log->genctr)) {
		if (le64_get(head.numrec) == n) {
			*out = log;
			return 0;
		}
		initiator_fail(in, false,
			       "the discovery log went from %llu to %llu records with GENCTR %llu",
			       (unsigned long long)n, (unsigned long long)le64_get(head.numrec),
			       (unsigned long long)le64_get(head.genctr));
		free(log);
		return -EBADMSG;
	}
	free(log);
	return *status ? 0 : 1;
}

int initiator_discovery_log(struct initiator *in, struct nvmf_discovery_log **log)
{
	char text[96];

	for (int i = 0; i < DISCOVERY_TRIES; i++) {
		int status = 0;
		int rc = discovery_attempt(in, log, &status);

		if (rc < 0)
			return rc;
		if (status > 0)
			initiator_fail(in, false, "the discovery log cannot be read: %s",
				       nvme_status_text((uint16_t)status, text, sizeof(text)));
		if (rc == 0)
			return status;
	}
	initiator_fail(in, true, "the discovery log changed during each of %d readings",
		       DISCOVERY_TRIES);
	return -ESTALE;
}

/* ------------------------------------------------------------------------------------- namespaces */

int initiator_ns_list(struct initiator *in, uint32_t nsid, uint32_t *list, unsigned *n)
{
	le32_t raw[1024];
	int rc = initiator_identify(in, NVME_CNS_ACTIVE_NS, 0, nsid, raw);

	*n = 0;
	if (rc)
		return rc;
	for (unsigned i = 0; i < ARRAY_SIZE(raw) && le32_get(raw[i]); i++) {
		list[i] = le32_get(raw[i]);
		if (list[i] <= (i ? list[i - 1] : nsid)) {
			initiator_fail(in, false, "the active namespace list is not ascending");
			return -EBADMSG;
		}
		(*n)++;
	}
	return 0;
}

/* The identification descriptors (CNS 03h): a known type has its one length. */
static int ns_descs_parse(struct initiator *in, struct initiator_ns *ns, const uint8_t *buf)
{
	static const uint8_t lens[] = { 0, 8, 16, 16, 1 };
	bool csi_seen = false;

	for (uint32_t at = 0; at + sizeof(struct nvme_ns_id_desc) <= NVME_IDENTIFY_SIZE;) {
		const struct nvme_ns_id_desc *d = (const void *)(buf + at);
		const uint8_t *value = (const uint8_t *)(d + 1);

		if (d->nidl == 0)
			break;
		if (at + sizeof(*d) + d->nidl > NVME_IDENTIFY_SIZE ||
		    (d->nidt < ARRAY_SIZE(lens) && d->nidl != lens[d->nidt])) {
			initiator_fail(
				in, false,
				"namespace %u: identification descriptor type %u has length %u",
				ns->nsid, d->nidt, d->nidl);
			return -EBADMSG;
		}
		if (d->nidt == NVME_NIDT_EUI64)
			memcpy(ns->eui64, value, sizeof(ns->eui64));
		else if (d->nidt == NVME_NIDT_NGUID)
			memcpy(ns->nguid, value, sizeof(ns->nguid));
		else if (d->nidt == NVME_NIDT_UUID)
			memcpy(ns->uuid, value, sizeof(ns->uuid));
		else if (d->nidt == NVME_NIDT_CSI)
			csi_seen = value[0] == NVME_CSI_NVM;
		at += (uint32_t)sizeof(*d) + d->nidl;
	}
	if (in->csi && !csi_seen) {
		initiator_fail(in, false,
			       "namespace %u does not report the NVM command set, but CAP.CSS "
			       "promises command set descriptors",
			       ns->nsid);
		return -EBADMSG;
	}
	return 0;
}

/* Identify Namespace (CNS 00h) as a host uses it. */
static int ns_id_check(struct initiator *in, struct initiator_ns *ns)
{
	const struct nvme_id_ns *id = &ns->id;
	unsigned format = (id->flbas & 0xf) | (unsigned)(id->flbas >> 5 & 3) << 4;
	unsigned shift = id->lbaf[format].lbads;
	const char *what = NULL;

	ns->blocks = le64_get(id->nsze);
	if (ns->blocks == 0)
		what = "has no blocks: it is not active";
	else if (format > id->nlbaf)
		what = "uses a format beyond NLBAF";
	else if (shift < 9 || shift > 16)
		what = "has a block size outside 512 bytes to 64 KiB";
	else if (le16_get(id->lbaf[format].ms))
		what = "has metadata, which this host does not handle";
	else if (le64_get(id->ncap) > ns->blocks || le64_get(id->nuse) > le64_get(id->ncap))
		what = "breaks NUSE <= NCAP <= NSZE";
	else if (memcmp(ns->nguid, id->nguid, sizeof(ns->nguid)) ||
		 memcmp(ns->eui64, id->eui64, sizeof(ns->eui64)))
		what = "has other identifiers in CNS 00h than in CNS 03h";
	if (what) {
		initiator_fail(in, false, "namespace %u %s", ns->nsid, what);
		return -EBADMSG;
	}
	ns->block_size = 1u << shift;
	ns->read_only = id->nsattr & NVME_NSATTR_READ_ONLY;
	return 0;
}

int initiator_ns_read(struct initiator *in, uint32_t nsid, struct initiator_ns *ns)
{
	uint8_t *buf = malloc(NVME_IDENTIFY_SIZE);
	uint32_t version = le32_get(in->id.ver);
	int rc = buf ? 0 : -ENOMEM;

	memset(ns, 0, sizeof(*ns));
	ns->nsid = nsid;
	if (!rc)
		rc = initiator_identify(in, NVME_CNS_NS_DESCS, 0, nsid, buf);
	if (!rc)
		rc = ns_descs_parse(in, ns, buf);
	if (!rc && version >= 0x20000) {
		rc = initiator_identify(in, NVME_CNS_NS_CS_INDEP, 0, nsid, buf);
		if (!rc && !(((struct nvme_id_ns_indep *)buf)->nstat & NVME_NSTAT_NRDY)) {
			initiator_fail(in, true, "namespace %u is not ready (NSTAT.NRDY)", nsid);
			rc = -EBADMSG;
		}
	}
	if (!rc)
		rc = initiator_identify(in, NVME_CNS_NS, 0, nsid, &ns->id);
	if (!rc)
		rc = ns_id_check(in, ns);
	if (!rc && version >= 0x20000)
		rc = initiator_identify(in, NVME_CNS_CSI_NS, NVME_CSI_NVM, nsid, buf);
	free(buf);
	return rc;
}
