/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/control_request.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

/* An object of strings and of lists of them needs three levels. */
enum { REQUEST_DEPTH = 3 };

static void refuse(struct control_request *request, const char *fmt, ...) __printf(2, 3);
static void refuse(struct control_request *request, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(request->error, sizeof(request->error), fmt, ap);
	va_end(ap);
}

/* Copies a text of less than @max bytes. */
static void set_text(struct control_request *request, const char *key, struct json_object *value,
		     char *text, size_t max)
{
	size_t len = (size_t)json_object_get_string_len(value);
	const char *given = json_object_get_string(value);

	if (!json_object_is_type(value, json_type_string))
		refuse(request, "\"%s\" is not a text", key);
	else if (!len)
		refuse(request, "\"%s\" is empty", key);
	else if (len >= max || strlen(given) != len)
		refuse(request, "\"%s\" is longer than %zu bytes, or has a NUL", key, max - 1);
	else
		memcpy(text, given, len + 1);
}

static void set_verb(struct control_request *request, struct json_object *value)
{
	size_t len = (size_t)json_object_get_string_len(value);
	const char *verb = json_object_get_string(value);

	if (!json_object_is_type(value, json_type_string) || !len)
		refuse(request, "\"verb\" is not a name");
	else if (len >= sizeof(request->verb) || strlen(verb) != len)
		refuse(request, "\"verb\" is no name of a verb; names are shorter than %d bytes",
		       CONTROL_VERB_MAX);
	else
		memcpy(request->verb, verb, len + 1);
}

static void set_rules(struct control_request *request, struct json_object *value)
{
	size_t n = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

	if (!json_object_is_type(value, json_type_array) || n > CONFIG_FAULT_RULES) {
		refuse(request, "\"rules\" is not a list of at most %d texts", CONFIG_FAULT_RULES);
		return;
	}
	for (size_t i = 0; i < n && !request->error[0]; i++)
		set_text(request, "rules", json_object_array_get_idx(value, i), request->rules[i],
			 sizeof(request->rules[i]));
	request->n_rules = (unsigned)n;
}

static void set_member(struct control_request *request, const char *key, struct json_object *value)
{
	if (!strcmp(key, "verb"))
		set_verb(request, value);
	else if (!strcmp(key, "target"))
		set_text(request, key, value, request->target, sizeof(request->target));
	else if (!strcmp(key, "level"))
		set_text(request, key, value, request->level, sizeof(request->level));
	else if (!strcmp(key, "rules"))
		set_rules(request, value);
	else
		refuse(request,
		       "a request has no members but \"verb\", \"target\", \"level\" and \"rules\"");
}

static void request_from_object(struct control_request *request, struct json_object *object)
{
	struct json_object *verb;

	if (!json_object_is_type(object, json_type_object)) {
		refuse(request, "a request is an object, like {\"verb\": \"status\"}");
		return;
	}
	if (!json_object_object_get_ex(object, "verb", &verb)) {
		refuse(request, "the request has no \"verb\"");
		return;
	}
	json_object_object_foreach(object, key, value)
	{
		if (!request->error[0])
			set_member(request, key, value);
	}
	if (request->error[0])
		request->verb[0] = '\0';
}

static void request_parse(struct control_request *request, const char *line, size_t len)
{
	struct json_tokener *tokener;
	struct json_object *object;
	enum json_tokener_error error;

	*request = (struct control_request){ 0 };
	/* The parser takes a NUL for the end, whatever stands behind it. */
	if (memchr(line, '\0', len)) {
		refuse(request, "not JSON: it has a NUL byte");
		return;
	}
	tokener = json_tokener_new_ex(REQUEST_DEPTH);
	if (!tokener) {
		refuse(request, "out of memory");
		return;
	}
	/* Strict, so that whatever is echoed in a reply is text. */
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, line, (int)len);
	error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue)
		refuse(request, "the line ends before its JSON does");
	else if (error != json_tokener_success)
		refuse(request, "not JSON: %s at byte %zu", json_tokener_error_desc(error),
		       json_tokener_get_parse_end(tokener));
	else
		request_from_object(request, object);
	json_object_put(object);
	json_tokener_free(tokener);
}

int control_request_take(struct control_input *input, struct control_request *request)
{
	char *end = memchr(input->bytes, '\n', input->len);
	size_t len;

	if (!end)
		return input->len < sizeof(input->bytes) ? 0 : -EMSGSIZE;
	/* With its newline, which ends the literals and numbers of JSON. */
	len = (size_t)(end - input->bytes) + 1;
	request_parse(request, input->bytes, len);
	input->len -= len;
	memmove(input->bytes, end + 1, input->len);
	return 1;
}
