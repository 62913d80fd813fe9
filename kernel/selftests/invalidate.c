/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The exporter moves the memory of a registered dma-buf: what is mapped must be given up when it does,
 * and only when no I/O uses it; the next I/O has to find the new memory, once its content is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffers.h"
#include "disk.h"
#include "exporter.h"
#include "load.h"
#include "ring.h"
#include "selftest.h"
#include "verify.h"

enum {
	BUFFER_LEN = 8 << 20,
	TRANSFER_LEN = 256 << 10,
	IDLE_MOVES = 8,
	LOAD_MS = 3000,
	PACED_MOVES = 20,
	PACE_REQUESTS = 64,	/* the depth of a load: all lanes have been round the corner */
	RACES = 20,
	RACE_DEPTH = 64,
	RACE_LEN = 32 << 10,
	QUIET_MS = 300,		/* in which a request that may not complete does not */
	/*
	 * Longer than anything that waits for nobody takes under emulation, on a busy machine, and
	 * shorter than what is left of a move that was begun a moment before.
	 */
	PROMPT_MS = 8000,
};

/* A ring with the dma-buf in slot 0 and what verifies transfers with it. */
struct bench {
	const struct disk *disk;
	struct buffer buffer;
	struct ring ring;
	struct verify verify;
};

static void bench_ring_open(struct bench *bench)
{
	int rc = ring_open(&bench->ring, RACE_DEPTH, 0);

	if (!rc)
		rc = ring_table(&bench->ring, 1);
	if (rc)
		fatal("a ring: %s", result_text(rc));
}

static void bench_open(struct bench *bench, const struct disk *disk, unsigned int flags)
{
	*bench = (struct bench){ .disk = disk };
	exporter_buffer_open(&bench->buffer, BUFFER_LEN, flags, O_RDWR);
	bench_ring_open(bench);
	verify_init(&bench->verify, &bench->ring, disk, &bench->buffer, TRANSFER_LEN);
}

static bool bench_register(struct bench *bench, const char *name)
{
	return check_eq(ring_register_dmabuf(&bench->ring, 0, bench->buffer.fd, bench->disk->fd), 1,
			"%s: registration", name);
}

static void bench_close(struct bench *bench, const char *name)
{
	ring_clear(&bench->ring, 0);
	check_released(&bench->buffer, name);
	ring_close(&bench->ring);
	verify_fini(&bench->verify);
	buffer_close(&bench->buffer);
}

static void check_both(struct bench *bench, const char *name)
{
	struct iovec parts[2] = {
		fragment(5 * 4096 + 4, TRANSFER_LEN / 2 - 4),
		fragment(TRANSFER_LEN * 2, TRANSFER_LEN / 2 + 4),
	};
	struct transfer transfer = { .fragments = parts, .nr = 2, .vectored = true,
				     .off = 1 << 20 };

	/* without SGLs gaps must be between whole blocks */
	if (bench->disk->limits.boundary) {
		parts[0] = fragment(5 * 4096, TRANSFER_LEN / 2);
		parts[1].iov_len = TRANSFER_LEN / 2;
	}
	check_range(&bench->verify, 4096, TRANSFER_LEN, 1 << 20, name);
	check_write(&bench->verify, &transfer, name);
	check_read(&bench->verify, &transfer, name);
}

/* A request that is not waited for. */
static void read_start(struct bench *bench, uint64_t id, uint32_t rw_flags)
{
	struct request req = { .opcode = IORING_OP_READ_FIXED, .fd = bench->disk->fd, .id = id,
			       .len = TRANSFER_LEN, .off = 1 << 20, .rw_flags = rw_flags };
	int rc;

	ring_prepare(&bench->ring, &req);
	rc = ring_submit(&bench->ring);
	if (rc != 1)
		fatal("io_uring_enter(): %s", result_text(rc));
}

