/* SPDX-License-Identifier: BSD-3-Clause */
#include "top.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "exit_codes.h"
#include "frame.h"
#include "rates.h"
#include "reply.h"
#include "screen.h"
#include "table.h"

enum { ERROR_MAX = 512, NS_PER_MS = 1000000 };

/* ----------------------------------------------------------------------------------- command line */

bool top_interval_parse(const char *text, unsigned *interval_ms)
{
	char *end;
	double ms = 1000 * strtod(text, &end);

	/* Not "nan", "inf", "0x1", " 1" or "-1", which strtod() takes. */
	if (!*text || *end || text[strspn(text, "0123456789.")])
		return false;
	if (!(ms >= TOP_INTERVAL_MIN_MS && ms <= TOP_INTERVAL_MAX_MS))
		return false;
	*interval_ms = (unsigned)(ms + 0.5);
	return true;
}

bool top_count_parse(const char *text, uint64_t *count)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*count = strtoull(text, &end, 10);
	return !*end && !errno && *count;
}

/* --------------------------------------------------------------------------------------- readings */

/* A reply of the daemon, and when it came. */
struct reading {
	struct json_object *reply; /* NULL: none yet */
	uint64_t came_ns;
};

/* Asks. 0 and @reading, or an exit code and a sentence in @error. */
static int reading_get(const char *socket_path, struct reading *reading, char error[ERROR_MAX])
{
	const struct json_object *ok, *why;
	char *line;

	*reading = (struct reading){ 0 };
	if (client_ask(socket_path, "stats", &line, error, ERROR_MAX))
		return EXIT_UNREACHABLE;
	reading->came_ns = clock_ns();
	reading->reply = json_tokener_parse(line);
	free(line);
	ok = member(reading->reply, "ok");
	if (flag(reading->reply, "ok"))
		return 0;
	why = member(reading->reply, "error");
	if (!ok)
		snprintf(error, ERROR_MAX, "the answer is not one of sluiced's");
	else
		snprintf(error, ERROR_MAX, "sluiced refuses: %s",
			 why ? text(reading->reply, "error") : "it does not say why");
	json_object_put(reading->reply);
	reading->reply = NULL;
	return EXIT_REFUSED;
}

static void complain(const char *error)
{
	fputs("sluicectl: ", stderr);
	text_print(error, stderr);
	fputc('\n', stderr);
}

/* ----------------------------------------------------------------------------------------- frames */

/* What is shown, and from what it is made. */
struct view {
	const struct top *top;
	bool screen;
	struct reading reading; /* the last one */
	struct rates rates;
	bool has_rates;
	bool lost; /* the daemon did not answer the last time */
	char error[ERROR_MAX];
};

static const char *note(const struct view *view, char text[ERROR_MAX + 64])
{
	if (view->lost)
		snprintf(text, ERROR_MAX + 64, "waiting for sluiced: %s", view->error);
	else if (view->has_rates && view->rates.restarted)
		snprintf(text, ERROR_MAX + 64, "sluiced was started anew");
	else
		return NULL;
	return text;
}

static void draw(const struct view *view)
{
	char words[ERROR_MAX + 64], *frame = NULL;
	size_t len;
	FILE *out = open_memstream(&frame, &len);

	if (!out)
		out_of_memory();
	frame_print(view->has_rates ? &view->rates : NULL, note(view, words), screen_size(), out);
	if (fclose(out))
		out_of_memory();
	screen_draw(frame);
	free(frame);
}

/* One after the other, with an empty line between. */
static void print(const struct view *view, bool first)
{
	char words[ERROR_MAX + 64];

	if (view->top->json) {
		struct json_object *object = rates_json(&view->rates);

		puts(json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(object);
		return;
	}
	if (!first)
		putchar('\n');
	frame_print(&view->rates, note(view, words), (struct frame_size){ 0 }, stdout);
}

/* Asks, and has rates if that is not the first answer. Returns 0 or an exit code. */
static int look(struct view *view)
{
	struct reading now;
	uint64_t asked_ns = clock_ns();
	int code = reading_get(view->top->socket_path, &now, view->error);

	view->lost = code;
	if (code)
		return code;
	if (view->has_rates)
		rates_fini(&view->rates);
	view->has_rates = view->reading.reply;
	if (view->has_rates)
		rates_init(&view->rates, view->reading.reply, now.reply,
			   asked_ns - view->reading.came_ns);
	json_object_put(view->reading.reply);
	view->reading = now;
	return 0;
}

/* False: it was told to quit. */
static bool wait_until(const struct view *view, uint64_t until_ns)
{
	enum screen_event event;

	while ((event = screen_wait(until_ns)) == SCREEN_RESIZED)
		if (view->screen)
			draw(view);
	return event != SCREEN_QUIT;
}

/* The next multiple of the interval: those that a slow answer took are left out. */
static uint64_t next_look(uint64_t last_ns, uint64_t interval_ns)
{
	uint64_t now_ns = clock_ns();

	return last_ns + interval_ns * MAX(UINT64_C(1), (now_ns - last_ns) / interval_ns);
}

/* Shows frames until there were as many as there are to be. Returns the exit code. */
static int frames_run(struct view *view)
{
	const uint64_t interval_ns = view->top->interval_ms * (uint64_t)NS_PER_MS;
	uint64_t at_ns = clock_ns(), shown = 0;

	while (!view->top->count || shown < view->top->count) {
		int code;

		at_ns = next_look(at_ns, interval_ns);
		if (!wait_until(view, at_ns))
			break;
		code = look(view);
		/* Somebody who looks on sees it come back; a program has to know that it went. */
		if (code && !view->screen)
			return code;
		if (view->screen)
			draw(view);
		else
			print(view, !shown);
		shown += !code;
		if (!view->screen && fflush(stdout)) {
			snprintf(view->error, ERROR_MAX, "cannot write the output: %s",
				 strerror(errno));
			return EXIT_REFUSED;
		}
	}
	return EXIT_SUCCESS;
}

int top_run(const struct top *top)
{
	struct view view = { .top = top };
	int code = look(&view);

	if (!code) {
		view.screen = !top->batch && !top->json && screen_is_there();
		if (view.screen)
			screen_open();
		code = frames_run(&view);
		screen_close();
	}
	if (code)
		complain(view.error);
	if (view.has_rates)
		rates_fini(&view.rates);
	json_object_put(view.reading.reply);
	return code;
}
