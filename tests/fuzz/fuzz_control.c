/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whatever comes over the control socket, in whatever pieces: the same requests are found as when
 * it comes at once, each is a verb or has a reason why not, and each verb gets a reply that is one
 * line. The first byte chooses the pieces.
 */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "target/control_report.h"
#include "target/control_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_REQUESTS = 4096 };

/* What was found: the requests, and whether the stream was given up. */
struct found {
	struct control_request requests[MAX_REQUESTS];
	unsigned n;
	bool lost;
};

static void requests_take(struct control_input *input, struct found *found)
{
	int rc = 1;

	while (rc > 0 && found->n < MAX_REQUESTS) {
		struct control_request *request = &found->requests[found->n];

		rc = control_request_take(input, request);
		if (rc <= 0)
			break;
		if (!request->verb[0] == !request->error[0])
			abort();
		found->n++;
	}
	if (rc < 0)
		found->lost = true;
}

/* The next piece is 1 .. @max bytes; @max 1 is every byte alone. */
static void feed(const uint8_t *data, size_t size, size_t max, struct found *found)
{
	static struct control_input input;
	uint32_t state = 1;

	input.len = 0;
	found->n = 0;
	found->lost = false;
	while (size && !found->lost && found->n < MAX_REQUESTS) {
		size_t room = sizeof(input.bytes) - input.len, n;

		state = state * 1664525 + 1013904223;
		n = 1 + (state >> 16) % max;
		n = MIN(n, room);
		n = MIN(n, size);
		memcpy(input.bytes + input.len, data, n);
		input.len += n;
		data += n;
		size -= n;
		requests_take(&input, found);
	}
}

static void reply_check(const char *verb)
{
	struct json_object *reply = control_report(verb), *ok;
	const char *line = json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN);

	if (!json_object_object_get_ex(reply, "ok", &ok) || strchr(line, '\n'))
		abort();
	json_object_put(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct found whole, pieces;

	if (!size)
		return 0;
	feed(data + 1, size - 1, SIZE_MAX >> 1, &whole);
	feed(data + 1, size - 1, 1u + data[0], &pieces);
	if (whole.n != pieces.n || whole.lost != pieces.lost)
		abort();
	for (unsigned i = 0; i < whole.n; i++) {
		if (strcmp(whole.requests[i].verb, pieces.requests[i].verb) ||
		    strcmp(whole.requests[i].error, pieces.requests[i].error))
			abort();
		if (whole.requests[i].verb[0])
			reply_check(whole.requests[i].verb);
	}
	return 0;
}
