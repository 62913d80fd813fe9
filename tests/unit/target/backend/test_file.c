/* SPDX-License-Identifier: BSD-3-Clause */
/* What is particular to files: creating, growing, never truncating, locking, and what is refused. */
#include "backend_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static char dir[] = "/var/tmp/sluice-file-XXXXXX";
static char path[64];

static int path_clear(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static struct config_namespace file_config(uint64_t size)
{
	struct config_namespace config = rig_config("file");

	snprintf(config.path, sizeof(config.path), "%s", path);
	config.size = size;
	return config;
}

static void file_write(uint64_t size, const char *text)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	close(fd);
}

static struct stat file_stat(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st;
}

static struct backend *opened(const struct config_namespace *config)
{
	struct backend *backend;
	char err[BACKEND_ERROR_MAX] = "";

	if (backend_open(config, &backend, err, sizeof(err)))
		fail_msg("%s", err);
	return backend;
}

static void a_file_is_created_sparse(void **state)
{
	struct config_namespace config = file_config(64 * MIB);
	struct backend *backend = opened(&config);
	struct stat st = file_stat();

	(void)state;
	assert_int_equal(st.st_size, 64 * MIB);
	assert_in_range(st.st_blocks * 512, 0, MIB);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(backend_size(backend), 64 * MIB);
	assert_int_equal(backend->limits.block_shift, 9);
	assert_int_equal(backend->limits.phys_shift, 12);
	assert_true(backend->limits.volatile_cache);
	assert_string_equal(backend->path, path);
	backend->ops->close(backend);
}

static void a_missing_file_needs_a_size(void **state)
{
	struct config_namespace config = file_config(0);
	char err[BACKEND_ERROR_MAX];

	(void)state;
	rig_refused(&config, -ENOENT, err);
	assert_contains(err, path);
	assert_contains(err, "add size");
	config.size = MIB;
	config.read_only = true;
	rig_refused(&config, -ENOENT, err);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_missing_directory_is_named(void **state)
{
	struct config_namespace config = file_config(MIB);
	char err[BACKEND_ERROR_MAX];

	(void)state;
	snprintf(config.path, sizeof(config.path), "%s/no/volume", dir);
	rig_refused(&config, -ENOENT, err);
	assert_contains(err, "/no/volume");
	assert_contains(err, "create its directory");
}

static void a_failed_creation_leaves_nothing(void **state)
{
	struct config_namespace config = file_config(MIB + 100);
	char err[BACKEND_ERROR_MAX];
	int descriptors = descriptors_count();

	(void)state;
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "no multiple of the block size");
	assert_int_equal(access(path, F_OK), -1);
	config.size = UINT64_C(1) << 62;
	rig_refused(&config, -EFBIG, err);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(descriptors_count(), descriptors);
}

static void an_existing_file_tells_its_size(void **state)
{
	struct config_namespace config = file_config(0);
	struct backend *backend;

	(void)state;
	file_write(3 * MIB + 700, "data");
	backend = opened(&config);
	/* Whole blocks. */
	assert_int_equal(backend_size(backend), 3 * MIB + 512);
	backend->ops->close(backend);
	assert_int_equal(file_stat().st_size, 3 * MIB + 700);
}

static void a_larger_size_grows_the_file(void **state)
{
	struct config_namespace config = file_config(2 * MIB);
	struct rig rig = { .config = config };

	(void)state;
	file_write(MIB, "precious");
	rig_open(&rig);
	assert_int_equal(backend_size(rig.backend), 2 * MIB);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 0, 512), 0);
	assert_memory_equal(rig.area.base, "precious", 8);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 2 * MIB - 512, 512), 0);
	rig_close(&rig);
	assert_int_equal(file_stat().st_size, 2 * MIB);
}

static void a_smaller_size_is_refused(void **state)
{
	struct config_namespace config = file_config(MIB);
	char err[BACKEND_ERROR_MAX];

	(void)state;
	file_write(2 * MIB, "precious");
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "2097152");
	assert_contains(err, "data would be lost");
	assert_int_equal(file_stat().st_size, 2 * MIB);
}