/* The result of the request that is under way, issued again as often as it asks for it. */
static int read_finish(struct bench *bench)
{
	uint64_t end_ms = now_ms() + COMPLETION_MS_MAX;
	struct completion done;
	int rc;

	for (;;) {
		rc = ring_wait(&bench->ring, &done, COMPLETION_MS_MAX);
		if (rc)
			return rc;
		if (done.res != -EAGAIN || now_ms() >= end_ms)
			return done.res;
		read_start(bench, done.id, 0);
	}
}

static void test_idle(const struct disk *disk, unsigned int flags)
{
	struct exporter_stats stats;
	struct bench bench;
	unsigned int i;

	section("moves without I/O, %s", flags ? "scattered pages" : "runs of pages");
	bench_open(&bench, disk, flags);
	if (!bench_register(&bench, "idle"))
		goto close;
	stats = exporter_stats(&bench.buffer);
	check_eq(stats.attachments, 1, "idle: attachments");
	check_eq(stats.mappings, 1, "idle: mappings, made by the registration");
	check_eq(stats.pins, 0, "idle: pins, for memory that can be followed");
	check_both(&bench, "before any move");
	check_eq(exporter_stats(&bench.buffer).maps, 1, "idle: maps after some I/O");
	check_eq(exporter_move(&bench.buffer, 0), 0, "idle: move");
	check_nothing_stale(&bench.buffer, "idle, no I/O since the move");
	for (i = 0; i < IDLE_MOVES; i++) {
		exporter_move(&bench.buffer, 0);
		check_both(&bench, "after a move");
	}
	stats = exporter_stats(&bench.buffer);
	check_eq((long)stats.maps, IDLE_MOVES + 1, "idle: maps, one for each move with I/O after it");
	check_nothing_stale(&bench.buffer, "idle");
close:
	bench_close(&bench, "idle");
}

static void load_setup(struct load *load, const struct disk *disk, const struct buffer *buffer)
{
	*load = (struct load){ .disk = disk, .buffer = buffer, .lane_len = 32 << 10, .seed = 7 };
}

static void load_begin(struct load *load)
{
	int rc = load_thread_start(load);

	if (rc)
		fatal("a load with the test exporter: %s", result_text(rc));
}

/* One move when every lane has made progress since the last. */
static void test_paced(const struct disk *disk)
{
	struct buffer buffer;
	struct load load;
	unsigned int i;

	section("%u moves, each with %u requests in flight", PACED_MOVES, PACE_REQUESTS);
	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	for (i = 0; i < PACED_MOVES && load_progress_wait(&load, PACE_REQUESTS); i++)
		exporter_move(&buffer, 0);
	check_eq(i, PACED_MOVES, "I/O goes on between moves");
	load_thread_join(&load);
	check_load(&load, "paced");
	check_nothing_stale(&buffer, "paced");
	load_close(&load);
	check_released(&buffer, "paced");
	buffer_close(&buffer);
}

