/* SPDX-License-Identifier: BSD-3-Clause */
/* The discovery log page (Base 5.1.12.3.1): what a host may attach to, and where. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/admin.h"
#include "target/ctrl.h"
#include "target/listener.h"

static const struct config *the_config;

/*
 * The log differs for one host when a listener opened or closed, or by discovery_renew(). The generation
 * moves here, with the picture of the listeners that logs are built from, so that two logs with one
 * generation are the same however reading and change overlap.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t generation = 1;
static uint64_t announced = 1;  /* the generation that discovery controllers were told of last */
static uint64_t open_listeners; /* bit per port_id, from 1 on */
_Static_assert(MAX_LISTENERS * 2 <= 64,
	       "one bit for each listener, and for the discovery one beside it");

const char *discovery_nqn(void)
{
	return the_config && the_config->discovery.nqn[0] ? the_config->discovery.nqn
							  : NVME_DISCOVERY_NQN;
}

/* Brings the picture up to date. Returns the generation and, in *@open, what it stands for. */
static uint64_t picture_refresh(uint64_t *open)
{
	uint64_t now = 0, current;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < n_listeners; i++)
		now |= (uint64_t)listener_is_open(listeners[i]) << (listeners[i]->port_id - 1);
	if (now != open_listeners)
		generation++;
	open_listeners = now;
	current = generation;
	pthread_mutex_unlock(&lock);
	if (open)
		*open = now;
	return current;
}

void discovery_init(const struct config *config)
{
	the_config = config;
}

void discovery_renew(void)
{
	pthread_mutex_lock(&lock);
	generation++;
	pthread_mutex_unlock(&lock);
	discovery_changed();
}

void discovery_changed(void)
{
	uint64_t current = picture_refresh(NULL);
	bool news;

	/* Someone who read the log in the meantime may have moved the generation already. */
	pthread_mutex_lock(&lock);
	news = current > announced;
	if (news)
		announced = current;
	pthread_mutex_unlock(&lock);
	if (news)
		subsys_notify(subsystems[0], NVME_AEN_DISCOVERY, 0);
}

uint64_t discovery_genctr(void)
{
	return picture_refresh(NULL);
}

/* ------------------------------------------------------------------------------------- entries */

static bool is_ipv6(const char *address)
{
	return strchr(address, ':') != NULL;
}

static bool is_wildcard(const char *address)
{
	return !strcmp(address, "0.0.0.0") || !strcmp(address, "::");
}

/*
 * The address that the host of @queue reaches @listener by, or NULL when that is not known: a
 * wildcard stands for the address that the host found us at, if that is of the same family.
 */
static const char *listener_address(const struct listener *listener, const struct queue *queue)
{
	const char *address = listener->config->address;

	if (!is_wildcard(address))
		return address;
	if (listener == queue->listener || is_ipv6(address) == is_ipv6(queue->local_address))
		return queue->local_address;
	return NULL;
}

/* ASCII fields are padded with spaces (Base 1.4.2), names with NULs. */
static void entry_address(struct nvmf_discovery_entry *entry, uint8_t trtype, const char *address,
			  uint16_t port)
{
	char number[8];
	int len = snprintf(number, sizeof(number), "%u", port);

	entry->trtype = trtype;
	if (trtype == NVMF_TRTYPE_RDMA) {
		entry->tsas[NVMF_TSAS_RDMA_QPTYPE] = NVMF_RDMA_QPTYPE_CONNECTED;
		entry->tsas[NVMF_TSAS_RDMA_PRTYPE] = NVMF_RDMA_PRTYPE_NOT_SPECIFIED;
		entry->tsas[NVMF_TSAS_RDMA_CMS] = NVMF_RDMA_CMS_RDMA_CM;
	}
	entry->adrfam = is_ipv6(address) ? NVMF_ADRFAM_IPV6 : NVMF_ADRFAM_IPV4;
	memset(entry->traddr, ' ', sizeof(entry->traddr));
	memcpy(entry->traddr, address, strlen(address));
	memset(entry->trsvcid, ' ', sizeof(entry->trsvcid));
	memcpy(entry->trsvcid, number, (size_t)len);
}

