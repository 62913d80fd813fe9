/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "selftest.h"

enum {
	LOAD_POISON = 0xa5,
	DEPTH_DEFAULT = 64,
	LANE_LEN_DEFAULT = 65536,
	AGAIN_MAX = 100000,
	FILE_TARGET = 0,	/* indices of registered files */
	FILE_PLAIN = 1,
	SLOTS = 2,
};

/*
 * No DMA_BUF_IOCTL_SYNC in here: it is about the whole dma-buf, of which other lanes' parts are
 * with the device at that moment. The loads are for machines whose DMA is coherent, such as the
 * guest.
 */

static int files_register(struct load *load)
{
	int fds[] = { [FILE_TARGET] = load->fd, [FILE_PLAIN] = load->disk->plain_fd };

	return load->fixed_file ? ring_register(&load->ring, IORING_REGISTER_FILES, fds, 2) : 0;
}

static void lanes_alloc(struct load *load)
{
	unsigned int i;

	load->lanes = calloc(load->depth, sizeof(*load->lanes));
	load->scratch = plain_alloc(2 * load->lane_len);
	if (!load->lanes)
		fatal("no memory for %u lanes", load->depth);
	for (i = 0; i < load->depth; i++) {
		struct load_lane *lane = &load->lanes[i];

		lane->disk_off = load->disk_off + i * load->lane_len;
		lane->buffer_off = load->buffer_off + i * 2 * load->lane_len;
		lane->data = plain_alloc(load->lane_len);
		lane->plain = plain_alloc(load->lane_len);
	}
}

int load_open(struct load *load)
{
	int rc;

	if (!load->depth)
		load->depth = DEPTH_DEFAULT;
	if (!load->lane_len)
		load->lane_len = LANE_LEN_DEFAULT;
	if (load->fd <= 0)
		load->fd = load->disk->fd;
	if (load->depth > LOAD_DEPTH_MAX || !load->buffer->mem ||
	    load->buffer_off + load->depth * 2 * load->lane_len > load->buffer->len ||
	    load->disk_off + load->depth * load->lane_len > load->disk->len)
		fatal("a load of %u lanes has no room in %s of %zu bytes", load->depth,
		      load->buffer->name, load->buffer->len);
	rc = ring_open(&load->ring, load->depth, load->setup_flags);
	if (rc)
		return rc;
	rc = ring_table(&load->ring, SLOTS);
	if (!rc)
		rc = files_register(load);
	if (!rc) {
		rc = ring_register_dmabuf(&load->ring, 0, load->buffer->fd, load->fd);
		rc = rc == 1 ? 0 : rc;
	}
	if (rc) {
		ring_close(&load->ring);
		return rc;
	}
	lanes_alloc(load);
	return 0;
}

void load_close(struct load *load)
{
	unsigned int i;

	ring_close(&load->ring);
	for (i = 0; i < load->depth; i++) {
		free(load->lanes[i].data);
		free(load->lanes[i].plain);
	}
	free(load->lanes);
	free(load->scratch);
}

/*
 * Fragments in ascending order with gaps between them. A controller without SGLs takes gaps only
 * between whole blocks. The shortest is so long that the segments of one command hold a block.
 */
static void fragments_spread(const struct load *load, struct load_lane *lane)
{
	const struct disk_limits *limits = &load->disk->limits;
	size_t unit = limits->boundary ? limits->block_len : limits->alignment;
	size_t eighth = limits->block_len / 8;
	size_t shortest = limits->boundary || unit > eighth ? unit : eighth;
	size_t left = lane->len, room = 2 * load->lane_len - lane->len, pos = 0;

	for (lane->nr = 0; left; lane->nr++) {
		size_t gap = random_below(4) ? random_below((uint32_t)(room / 8 + 1)) : 0;
		size_t len = shortest + unit * random_below((uint32_t)(load->lane_len / 8 / unit));

		gap -= gap % limits->alignment;
		if (len + shortest > left || lane->nr == LOAD_FRAGMENTS_MAX - 1)
			len = left;
		lane->fragments[lane->nr] = fragment(lane->buffer_off + pos + gap, len);
		pos += gap + len;
		room -= gap;
		left -= len;
	}
}

static void fragments_shuffle(struct load_lane *lane)
{
	unsigned int i;

	for (i = lane->nr - 1; i > 0; i--) {
		unsigned int j = random_below(i + 1);
		struct iovec swap = lane->fragments[i];

		lane->fragments[i] = lane->fragments[j];
		lane->fragments[j] = swap;
	}
}

