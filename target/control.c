/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "target/control_action.h"
#include "target/control_collect.h"
#include "target/control_report.h"
#include "target/control_request.h"

/* Marks of the epoll events that are not a client's, whose mark is its index. */
enum { MARK_LISTEN = MAX_CONTROL_CLIENTS, MARK_TIMER, MARK_WATCHED };

enum {
	DIR_LOCK_TRIES = 50,
	DIR_LOCK_WAIT_US = 20000,
	ACCEPT_PAUSE_MS = 1000, /* when the process is out of descriptors */
};

struct client {
	int fd; /* -1: free */
	bool eof; /* it sends no more, but takes what it asked for */
	uint64_t deadline_ns;
	struct control_input input;
	char *reply; /* owned; NULL: none to send */
	size_t reply_len, reply_sent;
};

struct daemon_info daemon_info;

static struct {
	int epoll_fd, listen_fd, timer_fd; /* -1: not open */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat inode; /* of the socket, so that nobody else's is removed */
	uint64_t accept_again_ns; /* 0: accepting */
	int watched_fd;		  /* -1: none */
	void (*watched)(void);
	struct client clients[MAX_CONTROL_CLIENTS];
} control = { .epoll_fd = -1, .listen_fd = -1, .timer_fd = -1, .watched_fd = -1 };

static int epoll_set(int op, int fd, uint32_t mark, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = mark };

	return epoll_ctl(control.epoll_fd, op, fd, &event) ? -errno : 0;
}

/* -------------------------------------------------------------------------------------- clients */

static uint32_t client_index(const struct client *client)
{
	return (uint32_t)(client - control.clients);
}

static void client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
	free(client->reply);
	client->reply = NULL;
}

static void client_restart_clock(struct client *client)
{
	client->deadline_ns = clock_now_ns() + CONTROL_CLIENT_TIMEOUT_MS * 1000000ull;
}

/* A line of @reply, which is given up, in memory that the caller frees; NULL without memory. */
static char *reply_text(struct json_object *reply, size_t *len)
{
	const char *text = json_object_to_json_string_length(
		reply, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, len);
	char *line = text ? malloc(*len + 1) : NULL;

	if (line) {
		memcpy(line, text, *len);
		line[(*len)++] = '\n';
	}
	json_object_put(reply);
	return line;
}

