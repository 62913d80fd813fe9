/* SPDX-License-Identifier: BSD-3-Clause */
/* Areas from each provider, their faces, and what is said when memory is short. */
#include "scratch_root.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dmabuf/area.h"
#include "dmabuf/available.h"
#include "dmabuf/provider/provider.h"

enum { MIB = 1 << 20 };

static const struct area_spec small = { .name = "test", .size = 3 * MIB + 4096 };

static void area_is_usable(struct area *area)
{
	static const char zeroes[4096];

	assert_true(area->faces & AREA_FACE_CPU);
	assert_int_equal(area->size, small.size);
	assert_int_equal(area->fixed_index, AREA_NOT_FIXED);
	for (size_t at = 0; at < area->size; at += 4096)
		assert_memory_equal((char *)area->base + at, zeroes, 4096);
	memset(area->base, 0x5a, area->size);
	/* A face, or the reason why it is missing. */
	assert_true((area->faces & AREA_FACE_DMABUF) ? area->dmabuf_fd >= 0 : area->why_not[0]);
}

static void each_provider_gives_memory(void **state)
{
	(void)state;
	for (const struct area_ops *const *ops = area_providers; *ops; ops++) {
		struct area area;

		if ((*ops)->by_name_only)
			continue; /* test_heap.c, test_import.c */
		assert_int_equal(area_create(&area, (*ops)->name, &small), 0);
		assert_ptr_equal(area.ops, *ops);
		area_is_usable(&area);
		area_destroy(&area);
	}
}

/* Of the kernel's three kinds of huge pages, the one that a process can force. */
static void huge_pages_are_found(void **state)
{
	const size_t size = 8 * MIB;
	struct area area = { .size = size };

	(void)state;
	area.base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(area.base, MAP_FAILED);
	madvise(area.base, size, MADV_NOHUGEPAGE);
	memset(area.base, 1, size);
	assert_false(area_has_huge_pages(&area));
	madvise(area.base, size, MADV_HUGEPAGE);
	if (madvise(area.base, size, 25 /* MADV_COLLAPSE, of Linux 6.1 */))
		print_message("this kernel makes no huge pages now\n");
	else
		assert_true(area_has_huge_pages(&area));
	munmap(area.base, size);
}

/* Whatever the machine's settings, if the kernel finds any. */
static void areas_have_huge_pages(void **state)
{
	struct area area;

	(void)state;
	assert_int_equal(area_create(&area, "memfd", &small), 0);
	assert_int_equal((uintptr_t)area.base % (2 * MIB), 0);
	if (!area_has_huge_pages(&area)) {
		print_message("this kernel makes no huge pages now\n");
		assert_int_not_equal(madvise(area.base, 2 * MIB, 25 /* MADV_COLLAPSE */), 0);
	}
	area_is_usable(&area);
	area_destroy(&area);
}

static void auto_takes_the_first(void **state)
{
	struct area area;

	(void)state;
	assert_int_equal(area_create(&area, "auto", &small), 0);
	assert_ptr_equal(area.ops, area_providers[0]);
	area_is_usable(&area);
	area_destroy(&area);
}

