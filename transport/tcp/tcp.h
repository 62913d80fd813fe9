/* SPDX-License-Identifier: BSD-3-Clause */
/* The NVMe/TCP transport: shared types of its files. */
#ifndef SLUICE_TCP_TCP_H
#define SLUICE_TCP_TCP_H

#include "target/cmd.h"
#include "target/listener.h"
#include "target/queue.h"
#include "target/worker.h"
#include "transport/tcp/rx.h"
#include "transport/tcp/source.h"
#include "transport/tcp/zcrx.h"

extern const struct transport_ops tcp_transport;

enum tcp_limits {
	TCP_SMALL = 4096,        /* a connection's own receive buffer */
	TCP_PLACE_MIN = 16384,   /* payload worth a receive of its own into its destination */
	TCP_PLACE_TAIL = 512,    /* what is received behind it: more would be payload, to be copied */
	TCP_LARGE_R2T = 65536,   /* granted bytes from which on headers are read with small receives */
	TCP_RX_BUFFERS = 32,     /* large receive buffers of a worker, a power of two */
	TCP_RX_BUFFER = 262144,
	TCP_MAXH2CDATA = MAX_TRANSFER,
	TCP_ZCRX_QUEUES = MAX_NICS + 1, /* of a worker: one of each NIC, and one without */
	TCP_ZCRX_RECEIVE = 131072, /* bytes of one zero-copy receive: as many come although parsing is paused */
	TCP_ZCRX_EARLY = 16384,  /* bytes of a socket's buffer until Connect: what strangers may take of chunks */
	TCP_ZCRX_SHARE = 4,      /* of the receive area that a socket's buffer may take, from then on */
	TCP_TX_IOVS = 258,
	TCP_TX_HEADERS = 8192,
	TCP_TX_CAP = 544 << 10,  /* bytes of one send, if not of one response: 4 of 128 KiB, 128 of 4 KiB */
	TCP_STAGE = 64 << 10,       /* bytes of a connection's own stage */
	TCP_STAGE_LENT = 512 << 10, /* most bytes that it borrows for one send: 4 of 128 KiB */
	TCP_BACKLOG = 1024,
	TCP_LINGER_MS = 5000,    /* for the peer to close after the last byte was sent */
	TCP_RESET_MS = 1000,     /* for a dead connection's peer to take what is sent from our pages */
	TCP_ZC_SENDS = 64,       /* of a worker whose pages the kernel may be reading */
	TCP_ZC_HEADERS = 4096,   /* of one of them: a page */
	TCP_ZC_CHAIN = 262144,   /* bytes of sends for which the kernel may notify at once */
	TCP_ZC_COPIED = 16,      /* in a row that the kernel copied: no more are tried */
	TCP_ZC_AGAIN_S = 60,     /* until one is tried again */
};

struct tcp_cmd {
	struct cmd cmd; /* first */
	struct list tx_link;  /* response waits to be sent, or is being sent */
	struct list asked_link; /* conn->asked */
	struct list r2t_link; /* waits for window, or for its R2T to be sent */
	uint32_t received;   /* bytes that are in cmd.data */
	uint32_t sent;       /* bytes of a read that went before, in PDUs of their own */
	uint32_t granted;    /* bytes asked for by R2Ts so far */
	bool digest_bad;     /* some data digest was wrong: the command will fail */
	uint32_t r2t_offset, r2t_len;
	uint64_t asked_ns;   /* stall.c's clock: since when no byte came that it was asked for */
	struct gather gather; /* cmd.lent: of the payload */
};

/* One SENDMSG: what it points at stays until it is complete. */
struct tx_batch {
	bool busy; /* in flight */
	struct msghdr msg;
	struct list cmds; /* released when sent */
	uint32_t headers_len;
	uint32_t payload_len;
	uint32_t staged; /* bytes of `stage` that it uses */
	uint32_t left; /* bytes not sent yet */
	bool ends_in_headers; /* the last iovec is of `headers`, all of which are side by side */
	bool zc_worth; /* holds payload for which zero-copy pays */
	bool mapped;   /* holds payload that may change under way: not for zero-copy */
	struct iovec iov[TCP_TX_IOVS];
	uint8_t headers[TCP_TX_HEADERS];
	/* With data digests: which of conn->stage's bytes it may use. */
	uint8_t *stage;
	uint32_t stage_bytes;
};

/*
 * A zero-copy send. The kernel reads its pages until it notifies, which is when the peer has all of
 * them: long after the batch was taken and others followed.
 */
