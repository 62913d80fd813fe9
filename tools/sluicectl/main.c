/* SPDX-License-Identifier: BSD-3-Clause */
/* sluicectl: asks a running sluiced what it has and does, and has it change something. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act.h"
#include "client.h"
#include "exit_codes.h"
#include "show.h"
#include "table.h"
#include "top.h"

#define DEFAULT_SOCKET "/run/sluice/control.sock"

static void usage(void)
{
	printf("usage: sluicectl [--socket PATH] [--json] VERB [ARGUMENT...]\n\nVerbs:\n");
	for (const struct show *show = shows; show->verb; show++)
		printf("  %-12s %s\n", show->verb, show->help);
	printf("  %-12s %s\n", "top", "what it does each second, until it is ended by q");
	for (const struct act *act = acts; act->verb; act++)
		printf("  %s %s%s%s\n", act->verb, act->arguments,
		       act->arguments[0] ? ": " : "          ", act->help);
	printf("\nOptions:\n"
	       "  --socket PATH  control socket of the daemon (" DEFAULT_SOCKET ")\n"
	       "  --json         print the daemon's reply as it is, one JSON object\n"
	       "  -i, --interval SECONDS  of top: between two looks, 0.1 to 3600 (1)\n"
	       "  -n, --count N  of top: end after N frames\n"
	       "  -b, --batch    of top: one frame after the other, also on a terminal\n"
	       "  -h, --help     print this\n"
	       "  --version      print the version\n"
	       "\n"
	       "Exit status: 0 done, 1 the daemon refused, 2 it cannot be reached or does not answer, "
	       "64 usage.\n");
}

/* What was asked for. */
struct question {
	bool top;
	const struct show *show; /* NULL: it is an act */
	const struct act *act;
	char *const *arguments;
	unsigned n;
};

static void answer_print(const struct question *question, const struct json_object *reply)
{
	if (question->show)
		question->show->print(reply, stdout);
	else
		question->act->print(reply, question->arguments, stdout);
}

/* Prints the daemon's reply. Returns the exit code. */
static int reply_print(const char *line, const struct question *question, bool json)
{
	struct json_object *reply = json_tokener_parse(line), *ok, *error;
	int code = EXIT_REFUSED;

	if (!json_object_object_get_ex(reply, "ok", &ok)) {
		fprintf(stderr, "sluicectl: the answer is not one of sluiced's\n");
	} else if (json) {
		puts(line);
		code = json_object_get_boolean(ok) ? EXIT_SUCCESS : EXIT_REFUSED;
	} else if (json_object_get_boolean(ok)) {
		answer_print(question, reply);
		code = EXIT_SUCCESS;
	} else {
		fputs("sluicectl: sluiced refuses: ", stderr);
		text_print(json_object_object_get_ex(reply, "error", &error) ?
				   json_object_get_string(error) : "it does not say why", stderr);
		fputc('\n', stderr);
	}
	json_object_put(reply);
	if (fflush(stdout) || ferror(stdout)) {
		perror("sluicectl: cannot write the output");
		code = EXIT_REFUSED;
	}
	return code;
}

static int ask(const char *socket_path, const struct question *question, char **line, char *error,
	       size_t error_size)
{
	char *request;
	int rc;

	if (question->show)
		return client_ask(socket_path, question->show->verb, line, error, error_size);
	request = act_request(question->act, question->arguments, question->n);
	if (!request) {
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	rc = client_request(socket_path, request, CLIENT_CHANGE_TIMEOUT_S, line, error, error_size);
	free(request);
	return rc;
}

static int ask_and_print(const char *socket_path, const struct question *question, bool json)
{
	char *line, error[512];
	int code;

	if (ask(socket_path, question, &line, error, sizeof(error))) {
		fprintf(stderr, "sluicectl: %s\n", error);
		return EXIT_UNREACHABLE;
	}
	code = reply_print(line, question, json);
	free(line);
	return code;
}

/* Behind what is wrong, which a list of all there is would push from the screen. */
static int usage_hint(void)
{
	fputs("Try sluicectl --help.\n", stderr);
	return EXIT_USAGE;
}

/* What the command line asks for. False: that was wrong, and has been said. */
static bool question_parse(struct question *question, char *const *words, unsigned n)
{
	unsigned min = 0, max = 0;

	if (!n) {
		fprintf(stderr, "sluicectl: give a verb\n");
		return false;
	}
	*question = (struct question){ !strcmp(words[0], "top"), show_find(words[0]),
				       act_find(words[0]), words + 1, n - 1 };
	if (!question->top && !question->show && !question->act) {
		fprintf(stderr, "sluicectl: there is no verb \"%s\"\n", words[0]);
		return false;
	}
	if (question->act) {
		min = question->act->min;
		max = question->act->max;
	}
	if (question->n >= min && question->n <= max)
		return true;
	fprintf(stderr, "sluicectl: \"%s\" takes %s\n", words[0],
		max ? question->act->arguments : "no argument");
	return false;
}

/* What the options say. */
struct options {
	struct top top; /* with what is of all verbs */
	bool of_top;	/* some are of that verb alone */
};

enum { OPTIONS_OK = -1 };

/* Returns OPTIONS_OK, or the exit code after all is said. */
static int options_parse(struct options *options, int argc, char **argv)
{
	enum { OPTION_SOCKET = 1, OPTION_JSON, OPTION_VERSION };
	static const struct option table[] = {
		{ "socket", required_argument, NULL, OPTION_SOCKET },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "interval", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'n' },
		{ "batch", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ 0 },
	};
	struct top *top = &options->top;
	int option;

	while ((option = getopt_long(argc, argv, "i:n:bh", table, NULL)) != -1) {
		options->of_top |= option == 'i' || option == 'n' || option == 'b';
		switch (option) {
		case OPTION_SOCKET:
			top->socket_path = optarg;
			break;
		case OPTION_JSON:
			top->json = true;
			break;
		case 'i':
			if (top_interval_parse(optarg, &top->interval_ms))
				break;
			fprintf(stderr,
				"sluicectl: --interval takes seconds, 0.1 to 3600, not \"%s\"\n",
				optarg);
			return EXIT_USAGE;
		case 'n':
			if (top_count_parse(optarg, &top->count))
				break;
			fprintf(stderr, "sluicectl: --count takes a number from 1 on, not \"%s\"\n",
				optarg);
			return EXIT_USAGE;
		case 'b':
			top->batch = true;
			break;
		case 'h':
			usage();
			return EXIT_SUCCESS;
		case OPTION_VERSION:
			puts("sluicectl " SLUICE_VERSION);
			return EXIT_SUCCESS;
		default:
			return usage_hint();
		}
	}
	return OPTIONS_OK;
}

int main(int argc, char **argv)
{
	struct options options = {
		.top = { .socket_path = DEFAULT_SOCKET, .interval_ms = TOP_INTERVAL_MS },
	};
	struct question question;
	int code = options_parse(&options, argc, argv);

	if (code != OPTIONS_OK)
		return code;
	if (!question_parse(&question, argv + optind, (unsigned)(argc - optind)))
		return usage_hint();
	if (question.top)
		return top_run(&options.top);
	if (options.of_top) {
		fprintf(stderr,
			"sluicectl: --interval, --count and --batch are for the verb top\n");
		return EXIT_USAGE;
	}
	return ask_and_print(options.top.socket_path, &question, options.top.json);
}
