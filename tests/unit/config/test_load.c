/* SPDX-License-Identifier: BSD-3-Clause */
/* Files and drop-ins, and memory that runs out while they are read. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

#define BASE                                                            \
	"[listener tcp]\n"                                              \
	"[subsystem nqn.2020-01.a:x]\nallow_host = nqn.2020-01.h:one\n" \
	"[namespace nqn.2020-01.a:x/1]\nbackend = ram\nsize = 1M\n"

/* Allocations of the library until one fails; negative: none does. */
static long allocations_left = -1;

/* The library allocates through this function and no other, so that a test can take it over. */
void *reallocarray(void *ptr, size_t n, size_t size)
{
	size_t bytes;

	if (allocations_left == 0 || __builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	if (allocations_left > 0)
		allocations_left--;
	return realloc(ptr, bytes);
}

static char dir[64];
static struct reports reports;

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", dir, name);
}

static void file_write(const char *name, const char *text, size_t len)
{
	char path[256];
	FILE *file;

	path_of(path, sizeof(path), name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void text_write(const char *name, const char *text)
{
	file_write(name, text, strlen(text));
}

static int load(struct config *config)
{
	char path[256];

	memset(&reports, 0, sizeof(reports));
	path_of(path, sizeof(path), "s.conf");
	return config_load(config, path, reports_add, &reports);
}

static int setup(void **state)
{
	char path[256];

	(void)state;
	strcpy(dir, "/tmp/sluice-test-config-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	path_of(path, sizeof(path), "s.conf.d");
	return mkdir(path, 0700);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	return system(command);
}

static void test_file(void **state)
{
	struct config c;

	(void)state;
	text_write("s.conf", BASE);
	assert_int_equal(load(&c), 0);
	assert_int_equal(reports.n, 0);
	assert_int_equal(c.n_files, 1);
	assert_string_equal(c.files[0] + strlen(c.files[0]) - 7, "/s.conf");
	assert_ptr_equal(c.listeners[0].where.file, c.files[0]);
	config_free(&c);
}

static void test_no_dropin_directory(void **state)
{
	char path[256];
	struct config c;

	(void)state;
	path_of(path, sizeof(path), "s.conf.d");
	assert_int_equal(rmdir(path), 0);
	text_write("s.conf", BASE);
	assert_int_equal(load(&c), 0);
	config_free(&c);
}

static void test_dropins(void **state)
{
	struct config c;

	(void)state;
	text_write("s.conf", BASE);
	/* Out of order as written; only names in *.conf that are not hidden count. */
	text_write("s.conf.d/20-b.conf", "[listener tcp]\nport = 20\naddress = 127.0.0.1\n");
	text_write("s.conf.d/10-a.conf",
		   "[listener tcp]\nport = 10\n[daemon]\nworkers = 3\n"
		   "[subsystem nqn.2020-01.a:x]\nallow_host = nqn.2020-01.h:two\n");
	text_write("s.conf.d/B.conf", "[daemon]\nspin_us = 1\n");
	text_write("s.conf.d/a.conf", "[daemon]\nspin_us = 2\n");
	text_write("s.conf.d/30-c.conf.bak", "[broken");
	text_write("s.conf.d/.40.conf", "[broken");
	text_write("s.conf.d/.conf", "[broken");
	text_write("s.conf.d/README", "[broken");
	assert_int_equal(load(&c), 0);
	assert_int_equal(c.n_files, 5);
	assert_int_equal(c.listeners[0].port, 20);
	assert_string_equal(c.listeners[0].address, "127.0.0.1");
	assert_int_equal(c.daemon.workers, 3);
	assert_int_equal(c.daemon.spin_us, 2);
	assert_int_equal(c.subsystems[0].hosts.n, 2);
	assert_string_equal(c.subsystems[0].hosts.nqn[1], "nqn.2020-01.h:two");
	config_free(&c);
}

static void test_dropin_faults(void **state)
{
	struct config c;

	(void)state;
	text_write("s.conf", BASE "[daemon]\nspin_us = 5000\n");
	/* Keys above the first header do not fall to the last section of the file before. */
	text_write("s.conf.d/1.conf", "\nworkers = 1\n");
	text_write("s.conf.d/2.conf", "[listener more]\n");
	assert_int_equal(load(&c), -EINVAL);
	assert_int_equal(reports.n, 3);
	assert_non_null(strstr(reports.text, "/s.conf:8: 'spin_us = 5000'"));
	assert_non_null(strstr(reports.text, "/s.conf.d/1.conf:2: 'workers' stands in no section"));
	assert_non_null(strstr(reports.text, "/s.conf.d/2.conf:1: 'address' of [listener more]"));
	assert_non_null(strstr(reports.text, "/s.conf:1) already"));
}

static void test_missing(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load(&c), -ENOENT);
	assert_int_equal(reports.n, 1);
	assert_non_null(strstr(reports.text, "/s.conf: cannot read: No such file or directory"));
}

static void test_unreadable(void **state)
{
	char path[256];
	struct config c;

	(void)state;
	path_of(path, sizeof(path), "s.conf");
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(load(&c), -EISDIR);
	assert_non_null(strstr(reports.text, "/s.conf: cannot read: Is a directory"));
	assert_int_equal(rmdir(path), 0);

	text_write("s.conf", BASE);
	path_of(path, sizeof(path), "s.conf.d/a.conf");
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(load(&c), -ENOENT);
	assert_int_equal(reports.n, 1);
	assert_non_null(strstr(reports.text, "/s.conf.d/a.conf: cannot read"));
	assert_int_equal(unlink(path), 0);

	path_of(path, sizeof(path), "s.conf.d");
	assert_int_equal(rmdir(path), 0);
	text_write("s.conf.d", "");
	assert_int_equal(load(&c), -ENOTDIR);
	assert_non_null(strstr(reports.text, "/s.conf.d: cannot read the directory of drop-ins"));
}

static void test_file_size(void **state)
{
	char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
	struct config c;

	(void)state;
	assert_non_null(text);
	memset(text, '\n', CONFIG_FILE_BYTES_MAX + 1);
	memcpy(text, BASE, strlen(BASE));
	file_write("s.conf", text, CONFIG_FILE_BYTES_MAX);
	assert_int_equal(load(&c), 0);
	config_free(&c);
	file_write("s.conf", text, CONFIG_FILE_BYTES_MAX + 1);
	assert_int_equal(load(&c), -EFBIG);
	assert_non_null(strstr(reports.text, "/s.conf: the file is larger than 1048576 bytes"));
	free(text);
}

static void test_too_many_files(void **state)
{
	struct config c;
	char name[64];

	(void)state;
	text_write("s.conf", BASE);
	for (int i = 1; i <= CONFIG_FILES_MAX; i++) {
		snprintf(name, sizeof(name), "s.conf.d/%03d.conf", i);
		text_write(name, "");
	}
	assert_int_equal(load(&c), -EINVAL);
	assert_int_equal(reports.n, 1);
	assert_non_null(strstr(reports.text, "/064.conf: there are more than 64"));
}

/* Each allocation fails once: one clear message, and no leak, for which the sanitizer looks. */
static void test_memory(void **state)
{
	struct config c;
	long n;

	(void)state;
	text_write("s.conf", BASE "[namespace nqn.2020-01.a:x/2]\nbackend = ram\nsize = 1M\n"
				  "allow_host = nqn.2020-01.h:one\nallow_host = nqn.2020-01.h:two\n"
				  "[referral r]\naddress = 192.0.2.1\n");
	text_write("s.conf.d/1.conf", "[listener b]\nport = 2\n");
	for (n = 0; n < 1000; n++) {
		int rc;

		allocations_left = n;
		rc = load(&c);
		allocations_left = -1;
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(reports.n, 1);
		assert_non_null(strstr(reports.text, "out of memory"));
		assert_non_null(strstr(reports.text, "/s.conf"));
	}
	assert_in_range(n, 20, 999);
	config_free(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_file),      TEST(test_no_dropin_directory),
		TEST(test_dropins),   TEST(test_dropin_faults),
		TEST(test_missing),   TEST(test_unreadable),
		TEST(test_file_size), TEST(test_too_many_files),
		TEST(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
