/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts that are simulated: they attach by NVMe/TCP, use what they find, break off and come again, at
 * random; and check what they are answered. host.c is what a host wants, host_queue.c how a queue
 * carries it, host_command.c which commands there are and what their answers have to be.
 */
#ifndef SLUICE_TESTS_SIM_HOST_H
#define SLUICE_TESTS_SIM_HOST_H

#include "base/nvme.h"
#include "kernel.h"
#include "transport/tcp/pdu.h"

enum {
	HOST_QUEUES = 4,  /* one is for admin commands */
	HOST_DEPTH = 128, /* most entries of a queue */
	HOST_GRANTS = 4 * HOST_DEPTH,
	HOST_AERS = 4,
	HOST_ABORTS = 4,
};

enum command_kind {
	COMMAND_CONNECT,
	COMMAND_PROPERTY_SET,
	COMMAND_PROPERTY_GET,
	COMMAND_DISCONNECT,
	COMMAND_ADMIN, /* any that needs no more care */
	COMMAND_ABORT,
	COMMAND_ASYNC_EVENT,
	COMMAND_READ,
	COMMAND_WRITE,
	COMMAND_ZEROES,
	COMMAND_DEALLOCATE,
	COMMAND_COMPARE,
	COMMAND_OTHER_IO, /* without data */
};

/* A command on its way; its identifier is the index. */
struct command {
	bool busy;
	enum command_kind kind;
	struct nvme_sqe sqe;
	uint64_t began, began_ns;
	uint8_t *data; /* owned; len bytes to the target, or room for what it sends */
	uint32_t len;
	bool to_host, in_capsule;
	bool excused;	 /* may fail */
	bool bad_digest; /* of its data; then it has to fail */
	bool data_whole;
	uint32_t moved;	  /* bytes of data that arrived, or that were sent */
	uint32_t granted; /* bytes asked for by R2Ts */
	unsigned ns;
	uint32_t slba, nlb;
	uint32_t write;	 /* in the model; 0: writes nothing */
	int partner;	 /* of a fused pair: the other half; -1: is none */
	bool answered;	 /* this half was; the other one was not */
	uint16_t status; /* then */
};

/* Data that the target asked for. */
struct grant {
	uint16_t cid, ttag;
	uint32_t offset, len;
};

enum queue_phase { QP_CONNECTING, QP_LIVE, QP_LEAVING /* disconnected */ };

struct host;

struct host_queue {
	struct host *host;
	struct sim_sock *sock; /* NULL: there is no such queue */
	uint16_t qid;
	enum queue_phase phase;
	unsigned depth;
	struct command *commands; /* depth of them, owned */
	unsigned n_busy;
	bool initialized; /* ICResp came */
	bool hdgst, ddgst, no_flow_control;
	uint8_t hpda;
	uint32_t max_h2c;
	struct grant grants[HOST_GRANTS];
	unsigned n_grants;
	uint8_t *rx; /* owned; what came of the next PDU */
	size_t rx_len, rx_room;
	unsigned deaf; /* steps during which it reads nothing */
	bool faulted;  /* it broke the protocol: anything may happen to it */
};

enum host_phase { HOST_DOWN, HOST_ATTACHING, HOST_UP, HOST_RESETTING, HOST_SHUTTING_DOWN };

/* What all hosts of a schedule may do. Chances are of 1000. */
struct host_knobs {
	uint16_t port;
	uint32_t in_capsule, max_transfer;
	unsigned busy;	     /* commands that a queue has at most */
	unsigned lose;	     /* chance that a queue is lost, in a step */
	unsigned reset;	     /* the same of a controller that is reset or shut down */
	unsigned abort;	     /* of commands */
	unsigned deaf;	     /* of steps that begin some time of not reading */
	unsigned bad_digest; /* of commands */
	unsigned garbage;    /* of steps */
	unsigned fused;	     /* of I/O commands */
	unsigned kato_ms;    /* 0: none */
	bool digests;
	bool errors; /* disks have some, so that any I/O command may fail */
	unsigned n_namespaces;
	bool quiet; /* nothing new is begun any more */
};

extern struct host_knobs host_knobs;

struct host {
	unsigned index;
	enum host_phase phase;
	uint32_t session;
	uint16_t cntlid;
	unsigned aers, aborts;
	bool polling; /* a Property Get is on its way */
	struct sim_sock
		*old_admin;   /* of the session before: held until the target has let go of it */
	uint32_t old_session; /* which ends when a new one has begun; 0: none */
	struct host_queue queues[HOST_QUEUES]; /* [0] is for admin commands */
};

/* What was done, for the summary. */
struct host_counts {
	uint64_t commands, answers, errors, attached, lost;
};

extern struct host_counts host_counts;

/* --------------------------------------------------------------------------------------- host.c */

void host_init(struct host *host, unsigned index);
/* Does something, or nothing. */
void host_step(struct host *host);
/* Reads, and answers what the target asks for; true when there was any of that. */
bool host_listen(struct host *host);
/* All is answered that can be. */
void host_check_answered(const struct host *host);
/* Ends all queues. */
void host_leave(struct host *host);
/* @queue was lost, from either side. The admin queue takes the others with it. */
void host_lost(struct host_queue *queue, bool reset);
/* A command other than I/O was answered. */
void host_answered(struct host_queue *queue, const struct command *command,
		   const struct nvme_cqe *cqe);

/* --------------------------------------------------------------------------------- host_queue.c */

/* Opens a connection for queue @qid. False: nobody listens. */
bool queue_open(struct host *host, uint16_t qid);
/* Forgets the queue; its writes may still be under way. */
void queue_forget(struct host_queue *queue);
/* A free command, or NULL. */
struct command *queue_command(struct host_queue *queue);
/* Sends it: capsule, and data where it is in there. */
void queue_send(struct host_queue *queue, struct command *command);
/* Sends the data of one grant. False: there is none. */
bool queue_grant_answer(struct host_queue *queue);
/* Reads some, or with @all all there is. False: there was nothing. */
bool queue_read(struct host_queue *queue, bool all);
void queue_garbage(struct host_queue *queue);

/* ------------------------------------------------------------------------------- host_command.c */

void command_connect(struct host_queue *queue);
void command_property_set(struct host_queue *queue, uint32_t offset, uint64_t value);
void command_property_get(struct host_queue *queue, uint32_t offset);
/* Any I/O command; any admin command. */
void command_io(struct host_queue *queue);
void command_admin(struct host_queue *queue);
void command_abort(struct host_queue *admin, const struct host_queue *victim, unsigned cid);
void command_disconnect(struct host_queue *queue);
/* @command is answered with @cqe. */
void command_end(struct host_queue *queue, struct command *command, const struct nvme_cqe *cqe);

#endif