static void test_storm(const struct disk *disk, unsigned int pause_ms, unsigned int finish_ms,
		       const char *name)
{
	struct exporter_stats stats;
	struct buffer buffer;
	struct exporter_mover mover;
	struct load load;

	section("%s, under verified I/O", name);
	exporter_buffer_open(&buffer, BUFFER_LEN, 0, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	exporter_mover_start(&mover, &buffer, pause_ms, finish_ms);
	sleep_ms(LOAD_MS);
	/* on a busy machine that may not be enough for any */
	load_progress_wait(&load, 1);
	exporter_mover_stop(&mover);
	load_thread_join(&load);
	check_load(&load, name);
	stats = exporter_stats(&buffer);
	check(stats.moves > 1 && stats.maps > 1, "%s: %llu moves, %llu maps", name,
	      (unsigned long long)stats.moves, (unsigned long long)stats.maps);
	load_close(&load);
	check_released(&buffer, name);
	buffer_close(&buffer);
}

/* Nothing completes while the content is under way, and the right data come when it is there. */
static void check_waits(struct bench *bench, const char *name)
{
	uint8_t *want = plain_alloc(TRANSFER_LEN);
	uint64_t begin_ms = now_ms();
	struct completion done;

	random_fill(want, TRANSFER_LEN);
	disk_write(bench->disk, want, TRANSFER_LEN, 1 << 20);
	read_start(bench, 1, 0);
	check(now_ms() - begin_ms < PROMPT_MS, "%s: submission does not wait for the fence", name);
	check_eq(ring_wait(&bench->ring, &done, QUIET_MS), -ETIME, "%s: I/O waits for the fence",
		 name);
	exporter_move_finish(&bench->buffer);
	begin_ms = now_ms();
	check_eq(read_finish(bench), TRANSFER_LEN, "%s: I/O after the fence", name);
	check(now_ms() - begin_ms < PROMPT_MS, "%s: soon after it", name);
	buffer_cpu_begin(&bench->buffer);
	check_eq((long)bytes_differ(bench->buffer.mem, want, TRANSFER_LEN), 0,
		 "%s: wrong bytes", name);
	buffer_cpu_end(&bench->buffer);
	check_both(bench, name);
	free(want);
}

static void test_fence(const struct disk *disk)
{
	struct bench bench;
	uint64_t begin_ms;

	section("moves that take time");
	bench_open(&bench, disk, EXPORTER_SCATTERED);
	buffer_cpu_begin(&bench.buffer);
	random_fill(bench.buffer.mem, bench.buffer.len);
	buffer_cpu_end(&bench.buffer);
	exporter_move(&bench.buffer, EXPORTER_FINISH_MS_MAX);
	begin_ms = now_ms();
	if (!bench_register(&bench, "fence before registration"))
		goto close;
	check(now_ms() - begin_ms < PROMPT_MS, "registration does not wait for the fence");
	check_waits(&bench, "fence before registration");

	check_eq(exporter_move(&bench.buffer, EXPORTER_FINISH_MS_MAX), 0, "move of what is mapped");
	check_waits(&bench, "fence after registration");

	check_eq(exporter_move(&bench.buffer, QUIET_MS), 0, "move that ends by itself");
	read_start(&bench, 1, 0);
	check_eq(read_finish(&bench), TRANSFER_LEN, "I/O that waits for it");
	check_eq(exporter_stats(&bench.buffer).moving, 0, "it ended before the I/O");

	check_eq(exporter_move(&bench.buffer, EXPORTER_FINISH_MS_MAX), 0, "move, then unregister");
	begin_ms = now_ms();
	check_eq(ring_clear(&bench.ring, 0), 1, "unregistration while a fence is pending");
	check(now_ms() - begin_ms < PROMPT_MS, "it does not wait for the fence");
	check_attachments(&bench.buffer, 0, "unregistered while a fence is pending");
	exporter_move_finish(&bench.buffer);
close:
	bench_close(&bench, "fence");
}

static void test_nowait(const struct disk *disk)
{
	struct request req = { .opcode = IORING_OP_READ_FIXED, .fd = disk->fd, .off = 1 << 20,
			       .len = 4096, .rw_flags = RWF_NOWAIT };
	struct bench bench;

	section("requests that must not wait");
	bench_open(&bench, disk, 0);
	if (!bench_register(&bench, "nowait"))
		goto close;
	check_eq(ring_io(&bench.ring, &req), 4096, "nowait: mapped");
	exporter_move(&bench.buffer, EXPORTER_FINISH_MS_MAX);
	check_eq(ring_io(&bench.ring, &req), -EAGAIN, "nowait: content under way");
	exporter_move_finish(&bench.buffer);
	req.rw_flags = 0;
	check_eq(ring_io_again(&bench.ring, &req), 4096, "one that may wait, after it");
	req.rw_flags = RWF_NOWAIT;
	check_eq(ring_io(&bench.ring, &req), 4096, "nowait: mapped again");
close:
	bench_close(&bench, "nowait");
}

static void test_map_errors(const struct disk *disk)
{
	static const int errors[] = { ENOMEM, EIO, ENODEV };
	struct bench bench;
	unsigned int i;

	section("mapping fails");
	bench_open(&bench, disk, 0);
	exporter_map_fail(&bench.buffer, 1, ENOMEM);
	check_eq(ring_register_dmabuf(&bench.ring, 0, bench.buffer.fd, disk->fd), -ENOMEM,
		 "registration when mapping fails");
	check_released(&bench.buffer, "failed registration");
	if (!bench_register(&bench, "the next"))
		goto close;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		exporter_move(&bench.buffer, 0);
		exporter_map_fail(&bench.buffer, 1000, errors[i]);
		read_start(&bench, 1, 0);
		check_eq(read_finish(&bench), -errors[i], "I/O when mapping fails");
		read_start(&bench, 1, 0);
		check_eq(read_finish(&bench), -errors[i], "I/O when it fails again");
		exporter_map_fail(&bench.buffer, 0, 0);
		check_both(&bench, "when it works again");
	}
close:
	bench_close(&bench, "mapping fails");
}

