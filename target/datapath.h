/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ladder. Facts are stated where they belong (transport, memory area, backend, kernel probe);
 * datapath_choose() alone turns them into rungs with the reason why no better one was taken.
 */
#ifndef SLUICE_TARGET_DATAPATH_H
#define SLUICE_TARGET_DATAPATH_H

#include <stdbool.h>

enum datapath_receive {
	DATAPATH_RECEIVE_RDMA_DMABUF, /* RDMA READ into a region over the dma-buf */
	DATAPATH_RECEIVE_RDMA,        /* RDMA READ into an ordinary region of the same pages */
	DATAPATH_RECEIVE_ZCRX_DEVICE, /* zcrx into device memory */
	DATAPATH_RECEIVE_ZCRX,        /* zcrx into user memory */
	DATAPATH_RECEIVE_RECV,        /* recv straight into the command's buffer */
	DATAPATH_RECEIVE_ZCRX_COPY,   /* zcrx without a NIC: the kernel copies to the area */
	DATAPATH_RECEIVE_RUNGS
};

enum datapath_storage {
	DATAPATH_STORAGE_DMABUF_VECTORED,
	DATAPATH_STORAGE_DMABUF,
	DATAPATH_STORAGE_FIXED,  /* ordinary fixed buffers */
	DATAPATH_STORAGE_PLAIN,  /* plain read and write */
	DATAPATH_STORAGE_BOUNCE, /* copied to or from memory that the device can be given */
	DATAPATH_STORAGE_MEMORY, /* the backend's own memory, no I/O at all */
	DATAPATH_STORAGE_RUNGS
};

enum datapath_transmit {
	DATAPATH_TRANSMIT_RDMA_DMABUF, /* RDMA WRITE from a region over the dma-buf */
	DATAPATH_TRANSMIT_RDMA,        /* RDMA WRITE from an ordinary region */
	DATAPATH_TRANSMIT_ZC,
	DATAPATH_TRANSMIT_SEND,
	DATAPATH_TRANSMIT_RUNGS
};

/* A fact: true, or false because `why_not` (never NULL then, a clause without a full stop). */
struct datapath_fact {
	bool yes;
	const char *why_not;
};

struct datapath_facts {
	/* Both ways, by transport: one that moves data by RDMA does it no other way. */
	bool rdma;
	struct datapath_fact rdma_dmabuf; /* its devices take the workers' dma-bufs */
	/* Receive, by transport and NIC. */
	struct datapath_fact zcrx;
	struct datapath_fact zcrx_device_memory;
	struct datapath_fact zcrx_copy; /* wanted, and there */
	/* Transmit. */
	struct datapath_fact send_zc;
	/* Storage, by area and backend. */
	struct datapath_fact mapped; /* the backend gives its own memory */
	struct datapath_fact dmabuf_registered;
	struct datapath_fact dmabuf_vectored;
	struct datapath_fact area_fixed;
	struct datapath_fact backend_fixed;
	struct datapath_fact area_reachable; /* by the backend as plain memory */
};

struct datapath {
	enum datapath_receive receive;
	enum datapath_transmit transmit;
	enum datapath_storage storage;
	/* Why the next better rung was not taken; empty on the best one. */
	const char *receive_why, *transmit_why, *storage_why;
};

/* Pure. Takes the best rung of each kind whose conditions hold. */
void datapath_choose(const struct datapath_facts *facts, struct datapath *path);

/* True when CPU copies of payload are 0 on the receive rung: what `require = zerocopy` asks for. */
bool datapath_is_zerocopy(const struct datapath *path);

const char *datapath_receive_name(enum datapath_receive rung);
const char *datapath_transmit_name(enum datapath_transmit rung);
const char *datapath_storage_name(enum datapath_storage rung);

#endif
