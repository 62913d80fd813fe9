/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bad requests to a registered dma-buf: each ends with its errno, and neither the dma-buf nor the
 * disk has changed after it. And requests of other kinds, which a dma-buf in the table must not
 * disturb.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftest.h"
#include "verify.h"

#define LEN (256U << 10)	/* of the dma-buf */
#define DISK_OFF (1U << 20)	/* where all requests go */
#define FRAGMENTS_MAX 1024U	/* IOV_MAX */

static struct disk disk;
static struct buffer buffer;
static struct ring ring;
static uint8_t *disk_image, *buffer_image, *scratch;

/* Both sides get contents of their own, so that whatever moves is seen. */
static void sides_fill(void)
{
	random_fill(disk_image, LEN);
	disk_write(&disk, disk_image, LEN, DISK_OFF);
	random_fill(buffer_image, LEN);
	buffer_cpu_begin(&buffer);
	memcpy(buffer.mem, buffer_image, LEN);
	buffer_cpu_end(&buffer);
}

static bool sides_unchanged(void)
{
	size_t wrong;

	buffer_cpu_begin(&buffer);
	wrong = bytes_differ(buffer.mem, buffer_image, LEN);
	buffer_cpu_end(&buffer);
	disk_read(&disk, scratch, LEN, DISK_OFF);
	return !wrong && !bytes_differ(scratch, disk_image, LEN);
}

/* The request in both directions; nothing may move. */
static void refused(struct request req, long want, const char *name)
{
	static const uint8_t plain[] = { IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED };
	static const uint8_t vectored[] = { OP_READV_FIXED, OP_WRITEV_FIXED };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		const char *direction = i ? "write" : "read";

		req.opcode = req.opcode >= OP_READV_FIXED ? vectored[i] : plain[i];
		check_eq(ring_io_again(&ring, &req), want, "%s, %s", name, direction);
	}
	if (!sides_unchanged()) {
		check(false, "%s: neither side has changed", name);
		sides_fill();
	}
}

static struct request plain_request(uint64_t addr, uint32_t len)
{
	return (struct request){ .opcode = IORING_OP_READ_FIXED, .fd = disk.fd, .off = DISK_OFF,
				 .addr = addr, .len = len };
}

static struct request vector_request(const struct iovec *fragments, unsigned int nr)
{
	return (struct request){ .opcode = OP_READV_FIXED, .fd = disk.fd, .off = DISK_OFF,
				 .addr = (uintptr_t)fragments, .len = nr };
}

static void places(void)
{
	section("places in the dma-buf");
	refused(plain_request(LEN, 4096), -EFAULT, "behind the end");
	refused(plain_request(LEN - 512, 4096), -EFAULT, "over the end");
	refused(plain_request(0, LEN + 512), -EFAULT, "longer than the dma-buf");
	refused(plain_request(-512ULL, 4096), -EFAULT, "place and length wrap around");
	refused(plain_request(-1ULL, 512), -EFAULT, "the last byte there could be");
	refused(plain_request(1ULL << 32, 4096), -EFAULT, "bit 32 of the place");
	refused(plain_request(1ULL << 63, 4096), -EFAULT, "bit 63 of the place");
	refused(plain_request((uintptr_t)buffer.mem, 4096), -EFAULT, "address of the mapping");
	refused(plain_request(0, UINT_MAX), -EFAULT, "length 2^32 - 1");
	refused(plain_request(0, 1U << 31), -EFAULT, "length 2^31");
	refused(plain_request(0, INT_MAX - 511), -EFAULT, "length just below 2^31");
	refused(plain_request(0, 0), 0, "length 0");
}

static void alignments(void)
{
	struct request req;

	section("alignment");
	refused(plain_request(1, 4096), -EINVAL, "at 1");
	refused(plain_request(2, 4096), -EINVAL, "at 2");
	refused(plain_request(4095, 4096), -EINVAL, "at 4095");
	refused(plain_request(0, 1), -EINVAL, "1 byte");
	refused(plain_request(0, 4), -EINVAL, "4 bytes");
	refused(plain_request(0, 511), -EINVAL, "511 bytes");
	refused(plain_request(0, 1000), -EINVAL, "1000 bytes");
	refused(plain_request(0, 4097), -EINVAL, "4097 bytes");
	req = plain_request(0, 4096);
	req.off = DISK_OFF + 4;
	refused(req, -EINVAL, "off a block on the disk");
	req.off = 1ULL << 63;
	refused(req, -EINVAL, "a negative place on the disk");
}

