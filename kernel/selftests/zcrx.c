/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Receives known bytes by io_uring zero-copy receive, from processes in another network namespace,
 * and looks at each of them where the NIC put it.
 *
 *   zcrx stream NAME=VALUE...   streams as struct options says, to the end
 *   zcrx refused NAME=VALUE...  the registration fails with errno=NAME
 *   zcrx busy NAME=VALUE...     a queue has one owner
 */
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ifq.h"
#include "nic.h"
#include "selftest.h"
#include "stream.h"

#define MIB (1UL << 20)

enum {
	QUEUES_MAX = 8,
	WAIT_MS = 5,
	NAPI_MS_MAX = 10000,
	HELD_MAX = 65536,
};

/* Numbers are in bytes, unless they are something else. */
struct options {
	const char *interface;
	const char *netns;
	const char *address;
	const char *area;	/* user or udmabuf */
	const char *middle;	/* a command for the shell, run when half of the bytes are there */
	const char *error;	/* name of the errno that ends it */
	unsigned long queues[QUEUES_MAX];
	unsigned int queue_count;
	unsigned long port;
	unsigned long streams;
	unsigned long bytes;	/* of each stream */
	unsigned long area_len;
	unsigned long buffer;	/* 0: the kernel's choice */
	unsigned long hold_ms;	/* time for which no buffer is given back, from the first byte on */
	unsigned long limit_s;
	unsigned long unprivileged; /* 1: without CAP_NET_ADMIN */
	/* what is to be seen; -1: anything */
	long offset;		/* of each fragment in its buffer, less any multiple of pack */
	long pack;
	long piece;		/* longest fragment */
	long starved;		/* 1: the NIC ran out of buffers; 0: it did not */
	long copied;		/* 1: the kernel copied some; 0: none */
	long spread;		/* 1: each queue got a stream */
};

static struct options options = {
	.netns = "host",
	.area = "user",
	.port = 5300,
	.streams = 1,
	.bytes = 2 * MIB,
	.area_len = 8 * MIB,
	.limit_s = 60,
	.offset = -1,
	.pack = 1,
	.piece = -1,
	.starved = -1,
	.copied = 0,
	.spread = -1,
};

struct stream {
	int fd;
	struct ifq *ifq;
	unsigned int queue;	/* index in the queues */
	uint64_t pos;
	int end;		/* result of its last completion, once ended */
	bool ended;
};

/* A fragment whose buffer is not given back yet. */
struct held {
	struct ifq *ifq;
	uint64_t offset;
	uint32_t len;
};

struct tally {
	uint64_t bytes;
	unsigned long fragments;
	unsigned long rearmed;
	unsigned long bad_bytes;	/* fragments with a wrong one */
	unsigned long bad_offset;
	unsigned long bad_piece;
	unsigned long longest;
	unsigned long events[IFQ_EVENTS];
};

static unsigned int if_index;
static struct ifq ifqs[QUEUES_MAX];
static struct stream streams[STREAMS_MAX];
static struct held held[HELD_MAX];
static unsigned int held_count;
static struct tally tally;

/* ---------------------------------------------------------------- command line */

static bool option_number(const char *name, const char *value)
{
	const struct {
		const char *name;
		unsigned long *number;
	} numbers[] = {
		{ "port", &options.port },
		{ "streams", &options.streams },
		{ "bytes", &options.bytes },
		{ "area_len", &options.area_len },
		{ "buffer", &options.buffer },
		{ "hold_ms", &options.hold_ms },
		{ "limit_s", &options.limit_s },
		{ "unprivileged", &options.unprivileged },
		{ "offset", (unsigned long *)&options.offset },
		{ "pack", (unsigned long *)&options.pack },
		{ "piece", (unsigned long *)&options.piece },
		{ "starved", (unsigned long *)&options.starved },
		{ "copied", (unsigned long *)&options.copied },
		{ "spread", (unsigned long *)&options.spread },
	};
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(name, numbers[i].name))
			continue;
		*numbers[i].number = strtoul(value, NULL, 0);
		return true;
	}
	return false;
}

static bool option_text(const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **text;
	} texts[] = {
		{ "interface", &options.interface },
		{ "netns", &options.netns },
		{ "address", &options.address },
		{ "area", &options.area },
		{ "middle", &options.middle },
		{ "errno", &options.error },
	};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(name, texts[i].name))
			continue;
		*texts[i].text = value;
		return true;
	}
	return false;
}

static void option_queues(char *value)
{
	char *end = value;

	while (*end && options.queue_count < QUEUES_MAX) {
		options.queues[options.queue_count++] = strtoul(value, &end, 0);
		value = end + 1;
	}
}

