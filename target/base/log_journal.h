/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages as records of systemd's journal, with fields: MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, CODE_FILE,
 * CODE_LINE, CODE_FUNC, those of struct log_about as SLUICE_PEER, SLUICE_HOSTNQN, SLUICE_SUBSYSTEM,
 * SLUICE_LISTENER, SLUICE_NSID and SLUICE_CNTLID, and SLUICE_LEFT_OUT where messages were.
 */
#ifndef SLUICE_BASE_LOG_JOURNAL_H
#define SLUICE_BASE_LOG_JOURNAL_H

#include <sys/uio.h>

#include "base/log.h"

/* Where the journal takes records ("Native Journal Protocol"). */
#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

enum { LOG_JOURNAL_FIELDS = 13, LOG_JOURNAL_BYTES = 3072 };

/* Sends one record, a field in each of @n; sd_journal_sendv() is one. 0 or negative errno. Any thread. */
typedef int log_journal_send(const struct iovec *fields, int n);

/*
 * Messages go by @send from now on, when standard error is the journal's: JOURNAL_STREAM names the device and the
 * inode that it is (systemd.exec(5)). And when there is something at @socket, which libsystemd does not tell
 * from success. False: they stay lines. Call before threads start.
 */
bool log_journal_open(log_journal_send *send, const char *socket);
/* Lines again. */
void log_journal_close(void);

/* False: it could not be sent, and is to be written otherwise. @left_out: what the message tells, or 0. */
bool log_journal_write(const struct log_site *site, enum log_level level, struct log_about about,
		       unsigned left_out, const char *text);

#endif