static void a_read_only_file_is_left_as_it_is(void **state)
{
	struct config_namespace config = file_config(2 * MIB);
	struct backend *first, *second;
	char err[BACKEND_ERROR_MAX];

	(void)state;
	file_write(MIB, "precious");
	config.read_only = true;
	rig_refused(&config, -EROFS, err);
	config.size = 0;
	first = opened(&config);
	assert_true(first->limits.read_only);
	assert_false(first->limits.discard);
	/* Readers can share it; a writer cannot join them. */
	second = opened(&config);
	config.read_only = false;
	rig_refused(&config, -EBUSY, err);
	first->ops->close(first);
	second->ops->close(second);
	assert_int_equal(file_stat().st_size, MIB);
}

static void other_kinds_are_refused(void **state)
{
	struct config_namespace config = file_config(MIB);
	char err[BACKEND_ERROR_MAX];

	(void)state;
	strcpy(config.path, "/var/tmp");
	rig_refused(&config, -EISDIR, err);
	assert_contains(err, "is a directory");
	strcpy(config.path, "/dev/null");
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "no regular file");
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(config.path, sizeof(config.path), "%s", path);
	rig_refused(&config, -EINVAL, err);
	config.path[0] = '\0';
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "needs a path");
	unlink(path);
	file_write(100, "");
	config = file_config(0);
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "is empty");
}

static struct backend *leaving;
static unsigned turns;

static void take_turn(void)
{
	if (++turns == 3 && leaving) {
		leaving->ops->close(leaving);
		leaving = NULL;
	}
}

/* Who waits for it is who closes it. */
static void a_change_takes_turns_while_it_waits(void **state)
{
	struct config_namespace config = file_config(MIB);
	struct backend *backend;

	(void)state;
	leaving = opened(&config);
	turns = 0;
	backend_change_begin(take_turn);
	backend = opened(&config);
	backend_change_end();
	assert_int_equal(turns, 3);
	assert_null(leaving);
	backend->ops->close(backend);
}

static void a_change_waits_once_for_all(void **state)
{
	struct config_namespace config = file_config(MIB);
	struct backend *holder = opened(&config);
	uint64_t begin_ns = clock_now_ns();
	char err[BACKEND_ERROR_MAX];

	(void)state;
	leaving = NULL;
	backend_change_begin(take_turn);
	for (int i = 0; i < 8; i++)
		rig_refused(&config, -EBUSY, err);
	backend_change_end();
	assert_in_range((clock_now_ns() - begin_ns) / 1000000, 450, 1500);
	/* The next change has time of its own. */
	turns = 0;
	backend_change_begin(take_turn);
	rig_refused(&config, -EBUSY, err);
	backend_change_end();
	assert_in_range(turns, 3, 100);
	holder->ops->close(holder);
}

/* In a child: holds the file open as a namespace until the pipe closes. */
static void holder_run(const struct config_namespace *config, int ready, int end)
{
	struct backend *backend;
	char err[BACKEND_ERROR_MAX], byte = 'x';

	if (backend_open(config, &backend, err, sizeof(err)))
		_exit(1);
	if (write(ready, &byte, 1) != 1 || read(end, &byte, 1) != 0)
		_exit(2);
	_exit(0);
}

