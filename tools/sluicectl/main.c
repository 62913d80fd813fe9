/* SPDX-License-Identifier: BSD-3-Clause */
/* sluicectl: asks a running sluiced what it has and does. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "show.h"
#include "table.h"

#define DEFAULT_SOCKET "/run/sluice/control.sock"

/* Exit codes; 0 is success. */
enum { EXIT_REFUSED = 1, EXIT_UNREACHABLE = 2, EXIT_USAGE = 64 };

static void usage(FILE *out)
{
	fprintf(out, "usage: sluicectl [--socket PATH] [--json] VERB\n\nVerbs:\n");
	for (const struct show *show = shows; show->verb; show++)
		fprintf(out, "  %-12s %s\n", show->verb, show->help);
	fprintf(out,
		"\nOptions:\n"
		"  --socket PATH  control socket of the daemon (" DEFAULT_SOCKET ")\n"
		"  --json         print the daemon's reply as it is, one JSON object\n"
		"  --help         print this\n"
		"  --version      print the version\n"
		"\n"
		"Exit status: 0 done, 1 the daemon refused, 2 it cannot be reached, 64 usage.\n");
}

/* Prints the daemon's reply. Returns the exit code. */
static int reply_print(const char *line, const struct show *show, bool json)
{
	struct json_object *reply = json_tokener_parse(line), *ok, *error;
	int code = EXIT_REFUSED;

	if (!json_object_object_get_ex(reply, "ok", &ok)) {
		fprintf(stderr, "sluicectl: the answer is not one of sluiced's\n");
	} else if (json) {
		puts(line);
		code = json_object_get_boolean(ok) ? EXIT_SUCCESS : EXIT_REFUSED;
	} else if (json_object_get_boolean(ok)) {
		show->print(reply, stdout);
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

static int ask_and_print(const char *socket_path, const struct show *show, bool json)
{
	char *line, error[512];
	int code;

	if (client_ask(socket_path, show->verb, &line, error, sizeof(error))) {
		fprintf(stderr, "sluicectl: %s\n", error);
		return EXIT_UNREACHABLE;
	}
	code = reply_print(line, show, json);
	free(line);
	return code;
}

int main(int argc, char **argv)
{
	enum { OPTION_SOCKET = 1, OPTION_JSON, OPTION_HELP, OPTION_VERSION };
	static const struct option options[] = {
		{ "socket", required_argument, NULL, OPTION_SOCKET },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ 0 },
	};
	const char *socket_path = DEFAULT_SOCKET;
	const struct show *show;
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case OPTION_SOCKET:
			socket_path = optarg;
			break;
		case OPTION_JSON:
			json = true;
			break;
		case OPTION_HELP:
			usage(stdout);
			return EXIT_SUCCESS;
		case OPTION_VERSION:
			puts("sluicectl " SLUICE_VERSION);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 1) {
		fprintf(stderr, "sluicectl: give one verb\n");
		usage(stderr);
		return EXIT_USAGE;
	}
	show = show_find(argv[optind]);
	if (!show) {
		fprintf(stderr, "sluicectl: there is no verb \"%s\"\n", argv[optind]);
		usage(stderr);
		return EXIT_USAGE;
	}
	return ask_and_print(socket_path, show, json);
}