static void layout_choose(const struct load *load, struct load_lane *lane)
{
	const struct disk_limits *limits = &load->disk->limits;
	uint32_t blocks = (uint32_t)(load->lane_len / limits->block_len);
	uint32_t used = 1 + random_below(blocks);

	lane->len = (size_t)used * limits->block_len;
	lane->off = lane->disk_off + (uint64_t)random_below(blocks - used + 1) * limits->block_len;
	lane->vectored = random_below(2);
	if (lane->vectored) {
		fragments_spread(load, lane);
		if (random_below(2))
			fragments_shuffle(lane);
	} else {
		uint32_t places = (uint32_t)(load->lane_len / limits->alignment);

		lane->nr = 1;
		lane->fragments[0] = fragment(lane->buffer_off + (uint64_t)limits->alignment *
					      random_below(places), lane->len);
	}
}

/* Between the fragments and the lane's data, which is in the order of the disk. */
static void fragments_copy(const struct load_lane *lane, uint8_t *mem, bool gather)
{
	uint8_t *data = lane->data;
	unsigned int i;

	for (i = 0; i < lane->nr; i++) {
		uint8_t *pos = mem + (uintptr_t)lane->fragments[i].iov_base;
		size_t len = lane->fragments[i].iov_len;

		memcpy(gather ? data : pos, gather ? pos : data, len);
		data += len;
	}
}

static void phase_prepare(struct load *load, struct load_lane *lane)
{
	uint8_t *mem = load->buffer->mem;

	switch (lane->phase) {
	case LOAD_BUFFER_WRITE:
		layout_choose(load, lane);
		random_fill(lane->data, lane->len);
		memset(mem + lane->buffer_off, LOAD_POISON, 2 * load->lane_len);
		fragments_copy(lane, mem, false);
		break;
	case LOAD_PLAIN_READ:
		memset(lane->plain, LOAD_POISON, lane->len);
		break;
	case LOAD_PLAIN_WRITE:
		layout_choose(load, lane);
		random_fill(lane->data, lane->len);
		memcpy(lane->plain, lane->data, lane->len);
		break;
	case LOAD_BUFFER_READ:
		memset(mem + lane->buffer_off, LOAD_POISON, 2 * load->lane_len);
		break;
	case LOAD_IDLE:
		break;
	}
}

static bool of_buffer(enum load_phase phase)
{
	return phase == LOAD_BUFFER_WRITE || phase == LOAD_BUFFER_READ;
}

static void request_queue(struct load *load, struct load_lane *lane)
{
	bool write = lane->phase == LOAD_BUFFER_WRITE || lane->phase == LOAD_PLAIN_WRITE;
	struct request req = { .off = lane->off, .id = (uint64_t)(lane - load->lanes),
			       .len = (uint32_t)lane->len };

	if (!of_buffer(lane->phase)) {
		req.opcode = write ? IORING_OP_WRITE : IORING_OP_READ;
		req.fd = load->fixed_file ? FILE_PLAIN : load->disk->plain_fd;
		req.addr = (uintptr_t)lane->plain;
	} else {
		req.fd = load->fixed_file ? FILE_TARGET : load->fd;
		if (lane->vectored) {
			req.opcode = write ? OP_WRITEV_FIXED : OP_READV_FIXED;
			req.addr = (uintptr_t)lane->fragments;
			req.len = lane->nr;
		} else {
			req.opcode = write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
			req.addr = (uintptr_t)lane->fragments[0].iov_base;
		}
	}
	req.sqe_flags = load->fixed_file ? IOSQE_FIXED_FILE : 0;
	ring_prepare(&load->ring, &req);
	load->in_flight++;
}

/* What the request that has completed moved wrong. */
static size_t phase_wrong(struct load *load, const struct load_lane *lane)
{
	struct load_lane shifted = *lane;
	unsigned int i;

	switch (lane->phase) {
	case LOAD_PLAIN_READ:
		return bytes_differ(lane->plain, lane->data, lane->len);
	case LOAD_BUFFER_READ:
		memset(load->scratch, LOAD_POISON, 2 * load->lane_len);
		for (i = 0; i < lane->nr; i++) {
			uint64_t pos = (uintptr_t)lane->fragments[i].iov_base - lane->buffer_off;

			shifted.fragments[i] = fragment(pos, lane->fragments[i].iov_len);
		}
		fragments_copy(&shifted, load->scratch, false);
		return bytes_differ(load->buffer->mem + lane->buffer_off, load->scratch,
				    2 * load->lane_len);
	default:
		return 0;
	}
}

static void error_note(struct load *load, struct load_lane *lane, long res)
{
	if (of_buffer(lane->phase))
		load->errors++;
	else
		load->errors_plain++;
	if (!load->error)
		load->error = res ? res : -ENODATA;
	lane->phase = load->errors_end ? LOAD_IDLE : LOAD_BUFFER_WRITE;
}

