/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A dma-buf registered for a namespace that several controllers of one subsystem share: it is
 * mapped for each of them, I/O takes every path, and goes on while controllers come and go.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "controller.h"
#include "disk.h"
#include "exporter.h"
#include "load.h"
#include "ring.h"
#include "selftest.h"

enum {
	BUFFER_LEN = 8 << 20,
	LANE_LEN = 32 << 10,
	PROGRESS = 256,		/* requests: so many that round robin has been on every path */
};

static void load_setup(struct load *load, const struct disk *disk, const struct buffer *buffer)
{
	*load = (struct load){ .disk = disk, .buffer = buffer, .lane_len = LANE_LEN, .seed = 21 };
}

static void load_begin(struct load *load)
{
	int rc = load_thread_start(load);

	if (rc)
		fatal("a load on %s: %s", load->disk->path, result_text(rc));
}

/* A controller is live before its namespaces have been found. */
static bool check_path_there(const struct controller *controller)
{
	uint64_t end_ms = now_ms() + CONTROLLER_MS_MAX;

	while (controller_path_requests(controller) < 0 && now_ms() < end_ms)
		sleep_ms(1);
	return check(controller_path_requests(controller) >= 0, "%s is a path", controller->name);
}

/* Whether each of the controllers does I/O at this time. */
static bool check_paths_used(struct load *load, const struct controller *controllers,
			     unsigned int nr, const char *name)
{
	long before[CONTROLLERS_MAX];
	bool passed = true;
	unsigned int i;

	for (i = 0; i < nr; i++)
		before[i] = controller_path_requests(&controllers[i]);
	passed = check(load_progress_wait(load, PROGRESS), "%s: I/O goes on", name);
	for (i = 0; i < nr; i++) {
		long done = controller_path_requests(&controllers[i]) - before[i];

		passed &= check(done > 0, "%s: %ld requests on the path of %s",
				name, done, controllers[i].name);
	}
	return passed;
}

/* One controller goes and comes back while the others serve. */
static void test_path_lost(struct load *load, struct controller *controllers, unsigned int nr,
			   unsigned int lost)
{
	struct controller rest[CONTROLLERS_MAX];
	unsigned int i, nr_rest = 0;

	section("%s is removed under I/O", controllers[lost].name);
	for (i = 0; i < nr; i++)
		if (i != lost)
			rest[nr_rest++] = controllers[i];
	if (!check_controller_removed(&controllers[lost]))
		return;
	check_eq(exporter_stats(load->buffer).mappings, nr_rest, "mappings left");
	check_paths_used(load, rest, nr_rest, "one removed");
	check_eq(exporter_move(load->buffer, 0), 0, "move while one is away");
	check_paths_used(load, rest, nr_rest, "after a move");
	if (!check_controller_returned(&controllers[lost]) ||
	    !check_path_there(&controllers[lost]))
		return;
	check_paths_used(load, controllers, nr, "it came back");
	check_attachments(load->buffer, nr, "it came back");
}

static void test_paths(const struct disk *disk, struct controller *controllers, unsigned int nr)
{
	struct buffer buffer;
	struct load load;
	unsigned int i;

	section("I/O on %u paths", nr);
	exporter_buffer_open(&buffer, BUFFER_LEN, EXPORTER_SCATTERED, O_RDWR);
	load_setup(&load, disk, &buffer);
	load_begin(&load);
	check_attachments(&buffer, nr, "a mapping for each controller");
	check_paths_used(&load, controllers, nr, "both there");
	for (i = 0; i < nr; i++) {
		section("reset of %s under I/O", controllers[i].name);
		check_controller_reset(&controllers[i]);
		check_paths_used(&load, controllers, nr, "after a reset");
	}
	section("moves under I/O");
	for (i = 0; i < 20; i++)
		if (exporter_move(&buffer, 0) || !load_progress_wait(&load, 64))
			break;
	check_eq(i, 20, "moves with I/O between them");
	for (i = 0; i < nr; i++)
		test_path_lost(&load, controllers, nr, i);
	load_thread_join(&load);
	check_load(&load, "paths that come and go");
	load_close(&load);
	check_released(&buffer, "paths");
	buffer_close(&buffer);
}

static void test_all_lost(const struct disk *disk, struct controller *controllers, unsigned int nr)
{
	struct buffer buffer;
	struct load load;
	unsigned int i;

	section("all controllers are removed under I/O");
	exporter_buffer_open(&buffer, BUFFER_LEN, 0, O_RDWR);
	load_setup(&load, disk, &buffer);
	load.errors_end = true;
	load_begin(&load);
	check(load_progress_wait(&load, PROGRESS), "I/O before");
	for (i = 0; i < nr; i++)
		check_controller_removed(&controllers[i]);
	load_thread_join(&load);
	check(!load.hung && !load.wrong && load.error, "%llu errors, the first %s; %llu bytes "
	      "wrong%s", (unsigned long long)(load.errors + load.errors_plain),
	      result_text(load.error),
	      (unsigned long long)load.wrong, load.hung ? "; a request hangs" : "");
	check_no_mappings(&buffer, "all removed");
	check_eq(exporter_move(&buffer, 0), 0, "move when all are removed");
	check_eq(ring_clear(&load.ring, 0), 1, "unregistration when all are removed");
	load_close(&load);
	check_released(&buffer, "all removed");
	buffer_close(&buffer);
	for (i = 0; i < nr; i++)
		check_controller_returned(&controllers[i]);
}

static void policy_set(const struct disk *disk)
{
	char path[128];
	int rc;

	/* of the subsystem that the controllers belong to */
	snprintf(path, sizeof(path), "/sys/block/%s/device/iopolicy", strrchr(disk->path, '/') + 1);
	rc = text_write(path, "round-robin");
	if (rc)
		fatal("%s: %s", path, result_text(rc));
}

int main(int argc, char **argv)
{
	struct controller controllers[CONTROLLERS_MAX];
	struct disk disk;
	unsigned int nr;

	selftest_start();
	if (argc != 2 || strncmp(argv[1], "/dev/", 5)) {
		fprintf(stderr, "usage: multipath /dev/nvmeXnY\n"
			"The namespace must have two controllers or more, which are taken away and\n"
			"brought back. Destroys its content.\n");
		return 1;
	}
	ring_require_dmabuf();
	exporter_require();
	disk_open(&disk, argv[1]);
	nr = controllers_of(disk.fd, controllers);
	if (nr < 2)
		skip_all("%s has one controller", argv[1]);
	policy_set(&disk);
	test_paths(&disk, controllers, nr);
	test_all_lost(&disk, controllers, nr);
	disk_close(&disk);
	return selftest_end();
}
