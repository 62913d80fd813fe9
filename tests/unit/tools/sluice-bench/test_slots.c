/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of a queue that hold over every fabric, over one that the test plays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"

enum { ENTRIES = 4 };

struct fake {
	struct initiator in;
	struct queue *q;
	struct queue *dirty[1];
};

static int refusal; /* what the fabric answers */
static unsigned done;

static int fake_queue_init(struct queue *q)
{
	(void)q;
	return 0;
}

static void fake_queue_fini(struct queue *q)
{
	(void)q;
}

/* What the fabric may rely on: the command has its CID and says that it has an SGL. */
static int fake_cmd_queue(struct queue *q, struct slot *slot)
{
	assert_int_equal(le16_get(slot->cmd->sqe.cid), slot->cid);
	assert_int_equal(slot->cid & QUEUE_CID_INDEX, queue_slot_index(q, slot));
	assert_int_equal(slot->cmd->sqe.flags & NVME_PSDT_MASK, NVME_PSDT_SGL);
	return refusal;
}

static const struct fabric_ops fake_fabric = {
	.name = "fake",
	.queue_size = sizeof(struct queue),
	.queue_init = fake_queue_init,
	.queue_fini = fake_queue_fini,
	.cmd_queue = fake_cmd_queue,
};

static void cmd_done(struct initiator_cmd *cmd)
{
	(void)cmd;
	done++;
}

static void fake_open(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->in.fabric = &fake_fabric;
	f->in.dirty = f->dirty;
	f->in.options.peer = "fake";
	assert_int_equal(queue_new(&f->q, &f->in, 1, ENTRIES), 0);
	queue_reset(f->q);
	refusal = 0;
	done = 0;
}

/* Submits, and lets the controller see it. */
static struct slot *send_one(struct fake *f, struct initiator_cmd *cmd)
{
	struct slot *slot;

	*cmd = (struct initiator_cmd){ .sqe = { .opcode = NVME_IO_READ }, .done = cmd_done };
	assert_int_equal(queue_submit(f->q, cmd), 0);
	slot = &f->q->slots[le16_get(cmd->sqe.cid) & QUEUE_CID_INDEX];
	assert_int_equal(slot->state, SLOT_QUEUED);
	slot->state = SLOT_SENT;
	return slot;
}

static struct slot *respond(struct fake *f, uint16_t cid, uint16_t sqhd)
{
	struct nvme_cqe cqe = { .cid = le16(cid), .sqhd = le16(sqhd) };

	return queue_response(f->q, &cqe);
}

/* What the fabric does not take leaves the queue as it was. */
static void test_refusal(void **state)
{
	struct initiator_cmd cmd = { .done = cmd_done };
	struct fake f;

	(void)state;
	fake_open(&f);
	for (int i = 0; i < 2 * ENTRIES; i++) {
		refusal = i % 2 ? -EAGAIN : -EINVAL;
		assert_int_equal(queue_submit(f.q, &cmd), refusal);
	}
	assert_int_equal(f.q->n_free, ENTRIES - 1);
	assert_int_equal(f.q->sq_tail, 0);
	refusal = 0;
	for (int i = 0; i < ENTRIES - 1; i++)
		assert_int_equal(queue_submit(f.q, &cmd), 0);
	assert_int_equal(queue_submit(f.q, &cmd), -EAGAIN);
	queue_abandon(f.q);
	assert_int_equal(done, ENTRIES - 1);
	assert_int_equal(cmd.outcome, INITIATOR_LOST);
	queue_free(f.q);
}

/* A command that is answered but still in use comes back when it is not, and takes a slot till then. */
static void test_hold(void **state)
{
	struct initiator_cmd cmd[ENTRIES];
	struct slot *slot = NULL;
	struct fake f;

	(void)state;
	fake_open(&f);
	for (uint16_t i = 0; i < ENTRIES - 1; i++) {
		slot = send_one(&f, &cmd[i]);
		assert_ptr_equal(respond(&f, slot->cid, (uint16_t)(i + 1)), slot);
		queue_complete(f.q, slot, NVME_SC_INTERNAL, 7, 8, true);
		/* Twice answered is once too often. */
		assert_null(respond(&f, slot->cid, (uint16_t)(i + 1)));
		f.in.failed = false;
	}
	assert_int_equal(done, 0);
	assert_int_equal(queue_submit(f.q, &cmd[ENTRIES - 1]), -EAGAIN);
	queue_slot_release(f.q, slot);
	assert_int_equal(done, 1);
	assert_int_equal(cmd[ENTRIES - 2].outcome, INITIATOR_DONE);
	assert_int_equal(cmd[ENTRIES - 2].status, NVME_SC_INTERNAL);
	assert_int_equal(cmd[ENTRIES - 2].result, 7);
	assert_int_equal(cmd[ENTRIES - 2].result_hi, 8);
	send_one(&f, &cmd[ENTRIES - 1]);
	queue_abandon(f.q);
	assert_int_equal(done, ENTRIES);
	queue_free(f.q);
}

/* A CID is not used again at once, and what was not sent cannot be answered. */
static void test_cids(void **state)
{
	struct initiator_cmd cmd;
	struct fake f;
	uint16_t last = 0;

	(void)state;
	fake_open(&f);
	for (uint16_t i = 0; i < 40; i++) {
		struct slot *slot = send_one(&f, &cmd);

		assert_int_not_equal(slot->cid, last);
		last = slot->cid;
		slot->state = SLOT_QUEUED;
		assert_null(respond(&f, last, (uint16_t)((i + 1) % ENTRIES)));
		assert_non_null(strstr(f.in.error, "not outstanding"));
		f.in.failed = false;
		slot->state = SLOT_SENT;
		assert_ptr_equal(respond(&f, last, (uint16_t)((i + 1) % ENTRIES)), slot);
		queue_complete(f.q, slot, 0, 0, 0, false);
	}
	assert_int_equal(done, 40);
	queue_free(f.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_cids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
