/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/datapath.h"

#include <stddef.h>

/* What a rung of the ladder needs: facts, as offsets in struct datapath_facts, ended by NO_FACT. */
enum { MAX_NEEDS = 2, NO_FACT = 0xff };

struct rung {
	const char *name;
	unsigned char needs[MAX_NEEDS];
};

#define FACT(field) offsetof(struct datapath_facts, field)

static const struct rung receive_rungs[DATAPATH_RECEIVE_RUNGS] = {
	[DATAPATH_RECEIVE_RDMA_DMABUF] = { "rdma-dmabuf", { FACT(rdma_dmabuf), NO_FACT } },
	[DATAPATH_RECEIVE_RDMA] = { "rdma", { NO_FACT } },
	[DATAPATH_RECEIVE_ZCRX_DEVICE] = { "zcrx-device",
					   { FACT(zcrx), FACT(zcrx_device_memory) } },
	[DATAPATH_RECEIVE_ZCRX] = { "zcrx", { FACT(zcrx), NO_FACT } },
	[DATAPATH_RECEIVE_RECV] = { "recv", { NO_FACT } },
	[DATAPATH_RECEIVE_ZCRX_COPY] = { "zcrx-copy", { FACT(zcrx_copy), NO_FACT } },
};

static const struct rung transmit_rungs[DATAPATH_TRANSMIT_RUNGS] = {
	[DATAPATH_TRANSMIT_RDMA_DMABUF] = { "rdma-dmabuf", { FACT(rdma_dmabuf), NO_FACT } },
	[DATAPATH_TRANSMIT_RDMA] = { "rdma", { NO_FACT } },
	[DATAPATH_TRANSMIT_ZC] = { "send-zc", { FACT(send_zc), NO_FACT } },
	[DATAPATH_TRANSMIT_SEND] = { "send", { NO_FACT } },
};

/* The backend's own memory is not on the way down to a device: it is tried before the ladder. */
static const struct rung storage_rungs[DATAPATH_STORAGE_RUNGS] = {
	[DATAPATH_STORAGE_DMABUF_VECTORED] = { "dmabuf-vectored",
					       { FACT(dmabuf_registered), FACT(dmabuf_vectored) } },
	[DATAPATH_STORAGE_DMABUF] = { "dmabuf", { FACT(dmabuf_registered), NO_FACT } },
	[DATAPATH_STORAGE_FIXED] = { "fixed", { FACT(backend_fixed), FACT(area_fixed) } },
	[DATAPATH_STORAGE_PLAIN] = { "plain", { FACT(area_reachable), NO_FACT } },
	[DATAPATH_STORAGE_BOUNCE] = { "bounce", { NO_FACT } },
	[DATAPATH_STORAGE_MEMORY] = { "memory", { FACT(mapped), NO_FACT } },
};

_Static_assert(sizeof(struct datapath_facts) < NO_FACT, "an offset fits beside NO_FACT");

/* The first fact that keeps @rung from being taken, or NULL. */
static const struct datapath_fact *missing(const struct rung *rung,
					   const struct datapath_facts *facts)
{
	for (unsigned i = 0; i < MAX_NEEDS && rung->needs[i] != NO_FACT; i++) {
		const struct datapath_fact *fact =
			(const struct datapath_fact *)((const char *)facts + rung->needs[i]);

		if (!fact->yes)
			return fact;
	}
	return NULL;
}

/*
 * The first of the rungs @best to @last, best first, whose needs are met; the last one needs nothing.
 * *@why tells what the rung just above it lacks.
 */
static unsigned climb(const struct rung *rungs, unsigned best, unsigned last,
		      const struct datapath_facts *facts, const char **why)
{
	const struct datapath_fact *lacking;
	unsigned i;

	*why = "";
	for (i = best; i < last && (lacking = missing(&rungs[i], facts)); i++)
		*why = lacking->why_not;
	return i;
}

static void choose_rdma(const struct datapath_facts *facts, struct datapath *path)
{
	path->receive = climb(receive_rungs, DATAPATH_RECEIVE_RDMA_DMABUF, DATAPATH_RECEIVE_RDMA,
			      facts, &path->receive_why);
	path->transmit = climb(transmit_rungs, DATAPATH_TRANSMIT_RDMA_DMABUF,
			       DATAPATH_TRANSMIT_RDMA, facts, &path->transmit_why);
}

static void choose_stream(const struct datapath_facts *facts, struct datapath *path)
{
	path->receive = climb(receive_rungs, DATAPATH_RECEIVE_ZCRX_DEVICE, DATAPATH_RECEIVE_RECV,
			      facts, &path->receive_why);
	if (!missing(&receive_rungs[DATAPATH_RECEIVE_ZCRX_COPY], facts)) {
		path->receive = DATAPATH_RECEIVE_ZCRX_COPY;
		path->receive_why = "the listener has receive = zcrx-copy";
	}
	path->transmit = climb(transmit_rungs, DATAPATH_TRANSMIT_ZC, DATAPATH_TRANSMIT_SEND, facts,
			       &path->transmit_why);
}

void datapath_choose(const struct datapath_facts *facts, struct datapath *path)
{
	if (facts->rdma)
		choose_rdma(facts, path);
	else
		choose_stream(facts, path);
	if (!missing(&storage_rungs[DATAPATH_STORAGE_MEMORY], facts)) {
		path->storage = DATAPATH_STORAGE_MEMORY;
		path->storage_why = "";
	} else {
		path->storage = climb(storage_rungs, DATAPATH_STORAGE_DMABUF_VECTORED,
				      DATAPATH_STORAGE_BOUNCE, facts, &path->storage_why);
	}
}

bool datapath_is_zerocopy(const struct datapath *path)
{
	return path->receive == DATAPATH_RECEIVE_RDMA_DMABUF ||
	       path->receive == DATAPATH_RECEIVE_RDMA ||
	       path->receive == DATAPATH_RECEIVE_ZCRX_DEVICE ||
	       path->receive == DATAPATH_RECEIVE_ZCRX;
}

const char *datapath_receive_name(enum datapath_receive rung)
{
	return receive_rungs[rung].name;
}

const char *datapath_transmit_name(enum datapath_transmit rung)
{
	return transmit_rungs[rung].name;
}

const char *datapath_storage_name(enum datapath_storage rung)
{
	return storage_rungs[rung].name;
}