/* Sends what the client takes now. False: it is gone. */
static bool client_send(struct client *client)
{
	while (client->reply_sent < client->reply_len) {
		ssize_t n = send(client->fd, client->reply + client->reply_sent,
				 client->reply_len - client->reply_sent, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		client->reply_sent += (size_t)n;
	}
	free(client->reply);
	client->reply = NULL;
	client_restart_clock(client);
	return true;
}

/* Gives @reply to the client. False: it is gone, or there is no memory. */
static bool client_reply(struct client *client, struct json_object *reply)
{
	client->reply = reply_text(reply, &client->reply_len);
	if (client->reply && client->reply_len > MAX_CONTROL_REPLY) {
		free(client->reply);
		client->reply = reply_text(
			control_refusal("the reply would be larger than 16 MiB, its limit"),
			&client->reply_len);
	}
	client->reply_sent = 0;
	client_restart_clock(client);
	return client->reply && client_send(client);
}

/* Answers the request that is complete, if one is. False: the client is to be closed. */
static bool client_serve(struct client *client)
{
	struct control_request request;
	int rc = control_request_take(&client->input, &request);

	if (rc == 0)
		return !client->eof;
	if (rc < 0) {
		client->eof = true; /* closes it once it has read why */
		client->input.len = 0;
		return client_reply(client,
				    control_refusal("the request is longer than 4096 bytes"));
	}
	return client_reply(client, request.error[0] ? control_refusal(request.error) :
						       control_answer(&request));
}

/* False: the client is to be closed. */
static bool client_receive(struct client *client)
{
	struct control_input *input = &client->input;
	size_t room = sizeof(input->bytes) - input->len;
	ssize_t n = recv(client->fd, input->bytes + input->len, room, 0);

	if (n < 0)
		return errno == EAGAIN;
	client->eof |= n == 0;
	input->len += (size_t)n;
	return client_serve(client);
}

/* Whether a request lies there already, unanswered. */
static bool client_has_request(const struct client *client)
{
	return memchr(client->input.bytes, '\n', client->input.len) != NULL;
}

static void client_event(struct client *client, uint32_t events)
{
	bool stay;

	if (events & (EPOLLERR | EPOLLHUP))
		stay = false; /* nobody is left to take an answer */
	else if (client->reply)
		stay = client_send(client);
	else if (events & EPOLLIN)
		stay = client_receive(client);
	else
		stay = client_serve(client);
	/* One request a time: the next waits until this answer is taken, and main had its turn. */
	if (stay && client->eof && !client->reply && !client_has_request(client))
		stay = false;
	if (stay && epoll_set(EPOLL_CTL_MOD, client->fd, client_index(client),
			      client->reply || client_has_request(client) ? EPOLLOUT : EPOLLIN))
		stay = false;
	if (!stay)
		client_close(client);
}

/* ------------------------------------------------------------------------------------ accepting */

/* As good as it gets for a client that there is no room for. */
static void client_turn_away(int fd)
{
	size_t len;
	char *line = reply_text(control_refusal("too many clients; try again"), &len);

	/* A new connection takes a short line at once; if not, it is closed anyway. */
	if (line && send(fd, line, len, MSG_NOSIGNAL) < 0)
		log_debug("control socket: a client left before it was turned away");
	free(line);
	close(fd);
}

static void client_add(int fd)
{
	struct client *client = control.clients;

	while (client < control.clients + MAX_CONTROL_CLIENTS && client->fd >= 0)
		client++;
	if (client == control.clients + MAX_CONTROL_CLIENTS) {
		client_turn_away(fd);
		return;
	}
	client->fd = fd;
	client->eof = false;
	client->input.len = 0;
	client_restart_clock(client);
	if (epoll_set(EPOLL_CTL_ADD, fd, client_index(client), EPOLLIN))
		client_close(client);
}

static void accept_clients(void)
{
	for (unsigned n = 0; n < MAX_CONTROL_CLIENTS; n++) {
		int fd = accept4(control.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			client_add(fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* It stays readable: without a pause this would be a busy loop. */
			log_warning("control socket: cannot accept a connection: %s",
				    strerror(errno));
			control.accept_again_ns = clock_now_ns() + ACCEPT_PAUSE_MS * 1000000ull;
			epoll_set(EPOLL_CTL_MOD, control.listen_fd, MARK_LISTEN, 0);
		}
		return;
	}
}

/* --------------------------------------------------------------------------------------- timing */

static void deadlines_check(void)
{
	uint64_t now_ns = clock_now_ns(), ticks;

	/* Only to make the descriptor unreadable; the clock is asked for the rest. */
	if (read(control.timer_fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		log_error("control socket: cannot read its timer: %s", strerror(errno));
	for (struct client *c = control.clients; c < control.clients + MAX_CONTROL_CLIENTS; c++)
		if (c->fd >= 0 && c->deadline_ns <= now_ns)
			client_close(c);
	if (control.accept_again_ns && control.accept_again_ns <= now_ns) {
		control.accept_again_ns = 0;
		epoll_set(EPOLL_CTL_MOD, control.listen_fd, MARK_LISTEN, EPOLLIN);
	}
}

/* Has the timer run while, and only while, there is something to wait for. */
static void timer_set(void)
{
	uint64_t next_ns = control.accept_again_ns ? control.accept_again_ns : UINT64_MAX;
	struct itimerspec when = { 0 };

	for (unsigned i = 0; i < MAX_CONTROL_CLIENTS; i++)
		if (control.clients[i].fd >= 0)
			next_ns = MIN(next_ns, control.clients[i].deadline_ns);
	if (next_ns != UINT64_MAX) {
		when.it_value.tv_sec = (time_t)(next_ns / 1000000000);
		when.it_value.tv_nsec = (long)(next_ns % 1000000000);
	}
	if (timerfd_settime(control.timer_fd, TFD_TIMER_ABSTIME, &when, NULL))
		log_error("control socket: cannot set its timer: %s", strerror(errno));
}

int control_fd(void)
{
	return control.epoll_fd;
}

void control_handle(void)
{
	struct epoll_event events[MAX_CONTROL_CLIENTS + 3];
	bool accepting = false, timing = false;
	int n;

	if (control.epoll_fd < 0)
		return;
	n = epoll_wait(control.epoll_fd, events, ARRAY_SIZE(events), 0);
	for (int i = 0; i < n; i++) {
		uint32_t mark = events[i].data.u32;

		if (mark == MARK_LISTEN)
			accepting = true;
		else if (mark == MARK_TIMER)
			timing = true;
		else if (mark == MARK_WATCHED)
			control.watched();
		else
			client_event(&control.clients[mark], events[i].events);
	}
	/* These come last, so that no event meets another client than the one it is about. */
	if (timing)
		deadlines_check();
	if (accepting)
		accept_clients();
	timer_set();
}

/* ----------------------------------------------------------------------------- opening, closing */

/* The directory of @path, which has a slash or is in the current directory. */
static void path_directory(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(dir, size, ".");
	else if (slash == path)
		snprintf(dir, size, "/");
	else
		snprintf(dir, size, "%.*s", (int)(slash - path), path);
}

/*
 * Opens the directory, made when it is missing, and locks it: between looking for another daemon's
 * socket and listening on ours, no other daemon may do the same. The descriptor, or a negative
 * errno, logged.
 */
static int directory_lock(const char *dir, uid_t uid, gid_t gid)
{
	int fd, rc;

	if (!mkdir(dir, 0755)) {
		if (chown(dir, uid, gid))
			log_warning("control socket: cannot change the owner of %s: %s", dir,
				    strerror(errno));
	} else if (errno != EEXIST) {
		rc = -errno;
		log_error("control socket: cannot make its directory %s: %s; make it, or change "
			  "[daemon] control_socket", dir, strerror(-rc));
		return rc;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		log_error("control socket: cannot open its directory %s: %s", dir, strerror(-rc));
		return rc;
	}
	for (unsigned tries = 0; flock(fd, LOCK_EX | LOCK_NB); tries++) {
		if (tries == DIR_LOCK_TRIES) {
			log_error("control socket: another process keeps its directory %s locked "
				  "(`lslocks` shows which)", dir);
			close(fd);
			return -EBUSY;
		}
		usleep(DIR_LOCK_WAIT_US);
	}
	return fd;
}

/* Removes a socket on which nobody listens. 0, or negative errno; EADDRINUSE and EEXIST are logged. */
static int stale_remove(const struct sockaddr_un *address)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd, rc;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		log_error("control socket: %s is there already and no socket; remove it, or change "
			  "[daemon] control_socket", path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;
	close(fd);
	if (rc == -ECONNREFUSED)
		return unlink(path) ? -errno : 0;
	if (rc && rc != -EAGAIN) /* EAGAIN: it is there, with more clients than it can take */
		return rc;
	log_error("control socket: another sluiced serves %s; stop it, or give this one its own "
		  "[daemon] control_socket", path);
	return -EADDRINUSE;
}

/* The socket, bound and listening; or negative errno. */
static int socket_listen(const struct sockaddr_un *address, uid_t uid, gid_t gid)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	/* Nobody can connect before listen(), so nobody does with the wrong mode. */
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address))) {
		rc = -errno;
		close(fd);
		return rc;
	}
	/* In this order: changing the mode of another user's file takes one capability more. */
	if (chmod(address->sun_path, 0660) || chown(address->sun_path, uid, gid) ||
	    lstat(address->sun_path, &control.inode) || listen(fd, MAX_CONTROL_CLIENTS)) {
		rc = -errno;
		unlink(address->sun_path);
		close(fd);
		return rc;
	}
	return fd;
}

