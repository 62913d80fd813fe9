/* SPDX-License-Identifier: BSD-3-Clause */
/* Areas from another process: a thread plays that process, and answers right and wrong. */
#include "scratch_root.h"

#include "fake_dmabuf.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "dmabuf/area.h"

enum { MIB = 1 << 20, MAX_FDS = 6, PAUSE_MS = 2000 };

/* What the process that exports does with the one connection that it takes. */
struct peer {
	const char *answer; /* NULL: none, it closes */
	unsigned n_fds;	    /* attached to the answer */
	int flags;	    /* that the descriptors are opened with */
	size_t size;	    /* of what they stand for */
	int given;	    /* what it gives instead of new memory; 0: nothing */
	bool full;	    /* lets the process have no more descriptors from then on */
	bool apart;	    /* each byte of the answer by itself */
	bool pauses;	    /* behind the first one, for the other side to close */
	bool silent;	    /* keeps the connection and says nothing more */
	int late_s;	    /* makes the clock go on by so much before it answers */
	int listener;
	char request[256];
	pthread_t thread;
};

static char path[108];

static struct sockaddr_un address(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memcpy(a.sun_path, path, sizeof(path));
	return a;
}

static int peer_fd(const struct peer *peer)
{
	int fd = peer->given ? dup(peer->given) : memfd_create("peer", MFD_CLOEXEC), again;
	char link[64];

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)peer->size), 0);
	assert_int_equal(pwrite(fd, "secret", 6, 0), 6);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	again = open(link, peer->flags | O_CLOEXEC);
	assert_true(again >= 0);
	close(fd);
	return again;
}

/* Lets the process open descriptors below @limit. Returns the limit that was. */
static rlim_t descriptors_limit(rlim_t limit)
{
	struct rlimit now;
	rlim_t before;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
	before = now.rlim_cur;
	now.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	return before;
}

static void peer_answer(const struct peer *peer, int sock)
{
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	size_t len = strlen(peer->answer);
	struct iovec iov = { (void *)(uintptr_t)peer->answer, peer->apart ? 1 : len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[MAX_FDS];

	for (unsigned i = 0; i < peer->n_fds; i++)
		fds[i] = peer_fd(peer);
	if (peer->n_fds) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(peer->n_fds * sizeof(int)),
				       .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), fds, peer->n_fds * sizeof(int));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(peer->n_fds * sizeof(int));
	}
	if (peer->full)
		descriptors_limit(1); /* and poll() has its one */
	assert_int_equal(sendmsg(sock, &msg, MSG_NOSIGNAL), iov.iov_len);
	if (peer->pauses && poll(&(struct pollfd){ .fd = sock, .events = POLLIN }, 1, PAUSE_MS))
		len = 0;
	for (size_t i = iov.iov_len; i < len; i++)
		assert_int_equal(send(sock, peer->answer + i, 1, MSG_NOSIGNAL), 1);
	for (unsigned i = 0; i < peer->n_fds; i++)
		close(fds[i]);
}

