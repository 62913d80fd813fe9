/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receive machine on arbitrary bytes in arbitrary pieces: the first byte steers digests, pauses
 * and placement, the second the sizes of the pieces. Beside the sanitizers: what is parsed does not
 * depend on how the bytes are cut, and payload never leaves its destination.
 */
#include <stdlib.h>
#include <string.h>

#include "transport/tcp/rx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GUARD = 64, MEMORY = 8192 };

struct run {
	struct rx rx; /* first */
	uint8_t steer;
	unsigned headers, payloads, faults;
	uint32_t trace; /* hash of everything that was told */
	bool paused;
	struct area area;
	struct span span;
	struct spanv dest;
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
	}
	return RX_GO;
}

static void on_payload(struct rx *rx, bool digest_ok)
{
	struct run *run = (struct run *)rx;

	run->payloads++;
	note(run, digest_ok);
	if (rx->dest)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, cut;

	if (size < 2)
		return 0;
	run_pieces(&whole, data[0], data + 2, size - 2, size);
	run_pieces(&cut, data[0], data + 2, size - 2, data[1] % 61 + 1u);
	if (whole.trace != cut.trace || whole.headers != cut.headers ||
	    whole.payloads != cut.payloads || whole.faults != cut.faults)
		abort();
	return 0;
}