static int listen_open(const char *path, uid_t uid, gid_t gid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[sizeof(address.sun_path)];
	int lock_fd, rc;
	bool said; /* what is wrong */

	if (strlen(path) >= sizeof(address.sun_path)) {
		log_error("control socket: %s is longer than %zu bytes; shorten [daemon] "
			  "control_socket", path, sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	strcpy(control.path, path);
	path_directory(path, dir, sizeof(dir));
	lock_fd = directory_lock(dir, uid, gid);
	if (lock_fd < 0)
		return lock_fd;
	rc = stale_remove(&address);
	said = rc == -EADDRINUSE || rc == -EEXIST;
	if (!rc)
		rc = socket_listen(&address, uid, gid);
	close(lock_fd);
	if (rc < 0 && !said)
		log_error("control socket: cannot listen at %s: %s; change [daemon] "
			  "control_socket, or the permissions of its directory",
			  path, strerror(-rc));
	return rc;
}

int control_open(const char *path, uid_t uid, gid_t gid)
{
	int rc;

	assert(control.epoll_fd < 0);
	for (unsigned i = 0; i < MAX_CONTROL_CLIENTS; i++)
		control.clients[i] = (struct client){ .fd = -1 };
	control.accept_again_ns = 0;
	rc = listen_open(path, uid, gid);
	if (rc < 0)
		return rc;
	control.listen_fd = rc;
	control.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	control.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (control.epoll_fd < 0 || control.timer_fd < 0)
		rc = -errno;
	else
		rc = epoll_set(EPOLL_CTL_ADD, control.listen_fd, MARK_LISTEN, EPOLLIN);
	if (!rc)
		rc = epoll_set(EPOLL_CTL_ADD, control.timer_fd, MARK_TIMER, EPOLLIN);
	if (rc) {
		log_error("control socket: cannot serve %s: %s", path, strerror(-rc));
		control_close();
	}
	return rc;
}

int control_watch(int fd, void (*ready)(void))
{
	if (control.watched_fd >= 0)
		epoll_ctl(control.epoll_fd, EPOLL_CTL_DEL, control.watched_fd, NULL);
	control.watched_fd = fd;
	control.watched = ready;
	return fd < 0 ? 0 : epoll_set(EPOLL_CTL_ADD, fd, MARK_WATCHED, EPOLLIN);
}

/* Removes our socket, but not one that another daemon has put in its place. */
static void socket_remove(void)
{
	struct stat st;

	if (lstat(control.path, &st) || st.st_ino != control.inode.st_ino ||
	    st.st_dev != control.inode.st_dev)
		return;
	/* Who gave up privileges may be forbidden to; the next daemon will see that it is stale. */
	if (unlink(control.path) && errno != EACCES && errno != EPERM)
		log_warning("control socket: cannot remove %s: %s", control.path, strerror(errno));
}

void control_close(void)
{
	if (control.listen_fd < 0)
		return;
	for (unsigned i = 0; i < MAX_CONTROL_CLIENTS; i++)
		if (control.clients[i].fd >= 0)
			client_close(&control.clients[i]);
	socket_remove();
	close(control.listen_fd);
	if (control.timer_fd >= 0)
		close(control.timer_fd);
	if (control.epoll_fd >= 0)
		close(control.epoll_fd);
	control.listen_fd = control.timer_fd = control.epoll_fd = control.watched_fd = -1;
	control_collect_fini();
}