struct zc_send {
	struct op op;
	struct list link; /* tcp->zc_free */
	struct conn *conn;
	struct list cmds; /* released when both are true: */
	bool taken;       /* nothing of the batch is left to be sent */
	bool notified;
	uint32_t payload_len; /* that was sent from its pages */
	char *headers;        /* TCP_ZC_HEADERS bytes of worker->headers */
};

/* A connection's zero-copy sends. */
struct conn_zc {
	uint32_t min;     /* bytes of a command's payload for which it pays; 0: never */
	unsigned pending; /* sends that are not over */
	struct zc_send *sending; /* as which the batch in flight began, or NULL */
	uint32_t chain_len;  /* bytes of sends that may be chained to each other */
	unsigned copied_run; /* sends that the kernel copied since it last did not */
	uint64_t again_ns;   /* CLOCK_MONOTONIC: none is tried before */
	uint64_t bytes;      /* payload that left from its pages */
	uint64_t copied_bytes; /* payload that the kernel copied after all */
};

/* Where payload is copied that may change while its digest is computed (stage.c). */
struct conn_stage {
	uint8_t *own;     /* TCP_STAGE bytes; NULL: without data digests, or there was no memory */
	struct span lent; /* of the worker's pool, for the batch in flight; no area: none */
};

enum conn_state {
	CONN_OPEN,
	CONN_DRAINING, /* no new commands; closes when the old ones are answered */
	CONN_TERMINATING, /* a termination request goes out; the peer has its time to close */
	CONN_LINGERING,   /* all is sent; waits for the peer to close */
	CONN_DEAD,        /* the socket is shut down; waits for its requests in the ring */
};

/* What a zero-copy receive brought while parsing was paused. */
struct conn_aside {
	char *bytes; /* TCP_ZCRX_RECEIVE, owned; NULL: source_recv */
	uint32_t have;
	uint32_t used; /* that were parsed since */
};

struct conn {
	struct queue queue; /* first */
	struct tcp_worker *tcp;
	enum conn_state state;
	bool gone;    /* dead, and the core was told */
	int fd;
	struct list worker_link;
	struct timer timer; /* of the state that must not last */

	/* Waiting for the host, which has to go on (stall.c). */
	struct list asked;   /* tcp_cmd.asked_link: data was asked for; the longest silent one first */
	uint64_t heard_ns;   /* of the clock: since when no byte came */
	uint64_t sending_ns; /* CLOCK_MONOTONIC: since when no byte of what is being sent was taken */
	uint64_t acked_bytes;  /* by the peer's TCP, when that was last looked at */
	uint64_t paused_ns;    /* that parsing has waited for memory, all in all */
	uint64_t paused_since_ns; /* CLOCK_MONOTONIC; 0: it does not */

	/* Receiving. */
	const struct byte_source *source;
	struct rx rx;
	bool rx_armed;
	bool rx_poll_first;  /* nothing was left in the socket, or that is not known */
	bool rx_no_buffers;  /* the shared buffers had run out: use the own one */
	struct op rx_op;
	struct msghdr rx_msg;
	struct iovec rx_iov[4];
	uint32_t rx_place;   /* bytes of the armed receive that go to their destination */
	struct rx_held held; /* received, not parsed yet, because parsing is paused */

	/* Zero-copy receive; zcrx NULL: source_recv. */
	struct zcrx *zcrx;
	uint32_t zcrx_left;     /* bytes that the armed receive may still bring */
	uint64_t zcrx_starved_ns; /* CLOCK_MONOTONIC: since when it finds no chunk; 0: it does */
	struct list zcrx_starved_link; /* zcrx->starved */
	struct conn_aside aside;
	struct tcp_cmd *capsule; /* its in-capsule data comes next */
	struct tcp_cmd *payload; /* owner of the payload that is being received; NULL: dropped */

	/* Granting. */
	struct list r2t_wait; /* tcp_cmd.r2t_link: wait for window */
	uint32_t r2t_outstanding; /* bytes granted, of PDUs that are not whole yet */
	uint32_t credit;       /* bytes of ours in zcrx->landing.granted */
	uint32_t credit_pdu;   /* bytes of the PDU at hand that were taken off it */
	bool credit_used;      /* something was granted, or arrived, since the last review */

	/* Sending. */
	struct list dirty_link; /* tcp->dirty */
	bool send_icresp;
	struct list r2t_send; /* tcp_cmd.r2t_link */
	struct list tx_ready; /* tcp_cmd.tx_link */
	struct tx_batch tx;
	struct op tx_op;
	struct conn_zc zc;
	uint32_t term_len;    /* termination request to be sent */
	uint8_t term[PDU_TERM_MAX];
	bool hdgst, ddgst;
	uint8_t c2h_pdo; /* of C2HData */
	struct pdu_icresp icresp;
	struct conn_stage stage;
	struct tcp_cmd slot0;
	uint8_t small[TCP_SMALL];
};

