/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/faults.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void fault_report(struct faults *faults, const struct config_where *where, int error,
			 const char *fmt, va_list ap)
{
	char message[FAULT_MESSAGE_MAX];
	int n;

	if (faults->error == 0 || faults->error == -EINVAL)
		faults->error = error;
	if (faults->n++ > FAULTS_MAX || !faults->report)
		return;
	if (faults->n > FAULTS_MAX) {
		faults->report(faults->arg,
			       "more faults than are worth listing; correct these first");
		return;
	}
	if (where->line > 0)
		n = snprintf(message, sizeof(message), "%s:%d: ", where->file, where->line);
	else
		n = snprintf(message, sizeof(message), "%s: ", where->file);
	if (n < 0)
		return;
	n = MIN(n, (int)sizeof(message) - 1);
	vsnprintf(message + n, sizeof(message) - (size_t)n, fmt, ap);
	faults->report(faults->arg, message);
}

void faults_add(struct faults *faults, const struct config_where *where, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fault_report(faults, where, -EINVAL, fmt, ap);
	va_end(ap);
}

void faults_add_error(struct faults *faults, const struct config_where *where, int error,
		      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fault_report(faults, where, error, fmt, ap);
	va_end(ap);
}

void faults_memory(struct faults *faults, const struct config_where *where)
{
	if (faults->error == -ENOMEM)
		return;
	faults_add_error(faults, where, -ENOMEM,
			 "out of memory while reading the configuration; free memory, or raise the "
			 "memory limit of this process");
	faults->error = -ENOMEM;
}