static void options_read(char **args)
{
	for (; *args; args++) {
		char *value = strchr(*args, '=');

		if (!value)
			fatal("%s: not NAME=VALUE", *args);
		*value++ = 0;
		if (!strcmp(*args, "queues"))
			option_queues(value);
		else if (!option_number(*args, value) && !option_text(*args, value))
			fatal("%s: no such option", *args);
	}
	if (!options.interface || !options.queue_count || !options.streams ||
	    options.streams > STREAMS_MAX)
		fatal("interface=, queues= and 1 to %d streams, please", STREAMS_MAX);
	if_index = if_nametoindex(options.interface);
	if (!if_index)
		fatal("no interface %s", options.interface);
}

static struct ifq_params ifq_params(unsigned int queue)
{
	return (struct ifq_params){
		.if_index = if_index,
		.queue = (unsigned int)options.queues[queue],
		.dmabuf = !strcmp(options.area, "udmabuf"),
		.area_len = options.area_len,
		.buf_len = (uint32_t)options.buffer,
	};
}

/* ---------------------------------------------------------------- receiving */

/* Sets up each queue; what the kernel lacks makes the test one that cannot run. */
static void queues_open(void)
{
	struct nic_queue found;
	unsigned int i;
	int rc;

	for (i = 0; i < options.queue_count; i++) {
		struct ifq_params params = ifq_params(i);

		rc = ifq_open_again(&ifqs[i], &params);
		if (rc == -EOPNOTSUPP || rc == -ENOSYS)
			skip_all("%s takes no memory of a program: %s", options.interface,
				 result_text(rc));
		if (rc)
			fatal("registering queue %u of %s: %s", params.queue, options.interface,
			      result_text(rc));
		if (options.buffer)
			check_eq(ifqs[i].buf_len, (long)options.buffer, "buffers of queue %u",
				 params.queue);
		rc = nic_queue_get(if_index, params.queue, &found);
		check(!rc && found.zero_copy, "netlink tells who provides queue %u (%s)",
		      params.queue, result_text(rc));
	}
}

/* The index of the queue that has been given to us and polls that NAPI instance, or -1. */
static int queue_of_napi(unsigned int napi_id)
{
	struct nic_queue found;
	unsigned int i;

	for (i = 0; i < options.queue_count; i++) {
		if (!nic_queue_get(if_index, (unsigned int)options.queues[i], &found) &&
		    found.napi_id == napi_id)
			return (int)i;
	}
	return -1;
}

/* Steering must have brought the stream to one of our queues. */
static void stream_adopt(unsigned int number, int fd)
{
	struct stream *stream = &streams[number];
	uint64_t end_ms = now_ms() + NAPI_MS_MAX;
	unsigned int napi_id = 0;
	socklen_t len = sizeof(napi_id);
	int queue;

	while (getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &len) || !napi_id) {
		if (now_ms() > end_ms)
			fatal("stream %u: no incoming NAPI id", number);
		sleep_ms(1);
	}
	queue = queue_of_napi(napi_id);
	if (queue < 0)
		fatal("stream %u came by NAPI id %u, which is of none of our queues", number,
		      napi_id);
	*stream = (struct stream){ .fd = fd, .ifq = &ifqs[queue], .queue = (unsigned int)queue };
	ifq_recv_prepare(stream->ifq, fd, number);
}

static void fragment_look(unsigned int number, const struct completion *done, uint64_t offset)
{
	struct stream *stream = &streams[number];
	struct ifq *ifq = stream->ifq;
	uint32_t len = (uint32_t)done->res, in_buffer = (uint32_t)(offset % ifq->buf_len);
	size_t good;

	if (offset + len > ifq->area.len || in_buffer + len > ifq->buf_len)
		fatal("stream %u: %u bytes at %#llx do not lie in one buffer", number, len,
		      (unsigned long long)offset);
	good = stream_compare(number, stream->pos, ifq->area.mem + offset, len);
	if (good != len && !tally.bad_bytes++)
		note("stream %u: wrong byte at %llu, area offset %#llx", number,
		     (unsigned long long)(stream->pos + good),
		     (unsigned long long)(offset + good));
	if (options.offset >= 0 && (in_buffer < (uint32_t)options.offset ||
				    (in_buffer - options.offset) % options.pack) &&
	    !tally.bad_offset++)
		note("stream %u: %u bytes at %u of a buffer", number, len, in_buffer);
	if (options.piece >= 0 && len > (unsigned long)options.piece && !tally.bad_piece++)
		note("stream %u: a fragment of %u bytes", number, len);
	tally.fragments++;
	tally.bytes += len;
	if (len > tally.longest)
		tally.longest = len;
	stream->pos += len;
}

