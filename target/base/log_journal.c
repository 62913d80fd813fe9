/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log_journal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

static log_journal_send *journal;

struct record {
	struct iovec fields[LOG_JOURNAL_FIELDS];
	unsigned n;
	size_t used;
	char bytes[LOG_JOURNAL_BYTES];
};

/* One field, "NAME=value". One that does not fit, which none is long enough for, stays away. */
static __printf(2, 3) void field(struct record *record, const char *fmt, ...)
{
	char *at = record->bytes + record->used;
	size_t room = sizeof(record->bytes) - record->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(at, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room || record->n == LOG_JOURNAL_FIELDS)
		return;
	record->fields[record->n++] = (struct iovec){ at, (size_t)n };
	record->used += (size_t)n;
}

static void field_text(struct record *record, const char *name, const char *value)
{
	if (value && *value)
		field(record, "%s=%s", name, value);
}

static void field_number(struct record *record, const char *name, uint32_t value)
{
	if (value)
		field(record, "%s=%" PRIu32, name, value);
}

bool log_journal_write(const struct log_site *site, enum log_level level, struct log_about about,
		       unsigned left_out, const char *text)
{
	/* As in <syslog.h>: LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. */
	static const char priorities[] = { '3', '4', '6', '7' };
	struct record record;

	if (!journal)
		return false;
	record.n = 0;
	record.used = 0;
	field(&record, "MESSAGE=%s", text);
	field(&record, "PRIORITY=%c", priorities[level]);
	field(&record, "SYSLOG_IDENTIFIER=sluiced");
	field(&record, "CODE_FILE=%s", site->file);
	field(&record, "CODE_LINE=%u", site->line);
	field(&record, "CODE_FUNC=%s", site->func);
	field_text(&record, "SLUICE_PEER", about.peer);
	field_text(&record, "SLUICE_HOSTNQN", about.hostnqn);
	field_text(&record, "SLUICE_SUBSYSTEM", about.subsystem);
	field_text(&record, "SLUICE_LISTENER", about.listener);
	field_number(&record, "SLUICE_NSID", about.nsid);
	field_number(&record, "SLUICE_CNTLID", about.cntlid);
	field_number(&record, "SLUICE_LEFT_OUT", left_out);
	return !journal(record.fields, (int)record.n);
}

/* Is standard error the stream that systemd has connected to the journal? */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	int n = 0;

	return stream && sscanf(stream, "%llu:%llu%n", &device, &inode, &n) == 2 && !stream[n] &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

bool log_journal_open(log_journal_send *send, const char *socket)
{
	if (stderr_is_journal() && !access(socket, W_OK))
		journal = send;
	return journal;
}

void log_journal_close(void)
{
	journal = NULL;
}
