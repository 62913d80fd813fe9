/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/loop.h"
#include "memory.h"

enum { CHAIN_BYTES = 256 * 1024, HEADERS_BYTES = 4096, SLOT_BYTES = LOAD_BATCH_BYTES + HEADERS_BYTES };

/* A batch: its memory is free again when the last completion came. */
struct slot {
	struct op op;
	struct list link;
	char *headers, *payload;
	struct iovec iov[2 * LOAD_COMMANDS_MAX];
	struct msghdr msg;
};

static struct io_uring ring;
static struct slot slots[LOAD_SENDS];
static struct list free_slots;
static struct slot *sending; /* not taken yet */
static unsigned pending;

/* Of the run. */
static int run_fd;
static const struct load_row *run_row;
static uint64_t run_left;
static unsigned run_chain; /* bytes that may be chained */
static struct load_result run_result;

const char *load_mode_name(enum load_mode mode)
{
	static const char *const names[] = { "send", "zc", "zc-fixed" };

	return names[mode];
}

static void slot_free(struct slot *slot)
{
	list_add_tail(&free_slots, &slot->link);
	pending--;
}

static void slot_submit(struct slot *slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	const unsigned flags = MSG_WAITALL | MSG_NOSIGNAL;
	unsigned zc_flags = flags;

	/* As the daemon: no endless chains of sends that are notified of at once. */
	run_chain += run_row->commands * run_row->payload_bytes;
	if (run_chain >= CHAIN_BYTES) {
		run_chain = 0;
		zc_flags |= MSG_EOR;
	}

	switch (run_row->mode) {
	case MODE_SEND:
		io_uring_prep_sendmsg(sqe, run_fd, &slot->msg, flags);
		break;
	case MODE_ZC:
		io_uring_prep_sendmsg_zc(sqe, run_fd, &slot->msg, zc_flags);
		sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
		break;
	default:
		io_uring_prep_sendmsg_zc_fixed(sqe, run_fd, &slot->msg, zc_flags, 0);
		sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
	}
	io_uring_sqe_set_data(sqe, &slot->op);
}

/* Header and payload of one command after the other, the headers in a place of their own. */
static void slot_fill(struct slot *slot)
{
	slot->msg = (struct msghdr){ .msg_iov = slot->iov, .msg_iovlen = 2 * run_row->commands };
	for (unsigned i = 0; i < run_row->commands; i++) {
		char *header = slot->headers + i * LOAD_HEADER_BYTES;

		memset(header, (int)i, LOAD_HEADER_BYTES);
		slot->iov[2 * i] = (struct iovec){ header, LOAD_HEADER_BYTES };
		slot->iov[2 * i + 1] = (struct iovec){
			slot->payload + (size_t)i * run_row->payload_bytes, run_row->payload_bytes
		};
	}
}

/* The next batch, unless one is being sent or all of the memory is in use. */
static void batch_send(void)
{
	struct slot *slot;

	if (sending || !run_left || list_empty(&free_slots))
		return;
	slot = list_entry(list_pop(&free_slots), struct slot, link);
	sending = slot;
	pending++;
	run_left--;
	slot_fill(slot);
	slot_submit(slot);
}

static void batch_taken(struct slot *slot, int res, bool notification_follows)
{
	size_t len = (size_t)run_row->commands * (LOAD_HEADER_BYTES + run_row->payload_bytes);

	if (res < 0) {
		errno = -res;
		err(1, "%s of %zu bytes", load_mode_name(run_row->mode), len);
	}
	if ((size_t)res < len)
		errx(1, "%s of %zu bytes took %d", load_mode_name(run_row->mode), len, res);
	sending = NULL;
	run_result.sends++;
	if (!notification_follows)
		slot_free(slot);
}

static void batch_done(struct op *op, int res, uint32_t flags)
{
	struct slot *slot = container_of(op, struct slot, op);

	if (flags & IORING_CQE_F_NOTIF) {
		run_result.copied += ((uint32_t)res & IORING_NOTIF_USAGE_ZC_COPIED) != 0;
		slot_free(slot);
	} else {
		batch_taken(slot, res, flags & IORING_CQE_F_MORE);
	}
	batch_send();
}

/* What is submitted and completed in one turn of the daemon's loop, with its system calls. */
static void turn(void)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_submit_and_get_events(&ring);
	if (!io_uring_cq_ready(&ring))
		io_uring_submit_and_wait(&ring, 1);
	io_uring_for_each_cqe(&ring, head, cqe) {
		struct op *op = io_uring_cqe_get_data(cqe);

		op->done(op, cqe->res, cqe->flags);
		n++;
	}
	io_uring_cq_advance(&ring, n);
}

struct load_result load_run(int fd, const struct load_row *row, uint64_t sends)
{
	run_fd = fd;
	run_row = row;
	run_left = sends;
	run_result = (struct load_result){ 0 };
	batch_send();
	while (run_left || pending)
		turn();
	return run_result;
}

void load_open(int huge)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG,
	};
	struct iovec all = { .iov_len = (size_t)LOAD_SENDS * SLOT_BYTES };
	int rc;

	/* Whole huge pages. */
	all.iov_len = (all.iov_len + (2 << 20) - 1) & ~(size_t)((2 << 20) - 1);
	all.iov_base = memory_create(all.iov_len, huge);
	rc = io_uring_queue_init_params(64, &ring, &params);
	if (!rc)
		rc = io_uring_register_buffers(&ring, &all, 1);
	if (rc) {
		errno = -rc;
		err(1, "cannot make a ring with a registered buffer");
	}
	io_uring_register_ring_fd(&ring);
	list_init(&free_slots);
	for (unsigned i = 0; i < LOAD_SENDS; i++) {
		slots[i].op.done = batch_done;
		slots[i].headers = (char *)all.iov_base + (size_t)i * HEADERS_BYTES;
		slots[i].payload = (char *)all.iov_base + (size_t)LOAD_SENDS * HEADERS_BYTES +
				   (size_t)i * LOAD_BATCH_BYTES;
		list_add_tail(&free_slots, &slots[i].link);
	}
}