/* Decides what the lane does after a completion, and does it. */
static void lane_advance(struct load *load, struct load_lane *lane, long res, unsigned int rounds)
{
	if (res == -EAGAIN && lane->again++ < AGAIN_MAX) {
		load->again++;
		request_queue(load, lane);
		return;
	}
	lane->again = 0;
	if (res != (long)lane->len) {
		error_note(load, lane, res);
	} else {
		__atomic_fetch_add(&load->requests, of_buffer(lane->phase), __ATOMIC_RELAXED);
		load->wrong += phase_wrong(load, lane);
		if (lane->phase == LOAD_BUFFER_READ) {
			lane->rounds++;
			lane->phase = LOAD_BUFFER_WRITE;
		} else {
			lane->phase++;
		}
	}
	if (__atomic_load_n(&load->stop, __ATOMIC_ACQUIRE) ||
	    (rounds && lane->phase == LOAD_BUFFER_WRITE && lane->rounds >= rounds))
		lane->phase = LOAD_IDLE;
	if (lane->phase == LOAD_IDLE)
		return;
	phase_prepare(load, lane);
	request_queue(load, lane);
}

static void submit(struct load *load)
{
	unsigned int wanted = load->ring.prepared;
	int rc = wanted ? ring_submit(&load->ring) : 0;

	if (rc != (int)wanted)
		fatal("io_uring_enter() to submit %u requests: %s", wanted, result_text(rc));
}

void load_run(struct load *load, unsigned int rounds)
{
	struct completion done;
	unsigned int i;

	if (load->seed)
		random_seed(load->seed);
	for (i = 0; i < load->depth; i++) {
		struct load_lane *lane = &load->lanes[i];

		lane->rounds = 0;
		lane->phase = LOAD_BUFFER_WRITE;
		phase_prepare(load, lane);
		request_queue(load, lane);
	}
	submit(load);
	while (load->in_flight) {
		int rc = ring_wait(&load->ring, &done, COMPLETION_MS_MAX);

		if (rc) {
			load->hung = true;
			load->error = rc;
			return;
		}
		do {
			load->in_flight--;
			lane_advance(load, &load->lanes[done.id], done.res, rounds);
		} while (ring_peek(&load->ring, &done));
		submit(load);
	}
}

void load_stop(struct load *load)
{
	__atomic_store_n(&load->stop, true, __ATOMIC_RELEASE);
}

static void state_set(struct load *load, enum load_thread_state state)
{
	__atomic_store_n(&load->state, state, __ATOMIC_RELEASE);
}

static void *load_thread(void *arg)
{
	struct load *load = arg;

	load->open_error = load_open(load);
	if (load->open_error) {
		state_set(load, LOAD_THREAD_FAILED);
		return NULL;
	}
	state_set(load, LOAD_THREAD_RUNNING);
	load_run(load, 0);
	return NULL;
}

int load_thread_start(struct load *load)
{
	int rc;

	state_set(load, LOAD_THREAD_OPENING);
	rc = pthread_create(&load->thread, NULL, load_thread, load);
	if (rc)
		fatal("no thread for a load: %s", result_text(-rc));
	while (__atomic_load_n(&load->state, __ATOMIC_ACQUIRE) == LOAD_THREAD_OPENING)
		sleep_ms(1);
	if (__atomic_load_n(&load->state, __ATOMIC_ACQUIRE) == LOAD_THREAD_RUNNING)
		return 0;
	pthread_join(load->thread, NULL);
	return load->open_error;
}

void load_thread_join(struct load *load)
{
	load_stop(load);
	pthread_join(load->thread, NULL);
	load->stop = false;
}

bool load_progress_wait(struct load *load, uint64_t requests)
{
	uint64_t last = __atomic_load_n(&load->requests, __ATOMIC_RELAXED);
	uint64_t wanted = last + requests, since_ms = now_ms();

	while (last < wanted) {
		uint64_t now = __atomic_load_n(&load->requests, __ATOMIC_RELAXED);

		if (now != last)
			since_ms = now_ms();
		else if (now_ms() - since_ms >= COMPLETION_MS_MAX)
			return false;
		last = now;
		sleep_ms(1);
	}
	return true;
}

bool check_load(const struct load *load, const char *name)
{
	bool passed = load->requests && !load->wrong && !load->errors && !load->errors_plain &&
		!load->hung;

	if (passed)
		return check(true, "%s: %llu requests, all bytes right, %llu issued again", name,
			     (unsigned long long)load->requests, (unsigned long long)load->again);
	return check(false, "%s: %llu requests, %llu bytes wrong, %llu errors and %llu of the "
		     "control, the first %s%s", name, (unsigned long long)load->requests,
		     (unsigned long long)load->wrong, (unsigned long long)load->errors,
		     (unsigned long long)load->errors_plain, result_text(load->error),
		     load->hung ? ", a request hangs" : "");
}
