/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device of a registration is reset, does not answer for a while, loses its namespace, or is
 * taken away, all under I/O: the first two go unnoticed; after the rest requests end with an error,
 * nothing stays mapped for a device that is gone, and the dma-buf can be registered for the one
 * that comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

#include "buffers.h"
#include "controller.h"
#include "disk.h"
#include "exporter.h"
#include "load.h"
#include "ring.h"
#include "selftest.h"

enum {
	BUFFER_LEN = 16 << 20,
	LANE_LEN = 32 << 10,
	RESETS = 5,
	RACES = 3,
	PROGRESS = 128,		/* requests: twice the depth of a load */
	REQUEST_MS_MAX = 3000,	/* of a device that does not answer */
};

static void load_setup(struct load *load, const struct disk *disk, const struct buffer *buffer)
{
	*load = (struct load){ .disk = disk, .buffer = buffer, .lane_len = LANE_LEN, .seed = 11,
			       .errors_end = true };
}

static void load_begin(struct load *load)
{
	int rc = load_thread_start(load);

	if (rc)
		fatal("a load on %s: %s", load->disk->path, result_text(rc));
	if (!load_progress_wait(load, PROGRESS))
		fatal("a load on %s makes no progress", load->disk->path);
}

/* The load ended by itself because its device went: errors, but no wrong byte, no request lost. */
static void check_load_ended(struct load *load, const char *name)
{
	uint64_t errors;

	load_thread_join(load);
	errors = load->errors + load->errors_plain;
	check(!load->hung && !load->wrong && errors, "%s: %llu requests, then %llu "
	      "errors, the first %s; %llu bytes wrong%s", name, (unsigned long long)load->requests,
	      (unsigned long long)errors, result_text(load->error),
	      (unsigned long long)load->wrong, load->hung ? "; a request hangs" : "");
}

static void test_reset(const struct disk *disk)
{
	struct controller controllers[CONTROLLERS_MAX];
	struct exporter_stats before, after;
	struct buffer buffer;
	struct load load;
	unsigned int i;

	section("%u resets under I/O", RESETS);
	controllers_of(disk->fd, controllers);
	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	before = exporter_stats(&buffer);
	for (i = 0; i < RESETS; i++) {
		if (!check_controller_reset(&controllers[0]))
			break;
		check(load_progress_wait(&load, PROGRESS), "I/O after it");
	}
	after = exporter_stats(&buffer);
	check_eq((long)(after.maps - before.maps), 0, "maps made by resets");
	load_thread_join(&load);
	check_load(&load, "resets");
	load_close(&load);
	check_released(&buffer, "resets");
	buffer_close(&buffer);
}

/* The registration of a load whose device is gone. */
static void check_dead(struct load *load, const char *name)
{
	struct request req = { .fd = load->disk->fd, .len = LANE_LEN };
	struct ring *ring = &load->ring;

	check_nothing_stale(load->buffer, name);
	req.opcode = IORING_OP_READ_FIXED;
	check_eq(ring_io_again(ring, &req), -ENOENT, "%s: read", name);
	req.opcode = IORING_OP_WRITE_FIXED;
	check_eq(ring_io_again(ring, &req), -ENOENT, "%s: write", name);
	/* the exporter does not care whether anybody follows */
	check_eq(exporter_move(load->buffer, 0), 0, "%s: move", name);
	check_eq(ring_io_again(ring, &req), -ENOENT, "%s: write after a move", name);
	check_eq(ring_register_dmabuf(ring, 1, load->buffer->fd, load->disk->fd), -ENOENT,
		 "%s: registration for the device that is gone", name);
	check_eq(ring_clear(ring, 0), 1, "%s: unregistration", name);
}

/* A new registration works, for the device as it is now. */
static void check_works(const struct disk *disk, const struct buffer *buffer, const char *name)
{
	struct load load;

	load_setup(&load, disk, buffer);
	load_begin(&load);
	load_thread_join(&load);
	check_load(&load, name);
	load_close(&load);
}

/* The disk under the path that its controller has now. */
static bool disk_return(struct disk *disk, const struct controller *controller)
{
	static char path[DEVICE_PATH_LEN];

	if (!check_controller_device(controller, path))
		return false;
	disk_close(disk);
	disk_open(disk, path);
	return true;
}