static void buffers_give(void)
{
	unsigned int i;

	for (i = 0; i < held_count; i++)
		ifq_give(held[i].ifq, held[i].offset, held[i].len);
	held_count = 0;
	for (i = 0; i < options.queue_count; i++)
		ifq_give_end(&ifqs[i]);
}

static void event_take(struct ifq *ifq, const struct completion *done)
{
	int rc;

	if (done->res < 0 || done->res >= IFQ_EVENTS)
		fatal("event %d", done->res);
	tally.events[done->res]++;
	rc = ifq_arm(ifq, (enum ifq_event)done->res);
	if (rc)
		fatal("asking for event %d again: %s", done->res, result_text(rc));
}

static void completion_take(struct ifq *ifq, const struct completion *done)
{
	unsigned int number = (unsigned int)done->id;
	uint64_t offset;
	int rc;

	if (done->id & IFQ_EVENT_ID) {
		event_take(ifq, done);
		return;
	}
	if (done->flags & IORING_CQE_F_MORE) {
		offset = ifq_offset(ifq, done);
		fragment_look(number, done, offset);
		if (held_count == HELD_MAX)
			fatal("more than %d fragments held", HELD_MAX);
		held[held_count++] = (struct held){ ifq, offset, (uint32_t)done->res };
		return;
	}
	/*
	 * More completions than the queue has room for, or no buffer to copy to: nothing is lost.
	 * Nobody copies into a dma-buf.
	 */
	if (done->res == -ENOSPC || (done->res == -ENOMEM && strcmp(options.area, "udmabuf"))) {
		tally.rearmed++;
		buffers_give();
		rc = ifq_flush(ifq);
		if (rc)
			fatal("giving buffers back at once: %s", result_text(rc));
		ifq_recv_prepare(ifq, streams[number].fd, number);
		return;
	}
	streams[number].ended = true;
	streams[number].end = done->res;
}

/* What is there, or comes soon. */
static void queue_poll(struct ifq *ifq)
{
	struct completion done;
	int rc;

	if (ifq->ring.prepared) {
		rc = ring_submit(&ifq->ring);
		if (rc < 0)
			fatal("io_uring_enter(): %s", result_text(rc));
	}
	rc = ring_wait(&ifq->ring, &done, WAIT_MS);
	if (rc && rc != -ETIME)
		fatal("waiting for completions: %s", result_text(rc));
	while (!rc) {
		completion_take(ifq, &done);
		rc = ring_peek(&ifq->ring, &done) ? 0 : -ETIME;
	}
}

static bool streams_ended(void)
{
	unsigned int i;

	for (i = 0; i < options.streams; i++) {
		if (!streams[i].ended)
			return false;
	}
	return true;
}

static void middle_run(void)
{
	uint64_t begin_ms = now_ms();
	int rc = system(options.middle);

	check(!rc, "in the middle: %s (%llu ms)", options.middle,
	      (unsigned long long)(now_ms() - begin_ms));
}

static void streams_receive(void)
{
	uint64_t end_ms = now_ms() + options.limit_s * 1000, hold_until_ms = 0;
	bool middle = options.middle;
	unsigned int i;

	while (!streams_ended()) {
		if (now_ms() > end_ms)
			fatal("%llu bytes of %lu after %lu s", (unsigned long long)tally.bytes,
			      options.streams * options.bytes, options.limit_s);
		for (i = 0; i < options.queue_count; i++)
			queue_poll(&ifqs[i]);
		if (!hold_until_ms && tally.bytes)
			hold_until_ms = now_ms() + options.hold_ms;
		if (hold_until_ms && now_ms() >= hold_until_ms)
			buffers_give();
		if (middle && tally.bytes > options.streams * options.bytes / 2) {
			middle = false;
			middle_run();
		}
	}
}

/* ---------------------------------------------------------------- verdict */

static void queues_check(void)
{
	unsigned long used[QUEUES_MAX] = { 0 };
	uint64_t copies = 0, copy_bytes = 0;
	unsigned int i;

	for (i = 0; i < options.streams; i++)
		used[streams[i].queue]++;
	for (i = 0; i < options.queue_count; i++) {
		note("queue %lu: %lu streams", options.queues[i], used[i]);
		if (options.spread == 1)
			check(used[i], "queue %lu got a stream", options.queues[i]);
		copies += ifqs[i].stats->copy_count;
		copy_bytes += ifqs[i].stats->copy_bytes;
	}
	note("copied by the kernel: %llu fragments, %llu bytes", (unsigned long long)copies,
	     (unsigned long long)copy_bytes);
	if (options.copied >= 0) {
		check(!copies == !options.copied && !copy_bytes == !options.copied,
		      "the kernel %s", options.copied ? "copied some" : "copied nothing");
		check(!tally.events[IFQ_EVENT_COPY] == !options.copied, "and %s (%lu)",
		      options.copied ? "said so" : "had nothing to say",
		      tally.events[IFQ_EVENT_COPY]);
		check(copy_bytes <= tally.bytes, "it counts no more than there was");
	}
	if (options.starved >= 0)
		check(!tally.events[IFQ_EVENT_ALLOC_FAIL] == !options.starved,
		      "buffers ran %s (%lu events)", options.starved ? "out" : "never out",
		      tally.events[IFQ_EVENT_ALLOC_FAIL]);
}