/* Memory that somebody has to ask for is not taken, nor missed, by who takes anything. */
static void auto_takes_no_memory_of_a_special_kind(void **state)
{
	unsigned special = 0;

	(void)state;
	for (const struct area_ops *const *ops = area_providers; *ops; ops++)
		special += (*ops)->by_name_only;
	assert_int_equal(special, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_false(area_providers[i]->by_name_only);
}

static void a_face_that_is_needed_and_missing_is_refused(void **state)
{
	struct area_spec spec = small;
	struct area area;

	(void)state;
	spec.needs = AREA_FACE_CPU | AREA_FACE_DMABUF;
	assert_int_equal(area_create(&area, "anon", &spec), -EOPNOTSUPP);
	assert_non_null(strstr(area.why_not, "plain memory cannot be exported"));
	assert_non_null(strstr(area.why_not, "set [memory] provider = memfd"));
	area_destroy(&area);
	spec.needs = AREA_FACE_CPU | AREA_FACE_FIXED;
	assert_int_equal(area_create(&area, "anon", &spec), 0);
	area_destroy(&area);
}

static void udmabuf_tells_its_limit(void **state)
{
	struct area area = { .size = 100 * MIB + 4096 };

	(void)state;
	udmabuf_refused(&area, EINVAL, scratch_root);
	assert_non_null(strstr(area.why_not, "/dev/udmabuf refuses 100.0 MiB: Invalid argument"));
	scratch_root_write("sys/module/udmabuf/parameters/size_limit_mb", "64\n");
	area.why_not[0] = '\0';
	udmabuf_refused(&area, EINVAL, scratch_root);
	assert_non_null(
		strstr(area.why_not, "at most 64 MiB, this is 100.0 MiB: write 101 to /sys/"));
	/* The limit is not to blame for everything. */
	area.why_not[0] = '\0';
	udmabuf_refused(&area, ENOMEM, scratch_root);
	assert_non_null(strstr(area.why_not, "Cannot allocate memory"));
	scratch_root_write("sys/module/udmabuf/parameters/size_limit_mb", "2147483647\n");
	area.why_not[0] = '\0';
	udmabuf_refused(&area, EINVAL, scratch_root);
	assert_non_null(strstr(area.why_not, "refuses 100.0 MiB: Invalid argument"));
}

static void memfd_keeps_its_size(void **state)
{
	struct area area;

	(void)state;
	assert_int_equal(area_create(&area, "memfd", &small), 0);
	assert_true(ftruncate(area.memfd, MIB) < 0);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(area.memfd, F_GET_SEALS) & F_SEAL_WRITE, 0);
	area_destroy(&area);
}

/* A shortage must show at start, so all pages are there before anybody uses them. */
static void memory_is_present(void **state)
{
	static unsigned char resident[(3 * MIB + 4096) / 4096];

	(void)state;
	for (const struct area_ops *const *ops = area_providers; *ops; ops++) {
		struct area area;

		if ((*ops)->by_name_only)
			continue; /* test_heap.c, test_import.c */
		assert_int_equal(area_create(&area, (*ops)->name, &small), 0);
		memset(resident, 0, sizeof(resident));
		assert_int_equal(mincore(area.base, area.size, resident), 0);
		for (size_t i = 0; i < sizeof(resident); i++)
			assert_true(resident[i] & 1);
		area_destroy(&area);
	}
}

static void an_unknown_provider_is_named(void **state)
{
	struct area area;

	(void)state;
	assert_int_equal(area_create(&area, "floppy", &small), -EINVAL);
	assert_non_null(strstr(area.why_not, "\"floppy\""));
	assert_non_null(strstr(area.why_not, "memfd"));
	area_destroy(&area);
}

static void an_odd_size_is_refused(void **state)
{
	struct area area;

	(void)state;
	assert_int_equal(
		area_create(&area, "auto", &(struct area_spec){ .name = "test", .size = 5000 }),
		-EINVAL);
	assert_non_null(strstr(area.why_not, "5000"));
}

static void a_shortage_says_how_much_and_what_to_lower(void **state)
{
	struct area_spec spec = { .name = "worker 0", .size = (size_t)1 << 46 };
	struct area area;

	(void)state;
	assert_int_equal(area_create(&area, "auto", &spec), -ENOMEM);
	assert_non_null(strstr(area.why_not, "worker 0"));
	assert_non_null(strstr(area.why_not, "64 TiB"));
	assert_non_null(strstr(area.why_not, "[memory] per_worker"));
	spec.setting = "size";
	assert_int_equal(area_create(&area, "anon", &spec), -ENOMEM);
	assert_non_null(strstr(area.why_not, "lower size"));
}

static void a_fixed_buffer_is_registered_and_given_back(void **state)
{
	struct loop_options options = { .sq_entries = 8, .cq_entries = 16 };
	struct loop loop;
	struct area area;

	(void)state;
	assert_int_equal(loop_init(&loop, &options), 0);
	assert_int_equal(area_create(&area, "auto", &small), 0);
	assert_int_equal(area_register_fixed(&area, &loop, 3), 0);
	assert_int_equal(area.fixed_index, 3);
	assert_ptr_equal(area.loop, &loop);
	area_unregister_fixed(&area, &loop);
	assert_int_equal(area.fixed_index, AREA_NOT_FIXED);
	/* Harmless when there is nothing to undo. */
	area_unregister_fixed(&area, &loop);
	area_destroy(&area);
	loop_fini(&loop);
}