static void test_namespace(struct disk *disk)
{
	struct controller controllers[CONTROLLERS_MAX];
	struct buffer buffer;
	struct load load;
	uint32_t nsid;
	int rc;

	section("the namespace is detached under I/O");
	controllers_of(disk->fd, controllers);
	nsid = device_namespace_id(disk->fd);
	exporter_buffer_open(&buffer, BUFFER_LEN, 0, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	rc = controller_namespace_attach(&controllers[0], nsid, false);
	if (rc == -EOPNOTSUPP) {
		load_thread_join(&load);
		skip_one("namespace detached: %s cannot manage namespaces", controllers[0].name);
	} else {
		check_eq(rc, 0, "detachment of namespace %u", nsid);
		check_load_ended(&load, "detached");
		check_dead(&load, "detached");
		check_eq(controller_namespace_attach(&controllers[0], nsid, true), 0,
			 "attachment of namespace %u", nsid);
		if (disk_return(disk, &controllers[0]))
			check_works(disk, &buffer, "attached again");
	}
	load_close(&load);
	check_released(&buffer, "detached");
	buffer_close(&buffer);
}

static void test_removal(struct disk *disk)
{
	struct controller controllers[CONTROLLERS_MAX];
	struct buffer buffer;
	struct load load;

	section("the device is removed under I/O");
	controllers_of(disk->fd, controllers);
	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	if (check_controller_removed(&controllers[0])) {
		/* before the driver lets go of the device, so nothing to wait for */
		check_eq(exporter_stats(&buffer).mappings, 0, "removed: mappings left");
		check_load_ended(&load, "removed");
		check_dead(&load, "removed");
		if (check_controller_returned(&controllers[0]) &&
		    disk_return(disk, &controllers[0]))
			check_works(disk, &buffer, "the device that came back");
	}
	load_close(&load);
	check_released(&buffer, "removed");
	buffer_close(&buffer);
}

/* The driver gives up waiting, and resets the controller with all requests in flight. */
static void test_silence(const struct disk *disk)
{
	struct controller controllers[CONTROLLERS_MAX];
	struct buffer buffer;
	struct load load;

	section("the device does not answer any more until it is reset, under I/O");
	controllers_of(disk->fd, controllers);
	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	device_timeout_set(disk->fd, REQUEST_MS_MAX);
	controller_mute(&controllers[0]);
	/* what the silent device has not done yet is waited for */
	check_eq(exporter_move(&buffer, 0), 0, "move while it does not answer");
	check(load_progress_wait(&load, PROGRESS), "I/O after the reset");
	check_controller_live(&controllers[0]);
	load_thread_join(&load);
	check_load(&load, "silence");
	load_close(&load);
	check_released(&buffer, "silence");
	buffer_close(&buffer);
}

/* Registers and unregisters until it is stopped. */
struct registrar {
	const struct disk *disk;
	const struct buffer *buffer;
	bool stop;
	unsigned int good;	/* read while the thread runs */
	int error;		/* the last that was not as it may be */
	pthread_t thread;
};

static void *registrar_thread(void *arg)
{
	struct registrar *registrar = arg;
	struct ring ring;
	int rc = ring_open(&ring, 1, 0);

	if (!rc)
		rc = ring_table(&ring, 1);
	if (rc)
		fatal("a ring: %s", result_text(rc));
	while (!__atomic_load_n(&registrar->stop, __ATOMIC_ACQUIRE)) {
		rc = ring_register_dmabuf(&ring, 0, registrar->buffer->fd, registrar->disk->fd);
		if (rc == 1)
			__atomic_add_fetch(&registrar->good, 1, __ATOMIC_RELEASE);
		if (rc != 1 && rc != -ENOENT)
			registrar->error = rc;
		ring_clear(&ring, 0);
	}
	ring_close(&ring);
	return NULL;
}

/* Whether it registered something within COMPLETION_MS_MAX. */
static bool registrar_progress_wait(const struct registrar *registrar)
{
	uint64_t since_ms = now_ms();

	while (!__atomic_load_n(&registrar->good, __ATOMIC_ACQUIRE)) {
		if (now_ms() - since_ms >= COMPLETION_MS_MAX)
			return false;
		sleep_ms(1);
	}
	return true;
}

/* Everything that touches the maps of a device, at the moment when it goes. */
static void test_races(struct disk *disk)
{
	struct controller controllers[CONTROLLERS_MAX];
	struct exporter_mover mover;
	struct registrar registrar;
	struct buffer buffer;
	struct load load;
	int rc;

	section("the device is removed under I/O, moves and registrations");
	controllers_of(disk->fd, controllers);
	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	registrar = (struct registrar){ .disk = disk, .buffer = &buffer };
	rc = pthread_create(&registrar.thread, NULL, registrar_thread, &registrar);
	if (rc)
		fatal("no thread for registrations: %s", result_text(-rc));
	exporter_mover_start(&mover, &buffer, 1, 0);
	check(load_progress_wait(&load, PROGRESS), "I/O with moves and registrations");
	check(registrar_progress_wait(&registrar), "registrations with I/O and moves");
	check_controller_removed(&controllers[0]);
	check_load_ended(&load, "races");
	__atomic_store_n(&registrar.stop, true, __ATOMIC_RELEASE);
	pthread_join(registrar.thread, NULL);
	exporter_mover_stop(&mover);
	check(!registrar.error, "races: %u registrations, the last error %s", registrar.good,
	      result_text(registrar.error));
	check_no_mappings(&buffer, "races");
	load_close(&load);
	check_released(&buffer, "races");
	if (check_controller_returned(&controllers[0]) && disk_return(disk, &controllers[0]))
		check_works(disk, &buffer, "the device that came back");
	buffer_close(&buffer);
}

/* One of two devices of a dma-buf goes; the other does not notice. */
static void test_one_of_two(struct disk *disk, const struct disk *other)
{
	struct controller controllers[CONTROLLERS_MAX];
	struct buffer buffer;
	struct load load, load_other;

	section("one of two devices of a dma-buf is removed under I/O");
	controllers_of(disk->fd, controllers);
	exporter_buffer_open(&buffer, BUFFER_LEN, 0, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_setup(&load_other, other, &buffer);
	load_other.buffer_off = BUFFER_LEN / 2;
	load_other.seed = 12;
	load_begin(&load);
	load_begin(&load_other);
	check_attachments(&buffer, 2, "two devices");
	if (check_controller_removed(&controllers[0])) {
		check_eq(exporter_stats(&buffer).mappings, 1, "one removed: mappings left");
		check_load_ended(&load, "the one removed");
		check(load_progress_wait(&load_other, PROGRESS), "I/O of the other goes on");
		check_eq(exporter_move(&buffer, 0), 0, "move for the other alone");
		check(load_progress_wait(&load_other, PROGRESS), "I/O of the other after a move");
		check_dead(&load, "the one removed");
	}
	load_thread_join(&load_other);
	check_load(&load_other, "the other");
	load_close(&load);
	load_close(&load_other);
	check_released(&buffer, "one of two removed");
	if (check_controller_returned(&controllers[0]) && disk_return(disk, &controllers[0]))
		check_works(disk, &buffer, "the one that came back");
	buffer_close(&buffer);
}

/* The program, or its ring, ends after the device. */
static void test_ring_after_device(struct disk *disk)
{
	struct controller controllers[CONTROLLERS_MAX];
	struct buffer buffer;
	struct load load;

	section("the ring is closed after its device has gone");
	controllers_of(disk->fd, controllers);
	exporter_buffer_open(&buffer, BUFFER_LEN, 0, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	if (check_controller_removed(&controllers[0]))
		check_load_ended(&load, "removed");
	load_close(&load);
	check_released(&buffer, "ring closed");
	if (check_controller_returned(&controllers[0]) && disk_return(disk, &controllers[0]))
		check_works(disk, &buffer, "the device that came back");
	buffer_close(&buffer);
}

int main(int argc, char **argv)
{
	struct disk disk, other;
	unsigned int i;

	selftest_start();
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: removal DEVICE [SECOND-DEVICE]\n"
			"Takes DEVICE, an NVMe namespace, away and brings it back. Destroys the\n"
			"content of the block devices.\n");
		return 1;
	}
	ring_require_dmabuf();
	exporter_require();
	disk_open(&disk, argv[1]);
	test_reset(&disk);
	test_namespace(&disk);
	test_silence(&disk);
	test_removal(&disk);
	test_ring_after_device(&disk);
	for (i = 0; i < RACES; i++)
		test_races(&disk);
	if (argc > 2) {
		disk_open(&other, argv[2]);
		test_one_of_two(&disk, &other);
		disk_close(&other);
	} else {
		skip_one("one of two devices removed: no second device named");
	}
	disk_close(&disk);
	return selftest_end();
}
