/* SPDX-License-Identifier: ISC */
/* Formats one record and hands it to the kernel in one write, so that lines of processes that
 * share a file do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LOG_LINE_MAX 4096

static const char *log_program = "";
static enum log_level log_level_now = LOG_LEVEL_INFO;

void log_open(const char *program, enum log_level level)
{
	log_program = program ? program : "";
	log_level_now = level;
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

void log_write(enum log_level level, const char *subsystem, const char *id, const char *fmt, ...)
{
	if (level > log_level_now)
		return;
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
	/* A log that cannot be written has nobody to tell. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
