/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/regbuf.h"

#include <errno.h>
#include <pthread.h>

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

static int answer;

static void answer_get(void)
{
	answer = kernel_ask();
}

int regbuf_probe(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, answer_get);
	return answer;
}
