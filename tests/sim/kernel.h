/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel that is simulated: rings (ring.c, in the place of base/loop.c), sockets (socket.c) and disks
 * (disk.c). Requests wait until sim_kernel_step() picks them, so that they end in any order.
 */
#ifndef SLUICE_TESTS_SIM_KERNEL_H
#define SLUICE_TESTS_SIM_KERNEL_H

#include "base/list.h"
#include "base/loop.h"
#include "sim.h"

struct sim_sock;

enum request_kind {
	REQUEST_NOP,
	REQUEST_ACCEPT,
	REQUEST_RECEIVE,
	REQUEST_SEND,
	REQUEST_NOTIFY, /* what is left of a zero-copy send: its pages may still be read */
	REQUEST_DISK,
};

/* A request that the kernel has. */
struct request {
	struct list link; /* of all; kernel.requests */
	enum request_kind kind;
	struct loop *loop;
	struct op *op;
	struct io_uring_sqe sqe;
	struct iovec *iov; /* owned: the kernel reads vectors when a request is submitted */
	unsigned n_iov;
	struct iovec one; /* iov, where a request has one piece */
	struct sim_sock *sock;
	int fd;		   /* of a disk */
	size_t len, moved; /* bytes; of a send */
	uint64_t
		sent_end; /* REQUEST_NOTIFY: notified when its host has read the stream up to here */
	uint32_t crc;	  /* of the pages then */
};

/* ---------------------------------------------------------------------------------------- ring.c */

/* The loop's turn: submits, fires timers, hands over what completed and arrived. */
void sim_turn(struct loop *loop);
/* Has the loop anything to do now? */
bool sim_loop_ready(const struct loop *loop);
/* Lets one request go on, picked at random. False: none could. */
bool sim_kernel_step(void);
/* Ends the disks' request that is at @nth among theirs, in the order they came; false: there is none. */
bool sim_kernel_disk_step(uint32_t nth);
/* As sim_kernel_step(), but tries all; true when any did. */
bool sim_kernel_sweep(void);
/* When the next timer of any loop fires; UINT64_MAX: none runs. */
uint64_t sim_next_timer_ns(void);
/* No ring, request, socket or timer is left. */
void sim_kernel_check_empty(void);

/* The request ended with @res and @flags; frees it. */
void request_end(struct request *request, int res, uint32_t flags);
/* It has said something and goes on. */
void request_tell(struct request *request, int res, uint32_t flags);
/* Takes the next buffer of the loop's ring of them. False: there is none. */
bool ring_buffer_take(struct loop *loop, void **addr, uint32_t *len, uint16_t *id);
/* Buffers of the loop's ring that are the kernel's now. */
unsigned sim_ring_buffers(const struct loop *loop);
/* Is that memory in the registered buffer @index of the loop? */
bool ring_buffer_has(const struct loop *loop, unsigned index, const void *p, size_t len);

/* -------------------------------------------------------------------------------------- socket.c */

enum { SIM_FD = 1 << 20 /* from here on descriptors are simulated */ };

/* Requests on sockets: true when something happened. */
bool socket_accept(struct request *request);
bool socket_receive(struct request *request);
bool socket_send(struct request *request);
bool socket_notify(struct request *request);
/* The socket of @fd. */
struct sim_sock *socket_of(int fd);
bool socket_is_open(int fd);
void socket_hold(struct sim_sock *sock);
void socket_let_go(struct sim_sock *sock);
/* Sockets that there are; @of_target: of which the target has a descriptor. */
unsigned socket_count(bool of_target);

/* The host's end of a connection to @port; NULL when nobody listens there. */
struct sim_sock *host_connect(uint16_t port);
void host_send(struct sim_sock *sock, const void *bytes, size_t len);
/* Takes up to @max bytes that the target sent. */
size_t host_receive(struct sim_sock *sock, void *bytes, size_t max);
/* Bytes that host_receive() would find. */
size_t host_pending(const struct sim_sock *sock);
/* The target has ended its side, and all that it sent was read; or it has reset the connection. */
bool host_sees_end(const struct sim_sock *sock);
/* Does the target still have its end? The caller holds @sock. */
bool host_is_held(const struct sim_sock *sock);
/* Ends it: by a FIN behind all that was sent, or by a reset. The host's end is no more. */
void host_close(struct sim_sock *sock, bool reset);

/* ---------------------------------------------------------------------------------------- disk.c */

struct sim_disk {
	struct list link;
	int fd;
	unsigned index; /* as they were opened */
	uint8_t block_shift;
	uint64_t size;
	uint8_t *bytes;
	unsigned requests; /* that it has */
};

bool disk_request(struct request *request);
struct sim_disk *disk_of(int fd);
/* The disk at @path of the configuration, or NULL. */
struct sim_disk *sim_disk(const char *path);
/* Called before a disk writes a block: may what is in @bytes be written now? NULL: always. */
extern void (*sim_disk_writes)(const struct sim_disk *disk, uint64_t lba, const uint8_t *bytes);

#endif