struct tcp_worker {
	struct worker *worker;
	struct list conns;  /* conn.worker_link */
	struct list arrivals; /* arrival.link: accepted, and not on their worker yet */
	bool draining;        /* takes no connections any more */
	struct timer watch;   /* while a connection waits for its host: stall_watch() */
	struct list dirty;  /* have something to send or to decide at the end of the turn */
	/* Source recv. */
	struct io_uring_buf_ring *ring;
	char *rx_memory;
	unsigned ring_have;  /* buffers in the ring, with those of receives that are not seen yet */
	unsigned ring_want;  /* that are to be there */
	unsigned ring_taken; /* receives that took one */
	unsigned n_spare;
	uint16_t spare[TCP_RX_BUFFERS]; /* the others that nobody holds; the last one used is the last */
	/* Source zcrx. */
	struct zcrx *zcrx[TCP_ZCRX_QUEUES]; /* NULL: there is none in that place; owned */
	/* Zero-copy sends. */
	struct zc_send *zc_sends; /* TCP_ZC_SENDS; NULL: the worker's memory allows none */
	bool zc_fixed;            /* from the registered buffer; else from user addresses */
	struct list zc_free;      /* zc_send.link */
	unsigned zc_n_free;
};

static inline struct conn *conn_of(struct queue *queue)
{
	return container_of(queue, struct conn, queue);
}

static inline struct tcp_cmd *tcp_cmd_of(struct cmd *cmd)
{
	return container_of(cmd, struct tcp_cmd, cmd);
}

static inline struct loop *conn_loop(struct conn *conn)
{
	return &conn->queue.worker->loop;
}

/* ------------------------------------------------------------------------------------- queues.c */

/*
 * transport_ops.receive_areas, .receive_plan, .receive_open, .receive_fd, .receive_refresh, .receive_close,
 * .receive_describe
 */
unsigned tcp_queues_areas(const struct config *config);
int tcp_queues_plan(const struct config *config, unsigned worker_total, FILE *out);
void tcp_queues_open(const struct config *config);
int tcp_queues_refresh_fd(void);
void tcp_queues_refresh(void);
void tcp_queues_close(void);
void tcp_queues_describe(const struct worker *worker, struct json_object *array);
/* The ring goes next: until then the kernel holds on to what it needs of the memory. */
void tcp_queues_fini(struct tcp_worker *tcp);
/* The most bytes of memory that a worker's take, beside the receive areas. */
uint64_t tcp_queues_bytes(void);
void tcp_queues_facts(const struct config_listener *config, struct datapath_facts *facts);
/* Does it matter by which queue connections of @listener come? */
bool tcp_queues_matter(const struct listener *listener);
/*
 * The worker whose interface queue the packets of the accepted socket @fd come by, or NULL when they
 * come by none, or none has come yet. *@again: it may be known in some ms. Any thread; never waits.
 */
struct worker *tcp_queues_worker(int fd, bool *again);
/* The interface queue that a new connection uses on this worker; NULL: source_recv. */
struct zcrx *tcp_queues_find(struct tcp_worker *tcp, const struct listener *listener, int fd);

/* --------------------------------------------------------------------------------------- conn.c */

/* Takes over an accepted socket on its worker. Closes it when there is no memory. */
void conn_open(struct tcp_worker *tcp, struct listener *listener, int fd);
/* Bytes of SO_RCVBUF for a socket on a receive area of @area_bytes; net.core.rmem_max has to allow them. */
int conn_buffer_share(uint64_t area_bytes);
/* Connect succeeded: the socket may buffer what a host needs, not what a stranger may. */
void conn_buffer_widen(const struct conn *conn);
/* Something changed: look at it at the end of the turn. */
void conn_touch(struct conn *conn);
/* The end of a turn: sends, receives on behind that, moves through the closing states. */
void conn_turn(struct conn *conn);
/* No more bytes either way; everything is freed once the ring holds nothing of it. */
void conn_dead(struct conn *conn);
/* Has TCP forget what it sent from the pages of a dead connection, which the peer does not take. */
void conn_reset(struct conn *conn);
/* The peer broke the protocol: a termination request, then the end. */
void conn_fault(struct conn *conn, const struct pdu_fault *fault);
/* The peer had its time: counts that, and resets the connection. */
void conn_give_up(struct conn *conn);
/* No new commands; closes once the old ones are answered. */
void conn_drain(struct conn *conn);
/* transport_ops.idle */
void conn_free(struct queue *queue);

