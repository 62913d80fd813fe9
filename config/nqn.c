/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config.h"

#include <ctype.h>
#include <string.h>

#include "config/settings.h"

static bool alnum_ascii(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static unsigned digits_span(const char *s)
{
	unsigned n = 0;

	while (s[n] >= '0' && s[n] <= '9')
		n++;
	return n;
}

/* The end of "yyyy-mm." at @s, or NULL. */
static const char *date_skip(const char *s)
{
	int month;

	if (digits_span(s) != 4 || s[4] != '-' || digits_span(s + 5) != 2 || s[7] != '.')
		return NULL;
	month = (s[5] - '0') * 10 + (s[6] - '0');
	return month >= 1 && month <= 12 ? s + 8 : NULL;
}

/* The end of a reverse domain name at @s (labels of RFC 1034 between dots), or NULL. */
static const char *domain_skip(const char *s)
{
	for (;;) {
		unsigned n = 0;

		while (alnum_ascii(s[n]) || s[n] == '-')
			n++;
		if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
			return NULL;
		s += n;
		if (*s != '.')
			return s;
		s++;
	}
}

/* Bytes of the UTF-8 character at @s, which is neither a control character nor a blank; else 0. */
static unsigned utf8_char(const unsigned char *s)
{
	unsigned code, n;

	if (s[0] > 0x20 && s[0] < 0x7f)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	code = s[0] & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3fu);
	}
	if (code < 0xa0) /* C1 control characters */
		return 0;
	if ((n == 3 && code < 0x800) || (n == 4 && (code < 0x10000 || code > 0x10ffff)))
		return 0; /* overlong, or beyond Unicode */
	return code >= 0xd800 && code <= 0xdfff ? 0 : n;
}

static bool utf8_valid(const char *s)
{
	while (*s) {
		unsigned n = utf8_char((const unsigned char *)s);

		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

static bool uuid_form(const char *s)
{
	for (unsigned i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	}
	return s[36] == '\0';
}

bool config_nqn_valid(const char *nqn)
{
	static const char uuid_prefix[] = "nqn.2014-08.org.nvmexpress:uuid:";
	const char *s = nqn;

	if (strnlen(nqn, CONFIG_NQN_MAX) >= CONFIG_NQN_MAX)
		return false;
	if (strcmp(nqn, NQN_DISCOVERY_WELL_KNOWN) == 0)
		return true;
	if (strncmp(nqn, uuid_prefix, sizeof(uuid_prefix) - 1) == 0)
		return uuid_form(nqn + sizeof(uuid_prefix) - 1);
	if (strncmp(s, "nqn.", 4) != 0)
		return false;
	s = date_skip(s + 4);
	if (s)
		s = domain_skip(s);
	return s && s[0] == ':' && s[1] != '\0' && utf8_valid(s + 1);
}
