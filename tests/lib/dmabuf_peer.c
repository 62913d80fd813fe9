/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process that exports memory to sluiced (dmabuf/README.md has the protocol): for tests in a machine
 * that has udmabuf or DMA heaps. It keeps a mapping of each buffer that it gave, and when it is told to
 * end says how many of their pages hold data, which shows that they were used.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_BUFFERS = 64, PAGE = 4096 };

struct buffer {
	char *base;
	size_t size;
};

static struct buffer buffers[MAX_BUFFERS];
static unsigned n_buffers;
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

static int heap_make(const char *name, size_t size)
{
	struct dma_heap_allocation_data data = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	char path[256];
	int heap;

	snprintf(path, sizeof(path), "/dev/dma_heap/%s", name);
	heap = open(path, O_RDWR | O_CLOEXEC);
	if (heap < 0 || ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data))
		die(path);
	close(heap);
	return (int)data.fd;
}

/* Makes a buffer and keeps a mapping of it. */
static int buffer_make(const char *heap, size_t size)
{
	struct buffer *buffer = &buffers[n_buffers];
	int fd = heap ? heap_make(heap, size) : udmabuf_make(size);

	buffer->size = size;
	buffer->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (buffer->base == MAP_FAILED)
		die("mmap");
	/* Whoever gets it must not find what was in it. */
	memset(buffer->base, 0xee, size);
	n_buffers++;
	return fd;
}

static void answer(int sock, int fd, size_t size)
{
	char text[64], control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { text, (size_t)snprintf(text, sizeof(text), "{\"size\":%zu}\n", size) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = (struct cmsghdr *)control;

	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fd)),
			       .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		die("sendmsg");
}

static void serve(int sock, const char *heap)
{
	char request[256] = "";
	const char *size;
	ssize_t n = recv(sock, request, sizeof(request) - 1, 0);
	int fd;

	size = n > 0 ? strstr(request, "\"size\":") : NULL;
	if (!size || n_buffers == MAX_BUFFERS) {
		fprintf(stderr, "dmabuf-peer: not served: %s\n", request);
		return;
	}
	fd = buffer_make(heap, strtoull(size + strlen("\"size\":"), NULL, 10));
	answer(sock, fd, buffers[n_buffers - 1].size);
	close(fd);
}

/* Pages that hold something else than zeroes, which sluiced begins with. */
static size_t pages_used(void)
{
	static const char zeroes[PAGE];
	size_t used = 0;

	for (unsigned i = 0; i < n_buffers; i++)
		for (size_t at = 0; at < buffers[i].size; at += PAGE)
			used += memcmp(buffers[i].base + at, zeroes, PAGE) != 0;
	return used;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct sigaction action = { .sa_handler = on_signal };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc < 2 || argc > 3 || strlen(argv[1]) >= sizeof(address.sun_path)) {
		fprintf(stderr, "usage: dmabuf-peer SOCKET [HEAP]\n\nGives udmabufs, or memory of "
				"the DMA heap HEAP.\n");
		return 64;
	}
	strcpy(address.sun_path, argv[1]);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	unlink(argv[1]);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, MAX_BUFFERS))
		die(argv[1]);
	while (!ended) {
		int sock = accept(listener, NULL, NULL);

		if (sock < 0)
			continue;
		serve(sock, argc > 2 ? argv[2] : NULL);
		close(sock);
	}
	printf("buffers %u pages_used %zu\n", n_buffers, pages_used());
	return 0;
}
