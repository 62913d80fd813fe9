/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking a daemon that is there, is not there, or is none. */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sluicectl-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/control.sock", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int listen_here(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(listen(fd, 1), errno);
	return fd;
}

/* A daemon for one client, in a thread. */
struct daemon {
	pthread_t thread;
	int fd;
	const char *answer;   /* NULL: closes without one */
	size_t times;         /* that it is sent */
	bool without_asking;  /* as a daemon with too many clients does */
	char request[256];
};

static void *daemon_main(void *arg)
{
	struct daemon *daemon = arg;
	int fd = accept(daemon->fd, NULL, NULL);

	/* The lengths are short enough to come and go whole. */
	if (!daemon->without_asking &&
	    recv(fd, daemon->request, sizeof(daemon->request) - 1, 0) < 0)
		abort();
	for (size_t i = 0; daemon->answer && i < daemon->times; i++)
		if (send(fd, daemon->answer, strlen(daemon->answer), MSG_NOSIGNAL) < 0)
			break;
	close(fd);
	return NULL;
}

static int ask(struct daemon *daemon, char **reply, char *error, size_t size)
{
	int rc;

	daemon->fd = listen_here();
	assert_int_equal(pthread_create(&daemon->thread, NULL, daemon_main, daemon), 0);
	rc = client_ask(path, "status", reply, error, size);
	pthread_join(daemon->thread, NULL);
	close(daemon->fd);
	return rc;
}

static void test_answer(void **state)
{
	struct daemon daemon = { .answer = "{\"ok\":true}\n", .times = 1 };
	char *reply, error[256];

	(void)state;
	assert_int_equal(ask(&daemon, &reply, error, sizeof(error)), 0);
	assert_string_equal(reply, "{\"ok\":true}");
	assert_string_equal(daemon.request, "{\"verb\": \"status\"}\n");
	free(reply);
}

static void test_answer_before_the_question(void **state)
{
	struct daemon daemon = { .answer = "{\"ok\":false}\n", .times = 1, .without_asking = true };
	char *reply, error[256];

	(void)state;
	assert_int_equal(ask(&daemon, &reply, error, sizeof(error)), 0);
	assert_string_equal(reply, "{\"ok\":false}");
	free(reply);
}

static void test_no_answer(void **state)
{
	struct daemon daemon = { .answer = NULL };
	char *reply, error[256];

	(void)state;
	assert_int_equal(ask(&daemon, &reply, error, sizeof(error)), -ECONNRESET);
	assert_null(reply);
	assert_non_null(strstr(error, "closed the connection without an answer"));
}

/* It is asked for a change, which takes longer than this client waits. */
static void test_late_answer(void **state)
{
	int fd = listen_here();
	char *reply, error[256];

	(void)state;
	assert_int_equal(client_request(path, "{}", 1, &reply, error, sizeof(error)), -EAGAIN);
	assert_null(reply);
	assert_non_null(strstr(error, "did not answer within 1 s"));
	assert_true(CLIENT_CHANGE_TIMEOUT_S > CLIENT_TIMEOUT_S);
	close(fd);
}

static void test_half_an_answer(void **state)
{
	struct daemon daemon = { .answer = "{\"ok\":", .times = 1 };
	char *reply, error[256];

	(void)state;
	assert_int_equal(ask(&daemon, &reply, error, sizeof(error)), -ECONNRESET);
	assert_null(reply);
}

static void test_large_answer(void **state)
{
	struct daemon daemon = { .times = 1 };
	size_t size = 3 << 20;
	char *reply, *answer = malloc(size + 1), error[256];

	(void)state;
	assert_non_null(answer);
	memset(answer, 'x', size);
	answer[size - 1] = '\n';
	answer[size] = '\0';
	daemon.answer = answer;
	assert_int_equal(ask(&daemon, &reply, error, sizeof(error)), 0);
	assert_int_equal(strlen(reply), size - 1);
	free(reply);
	free(answer);
}

static void test_endless_answer(void **state)
{
	struct daemon daemon = { .answer = "for ever and ever, ", .times = SIZE_MAX };
	char *reply, error[256];

	(void)state;
	assert_int_equal(ask(&daemon, &reply, error, sizeof(error)), -EMSGSIZE);
	assert_null(reply);
	assert_non_null(strstr(error, "longer than 32 MiB"));
}

static void test_nobody(void **state)
{
	char *reply, error[256];
	int fd;

	(void)state;
	assert_int_equal(client_ask(path, "status", &reply, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "is sluiced running?"));
	fd = listen_here();
	close(fd);
	assert_int_equal(client_ask(path, "status", &reply, error, sizeof(error)), -ECONNREFUSED);
	assert_non_null(strstr(error, "nobody listens"));
}

/* In a process that is nobody. */
static void test_permission(void **state)
{
	int fd, status;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	fd = listen_here();
	assert_return_code(chmod(dir, 0755), errno);
	assert_return_code(chmod(path, 0660), errno);
	pid = fork();
	if (!pid) {
		char *reply, error[256];
		bool right = !setgid(65534) && !setuid(65534) &&
			     client_ask(path, "status", &reply, error, sizeof(error)) == -EACCES &&
			     strstr(error, "members of group root");

		_exit(!right);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
}

static void test_path_too_long(void **state)
{
	char longest[200], *reply, error[512];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(client_ask(longest, "status", &reply, error, sizeof(error)),
			 -ENAMETOOLONG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_answer),
		TEST(test_answer_before_the_question),
		TEST(test_no_answer),
		TEST(test_late_answer),
		TEST(test_half_an_answer),
		TEST(test_large_answer),
		TEST(test_endless_answer),
		TEST(test_nobody),
		TEST(test_permission),
		TEST(test_path_too_long),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