/* ------------------------------------------------------------------------------------- receive.c */

extern const struct rx_ops conn_rx_ops;
/* transport_ops.fetch */
void conn_fetch(struct cmd *cmd);
/* transport_ops.take_back */
void conn_take_back(struct cmd *cmd);
/*
 * Hands @len received bytes to the machine, those of @fragment if that is not NULL; returns how many
 * it took.
 */
size_t conn_received(struct conn *conn, const void *buf, size_t len, const struct span *fragment);
/* Parses on where it was paused. */
void conn_resume(struct conn *conn);
/* Starts a receive unless one is armed or parsing is paused. */
void conn_receive(struct conn *conn);
/* Nothing of what the host was asked for is counted on any more. */
void conn_credit_end(struct conn *conn);
/* Moves commands from r2t_wait to r2t_send as the window admits. */
void conn_grant(struct conn *conn);

/* ---------------------------------------------------------------------------------------- send.c */

/* transport_ops.respond */
void conn_respond(struct cmd *cmd);
/* Is there anything that conn_send() would send? */
bool conn_has_output(const struct conn *conn);
/* Builds and submits one batch, unless one is in flight. */
void conn_send(struct conn *conn);
void conn_sent(struct op *op, int res, uint32_t flags);
/* The batch in flight was sent by zero-copy: @res bytes, or a negative errno. */
void conn_sent_zc(struct conn *conn, int res);
/*
 * Lets go of commands (tcp_cmd.tx_link) whose answers have left together. Those of a dead connection go
 * with it.
 */
void conn_release_sent(struct conn *conn, struct list *cmds);
/* Has the ring give up the batch in flight. */
void conn_send_cancel(struct conn *conn);

/* --------------------------------------------------------------------------------------- stage.c */

/* Most bytes that a connection's own takes, for the bound announced. */
uint64_t stage_own_bytes(void);
/* The connection has data digests. */
void stage_init(struct conn *conn);
void stage_fini(struct conn *conn);
/* Is the payload of @cmd to be copied when it leaves? */
static inline bool stage_wanted(const struct conn *conn, const struct cmd *cmd)
{
	return conn->ddgst && cmd->direction == CMD_DATA_TO_HOST && cmd->memory == CMD_MEMORY_MAPPED;
}
/* A batch begins. */
void stage_begin(struct conn *conn);
/* It ended: what it borrowed goes back. */
void stage_end(struct conn *conn);
/* How many bytes of what is left of the payload of @tcmd the batch has room for: all, some, or none. */
uint32_t stage_room(struct conn *conn, const struct tcp_cmd *tcmd);
/*
 * Copies as many behind what the batch has in its stage; to where, and adds them to the digest's state *@crc.
 */
void *stage_copy(struct tx_batch *batch, const struct tcp_cmd *tcmd, uint32_t len, uint32_t *crc);

/* --------------------------------------------------------------------------------------- stall.c */

/* The host was asked for data of @tcmd, or sent some and owes more: tcmd->asked_link is in conn->asked. */
void stall_asked(struct conn *conn, struct tcp_cmd *tcmd);
/* Bytes came, and were parsed. */
void stall_heard(struct conn *conn);
/* A batch goes out. */
void stall_sending(struct conn *conn);
/* Parsing waits for memory, which is not the host's to give; it goes on. */
void stall_paused(struct conn *conn);
void stall_resumed(struct conn *conn);
/* tcp_worker.watch expired: ends connections whose hosts had their time. */
void stall_watch(struct timer *timer);
/* transport_ops.heard_since: by when the kernel got it, whenever it is read. */
bool stall_heard_since(const struct queue *queue, uint64_t since_ns);

/* ------------------------------------------------------------------------------------- send_zc.c */

/* Can the kernel, the workers' memory and the configuration do with zero-copy sends? */
struct datapath_fact zc_fact(const struct config_listener *config);
/* 0 or -ENOMEM. */
int zc_worker_init(struct tcp_worker *tcp);
void zc_worker_fini(struct tcp_worker *tcp);
/* Sends the batch conn->tx by zero-copy. False: it has to go by an ordinary send. */
bool zc_submit(struct conn *conn);
/* Does the connection try it now? Not when the kernel has copied a while ago what it was to take so. */
bool zc_tried(const struct conn *conn);
/* Would the payload of @cmd be sent that way now? */
bool zc_pays(const struct conn *conn, const struct cmd *cmd);
/* Nothing of the batch that conn->zc.sending began is left to be sent; forgets which one that was. */
void zc_taken(struct conn *conn);

#endif
