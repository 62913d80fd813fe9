/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many requests in flight, from rings of each sort and several threads, while the registration, its
 * descriptors, the ring or the process go away: every request ends, and every byte is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "selftest.h"
#include "verify.h"

#define KIB 1024U
#define MIB (1024U * KIB)
#define BUFFER_LEN (16 * MIB)
#define DISK_OFF (64 * MIB)
#define IN_FLIGHT 32U
#define IO_LEN (64 * KIB)
#define ROUNDS 4U
#define REPEATS 10U
#define TAG 0x7a67ULL

/* 5.19 and 6.0; a header may not have them. */
#define SETUP_COOP_TASKRUN (1U << 8)
#define SETUP_SINGLE_ISSUER (1U << 12)
#define SETUP_DEFER_TASKRUN (1U << 13)

static struct disk disk;
static struct buffer buffer, second;
static long attachments;	/* of the machine before the test; negative: not known */
static const char *const forms[] = { "plain", "vectored" };

struct ring_sort {
	const char *name;
	unsigned int flags;
	bool fixed_file;
};

static const struct ring_sort sorts[] = {
	{ "ordinary ring", 0, false },
	{ "registered files", 0, true },
	{ "COOP_TASKRUN", SETUP_COOP_TASKRUN, false },
	{ "DEFER_TASKRUN", SETUP_DEFER_TASKRUN | SETUP_SINGLE_ISSUER, false },
	{ "SQPOLL", IORING_SETUP_SQPOLL, false },
	{ "SQPOLL, registered files", IORING_SETUP_SQPOLL, true },
};

#define SORTS (sizeof(sorts) / sizeof(sorts[0]))

static struct load load_of(const struct ring_sort *sort)
{
	return (struct load){ .disk = &disk, .buffer = &buffer, .setup_flags = sort->flags,
			      .fixed_file = sort->fixed_file, .disk_off = DISK_OFF };
}

static void each_sort(void)
{
	struct load load;
	unsigned int i;
	int rc;

	section("64 in flight, plain and vectored mixed");
	for (i = 0; i < SORTS; i++) {
		load = load_of(&sorts[i]);
		load.seed = i + 1;
		rc = load_open(&load);
		if (rc)
			fatal("%s: %s", sorts[i].name, result_text(rc));
		load_run(&load, ROUNDS);
		check_load(&load, sorts[i].name);
		load_close(&load);
	}
	load = load_of(&sorts[0]);
	load.depth = LOAD_DEPTH_MAX;
	load.lane_len = 32 * KIB;
	rc = load_open(&load);
	if (rc)
		fatal("256 in flight: %s", result_text(rc));
	load_run(&load, ROUNDS);
	check_load(&load, "256 in flight");
	load_close(&load);
}

/* One dma-buf, one disk, a ring of each sort, each in a thread. */
static void all_at_once(void)
{
	struct load loads[SORTS];
	unsigned int i;
	int rc;

	section("%zu rings in %zu threads on one dma-buf", SORTS, SORTS);
	for (i = 0; i < SORTS; i++) {
		loads[i] = load_of(&sorts[i]);
		loads[i].seed = 100 + i;
		loads[i].depth = 32;
		loads[i].lane_len = 32 * KIB;
		loads[i].buffer_off = i * 2 * MIB;
		loads[i].disk_off = DISK_OFF + i * 1 * MIB;
		rc = load_thread_start(&loads[i]);
		if (rc)
			fatal("%s: %s", sorts[i].name, result_text(rc));
	}
	for (i = 0; i < SORTS; i++)
		check(load_progress_wait(&loads[i], 300), "%s: goes on", sorts[i].name);
	for (i = 0; i < SORTS; i++) {
		load_thread_join(&loads[i]);
		check_load(&loads[i], sorts[i].name);
		load_close(&loads[i]);
	}
}

/*
 * The same dma-buf is put in the slot over and over while requests look it up. Only the ring's
 * descriptor is used here, never its memory.
 */
static void replaced_under_load(void)
{
	struct load load = load_of(&sorts[0]);
	unsigned int i;
	int rc = load_thread_start(&load);

	section("replaced while requests look it up");
	if (rc)
		fatal("a load: %s", result_text(rc));
	load_progress_wait(&load, 1);
	for (i = 0, rc = 1; i < 200 && rc == 1; i++)
		rc = ring_register_dmabuf(&load.ring, 0, buffer.fd, disk.fd);
	check_eq(rc, 1, "registered again and again");
	check(load_progress_wait(&load, 100), "goes on");
	load_thread_join(&load);
	check_load(&load, "under load");
	load_close(&load);
}

