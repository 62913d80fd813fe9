/* SPDX-License-Identifier: BSD-3-Clause */
/* Types of values: how the text behind a key becomes a field, and the field text again. */
#ifndef SLUICE_CONFIG_VALUE_H
#define SLUICE_CONFIG_VALUE_H

#include <stdio.h>

#include "base/compiler.h"
#include "config/settings.h"

struct value_type {
	bool repeatable; /* each line adds to a list */

	/*
	 * Stores @text, which is not empty, into @object. 0; -EINVAL: it has not the form that
	 * describe() tells; -ENOSPC: the list is full; -ENOMEM. On failure the field is unchanged.
	 */
	int (*parse)(const struct setting *setting, void *object, const char *text);

	/* Writes one line "key = value" for each value that is there. */
	void (*print)(const struct setting *setting, const void *object, FILE *out);

	/* Writes what a value looks like, as in "write ...", into @form of VALUE_FORM_MAX bytes. */
	void (*describe)(const struct setting *setting, char *form);
};

extern const struct value_type value_number;   /* decimal or 0x; uint16_t, uint32_t, uint64_t */
extern const struct value_type value_size;     /* bytes, with K, M, G, T */
extern const struct value_type value_duration; /* milliseconds, with ms, s, m, h */
extern const struct value_type value_bool;
extern const struct value_type value_choice;   /* an enum */
extern const struct value_type value_word;     /* a name: letters, digits, '.', '_', '-' */
extern const struct value_type value_text;     /* printable ASCII */
extern const struct value_type value_path;     /* absolute */
extern const struct value_type value_address;  /* numeric IPv4 or IPv6, kept in canonical form */
extern const struct value_type value_nqn;
extern const struct value_type value_uuid;
extern const struct value_type value_hex;      /* as many bytes as the field has, not all zero */
extern const struct value_type value_hosts;    /* repeatable; struct config_hosts */
extern const struct value_type value_faults;   /* repeatable; fault rules of a namespace */

/* True when @text may name a listener or referral. */
bool value_word_valid(const char *text, size_t max);

/*
 * What the value of @setting has to be and what it is without a line, as a sentence of the help, into
 * @line of VALUE_LINE_MAX bytes.
 */
void value_line(const struct setting *setting, char *line);

/*
 * Grows @array, which holds @n elements of @size bytes and grows by nothing else, to hold at least
 * one more. The new array, owned by the caller as the old one was, or NULL (the old one stays).
 */
void *array_grow(void *array, unsigned n, size_t size);

#endif
