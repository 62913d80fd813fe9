/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receive machine on arbitrary bytes in arbitrary pieces: the first byte steers digests, pauses
 * and placement, the second the sizes of the pieces. Beside the sanitizers: what is parsed does not
 * depend on how the bytes are cut, nor on whether payload is copied or kept where it came in, payload
 * never leaves its destination, and all chunks come back.
 */
#include <stdlib.h>
#include <string.h>

#include "transport/tcp/rx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GUARD = 64, MEMORY = 8192, CHUNK_SHIFT = 12, CHUNK = 1 << CHUNK_SHIFT, CHUNKS = 32 };

/* Where fragments come in: a part of an area behind the buffer that payload is copied to. */
static struct area fragments = { .faces = AREA_FACE_CPU, .size = MEMORY + CHUNKS * CHUNK };
static struct landing landing;

struct run {
	struct rx rx; /* first */
	uint8_t steer;
	unsigned headers, payloads, faults;
	uint32_t trace; /* hash of everything that was told */
	bool paused;
	struct area area;
	struct span span;
	struct spanv dest;
	struct gather *gather; /* NULL: payload is copied */
	uint8_t memory[GUARD + MEMORY + GUARD];
};

static void note(struct run *run, uint32_t value)
{
	run->trace = (run->trace ^ value) * 16777619u;
}

static enum rx_verdict on_header(struct rx *rx)
{
	struct run *run = (struct run *)rx;

	if ((run->steer & 4) && !run->paused) {
		run->paused = true;
		return RX_PAUSE;
	}
	run->paused = false;
	run->headers++;
	for (uint32_t i = 0; i < rx->layout.hlen; i++)
		note(run, rx->hdr[i]);
	if (rx->hdr[0] == PDU_ICREQ) {
		rx->params =
			(struct pdu_params){ true, run->steer & 1, run->steer & 2, MEMORY, MEMORY };
		return RX_GO;
	}
	if (rx->hdr[0] == PDU_H2C_TERM)
		return RX_STOP;
	if (run->steer & 8) {
		rx->dest = &run->dest;
		rx->dest_offset = 0;
		if (run->gather) {
			gather_fini(run->gather);
			gather_init(run->gather, &landing, &run->dest, 4, 0);
			rx->gather = run->gather;
		}
	}
	return RX_GO;
}

static void on_payload(struct rx *rx, bool digest_ok)
{
	struct run *run = (struct run *)rx;

	run->payloads++;
	note(run, digest_ok);
	if (!rx->dest)
		return;
	if (rx->gather) {
		if (rx->gather->data.len != rx->layout.data_len)
			abort();
		spanv_read(&rx->gather->data, 0, run->memory + GUARD, rx->layout.data_len);
	}
	for (uint32_t i = 0; i < rx->layout.data_len; i++)
		note(run, run->memory[GUARD + i]);
}

static void on_fault(struct rx *rx, const struct pdu_fault *fault)
{
	struct run *run = (struct run *)rx;

	run->faults++;
	note(run, (uint32_t)fault->fes);
	note(run, fault->fei);
	if (run->faults > 1 || fault->fes == PDU_FES_NONE || !fault->what ||
	    rx->hdr_have > sizeof(rx->hdr))
		abort();
}

static const struct rx_ops ops = { on_header, on_payload, on_fault };

static void run_pieces(struct run *run, uint8_t steer, const uint8_t *p, size_t len, size_t piece)
{
	memset(run, 0, sizeof(*run));
	run->steer = steer;
	rx_init(&run->rx, &ops);
	run->area = (struct area){ .faces = AREA_FACE_CPU,
				   .base = run->memory + GUARD,
				   .size = MEMORY };
	run->span = (struct span){ &run->area, 0, MEMORY };
	spanv_init(&run->dest, &run->span, 1);
	run->dest.n = 1;
	run->dest.len = MEMORY;
	while (len && run->rx.state != RX_STOPPED) {
		uint32_t place = steer & 16 ? rx_placeable(&run->rx) : 0;
		size_t n = piece < len ? piece : len, used;

		if (place) {
			n = n < place ? n : place;
			memcpy(run->memory + GUARD + run->rx.dest_offset, p, n);
			rx_placed(&run->rx, (uint32_t)n);
			used = n;
		} else {
			used = rx_feed(&run->rx, p, n, NULL);
			if (run->rx.state == RX_JUDGE)
				rx_resume(&run->rx);
			else if (used < n && run->rx.state != RX_STOPPED)
				abort();
		}
		p += used;
		len -= used;
	}
	for (unsigned i = 0; i < GUARD; i++)
		if (run->memory[i] || run->memory[GUARD + MEMORY + i])
			abort();
}

/* The next chunk with @n bytes of @p at byte @skew of it. */
static struct span fragment_of(const uint8_t *p, size_t n, uint32_t skew)
{
	static uint32_t next;
	struct span fragment = { &fragments, MEMORY + next++ % CHUNKS * CHUNK + skew, (uint32_t)n };

	memcpy(span_ptr(&fragment), p, n);
	chunks_received(&landing.chunks, &fragment);
	return fragment;
}

/* Chunks that are kept must not be filled again: few are, as one command is there at a time. */
static void run_fragments(struct run *run, uint8_t steer, const uint8_t *p, size_t len, size_t piece,
			  uint32_t skew)
{
	struct gather gather;
	uint32_t index;

	memset(run, 0, sizeof(*run));
	run->steer = steer;
	run->gather = &gather;
	run->span = (struct span){ &fragments, 0, MEMORY };
	spanv_init(&run->dest, &run->span, 1);
	run->dest.n = 1;
	run->dest.len = MEMORY;
	gather_init(&gather, &landing, &run->dest, 4, 0);
	rx_init(&run->rx, &ops);
	while (len && run->rx.state != RX_STOPPED) {
		size_t n = piece < len ? piece : len, used;
		struct span fragment = fragment_of(p, n, skew);

		used = rx_feed(&run->rx, span_ptr(&fragment), n, &fragment);
		if (run->rx.state == RX_JUDGE)
			rx_resume(&run->rx);
		chunks_put(&landing.chunks, &fragment);
		while (chunks_take_idle(&landing.chunks, UINT32_MAX, &index))
			memset((uint8_t *)fragments.base + MEMORY + index * CHUNK, 0xdb, CHUNK);
		p += used;
		len -= used;
	}
	gather_fini(&gather);
	while (chunks_take_idle(&landing.chunks, UINT32_MAX, &index))
		;
	if (landing.kept || landing.chunks.held)
		abort();
}

static void runs_equal(const struct run *a, const struct run *b)
{
	if (a->trace != b->trace || a->headers != b->headers || a->payloads != b->payloads ||
	    a->faults != b->faults)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, cut, kept;

	if (!fragments.base) {
		fragments.base = calloc(1, fragments.size);
		if (!fragments.base || landing_init(&landing, &fragments, MEMORY, CHUNKS * CHUNK,
						    CHUNK_SHIFT, 0, 1))
			abort();
	}

	if (size < 2)
		return 0;
	run_pieces(&whole, data[0], data + 2, size - 2, size);
	run_pieces(&cut, data[0], data + 2, size - 2, data[1] % 61 + 1u);
	runs_equal(&whole, &cut);
	/* At most MEMORY bytes in pieces of so many: less than there are chunks. */
	run_fragments(&kept, data[0] & ~16, data + 2, size - 2, 512 + data[1] % 8 * 100u,
		      data[1] / 8 % 5u);
	runs_equal(&whole, &kept);
	return 0;
}
