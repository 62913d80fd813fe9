/* SPDX-License-Identifier: BSD-3-Clause */
/* What is posted for a command: addresses, keys, lengths, flags, order, and what goes in one call. */
#include "rdma_target.h"

enum { DEPTH = 16, LEN = 8192, PARTS = 4 };

static struct fake_peer *const admin = &host_peers[0], *const io = &host_peers[1],
			       *const fresh = &host_peers[2];

/* Memory of a host. */
static uint8_t memory[8 * LEN];

static int setup(void **state)
{
	host_setup(state);
	host_attach(admin, io, DEPTH, 16);
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i * 7 + i / HOST_BLOCK * 31 + 1);
	return 0;
}

/* A buffer of the worker's pool: neither a receive nor anything beyond the area. */
static void assert_in_pool(const void *local, uint32_t len)
{
	const char *base = workers[0].area.base, *at = local;

	assert_true(at >= base && at + len <= base + FAKE_MEMORY);
}

static void assert_sent(const struct fake_sent *sent, enum ibv_wr_opcode opcode, const void *remote,
			uint32_t len, uint32_t key)
{
	assert_int_equal(sent->wr.opcode, opcode);
	assert_ptr_equal((void *)(uintptr_t)sent->wr.wr.rdma.remote_addr, remote);
	assert_int_equal(sent->wr.wr.rdma.rkey, key);
	assert_int_equal(sent->len, len);
	assert_int_equal(sent->lkey, FAKE_LKEY);
	assert_in_pool(sent->local, len);
}

static bool is_signalled(const struct fake_sent *sent)
{
	return sent->wr.send_flags & IBV_SEND_SIGNALED;
}

static void assert_response(const struct fake_sent *sent, const struct nvme_sqe *sqe)
{
	assert_true(is_signalled(sent));
	assert_true(sent->wr.send_flags & IBV_SEND_INLINE);
	assert_int_equal(sent->len, sizeof(struct nvme_cqe));
	assert_int_equal(le16_get(sent->cqe.cid), le16_get(sqe->cid));
	assert_int_equal(le16_get(sent->cqe.sqid), 1);
}

/* Writes @len bytes of @data to block 0 of namespace 1, by a key. */
static void put_blocks(const uint8_t *data, uint32_t len)
{
	struct nvme_sqe sqe = host_io(NVME_IO_WRITE, 1, 0, len / HOST_BLOCK);

	host_keyed(&sqe, NVME_SGL_KEYED_ADDRESS, data, len, HOST_KEY);
	io->automatic = true;
	assert_true(host_capsule(io, &sqe, NULL, 0));
	assert_int_equal(host_status(io, &sqe), 0);
	host_by_hand(io);
}

static void a_read(void **state)
{
	static const struct {
		uint8_t type;
		uint32_t key;
	} cases[] = { { NVME_SGL_KEYED_ADDRESS, 0x12345678 },
		      { NVME_SGL_KEYED_INVALIDATE, 0xfedcba98 } };
	uint8_t *to = memory + LEN;

	(void)state;
	put_blocks(memory, LEN);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool invalidate = cases[i].type == NVME_SGL_KEYED_INVALIDATE;
		struct nvme_sqe sqe = host_io(NVME_IO_READ, 1, 0, LEN / HOST_BLOCK);

		memset(to, 0, LEN);
		host_by_hand(io);
		host_keyed(&sqe, cases[i].type, to, LEN, cases[i].key);
		assert_true(host_capsule(io, &sqe, NULL, 0));
		assert_int_equal(io->n_sent, 2);
		assert_int_equal(io->posts, 1);
		assert_sent(&io->sent[0], IBV_WR_RDMA_WRITE, to, LEN, cases[i].key);
		assert_false(is_signalled(&io->sent[0]));
		assert_response(&io->sent[1], &sqe);
		assert_int_equal(host_status(io, &sqe), 0);
		assert_int_equal(io->sent[1].wr.opcode,
				 invalidate ? IBV_WR_SEND_WITH_INV : IBV_WR_SEND);
		if (invalidate)
			assert_int_equal(io->sent[1].wr.invalidate_rkey, cases[i].key);
		/* The buffer is the command's until the host has it. */
		assert_int_equal(host_rq(io)->queue.n_busy, 1);
		host_complete(io, 2);
		assert_int_equal(host_rq(io)->queue.n_busy, 0);
		assert_int_equal(host_rq(io)->sq_used, 0);
		assert_memory_equal(to, memory, LEN);
	}
}