static void slots(void)
{
	struct request req = plain_request(0, 4096);
	struct iovec one = fragment(0, 4096);
	struct request vector = vector_request(&one, 1);

	section("slots");
	req.slot = vector.slot = 1;
	refused(req, -EFAULT, "empty slot");
	refused(vector, -EFAULT, "empty slot, vectored");
	req.slot = vector.slot = 2;
	refused(req, -EFAULT, "behind the table");
	refused(vector, -EFAULT, "behind the table, vectored");
	req.slot = UINT16_MAX;
	refused(req, -EFAULT, "last slot there could be");
}

static void vectors(void)
{
	struct iovec many[FRAGMENTS_MAX + 1], v[3] = { fragment(0, 4096) };
	struct request req;
	unsigned int i;

	section("vectors");
	v[1] = fragment(LEN - 4, 4096);
	refused(vector_request(v, 2), -EFAULT, "the second over the end");
	v[1] = fragment(LEN, 512);
	refused(vector_request(v, 2), -EFAULT, "the second behind the end");
	v[1] = fragment(-512ULL, 4096);
	refused(vector_request(v, 2), -EFAULT, "the second wraps around");
	v[1] = fragment(1ULL << 32, 4096);
	refused(vector_request(v, 2), -EFAULT, "bit 32 of the second's place");
	v[1] = fragment(4096, 1ULL << 32);
	refused(vector_request(v, 2), -EFAULT, "the second of 4 GiB");
	v[1] = fragment(8192, 0);
	refused(vector_request(v, 2), -EFAULT, "the second empty");
	v[2] = v[0];
	refused(vector_request(v + 1, 2), -EFAULT, "the first empty");
	v[2] = v[1];
	refused(vector_request(v + 1, 2), -EFAULT, "all empty");
	v[1] = fragment((uintptr_t)buffer.mem, 4096);
	refused(vector_request(v, 2), -EFAULT, "address of the mapping");
	refused(vector_request((const struct iovec *)8, 2), -EFAULT, "bad address of the vector");

	v[1] = fragment(8194, 4096);
	refused(vector_request(v, 2), -EINVAL, "the second at 2 of 4");
	v[1] = fragment(8193, 4096);
	refused(vector_request(v, 2), -EINVAL, "the second at an odd place");
	v[0] = fragment(0, 4094);
	v[1] = fragment(8192, 4098);
	refused(vector_request(v, 2), -EINVAL, "lengths of 2 of 4");
	v[0] = fragment(0, 4095);
	v[1] = fragment(8192, 4097);
	refused(vector_request(v, 2), -EINVAL, "odd lengths");
	v[0] = fragment(0, 4096);
	v[1] = fragment(8192, 4);
	refused(vector_request(v, 2), -EINVAL, "not a whole number of blocks");
	v[0] = fragment(0, disk.limits.block_len / 2);
	refused(vector_request(v, 1), -EINVAL, "half a block");

	for (i = 0; i <= FRAGMENTS_MAX; i++)
		many[i] = fragment(0, 512);
	refused(vector_request(many, FRAGMENTS_MAX + 1), -EINVAL, "1025 fragments");
	req = vector_request(many, UINT_MAX);
	check_either(ring_io(&ring, &req), -EINVAL, -ENOMEM, "2^32 - 1 fragments");
	refused(vector_request(many, 0), 0, "no fragment");
}

/*
 * Fragments of a dword with gaps between them: a command may have so few of them that it cannot
 * hold a block. Then the request cannot be split and is refused.
 */
static void segments(void)
{
	const struct disk_limits *limits = &disk.limits;
	bool fits = (uint64_t)limits->segments_max * 4 >= limits->block_len && !limits->boundary;
	struct iovec many[FRAGMENTS_MAX];
	struct request req;
	unsigned int i;

	section("segments: %u a command", limits->segments_max);
	for (i = 0; i < FRAGMENTS_MAX; i++)
		many[i] = fragment(64 * i, 4);
	req = vector_request(many, FRAGMENTS_MAX);
	if (fits) {
		check_eq(ring_io_again(&ring, &req), 4096, "1024 fragments of 4 bytes");
		sides_fill();
	} else {
		refused(req, -EINVAL, "1024 fragments of 4 bytes");
	}
}