/* Both descriptors are closed; the requests name registered files. */
static void descriptors_closed(void)
{
	struct load load = load_of(&sorts[1]);
	struct buffer own;
	int fd = open(disk.path, O_RDWR | O_DIRECT | O_CLOEXEC);
	int rc = buffer_open(&own, BUFFER_PAGES, BUFFER_LEN);

	section("descriptors closed during I/O");
	if (rc || fd < 0)
		fatal("a dma-buf and the disk once more: %s", result_text(rc));
	load.buffer = &own;
	load.fd = fd;
	rc = load_thread_start(&load);
	if (rc)
		fatal("a load: %s", result_text(rc));
	load_progress_wait(&load, 10);
	close(own.fd);
	close(fd);
	check(load_progress_wait(&load, 300), "goes on");
	load_thread_join(&load);
	check_load(&load, "without descriptors");
	load_close(&load);
	own.fd = -1;
	buffer_close(&own);
}

/* Requests over the dma-buf's first 2 MiB and the disk's range, one IO_LEN each, the id counts. */
static void batch_queue(struct ring *ring, bool write, bool vectored)
{
	static struct iovec pieces[IN_FLIGHT][4];
	unsigned int i, j;

	for (i = 0; i < IN_FLIGHT; i++) {
		uint64_t pos = (uint64_t)i * IO_LEN;
		struct request req = { .fd = disk.fd, .off = DISK_OFF + pos, .addr = pos,
				       .len = IO_LEN, .id = i };

		req.opcode = write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
		if (vectored) {
			for (j = 0; j < 4; j++)
				pieces[i][j] = fragment(pos + j * (IO_LEN / 4), IO_LEN / 4);
			req.opcode = write ? OP_WRITEV_FIXED : OP_READV_FIXED;
			req.addr = (uintptr_t)pieces[i];
			req.len = 4;
		}
		ring_prepare(ring, &req);
	}
	if (ring_submit(ring) != IN_FLIGHT)
		fatal("to submit %u requests", IN_FLIGHT);
}

struct batch_result {
	unsigned int full;	/* requests that moved all */
	unsigned int after_tag;	/* completions after the tag */
	unsigned int tags;
	long error;		/* the first other result */
};

static struct batch_result batch_wait(struct ring *ring, unsigned int nr)
{
	struct batch_result out = { };
	struct completion done;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		int rc = ring_wait(ring, &done, COMPLETION_MS_MAX);

		if (rc) {
			out.error = rc;
			break;
		}
		out.after_tag += out.tags;
		if (done.id == TAG)
			out.tags++;
		else if (done.res == (int)IO_LEN)
			out.full++;
		else if (!out.error)
			out.error = done.res ? done.res : -ENODATA;
	}
	return out;
}

static void ring_registered(struct ring *ring, unsigned int setup_flags)
{
	struct regbuf_desc desc = { .type = REGBUF_DMABUF, .dmabuf_fd = buffer.fd,
				    .target_fd = disk.fd };
	uint64_t tag = TAG;
	int rc = ring_open(ring, 64, setup_flags);

	if (!rc)
		rc = ring_table(ring, 1);
	if (!rc)
		rc = ring_update(ring, 0, UPDATE_EXTENDED, &desc, 1, &tag) - 1;
	if (rc)
		fatal("a ring with a dma-buf: %s", result_text(rc));
}

/*
 * What is in flight keeps the registration: it all completes, with the data of the dma-buf that
 * it was issued for, and the tag comes after.
 */