static void another_process_keeps_it(void **state)
{
	struct config_namespace config = file_config(MIB);
	struct backend *backend;
	char err[BACKEND_ERROR_MAX], byte;
	int ready[2], end[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready) | pipe(end), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(end[1]);
		holder_run(&config, ready[1], end[0]);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	rig_refused(&config, -EBUSY, err);
	assert_contains(err, path);
	assert_contains(err, "in use by another namespace or process");
	close(end[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Gone with the process. */
	backend = opened(&config);
	backend->ops->close(backend);
}

static void *close_late(void *arg)
{
	struct backend *backend = arg;

	sleep(1);
	backend->ops->close(backend);
	return NULL;
}

/* As a ring closes, after the process that it belonged to is gone. */
static void what_is_closed_late_is_waited_for(void **state)
{
	struct config_namespace config = file_config(MIB);
	struct backend *backend = opened(&config);
	pthread_t closer;

	(void)state;
	assert_int_equal(pthread_create(&closer, NULL, close_late, backend), 0);
	backend = opened(&config);
	backend->ops->close(backend);
	assert_int_equal(pthread_join(closer, NULL), 0);
}

static void a_path_that_leads_elsewhere_is_noticed(void **state)
{
	struct config_namespace config = file_config(2 * MIB);
	struct backend *backend = opened(&config);
	char elsewhere[sizeof(path) + 4];

	(void)state;
	snprintf(elsewhere, sizeof(elsewhere), "%s.old", path);
	assert_false(backend->ops->moved(backend, &config));
	assert_int_equal(rename(path, elsewhere), 0);
	assert_true(backend->ops->moved(backend, &config));
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_true(backend->ops->moved(backend, &config));
	assert_int_equal(rename(elsewhere, path), 0);
	assert_false(backend->ops->moved(backend, &config));
	backend->ops->close(backend);
}

static void a_change_of_size_is_noticed(void **state)
{
	struct config_namespace config = file_config(2 * MIB);
	struct rig rig = { .config = config };

	(void)state;
	rig_open(&rig);
	assert_int_equal(truncate(path, 3 * MIB), 0);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), 1);
	assert_int_equal(backend_size(rig.backend), 3 * MIB);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), 0);
	/* Blocks that somebody cut off are an error, not zeroes, nor an endless retry. */
	assert_int_equal(truncate(path, MIB + 4096), 0);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, 2 * MIB, 4096), -EIO);
	assert_int_equal(rig_rw(&rig, BACKEND_READ, MIB, 8192), -EIO);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), 1);
	assert_int_equal(backend_size(rig.backend), MIB + 4096);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(rig.backend->ops->refresh(rig.backend), -ENODEV);
	rig_close(&rig);
}

/* Calls undo, and closes. */
static void undone(struct backend *backend, const struct config_namespace *config)
{
	backend->ops->undo(backend, config);
	backend->ops->close(backend);
}

/* What a change of the configuration did to a file is taken back when the change comes to nothing. */
static void what_open_did_is_undone(void **state)
{
	struct config_namespace config = file_config(2 * MIB);
	char err[BACKEND_ERROR_MAX] = "";

	(void)state;
	undone(opened(&config), &config);
	assert_int_equal(access(path, F_OK), -1);
	file_write(MIB + 100, "data");
	undone(opened(&config), &config);
	assert_int_equal(file_stat().st_size, MIB + 100);
	/* The same when open itself fails after it. */
	config.block_size = 4096;
	config.size = 2 * MIB + 512;
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "no multiple of the block size 4096");
	assert_int_equal(file_stat().st_size, MIB + 100);
	/* What it found as it should be stays. */
	file_write(2 * MIB, "data");
	config = file_config(2 * MIB);
	undone(opened(&config), &config);
	assert_int_equal(file_stat().st_size, 2 * MIB);
}

static void a_resize_is_undone(void **state)
{
	struct config_namespace config = file_config(MIB);
	struct backend *backend = opened(&config);
	char err[BACKEND_ERROR_MAX] = "";

	(void)state;
	config.size = 2 * MIB;
	assert_int_equal(backend->ops->resize(backend, &config, true, err, sizeof(err)), 0);
	assert_int_equal(file_stat().st_size, MIB);
	assert_int_equal(backend_size(backend), MIB);
	assert_int_equal(backend->ops->resize(backend, &config, false, err, sizeof(err)), 0);
	assert_int_equal(file_stat().st_size, 2 * MIB);
	assert_int_equal(backend_size(backend), 2 * MIB);
	/* The file that it made when it was opened stays: that was another change. */
	backend->ops->undo(backend, &config);
	assert_int_equal(file_stat().st_size, MIB);
	assert_int_equal(backend_size(backend), MIB);
	backend->ops->undo(backend, &config);
	assert_int_equal(file_stat().st_size, MIB);
	config.size = MIB / 2;
	assert_int_equal(backend->ops->resize(backend, &config, true, err, sizeof(err)), -EINVAL);
	assert_contains(err, "data would be lost");
	/* Somebody else has grown it since. */
	config.size = 2 * MIB;
	assert_int_equal(backend->ops->resize(backend, &config, false, err, sizeof(err)), 0);
	assert_int_equal(truncate(path, 3 * MIB), 0);
	undone(backend, &config);
	assert_int_equal(file_stat().st_size, 3 * MIB);
}

