/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/regbuf.h"

#include <errno.h>

int regbuf_update(struct io_uring *ring, unsigned index, const struct regbuf_desc *desc)
{
	struct io_uring_rsrc_update2 update = {
		.offset = index,
		.resv = REGBUF_UPDATE_EXTENDED,
		.data = (uintptr_t)desc,
		.nr = 1,
	};
	int rc = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_BUFFERS_UPDATE, &update,
				   sizeof(update));

	return rc < 0 ? rc : 0;
}

/* An empty descriptor is the least that a kernel can accept which knows them. */
static int kernel_ask(void)
{
	const struct regbuf_desc empty = { .type = REGBUF_EMPTY };
	struct io_uring ring;
	int rc = io_uring_queue_init(1, &ring, 0);

	if (rc)
		return rc;
	rc = io_uring_register_buffers_sparse(&ring, 1);
	if (!rc)
		rc = regbuf_update(&ring, 0, &empty);
	io_uring_queue_exit(&ring);
	return rc == -EINVAL ? -EOPNOTSUPP : rc;
}

int regbuf_probe(void)
{
	enum { NOT_KNOWN = 1 };
	static int known = NOT_KNOWN;
	int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (answer != NOT_KNOWN)
		return answer;
	/* Several threads may ask at a time; they get the same answer. */
	answer = kernel_ask();
	if (!answer || answer == -EOPNOTSUPP)
		__atomic_store_n(&known, answer, __ATOMIC_RELAXED);
	return answer;
}
