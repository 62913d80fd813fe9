/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket: opening and closing it, and clients of every kind. There are no workers. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/loop.h"
#include "target/control.h"
#include "target/subsys.h"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_ERROR);
	strcpy(dir, "/tmp/sluice-control-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/control.sock", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	control_close();
	unlink(path);
	return rmdir(dir);
}

static struct sockaddr_un address_of(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, name);
	return address;
}

/* A socket of somebody else at the path. */
static int bind_other(void)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

static int client_new(void)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

/* What the daemon's main thread does while there is something to do. */
static void serve(void)
{
	struct pollfd poll_fd = { .fd = control_fd(), .events = POLLIN };

	while (poll(&poll_fd, 1, 0) > 0)
		control_handle();
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line that the client gets, for the caller to put; NULL: the connection was closed. */
static struct json_object *reply_of(int fd)
{
	static char line[1 << 20];
	size_t len = 0;

	for (;;) {
		ssize_t n;

		serve();
		n = recv(fd, line + len, 1, 0);
		if (n == 0)
			return NULL;
		if (n < 0)
			fail_msg("no reply: %s", strerror(errno));
		if (line[len] == '\n')
			break;
		assert_true(++len < sizeof(line) - 1);
	}
	line[len] = '\0';
	return json_tokener_parse(line);
}

static bool is_ok(struct json_object *reply)
{
	struct json_object *ok;

	assert_true(json_object_object_get_ex(reply, "ok", &ok));
	return json_object_get_boolean(ok);
}

static void assert_ok(int fd)
{
	struct json_object *reply = reply_of(fd);

	assert_true(is_ok(reply));
	json_object_put(reply);
}

static void assert_refused(int fd, const char *why)
{
	struct json_object *reply = reply_of(fd), *error;

	assert_non_null(reply);
	assert_false(is_ok(reply));
	assert_true(json_object_object_get_ex(reply, "error", &error));
	assert_non_null(strstr(json_object_get_string(error), why));
	json_object_put(reply);
}

#define STATUS "{\"verb\": \"status\"}\n"

/* ------------------------------------------------------------------------------- open and close */

static void test_open_close(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(control_fd(), -1);
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	assert_true(control_fd() >= 0);
	assert_return_code(lstat(path, &st), errno);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	control_close();
	assert_int_equal(control_fd(), -1);
	assert_int_equal(lstat(path, &st), -1);
	control_close();
	control_handle();
}

static void test_owner(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(control_open(path, 65534, 65534), 0);
	assert_return_code(lstat(path, &st), errno);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_gid, 65534);
}

static void test_directory_is_made(void **state)
{
	char deep[128];
	struct stat st;

	(void)state;
	snprintf(deep, sizeof(deep), "%s/new/control.sock", dir);
	assert_int_equal(control_open(deep, (uid_t)-1, (gid_t)-1), 0);
	assert_return_code(lstat(deep, &st), errno);
	control_close();
	*strrchr(deep, '/') = '\0';
	assert_return_code(rmdir(deep), errno);

	snprintf(deep, sizeof(deep), "%s/no/such/control.sock", dir);
	assert_int_equal(control_open(deep, (uid_t)-1, (gid_t)-1), -ENOENT);
}

static void test_path_too_long(void **state)
{
	char longest[200];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(control_open(longest, (uid_t)-1, (gid_t)-1), -ENAMETOOLONG);
}

static void test_stale_socket_is_replaced(void **state)
{
	(void)state;
	close(bind_other());
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
}

static void test_second_daemon_is_refused(void **state)
{
	int fd = bind_other();
	struct stat before, after;

	(void)state;
	assert_return_code(listen(fd, 1), errno);
	assert_return_code(lstat(path, &before), errno);
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), -EADDRINUSE);
	assert_return_code(lstat(path, &after), errno);
	assert_int_equal(before.st_ino, after.st_ino);
	close(fd);
}

static void test_other_file_is_left_alone(void **state)
{
	struct stat st;

	(void)state;
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), -EEXIST);
	assert_return_code(lstat(path, &st), errno);
	assert_true(S_ISREG(st.st_mode));
}

static void test_successor_is_left_alone(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	/* Both inodes exist at once, or the number could be the same. */
	assert_return_code(rename(path, "/tmp/sluice-control-old"), errno);
	fd = bind_other();
	control_close();
	assert_return_code(lstat(path, &st), errno);
	close(fd);
	unlink("/tmp/sluice-control-old");
}

/* -------------------------------------------------------------------------------------- clients */

static void test_ask(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	fd = client_new();
	send_text(fd, STATUS);
	assert_ok(fd);
	send_text(fd, "{\"verb\": \"nonsense\"}\n");
	assert_refused(fd, "unknown verb \"nonsense\"; there are connections, status, subsystems");
	send_text(fd, "rubbish\n");
	assert_refused(fd, "not JSON");
	send_text(fd, STATUS);
	assert_ok(fd);
	close(fd);
}

static void test_every_byte_alone(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	fd = client_new();
	for (const char *p = STATUS; *p; p++) {
		assert_int_equal(send(fd, p, 1, 0), 1);
		serve();
	}
	assert_ok(fd);
	close(fd);
}

