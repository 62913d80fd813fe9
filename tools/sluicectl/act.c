/* SPDX-License-Identifier: BSD-3-Clause */
#include "act.h"

#include <inttypes.h>
#include <string.h>

#include "reply.h"
#include "table.h"

/* Nothing is wrong with the configuration, but nobody is served there. */
static void print_waiting(const struct json_object *row, FILE *out)
{
	fprintf(out, "listener ");
	text_print(text(row, "name"), out);
	fprintf(out, "%s waits for %s %s port %" PRIu64 ": ",
		flag(row, "discovery_only") ? " (discovery)" : "", text(row, "transport"),
		text(row, "address"), number(row, "port"));
	text_print(text(row, "error"), out);
	fputc('\n', out);
}

static void print_reload(const struct json_object *reply, char *const *arguments, FILE *out)
{
	static const char *const keys[] = { "subsystems", "namespaces", "listeners" };
	struct json_object *row;

	(void)arguments;
	fprintf(out, "reloaded:");
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		fprintf(out, "%s %s: %" PRIu64 " added, %" PRIu64 " removed, %" PRIu64 " changed",
			i ? ";" : "", keys[i], number(member(reply, keys[i]), "added"),
			number(member(reply, keys[i]), "removed"),
			number(member(reply, keys[i]), "changed"));
	fputc('\n', out);
	for_each_row(row, member(reply, "waiting"))
		print_waiting(row, out);
}

static void print_attach(const struct json_object *reply, char *const *arguments, FILE *out)
{
	(void)reply;
	fprintf(out, "%s is attached\n", arguments[0]);
}

static void print_detach(const struct json_object *reply, char *const *arguments, FILE *out)
{
	(void)reply;
	fprintf(out, "%s is detached\n", arguments[0]);
}

static void print_drain(const struct json_object *reply, char *const *arguments, FILE *out)
{
	(void)reply;
	fprintf(out, "%s is drained\n", arguments[0]);
}

static void print_resume(const struct json_object *reply, char *const *arguments, FILE *out)
{
	(void)reply;
	fprintf(out, "%s is open to hosts\n", arguments[0]);
}

static void print_fault(const struct json_object *reply, char *const *arguments, FILE *out)
{
	struct json_object *rules = NULL;

	json_object_object_get_ex(reply, "rules", &rules);
	fprintf(out, "%s: fault rules: %" PRIu64 "\n", arguments[0],
		json_object_get_uint64(rules));
}

static void print_level(const struct json_object *reply, char *const *arguments, FILE *out)
{
	struct json_object *level = NULL;
	const char *name;

	(void)arguments;
	json_object_object_get_ex(reply, "level", &level);
	name = json_object_get_string(level);
	fprintf(out, "%s\n", name ? name : "-");
}

const struct act acts[] = {
	{ "reload", "", "read the configuration again, and change what differs", 0, 0, NULL, false,
	  print_reload },
	{ "attach", "NQN/NSID", "open a namespace that was detached", 1, 1, "target", false,
	  print_attach },
	{ "detach", "NQN/NSID", "close a namespace until it is attached", 1, 1, "target", false,
	  print_detach },
	{ "drain", "NQN|LISTENER", "send hosts away, and admit none until it is resumed", 1, 1,
	  "target", false, print_drain },
	{ "resume", "NQN|LISTENER", "admit hosts again", 1, 1, "target", false, print_resume },
	{ "fault", "NQN/NSID [RULE...]", "have a namespace fail by these rules; none: no more", 1,
	  9, "target", true, print_fault },
	{ "log-level", "[LEVEL]", "what is logged, or what is to be logged from now on", 0, 1,
	  "level", false, print_level },
	{ 0 },
};

const struct act *act_find(const char *verb)
{
	for (const struct act *act = acts; act->verb; act++)
		if (!strcmp(verb, act->verb))
			return act;
	return NULL;
}

char *act_request(const struct act *act, char *const *arguments, unsigned n)
{
	struct json_object *request = json_object_new_object(), *rules = NULL;
	const char *text;
	char *line;

	json_object_object_add(request, "verb", json_object_new_string(act->verb));
	if (act->key && n)
		json_object_object_add(request, act->key, json_object_new_string(arguments[0]));
	if (act->rules && n > 1) {
		rules = json_object_new_array();
		for (unsigned i = 1; i < n; i++)
			json_object_array_add(rules, json_object_new_string(arguments[i]));
		json_object_object_add(request, "rules", rules);
	}
	text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE);
	line = text ? strdup(text) : NULL;
	json_object_put(request);
	return line;
}
