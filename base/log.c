/* SPDX-License-Identifier: ISC */
/* Formats one record and hands it to the kernel in one write, so that lines of processes that
 * share a file do not mix. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define LOG_LINE_MAX 4096

/* ---- bounds: what a guest provokes must not fill a disk, nor take our time ---- */

static struct {
	struct {
		int64_t tokens, filled_ms;
	} of[LOG_LEVEL_DEBUG]; /* each level by itself: warnings that a guest provokes hide no error */
	unsigned long dropped;
	bool file;        /* stderr is a file of our own */
	size_t unchecked; /* bytes written since its size was looked at */
} bound = {.of = {{.tokens = LOG_BURST}, {.tokens = LOG_BURST}, {.tokens = LOG_BURST}}, .unchecked = LOG_KEEP};

static const char *log_program = "";
static enum log_level log_level_now = LOG_LEVEL_INFO;

void log_open(const char *program, enum log_level level)
{
	log_program = program ? program : "";
	log_level_now = level;
}

void log_bound_file(const char *path)
{
	struct stat ours, file;

	bound.file = !path || (fstat(STDERR_FILENO, &ours) == 0 && stat(path, &file) == 0 &&
		ours.st_dev == file.st_dev && ours.st_ino == file.st_ino);
}

enum log_level log_get_level(void)
{
	return log_level_now;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warn";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

/* Copies text with control characters as \xNN; bytes of UTF-8 pass. Returns the new length. */
static size_t escape(char *out, size_t size, size_t len, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool plain = *p >= 0x20 && *p != 0x7f;
		if (len + (plain ? 1 : 4) >= size)
			break;
		if (plain)
			out[len++] = (char)*p;
		else
			len += (size_t)snprintf(out + len, size - len, "\\x%02x", *p);
	}
	return len;
}

/* May one more line be written? Lines of the debug level are asked for, and not counted. */
static bool admit(enum log_level level)
{
	int64_t now = clock_mono_ms(), fill, *tokens, *filled;

	if (level == LOG_LEVEL_DEBUG)
		return true;
	tokens = &bound.of[level].tokens;
	filled = &bound.of[level].filled_ms;
	fill = (now - *filled) * LOG_PER_SECOND / 1000;
	if (fill > 0 || now < *filled) {
		*tokens = fill < 0 || *tokens + fill > LOG_BURST ? LOG_BURST : *tokens + fill;
		*filled = now;
	}
	if (*tokens <= 0) {
		bound.dropped++;
		return false;
	}
	--*tokens;
	return true;
}

/* The file begins anew with its own last bytes; only one that is appended to, so that writers who share it
 * go on behind them. */
static void cut_file(void)
{
	static char tail[LOG_KEEP];
	static const char note[] = "(what was said earlier was dropped)\n";
	int flags = fcntl(STDERR_FILENO, F_GETFL);
	struct stat st;
	ssize_t n = 0;
	int fd;

	if (flags < 0 || !(flags & O_APPEND) || fstat(STDERR_FILENO, &st) < 0 || !S_ISREG(st.st_mode) ||
		st.st_size <= LOG_FILE_MAX)
		return;
	fd = open("/proc/self/fd/2", O_RDONLY | O_CLOEXEC); /* rights given up: then nothing is kept */
	if (fd >= 0) {
		n = pread(fd, tail, sizeof(tail), st.st_size - (off_t)sizeof(tail));
		close(fd);
	}
	if (ftruncate(STDERR_FILENO, 0) < 0 || write(STDERR_FILENO, note, sizeof(note) - 1) < 0 || n <= 0)
		return;
	char *line = memchr(tail, '\n', (size_t)n);
	if (line && write(STDERR_FILENO, line + 1, (size_t)(tail + n - line - 1)) < 0)
		return;
}

static void put(const char *line, size_t len)
{
	/* A log that cannot be written has nobody to tell. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
	bound.unchecked += len;
	if (!bound.file || bound.unchecked < LOG_KEEP)
		return;
	bound.unchecked = 0;
	cut_file();
}

static void say_dropped(void)
{
	char line[256], stamp[CLOCK_ISO_MAX];
	int n = snprintf(line, sizeof(line), "%s %s[%d] warn log: %lu lines were dropped: more than %d a second\n",
		clock_iso(clock_wall_ms(), stamp), log_program, (int)getpid(), bound.dropped, LOG_PER_SECOND);

	bound.dropped = 0;
	if (n > 0)
		put(line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void log_write(enum log_level level, const char *subsystem, const char *id, const char *fmt, ...)
{
	int saved = errno;
	if (level > log_level_now || !admit(level))
		return;
	if (bound.dropped)
		say_dropped();
	char text[LOG_LINE_MAX], line[LOG_LINE_MAX], stamp[CLOCK_ISO_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	int n = snprintf(line, sizeof(line), "%s %s[%d] %s %s", clock_iso(clock_wall_ms(), stamp),
		log_program, (int)getpid(), level_name(level), subsystem ? subsystem : "-");
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
	if (id && len < sizeof(line) - 1) {
		line[len++] = ' ';
		len = escape(line, sizeof(line) - 1, len, id);
	}
	if (len + 2 < sizeof(line) - 1) {
		line[len++] = ':';
		line[len++] = ' ';
	}
	len = escape(line, sizeof(line) - 1, len, text);
	line[len++] = '\n';
	put(line, len);
	errno = saved;
}