/* A device that cannot invalidate keys of others is not asked to. */
static void no_invalidation(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_READ, 1, 0, 1);

	(void)state;
	host_device(0)->attr.device_cap_flags = 0;
	host_keyed(&sqe, NVME_SGL_KEYED_INVALIDATE, memory, HOST_BLOCK, 0x77777777);
	assert_true(host_capsule(io, &sqe, NULL, 0));
	host_device(0)->attr.device_cap_flags = fake_verbs.attr.device_cap_flags;
	assert_int_equal(io->n_sent, 2);
	assert_int_equal(io->sent[1].wr.opcode, IBV_WR_SEND);
	host_complete(io, 2);
}

static void an_error_sends_no_data(void **state)
{
	struct nvme_sqe beyond = host_io(NVME_IO_READ, 1, 1 << 20, 8);
	struct nvme_sqe late = host_io(NVME_IO_READ, 2, 0, 8);
	struct nvme_sqe abort = { .opcode = NVME_ADMIN_ABORT,
				  .flags = NVME_PSDT_SGL,
				  .cid = le16(9) };

	(void)state;
	host_keyed(&beyond, NVME_SGL_KEYED_INVALIDATE, memory, 4096, 0x1001);
	assert_true(host_capsule(io, &beyond, NULL, 0));
	assert_int_equal(io->n_sent, 1);
	assert_int_equal(host_status(io, &beyond), DNR(NVME_SC_LBA_OUT_OF_RANGE));
	/* Its key is given back all the same. */
	assert_int_equal(io->sent[0].wr.opcode, IBV_WR_SEND_WITH_INV);
	assert_int_equal(io->sent[0].wr.invalidate_rkey, 0x1001);
	host_complete(io, 1);
	/* One that fails when it has its buffer, at the backend. */
	host_keyed(&late, NVME_SGL_KEYED_ADDRESS, memory, 4096, 0x1002);
	assert_true(host_capsule(io, &late, NULL, 0));
	assert_int_equal(io->n_sent, 1);
	abort.cdw10 = le32(1 | (uint32_t)le16_get(late.cid) << 16);
	assert_true(host_capsule(admin, &abort, NULL, 0));
	assert_int_equal(host_wait_status(admin, &abort), 0);
	assert_int_equal(host_wait_status(io, &late), NVME_SC_ABORT_REQUESTED);
	assert_int_equal(io->n_sent, 2);
	host_complete(io, 1);
	assert_int_equal(host_rq(io)->sq_used, 0);
}

static void a_write(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_WRITE, 2, 8, LEN / HOST_BLOCK);
	struct nvme_sqe back = host_io(NVME_IO_READ, 1, 0, 8);

	(void)state;
	host_keyed(&sqe, NVME_SGL_KEYED_INVALIDATE, memory, LEN, 0xabcdef01);
	assert_true(host_capsule(io, &sqe, NULL, 0));
	assert_int_equal(io->n_sent, 1);
	assert_sent(&io->sent[0], IBV_WR_RDMA_READ, memory, LEN, 0xabcdef01);
	assert_true(is_signalled(&io->sent[0]));
	/* The capsule is not needed any more. */
	assert_int_equal(host_receives(), HOST_RECEIVES);
	host_complete(io, 1);
	assert_int_equal(io->n_sent, 1); /* the backend has it */
	assert_int_equal(host_rq(io)->reads, 0);
	host_release_io(io);
	assert_int_equal(io->n_sent, 2);
	assert_response(&io->sent[1], &sqe);
	assert_int_equal(host_status(io, &sqe), 0);
	assert_int_equal(io->sent[1].wr.opcode, IBV_WR_SEND_WITH_INV);
	assert_int_equal(io->sent[1].wr.invalidate_rkey, 0xabcdef01);
	host_complete(io, 1);
	assert_int_equal(host_rq(io)->queue.n_busy, 0);
	/* What was brought is what was written. */
	put_blocks(memory, LEN);
	host_keyed(&back, NVME_SGL_KEYED_ADDRESS, memory + LEN, 4096, HOST_KEY);
	memset(memory + LEN, 0, 4096);
	assert_true(host_capsule(io, &back, NULL, 0));
	host_complete(io, 2);
	assert_memory_equal(memory + LEN, memory, 4096);
}