static void gone_in_flight(bool replace, bool vectored, unsigned int setup_flags, const char *name)
{
	uint8_t *want = plain_alloc(IN_FLIGHT * IO_LEN), *got = plain_alloc(IN_FLIGHT * IO_LEN);
	unsigned int i, write, bad_results = 0, late = 0, missing = 0;
	size_t wrong = 0;
	struct ring ring;

	for (i = 0; i < REPEATS; i++) {
		struct batch_result out;

		write = i & 1;
		ring_registered(&ring, setup_flags);
		random_fill(want, IN_FLIGHT * IO_LEN);
		memset(second.mem, 0x55, second.len);
		if (write) {
			memcpy(buffer.mem, want, IN_FLIGHT * IO_LEN);
		} else {
			memset(buffer.mem, 0xa5, IN_FLIGHT * IO_LEN);
			disk_write(&disk, want, IN_FLIGHT * IO_LEN, DISK_OFF);
		}
		batch_queue(&ring, write, vectored);
		if (setup_flags & IORING_SETUP_SQPOLL)
			while (__atomic_load_n(ring.sq_head, __ATOMIC_ACQUIRE) != *ring.sq_tail)
				sleep_ms(1);
		if (replace)
			ring_register_dmabuf(&ring, 0, second.fd, disk.fd);
		else
			ring_clear(&ring, 0);
		out = batch_wait(&ring, IN_FLIGHT + 1);
		bad_results += out.full != IN_FLIGHT || out.error;
		late += out.after_tag;
		missing += out.tags != 1;
		disk_read(&disk, got, IN_FLIGHT * IO_LEN, DISK_OFF);
		wrong += bytes_differ(got, want, IN_FLIGHT * IO_LEN);
		wrong += bytes_differ(buffer.mem, want, IN_FLIGHT * IO_LEN);
		ring_close(&ring);
	}
	check_eq(bad_results, 0, "%s, %s: rounds with a request that failed", name,
		 forms[vectored]);
	check_eq((long)wrong, 0, "%s, %s: wrong bytes", name, forms[vectored]);
	check_eq(missing, 0, "%s, %s: rounds without the tag", name, forms[vectored]);
	check_eq(late, 0, "%s, %s: completions after the tag", name, forms[vectored]);
	free(want);
	free(got);
}

static void registration_gone(void)
{
	unsigned int form;

	section("registration gone with %u requests in flight", IN_FLIGHT);
	for (form = 0; form < 2; form++) {
		gone_in_flight(false, form, 0, "unregistered");
		gone_in_flight(true, form, 0, "replaced");
		gone_in_flight(false, form, IORING_SETUP_SQPOLL, "unregistered, SQPOLL");
	}
}

/* A write and a read of what it wrote to another place, linked, many chains at a time. */
static void links(void)
{
	struct completion done;
	unsigned int i, failed = 0;
	struct ring ring;
	size_t wrong;

	section("links");
	ring_registered(&ring, 0);
	random_fill(buffer.mem, IN_FLIGHT * IO_LEN);
	memset(buffer.mem + IN_FLIGHT * IO_LEN, 0xa5, IN_FLIGHT * IO_LEN);
	for (i = 0; i < IN_FLIGHT; i++) {
		uint64_t pos = (uint64_t)i * IO_LEN;
		struct request req = { .opcode = IORING_OP_WRITE_FIXED, .fd = disk.fd,
				       .off = DISK_OFF + pos, .addr = pos, .len = IO_LEN,
				       .sqe_flags = IOSQE_IO_LINK };

		ring_prepare(&ring, &req);
		req.opcode = IORING_OP_READ_FIXED;
		req.addr += IN_FLIGHT * IO_LEN;
		req.sqe_flags = 0;
		ring_prepare(&ring, &req);
	}
	ring_submit(&ring);
	for (i = 0; i < 2 * IN_FLIGHT; i++)
		failed += ring_wait(&ring, &done, COMPLETION_MS_MAX) || done.res != (int)IO_LEN;
	check_eq(failed, 0, "requests of %u chains that failed", IN_FLIGHT);
	wrong = bytes_differ(buffer.mem, buffer.mem + IN_FLIGHT * IO_LEN, IN_FLIGHT * IO_LEN);
	check_eq((long)wrong, 0, "bytes that the second of a chain read wrong");
	ring_close(&ring);
}

/* Each block is wholly the old one or wholly the new one; how many are neither. */
static size_t blocks_torn(const uint8_t *got, const uint8_t *new, uint8_t old, size_t len)
{
	unsigned int block = disk.limits.block_len;
	uint8_t *was = plain_alloc(block);
	size_t torn = 0, i;

	memset(was, old, block);
	for (i = 0; i < len; i += block)
		torn += memcmp(got + i, new + i, block) && memcmp(got + i, was, block);
	free(was);
	return torn;
}

/*
 * Ring and dma-buf are closed right after the submission. What the disk still writes must go to the
 * memory of old, not to whoever has it next: fresh memory is watched meanwhile.
 */
