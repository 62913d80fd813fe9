/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Building replies. Keys are string constants, each used once in its object. Without memory a
 * member becomes null or its object stays away; nothing fails.
 */
#ifndef SLUICE_TARGET_CONTROL_JSON_H
#define SLUICE_TARGET_CONTROL_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/* Adds @value, which is @object's from now on; false, and @value is gone, without memory. */
static inline bool put(struct json_object *object, const char *key, struct json_object *value)
{
	if (object && !json_object_object_add_ex(object, key, value,
						 JSON_C_OBJECT_ADD_CONSTANT_KEY |
							 JSON_C_OBJECT_ADD_KEY_IS_NEW))
		return true;
	json_object_put(value);
	return false;
}

static inline void put_u64(struct json_object *object, const char *key, uint64_t value)
{
	put(object, key, json_object_new_uint64(value));
}

static inline void put_bool(struct json_object *object, const char *key, bool value)
{
	put(object, key, json_object_new_boolean(value));
}

/* @value NULL or empty: null. */
static inline void put_string(struct json_object *object, const char *key, const char *value)
{
	put(object, key, value && *value ? json_object_new_string(value) : NULL);
}

/* The new object, which belongs to @object, or NULL. */
static inline struct json_object *put_object(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_new_object();

	return put(object, key, value) ? value : NULL;
}

static inline struct json_object *put_array(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_new_array();

	return put(object, key, value) ? value : NULL;
}

/* Appends @value, as put() adds. */
static inline bool append(struct json_object *array, struct json_object *value)
{
	if (array && !json_object_array_add(array, value))
		return true;
	json_object_put(value);
	return false;
}

static inline struct json_object *append_object(struct json_object *array)
{
	struct json_object *value = json_object_new_object();

	return append(array, value) ? value : NULL;
}

#endif
