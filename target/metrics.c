/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/metrics.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "config/config.h"
#include "target/control.h"
#include "target/metrics_text.h"

/* How long a text is good for whoever asks next: who asks more often does not make it twice. */
#define TEXT_AGE_NS 500000000ull

static const char content_type[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";

static struct {
	struct MHD_Daemon *daemon; /* NULL: not open */
	int epoll_fd;		   /* of its descriptors and of the timer, for the main thread */
	int timer_fd;
	int listen_fd;
	struct MHD_Response *text; /* a reference; NULL: none is made */
	uint64_t text_ns;
} metrics = { .epoll_fd = -1, .timer_fd = -1, .listen_fd = -1 };

/* ------------------------------------------------------------------------------------- answering */

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(why), (void *)(uintptr_t)why, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* The text of now, or of a moment ago. NULL without memory. */
static struct MHD_Response *text_response(void)
{
	uint64_t now_ns = clock_now_ns();
	struct metrics_text text;

	if (metrics.text && now_ns - metrics.text_ns < TEXT_AGE_NS)
		return metrics.text;
	if (metrics.text)
		MHD_destroy_response(metrics.text);
	metrics.text = NULL;
	if (metrics_text_build(&text, MAX_METRICS_TEXT)) {
		metrics_text_free(&text);
		return NULL;
	}
	metrics.text = MHD_create_response_from_buffer(text.len, text.bytes, MHD_RESPMEM_MUST_FREE);
	if (!metrics.text) {
		metrics_text_free(&text);
		return NULL;
	}
	MHD_add_response_header(metrics.text, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	metrics.text_ns = now_ns;
	return metrics.text;
}

/* At once, before any body: whoever sends one does not belong here. */
static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request)
{
	struct MHD_Response *text;

	(void)arg;
	(void)version;
	(void)upload;
	(void)upload_size;
	(void)request;
	if (strcmp(url, "/metrics"))
		return refuse(connection, MHD_HTTP_NOT_FOUND, "there is nothing but /metrics\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET))
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "ask by GET\n");
	text = text_response();
	if (!text)
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory\n");
	return MHD_queue_response(connection, MHD_HTTP_OK, text);
}

/* ------------------------------------------------------------------------------------ the thread */

/* Has the timer run while the library waits for a time-out. */
static void timer_set(void)
{
	struct itimerspec when = { 0 };
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(metrics.daemon, &ms) == MHD_YES) {
		/* 0 would turn the timer off, and is soon enough in a millisecond. */
		ms = ms ? ms : 1;
		when.it_value.tv_sec = (time_t)(ms / 1000);
		when.it_value.tv_nsec = (long)(ms % 1000) * 1000000;
	}
	if (timerfd_settime(metrics.timer_fd, 0, &when, NULL))
		log_error("metrics: cannot set the timer: %s", strerror(errno));
}

static unsigned clients(void)
{
	return MHD_get_daemon_info(metrics.daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
		->num_connections;
}

static void metrics_handle(void)
{
	uint64_t ticks;
	unsigned before;

	/* Only to make the descriptor unreadable. */
	if (read(metrics.timer_fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		log_error("metrics: cannot read the timer: %s", strerror(errno));
	/* With as many as it may have it does not listen; when one goes it only does so if run again. */
	do {
		before = clients();
		MHD_run(metrics.daemon);
	} while (clients() < before);
	/* A text that nobody has asked for again goes with the last connection. */
	if (metrics.text && clock_now_ns() - metrics.text_ns >= TEXT_AGE_NS && !clients()) {
		MHD_destroy_response(metrics.text);
		metrics.text = NULL;
	}
	timer_set();
}

/* ---------------------------------------------------------------------------- opening and closing */

/* A socket that listens at @config, or negative errno. */
static int socket_listen(const struct config_metrics *config)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(config->port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(config->port) };
	bool is_v6 = strchr(config->address, ':');
	const struct sockaddr *address = is_v6 ? (const void *)&v6 : (const void *)&v4;
	socklen_t len = is_v6 ? sizeof(v6) : sizeof(v4);
	int one = 1, fd, rc;

	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, config->address,
		      is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr) != 1)
		return -EINVAL;
	fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    bind(fd, address, len) || listen(fd, MAX_METRICS_CLIENTS)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static int watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(metrics.epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int library_start(void)
{
	const union MHD_DaemonInfo *info;

	metrics.daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, answer, NULL, MHD_OPTION_LISTEN_SOCKET,
		metrics.listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_METRICS_CLIENTS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)METRICS_TIMEOUT_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)METRICS_CLIENT_BYTES, MHD_OPTION_END);
	if (!metrics.daemon)
		return -ENOMEM;
	metrics.listen_fd = -1; /* the library's, which closes it */
	info = MHD_get_daemon_info(metrics.daemon, MHD_DAEMON_INFO_EPOLL_FD);
	return info ? watch(info->epoll_fd) : -EOPNOTSUPP;
}

int metrics_open(const struct config_metrics *config)
{
	int rc;

	assert(!metrics.daemon);
	if (!config->port)
		return 0;
	metrics.listen_fd = socket_listen(config);
	if (metrics.listen_fd < 0) {
		rc = metrics.listen_fd;
		metrics.listen_fd = -1;
		log_error("metrics: cannot listen on %s port %u: %s; change [metrics] address or "
			  "port, or leave port out",
			  config->address, config->port, strerror(-rc));
		return rc;
	}
	metrics.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	metrics.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (metrics.epoll_fd < 0 || metrics.timer_fd < 0)
		rc = -errno;
	else
		rc = watch(metrics.timer_fd);
	if (!rc)
		rc = library_start();
	if (!rc)
		rc = control_watch(metrics.epoll_fd, metrics_handle);
	if (rc) {
		log_error("metrics: cannot serve %s port %u: %s", config->address, config->port,
			  strerror(-rc));
		metrics_close();
		return rc;
	}
	log_info("metrics on http %s port %u", config->address, config->port);
	return 0;
}

void metrics_close(void)
{
	if (metrics.epoll_fd < 0)
		return;
	control_watch(-1, NULL);
	if (metrics.daemon)
		MHD_stop_daemon(metrics.daemon);
	if (metrics.text)
		MHD_destroy_response(metrics.text);
	if (metrics.listen_fd >= 0)
		close(metrics.listen_fd);
	if (metrics.timer_fd >= 0)
		close(metrics.timer_fd);
	close(metrics.epoll_fd);
	metrics.daemon = NULL;
	metrics.text = NULL;
	metrics.listen_fd = metrics.timer_fd = metrics.epoll_fd = -1;
}

uint64_t metrics_bytes(const struct config_metrics *config)
{
	/* Each client may still be taking a text of its own, beside the one that is being made. */
	return config->port ? (MAX_METRICS_CLIENTS + 1ull) * MAX_METRICS_TEXT +
				      (uint64_t)MAX_METRICS_CLIENTS * METRICS_CLIENT_BYTES :
			      0;
}
