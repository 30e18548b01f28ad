/* SPDX-License-Identifier: ISC */
/* The user's terminal while a view has it: raw, and as it was again on every way out. */
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/util.h"

/* What an agent's program may have switched, back to what a shell expects: keyboard protocols, mouse,
 * focus, paste, colour reports, cursor keys and keypad, region, insert, wrap, charset, attributes, style
 * and visibility of the cursor, the alternate screen last. It begins with what ends a sequence that was
 * cut off in its middle. */
static const char reset[] = "\030\033\\\033[<8u\033[>4;0m"
			    "\033[?9l\033[?1000l\033[?1002l\033[?1003l\033[?1005l\033[?1006l\033[?1015l\033[?1016l"
			    "\033[?1004l\033[?2004l\033[?2026l\033[?2031l\033[?1l\033>\033[?5l"
			    "\033[?1049l\033[?6l\033[r\033[4l\033[?7h\033(B\033)B\017\033[0m\033[0 q\033[?25h";

#define RESET_MS 500 /* a terminal that does not read is not waited for longer */

static struct termios before, raw;
static bool is_raw, is_painted, is_kept;
static int output = STDOUT_FILENO;
static pid_t owner;

/* Async-signal-safe: also called from the handlers. */
void term_restore(void)
{
	struct pollfd p = {.fd = output, .events = POLLOUT};
	ssize_t ignored = 0;

	if (!is_raw || getpid() != owner)
		return;
	is_raw = false;
	if (is_painted && poll(&p, 1, RESET_MS) > 0)
		ignored = write(output, reset, sizeof(reset) - 1);
	(void)ignored;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

/* Crashes end the program after the terminal is right. */
static void on_fatal(int signo)
{
	term_restore();
	signal(signo, SIG_DFL);
	raise(signo);
}

int term_raw(bool painted, struct err *e)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	size_t i;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "standard input is not a terminal");
	raw = before;
	cfmakeraw(&raw);
	owner = getpid();
	is_painted = painted;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot switch the terminal");
	is_raw = true;
	atexit(term_restore);
	for (i = 0; i < ARRAY_LEN(fatal); i++)
		signal(fatal[i], on_fatal);
	return 0;
}

void term_again(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

int term_output(void)
{
	int fd = open("/proc/self/fd/1", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		output = fd;
	return output;
}

void term_keep(void)
{
	if (tcgetattr(STDIN_FILENO, &before) == 0)
		is_kept = true;
}

void term_reset(void)
{
	if (!is_kept)
		return;
	write_all(STDOUT_FILENO, reset, sizeof(reset) - 1);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

bool term_size(int *rows, int *cols)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &w) < 0)
		return false;
	if (w.ws_row == 0 || w.ws_col == 0)
		return false;
	*rows = w.ws_row;
	*cols = w.ws_col;
	return true;
}

int term_signal_fd(struct err *e)
{
	static const int wanted[] = {SIGWINCH, SIGCONT, SIGTERM, SIGHUP, SIGINT, SIGQUIT};
	sigset_t set;
	size_t i;
	int fd;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_LEN(wanted); i++)
		sigaddset(&set, wanted[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || (fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot take signals");
	signal(SIGPIPE, SIG_IGN);
	return fd;
}

int term_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}