static void test_requests_in_advance(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	fd = client_new();
	send_text(fd, STATUS STATUS "rubbish\n" STATUS);
	shutdown(fd, SHUT_WR);
	assert_ok(fd);
	assert_ok(fd);
	assert_refused(fd, "not JSON");
	assert_ok(fd);
	assert_null(reply_of(fd));
	close(fd);
}

static void test_half_a_request(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	fd = client_new();
	send_text(fd, "{\"verb\": \"status\"}");
	serve();
	shutdown(fd, SHUT_WR);
	assert_null(reply_of(fd));
	close(fd);
}

static void test_too_long_a_request(void **state)
{
	char text[MAX_CONTROL_REQUEST + 1];
	int fd;

	(void)state;
	memset(text, ' ', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	fd = client_new();
	send_text(fd, text);
	assert_refused(fd, "longer than 4096 bytes");
	assert_null(reply_of(fd));
	close(fd);
}

static void test_client_that_does_not_wait(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	for (unsigned i = 0; i < 3 * MAX_CONTROL_CLIENTS; i++) {
		fd = client_new();
		send_text(fd, STATUS);
		close(fd);
		serve();
	}
	fd = client_new();
	send_text(fd, STATUS);
	assert_ok(fd);
	close(fd);
}

static void test_too_many_clients(void **state)
{
	int fds[MAX_CONTROL_CLIENTS + 1];

	(void)state;
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client_new();
		serve();
	}
	assert_refused(fds[MAX_CONTROL_CLIENTS], "too many clients");
	assert_null(reply_of(fds[MAX_CONTROL_CLIENTS]));
	close(fds[0]);
	serve();
	fds[0] = client_new();
	for (unsigned i = 0; i < MAX_CONTROL_CLIENTS; i++) {
		send_text(fds[i], STATUS);
		assert_ok(fds[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/* Subsystems that take 230 kB each to tell of. */
static void subsystems_make_many(unsigned n)
{
	static char hosts[1000][CONFIG_NQN_MAX];
	static const struct config_subsystem config = {
		.hosts = { hosts, ARRAY_SIZE(hosts), false },
	};

	memset(hosts, 'x', sizeof(hosts));
	for (unsigned i = 0; i < ARRAY_SIZE(hosts); i++)
		hosts[i][CONFIG_NQN_MAX - 1] = '\0';
	subsystems = calloc(n, sizeof(*subsystems));
	assert_non_null(subsystems);
	n_subsystems = n;
	for (unsigned i = 0; i < n; i++) {
		subsystems[i] = subsys_new(&config);
		assert_non_null(subsystems[i]);
	}
}

static void subsystems_free(void)
{
	while (n_subsystems)
		subsys_free(subsystems[--n_subsystems]);
	free(subsystems);
	subsystems = NULL;
}

/* Also the limits in time: an idle client and one that does not take its reply are closed. */
static void test_slow_client(void **state)
{
	int slow, idle, fd, size = 4096;
	uint64_t begin_ns;
	char byte;
	size_t got = 0;
	ssize_t n;

	(void)state;
	subsystems_make_many(20);
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	slow = client_new();
	setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	send_text(slow, "{\"verb\": \"subsystems\"}\n");
	idle = client_new();
	serve();
	begin_ns = clock_now_ns(); /* all clocks of clients run by now */

	/* Nothing to do, so nothing is done, although the slow client's reply is not sent. */
	assert_int_equal(poll(&(struct pollfd){ .fd = control_fd(), .events = POLLIN }, 1, 200), 0);
	fd = client_new();
	send_text(fd, STATUS);
	assert_ok(fd);
	close(fd);
	serve();

	while (clock_now_ns() - begin_ns < (CONTROL_CLIENT_TIMEOUT_MS + 200) * 1000000ull) {
		poll(&(struct pollfd){ .fd = control_fd(), .events = POLLIN }, 1, 100);
		serve();
	}
	assert_int_equal(recv(idle, &byte, 1, 0), 0);
	while ((n = recv(slow, (char[4096]){ 0 }, 4096, 0)) > 0)
		got += (size_t)n;
	assert_true(n == 0 || errno == ECONNRESET);
	assert_true(got > 0 && got < 20 * 230000);
	/* Without clients there is no clock to run. */
	assert_int_equal(poll(&(struct pollfd){ .fd = control_fd(), .events = POLLIN }, 1, 300), 0);
	close(slow);
	close(idle);
	subsystems_free();
}

static void test_too_large_a_reply(void **state)
{
	int fd;

	(void)state;
	subsystems_make_many(80);
	assert_int_equal(control_open(path, (uid_t)-1, (gid_t)-1), 0);
	fd = client_new();
	send_text(fd, "{\"verb\": \"subsystems\"}\n");
	assert_refused(fd, "larger than 16 MiB");
	close(fd);
	subsystems_free();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_open_close),
		TEST(test_owner),
		TEST(test_directory_is_made),
		TEST(test_path_too_long),
		TEST(test_stale_socket_is_replaced),
		TEST(test_second_daemon_is_refused),
		TEST(test_other_file_is_left_alone),
		TEST(test_successor_is_left_alone),
		TEST(test_ask),
		TEST(test_every_byte_alone),
		TEST(test_requests_in_advance),
		TEST(test_half_a_request),
		TEST(test_too_long_a_request),
		TEST(test_client_that_does_not_wait),
		TEST(test_too_many_clients),
		TEST(test_slow_client),
		TEST(test_too_large_a_reply),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
