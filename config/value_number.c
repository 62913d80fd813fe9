/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers: plain, sizes and durations. They differ in the units that may follow the digits. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "config/value.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* The unit that reads best comes last; a size or duration prints in the largest that divides it. */
static const struct unit size_units[] = {
	{ "", 1 },	     { "K", 1ull << 10 }, { "M", 1ull << 20 },
	{ "G", 1ull << 30 }, { "T", 1ull << 40 },
};
static const struct unit duration_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
};

static uint64_t field_load(const struct setting *s, const void *object)
{
	const char *field = (const char *)object + s->offset;

	switch (s->size) {
	case 2:
		return *(const uint16_t *)field;
	case 4:
		return *(const uint32_t *)field;
	default:
		assert(s->size == 8);
		return *(const uint64_t *)field;
	}
}

static void field_store(const struct setting *s, void *object, uint64_t value)
{
	char *field = (char *)object + s->offset;

	switch (s->size) {
	case 2:
		*(uint16_t *)field = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)value;
		break;
	default:
		assert(s->size == 8);
		*(uint64_t *)field = value;
	}
}

/* Reads the digits at @text; returns what follows them, or NULL: no digits, or beyond 64 bits. */
static const char *digits_parse(const char *text, unsigned base, uint64_t *value)
{
	const char *start = text;

	*value = 0;
	for (;; text++) {
		unsigned digit;

		if (*text >= '0' && *text <= '9')
			digit = (unsigned)(*text - '0');
		else if (base == 16 && (*text | 0x20) >= 'a' && (*text | 0x20) <= 'f')
			digit = (unsigned)((*text | 0x20) - 'a' + 10);
		else
			break;
		if (__builtin_mul_overflow(*value, (uint64_t)base, value) ||
		    __builtin_add_overflow(*value, (uint64_t)digit, value))
			return NULL;
	}
	return text == start ? NULL : text;
}

static int number_check(const struct setting *s, uint64_t value)
{
	if (s->zero && value == 0)
		return 0;
	if (value < s->min || value > s->max)
		return -EINVAL;
	if (s->multiple && value % s->multiple)
		return -EINVAL;
	if (s->power_of_two && (value & (value - 1)))
		return -EINVAL;
	return 0;
}

static int number_finish(const struct setting *s, void *object, uint64_t value)
{
	int rc = number_check(s, value);

	if (rc == 0)
		field_store(s, object, value);
	return rc;
}

static int number_parse(const struct setting *s, void *object, const char *text)
{
	bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
	uint64_t value;

	if (s->zero && strcasecmp(text, s->zero) == 0)
		return number_finish(s, object, 0);
	text = digits_parse(hex ? text + 2 : text, hex ? 16 : 10, &value);
	if (!text || *text)
		return -EINVAL;
	return number_finish(s, object, value);
}

static int units_parse(const struct setting *s, void *object, const char *text,
		       const struct unit *units, unsigned n_units)
{
	uint64_t value;

	if (s->zero && strcasecmp(text, s->zero) == 0)
		return number_finish(s, object, 0);
	text = digits_parse(text, 10, &value);
	if (!text)
		return -EINVAL;
	for (unsigned i = 0; i < n_units; i++) {
		if (strcasecmp(text, units[i].name))
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &value))
			return -EINVAL;
		return number_finish(s, object, value);
	}
	return -EINVAL;
}

static int size_parse(const struct setting *s, void *object, const char *text)
{
	return units_parse(s, object, text, size_units, ARRAY_SIZE(size_units));
}

static int duration_parse(const struct setting *s, void *object, const char *text)
{
	return units_parse(s, object, text, duration_units, ARRAY_SIZE(duration_units));
}

/* Enough for 20 digits and a unit. */
enum { UNITS_TEXT_MAX = 24 };

static const char *units_text(uint64_t value, const struct unit *units, unsigned n_units,
			      char *text)
{
	unsigned i = n_units - 1;

	while (value == 0 ? i > 0 : value % units[i].factor)
		i--;
	snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
	return text;
}

static void number_print(const struct setting *s, const void *object, FILE *out)
{
	uint64_t value = field_load(s, object);

	if (value == 0 && s->zero)
		fprintf(out, "%s = %s\n", s->key, s->zero);
	else
		fprintf(out, "%s = %" PRIu64 "\n", s->key, value);
}

static void units_print(const struct setting *s, const void *object, FILE *out,
			const struct unit *units, unsigned n_units)
{
	uint64_t value = field_load(s, object);
	char text[UNITS_TEXT_MAX];

	fprintf(out, "%s = %s\n", s->key,
		value == 0 && s->zero ? s->zero : units_text(value, units, n_units, text));
}

static void size_print(const struct setting *s, const void *object, FILE *out)
{
	units_print(s, object, out, size_units, ARRAY_SIZE(size_units));
}

static void duration_print(const struct setting *s, const void *object, FILE *out)
{
	units_print(s, object, out, duration_units, ARRAY_SIZE(duration_units));
}

static void number_describe(const struct setting *s, char *form)
{
	snprintf(form, VALUE_FORM_MAX, "a number from %" PRIu64 " to %" PRIu64 "%s%s", s->min,
		 s->max, s->zero ? ", or " : "", s->zero ? s->zero : "");
}

static void size_describe(const struct setting *s, char *form)
{
	char min[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX], multiple[UNITS_TEXT_MAX];
	bool coarse = s->multiple > 1;

	units_text(s->min, size_units, ARRAY_SIZE(size_units), min);
	units_text(s->max, size_units, ARRAY_SIZE(size_units), max);
	units_text(s->multiple, size_units, ARRAY_SIZE(size_units), multiple);
	snprintf(form, VALUE_FORM_MAX,
		 "a size from %s to %s (K, M, G, T are powers of 1024)%s%s%s%s%s", min, max,
		 s->power_of_two ? ", a power of two" : "", coarse ? ", a multiple of " : "",
		 coarse ? multiple : "", s->zero ? ", or " : "", s->zero ? s->zero : "");
}

static void duration_describe(const struct setting *s, char *form)
{
	char min[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX];

	units_text(s->min, duration_units, ARRAY_SIZE(duration_units), min);
	units_text(s->max, duration_units, ARRAY_SIZE(duration_units), max);
	snprintf(form, VALUE_FORM_MAX, "a time with its unit (ms, s, m, h) from %s to %s", min,
		 max);
}

const struct value_type value_number = { .parse = number_parse,
					 .print = number_print,
					 .describe = number_describe };
const struct value_type value_size = { .parse = size_parse,
				       .print = size_print,
				       .describe = size_describe };
const struct value_type value_duration = { .parse = duration_parse,
					   .print = duration_print,
					   .describe = duration_describe };