/* Mapping moves the memory, which makes void what was mapped, and may leave the content under way. */
static void test_moves_in_map(const struct disk *disk)
{
	struct bench bench;
	uint64_t begin_ms;

	section("mapping moves the memory");
	bench_open(&bench, disk, EXPORTER_SCATTERED);
	exporter_map_move(&bench.buffer, UINT32_MAX, 0);
	check_eq(ring_register_dmabuf(&bench.ring, 0, bench.buffer.fd, disk->fd), -EBUSY,
		 "registration of what moves each time");
	check_released(&bench.buffer, "moves each time");

	exporter_map_move(&bench.buffer, 1, 0);
	if (!bench_register(&bench, "moves once"))
		goto close;
	check_nothing_stale(&bench.buffer, "moves once");
	check_both(&bench, "moves once");
	exporter_move(&bench.buffer, 0);
	exporter_map_move(&bench.buffer, 1, 0);
	check_both(&bench, "moves when it is mapped again");
	check_nothing_stale(&bench.buffer, "moves when it is mapped again");
	ring_clear(&bench.ring, 0);

	exporter_map_move(&bench.buffer, 1, EXPORTER_FINISH_MS_MAX);
	begin_ms = now_ms();
	if (!bench_register(&bench, "content under way"))
		goto close;
	check(now_ms() - begin_ms < PROMPT_MS, "registration does not wait for the content");
	check_waits(&bench, "content under way");
close:
	bench_close(&bench, "mapping moves the memory");
}

/* Unregistering, and closing rings with requests in flight, while the memory moves. */
static void test_races(const struct disk *disk)
{
	struct bench bench;
	struct exporter_mover mover;
	unsigned int i, k, bad = 0;

	section("%u registrations ended and %u rings closed while the memory moves", RACES, RACES);
	bench_open(&bench, disk, 0);
	exporter_mover_start(&mover, &bench.buffer, 0, 0);
	for (i = 0; i < 2 * RACES; i++) {
		int rc = ring_register_dmabuf(&bench.ring, 0, bench.buffer.fd, disk->fd);

		if (rc != 1) {
			check_eq(rc, 1, "registration while the memory moves");
			bad++;
			break;
		}
		for (k = 0; k < RACE_DEPTH; k++) {
			struct request req = { .opcode = IORING_OP_READ_FIXED, .fd = disk->fd,
					       .len = RACE_LEN, .addr = k * RACE_LEN };

			ring_prepare(&bench.ring, &req);
		}
		ring_submit(&bench.ring);
		if (i < RACES) {
			struct completion done;

			bad += ring_clear(&bench.ring, 0) != 1;
			for (k = 0; k < RACE_DEPTH; k++)
				bad += ring_wait(&bench.ring, &done, COMPLETION_MS_MAX) ||
					(done.res != RACE_LEN && done.res != -EAGAIN);
		} else {
			ring_close(&bench.ring);
			bench_ring_open(&bench);
		}
	}
	exporter_mover_stop(&mover);
	check_eq(bad, 0, "races: requests and registrations with a wrong result");
	bench_close(&bench, "races");
}

/* What a child does that is killed in the middle of it. */
static void victim_run(const struct disk *disk, const struct buffer *buffer)
{
	struct load load;

	load_setup(&load, disk, buffer);
	if (load_open(&load))
		_exit(1);
	load_run(&load, 0);
	_exit(1);
}

