/* SPDX-License-Identifier: BSD-3-Clause */
/* Words, texts, addresses and identifiers. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "config/value.h"

static int text_store(const struct setting *s, void *object, const char *text)
{
	size_t len = strlen(text);

	if (len >= s->size)
		return -EINVAL;
	memcpy((char *)object + s->offset, text, len + 1);
	return 0;
}

static void text_print(const struct setting *s, const void *object, FILE *out)
{
	const char *text = (const char *)object + s->offset;

	if (*text)
		fprintf(out, "%s = %s\n", s->key, text);
}

static int bool_parse(const struct setting *s, void *object, const char *text)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]))
			continue;
		*(bool *)((char *)object + s->offset) = i & 1;
		return 0;
	}
	return -EINVAL;
}

static void bool_print(const struct setting *s, const void *object, FILE *out)
{
	bool value = *(const bool *)((const char *)object + s->offset);

	fprintf(out, "%s = %s\n", s->key, value ? "yes" : "no");
}

static void bool_describe(const struct setting *s __maybe_unused, char *form)
{
	snprintf(form, VALUE_FORM_MAX, "yes or no");
}

static int choice_parse(const struct setting *s, void *object, const char *text)
{
	for (unsigned i = 0; s->choices[i]; i++) {
		if (strcasecmp(text, s->choices[i]))
			continue;
		*(unsigned *)((char *)object + s->offset) = i;
		return 0;
	}
	return -EINVAL;
}

static void choice_print(const struct setting *s, const void *object, FILE *out)
{
	unsigned value = *(const unsigned *)((const char *)object + s->offset);

	fprintf(out, "%s = %s\n", s->key, s->choices[value]);
}

static void choice_describe(const struct setting *s, char *form)
{
	size_t n = 0;

	for (unsigned i = 0; s->choices[i]; i++) {
		const char *joint = i == 0 ? "" : s->choices[i + 1] ? ", " : " or ";

		n += (size_t)snprintf(form + n, VALUE_FORM_MAX - n, "%s%s", joint, s->choices[i]);
	}
}

bool value_word_valid(const char *text, size_t max)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t len = strspn(text, allowed);

	return len > 0 && len <= max && text[len] == '\0';
}

static int word_parse(const struct setting *s, void *object, const char *text)
{
	return value_word_valid(text, s->size - 1) ? text_store(s, object, text) : -EINVAL;
}

static void word_describe(const struct setting *s, char *form)
{
	snprintf(form, VALUE_FORM_MAX, "at most %zu letters, digits, '.', '_' and '-'",
		 s->size - 1);
}

static int ascii_parse(const struct setting *s, void *object, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c < ' ' || *c > '~')
			return -EINVAL;
	}
	return text_store(s, object, text);
}

static void ascii_describe(const struct setting *s, char *form)
{
	snprintf(form, VALUE_FORM_MAX, "at most %zu ASCII characters", s->size - 1);
}

static int path_parse(const struct setting *s, void *object, const char *text)
{
	return text[0] == '/' ? text_store(s, object, text) : -EINVAL;
}

static void path_describe(const struct setting *s, char *form)
{
	snprintf(form, VALUE_FORM_MAX, "an absolute path of at most %zu bytes", s->size - 1);
}

static int address_parse(const struct setting *s, void *object, const char *text)
{
	char canonical[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		inet_ntop(AF_INET, &v4, canonical, sizeof(canonical));
	else if (inet_pton(AF_INET6, text, &v6) == 1)
		inet_ntop(AF_INET6, &v6, canonical, sizeof(canonical));
	else
		return -EINVAL;
	return text_store(s, object, canonical);
}

static void address_describe(const struct setting *s __maybe_unused, char *form)
{
	snprintf(form, VALUE_FORM_MAX,
		 "a numeric IPv4 or IPv6 address such as 192.0.2.1 or 2001:db8::1");
}

static int nqn_parse(const struct setting *s, void *object, const char *text)
{
	return config_nqn_valid(text) ? text_store(s, object, text) : -EINVAL;
}

static void nqn_describe(const struct setting *s __maybe_unused, char *form)
{
	snprintf(form, VALUE_FORM_MAX,
		 "an NVMe Qualified Name of at most %d bytes such as nqn.2014-08.com.example:name",
		 CONFIG_NQN_MAX - 1);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Zeros mean "no identifier" on the wire (NVM Command Set 1.0, 4.1.5.1): nobody chooses them. */
