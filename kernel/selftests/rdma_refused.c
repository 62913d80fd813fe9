/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "exporter.h"
#include "rdma_data.h"
#include "rdma_refused.h"
#include "selftest.h"

#define PAGE_LEN 4096U
#define SMALL_LEN (64U << 10)
#define IOVA 0x10000ULL
/* Access that has no name in older headers. */
#define ACCESS_FLUSH_GLOBAL (1U << 8)
#define ACCESS_FLUSH_PERSISTENT (1U << 9)
#define ACCESS_UNKNOWN (1U << 10)

struct refusal {
	const char *name;
	struct region_want want;	/* fd, len and iova: 0 as for all of the dma-buf */
	int rc;
};

static const struct refusal refusals[] = {
	{ "wraps in the dma-buf", { .offset = -4096ULL, .len = 8192 }, -EINVAL },
	{ "wraps in the address space", { .iova = -4096ULL, .len = 8192 }, -EINVAL },
	{ "ends a byte beyond it", { .len = SMALL_LEN + 1 }, -EINVAL },
	{ "ends a byte beyond it, in its last page", { .offset = SMALL_LEN - 1, .len = 2,
						       .iova = IOVA - 1 }, -EINVAL },
	{ "begins behind it", { .offset = SMALL_LEN, .len = 1 }, -EINVAL },
	{ "begins far behind it", { .offset = 1ULL << 40, .len = 4096 }, -EINVAL },
	{ "is as long as can be", { .len = UINT64_MAX }, -EINVAL },
	{ "offset and address are apart in a page", { .offset = 8, .len = 8 }, -EINVAL },
	{ "no descriptor", { .fd = -1 }, -EBADF },
	{ "remote write without local", { .access = IBV_ACCESS_REMOTE_WRITE }, -EINVAL },
	{ "remote atomics without local write", { .access = IBV_ACCESS_REMOTE_ATOMIC }, -EINVAL },
	{ "on demand", { .access = IBV_ACCESS_ON_DEMAND }, -EINVAL },
	{ "memory windows", { .access = IBV_ACCESS_MW_BIND }, -EINVAL },
	{ "zero based", { .access = IBV_ACCESS_ZERO_BASED }, -EINVAL },
	{ "huge pages", { .access = IBV_ACCESS_HUGETLB }, -EINVAL },
	{ "flush for all", { .access = ACCESS_FLUSH_GLOBAL }, -EINVAL },
	{ "flush to persistence", { .access = ACCESS_FLUSH_PERSISTENT }, -EINVAL },
	{ "access without a name", { .access = ACCESS_UNKNOWN }, -EINVAL },
	{ "ends where the address space does", { .iova = -4096ULL, .len = 4096 }, 0 },
	{ "the last byte", { .offset = SMALL_LEN - 1, .len = 1, .iova = IOVA - 1 }, 0 },
	{ "no access but local reads", { .access = 0 }, 0 },
	{ "relaxed order", { .access = IBV_ACCESS_RELAXED_ORDERING }, 0 },
};

static void register_check(struct rdma *rdma, const struct region_want *want, int rc,
			   const char *name)
{
	struct region region;
	int got = region_register(rdma, want, &region);

	check_eq(got, rc, "%s", name);
	if (!got)
		region_deregister(rdma, &region);
}

static void ranges_refused(struct rdma *rdma, const struct buffer *buffer)
{
	struct region_want want;
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		want = refusals[i].want;
		want.fd = want.fd ? want.fd : buffer->fd;
		want.len = want.len ? want.len : buffer->len;
		want.iova = want.iova ? want.iova : IOVA;
		register_check(rdma, &want, refusals[i].rc, refusals[i].name);
	}
	want = (struct region_want){ .fd = buffer->fd, .iova = IOVA };
	register_check(rdma, &want, -EINVAL, "no byte");
	want.len = PAGE_LEN;
	want.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	register_check(rdma, &want, -EINVAL, "no dma-buf");
	close(want.fd);
}

/* flags: EXPORTER_*, that make soft-RoCE have no use for the memory */
static void exporter_refused(struct rdma *rdma, unsigned int flags, const char *name)
{
	struct region_want want = { .len = SMALL_LEN, .iova = IOVA, .access = RDMA_ACCESS_ALL };
	struct buffer buffer;

	exporter_buffer_open(&buffer, SMALL_LEN, flags, O_RDWR);
	want.fd = buffer.fd;
	register_check(rdma, &want, -EOPNOTSUPP, name);
	check_eq(exporter_stats(&buffer).pins, 0, "%s: pins", name);
	check_released(&buffer, name);
	buffer_close(&buffer);
}

static void changes_refused(struct rdma *rdma, const struct buffer *buffer)
{
	struct region_want want = { .offset = PAGE_LEN, .len = PAGE_LEN, .iova = IOVA,
				    .access = IBV_ACCESS_LOCAL_WRITE };
	struct data data;

	data_open(&data, rdma, buffer, RDMA_ACCESS_ALL);
	check_eq(region_change(rdma, &data.region, IBV_REREG_MR_CHANGE_ACCESS, &want), -EOPNOTSUPP,
		 "other access");
	check_eq(region_change(rdma, &data.region, IBV_REREG_MR_CHANGE_PD, &want), -EOPNOTSUPP,
		 "another protection domain");
	check_eq(region_change(rdma, &data.region, IBV_REREG_MR_CHANGE_TRANSLATION, &want),
		 -EOPNOTSUPP, "another range");
	check_whole(&data, "after that");
	data_close(&data);
}

void check_refusals(struct rdma *rdma)
{
	struct buffer buffer;
	int rc = buffer_open(&buffer, BUFFER_PAGES, SMALL_LEN);

	section("what is refused");
	if (rc)
		fatal("%s: %s", buffer_kind_name(BUFFER_PAGES), result_text(rc));
	ranges_refused(rdma, &buffer);
	exporter_refused(rdma, EXPORTER_NO_CPU, "memory that the kernel cannot map");
	exporter_refused(rdma, EXPORTER_IO_MEMORY, "I/O memory");
	exporter_refused(rdma, EXPORTER_IO_MEMORY | EXPORTER_SCATTERED, "I/O memory in pieces");
	changes_refused(rdma, &buffer);
	buffer_close(&buffer);
}