static void discard_gives_space_back(void **state)
{
	struct config_namespace config = file_config(4 * MIB);
	struct rig rig = { .config = config };

	(void)state;
	rig_open(&rig);
	memset(rig.area.base, 0x77, MIB);
	for (uint64_t at = 0; at < 4 * MIB; at += MIB)
		assert_int_equal(rig_rw(&rig, BACKEND_WRITE, at, MIB), 0);
	assert_int_equal(rig_op(&rig, BACKEND_FLUSH, 0, 0, 0), 0);
	assert_in_range(file_stat().st_blocks * 512, 4 * MIB, 5 * MIB);
	assert_int_equal(rig_op(&rig, BACKEND_DISCARD, 0, MIB, MIB), 0);
	assert_int_equal(rig_op(&rig, BACKEND_WRITE_ZEROES, BACKEND_IO_UNMAP, 2 * MIB, MIB), 0);
	assert_in_range(file_stat().st_blocks * 512, 2 * MIB, 2 * MIB + 65536);
	assert_int_equal(file_stat().st_size, 4 * MIB);
	rig_close(&rig);
}

/* More than a file may have in this process: the error of a full disk, without filling one. */
static void a_write_that_does_not_fit_fails_alone(void **state)
{
	struct config_namespace config = file_config(4 * MIB);
	struct rig rig = { .config = config };
	struct rlimit old, limit;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	rig_open(&rig);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = (struct rlimit){ 2 * MIB, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 3 * MIB, 4096), -EFBIG);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, MIB, 4096), 0);
	/* The part that fits is written, the rest fails, and so the whole does. */
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 2 * MIB - 4096, 8192), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rig_rw(&rig, BACKEND_WRITE, 3 * MIB, 4096), 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_file_is_created_sparse, path_clear),
		cmocka_unit_test_setup(a_missing_file_needs_a_size, path_clear),
		cmocka_unit_test_setup(a_missing_directory_is_named, path_clear),
		cmocka_unit_test_setup(a_failed_creation_leaves_nothing, path_clear),
		cmocka_unit_test_setup(an_existing_file_tells_its_size, path_clear),
		cmocka_unit_test_setup(a_larger_size_grows_the_file, path_clear),
		cmocka_unit_test_setup(a_smaller_size_is_refused, path_clear),
		cmocka_unit_test_setup(a_read_only_file_is_left_as_it_is, path_clear),
		cmocka_unit_test_setup(other_kinds_are_refused, path_clear),
		cmocka_unit_test_setup(a_change_takes_turns_while_it_waits, path_clear),
		cmocka_unit_test_setup(a_change_waits_once_for_all, path_clear),
		cmocka_unit_test_setup(another_process_keeps_it, path_clear),
		cmocka_unit_test_setup(what_is_closed_late_is_waited_for, path_clear),
		cmocka_unit_test_setup(a_path_that_leads_elsewhere_is_noticed, path_clear),
		cmocka_unit_test_setup(a_change_of_size_is_noticed, path_clear),
		cmocka_unit_test_setup(what_open_did_is_undone, path_clear),
		cmocka_unit_test_setup(a_resize_is_undone, path_clear),
		cmocka_unit_test_setup(discard_gives_space_back, path_clear),
		cmocka_unit_test_setup(a_write_that_does_not_fit_fails_alone, path_clear),
	};
	int rc;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/volume", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return rc;
}