/* In a child: gives up the right to lock memory, and then registers. The result is the exit code. */
static int register_without_memlock(void)
{
	struct loop_options options = { .sq_entries = 8, .cq_entries = 16 };
	struct rlimit limit = { 64 << 10, 64 << 10 };
	struct loop loop;
	struct area area;

	/* The ring remembers whether its maker was privileged. */
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || (geteuid() == 0 && setresuid(65534, 65534, 65534)))
		return 2;
	if (loop_init(&loop, &options) || area_create(&area, "auto", &small))
		return 3;
	if (area_register_fixed(&area, &loop, 0) != -ENOMEM)
		return 4;
	if (!strstr(area.why_not, "RLIMIT_MEMLOCK is 64 KiB") ||
	    !strstr(area.why_not, "LimitMEMLOCK"))
		return 5;
	return area.fixed_index == AREA_NOT_FIXED ? 0 : 6;
}

static void a_low_memlock_limit_is_explained(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		_exit(register_without_memlock());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* -------------------------------------------------------------- available memory, from a made-up root */

static void the_machine_limits(void **state)
{
	struct memory_available available;

	(void)state;
	memory_available(scratch_root, &available);
	assert_int_equal(available.bytes, UINT64_MAX);
	scratch_root_write("proc/meminfo",
			   "MemTotal: 4000000 kB\nMemFree: 12 kB\nMemAvailable:  2048 kB\n");
	memory_available(scratch_root, &available);
	assert_int_equal(available.bytes, 2 * MIB);
	assert_non_null(strstr(available.limit, "machine"));
}

static void a_control_group_limits(void **state)
{
	struct memory_available available;

	(void)state;
	scratch_root_write("proc/meminfo", "MemAvailable: 1048576 kB\n");
	scratch_root_write("proc/self/cgroup", "0::/system.slice/sluice.service\n");
	scratch_root_write("sys/fs/cgroup/system.slice/sluice.service/memory.max", "max\n");
	scratch_root_write("sys/fs/cgroup/system.slice/memory.max", "104857600\n");
	scratch_root_write("sys/fs/cgroup/system.slice/memory.current", "52428800\n");
	scratch_root_write("sys/fs/cgroup/system.slice/memory.stat",
			   "anon 1\ninactive_file 10485760\nactive_file 5242880\n");
	memory_available(scratch_root, &available);
	assert_int_equal(available.bytes, 65 * MIB);
	assert_non_null(strstr(available.limit, "/system.slice"));
	/* Using more than the limit leaves nothing; it does not wrap around. */
	scratch_root_write("sys/fs/cgroup/system.slice/memory.current", "904857600\n");
	memory_available(scratch_root, &available);
	assert_int_equal(available.bytes, 0);
}

static void a_version_1_control_group_limits(void **state)
{
	struct memory_available available;

	(void)state;
	scratch_root_write("proc/meminfo", "MemAvailable: 1048576 kB\n");
	scratch_root_write("proc/self/cgroup", "4:memory:/box\n2:cpu,cpuacct:/other\n0::/\n");
	scratch_root_write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "8388608\n");
	scratch_root_write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1048576\n");
	memory_available(scratch_root, &available);
	assert_int_equal(available.bytes, 7 * MIB);
	assert_non_null(strstr(available.limit, "/box"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_provider_gives_memory),
		cmocka_unit_test(huge_pages_are_found),
		cmocka_unit_test(areas_have_huge_pages),
		cmocka_unit_test(auto_takes_the_first),
		cmocka_unit_test(auto_takes_no_memory_of_a_special_kind),
		cmocka_unit_test(a_face_that_is_needed_and_missing_is_refused),
		cmocka_unit_test(memfd_keeps_its_size),
		cmocka_unit_test(memory_is_present),
		cmocka_unit_test(an_unknown_provider_is_named),
		cmocka_unit_test(an_odd_size_is_refused),
		cmocka_unit_test(a_shortage_says_how_much_and_what_to_lower),
		cmocka_unit_test(a_fixed_buffer_is_registered_and_given_back),
		cmocka_unit_test(a_low_memlock_limit_is_explained),
		cmocka_unit_test_setup_teardown(udmabuf_tells_its_limit, scratch_root_make,
						scratch_root_remove),
		cmocka_unit_test_setup_teardown(the_machine_limits, scratch_root_make,
						scratch_root_remove),
		cmocka_unit_test_setup_teardown(a_control_group_limits, scratch_root_make,
						scratch_root_remove),
		cmocka_unit_test_setup_teardown(a_version_1_control_group_limits, scratch_root_make,
						scratch_root_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
