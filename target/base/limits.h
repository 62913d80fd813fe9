/* SPDX-License-Identifier: BSD-3-Clause */
/* Every bound of the product in one place. What a configuration may change says so. */
#ifndef SLUICE_BASE_LIMITS_H
#define SLUICE_BASE_LIMITS_H

enum limits {
	/* Shape of the daemon. */
	MAX_WORKERS = 64,
	MAX_LISTENERS = 32,
	MAX_NICS = 8,
	RECEIVE_BUFFERS_MIN = 256, /* in a receive area: commands and hosts share them one by one */
	RECEIVE_BUFFERS_AUTO = 4096, /* from which on they are made longer */
	MAX_TRANSPORTS = 2,
	MAX_SUBSYSTEMS = 256,
	MAX_REFERRALS = 64,
	MAX_CONNECTIONS = 8192,
	PRIVILEGED_PORTS = 1024, /* below, a port takes a capability, given up when not needed */

	/* Subsystems and controllers. */
	MAX_NSID = 1024,	/* namespace identifiers 1..MAX_NSID in a subsystem */
	MAX_IO_QUEUES = 128,	/* per controller */
	MAX_QUEUE_DEPTH = 1024, /* entries of a submission queue; CAP.MQES + 1 */
	MIN_QUEUE_DEPTH = 2,
	MIN_ADMIN_DEPTH = 32,
	MAX_CNTLID = 0xffef, /* FFF0h and up are reserved (Base 2.1, 5.1.13.2.1) */
	MAX_ANA_GROUPS = 16,
	MAX_AER = 4,	       /* outstanding Asynchronous Event Requests; AERL + 1 */
	MAX_AEN_QUEUED = 16,   /* events waiting for a request */
	MAX_ABORTS = 4,	       /* Abort commands at a time; ACL + 1 */
	MAX_ERROR_LOG = 128,   /* entries of the error information log; ELPE + 1 */
	MAX_CHANGED_NS = 1024, /* entries of the changed namespace list (Base 2.1, 5.1.12.1.5) */

	/* Data. */
	HOST_PAGE_SIZE = 4096, /* CAP.MPSMIN 0 */
	MIN_BLOCK_SHIFT = 9,
	MAX_BLOCK_SHIFT = 16,
	MAX_TRANSFER_SHIFT = 20, /* 1 MiB a command: MDTS 8 */
	MAX_TRANSFER = 1 << MAX_TRANSFER_SHIFT,
	MAX_COPY_RANGES = 128,	   /* MSRC + 1 */
	CAPSULE_RESERVE_SHIFT = 3, /* 1/8 of a worker's buffers is for data in capsules */
	NS_SHARE = 4,		   /* times the memory that it leaves, a namespace may hold */
	CAPSULE_DATA_ADMIN = 8192, /* in-capsule data of admin and Fabrics commands */
	WORKER_HEADERS = 262144,   /* of a worker's memory is for headers sent from there */

	/* io_uring. */
	LOOP_SQ_ENTRIES = 1024,
	LOOP_CQ_ENTRIES = 8192,
	LOOP_AREAS = 4,		    /* memory areas of a loop, each a fixed buffer */
	LOOP_MAX_BUFFERS = 1 << 14, /* registered buffers of a ring; the kernel takes no more */
	LOOP_IOVS = 4096,	    /* of requests that are not submitted yet */
	LOOP_BATCH = 256,	    /* completions handled before what they produced is submitted */

	/* Dma-bufs registered with io_uring. */
	REGBUF_TRIES = 16, /* of the read that tries one out, while the kernel says EAGAIN */
	REGBUF_RETRY_MIN_MS = 1000, /* until one that was lost is tried again; doubled each time */
	REGBUF_RETRY_MAX_MS = 64000,

	/* Times. */
	KATO_DEFAULT_DISCOVERY_MS = 120000,
	KATO_GRANULARITY_MS = 100,  /* KAS 1 */
	CONNECT_TIMEOUT_MS = 15000, /* from accept to a completed Connect */
	CONNECT_LEAVING_MS = 12000, /* of these, for the end of the host's controller of before */
	FORMER_SILENT_MS = 8000,    /* of these, until it may have shown that it lives */
	FORMER_SLACK_MS = 500,
	CONNECT_AGAIN_MS = 5,	   /* between looks at that */
	DEAD_PEER_S = 120,	   /* without any answer of a connection's other end */
	TERM_TIMEOUT_MS = 30000,   /* after a termination request (TCP 1.0, 3.5) */
	FUSED_PATIENCE_MS = 5000,  /* of a fused Compare, with its Write */
	FENCE_PATIENCE_MS = 20000, /* of a fused pair with writes that go straight to its blocks */
	RETRY_DELAY_MS = 1000,	   /* until hosts try again what could not wait here; CRDT1 */
	LISTEN_RETRY_MS = 1000,	   /* an address that is not there yet */
	WORKER_PAUSE_TIMEOUT_MS = 5000, /* for all workers to stand still while settings change */

	/* Control socket. */
	MAX_CONTROL_CLIENTS = 16,
	MAX_CONTROL_REQUEST = 4096,	   /* bytes of a request, with its newline */
	MAX_CONTROL_REPLY = 16 << 20,	   /* bytes of a reply, with its newline */
	CONTROL_CLIENT_TIMEOUT_MS = 10000, /* for the next request, and for taking the reply */
	CONTROL_COLLECT_TIMEOUT_MS = 2000, /* for all workers to say what they have */
	CONTROL_COLLECT_BATCH = 64,	   /* connections that a worker describes in one turn */

	/* Messages. */
	LOG_TEXT_MAX = 1024, /* bytes of one; the rest is cut off */
	LOG_PEER_BURST = 20, /* of one kind that peers can cause, in a period */
	LOG_PEER_PERIOD_S = 5,

	/* Statistics. */
	MAX_STATS_STATUSES = 16,   /* that are counted each by itself; all others are one */
	MAX_STATS_HOSTS_GONE = 64, /* that a subsystem remembers: without a controller */
	MAX_METRICS_CLIENTS = 8,
	MAX_METRICS_TEXT = 8 << 20,   /* bytes: what goes beyond is left out, and counted */
	METRICS_CLIENT_BYTES = 16384, /* for a request and the headers of its answer */
	METRICS_TIMEOUT_S = 10,	      /* without a byte from the client, or taken by it */
};

_Static_assert(MAX_NSID <= MAX_CHANGED_NS, "the changed namespace list cannot overflow");
_Static_assert(MAX_QUEUE_DEPTH <= 65536, "SQSIZE is 16 bits wide");
_Static_assert(MAX_IO_QUEUES < 65536, "QID is 16 bits wide");

#endif
