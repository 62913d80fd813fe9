/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any text is either refused with a message or a configuration whose dump reads back as itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report_count(void *arg, const char *message)
{
	if (*message == '\0')
		abort();
	++*(unsigned *)arg;
}

static char *dump_of(const struct config *config, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		abort();
	config_dump(config, out);
	if (fclose(out))
		abort();
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config first, second;
	char *dump, *again;
	unsigned reports = 0;
	size_t len, len_again;
	int rc;

	rc = config_parse(&first, "fuzz", (const char *)data, size, report_count, &reports);
	if ((rc == 0) != (reports == 0))
		abort();
	if (rc)
		return 0;
	dump = dump_of(&first, &len);
	if (config_parse(&second, "dump", dump, len, report_count, &reports))
		abort();
	again = dump_of(&second, &len_again);
	if (strcmp(dump, again))
		abort();
	free(dump);
	free(again);
	config_free(&first);
	config_free(&second);
	return 0;
}