static int id_store(const struct setting *s, void *object, const uint8_t *id)
{
	uint8_t any = 0;

	for (size_t i = 0; i < s->size; i++)
		any |= id[i];
	if (any == 0)
		return -EINVAL;
	memcpy((char *)object + s->offset, id, s->size);
	*(bool *)((char *)object + s->given_offset) = true;
	return 0;
}

static bool id_given(const struct setting *s, const void *object)
{
	return *(const bool *)((const char *)object + s->given_offset);
}

static bool uuid_dash(size_t byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

/* Reads the hexadecimal bytes of an identifier, with the dashes of a UUID if @dashes. */
static int id_parse(const struct setting *s, void *object, const char *text, bool dashes)
{
	uint8_t id[16];

	for (size_t i = 0; i < s->size; i++) {
		int high, low;

		if (dashes && uuid_dash(i) && *text++ != '-')
			return -EINVAL;
		high = hex_digit(*text);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return -EINVAL;
		id[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text ? -EINVAL : id_store(s, object, id);
}

static void id_print(const struct setting *s, const void *object, FILE *out, bool dashes)
{
	const uint8_t *id = (const uint8_t *)object + s->offset;

	if (!id_given(s, object))
		return;
	fprintf(out, "%s = ", s->key);
	for (size_t i = 0; i < s->size; i++)
		fprintf(out, "%s%02x", dashes && uuid_dash(i) ? "-" : "", id[i]);
	fputc('\n', out);
}

static int uuid_parse(const struct setting *s, void *object, const char *text)
{
	return id_parse(s, object, text, true);
}

static void uuid_print(const struct setting *s, const void *object, FILE *out)
{
	id_print(s, object, out, true);
}

static void uuid_describe(const struct setting *s __maybe_unused, char *form)
{
	snprintf(form, VALUE_FORM_MAX,
		 "a UUID that is not all zeros, in the form "
		 "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
}

static int hex_parse(const struct setting *s, void *object, const char *text)
{
	return id_parse(s, object, text, false);
}

static void hex_print(const struct setting *s, const void *object, FILE *out)
{
	id_print(s, object, out, false);
}

static void hex_describe(const struct setting *s, char *form)
{
	snprintf(form, VALUE_FORM_MAX, "%zu hexadecimal digits that are not all zero", 2 * s->size);
}

const struct value_type value_bool = { .parse = bool_parse,
				       .print = bool_print,
				       .describe = bool_describe };
const struct value_type value_choice = { .parse = choice_parse,
					 .print = choice_print,
					 .describe = choice_describe };
const struct value_type value_word = { .parse = word_parse,
				       .print = text_print,
				       .describe = word_describe };
const struct value_type value_text = { .parse = ascii_parse,
				       .print = text_print,
				       .describe = ascii_describe };
const struct value_type value_path = { .parse = path_parse,
				       .print = text_print,
				       .describe = path_describe };
const struct value_type value_address = { .parse = address_parse,
					  .print = text_print,
					  .describe = address_describe };
const struct value_type value_nqn = { .parse = nqn_parse,
				      .print = text_print,
				      .describe = nqn_describe };
const struct value_type value_uuid = { .parse = uuid_parse,
				       .print = uuid_print,
				       .describe = uuid_describe };
const struct value_type value_hex = { .parse = hex_parse,
				      .print = hex_print,
				      .describe = hex_describe };

void value_line(const struct setting *setting, char *line)
{
	char form[VALUE_FORM_MAX];

	setting->type->describe(setting, form);
	if (setting->required)
		snprintf(line, VALUE_LINE_MAX, "Value: %s. Required.", form);
	else
		snprintf(line, VALUE_LINE_MAX, "Value: %s. Default: %s.", form,
			 setting->def ? setting->def : setting->absent);
}