static void entry_fill(struct nvmf_discovery_entry *entry, uint8_t subtype, const char *nqn)
{
	entry->subtype = subtype;
	entry->treq = NVMF_TREQ_NOT_SPECIFIED | NVMF_TREQ_DISABLE_SQFLOW;
	entry->cntlid = le16(NVMF_CNTLID_DYNAMIC);
	entry->asqsz = le16(MIN_ADMIN_DEPTH);
	memcpy(entry->subnqn, nqn, strlen(nqn));
}

/* This discovery service itself, at the address where the host is. */
static void add_self(struct nvmf_discovery_log *log, uint64_t *n, const struct queue *queue)
{
	const struct listener *listener = queue->listener;
	struct nvmf_discovery_entry *entry = &log->entries[(*n)++];

	entry_fill(entry, NVMF_SUBTYPE_CURRENT, discovery_nqn());
	entry_address(entry, listener->ops->trtype, listener_address(listener, queue),
		      listener->config->port);
	entry->portid = le16(listener->port_id);
	entry->eflags = le16(NVMF_EFLAG_DUPRETINFO | NVMF_EFLAG_EPCSD);
}

static void add_listener(struct nvmf_discovery_log *log, uint64_t *n, const struct queue *queue,
			 const struct listener *listener)
{
	const char *address = listener_address(listener, queue);

	if (listener->config->discovery_only || !address)
		return;
	for (unsigned i = 1; i < n_subsystems; i++) {
		struct nvmf_discovery_entry *entry = &log->entries[*n];

		if (subsystems[i]->drained ||
		    !subsys_allows(subsystems[i], queue->ctrl->hostnqn))
			continue;
		entry_fill(entry, NVMF_SUBTYPE_NVM, subsystems[i]->nqn);
		entry_address(entry, listener->ops->trtype, address, listener->config->port);
		entry->portid = le16(listener->port_id);
		(*n)++;
	}
}

static uint8_t transport_type(const char *name)
{
	for (unsigned i = 0; transports[i]; i++)
		if (!strcmp(transports[i]->name, name))
			return transports[i]->trtype;
	return NVMF_TRTYPE_TCP;
}

static void add_referral(struct nvmf_discovery_log *log, uint64_t *n,
			 const struct config_referral *referral)
{
	struct nvmf_discovery_entry *entry = &log->entries[(*n)++];

	entry_fill(entry, NVMF_SUBTYPE_REFERRAL, referral->nqn);
	entry_address(entry, transport_type(referral->transport), referral->address,
		      referral->port);
}

size_t discovery_log_bytes(void)
{
	unsigned n_referrals = the_config ? the_config->n_referrals : 0;

	return sizeof(struct nvmf_discovery_log) +
	       sizeof(struct nvmf_discovery_entry) *
		       (1 + (size_t)n_listeners * n_subsystems + n_referrals);
}

int discovery_build_log(const struct queue *queue, void **out, size_t *len)
{
	unsigned n_referrals = the_config ? the_config->n_referrals : 0;
	struct nvmf_discovery_log *log;
	uint64_t open, n = 0;

	log = calloc(1, discovery_log_bytes());
	if (!log)
		return -ENOMEM;
	log->genctr = le64(picture_refresh(&open));
	add_self(log, &n, queue);
	for (unsigned i = 0; i < n_listeners; i++)
		if (open >> (listeners[i]->port_id - 1) & 1)
			add_listener(log, &n, queue, listeners[i]);
	for (unsigned i = 0; i < n_referrals; i++)
		add_referral(log, &n, &the_config->referrals[i]);
	log->numrec = le64(n);
	*out = log;
	*len = sizeof(*log) + n * sizeof(log->entries[0]);
	return 0;
}