static void ring_closed(bool write, bool vectored)
{
	size_t len = IN_FLIGHT * IO_LEN;
	uint8_t *want = plain_alloc(len), *got = plain_alloc(len);
	size_t torn = 0, stray = 0, i;
	struct buffer fresh;

	for (i = 0; i < REPEATS; i++) {
		struct buffer kept = buffer;
		struct ring ring;

		if (buffer_open(&buffer, BUFFER_PAGES, len))
			fatal("a udmabuf");
		random_fill(want, len);
		memset(got, 0xee, len);
		disk_write(&disk, write ? got : want, len, DISK_OFF);
		memset(buffer.mem, 0xa5, len);
		if (write)
			memcpy(buffer.mem, want, len);
		ring_registered(&ring, 0);
		batch_queue(&ring, write, vectored);
		ring_close(&ring);
		buffer_close(&buffer);
		buffer = kept;
		if (buffer_open(&fresh, BUFFER_PAGES, len))
			fatal("a udmabuf");
		memset(fresh.mem, 0x3c, len);
		attachments_wait(attachments);
		memset(got, 0x3c, len);
		stray += bytes_differ(fresh.mem, got, len);
		buffer_close(&fresh);
		disk_read(&disk, got, len, DISK_OFF);
		torn += blocks_torn(got, want, 0xee, len);
	}
	check_eq((long)torn, 0, "%s %s: blocks on the disk neither old nor new", forms[vectored],
		 write ? "writes" : "reads");
	check_eq((long)stray, 0, "%s %s: bytes of other memory that changed", forms[vectored],
		 write ? "writes" : "reads");
	if (attachments >= 0)
		check_eq(attachments_wait(attachments) - attachments, 0, "attachments left");
	free(want);
	free(got);
}

static void rings_closed(void)
{
	unsigned int i;

	section("ring closed with %u requests in flight", IN_FLIGHT);
	for (i = 0; i < 4; i++)
		ring_closed(i & 1, i & 2);
}

/*
 * Another process runs the load, whose lanes always have a request each in flight, and is killed
 * once that many have completed. The load is in shared memory, so that this is seen here.
 */
static void load_killed(struct load *load, unsigned int requests)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		fatal("fork(): %s", result_text(-errno));
	if (child == 0) {
		if (load_open(load))
			_exit(1);
		load_run(load, 0);
		_exit(1);
	}
	check(load_progress_wait(load, requests), "I/O is under way, %u requests", requests);
	kill(child, SIGKILL);
	check(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "killed under I/O");
	check(!load->errors && !load->errors_plain && !load->wrong, "no error until then");
}

/* Killed, so that nothing is given back in order. */
static void process_killed(void)
{
	struct load load, *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i;
	int rc;

	section("process killed with I/O in flight");
	if (shared == MAP_FAILED)
		fatal("shared memory: %s", result_text(-errno));
	fflush(stdout);
	for (i = 0; i < 3; i++) {
		*shared = load_of(&sorts[0]);
		shared->seed = i + 1;
		load_killed(shared, 100 + 300 * i);
	}
	munmap(shared, sizeof(*shared));
	if (attachments >= 0)
		check_eq(attachments_wait(attachments) - attachments, 0, "attachments left");
	load = load_of(&sorts[0]);
	load.depth = 16;
	rc = load_open(&load);
	if (rc)
		fatal("a load afterwards: %s", result_text(rc));
	load_run(&load, ROUNDS);
	check_load(&load, "a load afterwards");
	load_close(&load);
}

int main(int argc, char **argv)
{
	int rc;

	selftest_start();
	if (argc != 2) {
		fprintf(stderr, "usage: parallel DEVICE\n\n"
			"DEVICE: an NVMe block device, or one that is made of such, of 128 MiB or\n"
			"more, whose content is destroyed.\n");
		return 2;
	}
	ring_require_dmabuf();
	disk_open(&disk, argv[1]);
	attachments = attachments_count();
	rc = buffer_open(&buffer, BUFFER_SCATTERED, BUFFER_LEN);
	if (!rc)
		rc = buffer_open(&second, BUFFER_PAGES, 4 * MIB);
	if (rc)
		fatal("set-up: %s", result_text(rc));
	each_sort();
	all_at_once();
	replaced_under_load();
	descriptors_closed();
	registration_gone();
	links();
	rings_closed();
	process_killed();
	buffer_close(&buffer);
	buffer_close(&second);
	disk_close(&disk);
	return selftest_end();
}
