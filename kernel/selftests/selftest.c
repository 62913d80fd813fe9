/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "selftest.h"

enum {
	EXIT_PASSED = 0,
	EXIT_FAILED = 1,
	EXIT_SKIPPED = 77,
};

static unsigned int checks, failures;

void selftest_start(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

void selftest_child(void)
{
	checks = 0;
	failures = 0;
}

int selftest_end(void)
{
	/* what checks nothing would pass whatever the kernel did */
	if (!checks)
		printf("FAIL  all was left out\n");
	printf("%u checks, %u failed\n", checks, failures);
	return failures || !checks ? EXIT_FAILED : EXIT_PASSED;
}

/* One call of printf() a line, so that lines of different threads do not mix. */
static void line_print(const char *head, const char *tail, const char *fmt, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, args);
	printf("%s%s%s\n", head, text, tail);
}

void skip_all(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_print("skipped: ", "", fmt, args);
	va_end(args);
	exit(failures ? EXIT_FAILED : EXIT_SKIPPED);
}

void fatal(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_print("FAIL  ", "", fmt, args);
	va_end(args);
	printf("%u checks, then gave up\n", checks);
	exit(EXIT_FAILED);
}

void section(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_print("== ", "", fmt, args);
	va_end(args);
}

void note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_print("      ", "", fmt, args);
	va_end(args);
}

void skip_one(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_print("skip  ", "", fmt, args);
	va_end(args);
}

static bool verdict(bool passed, const char *detail, const char *fmt, va_list args)
{
	__atomic_fetch_add(&checks, 1, __ATOMIC_RELAXED);
	if (!passed)
		__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
	line_print(passed ? "ok    " : "FAIL  ", detail, fmt, args);
	return passed;
}

bool check(bool passed, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	verdict(passed, "", fmt, args);
	va_end(args);
	return passed;
}

const char *result_text(long result)
{
	static _Thread_local char texts[4][32];
	static _Thread_local unsigned int turn;
	char *text = texts[turn++ % 4];
	const char *name = result < 0 && result > -4096 ? strerrorname_np((int)-result) : NULL;

	if (name)
		snprintf(text, sizeof(texts[0]), "-%s", name);
	else
		snprintf(text, sizeof(texts[0]), "%ld", result);
	return text;
}

bool check_eq(long got, long want, const char *fmt, ...)
{
	char detail[128];
	va_list args;

	if (got == want)
		snprintf(detail, sizeof(detail), ": %s", result_text(got));
	else
		snprintf(detail, sizeof(detail), ": got %s, wanted %s", result_text(got),
			 result_text(want));
	va_start(args, fmt);
	verdict(got == want, detail, fmt, args);
	va_end(args);
	return got == want;
}

bool check_either(long got, long want1, long want2, const char *fmt, ...)
{
	bool passed = got == want1 || got == want2;
	char detail[128];
	va_list args;

	if (passed)
		snprintf(detail, sizeof(detail), ": %s", result_text(got));
	else
		snprintf(detail, sizeof(detail), ": got %s, wanted %s or %s", result_text(got),
			 result_text(want1), result_text(want2));
	va_start(args, fmt);
	verdict(passed, detail, fmt, args);
	va_end(args);
	return passed;
}

int line_read(const char *path, char *line, size_t len)
{
	FILE *file = fopen(path, "re");
	int rc = 0;

	if (!file)
		return -errno;
	errno = 0;
	if (!fgets(line, (int)len, file))
		rc = errno ? -errno : -ENODATA;
	else
		line[strcspn(line, "\n")] = 0;
	fclose(file);
	return rc;
}

int number_read(const char *path, long *number)
{
	char line[64], *end;
	long value;
	int rc = line_read(path, line, sizeof(line));

	if (rc)
		return rc;
	value = strtol(line, &end, 0);
	if (end == line)
		return -EBADMSG;
	*number = value;
	return 0;
}

int text_write(const char *path, const char *text)
{
	size_t len = strlen(text);
	ssize_t written;
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	written = write(fd, text, len);
	if (written < 0)
		rc = -errno;
	else if ((size_t)written != len)
		rc = -EIO;
	close(fd);
	return rc;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec span = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&span, &span) && errno == EINTR)
		;
}
