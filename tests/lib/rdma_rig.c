/* SPDX-License-Identifier: BSD-3-Clause */
/* The rig: what it owns, and the memory of its hosts. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "rdma_rig.h"

enum { BIND_MS = 5000 };

void die(const char *what)
{
	fprintf(stderr, "rdma-hostile: %s: %s\n", what, strerror(errno));
	exit(2);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int fail(struct rig *rig, const char *fmt, ...)
{
	va_list args;

	if (rig->why[0])
		return -1;
	va_start(args, fmt);
	vsnprintf(rig->why, sizeof(rig->why), fmt, args);
	va_end(args);
	return -1;
}

void note(const char *fmt, ...)
{
	va_list args;

	fputs("-- ", stdout);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

void rig_init(struct rig *rig)
{
	list_init(&rig->hosts);
	list_init(&rig->conns);
	list_init(&rig->regions);
	list_init(&rig->windows);
	rig->why[0] = '\0';
}

static void window_free(struct window *window)
{
	list_del(&window->link);
	if (ibv_dealloc_mw(window->mw))
		die("ibv_dealloc_mw");
	free(window);
}

static void region_free(struct region *region)
{
	list_del(&region->link);
	region_revoke(region);
	munmap(region->mem, region->len);
	free(region);
}

/* Windows hold their queue pair and region, queue pairs and regions the domain: from the top. */
void rig_reset(struct rig *rig)
{
	list_for_each_safe(window, &rig->windows, struct window, link)
		window_free(window);
	list_for_each(conn, &rig->conns, struct conn, link)
		if (conn->qp && conn->state == CONN_UP)
			rdma_disconnect(conn->id);
	list_for_each_safe(conn, &rig->conns, struct conn, link)
		conn_free(conn);
	list_for_each_safe(region, &rig->regions, struct region, link)
		region_free(region);
	list_for_each_safe(host, &rig->hosts, struct host, link) {
		list_del(&host->link);
		if (host->pd && ibv_dealloc_pd(host->pd))
			die("ibv_dealloc_pd");
		free(host);
	}
	rig->why[0] = '\0';
}

struct host *host_new(struct rig *rig, unsigned n)
{
	struct host *host = calloc(1, sizeof(*host));
	size_t len = strlen(rig->hostnqn);

	if (!host)
		die("host");
	host->rig = rig;
	memcpy(host->nqn, rig->hostnqn, len + 1);
	/* The name may end in a UUID, and has to stay one. */
	if (n)
		snprintf(host->nqn + len - 2, 3, "%02x", n & 0xff);
	memset(host->id, 0x5c, sizeof(host->id));
	host->id[15] = (uint8_t)n;
	list_add_tail(&rig->hosts, &host->link);
	return host;
}

/* -------------------------------------------------------------------------------------- memory */

struct region *region_make(struct host *host, size_t len, unsigned access)
{
	struct region *region = calloc(1, sizeof(*region));

	if (!region)
		die("region");
	region->len = len;
	region->mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (region->mem == MAP_FAILED)
		die("mmap");
	region->mr = ibv_reg_mr(host->pd, region->mem, len, (int)access);
	if (!region->mr)
		die("ibv_reg_mr");
	list_add_tail(&host->rig->regions, &region->link);
	return region;
}

void region_revoke(struct region *region)
{
	if (region->mr && ibv_dereg_mr(region->mr))
		die("ibv_dereg_mr");
	region->mr = NULL;
}

struct window *window_bind(struct conn *conn, struct region *region, size_t offset, size_t len,
			   unsigned access)
{
	struct window *window = calloc(1, sizeof(*window));
	struct ibv_send_wr wr = { .wr_id = WR_BIND,
				  .opcode = IBV_WR_BIND_MW,
				  .send_flags = IBV_SEND_SIGNALED };
	uint64_t end = now_ms() + (uint64_t)BIND_MS * conn->host->rig->slowness;

	if (!window)
		die("window");
	window->mw = ibv_alloc_mw(conn->host->pd, IBV_MW_TYPE_2);
	if (!window->mw)
		die("ibv_alloc_mw");
	list_add_tail(&conn->host->rig->windows, &window->link);
	window->rkey = ibv_inc_rkey(window->mw->rkey);
	wr.bind_mw.mw = window->mw;
	wr.bind_mw.rkey = window->rkey;
	wr.bind_mw.bind_info = (struct ibv_mw_bind_info){ .mr = region->mr,
							  .addr = (uintptr_t)region->mem + offset,
							  .length = len,
							  .mw_access_flags = access };
	conn->bound = false;
	conn_post(conn, &wr);
	while (!conn->bound && !conn->qp_failed && now_ms() < end)
		conn_pump(conn, 100);
	if (!conn->bound) {
		errno = ETIMEDOUT;
		die("binding a memory window");
	}
	window->mw->rkey = window->rkey;
	return window;
}
