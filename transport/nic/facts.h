/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of an interface: found out by facts.c, judged by plan.c. */
#ifndef SLUICE_NIC_FACTS_H
#define SLUICE_NIC_FACTS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/nic/nic.h"
#include "transport/nic/rule.h"

struct nic_genl;

/* What is looked at of an interface; one that has more is not refused, but not used to the full. */
enum {
	NIC_SEEN_QUEUES = 1024,
	NIC_SEEN_TABLE = 4096, /* entries of an indirection table */
	NIC_SEEN_CONTEXTS = 64,
	NIC_SEEN_RULES = 1024,
};

/* Queues by number. */
struct nic_set {
	uint64_t bits[NIC_SEEN_QUEUES / 64];
};

static inline void nic_set_add(struct nic_set *set, uint32_t queue)
{
	if (queue < NIC_SEEN_QUEUES)
		set->bits[queue / 64] |= UINT64_C(1) << (queue % 64);
}

static inline bool nic_set_has(const struct nic_set *set, uint32_t queue)
{
	return queue < NIC_SEEN_QUEUES && (set->bits[queue / 64] >> (queue % 64) & 1);
}

/* The indirection table of a receive hash: which queue each value of the hash goes to. */
struct nic_table {
	unsigned n;
	uint16_t queue[NIC_SEEN_TABLE];
};

enum nic_zcrx {
	NIC_ZCRX_YES,
	NIC_ZCRX_OLD_KERNEL, /* has no IORING_REGISTER_QUERY */
	NIC_ZCRX_LEFT_OUT,   /* CONFIG_IO_URING_ZCRX is not set */
	NIC_ZCRX_FORBIDDEN,  /* io_uring is switched off */
};

enum nic_taken {
	NIC_QUEUE_FREE,
	NIC_QUEUE_IO_URING, /* a zero-copy receive of io_uring */
	NIC_QUEUE_DMABUF,   /* a dma-buf of devmem TCP */
	NIC_QUEUE_XSK,	    /* an AF_XDP socket */
	NIC_QUEUE_LEASED,   /* a virtual interface has it */
};

/* tcp-data-split as ethtool reports it. */
enum nic_split { NIC_SPLIT_UNKNOWN, NIC_SPLIT_OFF, NIC_SPLIT_ON };

/* A feature of `ethtool -k`. */
struct nic_feature {
	bool changeable;
	bool on;
};

struct nic_link {
	unsigned index; /* 0: there is no such interface */
	bool up;
	bool xdp;	  /* a program is attached */
	char kind[16];	  /* of a virtual interface: "bond", "vlan", "bridge"; empty: a device */
	char port_of[16]; /* kind of the interface that it is a part of; empty: of none */
};

struct nic_channels {
	bool known; /* else counted by the queues that are seen */
	uint32_t rx, rx_max, combined, combined_max;
};

struct nic_rings {
	bool known;
	uint32_t rx, rx_max; /* rx_max 0: the size cannot be set */
	enum nic_split split;
	bool thresh_known;
	uint32_t thresh; /* bytes up to which a packet is not split */
};

/* A hash context beside the default one. */
struct nic_context {
	uint32_t id;
	struct nic_set queues;
};

struct nic_rules {
	bool known;	 /* the device has a table of rules, and it could be read */
	int error;	 /* negative errno with which it could not */
	bool any_place;	 /* the driver finds a place by itself */
	uint32_t places; /* of the table, when it does not */
	unsigned n;
	struct nic_rule rule[NIC_SEEN_RULES];
};

struct nic_facts {
	char name[IF_NAMESIZE];
	struct nic_link link;
	bool privileged; /* CAP_NET_ADMIN */
	enum nic_zcrx zcrx;
	char kernel[65];
	char driver[32], version[32], firmware[32], bus[32];
	struct nic_channels channels;
	struct nic_rings rings;
	struct nic_feature ntuple, gro_hw;
	bool hash_known; /* the default indirection table could be read */
	struct nic_table table;
	bool contexts_known; /* the device has contexts */
	unsigned n_contexts;
	struct nic_context context[NIC_SEEN_CONTEXTS];
	struct nic_rules rules;
	unsigned n_queues; /* receive queues that exist now */
	uint32_t napi[NIC_SEEN_QUEUES];
	uint8_t taken[NIC_SEEN_QUEUES]; /* enum nic_taken */
	struct nic_set flows;		/* queues that the kernel steers flows to by itself (RFS) */
	/* Learnt by trying: rules that look at a part of the source port are refused. */
	bool no_port_masks;
};

/*
 * Fills in @facts about the interface @name. What the interface cannot answer is "not known", and no
 * error; an interface that does not exist has link.index 0. Negative errno and *@why when the kernel
 * cannot be asked at all.
 */
int nic_facts_read(struct nic_facts *facts, const char *name, struct nic_why *why);

enum nic_ask { NIC_ASK_CHANNELS, NIC_ASK_RINGS, NIC_ASK_FEATURES, NIC_ASK_HASH, NIC_ASK_QUEUES };

/*
 * Asks one thing anew, of the interface facts->link.index. 0 or negative errno (-EOPNOTSUPP: it has
 * none), and then *@why (may be NULL) in the kernel's words, or empty.
 */
int nic_facts_ask(struct nic_facts *facts, struct nic_genl *genl, enum nic_ask what,
		  struct nic_why *why);

#endif
