/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PORT: what the core asks of a transport. Of the core it calls queue_init and queue_fini,
 * queue_cmd_get and queue_cmd_find, queue_memory_get and queue_memory_put, queue_may_end, cmd_begin,
 * cmd_ask, cmd_fetched, cmd_release, cmd_cancel, queue_gone, worker_accept and worker_connection_put. All
 * calls about a queue are made on its worker's thread. Of listeners it calls listener_why(),
 * listener_facts() and listener_lost().
 */
#ifndef SLUICE_TARGET_TRANSPORT_OPS_H
#define SLUICE_TARGET_TRANSPORT_OPS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "target/datapath.h"

struct cmd;
struct config;
struct config_listener;
struct listener;
struct queue;
struct worker;
enum queue_close;

struct transport_ops {
	const char *name;   /* as in [listener] transport */
	uint8_t trtype;     /* enum nvmf_trtype */
	size_t cmd_size;    /* of the structure that embeds struct cmd */
	uint32_t sgls;      /* SGLS bits of Identify Controller */
	uint16_t msdbd;     /* largest number of SGL data block descriptors */

	/* Receive areas (worker->receive) that it needs in each worker. */
	unsigned (*receive_areas)(const struct config *config);
	/*
	 * With all workers initialized, none running, and all privileges: makes what receive areas are
	 * for. What is missing costs a rung, and is logged. May block.
	 */
	void (*receive_open)(const struct config *config);
	/*
	 * Writes in words what receive_open() would do with @worker_total workers, and changes nothing. 0,
	 * or negative errno when something is missing. NULL: it would do nothing.
	 */
	int (*receive_plan)(const struct config *config, unsigned worker_total, FILE *out);
	/*
	 * For the main thread, from receive_open() on: a descriptor, or -1 for none, and what is to be
	 * called when it is readable, which may block. Both NULL: nothing to do.
	 */
	int (*receive_fd)(void);
	void (*receive_refresh)(void);
	/* Undoes receive_open(), after the workers and their rings are gone. NULL: nothing to do. */
	void (*receive_close)(void);

	/*
	 * What this transport can do here, for the ladder. Fills in the receive and transmit facts, with no
	 * worker running; listener_facts() tells of others later.
	 */
	void (*facts)(const struct config_listener *config, struct datapath_facts *facts);

	/* Prepares per-worker state (buffers, rings of buffers); before the worker runs. 0 or negative errno. */
	int (*worker_init)(struct worker *worker);
	void (*worker_fini)(struct worker *worker);
	/*
	 * Looks for what comes by other ways than the worker's ring, and handles it: once a turn, while the
	 * worker spins, and with @arm before it blocks, when what comes from then on has to wake it by the
	 * ring. True: there was something. NULL: nothing does.
	 */
	bool (*poll)(struct worker *worker, bool arm);
	/* Bytes that worker_init() takes, and most that one connection of @depth takes: for the bound announced. */
	uint64_t (*worker_bytes)(void);
	uint64_t (*connection_bytes)(unsigned depth);

	/*
	 * Holds an address before anybody serves it: connections wait there. A descriptor, which listen()
	 * finds in listener->fd, or negative errno. NULL: an address cannot be held.
	 */
	int (*claim)(const struct config_listener *config);
	/*
	 * Binds and listens; connections come to workers from then on. 0, or negative errno
	 * (EADDRNOTAVAIL: the address is not there yet, the core tries again), with listener_why() where
	 * that says more.
	 */
	int (*listen)(struct listener *listener);
	/* Stops accepting. Connections stay. */
	void (*unlisten)(struct listener *listener);

	/*
	 * Connect asks for queue @qid of @depth entries: 0, or the offset in the command of what is not as
	 * the connection was made for. NULL: connections are alike.
	 */
	uint16_t (*connecting)(const struct queue *queue, uint16_t qid, unsigned depth);
	/* Connect succeeded with these values: the transport may use more in-capsule data from now on. */
	void (*connected)(struct queue *queue);
	/*
	 * Brings cmd->data_len bytes from the host into cmd->data; then calls cmd_fetched(), perhaps
	 * before it returns.
	 */
	void (*fetch)(struct cmd *cmd);
	/*
	 * There is no buffer for the data in the capsule of @cmd: may the transport keep it for as long as
	 * that takes? NULL: it may always.
	 */
	bool (*may_wait)(const struct cmd *cmd);
	/*
	 * Nobody needs what the transport lent to cmd->data any more, as it said by cmd->lent. NULL: it
	 * never lends.
	 */
	void (*take_back)(struct cmd *cmd);
	/*
	 * Sends the data (direction TO_HOST and status success), then the completion. Takes the command;
	 * calls cmd_release() when the memory is no longer needed.
	 */
	void (*respond)(struct cmd *cmd);
	/* Slots or memory that the queue waited for are there again. */
	void (*resume)(struct queue *queue);
	/* Closes the connection after what is queued to send was sent; queue_gone() follows. */
	void (*close)(struct queue *queue, enum queue_close why);
	/* No command is busy after queue_gone(): frees the connection. */
	void (*idle)(struct queue *queue);
	/* Called once a turn: sends what the turn produced. */
	void (*flush)(struct worker *worker);
	/* The daemon stops: every connection answers what it has begun, then closes. */
	void (*drain)(struct worker *worker);
	/* Draining took too long: every connection ends now. */
	void (*kill)(struct worker *worker);
	/* Adds an object for each receive area of @worker to @array. Any thread. NULL: there are none. */
	void (*receive_describe)(const struct worker *worker, struct json_object *array);
	/*
	 * Bytes that the host of @queue was asked for by R2T and has not sent yet. Any thread that keeps the
	 * queue from going. NULL: the transport asks for nothing.
	 */
	uint64_t (*granted)(const struct queue *queue);
	/*
	 * Did the host of @queue send anything after @since_ns (clock_now_ns())? Any thread that keeps the
	 * queue from going. NULL: commands are taken as they come, so the last one tells.
	 */
	bool (*heard_since)(const struct queue *queue, uint64_t since_ns);
	/* Adds what people want to see of the connection to @object. */
	void (*describe)(const struct queue *queue, struct json_object *object);
};

#endif