/* Puts a segment of @n descriptors into a capsule for @sqe, and lets it arrive. */
static void segment_arrives(struct nvme_sqe *sqe, const struct nvme_keyed_sgl *descriptors,
			    unsigned n)
{
	uint32_t len = n * (uint32_t)sizeof(*descriptors);

	host_offset(sqe, HOST_SEGMENT, 0, len);
	assert_true(host_capsule(io, sqe, descriptors, len));
}

/* Four pieces of host memory, among which lie empty ones. */
static void several_pieces(void **state)
{
	static const uint32_t lens[] = { 0, 512, 0, 4096, 1024, 0, 2560, 0 };
	struct nvme_keyed_sgl descriptors[ARRAY_SIZE(lens)];
	struct nvme_sqe write = host_io(NVME_IO_WRITE, 1, 0, LEN / HOST_BLOCK);
	struct nvme_sqe read = host_io(NVME_IO_READ, 1, 0, LEN / HOST_BLOCK);
	const uint8_t *remote[PARTS];
	uint32_t offsets[PARTS], sizes[PARTS], at = 0;
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		descriptors[i] = host_descriptor(NVME_SGL_KEYED_ADDRESS, memory + i * LEN / 2,
						 lens[i], (uint32_t)(0x500 + i));
		if (!lens[i])
			continue;
		remote[n] = memory + i * LEN / 2;
		offsets[n] = at;
		sizes[n++] = lens[i];
		at += lens[i];
	}
	assert_int_equal(n, PARTS);
	segment_arrives(&write, descriptors, ARRAY_SIZE(lens));
	assert_int_equal(io->n_sent, PARTS);
	assert_int_equal(io->posts, 1);
	for (unsigned i = 0; i < PARTS; i++) {
		const uint32_t key = (uint32_t)(0x500 + (remote[i] - memory) / (LEN / 2));

		assert_sent(&io->sent[i], IBV_WR_RDMA_READ, remote[i], sizes[i], key);
		assert_int_equal(is_signalled(&io->sent[i]), i == PARTS - 1);
		assert_ptr_equal(io->sent[i].local, (char *)io->sent[0].local + offsets[i]);
	}
	assert_int_equal(host_rq(io)->reads, PARTS);
	host_complete(io, PARTS);
	assert_int_equal(host_rq(io)->reads, 0);
	assert_int_equal(host_status(io, &write), 0);
	host_complete(io, 1);
	assert_int_equal(host_rq(io)->sq_used, 0);

	/* And back, to the same places. */
	host_by_hand(io);
	segment_arrives(&read, descriptors, ARRAY_SIZE(lens));
	assert_int_equal(io->n_sent, PARTS + 1);
	assert_int_equal(io->posts, 1);
	assert_int_equal(host_rq(io)->sq_used, PARTS + 1);
	for (unsigned i = 0; i < PARTS; i++) {
		uint8_t *to = (uint8_t *)(uintptr_t)io->sent[i].wr.wr.rdma.remote_addr;

		assert_int_equal(io->sent[i].wr.opcode, IBV_WR_RDMA_WRITE);
		assert_ptr_equal(to, remote[i]);
		assert_int_equal(io->sent[i].len, sizes[i]);
		assert_false(is_signalled(&io->sent[i]));
		assert_memory_equal(to, io->sent[i].local, sizes[i]);
	}
	assert_response(&io->sent[PARTS], &read);
	host_complete(io, PARTS + 1);
	assert_int_equal(host_rq(io)->sq_used, 0);
	assert_int_equal(host_rq(io)->queue.n_busy, 0);
}