static void other_files(const char *other)
{
	struct iovec one = fragment(0, 4096);
	struct request req = plain_request(0, 4096), vector = vector_request(&one, 1);
	int fd;

	section("files");
	req.fd = vector.fd = disk.plain_fd;
	refused(req, -EBADF, "another open of the disk");
	refused(vector, -EBADF, "another open of the disk, vectored");
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	req.fd = vector.fd = fd;
	refused(req, -EBADF, "/dev/null");
	refused(vector, -EBADF, "/dev/null, vectored");
	close(fd);
	fd = memfd_create("selftest", MFD_CLOEXEC);
	req.fd = vector.fd = fd;
	refused(req, -EBADF, "a memfd");
	refused(vector, -EBADF, "a memfd, vectored");
	close(fd);
	req.fd = vector.fd = buffer.fd;
	check_either(ring_io(&ring, &req), -EBADF, -EINVAL, "the dma-buf itself");
	req.fd = fd;
	refused(req, -EBADF, "closed descriptor");
	if (other) {
		fd = open(other, O_RDONLY | O_DIRECT | O_CLOEXEC);
		req.fd = vector.fd = fd;
		check_eq(ring_io(&ring, &req), -EBADF, "another device");
		check_eq(ring_io(&ring, &vector), -EBADF, "another device, vectored");
		close(fd);
	}

	fd = dup(disk.fd);
	req.fd = vector.fd = fd;
	check_eq(ring_io_again(&ring, &req), 4096, "duplicate of the target");
	check_eq(ring_io_again(&ring, &vector), 4096, "duplicate of the target, vectored");
	check_eq(ring_register(&ring, IORING_REGISTER_FILES, &fd, 1), 0, "registered as a file");
	close(fd);
	req.fd = vector.fd = 0;
	req.sqe_flags = vector.sqe_flags = IOSQE_FIXED_FILE;
	check_eq(ring_io_again(&ring, &req), 4096, "registered file");
	check_eq(ring_io_again(&ring, &vector), 4096, "registered file, vectored");
	ring_register(&ring, IORING_UNREGISTER_FILES, NULL, 0);
	sides_fill();
}

static void direct_taken_off(void)
{
	int flags = fcntl(disk.fd, F_GETFL);
	struct iovec one = fragment(0, 4096);
	struct request req = plain_request(0, 4096);

	section("O_DIRECT taken off after the registration");
	if (fcntl(disk.fd, F_SETFL, flags & ~O_DIRECT))
		fatal("fcntl(): %s", result_text(-errno));
	refused(req, -EINVAL, "plain");
	refused(vector_request(&one, 1), -EINVAL, "vectored");
	fcntl(disk.fd, F_SETFL, flags);
	check_eq(ring_io_again(&ring, &req), 4096, "on again");
	sides_fill();
}

/* A read is cut short at the end of the disk and touches nothing of the dma-buf behind that. */
static void disk_end(void)
{
	uint32_t block = disk.limits.block_len;
	struct request req = plain_request(0, 16384);
	struct iovec two[2] = { fragment(0, 8192), fragment(16384, 8192) };
	struct request vector = vector_request(two, 2);
	unsigned int i;

	section("end of the disk");
	req.off = vector.off = disk.len - 4096;
	for (i = 0; i < 2; i++) {
		struct request *which = i ? &vector : &req;
		const char *name = i ? "vectored" : "plain";

		check_eq(ring_io_again(&ring, which), 4096, "read over it, %s", name);
		memcpy(buffer_image, buffer.mem, 4096);
		check(sides_unchanged(), "read over it, %s: the rest of the dma-buf", name);
		which->opcode = i ? OP_WRITEV_FIXED : IORING_OP_WRITE_FIXED;
		check_either(ring_io_again(&ring, which), 4096, -ENOSPC, "write over it, %s", name);
	}
	req = plain_request(0, 4096);
	req.off = disk.len;
	check_eq(ring_io_again(&ring, &req), 0, "read behind it");
	req.off = disk.len + block;
	check_eq(ring_io_again(&ring, &req), 0, "read far behind it");
	req.opcode = IORING_OP_WRITE_FIXED;
	check_eq(ring_io_again(&ring, &req), -ENOSPC, "write behind it");
	check(sides_unchanged(), "neither side has changed");
	sides_fill();
}

static void flags(void)
{
	struct request req = plain_request(0, 4096);
	unsigned int i;

	section("flags of requests");
	req.rw_flags = RWF_NOWAIT;
	check_either(ring_io(&ring, &req), 4096, -EAGAIN, "RWF_NOWAIT");
	req.len = LEN;
	check_either(ring_io(&ring, &req), LEN, -EAGAIN, "RWF_NOWAIT, several commands");
	sides_fill();
	req = plain_request(0, 4096);
	req.rw_flags = 1U << 31;
	refused(req, -EOPNOTSUPP, "unknown flag");
	req.rw_flags = 0;
	req.sqe_flags = IOSQE_BUFFER_SELECT;
	refused(req, -EOPNOTSUPP, "IOSQE_BUFFER_SELECT");
	req.sqe_flags = IOSQE_ASYNC;
	check_eq(ring_io_again(&ring, &req), 4096, "IOSQE_ASYNC");
	for (i = 0; i < 2; i++) {
		req = plain_request(8192, 4096);
		req.opcode = IORING_OP_WRITE_FIXED;
		req.rw_flags = i ? RWF_DSYNC : RWF_SYNC;
		check_eq(ring_io_again(&ring, &req), 4096, i ? "RWF_DSYNC" : "RWF_SYNC");
		disk_read(&disk, scratch, 4096, DISK_OFF);
		check(!bytes_differ(scratch, buffer.mem + 8192, 4096), "and it is on the disk");
		sides_fill();
	}
}

