/* SPDX-License-Identifier: BSD-3-Clause */
/* Areas from a DMA heap, with a made-up heap: a file in a directory stands for the device. */
#include "scratch_root.h"

#include "fake_dmabuf.h"

#include <sys/wait.h>

#include "dmabuf/provider/provider.h"

enum { MIB = 1 << 20 };

static char heaps[128]; /* the directory of heaps */

static int heaps_make(void **state)
{
	memset(&fake, 0, sizeof(fake));
	if (scratch_root_make(state))
		return -1;
	snprintf(heaps, sizeof(heaps), "%s/heaps", scratch_root);
	scratch_root_write("heaps/system", "");
	return 0;
}

/* As area_create() does it, but in a directory of our own. */
static int create(struct area *area, const char *heap)
{
	const struct area_spec spec = { .name = "test", .size = 2 * MIB, .heap = heap };

	*area = (struct area){
		.ops = &area_heap,
		.name = "test",
		.size = spec.size,
		.memfd = -1,
		.dmabuf_fd = -1,
		.fixed_index = AREA_NOT_FIXED,
	};
	return heap_area_create(area, &spec, heaps);
}

static void a_heap_gives_a_dmabuf_that_the_cpu_reaches(void **state)
{
	struct area area;
	int fd;

	(void)state;
	assert_int_equal(create(&area, NULL), 0);
	assert_int_equal(area.faces, AREA_FACE_DMABUF | AREA_FACE_CPU);
	assert_int_equal(fake.heap_bytes, 2 * MIB);
	assert_int_equal(fake.heap_flags, O_RDWR | O_CLOEXEC);
	memset(area.base, 0x5a, area.size);
	assert_string_equal(area.why_not, "");
	/* CPU access lasts as long as the mapping. */
	assert_int_equal(fake.starts, 1);
	assert_int_equal(fake.ends, 0);
	fd = area.dmabuf_fd;
	assert_true(fcntl(fd, F_GETFD) >= 0);
	area_destroy(&area);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void without_a_mapping_there_is_no_cpu_face(void **state)
{
	struct area area;

	(void)state;
	fake.heap_seals = F_SEAL_WRITE;
	assert_int_equal(create(&area, "system"), 0);
	assert_int_equal(area.faces, AREA_FACE_DMABUF);
	assert_null(area.base);
	assert_non_null(strstr(area.why_not, "cpu: the exporter"));
	area_destroy(&area);
	assert_int_equal(fake.starts + fake.ends, 0);

	fake.heap_seals = 0;
	fake.sync_error = EIO;
	assert_int_equal(create(&area, "system"), 0);
	assert_int_equal(area.faces, AREA_FACE_DMABUF);
	assert_null(area.base);
	area_destroy(&area);
}

/* DMA_BUF_IOCTL_SYNC may ask to try again, but not for ever. */
static void an_exporter_that_says_again_is_asked_again(void **state)
{
	struct area area;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fake.sync_error = i ? EINTR : EAGAIN;
		fake.sync_errors = 3;
		assert_int_equal(create(&area, "system"), 0);
		assert_int_equal(area.faces, AREA_FACE_DMABUF | AREA_FACE_CPU);
		area_destroy(&area);
	}
	assert_int_equal(fake.starts, 2 * 4);

	fake.sync_error = EAGAIN;
	assert_int_equal(create(&area, "system"), 0);
	assert_int_equal(area.faces, AREA_FACE_DMABUF);
	assert_non_null(strstr(area.why_not, "cpu: the exporter"));
	area_destroy(&area);
}

static void what_fails_is_named(void **state)
{
	static const struct {
		const char *heap;
		int error, rc;
		const char *says[3];
	} cases[] = {
		{ "gold",
		  0,
		  -ENOENT,
		  { "no DMA heap \"gold\"", "set [memory] heap to one of system" } },
		{ "system", ENOMEM, -ENOMEM, { "wanted 2 MiB", "lower [memory] per_worker" } },
		{ "system",
		  ENOTTY,
		  -ENOTTY,
		  { "heaps/system is no DMA heap", "correct [memory] heap" } },
		{ "system",
		  EPERM,
		  -EPERM,
		  { "refuses 2 MiB", "Operation not permitted",
		    "set [memory] heap to another one" } },
		{ "..", 0, -EISDIR, { "cannot open", "Is a directory", "correct [memory] heap" } },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct area area;

		fake.heap_error = cases[i].error;
		assert_int_equal(create(&area, cases[i].heap), cases[i].rc);
		for (unsigned j = 0; j < ARRAY_SIZE(cases[i].says) && cases[i].says[j]; j++)
			if (!strstr(area.why_not, cases[i].says[j]))
				fail_msg("'%s' is not in: %s", cases[i].says[j], area.why_not);
	}
}

/* In a process of its own, as root would be let in. */
static void who_may_not_open_a_heap_is_told_so(void **state)
{
	struct area area;
	char path[256];
	pid_t child;
	int status;

	(void)state;
	snprintf(path, sizeof(path), "%s/system", heaps);
	assert_int_equal(chmod(scratch_root, 0755) | chmod(heaps, 0755) | chmod(path, 0), 0);
	child = fork();
	if (!child) {
		if (!geteuid() && seteuid(65534))
			_exit(2);
		_exit(create(&area, "system") != -EACCES || !strstr(area.why_not, "cannot open") ||
		      !strstr(area.why_not, "Permission denied; start sluiced as root, or let"));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void a_kernel_without_heaps_is_told_so(void **state)
{
	struct area area;

	(void)state;
	snprintf(heaps, sizeof(heaps), "%s/nothing", scratch_root);
	assert_int_equal(create(&area, "system"), -ENOENT);
	assert_non_null(strstr(area.why_not, "CONFIG_DMABUF_HEAPS_SYSTEM"));
	assert_non_null(strstr(area.why_not, "set [memory] provider = memfd"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, heaps_make, scratch_root_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_heap_gives_a_dmabuf_that_the_cpu_reaches),
		TEST(without_a_mapping_there_is_no_cpu_face),
		TEST(an_exporter_that_says_again_is_asked_again),
		TEST(what_fails_is_named),
		TEST(who_may_not_open_a_heap_is_told_so),
		TEST(a_kernel_without_heaps_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