static void check_killed(const struct disk *disk, const struct buffer *buffer, unsigned int pause_ms,
			 unsigned int finish_ms, const char *name)
{
	struct exporter_mover mover;
	uint64_t begin_ms;
	int status = 0;
	pid_t child = fork();

	if (child < 0)
		fatal("fork(): %s", result_text(-errno));
	if (!child)
		victim_run(disk, buffer);
	check_attachments(buffer, 1, name);
	exporter_mover_start(&mover, buffer, pause_ms, finish_ms);
	sleep_ms(500);
	begin_ms = now_ms();
	kill(child, SIGKILL);
	while (waitpid(child, &status, WNOHANG) == 0 && now_ms() - begin_ms < COMPLETION_MS_MAX)
		sleep_ms(1);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && now_ms() - begin_ms < PROMPT_MS,
	      "%s: gone %llu ms after the kill", name, (unsigned long long)(now_ms() - begin_ms));
	/* while moves go on, what is left behind would be seen */
	check_attachments(buffer, 0, name);
	exporter_mover_stop(&mover);
	check_released(buffer, name);
}

static void test_kill(const struct disk *disk)
{
	struct buffer buffer;
	unsigned int i;

	section("the process is killed under I/O and moves");
	exporter_buffer_open(&buffer, BUFFER_LEN, 0, O_RDWR);
	for (i = 0; i < 3; i++)
		check_killed(disk, &buffer, 0, 0, "killed");
	check_killed(disk, &buffer, 0, EXPORTER_FINISH_MS_MAX, "killed with I/O that waits for a fence");
	buffer_close(&buffer);
}

static void test_two_devices(const struct disk *disk, const struct disk *other)
{
	const unsigned int half = BUFFER_LEN;
	struct load loads[2];
	struct buffer buffer;
	struct exporter_mover mover;

	section("one dma-buf for two devices");
	exporter_buffer_open(&buffer, 2 * BUFFER_LEN, 0, O_RDWR);
	load_setup(&loads[0], disk, &buffer);
	load_setup(&loads[1], other, &buffer);
	loads[1].buffer_off = half;
	loads[1].seed = 8;
	load_begin(&loads[0]);
	load_begin(&loads[1]);
	check_attachments(&buffer, 2, "two devices");
	exporter_mover_start(&mover, &buffer, 1, 0);
	sleep_ms(LOAD_MS);
	load_progress_wait(&loads[0], 1);
	load_progress_wait(&loads[1], 1);
	exporter_mover_stop(&mover);
	load_thread_join(&loads[0]);
	load_close(&loads[0]);
	check_attachments(&buffer, 1, "one of two unregistered");
	exporter_move(&buffer, 0);
	load_progress_wait(&loads[1], PACE_REQUESTS);
	load_thread_join(&loads[1]);
	check_load(&loads[0], "first of two devices");
	check_load(&loads[1], "second of two devices");
	load_close(&loads[1]);
	check_released(&buffer, "two devices");
	buffer_close(&buffer);
}

int main(int argc, char **argv)
{
	struct disk disk, other;

	selftest_start();
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: invalidate DEVICE [SECOND-DEVICE]\n"
			"Destroys the content of the block devices.\n");
		return 1;
	}
	ring_require_dmabuf();
	exporter_require();
	disk_open(&disk, argv[1]);
	test_idle(&disk, 0);
	test_idle(&disk, EXPORTER_SCATTERED);
	test_fence(&disk);
	test_nowait(&disk);
	test_map_errors(&disk);
	test_moves_in_map(&disk);
	test_paced(&disk);
	test_storm(&disk, 0, 0, "moves without a pause");
	test_storm(&disk, 5, 3, "moves that take time");
	test_races(&disk);
	test_kill(&disk);
	if (argc > 2) {
		disk_open(&other, argv[2]);
		test_two_devices(&disk, &other);
		disk_close(&other);
	} else {
		skip_one("one dma-buf for two devices: no second device named");
	}
	disk_close(&disk);
	return selftest_end();
}
