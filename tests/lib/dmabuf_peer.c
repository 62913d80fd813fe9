/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process that exports memory to sluiced (dmabuf/README.md has the protocol): for tests in a
 * machine that has udmabuf, DMA heaps or the test kernel's exporter of memory that moves. It keeps
 * each buffer that it gave, and when it is told to end says how many of their pages hold data,
 * which shows that they were used, and how often they moved.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_BUFFERS = 64, PAGE = 4096, MOVE_MS = 20, LOOK_MS = 100 };

/* Of the patches in kernel/testing. */
struct dma_buf_test_create {
	uint64_t size;
	uint32_t flags;
	uint32_t access;
};

struct dma_buf_test_move {
	int32_t fd;
	uint32_t finish_ms;
};

#define DMA_BUF_TEST_DEVICE    "/dev/dma_buf_test"
#define DMA_BUF_TEST_SCATTERED (1u << 0)
#define DMA_BUF_TEST_NO_CPU    (1u << 1)
#define DMA_BUF_TEST_CREATE    _IOW('u', 0x48, struct dma_buf_test_create)
#define DMA_BUF_TEST_MOVE      _IOW('u', 0x49, struct dma_buf_test_move)

struct buffer {
	int fd;
	char *base; /* NULL: it cannot be mapped */
	size_t size;
};

/* A kind of memory, by the name that it has on the command line. */
struct kind {
	const char *name;
	int (*make)(size_t size);
	bool moves;
};

static struct buffer buffers[MAX_BUFFERS];
static unsigned n_buffers, n_moves;
static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "dmabuf-peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int udmabuf_make(size_t size)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = size };
	int memfd = memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;

	if (device < 0)
		die("/dev/udmabuf");
	if (memfd < 0 || ftruncate(memfd, (off_t)size) || fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		die("memfd");
	create.memfd = (unsigned)memfd;
	fd = ioctl(device, UDMABUF_CREATE, &create);
	if (fd < 0)
		die("UDMABUF_CREATE");
	close(device);
	close(memfd);
	return fd;
}

static int heap_make(size_t size)
{
	struct dma_heap_allocation_data data = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);

	if (heap < 0 || ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data))
		die("/dev/dma_heap/system");
	close(heap);
	return (int)data.fd;
}

static int exporter_make(size_t size, uint32_t flags)
{
	struct dma_buf_test_create create = { .size = size, .flags = flags, .access = O_RDWR };
	int device = open(DMA_BUF_TEST_DEVICE, O_RDWR | O_CLOEXEC);
	int fd = device < 0 ? -1 : ioctl(device, DMA_BUF_TEST_CREATE, &create);

	if (fd < 0)
		die(DMA_BUF_TEST_DEVICE);
	close(device);
	return fd;
}

static int moving_make(size_t size)
{
	return exporter_make(size, DMA_BUF_TEST_SCATTERED);
}

static int unmappable_make(size_t size)
{
	return exporter_make(size, DMA_BUF_TEST_NO_CPU);
}

static const struct kind kinds[] = {
	{ .name = "udmabuf", .make = udmabuf_make },
	{ .name = "heap", .make = heap_make },
	{ .name = "moving", .make = moving_make, .moves = true },
	{ .name = "unmappable", .make = unmappable_make },
	{ .name = NULL },
};

/* Makes a buffer and keeps it. */
static const struct buffer *buffer_make(const struct kind *kind, size_t size)
{
	struct buffer *buffer = &buffers[n_buffers++];

	*buffer = (struct buffer){ .fd = kind->make(size), .size = size };
	buffer->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
	/* Whoever gets it must not find what was in it. */
	if (buffer->base == MAP_FAILED)
		buffer->base = NULL;
	else
		memset(buffer->base, 0xee, size);
	return buffer;
}

/* One that is in use by a device that cannot follow stays. */
static void buffers_move(void)
{
	int device = open(DMA_BUF_TEST_DEVICE, O_RDWR | O_CLOEXEC);

	for (unsigned i = 0; i < n_buffers; i++) {
		struct dma_buf_test_move move = { .fd = buffers[i].fd };

		if (!ioctl(device, DMA_BUF_TEST_MOVE, &move))
			n_moves++;
		else if (errno != EBUSY && errno != EINTR)
			die("DMA_BUF_TEST_MOVE");
	}
	close(device);
}

static void answer(int sock, const struct buffer *buffer)
{
	char text[64], control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	int len = snprintf(text, sizeof(text), "{\"size\":%zu}\n", buffer->size);
	struct iovec iov = { text, (size_t)len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = (struct cmsghdr *)control;

	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(buffer->fd)),
			       .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &buffer->fd, sizeof(buffer->fd));
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		die("sendmsg");
}

static void serve(int sock, const struct kind *kind)
{
	char request[256] = "";
	const char *size;
	ssize_t n = recv(sock, request, sizeof(request) - 1, 0);

	size = n > 0 ? strstr(request, "\"size\":") : NULL;
	if (!size || n_buffers == MAX_BUFFERS) {
		fprintf(stderr, "dmabuf-peer: not served: %s\n", request);
		return;
	}
	answer(sock, buffer_make(kind, strtoull(size + strlen("\"size\":"), NULL, 10)));
}

/* Pages that hold something else than zeroes, which sluiced begins with. */
static size_t pages_used(void)
{
	static const char zeroes[PAGE];
	size_t used = 0;

	for (unsigned i = 0; i < n_buffers; i++)
		for (size_t at = 0; buffers[i].base && at < buffers[i].size; at += PAGE)
			used += memcmp(buffers[i].base + at, zeroes, PAGE) != 0;
	return used;
}

static void run(int listener, const struct kind *kind)
{
	struct pollfd fd = { .fd = listener, .events = POLLIN };

	while (!ended) {
		int n = poll(&fd, 1, kind->moves ? MOVE_MS : LOOK_MS);

		if (n > 0) {
			int sock = accept(listener, NULL, NULL);

			serve(sock, kind);
			close(sock);
		} else if (kind->moves) {
			buffers_move();
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct sigaction action = { .sa_handler = on_signal };
	const struct kind *kind = kinds;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	while (argc == 3 && kind->name && strcmp(kind->name, argv[2]))
		kind++;
	if (argc != 3 || !kind->name || strlen(argv[1]) >= sizeof(address.sun_path)) {
		fprintf(stderr, "usage: dmabuf-peer SOCKET udmabuf|heap|moving|unmappable\n");
		return 64;
	}
	strcpy(address.sun_path, argv[1]);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	unlink(argv[1]);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, MAX_BUFFERS))
		die(argv[1]);
	run(listener, kind);
	printf("buffers %u pages_used %zu moves %u\n", n_buffers, pages_used(), n_moves);
	return 0;
}