static void *peer_main(void *arg)
{
	struct peer *peer = arg;
	int sock = accept(peer->listener, NULL, NULL);
	size_t len = 0;

	while (sock >= 0 && len < sizeof(peer->request) - 1 && !strchr(peer->request, '\n')) {
		ssize_t n = recv(sock, peer->request + len, sizeof(peer->request) - 1 - len, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	__atomic_store_n(&fake.clock_ahead_s, peer->late_s, __ATOMIC_RELAXED);
	if (peer->answer)
		peer_answer(peer, sock);
	/* Until the other side has had enough. */
	while (peer->silent && recv(sock, &(char){ 0 }, 1, 0) > 0)
		;
	close(sock);
	return NULL;
}

static void peer_start(struct peer *peer)
{
	struct sockaddr_un a = address();

	memset(peer->request, 0, sizeof(peer->request));
	peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(peer->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(peer->listener, 1), 0);
	assert_int_equal(pthread_create(&peer->thread, NULL, peer_main, peer), 0);
}

static void peer_stop(struct peer *peer)
{
	pthread_join(peer->thread, NULL);
	close(peer->listener);
	unlink(path);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	if (scratch_root_make(state))
		return -1;
	snprintf(path, sizeof(path), "%s/peer.sock", scratch_root);
	return 0;
}

static const struct area_spec spec = {
	.name = "worker 3",
	.size = 2 * MIB,
	.import_socket = path,
};

static void what_a_peer_gives_is_used(void **state)
{
	static const char zeroes[16];
	struct peer peer = { .answer = "{\"size\": 3145728, \"note\": [1]}\n",
			     .n_fds = 1,
			     .flags = O_RDWR,
			     .size = 3 * MIB,
			     .apart = true };
	int before = open_descriptors();
	struct area area;

	(void)state;
	peer_start(&peer);
	assert_int_equal(area_create(&area, "import", &spec), 0);
	peer_stop(&peer);
	assert_string_equal(peer.request,
			    "{\"request\":\"dma-buf\",\"name\":\"worker 3\",\"size\":2097152}\n");
	assert_int_equal(area.faces, AREA_FACE_DMABUF | AREA_FACE_CPU);
	assert_int_equal(area.size, 2 * MIB);
	/* What was in it stays with the peer. */
	assert_memory_equal(area.base, zeroes, sizeof(zeroes));
	memset(area.base, 0x5a, area.size);
	assert_int_equal(fake.starts, 1);
	assert_int_equal(fcntl(area.dmabuf_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	area_destroy(&area);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(open_descriptors(), before);
}

static void what_cannot_be_mapped_has_no_cpu_face(void **state)
{
	struct peer peer = {
		.answer = "{\"size\":2097152}\n", .n_fds = 1, .flags = O_RDWR, .size = 2 * MIB
	};
	struct area_spec needing = spec;
	struct area area;

	(void)state;
	fake.sync_error = ENODEV;
	peer_start(&peer);
	assert_int_equal(area_create(&area, "import", &spec), 0);
	peer_stop(&peer);
	assert_int_equal(area.faces, AREA_FACE_DMABUF);
	assert_non_null(strstr(area.why_not, "cpu: the exporter"));
	area_destroy(&area);

	/* Who cannot do without is told what to do. */
	needing.needs = AREA_FACE_CPU;
	peer_start(&peer);
	assert_int_equal(area_create(&area, "import", &needing), -EOPNOTSUPP);
	peer_stop(&peer);
	assert_non_null(strstr(area.why_not, "worker 3 needs memory that the CPU can reach"));
	assert_non_null(strstr(area.why_not, "set [memory] provider = memfd"));
}

#define RIGHT "{\"size\":2097152}\n"
#define X64   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void wrong_answers_are_refused(void **state)
{
	static const struct {
		struct peer peer;
		int rc;
		const char *says;
	} cases[] = {
		{ { .answer = NULL }, -ECONNRESET, "closed the connection before it answered" },
		{ { .answer = "{\"size\":2097152}" }, -ECONNRESET, "closed the connection before" },
		{ { .answer = RIGHT }, -EBADMSG, "attached 0 descriptors" },
		{ { .answer = RIGHT, .n_fds = 2 }, -EBADMSG, "attached 2 descriptors" },
		{ { .answer = RIGHT, .n_fds = MAX_FDS },
		  -EBADMSG,
		  "attached more than 4 descriptors to its answer instead of one" },
		{ { .answer = "\n", .n_fds = 1 },
		  -EPROTO,
		  "something else than {\"size\": BYTES}" },
		{ { .answer = "{}\n", .n_fds = 1 }, -EPROTO, "something else" },
		{ { .answer = "[2097152]\n", .n_fds = 1 }, -EPROTO, "something else" },
		{ { .answer = "{\"size\":\n", .n_fds = 1 }, -EPROTO, "something else" },
		{ { .answer = "{\"size\":\"2097152\"}\n", .n_fds = 1 }, -EPROTO, "something else" },
		{ { .answer = "{\"size\":-1}\n", .n_fds = 1 }, -EPROTO, "something else" },
		{ { .answer = "{\"size\":0}\n", .n_fds = 1 }, -EPROTO, "something else" },
		{ { .answer = "{\"size\":1048576}\n", .n_fds = 1 },
		  -ENOSPC,
		  "it has 1 MiB, wanted 2 MiB; export more, or lower [memory] per_worker" },
		{ { .answer = "{\"size\":2097153}\n", .n_fds = 1 },
		  -EBADMSG,
		  "not the 2.0 MiB that it tells" },
		{ { .answer = RIGHT, .n_fds = 1, .flags = O_RDONLY },
		  -EACCES,
		  "exported with O_RDWR" },
		{ { .answer = RIGHT, .n_fds = 1, .flags = O_WRONLY },
		  -EACCES,
		  "exported with O_RDWR" },
		{ { .answer = "{\"error\":\"all \\u0007memory is taken\"}\n" },
		  -EREMOTEIO,
		  "refuses: all ?memory is taken" },
		{ { .answer = "{\"error\":null}\n" }, -EREMOTEIO, "refuses: no reason" },
		{ { .answer = X64 X64 X64 X64 X64 X64 X64 X64, .silent = true, .n_fds = 1 },
		  -EMSGSIZE,
		  "has no end within 512 bytes" },
	};
	int before = open_descriptors();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer peer = cases[i].peer;
		struct area area;
		int rc;

		peer.size = 2 * MIB;
		if (!peer.flags && cases[i].rc != -EACCES)
			peer.flags = O_RDWR;
		peer_start(&peer);
		rc = area_create(&area, "import", &spec);
		peer_stop(&peer);
		if (rc != cases[i].rc || !strstr(area.why_not, cases[i].says))
			fail_msg("case %u: %d, '%s' is not in: %s", i, rc, cases[i].says,
				 area.why_not);
		assert_non_null(strstr(area.why_not, path));
		area_destroy(&area);
		assert_int_equal(open_descriptors(), before);
	}
}

/* The kernel drops what it cannot install, which is not the peer's fault. */
static void without_room_for_the_descriptor_that_is_said(void **state)
{
	struct peer peer = {
		.answer = RIGHT, .n_fds = 1, .flags = O_RDWR, .size = 2 * MIB, .full = true
	};
	rlim_t before = descriptors_limit(256);
	struct area area;
	int rc;

	(void)state;
	peer_start(&peer);
	rc = area_create(&area, "import", &spec);
	peer_stop(&peer);
	descriptors_limit(before);
	assert_int_equal(rc, -EMFILE);
	assert_non_null(strstr(area.why_not, path));
	assert_non_null(strstr(area.why_not, "RLIMIT_NOFILE is 1: raise LimitNOFILE="));
}

static void a_dmabuf_is_for_one_worker(void **state)
{
	int fd = memfd_create("both", MFD_CLOEXEC);
	struct peer peer = {
		.answer = RIGHT, .n_fds = 1, .flags = O_RDWR, .size = 2 * MIB, .given = fd
	};
	struct peer other = { .answer = RIGHT, .n_fds = 1, .flags = O_RDWR, .size = 2 * MIB };
	struct area_spec second = spec;
	struct area areas[3];
	char says[256];

	(void)state;
	second.name = "worker 5";
	peer_start(&peer);
	assert_int_equal(area_create(&areas[0], "import", &spec), 0);
	peer_stop(&peer);
	/* Another one may come in between. */
	peer_start(&other);
	assert_int_equal(area_create(&areas[1], "import", &second), 0);
	peer_stop(&other);

	peer_start(&peer);
	assert_int_equal(area_create(&areas[2], "import", &second), -EEXIST);
	peer_stop(&peer);
	snprintf(says, sizeof(says),
		 "%s gave the same dma-buf for worker 3 and worker 5: export one for each", path);
	assert_non_null(strstr(areas[2].why_not, says));

	/* Who gave it back does not count. */
	area_destroy(&areas[0]);
	peer_start(&peer);
	assert_int_equal(area_create(&areas[0], "import", &second), 0);
	peer_stop(&peer);
	area_destroy(&areas[0]);
	area_destroy(&areas[1]);
	close(fd);
}

static void a_file_is_no_dmabuf(void **state)
{
	struct peer peer = { .answer = RIGHT, .n_fds = 1, .flags = O_RDWR, .size = 2 * MIB };
	struct area area;

	(void)state;
	fake.not_a_dmabuf = true;
	peer_start(&peer);
	assert_int_equal(area_create(&area, "import", &spec), -EBADMSG);
	peer_stop(&peer);
	assert_non_null(strstr(area.why_not, "is no dma-buf"));
}

static void a_peer_that_is_not_there_is_named(void **state)
{
	struct area_spec nowhere = { .name = "x", .size = 2 * MIB };
	struct sockaddr_un a = address();
	struct area area;
	int sock;

	(void)state;
	assert_int_equal(area_create(&area, "import", &nowhere), -EINVAL);
	assert_non_null(strstr(area.why_not, "set [memory] import_socket"));
	assert_int_equal(area_create(&area, "import", &spec), -ENOENT);
	assert_non_null(strstr(area.why_not, path));
	assert_non_null(strstr(area.why_not, "start the process that exports"));
	/* A socket that nobody serves any more. */
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	close(sock);
	assert_int_equal(area_create(&area, "import", &spec), -ECONNREFUSED);
	assert_non_null(strstr(area.why_not, "Connection refused"));
}

/* A byte now and then does not prolong it. */
static void a_peer_that_takes_too_long_is_given_up(void **state)
{
	struct peer peer = { .answer = "{", .silent = true, .late_s = 21 };
	struct area area;

	(void)state;
	peer_start(&peer);
	assert_int_equal(area_create(&area, "import", &spec), -ETIMEDOUT);
	peer_stop(&peer);
	assert_non_null(strstr(area.why_not, "did not answer within 20 s"));
}

static void a_slow_peer_is_awaited(void **state)
{
	struct peer peer = { .answer = RIGHT,
			     .n_fds = 1,
			     .flags = O_RDWR,
			     .size = 2 * MIB,
			     .apart = true,
			     .late_s = 15 };
	struct area area;

	(void)state;
	peer_start(&peer);
	assert_int_equal(area_create(&area, "import", &spec), 0);
	peer_stop(&peer);
	area_destroy(&area);
}

/* However many there are, a start does not take longer; but only waiting for the peer counts. */
static void workers_share_the_time_to_wait(void **state)
{
	struct peer peer = { .answer = RIGHT, .n_fds = 1, .flags = O_RDWR, .size = 2 * MIB };
	struct area areas[3];

	(void)state;
	peer.late_s = 12;
	peer_start(&peer);
	assert_int_equal(area_create(&areas[0], "import", &spec), 0);
	peer_stop(&peer);

	fake.clock_ahead_s = 100;
	peer.late_s = 105;
	peer_start(&peer);
	assert_int_equal(area_create(&areas[1], "import", &spec), 0);
	peer_stop(&peer);

	peer.late_s = 110;
	peer.apart = peer.pauses = true;
	peer_start(&peer);
	assert_int_equal(area_create(&areas[2], "import", &spec), -ETIMEDOUT);
	peer_stop(&peer);
	assert_non_null(strstr(areas[2].why_not, "which all workers together wait for it"));

	area_destroy(&areas[0]);
	area_destroy(&areas[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scratch_root_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_peer_gives_is_used),
		TEST(what_cannot_be_mapped_has_no_cpu_face),
		TEST(wrong_answers_are_refused),
		TEST(without_room_for_the_descriptor_that_is_said),
		TEST(a_dmabuf_is_for_one_worker),
		TEST(a_file_is_no_dmabuf),
		TEST(a_peer_that_is_not_there_is_named),
		TEST(a_peer_that_takes_too_long_is_given_up),
		TEST(a_slow_peer_is_awaited),
		TEST(workers_share_the_time_to_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