/* Linux describes room for 256 ranges whatever it sends: no more than that is ever fetched. */
static void dataset_management(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_DSM, 1, 0, 1);
	struct nvme_dsm_range *ranges = (struct nvme_dsm_range *)memory;
	struct nvme_sqe huge;

	(void)state;
	memset(memory, 0, 4096);
	ranges[0].nlb = le32(8);
	sqe.cdw10 = le32(0);
	sqe.cdw11 = le32(1 << 2); /* deallocate */
	sqe.cdw12 = le32(0);
	huge = sqe;
	host_keyed(&sqe, NVME_SGL_KEYED_ADDRESS, memory, 4096, HOST_KEY);
	assert_true(host_capsule(io, &sqe, NULL, 0));
	assert_int_equal(io->n_sent, 1);
	assert_sent(&io->sent[0], IBV_WR_RDMA_READ, memory, 4096, HOST_KEY);
	host_complete(io, 1);
	assert_int_equal(host_status(io, &sqe), 0);
	host_complete(io, 1);
	/* More than any command moves is refused, and nothing of it is fetched. */
	huge.cid = le16(0x99);
	host_keyed(&huge, NVME_SGL_KEYED_ADDRESS, memory, MAX_TRANSFER + 16, HOST_KEY);
	assert_true(host_capsule(io, &huge, NULL, 0));
	assert_int_equal(host_status(io, &huge), DNR(NVME_SC_SGL_LENGTH_INVALID));
	assert_int_equal(io->n_sent, 3);
	host_complete(io, 1);
}

/* ------------------------------------------------------------------------------------ bad capsules */

static void too_short(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_FLUSH, 1, 0, 1);

	(void)state;
	host_message(io, &sqe, sizeof(sqe) - 1, IBV_WC_SUCCESS);
	host_gone(io);
	assert_int_equal(io->n_sent, 0);
	assert_int_equal(host_receives(), HOST_RECEIVES);
	/* Nothing at all. */
	host_message(admin, &sqe, 0, IBV_WC_SUCCESS);
	host_gone(admin);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

static void too_long(void **state)
{
	struct nvme_sqe sqe = host_io(NVME_IO_FLUSH, 1, 0, 1);
	struct nvme_sqe connect = host_connect_sqe(0, 32, NVMF_CNTLID_DYNAMIC);

	(void)state;
	/* No data in capsules of admin queues (IOCCSZ is of I/O queues): the SGL is at fault. */
	host_open(fresh, 0, 32, 16);
	host_offset(&connect, NVME_SGL_DATA_OFFSET, 0, sizeof(host_connect_data));
	assert_true(host_capsule(fresh, &connect, &host_connect_data, sizeof(host_connect_data)));
	assert_int_equal(host_status(fresh, &connect), DNR(NVME_SC_SGL_LENGTH_INVALID));
	assert_int_equal(host_device(0)->held, 0);
	assert_int_equal(fresh->n_sent, 1);
	/* What the receive has no room for, the device says. */
	host_message(io, &sqe, sizeof(sqe), IBV_WC_LOC_LEN_ERR);
	host_gone(io);
	assert_int_equal(host_receives(), HOST_RECEIVES);
}

static void unknown_here(void *arg)
{
	struct fake_rnic *rnic = fake_rnic_of(host_device(0)->verbs);
	struct fake_receive *receive = &rnic->receives[rnic->receive_first++ % RDMA_RECEIVES_MAX];
	struct fake_wc wc = { .wc = { .wr_id = receive->wr_id,
				      .byte_len = 64,
				      .qp_num = *(uint32_t *)arg,
				      .opcode = IBV_WC_RECV } };

	rnic->n_receives--;
	rnic->posted[receive->wr_id >> RDMA_WORK_BITS] = false;
	fake_wc_add(rnic, &wc);
}

/* Of queue pairs that are gone: in the same list by number, and in another. */
static void unknown_queue_pairs(void **state)
{
	uint32_t numbers[] = { io->qp->qp.qp_num + 64 * FAKE_QPN_STEP, io->qp->qp.qp_num + 1, 0 };
	uint64_t before = host_device(0)->stats.receives;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		fake_on(&workers[0], unknown_here, &numbers[i]);
		host_settle();
		assert_int_equal(host_receives(), HOST_RECEIVES);
	}
	assert_int_equal(host_device(0)->stats.receives, before);
	assert_int_equal(io->n_sent, 0);
}

#define transfer_test(function) cmocka_unit_test_setup_teardown(function, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		transfer_test(a_read),
		transfer_test(no_invalidation),
		transfer_test(an_error_sends_no_data),
		transfer_test(a_write),
		transfer_test(several_pieces),
		transfer_test(dataset_management),
		transfer_test(too_short),
		transfer_test(too_long),
		transfer_test(unknown_queue_pairs),
	};

	return cmocka_run_group_tests(tests, host_group_setup, host_group_teardown);
}
