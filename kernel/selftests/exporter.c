/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exporter.h"
#include "selftest.h"

#define DEVICE "/dev/dma_buf_test"

/* How long importers may take to let go: much longer than they need under emulation. */
#define RELEASE_MS_MAX 10000

/* struct dma_buf_test_create, _move and _fail */
struct exporter_create {
	uint64_t size;
	uint32_t flags;
	uint32_t access;
};

struct exporter_move {
	int32_t fd;
	uint32_t finish_ms;
};

struct exporter_fail {
	int32_t fd;
	uint32_t count;
	uint32_t error;
	uint32_t reserved;
};

struct exporter_map_move {
	int32_t fd;
	uint32_t count;
	uint32_t finish_ms;
	uint32_t reserved;
};

#define EXPORTER_CREATE _IOW('u', 0x48, struct exporter_create)
#define EXPORTER_MOVE _IOW('u', 0x49, struct exporter_move)
#define EXPORTER_FINISH _IOW('u', 0x4a, int32_t)
#define EXPORTER_FAIL _IOW('u', 0x4b, struct exporter_fail)
#define EXPORTER_STATS _IOWR('u', 0x4c, struct exporter_stats)
#define EXPORTER_MAP_MOVE _IOW('u', 0x4d, struct exporter_map_move)

_Static_assert(sizeof(struct exporter_create) == 16, "ABI");
_Static_assert(sizeof(struct exporter_move) == 8, "ABI");
_Static_assert(sizeof(struct exporter_fail) == 16, "ABI");
_Static_assert(sizeof(struct exporter_stats) == 56, "ABI");
_Static_assert(sizeof(struct exporter_map_move) == 16, "ABI");

static int device = -1;

void exporter_require(void)
{
	device = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0)
		skip_all("no test exporter in this kernel: %s: %s", DEVICE, result_text(-errno));
}

/* Requests that fail only when the test itself is wrong. */
static void request(unsigned long cmd, void *arg, const char *what)
{
	int rc;

	do
		rc = ioctl(device, cmd, arg);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		fatal("test exporter, %s: %s", what, result_text(-errno));
}

void exporter_buffer_open(struct buffer *buffer, size_t len, unsigned int flags, int access)
{
	struct exporter_create create = { .size = len, .flags = flags, .access = (uint32_t)access };
	int prot = access == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;
	void *map;

	*buffer = (struct buffer){ .name = "test exporter", .len = len };
	buffer->fd = ioctl(device, EXPORTER_CREATE, &create);
	if (buffer->fd < 0)
		fatal("test exporter, a dma-buf of %zu bytes: %s", len, result_text(-errno));
	if (flags & EXPORTER_NO_CPU || access == O_WRONLY)
		return;
	map = mmap(NULL, len, prot, MAP_SHARED, buffer->fd, 0);
	if (map == MAP_FAILED)
		fatal("test exporter, mapping %zu bytes: %s", len, result_text(-errno));
	buffer->mem = map;
}

int exporter_move(const struct buffer *buffer, unsigned int finish_ms)
{
	struct exporter_move move = { .fd = buffer->fd, .finish_ms = finish_ms };
	int rc;

	do
		rc = ioctl(device, EXPORTER_MOVE, &move);
	while (rc < 0 && errno == EINTR);
	if (rc < 0 && errno != EBUSY)
		fatal("test exporter, a move: %s", result_text(-errno));
	return rc < 0 ? -EBUSY : 0;
}

void exporter_move_finish(const struct buffer *buffer)
{
	int32_t fd = buffer->fd;

	request(EXPORTER_FINISH, &fd, "end of a move");
}

void exporter_map_fail(const struct buffer *buffer, unsigned int count, int error)
{
	struct exporter_fail fail = { .fd = buffer->fd, .count = count, .error = (uint32_t)error };

	request(EXPORTER_FAIL, &fail, "failing maps");
}

void exporter_map_move(const struct buffer *buffer, unsigned int count, unsigned int finish_ms)
{
	struct exporter_map_move move = { .fd = buffer->fd, .count = count,
					  .finish_ms = finish_ms };

	request(EXPORTER_MAP_MOVE, &move, "maps that move");
}

static void *mover_thread(void *arg)
{
	struct exporter_mover *mover = arg;

	while (!__atomic_load_n(&mover->stop, __ATOMIC_ACQUIRE)) {
		int rc = exporter_move(mover->buffer, mover->finish_ms);

		/* one that is not finished yet is not asked about without a pause */
		if (rc == -EBUSY || mover->pause_ms)
			sleep_ms(mover->pause_ms ? mover->pause_ms : 1);
	}
	return NULL;
}

void exporter_mover_start(struct exporter_mover *mover, const struct buffer *buffer,
			  unsigned int pause_ms, unsigned int finish_ms)
{
	int rc;

	*mover = (struct exporter_mover){ .buffer = buffer, .pause_ms = pause_ms,
					  .finish_ms = finish_ms };
	rc = pthread_create(&mover->thread, NULL, mover_thread, mover);
	if (rc)
		fatal("no thread for moves: %s", result_text(-rc));
}

void exporter_mover_stop(struct exporter_mover *mover)
{
	__atomic_store_n(&mover->stop, true, __ATOMIC_RELEASE);
	pthread_join(mover->thread, NULL);
	exporter_move_finish(mover->buffer);
}

struct exporter_stats exporter_stats(const struct buffer *buffer)
{
	struct exporter_stats stats = { .fd = buffer->fd };

	request(EXPORTER_STATS, &stats, "statistics");
	return stats;
}

/* The number that the statistics' field has when it is `want`, or at the end of the time. */
static uint32_t stats_wait(const struct buffer *buffer, size_t field, uint32_t want)
{
	uint64_t end_ms = now_ms() + RELEASE_MS_MAX;

	for (;;) {
		struct exporter_stats stats = exporter_stats(buffer);
		uint32_t got = *(const uint32_t *)(const void *)((const char *)&stats + field);

		if (got == want || now_ms() >= end_ms)
			return got;
		sleep_ms(1);
	}
}

bool check_attachments(const struct buffer *buffer, unsigned int want, const char *name)
{
	size_t field = offsetof(struct exporter_stats, attachments);

	return check_eq(stats_wait(buffer, field, want), want, "%s: attachments", name);
}

bool check_no_mappings(const struct buffer *buffer, const char *name)
{
	size_t field = offsetof(struct exporter_stats, mappings);

	return check_eq(stats_wait(buffer, field, 0), 0, "%s: mappings left", name);
}

bool check_nothing_stale(const struct buffer *buffer, const char *name)
{
	size_t field = offsetof(struct exporter_stats, stale_mappings);
	uint32_t mappings = stats_wait(buffer, field, 0);
	struct exporter_stats stats = exporter_stats(buffer);

	return check(!mappings && !stats.stale_writes,
		     "%s: of memory that was left, %u mappings, %llu pages written", name, mappings,
		     (unsigned long long)stats.stale_writes);
}

bool check_released(const struct buffer *buffer, const char *name)
{
	bool passed = check_attachments(buffer, 0, name);

	passed &= check_no_mappings(buffer, name);
	return check_nothing_stale(buffer, name) && passed;
}
