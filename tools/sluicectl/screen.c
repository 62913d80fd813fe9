/* SPDX-License-Identifier: BSD-3-Clause */
#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "table.h"

/* ECMA-48, and the alternate screen of xterm, which other terminals have too. */
#define ENTER	  "\033[?1049h\033[?25l" /* the other screen, without a cursor */
#define LEAVE	  "\033[?25h\033[?1049l"
#define HOME	  "\033[H"
#define LINE_REST "\033[K" /* clears the rest of the line */
#define REST	  "\033[J" /* clears what is below */

enum { COLUMNS_DEFAULT = 80, ROWS_DEFAULT = 24 };

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* Also of the handlers of signals, which may come at any time. */
static struct {
	volatile sig_atomic_t entered, resized;
	volatile sig_atomic_t keyboard; /* standard input is a terminal, which was as `before` */
	bool keys;			/* and there is something to be read from it */
	struct termios before;
} screen;

/* Nothing helps when the terminal does not take it. */
static void out(const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

/* ------------------------------------------------------------------- taking it and giving it back */

/* Of what these two call, all may be called by a handler of a signal. */
static void enter(void)
{
	struct termios raw;

	if (screen.keyboard) {
		raw = screen.before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	out(ENTER, strlen(ENTER));
	screen.entered = 1;
}

static void leave(void)
{
	if (!screen.entered)
		return;
	screen.entered = 0;
	out(LEAVE, strlen(LEAVE));
	if (screen.keyboard)
		tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
}

static void on_end(int signo)
{
	leave();
	signal(signo, SIG_DFL);
	raise(signo);
}

/* Stopped from the keyboard, until the shell has it go on. */
static void on_stop(int signo)
{
	int error = errno;

	(void)signo;
	leave();
	raise(SIGSTOP);
	enter();
	screen.resized = 1;
	errno = error;
}

static void on_resize(int signo)
{
	(void)signo;
	screen.resized = 1;
}

static void handle(int signo, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	sigemptyset(&action.sa_mask);
	sigaction(signo, &action, NULL);
}

bool screen_is_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (!term || strcmp(term, "dumb"));
}

void screen_open(void)
{
	screen.keyboard = !tcgetattr(STDIN_FILENO, &screen.before);
	screen.keys = screen.keyboard;
	atexit(screen_close);
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++)
		handle(ends[i], on_end);
	handle(SIGTSTP, on_stop);
	handle(SIGWINCH, on_resize);
	enter();
}

void screen_close(void)
{
	leave();
}

/* --------------------------------------------------------------------------------------- drawing */

struct frame_size screen_size(void)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		size = (struct winsize){ 0 };
	return (struct frame_size){
		.columns = size.ws_col ? size.ws_col : COLUMNS_DEFAULT,
		.rows = size.ws_row ? size.ws_row : ROWS_DEFAULT,
	};
}

char *screen_bytes(const char *text, unsigned rows, size_t *len)
{
	char *bytes = NULL;
	FILE *memory = open_memstream(&bytes, len);

	if (!memory)
		out_of_memory();
	fputs(HOME, memory);
	/* No line feed behind the last one: the terminal would scroll. */
	for (unsigned row = 0; *text && row < rows; row++) {
		size_t n = strcspn(text, "\n");

		fprintf(memory, "%s%.*s" LINE_REST, row ? "\r\n" : "", (int)n, text);
		text += n + (text[n] == '\n');
	}
	fputs(REST, memory);
	if (fclose(memory))
		out_of_memory();
	return bytes;
}

void screen_draw(const char *text)
{
	size_t len;
	char *bytes = screen_bytes(text, screen_size().rows, &len);

	out(bytes, len);
	free(bytes);
}

/* --------------------------------------------------------------------------------------- waiting */

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A key was pressed, or the keyboard is gone. True: that quits. */
static bool key_quits(void)
{
	char key = 0;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		screen.keys = false;
	return n == 1 && (key == 'q' || key == 'Q');
}

enum screen_event screen_wait(uint64_t until_ns)
{
	for (;;) {
		struct pollfd keyboard = { .fd = screen.keys ? STDIN_FILENO : -1,
					   .events = POLLIN };
		uint64_t now_ns = clock_ns();
		uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
		const struct timespec left = { .tv_sec = (time_t)(left_ns / 1000000000u),
					       .tv_nsec = (long)(left_ns % 1000000000u) };

		if (screen.resized) {
			screen.resized = 0;
			return SCREEN_RESIZED;
		}
		if (ppoll(&keyboard, 1, &left, NULL) == 0)
			return SCREEN_TIME;
		if (keyboard.revents && key_quits())
			return SCREEN_QUIT;
	}
}