static void streams_check(void)
{
	unsigned int i;

	for (i = 0; i < options.streams; i++) {
		if (options.error) {
			check(!strcmp(result_text(streams[i].end) + 1, options.error),
			      "stream %u ends with -%s: %s", i, options.error,
			      result_text(streams[i].end));
			continue;
		}
		check_eq(streams[i].end, 0, "stream %u ends as it should", i);
		check_eq((long)streams[i].pos, (long)options.bytes, "stream %u is all there", i);
	}
	note("%lu fragments, the longest of %lu bytes; begun again %lu times",
	     tally.fragments, tally.longest, tally.rearmed);
	check_eq((long)tally.bad_bytes, 0, "fragments with a wrong byte");
	if (options.offset >= 0)
		check_eq((long)tally.bad_offset, 0, "fragments at another place of their buffer");
	if (options.piece >= 0)
		check_eq((long)tally.bad_piece, 0, "fragments longer than %ld bytes",
			 options.piece);
}

/*
 * What came behind a lost packet waits for it in the sockets. It may take up half of the area, so
 * that the packet finds a buffer when it is sent again; by itself the kernel allows more than all.
 * The kernel doubles what it is told.
 */
static uint32_t rcvbuf(void)
{
	return (uint32_t)(options.area_len / 2 / 2 / options.streams);
}

static void test_stream(void)
{
	struct stream_params params = {
		.address = options.address,
		.port = (uint16_t)options.port,
		.netns = options.netns,
		.streams = (unsigned int)options.streams,
		.len = options.bytes,
		.rcvbuf = rcvbuf(),
	};
	int sockets[STREAMS_MAX];
	pid_t senders[STREAMS_MAX];
	unsigned int i;

	queues_open();
	streams_start(&params, sockets, senders);
	for (i = 0; i < options.streams; i++)
		stream_adopt(i, sockets[i]);
	streams_receive();
	streams_check();
	queues_check();
	/* a stream that ended early has a sender that cannot get rid of its bytes */
	if (streams_end(params.streams, sockets, senders) != !options.error)
		check(false, "what the senders say");
	buffers_give();
	for (i = 0; i < options.queue_count; i++)
		ifq_close(&ifqs[i]);
}

/* ---------------------------------------------------------------- refusals */

static void privilege_drop(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data))
		fatal("capget(): %s", result_text(-errno));
	data[0].effective &= ~(1U << CAP_NET_ADMIN);
	if (syscall(SYS_capset, &head, data))
		fatal("capset(): %s", result_text(-errno));
}

static void test_refused(void)
{
	struct ifq_params params = ifq_params(0);
	int rc;

	if (options.unprivileged)
		privilege_drop();
	rc = ifq_open(&ifqs[0], &params);
	check(rc < 0 && !strcmp(result_text(rc) + 1, options.error), "registration: -%s (%s)",
	      options.error, result_text(rc));
}

/* A second owner of a queue is refused, and can have it when the first is gone. */
static void test_busy(void)
{
	struct ifq_params params = ifq_params(0);
	int rc;

	queues_open();
	check_eq(ifq_open(&ifqs[QUEUES_MAX - 1], &params), -EEXIST, "a second ring");
	ifq_close(&ifqs[0]);
	rc = ifq_open_again(&ifqs[0], &params);
	if (!check_eq(rc, 0, "another ring once the first is closed"))
		return;
	ifq_close(&ifqs[0]);
	params.queue = 1000;
	rc = ifq_open(&ifqs[0], &params);
	check_eq(rc, -ERANGE, "a queue that the NIC does not have");
}

int main(int argc, char **argv)
{
	selftest_start();
	if (argc < 3)
		fatal("usage: zcrx stream|refused|busy NAME=VALUE...");
	options_read(argv + 2);
	if (!strcmp(argv[1], "stream"))
		test_stream();
	else if (!strcmp(argv[1], "refused"))
		test_refused();
	else if (!strcmp(argv[1], "busy"))
		test_busy();
	else
		fatal("%s: no such test", argv[1]);
	return selftest_end();
}