/* A connected socket that drops what is sent. */
static int socket_open(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fatal("a socket on loopback: %s", result_text(-errno));
	return fd;
}

/* A zero-copy send may post a second completion, which says that the memory is free again. */
static void send_refused(uint8_t opcode, const char *name)
{
	struct iovec one = fragment(0, 512);
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1 };
	struct completion done = { };
	int fd = socket_open(), rc;
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->ioprio = IORING_RECVSEND_FIXED_BUF;
	sqe->len = 512;
	if (opcode == OP_SENDMSG_ZC) {
		sqe->addr = (uintptr_t)&message;
		sqe->len = 1;
	}
	ring_submit(&ring);
	rc = ring_wait(&ring, &done, COMPLETION_MS_MAX);
	check_eq(rc ? rc : done.res, -EFAULT, "%s", name);
	if (!rc && done.flags & IORING_CQE_F_MORE)
		check_eq(ring_wait(&ring, &done, COMPLETION_MS_MAX), 0, "%s: the notification",
			 name);
	close(fd);
}

/* What knows nothing of dma-bufs refuses one, or goes its old way. */
static void other_opcodes(void)
{
	struct request req = { .fd = disk.fd, .off = DISK_OFF, .len = 4096 };
	struct iovec iov = { .iov_base = scratch, .iov_len = 4096 };

	section("other operations");
	send_refused(OP_SEND_ZC, "SEND_ZC");
	send_refused(OP_SENDMSG_ZC, "SENDMSG_ZC");
	req.opcode = IORING_OP_READ;
	req.addr = (uintptr_t)scratch;
	memset(scratch, 0, 4096);
	check_eq(ring_io(&ring, &req), 4096, "READ");
	check(!bytes_differ(scratch, disk_image, 4096), "and its data");
	req.opcode = IORING_OP_READV;
	req.addr = (uintptr_t)&iov;
	req.len = 1;
	memset(scratch, 0, 4096);
	check_eq(ring_io(&ring, &req), 4096, "READV");
	check(!bytes_differ(scratch, disk_image, 4096), "and its data");
	req.opcode = IORING_OP_READ;
	req.addr = 8;
	req.len = 4096;
	check_eq(ring_io(&ring, &req), -EFAULT, "READ to a place of the dma-buf");
	check(sides_unchanged(), "neither side has changed");
}

static void links(void)
{
	struct request first = plain_request(2, 4096), second = plain_request(0, 4096);
	struct completion done[2] = { };
	unsigned int i;

	section("links");
	first.sqe_flags = IOSQE_IO_LINK;
	first.id = 1;
	second.id = 2;
	ring_prepare(&ring, &first);
	ring_prepare(&ring, &second);
	ring_submit(&ring);
	for (i = 0; i < 2; i++)
		if (ring_wait(&ring, &done[i], COMPLETION_MS_MAX))
			fatal("links: no completion");
	check_eq(done[0].res, -EINVAL, "a bad request at the head of a chain");
	check_eq(done[1].res, -ECANCELED, "the one that follows it");
	check(sides_unchanged(), "neither side has changed");
}

int main(int argc, char **argv)
{
	int rc;

	selftest_start();
	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: requests DEVICE [OTHER]\n\n"
			"DEVICE: an NVMe block device, whose content is destroyed. OTHER: any\n"
			"other block device; only opened, to read.\n");
		return 2;
	}
	ring_require_dmabuf();
	disk_open(&disk, argv[1]);
	disk_image = plain_alloc(LEN);
	buffer_image = plain_alloc(LEN);
	scratch = plain_alloc(LEN);
	rc = buffer_open(&buffer, BUFFER_PAGES, LEN);
	if (!rc)
		rc = ring_open(&ring, 8, 0);
	if (!rc)
		rc = ring_table(&ring, 2);
	if (rc)
		fatal("set-up: %s", result_text(rc));
	rc = ring_register_dmabuf(&ring, 0, buffer.fd, disk.fd);
	if (rc != 1)
		fatal("registration of a dma-buf for %s: %s", disk.path, result_text(rc));
	sides_fill();
	places();
	alignments();
	slots();
	vectors();
	segments();
	other_files(argc == 3 ? argv[2] : NULL);
	direct_taken_off();
	disk_end();
	flags();
	other_opcodes();
	links();
	check_eq(ring_clear(&ring, 0), 1, "unregister");
	ring_close(&ring);
	buffer_close(&buffer);
	disk_close(&disk);
	free(disk_image);
	free(buffer_image);
	free(scratch);
	return selftest_end();
}
