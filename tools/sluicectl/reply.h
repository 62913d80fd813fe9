/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading replies of the daemon: what is missing, or is something else, reads as nothing. */
#ifndef SLUICE_TOOLS_SLUICECTL_REPLY_H
#define SLUICE_TOOLS_SLUICECTL_REPLY_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

static inline struct json_object *member(const struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

static inline uint64_t number(const struct json_object *object, const char *key)
{
	return json_object_get_uint64(member(object, key));
}

/* The text of a member that is one, or a number; "-" when it is missing or null. */
static inline const char *text(const struct json_object *object, const char *key)
{
	const char *value = json_object_get_string(member(object, key));

	return value ? value : "-";
}

static inline bool flag(const struct json_object *object, const char *key)
{
	return json_object_get_boolean(member(object, key));
}

static inline size_t rows_count(const struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

#define for_each_row(row, array)                                                            \
	for (size_t row##_i = 0; row##_i < rows_count(array) &&                             \
				 ((row) = json_object_array_get_idx(array, row##_i), true); \
	     row##_i++)

#endif
